// The meaning of raw strings, byte by byte. Private to this folder.
#ifndef TILL_JSON_ESCAPE_H
#define TILL_JSON_ESCAPE_H

#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_escape {
    JSON_ESCAPE_OK,
    JSON_ESCAPE_BAD,            // no escape of JSON, or cut short
    JSON_ESCAPE_LONE_SURROGATE, // half of a pair without the other half
};

// Reads the escape that starts with the backslash at *offset and moves *offset behind it (behind
// both of a surrogate pair). On failure *offset stays, or, when the second half of a pair is no
// escape, moves to that half.
enum json_escape json_escape_read(struct text raw, size_t *offset, uint32_t *out_code_point);

// 1 to 4 bytes of UTF-8. The code point must not be a surrogate.
unsigned json_utf8_write(uint32_t code_point, char out[4]);

// A hash of a key's meaning: keys of equal meaning have equal hashes however they are spelt.
uint32_t json_key_hash(struct text raw, bool has_escapes);
// Whether two raw keys or strings mean the same.
bool json_meaning_equal(struct text a, struct text b);

#endif
