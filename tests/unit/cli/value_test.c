// The kinds of values: what is read, what is refused, and that writing and reading agree.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "value.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const colours[] = {"red", "green", NULL};

static struct value_rule rule_of(enum value_kind kind)
{
    return (struct value_rule){kind, 0, INT64_MAX, kind == VALUE_CHOICE ? colours : NULL};
}

static void values_are_read_in_their_unit(void **state)
{
    (void)state;
    static const struct {
        enum value_kind kind;
        const char *text;
        int64_t number;
    } cases[] = {
        {VALUE_BOOL, "true", 1},
        {VALUE_BOOL, "false", 0},
        {VALUE_COUNT, "0", 0},
        {VALUE_COUNT, "9223372036854775807", INT64_MAX},
        {VALUE_SIZE, "0", 0},
        {VALUE_SIZE, "512", 512},
        {VALUE_SIZE, "1KiB", 1024},
        {VALUE_SIZE, "4MiB", 4194304},
        {VALUE_SIZE, "8589934591GiB", INT64_C(9223372035781033984)},
        {VALUE_DURATION, "0s", 0},
        {VALUE_DURATION, "250ms", 250000},
        {VALUE_DURATION, "90s", 90000000},
        {VALUE_SHARE, "0", 0},
        {VALUE_SHARE, "1", 1000000},
        {VALUE_SHARE, "5%", 50000},
        {VALUE_SHARE, "0.05", 50000},
        {VALUE_SHARE, "0.0001%", 1},
        {VALUE_SHARE, "0.000001", 1},
        {VALUE_SHARE, "99.9999%", 999999},
        {VALUE_CHOICE, "red", 0},
        {VALUE_CHOICE, "green", 1},
        {VALUE_TEXT, "any \xc3\xa4", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value_rule rule = rule_of(cases[i].kind);
        int64_t number = -1;
        assert_int_equal(value_parse(&rule, text_of(cases[i].text), &number), VALUE_OK);
        assert_true(number == cases[i].number);
    }
}

static void malformed_values_are_refused_and_leave_the_output_alone(void **state)
{
    (void)state;
    static const struct {
        enum value_kind kind;
        const char *text;
    } cases[] = {
        {VALUE_BOOL, ""},        {VALUE_BOOL, "yes"},        {VALUE_BOOL, "True"},
        {VALUE_COUNT, ""},       {VALUE_COUNT, "-1"},        {VALUE_COUNT, "+1"},
        {VALUE_COUNT, "1 "},     {VALUE_COUNT, "1e3"},       {VALUE_COUNT, "9223372036854775808"},
        {VALUE_COUNT, "0x10"},   {VALUE_SIZE, ""},           {VALUE_SIZE, "KiB"},
        {VALUE_SIZE, "4MB"},     {VALUE_SIZE, "4 MiB"},      {VALUE_SIZE, "8589934592GiB"},
        {VALUE_SIZE, "4mib"},    {VALUE_SIZE, "1.5MiB"},     {VALUE_DURATION, ""},
        {VALUE_DURATION, "10x"}, {VALUE_DURATION, "-1s"},    {VALUE_DURATION, "1e99"},
        {VALUE_SHARE, ""},       {VALUE_SHARE, "%"},         {VALUE_SHARE, ".5"},
        {VALUE_SHARE, "5."},     {VALUE_SHARE, "0.0000001"}, {VALUE_SHARE, "0.00001%"},
        {VALUE_SHARE, "-1%"},    {VALUE_SHARE, "1e1"},       {VALUE_SHARE, "1000001"},
        {VALUE_SHARE, "0.5.5"},  {VALUE_CHOICE, ""},         {VALUE_CHOICE, "Red"},
        {VALUE_CHOICE, "re"},    {VALUE_CURRENCY, "usd"},    {VALUE_CURRENCY, "XXX"},
        {VALUE_CURRENCY, ""},    {VALUE_TEXT, ""},           {VALUE_TEXT, "a\tb"},
        {VALUE_TEXT, "\x7f"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value_rule rule = rule_of(cases[i].kind);
        int64_t number = -7;
        if (value_parse(&rule, text_of(cases[i].text), &number) != VALUE_MALFORMED) {
            fail_msg("case %zu was read: \"%s\"", i, cases[i].text);
        }
        assert_int_equal(number, -7);
    }
}

static void bounds_are_included_and_nothing_beyond_them(void **state)
{
    (void)state;
    static const struct value_rule rule = {VALUE_COUNT, 10, 20, NULL};
    static const struct {
        const char *text;
        enum value_result result;
    } cases[] = {{"9", VALUE_OUT_OF_RANGE}, {"10", VALUE_OK}, {"11", VALUE_OK},
                 {"19", VALUE_OK},          {"20", VALUE_OK}, {"21", VALUE_OUT_OF_RANGE}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t number = 0;
        assert_int_equal(value_parse(&rule, text_of(cases[i].text), &number), cases[i].result);
    }
}

// Big enough for any field of VALUE_TYPE.
union field {
    bool flag;
    const char *text;
    int64_t number;
    uint32_t share;
    unsigned choice;
    struct currency currency;
};

static void what_is_written_reads_back_as_the_same_value(void **state)
{
    (void)state;
    static const struct {
        enum value_kind kind;
        const char *given;
        const char *written;
    } cases[] = {
        {VALUE_BOOL, "true", "true"},
        {VALUE_TEXT, "a b", "a b"},
        {VALUE_COUNT, "007", "7"},
        {VALUE_SIZE, "2048", "2KiB"},
        {VALUE_SIZE, "1025", "1025"},
        {VALUE_SIZE, "3072MiB", "3GiB"},
        {VALUE_SIZE, "0", "0"},
        {VALUE_DURATION, "0s", "0s"},
        {VALUE_DURATION, "120s", "2m"},
        {VALUE_DURATION, "90s", "90s"},
        {VALUE_DURATION, "48h", "2d"},
        {VALUE_DURATION, "1500ms", "1500ms"},
        {VALUE_SHARE, "0.05", "5%"},
        {VALUE_SHARE, "0.000001", "0.0001%"},
        {VALUE_SHARE, "1", "100%"},
        {VALUE_SHARE, "2.50%", "2.5%"},
        {VALUE_SHARE, "10.05%", "10.05%"},
        {VALUE_CHOICE, "green", "green"},
        {VALUE_CURRENCY, "JPY", "JPY"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value_rule rule = rule_of(cases[i].kind);
        union field field = {0};
        int64_t number = 0;
        int64_t again = 0;
        char memory[64];
        struct buf out;
        buf_init_fixed(&out, memory, sizeof memory);
        assert_int_equal(value_parse(&rule, text_of(cases[i].given), &number), VALUE_OK);
        value_store(&rule, &field, cases[i].given, number);
        value_add_text(&rule, &field, &out);
        assert_true(text_equal(buf_view(&out), text_of(cases[i].written)));
        assert_int_equal(value_parse(&rule, buf_view(&out), &again), VALUE_OK);
        assert_true(again == number);
    }
}

static void a_long_or_strange_value_is_cut_and_escaped_in_the_complaint(void **state)
{
    (void)state;
    struct value_rule rule = rule_of(VALUE_COUNT);
    char got[101];
    memset(got, 'x', 100);
    got[0] = '\x1b';
    got[100] = '\0';
    char memory[320];
    struct buf out;
    buf_init_fixed(&out, memory, sizeof memory - 1);
    value_add_complaint(&rule, VALUE_MALFORMED, text_of(got), &out);
    memory[buf_view(&out).size] = '\0';
    assert_string_equal(memory, "expected a whole number, got "
                                "\"\\x1bxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_in_their_unit),
        cmocka_unit_test(malformed_values_are_refused_and_leave_the_output_alone),
        cmocka_unit_test(bounds_are_included_and_nothing_beyond_them),
        cmocka_unit_test(what_is_written_reads_back_as_the_same_value),
        cmocka_unit_test(a_long_or_strange_value_is_cut_and_escaped_in_the_complaint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
