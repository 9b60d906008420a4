// Whether two data directories hold the same, whatever happened on the way there; and what one holds
// that nobody owns at the moment. Failures end the test and show the first rows that differ.
#ifndef TILL_FAULT_SAME_DATA_H
#define TILL_FAULT_SAME_DATA_H

#include "message_set.h"

#include <stdint.h>

// Row by row and column by column: facts, by order, customer and day; events; refused messages;
// conflicts; payments whose order never came. Left out is what depends on when things happened: publish
// times, notes, payments that were dead letters until their order came, which of two equal
// messages a dead letter is of, and whether the body of a conflict had to be rebuilt.
void assert_same_data(const char *directory, const char *undisturbed);

// The rows of an undisturbed run are those that the generator says.
void assert_data_as_generated(const char *directory, const struct message_set *set);

// What is on disk in both files; all 0 where a table is not there yet.
struct disk_figures {
    int64_t published; // orders and payments
    int64_t applied;   // of them
    int64_t acked;     // at least so many of them
    int64_t starts;    // that died before their first commit
    int64_t suspects;  // messages in hand at a death after a death, and not applied
    int64_t parked;    // payment events that were declared unmatched, or nearly
    int64_t healed;    // dead letters whose order came after all
};
void disk_figures(const char *directory, struct disk_figures *out_figures);

#define SQL_SUSPECTS                                                                               \
    "SELECT count(*) FROM suspects s WHERE NOT EXISTS (SELECT 1 FROM applied a"                    \
    " WHERE a.topic || '_data' = s.topic"                                                          \
    " AND CAST(substr(s.message_id, instr(s.message_id, '-') + 1) AS INTEGER)"                     \
    " BETWEEN a.first AND a.last)"

#endif
