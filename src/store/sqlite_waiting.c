// Payments whose order has not come, by due time, and how far the order lanes are.
#include "sqlite_store.h"

static enum err put_bucket(struct sqlite_store *store, struct waiting_bucket bucket,
                           struct why *why)
{
    sqlite3_stmt *statement = sqlite_store_statement(store, STATEMENT_PUT_BUCKET, why);
    if (statement == NULL) {
        return sqlite_prepare_failed(why);
    }
    (void)sqlite3_bind_int64(statement, 1, bucket.due_us);
    (void)sqlite3_bind_int(statement, 2, bucket.shard);
    return sqlite_step_done(statement, why);
}

static enum err put_waiting(struct sqlite_store *store, const struct waiting_payment *item,
                            struct why *why)
{
    sqlite3_stmt *statement = sqlite_store_statement(store, STATEMENT_PUT_WAITING, why);
    if (statement == NULL) {
        return sqlite_prepare_failed(why);
    }
    (void)sqlite3_bind_int(statement, 1, item->shard);
    (void)sqlite3_bind_int64(statement, 2, item->due_us);
    (void)sqlite3_bind_int64(statement, 3, item->order_id);
    (void)sqlite3_bind_int64(statement, 4, item->payment_id);
    sqlite_bind_text_view(statement, 5, item->event_id);
    (void)sqlite3_bind_int64(statement, 6, item->published_us);
    sqlite_bind_text_view(statement, 7, item->message_id);
    (void)sqlite3_bind_int64(statement, 8, item->attempts);
    sqlite_bind_text_view(statement, 9, item->body);
    return sqlite_step_done(statement, why);
}

enum err sqlite_insert_waiting(struct store *base, const struct waiting_payment *items,
                               size_t count, struct why *why)
{
    struct sqlite_store *store = sqlite_store_of(base);
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        err = put_bucket(store, (struct waiting_bucket){items[i].due_us, items[i].shard}, why);
        if (err == ERR_OK) {
            err = put_waiting(store, &items[i], why);
        }
    }
    return err;
}

enum err sqlite_due_buckets(struct store *base, int64_t before_us, size_t count_max,
                            struct arena *arena, struct waiting_bucket **out_buckets,
                            size_t *out_count, struct why *why)
{
    sqlite3_stmt *statement =
        sqlite_store_statement(sqlite_store_of(base), STATEMENT_DUE_BUCKETS, why);
    struct waiting_bucket *buckets = ARENA_ARRAY(arena, struct waiting_bucket, count_max);
    if (statement == NULL || buckets == NULL) {
        return statement == NULL ? sqlite_prepare_failed(why)
                                 : why_set(why, ERR_NO_MEMORY, "too many waiting buckets at once");
    }
    (void)sqlite3_bind_int64(statement, 1, before_us);
    (void)sqlite3_bind_int64(statement, 2, (int64_t)count_max);
    size_t count = 0;
    bool row = false;
    enum err err = sqlite_step_row(statement, &row, why);
    while (err == ERR_OK && row) {
        buckets[count].due_us = sqlite3_column_int64(statement, 0);
        buckets[count++].shard = sqlite3_column_int(statement, 1);
        err = sqlite_step_row(statement, &row, why);
    }
    if (err == ERR_OK) {
        *out_buckets = buckets;
        *out_count = count;
    }
    return err;
}

static sqlite3_stmt *bind_bucket(struct store *base, enum statement number,
                                 struct waiting_bucket bucket, struct why *why)
{
    sqlite3_stmt *statement = sqlite_store_statement(sqlite_store_of(base), number, why);
    if (statement != NULL) {
        (void)sqlite3_bind_int64(statement, 1, bucket.due_us);
        (void)sqlite3_bind_int(statement, 2, bucket.shard);
    }
    return statement;
}

enum err sqlite_close_bucket(struct store *base, struct waiting_bucket bucket, struct why *why)
{
    sqlite3_stmt *statement = bind_bucket(base, STATEMENT_CLOSE_BUCKET, bucket, why);
    return statement != NULL ? sqlite_step_done(statement, why) : sqlite_prepare_failed(why);
}

enum err sqlite_bucket_is_closed(struct store *base, struct waiting_bucket bucket, bool *out_closed,
                                 struct why *why)
{
    sqlite3_stmt *statement = bind_bucket(base, STATEMENT_READ_BUCKET_CLOSED, bucket, why);
    if (statement == NULL) {
        return sqlite_prepare_failed(why);
    }
    bool row = false;
    enum err err = sqlite_step_row(statement, &row, why);
    if (err == ERR_OK) {
        *out_closed = row && sqlite3_column_int(statement, 0) != 0;
    }
    (void)sqlite3_reset(statement);
    return err;
}

static enum err read_entry(sqlite3_stmt *row, struct waiting_bucket bucket, struct arena *arena,
                           struct waiting_payment *out_item)
{
    out_item->due_us = bucket.due_us;
    out_item->shard = bucket.shard;
    out_item->order_id = sqlite3_column_int64(row, 0);
    out_item->payment_id = sqlite3_column_int64(row, 1);
    out_item->event_id = sqlite_column_copy(row, 2, arena);
    out_item->published_us = sqlite3_column_int64(row, 3);
    out_item->message_id = sqlite_column_copy(row, 4, arena);
    out_item->attempts = (uint32_t)sqlite3_column_int64(row, 5);
    out_item->body = sqlite_column_copy(row, 6, arena);
    return arena_overflowed(arena) ? ERR_NO_MEMORY : ERR_OK;
}

enum err sqlite_read_bucket(struct store *base, struct waiting_bucket bucket,
                            const struct waiting_payment *after, size_t count_max,
                            struct arena *arena, struct waiting_payment **out_items,
                            size_t *out_count, struct why *why)
{
    sqlite3_stmt *statement = bind_bucket(base, STATEMENT_READ_BUCKET, bucket, why);
    struct waiting_payment *items = ARENA_ARRAY(arena, struct waiting_payment, count_max);
    if (statement == NULL || items == NULL) {
        return statement == NULL ? sqlite_prepare_failed(why)
                                 : why_set(why, ERR_NO_MEMORY, "too many waiting payments at once");
    }
    (void)sqlite3_bind_int64(statement, 3, after != NULL ? after->order_id : 0);
    (void)sqlite3_bind_int64(statement, 4, after != NULL ? after->payment_id : 0);
    sqlite_bind_text_view(statement, 5, after != NULL ? after->event_id : TEXT(""));
    (void)sqlite3_bind_int64(statement, 6, (int64_t)count_max);
    size_t count = 0;
    bool row = false;
    enum err err = sqlite_step_row(statement, &row, why);
    while (err == ERR_OK && row) {
        err = read_entry(statement, bucket, arena, &items[count]);
        if (err != ERR_OK) {
            (void)why_set(why, err, "waiting payments need more memory than their arena has");
            break;
        }
        count++;
        err = sqlite_step_row(statement, &row, why);
    }
    (void)sqlite3_reset(statement);
    if (err == ERR_OK) {
        *out_items = items;
        *out_count = count;
    }
    return err;
}

enum err sqlite_finish_bucket(struct store *base, struct waiting_bucket bucket, struct why *why)
{
    static const enum statement drops[] = {STATEMENT_DROP_WAITING, STATEMENT_DROP_BUCKET};
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < sizeof(drops) / sizeof(drops[0]); i++) {
        sqlite3_stmt *statement = bind_bucket(base, drops[i], bucket, why);
        err = statement != NULL ? sqlite_step_done(statement, why) : sqlite_prepare_failed(why);
    }
    return err;
}

enum err sqlite_write_lane_status(struct store *base, struct text lane, int64_t watermark_us,
                                  int64_t now_us, struct why *why)
{
    sqlite3_stmt *statement =
        sqlite_store_statement(sqlite_store_of(base), STATEMENT_PUT_LANE, why);
    if (statement == NULL) {
        return sqlite_prepare_failed(why);
    }
    sqlite_bind_text_view(statement, 1, lane);
    (void)sqlite3_bind_int64(statement, 2, watermark_us);
    (void)sqlite3_bind_int64(statement, 3, now_us);
    return sqlite_step_done(statement, why);
}

enum err sqlite_read_lane_status(struct store *base, int64_t fresh_after_us, size_t *out_lanes,
                                 int64_t *out_watermark_us, struct why *why)
{
    sqlite3_stmt *statement =
        sqlite_store_statement(sqlite_store_of(base), STATEMENT_READ_LANES, why);
    if (statement == NULL) {
        return sqlite_prepare_failed(why);
    }
    (void)sqlite3_bind_int64(statement, 1, fresh_after_us);
    bool row = false;
    enum err err = sqlite_step_row(statement, &row, why);
    if (err == ERR_OK) {
        *out_lanes = row ? (size_t)sqlite3_column_int64(statement, 0) : 0;
        *out_watermark_us = row ? sqlite3_column_int64(statement, 1) : 0;
    }
    (void)sqlite3_reset(statement);
    return err;
}
