// Reading dead letters from a keyspace: a bucket of the ids at a time, records and what became of them.
#include "cassandra_store.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_SIZE (256u << 20) // of address space

enum column {
    COLUMN_ID,
    COLUMN_REASON,
    COLUMN_DETAIL,
    COLUMN_BODY,
    COLUMN_SOURCE_TOPIC,
    COLUMN_SOURCE_MESSAGE_ID,
    COLUMN_FIRST_SEEN_US,
    COLUMN_RECORDED_US,
    COLUMN_ORDER_ID,
    COLUMN_PAYMENT_ID,
    COLUMN_EVENT_ID,
    COLUMN_ATTEMPTS,
    COLUMN_REPLAY_COUNT,
    COLUMN_REDACTED,
    COLUMN_REBUILT,
};

struct letter {
    struct letter *next;
    struct dead_letter_record record;
    bool has_change;
};

struct letters {
    const struct dead_letter_filter *filter;
    struct arena arena;
    struct letter *first; // in the order of their ids
    struct letter **end;
    struct letter *at; // changes come in the same order
    size_t count;
};

static bool passes(const struct dead_letter_filter *filter, const struct hash *id,
                   enum reason reason)
{
    char hex[HASH_HEX_SIZE];
    hash_format(id, hex);
    return (filter->reason == REASON_NONE || reason == filter->reason) &&
           text_starts_with(text_of(hex), filter->id_prefix);
}

static void fill_record(const struct cql_cell *cells, struct arena *arena,
                        struct dead_letter_record *record)
{
    record->detail = cell_copy(cells[COLUMN_DETAIL], arena);
    record->body = cell_copy(cells[COLUMN_BODY], arena);
    record->source_topic = cell_copy(cells[COLUMN_SOURCE_TOPIC], arena);
    record->source_message_id = cell_copy(cells[COLUMN_SOURCE_MESSAGE_ID], arena);
    record->first_seen_us = cell_bigint(cells[COLUMN_FIRST_SEEN_US]);
    record->recorded_us = cell_bigint(cells[COLUMN_RECORDED_US]);
    record->order_id = cell_bigint(cells[COLUMN_ORDER_ID]);
    record->payment_id = cell_bigint(cells[COLUMN_PAYMENT_ID]);
    record->event_id = cell_copy(cells[COLUMN_EVENT_ID], arena);
    record->attempts = (uint32_t)cell_int(cells[COLUMN_ATTEMPTS]);
    record->replay_count = (uint32_t)cell_int(cells[COLUMN_REPLAY_COUNT]);
    record->redacted = cell_boolean(cells[COLUMN_REDACTED]);
    record->rebuilt = cell_boolean(cells[COLUMN_REBUILT]);
}

static enum err take_letter(void *context, size_t request, const struct cql_cell *cells,
                            struct why *why)
{
    struct letters *letters = context;
    struct hash id;
    enum reason reason = REASON_NONE;
    (void)request;
    if (!cell_hash(cells[COLUMN_ID], &id) ||
        !reason_find(cell_text(cells[COLUMN_REASON]), &reason)) {
        return why_set(why, ERR_CORRUPT, "table dead_letters: a row is damaged");
    }
    if (!passes(letters->filter, &id, reason)) {
        return ERR_OK;
    }
    struct letter *letter = ARENA_NEW(&letters->arena, struct letter);
    if (letter == NULL) {
        return why_set(why, ERR_NO_MEMORY, "too many dead letters in one bucket");
    }
    letter->record.id = id;
    letter->record.reason = reason;
    fill_record(cells, &letters->arena, &letter->record);
    *letters->end = letter;
    letters->end = &letter->next;
    letters->count++;
    return ERR_OK;
}

static enum err take_change(void *context, size_t request, const struct cql_cell *cells,
                            struct why *why)
{
    struct letters *letters = context;
    struct hash id;
    (void)request;
    if (!cell_hash(cells[3], &id)) {
        return why_set(why, ERR_CORRUPT, "table dead_letter_events: an id is damaged");
    }
    while (letters->at != NULL && hash_compare(&letters->at->record.id, &id) < 0) {
        letters->at = letters->at->next;
    }
    if (letters->at == NULL || !hash_equal(&letters->at->record.id, &id)) {
        return ERR_OK;
    }
    bool sound = cassandra_letter_change(&letters->at->record, !letters->at->has_change, cells);
    letters->at->has_change = true;
    return sound ? ERR_OK
                 : why_set(why, ERR_CORRUPT, "table dead_letter_events: a state is damaged");
}

// A dead letter whose order has come is healed, whether or not its next check was due yet.
static enum err heal(struct cassandra_store *store, struct letters *letters, struct why *why)
{
    int64_t *order_ids = ARENA_ARRAY(&letters->arena, int64_t, letters->count);
    struct letter **candidates = ARENA_ARRAY(&letters->arena, struct letter *, letters->count);
    bool *there = ARENA_ARRAY(&letters->arena, bool, letters->count);
    size_t count = 0;
    if (arena_overflowed(&letters->arena)) {
        return why_set(why, ERR_NO_MEMORY, "too many dead letters in one bucket");
    }
    for (struct letter *letter = letters->first; letter != NULL; letter = letter->next) {
        enum dead_letter_state state = letter->record.state;
        if (letter->record.order_id > 0 &&
            (state == DEAD_LETTER_WAITING || state == DEAD_LETTER_EXPIRED)) {
            order_ids[count] = letter->record.order_id;
            candidates[count++] = letter;
        }
    }
    enum err err = cassandra_find_orders(store, order_ids, count, there, why);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        if (there[i]) {
            candidates[i]->record.state = DEAD_LETTER_HEALED;
        }
    }
    return err;
}

static enum err read_bucket(struct cassandra_store *store, int32_t bucket, struct letters *letters,
                            struct why *why)
{
    struct call call;
    arena_reset(&letters->arena);
    letters->first = NULL;
    letters->end = &letters->first;
    letters->count = 0;
    call_init(&call, store, 1, 0);
    cql_bind_int(call_add(&call, CASSANDRA_SCAN_LETTERS, 0), bucket);
    enum err err = call_run(&call, take_letter, letters, why);
    if (err == ERR_OK && arena_overflowed(&letters->arena)) {
        err = why_set(why, ERR_NO_MEMORY, "too many dead letters in one bucket");
    }
    if (err != ERR_OK || letters->count == 0) {
        return err;
    }
    letters->at = letters->first;
    call_init(&call, store, 1, 0);
    cql_bind_int(call_add(&call, CASSANDRA_SCAN_LETTER_EVENTS, 0), bucket);
    err = call_run(&call, take_change, letters, why);
    return err == ERR_OK ? heal(store, letters, why) : err;
}

// The buckets that ids of this prefix may lie in: the first byte of an id is its bucket.
static bool may_hold(const struct dead_letter_filter *filter, int32_t bucket)
{
    struct hash id = {{(unsigned char)bucket}};
    char hex[HASH_HEX_SIZE];
    hash_format(&id, hex);
    size_t size = filter->id_prefix.size < 2 ? filter->id_prefix.size : 2;
    return size == 0 || memcmp(hex, filter->id_prefix.data, size) == 0;
}

enum err cassandra_reader_letters(struct store_reader *base,
                                  const struct dead_letter_filter *filter, dead_letter_row_fn *row,
                                  void *context, struct why *why)
{
    struct cassandra_store *store = cassandra_reader_of(base)->store;
    struct letters letters = {.filter = filter};
    uint64_t given = 0;
    bool ended = false;
    if (arena_init(&letters.arena, ARENA_SIZE) != ERR_OK) {
        return why_set(why, ERR_NO_MEMORY, "no memory to read dead letters");
    }
    enum err err = ERR_OK;
    for (int32_t bucket = 0; err == ERR_OK && !ended && bucket < CASSANDRA_LETTER_BUCKETS;
         bucket++) {
        if (!may_hold(filter, bucket)) {
            continue;
        }
        err = read_bucket(store, bucket, &letters, why);
        for (struct letter *letter = letters.first; err == ERR_OK && !ended && letter != NULL;
             letter = letter->next) {
            given++;
            ended =
                !row(&letter->record, context) || (filter->row_max > 0 && given == filter->row_max);
        }
    }
    arena_deinit(&letters.arena);
    return err;
}
