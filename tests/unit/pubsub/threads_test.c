// Many threads on one client. For the thread sanitizer, and for waits that would never end.
#include "client.h"
#include "echo_transport.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// cmocka needs the five before it
#include <cmocka.h>

#define THREADS 4
#define ROUNDS  50
#define GIVEN   20000

struct rig {
    struct echo echo;
    struct pubsub *client;
    struct pubsub_publisher *publisher;
    struct pubsub_subscriber *subscriber;
    atomic_size_t results;
    atomic_size_t taken;
    atomic_size_t failures; // asserts belong to the main thread
};

static void create(struct rig *rig, uint64_t to_give)
{
    echo_init(&rig->echo, to_give);
    assert_int_equal(
        client_create(&rig->echo.transport, "p", clock_real(), 7, true, &rig->client, NULL),
        ERR_OK);
}

static void destroy(struct rig *rig)
{
    pubsub_subscriber_close(&rig->subscriber);
    pubsub_publisher_close(&rig->publisher);
    pubsub_close(&rig->client);
    echo_deinit(&rig->echo);
}

static void run_threads(void *(*run)(void *), struct rig *rig)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run, rig), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(rig->failures, 0);
}

static void *publish_and_wait(void *context)
{
    struct rig *rig = context;
    struct pubsub_outgoing messages[70];
    for (int i = 0; i < 70; i++) {
        messages[i] = (struct pubsub_outgoing){.data = TEXT("some data")};
    }
    for (int i = 0; i < ROUNDS; i++) {
        if (pubsub_publish_all(rig->publisher, messages, 70, NULL) != ERR_OK) {
            atomic_fetch_add(&rig->failures, 1);
        }
    }
    return NULL;
}

static void threads_publish_and_wait_for_their_own(void **state)
{
    struct rig rig = {0};
    const struct pubsub_publisher_options options = {
        .topic = TEXT("ttt"), .waiting_count_max = 100, .batch_count_max = 32};
    (void)state;
    create(&rig, 0);
    assert_int_equal(pubsub_publisher_open(rig.client, &options, &rig.publisher, NULL), ERR_OK);
    run_threads(publish_and_wait, &rig);
    assert_int_equal(echo_get(&rig.echo, &rig.echo.published), THREADS * ROUNDS * 70);
    destroy(&rig);
}

static void count_result(void *context, void *tag, const struct pubsub_publish_result *result)
{
    struct rig *rig = context;
    (void)tag;
    atomic_fetch_add(result->err == ERR_OK ? &rig->results : &rig->failures, 1);
}

static void *publish_with_keys(void *context)
{
    struct rig *rig = context;
    static const char *const keys[] = {"a", "b", "c", ""};
    for (int i = 0; i < ROUNDS * 10; i++) {
        const struct pubsub_outgoing message = {.data = TEXT("x"),
                                                .ordering_key = text_of(keys[i % 4])};
        size_t accepted = 0;
        if (pubsub_publish(rig->publisher, &message, 1, NULL, &accepted, NULL) != ERR_OK) {
            atomic_fetch_add(&rig->failures, 1);
        }
        if (i % 100 == 0) {
            pubsub_publisher_resume_all(rig->publisher);
            pubsub_publisher_send(rig->publisher);
        }
    }
    return NULL;
}

static void threads_share_ordering_keys(void **state)
{
    struct rig rig = {0};
    const struct pubsub_publisher_options options = {.topic = TEXT("ttt"),
                                                     .ordering = true,
                                                     .linger_us = 500,
                                                     .requests_max = 2,
                                                     .waiting_count_max = 50,
                                                     .on_result = count_result,
                                                     .context = &rig};
    (void)state;
    create(&rig, 0);
    assert_int_equal(pubsub_publisher_open(rig.client, &options, &rig.publisher, NULL), ERR_OK);
    run_threads(publish_with_keys, &rig);
    assert_int_equal(pubsub_publisher_flush(rig.publisher, 60 * US_PER_SECOND, NULL), ERR_OK);
    assert_int_equal(rig.results, THREADS * ROUNDS * 10);
    destroy(&rig);
}

static void *take_and_settle(void *context)
{
    struct rig *rig = context;
    const struct pubsub_take_limits limits = {.count_max = 30, .size_max = 10000};
    struct arena arena;
    if (arena_init(&arena, 1u << 20) != ERR_OK) {
        atomic_fetch_add(&rig->failures, 1);
        return NULL;
    }
    while (atomic_load(&rig->taken) < GIVEN) {
        struct pubsub_message *messages = NULL;
        size_t count = 0;
        uint64_t seen = pubsub_arrivals(rig->client);
        arena_reset(&arena);
        if (pubsub_take(rig->subscriber, &limits, &arena, &messages, &count, NULL) != ERR_OK) {
            atomic_fetch_add(&rig->failures, 1);
        }
        for (size_t i = 0; i < count; i++) {
            void (*settle)(struct pubsub_subscriber *, const uint64_t *, size_t) =
                i % 10 == 9 ? pubsub_nack : pubsub_ack;
            pubsub_extend(rig->subscriber, &messages[i].handle, 1, US_PER_SECOND);
            settle(rig->subscriber, &messages[i].handle, 1);
        }
        if (atomic_fetch_add(&rig->taken, count) + count >= GIVEN) {
            pubsub_wake(rig->client); // the others may wait for what never comes
        } else if (count == 0) {
            pubsub_wait(rig->client, seen, 10 * US_PER_SECOND);
        }
    }
    arena_deinit(&arena);
    return NULL;
}

static void threads_share_a_subscriber(void **state)
{
    struct rig rig = {0};
    const struct pubsub_subscriber_options options = {.subscription = TEXT("sss"),
                                                      .way = PUBSUB_UNARY_PULL,
                                                      .receivers = 3,
                                                      .held_count_max = 500,
                                                      .ack_linger_us = 300};
    (void)state;
    create(&rig, GIVEN);
    assert_int_equal(pubsub_subscriber_open(rig.client, &options, &rig.subscriber, NULL), ERR_OK);
    run_threads(take_and_settle, &rig);
    assert_int_equal(pubsub_subscriber_drain(rig.subscriber, 60 * US_PER_SECOND, NULL), ERR_OK);
    assert_int_equal(echo_get(&rig.echo, &rig.echo.given), GIVEN);
    assert_int_equal(echo_get(&rig.echo, &rig.echo.acked) + echo_get(&rig.echo, &rig.echo.nacked),
                     GIVEN);
    assert_true(echo_get(&rig.echo, &rig.echo.nacked) > 0);
    destroy(&rig);
}

static void closing_while_messages_stream_in_comes_to_an_end(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) {
        struct rig rig = {0};
        const struct pubsub_subscriber_options options = {
            .subscription = TEXT("sss"), .way = PUBSUB_UNARY_PULL, .receivers = 3};
        create(&rig, UINT64_MAX);
        assert_int_equal(pubsub_subscriber_open(rig.client, &options, &rig.subscriber, NULL),
                         ERR_OK);
        pubsub_wait(rig.client, 0, US_PER_SECOND);
        destroy(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_publish_and_wait_for_their_own),
        cmocka_unit_test(threads_share_ordering_keys),
        cmocka_unit_test(threads_share_a_subscriber),
        cmocka_unit_test(closing_while_messages_stream_in_comes_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
