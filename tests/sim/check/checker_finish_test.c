// What the checker sees in the end: each check is triggered once, by a world that is right but for one thing,
// made by hand. The same world without the wrong thing passes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka's header needs those above.
#include <cmocka.h>

#include "checker_internal.h"
#include "checker_plays.h"

#include <string.h>

static void a_right_world_passes(void **state)
{
    (void)state;
    play_conflict(true);
    play_unmatched(DEAD_LETTER_WAITING);
    play_refused();
    checker_expect(fake.checker, BUS_ORDERS, 1, GENERATED_STORED, REASON_NONE);
    checker_expect(fake.checker, BUS_PAYMENTS, 3, GENERATED_UNMATCHED, REASON_E_UNMATCHED);
    checker_expect(fake.checker, BUS_PAYMENTS, 4, GENERATED_REFUSED, REASON_E_JSON);
    checker_finish(fake.checker);
    assert_fine();
    assert_true(checker_checks(fake.checker) > 100);
}

static void a_right_embedded_world_passes(void **state)
{
    (void)state;
    play_matched();
    play_unmatched(DEAD_LETTER_WAITING);
    play_refused();
    checker_finish(fake.checker);
    assert_fine();
}

// --- in the end ---------------------------------------------------------------------------------

static void an_unacked_message_is_seen(void **state)
{
    (void)state;
    play_matched();
    fake.broker.messages[BUS_PAYMENTS][1].acked = false;
    finish_and_assert_violates("I1_subscriptions_drained");
}

static void an_event_that_one_majority_lacks_is_seen(void **state)
{
    (void)state;
    play_matched();
    struct event event = fake_event(&fake, BUS_PAYMENTS, 2);
    fake_forget(&fake, 1u, &event); // replica 1 has it; 0 and 2 do not
    finish_and_assert_violates("I1_every_event_stored");
}

static void a_row_that_nobody_published_is_seen(void **state)
{
    (void)state;
    play_matched();
    for (unsigned i = 0; i < 2; i++) {
        struct fake_replica *replica = &fake.cluster.replicas[i];
        replica->events[replica->event_count] = replica->events[1];
        replica->events[replica->event_count++].payment.status = PAYMENT_STATUS_FAILED;
        replica->events[replica->event_count - 1].event_id = TEXT("Failed");
    }
    finish_and_assert_violates("I8_row_is_published");
}

static void a_row_that_is_stored_twice_is_seen(void **state)
{
    (void)state;
    play_matched();
    struct fake_replica *replica = &fake.cluster.replicas[0];
    replica->events[replica->event_count] = replica->events[1];
    replica->event_count++;
    finish_and_assert_violates("I1_counts_add_up");
}

static void break_both(break_fn *breaks)
{
    breaks(fake_fact(&fake, 0, 1));
    breaks(fake_fact(&fake, 1, 1));
}

static void break_paid(struct sim_fact *fact)
{
    fact->amount_paid_minor -= 6000;
}

static void money_that_a_fact_lacks_is_seen(void **state)
{
    (void)state;
    play_matched();
    break_both(break_paid);
    finish_and_assert_violates("I2_money_adds_up");
}

static void a_fact_that_only_one_majority_has_is_seen(void **state)
{
    (void)state;
    play_matched();
    *fake_fact(&fake, 0, 1) = (struct sim_fact){0}; // replica 1 has it; 0 and 2 do not
    finish_and_assert_violates("I2_money_adds_up");
}

static void break_settlement(struct sim_fact *fact)
{
    fact->settlement = SETTLEMENT_PARTIAL;
}

static void a_wrong_settlement_is_seen(void **state)
{
    (void)state;
    play_matched();
    break_both(break_settlement);
    finish_and_assert_violates("I3_facts_are_the_fold");
}

static void break_method_shown(struct sim_fact *fact)
{
    fact->payments[0].shown_event_id = TEXT("Complete");
}

static void a_wrong_event_shown_is_seen(void **state)
{
    (void)state;
    play_matched();
    break_both(break_method_shown);
    finish_and_assert_violates("I3_facts_are_the_fold");
}

static void break_payment_id(struct sim_fact *fact)
{
    fact->payments[1].payment_id = 99;
}

static void a_payment_in_a_fact_that_nobody_published_is_seen(void **state)
{
    (void)state;
    play_matched();
    break_both(break_payment_id);
    finish_and_assert_violates("I8_fact_is_published");
}

static void break_n_rows(struct sim_fact *fact)
{
    fact->n_rows--;
}

static void a_projection_of_other_rows_than_those_stored_is_seen(void **state)
{
    (void)state;
    play_matched();
    break_both(break_n_rows);
    finish_and_assert_violates("I6_all_rows_projected");
}

static void a_note_about_no_payment_is_seen(void **state)
{
    (void)state;
    play_matched();
    struct event event = fake_event(&fake, BUS_PAYMENTS, 1);
    event.event_id = TEXT("Refunded");
    fake_note(&fake, TWO, NOTE_PARKED, &event);
    finish_and_assert_violates("I8_note_has_payment");
}

static void a_payment_that_waits_in_the_end_is_seen(void **state)
{
    (void)state;
    play_matched();
    struct event event = fake_event(&fake, BUS_PAYMENTS, 1);
    fake_wait(&fake, TWO, &event);
    finish_and_assert_violates("I5_nothing_waits");
}

static void a_payment_without_order_and_record_is_seen(void **state)
{
    (void)state;
    play_unmatched(DEAD_LETTER_WAITING);
    fake.cluster.replicas[0].record_count = fake.cluster.replicas[1].record_count = 0;
    finish_and_assert_violates("I5_unmatched_is_dead");
}

static void a_record_that_was_not_healed_is_seen(void **state)
{
    (void)state;
    play_matched();
    struct event event = fake_event(&fake, BUS_PAYMENTS, 1);
    uint64_t letter = fake_letter(&fake, BUS_PAYMENTS, 1, REASON_E_UNMATCHED, &event);
    fake_record(&fake, TWO, BUS_PAYMENTS_DLQ, letter, DEAD_LETTER_WAITING);
    fake_ack(&fake, BUS_PAYMENTS_DLQ, letter);
    finish_and_assert_violates("I5_dead_is_healed");
}

static void a_refusal_without_record_is_seen(void **state)
{
    (void)state;
    play_refused();
    fake.cluster.replicas[0].record_count = fake.cluster.replicas[1].record_count = 0;
    finish_and_assert_violates("I9_refused_is_recorded");
}

static void a_conflict_without_record_is_seen(void **state)
{
    (void)state;
    play_conflict(false);
    finish_and_assert_violates("I9_conflict_is_recorded");
}

static void a_record_without_cause_is_seen(void **state)
{
    (void)state;
    play_matched();
    uint64_t letter = fake_letter(&fake, BUS_PAYMENTS, 1, REASON_E_JSON, NULL);
    fake_record(&fake, TWO, BUS_PAYMENTS_DLQ, letter, DEAD_LETTER_NEW);
    fake_ack(&fake, BUS_PAYMENTS_DLQ, letter);
    finish_and_assert_violates("I9_record_has_cause");
}

static void a_record_of_another_reason_is_seen(void **state)
{
    (void)state;
    play_refused();
    fake.cluster.replicas[0].records[0].reason = REASON_E_SIZE;
    fake.cluster.replicas[1].records[0].reason = REASON_E_SIZE;
    finish_and_assert_violates("I9_record_is_exact");
}

static void a_record_without_attempts_is_seen(void **state)
{
    (void)state;
    play_refused();
    fake.cluster.replicas[0].records[0].attempts = 0;
    finish_and_assert_violates("I9_record_is_exact");
}

static void a_name_in_an_attribute_is_seen(void **state)
{
    (void)state;
    play_refused();
    uint64_t letter = fake_letter(&fake, BUS_PAYMENTS, 1, REASON_E_JSON, NULL);
    struct sim_message *message = &fake.broker.messages[BUS_PAYMENTS_DLQ][letter - 1];
    struct attribute items[16];
    memcpy(items, message->attributes.items, message->attributes.count * sizeof(items[0]));
    for (size_t i = 0; i < message->attributes.count; i++) {
        if (text_equal(items[i].key, TEXT("till_detail"))) {
            items[i].value = TEXT("Margarete Muster is no number");
        }
    }
    message->attributes.items = items;
    fake_ack(&fake, BUS_PAYMENTS_DLQ, letter);
    finish_and_assert_violates("I11_nothing_personal");
}

#define WITH_CARD "{\"payment_id\":3,\"order_id\":1,\"payment_method\":\"4111 1111 1111 1111\"}"

static void a_card_number_in_a_letter_is_seen(void **state)
{
    (void)state;
    uint64_t message = fake_publish(&fake, BUS_PAYMENTS, WITH_CARD);
    uint64_t letter = fake_letter(&fake, BUS_PAYMENTS, message, REASON_E_PAN, NULL);
    fake_ack(&fake, BUS_PAYMENTS, message);
    fake_record(&fake, TWO, BUS_PAYMENTS_DLQ, letter, DEAD_LETTER_NEW);
    fake_ack(&fake, BUS_PAYMENTS_DLQ, letter);
    finish_and_assert_violates("I11_nothing_personal");
}

static void another_fate_than_the_answer_key_says_is_seen(void **state)
{
    (void)state;
    play_matched();
    checker_expect(fake.checker, BUS_PAYMENTS, 1, GENERATED_UNMATCHED, REASON_E_UNMATCHED);
    finish_and_assert_violates("answer_key_agrees");
}

// A later version that a producer published and no process took: nothing may look as if it had.
static void an_order_version_that_is_nowhere_is_seen(void **state)
{
    (void)state;
    play_matched();
    uint64_t later = fake_publish(&fake, BUS_ORDERS, ORDER_1_LATER);
    fake.broker.messages[BUS_ORDERS][later - 1].acked = true;
    finish_and_assert_violates("I1_every_event_stored");
}

// --- the ledger ---------------------------------------------------------------------------------

static void a_message_without_an_outcome_is_seen(void **state)
{
    (void)state;
    play_matched();
    fake.cluster.tallies[1].messages = 0;
    fake.cluster.tallies[1].amount_minor = 0;
    finish_and_assert_violates("I1_ledger_adds_up");
}

static void a_message_that_is_counted_twice_is_seen(void **state)
{
    (void)state;
    play_refused();
    fake.cluster.tallies[0].messages = 2;
    finish_and_assert_violates("I1_ledger_adds_up");
}

static void a_duplicate_that_counts_as_stored_is_seen(void **state)
{
    (void)state;
    play_matched();
    uint64_t again = fake_publish(&fake, BUS_ORDERS, ORDER_1);
    fake_ack(&fake, BUS_ORDERS, again);
    finish_and_assert_violates("I1_ledger_adds_up");
}

static void a_refusal_that_counts_as_a_duplicate_is_seen(void **state)
{
    (void)state;
    play_refused();
    fake.cluster.tallies[0].outcome = OUTCOME_DUPLICATE;
    finish_and_assert_violates("I1_ledger_adds_up");
}

static void a_number_that_does_not_count_as_applied_is_seen(void **state)
{
    (void)state;
    play_matched();
    fake.cluster.applied[APPLIED_PAYMENTS]--;
    finish_and_assert_violates("I1_ledger_adds_up");
}

static void money_that_was_counted_otherwise_is_seen(void **state)
{
    (void)state;
    play_matched();
    fake.cluster.tallies[2].amount_minor++;
    finish_and_assert_violates("I1_ledger_adds_up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(a_right_world_passes),
        EMBEDDED_TEST(a_right_embedded_world_passes),
        CLUSTER_TEST(an_unacked_message_is_seen),
        CLUSTER_TEST(an_event_that_one_majority_lacks_is_seen),
        CLUSTER_TEST(a_row_that_nobody_published_is_seen),
        CLUSTER_TEST(a_row_that_is_stored_twice_is_seen),
        CLUSTER_TEST(money_that_a_fact_lacks_is_seen),
        CLUSTER_TEST(a_fact_that_only_one_majority_has_is_seen),
        CLUSTER_TEST(a_wrong_settlement_is_seen),
        CLUSTER_TEST(a_wrong_event_shown_is_seen),
        CLUSTER_TEST(a_payment_in_a_fact_that_nobody_published_is_seen),
        CLUSTER_TEST(a_projection_of_other_rows_than_those_stored_is_seen),
        CLUSTER_TEST(a_note_about_no_payment_is_seen),
        CLUSTER_TEST(a_payment_that_waits_in_the_end_is_seen),
        CLUSTER_TEST(a_payment_without_order_and_record_is_seen),
        CLUSTER_TEST(a_record_that_was_not_healed_is_seen),
        CLUSTER_TEST(a_refusal_without_record_is_seen),
        CLUSTER_TEST(a_conflict_without_record_is_seen),
        CLUSTER_TEST(a_record_without_cause_is_seen),
        CLUSTER_TEST(a_record_of_another_reason_is_seen),
        CLUSTER_TEST(a_record_without_attempts_is_seen),
        CLUSTER_TEST(a_name_in_an_attribute_is_seen),
        CLUSTER_TEST(a_card_number_in_a_letter_is_seen),
        CLUSTER_TEST(another_fate_than_the_answer_key_says_is_seen),
        CLUSTER_TEST(an_order_version_that_is_nowhere_is_seen),
        EMBEDDED_TEST(a_message_without_an_outcome_is_seen),
        EMBEDDED_TEST(a_message_that_is_counted_twice_is_seen),
        EMBEDDED_TEST(a_duplicate_that_counts_as_stored_is_seen),
        EMBEDDED_TEST(a_refusal_that_counts_as_a_duplicate_is_seen),
        EMBEDDED_TEST(a_number_that_does_not_count_as_applied_is_seen),
        EMBEDDED_TEST(money_that_was_counted_otherwise_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
