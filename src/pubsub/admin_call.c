// One administrative call at a time, waited for by its caller.
#include "admin_call.h"

#include "backoff.h"

#include <string.h>

#define SCRATCH_SIZE (256u * 1024u)
#define ATTEMPT_US   (30 * US_PER_SECOND)
#define LIST_FIRST   64u

#define BACKOFF_FIRST_US INT64_C(100000)
#define BACKOFF_LAST_US  (5 * US_PER_SECOND)

struct waited_call {
    struct transport_call call; // first
    struct pubsub *client;
    bool done;
    enum err err;
    struct why why;
    struct payload *response;
};

static void call_done(struct transport_call *call, const struct rpc_status *status,
                      struct payload *response)
{
    struct waited_call *waited = (struct waited_call *)call;
    client_lock(waited->client);
    waited->err = rpc_status_explain(status, &waited->why);
    waited->response = response != NULL ? payload_reference(response) : NULL;
    waited->done = true;
    client_changed(waited->client);
    client_unlock(waited->client);
}

// With the lock held.
static void attempt(struct waited_call *waited)
{
    waited->done = false;
    waited->call.operation = NULL;
    transport_call_start(waited->client->transport, &waited->call);
    while (!waited->done) {
        client_wait(waited->client, TIMER_NEVER);
    }
}

static void wait_until(struct pubsub *client, int64_t until_ns)
{
    while (client_now_ns(client) < until_ns) {
        client_wait(client, until_ns);
    }
}

static enum err call_with_retries(struct waited_call *waited)
{
    struct pubsub *client = waited->client;
    const struct backoff_rules rules = {BACKOFF_FIRST_US, BACKOFF_LAST_US, client->admin_us};
    struct backoff backoff;
    int64_t wait_us = 0;
    client_lock(client);
    backoff_start(&backoff, client_now_ns(client));
    attempt(waited);
    while (err_class_of(waited->err) == ERR_CLASS_RETRY &&
           backoff_next(&backoff, &rules, client_now_ns(client), &client->rand, &wait_us)) {
        wait_until(client, client_now_ns(client) + wait_us * 1000);
        attempt(waited);
    }
    client_unlock(client);
    return waited->err;
}

static struct payload *pack(const ProtobufCMessage *message)
{
    struct payload_writer writer = {0};
    char *room = payload_reserve(&writer, protobuf_c_message_get_packed_size(message));
    if (room != NULL) {
        (void)protobuf_c_message_pack(message, (uint8_t *)room);
    }
    return payload_finish(&writer);
}

enum err admin_call(struct pubsub *client, enum rpc_method method, const ProtobufCMessage *request,
                    struct text routing, struct payload **out_response, struct why *why)
{
    struct payload *packed = pack(request);
    if (packed == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory for a request");
    }
    struct waited_call waited = {
        .call = {.method = method,
                 .request = packed,
                 .routing = routing,
                 .timeout_us = client->admin_us < ATTEMPT_US ? client->admin_us : ATTEMPT_US,
                 .done = call_done},
        .client = client,
    };
    enum err err = call_with_retries(&waited);
    payload_release(&packed);
    if (err != ERR_OK) {
        return why_set(why, err, "%s", waited.why.text);
    }
    if (out_response != NULL) {
        *out_response = waited.response;
    } else {
        payload_release(&waited.response);
    }
    return ERR_OK;
}

enum err admin_unpack(const ProtobufCMessageDescriptor *descriptor, const struct payload *response,
                      ProtobufCMessage **out_message, struct why *why)
{
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, NULL, response->bytes.size,
                                                          (const uint8_t *)response->bytes.data);
    if (message == NULL) {
        return why_set(why, ERR_UNAVAILABLE, "the service's answer cannot be read");
    }
    *out_message = message;
    return ERR_OK;
}

char *admin_string(struct arena *arena, struct text text)
{
    char *string = arena_alloc(arena, text.size + 1);
    if (string != NULL && text.size > 0) {
        memcpy(string, text.data, text.size);
    }
    return string;
}

struct text admin_text(struct arena *arena, const char *string)
{
    size_t size = string != NULL ? strlen(string) : 0;
    return size > 0 ? (struct text){arena_copy(arena, string, size), size} : (struct text){0};
}

enum err admin_scratch(struct arena *arena, struct why *why)
{
    enum err err = arena_init(arena, SCRATCH_SIZE);
    return err == ERR_OK ? ERR_OK : why_set(why, err, "no memory for a request");
}

enum err admin_check(const struct arena *arena, struct why *why)
{
    return arena_overflowed(arena) ? why_set(why, ERR_TOO_LARGE, "too many or too long settings")
                                   : ERR_OK;
}

enum err admin_project(const struct pubsub *client, struct resource *out_project, struct why *why)
{
    char name[sizeof("projects/") + PUBSUB_PROJECT_MAX] = "projects/";
    (void)strncat(name, client->project, PUBSUB_PROJECT_MAX);
    return resource_init(out_project, client, "projects", "project", text_of(name), why);
}

bool admin_list_add(struct admin_list *list, const char *name)
{
    if (list->count == list->cap) {
        size_t cap = list->cap == 0 ? LIST_FIRST : list->cap * 2;
        struct text *names = ARENA_ARRAY(list->arena, struct text, cap);
        if (names == NULL) {
            return false;
        }
        if (list->count > 0) {
            memcpy(names, list->names, list->count * sizeof(names[0]));
        }
        list->names = names;
        list->cap = cap;
    }
    list->names[list->count++] = admin_text(list->arena, name);
    return !arena_overflowed(list->arena);
}
