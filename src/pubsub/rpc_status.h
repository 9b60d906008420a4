// The outcome of a remote call, and what it means to us: every status of gRPC is one error of ours,
// whose class says what to do. https://grpc.github.io/grpc/core/md_doc_statuscodes.html
#ifndef TILL_RPC_STATUS_H
#define TILL_RPC_STATUS_H

#include "errors.h"
#include "text.h"

// X(name, number of gRPC, error of ours). The RETRY ones are those that Google's clients publish
// again after.
#define RPC_TABLE(X)                                                                               \
    X(RPC_OK, 0, ERR_OK)                                                                           \
    X(RPC_CANCELLED, 1, ERR_UNAVAILABLE)                                                           \
    X(RPC_UNKNOWN, 2, ERR_UNAVAILABLE)                                                             \
    X(RPC_INVALID_ARGUMENT, 3, ERR_INVALID)                                                        \
    X(RPC_DEADLINE_EXCEEDED, 4, ERR_TIMEOUT)                                                       \
    X(RPC_NOT_FOUND, 5, ERR_NOT_FOUND)                                                             \
    X(RPC_ALREADY_EXISTS, 6, ERR_EXISTS)                                                           \
    X(RPC_PERMISSION_DENIED, 7, ERR_PERMISSION)                                                    \
    X(RPC_RESOURCE_EXHAUSTED, 8, ERR_BUSY)                                                         \
    X(RPC_FAILED_PRECONDITION, 9, ERR_INVALID)                                                     \
    X(RPC_ABORTED, 10, ERR_BUSY)                                                                   \
    X(RPC_OUT_OF_RANGE, 11, ERR_INVALID)                                                           \
    X(RPC_UNIMPLEMENTED, 12, ERR_CONFIG)                                                           \
    X(RPC_INTERNAL, 13, ERR_UNAVAILABLE)                                                           \
    X(RPC_UNAVAILABLE, 14, ERR_UNAVAILABLE)                                                        \
    X(RPC_DATA_LOSS, 15, ERR_CORRUPT)                                                              \
    X(RPC_UNAUTHENTICATED, 16, ERR_PERMISSION)

enum rpc_code {
#define X(name, number, error) name = number,
    RPC_TABLE(X)
#undef X
};

// Valid during the callback that gives it.
struct rpc_status {
    int code;            // enum rpc_code, or whatever a server sent
    struct text message; // the service's own words
    struct text details; // grpc-status-details-bin: an encoded google.rpc.Status, or empty
};

enum err rpc_error(int code);        // an unknown code is ERR_UNAVAILABLE, like RPC_UNKNOWN
const char *rpc_code_name(int code); // "NOT_FOUND"

// rpc_error(status->code), with "NOT_FOUND: <the service's words>" in `why`.
enum err rpc_status_explain(const struct rpc_status *status, struct why *why);

#endif
