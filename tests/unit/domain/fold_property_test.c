// Properties of the fold over random sets: it depends on the set alone, it agrees with the naive
// fold, and its counts only grow. TILL_TEST_SEED repeats a run.
#include "fold.h"

#include "event_sets.h"
#include "fold_naive.h"
#include "random_sets.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define ROWS_MAX        14 // of the small sets
#define TOLERANCE_MINOR 2

static struct random_set set;
static struct set_space space;
static struct set_space other_space;
static struct naive_fact naive;

static struct fold_rules rules_with_tolerance(bool want_set_hash)
{
    static int64_t tolerance_minor[256];
    for (size_t i = 0; i <= currency_count(); i++) {
        tolerance_minor[i] = TOLERANCE_MINOR;
    }
    return (struct fold_rules){tolerance_minor, want_set_hash};
}

static void shuffles_and_repetitions_change_no_column(void **state)
{
    (void)state;
    struct rand rand = rand_of_run();
    struct fold_rules rules = rules_with_tolerance(true);
    for (int i = 0; i < 300; i++) {
        struct fact fact;
        struct fact again;
        random_set_fill(&set, &rand, 1 + (size_t)rand_below(&rand, ROWS_MAX), 35);
        size_t count = set.count;
        enum err expected = fold_set(set.rows, count, &rules, &space, &fact);
        for (int shuffle = 0; shuffle < 100; shuffle++) {
            for (size_t row = 0; row < count; row++) {
                set.rows[row] = &set.events[row];
            }
            set.count = count;
            random_set_repeat(&set, &rand, 30);
            random_set_shuffle(&set, &rand);
            assert_int_equal(fold_set(set.rows, set.count, &rules, &other_space, &again), expected);
            if (expected == ERR_OK) {
                check_same_fact(&again, &fact);
            }
        }
    }
}

// The naive fold gives losers in no order: they are looked up.
static void check_same_losers(const struct fact *fact, const struct fact *expected)
{
    assert_int_equal(fact->loser_count, expected->loser_count);
    for (size_t i = 0; i < fact->loser_count; i++) {
        size_t found = 0;
        for (size_t j = 0; j < expected->loser_count; j++) {
            found += event_compare(fact->losers[i], expected->losers[j]) == 0;
        }
        assert_int_equal(found, 1);
        assert_true(i == 0 || event_compare(fact->losers[i - 1], fact->losers[i]) < 0);
    }
}

struct coverage {
    unsigned too_large;
    unsigned without_order;
    unsigned settlements[SETTLEMENT_COUNT];
    unsigned issues[MATCH_ISSUE_COUNT];
};

static void compare_with_naive(const struct fold_rules *rules, struct coverage *coverage)
{
    struct fact fact;
    fold_naive(set.rows, set.count, rules->tolerance_minor, &naive);
    enum err result = fold_set(set.rows, set.count, rules, &space, &fact);
    assert_int_equal(result, naive.too_large ? ERR_TOO_LARGE : ERR_OK);
    if (result != ERR_OK) {
        coverage->too_large++;
        return;
    }
    check_same_losers(&fact, &naive.fact);
    naive.fact.losers = fact.losers;
    check_same_fact(&fact, &naive.fact);
    coverage->without_order += fact.order == NULL;
    coverage->settlements[fact.settlement]++;
    coverage->issues[fact.match_issue]++;
}

// A comparison over sets that are all alike would prove little.
static void check_coverage(const struct coverage *coverage)
{
    assert_true(coverage->too_large >= 20);
    assert_true(coverage->without_order >= 20);
    for (size_t i = 0; i < SETTLEMENT_COUNT; i++) {
        assert_true(coverage->settlements[i] >= 20);
    }
    for (size_t i = 0; i < MATCH_ISSUE_COUNT; i++) {
        assert_true(coverage->issues[i] >= 20);
    }
}

static void fold_agrees_with_the_naive_fold_in_every_column(void **state)
{
    (void)state;
    struct rand rand = rand_of_run();
    struct fold_rules rules = rules_with_tolerance(false);
    struct coverage coverage = {0};
    for (int i = 0; i < 20000; i++) {
        size_t count = 1 + (size_t)rand_below(&rand, 1 + rand_below(&rand, ROWS_MAX));
        random_set_fill(&set, &rand, count, 20 + (unsigned)rand_below(&rand, 40));
        compare_with_naive(&rules, &coverage);
    }
    check_coverage(&coverage);
}

static void long_sets_agree_with_the_naive_fold(void **state)
{
    (void)state;
    struct rand rand = rand_of_run();
    struct fold_rules rules = rules_with_tolerance(false);
    struct coverage coverage = {0};
    for (size_t count = 15; count < 20; count++) {
        for (int i = 0; i < 50; i++) {
            random_set_fill(&set, &rand, count, 40);
            compare_with_naive(&rules, &coverage);
        }
    }
    random_set_fill(&set, &rand, 3 * FOLD_EVENTS_OF_KIND_MAX, 35);
    compare_with_naive(&rules, &coverage);
}

// Thousands of distinct rows, far beyond what small values give.
static void fill_distinct(size_t of_each_kind)
{
    set.count = 3 * of_each_kind;
    for (size_t i = 0; i < set.count; i++) {
        int64_t number = (int64_t)(i / 3) + 1;
        struct step steps[] = {
            {.kind = EVENT_ORDER, .version = number, .price_minor = 1 + number % 100},
            {.kind = EVENT_PAYMENT,
             .payment_id = number,
             .amount_minor = number,
             .payment_status = PAYMENT_STATUS_COMPLETED},
            {.kind = EVENT_NOTE, .payment_id = number},
        };
        event_of_step(&steps[i % 3], set.note_ids[i], &set.events[i]);
        set.rows[i] = &set.events[i];
    }
}

static void full_partition_folds_the_same_from_any_order(void **state)
{
    (void)state;
    struct rand rand = rand_of_run();
    struct fold_rules rules = rules_with_tolerance(true);
    struct fact fact;
    struct fact again;
    fill_distinct(FOLD_EVENTS_OF_KIND_MAX);
    assert_int_equal(fold_set(set.rows, set.count, &rules, &space, &fact), ERR_OK);
    assert_int_equal(fact.n_rows, 2 * FOLD_EVENTS_OF_KIND_MAX); // the notes left out
    assert_int_equal(fact.n_events, 100 + FOLD_EVENTS_OF_KIND_MAX);
    assert_int_equal(fact.order->order.version, FOLD_EVENTS_OF_KIND_MAX);
    assert_int_equal(fact.amount_paid_minor, 1000 * 1001 / 2);
    for (int shuffle = 0; shuffle < 5; shuffle++) {
        random_set_shuffle(&set, &rand);
        assert_int_equal(fold_set(set.rows, set.count, &rules, &other_space, &again), ERR_OK);
        check_same_fact(&again, &fact);
    }
    // Sorted backwards is a sort's usual bad case.
    for (size_t i = 0; i < set.count; i++) {
        set.rows[i] = space.sorted[set.count - 1 - i];
    }
    assert_int_equal(fold_set(set.rows, set.count, &rules, &other_space, &again), ERR_OK);
    check_same_fact(&again, &fact);
}

static void counts_only_grow_with_the_set(void **state)
{
    (void)state;
    struct rand rand = rand_of_run();
    struct fold_rules rules = rules_with_tolerance(false);
    for (int i = 0; i < 1000; i++) {
        uint32_t n_events = 0;
        uint32_t n_rows = 0;
        size_t losers = 0;
        bool has_order = false;
        random_set_fill(&set, &rand, ROWS_MAX, 35);
        for (size_t count = 1; count <= set.count; count++) {
            struct fact fact;
            if (fold_set(set.rows, count, &rules, &space, &fact) != ERR_OK) {
                continue;
            }
            assert_true(fact.n_events >= n_events && fact.n_rows >= n_rows);
            assert_true(fact.loser_count >= losers);
            assert_true(fact.order != NULL || !has_order);
            n_events = fact.n_events;
            n_rows = fact.n_rows;
            losers = fact.loser_count;
            has_order = fact.order != NULL;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shuffles_and_repetitions_change_no_column),
        cmocka_unit_test(fold_agrees_with_the_naive_fold_in_every_column),
        cmocka_unit_test(long_sets_agree_with_the_naive_fold),
        cmocka_unit_test(full_partition_folds_the_same_from_any_order),
        cmocka_unit_test(counts_only_grow_with_the_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
