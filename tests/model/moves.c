// Successors. A call's effect that needs nobody else, such as being issued, comes with the answer before
// it, so that there are fewer steps and no less behaviour.
#include "moves.h"

#include <assert.h>
#include <string.h>

struct moves {
    const struct model *model;
    const struct state *state;
    move_fn *visit;
    void *context;
};

static void emit(const struct moves *moves, const struct move *move, const struct state *next)
{
    moves->visit(moves->context, move, next);
}

// --- projections -----------------------------------------------------------------------------------

static bool by_issue(const struct model *model)
{
    return model->way.variant == VARIANT_WALL_CLOCK || model->way.variant == VARIANT_NULLS_INCLUDED;
}

static int64_t timestamp_of(const struct model *model, unsigned number)
{
    return model->universe->projections[number].timestamp;
}

static unsigned above_count(const struct state *state)
{
    unsigned count = 0;
    while (count < ABOVE_MAX && state->above[count] != 0) {
        count++;
    }
    return count;
}

static void drop_above(struct state *state, unsigned index)
{
    memmove(state->above + index, state->above + index + 1, ABOVE_MAX - 1 - index);
    state->above[ABOVE_MAX - 1] = 0;
}

static void insert_above(struct state *state, unsigned index, unsigned number)
{
    assert(state->above[ABOVE_MAX - 1] == 0);
    memmove(state->above + index + 1, state->above + index, ABOVE_MAX - 1 - index);
    state->above[index] = (uint8_t)number;
}

// In the order of issue: what is issued last wins. Of very many the oldest matters least.
static void append_above(struct state *state, unsigned count, unsigned number)
{
    if (count > 0 && state->above[count - 1] == number) {
        return;
    }
    if (count == ABOVE_MAX) {
        drop_above(state, 0);
        count--;
    }
    insert_above(state, count, number);
}

static enum check issue_projection(const struct model *model, struct state *state, unsigned number)
{
    enum check check = check_projection(model, state, number);
    unsigned count = above_count(state);
    for (unsigned i = 0; i < count; i++) {
        if (state->above[i] == number && !by_issue(model)) {
            return check;
        }
    }
    if (by_issue(model)) {
        append_above(state, count, number);
        return check;
    }
    int64_t timestamp = timestamp_of(model, number);
    if (state->floor != 0 && timestamp <= timestamp_of(model, state->floor)) {
        return check;
    }
    unsigned at = 0;
    while (at < count && timestamp_of(model, state->above[at]) < timestamp) {
        at++;
    }
    insert_above(state, at, number);
    return check;
}

// It is at two replicas now: nobody sees a smaller one any more.
static void acknowledge_projection(const struct model *model, struct state *state, unsigned number)
{
    unsigned count = above_count(state);
    unsigned at = 0;
    while (at < count && state->above[at] != number) {
        at++;
    }
    if (at == count || model->write_quorum < 2) {
        return; // a greater one stands already, or one replica is no floor
    }
    state->floor = (uint8_t)number;
    for (unsigned i = 0; i <= at; i++) {
        drop_above(state, 0);
    }
}

// --- going on --------------------------------------------------------------------------------------

static void set_local(struct state *state, unsigned p, unsigned local)
{
    state_set_process(state, p, (struct process){.local = local});
}

// Where a process begins again; nowhere when no message of it comes again, or when it has to take up a
// letter first.
static unsigned start_of(const struct model *model, const struct state *state, unsigned p)
{
    const struct program *program = &model->programs[p];
    bool acked =
        program->kind == PROCESS_CONSUMER && (program->messages & ~(unsigned)state->acked) == 0;
    return acked || program->kind == PROCESS_DEAD_LETTERS ? LOCAL_NONE : model->starts[p];
}

// Puts the process into its next local state, with what follows from that at once.
static enum check enter(const struct model *model, struct state *state, unsigned p, unsigned local)
{
    enum check check = CHECK_none;
    for (unsigned ends = 0;; ends++) {
        assert(ends < 2);
        set_local(state, p, local);
        if (local == LOCAL_NONE) {
            return check;
        }
        const struct call *call = locals_pending(model->locals, local);
        if (call->kind == CALL_WRITE) {
            state->issued |= UINT64_C(1) << call->number;
        } else if (call->kind == CALL_PROJECT && check == CHECK_none) {
            check = issue_projection(model, state, call->number);
        }
        if (call->kind != CALL_END) {
            return check;
        }
        bool well = call->number == 0;
        check = well ? check_end(model, state, local) : CHECK_none;
        bool ends_here = well && model->programs[p].kind != PROCESS_SWEEPER;
        local = ends_here ? LOCAL_NONE : start_of(model, state, p);
    }
}

static void answer(const struct moves *moves, struct move *move, struct state *next, uint32_t given)
{
    struct process process = state_process(next, move->process);
    unsigned local = locals_next(moves->model->locals, process.local, given);
    enum check check = enter(moves->model, next, move->process, local);
    move->violated = move->violated == CHECK_none ? check : move->violated;
    emit(moves, move, next);
}

// --- writes ----------------------------------------------------------------------------------------

// Copies reach enough replicas. Further ones may come later, when somebody looks.
static void each_write(const struct moves *moves, unsigned p, const struct call *call)
{
    unsigned missing = 0;
    unsigned have = 0;
    for (unsigned r = 0; r < REPLICAS; r++) {
        bool has = (moves->state->replica[r] & call->mask) == call->mask;
        missing |= has ? 0 : 1u << r;
        have += has;
    }
    unsigned needed = have >= moves->model->write_quorum ? 0 : moves->model->write_quorum - have;
    for (unsigned chosen = 0; chosen < 1u << REPLICAS; chosen++) {
        if ((chosen & ~missing) != 0 || (unsigned)__builtin_popcount(chosen) != needed) {
            continue;
        }
        struct state next = *moves->state;
        for (unsigned r = 0; r < REPLICAS; r++) {
            next.replica[r] |= has_bit(chosen, r) ? call->mask : 0;
        }
        struct move move = {.kind = MOVE_ARRIVE, .process = p, .call = *call, .replicas = chosen};
        answer(moves, &move, &next, 0);
    }
}

// --- reads -----------------------------------------------------------------------------------------

// Every set of copies that may have reached replica r, as far as the reader can tell; each once.
static unsigned arrivals_at(const struct moves *moves, unsigned r, uint64_t asked,
                            uint64_t *out_arrivals, unsigned arrivals_max)
{
    unsigned count = 1;
    out_arrivals[0] = 0;
    for (uint64_t left = moves->state->issued; left != 0; left &= left - 1) {
        uint64_t copy = moves->model->universe->writes[__builtin_ctzll(left)];
        uint64_t added = copy & ~moves->state->replica[r];
        if ((added & asked) == 0) {
            continue;
        }
        unsigned before = count;
        for (unsigned i = 0; i < before; i++) {
            uint64_t joined = out_arrivals[i] | added;
            unsigned at = 0;
            while (at < count && out_arrivals[at] != joined) {
                at++;
            }
            if (at == count) {
                assert(count < arrivals_max);
                out_arrivals[count++] = joined;
            }
        }
    }
    return count;
}

// `replicas` were asked and have given `seen` together.
static void finish_read(const struct moves *moves, struct move *move, struct state *next,
                        uint32_t seen, unsigned replicas)
{
    const struct call *call = &move->call;
    bool repairs = moves->model->way.reads != READS_PLAIN;
    for (unsigned r = 0; repairs && r < REPLICAS; r++) {
        if (has_bit(replicas, r)) {
            next->replica[r] |= (uint64_t)seen << call_read_shift(call);
        }
    }
    if (!move->again) {
        answer(moves, move, next, call_answer(moves->model->universe, call, seen));
        return;
    }
    set_local(next, move->process, state_process(next, move->process).local);
    emit(moves, move, next);
}

static void each_sample(const struct moves *moves, unsigned p, const struct call *call, unsigned r)
{
    struct process process = state_process(moves->state, p);
    uint64_t *arrivals = moves->model->arrivals;
    unsigned count = arrivals_at(moves, r, call->mask, arrivals, ARRIVALS_MAX);
    for (unsigned i = 0; i < count; i++) {
        struct state next = *moves->state;
        next.replica[r] |= arrivals[i];
        uint64_t bits = next.replica[r] & call->mask;
        uint32_t seen = process.seen | (uint32_t)(bits >> call_read_shift(call));
        struct move move = {.kind = MOVE_SAMPLE,
                            .process = p,
                            .call = *call,
                            .replicas = 1u << r,
                            .arrived = arrivals[i],
                            .bits = bits};
        if (process.sampled != 0 || moves->model->read_quorum == 1) {
            move.again = process.sampled != 0 && process.seen != bits >> call_read_shift(call) &&
                         moves->model->way.reads == READS_AGREE && call->read == READ_EVENTS;
            unsigned first = process.sampled == 0 ? 0 : 1u << (process.sampled - 1);
            finish_read(moves, &move, &next, seen, first | 1u << r);
        } else {
            state_set_process(&next, p, (struct process){process.local, r + 1, seen});
            emit(moves, &move, &next);
        }
    }
}

static void each_read(const struct moves *moves, unsigned p, const struct call *call)
{
    unsigned sampled = state_process(moves->state, p).sampled;
    for (unsigned r = 0; r < REPLICAS; r++) {
        if (sampled != r + 1) {
            each_sample(moves, p, call, r);
        }
    }
}

// --- the bus, and projections ----------------------------------------------------------------------

static enum check take_effect(const struct model *model, struct state *state, unsigned p,
                              const struct call *call)
{
    enum check check = CHECK_none;
    switch ((enum call_kind)call->kind) {
    case CALL_PROJECT:
        acknowledge_projection(model, state, call->number);
        break;
    case CALL_PUBLISH:
        state->published |= (uint8_t)call->mask;
        break;
    case CALL_ACK:
        check = check_ack(model, state, state_process(state, p).local);
        state->acked |= (uint8_t)call->mask;
        break;
    case CALL_ACK_LETTER:
        state->letters_acked |= (uint8_t)call->mask;
        break;
    case CALL_END:
    case CALL_WRITE:
    case CALL_READ:
        break;
    }
    return check;
}

static void go_on(const struct moves *moves, unsigned p, const struct call *call)
{
    struct state next = *moves->state;
    struct move move = {.kind = MOVE_GO_ON, .process = p, .call = *call};
    move.violated = take_effect(moves->model, &next, p, call);
    answer(moves, &move, &next, 0);
}

// --- what goes wrong -------------------------------------------------------------------------------

// Writes and projections may arrive or not whatever their caller hears; of a publish or an ack it is
// said here.
static bool may_be_done_unheard(const struct call *call)
{
    return call->kind == CALL_PUBLISH || call->kind == CALL_ACK || call->kind == CALL_ACK_LETTER;
}

static void time_out(const struct moves *moves, unsigned p, const struct call *call)
{
    for (unsigned done = 0; done <= may_be_done_unheard(call); done++) {
        struct state next = *moves->state;
        next.timeouts_left--;
        struct move move = {.kind = MOVE_TIMEOUT, .process = p, .call = *call, .done = done != 0};
        move.violated = done != 0 ? take_effect(moves->model, &next, p, call) : CHECK_none;
        answer(moves, &move, &next, ANSWER_TIMEOUT);
    }
}

static void crash(const struct moves *moves, unsigned p, const struct call *call)
{
    for (unsigned done = 0; done <= may_be_done_unheard(call); done++) {
        struct state next = *moves->state;
        next.crashes_left--;
        struct move move = {.kind = MOVE_CRASH, .process = p, .call = *call, .done = done != 0};
        move.violated = done != 0 ? take_effect(moves->model, &next, p, call) : CHECK_none;
        enum check check = enter(moves->model, &next, p, start_of(moves->model, &next, p));
        move.violated = move.violated == CHECK_none ? check : move.violated;
        emit(moves, &move, &next);
    }
}

static void take_letters(const struct moves *moves, unsigned p)
{
    unsigned waiting = moves->state->published & ~(unsigned)moves->state->letters_acked;
    for (uint8_t i = 0; i < LETTERS_MAX; i++) {
        if (!has_bit(waiting, i)) {
            continue;
        }
        struct state next = *moves->state;
        struct program program = {.kind = PROCESS_DEAD_LETTERS, .letter = i};
        unsigned number = locals_program(moves->model->locals, &program);
        struct move move = {.kind = MOVE_TAKE, .process = p, .bits = 1u << i};
        move.violated = enter(moves->model, &next, p, locals_start(moves->model->locals, number));
        emit(moves, &move, &next);
    }
}

static void forget(const struct moves *moves)
{
    for (unsigned r = 0; r < REPLICAS; r++) {
        for (unsigned w = 0; w < moves->model->universe->write_count; w++) {
            uint64_t bits = moves->model->universe->writes[w];
            if ((moves->state->replica[r] & bits) != bits) {
                continue;
            }
            struct state next = *moves->state;
            next.replica[r] &= ~bits;
            next.losses_left--;
            struct move move = {.kind = MOVE_FORGET, .replicas = 1u << r, .bits = bits};
            emit(moves, &move, &next);
        }
    }
}

// --- all of it -------------------------------------------------------------------------------------

static bool is_at_start(const struct model *model, const struct state *state, unsigned p)
{
    struct process process = state_process(state, p);
    return process.sampled == 0 && process.local == start_of(model, state, p);
}

static void each_of_process(const struct moves *moves, unsigned p)
{
    struct process process = state_process(moves->state, p);
    if (process.local == LOCAL_NONE) {
        if (moves->model->programs[p].kind == PROCESS_DEAD_LETTERS) {
            take_letters(moves, p);
        }
        return;
    }
    const struct call *call = locals_pending(moves->model->locals, process.local);
    if (call->kind == CALL_WRITE) {
        each_write(moves, p, call);
    } else if (call->kind == CALL_READ) {
        each_read(moves, p, call);
    } else {
        go_on(moves, p, call);
    }
    if (moves->state->timeouts_left > 0) {
        time_out(moves, p, call);
    }
    if (moves->state->crashes_left > 0 && !is_at_start(moves->model, moves->state, p)) {
        crash(moves, p, call);
    }
}

void moves_each(const struct model *model, const struct state *state, move_fn *visit, void *context)
{
    struct moves moves = {model, state, visit, context};
    for (unsigned p = 0; p < model->process_count; p++) {
        each_of_process(&moves, p);
    }
    if (state->losses_left > 0) {
        forget(&moves);
    }
}

enum check moves_first(const struct model *model, struct state *out_state)
{
    memset(out_state, 0, sizeof(*out_state));
    out_state->crashes_left = model->world->crashes;
    out_state->timeouts_left = model->world->timeouts;
    out_state->losses_left = model->way.variant == VARIANT_PERIODIC_COMMIT_LOG;
    enum check check = CHECK_none;
    for (unsigned p = 0; check == CHECK_none && p < model->process_count; p++) {
        if (model->programs[p].kind == PROCESS_DEAD_LETTERS) {
            continue;
        }
        check = enter(model, out_state, p, model->starts[p]);
    }
    return check;
}
