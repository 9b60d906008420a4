// Sorting of row pointers inside fold: in place, without allocation, quick on the few rows, or the
// sorted ones with a few behind them, that fold usually meets. Internal to src/domain.
#ifndef TILL_FOLD_SORT_H
#define TILL_FOLD_SORT_H

#include "event.h"

#include <stddef.h>

typedef int fold_compare(const struct event *a, const struct event *b);

// Not stable; at most a constant times n log n comparisons.
void fold_sort(const struct event **rows, size_t count, fold_compare *compare);

#endif
