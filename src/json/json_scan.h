// Finds the bytes of a string that mean something: the quote, the backslash and the control
// characters below 0x20. Strings are most of a document, so this looks at 16 bytes at a time where
// the machine has SSE2 (all x86-64 has) and at 8 elsewhere. Neither reads past the text's end.
// Private to this folder and its tests.
#ifndef TILL_JSON_SCAN_H
#define TILL_JSON_SCAN_H

#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline bool json_is_special(unsigned char byte)
{
    return byte == '"' || byte == '\\' || byte < 0x20;
}

// Whether one of the eight bytes is special. The first test finds bytes below 0x20, the others
// bytes that become 0 by an exclusive or; a borrow can only add marks above a byte that is truly
// marked, so the answer to "is there one" is exact.
static inline bool json_word_has_special(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = UINT64_C(0x8080808080808080);
    const uint64_t quote = word ^ (ones * '"');
    const uint64_t backslash = word ^ (ones * '\\');
    const uint64_t control = (word - ones * 0x20) & ~word;
    return ((control | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & tops) != 0;
}

// Offset of the first special byte at or after `offset`, or text.size.
static inline size_t json_scan_portable(struct text text, size_t offset)
{
    while (text.size - offset >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, text.data + offset, sizeof(word));
        if (json_word_has_special(word)) {
            break;
        }
        offset += sizeof(word);
    }
    while (offset < text.size && !json_is_special((unsigned char)text.data[offset])) {
        offset++;
    }
    return offset;
}

#ifdef __SSE2__
static inline size_t json_scan_sse2(struct text text, size_t offset)
{
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i control_last = _mm_set1_epi8(0x1f);
    while (text.size - offset >= sizeof(__m128i)) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text.data + offset));
        const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, control_last), bytes);
        const __m128i quoting =
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
        const int marks = _mm_movemask_epi8(_mm_or_si128(control, quoting));
        if (marks != 0) {
            return offset + (size_t)__builtin_ctz((unsigned)marks);
        }
        offset += sizeof(__m128i);
    }
    return json_scan_portable(text, offset);
}
#endif

static inline size_t json_scan(struct text text, size_t offset)
{
#ifdef __SSE2__
    return json_scan_sse2(text, offset);
#else
    return json_scan_portable(text, offset);
#endif
}

#endif
