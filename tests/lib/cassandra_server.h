// A real Apache Cassandra for a test program, by way of the script tests/lib/cassandra beside this file.
//
// A start takes 6 s for one node and 16 s for three, so most programs take the shared node: scripts/test
// has one for all programs of its run, started by the first that asks for it and removed at the end. Each
// program makes itself a keyspace there. Who kills, pauses or restarts nodes, or wants logins, TLS or
// several nodes, starts a cluster of his own.
//
// No cluster outlives whom it belongs to (the test program, or scripts/test for the shared one), however
// that one ends: a process of its own watches.
//
// Calls may come from any thread, for one cluster one at a time. What cannot go wrong in a test and does
// ends the process, with what the script said on standard error. Every wait has an end.
#ifndef TILL_CASSANDRA_SERVER_H
#define TILL_CASSANDRA_SERVER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define CASSANDRA_NODES_MAX     3u
#define CASSANDRA_KEYSPACE_SIZE 48u

struct cassandra_server;

// Zero means the default that stands first, or beside it.
struct cassandra_server_options {
    unsigned nodes; // 1, or 3
    bool auth;      // user and password are "cassandra"
    enum { CASSANDRA_TLS_NONE, CASSANDRA_TLS_SERVER, CASSANDRA_TLS_MUTUAL } tls;
    bool commitlog_is_periodic; // a kill may lose what was acknowledged last
    unsigned heap_mib;          // 512, of each node
    const char *yaml[4];        // more lines of cassandra.yaml
    const char *java[4];        // more options of Java
};

// To be called first in main: where Cassandra cannot be had the program ends as skipped (exit code 77),
// with the reason and how to get it on standard error; with CI=true as failed (exit code 1). The first
// time on a machine it fetches Cassandra, by the network.
void cassandra_server_require(void);

// Both serve when they return. NULL means all defaults.
struct cassandra_server *cassandra_server_start(const struct cassandra_server_options *options);
// The node of this test run, with all defaults; outside of scripts/test one of this program's own. Leave
// its process alone.
struct cassandra_server *cassandra_server_shared(void);
// Kills and deletes a cluster of our own; of a shared one only the handle goes. Accepts NULL.
void cassandra_server_stop(struct cassandra_server **server);

const char *
cassandra_server_addresses(const struct cassandra_server *server);     // "127.0.0.1:12192,..."
uint16_t cassandra_server_port(const struct cassandra_server *server); // of each node
// "tls/ca.pem", "tls/client.pem", "tls/client.key", "tls/stranger.pem" (signed by another CA),
// "node1/log": the path of such a file.
void cassandra_server_path(const struct cassandra_server *server, const char *name,
                           char out_path[PATH_MAX]);

// Makes a keyspace that no other program of this run has, with a replica on each node.
void cassandra_server_keyspace(struct cassandra_server *server,
                               char out_name[CASSANDRA_KEYSPACE_SIZE]);

// Runs statements, each with a semicolon at its end, on the first node that runs, and gives the rows: a
// line each, tabs between the values, "null" for none. The caller frees.
char *cassandra_server_cql(struct cassandra_server *server, const char *statements);

struct cassandra_cql_options {
    unsigned node;           // 1 ...; 0: the first that runs
    const char *consistency; // "QUORUM"; NULL: "ONE"
    const char *user;        // NULL: cassandra
    const char *password;    // NULL: cassandra
};
// The same, but may fail: then it returns false and the text is the error. The caller frees it.
bool cassandra_server_try_cql(struct cassandra_server *server,
                              const struct cassandra_cql_options *options, const char *statements,
                              char **out_text);

// Nodes count from 1. Kill is SIGKILL: connections are reset and new ones refused when it returns. Pause
// is SIGSTOP: all its threads stand still when it returns; connections are still let in, by the system.
void cassandra_server_kill(struct cassandra_server *server, unsigned node);
void cassandra_server_pause(struct cassandra_server *server, unsigned node);
void cassandra_server_resume(struct cassandra_server *server, unsigned node);
// Starts a node again, after ending it in good order if it runs; all that run serve when it returns.
void cassandra_server_restart(struct cassandra_server *server, unsigned node);

#endif
