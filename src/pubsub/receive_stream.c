// Receiving by StreamingPull. The first request on a stream names the subscription and its limits;
// afterwards only pings are written, since acks go by calls of their own. The service ends a stream about
// every half hour, with UNAVAILABLE; a stream that lived long is opened again at once.
//
// Silence: after ping_us without a word a ping (an empty request) is written, which a service that speaks
// protocol version 1 answers at once. A stream whose ping stays unanswered is cancelled and opened anew,
// on new connections; but only if this service ever answered one, since older ones never do.
//
// The end: we say that nothing more will be written, and the service ends the stream. Cancelled, it might
// go on giving messages to a stream that nobody reads, until their leases end; so that is only done when
// it does not end the stream.
#include "subscriber.h"

#include "message_wire.h"

#include <assert.h>

#define LIVED_LONG_NS    (30 * NS_PER_SECOND)
#define STOP_PATIENCE_NS NS_PER_SECOND // for the service to end what we have ended
#define PROTOCOL_VERSION 1u

enum {
    STREAM_SUBSCRIPTION = 1,
    STREAM_LEASE_SECONDS = 5,
    STREAM_CLIENT_ID = 6,
    STREAM_COUNT_MAX = 7,
    STREAM_SIZE_MAX = 8,
    STREAM_PROTOCOL_VERSION = 10,
};

static struct receiver *receiver_of(struct transport_stream *stream)
{
    return (struct receiver *)((char *)stream - offsetof(struct receiver, stream));
}

// --- writing ------------------------------------------------------------------------------------

// The service's limits hold for each stream, ours for all of them.
static uint64_t share_of(const struct pubsub_subscriber *subscriber, size_t limit)
{
    size_t share = limit / subscriber->options.receivers;
    return share > 0 ? share : 1;
}

static struct payload *first_request(const struct pubsub_subscriber *subscriber)
{
    struct text name = resource_name(&subscriber->subscription);
    struct text client_id = text_of(subscriber->client_id);
    uint64_t lease = (uint64_t)(subscriber->options.first_lease_us / US_PER_SECOND);
    uint64_t count = share_of(subscriber, subscriber->options.held_count_max);
    uint64_t size = share_of(subscriber, subscriber->options.held_size_max);
    struct payload_writer writer = {0};
    char *at =
        payload_reserve(&writer, wire_bytes_size(name.size) + wire_number_size(lease) +
                                     wire_bytes_size(client_id.size) + wire_number_size(count) +
                                     wire_number_size(size) + wire_number_size(PROTOCOL_VERSION));
    if (at != NULL) {
        at = wire_put_bytes(at, STREAM_SUBSCRIPTION, name);
        at = wire_put_number(at, STREAM_LEASE_SECONDS, lease);
        at = wire_put_bytes(at, STREAM_CLIENT_ID, client_id);
        at = wire_put_number(at, STREAM_COUNT_MAX, count);
        at = wire_put_number(at, STREAM_SIZE_MAX, size);
        wire_put_number(at, STREAM_PROTOCOL_VERSION, PROTOCOL_VERSION);
    }
    return payload_finish(&writer);
}

static void write_request(struct receiver *receiver, struct payload *request)
{
    if (request == NULL) { // no memory: a stream without its first request is none
        receiver->cancelled = true;
        transport_stream_cancel(receiver->subscriber->client->transport, &receiver->stream);
        return;
    }
    receiver->writing = true;
    transport_stream_write(receiver->subscriber->client->transport, &receiver->stream, request);
    payload_release(&request);
}

static void on_written(struct transport_stream *stream)
{
    struct receiver *receiver = receiver_of(stream);
    client_lock(receiver->subscriber->client);
    receiver->writing = false;
    client_unlock(receiver->subscriber->client);
}

// --- silence ------------------------------------------------------------------------------------

static void watch(struct receiver *receiver)
{
    const struct pubsub_subscriber *subscriber = receiver->subscriber;
    int64_t due_ns = receiver->pinged_ns != 0
                         ? receiver->pinged_ns + subscriber->options.pong_us * 1000
                         : receiver->heard_ns + subscriber->options.ping_us * 1000;
    client_timer_set(subscriber->client, &receiver->timer, due_ns);
}

static void ping(struct receiver *receiver, int64_t now_ns)
{
    receiver->pinged_ns = now_ns;
    if (!receiver->writing) {
        write_request(receiver, payload_copy((struct text){0}));
    }
    watch(receiver);
}

static void give_up_stream(struct receiver *receiver)
{
    struct pubsub *client = receiver->subscriber->client;
    receiver->cancelled = true;
    transport_reconnect(client->transport, receiver->index);
    transport_stream_cancel(client->transport, &receiver->stream);
}

static void silence(struct receiver *receiver)
{
    struct pubsub_subscriber *subscriber = receiver->subscriber;
    int64_t now_ns = client_now_ns(subscriber->client);
    bool unanswered = receiver->pinged_ns != 0;
    if (unanswered && subscriber->pongs && receiver->reading) {
        give_up_stream(receiver);
    } else if (unanswered) {
        receiver->pinged_ns = 0; // this service does not answer: ping on, lest it drops us
        receiver->heard_ns = now_ns;
        watch(receiver);
    } else {
        ping(receiver, now_ns);
    }
}

// --- the stream's life --------------------------------------------------------------------------

static void on_message(struct transport_stream *stream, struct payload *message);
static void on_end(struct transport_stream *stream, const struct rpc_status *status);

static void read_more(struct receiver *receiver)
{
    struct pubsub_subscriber *subscriber = receiver->subscriber;
    if (!receiver->reading && receiver->state == RECEIVER_BUSY && !receiver->cancelled &&
        (subscriber_has_room(subscriber) || subscriber->draining)) {
        receiver->reading = true;
        transport_stream_read(subscriber->client->transport, &receiver->stream);
    }
}

static void open_stream(struct receiver *receiver)
{
    struct pubsub_subscriber *subscriber = receiver->subscriber;
    struct pubsub *client = subscriber->client;
    receiver->state = RECEIVER_BUSY;
    receiver->reading = receiver->writing = receiver->cancelled = false;
    receiver->pinged_ns = 0;
    receiver->opened_ns = receiver->heard_ns = client_now_ns(client);
    receiver->stream = (struct transport_stream){
        .method = RPC_STREAMING_PULL,
        .connection = receiver->index,
        .routing = resource_routing(&subscriber->subscription),
        .on_message = on_message,
        .on_written = on_written,
        .on_end = on_end,
    };
    transport_stream_open(client->transport, &receiver->stream);
    write_request(receiver, first_request(subscriber));
    read_more(receiver);
    watch(receiver);
}

static void on_message(struct transport_stream *stream, struct payload *message)
{
    struct receiver *receiver = receiver_of(stream);
    struct pubsub_subscriber *subscriber = receiver->subscriber;
    struct pubsub *client = subscriber->client;
    client_lock(client);
    bool pong = receiver->pinged_ns != 0;
    receiver->reading = false;
    receiver->heard_ns = client_now_ns(client);
    receiver->pinged_ns = 0;
    backoff_start(&receiver->backoff, receiver->heard_ns);
    subscriber_reached(subscriber);
    size_t before = subscriber->figures.received;
    subscriber_received(subscriber, message);
    // Only a response without messages is sure to be an answer.
    subscriber->pongs |= pong && subscriber->figures.received == before;
    read_more(receiver);
    if (!receiver->cancelled && !subscriber->draining) {
        watch(receiver);
    }
    client_unlock(client);
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

static void ended(struct receiver *receiver, const struct rpc_status *status)
{
    struct pubsub_subscriber *subscriber = receiver->subscriber;
    struct why why = {0};
    enum err err = rpc_status_explain(status, &why);
    int64_t now_ns = client_now_ns(subscriber->client);
    client_timer_clear(subscriber->client, &receiver->timer);
    if (subscriber->draining) {
        receiver->state = RECEIVER_ENDED;
        return;
    }
    if (err == ERR_OK || receiver->cancelled) {
        err = why_set(&why, ERR_UNAVAILABLE, "%s",
                      err == ERR_OK ? "the service closed the stream"
                                    : "the service did not answer a ping");
    }
    bool lived_long = now_ns - receiver->opened_ns >= LIVED_LONG_NS;
    if (lived_long) {
        backoff_start(&receiver->backoff, now_ns);
    }
    int64_t wait_us = subscriber_failed(subscriber, receiver, err, &why);
    rest(receiver, lived_long && wait_us > 0 ? 0 : wait_us);
}

static void on_end(struct transport_stream *stream, const struct rpc_status *status)
{
    struct receiver *receiver = receiver_of(stream);
    struct pubsub *client = receiver->subscriber->client;
    client_lock(client);
    assert(receiver->state == RECEIVER_BUSY);
    ended(receiver, status);
    client_changed(client);
    client_unlock(client);
}

static void timer_fired(void *context)
{
    struct receiver *receiver = context;
    struct pubsub_subscriber *subscriber = receiver->subscriber;
    if (receiver->state != RECEIVER_BUSY) {
        open_stream(receiver);
    } else if (subscriber->draining) {
        transport_stream_cancel(subscriber->client->transport, &receiver->stream);
    } else {
        silence(receiver);
    }
}

static void start(struct receiver *receiver)
{
    receiver->timer = (struct timer){.fire = timer_fired, .context = receiver};
    backoff_start(&receiver->backoff, client_now_ns(receiver->subscriber->client));
    open_stream(receiver);
}

static void stop(struct receiver *receiver)
{
    struct pubsub *client = receiver->subscriber->client;
    client_timer_clear(client, &receiver->timer);
    if (receiver->state != RECEIVER_BUSY) {
        receiver->state = RECEIVER_ENDED;
    } else if (receiver->writing || receiver->cancelled) {
        transport_stream_cancel(client->transport, &receiver->stream);
    } else {
        transport_stream_finish(client->transport, &receiver->stream);
        client_timer_set(client, &receiver->timer, client_now_ns(client) + STOP_PATIENCE_NS);
    }
}

const struct receiver_ops receive_stream_ops = {.start = start, .room = read_more, .stop = stop};
