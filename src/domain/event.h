// An event: one row of the truth about one order. Events are immutable; every state that till shows
// is a function of a set of them (fold.h).
//
// Identity is (order_id, kind, entity_id, event_id or version_rank, hash). The same identity and
// hash is the same row, however often it comes. The same identity with another hash is a second
// row: a conflict, which is therefore seen without reading before writing.
#ifndef TILL_EVENT_H
#define TILL_EVENT_H

#include "order.h"
#include "payment.h"

#include <stdbool.h>
#include <stdint.h>

enum event_kind { EVENT_ORDER, EVENT_PAYMENT, EVENT_NOTE };

// What happened to a payment event beside what producers said. Notes are kept for good.
// X(name, text)
#define NOTE_TABLE(X)                                                                              \
    X(PARKED, "PARKED")                                                                            \
    X(DEAD, "DEAD")                                                                                \
    X(DISCARDED, "DISCARDED")                                                                      \
    X(REPLAYED, "REPLAYED")

enum note_kind {
#define X(name, text) NOTE_##name,
    NOTE_TABLE(X)
#undef X
        NOTE_COUNT
};

struct note {
    enum note_kind kind;
    struct text about;  // event_id of the payment event it speaks of
    struct text detail; // message id, who and why, ...; may be empty
};

#define EVENT_NOTE_ABOUT_SIZE_MAX  PAYMENT_EVENT_ID_SIZE_MAX
#define EVENT_NOTE_DETAIL_SIZE_MAX 256

struct event {
    enum event_kind kind;
    int64_t order_id;
    int64_t entity_id;    // order_id of an order; payment_id of a payment, and of a note
    int64_t version_rank; // orders: order_version_rank(); else 0
    // Payments: payment_event_identity(); notes: as built by event_of_note; orders: empty.
    struct text event_id;
    struct hash hash;
    int64_t published_us; // when the broker took it; for people and for grace, never folded
    uint8_t place;        // the store's own mark of where the row lies; 0 in events that are new
    union {
        struct order order;
        struct payment payment;
        struct note note;
    };
};

// Fill *out_event from checked content. Texts are views: the event lives as long as they do.
void event_of_order(const struct order *order, int64_t published_us, struct event *out_event);
void event_of_payment(const struct payment *payment, int64_t published_us, struct event *out_event);
// `id_text` is the memory for the note's event_id ("PARKED:<about>").
#define EVENT_NOTE_ID_SIZE (16 + EVENT_NOTE_ABOUT_SIZE_MAX)
void event_of_note(int64_t order_id, int64_t payment_id, const struct note *note,
                   char id_text[EVENT_NOTE_ID_SIZE], struct event *out_event);

struct text note_kind_text(enum note_kind kind);
bool note_kind_find(struct text text, enum note_kind *out_kind);

// Order of rows in a partition, which are all of one order: kind, entity, identity (orders: version
// rank, then status rank of equal implicit ones), hash. event_same_identity ignores the hash.
int event_compare(const struct event *a, const struct event *b);
bool event_same_identity(const struct event *a, const struct event *b);
// Two versions of one implicit rank are no conflict (they only tie); everything else with the same
// identity and another hash is. Notes never conflict.
bool event_conflicts(const struct event *a, const struct event *b);

// Money that this event states, for conservation: an order's total; a payment's amount when given.
// false when it states none.
bool event_stated_money(const struct event *event, struct currency *out_currency,
                        int64_t *out_minor);

#endif
