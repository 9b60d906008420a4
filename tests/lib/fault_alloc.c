// The wrapped allocators: count, perhaps fail, else pass on.
#include "fault_alloc.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
char *__real_strdup(const char *text);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);
char *__wrap_strdup(const char *text);

static atomic_uint_fast64_t allocation_count;
static atomic_uint_fast64_t failing_number; // 0: none
static atomic_bool was_hit;

void fault_alloc_arm(uint64_t n)
{
    assert(n >= 1);
    atomic_store(&allocation_count, 0);
    atomic_store(&was_hit, false);
    atomic_store(&failing_number, n);
}

void fault_alloc_disarm(void)
{
    atomic_store(&failing_number, 0);
}

uint64_t fault_alloc_count(void)
{
    return atomic_load(&allocation_count);
}

bool fault_alloc_hit(void)
{
    return atomic_load(&was_hit);
}

// Counts one allocation. true when it is the one to fail.
static bool fails_now(void)
{
    uint64_t number = atomic_fetch_add(&allocation_count, 1) + 1;
    if (number != atomic_load(&failing_number)) {
        return false;
    }
    atomic_store(&was_hit, true);
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails_now() ? NULL : __real_realloc(memory, size);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    return fails_now() ? NULL : __real_reallocarray(memory, count, size);
}

char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}
