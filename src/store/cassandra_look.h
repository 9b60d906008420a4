// What a cluster is like, asked of it: nodes, the keyspace with its tables, settings of its servers, clock and
// latency. Nothing is judged here (cassandra_check.h does), and nothing is changed. Internal to the folder.
#ifndef TILL_CASSANDRA_LOOK_H
#define TILL_CASSANDRA_LOOK_H

#include "arena.h"
#include "clock.h"
#include "cql.h"
#include "cql_ring.h"
#include "errors.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CASSANDRA_LOOK_TABLES_MAX  32u // of the keyspace; those beyond are not looked at
#define CASSANDRA_LOOK_SERVERS_MAX 64u // likewise

struct cassandra_table_look {
    struct text name;
    int32_t default_ttl_s;
    struct text read_repair; // "BLOCKING"
};

struct cassandra_keyspace_look {
    bool there;
    bool durable_writes;
    bool replication_is_known;
    struct cql_replication replication;
    struct cassandra_table_look tables[CASSANDRA_LOOK_TABLES_MAX];
    size_t table_count;
};

struct cassandra_nodes_look {
    struct cql_cluster_info cluster;
    struct text local_dc;
    bool dc_is_named; // by the caller's options
    size_t local_count;
    size_t local_up;
};

// What one node says of itself in system_views.settings. An empty text is unknown, or null.
struct cassandra_server_look {
    struct text address; // listen_address
    struct text commitlog_sync;
    struct text authenticator;
    struct text timestamp_limit; // maximum_timestamp_fail_threshold
    int64_t read_timeout_us;     // 0: unknown
    int64_t write_timeout_us;
    bool tls;
};

struct cassandra_servers_look {
    struct cassandra_server_look servers[CASSANDRA_LOOK_SERVERS_MAX];
    size_t count;
};

struct cassandra_clock_look {
    int64_t ahead_us;    // the server's clock less ours; negative when it is behind
    int64_t error_us;    // at most so much more or less
    int64_t ours_now_us; // when it was asked
};

struct cassandra_latency_look {
    int64_t p50_us;
    int64_t p99_us;
};

// Texts are the arena's or the session's. Errors are those of cql_execute, and ERR_NO_MEMORY.

// Waits until every node of the local data centre has a connection, for at most wait_us.
MUST_USE enum err cassandra_look_nodes(struct cql *cql, const char *local_dc, int64_t wait_us,
                                       const struct clock *clock, struct arena *arena,
                                       struct cassandra_nodes_look *out_look, struct why *why);
// ERR_OK also when there is none.
MUST_USE enum err cassandra_look_keyspace(struct cql *cql, const char *keyspace,
                                          struct arena *arena,
                                          struct cassandra_keyspace_look *out_look,
                                          struct why *why);
// Asks until as many different nodes as are up have answered, but not for ever: which one answers is
// chance. ERR_PERMISSION when the role may not read system_views.
MUST_USE enum err cassandra_look_servers(struct cql *cql, size_t up_count, struct arena *arena,
                                         struct cassandra_servers_look *out_look, struct why *why);
// The best of some round trips.
MUST_USE enum err cassandra_look_clock(struct cql *cql, const struct clock *clock,
                                       struct cassandra_clock_look *out_look, struct why *why);
// A row of till_settings; 0 when it is not there.
MUST_USE enum err cassandra_look_setting(struct cql *cql, const char *keyspace, const char *name,
                                         int64_t *out_value, struct why *why);
// Of reads at LOCAL_QUORUM, one after the other.
MUST_USE enum err cassandra_look_latency(struct cql *cql, const char *keyspace,
                                         const struct clock *clock,
                                         struct cassandra_latency_look *out_look, struct why *why);

#endif
