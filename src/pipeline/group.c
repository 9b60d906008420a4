// Grouping by an open-addressing table in the arena.
#include "group.h"

#include "hash.h"

#define NO_GROUP UINT32_MAX

struct table {
    uint32_t *slots; // index of a group plus one, 0 when free
    size_t mask;
};

static size_t table_size_for(size_t count)
{
    size_t size = 16;
    while (size < 2 * count) {
        size *= 2;
    }
    return size;
}

static uint32_t find_or_add(struct grouping *grouping, struct table *table, int64_t order_id)
{
    size_t at = (size_t)hash_mix_u64((uint64_t)order_id) & table->mask;
    while (table->slots[at] != 0) {
        uint32_t index = table->slots[at] - 1;
        if (grouping->groups[index].order_id == order_id) {
            return index;
        }
        at = (at + 1) & table->mask;
    }
    uint32_t index = (uint32_t)grouping->count++;
    grouping->groups[index].order_id = order_id;
    table->slots[at] = index + 1;
    return index;
}

// Hands each group its piece of one array of pointers, then fills the pieces.
static void fill_incoming(struct grouping *grouping, struct batch_item *items, size_t count,
                          const uint32_t *group_of, struct incoming **pointers)
{
    for (size_t i = 0; i < grouping->count; i++) {
        grouping->groups[i].incoming = pointers;
        pointers += grouping->groups[i].incoming_count;
        grouping->groups[i].incoming_count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (group_of[i] != NO_GROUP) {
            struct store_group *group = &grouping->groups[group_of[i]];
            group->incoming[group->incoming_count++] = &items[i].incoming;
        }
    }
}

void grouping_build(struct grouping *grouping, struct batch_item *items, size_t count,
                    struct arena *arena)
{
    struct table table = {.mask = table_size_for(count) - 1};
    table.slots = ARENA_ARRAY(arena, uint32_t, table.mask + 1);
    uint32_t *group_of = ARENA_ARRAY(arena, uint32_t, count);
    struct incoming **pointers = ARENA_ARRAY(arena, struct incoming *, count);
    grouping->groups = ARENA_ARRAY(arena, struct store_group, count);
    grouping->count = 0;
    if (arena_overflowed(arena)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        group_of[i] = NO_GROUP;
        if (items[i].refusal == NULL) {
            group_of[i] = find_or_add(grouping, &table, items[i].incoming.event.order_id);
            grouping->groups[group_of[i]].incoming_count++;
        }
    }
    fill_incoming(grouping, items, count, group_of, pointers);
}
