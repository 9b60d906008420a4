// Claims about the ledger of messages, and the messages that stop the process.
#include "money.h"
#include "rand.h"
#include "store_bench.h"
#include "store_suite_internal.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

// --- the ledger ------------------------------------------------------------------------------------

#define NUMBERS_MAX 400

static void assert_applied(struct store_bench *bench, const char *log_id, enum applied_topic topic,
                           const bool *expected)
{
    struct ranges ranges;
    ranges_init(&ranges, NUMBERS_MAX);
    bench_check(bench,
                store_load_applied(bench->store, text_of(log_id), topic, &ranges, &bench->why));
    for (uint64_t i = 0; i <= NUMBERS_MAX; i++) {
        assert_int_equal(ranges_contain(&ranges, i), expected != NULL && expected[i]);
    }
    ranges_deinit(&ranges);
}

static void add_applied(struct store_bench *bench, const char *log_id, enum applied_topic topic,
                        const struct range *ranges, size_t count)
{
    bench_begin(bench);
    bench_check(
        bench, store_add_applied(bench->store, text_of(log_id), topic, ranges, count, &bench->why));
    bench_commit(bench);
}

// Claims about the ledger do not apply to a store without one.
static struct store_bench *ledger_bench(void **state)
{
    struct store_bench *bench = *state;
    if (!bench->factory->traits.keeps_ledger) {
        skip();
    }
    return bench;
}

// Ranges are drawn short and long, overlapping, touching, contained, several a call.
static void applied_ranges_are_the_set_of_what_was_added(void **state)
{
    struct store_bench *bench = ledger_bench(state);
    static bool expected[NUMBERS_MAX + 1];
    struct rand rand;
    rand_seed(&rand, test_seed());
    memset(expected, 0, sizeof(expected));
    for (int round = 0; round < 150; round++) {
        struct range ranges[3];
        size_t count = 1 + rand_below(&rand, 3);
        for (size_t i = 0; i < count; i++) {
            uint64_t size =
                rand_below(&rand, 10) == 0 ? rand_below(&rand, 60) : rand_below(&rand, 4);
            uint64_t first = 1 + rand_below(&rand, NUMBERS_MAX - size - 1);
            ranges[i] = (struct range){first, first + size};
            for (uint64_t n = first; n <= first + size; n++) {
                expected[n] = true;
            }
        }
        add_applied(bench, "log", APPLIED_PAYMENTS, ranges, count);
        if (rand_below(&rand, 10) == 0) {
            bench_reopen(bench);
        }
        assert_applied(bench, "log", APPLIED_PAYMENTS, expected);
    }
    struct store_totals *totals = bench_totals(bench, TEXT("log"));
    uint64_t count = 0;
    for (size_t i = 0; i <= NUMBERS_MAX; i++) {
        count += expected[i];
    }
    assert_int_equal(totals->applied[APPLIED_PAYMENTS], count);
    free(totals);
}

static void logs_and_topics_are_applied_apart(void **state)
{
    struct store_bench *bench = ledger_bench(state);
    static bool low[NUMBERS_MAX + 1] = {[1] = true, [2] = true};
    static bool high[NUMBERS_MAX + 1] = {[2] = true, [3] = true};
    add_applied(bench, "log", APPLIED_ORDERS, &(struct range){1, 2}, 1);
    add_applied(bench, "log", APPLIED_PAYMENTS, &(struct range){2, 3}, 1);
    add_applied(bench, "older log", APPLIED_ORDERS, &(struct range){2, 3}, 1);
    bench_reopen(bench);
    assert_applied(bench, "log", APPLIED_ORDERS, low);
    assert_applied(bench, "log", APPLIED_PAYMENTS, high);
    assert_applied(bench, "older log", APPLIED_ORDERS, high);
    assert_applied(bench, "other log", APPLIED_ORDERS, NULL);
}

static void neighbouring_ranges_become_one(void **state)
{
    struct store_bench *bench = ledger_bench(state);
    add_applied(bench, "log", APPLIED_ORDERS, &(struct range){10, 20}, 1);
    add_applied(bench, "log", APPLIED_ORDERS, &(struct range){22, 30}, 1); // a gap of one
    struct ranges ranges;
    ranges_init(&ranges, NUMBERS_MAX);
    bench_check(
        bench, store_load_applied(bench->store, TEXT("log"), APPLIED_ORDERS, &ranges, &bench->why));
    assert_int_equal(ranges.count, 2);
    ranges_deinit(&ranges);
    add_applied(bench, "log", APPLIED_ORDERS, &(struct range){21, 21}, 1); // closed
    add_applied(bench, "log", APPLIED_ORDERS, &(struct range){31, INT64_MAX - 1}, 1);
    add_applied(bench, "log", APPLIED_ORDERS, &(struct range){1, 9}, 1);
    ranges_init(&ranges, 1);
    bench_check(
        bench, store_load_applied(bench->store, TEXT("log"), APPLIED_ORDERS, &ranges, &bench->why));
    assert_int_equal(ranges.count, 1);
    assert_int_equal(ranges.items[0].first, 1);
    assert_true(ranges.items[0].last == (uint64_t)INT64_MAX - 1);
    ranges_deinit(&ranges);
}

static void add_tally(struct store_bench *bench, const char *log_id, enum outcome outcome,
                      struct currency currency, __int128 amount_minor)
{
    struct tally tally = {APPLIED_PAYMENTS, outcome, currency, 2, amount_minor};
    bench_begin(bench);
    bench_check(bench, store_add_tallies(bench->store, text_of(log_id), &tally, 1, &bench->why));
    bench_commit(bench);
}

static void tallies_add_up_beyond_64_bits(void **state)
{
    struct store_bench *bench = ledger_bench(state);
    struct currency usd = currency_usd();
    const __int128 amount = (__int128)INT64_MAX - 7;
    for (int i = 0; i < 5; i++) {
        add_tally(bench, "log", OUTCOME_STORED, usd, amount);
        bench_reopen(bench);
    }
    add_tally(bench, "log", OUTCOME_STORED, CURRENCY_NONE, 0);
    add_tally(bench, "log", OUTCOME_CONFLICT, usd, 1);
    add_tally(bench, "older log", OUTCOME_STORED, usd, 100);
    struct store_totals *totals = bench_totals(bench, TEXT("log"));
    const struct store_count *stored = &totals->tally[APPLIED_PAYMENTS][OUTCOME_STORED];
    assert_int_equal(stored->rows, 12);
    assert_int_equal(stored->rows_without_money, 2);
    assert_int_equal(stored->money[usd.index].rows, 10);
    assert_true(stored->money[usd.index].minor == 5 * amount);
    const struct store_count *all = &totals->tally_all[APPLIED_PAYMENTS][OUTCOME_STORED];
    assert_int_equal(all->rows, 14);
    assert_true(all->money[usd.index].minor == 5 * amount + 100);
    const struct store_count *conflict = &totals->tally[APPLIED_PAYMENTS][OUTCOME_CONFLICT];
    assert_int_equal(conflict->rows, 2);
    assert_int_equal(totals->tally[APPLIED_ORDERS][OUTCOME_STORED].rows, 0);
    free(totals);
}

// Ten thousand orders of the largest total.
static void sums_of_rows_go_beyond_64_bits(void **state)
{
    struct store_bench *bench = *state;
    const int64_t count = 10000;
    for (int64_t i = 1; i <= count; i++) {
        struct order order = bench_order(i, 1);
        order.quantity = 1000;
        order.price_minor = MONEY_TOTAL_MINOR_MAX / order.quantity;
        bench_add_order(bench, &order);
        if (i % 1000 == 0) {
            bench_apply(bench);
        }
    }
    struct store_totals *totals = bench_totals(bench, TEXT(""));
    __int128 expected = (__int128)MONEY_TOTAL_MINOR_MAX * count;
    assert_true(expected > INT64_MAX);
    assert_true(totals->orders.money[currency_usd().index].minor == expected);
    assert_int_equal(totals->settled_count, 1);
    assert_true(totals->settled[0].total_minor == expected);
    free(totals);
}

// --- messages that stop the process ----------------------------------------------------------------

static uint32_t add_start(struct store_bench *bench, const char *lane)
{
    uint32_t starts = 0;
    bench_check(bench, store_add_start(bench->store, text_of(lane), &starts, &bench->why));
    return starts;
}

static void starts_are_counted_until_they_are_cleared(void **state)
{
    struct store_bench *bench = *state;
    assert_int_equal(add_start(bench, "a"), 1);
    bench_reopen(bench);
    assert_int_equal(add_start(bench, "a"), 2);
    assert_int_equal(add_start(bench, "b"), 1);
    bench_check(bench, store_clear_starts(bench->store, TEXT("a"), &bench->why));
    bench_reopen(bench);
    assert_int_equal(add_start(bench, "a"), 1);
    assert_int_equal(add_start(bench, "b"), 2);
}

static uint32_t add_suspect(struct store_bench *bench, const char *topic, const char *message_id)
{
    uint32_t starts = 0;
    bench_check(bench, store_add_suspect(bench->store, text_of(topic), text_of(message_id), &starts,
                                         &bench->why));
    return starts;
}

static void suspects_are_counted_by_topic_and_message(void **state)
{
    struct store_bench *bench = *state;
    assert_int_equal(add_suspect(bench, "orders_data", "1"), 1);
    bench_reopen(bench);
    assert_int_equal(add_suspect(bench, "orders_data", "1"), 2);
    assert_int_equal(add_suspect(bench, "orders_data", "2"), 1);
    assert_int_equal(add_suspect(bench, "payments_data", "1"), 1);
    bench_check(bench,
                store_remove_suspect(bench->store, TEXT("orders_data"), TEXT("1"), &bench->why));
    bench_reopen(bench);
    assert_int_equal(add_suspect(bench, "orders_data", "1"), 1);
    assert_int_equal(add_suspect(bench, "payments_data", "1"), 2);
}

int store_suite_run_ledger(void)
{
    const struct CMUnitTest claims[] = {
        CLAIM(applied_ranges_are_the_set_of_what_was_added),
        CLAIM(logs_and_topics_are_applied_apart),
        CLAIM(neighbouring_ranges_become_one),
        CLAIM(tallies_add_up_beyond_64_bits),
        CLAIM(sums_of_rows_go_beyond_64_bits),
        CLAIM(starts_are_counted_until_they_are_cleared),
        CLAIM(suspects_are_counted_by_topic_and_message),
    };
    return cmocka_run_group_tests_name("ledger", claims, NULL, NULL);
}
