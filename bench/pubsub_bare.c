// See the header.
#include "pubsub_bare.h"

#include "clock.h"
#include "wire.h"

#include <assert.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_SIZE_MAX (20 * 1024 * 1024)
#define PULL_COUNT       1000u
#define LEASE_SECONDS    60u

enum { SUBSCRIPTION = 1, PULL_MAX = 3, ACK_IDS = 2, RECEIVED = 1, RECEIVED_ACK_ID = 1 };
enum { STREAM_LEASE = 5 };
enum { BARE_PUBLISH, BARE_PULL, BARE_ACKNOWLEDGE, BARE_STREAM, BARE_METHODS };

static const char *const paths[BARE_METHODS] = {
    "/google.pubsub.v1.Publisher/Publish",
    "/google.pubsub.v1.Subscriber/Pull",
    "/google.pubsub.v1.Subscriber/Acknowledge",
    "/google.pubsub.v1.Subscriber/StreamingPull",
};

struct bare {
    grpc_completion_queue *queue;
    grpc_channel *channel;
    void *methods[BARE_METHODS];
    size_t calls; // unary ones under way, pulls excepted
    char *ids;    // room for a request to acknowledge
    size_t ids_cap;
};

struct bare_call {
    int method;
    grpc_call *handle;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_byte_buffer *response;
    grpc_status_code status;
    grpc_slice message;
};

struct bare *bare_open(const char *endpoint)
{
    struct bare *bare = calloc(1, sizeof(*bare));
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)(uintptr_t)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
         .value.integer = MESSAGE_SIZE_MAX},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)(uintptr_t)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
         .value.integer = 1},
    };
    grpc_channel_args all = {.num_args = 2, .args = args};
    assert(bare != NULL);
    grpc_init();
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    bare->queue = grpc_completion_queue_create_for_next(NULL);
    bare->channel = grpc_channel_create(endpoint, credentials, &all);
    grpc_channel_credentials_release(credentials);
    for (int i = 0; i < BARE_METHODS; i++) {
        bare->methods[i] = grpc_channel_register_call(bare->channel, paths[i], NULL, NULL);
    }
    return bare;
}

void bare_close(struct bare **bare)
{
    struct bare *self = *bare;
    gpr_timespec never = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    *bare = NULL;
    grpc_completion_queue_shutdown(self->queue);
    while (grpc_completion_queue_next(self->queue, never, NULL).type != GRPC_QUEUE_SHUTDOWN) {
        // nothing is left but the end
    }
    grpc_completion_queue_destroy(self->queue);
    grpc_channel_destroy(self->channel);
    grpc_shutdown();
    free(self->ids);
    free(self);
}

// --- calls --------------------------------------------------------------------------------------

static void start_batch(grpc_call *call, const grpc_op *ops, size_t count, void *tag)
{
    grpc_call_error error = grpc_call_start_batch(call, ops, count, tag, NULL);
    assert(error == GRPC_CALL_OK);
}

static struct bare_call *create_call(struct bare *bare, int method)
{
    struct bare_call *call = calloc(1, sizeof(*call));
    assert(call != NULL);
    call->method = method;
    call->message = grpc_empty_slice();
    grpc_metadata_array_init(&call->initial);
    grpc_metadata_array_init(&call->trailing);
    call->handle = grpc_channel_create_registered_call(bare->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                                       bare->queue, bare->methods[method],
                                                       gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    return call;
}

static grpc_op op_status(struct bare_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    op.data.recv_status_on_client.trailing_metadata = &call->trailing;
    op.data.recv_status_on_client.status = &call->status;
    op.data.recv_status_on_client.status_details = &call->message;
    return op;
}

static grpc_op op_headers(struct bare_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_INITIAL_METADATA};
    op.data.recv_initial_metadata.recv_initial_metadata = &call->initial;
    return op;
}

static grpc_byte_buffer *buffer_of(struct text bytes, bool lent)
{
    grpc_slice slice = lent ? grpc_slice_from_static_buffer(bytes.data, bytes.size)
                            : grpc_slice_from_copied_buffer(bytes.data, bytes.size);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

static void start_unary(struct bare *bare, int method, struct text request, bool lent)
{
    struct bare_call *call = create_call(bare, method);
    grpc_byte_buffer *buffer = buffer_of(request, lent);
    grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}};
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = buffer;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3] = op_headers(call);
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &call->response;
    ops[5] = op_status(call);
    start_batch(call->handle, ops, 6, call);
    grpc_byte_buffer_destroy(buffer);
    bare->calls += method == BARE_PULL ? 0 : 1;
}

static void *next_event(struct bare *bare)
{
    grpc_event event =
        grpc_completion_queue_next(bare->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    assert(event.type == GRPC_OP_COMPLETE);
    return event.tag;
}

static void destroy_call(struct bare_call *call)
{
    if (call->response != NULL) {
        grpc_byte_buffer_destroy(call->response);
    }
    grpc_slice_unref(call->message);
    grpc_metadata_array_destroy(&call->initial);
    grpc_metadata_array_destroy(&call->trailing);
    grpc_call_unref(call->handle);
    free(call);
}

static void end_unary(struct bare *bare, struct bare_call *call)
{
    if (call->status != GRPC_STATUS_OK) {
        (void)fprintf(stderr, "%s: status %d, %.*s\n", paths[call->method], (int)call->status,
                      (int)GRPC_SLICE_LENGTH(call->message),
                      (const char *)GRPC_SLICE_START_PTR(call->message));
        exit(1);
    }
    bare->calls -= call->method == BARE_PULL ? 0 : 1;
    destroy_call(call);
}

void bare_publish(struct bare *bare, struct text request, size_t requests, size_t in_flight)
{
    size_t sent = 0;
    for (size_t done = 0; done < requests; done++) {
        for (; sent < requests && sent - done < in_flight; sent++) {
            start_unary(bare, BARE_PUBLISH, request, true);
        }
        end_unary(bare, next_event(bare));
    }
}

// --- receiving ----------------------------------------------------------------------------------

static char *room(struct bare *bare, size_t size)
{
    if (size > bare->ids_cap) {
        bare->ids_cap = size * 2;
        bare->ids = realloc(bare->ids, bare->ids_cap);
        assert(bare->ids != NULL);
    }
    return bare->ids;
}

// Writes a request that acks all messages of the response; how many there are.
static size_t write_acks(struct bare *bare, struct text subscription, grpc_byte_buffer *response,
                         struct text *out_request)
{
    grpc_byte_buffer_reader bytes;
    struct wire_reader reader;
    struct wire_field field;
    size_t count = 0;
    if (response == NULL || !grpc_byte_buffer_reader_init(&bytes, response)) {
        return 0;
    }
    grpc_slice slice = grpc_byte_buffer_reader_readall(&bytes);
    struct text all = {(const char *)GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice)};
    char *start = room(bare, all.size + subscription.size + 16);
    char *at = wire_put_bytes(start, SUBSCRIPTION, subscription);
    wire_reader_init(&reader, all);
    while (wire_next(&reader, &field)) {
        struct wire_reader inside;
        struct wire_field id;
        wire_reader_init(&inside, field.bytes);
        if (wire_is_bytes(&field, RECEIVED) && wire_next(&inside, &id) &&
            wire_is_bytes(&id, RECEIVED_ACK_ID)) {
            at = wire_put_bytes(at, ACK_IDS, id.bytes);
            count++;
        }
    }
    *out_request = (struct text){start, (size_t)(at - start)};
    grpc_slice_unref(slice);
    grpc_byte_buffer_reader_destroy(&bytes);
    return count;
}

static size_t ack_all(struct bare *bare, struct text subscription, grpc_byte_buffer *response)
{
    struct text request = {0};
    size_t count = write_acks(bare, subscription, response, &request);
    if (count > 0) {
        start_unary(bare, BARE_ACKNOWLEDGE, request, false);
    }
    return count;
}

static void pull_more(struct bare *bare, struct text subscription)
{
    char request[512];
    char *at = wire_put_bytes(request, SUBSCRIPTION, subscription);
    at = wire_put_number(at, PULL_MAX, PULL_COUNT);
    start_unary(bare, BARE_PULL, (struct text){request, (size_t)(at - request)}, false);
}

// Starts the next pull and the acks of this one, in the order that is wanted.
static void pull_and_ack(struct bare *bare, struct text subscription, bool pulls, bool ahead,
                         const struct text *acks)
{
    if (pulls && ahead) {
        pull_more(bare, subscription);
    }
    if (acks->size > 0) {
        start_unary(bare, BARE_ACKNOWLEDGE, *acks, false);
    }
    if (pulls && !ahead) {
        pull_more(bare, subscription);
    }
}

size_t bare_pull(struct bare *bare, struct text subscription, size_t messages, bool ahead)
{
    size_t got = 0;
    bool pulling = true;
    pull_more(bare, subscription);
    while (pulling || bare->calls > 0) {
        struct bare_call *call = next_event(bare);
        if (call->method == BARE_PULL) {
            struct text acks = {0};
            size_t count = write_acks(bare, subscription, call->response, &acks);
            got += count;
            pulling = got < messages;
            acks.size = count > 0 ? acks.size : 0;
            pull_and_ack(bare, subscription, pulling, ahead, &acks);
        }
        end_unary(bare, call);
    }
    return got;
}

// --- streams ------------------------------------------------------------------------------------

// A stream has events of its own beside those of calls.
struct bare_stream {
    struct bare_call *call;
    grpc_byte_buffer *received;
    char start, read, status; // their addresses are tags
};

static void read_more(struct bare_stream *stream)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &stream->received;
    start_batch(stream->call->handle, &op, 1, &stream->read);
}

static void open_stream(struct bare *bare, struct bare_stream *stream, struct text subscription)
{
    char request[512];
    char *at = wire_put_bytes(request, SUBSCRIPTION, subscription);
    at = wire_put_number(at, STREAM_LEASE, LEASE_SECONDS);
    *stream = (struct bare_stream){.call = create_call(bare, BARE_STREAM)};
    grpc_byte_buffer *buffer = buffer_of((struct text){request, (size_t)(at - request)}, false);
    grpc_op ops[3] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}};
    ops[1] = op_headers(stream->call);
    ops[2].op = GRPC_OP_SEND_MESSAGE;
    ops[2].data.send_message.send_message = buffer;
    grpc_op status = op_status(stream->call);
    start_batch(stream->call->handle, ops, 3, &stream->start);
    start_batch(stream->call->handle, &status, 1, &stream->status);
    grpc_byte_buffer_destroy(buffer);
    read_more(stream);
}

// Handles one event; how many messages it brought.
static size_t stream_step(struct bare *bare, struct bare_stream *stream, struct text subscription)
{
    void *tag = next_event(bare);
    if (tag == &stream->read) {
        size_t count = ack_all(bare, subscription, stream->received);
        assert(stream->received != NULL);
        grpc_byte_buffer_destroy(stream->received);
        stream->received = NULL;
        read_more(stream);
        return count;
    }
    assert(tag != &stream->status);
    if (tag != &stream->start) {
        end_unary(bare, tag);
    }
    return 0;
}

static void close_stream(struct bare *bare, struct bare_stream *stream)
{
    bool ended = false;
    bool read = false;
    (void)grpc_call_cancel(stream->call->handle, NULL);
    while (!ended || !read || bare->calls > 0) {
        void *tag = next_event(bare);
        ended = ended || tag == &stream->status;
        read = read || tag == &stream->read;
        if (tag != &stream->status && tag != &stream->read && tag != &stream->start) {
            end_unary(bare, tag);
        }
    }
    if (stream->received != NULL) {
        grpc_byte_buffer_destroy(stream->received);
    }
    destroy_call(stream->call);
}

size_t bare_stream(struct bare *bare, struct text subscription, size_t messages)
{
    struct bare_stream stream;
    size_t got = 0;
    open_stream(bare, &stream, subscription);
    while (got < messages) {
        got += stream_step(bare, &stream, subscription);
    }
    close_stream(bare, &stream);
    return got;
}

void bare_latency(struct bare *bare, struct text request, struct text subscription, int64_t *out_ns,
                  size_t count)
{
    const struct clock clock = clock_real();
    struct bare_stream stream;
    open_stream(bare, &stream, subscription);
    for (size_t i = 0; i < count; i++) {
        int64_t start_ns = clock_mono_ns(&clock);
        start_unary(bare, BARE_PUBLISH, request, true);
        while (stream_step(bare, &stream, subscription) == 0) {
            // until it comes
        }
        out_ns[i] = clock_mono_ns(&clock) - start_ns;
        while (bare->calls > 0) { // the next one is alone again
            (void)stream_step(bare, &stream, subscription);
        }
    }
    close_stream(bare, &stream);
}
