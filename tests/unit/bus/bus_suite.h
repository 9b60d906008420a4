// What every bus must do, written against bus.h alone. A bus comes with a factory; the same claims are then
// run on it. A claim that needs time to pass asks the factory to let it pass.
#ifndef TILL_BUS_SUITE_H
#define TILL_BUS_SUITE_H

#include "bus.h"

#define BUS_SUITE_LEASE_US (10 * INT64_C(1000000))

// What a bus can do, so that claims on it are run or left out.
struct bus_suite_traits {
    bool ordered;         // messages come in the order of publishing, with sequences and a log id
    bool countable;       // backlog tells published, unacked and leased exactly
    bool durable;         // reopen keeps messages and acks
    bool counts_attempts; // delivery_attempt rises
    bool distant;         // what is published takes a moment to arrive
};

// Makes buses with no messages, empty topics and a lease of BUS_SUITE_LEASE_US.
struct bus_factory {
    const char *name;
    struct bus_suite_traits traits;
    void *(*create)(void);                    // a world with one bus in it
    struct bus *(*bus)(void *world);          // the bus of the world
    struct bus *(*reopen)(void *world);       // closes and opens it; NULL if not durable
    void (*advance)(void *world, int64_t us); // lets time pass for leases
    void (*destroy)(void *world);
};

// Runs all claims; the number of those that failed.
int bus_suite_run(const struct bus_factory *factory);

#endif
