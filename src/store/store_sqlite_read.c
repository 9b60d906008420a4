// Reading facts.db beside its owner: totals, facts, dead letters. Every statement is reset at once,
// so that no reader holds the write-ahead log back for longer than its own scan.
#include "buf.h"
#include "sqlite_reader.h"
#include "sqlite_schema.h"

#include <stdlib.h>
#include <string.h>

// --- scans ---------------------------------------------------------------------------------------

enum err reader_scan(struct sqlite_reader *reader, const char *sql,
                     const struct reader_binding *bindings, size_t binding_count,
                     reader_row_fn *each, void *context, struct why *why)
{
    sqlite3_stmt *statement = NULL;
    enum err err = sqlite_prepare(reader->db, sql, &statement, why);
    for (size_t i = 0; err == ERR_OK && i < binding_count; i++) {
        if (bindings[i].text.data != NULL) {
            sqlite_bind_text_view(statement, (int)i + 1, bindings[i].text);
        } else {
            (void)sqlite3_bind_int64(statement, (int)i + 1, bindings[i].number);
        }
    }
    bool row = false;
    if (err == ERR_OK) {
        err = sqlite_step_row(statement, &row, why);
    }
    while (err == ERR_OK && row) {
        err = each(statement, context, why);
        if (err == ERR_OK) {
            err = sqlite_step_row(statement, &row, why);
        }
    }
    (void)sqlite3_finalize(statement);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err reader_damaged(sqlite3_stmt *row, struct why *why, const char *what)
{
    return why_set(why, ERR_CORRUPT, "%s: %s is damaged",
                   sqlite3_db_filename(sqlite3_db_handle(row), "main"), what);
}

// Columns from `at`: currency, rows, rows with money, sum high, sum low.
static enum err read_verdict(sqlite3_stmt *row, void *context, struct why *why)
{
    (void)context;
    struct text verdict = sqlite_column_view(row, 0);
    if (text_equal(verdict, TEXT("ok"))) {
        return ERR_OK;
    }
    return why_set(why, ERR_CORRUPT, "%s: %.*s",
                   sqlite3_db_filename(sqlite3_db_handle(row), "main"), TEXT_PRINT(verdict));
}

static enum err verify(struct store_reader *reader, struct why *why)
{
    return reader_scan(sqlite_reader_of(reader), "PRAGMA quick_check(1)", NULL, 0, read_verdict,
                       NULL, why);
}

// --- facts --------------------------------------------------------------------------------------

struct fact_scan {
    fact_row_fn *row;
    void *context;
};

static enum err give_fact_row(sqlite3_stmt *row, void *context, struct why *why)
{
    (void)why;
    struct fact_scan *scan_of = context;
    struct text columns[STORE_FACT_COLUMN_COUNT];
    for (size_t i = 0; i < STORE_FACT_COLUMN_COUNT; i++) {
        const unsigned char *data = sqlite3_column_text(row, (int)i);
        int size = sqlite3_column_bytes(row, (int)i);
        columns[i] = (struct text){(const char *)data, data != NULL ? (size_t)size : 0};
    }
    return scan_of->row(columns, STORE_FACT_COLUMN_COUNT, scan_of->context) ? ERR_OK
                                                                            : ERR_NOT_FOUND;
}

// A query over the view that has the filter's key; each condition is bound, never written into it.
static size_t build_fact_query(const struct fact_filter *filter, struct buf *sql,
                               struct reader_binding *bindings)
{
    size_t count = 0;
    const char *view = filter->day.size > 0       ? "facts_by_day"
                       : filter->customer_id != 0 ? "facts_by_customer"
                                                  : "orders_payments_facts";
    buf_add_str(sql, "SELECT ");
    for (size_t i = 0; i < STORE_FACT_COLUMN_COUNT; i++) {
        buf_add_str(sql, i == 0 ? "" : ", ");
        buf_add_text(sql, store_fact_columns[i]);
    }
    buf_add_fmt(sql, " FROM %s WHERE 1", view);
    if (filter->order_id != 0) {
        bindings[count++].number = filter->order_id;
        buf_add_fmt(sql, " AND order_id = ?%zu", count);
    }
    if (filter->customer_id != 0) {
        bindings[count++].number = filter->customer_id;
        buf_add_fmt(sql, " AND customer_id = ?%zu", count);
    }
    if (filter->day.size > 0) {
        bindings[count++].text = filter->day;
        buf_add_fmt(sql, " AND day = ?%zu", count);
    }
    if (filter->settlement >= 0) {
        bindings[count++].text = settlement_text((enum settlement)filter->settlement);
        buf_add_fmt(sql, " AND settlement = ?%zu", count);
    }
    if (filter->match_issue >= 0) {
        bindings[count++].text = match_issue_text((enum match_issue)filter->match_issue);
        buf_add_fmt(sql, " AND match_issue = ?%zu", count);
    }
    buf_add_str(sql, " ORDER BY order_id, payment_id");
    if (filter->row_max > 0) {
        buf_add_fmt(sql, " LIMIT %llu", (unsigned long long)filter->row_max);
    }
    buf_add_char(sql, '\0');
    return count;
}

static enum err read_facts(struct store_reader *reader, const struct fact_filter *filter,
                           fact_row_fn *row, void *context, struct why *why)
{
    char memory[2048];
    struct buf sql;
    struct reader_binding bindings[8] = {0};
    buf_init_fixed(&sql, memory, sizeof(memory));
    size_t count = build_fact_query(filter, &sql, bindings);
    if (buf_overflowed(&sql)) {
        return why_set(why, ERR_INTERNAL, "the query is too long");
    }
    struct fact_scan scan_of = {row, context};
    return reader_scan(sqlite_reader_of(reader), memory, bindings, count, give_fact_row, &scan_of,
                       why);
}

// --- dead letters ----------------------------------------------------------------------------------

struct dead_letter_scan {
    dead_letter_row_fn *row;
    void *context;
};

static enum err give_dead_letter(sqlite3_stmt *row, void *context, struct why *why)
{
    struct dead_letter_scan *scan_of = context;
    struct dead_letter_record record = {0};
    if (!sqlite_column_hash(row, 0, &record.id) ||
        !reason_find(sqlite_column_view(row, 1), &record.reason)) {
        return reader_damaged(row, why, "table dead_letter_records");
    }
    record.state = (enum dead_letter_state)sqlite3_column_int(row, 2);
    record.detail = sqlite_column_view(row, 3);
    record.body = sqlite_column_view(row, 4);
    record.source_topic = sqlite_column_view(row, 5);
    record.source_message_id = sqlite_column_view(row, 6);
    record.first_seen_us = sqlite3_column_int64(row, 7);
    record.recorded_us = sqlite3_column_int64(row, 8);
    record.order_id = sqlite3_column_int64(row, 9);
    record.payment_id = sqlite3_column_int64(row, 10);
    record.event_id = sqlite_column_view(row, 11);
    record.attempts = (uint32_t)sqlite3_column_int64(row, 12);
    record.replay_count = (uint32_t)sqlite3_column_int64(row, 13);
    record.checks = (uint32_t)sqlite3_column_int64(row, 14);
    record.next_check_us = sqlite3_column_int64(row, 15);
    record.redacted = sqlite3_column_int(row, 16) != 0;
    record.rebuilt = sqlite3_column_int(row, 17) != 0;
    if (record.state < 0 || record.state >= DEAD_LETTER_STATE_COUNT) {
        return reader_damaged(row, why, "table dead_letter_records");
    }
    return scan_of->row(&record, scan_of->context) ? ERR_OK : ERR_NOT_FOUND;
}

static enum err read_dead_letters(struct store_reader *reader,
                                  const struct dead_letter_filter *filter, dead_letter_row_fn *row,
                                  void *context, struct why *why)
{
    char memory[1024];
    struct buf sql;
    struct reader_binding bindings[5] = {0};
    size_t count = 0;
    buf_init_fixed(&sql, memory, sizeof(memory));
    bindings[count++].number = DEAD_LETTER_WAITING;
    bindings[count++].number = DEAD_LETTER_HEALED;
    bindings[count++].number = DEAD_LETTER_EXPIRED;
    buf_add_str(&sql,
                "SELECT id, reason, CASE WHEN state IN (?1, ?3) AND EXISTS (SELECT 1 FROM orders o"
                " WHERE o.order_id = d.order_id) THEN ?2 ELSE state END, detail, body,"
                " source_topic, source_message_id, first_seen_us, recorded_us, order_id,"
                " payment_id, event_id, attempts, replay_count, checks, next_check_us, redacted,"
                " rebuilt FROM dead_letter_records d WHERE 1");
    if (filter->reason != REASON_NONE) {
        bindings[count++].text = reason_name(filter->reason);
        buf_add_fmt(&sql, " AND reason = ?%zu", count);
    }
    if (filter->id_prefix.size > 0) {
        bindings[count++].text = filter->id_prefix;
        buf_add_fmt(&sql, " AND substr(lower(hex(id)), 1, length(?%zu)) = ?%zu", count, count);
    }
    buf_add_str(&sql, " ORDER BY first_seen_us, id");
    if (filter->row_max > 0) {
        buf_add_fmt(&sql, " LIMIT %llu", (unsigned long long)filter->row_max);
    }
    buf_add_char(&sql, '\0');
    if (buf_overflowed(&sql)) {
        return why_set(why, ERR_INTERNAL, "the query is too long");
    }
    struct dead_letter_scan scan_of = {row, context};
    return reader_scan(sqlite_reader_of(reader), memory, bindings, count, give_dead_letter,
                       &scan_of, why);
}

// --- opening and closing --------------------------------------------------------------------------

static void close_reader(struct store_reader *base)
{
    struct sqlite_reader *reader = sqlite_reader_of(base);
    (void)sqlite3_close(reader->db); // nothing is prepared any more
    free(reader);
}

static const struct store_reader_ops reader_ops = {
    .verify = verify,
    .totals = sqlite_reader_totals,
    .facts = read_facts,
    .dead_letters = read_dead_letters,
    .close = close_reader,
};

enum err store_reader_open_sqlite(const char *path, struct store_reader **out_reader,
                                  struct why *why)
{
    struct sqlite_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return why_set(why, ERR_NO_MEMORY, "%s: cannot open: out of memory", path);
    }
    reader->base.ops = &reader_ops;
    enum err err = sqlite_open_reader(path, &reader->db, why);
    if (err == ERR_OK) {
        err = sqlite_schema_check(reader->db, why);
    }
    if (err != ERR_OK) {
        close_reader(&reader->base);
        return err;
    }
    *out_reader = &reader->base;
    return ERR_OK;
}
