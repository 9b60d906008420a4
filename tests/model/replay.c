// Programs: what a process runs, from its start to its end.
#include "replay.h"

#include "dead_letter_step.h"
#include "lane.h"
#include "replay_seams.h"
#include "sweeper.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 16u

struct workshop {
    struct batch batch;
    struct sweeper sweeper;
    struct dead_letter_consumer dead_letters;
};

struct workshop *workshop_create(void)
{
    struct workshop *workshop = calloc(1, sizeof(*workshop));
    assert(workshop != NULL);
    struct matcher matcher = {0};
    enum err err = batch_init(&workshop->batch);
    assert(err == ERR_OK);
    err = sweeper_init(&workshop->sweeper, &matcher, NULL);
    assert(err == ERR_OK);
    err = dead_letter_consumer_init(&workshop->dead_letters, &matcher, NULL);
    assert(err == ERR_OK);
    return workshop;
}

void workshop_destroy(struct workshop **workshop)
{
    if (*workshop != NULL) {
        batch_deinit(&(*workshop)->batch);
        sweeper_deinit(&(*workshop)->sweeper);
        dead_letter_consumer_deinit(&(*workshop)->dead_letters);
        free(*workshop);
        *workshop = NULL;
    }
}

// --- calls ------------------------------------------------------------------------------------------

unsigned call_read_shift(const struct call *call)
{
    assert(call->kind == CALL_READ && call->mask != 0);
    return (unsigned)__builtin_ctzll(call->mask);
}

// A bucket is due for work when it has an entry and is not DONE.
static uint32_t buckets_to_sweep(uint32_t seen)
{
    uint32_t buckets = 0;
    for (unsigned k = 0; k < WORLD_BUCKETS_MAX; k++) {
        uint32_t bits = seen >> (8 * k) & 0xffu;
        bool unfinished = (bits & BUCKET_ENTRIES) != 0 && (bits & BUCKET_DONE) == 0;
        buckets |= unfinished ? 1u << k : 0;
    }
    return buckets;
}

uint32_t call_answer(const struct universe *universe, const struct call *call, uint32_t seen)
{
    (void)universe;
    return call->kind == CALL_READ && call->read == READ_DUE ? buckets_to_sweep(seen) : seen;
}

enum err seams_ask(struct seams *seams, const struct call *call, uint32_t *out_answer)
{
    if (seams->unwound) {
        return ERR_CLOSED;
    }
    if (seams->position == seams->history->count) {
        seams->run->pending = *call;
        seams->unwound = true;
        return ERR_CLOSED;
    }
    uint32_t answer = seams->history->answers[seams->position];
    seams->run->calls[seams->position++] = *call;
    if (answer == ANSWER_TIMEOUT) {
        return ERR_TIMEOUT;
    }
    if (out_answer != NULL) {
        *out_answer = answer;
    }
    return ERR_OK;
}

bool seams_removed(const struct seams *seams, enum removal removal)
{
    return seams->universe->way.removal == removal;
}

bool seams_variant(const struct seams *seams, enum variant variant)
{
    return seams->universe->way.variant == variant;
}

// --- programs ----------------------------------------------------------------------------------------

static enum err run_consumer(struct workshop *workshop, const struct matcher *matcher)
{
    struct lane lane = {.matcher = *matcher, .slice_max = BATCH_MAX};
    struct batch_limits limits = {2 * BATCH_MAX, 1u << 20, true, true};
    struct why why = {0};
    enum err err = batch_fetch(&workshop->batch, matcher->bus, &limits, matcher->rules, &why);
    return err == ERR_OK ? lane_apply(&lane, &workshop->batch, &why) : err;
}

static enum err run_sweeper(struct workshop *workshop, const struct matcher *matcher,
                            const struct universe *universe)
{
    unsigned due = universe->world->due_buckets;
    assert(due > 0 && due < WORLD_BUCKETS_MAX);
    struct why why = {0};
    bool done = false;
    workshop->sweeper.matcher = *matcher;
    return sweeper_step(&workshop->sweeper, universe_due_us(universe, due - 1) + 1, false, &done,
                        &why);
}

static enum err run_dead_letters(struct workshop *workshop, const struct matcher *matcher)
{
    struct why why = {0};
    size_t count = 0;
    workshop->dead_letters.matcher = *matcher;
    return dead_letter_consume(&workshop->dead_letters, &count, &why);
}

static enum err run_program(struct workshop *workshop, struct seams *seams)
{
    struct matcher matcher = {&seams->store, &seams->bus, &seams->universe->rules,
                              clock_virtual(&seams->universe->time)};
    switch (seams->program->kind) {
    case PROCESS_CONSUMER:
        return run_consumer(workshop, &matcher);
    case PROCESS_SWEEPER:
        return run_sweeper(workshop, &matcher, seams->universe);
    case PROCESS_DEAD_LETTERS:
        seams->phase = PHASE_LETTER;
        return run_dead_letters(workshop, &matcher);
    }
    return ERR_INTERNAL;
}

void replay(struct workshop *workshop, struct universe *universe, const struct program *program,
            const struct history *history, struct run *out_run)
{
    struct seams seams = {
        .store = {.ops = &replay_store_ops, .transactional = universe->way.takes_rows_out},
        .bus = {.ops = &replay_bus_ops},
        .universe = universe,
        .program = program,
        .history = history,
        .run = out_run,
    };
    memset(out_run, 0, sizeof(*out_run));
    enum err err = run_program(workshop, &seams);
    assert(seams.position == history->count); // else an answer was given that nobody asked for
    if (seams.unwound) {
        assert(err != ERR_OK); // no call's error is passed over
    } else {
        out_run->pending.kind = CALL_END;
        out_run->pending.number = err != ERR_OK;
    }
}
