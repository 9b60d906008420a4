// Dead letters on their way out: collected while a batch is worked on, then published and awaited
// before anything of the batch is committed or acked.
#ifndef TILL_LETTERS_H
#define TILL_LETTERS_H

#include "arena.h"
#include "bus.h"
#include "dead_letter.h"
#include "decode.h"
#include "store.h"

struct letters {
    struct arena *arena;
    struct dead_letter **items[2]; // for orders_dlq, for payments_dlq
    size_t counts[2];
    size_t caps[2];
};

void letters_init(struct letters *letters, struct arena *arena);

// A refused message: its bytes (redacted when they hold card data) and why.
void letters_add_refused(struct letters *letters, enum bus_topic source,
                         const struct bus_message *message, const struct refusal *refusal);
// An event that lost to another of the same identity. `message` is the one that brought it, or NULL
// when the event was stored earlier: then its body is rebuilt from the columns.
void letters_add_conflict(struct letters *letters, const struct event *event,
                          const struct bus_message *message);
// A waiting payment whose order did not come.
void letters_add_unmatched(struct letters *letters, const struct waiting_payment *waiting,
                           const struct event *event);

// Publishes all that was added and waits until it is durable. Running out of arena is
// ERR_NO_MEMORY, before anything is published.
MUST_USE enum err letters_publish(struct letters *letters, struct bus *bus, struct why *why);

#endif
