// Bump allocator for everything that lives as long as one batch. One block of fixed size; pages
// that were never touched cost no memory. Running over is sticky: every later allocation gives
// NULL too, so a caller may allocate freely and ask arena_overflowed() once at the end.
// Not thread-safe: one owner at a time.
#ifndef TILL_ARENA_H
#define TILL_ARENA_H

#include "errors.h"

#include <stddef.h>
#include <stdint.h>

struct arena {
    unsigned char *base;
    size_t cap;  // bytes
    size_t used; // bytes
    bool overflowed;
};

#define ARENA_ALIGNMENT 16u

// Reserves `cap` bytes. ERR_NO_MEMORY when the system refuses.
MUST_USE enum err arena_init(struct arena *arena, size_t cap);
void arena_deinit(struct arena *arena); // accepts a zeroed one

// Zeroed memory aligned to ARENA_ALIGNMENT, valid until reset or rewind; NULL once overflowed.
void *arena_alloc(struct arena *arena, size_t size);
// The same for `count` items of `size`; the product is checked.
void *arena_alloc_array(struct arena *arena, size_t count, size_t size);
// A copy of `size` bytes (not zero-terminated, not aligned); NULL once overflowed.
char *arena_copy(struct arena *arena, const void *bytes, size_t size);

bool arena_overflowed(const struct arena *arena);
void arena_reset(struct arena *arena);               // forgets all, clears the overflow
size_t arena_mark(const struct arena *arena);        // for arena_rewind
void arena_rewind(struct arena *arena, size_t mark); // forgets what came after; keeps the overflow

#define ARENA_NEW(arena, type)          ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_alloc_array((arena), (count), sizeof(type)))

#endif
