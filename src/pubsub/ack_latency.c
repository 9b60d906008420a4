// A histogram by the second. It forgets by halves, so that it follows a consumer that changes.
#include "ack_latency.h"

#include "clock.h"

#include <assert.h>

#define TOTAL_MAX UINT32_C(1000000)

static void halve(struct ack_latency *latency)
{
    latency->total = 0;
    for (uint32_t i = 0; i <= LEASE_SECONDS_MAX; i++) {
        latency->seconds[i] /= 2;
        latency->total += latency->seconds[i];
    }
}

void ack_latency_add(struct ack_latency *latency, int64_t held_ns, uint32_t count)
{
    int64_t seconds = held_ns <= 0 ? 0 : (held_ns + NS_PER_SECOND - 1) / NS_PER_SECOND;
    uint32_t bucket = seconds < LEASE_SECONDS_MAX ? (uint32_t)seconds : LEASE_SECONDS_MAX;
    latency->seconds[bucket] += count;
    latency->total += count;
    if (latency->total > TOTAL_MAX) {
        halve(latency);
    }
}

uint32_t ack_latency_lease(const struct ack_latency *latency, uint32_t low, uint32_t high)
{
    assert(low <= high && high <= LEASE_SECONDS_MAX);
    uint64_t wanted = (uint64_t)latency->total * 99;
    uint64_t below = 0;
    uint32_t seconds = 0;
    while (seconds < high && (below += latency->seconds[seconds]) * 100 < wanted) {
        seconds++;
    }
    return seconds < low ? low : seconds;
}

int64_t lease_extend_at_ns(int64_t now_ns, int64_t lease_us)
{
    int64_t fifth_us = lease_us / 5;
    int64_t reserve_us = fifth_us > 5 * US_PER_SECOND ? fifth_us : 5 * US_PER_SECOND;
    int64_t half_us = lease_us / 2;
    return now_ns + (lease_us - (reserve_us < half_us ? reserve_us : half_us)) * 1000;
}
