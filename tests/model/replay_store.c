// The store seam of a replay: each call becomes the writes and reads that a store of replicas does for
// it, under the way of the world. Not transactional: begin and commit mean nothing.
#include "replay_seams.h"

#include <assert.h>
#include <string.h>

static struct seams *seams_of(struct store *store)
{
    return (struct seams *)((char *)store - offsetof(struct seams, store));
}

static struct call read_call(enum read_kind kind, uint64_t mask)
{
    return (struct call){.kind = CALL_READ, .read = (uint8_t)kind, .mask = mask};
}

static enum err ask_to_write(struct seams *seams, uint64_t mask)
{
    struct call call = {.kind = CALL_WRITE, .mask = mask};
    call.number = (uint16_t)universe_write(seams->universe, mask);
    return seams_ask(seams, &call, NULL);
}

static enum err ask_to_read(struct seams *seams, enum read_kind kind, uint64_t mask,
                            uint32_t *out_answer)
{
    struct call call = read_call(kind, mask);
    return seams_ask(seams, &call, out_answer);
}

static enum err ask_to_project(struct seams *seams, uint16_t rows, const struct fact *fact)
{
    struct call call = {.kind = CALL_PROJECT};
    call.number = (uint16_t)universe_projection(seams->universe, rows, fact);
    return seams_ask(seams, &call, NULL);
}

static enum err begin(struct store *store, struct why *why)
{
    (void)store;
    (void)why;
    return ERR_OK;
}

static void rollback(struct store *store)
{
    (void)store;
}

// --- events ---------------------------------------------------------------------------------------

// Rows that come in, and from their kind where in the protocol this is.
static uint16_t note_own_rows(struct seams *seams, const struct store_group *group)
{
    unsigned rows = 0;
    for (size_t i = 0; i < group->incoming_count; i++) {
        const struct event *event = &group->incoming[i]->event;
        rows |= 1u << universe_row(seams->universe, event);
        if (event->kind == EVENT_NOTE) {
            seams->phase = event->note.kind == NOTE_DEAD ? PHASE_DEAD : PHASE_PARKED;
        }
    }
    seams->own_rows = (uint16_t)rows;
    return (uint16_t)rows;
}

static uint16_t rows_left_in(const struct seams *seams, uint16_t rows)
{
    const struct universe *universe = seams->universe;
    if ((seams->phase == PHASE_PARKED && seams_removed(seams, REMOVE_PARKED)) ||
        (seams->phase == PHASE_DEAD && seams_removed(seams, REMOVE_DEAD))) {
        return 0;
    }
    if (seams_removed(seams, REMOVE_INSERT_ORDER)) {
        rows &= (uint16_t)~universe_rows_of(universe, EVENT_ORDER);
    }
    if (seams_removed(seams, REMOVE_INSERT_PAYMENT)) {
        rows &= (uint16_t)~universe_rows_of(universe, EVENT_PAYMENT);
    }
    return rows;
}

// The variants that look before they write.
static enum err read_early(struct seams *seams, uint16_t *rows)
{
    bool decides = seams_variant(seams, VARIANT_READ_THEN_DECIDE);
    if ((!decides && !seams_variant(seams, VARIANT_READ_BEFORE_WRITE)) || *rows == 0) {
        return ERR_OK;
    }
    uint32_t answer = 0;
    enum err err = ask_to_read(seams, READ_EVENTS, EVENTS_MASK, &answer);
    seams->has_early_rows = true;
    seams->early_rows = (uint16_t)answer;
    uint16_t orders = universe_rows_of(seams->universe, EVENT_ORDER);
    if (decides && ((answer | *rows) & orders) == 0) {
        *rows &= (uint16_t)~universe_rows_of(seams->universe, EVENT_PAYMENT);
    }
    return err;
}

// The whole row of the facts, without the payment that may stand there already.
static enum err write_nulls(struct seams *seams)
{
    uint16_t orders = seams->own_rows & universe_rows_of(seams->universe, EVENT_ORDER);
    if (orders == 0 || !seams_variant(seams, VARIANT_NULLS_INCLUDED)) {
        return ERR_OK;
    }
    unsigned row = (unsigned)__builtin_ctz(orders);
    struct fact fact = {.order_id = MODEL_ORDER_ID,
                        .order = &seams->universe->rows[row].event,
                        .n_events = 1,
                        .n_rows = 1};
    return ask_to_project(seams, orders, &fact);
}

static enum err insert_events(struct store *store, struct store_group *groups, size_t count,
                              struct why *why)
{
    (void)why;
    struct seams *seams = seams_of(store);
    assert(count <= 1); // a world has one order
    seams->has_early_rows = false;
    uint16_t rows = count == 0 ? 0 : note_own_rows(seams, &groups[0]);
    rows = rows_left_in(seams, rows);
    enum err err = read_early(seams, &rows);
    if (err == ERR_OK && rows != 0) {
        err = ask_to_write(seams, rows);
    }
    return err == ERR_OK ? write_nulls(seams) : err;
}

static bool read_is_removed(const struct seams *seams)
{
    static const enum removal removals[] = {
        [PHASE_CONSUMER] = REMOVE_READ,
        [PHASE_PARKED] = REMOVE_READ_PARKED,
        [PHASE_DEAD] = REMOVE_READ_DEAD,
        [PHASE_LETTER] = REMOVE_READ_LETTER,
    };
    return seams_removed(seams, removals[seams->phase]);
}

// One row a payment: of the events of one payment only the one that came last is there.
static uint16_t last_of_each_payment(const struct universe *universe, uint16_t rows)
{
    unsigned kept = rows;
    for (unsigned a = 0; a < universe->row_count; a++) {
        for (unsigned b = 0; b < universe->row_count; b++) {
            const struct event *older = &universe->rows[a].event;
            const struct event *newer = &universe->rows[b].event;
            bool replaced = has_bit(rows, a) && has_bit(rows, b) && older->kind == EVENT_PAYMENT &&
                            newer->kind == EVENT_PAYMENT && older->entity_id == newer->entity_id &&
                            older->published_us < newer->published_us;
            kept &= replaced ? ~(1u << a) : ~0u;
        }
    }
    return (uint16_t)kept;
}

// What came in is given by its own pointer, as the seam demands.
static const struct event *event_of_row(const struct seams *seams, const struct store_group *group,
                                        unsigned row)
{
    for (size_t i = 0; i < group->incoming_count; i++) {
        if (universe_row(seams->universe, &group->incoming[i]->event) == row) {
            return &group->incoming[i]->event;
        }
    }
    return &seams->universe->rows[row].event;
}

static enum err read_partitions(struct store *store, struct store_group *groups, size_t count,
                                struct arena *arena, struct why *why)
{
    (void)why;
    struct seams *seams = seams_of(store);
    uint32_t answer = seams->early_rows;
    enum err err = ERR_OK;
    if (count == 0) {
        return ERR_OK;
    }
    if (read_is_removed(seams)) {
        answer = 0;
    } else if (!seams->has_early_rows) {
        err = ask_to_read(seams, READ_EVENTS, EVENTS_MASK, &answer);
    }
    if (err != ERR_OK) {
        return err;
    }
    uint16_t rows = (uint16_t)(answer | seams->own_rows);
    if (seams_variant(seams, VARIANT_LAST_WRITE_WINS)) {
        rows = last_of_each_payment(seams->universe, rows);
    }
    seams->rows_read = rows;
    groups[0].rows = ARENA_ARRAY(arena, const struct event *, ROWS_MAX);
    assert(groups[0].rows != NULL);
    for (unsigned i = 0; i < ROWS_MAX; i++) {
        if (has_bit(rows, i)) {
            groups[0].rows[groups[0].row_count++] = event_of_row(seams, &groups[0], i);
        }
    }
    return ERR_OK;
}

static enum err write_facts(struct store *store, struct store_group *groups, size_t count,
                            struct why *why)
{
    (void)why;
    static const enum removal removals[] = {
        [PHASE_CONSUMER] = REMOVE_PROJECT,
        [PHASE_PARKED] = REMOVE_PROJECT_PARKED,
        [PHASE_DEAD] = REMOVE_PROJECT_DEAD,
        [PHASE_LETTER] = REMOVE_PROJECT_LETTER,
    };
    struct seams *seams = seams_of(store);
    bool writes =
        count > 0 && !seams_removed(seams, removals[seams->phase]) &&
        (groups[0].fact.order != NULL || seams_variant(seams, VARIANT_PROJECT_WITHOUT_ORDER));
    return writes ? ask_to_project(seams, seams->rows_read, &groups[0].fact) : ERR_OK;
}

// --- waiting payments -----------------------------------------------------------------------------

static unsigned message_of_entry(const struct seams *seams, const struct waiting_payment *entry)
{
    for (unsigned i = 0; i < seams->universe->message_count; i++) {
        if (text_equal(seams->universe->messages[i].message_id, entry->message_id)) {
            return i;
        }
    }
    assert(false);
    return 0;
}

static enum err insert_waiting(struct store *store, const struct waiting_payment *items,
                               size_t count, struct why *why)
{
    (void)why;
    struct seams *seams = seams_of(store);
    unsigned entries = 0;
    unsigned bucket = count == 0 ? 0 : universe_bucket(seams->universe, items[0].due_us);
    for (size_t i = 0; i < count; i++) {
        assert(items[i].due_us == items[0].due_us);
        entries |= 1u << message_of_entry(seams, &items[i]);
    }
    bool removed = seams_removed(seams, bucket == 0 ? REMOVE_INDEX : REMOVE_REWRITE) ||
                   seams_variant(seams, VARIANT_READ_THEN_DECIDE);
    return entries == 0 || removed ? ERR_OK
                                   : ask_to_write(seams, (uint64_t)entries << BUCKET_SHIFT(bucket));
}

static enum err due_buckets(struct store *store, int64_t before_us, size_t count_max,
                            struct arena *arena, struct waiting_bucket **out_buckets,
                            size_t *out_count, struct why *why)
{
    (void)why;
    struct seams *seams = seams_of(store);
    uint64_t mask = 0;
    for (unsigned k = 0; universe_due_us(seams->universe, k) < before_us; k++) {
        mask |= BUCKET_BITS(k);
    }
    uint32_t answer = 0;
    enum err err = ask_to_read(seams, READ_DUE, mask, &answer);
    if (err != ERR_OK) {
        return err;
    }
    *out_count = 0;
    *out_buckets = ARENA_ARRAY(arena, struct waiting_bucket, count_max);
    assert(*out_buckets != NULL);
    for (unsigned k = 0; k < WORLD_BUCKETS_MAX; k++) {
        if (has_bit(answer, k)) {
            (*out_buckets)[(*out_count)++] =
                (struct waiting_bucket){universe_due_us(seams->universe, k), 0};
        }
    }
    return ERR_OK;
}

static enum err ask_for_entries(struct seams *seams, unsigned bucket, unsigned entries,
                                uint32_t *out_entries)
{
    return ask_to_read(seams, READ_ENTRIES, (uint64_t)entries << BUCKET_SHIFT(bucket), out_entries);
}

static enum err close_bucket(struct store *store, struct waiting_bucket bucket, struct why *why)
{
    (void)why;
    struct seams *seams = seams_of(store);
    unsigned number = universe_bucket(seams->universe, bucket.due_us);
    enum err err = ERR_OK;
    if (seams_variant(seams, VARIANT_CHECK_THEN_MARK)) {
        seams->has_early_entries = true;
        err = ask_for_entries(seams, number, BUCKET_ENTRIES, &seams->early_entries);
    }
    bool removed =
        seams_removed(seams, REMOVE_CLOSE) || seams_variant(seams, VARIANT_CURSOR_BY_PUBLISH_TIME);
    return err != ERR_OK || removed
               ? err
               : ask_to_write(seams, (uint64_t)BUCKET_CLOSED << BUCKET_SHIFT(number));
}

static enum err bucket_is_closed(struct store *store, struct waiting_bucket bucket,
                                 bool *out_closed, struct why *why)
{
    (void)why;
    struct seams *seams = seams_of(store);
    *out_closed = false;
    if (seams_removed(seams, REMOVE_ASK_CLOSED) ||
        seams_variant(seams, VARIANT_CURSOR_BY_PUBLISH_TIME) ||
        seams_variant(seams, VARIANT_READ_THEN_DECIDE)) {
        return ERR_OK;
    }
    unsigned number = universe_bucket(seams->universe, bucket.due_us);
    uint32_t answer = 0;
    enum err err =
        ask_to_read(seams, READ_CLOSED, (uint64_t)BUCKET_CLOSED << BUCKET_SHIFT(number), &answer);
    *out_closed = err == ERR_OK && answer != 0;
    return err;
}

static int compare_entries(const struct waiting_payment *a, const struct waiting_payment *b)
{
    int by = (a->payment_id > b->payment_id) - (a->payment_id < b->payment_id);
    return by != 0 ? by : text_compare(a->event_id, b->event_id);
}

// Messages whose entry comes after that one in the order of the key.
static unsigned entries_after(const struct universe *universe, const struct waiting_payment *after)
{
    unsigned entries = 0;
    for (unsigned i = 0; i < universe->message_count; i++) {
        struct waiting_payment entry = universe_entry(universe, i, 0);
        bool is_payment = has_bit(universe->payment_messages, i);
        entries |=
            is_payment && (after == NULL || compare_entries(&entry, after) > 0) ? 1u << i : 0;
    }
    return entries;
}

// Puts the entry where it belongs. One of the same key that is there is replaced: last write wins.
static void place_entry(struct waiting_payment *items, size_t *count,
                        const struct waiting_payment *entry)
{
    size_t at = 0;
    while (at < *count && compare_entries(&items[at], entry) < 0) {
        at++;
    }
    if (at == *count || compare_entries(&items[at], entry) != 0) {
        memmove(items + at + 1, items + at, (*count - at) * sizeof(items[0]));
        (*count)++;
    }
    items[at] = *entry;
}

static enum err read_bucket(struct store *store, struct waiting_bucket bucket,
                            const struct waiting_payment *after, size_t count_max,
                            struct arena *arena, struct waiting_payment **out_items,
                            size_t *out_count, struct why *why)
{
    (void)why;
    struct seams *seams = seams_of(store);
    struct universe *universe = seams->universe;
    unsigned number = universe_bucket(universe, bucket.due_us);
    unsigned wanted = entries_after(universe, after);
    uint32_t entries = 0;
    enum err err = ERR_OK;
    assert(count_max >= WORLD_MESSAGES_MAX);
    if (seams->has_early_entries) {
        entries = seams->early_entries & wanted;
    } else if (wanted != 0 && !seams_removed(seams, REMOVE_READ_BUCKET)) {
        err = ask_for_entries(seams, number, wanted, &entries);
        entries = err != ERR_OK ? 0 : entries << __builtin_ctz(wanted);
    }
    if (err != ERR_OK) {
        return err;
    }
    *out_count = 0;
    *out_items = ARENA_ARRAY(arena, struct waiting_payment, WORLD_MESSAGES_MAX);
    assert(*out_items != NULL);
    for (unsigned i = 0; i < universe->message_count; i++) {
        if (has_bit(entries, i)) {
            struct waiting_payment entry = universe_entry(universe, i, number);
            place_entry(*out_items, out_count, &entry);
        }
    }
    return ERR_OK;
}

static enum err finish_bucket(struct store *store, struct waiting_bucket bucket, struct why *why)
{
    (void)why;
    struct seams *seams = seams_of(store);
    seams->has_early_entries = false;
    unsigned number = universe_bucket(seams->universe, bucket.due_us);
    return seams_removed(seams, REMOVE_FINISH)
               ? ERR_OK
               : ask_to_write(seams, (uint64_t)BUCKET_DONE << BUCKET_SHIFT(number));
}

static enum err record_dead_letters(struct store *store, const struct dead_letter_record *records,
                                    size_t count, struct why *why)
{
    (void)why;
    struct seams *seams = seams_of(store);
    assert(count == 1); // a consumer of a world takes one letter
    bool known = false;
    for (unsigned i = 0; i < seams->universe->letter_count; i++) {
        known |= i == seams->program->letter &&
                 hash_equal(&seams->universe->letters[i].id, &records[0].id);
    }
    assert(known);
    bool removed =
        seams_removed(seams, REMOVE_RECORD) || seams_variant(seams, VARIANT_FORGETFUL_DEAD_LETTERS);
    return removed ? ERR_OK
                   : ask_to_write(seams, UINT64_C(1) << (RECORD_SHIFT + seams->program->letter));
}

// What is not here is not called by what the model runs.
// A store that several processes share keeps no ledger.
static enum err add_tallies(struct store *store, struct text log_id, const struct tally *tallies,
                            size_t count, struct why *why)
{
    (void)store;
    (void)log_id;
    (void)tallies;
    (void)count;
    (void)why;
    return ERR_OK;
}

const struct store_ops replay_store_ops = {
    .begin = begin,
    .commit = begin,
    .rollback = rollback,
    .insert_events = insert_events,
    .read_partitions = read_partitions,
    .write_facts = write_facts,
    .insert_waiting = insert_waiting,
    .due_buckets = due_buckets,
    .close_bucket = close_bucket,
    .bucket_is_closed = bucket_is_closed,
    .read_bucket = read_bucket,
    .finish_bucket = finish_bucket,
    .add_tallies = add_tallies,
    .record_dead_letters = record_dead_letters,
};
