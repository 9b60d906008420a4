// Makes the n-th allocation of the code under test fail. The linker sends its calls of malloc,
// calloc, realloc, reallocarray and strdup here (--wrap, see meson.build); calls inside shared
// libraries, so those of cmocka and SQLite, are not touched.
//
// The usual scenario runs again and again with n = 1, 2, 3 ... until it ends without a hit:
//
//     for (uint64_t n = 1; scenario_ran_into_failure(n); n++) {
//     }
//
// The count is one for all threads. Arm and disarm while no other thread allocates.
#ifndef TILL_FAULT_ALLOC_H
#define TILL_FAULT_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

// From now on the n-th allocation fails, and only that one; n >= 1. Starts the count again.
void fault_alloc_arm(uint64_t n);
// No allocation fails any more. Count and hit stay to be asked.
void fault_alloc_disarm(void);
// Allocations asked for since the last arm, the failed one included; since the start without one.
uint64_t fault_alloc_count(void);
// Whether an allocation was made to fail since the last arm.
bool fault_alloc_hit(void);

#endif
