// The reader is a small state machine: `expect` says what may come next, `is_object` what the open
// containers are, and `keys` holds the keys of all open objects, one object's after its parent's.
// Every call of json_next reads one token and leaves the offset behind it; a key takes its colon
// along, and a comma is taken with what follows it.
#include "json_read.h"

#include "json_escape.h"
#include "json_scan.h"

#include <assert.h>
#include <string.h>

enum expect {
    EXPECT_VALUE,
    EXPECT_KEY_OR_END,   // after {
    EXPECT_ITEM_OR_END,  // after [
    EXPECT_COMMA_OR_END, // after a value inside a container
    EXPECT_NOTHING,      // after the document
};

static bool reject(struct json_reader *reader, enum json_failure failure, size_t offset,
                   const char *expected)
{
    reader->failure = failure;
    reader->failure_offset = offset;
    reader->failure_text = expected;
    return false;
}

static enum json_event fail(struct json_reader *reader, enum json_failure failure, size_t offset,
                            const char *expected)
{
    reject(reader, failure, offset, expected);
    return JSON_ERROR;
}

static enum json_event fail_syntax(struct json_reader *reader, const char *expected)
{
    return fail(reader, JSON_FAILURE_SYNTAX, reader->offset, expected);
}

void json_reader_init(struct json_reader *reader, struct text document, struct json_limits limits)
{
    assert(limits.depth_max <= JSON_DEPTH_CAP && limits.keys_max <= JSON_KEYS_CAP);
    assert(document.size <= UINT32_MAX);
    reader->document = document;
    reader->limits = limits;
    reader->offset = 0;
    reader->failure = JSON_FAILURE_NONE;
    reader->failure_offset = 0;
    reader->failure_text = NULL;
    reader->depth = 0;
    reader->expect = EXPECT_VALUE;
    reader->is_object = 0;
    reader->key_count = 0;
    const size_t valid_size = text_utf8_valid_prefix(document);
    if (valid_size < document.size) {
        reject(reader, JSON_FAILURE_ENCODING, valid_size, "UTF-8");
    } else if (text_starts_with(document, TEXT("\xEF\xBB\xBF"))) {
        reject(reader, JSON_FAILURE_SYNTAX, 0, "no byte order mark");
    }
}

// The next byte, or 0 at the end; a 0 inside the document fits nowhere either.
static char peek(const struct json_reader *reader)
{
    return reader->offset < reader->document.size ? reader->document.data[reader->offset] : 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void skip_space(struct json_reader *reader)
{
    const struct text document = reader->document;
    size_t offset = reader->offset;
    while (offset < document.size && is_space(document.data[offset])) {
        offset++;
    }
    reader->offset = offset;
}

static bool in_object(const struct json_reader *reader)
{
    return (reader->is_object >> (reader->depth - 1) & 1) != 0;
}

static void after_value(struct json_reader *reader)
{
    reader->expect = reader->depth == 0 ? EXPECT_NOTHING : EXPECT_COMMA_OR_END;
}

static bool read_escape(struct json_reader *reader, size_t *offset)
{
    uint32_t code_point;
    const enum json_escape result = json_escape_read(reader->document, offset, &code_point);
    if (result == JSON_ESCAPE_BAD) {
        return reject(reader, JSON_FAILURE_SYNTAX, *offset, "an escape such as \\n or \\u00e9");
    }
    if (result == JSON_ESCAPE_LONE_SURROGATE) {
        return reject(reader, JSON_FAILURE_ENCODING, *offset, "a pair of surrogates");
    }
    return true;
}

// At the opening quote.
static bool read_string(struct json_reader *reader, struct json_token *out_token)
{
    const struct text document = reader->document;
    const size_t start = reader->offset + 1;
    size_t offset = json_scan(document, start);
    bool has_escapes = false;
    while (offset < document.size && document.data[offset] == '\\') {
        has_escapes = true;
        if (!read_escape(reader, &offset)) {
            return false;
        }
        offset = json_scan(document, offset);
    }
    if (offset == document.size) {
        return reject(reader, JSON_FAILURE_SYNTAX, offset, "the quote that ends a string");
    }
    if (document.data[offset] != '"') {
        return reject(reader, JSON_FAILURE_SYNTAX, offset, "control characters to be escaped");
    }
    out_token->raw = (struct text){document.data + start, offset - start};
    out_token->has_escapes = has_escapes;
    reader->offset = offset + 1;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// One digit or more.
static bool read_digits(struct json_reader *reader)
{
    const size_t start = reader->offset;
    while (is_digit(peek(reader))) {
        reader->offset++;
    }
    return reader->offset > start || reject(reader, JSON_FAILURE_SYNTAX, start, "a digit");
}

static bool read_integer_part(struct json_reader *reader)
{
    if (peek(reader) == '-') {
        reader->offset++;
    }
    if (peek(reader) == '0') {
        reader->offset++;
        return true;
    }
    return read_digits(reader);
}

static bool read_fraction(struct json_reader *reader)
{
    if (peek(reader) != '.') {
        return true;
    }
    reader->offset++;
    return read_digits(reader);
}

static bool read_exponent(struct json_reader *reader)
{
    if (peek(reader) != 'e' && peek(reader) != 'E') {
        return true;
    }
    reader->offset++;
    if (peek(reader) == '+' || peek(reader) == '-') {
        reader->offset++;
    }
    return read_digits(reader);
}

static enum json_event read_number(struct json_reader *reader, struct json_token *out_token)
{
    const size_t start = reader->offset;
    if (!read_integer_part(reader) || !read_fraction(reader) || !read_exponent(reader)) {
        return JSON_ERROR;
    }
    out_token->raw = (struct text){reader->document.data + start, reader->offset - start};
    out_token->has_escapes = false;
    after_value(reader);
    return JSON_NUMBER;
}

static enum json_event read_literal(struct json_reader *reader, struct text literal,
                                    enum json_event event)
{
    const size_t left = reader->document.size - reader->offset;
    const char *at = reader->document.data + reader->offset;
    if (left < literal.size || memcmp(at, literal.data, literal.size) != 0) {
        return fail_syntax(reader, "a value");
    }
    reader->offset += literal.size;
    after_value(reader);
    return event;
}

static enum json_event open_container(struct json_reader *reader, bool is_object)
{
    if (reader->depth == reader->limits.depth_max) {
        return fail(reader, JSON_FAILURE_DEPTH, reader->offset, "fewer levels of nesting");
    }
    const uint32_t bit = UINT32_C(1) << reader->depth;
    reader->is_object = is_object ? reader->is_object | bit : reader->is_object & ~bit;
    reader->depth++;
    reader->key_base[reader->depth] = reader->key_count;
    reader->expect = is_object ? EXPECT_KEY_OR_END : EXPECT_ITEM_OR_END;
    reader->offset++;
    return is_object ? JSON_OBJECT_BEGIN : JSON_ARRAY_BEGIN;
}

static enum json_event close_container(struct json_reader *reader)
{
    const bool is_object = in_object(reader);
    reader->key_count = reader->key_base[reader->depth];
    reader->depth--;
    reader->offset++;
    after_value(reader);
    return is_object ? JSON_OBJECT_END : JSON_ARRAY_END;
}

static enum json_event read_value(struct json_reader *reader, struct json_token *out_token)
{
    const char first = peek(reader);
    switch (first) {
    case '"':
        if (!read_string(reader, out_token)) {
            return JSON_ERROR;
        }
        after_value(reader);
        return JSON_STRING;
    case '{':
        return open_container(reader, true);
    case '[':
        return open_container(reader, false);
    case 't':
        return read_literal(reader, TEXT("true"), JSON_TRUE);
    case 'f':
        return read_literal(reader, TEXT("false"), JSON_FALSE);
    case 'n':
        return read_literal(reader, TEXT("null"), JSON_NULL);
    default:
        return first == '-' || is_digit(first) ? read_number(reader, out_token)
                                               : fail_syntax(reader, "a value");
    }
}

static bool keys_equal(const struct json_reader *reader, const struct json_key *a,
                       const struct json_key *b)
{
    const struct text left = {reader->document.data + a->offset, a->size};
    const struct text right = {reader->document.data + b->offset, b->size};
    return a->has_escapes || b->has_escapes ? json_meaning_equal(left, right)
                                            : text_equal(left, right);
}

// Adds the key to those of the open object; false when it is there already.
static bool remember_key(struct json_reader *reader, const struct json_token *token)
{
    const struct json_key key = {
        .hash = json_key_hash(token->raw, token->has_escapes),
        .offset = (uint32_t)(token->raw.data - reader->document.data),
        .size = (uint32_t)token->raw.size,
        .has_escapes = token->has_escapes,
    };
    for (unsigned i = reader->key_base[reader->depth]; i < reader->key_count; i++) {
        const struct json_key *seen = &reader->keys[i];
        if (seen->hash == key.hash && keys_equal(reader, seen, &key)) {
            return false;
        }
    }
    reader->keys[reader->key_count++] = key;
    return true;
}

static enum json_event read_key(struct json_reader *reader, struct json_token *out_token,
                                const char *expected)
{
    const size_t start = reader->offset;
    if (peek(reader) != '"') {
        return fail_syntax(reader, expected);
    }
    if ((unsigned)reader->key_count - reader->key_base[reader->depth] == reader->limits.keys_max) {
        return fail(reader, JSON_FAILURE_KEYS, start, "fewer keys in one object");
    }
    if (!read_string(reader, out_token)) {
        return JSON_ERROR;
    }
    if (!remember_key(reader, out_token)) {
        return fail(reader, JSON_FAILURE_DUPLICATE_KEY, start, "a key that is not there already");
    }
    skip_space(reader);
    if (peek(reader) != ':') {
        return fail_syntax(reader, "':'");
    }
    reader->offset++;
    reader->expect = EXPECT_VALUE;
    return JSON_KEY;
}

static enum json_event read_after_value(struct json_reader *reader, struct json_token *out_token)
{
    const bool is_object = in_object(reader);
    const char next = peek(reader);
    if (next == (is_object ? '}' : ']')) {
        return close_container(reader);
    }
    if (next != ',') {
        return fail_syntax(reader, is_object ? "',' or '}'" : "',' or ']'");
    }
    reader->offset++;
    skip_space(reader);
    return is_object ? read_key(reader, out_token, "a key") : read_value(reader, out_token);
}

enum json_event json_next(struct json_reader *reader, struct json_token *out_token)
{
    if (reader->failure != JSON_FAILURE_NONE) {
        return JSON_ERROR;
    }
    skip_space(reader);
    switch ((enum expect)reader->expect) {
    case EXPECT_VALUE:
        return read_value(reader, out_token);
    case EXPECT_KEY_OR_END:
        return peek(reader) == '}' ? close_container(reader)
                                   : read_key(reader, out_token, "a key or '}'");
    case EXPECT_ITEM_OR_END:
        return peek(reader) == ']' ? close_container(reader) : read_value(reader, out_token);
    case EXPECT_COMMA_OR_END:
        return read_after_value(reader, out_token);
    case EXPECT_NOTHING:
        return reader->offset == reader->document.size
                   ? JSON_END
                   : fail_syntax(reader, "nothing after the document");
    }
    assert(false);
    return JSON_ERROR;
}

bool json_skip_container(struct json_reader *reader)
{
    assert(reader->failure != JSON_FAILURE_NONE || reader->expect == EXPECT_KEY_OR_END ||
           reader->expect == EXPECT_ITEM_OR_END);
    const unsigned depth_inside = reader->depth;
    struct json_token token;
    while (reader->failure == JSON_FAILURE_NONE && reader->depth >= depth_inside) {
        json_next(reader, &token);
    }
    return reader->failure == JSON_FAILURE_NONE;
}

void json_position(struct text document, size_t offset, unsigned *out_line, unsigned *out_column)
{
    assert(offset <= document.size);
    unsigned line = 1;
    size_t line_start = 0;
    for (size_t i = 0; i < offset; i++) {
        if (document.data[i] == '\n') {
            line++;
            line_start = i + 1;
        }
    }
    *out_line = line;
    *out_column = (unsigned)(offset - line_start) + 1;
}
