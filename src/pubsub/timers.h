// Timers of a client: a list sorted by due time. A client has some dozens at most. Not thread-safe:
// they live under the client's lock.
#ifndef TILL_TIMERS_H
#define TILL_TIMERS_H

#include "errors.h"

#include <stdint.h>

#define TIMER_NEVER INT64_MAX

// In the memory of what it belongs to, zeroed before use. While set, it may not move.
struct timer {
    int64_t due_ns;
    void (*fire)(void *context); // may set timers, this one included
    void *context;
    struct timer *next;
    struct timer *previous;
    bool set;
};

struct timers {
    struct timer *first;
    struct timer *last;
};

// Sets it (again) to fire once, at due_ns or later.
void timers_set(struct timers *timers, struct timer *timer, int64_t due_ns);
void timers_clear(struct timers *timers, struct timer *timer); // accepts one that is not set
int64_t timers_next_ns(const struct timers *timers);           // TIMER_NEVER when none is set
// Fires what is due, in order.
void timers_run(struct timers *timers, int64_t now_ns);

#endif
