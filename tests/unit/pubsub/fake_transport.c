#include "fake_transport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// cmocka needs the five before it
#include <cmocka.h>

static struct fake *fake_of(struct transport *transport)
{
    return (struct fake *)transport;
}

// --- what the client does -----------------------------------------------------------------------

static void call_start(struct transport *transport, struct transport_call *call)
{
    struct fake *fake = fake_of(transport);
    struct fake_call *entry = calloc(1, sizeof(*entry));
    assert_non_null(entry);
    *entry = (struct fake_call){.call = call,
                                .method = call->method,
                                .request = payload_reference(call->request),
                                .timeout_us = call->timeout_us,
                                .started_ns = fake->time.mono_ns};
    struct fake_call **link = &fake->calls;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = entry;
    call->operation = entry;
}

static void call_cancel(struct transport *transport, struct transport_call *call)
{
    (void)transport;
    if (call->operation != NULL) {
        ((struct fake_call *)call->operation)->cancelled = true;
    }
}

static void stream_open(struct transport *transport, struct transport_stream *stream)
{
    struct fake *fake = fake_of(transport);
    struct fake_stream *entry = calloc(1, sizeof(*entry));
    assert_non_null(entry);
    entry->stream = stream;
    entry->opened_ns = fake->time.mono_ns;
    struct fake_stream **link = &fake->streams;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = entry;
    stream->operation = entry;
}

static void stream_read(struct transport *transport, struct transport_stream *stream)
{
    struct fake_stream *entry = stream->operation;
    (void)transport;
    assert_non_null(entry);
    assert_false(entry->reading);
    entry->reading = true;
}

static void stream_write(struct transport *transport, struct transport_stream *stream,
                         struct payload *message)
{
    struct fake_stream *entry = stream->operation;
    (void)transport;
    assert_non_null(entry);
    assert_true(entry->written_count < sizeof(entry->written) / sizeof(entry->written[0]));
    entry->written[entry->written_count++] = payload_reference(message);
}

static void stream_finish(struct transport *transport, struct transport_stream *stream)
{
    (void)transport;
    ((struct fake_stream *)stream->operation)->finished = true;
}

static void stream_cancel(struct transport *transport, struct transport_stream *stream)
{
    (void)transport;
    if (stream->operation != NULL) {
        ((struct fake_stream *)stream->operation)->cancelled = true;
    }
}

static void reconnect(struct transport *transport, uint32_t connection)
{
    (void)connection;
    fake_of(transport)->reconnects++;
}

// --- endings ------------------------------------------------------------------------------------

void fake_end_call(struct fake *fake, struct fake_call *entry, const struct rpc_status *status,
                   struct text response)
{
    struct fake_call **link = &fake->calls;
    while (*link != entry) {
        assert_non_null(*link);
        link = &(*link)->next;
    }
    *link = entry->next;
    struct payload *payload = status->code == RPC_OK ? payload_copy(response) : NULL;
    entry->call->operation = NULL;
    entry->call->done(entry->call, status, payload);
    payload_release(&payload);
    payload_release(&entry->request);
    free(entry);
}

static void end_stream(struct fake *fake, struct fake_stream *entry,
                       const struct rpc_status *status)
{
    struct fake_stream **link = &fake->streams;
    while (*link != entry) {
        assert_non_null(*link);
        link = &(*link)->next;
    }
    *link = entry->next;
    entry->stream->operation = NULL;
    entry->stream->on_end(entry->stream, status);
    for (size_t i = 0; i < entry->written_count; i++) {
        payload_release(&entry->written[i]);
    }
    free(entry);
}

// Ends one thing that was cancelled; false when there is none.
static bool end_cancelled(struct fake *fake)
{
    const struct rpc_status status = {.code = RPC_CANCELLED, .message = TEXT("cancelled")};
    for (struct fake_call *call = fake->calls; call != NULL; call = call->next) {
        if (call->cancelled) {
            fake_end_call(fake, call, &status, (struct text){0});
            return true;
        }
    }
    for (struct fake_stream *stream = fake->streams; stream != NULL; stream = stream->next) {
        if (stream->cancelled) {
            end_stream(fake, stream, &status);
            return true;
        }
    }
    return false;
}

static void wait_virtually(struct transport *transport, int64_t timeout_ns)
{
    struct fake *fake = fake_of(transport);
    bool answered = fake->answer != NULL && fake->answer(fake, fake->context);
    if (answered || end_cancelled(fake)) {
        return;
    }
    if (timeout_ns == TIMER_NEVER) {
        fail_msg("the client waits for ever");
    }
    virtual_time_advance(&fake->time, (timeout_ns + 999) / 1000);
}

static void wake(struct transport *transport)
{
    (void)transport;
}

static void close_fake(struct transport *transport)
{
    struct fake *fake = fake_of(transport);
    assert_null(fake->calls);
    assert_null(fake->streams);
}

static const struct transport_ops fake_ops = {
    .call = call_start,
    .call_cancel = call_cancel,
    .stream_open = stream_open,
    .stream_read = stream_read,
    .stream_write = stream_write,
    .stream_finish = stream_finish,
    .stream_cancel = stream_cancel,
    .reconnect = reconnect,
    .wait = wait_virtually,
    .wake = wake,
    .close = close_fake,
};

// --- what the test does -------------------------------------------------------------------------

struct fake *fake_create(void)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    assert_non_null(fake);
    fake->transport.ops = &fake_ops;
    fake->time = (struct virtual_time){.wall_us = 1700000000 * US_PER_SECOND,
                                       .mono_ns = 1000 * NS_PER_SECOND};
    assert_int_equal(client_create(&fake->transport, "p", clock_virtual(&fake->time), 42, false,
                                   &fake->client, NULL),
                     ERR_OK);
    return fake;
}

void fake_destroy(struct fake **fake)
{
    pubsub_close(&(*fake)->client);
    free(*fake);
    *fake = NULL;
}

void fake_turn(struct fake *fake)
{
    for (int i = 0; i < 20; i++) {
        client_turn(fake->client, 0);
    }
}

void fake_pass(struct fake *fake, int64_t us)
{
    int64_t until_ns = fake->time.mono_ns + us * 1000;
    fake_turn(fake);
    while (fake->time.mono_ns < until_ns) {
        client_turn(fake->client, until_ns - fake->time.mono_ns);
    }
    fake_turn(fake);
}

struct fake_call *fake_call(struct fake *fake, enum rpc_method method, size_t n)
{
    struct fake_call *call = fake->calls;
    while (call != NULL && (call->method != method || n > 0)) {
        n -= call->method == method ? 1 : 0;
        call = call->next;
    }
    assert_non_null(call);
    return call;
}

size_t fake_call_count(const struct fake *fake, enum rpc_method method)
{
    size_t count = 0;
    for (const struct fake_call *call = fake->calls; call != NULL; call = call->next) {
        count += call->method == method ? 1 : 0;
    }
    return count;
}

void fake_answer_only(struct fake *fake, struct fake_call *call, struct text response)
{
    const struct rpc_status status = {.code = RPC_OK};
    fake_end_call(fake, call, &status, response);
}

void fake_answer(struct fake *fake, struct fake_call *call, struct text response)
{
    fake_answer_only(fake, call, response);
    fake_turn(fake);
}

void fake_refuse(struct fake *fake, struct fake_call *call, int code, const char *message)
{
    const struct rpc_status status = {.code = code, .message = text_of(message)};
    fake_end_call(fake, call, &status, (struct text){0});
    fake_turn(fake);
}

void fake_refuse_with(struct fake *fake, struct fake_call *call, int code, struct text details)
{
    const struct rpc_status status = {.code = code, .details = details};
    fake_end_call(fake, call, &status, (struct text){0});
    fake_turn(fake);
}

struct fake_stream *fake_stream(struct fake *fake, size_t n)
{
    struct fake_stream *stream = fake->streams;
    for (; stream != NULL && n > 0; n--) {
        stream = stream->next;
    }
    assert_non_null(stream);
    return stream;
}

size_t fake_stream_count(const struct fake *fake)
{
    size_t count = 0;
    for (const struct fake_stream *stream = fake->streams; stream != NULL; stream = stream->next) {
        count++;
    }
    return count;
}

void fake_message(struct fake *fake, struct fake_stream *stream, struct text message)
{
    assert_true(stream->reading);
    stream->reading = false;
    struct payload *payload = payload_copy(message);
    assert_non_null(payload);
    stream->stream->on_message(stream->stream, payload);
    payload_release(&payload);
    fake_turn(fake);
}

void fake_end(struct fake *fake, struct fake_stream *stream, int code, const char *message)
{
    const struct rpc_status status = {.code = code, .message = text_of(message)};
    end_stream(fake, stream, &status);
    fake_turn(fake);
}
