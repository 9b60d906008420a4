// The simulated store's inside, shared by its files. Read store_sim_net.c first: how a call becomes
// requests to replicas; the other files only say what each call reads and writes.
#ifndef TILL_STORE_SIM_INTERNAL_H
#define TILL_STORE_SIM_INTERNAL_H

#include "replica.h"
#include "store_sim.h"

#define QUORUM (CLUSTER_REPLICAS / 2 + 1)

struct op;
struct session;
struct intern_entry;

struct node {
    struct replica replica;
    bool up;
    unsigned incarnation; // requests to an earlier one are lost
    int64_t slowness;
};

struct ledger_set { // applied numbers of one topic of one log
    struct ledger_set *next;
    struct text log_id;
    enum applied_topic topic;
    struct range *items; // sorted, disjoint, not adjacent
    size_t count;
    size_t cap;
};

struct ledger_line {
    struct ledger_line *next;
    struct text log_id;
    struct tally tally;
};

struct ledger {
    struct ledger_set *sets;
    struct ledger_line *lines;
};

struct cluster {
    struct sim *sim;
    enum store_shape shape;
    enum variant variant;
    struct cluster_weather weather;
    int64_t commit_log_us;
    struct pool pool;
    struct node nodes[CLUSTER_REPLICAS];
    unsigned node_count; // 1 when embedded
    uint32_t fold_epoch; // of the schema
    uint64_t faults;
    int64_t stamp; // embedded: the last timestamp given; one later than the other
    unsigned session_count;
    struct session *writer; // embedded: who is in a transaction
    struct ledger ledger;
    struct intern_entry **interned;
    size_t interned_slots;
    size_t interned_count;
    struct waiting_bucket cursor; // VARIANT_CURSOR_BY_PUBLISH_TIME
    cluster_fact_changed_fn *fact_changed;
    void *fact_context;
    struct sim_fact_payment *payments[2]; // scratch of the hook: before, after
    size_t payments_cap[2];
    const struct event **fold_rows; // scratch of folding what comes in
    const struct event **fold_losers;
    struct fact_payment *fold_payments;
    size_t fold_cap;
};

struct ledger_change { // of an open transaction
    struct ledger_change *next;
    struct text log_id;
    bool is_tally;
    enum applied_topic topic;
    struct range range;
    struct tally tally;
};

struct session {
    struct store base;
    struct cluster *cluster;
    struct clock clock;
    uint32_t fold_epoch;
    struct text name;  // before the keys of its lanes
    struct task *task; // that began the transaction
    bool in_transaction;
    struct replica overlay;        // what the transaction has written
    struct op *pending;            // the same, to be done at commit; last first
    struct ledger_change *changes; // last first
    struct op *read_before;        // VARIANT_READ_BEFORE_WRITE
};

static inline struct session *session_of(struct store *store)
{
    return (struct session *)store; // base is the first member
}

static inline bool is_embedded(const struct session *session)
{
    return session->cluster->shape == STORE_EMBEDDED;
}

static inline bool is_variant(const struct session *session, enum variant variant)
{
    return session->cluster->variant == variant;
}

// --- store_sim_net.c: calls ------------------------------------------------------------------------

// One partition of a call: a mutation, or a question and its answer.
struct part {
    struct partition_key key;
    uint32_t first_put; // a write's
    uint32_t put_count;
    enum table table; // a read's
    bool one_row;     // ... of the row `row` alone
    struct row_key row;
    struct partition *result; // merged answers; never NULL after a read that went well
    bool differed;            // the replicas did not say the same
    uint8_t answered;         // mask of replicas
};

struct op {
    struct op *next; // of a transaction
    struct session *session;
    struct cluster *cluster;
    struct task *task; // NULL when nobody waits any more
    unsigned holders;
    bool reads;
    bool done;
    bool timeout_armed;
    bool retry_armed;
    enum err result;
    int64_t started_us;
    unsigned needed;   // answers a part
    uint8_t asked;     // mask of replicas
    size_t open_count; // parts without enough answers
    size_t part_count;
    size_t part_cap;
    struct part *parts;
    size_t put_count;
    size_t put_cap;
    struct put *puts;
};

// A call is begun, filled, run and (a read) released. Running a write releases it.
struct op *op_begin_write(struct session *session);
void op_mutation(struct op *op, struct partition_key key); // what is put next is of this partition
void op_put(struct op *op, enum table table, struct row_key key, uint32_t column, struct cell cell);
MUST_USE enum err op_run_write(struct op *op, struct why *why);

struct op *op_begin_read(struct session *session);
void op_ask(struct op *op, enum table table, struct partition_key key);
void op_ask_row(struct op *op, enum table table, struct partition_key key, struct row_key row);
MUST_USE enum err op_run_read(struct op *op, struct why *why); // on an error it is released
void op_release(struct op *op);

// ERR_CLOSED when the process is dead: to be asked first by every call that has no op.
MUST_USE enum err session_alive(const struct session *session);

// --- store_sim.c -----------------------------------------------------------------------------------

// Does a mutation at a replica, at once.
void cluster_apply(struct cluster *cluster, unsigned node, const struct op *op,
                   const struct part *part);

// --- store_sim_embedded.c: transactions -------------------------------------------------------------

enum err embedded_begin(struct store *store, struct why *why);
enum err embedded_commit(struct store *store, struct why *why);
void embedded_rollback(struct store *store);
// The embedded store's way to do an op, without a network. A write becomes part of the transaction.
MUST_USE enum err embedded_run(struct op *op, struct why *why);

// --- store_sim_cells.c: what goes into cells --------------------------------------------------------

struct cell cell_number(int64_t timestamp, int64_t number);
struct cell cell_tombstone(int64_t timestamp);
struct cell cell_object(int64_t timestamp, enum cell_kind kind, const void *object);

// Copies that live as long as the world. Equal events are one.
struct text intern_text(struct cluster *cluster, struct text text);
const struct text *intern_text_object(struct cluster *cluster, struct text text);
const struct event *intern_event(struct cluster *cluster, const struct event *event);
const struct waiting_payment *intern_waiting(struct cluster *cluster,
                                             const struct waiting_payment *entry);
const struct dead_letter_record *intern_letter(struct cluster *cluster,
                                               const struct dead_letter_record *record);

// Timestamp of what is written once and never changed; embedded: one above all that were given.
int64_t session_stamp(struct session *session);
struct row_key event_row_key(const struct cluster *cluster, const struct event *event);
struct row_key letter_row_key(const struct hash *id);

// --- the operations, by file ------------------------------------------------------------------------

// store_sim_events.c
enum err sim_insert_events(struct store *store, struct store_group *groups, size_t count,
                           struct why *why);
enum err sim_read_partitions(struct store *store, struct store_group *groups, size_t count,
                             struct arena *arena, struct why *why);
// store_sim_facts.c
enum err sim_write_facts(struct store *store, struct store_group *groups, size_t count,
                         struct why *why);
// Adds to the present mutation the projection of the orders among what comes in, alone.
void put_carried_projection(struct op *op, const struct store_group *group);
// What a read of a partition leaves for its projection; in the group's private_rows.
struct rows_read {
    const struct event **stored;
    size_t stored_count;
    uint32_t n_rows; // notes left out
    uint32_t n_notes;
    uint8_t notes_mark; // differs with them
    bool carried;       // the insert brought the projection of all this already
};
// store_sim_waiting.c
enum err sim_insert_waiting(struct store *store, const struct waiting_payment *items, size_t count,
                            struct why *why);
enum err sim_due_buckets(struct store *store, int64_t before_us, size_t count_max,
                         struct arena *arena, struct waiting_bucket **out_buckets,
                         size_t *out_count, struct why *why);
enum err sim_close_bucket(struct store *store, struct waiting_bucket bucket, struct why *why);
enum err sim_bucket_is_closed(struct store *store, struct waiting_bucket bucket, bool *out_closed,
                              struct why *why);
enum err sim_read_bucket(struct store *store, struct waiting_bucket bucket,
                         const struct waiting_payment *after, size_t count_max, struct arena *arena,
                         struct waiting_payment **out_items, size_t *out_count, struct why *why);
enum err sim_finish_bucket(struct store *store, struct waiting_bucket bucket, struct why *why);
enum err sim_write_lane_status(struct store *store, struct text lane, int64_t watermark_us,
                               int64_t now_us, struct why *why);
enum err sim_read_lane_status(struct store *store, int64_t fresh_after_us, size_t *out_lanes,
                              int64_t *out_watermark_us, struct why *why);
// store_sim_letters.c
enum err sim_record_dead_letters(struct store *store, const struct dead_letter_record *records,
                                 size_t count, struct why *why);
enum err sim_due_dead_letters(struct store *store, int64_t before_us, size_t count_max,
                              struct arena *arena, struct dead_letter_record **out_records,
                              size_t *out_count, struct why *why);
enum err sim_change_dead_letter(struct store *store, const struct hash *id,
                                enum dead_letter_state state, uint32_t checks,
                                int64_t next_check_us, int64_t now_us, struct text who,
                                struct text why_text, struct why *why);
// Reads letters in the order of their ids, each with the fold of what became of it. `changes` are all
// changes of all letters.
struct letter_walk {
    const struct partition *changes;
    size_t at;
};
void letter_walk(struct letter_walk *walk, const struct partition *changes);
// The record of that row as it stands now. false when there is none.
bool letter_walk_to(struct letter_walk *walk, const struct row *row,
                    struct dead_letter_record *out_record);
// store_sim_ledger.c
enum err sim_load_applied(struct store *store, struct text log_id, enum applied_topic topic,
                          struct ranges *out_ranges, struct why *why);
enum err sim_add_applied(struct store *store, struct text log_id, enum applied_topic topic,
                         const struct range *ranges, size_t count, struct why *why);
enum err sim_add_tallies(struct store *store, struct text log_id, const struct tally *tallies,
                         size_t count, struct why *why);
enum err sim_add_start(struct store *store, struct text lane, uint32_t *out_starts,
                       struct why *why);
enum err sim_clear_starts(struct store *store, struct text lane, struct why *why);
enum err sim_add_suspect(struct store *store, struct text topic, struct text message_id,
                         uint32_t *out_starts, struct why *why);
enum err sim_remove_suspect(struct store *store, struct text topic, struct text message_id,
                            struct why *why);
void ledger_apply(struct cluster *cluster, const struct ledger_change *changes);

// --- store_sim_view.c -------------------------------------------------------------------------------

// The facts row of the two partitions (either may be NULL). Payments are in `payments`.
void fact_of_partitions(const struct partition *order, const struct partition *payments_rows,
                        bool embedded, struct sim_fact_payment *payments,
                        struct sim_fact *out_fact);

#endif
