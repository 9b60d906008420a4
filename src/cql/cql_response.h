// The bodies of answers (spec v5 and v4, section 4.2 and 9) as views: nothing is copied or allocated, and
// what cql_response_read has accepted was walked to its end, cells and types included, so that iterating
// over it cannot fail. More bytes than the spec names are skipped, as it demands; unknown columns types, error
// codes, kinds of results and of events are given as such. All views live as long as the body.
#ifndef TILL_CQL_RESPONSE_H
#define TILL_CQL_RESPONSE_H

#include "cql_frame.h"
#include "cql_type.h"
#include "cql_wire.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

// --- results --------------------------------------------------------------------------------------

#define CQL_COLUMNS_MAX 65535u // of a result; more is damage

// Of the rows of a result, of what a prepared statement will give, of its markers.
struct cql_metadata {
    uint32_t column_count;
    bool has_columns;    // false: only their number was sent (skip_metadata, or no rows)
    bool has_more_pages; // then with paging_state
    bool changed;        // v5: use new_id and these columns from now on
    struct text paging_state;
    struct text new_id;
    bool global_table; // all columns are of `keyspace` and `table`
    struct text keyspace;
    struct text table;
    struct text columns;          // for cql_columns
    uint16_t partition_key_count; // markers: where each part of the key is bound; 0: not all are
    struct text partition_key;    // for cql_partition_key_index
};

struct cql_column {
    struct text keyspace;
    struct text table;
    struct text name;
    struct cql_type type;
};
struct cql_columns {
    struct cql_reader reader;
    const struct cql_metadata *metadata;
    uint32_t left;
};
struct cql_columns cql_columns(const struct cql_metadata *metadata); // which must stay
bool cql_columns_next(struct cql_columns *columns, struct cql_column *out_column);
// Index of the column of that name; SIZE_MAX when there is none, or no columns were sent.
size_t cql_metadata_find(const struct cql_metadata *metadata, struct text name);
// Index of the marker that binds part `part` of the partition key.
uint16_t cql_partition_key_index(const struct cql_metadata *metadata, uint16_t part);

struct cql_rows {
    struct cql_metadata metadata;
    uint32_t row_count;
    struct text content; // for struct cql_row_reader
};
// Rows in order, cell by cell: the column_count cells of a row, then those of the next.
struct cql_row_reader {
    struct cql_reader reader;
    uint32_t column_count;
    uint32_t rows_left;
};
struct cql_row_reader cql_rows_read(const struct cql_rows *rows);
// The next row's first `cap` cells; what has more columns than that is skipped, what has fewer is null.
bool cql_row_next(struct cql_row_reader *reader, struct cql_cell *cells, size_t cap);

struct cql_prepared {
    struct text id;
    struct text result_metadata_id; // v5
    struct cql_metadata markers;
    struct cql_metadata result; // without columns for what is no SELECT
};

enum cql_change { CQL_CHANGE_OTHER, CQL_CHANGE_CREATED, CQL_CHANGE_UPDATED, CQL_CHANGE_DROPPED };
struct cql_schema_change {
    enum cql_change change;
    struct text target; // "KEYSPACE", "TABLE", "TYPE", "FUNCTION", "AGGREGATE"
    struct text keyspace;
    struct text name;                 // empty for a keyspace
    struct cql_string_list arguments; // types, of a function or aggregate
};

enum cql_result_kind {
    CQL_RESULT_VOID = 1,
    CQL_RESULT_ROWS = 2,
    CQL_RESULT_SET_KEYSPACE = 3,
    CQL_RESULT_PREPARED = 4,
    CQL_RESULT_SCHEMA_CHANGE = 5,
};

// --- events ---------------------------------------------------------------------------------------

enum cql_event_kind {
    CQL_EVENT_OTHER, // of a kind or a change that is unknown here
    CQL_EVENT_NEW_NODE,
    CQL_EVENT_REMOVED_NODE,
    CQL_EVENT_MOVED_NODE,
    CQL_EVENT_UP,
    CQL_EVENT_DOWN,
    CQL_EVENT_SCHEMA,
};
struct cql_event {
    enum cql_event_kind kind;
    struct text type;                // "STATUS_CHANGE"
    struct cql_inet address;         // of a node: may be 0.0.0.0, then it tells nothing
    int32_t port;                    // the same
    struct cql_schema_change schema; // of CQL_EVENT_SCHEMA
};

// --- errors ---------------------------------------------------------------------------------------

enum cql_error_code {
    CQL_ERROR_SERVER = 0x0000,
    CQL_ERROR_PROTOCOL = 0x000A,
    CQL_ERROR_AUTHENTICATION = 0x0100,
    CQL_ERROR_UNAVAILABLE = 0x1000,
    CQL_ERROR_OVERLOADED = 0x1001,
    CQL_ERROR_IS_BOOTSTRAPPING = 0x1002,
    CQL_ERROR_TRUNCATE = 0x1003,
    CQL_ERROR_WRITE_TIMEOUT = 0x1100,
    CQL_ERROR_READ_TIMEOUT = 0x1200,
    CQL_ERROR_READ_FAILURE = 0x1300,
    CQL_ERROR_FUNCTION_FAILURE = 0x1400,
    CQL_ERROR_WRITE_FAILURE = 0x1500,
    CQL_ERROR_CDC_WRITE_FAILURE = 0x1600,
    CQL_ERROR_CAS_WRITE_UNKNOWN = 0x1700,
    CQL_ERROR_SYNTAX = 0x2000,
    CQL_ERROR_UNAUTHORIZED = 0x2100,
    CQL_ERROR_INVALID = 0x2200,
    CQL_ERROR_CONFIG = 0x2300,
    CQL_ERROR_ALREADY_EXISTS = 0x2400,
    CQL_ERROR_UNPREPARED = 0x2500,
};

enum cql_write_type {
    CQL_WRITE_OTHER, // a name that is unknown here
    CQL_WRITE_SIMPLE,
    CQL_WRITE_BATCH,
    CQL_WRITE_UNLOGGED_BATCH,
    CQL_WRITE_COUNTER,
    CQL_WRITE_BATCH_LOG,
    CQL_WRITE_CAS,
    CQL_WRITE_VIEW,
    CQL_WRITE_CDC,
};

// Which replica failed, and why (v5).
struct cql_failure_map {
    struct text items;
    uint32_t count;
};
bool cql_failure_next(struct cql_failure_map *map, struct cql_inet *out_address,
                      uint16_t *out_reason);

// What the code does not have is zero.
struct cql_server_error {
    int32_t code; // enum cql_error_code, or one that is unknown (Scylla has its own)
    struct text message;
    enum cql_consistency consistency;
    int32_t received; // replicas that answered; alive ones of UNAVAILABLE
    int32_t required; // replicas that had to
    int32_t failure_count;
    struct cql_failure_map failures; // v5
    enum cql_write_type write_type;
    bool data_present;
    uint16_t contentions; // of a conditional write, v5
    struct text keyspace; // of ALREADY_EXISTS, FUNCTION_FAILURE
    struct text name;     // table (empty: the keyspace), function
    struct cql_string_list arguments;
    struct text unprepared_id;
};

// --- any answer -----------------------------------------------------------------------------------

struct cql_response {
    uint8_t opcode; // enum cql_opcode, or one that is unknown: then nothing below is set
    bool has_tracing_id;
    struct cql_uuid tracing_id;
    struct cql_string_list warnings;
    struct cql_map payload; // of bytes
    int32_t result_kind;    // of RESULT: enum cql_result_kind, or one that is unknown
    union {
        struct cql_server_error error; // ERROR
        struct cql_map supported;      // SUPPORTED: a multimap
        struct text authenticator;     // AUTHENTICATE: class name
        struct cql_cell token;         // AUTH_CHALLENGE, AUTH_SUCCESS
        struct cql_rows rows;          // RESULT ...
        struct text keyspace;
        struct cql_prepared prepared;
        struct cql_schema_change schema;
        struct cql_event event; // EVENT
    };
};

// false when the body is cut short or contradicts itself: close the connection.
bool cql_response_read(const struct cql_envelope *envelope, struct cql_response *out_response);

// Whether this is the usual answer to a write, RESULT Void with nothing around it; for the hot path,
// before cql_response_read.
bool cql_envelope_is_void(const struct cql_envelope *envelope);

#endif
