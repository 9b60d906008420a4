// The timestamp that a projection is written with, where the store keeps of each cell what has the
// greatest one. Pure; every process must compute the same.
#ifndef TILL_PROJECTION_H
#define TILL_PROJECTION_H

#include "hash.h"

#include <stdint.h>

// What is written with a constant timestamp has this one, and all timestamps of projections are above it.
// Beyond any wall clock in microseconds until the year 2041.
#define PROJECTION_TIMESTAMP_BASE (INT64_C(1) << 51)
#define PROJECTION_FOLD_EPOCH_MAX ((UINT32_C(1) << 27) - 1)
#define PROJECTION_ROWS_MAX       ((UINT32_C(1) << 16) - 1)

// BASE + fold_epoch * 2^32 + n_rows * 2^16 + (set_hash mod 2^16). Rows of a partition only grow, so who saw
// less of it writes a smaller timestamp and loses, whatever the clocks say; a later fold beats an earlier
// one. The hash's last two bytes tell two sets of one size apart, so that no cell of the one is ever mixed
// with cells of the other. `n_rows` counts rows of orders and payments (docs/matching.md says why not
// notes); above PROJECTION_ROWS_MAX it stays there.
int64_t projection_timestamp(uint32_t fold_epoch, uint32_t n_rows, const struct hash *set_hash);

#endif
