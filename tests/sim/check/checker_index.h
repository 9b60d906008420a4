// A table from hashes to pointers, for the checker. Open addressing, on the heap; nothing depends on the
// order of its slots.
#ifndef TILL_SIM_CHECKER_INDEX_H
#define TILL_SIM_CHECKER_INDEX_H

#include "event.h"
#include "hash.h"

#include <stddef.h>
#include <stdint.h>

struct index_slot {
    struct hash key;
    void *value; // NULL: free
};

// A zeroed one is empty.
struct index {
    struct index_slot *slots;
    size_t cap; // a power of two, or 0
    size_t count;
};

void index_deinit(struct index *index);
void index_clear(struct index *index);                               // keeps the memory
void *index_find(const struct index *index, const struct hash *key); // NULL when it is not there
// Adds or replaces; `value` is not NULL.
void index_put(struct index *index, const struct hash *key, void *value);

// Keys.
struct hash key_of_number(uint64_t number);
struct hash key_of_event(const struct event *event); // of the row: identity and content
struct hash key_of_payment_event(int64_t order_id, int64_t payment_id, struct text event_id);
struct hash key_of_text(uint64_t kind, struct text text);

#endif
