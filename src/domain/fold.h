// fold: from the set of one order's events to what is true of it. Pure; the order of arrival,
// duplicates and the way events were cut into batches make no difference. The rules are in
// docs/settlement.md.
#ifndef TILL_FOLD_H
#define TILL_FOLD_H

#include "errors.h"
#include "event.h"

#include <stddef.h>

#define FOLD_EVENTS_OF_KIND_MAX 1000 // payment events, order versions, notes: each

// Raised with every change of what fold() gives for the same set, so that what a later version wrote stands
// against what an earlier one still writes.
#define FOLD_EPOCH 1u

// X(name): how the money stands against the order's total
#define SETTLEMENT_TABLE(X)                                                                        \
    X(UNPAID)                                                                                      \
    X(PARTIAL)                                                                                     \
    X(PAID)                                                                                        \
    X(OVERPAID)                                                                                    \
    X(REFUNDED)                                                                                    \
    X(PART_REFUNDED)                                                                               \
    X(CHARGED_BACK)                                                                                \
    X(CANCELLED)                                                                                   \
    X(CANCELLED_PAID)
enum settlement {
#define X(name) SETTLEMENT_##name,
    SETTLEMENT_TABLE(X)
#undef X
        SETTLEMENT_COUNT
};

// X(name): the most serious thing to look at, in falling order after NONE
#define MATCH_ISSUE_TABLE(X)                                                                       \
    X(NONE)                                                                                        \
    X(CONFLICT)                                                                                    \
    X(CURRENCY)                                                                                    \
    X(ORPHAN_REFUND)                                                                               \
    X(OVER_REFUND)                                                                                 \
    X(CANCELLED_ORDER)                                                                             \
    X(OVERPAID)                                                                                    \
    X(UNDERPAID)
enum match_issue {
#define X(name) MATCH_ISSUE_##name,
    MATCH_ISSUE_TABLE(X)
#undef X
        MATCH_ISSUE_COUNT
};

struct text settlement_text(enum settlement settlement);
struct text match_issue_text(enum match_issue issue);
bool settlement_find(struct text text, enum settlement *out_settlement);
bool match_issue_find(struct text text, enum match_issue *out_issue);

// One payment as it stands: sums over its distinct events, in the order's currency. Without an
// order the sums are 0.
struct fact_payment {
    int64_t payment_id;
    const struct event *shown; // the event whose status, method and time are shown: highest status
                               // rank, then greatest event_id; of conflicting twins the counted one
    int64_t captured_minor;
    int64_t refunded_minor;
    int64_t charged_back_minor;
    uint32_t event_count; // rows of this payment, conflicting twins included
};

struct fact {
    int64_t order_id;
    const struct event *order; // the winning version; NULL when no order is known
    struct currency currency;  // the order's
    int64_t order_total_minor;
    int64_t amount_paid_minor;         // sum of captured
    int64_t amount_refunded_minor;     // sum of refunded; may exceed what was paid
    int64_t amount_charged_back_minor; // reversals taken off
    enum settlement settlement;
    enum match_issue match_issue;
    uint32_t n_events; // distinct business events: order contents and payment identities; no notes
    uint32_t
        n_rows; // rows of orders and payments; notes are left out, since nothing depends on them
    struct hash
        set_hash; // of those rows' identities and hashes; set only when rules->want_set_hash
    struct fact_payment *payments; // by payment_id
    size_t payment_count;
    const struct event **losers; // conflicting rows that are not counted, in event_compare order
    size_t loser_count;
};

struct fold_rules {
    const int64_t *tolerance_minor; // by currency index, currency_count() + 1 items; NULL: all 0
    bool want_set_hash;
};

// Memory for one fold; all three arrays have room for as many items as events are given. The fact
// points into it.
struct fold_space {
    const struct event **sorted;
    const struct event **losers;
    struct fact_payment *payments;
};

// Folds `count` rows of one order, in any order, the same row any number of times. Amounts of
// another currency than the order's are not added, only flagged. A sum that would not fit gives
// ERR_TOO_LARGE (the caps make that impossible for stored rows). No allocation.
MUST_USE enum err fold(const struct event *const *events, size_t count,
                       const struct fold_rules *rules, struct fold_space *space,
                       struct fact *out_fact);

#endif
