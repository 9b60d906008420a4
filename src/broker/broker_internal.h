// What the files of this folder share; nobody else includes it. README.md draws the whole.
//
// Threads and locks. At any time at most one thread is the leader; it alone touches the writer
// connection and the fields marked (leader). `queue_lock` guards the queue and the right to lead and is
// never held across I/O. Each subscription has a lock over its leases and its read-only connection. The
// leader may take a subscription's lock; whoever holds one never waits for a leader.
#ifndef TILL_BROKER_INTERNAL_H
#define TILL_BROKER_INTERNAL_H

#include "broker.h"
#include "buf.h"
#include "leases.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

struct subscription;

// The messages of a topic that lie in one of its two tables: first ... end-1, none when both are equal.
struct extent {
    uint64_t first;
    uint64_t end;
    uint64_t size; // bytes, about; EXTENT_SIZE_UNKNOWN for what an earlier process wrote
};
#define EXTENT_SIZE_UNKNOWN UINT64_MAX

// One of the two tables that a topic's messages lie in; trim.c explains why two. All (leader).
struct half {
    struct extent extent;  // committed
    struct extent pending; // once the running transaction commits
    sqlite3_stmt *insert;
    sqlite3_stmt *cut;   // deletes the messages up to a number
    sqlite3_stmt *clear; // deletes all
};

struct topic {
    int64_t id;
    char name[BROKER_NAME_SIZE_MAX + 1];
    _Atomic uint64_t last_seq; // committed; written by the leader
    _Atomic bool trim_due;     // a commit would find much to delete; written by the leader
    // Messages from split_seq on lie in half `current`, older ones in the other. One atomic number,
    // split_seq * 2 + current, written by the leader before last_seq.
    _Atomic uint64_t split;
    uint64_t pending_seq;           // (leader) last_seq once the running transaction commits
    unsigned pending_current;       // (leader) the half that new messages go to
    uint64_t pending_trimmed_count; // (leader)
    struct half halves[2];          // (leader)
    struct subscription *subscriptions[BROKER_SUBSCRIPTION_COUNT_MAX]; // (leader)
    size_t subscription_count;                                         // (leader)
};

struct subscription {
    pthread_mutex_t lock; // over leases, reader, selects, oldest
    int64_t id;
    char name[BROKER_NAME_SIZE_MAX + 1];
    struct topic *topic;
    struct leases leases;
    sqlite3 *reader;
    sqlite3_stmt *select[2]; // by half
    uint64_t oldest_seq;     // the message that oldest_us belongs to
    int64_t oldest_us;

    _Atomic uint64_t floor;         // leases.floor, for those who don't hold the lock
    _Atomic bool dirty;             // leases hold acks that are not on disk
    _Atomic int64_t flushed_ns;     // when the leases were last written
    _Atomic uint64_t delivered_seq; // on disk: no message above this was ever delivered
    _Atomic uint64_t wanted_seq;    // a pull needs delivered_seq to be at least this

    uint64_t durable_floor;     // (leader) on disk: all messages up to here are acked
    bool pending;               // (leader) the running transaction writes this subscription
    uint64_t pending_floor;     // (leader) durable_floor once it commits
    uint64_t pending_delivered; // (leader) delivered_seq once it commits
};

// One caller's wish in the queue; lives on the caller's stack.
struct request {
    struct request *next;
    struct topic *topic; // of a publish; NULL for a flush
    const struct broker_outgoing *messages;
    size_t count;
    size_t size;        // bytes of data and attributes
    uint64_t first_seq; // of the messages, once admitted
    struct why *why;
    enum err result;
    bool refused; // by admission, so not part of the transaction
    bool done;
};

struct broker {
    char *path;
    struct clock clock;
    int64_t lease_us;
    uint64_t backlog_max;
    uint64_t size_max;
    uint64_t disk_reserve_size;
    bool read_only;
    char log_id[33];

    sqlite3 *writer; // (leader); in a read-only broker the one reader, under queue_lock
    sqlite3_stmt *begin;
    sqlite3_stmt *commit;
    sqlite3_stmt *rollback;
    sqlite3_stmt *topic_update;
    sqlite3_stmt *subscription_update;
    struct buf scratch;           // (leader) packed attributes, ranges as text
    int64_t published_us;         // (leader) last publish time committed
    int64_t pending_published_us; // (leader)
    uint64_t wal_pages;           // (leader) length of the write-ahead log
    uint64_t wal_pages_retry;     // (leader) no checkpoint before this length
    bool out_of_space;            // (leader) the last transaction found the disk or the file full
    uint64_t disk_check_size;     // (leader) bytes that may be written before the disk is looked at
    bool closing;                 // (leader) the last flush

    pthread_mutex_t queue_lock;
    pthread_cond_t queue_moved;
    struct request *queue_first;
    struct request **queue_end;
    bool leading;
    struct topic *topics[BROKER_TOPIC_COUNT_MAX]; // grow under queue_lock by the leader
    size_t topic_count;
    struct subscription *subscriptions[BROKER_SUBSCRIPTION_COUNT_MAX];
    size_t subscription_count;

    pthread_mutex_t poison_lock;
    _Atomic bool poisoned;
    struct why poison; // the first failure that ended this broker

    pthread_mutex_t wait_lock;
    pthread_cond_t available;
    uint64_t generation;

    _Atomic uint64_t commit_count;
    _Atomic uint64_t checkpoint_count;
    _Atomic uint64_t published_count;
    _Atomic uint64_t trimmed_count;
    _Atomic uint64_t wal_pages_max;
};

// file.c: connections, and what SQLite's answers mean.

// Turns a failed SQLite result into our error with a sentence; `doing` says what was tried.
enum err file_error(const char *path, sqlite3 *connection, int result, const char *doing,
                    struct why *why);
// The same for a broker at work: errors of class STOP poison it.
enum err broker_fail(struct broker *broker, sqlite3 *connection, int result, const char *doing,
                     struct why *why);
enum err broker_poison(struct broker *broker, const struct why *why);
// ERR_OK, or the error that poisoned the broker.
MUST_USE enum err broker_check(struct broker *broker, struct why *why);
// Opens the writer connection, creates the schema where there is none, and checks it.
MUST_USE enum err file_open_writer(struct broker *broker, struct why *why);
// Brings what a crash left in the write-ahead log into the file. After the file was found sound.
MUST_USE enum err file_recover(struct broker *broker, struct why *why);
// Whether closing the writer copies the write-ahead log into the file, which a failed opening and a
// poisoned broker must not do.
void file_checkpoint_on_close(struct broker *broker, bool on);
MUST_USE enum err file_open_reader(const char *path, sqlite3 **out_connection, struct why *why);
MUST_USE enum err file_prepare(const char *path, sqlite3 *connection, const char *sql,
                               sqlite3_stmt **out_statement, struct why *why);
MUST_USE enum err file_execute(const char *path, sqlite3 *connection, const char *sql,
                               struct why *why);
// Steps a prepared statement that returns no rows and resets it; an SQLite result.
int statement_run(sqlite3_stmt *statement);

// topics.c: topics and subscriptions come from the file.

struct topics_row {
    int64_t id;
    const char *name;
    int64_t last_seq;
    int64_t last_published_us;
};

struct subscriptions_row {
    int64_t id;
    const char *name;
    struct topic *topic;
    uint64_t floor;
    struct text acked_ranges;
    uint64_t delivered_seq;
};

MUST_USE enum err topics_add(struct broker *broker, const struct topics_row *row, struct why *why);
MUST_USE enum err subscriptions_add(struct broker *broker, const struct subscriptions_row *row,
                                    struct why *why);
MUST_USE enum err topics_load(struct broker *broker, struct why *why);
void topics_destroy(struct broker *broker);

// create.c

bool topics_name_valid(struct text name);

// commit.c: the queue and the transaction.

// Puts a request into the queue and returns when it has been served.
enum err commit_submit(struct broker *broker, struct request *request);
void lead_begin(struct broker *broker); // waits for the right to lead
void lead_end(struct broker *broker);

// write.c: what a transaction writes. As leader; SQLite results.

int write_messages(struct broker *broker, const struct request *group);
int write_topics(struct broker *broker);
// The acks that came since the last time. A subscription that is busy just now waits for the next commit,
// unless somebody asked for a flush.
int write_subscriptions(struct broker *broker, bool flush);
bool subscription_needs_writing(const struct broker *broker,
                                const struct subscription *subscription);

// trim.c: which half messages go to, and deleting what all have acked. As leader.

// Takes what is in the tables when the log is opened: halves' extents must be set.
void halves_open(struct topic *topic);
// The half for `count` further messages of `size` bytes; notes them as pending.
struct half *halves_append(struct topic *topic, uint64_t first_seq, size_t count, size_t size);
void halves_forget_pending(struct topic *topic);
void halves_adopt_pending(struct topic *topic);
// The half that a message lies in, and the first number above it that may lie in the other. Any thread.
unsigned halves_find(const struct topic *topic, uint64_t seq, uint64_t *out_end_seq);
int trim_topics(struct broker *broker);                   // an SQLite result
bool trim_due(const struct topic *topic);                 // by what is acked in memory
uint64_t topic_smallest_floor(const struct topic *topic); // UINT64_MAX without subscriptions

// broker.c

struct subscription *broker_subscription(struct broker *broker, uint32_t number);
void broker_announce(struct broker *broker); // messages may have become available
// Puts acks on disk that have waited long enough, and trims when that is due. A full disk only delays
// both: the acks stand in memory.
MUST_USE enum err broker_flush_when_due(struct broker *broker,
                                        const struct subscription *subscription, struct why *why);

static inline void lock(pthread_mutex_t *mutex)
{
    int failed = pthread_mutex_lock(mutex);
    if (failed != 0) {
        __builtin_trap();
    }
}

static inline void unlock(pthread_mutex_t *mutex)
{
    int failed = pthread_mutex_unlock(mutex);
    if (failed != 0) {
        __builtin_trap();
    }
}

#endif
