// How long to wait before the next attempt: exponential, jittered, bounded by a total time.
#ifndef TILL_BACKOFF_H
#define TILL_BACKOFF_H

#include "errors.h"
#include "rand.h"

struct backoff_rules {
    int64_t first_us;
    int64_t last_us;  // no wait is longer
    int64_t total_us; // from the first attempt to giving up
};

struct backoff {
    int64_t started_ns; // the first attempt
    uint32_t failures;
};

void backoff_start(struct backoff *backoff, int64_t now_ns);
// The wait before the next attempt: between half of first_us * 2^failures and all of it. false when
// the total time would be over by then: give up.
MUST_USE bool backoff_next(struct backoff *backoff, const struct backoff_rules *rules,
                           int64_t now_ns, struct rand *rand, int64_t *out_wait_us);

#endif
