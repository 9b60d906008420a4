// The scan, which runs over every text of every message. Nearly all of them are told apart by one
// look at each byte: fewer than 13 digits stand together.
#include "card_scan.h"

#include "card_digits.h"

#include <string.h>

#define CARD_KEY_SIZE_MAX 10u // "cardnumber"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Whether there are 13 digits with nothing but spaces, dashes and bytes beyond ASCII between them.
// Says yes too often, never too rarely.
static bool may_hold_number(struct text text)
{
    unsigned digit_count = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (is_digit(c)) {
            if (++digit_count == CARD_DIGITS_MIN) {
                return true;
            }
        } else if (c != ' ' && c != '-' && (unsigned char)c < 0x80) {
            digit_count = 0;
        }
    }
    return false;
}

static bool holds_number(struct text text, bool escapes)
{
    bool after_digit = false;
    for (size_t offset = 0; offset < text.size;) {
        const struct card_unit unit = card_unit_at(text, offset, escapes);
        const bool is_start = unit.kind == CARD_UNIT_DIGIT && !after_digit;
        if (is_start && card_match_at(text, offset, escapes).digit_count > 0) {
            return true;
        }
        after_digit = unit.kind == CARD_UNIT_DIGIT;
        offset += unit.size;
    }
    return false;
}

bool card_scan_raw_text(struct text raw, bool has_escapes)
{
    if (raw.size < CARD_DIGITS_MIN) {
        return false;
    }
    return (has_escapes || may_hold_number(raw)) && holds_number(raw, has_escapes);
}

bool card_scan_text(struct text text)
{
    return card_scan_raw_text(text, false);
}

// Letters and digits of a key in lower case, '_' and '-' left out. Returns how many there are, or
// 0 when there are too many or others.
static size_t fold_key(struct text raw, bool has_escapes, char out[CARD_KEY_SIZE_MAX])
{
    size_t size = 0;
    for (size_t offset = 0; offset < raw.size;) {
        const struct card_unit unit = card_unit_at(raw, offset, has_escapes);
        offset += unit.size;
        if (unit.code_point == '_' || unit.code_point == '-') {
            continue;
        }
        if (size == CARD_KEY_SIZE_MAX || unit.code_point >= 0x80) {
            return 0;
        }
        const char c = (char)unit.code_point;
        out[size++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return size;
}

bool card_scan_raw_key(struct text raw, bool has_escapes)
{
    static const struct text card_keys[] = {
        TEXT("cvv"), TEXT("cvv2"),     TEXT("cvc"),        TEXT("cvc2"),
        TEXT("cid"), TEXT("track1"),   TEXT("track2"),     TEXT("trackdata"),
        TEXT("pin"), TEXT("pinblock"), TEXT("cardnumber"), TEXT("pan"),
    };
    char folded[CARD_KEY_SIZE_MAX];
    const struct text key = {folded, fold_key(raw, has_escapes, folded)};
    for (size_t i = 0; i < sizeof(card_keys) / sizeof(card_keys[0]); i++) {
        if (text_equal(key, card_keys[i])) {
            return true;
        }
    }
    return false;
}

bool card_scan_key(struct text key)
{
    return card_scan_raw_key(key, false);
}
