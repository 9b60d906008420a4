// A client of Google Cloud Pub/Sub: https://cloud.google.com/pubsub/docs/reference/rpc
//
//     struct pubsub *client;                      one connection to one project
//     struct pubsub_publisher *publisher;         one topic
//     struct pubsub_subscriber *subscriber;       one subscription
//
//     pubsub_open(&(struct pubsub_options){.target = target}, &client, why);
//     pubsub_publisher_open(client, &(struct pubsub_publisher_options){.topic = TEXT("orders")},
//                           &publisher, why);
//     pubsub_publish(publisher, messages, count, tag, &accepted, why);   results come by callback
//     pubsub_subscriber_open(client, &(struct pubsub_subscriber_options){...}, &subscriber, why);
//     pubsub_take(subscriber, &limits, arena, &messages, &count, why);   what has arrived
//     pubsub_ack(subscriber, handles, count);
//     ..._close(&...); pubsub_close(&client);                            in that order
//
// Threads: a client has one thread of its own, the loop, which does all input, output and timers and
// calls the callbacks. Every function here may be called from any thread, but not from a callback
// unless it says so; closing something is the last call about it. A callback must not block: while it
// runs nothing is received and no lease is extended.
//
// Errors: RETRY, REJECT or STOP by err_class_of; the service's own words are in struct why. Strings and
// texts in options are copied. A zero in options means the default that is named beside it.
#ifndef TILL_PUBSUB_H
#define TILL_PUBSUB_H

#include "arena.h"
#include "attributes.h"
#include "clock.h"
#include "errors.h"
#include "pubsub_target.h"
#include "text.h"

#include <stddef.h>
#include <stdint.h>

#define PUBSUB_REQUEST_COUNT_MAX 1000u     // messages a publish request
#define PUBSUB_REQUEST_SIZE_MAX  10000000u // bytes of an encoded publish request, the topic included
#define PUBSUB_KEY_SIZE_MAX      1024u     // bytes of an ordering key

// --- client -------------------------------------------------------------------------------------

struct pubsub;

struct pubsub_options {
    struct pubsub_target target; // pubsub_target.h
    const char *ca_file;         // PEM file of the roots to trust; NULL: the system's
    const char *quota_project;   // who is billed and limited; NULL: the identity's own
    uint32_t connections;        // 1
    int64_t keepalive_us;        // HTTP/2 ping after this long in silence; 300 s
    // A connection on which something is awaited and nothing was heard for this long is tested with a
    // small call, and replaced when that stays unanswered for a quarter of it; 40 s.
    int64_t silence_us;
    int64_t admin_us;   // patience of administration, with all attempts; 60 s
    struct clock clock; // clock_real()
};

// Does not wait for the service: a wrong endpoint shows at the first use. ERR_CONFIG with a sentence
// that says what to do when there is no identity.
MUST_USE enum err pubsub_open(const struct pubsub_options *options, struct pubsub **out_client,
                              struct why *why);
// Publishers and subscribers are closed before.
void pubsub_close(struct pubsub **client);

// Counts arrivals at all subscribers of the client, their failures and calls of pubsub_wake.
uint64_t pubsub_arrivals(struct pubsub *client);
// Waits until that count is another than `seen`, or for timeout_us. May return early.
void pubsub_wait(struct pubsub *client, uint64_t seen, int64_t timeout_us);
// Ends every pubsub_wait, and makes the loop look at the clock (one that is not real may have jumped).
void pubsub_wake(struct pubsub *client);

// --- publishing ---------------------------------------------------------------------------------

struct pubsub_publisher;

struct pubsub_outgoing {
    struct text data;
    struct attributes attributes; // keys and values in UTF-8, no key beginning with "goog"
    struct text ordering_key;     // empty: none. Only for publishers with .ordering
};

struct pubsub_publish_result {
    enum err err;           // ERR_OK: the service has it
    struct text message_id; // when ERR_OK
    struct text ordering_key;
    const struct why *why; // otherwise
};

enum pubsub_when_full {
    PUBSUB_WHEN_FULL_WAIT,   // pubsub_publish waits for room
    PUBSUB_WHEN_FULL_REFUSE, // pubsub_publish answers ERR_FULL
};

struct pubsub_publisher_options {
    struct text topic;        // "orders_data", or projects/P/topics/T
    size_t batch_count_max;   // messages a request; 1,000, which is also the most
    size_t batch_size_max;    // bytes a request; 10,000,000, which is also the most
    int64_t linger_us;        // a request is sent when its first message waited that long; 10 ms
    size_t requests_max;      // in flight at once; 8
    size_t waiting_count_max; // messages accepted and not yet answered; 100,000
    size_t waiting_size_max;  // and their bytes; 100,000,000
    enum pubsub_when_full when_full;
    bool ordering;            // messages of one key are published in the order of pubsub_publish
    bool resume_by_itself;    // a key whose messages failed goes on without pubsub_publisher_resume
    int64_t attempt_us;       // patience for one request; 60 s
    int64_t total_us;         // and for a message with all attempts; 600 s
    int64_t backoff_first_us; // 100 ms, doubled up to
    int64_t backoff_last_us;  // 10 s, jittered
    // Once for every accepted message, on the loop; the result is valid during the call. May call
    // pubsub_publish of a publisher that refuses when it is full. NULL: nobody asks, or
    // pubsub_publish_all does; tags are NULL then.
    void (*on_result)(void *context, void *tag, const struct pubsub_publish_result *result);
    void *context;
};

MUST_USE enum err pubsub_publisher_open(struct pubsub *client,
                                        const struct pubsub_publisher_options *options,
                                        struct pubsub_publisher **out_publisher, struct why *why);

// Takes the first *out_accepted messages (copies them); each will have one result, with this tag. All
// of them when ERR_OK. ERR_FULL: no room now (PUBSUB_WHEN_FULL_REFUSE). ERR_TOO_LARGE, ERR_INVALID: the
// message after the accepted ones will never do. ERR_BUSY: its ordering key is paused.
MUST_USE enum err pubsub_publish(struct pubsub_publisher *publisher,
                                 const struct pubsub_outgoing *messages, size_t count, void *tag,
                                 size_t *out_accepted, struct why *why);
// Whether pubsub_publish would accept the message as such: ERR_TOO_LARGE, ERR_INVALID.
MUST_USE enum err pubsub_publish_check(const struct pubsub_publisher *publisher,
                                       const struct pubsub_outgoing *message, struct why *why);

// Publishes these and waits until the service has every one of them, or until one has failed for good:
// then some of them may have been published. Only for publishers without .on_result.
MUST_USE enum err pubsub_publish_all(struct pubsub_publisher *publisher,
                                     const struct pubsub_outgoing *messages, size_t count,
                                     struct why *why);

// Sends what is waiting for company. Returns at once.
void pubsub_publisher_send(struct pubsub_publisher *publisher);
// Sends, and waits until every accepted message has its result. ERR_TIMEOUT.
MUST_USE enum err pubsub_publisher_flush(struct pubsub_publisher *publisher, int64_t timeout_us,
                                         struct why *why);

// After a failure for good, a key's waiting messages fail too and the key is paused, since going on
// would change the order. Resuming a key that is not paused does nothing.
void pubsub_publisher_resume(struct pubsub_publisher *publisher, struct text ordering_key);
void pubsub_publisher_resume_all(struct pubsub_publisher *publisher);
// Calls `each` for every paused key, under the client's lock: `each` may call nothing here.
void pubsub_publisher_paused(struct pubsub_publisher *publisher,
                             void (*each)(void *context, struct text ordering_key), void *context);

// What has no result by then fails with ERR_CLOSED: flush before. Waits for the loop to end with it.
void pubsub_publisher_close(struct pubsub_publisher **publisher);

// --- subscribing --------------------------------------------------------------------------------

struct pubsub_subscriber;

enum pubsub_way {
    PUBSUB_STREAMING_PULL, // the service sends as messages come
    PUBSUB_UNARY_PULL,     // we ask for up to 1,000 at a time
};

// How an ack or nack ended on a subscription with exactly-once delivery.
enum pubsub_settled {
    PUBSUB_SETTLED,          // the service has confirmed it: an acked message won't come again
    PUBSUB_SETTLED_TOO_LATE, // the lease had ended: the message will come again
    PUBSUB_SETTLED_UNKNOWN,  // no confirmation in time: it may come again
};

struct pubsub_subscriber_options {
    struct text subscription; // "orders_data-sub", or projects/P/subscriptions/S
    enum pubsub_way way;
    uint32_t receivers;       // streams, or pulls at once; 1
    size_t held_count_max;    // messages here that are not settled yet; 10,000
    size_t held_size_max;     // and their bytes; 100 MiB
    int64_t lease_min_us;     // bounds of what is asked for when a lease is extended; 10 s
    int64_t lease_max_us;     // 600 s
    int64_t first_lease_us;   // of a message when it arrives: 60 s on streams, which are told so;
                              // with unary pull the subscription's own ack deadline, 10 s assumed
    int64_t hold_us;          // a message taken is leased this long, then nacked; 60 min
    int64_t ack_linger_us;    // acks wait this long for company; 10 ms
    int64_t backoff_first_us; // 100 ms, doubled up to
    int64_t backoff_last_us;  // 10 s, jittered
    int64_t ping_us;          // a stream is pinged after this long in silence; 30 s
    int64_t pong_us;          // and must answer within, if it ever did; 15 s
    bool exactly_once;        // known from the start; streams also learn it from the service
    // On the loop. Only for subscriptions with exactly-once delivery. May be NULL.
    void (*on_settled)(void *context, uint64_t handle, enum pubsub_settled settled);
    void *context;
};

struct pubsub_message {
    struct text message_id;
    struct text ordering_key;
    struct text data;
    struct attributes attributes;
    int64_t published_us;
    uint32_t delivery_attempt; // 0 when the subscription has no dead-letter policy
    uint64_t handle;           // for ack, nack, extend
};

struct pubsub_take_limits {
    size_t count_max;     // messages
    size_t size_max;      // bytes of data; one message is given even if it is larger
    size_t overhead_size; // bytes a message that the caller will need in the arena besides
};

// Receiving begins at once. Nobody need take: leases are kept, flow control holds the service back.
MUST_USE enum err pubsub_subscriber_open(struct pubsub *client,
                                         const struct pubsub_subscriber_options *options,
                                         struct pubsub_subscriber **out_subscriber,
                                         struct why *why);

// Gives what has arrived, in order of arrival, copied into the arena; never waits. A subscriber that has
// failed for good (no such subscription, no permission) says so when nothing is left to take;
// ERR_UNAVAILABLE while the service is away and nothing is left; ERR_FULL when the arena has no room
// for a single message.
MUST_USE enum err pubsub_take(struct pubsub_subscriber *subscriber,
                              const struct pubsub_take_limits *limits, struct arena *arena,
                              struct pubsub_message **out_messages, size_t *out_count,
                              struct why *why);

// A handle that is settled already, or was never given out, is ignored. Acks and nacks are sent in the
// background, in batches, and again until the service has them.
void pubsub_ack(struct pubsub_subscriber *subscriber, const uint64_t *handles, size_t count);
void pubsub_nack(struct pubsub_subscriber *subscriber, const uint64_t *handles, size_t count);
// Holds these for us from now, instead of what is left of .hold_us.
void pubsub_extend(struct pubsub_subscriber *subscriber, const uint64_t *handles, size_t count,
                   int64_t us);

struct pubsub_subscriber_figures {
    uint64_t received;   // messages
    uint64_t acked;      // messages, confirmed by the service
    uint64_t ack_lost;   // acks given up: these messages come again
    uint64_t too_late;   // acks and extensions refused because the lease had ended
    uint64_t nacked;     // messages handed back, by the caller or for lack of time
    uint64_t extended;   // leases
    uint64_t reconnects; // streams opened again, pulls that failed
    size_t held;         // messages now
    size_t held_size;    // bytes now
    int64_t lease_us;    // what an extension asks for now
};
struct pubsub_subscriber_figures pubsub_subscriber_figures(struct pubsub_subscriber *subscriber);

// Stops receiving, nacks what nobody took, and waits until what was taken is settled and all acks are
// with the service. ERR_DRAIN_TIMEOUT when that took too long.
MUST_USE enum err pubsub_subscriber_drain(struct pubsub_subscriber *subscriber, int64_t timeout_us,
                                          struct why *why);
// Nacks all that is held, sends what acks there are for at most 5 s.
void pubsub_subscriber_close(struct pubsub_subscriber **subscriber);

// --- administration -----------------------------------------------------------------------------
// These wait for the answer, up to .admin_us with retries. Names may be short or full.

struct pubsub_topic_settings {
    struct attributes labels;
    int64_t retention_us; // 0: none
};

struct pubsub_subscription_settings {
    struct text topic;
    int64_t ack_deadline_us; // 10 s ... 600 s
    int64_t retention_us;    // of unacked messages; 7 days
    bool retain_acked;
    bool ordering;
    bool exactly_once;
    bool never_expires; // else after 31 days without use
    struct text filter;
    struct attributes labels;
    struct text dead_letter_topic;  // empty: no dead-letter policy
    uint32_t delivery_attempts_max; // 5 ... 100; 0: the service's default
    int64_t retry_min_us;           // both 0: redelivery at once
    int64_t retry_max_us;
};

// ERR_EXISTS when there is one already, whatever its settings.
MUST_USE enum err pubsub_topic_create(struct pubsub *client, struct text topic,
                                      const struct pubsub_topic_settings *settings,
                                      struct why *why);
// ERR_NOT_FOUND. The settings live in the arena.
MUST_USE enum err pubsub_topic_get(struct pubsub *client, struct text topic, struct arena *arena,
                                   struct pubsub_topic_settings *out_settings, struct why *why);
MUST_USE enum err pubsub_topic_delete(struct pubsub *client, struct text topic, struct why *why);
// Full names of all topics of the project, in the arena.
MUST_USE enum err pubsub_topic_list(struct pubsub *client, struct arena *arena,
                                    struct text **out_names, size_t *out_count, struct why *why);

MUST_USE enum err pubsub_subscription_create(struct pubsub *client, struct text subscription,
                                             const struct pubsub_subscription_settings *settings,
                                             struct why *why);
MUST_USE enum err pubsub_subscription_get(struct pubsub *client, struct text subscription,
                                          struct arena *arena,
                                          struct pubsub_subscription_settings *out_settings,
                                          struct why *why);

struct pubsub_difference {
    const char *field; // the service's name of it: "ack_deadline_seconds"
    bool changeable;   // else the subscription would have to be made anew
};
#define PUBSUB_DIFFERENCES_MAX 11

// In what `found` (of pubsub_subscription_get) is not as `wanted`; how many. A wanted time, limit, filter
// or set of labels that is zero or empty stands for whatever is there.
size_t pubsub_subscription_compare(const struct pubsub *client,
                                   const struct pubsub_subscription_settings *wanted,
                                   const struct pubsub_subscription_settings *found,
                                   struct pubsub_difference out[PUBSUB_DIFFERENCES_MAX]);
// Changes these fields to what is wanted; others and those that are not changeable are left alone.
// ERR_INVALID from a service that can't.
MUST_USE enum err pubsub_subscription_update(struct pubsub *client, struct text subscription,
                                             const struct pubsub_subscription_settings *wanted,
                                             const struct pubsub_difference *differences,
                                             size_t count, struct why *why);
MUST_USE enum err pubsub_subscription_delete(struct pubsub *client, struct text subscription,
                                             struct why *why);
MUST_USE enum err pubsub_subscription_list(struct pubsub *client, struct arena *arena,
                                           struct text **out_names, size_t *out_count,
                                           struct why *why);

// Which of these the identity may not do: *out_missing has bit i when permissions[i] is not granted.
// Each concerns publishing to a topic or receiving from a subscription; asking needs no permission.
// ERR_CONFIG from a service that knows no permissions, as the emulator.
// https://cloud.google.com/iam/docs/reference/rest/v1/Policy
#define PUBSUB_PERMISSIONS_MAX 8u
MUST_USE enum err pubsub_topic_permissions(struct pubsub *client, struct text topic,
                                           const char *const *permissions, size_t count,
                                           unsigned *out_missing, struct why *why);
MUST_USE enum err pubsub_subscription_permissions(struct pubsub *client, struct text subscription,
                                                  const char *const *permissions, size_t count,
                                                  unsigned *out_missing, struct why *why);

#endif
