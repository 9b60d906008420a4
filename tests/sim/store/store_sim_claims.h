// Claims about the simulated store, to be run inside a task.
#ifndef TILL_STORE_SIM_CLAIMS_H
#define TILL_STORE_SIM_CLAIMS_H

#include "store_sim.h"

// Both run all their claims on `sim`; the number of those that failed.
int store_sim_run_cluster_claims(struct sim *sim);
int store_sim_run_process_claims(struct sim *sim);

// --- a cluster with one session, for a claim --------------------------------------------------------

struct claim_world {
    struct sim *sim;
    struct cluster *cluster;
    struct store *store;
    struct arena arena;
    struct why why;
};

extern const struct cluster_weather claim_calm;

struct clock claim_clock(struct sim *sim);
void claim_open(struct claim_world *world, struct sim *sim, enum store_shape shape,
                enum variant variant);
void claim_close(struct claim_world *world);

// Usual content: an order of 10.00 USD, version `version`; a Completed payment of it.
struct event claim_order(int64_t order_id, int64_t version);
struct event claim_payment(int64_t order_id, int64_t payment_id);

enum err claim_insert(struct claim_world *world, const struct event *event);
// How many rows the partition has, -1 when the read failed.
int claim_read(struct claim_world *world, int64_t order_id);
// Inserts, reads, folds and writes, as the pipeline does.
enum err claim_apply(struct claim_world *world, const struct event *event);
enum err claim_fold(struct claim_world *world, struct store_group *group);
unsigned claim_replicas_with(struct claim_world *world, const struct event *event);

#endif
