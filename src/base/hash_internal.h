// What the tests of hash.c need beside hash.h: the published vectors are made with a key of their
// own. Nothing else may choose a key, or hashes would no longer agree between processes.
#ifndef TILL_HASH_INTERNAL_H
#define TILL_HASH_INTERNAL_H

#include "hash.h"

// The two halves of the key, each read as little endian.
void hasher_init_keyed(struct hasher *hasher, uint64_t key_low, uint64_t key_high);

#endif
