#include "cql_loop.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 64

enum err cql_loop_init(struct cql_loop *loop, struct clock clock, struct why *why)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) {
        return why_set(why, ERR_UNAVAILABLE, "epoll: the system has no descriptors left");
    }
    *loop = (struct cql_loop){.epoll_fd = fd, .clock = clock};
    cql_wheel_init(&loop->wheel, cql_loop_look(loop));
    return ERR_OK;
}

void cql_loop_deinit(struct cql_loop *loop)
{
    if (loop->epoll_fd > 0) {
        (void)close(loop->epoll_fd);
    }
    loop->epoll_fd = 0;
}

int64_t cql_loop_look(struct cql_loop *loop)
{
    loop->now_ns = clock_mono_ns(&loop->clock);
    return loop->now_ns;
}

void cql_loop_timer(struct cql_loop *loop, struct cql_timer *timer, int64_t after_us)
{
    int64_t most_us = (CQL_TIMER_NEVER - loop->now_ns) / 1000 / 2;
    int64_t wait_us = after_us < most_us ? after_us : most_us;
    cql_wheel_set(&loop->wheel, timer, loop->now_ns + wait_us * 1000);
}

static struct epoll_event event_of(struct cql_watch *watch, bool for_writing)
{
    return (struct epoll_event){.events = EPOLLIN | (for_writing ? EPOLLOUT : 0u),
                                .data.ptr = watch};
}

enum err cql_loop_add(struct cql_loop *loop, int fd, struct cql_watch *watch, bool for_writing,
                      struct why *why)
{
    struct epoll_event event = event_of(watch, for_writing);
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        return why_set(why, ERR_UNAVAILABLE, "epoll: the system watches no more descriptors");
    }
    return ERR_OK;
}

void cql_loop_change(struct cql_loop *loop, int fd, struct cql_watch *watch, bool for_writing)
{
    struct epoll_event event = event_of(watch, for_writing);
    int result = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    assert(result == 0); // it was added, and changing takes no memory
}

static int wait_in_ms(const struct cql_loop *loop, struct epoll_event *events, int64_t timeout_ns)
{
    int64_t ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0 ? 1 : 0);
    return epoll_wait(loop->epoll_fd, events, EVENTS_MAX, ms > 60000 ? 60000 : (int)ms);
}

static int wait_for(struct cql_loop *loop, struct epoll_event *events, int64_t timeout_ns)
{
    if (timeout_ns > 0 && !loop->milliseconds) {
        struct timespec timeout = {timeout_ns / NS_PER_SECOND, timeout_ns % NS_PER_SECOND};
        int count = epoll_pwait2(loop->epoll_fd, events, EVENTS_MAX, &timeout, NULL);
        if (count >= 0 || errno != ENOSYS) {
            return count;
        }
        loop->milliseconds = true;
    }
    return wait_in_ms(loop, events, timeout_ns);
}

void cql_loop_wait(struct cql_loop *loop, int64_t timeout_ns)
{
    struct epoll_event events[EVENTS_MAX];
    int count = wait_for(loop, events, timeout_ns > 0 ? timeout_ns : 0);
    (void)cql_loop_look(loop);
    for (int i = 0; i < count; i++) {
        struct cql_watch *watch = events[i].data.ptr;
        // An error or a hang-up shows at the next read.
        bool readable = (events[i].events & ~(uint32_t)EPOLLOUT) != 0;
        watch->ready(watch->context, readable, (events[i].events & EPOLLOUT) != 0);
    }
}
