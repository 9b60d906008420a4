// A sorted list. New timers are usually the latest, so their place is looked for from the end.
#include "timers.h"

#include <assert.h>
#include <stddef.h>

static void link_after(struct timers *timers, struct timer *before, struct timer *timer)
{
    timer->previous = before;
    timer->next = before != NULL ? before->next : timers->first;
    if (timer->next != NULL) {
        timer->next->previous = timer;
    } else {
        timers->last = timer;
    }
    if (before != NULL) {
        before->next = timer;
    } else {
        timers->first = timer;
    }
}

void timers_set(struct timers *timers, struct timer *timer, int64_t due_ns)
{
    assert(timer->fire != NULL);
    timers_clear(timers, timer);
    struct timer *before = timers->last;
    while (before != NULL && before->due_ns > due_ns) {
        before = before->previous;
    }
    timer->due_ns = due_ns;
    timer->set = true;
    link_after(timers, before, timer);
}

void timers_clear(struct timers *timers, struct timer *timer)
{
    if (!timer->set) {
        return;
    }
    if (timer->previous != NULL) {
        timer->previous->next = timer->next;
    } else {
        timers->first = timer->next;
    }
    if (timer->next != NULL) {
        timer->next->previous = timer->previous;
    } else {
        timers->last = timer->previous;
    }
    timer->next = timer->previous = NULL;
    timer->set = false;
}

int64_t timers_next_ns(const struct timers *timers)
{
    return timers->first != NULL ? timers->first->due_ns : TIMER_NEVER;
}

void timers_run(struct timers *timers, int64_t now_ns)
{
    while (timers->first != NULL && timers->first->due_ns <= now_ns) {
        struct timer *timer = timers->first;
        timers_clear(timers, timer);
        timer->fire(timer->context);
    }
}
