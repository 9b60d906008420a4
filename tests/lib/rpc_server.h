// A gRPC server without generated code: bytes in, bytes out, on gRPC core's server API. What is said to a
// call is up to a service (pubsub_scripted.c, bench/pubsub_null.c).
//
// The server has one thread. It calls the service, and the functions that take a struct rpc_call may
// be called from there alone. Misuse ends the process.
#ifndef TILL_RPC_SERVER_H
#define TILL_RPC_SERVER_H

#include "text.h"

#include <stdint.h>

struct rpc_server;
struct rpc_call; // a call or a stream under way

struct rpc_service {
    void *context;
    // A message came: of a unary call the only one. The bytes are valid during the call. `path` is
    // "/google.pubsub.v1.Publisher/Publish".
    void (*on_message)(void *context, struct rpc_call *call, struct text path, struct text message);
    // What rpc_call_send gave has left. May be NULL.
    void (*on_sent)(void *context, struct rpc_call *call);
    // The call is over, answered or not; it must not be used any more. May be NULL.
    void (*on_gone)(void *context, struct rpc_call *call);
    // Does what is due, and says in how many nanoseconds it wants to be called again at the latest
    // (INT64_MAX: not). Called after every event and every rpc_server_wake. May be NULL.
    int64_t (*on_turn)(void *context);
};

struct rpc_server_options {
    uint16_t port; // 0: a free one
    // PEM texts of a certificate chain and its key: TLS. NULL: plaintext.
    const char *certificates;
    const char *key;
};

// Listens on 127.0.0.1 and serves when it returns. NULL when the port is taken. The service is copied.
struct rpc_server *rpc_server_start(const struct rpc_server_options *options,
                                    const struct rpc_service *service);
// Cancels the calls that are open; the service hears of their end.
void rpc_server_stop(struct rpc_server **server);
uint16_t rpc_server_port(const struct rpc_server *server);
// Has on_turn called soon. From any thread.
void rpc_server_wake(struct rpc_server *server);

// The service's own word beside a call; NULL at first.
void *rpc_call_note(const struct rpc_call *call);
void rpc_call_set_note(struct rpc_call *call, void *note);

// The answer of a unary call. The bytes are copied.
void rpc_call_answer(struct rpc_call *call, struct text response);
// The same without a copy: the bytes must stay until the server has stopped.
void rpc_call_answer_lent(struct rpc_call *call, struct text response);
// One message on a stream: copied, or lent. The next only after on_sent.
void rpc_call_send(struct rpc_call *call, struct text message);
void rpc_call_send_lent(struct rpc_call *call, struct text message);
// Ends a call or stream with that status of gRPC. `details` is an encoded google.rpc.Status, or empty.
void rpc_call_end(struct rpc_call *call, int status, const char *message, struct text details);

#endif
