// What producers say in the scenarios that have a story of their own; the others take the generator's.
#include "stories.h"

#include <stdio.h>

void story_random_messages(struct script *script, const struct plan *plan)
{
    (void)plan;
    struct bag bag;
    bag_init(&bag);
    bag_add_random(&bag, sim_rand(script->sim), 40, 600);
    bag_add_nasty(&bag);
    script_add_bag(script, &bag);
    bag_deinit(&bag);
}

// Two producers that contradict each other about the same payments and versions.
void story_conflicts(struct script *script, const struct plan *plan)
{
    (void)plan;
    struct bag bag;
    bag_init(&bag);
    struct rand *rand = sim_rand(script->sim);
    static const char *const amounts[] = {"10.00", "10.50", "7.25"};
    for (int64_t order = 1; order <= 60; order++) {
        bag_add_order(&bag, &(struct bag_order){.order_id = order});
        for (size_t side = 0; side < 2 + rand_below(rand, 2); side++) {
            bag_add_payment(&bag, &(struct bag_payment){.order_id = order,
                                                        .payment_id = 1000 + order,
                                                        .currency = "USD",
                                                        .amount = amounts[side]});
        }
        if (rand_below(rand, 3) == 0) {
            bag_add_order(&bag, &(struct bag_order){.order_id = order, .price = "11.00"});
        }
    }
    script_add_bag(script, &bag);
    bag_deinit(&bag);
}

// Orders are cancelled and opened again by later versions, which may come first.
void story_reopened(struct script *script, const struct plan *plan)
{
    (void)plan;
    struct bag bag;
    bag_init(&bag);
    struct rand *rand = sim_rand(script->sim);
    for (int64_t order = 1; order <= 60; order++) {
        int64_t versions = rand_between(rand, 2, 6);
        for (int64_t version = 1; version <= versions; version++) {
            const char *status = version % 2 == 0 ? "Cancelled" : "Pending";
            bag_add_order(
                &bag, &(struct bag_order){.order_id = order, .version = version, .status = status});
        }
        bag_add_payment(&bag, &(struct bag_payment){.order_id = order, .payment_id = 500 + order});
    }
    script_add_bag(script, &bag);
    bag_deinit(&bag);
}

// A payment, its order while sweepers are at it, and some time later one payment more.
void story_late_payments(struct script *script, const struct plan *plan)
{
    (void)plan;
    struct bag bag;
    bag_init(&bag);
    for (int64_t order = 1; order <= 150; order++) {
        bag_add_payment(&bag, &(struct bag_payment){.order_id = order, .payment_id = order});
        if (order > 3) {
            bag_add_order(&bag, &(struct bag_order){.order_id = order - 3});
        }
        if (order > 9) {
            bag_add_payment(
                &bag, &(struct bag_payment){.order_id = order - 9, .payment_id = 1000 + order});
        }
    }
    script_add_bag(script, &bag);
    bag_deinit(&bag);
}

// Orders that state no version, said again with the same content and with other content.
void story_repeated_orders(struct script *script, const struct plan *plan)
{
    (void)plan;
    struct bag bag;
    bag_init(&bag);
    struct rand *rand = sim_rand(script->sim);
    for (int i = 0; i < 300; i++) {
        char body[256];
        int size =
            snprintf(body, sizeof(body),
                     "{\"order_id\":%d,\"customer_id\":7,\"item\":\"Laptop\",\"quantity\":%d,"
                     "\"price\":5.00,\"shipping_address\":\"12 Elm Street\","
                     "\"order_status\":\"Pending\",\"creation_date\":\"2024-01-21\"}",
                     1000 + (int)rand_below(rand, 30), 1 + (int)rand_below(rand, 2));
        bag_add(&bag, BUS_ORDERS, (struct text){body, (size_t)size});
    }
    bag_add_random(&bag, rand, 30, 200);
    script_add_bag(script, &bag);
    bag_deinit(&bag);
}

// One order with more versions than an order takes, and one with more payment events.
void story_hot_orders(struct script *script, const struct plan *plan)
{
    struct bag bag;
    bag_init(&bag);
    int64_t above = plan->shape == STORE_EMBEDDED ? 20 : 400; // more than processes take unasked
    for (int64_t i = 1; i <= FOLD_EVENTS_OF_KIND_MAX + above; i++) {
        char event_id[24];
        (void)snprintf(event_id, sizeof(event_id), "e%d", (int)i);
        bag_add_order(&bag, &(struct bag_order){.order_id = 1, .version = i});
        bag_add_payment(&bag, &(struct bag_payment){.order_id = 2,
                                                    .payment_id = 20,
                                                    .amount = "0.01",
                                                    .currency = "USD",
                                                    .event_id = event_id});
    }
    bag_add_order(&bag, &(struct bag_order){.order_id = 2});
    bag_add_payment(&bag, &(struct bag_payment){.order_id = 1, .payment_id = 10});
    script_add_bag(script, &bag);
    bag_deinit(&bag);
}
