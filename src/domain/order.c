// Orders: status table, version ranks, and the hash that names an order's content.
#include "order.h"

#include "money.h"

#include <assert.h>
#include <stddef.h>

// Explicit versions are below 2^32 and publish times in microseconds far below 2^62, so one bit
// keeps the two apart and the plain integer order is the rank.
#define EXPLICIT_BIT   (INT64_C(1) << 62)
#define IMPLICIT_MAX   (EXPLICIT_BIT - 1)
#define ORDER_HASH_TAG UINT64_C(0x31726564726f2d74) // "t-order1"

static const struct text status_texts[ORDER_STATUS_COUNT] = {
#define X(name, text) [ORDER_STATUS_##name] = {text, sizeof(text) - 1},
    ORDER_STATUS_TABLE(X)
#undef X
};

struct text order_status_text(enum order_status status)
{
    assert((unsigned)status < ORDER_STATUS_COUNT);
    return status_texts[status];
}

bool order_status_find(struct text text, enum order_status *out_status)
{
    for (size_t i = 0; i < ORDER_STATUS_COUNT; i++) {
        if (text_equal(text, status_texts[i])) {
            *out_status = (enum order_status)i;
            return true;
        }
    }
    return false;
}

int64_t order_total_minor(const struct order *order)
{
    int64_t total_minor = 0;
    bool fits = money_multiply(order->price_minor, order->quantity, &total_minor);
    assert(fits);
    return total_minor;
}

int64_t order_version_rank(const struct order *order, int64_t published_us)
{
    if (order->version_given) {
        assert(order->version >= 1 && order->version <= ORDER_VERSION_MAX);
        return EXPLICIT_BIT | order->version;
    }
    // A broker with a broken clock must not push an implicit version above an explicit one.
    if (published_us < 1) {
        return 1;
    }
    return published_us > IMPLICIT_MAX ? IMPLICIT_MAX : published_us;
}

bool order_version_rank_is_explicit(int64_t version_rank)
{
    assert(version_rank > 0);
    return (version_rank & EXPLICIT_BIT) != 0;
}

int64_t order_version_rank_value(int64_t version_rank)
{
    assert(version_rank > 0);
    return version_rank & IMPLICIT_MAX;
}

// All numbers and sizes come before all texts, so that no two orders give the same bytes. Status
// and currency go in as their texts: tables may be reordered, stored hashes must not change.
void order_content_hash(const struct order *order, struct hash *out_hash)
{
    struct text status = order_status_text(order->status);
    struct text currency = order->currency_given ? currency_code(order->currency) : TEXT("");
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_add_u64(&hasher, ORDER_HASH_TAG);
    hasher_add_u64(&hasher, (uint64_t)order->order_id);
    hasher_add_u64(&hasher, (uint64_t)order->customer_id);
    hasher_add_u64(&hasher, (uint64_t)order->quantity);
    hasher_add_u64(&hasher, (uint64_t)order->price_minor);
    hasher_add_u64(&hasher, order->item.size | order->shipping_address.size << 16 |
                                order->creation_date.size << 32 | status.size << 48 |
                                currency.size << 56);
    hasher_add(&hasher, order->item.data, order->item.size);
    hasher_add(&hasher, order->shipping_address.data, order->shipping_address.size);
    hasher_add(&hasher, order->creation_date.data, order->creation_date.size);
    hasher_add(&hasher, status.data, status.size);
    hasher_add(&hasher, currency.data, currency.size);
    hasher_final(&hasher, out_hash);
}
