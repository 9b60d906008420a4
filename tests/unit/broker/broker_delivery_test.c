// Leases, redelivery, acks and the order of delivery, under virtual time.
#include "broker_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka needs the four before it
#include <cmocka.h>

static void messages_come_in_the_order_of_publishing(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 3);
    rig_publish(rig, "b");
    assert_int_equal(rig_pull(rig, 2), 2);
    rig_expect(rig, 0, 1, "a1", 1);
    rig_expect(rig, 1, 2, "a2", 1);
    assert_int_equal(rig_pull(rig, 10), 2);
    rig_expect(rig, 0, 3, "a3", 1);
    rig_expect(rig, 1, 4, "b", 1);
    assert_int_equal(rig_pull(rig, 10), 0);
}

static void leased_message_comes_again_exactly_when_its_lease_ends(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "x");
    assert_int_equal(rig_pull(rig, 10), 1);
    virtual_time_advance(&rig->time, RIG_LEASE_US - 1);
    assert_int_equal(rig_pull(rig, 10), 0);
    virtual_time_advance(&rig->time, 1);
    assert_int_equal(rig_pull(rig, 10), 1);
    rig_expect(rig, 0, 1, "x", 2);
}

static void acked_message_never_comes_again(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "x");
    assert_int_equal(rig_pull(rig, 10), 1);
    rig_ack(rig);
    virtual_time_advance(&rig->time, 10 * RIG_LEASE_US);
    assert_int_equal(rig_pull(rig, 10), 0);
    rig_reopen(rig);
    assert_int_equal(rig_pull(rig, 10), 0);
}

static void nacked_message_comes_at_once_with_the_next_attempt(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "x");
    for (uint32_t attempt = 1; attempt <= 5; attempt++) {
        assert_int_equal(rig_pull(rig, 10), 1);
        rig_expect(rig, 0, 1, "x", attempt);
        rig_nack_one(rig, rig->handles[0]);
    }
}

static void redelivered_messages_come_before_fresh_ones(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 4);
    assert_int_equal(rig_pull(rig, 3), 3);
    rig_nack_one(rig, rig->handles[2]);
    rig_nack_one(rig, rig->handles[0]);
    assert_int_equal(rig_pull(rig, 10), 3);
    rig_expect(rig, 0, 1, "a1", 2);
    rig_expect(rig, 1, 3, "a3", 2);
    rig_expect(rig, 2, 4, "a4", 1);
}

static void ack_after_lease_expiry_is_ignored_and_counted(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "x");
    assert_int_equal(rig_pull(rig, 10), 1);
    virtual_time_advance(&rig->time, RIG_LEASE_US);
    rig_ack(rig);
    assert_int_equal(rig_counters(rig).handles_ignored, 1);
    assert_int_equal(rig_pull(rig, 10), 1);
    rig_expect(rig, 0, 1, "x", 2);
}

static void ack_one_microsecond_before_lease_expiry_counts(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "x");
    assert_int_equal(rig_pull(rig, 10), 1);
    virtual_time_advance(&rig->time, RIG_LEASE_US - 1);
    rig_ack(rig);
    virtual_time_advance(&rig->time, RIG_LEASE_US);
    assert_int_equal(rig_pull(rig, 10), 0);
    assert_int_equal(rig_counters(rig).handles_ignored, 0);
}

static void ack_with_the_handle_of_an_earlier_delivery_is_ignored(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "x");
    assert_int_equal(rig_pull(rig, 10), 1);
    uint64_t old = rig->handles[0];
    virtual_time_advance(&rig->time, RIG_LEASE_US);
    assert_int_equal(rig_pull(rig, 10), 1);
    rig_ack_one(rig, old);
    assert_int_equal(rig_backlog(rig).unacked, 1);
    rig_ack(rig);
    assert_int_equal(rig_backlog(rig).unacked, 0);
    assert_int_equal(rig_counters(rig).handles_ignored, 1);
}

static void nack_after_lease_expiry_is_ignored(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "x");
    assert_int_equal(rig_pull(rig, 10), 1);
    uint64_t old = rig->handles[0];
    virtual_time_advance(&rig->time, RIG_LEASE_US);
    assert_int_equal(rig_pull(rig, 10), 1);
    rig_nack_one(rig, old);
    assert_int_equal(rig_pull(rig, 10), 0);
    assert_int_equal(rig_counters(rig).handles_ignored, 1);
}

static void second_ack_of_one_delivery_is_ignored(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 2);
    assert_int_equal(rig_pull(rig, 10), 2);
    rig_ack_one(rig, rig->handles[1]);
    rig_ack_one(rig, rig->handles[1]);
    assert_int_equal(rig_backlog(rig).unacked, 1);
    assert_int_equal(rig_counters(rig).handles_ignored, 1);
}

static void handle_that_was_never_given_is_ignored(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 2);
    assert_int_equal(rig_pull(rig, 1), 1);
    const uint64_t strange[] = {0, UINT64_MAX, rig->handles[0] + 1, rig->handles[0] + (1 << 16)};
    assert_int_equal(broker_ack(rig->broker, rig->subscription, strange, 4, NULL), ERR_OK);
    assert_int_equal(rig_backlog(rig).unacked, 2);
    assert_int_equal(rig_counters(rig).handles_ignored, 4);
}

static void extended_lease_ends_at_the_new_time(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "x");
    assert_int_equal(rig_pull(rig, 10), 1);
    virtual_time_advance(&rig->time, RIG_LEASE_US - 1);
    rig_extend_one(rig, rig->handles[0], 3 * RIG_LEASE_US);
    virtual_time_advance(&rig->time, 3 * RIG_LEASE_US - 1);
    assert_int_equal(rig_pull(rig, 10), 0);
    virtual_time_advance(&rig->time, 1);
    assert_int_equal(rig_pull(rig, 10), 1);
    rig_expect(rig, 0, 1, "x", 2);
}

static void extension_may_shorten_a_lease(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "x");
    assert_int_equal(rig_pull(rig, 10), 1);
    rig_extend_one(rig, rig->handles[0], 1);
    virtual_time_advance(&rig->time, 1);
    assert_int_equal(rig_pull(rig, 10), 1);
}

static void extension_by_nothing_is_a_nack(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "x");
    assert_int_equal(rig_pull(rig, 10), 1);
    rig_extend_one(rig, rig->handles[0], 0);
    assert_int_equal(rig_pull(rig, 10), 1);
    rig_expect(rig, 0, 1, "x", 2);
}

static void two_subscriptions_are_independent(void **state)
{
    struct rig *rig = *state;
    uint32_t other = 0;
    assert_int_equal(
        broker_subscription_create(rig->broker, rig->topic, TEXT("other"), &other, NULL), ERR_OK);
    rig_publish_many(rig, "a", 2);
    assert_int_equal(rig_pull(rig, 10), 2);
    rig_ack(rig);
    assert_int_equal(rig_pull_from(rig, other, 10), 2);
    rig_expect(rig, 0, 1, "a1", 1);
    rig_reopen(rig);
    assert_int_equal(rig_pull(rig, 10), 0);
    assert_int_equal(broker_subscription_find(rig->broker, TEXT("other"), &other, NULL), ERR_OK);
    assert_int_equal(rig_pull_from(rig, other, 10), 2);
    rig_expect(rig, 1, 2, "a2", 2);
}

static void new_subscription_gets_only_what_is_published_later(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "before");
    uint32_t other = 0;
    assert_int_equal(
        broker_subscription_create(rig->broker, rig->topic, TEXT("other"), &other, NULL), ERR_OK);
    rig_publish(rig, "after");
    assert_int_equal(rig_pull_from(rig, other, 10), 1);
    rig_expect(rig, 0, 2, "after", 1);
}

static void pull_stops_before_size_max_but_gives_one_message(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "aaaaaaaaa", 4); // 10 bytes each
    const struct {
        size_t size_max;
        size_t count;
    } cases[] = {{1, 1}, {19, 1}, {20, 2}, {21, 2}, {0, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct broker_pull_limits limits = {.count_max = 10, .size_max = cases[i].size_max};
        arena_reset(&rig->arena);
        assert_int_equal(broker_pull(rig->broker, rig->subscription, &limits, &rig->arena,
                                     &rig->pulled, &rig->pulled_count, NULL),
                         ERR_OK);
        assert_int_equal(rig->pulled_count, cases[i].count);
        for (size_t j = 0; j < rig->pulled_count; j++) {
            rig_nack_one(rig, rig->pulled[j].handle);
        }
    }
}

static void pull_gives_what_the_arena_can_hold_and_keeps_the_rest(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 100);
    struct arena small;
    assert_int_equal(arena_init(&small, 4096), ERR_OK);
    struct broker_pull_limits limits = {
        .count_max = 100, .size_max = SIZE_MAX, .overhead_size = 100};
    size_t total = 0;
    for (int pulls = 0; total < 100; pulls++) {
        assert_in_range(pulls, 0, 50);
        arena_reset(&small);
        assert_int_equal(broker_pull(rig->broker, rig->subscription, &limits, &small, &rig->pulled,
                                     &rig->pulled_count, &rig->why),
                         ERR_OK);
        assert_in_range(rig->pulled_count, 1, 4096 / 100);
        assert_false(arena_overflowed(&small));
        assert_in_range(small.used, 0, 4096 - rig->pulled_count * 100);
        assert_int_equal(rig->pulled[0].sequence, total + 1);
        total += rig->pulled_count;
    }
    arena_deinit(&small);
}

static void message_that_the_arena_cannot_hold_is_refused_and_kept(void **state)
{
    struct rig *rig = *state;
    char body[5000];
    memset(body, 'x', sizeof(body));
    struct broker_outgoing message = {.data = {body, sizeof(body)}};
    assert_int_equal(broker_publish(rig->broker, rig->topic, &message, 1, NULL), ERR_OK);
    struct arena small;
    assert_int_equal(arena_init(&small, 4096), ERR_OK);
    struct broker_pull_limits limits = {.count_max = 1, .size_max = SIZE_MAX};
    assert_int_equal(broker_pull(rig->broker, rig->subscription, &limits, &small, &rig->pulled,
                                 &rig->pulled_count, &rig->why),
                     ERR_FULL);
    assert_false(arena_overflowed(&small));
    assert_int_equal(rig_pull(rig, 1), 1);
    arena_deinit(&small);
}

static void any_bytes_come_back_as_they_were(void **state)
{
    struct rig *rig = *state;
    const struct text bodies[] = {
        TEXT(""),   TEXT("{\"order_id\":1}"), TEXT("\xff\xfe"),    TEXT("a\0b"),
        TEXT("\0"), TEXT("12345678\0"),       TEXT("caf\xc3\xa9"), TEXT("12345678\xc3")};
    struct broker_outgoing messages[8];
    for (size_t i = 0; i < 8; i++) {
        messages[i] = (struct broker_outgoing){.data = bodies[i]};
    }
    assert_int_equal(broker_publish(rig->broker, rig->topic, messages, 8, NULL), ERR_OK);
    assert_int_equal(rig_pull(rig, 10), 8);
    for (size_t i = 0; i < 8; i++) {
        assert_true(text_equal(rig->pulled[i].data, bodies[i]));
    }
    rig_close(rig);
    assert_int_equal(
        rig_sql_number(rig, "SELECT group_concat(typeof(data)='text','') FROM messages"), 11000010);
}

static void attributes_come_back_as_they_were(void **state)
{
    struct rig *rig = *state;
    char key[ATTRIBUTE_KEY_SIZE_MAX];
    char value[ATTRIBUTE_VALUE_SIZE_MAX];
    memset(key, 'k', sizeof(key));
    memset(value, 'v', sizeof(value));
    struct attribute items[ATTRIBUTE_COUNT_MAX];
    for (size_t i = 0; i < ATTRIBUTE_COUNT_MAX; i++) {
        items[i] = (struct attribute){{key, sizeof(key) - i}, {value, sizeof(value) - i}};
    }
    items[1].value = TEXT("");
    struct broker_outgoing messages[] = {
        {.data = TEXT("x"), .attributes = {items, ATTRIBUTE_COUNT_MAX}},
        {.data = TEXT("none")},
        {.data = TEXT("y"), .attributes = {items, 1}},
    };
    assert_int_equal(broker_publish(rig->broker, rig->topic, messages, 3, &rig->why), ERR_OK);
    assert_int_equal(rig_pull(rig, 10), 3);
    assert_int_equal(rig->pulled[0].attributes.count, ATTRIBUTE_COUNT_MAX);
    for (size_t i = 0; i < ATTRIBUTE_COUNT_MAX; i++) {
        assert_true(text_equal(rig->pulled[0].attributes.items[i].key, items[i].key));
        assert_true(text_equal(rig->pulled[0].attributes.items[i].value, items[i].value));
    }
    assert_int_equal(rig->pulled[1].attributes.count, 0);
    assert_int_equal(rig->pulled[2].attributes.count, 1);
}

static void backlog_tells_published_unacked_leased_and_oldest(void **state)
{
    struct rig *rig = *state;
    struct broker_backlog empty = rig_backlog(rig);
    assert_int_equal(empty.published + empty.unacked + empty.leased, 0);
    assert_int_equal(empty.oldest_unacked_us, 0);
    int64_t start_us = rig->time.wall_us;
    rig_publish(rig, "a");
    virtual_time_advance(&rig->time, 1000);
    rig_publish(rig, "b");
    rig_publish(rig, "c");
    assert_int_equal(rig_pull(rig, 2), 2);
    struct broker_backlog both = rig_backlog(rig);
    assert_int_equal(both.published, 3);
    assert_int_equal(both.unacked, 3);
    assert_int_equal(both.leased, 2);
    assert_int_equal(both.oldest_unacked_us, start_us);
    rig_ack_one(rig, rig->handles[1]);
    assert_int_equal(rig_backlog(rig).unacked, 2);
    assert_int_equal(rig_backlog(rig).oldest_unacked_us, start_us);
    rig_ack_one(rig, rig->handles[0]);
    assert_int_equal(rig_backlog(rig).unacked, 1);
    assert_int_equal(rig_backlog(rig).leased, 0);
    assert_int_equal(rig_backlog(rig).oldest_unacked_us, start_us + 1001);
    assert_int_equal(rig_pull(rig, 2), 1);
    virtual_time_advance(&rig->time, RIG_LEASE_US);
    assert_int_equal(rig_backlog(rig).leased, 0);
    assert_int_equal(rig_pull(rig, 2), 1);
    rig_ack(rig);
    assert_int_equal(rig_backlog(rig).unacked, 0);
    assert_int_equal(rig_backlog(rig).published, 3);
    assert_int_equal(rig_backlog(rig).oldest_unacked_us, 0);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(messages_come_in_the_order_of_publishing),
        CLAIM(leased_message_comes_again_exactly_when_its_lease_ends),
        CLAIM(acked_message_never_comes_again),
        CLAIM(nacked_message_comes_at_once_with_the_next_attempt),
        CLAIM(redelivered_messages_come_before_fresh_ones),
        CLAIM(ack_after_lease_expiry_is_ignored_and_counted),
        CLAIM(ack_one_microsecond_before_lease_expiry_counts),
        CLAIM(ack_with_the_handle_of_an_earlier_delivery_is_ignored),
        CLAIM(nack_after_lease_expiry_is_ignored),
        CLAIM(second_ack_of_one_delivery_is_ignored),
        CLAIM(handle_that_was_never_given_is_ignored),
        CLAIM(extended_lease_ends_at_the_new_time),
        CLAIM(extension_may_shorten_a_lease),
        CLAIM(extension_by_nothing_is_a_nack),
        CLAIM(two_subscriptions_are_independent),
        CLAIM(new_subscription_gets_only_what_is_published_later),
        CLAIM(pull_stops_before_size_max_but_gives_one_message),
        CLAIM(pull_gives_what_the_arena_can_hold_and_keeps_the_rest),
        CLAIM(message_that_the_arena_cannot_hold_is_refused_and_kept),
        CLAIM(any_bytes_come_back_as_they_were),
        CLAIM(attributes_come_back_as_they_were),
        CLAIM(backlog_tells_published_unacked_leased_and_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
