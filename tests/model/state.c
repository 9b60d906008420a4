// Packing, symmetry, fingerprints.
#include "state.h"

#include "hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct process state_process(const struct state *state, unsigned index)
{
    uint64_t word = state->process[index];
    return (struct process){(unsigned)(word & 0xffff), (unsigned)(word >> 16 & 0xf),
                            (uint32_t)(word >> 20)};
}

void state_set_process(struct state *state, unsigned index, struct process process)
{
    state->process[index] =
        (uint64_t)process.seen << 20 | (uint64_t)process.sampled << 16 | process.local;
}

static void add_process(struct model *model, struct program program)
{
    assert(model->process_count < WORLD_PROCESSES_MAX);
    unsigned index = model->process_count++;
    model->programs[index] = program;
    if (program.kind != PROCESS_DEAD_LETTERS) {
        model->starts[index] = locals_start(model->locals, locals_program(model->locals, &program));
    }
    if (index > 0 && model->programs[index - 1].kind == program.kind &&
        model->programs[index - 1].messages == program.messages) {
        model->same_as_before |= (uint8_t)(1u << index);
    }
}

void model_init(struct model *model, const struct world *world, const struct way *way)
{
    memset(model, 0, sizeof(*model));
    model->world = world;
    model->way = *way;
    model->arrivals = calloc(ARRIVALS_MAX, sizeof(uint64_t));
    assert(model->arrivals != NULL);
    model->universe = universe_create(world, way);
    model->locals = locals_create(model->universe);
    model->write_quorum = way->variant == VARIANT_WRITE_ONE ? 1 : 2;
    model->read_quorum = way->variant == VARIANT_READ_ONE ? 1 : 2;
    for (size_t i = 0; i < world_consumer_count(world); i++) {
        add_process(model, (struct program){.messages = world->consumers[i]});
    }
    for (unsigned i = 0; i < world->sweepers; i++) {
        add_process(model, (struct program){.kind = PROCESS_SWEEPER});
    }
    for (unsigned i = 0; i < world->dead_letter_consumers; i++) {
        add_process(model, (struct program){.kind = PROCESS_DEAD_LETTERS});
    }
}

void model_deinit(struct model *model)
{
    locals_destroy(&model->locals);
    universe_destroy(&model->universe);
    free(model->arrivals);
}

unsigned state_replicas_with(const struct state *state, uint64_t bits)
{
    unsigned count = 0;
    for (unsigned r = 0; r < REPLICAS; r++) {
        count += (state->replica[r] & bits) == bits;
    }
    return count;
}

bool state_may_arrive(const struct model *model, const struct state *state, uint64_t bits)
{
    bool may = ((state->replica[0] | state->replica[1] | state->replica[2]) & bits) != 0;
    for (unsigned w = 0; w < model->universe->write_count; w++) {
        may |= has_bit(state->issued, w) && (model->universe->writes[w] & bits) != 0;
    }
    return may;
}

// --- symmetry --------------------------------------------------------------------------------------

// A replica is what it holds and who has sampled it.
static uint64_t replica_key(const struct model *model, const struct state *state, unsigned r)
{
    uint64_t key = state->replica[r] << 8;
    for (unsigned p = 0; p < model->process_count; p++) {
        key |= (state->process[p] >> 16 & 0xf) == r + 1 ? 1u << p : 0;
    }
    return key;
}

static void swap_indices(unsigned *a, unsigned *b, const uint64_t *keys)
{
    if (keys[*a] > keys[*b]) {
        unsigned kept = *a;
        *a = *b;
        *b = kept;
    }
}

static void sort_replicas(const struct model *model, struct state *state)
{
    uint64_t keys[REPLICAS];
    unsigned order[REPLICAS] = {0, 1, 2};
    for (unsigned r = 0; r < REPLICAS; r++) {
        keys[r] = replica_key(model, state, r);
    }
    swap_indices(&order[0], &order[1], keys);
    swap_indices(&order[1], &order[2], keys);
    swap_indices(&order[0], &order[1], keys);
    uint64_t place[REPLICAS + 1] = {0};
    for (unsigned r = 0; r < REPLICAS; r++) {
        state->replica[r] = keys[order[r]] >> 8;
        place[order[r] + 1] = r + 1;
    }
    for (unsigned p = 0; p < model->process_count; p++) {
        uint64_t word = state->process[p];
        state->process[p] = (word & ~UINT64_C(0xf0000)) | place[word >> 16 & 0xf] << 16;
    }
}

// A copy that has arrived everywhere has nothing left to do.
static void forget_arrived(const struct model *model, struct state *state)
{
    uint64_t everywhere = state->replica[0] & state->replica[1] & state->replica[2];
    for (uint64_t left = state->issued; left != 0; left &= left - 1) {
        unsigned w = (unsigned)__builtin_ctzll(left);
        if ((model->universe->writes[w] & ~everywhere) == 0) {
            state->issued &= ~(UINT64_C(1) << w);
        }
    }
}

// What a read that is under way at another replica has not found yet.
static uint64_t not_seen_by_readers(const struct model *model, const struct state *state,
                                    unsigned replica)
{
    uint64_t bits = 0;
    for (unsigned p = 0; p < model->process_count; p++) {
        struct process process = state_process(state, p);
        if (process.sampled != 0 && process.sampled != replica + 1) {
            const struct call *call = locals_pending(model->locals, process.local);
            bits |= call->mask & ~((uint64_t)process.seen << call_read_shift(call));
        }
    }
    return bits;
}

// A read that is under way finds at the second replica, whichever it is, what both of the others have. One
// that wants them to agree must not be told: it would have to read again.
static void see_ahead(const struct model *model, struct state *state, unsigned p)
{
    struct process process = state_process(state, p);
    if (process.sampled == 0) {
        return;
    }
    const struct call *call = locals_pending(model->locals, process.local);
    if (model->way.reads == READS_AGREE && call->read == READ_EVENTS) {
        return;
    }
    unsigned r = process.sampled - 1;
    uint64_t sure = state->replica[(r + 1) % REPLICAS] & state->replica[(r + 2) % REPLICAS];
    process.seen |= (uint32_t)((sure & call->mask) >> call_read_shift(call));
    state_set_process(state, p, process);
}

// A read that asks two replicas finds what two of three have, whether or not the third one has it, unless
// it looked at one of them before. So where nobody can tell, the third one has it too.
static void settle(const struct model *model, struct state *state)
{
    if (model->read_quorum == 1 || model->way.all_told) {
        return;
    }
    for (unsigned p = 0; p < model->process_count; p++) {
        see_ahead(model, state, p);
    }
    for (unsigned r = 0; r < REPLICAS; r++) {
        uint64_t others = state->replica[(r + 1) % REPLICAS] & state->replica[(r + 2) % REPLICAS];
        if ((others & ~state->replica[r]) != 0) {
            state->replica[r] |= others & ~not_seen_by_readers(model, state, r);
        }
    }
}

// Equal processes are few (two of a kind), so every exchange of neighbours is tried.
void state_canonical(const struct model *model, const struct state *state, struct state *out_state)
{
    struct state plain = *state;
    if (model->way.variant != VARIANT_PERIODIC_COMMIT_LOG) {
        settle(model, &plain);
        forget_arrived(model, &plain);
    }
    *out_state = plain;
    sort_replicas(model, out_state);
    for (unsigned swaps = model->same_as_before; swaps != 0;
         swaps = (swaps - 1) & model->same_as_before) {
        struct state other = plain;
        for (unsigned p = 1; p < model->process_count; p++) {
            if (has_bit(swaps, p)) {
                other.process[p] = plain.process[p - 1];
                other.process[p - 1] = plain.process[p];
            }
        }
        sort_replicas(model, &other);
        if (memcmp(&other, out_state, sizeof(other)) < 0) {
            *out_state = other;
        }
    }
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t state_fingerprint(const struct model *model, const struct state *canonical)
{
    static const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    const uint64_t *words = (const uint64_t *)(const void *)canonical;
    size_t count = offsetof(struct state, process) / sizeof(uint64_t) + model->process_count;
    uint64_t low = UINT64_C(0x2545f4914f6cdd1d);
    uint64_t high = odd;
    for (size_t i = 0; i < count; i++) {
        low = mix(low ^ words[i], odd ^ high);
        high += hash_mix_u64(words[i] + i * odd);
    }
    uint64_t fingerprint = hash_mix_u64(low ^ high);
    return fingerprint == 0 ? 1 : fingerprint;
}
