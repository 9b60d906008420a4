// A whole pipeline in one thread under virtual time, on the embedded bus and store in a fresh
// directory: tests publish, let the lane run, and look at what lies in the tables.
#ifndef TILL_RIG_H
#define TILL_RIG_H

#include "batch.h"
#include "bus.h"
#include "clock.h"
#include "dead_letter_step.h"
#include "lane.h"
#include "report.h"
#include "store.h"
#include "sweeper.h"

#include <stdbool.h>

#define RIG_START_US   INT64_C(1700000000000000)
#define RIG_ARENA_SIZE (16u * 1024u * 1024u)

struct rig {
    char directory[64];
    char topics_path[96];
    char facts_path[96];
    struct virtual_time time;
    struct pipeline_rules rules;
    struct batch_limits limits;
    size_t arena_size; // of the three arenas, from the next open on
    struct bus *bus;
    struct store *store;
    struct lane lane;
    struct batch batch;
    struct sweeper sweeper;
    struct dead_letter_consumer dead_letters;
    bool open;
};

void rig_init(struct rig *rig); // a new directory, opened
void rig_init_closed(struct rig *rig);
void rig_deinit(struct rig *rig); // closed and removed

void rig_open(struct rig *rig);
void rig_close(struct rig *rig); // as a clean end
// As a process that is killed: the files are left as they are at this moment, whatever closing them
// would still have written.
void rig_crash(struct rig *rig);

// The same, and the calls below, for tests in which they may fail. After a failed open nothing is
// open; after any other failure only rig_crash makes sense, unless the error's class is RETRY.
MUST_USE enum err rig_try_open(struct rig *rig, struct why *why);
MUST_USE enum err rig_try_close(struct rig *rig, struct why *why);
MUST_USE enum err rig_try_publish(struct rig *rig, enum bus_topic topic, struct text body,
                                  struct why *why);
MUST_USE enum err rig_try_run(struct rig *rig, struct why *why);
MUST_USE enum err rig_try_sweep(struct rig *rig, bool final, struct why *why);
MUST_USE enum err rig_try_consume_dead_letters(struct rig *rig, struct why *why);

void rig_publish(struct rig *rig, enum bus_topic topic, const char *body);
void rig_publish_text(struct rig *rig, enum bus_topic topic, struct text body);
void rig_order(struct rig *rig, int64_t order_id, int version, const char *price,
               const char *status); // quantity 1, USD
void rig_payment(struct rig *rig, int64_t order_id, int64_t payment_id, const char *status,
                 const char *amount); // amount NULL: absent

void rig_run(struct rig *rig);         // applies until both subscriptions are empty
void rig_sweep(struct rig *rig);       // at the present virtual time
void rig_sweep_final(struct rig *rig); // as at the end of --once, then consumes the dead letters
void rig_consume_dead_letters(struct rig *rig);
void rig_advance_seconds(struct rig *rig, int64_t seconds);

// Rows of a query over facts.db (columns joined by '|', rows by newline); free() it.
char *rig_query(struct rig *rig, const char *sql);
int64_t rig_count(struct rig *rig, const char *sql); // its single number
// Everything that the contract shows of the facts, in key order; free() it.
char *rig_dump_facts(struct rig *rig);
// Builds the conservation report as it stands; the rig may be closed, then without the bus's side.
// *out_report is on the heap: free() it.
void rig_report(struct rig *rig, struct report **out_report);
// Asserts that the conservation report holds, printing the checks that don't.
void rig_assert_balanced(struct rig *rig);

#endif
