#include "fold_naive.h"

#include <assert.h>
#include <string.h>

// Sums here are wide enough for anything; whether they fit is asked once, where the rules say so.
typedef __int128 wide;

struct rows {
    const struct event *at[NAIVE_ROWS_MAX];
    bool lost[NAIVE_ROWS_MAX]; // put aside for another row of the same identity
    size_t count;
};

static bool same_text(struct text a, struct text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool same_hash(const struct event *a, const struct event *b)
{
    return memcmp(a->hash.bytes, b->hash.bytes, HASH_SIZE) == 0;
}

static bool smaller_hash(const struct event *a, const struct event *b)
{
    return memcmp(a->hash.bytes, b->hash.bytes, HASH_SIZE) < 0;
}

static int64_t rank_of_implicit(const struct event *order)
{
    return order->published_us;
}

static bool same_identity(const struct event *a, const struct event *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    if (a->kind == EVENT_ORDER) {
        return a->order.version_given == b->order.version_given &&
               (a->order.version_given ? a->order.version == b->order.version
                                       : rank_of_implicit(a) == rank_of_implicit(b));
    }
    return a->entity_id == b->entity_id && same_text(a->event_id, b->event_id);
}

static void drop_repetitions(const struct event *const *events, size_t count, struct rows *rows)
{
    rows->count = 0;
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        for (size_t j = 0; j < rows->count; j++) {
            seen |= same_hash(rows->at[j], events[i]) && same_identity(rows->at[j], events[i]);
        }
        if (!seen) {
            assert(rows->count < NAIVE_ROWS_MAX);
            rows->at[rows->count++] = events[i];
        }
    }
}

// Rules 2, 3 and 4.
static bool is_loser(const struct rows *rows, const struct event *row)
{
    if (row->kind == EVENT_NOTE || (row->kind == EVENT_ORDER && !row->order.version_given)) {
        return false;
    }
    for (size_t i = 0; i < rows->count; i++) {
        if (smaller_hash(rows->at[i], row) && same_identity(rows->at[i], row)) {
            return true;
        }
    }
    return false;
}

// Rule 2.
static bool outranks(const struct event *a, const struct event *b)
{
    if (a->order.version_given != b->order.version_given) {
        return a->order.version_given;
    }
    if (a->order.version_given && a->order.version != b->order.version) {
        return a->order.version > b->order.version;
    }
    if (!a->order.version_given && rank_of_implicit(a) != rank_of_implicit(b)) {
        return rank_of_implicit(a) > rank_of_implicit(b);
    }
    if (!a->order.version_given && a->order.status != b->order.status) {
        return a->order.status > b->order.status;
    }
    return smaller_hash(a, b);
}

static const struct event *winner(const struct rows *rows)
{
    const struct event *best = NULL;
    for (size_t i = 0; i < rows->count; i++) {
        const struct event *row = rows->at[i];
        if (row->kind == EVENT_ORDER && (best == NULL || outranks(row, best))) {
            best = row;
        }
    }
    return best;
}

// Rule 5.
static uint32_t count_events(const struct rows *rows)
{
    uint32_t count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        bool seen = false;
        for (size_t j = 0; j < i; j++) {
            const struct event *a = rows->at[j];
            const struct event *b = rows->at[i];
            seen |= a->kind == b->kind &&
                    (a->kind == EVENT_ORDER ? same_hash(a, b) : same_identity(a, b));
        }
        count += !seen && rows->at[i]->kind != EVENT_NOTE;
    }
    return count;
}

static uint32_t count_business_rows(const struct rows *rows)
{
    uint32_t count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        count += rows->at[i]->kind != EVENT_NOTE;
    }
    return count;
}

static bool is_counted_event_of(const struct rows *rows, size_t i, int64_t payment_id)
{
    return rows->at[i]->kind == EVENT_PAYMENT && rows->at[i]->entity_id == payment_id &&
           !rows->lost[i];
}

static bool is_foreign(const struct event *row, struct currency currency)
{
    bool states = row->payment.currency_given || row->payment.amount_given;
    return states && row->payment.currency.index != currency.index;
}

static const struct event *shown(const struct rows *rows, int64_t payment_id)
{
    const struct event *best = NULL;
    for (size_t i = 0; i < rows->count; i++) {
        if (!is_counted_event_of(rows, i, payment_id)) {
            continue;
        }
        const struct event *row = rows->at[i];
        if (best == NULL || row->payment.status > best->payment.status ||
            (row->payment.status == best->payment.status &&
             text_compare(row->event_id, best->event_id) > 0)) {
            best = row;
        }
    }
    return best;
}

// Sum of the amounts of a payment's events of one status; *absent counts those without.
static wide sum_of(const struct rows *rows, int64_t payment_id, enum payment_status status,
                   struct currency currency, size_t *absent)
{
    wide sum = 0;
    *absent = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const struct payment *payment = &rows->at[i]->payment;
        if (is_counted_event_of(rows, i, payment_id) && payment->status == status &&
            !is_foreign(rows->at[i], currency)) {
            sum += payment->amount_minor;
            *absent += !payment->amount_given;
        }
    }
    return sum;
}

static int64_t narrow(struct naive_fact *naive, wide sum)
{
    naive->too_large |= sum > INT64_MAX;
    return (int64_t)sum;
}

struct flags {
    bool foreign;
    bool orphan;
    bool over;
};

// The table "What a payment moves".
static void work_out_payment(struct naive_fact *naive, const struct rows *rows,
                             struct fact_payment *payment, struct flags *flags)
{
    const struct fact *fact = &naive->fact;
    int64_t id = payment->payment_id;
    size_t no_amount;
    wide captured = sum_of(rows, id, PAYMENT_STATUS_COMPLETED, fact->currency, &no_amount);
    captured += (wide)no_amount * fact->order_total_minor;

    size_t full_refunds;
    wide refunded = sum_of(rows, id, PAYMENT_STATUS_REFUNDED, fact->currency, &full_refunds);
    (void)narrow(naive, refunded);
    if (full_refunds > 0 && refunded < captured) {
        refunded = captured;
    }

    size_t full_chargebacks;
    wide back = sum_of(rows, id, PAYMENT_STATUS_CHARGEBACK, fact->currency, &full_chargebacks);
    (void)narrow(naive, back);
    if (full_chargebacks > 0 && back < captured) {
        back = captured;
    }
    size_t full_reversals;
    wide reversed =
        sum_of(rows, id, PAYMENT_STATUS_CHARGEBACK_REVERSED, fact->currency, &full_reversals);
    (void)narrow(naive, reversed);
    back -= reversed;
    if (full_reversals > 0 || back < 0) {
        back = 0;
    }

    payment->captured_minor = narrow(naive, captured);
    payment->refunded_minor = narrow(naive, refunded);
    payment->charged_back_minor = narrow(naive, back);
    flags->orphan |=
        captured == 0 && (refunded > 0 || back > 0 || full_refunds > 0 || full_chargebacks > 0);
    flags->over |= captured > 0 && refunded + back > captured;
}

// Smallest payment id above `after`; false when there is none.
static bool next_payment_id(const struct rows *rows, int64_t after, int64_t *out_id)
{
    bool found = false;
    for (size_t i = 0; i < rows->count; i++) {
        int64_t id = rows->at[i]->entity_id;
        if (rows->at[i]->kind == EVENT_PAYMENT && id > after && (!found || id < *out_id)) {
            *out_id = id;
            found = true;
        }
    }
    return found;
}

static void list_payments(struct naive_fact *naive, const struct rows *rows, struct flags *flags)
{
    struct fact *fact = &naive->fact;
    wide paid = 0;
    wide refunded = 0;
    wide charged_back = 0;
    for (int64_t id = 0; next_payment_id(rows, id, &id);) {
        struct fact_payment *payment = &naive->payments[fact->payment_count++];
        *payment = (struct fact_payment){.payment_id = id, .shown = shown(rows, id)};
        for (size_t i = 0; i < rows->count; i++) {
            payment->event_count +=
                rows->at[i]->kind == EVENT_PAYMENT && rows->at[i]->entity_id == id;
            flags->foreign |=
                is_counted_event_of(rows, i, id) && is_foreign(rows->at[i], fact->currency);
        }
        if (fact->order != NULL) {
            work_out_payment(naive, rows, payment, flags);
        }
        paid += payment->captured_minor;
        refunded += payment->refunded_minor;
        charged_back += payment->charged_back_minor;
    }
    fact->amount_paid_minor = narrow(naive, paid);
    fact->amount_refunded_minor = narrow(naive, refunded);
    fact->amount_charged_back_minor = narrow(naive, charged_back);
}

// The table "Settlement".
static enum settlement settlement_of(const struct fact *fact, wide tolerance)
{
    wide total = fact->order_total_minor;
    wide paid = fact->amount_paid_minor;
    wide refunded = fact->amount_refunded_minor;
    wide charged_back = fact->amount_charged_back_minor;
    bool cancelled = fact->order->order.status == ORDER_STATUS_CANCELLED;
    struct {
        bool holds;
        enum settlement settlement;
    } lines[] = {
        {cancelled && paid - refunded - charged_back > 0, SETTLEMENT_CANCELLED_PAID},
        {cancelled, SETTLEMENT_CANCELLED},
        {charged_back > 0, SETTLEMENT_CHARGED_BACK},
        {paid == 0 && total == 0, SETTLEMENT_PAID},
        {paid == 0, SETTLEMENT_UNPAID},
        {refunded >= paid, SETTLEMENT_REFUNDED},
        {refunded > 0, SETTLEMENT_PART_REFUNDED},
        {paid >= total - tolerance && paid <= total + tolerance, SETTLEMENT_PAID},
        {paid < total, SETTLEMENT_PARTIAL},
        {true, SETTLEMENT_OVERPAID},
    };
    size_t line = 0;
    while (!lines[line].holds) {
        line++;
    }
    return lines[line].settlement;
}

// The table "Issue".
static enum match_issue issue_of(const struct fact *fact, const struct flags *flags, wide tolerance)
{
    wide total = fact->order_total_minor;
    wide paid = fact->amount_paid_minor;
    wide net = paid - fact->amount_refunded_minor - fact->amount_charged_back_minor;
    struct {
        bool holds;
        enum match_issue issue;
    } lines[] = {
        {fact->loser_count > 0, MATCH_ISSUE_CONFLICT},
        {flags->foreign, MATCH_ISSUE_CURRENCY},
        {flags->orphan, MATCH_ISSUE_ORPHAN_REFUND},
        {flags->over, MATCH_ISSUE_OVER_REFUND},
        {fact->order->order.status == ORDER_STATUS_CANCELLED && net > 0,
         MATCH_ISSUE_CANCELLED_ORDER},
        {paid > total + tolerance, MATCH_ISSUE_OVERPAID},
        {paid > 0 && paid < total - tolerance, MATCH_ISSUE_UNDERPAID},
        {true, MATCH_ISSUE_NONE},
    };
    size_t line = 0;
    while (!lines[line].holds) {
        line++;
    }
    return lines[line].issue;
}

void fold_naive(const struct event *const *events, size_t count, const int64_t *tolerance_minor,
                struct naive_fact *out_naive)
{
    static struct rows rows;
    struct fact *fact = &out_naive->fact;
    struct flags flags = {0};
    drop_repetitions(events, count, &rows);
    out_naive->too_large = false;
    *fact = (struct fact){
        .order_id = count > 0 ? events[0]->order_id : 0,
        .order = winner(&rows),
        .n_events = count_events(&rows),
        .n_rows = count_business_rows(&rows),
        .payments = out_naive->payments,
        .losers = out_naive->losers,
    };
    for (size_t i = 0; i < rows.count; i++) {
        rows.lost[i] = is_loser(&rows, rows.at[i]);
        if (rows.lost[i]) {
            fact->losers[fact->loser_count++] = rows.at[i];
        }
    }
    if (fact->order != NULL) {
        const struct order *order = &fact->order->order;
        fact->currency = order->currency;
        fact->order_total_minor = narrow(out_naive, (wide)order->price_minor * order->quantity);
    }
    list_payments(out_naive, &rows, &flags);
    if (fact->order == NULL) {
        fact->settlement = SETTLEMENT_UNPAID;
        fact->match_issue = fact->loser_count > 0 ? MATCH_ISSUE_CONFLICT : MATCH_ISSUE_NONE;
        return;
    }
    wide tolerance = tolerance_minor == NULL ? 0 : tolerance_minor[fact->currency.index];
    fact->settlement = settlement_of(fact, tolerance);
    fact->match_issue = issue_of(fact, &flags, tolerance);
}
