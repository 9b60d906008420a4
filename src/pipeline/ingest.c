// The server's life and its loop. A turn of the loop: wait, accept, read, publish what is whole,
// write. Only the thread touches connections and batch; the rest of the process sees the atomics,
// and the error once `failed` is set.
#include "ingest.h"

#include "ingest_batch.h"
#include "ingest_connection.h"
#include "ingest_listener.h"
#include "ingest_wire.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NS_PER_MS        INT64_C(1000000)
#define HELLO_WAIT_NS    (10 * NS_PER_SECOND)
#define ACCEPT_PAUSE_NS  (100 * NS_PER_MS) // after the system refused a descriptor
#define WAIT_MS_MAX      100               // while something has a deadline
#define BACKOFF_FIRST_NS (5 * NS_PER_MS)
#define BACKOFF_LAST_NS  (500 * NS_PER_MS)
#define DRAIN_TRIES      7 // 5 + 10 + ... + 160 ms of back-off between them
#define POLL_WAKE        0
#define POLL_LISTEN      1
#define POLL_CONNECTIONS 2
#define POLL_COUNT       (POLL_CONNECTIONS + INGEST_CONNECTIONS_MAX)

struct ingest {
    struct bus *bus;
    struct clock clock;
    struct log *log;
    struct ingest_listener listener;
    int wake_fd;
    pthread_t thread;

    // of the thread
    struct connection connections[INGEST_CONNECTIONS_MAX];
    struct ingest_batch batch;
    bool draining;
    int drain_tries;
    int64_t backoff_ns; // 0: the bus takes messages
    int64_t retry_at_ns;
    int64_t accept_at_ns;

    // shared
    atomic_bool stop;
    atomic_bool failed; // set after err and why, which stay then
    enum err err;
    struct why why;
    atomic_uint_fast64_t published;
    atomic_uint_fast64_t retries;
    atomic_uint_fast64_t open;
    atomic_uint_fast64_t refused;
};

static int64_t now_ns(const struct ingest *ingest)
{
    return clock_mono_ns(&ingest->clock);
}

static bool publish_pending(const struct ingest *ingest)
{
    return ingest->batch.count > 0;
}

// --- accepting -----------------------------------------------------------------------------------

static struct connection *free_connection(struct ingest *ingest)
{
    for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) {
        if (ingest->connections[i].state == CONNECTION_FREE) {
            return &ingest->connections[i];
        }
    }
    return NULL;
}

// A new socket has room for these few bytes, so this client needs no place.
static void turn_away(struct ingest *ingest, int fd)
{
    struct connection connection = {0};
    connection_begin(&connection, fd, 0);
    connection_refuse(&connection, WIRE_REFUSED_CONNECTIONS,
                      "%u others are publishing already, which is the limit",
                      INGEST_CONNECTIONS_MAX);
    connection_write(&connection);
    connection_end(&connection);
    atomic_fetch_add(&ingest->refused, 1);
    log_warn(ingest->log, "ingest", "turned a connection away: there are as many as there may be",
             LOG_INT("limit", INGEST_CONNECTIONS_MAX));
}

static void take_in(struct ingest *ingest, int fd)
{
    struct connection *connection = free_connection(ingest);
    if (connection == NULL) {
        turn_away(ingest, fd);
        return;
    }
    connection_begin(connection, fd, now_ns(ingest) + HELLO_WAIT_NS);
    atomic_fetch_add(&ingest->open, 1);
}

static void accept_connections(struct ingest *ingest)
{
    while (ingest->listener.fd >= 0 && now_ns(ingest) >= ingest->accept_at_ns) {
        int fd = accept4(ingest->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take_in(ingest, fd);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            log_warn(ingest->log, "ingest", "cannot accept a connection, will try again",
                     LOG_STR("error", strerror(errno)));
            ingest->accept_at_ns = now_ns(ingest) + ACCEPT_PAUSE_NS;
        }
    }
}

// --- publishing ----------------------------------------------------------------------------------

// Ends all connections without publishing what they still hold.
static void give_up(struct ingest *ingest, enum wire_refusal refusal, const struct why *why)
{
    for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) {
        struct connection *connection = &ingest->connections[i];
        if (connection->state != CONNECTION_FREE) {
            connection_drop_input(connection);
            connection_refuse(connection, refusal, "the owner of the directory cannot publish: %s",
                              why->text);
        }
    }
    memset(&ingest->batch, 0, sizeof(ingest->batch));
    ingest->draining = true;
    ingest_listener_close(&ingest->listener);
}

static void fail(struct ingest *ingest, enum err err, const struct why *why)
{
    log_error(ingest->log, "ingest", "cannot publish any more", LOG_STR("error", err_name(err)),
              LOG_STR("detail", why->text));
    ingest->err = err;
    ingest->why = *why;
    atomic_store(&ingest->failed, true);
    give_up(ingest, WIRE_REFUSED_BUS_FAILED, why);
}

static void back_off(struct ingest *ingest, const struct why *why)
{
    atomic_fetch_add(&ingest->retries, 1);
    if (ingest->backoff_ns == 0) {
        log_warn(ingest->log, "ingest", "cannot publish now, will try again",
                 LOG_STR("error", err_name(why->code)), LOG_STR("detail", why->text));
        ingest->backoff_ns = BACKOFF_FIRST_NS;
    } else if (ingest->backoff_ns < BACKOFF_LAST_NS) {
        ingest->backoff_ns *= 2;
    }
    ingest->retry_at_ns = now_ns(ingest) + ingest->backoff_ns;
    if (ingest->draining && --ingest->drain_tries == 0) {
        log_warn(ingest->log, "ingest", "ends without having published all that came",
                 LOG_STR("error", err_name(why->code)));
        give_up(ingest, WIRE_REFUSED_STOPPING, why);
    }
}

// false when the batch stays, or everything ends.
static bool publish_batch(struct ingest *ingest)
{
    struct why why = {0};
    uint64_t published_before = ingest->batch.published;
    enum err err = ingest_batch_publish(&ingest->batch, ingest->bus, ingest->connections, &why);
    atomic_fetch_add(&ingest->published, ingest->batch.published - published_before);
    if (err == ERR_OK) {
        ingest->backoff_ns = 0;
        return true;
    }
    if (err_class_of(err) == ERR_CLASS_RETRY) {
        back_off(ingest, &why);
    } else {
        fail(ingest, err, &why);
    }
    return false;
}

// Until no whole frame is left, or the bus wants a pause.
static void publish_what_is_whole(struct ingest *ingest)
{
    if (publish_pending(ingest) && now_ns(ingest) < ingest->retry_at_ns) {
        return;
    }
    bool goes_on = true;
    while (goes_on &&
           (publish_pending(ingest) || ingest_batch_gather(&ingest->batch, ingest->connections))) {
        goes_on = publish_batch(ingest);
        for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) {
            if (ingest->connections[i].state == CONNECTION_OPEN) {
                connection_write(&ingest->connections[i]);
            }
        }
    }
}

// --- the loop ------------------------------------------------------------------------------------

static void watch(const struct connection *connection, struct pollfd *out_poll)
{
    bool is_there = connection->state != CONNECTION_FREE;
    unsigned events = 0;
    if (is_there && connection_wants_input(connection)) {
        events |= POLLIN;
    }
    if (is_there && connection_wants_output(connection)) {
        events |= POLLOUT;
    }
    // One that wants nothing is left out: its hang-up would be reported again and again.
    *out_poll = (struct pollfd){.fd = events != 0 ? connection->fd : -1, .events = (short)events};
}

// How long nothing has to happen by itself.
static int wait_ms(const struct ingest *ingest)
{
    bool timed = publish_pending(ingest) || now_ns(ingest) < ingest->accept_at_ns;
    for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) {
        enum connection_state state = ingest->connections[i].state;
        timed = timed || state == CONNECTION_HELLO || state == CONNECTION_LEAVING;
    }
    if (!timed) {
        return -1;
    }
    int64_t until_retry_ms = (ingest->retry_at_ns - now_ns(ingest)) / NS_PER_MS + 1;
    bool sooner = publish_pending(ingest) && until_retry_ms < WAIT_MS_MAX;
    return sooner ? (int)(until_retry_ms > 0 ? until_retry_ms : 0) : WAIT_MS_MAX;
}

static void wait_for_something(struct ingest *ingest)
{
    struct pollfd polls[POLL_COUNT];
    bool accepts = now_ns(ingest) >= ingest->accept_at_ns;
    polls[POLL_WAKE] = (struct pollfd){.fd = ingest->wake_fd, .events = POLLIN};
    polls[POLL_LISTEN] =
        (struct pollfd){.fd = accepts ? ingest->listener.fd : -1, .events = POLLIN};
    for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) {
        watch(&ingest->connections[i], &polls[POLL_CONNECTIONS + i]);
    }
    (void)poll(polls, POLL_COUNT, wait_ms(ingest)); // every call of the loop asks for itself
    uint64_t count = 0;
    if ((polls[POLL_WAKE].revents & POLLIN) != 0) {
        ssize_t size = read(ingest->wake_fd, &count, sizeof(count));
        (void)size; // it was only to wake
    }
}

static void begin_drain(struct ingest *ingest)
{
    if (ingest->draining) {
        return;
    }
    ingest->draining = true;
    ingest->drain_tries = DRAIN_TRIES;
    ingest->backoff_ns = 0;
    ingest->retry_at_ns = 0;
    ingest_listener_close(&ingest->listener);
    for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) {
        if (ingest->connections[i].state != CONNECTION_FREE) {
            connection_refuse(&ingest->connections[i], WIRE_REFUSED_STOPPING,
                              "the owner of the directory ends");
        }
    }
}

static void note_refusal(struct ingest *ingest, const struct connection *connection)
{
    bool by_us = connection->refusal == WIRE_REFUSED_STOPPING ||
                 connection->refusal == WIRE_REFUSED_BUS_FAILED;
    if (connection->refusal != WIRE_NOT_REFUSED && !by_us) {
        atomic_fetch_add(&ingest->refused, 1);
        log_warn(ingest->log, "ingest", "ended a connection",
                 LOG_STR("detail", connection->refusal_text),
                 LOG_INT("durable", connection->durable));
    }
}

static void advance(struct ingest *ingest, struct connection *connection)
{
    if (connection->state == CONNECTION_FREE) {
        return;
    }
    connection_advance(connection, now_ns(ingest));
    if (connection->state == CONNECTION_FREE) {
        atomic_fetch_sub(&ingest->open, 1);
        note_refusal(ingest, connection);
    }
}

static bool all_gone(const struct ingest *ingest)
{
    for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) {
        if (ingest->connections[i].state != CONNECTION_FREE) {
            return false;
        }
    }
    return true;
}

static void *ingest_main(void *argument)
{
    struct ingest *ingest = argument;
    while (!ingest->draining || !all_gone(ingest)) {
        wait_for_something(ingest);
        if (atomic_load(&ingest->stop)) {
            begin_drain(ingest);
        }
        accept_connections(ingest);
        for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) {
            connection_read(&ingest->connections[i]);
        }
        publish_what_is_whole(ingest);
        for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) {
            advance(ingest, &ingest->connections[i]);
        }
    }
    return NULL;
}

// --- life ----------------------------------------------------------------------------------------

static void destroy(struct ingest *ingest)
{
    ingest_listener_close(&ingest->listener);
    if (ingest->wake_fd >= 0) {
        (void)close(ingest->wake_fd);
    }
    free(ingest);
}

static enum err open_all(struct ingest *ingest, const char *directory, struct why *why)
{
    ingest->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (ingest->wake_fd < 0) {
        return why_set(why, ERR_NO_MEMORY, "an event descriptor cannot be made: %s",
                       strerror(errno));
    }
    return ingest_listener_open(directory, &ingest->listener, why);
}

enum err ingest_start(const struct ingest_options *options, struct ingest **out_ingest,
                      struct why *why)
{
    assert(options->bus != NULL && options->directory != NULL);
    struct ingest *ingest = calloc(1, sizeof(*ingest));
    if (ingest == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory to listen on " INGEST_SOCKET_NAME);
    }
    ingest->bus = options->bus;
    ingest->clock = options->clock;
    ingest->log = options->log;
    ingest->listener.fd = -1;
    ingest->wake_fd = -1;
    enum err err = open_all(ingest, options->directory, why);
    if (err == ERR_OK && pthread_create(&ingest->thread, NULL, ingest_main, ingest) != 0) {
        err = why_set(why, ERR_NO_MEMORY, "cannot start a thread");
    }
    if (err != ERR_OK) {
        destroy(ingest);
        return err;
    }
    *out_ingest = ingest;
    return ERR_OK;
}

enum err ingest_error(const struct ingest *ingest, struct why *why)
{
    if (!atomic_load(&ingest->failed)) {
        return ERR_OK;
    }
    return why_set(why, ingest->err, "%s", ingest->why.text);
}

void ingest_get_figures(const struct ingest *ingest, struct ingest_figures *out_figures)
{
    *out_figures = (struct ingest_figures){
        .published = atomic_load(&ingest->published),
        .retries = atomic_load(&ingest->retries),
        .connections = atomic_load(&ingest->open),
        .refused = atomic_load(&ingest->refused),
    };
}

void ingest_request_stop(struct ingest *ingest)
{
    atomic_store(&ingest->stop, true);
    uint64_t one = 1;
    ssize_t size = write(ingest->wake_fd, &one, sizeof(one));
    (void)size; // refused only when the counter is full, and then it wakes already
}

void ingest_stop(struct ingest **ingest)
{
    if (ingest == NULL || *ingest == NULL) {
        return;
    }
    ingest_request_stop(*ingest);
    int code = pthread_join((*ingest)->thread, NULL);
    assert(code == 0);
    destroy(*ingest);
    *ingest = NULL;
}
