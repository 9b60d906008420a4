// The random source: the same numbers everywhere, without bias.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "aborts.h"
#include "rand.h"
#include "test_seed.h"

#define DRAW_COUNT 60000

static void generator_gives_the_published_numbers(void **state)
{
    (void)state;
    static const uint64_t expected[] = {11520,
                                        0,
                                        1509978240,
                                        UINT64_C(1215971899390074240),
                                        UINT64_C(1216172134540287360),
                                        UINT64_C(607988272756665600),
                                        UINT64_C(16172922978634559625),
                                        UINT64_C(8476171486693032832),
                                        UINT64_C(10595114339597558777),
                                        UINT64_C(2904607092377533576)};
    struct rand rand = {.state = {1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(rand_u64(&rand) == expected[i]);
    }
}

static void seed_is_spread_by_splitmix(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, 0);
    assert_true(rand.state[0] == UINT64_C(16294208416658607535));
    assert_true(rand.state[3] == UINT64_C(17909611376780542444));
    assert_true(rand_u64(&rand) == UINT64_C(11091344671253066420));
    rand_seed(&rand, 42);
    assert_true(rand_u64(&rand) == UINT64_C(1546998764402558742));
    assert_true(rand_u64(&rand) == UINT64_C(6990951692964543102));
}

static void draws_below_a_bound_reach_all_of_it_and_no_more(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (uint64_t bound = 1; bound <= 20; bound++) {
        uint64_t seen = 0;
        for (int i = 0; i < 2000; i++) {
            uint64_t value = rand_below(&rand, bound);
            assert_true(value < bound);
            seen |= UINT64_C(1) << value;
        }
        assert_true(seen == (UINT64_C(1) << bound) - 1);
    }
}

// Of 3 * 2^62 values, a draw without rejection would give every third one twice as often.
static void draws_below_a_large_bound_have_no_bias(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    int counts[3] = {0};
    for (int i = 0; i < DRAW_COUNT; i++) {
        counts[rand_below(&rand, UINT64_C(3) << 62) % 3]++;
    }
    for (int i = 0; i < 3; i++) {
        // 1,000 is more than eight standard deviations.
        assert_in_range(counts[i], DRAW_COUNT / 3 - 1000, DRAW_COUNT / 3 + 1000);
    }
}

static void draws_between_include_both_ends(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    unsigned seen = 0;
    for (int i = 0; i < 2000; i++) {
        int64_t value = rand_between(&rand, -2, 2);
        assert_true(value >= -2 && value <= 2);
        seen |= 1u << (value + 2);
    }
    assert_int_equal(seen, 31);
    assert_true(rand_between(&rand, INT64_MIN, INT64_MIN) == INT64_MIN);
    assert_true(rand_between(&rand, INT64_MAX, INT64_MAX) == INT64_MAX);
}

static void draws_between_the_outermost_ends_have_both_signs(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    int negative_count = 0;
    for (int i = 0; i < 1000; i++) {
        negative_count += rand_between(&rand, INT64_MIN, INT64_MAX) < 0;
    }
    assert_in_range(negative_count, 350, 650);
}

static void chance_is_met_about_as_often_as_asked(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    int hits = 0;
    for (int i = 0; i < DRAW_COUNT; i++) {
        assert_false(rand_chance_ppm(&rand, 0));
        assert_true(rand_chance_ppm(&rand, 1000000));
        hits += rand_chance_ppm(&rand, 250000);
    }
    assert_in_range(hits, DRAW_COUNT / 4 - 1000, DRAW_COUNT / 4 + 1000);
}

// The state is made to draw 1 of 2^64, which lands on the first of a million.
static void no_chance_is_none_even_for_the_smallest_draw(void **state)
{
    (void)state;
    const struct rand about_to_draw_one = {.state = {0, UINT64_C(0x7d6c16c16c16c16c), 0, 0}};
    struct rand rand = about_to_draw_one;
    assert_true(rand_u64(&rand) == 1);
    rand = about_to_draw_one;
    assert_false(rand_chance_ppm(&rand, 0));
    rand = about_to_draw_one;
    assert_true(rand_chance_ppm(&rand, 1));
}

static void draw_below_nothing(void *context)
{
    (void)rand_below(context, 0);
}

static void draw_between_crossed_ends(void *context)
{
    (void)rand_between(context, 1, 0);
}

static void empty_ranges_abort(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, 1);
    assert_true(aborts(draw_below_nothing, &rand));
    assert_true(aborts(draw_between_crossed_ends, &rand));
}

static void system_seeds_differ(void **state)
{
    (void)state;
    assert_true(rand_seed_from_system() != rand_seed_from_system());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generator_gives_the_published_numbers),
        cmocka_unit_test(seed_is_spread_by_splitmix),
        cmocka_unit_test(draws_below_a_bound_reach_all_of_it_and_no_more),
        cmocka_unit_test(draws_below_a_large_bound_have_no_bias),
        cmocka_unit_test(draws_between_include_both_ends),
        cmocka_unit_test(draws_between_the_outermost_ends_have_both_signs),
        cmocka_unit_test(chance_is_met_about_as_often_as_asked),
        cmocka_unit_test(no_chance_is_none_even_for_the_smallest_draw),
        cmocka_unit_test(empty_ranges_abort),
        cmocka_unit_test(system_seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
