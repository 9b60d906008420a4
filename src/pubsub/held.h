// The messages that a subscriber holds, from arrival until they are settled. They stay in the response
// they came in; a batch is one response, and its bytes count until its last message is settled.
//
//            take            ack, nack, too long held
//     ARRIVED ----> TAKEN ----------------------------> SETTLED
//        |  nobody will take it: draining                  ^
//        +-------------------------------------------------+
//
// With exactly-once delivery a batch is shown to takers only when the service has confirmed that its
// messages are ours. Under the client's lock.
#ifndef TILL_HELD_H
#define TILL_HELD_H

#include "payload.h"

enum held_state { HELD_ARRIVED, HELD_TAKEN, HELD_SETTLED };

struct held_message {
    struct text ack_id; // in the response, as is the body
    struct text body;
    int64_t hold_until_ns; // once taken
    uint32_t delivery_attempt;
    enum held_state state;
};

struct held_batch {
    uint64_t sequence; // names the batch in handles
    struct payload *response;
    struct held_message *messages;
    size_t count;
    size_t taken; // all before this are taken or settled
    size_t left;  // not settled
    int64_t arrived_ns;
    int64_t extend_at_ns;  // when its leases must be extended
    int64_t hold_until_ns; // the earliest of its taken messages; INT64_MAX
    size_t unconfirmed;    // messages whose receipt is not confirmed yet
    bool in_inbox;
    struct held_batch *next; // all batches, oldest first
    struct held_batch *previous;
    struct held_batch *next_in_inbox;
};

struct held {
    struct held_batch *first;
    struct held_batch *last;
    struct held_batch *inbox_first; // with something to take
    struct held_batch *inbox_last;
    struct held_batch **slots; // by sequence modulo slot_count
    size_t slot_count;
    size_t batch_count;
    uint64_t sequence;
    size_t count; // messages not settled
    size_t size;  // bytes of all responses held
};

void held_deinit(struct held *held); // forgets all

// Reads a response to Pull or StreamingPull and holds its messages. *out_batch is NULL when it has none.
// *out_exactly_once is set when the response says something about it. ERR_INVALID for damaged bytes,
// ERR_NO_MEMORY.
MUST_USE enum err held_add(struct held *held, struct payload *response, int64_t now_ns,
                           struct held_batch **out_batch, bool *out_exactly_once);
void held_show(struct held *held, struct held_batch *batch); // puts it into the inbox

uint64_t held_handle(const struct held_batch *batch, size_t index);
// The message of a handle and its batch; NULL when it is settled or never was.
struct held_message *held_find(const struct held *held, uint64_t handle,
                               struct held_batch **out_batch);
// The first batch of the inbox with its first message to take at `taken`; NULL when there is none.
struct held_batch *held_next(struct held *held);
// Ends a message. Its batch is freed with the last one: then, true.
bool held_settle(struct held *held, struct held_batch *batch, struct held_message *message);

#endif
