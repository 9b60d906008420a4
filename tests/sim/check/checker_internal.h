// The checker's inside, shared by its files: checker.c (what holds at every change of a fact),
// checker_ack.c (at every ack), checker_finish.c and checker_letters.c (in the end).
#ifndef TILL_SIM_CHECKER_INTERNAL_H
#define TILL_SIM_CHECKER_INTERNAL_H

#include "checker.h"
#include "checker_index.h"
#include "expected.h"

// X(name): the checks. In the end all are made and the first one of this list that fails is told, so
// causes come before their effects.
#define CHECK_TABLE(X)                                                                             \
    X(I1_subscriptions_drained)                                                                    \
    X(I4_durable_before_ack)                                                                       \
    X(I4_projected_before_ack)                                                                     \
    X(I4_indexed_before_ack)                                                                       \
    X(I4_refused_before_ack)                                                                       \
    X(I4_recorded_before_ack)                                                                      \
    X(I7_order_stays)                                                                              \
    X(I7_rows_never_fall)                                                                          \
    X(I7_events_never_fall)                                                                        \
    X(I7_payment_stays)                                                                            \
    X(I7_figures_stay)                                                                             \
    X(I8_fact_has_order)                                                                           \
    X(I8_row_is_published)                                                                         \
    X(I8_fact_is_published)                                                                        \
    X(I8_note_has_payment)                                                                         \
    X(I1_every_event_stored)                                                                       \
    X(I1_counts_add_up)                                                                            \
    X(I1_ledger_adds_up)                                                                           \
    X(I1_full_order_takes_no_more)                                                                 \
    X(I2_money_adds_up)                                                                            \
    X(I3_facts_are_the_fold)                                                                       \
    X(I5_nothing_waits)                                                                            \
    X(I5_unmatched_is_dead)                                                                        \
    X(I5_dead_is_healed)                                                                           \
    X(I9_unmatched_after_grace)                                                                    \
    X(I9_unmatched_had_no_order)                                                                   \
    X(I9_unmatched_after_hold)                                                                     \
    X(I10_unmatched_in_time)                                                                       \
    X(I9_refused_is_recorded)                                                                      \
    X(I9_conflict_is_recorded)                                                                     \
    X(I9_record_has_cause)                                                                         \
    X(I9_record_is_exact)                                                                          \
    X(I9_body_is_the_message)                                                                      \
    X(I11_nothing_personal)                                                                        \
    X(I6_all_rows_projected)                                                                       \
    X(answer_key_agrees)

enum check {
#define X(name) CHECK_##name,
    CHECK_TABLE(X)
#undef X
        CHECK_COUNT
};

// What a read gives that asks these replicas. Any majority must give the same.
#define VIEWS_MAX 3u

struct checker {
    struct checker_options options;
    struct expected *expected;
    unsigned replica_count;
    unsigned quorum;
    unsigned views[VIEWS_MAX]; // masks of replicas
    unsigned view_count;
    bool finishing;
    enum check check; // CHECK_COUNT: no violation
    char detail[480];
    uint64_t steps_at_violation;
    uint64_t checks;
    // Entries of waiting payments, as they were at one step.
    uint64_t waiting_step;
    bool waiting_read;
    size_t waiting_count;     // entries that there were
    size_t waiting_questions; // asked since
    size_t waiting_asked;     // in all; about as many buckets there have been
    struct index waiting;     // by payment event: mask of the views that have it
    struct index recorded;    // ids of dead letters whose record was seen in every view
    struct index records;     // scratch: id to mask of views
};

// Counts a comparison; gives its outcome.
static inline bool checker_ask(struct checker *checker, bool holds)
{
    checker->checks++;
    return holds;
}

// Keeps the violation, if it is the first one.
void checker_fail(struct checker *checker, enum check check, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool checker_failed(const struct checker *checker); // and need not look any further

// "0 and 1", for a mask of replicas.
const char *checker_replicas(unsigned mask);
const char *checker_event_text(const struct event *event, char memory[160]);

// Whether somebody still has to read and project the order, who has not acked, so that the fact may for now
// be that of a set in which his row is and another one is not.
bool checker_is_unfinished(struct checker *checker, const struct expected_order *order);
// Whether an entry of the payment event is in an unfinished bucket, in every view. All buckets and entries
// have to be read for that, so once there are very many only a share of the questions is looked into, and
// the answer to the others is yes.
bool checker_is_waiting(struct checker *checker, const struct event *event);

void checker_on_acked(void *context, enum bus_topic topic, const struct sim_message *message);
void checker_finish_letters(struct checker *checker);
void checker_finish_ledger(struct checker *checker); // embedded
// How large an order may become.
void checker_check_size(struct checker *checker, int64_t order_id, const struct event *const *rows,
                        size_t count);
void checker_finish_times(struct checker *checker); // worlds in which nothing fails

// Compares column by column; NULL, or what differs: "amount_paid is 5, must be 10". With `settled` also
// what depends on the tolerances, which may change during a run.
const char *checker_compare_fact(const struct sim_fact *fact, const struct fact *expected,
                                 bool settled, char memory[160]);

#endif
