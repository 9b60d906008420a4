// Envelopes as they come: whole, byte by byte, forged; where they lie, and what memory they take.
#include "cql_bytes.h"
#include "cql_frame.h"
#include "cql_frame_internal.h"
#include "cql_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

// --- envelopes ------------------------------------------------------------------------

static void add_story(struct stream *stream, int version, bool lz4)
{
    const struct text body = bytes_repeated(3000, 'b');
    const struct text large = bytes_random(300000, 7);
    const struct text event = envelope_of(version, CQL_OPCODE_EVENT, -1, TEXT("event"));
    const struct text ready = envelope_of(version, CQL_OPCODE_READY, 0, TEXT(""));
    const struct text small = envelope_of(version, CQL_OPCODE_RESULT, 5, body);
    const struct text whole = envelope_of(version, CQL_OPCODE_RESULT, 6, large);
    stream_add(stream, ready.data, ready.size);
    if (version == 4) {
        stream_add(stream, small.data, small.size);
        stream_add(stream, event.data, event.size);
        stream_add(stream, whole.data, whole.size);
        stream_add(stream, small.data, small.size);
        return;
    }
    struct stream several = {0};
    stream_add(&several, small.data, small.size);
    stream_add(&several, event.data, event.size);
    stream_add(&several, small.data, small.size);
    const struct text payload = {(char *)several.bytes, several.size};
    if (lz4) {
        stream_add_packed_segment(stream, true, payload);
    } else {
        stream_add_segment(stream, false, true, payload, 0);
    }
    stream_free(&several);
    for (size_t at = 0; at < whole.size; at += CQL_SEGMENT_PAYLOAD_MAX) {
        const size_t left = whole.size - at;
        const size_t size = left < CQL_SEGMENT_PAYLOAD_MAX ? left : CQL_SEGMENT_PAYLOAD_MAX;
        stream_add_segment(stream, lz4, false, (struct text){whole.data + at, size}, 0);
    }
    stream_add_segment(stream, lz4, true, small, 0);
}

static void same_envelopes_however_the_bytes_are_cut(void **state)
{
    (void)state;
    for (int version = 4; version <= 5; version++) {
        for (int lz4 = 0; lz4 <= 1; lz4++) {
            const enum cql_compression compression =
                lz4 ? CQL_COMPRESSION_LZ4 : CQL_COMPRESSION_NONE;
            struct stream stream = {0};
            add_story(&stream, version, lz4 != 0);
            const struct outcome whole = read_stream(&stream, version, compression, SIZE_MAX);
            assert_int_equal(whole.failure, CQL_FRAME_FAILURE_NONE);
            assert_int_equal(whole.count, version == 4 ? 5 : 6);
            static const size_t steps[] = {1, 2, 7, 4096, 131083};
            for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
                const struct outcome cut = read_stream(&stream, version, compression, steps[i]);
                assert_int_equal(cut.failure, CQL_FRAME_FAILURE_NONE);
                assert_int_equal(cut.count, whole.count);
                assert_int_equal(cut.sum, whole.sum);
            }
            stream_free(&stream);
        }
    }
}

static void envelope_split_at_every_byte_is_one_envelope(void **state)
{
    (void)state;
    for (int version = 4; version <= 5; version++) {
        struct stream stream = {0};
        const struct text ready = envelope_of(version, CQL_OPCODE_READY, 0, TEXT(""));
        const struct text answer = envelope_of(version, CQL_OPCODE_RESULT, 1, TEXT("\0\0\0\1"));
        stream_add(&stream, ready.data, ready.size);
        if (version == 4) {
            stream_add(&stream, answer.data, answer.size);
        } else {
            stream_add_segment(&stream, false, true, answer, 0);
        }
        for (size_t split = 1; split < stream.size; split++) {
            struct cql_frame_reader reader;
            struct outcome outcome = {0};
            assert_int_equal(cql_frame_reader_init(&reader, version, CQL_COMPRESSION_NONE,
                                                   CQL_FRAME_LIMITS_DEFAULT),
                             ERR_OK);
            memcpy(cql_frame_room(&reader).data, stream.bytes, split);
            cql_frame_received(&reader, split);
            outcome_take_all(&outcome, &reader);
            assert_int_equal(outcome.count, split >= ready.size ? 1 : 0);
            memcpy(cql_frame_room(&reader).data, stream.bytes + split, stream.size - split);
            cql_frame_received(&reader, stream.size - split);
            outcome_take_all(&outcome, &reader);
            assert_int_equal(outcome.count, 2);
            assert_int_equal(outcome.last.stream, 1);
            cql_frame_reader_deinit(&reader);
        }
        stream_free(&stream);
    }
}

static void segments_begin_right_behind_ready_and_authenticate(void **state)
{
    (void)state;
    static const uint8_t answers[] = {CQL_OPCODE_READY, CQL_OPCODE_AUTHENTICATE};
    for (size_t i = 0; i < 2; i++) {
        struct stream stream = {0};
        const struct text supported = envelope_of(5, CQL_OPCODE_SUPPORTED, 0, TEXT("\0\0"));
        const struct text first = envelope_of(5, answers[i], 0, TEXT(""));
        stream_add(&stream, supported.data, supported.size);
        stream_add(&stream, first.data, first.size);
        stream_add_segment(&stream, false, true, bytes_of(VOID5), 0);
        const struct outcome outcome = read_stream(&stream, 5, CQL_COMPRESSION_NONE, SIZE_MAX);
        assert_int_equal(outcome.failure, CQL_FRAME_FAILURE_NONE);
        assert_int_equal(outcome.count, 3);
        stream_free(&stream);
    }
}

static void event_between_two_answers_of_a_segment_is_given(void **state)
{
    (void)state;
    struct stream stream = {0};
    stream_add_hex(&stream, READY5);
    stream_add_segment(&stream, false, true, bytes_of(VOID5 EVENT_EMPTY VOID5), 0);
    const struct outcome outcome = read_stream(&stream, 5, CQL_COMPRESSION_NONE, SIZE_MAX);
    assert_int_equal(outcome.failure, CQL_FRAME_FAILURE_NONE);
    assert_int_equal(outcome.count, 4);
    stream_free(&stream);
}

static void error_of_another_version_is_read_only_before_ready(void **state)
{
    (void)state;
    const struct text error = envelope_of(4, CQL_OPCODE_ERROR, 0, TEXT("whatever"));
    struct stream stream = {0};
    stream_add(&stream, error.data, error.size);
    const struct outcome outcome = read_stream(&stream, 5, CQL_COMPRESSION_NONE, SIZE_MAX);
    assert_int_equal(outcome.count, 1);
    assert_int_equal(outcome.last.version, 4);
    assert_int_equal(outcome.failure, CQL_FRAME_FAILURE_NONE);
    stream_free(&stream);
    stream_add_hex(&stream, READY5);
    stream_add_segment(&stream, false, true, error, 0);
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_VERSION);
    stream_free(&stream);
}

static void headers_that_cannot_be_break_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum cql_frame_failure failure;
    } cases[] = {
        {"04 00 0000 02 00000000", CQL_FRAME_FAILURE_VERSION}, // a request
        {"85 00 0000 02 00000000", CQL_FRAME_FAILURE_VERSION}, // another version, and no ERROR
        {"82 00 0000 00 00000000", CQL_FRAME_FAILURE_VERSION}, // a layout of long ago
        {"84 00 fffe 02 00000000", CQL_FRAME_FAILURE_STREAM},
        {"84 00 8000 02 00000000", CQL_FRAME_FAILURE_STREAM},
        {"84 00 0000 02 ffffffff", CQL_FRAME_FAILURE_LENGTH},
        {"84 00 0000 02 10000001", CQL_FRAME_FAILURE_LENGTH},               // 256 MiB and a byte
        {"84 01 0000 02 00000004 00000000", CQL_FRAME_FAILURE_COMPRESSION}, // not agreed on
        {"84 00 0000 02 10000000", CQL_FRAME_FAILURE_NONE}, // 256 MiB are waited for
        {"84 00 ffff 0c 00000000", CQL_FRAME_FAILURE_NONE},
        {"84 00 7fff 77 00000000", CQL_FRAME_FAILURE_NONE}, // an unknown opcode is the caller's
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stream stream = {0};
        stream_add_hex(&stream, cases[i].hex);
        assert_int_equal(failure_of(&stream, 4, CQL_COMPRESSION_NONE), cases[i].failure);
        assert_non_null(cql_frame_failure_text(cases[i].failure));
        stream_free(&stream);
    }
}

static void body_of_the_limit_is_read_and_one_byte_more_is_not(void **state)
{
    (void)state;
    for (size_t size = 999; size <= 1001; size++) {
        struct stream stream = {0};
        const struct text answer = envelope_of(4, CQL_OPCODE_RESULT, 1, bytes_repeated(size, 'x'));
        stream_add(&stream, answer.data, answer.size);
        const struct outcome outcome =
            read_limited(&stream, 4, CQL_COMPRESSION_NONE, SIZE_MAX, 1000);
        assert_int_equal(outcome.failure,
                         size > 1000 ? CQL_FRAME_FAILURE_LENGTH : CQL_FRAME_FAILURE_NONE);
        assert_int_equal(outcome.count, size > 1000 ? 0 : 1);
        stream_free(&stream);
    }
}

static void failure_is_sticky(void **state)
{
    (void)state;
    struct cql_frame_reader reader;
    struct cql_envelope envelope;
    assert_int_equal(
        cql_frame_reader_init(&reader, 4, CQL_COMPRESSION_NONE, CQL_FRAME_LIMITS_DEFAULT), ERR_OK);
    const struct text bytes = bytes_of("04 00 0000 02 00000000 84 00 0000 02 00000000");
    memcpy(cql_frame_room(&reader).data, bytes.data, bytes.size);
    cql_frame_received(&reader, bytes.size);
    assert_int_equal(cql_frame_next(&reader, &envelope), CQL_FRAME_BROKEN);
    assert_int_equal(cql_frame_next(&reader, &envelope), CQL_FRAME_BROKEN);
    cql_frame_reader_deinit(&reader);
    cql_frame_reader_deinit(&reader); // a zeroed one
}

// --- memory and views ----------------------------------------------------------------------

static void views_given_before_room_is_asked_for_stay(void **state)
{
    (void)state;
    struct stream stream = {0};
    add_story(&stream, 5, true);
    struct cql_frame_reader reader;
    assert_int_equal(cql_frame_reader_init(&reader, 5, CQL_COMPRESSION_LZ4,
                                           (struct cql_frame_limits){1u << 20, CQL_BODY_SIZE_MAX}),
                     ERR_OK);
    memcpy(cql_frame_room(&reader).data, stream.bytes, stream.size);
    cql_frame_received(&reader, stream.size);
    struct cql_envelope envelopes[8];
    size_t count = 0;
    while (cql_frame_next(&reader, &envelopes[count]) == CQL_FRAME_ENVELOPE) {
        count++;
    }
    assert_int_equal(count, 6);
    const struct text body = bytes_repeated(3000, 'b');
    assert_true(text_equal(envelopes[1].body, body));
    assert_true(text_equal(envelopes[2].body, TEXT("event")));
    assert_true(text_equal(envelopes[4].body, bytes_random(300000, 7)));
    assert_true(text_equal(envelopes[5].body, body));
    cql_frame_reader_deinit(&reader);
    stream_free(&stream);
}

static void memory_grows_with_what_has_come_and_shrinks_again(void **state)
{
    (void)state;
    struct cql_frame_reader reader;
    struct cql_envelope envelope;
    assert_int_equal(
        cql_frame_reader_init(&reader, 4, CQL_COMPRESSION_NONE, CQL_FRAME_LIMITS_DEFAULT), ERR_OK);
    const struct text header = bytes_of("84 00 0001 08 10000000"); // 256 MiB are claimed
    memcpy(cql_frame_room(&reader).data, header.data, header.size);
    cql_frame_received(&reader, header.size);
    assert_int_equal(cql_frame_next(&reader, &envelope), CQL_FRAME_MORE);
    for (size_t i = 0; i < 4; i++) {
        const struct cql_frame_room room = cql_frame_room(&reader);
        assert_true(reader.cap <= (size_t)CQL_FRAME_LIMITS_DEFAULT.room_size << i);
        memset(room.data, 0, room.size);
        cql_frame_received(&reader, room.size);
        assert_int_equal(cql_frame_next(&reader, &envelope), CQL_FRAME_MORE);
    }
    cql_frame_reader_deinit(&reader);
    struct stream stream = {0};
    const struct text answer = envelope_of(4, CQL_OPCODE_RESULT, 1, bytes_repeated(1u << 20, 'x'));
    stream_add(&stream, answer.data, answer.size);
    assert_int_equal(
        cql_frame_reader_init(&reader, 4, CQL_COMPRESSION_NONE, CQL_FRAME_LIMITS_DEFAULT), ERR_OK);
    struct outcome outcome = {0};
    for (size_t at = 0; at < stream.size;) {
        const struct cql_frame_room room = cql_frame_room(&reader);
        const size_t size = stream.size - at < room.size ? stream.size - at : room.size;
        memcpy(room.data, stream.bytes + at, size);
        cql_frame_received(&reader, size);
        at += size;
        outcome_take_all(&outcome, &reader);
    }
    assert_int_equal(outcome.count, 1);
    (void)cql_frame_room(&reader);
    assert_int_equal(reader.cap, CQL_FRAME_LIMITS_DEFAULT.room_size);
    cql_frame_reader_deinit(&reader);
    stream_free(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(same_envelopes_however_the_bytes_are_cut, bytes_release),
        cmocka_unit_test_teardown(envelope_split_at_every_byte_is_one_envelope, bytes_release),
        cmocka_unit_test_teardown(segments_begin_right_behind_ready_and_authenticate,
                                  bytes_release),
        cmocka_unit_test_teardown(event_between_two_answers_of_a_segment_is_given, bytes_release),
        cmocka_unit_test_teardown(error_of_another_version_is_read_only_before_ready,
                                  bytes_release),
        cmocka_unit_test_teardown(headers_that_cannot_be_break_the_connection, bytes_release),
        cmocka_unit_test_teardown(body_of_the_limit_is_read_and_one_byte_more_is_not,
                                  bytes_release),
        cmocka_unit_test_teardown(failure_is_sticky, bytes_release),
        cmocka_unit_test_teardown(views_given_before_room_is_asked_for_stay, bytes_release),
        cmocka_unit_test_teardown(memory_grows_with_what_has_come_and_shrinks_again, bytes_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
