// Keepalive and a limit on unacknowledged bytes are set, so that a peer which vanished is noticed by
// the kernel too; the heartbeat of cql_connection.c notices one that is there and hangs.
#include "cql_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define KEEPALIVE_IDLE_S    30
#define UNACKNOWLEDGED_MS   60000
#define ERROR_TEXT_SIZE_MAX 96

static enum err system_failed(struct why *why, const char *doing, int error)
{
    char text[ERROR_TEXT_SIZE_MAX];
    return why_set(why, ERR_UNAVAILABLE, "%s: %s", doing, strerror_r(error, text, sizeof(text)));
}

static void set_options(int fd)
{
    // Each is an improvement that a kernel may refuse.
    const int on = 1;
    const int idle_s = KEEPALIVE_IDLE_S;
    const unsigned unacknowledged_ms = UNACKNOWLEDGED_MS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms,
                     sizeof(unacknowledged_ms));
}

enum err cql_socket_open(struct cql_socket *out_socket, const struct cql_address *address,
                         struct cql_tls_context *tls, const char *host, struct why *why)
{
    *out_socket = (struct cql_socket){.fd = -1};
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return system_failed(why, "socket", errno);
    }
    struct cql_socket opened = {.fd = fd};
    set_options(fd);
    if (connect(fd, (const struct sockaddr *)&address->storage, address->size) != 0 &&
        errno != EINPROGRESS) {
        enum err err = system_failed(why, "connect", errno);
        cql_socket_close(&opened);
        return err;
    }
    if (tls != NULL) {
        enum err err = cql_tls_link_open(tls, fd, host, &opened.link, why);
        if (err != ERR_OK) {
            cql_socket_close(&opened);
            return err;
        }
    }
    *out_socket = opened;
    return ERR_OK;
}

void cql_socket_close(struct cql_socket *socket)
{
    cql_tls_link_close(&socket->link);
    if (socket->fd >= 0) {
        (void)close(socket->fd);
    }
    *socket = (struct cql_socket){.fd = -1};
}

// A connect that is under way shows its end by getpeername: before it there is no peer.
static enum cql_io finish_connect(struct cql_socket *socket, struct why *why)
{
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = errno;
    }
    if (error != 0) {
        (void)system_failed(why, "connect", error);
        return CQL_IO_FAILED;
    }
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof(peer);
    if (getpeername(socket->fd, (struct sockaddr *)&peer, &peer_size) != 0) {
        return CQL_IO_AGAIN;
    }
    socket->connected = true;
    return CQL_IO_DONE;
}

enum cql_io cql_socket_connect(struct cql_socket *socket, struct why *why)
{
    if (!socket->connected) {
        enum cql_io io = finish_connect(socket, why);
        if (io != CQL_IO_DONE) {
            return io;
        }
    }
    if (socket->link == NULL) {
        return CQL_IO_DONE;
    }
    return cql_tls_link_handshake(socket->link, &socket->wants_write, why);
}

static enum cql_io outcome_of(ssize_t result, const char *doing, size_t *out_size, struct why *why)
{
    *out_size = result > 0 ? (size_t)result : 0;
    if (result > 0) {
        return CQL_IO_DONE;
    }
    if (result == 0) {
        return CQL_IO_CLOSED;
    }
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM) {
        return CQL_IO_AGAIN;
    }
    (void)system_failed(why, doing, errno);
    return CQL_IO_FAILED;
}

// TLS gives a record at a time.
static enum cql_io read_records(struct cql_socket *socket, char *data, size_t cap, size_t *out_size,
                                struct why *why)
{
    enum cql_io io = CQL_IO_DONE;
    size_t total = 0;
    while (io == CQL_IO_DONE && total < cap) {
        size_t size = 0;
        io = cql_tls_link_read(socket->link, data + total, cap - total, &size, why);
        total += size;
    }
    *out_size = total;
    return io;
}

enum cql_io cql_socket_read(struct cql_socket *socket, void *data, size_t cap, size_t *out_size,
                            struct why *why)
{
    if (socket->link != NULL) {
        return read_records(socket, data, cap, out_size, why);
    }
    return outcome_of(recv(socket->fd, data, cap, 0), "receive", out_size, why);
}

bool cql_socket_has_unread(const struct cql_socket *socket)
{
    return socket->link != NULL && cql_tls_link_has_unread(socket->link);
}

enum cql_io cql_socket_write(struct cql_socket *socket, const void *data, size_t size,
                             size_t *out_size, struct why *why)
{
    if (socket->link != NULL) {
        return cql_tls_link_write(socket->link, data, size, out_size, why);
    }
    return outcome_of(send(socket->fd, data, size, MSG_NOSIGNAL), "send", out_size, why);
}
