// Claims about facts, as readers see them, and about transactions.
#include "store_bench.h"
#include "store_suite_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- facts -----------------------------------------------------------------------------------------

#define FACT_ROWS_MAX 16
#define FACT_TEXT_MAX 64

struct fact_rows {
    char rows[FACT_ROWS_MAX][FACT_TEXT_MAX]; // "order_id/payment_id/amount/settlement"
    size_t count;
};

static struct text column_of(const struct text *columns, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(store_fact_columns[i], text_of(name))) {
            return columns[i];
        }
    }
    fail_msg("no column %s", name);
    return (struct text){NULL, 0};
}

static bool keep_fact(const struct text *columns, size_t count, void *context)
{
    struct fact_rows *facts = context;
    assert_in_range(facts->count, 0, FACT_ROWS_MAX - 1);
    struct text order_id = column_of(columns, count, "order_id");
    struct text payment_id = column_of(columns, count, "payment_id");
    struct text amount = column_of(columns, count, "amount");
    struct text settlement = column_of(columns, count, "settlement");
    (void)snprintf(facts->rows[facts->count++], FACT_TEXT_MAX, "%.*s/%.*s/%.*s/%.*s",
                   TEXT_PRINT(order_id), TEXT_PRINT(payment_id), TEXT_PRINT(amount),
                   TEXT_PRINT(settlement));
    return true;
}

static const struct fact_filter any_fact = {.settlement = -1, .match_issue = -1};

static int compare_rows(const void *a, const void *b)
{
    return strcmp(a, b); // ids of one digit
}

static void assert_facts(struct store_bench *bench, const struct fact_filter *filter,
                         const char *const *expected, size_t count)
{
    struct fact_rows facts = {0};
    struct store_reader *reader = bench_reader(bench);
    bench_check(bench, store_reader_facts(reader, filter, keep_fact, &facts, &bench->why));
    store_reader_close(&reader);
    assert_int_equal(facts.count, count);
    if (!bench->factory->traits.scans_in_order) {
        qsort(facts.rows, facts.count, sizeof(facts.rows[0]), compare_rows);
    }
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(facts.rows[i], expected[i]);
    }
}
#define ASSERT_FACTS(bench, filter, ...)                                                           \
    assert_facts((bench), (filter), (const char *const[]){__VA_ARGS__},                            \
                 sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void facts_show_orders_with_and_without_payments(void **state)
{
    struct store_bench *bench = *state;
    struct order order = bench_order(1, 1);
    struct payment payment = bench_payment(1, 11);
    bench_add_order(bench, &order);
    payment.order_id = 2;
    bench_add_payment(bench, &payment); // its order has not come
    bench_apply(bench);
    ASSERT_FACTS(bench, &any_fact, "1///UNPAID");
    payment.order_id = 1;
    bench_add_payment(bench, &payment);
    payment.payment_id = 12;
    payment.amount_minor = 1;
    bench_add_payment(bench, &payment);
    order.order_id = 2;
    bench_add_order(bench, &order);
    bench_apply(bench);
    ASSERT_FACTS(bench, &any_fact, "1/11/10.00/OVERPAID", "1/12/0.01/OVERPAID", "2/11/10.00/PAID");
}

static void facts_are_found_by_every_filter(void **state)
{
    struct store_bench *bench = *state;
    for (int64_t order_id = 1; order_id <= 6; order_id++) {
        struct order order = bench_order(order_id, 1);
        order.customer_id = 7 + order_id % 2;
        order.creation_date = order_id <= 3 ? TEXT("2024-01-21") : TEXT("2024-02-29T23:59:59Z");
        bench_add_order(bench, &order);
        struct payment payment = bench_payment(order_id, 11);
        payment.amount_minor = order_id % 3 == 0 ? 999 : 1000;
        bench_add_payment(bench, &payment);
    }
    bench_apply(bench);
    struct fact_filter filter = any_fact;
    filter.order_id = 3;
    ASSERT_FACTS(bench, &filter, "3/11/9.99/PARTIAL");
    filter = any_fact;
    filter.customer_id = 8;
    ASSERT_FACTS(bench, &filter, "1/11/10.00/PAID", "3/11/9.99/PARTIAL", "5/11/10.00/PAID");
    filter.day = TEXT("2024-01-21");
    ASSERT_FACTS(bench, &filter, "1/11/10.00/PAID", "3/11/9.99/PARTIAL");
    filter.settlement = SETTLEMENT_PAID;
    ASSERT_FACTS(bench, &filter, "1/11/10.00/PAID");
    filter = any_fact;
    filter.day = TEXT("2024-02-29");
    ASSERT_FACTS(bench, &filter, "4/11/10.00/PAID", "5/11/10.00/PAID", "6/11/9.99/PARTIAL");
    filter.row_max = 2;
    ASSERT_FACTS(bench, &filter, "4/11/10.00/PAID", "5/11/10.00/PAID");
    filter = any_fact;
    filter.match_issue = MATCH_ISSUE_UNDERPAID;
    ASSERT_FACTS(bench, &filter, "3/11/9.99/PARTIAL", "6/11/9.99/PARTIAL");
}

// Customer and day move with the winning version, there and back.
static void order_is_filed_under_its_winners_customer_and_day(void **state)
{
    struct store_bench *bench = *state;
    static const int64_t customers[] = {7, 8, 7, 9};
    static const char *const days[] = {"2024-01-21", "2024-01-22", "2024-01-21", "2024-01-23"};
    for (size_t i = 0; i < 4; i++) {
        struct order order = bench_order(1, (int64_t)i + 1);
        order.customer_id = customers[i];
        order.creation_date = text_of(days[i]);
        bench_add_order(bench, &order);
        bench_apply(bench);
        for (int64_t customer = 7; customer <= 9; customer++) {
            struct fact_filter filter = any_fact;
            filter.customer_id = customer;
            static const char *const row[] = {"1///UNPAID"};
            assert_facts(bench, &filter, row, customer == customers[i]);
        }
        for (size_t day = 0; day < 4; day++) {
            struct fact_filter filter = any_fact;
            filter.day = text_of(days[day]);
            static const char *const row[] = {"1///UNPAID"};
            assert_facts(bench, &filter, row, strcmp(days[day], days[i]) == 0);
        }
    }
}

static void order_without_a_date_is_filed_under_its_publish_day(void **state)
{
    struct store_bench *bench = *state;
    static const char *const dates[] = {"one of these days", "2024-02-30", "2024-13-01",
                                        "2024-1-21",         "2024-01-2",  "2023-02-29"};
    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        struct order order = bench_order((int64_t)i + 1, 1);
        order.creation_date = text_of(dates[i]);
        bench_add_order(bench, &order);
    }
    bench_apply(bench);
    struct fact_filter filter = any_fact;
    filter.day = TEXT("2023-11-14"); // of BENCH_PUBLISHED_US
    ASSERT_FACTS(bench, &filter, "1///UNPAID", "2///UNPAID", "3///UNPAID", "4///UNPAID",
                 "5///UNPAID", "6///UNPAID");
}

// --- transactions ----------------------------------------------------------------------------------

static void rolled_back_work_leaves_nothing(void **state)
{
    struct store_bench *bench = *state;
    if (!bench->factory->traits.transactional) {
        skip();
    }
    struct order order = bench_order(1, 1);
    bench_add_order(bench, &order);
    bench_apply(bench);
    order.version = 2;
    struct payment payment = bench_payment(2, 21);
    bench_add_order(bench, &order);
    bench_add_payment(bench, &payment);
    bench_check(bench, bench_apply_uncommitted(bench));
    struct waiting_payment waiting = {.due_us = 10, .order_id = 2, .payment_id = 21};
    struct range range = {1, 5};
    struct tally tally = {.messages = 5};
    struct dead_letter_record record = {.reason = REASON_E_JSON};
    bench_check(bench, store_insert_waiting(bench->store, &waiting, 1, &bench->why));
    bench_check(bench, store_add_applied(bench->store, TEXT("log"), APPLIED_ORDERS, &range, 1,
                                         &bench->why));
    bench_check(bench, store_add_tallies(bench->store, TEXT("log"), &tally, 1, &bench->why));
    bench_check(bench, store_record_dead_letters(bench->store, &record, 1, &bench->why));
    store_rollback(bench->store);
    for (int i = 0; i < 2; i++) {
        struct store_totals *totals = bench_totals(bench, TEXT("log"));
        assert_int_equal(totals->orders.rows, 1);
        assert_int_equal(totals->waiting.rows, 0);
        assert_int_equal(totals->applied[APPLIED_ORDERS], 0);
        assert_int_equal(totals->tally[APPLIED_ORDERS][OUTCOME_STORED].rows, 0);
        assert_int_equal(totals->dead_letters[REASON_E_JSON], 0);
        free(totals);
        struct waiting_bucket *buckets = NULL;
        size_t count = 0;
        bench_check(bench, store_due_buckets(bench->store, INT64_MAX, 10, &bench->arena, &buckets,
                                             &count, &bench->why));
        assert_int_equal(count, 0);
        bench_reopen(bench);
    }
}

static void readers_see_nothing_before_the_commit(void **state)
{
    struct store_bench *bench = *state;
    if (!bench->factory->traits.transactional) {
        skip();
    }
    struct order order = bench_order(1, 1);
    bench_add_order(bench, &order);
    bench_check(bench, bench_apply_uncommitted(bench));
    assert_facts(bench, &any_fact, NULL, 0);
    bench_check(bench, store_commit(bench->store, &bench->why));
    ASSERT_FACTS(bench, &any_fact, "1///UNPAID");
}

int store_suite_run_facts(void)
{
    const struct CMUnitTest claims[] = {
        CLAIM(facts_show_orders_with_and_without_payments),
        CLAIM(facts_are_found_by_every_filter),
        CLAIM(order_is_filed_under_its_winners_customer_and_day),
        CLAIM(order_without_a_date_is_filed_under_its_publish_day),
        CLAIM(rolled_back_work_leaves_nothing),
        CLAIM(readers_see_nothing_before_the_commit),
    };
    return cmocka_run_group_tests_name("facts", claims, NULL, NULL);
}
