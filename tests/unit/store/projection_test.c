// Claims about the timestamp of projections.
#include "projection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

static struct hash hash_ending(unsigned char high, unsigned char low)
{
    return (struct hash){.bytes = {[0] = 9, [HASH_SIZE - 2] = high, [HASH_SIZE - 1] = low}};
}

static int64_t stamp(uint32_t epoch, uint32_t rows, unsigned char high, unsigned char low)
{
    struct hash hash = hash_ending(high, low);
    return projection_timestamp(epoch, rows, &hash);
}

static void known_fields_give_the_known_number(void **state)
{
    (void)state;
    assert_true(stamp(0, 0, 0, 0) == PROJECTION_TIMESTAMP_BASE);
    assert_true(stamp(1, 2, 3, 4) == 2251799813685248 + 4294967296 + 2 * 65536 + 3 * 256 + 4);
}

static void more_rows_win_whatever_the_hash(void **state)
{
    (void)state;
    for (uint32_t rows = 0; rows < 3000; rows++) {
        assert_true(stamp(7, rows + 1, 0, 0) > stamp(7, rows, 255, 255));
    }
    assert_true(stamp(7, PROJECTION_ROWS_MAX, 0, 0) > stamp(7, PROJECTION_ROWS_MAX - 1, 255, 255));
    assert_true(stamp(7, PROJECTION_ROWS_MAX + 1, 0, 0) == stamp(7, PROJECTION_ROWS_MAX, 0, 0));
    assert_true(stamp(7, UINT32_MAX, 0, 0) == stamp(7, PROJECTION_ROWS_MAX, 0, 0));
}

static void later_fold_wins_whatever_the_rows(void **state)
{
    (void)state;
    assert_true(stamp(1, 0, 0, 0) > stamp(0, PROJECTION_ROWS_MAX, 255, 255));
    assert_true(stamp(PROJECTION_FOLD_EPOCH_MAX, 0, 0, 0) >
                stamp(PROJECTION_FOLD_EPOCH_MAX - 1, PROJECTION_ROWS_MAX, 255, 255));
    assert_true(stamp(PROJECTION_FOLD_EPOCH_MAX, PROJECTION_ROWS_MAX, 255, 255) > 0);
}

static void two_sets_of_one_size_differ_by_their_hash(void **state)
{
    (void)state;
    assert_true(stamp(1, 5, 0, 1) > stamp(1, 5, 0, 0));
    assert_true(stamp(1, 5, 1, 0) > stamp(1, 5, 0, 255));
}

// Of what is written with a constant timestamp, a wall clock, or the bucket's time, nothing beats it.
static void projection_is_above_every_clock(void **state)
{
    (void)state;
    const int64_t year_2041_us = INT64_C(2240611200) * 1000000;
    assert_true(stamp(0, 1, 0, 0) > year_2041_us);
    assert_true(stamp(0, 1, 0, 0) > PROJECTION_TIMESTAMP_BASE);
}

int main(void)
{
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(known_fields_give_the_known_number),
        cmocka_unit_test(more_rows_win_whatever_the_hash),
        cmocka_unit_test(later_fold_wins_whatever_the_rows),
        cmocka_unit_test(two_sets_of_one_size_differ_by_their_hash),
        cmocka_unit_test(projection_is_above_every_clock),
    };
    return cmocka_run_group_tests_name("projection", claims, NULL, NULL);
}
