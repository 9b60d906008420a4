// Orders as JSON (docs/contract.md, "Order message").
#ifndef TILL_ORDER_JSON_H
#define TILL_ORDER_JSON_H

#include "buf.h"
#include "decode.h"
#include "errors.h"
#include "order.h"

// Reads one order. Texts without escapes point into `body`, others into `arena` (its overflow is the
// caller's to check: it can't happen with MESSAGE_SIZE_MAX bytes of room). Returns false with
// *out_refusal written when the message is refused; *out_order is written only on true.
MUST_USE bool order_decode(struct text body, const struct decode_rules *rules, struct arena *arena,
                           struct order *out_order, struct decode_remarks *out_remarks,
                           struct refusal *out_refusal);

// Writes the order in contract.md's key order, on one line without a newline; optional fields only
// when given. order_decode of the result gives the same order.
void order_encode(const struct order *order, struct buf *out);

#endif
