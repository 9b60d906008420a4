// The ledger of messages: which numbers of each subscription were applied, and what became of them.
// It is written in the transaction of their effect, so the two never disagree. Also the starts that
// a message or a lane did not survive.
#include "sqlite_store.h"

#include <assert.h>
#include <inttypes.h>

// Sums are kept in two columns, see sqlite_schema.c.
#define TALLY_BASE INT64_C(1000000000000000)

static struct text topic_text(enum applied_topic topic)
{
    return topic == APPLIED_ORDERS ? TEXT("orders") : TEXT("payments");
}

static sqlite3_stmt *bind_log(struct store *base, enum statement number, struct text log_id,
                              enum applied_topic topic, struct why *why)
{
    sqlite3_stmt *statement = sqlite_store_statement(sqlite_store_of(base), number, why);
    if (statement != NULL) {
        sqlite_bind_text_view(statement, 1, log_id);
        sqlite_bind_text_view(statement, 2, topic_text(topic));
    }
    return statement;
}

enum err sqlite_load_applied(struct store *base, struct text log_id, enum applied_topic topic,
                             struct ranges *out_ranges, struct why *why)
{
    sqlite3_stmt *statement = bind_log(base, STATEMENT_READ_APPLIED, log_id, topic, why);
    if (statement == NULL) {
        return sqlite_prepare_failed(why);
    }
    bool row = false;
    enum err err = sqlite_step_row(statement, &row, why);
    while (err == ERR_OK && row) {
        int64_t first = sqlite3_column_int64(statement, 0);
        int64_t last = sqlite3_column_int64(statement, 1);
        if (first < 1 || last < first) {
            err = why_set(why, ERR_CORRUPT,
                          "%s: table applied: %" PRId64 " ... %" PRId64 " is no range",
                          sqlite3_db_filename(sqlite3_db_handle(statement), "main"), first, last);
            break;
        }
        err = ranges_add(out_ranges, (uint64_t)first, (uint64_t)last);
        if (err != ERR_OK) {
            (void)why_set(why, err, "the set of applied messages is too scattered to load");
            break;
        }
        err = sqlite_step_row(statement, &row, why);
    }
    (void)sqlite3_reset(statement);
    return err;
}

// Widens *range by the stored range that it touches from the left, and by those that begin in it.
static enum err widen(struct store *base, struct text log_id, enum applied_topic topic,
                      struct range *range, struct why *why)
{
    sqlite3_stmt *before = bind_log(base, STATEMENT_APPLIED_BEFORE, log_id, topic, why);
    if (before == NULL) {
        return sqlite_prepare_failed(why);
    }
    (void)sqlite3_bind_int64(before, 3, (int64_t)range->first);
    bool row = false;
    enum err err = sqlite_step_row(before, &row, why);
    if (err == ERR_OK && row) {
        uint64_t first = (uint64_t)sqlite3_column_int64(before, 0);
        uint64_t last = (uint64_t)sqlite3_column_int64(before, 1);
        if (last + 1 >= range->first) {
            range->first = first;
            range->last = last > range->last ? last : range->last;
        }
    }
    (void)sqlite3_reset(before);
    sqlite3_stmt *within = bind_log(base, STATEMENT_APPLIED_LAST_WITHIN, log_id, topic, why);
    if (err != ERR_OK || within == NULL) {
        return err != ERR_OK ? err : sqlite_prepare_failed(why);
    }
    (void)sqlite3_bind_int64(within, 3, (int64_t)range->first);
    (void)sqlite3_bind_int64(within, 4, (int64_t)range->last + 1);
    err = sqlite_step_row(within, &row, why);
    if (err == ERR_OK && row && (uint64_t)sqlite3_column_int64(within, 0) > range->last) {
        range->last = (uint64_t)sqlite3_column_int64(within, 0);
    }
    (void)sqlite3_reset(within);
    return err;
}

enum err sqlite_add_applied(struct store *base, struct text log_id, enum applied_topic topic,
                            const struct range *ranges, size_t count, struct why *why)
{
    static const enum statement writes[] = {STATEMENT_DROP_APPLIED, STATEMENT_PUT_APPLIED};
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        struct range range = ranges[i];
        assert(range.first >= 1 && range.first <= range.last && range.last < INT64_MAX);
        err = widen(base, log_id, topic, &range, why);
        for (size_t w = 0; err == ERR_OK && w < sizeof(writes) / sizeof(writes[0]); w++) {
            sqlite3_stmt *statement = bind_log(base, writes[w], log_id, topic, why);
            if (statement == NULL) {
                return sqlite_prepare_failed(why);
            }
            (void)sqlite3_bind_int64(statement, 3, (int64_t)range.first);
            (void)sqlite3_bind_int64(statement, 4, (int64_t)range.last);
            err = sqlite_step_done(statement, why);
        }
    }
    return err;
}

static sqlite3_stmt *bind_tally(struct store *base, enum statement number, struct text log_id,
                                const struct tally *tally, struct why *why)
{
    sqlite3_stmt *statement = bind_log(base, number, log_id, tally->topic, why);
    if (statement != NULL) {
        sqlite_bind_text_view(statement, 3, outcome_text(tally->outcome));
        sqlite_bind_text_view(statement, 4, currency_code(tally->currency));
    }
    return statement;
}

static enum err add_tally(struct store *base, struct text log_id, const struct tally *tally,
                          struct why *why)
{
    sqlite3_stmt *read = bind_tally(base, STATEMENT_READ_TALLY, log_id, tally, why);
    if (read == NULL) {
        return sqlite_prepare_failed(why);
    }
    bool row = false;
    enum err err = sqlite_step_row(read, &row, why);
    int64_t messages = (int64_t)tally->messages;
    __int128 amount = tally->amount_minor;
    if (err == ERR_OK && row) {
        messages += sqlite3_column_int64(read, 0);
        amount +=
            (__int128)sqlite3_column_int64(read, 1) * TALLY_BASE + sqlite3_column_int64(read, 2);
    }
    (void)sqlite3_reset(read);
    sqlite3_stmt *put = bind_tally(base, STATEMENT_PUT_TALLY, log_id, tally, why);
    if (err != ERR_OK || put == NULL) {
        return err != ERR_OK ? err : sqlite_prepare_failed(why);
    }
    (void)sqlite3_bind_int64(put, 5, messages);
    (void)sqlite3_bind_int64(put, 6, (int64_t)(amount / TALLY_BASE));
    (void)sqlite3_bind_int64(put, 7, (int64_t)(amount % TALLY_BASE));
    return sqlite_step_done(put, why);
}

enum err sqlite_add_tallies(struct store *base, struct text log_id, const struct tally *tallies,
                            size_t count, struct why *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        err = add_tally(base, log_id, &tallies[i], why);
    }
    return err;
}

// Adds one to a counter of starts and reads it. Outside a transaction, so durable at once.
static enum err count_start(struct store *base, enum statement add, enum statement read,
                            struct text first_key, struct text second_key, uint32_t *out_starts,
                            struct why *why)
{
    const enum statement numbers[] = {add, read};
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < 2; i++) {
        sqlite3_stmt *statement = sqlite_store_statement(sqlite_store_of(base), numbers[i], why);
        if (statement == NULL) {
            return sqlite_prepare_failed(why);
        }
        sqlite_bind_text_view(statement, 1, first_key);
        if (second_key.data != NULL) {
            sqlite_bind_text_view(statement, 2, second_key);
        }
        if (numbers[i] == add) {
            err = sqlite_step_done(statement, why);
            continue;
        }
        bool row = false;
        err = sqlite_step_row(statement, &row, why);
        if (err == ERR_OK) {
            *out_starts = row ? (uint32_t)sqlite3_column_int64(statement, 0) : 0;
        }
        (void)sqlite3_reset(statement);
    }
    return err;
}

enum err sqlite_add_start(struct store *base, struct text lane, uint32_t *out_starts,
                          struct why *why)
{
    return count_start(base, STATEMENT_ADD_START, STATEMENT_READ_START, lane,
                       (struct text){NULL, 0}, out_starts, why);
}

enum err sqlite_clear_starts(struct store *base, struct text lane, struct why *why)
{
    sqlite3_stmt *statement =
        sqlite_store_statement(sqlite_store_of(base), STATEMENT_CLEAR_STARTS, why);
    if (statement == NULL) {
        return sqlite_prepare_failed(why);
    }
    sqlite_bind_text_view(statement, 1, lane);
    return sqlite_step_done(statement, why);
}

enum err sqlite_add_suspect(struct store *base, struct text topic, struct text message_id,
                            uint32_t *out_starts, struct why *why)
{
    return count_start(base, STATEMENT_ADD_SUSPECT, STATEMENT_READ_SUSPECT, topic, message_id,
                       out_starts, why);
}

enum err sqlite_remove_suspect(struct store *base, struct text topic, struct text message_id,
                               struct why *why)
{
    sqlite3_stmt *statement =
        sqlite_store_statement(sqlite_store_of(base), STATEMENT_DROP_SUSPECT, why);
    if (statement == NULL) {
        return sqlite_prepare_failed(why);
    }
    sqlite_bind_text_view(statement, 1, topic);
    sqlite_bind_text_view(statement, 2, message_id);
    return sqlite_step_done(statement, why);
}
