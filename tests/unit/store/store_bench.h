// A bench to work on a store from: makes events, applies them as the pipeline would, and reads
// partitions back.
#ifndef TILL_STORE_BENCH_H
#define TILL_STORE_BENCH_H

#include "store.h"
#include "store_suite.h"

#include <stddef.h>

#define BENCH_EVENTS_MAX   4096 // of one batch
#define BENCH_PUBLISHED_US INT64_C(1700000000000000)

struct store_bench {
    const struct store_factory *factory;
    void *world;
    struct store *store;
    struct arena arena; // of what was read last
    struct incoming incoming[BENCH_EVENTS_MAX];
    size_t incoming_count;
    struct why why;
};

void bench_open(struct store_bench *bench, const struct store_factory *factory);
void bench_close(struct store_bench *bench);
void bench_reopen(struct store_bench *bench);

// Fails the test with what `bench->why` says unless `err` is ERR_OK.
void bench_check(struct store_bench *bench, enum err err);

void bench_begin(struct store_bench *bench);
void bench_commit(struct store_bench *bench);

// Events with usual content: an order of 1 x 10.00 USD of customer 7, version `version`; a Completed
// payment of 10.00 USD. Change what matters and hand the result in.
struct order bench_order(int64_t order_id, int64_t version);
struct payment bench_payment(int64_t order_id, int64_t payment_id);

// Collect events for the next batch. Texts must stay until it is applied; publish times differ.
void bench_add_order(struct store_bench *bench, const struct order *order);
void bench_add_payment(struct store_bench *bench, const struct payment *payment);
// `id_text` is the event's memory.
void bench_add_note(struct store_bench *bench, int64_t order_id, int64_t payment_id,
                    const struct note *note, char id_text[EVENT_NOTE_ID_SIZE]);

// Inserts, reads, folds and writes the collected events, then commits. Outcomes stay in incoming.
void bench_apply(struct store_bench *bench);
// The same up to and without the commit, whatever it answers.
MUST_USE enum err bench_apply_uncommitted(struct store_bench *bench);
// The partition as it is stored, folded. Valid until the next call.
struct store_group bench_read(struct store_bench *bench, int64_t order_id);

// The row of that kind and identity, or NULL. `event_id` NULL: an order's version.
const struct event *bench_find_payment(const struct store_group *group, int64_t payment_id,
                                       const char *event_id);
const struct event *bench_find_version(const struct store_group *group, int64_t version);
size_t bench_count_kind(const struct store_group *group, enum event_kind kind);

// A new reader: store_reader_close it. Skips the rest of the claim when the store has none.
struct store_reader *bench_reader(struct store_bench *bench);

// Totals as a reader sees them, on the heap: free() them.
struct store_totals *bench_totals(struct store_bench *bench, struct text log_id);

#endif
