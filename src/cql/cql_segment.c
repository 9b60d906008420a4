// Header and trailer of a segment, see cql_frame_internal.h.
#include "cql_crc.h"
#include "cql_frame_internal.h"

#define SIZE_BITS 17u
#define SIZE_MASK ((UINT64_C(1) << SIZE_BITS) - 1)

static void store_little(unsigned char *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++, value >>= 8) {
        at[i] = (unsigned char)value;
    }
}

static uint64_t load_little(const unsigned char *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;) {
        value = value << 8 | at[i];
    }
    return value;
}

void cql_segment_header_write(unsigned char *at, enum cql_compression compression,
                              const struct cql_segment_header *header)
{
    const size_t size = cql_segment_header_size(compression) - CQL_CRC24_SIZE;
    uint64_t bits = header->self_contained ? 1 : 0;
    if (compression == CQL_COMPRESSION_LZ4) {
        bits = bits << SIZE_BITS | header->unpacked_size;
    }
    store_little(at, bits << SIZE_BITS | header->stored_size, size);
    store_little(at + size, cql_crc24(at, size), CQL_CRC24_SIZE);
}

bool cql_segment_header_read(const unsigned char *at, enum cql_compression compression,
                             struct cql_segment_header *out_header)
{
    const size_t size = cql_segment_header_size(compression) - CQL_CRC24_SIZE;
    uint64_t bits = load_little(at, size);
    *out_header = (struct cql_segment_header){.stored_size = (uint32_t)(bits & SIZE_MASK)};
    bits >>= SIZE_BITS;
    if (compression == CQL_COMPRESSION_LZ4) {
        out_header->unpacked_size = (uint32_t)(bits & SIZE_MASK);
        bits >>= SIZE_BITS;
    }
    out_header->self_contained = (bits & 1) != 0;
    return load_little(at + size, CQL_CRC24_SIZE) == cql_crc24(at, size);
}

void cql_segment_trailer_write(unsigned char *payload, size_t size)
{
    store_little(payload + size, cql_crc32(payload, size), CQL_SEGMENT_TRAILER_SIZE);
}

bool cql_segment_trailer_check(const unsigned char *payload, size_t size)
{
    return load_little(payload + size, CQL_SEGMENT_TRAILER_SIZE) == cql_crc32(payload, size);
}
