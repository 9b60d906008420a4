// The Pub/Sub client under burden, against Google's emulator: messages as large as they may be, and a
// backlog in front of a consumer that is slower than its service.
//
// TILL_TEST_FULL=1 takes the long times. An argument is a filter of test names: '*backlog*'.
#include "weather.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka needs the first four
#include <cmocka.h>

#define BACKLOG          100000
#define MESSAGE_SIZE     1000
#define HELD_MAX         1000
#define RESPONSE_MAX     100 // messages of one response of the emulator's
#define TAKE_MAX         20  // messages
#define REST_US          25000
#define SLOW_US          ((weather_is_full() ? 60 : 3) * US_PER_SECOND) // from when it is full
#define GROWTH_MAX       (24u << 20)  // bytes: a quarter of the backlog
#define GROWTH_LOOSE_MAX (400u << 20) // with the address sanitizer, which keeps what was freed

static const enum pubsub_way ways[] = {PUBSUB_STREAMING_PULL, PUBSUB_UNARY_PULL};

static struct pubsub_emulator *emulator;

// --- large messages -----------------------------------------------------------------------------

struct large {
    char *zeros;
    size_t size_max; // bytes of data that just fit
};

static enum err check(struct weather *weather, const struct large *large, size_t size)
{
    const struct pubsub_outgoing message = {.data = {large->zeros, size}};
    return pubsub_publish_check(weather->publisher, &message, &weather->why);
}

static struct large find_largest(struct weather *weather)
{
    struct large large = {.zeros = malloc(PUBSUB_REQUEST_SIZE_MAX + 1),
                          .size_max = PUBSUB_REQUEST_SIZE_MAX};
    assert_non_null(large.zeros);
    memset(large.zeros, '0', PUBSUB_REQUEST_SIZE_MAX + 1);
    while (check(weather, &large, large.size_max) != ERR_OK) {
        large.size_max--;
    }
    assert_in_range(large.size_max, 9900000, PUBSUB_REQUEST_SIZE_MAX - 20);
    return large;
}

// The first `count` messages of a size, with their numbers at the end of their data.
static enum err publish_sizes(struct weather *weather, const struct large *large,
                              const size_t *sizes, size_t count, size_t *out_accepted)
{
    struct pubsub_outgoing messages[4];
    char *bodies[4];
    assert_true(count <= 4);
    for (size_t i = 0; i < count; i++) {
        bodies[i] = malloc(sizes[i]);
        assert_non_null(bodies[i]);
        memcpy(bodies[i], large->zeros, sizes[i]);
        bodies[i][sizes[i] - 1] = (char)('0' + weather->published + i);
        messages[i] = (struct pubsub_outgoing){.data = {bodies[i], sizes[i]}};
    }
    enum err err = pubsub_publish(weather->publisher, messages, count,
                                  &weather->fates[weather->published], out_accepted, &weather->why);
    for (size_t i = 0; i < count; i++) {
        free(bodies[i]);
    }
    return err;
}

static void largest_message_passes_and_a_larger_one_is_refused_alone(void **state)
{
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        struct weather *weather = weather_create(emulator, &(struct weather_options){0});
        struct large large = find_largest(weather);
        const size_t sizes[] = {9900000, large.size_max + 1, 1, large.size_max};
        size_t accepted = 0;
        weather_subscribe(weather, ways[way]);
        assert_int_equal(publish_sizes(weather, &large, sizes, 4, &accepted), ERR_TOO_LARGE);
        assert_non_null(strstr(weather->why.text, "10000000"));
        assert_int_equal(accepted, 1);
        weather->published += accepted;
        for (size_t i = 2; i < 4; i++) { // the rest, one tag each
            weather_expect_ok(publish_sizes(weather, &large, &sizes[i], 1, &accepted),
                              &weather->why);
            weather->published += accepted;
        }
        pubsub_publisher_send(weather->publisher);
        weather_flush(weather);
        weather_receive(weather, 3, WEATHER_PATIENCE_US);
        weather_drain(weather);
        weather_assert_whole(weather);
        free(large.zeros);
        weather_destroy(weather);
    }
}

// --- a backlog ----------------------------------------------------------------------------------

// Live bytes on the heap, with the address sanitizer only.
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t resident_size(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %llu", &pages), 1);
    assert_int_equal(fclose(file), 0);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

struct memory {
    size_t heap; // 0: unknown
    size_t resident;
};

static struct memory memory_now(void)
{
    size_t heap = __sanitizer_get_current_allocated_bytes != NULL
                      ? __sanitizer_get_current_allocated_bytes()
                      : 0;
    return (struct memory){.heap = heap, .resident = resident_size()};
}

static size_t growth(size_t before, size_t now)
{
    return now > before ? now - before : 0;
}

struct watch {
    struct memory first; // when the subscriber was full
    struct memory most;  // growth since
    size_t held_most;
};

static void fill(struct weather *weather, size_t held)
{
    int64_t until_us = weather_now_us() + WEATHER_PATIENCE_US;
    while (pubsub_subscriber_figures(weather->subscriber).held < held) {
        assert_true(weather_now_us() < until_us);
        weather_pass(weather->client, REST_US);
    }
}

static void look(struct watch *watch, struct weather *weather)
{
    size_t held = pubsub_subscriber_figures(weather->subscriber).held;
    struct memory now = memory_now();
    size_t heap = growth(watch->first.heap, now.heap);
    size_t resident = growth(watch->first.resident, now.resident);
    watch->held_most = held > watch->held_most ? held : watch->held_most;
    watch->most.heap = heap > watch->most.heap ? heap : watch->most.heap;
    watch->most.resident = resident > watch->most.resident ? resident : watch->most.resident;
}

static void consume_slowly(struct weather *weather, struct watch *watch)
{
    watch->first = memory_now();
    for (int64_t until_us = weather_now_us() + SLOW_US; weather_now_us() < until_us;) {
        (void)weather_take(weather, TAKE_MAX);
        weather_pass(weather->client, REST_US); // at work
        look(watch, weather);
        weather_ack(weather);
    }
}

static void assert_flat(const struct watch *watch, size_t held_max)
{
    bool sanitized = watch->first.heap > 0;
    print_message("    at most %zu held; growth of the heap %zu KiB, resident %zu KiB\n",
                  watch->held_most, watch->most.heap >> 10, watch->most.resident >> 10);
    assert_true(watch->held_most <= held_max);
    assert_true(watch->most.heap < GROWTH_MAX);
    assert_true(watch->most.resident < (sanitized ? GROWTH_LOOSE_MAX : GROWTH_MAX));
}

// A stream is read until there is no room; a pull waits until there is room for half.
static void backlog_stays_with_the_service(void **state)
{
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        bool stream = ways[way] == PUBSUB_STREAMING_PULL;
        struct watch watch = {0};
        struct weather *weather =
            weather_create(emulator, &(struct weather_options){.held_count_max = HELD_MAX,
                                                               .message_size = MESSAGE_SIZE});
        weather_publish(weather, BACKLOG);
        weather_flush(weather);
        weather_subscribe(weather, ways[way]);
        fill(weather, stream ? HELD_MAX : HELD_MAX / 2);
        consume_slowly(weather, &watch);
        assert_flat(&watch, stream ? HELD_MAX + RESPONSE_MAX : HELD_MAX);
        if (weather_is_full()) { // as fast as it can, for leases end in the emulator's own queue
            weather_receive(weather, weather->published, WEATHER_LONG_US);
            weather_assert_whole(weather);
        }
        weather_drain(weather);
        weather_destroy(weather);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(largest_message_passes_and_a_larger_one_is_refused_alone),
        cmocka_unit_test(backlog_stays_with_the_service),
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
