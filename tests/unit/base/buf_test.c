// The bounded buffer, over the caller's memory and on the heap.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "buf.h"
#include "fault_alloc.h"

#include <stdlib.h>
#include <string.h>

#define assert_view(buf, literal)                                                                  \
    do {                                                                                           \
        struct text view = buf_view(buf);                                                          \
        assert_int_equal(view.size, sizeof(literal) - 1);                                          \
        assert_memory_equal(view.data, (literal), sizeof(literal) - 1);                            \
    } while (0)

static void every_kind_of_add_appends(void **state)
{
    (void)state;
    char memory[64];
    struct buf buf;
    buf_init_fixed(&buf, memory, sizeof(memory));
    buf_add(&buf, "a\0b", 3);
    buf_add(&buf, NULL, 0);
    buf_add_text(&buf, TEXT("[text]"));
    buf_add_text(&buf, (struct text){0});
    buf_add_str(&buf, "str");
    buf_add_char(&buf, ';');
    buf_add_u64(&buf, 42);
    buf_add_i64(&buf, -7);
    buf_add_fmt(&buf, "%s=%03d", "k", 5);
    assert_view(&buf, "a\0b[text]str;42-7k=005");
    assert_false(buf_overflowed(&buf));
}

static void numbers_are_written_to_both_ends(void **state)
{
    (void)state;
    char memory[128];
    struct buf buf;
    buf_init_fixed(&buf, memory, sizeof(memory));
    buf_add_u64(&buf, 0);
    buf_add_char(&buf, ' ');
    buf_add_u64(&buf, 10);
    buf_add_char(&buf, ' ');
    buf_add_u64(&buf, UINT64_MAX);
    buf_add_char(&buf, ' ');
    buf_add_i64(&buf, 0);
    buf_add_char(&buf, ' ');
    buf_add_i64(&buf, INT64_MAX);
    buf_add_char(&buf, ' ');
    buf_add_i64(&buf, INT64_MIN);
    assert_view(&buf, "0 10 18446744073709551615 0 9223372036854775807 -9223372036854775808");
}

static void add_bytes(struct buf *buf)
{
    buf_add(buf, "123", 3);
}
static void add_text(struct buf *buf)
{
    buf_add_text(buf, TEXT("123"));
}
static void add_str(struct buf *buf)
{
    buf_add_str(buf, "123");
}
static void add_number(struct buf *buf)
{
    buf_add_u64(buf, 123);
}
static void add_negative(struct buf *buf)
{
    buf_add_i64(buf, -12);
}
static void add_format(struct buf *buf)
{
    buf_add_fmt(buf, "%d", 123);
}

static void (*const adders_of_three[])(struct buf *) = {add_bytes,  add_text,     add_str,
                                                        add_number, add_negative, add_format};
#define ADDER_COUNT (sizeof(adders_of_three) / sizeof(adders_of_three[0]))

static void add_is_whole_or_not_at_all_and_overflow_is_sticky(void **state)
{
    (void)state;
    for (size_t i = 0; i < ADDER_COUNT; i++) {
        for (int excess = -1; excess <= 1; excess++) {
            char memory[9] = "........"; // the last byte stands guard
            struct buf buf;
            buf_init_fixed(&buf, memory, 8);
            buf_add(&buf, "xxxxxx", (size_t)(5 + excess));
            adders_of_three[i](&buf);
            assert_true(buf_overflowed(&buf) == (excess > 0));
            assert_int_equal(buf_view(&buf).size, excess > 0 ? 6 : 8 + excess);
            buf_add_char(&buf, '!');
            assert_true(buf_overflowed(&buf) == (excess >= 0));
            assert_int_equal(memory[8], 0);
        }
    }
}

static void nothing_is_written_after_an_overflow(void **state)
{
    (void)state;
    char memory[16];
    memset(memory, '.', sizeof(memory));
    struct buf buf;
    buf_init_fixed(&buf, memory, sizeof(memory));
    buf_add_str(&buf, "start");
    buf_add_str(&buf, "far too long for what is left");
    for (size_t i = 0; i < ADDER_COUNT; i++) {
        adders_of_three[i](&buf);
    }
    buf_add_char(&buf, 'c');
    buf_add_escaped(&buf, TEXT("e"), 1);
    assert_view(&buf, "start");
    assert_memory_equal(memory, "start...........", sizeof(memory));
    assert_true(buf_overflowed(&buf));

    buf_reset(&buf);
    assert_false(buf_overflowed(&buf));
    buf_add_str(&buf, "again");
    assert_view(&buf, "again");
}

static void heap_grows_up_to_its_cap_and_no_further(void **state)
{
    (void)state;
    static const size_t caps[] = {1, 255, 256, 257, 511, 512, 513, 1000, 5000};
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        struct buf buf;
        buf_init_heap(&buf, caps[i]);
        assert_null(buf.data);
        for (size_t size = 1; size <= caps[i]; size++) {
            buf_add_char(&buf, (char)('a' + size % 26));
            assert_false(buf_overflowed(&buf));
            assert_true(buf.cap <= caps[i]);
        }
        buf_add_char(&buf, '!');
        assert_true(buf_overflowed(&buf));
        assert_int_equal(buf_view(&buf).size, caps[i]);
        for (size_t size = 1; size <= caps[i]; size++) {
            assert_int_equal(buf_view(&buf).data[size - 1], 'a' + size % 26);
        }
        buf_deinit(&buf);
    }
}

static void heap_takes_one_large_add_at_minus_one_zero_and_plus_one(void **state)
{
    (void)state;
    char bytes[5001];
    memset(bytes, 'b', sizeof(bytes));
    for (int excess = -1; excess <= 1; excess++) {
        struct buf buf;
        buf_init_heap(&buf, 5000);
        buf_add_char(&buf, 'a');
        buf_add(&buf, bytes, (size_t)(4999 + excess));
        assert_true(buf_overflowed(&buf) == (excess > 0));
        assert_int_equal(buf_view(&buf).size, excess > 0 ? 1 : 5000 + excess);
        buf_deinit(&buf);
    }
}

static void size_that_would_wrap_is_an_overflow(void **state)
{
    (void)state;
    struct buf buf;
    buf_init_heap(&buf, SIZE_MAX);
    buf_add_char(&buf, 'a');
    buf_add(&buf, "b", SIZE_MAX); // may not even be looked at
    assert_true(buf_overflowed(&buf));
    assert_view(&buf, "a");
    buf_deinit(&buf);
}

static void buffer_of_no_room_takes_nothing_but_nothing(void **state)
{
    (void)state;
    struct buf buf;
    buf_init_fixed(&buf, NULL, 0);
    buf_add(&buf, "", 0);
    buf_add_fmt(&buf, "%s", "");
    assert_false(buf_overflowed(&buf));
    buf_add_char(&buf, 'x');
    assert_true(buf_overflowed(&buf));
}

static void reset_keeps_the_memory(void **state)
{
    (void)state;
    struct buf buf;
    buf_init_heap(&buf, 1000);
    buf_add_str(&buf, "once");
    const char *data = buf.data;
    buf_reset(&buf);
    assert_int_equal(buf_view(&buf).size, 0);
    buf_add_str(&buf, "more");
    assert_ptr_equal(buf.data, data);
    buf_deinit(&buf);
    buf_deinit(&buf);
    buf_deinit(NULL);
}

// 511 fits the stack with its zero, 512 does not.
static void formatted_text_is_whole_whether_made_on_stack_or_heap(void **state)
{
    (void)state;
    for (int size = 510; size <= 514; size++) {
        char memory[514];
        struct buf buf;
        buf_init_fixed(&buf, memory, (size_t)size);
        buf_add_fmt(&buf, "%0*d", size, 7);
        assert_false(buf_overflowed(&buf));
        assert_int_equal(buf_view(&buf).size, size);
        assert_int_equal(memory[0], '0');
        assert_int_equal(memory[size - 1], '7');

        buf_init_fixed(&buf, memory, (size_t)size - 1);
        buf_add_fmt(&buf, "%0*d", size, 7);
        assert_true(buf_overflowed(&buf));
        assert_int_equal(buf_view(&buf).size, 0);
    }
}

static void escaping_shows_text_and_hides_all_that_could_mislead(void **state)
{
    (void)state;
    static const struct {
        struct text text;
        const char *shown;
    } cases[] = {
        {TEXT("plain text, 100%"), "plain text, 100%"},
        {TEXT("~ \x7F"), "~ \\x7f"},
        {TEXT("\x1F "), "\\x1f "},
        {TEXT("a\0b\n\t\x1B[31m"), "a\\x00b\\x0a\\x09\\x1b[31m"},
        {TEXT("\"'\\"), "\\x22\\x27\\x5c"},
        {TEXT("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"),
         "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"},
        {TEXT("\xC2\x80\xC2\x9F\xC2\xA0"), "\\xc2\\x80\\xc2\\x9f\xC2\xA0"}, // C1 controls
        {TEXT("\xFF\xC3"), "\\xff\\xc3"},
        {TEXT("\xED\xA0\x80"), "\\xed\\xa0\\x80"},
        {TEXT("\xC3(\xE2\x82("), "\\xc3(\\xe2\\x82("},
        {TEXT(""), ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char memory[128];
        struct buf buf;
        buf_init_fixed(&buf, memory, sizeof(memory));
        buf_add_escaped(&buf, cases[i].text, 100);
        assert_true(text_equal(buf_view(&buf), text_of(cases[i].shown)));
    }
}

static void escaping_cuts_after_the_limit_and_between_characters(void **state)
{
    (void)state;
    static const struct {
        struct text text;
        size_t size_max;
        const char *shown;
    } cases[] = {
        {TEXT("abc"), 4, "abc"},
        {TEXT("abc"), 3, "abc"},
        {TEXT("abc"), 2, "ab..."},
        {TEXT("abc"), 0, "..."},
        {TEXT(""), 0, ""},
        {TEXT("a\xE2\x82\xAC"), 4, "a\xE2\x82\xAC"},
        {TEXT("a\xE2\x82\xAC"), 3, "a..."},
        {TEXT("a\xE2\x82\xAC"), 2, "a..."},
        {TEXT("a\xE2\x82\xAC"), 1, "a..."},
        {TEXT("\n\n"), 1, "\\x0a..."},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char memory[128];
        struct buf buf;
        buf_init_fixed(&buf, memory, sizeof(memory));
        buf_add_escaped(&buf, cases[i].text, cases[i].size_max);
        assert_true(text_equal(buf_view(&buf), text_of(cases[i].shown)));
    }
}

// Everything that allocates, once. What was written before the refusal must stay whole.
static bool fill_heap_with_failure(uint64_t n)
{
    struct buf buf;
    buf_init_heap(&buf, 4000);
    fault_alloc_arm(n);
    for (int i = 0; i < 300; i++) {
        buf_add_str(&buf, "four");
    }
    buf_add_fmt(&buf, "%01000d", 7);
    fault_alloc_disarm();
    bool hit = fault_alloc_hit();
    assert_true(buf_overflowed(&buf) == hit);
    assert_int_equal(buf_view(&buf).size % 4, 0);
    assert_true(hit || buf_view(&buf).size == 2200);
    for (size_t at = 0; at < buf_view(&buf).size && at < 1200; at += 4) {
        assert_memory_equal(buf_view(&buf).data + at, "four", 4);
    }
    buf_deinit(&buf);
    return hit;
}

static void refused_memory_is_an_overflow_at_every_allocation(void **state)
{
    (void)state;
    uint64_t n = 1;
    while (fill_heap_with_failure(n)) {
        n++;
    }
    // Growth to 256, 512, 1,024, 2,048 and 4,000 bytes, and the long format.
    assert_int_equal(n - 1, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_add_appends),
        cmocka_unit_test(numbers_are_written_to_both_ends),
        cmocka_unit_test(add_is_whole_or_not_at_all_and_overflow_is_sticky),
        cmocka_unit_test(nothing_is_written_after_an_overflow),
        cmocka_unit_test(heap_grows_up_to_its_cap_and_no_further),
        cmocka_unit_test(heap_takes_one_large_add_at_minus_one_zero_and_plus_one),
        cmocka_unit_test(size_that_would_wrap_is_an_overflow),
        cmocka_unit_test(buffer_of_no_room_takes_nothing_but_nothing),
        cmocka_unit_test(reset_keeps_the_memory),
        cmocka_unit_test(formatted_text_is_whole_whether_made_on_stack_or_heap),
        cmocka_unit_test(escaping_shows_text_and_hides_all_that_could_mislead),
        cmocka_unit_test(escaping_cuts_after_the_limit_and_between_characters),
        cmocka_unit_test(refused_memory_is_an_overflow_at_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
