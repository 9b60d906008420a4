// The scenarios by name.
#ifndef TILL_SIM_SCENARIOS_H
#define TILL_SIM_SCENARIOS_H

#include "world.h"

size_t scenario_count(void);
const struct scenario *scenario_at(size_t index);
const struct scenario *scenario_find(const char *name); // NULL: none

#endif
