// What must hold. Most of it in every state that can be reached; what readers of the facts see, as soon as
// all is at rest: every message acked, nothing left for the sweepers. Late copies may be under way then, or
// lost for good.
//
// A strict way asks more: the facts are right in every state, for all that is acked by then. That holds
// with reads that agree (READS_AGREE) only: with the others two readers may each have seen rows that the
// other one has not, while a further message of the order is worked on (README.md).
#ifndef TILL_MODEL_CHECKS_H
#define TILL_MODEL_CHECKS_H

#include "state.h"

// X(name)
#define CHECK_TABLE(X)                                                                             \
    X(none)                                                                                        \
    X(both_miss_never_happens)                                                                     \
    X(converges)                                                                                   \
    X(no_fact_without_order)                                                                       \
    X(notes_never_beat_orders)                                                                     \
    X(a_matched_payment_never_becomes_unmatched)                                                   \
    X(bucket_loses_nobody)                                                                         \
    X(conflicts_converge)                                                                          \
    X(conflicts_are_reported)                                                                      \
    X(ack_only_after_durable)                                                                      \
    X(acked_events_stay)                                                                           \
    X(a_consumer_ends_only_after_its_ack)                                                          \
    X(a_swept_bucket_is_done)                                                                      \
    X(dead_letters_are_recorded)

enum check {
#define X(name) CHECK_##name,
    CHECK_TABLE(X)
#undef X
        CHECK_COUNT
};
const char *check_name(enum check check);
bool check_find(const char *name, enum check *out_check);

// Of every state.
enum check check_state(const struct model *model, const struct state *state);
// At the instant of an ack, which is what `local` is about to do; before it.
enum check check_ack(const struct model *model, const struct state *state, unsigned local);
// At the instant at which a projection is issued, before it.
enum check check_projection(const struct model *model, const struct state *state, unsigned issued);
// At the end of a program that says that all is well.
enum check check_end(const struct model *model, const struct state *state, unsigned local);

#endif
