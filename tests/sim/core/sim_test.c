// The scheduler: time, timers, tasks, deaths and pauses.
#include "sim.h"

#include "aborts.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <string.h>

#define SECOND_US INT64_C(1000000)

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
    assert_null(sim);
    sim_destroy(&sim); // accepts that
    return 0;
}

static int64_t passed_us(const struct sim *sim)
{
    return sim_now_us(sim) - SIM_EPOCH_US;
}

static void run_to_the_end(struct sim *sim)
{
    while (sim_run_until(sim, INT64_MAX)) {
    }
}

// --- timers ---------------------------------------------------------------------------------------

#define TIMERS 2000u

struct firing {
    struct sim *sim;
    int64_t asked_us;
    size_t asked; // in which order
    struct firing **log;
    size_t *count;
};

static void on_fire(void *context)
{
    struct firing *firing = context;
    assert_int_equal(passed_us(firing->sim), firing->asked_us);
    assert_null(task_current(firing->sim));
    firing->log[(*firing->count)++] = firing;
}

static void timers_fire_in_order_of_time_and_of_asking(void **state)
{
    struct sim *sim = *state;
    static struct firing firings[TIMERS];
    static struct firing *log[TIMERS];
    size_t count = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        firings[i] = (struct firing){sim, (int64_t)rand_below(sim_rand(sim), 100), i, log, &count};
        sim_at(sim, SIM_EPOCH_US + firings[i].asked_us, on_fire, &firings[i]);
    }
    assert_int_equal(count, 0);
    assert_false(sim_run_until(sim, SIM_EPOCH_US + 100));
    assert_int_equal(count, TIMERS);
    for (size_t i = 1; i < TIMERS; i++) {
        assert_true(log[i - 1]->asked_us <= log[i]->asked_us);
        assert_true(log[i - 1]->asked_us < log[i]->asked_us || log[i - 1]->asked < log[i]->asked);
    }
    assert_int_equal(sim_steps(sim), TIMERS);
}

static void run_until_ends_at_its_time(void **state)
{
    struct sim *sim = *state;
    struct firing firings[3];
    struct firing *log[3];
    size_t count = 0;
    for (size_t i = 0; i < 3; i++) {
        firings[i] = (struct firing){sim, 999 + (int64_t)i, i, log, &count};
        sim_at(sim, SIM_EPOCH_US + firings[i].asked_us, on_fire, &firings[i]);
    }
    assert_true(sim_run_until(sim, SIM_EPOCH_US + 500));
    assert_int_equal(count, 0);
    assert_int_equal(passed_us(sim), 500);
    assert_true(sim_run_until(sim, SIM_EPOCH_US + 1000));
    assert_int_equal(count, 2);
    assert_int_equal(passed_us(sim), 1000);
    assert_false(sim_run_until(sim, SIM_EPOCH_US + 2000));
    assert_int_equal(count, 3);
}

static void ask_again(void *context)
{
    struct firing *firing = context;
    sim_at(firing->sim, sim_now_us(firing->sim), on_fire, firing);
}

static void timer_asked_for_now_fires_after_those_asked_before(void **state)
{
    struct sim *sim = *state;
    struct firing *log[2];
    size_t count = 0;
    struct firing again = {sim, 5, 0, log, &count};
    struct firing other = {sim, 5, 1, log, &count};
    sim_at(sim, SIM_EPOCH_US + 5, ask_again, &again);
    sim_at(sim, SIM_EPOCH_US + 5, on_fire, &other);
    run_to_the_end(sim);
    assert_int_equal(count, 2);
    assert_ptr_equal(log[0], &other);
    assert_ptr_equal(log[1], &again);
}

static void ask_for_the_past(void *context)
{
    sim_at(context, SIM_EPOCH_US - 1, ask_again, NULL);
}

static void asking_for_the_past_ends_the_program(void **state)
{
    assert_true(aborts(ask_for_the_past, *state));
}

static void memory_of_the_world_is_zeroed_aligned_and_apart(void **state)
{
    struct sim *sim = *state;
    static const size_t sizes[] = {1, 15, 16, 17, 4096, 262143, 262144, 262145, 5000000, 1};
    unsigned char *blocks[10];
    for (size_t i = 0; i < 10; i++) {
        blocks[i] = sim_alloc(sim, sizes[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        for (size_t at = 0; at < sizes[i]; at++) {
            assert_int_equal(blocks[i][at], 0);
        }
        memset(blocks[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(blocks[i][0], i + 1);
        assert_int_equal(blocks[i][sizes[i] - 1], i + 1);
    }
}

// --- tasks ----------------------------------------------------------------------------------------

// Waits as it is told and writes down what came of it.
struct sleeper {
    struct sim *sim;
    struct task *self;
    int64_t sleeps_us; // 0: it parks
    unsigned times;
    unsigned good; // waits that ended well
    int64_t begun_us;
    int64_t ended_us;
};

static void sleep_times(void *context)
{
    struct sleeper *sleeper = context;
    sleeper->self = task_current(sleeper->sim);
    sleeper->begun_us = passed_us(sleeper->sim);
    for (unsigned i = 0; i < sleeper->times; i++) {
        sleeper->good += sleeper->sleeps_us > 0 ? task_sleep(sleeper->sim, sleeper->sleeps_us)
                                                : task_park(sleeper->sim);
    }
    sleeper->ended_us = passed_us(sleeper->sim);
}

static void task_runs_when_the_world_does_and_sleeps_as_long_as_it_says(void **state)
{
    struct sim *sim = *state;
    struct sleeper sleeper = {.sim = sim, .sleeps_us = 10, .times = 3};
    assert_true(sim_run_until(sim, SIM_EPOCH_US) == false);
    struct task *task = task_start(sim, sleep_times, &sleeper);
    assert_null(sleeper.self);
    assert_true(sim_run_until(sim, SIM_EPOCH_US + 29));
    assert_ptr_equal(sleeper.self, task);
    assert_null(task_current(sim));
    assert_false(task_ended(task));
    assert_false(sim_run_until(sim, SIM_EPOCH_US + 30));
    assert_true(task_ended(task));
    assert_false(task_killed(task));
    assert_int_equal(sleeper.good, 3);
    assert_int_equal(sleeper.begun_us, 0);
    assert_int_equal(sleeper.ended_us, 30);
    assert_int_equal(task_waits(task), 3);
}

static void parked_task_waits_for_its_wake(void **state)
{
    struct sim *sim = *state;
    struct sleeper sleeper = {.sim = sim, .times = 2};
    struct task *task = task_start(sim, sleep_times, &sleeper);
    assert_false(sim_run_until(sim, SIM_EPOCH_US + SECOND_US)); // nothing happens by itself
    assert_int_equal(sleeper.good, 0);
    task_wake(task);
    task_wake(task); // the second one finds it on its way
    run_to_the_end(sim);
    assert_int_equal(sleeper.good, 1);
    assert_false(task_ended(task));
    task_wake(task);
    run_to_the_end(sim);
    assert_int_equal(sleeper.good, 2);
    assert_true(task_ended(task));
}

static void wake_of_a_task_that_does_not_wait_is_not_kept(void **state)
{
    struct sim *sim = *state;
    struct sleeper sleeper = {.sim = sim, .times = 1};
    struct task *task = task_start(sim, sleep_times, &sleeper);
    task_wake(task); // it has not begun
    run_to_the_end(sim);
    assert_int_equal(sleeper.good, 0);
    assert_int_equal(task_waits(task), 1);
    task_wake(task);
    run_to_the_end(sim);
    assert_true(task_ended(task));
    uint64_t steps = sim_steps(sim);
    task_wake(task); // it has ended
    run_to_the_end(sim);
    assert_int_equal(sim_steps(sim), steps);
}

static void wake_ends_a_sleep_and_its_timer_disturbs_no_later_one(void **state)
{
    struct sim *sim = *state;
    struct sleeper sleeper = {.sim = sim, .sleeps_us = 100, .times = 2};
    struct task *task = task_start(sim, sleep_times, &sleeper);
    (void)sim_run_until(sim, SIM_EPOCH_US + 30);
    task_wake(task);
    run_to_the_end(sim);
    assert_int_equal(sleeper.good, 2);
    assert_int_equal(sleeper.ended_us, 130); // not 100, when the first sleep would have ended
}

struct waker {
    struct sim *sim;
    struct task *other;
    const struct sleeper *of_other;
    unsigned good_then;
};

static void wake_other(void *context)
{
    struct waker *waker = context;
    task_wake(waker->other);
    waker->good_then = waker->of_other->good;
}

static void waker_goes_on_before_the_one_it_woke(void **state)
{
    struct sim *sim = *state;
    struct sleeper sleeper = {.sim = sim, .times = 1};
    struct waker waker = {sim, task_start(sim, sleep_times, &sleeper), &sleeper, 7};
    (void)task_start(sim, wake_other, &waker);
    run_to_the_end(sim);
    assert_int_equal(waker.good_then, 0);
    assert_int_equal(sleeper.good, 1);
}

// --- deaths ---------------------------------------------------------------------------------------

static void killed_task_unwinds_at_once(struct sim *sim, int64_t sleeps_us)
{
    int64_t start_us = passed_us(sim);
    struct sleeper sleeper = {.sim = sim, .sleeps_us = sleeps_us, .times = 1000};
    struct task *task = task_start(sim, sleep_times, &sleeper);
    (void)sim_run_until(sim, sim_now_us(sim) + 1);
    task_kill(task);
    assert_true(task_killed(task));
    assert_false(task_ended(task)); // it has to unwind yet
    int64_t killed_us = passed_us(sim);
    (void)sim_run_until(sim, sim_now_us(sim));
    assert_true(task_ended(task));
    assert_int_equal(sleeper.good, 0);
    assert_int_equal(sleeper.begun_us, start_us);
    assert_int_equal(sleeper.ended_us, killed_us);
}

static void killed_task_unwinds_at_once_from_sleep_and_park(void **state)
{
    killed_task_unwinds_at_once(*state, SECOND_US);
    killed_task_unwinds_at_once(*state, 0);
}

static void task_killed_before_its_start_finds_nothing_to_do(void **state)
{
    struct sim *sim = *state;
    struct sleeper sleeper = {.sim = sim, .sleeps_us = 10, .times = 3};
    struct task *task = task_start(sim, sleep_times, &sleeper);
    task_kill(task);
    run_to_the_end(sim);
    assert_true(task_ended(task) && task_killed(task));
    assert_int_equal(sleeper.good, 0);
    assert_int_equal(sleeper.ended_us, 0);
    assert_int_equal(passed_us(sim), 0); // nor did it ask for anything
}

static void killing_one_that_has_ended_is_no_effect(void **state)
{
    struct sim *sim = *state;
    struct sleeper sleeper = {.sim = sim};
    struct task *task = task_start(sim, sleep_times, &sleeper);
    run_to_the_end(sim);
    uint64_t steps = sim_steps(sim);
    task_kill(task);
    run_to_the_end(sim);
    assert_false(task_killed(task));
    assert_int_equal(sim_steps(sim), steps);
}

static void kill_itself(void *context)
{
    struct sleeper *sleeper = context;
    task_kill(task_current(sleeper->sim));
    sleep_times(sleeper);
}

static void task_may_kill_itself(void **state)
{
    struct sim *sim = *state;
    struct sleeper sleeper = {.sim = sim, .sleeps_us = 10, .times = 3};
    struct task *task = task_start(sim, kill_itself, &sleeper);
    run_to_the_end(sim);
    assert_true(task_ended(task) && task_killed(task));
    assert_int_equal(sleeper.good, 0);
    assert_int_equal(sleeper.ended_us, 0);
}

static void death_in_the_nth_wait_is_in_that_one(void **state)
{
    struct sim *sim = *state;
    for (unsigned nth = 0; nth <= 6; nth++) {
        struct sleeper sleeper = {.sim = sim, .sleeps_us = 10, .times = 5};
        struct task *task = task_start(sim, sleep_times, &sleeper);
        task_kill_in_wait(task, nth);
        run_to_the_end(sim);
        bool dies = nth >= 1 && nth <= 5;
        assert_int_equal(sleeper.good, dies ? nth - 1 : 5);
        assert_int_equal(sleeper.ended_us - sleeper.begun_us, 10 * (int64_t)sleeper.good);
        assert_int_equal(task_killed(task), dies);
        assert_true(task_ended(task));
    }
}

// --- pauses ---------------------------------------------------------------------------------------

static int64_t end_of_sleep_when_stalled_at(struct sim *sim, int64_t at_us, int64_t stall_us)
{
    struct sleeper sleeper = {.sim = sim, .sleeps_us = 100, .times = 1};
    struct task *task = task_start(sim, sleep_times, &sleeper);
    int64_t start_us = sim_now_us(sim);
    (void)sim_run_until(sim, start_us + at_us);
    task_stall(task, stall_us);
    run_to_the_end(sim);
    assert_int_equal(sleeper.good, 1);
    return sleeper.ended_us - sleeper.begun_us;
}

static void stalled_task_goes_on_after_its_pause(void **state)
{
    struct sim *sim = *state;
    assert_int_equal(end_of_sleep_when_stalled_at(sim, 50, 49), 100);
    assert_int_equal(end_of_sleep_when_stalled_at(sim, 50, 50), 100);
    assert_int_equal(end_of_sleep_when_stalled_at(sim, 50, 51), 101);
    assert_int_equal(end_of_sleep_when_stalled_at(sim, 50, SECOND_US), 50 + SECOND_US);
}

static void stalled_task_hears_a_wake_after_its_pause(void **state)
{
    struct sim *sim = *state;
    struct sleeper sleeper = {.sim = sim, .times = 1};
    struct task *task = task_start(sim, sleep_times, &sleeper);
    (void)sim_run_until(sim, SIM_EPOCH_US);
    task_stall(task, 500);
    task_wake(task);
    run_to_the_end(sim);
    assert_int_equal(sleeper.good, 1);
    assert_int_equal(sleeper.ended_us, 500);
}

static void death_ends_a_pause(void **state)
{
    struct sim *sim = *state;
    struct sleeper sleeper = {.sim = sim, .times = 1};
    struct task *task = task_start(sim, sleep_times, &sleeper);
    (void)sim_run_until(sim, SIM_EPOCH_US);
    task_stall(task, SECOND_US);
    task_kill(task);
    (void)sim_run_until(sim, SIM_EPOCH_US);
    assert_true(task_ended(task));
    assert_int_equal(sleeper.good, 0);
}

static void destroy_now(void *context)
{
    struct sim *sim = context;
    sim_destroy(&sim);
}

static void destroying_a_world_with_a_living_task_ends_the_program(void **state)
{
    struct sim *sim = *state;
    struct sleeper sleeper = {.sim = sim, .times = 1};
    struct task *task = task_start(sim, sleep_times, &sleeper);
    run_to_the_end(sim);
    assert_true(aborts(destroy_now, sim));
    task_kill(task);
    run_to_the_end(sim);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest claims[] = {
        CLAIM(timers_fire_in_order_of_time_and_of_asking),
        CLAIM(run_until_ends_at_its_time),
        CLAIM(timer_asked_for_now_fires_after_those_asked_before),
        CLAIM(asking_for_the_past_ends_the_program),
        CLAIM(memory_of_the_world_is_zeroed_aligned_and_apart),
        CLAIM(task_runs_when_the_world_does_and_sleeps_as_long_as_it_says),
        CLAIM(parked_task_waits_for_its_wake),
        CLAIM(wake_of_a_task_that_does_not_wait_is_not_kept),
        CLAIM(wake_ends_a_sleep_and_its_timer_disturbs_no_later_one),
        CLAIM(waker_goes_on_before_the_one_it_woke),
        CLAIM(killed_task_unwinds_at_once_from_sleep_and_park),
        CLAIM(task_killed_before_its_start_finds_nothing_to_do),
        CLAIM(killing_one_that_has_ended_is_no_effect),
        CLAIM(task_may_kill_itself),
        CLAIM(death_in_the_nth_wait_is_in_that_one),
        CLAIM(stalled_task_goes_on_after_its_pause),
        CLAIM(stalled_task_hears_a_wake_after_its_pause),
        CLAIM(death_ends_a_pause),
        CLAIM(destroying_a_world_with_a_living_task_ends_the_program),
    };
    seed = test_seed();
    return cmocka_run_group_tests_name("scheduler", claims, NULL, NULL);
}
