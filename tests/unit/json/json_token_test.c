// The events and tokens of accepted documents: their order, their raw text and their meaning.
#include "json_read.h"

#include "aborts.h"
#include "json_escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define COUNT_OF(items) (sizeof(items) / sizeof((items)[0]))

static struct json_reader reader;

static void start(struct text document)
{
    json_reader_init(&reader, document, (struct json_limits){.depth_max = 16, .keys_max = 64});
}

struct step {
    enum json_event event;
    const char *raw; // NULL for events without text
};

static void events_come_in_the_order_of_the_document(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {JSON_OBJECT_BEGIN, NULL},
        {JSON_KEY, "a"},
        {JSON_NUMBER, "-1.50E+02"},
        {JSON_KEY, "b\\n"},
        {JSON_ARRAY_BEGIN, ""},
        {JSON_TRUE, NULL},
        {JSON_FALSE, NULL},
        {JSON_NULL, NULL},
        {JSON_STRING, "x\\u0041"},
        {JSON_OBJECT_BEGIN, NULL},
        {JSON_OBJECT_END, ""},
        {JSON_ARRAY_END, NULL},
        {JSON_KEY, ""},
        {JSON_STRING, ""},
        {JSON_OBJECT_END, NULL},
        {JSON_END, NULL},
        {JSON_END, NULL},
    };
    start(TEXT("{\"a\":-1.50E+02, \"b\\n\" : [true,false,null,\"x\\u0041\",{}],\"\":\"\"} "));
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct json_token token;
        assert_int_equal(json_next(&reader, &token), steps[i].event);
        if (steps[i].event == JSON_KEY || steps[i].event == JSON_STRING ||
            steps[i].event == JSON_NUMBER) {
            assert_true(text_equal(token.raw, text_of(steps[i].raw)));
            assert_int_equal(token.has_escapes, strchr(steps[i].raw, '\\') != NULL);
        }
    }
}

static void a_number_keeps_every_digit(void **state)
{
    (void)state;
    static const struct text number = TEXT("-123456789012345678901234567890.10000000000000000001");
    start(number);
    struct json_token token;
    assert_int_equal(json_next(&reader, &token), JSON_NUMBER);
    assert_true(text_equal(token.raw, number));
}

static void a_token_points_into_the_document(void **state)
{
    (void)state;
    static const struct text document = TEXT("[\"abc\"]");
    start(document);
    struct json_token token;
    json_next(&reader, &token);
    json_next(&reader, &token);
    assert_ptr_equal(token.raw.data, document.data + 2);
}

static void start_beyond_the_caps(void *context)
{
    const struct json_limits *limits = context;
    json_reader_init(&reader, TEXT("1"), *limits);
}

static void skip_at_a_scalar(void *context)
{
    (void)context;
    struct json_token token;
    start(TEXT("[1,2]"));
    json_next(&reader, &token);
    json_next(&reader, &token);
    (void)!json_skip_container(&reader);
}

static void limits_above_the_table_and_skips_of_scalars_end_the_process(void **state)
{
    (void)state;
    struct json_limits too_deep = {JSON_DEPTH_CAP + 1, JSON_KEYS_CAP};
    struct json_limits too_many = {JSON_DEPTH_CAP, JSON_KEYS_CAP + 1};
    struct json_limits caps = {JSON_DEPTH_CAP, JSON_KEYS_CAP};
    assert_true(aborts(start_beyond_the_caps, &too_deep));
    assert_true(aborts(start_beyond_the_caps, &too_many));
    assert_false(aborts(start_beyond_the_caps, &caps));
    assert_true(aborts(skip_at_a_scalar, NULL));
}

static void skipping_leaves_the_reader_behind_the_container(void **state)
{
    (void)state;
    start(TEXT("{\"a\":{\"x\":[[],{}],\"y\":\"}]\"},\"b\":[],\"c\":1}"));
    struct json_token token;
    json_next(&reader, &token);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(json_next(&reader, &token), JSON_KEY);
        json_next(&reader, &token);
        assert_true(json_skip_container(&reader));
    }
    assert_int_equal(json_next(&reader, &token), JSON_KEY);
    assert_true(json_token_equals(&token, TEXT("c")));
    json_next(&reader, &token);
    assert_int_equal(json_next(&reader, &token), JSON_OBJECT_END);
    assert_int_equal(json_next(&reader, &token), JSON_END);
}

static void skipping_refuses_what_reading_refuses(void **state)
{
    (void)state;
    static const struct text documents[] = {
        TEXT("[1,,2]"), TEXT("[{\"a\":1,\"a\":2}]"), TEXT("[[[[[[[[[[[[[[[[[]"),
        TEXT("[1"),     TEXT("[\"\\ud800\"]"),
    };
    for (size_t i = 0; i < COUNT_OF(documents); i++) {
        struct json_token token;
        start(documents[i]);
        assert_int_equal(json_next(&reader, &token), JSON_ARRAY_BEGIN);
        assert_false(json_skip_container(&reader));
        assert_int_equal(json_next(&reader, &token), JSON_ERROR);
        assert_false(json_skip_container(&reader));
    }
}

struct meaning {
    struct text raw;
    struct text meaning;
};

static const struct meaning meanings[] = {
    {TEXT(""), TEXT("")},
    {TEXT("plain"), TEXT("plain")},
    {TEXT("\\\"\\\\\\/\\b\\f\\n\\r\\t"), TEXT("\"\\/\b\f\n\r\t")},
    {TEXT("\\u0000"), TEXT("\0")},
    {TEXT("a\\u0000b"), TEXT("a\0b")},
    {TEXT("\\u007f\\u0080\\u07fF\\u0800\\uffff"),
     TEXT("\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF")},
    {TEXT("\\ud7ff\\ue000"), TEXT("\xED\x9F\xBF\xEE\x80\x80")},
    {TEXT("\\ud800\\udc00\\uDBFF\\uDFFF"), TEXT("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF")},
    {TEXT("\\\\u0041"), TEXT("\\u0041")},
    {TEXT("x\xC3\xA9\\u00e9\xC3\xA9y"), TEXT("x\xC3\xA9\xC3\xA9\xC3\xA9y")},
};

static void escapes_mean_what_the_standard_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(meanings); i++) {
        char room[64];
        const size_t size = json_unescape(meanings[i].raw, room, sizeof(room));
        assert_true(text_equal((struct text){room, size}, meanings[i].meaning));
    }
}

static void unescaping_needs_exactly_the_room_of_the_meaning(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(meanings); i++) {
        char room[64];
        const size_t size = meanings[i].meaning.size;
        memset(room, '#', sizeof(room));
        assert_int_equal(json_unescape(meanings[i].raw, room, size + 1), size);
        assert_int_equal(json_unescape(meanings[i].raw, room, size), size);
        assert_int_equal(room[size], '#');
        if (size > 0) {
            room[size - 1] = '#';
            assert_int_equal(json_unescape(meanings[i].raw, room, size - 1), SIZE_MAX);
            assert_int_equal(room[size - 1], '#');
        }
    }
}

static void a_token_equals_its_meaning_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(meanings); i++) {
        const struct json_token token = {
            .raw = meanings[i].raw,
            .has_escapes = memchr(meanings[i].raw.data, '\\', meanings[i].raw.size) != NULL,
        };
        for (size_t j = 0; j < COUNT_OF(meanings); j++) {
            assert_int_equal(json_token_equals(&token, meanings[j].meaning), i == j);
        }
    }
}

// The hash is a filter before the comparison: equal keys with unequal hashes would go unseen.
static void equal_keys_have_equal_hashes_at_every_size(void **state)
{
    (void)state;
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    char escaped[6 * sizeof(letters)];
    for (size_t size = 0; size < sizeof(letters); size++) {
        struct buf buf;
        buf_init_fixed(&buf, escaped, sizeof(escaped));
        for (size_t i = 0; i < size; i++) {
            buf_add_fmt(&buf, "\\u%04x", (unsigned)letters[i]);
        }
        const struct text plain = {letters, size};
        assert_true(json_meaning_equal(plain, buf_view(&buf)));
        assert_int_equal(json_key_hash(plain, false), json_key_hash(buf_view(&buf), true));
        assert_int_equal(json_key_hash(plain, false), json_key_hash(plain, true));
    }
}

static void positions_count_lines_and_bytes_from_one(void **state)
{
    (void)state;
    static const struct text document = TEXT("ab\nc\xC3\xA9x\r\n\n");
    static const unsigned expected[][3] = {
        {0, 1, 1}, {1, 1, 2}, {2, 1, 3}, {3, 2, 1}, {6, 2, 4}, {8, 2, 6}, {9, 3, 1}, {10, 4, 1},
    };
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        unsigned line = 0;
        unsigned column = 0;
        json_position(document, expected[i][0], &line, &column);
        assert_int_equal(line, expected[i][1]);
        assert_int_equal(column, expected[i][2]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_in_the_order_of_the_document),
        cmocka_unit_test(a_number_keeps_every_digit),
        cmocka_unit_test(a_token_points_into_the_document),
        cmocka_unit_test(limits_above_the_table_and_skips_of_scalars_end_the_process),
        cmocka_unit_test(skipping_leaves_the_reader_behind_the_container),
        cmocka_unit_test(skipping_refuses_what_reading_refuses),
        cmocka_unit_test(escapes_mean_what_the_standard_says),
        cmocka_unit_test(unescaping_needs_exactly_the_room_of_the_meaning),
        cmocka_unit_test(a_token_equals_its_meaning_and_nothing_else),
        cmocka_unit_test(equal_keys_have_equal_hashes_at_every_size),
        cmocka_unit_test(positions_count_lines_and_bytes_from_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
