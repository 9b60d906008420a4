// Bump allocation in one block. Under AddressSanitizer all that is not handed out is poisoned, so
// that an overrun, or a use after reset, is reported as if each piece were its own heap block.
#include "arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif

#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
#define poison(bytes, size)   ASAN_POISON_MEMORY_REGION((bytes), (size))
#define unpoison(bytes, size) ASAN_UNPOISON_MEMORY_REGION((bytes), (size))
#else
#define poison(bytes, size)   ((void)(bytes), (void)(size))
#define unpoison(bytes, size) ((void)(bytes), (void)(size))
#endif

enum err arena_init(struct arena *arena, size_t cap)
{
    assert(cap > 0);
    unsigned char *base = malloc(cap);
    if (base == NULL) {
        return ERR_NO_MEMORY;
    }
    assert((uintptr_t)base % ARENA_ALIGNMENT == 0);
    poison(base, cap);
    *arena = (struct arena){.base = base, .cap = cap};
    return ERR_OK;
}

void arena_deinit(struct arena *arena)
{
    if (arena == NULL) {
        return;
    }
    if (arena->base != NULL) {
        unpoison(arena->base, arena->cap);
        free(arena->base);
    }
    *arena = (struct arena){0};
}

// The next `size` bytes from a multiple of `alignment`, not zeroed; NULL once overflowed.
static unsigned char *take(struct arena *arena, size_t size, size_t alignment)
{
    size_t start = (arena->used + alignment - 1) / alignment * alignment;
    if (arena->overflowed || start > arena->cap || size > arena->cap - start) {
        arena->overflowed = true;
        return NULL;
    }
    arena->used = start + size;
    unpoison(arena->base + start, size);
    return arena->base + start;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    unsigned char *bytes = take(arena, size, ARENA_ALIGNMENT);
    return bytes == NULL ? NULL : memset(bytes, 0, size);
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total)) {
        arena->overflowed = true;
        return NULL;
    }
    return arena_alloc(arena, total);
}

char *arena_copy(struct arena *arena, const void *bytes, size_t size)
{
    unsigned char *copy = take(arena, size, 1);
    if (copy != NULL && size > 0) {
        memcpy(copy, bytes, size);
    }
    return (char *)copy;
}

bool arena_overflowed(const struct arena *arena)
{
    return arena->overflowed;
}

void arena_reset(struct arena *arena)
{
    arena_rewind(arena, 0);
    arena->overflowed = false;
}

size_t arena_mark(const struct arena *arena)
{
    return arena->used;
}

void arena_rewind(struct arena *arena, size_t mark)
{
    assert(mark <= arena->used);
    poison(arena->base + mark, arena->used - mark);
    arena->used = mark;
}
