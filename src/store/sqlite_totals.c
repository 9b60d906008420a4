// Adding up facts.db for the conservation report, in one consistent reading.
#include "sqlite_reader.h"

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

static enum err add_count(sqlite3_stmt *row, int at, struct store_count *count, struct why *why)
{
    struct text code = sqlite_column_view(row, at);
    uint64_t rows = (uint64_t)sqlite3_column_int64(row, at + 1);
    uint64_t with_money = (uint64_t)sqlite3_column_int64(row, at + 2);
    struct currency currency = CURRENCY_NONE;
    if (code.size > 0 && !currency_find(code, &currency)) {
        return reader_damaged(row, why, "a currency");
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
        return reader_damaged(row, why, "table applied");
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
        return reader_damaged(row, why, "table tally");
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
        return reader_damaged(row, why, "table orders");
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
        return reader_damaged(row, why, "table orders");
    }
    totals->match_issues[issue] = (uint64_t)sqlite3_column_int64(row, 1);
    return ERR_OK;
}

static enum err read_reason_row(sqlite3_stmt *row, void *context, struct why *why)
{
    struct store_totals *totals = context;
    enum reason reason = REASON_NONE;
    if (!reason_find(sqlite_column_view(row, 0), &reason)) {
        return reader_damaged(row, why, "table dead_letter_records");
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

// --- what the facts say was paid, twice: by order and by payment ---------------------------------

static const char paid_sql[] = "SELECT currency, sum(paid_minor / 1000000000),"
                               " sum(paid_minor % 1000000000) FROM orders GROUP BY currency";

static const char captured_sql[] =
    "SELECT o.currency, coalesce(sum(p.captured_minor / 1000000000), 0),"
    " coalesce(sum(p.captured_minor % 1000000000), 0), count(*)"
    " FROM orders o LEFT JOIN payments p ON p.order_id = o.order_id GROUP BY o.currency";

static enum err read_sum(sqlite3_stmt *row, __int128 sums[STORE_CURRENCIES_MAX], struct why *why)
{
    struct currency currency = CURRENCY_NONE;
    if (!currency_find(sqlite_column_view(row, 0), &currency)) {
        return reader_damaged(row, why, "table orders");
    }
    sums[currency.index] =
        (__int128)sqlite3_column_int64(row, 1) * HALF + sqlite3_column_int64(row, 2);
    return ERR_OK;
}

static enum err read_paid_row(sqlite3_stmt *row, void *context, struct why *why)
{
    struct store_totals *totals = context;
    return read_sum(row, totals->paid, why);
}

static enum err read_captured_row(sqlite3_stmt *row, void *context, struct why *why)
{
    struct store_totals *totals = context;
    totals->facts += (uint64_t)sqlite3_column_int64(row, 3);
    return read_sum(row, totals->captured, why);
}

static enum err read_ledger(struct sqlite_reader *reader, struct text log_id,
                            struct store_totals *totals, struct why *why)
{
    struct reader_binding log = {log_id.data != NULL ? log_id : TEXT(""), 0};
    enum err err = reader_scan(reader,
                               "SELECT topic, sum(last - first + 1) FROM applied WHERE log_id = ?1"
                               " GROUP BY topic",
                               &log, 1, read_applied_row, totals, why);
    if (err != ERR_OK) {
        return err;
    }
    return reader_scan(
        reader,
        "SELECT log_id = ?1, topic, outcome, currency, messages, amount_high, amount_low"
        " FROM tally",
        &log, 1, read_tally_row, totals, why);
}

static enum err read_overviews(struct sqlite_reader *reader, struct arena *arena,
                               struct store_totals *totals, struct why *why)
{
    struct settled_scan settled = {totals, arena};
    enum err err = reader_scan(reader, settled_sql, NULL, 0, read_settled_row, &settled, why);
    if (err == ERR_OK) {
        err = reader_scan(reader, "SELECT match_issue, count(*) FROM orders GROUP BY match_issue",
                          NULL, 0, read_issue_row, totals, why);
    }
    if (err == ERR_OK) {
        err = reader_scan(reader,
                          "SELECT reason, source_topic, count(*) FROM dead_letter_records"
                          " GROUP BY reason, source_topic",
                          NULL, 0, read_reason_row, totals, why);
    }
    if (err == ERR_OK) {
        err = reader_scan(reader, paid_sql, NULL, 0, read_paid_row, totals, why);
    }
    if (err == ERR_OK) {
        err = reader_scan(reader, captured_sql, NULL, 0, read_captured_row, totals, why);
    }
    if (err == ERR_OK) {
        err = reader_scan(reader, "SELECT count(*) FROM waiting_payments", NULL, 0, read_number_row,
                          &totals->waiting_entries, why);
    }
    return err;
}

enum err sqlite_reader_totals(struct store_reader *base, struct text log_id, struct arena *arena,
                              struct store_totals *out_totals, struct why *why)
{
    memset(out_totals, 0, sizeof(*out_totals));
    out_totals->has_ledger = true;
    struct sqlite_reader *reader = sqlite_reader_of(base);
    enum err err = sqlite_run(reader->db, "BEGIN", why); // one consistent reading
    if (err != ERR_OK) {
        return err;
    }
    err = read_ledger(reader, log_id, out_totals, why);
    if (err == ERR_OK) {
        err = reader_scan(reader, orders_sql, NULL, 0, read_orders_row, out_totals, why);
    }
    if (err == ERR_OK) {
        err = reader_scan(reader, payments_sql, NULL, 0, read_payments_row, out_totals, why);
    }
    if (err == ERR_OK) {
        err = read_overviews(reader, arena, out_totals, why);
    }
    (void)sqlite3_exec(reader->db, "ROLLBACK", NULL, NULL, NULL); // only read; nothing to keep
    return err;
}
