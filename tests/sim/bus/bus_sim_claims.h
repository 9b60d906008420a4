// Claims about the simulated broker, to be run inside a task.
#ifndef TILL_BUS_SIM_CLAIMS_H
#define TILL_BUS_SIM_CLAIMS_H

#include "bus_sim.h"

// Both run all their claims on `sim`; the number of those that failed.
int bus_sim_run_delivery_claims(struct sim *sim);
int bus_sim_run_fault_claims(struct sim *sim);

// --- a broker with two connections, for a claim -----------------------------------------------------

#define CLAIM_LEASE_US (10 * INT64_C(1000000))
#define CLAIM_PULL_MAX 1000u
#define CLAIM_ALWAYS   1000000u // parts per million
#define CLAIM_LATE_US  1000     // no call takes longer

struct bus_claim {
    struct sim *sim;
    struct sim_broker *broker;
    struct bus *bus;
    struct bus *other;
    struct arena arena;
    struct bus_message *messages; // of the last pull
    size_t count;
    struct bus_handle handles[CLAIM_PULL_MAX];
    struct why why;
};

// Calls take up to CLAIM_LATE_US, nothing fails.
extern const struct broker_weather bus_claim_calm;

void bus_claim_open(struct bus_claim *claim, struct sim *sim, bool ordered, enum variant variant);
void bus_claim_close(struct bus_claim *claim);

struct broker_weather *bus_claim_weather(struct bus_claim *claim);
// `count` messages with the bodies "1", "2", ...; certainly.
void bus_claim_fill(struct bus_claim *claim, enum bus_topic topic, size_t count);
enum err bus_claim_publish(struct bus_claim *claim, enum bus_topic topic, size_t count);
// The number of those pulled; must be ERR_OK.
size_t bus_claim_pull(struct bus_claim *claim, struct bus *bus, enum bus_topic topic, size_t max);
enum err bus_claim_ack(struct bus_claim *claim, enum bus_topic topic); // those of the last pull
void bus_claim_advance(struct bus_claim *claim, int64_t us);

#endif
