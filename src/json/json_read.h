// Strict pull reader for one JSON document (RFC 8259), with no allocation and no recursion.
//
// Stricter than the RFC where it leaves room: the document must be UTF-8 without a byte order mark,
// escapes must not form lone surrogates, a key comes once in an object, nesting and keys are
// limited, nothing but white space follows the document. Numbers are spans of text: nobody rounds
// them. The first failure is sticky: every later json_next gives JSON_ERROR again.
#ifndef TILL_JSON_READ_H
#define TILL_JSON_READ_H

#include "buf.h"
#include "errors.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_CAP 32u // json_limits.depth_max is at most this
#define JSON_KEYS_CAP  64u // json_limits.keys_max is at most this

struct json_limits {
    unsigned depth_max; // nested objects and arrays; 16 allows [[...]] sixteen deep
    unsigned keys_max;  // keys of one object
};

enum json_event {
    JSON_ERROR,
    JSON_END, // the document is complete and only white space followed
    JSON_OBJECT_BEGIN,
    JSON_OBJECT_END,
    JSON_ARRAY_BEGIN,
    JSON_ARRAY_END,
    JSON_KEY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

enum json_failure {
    JSON_FAILURE_NONE,
    JSON_FAILURE_ENCODING, // not UTF-8, or a lone surrogate escape
    JSON_FAILURE_SYNTAX,
    JSON_FAILURE_DEPTH,
    JSON_FAILURE_KEYS, // more keys in one object than allowed
    JSON_FAILURE_DUPLICATE_KEY,
};

struct json_token {
    struct text raw;  // of a key or string: what stands between the quotes; of a number: its text
    bool has_escapes; // raw must go through json_unescape to be read
};

// Keys seen in an open object, kept for the duplicate check.
struct json_key {
    uint32_t hash;
    uint32_t offset;
    uint32_t size;
    bool has_escapes;
};

struct json_reader {
    struct text document;
    struct json_limits limits;
    size_t offset; // of the next byte to read
    enum json_failure failure;
    size_t failure_offset;
    const char *failure_text; // what was expected; static
    // private
    unsigned depth;
    uint8_t expect;
    uint32_t is_object;                    // bit per level
    uint16_t key_base[JSON_DEPTH_CAP + 1]; // first key of each open object
    uint16_t key_count;                    // keys of all open objects
    struct json_key keys[JSON_DEPTH_CAP * JSON_KEYS_CAP];
};

// Starts on `document` (below 4 GiB), which must outlive the reader. Checks the encoding of the
// whole document at once, so an encoding failure wins over a syntax failure that stands before it.
// Does not clear the key table (32 KiB); only what is used is written. A reader on the stack should
// be declared with __attribute__((uninitialized)), or the build fills it with zeros at every call.
void json_reader_init(struct json_reader *reader, struct text document, struct json_limits limits);

// The next event. *out_token is written for keys, strings and numbers.
enum json_event json_next(struct json_reader *reader, struct json_token *out_token);

// After JSON_OBJECT_BEGIN or JSON_ARRAY_BEGIN: reads on to the matching end, checking everything.
// false on an error.
MUST_USE bool json_skip_container(struct json_reader *reader);

// Writes the meaning of a raw key or string of a reader that accepted it. Never longer than raw.
// Returns the number of bytes, or SIZE_MAX when `cap` is too small.
size_t json_unescape(struct text raw, char *out, size_t cap);
// Whether a key's or string's meaning equals `text`, without a copy.
bool json_token_equals(const struct json_token *token, struct text text);

// 1-based line and column (in bytes) of an offset, for messages to people.
void json_position(struct text document, size_t offset, unsigned *out_line, unsigned *out_column);

#endif
