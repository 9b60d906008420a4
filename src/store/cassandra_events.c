// An order's events: in, and the whole partition out. An insert writes without looking; with the order's
// events goes, in the same mutation, the projection of these orders alone (cassandra_facts.c).
#include "cassandra_store.h"

#include <assert.h>
#include <string.h>

#define KIND_ORDER          TEXT("ORDER")
#define KIND_PAYMENT        TEXT("PAYMENT")
#define KIND_NOTE           TEXT("NOTE")
#define ORDER_EVENT_ID_SIZE 24 // "v" or "t" and a number

// --- in -----------------------------------------------------------------------------------------

// The same event has the same cells whenever it is written, so that one constant does for a timestamp.
static void bind_event_timestamp(struct cql_values *values)
{
    cql_bind_bigint(values, PROJECTION_TIMESTAMP_BASE);
}

static void bind_key(struct cql_values *values, const struct event *event, struct text kind,
                     struct text event_id)
{
    cql_bind_bigint(values, event->order_id);
    cql_bind_text(values, kind);
    cql_bind_bigint(values, event->entity_id);
    cql_bind_text(values, event_id);
    bind_hash(values, &event->hash);
    cql_bind_bigint(values, event->published_us);
}

static void add_order_event(struct call *call, const struct event *event)
{
    const struct order *order = &event->order;
    char id_text[ORDER_EVENT_ID_SIZE];
    struct buf id;
    buf_init_fixed(&id, id_text, sizeof(id_text));
    buf_add_char(&id, order_version_rank_is_explicit(event->version_rank) ? 'v' : 't');
    buf_add_i64(&id, order_version_rank_value(event->version_rank));
    size_t size = order->item.size + order->shipping_address.size + order->creation_date.size;
    struct cql_values *values = call_add(call, CASSANDRA_PUT_ORDER_EVENT, size);
    bind_key(values, event, KIND_ORDER, buf_view(&id));
    cql_bind_bigint(values, order->customer_id);
    cql_bind_text(values, order->item);
    cql_bind_int(values, (int32_t)order->quantity);
    bind_money(values, order->price_minor, order->currency);
    cql_bind_text(values, order->shipping_address);
    cql_bind_text(values, order_status_text(order->status));
    cql_bind_text(values, order->creation_date);
    cql_bind_text(values, currency_code(order->currency));
    cql_bind_boolean(values, order->currency_given);
    bind_event_timestamp(values);
}

static void add_payment_event(struct call *call, const struct event *event)
{
    const struct payment *payment = &event->payment;
    size_t size = event->event_id.size + payment->datetime.size + payment->method.size;
    struct cql_values *values = call_add(call, CASSANDRA_PUT_PAYMENT_EVENT, size);
    bind_key(values, event, KIND_PAYMENT, event->event_id);
    cql_bind_text(values, payment_status_text(payment->status));
    cql_bind_text(values, payment->datetime);
    cql_bind_text(values, payment->method);
    cql_bind_text(values, payment->card_last_four);
    if (payment->amount_given) {
        bind_money(values, payment->amount_minor, payment->currency);
    } else {
        cql_bind_unset(values);
    }
    cql_bind_text(values, currency_code(payment->currency)); // empty for none
    cql_bind_boolean(values, payment->currency_given);
    bind_event_timestamp(values);
}

static void add_note_event(struct call *call, const struct event *event)
{
    size_t size = event->event_id.size + event->note.detail.size;
    struct cql_values *values = call_add(call, CASSANDRA_PUT_NOTE_EVENT, size);
    bind_key(values, event, KIND_NOTE, event->event_id);
    cql_bind_text(values, note_kind_text(event->note.kind));
    cql_bind_text(values, event->note.detail);
    bind_event_timestamp(values);
}

static void add_event(struct call *call, const struct event *event)
{
    if (event->kind == EVENT_ORDER) {
        add_order_event(call, event);
    } else if (event->kind == EVENT_PAYMENT) {
        add_payment_event(call, event);
    } else {
        add_note_event(call, event);
    }
}

enum err cassandra_insert_events(struct store *base, struct store_group *groups, size_t count,
                                 struct why *why)
{
    struct cassandra_store *store = cassandra_store_of(base);
    struct call call;
    size_t incoming_count = 0;
    enum err err = cassandra_check_epoch(store, why);
    if (err != ERR_OK) {
        return err;
    }
    for (size_t i = 0; i < count; i++) {
        incoming_count += groups[i].incoming_count;
    }
    call_init(&call, store, count, incoming_count + count); // each group may bring a projection
    for (size_t i = 0; i < count; i++) {
        call_begin_batch(&call);
        for (size_t k = 0; k < groups[i].incoming_count; k++) {
            add_event(&call, &groups[i].incoming[k]->event);
        }
        cassandra_add_carried(&call, &groups[i]);
        call_end_batch(&call);
    }
    return call_run(&call, NULL, NULL, why);
}

// --- rows to events -----------------------------------------------------------------------------

// Columns of READ_EVENTS.
enum column {
    COLUMN_KIND,
    COLUMN_ENTITY_ID,
    COLUMN_EVENT_ID,
    COLUMN_HASH,
    COLUMN_PUBLISHED_US,
    COLUMN_CUSTOMER_ID,
    COLUMN_ITEM,
    COLUMN_QUANTITY,
    COLUMN_PRICE,
    COLUMN_SHIPPING_ADDRESS,
    COLUMN_STATUS,
    COLUMN_STATED_TIME,
    COLUMN_PAYMENT_METHOD,
    COLUMN_CARD_LAST_FOUR,
    COLUMN_AMOUNT,
    COLUMN_CURRENCY,
    COLUMN_CURRENCY_GIVEN,
    COLUMN_NOTE,
};

static bool read_version(struct text event_id, struct event *event)
{
    uint64_t number = 0;
    if (event_id.size < 2 || (event_id.data[0] != 'v' && event_id.data[0] != 't') ||
        !text_parse_u64((struct text){event_id.data + 1, event_id.size - 1}, &number) ||
        number > INT64_MAX) {
        return false;
    }
    event->order.version_given = event_id.data[0] == 'v';
    event->order.version = event->order.version_given ? (int64_t)number : 0;
    event->version_rank = order_version_rank(&event->order, (int64_t)number);
    return true;
}

static bool read_order(const struct cql_cell *cells, struct arena *arena, struct event *event)
{
    struct order *order = &event->order;
    *order = (struct order){
        .order_id = event->order_id,
        .customer_id = cell_bigint(cells[COLUMN_CUSTOMER_ID]),
        .item = cell_copy(cells[COLUMN_ITEM], arena),
        .quantity = cell_int(cells[COLUMN_QUANTITY]),
        .shipping_address = cell_copy(cells[COLUMN_SHIPPING_ADDRESS], arena),
        .creation_date = cell_copy(cells[COLUMN_STATED_TIME], arena),
        .currency_given = cell_boolean(cells[COLUMN_CURRENCY_GIVEN]),
    };
    return order_status_find(cell_text(cells[COLUMN_STATUS]), &order->status) &&
           currency_find(cell_text(cells[COLUMN_CURRENCY]), &order->currency) &&
           cell_money(cells[COLUMN_PRICE], order->currency, &order->price_minor) &&
           read_version(cell_text(cells[COLUMN_EVENT_ID]), event);
}

static bool read_payment(const struct cql_cell *cells, struct arena *arena, struct event *event)
{
    struct payment *payment = &event->payment;
    struct text currency = cell_text(cells[COLUMN_CURRENCY]);
    *payment = (struct payment){
        .payment_id = event->entity_id,
        .order_id = event->order_id,
        .method = cell_copy(cells[COLUMN_PAYMENT_METHOD], arena),
        .card_last_four = cell_copy(cells[COLUMN_CARD_LAST_FOUR], arena),
        .datetime = cell_copy(cells[COLUMN_STATED_TIME], arena),
        .amount_given = cells[COLUMN_AMOUNT].presence == CQL_PRESENT,
        .currency_given = cell_boolean(cells[COLUMN_CURRENCY_GIVEN]),
    };
    event->event_id = cell_copy(cells[COLUMN_EVENT_ID], arena);
    bool sound = payment_status_find(cell_text(cells[COLUMN_STATUS]), &payment->status) &&
                 (currency.size == 0 || currency_find(currency, &payment->currency)) &&
                 (!payment->amount_given ||
                  cell_money(cells[COLUMN_AMOUNT], payment->currency, &payment->amount_minor));
    if (sound && !text_equal(event->event_id, payment_status_text(payment->status))) {
        payment->event_id = event->event_id;
    }
    return sound;
}

static bool read_note(const struct cql_cell *cells, struct arena *arena, struct event *event)
{
    struct note *note = &event->note;
    event->event_id = cell_copy(cells[COLUMN_EVENT_ID], arena);
    if (!note_kind_find(cell_text(cells[COLUMN_STATUS]), &note->kind)) {
        return false;
    }
    size_t kind_size = note_kind_text(note->kind).size + 1; // and a colon
    if (event->event_id.data == NULL || event->event_id.size < kind_size) {
        return event->event_id.data == NULL; // the arena is full, which is said elsewhere
    }
    note->about = (struct text){event->event_id.data + kind_size, event->event_id.size - kind_size};
    note->detail = cell_copy(cells[COLUMN_NOTE], arena);
    return true;
}

bool cassandra_read_event(const struct cql_cell *cells, struct arena *arena, struct event *event)
{
    struct text kind = cell_text(cells[COLUMN_KIND]);
    event->entity_id = cell_bigint(cells[COLUMN_ENTITY_ID]);
    event->published_us = cell_bigint(cells[COLUMN_PUBLISHED_US]);
    if (!cell_hash(cells[COLUMN_HASH], &event->hash)) {
        return false;
    }
    if (text_equal(kind, KIND_ORDER)) {
        event->kind = EVENT_ORDER;
        return read_order(cells, arena, event);
    }
    if (text_equal(kind, KIND_PAYMENT)) {
        event->kind = EVENT_PAYMENT;
        return read_payment(cells, arena, event);
    }
    event->kind = EVENT_NOTE;
    return text_equal(kind, KIND_NOTE) && read_note(cells, arena, event);
}

// --- partitions ---------------------------------------------------------------------------------

struct row {
    struct row *next;
    struct event event;
};

struct rows {
    struct row *first;
    struct row **end;
    size_t count;
};

struct reading {
    const struct store_group *groups;
    struct rows *rows; // by group
    struct arena *arena;
};

static enum err take_row(void *context, size_t request, const struct cql_cell *cells,
                         struct why *why)
{
    struct reading *reading = context;
    struct rows *rows = &reading->rows[request];
    struct row *row = ARENA_NEW(reading->arena, struct row);
    if (row != NULL) {
        row->event.order_id = reading->groups[request].order_id;
        if (!cassandra_read_event(cells, reading->arena, &row->event)) {
            return why_set(why, ERR_CORRUPT, "table order_events: a row of order %lld is damaged",
                           (long long)row->event.order_id);
        }
        *rows->end = row;
        rows->end = &row->next;
        rows->count++;
    }
    return arena_overflowed(reading->arena)
               ? why_set(why, ERR_NO_MEMORY, "a batch needs more memory than its arena has")
               : ERR_OK;
}

static size_t find_row(const struct store_group *group, const struct event *event)
{
    size_t at = 0;
    while (at < group->row_count && event_compare(group->rows[at], event) != 0) {
        at++;
    }
    return at;
}

static bool is_incoming(const struct store_group *group, size_t count, const struct event *row)
{
    for (size_t i = 0; i < count; i++) {
        if (&group->incoming[i]->event == row) {
            return true;
        }
    }
    return false;
}

// Every incoming event is one of the rows: itself, or the one of the same key that came in before it.
static void merge_incoming(struct store_group *group)
{
    for (size_t i = 0; i < group->incoming_count; i++) {
        struct incoming *incoming = group->incoming[i];
        size_t at = find_row(group, &incoming->event);
        bool there = at < group->row_count;
        if (there && is_incoming(group, i, group->rows[at])) {
            incoming->outcome = INSERT_KNOWN;
            continue;
        }
        incoming->outcome = INSERT_UNKNOWN;
        group->rows[at] = &incoming->event;
        group->row_count += !there;
    }
}

static struct cassandra_rows count_rows(const struct store_group *group)
{
    struct cassandra_rows rows = {0};
    size_t own_orders = 0;
    for (size_t i = 0; i < group->row_count; i++) {
        const struct event *row = group->rows[i];
        rows.n_rows += row->kind != EVENT_NOTE;
        own_orders += row->kind == EVENT_ORDER && is_incoming(group, group->incoming_count, row);
    }
    rows.carried = own_orders > 0 && own_orders == group->row_count;
    return rows;
}

static void fill_group(struct store_group *group, const struct rows *rows, struct arena *arena)
{
    struct cassandra_rows *counts = ARENA_NEW(arena, struct cassandra_rows);
    group->rows = ARENA_ARRAY(arena, const struct event *, rows->count + group->incoming_count);
    if (arena_overflowed(arena)) {
        return;
    }
    group->row_count = 0;
    for (const struct row *row = rows->first; row != NULL; row = row->next) {
        group->rows[group->row_count++] = &row->event;
    }
    merge_incoming(group);
    *counts = count_rows(group);
    group->private_rows = counts;
}

enum err cassandra_read_partitions(struct store *base, struct store_group *groups, size_t count,
                                   struct arena *arena, struct why *why)
{
    struct call call;
    struct reading reading = {groups, ARENA_ARRAY(arena, struct rows, count), arena};
    if (reading.rows == NULL) {
        return why_set(why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    call_init(&call, cassandra_store_of(base), count, 0);
    for (size_t i = 0; i < count; i++) {
        reading.rows[i].end = &reading.rows[i].first;
        cql_bind_bigint(call_add(&call, CASSANDRA_READ_EVENTS, 0), groups[i].order_id);
    }
    enum err err = call_run(&call, take_row, &reading, why);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        fill_group(&groups[i], &reading.rows[i], arena);
    }
    return err == ERR_OK && arena_overflowed(arena)
               ? why_set(why, ERR_NO_MEMORY, "a batch needs more memory than its arena has")
               : err;
}
