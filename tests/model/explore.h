// Breadth first through all states of a world, up to the first one that breaks a check: the path to it is
// then one of the shortest.
#ifndef TILL_MODEL_EXPLORE_H
#define TILL_MODEL_EXPLORE_H

#include "moves.h"

#include <stdio.h>

struct explored {
    enum check violated;
    bool complete; // every state that can be reached was looked at
    uint64_t states;
    uint64_t transitions;
    uint64_t merged; // states, when those that nobody can tell apart are one (of way.all_told)
    unsigned depth;  // steps to the last state looked at, or of the schedule that breaks the check
    size_t locals;
    size_t replays;
};

// At most that many states; 0: no bound. On a violation the schedule is printed to `story`, if given.
struct explored explore(const struct world *world, const struct way *way, uint64_t states_max,
                        FILE *story);

#endif
