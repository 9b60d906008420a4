// Decimal text to minor units and back: every form of bad number that a producer has sent or could
// send, the limits, and round trips of random amounts.
#include "money.h"

#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>

#define STRICT  false
#define LENIENT true

struct parse_case {
    const char *number;
    unsigned exponent;
    bool lenient;
    enum money_parsed parsed;
    int64_t minor; // of EXACT and ROUNDED
};

static void check_parse(struct text number, const struct parse_case *expected)
{
    const int64_t untouched = INT64_C(-77);
    int64_t minor = untouched;
    enum money_parsed parsed = money_parse(number, expected->exponent, expected->lenient, &minor);
    bool has_result = expected->parsed == MONEY_EXACT || expected->parsed == MONEY_ROUNDED;
    int64_t expected_minor = has_result ? expected->minor : untouched;
    if (parsed != expected->parsed || minor != expected_minor) {
        fail_msg("%.40s (%u digits, %s): got %d and %" PRId64 ", expected %d and %" PRId64,
                 expected->number, expected->exponent, expected->lenient ? "lenient" : "strict",
                 (int)parsed, minor, (int)expected->parsed, expected_minor);
    }
}

static void check_table(const struct parse_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_parse(text_of(cases[i].number), &cases[i]);
    }
}

#define CHECK_TABLE(cases) check_table((cases), sizeof(cases) / sizeof((cases)[0]))

static void exact_decimals_are_read_exactly_in_both_modes(void **state)
{
    (void)state;
    static const struct parse_case cases[] = {
        {"0", 2, STRICT, MONEY_EXACT, 0},
        {"0.0", 2, STRICT, MONEY_EXACT, 0},
        {"12", 2, STRICT, MONEY_EXACT, 1200},
        {"12.5", 2, STRICT, MONEY_EXACT, 1250},
        {"12.50", 2, STRICT, MONEY_EXACT, 1250},
        {"12.5000000000000000000000", 2, STRICT, MONEY_EXACT, 1250},
        {"1299.99", 2, STRICT, MONEY_EXACT, 129999},
        {"0.01", 2, STRICT, MONEY_EXACT, 1},
        {"100", 2, STRICT, MONEY_EXACT, 10000},
        {"1e2", 2, STRICT, MONEY_EXACT, 10000},
        {"1E+2", 2, STRICT, MONEY_EXACT, 10000},
        {"1e00002", 2, STRICT, MONEY_EXACT, 10000},
        {"100e-2", 2, STRICT, MONEY_EXACT, 100},
        {"1200e-4", 2, STRICT, MONEY_EXACT, 12},
        {"0.0012e3", 2, STRICT, MONEY_EXACT, 120},
        {"1.05e1", 2, STRICT, MONEY_EXACT, 1050},
        {"10203.040e0", 2, STRICT, MONEY_EXACT, 1020304},
        {"10", 0, STRICT, MONEY_EXACT, 10},
        {"10.0", 0, STRICT, MONEY_EXACT, 10},
        {"1.234", 3, STRICT, MONEY_EXACT, 1234},
        {"1.2345", 4, STRICT, MONEY_EXACT, 12345},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct parse_case lenient = cases[i];
        lenient.lenient = LENIENT;
        check_parse(text_of(cases[i].number), &cases[i]);
        check_parse(text_of(lenient.number), &lenient);
    }
}

static void excess_digits_are_refused_when_strict(void **state)
{
    (void)state;
    static const struct parse_case cases[] = {
        {"12.505", 2, STRICT, MONEY_TOO_PRECISE, 0},
        {"10.5", 0, STRICT, MONEY_TOO_PRECISE, 0},
        {"1.2345", 3, STRICT, MONEY_TOO_PRECISE, 0},
        {"0.001", 2, STRICT, MONEY_TOO_PRECISE, 0},
        {"1e-3", 2, STRICT, MONEY_TOO_PRECISE, 0},
        {"1e-400", 2, STRICT, MONEY_TOO_PRECISE, 0},
        {"0.30000000000000004", 2, STRICT, MONEY_TOO_PRECISE, 0},
        {"512.3400000000001", 2, STRICT, MONEY_TOO_PRECISE, 0},
    };
    CHECK_TABLE(cases);
}

static void printed_doubles_are_rounded_half_even_when_lenient(void **state)
{
    (void)state;
    static const struct parse_case cases[] = {
        {"0.30000000000000004", 2, LENIENT, MONEY_ROUNDED, 30},
        {"512.3400000000001", 2, LENIENT, MONEY_ROUNDED, 51234},
        {"512.3399999999999", 2, LENIENT, MONEY_ROUNDED, 51234},
        {"12.505", 2, LENIENT, MONEY_ROUNDED, 1250},
        {"12.515", 2, LENIENT, MONEY_ROUNDED, 1252},
        {"0.125", 2, LENIENT, MONEY_ROUNDED, 12},
        {"0.375", 2, LENIENT, MONEY_ROUNDED, 38},
        {"0.1250000000000001", 2, LENIENT, MONEY_ROUNDED, 13},
        {"0.1249999999999999", 2, LENIENT, MONEY_ROUNDED, 12},
        {"0.1350", 2, LENIENT, MONEY_ROUNDED, 14},
        {"0.005", 2, LENIENT, MONEY_ROUNDED, 0},
        {"0.0050000000000001", 2, LENIENT, MONEY_ROUNDED, 1},
        {"0.015", 2, LENIENT, MONEY_ROUNDED, 2},
        {"0.004", 2, LENIENT, MONEY_ROUNDED, 0},
        {"0.009", 2, LENIENT, MONEY_ROUNDED, 1},
        {"0.0009", 2, LENIENT, MONEY_ROUNDED, 0},
        {"0.999", 2, LENIENT, MONEY_ROUNDED, 100},
        {"10.5", 0, LENIENT, MONEY_ROUNDED, 10},
        {"11.5", 0, LENIENT, MONEY_ROUNDED, 12},
        {"1.2345", 3, LENIENT, MONEY_ROUNDED, 1234},
        {"1e-400", 2, LENIENT, MONEY_ROUNDED, 0},
        {"99999999999999.999", 2, LENIENT, MONEY_ROUNDED, INT64_C(10000000000000000)},
    };
    CHECK_TABLE(cases);
}

static void only_numbers_a_double_can_print_are_rounded(void **state)
{
    (void)state;
    static const struct parse_case cases[] = {
        {"0.1234567890123456", 2, LENIENT, MONEY_ROUNDED, 12},
        {"0.12345678901234567", 2, LENIENT, MONEY_ROUNDED, 12},
        {"0.123456789012345678", 2, LENIENT, MONEY_TOO_PRECISE, 0},
        {"0.1234567890123456700", 2, LENIENT, MONEY_ROUNDED, 12},
        {"0.00000012345678901234567", 2, LENIENT, MONEY_ROUNDED, 0},
        {"100000000000000.01", 1, LENIENT, MONEY_ROUNDED, INT64_C(1000000000000000)},
        {"1000000000000000.01", 1, LENIENT, MONEY_TOO_PRECISE, 0},
    };
    CHECK_TABLE(cases);
}

static void numbers_that_do_not_fit_are_out_of_range(void **state)
{
    (void)state;
    static const struct parse_case cases[] = {
        {"9223372036854775806", 0, STRICT, MONEY_EXACT, INT64_MAX - 1},
        {"9223372036854775807", 0, STRICT, MONEY_EXACT, INT64_MAX},
        {"9223372036854775808", 0, STRICT, MONEY_OUT_OF_RANGE, 0},
        {"92233720368547758.06", 2, STRICT, MONEY_EXACT, INT64_MAX - 1},
        {"92233720368547758.07", 2, STRICT, MONEY_EXACT, INT64_MAX},
        {"92233720368547758.08", 2, STRICT, MONEY_OUT_OF_RANGE, 0},
        {"9999999999999999999", 0, STRICT, MONEY_OUT_OF_RANGE, 0},
        {"18446744073709551617", 0, STRICT, MONEY_OUT_OF_RANGE, 0},
        {"1e16", 2, STRICT, MONEY_EXACT, INT64_C(1000000000000000000)},
        {"1e17", 2, STRICT, MONEY_OUT_OF_RANGE, 0},
        {"2e18", 1, STRICT, MONEY_OUT_OF_RANGE, 0},
        {"100000000000000000", 2, STRICT, MONEY_OUT_OF_RANGE, 0},
        {"123456789012345678901234567890", 2, STRICT, MONEY_OUT_OF_RANGE, 0},
        {"123456789012345678901234567890.123", 2, STRICT, MONEY_OUT_OF_RANGE, 0},
        {"123456789012345678901234567890.123", 2, LENIENT, MONEY_OUT_OF_RANGE, 0},
        {"1e400", 2, STRICT, MONEY_OUT_OF_RANGE, 0},
        {"1e400", 2, LENIENT, MONEY_OUT_OF_RANGE, 0},
    };
    CHECK_TABLE(cases);
}

static void exponents_beyond_400_are_out_of_range_even_for_zero(void **state)
{
    (void)state;
    static const struct parse_case cases[] = {
        {"0e399", 2, STRICT, MONEY_EXACT, 0},
        {"0e400", 2, STRICT, MONEY_EXACT, 0},
        {"0e401", 2, STRICT, MONEY_OUT_OF_RANGE, 0},
        {"0e4000", 2, STRICT, MONEY_OUT_OF_RANGE, 0},
        {"0e-400", 2, STRICT, MONEY_EXACT, 0},
        {"0e-401", 2, STRICT, MONEY_OUT_OF_RANGE, 0},
        {"1e-399", 2, LENIENT, MONEY_ROUNDED, 0},
        {"1e-401", 2, LENIENT, MONEY_OUT_OF_RANGE, 0},
        {"1e99999999999999999999999999999999999999", 2, LENIENT, MONEY_OUT_OF_RANGE, 0},
        {"1e-99999999999999999999999999999999999999", 2, LENIENT, MONEY_OUT_OF_RANGE, 0},
        {"1e18446744073709551616", 2, STRICT, MONEY_OUT_OF_RANGE, 0},
    };
    CHECK_TABLE(cases);
}

static void negative_numbers_are_told_apart_and_minus_zero_is_zero(void **state)
{
    (void)state;
    static const struct parse_case cases[] = {
        {"-0", 2, STRICT, MONEY_EXACT, 0},          {"-0.00", 2, STRICT, MONEY_EXACT, 0},
        {"-0e10", 2, STRICT, MONEY_EXACT, 0},       {"-0.000000", 0, LENIENT, MONEY_EXACT, 0},
        {"-1", 2, STRICT, MONEY_NEGATIVE, 0},       {"-0.01", 2, STRICT, MONEY_NEGATIVE, 0},
        {"-0.001", 2, LENIENT, MONEY_NEGATIVE, 0},  {"-1e300", 2, STRICT, MONEY_NEGATIVE, 0},
        {"-1e-300", 2, LENIENT, MONEY_NEGATIVE, 0},
    };
    CHECK_TABLE(cases);
}

static void what_is_no_json_number_is_refused(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "",    "-",        "+1",        "01",     "00",   "-01",      "1.",      ".5",
        "-.5", "1.e2",     "1e",        "1e+",    "1e-",  "1e5.",     "1e1e1",   "1.2.3",
        "--1", "1-",       "0x10",      "1_000",  "1,5",  " 1",       "1 ",      "NaN",
        "nan", "Infinity", "-Infinity", "1e400x", "1f",   "\xD9\xA1", "12\n",    "1e 5",
        "0e",  "0.",       "-0.",       "\"1\"",  "true", "null",     "1e400.5",
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct parse_case strict = {numbers[i], 2, STRICT, MONEY_NOT_A_NUMBER, 0};
        struct parse_case lenient = {numbers[i], 2, LENIENT, MONEY_NOT_A_NUMBER, 0};
        check_parse(text_of(numbers[i]), &strict);
        check_parse(text_of(numbers[i]), &lenient);
    }
    struct parse_case zero_byte = {"1\\0", 2, STRICT, MONEY_NOT_A_NUMBER, 0};
    check_parse(TEXT("1\0"), &zero_byte);
    check_parse(TEXT("\0"), &zero_byte);
    check_parse((struct text){NULL, 0}, &zero_byte);
}

// prefix, then `count` times `fill`, then suffix.
static struct text long_number(char *memory, size_t memory_size, const char *prefix, char fill,
                               size_t count, const char *suffix)
{
    struct buf number;
    buf_init_fixed(&number, memory, memory_size);
    buf_add_str(&number, prefix);
    for (size_t i = 0; i < count; i++) {
        buf_add_char(&number, fill);
    }
    buf_add_str(&number, suffix);
    assert_false(buf_overflowed(&number));
    return buf_view(&number);
}

static void ten_thousand_digits_are_read_in_one_pass(void **state)
{
    (void)state;
    static char memory[10100];
    static const struct {
        const char *prefix;
        char fill;
        const char *suffix;
        bool lenient;
        enum money_parsed parsed;
        int64_t minor;
    } cases[] = {
        {"0.", '0', "1", STRICT, MONEY_TOO_PRECISE, 0},
        {"0.", '0', "1", LENIENT, MONEY_ROUNDED, 0},
        {"0.", '0', "", STRICT, MONEY_EXACT, 0},
        {"12.5", '0', "", STRICT, MONEY_EXACT, 1250},
        {"1", '0', "", STRICT, MONEY_OUT_OF_RANGE, 0},
        {"1", '0', "e-400", STRICT, MONEY_OUT_OF_RANGE, 0},
        {"1", '9', "", LENIENT, MONEY_OUT_OF_RANGE, 0},
        {"1.", '9', "", LENIENT, MONEY_TOO_PRECISE, 0},
        {"1.", '0', "1", LENIENT, MONEY_TOO_PRECISE, 0},
        {"-0.", '0', "", STRICT, MONEY_EXACT, 0},
        {"-", '9', "", STRICT, MONEY_NEGATIVE, 0},
        {"1e", '0', "2", STRICT, MONEY_EXACT, 10000},
        {"1e", '9', "", STRICT, MONEY_OUT_OF_RANGE, 0},
        {"1e-", '9', "", LENIENT, MONEY_OUT_OF_RANGE, 0},
        {"0", '0', "", STRICT, MONEY_NOT_A_NUMBER, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct parse_case expected = {cases[i].prefix, 2, cases[i].lenient, cases[i].parsed,
                                      cases[i].minor};
        check_parse(long_number(memory, sizeof(memory), cases[i].prefix, cases[i].fill, 10000,
                                cases[i].suffix),
                    &expected);
    }
}

static void zeros_and_exponent_cancel_out_exactly(void **state)
{
    (void)state;
    char memory[512];
    struct parse_case expected = {"0.00...0125e400", 2, STRICT, MONEY_EXACT, 1250};
    check_parse(long_number(memory, sizeof(memory), "0.", '0', 398, "125e400"), &expected);
    expected.number = "12500...0e-400";
    check_parse(long_number(memory, sizeof(memory), "125", '0', 399, "e-400"), &expected);
}

static void formatted_money_has_the_currency_s_digits(void **state)
{
    (void)state;
    static const struct {
        int64_t minor;
        unsigned exponent;
        const char *text;
    } cases[] = {
        {-1234, 2, "-12.34"},
        {0, 2, "0.00"},
        {0, 0, "0"},
        {5, 2, "0.05"},
        {-5, 2, "-0.05"},
        {-5, 0, "-5"},
        {100, 2, "1.00"},
        {99, 2, "0.99"},
        {1234, 3, "1.234"},
        {1234, 4, "0.1234"},
        {1234, 0, "1234"},
        {INT64_MAX, 0, "9223372036854775807"},
        {INT64_MAX, 2, "92233720368547758.07"},
        {INT64_MIN, 0, "-9223372036854775808"},
        {INT64_MIN, 4, "-922337203685477.5808"},
        {INT64_MIN, 18, "-9.223372036854775808"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char memory[32];
        struct buf out;
        buf_init_fixed(&out, memory, sizeof(memory));
        money_format(&out, cases[i].minor, cases[i].exponent);
        buf_add_char(&out, '\0');
        assert_false(buf_overflowed(&out));
        assert_string_equal(memory, cases[i].text);
    }
}

static void sums_and_products_are_checked(void **state)
{
    (void)state;
    int64_t result = -77;
    assert_true(money_add(INT64_MAX - 1, 1, &result));
    assert_int_equal(result, INT64_MAX);
    result = -77;
    assert_false(money_add(INT64_MAX, 1, &result));
    assert_false(money_add(INT64_MIN, -1, &result));
    assert_false(money_multiply(INT64_MAX, 2, &result));
    assert_false(money_multiply(INT64_C(1) << 32, INT64_C(1) << 31, &result));
    assert_int_equal(result, -77);
    assert_true(money_multiply(MONEY_PRICE_MINOR_MAX, 1000000, &result));
    assert_int_equal(result, INT64_C(1000000000000000000));
    assert_true(money_add(result, -1, &result));
    assert_int_equal(result, INT64_C(999999999999999999));
}

// Spread over all sizes, not only over the largest.
static int64_t random_minor(struct rand *rand)
{
    return (int64_t)(rand_u64(rand) >> (1 + rand_below(rand, 63)));
}

static void any_amount_survives_the_round_trip(void **state)
{
    (void)state;
    struct rand rand = rand_of_run();
    for (int i = 0; i < 50000; i++) {
        int64_t minor = random_minor(&rand);
        unsigned exponent = (unsigned)rand_below(&rand, 5);
        char memory[40];
        struct buf out;
        buf_init_fixed(&out, memory, sizeof(memory));
        money_format(&out, minor, exponent);
        struct parse_case expected = {memory, exponent, STRICT, MONEY_EXACT, minor};
        struct text number = buf_view(&out);
        buf_add_char(&out, '\0');
        check_parse(number, &expected);
    }
}

static void any_way_to_write_an_amount_gives_the_same_minor_units(void **state)
{
    (void)state;
    struct rand rand = rand_of_run();
    for (int i = 0; i < 50000; i++) {
        int64_t minor = random_minor(&rand);
        unsigned exponent = (unsigned)rand_below(&rand, 5);
        unsigned written_digits = (unsigned)rand_below(&rand, 19);
        int shift = (int)written_digits - (int)exponent;
        char memory[64];
        struct buf out;
        buf_init_fixed(&out, memory, sizeof(memory));
        money_format(&out, minor, written_digits);
        if (written_digits > 0 && rand_below(&rand, 2) == 0) {
            buf_add_str(&out, "000");
        }
        buf_add_fmt(&out, "%c%s%d", rand_below(&rand, 2) == 0 ? 'e' : 'E',
                    shift >= 0 && rand_below(&rand, 2) == 0 ? "+" : "", shift);
        struct parse_case expected = {memory, exponent, rand_below(&rand, 2) == 0, MONEY_EXACT,
                                      minor};
        struct text number = buf_view(&out);
        buf_add_char(&out, '\0');
        check_parse(number, &expected);
    }
}

// Half-even by counting up, as on paper.
static int64_t rounded_as_on_paper(int64_t value, int64_t unit)
{
    int64_t below = 0;
    while ((below + 1) * unit <= value) {
        below++;
    }
    int64_t to_below = value - below * unit;
    int64_t to_above = (below + 1) * unit - value;
    if (to_below == to_above) {
        return below % 2 == 0 ? below : below + 1;
    }
    return to_below < to_above ? below : below + 1;
}

static void rounding_agrees_with_rounding_on_paper(void **state)
{
    (void)state;
    for (int64_t value = 0; value < 3000; value++) {
        char memory[32];
        struct buf out;
        buf_init_fixed(&out, memory, sizeof(memory));
        money_format(&out, value, 4);
        struct parse_case expected = {memory, 2, LENIENT,
                                      value % 100 == 0 ? MONEY_EXACT : MONEY_ROUNDED,
                                      rounded_as_on_paper(value, 100)};
        struct text number = buf_view(&out);
        buf_add_char(&out, '\0');
        check_parse(number, &expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_decimals_are_read_exactly_in_both_modes),
        cmocka_unit_test(excess_digits_are_refused_when_strict),
        cmocka_unit_test(printed_doubles_are_rounded_half_even_when_lenient),
        cmocka_unit_test(only_numbers_a_double_can_print_are_rounded),
        cmocka_unit_test(numbers_that_do_not_fit_are_out_of_range),
        cmocka_unit_test(exponents_beyond_400_are_out_of_range_even_for_zero),
        cmocka_unit_test(negative_numbers_are_told_apart_and_minus_zero_is_zero),
        cmocka_unit_test(what_is_no_json_number_is_refused),
        cmocka_unit_test(ten_thousand_digits_are_read_in_one_pass),
        cmocka_unit_test(zeros_and_exponent_cancel_out_exactly),
        cmocka_unit_test(formatted_money_has_the_currency_s_digits),
        cmocka_unit_test(sums_and_products_are_checked),
        cmocka_unit_test(any_amount_survives_the_round_trip),
        cmocka_unit_test(any_way_to_write_an_amount_gives_the_same_minor_units),
        cmocka_unit_test(rounding_agrees_with_rounding_on_paper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
