// Dead letters. A record is written once, by whoever comes first; what becomes of it are insert-only changes
// beside it, and its state is their fold, so that two consumers can't undo each other's work.
#include "cassandra_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_US            (3600 * US_PER_SECOND)
#define CHECK_HOURS_MAX    10000u // more than a year of them
#define CHECKS_AT_ONCE_MAX 256

static int64_t hour_of(int64_t us)
{
    return us - us % HOUR_US;
}

static int32_t bucket_of(const struct hash *id)
{
    return id->bytes[0] % CASSANDRA_LETTER_BUCKETS;
}

static void bind_id(struct cql_values *values, const struct hash *id)
{
    cql_bind_int(values, bucket_of(id));
    bind_hash(values, id);
}

// --- in -----------------------------------------------------------------------------------------

// Of two records of one letter the earlier one stands, all of its cells.
static void add_record(struct call *call, const struct dead_letter_record *record)
{
    size_t size = record->detail.size + record->body.size + record->source_topic.size +
                  record->source_message_id.size + record->event_id.size;
    struct cql_values *values = call_add(call, CASSANDRA_PUT_LETTER, size);
    bind_id(values, &record->id);
    cql_bind_text(values, reason_name(record->reason));
    cql_bind_text(values, record->detail);
    cql_bind_blob(values, record->body);
    cql_bind_text(values, record->source_topic);
    cql_bind_text(values, record->source_message_id);
    cql_bind_bigint(values, record->first_seen_us);
    cql_bind_bigint(values, record->recorded_us);
    cql_bind_bigint(values, record->order_id);
    cql_bind_bigint(values, record->payment_id);
    cql_bind_text(values, record->event_id);
    cql_bind_int(values, (int32_t)record->attempts);
    cql_bind_int(values, (int32_t)record->replay_count);
    cql_bind_boolean(values, record->redacted);
    cql_bind_boolean(values, record->rebuilt);
    cql_bind_bigint(values, PROJECTION_TIMESTAMP_BASE - record->recorded_us);
}

struct change {
    enum dead_letter_state state;
    uint32_t checks;
    int64_t next_check_us;
    int64_t at_us;
    struct text who;
    struct text why;
};

static void add_change(struct call *call, const struct hash *id, const struct change *change)
{
    size_t size = change->who.size + change->why.size;
    struct cql_values *values = call_add(call, CASSANDRA_PUT_LETTER_EVENT, size);
    bind_id(values, id);
    cql_bind_text(values, dead_letter_state_text(change->state));
    cql_bind_int(values, (int32_t)change->checks);
    cql_bind_bigint(values, change->next_check_us);
    cql_bind_bigint(values, change->at_us);
    cql_bind_text(values, change->who);
    cql_bind_text(values, change->why);
    cql_bind_bigint(values, PROJECTION_TIMESTAMP_BASE);
    if (change->state == DEAD_LETTER_WAITING && change->next_check_us > 0) {
        values = call_add(call, CASSANDRA_PUT_LETTER_CHECK, 0);
        cql_bind_bigint(values, hour_of(change->next_check_us));
        cql_bind_bigint(values, change->next_check_us);
        bind_hash(values, id);
        cql_bind_bigint(values, PROJECTION_TIMESTAMP_BASE);
    }
}

static void add_day(struct call *call, const struct dead_letter_record *record)
{
    char day[CLOCK_RFC3339_SIZE];
    struct text reason = reason_name(record->reason);
    struct cql_values *values = call_add(call, CASSANDRA_PUT_LETTER_DAY, reason.size);
    clock_format_rfc3339(record->recorded_us, day);
    bind_day(values, day);
    bind_id(values, &record->id);
    cql_bind_text(values, reason);
    cql_bind_bigint(values, PROJECTION_TIMESTAMP_BASE);
}

static void expect_check(struct cassandra_store *store, int64_t next_check_us)
{
    if (next_check_us > 0 && next_check_us < store->open_check_us) {
        store->open_check_us = next_check_us;
    }
}

enum err cassandra_record_dead_letters(struct store *base, const struct dead_letter_record *records,
                                       size_t count, struct why *why)
{
    struct cassandra_store *store = cassandra_store_of(base);
    struct call call;
    call_init(&call, store, 4 * count, 0);
    for (size_t i = 0; i < count; i++) {
        const struct dead_letter_record *record = &records[i];
        struct change change = {record->state,       record->checks, record->next_check_us,
                                record->recorded_us, TEXT("till"),   reason_name(record->reason)};
        add_record(&call, record);
        add_change(&call, &record->id, &change);
        add_day(&call, record);
        expect_check(store, record->next_check_us);
    }
    return call_run(&call, NULL, NULL, why);
}

enum err cassandra_change_dead_letter(struct store *base, const struct hash *id,
                                      enum dead_letter_state state, uint32_t checks,
                                      int64_t next_check_us, int64_t now_us, struct text who,
                                      struct text why_text, struct why *why)
{
    struct cassandra_store *store = cassandra_store_of(base);
    struct change change = {state, checks, next_check_us, now_us, who, why_text};
    struct call call;
    call_init(&call, store, 2, 0);
    add_change(&call, id, &change);
    expect_check(store, next_check_us);
    return call_run(&call, NULL, NULL, why);
}

// --- the fold -----------------------------------------------------------------------------------

// What a person did, and what has healed, stands; a later check beats an earlier one.
static int rank_of(enum dead_letter_state state)
{
    static const int ranks[DEAD_LETTER_STATE_COUNT] = {
        [DEAD_LETTER_NEW] = 0,         [DEAD_LETTER_WAITING] = 1,  [DEAD_LETTER_EXPIRED] = 2,
        [DEAD_LETTER_QUARANTINED] = 3, [DEAD_LETTER_REPLAYED] = 4, [DEAD_LETTER_DISCARDED] = 5,
        [DEAD_LETTER_HEALED] = 6,
    };
    return ranks[state];
}

static bool comes_after(const struct change *a, const struct change *b)
{
    if (rank_of(a->state) != rank_of(b->state)) {
        return rank_of(a->state) > rank_of(b->state);
    }
    return a->checks != b->checks ? a->checks > b->checks : a->next_check_us < b->next_check_us;
}

static bool find_state(struct text text, enum dead_letter_state *out_state)
{
    for (int state = 0; state < DEAD_LETTER_STATE_COUNT; state++) {
        if (text_equal(text, dead_letter_state_text((enum dead_letter_state)state))) {
            *out_state = (enum dead_letter_state)state;
            return true;
        }
    }
    return false;
}

bool cassandra_letter_change(struct dead_letter_record *record, bool is_first,
                             const struct cql_cell cells[3])
{
    struct change known = {
        .state = record->state, .checks = record->checks, .next_check_us = record->next_check_us};
    struct change change = {.checks = (uint32_t)cell_int(cells[1]),
                            .next_check_us = cell_bigint(cells[2])};
    if (!find_state(cell_text(cells[0]), &change.state)) {
        return false;
    }
    if (is_first || comes_after(&change, &known)) {
        record->state = change.state;
        record->checks = change.checks;
        record->next_check_us = change.next_check_us;
    }
    return true;
}

// --- due ----------------------------------------------------------------------------------------

struct check {
    int64_t next_check_us;
    struct hash id;
    struct dead_letter_record record;
    bool has_record;
    bool has_change;
};

struct checks {
    struct arena *arena; // of the caller
    int64_t *hours;      // that have checks and may hold some that are due
    size_t hour_count;
    size_t hour_cap;
    int64_t from_us;
    int64_t before_us;
    struct check *items;
    size_t count;
};

static enum err take_hour(void *context, size_t request, const struct cql_cell *cells,
                          struct why *why)
{
    struct checks *checks = context;
    int64_t hour_us = cell_bigint(cells[0]);
    (void)request;
    if (hour_us < hour_of(checks->from_us) || hour_us >= checks->before_us) {
        return ERR_OK;
    }
    if (checks->hour_count == checks->hour_cap) {
        return why_set(why, ERR_NO_MEMORY, "dead letters are to be checked in more than %zu hours",
                       checks->hour_cap);
    }
    checks->hours[checks->hour_count++] = hour_us;
    return ERR_OK;
}

static int compare_hours(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static enum err read_hours(struct cassandra_store *store, struct checks *checks, struct why *why)
{
    struct call call;
    checks->hours = ARENA_ARRAY(&store->lists, int64_t, CHECK_HOURS_MAX);
    checks->hour_cap = CHECK_HOURS_MAX;
    if (checks->hours == NULL) {
        return why_set(why, ERR_NO_MEMORY, "too many dead letters at once");
    }
    call_init(&call, store, 1, 0);
    (void)call_add(&call, CASSANDRA_READ_CHECK_HOURS, 0);
    enum err err = call_run(&call, take_hour, checks, why);
    qsort(checks->hours, checks->hour_count, sizeof(checks->hours[0]), compare_hours);
    return err;
}

static enum err take_check(void *context, size_t request, const struct cql_cell *cells,
                           struct why *why)
{
    struct checks *checks = context;
    (void)request;
    assert(checks->count < CHECKS_AT_ONCE_MAX);
    struct check *check = &checks->items[checks->count];
    check->next_check_us = cell_bigint(cells[0]);
    if (!cell_hash(cells[1], &check->id)) {
        return why_set(why, ERR_CORRUPT, "table dead_letter_checks: an id is damaged");
    }
    checks->count++;
    return ERR_OK;
}

// The next checks of an hour, after the last one that was taken.
static enum err read_checks(struct cassandra_store *store, struct checks *checks, int64_t hour_us,
                            const struct check *after, struct why *why)
{
    static const struct hash none = {{0}};
    struct call call;
    call_init(&call, store, 1, 0);
    struct cql_values *values = call_add(&call, CASSANDRA_READ_CHECKS, 0);
    cql_bind_bigint(values, hour_us);
    cql_bind_bigint(values, after != NULL ? after->next_check_us : checks->from_us - 1);
    bind_hash(values, after != NULL ? &after->id : &none);
    cql_bind_bigint(values, checks->before_us);
    cql_bind_int(values, CHECKS_AT_ONCE_MAX);
    checks->count = 0;
    memset(checks->items, 0, CHECKS_AT_ONCE_MAX * sizeof(checks->items[0]));
    return call_run(&call, take_check, checks, why);
}

static enum err take_letter(void *context, size_t request, const struct cql_cell *cells,
                            struct why *why)
{
    struct checks *checks = context;
    struct check *check = &checks->items[request / 2];
    struct dead_letter_record *record = &check->record;
    if (request % 2 == 1) {
        bool sound = cassandra_letter_change(record, !check->has_change, cells);
        check->has_change = true;
        return sound ? ERR_OK
                     : why_set(why, ERR_CORRUPT, "table dead_letter_events: a state is damaged");
    }
    check->has_record = true;
    record->id = check->id;
    record->order_id = cell_bigint(cells[1]);
    record->payment_id = cell_bigint(cells[2]);
    record->event_id = cell_copy(cells[3], checks->arena);
    record->first_seen_us = cell_bigint(cells[4]);
    return reason_find(cell_text(cells[0]), &record->reason)
               ? ERR_OK
               : why_set(why, ERR_CORRUPT, "table dead_letters: a reason is damaged");
}

static enum err read_letters(struct cassandra_store *store, struct checks *checks, struct why *why)
{
    struct call call;
    call_init(&call, store, 2 * checks->count, 0);
    for (size_t i = 0; i < checks->count; i++) {
        bind_id(call_add(&call, CASSANDRA_READ_LETTER, 0), &checks->items[i].id);
        bind_id(call_add(&call, CASSANDRA_READ_LETTER_EVENTS, 0), &checks->items[i].id);
    }
    return call_run(&call, take_letter, checks, why);
}

// A check that a later change has made superfluous is none.
static bool is_due(const struct check *check)
{
    return check->has_record && check->has_change && check->record.state == DEAD_LETTER_WAITING &&
           check->record.next_check_us == check->next_check_us;
}

struct due {
    struct dead_letter_record *records;
    size_t count;
    size_t cap;
    bool open_known; // store->open_check_us is that of the first one that is due
};

static void take_due(struct cassandra_store *store, const struct checks *checks, struct due *due)
{
    for (size_t i = 0; i < checks->count && due->count < due->cap; i++) {
        const struct check *check = &checks->items[i];
        if (is_due(check)) {
            due->records[due->count++] = check->record;
        }
        if (!due->open_known) {
            store->open_check_us = check->next_check_us;
            due->open_known = is_due(check);
        }
    }
}

static enum err read_hour(struct cassandra_store *store, struct checks *checks, int64_t hour_us,
                          struct due *due, struct why *why)
{
    enum err err = read_checks(store, checks, hour_us, NULL, why);
    while (err == ERR_OK && checks->count > 0) {
        err = read_letters(store, checks, why);
        if (err == ERR_OK) {
            take_due(store, checks, due);
        }
        if (err != ERR_OK || checks->count < CHECKS_AT_ONCE_MAX || due->count == due->cap) {
            break;
        }
        struct check last = checks->items[checks->count - 1];
        err = read_checks(store, checks, hour_us, &last, why);
    }
    return err;
}

enum err cassandra_due_dead_letters(struct store *base, int64_t before_us, size_t count_max,
                                    struct arena *arena, struct dead_letter_record **out_records,
                                    size_t *out_count, struct why *why)
{
    struct cassandra_store *store = cassandra_store_of(base);
    struct checks checks = {
        .arena = arena, .from_us = store->open_check_us, .before_us = before_us};
    arena_reset(&store->lists);
    checks.items = ARENA_ARRAY(&store->lists, struct check, CHECKS_AT_ONCE_MAX);
    struct due due = {ARENA_ARRAY(arena, struct dead_letter_record, count_max), 0, count_max,
                      false};
    if (checks.items == NULL || arena_overflowed(arena)) {
        return why_set(why, ERR_NO_MEMORY, "too many dead letters at once");
    }
    enum err err = read_hours(store, &checks, why);
    for (size_t i = 0; err == ERR_OK && i < checks.hour_count && due.count < count_max; i++) {
        err = read_hour(store, &checks, checks.hours[i], &due, why);
    }
    *out_records = due.records;
    *out_count = due.count;
    return err;
}
