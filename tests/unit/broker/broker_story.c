#include "broker_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

static void note(struct story *story, enum err err)
{
    if (err_class_of(err) == ERR_CLASS_STOP && story->stopped == ERR_OK) {
        story->stopped = err;
    }
}

static bool going_on(const struct story *story)
{
    return story->stopped == ERR_OK;
}

// Messages "<call>/<index>/" and filler.
static void publish(struct story *story, size_t count, size_t body_size)
{
    static char bodies[STORY_LARGE][STORY_BODY_SIZE];
    struct broker_outgoing messages[STORY_LARGE];
    if (!going_on(story)) {
        return;
    }
    size_t call = story->call_count++;
    assert_in_range(call, 0, STORY_CALL_COUNT_MAX - 1);
    for (size_t i = 0; i < count; i++) {
        memset(bodies[i], 'x', body_size);
        int size = snprintf(bodies[i], body_size, "%zu/%zu/", call, i);
        bodies[i][size] = 'x';
        messages[i] = (struct broker_outgoing){.data = {bodies[i], body_size}};
    }
    enum err err = broker_publish(story->rig->broker, story->rig->topic, messages, count, NULL);
    note(story, err);
    story->counts[call] = count;
    story->outcomes[call] = err == ERR_OK                         ? STORY_DONE
                            : err_class_of(err) == ERR_CLASS_STOP ? STORY_UNKNOWN
                                                                  : STORY_REFUSED;
}

static void parse(struct text data, size_t *out_call, size_t *out_index)
{
    char head[32] = {0};
    memcpy(head, data.data, data.size < 31 ? data.size : 31);
    assert_int_equal(sscanf(head, "%zu/%zu/", out_call, out_index), 2);
}

static void pull_and_ack(struct story *story, size_t count_max)
{
    struct rig *rig = story->rig;
    struct broker_pull_limits limits = {.count_max = count_max, .size_max = SIZE_MAX};
    size_t count = 0;
    arena_reset(&rig->arena);
    if (!going_on(story)) {
        return;
    }
    enum err err = broker_pull(rig->broker, rig->subscription, &limits, &rig->arena, &rig->pulled,
                               &count, NULL);
    note(story, err);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        size_t call = 0;
        size_t index = 0;
        parse(rig->pulled[i].data, &call, &index);
        assert_int_equal(story->outcomes[call], STORY_DONE);
        story->acked[call][index] = true;
        note(story, broker_ack(rig->broker, rig->subscription, &rig->pulled[i].handle, 1, NULL));
    }
}

void story_tell(struct story *story)
{
    struct rig *rig = story->rig;
    enum err err = rig_try_open(rig);
    note(story, err);
    if (err != ERR_OK) {
        return;
    }
    publish(story, STORY_SMALL, 100);
    publish(story, STORY_SMALL, 100);
    pull_and_ack(story, 3);
    for (size_t round = 0; round < story->large_rounds; round++) {
        publish(story, STORY_LARGE, STORY_BODY_SIZE);
        pull_and_ack(story, STORY_LARGE - 10);
        virtual_time_advance(&rig->time, BROKER_FLUSH_INTERVAL_US);
    }
    publish(story, STORY_SMALL, 100);
    if (going_on(story)) {
        note(story, broker_flush(rig->broker, NULL));
    }
    publish(story, STORY_SMALL, 100);
}

void story_check_stopped(struct story *story)
{
    struct rig *rig = story->rig;
    if (rig->broker == NULL || going_on(story)) {
        return;
    }
    struct broker_outgoing message = {.data = TEXT("x")};
    struct broker_pull_limits limits = {.count_max = 1, .size_max = 1};
    struct broker_backlog backlog = {0};
    uint64_t handle = 0;
    uint32_t number = 0;
    const enum err answers[] = {
        broker_publish(rig->broker, rig->topic, &message, 1, NULL),
        broker_pull(rig->broker, rig->subscription, &limits, &rig->arena, &rig->pulled,
                    &rig->pulled_count, NULL),
        broker_ack(rig->broker, rig->subscription, &handle, 1, NULL),
        broker_nack(rig->broker, rig->subscription, &handle, 1, NULL),
        broker_extend(rig->broker, rig->subscription, &handle, 1, 1, NULL),
        broker_flush(rig->broker, NULL),
        broker_backlog(rig->broker, rig->subscription, &backlog, NULL),
        broker_topic_create(rig->broker, TEXT("new"), &number, NULL),
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        assert_int_equal(answers[i], story->stopped);
    }
}

static void see_all(struct story *story)
{
    struct rig *rig = story->rig;
    uint64_t last = 0;
    while (rig_pull(rig, 200) > 0) {
        for (size_t i = 0; i < rig->pulled_count; i++) {
            size_t call = 0;
            size_t index = 0;
            parse(rig->pulled[i].data, &call, &index);
            assert_in_range(call, 0, story->call_count - 1);
            assert_in_range(index, 0, story->counts[call] - 1);
            assert_false(story->seen[call][index]);
            story->seen[call][index] = true;
            assert_true(rig->pulled[i].sequence > last);
            last = rig->pulled[i].sequence;
        }
    }
}

static void check_call(const struct story *story, size_t call)
{
    size_t seen = 0;
    size_t acked = 0;
    for (size_t i = 0; i < story->counts[call]; i++) {
        seen += story->seen[call][i];
        acked += story->acked[call][i];
        if (story->outcomes[call] == STORY_DONE && !story->acked[call][i]) {
            assert_true(story->seen[call][i]);
        }
    }
    if (story->outcomes[call] == STORY_REFUSED) {
        assert_int_equal(seen, 0);
    }
    if (story->outcomes[call] == STORY_UNKNOWN) {
        assert_true(seen == 0 || seen == story->counts[call]);
        assert_int_equal(acked, 0);
    }
}

void story_check_left(struct story *story)
{
    rig_close(story->rig);
    rig_open(story->rig);
    see_all(story);
    for (size_t call = 0; call < story->call_count; call++) {
        check_call(story, call);
    }
}
