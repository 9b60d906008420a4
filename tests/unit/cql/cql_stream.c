#include "cql_stream.h"

#include "cql_crc.h"

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

// --- a server's bytes -----------------------------------------------------------------------------

void stream_add(struct stream *stream, const void *bytes, size_t size)
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

void stream_free(struct stream *stream)
{
    free(stream->bytes);
    *stream = (struct stream){0};
}

void stream_add_hex(struct stream *stream, const char *hex)
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

void stream_add_segment(struct stream *stream, bool lz4, bool self_contained, struct text payload,
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

void stream_add_packed_segment(struct stream *stream, bool self_contained, struct text payload)
{
    char *packed = malloc((size_t)LZ4_compressBound((int)payload.size));
    assert_non_null(packed);
    const int size = LZ4_compress_default(payload.data, packed, (int)payload.size,
                                          LZ4_compressBound((int)payload.size));
    assert_true(size > 0);
    stream_add_segment(stream, true, self_contained, (struct text){packed, (size_t)size},
                       payload.size);
    free(packed);
}

struct text envelope_of(int version, uint8_t opcode, int16_t stream_id, struct text body)
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

void outcome_take_all(struct outcome *outcome, struct cql_frame_reader *reader)
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

struct outcome read_limited(const struct stream *stream, int version,
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
        outcome_take_all(&outcome, &reader);
    }
    outcome.failure = reader.failure;
    cql_frame_reader_deinit(&reader);
    return outcome;
}

struct outcome read_stream(const struct stream *stream, int version,
                           enum cql_compression compression, size_t step)
{
    return read_limited(stream, version, compression, step, CQL_BODY_SIZE_MAX);
}

enum cql_frame_failure failure_of(const struct stream *stream, int version,
                                  enum cql_compression compression)
{
    return read_stream(stream, version, compression, SIZE_MAX).failure;
}
