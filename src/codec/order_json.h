// Orders as JSON (docs/contract.md, "Order message").
#ifndef TILL_ORDER_JSON_H
#define TILL_ORDER_JSON_H

#include "buf.h"
#include "decode.h"
#include "errors.h"
#include "order.h"

// Reads one order. Texts without escapes point into `body`, others into `arena`: 8 KB of room are
// always enough, and without it the order is refused with E_SIZE and arena_overflowed() says why.
// Returns false with *out_refusal written when the message is refused; *out_order and *out_remarks
// are written only on true. Pure but for the arena; safe from any thread with an arena of its own.
MUST_USE bool order_decode(struct text body, const struct decode_rules *rules, struct arena *arena,
                           struct order *out_order, struct decode_remarks *out_remarks,
                           struct refusal *out_refusal);

// Writes the order in contract.md's key order, on one line without a newline; optional fields only
// when given. order_decode of the result gives the same order.
void order_encode(const struct order *order, struct buf *out);

#endif
