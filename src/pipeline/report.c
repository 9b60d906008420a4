// The equations of conservation, one function each.
#include "report.h"

#include <stdio.h>
#include <string.h>

static struct report_check *add_check(struct report *report, const char *name, __int128 left,
                                      const char *left_text, __int128 right, const char *right_text)
{
    if (report->check_count == REPORT_CHECKS_MAX) {
        return NULL; // more currencies than there are; cannot happen
    }
    struct report_check *check = &report->checks[report->check_count++];
    (void)snprintf(check->name, sizeof(check->name), "%s", name);
    check->left = left;
    check->left_text = left_text;
    check->right = right;
    check->right_text = right_text;
    check->holds = left == right;
    report->failed_count += !check->holds;
    return check;
}

static void add_bound(struct report *report, const char *name, uint64_t left, const char *left_text,
                      uint64_t right, const char *right_text)
{
    struct report_check *check =
        add_check(report, name, (__int128)left, left_text, (__int128)right, right_text);
    if (check != NULL) {
        report->failed_count -= !check->holds;
        check->at_most = true;
        check->holds = left <= right;
        report->failed_count += !check->holds;
    }
}

static const char *topic_word(enum applied_topic topic)
{
    return topic == APPLIED_ORDERS ? "orders" : "payments";
}

static uint64_t rows_of(const struct store_count counts[OUTCOME_COUNT], bool stored_only)
{
    uint64_t rows = counts[OUTCOME_STORED].rows + counts[OUTCOME_CONFLICT].rows;
    return stored_only ? rows
                       : rows + counts[OUTCOME_DUPLICATE].rows + counts[OUTCOME_REFUSED].rows;
}

// Every message that was acked had been applied before, and nothing was applied that was not
// published. The bus is read on both sides of the store, since all three go on meanwhile.
static void check_bus(struct report *report, enum applied_topic topic)
{
    enum bus_topic bus_topic = topic == APPLIED_ORDERS ? BUS_ORDERS : BUS_PAYMENTS;
    const struct bus_backlog *before = &report->before[bus_topic];
    char name[REPORT_CHECK_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "%s: nothing acked unapplied", topic_word(topic));
    add_bound(report, name, before->published - before->unacked, "acked",
              report->totals.applied[topic], "applied");
    (void)snprintf(name, sizeof(name), "%s: nothing applied unpublished", topic_word(topic));
    add_bound(report, name, report->totals.applied[topic], "applied",
              report->after[bus_topic].published, "published");
}

static void check_ledger(struct report *report, enum applied_topic topic)
{
    char name[REPORT_CHECK_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "%s: every applied message has an outcome",
                   topic_word(topic));
    if (report->has_bus) {
        (void)add_check(report, name, (__int128)report->totals.applied[topic], "applied",
                        (__int128)rows_of(report->totals.tally[topic], false),
                        "stored + conflict + duplicate + refused");
    }
}

static uint64_t scanned_payments(const struct store_totals *totals)
{
    return totals->matched.rows + totals->waiting.rows + totals->dead.rows +
           totals->discarded.rows + totals->payments_conflict.rows;
}

static __int128 scanned_money(const struct store_totals *totals, enum applied_topic topic,
                              size_t currency)
{
    if (topic == APPLIED_ORDERS) {
        return totals->orders.money[currency].minor;
    }
    return totals->matched.money[currency].minor + totals->waiting.money[currency].minor +
           totals->dead.money[currency].minor + totals->discarded.money[currency].minor +
           totals->payments_conflict.money[currency].minor;
}

static void check_rows(struct report *report, enum applied_topic topic)
{
    const struct store_totals *totals = &report->totals;
    char name[REPORT_CHECK_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "%s: every stored message has its row", topic_word(topic));
    uint64_t scanned = topic == APPLIED_ORDERS ? totals->orders.rows : scanned_payments(totals);
    (void)add_check(report, name, (__int128)rows_of(totals->tally_all[topic], true),
                    "stored + conflict", (__int128)scanned,
                    topic == APPLIED_ORDERS ? "order rows"
                                            : "matched + waiting + dead + discarded + conflict");
}

static void check_money(struct report *report, enum applied_topic topic)
{
    const struct store_totals *totals = &report->totals;
    for (unsigned index = 1; index <= currency_count(); index++) {
        const struct store_count *counts = totals->tally_all[topic];
        __int128 counted =
            counts[OUTCOME_STORED].money[index].minor + counts[OUTCOME_CONFLICT].money[index].minor;
        __int128 scanned = scanned_money(totals, topic, index);
        if (counted == 0 && scanned == 0) {
            continue;
        }
        struct currency currency = {(uint8_t)index};
        char name[REPORT_CHECK_NAME_SIZE];
        (void)snprintf(name, sizeof(name), "%s: money in %.*s", topic_word(topic),
                       TEXT_PRINT(currency_code(currency)));
        struct report_check *check =
            add_check(report, name, counted, "taken in", scanned, "in rows");
        if (check != NULL) {
            check->currency = currency;
        }
    }
}

// Dead letters that may not be recorded in the tables as they were read: all that were published by
// the end of the reading, but those acked before it began, which were recorded before. Taken so, a
// letter that is published or recorded meanwhile is missed by neither side.
static uint64_t on_their_way(const struct report *report, enum bus_topic dlq)
{
    const struct bus_backlog *before = &report->before[dlq];
    return report->after[dlq].published - (before->published - before->unacked);
}

// Messages that are in the log and not applied, as far as the bus can say.
static uint64_t not_applied(const struct report *report, enum applied_topic topic)
{
    uint64_t published =
        report->after[topic == APPLIED_ORDERS ? BUS_ORDERS : BUS_PAYMENTS].published;
    uint64_t applied = report->totals.applied[topic];
    return published > applied ? published - applied : 0;
}

// Every refused message is a dead letter that is recorded or still on its way to the record. Records
// can't be more than messages: a second publication has the same id. A letter is published before its
// message is applied, so after a crash in between it may be recorded first.
static void check_refused(struct report *report, enum applied_topic topic)
{
    const struct store_totals *totals = &report->totals;
    enum bus_topic dlq = topic == APPLIED_ORDERS ? BUS_ORDERS_DLQ : BUS_PAYMENTS_DLQ;
    uint64_t refused = totals->tally_all[topic][OUTCOME_REFUSED].rows;
    uint64_t recorded = totals->dead_letters_refused[topic];
    char name[REPORT_CHECK_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "%s: every refused message is kept", topic_word(topic));
    add_bound(report, name, refused, "refused", recorded + on_their_way(report, dlq),
              "dead letters recorded + on their way");
    (void)snprintf(name, sizeof(name), "%s: no refusal counted twice", topic_word(topic));
    add_bound(report, name, recorded, "dead letters recorded", refused + not_applied(report, topic),
              "refused + not applied yet");
}

static void check_unmatched(struct report *report)
{
    const struct store_totals *totals = &report->totals;
    add_bound(report, "payments: every unmatched one is kept", totals->dead.rows, "dead",
              totals->dead_letters[REASON_E_UNMATCHED] + on_their_way(report, BUS_PAYMENTS_DLQ),
              "dead letters recorded + on their way");
}

// The sweeper works from the index alone: a payment that waits outside it would wait for ever.
static void check_waiting(struct report *report)
{
    const struct store_totals *totals = &report->totals;
    add_bound(report, "payments: every waiting one is indexed", totals->waiting.rows, "waiting",
              totals->waiting_entries, "entries of the index");
}

// An order's amount_paid is the sum of its payments' amounts; both columns are derived, and shown. Without a
// ledger it is what the events say anew, so that this is the check that the facts are what they should be.
static void check_paid(struct report *report)
{
    const struct store_totals *totals = &report->totals;
    for (unsigned index = 1; index <= currency_count(); index++) {
        if (totals->paid[index] == 0 && totals->captured[index] == 0) {
            continue;
        }
        struct currency currency = {(uint8_t)index};
        char name[REPORT_CHECK_NAME_SIZE];
        (void)snprintf(name, sizeof(name), "facts: paid in %.*s",
                       TEXT_PRINT(currency_code(currency)));
        struct report_check *check =
            add_check(report, name, totals->paid[index],
                      totals->has_ledger ? "amount_paid" : "paid as the events say",
                      totals->captured[index], "amount of the payments");
        if (check != NULL) {
            check->currency = currency;
        }
    }
}

static enum err read_bus(struct bus *bus, struct bus_backlog backlogs[BUS_TOPIC_COUNT],
                         struct why *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; bus != NULL && err == ERR_OK && i < BUS_TOPIC_COUNT; i++) {
        err = bus_backlog(bus, (enum bus_topic)i, &backlogs[i], why);
    }
    return err;
}

enum err report_build(struct store_reader *reader, struct bus *bus, struct arena *arena,
                      struct report *out_report, struct why *why)
{
    memset(out_report, 0, sizeof(*out_report));
    out_report->has_bus = out_report->counts_letters = bus != NULL && bus->log_id.size > 0;
    enum err err = read_bus(bus, out_report->before, why);
    if (err == ERR_OK) {
        err = store_reader_totals(reader, bus != NULL ? bus->log_id : TEXT(""), arena,
                                  &out_report->totals, why);
    }
    if (err == ERR_OK) {
        err = read_bus(bus, out_report->after, why);
    }
    out_report->has_bus = out_report->has_bus && out_report->totals.has_ledger;
    for (size_t i = 0; err == ERR_OK && out_report->totals.has_ledger && i < APPLIED_TOPIC_COUNT;
         i++) {
        enum applied_topic topic = (enum applied_topic)i;
        if (out_report->has_bus) {
            check_bus(out_report, topic);
        }
        check_ledger(out_report, topic);
        check_rows(out_report, topic);
        check_money(out_report, topic);
        if (out_report->counts_letters) {
            check_refused(out_report, topic);
        }
    }
    if (err == ERR_OK) {
        check_waiting(out_report);
        check_paid(out_report);
    }
    if (err == ERR_OK && out_report->counts_letters) {
        check_unmatched(out_report);
    }
    return err;
}
