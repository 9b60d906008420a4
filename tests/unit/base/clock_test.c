// Clocks, and points in time as text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "aborts.h"
#include "clock.h"
#include "test_seed.h"

#include <string.h>
#include <time.h>

static void virtual_clock_stands_still_until_told(void **state)
{
    (void)state;
    struct virtual_time time = {.wall_us = 1000, .mono_ns = 5};
    struct clock clock = clock_virtual(&time);
    assert_int_equal(clock_wall_us(&clock), 1000);
    assert_int_equal(clock_wall_us(&clock), 1000);
    virtual_time_advance(&time, 0);
    assert_int_equal(clock_mono_ns(&clock), 5);
    virtual_time_advance(&time, 7);
    assert_int_equal(clock_wall_us(&clock), 1007);
    assert_int_equal(clock_mono_ns(&clock), 7005);
}

static void wall_may_jump_without_the_monotonic_clock(void **state)
{
    (void)state;
    struct virtual_time time = {.wall_us = 1000, .mono_ns = 5};
    struct clock clock = clock_virtual(&time);
    time.wall_us = -1;
    assert_int_equal(clock_wall_us(&clock), -1);
    assert_int_equal(clock_mono_ns(&clock), 5);
}

static void step_back(void *context)
{
    virtual_time_advance(context, -1);
}

static void advancing_backwards_aborts(void **state)
{
    (void)state;
    struct virtual_time time = {0};
    assert_true(aborts(step_back, &time));
}

static void real_wall_is_the_time_of_day_in_microseconds(void **state)
{
    (void)state;
    struct clock clock = clock_real();
    int64_t before = time(NULL);
    int64_t wall_us = clock_wall_us(&clock);
    int64_t after = time(NULL);
    // time() may lag by a tick of the kernel's clock.
    assert_true(wall_us >= before * US_PER_SECOND);
    assert_true(wall_us <= (after + 2) * US_PER_SECOND);
}

static void real_monotonic_clock_moves_and_never_goes_back(void **state)
{
    (void)state;
    struct clock clock = clock_real();
    int64_t first = clock_mono_ns(&clock);
    int64_t last = first;
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_mono_ns(&clock);
        assert_true(now >= last);
        last = now;
    }
    assert_true(last > first);
    assert_true(last - first < 100 * NS_PER_SECOND);
}

static void known_times_are_written_as_known(void **state)
{
    (void)state;
    static const struct {
        int64_t wall_us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {INT64_C(1705831290123456), "2024-01-21T10:01:30.123456Z"},
        {INT64_C(1709164800000000), "2024-02-29T00:00:00.000000Z"},
        {INT64_C(1709251199999999), "2024-02-29T23:59:59.999999Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
        {INT64_C(4107542400000000), "2100-03-01T00:00:00.000000Z"}, // no leap day in 2100
        {INT64_C(4107542399999999), "2100-02-28T23:59:59.999999Z"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
        {INT64_C(-62135596800000000), "0001-01-01T00:00:00.000000Z"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[CLOCK_RFC3339_SIZE];
        clock_format_rfc3339(cases[i].wall_us, text);
        assert_string_equal(text, cases[i].text);
    }
}

// What the C library makes of the same time.
static void assert_agrees_with_library(int64_t wall_us)
{
    int64_t us = wall_us % US_PER_SECOND;
    time_t seconds = wall_us / US_PER_SECOND;
    if (us < 0) {
        us += US_PER_SECOND;
        seconds--;
    }
    struct tm parts;
    assert_non_null(gmtime_r(&seconds, &parts));
    char expected[80];
    (void)snprintf(expected, sizeof(expected), "%04lld-%02d-%02dT%02d:%02d:%02d.%06dZ",
                   1900LL + parts.tm_year, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                   parts.tm_min, parts.tm_sec, (int)us);
    char text[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(wall_us, text);
    assert_string_equal(text, expected);
}

static void every_day_of_eight_centuries_agrees_with_the_library(void **state)
{
    (void)state;
    for (int64_t day = -150000; day <= 150000; day++) {
        assert_agrees_with_library(day * 86400 * US_PER_SECOND);
    }
}

static void random_times_and_both_ends_agree_with_the_library(void **state)
{
    (void)state;
    assert_agrees_with_library(INT64_MIN);
    assert_agrees_with_library(INT64_MAX);
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (int i = 0; i < 20000; i++) {
        assert_agrees_with_library(rand_between(&rand, INT64_MIN, INT64_MAX));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(virtual_clock_stands_still_until_told),
        cmocka_unit_test(wall_may_jump_without_the_monotonic_clock),
        cmocka_unit_test(advancing_backwards_aborts),
        cmocka_unit_test(real_wall_is_the_time_of_day_in_microseconds),
        cmocka_unit_test(real_monotonic_clock_moves_and_never_goes_back),
        cmocka_unit_test(known_times_are_written_as_known),
        cmocka_unit_test(every_day_of_eight_centuries_agrees_with_the_library),
        cmocka_unit_test(random_times_and_both_ends_agree_with_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
