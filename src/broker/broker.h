// Embedded durable publish-subscribe engine: topics, subscriptions, leases and redelivery in one
// SQLite file, topics.db. Delivery is at least once: a message pulled is leased until it is acked,
// nacked, or its lease ends; then it comes again.
//
// One broker a file owns it for writing; the caller sees to that (the data directory's lock). Beside
// an owner, a read-only broker may look at backlogs. Every call may be made from any thread.
//
// Once an operation on the file fails in a way that leaves its outcome unknown, the broker is poisoned:
// every later call answers the same STOP error. The process ends, and opening the file recovers.
#ifndef TILL_BROKER_H
#define TILL_BROKER_H

#include "arena.h"
#include "attributes.h"
#include "clock.h"
#include "errors.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BROKER_NAME_SIZE_MAX          255u                // of a topic or a subscription
#define BROKER_TOPIC_COUNT_MAX        64u                 //
#define BROKER_SUBSCRIPTION_COUNT_MAX 64u                 // of all topics together
#define BROKER_MESSAGE_SIZE_MAX       10000000u           // data and attributes of one message
#define BROKER_PUBLISH_COUNT_MAX      10000u              // messages of one publish call
#define BROKER_PUBLISH_SIZE_MAX       (64u * 1024 * 1024) // bytes of one publish call
#define BROKER_PULL_COUNT_MAX         16384u  // messages of one pull; more is cut to this
#define BROKER_OUTSTANDING_MAX        262144u // from the oldest unacked to the newest pulled
#define BROKER_LEASE_US_DEFAULT       (60 * US_PER_SECOND) //
#define BROKER_BACKLOG_MAX_DEFAULT                                                                 \
    UINT64_C(10000000) // messages of a topic, from its oldest unacked
#define BROKER_DISK_RESERVE_SIZE_DEFAULT (UINT64_C(64) * 1024 * 1024)
#define BROKER_FLUSH_INTERVAL_US         (US_PER_SECOND / 10) // an ack waits at most this long for the disk

struct broker;

struct broker_options {
    const char *path; // of topics.db
    struct clock clock;
    int64_t lease_us;           // 0: the default
    uint64_t backlog_max;       // 0: the default
    uint64_t size_max;          // bytes of the file; 0: no limit but the disk
    uint64_t disk_reserve_size; // publishing stops when less is free on the disk; 0: the default
    bool read_only;             // only find and backlog work
};

// Opens the log, creating it when absent (unless read_only), and recovers what a crash left.
// ERR_CORRUPT (nothing is changed), ERR_SCHEMA, ERR_IO, ERR_READ_ONLY, ERR_PERMISSION, ERR_NOT_FOUND,
// ERR_UNAVAILABLE, ERR_FULL, ERR_NO_MEMORY.
MUST_USE enum err broker_open(const struct broker_options *options, struct broker **out_broker,
                              struct why *why);
// Writes the acks that are not on disk yet. No other call may run. Accepts NULL and *broker == NULL.
void broker_close(struct broker **broker);

// 32 hexadecimal digits made when the file was; valid until close.
struct text broker_log_id(const struct broker *broker);

// Finds the topic of that name, or makes it. Names: 1-255 of A-Z a-z 0-9 - _ . ~ + %, first a letter.
MUST_USE enum err broker_topic_create(struct broker *broker, struct text name, uint32_t *out_topic,
                                      struct why *why);
// Finds the subscription of that name, or makes it: it gets what is published from then on.
// ERR_EXISTS when a subscription of another topic has the name.
MUST_USE enum err broker_subscription_create(struct broker *broker, uint32_t topic,
                                             struct text name, uint32_t *out_subscription,
                                             struct why *why);
MUST_USE enum err broker_subscription_find(struct broker *broker, struct text name,
                                           uint32_t *out_subscription, struct why *why);

struct broker_outgoing {
    struct text data;
    struct attributes attributes;
};

// All or nothing; ERR_OK means durable. Callers of several threads share one commit. ERR_FULL (backlog,
// size or disk; nothing was published), ERR_BUSY (another program writes to the file; nothing was
// published), ERR_TOO_LARGE, ERR_NOT_FOUND (the topic has no subscription, so the messages would be
// lost). After ERR_IO the messages may or may not be there when the file is opened again.
MUST_USE enum err broker_publish(struct broker *broker, uint32_t topic,
                                 const struct broker_outgoing *messages, size_t count,
                                 struct why *why);

struct broker_message {
    uint64_t sequence;         // position in its topic: 1, 2, 3, ...; never used twice
    int64_t published_us;      // strictly increasing over the whole file
    uint64_t handle;           // names this delivery towards ack, nack and extend
    uint32_t delivery_attempt; // 1 at first; at least 2 when a process that died may have had it
    struct text data;
    struct attributes attributes;
};

struct broker_pull_limits {
    size_t count_max;
    size_t size_max;      // bytes of data in all; one message is given even if it has more
    size_t overhead_size; // bytes to leave free in the arena for every message given
};

// Leases messages, those to be redelivered first, then fresh ones, each kind in order. Everything
// given lies in the arena. Gives fewer when the arena has no room; ERR_FULL when it has none for a
// single message. Never waits for messages.
MUST_USE enum err broker_pull(struct broker *broker, uint32_t subscription,
                              const struct broker_pull_limits *limits, struct arena *arena,
                              struct broker_message **out_messages, size_t *out_count,
                              struct why *why);

// Handles whose lease has ended are ignored and counted. An ack is on disk with the next commit or
// within BROKER_FLUSH_INTERVAL_US of activity; a lost one only means that the message comes again.
MUST_USE enum err broker_ack(struct broker *broker, uint32_t subscription, const uint64_t *handles,
                             size_t count, struct why *why);
// Gives the messages back; they come again at once.
MUST_USE enum err broker_nack(struct broker *broker, uint32_t subscription, const uint64_t *handles,
                              size_t count, struct why *why);
// Sets their leases to end lease_us from now (0: at once).
MUST_USE enum err broker_extend(struct broker *broker, uint32_t subscription,
                                const uint64_t *handles, size_t count, int64_t lease_us,
                                struct why *why);
// Puts every ack on disk now.
MUST_USE enum err broker_flush(struct broker *broker, struct why *why);

// A number that grows whenever messages may have become available. A caller takes it before a pull and
// gives it to broker_wait when the pull found nothing, so nothing is missed in between.
uint64_t broker_generation(struct broker *broker);
// Waits until the generation differs from `seen`, at most timeout_us of real time. May return early.
void broker_wait(struct broker *broker, uint64_t seen, int64_t timeout_us);
void broker_wake(struct broker *broker); // ends every wait; not for signal handlers

struct broker_backlog {
    uint64_t published;        // messages ever published to the topic
    uint64_t unacked;          // leased ones included
    uint64_t leased;           // 0 in a read-only broker, which can't know
    int64_t oldest_unacked_us; // publish time, 0 when none
};
MUST_USE enum err broker_backlog(struct broker *broker, uint32_t subscription,
                                 struct broker_backlog *out_backlog, struct why *why);

struct broker_counters {
    uint64_t commits;
    uint64_t checkpoints;
    uint64_t messages_published;
    uint64_t messages_trimmed;
    uint64_t handles_ignored; // acks, nacks and extensions that came after the lease had ended
    uint64_t wal_pages_max;   // the most that the write-ahead log held
};
void broker_counters(struct broker *broker, struct broker_counters *out_counters);

#endif
