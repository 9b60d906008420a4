// The public side of subscribing: options, what arrives, what is taken and settled, draining.
#include "subscriber.h"

#include "message_wire.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELD_COUNT_DEFAULT  10000u
#define HELD_SIZE_DEFAULT   (100u * 1024u * 1024u)
#define RECEIVERS_MAX       64u
#define LEASE_STREAM_US     (60 * US_PER_SECOND)
#define LEASE_PULL_US       (10 * US_PER_SECOND)
#define HOLD_DEFAULT_US     (3600 * US_PER_SECOND)
#define ACK_LINGER_US       INT64_C(10000)
#define BACKOFF_FIRST_US    INT64_C(100000)
#define BACKOFF_LAST_US     (10 * US_PER_SECOND)
#define PING_US             (30 * US_PER_SECOND)
#define PONG_US             (15 * US_PER_SECOND)
#define CLOSE_PATIENCE_US   (5 * US_PER_SECOND)
#define AWAY_AFTER_FAILURES 2u

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

static void deliver_arrival(struct delivery *delivery);

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
    subscriber->exactly_once = options->exactly_once;
    subscriber->receive_rules = (struct backoff_rules){
        subscriber->options.backoff_first_us, subscriber->options.backoff_last_us, INT64_MAX / 4};
    subscriber->lease_timer = (struct timer){.fire = leases_timer_fired, .context = subscriber};
    subscriber->ack_linger = (struct timer){.fire = settle_linger_over, .context = subscriber};
    subscriber->arrival.deliver = deliver_arrival;
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

// --- what receivers report ----------------------------------------------------------------------

static void deliver_arrival(struct delivery *delivery)
{
    struct pubsub_subscriber *subscriber =
        (struct pubsub_subscriber *)((char *)delivery -
                                     offsetof(struct pubsub_subscriber, arrival));
    client_lock(subscriber->client);
    subscriber->arrival_due = false;
    client_unlock(subscriber->client);
    subscriber->options.on_arrival(subscriber->options.context);
    client_lock(subscriber->client);
    subscriber->deliveries--;
    client_changed(subscriber->client);
    client_unlock(subscriber->client);
}

static void tell_arrival(struct pubsub_subscriber *subscriber)
{
    client_changed(subscriber->client);
    if (subscriber->options.on_arrival != NULL && !subscriber->arrival_due) {
        subscriber->arrival_due = true;
        subscriber->deliveries++;
        client_deliver(subscriber->client, &subscriber->arrival);
    }
}

void subscriber_show(struct pubsub_subscriber *subscriber, struct held_batch *batch)
{
    held_show(&subscriber->held, batch);
    tell_arrival(subscriber);
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

// Nacks what nobody has taken, all batches or one.
static void nack_arrived(struct pubsub_subscriber *subscriber, struct held_batch *batch)
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
            return;
        }
    }
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
        nack_arrived(subscriber, batch);
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
        tell_arrival(subscriber);
        return -1;
    }
    bool goes_on = backoff_next(&receiver->backoff, &subscriber->receive_rules,
                                client_now_ns(client), &client->rand, &wait_us);
    assert(goes_on);
    if (receiver->backoff.failures > AWAY_AFTER_FAILURES) {
        subscriber->away = err;
        subscriber->away_why = *why;
        tell_arrival(subscriber);
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

// --- taking -------------------------------------------------------------------------------------

static size_t aligned(size_t size)
{
    return (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
}

struct taking {
    const struct pubsub_take_limits *limits;
    struct arena *arena;
    struct pubsub_message *messages;
    size_t count;
    size_t size;  // bytes of data
    size_t spent; // of the arena, for the array of messages and the caller's overhead
};

static struct text rebased(struct text text, const char *old_start, const char *new_start)
{
    return text.size == 0 ? (struct text){0}
                          : (struct text){new_start + (text.data - old_start), text.size};
}

// Copies the message into the arena: its encoded body as it is, with views into it.
static void copy_out(struct taking *taking, const struct held_message *message,
                     const struct received_body *body, uint64_t handle)
{
    char *copy = arena_copy(taking->arena, message->body.data, message->body.size);
    struct attribute *attributes =
        body->attribute_count > 0
            ? ARENA_ARRAY(taking->arena, struct attribute, body->attribute_count)
            : NULL;
    assert(copy != NULL && (attributes != NULL || body->attribute_count == 0));
    if (attributes != NULL) {
        received_attributes_read((struct text){copy, message->body.size}, attributes);
    }
    const char *old_start = message->body.data;
    taking->messages[taking->count++] = (struct pubsub_message){
        .message_id = rebased(body->message_id, old_start, copy),
        .ordering_key = rebased(body->ordering_key, old_start, copy),
        .data = rebased(body->data, old_start, copy),
        .attributes = {attributes, body->attribute_count},
        .published_us = body->published_us,
        .delivery_attempt = message->delivery_attempt,
        .handle = handle,
    };
    taking->size += body->data.size;
}

static bool fits_arena(struct taking *taking, const struct held_message *message,
                       const struct received_body *body)
{
    size_t own = aligned(sizeof(struct pubsub_message)) + aligned(taking->limits->overhead_size) +
                 2 * ARENA_ALIGNMENT;
    size_t copies = aligned(message->body.size) +
                    aligned(body->attribute_count * sizeof(struct attribute)) + ARENA_ALIGNMENT;
    const struct arena *arena = taking->arena;
    if (arena->cap - arena->used < taking->spent + own + copies) {
        return false;
    }
    taking->spent += own;
    return true;
}

static enum err take_one(struct pubsub_subscriber *subscriber, struct held_batch *batch,
                         struct taking *taking, bool *out_full, struct why *why)
{
    struct held_message *message = &batch->messages[batch->taken];
    struct received_body body;
    if (!received_body_read(message->body, &body)) {
        return why_set(why, ERR_CORRUPT, "the service sent a message that cannot be read");
    }
    bool too_much = taking->count > 0 && taking->size + body.data.size > taking->limits->size_max;
    if (too_much || !fits_arena(taking, message, &body)) {
        *out_full = true;
        return taking->count > 0 ? ERR_OK
                                 : why_set(why, ERR_FULL, "no memory for a message of %zu bytes",
                                           message->body.size);
    }
    copy_out(taking, message, &body, held_handle(batch, batch->taken));
    message->state = HELD_TAKEN;
    batch->taken++;
    leases_hold(subscriber, batch, message, subscriber->options.hold_us);
    return ERR_OK;
}

static enum err take_all(struct pubsub_subscriber *subscriber, struct taking *taking,
                         struct why *why)
{
    enum err err = ERR_OK;
    bool full = false;
    struct held_batch *batch = NULL;
    while (err == ERR_OK && !full && taking->count < taking->limits->count_max &&
           (batch = held_next(&subscriber->held)) != NULL) {
        err = take_one(subscriber, batch, taking, &full, why);
    }
    return err;
}

// Why there is nothing to take, when there is a reason.
static enum err nothing_there(const struct pubsub_subscriber *subscriber, struct why *why)
{
    if (subscriber->err != ERR_OK) {
        return why_set(why, subscriber->err, "%s: %s", subscriber->subscription.name,
                       subscriber->why.text);
    }
    if (subscriber->away != ERR_OK) {
        return why_set(why, subscriber->away, "%s: %s", subscriber->subscription.name,
                       subscriber->away_why.text);
    }
    return ERR_OK;
}

static bool keep_in_arena(struct taking *taking, struct pubsub_message **out_messages)
{
    struct pubsub_message *messages =
        ARENA_ARRAY(taking->arena, struct pubsub_message, taking->count);
    assert(messages != NULL); // counted in fits_arena
    memcpy(messages, taking->messages, taking->count * sizeof(messages[0]));
    *out_messages = messages;
    return true;
}

enum err pubsub_take(struct pubsub_subscriber *subscriber, const struct pubsub_take_limits *limits,
                     struct arena *arena, struct pubsub_message **out_messages, size_t *out_count,
                     struct why *why)
{
    client_lock(subscriber->client);
    size_t there = subscriber->held.count;
    size_t most = limits->count_max < there ? limits->count_max : there;
    struct taking taking = {.limits = limits, .arena = arena};
    enum err err = ERR_OK;
    if (most > 0) {
        taking.messages = malloc(most * sizeof(taking.messages[0]));
        err = taking.messages != NULL ? take_all(subscriber, &taking, why)
                                      : why_set(why, ERR_NO_MEMORY, "no memory to take messages");
    }
    if (err == ERR_OK && taking.count == 0) {
        err = nothing_there(subscriber, why);
    }
    client_unlock(subscriber->client);
    if (err == ERR_OK && taking.count > 0) {
        keep_in_arena(&taking, out_messages);
    }
    if (err == ERR_OK) {
        *out_count = taking.count;
    }
    free(taking.messages);
    return err;
}

// --- settling -----------------------------------------------------------------------------------

void pubsub_ack(struct pubsub_subscriber *subscriber, const uint64_t *handles, size_t count)
{
    client_lock(subscriber->client);
    int64_t now_ns = client_now_ns(subscriber->client);
    for (size_t i = 0; i < count; i++) {
        struct held_batch *batch = NULL;
        struct held_message *message = held_find(&subscriber->held, handles[i], &batch);
        if (message != NULL && message->state == HELD_TAKEN) {
            ack_latency_add(&subscriber->latency, now_ns - batch->arrived_ns, 1);
            settle_add(subscriber, SETTLE_ACK, handles[i], message->ack_id);
            held_settle(&subscriber->held, batch, message);
        }
    }
    subscriber_room_changed(subscriber);
    client_changed(subscriber->client);
    client_unlock(subscriber->client);
}

void pubsub_nack(struct pubsub_subscriber *subscriber, const uint64_t *handles, size_t count)
{
    client_lock(subscriber->client);
    for (size_t i = 0; i < count; i++) {
        struct held_batch *batch = NULL;
        struct held_message *message = held_find(&subscriber->held, handles[i], &batch);
        if (message != NULL && message->state == HELD_TAKEN) {
            subscriber->figures.nacked++;
            settle_add(subscriber, SETTLE_NACK, handles[i], message->ack_id);
            held_settle(&subscriber->held, batch, message);
        }
    }
    settle_send(subscriber, SETTLE_NACK);
    subscriber_room_changed(subscriber);
    client_changed(subscriber->client);
    client_unlock(subscriber->client);
}

void pubsub_extend(struct pubsub_subscriber *subscriber, const uint64_t *handles, size_t count,
                   int64_t us)
{
    client_lock(subscriber->client);
    for (size_t i = 0; i < count; i++) {
        struct held_batch *batch = NULL;
        struct held_message *message = held_find(&subscriber->held, handles[i], &batch);
        if (message != NULL && message->state == HELD_TAKEN) {
            leases_hold(subscriber, batch, message, us);
        }
    }
    client_unlock(subscriber->client);
}

struct pubsub_subscriber_figures pubsub_subscriber_figures(struct pubsub_subscriber *subscriber)
{
    client_lock(subscriber->client);
    struct pubsub_subscriber_figures figures = subscriber->figures;
    figures.held = subscriber->held.count;
    figures.held_size = subscriber->held.size;
    figures.lease_us = leases_seconds(subscriber) * US_PER_SECOND;
    client_unlock(subscriber->client);
    return figures;
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
        nack_arrived(subscriber, batch);
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
    while (!settle_is_idle(subscriber) && client_now_ns(client) < until_ns) {
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
