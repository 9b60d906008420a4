#include "cql_session.h"

#include <assert.h>
#include <stdlib.h>

static void prepare(struct cql *cql, struct cql_slot *slot)
{
    slot->index = (uint16_t)(slot - cql->slots);
    slot->cql = cql;
    slot->timer = (struct cql_timer){.fire = cql_patience_over, .context = slot};
}

struct cql_slot *cql_slot_take(struct cql *cql, bool own)
{
    if (own ? cql->own_count == CQL_SLOTS_OWN : cql->in_flight == CQL_IN_FLIGHT_MAX) {
        return NULL;
    }
    struct cql_slot *slot = cql_queue_pop(&cql->free);
    if (slot == NULL) {
        assert(cql->fresh < CQL_SLOT_COUNT);
        slot = &cql->slots[cql->fresh++];
        prepare(cql, slot);
    }
    cql->own_count += own;
    cql->in_flight += !own;
    slot->retries = slot->reprepares = slot->overloads = slot->tried_count = 0;
    slot->conditional = slot->perhaps_done = slot->synchronous = slot->has_result = false;
    slot->columns = NULL;
    slot->node = NULL;
    slot->connection = NULL;
    slot->own = NULL;
    slot->statement = NULL;
    return slot;
}

void cql_slot_release(struct cql_slot *slot)
{
    struct cql *cql = slot->cql;
    assert(slot->queue == NULL && slot->state != CQL_SLOT_FREE);
    assert(slot->state != CQL_SLOT_IN_FLIGHT && slot->waiters.count == 0);
    cql_wheel_clear(&slot->timer);
    if (slot->columns != NULL) {
        slot->columns->references--;
        slot->columns = NULL;
    }
    free(slot->held);
    slot->held = NULL;
    if (slot->own != NULL) {
        cql->own_count--;
    } else if (slot->state != CQL_SLOT_GIVEN) {
        cql->in_flight--; // one that was given was counted off then
    }
    slot->state = CQL_SLOT_FREE;
    cql_queue_push_first(&cql->free, slot); // the last one is still in the cache
}

struct why *cql_slot_why(struct cql_slot *slot)
{
    return &slot->cql->whys[slot->index];
}

void cql_queue_push(struct cql_queue *queue, struct cql_slot *slot)
{
    assert(slot->queue == NULL);
    slot->queue = queue;
    slot->next = NULL;
    slot->previous = queue->last;
    if (queue->last != NULL) {
        queue->last->next = slot;
    } else {
        queue->first = slot;
    }
    queue->last = slot;
    queue->count++;
}

void cql_queue_push_first(struct cql_queue *queue, struct cql_slot *slot)
{
    assert(slot->queue == NULL);
    slot->queue = queue;
    slot->previous = NULL;
    slot->next = queue->first;
    if (queue->first != NULL) {
        queue->first->previous = slot;
    } else {
        queue->last = slot;
    }
    queue->first = slot;
    queue->count++;
}

void cql_queue_leave(struct cql_slot *slot)
{
    struct cql_queue *queue = slot->queue;
    if (queue == NULL) {
        return;
    }
    if (slot->previous != NULL) {
        slot->previous->next = slot->next;
    } else {
        queue->first = slot->next;
    }
    if (slot->next != NULL) {
        slot->next->previous = slot->previous;
    } else {
        queue->last = slot->previous;
    }
    slot->next = slot->previous = NULL;
    slot->queue = NULL;
    queue->count--;
}

struct cql_slot *cql_queue_pop(struct cql_queue *queue)
{
    struct cql_slot *slot = queue->first;
    if (slot != NULL) {
        cql_queue_leave(slot);
    }
    return slot;
}
