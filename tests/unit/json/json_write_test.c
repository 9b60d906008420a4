// What the writer writes, and that both the reader and jansson read it back.
#include "json_write.h"

#include "aborts.h"
#include "json_check.h"
#include "json_oracle.h"
#include "json_random.h"
#include "json_read.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static char room[4096];

static void check_written(struct text expected, const struct buf *buf)
{
    assert_false(buf_overflowed(buf));
    if (!text_equal(buf_view(buf), expected)) {
        fail_msg("%.*s is not %.*s", TEXT_PRINT(buf_view(buf)), TEXT_PRINT(expected));
    }
    bool accepted = false;
    assert_null(json_check(buf_view(buf), &accepted));
    assert_true(accepted);
}

static void write_sample(struct json_writer *writer)
{
    json_object_begin(writer);
    json_key(writer, TEXT("order_id"));
    json_int(writer, 42);
    json_key(writer, TEXT("price"));
    json_number(writer, TEXT("1299.90"));
    json_key(writer, TEXT("tags"));
    json_array_begin(writer);
    json_string(writer, TEXT("a"));
    json_bool(writer, true);
    json_bool(writer, false);
    json_null(writer);
    json_array_begin(writer);
    json_array_end(writer);
    json_object_begin(writer);
    json_object_end(writer);
    json_array_end(writer);
    json_key(writer, TEXT(""));
    json_object_begin(writer);
    json_key(writer, TEXT("x"));
    json_string(writer, TEXT(""));
    json_object_end(writer);
    json_object_end(writer);
}

static const struct text sample = TEXT("{\"order_id\":42,\"price\":1299.90,\"tags\":[\"a\",true,"
                                       "false,null,[],{}],\"\":{\"x\":\"\"}}");

static void commas_and_colons_come_by_themselves(void **state)
{
    (void)state;
    struct buf buf;
    buf_init_fixed(&buf, room, sizeof(room));
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    write_sample(&writer);
    check_written(sample, &buf);
}

static void check_string(struct text text, struct text expected)
{
    struct buf buf;
    buf_init_fixed(&buf, room, sizeof(room));
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    json_string(&writer, text);
    check_written(expected, &buf);
}

static void only_what_must_be_escaped_is(void **state)
{
    (void)state;
    check_string(TEXT("a\"b\\c/d"), TEXT("\"a\\\"b\\\\c/d\""));
    check_string(TEXT("\b\f\n\r\t"), TEXT("\"\\b\\f\\n\\r\\t\""));
    check_string(TEXT("\0\x01\x0B\x1F"), TEXT("\"\\u0000\\u0001\\u000b\\u001f\""));
    check_string(TEXT(" \x7F\xC3\xA9\xF0\x9F\x98\x80"), TEXT("\" \x7F\xC3\xA9\xF0\x9F\x98\x80\""));
    check_string((struct text){NULL, 0}, TEXT("\"\""));
}

static void bytes_that_are_not_utf8_become_replacement_characters(void **state)
{
    (void)state;
    check_string(TEXT("\xFF"), TEXT("\"\xEF\xBF\xBD\""));
    check_string(TEXT("a\x80\"\xC3"), TEXT("\"a\xEF\xBF\xBD\\\"\xEF\xBF\xBD\""));
    check_string(TEXT("\xED\xA0\x80z"), TEXT("\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\""));
    check_string(TEXT("\xC3\xA9\xC3"), TEXT("\"\xC3\xA9\xEF\xBF\xBD\""));
}

static void keys_are_escaped_as_strings_are(void **state)
{
    (void)state;
    struct buf buf;
    buf_init_fixed(&buf, room, sizeof(room));
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    json_object_begin(&writer);
    json_key(&writer, TEXT("a\"\n\x80"));
    json_int(&writer, 0);
    json_object_end(&writer);
    check_written(TEXT("{\"a\\\"\\n\xEF\xBF\xBD\":0}"), &buf);
}

static void integers_are_written_to_their_ends(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        struct text expected;
    } cases[] = {
        {0, TEXT("0")},
        {-1, TEXT("-1")},
        {INT64_MAX, TEXT("9223372036854775807")},
        {INT64_MIN, TEXT("-9223372036854775808")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf buf;
        buf_init_fixed(&buf, room, sizeof(room));
        struct json_writer writer;
        json_writer_init(&writer, &buf);
        json_int(&writer, cases[i].value);
        check_written(cases[i].expected, &buf);
    }
}

static void the_deepest_level_can_be_written(void **state)
{
    (void)state;
    struct buf buf;
    buf_init_fixed(&buf, room, sizeof(room));
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    for (unsigned level = 0; level < JSON_WRITE_DEPTH_MAX; level++) {
        json_array_begin(&writer);
        json_int(&writer, level);
    }
    for (unsigned level = 0; level < JSON_WRITE_DEPTH_MAX; level++) {
        json_array_end(&writer);
    }
    static struct json_reader reader;
    json_reader_init(&reader, buf_view(&buf), (struct json_limits){JSON_DEPTH_CAP, 1});
    struct json_token token;
    assert_int_equal(json_next(&reader, &token), JSON_ARRAY_BEGIN);
    assert_true(json_skip_container(&reader));
    assert_int_equal(json_next(&reader, &token), JSON_END);
}

static void too_little_room_is_an_overflow_at_every_size(void **state)
{
    (void)state;
    for (size_t cap = 0; cap <= sample.size; cap++) {
        memset(room, '#', sizeof(room));
        struct buf buf;
        buf_init_fixed(&buf, room, cap);
        struct json_writer writer;
        json_writer_init(&writer, &buf);
        write_sample(&writer);
        assert_int_equal(buf_overflowed(&buf), cap < sample.size);
        assert_int_equal(room[cap], '#');
    }
}

// Writes what the reader reads.
static void copy_document(struct text document, struct json_writer *writer)
{
    static struct json_reader reader;
    char text[4096];
    struct json_token token;
    json_reader_init(&reader, document, (struct json_limits){16, 64});
    for (;;) {
        const enum json_event event = json_next(&reader, &token);
        struct text meaning = {text, 0};
        switch (event) {
        case JSON_OBJECT_BEGIN:
            json_object_begin(writer);
            break;
        case JSON_OBJECT_END:
            json_object_end(writer);
            break;
        case JSON_ARRAY_BEGIN:
            json_array_begin(writer);
            break;
        case JSON_ARRAY_END:
            json_array_end(writer);
            break;
        case JSON_KEY:
        case JSON_STRING:
            meaning.size = json_unescape(token.raw, text, sizeof(text));
            event == JSON_KEY ? json_key(writer, meaning) : json_string(writer, meaning);
            break;
        case JSON_NUMBER:
            json_number(writer, token.raw);
            break;
        case JSON_TRUE:
        case JSON_FALSE:
            json_bool(writer, event == JSON_TRUE);
            break;
        case JSON_NULL:
            json_null(writer);
            break;
        case JSON_END:
            return;
        case JSON_ERROR:
            fail_msg("expected %s at %zu", reader.failure_text, reader.failure_offset);
        }
    }
}

// One copy brings a document into the writer's spelling, a second one changes nothing.
static void copies_of_random_documents_hold_the_same_values(void **state)
{
    (void)state;
    static char rooms[3][65536];
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (unsigned i = 0; i < 1000; i++) {
        struct buf bufs[3];
        for (unsigned j = 0; j < 3; j++) {
            buf_init_fixed(&bufs[j], rooms[j], sizeof(rooms[j]));
        }
        json_random_document(&rand, &bufs[0]);
        for (unsigned j = 1; j < 3; j++) {
            struct json_writer writer;
            json_writer_init(&writer, &bufs[j]);
            copy_document(buf_view(&bufs[j - 1]), &writer);
            assert_false(buf_overflowed(&bufs[j]));
        }
        check_written(buf_view(&bufs[1]), &bufs[2]);
        assert_true(oracle_equal(buf_view(&bufs[0]), buf_view(&bufs[1])));
    }
}

static void value_without_a_key(struct json_writer *writer)
{
    json_object_begin(writer);
    json_int(writer, 1);
}

static void key_without_a_value(struct json_writer *writer)
{
    json_object_begin(writer);
    json_key(writer, TEXT("a"));
    json_object_end(writer);
}

static void key_after_a_key(struct json_writer *writer)
{
    json_object_begin(writer);
    json_key(writer, TEXT("a"));
    json_key(writer, TEXT("b"));
}

static void key_in_an_array(struct json_writer *writer)
{
    json_array_begin(writer);
    json_key(writer, TEXT("a"));
}

static void end_that_fits_no_begin(struct json_writer *writer)
{
    json_array_begin(writer);
    json_object_end(writer);
}

static void one_end_too_many(struct json_writer *writer)
{
    json_array_begin(writer);
    json_array_end(writer);
    json_array_end(writer);
}

static void second_document(struct json_writer *writer)
{
    json_null(writer);
    json_null(writer);
}

static void one_level_too_many(struct json_writer *writer)
{
    for (unsigned level = 0; level < JSON_WRITE_DEPTH_MAX + 1; level++) {
        json_array_begin(writer);
    }
}

static void empty_number(struct json_writer *writer)
{
    json_number(writer, TEXT(""));
}

typedef void (*misuse)(struct json_writer *writer);

static void misuse_anew(void *context)
{
    const misuse *call = context;
    struct buf buf;
    buf_init_fixed(&buf, room, sizeof(room));
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    (*call)(&writer);
}

static void calls_that_would_not_make_json_end_the_process(void **state)
{
    (void)state;
    misuse calls[] = {
        value_without_a_key, key_without_a_value, key_after_a_key,
        key_in_an_array,     empty_number,        end_that_fits_no_begin,
        one_end_too_many,    second_document,     one_level_too_many,
    };
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        assert_true(aborts(misuse_anew, &calls[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_colons_come_by_themselves),
        cmocka_unit_test(only_what_must_be_escaped_is),
        cmocka_unit_test(bytes_that_are_not_utf8_become_replacement_characters),
        cmocka_unit_test(keys_are_escaped_as_strings_are),
        cmocka_unit_test(integers_are_written_to_their_ends),
        cmocka_unit_test(the_deepest_level_can_be_written),
        cmocka_unit_test(too_little_room_is_an_overflow_at_every_size),
        cmocka_unit_test(calls_that_would_not_make_json_end_the_process),
        cmocka_unit_test(copies_of_random_documents_hold_the_same_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
