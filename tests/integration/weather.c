#include "weather.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the first four
#include <cmocka.h>

#define SILENCE_US (2 * US_PER_SECOND)
#define ATTEMPT_US (3 * US_PER_SECOND)
#define DATA_MAX   2048 // bytes of a message
#define HELPERS    60u

static char project[PUBSUB_PROJECT_MAX];

bool weather_is_full(void)
{
    return getenv("TILL_TEST_FULL") != NULL;
}

int64_t weather_now_us(void)
{
    struct clock clock = clock_real();
    return clock_mono_ns(&clock) / 1000;
}

void weather_pass(struct pubsub *client, int64_t us)
{
    int64_t until_us = weather_now_us() + us;
    for (int64_t left_us = us; left_us > 0; left_us = until_us - weather_now_us()) {
        pubsub_wait(client, pubsub_arrivals(client), left_us);
    }
}

void weather_expect_ok(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_name(err), why->text);
    }
}

const char *weather_project(void)
{
    return project;
}

// --- beginning and end --------------------------------------------------------------------------

struct pubsub *weather_connect(const char *address, const char *name, int64_t silence_us)
{
    struct pubsub_options options = {.target = {.plaintext = true}, .silence_us = silence_us};
    struct pubsub *client = NULL;
    struct why why = {0};
    (void)snprintf(options.target.project, sizeof(options.target.project), "%s", name);
    (void)snprintf(options.target.endpoint, sizeof(options.target.endpoint), "%s", address);
    weather_expect_ok(pubsub_open(&options, &client, &why), &why);
    return client;
}

void weather_make_topic(struct weather *weather)
{
    const struct pubsub_topic_settings topic = {0};
    const struct pubsub_subscription_settings subscription = {
        .topic = TEXT("topic"), .ack_deadline_us = 10 * US_PER_SECOND};
    struct why *why = &weather->why;
    weather_expect_ok(pubsub_topic_create(weather->beside, TEXT("topic"), &topic, why), why);
    weather_expect_ok(
        pubsub_subscription_create(weather->beside, TEXT("topic-sub"), &subscription, why), why);
}

static void on_result(void *context, void *tag, const struct pubsub_publish_result *result)
{
    struct weather *weather = context;
    struct fate *fate = tag;
    if (result->err == ERR_OK) {
        atomic_store(&fate->confirmed, true);
        atomic_fetch_add(&weather->confirmed, 1);
        return;
    }
    weather->failed_as = result->err; // read after a flush
    weather->failure = *result->why;
    atomic_store(&fate->failed, true);
    atomic_fetch_add(&weather->failed, 1);
}

static void open_publisher(struct weather *weather)
{
    int64_t attempt_us = weather->options.attempt_us;
    const struct pubsub_publisher_options options = {
        .topic = TEXT("topic"),
        .attempt_us = attempt_us > 0 ? attempt_us : ATTEMPT_US,
        .backoff_last_us = US_PER_SECOND,
        .batch_count_max = weather->options.batch_count_max,
        .waiting_count_max = WEATHER_MESSAGES_MAX,
        .on_result = on_result,
        .context = weather,
    };
    weather_expect_ok(
        pubsub_publisher_open(weather->client, &options, &weather->publisher, &weather->why),
        &weather->why);
}

struct weather *weather_create(struct pubsub_emulator *emulator,
                               const struct weather_options *options)
{
    static int worlds;
    struct weather *weather = calloc(1, sizeof(*weather));
    assert_non_null(weather);
    weather->emulator = emulator;
    weather->options = *options;
    weather->fates = calloc(WEATHER_MESSAGES_MAX, sizeof(weather->fates[0]));
    assert_non_null(weather->fates);
    assert_int_equal(arena_init(&weather->arena, 64u << 20), ERR_OK);
    weather->proxy = tcp_proxy_start(pubsub_emulator_port(emulator));
    assert_non_null(weather->proxy);
    (void)snprintf(project, sizeof(project), "weather-%d", ++worlds);
    int64_t silence_us = options->usual_silence ? 0 : SILENCE_US;
    weather->client = weather_connect(tcp_proxy_address(weather->proxy), project, silence_us);
    weather->beside = weather_connect(pubsub_emulator_address(emulator), project, silence_us);
    weather_make_topic(weather);
    open_publisher(weather);
    return weather;
}

static void print_account(struct weather *weather)
{
    print_message("    published %zu, confirmed %zu, failed %zu; deliveries %zu, of %zu messages; "
                  "connections %llu\n",
                  weather->published, atomic_load(&weather->confirmed),
                  atomic_load(&weather->failed), weather->taken, weather->distinct,
                  (unsigned long long)weather_connections(weather));
}

void weather_destroy(struct weather *weather)
{
    print_account(weather);
    pubsub_subscriber_close(&weather->subscriber);
    pubsub_publisher_close(&weather->publisher);
    pubsub_close(&weather->client);
    pubsub_close(&weather->beside);
    tcp_proxy_stop(&weather->proxy);
    arena_deinit(&weather->arena);
    free(weather->fates);
    free(weather);
}

// --- publishing ---------------------------------------------------------------------------------

void weather_publish(struct weather *weather, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char data[DATA_MAX];
        size_t number = weather->published++;
        assert_true(number < WEATHER_MESSAGES_MAX);
        int size =
            snprintf(data, sizeof(data), "%0*zu", (int)weather->options.message_size, number);
        assert_true(size > 0 && (size_t)size < sizeof(data));
        const struct pubsub_outgoing message = {.data = {data, (size_t)size}};
        size_t accepted = 0;
        weather_expect_ok(pubsub_publish(weather->publisher, &message, 1, &weather->fates[number],
                                         &accepted, &weather->why),
                          &weather->why);
    }
    pubsub_publisher_send(weather->publisher);
}

void weather_flush(struct weather *weather)
{
    weather_expect_ok(
        pubsub_publisher_flush(weather->publisher, WEATHER_PATIENCE_US, &weather->why),
        &weather->why);
}

// --- receiving ----------------------------------------------------------------------------------

static void subscribe(struct weather *weather, struct pubsub *client, enum pubsub_way way,
                      uint32_t receivers)
{
    const struct pubsub_subscriber_options options = {
        .subscription = TEXT("topic-sub"),
        .way = way,
        .receivers = receivers,
        .held_count_max = weather->options.held_count_max,
        .first_lease_us = 10 * US_PER_SECOND,
        .backoff_last_us = US_PER_SECOND,
    };
    weather->receiving = client;
    weather_expect_ok(pubsub_subscriber_open(client, &options, &weather->subscriber, &weather->why),
                      &weather->why);
}

void weather_subscribe(struct weather *weather, enum pubsub_way way)
{
    subscribe(weather, weather->client, way, 1);
}

void weather_subscribe_beside(struct weather *weather, enum pubsub_way way)
{
    subscribe(weather, weather->beside, way, 1);
}

void weather_subscribe_helpers(struct weather *weather, enum pubsub_way way)
{
    subscribe(weather, weather->beside, way, way == PUBSUB_STREAMING_PULL ? HELPERS : 1);
}

static void note(struct weather *weather, const struct pubsub_message *message)
{
    uint64_t number = 0;
    assert_true(text_parse_u64(message->data, &number));
    assert_true(number < weather->published);
    weather->distinct += weather->fates[number].received == 0;
    weather->fates[number].received++;
    weather->numbers[weather->handle_count] = number;
    weather->handles[weather->handle_count++] = message->handle;
}

size_t weather_take(struct weather *weather, size_t most)
{
    const struct pubsub_take_limits limits = {.count_max = most, .size_max = 32u << 20};
    struct pubsub_message *messages = NULL;
    size_t count = 0;
    arena_reset(&weather->arena);
    weather->handle_count = 0;
    enum err err = pubsub_take(weather->subscriber, &limits, &weather->arena, &messages, &count,
                               &weather->why);
    if (err != ERR_OK && err_class_of(err) != ERR_CLASS_RETRY) {
        weather_expect_ok(err, &weather->why);
    }
    for (size_t i = 0; i < count; i++) {
        note(weather, &messages[i]);
    }
    weather->taken += count;
    return count;
}

void weather_ack(struct weather *weather)
{
    pubsub_ack(weather->subscriber, weather->handles, weather->handle_count);
}

// Waits for arrivals when nothing was there.
static void take_and_ack(struct weather *weather, int64_t until_us)
{
    uint64_t seen = pubsub_arrivals(weather->receiving);
    if (weather_take(weather, WEATHER_HANDLES_MAX) > 0) {
        weather_ack(weather);
        return;
    }
    int64_t left_us = until_us - weather_now_us();
    if (left_us > 0) {
        pubsub_wait(weather->receiving, seen, left_us < 100000 ? left_us : 100000);
    }
}

void weather_receive(struct weather *weather, size_t distinct, int64_t patience_us)
{
    int64_t until_us = weather_now_us() + patience_us;
    assert_int_equal(atomic_load(&weather->failed), 0); // what was never published is not awaited
    while (weather->distinct < distinct && weather_now_us() < until_us) {
        take_and_ack(weather, until_us);
    }
    if (weather->distinct < distinct) {
        fail_msg("%zu of %zu messages came within %lld s", weather->distinct, distinct,
                 (long long)(patience_us / US_PER_SECOND));
    }
}

void weather_receive_for(struct weather *weather, int64_t us)
{
    for (int64_t until_us = weather_now_us() + us; weather_now_us() < until_us;) {
        take_and_ack(weather, until_us);
    }
}

void weather_receive_again(struct weather *weather)
{
    int64_t until_us = weather_now_us() + WEATHER_PATIENCE_US;
    for (size_t before = weather->taken; weather->taken == before;) {
        assert_true(weather_now_us() < until_us);
        weather_publish(weather, 100);
        weather_receive_for(weather, 100000);
    }
}

void weather_drain(struct weather *weather)
{
    weather_expect_ok(
        pubsub_subscriber_drain(weather->subscriber, WEATHER_PATIENCE_US, &weather->why),
        &weather->why);
    struct pubsub_subscriber_figures figures = pubsub_subscriber_figures(weather->subscriber);
    assert_int_equal(figures.held, 0);
    assert_int_equal(figures.ack_lost, 0);
    assert_int_equal(figures.acked, weather->taken - weather->drained);
    assert_int_equal(figures.received, figures.acked + figures.nacked);
    weather->drained = weather->taken;
    pubsub_subscriber_close(&weather->subscriber);
}

void weather_catch_up(struct weather *weather, enum pubsub_way way)
{
    weather_drain(weather);
    if (weather->distinct < weather->published) {
        weather_subscribe_helpers(weather, way);
        weather_receive(weather, weather->published, WEATHER_LONG_US);
        weather_drain(weather);
    }
}

// --- the account --------------------------------------------------------------------------------

void weather_assert_whole(const struct weather *weather)
{
    for (size_t i = 0; i < weather->published; i++) {
        const struct fate *fate = &weather->fates[i];
        if (!fate->confirmed || fate->failed || fate->received == 0) {
            fail_msg("message %zu: %s, %s, received %u times", i,
                     fate->confirmed ? "confirmed" : "never confirmed",
                     fate->failed ? "failed" : "not failed", fate->received);
        }
    }
    assert_int_equal(weather->confirmed, weather->published);
    assert_int_equal(weather->failed, 0);
    assert_int_equal(weather->distinct, weather->published);
}

// --- the proxy ----------------------------------------------------------------------------------

uint64_t weather_connections(struct weather *weather)
{
    struct tcp_proxy_counts counts = {0};
    tcp_proxy_count(weather->proxy, &counts);
    return counts.accepted;
}

static bool has_accepted_more(const struct tcp_proxy_counts *counts, void *context)
{
    return counts->accepted > *(const uint64_t *)context;
}

void weather_wait_for_connection(struct weather *weather, uint64_t before, uint32_t timeout_ms)
{
    assert_true(tcp_proxy_wait_until(weather->proxy, has_accepted_more, &before, timeout_ms));
}

static bool has_given(const struct tcp_proxy_counts *counts, void *context)
{
    return counts->to_server >= *(const uint64_t *)context;
}

bool weather_wait_for_bytes(struct weather *weather, uint64_t before, uint64_t more,
                            uint32_t timeout_ms)
{
    uint64_t wanted = before + more;
    return tcp_proxy_wait_until(weather->proxy, has_given, &wanted, timeout_ms);
}
