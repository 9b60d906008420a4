// Escapes of strings (RFC 8259 section 7) and what raw strings mean. Everything but
// json_escape_read works on strings that the reader accepted, so a bad escape there is an error of
// the program.
#include "json_escape.h"

#include "json_read.h"

#include <assert.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The code unit of a \uXXXX at `offset`; false when it is none.
static bool read_unit(struct text raw, size_t offset, uint32_t *out_unit)
{
    if (raw.size - offset < 6 || raw.data[offset] != '\\' || raw.data[offset + 1] != 'u') {
        return false;
    }
    uint32_t unit = 0;
    for (size_t i = offset + 2; i < offset + 6; i++) {
        const int digit = hex_digit(raw.data[i]);
        if (digit < 0) {
            return false;
        }
        unit = unit << 4 | (uint32_t)digit;
    }
    *out_unit = unit;
    return true;
}

static bool is_surrogate(uint32_t unit)
{
    return unit >= 0xD800 && unit <= 0xDFFF;
}

static bool is_low_surrogate(uint32_t unit)
{
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

static enum json_escape read_unicode(struct text raw, size_t *offset, uint32_t *out_code_point)
{
    uint32_t unit;
    if (!read_unit(raw, *offset, &unit)) {
        return JSON_ESCAPE_BAD;
    }
    if (!is_surrogate(unit)) {
        *out_code_point = unit;
        *offset += 6;
        return JSON_ESCAPE_OK;
    }
    const size_t second = *offset + 6;
    const bool second_follows =
        raw.size - second >= 2 && raw.data[second] == '\\' && raw.data[second + 1] == 'u';
    if (is_low_surrogate(unit) || !second_follows) {
        return JSON_ESCAPE_LONE_SURROGATE;
    }
    uint32_t low;
    if (!read_unit(raw, second, &low)) {
        *offset = second;
        return JSON_ESCAPE_BAD;
    }
    if (!is_low_surrogate(low)) {
        return JSON_ESCAPE_LONE_SURROGATE;
    }
    *out_code_point = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    *offset = second + 6;
    return JSON_ESCAPE_OK;
}

// What the letter of a two-character escape stands for, 0 for none.
static char short_escape(char letter)
{
    switch (letter) {
    case '"':
    case '\\':
    case '/':
        return letter;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return 0;
    }
}

enum json_escape json_escape_read(struct text raw, size_t *offset, uint32_t *out_code_point)
{
    assert(*offset < raw.size && raw.data[*offset] == '\\');
    if (raw.size - *offset < 2) {
        return JSON_ESCAPE_BAD;
    }
    const char letter = raw.data[*offset + 1];
    if (letter == 'u') {
        return read_unicode(raw, offset, out_code_point);
    }
    const char meaning = short_escape(letter);
    if (meaning == 0) {
        return JSON_ESCAPE_BAD;
    }
    *out_code_point = (unsigned char)meaning;
    *offset += 2;
    return JSON_ESCAPE_OK;
}

unsigned json_utf8_write(uint32_t code_point, char out[4])
{
    assert(code_point <= 0x10FFFF && !is_surrogate(code_point));
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xC0 | code_point >> 6);
        out[1] = (char)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (char)(0xE0 | code_point >> 12);
        out[1] = (char)(0x80 | (code_point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code_point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code_point >> 18);
    out[1] = (char)(0x80 | (code_point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code_point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code_point & 0x3F));
    return 4;
}

static unsigned unescape_one(struct text raw, size_t *offset, char out[4])
{
    uint32_t code_point = 0;
    const enum json_escape result = json_escape_read(raw, offset, &code_point);
    assert(result == JSON_ESCAPE_OK);
    return json_utf8_write(code_point, out);
}

size_t json_unescape(struct text raw, char *out, size_t cap)
{
    size_t size = 0;
    size_t offset = 0;
    while (offset < raw.size) {
        const char *from = raw.data + offset;
        const char *backslash = memchr(from, '\\', raw.size - offset);
        const size_t plain_size = backslash ? (size_t)(backslash - from) : raw.size - offset;
        if (plain_size > cap - size) {
            return SIZE_MAX;
        }
        if (plain_size > 0) {
            memcpy(out + size, from, plain_size);
        }
        size += plain_size;
        offset += plain_size;
        if (backslash) {
            char bytes[4];
            const unsigned count = unescape_one(raw, &offset, bytes);
            if (count > cap - size) {
                return SIZE_MAX;
            }
            memcpy(out + size, bytes, count);
            size += count;
        }
    }
    return size;
}

// Gives the meaning of a raw string one byte after the other.
struct meaning {
    struct text raw;
    size_t offset;
    char bytes[4]; // of the escape read last
    unsigned bytes_count;
    unsigned bytes_given;
};

static bool meaning_next(struct meaning *meaning, char *out_byte)
{
    if (meaning->bytes_given == meaning->bytes_count) {
        if (meaning->offset == meaning->raw.size) {
            return false;
        }
        if (meaning->raw.data[meaning->offset] != '\\') {
            *out_byte = meaning->raw.data[meaning->offset++];
            return true;
        }
        meaning->bytes_count = unescape_one(meaning->raw, &meaning->offset, meaning->bytes);
        meaning->bytes_given = 0;
    }
    *out_byte = meaning->bytes[meaning->bytes_given++];
    return true;
}

bool json_meaning_equal(struct text a, struct text b)
{
    struct meaning left = {.raw = a};
    struct meaning right = {.raw = b};
    for (;;) {
        char left_byte = 0;
        char right_byte = 0;
        const bool left_has = meaning_next(&left, &left_byte);
        const bool right_has = meaning_next(&right, &right_byte);
        if (left_has != right_has || left_byte != right_byte) {
            return false;
        }
        if (!left_has) {
            return true;
        }
    }
}

// `text` is plain, the raw string has escapes: a backslash in `text` stands for itself.
static bool meaning_is(struct text raw, struct text text)
{
    struct meaning meaning = {.raw = raw};
    char byte;
    for (size_t i = 0; i < text.size; i++) {
        if (!meaning_next(&meaning, &byte) || byte != text.data[i]) {
            return false;
        }
    }
    return !meaning_next(&meaning, &byte);
}

bool json_token_equals(const struct json_token *token, struct text text)
{
    return token->has_escapes ? meaning_is(token->raw, text) : text_equal(token->raw, text);
}

// The hash takes eight bytes at a time (the last ones filled up with zeros) and the size. It only
// spares comparisons; keys made to collide cost a comparison with each of at most 63 others.
static uint64_t hash_step(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

static uint32_t hash_plain(struct text raw)
{
    uint64_t hash = 0;
    uint64_t word;
    size_t offset = 0;
    for (; raw.size - offset >= sizeof(word); offset += sizeof(word)) {
        memcpy(&word, raw.data + offset, sizeof(word));
        hash = hash_step(hash, word);
    }
    if (offset < raw.size) {
        word = 0;
        memcpy(&word, raw.data + offset, raw.size - offset);
        hash = hash_step(hash, word);
    }
    return (uint32_t)hash_step(hash, raw.size);
}

static uint32_t hash_escaped(struct text raw)
{
    uint64_t hash = 0;
    char bytes[sizeof(uint64_t)] = {0};
    size_t size = 0;
    uint64_t word;
    struct meaning meaning = {.raw = raw};
    while (meaning_next(&meaning, &bytes[size % sizeof(word)])) {
        size++;
        if (size % sizeof(word) == 0) {
            memcpy(&word, bytes, sizeof(word));
            hash = hash_step(hash, word);
            memset(bytes, 0, sizeof(bytes));
        }
    }
    if (size % sizeof(word) != 0) {
        memcpy(&word, bytes, sizeof(word));
        hash = hash_step(hash, word);
    }
    return (uint32_t)hash_step(hash, size);
}

uint32_t json_key_hash(struct text raw, bool has_escapes)
{
    return has_escapes ? hash_escaped(raw) : hash_plain(raw);
}
