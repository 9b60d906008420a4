// What the checker sees during a run: each check is triggered once, by a world that is right but for one
// thing, made by hand. The names are the claims.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka's header needs those above.
#include <cmocka.h>

#include "checker_plays.h"

#include <string.h>

// --- at an ack ----------------------------------------------------------------------------------

static void an_ack_of_an_event_at_one_replica_is_seen(void **state)
{
    (void)state;
    fake_store(&fake, 1u, BUS_ORDERS, fake_publish(&fake, BUS_ORDERS, ORDER_1));
    fake_project(&fake, 1u, 1);
    fake_ack(&fake, BUS_ORDERS, 1);
    assert_violates("I4_durable_before_ack");
}

static void an_ack_of_an_order_without_its_fact_is_seen(void **state)
{
    (void)state;
    fake_store(&fake, TWO, BUS_ORDERS, fake_publish(&fake, BUS_ORDERS, ORDER_1));
    fake_project(&fake, 1u, 1);
    fake_ack(&fake, BUS_ORDERS, 1);
    assert_violates("I4_projected_before_ack");
}

static void an_ack_of_an_order_whose_payment_is_not_projected_is_seen(void **state)
{
    (void)state;
    uint64_t payment = fake_publish(&fake, BUS_PAYMENTS, PAYMENT("11", "1", "Completed", "5.00"));
    struct event event = fake_event(&fake, BUS_PAYMENTS, payment);
    uint64_t order = fake_publish(&fake, BUS_ORDERS, ORDER_1);
    fake_store(&fake, TWO, BUS_ORDERS, order);
    fake_project(&fake, TWO, 1);
    fake_store(&fake, TWO, BUS_PAYMENTS, payment);
    fake_wait(&fake, TWO, &event);
    fake_ack(&fake, BUS_PAYMENTS, payment);
    fake.cluster.replicas[0].waiting_count = fake.cluster.replicas[1].waiting_count = 0;
    assert_fine();
    fake_ack(&fake, BUS_ORDERS, order);
    assert_violates("I4_projected_before_ack");
}

static void an_ack_of_a_payment_that_waits_nowhere_is_seen(void **state)
{
    (void)state;
    fake_store(&fake, TWO, BUS_PAYMENTS,
               fake_publish(&fake, BUS_PAYMENTS, PAYMENT("21", "2", "Completed", "9.99")));
    fake_ack(&fake, BUS_PAYMENTS, 1);
    assert_violates("I4_indexed_before_ack");
}

static void an_entry_at_one_replica_is_no_place_to_wait(void **state)
{
    (void)state;
    fake_store(&fake, TWO, BUS_PAYMENTS,
               fake_publish(&fake, BUS_PAYMENTS, PAYMENT("21", "2", "Completed", "9.99")));
    struct event event = fake_event(&fake, BUS_PAYMENTS, 1);
    fake_wait(&fake, 1u, &event);
    fake_ack(&fake, BUS_PAYMENTS, 1);
    assert_violates("I4_indexed_before_ack");
}

static void a_note_that_it_is_dead_is_a_place(void **state)
{
    (void)state;
    fake_store(&fake, TWO, BUS_PAYMENTS,
               fake_publish(&fake, BUS_PAYMENTS, PAYMENT("21", "2", "Completed", "9.99")));
    struct event event = fake_event(&fake, BUS_PAYMENTS, 1);
    fake_note(&fake, TWO, NOTE_DEAD, &event);
    fake_ack(&fake, BUS_PAYMENTS, 1);
    assert_fine();
}

static void an_ack_of_a_refused_message_without_dead_letter_is_seen(void **state)
{
    (void)state;
    fake_ack(&fake, BUS_PAYMENTS, fake_publish(&fake, BUS_PAYMENTS, NOT_JSON));
    assert_violates("I4_refused_before_ack");
}

static void a_dead_letter_of_another_reason_does_not_do(void **state)
{
    (void)state;
    uint64_t message = fake_publish(&fake, BUS_PAYMENTS, NOT_JSON);
    (void)fake_letter(&fake, BUS_PAYMENTS, message, REASON_E_SIZE, NULL);
    fake_ack(&fake, BUS_PAYMENTS, message);
    assert_violates("I4_refused_before_ack");
}

static void an_ack_of_a_dead_letter_without_its_record_is_seen(void **state)
{
    (void)state;
    uint64_t message = fake_publish(&fake, BUS_PAYMENTS, NOT_JSON);
    uint64_t letter = fake_letter(&fake, BUS_PAYMENTS, message, REASON_E_JSON, NULL);
    fake_record(&fake, 1u, BUS_PAYMENTS_DLQ, letter, DEAD_LETTER_NEW);
    fake_ack(&fake, BUS_PAYMENTS_DLQ, letter);
    assert_violates("I4_recorded_before_ack");
}

// Somebody else's row is in a larger projection, and his message is not acked yet: he will project both.
static void a_larger_projection_of_somebody_unfinished_is_excused(void **state)
{
    (void)state;
    play_matched();
    uint64_t slow = fake_publish(&fake, BUS_PAYMENTS, PAYMENT("13", "1", "Completed", "1.00"));
    uint64_t fast = fake_publish(&fake, BUS_PAYMENTS, PAYMENT("14", "1", "Completed", "2.00"));
    fake_store(&fake, TWO, BUS_PAYMENTS, slow);
    fake_project(&fake, TWO, 1);
    fake_store(&fake, TWO, BUS_PAYMENTS, fast);
    fake_ack(&fake, BUS_PAYMENTS, fast);
    assert_fine();
    fake_ack(&fake, BUS_PAYMENTS, slow);
    assert_violates("I4_projected_before_ack");
}

static void embedded_an_earlier_unversioned_repetition_need_not_be_stored(void **state)
{
    (void)state;
    uint64_t early = fake_publish(&fake, BUS_ORDERS, ORDER_5_UNVERSIONED);
    uint64_t late = fake_publish(&fake, BUS_ORDERS, ORDER_5_UNVERSIONED);
    fake_store(&fake, 1u, BUS_ORDERS, late);
    fake_project(&fake, 1u, 5);
    fake_ack(&fake, BUS_ORDERS, late);
    fake_ack(&fake, BUS_ORDERS, early);
    checker_finish(fake.checker);
    assert_fine();
}

static void embedded_a_later_unversioned_repetition_must_be_stored(void **state)
{
    (void)state;
    uint64_t early = fake_publish(&fake, BUS_ORDERS, ORDER_5_UNVERSIONED);
    uint64_t late = fake_publish(&fake, BUS_ORDERS, ORDER_5_UNVERSIONED);
    fake_store(&fake, 1u, BUS_ORDERS, early);
    fake_project(&fake, 1u, 5);
    fake_ack(&fake, BUS_ORDERS, late);
    assert_violates("I4_durable_before_ack");
}

// --- when a fact changes ------------------------------------------------------------------------

static struct sim_fact copy_of_fact(struct sim_fact_payment payments[2])
{
    struct sim_fact copy = *fake_fact(&fake, 0, 1);
    memcpy(payments, copy.payments, 2 * sizeof(payments[0]));
    copy.payments = payments;
    return copy;
}

static void change_and_assert_violates(break_fn *breaks, const char *check)
{
    struct sim_fact_payment payments[2];
    play_matched();
    struct sim_fact before = copy_of_fact(payments);
    breaks(fake_fact(&fake, 0, 1));
    assert_fine();
    fake_change(&fake, 0, 1, &before);
    assert_violates(check);
}

static void break_order(struct sim_fact *fact)
{
    fact->has_order = false;
}

static void a_fact_that_loses_its_order_is_seen(void **state)
{
    (void)state;
    change_and_assert_violates(break_order, "I7_order_stays");
}

static void break_rows(struct sim_fact *fact)
{
    fact->n_rows--;
}

static void fewer_rows_are_seen(void **state)
{
    (void)state;
    change_and_assert_violates(break_rows, "I7_rows_never_fall");
}

static void break_events(struct sim_fact *fact)
{
    fact->n_events--;
}

static void fewer_events_are_seen(void **state)
{
    (void)state;
    change_and_assert_violates(break_events, "I7_events_never_fall");
}

static void break_payments(struct sim_fact *fact)
{
    fact->payment_count--;
}

static void a_payment_that_leaves_its_fact_is_seen(void **state)
{
    (void)state;
    change_and_assert_violates(break_payments, "I7_payment_stays");
}

static void break_captured(struct sim_fact *fact)
{
    fact->payments[0].captured_minor--;
}

static void a_captured_sum_that_falls_is_seen(void **state)
{
    (void)state;
    change_and_assert_violates(break_captured, "I7_figures_stay");
}

static void break_status(struct sim_fact *fact)
{
    fact->payments[1].shown_status = PAYMENT_STATUS_FAILED;
}

static void a_status_that_falls_is_seen(void **state)
{
    (void)state;
    change_and_assert_violates(break_status, "I7_figures_stay");
}

static void figures_may_fall_while_somebody_is_unfinished(void **state)
{
    (void)state;
    struct sim_fact_payment payments[2];
    play_matched();
    (void)fake_publish(&fake, BUS_PAYMENTS, PAYMENT("13", "1", "Completed", "1.00"));
    struct sim_fact before = copy_of_fact(payments);
    break_captured(fake_fact(&fake, 0, 1));
    break_events(fake_fact(&fake, 0, 1));
    fake_change(&fake, 0, 1, &before);
    assert_fine();
}

static void a_fact_without_any_order_is_seen(void **state)
{
    (void)state;
    play_matched();
    fake_fact(&fake, 0, 1)->has_order = false;
    fake_change(&fake, 0, 1, NULL);
    assert_violates("I8_fact_has_order");
}

static void a_fact_of_an_order_that_nobody_published_is_seen(void **state)
{
    (void)state;
    play_matched();
    fake.cluster.replicas[0].facts[0].order_id = 77;
    fake_change(&fake, 0, 77, NULL);
    assert_violates("I8_fact_is_published");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(an_ack_of_an_event_at_one_replica_is_seen),
        CLUSTER_TEST(an_ack_of_an_order_without_its_fact_is_seen),
        CLUSTER_TEST(an_ack_of_an_order_whose_payment_is_not_projected_is_seen),
        CLUSTER_TEST(an_ack_of_a_payment_that_waits_nowhere_is_seen),
        CLUSTER_TEST(an_entry_at_one_replica_is_no_place_to_wait),
        CLUSTER_TEST(a_note_that_it_is_dead_is_a_place),
        CLUSTER_TEST(an_ack_of_a_refused_message_without_dead_letter_is_seen),
        CLUSTER_TEST(a_dead_letter_of_another_reason_does_not_do),
        CLUSTER_TEST(an_ack_of_a_dead_letter_without_its_record_is_seen),
        CLUSTER_TEST(a_larger_projection_of_somebody_unfinished_is_excused),
        EMBEDDED_TEST(embedded_an_earlier_unversioned_repetition_need_not_be_stored),
        EMBEDDED_TEST(embedded_a_later_unversioned_repetition_must_be_stored),
        CLUSTER_TEST(a_fact_that_loses_its_order_is_seen),
        CLUSTER_TEST(fewer_rows_are_seen),
        CLUSTER_TEST(fewer_events_are_seen),
        CLUSTER_TEST(a_payment_that_leaves_its_fact_is_seen),
        CLUSTER_TEST(a_captured_sum_that_falls_is_seen),
        CLUSTER_TEST(a_status_that_falls_is_seen),
        CLUSTER_TEST(figures_may_fall_while_somebody_is_unfinished),
        CLUSTER_TEST(a_fact_without_any_order_is_seen),
        CLUSTER_TEST(a_fact_of_an_order_that_nobody_published_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
