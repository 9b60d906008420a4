// Publishes what a source gives, in batches, as fast as the bus takes it or at a set rate. Runs on a
// thread of its own; several share one bus.
#ifndef TILL_PUBLISHER_H
#define TILL_PUBLISHER_H

#include "bus.h"
#include "clock.h"
#include "log.h"
#include "source.h"

#include <stdatomic.h>
#include <stdbool.h>

#define PUBLISHER_COUNT_MAX 4096u                // messages a batch
#define PUBLISHER_SIZE_MAX  (4u * 1024u * 1024u) // bytes of bodies a batch

struct publisher {
    struct bus *bus;
    struct source *source;
    struct clock clock;
    struct log *log;           // may be NULL; told when publishing stands still and when it goes on
    uint64_t rate_per_second;  // messages; 0: as fast as possible
    uint64_t backlog_soft_max; // waits while a subscription holds more unacked; 0: never waits
    const atomic_bool *stop;
    atomic_uint_fast64_t published; // durable messages
    atomic_uint_fast64_t retries;   // times the bus said to try again
    atomic_bool done;               // the source has ended and all of it is durable
    struct why why;                 // set before done when the source or the bus failed
    enum err err;
};

// Until the source ends, *stop is set or the bus says STOP. Sets done at the end in every case, and
// err and why when it failed. What was read but not published when *stop came is simply not published.
void publisher_run(struct publisher *publisher);

#endif
