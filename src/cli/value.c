// Reading and writing the kinds of values of value.h. Every kind has one row of two tables: how it is
// read, and what to call it when it was not understood.
#include "value.h"

#include <assert.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

// Largest first, so that a value is written in the largest unit that keeps it whole.
static const struct unit size_units[] = {
    {"GiB", INT64_C(1) << 30}, {"MiB", INT64_C(1) << 20}, {"KiB", INT64_C(1) << 10}, {"", 1}};
static const struct unit duration_units[] = {
    {"d", 86400 * INT64_C(1000000)}, {"h", 3600 * INT64_C(1000000)}, {"m", 60 * INT64_C(1000000)},
    {"s", INT64_C(1000000)},         {"ms", INT64_C(1000)},          {"us", 1}};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static bool parse_bool(struct text text, int64_t *out_number)
{
    bool is_true = text_equal(text, TEXT("true"));
    *out_number = is_true;
    return is_true || text_equal(text, TEXT("false"));
}

static bool parse_text(struct text text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
    }
    return text.size > 0;
}

static bool parse_count(struct text text, int64_t *out_number)
{
    uint64_t value = 0;
    if (!text_parse_u64(text, &value) || value > INT64_MAX) {
        return false;
    }
    *out_number = (int64_t)value;
    return true;
}

static bool ends_with(struct text text, const char *end)
{
    size_t size = strlen(end);
    return text.size >= size && memcmp(text.data + text.size - size, end, size) == 0;
}

static bool parse_size(struct text text, int64_t *out_number)
{
    size_t i = 0;
    while (text.size == 0 || !ends_with(text, size_units[i].name)) {
        i++;
        if (i == COUNT_OF(size_units)) {
            return false;
        }
    }
    int64_t number = 0;
    text.size -= strlen(size_units[i].name);
    return parse_count(text, &number) &&
           !__builtin_mul_overflow(number, size_units[i].factor, out_number);
}

// Decimal text without sign or exponent, as a count of units of 10^-digits_max. Exact: a further
// digit is refused, so no share is rounded behind a person's back.
static bool parse_decimal(struct text text, unsigned digits_max, int64_t *out_units)
{
    const char *point = text.size > 0 ? memchr(text.data, '.', text.size) : NULL;
    struct text whole = text;
    struct text fraction = {0};
    if (point != NULL) {
        whole.size = (size_t)(point - text.data);
        fraction = (struct text){point + 1, text.size - whole.size - 1};
    }
    uint64_t units = 0;
    uint64_t part = 0;
    if (!text_parse_u64(whole, &units) || (point != NULL && !text_parse_u64(fraction, &part)) ||
        fraction.size > digits_max || units > 1000000) {
        return false;
    }
    for (unsigned digit = 0; digit < digits_max; digit++) {
        units *= 10;
        part *= digit < fraction.size ? 1 : 10;
    }
    *out_units = (int64_t)(units + part);
    return true;
}

static bool parse_share(struct text text, int64_t *out_number)
{
    if (ends_with(text, "%")) {
        text.size -= 1;
        return parse_decimal(text, 4, out_number);
    }
    return parse_decimal(text, 6, out_number);
}

static bool parse_choice(const char *const *choices, struct text text, int64_t *out_number)
{
    for (int64_t i = 0; choices[i] != NULL; i++) {
        if (text_equal(text, text_of(choices[i]))) {
            *out_number = i;
            return true;
        }
    }
    return false;
}

static bool parse_currency(struct text text, int64_t *out_number)
{
    struct currency currency = CURRENCY_NONE;
    if (!currency_find(text, &currency)) {
        return false;
    }
    *out_number = currency.index;
    return true;
}

static bool parse(const struct value_rule *rule, struct text text, int64_t *out_number)
{
    switch (rule->kind) {
    case VALUE_BOOL:
        return parse_bool(text, out_number);
    case VALUE_TEXT:
        return parse_text(text);
    case VALUE_OPTIONAL:
        return text.size == 0 || parse_text(text);
    case VALUE_COUNT:
        return parse_count(text, out_number);
    case VALUE_SIZE:
        return parse_size(text, out_number);
    case VALUE_DURATION:
        return text_parse_duration_us(text, out_number);
    case VALUE_SHARE:
        return parse_share(text, out_number);
    case VALUE_CHOICE:
        return parse_choice(rule->choices, text, out_number);
    case VALUE_CURRENCY:
        return parse_currency(text, out_number);
    }
    return false;
}

static bool has_bounds(enum value_kind kind)
{
    return kind == VALUE_COUNT || kind == VALUE_SIZE || kind == VALUE_DURATION ||
           kind == VALUE_SHARE;
}

enum value_result value_parse(const struct value_rule *rule, struct text text, int64_t *out_number)
{
    assert(rule->kind != VALUE_CHOICE || rule->choices != NULL);
    int64_t number = 0;
    if (!parse(rule, text, &number)) {
        return VALUE_MALFORMED;
    }
    if (has_bounds(rule->kind) && (number < rule->min || number > rule->max)) {
        return VALUE_OUT_OF_RANGE;
    }
    *out_number = number;
    return VALUE_OK;
}

void value_store(const struct value_rule *rule, void *field, const char *text, int64_t number)
{
    switch (rule->kind) {
    case VALUE_BOOL:
        *(bool *)field = number != 0;
        return;
    case VALUE_TEXT:
    case VALUE_OPTIONAL:
        *(const char **)field = text;
        return;
    case VALUE_COUNT:
    case VALUE_SIZE:
    case VALUE_DURATION:
        *(int64_t *)field = number;
        return;
    case VALUE_SHARE:
        *(uint32_t *)field = (uint32_t)number;
        return;
    case VALUE_CHOICE:
        *(unsigned *)field = (unsigned)number;
        return;
    case VALUE_CURRENCY:
        *(struct currency *)field = (struct currency){.index = (uint8_t)number};
        return;
    }
}

static void add_in_units(const struct unit *units, size_t count, int64_t number, struct buf *out)
{
    size_t i = 0;
    while (i + 1 < count && (number % units[i].factor != 0 || number == 0)) {
        i++;
    }
    buf_add_i64(out, number / units[i].factor);
    buf_add_str(out, units[i].name);
}

static void add_duration(int64_t us, struct buf *out)
{
    if (us == 0) {
        buf_add_str(out, "0s");
        return;
    }
    add_in_units(duration_units, COUNT_OF(duration_units), us, out);
}

static void add_share(int64_t ppm, struct buf *out)
{
    buf_add_i64(out, ppm / 10000);
    int64_t rest = ppm % 10000;
    if (rest != 0) {
        unsigned digits = 4;
        while (rest % 10 == 0) {
            rest /= 10;
            digits--;
        }
        buf_add_fmt(out, ".%0*lld", (int)digits, (long long)rest);
    }
    buf_add_char(out, '%');
}

static void add_number(enum value_kind kind, int64_t number, struct buf *out)
{
    assert(has_bounds(kind));
    if (kind == VALUE_SIZE) {
        add_in_units(size_units, COUNT_OF(size_units), number, out);
    } else if (kind == VALUE_DURATION) {
        add_duration(number, out);
    } else if (kind == VALUE_SHARE) {
        add_share(number, out);
    } else {
        buf_add_i64(out, number);
    }
}

void value_add_text(const struct value_rule *rule, const void *field, struct buf *out)
{
    switch (rule->kind) {
    case VALUE_BOOL:
        buf_add_str(out, *(const bool *)field ? "true" : "false");
        return;
    case VALUE_TEXT:
    case VALUE_OPTIONAL:
        buf_add_str(out, *(const char *const *)field);
        return;
    case VALUE_COUNT:
    case VALUE_SIZE:
    case VALUE_DURATION:
        add_number(rule->kind, *(const int64_t *)field, out);
        return;
    case VALUE_SHARE:
        add_share(*(const uint32_t *)field, out);
        return;
    case VALUE_CHOICE:
        buf_add_str(out, rule->choices[*(const unsigned *)field]);
        return;
    case VALUE_CURRENCY:
        buf_add_text(out, currency_code(*(const struct currency *)field));
        return;
    }
}

static void add_choices(const char *const *choices, const char *last_word, struct buf *out)
{
    for (size_t i = 0; choices[i] != NULL; i++) {
        if (i > 0) {
            buf_add_str(out, choices[i + 1] == NULL ? last_word : ", ");
        }
        buf_add_str(out, choices[i]);
    }
}

void value_add_kind(const struct value_rule *rule, struct buf *out)
{
    static const char *const names[] = {[VALUE_BOOL] = "true or false",
                                        [VALUE_TEXT] = "text",
                                        [VALUE_OPTIONAL] = "text or none",
                                        [VALUE_COUNT] = "count",
                                        [VALUE_SIZE] = "size",
                                        [VALUE_DURATION] = "duration",
                                        [VALUE_SHARE] = "share",
                                        [VALUE_CURRENCY] = "currency"};
    if (rule->kind == VALUE_CHOICE) {
        add_choices(rule->choices, " or ", out);
    } else {
        buf_add_str(out, names[rule->kind]);
    }
}

static void add_bounds(const struct value_rule *rule, struct buf *out)
{
    if (rule->max == INT64_MAX) {
        add_number(rule->kind, rule->min, out);
        buf_add_str(out, " or more");
        return;
    }
    buf_add_str(out, "from ");
    add_number(rule->kind, rule->min, out);
    buf_add_str(out, " to ");
    add_number(rule->kind, rule->max, out);
}

void value_add_expected(const struct value_rule *rule, enum value_result result, struct buf *out)
{
    static const char *const expected[] = {
        [VALUE_BOOL] = "true or false",
        [VALUE_TEXT] = "a text without control characters",
        [VALUE_OPTIONAL] = "a text without control characters",
        [VALUE_COUNT] = "a whole number",
        [VALUE_SIZE] = "a size such as 512KiB or 4MiB",
        [VALUE_DURATION] = "a duration such as 90s or 15m",
        [VALUE_SHARE] = "a share such as 5% or 0.05",
        [VALUE_CURRENCY] = "an ISO 4217 code such as USD",
    };
    static const char *const nouns[] = {
        [VALUE_COUNT] = "a whole number ",
        [VALUE_SIZE] = "a size ",
        [VALUE_DURATION] = "a duration ",
        [VALUE_SHARE] = "a share ",
    };
    assert(result != VALUE_OK);
    buf_add_str(out, "expected ");
    if (result == VALUE_OUT_OF_RANGE) {
        buf_add_str(out, nouns[rule->kind]);
        add_bounds(rule, out);
    } else if (rule->kind == VALUE_CHOICE) {
        add_choices(rule->choices, " or ", out);
    } else {
        buf_add_str(out, expected[rule->kind]);
    }
}

void value_add_complaint(const struct value_rule *rule, enum value_result result, struct text got,
                         struct buf *out)
{
    value_add_expected(rule, result, out);
    if (got.size == 0) {
        buf_add_str(out, ", got nothing");
        return;
    }
    buf_add_str(out, ", got \"");
    buf_add_escaped(out, got, 40);
    buf_add_char(out, '"');
}
