// Check sums are computed bit by bit, which is slow, short, and not how the client does it.
#include "cql_mock_wire.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT_HEADER_SIZE  6u // three bytes and their CRC24
#define SEGMENT_TRAILER_SIZE 4u
#define SELF_CONTAINED       (UINT32_C(1) << 17)

// --- a text of bytes that grows ------------------------------------------------------------------

void cql_mock_bytes_free(struct cql_mock_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct cql_mock_bytes){0};
}

void cql_mock_bytes_drop(struct cql_mock_bytes *bytes, size_t size)
{
    assert(size <= bytes->size);
    bytes->size -= size;
    if (bytes->size > 0) {
        memmove(bytes->data, bytes->data + size, bytes->size);
    }
}

static unsigned char *grow(struct cql_mock_bytes *bytes, size_t size)
{
    if (bytes->cap - bytes->size < size) {
        bytes->cap = 2 * (bytes->size + size) + 64;
        bytes->data = realloc(bytes->data, bytes->cap);
        if (bytes->data == NULL) {
            abort();
        }
    }
    unsigned char *at = bytes->data + bytes->size;
    bytes->size += size;
    return at;
}

void cql_mock_put(struct cql_mock_bytes *bytes, const void *data, size_t size)
{
    if (size > 0) {
        memcpy(grow(bytes, size), data, size);
    }
}

void cql_mock_put_byte(struct cql_mock_bytes *bytes, unsigned value)
{
    *grow(bytes, 1) = (unsigned char)value;
}

void cql_mock_put_short(struct cql_mock_bytes *bytes, unsigned value)
{
    cql_mock_put_byte(bytes, value >> 8);
    cql_mock_put_byte(bytes, value & 0xFF);
}

void cql_mock_put_int(struct cql_mock_bytes *bytes, int64_t value)
{
    uint32_t low = (uint32_t)value;
    cql_mock_put_short(bytes, low >> 16);
    cql_mock_put_short(bytes, low & 0xFFFF);
}

void cql_mock_put_short_bytes(struct cql_mock_bytes *bytes, const void *data, size_t size)
{
    assert(size <= UINT16_MAX);
    cql_mock_put_short(bytes, (unsigned)size);
    cql_mock_put(bytes, data, size);
}

void cql_mock_put_string(struct cql_mock_bytes *bytes, const char *text)
{
    cql_mock_put_short_bytes(bytes, text, strlen(text));
}

void cql_mock_put_bytes(struct cql_mock_bytes *bytes, const void *data, size_t size)
{
    cql_mock_put_int(bytes, data != NULL ? (int64_t)size : -1);
    cql_mock_put(bytes, data, data != NULL ? size : 0);
}

void cql_mock_put_address(struct cql_mock_bytes *bytes, const char *address, bool with_size)
{
    unsigned char binary[16];
    bool is_v6 = strchr(address, ':') != NULL;
    int is_valid = inet_pton(is_v6 ? AF_INET6 : AF_INET, address, binary);
    assert(is_valid == 1);
    if (with_size) {
        cql_mock_put_byte(bytes, is_v6 ? 16 : 4);
    }
    cql_mock_put(bytes, binary, is_v6 ? 16 : 4);
}

// --- reading what a client sent ------------------------------------------------------------------

const unsigned char *cql_mock_take(struct cql_mock_reader *reader, size_t size)
{
    if (reader->is_bad || size > reader->left) {
        reader->is_bad = true;
        return NULL;
    }
    const unsigned char *at = reader->at;
    reader->at += size;
    reader->left -= size;
    return at;
}

unsigned cql_mock_take_byte(struct cql_mock_reader *reader)
{
    const unsigned char *at = cql_mock_take(reader, 1);
    return at != NULL ? *at : 0;
}

unsigned cql_mock_take_short(struct cql_mock_reader *reader)
{
    const unsigned char *at = cql_mock_take(reader, 2);
    return at != NULL ? (unsigned)at[0] << 8 | at[1] : 0;
}

int32_t cql_mock_take_int(struct cql_mock_reader *reader)
{
    uint32_t high = cql_mock_take_short(reader);
    return (int32_t)(high << 16 | cql_mock_take_short(reader));
}

static struct cql_mock_reader take_part(struct cql_mock_reader *reader, size_t size)
{
    const unsigned char *at = cql_mock_take(reader, size);
    return (struct cql_mock_reader){
        .at = at, .left = at != NULL ? size : 0, .is_bad = reader->is_bad};
}

struct cql_mock_reader cql_mock_take_string(struct cql_mock_reader *reader)
{
    return take_part(reader, cql_mock_take_short(reader));
}

struct cql_mock_reader cql_mock_take_long_string(struct cql_mock_reader *reader)
{
    int32_t size = cql_mock_take_int(reader);
    return take_part(reader, size >= 0 ? (size_t)size : SIZE_MAX);
}

struct cql_mock_reader cql_mock_take_value(struct cql_mock_reader *reader)
{
    int32_t size = cql_mock_take_int(reader);
    if (size == -1 || size == -2) {
        return (struct cql_mock_reader){.is_bad = reader->is_bad};
    }
    return take_part(reader, size >= 0 ? (size_t)size : SIZE_MAX);
}

// --- envelopes -----------------------------------------------------------------------------------

void cql_mock_put_header(struct cql_mock_bytes *bytes, const struct cql_mock_header *header)
{
    cql_mock_put_byte(bytes, header->version);
    cql_mock_put_byte(bytes, header->flags);
    cql_mock_put_short(bytes, (uint16_t)header->stream);
    cql_mock_put_byte(bytes, header->opcode);
    cql_mock_put_int(bytes, header->length);
}

struct cql_mock_header cql_mock_read_header(const unsigned char at[CQL_MOCK_HEADER_SIZE])
{
    struct cql_mock_reader reader = {.at = at, .left = CQL_MOCK_HEADER_SIZE};
    struct cql_mock_header header = {0};
    header.version = (uint8_t)cql_mock_take_byte(&reader);
    header.flags = (uint8_t)cql_mock_take_byte(&reader);
    header.stream = (int16_t)cql_mock_take_short(&reader);
    header.opcode = (uint8_t)cql_mock_take_byte(&reader);
    header.length = (uint32_t)cql_mock_take_int(&reader);
    return header;
}

// --- segments (spec v5 section 2.3) --------------------------------------------------------------

// Most significant bit first: polynomial 0x1974F0B, begun with 0x875060.
uint32_t cql_mock_crc24(const unsigned char *data, size_t size)
{
    uint32_t crc = 0x875060;
    for (size_t i = 0; i < size; i++) {
        crc ^= (uint32_t)data[i] << 16;
        for (unsigned bit = 0; bit < 8; bit++) {
            crc <<= 1;
            crc ^= (crc & 0x1000000) != 0 ? 0x1974F0B : 0;
        }
    }
    return crc;
}

static uint32_t crc32_more(uint32_t crc, const unsigned char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xEDB88320 : 0);
        }
    }
    return crc;
}

// The common one, of four fixed bytes and then the data.
uint32_t cql_mock_crc32(const unsigned char *data, size_t size)
{
    static const unsigned char first[] = {0xFA, 0x2D, 0x55, 0xCA};
    return ~crc32_more(crc32_more(UINT32_MAX, first, sizeof first), data, size);
}

static void put_little(struct cql_mock_bytes *bytes, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        cql_mock_put_byte(bytes, value >> 8 * i & 0xFF);
    }
}

static uint32_t read_little(const unsigned char *at, unsigned size)
{
    uint32_t value = 0;
    for (unsigned i = size; i-- > 0;) {
        value = value << 8 | at[i];
    }
    return value;
}

static void put_segment(struct cql_mock_bytes *bytes, const unsigned char *payload, size_t size,
                        bool is_self_contained, enum cql_mock_flaw flaw)
{
    assert(size <= CQL_MOCK_SEGMENT_PAYLOAD_MAX);
    size_t header = bytes->size;
    put_little(bytes, (uint32_t)size | (is_self_contained ? SELF_CONTAINED : 0), 3);
    uint32_t crc24 = cql_mock_crc24(bytes->data + header, 3);
    put_little(bytes, crc24 ^ (flaw == CQL_MOCK_FLAW_HEADER_CRC), 3);
    cql_mock_put(bytes, payload, size);
    put_little(bytes, cql_mock_crc32(payload, size) ^ (flaw == CQL_MOCK_FLAW_PAYLOAD_CRC), 4);
}

void cql_mock_put_segment(struct cql_mock_bytes *bytes, const unsigned char *payload, size_t size,
                          bool is_self_contained)
{
    put_segment(bytes, payload, size, is_self_contained, CQL_MOCK_NO_FLAW);
}

void cql_mock_put_segments(struct cql_mock_bytes *bytes, const unsigned char *envelopes,
                           size_t size, enum cql_mock_flaw flaw, unsigned flawed_segment)
{
    bool is_self_contained = size <= CQL_MOCK_SEGMENT_PAYLOAD_MAX;
    for (unsigned i = 0; size > 0; i++) {
        size_t part = is_self_contained ? size : CQL_MOCK_SEGMENT_PAYLOAD_MAX;
        part = part < size ? part : size;
        put_segment(bytes, envelopes, part, is_self_contained,
                    i == flawed_segment ? flaw : CQL_MOCK_NO_FLAW);
        envelopes += part;
        size -= part;
    }
}

enum cql_mock_segment_step cql_mock_read_segment(const unsigned char *data, size_t size,
                                                 struct cql_mock_segment *out_segment)
{
    if (size < SEGMENT_HEADER_SIZE) {
        return CQL_MOCK_SEGMENT_MORE;
    }
    uint32_t header = read_little(data, 3);
    size_t payload_size = header & (SELF_CONTAINED - 1);
    if (cql_mock_crc24(data, 3) != read_little(data + 3, 3) || header >= SELF_CONTAINED << 1) {
        return CQL_MOCK_SEGMENT_BAD;
    }
    size_t whole = SEGMENT_HEADER_SIZE + payload_size + SEGMENT_TRAILER_SIZE;
    if (size < whole) {
        return CQL_MOCK_SEGMENT_MORE;
    }
    const unsigned char *payload = data + SEGMENT_HEADER_SIZE;
    if (cql_mock_crc32(payload, payload_size) != read_little(payload + payload_size, 4)) {
        return CQL_MOCK_SEGMENT_BAD;
    }
    *out_segment = (struct cql_mock_segment){.payload = payload,
                                             .payload_size = payload_size,
                                             .size = whole,
                                             .is_self_contained = (header & SELF_CONTAINED) != 0};
    return CQL_MOCK_SEGMENT;
}
