// The currency table against what ISO 4217 says of it.
#include "currency.h"

#include "aborts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static unsigned exponent_of(const char *code)
{
    struct currency currency = CURRENCY_NONE;
    if (!currency_find(text_of(code), &currency)) {
        fail_msg("%s is not known", code);
    }
    assert_true(text_equal(currency_code(currency), text_of(code)));
    return currency_exponent(currency);
}

static void check_exponents(const char *const *codes, unsigned exponent)
{
    for (size_t i = 0; codes[i] != NULL; i++) {
        if (exponent_of(codes[i]) != exponent) {
            fail_msg("%s has not %u digits", codes[i], exponent);
        }
    }
}

static void check_unknown(const char *const *codes)
{
    for (size_t i = 0; codes[i] != NULL; i++) {
        struct currency currency = {77};
        if (currency_find(text_of(codes[i]), &currency)) {
            fail_msg("%s is taken for a currency", codes[i]);
        }
        assert_int_equal(currency.index, 77);
    }
}

static const char *const without_minor_unit[] = {
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG",
    "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF", NULL,
};
static const char *const in_thousandths[] = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND", NULL};

static void minor_units_are_those_of_iso_4217(void **state)
{
    (void)state;
    static const char *const in_hundredths[] = {
        "USD", "EUR", "GBP", "CHF", "CNY", "INR", "BRL", "MXN", "MRU", "MGA", "AED", "ZWG",
        "XCG", "XCD", "SLE", "VED", "VES", "TWD", "ZAR", "ZMW", "YER", "UYU", "STN", NULL,
    };
    check_exponents(without_minor_unit, 0);
    check_exponents(in_thousandths, 3);
    check_exponents(in_hundredths, 2);
}

static bool is_listed(struct text code, const char *const *codes)
{
    for (size_t i = 0; codes[i] != NULL; i++) {
        if (text_equal(code, text_of(codes[i]))) {
            return true;
        }
    }
    return false;
}

static void all_other_currencies_have_hundredths(void **state)
{
    (void)state;
    assert_int_equal(currency_count(), 155);
    for (unsigned i = 1; i <= currency_count(); i++) {
        struct currency currency = {(uint8_t)i};
        struct text code = currency_code(currency);
        if (!is_listed(code, without_minor_unit) && !is_listed(code, in_thousandths)) {
            assert_int_equal(currency_exponent(currency), 2);
        }
    }
}

static void funds_metals_and_testing_codes_are_no_currencies(void **state)
{
    (void)state;
    static const char *const codes[] = {
        "BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "USS", "UYI", "UYW", "XAG", "XAU", "XPD",
        "XPT", "XBA", "XBB", "XBC", "XBD", "XDR", "XSU", "XUA", "XAD", "XTS", "XXX", NULL,
    };
    check_unknown(codes);
}

static void withdrawn_codes_are_no_currencies(void **state)
{
    (void)state;
    static const char *const codes[] = {
        "DEM", "FRF", "ITL", "HRK", "LTL", "EEK", "SLL", "ZWL", "ZWD", "CUC",
        "VEF", "VEB", "MRO", "STD", "BYR", "TRL", "RUR", "ANG", "BGN", NULL,
    };
    check_unknown(codes);
}

static void only_three_capital_letters_are_a_code(void **state)
{
    (void)state;
    static const char *const codes[] = {
        "",     "U",   "US",           "USDT", "usd", "Usd", "US ",
        " USD", "US$", "\xFF\xFF\xFF", "AAA",  "ZZZ", NULL,
    };
    check_unknown(codes);
    struct currency currency;
    assert_false(currency_find((struct text){NULL, 0}, &currency));
    assert_false(currency_find(TEXT("\0\0\0"), &currency));
    assert_false(currency_find(TEXT("US\0"), &currency));
}

static void of_all_three_letter_words_exactly_the_table_is_found(void **state)
{
    (void)state;
    unsigned found_count = 0;
    for (char a = 'A'; a <= 'Z'; a++) {
        for (char b = 'A'; b <= 'Z'; b++) {
            for (char c = 'A'; c <= 'Z'; c++) {
                char letters[] = {a, b, c};
                struct text code = {letters, sizeof(letters)};
                struct currency currency;
                if (currency_find(code, &currency)) {
                    assert_true(text_equal(currency_code(currency), code));
                    found_count++;
                }
            }
        }
    }
    assert_int_equal(found_count, currency_count());
}

static void no_currency_has_no_code(void **state)
{
    (void)state;
    assert_int_equal(currency_code(CURRENCY_NONE).size, 0);
    assert_int_equal(currency_exponent(CURRENCY_NONE), 0);
    assert_false(currency_equal(CURRENCY_NONE, currency_usd()));
    assert_true(currency_equal(currency_usd(), currency_usd()));
    assert_true(text_equal(currency_code(currency_usd()), TEXT("USD")));
}

static void ask_beyond_the_table(void *context)
{
    (void)context;
    (void)currency_exponent((struct currency){(uint8_t)(currency_count() + 1)});
}

static void an_index_beyond_the_table_is_a_programmer_s_error(void **state)
{
    (void)state;
    assert_true(aborts(ask_beyond_the_table, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minor_units_are_those_of_iso_4217),
        cmocka_unit_test(all_other_currencies_have_hundredths),
        cmocka_unit_test(funds_metals_and_testing_codes_are_no_currencies),
        cmocka_unit_test(withdrawn_codes_are_no_currencies),
        cmocka_unit_test(only_three_capital_letters_are_a_code),
        cmocka_unit_test(of_all_three_letter_words_exactly_the_table_is_found),
        cmocka_unit_test(no_currency_has_no_code),
        cmocka_unit_test(an_index_beyond_the_table_is_a_programmer_s_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
