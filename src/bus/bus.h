// The bus seam: publish, pull, ack, nack, extend. Three implementations stand behind it: the
// embedded broker, Google Cloud Pub/Sub, and a simulated one. Business code sees only this.
//
// Delivery is at least once. A message pulled is leased until it is acked, nacked or the lease
// expires; then it comes again. Everything that a pull gives points into the arena given to it.
// All calls may be made from any thread.
#ifndef TILL_BUS_H
#define TILL_BUS_H

#include "arena.h"
#include "attributes.h"
#include "errors.h"
#include "text.h"

#include <stddef.h>
#include <stdint.h>

// Names of contract.md; an implementation maps them to its own resources.
enum bus_topic { BUS_ORDERS, BUS_PAYMENTS, BUS_ORDERS_DLQ, BUS_PAYMENTS_DLQ, BUS_TOPIC_COUNT };
// Each topic has one subscription of the pipeline's, by the same number.

struct bus_outgoing {
    struct text data;
    struct attributes attributes;
};

// Names a delivery towards ack, nack and extend. Opaque to callers; the text lives in the pull's arena.
struct bus_handle {
    uint64_t number;
    struct text text;
};

struct bus_message {
    struct text message_id;    // unique in its topic; the same at every redelivery
    uint64_t sequence;         // position in the topic, 1, 2, 3, ... where the bus has one; else 0
    int64_t published_us;      // the broker's clock
    uint32_t delivery_attempt; // 1 at first
    struct text data;
    struct attributes attributes;
    struct bus_handle handle;
};

struct bus_backlog {
    uint64_t published;        // messages ever published to the topic; 0 where the bus can't say
    uint64_t unacked;          // not yet acked, leased ones included
    uint64_t leased;           // handed out, not yet acked
    int64_t oldest_unacked_us; // publish time, 0 when none
};

struct bus;

struct bus_ops {
    enum err (*publish)(struct bus *bus, enum bus_topic topic, const struct bus_outgoing *messages,
                        size_t count, struct why *why);
    enum err (*pull)(struct bus *bus, enum bus_topic subscription, size_t count_max,
                     size_t size_max, struct arena *arena, struct bus_message **out_messages,
                     size_t *out_count, struct why *why);
    enum err (*ack)(struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles,
                    size_t count, struct why *why);
    enum err (*nack)(struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles,
                     size_t count, struct why *why);
    enum err (*extend)(struct bus *bus, enum bus_topic subscription,
                       const struct bus_handle *handles, size_t count, int64_t lease_us,
                       struct why *why);
    enum err (*wait)(struct bus *bus, int64_t timeout_us, struct why *why);
    enum err (*backlog)(struct bus *bus, enum bus_topic subscription,
                        struct bus_backlog *out_backlog, struct why *why);
    void (*wake)(struct bus *bus);
    void (*close)(struct bus *bus);
};

// The first member of every implementation.
struct bus {
    const struct bus_ops *ops;
    struct text log_id; // names the log that sequences belong to; empty where there are none
};

struct text bus_topic_name(enum bus_topic topic);        // "orders_data"
struct text bus_subscription_name(enum bus_topic topic); // "orders_data-sub"

// Publishes all or nothing. When it returns ERR_OK every message is durable. ERR_FULL or another
// RETRY: nothing was published as far as we know, publish again (a duplicate is harmless).
// ERR_TOO_LARGE: a message that the bus never takes; nothing was published.
MUST_USE enum err bus_publish(struct bus *bus, enum bus_topic topic,
                              const struct bus_outgoing *messages, size_t count, struct why *why);

// Leases up to count_max messages of at most size_max bytes of data in all (at least one, when there
// is one). Never waits; *out_count 0 when nothing is there.
MUST_USE enum err bus_pull(struct bus *bus, enum bus_topic subscription, size_t count_max,
                           size_t size_max, struct arena *arena, struct bus_message **out_messages,
                           size_t *out_count, struct why *why);

// Tells the bus that these are done. A lost ack only means that the message comes again; an expired
// handle is ignored.
MUST_USE enum err bus_ack(struct bus *bus, enum bus_topic subscription,
                          const struct bus_handle *handles, size_t count, struct why *why);
// Hands them back at once.
MUST_USE enum err bus_nack(struct bus *bus, enum bus_topic subscription,
                           const struct bus_handle *handles, size_t count, struct why *why);
// Sets their leases to end lease_us from now.
MUST_USE enum err bus_extend(struct bus *bus, enum bus_topic subscription,
                             const struct bus_handle *handles, size_t count, int64_t lease_us,
                             struct why *why);

// Waits until something was published since the caller's last pull that found a subscription empty,
// until bus_wake, or timeout_us of real time. May return early. ERR_OK in all three cases.
MUST_USE enum err bus_wait(struct bus *bus, int64_t timeout_us, struct why *why);
void bus_wake(struct bus *bus); // ends every bus_wait

MUST_USE enum err bus_backlog(struct bus *bus, enum bus_topic subscription,
                              struct bus_backlog *out_backlog, struct why *why);

void bus_close(struct bus **bus); // accepts NULL and *bus == NULL; flushes acks

#endif
