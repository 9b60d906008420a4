// SipHash-2-4 with 128-bit output: two rounds for each word of 8 bytes, and at the end four for
// each half of the result (Aumasson, Bernstein 2012; the long output is the authors' later
// addition, marked by the constants 0xee and 0xdd). The state is held in four local variables
// while words are taken in, so that the compiler keeps it in registers.
#include "hash.h"

#include "hash_internal.h"

#include <endian.h>
#include <string.h>

// "till content key", read as two little-endian words. Stored hashes depend on it: never change it.
#define KEY_LOW  UINT64_C(0x6e6f63206c6c6974)
#define KEY_HIGH UINT64_C(0x79656b20746e6574)

static inline uint64_t rotate_left(uint64_t value, int bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static inline uint64_t load_le64(const unsigned char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return le64toh(word);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] = rotate_left(v[2], 32);
}

static inline void take_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

static inline void take_words(uint64_t state[4], const unsigned char *bytes, size_t size)
{
    uint64_t v[4] = {state[0], state[1], state[2], state[3]};
    for (size_t at = 0; at < size; at += 8) {
        take_word(v, load_le64(bytes + at));
    }
    memcpy(state, v, sizeof(v));
}

void hasher_init_keyed(struct hasher *hasher, uint64_t key_low, uint64_t key_high)
{
    *hasher = (struct hasher){
        .v = {key_low ^ UINT64_C(0x736f6d6570736575),
              key_high ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
              key_low ^ UINT64_C(0x6c7967656e657261), key_high ^ UINT64_C(0x7465646279746573)},
    };
}

void hasher_init(struct hasher *hasher)
{
    hasher_init_keyed(hasher, KEY_LOW, KEY_HIGH);
}

void hasher_add(struct hasher *hasher, const void *bytes, size_t size)
{
    if (size == 0) {
        return;
    }
    const unsigned char *next = bytes;
    hasher->total_size += size;
    if (hasher->tail_size > 0) {
        size_t missing = sizeof(hasher->tail) - hasher->tail_size;
        size_t moved = size < missing ? size : missing;
        memcpy(hasher->tail + hasher->tail_size, next, moved);
        hasher->tail_size += moved;
        next += moved;
        size -= moved;
        if (hasher->tail_size < sizeof(hasher->tail)) {
            return;
        }
        take_word(hasher->v, load_le64(hasher->tail));
    }
    size_t whole_size = size & ~(size_t)7;
    take_words(hasher->v, next, whole_size);
    memcpy(hasher->tail, next + whole_size, size - whole_size);
    hasher->tail_size = size - whole_size;
}

void hasher_add_u64(struct hasher *hasher, uint64_t value)
{
    if (hasher->tail_size == 0) {
        hasher->total_size += sizeof(value);
        take_word(hasher->v, value);
        return;
    }
    uint64_t stored = htole64(value);
    hasher_add(hasher, &stored, sizeof(stored));
}

void hasher_final(struct hasher *hasher, struct hash *out_hash)
{
    uint64_t v[4] = {hasher->v[0], hasher->v[1], hasher->v[2], hasher->v[3]};
    unsigned char last[8] = {0};
    memcpy(last, hasher->tail, hasher->tail_size);
    last[7] = (unsigned char)hasher->total_size; // the size modulo 256, as the algorithm has it
    take_word(v, load_le64(last));

    uint64_t halves[2];
    v[2] ^= 0xee;
    for (size_t half = 0; half < 2; half++) {
        for (int round = 0; round < 4; round++) {
            sip_round(v);
        }
        halves[half] = htole64(v[0] ^ v[1] ^ v[2] ^ v[3]);
        v[1] ^= 0xdd;
    }
    memcpy(out_hash->bytes, halves, sizeof(halves));
}

void hash_bytes(const void *bytes, size_t size, struct hash *out_hash)
{
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_add(&hasher, bytes, size);
    hasher_final(&hasher, out_hash);
}

int hash_compare(const struct hash *a, const struct hash *b)
{
    return memcmp(a->bytes, b->bytes, HASH_SIZE);
}

bool hash_equal(const struct hash *a, const struct hash *b)
{
    return hash_compare(a, b) == 0;
}

void hash_format(const struct hash *hash, char out[HASH_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HASH_SIZE; i++) {
        out[2 * i] = digits[hash->bytes[i] >> 4];
        out[2 * i + 1] = digits[hash->bytes[i] & 15];
    }
    out[2 * HASH_SIZE] = '\0';
}

// The finisher of MurmurHash3 for 64 bits (Appleby): a bijection in which every input bit moves
// about half of the output bits.
uint64_t hash_mix_u64(uint64_t value)
{
    value ^= value >> 33;
    value *= UINT64_C(0xff51afd7ed558ccd);
    value ^= value >> 33;
    value *= UINT64_C(0xc4ceb9fe1a85ec53);
    value ^= value >> 33;
    return value;
}
