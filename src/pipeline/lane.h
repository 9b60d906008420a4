// A lane: applies batches to the store, one transaction each, and keeps the ledger of messages beside
// them. It owns the store while it runs; one thread uses it.
//
//   batch_fetch ──► lane_apply: drop what was applied before ─► match_step ─► ledger ─► commit ─► ack
#ifndef TILL_LANE_H
#define TILL_LANE_H

#include "batch.h"
#include "bus.h"
#include "log.h"
#include "match_step.h"
#include "ranges.h"
#include "store.h"
#include "watermark.h"

#include <stdatomic.h>

// Counts since the lane was opened; written by the lane, read by anybody.
struct lane_counters {
    atomic_uint_fast64_t messages[APPLIED_TOPIC_COUNT][OUTCOME_COUNT];
    atomic_uint_fast64_t redelivered; // applied before, acked again
    atomic_uint_fast64_t batches;
    atomic_uint_fast64_t unknown_fields;
    atomic_uint_fast64_t prices_rounded;
    atomic_uint_fast64_t times_unparsed;
};

// Told of items whose effect has just become durable; for measuring. Called on the lane's thread.
typedef void lane_committed_fn(const struct batch_item *items, size_t count, void *context);

struct lane {
    struct matcher matcher;
    lane_committed_fn *committed; // may be NULL; set after lane_open
    void *committed_context;
    struct log *log;  // may be NULL
    struct text name; // key of its status and starts
    struct ranges applied[APPLIED_TOPIC_COUNT];
    bool starts_pending;     // a start is counted that no commit has cleared yet
    size_t careful_left;     // messages to take one by one, because the last start did not survive
    struct watermark orders; // how far they are
    struct hot_orders hot;
    size_t slice_max; // items a transaction; shrinks when partitions don't fit, grows back
    struct lane_counters counters;
};

// Applied messages may be scattered into this many ranges; beyond it the lane ends the process, and the
// next start, which gets what was not acked again, joins them.
#define LANE_RANGES_MAX 100000u
// A message that was in hand at this many starts that died is refused unread (E_POISON).
#define LANE_POISON_STARTS 3u

// Loads what was applied and counts this start. `name` (not copied) is its own among all lanes that
// share the store, and the same at the next start. `log` may be NULL.
MUST_USE enum err lane_open(struct lane *lane, const struct matcher *matcher, struct text name,
                            struct log *log, struct why *why);
// Ends a start that did its work; a lane that is not closed looks like one that died, and so does one
// that is closed before lane_recover came to its end.
MUST_USE enum err lane_close(struct lane *lane, struct why *why);
// Frees its memory and writes nothing, after a STOP error: what was in hand may have caused it, and
// then the next start has to be careful.
void lane_abandon(struct lane *lane);

// Applies and acks a batch. On a RETRY error nothing of the rest of the batch is applied: the caller
// hands it back (batch_nack) and backs off. STOP ends the process.
MUST_USE enum err lane_apply(struct lane *lane, struct batch *batch, struct why *why);

// After a start that died before its first commit: pulls, notes and applies messages one at a time,
// until as many as a batch may hold have gone through or none is left (has come for rules.quiet_us), so that one that stops the
// process is found. Does nothing after a start that went well.
MUST_USE enum err lane_recover(struct lane *lane, struct batch *batch,
                               const struct batch_limits *limits, struct why *why);

// Writes how far the orders are. Call when an order subscription was found empty, or after a batch.
MUST_USE enum err lane_write_status(struct lane *lane, struct why *why);

#endif
