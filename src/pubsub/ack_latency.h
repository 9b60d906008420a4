// How long messages are held before they are acked, and from it how long leases should be: long enough
// that 99 of 100 messages need no extension, short enough that those of a consumer that died come again
// soon.
#ifndef TILL_ACK_LATENCY_H
#define TILL_ACK_LATENCY_H

#include <stdint.h>

#define LEASE_SECONDS_MIN 10u // the service's own bounds
#define LEASE_SECONDS_MAX 600u

struct ack_latency {
    uint32_t seconds[LEASE_SECONDS_MAX + 1]; // how many were held that long, rounded up
    uint32_t total;
};

void ack_latency_add(struct ack_latency *latency, int64_t held_ns, uint32_t count);
// Seconds within which 99% were acked, between `low` and `high`; `low` when nothing is known.
uint32_t ack_latency_lease(const struct ack_latency *latency, uint32_t low, uint32_t high);

// When a lease that begins now and lasts that long must be extended: early enough for some attempts.
int64_t lease_extend_at_ns(int64_t now_ns, int64_t lease_us);

#endif
