// Grouping a batch by order, so that an order is read and projected once a batch.
#ifndef TILL_GROUP_H
#define TILL_GROUP_H

#include "arena.h"
#include "batch.h"
#include "store.h"

struct grouping {
    struct store_group *groups; // in the order in which their first item came
    size_t count;
};

// Groups the decoded items; refused ones belong to no group. All memory is the arena's, whose
// overflow the caller checks.
void grouping_build(struct grouping *grouping, struct batch_item *items, size_t count,
                    struct arena *arena);

#endif
