// Rows are compared as SQLite shows them in the views that people use.
#include "same_data.h"

#include "data_files.h"
#include "must.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN_ROWS_MAX  5
#define BUSY_TIMEOUT_MS 10000

struct compared {
    const char *name;
    const char *sql;
};

static const struct compared all_compared[] = {
    {"facts", "SELECT * FROM orders_payments_facts ORDER BY order_id, payment_id"},
    {"facts by customer", "SELECT * FROM facts_by_customer ORDER BY order_id, payment_id"},
    {"facts by day", "SELECT * FROM facts_by_day ORDER BY order_id, payment_id"},
    {"events",
     "SELECT order_id, kind, entity_id, event_id, content_hash, customer_id, item, quantity, price,"
     " shipping_address, status, stated_time, payment_method, card_last_four, amount, currency"
     " FROM order_events WHERE kind <> 'NOTE' ORDER BY 1, 2, 3, 4, 5"},
    {"refused messages",
     "SELECT DISTINCT reason, detail, source_topic, order_id, payment_id, redacted, hex(body)"
     " FROM dead_letters WHERE reason NOT IN ('E_UNMATCHED', 'E_CONFLICT')"
     " ORDER BY 1, 2, 3, 4, 5, 6, 7"},
    {"conflicts", "SELECT id, source_topic, order_id, payment_id, event_id FROM dead_letters"
                  " WHERE reason = 'E_CONFLICT' ORDER BY id"},
    {"payments without order",
     "SELECT id, source_topic, order_id, payment_id, event_id, detail, hex(body) FROM dead_letters"
     " WHERE reason = 'E_UNMATCHED' AND state <> 'HEALED' ORDER BY id"},
    {"payments that wait", "SELECT * FROM waiting_payments"},
};

// --- comparing ------------------------------------------------------------------------------------

static size_t line_size(const char *text)
{
    size_t size = strcspn(text, "\n");
    return size + (text[size] == '\n');
}

static size_t line_count(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text += line_size(text)) {
        count++;
    }
    return count;
}

static void show(const char *name, const char *row)
{
    print_error("  %-12s %.*s\n", name, (int)strcspn(row, "\n"), row);
}

// The first differing rows, and how many rows there are.
static void show_difference(const char *left, const char *left_name, const char *right,
                            const char *right_name)
{
    print_error("%s: %zu rows, %s: %zu rows\n", left_name, line_count(left), right_name,
                line_count(right));
    size_t shown = 0;
    while (shown < SHOWN_ROWS_MAX && (*left != '\0' || *right != '\0')) {
        size_t left_size = line_size(left);
        size_t right_size = line_size(right);
        if (left_size != right_size || memcmp(left, right, left_size) != 0) {
            show(left_name, left);
            show(right_name, right);
            shown++;
        }
        left += left_size;
        right += right_size;
    }
}

static void assert_same_rows(const struct compared *compared, const char *directory,
                             const char *undisturbed)
{
    char *left = facts_rows(directory, compared->sql);
    char *right = facts_rows(undisturbed, compared->sql);
    if (strcmp(left, right) != 0) {
        show_difference(left, directory, right, undisturbed);
        fail_msg("%s are not those of an undisturbed run", compared->name);
    }
    free(left);
    free(right);
}

void assert_same_data(const char *directory, const char *undisturbed)
{
    for (size_t i = 0; i < sizeof(all_compared) / sizeof(all_compared[0]); i++) {
        assert_same_rows(&all_compared[i], directory, undisturbed);
    }
}

// --- what the generator says ----------------------------------------------------------------------

static void assert_count(const char *directory, const char *sql, size_t expected)
{
    int64_t count = facts_number(directory, sql);
    if (count != (int64_t)expected) {
        fail_msg("%s: %" PRId64 ", but the generator made %zu", sql, count, expected);
    }
}

void assert_data_as_generated(const char *directory, const struct message_set *set)
{
    size_t refused = message_set_count_fate(set, BUS_ORDERS, GENERATED_REFUSED) +
                     message_set_count_fate(set, BUS_PAYMENTS, GENERATED_REFUSED);
    size_t order_conflicts = message_set_count_fate(set, BUS_ORDERS, GENERATED_CONFLICT);
    size_t payment_conflicts = message_set_count_fate(set, BUS_PAYMENTS, GENERATED_CONFLICT);
    size_t unmatched = message_set_count_fate(set, BUS_PAYMENTS, GENERATED_UNMATCHED);
    assert_count(directory, "SELECT count(*) FROM order_events WHERE kind = 'ORDER'",
                 message_set_count_fate(set, BUS_ORDERS, GENERATED_STORED) + order_conflicts);
    assert_count(directory, "SELECT count(*) FROM order_events WHERE kind = 'PAYMENT'",
                 message_set_count_fate(set, BUS_PAYMENTS, GENERATED_MATCHED) + unmatched +
                     payment_conflicts);
    assert_count(directory, "SELECT count(*) FROM dead_letters WHERE reason = 'E_CONFLICT'",
                 order_conflicts + payment_conflicts);
    assert_count(directory, "SELECT count(*) FROM dead_letters WHERE reason = 'E_UNMATCHED'",
                 unmatched);
    assert_count(directory,
                 "SELECT count(*) FROM dead_letters WHERE reason NOT IN ('E_UNMATCHED',"
                 " 'E_CONFLICT')",
                 refused);
    assert_true(order_conflicts > 0 && payment_conflicts > 0 && unmatched > 0 && refused > 0);
}

// --- what lies on disk ----------------------------------------------------------------------------

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    return statement;
}

// SQLITE_READONLY: its writer died before the first transaction, in one that only a writer can undo.
static bool has_tables(sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_schema", -1, &statement, NULL);
    code = code == SQLITE_OK ? sqlite3_step(statement) : code;
    (void)sqlite3_finalize(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE && (code & 0xff) != SQLITE_READONLY) {
        fail_msg("%s: %s", sqlite3_db_filename(db, "main"), sqlite3_errmsg(db));
    }
    return code == SQLITE_ROW;
}

// 0 without the file or its tables, which are made all at once. What a writer that died left in its log
// is recovered by whoever reads.
static int64_t number_in(const char *directory, const char *file, const char *sql)
{
    char path[256];
    sqlite3 *db = NULL;
    int64_t number = 0;
    (void)snprintf(path, sizeof path, "%s/%s", directory, file);
    if (!file_exists(path)) {
        return 0;
    }
    must(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK, path);
    (void)sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS); // fails only for a NULL handle
    if (has_tables(db)) {
        sqlite3_stmt *statement = prepare(db, sql);
        if (sqlite3_step(statement) != SQLITE_ROW) {
            fail_msg("%s: %s: %s", path, sql, sqlite3_errmsg(db));
        }
        number = sqlite3_column_int64(statement, 0);
        (void)sqlite3_finalize(statement);
    }
    (void)sqlite3_close(db);
    return number;
}

void disk_figures(const char *directory, struct disk_figures *out_figures)
{
    *out_figures = (struct disk_figures){
        .published = number_in(directory, "topics.db",
                               "SELECT coalesce(sum(last_seq), 0) FROM topics"
                               " WHERE name IN ('orders_data', 'payments_data')"),
        .acked = number_in(directory, "topics.db",
                           "SELECT coalesce(sum(ack_floor), 0) FROM subscriptions"
                           " WHERE name IN ('orders_data-sub', 'payments_data-sub')"),
        .applied = number_in(directory, "facts.db", "SELECT coalesce(sum(messages), 0) FROM tally"),
        .starts =
            number_in(directory, "facts.db", "SELECT coalesce(max(starts), 0) FROM lane_starts"),
        .suspects = number_in(directory, "facts.db", SQL_SUSPECTS),
        .parked = number_in(directory, "facts.db",
                            "SELECT count(*) FROM (SELECT DISTINCT order_id,"
                            " payment_id, about FROM notes)"),
        .healed = number_in(directory, "facts.db",
                            "SELECT count(*) FROM dead_letters WHERE reason = 'E_UNMATCHED'"
                            " AND state = 'HEALED'"),
    };
}
