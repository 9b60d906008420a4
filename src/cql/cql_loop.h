// What a session waits with: epoll, its clock, and its timers. Not thread-safe; nothing runs but inside
// cql_loop_wait and cql_wheel_run.
#ifndef TILL_CQL_LOOP_H
#define TILL_CQL_LOOP_H

#include "clock.h"
#include "cql_wheel.h"
#include "errors.h"

#include <stdbool.h>
#include <stdint.h>

// Told when a descriptor is ready. Must stay until the next cql_loop_wait after it was closed.
struct cql_watch {
    void (*ready)(void *context, bool readable, bool writable);
    void *context;
};

struct cql_loop {
    int epoll_fd;
    bool milliseconds; // the kernel knows no finer wait
    struct clock clock;
    int64_t now_ns; // as of the last look at the clock
    struct cql_wheel wheel;
};

// ERR_UNAVAILABLE: no descriptors left.
MUST_USE enum err cql_loop_init(struct cql_loop *loop, struct clock clock, struct why *why);
void cql_loop_deinit(struct cql_loop *loop);

int64_t cql_loop_look(struct cql_loop *loop); // at the clock; gives now_ns
void cql_loop_timer(struct cql_loop *loop, struct cql_timer *timer, int64_t after_us);

// Always for reading; closing the descriptor ends it. ERR_UNAVAILABLE.
MUST_USE enum err cql_loop_add(struct cql_loop *loop, int fd, struct cql_watch *watch,
                               bool for_writing, struct why *why);
void cql_loop_change(struct cql_loop *loop, int fd, struct cql_watch *watch, bool for_writing);

// Waits until a descriptor is ready, at most timeout_ns, and tells all that are.
void cql_loop_wait(struct cql_loop *loop, int64_t timeout_ns);

#endif
