// The life of a subscriber: options, opening, draining, closing.
#include "subscriber.h"

#include <stdio.h>
#include <stdlib.h>

#define HELD_COUNT_DEFAULT 10000u
#define HELD_SIZE_DEFAULT  (100u * 1024u * 1024u)
#define RECEIVERS_MAX      64u
#define LEASE_STREAM_US    (60 * US_PER_SECOND)
#define LEASE_PULL_US      (10 * US_PER_SECOND)
#define HOLD_DEFAULT_US    (3600 * US_PER_SECOND)
#define ACK_LINGER_US      INT64_C(10000)
#define BACKOFF_FIRST_US   INT64_C(100000)
#define BACKOFF_LAST_US    (10 * US_PER_SECOND)
#define PING_US            (30 * US_PER_SECOND)
#define PONG_US            (15 * US_PER_SECOND)
#define CLOSE_PATIENCE_US  (5 * US_PER_SECOND)

// --- opening ------------------------------------------------------------------------------------

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value > 0 ? value : fallback;
}

static int64_t within(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static void fill_times(struct pubsub_subscriber_options *options)
{
    int64_t low = LEASE_SECONDS_MIN * US_PER_SECOND;
    int64_t high = LEASE_SECONDS_MAX * US_PER_SECOND;
    bool stream = options->way == PUBSUB_STREAMING_PULL;
    options->lease_min_us = within(or_default(options->lease_min_us, low), low, high);
    options->lease_max_us =
        within(or_default(options->lease_max_us, high), options->lease_min_us, high);
    options->first_lease_us =
        or_default(options->first_lease_us, stream ? LEASE_STREAM_US : LEASE_PULL_US);
    if (stream) {
        options->first_lease_us = within(options->first_lease_us, low, high);
    }
    options->hold_us = or_default(options->hold_us, HOLD_DEFAULT_US);
    options->ack_linger_us = or_default(options->ack_linger_us, ACK_LINGER_US);
    options->backoff_first_us = or_default(options->backoff_first_us, BACKOFF_FIRST_US);
    options->backoff_last_us = within(or_default(options->backoff_last_us, BACKOFF_LAST_US),
                                      options->backoff_first_us, INT64_MAX);
    options->ping_us = or_default(options->ping_us, PING_US);
    options->pong_us = or_default(options->pong_us, PONG_US);
}

static void fill_options(struct pubsub_subscriber_options *options)
{
    options->receivers = (uint32_t)within(options->receivers, 1, RECEIVERS_MAX);
    if (options->held_count_max == 0) {
        options->held_count_max = HELD_COUNT_DEFAULT;
    }
    if (options->held_size_max == 0) {
        options->held_size_max = HELD_SIZE_DEFAULT;
    }
    fill_times(options);
}

// A random UUID (RFC 9562, version 4).
static void make_client_id(struct rand *rand, char out[37])
{
    uint64_t high = (rand_u64(rand) & ~UINT64_C(0xF000)) | UINT64_C(0x4000);
    uint64_t low = (rand_u64(rand) & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
    (void)snprintf(out, 37, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(high >> 32),
                   (unsigned)(high >> 16 & 0xFFFF), (unsigned)(high & 0xFFFF),
                   (unsigned)(low >> 48), (unsigned long long)(low & UINT64_C(0xFFFFFFFFFFFF)));
}

static enum err create(struct pubsub *client, const struct pubsub_subscriber_options *options,
                       struct pubsub_subscriber **out_subscriber, struct why *why)
{
    struct pubsub_subscriber *subscriber = calloc(1, sizeof(*subscriber));
    if (subscriber == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory for a subscriber");
    }
    subscriber->client = client;
    subscriber->options = *options;
    fill_options(&subscriber->options);
    subscriber->receivers = calloc(subscriber->options.receivers, sizeof(subscriber->receivers[0]));
    enum err err = subscriber->receivers == NULL
                       ? why_set(why, ERR_NO_MEMORY, "no memory for a subscriber")
                       : resource_init(&subscriber->subscription, client, "subscriptions",
                                       "subscription", options->subscription, why);
    if (err != ERR_OK) {
        free(subscriber->receivers);
        free(subscriber);
        return err;
    }
    subscriber->options.subscription = resource_name(&subscriber->subscription);
    subscriber->exactly_once = options->exactly_once;
    subscriber->receive_rules = (struct backoff_rules){
        subscriber->options.backoff_first_us, subscriber->options.backoff_last_us, INT64_MAX / 4};
    subscriber->lease_timer = (struct timer){.fire = leases_timer_fired, .context = subscriber};
    subscriber->ack_linger = (struct timer){.fire = settle_linger_over, .context = subscriber};
    *out_subscriber = subscriber;
    return ERR_OK;
}

enum err pubsub_subscriber_open(struct pubsub *client,
                                const struct pubsub_subscriber_options *options,
                                struct pubsub_subscriber **out_subscriber, struct why *why)
{
    struct pubsub_subscriber *subscriber = NULL;
    enum err err = create(client, options, &subscriber, why);
    if (err != ERR_OK) {
        return err;
    }
    client_lock(client);
    make_client_id(&client->rand, subscriber->client_id);
    for (uint32_t i = 0; i < subscriber->options.receivers; i++) {
        struct receiver *receiver = &subscriber->receivers[i];
        receiver->subscriber = subscriber;
        receiver->index = i;
        receiver->ops = options->way == PUBSUB_UNARY_PULL ? &receive_pull_ops : &receive_stream_ops;
        receiver->ops->start(receiver);
    }
    client_unlock(client);
    *out_subscriber = subscriber;
    return ERR_OK;
}

// --- ending -------------------------------------------------------------------------------------

static void stop_receiving(struct pubsub_subscriber *subscriber)
{
    if (subscriber->draining) {
        return;
    }
    subscriber->draining = true;
    for (uint32_t i = 0; i < subscriber->options.receivers; i++) {
        subscriber->receivers[i].ops->stop(&subscriber->receivers[i]);
    }
    struct held_batch *next = NULL;
    for (struct held_batch *batch = subscriber->held.first; batch != NULL; batch = next) {
        next = batch->next;
        (void)subscriber_nack_arrived(subscriber, batch);
    }
    settle_send(subscriber, SETTLE_NACK);
}

static bool has_stopped(const struct pubsub_subscriber *subscriber)
{
    for (uint32_t i = 0; i < subscriber->options.receivers; i++) {
        if (subscriber->receivers[i].state != RECEIVER_ENDED) {
            return false;
        }
    }
    return true;
}

enum err pubsub_subscriber_drain(struct pubsub_subscriber *subscriber, int64_t timeout_us,
                                 struct why *why)
{
    struct pubsub *client = subscriber->client;
    client_lock(client);
    int64_t until_ns = client_now_ns(client) + timeout_us * 1000;
    stop_receiving(subscriber);
    while (subscriber->held.count > 0 && client_now_ns(client) < until_ns) {
        client_wait(client, until_ns);
    }
    settle_send(subscriber, SETTLE_ACK);
    while (!(has_stopped(subscriber) && settle_is_idle(subscriber)) &&
           client_now_ns(client) < until_ns) {
        client_wait(client, until_ns);
    }
    size_t left = subscriber->held.count;
    bool idle = has_stopped(subscriber) && settle_is_idle(subscriber);
    client_unlock(client);
    return left == 0 && idle ? ERR_OK
                             : why_set(why, ERR_DRAIN_TIMEOUT, "%zu messages are not settled yet%s",
                                       left, idle ? "" : ", and acks are on their way");
}

static void nack_all(struct pubsub_subscriber *subscriber)
{
    while (subscriber->held.first != NULL) {
        struct held_batch *batch = subscriber->held.first;
        for (size_t i = 0, count = batch->count; i < count; i++) {
            struct held_message *message = &batch->messages[i];
            if (message->state != HELD_SETTLED) {
                subscriber->figures.nacked++;
                settle_add(subscriber, SETTLE_NACK, held_handle(batch, i), message->ack_id);
                if (held_settle(&subscriber->held, batch, message)) {
                    break;
                }
            }
        }
    }
    settle_send(subscriber, SETTLE_NACK);
    settle_send(subscriber, SETTLE_ACK);
    settle_send(subscriber, SETTLE_EXTEND);
    settle_send(subscriber, SETTLE_RECEIPT);
}

static void finish(struct pubsub_subscriber *subscriber)
{
    struct pubsub *client = subscriber->client;
    int64_t until_ns = client_now_ns(client) + CLOSE_PATIENCE_US * 1000;
    while (!(has_stopped(subscriber) && settle_is_idle(subscriber)) &&
           client_now_ns(client) < until_ns) {
        client_wait(client, until_ns);
    }
    subscriber->closed = true;
    settle_stop(subscriber);
    while (!settle_is_idle(subscriber) || !has_stopped(subscriber)) {
        client_wait(client, TIMER_NEVER);
    }
    client_timer_clear(client, &subscriber->lease_timer);
    client_timer_clear(client, &subscriber->ack_linger);
}

void pubsub_subscriber_close(struct pubsub_subscriber **subscriber)
{
    if (subscriber == NULL || *subscriber == NULL) {
        return;
    }
    struct pubsub_subscriber *closing = *subscriber;
    struct pubsub *client = closing->client;
    *subscriber = NULL;
    client_lock(client);
    stop_receiving(closing);
    nack_all(closing);
    finish(closing);
    client_unlock(client);
    held_deinit(&closing->held);
    free(closing->receivers);
    free(closing);
}
