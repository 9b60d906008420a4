// When to connect again: exponential, and half of each wait is drawn, so that many clients that lost
// a node together come back spread out. It never gives up. Pure.
#ifndef TILL_CQL_BACKOFF_H
#define TILL_CQL_BACKOFF_H

#include "rand.h"

#include <stdint.h>

struct cql_backoff {
    int64_t min_us;
    int64_t max_us; // >= min_us > 0
    uint32_t failures;
};

// The wait before the next attempt, between half of min_us * 2^failures (at most max_us) and all of
// it. Counts a failure.
int64_t cql_backoff_next_us(struct cql_backoff *backoff, struct rand *rand);
void cql_backoff_reset(struct cql_backoff *backoff); // an attempt succeeded

#endif
