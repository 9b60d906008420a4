// How far a lane is with the orders (docs/matching.md, "When a payment is declared unmatched"): those that
// were published before are applied, as far as it knows. Only noise in the dead letters depends on it. One
// thread, the lane's.
#ifndef TILL_WATERMARK_H
#define TILL_WATERMARK_H

#include "batch.h"

#include <stdint.h>

struct watermark {
    int64_t reached_us; // 0: nothing is known yet
    // On a bus that gives messages in no order: since when is watched, and the oldest order seen since.
    int64_t since_us;
    int64_t oldest_us;
};

// Call with every batch that was pulled, before it is applied: what cannot be applied is handed back and
// comes again, maybe after newer ones.
void watermark_watch(struct watermark *watermark, const struct batch *batch);

// Call when the batch is applied. `quiet_us` is rules.quiet_us: with 0 a pull tells how far the orders are,
// else only the oldest of a while does.
void watermark_raise(struct watermark *watermark, const struct batch *batch, int64_t quiet_us);

#endif
