// A broker's life in short, told while something fails, and what it must have left. Every publish is noted
// with its answer; opened again without faults, every acknowledged message is there, once, and nothing else
// is but what a publish of unknown outcome may have left, whole.
#ifndef TILL_BROKER_STORY_H
#define TILL_BROKER_STORY_H

#include "broker_rig.h"

#define STORY_CALL_COUNT_MAX 40
#define STORY_BODY_SIZE      60000u // so that the story needs checkpoints
#define STORY_SMALL          5u     // messages of a call
#define STORY_LARGE          90u

enum story_outcome { STORY_NOT_TRIED, STORY_DONE, STORY_REFUSED, STORY_UNKNOWN };

struct story {
    struct rig *rig;
    size_t large_rounds;                               // 2 reach a checkpoint
    enum story_outcome outcomes[STORY_CALL_COUNT_MAX]; // of publish calls
    size_t counts[STORY_CALL_COUNT_MAX];               // of their messages
    size_t call_count;
    bool acked[STORY_CALL_COUNT_MAX][STORY_LARGE];
    bool seen[STORY_CALL_COUNT_MAX][STORY_LARGE];
    enum err stopped; // the first error of class STOP
};

// Opens the rig and lives until the end, or the first error of class STOP.
void story_tell(struct story *story);
// A broker stopped by an error answers every call with the same, fault or no fault.
void story_check_stopped(struct story *story);
// Closes, opens again and checks what is there. To be called without faults.
void story_check_left(struct story *story);

#endif
