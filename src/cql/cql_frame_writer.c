// From envelopes to bytes that may be sent. The buffer is [sent, sealed) what is ready, [sealed, end) the
// open segment: room for its header, then the envelopes in it. An envelope is encoded behind them; only when
// it is done is it known whether it fits there. If not, the open segment is sealed and the envelope moved
// behind it, and if it is larger than any segment it is cut into slices of its own.
//
// While a body is written, enough room is kept back for all headers and trailers it may need, so that an
// envelope that was written can always be closed.
#include "cql_frame.h"

#include "cql_frame_internal.h"

#include <assert.h>
#include <lz4.h>
#include <stdlib.h>

#define WRITER_CAP_MIN     256u
#define ENVELOPE_LENGTH_AT 5u

enum err cql_frame_writer_init(struct cql_frame_writer *writer, int version,
                               enum cql_compression compression, size_t cap)
{
    assert(version >= CQL_VERSION_MIN && version <= CQL_VERSION_MAX && cap >= WRITER_CAP_MIN);
    *writer = (struct cql_frame_writer){
        .compression = compression,
        .version = (uint8_t)version,
        .bytes = malloc(cap),
        .cap = cap,
    };
    if (compression == CQL_COMPRESSION_LZ4) {
        writer->scratch = malloc(LZ4_COMPRESSBOUND(CQL_SEGMENT_PAYLOAD_MAX));
    }
    if (!writer->bytes || (compression == CQL_COMPRESSION_LZ4 && !writer->scratch)) {
        cql_frame_writer_deinit(writer);
        return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

void cql_frame_writer_deinit(struct cql_frame_writer *writer)
{
    free(writer->bytes);
    free(writer->scratch);
    *writer = (struct cql_frame_writer){.bytes = NULL};
}

static bool segmented(const struct cql_frame_writer *writer)
{
    return writer->started && writer->version >= 5;
}

void cql_frame_writer_started(struct cql_frame_writer *writer, enum cql_compression compression)
{
    assert(!writer->in_envelope && writer->sealed == writer->end);
    assert(compression == CQL_COMPRESSION_NONE || compression == writer->compression);
    writer->started = true;
    writer->compression = compression;
}

// Packs into the scratch memory; 0 when that is not worth it.
static size_t pack(struct cql_frame_writer *writer, const unsigned char *bytes, size_t size)
{
    if (writer->compression != CQL_COMPRESSION_LZ4 || size < CQL_COMPRESS_SIZE_MIN ||
        size > CQL_SEGMENT_PAYLOAD_MAX) {
        return 0;
    }
    const int packed = LZ4_compress_default((const char *)bytes, (char *)writer->scratch, (int)size,
                                            LZ4_COMPRESSBOUND(CQL_SEGMENT_PAYLOAD_MAX));
    return packed > 0 && (size_t)packed < size ? (size_t)packed : 0;
}

// --- segments -------------------------------------------------------------------------------------

// Makes a segment at `to` of the payload at `from`, which does not lie before its own place there. Gives
// the offset behind it.
static size_t put_segment(struct cql_frame_writer *writer, size_t to, size_t from, size_t size,
                          bool self_contained)
{
    unsigned char *header = writer->bytes + to;
    unsigned char *payload = header + cql_segment_header_size(writer->compression);
    const size_t packed = pack(writer, writer->bytes + from, size);
    const size_t stored = packed > 0 ? packed : size;
    memmove(payload, packed > 0 ? writer->scratch : writer->bytes + from, stored);
    cql_segment_header_write(header, writer->compression,
                             &(struct cql_segment_header){
                                 .stored_size = (uint32_t)stored,
                                 .unpacked_size = packed > 0 ? (uint32_t)size : 0,
                                 .self_contained = self_contained,
                             });
    cql_segment_trailer_write(payload, stored);
    return (size_t)(payload - writer->bytes) + stored + CQL_SEGMENT_TRAILER_SIZE;
}

// Closes the open segment, whose payload ends at payload_end.
static void seal_to(struct cql_frame_writer *writer, size_t payload_end)
{
    const size_t from = writer->sealed + cql_segment_header_size(writer->compression);
    writer->sealed = put_segment(writer, writer->sealed, from, payload_end - from, true);
    writer->end = writer->sealed;
}

void cql_frame_seal(struct cql_frame_writer *writer)
{
    assert(!writer->in_envelope);
    if (writer->end > writer->sealed) {
        seal_to(writer, writer->end);
    }
}

// Cuts the envelope at the start of the open segment into slices. It is moved back by what all headers and
// trailers take, so that no slice is written over one that was not read yet.
static void put_slices(struct cql_frame_writer *writer, size_t size)
{
    const size_t header_size = cql_segment_header_size(writer->compression);
    const size_t count = (size + CQL_SEGMENT_PAYLOAD_MAX - 1) / CQL_SEGMENT_PAYLOAD_MAX;
    size_t from = writer->envelope + count * (header_size + CQL_SEGMENT_TRAILER_SIZE);
    size_t to = writer->sealed;
    memmove(writer->bytes + from, writer->bytes + writer->envelope, size);
    while (size > 0) {
        const size_t slice = size < CQL_SEGMENT_PAYLOAD_MAX ? size : CQL_SEGMENT_PAYLOAD_MAX;
        to = put_segment(writer, to, from, slice, false);
        from += slice;
        size -= slice;
    }
    writer->sealed = to;
    writer->end = to;
}

// Puts the envelope that was written, of `size` bytes, into the open segment or behind it.
static void place(struct cql_frame_writer *writer, size_t size)
{
    const size_t header_size = cql_segment_header_size(writer->compression);
    const size_t before = writer->envelope - (writer->sealed + header_size);
    if (before > 0 && before + size > CQL_SEGMENT_PAYLOAD_MAX) {
        const size_t from = writer->envelope;
        // Sealing writes a trailer over the envelope's first bytes, so it steps aside first.
        const size_t aside = from + CQL_SEGMENT_TRAILER_SIZE;
        memmove(writer->bytes + aside, writer->bytes + from, size);
        seal_to(writer, from);
        writer->envelope = writer->sealed + header_size;
        memmove(writer->bytes + writer->envelope, writer->bytes + aside, size);
    }
    if (size > CQL_SEGMENT_PAYLOAD_MAX) {
        put_slices(writer, size);
    } else {
        writer->end = writer->envelope + size;
    }
}

// --- envelopes ------------------------------------------------------------------------------------

// Moves what is not sent to the front, when that frees half of the buffer.
static void compact(struct cql_frame_writer *writer)
{
    const size_t gone = writer->sent;
    if (gone > 0 && (gone == writer->end || gone >= writer->cap / 2)) {
        memmove(writer->bytes, writer->bytes + gone, writer->end - gone);
        writer->sent = 0;
        writer->sealed -= gone;
        writer->end -= gone;
    }
}

// Room that headers and trailers may take behind an envelope that ends with the buffer: its own, one each
// slice, and those of the segment before.
static size_t overhead(const struct cql_frame_writer *writer)
{
    const size_t left = writer->cap - writer->end;
    return segmented(writer) ? CQL_SEGMENT_OVERHEAD_MAX * (3 + left / CQL_SEGMENT_PAYLOAD_MAX) : 0;
}

struct cql_writer *cql_frame_begin(struct cql_frame_writer *writer, enum cql_opcode opcode,
                                   uint8_t flags, int16_t stream)
{
    assert(!writer->in_envelope && stream >= 0);
    compact(writer);
    writer->in_envelope = true;
    const bool opens = segmented(writer) && writer->end == writer->sealed;
    const size_t header_size = opens ? cql_segment_header_size(writer->compression) : 0;
    const size_t left = writer->cap - writer->end;
    if (left < header_size + CQL_ENVELOPE_HEADER_SIZE + overhead(writer)) {
        cql_writer_init(&writer->body, writer->bytes, 0);
        writer->body.overflowed = true;
        return &writer->body;
    }
    writer->envelope = writer->end + header_size;
    unsigned char *at = writer->bytes + writer->envelope;
    at[0] = writer->version;
    at[1] = flags;
    cql_store_short(at + 2, (uint16_t)stream);
    at[4] = (unsigned char)opcode;
    at += CQL_ENVELOPE_HEADER_SIZE;
    cql_writer_init(&writer->body, at,
                    writer->cap - overhead(writer) - (size_t)(at - writer->bytes));
    return &writer->body;
}

// In v4 the body itself is packed, behind its size. Gives its new size.
static size_t pack_body(struct cql_frame_writer *writer, size_t size)
{
    unsigned char *envelope = writer->bytes + writer->envelope;
    unsigned char *body = envelope + CQL_ENVELOPE_HEADER_SIZE;
    if (!writer->started || writer->version >= 5) {
        return size;
    }
    const size_t packed = pack(writer, body, size);
    if (packed == 0 || packed + CQL_LZ4_LENGTH_SIZE >= size) {
        return size;
    }
    envelope[1] = (unsigned char)(envelope[1] | CQL_FLAG_COMPRESSED);
    cql_store_int(body, (uint32_t)size);
    memcpy(body + CQL_LZ4_LENGTH_SIZE, writer->scratch, packed);
    return packed + CQL_LZ4_LENGTH_SIZE;
}

enum err cql_frame_end(struct cql_frame_writer *writer)
{
    assert(writer->in_envelope);
    writer->in_envelope = false;
    const size_t written = cql_writer_size(&writer->body);
    if (writer->body.overflowed || written > CQL_BODY_SIZE_MAX) {
        const bool was_empty = writer->sent == 0 && writer->end == 0;
        return was_empty || written > CQL_BODY_SIZE_MAX ? ERR_TOO_LARGE : ERR_FULL;
    }
    const size_t size = pack_body(writer, written);
    cql_store_int(writer->bytes + writer->envelope + ENVELOPE_LENGTH_AT, (uint32_t)size);
    if (segmented(writer)) {
        place(writer, CQL_ENVELOPE_HEADER_SIZE + size);
    } else {
        writer->end = writer->envelope + CQL_ENVELOPE_HEADER_SIZE + size;
        writer->sealed = writer->end;
    }
    return ERR_OK;
}

void cql_frame_abandon(struct cql_frame_writer *writer)
{
    assert(writer->in_envelope);
    writer->in_envelope = false;
}

// --- sending --------------------------------------------------------------------------------------

struct text cql_frame_ready(const struct cql_frame_writer *writer)
{
    return (struct text){(const char *)writer->bytes + writer->sent, writer->sealed - writer->sent};
}

void cql_frame_sent(struct cql_frame_writer *writer, size_t size)
{
    assert(!writer->in_envelope && size <= writer->sealed - writer->sent);
    writer->sent += size;
}

bool cql_frame_writer_idle(const struct cql_frame_writer *writer)
{
    return writer->sent == writer->end;
}
