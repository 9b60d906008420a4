// Murmur3 as Cassandra has it, and the routing key of a statement's values.
#include "cql_token.h"

#include <endian.h>

#define BLOCK_SIZE 16u

static const uint64_t c1 = UINT64_C(0x87C37B91114253D5);
static const uint64_t c2 = UINT64_C(0x4CF5AD432745937F);

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static uint64_t load_little(const char *at)
{
    uint64_t value = 0;
    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

static uint64_t mix_first(uint64_t k)
{
    return rotate(k * c1, 31) * c2;
}

static uint64_t mix_second(uint64_t k)
{
    return rotate(k * c2, 33) * c1;
}

static uint64_t finish(uint64_t h)
{
    h ^= h >> 33;
    h *= UINT64_C(0xFF51AFD7ED558CCD);
    h ^= h >> 33;
    h *= UINT64_C(0xC4CEB9FE1A85EC53);
    return h ^ h >> 33;
}

// The bytes behind the last whole block, each taken as signed before it is shifted: this is where Cassandra
// differs from Murmur3.
static uint64_t load_tail(const char *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value ^= (uint64_t)(int64_t)(int8_t)at[i] << (8 * i);
    }
    return value;
}

int64_t cql_token(struct text routing_key)
{
    uint64_t h1 = 0;
    uint64_t h2 = 0;
    const char *at = routing_key.data;
    size_t left = routing_key.size;
    for (; left >= BLOCK_SIZE; left -= BLOCK_SIZE, at += BLOCK_SIZE) {
        h1 ^= mix_first(load_little(at));
        h1 = (rotate(h1, 27) + h2) * 5 + 0x52DCE729;
        h2 ^= mix_second(load_little(at + 8));
        h2 = (rotate(h2, 31) + h1) * 5 + 0x38495AB5;
    }
    if (left > 8) {
        h2 ^= mix_second(load_tail(at + 8, left - 8));
    }
    if (left > 0) {
        h1 ^= mix_first(load_tail(at, left < 8 ? left : 8));
    }
    h1 ^= routing_key.size;
    h2 ^= routing_key.size;
    h1 += h2;
    h2 += h1;
    const int64_t token = (int64_t)(finish(h1) + finish(h2));
    return token == INT64_MIN ? INT64_MAX : token;
}

bool cql_routing_key(struct cql_values_view values, const uint16_t *indexes, size_t part_count,
                     void *memory, size_t cap, struct text *out_key)
{
    struct cql_writer writer;
    cql_writer_init(&writer, memory, cap);
    for (size_t i = 0; i < part_count; i++) {
        const struct cql_cell part = cql_values_at(values, indexes[i]);
        if (part.presence != CQL_PRESENT || part.bytes.size > CQL_KEY_PART_SIZE_MAX) {
            return false;
        }
        if (part_count == 1) {
            *out_key = part.bytes;
            return true;
        }
        cql_write_string(&writer, part.bytes);
        cql_write_byte(&writer, 0);
    }
    if (part_count == 0 || writer.overflowed) {
        return false;
    }
    *out_key = cql_writer_view(&writer);
    return true;
}

bool cql_token_parse(struct text text, int64_t *out_token)
{
    return text_parse_i64(text, out_token);
}
