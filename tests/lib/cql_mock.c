// The mock's thread, and what tests ask of it. The thread holds the mutex except while it waits. What a
// call changes is done by the next turn of the thread, for which the call waits.
#include "cql_mock_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void must(bool done, const char *what)
{
    if (!done) {
        (void)fprintf(stderr, "cql_mock: %s: %s\n", what, strerror(errno));
        abort();
    }
}

static int64_t now_ms(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

// --- sockets -------------------------------------------------------------------------------------

static int bound_socket(const struct cql_mock *mock, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd >= 0 && inet_pton(AF_INET, mock->host, &address.sin_addr) == 1, "socket");
    if (port != 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    }
    must(bind(fd, (const struct sockaddr *)&address, sizeof address) == 0, "bind");
    return fd;
}

// A bound socket that never listens keeps the port for us, see loopback_port.h.
static void reserve_port(struct cql_mock *mock)
{
    struct sockaddr_in given;
    mock->reserve_fd = bound_socket(mock, mock->options.port);
    must(getsockname(mock->reserve_fd, (struct sockaddr *)&given, &(socklen_t){sizeof given}) == 0,
         "getsockname");
    (void)setsockopt(mock->reserve_fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    mock->options.port = ntohs(given.sin_port);
}

static void start_listening(struct cql_mock *mock)
{
    mock->listen_fd = bound_socket(mock, mock->options.port);
    must(listen(mock->listen_fd, SOMAXCONN) == 0, "listen");
}

static void stop_listening(struct cql_mock *mock)
{
    if (mock->listen_fd >= 0) {
        (void)close(mock->listen_fd);
        mock->listen_fd = -1;
    }
}

// --- the thread ----------------------------------------------------------------------------------

static void accept_all(struct cql_mock *mock)
{
    while (mock->listen_fd >= 0 && mock->connection_count < CQL_MOCK_CONNECTIONS_MAX) {
        int fd = accept4(mock->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        mock->accepted_count++;
        mock->connections[mock->connection_count++] =
            cql_mock_connection_open(mock, fd, mock->accepted_count);
    }
}

static void serve_all(struct cql_mock *mock)
{
    for (unsigned i = 0; i < mock->connection_count; i++) {
        struct connection *connection = mock->connections[i];
        if (!mock->is_stalled && !connection->is_over) {
            cql_mock_connection_receive(connection);
        }
        cql_mock_connection_send(connection, now_ms());
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < mock->connection_count; i++) {
        struct connection *connection = mock->connections[i];
        if (connection->is_over) {
            cql_mock_connection_close(&connection, connection->is_reset);
        } else {
            mock->connections[kept++] = connection;
        }
    }
    mock->connection_count = kept;
}

// Until when there is nothing to do but for what arrives; -1: without an end.
static int prepare_polls(const struct cql_mock *mock, struct pollfd *polls)
{
    int64_t now = now_ms();
    int64_t wait_ms = -1;
    polls[0] = (struct pollfd){.fd = mock->wake_fd, .events = POLLIN};
    bool has_room = mock->connection_count < CQL_MOCK_CONNECTIONS_MAX;
    polls[1] = (struct pollfd){.fd = has_room ? mock->listen_fd : -1, .events = POLLIN};
    for (unsigned i = 0; i < mock->connection_count; i++) {
        const struct connection *connection = mock->connections[i];
        short events = mock->is_stalled ? 0 : POLLIN;
        if (connection->first != NULL && connection->first->due_ms <= now) {
            events |= POLLOUT;
        } else if (connection->first != NULL) {
            int64_t left_ms = connection->first->due_ms - now;
            wait_ms = wait_ms < 0 || left_ms < wait_ms ? left_ms : wait_ms;
        }
        // One that hung up would end each wait at once.
        polls[2 + i] = (struct pollfd){.fd = events != 0 ? connection->fd : -1, .events = events};
    }
    return (int)wait_ms;
}

static void *run(void *context)
{
    struct cql_mock *mock = context;
    struct pollfd polls[2 + CQL_MOCK_CONNECTIONS_MAX];
    uint64_t ignored;
    (void)pthread_mutex_lock(&mock->mutex);
    while (!mock->is_stopping) {
        accept_all(mock);
        serve_all(mock);
        mock->turn++;
        (void)pthread_cond_broadcast(&mock->arrived);
        int wait_ms = prepare_polls(mock, polls);
        nfds_t count = 2 + mock->connection_count;
        (void)pthread_mutex_unlock(&mock->mutex);
        (void)poll(polls, count, wait_ms);
        (void)pthread_mutex_lock(&mock->mutex);
        (void)!read(mock->wake_fd, &ignored, sizeof ignored);
    }
    (void)pthread_mutex_unlock(&mock->mutex);
    return NULL;
}

void cql_mock_lock(struct cql_mock *mock)
{
    must(!pthread_equal(pthread_self(), mock->thread), "a handler calls what it must not");
    (void)pthread_mutex_lock(&mock->mutex);
}

static void wake(struct cql_mock *mock)
{
    must(write(mock->wake_fd, &(uint64_t){1}, sizeof(uint64_t)) == sizeof(uint64_t), "eventfd");
}

// Unlocks once the thread has made a whole turn.
void cql_mock_settle(struct cql_mock *mock)
{
    uint64_t turn = mock->turn;
    wake(mock);
    while (mock->turn == turn) {
        (void)pthread_cond_wait(&mock->arrived, &mock->mutex);
    }
    (void)pthread_mutex_unlock(&mock->mutex);
}

void cql_mock_unlock(struct cql_mock *mock)
{
    (void)pthread_mutex_unlock(&mock->mutex);
}

// --- life ----------------------------------------------------------------------------------------

static void fill_options(struct cql_mock_options *options)
{
    options->version_max = options->version_max != 0 ? options->version_max : 5;
    options->host = options->host != 0 ? options->host : 1;
    options->cluster_name = options->cluster_name != NULL ? options->cluster_name : "till-mock";
    options->data_center = options->data_center != NULL ? options->data_center : "datacenter1";
    options->rack = options->rack != NULL ? options->rack : "rack1";
    options->release_version =
        options->release_version != NULL ? options->release_version : "5.0.9";
    options->tokens = options->tokens != NULL ? options->tokens : "0";
    options->password = options->password != NULL ? options->password : "";
    assert(options->version_max >= 3 && options->version_max <= 5);
    assert(options->host <= 254);
}

static void describe(struct cql_mock *mock)
{
    static unsigned made_count;
    const struct cql_mock_options *options = &mock->options;
    unsigned number = __atomic_add_fetch(&made_count, 1, __ATOMIC_RELAXED);
    (void)snprintf(mock->address, sizeof mock->address, "%s:%u", mock->host, options->port);
    mock->self = (struct cql_mock_peer){.address = mock->host,
                                        .port = options->port,
                                        .data_center = options->data_center,
                                        .rack = options->rack,
                                        .release_version = options->release_version,
                                        .tokens = options->tokens,
                                        .host_id = (uint8_t)(1 + (number - 1) % 255),
                                        .schema_version = 1};
    mock->keyspaces[0] =
        (struct cql_mock_keyspace){"shop", "class=SimpleStrategy,replication_factor=1"};
    mock->keyspace_count = 1;
}

struct cql_mock *cql_mock_start(const struct cql_mock_options *options)
{
    pthread_condattr_t attributes;
    struct cql_mock *mock = calloc(1, sizeof *mock);
    must(mock != NULL, "memory");
    mock->options = options != NULL ? *options : (struct cql_mock_options){0};
    fill_options(&mock->options);
    mock->requests = calloc(CQL_MOCK_REQUESTS_MAX, sizeof(struct cql_mock_request *));
    must(mock->requests != NULL, "memory");
    mock->tls = cql_mock_tls_open(&mock->options);
    mock->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    must(mock->wake_fd >= 0, "eventfd");
    (void)snprintf(mock->host, sizeof mock->host, "127.0.0.%u", mock->options.host);
    reserve_port(mock);
    start_listening(mock);
    describe(mock);
    (void)pthread_mutex_init(&mock->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&mock->arrived, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    // The thread looks at its own number nowhere, so that it may run before that is written.
    must(pthread_create(&mock->thread, NULL, run, mock) == 0, "thread");
    return mock;
}

void cql_mock_stop(struct cql_mock **mock_pointer)
{
    struct cql_mock *mock = *mock_pointer;
    *mock_pointer = NULL;
    if (mock == NULL) {
        return;
    }
    cql_mock_lock(mock);
    mock->is_stopping = true;
    wake(mock);
    cql_mock_unlock(mock);
    (void)pthread_join(mock->thread, NULL);
    for (unsigned i = 0; i < mock->connection_count; i++) {
        cql_mock_connection_close(&mock->connections[i], true);
    }
    stop_listening(mock);
    (void)close(mock->reserve_fd);
    (void)close(mock->wake_fd);
    cql_mock_drop_prepared(mock);
    cql_mock_drop_held(mock);
    cql_mock_free_requests(mock);
    cql_mock_tls_close(mock->tls);
    free(mock->complaint);
    (void)pthread_mutex_destroy(&mock->mutex);
    (void)pthread_cond_destroy(&mock->arrived);
    free(mock);
}

uint16_t cql_mock_port(const struct cql_mock *mock)
{
    return mock->options.port;
}

const char *cql_mock_address(const struct cql_mock *mock)
{
    return mock->address;
}

// --- connections ---------------------------------------------------------------------------------

// The thread waits on the socket that is closed here, and lets go of it in its next turn.
void cql_mock_refuse(struct cql_mock *mock, bool on)
{
    cql_mock_lock(mock);
    if (on) {
        stop_listening(mock);
    } else if (mock->listen_fd < 0) {
        start_listening(mock);
    }
    cql_mock_settle(mock);
}

void cql_mock_stall(struct cql_mock *mock, bool on)
{
    cql_mock_lock(mock);
    mock->is_stalled = on;
    cql_mock_settle(mock);
}

void cql_mock_disconnect(struct cql_mock *mock, bool by_reset)
{
    cql_mock_lock(mock);
    for (unsigned i = 0; i < mock->connection_count; i++) {
        mock->connections[i]->is_over = true;
        mock->connections[i]->is_reset = by_reset;
    }
    cql_mock_settle(mock);
}

unsigned cql_mock_open_count(struct cql_mock *mock)
{
    cql_mock_lock(mock);
    unsigned count = mock->connection_count;
    cql_mock_unlock(mock);
    return count;
}

unsigned cql_mock_accepted_count(struct cql_mock *mock)
{
    cql_mock_lock(mock);
    unsigned count = mock->accepted_count;
    cql_mock_unlock(mock);
    return count;
}
