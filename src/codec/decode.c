// Tells orders and payments apart, for sources that mix them.
#include "decode.h"

#include "fields.h"
#include "json_read.h"

#include <string.h>

#define PAYMENT_KEY_PREFIX   "payment_"
#define ESCAPED_KEY_SIZE_MAX 256u // bytes; longer ones with escapes are nobody's key

static bool may_hold_payment_key(struct text body)
{
    return memmem(body.data, body.size, TEXT("\"" PAYMENT_KEY_PREFIX).data,
                  TEXT("\"" PAYMENT_KEY_PREFIX).size) != NULL ||
           memchr(body.data, '\\', body.size) != NULL;
}

static bool is_payment_key(const struct json_token *token)
{
    char meaning[ESCAPED_KEY_SIZE_MAX];
    struct text key = token->raw;
    if (token->has_escapes) {
        const size_t size = json_unescape(token->raw, meaning, sizeof(meaning));
        key = (struct text){meaning, size == SIZE_MAX ? 0 : size};
    }
    return text_starts_with(key, TEXT(PAYMENT_KEY_PREFIX));
}

static bool has_payment_key(struct text body)
{
    struct json_reader reader TILL_UNINITIALIZED;
    const struct json_limits limits = {MESSAGE_DEPTH_MAX, MESSAGE_KEYS_MAX};
    json_reader_init(&reader, body, limits);
    struct json_token token;
    unsigned depth = 0;
    for (;;) {
        const enum json_event event = json_next(&reader, &token);
        if (event == JSON_ERROR || event == JSON_END) {
            return false;
        }
        if (event == JSON_KEY && depth == 1 && is_payment_key(&token)) {
            return true;
        }
        depth += event == JSON_OBJECT_BEGIN || event == JSON_ARRAY_BEGIN;
        depth -= event == JSON_OBJECT_END || event == JSON_ARRAY_END;
    }
}

enum message_kind message_kind_guess(struct text body)
{
    const bool readable = body.size > 0 && body.size <= MESSAGE_SIZE_MAX;
    return readable && may_hold_payment_key(body) && has_payment_key(body) ? MESSAGE_PAYMENT
                                                                           : MESSAGE_ORDER;
}
