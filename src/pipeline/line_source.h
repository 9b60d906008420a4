// A source of messages in a file, a pipe or on standard input: one message a line. Lines are passed on
// as they are, valid or not: what is no message ends as a dead letter like any other.
//
// Lines end in LF or CRLF, the last one may end without. Empty lines are counted and skipped. A line
// over MESSAGE_SIZE_MAX bytes is passed on cut to one byte more than that, so that it is refused for
// its size, and the rest of it is skipped.
// One thread at a time uses a source.
#ifndef TILL_LINE_SOURCE_H
#define TILL_LINE_SOURCE_H

#include "bus.h"
#include "errors.h"
#include "source.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#define LINE_SOURCE_READ_SIZE (64u * 1024u) // bytes of one read

// Where the lines belong.
enum line_topic {
    LINE_ORDERS,
    LINE_PAYMENTS,
    LINE_GUESS, // each line by its keys (message_kind_guess)
};

struct line {
    struct text body; // without its line end; valid until the next call
    enum bus_topic topic;
    uint64_t number; // from 1; empty lines count
};

struct line_counts {
    uint64_t lines;     // given out, over-long ones included
    uint64_t empty;     // skipped
    uint64_t over_long; // cut
    uint64_t read_size; // bytes read so far
};

struct line_source;

// Opens `path`; "-" is standard input, which is left open at the end. A FIFO is opened without waiting
// for its writer. ERR_NOT_FOUND, ERR_PERMISSION, ERR_INVALID for what is no stream of bytes (a
// directory, a socket), ERR_IO, ERR_NO_MEMORY; `why` names the path.
MUST_USE enum err line_source_open(const char *path, enum line_topic topic,
                                   struct line_source **out_source, struct why *why);

// The next line. SOURCE_WAIT only when no whole line is in hand and a read would block; SOURCE_END and
// SOURCE_FAILED come again at every later call.
MUST_USE enum source_status line_source_next(struct line_source *source, struct line *out_line,
                                             struct why *why);

int line_source_fd(const struct line_source *source); // to poll for POLLIN after SOURCE_WAIT
struct line_counts line_source_counts(const struct line_source *source);
void line_source_close(struct line_source **source); // accepts NULL and *source == NULL

// The lines as a source for the publisher; closing it closes the line source.
struct source *line_source_source(struct line_source *source);

#endif
