// The program on one Cassandra node: the same messages give the same facts and dead letters as on the
// embedded store, and the tables hold what reads are fast with: no tombstones, no nulls, no clocks.
#include "buf.h"
#include "cassandra_rig.h"
#include "cassandra_server.h"
#include "data_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs those before it
#include <cmocka.h>

#define PAIRS      "500"
#define PAIRS_FULL "20000"
#define SEED       "7"
// All anomalies, in shares that make each of them occur.
#define ANOMALIES                                                                                  \
    "--late", "5%", "--early", "20%", "--orphan", "3%", "--duplicate", "5%", "--conflict", "2%",   \
        "--corrupt", "2%", "--partial", "5%", "--overpay", "2%", "--refund", "5%", "--chargeback", \
        "2%", "--failed-retry", "5%", "--wrong-currency", "2%"

static struct cassandra_server *server;
static struct cassandra_rig rig;
static char keyspace[CASSANDRA_KEYSPACE_SIZE];

static const char *pairs(void)
{
    return rig_is_full() ? PAIRS_FULL : PAIRS;
}

// Into the embedded store when `into` is NULL.
static const struct outcome *run_into(const struct cassandra_rig *into, const char *directory)
{
    const struct till_start start = {.words =
                                         TILL_WORDS("run", "--generate", pairs(), "--seed", SEED,
                                                    ANOMALIES, "--once", "--data-dir", directory),
                                     .variables = into != NULL ? into->variables : NULL};
    return rig_wait(till_start(&start));
}

// The pairs of all claims, once through each store.
static int create_world(void **state)
{
    int failed = till_test_setup(state);
    cassandra_server_keyspace(server, keyspace);
    rig_init(&rig, cassandra_server_addresses(server), keyspace);
    assert_exit_code(RIG_RUN(&rig, "setup", "--quiet"), 0);
    assert_exit_code(run_into(NULL, "e"), 0);
    const struct outcome *run = run_into(&rig, "c");
    assert_exit_code(run, 0);
    assert_out_has(run, "Balanced: all ");
    assert_err_has(run, keyspace);
    return failed;
}

// The rows that a statement gives; free() them.
__attribute__((format(printf, 1, 2))) static char *rows_of(const char *format, ...)
{
    char statement[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(statement, sizeof(statement), format, arguments);
    va_end(arguments);
    return cassandra_server_cql(server, statement);
}

// The number in line `line`, from 0 on.
static int64_t number_in(const char *rows, size_t line)
{
    char *end = NULL;
    for (size_t i = 0; i < line; i++) {
        rows = strchr(rows, '\n');
        assert_non_null(rows);
        rows++;
    }
    long long number = strtoll(rows, &end, 10);
    assert_true(end > rows);
    return number;
}

// --- the same as the embedded store -----------------------------------------------------------------

static void facts_and_dead_letters_are_those_of_the_embedded_store(void **state)
{
    (void)state;
    rig_assert_same(&rig, "e");
    rig_assert_balanced(&rig);
}

// The second time everything is there already. (Dead letters of messages that could not be read are new,
// since the messages have new ids.)
static void the_same_messages_once_more_change_no_fact(void **state)
{
    (void)state;
    char *before = rig_facts(&rig, "none");
    assert_exit_code(run_into(&rig, "again"), 0);
    char *after = rig_facts(&rig, "none");
    assert_same_lines("facts", after, before);
    rig_assert_balanced(&rig);
    free(before);
    free(after);
}

// --- what lies in the tables --------------------------------------------------------------------------

// The most tombstones that one read of each of these tables has met. Below two the figure is 1.
static void assert_tombstones(const char *tables[], size_t count, bool are_there)
{
    char *rows = rows_of("SELECT table_name, max FROM system_views.tombstones_per_read"
                         " WHERE keyspace_name = '%s';",
                         keyspace);
    for (size_t i = 0; i < count; i++) {
        char label[64];
        (void)snprintf(label, sizeof(label), "%s\t", tables[i]);
        const char *row = strstr(rows, label);
        assert_true(row != NULL && (row == rows || row[-1] == '\n'));
        if ((number_in(row + strlen(label), 0) > 1) != are_there) {
            fail_msg("%s: tombstones %s", tables[i], are_there ? "are not seen" : "were read");
        }
    }
    free(rows);
}

static void a_run_leaves_no_tombstones_for_readers(void **state)
{
    static const char *tables[] = {"order_events",    "orders_payments_facts", "facts_by_customer",
                                   "facts_by_day",    "dead_letters",          "dead_letter_events",
                                   "waiting_payments"};
    const size_t count = sizeof(tables) / sizeof(tables[0]);
    struct buf statements;
    (void)state;
    buf_init_heap(&statements, 4096);
    for (size_t i = 0; i < count; i++) {
        buf_add_fmt(&statements, "SELECT count(*) FROM %s.%s;", keyspace, tables[i]);
    }
    buf_add_char(&statements, '\0');
    char *rows = rows_of("%s", statements.data);
    for (size_t i = 0; i < count; i++) {
        assert_true(number_in(rows, i) > 0);
    }
    free(rows);
    buf_deinit(&statements);
    assert_tombstones(tables, count, false);
    // The same question does find two that are there.
    free(rows_of("INSERT INTO %s.orders_payments_facts (order_id, payment_id, amount,"
                 " payment_method) VALUES (999999999, 1, null, null);"
                 "SELECT order_id FROM %s.orders_payments_facts WHERE order_id = 999999999;",
                 keyspace, keyspace));
    assert_tombstones(&tables[1], 1, true);
}

// Through a column that is null an older projection might still show.
static void no_column_of_a_fact_is_null(void **state)
{
    (void)state;
    char *rows =
        rows_of("SELECT customer_id, item, quantity, price, shipping_address, order_status,"
                " creation_date, currency, order_total, amount_paid, amount_refunded,"
                " amount_charged_back, settlement, match_issue, n_events"
                " FROM %s.orders_payments_facts;"
                "SELECT payment_method, card_last_four, payment_status, payment_datetime, amount"
                " FROM %s.orders_payments_facts WHERE payment_id > 0 ALLOW FILTERING;",
                keyspace, keyspace);
    assert_true(line_count(rows) > 900);
    assert_null(strstr(rows, "null"));
    free(rows);
}

// Every timestamp is at or above 2^51, which no clock in microseconds reaches before the year 2041, and
// nothing fades.
static void rows_are_stamped_by_their_sets_and_not_by_a_clock(void **state)
{
    (void)state;
    const int64_t base = INT64_C(1) << 51;
    char *rows = rows_of("SELECT min(writetime(status)) FROM %s.order_events;"
                         "SELECT max(writetime(status)) FROM %s.order_events;"
                         "SELECT min(writetime(n_events)) FROM %s.orders_payments_facts;"
                         "SELECT min(writetime(amount)) FROM %s.orders_payments_facts;"
                         "SELECT count(ttl(status)) FROM %s.order_events;"
                         "SELECT count(ttl(n_events)) FROM %s.orders_payments_facts;",
                         keyspace, keyspace, keyspace, keyspace, keyspace, keyspace);
    assert_int_equal(number_in(rows, 0), base);
    assert_int_equal(number_in(rows, 1), base);
    assert_true(number_in(rows, 2) > base);
    assert_true(number_in(rows, 3) > base);
    assert_int_equal(number_in(rows, 4), 0);
    assert_int_equal(number_in(rows, 5), 0);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_and_dead_letters_are_those_of_the_embedded_store),
        cmocka_unit_test(the_same_messages_once_more_change_no_fact),
        cmocka_unit_test(no_column_of_a_fact_is_null),
        cmocka_unit_test(rows_are_stamped_by_their_sets_and_not_by_a_clock),
        cmocka_unit_test(a_run_leaves_no_tombstones_for_readers), // and makes two
    };
    cassandra_server_require();
    server = cassandra_server_shared();
    int failed = cmocka_run_group_tests(tests, create_world, till_test_teardown);
    cassandra_server_stop(&server);
    return failed;
}
