// From calls to requests. A call names partitions. Each replica that is asked gets one request for all of
// them, or by chance one for each; every request has its own fate. A write is applied, a read is sampled,
// at the moment at which the request arrives. The call ends when every partition has its quorum of
// answers, and after the answer's way back. Only a call that something happened to needs a timer for its
// end, so a calm call costs one timer a replica and one for the answer.
//
// Requests go on after the call has ended: when it timed out, and also when its process died.
#include "store_sim_internal.h"

#include "hash.h"

#include <assert.h>

#define SPLIT_PPM       150000 // of calls: each partition goes by itself
#define READ_REPAIR_PPM 500000 // of reads whose answers differed
#define UNAVAILABLE_PPM 500000 // of calls without a quorum up: the driver knows it beforehand

struct request {
    struct op *op;
    unsigned node;
    unsigned incarnation;
    size_t first_part;
    size_t part_count;
    bool answers;
};

// --- ops ----------------------------------------------------------------------------------------

static struct op *begin(struct session *session, bool reads)
{
    struct cluster *cluster = session->cluster;
    struct op *op = pool_take(&cluster->pool, sizeof(*op));
    *op = (struct op){.session = session, .cluster = cluster, .holders = 1, .reads = reads};
    return op;
}

struct op *op_begin_write(struct session *session)
{
    return begin(session, false);
}

struct op *op_begin_read(struct session *session)
{
    return begin(session, true);
}

static struct part *add_part(struct op *op, struct partition_key key)
{
    if (op->part_count == op->part_cap) {
        op->parts = pool_grow(&op->cluster->pool, op->parts, &op->part_cap, sizeof(op->parts[0]));
    }
    struct part *part = &op->parts[op->part_count++];
    *part = (struct part){.key = key, .first_put = (uint32_t)op->put_count};
    return part;
}

void op_mutation(struct op *op, struct partition_key key)
{
    (void)add_part(op, key);
}

void op_put(struct op *op, enum table table, struct row_key key, uint32_t column, struct cell cell)
{
    assert(op->part_count > 0);
    if (op->put_count == op->put_cap) {
        op->puts = pool_grow(&op->cluster->pool, op->puts, &op->put_cap, sizeof(op->puts[0]));
    }
    op->puts[op->put_count++] = (struct put){table, column, key, cell};
    op->parts[op->part_count - 1].put_count++;
}

void op_ask(struct op *op, enum table table, struct partition_key key)
{
    struct part *part = add_part(op, key);
    part->table = table;
    part->result = partition_create(&op->cluster->pool, table, key);
}

void op_ask_row(struct op *op, enum table table, struct partition_key key, struct row_key row)
{
    op_ask(op, table, key);
    op->parts[op->part_count - 1].one_row = true;
    op->parts[op->part_count - 1].row = row;
}

void op_release(struct op *op)
{
    struct pool *pool = &op->cluster->pool;
    if (--op->holders > 0) {
        return;
    }
    for (size_t i = 0; i < op->part_count; i++) {
        partition_destroy(pool, op->parts[i].result);
    }
    if (op->part_cap > 0) {
        pool_give(pool, op->parts, op->part_cap * sizeof(op->parts[0]));
    }
    if (op->put_cap > 0) {
        pool_give(pool, op->puts, op->put_cap * sizeof(op->puts[0]));
    }
    pool_give(pool, op, sizeof(*op));
}

// --- the end of a call -----------------------------------------------------------------------------

static void end(struct op *op, enum err result)
{
    if (op->done) {
        return;
    }
    op->done = true;
    op->result = result;
    if (op->task != NULL) {
        task_wake(op->task);
    }
}

static void on_answer(void *context)
{
    struct op *op = context;
    end(op, ERR_OK);
    op_release(op);
}

static void on_timeout(void *context)
{
    struct op *op = context;
    if (!op->done) {
        op->cluster->faults++;
        sim_trace(op->cluster->sim, "store: a %s of %zu partitions times out",
                  op->reads ? "read" : "write", op->part_count);
        end(op, ERR_TIMEOUT);
    }
    op_release(op);
}

static void arm_timeout(struct op *op)
{
    if (!op->timeout_armed && !op->done) {
        op->timeout_armed = true;
        op->holders++;
        sim_at(op->cluster->sim, op->started_us + op->cluster->weather.timeout_us, on_timeout, op);
    }
}

static void ask_node(struct op *op, unsigned node);

static void on_retry(void *context)
{
    struct op *op = context;
    for (unsigned node = 0; !op->done && op->open_count > 0 && node < CLUSTER_REPLICAS; node++) {
        if ((op->asked & 1u << node) == 0 && op->cluster->nodes[node].up) {
            ask_node(op, node);
        }
    }
    op_release(op);
}

// Something happened to a request: the call may have to end without it.
static void expect_trouble(struct op *op)
{
    arm_timeout(op);
    if (op->reads && !op->retry_armed && !op->done) {
        int64_t at_us = op->started_us + op->cluster->weather.timeout_us / 3;
        int64_t now_us = sim_now_us(op->cluster->sim);
        op->retry_armed = true;
        op->holders++;
        sim_at(op->cluster->sim, at_us > now_us ? at_us : now_us, on_retry, op);
    }
}

static int64_t draw_latency_us(struct cluster *cluster, unsigned node)
{
    const struct cluster_weather *weather = &cluster->weather;
    int64_t us =
        rand_between(sim_rand(cluster->sim), weather->latency_min_us, weather->latency_max_us);
    return us * cluster->nodes[node].slowness;
}

static void go_home(struct op *op, unsigned last_node)
{
    int64_t at_us = sim_now_us(op->cluster->sim) + draw_latency_us(op->cluster, last_node);
    if (at_us >= op->started_us + op->cluster->weather.timeout_us) {
        arm_timeout(op); // too late to be heard of
        return;
    }
    op->holders++;
    sim_at(op->cluster->sim, at_us, on_answer, op);
}

// --- at a replica ------------------------------------------------------------------------------------

static void sample(struct op *op, unsigned node, struct part *part)
{
    const struct partition *stored =
        replica_find(&op->cluster->nodes[node].replica, part->table, part->key);
    bool first = part->answered == 0;
    struct pool *pool = &op->cluster->pool;
    bool differs = false;
    if (part->one_row) {
        const struct row *row = stored != NULL ? partition_row(stored, &part->row) : NULL;
        differs =
            row != NULL ? partition_merge_row(pool, part->result, row) : part->result->count > 0;
    } else if (stored != NULL) {
        differs = partition_merge(pool, part->result, stored);
    } else {
        differs = part->result->count > 0;
    }
    part->differed |= differs && !first;
}

static void count_answer(struct op *op, unsigned node, struct part *part)
{
    if (op->reads) {
        sample(op, node, part);
    }
    part->answered |= (uint8_t)(1u << node);
    if ((unsigned)__builtin_popcount(part->answered) == op->needed) {
        op->open_count--;
    }
}

static uint64_t part_mark(const struct part *part)
{
    return hash_mix_u64((uint64_t)part->key.first ^ (uint64_t)part->key.second << 32) +
           part->put_count;
}

static void serve_part(const struct request *request, struct part *part)
{
    struct op *op = request->op;
    struct sim *sim = op->cluster->sim;
    sim_note(sim, (uint64_t)(op->reads ? 'r' : 'w') << 8 | request->node, part_mark(part));
    if (sim_traces(sim)) {
        sim_trace(sim, "replica %u: %s %lld/%lld, %u cells%s", request->node,
                  op->reads ? "read" : "write", (long long)part->key.first,
                  (long long)part->key.second, part->put_count,
                  request->answers ? "" : ", not answered");
    }
    if (!op->reads) {
        cluster_apply(op->cluster, request->node, op, part);
    }
    bool counts = request->answers && !op->done && (part->answered & 1u << request->node) == 0 &&
                  (unsigned)__builtin_popcount(part->answered) < op->needed;
    if (counts) {
        count_answer(op, request->node, part);
    }
}

static void on_arrival(void *context)
{
    struct request *request = context;
    struct op *op = request->op;
    const struct node *node = &op->cluster->nodes[request->node];
    bool was_open = op->open_count > 0;
    if (!node->up || node->incarnation != request->incarnation) {
        op->cluster->faults++;
        expect_trouble(op);
    } else {
        for (size_t i = 0; i < request->part_count; i++) {
            serve_part(request, &op->parts[request->first_part + i]);
        }
        if (was_open && op->open_count == 0 && !op->done) {
            go_home(op, request->node);
        }
    }
    pool_give(&op->cluster->pool, request, sizeof(*request));
    op_release(op);
}

// --- on the way to a replica ---------------------------------------------------------------------------

static bool draw(struct cluster *cluster, uint32_t ppm)
{
    bool hits = ppm > 0 && rand_chance_ppm(sim_rand(cluster->sim), ppm);
    cluster->faults += hits;
    return hits;
}

static void send(struct op *op, unsigned node, size_t first_part, size_t part_count, bool answers,
                 int64_t latency_us)
{
    struct cluster *cluster = op->cluster;
    struct request *request = pool_take(&cluster->pool, sizeof(*request));
    *request = (struct request){op,         node,       cluster->nodes[node].incarnation,
                                first_part, part_count, answers};
    op->holders++;
    sim_at(cluster->sim, sim_now_us(cluster->sim) + latency_us, on_arrival, request);
}

static void ask_for_parts(struct op *op, unsigned node, size_t first_part, size_t part_count)
{
    struct cluster *cluster = op->cluster;
    const struct cluster_weather *weather = &cluster->weather;
    if (draw(cluster, weather->lost_ppm)) {
        expect_trouble(op);
        return;
    }
    int64_t latency_us = draw_latency_us(cluster, node);
    if (draw(cluster, weather->late_ppm)) {
        latency_us += rand_between(sim_rand(cluster->sim), 0, weather->late_max_us);
    }
    bool answers = !draw(cluster, weather->answer_lost_ppm);
    if (!answers || latency_us > weather->timeout_us / 3) {
        expect_trouble(op);
    }
    send(op, node, first_part, part_count, answers, latency_us);
    if (!op->reads && draw(cluster, weather->twice_ppm)) {
        latency_us += rand_between(sim_rand(cluster->sim), 0, weather->late_max_us);
        send(op, node, first_part, part_count, false, latency_us);
    }
}

static void ask_node(struct op *op, unsigned node)
{
    op->asked |= (uint8_t)(1u << node);
    bool split = op->part_count > 1 && rand_chance_ppm(sim_rand(op->cluster->sim), SPLIT_PPM);
    for (size_t i = 0; split && i < op->part_count; i++) {
        ask_for_parts(op, node, i, 1);
    }
    if (!split) {
        ask_for_parts(op, node, 0, op->part_count);
    }
}

// --- running ---------------------------------------------------------------------------------------

enum err session_alive(const struct session *session)
{
    const struct task *task = task_current(session->cluster->sim);
    assert(task != NULL);
    return task_killed(task) ? ERR_CLOSED : ERR_OK;
}

// Waits for the end, in the process that called.
static enum err await_end(struct op *op, struct why *why)
{
    struct sim *sim = op->cluster->sim;
    op->task = task_current(sim);
    bool alive = true;
    while (alive && !op->done) {
        alive = task_park(sim);
    }
    op->task = NULL;
    if (!alive || session_alive(op->session) != ERR_OK) {
        return why_set(why, ERR_CLOSED, "the process has ended");
    }
    return op->result == ERR_OK ? ERR_OK
                                : why_set(why, op->result, "the store did not answer in time");
}

static unsigned nodes_up(const struct cluster *cluster, uint8_t mask)
{
    unsigned count = 0;
    for (unsigned i = 0; i < CLUSTER_REPLICAS; i++) {
        count += (mask & 1u << i) != 0 && cluster->nodes[i].up;
    }
    return count;
}

// Asks the replicas of `mask`; every part needs `needed` answers.
static enum err run_at(struct op *op, uint8_t mask, unsigned needed, struct why *why)
{
    struct cluster *cluster = op->cluster;
    op->started_us = sim_now_us(cluster->sim);
    op->needed = needed;
    op->open_count = op->part_count;
    op->asked = 0;
    for (unsigned node = 0; node < CLUSTER_REPLICAS; node++) {
        if ((mask & 1u << node) != 0 && cluster->nodes[node].up) {
            ask_node(op, node);
        }
    }
    if (nodes_up(cluster, mask) < needed) {
        expect_trouble(op);
    }
    return await_end(op, why);
}

static enum err unavailable(struct cluster *cluster, unsigned needed, struct why *why)
{
    if (nodes_up(cluster, CLUSTER_ALL) >= needed ||
        !rand_chance_ppm(sim_rand(cluster->sim), UNAVAILABLE_PPM)) {
        return ERR_OK;
    }
    if (!task_sleep(cluster->sim, cluster->weather.latency_max_us)) {
        return why_set(why, ERR_CLOSED, "the process has ended");
    }
    return why_set(why, ERR_UNAVAILABLE, "too few replicas are up");
}

enum err op_run_write(struct op *op, struct why *why)
{
    struct cluster *cluster = op->cluster;
    unsigned needed = cluster->variant == VARIANT_WRITE_ONE ? 1 : QUORUM;
    enum err err = session_alive(op->session);
    if (err == ERR_OK && op->part_count > 0) {
        if (cluster->shape == STORE_EMBEDDED) {
            err = embedded_run(op, why);
        } else {
            err = unavailable(cluster, needed, why);
            err = err == ERR_OK ? run_at(op, CLUSTER_ALL, needed, why) : err;
        }
    }
    op_release(op);
    return err;
}

// As many replicas as are needed, drawn from those that are up.
static uint8_t draw_nodes(struct cluster *cluster, unsigned needed)
{
    uint8_t mask = 0;
    unsigned start = (unsigned)rand_below(sim_rand(cluster->sim), CLUSTER_REPLICAS);
    bool backwards = rand_below(sim_rand(cluster->sim), 2) != 0;
    for (unsigned i = 0; i < CLUSTER_REPLICAS && needed > 0; i++) {
        unsigned step = backwards ? CLUSTER_REPLICAS - i : i;
        unsigned node = (start + step) % CLUSTER_REPLICAS;
        if (cluster->nodes[node].up) {
            mask |= (uint8_t)(1u << node);
            needed--;
        }
    }
    return mask;
}

static void put_row_again(struct op *repair, const struct partition *partition,
                          const struct row *row)
{
    for (uint32_t c = 0; c < table_columns(partition->table); c++) {
        if (row->cells[c].kind != CELL_UNSET) {
            op_put(repair, partition->table, row->key, c, row->cells[c]);
        }
    }
}

// What Cassandra does by default before it answers a read whose replicas differed: the merged rows, with
// their own timestamps, are written to the replicas that were asked. The protocol must not need it.
static enum err repair_read(struct op *op, struct why *why)
{
    struct op *repair = op_begin_write(op->session);
    for (size_t i = 0; i < op->part_count; i++) {
        const struct partition *result = op->parts[i].result;
        if (op->parts[i].differed) {
            op_mutation(repair, op->parts[i].key);
        }
        for (size_t r = 0; op->parts[i].differed && r < result->count; r++) {
            put_row_again(repair, result, result->rows[r]);
        }
    }
    unsigned needed = (unsigned)__builtin_popcount(op->asked);
    needed = needed < op->needed ? needed : op->needed;
    enum err err = repair->part_count > 0 ? run_at(repair, op->asked, needed, why) : ERR_OK;
    op_release(repair);
    return err;
}

static enum err run_read(struct op *op, struct why *why)
{
    struct cluster *cluster = op->cluster;
    if (cluster->shape == STORE_EMBEDDED) {
        return embedded_run(op, why);
    }
    unsigned needed = cluster->variant == VARIANT_READ_ONE ? 1 : QUORUM;
    enum err err = unavailable(cluster, needed, why);
    if (err == ERR_OK) {
        err = run_at(op, draw_nodes(cluster, needed), needed, why);
    }
    bool repairs = err == ERR_OK && rand_chance_ppm(sim_rand(cluster->sim), READ_REPAIR_PPM);
    return repairs ? repair_read(op, why) : err;
}

enum err op_run_read(struct op *op, struct why *why)
{
    enum err err = session_alive(op->session);
    if (err == ERR_OK && op->part_count > 0) {
        err = run_read(op, why);
    }
    if (err != ERR_OK) {
        op_release(op);
    }
    return err;
}
