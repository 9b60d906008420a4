// Time as a value that is passed in. Business code never asks the system: it holds a struct clock,
// which is the real one in a running process and a virtual one in tests and simulation.
#ifndef TILL_CLOCK_H
#define TILL_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define US_PER_SECOND INT64_C(1000000)
#define NS_PER_SECOND INT64_C(1000000000)

struct clock {
    int64_t (*wall_us)(void *context); // microseconds since 1970-01-01 UTC; may jump
    int64_t (*mono_ns)(void *context); // nanoseconds since some start; never goes back
    void *context;
    // Lets that much time pass for the caller; NULL: real time.
    void (*pause_us)(void *context, int64_t us);
};

int64_t clock_wall_us(const struct clock *clock);
int64_t clock_mono_ns(const struct clock *clock);
void clock_pause_us(const struct clock *clock, int64_t us); // may end early

// The system's clocks. Safe from any thread.
struct clock clock_real(void);

// A clock that stands still until it is told otherwise. The struct must outlive the clock.
struct virtual_time {
    int64_t wall_us;
    int64_t mono_ns;
};
struct clock clock_virtual(struct virtual_time *time);
void virtual_time_advance(struct virtual_time *time, int64_t us); // both clocks; us >= 0

// "2024-01-21T10:01:30.123456Z" into `out` (at least 28 bytes, zero-terminated).
#define CLOCK_RFC3339_SIZE 32
void clock_format_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_SIZE]);

#endif
