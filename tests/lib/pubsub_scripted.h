// A Pub/Sub service of ours that plays what only the real one does: it refuses single acks on
// exactly-once subscriptions, ends streams, makes ack ids long, answers pings, and fails when told to.
//
// There is one topic and one subscription, whatever names the client uses. Messages are numbered from 0
// in the order in which they were added or published; their data is the number, filled up with spaces,
// unless a client published them. Leases end in real time, as the client asked for them.
//
// Commands may come from any thread; a command is in force for requests that come after it.
// https://cloud.google.com/pubsub/docs/reference/rpc/google.pubsub.v1
#ifndef TILL_PUBSUB_SCRIPTED_H
#define TILL_PUBSUB_SCRIPTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRIPTED_ACK_REQUEST_MAX 524288u // bytes of a request about ack ids; more is refused
#define SCRIPTED_ALWAYS          UINT32_MAX

enum scripted_method {
    SCRIPTED_PUBLISH,
    SCRIPTED_PULL,
    SCRIPTED_STREAMING_PULL,
    SCRIPTED_ACKNOWLEDGE,
    SCRIPTED_MODIFY_ACK_DEADLINE,
    SCRIPTED_OTHER, // is UNIMPLEMENTED
    SCRIPTED_METHOD_COUNT
};

struct pubsub_scripted;

struct pubsub_scripted_options {
    uint16_t port; // 0: a free one
    // PEM texts of a certificate chain and its key: TLS. NULL: plaintext.
    const char *certificates;
    const char *key;
    size_t response_count_max; // messages on a stream at a time; 100
    uint32_t pull_wait_ms;     // a pull waits this long for a message; 1,000
};

struct pubsub_scripted *pubsub_scripted_start(const struct pubsub_scripted_options *options);
void pubsub_scripted_stop(struct pubsub_scripted **server);
const char *pubsub_scripted_address(const struct pubsub_scripted *server); // "127.0.0.1:40001"

// --- what there is to deliver -------------------------------------------------------------------

void pubsub_scripted_add(struct pubsub_scripted *server, size_t count, size_t data_size);
// Whether delivery is exactly once; streams are told in every response.
void pubsub_scripted_exactly_once(struct pubsub_scripted *server, bool on);
// Bytes of ack ids of deliveries from now on; 32 ... 64 KiB.
void pubsub_scripted_ack_id_size(struct pubsub_scripted *server, size_t size);
// Whether empty requests on streams are answered, as protocol version 1 has it; they are.
void pubsub_scripted_pongs(struct pubsub_scripted *server, bool on);

// --- failures -----------------------------------------------------------------------------------

// What becomes of one call. Instead of being done it ends with the status, or, with status 0, it is done
// as usual; both after the delay. What is done late is done at the end of the delay.
struct scripted_answer {
    int status;         // of gRPC
    const char *reason; // a constant text; NULL: none
    uint32_t delay_ms;
    uint32_t times; // so many calls; 0: one
};

// Adds to the script of that method. Calls beyond the script are done as usual.
void pubsub_scripted_next(struct pubsub_scripted *server, enum scripted_method method,
                          struct scripted_answer answer);
void pubsub_scripted_forget(struct pubsub_scripted *server, enum scripted_method method);

// On exactly-once subscriptions: requests of that method (acknowledge or modify) refuse this message so many
// times, with that word in the ErrorInfo, and do what they say for the others.
#define SCRIPTED_PERMANENT "PERMANENT_FAILURE_INVALID_ACK_ID"
#define SCRIPTED_TRANSIENT "TRANSIENT_FAILURE_SERVICE_UNAVAILABLE"
void pubsub_scripted_refuse(struct pubsub_scripted *server, enum scripted_method method,
                            size_t message, const char *word, uint32_t times);

// Ends the streams that are open. What was sent on them stays leased.
void pubsub_scripted_end_streams(struct pubsub_scripted *server, int status, const char *reason);

// --- what has happened --------------------------------------------------------------------------

struct scripted_counts {
    uint64_t calls[SCRIPTED_METHOD_COUNT];
    uint64_t failed[SCRIPTED_METHOD_COUNT];
    size_t request_size_max[SCRIPTED_METHOD_COUNT]; // bytes
    uint64_t pings;
    size_t streams;       // open now
    size_t messages;      // added and published
    size_t acked;         // of these
    uint64_t acks;        // that were taken; an ack of an acked message is none
    uint64_t deliveries;  // of messages, redeliveries included
    uint64_t first_asked; // max_outstanding_messages of the last stream's first request
    bool client_id_kept;  // all streams had the same client_id
};

struct scripted_counts pubsub_scripted_counts(struct pubsub_scripted *server);
// Waits until the counts are as wanted; false when they were not within the time.
typedef bool scripted_condition(const struct scripted_counts *counts, void *context);
bool pubsub_scripted_wait_until(struct pubsub_scripted *server, scripted_condition *holds,
                                void *context, uint32_t timeout_ms);
// When the n-th call of that method came, counted from 0, in nanoseconds of the monotonic clock; -1 when
// it did not, or n is 1,000 or more.
int64_t pubsub_scripted_call_ns(struct pubsub_scripted *server, enum scripted_method method,
                                size_t n);

#endif
