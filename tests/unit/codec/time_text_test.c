// Dates and times as text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "clock.h"
#include "test_seed.h"
#include "time_text.h"

#include <string.h>

static void dates_that_exist_are_dates(void **state)
{
    (void)state;
    static const char *const dates[] = {"1970-01-01", "2024-02-29", "2000-02-29",
                                        "0000-01-01", "9999-12-31", "2023-11-30"};
    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        assert_true(time_text_is_date(text_of(dates[i])));
    }
}

static void dates_that_do_not_exist_are_none(void **state)
{
    (void)state;
    static const char *const dates[] = {
        "",           "2023-02-29", "1900-02-29",           "2024-00-10",
        "2024-13-01", "2024-01-00", "2024-01-32",           "2024-11-31",
        "2024-1-21",  "2024-01-2",  "2024-01-211",          "24-01-21",
        "2024/01/21", "-024-01-21", "2024-01-21T10:01:30Z", "2024-01- 1",
    };
    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        assert_false(time_text_is_date(text_of(dates[i])));
    }
}

static void assert_us(const char *text, int64_t expected_us)
{
    int64_t us = -1;
    assert_true(time_text_parse_rfc3339(text_of(text), &us));
    assert_int_equal(us, expected_us);
}

static void times_are_read_to_the_microsecond(void **state)
{
    (void)state;
    assert_us("1970-01-01T00:00:00Z", 0);
    assert_us("1970-01-01t00:00:00z", 0);
    assert_us("1969-12-31T23:59:59.999999Z", -1);
    assert_us("2024-01-21T10:01:30Z", INT64_C(1705831290) * 1000000);
    assert_us("2024-01-21T10:01:30.5Z", INT64_C(1705831290500000));
    assert_us("2024-01-21T10:01:30.1234567890Z", INT64_C(1705831290123456));
    assert_us("2024-01-21T12:01:30+02:00", INT64_C(1705831290) * 1000000);
    assert_us("2024-01-20T20:01:30-14:00", INT64_C(1705831290) * 1000000);
    assert_us("2016-12-31T23:59:60Z", INT64_C(1483228800) * 1000000);
    assert_us("2000-03-01T00:00:00Z", INT64_C(951868800) * 1000000);
}

static void everything_else_is_no_time(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "2024-01-21",
        "2024-01-21T10:01:30",
        "2024-01-21 10:01:30Z",
        "2024-01-21T24:00:00Z",
        "2024-01-21T37:01:30Z",
        "2024-01-21T10:60:00Z",
        "2024-01-21T10:01:61Z",
        "2026-02-30T25:61:00Z",
        "2024-01-21T10:01:30.Z",
        "2024-01-21T10:01:30,5Z",
        "2024-01-21T10:01:30+24:00",
        "2024-01-21T10:01:30+02:60",
        "2024-01-21T10:01:30+0200",
        "2024-01-21T10:01:30+02",
        "2024-01-21T10:01:30ZZ",
        "2024-01-21T10:01Z",
        "2023-02-29T10:01:30Z",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t us = 7;
        assert_false(time_text_parse_rfc3339(text_of(texts[i]), &us));
        assert_int_equal(us, 7);
    }
}

// Every shortening of a good time is none, and nothing is read beyond its end.
static void prefixes_of_a_time_are_none(void **state)
{
    (void)state;
    static const char time[] = "2024-01-21T10:01:30.123456+02:00";
    for (size_t size = 0; size < sizeof(time) - 1; size++) {
        int64_t us;
        assert_false(time_text_parse_rfc3339((struct text){time, size}, &us));
    }
}

static void what_the_clock_formats_is_read_back(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    const int64_t year_0 = INT64_C(-62167219200) * US_PER_SECOND;
    const int64_t year_10000 = INT64_C(253402300800) * US_PER_SECOND;
    for (unsigned i = 0; i < 20000; i++) {
        char text[CLOCK_RFC3339_SIZE];
        const int64_t us = rand_between(&rand, year_0, year_10000 - 1);
        clock_format_rfc3339(us, text);
        assert_us(text, us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_that_exist_are_dates),
        cmocka_unit_test(dates_that_do_not_exist_are_none),
        cmocka_unit_test(times_are_read_to_the_microsecond),
        cmocka_unit_test(everything_else_is_no_time),
        cmocka_unit_test(prefixes_of_a_time_are_none),
        cmocka_unit_test(what_the_clock_formats_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
