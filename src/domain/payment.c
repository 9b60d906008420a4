// Payment events: status table, identity, and the hash that names an event's content.
#include "payment.h"

#include <assert.h>
#include <stddef.h>

#define PAYMENT_HASH_TAG UINT64_C(0x31746e656d796170) // "payment1"

static const struct text status_texts[PAYMENT_STATUS_COUNT] = {
#define X(name, text) [PAYMENT_STATUS_##name] = {text, sizeof(text) - 1},
    PAYMENT_STATUS_TABLE(X)
#undef X
};

struct text payment_status_text(enum payment_status status)
{
    assert((unsigned)status < PAYMENT_STATUS_COUNT);
    return status_texts[status];
}

bool payment_status_find(struct text text, enum payment_status *out_status)
{
    for (size_t i = 0; i < PAYMENT_STATUS_COUNT; i++) {
        if (text_equal(text, status_texts[i])) {
            *out_status = (enum payment_status)i;
            return true;
        }
    }
    return false;
}

struct text payment_event_identity(const struct payment *payment)
{
    return payment->event_id.size > 0 ? payment->event_id : payment_status_text(payment->status);
}

// Laid out as in order_content_hash. An amount is above zero when given, so 0 says that it is not.
void payment_content_hash(const struct payment *payment, struct hash *out_hash)
{
    struct text status = payment_status_text(payment->status);
    struct text currency = payment->currency_given ? currency_code(payment->currency) : TEXT("");
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_add_u64(&hasher, PAYMENT_HASH_TAG);
    hasher_add_u64(&hasher, (uint64_t)payment->payment_id);
    hasher_add_u64(&hasher, (uint64_t)payment->order_id);
    hasher_add_u64(&hasher, payment->amount_given ? (uint64_t)payment->amount_minor : 0);
    hasher_add_u64(&hasher, payment->method.size | payment->card_last_four.size << 16 |
                                payment->datetime.size << 32 | status.size << 48 |
                                currency.size << 56);
    hasher_add(&hasher, payment->method.data, payment->method.size);
    hasher_add(&hasher, payment->card_last_four.data, payment->card_last_four.size);
    hasher_add(&hasher, payment->datetime.data, payment->datetime.size);
    hasher_add(&hasher, status.data, status.size);
    hasher_add(&hasher, currency.data, currency.size);
    hasher_final(&hasher, out_hash);
}
