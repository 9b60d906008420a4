// The handler may only use what signal-safety(7) allows: a lock-free flag, write(2), _exit(2).
#include "signals.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static_assert(ATOMIC_INT_LOCK_FREE == 2, "the handler uses the counter");

static atomic_int signals_seen;
static atomic_int drain_requested;
static int drain_fd = -1; // written only while no handler is installed

static struct sigaction old_interrupt;
static struct sigaction old_terminate;
static struct sigaction old_pipe;

bool signals_drain_requested(void)
{
    return atomic_load_explicit(&drain_requested, memory_order_acquire) != 0;
}

int signals_drain_fd(void)
{
    return drain_fd;
}

void signals_request_drain(void)
{
    int saved = errno;
    const uint64_t one = 1;
    atomic_store_explicit(&drain_requested, 1, memory_order_release);
    if (drain_fd >= 0) {
        ssize_t written = write(drain_fd, &one, sizeof one);
        (void)written; // a full counter is readable already
    }
    errno = saved;
}

static void handle(int number)
{
    if (atomic_fetch_add(&signals_seen, 1) > 0) {
        _exit(128 + number);
    }
    signals_request_drain();
}

enum err signals_install(struct why *why)
{
    assert(drain_fd < 0);
    drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (drain_fd < 0) {
        return why_set(why, ERR_IO, "eventfd: %s", strerror(errno));
    }
    atomic_store(&signals_seen, 0);
    atomic_store(&drain_requested, 0);
    struct sigaction drain = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    bool installed = sigaction(SIGINT, &drain, &old_interrupt) == 0 &&
                     sigaction(SIGTERM, &drain, &old_terminate) == 0 &&
                     sigaction(SIGPIPE, &ignore, &old_pipe) == 0;
    assert(installed); // fails only for signals that don't exist
    return ERR_OK;
}

void signals_uninstall(void)
{
    if (drain_fd < 0) {
        return;
    }
    (void)sigaction(SIGINT, &old_interrupt, NULL);
    (void)sigaction(SIGTERM, &old_terminate, NULL);
    (void)sigaction(SIGPIPE, &old_pipe, NULL);
    (void)close(drain_fd);
    drain_fd = -1;
}
