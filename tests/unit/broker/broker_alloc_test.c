// Every allocation fails in turn, the broker's own and SQLite's; broker_story.h says what must hold then.
#include "broker_story.h"
#include "fault_alloc.h"
#include "fault_vfs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

static struct rig rig;
static struct story story;

static void prepare(void)
{
    rig_init(&rig);
    story = (struct story){.rig = &rig, .large_rounds = 0};
}

// Without memory the broker stops; it never makes up another reason.
static void check(void)
{
    assert_true(story.stopped == ERR_OK || story.stopped == ERR_NO_MEMORY);
    story_check_left(&story);
    rig_deinit(&rig);
}

static bool survives_own(uint64_t nth)
{
    prepare();
    fault_alloc_arm(nth);
    story_tell(&story);
    fault_alloc_disarm();
    bool hit = fault_alloc_hit();
    check();
    return hit;
}

static bool survives_sqlite(uint64_t nth)
{
    prepare();
    fault_sqlite_alloc_arm(nth);
    story_tell(&story);
    fault_sqlite_alloc_arm(0);
    bool hit = fault_sqlite_alloc_hit();
    story_check_stopped(&story);
    check();
    return hit;
}

static void failed_allocation_loses_nothing_acknowledged(void **state)
{
    (void)state;
    uint64_t nth = 1;
    while (survives_own(nth)) {
        nth++;
    }
    assert_in_range(nth, 8, 1000);
}

static void failed_allocation_of_sqlite_loses_nothing_acknowledged(void **state)
{
    (void)state;
    uint64_t nth = 1;
    while (survives_sqlite(nth)) {
        nth += 1 + nth / 50;
    }
    assert_in_range(nth, 500, 100000);
}

int main(void)
{
    fault_sqlite_alloc_install();
    fault_vfs_install();
    fault_vfs_arm(&(struct fault_vfs_plan){.skips_syncs = true});
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_allocation_loses_nothing_acknowledged),
        cmocka_unit_test(failed_allocation_of_sqlite_loses_nothing_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
