// Requests about ack ids: acks, nacks (a lease of nothing), longer leases, receipts. Each is filled up to
// the service's limit in bytes, sent, and sent again while the service is away. A lost one costs a
// redelivery, so giving up after a time is right.
//
// With exactly-once delivery the service may refuse some ids of a request and take the others; what it
// refused for the moment is sent again by itself.
#include "subscriber.h"

#include "wire.h"

#include <assert.h>
#include <stdlib.h>

#define REQUEST_SIZE_MAX 524288u // bytes, the service's limit
#define HANDLES_FIRST    64u
#define TIMEOUT_US       (60 * US_PER_SECOND)

enum { REQUEST_SUBSCRIPTION = 1, ACK_IDS = 2, LEASE_SECONDS = 3, LEASE_ACK_IDS = 4 };

static const struct backoff_rules usual_rules[SETTLE_KIND_COUNT] = {
    [SETTLE_ACK] = {100000, 10 * US_PER_SECOND, 60 * US_PER_SECOND},
    [SETTLE_NACK] = {100000, 10 * US_PER_SECOND, 30 * US_PER_SECOND},
    [SETTLE_EXTEND] = {100000, 2 * US_PER_SECOND, 10 * US_PER_SECOND},
    [SETTLE_RECEIPT] = {100000, 2 * US_PER_SECOND, 10 * US_PER_SECOND},
};
static const struct backoff_rules exactly_once_ack_rules = {US_PER_SECOND, 64 * US_PER_SECOND,
                                                            600 * US_PER_SECOND};

static void send_request(struct settle_request *request);

static const struct backoff_rules *rules_of(const struct settle_request *request)
{
    bool careful = request->kind == SETTLE_ACK && request->subscriber->exactly_once;
    return careful ? &exactly_once_ack_rules : &usual_rules[request->kind];
}

static uint32_t ids_field(enum settle_kind kind)
{
    return kind == SETTLE_ACK ? ACK_IDS : LEASE_ACK_IDS;
}

// --- filling ------------------------------------------------------------------------------------

static void rest_is_over(void *context)
{
    send_request(context);
}

static void deliver_outcomes(struct delivery *delivery);

static void free_request(struct settle_request *request)
{
    payload_writer_deinit(&request->writer);
    payload_release(&request->request);
    free(request->handles);
    free(request->outcomes);
    free(request);
}

static bool write_head(struct settle_request *request, uint32_t seconds)
{
    struct text name = resource_name(&request->subscriber->subscription);
    size_t size = wire_bytes_size(name.size) + (seconds > 0 ? wire_number_size(seconds) : 0);
    char *at = payload_reserve(&request->writer, size);
    if (at == NULL) {
        return false;
    }
    at = wire_put_bytes(at, REQUEST_SUBSCRIPTION, name);
    if (seconds > 0) {
        wire_put_number(at, LEASE_SECONDS, seconds);
    }
    request->ids_at = request->writer.size;
    return true;
}

static struct settle_request *create_request(struct pubsub_subscriber *subscriber,
                                             enum settle_kind kind)
{
    struct settle_request *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        return NULL;
    }
    request->subscriber = subscriber;
    request->kind = kind;
    request->delivery.deliver = deliver_outcomes;
    request->rest = (struct timer){.fire = rest_is_over, .context = request};
    bool longer = kind == SETTLE_EXTEND || kind == SETTLE_RECEIPT;
    if (!write_head(request, longer ? leases_seconds(subscriber) : 0)) {
        free_request(request);
        return NULL;
    }
    return request;
}

static bool add_id(struct settle_request *request, uint64_t handle, struct text ack_id)
{
    if (request->count == request->handles_cap) {
        size_t cap = request->handles_cap == 0 ? HANDLES_FIRST : request->handles_cap * 2;
        uint64_t *handles = realloc(request->handles, cap * sizeof(handles[0]));
        if (handles == NULL) {
            return false;
        }
        request->handles = handles;
        request->handles_cap = cap;
    }
    char *at = payload_reserve(&request->writer, wire_bytes_size(ack_id.size));
    if (at == NULL) {
        return false;
    }
    wire_put_bytes(at, ids_field(request->kind), ack_id);
    request->handles[request->count++] = handle;
    return true;
}

static void count_outcome(struct pubsub_subscriber *subscriber, enum settle_kind kind,
                          uint64_t handle, enum pubsub_settled outcome);

void settle_add(struct pubsub_subscriber *subscriber, enum settle_kind kind, uint64_t handle,
                struct text ack_id)
{
    struct settle_request *request = subscriber->open[kind];
    if (request != NULL && request->writer.size + wire_bytes_size(ack_id.size) > REQUEST_SIZE_MAX) {
        settle_send(subscriber, kind);
        request = NULL;
    }
    if (request == NULL) {
        request = subscriber->open[kind] = create_request(subscriber, kind);
        if (request != NULL && kind == SETTLE_ACK) {
            client_timer_set(subscriber->client, &subscriber->ack_linger,
                             client_now_ns(subscriber->client) +
                                 subscriber->options.ack_linger_us * 1000);
        }
    }
    if (request == NULL || !add_id(request, handle, ack_id)) {
        count_outcome(subscriber, kind, handle, PUBSUB_SETTLED_UNKNOWN); // no memory
    }
}

void settle_linger_over(void *context)
{
    settle_send(context, SETTLE_ACK);
}

// --- sending ------------------------------------------------------------------------------------

static void link_request(struct settle_request *request)
{
    struct pubsub_subscriber *subscriber = request->subscriber;
    request->previous = NULL;
    request->next = subscriber->requests_first;
    if (request->next != NULL) {
        request->next->previous = request;
    }
    subscriber->requests_first = request;
}

static void unlink_request(struct settle_request *request)
{
    if (request->previous != NULL) {
        request->previous->next = request->next;
    } else {
        request->subscriber->requests_first = request->next;
    }
    if (request->next != NULL) {
        request->next->previous = request->previous;
    }
}

static void end_request(struct settle_request *request, enum err err, struct text details);

void settle_send(struct pubsub_subscriber *subscriber, enum settle_kind kind)
{
    struct settle_request *request = subscriber->open[kind];
    if (request == NULL) {
        return;
    }
    subscriber->open[kind] = NULL;
    if (kind == SETTLE_ACK) {
        client_timer_clear(subscriber->client, &subscriber->ack_linger);
    }
    link_request(request);
    backoff_start(&request->backoff, client_now_ns(subscriber->client));
    request->request = payload_finish(&request->writer);
    send_request(request);
}

static void call_done(struct transport_call *call, const struct rpc_status *status,
                      struct payload *response);

static void send_request(struct settle_request *request)
{
    struct pubsub_subscriber *subscriber = request->subscriber;
    if (request->request == NULL) {
        end_request(request, ERR_NO_MEMORY, (struct text){0});
        return;
    }
    request->call = (struct transport_call){
        .method = request->kind == SETTLE_ACK ? RPC_ACKNOWLEDGE : RPC_MODIFY_ACK_DEADLINE,
        .request = request->request,
        .routing = resource_routing(&subscriber->subscription),
        .timeout_us = TIMEOUT_US,
        .done = call_done,
    };
    transport_call_start(subscriber->client->transport, &request->call);
}

static bool rests(struct settle_request *request, enum err err)
{
    struct pubsub *client = request->subscriber->client;
    int64_t now_ns = client_now_ns(client);
    int64_t wait_us = 0;
    if (request->subscriber->closed || err_class_of(err) != ERR_CLASS_RETRY ||
        !backoff_next(&request->backoff, rules_of(request), now_ns, &client->rand, &wait_us)) {
        return false;
    }
    client_timer_set(client, &request->rest, now_ns + wait_us * 1000);
    return true;
}

static void call_done(struct transport_call *call, const struct rpc_status *status,
                      struct payload *response)
{
    struct settle_request *request =
        (struct settle_request *)((char *)call - offsetof(struct settle_request, call));
    struct pubsub_subscriber *subscriber = request->subscriber;
    struct pubsub *client = subscriber->client;
    enum err err = rpc_error(status->code);
    (void)response;
    client_lock(client);
    if (!rests(request, err)) {
        end_request(request, err, status->details);
    }
    client_changed(client);
    client_unlock(client);
}

// --- outcomes -----------------------------------------------------------------------------------

static void receipt_ended(struct pubsub_subscriber *subscriber, uint64_t handle, bool confirmed)
{
    struct held_batch *batch = NULL;
    struct held_message *message = held_find(&subscriber->held, handle, &batch);
    if (message == NULL) {
        return;
    }
    assert(batch->unconfirmed > 0);
    batch->unconfirmed--;
    if (!confirmed && held_settle(&subscriber->held, batch, message)) {
        return; // it is somebody else's now: dropped unseen
    }
    if (batch->unconfirmed == 0) {
        subscriber_show(subscriber, batch);
    }
}

static void count_outcome(struct pubsub_subscriber *subscriber, enum settle_kind kind,
                          uint64_t handle, enum pubsub_settled outcome)
{
    struct pubsub_subscriber_figures *figures = &subscriber->figures;
    bool fine = outcome == PUBSUB_SETTLED;
    figures->too_late += outcome == PUBSUB_SETTLED_TOO_LATE ? 1 : 0;
    switch (kind) {
    case SETTLE_ACK:
        figures->acked += fine ? 1 : 0;
        figures->ack_lost += fine ? 0 : 1;
        break;
    case SETTLE_EXTEND:
        figures->extended += fine ? 1 : 0;
        break;
    case SETTLE_RECEIPT:
        receipt_ended(subscriber, handle, fine);
        break;
    case SETTLE_NACK:
    case SETTLE_KIND_COUNT:
        break;
    }
}

static bool wants_outcomes(const struct settle_request *request)
{
    return request->subscriber->exactly_once && request->subscriber->options.on_settled != NULL &&
           (request->kind == SETTLE_ACK || request->kind == SETTLE_NACK);
}

// Hands the outcomes out when somebody wants them; else the request is freed.
static void finish_request(struct settle_request *request)
{
    struct pubsub_subscriber *subscriber = request->subscriber;
    unlink_request(request);
    if (request->outcomes != NULL && wants_outcomes(request)) {
        subscriber->deliveries++;
        client_deliver(subscriber->client, &request->delivery);
    } else {
        free_request(request);
    }
    client_changed(subscriber->client);
}

static void deliver_outcomes(struct delivery *delivery)
{
    struct settle_request *request =
        (struct settle_request *)((char *)delivery - offsetof(struct settle_request, delivery));
    struct pubsub_subscriber *subscriber = request->subscriber;
    for (size_t i = 0; i < request->count; i++) {
        subscriber->options.on_settled(subscriber->options.context, request->handles[i],
                                       request->outcomes[i]);
    }
    free_request(request);
    client_lock(subscriber->client);
    subscriber->deliveries--;
    client_changed(subscriber->client);
    client_unlock(subscriber->client);
}

// Sends the ids that failed for the moment again, in a request of their own that is as old.
static struct settle_request *create_follower(const struct settle_request *request)
{
    struct settle_request *follower = create_request(request->subscriber, request->kind);
    if (follower != NULL) {
        follower->backoff = request->backoff;
    }
    return follower;
}

static void send_follower(struct settle_request *follower)
{
    if (follower == NULL || follower->count == 0) {
        if (follower != NULL) {
            free_request(follower);
        }
        return;
    }
    link_request(follower);
    follower->request = payload_finish(&follower->writer);
    if (!rests(follower, ERR_UNAVAILABLE)) {
        end_request(follower, ERR_TIMEOUT, (struct text){0});
    }
}

// The outcome of one id of a request that failed as a whole with `details`. The ids to be tried again
// go over to the follower, and have no outcome here.
static bool judge(struct settle_request *request, struct settle_request *follower, size_t index,
                  struct text ack_id, struct text details, enum pubsub_settled *out_outcome)
{
    enum ack_verdict verdict = ack_verdict_of(details, ack_id);
    if (verdict == ACK_VERDICT_TRANSIENT && follower != NULL &&
        add_id(follower, request->handles[index], ack_id)) {
        return false;
    }
    *out_outcome = verdict == ACK_VERDICT_FINE        ? PUBSUB_SETTLED
                   : verdict == ACK_VERDICT_PERMANENT ? PUBSUB_SETTLED_TOO_LATE
                                                      : PUBSUB_SETTLED_UNKNOWN;
    return true;
}

// Ends each id by what the service said about it.
static void end_by_verdicts(struct settle_request *request, struct text details)
{
    struct settle_request *follower = create_follower(request);
    struct text bytes = request->request->bytes;
    struct wire_reader reader;
    struct wire_field field;
    size_t kept = 0;
    size_t index = 0;
    wire_reader_init(&reader,
                     (struct text){bytes.data + request->ids_at, bytes.size - request->ids_at});
    for (; wire_next(&reader, &field); index++) {
        enum pubsub_settled outcome = PUBSUB_SETTLED;
        assert(index < request->count);
        if (judge(request, follower, index, field.bytes, details, &outcome)) {
            count_outcome(request->subscriber, request->kind, request->handles[index], outcome);
            request->handles[kept] = request->handles[index];
            if (request->outcomes != NULL) {
                request->outcomes[kept] = outcome;
            }
            kept++;
        }
    }
    request->count = kept;
    send_follower(follower);
}

static void end_alike(struct settle_request *request, enum pubsub_settled outcome)
{
    for (size_t i = 0; i < request->count; i++) {
        count_outcome(request->subscriber, request->kind, request->handles[i], outcome);
        if (request->outcomes != NULL) {
            request->outcomes[i] = outcome;
        }
    }
}

static void end_request(struct settle_request *request, enum err err, struct text details)
{
    if (wants_outcomes(request)) {
        request->outcomes = calloc(request->count, sizeof(request->outcomes[0]));
    }
    if (err == ERR_OK) {
        end_alike(request, PUBSUB_SETTLED);
    } else if (request->request != NULL && ack_verdicts_given(details)) {
        end_by_verdicts(request, details);
    } else {
        end_alike(request, PUBSUB_SETTLED_UNKNOWN);
    }
    finish_request(request);
}

// --- ending -------------------------------------------------------------------------------------

bool settle_is_idle(const struct pubsub_subscriber *subscriber)
{
    for (int kind = 0; kind < SETTLE_KIND_COUNT; kind++) {
        if (subscriber->open[kind] != NULL) {
            return false;
        }
    }
    return subscriber->requests_first == NULL && subscriber->deliveries == 0;
}

void settle_stop(struct pubsub_subscriber *subscriber)
{
    struct settle_request *next = NULL;
    for (struct settle_request *request = subscriber->requests_first; request != NULL;
         request = next) {
        next = request->next;
        if (request->rest.set) {
            client_timer_clear(subscriber->client, &request->rest);
            end_request(request, ERR_CLOSED, (struct text){0});
        } else {
            transport_call_cancel(subscriber->client->transport, &request->call);
        }
    }
}
