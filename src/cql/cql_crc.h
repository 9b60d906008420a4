// The two check sums of a v5 segment (spec v5 section 2; their constants are those of Cassandra's
// net/Crc.java, the spec does not name them). CRC24: polynomial 0x1974F0B, most significant bit first,
// starting from 0x875060. CRC32: that of zlib, after the four bytes FA 2D 55 CA.
#ifndef TILL_CQL_CRC_H
#define TILL_CQL_CRC_H

#include <stddef.h>
#include <stdint.h>

uint32_t cql_crc24(const unsigned char *bytes, size_t size); // for a few bytes: a bit at a time
uint32_t cql_crc32(const unsigned char *bytes, size_t size);

#endif
