// A payment event as a producer states it, after all checks. Limits follow docs/contract.md.
#ifndef TILL_PAYMENT_H
#define TILL_PAYMENT_H

#include "currency.h"
#include "hash.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#define PAYMENT_METHOD_SIZE_MAX   64 // bytes, at least 1
#define PAYMENT_DATETIME_SIZE_MAX 64 // bytes, at least 1
#define PAYMENT_EVENT_ID_SIZE_MAX 64 // bytes, at least 1 when given
#define PAYMENT_LAST_FOUR_SIZE    4  // digits, or none

// X(name, text); the order is the rank that picks the status shown of several events
#define PAYMENT_STATUS_TABLE(X)                                                                    \
    X(PENDING, "Pending")                                                                          \
    X(FAILED, "Failed")                                                                            \
    X(COMPLETED, "Completed")                                                                      \
    X(REFUNDED, "Refunded")                                                                        \
    X(CHARGEBACK, "Chargeback")                                                                    \
    X(CHARGEBACK_REVERSED, "ChargebackReversed")

enum payment_status {
#define X(name, text) PAYMENT_STATUS_##name,
    PAYMENT_STATUS_TABLE(X)
#undef X
        PAYMENT_STATUS_COUNT
};

struct payment {
    int64_t payment_id;
    int64_t order_id;
    struct text method;
    struct text card_last_four; // 4 digits or empty
    enum payment_status status;
    struct text datetime; // as it came
    bool amount_given;
    int64_t amount_minor; // > 0 when given, else 0
    bool currency_given;
    struct currency currency; // the default one when an amount came without; NONE when neither came
    struct text event_id;     // empty when not given
};

struct text payment_status_text(enum payment_status status);
bool payment_status_find(struct text text, enum payment_status *out_status);

// Identity of the event among those of its payment: event_id if given, else the status text.
struct text payment_event_identity(const struct payment *payment);

// Content in canonical form: the known fields that are present, without event_id and defaults.
void payment_content_hash(const struct payment *payment, struct hash *out_hash);

#endif
