// Random sets of rows of one order, made of few values so that equal identities, conflicts, ties,
// foreign currencies and sums that do not fit all come up often.
#ifndef TILL_RANDOM_SETS_H
#define TILL_RANDOM_SETS_H

#include "event_sets.h"
#include "rand.h"

#include <stddef.h>

struct random_set {
    struct event events[SET_ROWS_MAX];
    char note_ids[SET_ROWS_MAX][EVENT_NOTE_ID_SIZE];
    const struct event *rows[2 * SET_ROWS_MAX]; // room for as many repetitions
    size_t count;                               // of rows
};

// `count` rows, of which `order_percent` are order versions. Sometimes all amounts are huge.
void random_set_fill(struct random_set *set, struct rand *rand, size_t count,
                     unsigned order_percent);
void random_set_shuffle(struct random_set *set, struct rand *rand);
// Adds repetitions of rows, each of the rows once with that chance.
void random_set_repeat(struct random_set *set, struct rand *rand, unsigned percent);

#endif
