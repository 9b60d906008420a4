// The UTF-8 check against a naive one that decodes the number and then asks whether it may be.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "test_seed.h"
#include "text.h"

#include <string.h>

#define PREFIX_SIZE_MAX 40u // past two steps of the fast path

// Size of the sequence at the start, or 0 when it is not well-formed.
static size_t naive_sequence(const unsigned char *bytes, size_t left)
{
    static const uint32_t smallest_of_size[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = bytes[0] < 0x80           ? 1
                  : (bytes[0] >> 5) == 0x06 ? 2
                  : (bytes[0] >> 4) == 0x0E ? 3
                  : (bytes[0] >> 3) == 0x1E ? 4
                                            : 0;
    if (size == 0 || size > left) {
        return 0;
    }
    uint32_t point = size == 1 ? bytes[0] : bytes[0] & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] >> 6) != 2) {
            return 0;
        }
        point = point << 6 | (bytes[i] & 0x3F);
    }
    bool surrogate = point >= 0xD800 && point <= 0xDFFF;
    return point < smallest_of_size[size] || surrogate || point > 0x10FFFF ? 0 : size;
}

static size_t naive_valid_prefix(const unsigned char *bytes, size_t size)
{
    size_t at = 0;
    while (at < size) {
        size_t step = naive_sequence(bytes + at, size - at);
        if (step == 0) {
            break;
        }
        at += step;
    }
    return at;
}

// The bytes lie at the very end of a heap block, so that reading past them is seen.
static void check(const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    size_t expected = naive_valid_prefix(bytes, size);
    size_t got = text_utf8_valid_prefix((struct text){(const char *)copy, size});
    free(copy);
    if (got != expected) {
        print_error("bytes");
        for (size_t i = 0; i < size; i++) {
            print_error(" %02x", bytes[i]);
        }
        print_error("\n");
    }
    assert_int_equal(got, expected);
}

static void all_sequences_of_one_and_two_bytes_agree(void **state)
{
    (void)state;
    check((const unsigned char *)"", 0);
    for (unsigned a = 0; a < 256; a++) {
        check((unsigned char[]){(unsigned char)a}, 1);
        for (unsigned b = 0; b < 256; b++) {
            check((unsigned char[]){(unsigned char)a, (unsigned char)b}, 2);
        }
    }
}

// The ends of every range in table 3-7, and their neighbours.
static const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F, 0xA0, 0xBE,
                                      0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xEF, 0xF0, 0xFF};

static void all_leads_with_edge_bytes_agree_for_three_and_four_bytes(void **state)
{
    (void)state;
    for (unsigned lead = 0; lead < 256; lead++) {
        for (unsigned second = 0x7E; second <= 0xC1; second++) {
            unsigned char bytes[4] = {(unsigned char)lead, (unsigned char)second};
            for (size_t i = 0; i < sizeof(edges); i++) {
                bytes[2] = edges[i];
                check(bytes, 3);
                bytes[3] = edges[(i * 7 + second) % sizeof(edges)];
                check(bytes, 4);
                bytes[3] = 0x80;
                check(bytes, 4);
            }
        }
    }
}

struct sample {
    const char *bytes;
    size_t valid_prefix;
};

static void known_edges_are_judged_as_the_standard_says(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"\xC2\x80", 2},          // U+0080, the smallest of two bytes
        {"\xDF\xBF", 2},          // U+07FF, the largest
        {"\xE0\xA0\x80", 3},      // U+0800
        {"\xED\x9F\xBF", 3},      // U+D7FF, before the surrogates
        {"\xEE\x80\x80", 3},      // U+E000, after them
        {"\xEF\xBF\xBF", 3},      // U+FFFF
        {"\xF0\x90\x80\x80", 4},  // U+10000
        {"\xF4\x8F\xBF\xBF", 4},  // U+10FFFF
        {"a\xC0\x80", 1},         // overlong NUL
        {"a\xC1\xBF", 1},         // overlong DEL
        {"a\xE0\x9F\xBF", 1},     // overlong U+07FF
        {"a\xF0\x8F\xBF\xBF", 1}, // overlong U+FFFF
        {"a\xED\xA0\x80", 1},     // first surrogate
        {"a\xED\xBF\xBF", 1},     // last surrogate
        {"a\xF4\x90\x80\x80", 1}, // U+110000
        {"a\xF5\x80\x80\x80", 1},
        {"a\xF8\x88\x80\x80\x80", 1}, // five bytes
        {"a\x80", 1},                 // continues nothing
        {"a\xFE", 1},
        {"a\xC3", 1},         // truncated
        {"a\xE2\x82", 1},     // truncated
        {"a\xF0\x9F\x98", 1}, // truncated
        {"a\xC3(", 1},
        {"a\xE2\x82(", 1},
        {"a\xF0\x9F\x98(", 1},
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        assert_int_equal(text_utf8_valid_prefix(text_of(samples[i].bytes)),
                         samples[i].valid_prefix);
    }
    assert_int_equal(text_utf8_valid_prefix(TEXT("a\0b")), 3);
    assert_int_equal(text_utf8_valid_prefix((struct text){0}), 0);
}

static void fault_is_found_at_every_place_around_the_fast_path(void **state)
{
    (void)state;
    static const char *const endings[] = {"",     "\xC3\xA9",         "\xFF",         "\xE2\x82",
                                          "\x80", "\xF0\x9F\x98\x80", "\xED\xA0\x80", "\xC3"};
    for (size_t before = 0; before <= PREFIX_SIZE_MAX; before++) {
        for (size_t after = 0; after <= PREFIX_SIZE_MAX; after++) {
            for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
                unsigned char bytes[2 * PREFIX_SIZE_MAX + 4];
                size_t size = strlen(endings[i]);
                memset(bytes, 'a', sizeof(bytes));
                memcpy(bytes + before, endings[i], size);
                check(bytes, before + size + after);
            }
        }
    }
}

static void random_mixtures_agree(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a",
                                         "plain text of some length",
                                         "\xC3\xA9",
                                         "\xE2\x82\xAC",
                                         "\xF0\x9F\x98\x80",
                                         "\x80",
                                         "\xE2\x82",
                                         "\xF4\x90"};
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (int round = 0; round < 20000; round++) {
        unsigned char bytes[256];
        size_t size = 0;
        for (uint64_t count = rand_below(&rand, 9); count > 0; count--) {
            // The broken pieces come seldom, so that long valid texts come often.
            const char *piece = pieces[rand_below(&rand, rand_chance_ppm(&rand, 100000) ? 8 : 5)];
            memcpy(bytes + size, piece, strlen(piece));
            size += strlen(piece);
        }
        if (size > 0 && rand_chance_ppm(&rand, 100000)) {
            bytes[rand_below(&rand, size)] = (unsigned char)rand_below(&rand, 256);
        }
        check(bytes, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_sequences_of_one_and_two_bytes_agree),
        cmocka_unit_test(all_leads_with_edge_bytes_agree_for_three_and_four_bytes),
        cmocka_unit_test(known_edges_are_judged_as_the_standard_says),
        cmocka_unit_test(fault_is_found_at_every_place_around_the_fast_path),
        cmocka_unit_test(random_mixtures_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
