// A node of a Cassandra cluster that plays what a healthy one never does: each ERROR with its fields,
// broken envelopes and segments, bytes that come one at a time, answers out of order or never, ends in
// the middle of an answer, refused versions, forgotten statements, events of things that did not happen.
// Several of them, of different versions if wanted, make a cluster that tells of its nodes as told to.
//
// Without rules it is a plausible node: it answers OPTIONS, STARTUP, a login, REGISTER, the system tables
// that drivers read, PREPARE, EXECUTE, BATCH and QUERY; writes are forgotten, reads give what the test
// has taught (cql_mock_teach). No compression. A rule (cql_mock_rule) changes what happens to requests
// that it fits.
// It is strict: what the client does against the protocol ends the connection and is kept as a complaint,
// of which a good test finds none in the end.
//
// A thread of its own does all the work; calls may come from any other thread, and are in force when they
// return. What rules and statements point to must stay until the mock is stopped. Whoever gives up for
// want of memory, ports or threads is the process.
#ifndef TILL_CQL_MOCK_H
#define TILL_CQL_MOCK_H

#include "cql_mock_wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cql_mock;

// --- life ----------------------------------------------------------------------------------------

// Zero means what stands beside it.
struct cql_mock_options {
    unsigned version_max; // 5; 4: what comes in v5 is refused with ERROR 0x000A in v4
    unsigned host;        // 1: of 127.0.0.N
    uint16_t port;        // a free one
    const char *user;     // no login
    const char *password;
    const char *cluster_name;    // "till-mock"
    const char *data_center;     // "datacenter1"
    const char *rack;            // "rack1"
    const char *release_version; // "5.0.9"
    const char *tokens;          // "0", by comma
    const char *cert_file;       // no TLS; PEM
    const char *key_file;
    const char *client_ca_file; // no certificate is asked of the client
};

struct cql_mock *cql_mock_start(const struct cql_mock_options *options); // NULL: all defaults
void cql_mock_stop(struct cql_mock **mock); // resets connections; accepts NULL

uint16_t cql_mock_port(const struct cql_mock *mock);
const char *cql_mock_address(const struct cql_mock *mock); // "127.0.0.1:40001"

// --- what it tells of the cluster ----------------------------------------------------------------

// A row of system.peers_v2 and system.peers. NULL and 0 are null.
struct cql_mock_peer {
    const char *address;
    uint16_t port;
    const char *data_center;
    const char *rack;
    const char *release_version;
    const char *tokens;     // by comma
    uint8_t host_id;        // the last byte of a UUID that is zero else; likewise
    uint8_t schema_version; // 1 of a fresh node
};
struct cql_mock_peer cql_mock_as_peer(const struct cql_mock *mock); // as others would tell of it
#define CQL_MOCK_PEERS_MAX 16u
void cql_mock_set_peers(struct cql_mock *mock, const struct cql_mock_peer *peers, unsigned count);
// Each tells of all the others.
void cql_mock_introduce(struct cql_mock *const *mocks, unsigned count);
// Its own, not what others tell of it.
void cql_mock_set_schema_version(struct cql_mock *mock, uint8_t version);

// A row of system_schema.keyspaces; replication such as "class=SimpleStrategy,replication_factor=1", which
// the keyspace "shop" of a fresh node has.
struct cql_mock_keyspace {
    const char *name;
    const char *replication;
};
#define CQL_MOCK_KEYSPACES_MAX 8u
void cql_mock_set_keyspaces(struct cql_mock *mock, const struct cql_mock_keyspace *keyspaces,
                            unsigned count);
enum {
    CQL_MOCK_BIGINT = 0x02,
    CQL_MOCK_BLOB = 0x03,
    CQL_MOCK_BOOLEAN = 0x04,
    CQL_MOCK_DECIMAL = 0x06,
    CQL_MOCK_INT = 0x09,
    CQL_MOCK_TIMESTAMP = 0x0B,
    CQL_MOCK_UUID = 0x0C,
    CQL_MOCK_VARCHAR = 0x0D,
    CQL_MOCK_INET = 0x10,
    CQL_MOCK_LIST = 0x20,
    CQL_MOCK_MAP = 0x21,
    CQL_MOCK_SET = 0x22,
};
struct cql_mock_column {
    const char *name;
    uint16_t type[3];
};
struct cql_mock_cell {
    const void *data; // NULL: null
    size_t size;
};
// A statement whose text contains `part`. Of several that fit the one taught last counts, also for what
// was prepared before: in v5 its clients are told of new columns, as after ALTER TABLE.
struct cql_mock_statement {
    const char *part;
    const struct cql_mock_column *markers;
    unsigned marker_count;
    uint16_t partition_key[4]; // indexes of markers
    unsigned partition_key_count;
    const struct cql_mock_column *columns; // of its rows; none: RESULT Void
    unsigned column_count;
    const struct cql_mock_cell *cells; // row after row
    unsigned row_count;
    const char *paging_state; // NULL: the last page
};
#define CQL_MOCK_STATEMENTS_MAX 32u
void cql_mock_teach(struct cql_mock *mock, const struct cql_mock_statement *statement);
// Prepared statements are unknown from now on: UNPREPARED. Prepared again their ids are made with the
// salt, so that another salt gives other ids.
void cql_mock_forget(struct cql_mock *mock, unsigned salt);

// --- rules ---------------------------------------------------------------------------------------

enum cql_mock_opcode { // of requests and answers, spec section 2.4
    CQL_MOCK_ERROR = 0x00,
    CQL_MOCK_STARTUP = 0x01,
    CQL_MOCK_READY = 0x02,
    CQL_MOCK_AUTHENTICATE = 0x03,
    CQL_MOCK_OPTIONS = 0x05,
    CQL_MOCK_SUPPORTED = 0x06,
    CQL_MOCK_QUERY = 0x07,
    CQL_MOCK_RESULT = 0x08,
    CQL_MOCK_PREPARE = 0x09,
    CQL_MOCK_EXECUTE = 0x0A,
    CQL_MOCK_REGISTER = 0x0B,
    CQL_MOCK_EVENT = 0x0C,
    CQL_MOCK_BATCH = 0x0D,
    CQL_MOCK_AUTH_CHALLENGE = 0x0E,
    CQL_MOCK_AUTH_RESPONSE = 0x0F,
    CQL_MOCK_AUTH_SUCCESS = 0x10,
};
#define CQL_MOCK_ANY 0x00 // requests of every kind

// An ERROR; what its code has no field for is not sent. Codes are those of spec section 9.
struct cql_mock_error {
    int32_t code;
    const char *message;   // NULL: "made up by the test"
    uint16_t consistency;  // 0x1000 and above
    int32_t received;      // or alive
    int32_t required;      // or blocked for
    int32_t failure_count; // 0x1300, 0x1500; v5: so many nodes of 127.0.0.0/8 with reason 0
    bool data_present;
    const char *write_type; // NULL: "SIMPLE"
    uint16_t contentions;   // v5, write_type CAS
    const char *keyspace;   // 0x1400, 0x2400; NULL: "shop"
    const char *table;      // or function; NULL: "orders"
    const void *id;         // 0x2500; NULL: that of the EXECUTE
    size_t id_size;
};

enum cql_mock_action {
    CQL_MOCK_AS_USUAL,
    CQL_MOCK_FAIL,   // with `error`
    CQL_MOCK_ANSWER, // `answer_opcode` and `body`
    CQL_MOCK_RAW,    // `body`, outside of envelopes and segments
    CQL_MOCK_SILENCE,
    CQL_MOCK_CLOSE, // after what was answered before
    CQL_MOCK_RESET, // at once
    CQL_MOCK_HANDLE // `handle` answers
};

// What is wrong with an answer; the value tells how much or where.
enum cql_mock_damage {
    CQL_MOCK_WHOLE,
    CQL_MOCK_WRONG_VERSION, // the byte instead
    CQL_MOCK_WRONG_FLAGS,
    CQL_MOCK_WRONG_STREAM,
    CQL_MOCK_WRONG_OPCODE,
    CQL_MOCK_WRONG_LENGTH,      // what is added to the length, of which the body knows nothing
    CQL_MOCK_WRONG_HEADER_CRC,  // of this segment, from 0; v5
    CQL_MOCK_WRONG_PAYLOAD_CRC, // likewise
    CQL_MOCK_CUT,               // after so many bytes, then the connection is closed
};

struct cql_mock_call;
// In the mock's thread; may call cql_mock_reply... and nothing else of this header.
typedef void (*cql_mock_handler)(struct cql_mock_call *call, void *context);

struct cql_mock_rule {
    unsigned opcode;  // of the request; 0: any
    const char *part; // of the statement's text, in a batch of the first one's; NULL: any
    unsigned skip;    // so many that fit go by first
    unsigned times;   // then it holds for so many; 0: for all
    enum cql_mock_action action;
    struct cql_mock_error error;
    unsigned answer_opcode;
    const void *body;
    size_t body_size;
    cql_mock_handler handle;
    void *context;
    // Of the answer, also a usual one:
    bool is_held;   // until cql_mock_release
    bool is_traced; // these three go before the body, with their flags
    const char *warning;
    const char *payload_key; // with a value of three bytes
    enum cql_mock_damage damage;
    int32_t damage_value;
    unsigned slice_size;     // bytes that are sent at once; 0: all
    unsigned slice_pause_ms; // after each slice
};
#define CQL_MOCK_RULES_MAX 32u
// The first rule that was added, fits and is not used up decides.
void cql_mock_add_rule(struct cql_mock *mock, const struct cql_mock_rule *rule);
void cql_mock_clear_rules(struct cql_mock *mock);

// Sends what is held, oldest or newest first, in v5 all in one segment. How many these were.
unsigned cql_mock_release(struct cql_mock *mock, bool newest_first);

// For handlers. Several replies leave together.
struct cql_mock_request;
const struct cql_mock_request *cql_mock_call_request(const struct cql_mock_call *call);
void cql_mock_reply(struct cql_mock_call *call, unsigned opcode, const void *body,
                    size_t body_size);
void cql_mock_reply_as_usual(struct cql_mock_call *call);
void cql_mock_reply_raw(struct cql_mock_call *call, const void *data, size_t size);

// --- events, to connections that have registered -------------------------------------------------

// Each tells how many connections it went to. Held ones leave with cql_mock_release.
unsigned cql_mock_push(struct cql_mock *mock, const struct cql_mock_bytes *body, bool is_held);
// type "STATUS_CHANGE" with "UP", "DOWN", or "TOPOLOGY_CHANGE" with "NEW_NODE", "REMOVED_NODE".
unsigned cql_mock_push_node(struct cql_mock *mock, const char *type, const char *change,
                            const char *address, uint16_t port);
// change "CREATED", "UPDATED", "DROPPED"; table NULL: of the keyspace.
unsigned cql_mock_push_schema(struct cql_mock *mock, const char *change, const char *keyspace,
                              const char *table);

// --- connections ---------------------------------------------------------------------------------

void cql_mock_refuse(struct cql_mock *mock, bool on); // nobody listens; present connections stay
void cql_mock_stall(struct cql_mock *mock, bool on);  // nothing is read; connections are let in
void cql_mock_disconnect(struct cql_mock *mock, bool by_reset); // all present ones
unsigned cql_mock_open_count(struct cql_mock *mock);
unsigned cql_mock_accepted_count(struct cql_mock *mock);

// --- what the client did -------------------------------------------------------------------------

struct cql_mock_request {
    unsigned connection; // from 1, in the order of accepting
    struct cql_mock_header header;
    char *text; // of a statement; NULL: none, or an id that is not known
    unsigned char *body;
};
#define CQL_MOCK_REQUESTS_MAX 20000u // later ones are only counted
// In order of arrival; NULL when there are fewer. Stays until the stop.
const struct cql_mock_request *cql_mock_request(struct cql_mock *mock, unsigned index);
unsigned cql_mock_count(struct cql_mock *mock, unsigned opcode); // of that kind, 0: of all
// Whether there are so many in time.
bool cql_mock_await(struct cql_mock *mock, unsigned opcode, unsigned count, int timeout_ms);
// The first thing that the client did against the protocol; NULL: none.
const char *cql_mock_complaint(struct cql_mock *mock);

#endif
