// The table of held messages. A handle is the batch's sequence and the message's place in it; sequences
// are never used again, so a stale handle finds nothing.
#include "held.h"

#include "message_wire.h"

#include <assert.h>
#include <stdlib.h>

#define INDEX_BITS   20u // a response of 20 MiB has fewer messages
#define INDEX_MAX    ((UINT64_C(1) << INDEX_BITS) - 1)
#define SLOTS_FIRST  64u
#define MESSAGES_MIN 16u

// --- batches by sequence ------------------------------------------------------------------------

static struct held_batch **slot_of(const struct held *held, uint64_t sequence)
{
    return &held->slots[sequence & (held->slot_count - 1)];
}

static bool grow_slots(struct held *held)
{
    size_t count = held->slot_count == 0 ? SLOTS_FIRST : held->slot_count * 2;
    struct held_batch **slots = calloc(count, sizeof(slots[0]));
    if (slots == NULL) {
        return false;
    }
    free(held->slots);
    held->slots = slots;
    held->slot_count = count;
    for (struct held_batch *batch = held->first; batch != NULL; batch = batch->next) {
        *slot_of(held, batch->sequence) = batch; // apart before, so apart now
    }
    return true;
}

// Gives the batch a sequence whose slot is free.
static bool enter(struct held *held, struct held_batch *batch)
{
    if (held->batch_count * 2 >= held->slot_count && !grow_slots(held)) {
        return false;
    }
    do {
        held->sequence++;
    } while (*slot_of(held, held->sequence) != NULL);
    batch->sequence = held->sequence;
    *slot_of(held, batch->sequence) = batch;
    batch->previous = held->last;
    if (held->last != NULL) {
        held->last->next = batch;
    } else {
        held->first = batch;
    }
    held->last = batch;
    held->batch_count++;
    held->count += batch->count;
    held->size += batch->response->bytes.size;
    return true;
}

static void free_batch(struct held_batch *batch)
{
    payload_release(&batch->response);
    free(batch->messages);
    free(batch);
}

static void leave_inbox(struct held *held, struct held_batch *batch)
{
    struct held_batch **link = &held->inbox_first;
    struct held_batch *before = NULL;
    while (*link != batch) {
        before = *link;
        link = &before->next_in_inbox;
    }
    *link = batch->next_in_inbox;
    if (held->inbox_last == batch) {
        held->inbox_last = before;
    }
    batch->next_in_inbox = NULL;
    batch->in_inbox = false;
}

static void leave(struct held *held, struct held_batch *batch)
{
    if (batch->in_inbox) {
        leave_inbox(held, batch);
    }
    *slot_of(held, batch->sequence) = NULL;
    if (batch->previous != NULL) {
        batch->previous->next = batch->next;
    } else {
        held->first = batch->next;
    }
    if (batch->next != NULL) {
        batch->next->previous = batch->previous;
    } else {
        held->last = batch->previous;
    }
    held->batch_count--;
    held->size -= batch->response->bytes.size;
    free_batch(batch);
}

void held_deinit(struct held *held)
{
    while (held->first != NULL) {
        held->count -= held->first->left;
        leave(held, held->first);
    }
    free(held->slots);
    *held = (struct held){0};
}

// --- arrival ------------------------------------------------------------------------------------

static bool add_message(struct held_batch *batch, size_t *cap, const struct received *received)
{
    if (batch->count == *cap) {
        size_t grown = *cap == 0 ? MESSAGES_MIN : *cap * 2;
        struct held_message *messages = realloc(batch->messages, grown * sizeof(messages[0]));
        if (messages == NULL) {
            return false;
        }
        batch->messages = messages;
        *cap = grown;
    }
    batch->messages[batch->count++] = (struct held_message){
        .ack_id = received->ack_id,
        .body = received->body,
        .delivery_attempt = received->delivery_attempt,
    };
    return true;
}

static bool read_exactly_once(struct text properties)
{
    struct wire_reader reader;
    struct wire_field field;
    bool exactly_once = false;
    wire_reader_init(&reader, properties);
    while (wire_next(&reader, &field)) {
        if (wire_is_number(&field, PROPERTY_EXACTLY_ONCE)) {
            exactly_once = field.value != 0;
        }
    }
    return exactly_once;
}

static enum err read_response(struct held_batch *batch, bool *out_exactly_once)
{
    struct wire_reader reader;
    struct wire_field field;
    struct received received;
    size_t cap = 0;
    wire_reader_init(&reader, batch->response->bytes);
    while (wire_next(&reader, &field)) {
        if (wire_is_bytes(&field, RECEIVED_MESSAGES)) {
            if (!received_read(field.bytes, &received) || batch->count > INDEX_MAX) {
                return ERR_INVALID;
            }
            if (!add_message(batch, &cap, &received)) {
                return ERR_NO_MEMORY;
            }
        } else if (wire_is_bytes(&field, STREAM_PROPERTIES)) {
            *out_exactly_once = read_exactly_once(field.bytes);
        }
    }
    return reader.damaged ? ERR_INVALID : ERR_OK;
}

enum err held_add(struct held *held, struct payload *response, int64_t now_ns,
                  struct held_batch **out_batch, bool *out_exactly_once)
{
    struct held_batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) {
        return ERR_NO_MEMORY;
    }
    batch->response = payload_reference(response);
    batch->arrived_ns = now_ns;
    batch->hold_until_ns = INT64_MAX;
    enum err err = read_response(batch, out_exactly_once);
    batch->left = batch->count;
    if (err == ERR_OK && batch->count > 0 && !enter(held, batch)) {
        err = ERR_NO_MEMORY;
    }
    if (err != ERR_OK || batch->count == 0) {
        free_batch(batch);
        batch = NULL;
    }
    if (err == ERR_OK) {
        *out_batch = batch;
    }
    return err;
}

void held_show(struct held *held, struct held_batch *batch)
{
    assert(!batch->in_inbox);
    batch->in_inbox = true;
    batch->next_in_inbox = NULL;
    if (held->inbox_last != NULL) {
        held->inbox_last->next_in_inbox = batch;
    } else {
        held->inbox_first = batch;
    }
    held->inbox_last = batch;
}

// --- handles ------------------------------------------------------------------------------------

uint64_t held_handle(const struct held_batch *batch, size_t index)
{
    assert(index < batch->count);
    return batch->sequence << INDEX_BITS | index;
}

struct held_message *held_find(const struct held *held, uint64_t handle,
                               struct held_batch **out_batch)
{
    uint64_t sequence = handle >> INDEX_BITS;
    struct held_batch *batch = held->slot_count > 0 ? *slot_of(held, sequence) : NULL;
    size_t index = (size_t)(handle & INDEX_MAX);
    if (batch == NULL || batch->sequence != sequence || index >= batch->count ||
        batch->messages[index].state == HELD_SETTLED) {
        return NULL;
    }
    *out_batch = batch;
    return &batch->messages[index];
}

struct held_batch *held_next(struct held *held)
{
    while (held->inbox_first != NULL) {
        struct held_batch *batch = held->inbox_first;
        while (batch->taken < batch->count && batch->messages[batch->taken].state != HELD_ARRIVED) {
            batch->taken++;
        }
        if (batch->taken < batch->count) {
            return batch;
        }
        leave_inbox(held, batch);
    }
    return NULL;
}

bool held_settle(struct held *held, struct held_batch *batch, struct held_message *message)
{
    assert(message->state != HELD_SETTLED && batch->left > 0);
    message->state = HELD_SETTLED;
    batch->left--;
    held->count--;
    if (batch->left > 0) {
        return false;
    }
    leave(held, batch);
    return true;
}
