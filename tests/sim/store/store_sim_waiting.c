// Waiting payments by bucket, the registry that makes buckets findable, and how far the order lanes are.
//
// The registry is one partition with a row a bucket: KNOWN is written before the first entry, CLOSED and
// DONE have the bucket's own time as timestamp, so they never go back. In a cluster the entries of a DONE
// bucket stay (a day later the partition is dropped as a whole); embedded they are deleted with it.
#include "store_sim_internal.h"

#include <string.h>

#define CURSOR_BUCKET_US                                                                           \
    (10 * US_PER_SECOND) // VARIANT_CURSOR_BY_PUBLISH_TIME files in steps of this

static const struct partition_key registry = {0, 0};
static const struct partition_key lanes = {0, 0};

static struct row_key bucket_row(struct waiting_bucket bucket)
{
    return (struct row_key){bucket.due_us, bucket.shard, NULL};
}

static struct partition_key bucket_key(struct waiting_bucket bucket)
{
    return (struct partition_key){bucket.due_us, bucket.shard};
}

static int compare_buckets(struct waiting_bucket a, struct waiting_bucket b)
{
    struct row_key left = bucket_row(a);
    struct row_key right = bucket_row(b);
    return row_key_compare(TABLE_BUCKETS, &left, &right);
}

// --- in -----------------------------------------------------------------------------------------

static struct waiting_bucket bucket_of(const struct session *session,
                                       const struct waiting_payment *item)
{
    struct waiting_bucket bucket = {item->due_us, item->shard};
    if (is_variant(session, VARIANT_CURSOR_BY_PUBLISH_TIME)) {
        bucket.due_us = item->published_us - item->published_us % CURSOR_BUCKET_US;
    }
    return bucket;
}

static enum err register_buckets(struct session *session, const struct waiting_payment *items,
                                 size_t count, struct why *why)
{
    struct op *op = op_begin_write(session);
    op_mutation(op, registry);
    for (size_t i = 0; i < count; i++) {
        struct waiting_bucket bucket = bucket_of(session, &items[i]);
        if (i == 0 || compare_buckets(bucket, bucket_of(session, &items[i - 1])) != 0) {
            op_put(op, TABLE_BUCKETS, bucket_row(bucket), BUCKET_KNOWN,
                   cell_number(session_stamp(session), 1));
        }
    }
    return op_run_write(op, why);
}

static enum err write_entries(struct session *session, const struct waiting_payment *items,
                              size_t count, struct why *why)
{
    struct op *op = op_begin_write(session);
    for (size_t i = 0; i < count; i++) {
        struct waiting_bucket bucket = bucket_of(session, &items[i]);
        if (i == 0 || compare_buckets(bucket, bucket_of(session, &items[i - 1])) != 0) {
            op_mutation(op, bucket_key(bucket));
        }
        struct waiting_payment entry = items[i];
        entry.due_us = bucket.due_us;
        const struct waiting_payment *copy = intern_waiting(session->cluster, &entry);
        op_put(op, TABLE_WAITING,
               (struct row_key){copy->order_id, copy->payment_id, &copy->event_id}, 0,
               cell_object(session_stamp(session), CELL_WAITING, copy));
    }
    return op_run_write(op, why);
}

// VARIANT_READ_THEN_DECIDE: what was read has decided, and there is no event to come back to.
static enum err record_unmatched(struct session *session, const struct waiting_payment *items,
                                 size_t count, struct why *why)
{
    enum err err = ERR_OK;
    int64_t now_us = clock_wall_us(&session->clock);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        struct dead_letter_record record = {
            .reason = REASON_E_UNMATCHED,
            .state = DEAD_LETTER_WAITING,
            .body = items[i].body,
            .source_topic = TEXT("payments_data"),
            .source_message_id = items[i].message_id,
            .first_seen_us = items[i].published_us,
            .recorded_us = now_us,
            .order_id = items[i].order_id,
            .payment_id = items[i].payment_id,
            .event_id = items[i].event_id,
            .attempts = items[i].attempts,
            .next_check_us = now_us + 60 * US_PER_SECOND,
        };
        hash_bytes(items[i].message_id.data, items[i].message_id.size, &record.id);
        err = sim_record_dead_letters(&session->base, &record, 1, why);
    }
    return err;
}

enum err sim_insert_waiting(struct store *store, const struct waiting_payment *items, size_t count,
                            struct why *why)
{
    struct session *session = session_of(store);
    enum err err = session_alive(session);
    if (err != ERR_OK || count == 0) {
        return err;
    }
    if (is_variant(session, VARIANT_READ_THEN_DECIDE)) {
        return record_unmatched(session, items, count, why);
    }
    err = register_buckets(session, items, count, why);
    return err == ERR_OK ? write_entries(session, items, count, why) : err;
}

// --- buckets ------------------------------------------------------------------------------------

static bool is_due(const struct session *session, const struct row *row, int64_t before_us)
{
    bool due = row->key.first < before_us && cell_is_set(&row->cells[BUCKET_KNOWN]) &&
               !cell_is_set(&row->cells[BUCKET_DONE]);
    struct waiting_bucket bucket = {row->key.first, (int32_t)row->key.second};
    return due && (!is_variant(session, VARIANT_CURSOR_BY_PUBLISH_TIME) ||
                   compare_buckets(bucket, session->cluster->cursor) > 0);
}

enum err sim_due_buckets(struct store *store, int64_t before_us, size_t count_max,
                         struct arena *arena, struct waiting_bucket **out_buckets,
                         size_t *out_count, struct why *why)
{
    struct session *session = session_of(store);
    struct waiting_bucket *buckets = ARENA_ARRAY(arena, struct waiting_bucket, count_max);
    if (buckets == NULL) {
        return why_set(why, ERR_NO_MEMORY, "too many waiting buckets at once");
    }
    struct op *op = op_begin_read(session);
    op_ask(op, TABLE_BUCKETS, registry);
    enum err err = op_run_read(op, why);
    if (err != ERR_OK) {
        return err;
    }
    const struct partition *all = op->parts[0].result;
    size_t count = 0;
    for (size_t i = 0; i < all->count && count < count_max; i++) {
        if (is_due(session, all->rows[i], before_us)) {
            buckets[count++] =
                (struct waiting_bucket){all->rows[i]->key.first, (int32_t)all->rows[i]->key.second};
        }
    }
    op_release(op);
    *out_buckets = buckets;
    *out_count = count;
    return ERR_OK;
}

static void put_mark(struct op *op, struct waiting_bucket bucket, enum bucket_column column)
{
    int64_t timestamp = is_embedded(op->session) ? session_stamp(op->session) : bucket.due_us;
    op_put(op, TABLE_BUCKETS, bucket_row(bucket), column, cell_number(timestamp, 1));
}

enum err sim_close_bucket(struct store *store, struct waiting_bucket bucket, struct why *why)
{
    struct session *session = session_of(store);
    if (is_variant(session, VARIANT_CHECK_THEN_MARK)) {
        return session_alive(session);
    }
    struct op *op = op_begin_write(session);
    op_mutation(op, registry);
    put_mark(op, bucket, BUCKET_CLOSED);
    return op_run_write(op, why);
}

enum err sim_bucket_is_closed(struct store *store, struct waiting_bucket bucket, bool *out_closed,
                              struct why *why)
{
    struct session *session = session_of(store);
    if (is_variant(session, VARIANT_CURSOR_BY_PUBLISH_TIME)) {
        *out_closed = false;
        return session_alive(session);
    }
    struct op *op = op_begin_read(session);
    op_ask_row(op, TABLE_BUCKETS, registry, bucket_row(bucket));
    enum err err = op_run_read(op, why);
    if (err != ERR_OK) {
        return err;
    }
    const struct partition *result = op->parts[0].result;
    *out_closed = result->count > 0 && cell_is_set(&result->rows[0]->cells[BUCKET_CLOSED]);
    op_release(op);
    return ERR_OK;
}

static struct text copy_text(struct arena *arena, struct text text)
{
    return (struct text){arena_copy(arena, text.data, text.size), text.size};
}

static struct waiting_payment copy_entry(struct arena *arena, const struct waiting_payment *entry)
{
    struct waiting_payment copy = *entry;
    copy.event_id = copy_text(arena, entry->event_id);
    copy.message_id = copy_text(arena, entry->message_id);
    copy.body = copy_text(arena, entry->body);
    return copy;
}

static size_t take_page(const struct partition *entries, const struct waiting_payment *after,
                        size_t count_max, struct arena *arena, struct waiting_payment *items)
{
    struct row_key last = {0};
    if (after != NULL) {
        last = (struct row_key){after->order_id, after->payment_id, &after->event_id};
    }
    size_t count = 0;
    for (size_t i = 0; i < entries->count && count < count_max; i++) {
        const struct row *row = entries->rows[i];
        if (cell_is_set(&row->cells[0]) &&
            (after == NULL || row_key_compare(TABLE_WAITING, &row->key, &last) > 0)) {
            items[count++] = copy_entry(arena, row->cells[0].object);
        }
    }
    return count;
}

enum err sim_read_bucket(struct store *store, struct waiting_bucket bucket,
                         const struct waiting_payment *after, size_t count_max, struct arena *arena,
                         struct waiting_payment **out_items, size_t *out_count, struct why *why)
{
    struct waiting_payment *items = ARENA_ARRAY(arena, struct waiting_payment, count_max);
    if (items == NULL) {
        return why_set(why, ERR_NO_MEMORY, "too many waiting payments at once");
    }
    struct op *op = op_begin_read(session_of(store));
    op_ask(op, TABLE_WAITING, bucket_key(bucket));
    enum err err = op_run_read(op, why);
    if (err != ERR_OK) {
        return err;
    }
    size_t count = take_page(op->parts[0].result, after, count_max, arena, items);
    op_release(op);
    if (arena_overflowed(arena)) {
        return why_set(why, ERR_NO_MEMORY,
                       "waiting payments need more memory than their arena has");
    }
    *out_items = items;
    *out_count = count;
    return ERR_OK;
}

// Embedded: the bucket and its entries are deleted.
static enum err delete_bucket(struct session *session, struct waiting_bucket bucket,
                              struct why *why)
{
    struct op *entries = op_begin_read(session);
    op_ask(entries, TABLE_WAITING, bucket_key(bucket));
    enum err err = op_run_read(entries, why);
    if (err != ERR_OK) {
        return err;
    }
    struct op *op = op_begin_write(session);
    op_mutation(op, registry);
    for (uint32_t column = BUCKET_KNOWN; column <= BUCKET_DONE; column++) {
        op_put(op, TABLE_BUCKETS, bucket_row(bucket), column,
               cell_tombstone(session_stamp(session)));
    }
    op_mutation(op, bucket_key(bucket));
    const struct partition *rows = entries->parts[0].result;
    for (size_t i = 0; i < rows->count; i++) {
        op_put(op, TABLE_WAITING, rows->rows[i]->key, 0, cell_tombstone(session_stamp(session)));
    }
    err = op_run_write(op, why);
    op_release(entries);
    return err;
}

enum err sim_finish_bucket(struct store *store, struct waiting_bucket bucket, struct why *why)
{
    struct session *session = session_of(store);
    if (is_embedded(session)) {
        return delete_bucket(session, bucket, why);
    }
    struct op *op = op_begin_write(session);
    op_mutation(op, registry);
    if (is_variant(session, VARIANT_CHECK_THEN_MARK)) {
        put_mark(op, bucket, BUCKET_CLOSED);
    }
    put_mark(op, bucket, BUCKET_DONE);
    enum err err = op_run_write(op, why);
    if (err == ERR_OK && compare_buckets(bucket, session->cluster->cursor) > 0) {
        session->cluster->cursor = bucket;
    }
    return err;
}

// --- order lanes --------------------------------------------------------------------------------

// In a cluster every process has lanes of its own; a wrong clock may keep its own row from moving.
static const struct text *lane_key(struct session *session, struct text lane)
{
    char key[128];
    size_t name_size = session->name.size < 60 ? session->name.size : 60;
    size_t lane_size = lane.size < 60 ? lane.size : 60;
    memcpy(key, session->name.data, name_size);
    key[name_size] = '/';
    memcpy(key + name_size + 1, lane.data, lane_size);
    return intern_text_object(session->cluster, (struct text){key, name_size + 1 + lane_size});
}

enum err sim_write_lane_status(struct store *store, struct text lane, int64_t watermark_us,
                               int64_t now_us, struct why *why)
{
    struct session *session = session_of(store);
    struct op *op = op_begin_write(session);
    struct row_key row = {0, 0, lane_key(session, lane)};
    int64_t timestamp = is_embedded(session) ? session_stamp(session) : now_us;
    op_mutation(op, lanes);
    op_put(op, TABLE_LANES, row, LANE_WATERMARK, cell_number(timestamp, watermark_us));
    op_put(op, TABLE_LANES, row, LANE_UPDATED, cell_number(timestamp, now_us));
    return op_run_write(op, why);
}

enum err sim_read_lane_status(struct store *store, int64_t fresh_after_us, size_t *out_lanes,
                              int64_t *out_watermark_us, struct why *why)
{
    struct op *op = op_begin_read(session_of(store));
    op_ask(op, TABLE_LANES, lanes);
    enum err err = op_run_read(op, why);
    if (err != ERR_OK) {
        return err;
    }
    size_t count = 0;
    int64_t lowest_us = 0;
    const struct partition *rows = op->parts[0].result;
    for (size_t i = 0; i < rows->count; i++) {
        const struct cell *cells = rows->rows[i]->cells;
        if (cells[LANE_UPDATED].number > fresh_after_us) {
            int64_t watermark_us = cells[LANE_WATERMARK].number;
            lowest_us = count == 0 || watermark_us < lowest_us ? watermark_us : lowest_us;
            count++;
        }
    }
    op_release(op);
    *out_lanes = count;
    *out_watermark_us = lowest_us;
    return ERR_OK;
}
