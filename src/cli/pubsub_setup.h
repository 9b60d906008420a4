// What till needs on Pub/Sub: four topics, each with one subscription (docs/contract.md), and how the
// subscriptions have to be. Looks at what is there, names what differs, creates and changes. Never
// deletes. Why each setting is wanted stands in docs/pubsub.md.
//
// Some settings are left as they are found, because till works with any of them: labels, whether acked
// messages are kept, and a retention longer than wanted (a shorter one could delete messages).
#ifndef TILL_PUBSUB_SETUP_H
#define TILL_PUBSUB_SETUP_H

#include "arena.h"
#include "buf.h"
#include "bus.h"
#include "pubsub.h"

struct setup_wishes {
    const char *topics[BUS_TOPIC_COUNT];        // short or full; NULL: bus_topic_name
    const char *subscriptions[BUS_TOPIC_COUNT]; // NULL: bus_subscription_name
    int64_t ack_deadline_us;
    int64_t retention_us; // at least
};

// A topic and its subscription, as they are and as they should be. Texts are borrowed from the wishes
// or live in the arena.
struct setup_pair {
    struct text topic;
    struct text subscription;
    bool has_topic;
    bool has_subscription;
    struct pubsub_subscription_settings wanted;
    struct pubsub_subscription_settings found; // when there is one
    struct pubsub_difference differences[PUBSUB_DIFFERENCES_MAX];
    size_t difference_count;
};

// The names and what is wanted; nothing is asked.
void setup_pair_init(struct setup_pair *pair, const struct setup_wishes *wishes,
                     enum bus_topic topic);

// Ask the service. That there is none is no error. ERR_PERMISSION when it may not be looked at, RETRY
// when there was no answer in time.
MUST_USE enum err setup_pair_look(struct setup_pair *pair, struct pubsub *client,
                                  struct arena *arena, struct why *why);

// Make what is missing; what somebody else has just made is fine. A subscription's topic must be there.
MUST_USE enum err setup_pair_create_topic(struct setup_pair *pair, struct pubsub *client,
                                          struct why *why);
MUST_USE enum err setup_pair_create_subscription(struct setup_pair *pair, struct pubsub *client,
                                                 struct why *why);

// Changes one difference that can be changed, alone, so that a service which can't change this field
// (class REJECT) still changes the others.
MUST_USE enum err setup_pair_change(struct setup_pair *pair, size_t difference,
                                    struct pubsub *client, struct why *why);

// The value of a field of struct pubsub_difference, for people: "60s", "never", "true".
void setup_add_value(struct buf *out, const struct pubsub_subscription_settings *settings,
                     const char *field);
// What to do about a difference that the service cannot change.
const char *setup_remedy(const char *field);

// "orders_data" of "projects/P/topics/orders_data"; another name is given back whole.
struct text setup_short_name(struct text name);

// Adds to `why` what a person can do about an error of the service.
void setup_advise(struct why *why);

#endif
