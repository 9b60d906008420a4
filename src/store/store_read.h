// The reading side of the store: what report, query and dlq need, beside a running owner. Opened
// read-only; one thread at a time. Everything that one call reports comes from one consistent
// reading.
#ifndef TILL_STORE_READ_H
#define TILL_STORE_READ_H

#include "arena.h"
#include "errors.h"
#include "fold.h"
#include "reason.h"
#include "store.h"
#include "text.h"

#include <stdint.h>

// A sum over many amounts; 128 bits so that no number of rows overflows it.
struct store_money {
    struct currency currency; // NONE ends a list
    uint64_t rows;            // that stated this currency
    __int128 minor;
};

#define STORE_CURRENCIES_MAX 256

// Rows of one kind: how many, how many of them state no money, and the money of the others.
struct store_count {
    uint64_t rows;
    uint64_t rows_without_money;
    struct store_money money[STORE_CURRENCIES_MAX]; // by currency index
};

// One line of an overview by settlement and currency.
struct store_settled {
    enum settlement settlement;
    struct currency currency;
    uint64_t orders;
    __int128 total_minor; // of the orders
    __int128 paid_minor;  // net of refunds and chargebacks
};

struct store_totals {
    // Without it applied and the tallies are zero, and what the facts show is held against the events.
    bool has_ledger;
    uint64_t applied[APPLIED_TOPIC_COUNT]; // messages of the log asked for, as ranges count them
    struct store_count tally[APPLIED_TOPIC_COUNT][OUTCOME_COUNT];     // of the log asked for
    struct store_count tally_all[APPLIED_TOPIC_COUNT][OUTCOME_COUNT]; // of all logs
    struct store_count orders; // order rows, conflicting ones that are not counted included
    struct store_count orders_conflict; // of them, not counted
    struct store_count matched;         // payment rows whose order is there, counted ones
    struct store_count waiting;         // no order, no DEAD or DISCARDED note
    struct store_count dead;            // no order, DEAD note
    struct store_count discarded;       // no order, DISCARDED note
    struct store_count
        payments_conflict; // rows that are not counted, whether or not the order is there
    uint64_t
        waiting_entries; // of the index that the sweeper works from; those matched meanwhile too
    uint64_t facts;      // rows of orders_payments_facts
    // amount_paid of all orders, by currency index; without a ledger as their events say
    __int128 paid[STORE_CURRENCIES_MAX];
    __int128 captured[STORE_CURRENCIES_MAX]; // amount of all facts' payments
    uint64_t orders_distinct;
    uint64_t dead_letters[REASON_COUNT];
    uint64_t dead_letters_refused[APPLIED_TOPIC_COUNT]; // whose message was refused, by source
    uint64_t match_issues[MATCH_ISSUE_COUNT];
    struct store_settled *settled; // in the arena
    size_t settled_count;
    int64_t oldest_waiting_us; // publish time, 0: none
};

struct fact_filter {
    int64_t order_id;    // 0: any
    int64_t customer_id; // 0: any
    struct text day;     // YYYY-MM-DD, empty: any
    int settlement;      // enum settlement, -1: any
    int match_issue;     // enum match_issue, -1: any
    uint64_t row_max;    // 0: no limit
};

struct dead_letter_filter {
    enum reason reason;    // REASON_NONE: any
    struct text id_prefix; // lower-case hex, empty: any
    uint64_t row_max;      // 0: no limit
};

// One row of orders_payments_facts as text, in the table's column order; empty text stands for null.
// Valid until the callback returns. Return false to end the scan.
typedef bool fact_row_fn(const struct text *columns, size_t column_count, void *context);
typedef bool dead_letter_row_fn(const struct dead_letter_record *record, void *context);

// How far store_reader_totals is: `done` of `total` parts of the tables. From inside that call.
typedef void store_progress_fn(void *context, uint64_t done, uint64_t total);

struct store_reader;

// What an implementation does; the functions below say what each is to do.
struct store_reader_ops {
    enum err (*verify)(struct store_reader *reader, struct why *why);
    enum err (*totals)(struct store_reader *reader, struct text log_id, struct arena *arena,
                       struct store_totals *out_totals, struct why *why);
    enum err (*facts)(struct store_reader *reader, const struct fact_filter *filter,
                      fact_row_fn *row, void *context, struct why *why);
    enum err (*dead_letters)(struct store_reader *reader, const struct dead_letter_filter *filter,
                             dead_letter_row_fn *row, void *context, struct why *why);
    void (*close)(struct store_reader *reader);
};

// The first member of every implementation.
struct store_reader {
    const struct store_reader_ops *ops;
    store_progress_fn *progress; // NULL: nobody wants to know
    void *progress_context;
};

#define STORE_FACT_COLUMN_COUNT 22
extern const struct text store_fact_columns[STORE_FACT_COLUMN_COUNT];

// ERR_NOT_FOUND when there is no such file, ERR_CORRUPT, ERR_SCHEMA, ERR_IO.
MUST_USE enum err store_reader_open_sqlite(const char *path, struct store_reader **out_reader,
                                           struct why *why);
void store_reader_close(struct store_reader **reader);
// Readings that are over in seconds need not tell anything.
void store_reader_watch(struct store_reader *reader, store_progress_fn *progress, void *context);
// Reads every page and checks that trees and pages are sound; seconds a gigabyte. ERR_CORRUPT.
MUST_USE enum err store_reader_verify(struct store_reader *reader, struct why *why);

// `out_totals` is large: give heap or static memory.
MUST_USE enum err store_reader_totals(struct store_reader *reader, struct text log_id,
                                      struct arena *arena, struct store_totals *out_totals,
                                      struct why *why);
MUST_USE enum err store_reader_facts(struct store_reader *reader, const struct fact_filter *filter,
                                     fact_row_fn *row, void *context, struct why *why);
MUST_USE enum err store_reader_dead_letters(struct store_reader *reader,
                                            const struct dead_letter_filter *filter,
                                            dead_letter_row_fn *row, void *context,
                                            struct why *why);

#endif
