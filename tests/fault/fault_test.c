// Whatever fails, at whatever point: the process says so with an error code and dies, the next one
// goes on, and in the end nothing is lost and nothing counted twice. A disk without room is no reason
// to die: the same process goes on once there is room.
//
// Every point is met in turn; far ones in random steps, unless TILL_TEST_FULL is set.
#include "fault_alloc.h"
#include "fault_vfs.h"
#include "scenario.h"
#include "seam_fault.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <stdlib.h>

static struct rand steps;
static struct picture expected;

// Each of the first points, then some thirty up to ten thousand, or many more.
static uint64_t next_point(uint64_t nth)
{
    bool full = getenv("TILL_TEST_FULL") != NULL;
    bool each = nth < (full ? 400 : 8);
    return each ? nth + 1 : nth + 1 + rand_below(&steps, nth / (full ? 16 : 2));
}

// A way to fail: from arm on, at the nth point of its kind.
struct twin {
    const char *name;
    void (*arm)(struct scenario *scenario, const struct twin *twin, uint64_t nth);
    void (*disarm)(void);
    bool (*hit)(void);
    struct fault_vfs_plan plan; // of those that fail the disk
    enum seam_death death;      // of those that die at a seam
    enum err dies_of;           // the one error that may end the process
    uint64_t points_min;        // of a life, or it never met the fault
};

// Lives under the fault, dies of it or not, goes on without it. false when the nth point was never
// reached.
static bool survives(const struct twin *twin, uint64_t nth, size_t *deaths)
{
    static struct scenario scenario;
    struct why why = {0};
    scenario_init(&scenario);
    twin->arm(&scenario, twin, nth);
    enum err err = scenario_live(&scenario, &why);
    twin->disarm();
    scenario.opened = NULL;
    bool hit = twin->hit();
    if (err != ERR_OK && (!hit || err != twin->dies_of)) {
        fail_msg("%s, point %ju: %s: %s", twin->name, (uintmax_t)nth, err_name(err), why.text);
    }
    if (err != ERR_OK) {
        assert_int_equal(why.code, err);
        ++*deaths;
        scenario_start_again(&scenario);
        if (scenario_live(&scenario, &why) != ERR_OK) {
            fail_msg("%s, after point %ju: %s", twin->name, (uintmax_t)nth, why.text);
        }
    }
    scenario_assert_done(&scenario, &expected);
    scenario_deinit(&scenario);
    return hit;
}

static void survives_everywhere(const struct twin *twin)
{
    uint64_t nth = 1;
    size_t deaths = 0;
    while (survives(twin, nth, &deaths)) {
        nth = next_point(nth);
    }
    print_message("%s: fewer than %ju points, %zu deaths\n", twin->name, (uintmax_t)nth, deaths);
    assert_in_range(nth, twin->points_min, 1000000);
    assert_true(deaths > 0);
}

static void all_survive_everywhere(const struct twin *twins, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        survives_everywhere(&twins[i]);
    }
}
#define ALL_SURVIVE_EVERYWHERE(twins)                                                              \
    all_survive_everywhere((twins), sizeof(twins) / sizeof((twins)[0]))

// --- memory ----------------------------------------------------------------------------------------

static void arm_alloc(struct scenario *scenario, const struct twin *twin, uint64_t nth)
{
    (void)scenario;
    (void)twin;
    fault_alloc_arm(nth);
}

static void failed_allocation_loses_nothing(void **state)
{
    (void)state;
    const struct twin twin = {.name = "allocation",
                              .arm = arm_alloc,
                              .disarm = fault_alloc_disarm,
                              .hit = fault_alloc_hit,
                              .dies_of = ERR_NO_MEMORY,
                              .points_min = 50};
    survives_everywhere(&twin);
}

static void arm_sqlite_alloc(struct scenario *scenario, const struct twin *twin, uint64_t nth)
{
    (void)scenario;
    (void)twin;
    fault_sqlite_alloc_arm(nth);
}

static void disarm_sqlite_alloc(void)
{
    fault_sqlite_alloc_arm(0);
}

static void failed_allocation_of_sqlite_loses_nothing(void **state)
{
    (void)state;
    const struct twin twin = {.name = "allocation of SQLite",
                              .arm = arm_sqlite_alloc,
                              .disarm = disarm_sqlite_alloc,
                              .hit = fault_sqlite_alloc_hit,
                              .dies_of = ERR_NO_MEMORY,
                              .points_min = 500};
    survives_everywhere(&twin);
}

// --- disk ------------------------------------------------------------------------------------------

static void arm_disk(struct scenario *scenario, const struct twin *twin, uint64_t nth)
{
    (void)scenario;
    struct fault_vfs_plan plan = twin->plan;
    plan.nth = nth;
    fault_vfs_arm(&plan);
}

#define DISK_TWIN(what, points, ...)                                                               \
    {                                                                                              \
        .name = (what), .arm = arm_disk, .disarm = fault_vfs_disarm, .hit = fault_vfs_hit,         \
        .plan = {__VA_ARGS__}, .dies_of = ERR_IO, .points_min = (points)                           \
    }
#define CALL_WRITE    FAULT_VFS_MASK(FAULT_VFS_WRITE)
#define CALL_SYNC     FAULT_VFS_MASK(FAULT_VFS_SYNC)
#define CALL_READ     FAULT_VFS_MASK(FAULT_VFS_READ)
#define CALL_TRUNCATE FAULT_VFS_MASK(FAULT_VFS_TRUNCATE)

static void failed_write_loses_nothing(void **state)
{
    (void)state;
    static const struct twin twins[] = {
        DISK_TWIN("write to the log of topics", 50, .calls = CALL_WRITE, .suffix = "topics.db-wal"),
        DISK_TWIN("write to the log of facts", 50, .calls = CALL_WRITE, .suffix = "facts.db-wal"),
        DISK_TWIN("torn write that stays", 50, .calls = CALL_WRITE, .torn = true, .stays = true),
    };
    ALL_SURVIVE_EVERYWHERE(twins);
}

static void failed_sync_loses_nothing(void **state)
{
    (void)state;
    static const struct twin twins[] = {
        DISK_TWIN("sync of the log of topics", 20, .calls = CALL_SYNC, .suffix = "topics.db-wal"),
        DISK_TWIN("sync of the log of facts", 20, .calls = CALL_SYNC, .suffix = "facts.db-wal"),
        DISK_TWIN("sync that stays", 20, .calls = CALL_SYNC, .stays = true),
    };
    ALL_SURVIVE_EVERYWHERE(twins);
}

// The files themselves are written when they are made, and when the logs are moved into them, here at
// the restart.
static void failed_checkpoint_loses_nothing(void **state)
{
    (void)state;
    static const struct twin twins[] = {
        DISK_TWIN("write to topics", 10, .calls = CALL_WRITE | CALL_SYNC, .suffix = "topics.db"),
        DISK_TWIN("write to facts", 10, .calls = CALL_WRITE | CALL_SYNC, .suffix = "facts.db"),
    };
    ALL_SURVIVE_EVERYWHERE(twins);
}

static void failed_read_loses_nothing(void **state)
{
    (void)state;
    static const struct twin twins[] = {
        DISK_TWIN("read", 5, .calls = CALL_READ | CALL_TRUNCATE),
        DISK_TWIN("read that stays", 5, .calls = CALL_READ, .stays = true),
    };
    ALL_SURVIVE_EVERYWHERE(twins);
}

// --- no room ---------------------------------------------------------------------------------------

// The disk is full after `size` bytes until the third error; the process never ends.
static bool lives_through_full_disk(uint64_t size, const char *suffix)
{
    static struct scenario scenario;
    struct why why = {0};
    scenario_init(&scenario);
    scenario.make_room = fault_vfs_disarm;
    scenario.room_after = 2;
    fault_vfs_arm(&(struct fault_vfs_plan){.size_max = size, .suffix = suffix});
    enum err err = scenario_live(&scenario, &why);
    fault_vfs_disarm();
    if (err != ERR_OK) {
        fail_msg("full after %ju bytes: %s: %s", (uintmax_t)size, err_name(err), why.text);
    }
    bool hit = fault_vfs_hit();
    assert_true(hit || scenario.retries == 0); // a checkpoint without room harms nobody
    scenario_assert_done(&scenario, &expected);
    scenario_deinit(&scenario);
    return hit;
}

static void process_goes_on_once_the_disk_has_room(void **state)
{
    (void)state;
    static const char *const suffixes[] = {NULL, "topics.db-wal", "facts.db-wal"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        size_t points = 0;
        uint64_t size = 1;
        while (lives_through_full_disk(size, suffixes[i])) {
            size += 4096 + rand_below(&steps, 1 + size / 2);
            points++;
        }
        assert_in_range(points, 5, 10000);
    }
}

// Each write that finds the disk full, wherever it is in its transaction.
static void full_disk_at_any_write_is_tried_again(void **state)
{
    (void)state;
    uint64_t nth = 1;
    bool hit = true;
    while (hit) {
        static struct scenario scenario;
        struct why why = {0};
        scenario_init(&scenario);
        scenario.make_room = fault_vfs_disarm;
        fault_vfs_arm(&(struct fault_vfs_plan){
            .calls = CALL_WRITE, .nth = nth, .stays = true, .result = SQLITE_FULL});
        if (scenario_live(&scenario, &why) != ERR_OK) {
            fail_msg("full at write %ju: %s", (uintmax_t)nth, why.text);
        }
        fault_vfs_disarm();
        hit = fault_vfs_hit();
        scenario_assert_done(&scenario, &expected);
        scenario_deinit(&scenario);
        nth = next_point(nth);
    }
    assert_in_range(nth, 100, 1000000);
}

// --- the process -----------------------------------------------------------------------------------

static void arm_seam(struct scenario *scenario, const struct twin *twin, uint64_t nth)
{
    scenario_start_again(scenario); // the first step; there are no calls before it is open
    scenario->step++;
    scenario->opened = seam_fault_follow;
    seam_fault_arm(&scenario->rig, nth, twin->death);
}

static void death_at_any_call_of_bus_or_store_loses_nothing(void **state)
{
    (void)state;
    static const struct twin twins[] = {
        {.name = "death before a call",
         .arm = arm_seam,
         .disarm = seam_fault_disarm,
         .hit = seam_fault_hit,
         .death = SEAM_BEFORE,
         .dies_of = ERR_IO,
         .points_min = 100},
        {.name = "death after a call",
         .arm = arm_seam,
         .disarm = seam_fault_disarm,
         .hit = seam_fault_hit,
         .death = SEAM_AFTER,
         .dies_of = ERR_IO,
         .points_min = 100},
    };
    ALL_SURVIVE_EVERYWHERE(twins);
}

int main(void)
{
    fault_sqlite_alloc_install();
    fault_vfs_install();
    rand_seed(&steps, test_seed());
    scenario_undisturbed(&expected);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_allocation_loses_nothing),
        cmocka_unit_test(failed_allocation_of_sqlite_loses_nothing),
        cmocka_unit_test(failed_write_loses_nothing),
        cmocka_unit_test(failed_sync_loses_nothing),
        cmocka_unit_test(failed_checkpoint_loses_nothing),
        cmocka_unit_test(failed_read_loses_nothing),
        cmocka_unit_test(process_goes_on_once_the_disk_has_room),
        cmocka_unit_test(full_disk_at_any_write_is_tried_again),
        cmocka_unit_test(death_at_any_call_of_bus_or_store_loses_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    picture_deinit(&expected);
    return failed;
}
