// Laying the report out: messages, money, settlement, dead letters, and the checks, the failed ones
// first.
#include "report_text.h"

#include "currency.h"

#include <string.h>

#define LABEL_WIDTH  26
#define NUMBER_WIDTH 16

// --- numbers --------------------------------------------------------------------------------------

static void add_grouped(struct buf *out, const char *digits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0) {
            buf_add_char(out, ',');
        }
        buf_add_char(out, digits[i]);
    }
}

// Decimal digits of a value at the end of `memory`; returns how many.
static size_t digits_of(unsigned __int128 value, char memory[48])
{
    size_t count = 0;
    do {
        memory[47 - count++] = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value > 0);
    return count;
}

void report_add_count(struct buf *out, uint64_t count)
{
    char memory[48];
    size_t digit_count = digits_of(count, memory);
    add_grouped(out, memory + 48 - digit_count, digit_count);
}

void report_add_money(struct buf *out, __int128 minor, struct currency currency)
{
    char memory[48];
    size_t exponent = currency_exponent(currency);
    unsigned __int128 magnitude =
        minor < 0 ? (unsigned __int128)0 - (unsigned __int128)minor : (unsigned __int128)minor;
    size_t count = digits_of(magnitude, memory);
    while (count <= exponent) {
        memory[47 - count++] = '0';
    }
    const char *digits = memory + 48 - count;
    if (minor < 0) {
        buf_add_char(out, '-');
    }
    add_grouped(out, digits, count - exponent);
    if (exponent > 0) {
        buf_add_char(out, '.');
        buf_add(out, digits + count - exponent, exponent);
    }
}

static void add_padding(struct buf *out, size_t width, size_t used)
{
    for (size_t i = used; i < width; i++) {
        buf_add_char(out, ' ');
    }
}

static void add_label(struct buf *out, const char *label)
{
    buf_add_str(out, label);
    add_padding(out, LABEL_WIDTH, strlen(label));
}

static void add_right(struct buf *out, struct text text)
{
    buf_add_char(out, ' '); // however wide the number before it was
    add_padding(out, NUMBER_WIDTH - 1, text.size);
    buf_add_text(out, text);
}

static void add_count_right(struct buf *out, uint64_t count)
{
    char memory[48];
    struct buf number;
    buf_init_fixed(&number, memory, sizeof(memory));
    report_add_count(&number, count);
    add_right(out, buf_view(&number));
}

static void add_money_right(struct buf *out, __int128 minor, struct currency currency)
{
    char memory[96];
    struct buf number;
    buf_init_fixed(&number, memory, sizeof(memory));
    report_add_money(&number, minor, currency);
    add_right(out, buf_view(&number));
}

// What does not concern a kind of message stays blank.
enum columns { BOTH, ORDERS_ONLY, PAYMENTS_ONLY };

static void add_count_line(struct buf *out, const char *label, enum columns columns,
                           uint64_t orders, uint64_t payments)
{
    add_label(out, label);
    if (columns == PAYMENTS_ONLY) {
        add_right(out, TEXT(""));
    } else {
        add_count_right(out, orders);
    }
    if (columns != ORDERS_ONLY) {
        add_count_right(out, payments);
    }
    buf_add_char(out, '\n');
}

// --- messages ------------------------------------------------------------------------------------

// Where every message stands. Ledgers of earlier topic logs count too: their messages are in the
// facts as well.
struct standing {
    uint64_t published;
    uint64_t queued;
    uint64_t stored; // orders only
    uint64_t matched;
    uint64_t waiting;
    uint64_t unmatched;
    uint64_t discarded;
    uint64_t conflict;
    uint64_t refused;
    uint64_t duplicate;
};

static uint64_t applied_in_all(const struct store_totals *totals, enum applied_topic topic)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < OUTCOME_COUNT; i++) {
        rows += totals->tally_all[topic][i].rows;
    }
    return rows;
}

static uint64_t queued_of(const struct report *report, enum applied_topic topic)
{
    enum bus_topic bus_topic = topic == APPLIED_ORDERS ? BUS_ORDERS : BUS_PAYMENTS;
    uint64_t published = report->after[bus_topic].published;
    uint64_t applied = report->totals.applied[topic];
    return published > applied ? published - applied : 0;
}

static void fill_standing(const struct report *report, enum applied_topic topic,
                          struct standing *standing)
{
    const struct store_totals *totals = &report->totals;
    memset(standing, 0, sizeof(*standing));
    standing->queued = queued_of(report, topic);
    standing->published = applied_in_all(totals, topic) + standing->queued;
    standing->refused = totals->tally_all[topic][OUTCOME_REFUSED].rows;
    standing->duplicate = totals->tally_all[topic][OUTCOME_DUPLICATE].rows;
    if (topic == APPLIED_ORDERS) {
        standing->conflict = totals->orders_conflict.rows;
        standing->stored = totals->orders.rows - totals->orders_conflict.rows;
        return;
    }
    standing->matched = totals->matched.rows;
    standing->waiting = totals->waiting.rows;
    standing->unmatched = totals->dead.rows;
    standing->discarded = totals->discarded.rows;
    standing->conflict = totals->payments_conflict.rows;
}

static void add_messages(const struct report *report, struct buf *out)
{
    struct standing orders;
    struct standing payments;
    fill_standing(report, APPLIED_ORDERS, &orders);
    fill_standing(report, APPLIED_PAYMENTS, &payments);
    add_label(out, "Messages");
    add_right(out, TEXT("orders"));
    add_right(out, TEXT("payments"));
    buf_add_char(out, '\n');
    add_count_line(out, report->has_bus ? "  published" : "  applied", BOTH, orders.published,
                   payments.published);
    add_count_line(out, "  = stored", ORDERS_ONLY, orders.stored, 0);
    add_count_line(out, "  = matched", PAYMENTS_ONLY, 0, payments.matched);
    add_count_line(out, "  + waiting for the order", PAYMENTS_ONLY, 0, payments.waiting);
    add_count_line(out, "  + dead: unmatched", PAYMENTS_ONLY, 0, payments.unmatched);
    add_count_line(out, "  + dead: refused", BOTH, orders.refused, payments.refused);
    add_count_line(out, "  + dead: conflict", BOTH, orders.conflict, payments.conflict);
    add_count_line(out, "  + discarded", PAYMENTS_ONLY, 0, payments.discarded);
    add_count_line(out, "  + duplicate", BOTH, orders.duplicate, payments.duplicate);
    if (report->has_bus) {
        add_count_line(out, "  + still in the queue", BOTH, orders.queued, payments.queued);
    }
}

// --- money ---------------------------------------------------------------------------------------

// Lines without money are left out, zeros stay blank: a report of many currencies stays readable.
static void add_money_line(struct buf *out, const char *label, struct currency currency,
                           __int128 orders, __int128 payments)
{
    if (orders == 0 && payments == 0) {
        return;
    }
    add_label(out, label);
    if (orders == 0) {
        add_right(out, TEXT(""));
    } else {
        add_money_right(out, orders, currency);
    }
    if (payments != 0) {
        add_money_right(out, payments, currency);
    }
    buf_add_char(out, '\n');
}

static bool has_money(const struct store_totals *totals, size_t index)
{
    for (size_t topic = 0; topic < APPLIED_TOPIC_COUNT; topic++) {
        for (size_t outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
            if (totals->tally_all[topic][outcome].money[index].rows > 0) {
                return true;
            }
        }
    }
    return false;
}

static __int128 money_taken_in(const struct store_totals *totals, enum applied_topic topic,
                               size_t index)
{
    __int128 sum = 0;
    for (size_t outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
        sum += totals->tally_all[topic][outcome].money[index].minor;
    }
    return sum;
}

static void add_currency(const struct store_totals *totals, struct currency currency,
                         struct buf *out)
{
    size_t i = currency.index;
    char heading[32];
    struct buf label;
    buf_init_fixed(&label, heading, sizeof(heading) - 1);
    buf_add_fmt(&label, "Money stated, %.*s", TEXT_PRINT(currency_code(currency)));
    heading[label.size] = '\0';
    add_money_line(out, heading, currency, money_taken_in(totals, APPLIED_ORDERS, i),
                   money_taken_in(totals, APPLIED_PAYMENTS, i));
    add_money_line(out, "  = stored", currency,
                   totals->orders.money[i].minor - totals->orders_conflict.money[i].minor, 0);
    add_money_line(out, "  = matched", currency, 0, totals->matched.money[i].minor);
    add_money_line(out, "  + waiting for the order", currency, 0, totals->waiting.money[i].minor);
    add_money_line(out, "  + dead: unmatched", currency, 0, totals->dead.money[i].minor);
    add_money_line(out, "  + dead: conflict", currency, totals->orders_conflict.money[i].minor,
                   totals->payments_conflict.money[i].minor);
    add_money_line(out, "  + discarded", currency, 0, totals->discarded.money[i].minor);
    add_money_line(out, "  + duplicate", currency,
                   totals->tally_all[APPLIED_ORDERS][OUTCOME_DUPLICATE].money[i].minor,
                   totals->tally_all[APPLIED_PAYMENTS][OUTCOME_DUPLICATE].money[i].minor);
}

static void add_money(const struct report *report, struct buf *out)
{
    for (unsigned index = 1; index <= currency_count(); index++) {
        if (has_money(&report->totals, index)) {
            buf_add_char(out, '\n');
            add_currency(&report->totals, (struct currency){(uint8_t)index}, out);
        }
    }
}

// --- overviews -----------------------------------------------------------------------------------

static void add_settlement(const struct store_totals *totals, struct buf *out)
{
    buf_add_char(out, '\n');
    add_label(out, "Settlement");
    add_right(out, TEXT("orders"));
    add_right(out, TEXT("order total"));
    add_right(out, TEXT("paid, net"));
    buf_add_char(out, '\n');
    for (size_t i = 0; i < totals->settled_count; i++) {
        const struct store_settled *line = &totals->settled[i];
        struct text name = settlement_text(line->settlement);
        struct text code = currency_code(line->currency);
        buf_add_fmt(out, "  %.*s %.*s", TEXT_PRINT(name), TEXT_PRINT(code));
        add_padding(out, LABEL_WIDTH, 3 + name.size + code.size);
        add_count_right(out, line->orders);
        add_money_right(out, line->total_minor, line->currency);
        add_money_right(out, line->paid_minor, line->currency);
        buf_add_char(out, '\n');
    }
}

static void add_named_counts(struct buf *out, const char *heading, const uint64_t *counts,
                             size_t first, size_t end, struct text (*name_of)(size_t))
{
    bool any = false;
    for (size_t i = first; i < end; i++) {
        if (counts[i] == 0) {
            continue;
        }
        if (!any) {
            buf_add_fmt(out, "\n%s\n", heading);
            any = true;
        }
        struct text name = name_of(i);
        buf_add_fmt(out, "  %.*s", TEXT_PRINT(name));
        add_padding(out, LABEL_WIDTH, 2 + name.size);
        add_count_right(out, counts[i]);
        buf_add_char(out, '\n');
    }
}

static struct text issue_name(size_t index)
{
    return match_issue_text((enum match_issue)index);
}

static struct text reason_name_of(size_t index)
{
    return reason_name((enum reason)index);
}

// --- checks --------------------------------------------------------------------------------------

static void add_side(struct buf *out, const struct report_check *check, __int128 value,
                     const char *text)
{
    buf_add_fmt(out, "%s ", text);
    if (check->currency.index != 0) {
        report_add_money(out, value, check->currency);
    } else {
        report_add_count(out, (uint64_t)value);
    }
}

static void add_failed_check(struct buf *out, const struct report_check *check)
{
    buf_add_fmt(out, "  FAILED  %s: ", check->name);
    add_side(out, check, check->left, check->left_text);
    buf_add_str(out, check->at_most ? " is more than " : " is not ");
    add_side(out, check, check->right, check->right_text);
    buf_add_char(out, '\n');
}

// A service that tells its backlog minutes late, or not at all, is not asked.
static void add_what_is_not_known(struct buf *out)
{
    buf_add_str(
        out, "\nHeld against each other: what was applied, message by message, and what the tables"
             "\nhold. What was published and not applied, and dead letters that are not recorded,"
             "\nare with the service, and not in this report. A message that it delivered twice"
             "\ncounts as a duplicate, or as refused twice.\n");
}

static void add_checks(const struct report *report, struct buf *out)
{
    if (!report->has_bus && report->totals.has_ledger) {
        add_what_is_not_known(out);
    }
    buf_add_char(out, '\n');
    if (report->failed_count == 0) {
        buf_add_fmt(out, "Balanced: all %zu checks hold, to the last message and minor unit.\n",
                    report->check_count);
        return;
    }
    buf_add_fmt(out, "NOT BALANCED: %zu of %zu checks failed.\n", report->failed_count,
                report->check_count);
    for (size_t i = 0; i < report->check_count; i++) {
        if (!report->checks[i].holds) {
            add_failed_check(out, &report->checks[i]);
        }
    }
}

void report_add_text(const struct report *report, struct buf *out)
{
    add_messages(report, out);
    add_money(report, out);
    add_settlement(&report->totals, out);
    add_named_counts(out, "Worth a look (match_issue)", report->totals.match_issues,
                     MATCH_ISSUE_NONE + 1, MATCH_ISSUE_COUNT, issue_name);
    add_named_counts(out, "Dead letters", report->totals.dead_letters, REASON_NONE + 1,
                     REASON_COUNT, reason_name_of);
    add_checks(report, out);
}
