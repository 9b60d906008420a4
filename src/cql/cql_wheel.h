// All timers of a session: of every request in flight, of connections and nodes. A wheel of ticks
// (Varghese and Lauck 1987), so that setting and clearing one costs the same however many there are.
// A timer fires at its time or up to a tick after it, never before. Not thread-safe.
#ifndef TILL_CQL_WHEEL_H
#define TILL_CQL_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define CQL_TICK_NS       INT64_C(8000000)
#define CQL_WHEEL_BUCKETS 1024u
#define CQL_TIMER_NEVER   INT64_MAX

// In the memory of what it belongs to, zeroed before use. While set, it may not move.
struct cql_timer {
    void (*fire)(void *context); // may set and clear timers, this one included
    void *context;
    struct cql_timer *next;
    struct cql_timer **link; // where the pointer to this one is; NULL: not set
    int64_t due_tick;
};

struct cql_wheel {
    struct cql_timer *buckets[CQL_WHEEL_BUCKETS];
    uint64_t filled[CQL_WHEEL_BUCKETS / 64]; // which buckets may hold a timer
    int64_t tick;                            // all before it were run
};

void cql_wheel_init(struct cql_wheel *wheel, int64_t now_ns);
// Sets it (again) to fire once. A time that has passed fires at the next run.
void cql_wheel_set(struct cql_wheel *wheel, struct cql_timer *timer, int64_t due_ns);
void cql_wheel_clear(struct cql_timer *timer); // accepts one that is not set
bool cql_timer_is_set(const struct cql_timer *timer);
// No timer fires before this time; CQL_TIMER_NEVER when none is set.
int64_t cql_wheel_next_ns(struct cql_wheel *wheel);
// Fires what is due.
void cql_wheel_run(struct cql_wheel *wheel, int64_t now_ns);

#endif
