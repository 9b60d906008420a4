// Inside the simulated broker: what it holds of each topic, and the leases on it (bus_sim_topics.c), for the
// calls of the seam on it (bus_sim.c).
//
// A message is available from the end of its delay until it is leased, and again when its last lease
// ends. Each delivery has a lease of its own, and its handle is the lease's number; an ended lease never
// counts again. All memory but that of connections is the world's: timers may fire after everybody has
// left.
#ifndef TILL_BUS_SIM_INTERNAL_H
#define TILL_BUS_SIM_INTERNAL_H

#include "bus_sim.h"

#define ID_SIZE_MAX 24u // "m18446744073709551615"

struct held {
    struct sim_message message;
    struct topic *topic;
    uint32_t attempts;
    uint32_t leases; // that have not ended
    bool queued;     // among the available
    bool again;      // to be delivered although it is leased or acked
    char id[ID_SIZE_MAX];
};

struct topic {
    struct sim_broker *broker;
    enum bus_topic name;
    struct held **items;
    size_t count;
    size_t cap;
    struct held **available; // ordered: a heap, the first one published on top; else in no order
    size_t available_count;
    size_t available_cap;
    size_t unacked;
    size_t leased;       // unacked ones with a lease
    size_t oldest_index; // all before it are acked
};

struct lease {
    struct held *held;
    int64_t end_us;
    bool ended;
};

struct sim_broker {
    struct broker_options options;
    struct topic topics[BUS_TOPIC_COUNT];
    struct lease *leases; // number n at n - 1
    size_t lease_count;
    size_t lease_cap;
    struct waiter *waiting;
    int64_t last_published_us;
    uint64_t news; // how often something became available
    uint64_t faults;
    uint64_t deliveries;
    sim_broker_acked_fn *acked;
    void *acked_context;
};

// What one task has seen through a connection, for bus_wait.
struct waiter {
    struct waiter *next; // of the connection
    struct task *task;
    bool found_nothing; // since its last wait, at first when the generation was `seen`
    uint64_t seen;
    bool waits;
    struct waiter *next_waiting; // of the broker
};

// --- drawing by the world's numbers ---------------------------------------------------------------

struct sim *sim_broker_sim(const struct sim_broker *broker);
int64_t sim_broker_now_us(const struct sim_broker *broker);
uint64_t sim_broker_draw_below(struct sim_broker *broker, uint64_t bound);
bool sim_broker_draw_half(struct sim_broker *broker);
// Up to that time from now on; nothing is drawn when there is nothing to choose.
int64_t sim_broker_draw_us(struct sim_broker *broker, int64_t max_us);
// Whether a fault of that chance happens now; counts it.
bool sim_broker_strikes(struct sim_broker *broker, uint32_t ppm);
struct text sim_broker_copy_text(struct sim *sim, struct text text);
struct attributes sim_broker_copy_attributes(struct sim *sim, struct attributes attributes);

// --- messages and leases --------------------------------------------------------------------------

// What happened to a message, for the digest.
void held_note(const struct held *held, uint64_t what);
// Leases some of the available ones, at most count_max, which there is room for; their number.
size_t leases_give(struct topic *topic, size_t count_max, size_t size_max,
                   struct bus_message *messages);
struct lease *lease_of_handle(struct sim_broker *broker, enum bus_topic name,
                              const struct bus_handle *handle);
// Of leases that have not ended.
void lease_acknowledge(struct lease *lease);
void lease_give_back(struct lease *lease);
// Looks at leases again at that time: `count` of the broker's list from `first` on.
void leases_watch(struct sim_broker *broker, size_t first, size_t count, int64_t end_us);

#endif
