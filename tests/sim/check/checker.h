// The invariants of docs/matching.md, checked from outside: against what producers published and what the
// replicas hold, by a reading of the rules of its own (expected.h), not by the pipeline's fold.
//
// During a run the checker is told of acks and of changes of facts, and checks what must hold at every
// instant; checker_finish checks the rest once everything is quiet. The first violation is kept, with its
// name ("I4_ack_after_durable"), and nothing after it counts.
#ifndef TILL_SIM_CHECKER_H
#define TILL_SIM_CHECKER_H

#include "bus_sim.h"
#include "generator.h"
#include "rules.h"
#include "sim.h"
#include "store_sim.h"

struct checker;

struct checker_options {
    struct sim *sim;
    struct sim_broker *broker;
    struct cluster *cluster;
    enum store_shape shape;
    const struct pipeline_rules *rules; // in force at the end (tolerances)
    bool nothing_fails;                 // so what happens happens in time
    size_t above_full_max;              // events that processes may add to a full order at once
};

// Hooks into broker and cluster.
struct checker *checker_create(const struct checker_options *options);
void checker_destroy(struct checker **checker);

// What a message must become, by the generator's answer key, for messages that came from it: in the order
// of publishing. Optional; checked at the end besides what the checker works out by itself.
void checker_expect(struct checker *checker, enum bus_topic topic, uint64_t sequence,
                    enum generated_fate fate, enum reason reason);

// Everything has been published, faults are off, and the processes had the time to drain.
void checker_finish(struct checker *checker);

// NULL: no violation so far.
const char *checker_violation(const struct checker *checker); // "I4_ack_after_durable"
const char *checker_detail(const struct checker *checker);    // a sentence with ids and figures
uint64_t checker_steps_at_violation(const struct checker *checker);
uint64_t checker_checks(const struct checker *checker); // how many comparisons were made

#endif
