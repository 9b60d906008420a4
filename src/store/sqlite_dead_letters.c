// Records of dead letters and what became of them.
#include "sqlite_store.h"

static enum err put_event(struct sqlite_store *store, const struct hash *id,
                          enum dead_letter_state state, int64_t at_us, struct text who,
                          struct text why_text, struct why *why)
{
    sqlite3_stmt *statement = sqlite_store_statement(store, STATEMENT_PUT_DEAD_LETTER_EVENT, why);
    if (statement == NULL) {
        return sqlite_prepare_failed(why);
    }
    sqlite_bind_hash(statement, 1, id);
    (void)sqlite3_bind_int(statement, 2, (int)state);
    (void)sqlite3_bind_int64(statement, 3, at_us);
    sqlite_bind_text_view(statement, 4, who);
    sqlite_bind_text_view(statement, 5, why_text);
    return sqlite_step_done(statement, why);
}

static enum err put_record(struct sqlite_store *store, const struct dead_letter_record *record,
                           struct why *why)
{
    sqlite3_stmt *statement = sqlite_store_statement(store, STATEMENT_PUT_DEAD_LETTER, why);
    if (statement == NULL) {
        return sqlite_prepare_failed(why);
    }
    sqlite_bind_hash(statement, 1, &record->id);
    sqlite_bind_text_view(statement, 2, reason_name(record->reason));
    (void)sqlite3_bind_int(statement, 3, (int)record->state);
    sqlite_bind_text_view(statement, 4, record->detail);
    (void)sqlite3_bind_blob(statement, 5, record->body.data != NULL ? record->body.data : "",
                            (int)record->body.size, SQLITE_STATIC);
    sqlite_bind_text_view(statement, 6, record->source_topic);
    sqlite_bind_text_view(statement, 7, record->source_message_id);
    (void)sqlite3_bind_int64(statement, 8, record->first_seen_us);
    (void)sqlite3_bind_int64(statement, 9, record->recorded_us);
    (void)sqlite3_bind_int64(statement, 10, record->order_id);
    (void)sqlite3_bind_int64(statement, 11, record->payment_id);
    sqlite_bind_text_view(statement, 12, record->event_id);
    (void)sqlite3_bind_int64(statement, 13, record->attempts);
    (void)sqlite3_bind_int64(statement, 14, record->replay_count);
    (void)sqlite3_bind_int64(statement, 15, record->checks);
    (void)sqlite3_bind_int64(statement, 16, record->next_check_us);
    (void)sqlite3_bind_int(statement, 17, record->redacted);
    (void)sqlite3_bind_int(statement, 18, record->rebuilt);
    return sqlite_step_done(statement, why);
}

enum err sqlite_record_dead_letters(struct store *base, const struct dead_letter_record *records,
                                    size_t count, struct why *why)
{
    struct sqlite_store *store = sqlite_store_of(base);
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        err = put_record(store, &records[i], why);
        bool is_new = sqlite3_changes(store->db) > 0;
        if (err == ERR_OK && is_new) {
            err = put_event(store, &records[i].id, records[i].state, records[i].recorded_us,
                            TEXT("till"), reason_name(records[i].reason), why);
        }
    }
    return err;
}

enum err sqlite_due_dead_letters(struct store *base, int64_t before_us, size_t count_max,
                                 struct arena *arena, struct dead_letter_record **out_records,
                                 size_t *out_count, struct why *why)
{
    sqlite3_stmt *statement =
        sqlite_store_statement(sqlite_store_of(base), STATEMENT_DUE_DEAD_LETTERS, why);
    struct dead_letter_record *records = ARENA_ARRAY(arena, struct dead_letter_record, count_max);
    if (statement == NULL || records == NULL) {
        return statement == NULL ? sqlite_prepare_failed(why)
                                 : why_set(why, ERR_NO_MEMORY, "too many dead letters at once");
    }
    (void)sqlite3_bind_int64(statement, 1, before_us);
    (void)sqlite3_bind_int64(statement, 2, (int64_t)count_max);
    size_t count = 0;
    bool row = false;
    enum err err = sqlite_step_row(statement, &row, why);
    while (err == ERR_OK && row) {
        struct dead_letter_record *record = &records[count++];
        if (!sqlite_column_hash(statement, 0, &record->id)) {
            err = why_set(why, ERR_CORRUPT, "table dead_letter_records: an id is damaged");
            break;
        }
        record->reason = REASON_E_UNMATCHED; // only these have a next check
        record->state = DEAD_LETTER_WAITING;
        record->order_id = sqlite3_column_int64(statement, 1);
        record->payment_id = sqlite3_column_int64(statement, 2);
        record->event_id = sqlite_column_copy(statement, 3, arena);
        record->first_seen_us = sqlite3_column_int64(statement, 4);
        record->checks = (uint32_t)sqlite3_column_int64(statement, 5);
        record->next_check_us = sqlite3_column_int64(statement, 6);
        err = sqlite_step_row(statement, &row, why);
    }
    (void)sqlite3_reset(statement);
    if (err == ERR_OK) {
        *out_records = records;
        *out_count = count;
    }
    return err;
}

enum err sqlite_change_dead_letter(struct store *base, const struct hash *id,
                                   enum dead_letter_state state, uint32_t checks,
                                   int64_t next_check_us, int64_t now_us, struct text who,
                                   struct text why_text, struct why *why)
{
    struct sqlite_store *store = sqlite_store_of(base);
    sqlite3_stmt *statement = sqlite_store_statement(store, STATEMENT_CHANGE_DEAD_LETTER, why);
    if (statement == NULL) {
        return sqlite_prepare_failed(why);
    }
    sqlite_bind_hash(statement, 1, id);
    (void)sqlite3_bind_int(statement, 2, (int)state);
    (void)sqlite3_bind_int64(statement, 3, checks);
    (void)sqlite3_bind_int64(statement, 4, next_check_us);
    enum err err = sqlite_step_done(statement, why);
    return err == ERR_OK ? put_event(store, id, state, now_us, who, why_text, why) : err;
}
