// The rows that people read. Every projection binds every column of the rows that it writes, with a
// timestamp made of the set of events that it was folded from (projection.h): of two that meet, the one
// that has seen more stands, column for column.
#include "cassandra_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// --- one projection -----------------------------------------------------------------------------

static void add_order_columns(struct call *call, const struct fact *fact, int64_t timestamp)
{
    const struct order *order = &fact->order->order;
    size_t size = order->item.size + order->shipping_address.size + order->creation_date.size;
    struct cql_values *values = call_add(call, CASSANDRA_PUT_FACT_ORDER, size);
    cql_bind_bigint(values, fact->order_id);
    cql_bind_bigint(values, order->customer_id);
    cql_bind_text(values, order->item);
    cql_bind_int(values, (int32_t)order->quantity);
    bind_money(values, order->price_minor, order->currency);
    cql_bind_text(values, order->shipping_address);
    cql_bind_text(values, order_status_text(order->status));
    cql_bind_text(values, order->creation_date);
    cql_bind_text(values, currency_code(fact->currency));
    bind_money(values, fact->order_total_minor, fact->currency);
    bind_money(values, fact->amount_paid_minor, fact->currency);
    bind_money(values, fact->amount_refunded_minor, fact->currency);
    bind_money(values, fact->amount_charged_back_minor, fact->currency);
    cql_bind_text(values, settlement_text(fact->settlement));
    cql_bind_text(values, match_issue_text(fact->match_issue));
    cql_bind_int(values, (int32_t)fact->n_events);
    cql_bind_bigint(values, timestamp);
}

static void add_payment_row(struct call *call, const struct fact *fact,
                            const struct fact_payment *row, int64_t timestamp)
{
    const struct payment *payment = &row->shown->payment;
    size_t size = payment->method.size + payment->datetime.size;
    struct cql_values *values = call_add(call, CASSANDRA_PUT_FACT_PAYMENT, size);
    cql_bind_bigint(values, fact->order_id);
    cql_bind_bigint(values, row->payment_id);
    cql_bind_text(values, payment->method);
    cql_bind_text(values, payment->card_last_four); // empty, never null: that would be a tombstone
    cql_bind_text(values, payment_status_text(payment->status));
    cql_bind_text(values, payment->datetime);
    bind_money(values, row->captured_minor, fact->currency);
    cql_bind_bigint(values, timestamp);
}

static void add_projection(struct call *call, const struct fact *fact, int64_t timestamp)
{
    add_order_columns(call, fact, timestamp);
    for (size_t i = 0; i < fact->payment_count; i++) {
        add_payment_row(call, fact, &fact->payments[i], timestamp);
    }
}

// --- with the order itself ----------------------------------------------------------------------

// Takes memory for folding `count` orders. false when there is none, which the run of the call will say.
static bool take_fold_space(struct arena *memory, size_t count, const struct event ***out_orders,
                            struct fold_space *out_space)
{
    *out_orders = ARENA_ARRAY(memory, const struct event *, count);
    out_space->sorted = ARENA_ARRAY(memory, const struct event *, count);
    out_space->losers = ARENA_ARRAY(memory, const struct event *, count);
    out_space->payments = ARENA_ARRAY(memory, struct fact_payment, count);
    return !arena_overflowed(memory);
}

void cassandra_add_carried(struct call *call, const struct store_group *group)
{
    // Tolerances make no difference to an order without payments.
    static const struct fold_rules rules = {.want_set_hash = true};
    struct cassandra_store *store = call->store;
    const struct event **orders = NULL;
    struct fold_space space = {0};
    struct fact fact = {0};
    size_t count = 0;
    for (size_t i = 0; i < group->incoming_count; i++) {
        count += group->incoming[i]->event.kind == EVENT_ORDER;
    }
    call_seal(call);
    if (count == 0 || !take_fold_space(&store->memory, count, &orders, &space)) {
        return;
    }
    count = 0;
    for (size_t i = 0; i < group->incoming_count; i++) {
        if (group->incoming[i]->event.kind == EVENT_ORDER) {
            orders[count++] = &group->incoming[i]->event;
        }
    }
    if (fold(orders, count, &rules, &space, &fact) ==
        ERR_OK) { // else the one after the read says so
        add_projection(call, &fact,
                       projection_timestamp(store->fold_epoch, fact.n_rows, &fact.set_hash));
    }
}

// --- tables by customer and by day --------------------------------------------------------------

// An order version on its way into the table by day.
struct filing {
    const struct fact *fact;
    int64_t timestamp;
    char day[ORDER_DAY_SIZE];
    int32_t bucket;
};

static void bind_order_summary(struct cql_values *values, const struct fact *fact,
                               int64_t timestamp)
{
    const struct order *order = &fact->order->order;
    cql_bind_text(values, order_status_text(order->status));
    cql_bind_text(values, order->item);
    cql_bind_int(values, (int32_t)order->quantity);
    cql_bind_text(values, currency_code(fact->currency));
    bind_money(values, fact->order_total_minor, fact->currency);
    cql_bind_bigint(values, timestamp);
}

static void add_by_customer(struct call *call, const struct filing *filing)
{
    const struct order *order = &filing->fact->order->order;
    size_t size = order->item.size + order->creation_date.size;
    struct cql_values *values = call_add(call, CASSANDRA_PUT_BY_CUSTOMER, size);
    cql_bind_bigint(values, order->customer_id);
    cql_bind_bigint(values, filing->fact->order_id);
    cql_bind_text(values, order->creation_date);
    bind_order_summary(values, filing->fact, filing->timestamp);
}

static void add_by_day(struct call *call, const struct filing *filing)
{
    const struct order *order = &filing->fact->order->order;
    struct cql_values *values = call_add(call, CASSANDRA_PUT_BY_DAY, order->item.size);
    bind_day(values, filing->day);
    cql_bind_int(values, filing->bucket);
    cql_bind_bigint(values, filing->fact->order_id);
    cql_bind_bigint(values, order->customer_id);
    bind_order_summary(values, filing->fact, filing->timestamp);
}

static int compare_filings(const void *a, const void *b)
{
    const struct filing *left = a;
    const struct filing *right = b;
    int days = memcmp(left->day, right->day, ORDER_DAY_SIZE);
    return days != 0 ? days : (left->bucket > right->bucket) - (left->bucket < right->bucket);
}

// Rows of one partition go as one.
static void add_filings(struct call *call, struct filing *filings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add_by_customer(call, &filings[i]);
    }
    if (count > 0) {
        qsort(filings, count, sizeof(filings[0]), compare_filings);
    }
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || compare_filings(&filings[i - 1], &filings[i]) != 0) {
            call_begin_batch(call);
        }
        add_by_day(call, &filings[i]);
        if (i + 1 == count || compare_filings(&filings[i], &filings[i + 1]) != 0) {
            call_end_batch(call);
        }
    }
}

static bool brings_winner(const struct store_group *group)
{
    for (size_t i = 0; i < group->incoming_count; i++) {
        if (&group->incoming[i]->event == group->fact.order) {
            return true;
        }
    }
    return false;
}

static void fill_filing(struct filing *filing, const struct fact *fact, int64_t timestamp)
{
    filing->fact = fact;
    filing->timestamp = timestamp;
    filing->bucket = (int32_t)(hash_mix_u64((uint64_t)fact->order_id) % CASSANDRA_DAY_BUCKETS);
    order_day(fact->order, filing->day);
}

// --- writing ------------------------------------------------------------------------------------

enum err cassandra_write_facts(struct store *base, struct store_group *groups, size_t count,
                               struct why *why)
{
    struct cassandra_store *store = cassandra_store_of(base);
    struct call call;
    size_t row_count = 0;
    size_t filing_count = 0;
    enum err err = cassandra_check_epoch(store, why);
    if (err != ERR_OK) {
        return err;
    }
    for (size_t i = 0; i < count; i++) {
        row_count += 1 + groups[i].fact.payment_count;
    }
    // At most a projection, a row by customer and one by day for each group.
    call_init(&call, store, 3 * count, row_count + count);
    struct filing *filings = ARENA_ARRAY(&store->memory, struct filing, count);
    for (size_t i = 0; filings != NULL && i < count; i++) {
        const struct fact *fact = &groups[i].fact;
        const struct cassandra_rows *rows = groups[i].private_rows;
        if (fact->order == NULL) {
            continue; // only sets that hold an order reach the facts
        }
        int64_t timestamp = projection_timestamp(store->fold_epoch, rows->n_rows, &fact->set_hash);
        if (!rows->carried) {
            call_begin_batch(&call);
            add_projection(&call, fact, timestamp);
            call_end_batch(&call);
        }
        if (!store->without_by_customer && brings_winner(&groups[i])) {
            fill_filing(&filings[filing_count++], fact, timestamp);
        }
    }
    add_filings(&call, filings, filing_count);
    return call_run(&call, NULL, NULL, why);
}
