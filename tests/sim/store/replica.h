// One replica's data, as Cassandra keeps it: tables of partitions, partitions of rows by clustering key,
// rows of cells. Each cell has a timestamp and is merged by itself: the greater timestamp wins; of equal
// ones a tombstone beats a value, else the larger bytes win. So the same writes give the same data in any
// order, any number of times. The result of a read, and what a transaction has not committed yet, are
// partitions of the same kind.
#ifndef TILL_REPLICA_H
#define TILL_REPLICA_H

#include "sim.h"
#include "store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// X(name, number of columns)
#define REPLICA_TABLE_TABLE(X)                                                                     \
    X(EVENTS, 1)         /* (order) kind, entity, identity, hash: the event in one cell */         \
    X(FACTS, 11)         /* (order) 0: the order's columns, enum fact_column */                    \
    X(FACT_PAYMENTS, 5)  /* (order) payment: enum fact_payment_column */                           \
    X(WAITING, 1)        /* (bucket) order, payment, event id: the entry in one cell */            \
    X(BUCKETS, 3)        /* () due time, shard: enum bucket_column */                              \
    X(LANES, 2)          /* () lane: enum lane_column */                                           \
    X(LETTERS, 1)        /* () id: the record as it was first written */                           \
    X(LETTER_CHANGES, 1) /* () id, change: 1 */                                                    \
    X(STARTS, 1)         /* () lane, or topic and message: how many */

enum table {
#define X(name, columns) TABLE_##name,
    REPLICA_TABLE_TABLE(X)
#undef X
        TABLE_COUNT
};

enum fact_column {
    FACT_ORDER_HASH,
    FACT_VERSION_RANK,
    FACT_CURRENCY,
    FACT_ORDER_TOTAL,
    FACT_PAID,
    FACT_REFUNDED,
    FACT_CHARGED_BACK,
    FACT_SETTLEMENT,
    FACT_MATCH_ISSUE,
    FACT_N_EVENTS,
    FACT_N_ROWS // not a column of the contract; for looking from outside
};

enum fact_payment_column {
    FACT_PAYMENT_CAPTURED,
    FACT_PAYMENT_REFUNDED,
    FACT_PAYMENT_CHARGED_BACK,
    FACT_PAYMENT_SHOWN_EVENT_ID,
    FACT_PAYMENT_SHOWN_STATUS
};

enum bucket_column { BUCKET_KNOWN, BUCKET_CLOSED, BUCKET_DONE };
enum lane_column { LANE_WATERMARK, LANE_UPDATED };

// What a cell holds. Objects are immutable and live as long as the world; equal pointers or not, their
// content is compared.
enum cell_kind {
    CELL_UNSET,
    CELL_TOMBSTONE,
    CELL_NUMBER,
    CELL_TEXT,    // const struct text *
    CELL_HASH,    // const struct hash *
    CELL_EVENT,   // const struct event *
    CELL_WAITING, // const struct waiting_payment *
    CELL_LETTER   // const struct dead_letter_record *
};

struct cell {
    int64_t timestamp;
    enum cell_kind kind;
    union {
        int64_t number;
        const void *object;
    };
};

struct partition_key {
    int64_t first;
    int64_t second;
};

// By both numbers, then by what the object of that table says: an event, a text, a letter_change.
struct row_key {
    int64_t first;
    int64_t second;
    const void *object; // may be NULL
};

// One thing that became of a dead letter. Insert-only; the state is the fold of all of them.
struct letter_change {
    enum dead_letter_state state;
    uint32_t checks;
    int64_t next_check_us;
    int64_t at_us;
    struct text who;
    struct text why;
};

struct row {
    struct row_key key;
    struct cell cells[];
};

struct partition {
    struct partition *next; // of the same hash
    enum table table;
    struct partition_key key;
    struct row **rows; // by key
    size_t count;
    size_t cap;
    unsigned char *block; // of a copy: where the rows lie that were copied; may be NULL
    size_t block_size;
};

// One cell to write.
struct put {
    enum table table;
    uint32_t column;
    struct row_key key;
    struct cell cell;
};

// Memory in sizes of powers of two that can be used again.
struct pool {
    struct sim *sim;
    unsigned char *chunk;
    size_t left;
    void *free[32];
};

void *pool_take(struct pool *pool, size_t size); // zeroed
void pool_give(struct pool *pool, void *memory, size_t size);
// Doubles an array from `cap` items (0 at first) of `size`.
void *pool_grow(struct pool *pool, void *items, size_t *cap, size_t size);

// What a crash may take back.
struct undo {
    int64_t at_us;
    struct cell *cell;
    struct cell before;
    struct cell after;
};

struct replica {
    struct pool *pool;
    struct partition **slots;
    size_t slot_count;
    size_t count;
    struct partition *last; // written to; may be NULL
    int64_t undo_us;        // how long writes can be taken back; 0: not at all
    struct undo *undos;
    size_t undo_count;
    size_t undo_cap;
};

void replica_init(struct replica *replica, struct pool *pool);
void replica_clear(struct replica *replica); // forgets all
// NULL when there is none.
struct partition *replica_find(const struct replica *replica, enum table table,
                               struct partition_key key);
// Writes one cell into the partition `key` of its table. true when it changed anything.
bool replica_put(struct replica *replica, struct partition_key key, const struct put *put,
                 int64_t now_us);
// Takes back what was written since then and not overwritten.
void replica_forget_since(struct replica *replica, int64_t since_us);
// All partitions, in no order that means anything (but always the same one).
typedef void replica_visit_fn(const struct partition *partition, void *context);
void replica_visit(const struct replica *replica, replica_visit_fn *visit, void *context);

// A partition that stands by itself, for a result.
struct partition *partition_create(struct pool *pool, enum table table, struct partition_key key);
void partition_destroy(struct pool *pool, struct partition *partition);
// The row, or NULL.
struct row *partition_row(const struct partition *partition, const struct row_key *key);
// Merges `row` in. true when it was not the same before.
bool partition_merge_row(struct pool *pool, struct partition *partition, const struct row *row);
// Merges all of `from` in. false when the two were the same, cell by cell.
bool partition_merge(struct pool *pool, struct partition *partition, const struct partition *from);

int row_key_compare(enum table table, const struct row_key *a, const struct row_key *b);
size_t table_columns(enum table table);
// Whether the cell holds a value.
bool cell_is_set(const struct cell *cell);
// Whether `cell` takes the place of `old`.
bool cell_wins(const struct cell *cell, const struct cell *old);

#endif
