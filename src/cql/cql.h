// A client of Apache Cassandra 4.0 and later (native protocol v5 and v4):
// https://cassandra.apache.org/doc/latest/cassandra/reference/native-protocol.html
//
//     struct cql *cql;                       a session: one cluster, one thread
//     struct cql_statement *insert;          a prepared statement, as long as the session
//
//     cql_open(&(struct cql_options){.contact_points = "10.0.0.1,10.0.0.2"}, &cql, why);
//     cql_prepare(cql, TEXT("INSERT INTO shop.orders (id, item) VALUES (?, ?)"), &insert, why);
//
//     struct cql_values values;              what is bound, already in the protocol's form
//     cql_values_init(&values, memory, sizeof(memory));
//     cql_bind_bigint(&values, 42);
//     cql_bind_text(&values, TEXT("Laptop"));
//     struct cql_request request = {.statement = insert, .values = cql_values_view(&values),
//                                   .consistency = CQL_LOCAL_QUORUM, .idempotent = true};
//     cql_submit(cql, &request, 1, &accepted, why);
//     cql_poll(cql, timeout_us, completions, 100, &count, why);
//
// Threads: none of its own. A session belongs to one thread at a time; all input and output, timers,
// reconnecting and re-preparing happen inside cql_poll (and the calls that say that they wait). A caller
// that does not poll for longer than options.heartbeat_us may find its connections closed.
//
// Every accepted request completes exactly once, whatever happens to nodes and connections: with a
// result, or with an error whose class (err_class_of) says what to do and whose `outcome` says whether
// the write may have been done. What is retried, and where, is decided in cql_retry.h alone.
//
// Routing: a request with a statement whose partition key is bound goes to a replica of that partition
// in the local data centre, the others to any node there. Nodes of other data centres are never asked.
#ifndef TILL_CQL_H
#define TILL_CQL_H

#include "arena.h"
#include "clock.h"
#include "cql_frame.h"
#include "cql_request.h"
#include "cql_response.h"
#include "cql_retry.h"
#include "cql_value.h"
#include "cql_wire.h"
#include "errors.h"
#include "text.h"

#include <stddef.h>
#include <stdint.h>

// --- a session ----------------------------------------------------------------------------------

struct cql;

#define CQL_ADDRESSES_MAX    128u        // of contact points; those beyond are left out
#define CQL_NODES_MAX        1024u       // of a cluster; likewise
#define CQL_IN_FLIGHT_MAX    32768u      // requests of a session accepted and not completed
#define CQL_REQUEST_SIZE_MAX (32u << 20) // bytes; a node takes 16 MiB unless it is told otherwise

struct cql_tls {
    bool enabled;
    const char *ca_file;   // PEM; NULL: the system's roots
    const char *cert_file; // PEM chain of the client; NULL: none
    const char *key_file;
    // Against which the server's certificate is checked; NULL: the host name or address as it was
    // given or as the cluster says it. Both checks are on unless switched off here.
    const char *server_name;
    bool without_chain_check;
    bool without_name_check;
};

// Texts are copied. A zero means the default beside it.
struct cql_options {
    // "host", "host:port", "[::1]:9042", by comma. Every address of a name is tried; names are resolved
    // once, by cql_open.
    const char *contact_points;
    uint16_t port;            // where none is given; 9042
    const char *local_dc;     // NULL: that of the first node that answers
    const char *cluster_name; // refuse nodes of another cluster; NULL: any
    const char *user;         // SASL PLAIN; NULL: none
    const char *password;
    struct cql_tls tls;
    enum cql_compression compression; // used with nodes that offer it
    int protocol_version_max;         // 5; 4
    uint32_t connections_per_node;    // 1; at most 16
    uint32_t in_flight_per_node;      // 1024 requests at once; fewer while the node is overloaded
    int64_t connect_timeout_us;       // 5 s, a step: TCP with TLS, each answer of the handshake
    int64_t request_timeout_us;       // 12 s: more than the server's own (write 2 s, read 5 s)
    int64_t heartbeat_us;             // 30 s of silence, then OPTIONS; half more, then closed
    int64_t reconnect_min_us;         // 250 ms, doubled with jitter ...
    int64_t reconnect_max_us;         // ... to 30 s; an UP event tries at once
    uint32_t orphans_max;             // 256 answers overdue on a connection: it is replaced
    struct clock clock;               // clock_real()
    uint64_t seed;                    // of jitter and choice; 0: from the system
    const char *application;          // APPLICATION_NAME in system_views.clients; "till"
};

// Waits until one node answered and the topology is known. ERR_UNAVAILABLE when none does within
// connect_timeout_us each, ERR_PERMISSION (wrong user or password), ERR_CONFIG (an address that is none, a
// data centre without nodes, a certificate that can't be read, another cluster, no common version).
MUST_USE enum err cql_open(const struct cql_options *options, struct cql **out_cql,
                           struct why *why);
// Requests not completed are forgotten. Accepts NULL and *cql == NULL.
void cql_close(struct cql **cql);

// --- statements -----------------------------------------------------------------------------------

// Prepared on one node, then in the background on the others and on every new connection, and again where
// a node has forgotten it. Owned by the session.
struct cql_statement;

// Waits. The same text gives the same statement. Tables are to be named with their keyspace. ERR_INVALID
// (syntax, no such table: the server's words in `why`), ERR_UNAVAILABLE, ERR_PERMISSION.
MUST_USE enum err cql_prepare(struct cql *cql, struct text statement,
                              struct cql_statement **out_statement, struct why *why);
size_t cql_statement_value_count(const struct cql_statement *statement); // to be bound

// --- requests ----------------------------------------------------------------------------------------

struct cql_batch_entry {
    struct cql_statement *statement;
    struct cql_values_view values;
};

// What it points to must stay until its completion.
struct cql_request {
    struct cql_statement *statement; // or a text, or a batch; exactly one of the three
    struct text text;
    const struct cql_batch_entry *batch; // routed by its first entry
    uint16_t batch_count;
    enum cql_batch_type batch_type;
    struct cql_values_view values;
    enum cql_consistency consistency;
    enum cql_consistency serial_consistency; // of conditional statements; 0: LOCAL_SERIAL
    int64_t timestamp_us;                    // 0 or CQL_TIMESTAMP_SERVER: the server's time
    bool idempotent;                         // may be done twice: a fixed timestamp, or a read
    bool tracing;                            // result.tracing_id is set
    int32_t page_size;                       // rows; 0: all in one page
    struct text paging_state;                // of the page before
    int64_t timeout_us;                      // 0: options.request_timeout_us
    void *context;                           // the caller's
};

// Accepts the first *accepted of them; less than `count` when the window (CQL_IN_FLIGHT_MAX) is full:
// poll, then go on. Never blocks. ERR_INVALID: values that do not fit the statement; ERR_TOO_LARGE.
MUST_USE enum err cql_submit(struct cql *cql, const struct cql_request *requests, size_t count,
                             size_t *out_accepted, struct why *why);

struct cql_result {
    struct cql_rows rows;     // cql_response.h: of a RESULT Rows; zero otherwise
    struct text paging_state; // empty: this was the last page
    struct cql_uuid tracing_id;
    size_t warning_count;
};

// result and why are valid until the next call of cql_poll or a call that waits.
struct cql_completion {
    void *context;
    enum err err;
    int32_t error_code; // the server's (spec section 9); -1: none
    enum cql_outcome outcome;
    struct cql_result result;
    const struct why *why; // when err is not ERR_OK
};

// Sends, receives and does all that is due, for at most timeout_us while nothing completes; gives up to
// cap completions. ERR_OK also when there are none.
MUST_USE enum err cql_poll(struct cql *cql, int64_t timeout_us, struct cql_completion *completions,
                           size_t cap, size_t *out_count, struct why *why);
size_t cql_in_flight(const struct cql *cql); // accepted and not completed

// Submits one and waits for its completion; for tools. Others' completions stay for the next cql_poll. The
// result is valid until the next call.
MUST_USE enum err cql_execute(struct cql *cql, const struct cql_request *request,
                              struct cql_result *out_result, struct why *why);

// Waits until all nodes that are up have the same schema; after a change of it. ERR_TIMEOUT.
MUST_USE enum err cql_await_schema_agreement(struct cql *cql, int64_t timeout_us, struct why *why);

// --- the cluster ----------------------------------------------------------------------------------------

struct cql_node_info {
    struct text address; // "10.0.0.1:9042"
    struct text dc;
    struct text rack;
    struct text release_version; // "5.0.9"
    struct cql_uuid host_id;
    struct cql_uuid schema_version;
    bool local;           // in the local data centre
    unsigned connections; // open
    unsigned in_flight;
    unsigned window;
    int64_t latency_us; // smoothed; 0: unknown
};

struct cql_cluster_info {
    struct text name;
    struct text partitioner;
    int protocol_version;
    const struct cql_node_info *nodes;
    size_t node_count;
};

// As known now; in the arena. ERR_NO_MEMORY.
MUST_USE enum err cql_cluster_info(const struct cql *cql, struct arena *arena,
                                   struct cql_cluster_info *out_info, struct why *why);

struct cql_figures {
    uint64_t requests;
    uint64_t completed;
    uint64_t failed; // of the completed
    uint64_t retries;
    uint64_t prepared_again; // UNPREPARED answers
    uint64_t timeouts;
    uint64_t overloads;
    uint64_t connections_opened;
    uint64_t connections_lost;
    uint64_t warnings;
    uint64_t bytes_sent;
    uint64_t bytes_received;
};
struct cql_figures cql_figures(const struct cql *cql);

// Called for every warning that a node sends with an answer, and for events worth a log line (a node
// lost, a node back, another schema). From inside the calls above; it must not call the session.
typedef void cql_notice_fn(void *context, struct text notice);
void cql_set_notice(struct cql *cql, cql_notice_fn *notice, void *context);

#endif
