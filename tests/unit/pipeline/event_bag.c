// Bodies are written by hand here, not by the encoder, so that a bag holds what a producer may send.
#include "event_bag.h"

#include "buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

void bag_init(struct bag *bag)
{
    *bag = (struct bag){0};
}

void bag_deinit(struct bag *bag)
{
    for (size_t i = 0; i < bag->count; i++) {
        free(bag->items[i].memory);
    }
    free(bag->items);
    *bag = (struct bag){0};
}

void bag_add(struct bag *bag, enum bus_topic topic, struct text body)
{
    if (bag->count == bag->cap) {
        bag->cap = bag->cap == 0 ? 64 : bag->cap * 2;
        struct bag_message *grown = realloc(bag->items, bag->cap * sizeof(grown[0]));
        assert_non_null(grown);
        bag->items = grown;
    }
    char *copy = malloc(body.size + 1);
    assert_non_null(copy);
    memcpy(copy, body.data, body.size);
    bag->items[bag->count++] = (struct bag_message){topic, {copy, body.size}, copy};
}

static const char *or_else(const char *text, const char *usual)
{
    return text != NULL ? text : usual;
}

static void add_member(struct buf *out, const char *key, const char *text)
{
    if (text != NULL) {
        buf_add_fmt(out, ", \"%s\": \"%s\"", key, text);
    }
}

static void add_buf(struct bag *bag, enum bus_topic topic, const struct buf *body)
{
    assert_false(buf_overflowed(body));
    bag_add(bag, topic, buf_view(body));
}

void bag_add_order(struct bag *bag, const struct bag_order *order)
{
    char memory[1024];
    struct buf body;
    buf_init_fixed(&body, memory, sizeof(memory));
    buf_add_fmt(&body, "{\"order_id\": %lld, \"customer_id\": %lld, \"quantity\": %lld",
                (long long)order->order_id,
                (long long)(order->customer_id != 0 ? order->customer_id : 7),
                (long long)(order->quantity != 0 ? order->quantity : 1));
    buf_add_fmt(&body, ", \"version\": %lld, \"price\": %s",
                (long long)(order->version != 0 ? order->version : 1),
                or_else(order->price, "10.00"));
    add_member(&body, "item", or_else(order->item, "Laptop"));
    add_member(&body, "shipping_address", "123 Main St");
    add_member(&body, "order_status", or_else(order->status, "Pending"));
    add_member(&body, "creation_date", or_else(order->date, "2024-01-21"));
    add_member(&body, "currency", order->currency);
    buf_add_char(&body, '}');
    add_buf(bag, BUS_ORDERS, &body);
}

void bag_add_payment(struct bag *bag, const struct bag_payment *payment)
{
    char memory[1024];
    struct buf body;
    buf_init_fixed(&body, memory, sizeof(memory));
    buf_add_fmt(&body, "{\"payment_id\": %lld, \"order_id\": %lld", (long long)payment->payment_id,
                (long long)payment->order_id);
    add_member(&body, "payment_method", or_else(payment->method, "Google Pay"));
    add_member(&body, "card_last_four", "0042");
    add_member(&body, "payment_status", or_else(payment->status, "Completed"));
    add_member(&body, "payment_datetime", "2024-01-21T10:01:30Z");
    add_member(&body, "currency", payment->currency);
    add_member(&body, "event_id", payment->event_id);
    if (payment->amount != NULL) {
        buf_add_fmt(&body, ", \"amount\": %s", payment->amount);
    }
    buf_add_char(&body, '}');
    add_buf(bag, BUS_PAYMENTS, &body);
}

void bag_add_pairs(struct bag *bag, int64_t first_order_id, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t order_id = first_order_id + (int64_t)i;
        bag_add_order(bag, &(struct bag_order){.order_id = order_id});
        bag_add_payment(bag, &(struct bag_payment){.order_id = order_id,
                                                   .payment_id = 1000 + order_id,
                                                   .amount = "10.00"});
    }
}

static void add_all_orders(struct bag *bag, const struct bag_order *orders, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bag_add_order(bag, &orders[i]);
    }
}

static void add_all_payments(struct bag *bag, const struct bag_payment *payments, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bag_add_payment(bag, &payments[i]);
    }
}

void bag_add_nasty(struct bag *bag)
{
    static const struct bag_order orders[] = {
        // 1: the third version wins; customer, day and price change on the way.
        {.order_id = 1, .version = 3, .customer_id = 7, .price = "3.00", .date = "2024-01-23"},
        {.order_id = 1, .version = 1, .customer_id = 7, .price = "1.00", .date = "2024-01-21"},
        {.order_id = 1, .version = 2, .customer_id = 8, .price = "2.00", .date = "2024-01-22"},
        // 2: two contents of the winning version, of different customers.
        {.order_id = 2, .version = 2, .customer_id = 7, .price = "5.00"},
        {.order_id = 2, .version = 2, .customer_id = 9, .price = "6.00"},
        {.order_id = 2, .version = 1, .customer_id = 7, .price = "4.00"},
        {.order_id = 3, .price = "5.00", .status = "Confirmed"},
        {.order_id = 4, .price = "50.00", .quantity = 2, .status = "Shipped"},
        {.order_id = 5, .price = "500", .currency = "JPY"},
        {.order_id = 6, .price = "8.00", .status = "Pending", .version = 1},
        {.order_id = 6, .price = "8.00", .status = "Cancelled", .version = 2},
        // 7: three contents of one version, which is then outranked.
        {.order_id = 7, .version = 1, .price = "1.001", .currency = "BHD"},
        {.order_id = 7, .version = 1, .price = "1.002", .currency = "BHD"},
        {.order_id = 7, .version = 1, .price = "1.003", .currency = "BHD"},
        {.order_id = 7, .version = 2, .price = "1.004", .currency = "BHD"},
        // 8: versions of equal content count once.
        {.order_id = 8, .version = 1},
        {.order_id = 8, .version = 2},
        {.order_id = 8, .version = 9},
        {.order_id = 9, .price = "0"},
        // 10: the same version spelled in three ways.
        {.order_id = 10, .price = "7"},
        {.order_id = 10, .price = "7.00"},
        {.order_id = 10, .price = "0.7e1"},
        {.order_id = 11, .price = "2.50", .date = "one of these days"},
        {.order_id = INT64_MAX, .price = "9.99", .customer_id = INT64_MAX},
    };
    static const struct bag_payment payments[] = {
        {.order_id = 1, .payment_id = 11},
        // 2: two contents of a payment event, and a refund without an amount.
        {.order_id = 2, .payment_id = 21, .amount = "5.00"},
        {.order_id = 2, .payment_id = 21, .amount = "4.00"},
        {.order_id = 2, .payment_id = 21, .status = "Refunded"},
        // 3: a late Failed, a Pending, and a second payment.
        {.order_id = 3, .payment_id = 31, .amount = "5.00"},
        {.order_id = 3, .payment_id = 31, .amount = "5.00", .status = "Failed"},
        {.order_id = 3, .payment_id = 31, .status = "Pending"},
        {.order_id = 3, .payment_id = 32, .amount = "1.50"},
        // 4: refunds in parts, one of them told in three ways.
        {.order_id = 4, .payment_id = 41},
        {.order_id = 4, .payment_id = 41, .status = "Refunded", .amount = "10", .event_id = "r1"},
        {.order_id = 4, .payment_id = 41, .status = "Refunded", .amount = "10", .event_id = "r2"},
        {.order_id = 4, .payment_id = 41, .status = "Refunded", .amount = "11", .event_id = "r2"},
        {.order_id = 4, .payment_id = 41, .status = "Refunded", .amount = "12", .event_id = "r2"},
        // 5: money of another currency, a chargeback that is reversed in part.
        {.order_id = 5, .payment_id = 51, .amount = "500", .currency = "JPY"},
        {.order_id = 5, .payment_id = 52, .amount = "5.00", .currency = "USD"},
        {.order_id = 5, .payment_id = 51, .status = "Chargeback"},
        {.order_id = 5,
         .payment_id = 51,
         .status = "ChargebackReversed",
         .amount = "200",
         .currency = "JPY"},
        {.order_id = 6, .payment_id = 61, .amount = "8.00"},
        {.order_id = 7, .payment_id = 71, .amount = "1.004", .currency = "BHD"},
        {.order_id = 8, .payment_id = 81, .status = "Refunded", .amount = "1.00"},
        // 10: one event, with an event_id that is a status, and without one.
        {.order_id = 10, .payment_id = 101, .amount = "7.00"},
        {.order_id = 10, .payment_id = 101, .amount = "3.00", .event_id = "Completed"},
        {.order_id = INT64_MAX, .payment_id = INT64_MAX},
        // Without their order: alone, in conflict, with several events, with a clashing event_id.
        {.order_id = 100, .payment_id = 1001, .amount = "1.00"},
        {.order_id = 101, .payment_id = 1011, .amount = "1.00"},
        {.order_id = 101, .payment_id = 1011, .amount = "2.00"},
        {.order_id = 102, .payment_id = 1021, .amount = "1.00", .currency = "EUR"},
        {.order_id = 102, .payment_id = 1021, .status = "Refunded"},
        {.order_id = 102, .payment_id = 1022, .status = "Failed"},
        {.order_id = 103, .payment_id = 1031, .amount = "1.00"},
        {.order_id = 103, .payment_id = 1031, .amount = "2.00", .event_id = "Completed"},
    };
    add_all_orders(bag, orders, sizeof(orders) / sizeof(orders[0]));
    add_all_payments(bag, payments, sizeof(payments) / sizeof(payments[0]));
    bag_add(bag, BUS_ORDERS, TEXT("{\"order_id\": 1, \"customer_id\": }"));
    bag_add(bag, BUS_ORDERS, TEXT("{\"order_id\": 3, \"customer_id\": 7}"));
    bag_add(bag, BUS_PAYMENTS, TEXT("{\"payment_id\": 11, \"order_id\": 0}"));
    bag_add(bag, BUS_PAYMENTS, TEXT("4111 1111 1111 1111 is no JSON"));
}

static const char *pick(struct rand *rand, const char *const *choices, size_t count)
{
    return choices[rand_below(rand, count)];
}
#define PICK(rand, choices) pick((rand), (choices), sizeof(choices) / sizeof((choices)[0]))

static void add_random_order(struct bag *bag, struct rand *rand, int64_t order_id)
{
    static const char *const prices[] = {"10.00", "10", "12.00", "0"};
    static const char *const statuses[] = {"Pending", "Pending", "Confirmed", "Cancelled"};
    static const char *const currencies[] = {NULL, NULL, "USD", "EUR"};
    static const char *const dates[] = {"2024-01-21", "2024-01-22", "2024-02-29T10:00:00Z"};
    bag_add_order(bag, &(struct bag_order){.order_id = order_id,
                                           .version = rand_between(rand, 1, 3),
                                           .customer_id = rand_between(rand, 7, 9),
                                           .quantity = rand_between(rand, 1, 2),
                                           .price = PICK(rand, prices),
                                           .currency = PICK(rand, currencies),
                                           .status = PICK(rand, statuses),
                                           .date = PICK(rand, dates)});
}

static void add_random_payment(struct bag *bag, struct rand *rand, int64_t order_id)
{
    static const char *const statuses[] = {"Completed",  "Completed",         "Failed",
                                           "Pending",    "Refunded",          "Refunded",
                                           "Chargeback", "ChargebackReversed"};
    static const char *const amounts[] = {NULL, "10.00", "10", "4.00", "12.00"};
    static const char *const currencies[] = {NULL, NULL, NULL, "USD", "EUR"};
    static const char *const event_ids[] = {NULL, NULL, "a", "b", "Completed", "Refunded"};
    bag_add_payment(bag,
                    &(struct bag_payment){.order_id = order_id,
                                          .payment_id = 10 * order_id + rand_between(rand, 1, 2),
                                          .status = PICK(rand, statuses),
                                          .amount = PICK(rand, amounts),
                                          .currency = PICK(rand, currencies),
                                          .event_id = PICK(rand, event_ids)});
}

void bag_add_random(struct bag *bag, struct rand *rand, size_t orders, size_t messages)
{
    for (size_t i = 0; i < messages; i++) {
        int64_t order_id = 1 + (int64_t)rand_below(rand, orders);
        bool order_comes = order_id % 6 != 0;
        if (order_comes && rand_below(rand, 10) < 3) {
            add_random_order(bag, rand, order_id);
        } else {
            add_random_payment(bag, rand, order_id);
        }
    }
}

void bag_add_generated(struct bag *bag, const struct generator_options *options,
                       struct bag_fates *out_fates)
{
    struct why why = {0};
    struct generator *generator = NULL;
    if (generator_create(options, &generator, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    *out_fates = (struct bag_fates){0};
    struct generated generated;
    while (generator_next(generator, &generated)) {
        bag_add(bag, generated.topic, generated.body);
        out_fates->counts[generated.fate]++;
    }
    generator_destroy(&generator);
}

size_t *bag_draw(const struct bag *bag, struct rand *rand, unsigned extra_percent,
                 size_t *out_count)
{
    size_t *drawn = malloc(2 * bag->count * sizeof(drawn[0]));
    assert_non_null(drawn);
    size_t count = 0;
    for (size_t i = 0; i < bag->count; i++) {
        drawn[count++] = i;
        if (rand_below(rand, 100) < extra_percent) {
            drawn[count++] = i;
        }
    }
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)rand_below(rand, i);
        size_t kept = drawn[i - 1];
        drawn[i - 1] = drawn[other];
        drawn[other] = kept;
    }
    *out_count = count;
    return drawn;
}
