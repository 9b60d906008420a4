// The search, and the walk back along the parents for the schedule of a violation.
#include "explore.h"

#include "story.h"
#include "visited.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 512u

// States of one depth, packed: only as many processes as the world has.
struct level {
    uint64_t *words;
    size_t count;
    size_t cap;
};

struct search {
    struct model model;
    struct visited visited;
    struct visited merged; // the same, where nobody can tell states apart; of way.all_told only
    struct level now;
    struct level next;
    size_t state_words;
    uint64_t states_max;
    uint64_t from; // fingerprint of the state whose successors are looked at
    uint64_t last; // of the state that breaks a check
    struct explored result;
};

static void level_add(struct level *level, const struct state *state, size_t words)
{
    if (level->count == level->cap) {
        level->cap = level->cap == 0 ? 1024 : level->cap + level->cap / 2;
        level->words = realloc(level->words, level->cap * words * sizeof(uint64_t));
        assert(level->words != NULL);
    }
    memcpy(level->words + level->count * words, state, words * sizeof(uint64_t));
    level->count++;
}

static void level_get(const struct level *level, size_t index, size_t words,
                      struct state *out_state)
{
    memset(out_state, 0, sizeof(*out_state));
    memcpy(out_state, level->words + index * words, words * sizeof(uint64_t));
}

static bool is_over(const struct search *search)
{
    return search->result.violated != CHECK_none ||
           (search->states_max != 0 && search->result.states >= search->states_max);
}

static bool counts(const struct search *search, enum check violated)
{
    unsigned only = search->model.way.only;
    return violated != CHECK_none && (only == 0 || violated == only);
}

// Counts the state among those that a reduced search would tell apart.
static void merge(struct search *search, const struct state *state)
{
    struct model reduced = search->model;
    struct state canonical;
    reduced.way.all_told = false;
    state_canonical(&reduced, state, &canonical);
    search->result.merged +=
        visited_add(&search->merged, state_fingerprint(&reduced, &canonical), 0);
}

static void meet(struct search *search, const struct state *state, enum check violated)
{
    struct state canonical;
    state_canonical(&search->model, state, &canonical);
    uint64_t fingerprint = state_fingerprint(&search->model, &canonical);
    bool is_new = visited_add(&search->visited, fingerprint, search->from);
    if (is_new) {
        search->result.states++;
        if (search->model.way.all_told) {
            merge(search, state);
        }
        level_add(&search->next, &canonical, search->state_words);
        violated = violated == CHECK_none ? check_state(&search->model, &canonical) : violated;
    }
    if (counts(search, violated)) {
        search->result.violated = violated;
        search->last = fingerprint;
    }
}

static void meet_next(void *context, const struct move *move, const struct state *next)
{
    struct search *search = context;
    search->result.transitions++;
    if (!is_over(search)) {
        meet(search, next, move->violated);
    }
}

static void look_through_level(struct search *search)
{
    for (size_t i = 0; i < search->now.count && !is_over(search); i++) {
        struct state state;
        level_get(&search->now, i, search->state_words, &state);
        search->from = state_fingerprint(&search->model, &state);
        moves_each(&search->model, &state, meet_next, search);
    }
}

static void run(struct search *search)
{
    struct state first;
    enum check violated = moves_first(&search->model, &first);
    meet(search, &first, violated);
    while (search->next.count > 0 && !is_over(search)) {
        struct level kept = search->now;
        search->now = search->next;
        search->next = kept;
        search->next.count = 0;
        search->result.depth++;
        look_through_level(search);
    }
    search->result.complete =
        search->result.violated == CHECK_none && search->next.count == 0 && !is_over(search);
}

// --- the schedule ------------------------------------------------------------------------------------

// Fingerprints from the first state to the last one.
static size_t path_to_last(const struct search *search, uint64_t *out_path)
{
    size_t count = 0;
    for (uint64_t at = search->last; at != 0; at = visited_parent(&search->visited, at)) {
        assert(count < STEPS_MAX);
        out_path[count++] = at;
    }
    for (size_t i = 0; i < count / 2; i++) {
        uint64_t kept = out_path[i];
        out_path[i] = out_path[count - 1 - i];
        out_path[count - 1 - i] = kept;
    }
    return count;
}

struct walk {
    const struct search *search;
    uint64_t wanted;
    bool is_last;
    bool found;
    struct move move;
    struct state state;
};

// Replicas keep their names on the walk: only the comparison is by the canonical state.
static void match(void *context, const struct move *move, const struct state *next)
{
    struct walk *walk = context;
    struct state canonical;
    state_canonical(&walk->search->model, next, &canonical);
    bool same = state_fingerprint(&walk->search->model, &canonical) == walk->wanted;
    bool breaks = move->violated != CHECK_none;
    if (same && (!walk->found || (walk->is_last && breaks))) {
        walk->found = true;
        walk->move = *move;
        walk->state = *next;
    }
}

// Where the last step itself breaks a check, its state may have been met before by a shorter way: then
// the path ends one step short of the violation, at `from`.
static unsigned tell(struct search *search, FILE *story)
{
    uint64_t path[STEPS_MAX];
    size_t count = path_to_last(search, path);
    if (count < 2 || path[count - 2] != search->from) {
        uint64_t last = search->last;
        search->last = search->from;
        count = search->from == 0 ? 0 : path_to_last(search, path);
        path[count++] = last;
    }
    struct walk walk = {.search = search};
    (void)moves_first(&search->model, &walk.state);
    for (size_t i = 1; i < count; i++) {
        struct state at = walk.state;
        walk.wanted = path[i];
        walk.is_last = i + 1 == count;
        walk.found = false;
        moves_each(&search->model, &at, match, &walk);
        assert(walk.found);
        if (story != NULL) {
            story_tell(&search->model, i, &walk.move, &walk.state, story);
        }
    }
    return (unsigned)(count == 0 ? 0 : count - 1);
}

struct explored explore(const struct world *world, const struct way *way, uint64_t states_max,
                        FILE *story)
{
    struct search *search = calloc(1, sizeof(*search));
    assert(search != NULL);
    model_init(&search->model, world, way);
    visited_init(&search->visited);
    visited_init(&search->merged);
    search->state_words =
        offsetof(struct state, process) / sizeof(uint64_t) + search->model.process_count;
    search->states_max = states_max;
    run(search);
    if (search->result.violated != CHECK_none) {
        search->result.depth = tell(search, story);
    }
    struct explored result = search->result;
    result.locals = locals_count(search->model.locals);
    result.replays = locals_replays(search->model.locals);
    visited_deinit(&search->visited);
    visited_deinit(&search->merged);
    free(search->now.words);
    free(search->next.words);
    model_deinit(&search->model);
    free(search);
    return result;
}
