// Leases of all that is held, waiting or taken, from its arrival: each batch is extended before its time
// is up, for as long as acks usually take. A message that was held too long is nacked, so that somebody
// else gets it.
#include "subscriber.h"

static void schedule(struct pubsub_subscriber *subscriber, int64_t due_ns)
{
    if (!subscriber->lease_timer.set || subscriber->lease_timer.due_ns > due_ns) {
        client_timer_set(subscriber->client, &subscriber->lease_timer, due_ns);
    }
}

static int64_t due_of(const struct held_batch *batch)
{
    return batch->extend_at_ns < batch->hold_until_ns ? batch->extend_at_ns : batch->hold_until_ns;
}

uint32_t leases_seconds(const struct pubsub_subscriber *subscriber)
{
    const struct pubsub_subscriber_options *options = &subscriber->options;
    uint32_t low = (uint32_t)(options->lease_min_us / US_PER_SECOND);
    uint32_t high = (uint32_t)(options->lease_max_us / US_PER_SECOND);
    uint32_t floor = subscriber->exactly_once && low < 60 ? 60 : low; // as Google's clients do
    return ack_latency_lease(&subscriber->latency, floor < high ? floor : high, high);
}

void leases_begin(struct pubsub_subscriber *subscriber, struct held_batch *batch)
{
    batch->extend_at_ns = lease_extend_at_ns(batch->arrived_ns, subscriber->options.first_lease_us);
    batch->hold_until_ns = batch->arrived_ns + subscriber->options.hold_us * 1000;
    schedule(subscriber, due_of(batch));
}

void leases_hold(struct pubsub_subscriber *subscriber, struct held_batch *batch,
                 struct held_message *message, int64_t us)
{
    message->hold_until_ns = client_now_ns(subscriber->client) + us * 1000;
    if (message->hold_until_ns < batch->hold_until_ns) {
        batch->hold_until_ns = message->hold_until_ns;
        schedule(subscriber, due_of(batch));
    }
}

static int64_t hold_until(const struct pubsub_subscriber *subscriber,
                          const struct held_batch *batch, const struct held_message *message)
{
    return message->state == HELD_TAKEN ? message->hold_until_ns
                                        : batch->arrived_ns + subscriber->options.hold_us * 1000;
}

// Nacks what was held too long. true when that was all of the batch, which is gone then.
static bool let_go(struct pubsub_subscriber *subscriber, struct held_batch *batch, int64_t now_ns)
{
    int64_t earliest_ns = INT64_MAX;
    size_t count = batch->count;
    for (size_t i = 0; i < count; i++) {
        struct held_message *message = &batch->messages[i];
        if (message->state == HELD_SETTLED) {
            continue;
        }
        int64_t until_ns = hold_until(subscriber, batch, message);
        if (until_ns > now_ns) {
            earliest_ns = until_ns < earliest_ns ? until_ns : earliest_ns;
            continue;
        }
        settle_add(subscriber, SETTLE_NACK, held_handle(batch, i), message->ack_id);
        subscriber->figures.nacked++;
        if (held_settle(&subscriber->held, batch, message)) {
            return true;
        }
    }
    batch->hold_until_ns = earliest_ns;
    return false;
}

static void extend(struct pubsub_subscriber *subscriber, struct held_batch *batch, int64_t now_ns)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->messages[i].state != HELD_SETTLED) {
            settle_add(subscriber, SETTLE_EXTEND, held_handle(batch, i), batch->messages[i].ack_id);
        }
    }
    batch->extend_at_ns = lease_extend_at_ns(now_ns, leases_seconds(subscriber) * US_PER_SECOND);
}

void leases_timer_fired(void *context)
{
    struct pubsub_subscriber *subscriber = context;
    int64_t now_ns = client_now_ns(subscriber->client);
    struct held_batch *next = NULL;
    bool gone = false;
    for (struct held_batch *batch = subscriber->held.first; batch != NULL; batch = next) {
        next = batch->next;
        if (batch->hold_until_ns <= now_ns && let_go(subscriber, batch, now_ns)) {
            gone = true;
            continue;
        }
        if (batch->extend_at_ns <= now_ns) {
            extend(subscriber, batch, now_ns);
        }
        schedule(subscriber, due_of(batch));
    }
    settle_send(subscriber, SETTLE_NACK);
    settle_send(subscriber, SETTLE_EXTEND);
    if (gone) {
        subscriber_room_changed(subscriber);
    }
}
