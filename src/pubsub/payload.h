// Bytes that several parties hold: an encoded request that may have to be sent again, or a response
// whose messages are being worked on. Counted references, safe from any thread; the bytes are never
// changed once a payload exists.
#ifndef TILL_PAYLOAD_H
#define TILL_PAYLOAD_H

#include "errors.h"
#include "text.h"

#include <stdatomic.h>

struct payload {
    atomic_uint references;
    struct text bytes;
    void (*destroy)(struct payload *payload); // frees the bytes and the payload
};

struct payload *payload_reference(struct payload *payload); // one more; gives it back
void payload_release(struct payload **payload);             // accepts NULL and *payload == NULL

// A payload with a copy of the bytes; NULL without memory.
struct payload *payload_copy(struct text bytes);

// A payload in the making. Growing doubles its room. Once the heap has refused, everything later
// fails too: ask payload_finish.
struct payload_writer {
    char *data;
    size_t size;
    size_t cap;
    bool failed;
};

// Room for `size` more bytes, counted as written; NULL without memory.
char *payload_reserve(struct payload_writer *writer, size_t size);
// The payload of what was written; the writer is empty afterwards. NULL without memory.
struct payload *payload_finish(struct payload_writer *writer);
void payload_writer_deinit(struct payload_writer *writer);

#endif
