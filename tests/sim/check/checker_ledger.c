// Embedded: what the lane counted in the transactions of its effects, against what was published and what is
// stored. And how large an order may become.
#include "checker_internal.h"

#include <inttypes.h>
#include <stdlib.h>

struct ledger {
    struct checker *checker;
    enum applied_topic topic;
    uint64_t counted[OUTCOME_COUNT];
    __int128 counted_minor[UINT8_MAX + 1]; // by currency, of what was taken in
    uint64_t rows;
    __int128 stored_minor[UINT8_MAX + 1];
};

static enum bus_topic source_of(enum applied_topic topic)
{
    return topic == APPLIED_ORDERS ? BUS_ORDERS : BUS_PAYMENTS;
}

static const char *name_of(enum applied_topic topic)
{
    return topic == APPLIED_ORDERS ? "orders" : "payments";
}

static void add_tally(const struct tally *tally, void *context)
{
    struct ledger *ledger = context;
    if (tally->topic != ledger->topic) {
        return;
    }
    ledger->counted[tally->outcome] += tally->messages;
    if (tally->outcome == OUTCOME_STORED || tally->outcome == OUTCOME_CONFLICT) {
        ledger->counted_minor[tally->currency.index] += tally->amount_minor;
    }
}

void checker_check_size(struct checker *checker, int64_t order_id, const struct event *const *rows,
                        size_t count)
{
    size_t of_kind[EVENT_NOTE + 1] = {0};
    for (size_t i = 0; i < count; i++) {
        of_kind[rows[i]->kind]++;
    }
    size_t most = FOLD_EVENTS_OF_KIND_MAX + checker->options.above_full_max;
    bool holds = of_kind[EVENT_ORDER] <= most && of_kind[EVENT_PAYMENT] <= most;
    if (!checker_ask(checker, holds)) {
        checker_fail(checker, CHECK_I1_full_order_takes_no_more,
                     "order %" PRId64 ": %zu versions and %zu payment events are stored", order_id,
                     of_kind[EVENT_ORDER], of_kind[EVENT_PAYMENT]);
    }
}

static void add_rows(struct ledger *ledger, int64_t order_id)
{
    enum event_kind kind = ledger->topic == APPLIED_ORDERS ? EVENT_ORDER : EVENT_PAYMENT;
    const struct event **rows = NULL;
    size_t count = cluster_events(ledger->checker->options.cluster, 1u, order_id, &rows);
    size_t of_kind = 0;
    for (size_t i = 0; i < count; i++) {
        struct currency currency;
        int64_t minor = 0;
        bool counts = rows[i]->kind == kind;
        of_kind += counts;
        if (counts && event_stated_money(rows[i], &currency, &minor)) {
            ledger->stored_minor[currency.index] += minor;
        }
    }
    free(rows);
    ledger->rows += of_kind;
}

// Good messages that were refused for what lies outside of them may have been stored after all, by
// somebody who died between the dead letter and the commit.
static void count_refused(const struct ledger *ledger, uint64_t *out_least, uint64_t *out_most)
{
    const struct expected *expected = ledger->checker->expected;
    enum bus_topic topic = source_of(ledger->topic);
    *out_least = *out_most = 0;
    for (size_t i = 1; i <= expected_message_count(expected, topic); i++) {
        const struct expected_message *message = expected_message(expected, topic, i);
        *out_least += message->event == NULL;
        *out_most += message->event == NULL || expected_refused_late(message);
    }
}

static void fail_counts(const struct ledger *ledger, const char *what, uint64_t is, uint64_t must)
{
    checker_fail(ledger->checker, CHECK_I1_ledger_adds_up,
                 "%s, %s: %" PRIu64 ", must be %" PRIu64 " (counted: %" PRIu64 " stored, %" PRIu64
                 " duplicate, %" PRIu64 " conflict, %" PRIu64 " refused)",
                 name_of(ledger->topic), what, is, must, ledger->counted[OUTCOME_STORED],
                 ledger->counted[OUTCOME_DUPLICATE], ledger->counted[OUTCOME_CONFLICT],
                 ledger->counted[OUTCOME_REFUSED]);
}

static void check_equal(const struct ledger *ledger, const char *what, uint64_t is, uint64_t must)
{
    if (!checker_ask(ledger->checker, is == must)) {
        fail_counts(ledger, what, is, must);
    }
}

static void check_messages(const struct ledger *ledger)
{
    struct checker *checker = ledger->checker;
    uint64_t published =
        sim_broker_message_count(checker->options.broker, source_of(ledger->topic));
    uint64_t counted = 0;
    for (size_t i = 0; i < OUTCOME_COUNT; i++) {
        counted += ledger->counted[i];
    }
    uint64_t least = 0;
    uint64_t most = 0;
    count_refused(ledger, &least, &most);
    uint64_t refused = ledger->counted[OUTCOME_REFUSED];
    check_equal(ledger, "numbers that count as applied",
                cluster_applied(checker->options.cluster, ledger->topic), published);
    check_equal(ledger, "messages with an outcome", counted, published);
    check_equal(ledger, "rows of what was stored, or a conflict", ledger->rows,
                ledger->counted[OUTCOME_STORED] + ledger->counted[OUTCOME_CONFLICT]);
    if (!checker_ask(checker, refused >= least && refused <= most)) {
        fail_counts(ledger, "refused messages", refused, refused < least ? least : most);
    }
}

static void check_money(const struct ledger *ledger)
{
    struct checker *checker = ledger->checker;
    for (unsigned c = 0; c <= UINT8_MAX; c++) {
        if (!checker_ask(checker, ledger->counted_minor[c] == ledger->stored_minor[c])) {
            checker_fail(checker, CHECK_I1_ledger_adds_up,
                         "%s, %.*s: %" PRId64 " minor units were taken in, the rows state %" PRId64,
                         name_of(ledger->topic),
                         TEXT_PRINT(currency_code((struct currency){(uint8_t)c})),
                         (int64_t)ledger->counted_minor[c], (int64_t)ledger->stored_minor[c]);
        }
    }
}

void checker_finish_ledger(struct checker *checker)
{
    for (size_t topic = 0; topic < APPLIED_TOPIC_COUNT; topic++) {
        struct ledger ledger = {.checker = checker, .topic = (enum applied_topic)topic};
        cluster_visit_tallies(checker->options.cluster, add_tally, &ledger);
        for (size_t i = 0; i < expected_order_count(checker->expected); i++) {
            add_rows(&ledger, expected_order_at(checker->expected, i)->order_id);
        }
        check_messages(&ledger);
        check_money(&ledger);
    }
}
