// Ways to do it that look right and lose money: each is a switch of the simulated store or bus, so that
// the pipeline's own code stays as it is. Every one must be caught by a check (docs/proof.md).
#ifndef TILL_VARIANT_H
#define TILL_VARIANT_H

#include <stdbool.h>
#include <stddef.h>

// X(name, what is done otherwise)
#define VARIANT_TABLE(X)                                                                           \
    X(NONE, "the protocol as it is")                                                               \
    X(READ_THEN_DECIDE, "payments whose order is not read yet are not stored, only dead-lettered") \
    X(NULLS_INCLUDED, "an order's insert writes all columns of its facts row, nulls included")     \
    X(LAST_WRITE_WINS, "one row a payment: a later event replaces an earlier one")                 \
    X(UNAWAITED_DEAD_LETTER, "dead letters are published but not awaited")                         \
    X(FORGETFUL_DEAD_LETTERS, "the dead-letter consumer acks without a record")                    \
    X(WALL_CLOCK, "projections are written with the writer's wall clock as timestamp")             \
    X(EVENT_TIME, "projections are written with the newest publish time of their events")          \
    X(PROJECT_WITHOUT_ORDER, "sets without an order reach the facts")                              \
    X(UNSET_COLUMNS, "columns that are zero are left unset instead of written")                    \
    X(WRITE_ONE, "a write is done when one replica has it")                                        \
    X(READ_ONE, "a read asks one replica")                                                         \
    X(CHECK_THEN_MARK, "the sweeper reads a bucket before it closes it")                           \
    X(CURSOR_BY_PUBLISH_TIME, "buckets by publish time, and a cursor that never looks back")       \
    X(READ_BEFORE_WRITE, "the partition is read before the events are written")                    \
    X(ACK_BEFORE_WRITE, "messages are acked as soon as they are pulled")                           \
    X(TIMESTAMP_WITH_NOTES, "the projection's timestamp counts notes as well")                     \
    X(PERIODIC_COMMIT_LOG, "a replica that crashes forgets the last writes that it acknowledged")

enum variant {
#define X(name, text) VARIANT_##name,
    VARIANT_TABLE(X)
#undef X
        VARIANT_COUNT
};

const char *variant_name(enum variant variant); // "WALL_CLOCK"
const char *variant_text(enum variant variant);
bool variant_find(const char *name, enum variant *out_variant);

#endif
