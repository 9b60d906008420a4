// Dead letters: a body as it came and attributes that say why (docs/contract.md, "Dead letter").
#ifndef TILL_DEAD_LETTER_H
#define TILL_DEAD_LETTER_H

#include "arena.h"
#include "attributes.h"
#include "decode.h"
#include "errors.h"
#include "event.h"
#include "hash.h"
#include "reason.h"
#include "text.h"

#include <stdint.h>

struct dead_letter {
    struct hash id; // dead_letter_id_*(): a second publication has the same one
    enum reason reason;
    struct text detail; // which field, what was expected; escaped; at most REFUSAL_DETAIL_SIZE
    struct text body;   // the original bytes, redacted when `redacted`
    struct text source_topic;
    struct text source_message_id;
    int64_t first_seen_us; // publish time of the source message
    int64_t order_id;      // 0 when unknown
    int64_t payment_id;    // 0 when unknown, or for an order
    struct text event_id;  // of the payment event; may be empty
    uint32_t attempts;     // deliveries of the source message
    uint32_t replay_count;
    bool redacted;
    bool rebuilt; // body was made anew from stored columns (the older side of a conflict)
};

// Identity of a refused message: topic, broker's message id and publish time.
void dead_letter_id_of_message(struct text source_topic, struct text source_message_id,
                               int64_t published_us, struct hash *out_id);
// Identity of a dead letter about an event (E_UNMATCHED, E_CONFLICT): reason, order, kind, entity,
// event id or version rank, and hash.
void dead_letter_id_of_event(enum reason reason, const struct event *event, struct hash *out_id);

// Attributes of the letter, allocated in `arena`: till_id, till_reason, till_detail,
// till_source_topic, till_source_message_id, till_first_seen (RFC 3339), till_attempts,
// till_replay_count, and where they apply till_order_id, till_payment_id, till_event_id,
// till_redacted, till_rebuilt; and CloudPubSubDeadLetterSourceTopicPublishTime and
// CloudPubSubDeadLetterSourceDeliveryCount, which are Pub/Sub's own names for first_seen and
// attempts. Values point into the letter or into `arena`. ERR_NO_MEMORY when the arena overflows.
MUST_USE enum err dead_letter_attributes(const struct dead_letter *letter, struct arena *arena,
                                         struct attributes *out_attributes);

// Reads body and attributes back; texts point into them or into `arena`. Tolerant: a letter that
// somebody else published, with attributes missing or out of range, still gives a record: missing
// texts are empty, numbers 0 (a till_replay_count that is no number below 2^31 counts as
// UINT32_MAX), an unknown reason is E_POISON with the name kept in detail, a missing id is made
// from source topic, message id and `published_us` of the dead letter itself. first_seen and
// attempts are taken from Pub/Sub's own names when ours aren't there. ERR_NO_MEMORY when the arena
// overflows.
MUST_USE enum err dead_letter_read(struct text body, struct attributes attributes,
                                   struct text message_id, int64_t published_us,
                                   struct arena *arena, struct dead_letter *out_letter);

#endif
