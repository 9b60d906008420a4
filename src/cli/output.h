// Where a command writes: a buffer in front of a file descriptor, with a sticky failure. Append to
// `buf` freely, call output_pass() between rows, and ask output_finish() once. With fd -1 everything
// stays in the buffer. One thread at a time.
#ifndef TILL_OUTPUT_H
#define TILL_OUTPUT_H

#include "buf.h"
#include "errors.h"

struct output {
    int fd;      // -1: kept in the buffer
    int failure; // errno of the first failed write; nothing is written after it
    struct buf buf;
};

void output_init(struct output *output, int fd);
void output_deinit(struct output *output); // writes nothing; accepts a zeroed one

// Writes out once enough has gathered. false when the writing has failed or the reader has gone:
// there is no point in producing more.
bool output_pass(struct output *output);
void output_flush(struct output *output); // writes out all there is

// Flushes, and says whether everything was written. A reader that went away (`till query | head`)
// has what it wanted: that is ERR_OK. Otherwise ERR_IO.
MUST_USE enum err output_finish(struct output *output, struct why *why);

#endif
