// The one file that includes gRPC core's headers, and what the files of this transport share. That API
// is not promised to be stable, so nothing else may depend on it.
//
// Every start of operations on a call gives exactly one event, whose tag is a struct tag: it says what
// ended and to which call or stream it belongs. A call is unreferenced when none of its operations is
// outstanding. The status of a stream may arrive before its last message, so the end is reported when
// both are through.
#ifndef TILL_GRPC_CORE_H
#define TILL_GRPC_CORE_H

#include "transport_grpc.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/string_util.h>
#include <grpc/support/time.h>
#include <pthread.h>

#define PROBE_ROUTING_SIZE 512u

enum tag_kind { TAG_WAKE, TAG_CALL, TAG_STREAM_START, TAG_READ, TAG_WRITE, TAG_FINISH, TAG_STATUS };

struct tag {
    enum tag_kind kind;
    void *owner; // struct call_operation or struct stream_operation
};

// A call or stream under way; the first member of both.
struct operation {
    struct operation *next; // on its connection
    struct operation *previous;
    struct connection *connection;
    grpc_call *handle;
};

struct connection {
    grpc_channel *channel;
    void *methods[RPC_METHOD_COUNT];
    struct operation *first;
    int64_t heard_ns; // a sign of life from the other side, or the moment one is awaited from
    bool in_vain;     // the last call ended because its time was up: one is still awaited
    bool probing;
    struct transport_call probe;
    struct transport_grpc *transport;
};

struct transport_grpc {
    struct transport transport; // first
    // Guards the `operation` pointers of calls and streams, so that a cancel, write or read from
    // another thread can't meet a call that the loop has just freed; and the connections with their
    // operations.
    pthread_mutex_t lock;
    grpc_completion_queue *queue;
    grpc_channel_credentials *credentials;
    char *endpoint;
    char *quota_project; // or NULL
    int keepalive_ms;
    int64_t silence_us;
    uint32_t connection_count;
    struct connection *connections;
    struct payload *probe_request;
    char probe_routing[PROBE_ROUTING_SIZE];
    grpc_channel *wake_channel;
    grpc_call *wake_call; // never sent; an empty batch on it is an event
    struct tag wake_tag;
    atomic_bool wake_pending;
};

static inline struct transport_grpc *transport_grpc_of(struct transport *transport)
{
    return (struct transport_grpc *)transport;
}

// transport_grpc.c: puts a new channel into the place of the connection's. With the lock held.
void grpc_core_connect(struct transport_grpc *self, struct connection *connection);

// A moment that far from now, for gRPC.
gpr_timespec grpc_core_deadline(int64_t after_us);

// The operations of transport.h (grpc_calls.c).
void grpc_call_begin(struct transport *transport, struct transport_call *call);
void grpc_call_stop(struct transport *transport, struct transport_call *call);
void grpc_stream_open(struct transport *transport, struct transport_stream *stream);
void grpc_stream_read(struct transport *transport, struct transport_stream *stream);
void grpc_stream_write(struct transport *transport, struct transport_stream *stream,
                       struct payload *message);
void grpc_stream_finish(struct transport *transport, struct transport_stream *stream);
void grpc_stream_cancel(struct transport *transport, struct transport_stream *stream);

// Noticing dead connections (grpc_watch.c). The first five with the lock held.
void grpc_watch_opened(struct operation *operation, struct connection *connection);
void grpc_watch_closed(struct operation *operation);
void grpc_watch_heard(struct connection *connection);
void grpc_watch_timed_out(struct connection *connection); // a call's time was up
// Ends what is open on the connection, as UNAVAILABLE, and makes a new one.
void grpc_watch_replace(struct transport_grpc *self, struct connection *connection);
int64_t grpc_watch_due_ns(struct transport_grpc *self); // when to look; INT64_MAX: not at all
void grpc_watch_look(struct transport_grpc *self);      // on the loop
MUST_USE enum err grpc_watch_init(struct transport_grpc *self, const char *project,
                                  struct why *why);

// What an event of a call or a stream leads to; the loop's part of them.
void grpc_call_event(struct transport_grpc *self, const struct tag *tag, bool success);

#endif
