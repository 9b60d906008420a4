// See the header for why a bound socket holds the port.
#include "loopback_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in loopback_address(uint16_t number)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(number),
                                .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

static int tcp_socket(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool bind_to(int fd, uint16_t number)
{
    struct sockaddr_in address = loopback_address(number);
    return bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
}

static bool share_port(int fd)
{
    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0;
}

static int close_failed(int fd)
{
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

bool loopback_port_reserve(struct loopback_port *out_port)
{
    struct sockaddr_in given;
    socklen_t size = sizeof given;
    int fd = tcp_socket();
    if (fd < 0) {
        return false;
    }
    if (!bind_to(fd, 0) || getsockname(fd, (struct sockaddr *)&given, &size) != 0 ||
        !share_port(fd)) {
        (void)close_failed(fd);
        return false;
    }
    *out_port = (struct loopback_port){.fd = fd, .number = ntohs(given.sin_port)};
    return true;
}

void loopback_port_release(struct loopback_port *port)
{
    if (port->fd >= 0) {
        (void)close(port->fd);
    }
    *port = (struct loopback_port){.fd = -1};
}

int loopback_port_listen(const struct loopback_port *port)
{
    int fd = tcp_socket();
    if (fd < 0) {
        return -1;
    }
    if (!share_port(fd) || !bind_to(fd, port->number) || listen(fd, SOMAXCONN) != 0) {
        return close_failed(fd);
    }
    return fd;
}

int loopback_port_connect(uint16_t number)
{
    struct sockaddr_in address = loopback_address(number);
    int fd = tcp_socket();
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 &&
        errno != EINPROGRESS) {
        return close_failed(fd);
    }
    return fd;
}

bool loopback_port_is_open(uint16_t number, int timeout_ms)
{
    int error = ETIMEDOUT;
    int fd = loopback_port_connect(number);
    if (fd < 0) {
        return false;
    }
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    if (poll(&polled, 1, timeout_ms) == 1) {
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
    }
    (void)close(fd);
    errno = error;
    return error == 0;
}
