// One simulated world: virtual time, one seed, timers, and tasks that run one at a time on stacks of
// their own. Everything random is drawn from the seed, and everything happens in the order of virtual
// time (of equal times in the order of asking), so the same seed gives the same history, byte for byte.
//
// A task is a process of the simulated system. It runs the pipeline's own code, which calls the seams;
// a seam call of bus_sim or store_sim parks the task until the answer comes. A task that is killed has
// no effect any more: every seam call gives ERR_CLOSED at once and changes nothing, so the code unwinds
// and frees what it has, and nobody outside can tell it from a process that died between two calls.
#ifndef TILL_SIM_H
#define TILL_SIM_H

#include "rand.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim;
struct task;

typedef void sim_fn(void *context);

#define SIM_EPOCH_US INT64_C(1700000000000000) // wall time at the start of every world

struct sim *sim_create(uint64_t seed);
void sim_destroy(struct sim **sim); // all tasks must have ended

struct rand *sim_rand(struct sim *sim);
int64_t sim_now_us(const struct sim *sim); // true time, from SIM_EPOCH_US on

// Calls fn(context) at that time (not earlier than now), outside of any task.
void sim_at(struct sim *sim, int64_t time_us, sim_fn *fn, void *context);

// Runs everything that is due up to that time. false when nothing is left to happen at all.
bool sim_run_until(struct sim *sim, int64_t time_us);

// Memory that lives as long as the world; zeroed. Never NULL.
void *sim_alloc(struct sim *sim, size_t size);

// --- tasks ------------------------------------------------------------------------------------

// Starts a task; it first runs at the present time. The struct lives as long as the world.
struct task *task_start(struct sim *sim, sim_fn *body, void *context);
void task_kill(struct task *task); // no effect on one that has ended
// Kills it in its nth wait from now (1: the next one), after what it asked for there has begun.
void task_kill_in_wait(struct task *task, uint64_t nth);
// Stands still for that long, as a process does whose machine is paused, and then goes on unaware.
void task_stall(struct task *task, int64_t us);
bool task_killed(const struct task *task);
uint64_t task_waits(const struct task *task); // how often it waited so far
bool task_ended(const struct task *task);
struct task *task_current(const struct sim *sim); // NULL outside of any

// From within the task itself. Both return at once, and false, when the task is or was killed.
bool task_sleep(struct sim *sim, int64_t us);
bool task_park(struct sim *sim);   // until task_wake
void task_wake(struct task *task); // of a task that is parked; else no effect

// --- the history --------------------------------------------------------------------------------

// Adds to the digest of the history: equal digests, equal histories.
void sim_note(struct sim *sim, uint64_t what, uint64_t detail);
uint64_t sim_digest(const struct sim *sim);
uint64_t sim_steps(const struct sim *sim); // timers and task switches so far
// Lines of the history on `file` (a FILE *), or none with NULL.
void sim_trace_to(struct sim *sim, void *file);
bool sim_traces(const struct sim *sim);
void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
