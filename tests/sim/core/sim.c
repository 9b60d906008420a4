// The scheduler: a heap of timers in virtual time, and tasks on stacks of their own. A task is entered by
// setcontext once, and from then on by jumps, which need no system call.
#undef _FORTIFY_SOURCE // it takes a jump to another stack for an error
#include "sim.h"

#include <assert.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_ASAN 1
#endif
#endif
#ifdef SIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_SIZE (512u * 1024u) // only touched pages cost memory
#define CHUNK_SIZE (256u * 1024u)

// What to do at a time: call fn, or resume a task (fn NULL) that still waits in its wait number `tag`.
struct timer {
    int64_t time_us;
    uint64_t turn; // of equal times, the order of asking
    sim_fn *fn;
    void *context;
    uint64_t tag;
};

enum task_state { TASK_WAITING, TASK_RUNNING, TASK_ENDED };

struct stack {
    struct stack *next;
    void *memory;
};

struct task {
    struct sim *sim;
    sim_fn *body;
    void *context;
    enum task_state state;
    bool killed;
    bool wake_pending; // a resume at the present time is under way
    uint64_t wait;     // number of its present wait: a timer of an older one is void
    uint64_t waits;
    uint64_t waits_to_live; // 0: for ever
    int64_t stalled_until_us;
    struct stack *stack;
    bool entered;
    ucontext_t machine; // for the first time
    jmp_buf place;      // where it waits
    void *fake_stack;   // the sanitizer's
};

struct chunk {
    struct chunk *next;
    size_t used;
    size_t size;
    _Alignas(16) unsigned char bytes[];
};

struct sim {
    struct rand rand;
    int64_t now_us;
    struct timer *heap;
    size_t heap_count;
    size_t heap_cap;
    uint64_t turn;
    uint64_t steps;
    uint64_t digest;
    struct task *current;
    jmp_buf place; // of whoever runs the world
    void *fake_stack;
    const void *main_stack;
    size_t main_stack_size;
    struct stack *free_stacks;
    struct chunk *chunks;
    size_t tasks_alive;
    FILE *trace;
};

static void *must(void *memory)
{
    if (memory == NULL) {
        abort(); // a simulation without memory proves nothing
    }
    return memory;
}

struct sim *sim_create(uint64_t seed)
{
    struct sim *sim = must(calloc(1, sizeof(*sim)));
    rand_seed(&sim->rand, seed);
    sim->now_us = SIM_EPOCH_US;
    sim->digest = seed;
    return sim;
}

void sim_destroy(struct sim **in_sim)
{
    struct sim *sim = *in_sim;
    if (sim == NULL) {
        return;
    }
    assert(sim->tasks_alive == 0);
    while (sim->chunks != NULL) {
        struct chunk *next = sim->chunks->next;
        free(sim->chunks);
        sim->chunks = next;
    }
    while (sim->free_stacks != NULL) {
        struct stack *next = sim->free_stacks->next;
        (void)munmap(sim->free_stacks->memory, STACK_SIZE);
        free(sim->free_stacks);
        sim->free_stacks = next;
    }
    free(sim->heap);
    free(sim);
    *in_sim = NULL;
}

struct rand *sim_rand(struct sim *sim)
{
    return &sim->rand;
}

int64_t sim_now_us(const struct sim *sim)
{
    return sim->now_us;
}

void *sim_alloc(struct sim *sim, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (sim->chunks == NULL || sim->chunks->size - sim->chunks->used < size) {
        size_t chunk_size = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        struct chunk *chunk = must(calloc(1, sizeof(*chunk) + chunk_size));
        chunk->size = chunk_size;
        chunk->next = sim->chunks;
        sim->chunks = chunk;
    }
    void *memory = sim->chunks->bytes + sim->chunks->used;
    sim->chunks->used += size;
    return memory;
}

// --- timers -------------------------------------------------------------------------------------

static bool comes_before(const struct timer *a, const struct timer *b)
{
    return a->time_us != b->time_us ? a->time_us < b->time_us : a->turn < b->turn;
}

static void add_timer(struct sim *sim, struct timer timer)
{
    if (sim->heap_count == sim->heap_cap) {
        sim->heap_cap = sim->heap_cap == 0 ? 256 : sim->heap_cap * 2;
        sim->heap = must(realloc(sim->heap, sim->heap_cap * sizeof(sim->heap[0])));
    }
    timer.turn = sim->turn++;
    size_t at = sim->heap_count++;
    while (at > 0 && comes_before(&timer, &sim->heap[(at - 1) / 2])) {
        sim->heap[at] = sim->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sim->heap[at] = timer;
}

static struct timer take_first(struct sim *sim)
{
    struct timer first = sim->heap[0];
    struct timer last = sim->heap[--sim->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < sim->heap_count && comes_before(&sim->heap[child + 1], &sim->heap[child])) {
            child++;
        }
        if (child >= sim->heap_count || !comes_before(&sim->heap[child], &last)) {
            break;
        }
        sim->heap[at] = sim->heap[child];
        at = child;
    }
    sim->heap[at] = last;
    return first;
}

void sim_at(struct sim *sim, int64_t time_us, sim_fn *fn, void *context)
{
    assert(time_us >= sim->now_us);
    add_timer(sim, (struct timer){.time_us = time_us, .fn = fn, .context = context});
}

// --- tasks --------------------------------------------------------------------------------------

static void resume_at(struct task *task, int64_t time_us)
{
    add_timer(task->sim, (struct timer){.time_us = time_us, .context = task, .tag = task->wait});
}

static struct stack *take_stack(struct sim *sim)
{
    struct stack *stack = sim->free_stacks;
    if (stack != NULL) {
        sim->free_stacks = stack->next;
        return stack;
    }
    stack = must(calloc(1, sizeof(*stack)));
    stack->memory = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack->memory == MAP_FAILED ||
        mprotect(stack->memory, 4096, PROT_NONE) != 0) { // running over the stack ends the program
        abort();
    }
    return stack;
}

// Leaves the task for the scheduler; `ended` when it never comes back.
static void leave_task(struct task *task, bool ended)
{
    struct sim *sim = task->sim;
#ifdef SIM_ASAN
    __sanitizer_start_switch_fiber(ended ? NULL : &task->fake_stack, sim->main_stack,
                                   sim->main_stack_size);
#else
    (void)ended;
#endif
    if (_setjmp(task->place) == 0) {
        _longjmp(sim->place, 1);
    }
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(task->fake_stack, &sim->main_stack, &sim->main_stack_size);
#endif
}

static void jump_into(struct task *task)
{
    if (task->entered) {
        _longjmp(task->place, 1);
    }
    task->entered = true;
    (void)setcontext(&task->machine); // does not return
}

static void enter_task(struct sim *sim, struct task *task)
{
    sim->current = task;
    sim->steps++;
    task->state = TASK_RUNNING;
    task->wait++;
    task->wake_pending = false;
#ifdef SIM_ASAN
    __sanitizer_start_switch_fiber(&sim->fake_stack, task->stack->memory, STACK_SIZE);
#endif
    if (_setjmp(sim->place) == 0) {
        jump_into(task);
    }
    task = sim->current; // a local may not have survived the jump
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(sim->fake_stack, NULL, NULL);
#endif
    sim->current = NULL;
    if (task->state == TASK_ENDED) {
        task->stack->next = sim->free_stacks;
        sim->free_stacks = task->stack;
        task->stack = NULL;
        sim->tasks_alive--;
    }
}

static void task_main(unsigned high, unsigned low)
{
    struct task *task = (struct task *)(((uintptr_t)high << 32) | low);
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(NULL, &task->sim->main_stack, &task->sim->main_stack_size);
#endif
    task->body(task->context);
    task->state = TASK_ENDED;
    leave_task(task, true);
}

struct task *task_start(struct sim *sim, sim_fn *body, void *context)
{
    struct task *task = sim_alloc(sim, sizeof(*task));
    *task = (struct task){.sim = sim, .body = body, .context = context, .stack = take_stack(sim)};
    (void)getcontext(&task->machine); // can't fail
    task->machine.uc_stack.ss_sp = task->stack->memory;
    task->machine.uc_stack.ss_size = STACK_SIZE;
    uintptr_t address = (uintptr_t)task;
    makecontext(&task->machine, (void (*)(void))task_main, 2, (unsigned)(address >> 32),
                (unsigned)(address & UINT32_MAX));
#ifdef SIM_ASAN
    // The sanitizer would clear its view of the whole stack at every switch; once, here, is enough.
    task->machine.uc_stack.ss_size = 0;
    __asan_unpoison_memory_region(task->stack->memory, STACK_SIZE);
#endif
    sim->tasks_alive++;
    task->wake_pending = true;
    resume_at(task, sim->now_us);
    return task;
}

static void wake_now(struct task *task)
{
    if (task->state == TASK_WAITING && !task->wake_pending) {
        task->wake_pending = true;
        task->wait++; // voids the timer of a sleep
        resume_at(task, task->sim->now_us);
    }
}

void task_kill(struct task *task)
{
    if (task->state != TASK_ENDED) {
        task->killed = true;
        wake_now(task);
    }
}

void task_kill_in_wait(struct task *task, uint64_t nth)
{
    task->waits_to_live = nth;
}

void task_stall(struct task *task, int64_t us)
{
    task->stalled_until_us = task->sim->now_us + us;
}

bool task_killed(const struct task *task)
{
    return task->killed;
}

uint64_t task_waits(const struct task *task)
{
    return task->waits;
}

bool task_ended(const struct task *task)
{
    return task->state == TASK_ENDED;
}

struct task *task_current(const struct sim *sim)
{
    return sim->current;
}

bool task_park(struct sim *sim)
{
    struct task *task = sim->current;
    assert(task != NULL);
    task->waits++;
    if (task->waits_to_live > 0 && --task->waits_to_live == 0) {
        task->killed = true;
    }
    if (task->killed) {
        return false;
    }
    task->state = TASK_WAITING;
    leave_task(task, false);
    return !task->killed;
}

bool task_sleep(struct sim *sim, int64_t us)
{
    struct task *task = sim->current;
    assert(task != NULL && us >= 0);
    if (task->killed) {
        return false;
    }
    resume_at(task, sim->now_us + us);
    return task_park(sim);
}

void task_wake(struct task *task)
{
    wake_now(task);
}

// --- running ------------------------------------------------------------------------------------

static void fire(struct sim *sim, const struct timer *timer)
{
    if (timer->fn != NULL) {
        sim->steps++;
        timer->fn(timer->context);
        return;
    }
    struct task *task = timer->context;
    if (task->state != TASK_WAITING || task->wait != timer->tag) {
        return; // it was woken by something else meanwhile
    }
    if (task->stalled_until_us > sim->now_us && !task->killed) {
        resume_at(task, task->stalled_until_us);
        return;
    }
    enter_task(sim, task);
}

bool sim_run_until(struct sim *sim, int64_t time_us)
{
    assert(sim->current == NULL);
    while (sim->heap_count > 0 && sim->heap[0].time_us <= time_us) {
        struct timer timer = take_first(sim);
        sim->now_us = timer.time_us;
        fire(sim, &timer);
    }
    if (sim->heap_count > 0) {
        sim->now_us = time_us > sim->now_us ? time_us : sim->now_us;
    }
    return sim->heap_count > 0;
}

// --- the history --------------------------------------------------------------------------------

void sim_note(struct sim *sim, uint64_t what, uint64_t detail)
{
    uint64_t mixed = sim->digest ^ (what * UINT64_C(0x9E3779B97F4A7C15)) ^ (uint64_t)sim->now_us;
    mixed = (mixed ^ (mixed >> 32)) * UINT64_C(0xD6E8FEB86659FD93);
    mixed ^= detail * UINT64_C(0xC2B2AE3D27D4EB4F);
    sim->digest = (mixed ^ (mixed >> 29)) * UINT64_C(0x9E3779B97F4A7C15);
}

uint64_t sim_digest(const struct sim *sim)
{
    return sim->digest;
}

uint64_t sim_steps(const struct sim *sim)
{
    return sim->steps;
}

void sim_trace_to(struct sim *sim, void *file)
{
    sim->trace = file;
}

bool sim_traces(const struct sim *sim)
{
    return sim->trace != NULL;
}

void sim_trace(struct sim *sim, const char *format, ...)
{
    if (sim->trace == NULL) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(sim->trace, "%6" PRId64 ".%06" PRId64 " ", (sim->now_us - SIM_EPOCH_US) / 1000000,
                  (sim->now_us - SIM_EPOCH_US) % 1000000);
    (void)vfprintf(sim->trace, format, arguments);
    (void)fputc('\n', sim->trace);
    va_end(arguments);
}
