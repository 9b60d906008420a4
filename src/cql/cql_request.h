// The bodies of requests (spec v5 and v4, section 4.1), written behind the header that cql_frame_begin made,
// or into any memory of the caller's. Sticky as struct cql_writer is: ask `overflowed`, or cql_frame_end. No
// allocation. `version` is 4 or 5.
#ifndef TILL_CQL_REQUEST_H
#define TILL_CQL_REQUEST_H

#include "cql_value.h"
#include "cql_wire.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#define CQL_TIMESTAMP_SERVER INT64_MIN // the server takes its own time

// <query_parameters> of QUERY and EXECUTE, and what BATCH has of them (consistency, serial consistency,
// timestamp, keyspace, now).
struct cql_parameters {
    enum cql_consistency consistency;
    enum cql_consistency serial_consistency; // CQL_SERIAL, CQL_LOCAL_SERIAL; CQL_ANY: not said
    struct cql_values_view values;           // must not have overflowed
    int64_t timestamp_us;                    // >= 0, or CQL_TIMESTAMP_SERVER
    struct text paging_state;                // empty: from the start
    int32_t page_size;                       // rows; 0: all
    // The columns of the result are known and need not be sent: never for a conditional statement, and in v4
    // never for SELECT *, whose columns may have changed.
    bool skip_metadata;
    bool has_now; // v5 only
    int32_t now_in_seconds;
    struct text keyspace; // v5 only; empty: not said
};

struct cql_startup {
    bool lz4;
    bool throw_on_overload; // ERROR 0x1001 rather than a socket that is not read
    struct text driver_name;
    struct text driver_version; // these are left out when empty
    struct text application_name;
};
void cql_write_startup(struct cql_writer *writer, const struct cql_startup *startup);
// OPTIONS has no body.

// SASL PLAIN: an answer to AUTHENTICATE, and to any challenge.
void cql_write_auth_plain(struct cql_writer *writer, struct text user, struct text password);
void cql_write_auth_response(struct cql_writer *writer, struct cql_cell token);

enum { CQL_REGISTER_TOPOLOGY = 1, CQL_REGISTER_STATUS = 2, CQL_REGISTER_SCHEMA = 4 };
void cql_write_register(struct cql_writer *writer, unsigned events); // CQL_REGISTER_*, at least one

void cql_write_query(struct cql_writer *writer, int version, struct text query,
                     const struct cql_parameters *parameters);
// keyspace: v5 only, empty otherwise.
void cql_write_prepare(struct cql_writer *writer, int version, struct text query,
                       struct text keyspace);
// id and, in v5, result_metadata_id are those of the node's answer to PREPARE (struct cql_prepared).
void cql_write_execute(struct cql_writer *writer, int version, struct text id,
                       struct text result_metadata_id, const struct cql_parameters *parameters);

enum cql_batch_type { CQL_BATCH_LOGGED = 0, CQL_BATCH_UNLOGGED = 1, CQL_BATCH_COUNTER = 2 };
#define CQL_BATCH_COUNT_MAX 65535u

// A batch: begin, `count` statements, end. Its parameters have no values, no page and no state.
void cql_write_batch_begin(struct cql_writer *writer, enum cql_batch_type type, uint16_t count);
void cql_write_batch_prepared(struct cql_writer *writer, struct text id,
                              struct cql_values_view values);
void cql_write_batch_query(struct cql_writer *writer, struct text query,
                           struct cql_values_view values);
void cql_write_batch_end(struct cql_writer *writer, int version,
                         const struct cql_parameters *parameters);

#endif
