// Open addressing; grows by doubling.
#include "visited.h"

#include <assert.h>
#include <stdlib.h>

#define SLOTS_FIRST (1u << 16)

struct visited_slot {
    uint64_t fingerprint; // 0: free
    uint64_t parent;
};

static struct visited_slot *allocate(size_t count)
{
    struct visited_slot *slots = calloc(count, sizeof(*slots));
    assert(slots != NULL);
    return slots;
}

void visited_init(struct visited *visited)
{
    *visited = (struct visited){allocate(SLOTS_FIRST), SLOTS_FIRST - 1, 0};
}

void visited_deinit(struct visited *visited)
{
    free(visited->slots);
    *visited = (struct visited){0};
}

static struct visited_slot *find(const struct visited *visited, uint64_t fingerprint)
{
    size_t at = (size_t)fingerprint & visited->mask;
    while (visited->slots[at].fingerprint != 0 && visited->slots[at].fingerprint != fingerprint) {
        at = (at + 1) & visited->mask;
    }
    return &visited->slots[at];
}

static void grow(struct visited *visited)
{
    struct visited old = *visited;
    visited->mask = 2 * old.mask + 1;
    visited->slots = allocate(visited->mask + 1);
    for (size_t i = 0; i <= old.mask; i++) {
        if (old.slots[i].fingerprint != 0) {
            *find(visited, old.slots[i].fingerprint) = old.slots[i];
        }
    }
    free(old.slots);
}

bool visited_add(struct visited *visited, uint64_t fingerprint, uint64_t parent)
{
    assert(fingerprint != 0);
    struct visited_slot *slot = find(visited, fingerprint);
    if (slot->fingerprint != 0) {
        return false;
    }
    *slot = (struct visited_slot){fingerprint, parent};
    visited->count++;
    if (visited->count > visited->mask / 4 * 3) {
        grow(visited);
    }
    return true;
}

uint64_t visited_parent(const struct visited *visited, uint64_t fingerprint)
{
    const struct visited_slot *slot = find(visited, fingerprint);
    assert(slot->fingerprint == fingerprint);
    return slot->parent;
}
