// Reading facts.db beside its owner: totals, facts, dead letters. Every statement is reset at once,
// so that no reader holds the write-ahead log back for longer than its own scan.
#include "buf.h"
#include "sqlite_schema.h"
#include "sqlite_util.h"
#include "store_read.h"

#include <stdlib.h>
#include <string.h>

// Amounts are summed in two halves, so that no number of rows overflows an SQLite integer.
#define HALF INT64_C(1000000000)
#define TOTAL_SUMS                                                                                 \
    "sum(price_minor * quantity / 1000000000), sum(price_minor * quantity % 1000000000)"
#define NET_SUMS                                                                                   \
    "sum((paid_minor - refunded_minor - charged_back_minor) / 1000000000),"                        \
    " sum((paid_minor - refunded_minor - charged_back_minor) % 1000000000)"
#define AMOUNT_SUMS                                                                                \
    "coalesce(sum(p.amount_minor / 1000000000), 0),"                                               \
    " coalesce(sum(p.amount_minor % 1000000000), 0)"

struct store_reader {
    sqlite3 *db;
};

const struct text store_fact_columns[] = {
    {"order_id", 8},
    {"payment_id", 10},
    {"customer_id", 11},
    {"item", 4},
    {"quantity", 8},
    {"price", 5},
    {"shipping_address", 16},
    {"order_status", 12},
    {"creation_date", 13},
    {"payment_method", 14},
    {"card_last_four", 14},
    {"payment_status", 14},
    {"payment_datetime", 16},
    {"amount", 6},
    {"currency", 8},
    {"order_total", 11},
    {"amount_paid", 11},
    {"amount_refunded", 15},
    {"amount_charged_back", 19},
    {"settlement", 10},
    {"match_issue", 11},
    {"n_events", 8},
};
const size_t store_fact_column_count = sizeof(store_fact_columns) / sizeof(store_fact_columns[0]);

enum err store_reader_open_sqlite(const char *path, struct store_reader **out_reader,
                                  struct why *why)
{
    struct store_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return why_set(why, ERR_NO_MEMORY, "%s: cannot open: out of memory", path);
    }
    enum err err = sqlite_open_reader(path, &reader->db, why);
    if (err == ERR_OK) {
        err = sqlite_schema_check(reader->db, why);
    }
    if (err != ERR_OK) {
        store_reader_close(&reader);
        return err;
    }
    *out_reader = reader;
    return ERR_OK;
}

void store_reader_close(struct store_reader **reader)
{
    if (reader != NULL && *reader != NULL) {
        (void)sqlite3_close((*reader)->db); // nothing is prepared any more
        free(*reader);
        *reader = NULL;
    }
}

// --- scans ---------------------------------------------------------------------------------------

typedef enum err scan_row_fn(sqlite3_stmt *row, void *context, struct why *why);

struct binding {
    struct text text; // used when data is not NULL
    int64_t number;
};

// Runs a query to its end and hands out its rows. ERR_NOT_FOUND from the callback ends the scan
// without an error.
static enum err scan(struct store_reader *reader, const char *sql, const struct binding *bindings,
                     size_t binding_count, scan_row_fn *each, void *context, struct why *why)
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

static enum err damaged(sqlite3_stmt *row, struct why *why, const char *what)
{
    return why_set(why, ERR_CORRUPT, "%s: %s is damaged",
                   sqlite3_db_filename(sqlite3_db_handle(row), "main"), what);
}

// Columns from `at`: currency, rows, rows with money, sum high, sum low.
static enum err add_count(sqlite3_stmt *row, int at, struct store_count *count, struct why *why)
{
    struct text code = sqlite_column_view(row, at);
    uint64_t rows = (uint64_t)sqlite3_column_int64(row, at + 1);
    uint64_t with_money = (uint64_t)sqlite3_column_int64(row, at + 2);
    struct currency currency = CURRENCY_NONE;
    if (code.size > 0 && !currency_find(code, &currency)) {
        return damaged(row, why, "a currency");
    }
    struct store_money *money = &count->money[currency.index];
    count->rows += rows;
    count->rows_without_money += rows - with_money;
    money->currency = currency;
    money->rows += with_money;
    money->minor +=
        (__int128)sqlite3_column_int64(row, at + 3) * HALF + sqlite3_column_int64(row, at + 4);
    return ERR_OK;
}

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

enum err store_reader_verify(struct store_reader *reader, struct why *why)
{
    return scan(reader, "PRAGMA quick_check(1)", NULL, 0, read_verdict, NULL, why);
}

// --- the ledger ----------------------------------------------------------------------------------

static bool topic_of(struct text text, enum applied_topic *out_topic)
{
    *out_topic = text_equal(text, TEXT("orders")) ? APPLIED_ORDERS : APPLIED_PAYMENTS;
    return *out_topic == APPLIED_ORDERS || text_equal(text, TEXT("payments"));
}

static enum err read_applied_row(sqlite3_stmt *row, void *context, struct why *why)
{
    struct store_totals *totals = context;
    enum applied_topic topic;
    if (!topic_of(sqlite_column_view(row, 0), &topic)) {
        return damaged(row, why, "table applied");
    }
    totals->applied[topic] = (uint64_t)sqlite3_column_int64(row, 1);
    return ERR_OK;
}

static bool outcome_of(struct text text, enum outcome *out_outcome)
{
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        if (text_equal(text, outcome_text((enum outcome)i))) {
            *out_outcome = (enum outcome)i;
            return true;
        }
    }
    return false;
}

static enum err read_tally_row(sqlite3_stmt *row, void *context, struct why *why)
{
    struct store_totals *totals = context;
    enum applied_topic topic;
    enum outcome outcome;
    struct currency currency = CURRENCY_NONE;
    struct text code = sqlite_column_view(row, 3);
    if (!topic_of(sqlite_column_view(row, 1), &topic) ||
        !outcome_of(sqlite_column_view(row, 2), &outcome) ||
        (code.size > 0 && !currency_find(code, &currency))) {
        return damaged(row, why, "table tally");
    }
    uint64_t messages = (uint64_t)sqlite3_column_int64(row, 4);
    __int128 minor = (__int128)sqlite3_column_int64(row, 5) * INT64_C(1000000000000000) +
                     sqlite3_column_int64(row, 6);
    struct store_count *counts[] = {&totals->tally_all[topic][outcome],
                                    &totals->tally[topic][outcome]};
    size_t used = sqlite3_column_int(row, 0) != 0 ? 2 : 1;
    for (size_t i = 0; i < used; i++) {
        struct store_money *money = &counts[i]->money[currency.index];
        counts[i]->rows += messages;
        counts[i]->rows_without_money += code.size == 0 ? messages : 0;
        money->currency = currency;
        money->rows += code.size > 0 ? messages : 0;
        money->minor += minor;
    }
    return ERR_OK;
}

// --- events ----------------------------------------------------------------------------------------

// An explicit version that stands beside one of the same number and a smaller hash is not counted.
#define VERSION_LOSES                                                                              \
    "v.version > 4611686018427387904 AND"                                                          \
    " (EXISTS (SELECT 1 FROM orders o WHERE o.order_id = v.order_id AND o.version = v.version"     \
    "          AND o.content_hash < v.content_hash) OR"                                            \
    "  EXISTS (SELECT 1 FROM order_versions w WHERE w.order_id = v.order_id"                       \
    "          AND w.version = v.version AND w.content_hash < v.content_hash))"

static const char orders_sql[] =
    "SELECT 0, currency, count(*), count(*), " TOTAL_SUMS " FROM orders GROUP BY currency"
    " UNION ALL SELECT " VERSION_LOSES " AS loses, currency, count(*), count(*), " TOTAL_SUMS
    " FROM order_versions v GROUP BY loses, currency";

static enum err read_orders_row(sqlite3_stmt *row, void *context, struct why *why)
{
    struct store_totals *totals = context;
    enum err err = add_count(row, 1, &totals->orders, why);
    if (err == ERR_OK && sqlite3_column_int(row, 0) != 0) {
        err = add_count(row, 1, &totals->orders_conflict, why);
    }
    return err;
}

// The identity of a row of `payments`: its event_id, or the word of its status.
#define IDENTITY                                                                                   \
    "coalesce(event_id, CASE payment_status WHEN 0 THEN 'Pending' WHEN 1 THEN 'Failed'"            \
    " WHEN 2 THEN 'Completed' WHEN 3 THEN 'Refunded' WHEN 4 THEN 'Chargeback'"                     \
    " ELSE 'ChargebackReversed' END)"
_Static_assert(PAYMENT_STATUS_COUNT == 6 && PAYMENT_STATUS_CHARGEBACK_REVERSED == 5 &&
                   PAYMENT_STATUS_COMPLETED == 2,
               "the query above names them by number");

// What has become of a payment event: 0 matched, 1 waiting, 2 dead, 3 discarded, 4 lost a conflict.
#define FATE                                                                                       \
    "CASE WHEN EXISTS (SELECT 1 FROM orders o WHERE o.order_id = p.order_id) THEN 0"               \
    " WHEN EXISTS (SELECT 1 FROM notes n WHERE n.order_id = p.order_id"                            \
    "              AND n.payment_id = p.payment_id AND n.kind = 2 AND n.about = p.identity)"       \
    " THEN 3"                                                                                      \
    " WHEN EXISTS (SELECT 1 FROM notes n WHERE n.order_id = p.order_id"                            \
    "              AND n.payment_id = p.payment_id AND n.kind = 1 AND n.about = p.identity)"       \
    " THEN 2 ELSE 1 END"
_Static_assert(NOTE_DEAD == 1 && NOTE_DISCARDED == 2, "the query above names them by number");

#define EVENT_LOSES                                                                                \
    "EXISTS (SELECT 1 FROM payments m WHERE m.order_id = p.order_id"                               \
    "        AND m.payment_id = p.payment_id AND m.content_hash < p.content_hash"                  \
    "        AND " IDENTITY " = p.identity) OR"                                                    \
    " EXISTS (SELECT 1 FROM payment_events e WHERE e.order_id = p.order_id"                        \
    "         AND e.payment_id = p.payment_id AND e.identity = p.identity"                         \
    "         AND e.content_hash < p.content_hash)"

#define AMOUNTS                                                                                    \
    "CASE WHEN p.amount_minor IS NULL THEN '' ELSE p.currency END AS code, count(*),"              \
    " count(p.amount_minor), " AMOUNT_SUMS ", min(p.published_us)"

static const char payments_sql[] =
    "SELECT " FATE " AS class, " AMOUNTS " FROM (SELECT *, " IDENTITY
    " AS identity FROM payments) p"
    " GROUP BY class, code"
    " UNION ALL SELECT CASE WHEN " EVENT_LOSES " THEN 4 ELSE " FATE " END AS class, " AMOUNTS
    " FROM payment_events p GROUP BY class, code";

static enum err read_payments_row(sqlite3_stmt *row, void *context, struct why *why)
{
    struct store_totals *totals = context;
    struct store_count *classes[] = {&totals->matched, &totals->waiting, &totals->dead,
                                     &totals->discarded, &totals->payments_conflict};
    int class_index = sqlite3_column_int(row, 0);
    int64_t oldest_us = sqlite3_column_int64(row, 6);
    if (class_index == 1 &&
        (totals->oldest_waiting_us == 0 || oldest_us < totals->oldest_waiting_us)) {
        totals->oldest_waiting_us = oldest_us;
    }
    return add_count(row, 1, classes[class_index], why);
}

// --- overviews --------------------------------------------------------------------------------------

struct settled_scan {
    struct store_totals *totals;
    struct arena *arena;
};

static const char settled_sql[] =
    "SELECT settlement, currency, count(*), " TOTAL_SUMS ", " NET_SUMS " FROM orders"
    " GROUP BY settlement, currency ORDER BY settlement, currency";

static enum err read_settled_row(sqlite3_stmt *row, void *context, struct why *why)
{
    struct settled_scan *settled = context;
    struct store_totals *totals = settled->totals;
    size_t cap = (size_t)SETTLEMENT_COUNT * STORE_CURRENCIES_MAX;
    if (totals->settled == NULL) {
        totals->settled = ARENA_ARRAY(settled->arena, struct store_settled, cap);
    }
    int settlement = sqlite3_column_int(row, 0);
    if (totals->settled == NULL) {
        return why_set(why, ERR_NO_MEMORY, "out of memory");
    }
    struct store_settled *line = &totals->settled[totals->settled_count];
    if (settlement < 0 || settlement >= SETTLEMENT_COUNT || totals->settled_count == cap ||
        !currency_find(sqlite_column_view(row, 1), &line->currency)) {
        return damaged(row, why, "table orders");
    }
    totals->settled_count++;
    line->settlement = (enum settlement)settlement;
    line->orders = (uint64_t)sqlite3_column_int64(row, 2);
    line->total_minor =
        (__int128)sqlite3_column_int64(row, 3) * HALF + sqlite3_column_int64(row, 4);
    line->paid_minor = (__int128)sqlite3_column_int64(row, 5) * HALF + sqlite3_column_int64(row, 6);
    totals->orders_distinct += line->orders;
    return ERR_OK;
}

static enum err read_issue_row(sqlite3_stmt *row, void *context, struct why *why)
{
    struct store_totals *totals = context;
    int issue = sqlite3_column_int(row, 0);
    if (issue < 0 || issue >= MATCH_ISSUE_COUNT) {
        return damaged(row, why, "table orders");
    }
    totals->match_issues[issue] = (uint64_t)sqlite3_column_int64(row, 1);
    return ERR_OK;
}

static enum err read_reason_row(sqlite3_stmt *row, void *context, struct why *why)
{
    struct store_totals *totals = context;
    enum reason reason = REASON_NONE;
    if (!reason_find(sqlite_column_view(row, 0), &reason)) {
        return damaged(row, why, "table dead_letter_records");
    }
    uint64_t count = (uint64_t)sqlite3_column_int64(row, 2);
    totals->dead_letters[reason] += count;
    bool refused = reason_class_of(reason) == REASON_CLASS_REFUSED || reason == REASON_E_POISON;
    if (refused) {
        bool order = text_equal(sqlite_column_view(row, 1), TEXT("orders_data"));
        totals->dead_letters_refused[order ? APPLIED_ORDERS : APPLIED_PAYMENTS] += count;
    }
    return ERR_OK;
}

static enum err read_number_row(sqlite3_stmt *row, void *context, struct why *why)
{
    (void)why;
    *(uint64_t *)context = (uint64_t)sqlite3_column_int64(row, 0);
    return ERR_OK;
}

static enum err read_ledger(struct store_reader *reader, struct text log_id,
                            struct store_totals *totals, struct why *why)
{
    struct binding log = {log_id.data != NULL ? log_id : TEXT(""), 0};
    enum err err = scan(reader,
                        "SELECT topic, sum(last - first + 1) FROM applied WHERE log_id = ?1"
                        " GROUP BY topic",
                        &log, 1, read_applied_row, totals, why);
    if (err != ERR_OK) {
        return err;
    }
    return scan(reader,
                "SELECT log_id = ?1, topic, outcome, currency, messages, amount_high, amount_low"
                " FROM tally",
                &log, 1, read_tally_row, totals, why);
}

static enum err read_overviews(struct store_reader *reader, struct arena *arena,
                               struct store_totals *totals, struct why *why)
{
    struct settled_scan settled = {totals, arena};
    enum err err = scan(reader, settled_sql, NULL, 0, read_settled_row, &settled, why);
    if (err == ERR_OK) {
        err = scan(reader, "SELECT match_issue, count(*) FROM orders GROUP BY match_issue", NULL, 0,
                   read_issue_row, totals, why);
    }
    if (err == ERR_OK) {
        err = scan(reader,
                   "SELECT reason, source_topic, count(*) FROM dead_letter_records"
                   " GROUP BY reason, source_topic",
                   NULL, 0, read_reason_row, totals, why);
    }
    if (err == ERR_OK) {
        err = scan(reader,
                   "SELECT count(*) FROM orders o LEFT JOIN payments p ON p.order_id = o.order_id",
                   NULL, 0, read_number_row, &totals->facts, why);
    }
    if (err == ERR_OK) {
        err = scan(reader, "SELECT count(*) FROM waiting_payments", NULL, 0, read_number_row,
                   &totals->waiting_entries, why);
    }
    return err;
}

enum err store_reader_totals(struct store_reader *reader, struct text log_id, struct arena *arena,
                             struct store_totals *out_totals, struct why *why)
{
    memset(out_totals, 0, sizeof(*out_totals));
    enum err err = sqlite_run(reader->db, "BEGIN", why); // one consistent reading
    if (err != ERR_OK) {
        return err;
    }
    err = read_ledger(reader, log_id, out_totals, why);
    if (err == ERR_OK) {
        err = scan(reader, orders_sql, NULL, 0, read_orders_row, out_totals, why);
    }
    if (err == ERR_OK) {
        err = scan(reader, payments_sql, NULL, 0, read_payments_row, out_totals, why);
    }
    if (err == ERR_OK) {
        err = read_overviews(reader, arena, out_totals, why);
    }
    (void)sqlite3_exec(reader->db, "ROLLBACK", NULL, NULL, NULL); // only read; nothing to keep
    return err;
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
    struct text columns[sizeof(store_fact_columns) / sizeof(store_fact_columns[0])];
    for (size_t i = 0; i < store_fact_column_count; i++) {
        const unsigned char *data = sqlite3_column_text(row, (int)i);
        int size = sqlite3_column_bytes(row, (int)i);
        columns[i] = (struct text){(const char *)data, data != NULL ? (size_t)size : 0};
    }
    return scan_of->row(columns, store_fact_column_count, scan_of->context) ? ERR_OK
                                                                            : ERR_NOT_FOUND;
}

// A query over the view that has the filter's key; each condition is bound, never written into it.
static size_t build_fact_query(const struct fact_filter *filter, struct buf *sql,
                               struct binding *bindings)
{
    size_t count = 0;
    const char *view = filter->customer_id != 0 ? "facts_by_customer"
                       : filter->day.size > 0   ? "facts_by_day"
                                                : "orders_payments_facts";
    buf_add_str(sql, "SELECT ");
    for (size_t i = 0; i < store_fact_column_count; i++) {
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
    if (filter->day.size > 0 && filter->customer_id == 0) {
        bindings[count++].text = filter->day;
        buf_add_fmt(sql, " AND day = ?%zu", count);
    }
    if (filter->day.size > 0 && filter->customer_id != 0) {
        bindings[count++].text = filter->day;
        buf_add_fmt(sql, " AND substr(creation_date, 1, 10) = ?%zu", count);
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

enum err store_reader_facts(struct store_reader *reader, const struct fact_filter *filter,
                            fact_row_fn *row, void *context, struct why *why)
{
    char memory[2048];
    struct buf sql;
    struct binding bindings[8] = {0};
    buf_init_fixed(&sql, memory, sizeof(memory));
    size_t count = build_fact_query(filter, &sql, bindings);
    if (buf_overflowed(&sql)) {
        return why_set(why, ERR_INTERNAL, "the query is too long");
    }
    struct fact_scan scan_of = {row, context};
    return scan(reader, memory, bindings, count, give_fact_row, &scan_of, why);
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
        return damaged(row, why, "table dead_letter_records");
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
        return damaged(row, why, "table dead_letter_records");
    }
    return scan_of->row(&record, scan_of->context) ? ERR_OK : ERR_NOT_FOUND;
}

enum err store_reader_dead_letters(struct store_reader *reader,
                                   const struct dead_letter_filter *filter, dead_letter_row_fn *row,
                                   void *context, struct why *why)
{
    char memory[1024];
    struct buf sql;
    struct binding bindings[4] = {0};
    size_t count = 0;
    buf_init_fixed(&sql, memory, sizeof(memory));
    bindings[count++].number = DEAD_LETTER_WAITING;
    bindings[count++].number = DEAD_LETTER_HEALED;
    buf_add_str(&sql,
                "SELECT id, reason, CASE WHEN state = ?1 AND EXISTS (SELECT 1 FROM orders o"
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
    return scan(reader, memory, bindings, count, give_dead_letter, &scan_of, why);
}
