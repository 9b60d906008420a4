// A client of a scripted service, and what the tests of both do with it.
#ifndef TILL_SCRIPTED_RIG_H
#define TILL_SCRIPTED_RIG_H

#include "pubsub.h"
#include "pubsub_scripted.h"

#include <stdatomic.h>

#define RIG_PATIENCE_US  (60 * US_PER_SECOND)
#define RIG_PATIENCE_MS  60000u
#define RIG_MESSAGES_MAX 5000u

struct scripted_rig {
    struct pubsub_scripted *server;
    struct pubsub *client;
    struct pubsub_publisher *publisher;   // NULL until opened
    struct pubsub_subscriber *subscriber; // NULL until opened
    struct arena arena;
    struct pubsub_message *messages; // of the last take
    size_t count;
    struct why why;
    uint32_t taken[RIG_MESSAGES_MAX]; // how often, by number
    uint64_t handles[RIG_MESSAGES_MAX];
    // By number: 1 + enum pubsub_settled; 0: nothing was told.
    atomic_int settled[RIG_MESSAGES_MAX];
};

// With the usual server where options are NULL.
struct scripted_rig *scripted_rig_create(const struct pubsub_scripted_options *options);
// The same with the client connected to another endpoint, or by TLS.
struct scripted_rig *scripted_rig_create_to(const struct pubsub_scripted_options *server_options,
                                            const struct pubsub_options *client_options);
void scripted_rig_destroy(struct scripted_rig *rig);

void rig_expect_ok(enum err err, const struct why *why);

void rig_open_publisher(struct scripted_rig *rig, struct pubsub_publisher_options options);
void rig_open_subscriber(struct scripted_rig *rig, struct pubsub_subscriber_options options);
// Publishes one message and waits for the outcome, which is in rig->why too.
enum err rig_publish_one(struct scripted_rig *rig);

// Takes once, waiting up to that long for something to come; rig->count tells how many.
enum err rig_take(struct scripted_rig *rig, size_t count_max, int64_t timeout_us);
// Takes until that many messages have come in all, and acks them if so wanted.
void rig_take_all(struct scripted_rig *rig, size_t total, bool ack);
void rig_ack_number(struct scripted_rig *rig, size_t number);

// Waits until the server has counted that many calls; false when it has not within the time.
bool rig_wait_calls(struct scripted_rig *rig, enum scripted_method method, uint64_t count,
                    uint32_t timeout_ms);
bool rig_wait_acked(struct scripted_rig *rig, size_t count);
// The time between the n-th call of that method and the next, in milliseconds.
int64_t rig_gap_ms(struct scripted_rig *rig, enum scripted_method method, size_t n);

#endif
