// From bytes as they come to envelopes. What is whole where it was received is given as a view of it; what
// was packed, or came in slices, gets a block of memory of its own. Both live until room is asked for again,
// when nobody looks at them any more: then what is unfinished is moved to the front, and the buffer grows for
// it if it must (only a bare envelope can be larger than the buffer). Memory grows with what has come, never
// with what a header claims.
#include "cql_frame.h"

#include "cql_frame_internal.h"

#include <assert.h>
#include <lz4.h>
#include <stdlib.h>

struct cql_block {
    struct cql_block *next;
    size_t size;
    size_t cap;
    unsigned char bytes[];
};

const char *cql_frame_failure_text(enum cql_frame_failure failure)
{
    static const char *const texts[] = {
        [CQL_FRAME_FAILURE_NONE] = "nothing is wrong",
        [CQL_FRAME_FAILURE_VERSION] = "not an answer of the protocol's version",
        [CQL_FRAME_FAILURE_STREAM] = "a stream that cannot be",
        [CQL_FRAME_FAILURE_LENGTH] = "a length that cannot be",
        [CQL_FRAME_FAILURE_CHECKSUM] = "a check sum is wrong",
        [CQL_FRAME_FAILURE_SEGMENT] = "slices of an answer are mixed with another",
        [CQL_FRAME_FAILURE_COMPRESSION] = "compressed bytes that do not unpack",
        [CQL_FRAME_FAILURE_NO_MEMORY] = "no memory for an answer",
    };
    return texts[failure];
}

enum err cql_frame_reader_init(struct cql_frame_reader *reader, int version,
                               enum cql_compression compression, struct cql_frame_limits limits)
{
    assert(version >= CQL_VERSION_MIN && version <= CQL_VERSION_MAX);
    assert(limits.room_size >= CQL_SEGMENT_SIZE_MAX && limits.body_max <= CQL_BODY_SIZE_MAX);
    *reader = (struct cql_frame_reader){
        .limits = limits,
        .compression = compression,
        .version = (uint8_t)version,
        .handshake = true,
        .bytes = malloc(limits.room_size),
        .cap = limits.room_size,
    };
    return reader->bytes ? ERR_OK : ERR_NO_MEMORY;
}

void cql_frame_reader_agree(struct cql_frame_reader *reader, enum cql_compression compression)
{
    assert(reader->handshake);
    reader->compression = compression;
}

static void free_held(struct cql_frame_reader *reader)
{
    while (reader->held) {
        struct cql_block *block = reader->held;
        reader->held = block->next;
        free(block);
    }
}

void cql_frame_reader_deinit(struct cql_frame_reader *reader)
{
    free_held(reader);
    free(reader->assembly);
    free(reader->bytes);
    *reader = (struct cql_frame_reader){.failure = CQL_FRAME_FAILURE_NONE};
}

static enum cql_frame_step fail(struct cql_frame_reader *reader, enum cql_frame_failure failure)
{
    reader->failure = failure;
    return CQL_FRAME_BROKEN;
}

// --- room -----------------------------------------------------------------------------------------

static bool resize(struct cql_frame_reader *reader, size_t cap)
{
    unsigned char *bytes = realloc(reader->bytes, cap);
    if (bytes) {
        reader->bytes = bytes;
        reader->cap = cap;
    }
    return bytes != NULL;
}

// Room for what is wanted, at most twice what there was; the usual room when nothing is begun.
static bool fit(struct cql_frame_reader *reader)
{
    if (reader->end == 0 && reader->cap > reader->limits.room_size) {
        (void)resize(reader, reader->limits.room_size);
    }
    if (reader->end < reader->cap) {
        return true;
    }
    assert(reader->wanted > reader->cap);
    return resize(reader, reader->wanted < 2 * reader->cap ? reader->wanted : 2 * reader->cap);
}

struct cql_frame_room cql_frame_room(struct cql_frame_reader *reader)
{
    assert(reader->segment.size == 0);
    free_held(reader);
    if (reader->begin > 0) {
        reader->end -= reader->begin;
        memmove(reader->bytes, reader->bytes + reader->begin, reader->end);
        reader->begin = 0;
    }
    if (!fit(reader)) {
        (void)fail(reader, CQL_FRAME_FAILURE_NO_MEMORY);
        return (struct cql_frame_room){NULL, 0};
    }
    return (struct cql_frame_room){reader->bytes + reader->end, reader->cap - reader->end};
}

void cql_frame_received(struct cql_frame_reader *reader, size_t size)
{
    assert(size <= reader->cap - reader->end);
    reader->end += size;
}

// Whether `size` bytes of the next unit are there; else they are wanted.
static bool has(struct cql_frame_reader *reader, size_t size)
{
    reader->wanted = size;
    return reader->end - reader->begin >= size;
}

static struct cql_block *block_create(struct cql_frame_reader *reader, size_t cap)
{
    struct cql_block *block = malloc(sizeof(*block) + cap);
    if (!block) {
        (void)fail(reader, CQL_FRAME_FAILURE_NO_MEMORY);
        return NULL;
    }
    block->next = NULL;
    block->size = 0;
    block->cap = cap;
    return block;
}

static void hold(struct cql_frame_reader *reader, struct cql_block *block)
{
    block->next = reader->held;
    reader->held = block;
}

// The meaning of an LZ4 block, held. false: the reader has failed.
static bool unpack(struct cql_frame_reader *reader, struct text packed, size_t size,
                   struct text *out_bytes)
{
    if (size / CQL_LZ4_RATIO_MAX > packed.size) {
        (void)fail(reader, CQL_FRAME_FAILURE_COMPRESSION);
        return false;
    }
    struct cql_block *block = block_create(reader, size);
    if (!block) {
        return false;
    }
    hold(reader, block);
    char *out = (char *)block->bytes;
    if (LZ4_decompress_safe(packed.data, out, (int)packed.size, (int)size) != (int)size) {
        (void)fail(reader, CQL_FRAME_FAILURE_COMPRESSION);
        return false;
    }
    *out_bytes = (struct text){out, size};
    return true;
}

// --- envelopes ------------------------------------------------------------------------------------

// Before STARTUP was answered a server may refuse our version in the words of its own.
static bool version_fits(const struct cql_frame_reader *reader, uint8_t version, uint8_t opcode)
{
    return version == reader->version ||
           (reader->handshake && opcode == CQL_OPCODE_ERROR && version >= 3);
}

// The header at `at`, but for its body. false: the reader has failed.
static bool read_header(struct cql_frame_reader *reader, const unsigned char *at,
                        struct cql_envelope *out, size_t *out_body_size)
{
    struct cql_reader in;
    cql_reader_init(&in, (struct text){(const char *)at, CQL_ENVELOPE_HEADER_SIZE});
    const uint8_t version = cql_read_byte(&in);
    out->version = (uint8_t)(version & ~CQL_VERSION_RESPONSE_FLAG);
    out->flags = cql_read_byte(&in);
    out->stream = (int16_t)cql_read_short(&in);
    out->opcode = cql_read_byte(&in);
    const int32_t size = cql_read_int(&in);
    enum cql_frame_failure failure = CQL_FRAME_FAILURE_NONE;
    if ((version & CQL_VERSION_RESPONSE_FLAG) == 0 ||
        !version_fits(reader, out->version, out->opcode)) {
        failure = CQL_FRAME_FAILURE_VERSION;
    } else if (size < 0 || (size_t)size > reader->limits.body_max) {
        failure = CQL_FRAME_FAILURE_LENGTH;
    } else if (out->stream < CQL_STREAM_EVENT) {
        failure = CQL_FRAME_FAILURE_STREAM;
    }
    reader->failure = failure;
    *out_body_size = (size_t)size;
    return failure == CQL_FRAME_FAILURE_NONE;
}

// In v4 a flag says that a body is packed; in v5 that flag says nothing, since segments are.
static bool unpack_body(struct cql_frame_reader *reader, struct cql_envelope *envelope)
{
    const bool packed = (envelope->flags & CQL_FLAG_COMPRESSED) != 0 && reader->version < 5;
    envelope->flags = (uint8_t)(envelope->flags & ~CQL_FLAG_COMPRESSED);
    if (!packed) {
        return true;
    }
    struct cql_reader in;
    cql_reader_init(&in, envelope->body);
    const int32_t size = cql_read_int(&in);
    const struct text block = cql_read_raw(&in, cql_reader_left(&in));
    if (reader->compression != CQL_COMPRESSION_LZ4 || in.damaged || size < 0 ||
        (size_t)size > reader->limits.body_max) {
        (void)fail(reader, CQL_FRAME_FAILURE_COMPRESSION);
        return false;
    }
    return unpack(reader, block, (size_t)size, &envelope->body);
}

static enum cql_frame_step next_bare(struct cql_frame_reader *reader, struct cql_envelope *out)
{
    if (!has(reader, CQL_ENVELOPE_HEADER_SIZE)) {
        return CQL_FRAME_MORE;
    }
    const unsigned char *at = reader->bytes + reader->begin;
    size_t body_size = 0;
    if (!read_header(reader, at, out, &body_size)) {
        return CQL_FRAME_BROKEN;
    }
    if (!has(reader, CQL_ENVELOPE_HEADER_SIZE + body_size)) {
        return CQL_FRAME_MORE;
    }
    reader->begin += CQL_ENVELOPE_HEADER_SIZE + body_size;
    out->body = (struct text){(const char *)at + CQL_ENVELOPE_HEADER_SIZE, body_size};
    if (!unpack_body(reader, out)) {
        return CQL_FRAME_BROKEN;
    }
    if (out->opcode == CQL_OPCODE_READY || out->opcode == CQL_OPCODE_AUTHENTICATE) {
        reader->handshake = false;
        reader->segmented = reader->version >= 5;
    }
    return CQL_FRAME_ENVELOPE;
}

// --- segments -------------------------------------------------------------------------------------

// The envelope at the start of `bytes`, which holds it wholly.
static enum cql_frame_step take_envelope(struct cql_frame_reader *reader, struct text *bytes,
                                         struct cql_envelope *out)
{
    size_t body_size = 0;
    if (bytes->size < CQL_ENVELOPE_HEADER_SIZE) {
        return fail(reader, CQL_FRAME_FAILURE_LENGTH);
    }
    if (!read_header(reader, (const unsigned char *)bytes->data, out, &body_size)) {
        return CQL_FRAME_BROKEN;
    }
    const size_t size = CQL_ENVELOPE_HEADER_SIZE + body_size;
    if (size > bytes->size) {
        return fail(reader, CQL_FRAME_FAILURE_LENGTH);
    }
    out->body = (struct text){bytes->data + CQL_ENVELOPE_HEADER_SIZE, body_size};
    *bytes = (struct text){bytes->data + size, bytes->size - size};
    return unpack_body(reader, out) ? CQL_FRAME_ENVELOPE : CQL_FRAME_BROKEN;
}

// The first slice of a large envelope tells how large it will be.
static bool begin_assembly(struct cql_frame_reader *reader, struct text slice)
{
    struct cql_envelope envelope;
    size_t body_size = 0;
    if (slice.size < CQL_ENVELOPE_HEADER_SIZE) {
        (void)fail(reader, CQL_FRAME_FAILURE_SEGMENT);
        return false;
    }
    if (!read_header(reader, (const unsigned char *)slice.data, &envelope, &body_size)) {
        return false;
    }
    reader->assembly_total = CQL_ENVELOPE_HEADER_SIZE + body_size;
    reader->assembly = block_create(reader, 2 * (size_t)CQL_SEGMENT_PAYLOAD_MAX);
    return reader->assembly != NULL;
}

static bool grow_assembly(struct cql_frame_reader *reader, size_t size)
{
    struct cql_block *block = reader->assembly;
    if (size <= block->cap) {
        return true;
    }
    block = realloc(block, sizeof(*block) + 2 * block->cap);
    if (!block) {
        (void)fail(reader, CQL_FRAME_FAILURE_NO_MEMORY);
        return false;
    }
    block->cap *= 2;
    reader->assembly = block;
    return true;
}

// Adds a slice; when it was the last one the envelope is given.
static enum cql_frame_step add_slice(struct cql_frame_reader *reader, struct text slice,
                                     struct cql_envelope *out)
{
    if (!reader->assembly && !begin_assembly(reader, slice)) {
        return CQL_FRAME_BROKEN;
    }
    const size_t size = reader->assembly->size + slice.size;
    if (size > reader->assembly_total) {
        return fail(reader, CQL_FRAME_FAILURE_LENGTH);
    }
    if (!grow_assembly(reader, size)) {
        return CQL_FRAME_BROKEN;
    }
    struct cql_block *block = reader->assembly;
    memcpy(block->bytes + block->size, slice.data, slice.size);
    block->size = size;
    if (size < reader->assembly_total) {
        return CQL_FRAME_MORE;
    }
    reader->assembly = NULL;
    hold(reader, block);
    struct text bytes = {(const char *)block->bytes, block->size};
    return take_envelope(reader, &bytes, out);
}

// The payload of the next segment, unpacked. CQL_FRAME_ENVELOPE: it is there.
static enum cql_frame_step take_segment(struct cql_frame_reader *reader, struct text *out_payload,
                                        bool *out_self_contained)
{
    struct cql_segment_header header;
    const size_t header_size = cql_segment_header_size(reader->compression);
    if (!has(reader, header_size)) {
        return CQL_FRAME_MORE;
    }
    const unsigned char *at = reader->bytes + reader->begin;
    if (!cql_segment_header_read(at, reader->compression, &header)) {
        return fail(reader, CQL_FRAME_FAILURE_CHECKSUM);
    }
    const size_t size = header_size + header.stored_size + CQL_SEGMENT_TRAILER_SIZE;
    if (!has(reader, size)) {
        return CQL_FRAME_MORE;
    }
    if (!cql_segment_trailer_check(at + header_size, header.stored_size)) {
        return fail(reader, CQL_FRAME_FAILURE_CHECKSUM);
    }
    reader->begin += size;
    *out_self_contained = header.self_contained;
    *out_payload = (struct text){(const char *)at + header_size, header.stored_size};
    if (header.unpacked_size > 0 &&
        !unpack(reader, *out_payload, header.unpacked_size, out_payload)) {
        return CQL_FRAME_BROKEN;
    }
    return CQL_FRAME_ENVELOPE;
}

// Looks at the next segment. CQL_FRAME_MORE also when it has to be asked again.
static enum cql_frame_step next_segment(struct cql_frame_reader *reader, struct cql_envelope *out,
                                        bool *out_again)
{
    struct text payload;
    bool self_contained = false;
    const enum cql_frame_step step = take_segment(reader, &payload, &self_contained);
    *out_again = step == CQL_FRAME_ENVELOPE;
    if (step != CQL_FRAME_ENVELOPE) {
        return step;
    }
    if (!self_contained) {
        return add_slice(reader, payload, out);
    }
    if (reader->assembly) {
        return fail(reader, CQL_FRAME_FAILURE_SEGMENT);
    }
    reader->segment = payload;
    return CQL_FRAME_MORE;
}

enum cql_frame_step cql_frame_next(struct cql_frame_reader *reader,
                                   struct cql_envelope *out_envelope)
{
    bool again = true;
    while (again) {
        if (reader->failure != CQL_FRAME_FAILURE_NONE) {
            return CQL_FRAME_BROKEN;
        }
        if (reader->segment.size > 0) {
            return take_envelope(reader, &reader->segment, out_envelope);
        }
        if (!reader->segmented) {
            return next_bare(reader, out_envelope);
        }
        const enum cql_frame_step step = next_segment(reader, out_envelope, &again);
        if (step != CQL_FRAME_MORE) {
            return step;
        }
    }
    return CQL_FRAME_MORE;
}
