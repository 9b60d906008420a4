// One consuming process without its threads: a lane, a sweeper, a dead-letter consumer, and what is done
// after what. Whoever runs it (service.h with two threads) pulls batches and gives them in, and calls
// worker_keep_house now and then. One thread at a time uses a worker.
#ifndef TILL_WORKER_H
#define TILL_WORKER_H

#include "batch.h"
#include "bus.h"
#include "dead_letter_step.h"
#include "lane.h"
#include "log.h"
#include "rules.h"
#include "store.h"
#include "sweeper.h"

#include <stdbool.h>

struct worker_options {
    struct bus *bus;                    // borrowed
    struct store *store;                // borrowed
    const struct pipeline_rules *rules; // borrowed
    struct clock clock;
    struct log *log;  // may be NULL
    struct text name; // of its lane, distinct among all that share the store; empty: "lane"
    struct batch_limits limits;
    bool sweep;        // declare payments unmatched when their grace has passed
    bool dead_letters; // consume the dead-letter subscriptions
    int64_t idle_us; // worker_finish finds nothing left only after this long without anything to do
};

struct worker {
    struct worker_options options;
    struct lane lane;
    struct sweeper sweeper;
    struct dead_letter_consumer dead_letters;
    int64_t last_housekeeping_ns;
    int64_t active_ns; // when there was last something to do, or the bus could not tell
};

#define WORKER_HOUSEKEEPING_US 500000 // how often due buckets and dead letters are looked at

// On an error nothing is held. Then worker_recover, before the first batch.
MUST_USE enum err worker_open(struct worker *worker, const struct worker_options *options,
                              struct why *why);
// See lane_recover; `batch` is only for its use.
MUST_USE enum err worker_recover(struct worker *worker, struct batch *batch, struct why *why);

// Applies a batch and acks it. After a RETRY error the batch has gone back to the bus, which gives it
// out again: ERR_OK, and *out_retry says to wait a little. `why` tells of it then, too.
MUST_USE enum err worker_apply(struct worker *worker, struct batch *batch, bool *out_retry,
                               struct why *why);

// What is due beside batches: the lane's status, waiting payments, dead letters. Does nothing before
// WORKER_HOUSEKEEPING_US have passed since the last time. A RETRY error is logged and no error: the
// next time does it again.
MUST_USE enum err worker_keep_house(struct worker *worker, struct why *why);

// Once the input has ended: when every subscription is empty, and was for .idle_us, no order can come any
// more, so all that waits is declared unmatched, and its dead letters are consumed. A worker that takes no
// orders declares only what is due. *out_finished: nothing is left.
MUST_USE enum err worker_finish(struct worker *worker, bool *out_finished, struct why *why);

// Ends a start. `failed`: after a STOP error; what was in hand may have caused it, so that the next
// start has to be careful, and nothing more is written.
MUST_USE enum err worker_close(struct worker *worker, bool failed, struct why *why);

#endif
