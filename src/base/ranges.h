// A set of message numbers kept as sorted, disjoint, non-adjacent closed ranges. The usual set is
// one range; its count is bounded, so that memory is. Not thread-safe.
#ifndef TILL_RANGES_H
#define TILL_RANGES_H

#include "errors.h"

#include <stdint.h>

struct range {
    uint64_t first;
    uint64_t last; // included; first <= last
};

struct ranges {
    struct range *items; // sorted; owned
    size_t count;
    size_t cap;
    size_t cap_max; // ranges_add answers ERR_FULL beyond
};

void ranges_init(struct ranges *ranges, size_t cap_max);
void ranges_deinit(struct ranges *ranges); // accepts a zeroed one

// Adds first ... last, joining what touches. ERR_FULL when a further range would be one too many
// (nothing is added), ERR_NO_MEMORY.
MUST_USE enum err ranges_add(struct ranges *ranges, uint64_t first, uint64_t last);
bool ranges_contain(const struct ranges *ranges, uint64_t value);
// How many numbers are in the set; UINT64_MAX also for all 2^64 of them.
uint64_t ranges_total(const struct ranges *ranges);
// The smallest number >= from that is not in the set; UINT64_MAX also when there is none.
uint64_t ranges_next_gap(const struct ranges *ranges, uint64_t from);

#endif
