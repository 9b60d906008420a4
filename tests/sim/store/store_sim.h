// A store of replicas in a simulated world, behind the store seam. What it promises is what Cassandra
// promises: each cell is last write wins by timestamp (equal timestamps: a tombstone beats a value, the
// larger bytes win), a write to one partition is atomic at each replica, a write is acknowledged when
// write_quorum replicas have it, a read asks read_quorum of them. A write that was not acknowledged may
// be at any of the replicas, and may still arrive at them later.
//
// STORE_EMBEDDED is SQLite's shape instead: one replica, and everything between begin and commit is
// applied at once or, when the process dies before, not at all.
#ifndef TILL_STORE_SIM_H
#define TILL_STORE_SIM_H

#include "clock.h"
#include "sim.h"
#include "store.h"
#include "variant.h"

#define CLUSTER_REPLICAS 3u

enum store_shape { STORE_CLUSTER, STORE_EMBEDDED };

// The network between a process and each replica. May be changed at any time; parts per million are of
// the messages to or from one replica.
struct cluster_weather {
    int64_t latency_min_us; // one way
    int64_t latency_max_us;
    uint32_t late_ppm; // arrives after up to late_max_us instead: the caller has long timed out
    int64_t late_max_us;
    uint32_t lost_ppm;        // a request that never arrives
    uint32_t twice_ppm;       // a write that arrives a second time, after up to late_max_us
    uint32_t answer_lost_ppm; // it was done, and the caller never hears of it
    int64_t timeout_us;       // of the caller: then ERR_TIMEOUT, outcome unknown
};

struct cluster_options {
    struct sim *sim;
    enum store_shape shape;
    enum variant variant;
    struct cluster_weather weather;
    int64_t commit_log_us; // VARIANT_PERIODIC_COMMIT_LOG: what is younger is lost in a crash
};

struct cluster;

struct cluster *cluster_create(const struct cluster_options *options);
void cluster_destroy(struct cluster **cluster);
void cluster_destroy(
    struct cluster **cluster); // before its sim; stores of it must not be used after
struct cluster_weather *cluster_weather(struct cluster *cluster);

// A replica that is down neither takes nor answers anything; what was under way to it is lost. When it
// comes back it has what it had acknowledged (and, by chance, what it had taken and not acknowledged).
void cluster_crash(struct cluster *cluster, unsigned replica);
void cluster_restart(struct cluster *cluster, unsigned replica);
bool cluster_is_up(const struct cluster *cluster, unsigned replica);
// Multiplies the latencies to and from it; 1 is normal.
void cluster_slow_down(struct cluster *cluster, unsigned replica, int64_t factor);
// All that replicas miss is copied to them (repair); all must be up.
void cluster_repair(struct cluster *cluster);

// Faults that hit so far: lost, late, doubled requests, lost answers, time-outs, crashes.
uint64_t cluster_faults(const struct cluster *cluster);

// A session of one process. `clock` is that process's own, which may be wrong. `fold_epoch` goes into the
// timestamps of its projections; a session with an epoch below the schema's refuses to write facts with
// ERR_SCHEMA (the schema's epoch rises to the highest that ever wrote with cluster_set_epoch).
struct store *store_sim_open(struct cluster *cluster, struct clock clock, uint32_t fold_epoch);
void cluster_set_epoch(struct cluster *cluster, uint32_t fold_epoch);
// The lanes' status and starts are kept under this name. Unless set, every session of a cluster has one of
// its own; a process that starts again under the name that it had finds what it left.
void store_sim_set_name(struct store *store, struct text name);

// --- looking from outside ------------------------------------------------------------------------
// Without messages, at once. `replicas` is a mask: what a read that asked exactly these would give.

#define CLUSTER_ALL ((1u << CLUSTER_REPLICAS) - 1u)

// The rows of an order's events, in the order of event_compare. The array is on the heap: free() it.
size_t cluster_events(struct cluster *cluster, unsigned replicas, int64_t order_id,
                      const struct event ***out_rows);
bool cluster_has_event(struct cluster *cluster, unsigned replica, const struct event *event);

struct sim_fact_payment {
    int64_t payment_id;
    int64_t captured_minor;
    int64_t refunded_minor;
    int64_t charged_back_minor;
    struct text shown_event_id;
    int64_t shown_status;
};

// A row of orders_payments_facts, cell by cell.
struct sim_fact {
    bool exists;
    int64_t timestamp; // greatest of its cells
    bool has_order;
    struct hash order_hash;
    int64_t version_rank;
    int64_t currency_index;
    int64_t order_total_minor;
    int64_t amount_paid_minor;
    int64_t amount_refunded_minor;
    int64_t amount_charged_back_minor;
    int64_t settlement;
    int64_t match_issue;
    int64_t n_events;
    int64_t n_rows;                    // from the greatest timestamp; not a column
    struct sim_fact_payment *payments; // by payment_id; on the heap
    size_t payment_count;
};
void cluster_fact(struct cluster *cluster, unsigned replicas, int64_t order_id,
                  struct sim_fact *out_fact);
void sim_fact_deinit(struct sim_fact *fact);

// Every order id that has events or facts on any replica, ascending; on the heap.
size_t cluster_order_ids(struct cluster *cluster, int64_t **out_ids);

// Entries of waiting payments in buckets that are not finished.
typedef void cluster_waiting_fn(const struct waiting_payment *entry, void *context);
void cluster_visit_waiting(struct cluster *cluster, unsigned replicas, cluster_waiting_fn *visit,
                           void *context);

typedef void cluster_dead_letter_fn(const struct dead_letter_record *record, void *context);
void cluster_visit_dead_letters(struct cluster *cluster, unsigned replicas,
                                cluster_dead_letter_fn *visit, void *context);

// Embedded: what was counted of applied messages, and how many of a topic's numbers count as applied.
typedef void cluster_tally_fn(const struct tally *tally, void *context);
void cluster_visit_tallies(struct cluster *cluster, cluster_tally_fn *visit, void *context);
uint64_t cluster_applied(struct cluster *cluster, enum applied_topic topic);

// Called at every change of a facts row at one replica, with the row before and after it, when set. For
// invariants that hold after every step.
typedef void cluster_fact_changed_fn(void *context, unsigned replica, int64_t order_id,
                                     const struct sim_fact *before, const struct sim_fact *after);
void cluster_on_fact_changed(struct cluster *cluster, cluster_fact_changed_fn *changed,
                             void *context);

#endif
