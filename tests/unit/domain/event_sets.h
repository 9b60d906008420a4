// Events for tests, from a short description; and comparison of facts, column by column.
#ifndef TILL_EVENT_SETS_H
#define TILL_EVENT_SETS_H

#include "fold.h"

#include <stddef.h>
#include <stdint.h>

#define SET_ORDER_ID     42
#define SET_ROWS_MAX     4096
#define SET_PUBLISHED_US INT64_C(1705831290000000)

// One row in short. Zeros are usable: an order of 1 x 100.00 USD, Pending, without a version; a
// payment without amount and currency.
struct step {
    enum event_kind kind;
    int64_t payment_id; // of payments and notes
    enum order_status order_status;
    enum payment_status payment_status;
    int64_t price_minor;  // 0: 10000; FREE: none at all
    int64_t quantity;     // 0: 1
    int64_t version;      // 0: not given
    int64_t later_us;     // published that much after SET_PUBLISHED_US
    int64_t amount_minor; // 0: not given
    const char *currency; // NULL: not given
    const char *event_id; // NULL: not given
    const char *content;  // item of orders, method of payments, detail of notes; NULL: a usual one
    enum note_kind note_kind;
};
#define FREE (-1)

// A step as event. `note_id` is the memory for a note's event_id.
void event_of_step(const struct step *step, char note_id[EVENT_NOTE_ID_SIZE],
                   struct event *out_event);

// Memory of one fold of up to SET_ROWS_MAX rows.
struct set_space {
    const struct event *sorted[SET_ROWS_MAX];
    const struct event *losers[SET_ROWS_MAX];
    struct fact_payment payments[SET_ROWS_MAX];
};

// Folds into *space; the fact is valid until the next fold there.
enum err fold_set(const struct event *const *rows, size_t count, const struct fold_rules *rules,
                  struct set_space *space, struct fact *out_fact);

// Every column, losers and payments included, or the test fails. Rows are the same when their
// content is, wherever they lie.
void check_same_fact(const struct fact *fact, const struct fact *expected);

#endif
