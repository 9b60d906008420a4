// Sums at the edge of 64 bits: each one that the fold makes is tried with INT64_MAX - 1, INT64_MAX
// and one more. Run under UBSan, which also sees what wraps without being asked.
#include "fold.h"

#include "event_sets.h"
#include "money.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define STEPS_MAX 8

static struct set_space space;

static enum err fold_steps(const struct step *steps, size_t count, struct fact *out_fact)
{
    static struct event events[STEPS_MAX];
    static char note_ids[STEPS_MAX][EVENT_NOTE_ID_SIZE];
    const struct event *rows[STEPS_MAX];
    struct fold_rules rules = {NULL, true};
    assert_true(count <= STEPS_MAX);
    for (size_t i = 0; i < count; i++) {
        event_of_step(&steps[i], note_ids[i], &events[i]);
        rows[i] = &events[i];
    }
    return fold_set(rows, count, &rules, &space, out_fact);
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
#define FOLD(fact, ...)                                                                            \
    fold_steps((const struct step[]){__VA_ARGS__},                                                 \
               sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step), (fact))

static void order_total_must_fit(void **state)
{
    (void)state;
    struct fact fact;
    assert_int_equal(FOLD(&fact, ORDER(.price_minor = INT64_MAX / 2, .quantity = 2)), ERR_OK);
    assert_int_equal(fact.order_total_minor, INT64_MAX - 1);
    assert_int_equal(FOLD(&fact, ORDER(.price_minor = INT64_MAX)), ERR_OK);
    assert_int_equal(fact.order_total_minor, INT64_MAX);
    assert_int_equal(FOLD(&fact, ORDER(.price_minor = INT64_MAX / 2 + 1, .quantity = 2)),
                     ERR_TOO_LARGE);
}

static void total_of_an_outranked_version_does_not_matter(void **state)
{
    (void)state;
    struct fact fact;
    assert_int_equal(FOLD(&fact, ORDER(.version = 2),
                          ORDER(.version = 1, .price_minor = INT64_MAX, .quantity = 2)),
                     ERR_OK);
    assert_int_equal(fact.order_total_minor, 10000);
}

// Two events of one status, on one payment or on two.
static enum err fold_two(enum payment_status status, int64_t second_payment_id, int64_t first_minor,
                         int64_t second_minor, struct fact *out_fact)
{
    const struct step steps[] = {
        ORDER(),
        {.kind = EVENT_PAYMENT,
         .payment_id = 1,
         .payment_status = status,
         .amount_minor = first_minor,
         .event_id = "a"},
        {.kind = EVENT_PAYMENT,
         .payment_id = second_payment_id,
         .payment_status = status,
         .amount_minor = second_minor,
         .event_id = "b"},
    };
    return fold_steps(steps, sizeof(steps) / sizeof(steps[0]), out_fact);
}

static void check_sum_must_fit(enum payment_status status, int64_t second_payment_id)
{
    struct fact fact;
    assert_int_equal(fold_two(status, second_payment_id, INT64_MAX - 2, 1, &fact), ERR_OK);
    assert_int_equal(fold_two(status, second_payment_id, INT64_MAX - 1, 1, &fact), ERR_OK);
    assert_int_equal(fact.amount_paid_minor + fact.amount_refunded_minor +
                         fact.amount_charged_back_minor,
                     status == PAYMENT_STATUS_CHARGEBACK_REVERSED ? 0 : INT64_MAX);
    assert_int_equal(fold_two(status, second_payment_id, INT64_MAX, 1, &fact), ERR_TOO_LARGE);
    assert_int_equal(fold_two(status, second_payment_id, 1, INT64_MAX, &fact), ERR_TOO_LARGE);
}

static void sums_of_one_payment_must_fit(void **state)
{
    (void)state;
    check_sum_must_fit(PAYMENT_STATUS_COMPLETED, 1);
    check_sum_must_fit(PAYMENT_STATUS_REFUNDED, 1);
    check_sum_must_fit(PAYMENT_STATUS_CHARGEBACK, 1);
    check_sum_must_fit(PAYMENT_STATUS_CHARGEBACK_REVERSED, 1);
}

static void sums_over_payments_must_fit(void **state)
{
    (void)state;
    check_sum_must_fit(PAYMENT_STATUS_COMPLETED, 2);
    check_sum_must_fit(PAYMENT_STATUS_REFUNDED, 2);
    check_sum_must_fit(PAYMENT_STATUS_CHARGEBACK, 2);
}

static void amounts_that_move_nothing_are_not_summed(void **state)
{
    (void)state;
    struct fact fact;
    assert_int_equal(fold_two(PAYMENT_STATUS_PENDING, 1, INT64_MAX, INT64_MAX, &fact), ERR_OK);
    assert_int_equal(fold_two(PAYMENT_STATUS_FAILED, 2, INT64_MAX, INT64_MAX, &fact), ERR_OK);
    assert_int_equal(fact.amount_paid_minor, 0);
}

static void captures_without_amount_are_summed_with_care(void **state)
{
    (void)state;
    struct fact fact;
    assert_int_equal(FOLD(&fact, ORDER(.price_minor = INT64_MAX), PAYMENT(1, COMPLETED)), ERR_OK);
    assert_int_equal(fact.settlement, SETTLEMENT_PAID);
    assert_int_equal(FOLD(&fact, ORDER(.price_minor = INT64_MAX / 2 + 1), PAYMENT(1, COMPLETED),
                          PAYMENT(2, COMPLETED)),
                     ERR_TOO_LARGE);
}

static void rows_not_added_cannot_overflow(void **state)
{
    (void)state;
    struct fact fact;
    assert_int_equal(FOLD(&fact, ORDER(), PAYMENT(1, COMPLETED, .amount_minor = INT64_MAX),
                          PAYMENT(1, COMPLETED, .amount_minor = INT64_MAX, .content = "A"),
                          PAYMENT(2, COMPLETED, .amount_minor = INT64_MAX, .currency = "EUR")),
                     ERR_OK);
    assert_int_equal(fact.amount_paid_minor, INT64_MAX);
    assert_int_equal(FOLD(&fact, PAYMENT(1, COMPLETED, .amount_minor = INT64_MAX),
                          PAYMENT(2, COMPLETED, .amount_minor = INT64_MAX)),
                     ERR_OK);
    assert_int_equal(fact.amount_paid_minor, 0);
}

static void net_below_the_range_of_64_bits_is_still_negative(void **state)
{
    (void)state;
    struct fact fact;
    assert_int_equal(FOLD(&fact, ORDER(.order_status = ORDER_STATUS_CANCELLED),
                          PAYMENT(1, COMPLETED, .amount_minor = 1),
                          PAYMENT(1, REFUNDED, .amount_minor = INT64_MAX),
                          PAYMENT(1, CHARGEBACK, .amount_minor = INT64_MAX)),
                     ERR_OK);
    assert_int_equal(fact.settlement, SETTLEMENT_CANCELLED);
    assert_int_equal(fact.match_issue, MATCH_ISSUE_OVER_REFUND);
    assert_int_equal(fact.amount_refunded_minor, INT64_MAX);
    assert_int_equal(fact.amount_charged_back_minor, INT64_MAX);
}

static void greatest_reversal_leaves_zero(void **state)
{
    (void)state;
    struct fact fact;
    assert_int_equal(FOLD(&fact, ORDER(), PAYMENT(1, COMPLETED),
                          PAYMENT(1, CHARGEBACK, .amount_minor = 1),
                          PAYMENT(1, CHARGEBACK_REVERSED, .amount_minor = INT64_MAX)),
                     ERR_OK);
    assert_int_equal(fact.amount_charged_back_minor, 0);
    assert_int_equal(fact.settlement, SETTLEMENT_PAID);
}

static void greatest_tolerance_neither_wraps_nor_hides_the_sums(void **state)
{
    (void)state;
    static int64_t tolerance_minor[256];
    for (size_t i = 0; i < 256; i++) {
        tolerance_minor[i] = INT64_MAX;
    }
    struct step steps[] = {ORDER(.price_minor = INT64_MAX),
                           PAYMENT(1, COMPLETED, .amount_minor = 1)};
    struct event events[2];
    const struct event *rows[2] = {&events[0], &events[1]};
    struct fold_rules rules = {tolerance_minor, false};
    struct fact fact;
    event_of_step(&steps[0], NULL, &events[0]);
    event_of_step(&steps[1], NULL, &events[1]);
    assert_int_equal(fold_set(rows, 2, &rules, &space, &fact), ERR_OK);
    assert_int_equal(fact.settlement, SETTLEMENT_PAID);
    assert_int_equal(fact.match_issue, MATCH_ISSUE_NONE);
    assert_int_equal(fact.amount_paid_minor, 1);
}

static void failed_fold_writes_no_fact(void **state)
{
    (void)state;
    struct fact fact = {.order_id = -77};
    assert_int_equal(FOLD(&fact, ORDER(.price_minor = INT64_MAX, .quantity = 2)), ERR_TOO_LARGE);
    assert_int_equal(fact.order_id, -77);
    assert_null(fact.order);
}

static void full_partition_at_the_greatest_amounts_fits(void **state)
{
    (void)state;
    static struct event events[FOLD_EVENTS_OF_KIND_MAX + 1];
    static const struct event *rows[FOLD_EVENTS_OF_KIND_MAX + 1];
    for (size_t i = 0; i <= FOLD_EVENTS_OF_KIND_MAX; i++) {
        struct step step = PAYMENT((int64_t)i, COMPLETED, .amount_minor = 0);
        if (i == 0) {
            step = (struct step)ORDER(.price_minor = MONEY_TOTAL_MINOR_MAX);
        }
        event_of_step(&step, NULL, &events[i]);
        rows[i] = &events[i];
    }
    struct fold_rules rules = {NULL, false};
    struct fact fact;
    assert_int_equal(fold_set(rows, FOLD_EVENTS_OF_KIND_MAX + 1, &rules, &space, &fact), ERR_OK);
    assert_int_equal(fact.amount_paid_minor, FOLD_EVENTS_OF_KIND_MAX * MONEY_TOTAL_MINOR_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_total_must_fit),
        cmocka_unit_test(total_of_an_outranked_version_does_not_matter),
        cmocka_unit_test(sums_of_one_payment_must_fit),
        cmocka_unit_test(sums_over_payments_must_fit),
        cmocka_unit_test(amounts_that_move_nothing_are_not_summed),
        cmocka_unit_test(captures_without_amount_are_summed_with_care),
        cmocka_unit_test(rows_not_added_cannot_overflow),
        cmocka_unit_test(net_below_the_range_of_64_bits_is_still_negative),
        cmocka_unit_test(greatest_reversal_leaves_zero),
        cmocka_unit_test(greatest_tolerance_neither_wraps_nor_hides_the_sums),
        cmocka_unit_test(failed_fold_writes_no_fact),
        cmocka_unit_test(full_partition_at_the_greatest_amounts_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
