// Between replay.c, which runs the programs, and the two seams that they run over.
#ifndef TILL_MODEL_REPLAY_SEAMS_H
#define TILL_MODEL_REPLAY_SEAMS_H

#include "replay.h"

// Where in the protocol a program is, as far as its calls tell.
enum phase { PHASE_CONSUMER, PHASE_PARKED, PHASE_DEAD, PHASE_LETTER };

struct seams {
    struct store store;
    struct bus bus;
    struct universe *universe;
    const struct program *program;
    const struct history *history;
    struct run *run;
    size_t position;
    bool unwound;
    enum phase phase;
    uint16_t own_rows;  // of the group in hand
    uint16_t rows_read; // the same group, as read
    bool has_early_rows;
    uint16_t early_rows; // read before the write, by variants that do so
    bool has_early_entries;
    uint32_t early_entries;
};

// The answer to a call: a recorded one, or the end of the recording. ERR_OK, ERR_TIMEOUT, ERR_CLOSED.
enum err seams_ask(struct seams *seams, const struct call *call, uint32_t *out_answer);
bool seams_removed(const struct seams *seams, enum removal removal);
bool seams_variant(const struct seams *seams, enum variant variant);

extern const struct store_ops replay_store_ops;
extern const struct bus_ops replay_bus_ops;

#endif
