// The store seam: batch primitives on events, facts, waiting payments and dead letters. The matching
// protocol is written once over them (src/pipeline/match_step.c). An implementation is either
// transactional (embedded: begin ... commit is one transaction, and nothing is durable or seen by
// others before commit) or not (every call is durable at quorum when it returns).
//
// One thread at a time uses a store. Texts and rows given out live in the arena given in. Every call
// may fail with a RETRY error (try the whole batch again) or STOP (end the process; what was not
// committed is redone from the bus).
#ifndef TILL_STORE_H
#define TILL_STORE_H

#include "arena.h"
#include "errors.h"
#include "event.h"
#include "fold.h"
#include "ranges.h"
#include "reason.h"
#include "text.h"

#include <stddef.h>
#include <stdint.h>

// What inserting an event met. UNKNOWN where a store inserts without looking.
enum insert_outcome { INSERT_UNKNOWN, INSERT_NEW, INSERT_KNOWN };

struct incoming {
    struct event event;          // its texts must stay until commit or rollback
    enum insert_outcome outcome; // set by store_read_partitions
};

// One order in a batch. The caller fills order_id and incoming; the store fills rows; the caller folds
// them into fact and hands the group back.
struct store_group {
    int64_t order_id;
    struct incoming **incoming;
    size_t incoming_count;
    const struct event **rows; // all rows of the partition, what came in included, each once. The
    size_t row_count;          // caller may take a row out that another one makes superfluous
    struct fact fact;
    void *private_rows; // the store's own, in the arena
};

struct waiting_payment {
    int64_t due_us; // start of its bucket
    int32_t shard;
    int64_t order_id;
    int64_t payment_id;
    struct text event_id; // identity of the payment event
    int64_t published_us;
    struct text message_id;
    uint32_t attempts;
    struct text body; // as it came, for the dead letter
};

struct waiting_bucket {
    int64_t due_us;
    int32_t shard;
};

// What became of one message of a subscription, counted in the same transaction as its effect.
// X(name, text)
#define OUTCOME_TABLE(X)                                                                           \
    X(STORED, "stored")       /* a new event */                                                    \
    X(DUPLICATE, "duplicate") /* an event that was there already */                                \
    X(CONFLICT, "conflict")   /* stored beside another of the same identity */                     \
    X(REFUSED, "refused")     /* a dead letter instead of an event */

enum outcome {
#define X(name, text) OUTCOME_##name,
    OUTCOME_TABLE(X)
#undef X
        OUTCOME_COUNT
};
struct text outcome_text(enum outcome outcome);

enum applied_topic { APPLIED_ORDERS, APPLIED_PAYMENTS, APPLIED_TOPIC_COUNT };

// One line of the tally: messages and stated money by currency. Messages that state no money have
// currency NONE and amount 0.
struct tally {
    enum applied_topic topic;
    enum outcome outcome;
    struct currency currency;
    uint64_t messages;
    __int128 amount_minor;
};

// X(name): life of a dead letter's record
#define DEAD_LETTER_STATE_TABLE(X)                                                                 \
    X(NEW)                                                                                         \
    X(WAITING)                                                                                     \
    X(HEALED)                                                                                      \
    X(REPLAYED)                                                                                    \
    X(DISCARDED)                                                                                   \
    X(EXPIRED)                                                                                     \
    X(QUARANTINED)
enum dead_letter_state {
#define X(name) DEAD_LETTER_##name,
    DEAD_LETTER_STATE_TABLE(X)
#undef X
        DEAD_LETTER_STATE_COUNT
};
struct text dead_letter_state_text(enum dead_letter_state state);

struct dead_letter_record {
    struct hash id;
    enum reason reason;
    enum dead_letter_state state;
    struct text detail;
    struct text body;
    struct text source_topic;
    struct text source_message_id;
    int64_t first_seen_us;
    int64_t recorded_us;
    int64_t order_id;
    int64_t payment_id;
    struct text event_id;
    uint32_t attempts;
    uint32_t replay_count;
    uint32_t checks;       // re-checks done
    int64_t next_check_us; // 0: none
    bool redacted;
    bool rebuilt;
};

struct store;

struct store_ops {
    enum err (*begin)(struct store *store, struct why *why);
    enum err (*commit)(struct store *store, struct why *why);
    void (*rollback)(struct store *store);
    enum err (*insert_events)(struct store *store, struct store_group *groups, size_t count,
                              struct why *why);
    enum err (*read_partitions)(struct store *store, struct store_group *groups, size_t count,
                                struct arena *arena, struct why *why);
    enum err (*write_facts)(struct store *store, struct store_group *groups, size_t count,
                            struct why *why);
    enum err (*insert_waiting)(struct store *store, const struct waiting_payment *items,
                               size_t count, struct why *why);
    enum err (*due_buckets)(struct store *store, int64_t before_us, size_t count_max,
                            struct arena *arena, struct waiting_bucket **out_buckets,
                            size_t *out_count, struct why *why);
    enum err (*close_bucket)(struct store *store, struct waiting_bucket bucket, struct why *why);
    enum err (*bucket_is_closed)(struct store *store, struct waiting_bucket bucket,
                                 bool *out_closed, struct why *why);
    enum err (*read_bucket)(struct store *store, struct waiting_bucket bucket,
                            const struct waiting_payment *after, size_t count_max,
                            struct arena *arena, struct waiting_payment **out_items,
                            size_t *out_count, struct why *why);
    enum err (*finish_bucket)(struct store *store, struct waiting_bucket bucket, struct why *why);
    enum err (*write_lane_status)(struct store *store, struct text lane, int64_t watermark_us,
                                  int64_t now_us, struct why *why);
    enum err (*read_lane_status)(struct store *store, int64_t fresh_after_us, size_t *out_lanes,
                                 int64_t *out_watermark_us, struct why *why);
    enum err (*load_applied)(struct store *store, struct text log_id, enum applied_topic topic,
                             struct ranges *out_ranges, struct why *why);
    enum err (*add_applied)(struct store *store, struct text log_id, enum applied_topic topic,
                            const struct range *ranges, size_t count, struct why *why);
    enum err (*add_tallies)(struct store *store, struct text log_id, const struct tally *tallies,
                            size_t count, struct why *why);
    enum err (*record_dead_letters)(struct store *store, const struct dead_letter_record *records,
                                    size_t count, struct why *why);
    enum err (*due_dead_letters)(struct store *store, int64_t before_us, size_t count_max,
                                 struct arena *arena, struct dead_letter_record **out_records,
                                 size_t *out_count, struct why *why);
    enum err (*change_dead_letter)(struct store *store, const struct hash *id,
                                   enum dead_letter_state state, uint32_t checks,
                                   int64_t next_check_us, int64_t now_us, struct text who,
                                   struct text why_text, struct why *why);
    enum err (*add_start)(struct store *store, struct text lane, uint32_t *out_starts,
                          struct why *why);
    enum err (*clear_starts)(struct store *store, struct text lane, struct why *why);
    enum err (*add_suspect)(struct store *store, struct text topic, struct text message_id,
                            uint32_t *out_starts, struct why *why);
    enum err (*remove_suspect)(struct store *store, struct text topic, struct text message_id,
                               struct why *why);
    void (*close)(struct store *store);
};

// The first member of every implementation.
struct store {
    const struct store_ops *ops;
    bool transactional;
};

// --- one batch -------------------------------------------------------------------------------

MUST_USE enum err store_begin(struct store *store, struct why *why);
// A RETRY error: nothing was committed. STOP: it may be committed or not; the next start knows.
MUST_USE enum err store_commit(struct store *store, struct why *why);
void store_rollback(struct store *store); // forgets the open transaction, if any

// Inserts all incoming events of all groups. Groups have distinct order_ids.
MUST_USE enum err store_insert_events(struct store *store, struct store_group *groups, size_t count,
                                      struct why *why);
// Reads the partitions at quorum, begun after the inserts were acknowledged: sets rows, row_count
// and every incoming's outcome. ERR_NO_MEMORY when the arena overflows.
MUST_USE enum err store_read_partitions(struct store *store, struct store_group *groups,
                                        size_t count, struct arena *arena, struct why *why);
// Writes the projections (group->fact, folded from group->rows). A fact without an order writes no
// fact row.
MUST_USE enum err store_write_facts(struct store *store, struct store_group *groups, size_t count,
                                    struct why *why);

// --- waiting payments ------------------------------------------------------------------------

MUST_USE enum err store_insert_waiting(struct store *store, const struct waiting_payment *items,
                                       size_t count, struct why *why);
// Buckets not finished whose due time is before `before_us`, oldest first.
MUST_USE enum err store_due_buckets(struct store *store, int64_t before_us, size_t count_max,
                                    struct arena *arena, struct waiting_bucket **out_buckets,
                                    size_t *out_count, struct why *why);
MUST_USE enum err store_close_bucket(struct store *store, struct waiting_bucket bucket,
                                     struct why *why);
MUST_USE enum err store_bucket_is_closed(struct store *store, struct waiting_bucket bucket,
                                         bool *out_closed, struct why *why);
// Entries in key order; `after` is the last one of the page before, or NULL.
MUST_USE enum err store_read_bucket(struct store *store, struct waiting_bucket bucket,
                                    const struct waiting_payment *after, size_t count_max,
                                    struct arena *arena, struct waiting_payment **out_items,
                                    size_t *out_count, struct why *why);
MUST_USE enum err store_finish_bucket(struct store *store, struct waiting_bucket bucket,
                                      struct why *why);

// --- how far the order lanes are ---------------------------------------------------------------

MUST_USE enum err store_write_lane_status(struct store *store, struct text lane,
                                          int64_t watermark_us, int64_t now_us, struct why *why);
// The lowest watermark among lanes that wrote since fresh_after_us, and how many there are.
MUST_USE enum err store_read_lane_status(struct store *store, int64_t fresh_after_us,
                                         size_t *out_lanes, int64_t *out_watermark_us,
                                         struct why *why);

// --- which messages were applied (only where the bus has sequences and the store transactions), and with
// what outcome

MUST_USE enum err store_load_applied(struct store *store, struct text log_id,
                                     enum applied_topic topic, struct ranges *out_ranges,
                                     struct why *why);
MUST_USE enum err store_add_applied(struct store *store, struct text log_id,
                                    enum applied_topic topic, const struct range *ranges,
                                    size_t count, struct why *why);
MUST_USE enum err store_add_tallies(struct store *store, struct text log_id,
                                    const struct tally *tallies, size_t count, struct why *why);

// --- dead letters --------------------------------------------------------------------------------

// Records each letter once: one whose id is there already changes nothing.
MUST_USE enum err store_record_dead_letters(struct store *store,
                                            const struct dead_letter_record *records, size_t count,
                                            struct why *why);
// WAITING records whose next check is before `before_us`, oldest first.
MUST_USE enum err store_due_dead_letters(struct store *store, int64_t before_us, size_t count_max,
                                         struct arena *arena,
                                         struct dead_letter_record **out_records, size_t *out_count,
                                         struct why *why);
// Moves a record to `state` and keeps who did it, when and why.
MUST_USE enum err store_change_dead_letter(struct store *store, const struct hash *id,
                                           enum dead_letter_state state, uint32_t checks,
                                           int64_t next_check_us, int64_t now_us, struct text who,
                                           struct text why_text, struct why *why);

// --- messages that stop the process ----------------------------------------------------------

// Counts a start of this lane that has not yet been followed by store_clear_starts; durable at once.
MUST_USE enum err store_add_start(struct store *store, struct text lane, uint32_t *out_starts,
                                  struct why *why);
MUST_USE enum err store_clear_starts(struct store *store, struct text lane, struct why *why);
// Counts a start of work on one message; durable at once (outside a transaction).
MUST_USE enum err store_add_suspect(struct store *store, struct text topic, struct text message_id,
                                    uint32_t *out_starts, struct why *why);
MUST_USE enum err store_remove_suspect(struct store *store, struct text topic,
                                       struct text message_id, struct why *why);

void store_close(struct store **store); // accepts NULL and *store == NULL

#endif
