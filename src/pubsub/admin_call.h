// Calls of administration: one request, one answer, waited for; and conversions to and from what
// protobuf-c knows.
#ifndef TILL_ADMIN_CALL_H
#define TILL_ADMIN_CALL_H

#include "client.h"

#include <protobuf-c/protobuf-c.h>

// Calls with the request and waits for the answer, with retries for a minute. The response is the
// caller's to release; out_response may be NULL.
MUST_USE enum err admin_call(struct pubsub *client, enum rpc_method method,
                             const ProtobufCMessage *request, struct text routing,
                             struct payload **out_response, struct why *why);

// The message that a response holds; ERR_UNAVAILABLE for one that cannot be read. To be freed with
// protobuf_c_message_free_unpacked(message, NULL).
MUST_USE enum err admin_unpack(const ProtobufCMessageDescriptor *descriptor,
                               const struct payload *response, ProtobufCMessage **out_message,
                               struct why *why);

// Zero-terminated, in the arena. An overflow of the arena shows at its end.
char *admin_string(struct arena *arena, struct text text);
struct text admin_text(struct arena *arena, const char *string); // a copy; "" and NULL are empty

// Memory for one request. ERR_NO_MEMORY.
MUST_USE enum err admin_scratch(struct arena *arena, struct why *why);
// ERR_TOO_LARGE when what was put together overran the scratch.
MUST_USE enum err admin_check(const struct arena *arena, struct why *why);

// The header that routes calls about the whole project.
MUST_USE enum err admin_project(const struct pubsub *client, struct resource *out_project,
                                struct why *why);

// Lists of names, page by page: `add` takes what one response holds and gives the next page's token.
struct admin_list {
    struct arena *arena; // the caller's
    struct text *names;
    size_t count;
    size_t cap;
};
MUST_USE bool admin_list_add(struct admin_list *list, const char *name);

#endif
