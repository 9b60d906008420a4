// Orders that have as many events as they may (docs/matching.md, "Orders with very many events"). In a
// transaction that is seen before anything is written. A store that inserts without looking has to be asked
// first, but only about the few orders that were found full before: a lane remembers those. One thread.
#ifndef TILL_HOT_ORDERS_H
#define TILL_HOT_ORDERS_H

#include "arena.h"
#include "batch.h"
#include "store.h"

#include <stdbool.h>
#include <stddef.h>

// So many orders are remembered; then the oldest is forgotten, and takes one batch more.
#define HOT_ORDERS_MAX 64u

struct hot_orders {
    struct hot_order {
        int64_t order_id;
        bool versions; // no room for more
        bool payments;
    } items[HOT_ORDERS_MAX];
    size_t count;
    size_t next; // takes the place of this one when all places are taken
};

// Refuses the item as E_HOT_ORDER; the refusal is the arena's, whose overflow the caller checks.
void hot_order_refuse(struct batch_item *item, struct arena *arena);

// Remembers the order of a partition that was read, if it is full.
void hot_orders_note(struct hot_orders *hot, const struct store_group *group);

// Before anything is written: refuses those of the items that their full order does not hold already.
// Reads nothing when no item is of an order that is remembered.
MUST_USE enum err hot_orders_refuse(const struct hot_orders *hot, struct store *store,
                                    struct batch_item *items, size_t count, struct arena *arena,
                                    struct why *why);

#endif
