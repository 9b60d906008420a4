// A world made by hand, for testing the checker: the looking side of bus_sim.h and store_sim.h over plain
// lists. Nothing happens in it by itself; a test says what every replica holds, and what is acked when.
#ifndef TILL_SIM_CHECKER_FAKE_H
#define TILL_SIM_CHECKER_FAKE_H

#include "arena.h"
#include "checker.h"

#define FAKE_ITEMS_MAX 64u

struct sim_broker {
    struct sim_message messages[BUS_TOPIC_COUNT][FAKE_ITEMS_MAX];
    size_t counts[BUS_TOPIC_COUNT];
    sim_broker_acked_fn *acked;
    void *acked_context;
};

struct fake_fact {
    int64_t order_id;
    struct sim_fact fact; // payments in the fake's memory
};

struct fake_replica {
    struct event events[FAKE_ITEMS_MAX];
    size_t event_count;
    struct fake_fact facts[FAKE_ITEMS_MAX];
    size_t fact_count;
    struct waiting_payment waiting[FAKE_ITEMS_MAX];
    size_t waiting_count;
    struct dead_letter_record records[FAKE_ITEMS_MAX];
    size_t record_count;
};

struct cluster {
    struct fake_replica replicas[CLUSTER_REPLICAS];
    cluster_fact_changed_fn *changed;
    void *changed_context;
    struct tally
        tallies[FAKE_ITEMS_MAX]; // one a message of orders_data and payments_data that was acked
    size_t tally_count;
    uint64_t applied[APPLIED_TOPIC_COUNT];
};

struct fake {
    struct sim *sim;
    struct arena arena;
    struct pipeline_rules rules;
    struct sim_broker broker;
    struct cluster cluster;
    struct checker *checker;
};

// Large: give static memory.
void fake_init(struct fake *fake, enum store_shape shape);
void fake_deinit(struct fake *fake);

// What producers and processes do. `replicas` are masks.
uint64_t fake_publish(struct fake *fake, enum bus_topic topic, const char *body); // its sequence
struct event fake_event(struct fake *fake, enum bus_topic topic, uint64_t sequence);
void fake_store(struct fake *fake, unsigned replicas, enum bus_topic topic, uint64_t sequence);
void fake_note(struct fake *fake, unsigned replicas, enum note_kind kind,
               const struct event *payment);
void fake_project(struct fake *fake, unsigned replicas, int64_t order_id);
void fake_wait(struct fake *fake, unsigned replicas, const struct event *payment);
// A dead letter of that message: for an event of it (`event`), or because it was refused. Gives the
// sequence in its dead-letter topic.
uint64_t fake_letter(struct fake *fake, enum bus_topic topic, uint64_t sequence, enum reason reason,
                     const struct event *event);
void fake_record(struct fake *fake, unsigned replicas, enum bus_topic topic, uint64_t sequence,
                 enum dead_letter_state state);
void fake_ack(struct fake *fake, enum bus_topic topic, uint64_t sequence);

// What tests break.
void fake_forget(struct fake *fake, unsigned replicas, const struct event *event);
struct sim_fact *fake_fact(struct fake *fake, unsigned replica, int64_t order_id); // NULL: none
// As if the fact had just become what it is: tells the checker.
void fake_change(struct fake *fake, unsigned replica, int64_t order_id,
                 const struct sim_fact *before);

#endif
