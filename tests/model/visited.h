// The set of states met, by fingerprint, each with the fingerprint of the state that it was first reached
// from, so that a shortest path can be walked back.
#ifndef TILL_MODEL_VISITED_H
#define TILL_MODEL_VISITED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct visited {
    struct visited_slot *slots;
    size_t mask;
    size_t count;
};

void visited_init(struct visited *visited);
void visited_deinit(struct visited *visited);

// false when it was there already. Fingerprints are not 0; the first state's parent is.
bool visited_add(struct visited *visited, uint64_t fingerprint, uint64_t parent);
uint64_t visited_parent(const struct visited *visited, uint64_t fingerprint);

#endif
