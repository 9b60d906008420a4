// ISO 4217 currencies and their minor units.
#ifndef TILL_CURRENCY_H
#define TILL_CURRENCY_H

#include "text.h"

#include <stdbool.h>
#include <stdint.h>

// Index into the table of active ISO 4217 codes. 0 is no currency at all; the table's order is an
// implementation detail and is never stored (the three letters are).
struct currency {
    uint8_t index;
};

#define CURRENCY_NONE ((struct currency){0})

// Finds an active code of exactly three capital letters. Fund codes, metals, XTS and XXX are not
// currencies here. false when unknown.
bool currency_find(struct text code, struct currency *out_currency);
struct text currency_code(struct currency currency);  // "USD"; "" for none
unsigned currency_exponent(struct currency currency); // decimal digits of the minor unit, 0 ... 4
bool currency_equal(struct currency a, struct currency b);
unsigned currency_count(void); // indexes run from 1 to this, both included
struct currency currency_usd(void);

#endif
