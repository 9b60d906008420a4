// One thread on one completion queue. Every batch of operations gives one event, whose tag names the call
// and which of its batches ended. A call is freed when RECV_CLOSE and everything else have ended.
#include "rpc_server.h"

#include <assert.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define ACCEPTS          64u                // calls that may come in at once
#define MESSAGE_SIZE_MAX (20 * 1024 * 1024) // bytes
#define PING_MIN_MS      10000

enum tag_kind { TAG_ACCEPTED, TAG_READ, TAG_SENT, TAG_CLOSED, TAG_WAKE, TAG_STOPPED };

struct tag {
    enum tag_kind kind;
    void *owner; // struct accept or struct rpc_call
};

struct accept {
    struct tag tag;
    struct rpc_call *call; // being filled in
};

struct rpc_call {
    struct rpc_server *server;
    grpc_call *handle;
    grpc_call_details details;
    grpc_metadata_array headers;
    struct text path;
    grpc_byte_buffer *received;
    grpc_slice status_text;
    grpc_slice status_details;
    struct tag read, sent, closed;
    unsigned outstanding;
    int cancelled; // set by gRPC
    bool is_closed;
    bool has_headers; // sent
    bool has_status;  // sent
    void *note;
};

struct rpc_server {
    struct rpc_service service;
    grpc_server *server;
    grpc_completion_queue *queue;
    struct accept accepts[ACCEPTS];
    size_t accepts_open;
    size_t calls;
    grpc_channel *wake_channel;
    grpc_call *wake_call;
    struct tag wake, stopped;
    atomic_bool wake_pending;
    atomic_bool stopping;
    bool is_stopped;
    uint16_t port;
    pthread_t thread;
};

static gpr_timespec after_ns(int64_t ns)
{
    return ns == INT64_MAX
               ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
               : gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(ns, GPR_TIMESPAN));
}

static void start_batch(struct rpc_call *call, const grpc_op *ops, size_t count, struct tag *tag)
{
    grpc_call_error error = grpc_call_start_batch(call->handle, ops, count, tag, NULL);
    assert(error == GRPC_CALL_OK);
    call->outstanding++;
}

// --- saying -------------------------------------------------------------------------------------

void *rpc_call_note(const struct rpc_call *call)
{
    return call->note;
}

void rpc_call_set_note(struct rpc_call *call, void *note)
{
    call->note = note;
}

static grpc_op op_headers(struct rpc_call *call)
{
    assert(!call->has_headers);
    call->has_headers = true;
    return (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
}

static grpc_op op_message(grpc_byte_buffer *buffer)
{
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = buffer;
    return op;
}

static grpc_op op_status(struct rpc_call *call, int status, grpc_metadata *details)
{
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    op.data.send_status_from_server.status = (grpc_status_code)status;
    op.data.send_status_from_server.status_details = &call->status_text;
    op.data.send_status_from_server.trailing_metadata_count = details != NULL ? 1 : 0;
    op.data.send_status_from_server.trailing_metadata = details;
    call->has_status = true;
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

static void give(struct rpc_call *call, struct text bytes, bool lent, bool last)
{
    assert(!call->has_status);
    if (call->is_closed) {
        return;
    }
    grpc_byte_buffer *buffer = buffer_of(bytes, lent);
    grpc_op ops[3];
    size_t count = 0;
    if (!call->has_headers) {
        ops[count++] = op_headers(call);
    }
    ops[count++] = op_message(buffer);
    if (last) {
        ops[count++] = op_status(call, GRPC_STATUS_OK, NULL);
    }
    start_batch(call, ops, count, &call->sent);
    grpc_byte_buffer_destroy(buffer);
}

void rpc_call_answer(struct rpc_call *call, struct text response)
{
    give(call, response, false, true);
}

void rpc_call_answer_lent(struct rpc_call *call, struct text response)
{
    give(call, response, true, true);
}

void rpc_call_send(struct rpc_call *call, struct text message)
{
    give(call, message, false, false);
}

void rpc_call_send_lent(struct rpc_call *call, struct text message)
{
    give(call, message, true, false);
}

void rpc_call_end(struct rpc_call *call, int status, const char *message, struct text details)
{
    if (call->is_closed || call->has_status) {
        return;
    }
    call->status_text = grpc_slice_from_copied_string(message);
    call->status_details = grpc_slice_from_copied_buffer(details.data, details.size);
    grpc_metadata item = {.key = grpc_slice_from_static_string("grpc-status-details-bin"),
                          .value = call->status_details};
    grpc_op ops[2];
    size_t count = 0;
    if (!call->has_headers) {
        ops[count++] = op_headers(call);
    }
    ops[count++] = op_status(call, status, details.size > 0 ? &item : NULL);
    start_batch(call, ops, count, &call->sent);
}

// --- hearing ------------------------------------------------------------------------------------

static void read_next(struct rpc_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &call->received;
    start_batch(call, &op, 1, &call->read);
}

static void accept_next(struct rpc_server *server, struct accept *accept)
{
    if (atomic_load(&server->stopping)) {
        return;
    }
    struct rpc_call *call = calloc(1, sizeof(*call));
    assert(call != NULL);
    call->server = server;
    call->read = (struct tag){TAG_READ, call};
    call->sent = (struct tag){TAG_SENT, call};
    call->closed = (struct tag){TAG_CLOSED, call};
    call->status_text = grpc_empty_slice();
    call->status_details = grpc_empty_slice();
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->headers);
    accept->tag = (struct tag){TAG_ACCEPTED, accept};
    accept->call = call;
    grpc_call_error error =
        grpc_server_request_call(server->server, &call->handle, &call->details, &call->headers,
                                 server->queue, server->queue, &accept->tag);
    assert(error == GRPC_CALL_OK);
    server->accepts_open++;
}

static void free_call(struct rpc_call *call)
{
    grpc_call_details_destroy(&call->details);
    grpc_metadata_array_destroy(&call->headers);
    grpc_slice_unref(call->status_text);
    grpc_slice_unref(call->status_details);
    if (call->handle != NULL) {
        grpc_call_unref(call->handle);
    }
    free(call);
}

static void accepted(struct rpc_server *server, struct accept *accept, bool success)
{
    struct rpc_call *call = accept->call;
    server->accepts_open--;
    if (!success) {
        free_call(call);
        return;
    }
    accept_next(server, accept);
    server->calls++;
    call->path = (struct text){(const char *)GRPC_SLICE_START_PTR(call->details.method),
                               GRPC_SLICE_LENGTH(call->details.method)};
    grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    close.data.recv_close_on_server.cancelled = &call->cancelled;
    start_batch(call, &close, 1, &call->closed);
    read_next(call);
}

static void message_read(struct rpc_call *call)
{
    grpc_byte_buffer *buffer = call->received;
    call->received = NULL;
    if (buffer == NULL) {
        return; // the client has said all it wants to say
    }
    grpc_byte_buffer_reader reader;
    bool can_read = grpc_byte_buffer_reader_init(&reader, buffer) != 0;
    assert(can_read);
    grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
    struct text message = {(const char *)GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice)};
    if (!call->is_closed && !call->has_status) {
        call->server->service.on_message(call->server->service.context, call, call->path, message);
    }
    grpc_slice_unref(slice);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(buffer);
    if (!call->is_closed && !call->has_status) {
        read_next(call);
    }
}

static void call_event(struct rpc_call *call, enum tag_kind kind)
{
    struct rpc_server *server = call->server;
    const struct rpc_service *service = &server->service;
    call->outstanding--;
    call->is_closed = call->is_closed || kind == TAG_CLOSED;
    if (kind == TAG_READ) {
        message_read(call);
    } else if (kind == TAG_SENT && !call->is_closed && !call->has_status &&
               service->on_sent != NULL) {
        service->on_sent(service->context, call);
    }
    if (call->outstanding == 0 && call->is_closed) {
        if (service->on_gone != NULL) {
            service->on_gone(service->context, call);
        }
        server->calls--;
        free_call(call);
    }
}

// --- the loop -----------------------------------------------------------------------------------

static void handle(struct rpc_server *server, const struct tag *tag, bool success)
{
    if (tag->kind == TAG_WAKE) {
        atomic_store(&server->wake_pending, false);
    } else if (tag->kind == TAG_STOPPED) {
        server->is_stopped = true;
    } else if (tag->kind == TAG_ACCEPTED) {
        accepted(server, tag->owner, success);
    } else {
        call_event(tag->owner, tag->kind);
    }
}

static void *serve(void *context)
{
    struct rpc_server *server = context;
    const struct rpc_service *service = &server->service;
    bool told = false;
    while (!server->is_stopped || server->calls > 0 || server->accepts_open > 0) {
        bool stopping = atomic_load(&server->stopping);
        int64_t wait_ns = INT64_MAX;
        if (stopping && !told) {
            told = true;
            grpc_server_shutdown_and_notify(server->server, server->queue, &server->stopped);
            grpc_server_cancel_all_calls(server->server);
        } else if (!stopping && service->on_turn != NULL) {
            wait_ns = service->on_turn(service->context);
        }
        grpc_event event = grpc_completion_queue_next(server->queue, after_ns(wait_ns), NULL);
        if (event.type == GRPC_OP_COMPLETE) {
            handle(server, event.tag, event.success != 0);
        }
    }
    return NULL;
}

void rpc_server_wake(struct rpc_server *server)
{
    if (!atomic_exchange(&server->wake_pending, true)) {
        grpc_call_error error =
            grpc_call_start_batch(server->wake_call, NULL, 0, &server->wake, NULL);
        assert(error == GRPC_CALL_OK);
    }
}

// --- starting and stopping ----------------------------------------------------------------------

static grpc_arg arg_of(const char *key, int value)
{
    return (grpc_arg){
        .type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

static grpc_server_credentials *create_credentials(const struct rpc_server_options *options)
{
    if (options->certificates == NULL) {
        return grpc_insecure_server_credentials_create();
    }
    grpc_ssl_pem_key_cert_pair pair = {options->key, options->certificates};
    return grpc_ssl_server_credentials_create_ex(NULL, &pair, 1,
                                                 GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, NULL);
}

static void create_queue(struct rpc_server *server)
{
    server->queue = grpc_completion_queue_create_for_next(NULL);
    server->wake = (struct tag){TAG_WAKE, server};
    server->stopped = (struct tag){TAG_STOPPED, server};
    server->wake_channel = grpc_lame_client_channel_create("wake", GRPC_STATUS_UNAVAILABLE, "");
    server->wake_call = grpc_channel_create_call(
        server->wake_channel, NULL, GRPC_PROPAGATE_DEFAULTS, server->queue,
        grpc_slice_from_static_string("/wake"), NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

static void destroy(struct rpc_server *server)
{
    gpr_timespec never = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    grpc_call_unref(server->wake_call);
    grpc_channel_destroy(server->wake_channel);
    grpc_completion_queue_shutdown(server->queue);
    while (grpc_completion_queue_next(server->queue, never, NULL).type != GRPC_QUEUE_SHUTDOWN) {
        // only wakes are left
    }
    grpc_server_destroy(server->server);
    grpc_completion_queue_destroy(server->queue);
    grpc_shutdown();
    free(server);
}

struct rpc_server *rpc_server_start(const struct rpc_server_options *options,
                                    const struct rpc_service *service)
{
    struct rpc_server *server = calloc(1, sizeof(*server));
    assert(server != NULL);
    grpc_arg args[] = {
        arg_of(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, MESSAGE_SIZE_MAX),
        arg_of(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, PING_MIN_MS),
        arg_of(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        arg_of(GRPC_ARG_ALLOW_REUSEPORT, 0),
    };
    grpc_channel_args all = {.num_args = sizeof(args) / sizeof(args[0]), .args = args};
    char address[32];
    grpc_init();
    server->service = *service;
    create_queue(server);
    server->server = grpc_server_create(&all, NULL);
    grpc_server_register_completion_queue(server->server, server->queue, NULL);
    grpc_server_credentials *credentials = create_credentials(options);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)options->port);
    int port = grpc_server_add_http2_port(server->server, address, credentials);
    grpc_server_credentials_release(credentials);
    if (port == 0) {
        grpc_server_start(server->server);
        grpc_server_shutdown_and_notify(server->server, server->queue, &server->stopped);
        destroy(server);
        return NULL;
    }
    server->port = (uint16_t)port;
    grpc_server_start(server->server);
    for (size_t i = 0; i < ACCEPTS; i++) {
        accept_next(server, &server->accepts[i]);
    }
    int error = pthread_create(&server->thread, NULL, serve, server);
    assert(error == 0);
    return server;
}

void rpc_server_stop(struct rpc_server **server)
{
    if (*server == NULL) {
        return;
    }
    atomic_store(&(*server)->stopping, true);
    rpc_server_wake(*server);
    int error = pthread_join((*server)->thread, NULL);
    assert(error == 0);
    destroy(*server);
    *server = NULL;
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    return server->port;
}
