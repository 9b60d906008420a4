// What the reader accepts and refuses, with the failure and its place.
#include "json_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(items) (sizeof(items) / sizeof((items)[0]))

static struct json_reader reader;

static enum json_event read_all_limited(struct text document, struct json_limits limits)
{
    // An old key table must not matter: init does not clear it.
    memset(&reader, 0xA5, sizeof(reader));
    json_reader_init(&reader, document, limits);
    struct json_token token;
    enum json_event event;
    do {
        event = json_next(&reader, &token);
    } while (event != JSON_END && event != JSON_ERROR);
    return event;
}

static enum json_event read_all(struct text document)
{
    return read_all_limited(document, (struct json_limits){.depth_max = 16, .keys_max = 64});
}

static void accepted_documents_are_read_to_the_end(void **state)
{
    (void)state;
    static const struct text documents[] = {
        TEXT("null"),
        TEXT("true"),
        TEXT("false"),
        TEXT("0"),
        TEXT("-0"),
        TEXT("\"\""),
        TEXT("{}"),
        TEXT("[]"),
        TEXT(" \t\r\n[ \t\r\n] \t\r\n"),
        TEXT("{ \"a\" : 1 , \"b\" : [ ] }"),
        TEXT("[1,-1,10,0.5,-0.5,1e5,1E5,1e+5,1e-5,0e0,1.25e300,123456789012345678901234567890]"),
        TEXT("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u00e9\\uD83D\\uDE00\"]"),
        TEXT("\"\x7F\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""),
        TEXT("\"\xEF\xBB\xBF\""),
        TEXT("{\"\":0,\" \":0}"),
        TEXT("{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}"),
        TEXT("[{\"a\":1},{\"a\":1}]"),
        TEXT("{\"b\":{\"a\":1},\"a\":1}"),
        TEXT("{\"a\":1,\"A\":1,\"\\u0041\\u0041\":1}"),
    };
    for (size_t i = 0; i < COUNT_OF(documents); i++) {
        if (read_all(documents[i]) != JSON_END) {
            fail_msg("%.*s: expected %s at %zu", TEXT_PRINT(documents[i]), reader.failure_text,
                     reader.failure_offset);
        }
    }
}

struct refusal {
    struct text document;
    enum json_failure failure;
    size_t offset;
};

static void check_refusals(const struct refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct refusal *refusal = &refusals[i];
        const enum json_event last = read_all(refusal->document);
        if (last != JSON_ERROR || reader.failure != refusal->failure ||
            reader.failure_offset != refusal->offset) {
            fail_msg("%.*s: failure %d at %zu, not %d at %zu", TEXT_PRINT(refusal->document),
                     (int)reader.failure, reader.failure_offset, (int)refusal->failure,
                     refusal->offset);
        }
        assert_non_null(reader.failure_text);
        struct json_token token;
        assert_int_equal(json_next(&reader, &token), JSON_ERROR);
        assert_int_equal(reader.failure_offset, refusal->offset);
    }
}

static void broken_structure_is_refused_where_it_breaks(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {TEXT(""), JSON_FAILURE_SYNTAX, 0},
        {{NULL, 0}, JSON_FAILURE_SYNTAX, 0},
        {TEXT(" \n"), JSON_FAILURE_SYNTAX, 2},
        {TEXT("\0"), JSON_FAILURE_SYNTAX, 0},
        {TEXT("{}\0"), JSON_FAILURE_SYNTAX, 2},
        {TEXT("\xEF\xBB\xBF{}"), JSON_FAILURE_SYNTAX, 0},
        {TEXT("{} {}"), JSON_FAILURE_SYNTAX, 3},
        {TEXT("{},"), JSON_FAILURE_SYNTAX, 2},
        {TEXT("1 2"), JSON_FAILURE_SYNTAX, 2},
        {TEXT("{}]"), JSON_FAILURE_SYNTAX, 2},
        {TEXT("[1,]"), JSON_FAILURE_SYNTAX, 3},
        {TEXT("[,1]"), JSON_FAILURE_SYNTAX, 1},
        {TEXT("[1 2]"), JSON_FAILURE_SYNTAX, 3},
        {TEXT("[1}"), JSON_FAILURE_SYNTAX, 2},
        {TEXT("[}"), JSON_FAILURE_SYNTAX, 1},
        {TEXT("[:]"), JSON_FAILURE_SYNTAX, 1},
        {TEXT("[\"a\":1]"), JSON_FAILURE_SYNTAX, 4},
        {TEXT("{]"), JSON_FAILURE_SYNTAX, 1},
        {TEXT("{,}"), JSON_FAILURE_SYNTAX, 1},
        {TEXT("{1:1}"), JSON_FAILURE_SYNTAX, 1},
        {TEXT("{\"a\"}"), JSON_FAILURE_SYNTAX, 4},
        {TEXT("{\"a\" 1}"), JSON_FAILURE_SYNTAX, 5},
        {TEXT("{\"a\":}"), JSON_FAILURE_SYNTAX, 5},
        {TEXT("{\"a\":1,}"), JSON_FAILURE_SYNTAX, 7},
        {TEXT("{\"a\":1 \"b\":2}"), JSON_FAILURE_SYNTAX, 7},
        {TEXT("{\"a\":1]"), JSON_FAILURE_SYNTAX, 6},
        {TEXT("{\"a\"::1}"), JSON_FAILURE_SYNTAX, 5},
        {TEXT("{a:1}"), JSON_FAILURE_SYNTAX, 1},
        {TEXT("{'a':1}"), JSON_FAILURE_SYNTAX, 1},
        {TEXT("[1] // one"), JSON_FAILURE_SYNTAX, 4},
        {TEXT("[\f1]"), JSON_FAILURE_SYNTAX, 1},
    };
    check_refusals(refusals, COUNT_OF(refusals));
}

static void broken_scalars_are_refused_where_they_break(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {TEXT("nul"), JSON_FAILURE_SYNTAX, 0},       {TEXT("nulL"), JSON_FAILURE_SYNTAX, 0},
        {TEXT("truefalse"), JSON_FAILURE_SYNTAX, 4}, {TEXT("True"), JSON_FAILURE_SYNTAX, 0},
        {TEXT("NaN"), JSON_FAILURE_SYNTAX, 0},       {TEXT("Infinity"), JSON_FAILURE_SYNTAX, 0},
        {TEXT("-"), JSON_FAILURE_SYNTAX, 1},         {TEXT("-a"), JSON_FAILURE_SYNTAX, 1},
        {TEXT("-Infinity"), JSON_FAILURE_SYNTAX, 1}, {TEXT("+1"), JSON_FAILURE_SYNTAX, 0},
        {TEXT(".5"), JSON_FAILURE_SYNTAX, 0},        {TEXT("[1.]"), JSON_FAILURE_SYNTAX, 3},
        {TEXT("[1.e5]"), JSON_FAILURE_SYNTAX, 3},    {TEXT("[1e]"), JSON_FAILURE_SYNTAX, 3},
        {TEXT("[1e+]"), JSON_FAILURE_SYNTAX, 4},     {TEXT("[1e5.5]"), JSON_FAILURE_SYNTAX, 4},
        {TEXT("[01]"), JSON_FAILURE_SYNTAX, 2},      {TEXT("[-01]"), JSON_FAILURE_SYNTAX, 3},
        {TEXT("[0x1]"), JSON_FAILURE_SYNTAX, 2},     {TEXT("[1_000]"), JSON_FAILURE_SYNTAX, 2},
        {TEXT("[--1]"), JSON_FAILURE_SYNTAX, 2},
    };
    check_refusals(refusals, COUNT_OF(refusals));
}

static void broken_strings_are_refused_where_they_break(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {TEXT("\""), JSON_FAILURE_SYNTAX, 1},
        {TEXT("\"abc"), JSON_FAILURE_SYNTAX, 4},
        {TEXT("\"abc\\"), JSON_FAILURE_SYNTAX, 4},
        {TEXT("\"abc\\\""), JSON_FAILURE_SYNTAX, 6},
        {TEXT("'abc'"), JSON_FAILURE_SYNTAX, 0},
        {TEXT("\"a\nb\""), JSON_FAILURE_SYNTAX, 2},
        {TEXT("\"a\0b\""), JSON_FAILURE_SYNTAX, 2},
        {TEXT("\"0123456789abcdef\x1F\""), JSON_FAILURE_SYNTAX, 17},
        {TEXT("\"\\x41\""), JSON_FAILURE_SYNTAX, 1},
        {TEXT("\"\\'\""), JSON_FAILURE_SYNTAX, 1},
        {TEXT("\"\\U0041\""), JSON_FAILURE_SYNTAX, 1},
        {TEXT("\"\\u004\""), JSON_FAILURE_SYNTAX, 1},
        {TEXT("\"\\u004g\""), JSON_FAILURE_SYNTAX, 1},
        {TEXT("\"\\u+041\""), JSON_FAILURE_SYNTAX, 1},
        {TEXT("\"\\u00"), JSON_FAILURE_SYNTAX, 1},
        {TEXT("\"a\\n\\q\""), JSON_FAILURE_SYNTAX, 4},
        {TEXT("\"\\ud83d\\u00"), JSON_FAILURE_SYNTAX, 7},
        {TEXT("\"\\ud83d\\u00zz\""), JSON_FAILURE_SYNTAX, 7},
    };
    check_refusals(refusals, COUNT_OF(refusals));
}

static void what_is_not_unicode_is_an_encoding_failure(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {TEXT("\"\xFF\""), JSON_FAILURE_ENCODING, 1},
        {TEXT("\"\xC3\""), JSON_FAILURE_ENCODING, 1},
        {TEXT("\"\xC0\x80\""), JSON_FAILURE_ENCODING, 1},
        {TEXT("\"\xED\xA0\x80\""), JSON_FAILURE_ENCODING, 1},
        {TEXT("\"\xF4\x90\x80\x80\""), JSON_FAILURE_ENCODING, 1},
        {TEXT("\xFF\xFE{\0}\0"), JSON_FAILURE_ENCODING, 0},
        {TEXT("[1,] \x80"), JSON_FAILURE_ENCODING, 5},
        {TEXT("\"ab\\ud800\""), JSON_FAILURE_ENCODING, 3},
        {TEXT("\"\\udc00\""), JSON_FAILURE_ENCODING, 1},
        {TEXT("\"\\udc00\\ud800\""), JSON_FAILURE_ENCODING, 1},
        {TEXT("\"\\udc00\\udc00\""), JSON_FAILURE_ENCODING, 1},
        {TEXT("\"\\ud800\\ud800\""), JSON_FAILURE_ENCODING, 1},
        {TEXT("\"\\ud800\\n\""), JSON_FAILURE_ENCODING, 1},
        {TEXT("\"\\ud800\\u0041\""), JSON_FAILURE_ENCODING, 1},
        {TEXT("\"\\uD83D\\uDE00\\uDE00\""), JSON_FAILURE_ENCODING, 13},
        {TEXT("\"\\ud800"), JSON_FAILURE_ENCODING, 1},
        {TEXT("{\"\\udfff\":1}"), JSON_FAILURE_ENCODING, 2},
    };
    check_refusals(refusals, COUNT_OF(refusals));
}

static void a_key_comes_once_however_it_is_spelt(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {TEXT("{\"a\":1,\"a\":1}"), JSON_FAILURE_DUPLICATE_KEY, 7},
        {TEXT("{\"a\":1,\"a"), JSON_FAILURE_SYNTAX, 9},
        {TEXT("{\"\":1,\"\":2}"), JSON_FAILURE_DUPLICATE_KEY, 6},
        {TEXT("{\"a\":1,\"\\u0061\":1}"), JSON_FAILURE_DUPLICATE_KEY, 7},
        {TEXT("{\"\\u0061\":1,\"a\":1}"), JSON_FAILURE_DUPLICATE_KEY, 12},
        {TEXT("{\"\\u006A\":1,\"\\u006a\":1}"), JSON_FAILURE_DUPLICATE_KEY, 12},
        {TEXT("{\"order_id\":1,\"order\\u005fid\":1}"), JSON_FAILURE_DUPLICATE_KEY, 14},
        {TEXT("{\"12345678\":1,\"1234567\\u0038\":1}"), JSON_FAILURE_DUPLICATE_KEY, 14},
        {TEXT("{\"123456789\":1,\"\\u00312345678\\u0039\":1}"), JSON_FAILURE_DUPLICATE_KEY, 15},
        {TEXT("{\"\xC3\xA9\":1,\"\\u00e9\":1}"), JSON_FAILURE_DUPLICATE_KEY, 8},
        {TEXT("{\"\xF0\x9F\x98\x80\":1,\"\\uD83D\\uDE00\":1}"), JSON_FAILURE_DUPLICATE_KEY, 10},
        {TEXT("{\"/\":1,\"\\/\":1}"), JSON_FAILURE_DUPLICATE_KEY, 7},
        {TEXT("[{\"a\":1,\"b\":{\"a\":1},\"a\":1}]"), JSON_FAILURE_DUPLICATE_KEY, 20},
        {TEXT("{\"a\":{\"a\":[{\"b\":1,\"b\":2}]}}"), JSON_FAILURE_DUPLICATE_KEY, 18},
    };
    check_refusals(refusals, COUNT_OF(refusals));
}

static void keys_that_differ_in_one_byte_are_different_keys(void **state)
{
    (void)state;
    static const struct text documents[] = {
        TEXT("{\"a\\u0000\":1,\"a\":1}"),
        TEXT("{\"a\\u0000\":1,\"a\\u0000\\u0000\":1}"),
        TEXT("{\"12345678\":1,\"12345678\\u0000\":1}"),
        TEXT("{\"abcdefgh1\":1,\"abcdefgh2\":1}"),
        TEXT("{\"1abcdefgh\":1,\"2abcdefgh\":1}"),
        TEXT("{\"\\\\u0061\":1,\"a\":1}"),
        TEXT("{\"\\\\n\":1,\"\\n\":1}"),
    };
    for (size_t i = 0; i < COUNT_OF(documents); i++) {
        if (read_all(documents[i]) != JSON_END) {
            fail_msg("%.*s: %s", TEXT_PRINT(documents[i]), reader.failure_text);
        }
    }
}

static void check_depth(size_t depth, char opening, char closing, bool accepted)
{
    char document[80];
    assert_true(2 * depth <= sizeof(document));
    memset(document, opening, depth);
    memset(document + depth, closing, depth);
    const enum json_event last = read_all((struct text){document, 2 * depth});
    assert_int_equal(last, accepted ? JSON_END : JSON_ERROR);
    if (!accepted) {
        assert_int_equal(reader.failure, JSON_FAILURE_DEPTH);
        assert_int_equal(reader.failure_offset, 16);
    }
}

static void sixteen_levels_are_accepted_and_seventeen_refused(void **state)
{
    (void)state;
    check_depth(15, '[', ']', true);
    check_depth(16, '[', ']', true);
    check_depth(17, '[', ']', false);
    assert_int_equal(read_all(TEXT("[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]")), JSON_END);
    assert_int_equal(read_all(TEXT("[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]")), JSON_ERROR);
    assert_int_equal(reader.failure, JSON_FAILURE_DEPTH);
}

static void depth_counts_open_levels_only(void **state)
{
    (void)state;
    const struct json_limits limits = {.depth_max = 2, .keys_max = 64};
    assert_int_equal(read_all_limited(TEXT("[[],[],{},[1,2]]"), limits), JSON_END);
    assert_int_equal(read_all_limited(TEXT("[[],[[]]]"), limits), JSON_ERROR);
    assert_int_equal(reader.failure_offset, 5);
    const struct json_limits none = {.depth_max = 0, .keys_max = 0};
    assert_int_equal(read_all_limited(TEXT("7"), none), JSON_END);
    assert_int_equal(read_all_limited(TEXT("[]"), none), JSON_ERROR);
}

static void a_flood_of_brackets_ends_at_the_limit(void **state)
{
    (void)state;
    const size_t size = 100000;
    char *brackets = malloc(size);
    assert_non_null(brackets);
    memset(brackets, '[', size);
    assert_int_equal(read_all((struct text){brackets, size}), JSON_ERROR);
    assert_int_equal(reader.failure, JSON_FAILURE_DEPTH);
    assert_int_equal(reader.failure_offset, 16);
    assert_int_equal(reader.offset, 16);
    free(brackets);
}

// {"k00":0,"k01":1,...}
static struct text object_of_keys(char *room, size_t cap, unsigned count)
{
    struct buf buf;
    buf_init_fixed(&buf, room, cap);
    buf_add_char(&buf, '{');
    for (unsigned i = 0; i < count; i++) {
        buf_add_fmt(&buf, "%s\"k%02u\":%u", i == 0 ? "" : ",", i, i);
    }
    buf_add_char(&buf, '}');
    assert_false(buf_overflowed(&buf));
    return buf_view(&buf);
}

static void sixty_four_keys_are_accepted_and_sixty_five_refused(void **state)
{
    (void)state;
    char room[1024];
    assert_int_equal(read_all(object_of_keys(room, sizeof(room), 63)), JSON_END);
    assert_int_equal(read_all(object_of_keys(room, sizeof(room), 64)), JSON_END);
    const struct text document = object_of_keys(room, sizeof(room), 65);
    assert_int_equal(read_all(document), JSON_ERROR);
    assert_int_equal(reader.failure, JSON_FAILURE_KEYS);
    assert_memory_equal(document.data + reader.failure_offset, "\"k64\"", 5);
}

// The table has room for the largest limits at once: 32 open objects of 64 keys each.
static void every_level_may_have_its_full_number_of_keys(void **state)
{
    (void)state;
    static char document[32768];
    char keys[1024];
    const struct text object = object_of_keys(keys, sizeof(keys), JSON_KEYS_CAP - 1);
    struct buf buf;
    buf_init_fixed(&buf, document, sizeof(document));
    for (unsigned level = 0; level < JSON_DEPTH_CAP; level++) {
        buf_add(&buf, object.data, object.size - 1);
        buf_add_str(&buf, ",\"deeper\":");
    }
    buf_add_char(&buf, '0');
    for (unsigned level = 0; level < JSON_DEPTH_CAP; level++) {
        buf_add_char(&buf, '}');
    }
    assert_false(buf_overflowed(&buf));
    const struct json_limits caps = {.depth_max = JSON_DEPTH_CAP, .keys_max = JSON_KEYS_CAP};
    assert_int_equal(read_all_limited(buf_view(&buf), caps), JSON_END);
    const struct json_limits less = {.depth_max = JSON_DEPTH_CAP - 1, .keys_max = JSON_KEYS_CAP};
    assert_int_equal(read_all_limited(buf_view(&buf), less), JSON_ERROR);
    assert_int_equal(reader.failure, JSON_FAILURE_DEPTH);
}

static void every_truncation_of_a_document_is_refused(void **state)
{
    (void)state;
    static const struct text document =
        TEXT("{\"order_id\": 42, \"item\": \"Caf\\u00e9 \\uD83D\\uDE00 \xE2\x82\xAC\", \"price\": "
             "-12.50e+1, \"tags\": [true, false, null, {}, []]}");
    assert_int_equal(read_all(document), JSON_END);
    for (size_t size = 0; size < document.size; size++) {
        char *cut = malloc(size);
        assert_true(cut || size == 0);
        if (size > 0) {
            memcpy(cut, document.data, size);
        }
        assert_int_equal(read_all((struct text){cut, size}), JSON_ERROR);
        assert_true(reader.failure == JSON_FAILURE_SYNTAX ||
                    reader.failure == JSON_FAILURE_ENCODING);
        assert_true(reader.failure_offset <= size);
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_documents_are_read_to_the_end),
        cmocka_unit_test(broken_structure_is_refused_where_it_breaks),
        cmocka_unit_test(broken_scalars_are_refused_where_they_break),
        cmocka_unit_test(broken_strings_are_refused_where_they_break),
        cmocka_unit_test(what_is_not_unicode_is_an_encoding_failure),
        cmocka_unit_test(a_key_comes_once_however_it_is_spelt),
        cmocka_unit_test(keys_that_differ_in_one_byte_are_different_keys),
        cmocka_unit_test(sixteen_levels_are_accepted_and_seventeen_refused),
        cmocka_unit_test(depth_counts_open_levels_only),
        cmocka_unit_test(a_flood_of_brackets_ends_at_the_limit),
        cmocka_unit_test(sixty_four_keys_are_accepted_and_sixty_five_refused),
        cmocka_unit_test(every_level_may_have_its_full_number_of_keys),
        cmocka_unit_test(every_truncation_of_a_document_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
