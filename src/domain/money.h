// Money is a count of minor units in an int64_t; decimal text goes in and out exactly. No value
// passes through floating point.
#ifndef TILL_MONEY_H
#define TILL_MONEY_H

#include "buf.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#define MONEY_PRICE_MINOR_MAX    INT64_C(1000000000000)    // 10^12, unit price and amount
#define MONEY_TOTAL_MINOR_MAX    INT64_C(1000000000000000) // 10^15, price x quantity
#define MONEY_LENIENT_DIGITS_MAX 17 // significant digits that a printed double can have

enum money_parsed {
    MONEY_EXACT,
    MONEY_ROUNDED,      // only with lenient; half-even on the decimal text
    MONEY_NOT_A_NUMBER, // not the grammar of a JSON number
    MONEY_TOO_PRECISE,  // more digits than the minor unit has
    MONEY_OUT_OF_RANGE, // does not fit; also every exponent beyond +-400
    MONEY_NEGATIVE,     // below zero (-0 is zero)
};

// Reads a JSON number ("12", "12.5", "1e2", "-0.0"; no leading zeros or '+') as minor units of a
// currency with `exponent` digits. Trailing zeros after the point are no excess precision. With
// `lenient`, excess digits of a number of at most MONEY_LENIENT_DIGITS_MAX significant digits are
// rounded half-even. *out_minor is written for EXACT and ROUNDED only. Bounded in time whatever
// the exponent says.
enum money_parsed money_parse(struct text number, unsigned exponent, bool lenient,
                              int64_t *out_minor);

// Exact decimal text with exactly `exponent` digits after the point: -1234, 2 -> "-12.34".
void money_format(struct buf *out, int64_t minor, unsigned exponent);

// false when the result does not fit; then *out_sum is untouched.
bool money_add(int64_t a, int64_t b, int64_t *out_sum);
bool money_multiply(int64_t minor, int64_t quantity, int64_t *out_product);

#endif
