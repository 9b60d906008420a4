// The Pub/Sub client and an emulator that is killed, stands still, or lacks what is asked for.
//
// TILL_TEST_FULL=1 takes the long times. An argument is a filter of test names: '*killed*'.
#include "weather.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
// cmocka needs the first four
#include <cmocka.h>

#define MESSAGES        6000
#define CONFIRMED_MIN   1000   // before the emulator is killed
#define BYTES_A_SECOND  200000 // while publishing, so that a kill finds it at work
#define PAUSE_US        ((weather_is_full() ? 90 : 5) * US_PER_SECOND)
#define ABSENT_US       (2 * US_PER_SECOND) // how long it is asked for what is not there
#define ABSENT_CPU_US   (500 * 1000)        // and what that may cost
#define ABSENT_SIZE_MAX 2000 // bytes on the wire: a call and pings, not a call a millisecond

static const enum pubsub_way ways[] = {PUBSUB_STREAMING_PULL, PUBSUB_UNARY_PULL};

static struct pubsub_emulator *emulator;

// --- killed -------------------------------------------------------------------------------------

static void publish_until_killed(struct weather *weather)
{
    int64_t until_us = weather_now_us() + WEATHER_PATIENCE_US;
    tcp_proxy_throttle(weather->proxy, BYTES_A_SECOND);
    weather_publish(weather, MESSAGES);
    while (atomic_load(&weather->confirmed) < CONFIRMED_MIN) {
        assert_true(weather_now_us() < until_us);
        weather_receive_for(weather, 5000);
    }
    tcp_proxy_refuse(weather->proxy, true);
    pubsub_emulator_kill(weather->emulator);
    tcp_proxy_throttle(weather->proxy, 0);
}

// An emulator that knows nothing any more: what was confirmed is gone with the old one, and the rest has
// to come to the new one. Returns how many these are; nothing of them counts as received yet.
static size_t begin_anew(struct weather *weather, bool *expected)
{
    size_t count = 0;
    pubsub_emulator_restart(weather->emulator);
    weather_make_topic(weather);
    while (weather_take(weather, WEATHER_HANDLES_MAX) > 0) { // what the old one sent
        weather_ack(weather);
    }
    for (size_t i = 0; i < weather->published; i++) {
        expected[i] = !weather->fates[i].confirmed;
        count += expected[i];
        weather->fates[i].received = 0;
    }
    weather->distinct = 0;
    tcp_proxy_refuse(weather->proxy, false);
    return count;
}

static void what_a_killed_emulator_never_confirmed_is_published_again(void **state)
{
    static bool expected[MESSAGES];
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        struct weather *weather =
            weather_create(emulator, &(struct weather_options){.batch_count_max = 50});
        weather_subscribe(weather, ways[way]);
        publish_until_killed(weather);
        size_t count = begin_anew(weather, expected);
        print_message("    %zu of %d were not confirmed\n", count, MESSAGES);
        assert_in_range(count, 1, MESSAGES - CONFIRMED_MIN);
        weather_flush(weather);
        weather_receive(weather, count, WEATHER_PATIENCE_US);
        for (size_t i = 0; i < MESSAGES; i++) {
            assert_true(weather->fates[i].confirmed && !weather->fates[i].failed);
            assert_int_equal(weather->fates[i].received > 0, expected[i]);
        }
        weather_destroy(weather);
    }
}

// --- standing still -----------------------------------------------------------------------------

static void emulator_that_stood_still_is_caught_up_with(void **state)
{
    struct weather *weathers[2];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        weathers[i] =
            weather_create(emulator, &(struct weather_options){.usual_silence = weather_is_full()});
        weather_subscribe(weathers[i], ways[i]);
        weather_receive_again(weathers[i]);
    }
    pubsub_emulator_pause(emulator);
    for (size_t i = 0; i < 2; i++) {
        weather_publish(weathers[i], 500);
        assert_true(weathers[i]->distinct < weathers[i]->published);
    }
    size_t confirmed = atomic_load(&weathers[0]->confirmed);
    weather_receive_for(weathers[0], PAUSE_US);
    assert_int_equal(atomic_load(&weathers[0]->confirmed), confirmed); // it did stand still
    pubsub_emulator_resume(emulator);
    for (size_t i = 0; i < 2; i++) {
        weather_receive_again(weathers[i]);
        weather_flush(weathers[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        weather_catch_up(weathers[i], ways[i]);
        weather_assert_whole(weathers[i]);
        weather_destroy(weathers[i]);
    }
}

// --- absent -------------------------------------------------------------------------------------

struct effort {
    int64_t cpu_us;
    uint64_t to_server;
};

static struct effort effort_so_far(struct weather *weather)
{
    struct rusage usage;
    struct tcp_proxy_counts counts = {0};
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    tcp_proxy_count(weather->proxy, &counts);
    return (struct effort){
        .cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * US_PER_SECOND +
                  usage.ru_utime.tv_usec + usage.ru_stime.tv_usec,
        .to_server = counts.to_server,
    };
}

static void assert_little_effort(struct weather *weather, const struct effort *before)
{
    struct effort now = effort_so_far(weather);
    print_message("    %lld ms of CPU, %llu bytes\n",
                  (long long)(now.cpu_us - before->cpu_us) / 1000,
                  (unsigned long long)(now.to_server - before->to_server));
    assert_true(now.cpu_us - before->cpu_us < ABSENT_CPU_US);
    assert_true(now.to_server - before->to_server < ABSENT_SIZE_MAX);
}

static void publishing_to_an_absent_topic_fails_once_and_says_which(void **state)
{
    struct weather *weather =
        weather_create(emulator, &(struct weather_options){.batch_count_max = 50});
    (void)state;
    weather_expect_ok(pubsub_topic_delete(weather->beside, TEXT("topic"), &weather->why),
                      &weather->why);
    struct effort before = effort_so_far(weather);
    weather_publish(weather, 100);
    weather_flush(weather);
    assert_int_equal(atomic_load(&weather->failed), 100);
    assert_int_equal(atomic_load(&weather->confirmed), 0);
    assert_int_equal(weather->failed_as, ERR_NOT_FOUND);
    assert_non_null(strstr(weather->failure.text, "topics/topic"));
    weather_pass(weather->client, ABSENT_US);
    assert_little_effort(weather, &before);
    weather_destroy(weather);
}

// Asks as a consumer does, again and again: every time the same answer, out of one call.
static void ask_for_what_is_absent(struct weather *weather)
{
    const struct pubsub_take_limits limits = {.count_max = 10, .size_max = 1000};
    int64_t until_us = weather_now_us() + ABSENT_US;
    size_t asked = 0;
    size_t refused = 0;
    while (weather_now_us() < until_us) {
        struct pubsub_message *messages = NULL;
        size_t count = 0;
        uint64_t seen = pubsub_arrivals(weather->client);
        enum err err = pubsub_take(weather->subscriber, &limits, &weather->arena, &messages, &count,
                                   &weather->why);
        assert_true(err == ERR_NOT_FOUND || (err == ERR_OK && refused == 0)); // not yet known
        asked++;
        refused += err == ERR_NOT_FOUND;
        pubsub_wait(weather->client, seen, 100000);
    }
    assert_true(refused > 0);
    assert_true(asked < ABSENT_US / 100000 + 5); // waiting does wait
}

static void receiving_from_an_absent_subscription_fails_once_and_says_which(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct weather *weather = weather_create(emulator, &(struct weather_options){0});
        weather_expect_ok(
            pubsub_subscription_delete(weather->beside, TEXT("topic-sub"), &weather->why),
            &weather->why);
        weather_publish(weather, 1);
        weather_flush(weather); // connected
        struct effort before = effort_so_far(weather);
        weather_subscribe(weather, ways[i]);
        ask_for_what_is_absent(weather);
        assert_non_null(strstr(weather->why.text, "subscriptions/topic-sub"));
        assert_int_equal(pubsub_subscriber_figures(weather->subscriber).reconnects, 1);
        assert_little_effort(weather, &before);
        weather_destroy(weather);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_killed_emulator_never_confirmed_is_published_again),
        cmocka_unit_test(emulator_that_stood_still_is_caught_up_with),
        cmocka_unit_test(publishing_to_an_absent_topic_fails_once_and_says_which),
        cmocka_unit_test(receiving_from_an_absent_subscription_fails_once_and_says_which),
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
