// A naive broker in memory that knows what the real one must do: every message of every subscription with
// its state, found by walking all of them. Asserts when the real one's answer is not the right one.
#ifndef TILL_BROKER_TWIN_H
#define TILL_BROKER_TWIN_H

#include "broker.h"

#define TWIN_MESSAGE_COUNT_MAX 200000u

enum twin_state {
    TWIN_UNSEEN,  // not handed out since the log was opened
    TWIN_OUT,     // leased
    TWIN_WAITING, // to be handed out again
    TWIN_ACKED,
    TWIN_PERHAPS, // acked, but a crash may have undone that
};

struct twin_message {
    enum twin_state state;
    uint32_t attempt;
    int64_t deadline_ns;
    bool delivered; // ever
    bool flushed;   // the ack is on disk for sure
};

struct twin {
    uint64_t last_seq;                                        // of its topic
    struct twin_message messages[TWIN_MESSAGE_COUNT_MAX + 1]; // by sequence
    size_t range_count; // of acked messages, at most, while a call acks
    bool ranges_full;   // since the log was opened there may have been more than are kept on disk
    uint64_t crash_last_seq; // messages up to here may claim an earlier delivery without one
};

void twin_init(struct twin *twin);
void twin_published(struct twin *twin, size_t count);
// The real one gave these at that time; their bodies are checked elsewhere.
void twin_pulled(struct twin *twin, const struct broker_message *messages, size_t count,
                 const struct broker_pull_limits *limits, int64_t now_ns, int64_t lease_us);
// What a handle does; `attempt` is that of the delivery.
// Before a call that acks, twin_acks_begin.
void twin_ack(struct twin *twin, uint64_t seq, uint32_t attempt, int64_t now_ns);
void twin_acks_begin(struct twin *twin);
void twin_nack(struct twin *twin, uint64_t seq, uint32_t attempt, int64_t now_ns);
void twin_extend(struct twin *twin, uint64_t seq, uint32_t attempt, int64_t now_ns,
                 int64_t lease_us);
void twin_flushed(struct twin *twin);
void twin_restarted(struct twin *twin, bool crash);
void twin_check_backlog(struct twin *twin, const struct broker_backlog *backlog, int64_t now_ns);

// Size of the body of message `seq`, known to both sides.
size_t twin_body_size(uint64_t seq);

#endif
