// Random numbers as a value that is passed in: xoshiro256** (Blackman, Vigna) seeded by splitmix64.
// The same seed gives the same numbers on every machine. Not for secrets. Not thread-safe.
#ifndef TILL_RAND_H
#define TILL_RAND_H

#include <stdbool.h>
#include <stdint.h>

struct rand {
    uint64_t state[4];
};

void rand_seed(struct rand *rand, uint64_t seed);
uint64_t rand_u64(struct rand *rand);
uint64_t rand_below(struct rand *rand, uint64_t bound);              // 0 ... bound-1; bound > 0
int64_t rand_between(struct rand *rand, int64_t low, int64_t high);  // both ends included
bool rand_chance_ppm(struct rand *rand, uint32_t parts_per_million); // true that often
uint64_t rand_seed_from_system(void); // for a seed that is then printed

#endif
