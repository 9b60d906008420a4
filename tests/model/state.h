// A state of the world as a few words.
//
// What needs no place in it, because it makes no difference to anybody who can look:
// - Which replicas a write has reached for its caller: a replica that has the rows may have them from this
//   write as well, so "acknowledged" is "two replicas have them".
// - When a copy arrives: a write that was issued and is not at a replica may arrive there at any moment,
//   or never. So it arrives just before somebody looks at that replica, or when its caller needs it to go
//   on, and a lost copy is one that never does.
// - Where projections are: no process ever reads them. A reader at quorum sees the greatest one that is
//   acknowledged (floor), or any greater one that was issued (above).
#ifndef TILL_MODEL_STATE_H
#define TILL_MODEL_STATE_H

#include "locals.h"

#define REPLICAS     3u
#define ABOVE_MAX    8u
#define ARRIVALS_MAX 4096u // sets of copies that may have reached a replica

struct state {
    uint64_t replica[REPLICAS];
    uint64_t issued;          // writes that may still arrive somewhere
    uint8_t above[ABOVE_MAX]; // projections, smallest timestamp first; 0: no further
    uint8_t floor;            // projection; 0: none
    uint8_t acked;            // messages
    uint8_t published;        // letters
    uint8_t letters_acked;
    uint8_t crashes_left;
    uint8_t timeouts_left;
    uint8_t losses_left; // replicas that forget what they had acknowledged
    uint8_t zero;
    // local state | 1 + replica sampled first << 16 | what it had << 20
    uint64_t process[WORLD_PROCESSES_MAX];
};

struct process {
    unsigned local;
    unsigned sampled; // 1 + replica; 0: none yet
    uint32_t seen;
};

struct process state_process(const struct state *state, unsigned index);
void state_set_process(struct state *state, unsigned index, struct process process);

// What stays the same while a world is explored.
struct model {
    const struct world *world;
    struct way way;
    struct universe *universe;
    struct locals *locals;
    unsigned process_count;
    struct program programs[WORLD_PROCESSES_MAX]; // of each process; a letter's is set when taken
    unsigned starts[WORLD_PROCESSES_MAX];         // their first local states
    uint8_t same_as_before; // mask of processes that do the same as the one before them
    unsigned write_quorum;
    unsigned read_quorum;
    uint64_t *arrivals; // memory of moves_each
};

void model_init(struct model *model, const struct world *world, const struct way *way);
void model_deinit(struct model *model);

// Of all states that differ only in the names of replicas and of equal processes, one.
void state_canonical(const struct model *model, const struct state *state, struct state *out_state);
// Names a canonical state. Never 0.
uint64_t state_fingerprint(const struct model *model, const struct state *canonical);

unsigned state_replicas_with(const struct state *state, uint64_t bits); // how many have all of them
bool state_may_arrive(const struct model *model, const struct state *state, uint64_t bits);

#endif
