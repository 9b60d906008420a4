#include "echo_transport.h"

#include "clock.h"
#include "fake_service.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#define GIVEN_MAX 100u // messages a pull

struct echo_call {
    struct echo_call *next;
    struct transport_call *call;
    enum rpc_method method;
    struct payload *request;
    bool cancelled;
};

static struct echo *echo_of(struct transport *transport)
{
    return (struct echo *)transport;
}

static void call_start(struct transport *transport, struct transport_call *call)
{
    struct echo *echo = echo_of(transport);
    struct echo_call *entry = calloc(1, sizeof(*entry));
    assert(entry != NULL);
    *entry = (struct echo_call){
        .call = call, .method = call->method, .request = payload_reference(call->request)};
    pthread_mutex_lock(&echo->lock);
    if (echo->last != NULL) {
        echo->last->next = entry;
    } else {
        echo->first = entry;
    }
    echo->last = entry;
    call->operation = entry;
    pthread_cond_signal(&echo->changed);
    pthread_mutex_unlock(&echo->lock);
}

static void call_cancel(struct transport *transport, struct transport_call *call)
{
    struct echo *echo = echo_of(transport);
    pthread_mutex_lock(&echo->lock);
    if (call->operation != NULL) {
        ((struct echo_call *)call->operation)->cancelled = true;
        pthread_cond_signal(&echo->changed);
    }
    pthread_mutex_unlock(&echo->lock);
}

static bool is_answerable(const struct echo *echo, const struct echo_call *entry)
{
    return entry->cancelled || entry->method != RPC_PULL || echo->to_give > 0;
}

// The first call that can be answered, out of the list.
static struct echo_call *take_call(struct echo *echo)
{
    struct echo_call *before = NULL;
    for (struct echo_call *entry = echo->first; entry != NULL; entry = entry->next) {
        if (is_answerable(echo, entry)) {
            if (before != NULL) {
                before->next = entry->next;
            } else {
                echo->first = entry->next;
            }
            echo->last = echo->last == entry ? before : echo->last;
            return entry;
        }
        before = entry;
    }
    return NULL;
}

static void answer_pull(struct echo *echo, const struct echo_call *entry, struct buf *response)
{
    uint64_t count = pull_max_messages(entry->request);
    count = count < GIVEN_MAX ? count : GIVEN_MAX;
    count = count < echo->to_give ? count : echo->to_give;
    write_many_received(response, "ack-", (size_t)count, 20);
    echo->to_give -= count;
    echo->given += count;
}

static void write_answer(struct echo *echo, const struct echo_call *entry, struct buf *response)
{
    if (entry->method == RPC_PUBLISH) {
        size_t count = published_count(entry->request);
        write_published_ids(response, count);
        echo->published += count;
    } else if (entry->method == RPC_PULL) {
        answer_pull(echo, entry, response);
    } else if (entry->method == RPC_ACKNOWLEDGE) {
        echo->acked += settled_count(entry->request);
    } else if (settled_seconds(entry->request) == 0) {
        echo->nacked += settled_count(entry->request);
    }
}

static void await_something(struct echo *echo, int64_t timeout_ns)
{
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t capped_ns = timeout_ns < 100 * NS_PER_SECOND ? timeout_ns : 100 * NS_PER_SECOND;
    int64_t sum_ns = until.tv_nsec + capped_ns % NS_PER_SECOND;
    until.tv_sec += capped_ns / NS_PER_SECOND + sum_ns / NS_PER_SECOND;
    until.tv_nsec = sum_ns % NS_PER_SECOND;
    (void)pthread_cond_timedwait(&echo->changed, &echo->lock, &until);
}

static void wait_for_call(struct transport *transport, int64_t timeout_ns)
{
    struct echo *echo = echo_of(transport);
    struct buf response;
    buf_init_heap(&response, 1u << 20);
    pthread_mutex_lock(&echo->lock);
    struct echo_call *entry = take_call(echo);
    if (entry == NULL && !echo->woken) {
        await_something(echo, timeout_ns);
        entry = take_call(echo);
    }
    echo->woken = false;
    struct rpc_status status = {.code = RPC_OK};
    if (entry != NULL && entry->cancelled) {
        status.code = RPC_CANCELLED;
    } else if (entry != NULL) {
        write_answer(echo, entry, &response);
    }
    if (entry != NULL) {
        entry->call->operation = NULL;
    }
    pthread_mutex_unlock(&echo->lock);
    if (entry != NULL) {
        struct payload *payload = status.code == RPC_OK ? payload_copy(buf_view(&response)) : NULL;
        entry->call->done(entry->call, &status, payload);
        payload_release(&payload);
        payload_release(&entry->request);
        free(entry);
    }
    buf_deinit(&response);
}

static void wake(struct transport *transport)
{
    struct echo *echo = echo_of(transport);
    pthread_mutex_lock(&echo->lock);
    echo->woken = true;
    pthread_cond_signal(&echo->changed);
    pthread_mutex_unlock(&echo->lock);
}

static void close_echo(struct transport *transport)
{
    assert(echo_of(transport)->first == NULL);
}

static const struct transport_ops echo_ops = {
    .call = call_start,
    .call_cancel = call_cancel,
    .wait = wait_for_call,
    .wake = wake,
    .close = close_echo,
};

void echo_init(struct echo *echo, uint64_t to_give)
{
    pthread_condattr_t attributes;
    *echo = (struct echo){.transport = {.ops = &echo_ops}, .to_give = to_give};
    pthread_mutex_init(&echo->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&echo->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void echo_deinit(struct echo *echo)
{
    pthread_cond_destroy(&echo->changed);
    pthread_mutex_destroy(&echo->lock);
}

uint64_t echo_get(struct echo *echo, const uint64_t *counter)
{
    pthread_mutex_lock(&echo->lock);
    uint64_t value = *counter;
    pthread_mutex_unlock(&echo->lock);
    return value;
}
