// xoshiro256** 1.0 seeded by splitmix64, as their authors describe them, and draws from a range
// without bias (Lemire 2019: multiply, and draw again in the short rest of the range).
#include "rand.h"

#include <assert.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static uint64_t splitmix64_next(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void rand_seed(struct rand *rand, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        rand->state[i] = splitmix64_next(&seed);
    }
}

static uint64_t rotate_left(uint64_t value, int bits)
{
    return (value << bits) | (value >> (64 - bits));
}

uint64_t rand_u64(struct rand *rand)
{
    uint64_t *s = rand->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t rand_below(struct rand *rand, uint64_t bound)
{
    assert(bound > 0);
    unsigned __int128 product = (unsigned __int128)rand_u64(rand) * bound;
    if ((uint64_t)product < bound) {
        uint64_t rest = (0 - bound) % bound; // 2^64 mod bound
        while ((uint64_t)product < rest) {
            product = (unsigned __int128)rand_u64(rand) * bound;
        }
    }
    return (uint64_t)(product >> 64);
}

int64_t rand_between(struct rand *rand, int64_t low, int64_t high)
{
    assert(low <= high);
    uint64_t count = (uint64_t)high - (uint64_t)low + 1; // 0 for all 2^64 of them
    uint64_t offset = count == 0 ? rand_u64(rand) : rand_below(rand, count);
    return (int64_t)((uint64_t)low + offset);
}

bool rand_chance_ppm(struct rand *rand, uint32_t parts_per_million)
{
    return rand_below(rand, 1000000) < parts_per_million;
}

uint64_t rand_seed_from_system(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed)) {
        return seed;
    }
    // A kernel too old for getrandom: a seed that is merely different each time will do.
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec ^ ((uint64_t)now.tv_nsec << 32) ^ ((uint64_t)getpid() << 16);
}
