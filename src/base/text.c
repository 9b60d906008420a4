// Questions about views of bytes: compare, parse numbers and durations, check UTF-8, find the
// nearest word.
#include "text.h"

#include <string.h>

struct text text_of(const char *zero_terminated)
{
    if (zero_terminated == NULL) {
        return (struct text){0};
    }
    return (struct text){zero_terminated, strlen(zero_terminated)};
}

// memcmp, but allowed to see the NULL of an empty text.
static int compare_bytes(const char *a, const char *b, size_t size)
{
    return size == 0 ? 0 : memcmp(a, b, size);
}

bool text_equal(struct text a, struct text b)
{
    return a.size == b.size && compare_bytes(a.data, b.data, a.size) == 0;
}

static unsigned char lower_ascii(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool text_equal_nocase_ascii(struct text a, struct text b)
{
    if (a.size != b.size) {
        return false;
    }
    for (size_t i = 0; i < a.size; i++) {
        if (lower_ascii(a.data[i]) != lower_ascii(b.data[i])) {
            return false;
        }
    }
    return true;
}

int text_compare(struct text a, struct text b)
{
    size_t shared_size = a.size < b.size ? a.size : b.size;
    int order = compare_bytes(a.data, b.data, shared_size);
    if (order != 0) {
        return order;
    }
    return (a.size > b.size) - (a.size < b.size);
}

bool text_starts_with(struct text text, struct text prefix)
{
    return text.size >= prefix.size && compare_bytes(text.data, prefix.data, prefix.size) == 0;
}

bool text_parse_u64(struct text text, uint64_t *out_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(c - '0'), &value)) {
            return false;
        }
    }
    if (text.size == 0) {
        return false;
    }
    *out_value = value;
    return true;
}

bool text_parse_i64(struct text text, int64_t *out_value)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    if (negative) {
        text = (struct text){text.data + 1, text.size - 1};
    }
    uint64_t magnitude = 0;
    uint64_t magnitude_max = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (!text_parse_u64(text, &magnitude) || magnitude > magnitude_max) {
        return false;
    }
    *out_value = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}

// Microseconds of one unit of time, or 0 for a unit that is none.
static int64_t unit_us(struct text unit)
{
    static const struct {
        struct text name;
        int64_t us;
    } units[] = {
        {TEXT("ms"), INT64_C(1000)},           {TEXT("s"), INT64_C(1000000)},
        {TEXT("m"), INT64_C(60) * 1000000},    {TEXT("h"), INT64_C(3600) * 1000000},
        {TEXT("d"), INT64_C(86400) * 1000000},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (text_equal(unit, units[i].name)) {
            return units[i].us;
        }
    }
    return 0;
}

bool text_parse_duration_us(struct text text, int64_t *out_us)
{
    size_t digit_count = 0;
    while (digit_count < text.size && text.data[digit_count] >= '0' &&
           text.data[digit_count] <= '9') {
        digit_count++;
    }
    uint64_t count = 0;
    if (!text_parse_u64((struct text){text.data, digit_count}, &count)) {
        return false;
    }
    if (digit_count == text.size) {
        if (count != 0) {
            return false;
        }
        *out_us = 0;
        return true;
    }
    int64_t unit = unit_us((struct text){text.data + digit_count, text.size - digit_count});
    int64_t us = 0;
    if (unit == 0 || __builtin_mul_overflow(count, unit, &us)) {
        return false;
    }
    *out_us = us;
    return true;
}

// Size of the well-formed sequence of two to four bytes that begins at `bytes`, or 0. The rows are
// those of Unicode 15, table 3-7: only the second byte's range depends on the first.
static size_t multibyte_size(const unsigned char *bytes, size_t left)
{
    unsigned char lead = bytes[0];
    unsigned char second_min = 0x80;
    unsigned char second_max = 0xBF;
    size_t size = 0;
    if (lead >= 0xC2 && lead <= 0xDF) {
        size = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        size = 3;
        second_min = lead == 0xE0 ? 0xA0 : 0x80; // below: an overlong form
        second_max = lead == 0xED ? 0x9F : 0xBF; // above: a surrogate
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        size = 4;
        second_min = lead == 0xF0 ? 0x90 : 0x80; // below: an overlong form
        second_max = lead == 0xF4 ? 0x8F : 0xBF; // above: past U+10FFFF
    }
    if (size == 0 || size > left || bytes[1] < second_min || bytes[1] > second_max) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((bytes[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return size;
}

// Whether the next 16 bytes are all ASCII.
static bool is_ascii_16(const unsigned char *bytes)
{
    uint64_t words[2];
    memcpy(words, bytes, sizeof(words));
    return ((words[0] | words[1]) & UINT64_C(0x8080808080808080)) == 0;
}

size_t text_utf8_valid_prefix(struct text text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    size_t at = 0;
    while (at < text.size) {
        if (text.size - at >= 16 && is_ascii_16(bytes + at)) {
            at += 16;
        } else if (bytes[at] < 0x80) {
            at++;
        } else {
            size_t size = multibyte_size(bytes + at, text.size - at);
            if (size == 0) {
                return at;
            }
            at += size;
        }
    }
    return at;
}

#define NEAREST_WORD_SIZE_MAX 64
#define NEAREST_EDITS_MAX     3

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Restricted Damerau-Levenshtein distance: insert, delete, replace, or swap of two neighbours that
// are not edited again. Three rows of the usual table are kept. Both are at most
// NEAREST_WORD_SIZE_MAX bytes.
static size_t edit_distance(struct text a, struct text b)
{
    size_t rows[3][NEAREST_WORD_SIZE_MAX + 1] = {{0}};
    for (size_t j = 0; j <= b.size; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.size; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *above_two = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t replaced = above[j - 1] + (a.data[i - 1] == b.data[j - 1] ? 0 : 1);
            row[j] = min_size(replaced, min_size(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
                a.data[i - 2] == b.data[j - 1]) {
                row[j] = min_size(row[j], above_two[j - 2] + 1);
            }
        }
    }
    return rows[a.size % 3][b.size];
}

size_t text_nearest(struct text word, const struct text *candidates, size_t count)
{
    if (word.size > NEAREST_WORD_SIZE_MAX) {
        return count;
    }
    size_t nearest = count;
    size_t nearest_edits = min_size(NEAREST_EDITS_MAX, word.size / 2) + 1;
    for (size_t i = 0; i < count; i++) {
        if (candidates[i].size > NEAREST_WORD_SIZE_MAX) {
            continue;
        }
        size_t edits = edit_distance(word, candidates[i]);
        if (edits < nearest_edits) {
            nearest_edits = edits;
            nearest = i;
        }
    }
    return nearest;
}
