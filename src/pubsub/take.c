// What is taken from a subscriber, and what becomes of it: acked, nacked, held for longer.
#include "subscriber.h"

#include "message_wire.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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

static struct pubsub_message *keep_in_arena(const struct taking *taking)
{
    struct pubsub_message *messages =
        ARENA_ARRAY(taking->arena, struct pubsub_message, taking->count);
    assert(messages != NULL); // counted in fits_arena
    memcpy(messages, taking->messages, taking->count * sizeof(messages[0]));
    return messages;
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
        *out_messages = keep_in_arena(&taking);
    }
    if (err == ERR_OK) {
        *out_count = taking.count;
    }
    free(taking.messages);
    return err;
}

// --- settling -----------------------------------------------------------------------------------

// The message of a handle that is ours to settle: taken, and not held for too long (then it is about to
// be nacked).
static struct held_message *find_taken(struct pubsub_subscriber *subscriber, uint64_t handle,
                                       int64_t now_ns, struct held_batch **out_batch)
{
    struct held_message *message = held_find(&subscriber->held, handle, out_batch);
    bool ours = message != NULL && message->state == HELD_TAKEN && message->hold_until_ns > now_ns;
    return ours ? message : NULL;
}

void pubsub_ack(struct pubsub_subscriber *subscriber, const uint64_t *handles, size_t count)
{
    client_lock(subscriber->client);
    int64_t now_ns = client_now_ns(subscriber->client);
    for (size_t i = 0; i < count; i++) {
        struct held_batch *batch = NULL;
        struct held_message *message = find_taken(subscriber, handles[i], now_ns, &batch);
        if (message != NULL) {
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
    int64_t now_ns = client_now_ns(subscriber->client);
    for (size_t i = 0; i < count; i++) {
        struct held_batch *batch = NULL;
        struct held_message *message = find_taken(subscriber, handles[i], now_ns, &batch);
        if (message != NULL) {
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
    int64_t now_ns = client_now_ns(subscriber->client);
    for (size_t i = 0; i < count; i++) {
        struct held_batch *batch = NULL;
        struct held_message *message = find_taken(subscriber, handles[i], now_ns, &batch);
        if (message != NULL) {
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
