// Large pieces of memory that a simulated process gives back are kept for the next one: to ask the system for
// its arenas anew took a third of the time of a world in which many die. The linker sends malloc and free of
// the simulator here (--wrap, see meson.build). What is kept is never given to realloc. One thread.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define LARGE_SIZE (1u << 20) // bytes; anything smaller is malloc's own business
#define KEPT_MAX   512u       // pieces; beyond them malloc does it all
#define PAGE_SIZE  4096u

void *__real_malloc(size_t size); // NOLINT: the linker's name
void __real_free(void *memory);   // NOLINT
void *__wrap_malloc(size_t size); // NOLINT
void __wrap_free(void *memory);   // NOLINT

static struct piece {
    void *memory;
    size_t size;
    bool used;
} pieces[KEPT_MAX];
static size_t piece_count;

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void *__wrap_malloc(size_t size)
{
    for (size_t i = 0; size >= LARGE_SIZE && i < piece_count; i++) {
        if (!pieces[i].used && pieces[i].size == size) {
            pieces[i].used = true;
            return pieces[i].memory;
        }
    }
    void *memory = size >= LARGE_SIZE && piece_count < KEPT_MAX ? map(size) : NULL;
    if (memory == NULL) {
        return __real_malloc(size);
    }
    pieces[piece_count++] = (struct piece){memory, size, true};
    return memory;
}

void __wrap_free(void *memory)
{
    bool may_be_kept = memory != NULL && (uintptr_t)memory % PAGE_SIZE == 0;
    for (size_t i = 0; may_be_kept && i < piece_count; i++) {
        if (pieces[i].memory == memory) {
            pieces[i].used = false;
            return;
        }
    }
    __real_free(memory);
}
