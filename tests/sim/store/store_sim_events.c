// An order's events: in, and the whole partition out.
//
// In a cluster an insert writes without looking. Embedded, as in SQLite, the new rows are only written with
// the projection (store_sim_facts.c), because the caller may find some of them superfluous.
#include "store_sim_internal.h"

#include <assert.h>

static struct partition_key order_key(int64_t order_id)
{
    return (struct partition_key){order_id, 0};
}

static int64_t event_stamp(struct session *session)
{
    return is_variant(session, VARIANT_LAST_WRITE_WINS) ? sim_now_us(session->cluster->sim)
                                                        : session_stamp(session);
}

static void put_event(struct op *op, const struct event *event)
{
    struct session *session = op->session;
    const struct event *copy = intern_event(session->cluster, event);
    op_put(op, TABLE_EVENTS, event_row_key(session->cluster, copy), 0,
           cell_object(event_stamp(session), CELL_EVENT, copy));
}

static bool has_order(const struct partition *partition)
{
    for (size_t i = 0; i < partition->count; i++) {
        if (partition->rows[i]->key.first == EVENT_ORDER &&
            cell_is_set(&partition->rows[i]->cells[0])) {
            return true;
        }
    }
    return false;
}

static bool brings_order(const struct store_group *group)
{
    for (size_t i = 0; i < group->incoming_count; i++) {
        if (group->incoming[i]->event.kind == EVENT_ORDER) {
            return true;
        }
    }
    return false;
}

// What comes in of one group. `known` is the partition as it was read before, in the wrong variants only.
static void put_group(struct op *op, const struct store_group *group, const struct partition *known)
{
    bool skips_payments = known != NULL && is_variant(op->session, VARIANT_READ_THEN_DECIDE) &&
                          !has_order(known) && !brings_order(group);
    if (group->incoming_count == 0) {
        return;
    }
    op_mutation(op, order_key(group->order_id));
    for (size_t i = 0; i < group->incoming_count; i++) {
        const struct event *event = &group->incoming[i]->event;
        if (event->kind != EVENT_PAYMENT || !skips_payments) {
            put_event(op, event);
        }
    }
    put_carried_projection(op, group);
}

static enum err write_events(struct session *session, const struct store_group *groups,
                             size_t count, const struct op *known, struct why *why)
{
    struct op *op = op_begin_write(session);
    for (size_t i = 0; i < count; i++) {
        put_group(op, &groups[i], known != NULL ? known->parts[i].result : NULL);
    }
    return op_run_write(op, why);
}

static enum err ask_all(struct session *session, const struct store_group *groups, size_t count,
                        struct op **out_op, struct why *why)
{
    struct op *op = op_begin_read(session);
    for (size_t i = 0; i < count; i++) {
        // Groups name distinct orders; those that do not are neighbours.
        assert(i == 0 || groups[i].order_id != groups[i - 1].order_id);
        op_ask(op, TABLE_EVENTS, order_key(groups[i].order_id));
    }
    *out_op = op;
    return op_run_read(op, why);
}

static enum err check_epoch(const struct session *session, struct why *why)
{
    if (session->fold_epoch >= session->cluster->fold_epoch) {
        return ERR_OK;
    }
    return why_set(why, ERR_SCHEMA, "the schema has fold epoch %u, this program %u",
                   session->cluster->fold_epoch, session->fold_epoch);
}

enum err sim_insert_events(struct store *store, struct store_group *groups, size_t count,
                           struct why *why)
{
    struct session *session = session_of(store);
    enum err err = session_alive(session);
    err = err == ERR_OK ? check_epoch(session, why) : err;
    if (err != ERR_OK || is_embedded(session)) {
        return err;
    }
    if (!is_variant(session, VARIANT_READ_THEN_DECIDE) &&
        !is_variant(session, VARIANT_READ_BEFORE_WRITE)) {
        return write_events(session, groups, count, NULL, why);
    }
    struct op *known = NULL;
    err = ask_all(session, groups, count, &known, why);
    if (err != ERR_OK) {
        return err;
    }
    if (is_variant(session, VARIANT_READ_BEFORE_WRITE)) {
        if (session->read_before != NULL) {
            op_release(session->read_before);
        }
        session->read_before = known;
        return ERR_OK;
    }
    err = write_events(session, groups, count, known, why);
    op_release(known);
    return err;
}

// --- reading ------------------------------------------------------------------------------------

// Of the rows, the first `stored_count` are in the order of event_compare: they come so from the partition.
static size_t find_row(const struct store_group *group, size_t stored_count,
                       const struct event *event)
{
    size_t low = 0;
    size_t high = stored_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int by = event_compare(group->rows[middle], event);
        if (by == 0) {
            return middle;
        }
        if (by < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    size_t at = stored_count;
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

// Every incoming event is one of the rows: itself, or the one of the same key that came in before it, or
// (only where the store looks) the one that was stored.
static void merge_incoming(const struct session *session, struct store_group *group)
{
    size_t stored_count = group->row_count;
    for (size_t i = 0; i < group->incoming_count; i++) {
        struct incoming *incoming = group->incoming[i];
        size_t at = find_row(group, stored_count, &incoming->event);
        bool there = at < group->row_count;
        bool repeats = there && is_incoming(group, i, group->rows[at]);
        if (repeats || (there && is_embedded(session))) {
            incoming->outcome = INSERT_KNOWN;
            continue;
        }
        incoming->outcome = is_embedded(session) ? INSERT_NEW : INSERT_UNKNOWN;
        group->rows[at] = &incoming->event;
        group->row_count += !there;
    }
}

static void count_rows(struct rows_read *read, const struct store_group *group)
{
    size_t own_orders = 0;
    for (size_t i = 0; i < group->row_count; i++) {
        const struct event *row = group->rows[i];
        read->n_rows += row->kind != EVENT_NOTE;
        if (row->kind == EVENT_NOTE) {
            read->n_notes++;
            read->notes_mark ^= row->hash.bytes[0];
        }
        own_orders += row->kind == EVENT_ORDER && is_incoming(group, group->incoming_count, row);
    }
    read->carried = own_orders > 0 && own_orders == group->row_count;
}

static enum err fill_group(const struct session *session, struct store_group *group,
                           const struct partition *partition, struct arena *arena, struct why *why)
{
    struct rows_read *read = ARENA_NEW(arena, struct rows_read);
    size_t cap = partition->count + group->incoming_count;
    group->rows = ARENA_ARRAY(arena, const struct event *, cap);
    const struct event **stored = ARENA_ARRAY(arena, const struct event *, partition->count);
    if (arena_overflowed(arena)) {
        return why_set(why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    group->row_count = 0;
    for (size_t i = 0; i < partition->count; i++) {
        const struct cell *cell = &partition->rows[i]->cells[0];
        if (cell_is_set(cell)) {
            group->rows[group->row_count] = cell->object;
            stored[group->row_count++] = cell->object;
        }
    }
    read->stored = stored;
    read->stored_count = group->row_count;
    merge_incoming(session, group);
    count_rows(read, group);
    group->private_rows = read;
    return ERR_OK;
}

static enum err fill_groups(const struct session *session, struct store_group *groups, size_t count,
                            const struct op *op, struct arena *arena, struct why *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        err = fill_group(session, &groups[i], op->parts[i].result, arena, why);
    }
    return err;
}

// VARIANT_READ_BEFORE_WRITE: writes now, and answers with what was read before.
static enum err answer_from_before(struct session *session, struct store_group *groups,
                                   size_t count, struct arena *arena, struct why *why)
{
    struct op *op = session->read_before;
    session->read_before = NULL;
    enum err err = write_events(session, groups, count, op, why);
    if (err == ERR_OK) {
        err = fill_groups(session, groups, count, op, arena, why);
    }
    op_release(op);
    return err;
}

enum err sim_read_partitions(struct store *store, struct store_group *groups, size_t count,
                             struct arena *arena, struct why *why)
{
    struct session *session = session_of(store);
    if (session->read_before != NULL) {
        return answer_from_before(session, groups, count, arena, why);
    }
    struct op *op = NULL;
    enum err err = ask_all(session, groups, count, &op, why);
    if (err != ERR_OK) {
        return err;
    }
    err = fill_groups(session, groups, count, op, arena, why);
    op_release(op);
    return err;
}
