// Payments as JSON (docs/contract.md, "Payment message").
#ifndef TILL_PAYMENT_JSON_H
#define TILL_PAYMENT_JSON_H

#include "buf.h"
#include "decode.h"
#include "errors.h"
#include "payment.h"

// As order_decode, for one payment event.
MUST_USE bool payment_decode(struct text body, const struct decode_rules *rules,
                             struct arena *arena, struct payment *out_payment,
                             struct decode_remarks *out_remarks, struct refusal *out_refusal);

// As order_encode.
void payment_encode(const struct payment *payment, struct buf *out);

#endif
