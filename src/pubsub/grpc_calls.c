// Calls and streams on gRPC core.
#include "grpc_core.h"

#include <assert.h>
#include <stdlib.h>

#define CLIENT_HEADER "gl-c/17 gapic/0 till/0.1" // x-goog-api-client
#define METADATA_MAX  3u

// What a call gets back, whether unary or a stream.
struct outcome {
    grpc_metadata_array trailing;
    grpc_status_code code;
    grpc_slice message;
};

struct headers {
    grpc_metadata items[METADATA_MAX];
    size_t count;
};

struct call_operation {
    struct operation operation; // first
    struct tag tag;
    struct transport_call *call; // the caller's
    struct headers headers;
    grpc_metadata_array initial;
    grpc_byte_buffer *response;
    struct outcome outcome;
};

struct stream_operation {
    struct operation operation;      // first
    struct transport_stream *stream; // the caller's
    struct headers headers;
    grpc_metadata_array initial;
    grpc_byte_buffer *received;
    struct outcome outcome;
    unsigned outstanding;
    bool reading;
    bool writing;
    bool ended; // the status is there
    struct tag start, read, write, finish, status;
};

struct received_payload {
    struct payload payload; // first
    grpc_slice slice;
};

// --- bytes --------------------------------------------------------------------------------------

static void destroy_received(struct payload *payload)
{
    struct received_payload *received = (struct received_payload *)payload;
    grpc_slice_unref(received->slice);
    free(received);
}

// One slice with all of the message: without a copy when it came as one.
static bool join(grpc_byte_buffer *buffer, grpc_slice *out_slice)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, buffer)) {
        return false;
    }
    *out_slice = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    return true;
}

static struct payload *payload_of(grpc_byte_buffer *buffer)
{
    struct received_payload *received = calloc(1, sizeof(*received));
    if (received == NULL || !join(buffer, &received->slice)) {
        free(received);
        return NULL;
    }
    atomic_init(&received->payload.references, 1);
    received->payload.bytes = (struct text){(const char *)GRPC_SLICE_START_PTR(received->slice),
                                            GRPC_SLICE_LENGTH(received->slice)};
    received->payload.destroy = destroy_received;
    return &received->payload;
}

static void release_sent(void *context)
{
    struct payload *payload = context;
    payload_release(&payload);
}

// Lends the payload's bytes to gRPC until it has no more use for them.
static grpc_byte_buffer *buffer_of(struct payload *payload)
{
    grpc_slice slice =
        grpc_slice_new_with_user_data((void *)(uintptr_t)payload->bytes.data, payload->bytes.size,
                                      release_sent, payload_reference(payload));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

static struct text text_of_slice(const grpc_slice *slice)
{
    return (struct text){(const char *)GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice)};
}

gpr_timespec grpc_core_deadline(int64_t after_us)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_micros(after_us, GPR_TIMESPAN));
}

// --- headers and outcomes -----------------------------------------------------------------------

static void headers_add(struct headers *headers, const char *key, grpc_slice value)
{
    assert(headers->count < METADATA_MAX);
    headers->items[headers->count++] =
        (grpc_metadata){.key = grpc_slice_from_static_string(key), .value = value};
}

static void headers_init(struct headers *headers, const struct transport_grpc *self,
                         struct text routing)
{
    headers_add(headers, "x-goog-api-client", grpc_slice_from_static_string(CLIENT_HEADER));
    headers_add(headers, "x-goog-request-params",
                grpc_slice_from_copied_buffer(routing.data, routing.size));
    if (self->quota_project != NULL) {
        headers_add(headers, "x-goog-user-project",
                    grpc_slice_from_static_string(self->quota_project));
    }
}

static void headers_deinit(struct headers *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        grpc_slice_unref(headers->items[i].value);
    }
}

static grpc_op op_send_headers(const struct headers *headers)
{
    grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    op.data.send_initial_metadata.count = headers->count;
    op.data.send_initial_metadata.metadata = (grpc_metadata *)(uintptr_t)headers->items;
    return op;
}

static grpc_op op_receive_headers(grpc_metadata_array *array)
{
    grpc_op op = {.op = GRPC_OP_RECV_INITIAL_METADATA};
    op.data.recv_initial_metadata.recv_initial_metadata = array;
    return op;
}

static grpc_op op_send(grpc_byte_buffer *buffer)
{
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = buffer;
    return op;
}

static grpc_op op_receive(grpc_byte_buffer **buffer)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = buffer;
    return op;
}

static grpc_op op_status(struct outcome *outcome)
{
    grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    op.data.recv_status_on_client.trailing_metadata = &outcome->trailing;
    op.data.recv_status_on_client.status = &outcome->code;
    op.data.recv_status_on_client.status_details = &outcome->message;
    return op;
}

// Misuse of the library is ours to find in tests, so a refusal ends the program.
static void start_batch(grpc_call *call, const grpc_op *ops, size_t count, struct tag *tag)
{
    grpc_call_error error = grpc_call_start_batch(call, ops, count, tag, NULL);
    assert(error == GRPC_CALL_OK);
}

static void outcome_init(struct outcome *outcome)
{
    grpc_metadata_array_init(&outcome->trailing);
    outcome->message = grpc_empty_slice();
}

static void outcome_deinit(struct outcome *outcome)
{
    grpc_metadata_array_destroy(&outcome->trailing);
    grpc_slice_unref(outcome->message);
}

static struct rpc_status outcome_status(const struct outcome *outcome)
{
    struct rpc_status status = {.code = (int)outcome->code,
                                .message = text_of_slice(&outcome->message)};
    for (size_t i = 0; i < outcome->trailing.count; i++) {
        const grpc_metadata *item = &outcome->trailing.metadata[i];
        if (text_equal(text_of_slice(&item->key), TEXT("grpc-status-details-bin"))) {
            status.details = text_of_slice(&item->value);
        }
    }
    return status;
}

// --- unary calls --------------------------------------------------------------------------------

// With the lock held.
static void create_call(struct transport_grpc *self, struct operation *operation,
                        uint32_t connection, enum rpc_method method, gpr_timespec deadline)
{
    struct connection *used = &self->connections[connection % self->connection_count];
    operation->handle =
        grpc_channel_create_registered_call(used->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                            self->queue, used->methods[method], deadline, NULL);
    grpc_watch_opened(operation, used);
}

void grpc_call_begin(struct transport *transport, struct transport_call *call)
{
    struct transport_grpc *self = transport_grpc_of(transport);
    struct call_operation *operation = calloc(1, sizeof(*operation));
    assert(operation != NULL); // as in gRPC, which ends the process without memory
    operation->tag = (struct tag){TAG_CALL, operation};
    operation->call = call;
    headers_init(&operation->headers, self, call->routing);
    grpc_metadata_array_init(&operation->initial);
    outcome_init(&operation->outcome);
    grpc_byte_buffer *request = buffer_of(call->request);
    grpc_op ops[] = {
        op_send_headers(&operation->headers),   op_send(request),
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, op_receive_headers(&operation->initial),
        op_receive(&operation->response),       op_status(&operation->outcome),
    };
    pthread_mutex_lock(&self->lock);
    call->operation = operation;
    create_call(self, &operation->operation, call->connection, call->method,
                grpc_core_deadline(call->timeout_us));
    start_batch(operation->operation.handle, ops, sizeof(ops) / sizeof(ops[0]), &operation->tag);
    pthread_mutex_unlock(&self->lock);
    grpc_byte_buffer_destroy(request);
}

void grpc_call_stop(struct transport *transport, struct transport_call *call)
{
    struct transport_grpc *self = transport_grpc_of(transport);
    pthread_mutex_lock(&self->lock);
    struct call_operation *operation = call->operation;
    if (operation != NULL) {
        (void)grpc_call_cancel(operation->operation.handle, NULL);
    }
    pthread_mutex_unlock(&self->lock);
}

// Whether a status must have come from the other side; these three also come from here.
static bool is_sign_of_life(grpc_status_code code)
{
    return code != GRPC_STATUS_UNAVAILABLE && code != GRPC_STATUS_DEADLINE_EXCEEDED &&
           code != GRPC_STATUS_CANCELLED;
}

static void call_report(struct call_operation *operation)
{
    struct rpc_status status = outcome_status(&operation->outcome);
    struct payload *response = NULL;
    if (status.code == RPC_OK) {
        response = operation->response != NULL ? payload_of(operation->response) : NULL;
        if (response == NULL) {
            status = (struct rpc_status){.code = RPC_INTERNAL,
                                         .message = TEXT("a response that cannot be read")};
        }
    }
    operation->call->done(operation->call, &status, response);
    payload_release(&response);
}

static void call_ended(struct transport_grpc *self, struct call_operation *operation)
{
    pthread_mutex_lock(&self->lock);
    operation->call->operation = NULL;
    if (is_sign_of_life(operation->outcome.code)) {
        grpc_watch_heard(operation->operation.connection);
    } else if (operation->outcome.code == GRPC_STATUS_DEADLINE_EXCEEDED) {
        grpc_watch_timed_out(operation->operation.connection);
    }
    grpc_watch_closed(&operation->operation);
    pthread_mutex_unlock(&self->lock);
    call_report(operation);
    if (operation->response != NULL) {
        grpc_byte_buffer_destroy(operation->response);
    }
    outcome_deinit(&operation->outcome);
    grpc_metadata_array_destroy(&operation->initial);
    headers_deinit(&operation->headers);
    grpc_call_unref(operation->operation.handle);
    free(operation);
}

// --- streams ------------------------------------------------------------------------------------

void grpc_stream_open(struct transport *transport, struct transport_stream *stream)
{
    struct transport_grpc *self = transport_grpc_of(transport);
    struct stream_operation *operation = calloc(1, sizeof(*operation));
    assert(operation != NULL);
    operation->stream = stream;
    operation->start = (struct tag){TAG_STREAM_START, operation};
    operation->read = (struct tag){TAG_READ, operation};
    operation->write = (struct tag){TAG_WRITE, operation};
    operation->finish = (struct tag){TAG_FINISH, operation};
    operation->status = (struct tag){TAG_STATUS, operation};
    headers_init(&operation->headers, self, stream->routing);
    grpc_metadata_array_init(&operation->initial);
    outcome_init(&operation->outcome);
    grpc_op start[] = {op_send_headers(&operation->headers),
                       op_receive_headers(&operation->initial)};
    grpc_op status = op_status(&operation->outcome);
    pthread_mutex_lock(&self->lock);
    stream->operation = operation;
    create_call(self, &operation->operation, stream->connection, stream->method,
                gpr_inf_future(GPR_CLOCK_MONOTONIC));
    operation->outstanding = 2;
    start_batch(operation->operation.handle, start, 2, &operation->start);
    start_batch(operation->operation.handle, &status, 1, &operation->status);
    pthread_mutex_unlock(&self->lock);
}

void grpc_stream_read(struct transport *transport, struct transport_stream *stream)
{
    struct transport_grpc *self = transport_grpc_of(transport);
    pthread_mutex_lock(&self->lock);
    struct stream_operation *operation = stream->operation;
    if (operation != NULL && !operation->ended) {
        assert(!operation->reading);
        grpc_op op = op_receive(&operation->received);
        operation->reading = true;
        operation->outstanding++;
        start_batch(operation->operation.handle, &op, 1, &operation->read);
    }
    pthread_mutex_unlock(&self->lock);
}

void grpc_stream_write(struct transport *transport, struct transport_stream *stream,
                       struct payload *message)
{
    struct transport_grpc *self = transport_grpc_of(transport);
    pthread_mutex_lock(&self->lock);
    struct stream_operation *operation = stream->operation;
    if (operation != NULL && !operation->ended) {
        assert(!operation->writing);
        grpc_byte_buffer *buffer = buffer_of(message);
        grpc_op op = op_send(buffer);
        operation->writing = true;
        operation->outstanding++;
        start_batch(operation->operation.handle, &op, 1, &operation->write);
        grpc_byte_buffer_destroy(buffer);
    }
    pthread_mutex_unlock(&self->lock);
}

void grpc_stream_finish(struct transport *transport, struct transport_stream *stream)
{
    struct transport_grpc *self = transport_grpc_of(transport);
    pthread_mutex_lock(&self->lock);
    struct stream_operation *operation = stream->operation;
    if (operation != NULL && !operation->ended) {
        grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
        operation->outstanding++;
        start_batch(operation->operation.handle, &op, 1, &operation->finish);
    }
    pthread_mutex_unlock(&self->lock);
}

void grpc_stream_cancel(struct transport *transport, struct transport_stream *stream)
{
    struct transport_grpc *self = transport_grpc_of(transport);
    pthread_mutex_lock(&self->lock);
    struct stream_operation *operation = stream->operation;
    if (operation != NULL) {
        (void)grpc_call_cancel(operation->operation.handle, NULL);
    }
    pthread_mutex_unlock(&self->lock);
}

static void stream_ended(struct transport_grpc *self, struct stream_operation *operation)
{
    struct transport_stream *stream = operation->stream;
    struct rpc_status status = outcome_status(&operation->outcome);
    pthread_mutex_lock(&self->lock);
    stream->operation = NULL;
    grpc_watch_closed(&operation->operation);
    pthread_mutex_unlock(&self->lock);
    stream->on_end(stream, &status);
    outcome_deinit(&operation->outcome);
    grpc_metadata_array_destroy(&operation->initial);
    headers_deinit(&operation->headers);
    grpc_call_unref(operation->operation.handle);
    free(operation);
}

// Hands out the message of a read that ended; none means that the stream is about to end.
static void message_read(struct stream_operation *operation)
{
    grpc_byte_buffer *buffer = operation->received;
    operation->received = NULL;
    if (buffer == NULL) {
        return;
    }
    struct payload *message = payload_of(buffer);
    grpc_byte_buffer_destroy(buffer);
    if (message == NULL) {
        (void)grpc_call_cancel(operation->operation.handle, NULL);
        return;
    }
    operation->stream->on_message(operation->stream, message);
    payload_release(&message);
}

static void stream_event(struct transport_grpc *self, struct stream_operation *operation,
                         enum tag_kind kind, bool success)
{
    pthread_mutex_lock(&self->lock);
    operation->reading = operation->reading && kind != TAG_READ;
    operation->writing = operation->writing && kind != TAG_WRITE;
    operation->ended = operation->ended || kind == TAG_STATUS;
    if (kind == TAG_READ && operation->received != NULL) {
        grpc_watch_heard(operation->operation.connection);
    }
    pthread_mutex_unlock(&self->lock);
    if (kind == TAG_READ) {
        message_read(operation);
    } else if (kind == TAG_WRITE && success) {
        operation->stream->on_written(operation->stream);
    }
    pthread_mutex_lock(&self->lock);
    bool last = --operation->outstanding == 0;
    pthread_mutex_unlock(&self->lock);
    if (last) {
        assert(operation->ended);
        stream_ended(self, operation);
    }
}

void grpc_call_event(struct transport_grpc *self, const struct tag *tag, bool success)
{
    if (tag->kind == TAG_CALL) {
        call_ended(self, tag->owner);
    } else {
        stream_event(self, tag->owner, tag->kind, success);
    }
}
