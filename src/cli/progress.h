// How far a long command is, on standard error: one line that is written over on a terminal, at most
// ten times a second; elsewhere a plain line every five seconds; and one last line at the end. The
// caller counts, this only shows. Time comes from a clock that is passed in. One thread at a time.
#ifndef TILL_PROGRESS_H
#define TILL_PROGRESS_H

#include "clock.h"
#include "output.h"

#include <stdbool.h>
#include <stdint.h>

enum progress_mode {
    PROGRESS_OFF,   // --quiet
    PROGRESS_PLAIN, // lines
    PROGRESS_LIVE,  // one line, over and over
};

struct progress_numbers {
    uint64_t count;
    uint64_t total;      // 0: not known
    uint64_t per_second; // 0: not shown
    struct text extra;   // such as "12 dead letters"; may be empty
};

struct progress {
    enum progress_mode mode;
    const char *noun; // "messages"
    struct output *output;
    struct clock clock;
    unsigned width;    // columns of the terminal; a live line is cut to fit
    int64_t shown_ns;  // when the last line was shown, or the start
    bool line_is_open; // a live line stands on the terminal
};

// LIVE on a terminal that can do it (TERM is set and not "dumb") and that nobody records (CI is not
// set); PLAIN otherwise. The environment's values are passed in, NULL for unset.
enum progress_mode progress_mode_choose(bool quiet, bool is_terminal, const char *term,
                                        const char *ci);

// `noun` and `output` must outlive it. width 0 means unknown: 80.
void progress_init(struct progress *progress, enum progress_mode mode, const char *noun,
                   struct output *output, struct clock clock, unsigned width);

// Whether progress_show would show something now; spares the caller the counting.
bool progress_is_due(const struct progress *progress);
// Shows the numbers when it is time. Call as often as you like.
void progress_show(struct progress *progress, const struct progress_numbers *numbers);
// Takes a live line off the terminal, so that another message can be written.
void progress_clear(struct progress *progress);
// The last line, whatever the time.
void progress_end(struct progress *progress, const struct progress_numbers *numbers);

#endif
