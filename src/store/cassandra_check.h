// What is to be thought of a cluster that was looked at: what the argument of docs/matching.md rests on, and
// what makes trouble later. Pure. Internal to the folder; store_cassandra.h has what others see of it.
#ifndef TILL_CASSANDRA_CHECK_H
#define TILL_CASSANDRA_CHECK_H

#include "cassandra_look.h"
#include "store_cassandra.h"

// Each gives one finding or more. A look that does not apply (no such keyspace, servers that were not
// looked at) is not asked for by the caller.
void cassandra_check_nodes(const struct cassandra_nodes_look *nodes, store_finding_fn *find,
                           void *context);
// Replication, data centre, tables: what store_cassandra_open asks too.
void cassandra_check_keyspace(const struct cassandra_keyspace_look *keyspace,
                              const struct cassandra_nodes_look *nodes, store_finding_fn *find,
                              void *context);
void cassandra_check_servers(const struct cassandra_servers_look *servers,
                             int64_t request_timeout_us, store_finding_fn *find, void *context);
void cassandra_check_access(const struct cassandra_servers_look *servers,
                            const struct cassandra_nodes_look *nodes,
                            const struct cql_options *cluster, store_finding_fn *find,
                            void *context);
void cassandra_check_clock(const struct cassandra_clock_look *clock, store_finding_fn *find,
                           void *context);
void cassandra_check_latency(const struct cassandra_latency_look *latency, store_finding_fn *find,
                             void *context);

// What store_cassandra_open does with the findings of a keyspace. ERR_CONFIG with the first that it refuses.
MUST_USE enum err cassandra_check_refused(const struct cassandra_keyspace_look *keyspace,
                                          const struct cassandra_nodes_look *nodes,
                                          struct why *why);
// Those that are not well, a sentence each.
void cassandra_check_tell(const struct cassandra_keyspace_look *keyspace,
                          const struct cassandra_nodes_look *nodes, cql_notice_fn *notice,
                          void *context);

#endif
