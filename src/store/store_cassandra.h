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
    // Told of what is not as it should be when the store was opened, and then of what the client has to
    // say (cql_set_notice); NULL: nobody. On the thread that uses the store; must not call it.
    cql_notice_fn *notice;
    void *notice_context;
};

// Connects and prepares. ERR_UNAVAILABLE, ERR_PERMISSION, ERR_CONFIG as cql_open; ERR_NOT_FOUND when the
// keyspace or its tables are not there (till setup makes them); ERR_SCHEMA when they are of another version,
// or written by a later fold; ERR_CONFIG when the keyspace is such that acknowledged events could vanish or
// could not be seen by others (struct store_finding, `refused`).
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

// --- whether a cluster is what it should be -----------------------------------------------------

enum store_finding_state { STORE_FINDING_OK, STORE_FINDING_WARNING, STORE_FINDING_FAILED };

// Of one thing that was looked at. The texts live until the callback returns.
struct store_finding {
    const char *check; // "replication"
    enum store_finding_state state;
    bool refused;      // store_cassandra_open does not go on with it
    const char *found; // "1 copy of everything in dc1"
    const char *remedy;
};
typedef void store_finding_fn(void *context, const struct store_finding *finding);

// Connects and looks at all that a run on this cluster depends on; docs/cassandra.md lists the checks. Only
// reads: tables of the system and till_settings. What can't be looked at is a finding too.
void store_cassandra_check(const struct store_cassandra_options *options, store_finding_fn *find,
                           void *context);

#endif
