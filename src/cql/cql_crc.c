#include "cql_crc.h"

#include <zlib.h>

#define CRC24_START 0x875060u
#define CRC24_POLY  0x1974F0Bu
#define CRC24_MASK  0xFFFFFFu

uint32_t cql_crc24(const unsigned char *bytes, size_t size)
{
    uint32_t crc = CRC24_START;
    for (size_t i = 0; i < size; i++) {
        crc ^= (uint32_t)bytes[i] << 16;
        for (unsigned bit = 0; bit < 8; bit++) {
            crc <<= 1;
            crc ^= crc > CRC24_MASK ? CRC24_POLY : 0;
        }
    }
    return crc & CRC24_MASK;
}

uint32_t cql_crc32(const unsigned char *bytes, size_t size)
{
    // What crc32() gives for FA 2D 55 CA; the test of the golden vectors works it out.
    static const uint32_t start = 0x44777ED3u;
    return (uint32_t)crc32_z(start, bytes, size);
}
