// Dispatch to the implementation, and the names of contract.md.
#include "bus.h"

#include <assert.h>

static const struct {
    struct text topic;
    struct text subscription;
} names[BUS_TOPIC_COUNT] = {
    [BUS_ORDERS] = {TEXT("orders_data"), TEXT("orders_data-sub")},
    [BUS_PAYMENTS] = {TEXT("payments_data"), TEXT("payments_data-sub")},
    [BUS_ORDERS_DLQ] = {TEXT("orders_dlq"), TEXT("orders_dlq-sub")},
    [BUS_PAYMENTS_DLQ] = {TEXT("payments_dlq"), TEXT("payments_dlq-sub")},
};

struct text bus_topic_name(enum bus_topic topic)
{
    assert((unsigned)topic < BUS_TOPIC_COUNT);
    return names[topic].topic;
}

struct text bus_subscription_name(enum bus_topic topic)
{
    assert((unsigned)topic < BUS_TOPIC_COUNT);
    return names[topic].subscription;
}

enum err bus_publish(struct bus *bus, enum bus_topic topic, const struct bus_outgoing *messages,
                     size_t count, struct why *why)
{
    assert((unsigned)topic < BUS_TOPIC_COUNT);
    assert(messages != NULL || count == 0);
    return bus->ops->publish(bus, topic, messages, count, why);
}

enum err bus_pull(struct bus *bus, enum bus_topic subscription, size_t count_max, size_t size_max,
                  struct arena *arena, struct bus_message **out_messages, size_t *out_count,
                  struct why *why)
{
    assert((unsigned)subscription < BUS_TOPIC_COUNT);
    assert(count_max > 0 && arena != NULL && out_messages != NULL && out_count != NULL);
    return bus->ops->pull(bus, subscription, count_max, size_max, arena, out_messages, out_count,
                          why);
}

enum err bus_ack(struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles,
                 size_t count, struct why *why)
{
    assert((unsigned)subscription < BUS_TOPIC_COUNT);
    assert(handles != NULL || count == 0);
    return bus->ops->ack(bus, subscription, handles, count, why);
}

enum err bus_nack(struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles,
                  size_t count, struct why *why)
{
    assert((unsigned)subscription < BUS_TOPIC_COUNT);
    assert(handles != NULL || count == 0);
    return bus->ops->nack(bus, subscription, handles, count, why);
}

enum err bus_extend(struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles,
                    size_t count, int64_t lease_us, struct why *why)
{
    assert((unsigned)subscription < BUS_TOPIC_COUNT);
    assert((handles != NULL || count == 0) && lease_us >= 0);
    return bus->ops->extend(bus, subscription, handles, count, lease_us, why);
}

enum err bus_wait(struct bus *bus, int64_t timeout_us, struct why *why)
{
    assert(timeout_us >= 0);
    return bus->ops->wait(bus, timeout_us, why);
}

void bus_wake(struct bus *bus)
{
    bus->ops->wake(bus);
}

enum err bus_backlog(struct bus *bus, enum bus_topic subscription, struct bus_backlog *out_backlog,
                     struct why *why)
{
    assert((unsigned)subscription < BUS_TOPIC_COUNT);
    assert(out_backlog != NULL);
    return bus->ops->backlog(bus, subscription, out_backlog, why);
}

void bus_close(struct bus **bus)
{
    if (bus != NULL && *bus != NULL) {
        (*bus)->ops->close(*bus);
        *bus = NULL;
    }
}
