// A batch: messages of the source subscriptions, pulled and decoded, with the arena that holds all
// that is about them until the ack. One thread fills it, then one thread applies it.
#ifndef TILL_BATCH_H
#define TILL_BATCH_H

#include "arena.h"
#include "bus.h"
#include "rules.h"
#include "store.h"

#include <stdbool.h>
#include <stddef.h>

// One message and what is known of it.
struct batch_item {
    const struct bus_message *message;
    enum bus_topic source;         // BUS_ORDERS or BUS_PAYMENTS
    const struct refusal *refusal; // NULL when it was decoded
    struct incoming incoming;      // event and what the store knew of it, when decoded
    enum outcome outcome;          // set by match_step
};

struct batch_remarks {
    uint64_t unknown_fields;
    uint64_t prices_rounded;
    uint64_t times_unparsed;
};

struct batch_limits {
    size_t count_max; // messages
    size_t size_max;  // bytes of bodies
    bool orders;      // which subscriptions to pull
    bool payments;
};

struct batch {
    struct arena arena;
    struct batch_item *items; // orders first, each subscription in the order of its delivery
    size_t count;
    size_t order_count; // items[0 ... order_count-1] are from the orders subscription
    int64_t pulled_us;  // wall time just before the pull, set by the caller; 0 when it doesn't say
    bool orders_pulled; // the orders subscription was asked
    struct batch_remarks remarks;
};

#define BATCH_COUNT_MAX  10000u
#define BATCH_ARENA_SIZE (128u * 1024u * 1024u) // reserved; only touched pages cost memory

MUST_USE enum err batch_init(struct batch *batch);
void batch_deinit(struct batch *batch);

// Forgets what the batch held; pulls and decodes anew. An empty batch (count 0) is no error.
MUST_USE enum err batch_fetch(struct batch *batch, struct bus *bus,
                              const struct batch_limits *limits, const struct pipeline_rules *rules,
                              struct why *why);

// The two halves of batch_fetch, for a lane that must do something durable in between.
MUST_USE enum err batch_pull(struct batch *batch, struct bus *bus,
                             const struct batch_limits *limits, struct why *why);
MUST_USE enum err batch_decode(struct batch *batch, const struct pipeline_rules *rules,
                               struct why *why);

// Acks, or hands back, everything that is in the batch.
MUST_USE enum err batch_ack(struct batch *batch, struct bus *bus, struct why *why);
MUST_USE enum err batch_nack(struct batch *batch, struct bus *bus, struct why *why);

#endif
