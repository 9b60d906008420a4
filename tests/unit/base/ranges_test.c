// The set of ranges against a naive bitmap, and its limits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "aborts.h"
#include "fault_alloc.h"
#include "ranges.h"
#include "test_seed.h"

#include <string.h>

#define WINDOW 120u // numbers that the bitmap knows

// The set as one flag a number: index i stands for number base + i.
struct bitmap {
    uint64_t base;
    bool has[WINDOW];
};

static size_t run_count(const struct bitmap *bitmap)
{
    size_t count = 0;
    for (size_t i = 0; i < WINDOW; i++) {
        count += bitmap->has[i] && (i == 0 || !bitmap->has[i - 1]);
    }
    return count;
}

static void assert_well_formed(const struct ranges *ranges)
{
    assert_true(ranges->count <= ranges->cap && ranges->cap <= ranges->cap_max);
    for (size_t i = 0; i < ranges->count; i++) {
        assert_true(ranges->items[i].first <= ranges->items[i].last);
        if (i > 0) {
            assert_true(ranges->items[i - 1].last < UINT64_MAX - 1);
            assert_true(ranges->items[i - 1].last + 1 < ranges->items[i].first);
        }
    }
}

static void assert_same_set(const struct ranges *ranges, const struct bitmap *bitmap)
{
    assert_well_formed(ranges);
    assert_int_equal(ranges->count, run_count(bitmap));
    uint64_t total = 0;
    uint64_t gap = 0;
    bool at_end_of_numbers = bitmap->base + WINDOW == 0;
    for (size_t i = WINDOW; i > 0; i--) {
        uint64_t number = bitmap->base + i - 1;
        total += bitmap->has[i - 1];
        assert_true(ranges_contain(ranges, number) == bitmap->has[i - 1]);
        if (!bitmap->has[i - 1]) {
            gap = number;
        } else if (i == WINDOW) {
            gap = at_end_of_numbers ? UINT64_MAX : number + 1;
        }
        assert_true(ranges_next_gap(ranges, number) == gap);
    }
    assert_true(ranges_total(ranges) == total);
}

// Adds to both; the set must take all that leaves no more than cap_max runs.
static void add_to_both(struct ranges *ranges, struct bitmap *bitmap, size_t from, size_t to)
{
    struct bitmap after = *bitmap;
    for (size_t i = from; i <= to; i++) {
        after.has[i] = true;
    }
    bool fits = run_count(&after) <= ranges->cap_max;
    enum err err = ranges_add(ranges, bitmap->base + from, bitmap->base + to);
    assert_int_equal(err, fits ? ERR_OK : ERR_FULL);
    if (fits) {
        *bitmap = after;
    }
    assert_same_set(ranges, bitmap);
}

static void run_random_adds(struct rand *rand, uint64_t base, size_t cap_max, bool rising)
{
    struct bitmap bitmap = {.base = base};
    struct ranges ranges;
    ranges_init(&ranges, cap_max);
    size_t last = 0;
    for (int i = 0; i < 60; i++) {
        size_t low = rising ? last : 0;
        size_t from = low + rand_below(rand, rising ? 4 : WINDOW);
        size_t to = from + (rand_chance_ppm(rand, 700000) ? 0 : rand_below(rand, 9));
        if (to >= WINDOW) {
            break;
        }
        add_to_both(&ranges, &bitmap, from, to);
        last = to;
    }
    ranges_deinit(&ranges);
}

static void random_adds_agree_with_a_bitmap(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    static const size_t caps[] = {1, 2, 3, 8, 9, WINDOW};
    static const uint64_t bases[] = {0, 1, UINT64_C(1) << 32, UINT64_MAX - WINDOW + 1};
    for (int round = 0; round < 240; round++) {
        uint64_t base = bases[rand_below(&rand, 4)];
        run_random_adds(&rand, base, caps[rand_below(&rand, 6)], rand_chance_ppm(&rand, 300000));
    }
}

// Every pair of closed ranges in a small window, so that no way to meet is left out.
static void every_two_ranges_join_exactly_when_they_touch(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 6 * 6 * 6 * 6; code++) {
        size_t ends[4] = {code % 6, code / 6 % 6, code / 36 % 6, code / 216};
        if (ends[0] > ends[1] || ends[2] > ends[3]) {
            continue;
        }
        struct bitmap bitmap = {.base = 0};
        struct ranges ranges;
        ranges_init(&ranges, 8);
        add_to_both(&ranges, &bitmap, ends[0], ends[1]);
        add_to_both(&ranges, &bitmap, ends[2], ends[3]);
        ranges_deinit(&ranges);
    }
}

static void numbers_in_order_stay_one_range(void **state)
{
    (void)state;
    struct ranges ranges;
    ranges_init(&ranges, 1);
    for (uint64_t number = 5; number < 5000; number++) {
        assert_int_equal(ranges_add(&ranges, number, number), ERR_OK);
    }
    assert_int_equal(ranges.count, 1);
    assert_true(ranges_total(&ranges) == 4995);
    assert_true(ranges_next_gap(&ranges, 0) == 0);
    assert_true(ranges_next_gap(&ranges, 5) == 5000);
    ranges_deinit(&ranges);
}

static void ranges_up_to_the_cap_are_taken_and_one_more_is_not(void **state)
{
    (void)state;
    for (size_t cap_max = 1; cap_max <= 40; cap_max++) {
        struct ranges ranges;
        ranges_init(&ranges, cap_max);
        for (uint64_t i = 0; i < cap_max; i++) {
            assert_int_equal(ranges_add(&ranges, 10 * i, 10 * i + 2), ERR_OK);
        }
        assert_int_equal(ranges_add(&ranges, 10 * cap_max, 10 * cap_max), ERR_FULL);
        assert_int_equal(ranges_add(&ranges, 5, 5), ERR_FULL);
        assert_true(ranges_total(&ranges) == 3 * cap_max);
        // What joins needs no room.
        assert_int_equal(ranges_add(&ranges, 3, 3), ERR_OK);
        assert_int_equal(ranges_add(&ranges, 0, 10 * cap_max), ERR_OK);
        assert_int_equal(ranges.count, 1);
        ranges_deinit(&ranges);
    }
}

static void both_ends_of_the_number_line_are_numbers_like_others(void **state)
{
    (void)state;
    struct ranges ranges;
    ranges_init(&ranges, 4);
    assert_int_equal(ranges_add(&ranges, UINT64_MAX, UINT64_MAX), ERR_OK);
    assert_int_equal(ranges_add(&ranges, 0, 0), ERR_OK);
    assert_int_equal(ranges.count, 2); // the ends are no neighbours
    assert_true(ranges_next_gap(&ranges, UINT64_MAX) == UINT64_MAX);
    assert_int_equal(ranges_add(&ranges, 2, UINT64_MAX), ERR_OK);
    assert_true(ranges_total(&ranges) == UINT64_MAX);
    assert_int_equal(ranges_add(&ranges, 1, 1), ERR_OK);
    assert_int_equal(ranges.count, 1);
    assert_true(ranges_total(&ranges) == UINT64_MAX); // one short of the truth, which has no room
    assert_true(ranges_next_gap(&ranges, 0) == UINT64_MAX);
    ranges_deinit(&ranges);
}

static void empty_set_holds_nothing(void **state)
{
    (void)state;
    struct ranges ranges;
    ranges_init(&ranges, 4);
    assert_false(ranges_contain(&ranges, 0));
    assert_true(ranges_total(&ranges) == 0);
    assert_true(ranges_next_gap(&ranges, 7) == 7);
    ranges_deinit(&ranges);
    ranges_deinit(&ranges);
    ranges_deinit(NULL);
}

static void add_crossed(void *context)
{
    (void)!ranges_add(context, 1, 0);
}

static void crossed_ends_abort(void **state)
{
    (void)state;
    struct ranges ranges;
    ranges_init(&ranges, 4);
    assert_true(aborts(add_crossed, &ranges));
}

// Each refused add must leave the set as it was, and succeed when tried again.
static void refused_memory_loses_nothing(void **state)
{
    (void)state;
    int hits = 0;
    struct ranges ranges;
    ranges_init(&ranges, 100);
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t number = i % 2 == 0 ? 1000 + 2 * i : 1000 - 2 * i; // at the end, and in front
        fault_alloc_arm(1);
        enum err err = ranges_add(&ranges, number, number);
        fault_alloc_disarm();
        assert_int_equal(err, fault_alloc_hit() ? ERR_NO_MEMORY : ERR_OK);
        hits += fault_alloc_hit();
        if (err != ERR_OK) {
            assert_false(ranges_contain(&ranges, number));
            assert_true(ranges_total(&ranges) == i);
            assert_int_equal(ranges_add(&ranges, number, number), ERR_OK);
        }
        assert_well_formed(&ranges);
    }
    assert_int_equal(hits, 5); // room for 8, 16, 32, 64, 100
    assert_true(ranges_total(&ranges) == 100);
    ranges_deinit(&ranges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_adds_agree_with_a_bitmap),
        cmocka_unit_test(every_two_ranges_join_exactly_when_they_touch),
        cmocka_unit_test(numbers_in_order_stay_one_range),
        cmocka_unit_test(ranges_up_to_the_cap_are_taken_and_one_more_is_not),
        cmocka_unit_test(both_ends_of_the_number_line_are_numbers_like_others),
        cmocka_unit_test(empty_set_holds_nothing),
        cmocka_unit_test(crossed_ends_abort),
        cmocka_unit_test(refused_memory_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
