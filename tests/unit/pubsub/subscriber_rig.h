// A subscriber on a fake, and what the tests of receiving do with it.
#ifndef TILL_SUBSCRIBER_RIG_H
#define TILL_SUBSCRIBER_RIG_H

#include "fake_service.h"
#include "fake_transport.h"

#define RIG_TAKEN_MAX 3000

struct rig {
    struct fake *fake;
    struct pubsub_subscriber *subscriber;
    struct arena arena; // of the last take
    struct pubsub_message *messages;
    size_t count;
    uint64_t handles[RIG_TAKEN_MAX]; // of the last take
    struct why why;
    // What on_settled has told, in order.
    struct {
        uint64_t handle;
        enum pubsub_settled how;
    } settled[RIG_TAKEN_MAX];
    size_t settled_count;
};

struct rig *rig_create(struct pubsub_subscriber_options options);
// Answers whatever is open, so that closing comes to its end.
void rig_destroy(struct rig *rig);

// Gives messages with ack ids "PREFIX0", ... to the pull or stream that waits, and turns the loop.
void rig_give(struct rig *rig, const char *prefix, size_t count, size_t data_size);
// The same as one response that also says whether delivery is exactly once.
void rig_give_stream(struct rig *rig, size_t stream, const char *prefix, size_t count,
                     bool exactly_once);

// After an answer the next pull waits a moment for acks; lets it pass.
void rig_let_pull(struct rig *rig);

// Takes up to that many messages; how many.
size_t rig_take(struct rig *rig, size_t count_max);
void rig_ack(struct rig *rig); // what was taken last
void rig_nack(struct rig *rig);

// The n-th open request about ack ids of that method, and its answer.
struct payload *rig_request(struct rig *rig, enum rpc_method method, size_t n);
void rig_answer(struct rig *rig, enum rpc_method method, size_t n);
void rig_answer_all(struct rig *rig); // all requests about ack ids

struct pubsub_subscriber_figures rig_figures(struct rig *rig);

#endif
