// Half full at most, so a search ends soon; keys are hashes already.
#include "checker_index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CAP_FIRST 64u

static void *must(void *memory)
{
    if (memory == NULL) {
        abort(); // a simulation without memory proves nothing
    }
    return memory;
}

void index_deinit(struct index *index)
{
    free(index->slots);
    *index = (struct index){0};
}

void index_clear(struct index *index)
{
    if (index->count > 0) {
        memset(index->slots, 0, index->cap * sizeof(index->slots[0]));
    }
    index->count = 0;
}

// The slot of the key, or the free one where it would be.
static struct index_slot *slot_of(const struct index *index, const struct hash *key)
{
    uint64_t start;
    memcpy(&start, key->bytes, sizeof(start));
    size_t at = (size_t)start & (index->cap - 1);
    while (index->slots[at].value != NULL && !hash_equal(&index->slots[at].key, key)) {
        at = (at + 1) & (index->cap - 1);
    }
    return &index->slots[at];
}

void *index_find(const struct index *index, const struct hash *key)
{
    return index->count == 0 ? NULL : slot_of(index, key)->value;
}

static void grow(struct index *index)
{
    struct index old = *index;
    index->cap = old.cap == 0 ? CAP_FIRST : old.cap * 2;
    index->slots = must(calloc(index->cap, sizeof(index->slots[0])));
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].value != NULL) {
            *slot_of(index, &old.slots[i].key) = old.slots[i];
        }
    }
    free(old.slots);
}

void index_put(struct index *index, const struct hash *key, void *value)
{
    assert(value != NULL);
    if (2 * (index->count + 1) > index->cap) {
        grow(index);
    }
    struct index_slot *slot = slot_of(index, key);
    index->count += slot->value == NULL;
    *slot = (struct index_slot){*key, value};
}

// --- keys ---------------------------------------------------------------------------------------

struct hash key_of_number(uint64_t number)
{
    struct hash key;
    uint64_t mixed = hash_mix_u64(number);
    memcpy(key.bytes, &mixed, sizeof(mixed));
    memcpy(key.bytes + sizeof(mixed), &number, sizeof(number));
    return key;
}

struct hash key_of_event(const struct event *event)
{
    struct hash key;
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_add_u64(&hasher, (uint64_t)event->kind);
    hasher_add_u64(&hasher, (uint64_t)event->order_id);
    hasher_add_u64(&hasher, (uint64_t)event->entity_id);
    hasher_add_u64(&hasher, (uint64_t)event->version_rank);
    hasher_add(&hasher, event->hash.bytes, HASH_SIZE);
    hasher_add(&hasher, event->event_id.data, event->event_id.size);
    hasher_final(&hasher, &key);
    return key;
}

struct hash key_of_payment_event(int64_t order_id, int64_t payment_id, struct text event_id)
{
    struct hash key;
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_add_u64(&hasher, (uint64_t)order_id);
    hasher_add_u64(&hasher, (uint64_t)payment_id);
    hasher_add(&hasher, event_id.data, event_id.size);
    hasher_final(&hasher, &key);
    return key;
}

struct hash key_of_text(uint64_t kind, struct text text)
{
    struct hash key;
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_add_u64(&hasher, kind);
    hasher_add(&hasher, text.data, text.size);
    hasher_final(&hasher, &key);
    return key;
}
