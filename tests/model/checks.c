// The checks, over what a reader at quorum could see.
#include "checks.h"

#include <string.h>

static const char *const names[CHECK_COUNT] = {
#define X(name) #name,
    CHECK_TABLE(X)
#undef X
};

const char *check_name(enum check check)
{
    return names[check];
}

bool check_find(const char *name, enum check *out_check)
{
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out_check = (enum check)i;
            return true;
        }
    }
    return false;
}

// A reader's rows are at two replicas, whatever the way of the world takes for enough.
#define QUORUM 2u

static const struct projection *projection_at(const struct model *model, unsigned number)
{
    return &model->universe->projections[number];
}

typedef bool projection_fn(const struct model *model, const struct state *state,
                           const struct projection *projection);

// Whether it holds for whatever projection a reader may see, which must be one.
static bool for_every_reader(const struct model *model, const struct state *state,
                             projection_fn *holds)
{
    bool all = state->floor != 0 && holds(model, state, projection_at(model, state->floor));
    for (unsigned i = 0; all && i < ABOVE_MAX && state->above[i] != 0; i++) {
        all = holds(model, state, projection_at(model, state->above[i]));
    }
    return all;
}

// --- facts -----------------------------------------------------------------------------------------

static uint8_t identities_of(const struct model *model, unsigned messages)
{
    unsigned identities = 0;
    for (unsigned i = 0; i < model->universe->message_count; i++) {
        bool is_one = has_bit(messages, i) && has_bit(model->universe->payment_messages, i);
        identities |= is_one ? 1u << model->universe->message_identity[i] : 0;
    }
    return (uint8_t)identities;
}

static bool shows_acked_payments(const struct model *model, const struct state *state,
                                 const struct projection *projection)
{
    unsigned identities = identities_of(model, state->acked);
    return projection->has_order && (identities & ~(unsigned)projection->matched) == 0;
}

static bool shows_winners(const struct model *model, const struct state *state,
                          const struct projection *projection)
{
    (void)state;
    unsigned winners = model->universe->message_rows & ~(unsigned)model->universe->loser_rows;
    return (winners & ~(unsigned)projection->rows) == 0;
}

static bool shows_everything(const struct model *model, const struct state *state,
                             const struct projection *projection)
{
    (void)state;
    return (model->universe->message_rows & ~(unsigned)projection->rows) == 0 &&
           hash_equal(&projection->content, &model->universe->content);
}

static bool losers_are_published(const struct model *model, const struct state *state)
{
    const struct universe *universe = model->universe;
    unsigned reported = 0;
    for (unsigned i = 0; i < universe->letter_count; i++) {
        bool is_one =
            has_bit(state->published, i) && universe->letters[i].reason == REASON_E_CONFLICT;
        reported += is_one;
    }
    return reported >= (unsigned)__builtin_popcount(universe->loser_rows);
}

// Every entry that is at two replicas is in a bucket that is DONE at two, or not due ever.
static bool all_is_swept(const struct model *model, const struct state *state)
{
    for (unsigned k = 0; k < model->world->due_buckets; k++) {
        if (state_replicas_with(state, (uint64_t)BUCKET_DONE << BUCKET_SHIFT(k)) >= QUORUM) {
            continue;
        }
        for (unsigned i = 0; i < model->universe->message_count; i++) {
            if (state_replicas_with(state, UINT64_C(1) << (BUCKET_SHIFT(k) + i)) >= QUORUM) {
                return false;
            }
        }
    }
    return true;
}

static bool is_at_rest(const struct model *model, const struct state *state)
{
    unsigned all = model->universe->order_messages | model->universe->payment_messages;
    if (state->acked != all) {
        return false;
    }
    for (unsigned p = 0; p < model->process_count; p++) {
        struct process process = state_process(state, p);
        bool idle = process.local == LOCAL_NONE ||
                    (model->programs[p].kind == PROCESS_SWEEPER &&
                     process.local == model->starts[p] && process.sampled == 0);
        if (!idle) {
            return false;
        }
    }
    return all_is_swept(model, state);
}

static enum check check_facts(const struct model *model, const struct state *state)
{
    const struct universe *universe = model->universe;
    bool at_rest = is_at_rest(model, state);
    if (universe->order_messages == 0 || (!at_rest && !model->way.strict)) {
        return CHECK_none;
    }
    if ((state->acked & universe->order_messages) != 0 &&
        !for_every_reader(model, state, shows_acked_payments)) {
        return CHECK_both_miss_never_happens;
    }
    if (!at_rest) {
        return CHECK_none;
    }
    if (universe->loser_rows != 0 && !for_every_reader(model, state, shows_winners)) {
        return CHECK_conflicts_converge;
    }
    if (!for_every_reader(model, state, shows_everything)) {
        return CHECK_converges;
    }
    return losers_are_published(model, state) ? CHECK_none : CHECK_conflicts_are_reported;
}

// --- payments without their order ------------------------------------------------------------------

static bool is_dead(const struct model *model, const struct state *state, uint8_t identity)
{
    const struct universe *universe = model->universe;
    unsigned notes = universe_notes_of(universe, NOTE_DEAD, identity);
    bool noted = false;
    for (unsigned left = notes; left != 0; left &= left - 1) {
        noted |= state_replicas_with(state, left & -left) >= QUORUM;
    }
    for (unsigned i = 0; noted && i < universe->letter_count; i++) {
        const struct letter *letter = &universe->letters[i];
        if (has_bit(state->published, i) && letter->reason == REASON_E_UNMATCHED &&
            letter->identity == identity) {
            return true;
        }
    }
    return false;
}

static bool has_entry(const struct model *model, const struct state *state, unsigned bucket,
                      uint8_t identity)
{
    for (unsigned i = 0; i < model->universe->message_count; i++) {
        uint64_t entry = UINT64_C(1) << (BUCKET_SHIFT(bucket) + i);
        if (model->universe->message_identity[i] == identity &&
            state_replicas_with(state, entry) >= QUORUM) {
            return true;
        }
    }
    return false;
}

// In a bucket that somebody will still work through.
static bool is_waiting(const struct model *model, const struct state *state, uint8_t identity)
{
    for (unsigned k = 0; k < WORLD_BUCKETS_MAX; k++) {
        if (has_entry(model, state, k, identity) &&
            !state_may_arrive(model, state, (uint64_t)BUCKET_DONE << BUCKET_SHIFT(k))) {
            return true;
        }
    }
    return false;
}

static bool is_matched(const struct model *model, const struct state *state, uint8_t identity)
{
    return state->floor != 0 && has_bit(projection_at(model, state->floor)->matched, identity);
}

// The order has come to somewhere. Then it is for the order's own consumer to show both.
static bool order_is_there(const struct model *model, const struct state *state)
{
    uint64_t rows = state->replica[0] | state->replica[1] | state->replica[2];
    for (unsigned i = 0; i < model->universe->message_count; i++) {
        if (has_bit(model->universe->order_messages, i) &&
            has_bit(rows, model->universe->message_row[i])) {
            return true;
        }
    }
    return false;
}

static bool is_safe(const struct model *model, const struct state *state, uint8_t identity)
{
    return order_is_there(model, state) || is_matched(model, state, identity) ||
           is_waiting(model, state, identity) || is_dead(model, state, identity);
}

// --- states ----------------------------------------------------------------------------------------

static enum check check_acked(const struct model *model, const struct state *state)
{
    const struct universe *universe = model->universe;
    for (unsigned i = 0; i < universe->message_count; i++) {
        if (!has_bit(state->acked, i)) {
            continue;
        }
        if (state_replicas_with(state, UINT64_C(1) << universe->message_row[i]) < QUORUM) {
            return CHECK_acked_events_stay;
        }
        if (has_bit(universe->payment_messages, i) &&
            !is_safe(model, state, universe->message_identity[i])) {
            return CHECK_bucket_loses_nobody;
        }
    }
    return CHECK_none;
}

static enum check check_letters(const struct model *model, const struct state *state)
{
    (void)model;
    for (unsigned i = 0; i < LETTERS_MAX; i++) {
        if (has_bit(state->letters_acked, i) &&
            state_replicas_with(state, UINT64_C(1) << (RECORD_SHIFT + i)) < QUORUM) {
            return CHECK_dead_letters_are_recorded;
        }
    }
    return CHECK_none;
}

enum check check_state(const struct model *model, const struct state *state)
{
    enum check check = check_facts(model, state);
    if (check == CHECK_none) {
        check = check_acked(model, state);
    }
    return check == CHECK_none ? check_letters(model, state) : check;
}

// --- steps -----------------------------------------------------------------------------------------

// Whether its own projection, which shows the row, was acknowledged; a greater one may stand.
static bool is_projected(const struct model *model, const struct state *state,
                         const struct call *last, uint64_t row)
{
    if (last->kind != CALL_PROJECT || (projection_at(model, last->number)->rows & row) == 0) {
        return false;
    }
    const struct projection *own = projection_at(model, last->number);
    return model->write_quorum < QUORUM || model->way.variant == VARIANT_WALL_CLOCK ||
           model->way.variant == VARIANT_NULLS_INCLUDED ||
           (state->floor != 0 && projection_at(model, state->floor)->timestamp >= own->timestamp);
}

// A sweeper may have worked through the entry before its consumer comes to the ack.
static bool is_indexed(const struct model *model, const struct state *state, uint8_t identity)
{
    bool indexed = is_matched(model, state, identity) || is_dead(model, state, identity);
    for (unsigned k = 0; k < WORLD_BUCKETS_MAX; k++) {
        indexed = indexed || has_entry(model, state, k, identity);
    }
    return indexed;
}

enum check check_ack(const struct model *model, const struct state *state, unsigned local)
{
    const struct universe *universe = model->universe;
    const struct call *last = locals_last(model->locals, local);
    unsigned number = locals_program_of(model->locals, local);
    unsigned messages = locals_program_at(model->locals, number)->messages;
    for (unsigned i = 0; last->kind != CALL_ACK && i < universe->message_count; i++) {
        if (!has_bit(messages, i)) {
            continue;
        }
        uint64_t row = UINT64_C(1) << universe->message_row[i];
        bool is_payment = has_bit(universe->payment_messages, i);
        bool shown = is_projected(model, state, last, row) ||
                     (is_payment && is_indexed(model, state, universe->message_identity[i]));
        if (state_replicas_with(state, row) < QUORUM || !shown) {
            return CHECK_ack_only_after_durable;
        }
    }
    return CHECK_none;
}

static unsigned business_rows(const struct model *model, const struct projection *projection)
{
    return (unsigned)__builtin_popcount(projection->rows & model->universe->message_rows);
}

// A replica that holds `before` takes `after`.
static enum check check_replaced(const struct model *model, const struct projection *before,
                                 const struct projection *after)
{
    if (before->has_order && !after->has_order) {
        return CHECK_notes_never_beat_orders;
    }
    if (!model->way.strict) {
        return CHECK_none;
    }
    if (business_rows(model, before) > business_rows(model, after)) {
        return CHECK_notes_never_beat_orders;
    }
    return (before->matched & ~after->matched) == 0
               ? CHECK_none
               : CHECK_a_matched_payment_never_becomes_unmatched;
}

static bool wins_by_time(const struct model *model, const struct projection *later,
                         const struct projection *earlier)
{
    bool by_issue =
        model->way.variant == VARIANT_WALL_CLOCK || model->way.variant == VARIANT_NULLS_INCLUDED;
    return by_issue || later->timestamp > earlier->timestamp;
}

enum check check_projection(const struct model *model, const struct state *state, unsigned issued)
{
    const struct projection *new = projection_at(model, issued);
    if (!new->has_order) {
        return CHECK_no_fact_without_order;
    }
    const struct projection *floor = projection_at(model, state->floor);
    if (state->floor != 0 && !wins_by_time(model, new, floor)) {
        return CHECK_none; // nobody will ever see it
    }
    enum check check = state->floor == 0 ? CHECK_none : check_replaced(model, floor, new);
    for (unsigned i = 0; check == CHECK_none && i < ABOVE_MAX && state->above[i] != 0; i++) {
        const struct projection *other = projection_at(model, state->above[i]);
        if (state->above[i] != issued) {
            check = wins_by_time(model, new, other) ? check_replaced(model, other, new)
                                                    : check_replaced(model, new, other);
        }
    }
    return check;
}

enum check check_end(const struct model *model, const struct state *state, unsigned local)
{
    const struct program *program =
        locals_program_at(model->locals, locals_program_of(model->locals, local));
    if (program->kind == PROCESS_CONSUMER) {
        return (program->messages & ~(unsigned)state->acked) == 0
                   ? CHECK_none
                   : CHECK_a_consumer_ends_only_after_its_ack;
    }
    uint32_t swept =
        program->kind == PROCESS_SWEEPER ? locals_first_answer(model->locals, local) : 0;
    for (unsigned k = 0; k < WORLD_BUCKETS_MAX; k++) {
        if (has_bit(swept, k) &&
            state_replicas_with(state, (uint64_t)BUCKET_DONE << BUCKET_SHIFT(k)) < QUORUM) {
            return CHECK_a_swept_bucket_is_done;
        }
    }
    return CHECK_none;
}
