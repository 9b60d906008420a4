// Bags of messages: what producers said, in no order. Tests draw deliveries from a bag (shuffled,
// some messages more than once) and compare what becomes of them.
#ifndef TILL_EVENT_BAG_H
#define TILL_EVENT_BAG_H

#include "bus.h"
#include "generator.h"
#include "rand.h"
#include "text.h"

#include <stddef.h>
#include <stdint.h>

struct bag_message {
    enum bus_topic topic;
    struct text body; // lies in memory
    char *memory;
};

struct bag {
    struct bag_message *items;
    size_t count;
    size_t cap;
};

// An order or a payment in short. Zeros and NULLs are usable.
struct bag_order {
    int64_t order_id;
    int64_t version;      // 0: 1
    int64_t customer_id;  // 0: 7
    int64_t quantity;     // 0: 1
    const char *price;    // NULL: 10.00
    const char *currency; // NULL: not given
    const char *status;   // NULL: Pending
    const char *date;     // NULL: 2024-01-21
    const char *item;     // NULL: Laptop
};
struct bag_payment {
    int64_t order_id;
    int64_t payment_id;
    const char *status;   // NULL: Completed
    const char *amount;   // NULL: not given
    const char *currency; // NULL: not given
    const char *event_id; // NULL: not given
    const char *method;   // NULL: Google Pay
};

void bag_init(struct bag *bag);
void bag_deinit(struct bag *bag);

void bag_add(struct bag *bag, enum bus_topic topic, struct text body);
void bag_add_order(struct bag *bag, const struct bag_order *order);
void bag_add_payment(struct bag *bag, const struct bag_payment *payment);

// `count` orders from `first_order_id` on, each with one Completed payment in full.
void bag_add_pairs(struct bag *bag, int64_t first_order_id, size_t count);
// Everything that is unpleasant at once, written by hand; see its expected facts in shuffle_test.c.
void bag_add_nasty(struct bag *bag);
// Random messages about `orders` orders from small sets of values, so that equal identities,
// conflicts, outranked versions and foreign currencies all come up; one order in six never comes.
void bag_add_random(struct bag *bag, struct rand *rand, size_t orders, size_t messages);

// What the generator says that becomes of its messages, by fate.
struct bag_fates {
    size_t counts[GENERATED_CONFLICT + 1];
};
// All that the generator makes of these pairs.
void bag_add_generated(struct bag *bag, const struct generator_options *options,
                       struct bag_fates *out_fates);

// Draws a delivery: every message once, `extra_percent` of them once more, in random order. Gives
// indexes into items, on the heap: free() them.
size_t *bag_draw(const struct bag *bag, struct rand *rand, unsigned extra_percent,
                 size_t *out_count);

#endif
