// The memory of replays: a table of local states by key, and of steps by (local state, answer).
#include "locals.h"

#include "hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LOCALS_MAX  65536u
#define STEPS_MAX   (1u << 20) // a power of two, well above what is used
#define KEPT_MAX    16u
#define MEMBERS_MAX 6u // histories kept of each local state, to check the key with
#define NO_STEP     UINT32_MAX

// What still matters of a history.
struct key {
    struct call pending;
    struct call last; // the call that was answered last
    uint32_t program;
    uint32_t kept_count;
    uint32_t kept[KEPT_MAX]; // answers
};

struct local {
    struct key key;
    struct history *members[MEMBERS_MAX];
    size_t member_count;
    uint32_t first_step; // list of its known steps
};

struct step {
    uint32_t local;
    uint32_t answer;
    uint32_t next;
    uint32_t other_step; // of the same local state
};

struct locals {
    struct universe *universe;
    struct workshop *workshop;
    struct program programs[PROGRAMS_MAX];
    uint32_t starts[PROGRAMS_MAX];
    size_t program_count;
    struct local *locals; // from 1 on
    size_t count;
    struct step *steps; // open addressing by (local, answer); local 0: free
    size_t step_count;
    uint32_t *by_key; // open addressing
    size_t replays;
};

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    assert(memory != NULL);
    return memory;
}

struct locals *locals_create(struct universe *universe)
{
    struct locals *locals = allocate(1, sizeof(*locals));
    locals->universe = universe;
    locals->workshop = workshop_create();
    locals->locals = allocate(LOCALS_MAX, sizeof(struct local));
    locals->steps = allocate(STEPS_MAX, sizeof(struct step));
    locals->by_key = allocate(2 * (size_t)LOCALS_MAX, sizeof(uint32_t));
    return locals;
}

void locals_destroy(struct locals **owner)
{
    struct locals *locals = *owner;
    if (locals == NULL) {
        return;
    }
    for (size_t i = 1; i <= locals->count; i++) {
        for (size_t k = 0; k < locals->locals[i].member_count; k++) {
            free(locals->locals[i].members[k]);
        }
    }
    workshop_destroy(&locals->workshop);
    free(locals->locals);
    free(locals->steps);
    free(locals->by_key);
    free(locals);
    *owner = NULL;
}

// --- keys -------------------------------------------------------------------------------------------

// Variants that read before they write carry what they read past the write.
static bool forgets(const struct locals *locals)
{
    enum variant variant = locals->universe->way.variant;
    return variant != VARIANT_READ_BEFORE_WRITE && variant != VARIANT_READ_THEN_DECIDE;
}

// A set of rows that was read is forgotten as soon as what follows from it is on its way: the next
// write, projection or bucket says it all. Only while letters are published it still counts.
static bool still_matters(const struct locals *locals, const struct run *run, size_t index,
                          size_t count, uint32_t answer)
{
    const struct call *call = &run->calls[index];
    if (answer == ANSWER_TIMEOUT) {
        return true;
    }
    if (call->kind != CALL_READ) {
        return false;
    }
    bool is_rows = call->read == READ_EVENTS;
    bool publishing = index + 1 == count && run->pending.kind == CALL_PUBLISH;
    return !is_rows || publishing || !forgets(locals);
}

static void key_of(const struct locals *locals, uint32_t program, const struct history *history,
                   const struct run *run, struct key *out_key)
{
    memset(out_key, 0, sizeof(*out_key));
    out_key->program = program;
    out_key->pending = run->pending;
    if (history->count > 0) {
        out_key->last = run->calls[history->count - 1];
    }
    for (size_t i = 0; i < history->count; i++) {
        if (still_matters(locals, run, i, history->count, history->answers[i])) {
            assert(out_key->kept_count < KEPT_MAX);
            out_key->kept[out_key->kept_count++] = history->answers[i];
        }
    }
}

static void run_history(struct locals *locals, uint32_t program, const struct history *history,
                        struct key *out_key)
{
    struct run run;
    replay(locals->workshop, locals->universe, &locals->programs[program], history, &run);
    locals->replays++;
    key_of(locals, program, history, &run, out_key);
}

static uint32_t *slot_of_key(struct locals *locals, const struct key *key)
{
    struct hash hash;
    uint64_t at = 0;
    hash_bytes(key, sizeof(*key), &hash);
    memcpy(&at, hash.bytes, sizeof(at));
    size_t mask = 2 * (size_t)LOCALS_MAX - 1;
    while (locals->by_key[at & mask] != 0 &&
           memcmp(&locals->locals[locals->by_key[at & mask]].key, key, sizeof(*key)) != 0) {
        at++;
    }
    return &locals->by_key[at & mask];
}

static uint32_t local_of_key(struct locals *locals, const struct key *key)
{
    uint32_t *slot = slot_of_key(locals, key);
    if (*slot == 0) {
        assert(locals->count + 1 < LOCALS_MAX);
        *slot = (uint32_t)++locals->count;
        locals->locals[*slot].key = *key;
        locals->locals[*slot].first_step = NO_STEP;
    }
    return *slot;
}

// --- steps ------------------------------------------------------------------------------------------

static struct history longer_by(const struct history *history, uint32_t answer)
{
    struct history longer = *history;
    assert(longer.count < HISTORY_MAX);
    longer.answers[longer.count++] = answer;
    return longer;
}

static bool is_member(const struct local *local, const struct history *history)
{
    for (size_t i = 0; i < local->member_count; i++) {
        if (local->members[i]->count == history->count &&
            memcmp(local->members[i]->answers, history->answers,
                   history->count * sizeof(history->answers[0])) == 0) {
            return true;
        }
    }
    return false;
}

static void add_member(struct locals *locals, uint32_t number, const struct history *history);

// Where one history leads with that answer; it must be where the others of its local state lead.
static void check_step(struct locals *locals, uint32_t number, const struct history *history,
                       const struct step *step)
{
    struct history longer = longer_by(history, step->answer);
    struct key key;
    run_history(locals, locals->locals[number].key.program, &longer, &key);
    uint32_t next = local_of_key(locals, &key);
    assert(next == step->next); // else the key forgets something that matters
    add_member(locals, next, &longer);
}

static void add_member(struct locals *locals, uint32_t number, const struct history *history)
{
    struct local *local = &locals->locals[number];
    if (local->member_count == MEMBERS_MAX || is_member(local, history)) {
        return;
    }
    struct history *kept = allocate(1, sizeof(*kept));
    *kept = *history;
    local->members[local->member_count++] = kept;
    for (uint32_t at = local->first_step; at != NO_STEP; at = locals->steps[at].other_step) {
        struct step step = locals->steps[at];
        check_step(locals, number, history, &step);
    }
}

static size_t slot_of_step(const struct locals *locals, uint32_t local, uint32_t answer)
{
    uint64_t at = hash_mix_u64((uint64_t)local << 32 | answer);
    while (locals->steps[at & (STEPS_MAX - 1)].local != 0 &&
           (locals->steps[at & (STEPS_MAX - 1)].local != local ||
            locals->steps[at & (STEPS_MAX - 1)].answer != answer)) {
        at++;
    }
    return at & (STEPS_MAX - 1);
}

static uint32_t find_next(struct locals *locals, uint32_t number, uint32_t answer, size_t slot)
{
    struct local *local = &locals->locals[number];
    assert(local->member_count > 0 && locals->step_count < STEPS_MAX / 2);
    struct history longer = longer_by(local->members[0], answer);
    struct key key;
    run_history(locals, local->key.program, &longer, &key);
    struct step step = {number, answer, local_of_key(locals, &key), local->first_step};
    locals->steps[slot] = step;
    locals->step_count++;
    local->first_step = (uint32_t)slot;
    add_member(locals, step.next, &longer);
    for (size_t i = 1; i < local->member_count; i++) {
        check_step(locals, number, local->members[i], &step);
    }
    return step.next;
}

unsigned locals_next(struct locals *locals, unsigned local, uint32_t answer)
{
    size_t slot = slot_of_step(locals, local, answer);
    return locals->steps[slot].local != 0 ? locals->steps[slot].next
                                          : find_next(locals, local, answer, slot);
}

// --- programs ---------------------------------------------------------------------------------------

unsigned locals_program(struct locals *locals, const struct program *program)
{
    for (unsigned i = 0; i < locals->program_count; i++) {
        const struct program *known = &locals->programs[i];
        if (known->kind == program->kind && known->messages == program->messages &&
            known->letter == program->letter) {
            return i;
        }
    }
    assert(locals->program_count < PROGRAMS_MAX);
    locals->programs[locals->program_count] = *program;
    return (unsigned)locals->program_count++;
}

const struct program *locals_program_at(const struct locals *locals, unsigned program)
{
    assert(program < locals->program_count);
    return &locals->programs[program];
}

unsigned locals_start(struct locals *locals, unsigned program)
{
    if (locals->starts[program] == 0) {
        struct history none = {.count = 0};
        struct key key;
        run_history(locals, program, &none, &key);
        locals->starts[program] = local_of_key(locals, &key);
        add_member(locals, locals->starts[program], &none);
    }
    return locals->starts[program];
}

const struct call *locals_pending(const struct locals *locals, unsigned local)
{
    assert(local != LOCAL_NONE && local <= locals->count);
    return &locals->locals[local].key.pending;
}

const struct call *locals_last(const struct locals *locals, unsigned local)
{
    assert(local != LOCAL_NONE && local <= locals->count);
    return &locals->locals[local].key.last;
}

unsigned locals_program_of(const struct locals *locals, unsigned local)
{
    assert(local != LOCAL_NONE && local <= locals->count);
    return locals->locals[local].key.program;
}

uint32_t locals_first_answer(const struct locals *locals, unsigned local)
{
    const struct key *key = &locals->locals[local].key;
    return key->kept_count == 0 ? 0 : key->kept[0];
}

size_t locals_count(const struct locals *locals)
{
    return locals->count;
}

size_t locals_replays(const struct locals *locals)
{
    return locals->replays;
}
