// The disk fails at every point of a broker's life in turn; broker_story.h says what must hold then.
#include "broker_story.h"
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

// Runs the story under the plan and checks what it left. Whether the plan struck.
static bool survives(const struct fault_vfs_plan *plan, enum err *out_stopped)
{
    static struct rig rig;
    static struct story story;
    rig_init(&rig);
    story = (struct story){.rig = &rig, .large_rounds = 2};
    fault_vfs_arm(plan);
    story_tell(&story);
    fault_vfs_disarm();
    bool hit = fault_vfs_hit();
    story_check_stopped(&story);
    story_check_left(&story);
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

static void ack_whose_commit_found_the_disk_full_is_written_later(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "a");
    assert_int_equal(rig_pull(rig, 1), 1);
    rig_ack(rig);
    fault_vfs_arm(&(struct fault_vfs_plan){.size_max = 1});
    assert_int_equal(rig_try_publish_many(rig, "b", 3000), ERR_FULL);
    fault_vfs_disarm();
    assert_int_equal(broker_flush(rig->broker, NULL), ERR_OK);
    rig_crash(rig);
    rig_open(rig);
    assert_int_equal(rig_pull(rig, 1), 0);
}

// A sync that failed may have dropped what it should have written, and the next one may succeed for all
// that; so the broker must not go on as if nothing had happened.
static void failed_checkpoint_stops_the_broker(void **state)
{
    struct rig *rig = *state;
    fault_vfs_arm(&(struct fault_vfs_plan){
        .calls = FAULT_VFS_MASK(FAULT_VFS_SYNC), .nth = 1, .suffix = "topics.db"});
    uint64_t published = 0;
    enum err err = ERR_OK;
    while ((err = rig_try_publish_many(rig, "some bytes of a message ", 10000)) == ERR_OK) {
        published += 10000;
        assert_in_range(published, 1, 1000000);
    }
    fault_vfs_disarm();
    assert_int_equal(err, ERR_IO);
    assert_true(fault_vfs_hit());
    rig_reopen(rig);
    assert_int_equal(rig_backlog(rig).published, published);
}

static void stopped_broker_leaves_the_file_alone_when_closed(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "a");
    fault_vfs_arm(&(struct fault_vfs_plan){
        .calls = FAULT_VFS_MASK(FAULT_VFS_SYNC), .nth = 1, .suffix = "-wal"});
    assert_int_equal(rig_try_publish_many(rig, "b", 1), ERR_IO);
    fault_vfs_arm(&(struct fault_vfs_plan){.suffix = "topics.db"});
    rig_close(rig);
    assert_int_equal(fault_vfs_count(FAULT_VFS_WRITE), 0);
    fault_vfs_disarm();
    rig_open(rig);
    assert_in_range(rig_pull(rig, 10), 1, 2);
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
        CLAIM(ack_whose_commit_found_the_disk_full_is_written_later),
        CLAIM(failed_checkpoint_stops_the_broker),
        CLAIM(stopped_broker_leaves_the_file_alone_when_closed),
        CLAIM(every_publish_is_synced_before_it_is_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
