// Comparing views, parsing numbers and durations, and the nearest word.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "text.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct text empty = {0};

static void equality_is_of_bytes_and_knows_the_empty_text(void **state)
{
    (void)state;
    assert_true(text_equal(TEXT("abc"), TEXT("abc")));
    assert_false(text_equal(TEXT("abc"), TEXT("abd")));
    assert_false(text_equal(TEXT("abc"), TEXT("ab")));
    assert_true(text_equal(TEXT("a\0b"), TEXT("a\0b")));
    assert_false(text_equal(TEXT("a\0b"), TEXT("a\0c")));
    assert_true(text_equal(empty, TEXT("")));
    assert_true(text_equal(text_of(NULL), empty));
    assert_true(text_equal(text_of("abc"), TEXT("abc")));
}

static void case_is_ignored_for_ascii_letters_only(void **state)
{
    (void)state;
    assert_true(text_equal_nocase_ascii(TEXT("aZ09"), TEXT("Az09")));
    assert_true(text_equal_nocase_ascii(empty, TEXT("")));
    assert_false(text_equal_nocase_ascii(TEXT("abc"), TEXT("ab")));
    assert_false(text_equal_nocase_ascii(TEXT("@"), TEXT("`"))); // next to 'A' and 'a'
    assert_false(text_equal_nocase_ascii(TEXT("["), TEXT("{"))); // next to 'Z' and 'z'
    assert_false(text_equal_nocase_ascii(TEXT("\xC4"), TEXT("\xE4")));
}

static void order_is_by_bytes_and_a_prefix_comes_first(void **state)
{
    (void)state;
    static const struct text rising[] = {TEXT(""),   TEXT("a"), TEXT("a\0"),
                                         TEXT("aa"), TEXT("b"), TEXT("\x80")};
    for (size_t i = 0; i < COUNT(rising); i++) {
        for (size_t j = 0; j < COUNT(rising); j++) {
            int order = text_compare(rising[i], rising[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    assert_int_equal(text_compare(empty, TEXT("")), 0);
}

static void prefix_may_be_empty_or_whole_but_not_longer(void **state)
{
    (void)state;
    assert_true(text_starts_with(TEXT("abc"), TEXT("")));
    assert_true(text_starts_with(empty, empty));
    assert_true(text_starts_with(TEXT("abc"), TEXT("ab")));
    assert_true(text_starts_with(TEXT("abc"), TEXT("abc")));
    assert_false(text_starts_with(TEXT("abc"), TEXT("abcd")));
    assert_false(text_starts_with(TEXT("abc"), TEXT("b")));
}

static void unsigned_numbers_are_digits_only_and_bounded(void **state)
{
    (void)state;
    static const struct {
        struct text text;
        uint64_t value;
    } good[] = {
        {TEXT("0"), 0},
        {TEXT("7"), 7},
        {TEXT("0000000000000000000000000000042"), 42},
        {TEXT("18446744073709551614"), UINT64_MAX - 1},
        {TEXT("18446744073709551615"), UINT64_MAX},
    };
    static const struct text bad[] = {
        TEXT(""),
        TEXT("-1"),
        TEXT("+1"),
        TEXT(" 1"),
        TEXT("1 "),
        TEXT("1.0"),
        TEXT("1e3"),
        TEXT("0x1"),
        TEXT("1\0"),
        TEXT("/"),
        TEXT(":"),
        TEXT("18446744073709551616"),
        TEXT("18446744073709551620"),
        TEXT("99999999999999999999"),
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        uint64_t value = 99;
        assert_true(text_parse_u64(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint64_t value = 99;
        assert_false(text_parse_u64(bad[i], &value));
        assert_true(value == 99);
    }
    uint64_t value = 99;
    assert_false(text_parse_u64(empty, &value));
}

static void signed_numbers_reach_both_ends_and_no_further(void **state)
{
    (void)state;
    static const struct {
        struct text text;
        int64_t value;
    } good[] = {
        {TEXT("0"), 0},
        {TEXT("-0"), 0},
        {TEXT("-007"), -7},
        {TEXT("9223372036854775806"), INT64_MAX - 1},
        {TEXT("9223372036854775807"), INT64_MAX},
        {TEXT("-9223372036854775807"), INT64_MIN + 1},
        {TEXT("-9223372036854775808"), INT64_MIN},
    };
    static const struct text bad[] = {
        TEXT(""),
        TEXT("-"),
        TEXT("--1"),
        TEXT("+1"),
        TEXT("1-"),
        TEXT("9223372036854775808"),
        TEXT("-9223372036854775809"),
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        int64_t value = 99;
        assert_true(text_parse_i64(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        int64_t value = 99;
        assert_false(text_parse_i64(bad[i], &value));
        assert_true(value == 99);
    }
}

static void durations_have_a_unit_or_are_zero(void **state)
{
    (void)state;
    static const struct {
        struct text text;
        int64_t us;
    } good[] = {
        {TEXT("0"), 0},
        {TEXT("0s"), 0},
        {TEXT("0d"), 0},
        {TEXT("250ms"), 250000},
        {TEXT("1s"), 1000000},
        {TEXT("90s"), 90000000},
        {TEXT("15m"), INT64_C(900000000)},
        {TEXT("2h"), INT64_C(7200000000)},
        {TEXT("7d"), INT64_C(604800000000)},
        // The longest that microseconds can hold, in each unit.
        {TEXT("9223372036854775ms"), INT64_C(9223372036854775000)},
        {TEXT("9223372036854s"), INT64_C(9223372036854000000)},
        {TEXT("153722867280m"), INT64_C(9223372036800000000)},
        {TEXT("2562047788h"), INT64_C(9223372036800000000)},
        {TEXT("106751991d"), INT64_C(9223372022400000000)},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        int64_t us = 99;
        assert_true(text_parse_duration_us(good[i].text, &us));
        assert_true(us == good[i].us);
    }
}

static void other_durations_are_refused(void **state)
{
    (void)state;
    static const struct text bad[] = {
        TEXT(""),
        TEXT("1"),
        TEXT("s"),
        TEXT("-1s"),
        TEXT("-0"),
        TEXT("+1s"),
        TEXT("1.5s"),
        TEXT(" 1s"),
        TEXT("1 s"),
        TEXT("1s "),
        TEXT("1S"),
        TEXT("1w"),
        TEXT("1us"),
        TEXT("1h30m"),
        TEXT("1sec"),
        TEXT("ms"),
        TEXT("1\0s"),
        TEXT("1m\0"),
        TEXT("9223372036854776ms"),
        TEXT("9223372036855s"),
        TEXT("153722867281m"),
        TEXT("2562047789h"),
        TEXT("106751992d"),
        TEXT("18446744073709551615s"),
        TEXT("18446744073709551616s"),
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        int64_t us = 99;
        assert_false(text_parse_duration_us(bad[i], &us));
        assert_true(us == 99);
    }
    int64_t us = 99;
    assert_false(text_parse_duration_us(empty, &us));
}

static void nearest_word_counts_all_four_kinds_of_edit(void **state)
{
    (void)state;
    static const struct text words[] = {TEXT("grace"), TEXT("bucket"), TEXT("endpoint"),
                                        TEXT("max_hold"), TEXT("")};
    static const struct {
        struct text word;
        size_t nearest;
    } cases[] = {
        {TEXT("grace"), 0},  // none
        {TEXT("grase"), 0},  // one replaced
        {TEXT("gace"), 0},   // one missing
        {TEXT("graces"), 0}, // one too many
        {TEXT("garce"), 0},  // two swapped
        {TEXT("bucekt"), 1}, // swapped near the end
        {TEXT("endpiont"), 2},
        {TEXT("maxhold"), 3},
        {TEXT("edpointss"), 2},           // three edits of nine
        {TEXT("dpointss"), COUNT(words)}, // four edits of eight
        {TEXT("gr"), COUNT(words)},       // three edits, but more than half of two
        {TEXT("xyz"), COUNT(words)},
        {TEXT(""), 4}, // equal needs no edit
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(text_nearest(cases[i].word, words, COUNT(words)), cases[i].nearest);
    }
    assert_int_equal(text_nearest(TEXT("grace"), NULL, 0), 0);
}

static void swap_counts_once_where_three_edits_are_the_limit(void **state)
{
    (void)state;
    static const struct text words[] = {TEXT("badcfe")};
    assert_int_equal(text_nearest(TEXT("abcdef"), words, 1), 0); // three swaps, or six replaced
}

static void edits_reach_half_of_the_word_and_no_further(void **state)
{
    (void)state;
    static const struct text words[] = {TEXT("abxy")};
    assert_int_equal(text_nearest(TEXT("abcd"), words, 1), 0); // 2 of 4
    assert_int_equal(text_nearest(TEXT("axx"), words, 1), 1);  // 2 of 3
}

static void fewest_edits_win_and_the_first_of_equals(void **state)
{
    (void)state;
    static const struct text words[] = {TEXT("orders_xx"), TEXT("orders"), TEXT("orderz")};
    assert_int_equal(text_nearest(TEXT("order"), words, COUNT(words)), 1);
    assert_int_equal(text_nearest(TEXT("orderz"), words, COUNT(words)), 2);
}

static void words_up_to_64_bytes_are_compared_and_longer_ones_skipped(void **state)
{
    (void)state;
    char word[66];
    char candidate[66];
    memset(word, 'w', sizeof(word));
    memset(candidate, 'w', sizeof(candidate));
    for (size_t size = 63; size <= 65; size++) {
        struct text same = {candidate, size};
        assert_int_equal(text_nearest((struct text){word, size}, &same, 1), size <= 64 ? 0 : 1);
        assert_int_equal(text_nearest((struct text){word, 64}, &same, 1), size <= 64 ? 0 : 1);
        struct text short_enough = {candidate, 64};
        assert_int_equal(text_nearest((struct text){word, size}, &short_enough, 1),
                         size <= 64 ? 0 : 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_is_of_bytes_and_knows_the_empty_text),
        cmocka_unit_test(case_is_ignored_for_ascii_letters_only),
        cmocka_unit_test(order_is_by_bytes_and_a_prefix_comes_first),
        cmocka_unit_test(prefix_may_be_empty_or_whole_but_not_longer),
        cmocka_unit_test(unsigned_numbers_are_digits_only_and_bounded),
        cmocka_unit_test(signed_numbers_reach_both_ends_and_no_further),
        cmocka_unit_test(durations_have_a_unit_or_are_zero),
        cmocka_unit_test(other_durations_are_refused),
        cmocka_unit_test(nearest_word_counts_all_four_kinds_of_edit),
        cmocka_unit_test(swap_counts_once_where_three_edits_are_the_limit),
        cmocka_unit_test(edits_reach_half_of_the_word_and_no_further),
        cmocka_unit_test(fewest_edits_win_and_the_first_of_equals),
        cmocka_unit_test(words_up_to_64_bytes_are_compared_and_longer_ones_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
