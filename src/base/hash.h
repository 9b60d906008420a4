// SipHash-2-4 with 128-bit output (Aumasson, Bernstein 2012) under a fixed key, so that every
// process agrees. It names content; it is no defence against a party that crafts collisions, who
// could only hide a conflict between two messages of its own.
#ifndef TILL_HASH_H
#define TILL_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_SIZE     16 // bytes
#define HASH_HEX_SIZE 33

struct hash {
    unsigned char bytes[HASH_SIZE];
};

// Hash of all bytes given between init and final.
struct hasher {
    uint64_t v[4];
    unsigned char tail[8];
    size_t tail_size;
    uint64_t total_size;
};
void hasher_init(struct hasher *hasher);
void hasher_add(struct hasher *hasher, const void *bytes, size_t size);
void hasher_add_u64(struct hasher *hasher, uint64_t value); // 8 bytes, little endian
void hasher_final(struct hasher *hasher, struct hash *out_hash);

void hash_bytes(const void *bytes, size_t size, struct hash *out_hash);
int hash_compare(const struct hash *a, const struct hash *b); // memcmp order
bool hash_equal(const struct hash *a, const struct hash *b);
void hash_format(const struct hash *hash, char out[HASH_HEX_SIZE]); // lower-case hex

// A fast mix for hash tables in memory only; never stored.
uint64_t hash_mix_u64(uint64_t value);

#endif
