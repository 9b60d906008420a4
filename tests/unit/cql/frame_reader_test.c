// Envelopes and segments as they come: whole, byte by byte, forged and damaged. What the server would send is
// built here by hand, not by the writer of the code under test.
#include "cql_bytes.h"
#include "cql_crc.h"
#include "cql_frame.h"
#include "cql_frame_internal.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

#include <lz4.h>
#include <zlib.h>

#define READY5      "85 00 0000 02 00000000"
#define VOID5       "85 00 0001 08 00000004 00000001"
#define EVENT_EMPTY "85 00 ffff 0c 00000000"

// --- a server's bytes -----------------------------------------------------------------------------

struct stream {
    unsigned char *bytes;
    size_t size;
    size_t cap;
};

static void stream_add(struct stream *stream, const void *bytes, size_t size)
{
    if (stream->size + size > stream->cap) {
        stream->cap = 2 * (stream->size + size);
        stream->bytes = realloc(stream->bytes, stream->cap);
        assert_non_null(stream->bytes);
    }
    if (size > 0) {
        memcpy(stream->bytes + stream->size, bytes, size);
    }
    stream->size += size;
}

static void stream_free(struct stream *stream)
{
    free(stream->bytes);
    *stream = (struct stream){0};
}

static void add_hex(struct stream *stream, const char *hex)
{
    const struct text bytes = bytes_of(hex);
    stream_add(stream, bytes.data, bytes.size);
}

static void add_little(struct stream *stream, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++, value >>= 8) {
        stream_add(stream, &(unsigned char){(unsigned char)value}, 1);
    }
}

// As the specification says, and not as the code under test does it.
static void add_segment(struct stream *stream, bool lz4, bool self_contained, struct text payload,
                        uint64_t unpacked_size)
{
    const size_t header_size = lz4 ? 5 : 3;
    uint64_t header = payload.size | (uint64_t)self_contained << (lz4 ? 34 : 17);
    header |= lz4 ? unpacked_size << 17 : 0;
    const size_t at = stream->size;
    add_little(stream, header, header_size);
    add_little(stream, cql_crc24(stream->bytes + at, header_size), 3);
    stream_add(stream, payload.data, payload.size);
    uint32_t crc = (uint32_t)crc32(0, (const Bytef *)"\xFA\x2D\x55\xCA", 4);
    crc = (uint32_t)crc32(crc, (const Bytef *)payload.data, (uInt)payload.size);
    add_little(stream, crc, 4);
}

static void add_packed_segment(struct stream *stream, bool self_contained, struct text payload)
{
    char *packed = malloc((size_t)LZ4_compressBound((int)payload.size));
    assert_non_null(packed);
    const int size = LZ4_compress_default(payload.data, packed, (int)payload.size,
                                          LZ4_compressBound((int)payload.size));
    assert_true(size > 0);
    add_segment(stream, true, self_contained, (struct text){packed, (size_t)size}, payload.size);
    free(packed);
}

static struct text envelope_of(int version, uint8_t opcode, int16_t stream_id, struct text body)
{
    struct stream stream = {0};
    unsigned char header[9] = {(unsigned char)(0x80 | version), 0};
    cql_store_short(header + 2, (uint16_t)stream_id);
    header[4] = opcode;
    cql_store_int(header + 5, (uint32_t)body.size);
    stream_add(&stream, header, sizeof(header));
    stream_add(&stream, body.data, body.size);
    const struct text copy = bytes_copy((struct text){(char *)stream.bytes, stream.size});
    stream_free(&stream);
    return copy;
}

// --- reading it -----------------------------------------------------------------------------------

// What a reader made of a stream, given to it in pieces of at most `step` bytes.
struct outcome {
    size_t count;
    enum cql_frame_failure failure;
    uint32_t sum; // of all envelopes, headers and bodies
    struct cql_envelope last;
    size_t last_size;
};

static void take_all(struct cql_frame_reader *reader, struct outcome *outcome)
{
    struct cql_envelope envelope;
    enum cql_frame_step step;
    while ((step = cql_frame_next(reader, &envelope)) == CQL_FRAME_ENVELOPE) {
        const unsigned char head[] = {envelope.version, envelope.flags, envelope.opcode,
                                      (unsigned char)envelope.stream};
        outcome->count++;
        outcome->sum = (uint32_t)crc32(outcome->sum, head, sizeof(head));
        outcome->sum =
            (uint32_t)crc32_z(outcome->sum, (const Bytef *)envelope.body.data, envelope.body.size);
        outcome->last = envelope;
        outcome->last_size = envelope.body.size;
    }
    assert_int_equal(step == CQL_FRAME_BROKEN, reader->failure != CQL_FRAME_FAILURE_NONE);
}

static struct outcome read_limited(const struct stream *stream, int version,
                                   enum cql_compression compression, size_t step, size_t body_max)
{
    struct cql_frame_reader reader;
    struct outcome outcome = {0};
    struct cql_frame_limits limits = CQL_FRAME_LIMITS_DEFAULT;
    limits.body_max = body_max;
    assert_int_equal(cql_frame_reader_init(&reader, version, compression, limits), ERR_OK);
    for (size_t at = 0; at < stream->size && reader.failure == CQL_FRAME_FAILURE_NONE;) {
        const struct cql_frame_room room = cql_frame_room(&reader);
        assert_true(room.size > 0);
        size_t size = stream->size - at;
        size = size < room.size ? size : room.size;
        size = size < step ? size : step;
        memcpy(room.data, stream->bytes + at, size);
        cql_frame_received(&reader, size);
        at += size;
        take_all(&reader, &outcome);
    }
    outcome.failure = reader.failure;
    cql_frame_reader_deinit(&reader);
    return outcome;
}

static struct outcome read_stream(const struct stream *stream, int version,
                                  enum cql_compression compression, size_t step)
{
    return read_limited(stream, version, compression, step, CQL_BODY_SIZE_MAX);
}

static enum cql_frame_failure failure_of(const struct stream *stream, int version,
                                         enum cql_compression compression)
{
    return read_stream(stream, version, compression, SIZE_MAX).failure;
}

// --- tests: bare envelopes ------------------------------------------------------------------------

static void golden_segment_of_the_reference_is_read(void **state)
{
    (void)state;
    // OPTIONS is no answer, so its version byte alone makes the golden payload refused, after its sums.
    struct stream stream = {0};
    add_hex(&stream, READY5);
    add_hex(&stream, "090002 a4c8c1 050000010500000000 b5557486");
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_VERSION);
    stream_free(&stream);
    add_hex(&stream, READY5);
    add_hex(&stream, "0900000004 c2b895 050000010500000000 b5557486");
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_LZ4), CQL_FRAME_FAILURE_VERSION);
    stream_free(&stream);
}

static void check_sums_have_their_starting_values(void **state)
{
    (void)state;
    assert_int_equal(cql_crc24((const unsigned char *)"\x09\x00\x02", 3), 0xC1C8A4);
    assert_int_equal(cql_crc24((const unsigned char *)"", 0), 0x875060);
    assert_int_equal(cql_crc32((const unsigned char *)"", 0),
                     crc32(0, (const Bytef *)"\xFA\x2D\x55\xCA", 4));
    assert_int_equal(cql_crc32((const unsigned char *)"\x05\0\0\x01\x05\0\0\0\0", 9), 0x867455B5);
}

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
        add_packed_segment(stream, true, payload);
    } else {
        add_segment(stream, false, true, payload, 0);
    }
    stream_free(&several);
    for (size_t at = 0; at < whole.size; at += CQL_SEGMENT_PAYLOAD_MAX) {
        const size_t left = whole.size - at;
        const size_t size = left < CQL_SEGMENT_PAYLOAD_MAX ? left : CQL_SEGMENT_PAYLOAD_MAX;
        add_segment(stream, lz4, false, (struct text){whole.data + at, size}, 0);
    }
    add_segment(stream, lz4, true, small, 0);
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
            add_segment(&stream, false, true, answer, 0);
        }
        for (size_t split = 1; split < stream.size; split++) {
            struct cql_frame_reader reader;
            struct outcome outcome = {0};
            assert_int_equal(cql_frame_reader_init(&reader, version, CQL_COMPRESSION_NONE,
                                                   CQL_FRAME_LIMITS_DEFAULT),
                             ERR_OK);
            memcpy(cql_frame_room(&reader).data, stream.bytes, split);
            cql_frame_received(&reader, split);
            take_all(&reader, &outcome);
            assert_int_equal(outcome.count, split >= ready.size ? 1 : 0);
            memcpy(cql_frame_room(&reader).data, stream.bytes + split, stream.size - split);
            cql_frame_received(&reader, stream.size - split);
            take_all(&reader, &outcome);
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
        add_segment(&stream, false, true, bytes_of(VOID5), 0);
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
    add_hex(&stream, READY5);
    add_segment(&stream, false, true, bytes_of(VOID5 EVENT_EMPTY VOID5), 0);
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
    add_hex(&stream, READY5);
    add_segment(&stream, false, true, error, 0);
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
        add_hex(&stream, cases[i].hex);
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

// --- tests: segments ------------------------------------------------------------------------------

// An envelope of that many bytes, header included, in segments.
static struct outcome read_large(size_t size)
{
    struct stream stream = {0};
    add_hex(&stream, READY5);
    const struct text whole = envelope_of(5, CQL_OPCODE_RESULT, 3, bytes_random(size - 9, size));
    const bool fits = size <= CQL_SEGMENT_PAYLOAD_MAX;
    for (size_t at = 0; at < size; at += CQL_SEGMENT_PAYLOAD_MAX) {
        const size_t left = size - at;
        const size_t slice = left < CQL_SEGMENT_PAYLOAD_MAX ? left : CQL_SEGMENT_PAYLOAD_MAX;
        add_segment(&stream, false, fits, (struct text){whole.data + at, slice}, 0);
    }
    add_segment(&stream, false, true, bytes_of(VOID5), 0);
    const struct outcome outcome = read_stream(&stream, 5, CQL_COMPRESSION_NONE, 50000);
    stream_free(&stream);
    return outcome;
}

static void envelopes_of_a_segment_and_of_many_are_put_together(void **state)
{
    (void)state;
    static const size_t sizes[] = {131070, 131071, 131072, 262142, 262143, 20 * 131071, 2621500};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const struct outcome outcome = read_large(sizes[i]);
        assert_int_equal(outcome.failure, CQL_FRAME_FAILURE_NONE);
        assert_int_equal(outcome.count, 3);
    }
}

static void any_flipped_bit_of_a_segment_is_found(void **state)
{
    (void)state;
    struct stream stream = {0};
    add_hex(&stream, READY5);
    const size_t start = stream.size;
    add_segment(&stream, false, true, bytes_of(VOID5), 0);
    for (size_t bit = 8 * start; bit < 8 * stream.size; bit++) {
        stream.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_CHECKSUM);
        stream.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_NONE);
    stream_free(&stream);
}

static void flipped_bit_in_the_second_slice_is_found(void **state)
{
    (void)state;
    struct stream stream = {0};
    const struct text whole = envelope_of(5, CQL_OPCODE_RESULT, 3, bytes_random(200000, 1));
    const size_t first = CQL_SEGMENT_PAYLOAD_MAX;
    add_hex(&stream, READY5);
    add_segment(&stream, false, false, (struct text){whole.data, first}, 0);
    add_segment(&stream, false, false, (struct text){whole.data + first, whole.size - first}, 0);
    stream.bytes[stream.size - 1000] ^= 4;
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_CHECKSUM);
    stream_free(&stream);
}

static void slices_mixed_with_others_break_the_connection(void **state)
{
    (void)state;
    const struct text whole = envelope_of(5, CQL_OPCODE_RESULT, 3, bytes_random(100, 1));
    struct stream stream = {0};
    add_hex(&stream, READY5);
    add_segment(&stream, false, false, (struct text){whole.data, 50}, 0);
    add_segment(&stream, false, true, bytes_of(VOID5), 0);
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_SEGMENT);
    stream_free(&stream);
    // more in the slices than the header says
    add_hex(&stream, READY5);
    add_segment(&stream, false, false, whole, 0);
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_NONE);
    stream_free(&stream);
    add_hex(&stream, READY5);
    add_segment(&stream, false, false, (struct text){whole.data, 50}, 0);
    add_segment(&stream, false, false, whole, 0);
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_LENGTH);
    stream_free(&stream);
    // a header that is not whole in the first slice
    add_hex(&stream, READY5);
    add_segment(&stream, false, false, (struct text){whole.data, 8}, 0);
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_SEGMENT);
    stream_free(&stream);
}

static void part_of_an_envelope_in_a_whole_segment_breaks_the_connection(void **state)
{
    (void)state;
    const struct text whole = envelope_of(5, CQL_OPCODE_RESULT, 3, TEXT("\0\0\0\1"));
    for (size_t size = 1; size < whole.size; size++) {
        struct stream stream = {0};
        add_hex(&stream, READY5);
        add_segment(&stream, false, true, (struct text){whole.data, size}, 0);
        assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_LENGTH);
        stream_free(&stream);
    }
}

static void empty_segments_say_nothing(void **state)
{
    (void)state;
    struct stream stream = {0};
    add_hex(&stream, READY5);
    add_segment(&stream, false, true, TEXT(""), 0);
    add_segment(&stream, false, true, bytes_of(VOID5), 0);
    const struct outcome outcome = read_stream(&stream, 5, CQL_COMPRESSION_NONE, 1);
    assert_int_equal(outcome.failure, CQL_FRAME_FAILURE_NONE);
    assert_int_equal(outcome.count, 2);
    stream_free(&stream);
}

// --- tests: LZ4 -----------------------------------------------------------------------------------

static void packed_segment_that_lies_about_its_size_breaks_the_connection(void **state)
{
    (void)state;
    const struct text whole = envelope_of(5, CQL_OPCODE_RESULT, 3, bytes_repeated(1000, 'a'));
    char packed[2000];
    const int size = LZ4_compress_default(whole.data, packed, (int)whole.size, sizeof(packed));
    const struct text block = {packed, (size_t)size};
    const struct {
        struct text block;
        size_t unpacked;
        enum cql_frame_failure failure;
    } cases[] = {
        {block, whole.size, CQL_FRAME_FAILURE_NONE},
        {block, whole.size - 1, CQL_FRAME_FAILURE_COMPRESSION},
        {block, whole.size + 1, CQL_FRAME_FAILURE_COMPRESSION},
        {block, CQL_SEGMENT_PAYLOAD_MAX, CQL_FRAME_FAILURE_COMPRESSION},
        {{packed, block.size - 1}, whole.size, CQL_FRAME_FAILURE_COMPRESSION},
        {{packed, 0}, 10, CQL_FRAME_FAILURE_COMPRESSION},
        {whole, 0, CQL_FRAME_FAILURE_NONE}, // stored as it is
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stream stream = {0};
        add_hex(&stream, READY5);
        add_segment(&stream, true, true, cases[i].block, cases[i].unpacked);
        assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_LZ4), cases[i].failure);
        stream_free(&stream);
    }
}

static void packed_slices_are_put_together(void **state)
{
    (void)state;
    const struct text whole = envelope_of(5, CQL_OPCODE_RESULT, 3, bytes_repeated(300000, 'z'));
    struct stream stream = {0};
    add_hex(&stream, READY5);
    for (size_t at = 0; at < whole.size; at += CQL_SEGMENT_PAYLOAD_MAX) {
        const size_t left = whole.size - at;
        const size_t size = left < CQL_SEGMENT_PAYLOAD_MAX ? left : CQL_SEGMENT_PAYLOAD_MAX;
        add_packed_segment(&stream, false, (struct text){whole.data + at, size});
    }
    const struct outcome outcome = read_stream(&stream, 5, CQL_COMPRESSION_LZ4, 100);
    assert_int_equal(outcome.failure, CQL_FRAME_FAILURE_NONE);
    assert_int_equal(outcome.count, 2);
    assert_int_equal(outcome.last_size, 300000);
    stream_free(&stream);
}

// A v4 body: its size, big-endian, then the block.
static struct text packed_body(struct text body, uint32_t claimed, size_t cut)
{
    struct stream stream = {0};
    unsigned char size[4];
    char packed[4000];
    cql_store_int(size, claimed);
    const int packed_size = LZ4_compress_default(body.data, packed, (int)body.size, sizeof(packed));
    stream_add(&stream, size, sizeof(size));
    stream_add(&stream, packed, (size_t)packed_size - cut);
    const struct text copy = bytes_copy((struct text){(char *)stream.bytes, stream.size});
    stream_free(&stream);
    return copy;
}

static void packed_body_of_v4_is_unpacked_or_breaks_the_connection(void **state)
{
    (void)state;
    const struct text body = bytes_repeated(1000, 'q');
    const struct {
        struct text body;
        enum cql_frame_failure failure;
    } cases[] = {
        {packed_body(body, 1000, 0), CQL_FRAME_FAILURE_NONE},
        {packed_body(body, 999, 0), CQL_FRAME_FAILURE_COMPRESSION},
        {packed_body(body, 1001, 0), CQL_FRAME_FAILURE_COMPRESSION},
        {packed_body(body, 0x10000000, 0), CQL_FRAME_FAILURE_COMPRESSION},
        {packed_body(body, 0x10000001, 0), CQL_FRAME_FAILURE_COMPRESSION},
        {packed_body(body, 0xFFFFFFFF, 0), CQL_FRAME_FAILURE_COMPRESSION},
        {packed_body(body, 1000, 1), CQL_FRAME_FAILURE_COMPRESSION},
        {packed_body(TEXT(""), 0, 0), CQL_FRAME_FAILURE_NONE},
        {bytes_of("000000"), CQL_FRAME_FAILURE_COMPRESSION},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stream stream = {0};
        const struct text answer = envelope_of(4, CQL_OPCODE_RESULT, 1, cases[i].body);
        stream_add(&stream, answer.data, answer.size);
        stream.bytes[1] = CQL_FLAG_COMPRESSED;
        const struct outcome outcome = read_stream(&stream, 4, CQL_COMPRESSION_LZ4, SIZE_MAX);
        assert_int_equal(outcome.failure, cases[i].failure);
        assert_int_equal(outcome.last.flags, 0);
        stream_free(&stream);
    }
}

// --- tests: memory and views ----------------------------------------------------------------------

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
        take_all(&reader, &outcome);
    }
    assert_int_equal(outcome.count, 1);
    (void)cql_frame_room(&reader);
    assert_int_equal(reader.cap, CQL_FRAME_LIMITS_DEFAULT.room_size);
    cql_frame_reader_deinit(&reader);
    stream_free(&stream);
}

static void random_damage_never_reads_beyond_nor_invents(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (unsigned round = 0; round < 300; round++) {
        const bool lz4 = rand_below(&rand, 2) != 0;
        struct stream stream = {0};
        add_hex(&stream, READY5);
        const struct text small =
            envelope_of(5, CQL_OPCODE_RESULT, 5, bytes_repeated(rand_below(&rand, 900), 'r'));
        for (unsigned i = 0; i < 5; i++) {
            if (lz4) {
                add_packed_segment(&stream, true, small);
            } else {
                add_segment(&stream, false, true, small, 0);
            }
        }
        const size_t at = 9 + rand_below(&rand, stream.size - 9);
        stream.bytes[at] ^= (unsigned char)(1 + rand_below(&rand, 255));
        const enum cql_compression compression = lz4 ? CQL_COMPRESSION_LZ4 : CQL_COMPRESSION_NONE;
        const struct outcome outcome =
            read_stream(&stream, 5, compression, 1 + rand_below(&rand, 3000));
        assert_true(outcome.count <= 6);
        // A size that seems larger is found at once: the header has a sum of its own.
        assert_int_not_equal(outcome.failure, CQL_FRAME_FAILURE_NONE);
        stream_free(&stream);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(golden_segment_of_the_reference_is_read, bytes_release),
        cmocka_unit_test(check_sums_have_their_starting_values),
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
        cmocka_unit_test_teardown(envelopes_of_a_segment_and_of_many_are_put_together,
                                  bytes_release),
        cmocka_unit_test_teardown(any_flipped_bit_of_a_segment_is_found, bytes_release),
        cmocka_unit_test_teardown(flipped_bit_in_the_second_slice_is_found, bytes_release),
        cmocka_unit_test_teardown(slices_mixed_with_others_break_the_connection, bytes_release),
        cmocka_unit_test_teardown(part_of_an_envelope_in_a_whole_segment_breaks_the_connection,
                                  bytes_release),
        cmocka_unit_test_teardown(empty_segments_say_nothing, bytes_release),
        cmocka_unit_test_teardown(packed_segment_that_lies_about_its_size_breaks_the_connection,
                                  bytes_release),
        cmocka_unit_test_teardown(packed_slices_are_put_together, bytes_release),
        cmocka_unit_test_teardown(packed_body_of_v4_is_unpacked_or_breaks_the_connection,
                                  bytes_release),
        cmocka_unit_test_teardown(views_given_before_room_is_asked_for_stay, bytes_release),
        cmocka_unit_test_teardown(memory_grows_with_what_has_come_and_shrinks_again, bytes_release),
        cmocka_unit_test_teardown(random_damage_never_reads_beyond_nor_invents, bytes_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
