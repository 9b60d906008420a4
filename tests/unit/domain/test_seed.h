// The seed of a random test: TILL_TEST_SEED, or a new one; printed either way, so that a failure
// can be run again.
#ifndef TILL_TEST_SEED_H
#define TILL_TEST_SEED_H

#include "rand.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static inline struct rand rand_of_run(void)
{
    const char *wanted = getenv("TILL_TEST_SEED");
    uint64_t seed = wanted != NULL ? strtoull(wanted, NULL, 10) : rand_seed_from_system();
    printf("TILL_TEST_SEED=%" PRIu64 "\n", seed);
    struct rand rand;
    rand_seed(&rand, seed);
    return rand;
}

#endif
