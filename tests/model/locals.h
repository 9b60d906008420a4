// Local states of processes as small numbers. Two histories of answers of one program are the same local
// state when what it does next, and all that can follow, is the same. The key below says what of a
// history still matters; that this is true is checked: every history kept of a local state must lead to
// the same local state for every answer that is met.
#ifndef TILL_MODEL_LOCALS_H
#define TILL_MODEL_LOCALS_H

#include "replay.h"

#define PROGRAMS_MAX 16u
#define LOCAL_NONE   0u // no program runs: ended, or idle

struct locals;

struct locals *locals_create(struct universe *universe);
void locals_destroy(struct locals **locals);

// Number of a program; the same one for the same program.
unsigned locals_program(struct locals *locals, const struct program *program);
const struct program *locals_program_at(const struct locals *locals, unsigned program);

unsigned locals_start(struct locals *locals, unsigned program);
unsigned locals_next(struct locals *locals, unsigned local, uint32_t answer);

const struct call *locals_pending(const struct locals *locals, unsigned local);
// The call that was answered last.
const struct call *locals_last(const struct locals *locals, unsigned local);
unsigned locals_program_of(const struct locals *locals, unsigned local);
// The first answer of the history that still counts, for a sweeper the buckets that it works on.
uint32_t locals_first_answer(const struct locals *locals, unsigned local);

size_t locals_count(const struct locals *locals);
size_t locals_replays(const struct locals *locals); // times that a program was run

#endif
