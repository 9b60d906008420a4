// The last step of the fold: what the sums say about an order. Internal to src/domain; the names of
// settlements and issues are fold.h's.
#ifndef TILL_SETTLEMENT_H
#define TILL_SETTLEMENT_H

#include "fold.h"

#include <stdbool.h>
#include <stdint.h>

// What the events of single payments showed, beside their sums.
struct settlement_flags {
    bool conflict;         // a row is not counted
    bool foreign_currency; // an event states another currency than the order's
    bool orphan_refund;    // a payment gave money back that it never captured
    bool over_refund;      // a payment gave back more than it captured
};

// Sets settlement and match_issue from the order, the sums and the flags. tolerance_minor >= 0.
void settlement_decide(struct fact *fact, const struct settlement_flags *flags,
                       int64_t tolerance_minor);

#endif
