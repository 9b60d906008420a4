// The inside of a subscriber, shared by its parts: receivers bring responses in (receive_pull.c,
// receive_stream.c), held.c keeps what has arrived, leases.c extends, settle.c tells the service.
// All under the client's lock.
#ifndef TILL_SUBSCRIBER_H
#define TILL_SUBSCRIBER_H

#include "ack_latency.h"
#include "backoff.h"
#include "client.h"
#include "held.h"

// What a request about ack ids is for.
enum settle_kind {
    SETTLE_ACK,
    SETTLE_NACK,   // a lease of nothing
    SETTLE_EXTEND, // a longer lease
    SETTLE_RECEIPT, // the same right after arrival: with exactly-once, only what is confirmed is ours
    SETTLE_KIND_COUNT
};

struct settle_request {
    struct transport_call call;
    struct delivery delivery; // of outcomes, with exactly-once delivery
    struct pubsub_subscriber *subscriber;
    enum settle_kind kind;
    struct payload_writer writer;  // while open
    struct payload *request;       // afterwards
    size_t ids_at;                 // where the ids begin
    uint64_t *handles;             // one an id
    enum pubsub_settled *outcomes; // one an id, when it has ended; NULL before
    size_t count;
    size_t handles_cap;
    struct backoff backoff;
    struct timer rest;
    struct settle_request *next; // all that are not open
    struct settle_request *previous;
};

struct receiver;

struct receiver_ops {
    void (*start)(struct receiver *receiver);
    void (*room)(struct receiver *receiver); // there may be room for more messages
    void (*stop)(struct receiver *receiver); // ends soon; then receiver->ended
};

extern const struct receiver_ops receive_pull_ops;
extern const struct receiver_ops receive_stream_ops;

enum receiver_state {
    RECEIVER_IDLE,    // no room
    RECEIVER_RESTING, // until the timer, after a failure
    RECEIVER_BUSY,    // a call or stream is out
    RECEIVER_ENDED,
};

// One stream, or one pull at a time.
struct receiver {
    struct pubsub_subscriber *subscriber;
    const struct receiver_ops *ops;
    uint32_t index;
    enum receiver_state state;
    struct backoff backoff;
    struct timer timer;
    // Unary pull.
    struct transport_call call;
    size_t asked;        // messages, by the pull that is out
    bool waits_for_acks; // RECEIVER_RESTING for their sake
    // Stream.
    struct transport_stream stream;
    int64_t opened_ns;
    int64_t heard_ns;  // the last message from the service
    int64_t pinged_ns; // 0: no ping since
    bool reading;
    bool writing;
    bool cancelled; // by us, because it was silent
};

struct pubsub_subscriber {
    struct pubsub *client;
    struct pubsub_subscriber_options options;
    struct resource subscription;
    char client_id
        [37]; // the same for all streams of this subscriber, also when they are opened again
    struct backoff_rules receive_rules;
    struct held held;
    struct ack_latency latency;
    struct timer lease_timer;
    struct settle_request *open[SETTLE_KIND_COUNT];
    struct settle_request *requests_first;
    struct timer ack_linger;
    struct receiver *receivers;
    size_t asked; // messages, by all pulls that are out
    bool exactly_once;
    bool pongs;    // the service has answered a ping
    bool draining; // nothing is received any more
    bool closed;
    size_t deliveries; // of outcomes, on their way
    enum err err;      // failed for good
    struct why why;
    enum err away; // cannot reach the service for now
    struct why away_why;
    struct pubsub_subscriber_figures figures;
};

// receive.c: what receivers and others report.
void subscriber_received(struct pubsub_subscriber *subscriber, struct payload *response);
// A receiver's call or stream ended that way. Gives the time to wait before the next, or -1 when the
// subscriber has failed for good.
int64_t subscriber_failed(struct pubsub_subscriber *subscriber, struct receiver *receiver,
                          enum err err, const struct why *why);
bool subscriber_has_room(const struct pubsub_subscriber *subscriber);
void subscriber_reached(struct pubsub_subscriber *subscriber); // the service has answered
void subscriber_room_changed(struct pubsub_subscriber *subscriber);
void subscriber_show(struct pubsub_subscriber *subscriber, struct held_batch *batch);
// Nacks what nobody has taken of a batch. true when that was all, and the batch is gone.
bool subscriber_nack_arrived(struct pubsub_subscriber *subscriber, struct held_batch *batch);

// leases.c
void leases_begin(struct pubsub_subscriber *subscriber, struct held_batch *batch);
void leases_hold(struct pubsub_subscriber *subscriber, struct held_batch *batch,
                 struct held_message *message, int64_t us);
void leases_timer_fired(void *context);
uint32_t leases_seconds(const struct pubsub_subscriber *subscriber);

// settle.c
void settle_add(struct pubsub_subscriber *subscriber, enum settle_kind kind, uint64_t handle,
                struct text ack_id);
void settle_send(struct pubsub_subscriber *subscriber, enum settle_kind kind); // what is open
void settle_linger_over(void *context);
bool settle_is_idle(const struct pubsub_subscriber *subscriber);
void settle_stop(struct pubsub_subscriber *subscriber); // cuts short what is under way

// exactly_once.c: what the service's error details say about one ack id of a request that failed.
enum ack_verdict { ACK_VERDICT_FINE, ACK_VERDICT_TRANSIENT, ACK_VERDICT_PERMANENT };
// Whether `details` (an encoded google.rpc.Status) speaks about ack ids at all.
bool ack_verdicts_given(struct text details);
enum ack_verdict ack_verdict_of(struct text details, struct text ack_id);

#endif
