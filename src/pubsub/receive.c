// What receivers report: responses, failures, and that the service can be reached.
#include "subscriber.h"

#include <assert.h>

#define AWAY_AFTER_FAILURES 2u

void subscriber_show(struct pubsub_subscriber *subscriber, struct held_batch *batch)
{
    held_show(&subscriber->held, batch);
    client_arrived(subscriber->client);
}

// With exactly-once delivery a message is ours when its receipt is confirmed. Handles are looked up
// again each time, because a failing receipt may end its message, and the last one the batch.
static void ask_receipts(struct pubsub_subscriber *subscriber, struct held_batch *batch)
{
    uint64_t first = held_handle(batch, 0);
    size_t count = batch->count;
    batch->unconfirmed = count;
    for (size_t i = 0; i < count; i++) {
        struct held_message *message = held_find(&subscriber->held, first + i, &batch);
        if (message != NULL) {
            settle_add(subscriber, SETTLE_RECEIPT, first + i, message->ack_id);
        }
    }
    settle_send(subscriber, SETTLE_RECEIPT);
}

bool subscriber_nack_arrived(struct pubsub_subscriber *subscriber, struct held_batch *batch)
{
    size_t count = batch->count;
    for (size_t i = 0; i < count; i++) {
        struct held_message *message = &batch->messages[i];
        if (message->state != HELD_ARRIVED) {
            continue;
        }
        settle_add(subscriber, SETTLE_NACK, held_handle(batch, i), message->ack_id);
        subscriber->figures.nacked++;
        if (held_settle(&subscriber->held, batch, message)) {
            return true;
        }
    }
    return false;
}

void subscriber_received(struct pubsub_subscriber *subscriber, struct payload *response)
{
    struct held_batch *batch = NULL;
    enum err err = held_add(&subscriber->held, response, client_now_ns(subscriber->client), &batch,
                            &subscriber->exactly_once);
    if (err != ERR_OK || batch == NULL) {
        return; // what can't be held comes again when its lease ends
    }
    subscriber->figures.received += batch->count;
    if (subscriber->draining) {
        (void)subscriber_nack_arrived(subscriber, batch);
        settle_send(subscriber, SETTLE_NACK);
        return;
    }
    leases_begin(subscriber, batch);
    if (subscriber->exactly_once) {
        ask_receipts(subscriber, batch);
    } else {
        subscriber_show(subscriber, batch);
    }
}

void subscriber_reached(struct pubsub_subscriber *subscriber)
{
    subscriber->away = ERR_OK;
}

int64_t subscriber_failed(struct pubsub_subscriber *subscriber, struct receiver *receiver,
                          enum err err, const struct why *why)
{
    struct pubsub *client = subscriber->client;
    int64_t wait_us = 0;
    subscriber->figures.reconnects++;
    if (err_class_of(err) != ERR_CLASS_RETRY) {
        subscriber->err = err;
        subscriber->why = *why;
        client_arrived(subscriber->client);
        return -1;
    }
    bool goes_on = backoff_next(&receiver->backoff, &subscriber->receive_rules,
                                client_now_ns(client), &client->rand, &wait_us);
    assert(goes_on);
    if (receiver->backoff.failures > AWAY_AFTER_FAILURES) {
        subscriber->away = err;
        subscriber->away_why = *why;
        client_arrived(subscriber->client);
    }
    return wait_us;
}

bool subscriber_has_room(const struct pubsub_subscriber *subscriber)
{
    return subscriber->held.count < subscriber->options.held_count_max &&
           subscriber->held.size < subscriber->options.held_size_max;
}

void subscriber_room_changed(struct pubsub_subscriber *subscriber)
{
    for (uint32_t i = 0; i < subscriber->options.receivers && !subscriber->draining; i++) {
        subscriber->receivers[i].ops->room(&subscriber->receivers[i]);
    }
}
