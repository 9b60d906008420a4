// The seed of a test that draws at random: a new one each run, printed so that a failure can be
// run again with TILL_TEST_SEED set to it.
#ifndef TILL_TEST_SEED_H
#define TILL_TEST_SEED_H

#include "rand.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static inline uint64_t test_seed(void)
{
    uint64_t seed = 0;
    if (!text_parse_u64(text_of(getenv("TILL_TEST_SEED")), &seed)) {
        seed = rand_seed_from_system();
    }
    printf("TILL_TEST_SEED=%" PRIu64 "\n", seed);
    (void)fflush(stdout);
    return seed;
}

#endif
