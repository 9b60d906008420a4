// The batch's bump allocator.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "aborts.h"
#include "arena.h"
#include "fault_alloc.h"

#include <string.h>

#define CAP 256u

static int make_arena(void **state)
{
    static struct arena arena;
    *state = &arena;
    return arena_init(&arena, CAP) == ERR_OK ? 0 : -1;
}

static int drop_arena(void **state)
{
    arena_deinit(*state);
    return 0;
}

static void memory_is_aligned_and_zeroed_even_when_used_before(void **state)
{
    struct arena *arena = *state;
    memset(arena_alloc(arena, CAP), 0xAB, CAP);
    arena_reset(arena);
    assert_non_null(arena_copy(arena, "x", 1)); // puts the next allocation off its alignment
    unsigned char *bytes = arena_alloc(arena, 33);
    assert_int_equal((uintptr_t)bytes % ARENA_ALIGNMENT, 0);
    for (size_t i = 0; i < 33; i++) {
        assert_int_equal(bytes[i], 0);
    }
}

static void allocation_fits_up_to_the_cap_and_no_further(void **state)
{
    struct arena *arena = *state;
    for (int excess = -1; excess <= 1; excess++) {
        arena_reset(arena);
        void *bytes = arena_alloc(arena, (size_t)((int)CAP + excess));
        assert_true((bytes == NULL) == (excess > 0));
        assert_true(arena_overflowed(arena) == (excess > 0));
    }
}

static void copy_fits_up_to_the_cap_and_no_further(void **state)
{
    struct arena *arena = *state;
    char bytes[CAP + 1];
    memset(bytes, 'c', sizeof(bytes));
    for (int excess = -1; excess <= 1; excess++) {
        arena_reset(arena);
        size_t size = (size_t)((int)CAP + excess);
        char *copy = arena_copy(arena, bytes, size);
        assert_true((copy == NULL) == (excess > 0));
        if (copy != NULL) {
            assert_memory_equal(copy, bytes, size);
        }
    }
}

static void padding_for_alignment_counts_as_used(void **state)
{
    struct arena *arena = *state;
    assert_non_null(arena_alloc(arena, CAP - ARENA_ALIGNMENT - 1));
    assert_non_null(arena_alloc(arena, ARENA_ALIGNMENT));
    assert_null(arena_alloc(arena, 1));

    arena_reset(arena);
    assert_non_null(arena_alloc(arena, CAP - 1));
    assert_null(arena_alloc(arena, 1)); // one byte is left, but none that is aligned
}

static void overflow_is_sticky_until_reset(void **state)
{
    struct arena *arena = *state;
    assert_null(arena_alloc(arena, CAP + 1));
    assert_null(arena_alloc(arena, 1));
    assert_null(arena_copy(arena, "x", 1));
    assert_null(ARENA_NEW(arena, int));
    assert_int_equal(arena_mark(arena), 0);
    assert_true(arena_overflowed(arena));

    arena_reset(arena);
    assert_false(arena_overflowed(arena));
    assert_non_null(arena_alloc(arena, CAP));
}

static void rewind_gives_memory_back_but_keeps_the_overflow(void **state)
{
    struct arena *arena = *state;
    char *kept = arena_copy(arena, "kept", 4);
    size_t mark = arena_mark(arena);
    void *first = arena_alloc(arena, 64);
    arena_rewind(arena, mark);
    assert_ptr_equal(arena_alloc(arena, 64), first);
    assert_memory_equal(kept, "kept", 4);

    assert_null(arena_alloc(arena, CAP));
    arena_rewind(arena, mark);
    assert_true(arena_overflowed(arena));
    assert_null(arena_alloc(arena, 1));
}

static void array_whose_product_wraps_overflows(void **state)
{
    struct arena *arena = *state;
    assert_null(arena_alloc_array(arena, SIZE_MAX / 16 + 2, 16)); // wraps to 16
    assert_true(arena_overflowed(arena));

    arena_reset(arena);
    assert_null(arena_alloc(arena, SIZE_MAX)); // so does start + size
    assert_true(arena_overflowed(arena));
}

static void array_fits_up_to_the_cap_and_no_further(void **state)
{
    struct arena *arena = *state;
    assert_non_null(ARENA_ARRAY(arena, uint64_t, CAP / 8));
    arena_reset(arena);
    assert_null(ARENA_ARRAY(arena, uint64_t, CAP / 8 + 1));
}

static void nothing_can_be_had_even_when_full(void **state)
{
    struct arena *arena = *state;
    assert_non_null(arena_alloc(arena, CAP));
    assert_non_null(arena_alloc(arena, 0));
    assert_non_null(arena_copy(arena, NULL, 0));
    assert_false(arena_overflowed(arena));
}

static void rewind_forward(void *context)
{
    struct arena *arena = context;
    arena_rewind(arena, arena_mark(arena) + 1);
}

static void rewind_past_what_is_used_aborts(void **state)
{
    assert_true(aborts(rewind_forward, *state));
}

static void refused_block_is_reported_and_leaves_nothing_behind(void **state)
{
    (void)state;
    struct arena arena = {0};
    fault_alloc_arm(1);
    enum err err = arena_init(&arena, CAP);
    fault_alloc_disarm();
    assert_true(fault_alloc_hit());
    assert_int_equal(err, ERR_NO_MEMORY);
    assert_null(arena.base);
    arena_deinit(&arena);
}

static void deinit_accepts_null_zeroed_and_twice(void **state)
{
    (void)state;
    struct arena arena = {0};
    arena_deinit(NULL);
    arena_deinit(&arena);
    assert_int_equal(arena_init(&arena, 1), ERR_OK);
    arena_deinit(&arena);
    arena_deinit(&arena);
    assert_null(arena.base);
}

#define with_arena(test) cmocka_unit_test_setup_teardown(test, make_arena, drop_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_arena(memory_is_aligned_and_zeroed_even_when_used_before),
        with_arena(allocation_fits_up_to_the_cap_and_no_further),
        with_arena(copy_fits_up_to_the_cap_and_no_further),
        with_arena(padding_for_alignment_counts_as_used),
        with_arena(overflow_is_sticky_until_reset),
        with_arena(rewind_gives_memory_back_but_keeps_the_overflow),
        with_arena(array_whose_product_wraps_overflows),
        with_arena(array_fits_up_to_the_cap_and_no_further),
        with_arena(nothing_can_be_had_even_when_full),
        with_arena(rewind_past_what_is_used_aborts),
        cmocka_unit_test(refused_block_is_reported_and_leaves_nothing_behind),
        cmocka_unit_test(deinit_accepts_null_zeroed_and_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
