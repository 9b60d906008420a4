// A fixed life of the pipeline, told step by step: messages of every kind are published, applied,
// swept and recorded. A step that fails may be tried again, in the same process or in the next one;
// at the end the tables must show what an undisturbed life shows.
//
// The step at hand is the journal of acknowledged publishes: what failed is published again, whether
// or not it had arrived.
#ifndef TILL_FAULT_SCENARIO_H
#define TILL_FAULT_SCENARIO_H

#include "event_bag.h"
#include "picture.h"
#include "rig.h"

#define SCENARIO_STEPS_MAX 160

enum scenario_kind {
    SCENARIO_PUBLISH,
    SCENARIO_RUN,
    SCENARIO_WAIT, // until the grace of what has come is over
    SCENARIO_SWEEP,
    SCENARIO_SWEEP_FINAL,
    SCENARIO_CONSUME,
    SCENARIO_RECHECK,
    SCENARIO_RESTART, // an orderly one, or the first start
};

struct scenario {
    struct rig rig;
    struct bag bag;
    struct {
        enum scenario_kind kind;
        size_t message; // of SCENARIO_PUBLISH
    } steps[SCENARIO_STEPS_MAX];
    size_t step_count;
    size_t step;       // at hand; those before it are done
    size_t retries;    // errors of class RETRY so far
    size_t room_after; // retries after which make_room is called; 0: at the first
    void (*opened)(
        struct rig *rig);    // called after each start that scenario_live makes; may be NULL
    void (*make_room)(void); // ends the fault that RETRY errors tell of; NULL: none is expected
};

// A new directory, nothing done yet: the first step opens the files, which makes them.
void scenario_init(struct scenario *scenario);
void scenario_deinit(struct scenario *scenario);

// Goes on from the step at hand to the end, or to the first error of class STOP. On a RETRY error
// hands back what is in hand, makes room in the end and tries the step again.
MUST_USE enum err scenario_live(struct scenario *scenario, struct why *why);
// As a process that died goes on: what is open is killed, then opened again.
void scenario_start_again(struct scenario *scenario);

// Asserts that the life is at its end, that the report balances, and that the tables show what
// `expected` shows.
void scenario_assert_done(struct scenario *scenario, const struct picture *expected);
// The picture of an undisturbed life.
void scenario_undisturbed(struct picture *out_picture);

#endif
