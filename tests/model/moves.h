// All that can happen next in a state.
#ifndef TILL_MODEL_MOVES_H
#define TILL_MODEL_MOVES_H

#include "checks.h"
#include "state.h"

enum move_kind {
    MOVE_ARRIVE,  // a write is acknowledged, after copies reached these replicas
    MOVE_SAMPLE,  // a read looks at one replica, after copies reached it
    MOVE_GO_ON,   // any other call is answered
    MOVE_TIMEOUT, // the call fails with an unknown outcome; whether it was done is `done`
    MOVE_CRASH,   // the process dies, and its work comes again
    MOVE_TAKE,    // a dead-letter consumer takes up a letter
    MOVE_FORGET   // a replica forgets a write that it had
};

struct move {
    enum move_kind kind;
    unsigned process;
    struct call call;    // that the process waited for
    unsigned replicas;   // mask
    uint64_t arrived;    // bits of copies that reached the replica sampled
    uint64_t bits;       // seen at the replica, or forgotten
    bool done;           // of a time-out or a crash: the call had its effect
    bool again;          // of a sample: the replicas differed, the read starts anew
    enum check violated; // by this step
};

typedef void move_fn(void *context, const struct move *move, const struct state *next);

// The first state: every consumer has its messages in hand, nothing is stored.
enum check moves_first(const struct model *model, struct state *out_state);
void moves_each(const struct model *model, const struct state *state, move_fn *visit,
                void *context);

#endif
