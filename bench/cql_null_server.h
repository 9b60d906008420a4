// A Cassandra node that does nothing, in a process of its own: it answers the handshake, tells of itself and
// two others that are not there, prepares one statement, and answers every EXECUTE with RESULT Void, as fast as
// bytes can be counted. What a client then costs is the client.
#ifndef TILL_CQL_NULL_SERVER_H
#define TILL_CQL_NULL_SERVER_H

#include <stdint.h>
#include <sys/types.h>

// The statement that it prepares; ten markers, the first is the partition key.
#define CQL_NULL_STATEMENT                                                                         \
    "INSERT INTO bench.writes (id, name, item, address, price, quantity, status, placed, "         \
    "version, "                                                                                    \
    "note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

// Forks it; it ends when the parent does. Gives its port of 127.0.0.1.
pid_t cql_null_server_start(uint16_t *out_port);
void cql_null_server_stop(pid_t server);

#endif
