// The server, the scripts and the counts. A request is looked up in its method's script first; then the
// parts do it, at once or when its delay is over.
#include "pubsub_scripted_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define UNIMPLEMENTED 12
#define ACK_ID_MIN    32u
#define ACK_ID_MAX    65536u

static const char *const paths[SCRIPTED_METHOD_COUNT] = {
    [SCRIPTED_PUBLISH] = "/google.pubsub.v1.Publisher/Publish",
    [SCRIPTED_PULL] = "/google.pubsub.v1.Subscriber/Pull",
    [SCRIPTED_STREAMING_PULL] = "/google.pubsub.v1.Subscriber/StreamingPull",
    [SCRIPTED_ACKNOWLEDGE] = "/google.pubsub.v1.Subscriber/Acknowledge",
    [SCRIPTED_MODIFY_ACK_DEADLINE] = "/google.pubsub.v1.Subscriber/ModifyAckDeadline",
    [SCRIPTED_OTHER] = "",
};

// --- bytes --------------------------------------------------------------------------------------

int64_t scripted_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void *scripted_alloc(void *old, size_t size)
{
    void *memory = realloc(old, size > 0 ? size : 1);
    assert(memory != NULL);
    return memory;
}

char *scripted_room(struct scripted_bytes *bytes, size_t size)
{
    size_t needed = bytes->size + size;
    if (needed > bytes->cap || bytes->data == NULL) {
        bytes->cap = needed < 256 ? 512 : needed * 2;
        bytes->data = scripted_alloc(bytes->data, bytes->cap);
    }
    char *at = bytes->data + bytes->size;
    bytes->size = needed;
    return at;
}

void scripted_put_bytes(struct scripted_bytes *bytes, uint32_t field, struct text value)
{
    wire_put_bytes(scripted_room(bytes, wire_bytes_size(value.size)), field, value);
}

void scripted_put_number(struct scripted_bytes *bytes, uint32_t field, uint64_t value)
{
    wire_put_number(scripted_room(bytes, wire_number_size(value)), field, value);
}

struct text scripted_view(const struct scripted_bytes *bytes)
{
    return (struct text){bytes->data, bytes->size};
}

uint64_t scripted_number_of(struct text message, uint32_t field)
{
    struct wire_reader reader;
    struct wire_field found;
    wire_reader_init(&reader, message);
    while (wire_next(&reader, &found)) {
        if (wire_is_number(&found, field)) {
            return found.value;
        }
    }
    return 0;
}

struct text scripted_bytes_of(struct text message, uint32_t field)
{
    struct wire_reader reader;
    struct wire_field found;
    wire_reader_init(&reader, message);
    while (wire_next(&reader, &found)) {
        if (wire_is_bytes(&found, field)) {
            return found.bytes;
        }
    }
    return (struct text){0};
}

// --- calls --------------------------------------------------------------------------------------

static enum scripted_method method_of(struct text path)
{
    for (int i = 0; i < SCRIPTED_OTHER; i++) {
        if (text_equal(path, text_of(paths[i]))) {
            return (enum scripted_method)i;
        }
    }
    return SCRIPTED_OTHER;
}

void scripted_end(struct pubsub_scripted *self, enum scripted_method method, struct rpc_call *call,
                  int status, const char *reason, struct text details)
{
    self->counts.failed[method]++;
    rpc_call_end(call, status, reason, details);
}

static void perform(struct pubsub_scripted *self, enum scripted_method method,
                    struct rpc_call *call, struct text request)
{
    switch (method) {
    case SCRIPTED_PUBLISH:
        scripted_publish(self, call, request);
        break;
    case SCRIPTED_PULL:
        scripted_pull(self, call, request);
        break;
    case SCRIPTED_STREAMING_PULL:
        scripted_stream_message(self, call, request);
        break;
    case SCRIPTED_ACKNOWLEDGE:
    case SCRIPTED_MODIFY_ACK_DEADLINE:
        scripted_about_ids(self, method, call, request);
        break;
    case SCRIPTED_OTHER:
    case SCRIPTED_METHOD_COUNT:
        scripted_end(self, method, call, UNIMPLEMENTED, "not played here", (struct text){0});
        break;
    }
}

static void answer(struct pubsub_scripted *self, enum scripted_method method, struct rpc_call *call,
                   const struct scripted_answer *given, struct text request)
{
    if (given->status != 0) {
        scripted_end(self, method, call, given->status, given->reason != NULL ? given->reason : "",
                     (struct text){0});
    } else {
        perform(self, method, call, request);
    }
}

static struct scripted_answer take_script(struct pubsub_scripted *self, enum scripted_method method)
{
    struct script *script = &self->scripts[method];
    if (script->count == 0) {
        return (struct scripted_answer){0};
    }
    struct scripted_answer given = script->answers[0];
    if (given.times != SCRIPTED_ALWAYS && --script->answers[0].times == 0) {
        script->count--;
        memmove(&script->answers[0], &script->answers[1],
                script->count * sizeof(script->answers[0]));
    }
    return given;
}

static void delay(struct pubsub_scripted *self, enum scripted_method method, struct rpc_call *call,
                  const struct scripted_answer *given, struct text request)
{
    for (size_t i = 0; i < DELAYED_MAX; i++) {
        struct delayed *delayed = &self->delayed[i];
        if (delayed->call == NULL) {
            *delayed = (struct delayed){
                .call = call,
                .method = method,
                .answer = *given,
                .request = scripted_alloc(NULL, request.size),
                .request_size = request.size,
                .due_ns = scripted_now_ns() + (int64_t)given->delay_ms * 1000000,
            };
            memcpy(delayed->request, request.data, request.size);
            return;
        }
    }
    assert(!"too many delayed answers");
}

static void count_call(struct pubsub_scripted *self, enum scripted_method method)
{
    uint64_t n = self->counts.calls[method]++;
    if (n < TIMES_MAX) {
        self->call_ns[method][n] = scripted_now_ns();
    }
}

// --- the service --------------------------------------------------------------------------------

static void unlock_changed(struct pubsub_scripted *self)
{
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->lock);
}

static void on_message(void *context, struct rpc_call *call, struct text path, struct text message)
{
    struct pubsub_scripted *self = context;
    enum scripted_method method = method_of(path);
    (void)pthread_mutex_lock(&self->lock);
    if (message.size > self->counts.request_size_max[method]) {
        self->counts.request_size_max[method] = message.size;
    }
    bool follows = method == SCRIPTED_STREAMING_PULL && scripted_stream_of(self, call) != NULL;
    if (follows) {
        perform(self, method, call, message);
    } else {
        count_call(self, method);
        struct scripted_answer given = take_script(self, method);
        if (given.delay_ms > 0) {
            delay(self, method, call, &given, message);
        } else {
            answer(self, method, call, &given, message);
        }
    }
    unlock_changed(self);
}

static void on_sent(void *context, struct rpc_call *call)
{
    struct pubsub_scripted *self = context;
    (void)pthread_mutex_lock(&self->lock);
    scripted_stream_sent(self, call);
    unlock_changed(self);
}

static void forget_delayed(struct delayed *delayed)
{
    free(delayed->request);
    *delayed = (struct delayed){0};
}

static void on_gone(void *context, struct rpc_call *call)
{
    struct pubsub_scripted *self = context;
    (void)pthread_mutex_lock(&self->lock);
    scripted_receiver_gone(self, call);
    for (size_t i = 0; i < DELAYED_MAX; i++) {
        if (self->delayed[i].call == call) {
            forget_delayed(&self->delayed[i]);
        }
    }
    unlock_changed(self);
}

static int64_t answer_delayed(struct pubsub_scripted *self)
{
    int64_t now_ns = scripted_now_ns();
    int64_t next_ns = INT64_MAX;
    for (size_t i = 0; i < DELAYED_MAX; i++) {
        struct delayed *delayed = &self->delayed[i];
        if (delayed->call == NULL) {
            continue;
        }
        if (delayed->due_ns <= now_ns) {
            answer(self, delayed->method, delayed->call, &delayed->answer,
                   (struct text){delayed->request, delayed->request_size});
            forget_delayed(delayed);
        } else if (delayed->due_ns < next_ns) {
            next_ns = delayed->due_ns;
        }
    }
    return next_ns;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t on_turn(void *context)
{
    struct pubsub_scripted *self = context;
    (void)pthread_mutex_lock(&self->lock);
    int64_t next_ns = answer_delayed(self);
    next_ns = earlier(next_ns, scripted_end_leases(self));
    next_ns = earlier(next_ns, scripted_feed(self));
    int64_t now_ns = scripted_now_ns();
    unlock_changed(self);
    return next_ns == INT64_MAX ? INT64_MAX : next_ns > now_ns ? next_ns - now_ns : 0;
}

// --- starting and stopping ----------------------------------------------------------------------

struct pubsub_scripted *pubsub_scripted_start(const struct pubsub_scripted_options *options)
{
    struct pubsub_scripted *self = scripted_alloc(NULL, sizeof(*self));
    *self = (struct pubsub_scripted){.options = *options, .ack_id_size = 64, .pongs = true};
    self->options.response_count_max =
        options->response_count_max > 0 ? options->response_count_max : 100;
    self->options.pull_wait_ms = options->pull_wait_ms > 0 ? options->pull_wait_ms : 1000;
    (void)pthread_mutex_init(&self->lock, NULL);
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    const struct rpc_server_options server_options = {
        .port = options->port, .certificates = options->certificates, .key = options->key};
    const struct rpc_service service = {.context = self,
                                        .on_message = on_message,
                                        .on_sent = on_sent,
                                        .on_gone = on_gone,
                                        .on_turn = on_turn};
    self->server = rpc_server_start(&server_options, &service);
    assert(self->server != NULL);
    (void)snprintf(self->address, sizeof(self->address), "127.0.0.1:%u",
                   (unsigned)rpc_server_port(self->server));
    return self;
}

void pubsub_scripted_stop(struct pubsub_scripted **server)
{
    struct pubsub_scripted *self = *server;
    if (self == NULL) {
        return;
    }
    *server = NULL;
    rpc_server_stop(&self->server);
    for (size_t i = 0; i < self->counts.messages; i++) {
        free(self->messages[i].body);
    }
    free(self->messages);
    (void)pthread_cond_destroy(&self->changed);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

const char *pubsub_scripted_address(const struct pubsub_scripted *server)
{
    return server->address;
}

// --- commands -----------------------------------------------------------------------------------

static void lock(struct pubsub_scripted *server)
{
    (void)pthread_mutex_lock(&server->lock);
}

static void unlock_and_wake(struct pubsub_scripted *server)
{
    (void)pthread_mutex_unlock(&server->lock);
    rpc_server_wake(server->server);
}

void pubsub_scripted_add(struct pubsub_scripted *server, size_t count, size_t data_size)
{
    enum { DATA = 1 };
    char *data = scripted_alloc(NULL, data_size + 24);
    lock(server);
    for (size_t i = 0; i < count; i++) {
        struct scripted_bytes body = {0};
        int size = snprintf(data, 24, "%zu", server->counts.messages);
        memset(data + size, ' ', data_size);
        scripted_put_bytes(
            &body, DATA, (struct text){data, (size_t)size < data_size ? data_size : (size_t)size});
        scripted_store(server, scripted_view(&body));
        free(body.data);
    }
    unlock_and_wake(server);
    free(data);
}

void pubsub_scripted_exactly_once(struct pubsub_scripted *server, bool on)
{
    lock(server);
    server->exactly_once = on;
    unlock_and_wake(server);
}

void pubsub_scripted_ack_id_size(struct pubsub_scripted *server, size_t size)
{
    assert(size >= ACK_ID_MIN && size <= ACK_ID_MAX);
    lock(server);
    server->ack_id_size = size;
    unlock_and_wake(server);
}

void pubsub_scripted_pongs(struct pubsub_scripted *server, bool on)
{
    lock(server);
    server->pongs = on;
    unlock_and_wake(server);
}

void pubsub_scripted_next(struct pubsub_scripted *server, enum scripted_method method,
                          struct scripted_answer given)
{
    lock(server);
    struct script *script = &server->scripts[method];
    assert(script->count < SCRIPT_MAX);
    given.times = given.times > 0 ? given.times : 1;
    script->answers[script->count++] = given;
    unlock_and_wake(server);
}

void pubsub_scripted_forget(struct pubsub_scripted *server, enum scripted_method method)
{
    lock(server);
    server->scripts[method].count = 0;
    unlock_and_wake(server);
}

void pubsub_scripted_refuse(struct pubsub_scripted *server, enum scripted_method method,
                            size_t message, const char *word, uint32_t times)
{
    lock(server);
    assert(server->refusal_count < REFUSALS_MAX);
    server->refusals[server->refusal_count++] = (struct refusal){method, message, word, times};
    unlock_and_wake(server);
}

void pubsub_scripted_end_streams(struct pubsub_scripted *server, int status, const char *reason)
{
    lock(server);
    server->ending = true;
    server->end_status = status;
    server->end_reason = reason;
    unlock_and_wake(server);
}

// --- counts -------------------------------------------------------------------------------------

struct scripted_counts pubsub_scripted_counts(struct pubsub_scripted *server)
{
    lock(server);
    struct scripted_counts counts = server->counts;
    (void)pthread_mutex_unlock(&server->lock);
    return counts;
}

bool pubsub_scripted_wait_until(struct pubsub_scripted *server, scripted_condition *holds,
                                void *context, uint32_t timeout_ms)
{
    int64_t end_ns = scripted_now_ns() + (int64_t)timeout_ms * 1000000;
    struct timespec end = {.tv_sec = end_ns / 1000000000, .tv_nsec = end_ns % 1000000000};
    int error = 0;
    lock(server);
    while (!holds(&server->counts, context) && error == 0) {
        error = pthread_cond_timedwait(&server->changed, &server->lock, &end);
    }
    bool held = holds(&server->counts, context);
    (void)pthread_mutex_unlock(&server->lock);
    return held;
}

int64_t pubsub_scripted_call_ns(struct pubsub_scripted *server, enum scripted_method method,
                                size_t n)
{
    lock(server);
    int64_t when_ns =
        n < TIMES_MAX && n < server->counts.calls[method] ? server->call_ns[method][n] : -1;
    (void)pthread_mutex_unlock(&server->lock);
    return when_ns;
}
