// Many worlds one after another: seeds from a start on, scenarios in turn; and making a failing world
// smaller.
#ifndef TILL_SIM_CAMPAIGN_H
#define TILL_SIM_CAMPAIGN_H

#include "world.h"

struct campaign {
    // what to run
    uint64_t first_seed;
    uint64_t step;                   // from one seed to the next; 0: 1
    uint64_t seeds;                  // at most; 0: no limit
    int64_t wall_us_max;             // real time; 0: no limit
    const struct scenario *scenario; // NULL: all in turn
    enum variant variant;
    bool stop_at_first;        // violation
    int64_t report_every_us;   // real time between two lines of progress; 0: none
    const char *failures_path; // file to append violations to, or NULL
    // what came of it
    uint64_t runs;
    uint64_t violations;
    struct world_options first_failing; // when violations > 0
    struct world_result first_violation;
    uint64_t messages;
    uint64_t published;
    uint64_t faults;
    uint64_t kills;
    uint64_t steps;
    uint64_t checks;
    int64_t simulated_us;
    int64_t wall_us;
    int64_t cpu_us;
    int64_t reported_us;
};

void campaign_run(struct campaign *campaign);
void campaign_print(const struct campaign *campaign);

// Leaves out what the violation does not need: kinds of fault, then messages. `options` becomes the
// smallest world found that breaks the same check.
void campaign_shrink(struct world_options *options, const char *violation);

// The command line that plays this world again.
void campaign_print_replay(const struct world_options *options);

#endif
