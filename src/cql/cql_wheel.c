// Bucket number = tick modulo the number of buckets. A timer further away than one turn stays in its
// bucket and is passed over until its own turn comes.
#include "cql_wheel.h"

#include <assert.h>
#include <stddef.h>

void cql_wheel_init(struct cql_wheel *wheel, int64_t now_ns)
{
    *wheel = (struct cql_wheel){.tick = now_ns / CQL_TICK_NS};
}

bool cql_timer_is_set(const struct cql_timer *timer)
{
    return timer->link != NULL;
}

static void put(struct cql_wheel *wheel, struct cql_timer *timer)
{
    size_t bucket = (uint64_t)timer->due_tick % CQL_WHEEL_BUCKETS;
    struct cql_timer **head = &wheel->buckets[bucket];
    timer->next = *head;
    timer->link = head;
    if (timer->next != NULL) {
        timer->next->link = &timer->next;
    }
    *head = timer;
    wheel->filled[bucket / 64] |= UINT64_C(1) << (bucket % 64);
}

void cql_wheel_set(struct cql_wheel *wheel, struct cql_timer *timer, int64_t due_ns)
{
    assert(timer->fire != NULL);
    cql_wheel_clear(timer);
    int64_t due_tick = due_ns / CQL_TICK_NS + 1;
    timer->due_tick = due_tick > wheel->tick ? due_tick : wheel->tick;
    put(wheel, timer);
}

void cql_wheel_clear(struct cql_timer *timer)
{
    if (timer->link == NULL) {
        return;
    }
    *timer->link = timer->next;
    if (timer->next != NULL) {
        timer->next->link = timer->link;
    }
    timer->next = NULL;
    timer->link = NULL;
}

// How many ticks from wheel->tick the next filled bucket is; CQL_WHEEL_BUCKETS when there is none.
static uint32_t next_filled(struct cql_wheel *wheel)
{
    size_t first = (uint64_t)wheel->tick % CQL_WHEEL_BUCKETS;
    uint32_t distance = 0;
    while (distance < CQL_WHEEL_BUCKETS) {
        size_t bucket = (first + distance) % CQL_WHEEL_BUCKETS;
        uint64_t rest = wheel->filled[bucket / 64] >> (bucket % 64);
        if (rest == 0) {
            distance += 64 - (uint32_t)(bucket % 64);
            continue;
        }
        distance += (uint32_t)__builtin_ctzll(rest);
        bucket = (first + distance) % CQL_WHEEL_BUCKETS;
        if (distance < CQL_WHEEL_BUCKETS && wheel->buckets[bucket] != NULL) {
            return distance;
        }
        wheel->filled[bucket / 64] &= ~(UINT64_C(1) << (bucket % 64));
        distance++;
    }
    return CQL_WHEEL_BUCKETS;
}

int64_t cql_wheel_next_ns(struct cql_wheel *wheel)
{
    uint32_t distance = next_filled(wheel);
    return distance == CQL_WHEEL_BUCKETS ? CQL_TIMER_NEVER
                                         : (wheel->tick + (int64_t)distance) * CQL_TICK_NS;
}

// Fires those of the bucket that are due. They are moved aside first: one that fires may set others
// into this same bucket.
static void run_bucket(struct cql_wheel *wheel, size_t bucket, int64_t tick)
{
    struct cql_timer *due = NULL;
    struct cql_timer *timer = wheel->buckets[bucket];
    while (timer != NULL) {
        struct cql_timer *next = timer->next;
        if (timer->due_tick <= tick) {
            cql_wheel_clear(timer);
            timer->next = due;
            timer->link = &due;
            if (due != NULL) {
                due->link = &timer->next;
            }
            due = timer;
        }
        timer = next;
    }
    while (due != NULL) {
        timer = due;
        cql_wheel_clear(timer);
        timer->fire(timer->context);
    }
}

void cql_wheel_run(struct cql_wheel *wheel, int64_t now_ns)
{
    int64_t last = now_ns / CQL_TICK_NS;
    uint32_t distance = next_filled(wheel);
    while (distance < CQL_WHEEL_BUCKETS && wheel->tick + (int64_t)distance <= last) {
        int64_t tick = wheel->tick + (int64_t)distance;
        wheel->tick = tick + 1;
        run_bucket(wheel, (uint64_t)tick % CQL_WHEEL_BUCKETS, last);
        distance = next_filled(wheel);
    }
    if (wheel->tick <= last) {
        wheel->tick = last + 1;
    }
}
