// Acks in bad weather, against Google's emulator: acks whose answers get lost, acks that never arrive, and
// leases of a consumer that takes its time.
//
// TILL_TEST_FULL=1 takes the long times. An argument is a filter of test names: '*lost*'.
#include "weather.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// cmocka needs the first four
#include <cmocka.h>

#define MESSAGES     1000
#define LOST         100 // acks
#define ACCOUNTS     7
#define ACK_SIZE_MIN 2000 // bytes of a request with the acks of 50 messages, at the very least
#define SLOW_US      ((weather_is_full() ? 35 : 13) * US_PER_SECOND) // leases are of 10 s

static const enum pubsub_way ways[] = {PUBSUB_STREAMING_PULL, PUBSUB_UNARY_PULL};

static struct pubsub_emulator *emulator;

static struct weather *create(enum pubsub_way way, size_t messages)
{
    struct weather *weather = weather_create(emulator, &(struct weather_options){0});
    weather_subscribe(weather, way);
    weather_publish(weather, messages);
    weather_flush(weather);
    return weather;
}

// Waits until `held` have come, takes `most` of them, and acks none.
static void take_some(struct weather *weather, size_t held, size_t most)
{
    int64_t until_us = weather_now_us() + WEATHER_PATIENCE_US;
    while (pubsub_subscriber_figures(weather->subscriber).held < held) {
        assert_true(weather_now_us() < until_us);
        weather_pass(weather->receiving, 20000);
    }
    assert_int_equal(weather_take(weather, most), most);
}

// --- answers that get lost ----------------------------------------------------------------------

// The service has the acks and the client does not know: it sends them again, and that does no harm.
static void acks_whose_answers_get_lost_are_sent_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tcp_proxy_counts before = {0};
        struct weather *weather = create(ways[i], 50);
        take_some(weather, 50, 50);
        tcp_proxy_stall(weather->proxy, TCP_PROXY_CLIENT);
        tcp_proxy_count(weather->proxy, &before);
        weather_ack(weather);
        assert_true(weather_wait_for_bytes(weather, before.to_server, ACK_SIZE_MIN, 10000));
        assert_int_equal(pubsub_subscriber_figures(weather->subscriber).acked, 0);
        tcp_proxy_cut(weather->proxy, TCP_PROXY_CLIENT);
        tcp_proxy_stall(weather->proxy, 0);
        weather_drain(weather); // every ack has its answer
        weather_assert_whole(weather);
        weather_destroy(weather);
    }
}

// --- acks that get lost -------------------------------------------------------------------------

// What a consumer makes of messages: a message is a payment, with its number for an identity.
struct books {
    uint64_t folded[ACCOUNTS];  // each payment once
    uint64_t counted[ACCOUNTS]; // each delivery
    bool *known;
};

static uint64_t amount_of(uint64_t number)
{
    return 100 + number * number % 9973;
}

static void book(struct books *books, const struct weather *weather)
{
    for (size_t i = 0; i < weather->handle_count; i++) {
        uint64_t number = weather->numbers[i];
        books->counted[number % ACCOUNTS] += amount_of(number);
        if (!books->known[number]) {
            books->known[number] = true;
            books->folded[number % ACCOUNTS] += amount_of(number);
        }
    }
}

// A consumer acks what it has booked, and the acks leave it, but not for the service; then it ends.
static void lose_acks_and_die(struct weather *weather, struct books *books, bool *lost)
{
    take_some(weather, LOST, LOST);
    book(books, weather);
    for (size_t i = 0; i < weather->handle_count; i++) {
        lost[weather->numbers[i]] = true;
    }
    tcp_proxy_stall(weather->proxy, TCP_PROXY_SERVER);
    weather_ack(weather);
    weather->drained = weather->taken;
    pubsub_subscriber_close(&weather->subscriber); // waits in vain for answers
    tcp_proxy_cut(weather->proxy, TCP_PROXY_BOTH);
    tcp_proxy_stall(weather->proxy, 0);
}

static size_t count_missing(const struct weather *weather, const bool *lost)
{
    size_t missing = 0;
    for (size_t i = 0; i < weather->published; i++) {
        missing += weather->fates[i].received < (lost[i] ? 2 : 1);
    }
    return missing;
}

// Until everything came, and what lost its ack once more.
static void receive_the_rest(struct weather *weather, struct books *books, const bool *lost)
{
    int64_t until_us = weather_now_us() + WEATHER_LONG_US;
    while (count_missing(weather, lost) > 0) {
        uint64_t seen = pubsub_arrivals(weather->receiving);
        assert_true(weather_now_us() < until_us);
        if (weather_take(weather, WEATHER_HANDLES_MAX) > 0) {
            book(books, weather);
            weather_ack(weather);
        } else {
            pubsub_wait(weather->receiving, seen, 100000);
        }
    }
    weather_drain(weather);
}

static void assert_books(const struct books *books, size_t published)
{
    uint64_t expected[ACCOUNTS] = {0};
    bool counting_will_do = true;
    for (size_t i = 0; i < published; i++) {
        expected[i % ACCOUNTS] += amount_of(i);
    }
    for (size_t i = 0; i < ACCOUNTS; i++) {
        assert_true(books->folded[i] == expected[i]);
        counting_will_do = counting_will_do && books->counted[i] == expected[i];
    }
    assert_false(counting_will_do); // else nothing was shown
}

static void tenth_of_the_acks_lost_brings_messages_again_and_changes_no_fact(void **state)
{
    static bool lost[2][MESSAGES];
    static bool known[2][MESSAGES];
    struct books books[2] = {{.known = known[0]}, {.known = known[1]}};
    struct weather *weathers[2];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        weathers[i] = create(ways[i], MESSAGES);
        lose_acks_and_die(weathers[i], &books[i], lost[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        weather_subscribe_helpers(weathers[i], ways[i]);
        receive_the_rest(weathers[i], &books[i], lost[i]);
        weather_assert_whole(weathers[i]);
        assert_true(weathers[i]->taken >= MESSAGES + LOST);
        assert_books(&books[i], MESSAGES);
        weather_destroy(weathers[i]);
    }
}

// --- a slow consumer ----------------------------------------------------------------------------

static void slow_consumer_keeps_its_leases(void **state)
{
    struct weather *weathers[2];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        weathers[i] = create(ways[i], 100);
        take_some(weathers[i], 100, 50); // the others wait to be taken
    }
    weather_pass(weathers[1]->client, SLOW_US);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pubsub_subscriber_figures(weathers[i]->subscriber).received, 100);
        assert_true(pubsub_subscriber_figures(weathers[i]->subscriber).extended >= 100);
        weather_ack(weathers[i]);
        weather_receive(weathers[i], 100, WEATHER_PATIENCE_US);
        weather_receive_for(weathers[i], 300000);
        assert_int_equal(weathers[i]->taken, 100);
        weather_drain(weathers[i]);
        weather_assert_whole(weathers[i]);
        weather_destroy(weathers[i]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acks_whose_answers_get_lost_are_sent_again),
        cmocka_unit_test(tenth_of_the_acks_lost_brings_messages_again_and_changes_no_fact),
        cmocka_unit_test(slow_consumer_keeps_its_leases),
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
