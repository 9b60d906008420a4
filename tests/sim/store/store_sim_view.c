// Looking from outside: what a read that asked exactly these replicas would give, without messages.
#include "store_sim_internal.h"

#include "projection.h"

#include <assert.h>
#include <stdlib.h>

static bool is_asked(const struct cluster *cluster, unsigned replicas, unsigned node)
{
    return node < cluster->node_count && (cluster->node_count == 1 || (replicas & 1u << node) != 0);
}

static struct partition *look(struct cluster *cluster, unsigned replicas, enum table table,
                              struct partition_key key)
{
    struct partition *result = partition_create(&cluster->pool, table, key);
    for (unsigned node = 0; node < CLUSTER_REPLICAS; node++) {
        const struct partition *stored =
            is_asked(cluster, replicas, node)
                ? replica_find(&cluster->nodes[node].replica, table, key)
                : NULL;
        if (stored != NULL) {
            (void)partition_merge(&cluster->pool, result, stored);
        }
    }
    return result;
}

static void *must(void *memory)
{
    if (memory == NULL) {
        abort(); // a simulation without memory proves nothing
    }
    return memory;
}

// --- events -------------------------------------------------------------------------------------

static int compare_pointed_events(const void *a, const void *b)
{
    return event_compare(*(const struct event *const *)a, *(const struct event *const *)b);
}

size_t cluster_events(struct cluster *cluster, unsigned replicas, int64_t order_id,
                      const struct event ***out_rows)
{
    struct partition *partition =
        look(cluster, replicas, TABLE_EVENTS, (struct partition_key){order_id, 0});
    const struct event **rows = must(calloc(partition->count + 1, sizeof(rows[0])));
    size_t count = 0;
    for (size_t i = 0; i < partition->count; i++) {
        if (cell_is_set(&partition->rows[i]->cells[0])) {
            rows[count++] = partition->rows[i]->cells[0].object;
        }
    }
    partition_destroy(&cluster->pool, partition);
    qsort(rows, count, sizeof(rows[0]), compare_pointed_events);
    *out_rows = rows;
    return count;
}

bool cluster_has_event(struct cluster *cluster, unsigned replica, const struct event *event)
{
    unsigned node = cluster->node_count == 1 ? 0 : replica;
    const struct partition *partition = replica_find(&cluster->nodes[node].replica, TABLE_EVENTS,
                                                     (struct partition_key){event->order_id, 0});
    struct row_key key = event_row_key(cluster, event);
    const struct row *row = partition != NULL ? partition_row(partition, &key) : NULL;
    return row != NULL && cell_is_set(&row->cells[0]) &&
           event_compare(row->cells[0].object, event) == 0;
}

// --- facts --------------------------------------------------------------------------------------

static int64_t number_of(const struct cell *cell)
{
    return cell->kind == CELL_NUMBER ? cell->number : 0;
}

static void note_timestamps(const struct row *row, enum table table, struct sim_fact *fact)
{
    for (size_t c = 0; c < table_columns(table); c++) {
        const struct cell *cell = &row->cells[c];
        if (cell_is_set(cell)) {
            fact->exists = true;
            fact->timestamp = cell->timestamp > fact->timestamp ? cell->timestamp : fact->timestamp;
        }
    }
}

static void fill_order_columns(const struct row *row, struct sim_fact *fact)
{
    const struct cell *cells = row->cells;
    fact->has_order = cells[FACT_ORDER_HASH].kind == CELL_HASH;
    if (fact->has_order) {
        fact->order_hash = *(const struct hash *)cells[FACT_ORDER_HASH].object;
    }
    fact->version_rank = number_of(&cells[FACT_VERSION_RANK]);
    fact->currency_index = number_of(&cells[FACT_CURRENCY]);
    fact->order_total_minor = number_of(&cells[FACT_ORDER_TOTAL]);
    fact->amount_paid_minor = number_of(&cells[FACT_PAID]);
    fact->amount_refunded_minor = number_of(&cells[FACT_REFUNDED]);
    fact->amount_charged_back_minor = number_of(&cells[FACT_CHARGED_BACK]);
    fact->settlement = number_of(&cells[FACT_SETTLEMENT]);
    fact->match_issue = number_of(&cells[FACT_MATCH_ISSUE]);
    fact->n_events = number_of(&cells[FACT_N_EVENTS]);
    fact->n_rows = number_of(&cells[FACT_N_ROWS]);
}

static void fill_payment(const struct row *row, struct sim_fact_payment *payment)
{
    const struct cell *cells = row->cells;
    const struct cell *shown = &cells[FACT_PAYMENT_SHOWN_EVENT_ID];
    *payment = (struct sim_fact_payment){
        .payment_id = row->key.first,
        .captured_minor = number_of(&cells[FACT_PAYMENT_CAPTURED]),
        .refunded_minor = number_of(&cells[FACT_PAYMENT_REFUNDED]),
        .charged_back_minor = number_of(&cells[FACT_PAYMENT_CHARGED_BACK]),
        .shown_status = number_of(&cells[FACT_PAYMENT_SHOWN_STATUS]),
    };
    if (shown->kind == CELL_TEXT) {
        payment->shown_event_id = *(const struct text *)shown->object;
    }
}

static bool is_row_there(const struct row *row, enum table table)
{
    for (size_t c = 0; c < table_columns(table); c++) {
        if (cell_is_set(&row->cells[c])) {
            return true;
        }
    }
    return false;
}

void fact_of_partitions(const struct partition *order, const struct partition *payments_rows,
                        bool embedded, struct sim_fact_payment *payments, struct sim_fact *out_fact)
{
    *out_fact = (struct sim_fact){.payments = payments};
    if (order != NULL && order->count > 0) {
        note_timestamps(order->rows[0], TABLE_FACTS, out_fact);
        fill_order_columns(order->rows[0], out_fact);
    }
    for (size_t i = 0; payments_rows != NULL && i < payments_rows->count; i++) {
        const struct row *row = payments_rows->rows[i];
        if (is_row_there(row, TABLE_FACT_PAYMENTS)) {
            note_timestamps(row, TABLE_FACT_PAYMENTS, out_fact);
            fill_payment(row, &payments[out_fact->payment_count++]);
        }
    }
    if (!embedded && out_fact->timestamp > PROJECTION_TIMESTAMP_BASE) {
        int64_t above = out_fact->timestamp - PROJECTION_TIMESTAMP_BASE;
        out_fact->n_rows = above >> 16 & PROJECTION_ROWS_MAX;
    }
}

static void fill_fact(const struct cluster *cluster, const struct partition *order,
                      const struct partition *rows, struct sim_fact *out_fact)
{
    size_t count = rows != NULL ? rows->count : 0;
    struct sim_fact_payment *payments = must(calloc(count + 1, sizeof(payments[0])));
    fact_of_partitions(order, rows, cluster->shape == STORE_EMBEDDED, payments, out_fact);
}

void cluster_fact(struct cluster *cluster, unsigned replicas, int64_t order_id,
                  struct sim_fact *out_fact)
{
    struct partition_key key = {order_id, 0};
    if (cluster->node_count == 1 || __builtin_popcount(replicas) == 1) { // nothing to merge
        unsigned node = cluster->node_count == 1 ? 0 : (unsigned)__builtin_ctz(replicas);
        const struct replica *replica = &cluster->nodes[node].replica;
        fill_fact(cluster, replica_find(replica, TABLE_FACTS, key),
                  replica_find(replica, TABLE_FACT_PAYMENTS, key), out_fact);
        return;
    }
    struct partition *order = look(cluster, replicas, TABLE_FACTS, key);
    struct partition *rows = look(cluster, replicas, TABLE_FACT_PAYMENTS, key);
    fill_fact(cluster, order, rows, out_fact);
    partition_destroy(&cluster->pool, order);
    partition_destroy(&cluster->pool, rows);
}

void sim_fact_deinit(struct sim_fact *fact)
{
    free(fact->payments);
    fact->payments = NULL;
    fact->payment_count = 0;
}

// --- orders -------------------------------------------------------------------------------------

struct id_list {
    int64_t *ids;
    size_t count;
    size_t cap;
};

static void collect_id(const struct partition *partition, void *context)
{
    struct id_list *list = context;
    if (partition->table != TABLE_EVENTS && partition->table != TABLE_FACTS) {
        return;
    }
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 256 : list->cap * 2;
        list->ids = must(realloc(list->ids, list->cap * sizeof(list->ids[0])));
    }
    list->ids[list->count++] = partition->key.first;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

size_t cluster_order_ids(struct cluster *cluster, int64_t **out_ids)
{
    struct id_list list = {.ids = must(calloc(256, sizeof(int64_t))), .cap = 256};
    for (unsigned node = 0; node < cluster->node_count; node++) {
        replica_visit(&cluster->nodes[node].replica, collect_id, &list);
    }
    qsort(list.ids, list.count, sizeof(list.ids[0]), compare_ids);
    size_t kept = 0;
    for (size_t i = 0; i < list.count; i++) {
        if (kept == 0 || list.ids[kept - 1] != list.ids[i]) {
            list.ids[kept++] = list.ids[i];
        }
    }
    *out_ids = list.ids;
    return kept;
}

// --- waiting payments and dead letters ----------------------------------------------------------------

static void visit_bucket(struct cluster *cluster, unsigned replicas, const struct row *bucket,
                         cluster_waiting_fn *visit, void *context)
{
    struct partition_key key = {bucket->key.first, bucket->key.second};
    struct partition *entries = look(cluster, replicas, TABLE_WAITING, key);
    for (size_t i = 0; i < entries->count; i++) {
        if (cell_is_set(&entries->rows[i]->cells[0])) {
            visit(entries->rows[i]->cells[0].object, context);
        }
    }
    partition_destroy(&cluster->pool, entries);
}

void cluster_visit_waiting(struct cluster *cluster, unsigned replicas, cluster_waiting_fn *visit,
                           void *context)
{
    struct partition *buckets =
        look(cluster, replicas, TABLE_BUCKETS, (struct partition_key){0, 0});
    for (size_t i = 0; i < buckets->count; i++) {
        const struct cell *cells = buckets->rows[i]->cells;
        if (cell_is_set(&cells[BUCKET_KNOWN]) && !cell_is_set(&cells[BUCKET_DONE])) {
            visit_bucket(cluster, replicas, buckets->rows[i], visit, context);
        }
    }
    partition_destroy(&cluster->pool, buckets);
}

void cluster_visit_dead_letters(struct cluster *cluster, unsigned replicas,
                                cluster_dead_letter_fn *visit, void *context)
{
    struct partition_key key = {0, 0};
    struct partition *letters = look(cluster, replicas, TABLE_LETTERS, key);
    struct partition *changes = look(cluster, replicas, TABLE_LETTER_CHANGES, key);
    struct letter_walk walk;
    letter_walk(&walk, changes);
    for (size_t i = 0; i < letters->count; i++) {
        struct dead_letter_record record;
        if (letter_walk_to(&walk, letters->rows[i], &record)) {
            visit(&record, context);
        }
    }
    partition_destroy(&cluster->pool, letters);
    partition_destroy(&cluster->pool, changes);
}
