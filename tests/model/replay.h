// Runs a program of the pipeline over seams that answer from a list. A process runs synchronous code, so
// its local state is a function of its input and of the answers that it has had. To find what it does
// next it is run from its start again: the seams give the recorded answers, and at the first call beyond
// them they write that call down and answer ERR_CLOSED from there on, so that the code unwinds and frees
// what it has. The code is the pipeline's own, from the pull to the ack.
#ifndef TILL_MODEL_REPLAY_H
#define TILL_MODEL_REPLAY_H

#include "bus.h"
#include "store.h"
#include "universe.h"

enum process_kind { PROCESS_CONSUMER, PROCESS_SWEEPER, PROCESS_DEAD_LETTERS };

struct program {
    enum process_kind kind;
    uint8_t messages; // of a consumer: mask of its batch
    uint8_t letter;   // of a dead-letter consumer
};

enum call_kind {
    CALL_END,       // the program came to its end: number is 0 when with ERR_OK
    CALL_WRITE,     // number of the write; mask: its bits
    CALL_READ,      // number: enum read_kind and bucket; mask: bits that it asks for
    CALL_PROJECT,   // number of the projection
    CALL_PUBLISH,   // mask of letters
    CALL_ACK,       // mask of messages
    CALL_ACK_LETTER // mask of letters
};

enum read_kind { READ_EVENTS, READ_CLOSED, READ_ENTRIES, READ_DUE };

struct call {
    uint8_t kind; // enum call_kind
    uint8_t read; // enum read_kind
    uint16_t number;
    uint32_t zero;
    uint64_t mask;
};

// The bits of a word that a read asks for, moved to bit 0.
unsigned call_read_shift(const struct call *call);
// What the reader makes of the bits that it found: equal answers, equal futures.
uint32_t call_answer(const struct universe *universe, const struct call *call, uint32_t seen);

#define ANSWER_TIMEOUT UINT32_MAX
#define HISTORY_MAX    64u

struct history {
    uint32_t answers[HISTORY_MAX];
    size_t count;
};

struct workshop; // memory that the programs reuse

struct workshop *workshop_create(void);
void workshop_destroy(struct workshop **workshop);

struct run {
    struct call calls[HISTORY_MAX]; // one for each answer
    struct call pending;
};

// What the program does after these answers.
void replay(struct workshop *workshop, struct universe *universe, const struct program *program,
            const struct history *history, struct run *out_run);

#endif
