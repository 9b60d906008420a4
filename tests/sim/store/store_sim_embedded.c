// SQLite's shape: one writer at a time, and what it wrote between begin and commit is done at once or not
// at all. Until then its writes wait in a list and in an overlay, through which it alone sees them.
//
// Every call takes a moment, so a process can die before and after each of them, and after a commit that it
// never hears of. A dead writer has nothing done and holds nobody up.
#include "store_sim_internal.h"

#include <assert.h>

#define LOCK_POLL_US 1000

static enum err closed(struct why *why)
{
    return why_set(why, ERR_CLOSED, "the process has ended");
}

static enum err take_a_moment(struct session *session, struct why *why)
{
    struct cluster *cluster = session->cluster;
    int64_t us = rand_between(sim_rand(cluster->sim), cluster->weather.latency_min_us,
                              cluster->weather.latency_max_us);
    return session_alive(session) == ERR_OK && task_sleep(cluster->sim, us) ? ERR_OK : closed(why);
}

// Now and then the store is busy, before it has done anything.
static enum err maybe_busy(struct session *session, struct why *why)
{
    struct cluster *cluster = session->cluster;
    if (!rand_chance_ppm(sim_rand(cluster->sim), cluster->weather.lost_ppm)) {
        return ERR_OK;
    }
    cluster->faults++;
    return why_set(why, ERR_BUSY, "the simulated store is busy");
}

static void forget(struct session *session)
{
    struct pool *pool = &session->cluster->pool;
    while (session->pending != NULL) {
        struct op *next = session->pending->next;
        op_release(session->pending);
        session->pending = next;
    }
    while (session->changes != NULL) {
        struct ledger_change *next = session->changes->next;
        pool_give(pool, session->changes, sizeof(*session->changes));
        session->changes = next;
    }
    replica_clear(&session->overlay);
    if (session->cluster->writer == session) {
        session->cluster->writer = NULL;
    }
    session->in_transaction = false;
}

static bool writer_is_alive(const struct cluster *cluster)
{
    const struct task *task = cluster->writer->task;
    return !task_killed(task) && !task_ended(task);
}

// Waits until nobody else is writing.
static enum err take_lock(struct session *session, struct why *why)
{
    struct cluster *cluster = session->cluster;
    int64_t give_up_us = sim_now_us(cluster->sim) + cluster->weather.timeout_us;
    while (cluster->writer != NULL) {
        if (!writer_is_alive(cluster)) {
            forget(cluster->writer);
            break;
        }
        if (sim_now_us(cluster->sim) >= give_up_us) {
            return why_set(why, ERR_BUSY, "another process is writing");
        }
        if (!task_sleep(cluster->sim, LOCK_POLL_US)) {
            return closed(why);
        }
    }
    cluster->writer = session;
    session->task = task_current(cluster->sim);
    return ERR_OK;
}

enum err embedded_begin(struct store *store, struct why *why)
{
    struct session *session = session_of(store);
    if (!is_embedded(session)) {
        return session_alive(session);
    }
    assert(!session->in_transaction);
    enum err err = take_a_moment(session, why);
    if (err == ERR_OK) {
        err = maybe_busy(session, why);
    }
    if (err == ERR_OK) {
        err = take_lock(session, why);
    }
    session->in_transaction = err == ERR_OK;
    return err;
}

static void apply_op(const struct op *op)
{
    for (size_t i = 0; i < op->part_count; i++) {
        sim_note(op->cluster->sim, 'c', (uint64_t)op->parts[i].key.first);
        cluster_apply(op->cluster, 0, op, &op->parts[i]);
    }
}

// `op` is the last one.
static void apply_in_order(const struct op *op)
{
    if (op != NULL) {
        apply_in_order(op->next);
        apply_op(op);
    }
}

static void apply_all(struct session *session)
{
    struct sim *sim = session->cluster->sim;
    if (sim_traces(sim)) {
        sim_trace(sim, "store: commit");
    }
    apply_in_order(session->pending);
    ledger_apply(session->cluster, session->changes);
}

enum err embedded_commit(struct store *store, struct why *why)
{
    struct session *session = session_of(store);
    if (!is_embedded(session)) {
        return session_alive(session);
    }
    enum err err = take_a_moment(session, why);
    assert(err == ERR_CLOSED || session->in_transaction);
    if (err == ERR_OK) {
        err = maybe_busy(session, why);
    }
    bool commits = err == ERR_OK;
    if (commits) {
        apply_all(session);
    }
    forget(session);
    return commits ? take_a_moment(session, why) : err;
}

void embedded_rollback(struct store *store)
{
    struct session *session = session_of(store);
    if (is_embedded(session) && session->in_transaction) {
        forget(session);
    }
}

// --- ops ----------------------------------------------------------------------------------------

static void answer_part(const struct session *session, struct part *part,
                        const struct replica *replica)
{
    const struct partition *stored = replica_find(replica, part->table, part->key);
    if (stored == NULL) {
        return;
    }
    struct pool *pool = &session->cluster->pool;
    if (!part->one_row) {
        (void)partition_merge(pool, part->result, stored);
        return;
    }
    const struct row *row = partition_row(stored, &part->row);
    if (row != NULL) {
        (void)partition_merge_row(pool, part->result, row);
    }
}

static void answer(struct session *session, struct op *op)
{
    for (size_t i = 0; i < op->part_count; i++) {
        answer_part(session, &op->parts[i], &session->cluster->nodes[0].replica);
        if (session->in_transaction) {
            answer_part(session, &op->parts[i], &session->overlay);
        }
    }
}

static void write_aside(struct session *session, struct op *op)
{
    for (size_t i = 0; i < op->part_count; i++) {
        const struct part *part = &op->parts[i];
        for (size_t p = 0; p < part->put_count; p++) {
            (void)replica_put(&session->overlay, part->key, &op->puts[part->first_put + p], 0);
        }
    }
    op->next = session->pending;
    session->pending = op;
    op->holders++;
}

static enum err write_alone(struct session *session, struct op *op, struct why *why)
{
    enum err err = take_lock(session, why);
    if (err == ERR_OK) {
        apply_op(op);
        forget(session);
    }
    return err;
}

enum err embedded_run(struct op *op, struct why *why)
{
    struct session *session = op->session;
    enum err err = take_a_moment(session, why);
    if (err == ERR_OK) {
        err = maybe_busy(session, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (op->reads) {
        answer(session, op);
        return ERR_OK;
    }
    if (session->in_transaction) {
        write_aside(session, op);
        return ERR_OK;
    }
    return write_alone(session, op, why);
}
