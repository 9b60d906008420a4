// The running pipeline of one process: sources publish, one thread pulls and decodes, one thread owns
// the store and does everything that writes it (match, sweep, dead letters).
//
//   publisher threads ──► bus ──► fetch thread ──► (two batches, back and forth) ──► lane thread
#ifndef TILL_SERVICE_H
#define TILL_SERVICE_H

#include "bus.h"
#include "log.h"
#include "publisher.h"
#include "rules.h"
#include "store.h"
#include "worker.h"

#include <stdatomic.h>
#include <stdbool.h>

#define SERVICE_PUBLISHERS_MAX 16u

struct service_options {
    struct bus *bus;     // borrowed
    struct store *store; // borrowed
    struct pipeline_rules rules;
    struct clock clock;
    struct log *log;  // may be NULL
    struct text name; // of its lane, distinct among all that share the store; empty: "lane"
    struct batch_limits limits;
    bool sweep;        // declare payments unmatched when their grace has passed
    bool dead_letters; // consume the dead-letter subscriptions
    bool once;         // end when the sources have ended, all is applied and nothing waits
    int64_t idle_us;   // and every subscription was empty for this long; 0: the bus knows at once
    struct source *sources[SERVICE_PUBLISHERS_MAX]; // borrowed
    size_t source_count;
    uint64_t rate_per_second;     // of each source; 0: as fast as possible
    uint64_t backlog_soft_max;    // see publisher.h
    lane_committed_fn *committed; // may be NULL, see lane.h
    void *committed_context;
};

// Figures of a running service, for progress and metrics.
struct service_figures {
    uint64_t published;
    uint64_t applied; // messages, redeliveries not counted
    uint64_t stored;
    uint64_t duplicate;
    uint64_t refused;
    uint64_t unmatched;
    uint64_t prices_rounded;
    bool sources_done;
};

struct service;

// Opens the lane and starts the threads. `stop` may be set by anybody at any time (a signal handler
// among them): then sources and pulling end, what is in hand is finished and acked.
MUST_USE enum err service_start(const struct service_options *options, atomic_bool *stop,
                                struct service **out_service, struct why *why);

// Whether it has ended by itself: done (once), or failed.
bool service_ended(const struct service *service);
void service_figures(const struct service *service, struct service_figures *out_figures);

// Asks it to stop (when it has not ended) and waits. ERR_DRAIN_TIMEOUT when the threads did not end
// within drain_timeout_us: then the process must exit without touching bus or store again. Otherwise
// frees the service, gives its last figures and the first error of any of its threads.
MUST_USE enum err service_finish(struct service **service, int64_t drain_timeout_us,
                                 struct service_figures *out_figures, struct why *why);

#endif
