// A small world in memory for ways to match payments, right and wrong: two consumers of each topic, a
// sweeper, a dead-letter consumer, and a store that they share. Every consumer works in steps; each
// step is one look at, or one change of, the store, and between any two steps another one may go on
// or a consumer may die. What a dead consumer had in hand comes again.
//
// A way is checked from outside: by the facts that it leaves, and by the payments of which nothing is
// left.
#ifndef TILL_MEM_WORLD_H
#define TILL_MEM_WORLD_H

#include "arena.h"
#include "event_bag.h"
#include "fold.h"
#include "rand.h"

#include <stdbool.h>

// Events without repetition, in the order in which they were added.
struct event_list {
    const struct event **items;
    size_t count;
    size_t cap;
};

// What the store holds of one order. A way uses either the two columns, as a table does that has
// one row an order, or the projection.
struct mem_row {
    int64_t order_id;
    const struct event *order;
    const struct event *payment;
    char *projection; // lines of facts; NULL: none
    uint64_t written_at;
};

enum worker_kind { WORKER_ORDERS, WORKER_PAYMENTS, WORKER_DEAD_LETTERS, WORKER_SWEEPER };

struct worker {
    enum worker_kind kind;
    const struct event *hand; // NULL: idle
    int step;                 // of the work on it
    bool saw_order;           // what it has read, and may be out of date by now
    struct event_list seen;   // the same, of a way that keeps events
    struct event_list unsent; // dead letters published but not awaited
    int64_t clock_skew;       // of its wall clock
};

#define WORKERS_MAX 6

struct variant;

struct world {
    const struct variant *variant;
    struct rand rand;
    struct arena *arena; // of the decoded messages
    struct worker workers[WORKERS_MAX];
    size_t worker_count;
    struct event_list queues[3]; // by enum worker_kind; may hold an event more than once
    struct event_list stored;
    struct event_list waiting;
    struct event_list dead; // recorded dead letters
    struct mem_row *rows;
    size_t row_count;
    int64_t steps; // also the true time
};

enum progress {
    GOES_ON,
    DONE,      // ack
    GIVE_BACK, // nack: comes again, later
};

typedef enum progress step_fn(struct world *world, struct worker *worker);

struct variant {
    const char *name;
    step_fn *steps[WORKER_SWEEPER + 1]; // by enum worker_kind; NULL: no such consumer
    bool keeps_columns;                 // facts are the rows' columns, not their projections
};

// What steps are made of.
struct mem_row *world_row(struct world *world, int64_t order_id);
bool world_input_ended(const struct world *world); // no order or payment is queued or in hand
void world_publish_dead_letter(struct world *world, const struct event *event);
void world_read(struct world *world, struct worker *worker); // fills seen and saw_order
void world_project(struct world *world, struct worker *worker, uint64_t written_at);
// The time stamp of a projection of what was seen by which larger sets win.
uint64_t world_set_stamp(const struct world *world, const struct worker *worker);
uint64_t world_event_time(const struct event *event); // when it happened: its place in the bag
bool list_add(struct event_list *list, const struct event *event); // false: was there
bool list_has(const struct event_list *list, const struct event *event);
void list_remove(struct event_list *list, const struct event *event);

enum weather {
    WEATHER_CALM,  // orders, then payments, one after another, each once, and nothing dies
    WEATHER_ROUGH, // shuffled, 30% twice, consumers interleaved and dying
};

struct verdict {
    bool facts_differ;
    size_t payments_lost; // whose order never came, and of which there is no dead letter
};

// Runs the bag through the variant until nothing is left to do.
void variant_run(const struct variant *variant, const struct bag *bag, enum weather weather,
                 uint64_t seed, struct verdict *out_verdict);

#endif
