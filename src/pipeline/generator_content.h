// What the orders and payments of a pair say. Pure functions of the pair. Internal to the generator.
#ifndef TILL_GENERATOR_CONTENT_H
#define TILL_GENERATOR_CONTENT_H

#include "generator_pair.h"
#include "order.h"
#include "payment.h"

// Memory that the texts of one order or one payment point into.
struct content_space {
    char address[128];
    char time[32];
    char last_four[PAYMENT_LAST_FOUR_SIZE];
};

void content_find_currencies(struct currency out_currencies[PAIR_CURRENCY_COUNT]);
// Sets item, quantity, currency, price and total.
void content_draw_goods(struct pair *pair);

// `part` is one of the order's, or one of the payment's.
void content_order(const struct pair_rules *rules, const struct pair *pair, enum pair_part part,
                   struct content_space *space, struct order *out_order);
void content_payment(const struct pair_rules *rules, const struct pair *pair, enum pair_part part,
                     struct content_space *space, struct payment *out_payment);

#endif
