// Adding up a keyspace for the conservation report. The events are folded anew, partition by partition, and
// what the facts show is added up apart: two readings that must agree. They are not of one moment, so the
// figures of a keyspace that is being written to may differ by what came in between.
#include "cassandra_store.h"

#include <stdlib.h>
#include <string.h>

#define SLOT_ARENA_SIZE (64u << 20) // of address space, for one partition

struct row {
    struct row *next;
    struct event event;
};

// The partition that a part of the scan is at.
struct slot {
    struct arena arena;
    int64_t order_id; // 0: none yet
    struct row *first;
    size_t count;
};

struct adding {
    struct store_totals *totals;
    struct store_reader *reader;
    uint64_t lots; // of parts that are added up, of all tables
    struct slot slots[CASSANDRA_PARTS_AT_ONCE];
    struct store_settled settled[SETTLEMENT_COUNT][STORE_CURRENCIES_MAX];
};

static void add_money(struct store_count *count, const struct event *event)
{
    struct currency currency = CURRENCY_NONE;
    int64_t minor = 0;
    count->rows++;
    if (!event_stated_money(event, &currency, &minor)) {
        count->rows_without_money++;
        return;
    }
    struct store_money *money = &count->money[currency.index];
    money->currency = currency;
    money->rows++;
    money->minor += minor;
}

// --- one partition --------------------------------------------------------------------------------

static bool has_note(const struct event *const *rows, size_t count, const struct event *payment,
                     enum note_kind kind)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i]->kind == EVENT_NOTE && rows[i]->note.kind == kind &&
            rows[i]->entity_id == payment->entity_id &&
            text_equal(rows[i]->note.about, payment->event_id)) {
            return true;
        }
    }
    return false;
}

static bool is_loser(const struct fact *fact, const struct event *row)
{
    for (size_t i = 0; i < fact->loser_count; i++) {
        if (fact->losers[i] == row) {
            return true;
        }
    }
    return false;
}

static struct store_count *fate_of(struct store_totals *totals, const struct fact *fact,
                                   const struct event *const *rows, size_t count,
                                   const struct event *payment)
{
    if (is_loser(fact, payment)) {
        return &totals->payments_conflict;
    }
    if (fact->order != NULL) {
        return &totals->matched;
    }
    if (has_note(rows, count, payment, NOTE_DISCARDED)) {
        return &totals->discarded;
    }
    if (has_note(rows, count, payment, NOTE_DEAD)) {
        return &totals->dead;
    }
    if (totals->oldest_waiting_us == 0 || payment->published_us < totals->oldest_waiting_us) {
        totals->oldest_waiting_us = payment->published_us;
    }
    return &totals->waiting;
}

static void add_rows(struct store_totals *totals, const struct fact *fact,
                     const struct event *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i]->kind == EVENT_ORDER) {
            add_money(&totals->orders, rows[i]);
            if (is_loser(fact, rows[i])) {
                add_money(&totals->orders_conflict, rows[i]);
            }
        } else if (rows[i]->kind == EVENT_PAYMENT) {
            add_money(fate_of(totals, fact, rows, count, rows[i]), rows[i]);
        }
    }
}

static void add_fact(struct adding *adding, const struct fact *fact)
{
    struct store_totals *totals = adding->totals;
    struct store_settled *line = &adding->settled[fact->settlement][fact->currency.index];
    line->settlement = fact->settlement;
    line->currency = fact->currency;
    line->orders++;
    line->total_minor += fact->order_total_minor;
    line->paid_minor +=
        fact->amount_paid_minor - fact->amount_refunded_minor - fact->amount_charged_back_minor;
    totals->orders_distinct++;
    totals->match_issues[fact->match_issue]++;
    totals->paid[fact->currency.index] += fact->amount_paid_minor;
}

static enum err finish_partition(struct adding *adding, struct slot *slot, struct why *why)
{
    static const struct fold_rules rules = {0};
    const struct event **rows = ARENA_ARRAY(&slot->arena, const struct event *, slot->count);
    struct fold_space space = {
        ARENA_ARRAY(&slot->arena, const struct event *, slot->count),
        ARENA_ARRAY(&slot->arena, const struct event *, slot->count),
        ARENA_ARRAY(&slot->arena, struct fact_payment, slot->count),
    };
    struct fact fact = {0};
    size_t count = 0;
    if (arena_overflowed(&slot->arena)) {
        return why_set(why, ERR_NO_MEMORY, "order %lld has too many events",
                       (long long)slot->order_id);
    }
    for (struct row *row = slot->first; row != NULL; row = row->next) {
        rows[count++] = &row->event;
    }
    enum err err = count > 0 ? fold(rows, count, &rules, &space, &fact) : ERR_OK;
    if (err != ERR_OK) {
        return why_set(why, ERR_CORRUPT, "the events of order %lld do not add up",
                       (long long)slot->order_id);
    }
    add_rows(adding->totals, &fact, rows, count);
    if (fact.order != NULL) {
        add_fact(adding, &fact);
    }
    slot->order_id = 0;
    slot->first = NULL;
    slot->count = 0;
    arena_reset(&slot->arena);
    return ERR_OK;
}

static enum err take_event(void *context, size_t request, const struct cql_cell *cells,
                           struct why *why)
{
    struct adding *adding = context;
    struct slot *slot = &adding->slots[request];
    int64_t order_id = cell_bigint(cells[18]);
    enum err err = ERR_OK;
    if (slot->order_id != 0 && slot->order_id != order_id) {
        err = finish_partition(adding, slot, why);
    }
    struct row *row = ARENA_NEW(&slot->arena, struct row);
    if (err != ERR_OK || row == NULL) {
        return err != ERR_OK ? err
                             : why_set(why, ERR_NO_MEMORY, "order %lld has too many events",
                                       (long long)order_id);
    }
    slot->order_id = order_id;
    row->event.order_id = order_id;
    row->next = slot->first;
    slot->first = row;
    slot->count++;
    return cassandra_read_event(cells, &slot->arena, &row->event)
               ? ERR_OK
               : why_set(why, ERR_CORRUPT, "table order_events: a row of order %lld is damaged",
                         (long long)order_id);
}

// Of the three tables that are scanned; dead letters are few.
#define LOTS_TOTAL (3u * CASSANDRA_PARTS / CASSANDRA_PARTS_AT_ONCE)

static enum err tell_progress(void *context, struct why *why)
{
    struct adding *adding = context;
    struct store_reader *reader = adding->reader;
    (void)why;
    adding->lots++;
    if (reader->progress != NULL) {
        reader->progress(reader->progress_context, adding->lots, LOTS_TOTAL);
    }
    return ERR_OK;
}

static enum err finish_parts(void *context, struct why *why)
{
    struct adding *adding = context;
    enum err err = tell_progress(context, why);
    for (size_t i = 0; err == ERR_OK && i < CASSANDRA_PARTS_AT_ONCE; i++) {
        err = finish_partition(adding, &adding->slots[i], why);
    }
    return err;
}

// --- the other tables -------------------------------------------------------------------------------

// Columns of a fact: see FACT_COLUMNS.
static enum err take_fact(void *context, size_t request, const struct cql_cell *cells,
                          struct why *why)
{
    struct adding *adding = context;
    struct currency currency = CURRENCY_NONE;
    int64_t minor = 0;
    (void)request;
    bool has_payment = cells[1].presence == CQL_PRESENT;
    if (!currency_find(cell_text(cells[14]), &currency) ||
        (has_payment && !cell_money(cells[13], currency, &minor))) {
        return why_set(why, ERR_CORRUPT, "table orders_payments_facts: order %lld is damaged",
                       (long long)cell_bigint(cells[0]));
    }
    adding->totals->facts++;
    adding->totals->captured[currency.index] += minor;
    return ERR_OK;
}

static enum err take_waiting(void *context, size_t request, const struct cql_cell *cells,
                             struct why *why)
{
    (void)request;
    (void)cells;
    (void)why;
    ((struct adding *)context)->totals->waiting_entries++;
    return ERR_OK;
}

static bool take_letter(const struct dead_letter_record *record, void *context)
{
    struct store_totals *totals = ((struct adding *)context)->totals;
    totals->dead_letters[record->reason]++;
    if (reason_class_of(record->reason) == REASON_CLASS_REFUSED ||
        record->reason == REASON_E_POISON) {
        bool order = text_equal(record->source_topic, TEXT("orders_data"));
        totals->dead_letters_refused[order ? APPLIED_ORDERS : APPLIED_PAYMENTS]++;
    }
    return true;
}

static enum err list_settled(struct adding *adding, struct arena *arena, struct why *why)
{
    struct store_totals *totals = adding->totals;
    size_t cap = (size_t)SETTLEMENT_COUNT * STORE_CURRENCIES_MAX;
    totals->settled = ARENA_ARRAY(arena, struct store_settled, cap);
    if (totals->settled == NULL) {
        return why_set(why, ERR_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < cap; i++) {
        const struct store_settled *line =
            &adding->settled[i / STORE_CURRENCIES_MAX][i % STORE_CURRENCIES_MAX];
        if (line->orders > 0) {
            totals->settled[totals->settled_count++] = *line;
        }
    }
    return ERR_OK;
}

static enum err add_all(struct store_reader *base, struct adding *adding, struct arena *arena,
                        struct why *why)
{
    struct cassandra_store *store = cassandra_reader_of(base)->store;
    const struct dead_letter_filter any = {.reason = REASON_NONE};
    enum err err =
        cassandra_scan(store, CASSANDRA_SCAN_EVENTS, take_event, finish_parts, adding, why);
    if (err == ERR_OK) {
        err = cassandra_scan(store, CASSANDRA_SCAN_FACTS, take_fact, tell_progress, adding, why);
    }
    if (err == ERR_OK) {
        err =
            cassandra_scan(store, CASSANDRA_SCAN_WAITING, take_waiting, tell_progress, adding, why);
    }
    if (err == ERR_OK) {
        err = cassandra_reader_letters(base, &any, take_letter, adding, why);
    }
    return err == ERR_OK ? list_settled(adding, arena, why) : err;
}

enum err cassandra_reader_totals(struct store_reader *base, struct text log_id, struct arena *arena,
                                 struct store_totals *out_totals, struct why *why)
{
    struct adding *adding = calloc(1, sizeof(*adding));
    enum err err = adding == NULL ? ERR_NO_MEMORY : ERR_OK;
    (void)log_id; // without a ledger there is nothing of a log
    memset(out_totals, 0, sizeof(*out_totals));
    for (size_t i = 0; err == ERR_OK && i < CASSANDRA_PARTS_AT_ONCE; i++) {
        err = arena_init(&adding->slots[i].arena, SLOT_ARENA_SIZE);
    }
    if (err != ERR_OK) {
        (void)why_set(why, err, "no memory to add up the tables");
    } else {
        adding->totals = out_totals;
        adding->reader = base;
        err = add_all(base, adding, arena, why);
    }
    for (size_t i = 0; adding != NULL && i < CASSANDRA_PARTS_AT_ONCE; i++) {
        arena_deinit(&adding->slots[i].arena);
    }
    free(adding);
    return err;
}
