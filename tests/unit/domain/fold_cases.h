// The table behind fold_test.c: sets of rows and what is true of them.
#ifndef TILL_FOLD_CASES_H
#define TILL_FOLD_CASES_H

#include "event_sets.h"

#include <stddef.h>
#include <stdint.h>

struct fold_case {
    const char *claim;
    int64_t tolerance_minor;
    const struct step *steps;
    size_t step_count;
    int64_t paid_minor;
    int64_t refunded_minor;
    int64_t charged_back_minor;
    enum settlement settlement;
    enum match_issue issue;
    uint32_t n_events;
    uint32_t n_rows;
    size_t loser_count;
};

extern const struct fold_case fold_cases[];
extern const size_t fold_case_count;

#endif
