// Bytes of Cassandra's native protocol as a server writes them: the notations (spec section 3), envelopes
// (section 2) and the segments of v5, with the damage that a test asks for. Made from the specification
// alone and sharing nothing with src/cql, so that the two check each other.
//
// Whoever gives up for want of memory is the process. Any thread, one at a time for an object.
#ifndef TILL_CQL_MOCK_WIRE_H
#define TILL_CQL_MOCK_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --- a text of bytes that grows ------------------------------------------------------------------

struct cql_mock_bytes {
    unsigned char *data;
    size_t size;
    size_t cap;
};

void cql_mock_bytes_free(struct cql_mock_bytes *bytes);
void cql_mock_bytes_drop(struct cql_mock_bytes *bytes, size_t size); // the first ones

void cql_mock_put(struct cql_mock_bytes *bytes, const void *data, size_t size);
void cql_mock_put_byte(struct cql_mock_bytes *bytes, unsigned value);
void cql_mock_put_short(struct cql_mock_bytes *bytes, unsigned value);
void cql_mock_put_int(struct cql_mock_bytes *bytes, int64_t value); // the lower 32 bits
void cql_mock_put_string(struct cql_mock_bytes *bytes, const char *text);
void cql_mock_put_short_bytes(struct cql_mock_bytes *bytes, const void *data, size_t size);
// [bytes] and cells of rows; null when data is NULL.
void cql_mock_put_bytes(struct cql_mock_bytes *bytes, const void *data, size_t size);
// [inetaddr] of a text such as "127.0.0.1"; with_size: the byte that tells its size goes before it.
void cql_mock_put_address(struct cql_mock_bytes *bytes, const char *address, bool with_size);

// --- reading what a client sent ------------------------------------------------------------------

// Sticky: what goes beyond the end reads as zero, and is_bad.
struct cql_mock_reader {
    const unsigned char *at;
    size_t left;
    bool is_bad;
};

const unsigned char *cql_mock_take(struct cql_mock_reader *reader, size_t size); // NULL when bad
unsigned cql_mock_take_byte(struct cql_mock_reader *reader);
unsigned cql_mock_take_short(struct cql_mock_reader *reader);
int32_t cql_mock_take_int(struct cql_mock_reader *reader);
// [string] and [short bytes]; [long string]; [value] (NULL with size 0 when null or unset).
struct cql_mock_reader cql_mock_take_string(struct cql_mock_reader *reader);
struct cql_mock_reader cql_mock_take_long_string(struct cql_mock_reader *reader);
struct cql_mock_reader cql_mock_take_value(struct cql_mock_reader *reader);

// --- envelopes and segments ----------------------------------------------------------------------

#define CQL_MOCK_HEADER_SIZE         9u
#define CQL_MOCK_SEGMENT_PAYLOAD_MAX 131071u

struct cql_mock_header {
    uint8_t version; // as on the wire: 0x85 of an answer, 0x05 of a request
    uint8_t flags;
    int16_t stream;
    uint8_t opcode;
    uint32_t length;
};

void cql_mock_put_header(struct cql_mock_bytes *bytes, const struct cql_mock_header *header);
struct cql_mock_header cql_mock_read_header(const unsigned char at[CQL_MOCK_HEADER_SIZE]);

// Where a segment is to be wrong. Segments count from 0.
enum cql_mock_flaw { CQL_MOCK_NO_FLAW, CQL_MOCK_FLAW_HEADER_CRC, CQL_MOCK_FLAW_PAYLOAD_CRC };

// Envelopes as segments: self-contained when they fit in one, else slices (for one envelope alone).
void cql_mock_put_segments(struct cql_mock_bytes *bytes, const unsigned char *envelopes,
                           size_t size, enum cql_mock_flaw flaw, unsigned flawed_segment);
// One segment, with a payload of any size that 17 bits can say.
void cql_mock_put_segment(struct cql_mock_bytes *bytes, const unsigned char *payload, size_t size,
                          bool is_self_contained);

enum cql_mock_segment_step { CQL_MOCK_SEGMENT, CQL_MOCK_SEGMENT_MORE, CQL_MOCK_SEGMENT_BAD };
struct cql_mock_segment {
    const unsigned char *payload;
    size_t payload_size;
    size_t size; // with header and trailer
    bool is_self_contained;
};
// The first segment of these bytes.
enum cql_mock_segment_step cql_mock_read_segment(const unsigned char *data, size_t size,
                                                 struct cql_mock_segment *out_segment);

uint32_t cql_mock_crc24(const unsigned char *data, size_t size);
uint32_t cql_mock_crc32(const unsigned char *data, size_t size);

#endif
