// Insertion sort for few rows, heap sort for many: its worst case is as good as its best, and it
// needs no memory.
#include "fold_sort.h"

#define INSERTION_COUNT_MAX 16

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

// Stores give their rows in order, so a long set is usually sorted already.
static bool is_sorted(const struct event *const *rows, size_t count, fold_compare *compare)
{
    for (size_t i = 1; i < count; i++) {
        if (compare(rows[i - 1], rows[i]) > 0) {
            return false;
        }
    }
    return true;
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
    } else if (!is_sorted(rows, count, compare)) {
        heap_sort(rows, count, compare);
    }
}
