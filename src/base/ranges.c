// A set of numbers as sorted ranges with a gap between any two of them. Numbers mostly come in
// rising order, so the end of the list is looked at first; all else is found by binary search.
#include "ranges.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RANGES_FIRST_CAP 8u

void ranges_init(struct ranges *ranges, size_t cap_max)
{
    assert(cap_max > 0);
    *ranges = (struct ranges){.cap_max = cap_max};
}

void ranges_deinit(struct ranges *ranges)
{
    if (ranges == NULL) {
        return;
    }
    free(ranges->items);
    *ranges = (struct ranges){0};
}

// Index of the first range whose last number is `value` or greater; count when there is none.
static size_t first_ending_from(const struct ranges *ranges, uint64_t value)
{
    size_t low = 0;
    size_t high = ranges->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges->items[middle].last < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static enum err make_room(struct ranges *ranges)
{
    if (ranges->count < ranges->cap) {
        return ERR_OK;
    }
    if (ranges->count >= ranges->cap_max) {
        return ERR_FULL;
    }
    size_t cap = ranges->cap == 0 ? RANGES_FIRST_CAP : ranges->cap * 2;
    if (cap > ranges->cap_max) {
        cap = ranges->cap_max;
    }
    struct range *items = reallocarray(ranges->items, cap, sizeof(*items));
    if (items == NULL) {
        return ERR_NO_MEMORY;
    }
    ranges->items = items;
    ranges->cap = cap;
    return ERR_OK;
}

static enum err insert_at(struct ranges *ranges, size_t index, struct range range)
{
    enum err err = make_room(ranges);
    if (err != ERR_OK) {
        return err;
    }
    struct range *place = &ranges->items[index];
    memmove(place + 1, place, (ranges->count - index) * sizeof(*place));
    *place = range;
    ranges->count++;
    return ERR_OK;
}

// Makes one range of the new one and the `count` old ones from `index` on that it touches.
static void join(struct ranges *ranges, size_t index, size_t count, struct range range)
{
    struct range *place = &ranges->items[index];
    uint64_t last = place[count - 1].last;
    place->first = range.first < place->first ? range.first : place->first;
    place->last = range.last > last ? range.last : last;
    memmove(place + 1, place + count, (ranges->count - index - count) * sizeof(*place));
    ranges->count -= count - 1;
}

enum err ranges_add(struct ranges *ranges, uint64_t first, uint64_t last)
{
    assert(first <= last);
    struct range range = {first, last};
    // Touching counts as meeting; the two ends of the number line have no neighbour beyond.
    uint64_t first_touching = first == 0 ? 0 : first - 1;
    uint64_t last_touching = last == UINT64_MAX ? UINT64_MAX : last + 1;

    size_t start = ranges->count;
    if (start > 0 && ranges->items[start - 1].first <= first_touching) {
        start -= ranges->items[start - 1].last >= first_touching ? 1 : 0;
    } else {
        start = first_ending_from(ranges, first_touching);
    }
    size_t end = start;
    while (end < ranges->count && ranges->items[end].first <= last_touching) {
        end++;
    }
    if (start == end) {
        return insert_at(ranges, start, range);
    }
    join(ranges, start, end - start, range);
    return ERR_OK;
}

bool ranges_contain(const struct ranges *ranges, uint64_t value)
{
    size_t index = first_ending_from(ranges, value);
    return index < ranges->count && ranges->items[index].first <= value;
}

uint64_t ranges_total(const struct ranges *ranges)
{
    uint64_t total = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        uint64_t size_less_one = ranges->items[i].last - ranges->items[i].first;
        if (size_less_one == UINT64_MAX) {
            return UINT64_MAX;
        }
        total += size_less_one + 1;
    }
    return total;
}

uint64_t ranges_next_gap(const struct ranges *ranges, uint64_t from)
{
    size_t index = first_ending_from(ranges, from);
    if (index == ranges->count || ranges->items[index].first > from) {
        return from;
    }
    uint64_t last = ranges->items[index].last;
    return last == UINT64_MAX ? UINT64_MAX : last + 1;
}
