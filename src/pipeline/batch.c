// Pulling and decoding.
#include "batch.h"

#include "order_json.h"
#include "payment_json.h"

#include <string.h>

struct pipeline_rules pipeline_rules_default(void)
{
    return (struct pipeline_rules){
        .decode = {.lenient_price = true, .default_currency = currency_usd()},
        .grace_us = 120 * US_PER_SECOND,
        .bucket_us = 10 * US_PER_SECOND,
        .max_hold_us = 3600 * US_PER_SECOND,
        .shards = 16,
        .dead_letter_age_max_us = 30 * 86400 * US_PER_SECOND,
    };
}

enum err batch_init(struct batch *batch)
{
    memset(batch, 0, sizeof(*batch));
    return arena_init(&batch->arena, BATCH_ARENA_SIZE);
}

void batch_deinit(struct batch *batch)
{
    arena_deinit(&batch->arena);
    batch->items = NULL;
    batch->count = 0;
    batch->order_count = 0;
}

// Bodies may take this part of the arena from each topic, whatever the limits say: decoding and
// matching need the rest, and a batch that does not fit would not fit after a restart either.
#define BODIES_SHARE 8u

static enum err pull(struct batch *batch, struct bus *bus, enum bus_topic source,
                     const struct batch_limits *limits, struct why *why)
{
    struct bus_message *messages = NULL;
    size_t count = 0;
    size_t share = batch->arena.cap / BODIES_SHARE;
    enum err err = bus_pull(bus, source, limits->count_max / 2 + limits->count_max % 2,
                            limits->size_max < share ? limits->size_max : share, &batch->arena,
                            &messages, &count, why);
    if (err != ERR_OK || count == 0) {
        return err;
    }
    struct batch_item *items = ARENA_ARRAY(&batch->arena, struct batch_item, batch->count + count);
    if (items == NULL) {
        return why_set(why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    if (batch->count > 0) {
        memcpy(items, batch->items, batch->count * sizeof(items[0]));
    }
    for (size_t i = 0; i < count; i++) {
        items[batch->count + i].message = &messages[i];
        items[batch->count + i].source = source;
    }
    batch->items = items;
    batch->count += count;
    return ERR_OK;
}

enum err batch_pull(struct batch *batch, struct bus *bus, const struct batch_limits *limits,
                    struct why *why)
{
    arena_reset(&batch->arena);
    batch->items = NULL;
    batch->count = 0;
    batch->order_count = 0;
    batch->orders_pulled = limits->orders;
    batch->remarks = (struct batch_remarks){0};
    enum err err = ERR_OK;
    if (limits->orders) {
        err = pull(batch, bus, BUS_ORDERS, limits, why);
        batch->order_count = batch->count;
    }
    if (err == ERR_OK && limits->payments) {
        err = pull(batch, bus, BUS_PAYMENTS, limits, why);
    }
    return err;
}

static bool decode_order(struct batch *batch, struct batch_item *item,
                         const struct pipeline_rules *rules, struct decode_remarks *remarks,
                         struct refusal *refusal)
{
    struct order order;
    bool good =
        order_decode(item->message->data, &rules->decode, &batch->arena, &order, remarks, refusal);
    if (good) {
        event_of_order(&order, item->message->published_us, &item->incoming.event);
    }
    return good;
}

static bool decode_payment(struct batch *batch, struct batch_item *item,
                           const struct pipeline_rules *rules, struct decode_remarks *remarks,
                           struct refusal *refusal)
{
    struct payment payment;
    bool good = payment_decode(item->message->data, &rules->decode, &batch->arena, &payment,
                               remarks, refusal);
    if (good) {
        event_of_payment(&payment, item->message->published_us, &item->incoming.event);
    }
    return good;
}

static void decode_item(struct batch *batch, struct batch_item *item,
                        const struct pipeline_rules *rules)
{
    struct decode_remarks remarks = {0};
    struct refusal refusal;
    bool good = item->source == BUS_ORDERS ? decode_order(batch, item, rules, &remarks, &refusal)
                                           : decode_payment(batch, item, rules, &remarks, &refusal);
    batch->remarks.unknown_fields += remarks.unknown_field_count;
    batch->remarks.prices_rounded += remarks.price_rounded;
    batch->remarks.times_unparsed += remarks.time_unparsed;
    if (!good) {
        struct refusal *kept = ARENA_NEW(&batch->arena, struct refusal);
        if (kept != NULL) { // else the arena overflowed, which sticks
            *kept = refusal;
        }
        item->refusal = kept;
    }
}

enum err batch_decode(struct batch *batch, const struct pipeline_rules *rules, struct why *why)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->items[i].refusal == NULL) {
            decode_item(batch, &batch->items[i], rules);
        }
    }
    if (arena_overflowed(&batch->arena)) {
        return why_set(why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    return ERR_OK;
}

enum err batch_fetch(struct batch *batch, struct bus *bus, const struct batch_limits *limits,
                     const struct pipeline_rules *rules, struct why *why)
{
    enum err err = batch_pull(batch, bus, limits, why);
    return err == ERR_OK ? batch_decode(batch, rules, why) : err;
}

typedef enum err settle_fn(struct bus *bus, enum bus_topic subscription,
                           const struct bus_handle *handles, size_t count, struct why *why);

static enum err settle(struct batch *batch, struct bus *bus, enum bus_topic source, size_t first,
                       size_t end, settle_fn *tell, struct why *why)
{
    if (first == end) {
        return ERR_OK;
    }
    struct bus_handle *handles = ARENA_ARRAY(&batch->arena, struct bus_handle, end - first);
    if (handles == NULL) {
        return why_set(why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    for (size_t i = first; i < end; i++) {
        handles[i - first] = batch->items[i].message->handle;
    }
    return tell(bus, source, handles, end - first, why);
}

static enum err settle_both(struct batch *batch, struct bus *bus, settle_fn *tell, struct why *why)
{
    enum err err = settle(batch, bus, BUS_ORDERS, 0, batch->order_count, tell, why);
    return err == ERR_OK
               ? settle(batch, bus, BUS_PAYMENTS, batch->order_count, batch->count, tell, why)
               : err;
}

enum err batch_ack(struct batch *batch, struct bus *bus, struct why *why)
{
    return settle_both(batch, bus, bus_ack, why);
}

enum err batch_nack(struct batch *batch, struct bus *bus, struct why *why)
{
    return settle_both(batch, bus, bus_nack, why);
}
