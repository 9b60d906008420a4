// The transport on gRPC core. No header of gRPC is needed to use it.
#ifndef TILL_TRANSPORT_GRPC_H
#define TILL_TRANSPORT_GRPC_H

#include "transport.h"

enum transport_security {
    TRANSPORT_PLAINTEXT, // the emulator
    TRANSPORT_TLS,       // TLS without an identity: an endpoint of one's own
    TRANSPORT_GOOGLE,    // TLS and Google's application default credentials
};

struct transport_grpc_options {
    const char *endpoint; // HOST:PORT
    const char *project;  // for calls that only find out whether the other side is there
    enum transport_security security;
    const char *ca_file;       // PEM file of the roots to trust; NULL: the system's
    const char *quota_project; // x-goog-user-project; NULL: none
    uint32_t connections;      // 1 or more
    int64_t keepalive_us;      // HTTP/2 pings after this long without anything
    int64_t silence_us;        // after this long without a sign of life a connection is tested
};

// Connects lazily: a wrong endpoint shows at the first call. ERR_CONFIG for credentials or files that
// won't do and for a gRPC library of another family than that which this was written for, with a
// sentence that says what to do about it.
MUST_USE enum err transport_grpc_open(const struct transport_grpc_options *options,
                                      struct transport **out_transport, struct why *why);

#endif
