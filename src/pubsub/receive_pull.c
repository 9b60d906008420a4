// Receiving by unary Pull: each receiver has one call out while there is room. The service answers when
// it has something, or with nothing after a while.
//
// After an answer with messages the next pull waits for their acks, but only for a moment: a consumer that
// is quick has its acks arrive before the pull, which the emulator rewards three- to fourfold, since acks
// that arrive during a pull hold it up; one that is slow is pulled ahead for.
#include "subscriber.h"

#include "wire.h"

#include <assert.h>

#define PULL_COUNT_MAX  1000u
#define PULL_TIMEOUT_US (90 * US_PER_SECOND)
#define ACKS_WAIT_US    2000

enum { PULL_SUBSCRIPTION = 1, PULL_MAX_MESSAGES = 3 };

static void pull_done(struct transport_call *call, const struct rpc_status *status,
                      struct payload *response);

static struct payload *create_request(const struct pubsub_subscriber *subscriber, size_t count)
{
    struct text name = resource_name(&subscriber->subscription);
    struct payload_writer writer = {0};
    char *at = payload_reserve(&writer, wire_bytes_size(name.size) + wire_number_size(count));
    if (at != NULL) {
        at = wire_put_bytes(at, PULL_SUBSCRIPTION, name);
        wire_put_number(at, PULL_MAX_MESSAGES, count);
    }
    return payload_finish(&writer);
}

// How many messages to ask for; 0: not yet. Waits for a good part of the room rather than to ask for
// few at a time.
static size_t count_to_ask(const struct pubsub_subscriber *subscriber)
{
    size_t most = subscriber->options.held_count_max;
    size_t used = subscriber->held.count + subscriber->asked;
    size_t share = most / (2 * subscriber->options.receivers);
    size_t worth = share > PULL_COUNT_MAX ? PULL_COUNT_MAX : share > 0 ? share : 1;
    size_t room = used < most ? most - used : 0;
    if (room < worth || !subscriber_has_room(subscriber)) {
        return 0;
    }
    return room < PULL_COUNT_MAX ? room : PULL_COUNT_MAX;
}

static void pull(struct receiver *receiver)
{
    struct pubsub_subscriber *subscriber = receiver->subscriber;
    size_t count = count_to_ask(subscriber);
    if (count == 0) {
        receiver->state = RECEIVER_IDLE;
        return;
    }
    struct payload *request = create_request(subscriber, count);
    if (request == NULL) {
        receiver->state = RECEIVER_RESTING;
        client_timer_set(subscriber->client, &receiver->timer,
                         client_now_ns(subscriber->client) + NS_PER_SECOND);
        return;
    }
    receiver->state = RECEIVER_BUSY;
    receiver->asked = count;
    subscriber->asked += count;
    receiver->call = (struct transport_call){
        .method = RPC_PULL,
        .connection = receiver->index,
        .request = request,
        .routing = resource_routing(&subscriber->subscription),
        .timeout_us = PULL_TIMEOUT_US,
        .done = pull_done,
    };
    transport_call_start(subscriber->client->transport, &receiver->call);
    payload_release(&request);
}

static void rest(struct receiver *receiver, int64_t wait_us)
{
    struct pubsub *client = receiver->subscriber->client;
    if (wait_us < 0) {
        receiver->state = RECEIVER_ENDED;
        return;
    }
    receiver->state = RECEIVER_RESTING;
    client_timer_set(client, &receiver->timer, client_now_ns(client) + wait_us * 1000);
}

static void wait_for_acks(struct receiver *receiver)
{
    rest(receiver, ACKS_WAIT_US);
    receiver->waits_for_acks = true;
}

// What an answer leads to; the receiver is free for the next pull.
static void answered(struct receiver *receiver, const struct rpc_status *status,
                     struct payload *response)
{
    struct pubsub_subscriber *subscriber = receiver->subscriber;
    struct why why = {0};
    enum err err = rpc_status_explain(status, &why);
    subscriber->asked -= receiver->asked;
    receiver->asked = 0;
    if (err == ERR_OK) {
        subscriber_reached(subscriber);
        subscriber_received(subscriber, response);
    }
    if (subscriber->draining) {
        receiver->state = RECEIVER_ENDED;
    } else if (err == ERR_OK || status->code == RPC_DEADLINE_EXCEEDED) {
        backoff_start(&receiver->backoff, client_now_ns(subscriber->client));
        if (subscriber->held.count > 0) {
            wait_for_acks(receiver);
        } else {
            pull(receiver);
        }
    } else {
        rest(receiver, subscriber_failed(subscriber, receiver, err, &why));
    }
}

static void pull_done(struct transport_call *call, const struct rpc_status *status,
                      struct payload *response)
{
    struct receiver *receiver = (struct receiver *)((char *)call - offsetof(struct receiver, call));
    struct pubsub *client = receiver->subscriber->client;
    client_lock(client);
    assert(receiver->state == RECEIVER_BUSY);
    answered(receiver, status, response);
    client_changed(client);
    client_unlock(client);
}

static void timer_fired(void *context)
{
    struct receiver *receiver = context;
    receiver->waits_for_acks = false;
    pull(receiver);
}

static void start(struct receiver *receiver)
{
    receiver->timer = (struct timer){.fire = timer_fired, .context = receiver};
    backoff_start(&receiver->backoff, client_now_ns(receiver->subscriber->client));
    pull(receiver);
}

static void room(struct receiver *receiver)
{
    if (receiver->waits_for_acks && receiver->subscriber->held.count == 0) {
        client_timer_clear(receiver->subscriber->client, &receiver->timer);
        receiver->waits_for_acks = false;
        settle_send(receiver->subscriber, SETTLE_ACK); // so that they are there before the pull
        pull(receiver);
    } else if (receiver->state == RECEIVER_IDLE) {
        pull(receiver);
    }
}

static void stop(struct receiver *receiver)
{
    struct pubsub *client = receiver->subscriber->client;
    if (receiver->state == RECEIVER_BUSY) {
        transport_call_cancel(client->transport, &receiver->call);
    } else {
        client_timer_clear(client, &receiver->timer);
        receiver->waits_for_acks = false;
        receiver->state = RECEIVER_ENDED;
    }
}

const struct receiver_ops receive_pull_ops = {.start = start, .room = room, .stop = stop};
