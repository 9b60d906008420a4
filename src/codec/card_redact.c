// Redaction. The body need not be JSON, so it is cut into quoted strings and what stands between
// them without a parser: a string that a colon follows is a key. Every piece is searched for card
// numbers, whatever it was taken for; only what is done to a key's value depends on the cut.
//
// What is left holds no card number: the four digits that stay are searched again as the start of
// another one, as a reader of the result would see them.
#include "card_digits.h"
#include "card_scan.h"

#include <string.h>

#define DIGITS_KEPT 4u

struct redaction {
    struct text body;
    size_t offset; // of what is not written yet
    struct buf *out;
};

static struct text slice(struct text text, size_t start, size_t end)
{
    return (struct text){text.data + start, end - start};
}

// Writes the number at `start`, which `match` describes, up to its last digits. Returns where they
// begin.
static size_t add_masked(struct text text, size_t start, struct card_match match, struct buf *out)
{
    size_t offset = start;
    for (unsigned left = match.digit_count; left > DIGITS_KEPT;) {
        const struct card_unit unit = card_unit_at(text, offset, true);
        if (unit.kind == CARD_UNIT_DIGIT) {
            buf_add_char(out, '*');
            left--;
        } else {
            buf_add(out, text.data + offset, unit.size);
        }
        offset += unit.size;
    }
    return offset;
}

static void add_piece(struct text text, struct buf *out)
{
    size_t written = 0;
    bool after_digit = false;
    for (size_t offset = 0; offset < text.size;) {
        const struct card_unit unit = card_unit_at(text, offset, true);
        const bool is_start = unit.kind == CARD_UNIT_DIGIT && !after_digit;
        const struct card_match match =
            is_start ? card_match_at(text, offset, true) : (struct card_match){0};
        if (match.digit_count > 0) {
            buf_add_text(out, slice(text, written, offset));
            offset = add_masked(text, offset, match, out);
            written = offset;
            after_digit = false;
        } else {
            after_digit = unit.kind == CARD_UNIT_DIGIT;
            offset += unit.size;
        }
    }
    buf_add_text(out, slice(text, written, text.size));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static size_t skip_space(struct text body, size_t offset)
{
    while (offset < body.size && is_space(body.data[offset])) {
        offset++;
    }
    return offset;
}

// From an opening quote to behind the closing one, or to the end of the body.
static size_t string_end(struct text body, size_t offset)
{
    for (offset++; offset < body.size; offset++) {
        if (body.data[offset] == '\\') {
            offset++;
        } else if (body.data[offset] == '"') {
            return offset + 1;
        }
    }
    return body.size;
}

static size_t container_end(struct text body, size_t offset)
{
    size_t depth = 0;
    while (offset < body.size) {
        const char c = body.data[offset];
        offset = c == '"' ? string_end(body, offset) : offset + 1;
        if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            break;
        }
    }
    return offset;
}

static size_t scalar_end(struct text body, size_t offset)
{
    while (offset < body.size && strchr(",}]\"\r\n", body.data[offset]) == NULL) {
        offset++;
    }
    return offset;
}

static size_t value_end(struct text body, size_t offset)
{
    if (offset == body.size) {
        return offset;
    }
    switch (body.data[offset]) {
    case '"':
        return string_end(body, offset);
    case '{':
    case '[':
        return container_end(body, offset);
    default:
        return scalar_end(body, offset);
    }
}

// Behind the digits at `offset`, when they end as a member of an object does; else 0.
static size_t number_end(struct text body, size_t offset)
{
    size_t end = offset;
    while (end < body.size && body.data[end] >= '0' && body.data[end] <= '9') {
        end++;
    }
    const size_t after = skip_space(body, end);
    const bool ends = after < body.size && (body.data[after] == ',' || body.data[after] == '}');
    return end > offset && ends ? end : 0;
}

static bool is_id_key(struct text key)
{
    return text_equal(key, TEXT("order_id")) || text_equal(key, TEXT("payment_id")) ||
           text_equal(key, TEXT("customer_id"));
}

// At the value of `key`. Writes the values that need care and leaves the others to the caller.
static void redact_value(struct redaction *redaction, struct text key)
{
    const struct text body = redaction->body;
    if (card_scan_raw_key(key, true)) {
        buf_add_str(redaction->out, "\"***\"");
        redaction->offset = value_end(body, redaction->offset);
        return;
    }
    const size_t end = number_end(body, redaction->offset);
    if (end == 0) {
        return;
    }
    const struct text number = slice(body, redaction->offset, end);
    if (is_id_key(key)) {
        buf_add_text(redaction->out, number);
        redaction->offset = end;
    } else if (card_scan_text(number)) {
        // Stars are no number: in quotes, the result is JSON still.
        buf_add_char(redaction->out, '"');
        add_piece(number, redaction->out);
        buf_add_char(redaction->out, '"');
        redaction->offset = end;
    }
}

// At an opening quote.
static void redact_string(struct redaction *redaction)
{
    const struct text body = redaction->body;
    const size_t start = redaction->offset;
    const size_t end = string_end(body, start);
    add_piece(slice(body, start, end), redaction->out);
    redaction->offset = end;
    const size_t colon = skip_space(body, end);
    if (colon == body.size || body.data[colon] != ':') {
        return;
    }
    const size_t value = skip_space(body, colon + 1);
    buf_add_text(redaction->out, slice(body, end, value));
    redaction->offset = value;
    redact_value(redaction, slice(body, start + 1, end - 1));
}

void card_redact(struct text body, struct buf *out)
{
    struct redaction redaction = {.body = body, .out = out};
    while (redaction.offset < body.size) {
        const struct text rest = slice(body, redaction.offset, body.size);
        const char *quote = memchr(rest.data, '"', rest.size);
        const size_t plain_size = quote == NULL ? rest.size : (size_t)(quote - rest.data);
        add_piece(slice(rest, 0, plain_size), out);
        redaction.offset += plain_size;
        if (quote != NULL) {
            redact_string(&redaction);
        }
    }
}
