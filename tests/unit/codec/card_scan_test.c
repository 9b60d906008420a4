// Finding card data.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "card_numbers.h"
#include "card_scan.h"
#include "test_seed.h"

#include <string.h>

static void assert_found(const char *text, bool expected)
{
    if (card_scan_text(text_of(text)) != expected) {
        fail_msg("%s: %s", text, expected ? "not found" : "found");
    }
    assert_int_equal(card_number_naive_scan(text_of(text)), expected);
}

static void published_test_numbers_are_found(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "4111111111111111", // Visa
        "4012888888881881", "4222222222222",
        "5555555555554444", // Mastercard
        "2223003122003222",
        "378282246310005", // American Express
        "371449635398431",
        "6011111111111117", // Discover
        "3530111333300000", // JCB
        "30569309025904",   // Diners Club
        "6200000000000005", // UnionPay
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_found(numbers[i], true);
    }
}

static void every_issuers_lengths_are_known(void **state)
{
    (void)state;
    const struct {
        const char *prefix;
        const char *lengths; // of the 7 from 13 to 19, x: known
    } cases[] = {
        {"4", "x--x--x"},    {"51", "---x---"},   {"55", "---x---"},   {"2221", "---x---"},
        {"2720", "---x---"}, {"34", "--x----"},   {"37", "--x----"},   {"6011", "---xxxx"},
        {"644", "---xxxx"},  {"65", "---xxxx"},   {"62", "---xxxx"},   {"3528", "---xxxx"},
        {"3589", "---xxxx"}, {"300", "-xxxxxx"},  {"305", "-xxxxxx"},  {"36", "-xxxxxx"},
        {"39", "-xxxxxx"},   {"5018", "xxxxxxx"}, {"6763", "xxxxxxx"}, {"2200", "---xxxx"},
        {"2204", "---xxxx"}, {"9792", "---x---"}, {"5600", "-------"}, {"2220", "-------"},
        {"2721", "-------"}, {"50", "-------"},   {"33", "-------"},   {"35270", "-------"},
        {"3590", "-------"}, {"1", "-------"},    {"2205", "-------"}, {"643", "-------"},
        {"66", "-------"},   {"7", "-------"},    {"9", "-------"},    {"0", "-------"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned length = 13; length <= 19; length++) {
            char number[CARD_NUMBER_SIZE];
            card_number_make(cases[i].prefix, length, number);
            assert_found(number, cases[i].lengths[length - 13] == 'x');
        }
    }
}

static void numbers_of_12_and_20_digits_are_none(void **state)
{
    (void)state;
    char number[CARD_NUMBER_SIZE];
    card_number_make("5018", 12, number);
    assert_found(number, false);
    assert_found("50180000000000000009", false);
    // 20 digits that begin and end with a whole number
    assert_found("41111111111111114111", false);
    assert_found("41114111111111111111", false);
}

static void a_wrong_check_digit_is_no_number(void **state)
{
    (void)state;
    for (char last = '0'; last <= '9'; last++) {
        char number[] = "4111111111111111";
        number[15] = last;
        assert_found(number, last == '1');
    }
}

static void numbers_inside_text_are_found(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "41111111 - 1111 1111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "please charge 4111111111111111.",
        "visa:4111111111111111=2512",
        "12 4111111111111111 25",
        "4111111111111111-0042",
        "2024-01-21 4111 1111 1111 1111",
        "card4111111111111111x",
        "3782 822463 10005",
        "x\xC3\xA9 4111111111111111 \xE2\x82\xAC",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_found(texts[i], true);
    }
}

static void typographic_spaces_and_dashes_are_ignored(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "4111\xC2\xA0"
        "1111\xC2\xA0"
        "1111\xC2\xA0"
        "1111",
        "4111\xE2\x80\x93"
        "1111\xE2\x80\x94"
        "1111\xE2\x88\x92"
        "1111",
        "4111\xE2\x80\xAF"
        "1111\xE2\x80\x89"
        "1111\xE2\x80\x91"
        "1111",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_true(card_scan_text(text_of(texts[i])));
    }
    assert_false(card_scan_text(TEXT("4111\xE2\x82\xAC"
                                     "1111\xE2\x82\xAC"
                                     "1111\xE2\x82\xAC"
                                     "1111")));
    assert_false(card_scan_text(TEXT("411111111111111\xE2\x80")));
}

static void other_texts_are_left_alone(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "411111111111",
        "2024-01-21T10:01:30.123456Z",
        "2024-01-21 10:01:30",
        "1705831290123456",
        "1705831290123456789",
        "123 Main St, City A, 10115 Berlin, +49 30 1234567",
        "550e8400-e29b-41d4-a716-446655440000",
        "4111    1111    1111    1111",
        "4111,1111,1111,1111",
        "4111.1111.1111.1111",
        "4111/1111/1111/1111",
        "4111\n1111\n1111\n1111",
        "0000000000000000",
        "411111111111111A",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_found(texts[i], false);
    }
}

static void three_separators_in_a_row_are_ignored_four_are_not(void **state)
{
    (void)state;
    assert_found("41111111  11111111", true);
    assert_found("41111111 - 11111111", true);
    assert_found("41111111 -- 11111111", false);
}

static void escapes_count_as_what_they_mean(void **state)
{
    (void)state;
    assert_true(card_scan_raw_text(TEXT("\\u0034111\\u00201111\\u002d1111 1111"), true));
    assert_true(card_scan_raw_text(TEXT("\\u0034\\u0031\\u00311111111111111"), true));
    assert_true(card_scan_raw_text(TEXT("4111\\u00a01111\\u20131111 1111"), true));
    assert_true(card_scan_raw_text(TEXT("\\n4111111111111111\\n"), true));
    assert_false(card_scan_raw_text(TEXT("4111\\n1111\\n1111\\n1111"), true));
    // A backslash that is escaped starts no escape itself.
    assert_false(card_scan_raw_text(TEXT("\\\\u0034111111111111111"), true));
    assert_false(card_scan_raw_text(TEXT("411111111111111\\u003"), true));
    assert_false(card_scan_raw_text(TEXT("411111111111111\\"), true));
}

static void card_keys_are_known_in_any_spelling(void **state)
{
    (void)state;
    static const char *const keys[] = {"cvv", "cvv2",      "CVC",         "cvc2",
                                       "cid", "track1",    "Track-2",     "track_data",
                                       "pin", "PIN_block", "card_number", "cardNumber",
                                       "PAN", "_p-a_n_",   "CARD--NUMBER"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_true(card_scan_key(text_of(keys[i])));
    }
    assert_true(card_scan_raw_key(TEXT("c\\u0076v"), true));
    assert_false(card_scan_raw_key(TEXT("c\\u0076v"), false));
}

static void other_keys_are_none(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "",         "cv",    "cvv22",        "pins", "card_last_four", "panorama", "track3",
        "shipping", "c v v", "card_numbers", "___",  "cvv\xC3\xA9"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_false(card_scan_key(text_of(keys[i])));
    }
}

// Texts of digits, separators and a little else, with and without numbers planted in them.
static size_t draw_text(struct rand *rand, char *out, size_t cap)
{
    static const char alphabet[] = "00112233445566778899 -- 4x.";
    size_t size = (size_t)rand_below(rand, cap - CARD_NUMBER_SIZE);
    for (size_t i = 0; i < size; i++) {
        out[i] = alphabet[rand_below(rand, sizeof(alphabet) - 1)];
    }
    if (rand_chance_ppm(rand, 500000)) {
        char number[CARD_NUMBER_SIZE];
        card_number_draw(rand, number);
        const size_t at = (size_t)rand_below(rand, size + 1);
        memcpy(out + at, number, strlen(number));
        size = at + strlen(number) > size ? at + strlen(number) : size;
    }
    return size;
}

static void the_definition_followed_slowly_agrees(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    unsigned found_count = 0;
    for (unsigned i = 0; i < 100000; i++) {
        char memory[64];
        const struct text text = {memory, draw_text(&rand, memory, sizeof(memory))};
        const bool found = card_scan_text(text);
        if (found != card_number_naive_scan(text)) {
            fail_msg("'%.*s': %s", TEXT_PRINT(text), found ? "found" : "not found");
        }
        assert_int_equal(card_scan_raw_text(text, true), found);
        found_count += found;
    }
    assert_in_range(found_count, 10000, 90000); // both answers were put to the test
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_test_numbers_are_found),
        cmocka_unit_test(every_issuers_lengths_are_known),
        cmocka_unit_test(numbers_of_12_and_20_digits_are_none),
        cmocka_unit_test(a_wrong_check_digit_is_no_number),
        cmocka_unit_test(numbers_inside_text_are_found),
        cmocka_unit_test(typographic_spaces_and_dashes_are_ignored),
        cmocka_unit_test(other_texts_are_left_alone),
        cmocka_unit_test(three_separators_in_a_row_are_ignored_four_are_not),
        cmocka_unit_test(escapes_count_as_what_they_mean),
        cmocka_unit_test(card_keys_are_known_in_any_spelling),
        cmocka_unit_test(other_keys_are_none),
        cmocka_unit_test(the_definition_followed_slowly_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
