// Insertion sort for few rows, heap sort for many: its worst case is as good as its best, and it
// needs no memory. Many rows of which only the last few are out of place, which is what a store's rows
// with those of a batch behind them are, are put in one by one.
#include "fold_sort.h"

#include <string.h>

#define INSERTION_COUNT_MAX 16
#define TAIL_SHARE          16 // at most a row in so many may be out of place for that

static void insertion_sort(const struct event **rows, size_t count, fold_compare *compare)
{
    for (size_t i = 1; i < count; i++) {
        const struct event *row = rows[i];
        size_t hole = i;
        for (; hole > 0 && compare(rows[hole - 1], row) > 0; hole--) {
            rows[hole] = rows[hole - 1];
        }
        rows[hole] = row;
    }
}

static size_t count_sorted(const struct event *const *rows, size_t count, fold_compare *compare)
{
    size_t sorted = 1;
    while (sorted < count && compare(rows[sorted - 1], rows[sorted]) <= 0) {
        sorted++;
    }
    return sorted;
}

// Puts rows[at] where it belongs among those before it, which are sorted.
static void put_in(const struct event **rows, size_t at, fold_compare *compare)
{
    const struct event *row = rows[at];
    size_t low = 0;
    for (size_t high = at; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (compare(rows[middle], row) > 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    memmove(&rows[low + 1], &rows[low], (at - low) * sizeof(rows[0]));
    rows[low] = row;
}

// Lets rows[top] sink until no child in rows[0 ... count) is above it.
static void sift_down(const struct event **rows, size_t top, size_t count, fold_compare *compare)
{
    const struct event *row = rows[top];
    for (size_t child = 2 * top + 1; child < count; child = 2 * top + 1) {
        if (child + 1 < count && compare(rows[child], rows[child + 1]) < 0) {
            child++;
        }
        if (compare(row, rows[child]) >= 0) {
            break;
        }
        rows[top] = rows[child];
        top = child;
    }
    rows[top] = row;
}

static void heap_sort(const struct event **rows, size_t count, fold_compare *compare)
{
    for (size_t top = count / 2; top > 0; top--) {
        sift_down(rows, top - 1, count, compare);
    }
    for (size_t end = count - 1; end > 0; end--) {
        const struct event *greatest = rows[0];
        rows[0] = rows[end];
        rows[end] = greatest;
        sift_down(rows, 0, end, compare);
    }
}

void fold_sort(const struct event **rows, size_t count, fold_compare *compare)
{
    if (count <= INSERTION_COUNT_MAX) {
        insertion_sort(rows, count, compare);
        return;
    }
    size_t sorted = count_sorted(rows, count, compare);
    if (count - sorted > count / TAIL_SHARE) {
        heap_sort(rows, count, compare);
        return;
    }
    for (size_t at = sorted; at < count; at++) {
        put_in(rows, at, compare);
    }
}
