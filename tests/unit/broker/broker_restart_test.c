// What a restart and a crash keep, and numbers and times that never go back.
#include "broker_rig.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka needs the four before it
#include <cmocka.h>

static void restart_redelivers_the_unacked_only(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 10);
    assert_int_equal(rig_pull(rig, 6), 6);
    const size_t acked[] = {0, 1, 3, 5};
    for (size_t i = 0; i < 4; i++) {
        rig_ack_one(rig, rig->handles[acked[i]]);
    }
    rig_reopen(rig);
    assert_int_equal(rig_backlog(rig).unacked, 6);
    assert_int_equal(rig_pull(rig, 100), 6);
    rig_expect(rig, 0, 3, "a3", 2);
    rig_expect(rig, 1, 5, "a5", 2);
    rig_expect(rig, 2, 7, "a7", 1);
    rig_expect(rig, 5, 10, "a10", 1);
}

static void acks_of_a_flush_survive_a_crash_and_later_ones_may_not(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 4);
    assert_int_equal(rig_pull(rig, 4), 4);
    rig_ack_one(rig, rig->handles[0]);
    rig_ack_one(rig, rig->handles[2]);
    assert_int_equal(broker_flush(rig->broker, NULL), ERR_OK);
    rig_ack_one(rig, rig->handles[1]); // in memory only: the crash loses it
    rig_crash(rig);
    rig_open(rig);
    assert_int_equal(rig_pull(rig, 10), 2);
    rig_expect(rig, 0, 2, "a2", 2);
    rig_expect(rig, 1, 4, "a4", 2);
}

static void ack_is_on_disk_once_the_flush_interval_is_over(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 3);
    assert_int_equal(rig_pull(rig, 3), 3);
    assert_int_equal(broker_flush(rig->broker, NULL), ERR_OK);
    virtual_time_advance(&rig->time, BROKER_FLUSH_INTERVAL_US - 1);
    uint64_t commits = rig_counters(rig).commits;
    rig_ack_one(rig, rig->handles[0]);
    assert_int_equal(rig_counters(rig).commits, commits);
    virtual_time_advance(&rig->time, 1);
    rig_ack_one(rig, rig->handles[1]);
    assert_int_equal(rig_counters(rig).commits, commits + 1);
    rig_crash(rig);
    rig_open(rig);
    assert_int_equal(rig_pull(rig, 10), 1);
    rig_expect(rig, 0, 3, "a3", 2);
}

static void pull_that_finds_nothing_flushes_what_is_due(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "a");
    assert_int_equal(rig_pull(rig, 1), 1);
    rig_ack(rig);
    virtual_time_advance(&rig->time, BROKER_FLUSH_INTERVAL_US);
    assert_int_equal(rig_pull(rig, 1), 0);
    rig_crash(rig);
    rig_open(rig);
    assert_int_equal(rig_pull(rig, 1), 0);
}

static void publish_carries_the_acks_along(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "a");
    assert_int_equal(rig_pull(rig, 1), 1);
    rig_ack(rig);
    rig_publish(rig, "b");
    rig_crash(rig);
    rig_open(rig);
    assert_int_equal(rig_pull(rig, 10), 1);
    rig_expect(rig, 0, 2, "b", 2); // within the step that is noted ahead: may have been delivered
}

static void published_messages_survive_a_crash(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 3);
    rig_crash(rig);
    rig_open(rig);
    assert_int_equal(rig_pull(rig, 10), 3);
    rig_expect(rig, 2, 3, "a3", 1);
}

static void message_delivered_before_a_crash_says_so(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 3);
    assert_int_equal(rig_pull(rig, 1), 1);
    rig_crash(rig);
    rig_open(rig);
    assert_int_equal(rig_pull(rig, 1), 1);
    assert_int_equal(rig->pulled[0].sequence, 1);
    assert_in_range(rig->pulled[0].delivery_attempt, 2, UINT32_MAX);
}

static void sequences_go_on_after_a_restart_and_after_a_trim(void **state)
{
    struct rig *rig = *state;
    uint64_t last = 0;
    for (int round = 0; round < 4; round++) {
        rig_publish_many(rig, "a", 5000);
        assert_int_equal(rig_pull(rig, 5000), 5000);
        assert_int_equal(rig->pulled[0].sequence, last + 1);
        last = rig->pulled[4999].sequence;
        assert_int_equal(last, 5000 * (round + 1));
        rig_ack(rig);
        assert_int_equal(broker_flush(rig->broker, NULL), ERR_OK);
        assert_int_equal(rig_counters(rig).messages_trimmed, 5000);
        rig_reopen(rig);
        assert_int_equal(rig_pull(rig, 1), 0);
        assert_int_equal(rig_backlog(rig).published, last);
    }
    rig_close(rig);
    assert_int_equal(rig_sql_number(rig, "SELECT count(*) FROM messages"), 0);
}

static int64_t newest_publish_time(struct rig *rig)
{
    assert_int_equal(rig_pull(rig, 1), 1);
    rig_ack(rig);
    return rig->pulled[0].published_us;
}

static void publish_times_rise_when_the_clock_jumps_back(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "a");
    int64_t first = newest_publish_time(rig);
    assert_int_equal(first, rig->time.wall_us);
    rig->time.wall_us -= 3600 * US_PER_SECOND;
    rig_publish(rig, "b");
    assert_int_equal(newest_publish_time(rig), first + 1);
    rig_reopen(rig);
    rig_publish(rig, "c");
    assert_int_equal(newest_publish_time(rig), first + 2);
    rig->time.wall_us += 7200 * US_PER_SECOND;
    rig_publish(rig, "d");
    assert_int_equal(newest_publish_time(rig), rig->time.wall_us);
}

static void publish_times_rise_over_all_topics_and_after_a_trim(void **state)
{
    struct rig *rig = *state;
    uint32_t other_topic = 0;
    uint32_t other = 0;
    assert_int_equal(broker_topic_create(rig->broker, TEXT("u"), &other_topic, NULL), ERR_OK);
    assert_int_equal(
        broker_subscription_create(rig->broker, other_topic, TEXT("u-sub"), &other, NULL), ERR_OK);
    int64_t last = 0;
    for (int round = 0; round < 6; round++) {
        struct broker_outgoing message = {.data = TEXT("x")};
        uint32_t topic = round % 2 == 0 ? rig->topic : other_topic;
        assert_int_equal(broker_publish(rig->broker, topic, &message, 1, NULL), ERR_OK);
        uint32_t subscription = round % 2 == 0 ? rig->subscription : other;
        assert_int_equal(rig_pull_from(rig, subscription, 1), 1);
        assert_true(rig->pulled[0].published_us > last);
        last = rig->pulled[0].published_us;
        rig->time.wall_us -= 1000;
        assert_int_equal(
            broker_ack(rig->broker, subscription, rig->handles, rig->pulled_count, NULL), ERR_OK);
        rig_reopen(rig);
    }
}

static void log_id_is_kept_and_differs_between_logs(void **state)
{
    struct rig *rig = *state;
    char id[33] = {0};
    assert_int_equal(broker_log_id(rig->broker).size, 32);
    memcpy(id, broker_log_id(rig->broker).data, 32);
    assert_int_equal(strspn(id, "0123456789abcdef"), 32);
    rig_reopen(rig);
    assert_memory_equal(id, broker_log_id(rig->broker).data, 32);
    struct rig other;
    rig_init(&other);
    rig_open(&other);
    assert_memory_not_equal(id, broker_log_id(other.broker).data, 32);
    rig_deinit(&other);
}

static void topics_and_subscriptions_are_made_once(void **state)
{
    struct rig *rig = *state;
    uint32_t topic = 99;
    uint32_t subscription = 99;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(broker_topic_create(rig->broker, TEXT("t"), &topic, NULL), ERR_OK);
        assert_int_equal(topic, rig->topic);
        assert_int_equal(
            broker_subscription_create(rig->broker, topic, TEXT("t-sub"), &subscription, NULL),
            ERR_OK);
        assert_int_equal(subscription, rig->subscription);
        rig_reopen(rig);
    }
    assert_int_equal(broker_topic_create(rig->broker, TEXT("u"), &topic, NULL), ERR_OK);
    assert_int_equal(
        broker_subscription_create(rig->broker, topic, TEXT("t-sub"), &subscription, &rig->why),
        ERR_EXISTS);
    assert_int_equal(broker_subscription_find(rig->broker, TEXT("none"), &subscription, &rig->why),
                     ERR_NOT_FOUND);
}

// Both halves in turn, a lagging subscription, and restarts in between: nothing is lost or doubled.
static void order_is_kept_over_turns_of_the_halves_and_restarts(void **state)
{
    struct rig *rig = *state;
    uint64_t expected = 1;
    uint64_t published = 0;
    for (int round = 0; round < 16; round++) {
        rig_publish_many(rig, "a", 20000);
        published += 20000;
        size_t keep = round < 12 ? 30000 : 0; // lag for a while, then catch up
        while (published - expected + 1 > keep) {
            size_t count = rig_pull(rig, 3000);
            assert_in_range(count, 1, 3000);
            for (size_t i = 0; i < count; i++) {
                assert_int_equal(rig->pulled[i].sequence, expected + i);
            }
            rig_ack(rig);
            expected += count;
        }
        if (round % 3 == 2) {
            rig_reopen(rig);
        }
    }
    assert_int_equal(broker_flush(rig->broker, NULL), ERR_OK);
    rig_close(rig);
    assert_in_range(rig_sql_number(rig, "SELECT count(*) FROM messages"), 0, 1024);
}

// An old half that is too large to go at once keeps the newer one in place, acked or not: the messages on
// disk stay an unbroken row.
static void half_emptied_bit_by_bit_survives_a_crash(void **state)
{
    struct rig *rig = *state;
    static uint64_t handles[45000];
    rig_publish_many(rig, "a", 40000);
    rig_reopen(rig); // its size is not known any more, so it counts as large
    rig_publish_many(rig, "b", 5000);
    size_t count = 0;
    while (rig_pull(rig, 5000) > 0) {
        memcpy(handles + count, rig->handles, rig->pulled_count * sizeof(*handles));
        count += rig->pulled_count;
    }
    assert_int_equal(count, 45000);
    assert_int_equal(broker_ack(rig->broker, rig->subscription, handles, count, NULL), ERR_OK);
    assert_int_equal(broker_flush(rig->broker, NULL), ERR_OK);
    assert_in_range(rig_counters(rig).messages_trimmed, 1, 39999);
    rig_crash(rig);
    rig_open(rig);
    assert_int_equal(rig_backlog(rig).unacked, 0);
    rig_publish(rig, "c");
    assert_int_equal(rig_pull(rig, 10), 1);
    rig_expect(rig, 0, 45001, "c", 1);
}

static void slow_subscription_keeps_messages_from_being_trimmed(void **state)
{
    struct rig *rig = *state;
    uint32_t slow = 0;
    assert_int_equal(broker_subscription_create(rig->broker, rig->topic, TEXT("slow"), &slow, NULL),
                     ERR_OK);
    rig_publish_many(rig, "a", 5000);
    assert_int_equal(rig_pull(rig, 5000), 5000);
    rig_ack(rig);
    assert_int_equal(broker_flush(rig->broker, NULL), ERR_OK);
    assert_int_equal(rig_counters(rig).messages_trimmed, 0);
    assert_int_equal(rig_pull_from(rig, slow, 5000), 5000);
    rig_expect(rig, 4999, 5000, "a5000", 1);
    assert_int_equal(broker_ack(rig->broker, slow, rig->handles, 5000, NULL), ERR_OK);
    assert_int_equal(broker_flush(rig->broker, NULL), ERR_OK);
    assert_int_equal(rig_counters(rig).messages_trimmed, 5000);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(restart_redelivers_the_unacked_only),
        CLAIM(acks_of_a_flush_survive_a_crash_and_later_ones_may_not),
        CLAIM(ack_is_on_disk_once_the_flush_interval_is_over),
        CLAIM(pull_that_finds_nothing_flushes_what_is_due),
        CLAIM(publish_carries_the_acks_along),
        CLAIM(published_messages_survive_a_crash),
        CLAIM(message_delivered_before_a_crash_says_so),
        CLAIM(sequences_go_on_after_a_restart_and_after_a_trim),
        CLAIM(publish_times_rise_when_the_clock_jumps_back),
        CLAIM(publish_times_rise_over_all_topics_and_after_a_trim),
        CLAIM(log_id_is_kept_and_differs_between_logs),
        CLAIM(topics_and_subscriptions_are_made_once),
        CLAIM(order_is_kept_over_turns_of_the_halves_and_restarts),
        CLAIM(half_emptied_bit_by_bit_survives_a_crash),
        CLAIM(slow_subscription_keeps_messages_from_being_trimmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
