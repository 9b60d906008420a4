// Views of bytes, and the few questions we ask about them. A view never owns its bytes and is not
// zero-terminated; it is valid as long as what it was taken from.
#ifndef TILL_TEXT_H
#define TILL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    const char *data; // may be NULL when size is 0
    size_t size;      // bytes
};

#define TEXT(literal)    ((struct text){(literal), sizeof(literal) - 1})
#define TEXT_PRINT(text) (int)(text).size, (text).data // for "%.*s"

struct text text_of(const char *zero_terminated); // NULL gives the empty text
bool text_equal(struct text a, struct text b);
bool text_equal_nocase_ascii(struct text a, struct text b);
int text_compare(struct text a, struct text b); // by bytes; a prefix comes first
bool text_starts_with(struct text text, struct text prefix);

// Decimal digits only (text_parse_i64: an optional leading '-'), no spaces, no sign, no leading
// '+', the whole text; false on anything else or on overflow. Leading zeros are accepted.
bool text_parse_u64(struct text text, uint64_t *out_value);
bool text_parse_i64(struct text text, int64_t *out_value);

// A duration such as 0s, 90s, 15m, 2h, 7d, 250ms; a bare 0 is accepted. false on anything else,
// on overflow, and on a negative one. Result in microseconds.
bool text_parse_duration_us(struct text text, int64_t *out_us);

// Offset of the first byte that is not well-formed UTF-8 (Unicode 15, table 3-7: no overlong form,
// no surrogate, at most U+10FFFF), or text.size when all is well.
size_t text_utf8_valid_prefix(struct text text);

// Index of the candidate nearest to `word` (Damerau-Levenshtein, at most 3 edits and at most half
// of the word), or `count` when none is near.
size_t text_nearest(struct text word, const struct text *candidates, size_t count);

#endif
