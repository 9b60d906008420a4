// What is expected of the worlds, of wrong variants and of removed calls; each function prints a table,
// and returns how many of its rows did not come out as expected.
#ifndef TILL_MODEL_TABLES_H
#define TILL_MODEL_TABLES_H

#include <stdbool.h>
#include <stddef.h>

// Every world keeps every check: with reads that repair, and with reads that agree in every state. Both
// orders of equal counts. Not `full`: up to the world's bound of states.
size_t table_of_worlds(bool full);
// Every wrong variant breaks the check that is named for it, or is right and says why.
size_t table_of_variants(void);
// The same for every call of the protocol that is left out.
size_t table_of_removals(void);
// What the protocol does not promise, found.
size_t table_of_limits(bool full);
// Where nobody can tell whether a third copy has arrived, the states are taken for one: that loses no
// state, and no step.
size_t table_of_reductions(bool full);

#endif
