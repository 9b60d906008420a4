// Every check of the checker is triggered once, by a world that is right but for one thing, made by hand.
// The names are the claims; the same world without the wrong thing passes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka's header needs those above.
#include <cmocka.h>

#include "checker_fake.h"

#include <string.h>

#define TWO 3u // replicas 0 and 1: what is written at a quorum

#define ORDER_1                                                                                    \
    "{\"order_id\":1,\"customer_id\":7,\"item\":\"Laptop\",\"quantity\":2,\"price\":50.00,"        \
    "\"shipping_address\":\"12 Elm Street, Town\",\"order_status\":\"Pending\","                   \
    "\"creation_date\":\"2024-01-21\",\"version\":1}"
#define ORDER_1_LATER                                                                              \
    "{\"order_id\":1,\"customer_id\":7,\"item\":\"Laptop\",\"quantity\":2,\"price\":50.00,"        \
    "\"shipping_address\":\"12 Elm Street, Town\",\"order_status\":\"Shipped\","                   \
    "\"creation_date\":\"2024-01-21\",\"version\":2}"
#define ORDER_5_UNVERSIONED                                                                        \
    "{\"order_id\":5,\"customer_id\":7,\"item\":\"Laptop\",\"quantity\":1,\"price\":50.00,"        \
    "\"shipping_address\":\"12 Elm Street, Town\",\"order_status\":\"Pending\","                   \
    "\"creation_date\":\"2024-01-21\"}"
#define PAYMENT(id, order, status, amount)                                                         \
    "{\"payment_id\":" id ",\"order_id\":" order ",\"payment_method\":\"Google Pay\","             \
    "\"card_last_four\":\"0042\",\"payment_status\":\"" status "\","                               \
    "\"payment_datetime\":\"2024-01-21T10:01:30Z\",\"amount\":" amount "}"
#define NOT_JSON "{\"payment_id\":3,\"name\":\"Margarete Muster\""

static struct fake fake;

static int set_up_cluster(void **state)
{
    (void)state;
    fake_init(&fake, STORE_CLUSTER);
    return 0;
}

static int set_up_embedded(void **state)
{
    (void)state;
    fake_init(&fake, STORE_EMBEDDED);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_deinit(&fake);
    return 0;
}

static void assert_fine(void)
{
    if (checker_violation(fake.checker) != NULL) {
        fail_msg("%s: %s", checker_violation(fake.checker), checker_detail(fake.checker));
    }
}

static void assert_violates(const char *check)
{
    assert_non_null(checker_violation(fake.checker));
    if (strcmp(checker_violation(fake.checker), check) != 0) {
        fail_msg("%s instead of %s: %s", checker_violation(fake.checker), check,
                 checker_detail(fake.checker));
    }
    assert_true(strlen(checker_detail(fake.checker)) > 0);
}

static void finish_and_assert_violates(const char *check)
{
    assert_fine();
    checker_finish(fake.checker);
    assert_violates(check);
}

// --- worlds -------------------------------------------------------------------------------------

// Order 1 with payments 11 and 12, all through.
static void play_matched(void)
{
    uint64_t order = fake_publish(&fake, BUS_ORDERS, ORDER_1);
    fake_store(&fake, TWO, BUS_ORDERS, order);
    fake_project(&fake, TWO, 1);
    fake_ack(&fake, BUS_ORDERS, order);
    static const char *const bodies[] = {PAYMENT("11", "1", "Completed", "60.00"),
                                         PAYMENT("12", "1", "Completed", "40.00")};
    for (size_t i = 0; i < 2; i++) {
        uint64_t payment = fake_publish(&fake, BUS_PAYMENTS, bodies[i]);
        fake_store(&fake, TWO, BUS_PAYMENTS, payment);
        fake_project(&fake, TWO, 1);
        fake_ack(&fake, BUS_PAYMENTS, payment);
    }
}

// Payment 21, whose order 2 never comes, up to its dead letter; `record` says how its record ends.
static void play_unmatched(enum dead_letter_state record)
{
    uint64_t payment = fake_publish(&fake, BUS_PAYMENTS, PAYMENT("21", "2", "Completed", "9.99"));
    struct event event = fake_event(&fake, BUS_PAYMENTS, payment);
    fake_store(&fake, TWO, BUS_PAYMENTS, payment);
    fake_wait(&fake, TWO, &event);
    fake_ack(&fake, BUS_PAYMENTS, payment);
    fake_note(&fake, TWO, NOTE_PARKED, &event);
    uint64_t letter = fake_letter(&fake, BUS_PAYMENTS, payment, REASON_E_UNMATCHED, &event);
    fake_note(&fake, TWO, NOTE_DEAD, &event);
    for (unsigned i = 0; i < CLUSTER_REPLICAS; i++) {
        fake.cluster.replicas[i].waiting_count = 0;
    }
    fake_record(&fake, TWO, BUS_PAYMENTS_DLQ, letter, record);
    fake_ack(&fake, BUS_PAYMENTS_DLQ, letter);
}

static void play_refused(void)
{
    uint64_t message = fake_publish(&fake, BUS_PAYMENTS, NOT_JSON);
    uint64_t letter = fake_letter(&fake, BUS_PAYMENTS, message, REASON_E_JSON, NULL);
    fake_ack(&fake, BUS_PAYMENTS, message);
    fake_record(&fake, TWO, BUS_PAYMENTS_DLQ, letter, DEAD_LETTER_NEW);
    fake_ack(&fake, BUS_PAYMENTS_DLQ, letter);
}

// Two contents of payment 11's Completed event beside order 1.
static void play_conflict(bool record)
{
    fake_store(&fake, TWO, BUS_ORDERS, fake_publish(&fake, BUS_ORDERS, ORDER_1));
    uint64_t a = fake_publish(&fake, BUS_PAYMENTS, PAYMENT("11", "1", "Completed", "60.00"));
    uint64_t b = fake_publish(&fake, BUS_PAYMENTS, PAYMENT("11", "1", "Completed", "61.00"));
    fake_store(&fake, TWO, BUS_PAYMENTS, a);
    fake_store(&fake, TWO, BUS_PAYMENTS, b);
    fake_project(&fake, TWO, 1);
    struct event first = fake_event(&fake, BUS_PAYMENTS, a);
    struct event second = fake_event(&fake, BUS_PAYMENTS, b);
    bool first_loses = hash_compare(&first.hash, &second.hash) > 0;
    if (record) {
        uint64_t letter = fake_letter(&fake, BUS_PAYMENTS, first_loses ? a : b, REASON_E_CONFLICT,
                                      first_loses ? &first : &second);
        fake_record(&fake, TWO, BUS_PAYMENTS_DLQ, letter, DEAD_LETTER_NEW);
        fake_ack(&fake, BUS_PAYMENTS_DLQ, letter);
    }
    fake_ack(&fake, BUS_ORDERS, 1);
    fake_ack(&fake, BUS_PAYMENTS, a);
    fake_ack(&fake, BUS_PAYMENTS, b);
}

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

typedef void break_fn(struct sim_fact *fact);

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
    fact->n_rows++;
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

#define CLUSTER_TEST(f)  cmocka_unit_test_setup_teardown(f, set_up_cluster, tear_down)
#define EMBEDDED_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_embedded, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(a_right_world_passes),
        EMBEDDED_TEST(a_right_embedded_world_passes),
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
        CLUSTER_TEST(another_fate_than_the_answer_key_says_is_seen),
        CLUSTER_TEST(an_order_version_that_is_nowhere_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
