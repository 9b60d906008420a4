// What the client needs from a transport of remote calls: unary calls, streams in both directions, and
// a loop that hands out what happened. gRPC core stands behind it in a running process
// (transport_grpc.c), a scripted fake in the tests.
//
// Threads: one thread, the loop, calls transport_wait; all callbacks come from there, one at a time.
// Everything else may be called from any thread, also from within callbacks, and never calls back by
// itself.
#ifndef TILL_TRANSPORT_H
#define TILL_TRANSPORT_H

#include "payload.h"
#include "rpc_status.h"

#define RPC_METHODS(X)                                                                             \
    X(RPC_PUBLISH, "/google.pubsub.v1.Publisher/Publish")                                          \
    X(RPC_CREATE_TOPIC, "/google.pubsub.v1.Publisher/CreateTopic")                                 \
    X(RPC_UPDATE_TOPIC, "/google.pubsub.v1.Publisher/UpdateTopic")                                 \
    X(RPC_GET_TOPIC, "/google.pubsub.v1.Publisher/GetTopic")                                       \
    X(RPC_LIST_TOPICS, "/google.pubsub.v1.Publisher/ListTopics")                                   \
    X(RPC_DELETE_TOPIC, "/google.pubsub.v1.Publisher/DeleteTopic")                                 \
    X(RPC_PULL, "/google.pubsub.v1.Subscriber/Pull")                                               \
    X(RPC_STREAMING_PULL, "/google.pubsub.v1.Subscriber/StreamingPull")                            \
    X(RPC_ACKNOWLEDGE, "/google.pubsub.v1.Subscriber/Acknowledge")                                 \
    X(RPC_MODIFY_ACK_DEADLINE, "/google.pubsub.v1.Subscriber/ModifyAckDeadline")                   \
    X(RPC_CREATE_SUBSCRIPTION, "/google.pubsub.v1.Subscriber/CreateSubscription")                  \
    X(RPC_UPDATE_SUBSCRIPTION, "/google.pubsub.v1.Subscriber/UpdateSubscription")                  \
    X(RPC_GET_SUBSCRIPTION, "/google.pubsub.v1.Subscriber/GetSubscription")                        \
    X(RPC_LIST_SUBSCRIPTIONS, "/google.pubsub.v1.Subscriber/ListSubscriptions")                    \
    X(RPC_DELETE_SUBSCRIPTION, "/google.pubsub.v1.Subscriber/DeleteSubscription")                  \
    X(RPC_TEST_PERMISSIONS, "/google.iam.v1.IAMPolicy/TestIamPermissions")

enum rpc_method {
#define X(name, path) name,
    RPC_METHODS(X)
#undef X
        RPC_METHOD_COUNT
};

struct transport;

// A unary call, in the caller's memory from the start until `done`, which comes exactly once.
struct transport_call {
    enum rpc_method method;
    uint32_t connection;     // which one of the connections; any number will do
    struct payload *request; // the transport takes a reference of its own
    struct text routing;     // x-goog-request-params, already percent-encoded; copied at the start
    int64_t timeout_us;
    // The response is NULL unless the code is RPC_OK, and belongs to the transport: a callee that
    // wants to keep it takes a reference.
    void (*done)(struct transport_call *call, const struct rpc_status *status,
                 struct payload *response);
    void *operation; // the transport's own; zero before the start
};

// A stream, in the caller's memory from the start until on_end, which is the last callback.
struct transport_stream {
    enum rpc_method method;
    uint32_t connection;
    struct text routing;
    void (*on_message)(struct transport_stream *stream, struct payload *message);
    void (*on_written)(struct transport_stream *stream);
    void (*on_end)(struct transport_stream *stream, const struct rpc_status *status);
    void *operation; // the transport's own; zero before the start
};

struct transport_ops {
    void (*call)(struct transport *transport, struct transport_call *call);
    void (*call_cancel)(struct transport *transport, struct transport_call *call);
    void (*stream_open)(struct transport *transport, struct transport_stream *stream);
    void (*stream_read)(struct transport *transport, struct transport_stream *stream);
    void (*stream_write)(struct transport *transport, struct transport_stream *stream,
                         struct payload *message);
    void (*stream_finish)(struct transport *transport, struct transport_stream *stream);
    void (*stream_cancel)(struct transport *transport, struct transport_stream *stream);
    void (*reconnect)(struct transport *transport, uint32_t connection);
    void (*wait)(struct transport *transport, int64_t timeout_ns);
    void (*wake)(struct transport *transport);
    void (*close)(struct transport *transport);
};

// The first member of every implementation.
struct transport {
    const struct transport_ops *ops;
};

void transport_call_start(struct transport *transport, struct transport_call *call);
// Makes it end soon, with RPC_CANCELLED unless its answer is there already. Nothing after the end.
void transport_call_cancel(struct transport *transport, struct transport_call *call);

void transport_stream_open(struct transport *transport, struct transport_stream *stream);
// Asks for one message; on_message when it is there. One at a time: not asking holds the server
// back.
void transport_stream_read(struct transport *transport, struct transport_stream *stream);
// Writes one message; on_written when the next may be written, unless the stream ends before.
void transport_stream_write(struct transport *transport, struct transport_stream *stream,
                            struct payload *message);
void transport_stream_finish(struct transport *transport, struct transport_stream *stream);
void transport_stream_cancel(struct transport *transport, struct transport_stream *stream);

// For a connection that looks dead: what is open on it ends soon, with RPC_UNAVAILABLE, and calls from
// now on use a new one. A transport does the same by itself with a connection on which calls are open
// and nothing is heard.
void transport_reconnect(struct transport *transport, uint32_t connection);

// Hands out what has happened; waits up to timeout_ns for something, TIMER_NEVER for ever.
void transport_wait(struct transport *transport, int64_t timeout_ns);
void transport_wake(struct transport *transport); // ends the present or the next wait

// Every call and stream must have ended.
void transport_close(struct transport **transport);

#endif
