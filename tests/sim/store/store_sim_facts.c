// The facts row set of an order. Each column is a cell of its own, so that a row whose cells come from two
// projections, or a column that was left out, would show.
#include "store_sim_internal.h"

#include "projection.h"

#include <assert.h>

// One projection on its way into a mutation.
struct projection {
    struct op *op;
    const struct fact *fact;
    int64_t timestamp;
    bool bare; // VARIANT_NULLS_INCLUDED: what the order does not say is null
};

static struct partition_key order_key(int64_t order_id)
{
    return (struct partition_key){order_id, 0};
}

// --- timestamps ---------------------------------------------------------------------------------

static int64_t newest_publish_us(const struct store_group *group)
{
    int64_t newest_us = 0;
    for (size_t i = 0; i < group->row_count; i++) {
        int64_t published_us = group->rows[i]->published_us;
        newest_us = published_us > newest_us ? published_us : newest_us;
    }
    return newest_us;
}

static int64_t stamp_of(struct session *session, uint32_t n_rows, const struct hash *set_hash)
{
    return is_embedded(session) ? session_stamp(session)
                                : projection_timestamp(session->fold_epoch, n_rows, set_hash);
}

// Rows that the caller took out are counted as well: the set that was read is what only grows.
static int64_t timestamp_of(struct session *session, const struct store_group *group)
{
    const struct rows_read *read = group->private_rows;
    if (is_variant(session, VARIANT_NULLS_INCLUDED)) {
        return sim_now_us(session->cluster->sim);
    }
    if (is_variant(session, VARIANT_WALL_CLOCK)) {
        return clock_wall_us(&session->clock);
    }
    if (is_variant(session, VARIANT_EVENT_TIME)) {
        return newest_publish_us(group);
    }
    if (is_variant(session, VARIANT_TIMESTAMP_WITH_NOTES)) {
        struct hash hash = group->fact.set_hash;
        hash.bytes[HASH_SIZE - 1] ^= read->notes_mark;
        return stamp_of(session, read->n_rows + read->n_notes, &hash);
    }
    return stamp_of(session, read->n_rows, &group->fact.set_hash);
}

// --- cells --------------------------------------------------------------------------------------

static void put_number(const struct projection *p, enum table table, int64_t row, uint32_t column,
                       int64_t number)
{
    if (number != 0 || !is_variant(p->op->session, VARIANT_UNSET_COLUMNS)) {
        op_put(p->op, table, (struct row_key){.first = row}, column,
               cell_number(p->timestamp, number));
    }
}

static void put_order_number(const struct projection *p, enum fact_column column, int64_t number)
{
    put_number(p, TABLE_FACTS, 0, column, number);
}

static void put_null(const struct projection *p, enum fact_column column)
{
    op_put(p->op, TABLE_FACTS, (struct row_key){0}, column, cell_tombstone(p->timestamp));
}

static void put_derived(const struct projection *p)
{
    const struct fact *fact = p->fact;
    if (p->bare) {
        for (uint32_t column = FACT_PAID; column <= FACT_N_EVENTS; column++) {
            put_null(p, (enum fact_column)column);
        }
        return;
    }
    put_order_number(p, FACT_PAID, fact->amount_paid_minor);
    put_order_number(p, FACT_REFUNDED, fact->amount_refunded_minor);
    put_order_number(p, FACT_CHARGED_BACK, fact->amount_charged_back_minor);
    put_order_number(p, FACT_SETTLEMENT, (int64_t)fact->settlement);
    put_order_number(p, FACT_MATCH_ISSUE, (int64_t)fact->match_issue);
    put_order_number(p, FACT_N_EVENTS, fact->n_events);
}

static void put_order_columns(const struct projection *p)
{
    const struct fact *fact = p->fact;
    if (fact->order == NULL) { // VARIANT_PROJECT_WITHOUT_ORDER
        for (uint32_t column = FACT_ORDER_HASH; column <= FACT_ORDER_TOTAL; column++) {
            put_null(p, (enum fact_column)column);
        }
        return;
    }
    const struct event *order = intern_event(p->op->cluster, fact->order);
    op_put(p->op, TABLE_FACTS, (struct row_key){0}, FACT_ORDER_HASH,
           cell_object(p->timestamp, CELL_HASH, &order->hash));
    put_order_number(p, FACT_VERSION_RANK, order->version_rank);
    put_order_number(p, FACT_CURRENCY, fact->currency.index);
    put_order_number(p, FACT_ORDER_TOTAL, fact->order_total_minor);
}

static void put_payment(const struct projection *p, const struct fact_payment *payment)
{
    const struct event *shown = intern_event(p->op->cluster, payment->shown);
    int64_t row = payment->payment_id;
    put_number(p, TABLE_FACT_PAYMENTS, row, FACT_PAYMENT_CAPTURED, payment->captured_minor);
    put_number(p, TABLE_FACT_PAYMENTS, row, FACT_PAYMENT_REFUNDED, payment->refunded_minor);
    put_number(p, TABLE_FACT_PAYMENTS, row, FACT_PAYMENT_CHARGED_BACK, payment->charged_back_minor);
    op_put(p->op, TABLE_FACT_PAYMENTS, (struct row_key){.first = row}, FACT_PAYMENT_SHOWN_EVENT_ID,
           cell_object(p->timestamp, CELL_TEXT, &shown->event_id));
    put_number(p, TABLE_FACT_PAYMENTS, row, FACT_PAYMENT_SHOWN_STATUS,
               (int64_t)shown->payment.status);
}

static void put_projection(const struct projection *p)
{
    put_order_columns(p);
    put_derived(p);
    if (is_embedded(p->op->session)) {
        put_order_number(p, FACT_N_ROWS, p->fact->n_rows);
    }
    for (size_t i = 0; i < p->fact->payment_count; i++) {
        put_payment(p, &p->fact->payments[i]);
    }
}

// --- the order's own projection ---------------------------------------------------------------------

static void reserve_fold(struct cluster *cluster, size_t count)
{
    if (count <= cluster->fold_cap) {
        return;
    }
    size_t cap = 64;
    while (cap < count) {
        cap *= 2;
    }
    cluster->fold_rows = pool_take(&cluster->pool, cap * 2 * sizeof(cluster->fold_rows[0]));
    cluster->fold_losers = pool_take(&cluster->pool, cap * sizeof(cluster->fold_losers[0]));
    cluster->fold_payments = pool_take(&cluster->pool, cap * sizeof(cluster->fold_payments[0]));
    cluster->fold_cap = cap;
}

void put_carried_projection(struct op *op, const struct store_group *group)
{
    struct cluster *cluster = op->cluster;
    reserve_fold(cluster, group->incoming_count);
    const struct event **orders = cluster->fold_rows + cluster->fold_cap;
    size_t count = 0;
    for (size_t i = 0; i < group->incoming_count; i++) {
        if (group->incoming[i]->event.kind == EVENT_ORDER) {
            orders[count++] = &group->incoming[i]->event;
        }
    }
    if (count == 0) {
        return;
    }
    // Tolerances make no difference to an order without payments.
    static const struct fold_rules rules = {.want_set_hash = true};
    struct fold_space space = {cluster->fold_rows, cluster->fold_losers, cluster->fold_payments};
    struct fact fact = {0};
    if (fold(orders, count, &rules, &space, &fact) != ERR_OK) {
        return; // the projection after the read will say so
    }
    struct rows_read read = {.n_rows = fact.n_rows};
    struct store_group alone = {.rows = orders, .row_count = count, .fact = fact};
    alone.private_rows = &read;
    struct projection p = {op, &fact, timestamp_of(op->session, &alone),
                           is_variant(op->session, VARIANT_NULLS_INCLUDED)};
    put_projection(&p);
}

// --- writing --------------------------------------------------------------------------------------

// Whether the row is in the list. Both lists that are compared are nearly the same and in one order, so it
// is looked for from where the last one was.
static bool is_among(const struct event *const *rows, size_t count, const struct event *row,
                     size_t *in_out_at)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = *in_out_at + i < count ? *in_out_at + i : *in_out_at + i - count;
        if (rows[at] == row) {
            *in_out_at = at + 1 < count ? at + 1 : 0;
            return true;
        }
    }
    return false;
}

// Embedded: rows that are new go in, and those that the caller took out are gone.
static void put_rows(struct op *op, const struct store_group *group)
{
    struct session *session = op->session;
    const struct rows_read *read = group->private_rows;
    size_t at = 0;
    for (size_t i = 0; i < group->row_count; i++) {
        if (!is_among(read->stored, read->stored_count, group->rows[i], &at)) {
            const struct event *copy = intern_event(session->cluster, group->rows[i]);
            op_put(op, TABLE_EVENTS, event_row_key(session->cluster, copy), 0,
                   cell_object(session_stamp(session), CELL_EVENT, copy));
        }
    }
    at = 0;
    for (size_t i = 0; i < read->stored_count; i++) {
        const struct event *row = read->stored[i];
        if (!is_among(group->rows, group->row_count, row, &at)) {
            op_put(op, TABLE_EVENTS, event_row_key(session->cluster, row), 0,
                   cell_tombstone(session_stamp(session)));
        }
    }
}

static void put_group(struct op *op, const struct store_group *group)
{
    struct session *session = op->session;
    const struct rows_read *read = group->private_rows;
    bool projects = group->fact.order != NULL || is_variant(session, VARIANT_PROJECT_WITHOUT_ORDER);
    bool carried = read->carried && !is_variant(session, VARIANT_NULLS_INCLUDED);
    if (is_embedded(session)) {
        op_mutation(op, order_key(group->order_id));
        put_rows(op, group);
    } else if (projects && !carried) {
        op_mutation(op, order_key(group->order_id));
    }
    if (projects && (is_embedded(session) || !carried)) {
        struct projection p = {op, &group->fact, timestamp_of(session, group), false};
        put_projection(&p);
    }
}

enum err sim_write_facts(struct store *store, struct store_group *groups, size_t count,
                         struct why *why)
{
    struct session *session = session_of(store);
    enum err err = session_alive(session);
    if (err != ERR_OK) {
        return err;
    }
    if (session->fold_epoch < session->cluster->fold_epoch) {
        return why_set(why, ERR_SCHEMA, "the schema has fold epoch %u, this program %u",
                       session->cluster->fold_epoch, session->fold_epoch);
    }
    struct op *op = op_begin_write(session);
    for (size_t i = 0; i < count; i++) {
        put_group(op, &groups[i]);
    }
    return op_run_write(op, why);
}
