// The Pub/Sub client against Google's emulator in bad weather: connections that break, stand still or are
// dead, an emulator that is killed or stands still. What was published arrives, at least once.
//
// TILL_TEST_FULL=1 takes the long times.
#include "pubsub.h"
#include "pubsub_emulator.h"
#include "tcp_proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

#define MESSAGES_MAX 20000
#define PATIENCE_US  (240 * US_PER_SECOND)
#define LONG_US      (3600 * US_PER_SECOND)

static struct pubsub_emulator *emulator;

// A client through a proxy, and beside it another one that goes straight to the emulator.
struct rig {
    struct tcp_proxy *proxy;
    struct pubsub *client;
    struct pubsub *beside;
    struct pubsub_publisher *publisher;
    struct pubsub_subscriber *subscriber;
    struct arena arena;
    struct why why;
    atomic_size_t published;
    atomic_size_t failed;
    bool seen[MESSAGES_MAX];
    size_t distinct;
    size_t duplicates;
};

static void expect_ok(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        print_message("%s: %s\n", err_name(err), why->text);
    }
    assert_int_equal(err, ERR_OK);
}

static int64_t now_us(void)
{
    struct clock clock = clock_real();
    return clock_mono_ns(&clock) / 1000;
}

static bool is_full(void)
{
    return getenv("TILL_TEST_FULL") != NULL;
}

static void on_result(void *context, void *tag, const struct pubsub_publish_result *result)
{
    struct rig *rig = context;
    (void)tag;
    atomic_fetch_add(result->err == ERR_OK ? &rig->published : &rig->failed, 1);
}

static struct pubsub *connect_to(const char *address, int world)
{
    struct pubsub_options options = {.target = {.plaintext = true}, .silence_us = 2000000};
    struct pubsub *client = NULL;
    struct why why = {0};
    (void)snprintf(options.target.project, sizeof(options.target.project), "weather-%d", world);
    (void)snprintf(options.target.endpoint, sizeof(options.target.endpoint), "%s", address);
    expect_ok(pubsub_open(&options, &client, &why), &why);
    return client;
}

static void make_topic(struct rig *rig)
{
    const struct pubsub_topic_settings topic = {0};
    const struct pubsub_subscription_settings subscription = {
        .topic = TEXT("topic"), .ack_deadline_us = 10 * US_PER_SECOND};
    expect_ok(pubsub_topic_create(rig->beside, TEXT("topic"), &topic, &rig->why), &rig->why);
    expect_ok(pubsub_subscription_create(rig->beside, TEXT("topic-sub"), &subscription, &rig->why),
              &rig->why);
}

static struct rig *create(void)
{
    static int worlds;
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    assert_int_equal(arena_init(&rig->arena, 64u << 20), ERR_OK);
    rig->proxy = tcp_proxy_start(pubsub_emulator_port(emulator));
    assert_non_null(rig->proxy);
    worlds++;
    rig->client = connect_to(tcp_proxy_address(rig->proxy), worlds);
    rig->beside = connect_to(pubsub_emulator_address(emulator), worlds);
    make_topic(rig);
    const struct pubsub_publisher_options options = {.topic = TEXT("topic"),
                                                     .attempt_us = 3 * US_PER_SECOND,
                                                     .backoff_last_us = US_PER_SECOND,
                                                     .batch_count_max = 50,
                                                     .on_result = on_result,
                                                     .context = rig};
    expect_ok(pubsub_publisher_open(rig->client, &options, &rig->publisher, &rig->why), &rig->why);
    return rig;
}

static void subscribe(struct rig *rig, enum pubsub_way way)
{
    const struct pubsub_subscriber_options options = {.subscription = TEXT("topic-sub"),
                                                      .way = way,
                                                      .first_lease_us = 10 * US_PER_SECOND,
                                                      .backoff_last_us = US_PER_SECOND};
    expect_ok(pubsub_subscriber_open(rig->client, &options, &rig->subscriber, &rig->why),
              &rig->why);
}

static void destroy(struct rig *rig)
{
    pubsub_subscriber_close(&rig->subscriber);
    pubsub_publisher_close(&rig->publisher);
    pubsub_close(&rig->client);
    pubsub_close(&rig->beside);
    tcp_proxy_stop(&rig->proxy);
    arena_deinit(&rig->arena);
    free(rig);
}

// Messages "first", "first + 1", ...
static void publish(struct rig *rig, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        char data[24];
        int size = snprintf(data, sizeof(data), "%zu", i);
        const struct pubsub_outgoing message = {.data = {data, (size_t)size}};
        size_t accepted = 0;
        expect_ok(pubsub_publish(rig->publisher, &message, 1, NULL, &accepted, &rig->why),
                  &rig->why);
    }
    pubsub_publisher_send(rig->publisher);
}

static void flush(struct rig *rig)
{
    expect_ok(pubsub_publisher_flush(rig->publisher, PATIENCE_US, &rig->why), &rig->why);
}

static void note(struct rig *rig, struct text data)
{
    uint64_t number = 0;
    assert_true(text_parse_u64(data, &number));
    assert_true(number < MESSAGES_MAX);
    rig->duplicates += rig->seen[number] ? 1 : 0;
    rig->distinct += rig->seen[number] ? 0 : 1;
    rig->seen[number] = true;
}

// Takes and acks what has arrived. A service that is away is no failure here.
static size_t take(struct rig *rig)
{
    const struct pubsub_take_limits limits = {.count_max = 1000, .size_max = 32u << 20};
    struct pubsub_message *messages = NULL;
    size_t count = 0;
    arena_reset(&rig->arena);
    enum err err = pubsub_take(rig->subscriber, &limits, &rig->arena, &messages, &count, &rig->why);
    assert_true(err == ERR_OK || err_class_of(err) == ERR_CLASS_RETRY);
    for (size_t i = 0; i < count; i++) {
        note(rig, messages[i].data);
        pubsub_ack(rig->subscriber, &messages[i].handle, 1);
    }
    return count;
}

// Until at least that many different ones have come.
static void receive_until(struct rig *rig, size_t distinct)
{
    int64_t until_us = now_us() + (is_full() ? LONG_US : PATIENCE_US);
    while (rig->distinct < distinct && now_us() < until_us) {
        uint64_t seen = pubsub_arrivals(rig->client);
        if (take(rig) == 0) {
            pubsub_wait(rig->client, seen, 100000);
        }
    }
    assert_true(rig->distinct >= distinct);
}

static void take_for(struct rig *rig, int64_t us)
{
    for (int64_t until_us = now_us() + us; now_us() < until_us;) {
        uint64_t seen = pubsub_arrivals(rig->client);
        if (take(rig) == 0) {
            pubsub_wait(rig->client, seen, until_us - now_us());
        }
    }
}

static bool has_one_more(const struct tcp_proxy_counts *counts, void *context)
{
    return counts->accepted > *(const uint64_t *)context;
}

// The emulator goes on feeding streams that were cut. What they swallow comes again after its deadline of
// 10 s, to any stream, those that were cut too: it may take a minute, and an hour after twenty cuts.
static void connections_cut_many_times_lose_nothing(enum pubsub_way way)
{
    struct rig *rig = create();
    const size_t cuts = is_full() ? 20 : 1;
    subscribe(rig, way);
    for (size_t i = 0; i < cuts; i++) {
        struct tcp_proxy_counts before = {0};
        publish(rig, i * 25, 25);
        take_for(rig, 100000);
        tcp_proxy_count(rig->proxy, &before);
        tcp_proxy_cut(rig->proxy, TCP_PROXY_BOTH);
        assert_true(tcp_proxy_wait_until(rig->proxy, has_one_more, &before.accepted, 30000));
    }
    flush(rig);
    receive_until(rig, cuts * 25);
    assert_int_equal(rig->published, cuts * 25);
    assert_int_equal(rig->failed, 0);
    destroy(rig);
}

static void streams_cut_many_times_lose_nothing(void **state)
{
    (void)state;
    connections_cut_many_times_lose_nothing(PUBSUB_STREAMING_PULL);
}

static void pulls_cut_many_times_lose_nothing(void **state)
{
    (void)state;
    connections_cut_many_times_lose_nothing(PUBSUB_UNARY_PULL);
}

// Nothing passes and nothing tells; only silence does. The client tests a connection after 2 s here.
static void dead_connection_is_noticed_and_replaced(enum pubsub_way way)
{
    struct rig *rig = create();
    struct tcp_proxy_counts before = {0};
    subscribe(rig, way);
    publish(rig, 0, 10);
    receive_until(rig, 10);
    tcp_proxy_cut(rig->proxy, TCP_PROXY_SERVER); // ours stands open and silent
    tcp_proxy_count(rig->proxy, &before);
    publish(rig, 10, 10);
    assert_true(tcp_proxy_wait_until(rig->proxy, has_one_more, &before.accepted, 20000));
    receive_until(rig, 20);
    flush(rig);
    assert_int_equal(rig->failed, 0);
    destroy(rig);
}

static void dead_connection_of_streams_is_replaced(void **state)
{
    (void)state;
    dead_connection_is_noticed_and_replaced(PUBSUB_STREAMING_PULL);
}

static void dead_connection_of_pulls_is_replaced(void **state)
{
    (void)state;
    dead_connection_is_noticed_and_replaced(PUBSUB_UNARY_PULL);
}

static void idle_connection_that_lives_is_left_alone(void **state)
{
    struct rig *rig = create();
    struct tcp_proxy_counts counts = {0};
    (void)state;
    subscribe(rig, PUBSUB_STREAMING_PULL);
    publish(rig, 0, 1);
    receive_until(rig, 1);
    pubsub_wait(rig->client, pubsub_arrivals(rig->client), 7000000); // tested three times
    tcp_proxy_count(rig->proxy, &counts);
    assert_int_equal(counts.accepted, 1);
    assert_int_equal(pubsub_subscriber_figures(rig->subscriber).reconnects, 0);
    destroy(rig);
}

static void emulator_that_stood_still_is_caught_up_with(void **state)
{
    struct rig *rig = create();
    (void)state;
    subscribe(rig, PUBSUB_STREAMING_PULL);
    publish(rig, 0, 100);
    receive_until(rig, 100);
    pubsub_emulator_pause(emulator);
    publish(rig, 100, 100);
    int64_t pause_us = is_full() ? 90 * US_PER_SECOND : 5 * US_PER_SECOND;
    int64_t until_us = now_us() + pause_us;
    while (now_us() < until_us) {
        pubsub_wait(rig->client, pubsub_arrivals(rig->client), until_us - now_us());
    }
    pubsub_emulator_resume(emulator);
    receive_until(rig, 200);
    flush(rig);
    assert_int_equal(rig->failed, 0);
    destroy(rig);
}

static void what_a_killed_emulator_never_confirmed_is_published_again(void **state)
{
    struct rig *rig = create();
    (void)state;
    publish(rig, 0, 100);
    flush(rig);
    tcp_proxy_stall(rig->proxy, TCP_PROXY_CLIENT); // answers get lost
    publish(rig, 100, 100);
    pubsub_emulator_restart(emulator); // and knows nothing any more
    make_topic(rig);
    subscribe(rig, PUBSUB_UNARY_PULL);
    tcp_proxy_cut(rig->proxy, TCP_PROXY_BOTH);
    tcp_proxy_stall(rig->proxy, 0);
    flush(rig);
    assert_int_equal(rig->published, 200);
    assert_int_equal(rig->failed, 0);
    receive_until(rig, 100); // the second hundred: nothing of it was confirmed before
    for (size_t i = 100; i < 200; i++) {
        assert_true(rig->seen[i]);
    }
    destroy(rig);
}

static void large_message_goes_through(void **state)
{
    struct rig *rig = create();
    const size_t size = 9900000;
    char *body = calloc(1, size);
    assert_non_null(body);
    memset(body, '0', size);
    const struct pubsub_outgoing message = {.data = {body, size}};
    size_t accepted = 0;
    (void)state;
    subscribe(rig, PUBSUB_STREAMING_PULL);
    expect_ok(pubsub_publish(rig->publisher, &message, 1, NULL, &accepted, &rig->why), &rig->why);
    flush(rig);
    assert_int_equal(rig->published, 1);
    receive_until(rig, 1); // 9,900,000 zeros are a zero
    free(body);
    destroy(rig);
}

static void slow_consumer_keeps_its_leases(void **state)
{
    struct rig *rig = create();
    (void)state;
    subscribe(rig, PUBSUB_STREAMING_PULL);
    publish(rig, 0, 50);
    flush(rig);
    const struct pubsub_take_limits limits = {.count_max = 1000, .size_max = 1u << 20};
    struct pubsub_message *messages = NULL;
    uint64_t handles[100];
    size_t taken = 0;
    int64_t until_us = now_us() + (is_full() ? 35 : 12) * US_PER_SECOND; // leases are of 10 s
    while (now_us() < until_us) {
        size_t count = 0;
        arena_reset(&rig->arena);
        expect_ok(pubsub_take(rig->subscriber, &limits, &rig->arena, &messages, &count, &rig->why),
                  &rig->why);
        for (size_t i = 0; i < count; i++) {
            assert_true(taken < 100);
            handles[taken++] = messages[i].handle;
            note(rig, messages[i].data);
        }
        pubsub_wait(rig->client, pubsub_arrivals(rig->client), 100000);
    }
    assert_int_equal(rig->distinct, 50);
    assert_int_equal(rig->duplicates, 0);
    assert_true(pubsub_subscriber_figures(rig->subscriber).extended >= 50);
    pubsub_ack(rig->subscriber, handles, taken);
    expect_ok(pubsub_subscriber_drain(rig->subscriber, PATIENCE_US, &rig->why), &rig->why);
    assert_int_equal(pubsub_subscriber_figures(rig->subscriber).acked, 50);
    destroy(rig);
}

int main(void)
{
    pubsub_emulator_require();
    emulator = pubsub_emulator_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_cut_many_times_lose_nothing),
        cmocka_unit_test(pulls_cut_many_times_lose_nothing),
        cmocka_unit_test(dead_connection_of_streams_is_replaced),
        cmocka_unit_test(dead_connection_of_pulls_is_replaced),
        cmocka_unit_test(idle_connection_that_lives_is_left_alone),
        cmocka_unit_test(emulator_that_stood_still_is_caught_up_with),
        cmocka_unit_test(large_message_goes_through),
        cmocka_unit_test(slow_consumer_keeps_its_leases),
        cmocka_unit_test(
            what_a_killed_emulator_never_confirmed_is_published_again), // ends its world
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pubsub_emulator_stop(&emulator);
    return failed;
}
