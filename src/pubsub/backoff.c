// Half of each wait is fixed and half is drawn: many clients that failed together come back spread
// out, and none comes back at once.
#include "backoff.h"

#include <assert.h>

void backoff_start(struct backoff *backoff, int64_t now_ns)
{
    *backoff = (struct backoff){.started_ns = now_ns};
}

static int64_t longest_wait(const struct backoff *backoff, const struct backoff_rules *rules)
{
    int64_t wait_us = rules->first_us;
    for (uint32_t i = 0; i < backoff->failures && wait_us < rules->last_us; i++) {
        wait_us *= 2;
    }
    return wait_us < rules->last_us ? wait_us : rules->last_us;
}

bool backoff_next(struct backoff *backoff, const struct backoff_rules *rules, int64_t now_ns,
                  struct rand *rand, int64_t *out_wait_us)
{
    assert(rules->first_us > 0 && rules->last_us >= rules->first_us && rules->total_us >= 0);
    int64_t longest_us = longest_wait(backoff, rules);
    int64_t wait_us = rand_between(rand, longest_us / 2, longest_us);
    int64_t spent_us = (now_ns - backoff->started_ns) / 1000;
    if (spent_us + wait_us > rules->total_us) {
        return false;
    }
    backoff->failures++;
    *out_wait_us = wait_us;
    return true;
}
