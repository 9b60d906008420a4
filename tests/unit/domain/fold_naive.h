// The fold once more, straight from docs/settlement.md and as plainly as it can be said: every
// question is asked of all rows again. It shares no code with src/domain/fold.c.
#ifndef TILL_FOLD_NAIVE_H
#define TILL_FOLD_NAIVE_H

#include "fold.h"

#include <stdbool.h>
#include <stddef.h>

#define NAIVE_ROWS_MAX 4096

struct naive_fact {
    bool too_large;   // then nothing else counts
    struct fact fact; // without set_hash; losers in no order
    const struct event *losers[NAIVE_ROWS_MAX];
    struct fact_payment payments[NAIVE_ROWS_MAX];
};

// tolerance_minor as in struct fold_rules.
void fold_naive(const struct event *const *events, size_t count, const int64_t *tolerance_minor,
                struct naive_fact *out_naive);

#endif
