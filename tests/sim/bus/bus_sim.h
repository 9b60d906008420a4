// A broker in a simulated world, behind the bus seam: it delays, reorders and duplicates messages,
// delivers again when a lease expires, loses acks, fails calls with an unknown outcome. With `ordered` it
// has the shape of the embedded broker: numbers, a log id, and each topic in the order of publishing.
#ifndef TILL_BUS_SIM_H
#define TILL_BUS_SIM_H

#include "bus.h"
#include "sim.h"
#include "variant.h"

// Parts per million are of messages, or of calls where that is said. May be changed at any time.
struct broker_weather {
    int64_t delay_max_us;        // from publish to the first delivery
    uint32_t twice_ppm;          // a message that is delivered again although it is leased or acked
    uint32_t ack_lost_ppm;       // the call says ERR_OK, the broker never hears of it
    uint32_t ack_failed_ppm;     // of ack, nack and extend calls: ERR_UNAVAILABLE, done for some
    uint32_t pull_failed_ppm;    // of calls: ERR_UNAVAILABLE, a stream that ends; leased or not
    uint32_t publish_failed_ppm; // of calls: ERR_UNAVAILABLE, published (maybe some) or not
    int64_t latency_max_us;      // of every call
    int64_t lease_us;
};

struct broker_options {
    struct sim *sim;
    bool ordered;
    enum variant variant;
    struct broker_weather weather;
};

struct sim_broker;

struct sim_broker *sim_broker_create(const struct broker_options *options);
void sim_broker_destroy(struct sim_broker **broker); // its memory stays with the world
struct broker_weather *sim_broker_weather(struct sim_broker *broker);
uint64_t sim_broker_faults(const struct sim_broker *broker);
uint64_t sim_broker_deliveries(const struct sim_broker *broker);

// A connection of one process; its tasks must be out of all calls before it is closed.
struct bus *bus_sim_open(struct sim_broker *broker);

// Publishes from outside, at once and certainly: producers that till does not consist of.
void sim_broker_publish(struct sim_broker *broker, enum bus_topic topic, struct text data,
                        struct attributes attributes);

// --- looking from outside ------------------------------------------------------------------------

struct sim_message {
    struct text message_id;
    uint64_t sequence; // 1, 2, ... in its topic, also where the bus shows none
    int64_t published_us;
    struct text data;
    struct attributes attributes;
    bool acked; // the broker has taken an ack
};
size_t sim_broker_message_count(const struct sim_broker *broker, enum bus_topic topic);
// Stays where it is as long as the world.
const struct sim_message *sim_broker_message(const struct sim_broker *broker, enum bus_topic topic,
                                             size_t index);
size_t sim_broker_unacked(const struct sim_broker *broker, enum bus_topic topic);

// Called at the instant at which a process calls ack for a message, before that call takes any time, and
// whether or not the ack gets lost, fails, or comes after the lease has ended.
typedef void sim_broker_acked_fn(void *context, enum bus_topic topic,
                                 const struct sim_message *message);
void sim_broker_on_acked(struct sim_broker *broker, sim_broker_acked_fn *acked, void *context);

#endif
