// Several threads at once; meant to be run under ThreadSanitizer too.
#include "broker_rig.h"

#include <pthread.h>
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

#define PUBLISHER_COUNT 4
#define CALL_COUNT      150
#define CALL_MESSAGES   20
#define MESSAGE_COUNT   (PUBLISHER_COUNT * CALL_COUNT * CALL_MESSAGES)
#define CONSUMER_COUNT  2
#define LONG_US         (60 * US_PER_SECOND)

struct crowd {
    struct rig *rig;
    struct clock real;
    _Atomic unsigned failed_calls;
    _Atomic unsigned received;
    _Atomic unsigned char seen[PUBLISHER_COUNT][CALL_COUNT * CALL_MESSAGES];
    _Atomic unsigned publishers_left;
};

struct member {
    struct crowd *crowd;
    unsigned number;
};

// Messages "<publisher> <index>".
static void *publish_calls(void *context)
{
    struct member *member = context;
    struct rig *rig = member->crowd->rig;
    char texts[CALL_MESSAGES][32];
    struct broker_outgoing messages[CALL_MESSAGES] = {0};
    for (unsigned call = 0; call < CALL_COUNT; call++) {
        for (unsigned i = 0; i < CALL_MESSAGES; i++) {
            (void)snprintf(texts[i], sizeof(texts[i]), "%u %u", member->number,
                           call * CALL_MESSAGES + i);
            messages[i].data = text_of(texts[i]);
        }
        if (broker_publish(rig->broker, rig->topic, messages, CALL_MESSAGES, NULL) != ERR_OK) {
            atomic_fetch_add(&member->crowd->failed_calls, 1);
        }
    }
    atomic_fetch_sub(&member->crowd->publishers_left, 1);
    return NULL;
}

static void note(struct crowd *crowd, const struct broker_message *message)
{
    unsigned publisher = 0;
    unsigned index = 0;
    char text[32] = {0};
    memcpy(text, message->data.data, message->data.size < 31 ? message->data.size : 31);
    if (sscanf(text, "%u %u", &publisher, &index) == 2 && publisher < PUBLISHER_COUNT &&
        index < CALL_COUNT * CALL_MESSAGES) {
        atomic_fetch_add(&crowd->seen[publisher][index], 1);
    }
}

static void *consume(void *context)
{
    struct crowd *crowd = ((struct member *)context)->crowd;
    struct rig *rig = crowd->rig;
    struct arena arena;
    if (arena_init(&arena, 1 << 20) != ERR_OK) {
        return NULL;
    }
    while (atomic_load(&crowd->received) < MESSAGE_COUNT) {
        struct broker_pull_limits limits = {.count_max = 37, .size_max = SIZE_MAX};
        struct broker_message *messages = NULL;
        size_t count = 0;
        uint64_t generation = broker_generation(rig->broker);
        arena_reset(&arena);
        if (broker_pull(rig->broker, rig->subscription, &limits, &arena, &messages, &count, NULL) !=
            ERR_OK) {
            atomic_fetch_add(&crowd->failed_calls, 1);
            break;
        }
        for (size_t i = 0; i < count; i++) {
            note(crowd, &messages[i]);
            if (broker_ack(rig->broker, rig->subscription, &messages[i].handle, 1, NULL) !=
                ERR_OK) {
                atomic_fetch_add(&crowd->failed_calls, 1);
            }
        }
        atomic_fetch_add(&crowd->received, (unsigned)count);
        if (count == 0) {
            broker_wait(rig->broker, generation, 20000); // the last one may be another's
        }
    }
    arena_deinit(&arena);
    return NULL;
}

// Looks on while the others work.
static void *look_on(void *context)
{
    struct crowd *crowd = ((struct member *)context)->crowd;
    struct rig *rig = crowd->rig;
    while (atomic_load(&crowd->publishers_left) > 0) {
        struct broker_backlog backlog = {0};
        struct broker_counters counters = {0};
        uint32_t topic = 0;
        broker_counters(rig->broker, &counters);
        if (broker_backlog(rig->broker, rig->subscription, &backlog, NULL) != ERR_OK ||
            backlog.unacked > backlog.published || backlog.leased > backlog.unacked ||
            broker_topic_create(rig->broker, TEXT("t"), &topic, NULL) != ERR_OK) {
            atomic_fetch_add(&crowd->failed_calls, 1);
        }
    }
    return NULL;
}

static void start(pthread_t *thread, void *(*work)(void *), struct member *member)
{
    assert_int_equal(pthread_create(thread, NULL, work, member), 0);
}

static void four_publishers_share_commits_and_none_is_lost(void **state)
{
    struct rig *rig = *state;
    static struct crowd crowd;
    crowd = (struct crowd){.rig = rig, .publishers_left = PUBLISHER_COUNT};
    pthread_t threads[PUBLISHER_COUNT];
    struct member members[PUBLISHER_COUNT];
    for (unsigned i = 0; i < PUBLISHER_COUNT; i++) {
        members[i] = (struct member){&crowd, i};
        start(&threads[i], publish_calls, &members[i]);
    }
    for (unsigned i = 0; i < PUBLISHER_COUNT; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(crowd.failed_calls, 0);
    assert_in_range(rig_counters(rig).commits, CALL_COUNT, PUBLISHER_COUNT * CALL_COUNT * 3 / 4);
    rig_crash(rig);
    rig_open(rig);
    assert_int_equal(rig_pull(rig, MESSAGE_COUNT + 1), MESSAGE_COUNT);
    unsigned next[PUBLISHER_COUNT] = {0};
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        unsigned publisher = 0;
        unsigned index = 0;
        char text[32] = {0};
        memcpy(text, rig->pulled[i].data.data, rig->pulled[i].data.size);
        assert_int_equal(sscanf(text, "%u %u", &publisher, &index), 2);
        assert_int_equal(index, next[publisher]); // each publisher's own order is kept
        next[publisher]++;
        assert_int_equal(rig->pulled[i].sequence, i + 1);
        assert_true(i == 0 || rig->pulled[i].published_us > rig->pulled[i - 1].published_us);
    }
}

static void publishers_and_consumers_together_lose_and_double_nothing(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    rig->options.clock = clock_real();
    rig->options.lease_us = LONG_US;
    rig_open(rig);
    static struct crowd crowd;
    crowd = (struct crowd){.rig = rig, .publishers_left = PUBLISHER_COUNT};
    pthread_t threads[PUBLISHER_COUNT + CONSUMER_COUNT + 1];
    struct member members[PUBLISHER_COUNT + CONSUMER_COUNT + 1];
    for (unsigned i = 0; i < PUBLISHER_COUNT + CONSUMER_COUNT + 1; i++) {
        members[i] = (struct member){&crowd, i};
        start(&threads[i],
              i < PUBLISHER_COUNT                    ? publish_calls
              : i < PUBLISHER_COUNT + CONSUMER_COUNT ? consume
                                                     : look_on,
              &members[i]);
    }
    for (unsigned i = 0; i < PUBLISHER_COUNT + CONSUMER_COUNT + 1; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(crowd.failed_calls, 0);
    for (unsigned i = 0; i < PUBLISHER_COUNT; i++) {
        for (unsigned j = 0; j < CALL_COUNT * CALL_MESSAGES; j++) {
            assert_int_equal(crowd.seen[i][j], 1);
        }
    }
    assert_int_equal(rig_backlog(rig).unacked, 0);
}

static void *wait_long(void *context)
{
    struct crowd *crowd = ((struct member *)context)->crowd;
    broker_wait(crowd->rig->broker, 0, LONG_US);
    atomic_store(&crowd->received, 1);
    return NULL;
}

static void wait_ends_by_publish_by_nack_and_by_wake(void **state)
{
    struct rig *rig = *state;
    static struct crowd crowd;
    rig_publish(rig, "x");
    assert_int_equal(rig_pull(rig, 1), 1);
    for (int way = 0; way < 3; way++) {
        rig_reopen(rig); // the generation starts at 0 again
        assert_int_equal(broker_generation(rig->broker), 0);
        assert_int_equal(rig_pull(rig, 1), 1);
        crowd = (struct crowd){.rig = rig};
        struct member member = {&crowd, 0};
        pthread_t thread;
        start(&thread, wait_long, &member);
        if (way == 0) {
            rig_publish(rig, "y");
        } else if (way == 1) {
            rig_nack_one(rig, rig->handles[0]);
        } else {
            broker_wake(rig->broker);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(crowd.received, 1);
    }
}

static void wait_for_what_has_happened_already_ends_at_once(void **state)
{
    struct rig *rig = *state;
    uint64_t generation = broker_generation(rig->broker);
    rig_publish(rig, "x");
    broker_wait(rig->broker, generation, LONG_US); // hangs if not
}

static void wait_ends_at_its_timeout(void **state)
{
    struct rig *rig = *state;
    struct clock real = clock_real();
    int64_t start_ns = clock_mono_ns(&real);
    broker_wait(rig->broker, broker_generation(rig->broker), 0);
    broker_wait(rig->broker, broker_generation(rig->broker), 20000);
    assert_true(clock_mono_ns(&real) - start_ns >= 20000 * 1000);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(four_publishers_share_commits_and_none_is_lost),
        CLAIM(publishers_and_consumers_together_lose_and_double_nothing),
        CLAIM(wait_ends_by_publish_by_nack_and_by_wake),
        CLAIM(wait_for_what_has_happened_already_ends_at_once),
        CLAIM(wait_ends_at_its_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
