// What goes wrong in a world beside its weather: deaths, pauses, clocks, crashes, at random times.
#ifndef TILL_SIM_MISFORTUNE_H
#define TILL_SIM_MISFORTUNE_H

#include "world.h"

void misfortunes_begin(struct world *world);
// No more of them; what is down comes up, clocks are set right, the weather becomes calm.
void misfortunes_end(struct world *world);

#endif
