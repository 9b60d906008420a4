// A seat: the place of one process in a simulated world. A process sits in it until it is killed or ends
// with an error; then another one takes the seat after a while and starts from nothing, as under a
// service manager.
#ifndef TILL_SIM_SEAT_H
#define TILL_SIM_SEAT_H

#include "bus_sim.h"
#include "rules.h"
#include "sim.h"
#include "source.h"
#include "store_sim.h"

#include <stdatomic.h>

enum seat_role {
    SEAT_ORDERS = 1,
    SEAT_PAYMENTS = 2,
    SEAT_SWEEPER = 4,
    SEAT_DEAD_LETTERS = 8,
    SEAT_ALL = 15,
};

struct seat_options {
    struct sim *sim;
    struct sim_broker *broker;
    struct cluster *cluster;
    const struct pipeline_rules *rules;
    char name[24];
    unsigned roles; // of enum seat_role
    size_t batch_max;
    uint32_t fold_epoch;
    int64_t restart_min_us; // until the seat is taken again
    int64_t restart_max_us;
};

struct seat {
    struct seat_options options;
    struct task *task;
    // the process' clock
    int64_t skew_us;
    int64_t drift_ppm;
    int64_t idle_us; // how long it waits for messages when there were none
    bool stopping;   // ends when its work in hand is done, and is not started again
    bool held;       // stays empty until seat_start
    bool away;       // is not started with the others
    uint64_t starts;
    uint64_t failures; // starts that ended with an error of class STOP
    uint64_t batches;
    uint64_t waits; // of the first process that sat here, once it has left
};

struct seat *seat_create(const struct seat_options *options);
void seat_start(struct seat *seat);
void seat_kill(struct seat *seat); // taken again after a while, unless held or stopping
void seat_stop(struct seat *seat); // ends in good order
bool seat_empty(const struct seat *seat);
struct clock seat_clock(struct seat *seat);

// A producer: runs the pipeline's publisher over a source; when it is killed it starts over with the
// source that `rewind` gives.
struct producer {
    struct sim *sim;
    struct sim_broker *broker;
    struct source *(*rewind)(void *context);
    void *context;
    uint64_t rate_per_second; // 0: as fast as possible
    struct task *task;
    atomic_bool stop;
    bool done;        // the source has ended and all of it is published
    bool starts_over; // when killed; else it is gone
};
void producer_start(struct producer *producer);

#endif
