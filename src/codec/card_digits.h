// Card numbers, unit by unit: what a digit, a separator and everything else is, in plain bytes or
// in the raw form of a JSON string, and where a card number ends. Private to this folder.
#ifndef TILL_CARD_DIGITS_H
#define TILL_CARD_DIGITS_H

#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CARD_DIGITS_MIN     13u
#define CARD_DIGITS_MAX     19u
#define CARD_SEPARATORS_MAX 3u // spaces and dashes between two digits of one number

enum card_unit_kind { CARD_UNIT_OTHER, CARD_UNIT_DIGIT, CARD_UNIT_SEPARATOR };

// One character: a byte, a UTF-8 sequence, or with `escapes` a JSON escape.
struct card_unit {
    enum card_unit_kind kind;
    uint32_t code_point; // 0 for what can't be read
    size_t size;         // bytes it takes in the text, at least 1
};

// offset < text.size.
struct card_unit card_unit_at(struct text text, size_t offset, bool escapes);

struct card_match {
    unsigned digit_count; // 0: no match
    size_t end;           // offset behind its last digit
};

// The longest card number whose first digit is at `start`. A number begins and ends where a run of
// digits does, so the digits of a longer run are never taken for one.
struct card_match card_match_at(struct text text, size_t start, bool escapes);

#endif
