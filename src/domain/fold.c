// The fold, in four steps over one sorted set (docs/settlement.md has the rules):
//   1. rows are sorted by event_compare, repetitions dropped;
//   2. of the order's versions one wins;
//   3. every payment's events are summed, conflicting twins put aside;
//   4. the sums against the order's total give settlement and issue (settlement.h).
// Equal identities lie side by side once sorted, the smallest hash first, so a row that conflicts
// with the one before it is the loser.
#include "fold.h"

#include "fold_sort.h"
#include "money.h"
#include "settlement.h"

#include <assert.h>

// A fold under way.
struct folding {
    struct fact fact;
    struct settlement_flags flags;
    bool too_large; // a sum did not fit; sticky
};

// What a payment's counted events state, before reversals and limits.
struct payment_sums {
    int64_t captured_minor;
    int64_t refunded_minor;
    int64_t charged_back_minor;
    int64_t reversed_minor;
    bool refunded_in_full; // an event without an amount said so
    bool charged_back_in_full;
    bool reversed_in_full;
};

static void add(struct folding *folding, int64_t *sum_minor, int64_t amount_minor)
{
    folding->too_large |= !money_add(*sum_minor, amount_minor, sum_minor);
}

// Returns how many distinct rows there are.
static size_t sort_distinct(const struct event *const *events, size_t count,
                            const struct event **sorted)
{
    for (size_t i = 0; i < count; i++) {
        sorted[i] = events[i];
        assert(events[i]->order_id == events[0]->order_id);
    }
    fold_sort(sorted, count, event_compare);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || event_compare(sorted[kept - 1], sorted[i]) != 0) {
            sorted[kept++] = sorted[i];
        }
    }
    return kept;
}

static size_t end_of_kind(const struct event *const *rows, size_t start, size_t count,
                          enum event_kind kind)
{
    size_t end = start;
    while (end < count && rows[end]->kind == kind) {
        end++;
    }
    return end;
}

static bool loses_to_row_before(const struct event *const *rows, size_t i, size_t first)
{
    return i > first && event_conflicts(rows[i - 1], rows[i]);
}

static void add_loser(struct folding *folding, const struct event *row)
{
    folding->fact.losers[folding->fact.loser_count++] = row;
}

static int compare_content(const struct event *a, const struct event *b)
{
    return hash_compare(&a->hash, &b->hash);
}

// Versions of equal content count once. `scratch` has room for `count` rows.
static uint32_t count_contents(const struct event *const *orders, size_t count,
                               const struct event **scratch)
{
    for (size_t i = 0; i < count; i++) {
        scratch[i] = orders[i];
    }
    fold_sort(scratch, count, compare_content);
    uint32_t contents = count > 0;
    for (size_t i = 1; i < count; i++) {
        contents += compare_content(scratch[i - 1], scratch[i]) != 0;
    }
    return contents;
}

// The last of the sorted versions has the highest rank and, of equal implicit ranks, the highest
// status. Of the rows that differ from it by their hash alone, the first one wins.
static const struct event *winning_version(const struct event *const *orders, size_t count)
{
    if (count == 0) {
        return NULL;
    }
    size_t winner = count - 1;
    while (winner > 0 && orders[winner - 1]->version_rank == orders[winner]->version_rank &&
           (order_version_rank_is_explicit(orders[winner]->version_rank) ||
            orders[winner - 1]->order.status == orders[winner]->order.status)) {
        winner--;
    }
    return orders[winner];
}

static void fold_orders(struct folding *folding, const struct event *const *orders, size_t count)
{
    struct fact *fact = &folding->fact;
    fact->n_events = count_contents(orders, count, fact->losers);
    for (size_t i = 0; i < count; i++) {
        if (loses_to_row_before(orders, i, 0)) {
            add_loser(folding, orders[i]);
        }
    }
    fact->order = winning_version(orders, count);
    if (fact->order != NULL) {
        const struct order *order = &fact->order->order;
        fact->currency = order->currency;
        folding->too_large |=
            !money_multiply(order->price_minor, order->quantity, &fact->order_total_minor);
    }
}

static void add_or_mark_full(struct folding *folding, const struct payment *payment,
                             int64_t *sum_minor, bool *in_full)
{
    if (payment->amount_given) {
        add(folding, sum_minor, payment->amount_minor);
    } else {
        *in_full = true;
    }
}

static void add_event(struct folding *folding, struct payment_sums *sums,
                      const struct payment *payment)
{
    // Without currency and amount the event speaks in the order's currency.
    if (payment->currency.index != CURRENCY_NONE.index &&
        !currency_equal(payment->currency, folding->fact.currency)) {
        folding->flags.foreign_currency = true;
        return;
    }
    switch (payment->status) {
    case PAYMENT_STATUS_PENDING:
    case PAYMENT_STATUS_FAILED:
        break;
    case PAYMENT_STATUS_COMPLETED:
        add(folding, &sums->captured_minor,
            payment->amount_given ? payment->amount_minor : folding->fact.order_total_minor);
        break;
    case PAYMENT_STATUS_REFUNDED:
        add_or_mark_full(folding, payment, &sums->refunded_minor, &sums->refunded_in_full);
        break;
    case PAYMENT_STATUS_CHARGEBACK:
        add_or_mark_full(folding, payment, &sums->charged_back_minor, &sums->charged_back_in_full);
        break;
    case PAYMENT_STATUS_CHARGEBACK_REVERSED:
        add_or_mark_full(folding, payment, &sums->reversed_minor, &sums->reversed_in_full);
        break;
    case PAYMENT_STATUS_COUNT:
        assert(false);
    }
}

static int64_t at_least(int64_t minor, bool in_full, int64_t captured_minor)
{
    return in_full && captured_minor > minor ? captured_minor : minor;
}

static int64_t charged_back_after_reversals(const struct payment_sums *sums)
{
    int64_t before_minor =
        at_least(sums->charged_back_minor, sums->charged_back_in_full, sums->captured_minor);
    return sums->reversed_in_full || sums->reversed_minor >= before_minor
               ? 0
               : before_minor - sums->reversed_minor;
}

// Turns a payment's sums into its figures and adds them to the order's.
static void close_payment(struct folding *folding, const struct payment_sums *sums,
                          struct fact_payment *payment)
{
    struct fact *fact = &folding->fact;
    payment->captured_minor = sums->captured_minor;
    payment->refunded_minor =
        at_least(sums->refunded_minor, sums->refunded_in_full, sums->captured_minor);
    payment->charged_back_minor = charged_back_after_reversals(sums);
    add(folding, &fact->amount_paid_minor, payment->captured_minor);
    add(folding, &fact->amount_refunded_minor, payment->refunded_minor);
    add(folding, &fact->amount_charged_back_minor, payment->charged_back_minor);

    bool gave_back = payment->refunded_minor > 0 || payment->charged_back_minor > 0 ||
                     sums->refunded_in_full || sums->charged_back_in_full;
    if (payment->captured_minor == 0) {
        folding->flags.orphan_refund |= gave_back;
    } else {
        folding->flags.over_refund |=
            payment->refunded_minor > payment->captured_minor - payment->charged_back_minor;
    }
}

// Rows of one payment come by event_id, so of equal statuses the later row has the greater one.
static bool is_shown_rather(const struct event *row, const struct event *shown)
{
    return shown == NULL || row->payment.status >= shown->payment.status;
}

// Folds rows[0 ... count), all of one payment.
static void fold_payment(struct folding *folding, const struct event *const *rows, size_t count)
{
    struct fact *fact = &folding->fact;
    struct fact_payment *payment = &fact->payments[fact->payment_count++];
    *payment = (struct fact_payment){
        .payment_id = rows[0]->entity_id,
        .event_count = (uint32_t)count,
    };
    struct payment_sums sums = {0};
    for (size_t i = 0; i < count; i++) {
        if (loses_to_row_before(rows, i, 0)) {
            add_loser(folding, rows[i]);
            continue;
        }
        fact->n_events++;
        if (is_shown_rather(rows[i], payment->shown)) {
            payment->shown = rows[i];
        }
        if (fact->order != NULL) {
            add_event(folding, &sums, &rows[i]->payment);
        }
    }
    if (fact->order != NULL) {
        close_payment(folding, &sums, payment);
    }
}

static void fold_payments(struct folding *folding, const struct event *const *rows, size_t count)
{
    for (size_t start = 0; start < count;) {
        size_t end = start + 1;
        while (end < count && rows[end]->entity_id == rows[start]->entity_id) {
            end++;
        }
        fold_payment(folding, rows + start, end - start);
        start = end;
    }
}

static void hash_set(int64_t order_id, const struct event *const *rows, size_t count,
                     struct hash *out_hash)
{
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_add_u64(&hasher, (uint64_t)order_id);
    for (size_t i = 0; i < count; i++) {
        const struct event *row = rows[i];
        hasher_add_u64(&hasher, (uint64_t)row->kind | (uint64_t)row->event_id.size << 8);
        hasher_add_u64(&hasher, (uint64_t)row->entity_id);
        hasher_add_u64(&hasher, (uint64_t)row->version_rank);
        hasher_add(&hasher, row->hash.bytes, HASH_SIZE);
        hasher_add(&hasher, row->event_id.data, row->event_id.size);
    }
    hasher_final(&hasher, out_hash);
}

static int64_t tolerance_of(const struct fold_rules *rules, struct currency currency)
{
    int64_t minor = rules->tolerance_minor == NULL ? 0 : rules->tolerance_minor[currency.index];
    assert(minor >= 0);
    return minor;
}

enum err fold(const struct event *const *events, size_t count, const struct fold_rules *rules,
              struct fold_space *space, struct fact *out_fact)
{
    struct folding folding = {
        .fact = {.order_id = count > 0 ? events[0]->order_id : 0,
                 .losers = space->losers,
                 .payments = space->payments},
    };
    struct fact *fact = &folding.fact;
    const struct event *const *rows = space->sorted;
    size_t row_count = sort_distinct(events, count, space->sorted);
    size_t orders_end = end_of_kind(rows, 0, row_count, EVENT_ORDER);
    size_t payments_end = end_of_kind(rows, orders_end, row_count, EVENT_PAYMENT);
    fold_orders(&folding, rows, orders_end);
    if (payments_end > orders_end) {
        fold_payments(&folding, rows + orders_end, payments_end - orders_end);
    }
    if (folding.too_large) {
        return ERR_TOO_LARGE;
    }
    folding.flags.conflict = fact->loser_count > 0;
    settlement_decide(fact, &folding.flags, tolerance_of(rules, fact->currency));
    fact->n_rows = (uint32_t)payments_end;
    if (rules->want_set_hash) {
        hash_set(fact->order_id, rows, payments_end, &fact->set_hash);
    }
    *out_fact = *fact;
    return ERR_OK;
}
