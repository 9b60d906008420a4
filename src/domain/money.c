// Decimal text to minor units and back, exactly.
//
// A JSON number is read as coefficient x 10^power, where the coefficient has neither leading nor
// trailing zeros. Only its first 19 digits are kept (they fit 64 bits); the count says when there
// were more, and then the number either does not fit or is too precise, whatever the lost digits
// were. So the time is linear in the text and never depends on the exponent's size.
#include "money.h"

#include <assert.h>
#include <stddef.h>

#define COEFFICIENT_DIGITS_MAX 19
#define EXPONENT_MAX           400 // of the text; larger ones are refused unread
#define MINOR_DIGITS_MAX       18  // of a currency; ISO 4217 has up to 4
#define DECIMAL_TEXT_SIZE      24  // sign, 19 digits, point

static const uint64_t powers_of_ten[COEFFICIENT_DIGITS_MAX + 1] = {
    UINT64_C(1),
    UINT64_C(10),
    UINT64_C(100),
    UINT64_C(1000),
    UINT64_C(10000),
    UINT64_C(100000),
    UINT64_C(1000000),
    UINT64_C(10000000),
    UINT64_C(100000000),
    UINT64_C(1000000000),
    UINT64_C(10000000000),
    UINT64_C(100000000000),
    UINT64_C(1000000000000),
    UINT64_C(10000000000000),
    UINT64_C(100000000000000),
    UINT64_C(1000000000000000),
    UINT64_C(10000000000000000),
    UINT64_C(100000000000000000),
    UINT64_C(1000000000000000000),
    UINT64_C(10000000000000000000),
};

// What is left to read. next() gives 0 at the end: no byte of a number is zero.
struct scan {
    const char *at;
    const char *end;
};

struct decimal {
    bool negative;
    uint64_t coefficient; // right while digit_count <= COEFFICIENT_DIGITS_MAX
    size_t digit_count;   // of the coefficient; 0 for zero
    size_t zero_count;    // zeros read since its last digit
    int64_t power;
    bool exponent_too_large;
};

static char next(const struct scan *scan)
{
    return scan->at < scan->end ? *scan->at : '\0';
}

static bool next_is_digit(const struct scan *scan)
{
    char c = next(scan);
    return c >= '0' && c <= '9';
}

static bool take(struct scan *scan, char c)
{
    if (next(scan) != c) {
        return false;
    }
    scan->at++;
    return true;
}

static void coefficient_push(struct decimal *decimal, unsigned digit)
{
    if (decimal->digit_count < COEFFICIENT_DIGITS_MAX) {
        decimal->coefficient = decimal->coefficient * 10 + digit;
    }
    decimal->digit_count++;
}

// Zeros wait until a later digit shows that they stand inside the coefficient.
static void decimal_add_digit(struct decimal *decimal, unsigned digit)
{
    if (digit == 0) {
        decimal->zero_count += decimal->digit_count > 0;
        return;
    }
    for (; decimal->zero_count > 0; decimal->zero_count--) {
        coefficient_push(decimal, 0);
    }
    coefficient_push(decimal, digit);
}

// Reads one digit or more; returns how many there were.
static size_t read_digits(struct scan *scan, struct decimal *decimal)
{
    const char *start = scan->at;
    while (next_is_digit(scan)) {
        decimal_add_digit(decimal, (unsigned)(*scan->at - '0'));
        scan->at++;
    }
    return (size_t)(scan->at - start);
}

static bool read_exponent(struct scan *scan, struct decimal *decimal)
{
    bool negative = take(scan, '-');
    if (!negative) {
        take(scan, '+');
    }
    if (!next_is_digit(scan)) {
        return false;
    }
    int64_t value = 0;
    for (; next_is_digit(scan); scan->at++) {
        if (value <= EXPONENT_MAX) {
            value = value * 10 + (*scan->at - '0');
        }
    }
    decimal->exponent_too_large = value > EXPONENT_MAX;
    decimal->power += negative ? -value : value;
    return true;
}

// The whole text must be one JSON number.
static bool read_decimal(struct text number, struct decimal *decimal)
{
    if (number.size == 0) {
        return false;
    }
    struct scan scan = {number.data, number.data + number.size};
    decimal->negative = take(&scan, '-');
    if (!take(&scan, '0') && read_digits(&scan, decimal) == 0) {
        return false;
    }
    if (take(&scan, '.')) {
        size_t fraction_digits = read_digits(&scan, decimal);
        if (fraction_digits == 0) {
            return false;
        }
        decimal->power -= (int64_t)fraction_digits;
    }
    decimal->power += (int64_t)decimal->zero_count;
    if ((take(&scan, 'e') || take(&scan, 'E')) && !read_exponent(&scan, decimal)) {
        return false;
    }
    return scan.at == scan.end;
}

static uint64_t divide_half_even(uint64_t dividend, uint64_t divisor)
{
    uint64_t quotient = dividend / divisor;
    uint64_t rest = dividend % divisor;
    uint64_t half = divisor / 2; // divisors are powers of ten from 10 on, so this is exact
    return quotient + (rest > half || (rest == half && quotient % 2 == 1));
}

static enum money_parsed scale_up(const struct decimal *decimal, int64_t power, int64_t *out_minor)
{
    uint64_t minor;
    if (__builtin_mul_overflow(decimal->coefficient, powers_of_ten[power], &minor) ||
        minor > INT64_MAX) {
        return MONEY_OUT_OF_RANGE;
    }
    *out_minor = (int64_t)minor;
    return MONEY_EXACT;
}

static enum money_parsed round_down_to_minor(const struct decimal *decimal, int64_t excess_digits,
                                             bool lenient, int64_t *out_minor)
{
    if (!lenient || decimal->digit_count > MONEY_LENIENT_DIGITS_MAX) {
        return MONEY_TOO_PRECISE;
    }
    // With more excess digits than the coefficient has, it is under a tenth of a minor unit.
    *out_minor =
        excess_digits > (int64_t)decimal->digit_count
            ? 0
            : (int64_t)divide_half_even(decimal->coefficient, powers_of_ten[excess_digits]);
    return MONEY_ROUNDED;
}

enum money_parsed money_parse(struct text number, unsigned exponent, bool lenient,
                              int64_t *out_minor)
{
    assert(exponent <= MINOR_DIGITS_MAX);
    struct decimal decimal = {0};
    if (!read_decimal(number, &decimal)) {
        return MONEY_NOT_A_NUMBER;
    }
    if (decimal.exponent_too_large) {
        return MONEY_OUT_OF_RANGE;
    }
    if (decimal.digit_count == 0) {
        *out_minor = 0;
        return MONEY_EXACT;
    }
    if (decimal.negative) {
        return MONEY_NEGATIVE;
    }
    int64_t power = decimal.power + (int64_t)exponent;
    if ((int64_t)decimal.digit_count + power > COEFFICIENT_DIGITS_MAX) {
        return MONEY_OUT_OF_RANGE;
    }
    return power >= 0 ? scale_up(&decimal, power, out_minor)
                      : round_down_to_minor(&decimal, -power, lenient, out_minor);
}

void money_format(struct buf *out, int64_t minor, unsigned exponent)
{
    assert(exponent <= MINOR_DIGITS_MAX);
    char text[DECIMAL_TEXT_SIZE];
    size_t start = sizeof(text);
    uint64_t rest = minor < 0 ? 0 - (uint64_t)minor : (uint64_t)minor;
    // At least one digit stands before the point.
    for (unsigned digits = 0; rest > 0 || digits <= exponent; digits++) {
        if (digits == exponent && exponent > 0) {
            text[--start] = '.';
        }
        text[--start] = (char)('0' + rest % 10);
        rest /= 10;
    }
    if (minor < 0) {
        text[--start] = '-';
    }
    buf_add(out, text + start, sizeof(text) - start);
}

bool money_add(int64_t a, int64_t b, int64_t *out_sum)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *out_sum = sum;
    return true;
}

bool money_multiply(int64_t minor, int64_t quantity, int64_t *out_product)
{
    int64_t product;
    if (__builtin_mul_overflow(minor, quantity, &product)) {
        return false;
    }
    *out_product = product;
    return true;
}
