// A small world to explore: which messages there are, who works on them, and how much may go wrong.
// A way is how the work is done: as the protocol says, or wrong in one respect.
#ifndef TILL_MODEL_WORLD_H
#define TILL_MODEL_WORLD_H

#include "bus.h"
#include "variant.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_MESSAGES_MAX  6u
#define WORLD_PROCESSES_MAX 6u
#define WORLD_BUCKETS_MAX   3u // buckets that fall due, and one after them that never does

struct world_message {
    enum bus_topic topic;
    const char *name; // for people
    const char *body; // NULL: no further message
};

struct world {
    const char *name;
    const char *text;
    struct world_message messages[WORLD_MESSAGES_MAX];
    // What each consumer pulls as one batch: a mask of messages; 0: no further consumer. The same mask
    // twice is a message delivered to two consumers.
    uint8_t consumers[WORLD_PROCESSES_MAX];
    uint8_t sweepers;
    uint8_t dead_letter_consumers;
    uint8_t due_buckets; // that sweepers may work on, at any moment
    uint8_t crashes;     // in all, anywhere
    uint8_t timeouts;    // in all: of calls that fail with an unknown outcome
    uint64_t states_max; // of a usual run; a full run has no such bound
};

const struct world *world_find(const char *name);
const struct world *world_at(size_t index); // NULL after the last one
size_t world_message_count(const struct world *world);
size_t world_consumer_count(const struct world *world);

// Calls of the seams that can be left out: answered ERR_OK without any effect.
// X(name, what is left out)
#define REMOVAL_TABLE(X)                                                                           \
    X(NOTHING, "nothing")                                                                          \
    X(INSERT_ORDER, "consumer: insert the order event")                                            \
    X(INSERT_PAYMENT, "consumer: insert the payment event")                                        \
    X(READ, "consumer: read the partition after inserting")                                        \
    X(PUBLISH_CONFLICT, "consumer: publish the loser of a conflict")                               \
    X(PROJECT, "consumer: write the projection")                                                   \
    X(INDEX, "consumer: index the payment as waiting")                                             \
    X(ASK_CLOSED, "consumer: read CLOSED after indexing")                                          \
    X(REWRITE, "consumer: write the entry again into an open bucket")                              \
    X(ACK, "consumer: ack")                                                                        \
    X(CLOSE, "sweeper: write CLOSED")                                                              \
    X(READ_BUCKET, "sweeper: read the bucket after closing it")                                    \
    X(PARKED, "sweeper: insert PARKED")                                                            \
    X(READ_PARKED, "sweeper: read the partition after PARKED")                                     \
    X(PROJECT_PARKED, "sweeper: write the projection after PARKED")                                \
    X(PUBLISH, "sweeper: publish the dead letter, and await it")                                   \
    X(DEAD, "sweeper: insert DEAD")                                                                \
    X(READ_DEAD, "sweeper: read once more after DEAD")                                             \
    X(PROJECT_DEAD, "sweeper: write the projection after DEAD")                                    \
    X(FINISH, "sweeper: write DONE")                                                               \
    X(READ_LETTER, "dead-letter consumer: read the partition")                                     \
    X(PROJECT_LETTER, "dead-letter consumer: write the projection")                                \
    X(RECORD, "dead-letter consumer: record the letter")

enum removal {
#define X(name, text) REMOVE_##name,
    REMOVAL_TABLE(X)
#undef X
        REMOVAL_COUNT
};
const char *removal_name(enum removal removal);
const char *removal_text(enum removal removal);
bool removal_find(const char *name, enum removal *out_removal);

// How a quorum read joins what it found at two replicas.
// X(name, text)
#define READS_TABLE(X)                                                                             \
    X(REPAIR, "what was found at one is at both before the read returns (Cassandra's default)")    \
    X(PLAIN, "the union is returned, and nothing is repaired")                                     \
    X(AGREE, "repaired, and read again until both have the same")

enum reads {
#define X(name, text) READS_##name,
    READS_TABLE(X)
#undef X
        READS_COUNT
};
const char *reads_name(enum reads reads);
const char *reads_text(enum reads reads);
bool reads_find(const char *name, enum reads *out_reads);

struct way {
    enum variant variant;
    enum removal removal;
    enum reads reads;
    bool strict;   // facts must be right in every state, not only at rest
    bool all_told; // every pattern of copies is a state of its own, also where nobody can tell
    unsigned only; // enum check: no other one ends the search; 0: all
    bool takes_rows_out; // the store says that it is transactional, so repetitions leave the set
    bool ties_reversed;  // of two sets with equal counts the other one wins
};

#endif
