// Dates and times as producers write them (RFC 3339, which profiles ISO 8601). Private to this
// folder.
#ifndef TILL_TIME_TEXT_H
#define TILL_TIME_TEXT_H

#include "text.h"

#include <stdbool.h>
#include <stdint.h>

// YYYY-MM-DD with a day that exists.
bool time_text_is_date(struct text text);

// Microseconds since 1970-01-01 UTC; finer fractions are cut. Offsets are taken off, a leap second
// counts as the second after it. false, with *out_us untouched, on anything else.
bool time_text_parse_rfc3339(struct text text, int64_t *out_us);

#endif
