#include "bus_suite.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

#define ARENA_CAP (4u * 1024 * 1024)
#define LONG_US   (60 * INT64_C(1000000))
#define WAIT_US   INT64_C(100000)
#define WAITS_MAX 100

struct suite {
    const struct bus_factory *factory;
    void *world;
    struct bus *bus;
    struct arena arena; // of the last pull
    struct bus_message *messages;
    size_t count;
    struct bus_handle handles[1000]; // of the last pull
    struct why why;
};

static const struct bus_factory *running; // cmocka's setup takes no argument of ours

static int setup(void **state)
{
    struct suite *suite = calloc(1, sizeof(*suite));
    assert_non_null(suite);
    suite->factory = running;
    suite->world = running->create();
    suite->bus = running->bus(suite->world);
    assert_int_equal(arena_init(&suite->arena, ARENA_CAP), ERR_OK);
    *state = suite;
    return 0;
}

static int teardown(void **state)
{
    struct suite *suite = *state;
    suite->factory->destroy(suite->world);
    arena_deinit(&suite->arena);
    free(suite);
    return 0;
}

// On a bus whose messages travel, they have arrived when this returns.
static void publish(struct suite *suite, enum bus_topic topic, const char *text)
{
    struct bus_outgoing message = {.data = text_of(text)};
    struct bus_backlog before = {0};
    struct bus_backlog after = {0};
    assert_int_equal(bus_backlog(suite->bus, topic, &before, &suite->why), ERR_OK);
    assert_int_equal(bus_publish(suite->bus, topic, &message, 1, &suite->why), ERR_OK);
    for (int i = 0; i < WAITS_MAX && after.unacked <= before.unacked; i++) {
        assert_int_equal(bus_backlog(suite->bus, topic, &after, &suite->why), ERR_OK);
        if (after.unacked <= before.unacked) {
            assert_int_equal(bus_wait(suite->bus, WAIT_US, &suite->why), ERR_OK);
        }
    }
    assert_true(after.unacked > before.unacked);
}

static size_t pull_once(struct suite *suite, enum bus_topic subscription, size_t count_max)
{
    arena_reset(&suite->arena);
    assert_int_equal(bus_pull(suite->bus, subscription, count_max, ARENA_CAP / 4, &suite->arena,
                              &suite->messages, &suite->count, &suite->why),
                     ERR_OK);
    for (size_t i = 0; i < suite->count; i++) {
        suite->handles[i] = suite->messages[i].handle;
    }
    return suite->count;
}

// Something is expected: where messages travel it may take a moment.
static size_t pull(struct suite *suite, enum bus_topic subscription, size_t count_max)
{
    size_t count = pull_once(suite, subscription, count_max);
    for (int i = 0; i < WAITS_MAX && count == 0 && suite->factory->traits.distant; i++) {
        assert_int_equal(bus_wait(suite->bus, WAIT_US, &suite->why), ERR_OK);
        count = pull_once(suite, subscription, count_max);
    }
    return count;
}

// Nothing is there, and where messages travel nothing comes for a moment.
static void expect_nothing(struct suite *suite, enum bus_topic subscription)
{
    assert_int_equal(pull_once(suite, subscription, 1000), 0);
    if (suite->factory->traits.distant) {
        assert_int_equal(bus_wait(suite->bus, WAIT_US, &suite->why), ERR_OK);
        assert_int_equal(pull_once(suite, subscription, 1000), 0);
    }
}

static void ack(struct suite *suite, enum bus_topic subscription)
{
    assert_int_equal(bus_ack(suite->bus, subscription, suite->handles, suite->count, &suite->why),
                     ERR_OK);
}

static void expect(const struct suite *suite, size_t index, const char *text)
{
    assert_in_range(index, 0, suite->count - 1);
    assert_true(text_equal(suite->messages[index].data, text_of(text)));
}

static void published_message_is_pulled_with_all_it_carries(void **state)
{
    struct suite *suite = *state;
    const struct attribute items[] = {{TEXT("till_reason"), TEXT("E_JSON")},
                                      {TEXT("empty"), TEXT("")}};
    struct bus_outgoing message = {.data = TEXT("{\"a\":\"\xc3\xa9\"}\n\xff"),
                                   .attributes = {items, 2}};
    assert_int_equal(bus_publish(suite->bus, BUS_ORDERS_DLQ, &message, 1, &suite->why), ERR_OK);
    assert_int_equal(pull(suite, BUS_ORDERS_DLQ, 10), 1);
    const struct bus_message *got = &suite->messages[0];
    assert_true(text_equal(got->data, message.data));
    assert_int_equal(got->attributes.count, 2);
    assert_true(text_equal(attributes_get(got->attributes, TEXT("till_reason")), TEXT("E_JSON")));
    assert_true(text_equal(attributes_get(got->attributes, TEXT("empty")), TEXT("")));
    assert_true(got->message_id.size > 0);
    assert_true(got->published_us > 0);
    assert_int_equal(got->delivery_attempt, 1);
}

static void topics_are_apart(void **state)
{
    struct suite *suite = *state;
    static const char *const bodies[BUS_TOPIC_COUNT] = {"o", "p", "od", "pd"};
    for (int topic = 0; topic < BUS_TOPIC_COUNT; topic++) {
        publish(suite, (enum bus_topic)topic, bodies[topic]);
    }
    for (int topic = 0; topic < BUS_TOPIC_COUNT; topic++) {
        assert_int_equal(pull(suite, (enum bus_topic)topic, 10), 1);
        expect(suite, 0, bodies[topic]);
    }
}

static void empty_subscription_gives_nothing_and_does_not_wait(void **state)
{
    struct suite *suite = *state;
    expect_nothing(suite, BUS_ORDERS);
}

static void nothing_to_publish_or_ack_is_fine(void **state)
{
    struct suite *suite = *state;
    assert_int_equal(bus_publish(suite->bus, BUS_ORDERS, NULL, 0, &suite->why), ERR_OK);
    assert_int_equal(bus_ack(suite->bus, BUS_ORDERS, NULL, 0, &suite->why), ERR_OK);
    assert_int_equal(bus_nack(suite->bus, BUS_ORDERS, NULL, 0, &suite->why), ERR_OK);
    assert_int_equal(bus_extend(suite->bus, BUS_ORDERS, NULL, 0, 1, &suite->why), ERR_OK);
    expect_nothing(suite, BUS_ORDERS);
}

static void acked_message_does_not_come_again(void **state)
{
    struct suite *suite = *state;
    publish(suite, BUS_ORDERS, "x");
    assert_int_equal(pull(suite, BUS_ORDERS, 10), 1);
    ack(suite, BUS_ORDERS);
    suite->factory->advance(suite->world, 2 * BUS_SUITE_LEASE_US);
    expect_nothing(suite, BUS_ORDERS);
}

static void message_that_is_not_acked_comes_again_with_the_same_id(void **state)
{
    struct suite *suite = *state;
    char id[200];
    publish(suite, BUS_PAYMENTS, "x");
    assert_int_equal(pull(suite, BUS_PAYMENTS, 10), 1);
    struct text first_id = {id, suite->messages[0].message_id.size};
    assert_in_range(first_id.size, 1, sizeof(id));
    memcpy(id, suite->messages[0].message_id.data, first_id.size);
    expect_nothing(suite, BUS_PAYMENTS);
    suite->factory->advance(suite->world, BUS_SUITE_LEASE_US);
    assert_int_equal(pull(suite, BUS_PAYMENTS, 10), 1);
    expect(suite, 0, "x");
    assert_int_equal(suite->messages[0].delivery_attempt,
                     suite->factory->traits.counts_attempts ? 2 : 1);
    assert_true(text_equal(suite->messages[0].message_id, first_id));
}

static void nacked_message_comes_again_at_once(void **state)
{
    struct suite *suite = *state;
    publish(suite, BUS_ORDERS, "x");
    assert_int_equal(pull(suite, BUS_ORDERS, 10), 1);
    assert_int_equal(bus_nack(suite->bus, BUS_ORDERS, suite->handles, 1, &suite->why), ERR_OK);
    assert_int_equal(pull(suite, BUS_ORDERS, 10), 1);
    expect(suite, 0, "x");
}

static void extended_lease_lasts_longer(void **state)
{
    struct suite *suite = *state;
    publish(suite, BUS_ORDERS, "x");
    assert_int_equal(pull(suite, BUS_ORDERS, 10), 1);
    assert_int_equal(
        bus_extend(suite->bus, BUS_ORDERS, suite->handles, 1, 3 * BUS_SUITE_LEASE_US, &suite->why),
        ERR_OK);
    suite->factory->advance(suite->world, 2 * BUS_SUITE_LEASE_US);
    expect_nothing(suite, BUS_ORDERS);
    suite->factory->advance(suite->world, BUS_SUITE_LEASE_US);
    assert_int_equal(pull(suite, BUS_ORDERS, 10), 1);
}

static void ack_after_the_lease_ended_is_ignored(void **state)
{
    struct suite *suite = *state;
    publish(suite, BUS_ORDERS, "x");
    assert_int_equal(pull(suite, BUS_ORDERS, 10), 1);
    suite->factory->advance(suite->world, BUS_SUITE_LEASE_US);
    ack(suite, BUS_ORDERS);
    assert_int_equal(pull(suite, BUS_ORDERS, 10), 1);
}

static void pull_keeps_its_limits(void **state)
{
    struct suite *suite = *state;
    for (int i = 0; i < 5; i++) {
        publish(suite, BUS_ORDERS, "0123456789");
    }
    assert_int_equal(pull(suite, BUS_ORDERS, 2), 2);
    arena_reset(&suite->arena);
    assert_int_equal(bus_pull(suite->bus, BUS_ORDERS, 10, 29, &suite->arena, &suite->messages,
                              &suite->count, &suite->why),
                     ERR_OK);
    assert_int_equal(suite->count, 2);
    arena_reset(&suite->arena);
    assert_int_equal(bus_pull(suite->bus, BUS_ORDERS, 10, 1, &suite->arena, &suite->messages,
                              &suite->count, &suite->why),
                     ERR_OK);
    assert_int_equal(suite->count, 1); // one, even if it is larger
}

static void pulled_messages_have_different_ids(void **state)
{
    struct suite *suite = *state;
    for (int i = 0; i < 20; i++) {
        publish(suite, BUS_ORDERS, "same");
    }
    assert_int_equal(pull(suite, BUS_ORDERS, 20), 20);
    for (size_t i = 0; i < 20; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(text_equal(suite->messages[i].message_id, suite->messages[j].message_id));
        }
    }
}

static void large_batches_go_through(void **state)
{
    struct suite *suite = *state;
    static struct bus_outgoing messages[1000];
    static char bodies[1000][16];
    for (size_t i = 0; i < 1000; i++) {
        (void)snprintf(bodies[i], sizeof(bodies[i]), "body %zu", i);
        messages[i].data = text_of(bodies[i]);
    }
    assert_int_equal(bus_publish(suite->bus, BUS_PAYMENTS, messages, 1000, &suite->why), ERR_OK);
    size_t total = 0;
    while (total < 1000 && pull(suite, BUS_PAYMENTS, 1000) > 0) {
        ack(suite, BUS_PAYMENTS); // more than one chunk of handles
        total += suite->count;
    }
    assert_int_equal(total, 1000);
    suite->factory->advance(suite->world, 2 * BUS_SUITE_LEASE_US);
    expect_nothing(suite, BUS_PAYMENTS);
}

static void message_too_large_is_refused_and_nothing_is_published(void **state)
{
    struct suite *suite = *state;
    const size_t size = 10000001;
    char *body = calloc(1, size);
    assert_non_null(body);
    const struct bus_outgoing messages[] = {{.data = TEXT("small")}, {.data = {body, size}}};
    assert_int_equal(bus_publish(suite->bus, BUS_ORDERS, messages, 2, &suite->why), ERR_TOO_LARGE);
    assert_int_equal(suite->why.code, ERR_TOO_LARGE);
    free(body);
    expect_nothing(suite, BUS_ORDERS);
}

static void sequences_and_times_rise(void **state)
{
    struct suite *suite = *state;
    if (!suite->factory->traits.ordered) {
        return;
    }
    assert_true(suite->bus->log_id.size > 0);
    for (int i = 0; i < 10; i++) {
        publish(suite, BUS_ORDERS, "x");
    }
    assert_int_equal(pull(suite, BUS_ORDERS, 10), 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(suite->messages[i].sequence, i + 1);
        assert_true(i == 0 ||
                    suite->messages[i].published_us > suite->messages[i - 1].published_us);
    }
}

static void backlog_counts(void **state)
{
    struct suite *suite = *state;
    struct bus_backlog backlog = {0};
    if (!suite->factory->traits.countable) {
        return;
    }
    for (int i = 0; i < 5; i++) {
        publish(suite, BUS_ORDERS, "x");
    }
    assert_int_equal(pull(suite, BUS_ORDERS, 3), 3);
    int64_t oldest_us = suite->messages[0].published_us;
    assert_int_equal(bus_ack(suite->bus, BUS_ORDERS, &suite->handles[1], 1, &suite->why), ERR_OK);
    assert_int_equal(bus_backlog(suite->bus, BUS_ORDERS, &backlog, &suite->why), ERR_OK);
    assert_int_equal(backlog.published, 5);
    assert_int_equal(backlog.unacked, 4);
    assert_int_equal(backlog.leased, 2);
    assert_int_equal(backlog.oldest_unacked_us, oldest_us);
    assert_int_equal(bus_backlog(suite->bus, BUS_PAYMENTS, &backlog, &suite->why), ERR_OK);
    assert_int_equal(backlog.published + backlog.unacked + backlog.leased, 0);
    assert_int_equal(backlog.oldest_unacked_us, 0);
}

static void reopened_bus_keeps_what_is_not_acked(void **state)
{
    struct suite *suite = *state;
    if (!suite->factory->traits.durable) {
        return;
    }
    publish(suite, BUS_ORDERS, "a");
    publish(suite, BUS_ORDERS, "b");
    assert_int_equal(pull(suite, BUS_ORDERS, 10), 2);
    assert_int_equal(bus_ack(suite->bus, BUS_ORDERS, &suite->handles[0], 1, &suite->why), ERR_OK);
    suite->bus = suite->factory->reopen(suite->world);
    assert_int_equal(pull(suite, BUS_ORDERS, 10), 1);
    expect(suite, 0, "b");
}

// Waiting. A wait that hangs is a failure by the test's timeout; none of these waits long.

static void wait_ends_at_its_timeout(void **state)
{
    struct suite *suite = *state;
    expect_nothing(suite, BUS_ORDERS);
    assert_int_equal(bus_wait(suite->bus, 0, &suite->why), ERR_OK);
    assert_int_equal(bus_wait(suite->bus, 1000, &suite->why), ERR_OK);
}

static void publish_between_pull_and_wait_is_not_missed(void **state)
{
    struct suite *suite = *state;
    expect_nothing(suite, BUS_ORDERS);
    publish(suite, BUS_ORDERS, "x");
    expect_nothing(suite, BUS_PAYMENTS);
    assert_int_equal(bus_wait(suite->bus, LONG_US, &suite->why), ERR_OK);
    assert_int_equal(pull(suite, BUS_ORDERS, 1), 1);
}

static void wake_before_the_wait_is_not_missed(void **state)
{
    struct suite *suite = *state;
    expect_nothing(suite, BUS_ORDERS);
    bus_wake(suite->bus);
    assert_int_equal(bus_wait(suite->bus, LONG_US, &suite->why), ERR_OK);
}

static void *wait_for_one(void *context)
{
    struct suite *suite = context;
    struct arena arena;
    struct bus_message *messages = NULL;
    size_t count = 0;
    enum err err = arena_init(&arena, 65536);
    while (err == ERR_OK && count == 0) {
        arena_reset(&arena);
        err = bus_pull(suite->bus, BUS_PAYMENTS, 1, 1000, &arena, &messages, &count, NULL);
        if (err == ERR_OK && count == 0) {
            err = bus_wait(suite->bus, LONG_US, NULL);
        }
    }
    arena_deinit(&arena);
    return err == ERR_OK ? suite : NULL;
}

static void publish_ends_the_wait_of_another_thread(void **state)
{
    struct suite *suite = *state;
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_one, suite), 0);
    publish(suite, BUS_PAYMENTS, "x");
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_non_null(result);
}

int bus_suite_run(const struct bus_factory *factory)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest claims[] = {
        CLAIM(published_message_is_pulled_with_all_it_carries),
        CLAIM(topics_are_apart),
        CLAIM(empty_subscription_gives_nothing_and_does_not_wait),
        CLAIM(nothing_to_publish_or_ack_is_fine),
        CLAIM(acked_message_does_not_come_again),
        CLAIM(message_that_is_not_acked_comes_again_with_the_same_id),
        CLAIM(nacked_message_comes_again_at_once),
        CLAIM(extended_lease_lasts_longer),
        CLAIM(ack_after_the_lease_ended_is_ignored),
        CLAIM(pull_keeps_its_limits),
        CLAIM(pulled_messages_have_different_ids),
        CLAIM(large_batches_go_through),
        CLAIM(message_too_large_is_refused_and_nothing_is_published),
        CLAIM(sequences_and_times_rise),
        CLAIM(backlog_counts),
        CLAIM(reopened_bus_keeps_what_is_not_acked),
        CLAIM(wait_ends_at_its_timeout),
        CLAIM(publish_between_pull_and_wait_is_not_missed),
        CLAIM(wake_before_the_wait_is_not_missed),
        CLAIM(publish_ends_the_wait_of_another_thread),
    };
    running = factory;
    return cmocka_run_group_tests_name(factory->name, claims, NULL, NULL);
}
