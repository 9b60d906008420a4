// The disk fails at every point of a broker's life in turn. After each failure the file is opened again
// without faults: every acknowledged publish is there, once, and nothing else is but what a publish of
// unknown outcome may have left, whole.
#include "broker_rig.h"
#include "fault_vfs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>
#include <sqlite3.h>

#define CALL_COUNT_MAX 40
#define BODY_SIZE      60000 // so that the story needs checkpoints
#define SMALL          5     // messages of a call
#define LARGE          90

enum outcome { NOT_TRIED, DONE, REFUSED, UNKNOWN };

// What the story did, and what it was told.
struct story {
    struct rig *rig;
    enum outcome outcomes[CALL_COUNT_MAX]; // of publish calls
    size_t counts[CALL_COUNT_MAX];         // of their messages
    size_t call_count;
    bool acked[CALL_COUNT_MAX][LARGE];
    bool seen[CALL_COUNT_MAX][LARGE];
    enum err stopped; // the first error of class STOP
};

static char filler[BODY_SIZE];

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
    static char bodies[LARGE][BODY_SIZE];
    struct broker_outgoing messages[LARGE];
    if (!going_on(story)) {
        return;
    }
    size_t call = story->call_count++;
    assert_in_range(call, 0, CALL_COUNT_MAX - 1);
    for (size_t i = 0; i < count; i++) {
        memcpy(bodies[i], filler, body_size);
        int size = snprintf(bodies[i], body_size, "%zu/%zu/", call, i);
        bodies[i][size] = 'x';
        messages[i] = (struct broker_outgoing){.data = {bodies[i], body_size}};
    }
    enum err err = broker_publish(story->rig->broker, story->rig->topic, messages, count, NULL);
    note(story, err);
    story->counts[call] = count;
    story->outcomes[call] = err == ERR_OK                         ? DONE
                            : err_class_of(err) == ERR_CLASS_STOP ? UNKNOWN
                                                                  : REFUSED;
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
        assert_int_equal(story->outcomes[call], DONE);
        story->acked[call][index] = true;
        note(story, broker_ack(rig->broker, rig->subscription, &rig->pulled[i].handle, 1, NULL));
    }
}

static void tell(struct story *story)
{
    struct rig *rig = story->rig;
    enum err err = rig_try_open(rig);
    note(story, err);
    if (err != ERR_OK) {
        return;
    }
    publish(story, SMALL, 100);
    publish(story, SMALL, 100);
    pull_and_ack(story, 3);
    for (int round = 0; round < 2; round++) {
        publish(story, LARGE, BODY_SIZE);
        pull_and_ack(story, LARGE - 10);
        virtual_time_advance(&rig->time, BROKER_FLUSH_INTERVAL_US);
    }
    publish(story, SMALL, 100);
    if (going_on(story)) {
        note(story, broker_flush(rig->broker, NULL));
    }
    publish(story, SMALL, 100);
}

// A poisoned broker answers every call with the error that poisoned it, fault or no fault.
static void check_poison(struct story *story)
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
        if (story->outcomes[call] == DONE && !story->acked[call][i]) {
            assert_true(story->seen[call][i]);
        }
    }
    if (story->outcomes[call] == REFUSED) {
        assert_int_equal(seen, 0);
    }
    if (story->outcomes[call] == UNKNOWN) {
        assert_true(seen == 0 || seen == story->counts[call]);
        assert_int_equal(acked, 0);
    }
}

// Runs the story under the plan and checks what it left. Whether the plan struck.
static bool survives(const struct fault_vfs_plan *plan, enum err *out_stopped)
{
    static struct rig rig;
    static struct story story;
    rig_init(&rig);
    story = (struct story){.rig = &rig};
    fault_vfs_arm(plan);
    tell(&story);
    fault_vfs_disarm();
    bool hit = fault_vfs_hit();
    check_poison(&story);
    rig_close(&rig);
    rig_open(&rig);
    see_all(&story);
    for (size_t call = 0; call < story.call_count; call++) {
        check_call(&story, call);
    }
    rig_deinit(&rig);
    *out_stopped = story.stopped;
    return hit;
}

// Every n up to 60, then ever larger steps: most writes are alike.
static uint64_t after(uint64_t n)
{
    return n < 60 ? n + 1 : n + n / 8;
}

static void fails_at_every_point(struct fault_vfs_plan plan, enum err stop)
{
    unsigned stops = 0;
    plan.skips_syncs = true;
    for (plan.nth = 1;; plan.nth = after(plan.nth)) {
        enum err stopped = ERR_OK;
        if (!survives(&plan, &stopped)) {
            break;
        }
        if (stopped != ERR_OK && stopped != stop) {
            print_message("nth %ju: %s\n", (uintmax_t)plan.nth, err_name(stopped));
        }
        assert_true(stopped == ERR_OK || stopped == stop);
        stops += stopped != ERR_OK;
    }
    assert_int_equal(stops > 0, stop != ERR_OK);
    assert_true(plan.nth > 8); // or the story never met the fault
}

#define WRITES                                                                                     \
    (FAULT_VFS_MASK(FAULT_VFS_WRITE) | FAULT_VFS_MASK(FAULT_VFS_SYNC) |                            \
     FAULT_VFS_MASK(FAULT_VFS_TRUNCATE))

static void one_failed_write_or_sync_loses_nothing_acknowledged(void **state)
{
    (void)state;
    fails_at_every_point((struct fault_vfs_plan){.calls = WRITES}, ERR_IO);
}

static void disk_that_fails_for_good_loses_nothing_acknowledged(void **state)
{
    (void)state;
    fails_at_every_point((struct fault_vfs_plan){.calls = WRITES, .stays = true}, ERR_IO);
}

static void torn_write_loses_nothing_acknowledged(void **state)
{
    (void)state;
    fails_at_every_point((struct fault_vfs_plan){.calls = FAULT_VFS_MASK(FAULT_VFS_WRITE),
                                                 .torn = true,
                                                 .stays = true},
                         ERR_IO);
}

static void failed_sync_of_the_log_alone_stops_the_broker(void **state)
{
    (void)state;
    fails_at_every_point(
        (struct fault_vfs_plan){.calls = FAULT_VFS_MASK(FAULT_VFS_SYNC), .suffix = "-wal"}, ERR_IO);
}

static void failed_read_stops_the_broker_and_loses_nothing(void **state)
{
    (void)state;
    fails_at_every_point((struct fault_vfs_plan){.calls = FAULT_VFS_MASK(FAULT_VFS_READ)}, ERR_IO);
}

static void full_disk_refuses_and_the_broker_goes_on(void **state)
{
    (void)state;
    fails_at_every_point(
        (struct fault_vfs_plan){.calls = FAULT_VFS_MASK(FAULT_VFS_WRITE), .result = SQLITE_FULL},
        ERR_OK);
}

static void disk_that_fills_up_loses_nothing_acknowledged(void **state)
{
    (void)state;
    bool hit = true;
    enum err stopped = ERR_OK;
    for (uint64_t size = 1000; hit; size += size / 4) {
        struct fault_vfs_plan plan = {.size_max = size, .skips_syncs = true};
        hit = survives(&plan, &stopped);
        assert_int_equal(stopped, ERR_OK);
        assert_true(size < UINT64_C(1) << 30);
    }
}

static void broker_publishes_again_once_the_disk_has_room(void **state)
{
    struct rig *rig = *state;
    fault_vfs_arm(&(struct fault_vfs_plan){.size_max = 1});
    assert_int_equal(rig_try_publish_many(rig, "a", 3000), ERR_FULL);
    fault_vfs_disarm();
    assert_true(fault_vfs_hit());
    rig_publish_many(rig, "b", 3);
    assert_int_equal(rig_pull(rig, 10), 3);
    rig_expect(rig, 0, 1, "b1", 1);
}

static void consumers_go_on_while_the_disk_is_full(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 9000);
    fault_vfs_arm(&(struct fault_vfs_plan){
        .calls = FAULT_VFS_MASK(FAULT_VFS_WRITE), .nth = 1, .stays = true, .result = SQLITE_FULL});
    for (size_t total = 0; total < 9000; total += 1000) {
        virtual_time_advance(&rig->time, BROKER_FLUSH_INTERVAL_US);
        assert_int_equal(rig_pull(rig, 1000), 1000);
        rig_ack(rig);
    }
    fault_vfs_disarm();
    assert_int_equal(rig_backlog(rig).unacked, 0);
    rig_reopen(rig);
    assert_int_equal(rig_pull(rig, 1), 0);
}

static void every_publish_is_synced_before_it_is_acknowledged(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 5; i++) {
        fault_vfs_arm(&(struct fault_vfs_plan){.suffix = "-wal"});
        rig_publish(rig, "x");
        assert_in_range(fault_vfs_count(FAULT_VFS_SYNC), 1, 2);
        fault_vfs_disarm();
    }
}

int main(void)
{
    fault_vfs_install();
    memset(filler, 'x', sizeof(filler));
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_failed_write_or_sync_loses_nothing_acknowledged),
        cmocka_unit_test(disk_that_fails_for_good_loses_nothing_acknowledged),
        cmocka_unit_test(torn_write_loses_nothing_acknowledged),
        cmocka_unit_test(failed_sync_of_the_log_alone_stops_the_broker),
        cmocka_unit_test(failed_read_stops_the_broker_and_loses_nothing),
        cmocka_unit_test(full_disk_refuses_and_the_broker_goes_on),
        cmocka_unit_test(disk_that_fills_up_loses_nothing_acknowledged),
        CLAIM(broker_publishes_again_once_the_disk_has_room),
        CLAIM(consumers_go_on_while_the_disk_is_full),
        CLAIM(every_publish_is_synced_before_it_is_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
