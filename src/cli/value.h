// One value that a person wrote: on the command line, in the environment or in a file. Both the
// flags and the configuration keys name a rule, so a duration reads the same wherever it stands.
#ifndef TILL_VALUE_H
#define TILL_VALUE_H

#include "buf.h"
#include "currency.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

enum value_kind {
    VALUE_BOOL,     // true or false
    VALUE_TEXT,     // at least one byte, no control characters
    VALUE_OPTIONAL, // the same, or empty for none
    VALUE_COUNT,    // a whole number
    VALUE_SIZE,     // bytes: 512, 64KiB, 4MiB, 1GiB
    VALUE_DURATION, // microseconds: 0s, 250ms, 90s, 15m, 2h, 7d
    VALUE_SHARE,    // parts per million: 5%, 0.05
    VALUE_CHOICE,   // index into the rule's choices
    VALUE_CURRENCY, // index of an ISO 4217 code
};

// The type of a struct field that holds such a value, by the kind's last word.
#define VALUE_TYPE(kind)    VALUE_TYPE_##kind
#define VALUE_TYPE_BOOL     bool
#define VALUE_TYPE_TEXT     const char *
#define VALUE_TYPE_OPTIONAL const char *
#define VALUE_TYPE_COUNT    int64_t
#define VALUE_TYPE_SIZE     int64_t
#define VALUE_TYPE_DURATION int64_t
#define VALUE_TYPE_SHARE    uint32_t
#define VALUE_TYPE_CHOICE   unsigned
#define VALUE_TYPE_CURRENCY struct currency

struct value_rule {
    enum value_kind kind;
    int64_t min; // of counts, sizes, durations and shares; both included
    int64_t max;
    const char *const *choices; // zero-terminated names, then NULL; only for VALUE_CHOICE
};

#define SHARE_WHOLE_PPM INT64_C(1000000)

enum value_result { VALUE_OK, VALUE_MALFORMED, VALUE_OUT_OF_RANGE };

// Reads `text` by the rule. *out_number is the value in the kind's unit; 0 for texts.
enum value_result value_parse(const struct value_rule *rule, struct text text, int64_t *out_number);

// Puts a value that was read into its field, which has VALUE_TYPE(kind). `text` is only kept for
// texts and must outlive the field.
void value_store(const struct value_rule *rule, void *field, const char *text, int64_t number);

// Adds "expected a duration such as 90s or 15m" for a result that is not VALUE_OK.
void value_add_expected(const struct value_rule *rule, enum value_result result, struct buf *out);
// Adds "expected a duration such as 90s or 15m, got \"10x\"".
void value_add_complaint(const struct value_rule *rule, enum value_result result, struct text got,
                         struct buf *out);

// Adds the value of a field as a person would write it; reading it again gives the same value.
void value_add_text(const struct value_rule *rule, const void *field, struct buf *out);

// The kind in one word, for manuals: "duration", or the choices as "auto, text or json".
void value_add_kind(const struct value_rule *rule, struct buf *out);

#endif
