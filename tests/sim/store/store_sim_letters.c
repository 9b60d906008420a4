// Dead letters. A record is written once, keyed by the letter's id; what becomes of it are insert-only
// changes beside it, and its state is their fold, so that two consumers can't undo each other's work.
#include "store_sim_internal.h"

static const struct partition_key letters = {0, 0};

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

static bool comes_after(const struct letter_change *a, const struct letter_change *b)
{
    if (rank_of(a->state) != rank_of(b->state)) {
        return rank_of(a->state) > rank_of(b->state);
    }
    return a->checks != b->checks ? a->checks > b->checks : a->next_check_us < b->next_check_us;
}

static bool is_of(const struct row *change, const struct row_key *letter)
{
    return change->key.first == letter->first && change->key.second == letter->second;
}

static bool is_after(const struct row *change, const struct row_key *letter)
{
    return change->key.first != letter->first ? change->key.first > letter->first
                                              : change->key.second > letter->second;
}

void letter_walk(struct letter_walk *walk, const struct partition *changes)
{
    *walk = (struct letter_walk){.changes = changes};
}

// What became of the letter last; NULL when nothing did.
static const struct letter_change *last_change(struct letter_walk *walk,
                                               const struct row_key *letter)
{
    const struct letter_change *last = NULL;
    while (walk->at < walk->changes->count && !is_after(walk->changes->rows[walk->at], letter)) {
        const struct row *row = walk->changes->rows[walk->at++];
        const struct letter_change *change = row->key.object;
        bool counts = is_of(row, letter) && cell_is_set(&row->cells[0]);
        last = counts && (last == NULL || comes_after(change, last)) ? change : last;
    }
    return last;
}

static void fill_record(const struct row *row, const struct letter_change *last,
                        struct dead_letter_record *out_record)
{
    *out_record = *(const struct dead_letter_record *)row->cells[0].object;
    if (last != NULL) {
        out_record->state = last->state;
        out_record->checks = last->checks;
        out_record->next_check_us = last->next_check_us;
    }
}

bool letter_walk_to(struct letter_walk *walk, const struct row *row,
                    struct dead_letter_record *out_record)
{
    const struct letter_change *last = last_change(walk, &row->key);
    bool there = cell_is_set(&row->cells[0]);
    if (there) {
        fill_record(row, last, out_record);
    }
    return there;
}

// --- in -----------------------------------------------------------------------------------------

static void put_change(struct op *op, const struct hash *id, const struct letter_change *change)
{
    struct cluster *cluster = op->cluster;
    struct letter_change *copy = pool_take(&cluster->pool, sizeof(*copy));
    *copy = *change;
    copy->who = intern_text(cluster, change->who);
    copy->why = intern_text(cluster, change->why);
    struct row_key key = letter_row_key(id);
    key.object = copy;
    op_put(op, TABLE_LETTER_CHANGES, key, 0, cell_number(session_stamp(op->session), 1));
}

// Embedded a record is found before it is written again; in a cluster the cells decide.
static enum err drop_known(struct session *session, const struct dead_letter_record *records,
                           size_t count, bool *known, struct why *why)
{
    struct op *op = op_begin_read(session);
    for (size_t i = 0; i < count; i++) {
        op_ask_row(op, TABLE_LETTERS, letters, letter_row_key(&records[i].id));
    }
    enum err err = op_run_read(op, why);
    if (err != ERR_OK) {
        return err;
    }
    for (size_t i = 0; i < count; i++) {
        known[i] = op->parts[i].result->count > 0;
        for (size_t k = 0; k < i && !known[i]; k++) {
            known[i] = hash_equal(&records[k].id, &records[i].id);
        }
    }
    op_release(op);
    return ERR_OK;
}

static enum err write_records(struct session *session, const struct dead_letter_record *records,
                              size_t count, const bool *known, struct why *why)
{
    struct op *op = op_begin_write(session);
    op_mutation(op, letters);
    for (size_t i = 0; i < count; i++) {
        const struct dead_letter_record *record = &records[i];
        if (known[i]) {
            continue;
        }
        op_put(op, TABLE_LETTERS, letter_row_key(&record->id), 0,
               cell_object(session_stamp(session), CELL_LETTER,
                           intern_letter(session->cluster, record)));
        struct letter_change change = {record->state,         record->checks,
                                       record->next_check_us, record->recorded_us,
                                       TEXT("till"),          reason_name(record->reason)};
        put_change(op, &record->id, &change);
    }
    return op_run_write(op, why);
}

enum err sim_record_dead_letters(struct store *store, const struct dead_letter_record *records,
                                 size_t count, struct why *why)
{
    struct session *session = session_of(store);
    enum err err = session_alive(session);
    if (err != ERR_OK || count == 0 || is_variant(session, VARIANT_FORGETFUL_DEAD_LETTERS)) {
        return err;
    }
    struct pool *pool = &session->cluster->pool;
    bool *known = pool_take(pool, count * sizeof(known[0]));
    if (is_embedded(session)) {
        err = drop_known(session, records, count, known, why);
    }
    if (err == ERR_OK) {
        err = write_records(session, records, count, known, why);
    }
    pool_give(pool, known, count * sizeof(known[0]));
    return err;
}

enum err sim_change_dead_letter(struct store *store, const struct hash *id,
                                enum dead_letter_state state, uint32_t checks,
                                int64_t next_check_us, int64_t now_us, struct text who,
                                struct text why_text, struct why *why)
{
    struct op *op = op_begin_write(session_of(store));
    struct letter_change change = {state, checks, next_check_us, now_us, who, why_text};
    op_mutation(op, letters);
    put_change(op, id, &change);
    return op_run_write(op, why);
}

// --- due ----------------------------------------------------------------------------------------

static bool comes_due_first(const struct dead_letter_record *a, const struct dead_letter_record *b)
{
    return a->next_check_us != b->next_check_us ? a->next_check_us < b->next_check_us
                                                : hash_compare(&a->id, &b->id) < 0;
}

// Keeps the `cap` records that come due first, in that order.
static size_t keep_earliest(struct dead_letter_record *records, size_t count, size_t cap,
                            const struct dead_letter_record *record)
{
    if (count == cap && (cap == 0 || !comes_due_first(record, &records[cap - 1]))) {
        return count;
    }
    size_t at = count < cap ? count : cap - 1;
    while (at > 0 && comes_due_first(record, &records[at - 1])) {
        records[at] = records[at - 1];
        at--;
    }
    records[at] = *record;
    return count < cap ? count + 1 : count;
}

static bool is_due(const struct row *row, const struct letter_change *last, int64_t before_us)
{
    if (!cell_is_set(&row->cells[0])) {
        return false;
    }
    const struct dead_letter_record *record = row->cells[0].object;
    enum dead_letter_state state = last != NULL ? last->state : record->state;
    int64_t check_us = last != NULL ? last->next_check_us : record->next_check_us;
    return state == DEAD_LETTER_WAITING && check_us > 0 && check_us < before_us;
}

static size_t find_due(const struct op *op, int64_t before_us, size_t count_max,
                       struct dead_letter_record *records)
{
    const struct partition *rows = op->parts[0].result;
    struct letter_walk walk;
    letter_walk(&walk, op->parts[1].result);
    size_t count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const struct letter_change *last = last_change(&walk, &rows->rows[i]->key);
        if (is_due(rows->rows[i], last, before_us)) {
            struct dead_letter_record record;
            fill_record(rows->rows[i], last, &record);
            count = keep_earliest(records, count, count_max, &record);
        }
    }
    return count;
}

enum err sim_due_dead_letters(struct store *store, int64_t before_us, size_t count_max,
                              struct arena *arena, struct dead_letter_record **out_records,
                              size_t *out_count, struct why *why)
{
    struct dead_letter_record *records = ARENA_ARRAY(arena, struct dead_letter_record, count_max);
    if (records == NULL) {
        return why_set(why, ERR_NO_MEMORY, "too many dead letters at once");
    }
    struct op *op = op_begin_read(session_of(store));
    op_ask(op, TABLE_LETTERS, letters);
    op_ask(op, TABLE_LETTER_CHANGES, letters);
    enum err err = op_run_read(op, why);
    if (err != ERR_OK) {
        return err;
    }
    size_t count = find_due(op, before_us, count_max, records);
    op_release(op);
    *out_records = records;
    *out_count = count;
    return ERR_OK;
}
