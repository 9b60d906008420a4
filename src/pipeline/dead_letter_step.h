// The dead-letter consumer: records every dead letter, heals what can be healed, and looks again at
// payments whose order may still come, after 1 m, 5 m, 30 m, 2 h and then every 12 h.
#ifndef TILL_DEAD_LETTER_STEP_H
#define TILL_DEAD_LETTER_STEP_H

#include "arena.h"
#include "log.h"
#include "match_step.h"

#include <stdatomic.h>

struct dead_letter_consumer {
    struct matcher matcher;
    struct log *log; // may be NULL
    struct arena arena;
    size_t count_max; // letters a batch; halved when they don't fit into the arena
    atomic_uint_fast64_t recorded;
    atomic_uint_fast64_t healed;
    atomic_uint_fast64_t expired;
};

#define DEAD_LETTER_BATCH_MAX 1024u

MUST_USE enum err dead_letter_consumer_init(struct dead_letter_consumer *consumer,
                                            const struct matcher *matcher, struct log *log);
void dead_letter_consumer_deinit(struct dead_letter_consumer *consumer);

// Pulls and records up to DEAD_LETTER_BATCH_MAX letters of each dead-letter subscription, then acks.
// *out_count says how many there were.
MUST_USE enum err dead_letter_consume(struct dead_letter_consumer *consumer, size_t *out_count,
                                      struct why *why);

// Looks again at what is due at `now_us`.
MUST_USE enum err dead_letter_recheck(struct dead_letter_consumer *consumer, int64_t now_us,
                                      struct why *why);

// When to look after `checks` checks, seen from now.
int64_t dead_letter_next_check_us(uint32_t checks, int64_t now_us);

#endif
