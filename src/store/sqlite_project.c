// Writing the projection: every row of a partition goes where the fold says it belongs, with the
// figures that the fold derived. A row that is there already and would not change is left alone.
#include "sqlite_store.h"
#include <assert.h>
#include <string.h>

// One partition while it is written.
struct projector {
    struct sqlite_store *store;
    struct store_group *group;
    struct stored_partition *stored;
    bool side_needed; // a row of this partition lies, or will lie, in a side table
    struct why *why;
};

static void bind_order_content(sqlite3_stmt *statement, const struct event *event)
{
    const struct order *order = &event->order;
    (void)sqlite3_bind_int64(statement, 1, event->version_rank);
    sqlite_bind_hash(statement, 2, &event->hash);
    (void)sqlite3_bind_int64(statement, 3, order->customer_id);
    sqlite_bind_text_view(statement, 4, order->item);
    (void)sqlite3_bind_int64(statement, 5, order->quantity);
    (void)sqlite3_bind_int64(statement, 6, order->price_minor);
    sqlite_bind_text_view(statement, 7, currency_code(order->currency));
    (void)sqlite3_bind_int(statement, 8, order->currency_given);
    sqlite_bind_text_view(statement, 9, order->shipping_address);
    (void)sqlite3_bind_int(statement, 10, (int)order->status);
    sqlite_bind_text_view(statement, 11, order->creation_date);
    (void)sqlite3_bind_int64(statement, 12, event->published_us);
    (void)sqlite3_bind_int64(statement, 13, event->order_id);
}

static enum err put_version(struct projector *p, const struct event *event)
{
    sqlite3_stmt *statement = sqlite_store_statement(p->store, STATEMENT_PUT_VERSION, p->why);
    if (statement == NULL) {
        return sqlite_prepare_failed(p->why);
    }
    bind_order_content(statement, event);
    return sqlite_step_done(statement, p->why);
}

static enum err drop_version(struct projector *p, const struct event *event)
{
    sqlite3_stmt *statement = sqlite_store_statement(p->store, STATEMENT_DROP_VERSION, p->why);
    if (statement == NULL) {
        return sqlite_prepare_failed(p->why);
    }
    (void)sqlite3_bind_int64(statement, 1, event->order_id);
    (void)sqlite3_bind_int64(statement, 2, event->version_rank);
    sqlite_bind_hash(statement, 3, &event->hash);
    return sqlite_step_done(statement, p->why);
}

static void bind_derived(sqlite3_stmt *statement, int at, const struct projector *p)
{
    const struct fact *fact = &p->group->fact;
    (void)sqlite3_bind_int64(statement, at, fact->amount_paid_minor);
    (void)sqlite3_bind_int64(statement, at + 1, fact->amount_refunded_minor);
    (void)sqlite3_bind_int64(statement, at + 2, fact->amount_charged_back_minor);
    (void)sqlite3_bind_int(statement, at + 3, (int)fact->settlement);
    (void)sqlite3_bind_int(statement, at + 4, (int)fact->match_issue);
    (void)sqlite3_bind_int64(statement, at + 5, fact->n_events);
    (void)sqlite3_bind_int(statement, at + 6, p->side_needed);
}

// A place in the indexes, for an order whose customer or day is new.
static enum err put_recent(struct projector *p, const char day[ORDER_DAY_SIZE], int64_t filing)
{
    const struct event *winner = p->group->fact.order;
    sqlite3_stmt *statement = sqlite_store_statement(p->store, STATEMENT_PUT_RECENT, p->why);
    if (statement == NULL) {
        return sqlite_prepare_failed(p->why);
    }
    (void)sqlite3_bind_int64(statement, 1, winner->order_id);
    (void)sqlite3_bind_int64(statement, 2, winner->order.customer_id);
    sqlite_bind_text_view(statement, 3, (struct text){day, ORDER_DAY_SIZE});
    (void)sqlite3_bind_int64(statement, 4, filing);
    p->store->recent_entries++;
    return sqlite_step_done(statement, p->why);
}

static bool is_filed(const struct projector *p, const char day[ORDER_DAY_SIZE])
{
    return p->stored->has_order &&
           p->stored->customer_id == p->group->fact.order->order.customer_id &&
           memcmp(p->stored->day, day, ORDER_DAY_SIZE) == 0;
}

static enum err put_winner(struct projector *p)
{
    const struct event *winner = p->group->fact.order;
    sqlite3_stmt *statement = sqlite_store_statement(p->store, STATEMENT_PUT_ORDER, p->why);
    if (statement == NULL) {
        return sqlite_prepare_failed(p->why);
    }
    char day[ORDER_DAY_SIZE];
    order_day(winner, day);
    bool filed = is_filed(p, day);
    int64_t filing = p->stored->filing + (filed ? 0 : 1);
    bind_order_content(statement, winner);
    sqlite_bind_text_view(statement, 14, (struct text){day, ORDER_DAY_SIZE});
    (void)sqlite3_bind_int64(statement, 15, filing);
    bind_derived(statement, 16, p);
    enum err err = sqlite_step_done(statement, p->why);
    if (err == ERR_OK && winner->place == PLACE_SIDE) {
        err = drop_version(p, winner);
    }
    bool files = err == ERR_OK && !filed && p->store->indexed;
    return files ? put_recent(p, day, filing) : err;
}

static bool derived_differs(const struct projector *p)
{
    const struct fact *fact = &p->group->fact;
    const struct stored_partition *stored = p->stored;
    return stored->paid_minor != fact->amount_paid_minor ||
           stored->refunded_minor != fact->amount_refunded_minor ||
           stored->charged_back_minor != fact->amount_charged_back_minor ||
           stored->settlement != (int64_t)fact->settlement ||
           stored->match_issue != (int64_t)fact->match_issue ||
           stored->n_events != (int64_t)fact->n_events || (p->side_needed && !stored->side);
}

static enum err update_winner(struct projector *p)
{
    if (!derived_differs(p)) {
        return ERR_OK;
    }
    sqlite3_stmt *statement = sqlite_store_statement(p->store, STATEMENT_UPDATE_ORDER, p->why);
    if (statement == NULL) {
        return sqlite_prepare_failed(p->why);
    }
    (void)sqlite3_bind_int64(statement, 1, p->group->order_id);
    bind_derived(statement, 2, p);
    return sqlite_step_done(statement, p->why);
}

// The winning version goes to the main table, all others to the side.
static enum err write_order_rows(struct projector *p)
{
    const struct event *winner = p->group->fact.order;
    if (winner == NULL) {
        return ERR_OK; // orders only ever come with a winner
    }
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < p->group->row_count; i++) {
        const struct event *row = p->group->rows[i];
        bool moves_aside = row->kind == EVENT_ORDER && row != winner &&
                           (row->place == PLACE_NEW || row->place == PLACE_MAIN);
        if (moves_aside) {
            err = put_version(p, row);
        }
    }
    if (err != ERR_OK) {
        return err;
    }
    return winner->place == PLACE_MAIN ? update_winner(p) : put_winner(p);
}

static void bind_payment_content(sqlite3_stmt *statement, const struct event *event)
{
    const struct payment *payment = &event->payment;
    sqlite_bind_hash(statement, 1, &event->hash);
    sqlite_bind_text_or_null(statement, 2, payment->event_id);
    (void)sqlite3_bind_int(statement, 3, (int)payment->status);
    sqlite_bind_text_view(statement, 4, payment->method);
    sqlite_bind_text_or_null(statement, 5, payment->card_last_four);
    sqlite_bind_text_view(statement, 6, payment->datetime);
    if (payment->amount_given) {
        (void)sqlite3_bind_int64(statement, 7, payment->amount_minor);
    } else {
        (void)sqlite3_bind_null(statement, 7);
    }
    sqlite_bind_text_or_null(statement, 8, currency_code(payment->currency));
    (void)sqlite3_bind_int(statement, 9, payment->currency_given);
    (void)sqlite3_bind_int64(statement, 10, event->published_us);
    (void)sqlite3_bind_int64(statement, 11, event->order_id);
    (void)sqlite3_bind_int64(statement, 12, event->entity_id);
}

static enum err put_payment_event(struct projector *p, const struct event *event)
{
    sqlite3_stmt *statement = sqlite_store_statement(p->store, STATEMENT_PUT_PAYMENT_EVENT, p->why);
    if (statement == NULL) {
        return sqlite_prepare_failed(p->why);
    }
    bind_payment_content(statement, event);
    sqlite_bind_text_view(statement, 13, event->event_id);
    return sqlite_step_done(statement, p->why);
}

static enum err drop_payment_event(struct projector *p, const struct event *event)
{
    sqlite3_stmt *statement =
        sqlite_store_statement(p->store, STATEMENT_DROP_PAYMENT_EVENT, p->why);
    if (statement == NULL) {
        return sqlite_prepare_failed(p->why);
    }
    (void)sqlite3_bind_int64(statement, 1, event->order_id);
    (void)sqlite3_bind_int64(statement, 2, event->entity_id);
    sqlite_bind_text_view(statement, 3, event->event_id);
    sqlite_bind_hash(statement, 4, &event->hash);
    return sqlite_step_done(statement, p->why);
}

static enum err put_shown_payment(struct projector *p, const struct fact_payment *payment)
{
    sqlite3_stmt *statement = sqlite_store_statement(p->store, STATEMENT_PUT_PAYMENT, p->why);
    if (statement == NULL) {
        return sqlite_prepare_failed(p->why);
    }
    bind_payment_content(statement, payment->shown);
    (void)sqlite3_bind_int64(statement, 13, payment->captured_minor);
    (void)sqlite3_bind_int(statement, 14, p->side_needed);
    enum err err = sqlite_step_done(statement, p->why);
    if (err == ERR_OK && payment->shown->place == PLACE_SIDE) {
        err = drop_payment_event(p, payment->shown);
    }
    return err;
}

static const struct stored_payment *find_stored(const struct stored_partition *stored,
                                                int64_t payment_id)
{
    size_t low = 0;
    size_t high = stored->payment_count; // they came in key order
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stored->payments[middle].payment_id < payment_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < stored->payment_count && stored->payments[low].payment_id == payment_id;
    return found ? &stored->payments[low] : NULL;
}

static enum err update_shown_payment(struct projector *p, const struct fact_payment *payment)
{
    const struct stored_payment *stored = find_stored(p->stored, payment->payment_id);
    assert(stored != NULL);
    bool marks_side = p->side_needed && !stored->side;
    if (stored->captured_minor == payment->captured_minor && !marks_side) {
        return ERR_OK;
    }
    sqlite3_stmt *statement = sqlite_store_statement(p->store, STATEMENT_UPDATE_PAYMENT, p->why);
    if (statement == NULL) {
        return sqlite_prepare_failed(p->why);
    }
    (void)sqlite3_bind_int64(statement, 1, p->group->order_id);
    (void)sqlite3_bind_int64(statement, 2, payment->payment_id);
    (void)sqlite3_bind_int64(statement, 3, payment->captured_minor);
    (void)sqlite3_bind_int(statement, 4, p->side_needed);
    return sqlite_step_done(statement, p->why);
}

static const struct fact_payment *find_payment(const struct fact *fact, int64_t payment_id)
{
    size_t low = 0;
    size_t high = fact->payment_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (fact->payments[middle].payment_id < payment_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    assert(low < fact->payment_count && fact->payments[low].payment_id == payment_id);
    return &fact->payments[low];
}

// The shown event of each payment goes to the main table, all others to the side.
static enum err write_payment_rows(struct projector *p)
{
    const struct fact *fact = &p->group->fact;
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < p->group->row_count; i++) {
        const struct event *row = p->group->rows[i];
        bool stays = row->kind != EVENT_PAYMENT || row->place == PLACE_SIDE ||
                     row == find_payment(fact, row->entity_id)->shown;
        if (!stays) {
            err = put_payment_event(p, row);
        }
    }
    for (size_t i = 0; err == ERR_OK && i < fact->payment_count; i++) {
        const struct fact_payment *payment = &fact->payments[i];
        err = payment->shown->place == PLACE_MAIN ? update_shown_payment(p, payment)
                                                  : put_shown_payment(p, payment);
    }
    return err;
}

static enum err write_notes(struct projector *p)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < p->group->row_count; i++) {
        const struct event *row = p->group->rows[i];
        if (row->kind != EVENT_NOTE || row->place != PLACE_NEW) {
            continue;
        }
        sqlite3_stmt *statement = sqlite_store_statement(p->store, STATEMENT_PUT_NOTE, p->why);
        if (statement == NULL) {
            return sqlite_prepare_failed(p->why);
        }
        (void)sqlite3_bind_int64(statement, 1, row->order_id);
        (void)sqlite3_bind_int64(statement, 2, row->entity_id);
        (void)sqlite3_bind_int(statement, 3, (int)row->note.kind);
        sqlite_bind_text_view(statement, 4, row->note.about);
        sqlite_bind_text_view(statement, 5, row->note.detail);
        (void)sqlite3_bind_int64(statement, 6, row->published_us);
        err = sqlite_step_done(statement, p->why);
    }
    return err;
}

static bool needs_side(const struct store_group *group, const struct stored_partition *stored)
{
    const struct fact *fact = &group->fact;
    size_t main_rows = fact->payment_count + (fact->order != NULL ? 1 : 0);
    return stored->side || group->row_count > main_rows;
}

// Before the rows: a write that fails half-way may have left some.
static void raise_id_max(struct sqlite_store *store, const struct store_group *group)
{
    if (group->fact.order != NULL && group->order_id > store->orders_id_max) {
        store->orders_id_max = group->order_id;
    }
    if (group->fact.payment_count > 0 && group->order_id > store->payments_order_id_max) {
        store->payments_order_id_max = group->order_id;
    }
}

static enum err write_partition(struct sqlite_store *store, struct store_group *group,
                                struct why *why)
{
    raise_id_max(store, group);
    struct projector p = {
        .store = store, .group = group, .stored = group->private_rows, .why = why};
    p.side_needed = needs_side(group, p.stored);
    enum err err = write_order_rows(&p);
    if (err == ERR_OK) {
        err = write_payment_rows(&p);
    }
    return err == ERR_OK ? write_notes(&p) : err;
}

// Sorts the recent entries into one more run of each index.
static enum err close_index_run(struct sqlite_store *store, struct why *why)
{
    static const enum statement fills[] = {STATEMENT_FILL_CUSTOMER_RUN, STATEMENT_FILL_DAY_RUN};
    sqlite3_stmt *add = sqlite_store_statement(store, STATEMENT_ADD_RUN, why);
    enum err err = add != NULL ? sqlite_step_done(add, why) : sqlite_prepare_failed(why);
    int64_t run = sqlite3_last_insert_rowid(store->db);
    for (size_t i = 0; err == ERR_OK && i < sizeof(fills) / sizeof(fills[0]); i++) {
        sqlite3_stmt *fill = sqlite_store_statement(store, fills[i], why);
        if (fill == NULL) {
            return sqlite_prepare_failed(why);
        }
        (void)sqlite3_bind_int64(fill, 1, run);
        err = sqlite_step_done(fill, why);
    }
    if (err == ERR_OK) {
        sqlite3_stmt *clear = sqlite_store_statement(store, STATEMENT_CLEAR_RECENT, why);
        err = clear != NULL ? sqlite_step_done(clear, why) : sqlite_prepare_failed(why);
    }
    if (err == ERR_OK) {
        store->recent_entries = 0;
    }
    return err;
}

enum err sqlite_write_facts(struct store *base, struct store_group *groups, size_t count,
                            struct why *why)
{
    struct sqlite_store *store = sqlite_store_of(base);
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        err = write_partition(store, &groups[i], why);
    }
    if (err == ERR_OK && store->recent_entries >= INDEX_RUN_ENTRIES) {
        err = close_index_run(store, why);
    }
    return err;
}
