// The Pub/Sub client against Google's emulator over connections that break, or are dead without a word.
// Every message that was given to the publisher is confirmed, and arrives and is acked at least once.
//
// TILL_TEST_FULL=1 takes the long times. An argument is a filter of test names: '*dead*'.
#include "weather.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the first four
#include <cmocka.h>

#define CUTS             (weather_is_full() ? 20 : 5)
#define MESSAGES_A_CUT   50
#define REQUEST_SIZE_MIN 200 // bytes of a request with that many messages, at the very least
#define NOTICED_MS       (weather_is_full() ? 60000 : 20000)

static const enum pubsub_way ways[] = {PUBSUB_STREAMING_PULL, PUBSUB_UNARY_PULL};

static struct pubsub_emulator *emulator;

static struct weather *create(void)
{
    return weather_create(emulator, &(struct weather_options){.batch_count_max = MESSAGES_A_CUT});
}

// --- connections that break ---------------------------------------------------------------------

// A request of a client that is cut off: with `asked_in_vain` it gets through and its answer is lost, so
// that the messages are published twice; else it gets lost on its way.
static void publish_and_cut(struct weather *weather, bool asked_in_vain)
{
    struct tcp_proxy_counts before = {0};
    weather_flush(weather); // over a connection that serves
    tcp_proxy_stall(weather->proxy, asked_in_vain ? TCP_PROXY_CLIENT : TCP_PROXY_SERVER);
    tcp_proxy_count(weather->proxy, &before);
    weather_publish(weather, MESSAGES_A_CUT);
    bool passed = weather_wait_for_bytes(weather, before.to_server, REQUEST_SIZE_MIN,
                                         asked_in_vain ? 10000 : 20);
    assert_int_equal(passed, asked_in_vain);
    tcp_proxy_cut(weather->proxy, TCP_PROXY_CLIENT); // the emulator reads what it has got
    tcp_proxy_stall(weather->proxy, 0);
    weather_wait_for_connection(weather, before.accepted, 10000);
}

static void publishing_cut_many_times_loses_nothing(void **state)
{
    struct weather *weather = create();
    (void)state;
    weather_publish(weather, 1);
    for (int i = 0; i < CUTS; i++) {
        publish_and_cut(weather, i % 2 == 0);
    }
    weather_flush(weather);
    weather_subscribe_beside(weather, PUBSUB_UNARY_PULL);
    weather_receive(weather, weather->published, WEATHER_PATIENCE_US);
    weather_receive_for(weather, 300000); // and what was published twice
    weather_drain(weather);
    weather_assert_whole(weather);
    assert_true(weather->taken > weather->distinct);
    assert_true(weather_connections(weather) > (uint64_t)CUTS);
    weather_destroy(weather);
}

static void cut_while_receiving(struct weather *weather)
{
    for (int i = 0; i < CUTS; i++) {
        uint64_t before = weather_connections(weather);
        weather_receive_again(weather);
        weather_publish(weather, 25); // on their way
        tcp_proxy_cut(weather->proxy, TCP_PROXY_BOTH);
        weather_wait_for_connection(weather, before, 10000);
    }
    weather_receive_again(weather);
    weather_flush(weather);
    assert_true(pubsub_subscriber_figures(weather->subscriber).reconnects >= (uint64_t)CUTS);
}

// Both at once, for what one of them waits for comes to the other one meanwhile.
static void receiving_cut_many_times_loses_nothing(void **state)
{
    struct weather *weathers[2];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        weathers[i] = create();
        weather_subscribe(weathers[i], ways[i]);
        cut_while_receiving(weathers[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        weather_catch_up(weathers[i], ways[i]);
        weather_assert_whole(weathers[i]);
        weather_destroy(weathers[i]);
    }
}

// --- connections that are dead ------------------------------------------------------------------

// Nothing passes and nothing tells; only silence does.
static void die(struct weather *weather)
{
    tcp_proxy_cut(weather->proxy, TCP_PROXY_SERVER); // ours stands open and silent
}

static void expect_notice(struct weather *weather, uint64_t before)
{
    int64_t since_us = weather_now_us();
    weather_wait_for_connection(weather, before, (uint32_t)NOTICED_MS);
    print_message("    noticed after %lld ms\n", (long long)(weather_now_us() - since_us) / 1000);
}

static struct weather *create_to_die(void)
{
    return weather_create(emulator, &(struct weather_options){.usual_silence = weather_is_full(),
                                                              .attempt_us = US_PER_SECOND});
}

// Though it asks again and again, and never waits for as long as the silence must last.
static void dead_connection_of_a_publisher_is_noticed_and_replaced(void **state)
{
    struct weather *weather = create_to_die();
    (void)state;
    weather_publish(weather, 10);
    weather_flush(weather);
    uint64_t before = weather_connections(weather);
    die(weather);
    weather_publish(weather, 10);
    expect_notice(weather, before);
    weather_flush(weather);
    weather_subscribe_beside(weather, PUBSUB_UNARY_PULL);
    weather_receive(weather, weather->published, WEATHER_PATIENCE_US);
    weather_drain(weather);
    weather_assert_whole(weather);
    weather_destroy(weather);
}

static void dead_connections_of_receivers_are_noticed_and_replaced(void **state)
{
    struct weather *weathers[2];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        weathers[i] = create_to_die();
        weather_subscribe(weathers[i], ways[i]);
        weather_receive_again(weathers[i]);
        weather_flush(weathers[i]);
    }
    uint64_t before[2] = {weather_connections(weathers[0]), weather_connections(weathers[1])};
    for (size_t i = 0; i < 2; i++) {
        die(weathers[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        expect_notice(weathers[i], before[i]);
        weather_receive_again(weathers[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        weather_flush(weathers[i]);
        weather_catch_up(weathers[i], ways[i]);
        weather_assert_whole(weathers[i]);
        weather_destroy(weathers[i]);
    }
}

// A pull that waits and a stream without messages are silent too; after 2 s each is tested here.
static void idle_connections_that_live_are_left_alone(void **state)
{
    struct weather *weathers[2];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        weathers[i] = create();
        weather_subscribe(weathers[i], ways[i]);
        weather_receive_again(weathers[i]);
        weather_receive(weathers[i], weathers[i]->published, WEATHER_PATIENCE_US);
    }
    weather_receive_for(weathers[0], (weather_is_full() ? 60 : 5) * US_PER_SECOND);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(weather_connections(weathers[i]), 1);
        assert_int_equal(pubsub_subscriber_figures(weathers[i]->subscriber).reconnects, 0);
        weather_drain(weathers[i]);
        weather_assert_whole(weathers[i]);
        weather_destroy(weathers[i]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishing_cut_many_times_loses_nothing),
        cmocka_unit_test(receiving_cut_many_times_loses_nothing),
        cmocka_unit_test(dead_connection_of_a_publisher_is_noticed_and_replaced),
        cmocka_unit_test(dead_connections_of_receivers_are_noticed_and_replaced),
        cmocka_unit_test(idle_connections_that_live_are_left_alone),
    };
    pubsub_emulator_require();
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    emulator = pubsub_emulator_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pubsub_emulator_stop(&emulator);
    return failed;
}
