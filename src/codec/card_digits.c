// Recognition of one card number (ISO/IEC 7812: issuer prefix, 13-19 digits, Luhn check digit).
#include "card_digits.h"

#define PREFIX_DIGITS 4u
#define LENGTH(n)     (UINT32_C(1) << (n))
#define LENGTHS_16_19 (LENGTH(16) | LENGTH(17) | LENGTH(18) | LENGTH(19))
#define LENGTHS_14_19 (LENGTH(14) | LENGTH(15) | LENGTHS_16_19)
#define LENGTHS_13_19 (LENGTH(13) | LENGTHS_14_19)

// First four digits, both ends included, and the lengths that an issuer uses with them.
struct issuer_range {
    uint16_t first;
    uint16_t last;
    uint32_t lengths;
};

static const struct issuer_range issuer_ranges[] = {
    {4000, 4999, LENGTH(13) | LENGTH(16) | LENGTH(19)}, // Visa
    {5100, 5599, LENGTH(16)},                           // Mastercard
    {2221, 2720, LENGTH(16)},                           // Mastercard
    {3400, 3499, LENGTH(15)},                           // American Express
    {3700, 3799, LENGTH(15)},                           // American Express
    {6011, 6011, LENGTHS_16_19},                        // Discover
    {6440, 6599, LENGTHS_16_19},                        // Discover, RuPay
    {6200, 6299, LENGTHS_16_19},                        // UnionPay
    {8100, 8199, LENGTHS_16_19},                        // UnionPay
    {3528, 3589, LENGTHS_16_19},                        // JCB
    {3000, 3059, LENGTHS_14_19},                        // Diners Club
    {3095, 3095, LENGTHS_14_19},                        // Diners Club
    {3600, 3699, LENGTHS_14_19},                        // Diners Club
    {3800, 3999, LENGTHS_14_19},                        // Diners Club
    {5018, 5018, LENGTHS_13_19},                        // Maestro
    {5020, 5020, LENGTHS_13_19},                        // Maestro
    {5038, 5038, LENGTHS_13_19},                        // Maestro
    {5893, 5893, LENGTHS_13_19},                        // Maestro
    {6304, 6304, LENGTHS_13_19},                        // Maestro
    {6390, 6390, LENGTHS_13_19},                        // Maestro
    {6759, 6763, LENGTHS_13_19},                        // Maestro
    {2200, 2204, LENGTHS_16_19},                        // Mir
    {5085, 5089, LENGTH(16)},                           // RuPay
    {6069, 6085, LENGTH(16)},                           // RuPay
    {8200, 8299, LENGTH(16)},                           // RuPay
    {9792, 9792, LENGTH(16)},                           // Troy
};

static uint32_t lengths_of_prefix(unsigned prefix)
{
    uint32_t lengths = 0;
    for (size_t i = 0; i < sizeof(issuer_ranges) / sizeof(issuer_ranges[0]); i++) {
        const struct issuer_range *range = &issuer_ranges[i];
        if (prefix >= range->first && prefix <= range->last) {
            lengths |= range->lengths;
        }
    }
    return lengths;
}

static enum card_unit_kind kind_of(uint32_t code_point)
{
    if (code_point >= '0' && code_point <= '9') {
        return CARD_UNIT_DIGIT;
    }
    const bool is_space = code_point == ' ' || code_point == 0xA0 || code_point == 0x202F ||
                          (code_point >= 0x2000 && code_point <= 0x200A);
    const bool is_dash =
        code_point == '-' || code_point == 0x2212 || (code_point >= 0x2010 && code_point <= 0x2015);
    return is_space || is_dash ? CARD_UNIT_SEPARATOR : CARD_UNIT_OTHER;
}

static struct card_unit make_unit(uint32_t code_point, size_t size)
{
    return (struct card_unit){kind_of(code_point), code_point, size};
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// At a backslash. Of the short escapes only the quote, slash and backslash stand for themselves,
// and none of them matters here.
static struct card_unit escape_at(struct text text, size_t offset)
{
    const size_t left = text.size - offset;
    if (left < 6 || text.data[offset + 1] != 'u') {
        return make_unit(0, left < 2 ? 1 : 2);
    }
    uint32_t code_point = 0;
    for (size_t i = 2; i < 6; i++) {
        const int digit = hex_value(text.data[offset + i]);
        if (digit < 0) {
            return make_unit(0, 2);
        }
        code_point = code_point << 4 | (uint32_t)digit;
    }
    return make_unit(code_point, 6);
}

// Spaces and dashes beyond ASCII have two or three bytes; everything longer, and what is not UTF-8,
// may as well be read byte by byte.
static struct card_unit sequence_at(struct text text, size_t offset)
{
    const unsigned char *bytes = (const unsigned char *)text.data + offset;
    const size_t left = text.size - offset;
    if (left >= 2 && bytes[0] == 0xC2 && bytes[1] == 0xA0) {
        return make_unit(0xA0, 2);
    }
    if (left >= 3 && bytes[0] == 0xE2 && (bytes[1] & 0xC0) == 0x80 && (bytes[2] & 0xC0) == 0x80) {
        return make_unit(0x2000u | (bytes[1] & 0x3Fu) << 6 | (bytes[2] & 0x3Fu), 3);
    }
    return make_unit(0, 1);
}

struct card_unit card_unit_at(struct text text, size_t offset, bool escapes)
{
    const unsigned char first = (unsigned char)text.data[offset];
    if (first >= 0x80) {
        return sequence_at(text, offset);
    }
    return first == '\\' && escapes ? escape_at(text, offset) : make_unit(first, 1);
}

// Digits read so far. Which ones the Luhn check doubles depends on how many there will be, so both
// sums are kept.
struct number {
    unsigned digit_count;
    unsigned prefix;
    uint32_t lengths;      // possible after PREFIX_DIGITS digits
    unsigned luhn_sums[2]; // with the digits at even, at odd indexes doubled
};

static void number_add(struct number *number, unsigned digit)
{
    const unsigned parity = number->digit_count % 2;
    number->luhn_sums[parity] += digit < 5 ? 2 * digit : 2 * digit - 9;
    number->luhn_sums[1 - parity] += digit;
    number->digit_count++;
    if (number->digit_count <= PREFIX_DIGITS) {
        number->prefix = number->prefix * 10 + digit;
    }
    if (number->digit_count == PREFIX_DIGITS) {
        number->lengths = lengths_of_prefix(number->prefix);
    }
}

static bool number_is_hopeless(const struct number *number)
{
    return number->digit_count > CARD_DIGITS_MAX ||
           (number->digit_count >= PREFIX_DIGITS && number->lengths == 0);
}

static bool number_is_card(const struct number *number)
{
    return number->digit_count >= CARD_DIGITS_MIN && number->digit_count <= CARD_DIGITS_MAX &&
           (number->lengths & LENGTH(number->digit_count)) != 0 &&
           number->luhn_sums[number->digit_count % 2] % 10 == 0;
}

static bool digit_at(struct text text, size_t offset, bool escapes)
{
    return offset < text.size && card_unit_at(text, offset, escapes).kind == CARD_UNIT_DIGIT;
}

struct card_match card_match_at(struct text text, size_t start, bool escapes)
{
    struct card_match match = {0};
    struct number number = {0};
    unsigned separators = 0;
    for (size_t offset = start; offset < text.size;) {
        const struct card_unit unit = card_unit_at(text, offset, escapes);
        offset += unit.size;
        if (unit.kind == CARD_UNIT_DIGIT) {
            separators = 0;
            number_add(&number, unit.code_point - '0');
            if (number_is_card(&number) && !digit_at(text, offset, escapes)) {
                match = (struct card_match){number.digit_count, offset};
            }
        } else if (unit.kind == CARD_UNIT_SEPARATOR) {
            separators++;
        }
        if (unit.kind == CARD_UNIT_OTHER || separators > CARD_SEPARATORS_MAX ||
            number_is_hopeless(&number)) {
            break;
        }
    }
    return match;
}
