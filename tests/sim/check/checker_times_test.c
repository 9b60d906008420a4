// The checker of when payments are declared unmatched in worlds in which nothing fails, and of bodies that
// were built anew.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka's header needs those above.
#include <cmocka.h>

#include "checker_internal.h"
#include "checker_plays.h"

#include <string.h>

static void play_in_calm(int64_t grace_us, enum dead_letter_state record)
{
    fake.checker->options.nothing_fails = true;
    fake.rules.grace_us = grace_us;
    play_unmatched(record);
}

static void a_payment_declared_unmatched_in_time_passes(void **state)
{
    (void)state;
    play_in_calm(0, DEAD_LETTER_WAITING);
    checker_finish(fake.checker);
    assert_fine();
}

static void a_payment_declared_unmatched_within_its_grace_is_seen(void **state)
{
    (void)state;
    play_in_calm(US_PER_SECOND, DEAD_LETTER_WAITING);
    finish_and_assert_violates("I9_unmatched_after_grace");
}

static void a_payment_declared_unmatched_late_is_seen(void **state)
{
    (void)state;
    fake.rules.max_hold_us = 0;
    play_in_calm(0, DEAD_LETTER_WAITING);
    fake.broker.messages[BUS_PAYMENTS_DLQ][0].published_us += 120 * US_PER_SECOND;
    finish_and_assert_violates("I10_unmatched_in_time");
}

static void a_payment_declared_unmatched_although_its_order_is_there_is_seen(void **state)
{
    (void)state;
    play_in_calm(0, DEAD_LETTER_HEALED);
    uint64_t order = fake_publish(&fake, BUS_ORDERS, ORDER_2);
    fake_store(&fake, TWO, BUS_ORDERS, order);
    fake_project(&fake, TWO, 2);
    fake_ack(&fake, BUS_ORDERS, order);
    fake.broker.messages[BUS_PAYMENTS_DLQ][0].published_us += 11 * US_PER_SECOND;
    finish_and_assert_violates("I9_unmatched_had_no_order");
}

static void a_payment_declared_unmatched_while_no_lane_took_orders_is_seen(void **state)
{
    (void)state;
    uint64_t order = fake_publish(&fake, BUS_ORDERS, ORDER_2);
    play_in_calm(0, DEAD_LETTER_HEALED);
    fake_store(&fake, TWO, BUS_ORDERS, order);
    fake_project(&fake, TWO, 2);
    fake_ack(&fake, BUS_ORDERS, order);
    finish_and_assert_violates("I9_unmatched_after_hold");
}

static void nothing(void *context)
{
    (void)context;
}

static void let_pass(int64_t us)
{
    sim_at(fake.sim, sim_now_us(fake.sim) + us, nothing, NULL);
    (void)sim_run_until(fake.sim, sim_now_us(fake.sim) + us);
}

// Lanes were at work, on other orders.
static void a_payment_declared_unmatched_while_its_order_was_on_its_way_is_seen(void **state)
{
    (void)state;
    play_matched();
    uint64_t order = fake_publish(&fake, BUS_ORDERS, ORDER_2);
    play_in_calm(0, DEAD_LETTER_HEALED);
    let_pass(US_PER_SECOND);
    fake.broker.messages[BUS_PAYMENTS_DLQ][0].published_us = sim_now_us(fake.sim);
    fake_store(&fake, TWO, BUS_ORDERS, order);
    fake_project(&fake, TWO, 2);
    fake_ack(&fake, BUS_ORDERS, order);
    finish_and_assert_violates("I9_unmatched_after_hold");
}

// The longest hold has not passed, but nobody had to hold.
static void a_payment_held_although_order_lanes_are_at_work_is_seen(void **state)
{
    (void)state;
    play_matched();
    play_in_calm(0, DEAD_LETTER_WAITING);
    fake.broker.messages[BUS_PAYMENTS_DLQ][0].published_us += 120 * US_PER_SECOND;
    finish_and_assert_violates("I10_unmatched_in_time");
}

// A conflict whose loser's dead letter says that its body was built anew.
static void play_rebuilt(int64_t published_us)
{
    fake.checker->options.nothing_fails = true;
    play_conflict(false);
    struct event events[2] = {fake_event(&fake, BUS_PAYMENTS, 1),
                              fake_event(&fake, BUS_PAYMENTS, 2)};
    uint64_t loser = hash_compare(&events[0].hash, &events[1].hash) > 0 ? 1 : 2;
    uint64_t letter =
        fake_letter(&fake, BUS_PAYMENTS, loser, REASON_E_CONFLICT, &events[loser - 1]);
    struct sim_message *message = &fake.broker.messages[BUS_PAYMENTS_DLQ][letter - 1];
    static struct attribute items[16];
    size_t count = message->attributes.count;
    memcpy(items, message->attributes.items, count * sizeof(items[0]));
    items[count] = (struct attribute){TEXT("till_rebuilt"), TEXT("true")};
    message->attributes = (struct attributes){items, count + 1};
    message->published_us = published_us;
    fake_record(&fake, TWO, BUS_PAYMENTS_DLQ, letter, DEAD_LETTER_NEW);
    fake_ack(&fake, BUS_PAYMENTS_DLQ, letter);
}

static void a_body_built_anew_for_a_message_that_is_gone_passes(void **state)
{
    (void)state;
    play_rebuilt(INT64_MAX);
    checker_finish(fake.checker);
    assert_fine();
}

static void a_body_built_anew_for_a_message_in_hand_is_seen(void **state)
{
    (void)state;
    play_rebuilt(1);
    finish_and_assert_violates("I9_body_is_the_message");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(a_payment_declared_unmatched_in_time_passes),
        CLUSTER_TEST(a_payment_declared_unmatched_within_its_grace_is_seen),
        CLUSTER_TEST(a_payment_declared_unmatched_late_is_seen),
        CLUSTER_TEST(a_payment_declared_unmatched_although_its_order_is_there_is_seen),
        CLUSTER_TEST(a_payment_declared_unmatched_while_no_lane_took_orders_is_seen),
        EMBEDDED_TEST(a_body_built_anew_for_a_message_that_is_gone_passes),
        EMBEDDED_TEST(a_body_built_anew_for_a_message_in_hand_is_seen),
        CLUSTER_TEST(a_payment_declared_unmatched_while_its_order_was_on_its_way_is_seen),
        CLUSTER_TEST(a_payment_held_although_order_lanes_are_at_work_is_seen),
    };
    return cmocka_run_group_tests_name("checker_times", tests, NULL, NULL);
}
