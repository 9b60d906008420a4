#include "cql_backoff.h"

#include <assert.h>

static int64_t longest_us(const struct cql_backoff *backoff)
{
    int64_t wait_us = backoff->min_us;
    for (uint32_t i = 0; i < backoff->failures && wait_us < backoff->max_us; i++) {
        wait_us = wait_us > backoff->max_us / 2 ? backoff->max_us : wait_us * 2;
    }
    return wait_us;
}

int64_t cql_backoff_next_us(struct cql_backoff *backoff, struct rand *rand)
{
    assert(backoff->min_us > 0 && backoff->max_us >= backoff->min_us);
    int64_t wait_us = longest_us(backoff);
    if (wait_us < backoff->max_us) {
        backoff->failures++;
    }
    return rand_between(rand, wait_us - wait_us / 2, wait_us);
}

void cql_backoff_reset(struct cql_backoff *backoff)
{
    backoff->failures = 0;
}
