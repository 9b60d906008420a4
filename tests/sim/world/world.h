// A whole till in a simulated world: producers, a broker, consuming processes, a store, bad weather and
// misfortune, all out of one seed; and the checker that looks on. A scenario draws a plan from the seed;
// world_run plays it: first with faults, until everything is published and the bad time is over, then
// without, until all is quiet; then everything is checked.
#ifndef TILL_SIM_WORLD_H
#define TILL_SIM_WORLD_H

#include "bus_sim.h"
#include "checker.h"
#include "generator.h"
#include "rules.h"
#include "script.h"
#include "seat.h"
#include "sim.h"
#include "store_sim.h"
#include "variant.h"

#define WORLD_SEATS_MAX     24u
#define WORLD_PRODUCERS_MAX 8u

// How often a misfortune happens: the mean time between two, 0 for never, and how long one lasts.
struct misfortune {
    int64_t every_us;
    int64_t lasts_us;
};

// Everything that a scenario may set. Drawn once, before the world starts.
struct plan {
    enum store_shape shape;
    unsigned order_seats;
    unsigned payment_seats;
    unsigned sweeper_seats;
    unsigned dead_letter_seats;
    unsigned whole_seats; // every role in one process
    size_t batch_max;
    unsigned producers;
    uint64_t producer_rate;   // messages a second of each; 0: at once
    bool one_topic_producers; // odd ones publish orders, even ones payments
    struct generator_options generator;
    size_t shuffle; // how far a message may be moved in the script
    struct pipeline_rules rules;
    struct broker_weather broker;
    struct cluster_weather cluster;
    struct misfortune kill; // a consuming process; lasts: until the seat is taken again
    struct misfortune kill_producer;
    struct misfortune stall; // a consuming process stands still
    struct misfortune jump;  // its wall clock jumps by up to lasts_us, either way
    struct misfortune crash; // a replica
    struct misfortune slow;  // a replica becomes slow
    unsigned replicas_down_max;
    struct misfortune replay;  // somebody publishes the body of a dead letter again
    int64_t clock_skew_max_us; // of each process, from the start
    int64_t drift_max_ppm;
    int64_t trouble_us; // misfortunes end then, or when all is published, whichever is later
};

struct world;

struct scenario {
    const char *name;
    const char *text;
    void (*draw)(struct plan *plan, struct rand *rand);            // from a calm plan on
    void (*write)(struct script *script, const struct plan *plan); // NULL: the generator alone
    void (*begin)(struct world *world); // NULL, or: seats are there and have not started
};

struct world {
    struct sim *sim;
    struct plan plan;
    const struct scenario *scenario;
    struct sim_broker *broker;
    struct cluster *cluster;
    struct checker *checker;
    struct script script;
    struct seat *seats[WORLD_SEATS_MAX];
    size_t seat_count;
    struct producer producers[WORLD_PRODUCERS_MAX];
    size_t producer_count;
    struct pipeline_rules first_rules; // of a scenario that changes them
    bool calm;
    uint64_t kills;
    uint64_t other_faults; // stalls, jumps, crashes, replays
    void *own;             // the scenario's
};

struct world_options {
    uint64_t seed;
    const struct scenario *scenario;
    enum variant variant;
    size_t pairs;       // 0: as drawn
    uint32_t disarm;    // bits of WORLD_DISARM: faults left out, to find what a failure needs
    void *trace;        // a FILE *, or NULL
    uint64_t kill_wait; // 0, or: the first consuming seat is killed in its nth wait
};

// X(name, field of the plan that is zeroed)
#define WORLD_DISARM_TABLE(X)                                                                      \
    X(KILLS, kill.every_us)                                                                        \
    X(PRODUCER_KILLS, kill_producer.every_us)                                                      \
    X(STALLS, stall.every_us)                                                                      \
    X(JUMPS, jump.every_us)                                                                        \
    X(CRASHES, crash.every_us)                                                                     \
    X(SLOW, slow.every_us)                                                                         \
    X(REPLAYS, replay.every_us)                                                                    \
    X(SKEW, clock_skew_max_us)                                                                     \
    X(DRIFT, drift_max_ppm)                                                                        \
    X(SHUFFLE, shuffle)                                                                            \
    X(TWICE_DELIVERED, broker.twice_ppm)                                                           \
    X(ACKS_LOST, broker.ack_lost_ppm)                                                              \
    X(ACKS_FAILED, broker.ack_failed_ppm)                                                          \
    X(PULLS_FAILED, broker.pull_failed_ppm)                                                        \
    X(PUBLISHES_FAILED, broker.publish_failed_ppm)                                                 \
    X(LATE, cluster.late_ppm)                                                                      \
    X(LOST, cluster.lost_ppm)                                                                      \
    X(TWICE, cluster.twice_ppm)                                                                    \
    X(ANSWERS_LOST, cluster.answer_lost_ppm)

enum world_disarm {
#define X(name, field) WORLD_DISARM_##name,
    WORLD_DISARM_TABLE(X)
#undef X
        WORLD_DISARM_COUNT
};
const char *world_disarm_name(enum world_disarm what);

struct world_result {
    char violation[64]; // empty: none
    char detail[480];
    uint64_t violation_step; // steps of the scheduler until it was seen
    uint64_t steps;
    uint64_t digest;
    int64_t simulated_us;
    uint64_t messages; // deliveries of the broker
    uint64_t published;
    uint64_t faults;
    uint64_t kills;
    uint64_t checks;
    uint64_t waits; // of the first consuming seat
};

void world_run(const struct world_options *options, struct world_result *out_result);

// A calm plan: one process of each kind, a fast network, nothing fails.
void plan_calm(struct plan *plan);

// For scenarios: a seat of these roles in the world.
struct seat *world_add_seat(struct world *world, const char *kind, unsigned roles);

#endif
