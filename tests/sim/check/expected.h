// What producers said, and what must come of it by docs/contract.md and docs/settlement.md: a naive
// reading of the rules, for the checker. It looks at the broker's messages alone, never at the store, and
// uses none of the pipeline's code beyond the decoders; facts come from the naive fold.
#ifndef TILL_SIM_EXPECTED_H
#define TILL_SIM_EXPECTED_H

#include "bus_sim.h"
#include "checker_index.h"
#include "dead_letter.h"
#include "fold_naive.h"
#include "generator.h"
#include "rules.h"

struct expected_order;

// A distinct event: what any number of messages said.
struct expected_event {
    struct event event;
    struct expected_order *order;
    uint32_t message_count;
    uint32_t acked_count;   // of them
    int64_t first_acked_us; // 0: not yet
    uint32_t refused_count; // of them, good as they are: E_HOT_ORDER, E_POISON
    unsigned seen;          // mask of the checker's views in which the row is stored
};

// All about one order id.
struct expected_order {
    int64_t order_id;
    struct expected_event **events; // in the order in which they were first published
    size_t count;
    size_t cap;
    uint32_t unacked;       // good messages that no process has acked
    uint32_t refused_count; // good messages that were refused all the same
    int64_t first_order_us; // publish time of the first version; 0: none
    int64_t order_acked_us; // when a process first acked a version; 0: none did
};

// A message of orders_data or payments_data.
struct expected_message {
    enum bus_topic topic;
    uint64_t sequence;
    struct text message_id;
    struct text body;
    int64_t published_us;
    enum reason reason;           // REASON_NONE: good
    struct expected_event *event; // NULL when it is refused by the rules
    uint32_t letter_reasons;      // mask of the reasons of dead letters that name this message
    bool acked;                   // by a process, at least once
    bool has_fate;
    enum generated_fate fate;
    enum reason fate_reason;
};

// A message of a dead-letter topic.
struct expected_letter {
    enum bus_topic topic;
    uint64_t sequence;
    struct dead_letter letter;
    struct attributes attributes;
    struct expected_message *source; // NULL when it names none
};

struct expected;

struct expected *expected_create(const struct sim_broker *broker,
                                 const struct pipeline_rules *rules);
void expected_destroy(struct expected **expected);

// Reads what was published since.
void expected_take_in(struct expected *expected);

size_t expected_message_count(const struct expected *expected, enum bus_topic topic);
struct expected_message *expected_message(const struct expected *expected, enum bus_topic topic,
                                          uint64_t sequence); // NULL: not published
size_t expected_letter_count(const struct expected *expected, enum bus_topic topic);
const struct expected_letter *expected_letter(const struct expected *expected, enum bus_topic topic,
                                              uint64_t sequence);
size_t expected_order_count(const struct expected *expected);
struct expected_order *expected_order_at(const struct expected *expected, size_t index);
struct expected_order *expected_order(const struct expected *expected, int64_t order_id);
struct expected_event *expected_event(const struct expected *expected, const struct event *row);
// Whether a payment event of this identity was published for the order.
bool expected_has_payment(const struct expected *expected, int64_t order_id, int64_t payment_id,
                          struct text event_id);

// Good, and refused all the same, for what lies outside of it: E_HOT_ORDER, E_POISON.
bool expected_refused_late(const struct expected_message *message);
// Whether some message of the event must have been applied.
bool expected_is_sure(const struct expected_event *event);
// Unversioned order that says what a later (or the same) version of `other` says.
bool expected_repeats(const struct event *event, const struct event *other);

// The naive fold of the order's events: those that are sure, and the others when their row is seen in one
// of `views`. The result holds until the next call; NULL when there are more than it can take.
const struct naive_fact *expected_fold(struct expected *expected,
                                       const struct expected_order *order, unsigned views);

#endif
