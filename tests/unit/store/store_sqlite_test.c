// Where the embedded store keeps its rows: main and side tables, the runs of the indexes, and the
// files themselves.
#include "fault_vfs.h"
#include "sqlite_store.h"
#include "sqlite_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

static int setup(void **state)
{
    struct store_bench *bench = calloc(1, sizeof(*bench));
    assert_non_null(bench);
    bench_open(bench, &sqlite_factory);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    bench_close(*state);
    free(*state);
    return 0;
}

// --- main and side tables --------------------------------------------------------------------------

static void assert_rows(struct store_bench *bench, int64_t orders, int64_t versions,
                        int64_t payments, int64_t payment_events, int64_t notes)
{
    assert_int_equal(sqlite_world_count(bench, "SELECT count(*) FROM orders"), orders);
    assert_int_equal(sqlite_world_count(bench, "SELECT count(*) FROM order_versions"), versions);
    assert_int_equal(sqlite_world_count(bench, "SELECT count(*) FROM payments"), payments);
    assert_int_equal(sqlite_world_count(bench, "SELECT count(*) FROM payment_events"),
                     payment_events);
    assert_int_equal(sqlite_world_count(bench, "SELECT count(*) FROM notes"), notes);
    assert_int_equal(sqlite_world_count(bench, "SELECT count(*) FROM order_events"),
                     orders + versions + payments + payment_events + notes);
}

static void add_version(struct store_bench *bench, int64_t version, int64_t price_minor)
{
    struct order order = bench_order(1, version);
    order.price_minor = price_minor;
    bench_add_order(bench, &order);
    bench_apply(bench);
}

static void winning_version_is_the_main_row(void **state)
{
    struct store_bench *bench = *state;
    add_version(bench, 2, 200);
    assert_rows(bench, 1, 0, 0, 0, 0);
    add_version(bench, 1, 100); // goes straight aside
    assert_rows(bench, 1, 1, 0, 0, 0);
    add_version(bench, 3, 300); // moves the winner aside
    assert_rows(bench, 1, 2, 0, 0, 0);
    add_version(bench, 2, 200); // known, and aside by now
    assert_rows(bench, 1, 2, 0, 0, 0);
    assert_int_equal(sqlite_world_count(bench, "SELECT price_minor FROM orders"), 300);
    assert_int_equal(sqlite_world_count(bench, "SELECT side FROM orders"), 1);
}

// Two contents of the winning version: the one with the smaller hash is the main row, whichever
// comes first; so one of the two turns makes them change places.
static void conflicting_versions_change_places(void **state)
{
    struct store_bench *bench = *state;
    for (int64_t turn = 0; turn < 2; turn++) {
        for (int64_t i = 0; i < 2; i++) {
            struct order order = bench_order(1 + turn, 1);
            order.price_minor = 100 + (turn == 0 ? i : 1 - i);
            bench_add_order(bench, &order);
            bench_apply(bench);
        }
    }
    assert_rows(bench, 2, 2, 0, 0, 0);
    assert_int_equal(
        sqlite_world_count(bench, "SELECT count(*) FROM orders o JOIN order_versions v ON"
                                  " v.order_id = o.order_id AND v.content_hash > o.content_hash"),
        2);
}

static void conflicting_payments_change_places(void **state)
{
    struct store_bench *bench = *state;
    for (int64_t turn = 0; turn < 2; turn++) {
        for (int64_t i = 0; i < 2; i++) {
            struct payment payment = bench_payment(1 + turn, 11);
            payment.amount_minor = 100 + (turn == 0 ? i : 1 - i);
            bench_add_payment(bench, &payment);
            bench_apply(bench);
        }
    }
    assert_rows(bench, 0, 0, 2, 2, 0);
    assert_int_equal(
        sqlite_world_count(bench, "SELECT count(*) FROM payments p JOIN payment_events e ON"
                                  " e.order_id = p.order_id AND e.content_hash > p.content_hash"),
        2);
    assert_int_equal(sqlite_world_count(bench, "SELECT min(side) FROM payments"), 1);
}

static void add_status(struct store_bench *bench, enum payment_status status)
{
    struct payment payment = bench_payment(1, 11);
    payment.status = status;
    bench_add_payment(bench, &payment);
    bench_apply(bench);
}

static void shown_event_of_a_payment_is_the_main_row(void **state)
{
    struct store_bench *bench = *state;
    add_status(bench, PAYMENT_STATUS_COMPLETED);
    assert_rows(bench, 0, 0, 1, 0, 0);
    add_status(bench, PAYMENT_STATUS_FAILED);
    assert_rows(bench, 0, 0, 1, 1, 0);
    add_status(bench, PAYMENT_STATUS_REFUNDED);
    assert_rows(bench, 0, 0, 1, 2, 0);
    assert_int_equal(sqlite_world_count(bench, "SELECT payment_status FROM payments"),
                     PAYMENT_STATUS_REFUNDED);
}

static void ordinary_partition_has_no_side(void **state)
{
    struct store_bench *bench = *state;
    add_version(bench, 1, 1000);
    add_status(bench, PAYMENT_STATUS_COMPLETED);
    assert_int_equal(sqlite_world_count(bench, "SELECT max(side) FROM orders"), 0);
    assert_int_equal(sqlite_world_count(bench, "SELECT max(side) FROM payments"), 0);
}

// A note lies aside; the payment that it speaks of is marked, so that readers find it, also when
// there is no order.
static void note_marks_the_partition(void **state)
{
    struct store_bench *bench = *state;
    const struct note note = {NOTE_PARKED, TEXT("Completed"), TEXT("")};
    char id[EVENT_NOTE_ID_SIZE];
    add_status(bench, PAYMENT_STATUS_COMPLETED);
    bench_add_note(bench, 1, 11, &note, id);
    bench_apply(bench);
    assert_rows(bench, 0, 0, 1, 0, 1);
    assert_int_equal(sqlite_world_count(bench, "SELECT side FROM payments"), 1);
    add_version(bench, 1, 1000);
    struct store_group group = bench_read(bench, 1);
    assert_int_equal(bench_count_kind(&group, EVENT_NOTE), 1);
}

// A row that a smaller version moved aside and a later conflict brings back.
static void row_that_comes_back_to_the_main_table_leaves_the_side(void **state)
{
    struct store_bench *bench = *state;
    struct order contents[3];
    for (int64_t i = 0; i < 3; i++) {
        contents[i] = bench_order(1, 1);
        contents[i].price_minor = 100 + i;
    }
    for (size_t i = 0; i < 9; i++) {
        bench_add_order(bench, &contents[(i * 5 + 2) % 3]);
        bench_apply(bench);
    }
    assert_rows(bench, 1, 2, 0, 0, 0);
    assert_int_equal(sqlite_world_count(bench,
                                        "SELECT count(*) FROM orders o JOIN order_versions v ON"
                                        " v.content_hash = o.content_hash"),
                     0);
}

// --- runs of the indexes ---------------------------------------------------------------------------

#define CUSTOMERS 1000

static void add_orders(struct store_bench *bench, int64_t first, int64_t count, int64_t version)
{
    for (int64_t i = 0; i < count; i++) {
        struct order order = bench_order(first + i, version);
        order.customer_id = 1 + (first + i) * version % CUSTOMERS;
        order.creation_date =
            (first + i + version) % 2 == 0 ? TEXT("2024-01-21") : TEXT("2024-01-22");
        bench_add_order(bench, &order);
        if (bench->incoming_count == BENCH_EVENTS_MAX || i + 1 == count) {
            bench_apply(bench);
        }
    }
}

static void assert_view_is_exact(struct store_bench *bench, const char *view)
{
    char sql[512];
    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", view);
    assert_int_equal(sqlite_world_count(bench, sql),
                     sqlite_world_count(bench, "SELECT count(*) FROM orders_payments_facts"));
    (void)snprintf(sql, sizeof(sql),
                   "SELECT count(*) FROM (SELECT order_id, payment_id, customer_id, amount FROM"
                   " orders_payments_facts EXCEPT SELECT order_id, payment_id, customer_id, amount"
                   " FROM %s)",
                   view);
    assert_int_equal(sqlite_world_count(bench, sql), 0);
}

static void assert_index(struct store_bench *bench, int64_t runs, int64_t recent)
{
    assert_int_equal(sqlite_world_count(bench, "SELECT count(*) FROM index_runs"), runs);
    assert_int_equal(sqlite_world_count(bench, "SELECT count(*) FROM index_recent"), recent);
    assert_int_equal(((struct sqlite_store *)bench->store)->recent_entries, recent);
    assert_view_is_exact(bench, "facts_by_customer");
    assert_view_is_exact(bench, "facts_by_day");
}

static void run_is_closed_at_its_size_and_not_before(void **state)
{
    struct store_bench *bench = *state;
    add_orders(bench, 1, INDEX_RUN_ENTRIES - 1, 1);
    assert_index(bench, 0, INDEX_RUN_ENTRIES - 1);
    bench_reopen(bench);
    assert_index(bench, 0, INDEX_RUN_ENTRIES - 1);
    add_orders(bench, INDEX_RUN_ENTRIES, 1, 1);
    assert_index(bench, 1, 0);
    add_orders(bench, INDEX_RUN_ENTRIES + 1, 1, 1);
    assert_index(bench, 1, 1);
    assert_int_equal(sqlite_world_count(bench, "SELECT entries FROM index_runs"),
                     INDEX_RUN_ENTRIES);
    // Other customers and days: entries of the run are stale now, and those of a second one count.
    add_orders(bench, 1, 5000, 2);
    assert_index(bench, 1, 5001);
    add_orders(bench, 100, 10, 3);
    add_orders(bench, 5001, INDEX_RUN_ENTRIES - 5001, 4);
    assert_int_equal(sqlite_world_count(bench, "SELECT count(*) FROM index_runs"), 2);
    assert_view_is_exact(bench, "facts_by_customer");
    assert_view_is_exact(bench, "facts_by_day");
}

static void rolled_back_orders_are_not_counted_towards_a_run(void **state)
{
    struct store_bench *bench = *state;
    struct sqlite_store *store = (struct sqlite_store *)bench->store;
    add_orders(bench, 1, 10, 1);
    for (int64_t i = 11; i <= 20; i++) {
        struct order order = bench_order(i, 1);
        bench_add_order(bench, &order);
    }
    bench_check(bench, bench_apply_uncommitted(bench));
    assert_int_equal(store->recent_entries, 20);
    store_rollback(bench->store);
    assert_index(bench, 0, 10);
}

static void rolled_back_run_is_closed_again(void **state)
{
    struct store_bench *bench = *state;
    add_orders(bench, 1, INDEX_RUN_ENTRIES - 1, 1);
    struct order order = bench_order(INDEX_RUN_ENTRIES, 1);
    bench_add_order(bench, &order);
    bench_check(bench, bench_apply_uncommitted(bench));
    assert_int_equal(((struct sqlite_store *)bench->store)->recent_entries, 0);
    store_rollback(bench->store);
    assert_index(bench, 0, INDEX_RUN_ENTRIES - 1);
    bench_add_order(bench, &order);
    bench_apply(bench);
    assert_index(bench, 1, 0);
}

static void payments_add_nothing_to_the_indexes(void **state)
{
    struct store_bench *bench = *state;
    add_orders(bench, 1, 3, 1);
    struct payment payment = bench_payment(1, 11);
    bench_add_payment(bench, &payment);
    bench_apply(bench);
    assert_index(bench, 0, 3);
}

// --- the ledger ------------------------------------------------------------------------------------

// Or the table would grow by a row a batch, and a start would read them all.
static void touching_ranges_are_one_row(void **state)
{
    struct store_bench *bench = *state;
    static const struct range ranges[] = {{5, 6}, {9, 9}, {7, 7}, {1, 4}, {10, 12}, {8, 8}};
    static const int64_t rows[] = {1, 2, 2, 2, 2, 1};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        bench_begin(bench);
        bench_check(bench, store_add_applied(bench->store, TEXT("log"), APPLIED_ORDERS, &ranges[i],
                                             1, &bench->why));
        bench_commit(bench);
        assert_int_equal(sqlite_world_count(bench, "SELECT count(*) FROM applied"), rows[i]);
    }
    assert_int_equal(sqlite_world_count(bench, "SELECT last - first FROM applied"), 11);
}

// --- checkpoints -----------------------------------------------------------------------------------

// A sync that failed may have dropped what it should have written, and the next one may succeed for
// all that; so the store must not go on as if nothing had happened.
static void failed_checkpoint_stops_the_store(void **state)
{
    struct store_bench *bench = *state;
    fault_vfs_arm(&(struct fault_vfs_plan){
        .calls = FAULT_VFS_MASK(FAULT_VFS_SYNC), .nth = 1, .suffix = "facts.db"});
    enum err err = ERR_OK;
    int64_t orders = 0;
    while (err == ERR_OK && orders < 400000) {
        for (int64_t i = 0; i < BENCH_EVENTS_MAX; i++) {
            struct order order = bench_order(++orders, 1);
            bench_add_order(bench, &order);
        }
        bench_check(bench, bench_apply_uncommitted(bench));
        err = store_commit(bench->store, &bench->why);
    }
    fault_vfs_disarm();
    assert_true(fault_vfs_hit());
    assert_int_equal(err, ERR_IO);
    bench_reopen(bench); // the commit itself was durable
    assert_int_equal(sqlite_world_count(bench, "SELECT count(*) FROM orders"), orders);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    fault_vfs_install();
    const struct CMUnitTest tests[] = {
        TEST(winning_version_is_the_main_row),
        TEST(conflicting_versions_change_places),
        TEST(conflicting_payments_change_places),
        TEST(shown_event_of_a_payment_is_the_main_row),
        TEST(ordinary_partition_has_no_side),
        TEST(note_marks_the_partition),
        TEST(row_that_comes_back_to_the_main_table_leaves_the_side),
        TEST(run_is_closed_at_its_size_and_not_before),
        TEST(rolled_back_orders_are_not_counted_towards_a_run),
        TEST(rolled_back_run_is_closed_again),
        TEST(payments_add_nothing_to_the_indexes),
        TEST(touching_ranges_are_one_row),
        TEST(failed_checkpoint_stops_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
