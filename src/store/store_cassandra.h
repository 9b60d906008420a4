// The store of any number of processes on any number of machines: a keyspace of Apache Cassandra. Every call
// is durable at LOCAL_QUORUM when it returns; docs/matching.md says why that is enough without transactions.
//
// What the embedded store keeps in its ledger (which messages were applied, with what outcome) is not kept
// here: a count that every process adds to would need a transaction. load_applied finds nothing,
// add_applied and add_tallies do nothing, and the report counts the tables alone.
#ifndef TILL_STORE_CASSANDRA_H
#define TILL_STORE_CASSANDRA_H

#include "buf.h"
#include "clock.h"
#include "cql.h"
#include "store.h"
#include "store_read.h"

#define STORE_CASSANDRA_KEYSPACE "ecom_store"

struct store_cassandra_options {
    struct cql_options cluster;
    const char *keyspace;     // NULL: STORE_CASSANDRA_KEYSPACE
    bool without_by_customer; // leave facts_by_customer and facts_by_day empty
    struct clock clock;
};

// Connects and prepares. ERR_UNAVAILABLE, ERR_PERMISSION, ERR_CONFIG as cql_open; ERR_NOT_FOUND when the
// keyspace or its tables are not there (till setup makes them); ERR_SCHEMA when they are of another version,
// or written by a later fold.
MUST_USE enum err store_cassandra_open(const struct store_cassandra_options *options,
                                       struct store **out_store, struct why *why);

// The reading side, with a connection of its own. Errors as above.
MUST_USE enum err store_reader_open_cassandra(const struct store_cassandra_options *options,
                                              struct store_reader **out_reader, struct why *why);

// Brings the keyspace to this program's version. What is to be done, or was done with `apply`, is added to
// `out_cql` as statements that end in semicolons; nothing when it is up to date. `replication`: a map in CQL's
// form, such as {'class': 'NetworkTopologyStrategy', 'dc1': 3}; NULL: three replicas in the local data
// centre, or as many as it has nodes. One process at a time.
MUST_USE enum err store_cassandra_setup(const struct store_cassandra_options *options,
                                        const char *replication, bool apply, struct buf *out_cql,
                                        struct why *why);

#endif
