// Pulls that wait for messages, and streams.
#include "pubsub_scripted_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS        INT64_C(1000000000)
#define PULL_LEASE_NS    (10 * SECOND_NS)
#define INVALID_ARGUMENT 3

enum { PULL_MAX_MESSAGES = 3 };
enum { STREAM_SUBSCRIPTION = 1, STREAM_SECONDS = 5, STREAM_CLIENT = 6, STREAM_COUNT_MAX = 7 };
enum { STREAM_PROPERTIES = 4, PROPERTY_EXACTLY_ONCE = 1, PROPERTY_ORDERING = 2 };

// --- pulls --------------------------------------------------------------------------------------

static bool answer_pull(struct pubsub_scripted *self, struct rpc_call *call, uint64_t count_max,
                        bool late)
{
    struct scripted_bytes response = {0};
    size_t count = scripted_deliver(self, count_max, PULL_LEASE_NS, NULL, &response);
    if (count > 0 || late) {
        rpc_call_answer(call, scripted_view(&response));
    }
    free(response.data);
    return count > 0 || late;
}

void scripted_pull(struct pubsub_scripted *self, struct rpc_call *call, struct text request)
{
    uint64_t count_max = scripted_number_of(request, PULL_MAX_MESSAGES);
    if (answer_pull(self, call, count_max, false)) {
        return;
    }
    for (size_t i = 0; i < PULLS_MAX; i++) {
        if (self->pulls[i].call == NULL) {
            int64_t wait_ns = (int64_t)self->options.pull_wait_ms * 1000000;
            self->pulls[i] = (struct open_pull){call, count_max, scripted_now_ns() + wait_ns};
            return;
        }
    }
    assert(!"too many pulls at once");
}

// --- streams ------------------------------------------------------------------------------------

struct open_stream *scripted_stream_of(struct pubsub_scripted *self, const struct rpc_call *call)
{
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        if (self->streams[i].call == call) {
            return &self->streams[i];
        }
    }
    return NULL;
}

// Whether all streams come from one subscriber.
static void note_client(struct pubsub_scripted *self, struct text client_id)
{
    char id[sizeof(self->client_id)];
    (void)snprintf(id, sizeof(id), "%.*s", TEXT_PRINT(client_id));
    if (self->client_id[0] == '\0') {
        memcpy(self->client_id, id, sizeof(id));
        self->counts.client_id_kept = true;
    }
    self->counts.client_id_kept = self->counts.client_id_kept && strcmp(self->client_id, id) == 0;
}

static void open_stream(struct pubsub_scripted *self, struct rpc_call *call, struct text request)
{
    uint64_t seconds = scripted_number_of(request, STREAM_SECONDS);
    struct open_stream *stream = scripted_stream_of(self, NULL);
    assert(stream != NULL);
    if (scripted_bytes_of(request, STREAM_SUBSCRIPTION).size == 0 || seconds < 10 ||
        seconds > 600) {
        scripted_end(self, SCRIPTED_STREAMING_PULL, call, INVALID_ARGUMENT,
                     "stream_ack_deadline_seconds must be between 10 and 600 seconds",
                     (struct text){0});
        return;
    }
    uint64_t count_max = scripted_number_of(request, STREAM_COUNT_MAX);
    note_client(self, scripted_bytes_of(request, STREAM_CLIENT));
    self->counts.first_asked = count_max;
    self->counts.streams++;
    *stream = (struct open_stream){
        .call = call,
        .lease_ns = (int64_t)seconds * SECOND_NS,
        .count_max = count_max > 0 ? count_max : UINT64_MAX,
    };
}

void scripted_stream_message(struct pubsub_scripted *self, struct rpc_call *call,
                             struct text request)
{
    struct open_stream *stream = scripted_stream_of(self, call);
    if (stream == NULL) {
        open_stream(self, call, request);
        return;
    }
    bool again = scripted_bytes_of(request, STREAM_SUBSCRIPTION).size > 0;
    if (again) {
        scripted_end(self, SCRIPTED_STREAMING_PULL, call, INVALID_ARGUMENT,
                     "subscription may only be set in first message", (struct text){0});
        return;
    }
    self->counts.pings += request.size == 0 ? 1 : 0;
    stream->pong = stream->pong || (request.size == 0 && self->pongs);
}

void scripted_stream_sent(struct pubsub_scripted *self, struct rpc_call *call)
{
    struct open_stream *stream = scripted_stream_of(self, call);
    if (stream != NULL) {
        stream->sending = false;
    }
}

void scripted_receiver_gone(struct pubsub_scripted *self, struct rpc_call *call)
{
    struct open_stream *stream = scripted_stream_of(self, call);
    if (stream != NULL) {
        *stream = (struct open_stream){0};
        self->counts.streams--;
    }
    for (size_t i = 0; i < PULLS_MAX; i++) {
        if (self->pulls[i].call == call) {
            self->pulls[i] = (struct open_pull){0};
        }
    }
}

// --- feeding ------------------------------------------------------------------------------------

static void feed_stream(struct pubsub_scripted *self, struct open_stream *stream)
{
    struct scripted_bytes response = {0};
    struct scripted_bytes properties = {0};
    size_t most = self->options.response_count_max;
    uint64_t room = stream->count_max > stream->sent ? stream->count_max - stream->sent : 0;
    size_t count = scripted_deliver(self, room < most ? (size_t)room : most, stream->lease_ns,
                                    stream, &response);
    if (count > 0 || stream->pong) {
        scripted_put_number(&properties, PROPERTY_EXACTLY_ONCE, self->exactly_once ? 1 : 0);
        scripted_put_number(&properties, PROPERTY_ORDERING, 0);
        scripted_put_bytes(&response, STREAM_PROPERTIES, scripted_view(&properties));
        stream->sending = true;
        stream->pong = false;
        rpc_call_send(stream->call, scripted_view(&response));
    }
    free(properties.data);
    free(response.data);
}

static void feed_streams(struct pubsub_scripted *self)
{
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        struct open_stream *stream = &self->streams[i];
        if (stream->call != NULL && self->ending) {
            struct rpc_call *call = stream->call;
            *stream = (struct open_stream){0};
            self->counts.streams--;
            scripted_end(self, SCRIPTED_STREAMING_PULL, call, self->end_status, self->end_reason,
                         (struct text){0});
        } else if (stream->call != NULL && !stream->sending) {
            feed_stream(self, stream);
        }
    }
    self->ending = false;
}

int64_t scripted_feed(struct pubsub_scripted *self)
{
    int64_t now_ns = scripted_now_ns();
    int64_t next_ns = INT64_MAX;
    feed_streams(self);
    for (size_t i = 0; i < PULLS_MAX; i++) {
        struct open_pull *pull = &self->pulls[i];
        if (pull->call == NULL) {
            continue;
        }
        if (answer_pull(self, pull->call, pull->count_max, pull->until_ns <= now_ns)) {
            *pull = (struct open_pull){0};
        } else if (pull->until_ns < next_ns) {
            next_ns = pull->until_ns;
        }
    }
    return next_ns;
}
