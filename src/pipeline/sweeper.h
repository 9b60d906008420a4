// The sweeper: declares payments unmatched whose grace has passed (docs/matching.md, "When a payment
// is declared unmatched"). Any number may run; none leads. It shares the lane's thread in a process
// that has both.
#ifndef TILL_SWEEPER_H
#define TILL_SWEEPER_H

#include "arena.h"
#include "log.h"
#include "match_step.h"

#include <stdatomic.h>

struct sweeper {
    struct matcher matcher;
    struct log *log; // may be NULL
    struct arena arena;
    atomic_uint_fast64_t unmatched; // dead letters published
};

#define SWEEPER_PAGE_MAX    512u // entries worked on at once
#define SWEEPER_BUCKETS_MAX 64u  // buckets looked at in one step

MUST_USE enum err sweeper_init(struct sweeper *sweeper, const struct matcher *matcher,
                               struct log *log);
void sweeper_deinit(struct sweeper *sweeper);

// Works through the buckets that are due at `now_us`, SWEEPER_BUCKETS_MAX at most; *out_done false
// when there were more. With `final`, every bucket is due and no lane is waited for: no further order
// can come. RETRY errors leave a bucket to be worked through again, which changes nothing.
MUST_USE enum err sweeper_step(struct sweeper *sweeper, int64_t now_us, bool final, bool *out_done,
                               struct why *why);

#endif
