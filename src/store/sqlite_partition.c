// Reading what is known of an order: its rows in the main tables, those in the side tables when a
// main row says that there are some, and the batch's own events among them, each once.
//
// Nothing is written before the projection is known: the transaction makes insert, read and project
// one step, so a new event is written once, in the place and with the figures that the fold gives it.
#include "money.h"
#include "sqlite_store.h"

#include <assert.h>
#include <string.h>

// Rows of one partition while they are collected.
struct collector {
    struct sqlite_store *store;
    struct arena *arena;
    struct why *why;
    const struct event **rows;
    size_t row_count;
    size_t row_cap;
    struct stored_partition *stored;
};

enum err sqlite_insert_events(struct store *store, struct store_group *groups, size_t count,
                              struct why *why)
{
    (void)groups;
    (void)count;
    assert(sqlite_store_of(store)->in_transaction);
    (void)why;
    return ERR_OK; // they are merged in by the read and written with the projection
}

static enum err grow(struct collector *c)
{
    size_t cap = c->row_cap == 0 ? 4 : c->row_cap * 2;
    const struct event **rows = ARENA_ARRAY(c->arena, const struct event *, cap);
    if (rows == NULL) {
        return why_set(c->why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    if (c->row_count > 0) {
        memcpy(rows, c->rows, c->row_count * sizeof(rows[0]));
    }
    c->rows = rows;
    c->row_cap = cap;
    return ERR_OK;
}

static enum err add_row(struct collector *c, const struct event *event)
{
    if (c->row_count == c->row_cap) {
        enum err err = grow(c);
        if (err != ERR_OK) {
            return err;
        }
    }
    c->rows[c->row_count++] = event;
    return ERR_OK;
}

static struct event *new_row(struct collector *c, enum event_kind kind, int64_t order_id,
                             enum place place)
{
    struct event *event = ARENA_NEW(c->arena, struct event);
    if (event != NULL) {
        event->kind = kind;
        event->order_id = order_id;
        event->place = (uint8_t)place;
    }
    return event;
}

static enum err damaged(struct collector *c, const char *table, int64_t order_id)
{
    return why_set(c->why, ERR_CORRUPT,
                   "%s: table %s, order %lld: a stored value is outside its limits",
                   sqlite3_db_filename(c->store->db, "main"), table, (long long)order_id);
}

static enum err read_currency(struct collector *c, sqlite3_stmt *row, int index, const char *table,
                              int64_t order_id, struct currency *out_currency)
{
    struct text code = sqlite_column_view(row, index);
    if (code.size == 0) {
        *out_currency = CURRENCY_NONE;
        return ERR_OK;
    }
    return currency_find(code, out_currency) ? ERR_OK : damaged(c, table, order_id);
}

// Columns ORDER_CONTENT from index 0.
static enum err read_order_content(struct collector *c, sqlite3_stmt *row, int64_t order_id,
                                   enum place place, const char *table)
{
    struct event *event = new_row(c, EVENT_ORDER, order_id, place);
    if (event == NULL) {
        return why_set(c->why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    struct order *order = &event->order;
    event->entity_id = order_id;
    event->version_rank = sqlite3_column_int64(row, 0);
    bool good = sqlite_column_hash(row, 1, &event->hash);
    order->order_id = order_id;
    order->customer_id = sqlite3_column_int64(row, 2);
    order->item = sqlite_column_copy(row, 3, c->arena);
    order->quantity = sqlite3_column_int64(row, 4);
    order->price_minor = sqlite3_column_int64(row, 5);
    order->currency_given = sqlite3_column_int(row, 7) != 0;
    order->shipping_address = sqlite_column_copy(row, 8, c->arena);
    int status = sqlite3_column_int(row, 9);
    order->creation_date = sqlite_column_copy(row, 10, c->arena);
    event->published_us = sqlite3_column_int64(row, 11);
    good = good && event->version_rank > 0 && status >= 0 && status < ORDER_STATUS_COUNT &&
           order->quantity > 0 && order->quantity <= ORDER_QUANTITY_MAX &&
           order->price_minor >= 0 && order->price_minor <= MONEY_PRICE_MINOR_MAX;
    if (!good) {
        return damaged(c, table, order_id);
    }
    order->status = (enum order_status)status;
    order->version_given = order_version_rank_is_explicit(event->version_rank);
    order->version = order->version_given ? order_version_rank_value(event->version_rank) : 0;
    enum err err = read_currency(c, row, 6, table, order_id, &order->currency);
    return err == ERR_OK ? add_row(c, event) : err;
}

// Columns PAYMENT_CONTENT from index 0, then payment_id.
static enum err read_payment_content(struct collector *c, sqlite3_stmt *row, int64_t order_id,
                                     enum place place, const char *table)
{
    struct event *event = new_row(c, EVENT_PAYMENT, order_id, place);
    if (event == NULL) {
        return why_set(c->why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    struct payment *payment = &event->payment;
    bool good = sqlite_column_hash(row, 0, &event->hash);
    payment->event_id = sqlite_column_copy(row, 1, c->arena);
    int status = sqlite3_column_int(row, 2);
    payment->method = sqlite_column_copy(row, 3, c->arena);
    payment->card_last_four = sqlite_column_copy(row, 4, c->arena);
    payment->datetime = sqlite_column_copy(row, 5, c->arena);
    payment->amount_given = sqlite3_column_type(row, 6) != SQLITE_NULL;
    payment->amount_minor = sqlite3_column_int64(row, 6);
    payment->currency_given = sqlite3_column_int(row, 8) != 0;
    event->published_us = sqlite3_column_int64(row, 9);
    payment->payment_id = event->entity_id = sqlite3_column_int64(row, 10);
    payment->order_id = order_id;
    good = good && status >= 0 && status < PAYMENT_STATUS_COUNT &&
           (!payment->amount_given ||
            (payment->amount_minor > 0 && payment->amount_minor <= MONEY_PRICE_MINOR_MAX));
    if (!good) {
        return damaged(c, table, order_id);
    }
    payment->status = (enum payment_status)status;
    event->event_id = payment_event_identity(payment);
    enum err err = read_currency(c, row, 7, table, order_id, &payment->currency);
    return err == ERR_OK ? add_row(c, event) : err;
}

static enum err read_note(struct collector *c, sqlite3_stmt *row, int64_t order_id)
{
    int kind = sqlite3_column_int(row, 1);
    if (kind < 0 || kind >= NOTE_COUNT) {
        return damaged(c, "notes", order_id);
    }
    struct note note = {(enum note_kind)kind, sqlite_column_copy(row, 2, c->arena),
                        sqlite_column_copy(row, 3, c->arena)};
    struct event *event = ARENA_NEW(c->arena, struct event);
    char *id_text = arena_alloc(c->arena, EVENT_NOTE_ID_SIZE);
    if (event == NULL || id_text == NULL) {
        return why_set(c->why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    event_of_note(order_id, sqlite3_column_int64(row, 0), &note, id_text, event);
    event->published_us = sqlite3_column_int64(row, 4);
    event->place = PLACE_SIDE;
    return add_row(c, event);
}

static enum err read_main_order(struct collector *c, int64_t order_id)
{
    sqlite3_stmt *statement = sqlite_store_statement(c->store, STATEMENT_READ_ORDER, c->why);
    if (statement == NULL) {
        return sqlite_prepare_failed(c->why);
    }
    (void)sqlite3_bind_int64(statement, 1, order_id);
    bool row = false;
    enum err err = sqlite_step_row(statement, &row, c->why);
    if (err != ERR_OK || !row) {
        return err;
    }
    struct stored_partition *stored = c->stored;
    int at = ORDER_CONTENT_COUNT;
    stored->has_order = true;
    stored->customer_id = sqlite3_column_int64(statement, 2);
    stored->paid_minor = sqlite3_column_int64(statement, at++);
    stored->refunded_minor = sqlite3_column_int64(statement, at++);
    stored->charged_back_minor = sqlite3_column_int64(statement, at++);
    stored->settlement = sqlite3_column_int64(statement, at++);
    stored->match_issue = sqlite3_column_int64(statement, at++);
    stored->n_events = sqlite3_column_int64(statement, at++);
    stored->side = sqlite3_column_int(statement, at++) != 0;
    struct text day = sqlite_column_view(statement, at++);
    stored->filing = sqlite3_column_int64(statement, at);
    if (day.size == ORDER_DAY_SIZE) {
        memcpy(stored->day, day.data, ORDER_DAY_SIZE);
    }
    err = read_order_content(c, statement, order_id, PLACE_MAIN, "orders");
    (void)sqlite3_reset(statement);
    return err;
}

static enum err add_stored_payment(struct collector *c, sqlite3_stmt *row)
{
    struct stored_partition *stored = c->stored;
    size_t count = stored->payment_count;
    if ((count & (count - 1)) == 0) { // full at every power of two
        size_t cap = count == 0 ? 1 : count * 2;
        struct stored_payment *grown = ARENA_ARRAY(c->arena, struct stored_payment, cap);
        if (grown == NULL) {
            return why_set(c->why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
        }
        if (count > 0) {
            memcpy(grown, stored->payments, count * sizeof(grown[0]));
        }
        stored->payments = grown;
    }
    struct stored_payment *payment = &stored->payments[stored->payment_count++];
    payment->payment_id = sqlite3_column_int64(row, PAYMENT_CONTENT_COUNT);
    payment->captured_minor = sqlite3_column_int64(row, PAYMENT_CONTENT_COUNT + 1);
    payment->side = sqlite3_column_int(row, PAYMENT_CONTENT_COUNT + 2) != 0;
    stored->side = stored->side || payment->side;
    return ERR_OK;
}

typedef enum err read_row_fn(struct collector *c, sqlite3_stmt *row, int64_t order_id);

static enum err read_main_payment(struct collector *c, sqlite3_stmt *row, int64_t order_id)
{
    enum err err = add_stored_payment(c, row);
    return err == ERR_OK ? read_payment_content(c, row, order_id, PLACE_MAIN, "payments") : err;
}

static enum err read_side_order(struct collector *c, sqlite3_stmt *row, int64_t order_id)
{
    return read_order_content(c, row, order_id, PLACE_SIDE, "order_versions");
}

static enum err read_side_payment(struct collector *c, sqlite3_stmt *row, int64_t order_id)
{
    return read_payment_content(c, row, order_id, PLACE_SIDE, "payment_events");
}

static enum err read_all(struct collector *c, enum statement number, int64_t order_id,
                         read_row_fn *read_row)
{
    sqlite3_stmt *statement = sqlite_store_statement(c->store, number, c->why);
    if (statement == NULL) {
        return sqlite_prepare_failed(c->why);
    }
    (void)sqlite3_bind_int64(statement, 1, order_id);
    bool row = false;
    enum err err = sqlite_step_row(statement, &row, c->why);
    while (err == ERR_OK && row) {
        err = read_row(c, statement, order_id);
        if (err == ERR_OK) {
            err = sqlite_step_row(statement, &row, c->why);
        }
    }
    (void)sqlite3_reset(statement);
    return err;
}

static enum err read_stored(struct collector *c, int64_t order_id)
{
    enum err err = ERR_OK;
    if (order_id <= c->store->orders_id_max) {
        err = read_main_order(c, order_id);
    }
    if (err == ERR_OK && order_id <= c->store->payments_order_id_max) {
        err = read_all(c, STATEMENT_READ_PAYMENTS, order_id, read_main_payment);
    }
    if (err != ERR_OK || !c->stored->side) {
        return err;
    }
    err = read_all(c, STATEMENT_READ_VERSIONS, order_id, read_side_order);
    if (err == ERR_OK) {
        err = read_all(c, STATEMENT_READ_PAYMENT_EVENTS, order_id, read_side_payment);
    }
    if (err == ERR_OK) {
        err = read_all(c, STATEMENT_READ_NOTES, order_id, read_note);
    }
    return err;
}

static bool same_row(const struct event *a, const struct event *b)
{
    return event_same_identity(a, b) && hash_equal(&a->hash, &b->hash);
}

// Adds the batch's events that no row equals yet; tells which those were.
static enum err merge_incoming(struct collector *c, const struct store_group *group)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < group->incoming_count; i++) {
        struct incoming *incoming = group->incoming[i];
        incoming->outcome = INSERT_NEW;
        for (size_t r = 0; r < c->row_count && incoming->outcome == INSERT_NEW; r++) {
            if (same_row(c->rows[r], &incoming->event)) {
                incoming->outcome = INSERT_KNOWN;
            }
        }
        if (incoming->outcome == INSERT_NEW) {
            incoming->event.place = PLACE_NEW;
            err = add_row(c, &incoming->event);
        }
    }
    return err;
}

static enum err read_partition(struct sqlite_store *store, struct store_group *group,
                               struct arena *arena, struct why *why)
{
    struct collector c = {.store = store, .arena = arena, .why = why};
    c.stored = ARENA_NEW(arena, struct stored_partition);
    if (c.stored == NULL) {
        return why_set(why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    enum err err = read_stored(&c, group->order_id);
    if (err == ERR_OK) {
        err = merge_incoming(&c, group);
    }
    if (err == ERR_OK && arena_overflowed(arena)) {
        err = why_set(why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    if (err == ERR_OK) {
        group->rows = c.rows;
        group->row_count = c.row_count;
        group->private_rows = c.stored;
    }
    return err;
}

enum err sqlite_read_partitions(struct store *base, struct store_group *groups, size_t count,
                                struct arena *arena, struct why *why)
{
    struct sqlite_store *store = sqlite_store_of(base);
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        err = read_partition(store, &groups[i], arena, why);
    }
    return err;
}
