// The owner of a data directory, started again and again and ended each time in another way. Keeps
// count of where the ends hit. Failures end the test.
#ifndef TILL_FAULT_OWNER_H
#define TILL_FAULT_OWNER_H

#include "rand.h"
#include "till_process.h"

#include <stddef.h>
#include <stdint.h>

enum owner_end {
    OWNER_KILL_EARLY,    // SIGKILL soon after the start, ready or not
    OWNER_KILL_AT_WORK,  // SIGKILL some time after it was ready
    OWNER_KILL_AT_POINT, // at a named place of failpoint.h, another one each time; without the build
                         // option `failpoints` the same as OWNER_KILL_AT_WORK
    OWNER_TERM,          // SIGTERM, it drains
    OWNER_TERM_TWICE,    // a second one while it drains
    OWNER_END_COUNT
};

struct owner {
    const char *directory;
    const char *const *words; // its arguments but for those that are drawn anew for each start
    bool is_service;          // it says when it is ready, and goes on until it is ended
    struct rand rand;
    size_t point_turn;
    // what happened so far
    size_t ends[OWNER_END_COUNT];
    size_t kills;
    size_t kills_before_ready;
    size_t kills_with_suspect; // while a message was in hand after a death before
    size_t ends_with_work;     // while messages were published and not acked
    size_t points_missed;      // places that were not reached in time; then it was killed there
    int64_t redelivered;       // messages that were applied, but whose acks were not on disk
};

// A start with what an undisturbed owner gets; it is the caller's to end.
struct till_process *owner_start(struct owner *owner);

// Starts it and ends it as `end` says, but for one thing: till gives up a message that was in hand at
// three deaths (E_POISON), which is right and not what is tested here. So after a death with a message
// that was being tried alone, the next one comes only when that message is through.
void owner_live_once(struct owner *owner, enum owner_end end);

// Any of the three kills.
enum owner_end owner_draw_kill(struct owner *owner);

void owner_print(const struct owner *owner);

#endif
