// The fold, claim by claim: the table of fold_cases.c, each case in several orders and against the
// naive fold; then what a table cannot say.
#include "fold.h"

#include "aborts.h"
#include "event_sets.h"
#include "fold_cases.h"
#include "fold_naive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 16

static struct set_space space;
static struct set_space other_space;

// Events of some steps, and pointers to them.
struct set {
    struct event events[STEPS_MAX];
    char note_ids[STEPS_MAX][EVENT_NOTE_ID_SIZE];
    const struct event *rows[2 * STEPS_MAX];
    size_t count;
};

static void set_add(struct set *set, const struct step *step)
{
    assert_true(set->count < STEPS_MAX);
    event_of_step(step, set->note_ids[set->count], &set->events[set->count]);
    set->rows[set->count] = &set->events[set->count];
    set->count++;
}

static void set_fill(struct set *set, const struct step *steps, size_t count)
{
    *set = (struct set){0};
    for (size_t i = 0; i < count; i++) {
        set_add(set, &steps[i]);
    }
}

#define SET_FILL(set, ...)                                                                         \
    set_fill((set), (const struct step[]){__VA_ARGS__},                                            \
             sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))

static struct fact fact_of(const struct set *set)
{
    struct fact fact;
    struct fold_rules rules = {NULL, true};
    assert_int_equal(fold_set(set->rows, set->count, &rules, &space, &fact), ERR_OK);
    return fact;
}

static void check_gives(const struct fact *fact, const struct fold_case *expected)
{
    assert_int_equal(fact->order_id, SET_ORDER_ID);
    assert_int_equal(fact->amount_paid_minor, expected->paid_minor);
    assert_int_equal(fact->amount_refunded_minor, expected->refunded_minor);
    assert_int_equal(fact->amount_charged_back_minor, expected->charged_back_minor);
    assert_string_equal(settlement_text(fact->settlement).data,
                        settlement_text(expected->settlement).data);
    assert_string_equal(match_issue_text(fact->match_issue).data,
                        match_issue_text(expected->issue).data);
    assert_int_equal(fact->n_events, expected->n_events);
    assert_int_equal(fact->n_rows, expected->n_rows);
    assert_int_equal(fact->loser_count, expected->loser_count);
}

static const int64_t *tolerances(int64_t minor)
{
    static int64_t by_currency[256];
    for (size_t i = 0; i <= currency_count(); i++) {
        by_currency[i] = minor;
    }
    return by_currency;
}

static void check_naive_agrees(const struct set *set, const struct fold_case *expected)
{
    static struct naive_fact naive;
    fold_naive(set->rows, set->count, tolerances(expected->tolerance_minor), &naive);
    assert_false(naive.too_large);
    check_gives(&naive.fact, expected);
}

static void case_holds_in_any_order(void **state)
{
    const struct fold_case *expected = *state;
    struct fold_rules rules = {tolerances(expected->tolerance_minor), true};
    struct set set;
    struct fact fact;
    struct fact turned;
    set_fill(&set, expected->steps, expected->step_count);
    check_naive_agrees(&set, expected);
    assert_int_equal(fold_set(set.rows, set.count, &rules, &space, &fact), ERR_OK);
    check_gives(&fact, expected);

    for (size_t shift = 0; shift < set.count; shift++) {
        const struct event *rows[2 * STEPS_MAX];
        for (size_t i = 0; i < set.count; i++) {
            rows[i] = set.rows[(i + shift) % set.count];
            rows[2 * set.count - 1 - i] = rows[i];
        }
        assert_int_equal(fold_set(rows, set.count, &rules, &other_space, &turned), ERR_OK);
        check_same_fact(&turned, &fact);
        assert_int_equal(fold_set(rows, 2 * set.count, &rules, &other_space, &turned), ERR_OK);
        check_same_fact(&turned, &fact);
    }
}

static void table_names_every_settlement_and_issue(void **state)
{
    (void)state;
    bool settlements[SETTLEMENT_COUNT] = {0};
    bool issues[MATCH_ISSUE_COUNT] = {0};
    for (size_t i = 0; i < fold_case_count; i++) {
        settlements[fold_cases[i].settlement] = true;
        issues[fold_cases[i].issue] = true;
    }
    for (size_t i = 0; i < SETTLEMENT_COUNT; i++) {
        assert_true(settlements[i]);
    }
    for (size_t i = 0; i < MATCH_ISSUE_COUNT; i++) {
        assert_true(issues[i]);
    }
}

#define ORDER(...)                                                                                 \
    {                                                                                              \
        .kind = EVENT_ORDER, __VA_ARGS__                                                           \
    }
#define PAYMENT(id, status, ...)                                                                   \
    {                                                                                              \
        .kind = EVENT_PAYMENT, .payment_id = (id), .payment_status = PAYMENT_STATUS_##status,      \
        __VA_ARGS__                                                                                \
    }

static void no_rows_fold_to_nothing(void **state)
{
    (void)state;
    struct fold_rules rules = {NULL, true};
    struct fold_space nothing = {NULL, NULL, NULL};
    struct fact fact;
    assert_int_equal(fold(NULL, 0, &rules, &nothing, &fact), ERR_OK);
    assert_null(fact.order);
    assert_int_equal(fact.order_id, 0);
    assert_int_equal(fact.n_rows, 0);
    assert_int_equal(fact.n_events, 0);
    assert_int_equal(fact.payment_count, 0);
    assert_int_equal(fact.settlement, SETTLEMENT_UNPAID);
    assert_int_equal(fact.match_issue, MATCH_ISSUE_NONE);
}

static void fact_carries_the_winner_and_its_total(void **state)
{
    (void)state;
    struct set set;
    SET_FILL(&set, ORDER(.version = 1), ORDER(.version = 3, .price_minor = 250, .quantity = 3),
             ORDER(.version = 2), ORDER(.later_us = 10));
    struct fact fact = fact_of(&set);
    assert_ptr_equal(fact.order, &set.events[1]);
    assert_int_equal(fact.order_total_minor, 750);
    assert_true(currency_equal(fact.currency, currency_usd()));
}

static void payments_are_listed_by_id_with_their_own_sums(void **state)
{
    (void)state;
    struct set set;
    SET_FILL(&set, PAYMENT(9, COMPLETED, .amount_minor = 700), ORDER(.price_minor = 1000),
             PAYMENT(2, CHARGEBACK, .amount_minor = 50), PAYMENT(2, COMPLETED, .amount_minor = 300),
             PAYMENT(2, REFUNDED, .amount_minor = 20));
    struct fact fact = fact_of(&set);
    assert_int_equal(fact.payment_count, 2);
    assert_int_equal(fact.payments[0].payment_id, 2);
    assert_int_equal(fact.payments[0].captured_minor, 300);
    assert_int_equal(fact.payments[0].refunded_minor, 20);
    assert_int_equal(fact.payments[0].charged_back_minor, 50);
    assert_int_equal(fact.payments[0].event_count, 3);
    assert_int_equal(fact.payments[1].payment_id, 9);
    assert_int_equal(fact.payments[1].captured_minor, 700);
    assert_int_equal(fact.payments[1].event_count, 1);
}

static void payment_is_shown_by_its_highest_status(void **state)
{
    (void)state;
    struct set set;
    SET_FILL(&set, ORDER(), PAYMENT(1, REFUNDED), PAYMENT(1, FAILED, .later_us = 9),
             PAYMENT(1, COMPLETED, .event_id = "zzz"));
    assert_ptr_equal(fact_of(&set).payments[0].shown, &set.events[1]);
}

static void of_equal_statuses_the_greatest_event_id_is_shown(void **state)
{
    (void)state;
    struct set set;
    SET_FILL(&set, ORDER(), PAYMENT(1, REFUNDED, .event_id = "r2"),
             PAYMENT(1, REFUNDED, .event_id = "r10"), PAYMENT(1, REFUNDED, .event_id = "r"));
    assert_ptr_equal(fact_of(&set).payments[0].shown, &set.events[1]);
}

static void smallest_hash_of_twins_is_counted_and_shown(void **state)
{
    (void)state;
    struct set set;
    SET_FILL(&set, ORDER(), PAYMENT(1, COMPLETED, .amount_minor = 1),
             PAYMENT(1, COMPLETED, .amount_minor = 2), PAYMENT(1, COMPLETED, .amount_minor = 3));
    const struct event *counted = &set.events[1];
    for (size_t i = 2; i < set.count; i++) {
        counted = hash_compare(&set.events[i].hash, &counted->hash) < 0 ? &set.events[i] : counted;
    }
    struct fact fact = fact_of(&set);
    assert_ptr_equal(fact.payments[0].shown, counted);
    assert_int_equal(fact.payments[0].captured_minor, counted->payment.amount_minor);
    assert_int_equal(fact.payments[0].event_count, 3);
    assert_int_equal(fact.loser_count, 2);
    assert_true(hash_compare(&fact.losers[0]->hash, &fact.losers[1]->hash) < 0);
    assert_true(fact.losers[0] != counted && fact.losers[1] != counted);
}

static void smallest_hash_of_an_explicit_version_wins(void **state)
{
    (void)state;
    struct set set;
    // The higher status plays no part here: it decides between implicit versions only.
    SET_FILL(&set, ORDER(.version = 1, .order_status = ORDER_STATUS_RETURNED),
             ORDER(.version = 1, .price_minor = 1), ORDER(.version = 1, .price_minor = 2));
    const struct event *smallest = &set.events[0];
    for (size_t i = 1; i < set.count; i++) {
        smallest =
            hash_compare(&set.events[i].hash, &smallest->hash) < 0 ? &set.events[i] : smallest;
    }
    struct fact fact = fact_of(&set);
    assert_ptr_equal(fact.order, smallest);
    assert_int_equal(fact.loser_count, 2);
}

static void losers_come_in_the_order_of_rows(void **state)
{
    (void)state;
    struct set set;
    SET_FILL(&set, PAYMENT(2, FAILED), PAYMENT(2, FAILED, .content = "A"), PAYMENT(1, PENDING),
             PAYMENT(1, PENDING, .content = "A"), ORDER(.version = 1),
             ORDER(.version = 1, .content = "Phone"));
    struct fact fact = fact_of(&set);
    assert_int_equal(fact.loser_count, 3);
    assert_int_equal(fact.losers[0]->kind, EVENT_ORDER);
    assert_int_equal(fact.losers[1]->entity_id, 1);
    assert_int_equal(fact.losers[2]->entity_id, 2);
}

static void payments_without_an_order_are_listed_with_empty_sums(void **state)
{
    (void)state;
    struct set set;
    SET_FILL(&set, PAYMENT(1, COMPLETED, .amount_minor = 500), PAYMENT(1, FAILED));
    struct fact fact = fact_of(&set);
    assert_null(fact.order);
    assert_true(currency_equal(fact.currency, CURRENCY_NONE));
    assert_int_equal(fact.payment_count, 1);
    assert_ptr_equal(fact.payments[0].shown, &set.events[0]);
    assert_int_equal(fact.payments[0].captured_minor, 0);
    assert_int_equal(fact.payments[0].event_count, 2);
}

static void tolerance_is_that_of_the_orders_currency(void **state)
{
    (void)state;
    struct set set;
    SET_FILL(&set, ORDER(.currency = "JPY"),
             PAYMENT(1, COMPLETED, .amount_minor = 9995, .currency = "JPY"));
    int64_t by_currency[256] = {0};
    struct fold_rules rules = {by_currency, false};
    struct fact fact;
    by_currency[currency_usd().index] = 5;
    assert_int_equal(fold_set(set.rows, set.count, &rules, &space, &fact), ERR_OK);
    assert_int_equal(fact.settlement, SETTLEMENT_PARTIAL);
    by_currency[set.events[0].order.currency.index] = 5;
    assert_int_equal(fold_set(set.rows, set.count, &rules, &space, &fact), ERR_OK);
    assert_int_equal(fact.settlement, SETTLEMENT_PAID);
}

static void set_hash_is_made_only_when_wanted(void **state)
{
    (void)state;
    struct set set;
    struct hash none = {{0}};
    SET_FILL(&set, ORDER(), PAYMENT(1, COMPLETED));
    struct fold_rules rules = {NULL, false};
    struct fact fact;
    assert_int_equal(fold_set(set.rows, set.count, &rules, &space, &fact), ERR_OK);
    assert_true(hash_equal(&fact.set_hash, &none));
    fact = fact_of(&set);
    assert_false(hash_equal(&fact.set_hash, &none));
}

// Every set differs from the first in one thing only; a note is none.
static void set_hash_tells_sets_apart(void **state)
{
    (void)state;
    struct set sets[7];
    struct hash hashes[7];
    SET_FILL(&sets[0], ORDER(.version = 1), PAYMENT(1, COMPLETED));
    SET_FILL(&sets[1], ORDER(.version = 2), PAYMENT(1, COMPLETED));
    SET_FILL(&sets[2], ORDER(.version = 1, .content = "Phone"), PAYMENT(1, COMPLETED));
    SET_FILL(&sets[3], ORDER(.version = 1), PAYMENT(2, COMPLETED));
    SET_FILL(&sets[4], ORDER(.version = 1), PAYMENT(1, COMPLETED, .event_id = "a"));
    SET_FILL(&sets[5], ORDER(.version = 1), PAYMENT(1, COMPLETED),
             {.kind = EVENT_NOTE, .payment_id = 1, .note_kind = NOTE_PARKED});
    SET_FILL(&sets[6], PAYMENT(1, COMPLETED));
    for (size_t i = 0; i < 7; i++) {
        hashes[i] = fact_of(&sets[i]).set_hash;
        for (size_t j = 0; j < i; j++) {
            assert_true(hash_equal(&hashes[i], &hashes[j]) == (i == 5 && j == 0));
        }
    }
}

static void fold_rows_of_two_orders(void *context)
{
    struct set *set = context;
    (void)fact_of(set);
}

static void rows_of_two_orders_are_a_programmer_s_error(void **state)
{
    (void)state;
    struct set set;
    SET_FILL(&set, ORDER(), PAYMENT(1, COMPLETED));
    assert_false(aborts(fold_rows_of_two_orders, &set));
    set.events[1].order_id++;
    assert_true(aborts(fold_rows_of_two_orders, &set));
}

static void names_are_found_again(void **state)
{
    (void)state;
    for (int i = 0; i < SETTLEMENT_COUNT; i++) {
        enum settlement found = SETTLEMENT_COUNT;
        assert_true(settlement_find(settlement_text((enum settlement)i), &found));
        assert_int_equal(found, i);
    }
    for (int i = 0; i < MATCH_ISSUE_COUNT; i++) {
        enum match_issue found = MATCH_ISSUE_COUNT;
        assert_true(match_issue_find(match_issue_text((enum match_issue)i), &found));
        assert_int_equal(found, i);
    }
    enum settlement settlement = SETTLEMENT_PAID;
    enum match_issue issue = MATCH_ISSUE_CURRENCY;
    assert_false(settlement_find(TEXT("paid"), &settlement));
    assert_false(settlement_find(TEXT(""), &settlement));
    assert_false(match_issue_find(TEXT("NON"), &issue));
    assert_int_equal(settlement, SETTLEMENT_PAID);
    assert_int_equal(issue, MATCH_ISSUE_CURRENCY);
    assert_true(text_equal(settlement_text(SETTLEMENT_CANCELLED_PAID), TEXT("CANCELLED_PAID")));
}

static const struct CMUnitTest other_tests[] = {
    cmocka_unit_test(table_names_every_settlement_and_issue),
    cmocka_unit_test(no_rows_fold_to_nothing),
    cmocka_unit_test(fact_carries_the_winner_and_its_total),
    cmocka_unit_test(payments_are_listed_by_id_with_their_own_sums),
    cmocka_unit_test(payment_is_shown_by_its_highest_status),
    cmocka_unit_test(of_equal_statuses_the_greatest_event_id_is_shown),
    cmocka_unit_test(smallest_hash_of_twins_is_counted_and_shown),
    cmocka_unit_test(smallest_hash_of_an_explicit_version_wins),
    cmocka_unit_test(losers_come_in_the_order_of_rows),
    cmocka_unit_test(payments_without_an_order_are_listed_with_empty_sums),
    cmocka_unit_test(tolerance_is_that_of_the_orders_currency),
    cmocka_unit_test(set_hash_is_made_only_when_wanted),
    cmocka_unit_test(set_hash_tells_sets_apart),
    cmocka_unit_test(rows_of_two_orders_are_a_programmer_s_error),
    cmocka_unit_test(names_are_found_again),
};

// cmocka's own runner wants an array whose size it can see; this one has a test for each case.
int main(void)
{
    size_t other_count = sizeof(other_tests) / sizeof(other_tests[0]);
    size_t count = fold_case_count + other_count;
    struct CMUnitTest *tests = calloc(count, sizeof(*tests));
    if (tests == NULL) {
        return EXIT_FAILURE;
    }
    memcpy(tests, other_tests, sizeof(other_tests));
    for (size_t i = 0; i < fold_case_count; i++) {
        tests[other_count + i] = (struct CMUnitTest){
            .name = fold_cases[i].claim,
            .test_func = case_holds_in_any_order,
            .initial_state = (void *)(uintptr_t)&fold_cases[i],
        };
    }
    int failed = _cmocka_run_group_tests("fold", tests, count, NULL, NULL);
    free(tests);
    return failed;
}
