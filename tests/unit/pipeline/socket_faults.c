// The wrapped calls. Counters are shared by all threads.
#include "socket_faults.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

ssize_t __real_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __real_recv(int fd, void *bytes, size_t size, int flags);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __real_poll(struct pollfd *polls, nfds_t count, int timeout_ms);

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __wrap___recv_chk(int fd, void *bytes, size_t size, size_t room, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_poll(struct pollfd *polls, nfds_t count, int timeout_ms);
int __wrap___poll_chk(struct pollfd *polls, nfds_t count, int timeout_ms, size_t room);

static atomic_size_t chunk_max;
static atomic_uint interrupt_every;
static atomic_uint not_ready_every;
static atomic_uint failing_accepts;
static atomic_int accept_errno;
static atomic_uint calls;
static atomic_uint_fast64_t changed;
static atomic_uint_fast64_t polls_made;

void socket_faults_set(struct socket_faults faults)
{
    atomic_store(&chunk_max, faults.chunk_max);
    atomic_store(&interrupt_every, faults.interrupt_every);
    atomic_store(&not_ready_every, faults.not_ready_every);
}

void socket_faults_fail_accepts(unsigned count, int number)
{
    atomic_store(&accept_errno, number);
    atomic_store(&failing_accepts, count);
}

uint64_t socket_faults_count(void)
{
    return atomic_load(&changed);
}

uint64_t socket_faults_polls(void)
{
    return atomic_load(&polls_made);
}

static bool is_turn(unsigned call, unsigned every)
{
    return every > 0 && call % every == 0;
}

// Whether this call fails, with errno set. Otherwise cuts the size.
static bool fails(size_t *in_out_size)
{
    unsigned call = atomic_fetch_add(&calls, 1) + 1;
    size_t size_max = atomic_load(&chunk_max);
    if (is_turn(call, atomic_load(&interrupt_every))) {
        atomic_fetch_add(&changed, 1);
        errno = EINTR;
        return true;
    }
    if (is_turn(call, atomic_load(&not_ready_every))) {
        atomic_fetch_add(&changed, 1);
        errno = EAGAIN;
        return true;
    }
    if (size_max > 0 && *in_out_size > size_max) {
        atomic_fetch_add(&changed, 1);
        *in_out_size = size_max;
    }
    return false;
}

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags)
{
    return fails(&size) ? -1 : __real_send(fd, bytes, size, flags);
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
    return fails(&size) ? -1 : __real_recv(fd, bytes, size, flags);
}

// What a fortified build calls.
ssize_t __wrap___recv_chk(int fd, void *bytes, size_t size, size_t room, int flags)
{
    (void)room;
    return __wrap_recv(fd, bytes, size, flags);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    unsigned left = atomic_load(&failing_accepts);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&failing_accepts, &left, left - 1)) {
            atomic_fetch_add(&changed, 1);
            errno = atomic_load(&accept_errno);
            return -1;
        }
    }
    return __real_accept4(fd, address, size, flags);
}

int __wrap_poll(struct pollfd *polls, nfds_t count, int timeout_ms)
{
    atomic_fetch_add(&polls_made, 1);
    return __real_poll(polls, count, timeout_ms);
}

int __wrap___poll_chk(struct pollfd *polls, nfds_t count, int timeout_ms, size_t room)
{
    (void)room;
    return __wrap_poll(polls, count, timeout_ms);
}
