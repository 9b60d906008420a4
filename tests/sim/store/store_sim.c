// The cluster as a whole, its replicas' lives, and sessions.
#include "store_sim_internal.h"

#include <assert.h>
#include <stdio.h>

struct cluster *cluster_create(const struct cluster_options *options)
{
    struct cluster *cluster = sim_alloc(options->sim, sizeof(*cluster));
    *cluster = (struct cluster){
        .sim = options->sim,
        .shape = options->shape,
        .variant = options->variant,
        .weather = options->weather,
        .commit_log_us = options->commit_log_us,
        .pool = {.sim = options->sim},
        .node_count = options->shape == STORE_EMBEDDED ? 1 : CLUSTER_REPLICAS,
    };
    for (unsigned node = 0; node < CLUSTER_REPLICAS; node++) {
        replica_init(&cluster->nodes[node].replica, &cluster->pool);
        bool forgets = options->variant == VARIANT_PERIODIC_COMMIT_LOG;
        cluster->nodes[node].replica.undo_us = forgets ? options->commit_log_us : 0;
        cluster->nodes[node].up = true;
        cluster->nodes[node].slowness = 1;
    }
    return cluster;
}

void cluster_destroy(struct cluster **cluster)
{
    *cluster = NULL; // all its memory is the world's
}

struct cluster_weather *cluster_weather(struct cluster *cluster)
{
    return &cluster->weather;
}

uint64_t cluster_faults(const struct cluster *cluster)
{
    return cluster->faults;
}

// --- replicas -----------------------------------------------------------------------------------

// Acknowledged or not, what a replica has taken it keeps: its commit log is written before it answers.
void cluster_crash(struct cluster *cluster, unsigned replica)
{
    struct node *node = &cluster->nodes[replica];
    if (!node->up) {
        return;
    }
    node->up = false;
    node->incarnation++;
    cluster->faults++;
    if (node->replica.undo_us > 0) {
        replica_forget_since(&node->replica, sim_now_us(cluster->sim) - cluster->commit_log_us);
    }
    sim_note(cluster->sim, 'x', replica);
    sim_trace(cluster->sim, "replica %u: crashes", replica);
}

void cluster_restart(struct cluster *cluster, unsigned replica)
{
    cluster->nodes[replica].up = true;
    sim_note(cluster->sim, 'u', replica);
    sim_trace(cluster->sim, "replica %u: is up", replica);
}

bool cluster_is_up(const struct cluster *cluster, unsigned replica)
{
    return cluster->nodes[replica].up;
}

void cluster_slow_down(struct cluster *cluster, unsigned replica, int64_t factor)
{
    assert(factor >= 1);
    cluster->nodes[replica].slowness = factor;
}

static bool puts_facts(const struct op *op, const struct part *part)
{
    for (size_t i = 0; i < part->put_count; i++) {
        enum table table = op->puts[part->first_put + i].table;
        if (table == TABLE_FACTS || table == TABLE_FACT_PAYMENTS) {
            return true;
        }
    }
    return false;
}

static void look_at_fact(struct cluster *cluster, unsigned node, struct partition_key key,
                         unsigned which, struct sim_fact *out_fact)
{
    const struct replica *replica = &cluster->nodes[node].replica;
    const struct partition *order = replica_find(replica, TABLE_FACTS, key);
    const struct partition *payments = replica_find(replica, TABLE_FACT_PAYMENTS, key);
    while (payments != NULL && payments->count > cluster->payments_cap[which]) {
        cluster->payments[which] =
            pool_grow(&cluster->pool, cluster->payments[which], &cluster->payments_cap[which],
                      sizeof(struct sim_fact_payment));
    }
    fact_of_partitions(order, payments, cluster->shape == STORE_EMBEDDED, cluster->payments[which],
                       out_fact);
}

void cluster_apply(struct cluster *cluster, unsigned node, const struct op *op,
                   const struct part *part)
{
    struct replica *replica = &cluster->nodes[node].replica;
    struct sim_fact before = {0};
    bool watched = cluster->fact_changed != NULL && puts_facts(op, part);
    if (watched) {
        look_at_fact(cluster, node, part->key, 0, &before);
    }
    bool changed = false;
    int64_t now_us = sim_now_us(cluster->sim);
    for (size_t i = 0; i < part->put_count; i++) {
        const struct put *put = &op->puts[part->first_put + i];
        bool wins = replica_put(replica, part->key, put, now_us);
        changed |= wins && (put->table == TABLE_FACTS || put->table == TABLE_FACT_PAYMENTS);
    }
    if (watched && changed) {
        struct sim_fact after = {0};
        look_at_fact(cluster, node, part->key, 1, &after);
        cluster->fact_changed(cluster->fact_context, node, part->key.first, &before, &after);
    }
}

struct copying {
    struct cluster *cluster;
    unsigned to;
};

static void add_row_puts(struct op *op, const struct partition *from, const struct row *row)
{
    for (uint32_t c = 0; c < table_columns(from->table); c++) {
        if (row->cells[c].kind != CELL_UNSET) {
            op_put(op, from->table, row->key, c, row->cells[c]);
        }
    }
}

static void copy_partition(const struct partition *from, void *context)
{
    const struct copying *copying = context;
    struct session nobody = {.cluster = copying->cluster};
    struct op *op = op_begin_write(&nobody);
    op_mutation(op, from->key);
    for (size_t i = 0; i < from->count; i++) {
        add_row_puts(op, from, from->rows[i]);
    }
    cluster_apply(copying->cluster, copying->to, op, &op->parts[0]);
    op_release(op);
}

void cluster_repair(struct cluster *cluster)
{
    for (unsigned from = 0; from < cluster->node_count; from++) {
        assert(cluster->nodes[from].up);
        for (unsigned to = 0; to < cluster->node_count; to++) {
            struct copying copying = {cluster, to};
            if (to != from) {
                replica_visit(&cluster->nodes[from].replica, copy_partition, &copying);
            }
        }
    }
}

void cluster_set_epoch(struct cluster *cluster, uint32_t fold_epoch)
{
    cluster->fold_epoch = fold_epoch > cluster->fold_epoch ? fold_epoch : cluster->fold_epoch;
}

void cluster_on_fact_changed(struct cluster *cluster, cluster_fact_changed_fn *changed,
                             void *context)
{
    cluster->fact_changed = changed;
    cluster->fact_context = context;
}

// --- sessions -----------------------------------------------------------------------------------

static void close_session(struct store *store)
{
    struct session *session = session_of(store);
    embedded_rollback(store);
    if (session->read_before != NULL) {
        op_release(session->read_before);
        session->read_before = NULL;
    }
}

static const struct store_ops sim_ops = {
    .begin = embedded_begin,
    .commit = embedded_commit,
    .rollback = embedded_rollback,
    .insert_events = sim_insert_events,
    .read_partitions = sim_read_partitions,
    .write_facts = sim_write_facts,
    .insert_waiting = sim_insert_waiting,
    .due_buckets = sim_due_buckets,
    .close_bucket = sim_close_bucket,
    .bucket_is_closed = sim_bucket_is_closed,
    .read_bucket = sim_read_bucket,
    .finish_bucket = sim_finish_bucket,
    .write_lane_status = sim_write_lane_status,
    .read_lane_status = sim_read_lane_status,
    .load_applied = sim_load_applied,
    .add_applied = sim_add_applied,
    .add_tallies = sim_add_tallies,
    .record_dead_letters = sim_record_dead_letters,
    .due_dead_letters = sim_due_dead_letters,
    .change_dead_letter = sim_change_dead_letter,
    .add_start = sim_add_start,
    .clear_starts = sim_clear_starts,
    .add_suspect = sim_add_suspect,
    .remove_suspect = sim_remove_suspect,
    .close = close_session,
};

// Embedded there is one name, since one process owns the store.
static struct text next_name(struct cluster *cluster)
{
    char name[24];
    int size = snprintf(name, sizeof(name), "%u", cluster->session_count++);
    return cluster->shape == STORE_EMBEDDED
               ? TEXT("")
               : intern_text(cluster, (struct text){name, (size_t)size});
}

struct store *store_sim_open(struct cluster *cluster, struct clock clock, uint32_t fold_epoch)
{
    struct session *session = sim_alloc(cluster->sim, sizeof(*session));
    *session = (struct session){
        .base = {&sim_ops, cluster->shape == STORE_EMBEDDED},
        .cluster = cluster,
        .clock = clock,
        .fold_epoch = fold_epoch,
        .name = next_name(cluster),
    };
    replica_init(&session->overlay, &cluster->pool);
    return &session->base;
}

void store_sim_set_name(struct store *store, struct text name)
{
    struct session *session = session_of(store);
    session->name = intern_text(session->cluster, name);
}
