// See the header.
#include "scripted_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
// cmocka needs the four before it
#include <cmocka.h>

void rig_expect_ok(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        print_message("%s: %s\n", err_name(err), why->text);
    }
    assert_int_equal(err, ERR_OK);
}

struct scripted_rig *scripted_rig_create_to(const struct pubsub_scripted_options *server_options,
                                            const struct pubsub_options *client_options)
{
    struct scripted_rig *rig = calloc(1, sizeof(*rig));
    struct pubsub_options options = *client_options;
    assert_non_null(rig);
    assert_int_equal(arena_init(&rig->arena, 64u << 20), ERR_OK);
    rig->server = pubsub_scripted_start(server_options);
    (void)snprintf(options.target.project, sizeof(options.target.project), "scripted");
    if (options.target.endpoint[0] == '\0') {
        (void)snprintf(options.target.endpoint, sizeof(options.target.endpoint), "%s",
                       pubsub_scripted_address(rig->server));
    }
    rig_expect_ok(pubsub_open(&options, &rig->client, &rig->why), &rig->why);
    return rig;
}

struct scripted_rig *scripted_rig_create(const struct pubsub_scripted_options *options)
{
    const struct pubsub_scripted_options usual = {0};
    const struct pubsub_options client = {.target = {.plaintext = true}};
    return scripted_rig_create_to(options != NULL ? options : &usual, &client);
}

void scripted_rig_destroy(struct scripted_rig *rig)
{
    if (rig->publisher != NULL) {
        pubsub_publisher_close(&rig->publisher);
    }
    if (rig->subscriber != NULL) {
        pubsub_subscriber_close(&rig->subscriber);
    }
    pubsub_close(&rig->client);
    pubsub_scripted_stop(&rig->server);
    arena_deinit(&rig->arena);
    free(rig);
}

// --- publishing ---------------------------------------------------------------------------------

void rig_open_publisher(struct scripted_rig *rig, struct pubsub_publisher_options options)
{
    options.topic = TEXT("topic");
    rig_expect_ok(pubsub_publisher_open(rig->client, &options, &rig->publisher, &rig->why),
                  &rig->why);
}

enum err rig_publish_one(struct scripted_rig *rig)
{
    const struct pubsub_outgoing message = {.data = TEXT("x")};
    rig->why = (struct why){0};
    return pubsub_publish_all(rig->publisher, &message, 1, &rig->why);
}

// --- subscribing --------------------------------------------------------------------------------

static void on_settled(void *context, uint64_t handle, enum pubsub_settled settled)
{
    struct scripted_rig *rig = context;
    for (size_t i = 0; i < RIG_MESSAGES_MAX; i++) {
        if (rig->handles[i] == handle) {
            atomic_store(&rig->settled[i], 1 + (int)settled);
        }
    }
}

void rig_open_subscriber(struct scripted_rig *rig, struct pubsub_subscriber_options options)
{
    options.subscription = TEXT("topic-sub");
    options.on_settled = on_settled;
    options.context = rig;
    rig_expect_ok(pubsub_subscriber_open(rig->client, &options, &rig->subscriber, &rig->why),
                  &rig->why);
}

// The data is a number and spaces.
static size_t number_of(const struct pubsub_message *message)
{
    struct text digits = {message->data.data, 0};
    uint64_t number = 0;
    while (digits.size < message->data.size && digits.data[digits.size] != ' ') {
        digits.size++;
    }
    assert_true(text_parse_u64(digits, &number));
    assert_true(number < RIG_MESSAGES_MAX);
    return (size_t)number;
}

enum err rig_take(struct scripted_rig *rig, size_t count_max, int64_t timeout_us)
{
    const struct pubsub_take_limits limits = {.count_max = count_max, .size_max = 16u << 20};
    const struct clock clock = clock_real();
    int64_t end_ns = clock_mono_ns(&clock) + timeout_us * 1000;
    enum err err = ERR_OK;
    rig->count = 0;
    rig->why = (struct why){0};
    arena_reset(&rig->arena);
    do {
        uint64_t seen = pubsub_arrivals(rig->client);
        err = pubsub_take(rig->subscriber, &limits, &rig->arena, &rig->messages, &rig->count,
                          &rig->why);
        if (err == ERR_OK && rig->count == 0) {
            pubsub_wait(rig->client, seen, 20000);
        }
    } while (err == ERR_OK && rig->count == 0 && clock_mono_ns(&clock) < end_ns);
    for (size_t i = 0; err == ERR_OK && i < rig->count; i++) {
        size_t number = number_of(&rig->messages[i]);
        rig->taken[number]++;
        rig->handles[number] = rig->messages[i].handle;
    }
    return err;
}

void rig_take_all(struct scripted_rig *rig, size_t total, bool ack)
{
    for (size_t got = 0; got < total; got += rig->count) {
        enum err err = rig_take(rig, total - got, RIG_PATIENCE_US);
        if (err_class_of(err) != ERR_CLASS_RETRY) {
            rig_expect_ok(err, &rig->why);
            assert_true(rig->count > 0);
        }
        for (size_t i = 0; ack && i < rig->count; i++) {
            pubsub_ack(rig->subscriber, &rig->messages[i].handle, 1);
        }
    }
}

void rig_ack_number(struct scripted_rig *rig, size_t number)
{
    assert_true(rig->taken[number] > 0);
    pubsub_ack(rig->subscriber, &rig->handles[number], 1);
}

// --- the server's counts ------------------------------------------------------------------------

struct wanted_calls {
    enum scripted_method method;
    uint64_t count;
};

static bool has_calls(const struct scripted_counts *counts, void *context)
{
    const struct wanted_calls *wanted = context;
    return counts->calls[wanted->method] >= wanted->count;
}

bool rig_wait_calls(struct scripted_rig *rig, enum scripted_method method, uint64_t count,
                    uint32_t timeout_ms)
{
    struct wanted_calls wanted = {method, count};
    return pubsub_scripted_wait_until(rig->server, has_calls, &wanted, timeout_ms);
}

static bool has_acked(const struct scripted_counts *counts, void *context)
{
    const size_t *wanted = context;
    return counts->acked >= *wanted;
}

bool rig_wait_acked(struct scripted_rig *rig, size_t count)
{
    return pubsub_scripted_wait_until(rig->server, has_acked, &count, RIG_PATIENCE_MS);
}

int64_t rig_gap_ms(struct scripted_rig *rig, enum scripted_method method, size_t n)
{
    int64_t first_ns = pubsub_scripted_call_ns(rig->server, method, n);
    int64_t next_ns = pubsub_scripted_call_ns(rig->server, method, n + 1);
    assert_true(first_ns >= 0 && next_ns >= first_ns);
    return (next_ns - first_ns) / 1000000;
}
