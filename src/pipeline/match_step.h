// The matching protocol (docs/matching.md), written once over the store's primitives. Whoever inserts
// into an order's events then reads its partition and projects; a payment that finds no order is
// indexed as waiting. Orders and payments of one batch see each other.
//
// Everything here may run twice, and be cut off between any two calls of the seams: what it writes is
// a function of the set of events.
#ifndef TILL_MATCH_STEP_H
#define TILL_MATCH_STEP_H

#include "arena.h"
#include "batch.h"
#include "bus.h"
#include "hot_orders.h"
#include "letters.h"
#include "rules.h"
#include "store.h"

#include <stddef.h>

struct matcher {
    struct store *store;
    struct bus *bus;
    const struct pipeline_rules *rules;
    struct clock clock;
    struct hot_orders *hot; // of the lane whose matcher it is; NULL: full orders are not remembered
};

// Applies `count` items (decoded or refused) up to, and without, the commit: inserts, reads,
// projects, indexes what waits, publishes dead letters and awaits them, and sets every item's outcome.
// The caller has begun a transaction, and on ERR_OK commits; on any error it rolls back.
// ERR_NO_MEMORY means that the partitions did not fit into the arena: fewer items at a time may.
MUST_USE enum err match_step(struct matcher *matcher, struct batch_item *items, size_t count,
                             struct arena *arena, struct why *why);

// The same rule for events that till itself makes (notes), and for looking again: inserts the
// groups' events, reads their partitions and projects those that hold an order.
MUST_USE enum err match_groups(struct matcher *matcher, struct store_group *groups, size_t count,
                               struct arena *arena, struct why *why);

// Start of the bucket in which a payment published then is due, seen from now.
int64_t match_due_us(const struct pipeline_rules *rules, int64_t published_us, int64_t now_us);
// The shard of an order's waiting payments.
int32_t match_shard(const struct pipeline_rules *rules, int64_t order_id);

#endif
