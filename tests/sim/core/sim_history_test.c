// The scheduler: that a seed has one history, that many tasks on deep stacks stay apart, and that their
// memory is given back.
#include "sim.h"

#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#define DEEP_SIZE  65536u
#define GROWTH_MAX (256u << 20) // bytes of address space; leaked stacks would be gigabytes

static uint64_t seed;

static int setup(void **state)
{
    *state = sim_create(seed);
    return 0;
}

static int teardown(void **state)
{
    struct sim *sim = *state;
    sim_destroy(&sim);
    return 0;
}

static void run_to_the_end(struct sim *sim)
{
    while (sim_run_until(sim, INT64_MAX)) {
    }
}

// --- histories ------------------------------------------------------------------------------------

// Each wanders by the world's own numbers and notes where it is.
struct wanderer {
    struct sim *sim;
    unsigned number;
    struct task *friend;
};

static void wander(void *context)
{
    struct wanderer *wanderer = context;
    struct sim *sim = wanderer->sim;
    for (int i = 0; i < 20; i++) {
        if (wanderer->friend != NULL) {
            task_wake(wanderer->friend);
        }
        (void)task_sleep(sim, (int64_t)rand_below(sim_rand(sim), 1000));
        sim_note(sim, 'w', wanderer->number);
        sim_trace(sim, "number %u", wanderer->number);
    }
}

static uint64_t digest_of_wandering(uint64_t of_seed, unsigned count, FILE *trace)
{
    struct sim *sim = sim_create(of_seed);
    struct wanderer *wanderers = sim_alloc(sim, count * sizeof(*wanderers));
    struct task *last = NULL;
    sim_trace_to(sim, trace);
    for (unsigned i = 0; i < count; i++) {
        wanderers[i] = (struct wanderer){sim, i, i % 3 == 0 ? last : NULL};
        last = task_start(sim, wander, &wanderers[i]);
    }
    run_to_the_end(sim);
    assert_true(task_ended(last));
    assert_in_range(sim_steps(sim), count * 21, count * 22);
    uint64_t digest = sim_digest(sim);
    sim_destroy(&sim);
    return digest;
}

static void hundreds_of_tasks_have_one_history_a_seed(void **state)
{
    (void)state;
    assert_true(digest_of_wandering(seed, 500, NULL) == digest_of_wandering(seed, 500, NULL));
    assert_true(digest_of_wandering(seed, 500, NULL) != digest_of_wandering(seed + 1, 500, NULL));
    assert_true(digest_of_wandering(seed, 500, NULL) != digest_of_wandering(seed, 499, NULL));
}

static void trace_is_the_same_every_time_and_changes_nothing(void **state)
{
    (void)state;
    char *texts[2] = {NULL, NULL};
    uint64_t digests[2];
    for (size_t i = 0; i < 2; i++) {
        size_t size = 0;
        FILE *file = open_memstream(&texts[i], &size);
        assert_non_null(file);
        digests[i] = digest_of_wandering(seed, 20, file);
        assert_int_equal(fclose(file), 0);
    }
    assert_non_null(strstr(texts[0], "number 19\n"));
    assert_string_equal(texts[0], texts[1]);
    assert_true(digests[0] == digests[1]);
    assert_true(digests[0] == digest_of_wandering(seed, 20, NULL));
    free(texts[0]);
    free(texts[1]);
}

static void let_time_pass(void *context)
{
    (void)context;
}

static uint64_t digest_of_notes(uint64_t of_seed, const uint64_t *notes, size_t count,
                                int64_t at_us)
{
    struct sim *sim = sim_create(of_seed);
    sim_at(sim, SIM_EPOCH_US + at_us, let_time_pass, NULL);
    run_to_the_end(sim);
    for (size_t i = 0; i + 1 < count; i += 2) {
        sim_note(sim, notes[i], notes[i + 1]);
    }
    uint64_t digest = sim_digest(sim);
    sim_destroy(&sim);
    return digest;
}

static void digest_tells_what_was_noted_when_and_in_which_order(void **state)
{
    (void)state;
    static const uint64_t notes[][4] = {
        {'a', 1, 'b', 2}, {'b', 2, 'a', 1}, {'a', 2, 'b', 1}, {'a', 1, 'b', 3}, {'c', 1, 'b', 2}};
    uint64_t digests[8];
    for (size_t i = 0; i < 5; i++) {
        digests[i] = digest_of_notes(1, notes[i], 4, 5);
    }
    digests[5] = digest_of_notes(1, notes[0], 4, 6);
    digests[6] = digest_of_notes(2, notes[0], 4, 5);
    digests[7] = digest_of_notes(1, notes[0], 2, 5);
    for (size_t i = 0; i < 8; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_true(digests[i] != digests[j]);
        }
    }
    assert_true(digests[0] == digest_of_notes(1, notes[0], 4, 5));
}

// --- deep stacks, and memory ------------------------------------------------------------------------

// Fills 64 KiB of its stack, waits, and looks whether it is all there.
static void sleep_deeply(void *context)
{
    struct wanderer *wanderer = context;
    volatile unsigned char deep[DEEP_SIZE];
    for (size_t i = 0; i < DEEP_SIZE; i++) {
        deep[i] = (unsigned char)(i * 31 + wanderer->number);
    }
    (void)task_sleep(wanderer->sim, (int64_t)rand_below(sim_rand(wanderer->sim), 100));
    for (size_t i = 0; i < DEEP_SIZE; i++) {
        assert_true(deep[i] == (unsigned char)(i * 31 + wanderer->number));
    }
    wanderer->number = 0;
}

static void deep_stacks_of_many_tasks_stay_apart(void **state)
{
    struct sim *sim = *state;
    struct wanderer wanderers[40];
    for (int round = 0; round < 3; round++) { // the later ones on stacks that were used before
        for (unsigned i = 0; i < 40; i++) {
            wanderers[i] = (struct wanderer){sim, i + 1, NULL};
            (void)task_start(sim, sleep_deeply, &wanderers[i]);
        }
        run_to_the_end(sim);
        for (unsigned i = 0; i < 40; i++) {
            assert_int_equal(wanderers[i].number, 0);
        }
    }
}

static void fail_within(void *context)
{
    bool *caught = context;
    jmp_buf place;
    if (setjmp(place) == 0) {
        longjmp(place, 1);
    }
    *caught = true;
}

static void task_may_jump_on_its_own_stack(void **state)
{
    struct sim *sim = *state;
    bool caught = false;
    (void)task_start(sim, fail_within, &caught);
    run_to_the_end(sim);
    assert_true(caught);
}

static uint64_t address_space(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    char line[200];
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof(line), file));
    (void)fclose(file);
    uint64_t pages = 0;
    struct text first = {line, strcspn(line, " ")};
    assert_true(text_parse_u64(first, &pages));
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void stacks_of_ended_tasks_are_used_again(void **state)
{
    struct sim *sim = *state;
    uint64_t before = address_space();
    for (int i = 0; i < 2000; i++) {
        struct wanderer wanderer = {sim, 1, NULL};
        (void)task_start(sim, sleep_deeply, &wanderer);
        run_to_the_end(sim);
    }
    assert_true(address_space() < before + GROWTH_MAX);
}

static void world_gives_back_the_memory_of_its_tasks(void **state)
{
    (void)state;
    (void)digest_of_wandering(seed, 300, NULL);
    uint64_t before = address_space();
    for (int i = 0; i < 20; i++) {
        (void)digest_of_wandering(seed, 300, NULL);
    }
    assert_true(address_space() < before + GROWTH_MAX);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(hundreds_of_tasks_have_one_history_a_seed),
        cmocka_unit_test(trace_is_the_same_every_time_and_changes_nothing),
        cmocka_unit_test(digest_tells_what_was_noted_when_and_in_which_order),
        CLAIM(deep_stacks_of_many_tasks_stay_apart),
        CLAIM(task_may_jump_on_its_own_stack),
        CLAIM(stacks_of_ended_tasks_are_used_again),
        cmocka_unit_test(world_gives_back_the_memory_of_its_tasks),
    };
    seed = test_seed();
    return cmocka_run_group_tests_name("histories", claims, NULL, NULL);
}
