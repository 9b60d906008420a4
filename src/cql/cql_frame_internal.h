// What the reader and the writer of segments share, and their tests use to forge some.
//
// Header of a segment, little-endian: bits 0-16 the size of the payload as it lies there, then (only when LZ4
// was agreed on) bits 17-33 its size unpacked, 0 when it is not packed; then a bit "self-contained". Three
// bytes, or five with LZ4; behind them their CRC24, the payload, its CRC32.
#ifndef TILL_CQL_FRAME_INTERNAL_H
#define TILL_CQL_FRAME_INTERNAL_H

#include "cql_frame.h"

#define CQL_CRC24_SIZE            3u
#define CQL_SEGMENT_TRAILER_SIZE  4u
#define CQL_SEGMENT_OVERHEAD_MAX  12u // header and trailer
#define CQL_SEGMENT_SIZE_MAX      (CQL_SEGMENT_PAYLOAD_MAX + CQL_SEGMENT_OVERHEAD_MAX)
#define CQL_VERSION_RESPONSE_FLAG 0x80u
#define CQL_LZ4_LENGTH_SIZE       4u   // before a packed body of v4
#define CQL_LZ4_RATIO_MAX         255u // a block cannot unpack to more than that many times its size

struct cql_segment_header {
    uint32_t stored_size;
    uint32_t unpacked_size; // 0: stored as it is
    bool self_contained;
};

// Bytes of a header with its CRC24.
static inline size_t cql_segment_header_size(enum cql_compression compression)
{
    return compression == CQL_COMPRESSION_LZ4 ? 8 : 6;
}
void cql_segment_header_write(unsigned char *at, enum cql_compression compression,
                              const struct cql_segment_header *header);
// false when the CRC24 is wrong.
bool cql_segment_header_read(const unsigned char *at, enum cql_compression compression,
                             struct cql_segment_header *out_header);
void cql_segment_trailer_write(unsigned char *payload, size_t size); // behind the payload
bool cql_segment_trailer_check(const unsigned char *payload, size_t size);

#endif
