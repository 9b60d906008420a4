// Messages, their leases, and requests about ack ids. An ack id is "A", the message's number, "-", which
// delivery of it this is, and "=" up to the wanted size: only the newest one counts with exactly-once.
#include "pubsub_scripted_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INVALID_ARGUMENT = 3 };
enum { MESSAGE_ID = 3, PUBLISH_TIME = 4, TIME_SECONDS = 1 };
enum { PUBLISH_REQUEST_MESSAGES = 2, PUBLISH_RESPONSE_IDS = 1 };
enum { RECEIVED = 1, RECEIVED_ACK_ID = 1, RECEIVED_MESSAGE = 2 };
enum { ACK_REQUEST_IDS = 2, MODIFY_SECONDS = 3, MODIFY_IDS = 4 };
enum { STATUS_CODE = 1, STATUS_TEXT = 2, STATUS_DETAILS = 3, ANY_TYPE = 1, ANY_VALUE = 2 };
enum { INFO_REASON = 1, INFO_DOMAIN = 2, INFO_METADATA = 3, ENTRY_KEY = 1, ENTRY_VALUE = 2 };

#define FAILURE_TEXT                                                                               \
    "Some acknowledgement ids in the request were invalid. This could be because the "             \
    "acknowledgement ids have expired or the acknowledgement ids were malformed."

// --- storing ------------------------------------------------------------------------------------

// Fields that come later in an encoded message win, so id and time are written behind what was published.
void scripted_store(struct pubsub_scripted *self, struct text body)
{
    struct scripted_bytes bytes = {0};
    struct scripted_bytes time = {0};
    char id[24];
    if (self->counts.messages == self->messages_cap) {
        self->messages_cap = self->messages_cap == 0 ? 1024 : self->messages_cap * 2;
        self->messages =
            scripted_alloc(self->messages, self->messages_cap * sizeof(self->messages[0]));
    }
    int size = snprintf(id, sizeof(id), "%zu", self->counts.messages + 1);
    memcpy(scripted_room(&bytes, body.size), body.data, body.size);
    scripted_put_bytes(&bytes, MESSAGE_ID, (struct text){id, (size_t)size});
    scripted_put_number(&time, TIME_SECONDS, 1700000000);
    scripted_put_bytes(&bytes, PUBLISH_TIME, scripted_view(&time));
    free(time.data);
    self->messages[self->counts.messages++] =
        (struct stored){.body = bytes.data, .body_size = bytes.size};
}

void scripted_publish(struct pubsub_scripted *self, struct rpc_call *call, struct text request)
{
    struct scripted_bytes response = {0};
    struct wire_reader reader;
    struct wire_field field;
    wire_reader_init(&reader, request);
    while (wire_next(&reader, &field)) {
        if (wire_is_bytes(&field, PUBLISH_REQUEST_MESSAGES)) {
            char id[24];
            scripted_store(self, field.bytes);
            int size = snprintf(id, sizeof(id), "%zu", self->counts.messages);
            scripted_put_bytes(&response, PUBLISH_RESPONSE_IDS, (struct text){id, (size_t)size});
        }
    }
    assert(!reader.damaged);
    rpc_call_answer(call, scripted_view(&response));
    free(response.data);
}

// --- delivering ---------------------------------------------------------------------------------

static void write_received(struct pubsub_scripted *self, size_t number, struct scripted_bytes *out)
{
    const struct stored *message = &self->messages[number];
    struct text body = {message->body, message->body_size};
    char *id = scripted_alloc(NULL, self->ack_id_size + 1);
    int head = snprintf(id, self->ack_id_size + 1, "A%zu-%u", number, message->deliveries);
    memset(id + head, '=', self->ack_id_size - (size_t)head);
    struct text ack_id = {id, self->ack_id_size};
    size_t size = wire_bytes_size(ack_id.size) + wire_bytes_size(body.size);
    char *at = scripted_room(out, wire_bytes_size(size));
    at = wire_put_head(at, RECEIVED, size);
    at = wire_put_bytes(at, RECEIVED_ACK_ID, ack_id);
    wire_put_bytes(at, RECEIVED_MESSAGE, body);
    free(id);
}

size_t scripted_deliver(struct pubsub_scripted *self, size_t count_max, int64_t lease_ns,
                        struct open_stream *stream, struct scripted_bytes *out)
{
    int64_t until_ns = scripted_now_ns() + lease_ns;
    size_t count = 0;
    while (self->first_unacked < self->counts.messages &&
           self->messages[self->first_unacked].acked) {
        self->first_unacked++;
    }
    for (size_t i = self->first_unacked; i < self->counts.messages && count < count_max; i++) {
        struct stored *message = &self->messages[i];
        if (message->acked || message->leased) {
            continue;
        }
        message->leased = true;
        message->deliveries++;
        message->lease_until_ns = until_ns;
        message->stream = stream != NULL ? stream->call : NULL;
        self->counts.deliveries++;
        write_received(self, i, out);
        count++;
    }
    if (stream != NULL) {
        stream->sent += count;
    }
    return count;
}

static void let_go(struct pubsub_scripted *self, struct stored *message)
{
    struct open_stream *stream = message->stream != NULL && message->leased
                                     ? scripted_stream_of(self, message->stream)
                                     : NULL;
    if (stream != NULL && stream->sent > 0) {
        stream->sent--;
    }
    message->leased = false;
    message->stream = NULL;
}

int64_t scripted_end_leases(struct pubsub_scripted *self)
{
    int64_t now_ns = scripted_now_ns();
    int64_t next_ns = INT64_MAX;
    for (size_t i = self->first_unacked; i < self->counts.messages; i++) {
        struct stored *message = &self->messages[i];
        if (message->leased && message->lease_until_ns <= now_ns) {
            let_go(self, message);
        } else if (message->leased && message->lease_until_ns < next_ns) {
            next_ns = message->lease_until_ns;
        }
    }
    return next_ns;
}

// --- requests about ack ids ---------------------------------------------------------------------

// The message that the ack id belongs to, or NULL. *out_is_newest: no later delivery has been made.
static struct stored *find(struct pubsub_scripted *self, struct text ack_id, size_t *out_number,
                           bool *out_is_newest)
{
    size_t number = 0;
    unsigned delivery = 0;
    char copy[32] = "";
    memcpy(copy, ack_id.data, ack_id.size < sizeof(copy) ? ack_id.size : sizeof(copy) - 1);
    if (sscanf(copy, "A%zu-%u", &number, &delivery) != 2 || number >= self->counts.messages) {
        return NULL;
    }
    *out_number = number;
    *out_is_newest = self->messages[number].deliveries == delivery;
    return &self->messages[number];
}

static const char *refusal_of(struct pubsub_scripted *self, enum scripted_method method,
                              size_t number)
{
    for (size_t i = 0; i < self->refusal_count; i++) {
        struct refusal *refusal = &self->refusals[i];
        if (refusal->method == method && refusal->message == number && refusal->times > 0) {
            refusal->times -= refusal->times == SCRIPTED_ALWAYS ? 0 : 1;
            return refusal->word;
        }
    }
    return NULL;
}

// Does what the request says to one id; why not, or NULL.
static const char *apply(struct pubsub_scripted *self, enum scripted_method method,
                         struct text ack_id, uint64_t seconds)
{
    size_t number = 0;
    bool is_newest = false;
    struct stored *message = find(self, ack_id, &number, &is_newest);
    if (message == NULL) {
        return SCRIPTED_PERMANENT;
    }
    const char *word = self->exactly_once ? refusal_of(self, method, number) : NULL;
    bool is_valid = is_newest && message->leased && !message->acked;
    if (word != NULL || (self->exactly_once && !is_valid)) {
        return word != NULL ? word : SCRIPTED_PERMANENT;
    }
    if (method == SCRIPTED_ACKNOWLEDGE) {
        self->counts.acked += message->acked ? 0 : 1;
        self->counts.acks += message->acked ? 0 : 1;
        let_go(self, message);
        message->acked = true;
    } else if (is_valid && seconds == 0) {
        let_go(self, message);
    } else if (is_valid) {
        message->lease_until_ns = scripted_now_ns() + (int64_t)seconds * INT64_C(1000000000);
    }
    return NULL;
}

static void add_entry(struct scripted_bytes *info, struct text ack_id, const char *word)
{
    struct scripted_bytes entry = {0};
    scripted_put_bytes(&entry, ENTRY_KEY, ack_id);
    scripted_put_bytes(&entry, ENTRY_VALUE, text_of(word));
    scripted_put_bytes(info, INFO_METADATA, scripted_view(&entry));
    free(entry.data);
}

// A google.rpc.Status with the ErrorInfo in it.
static void end_with_info(struct pubsub_scripted *self, enum scripted_method method,
                          struct rpc_call *call, struct text info)
{
    struct scripted_bytes any = {0};
    struct scripted_bytes status = {0};
    scripted_put_bytes(&any, ANY_TYPE, TEXT("type.googleapis.com/google.rpc.ErrorInfo"));
    scripted_put_bytes(&any, ANY_VALUE, info);
    scripted_put_number(&status, STATUS_CODE, INVALID_ARGUMENT);
    scripted_put_bytes(&status, STATUS_TEXT, TEXT(FAILURE_TEXT));
    scripted_put_bytes(&status, STATUS_DETAILS, scripted_view(&any));
    scripted_end(self, method, call, INVALID_ARGUMENT, FAILURE_TEXT, scripted_view(&status));
    free(any.data);
    free(status.data);
}

void scripted_about_ids(struct pubsub_scripted *self, enum scripted_method method,
                        struct rpc_call *call, struct text request)
{
    uint32_t ids = method == SCRIPTED_ACKNOWLEDGE ? ACK_REQUEST_IDS : MODIFY_IDS;
    uint64_t seconds =
        method == SCRIPTED_ACKNOWLEDGE ? 0 : scripted_number_of(request, MODIFY_SECONDS);
    struct scripted_bytes info = {0};
    struct wire_reader reader;
    struct wire_field field;
    size_t failures = 0;
    if (request.size > SCRIPTED_ACK_REQUEST_MAX) {
        scripted_end(self, method, call, INVALID_ARGUMENT,
                     "Request payload size exceeds the limit: 524288 bytes.", (struct text){0});
        return;
    }
    scripted_put_bytes(&info, INFO_REASON, TEXT("EXACTLY_ONCE_ACKID_FAILURE"));
    scripted_put_bytes(&info, INFO_DOMAIN, TEXT("pubsub.googleapis.com"));
    wire_reader_init(&reader, request);
    while (wire_next(&reader, &field)) {
        const char *word =
            wire_is_bytes(&field, ids) ? apply(self, method, field.bytes, seconds) : NULL;
        if (word != NULL) {
            add_entry(&info, field.bytes, word);
            failures++;
        }
    }
    if (failures > 0 && self->exactly_once) {
        end_with_info(self, method, call, scripted_view(&info));
    } else {
        rpc_call_answer(call, (struct text){0});
    }
    free(info.data);
}
