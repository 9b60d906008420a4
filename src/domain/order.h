// An order as a producer states it, after all checks. Limits follow docs/contract.md.
#ifndef TILL_ORDER_H
#define TILL_ORDER_H

#include "currency.h"
#include "hash.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#define ORDER_ITEM_SIZE_MAX             256 // bytes, at least 1
#define ORDER_SHIPPING_ADDRESS_SIZE_MAX 512 // bytes, may be 0
#define ORDER_CREATION_DATE_SIZE_MAX    64  // bytes, at least 1
#define ORDER_QUANTITY_MAX              1000000
#define ORDER_VERSION_MAX               (INT64_C(1) << 31)

// X(name, text); the order is the rank that settles a tie of two versions
#define ORDER_STATUS_TABLE(X)                                                                      \
    X(PENDING, "Pending")                                                                          \
    X(CONFIRMED, "Confirmed")                                                                      \
    X(SHIPPED, "Shipped")                                                                          \
    X(DELIVERED, "Delivered")                                                                      \
    X(CANCELLED, "Cancelled")                                                                      \
    X(RETURNED, "Returned")

enum order_status {
#define X(name, text) ORDER_STATUS_##name,
    ORDER_STATUS_TABLE(X)
#undef X
        ORDER_STATUS_COUNT
};

struct order {
    int64_t order_id;
    int64_t customer_id;
    struct text item;
    int64_t quantity;
    int64_t price_minor; // unit price
    struct text shipping_address;
    enum order_status status;
    struct text creation_date;
    struct currency currency; // the default one when not given
    bool currency_given;
    bool version_given;
    int64_t version; // 1 ... ORDER_VERSION_MAX when given, else 0
};

struct text order_status_text(enum order_status status);
bool order_status_find(struct text text, enum order_status *out_status);

// price x quantity; fits by the limits above.
int64_t order_total_minor(const struct order *order);

// Where this version stands among the order's versions: every explicit version is above every
// implicit one, which ranks by its publish time in microseconds. Above zero.
int64_t order_version_rank(const struct order *order, int64_t published_us);
bool order_version_rank_is_explicit(int64_t version_rank);
// The stated version of an explicit rank, or the publish time of an implicit one.
int64_t order_version_rank_value(int64_t version_rank);

// Content in canonical form: the known fields that are present, after rounding, without the version
// (that is identity) and without defaults.
void order_content_hash(const struct order *order, struct hash *out_hash);

#endif
