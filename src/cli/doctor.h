// What the parts of till doctor share: a row for each thing looked at.
#ifndef TILL_DOCTOR_H
#define TILL_DOCTOR_H

#include "command.h"
#include "data_dir.h"
#include "pubsub_setup.h"
#include "table_out.h"

enum finding { FINDING_OK, FINDING_WARNING, FINDING_FAILED };

struct doctor {
    struct command_context *context;
    struct table_out table;
    struct data_dir dir;
    bool has_dir;
    size_t failed;
};

// Adds a row: what was looked at, what was found, and what to do when it is not well.
void doctor_find(struct doctor *doctor, const char *check, enum finding finding, const char *found,
                 const char *remedy);

// Target, identity, topics and subscriptions, times and rights (doctor_pubsub.c). Changes nothing.
void doctor_check_pubsub(struct doctor *doctor);
// The same from the service on, with a client that is there already.
void doctor_check_pubsub_client(struct doctor *doctor, struct pubsub *client,
                                const struct setup_wishes *wishes);
// Cluster, keyspace, servers, clock and latency (doctor_cassandra.c). Changes nothing.
void doctor_check_cassandra(struct doctor *doctor);

#endif
