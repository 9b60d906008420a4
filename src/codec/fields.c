// The readers of single fields. The walk that finds them is in fields_read.c.
#include "fields.h"

#include "money.h"

#include <assert.h>
#include <string.h>

#define ESCAPE_SIZE_MAX      6u  // raw bytes that one byte of meaning can take: \u0041
#define NUMBER_TEXT_SIZE_MAX 64u // bytes of a number given as text

bool fields_has_key(const struct fields *fields, unsigned index)
{
    return fields->events[index] != JSON_ERROR;
}

bool fields_given(const struct fields *fields, unsigned index)
{
    return !fields->refused && fields_has_key(fields, index) && fields->events[index] != JSON_NULL;
}

static bool integer_has_form(struct text raw)
{
    for (size_t i = raw.data[0] == '-'; i < raw.size; i++) {
        if (raw.data[i] < '0' || raw.data[i] > '9') {
            return false;
        }
    }
    return true;
}

// For the refusal: the value if it is a good identity, else 0.
static int64_t identity(const struct fields *fields, unsigned index)
{
    int64_t value = 0;
    const bool is_number = fields->events[index] == JSON_NUMBER;
    return is_number && text_parse_i64(fields->tokens[index].raw, &value) && value > 0 ? value : 0;
}

static void refuse(struct fields *fields, enum reason reason)
{
    fields->refused = true;
    fields->refusal->reason = reason;
    fields->refusal->order_id = identity(fields, fields->shape->order_id);
    fields->refusal->payment_id = identity(fields, fields->shape->payment_id);
}

static void add_zero(struct buf *detail)
{
    buf_add_char(detail, '\0');
    assert(!buf_overflowed(detail));
}

void fields_refuse_message(struct fields *fields, enum reason reason, const char *text)
{
    if (fields->refused) {
        return;
    }
    refuse(fields, reason);
    struct buf detail;
    buf_init_fixed(&detail, fields->refusal->detail, REFUSAL_DETAIL_SIZE);
    buf_add_str(&detail, text);
    add_zero(&detail);
}

void fields_refuse(struct fields *fields, unsigned index, enum reason reason, const char *expected)
{
    if (fields->refused) {
        return;
    }
    refuse(fields, reason);
    struct buf detail;
    buf_init_fixed(&detail, fields->refusal->detail, REFUSAL_DETAIL_SIZE);
    buf_add_text(&detail, fields->shape->specs[index].key);
    buf_add_str(&detail, reason == REASON_E_MISSING ? ": missing, expected " : ": expected ");
    buf_add_str(&detail, expected);
    add_zero(&detail);
}

static void refuse_as_specified(struct fields *fields, unsigned index, enum reason reason)
{
    fields_refuse(fields, index, reason, fields->shape->specs[index].expected);
}

// Whether the field can be read as `event`; refuses the message otherwise.
static bool require(struct fields *fields, unsigned index, enum json_event event)
{
    if (!fields->refused && fields->events[index] != event) {
        refuse_as_specified(fields, index,
                            fields_has_key(fields, index) ? REASON_E_TYPE : REASON_E_MISSING);
    }
    return !fields->refused;
}

int64_t fields_integer(struct fields *fields, unsigned index, int64_t min, int64_t max)
{
    if (!require(fields, index, JSON_NUMBER)) {
        return 0;
    }
    const struct text raw = fields->tokens[index].raw;
    int64_t value = 0;
    if (!integer_has_form(raw)) {
        refuse_as_specified(fields, index, REASON_E_TYPE);
    } else if (!text_parse_i64(raw, &value) || value < min || value > max) {
        refuse_as_specified(fields, index, REASON_E_RANGE);
        value = 0;
    }
    return value;
}

// The meaning of a text with escapes. A raw text this long is over size_max whatever it means, so
// the arena never has to hold more than a few KB.
static struct text unescape(struct fields *fields, unsigned index, size_t size_max,
                            enum reason size_reason)
{
    const struct text raw = fields->tokens[index].raw;
    if (raw.size > size_max * ESCAPE_SIZE_MAX) {
        refuse_as_specified(fields, index, size_reason);
        return TEXT("");
    }
    char *memory = arena_alloc(fields->arena, raw.size);
    if (memory == NULL) {
        fields_refuse_message(fields, REASON_E_SIZE, "no room left to read the texts");
        return TEXT("");
    }
    const struct text text = {memory, json_unescape(raw, memory, raw.size)};
    assert(text.size <= raw.size);
    if (memchr(text.data, '\0', text.size) != NULL) {
        fields_refuse(fields, index, REASON_E_FORMAT, "text without a zero byte");
        return TEXT("");
    }
    return text;
}

struct text fields_text(struct fields *fields, unsigned index, size_t size_min, size_t size_max,
                        enum reason size_reason)
{
    if (!require(fields, index, JSON_STRING)) {
        return TEXT("");
    }
    const struct json_token *token = &fields->tokens[index];
    const struct text text =
        token->has_escapes ? unescape(fields, index, size_max, size_reason) : token->raw;
    if (!fields->refused && (text.size < size_min || text.size > size_max)) {
        refuse_as_specified(fields, index, size_reason);
    }
    return fields->refused ? TEXT("") : text;
}

struct currency fields_currency(struct fields *fields, unsigned index)
{
    const struct text code = fields_text(fields, index, 3, 3, REASON_E_CURRENCY);
    struct currency currency = CURRENCY_NONE;
    if (!fields->refused && !currency_find(code, &currency)) {
        refuse_as_specified(fields, index, REASON_E_CURRENCY);
    }
    return currency;
}

static void refuse_precision(struct fields *fields, unsigned index, unsigned digits)
{
    static const char *const expected[] = {
        "a decimal without digits after the point",
        "a decimal of at most 1 digit after the point",
        "a decimal of at most 2 digits after the point",
        "a decimal of at most 3 digits after the point",
        "a decimal of at most 4 digits after the point",
    };
    assert(digits < sizeof(expected) / sizeof(expected[0]));
    fields_refuse(fields, index, REASON_E_RANGE, expected[digits]);
}

static struct text number_text(struct fields *fields, unsigned index)
{
    if (fields->events[index] == JSON_STRING) {
        return fields_text(fields, index, 1, NUMBER_TEXT_SIZE_MAX, REASON_E_TYPE);
    }
    return require(fields, index, JSON_NUMBER) ? fields->tokens[index].raw : TEXT("");
}

int64_t fields_money(struct fields *fields, unsigned index, struct currency currency,
                     int64_t minor_min, bool lenient, bool *out_rounded)
{
    const struct text number = number_text(fields, index);
    if (fields->refused) {
        return 0;
    }
    const bool may_round = lenient && fields->events[index] == JSON_NUMBER;
    const unsigned digits = currency_exponent(currency);
    int64_t minor = -1;
    switch (money_parse(number, digits, may_round, &minor)) {
    case MONEY_ROUNDED:
        *out_rounded = true;
        break;
    case MONEY_EXACT:
        break;
    case MONEY_NOT_A_NUMBER:
        refuse_as_specified(fields, index, REASON_E_TYPE);
        return 0;
    case MONEY_TOO_PRECISE:
        refuse_precision(fields, index, digits);
        return 0;
    case MONEY_OUT_OF_RANGE:
    case MONEY_NEGATIVE:
        break;
    }
    if (minor < minor_min || minor > MONEY_PRICE_MINOR_MAX) {
        refuse_as_specified(fields, index, REASON_E_RANGE);
        return 0;
    }
    return minor;
}
