// Thousands of random calls, restarts and crashes on the real broker and on a naive twin in memory; after
// every call the two must agree.
#include "broker_rig.h"
#include "broker_twin.h"
#include "rand.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

#define STEP_COUNT         4000
#define SUBSCRIPTION_COUNT 3
#define TOPIC_COUNT        2
#define HELD_COUNT_MAX     4096
#define BODY_SIZE_MAX      20400

// A delivery whose handle somebody may still use, in time or too late.
struct held {
    uint64_t handle;
    uint64_t seq;
    uint32_t attempt;
};

struct world {
    struct rig rig;
    struct rand rand;
    uint32_t topics[TOPIC_COUNT];
    uint32_t subscriptions[SUBSCRIPTION_COUNT]; // 0 and 1 of topic 0, 2 of topic 1
    struct twin twins[SUBSCRIPTION_COUNT];
    struct held held[SUBSCRIPTION_COUNT][HELD_COUNT_MAX];
    size_t held_count[SUBSCRIPTION_COUNT];
    int64_t published_us; // of the newest message known
};

static size_t topic_of(size_t subscription)
{
    return subscription < 2 ? 0 : 1;
}

static void fill_body(size_t topic, uint64_t seq, char *out)
{
    size_t size = twin_body_size(seq);
    memset(out, (int)('a' + (seq + topic) % 26), size);
    int head = snprintf(out, 20, "%zu:%ju", topic, (uintmax_t)seq);
    out[head] = ' ';
    if (seq % 7 == 0) {
        out[size - 1] = (char)0xff; // not UTF-8
    }
}

static void open_world(struct world *world)
{
    static const char *const names[SUBSCRIPTION_COUNT] = {"t-sub", "second", "third"};
    rig_open(&world->rig);
    world->topics[0] = world->rig.topic;
    assert_int_equal(broker_topic_create(world->rig.broker, TEXT("u"), &world->topics[1], NULL),
                     ERR_OK);
    for (size_t i = 0; i < SUBSCRIPTION_COUNT; i++) {
        assert_int_equal(broker_subscription_create(world->rig.broker, world->topics[topic_of(i)],
                                                    text_of(names[i]), &world->subscriptions[i],
                                                    NULL),
                         ERR_OK);
    }
}

static void publish(struct world *world, size_t topic, size_t count)
{
    uint64_t last = world->twins[topic * 2].last_seq;
    char *bodies = malloc(count * BODY_SIZE_MAX);
    struct broker_outgoing *messages = calloc(count, sizeof(*messages));
    assert_non_null(bodies);
    assert_non_null(messages);
    for (size_t i = 0; i < count; i++) {
        fill_body(topic, last + i + 1, bodies + i * BODY_SIZE_MAX);
        messages[i].data = (struct text){bodies + i * BODY_SIZE_MAX, twin_body_size(last + i + 1)};
    }
    assert_int_equal(broker_publish(world->rig.broker, world->topics[topic], messages, count, NULL),
                     ERR_OK);
    free(messages);
    free(bodies);
    for (size_t i = 0; i < SUBSCRIPTION_COUNT; i++) {
        twin_flushed(&world->twins[i]); // every commit takes the acks along
        if (topic_of(i) == topic) {
            twin_published(&world->twins[i], count);
        }
    }
}

static void check_message(size_t topic, const struct broker_message *message)
{
    char body[BODY_SIZE_MAX];
    fill_body(topic, message->sequence, body);
    assert_int_equal(message->data.size, twin_body_size(message->sequence));
    assert_memory_equal(message->data.data, body, message->data.size);
}

static void hold(struct world *world, size_t subscription, const struct broker_message *message)
{
    size_t *count = &world->held_count[subscription];
    size_t place = *count < HELD_COUNT_MAX ? (*count)++ : rand_below(&world->rand, HELD_COUNT_MAX);
    world->held[subscription][place] =
        (struct held){message->handle, message->sequence, message->delivery_attempt};
}

static void pull(struct world *world, size_t subscription, size_t count_max, size_t size_max)
{
    struct rig *rig = &world->rig;
    struct broker_pull_limits limits = {.count_max = count_max, .size_max = size_max};
    struct broker_message *messages = NULL;
    size_t count = 0;
    arena_reset(&rig->arena);
    assert_int_equal(broker_pull(rig->broker, world->subscriptions[subscription], &limits,
                                 &rig->arena, &messages, &count, NULL),
                     ERR_OK);
    twin_pulled(&world->twins[subscription], messages, count, &limits, rig->time.mono_ns,
                RIG_LEASE_US);
    for (size_t i = 0; i < count; i++) {
        check_message(topic_of(subscription), &messages[i]);
        hold(world, subscription, &messages[i]);
        assert_true(i == 0 || messages[i].sequence < messages[i - 1].sequence ||
                    messages[i].published_us > messages[i - 1].published_us);
    }
}

// Takes some of the held deliveries out, oldest or newest first or anywhere.
static size_t take_held(struct world *world, size_t subscription, struct held *out,
                        size_t count_max)
{
    size_t *count = &world->held_count[subscription];
    struct held *held = world->held[subscription];
    size_t taken = 0;
    bool in_order = rand_chance_ppm(&world->rand, 700000);
    while (taken<count_max && * count> 0) {
        size_t place = in_order ? 0 : rand_below(&world->rand, *count);
        out[taken++] = held[place];
        memmove(&held[place], &held[place + 1], (*count - place - 1) * sizeof(*held));
        (*count)--;
    }
    return taken;
}

static void use_handles(struct world *world, size_t subscription, size_t count_max)
{
    struct held held[HELD_COUNT_MAX];
    uint64_t handles[HELD_COUNT_MAX];
    struct rig *rig = &world->rig;
    struct twin *twin = &world->twins[subscription];
    size_t count = take_held(world, subscription, held, count_max);
    for (size_t i = 0; i < count; i++) {
        handles[i] = held[i].handle;
    }
    uint32_t number = world->subscriptions[subscription];
    uint64_t what = rand_below(&world->rand, 10);
    int64_t lease_us = rand_between(&world->rand, 0, 2 * RIG_LEASE_US);
    int64_t now_ns = rig->time.mono_ns;
    enum err err = what < 7   ? broker_ack(rig->broker, number, handles, count, NULL)
                   : what < 9 ? broker_nack(rig->broker, number, handles, count, NULL)
                              : broker_extend(rig->broker, number, handles, count, lease_us, NULL);
    assert_int_equal(err, ERR_OK);
    twin_acks_begin(twin);
    for (size_t i = 0; i < count; i++) {
        if (what < 7) {
            twin_ack(twin, held[i].seq, held[i].attempt, now_ns);
        } else if (what < 9) {
            twin_nack(twin, held[i].seq, held[i].attempt, now_ns);
        } else {
            twin_extend(twin, held[i].seq, held[i].attempt, now_ns, lease_us);
        }
    }
}

static void flush(struct world *world)
{
    assert_int_equal(broker_flush(world->rig.broker, NULL), ERR_OK);
    for (size_t i = 0; i < SUBSCRIPTION_COUNT; i++) {
        twin_flushed(&world->twins[i]);
    }
}

static void restart(struct world *world, bool crash)
{
    if (crash) {
        rig_crash(&world->rig);
    } else {
        rig_close(&world->rig);
    }
    open_world(world);
    for (size_t i = 0; i < SUBSCRIPTION_COUNT; i++) {
        twin_restarted(&world->twins[i], crash);
        world->held_count[i] = 0;
    }
}

static void check_backlog(struct world *world, size_t subscription)
{
    struct broker_backlog backlog = {0};
    assert_int_equal(
        broker_backlog(world->rig.broker, world->subscriptions[subscription], &backlog, NULL),
        ERR_OK);
    twin_check_backlog(&world->twins[subscription], &backlog, world->rig.time.mono_ns);
}

static void step(struct world *world)
{
    struct rand *rand = &world->rand;
    size_t subscription = rand_below(rand, SUBSCRIPTION_COUNT);
    uint64_t what = rand_below(rand, 1000);
    if (what < 150) {
        publish(world, rand_below(rand, TOPIC_COUNT), rand_below(rand, 30) + 1);
    } else if (what < 153) {
        publish(world, rand_below(rand, TOPIC_COUNT), 1500);
    } else if (what < 500) {
        size_t size_max = rand_chance_ppm(rand, 200000) ? rand_below(rand, 5000) : SIZE_MAX;
        pull(world, subscription, rand_below(rand, 60) + 1, size_max);
    } else if (what < 505) {
        pull(world, subscription, 2000, SIZE_MAX);
    } else if (what < 900) {
        use_handles(world, subscription, rand_below(rand, 60) + 1);
    } else if (what < 910) {
        use_handles(world, subscription, HELD_COUNT_MAX);
    } else if (what < 950) {
        virtual_time_advance(&world->rig.time, rand_between(rand, 0, RIG_LEASE_US / 2));
        world->rig.time.wall_us -= rand_chance_ppm(rand, 100000) ? 3600 * US_PER_SECOND : 0;
    } else if (what < 985) {
        check_backlog(world, subscription);
    } else if (what < 992) {
        flush(world);
    } else {
        restart(world, what >= 996);
    }
}

// At last everything is pulled and acked, and nothing is left.
static void drain(struct world *world)
{
    for (size_t i = 0; i < SUBSCRIPTION_COUNT; i++) {
        world->held_count[i] = 0;
    }
    virtual_time_advance(&world->rig.time, 3 * RIG_LEASE_US);
    for (size_t i = 0; i < SUBSCRIPTION_COUNT; i++) {
        struct broker_backlog backlog = {.unacked = 1};
        while (backlog.unacked > 0) {
            pull(world, i, 1000, SIZE_MAX);
            for (size_t j = 0; j < world->held_count[i]; j++) {
                const struct held *held = &world->held[i][j];
                assert_int_equal(
                    broker_ack(world->rig.broker, world->subscriptions[i], &held->handle, 1, NULL),
                    ERR_OK);
                twin_ack(&world->twins[i], held->seq, held->attempt, world->rig.time.mono_ns);
            }
            world->held_count[i] = 0;
            assert_int_equal(
                broker_backlog(world->rig.broker, world->subscriptions[i], &backlog, NULL), ERR_OK);
        }
        pull(world, i, 1000, SIZE_MAX);
        assert_int_equal(world->held_count[i], 0);
    }
}

static void broker_does_what_its_naive_twin_says(void **state)
{
    (void)state;
    struct world *world = malloc(sizeof(*world));
    assert_non_null(world);
    memset(world->held_count, 0, sizeof(world->held_count));
    rand_seed(&world->rand, test_seed());
    rig_init(&world->rig);
    for (size_t i = 0; i < SUBSCRIPTION_COUNT; i++) {
        twin_init(&world->twins[i]);
    }
    open_world(world);
    for (int i = 0; i < STEP_COUNT; i++) {
        step(world);
    }
    drain(world);
    rig_deinit(&world->rig);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(broker_does_what_its_naive_twin_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
