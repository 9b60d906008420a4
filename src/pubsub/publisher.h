// The inside of a publisher: lanes and batches.
//
// A message goes to a lane: the one without ordering keys, or its key's. A lane has at most one open
// batch, which takes messages, and a queue of closed ones. Batches leave in the order of the queue; from
// a key's lane one at a time, the next when it has succeeded. A batch that failed and may be tried again
// keeps its place while it waits.
//
//            publish                 full, lingered, sent       room in flight
//     (none) -------> OPEN ------------------> CLOSED ------------------> SENT ---> DONE
//                                                                  ^       |  failed, RETRY
//                                                                  +- RESTING <--+
#ifndef TILL_PUBLISHER_H
#define TILL_PUBLISHER_H

#include "backoff.h"
#include "client.h"

enum batch_state { BATCH_OPEN, BATCH_CLOSED, BATCH_SENT, BATCH_RESTING, BATCH_DONE };

struct publish_batch {
    struct transport_call call;
    struct delivery delivery;
    struct pubsub_publisher *publisher;
    struct publish_lane *lane;
    enum batch_state state;
    struct publish_batch *next; // in its lane's queue, or in the list of those open or in flight
    struct publish_batch *previous;
    struct payload_writer writer; // while open
    struct payload *request;      // afterwards
    size_t size;                  // of the encoded request
    void **tags;                  // one a message
    size_t count;
    size_t tags_cap;
    int64_t opened_ns;
    struct backoff backoff;
    struct timer rest;
    struct text key; // a copy, for results; the lane may be gone by then
    enum err err;
    struct why why;
    struct payload *response;
};

// A caller of pubsub_publish_all: the tag of its messages.
struct publish_waiter {
    size_t left; // messages without a result
    enum err err;
    struct why why;
};

struct publish_lane {
    struct text key; // empty: the lane without keys; else owned
    struct publish_batch *open;
    struct publish_batch *first; // closed, waiting for their turn
    struct publish_batch *last;
    size_t in_flight; // sent or resting
    bool paused;
    bool listed; // in the publisher's list of those with something to send
    struct publish_lane *next_listed;
    struct publish_lane *next_in_bucket;
};

struct batch_list {
    struct publish_batch *first;
    struct publish_batch *last;
};

struct pubsub_publisher {
    struct pubsub *client;
    struct pubsub_publisher_options options;
    struct backoff_rules rules;
    struct resource topic;
    size_t topic_field_size; // what the topic takes in every request
    struct publish_lane plain;
    struct publish_lane **buckets; // of lanes with keys
    size_t bucket_count;           // a power of two
    size_t lane_count;
    struct batch_list open;   // oldest first
    struct batch_list flight; // sent or resting
    struct publish_lane *listed_first;
    struct publish_lane *listed_last;
    struct timer linger;
    size_t requests;      // in flight
    size_t waiting_count; // messages without a result
    size_t waiting_size;
    size_t undelivered; // messages whose result is not handed out yet
    bool closed;
};

// All with the client's lock held.

// publish_lanes.c
struct publish_lane *publish_lane_find(struct pubsub_publisher *publisher, struct text key);
struct publish_lane *publish_lane_make(struct pubsub_publisher *publisher,
                                       struct text key); // NULL: memory
void publish_lane_drop_if_idle(struct pubsub_publisher *publisher, struct publish_lane *lane);
void publish_lanes_deinit(struct pubsub_publisher *publisher);
void publish_lane_push(struct publish_lane *lane, struct publish_batch *batch);
struct publish_batch *publish_lane_pop(struct publish_lane *lane); // NULL when it is empty
// Lists the lane when it has something that may be sent now.
void publish_lane_list(struct pubsub_publisher *publisher, struct publish_lane *lane);
struct publish_lane *publish_lane_unlist_first(struct pubsub_publisher *publisher);
bool publish_lane_may_send(const struct publish_lane *lane);

// publish_batch.c
// The lane's open batch with room for a message of that encoded size; closes one that is full. NULL
// without memory.
struct publish_batch *publish_batch_for(struct pubsub_publisher *publisher,
                                        struct publish_lane *lane, size_t field_size);
// false without memory; nothing was added then.
MUST_USE bool publish_batch_add(struct publish_batch *batch, const struct pubsub_outgoing *message,
                                size_t body_size, void *tag);
void publish_batch_close(struct publish_batch *batch); // OPEN to CLOSED; sends what may be sent
// Ends what is sent or resting as soon as can be.
void publish_batches_cut_short(struct pubsub_publisher *publisher);
void publish_send_ready(struct pubsub_publisher *publisher);
// Ends a batch that is in no list any more; its messages get their results.
void publish_batch_finish(struct publish_batch *batch, enum err err, const struct why *why);
// Fails everything of a lane that is not in flight.
void publish_lane_fail(struct publish_lane *lane, enum err err, const struct why *why);

#endif
