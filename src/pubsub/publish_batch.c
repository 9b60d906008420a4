// The life of a batch of messages: filled, closed, sent, sent again, ended. publisher.h has the picture.
#include "publisher.h"

#include "message_wire.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TAGS_FIRST 64u

static void send_batch(struct publish_batch *batch);

// --- open ---------------------------------------------------------------------------------------

static void link_last(struct batch_list *list, struct publish_batch *batch)
{
    batch->previous = list->last;
    batch->next = NULL;
    if (list->last != NULL) {
        list->last->next = batch;
    } else {
        list->first = batch;
    }
    list->last = batch;
}

static void unlink_batch(struct batch_list *list, struct publish_batch *batch)
{
    if (batch->previous != NULL) {
        batch->previous->next = batch->next;
    } else {
        list->first = batch->next;
    }
    if (batch->next != NULL) {
        batch->next->previous = batch->previous;
    } else {
        list->last = batch->previous;
    }
    batch->next = batch->previous = NULL;
}

static void link_open(struct publish_batch *batch)
{
    struct pubsub_publisher *publisher = batch->publisher;
    if (publisher->open.first == NULL) {
        client_timer_set(publisher->client, &publisher->linger,
                         batch->opened_ns + publisher->options.linger_us * 1000);
    }
    link_last(&publisher->open, batch);
    batch->lane->open = batch;
}

static void unlink_open(struct publish_batch *batch)
{
    unlink_batch(&batch->publisher->open, batch);
    batch->lane->open = NULL;
}

static void rest_is_over(void *context)
{
    send_batch(context);
}

static void call_done(struct transport_call *call, const struct rpc_status *status,
                      struct payload *response);
static void deliver_results(struct delivery *delivery);

static void free_batch(struct publish_batch *batch)
{
    payload_writer_deinit(&batch->writer);
    payload_release(&batch->response);
    free(batch->tags);
    free((void *)(uintptr_t)batch->key.data);
    free(batch);
}

static struct publish_batch *open_batch(struct pubsub_publisher *publisher,
                                        struct publish_lane *lane)
{
    struct publish_batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) {
        return NULL;
    }
    batch->publisher = publisher;
    batch->lane = lane;
    batch->opened_ns = client_now_ns(publisher->client);
    batch->rest = (struct timer){.fire = rest_is_over, .context = batch};
    batch->delivery.deliver = deliver_results;
    batch->key.data = lane->key.size > 0 ? malloc(lane->key.size) : NULL;
    char *room = payload_reserve(&batch->writer, publisher->topic_field_size);
    if (room == NULL || (lane->key.size > 0 && batch->key.data == NULL)) {
        free_batch(batch);
        return NULL;
    }
    if (lane->key.size > 0) {
        memcpy((void *)(uintptr_t)batch->key.data, lane->key.data, lane->key.size);
        batch->key.size = lane->key.size;
    }
    wire_put_bytes(room, PUBLISH_TOPIC, resource_name(&publisher->topic));
    batch->size = publisher->topic_field_size;
    link_open(batch);
    return batch;
}

struct publish_batch *publish_batch_for(struct pubsub_publisher *publisher,
                                        struct publish_lane *lane, size_t field_size)
{
    struct publish_batch *batch = lane->open;
    if (batch != NULL && batch->size + field_size > publisher->options.batch_size_max) {
        publish_batch_close(batch);
        batch = NULL;
    }
    return batch != NULL ? batch : open_batch(publisher, lane);
}

static bool reserve_tag(struct publish_batch *batch)
{
    if (batch->count < batch->tags_cap) {
        return true;
    }
    size_t cap = batch->tags_cap == 0 ? TAGS_FIRST : batch->tags_cap * 2;
    void **tags = realloc(batch->tags, cap * sizeof(tags[0]));
    if (tags == NULL) {
        return false;
    }
    batch->tags = tags;
    batch->tags_cap = cap;
    return true;
}

bool publish_batch_add(struct publish_batch *batch, const struct pubsub_outgoing *message,
                       size_t body_size, void *tag)
{
    assert(batch->state == BATCH_OPEN);
    size_t field_size = wire_bytes_size(body_size);
    char *room = reserve_tag(batch) ? payload_reserve(&batch->writer, field_size) : NULL;
    if (room == NULL) {
        if (batch->count == 0) { // an empty request would be refused
            unlink_open(batch);
            free_batch(batch);
        }
        return false;
    }
    char *end = message_write(wire_put_head(room, PUBLISH_MESSAGES, body_size), message);
    assert(end == room + field_size);
    batch->tags[batch->count++] = tag;
    batch->size += field_size;
    batch->publisher->waiting_count++;
    batch->publisher->waiting_size += field_size;
    if (batch->count == batch->publisher->options.batch_count_max) {
        publish_batch_close(batch);
    }
    return true;
}

void publish_batch_close(struct publish_batch *batch)
{
    assert(batch->state == BATCH_OPEN);
    struct pubsub_publisher *publisher = batch->publisher;
    struct publish_lane *lane = batch->lane;
    unlink_open(batch);
    batch->state = BATCH_CLOSED;
    publish_lane_push(lane, batch);
    publish_lane_list(publisher, lane);
    publish_send_ready(publisher);
}

// --- sent ---------------------------------------------------------------------------------------

void publish_send_ready(struct pubsub_publisher *publisher)
{
    while (publisher->requests < publisher->options.requests_max) {
        struct publish_lane *lane = publish_lane_unlist_first(publisher);
        if (lane == NULL) {
            return;
        }
        struct publish_batch *batch = publish_lane_pop(lane);
        if (batch == NULL) { // failed while it was listed
            publish_lane_drop_if_idle(publisher, lane);
            continue;
        }
        assert(batch->state == BATCH_CLOSED);
        lane->in_flight++;
        publisher->requests++;
        link_last(&publisher->flight, batch);
        publish_lane_list(publisher, lane);
        batch->request = payload_finish(&batch->writer);
        backoff_start(&batch->backoff, client_now_ns(publisher->client));
        send_batch(batch);
    }
}

static void leave_flight(struct publish_batch *batch, enum err err, const struct why *why);

static void send_batch(struct publish_batch *batch)
{
    struct pubsub_publisher *publisher = batch->publisher;
    if (batch->request == NULL) {
        struct why why = {0};
        (void)why_set(&why, ERR_NO_MEMORY, "no memory to publish");
        leave_flight(batch, ERR_NO_MEMORY, &why);
        return;
    }
    batch->state = BATCH_SENT;
    batch->call = (struct transport_call){
        .method = RPC_PUBLISH,
        .connection = (uint32_t)publisher->requests,
        .request = batch->request,
        .routing = resource_routing(&publisher->topic),
        .timeout_us = publisher->options.attempt_us,
        .done = call_done,
    };
    transport_call_start(publisher->client->transport, &batch->call);
}

static struct publish_batch *batch_of_call(struct transport_call *call)
{
    return (struct publish_batch *)((char *)call - offsetof(struct publish_batch, call));
}

static bool rests(struct publish_batch *batch, enum err err)
{
    struct pubsub_publisher *publisher = batch->publisher;
    int64_t now_ns = client_now_ns(publisher->client);
    int64_t wait_us = 0;
    if (publisher->closed || err_class_of(err) != ERR_CLASS_RETRY ||
        !backoff_next(&batch->backoff, &publisher->rules, now_ns, &publisher->client->rand,
                      &wait_us)) {
        return false;
    }
    batch->state = BATCH_RESTING;
    client_timer_set(publisher->client, &batch->rest, now_ns + wait_us * 1000);
    return true;
}

static size_t count_ids(struct text response)
{
    struct wire_reader reader;
    struct wire_field field;
    size_t count = 0;
    wire_reader_init(&reader, response);
    while (wire_next(&reader, &field)) {
        count += wire_is_bytes(&field, PUBLISHED_IDS) ? 1 : 0;
    }
    return reader.damaged ? 0 : count;
}

static void call_done(struct transport_call *call, const struct rpc_status *status,
                      struct payload *response)
{
    struct publish_batch *batch = batch_of_call(call);
    struct pubsub *client = batch->publisher->client;
    struct why why = {0};
    enum err err = rpc_status_explain(status, &why);
    client_lock(client);
    if (err == ERR_OK && count_ids(response->bytes) != batch->count) {
        err =
            why_set(&why, ERR_UNAVAILABLE, "the service answered with other than one id a message");
    }
    if (err == ERR_OK) {
        batch->response = payload_reference(response);
    } else {
        why_prefix(&why, "%s", batch->publisher->topic.name);
    }
    if (err == ERR_OK || !rests(batch, err)) {
        leave_flight(batch, err, &why);
    }
    client_unlock(client);
}

// --- done ---------------------------------------------------------------------------------------

// What comes after a failure for good may not be published before it, so it fails too.
static void pause_lane(struct pubsub_publisher *publisher, struct publish_lane *lane, enum err err,
                       const struct why *why)
{
    lane->paused = !publisher->options.resume_by_itself && !publisher->closed;
    publish_lane_fail(lane, err, why);
}

static void leave_flight(struct publish_batch *batch, enum err err, const struct why *why)
{
    struct pubsub_publisher *publisher = batch->publisher;
    struct publish_lane *lane = batch->lane;
    assert(lane->in_flight > 0 && publisher->requests > 0);
    lane->in_flight--;
    publisher->requests--;
    unlink_batch(&publisher->flight, batch);
    publish_batch_finish(batch, err, why);
    if (err != ERR_OK && lane->key.size > 0) {
        pause_lane(publisher, lane, err, why);
    }
    publish_lane_list(publisher, lane);
    publish_lane_drop_if_idle(publisher, lane);
    publish_send_ready(publisher);
}

void publish_batches_cut_short(struct pubsub_publisher *publisher)
{
    struct publish_batch *next = NULL;
    for (struct publish_batch *batch = publisher->flight.first; batch != NULL; batch = next) {
        next = batch->next;
        if (batch->state == BATCH_SENT) {
            transport_call_cancel(publisher->client->transport, &batch->call);
        } else {
            struct why why = {0};
            (void)why_set(&why, ERR_CLOSED, "the publisher was closed before this was published");
            client_timer_clear(publisher->client, &batch->rest);
            leave_flight(batch, ERR_CLOSED, &why);
        }
    }
}

void publish_batch_finish(struct publish_batch *batch, enum err err, const struct why *why)
{
    struct pubsub_publisher *publisher = batch->publisher;
    size_t messages_size = batch->size - publisher->topic_field_size;
    assert(publisher->waiting_count >= batch->count && publisher->waiting_size >= messages_size);
    batch->state = BATCH_DONE;
    batch->err = err;
    if (err != ERR_OK) {
        batch->why = *why;
    }
    publisher->waiting_count -= batch->count;
    publisher->waiting_size -= messages_size;
    publisher->undelivered += batch->count;
    payload_release(&batch->request);
    payload_writer_deinit(&batch->writer);
    client_deliver(publisher->client, &batch->delivery);
    client_changed(publisher->client);
}

void publish_lane_fail(struct publish_lane *lane, enum err err, const struct why *why)
{
    if (lane->open != NULL) {
        struct publish_batch *open = lane->open;
        unlink_open(open);
        publish_lane_push(lane, open);
    }
    struct publish_batch *batch = publish_lane_pop(lane);
    for (; batch != NULL; batch = publish_lane_pop(lane)) {
        publish_batch_finish(batch, err, why);
    }
}

// Reads the ids of a response one after the other.
static struct text next_id(struct wire_reader *reader)
{
    struct wire_field field;
    while (wire_next(reader, &field)) {
        if (wire_is_bytes(&field, PUBLISHED_IDS)) {
            return field.bytes;
        }
    }
    return (struct text){0};
}

static void tell_callback(const struct publish_batch *batch)
{
    const struct pubsub_publisher_options *options = &batch->publisher->options;
    struct wire_reader reader;
    wire_reader_init(&reader, batch->response != NULL ? batch->response->bytes : (struct text){0});
    struct pubsub_publish_result result = {
        .err = batch->err, .ordering_key = batch->key, .why = &batch->why};
    for (size_t i = 0; i < batch->count; i++) {
        result.message_id = next_id(&reader);
        options->on_result(options->context, batch->tags[i], &result);
    }
}

static void tell_waiters(const struct publish_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct publish_waiter *waiter = batch->tags[i];
        if (waiter != NULL) {
            assert(waiter->left > 0);
            waiter->left--;
            if (batch->err != ERR_OK && waiter->err == ERR_OK) {
                waiter->err = batch->err;
                waiter->why = batch->why;
            }
        }
    }
}

static void deliver_results(struct delivery *delivery)
{
    struct publish_batch *batch =
        (struct publish_batch *)((char *)delivery - offsetof(struct publish_batch, delivery));
    struct pubsub_publisher *publisher = batch->publisher;
    bool callback = publisher->options.on_result != NULL;
    if (callback) {
        tell_callback(batch);
    }
    client_lock(publisher->client);
    if (!callback) {
        tell_waiters(batch);
    }
    publisher->undelivered -= batch->count;
    client_changed(publisher->client);
    client_unlock(publisher->client);
    free_batch(batch);
}
