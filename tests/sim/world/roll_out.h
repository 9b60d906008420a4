// A new fold rolls out: processes with the first rules are replaced by others with the plan's rules and a
// higher epoch, one by one under load; then every order is projected again.
#ifndef TILL_SIM_ROLL_OUT_H
#define TILL_SIM_ROLL_OUT_H

#include "world.h"

// Call before the seats start. They start with world->first_rules and epoch 1.
void roll_out_begin(struct world *world, int64_t time_us);

#endif
