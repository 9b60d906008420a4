// Settlement and issue of an order, in the order of docs/settlement.md: the first rule that holds
// decides. All sums are at least 0, so their differences fit.
#include "settlement.h"

#include <assert.h>
#include <stddef.h>

static const struct text settlement_texts[SETTLEMENT_COUNT] = {
#define X(name) [SETTLEMENT_##name] = {#name, sizeof(#name) - 1},
    SETTLEMENT_TABLE(X)
#undef X
};

static const struct text issue_texts[MATCH_ISSUE_COUNT] = {
#define X(name) [MATCH_ISSUE_##name] = {#name, sizeof(#name) - 1},
    MATCH_ISSUE_TABLE(X)
#undef X
};

struct text settlement_text(enum settlement settlement)
{
    assert((unsigned)settlement < SETTLEMENT_COUNT);
    return settlement_texts[settlement];
}

struct text match_issue_text(enum match_issue issue)
{
    assert((unsigned)issue < MATCH_ISSUE_COUNT);
    return issue_texts[issue];
}

// The index of `text`, or `count` when it is not there.
static size_t find(struct text text, const struct text *texts, size_t count)
{
    size_t i = 0;
    while (i < count && !text_equal(text, texts[i])) {
        i++;
    }
    return i;
}

bool settlement_find(struct text text, enum settlement *out_settlement)
{
    size_t found = find(text, settlement_texts, SETTLEMENT_COUNT);
    if (found == SETTLEMENT_COUNT) {
        return false;
    }
    *out_settlement = (enum settlement)found;
    return true;
}

bool match_issue_find(struct text text, enum match_issue *out_issue)
{
    size_t found = find(text, issue_texts, MATCH_ISSUE_COUNT);
    if (found == MATCH_ISSUE_COUNT) {
        return false;
    }
    *out_issue = (enum match_issue)found;
    return true;
}

static bool is_cancelled(const struct fact *fact)
{
    return fact->order->order.status == ORDER_STATUS_CANCELLED;
}

// paid - refunded - charged back > 0, without the sum that could pass the lower end of int64_t.
static bool money_is_held(const struct fact *fact)
{
    return fact->amount_paid_minor - fact->amount_refunded_minor > fact->amount_charged_back_minor;
}

static enum settlement settle(const struct fact *fact, int64_t tolerance_minor)
{
    int64_t paid_minor = fact->amount_paid_minor;
    int64_t over_minor = paid_minor - fact->order_total_minor;
    if (is_cancelled(fact)) {
        return money_is_held(fact) ? SETTLEMENT_CANCELLED_PAID : SETTLEMENT_CANCELLED;
    }
    if (fact->amount_charged_back_minor > 0) {
        return SETTLEMENT_CHARGED_BACK;
    }
    if (paid_minor == 0) {
        return fact->order_total_minor == 0 ? SETTLEMENT_PAID : SETTLEMENT_UNPAID;
    }
    if (fact->amount_refunded_minor > 0) {
        return fact->amount_refunded_minor >= paid_minor ? SETTLEMENT_REFUNDED
                                                         : SETTLEMENT_PART_REFUNDED;
    }
    if (over_minor > tolerance_minor) {
        return SETTLEMENT_OVERPAID;
    }
    return over_minor < -tolerance_minor ? SETTLEMENT_PARTIAL : SETTLEMENT_PAID;
}

static enum match_issue find_issue(const struct fact *fact, const struct settlement_flags *flags,
                                   int64_t tolerance_minor)
{
    int64_t over_minor = fact->amount_paid_minor - fact->order_total_minor;
    if (flags->conflict) {
        return MATCH_ISSUE_CONFLICT;
    }
    if (flags->foreign_currency) {
        return MATCH_ISSUE_CURRENCY;
    }
    if (flags->orphan_refund) {
        return MATCH_ISSUE_ORPHAN_REFUND;
    }
    if (flags->over_refund) {
        return MATCH_ISSUE_OVER_REFUND;
    }
    if (is_cancelled(fact) && money_is_held(fact)) {
        return MATCH_ISSUE_CANCELLED_ORDER;
    }
    if (over_minor > tolerance_minor) {
        return MATCH_ISSUE_OVERPAID;
    }
    return fact->amount_paid_minor > 0 && over_minor < -tolerance_minor ? MATCH_ISSUE_UNDERPAID
                                                                        : MATCH_ISSUE_NONE;
}

void settlement_decide(struct fact *fact, const struct settlement_flags *flags,
                       int64_t tolerance_minor)
{
    if (fact->order == NULL) {
        fact->settlement = SETTLEMENT_UNPAID;
        fact->match_issue = flags->conflict ? MATCH_ISSUE_CONFLICT : MATCH_ISSUE_NONE;
        return;
    }
    fact->settlement = settle(fact, tolerance_minor);
    fact->match_issue = find_issue(fact, flags, tolerance_minor);
}
