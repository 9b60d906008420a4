// What must hold once everything is quiet: every message has its place, money adds up, and the facts are
// the naive fold of what was published, whichever majority of the replicas is asked.
#include "checker_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Sums of money in one currency, and the first order in which the two sides differ.
struct sums {
    __int128 published[4];
    __int128 stored[4];
    int64_t order_id; // 0: none
};

static const char *const sum_names[] = {"order totals", "paid", "refunded", "charged back"};
#define SUM_COUNT (sizeof(sum_names) / sizeof(sum_names[0]))

struct finish {
    struct checker *checker;
    unsigned view;
    struct sums sums[UINT8_MAX + 1]; // by currency index
    uint64_t rows;                   // business events stored in this view
    uint64_t missing;                // that need not be stored, and are not
};

static const char *replicas_of(const struct finish *finish)
{
    return checker_replicas(finish->checker->views[finish->view]);
}

// --- columns ------------------------------------------------------------------------------------

struct column {
    const char *name;
    int64_t is;
    int64_t must;
};

static const char *first_difference(const struct column *columns, size_t count, char memory[160])
{
    for (size_t i = 0; i < count; i++) {
        if (columns[i].is != columns[i].must) {
            (void)snprintf(memory, 160, "%s is %" PRId64 ", must be %" PRId64, columns[i].name,
                           columns[i].is, columns[i].must);
            return memory;
        }
    }
    return NULL;
}

static const char *compare_payment(const struct sim_fact_payment *is,
                                   const struct fact_payment *must, char memory[160])
{
    const struct column columns[] = {
        {"payment_id", is->payment_id, must->payment_id},
        {"captured", is->captured_minor, must->captured_minor},
        {"refunded", is->refunded_minor, must->refunded_minor},
        {"charged back", is->charged_back_minor, must->charged_back_minor},
        {"shown status", is->shown_status, (int64_t)must->shown->payment.status},
        {"shown event differs by", text_compare(is->shown_event_id, must->shown->event_id), 0},
    };
    char what[160];
    const char *differs = first_difference(columns, sizeof(columns) / sizeof(columns[0]), what);
    if (differs != NULL) {
        (void)snprintf(memory, 160, "payment %" PRId64 ": %.110s", must->payment_id, differs);
        return memory;
    }
    return NULL;
}

const char *checker_compare_fact(const struct sim_fact *fact, const struct fact *expected,
                                 bool settled, char memory[160])
{
    const struct column rated[] = {
        {"settlement", fact->settlement, (int64_t)expected->settlement},
        {"match_issue", fact->match_issue, (int64_t)expected->match_issue},
    };
    const struct column columns[] = {
        {"a fact with an order", fact->exists && fact->has_order, expected->order != NULL},
        {"version rank", fact->version_rank, expected->order->version_rank},
        {"hash of the order differs by",
         hash_compare(&fact->order_hash, &expected->order->hash) != 0, 0},
        {"currency", fact->currency_index, expected->currency.index},
        {"order_total", fact->order_total_minor, expected->order_total_minor},
        {"amount_paid", fact->amount_paid_minor, expected->amount_paid_minor},
        {"amount_refunded", fact->amount_refunded_minor, expected->amount_refunded_minor},
        {"amount_charged_back", fact->amount_charged_back_minor,
         expected->amount_charged_back_minor},
        {"n_events", fact->n_events, expected->n_events},
        {"number of payments", (int64_t)fact->payment_count, (int64_t)expected->payment_count},
    };
    const char *differs = first_difference(columns, sizeof(columns) / sizeof(columns[0]), memory);
    for (size_t i = 0; differs == NULL && i < expected->payment_count; i++) {
        differs = compare_payment(&fact->payments[i], &expected->payments[i], memory);
    }
    if (differs == NULL && settled) {
        differs = first_difference(rated, sizeof(rated) / sizeof(rated[0]), memory);
    }
    return differs;
}

// --- rows ---------------------------------------------------------------------------------------

static void check_note(struct finish *finish, const struct event *note)
{
    struct checker *checker = finish->checker;
    bool known =
        expected_has_payment(checker->expected, note->order_id, note->entity_id, note->note.about);
    char text[160];
    if (!checker_ask(checker, known)) {
        checker_fail(checker, CHECK_I8_note_has_payment,
                     "%s: speaks of no payment event that was published (replicas %s)",
                     checker_event_text(note, text), replicas_of(finish));
    }
}

static void check_row(struct finish *finish, const struct event *row)
{
    struct checker *checker = finish->checker;
    if (row->kind == EVENT_NOTE) {
        check_note(finish, row);
        return;
    }
    finish->rows++;
    struct expected_event *event = expected_event(checker->expected, row);
    char text[160];
    if (checker_ask(checker, event != NULL)) {
        event->seen |= 1u << finish->view;
    } else {
        checker_fail(checker, CHECK_I8_row_is_published,
                     "%s: is stored (replicas %s), and nobody published it",
                     checker_event_text(row, text), replicas_of(finish));
    }
}

static bool is_repeated(const struct event *event, const struct event *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (expected_repeats(event, rows[i])) {
            return true;
        }
    }
    return false;
}

static void check_event(struct finish *finish, const struct expected_event *event,
                        const struct event *const *rows, size_t count)
{
    struct checker *checker = finish->checker;
    bool stored = (event->seen & 1u << finish->view) != 0;
    finish->missing += !stored;
    bool accounted =
        stored || !expected_is_sure(event) ||
        (checker->options.shape == STORE_EMBEDDED && is_repeated(&event->event, rows, count));
    char text[160];
    if (!checker_ask(checker, accounted)) {
        checker_fail(checker, CHECK_I1_every_event_stored,
                     "%s: %u messages, %u of them acked, and it is not stored (replicas %s)",
                     checker_event_text(&event->event, text), event->message_count,
                     event->acked_count, replicas_of(finish));
    }
}

// --- facts --------------------------------------------------------------------------------------

static bool is_version(const struct expected_order *order, const struct hash *hash)
{
    for (size_t i = 0; i < order->count; i++) {
        const struct event *event = &order->events[i]->event;
        if (event->kind == EVENT_ORDER && hash_equal(&event->hash, hash)) {
            return true;
        }
    }
    return false;
}

// Whatever the figures: the order and the payments in a fact are ones that somebody published. Both lists
// are by payment id.
static void check_published(struct finish *finish, const struct expected_order *order,
                            const struct sim_fact *fact, const struct fact *fold)
{
    struct checker *checker = finish->checker;
    if (!checker_ask(checker, !fact->has_order || is_version(order, &fact->order_hash))) {
        checker_fail(checker, CHECK_I8_fact_is_published,
                     "order %" PRId64 ": nobody published the version in its fact (replicas %s)",
                     order->order_id, replicas_of(finish));
    }
    size_t at = 0;
    for (size_t i = 0; i < fact->payment_count; i++) {
        int64_t id = fact->payments[i].payment_id;
        while (at < fold->payment_count && fold->payments[at].payment_id < id) {
            at++;
        }
        bool known = at < fold->payment_count && fold->payments[at].payment_id == id;
        if (!checker_ask(checker, known)) {
            checker_fail(checker, CHECK_I8_fact_is_published,
                         "order %" PRId64 ", payment %" PRId64
                         ": is in the fact, and nobody published it (replicas %s)",
                         order->order_id, id, replicas_of(finish));
        }
    }
}

static void add_money(struct finish *finish, int64_t order_id, const int64_t published[SUM_COUNT],
                      uint8_t published_currency, const int64_t stored[SUM_COUNT],
                      uint8_t stored_currency)
{
    struct sums *wanted = &finish->sums[published_currency];
    struct sums *found = &finish->sums[stored_currency];
    bool same = published_currency == stored_currency;
    for (size_t i = 0; i < SUM_COUNT; i++) {
        wanted->published[i] += published[i];
        found->stored[i] += stored[i];
        same &= published[i] == stored[i];
    }
    if (!same && wanted->order_id == 0) {
        wanted->order_id = order_id;
    }
    if (!same && found->order_id == 0) {
        found->order_id = order_id;
    }
}

// Completed payments without an order: what waits or is dead, by the currency that they state.
static void add_unmatched_money(struct finish *finish, const struct expected_order *order)
{
    for (size_t i = 0; i < order->count; i++) {
        const struct expected_event *event = order->events[i];
        const struct payment *payment = &event->event.payment;
        if (event->event.kind == EVENT_PAYMENT && payment->amount_given &&
            payment->status == PAYMENT_STATUS_COMPLETED && expected_is_sure(event)) {
            bool stored = (event->seen & 1u << finish->view) != 0;
            const int64_t wanted[SUM_COUNT] = {0, payment->amount_minor, 0, 0};
            const int64_t found[SUM_COUNT] = {0, stored ? payment->amount_minor : 0, 0, 0};
            add_money(finish, order->order_id, wanted, payment->currency.index, found,
                      payment->currency.index);
        }
    }
}

static void add_matched_money(struct finish *finish, int64_t order_id, const struct sim_fact *fact,
                              const struct fact *fold)
{
    const int64_t wanted[SUM_COUNT] = {fold->order_total_minor, fold->amount_paid_minor,
                                       fold->amount_refunded_minor,
                                       fold->amount_charged_back_minor};
    const int64_t found[SUM_COUNT] = {fact->order_total_minor, fact->amount_paid_minor,
                                      fact->amount_refunded_minor, fact->amount_charged_back_minor};
    add_money(finish, order_id, wanted, fold->currency.index, found, (uint8_t)fact->currency_index);
}

static void check_fact(struct finish *finish, const struct expected_order *order,
                       const struct sim_fact *fact, const struct fact *fold)
{
    struct checker *checker = finish->checker;
    check_published(finish, order, fact, fold);
    if (fold->order == NULL) {
        add_unmatched_money(finish, order);
        if (!checker_ask(checker, !fact->exists)) {
            checker_fail(checker, CHECK_I8_fact_has_order,
                         "order %" PRId64 ": was never published and has a fact (replicas %s)",
                         order->order_id, replicas_of(finish));
        }
        return;
    }
    add_matched_money(finish, order->order_id, fact, fold);
    char memory[160];
    const char *differs = checker_compare_fact(fact, fold, true, memory);
    if (!checker_ask(checker, differs == NULL)) {
        checker_fail(checker, CHECK_I3_facts_are_the_fold,
                     "order %" PRId64 ", %zu events: %s (replicas %s)", order->order_id,
                     order->count, differs, replicas_of(finish));
    }
}

// --- one order ----------------------------------------------------------------------------------

// Notes are no part of what is projected (docs/matching.md): a note whose writer timed out may stay at a
// minority for good.
static int64_t count_events(const struct event **rows, size_t count)
{
    int64_t events = 0;
    for (size_t i = 0; i < count; i++) {
        events += rows[i]->kind != EVENT_NOTE;
    }
    return events;
}

static void check_rows_projected(struct finish *finish, const struct expected_order *order,
                                 const struct sim_fact *fact, int64_t events)
{
    struct checker *checker = finish->checker;
    if (!fact->has_order || fact->n_rows == 0) {
        return; // a wrong variant's timestamp tells no number of rows; the columns must show what is wrong
    }
    if (!checker_ask(checker, fact->n_rows >= events)) {
        checker_fail(checker, CHECK_I6_all_rows_projected,
                     "order %" PRId64 ": the fact is of %" PRId64 " rows, %" PRId64
                     " are stored (replicas %s)",
                     order->order_id, fact->n_rows, events, replicas_of(finish));
    }
}

static void check_order(struct finish *finish, struct expected_order *order)
{
    struct checker *checker = finish->checker;
    struct cluster *cluster = checker->options.cluster;
    unsigned replicas = checker->views[finish->view];
    const struct event **rows = NULL;
    size_t count = cluster_events(cluster, replicas, order->order_id, &rows);
    for (size_t i = 0; i < count; i++) {
        check_row(finish, rows[i]);
    }
    for (size_t i = 0; i < order->count; i++) {
        check_event(finish, order->events[i], rows, count);
    }
    int64_t events = count_events(rows, count);
    checker_check_size(checker, order->order_id, rows, count);
    free(rows);
    const struct naive_fact *naive = expected_fold(checker->expected, order, 1u << finish->view);
    if (naive != NULL && !naive->too_large) {
        struct sim_fact fact;
        cluster_fact(cluster, replicas, order->order_id, &fact);
        check_fact(finish, order, &fact, &naive->fact);
        check_rows_projected(finish, order, &fact, events);
        sim_fact_deinit(&fact);
    }
}

// --- all of it ----------------------------------------------------------------------------------

static void decimal(__int128 value, char out[48])
{
    char digits[48];
    size_t count = 0;
    bool negative = value < 0;
    unsigned __int128 rest = negative ? -(unsigned __int128)value : (unsigned __int128)value;
    do {
        digits[count++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest > 0);
    size_t at = 0;
    if (negative) {
        out[at++] = '-';
    }
    while (count > 0) {
        out[at++] = digits[--count];
    }
    out[at] = '\0';
}

static void check_money(struct finish *finish)
{
    struct checker *checker = finish->checker;
    for (unsigned c = 0; c <= UINT8_MAX; c++) {
        const struct sums *sums = &finish->sums[c];
        for (size_t i = 0; i < SUM_COUNT; i++) {
            if (checker_ask(checker, sums->published[i] == sums->stored[i])) {
                continue;
            }
            char wanted[48];
            char found[48];
            decimal(sums->published[i], wanted);
            decimal(sums->stored[i], found);
            checker_fail(checker, CHECK_I2_money_adds_up,
                         "%.*s, %s: %s minor units by the messages published, %s by facts and "
                         "unmatched payments (replicas %s); first at order %" PRId64,
                         TEXT_PRINT(currency_code((struct currency){(uint8_t)c})), sum_names[i],
                         wanted, found, replicas_of(finish), sums->order_id);
        }
    }
}

// Every message is one of: the first of its event, a duplicate, refused. Every row is an event's.
static void check_counts(struct finish *finish)
{
    struct checker *checker = finish->checker;
    struct expected *expected = checker->expected;
    uint64_t refused = 0;
    uint64_t messages = 0;
    uint64_t duplicates = 0;
    static const enum bus_topic topics[] = {BUS_ORDERS, BUS_PAYMENTS};
    for (size_t t = 0; t < 2; t++) {
        size_t count = expected_message_count(expected, topics[t]);
        messages += count;
        for (size_t i = 1; i <= count; i++) {
            refused += expected_message(expected, topics[t], i)->event == NULL;
        }
    }
    for (size_t i = 0; i < expected_order_count(expected); i++) {
        const struct expected_order *order = expected_order_at(expected, i);
        for (size_t k = 0; k < order->count; k++) {
            duplicates += order->events[k]->message_count - 1;
        }
    }
    uint64_t accounted = finish->rows + finish->missing + duplicates + refused;
    if (!checker_ask(checker, messages == accounted)) {
        checker_fail(checker, CHECK_I1_counts_add_up,
                     "%" PRIu64 " messages, but %" PRIu64 " rows, %" PRIu64 " not kept, %" PRIu64
                     " duplicates and %" PRIu64 " refused (replicas %s)",
                     messages, finish->rows, finish->missing, duplicates, refused,
                     replicas_of(finish));
    }
}

static void check_strangers(struct checker *checker)
{
    int64_t *ids = NULL;
    size_t count = cluster_order_ids(checker->options.cluster, &ids);
    for (size_t i = 0; i < count; i++) {
        if (!checker_ask(checker, expected_order(checker->expected, ids[i]) != NULL)) {
            checker_fail(checker, CHECK_I8_row_is_published,
                         "order %" PRId64 ": has rows or a fact, and nobody published anything "
                         "about it",
                         ids[i]);
        }
    }
    free(ids);
}

static void check_drained(struct checker *checker)
{
    for (size_t topic = 0; topic < BUS_TOPIC_COUNT; topic++) {
        size_t unacked = sim_broker_unacked(checker->options.broker, (enum bus_topic)topic);
        if (!checker_ask(checker, unacked == 0)) {
            checker_fail(checker, CHECK_I1_subscriptions_drained, "%.*s: %zu messages are unacked",
                         TEXT_PRINT(bus_subscription_name((enum bus_topic)topic)), unacked);
        }
    }
}

struct waiting_seen {
    struct checker *checker;
    unsigned replicas;
};

static void refuse_waiting(const struct waiting_payment *entry, void *context)
{
    const struct waiting_seen *seen = context;
    checker_fail(seen->checker, CHECK_I5_nothing_waits,
                 "order %" PRId64 ", payment %" PRId64 " \"%.*s\": still in an unfinished bucket "
                 "(replicas %s)",
                 entry->order_id, entry->payment_id, TEXT_PRINT(entry->event_id),
                 checker_replicas(seen->replicas));
}

static void check_view(struct checker *checker, unsigned view)
{
    struct finish *finish = calloc(1, sizeof(*finish));
    if (finish == NULL) {
        abort();
    }
    finish->checker = checker;
    finish->view = view;
    for (size_t i = 0; i < expected_order_count(checker->expected); i++) {
        check_order(finish, expected_order_at(checker->expected, i));
    }
    check_money(finish);
    check_counts(finish);
    struct waiting_seen seen = {checker, checker->views[view]};
    cluster_visit_waiting(checker->options.cluster, checker->views[view], refuse_waiting, &seen);
    (void)checker_ask(checker, true);
    free(finish);
}

void checker_finish(struct checker *checker)
{
    if (checker->check != CHECK_COUNT) {
        return;
    }
    checker->finishing = true;
    expected_take_in(checker->expected);
    check_drained(checker);
    check_strangers(checker);
    for (unsigned view = 0; view < checker->view_count; view++) {
        check_view(checker, view);
    }
    checker_finish_letters(checker);
    if (checker->options.shape == STORE_EMBEDDED) {
        checker_finish_ledger(checker);
    }
    if (checker->options.nothing_fails) {
        checker_finish_times(checker);
    }
}
