// Counted bytes, and the writer that makes them.
#include "payload.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 512u // bytes

struct payload *payload_reference(struct payload *payload)
{
    atomic_fetch_add_explicit(&payload->references, 1, memory_order_relaxed);
    return payload;
}

void payload_release(struct payload **payload)
{
    if (payload == NULL || *payload == NULL) {
        return;
    }
    struct payload *released = *payload;
    *payload = NULL;
    unsigned before = atomic_fetch_sub_explicit(&released->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1) {
        released->destroy(released);
    }
}

static void destroy_heap(struct payload *payload)
{
    free((void *)(uintptr_t)payload->bytes.data);
    free(payload);
}

struct payload *payload_copy(struct text bytes)
{
    struct payload_writer writer = {0};
    char *room = payload_reserve(&writer, bytes.size);
    if (room != NULL && bytes.size > 0) {
        memcpy(room, bytes.data, bytes.size);
    }
    return payload_finish(&writer);
}

static bool grow(struct payload_writer *writer, size_t cap_needed)
{
    size_t cap = writer->cap < FIRST_CAP ? FIRST_CAP : writer->cap;
    while (cap < cap_needed) {
        cap *= 2;
    }
    char *data = realloc(writer->data, cap);
    if (data == NULL) {
        return false;
    }
    writer->data = data;
    writer->cap = cap;
    return true;
}

char *payload_reserve(struct payload_writer *writer, size_t size)
{
    assert(size < SIZE_MAX / 4);
    if (writer->failed ||
        (size > writer->cap - writer->size && !grow(writer, writer->size + size))) {
        writer->failed = true;
        return NULL;
    }
    char *room = writer->data + writer->size;
    writer->size += size;
    return room;
}

struct payload *payload_finish(struct payload_writer *writer)
{
    struct payload *payload = writer->failed ? NULL : malloc(sizeof(*payload));
    if (payload == NULL) {
        payload_writer_deinit(writer);
        return NULL;
    }
    atomic_init(&payload->references, 1);
    payload->bytes = (struct text){writer->data, writer->size};
    payload->destroy = destroy_heap;
    *writer = (struct payload_writer){0};
    return payload;
}

void payload_writer_deinit(struct payload_writer *writer)
{
    free(writer->data);
    *writer = (struct payload_writer){0};
}
