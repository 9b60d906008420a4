// A schedule for people: one line a step.
#ifndef TILL_MODEL_STORY_H
#define TILL_MODEL_STORY_H

#include "moves.h"

#include <stdio.h>

void story_tell(const struct model *model, size_t step, const struct move *move,
                const struct state *after, FILE *out);

#endif
