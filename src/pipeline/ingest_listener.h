// The socket that an ingest server listens on. Internal to ingest.
#ifndef TILL_INGEST_LISTENER_H
#define TILL_INGEST_LISTENER_H

#include "errors.h"
#include "ingest_wire.h"

struct ingest_listener {
    struct wire_address address;
    int fd; // non-blocking; -1: closed
};

// Makes the socket, in the place of one that an owner left behind, for the directory's user alone.
// Errors as of ingest_start.
MUST_USE enum err ingest_listener_open(const char *directory, struct ingest_listener *out_listener,
                                       struct why *why);
// Removes it: whoever comes now learns at once that nobody listens. Accepts a closed one.
void ingest_listener_close(struct ingest_listener *listener);

#endif
