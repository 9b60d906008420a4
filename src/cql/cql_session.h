// Inside of a session (cql.h): its requests, nodes, statements and what it knows of the cluster, and
// which file does what with them. One thread.
//
//     cql_submit ─► cql_place ─► a node's window has room ─► cql_send ─► connection
//                       └► no room: the node's queue; no node: `homeless`
//     connection ─► cql_node_answer ─► done, or cql_trouble: cql_retry.h decides
//                                                    └► again cql_place, PREPARE, or done with an error
//     cql_poll takes from `done`
//
// A slot is a request that was accepted, or one of the session's own. It is on at most one queue at a time,
// and its state says which:
//
//     FREE ─► WAITING ◄─► RESTING          WAITING: queue of a node, or `homeless`
//                │  ▲                      RESTING: after OVERLOADED, on no queue
//                ▼  └──────────┐
//            IN_FLIGHT ─► PREPARING        PREPARING: queue of the PREPARE that it waits for
//                └───────► DONE ─► GIVEN ─► FREE
#ifndef TILL_CQL_SESSION_H
#define TILL_CQL_SESSION_H

#include "arena.h"
#include "cql.h"
#include "cql_backoff.h"
#include "cql_connection.h"
#include "cql_ring.h"
#include "cql_window.h"
#include "rand.h"

#define CQL_SLOTS_OWN        512u // of the session's own requests
#define CQL_SLOT_COUNT       (CQL_IN_FLIGHT_MAX + CQL_SLOTS_OWN)
#define CQL_NODE_CONNECTIONS 16u // most connections of a node
#define CQL_NAME_SIZE        128 // of data centres and racks; longer ones are cut
#define CQL_KEY_PARTS_MAX    16u // of a partition key that is routed by
#define CQL_TRIED_MAX        4u  // nodes that a request remembers having been at
#define CQL_ADDRESSES_MAX    128u
#define CQL_TOPOLOGY_SIZE    (96u << 20) // bytes that one reading of the cluster may take

// --- requests ------------------------------------------------------------------------------------

struct cql_queue {
    struct cql_slot *first;
    struct cql_slot *last;
    size_t count;
};

enum cql_slot_state {
    CQL_SLOT_FREE,
    CQL_SLOT_WAITING,
    CQL_SLOT_RESTING,
    CQL_SLOT_PREPARING,
    CQL_SLOT_IN_FLIGHT,
    CQL_SLOT_DONE,
    CQL_SLOT_GIVEN,
};

// The end of a request of the session's own. response is NULL when there was no answer.
typedef void cql_own_fn(struct cql *cql, struct cql_slot *slot, const struct cql_response *response,
                        const struct why *why);

struct cql_slot {
    struct cql_slot *next;
    struct cql_slot *previous;
    struct cql_queue *queue; // the one it is on
    struct cql *cql;
    struct cql_timer timer; // its patience, or the end of its rest
    int64_t deadline_ns;
    int64_t sent_ns;
    struct cql_connection *connection; // in flight
    struct cql_node *node;             // in flight or waiting
    int32_t stream;
    uint32_t send_round; // of the connection, when it was written
    uint16_t index;
    enum cql_slot_state state;
    uint8_t retries;
    uint8_t reprepares;
    uint8_t overloads;
    uint8_t tried_count;
    bool conditional;
    bool perhaps_done; // an attempt before this one may have done it
    bool synchronous;  // of a call that waits
    bool has_result;
    uint32_t tried[CQL_TRIED_MAX];     // numbers of nodes
    struct cql_columns_known *columns; // that were told to be known, of statement requests
    void *held;                        // copy of the answer
    struct cql_envelope envelope;      // the answer, when has_result and not held
    enum err err;                      // from here on: how it ended
    int32_t error_code;
    enum cql_outcome outcome;
    // The session's own:
    cql_own_fn *own;                 // NULL: a request of the caller's
    struct cql_statement *statement; // of PREPARE
    struct cql_queue waiters;        // for that PREPARE
    struct cql_request request;
    struct cql_result result; // when has_result
};

// Columns of a statement's rows, as one answer described them. Requests in flight refer to the version
// that they told the node they know.
struct cql_columns_known {
    struct cql_columns_known *next_retired;
    uint32_t references;
    struct text id; // v5
    struct cql_metadata metadata;
    char memory[];
};

struct cql_statement {
    struct cql_statement *next;
    struct text text;
    bool conditional; // has IF
    struct text id;   // owned
    uint32_t value_count;
    char *keyspace; // owned
    uint16_t key[CQL_KEY_PARTS_MAX];
    uint16_t key_count; // 0: not routed
    struct cql_columns_known *columns;
    // Its keyspace in the topology of that generation.
    uint64_t generation;
    struct cql_keyspace *home;
};

// --- the cluster ---------------------------------------------------------------------------------

struct cql_node {
    struct cql *cql;
    uint32_t number; // never used twice
    bool local;
    bool listed; // by the newest reading of the cluster
    bool failed; // its last attempt to connect did
    bool up;     // for notices
    bool reported_down;
    struct cql_uuid host_id;
    struct cql_uuid schema_version;
    struct cql_endpoint endpoint;
    struct cql_address told; // by the cluster; the endpoint may be another way to it
    char dc[CQL_NAME_SIZE];
    char rack[CQL_NAME_SIZE];
    char release_version[32];
    struct cql_connection *connections[CQL_NODE_CONNECTIONS];
    struct cql_connection *draining; // replaced, and not yet ended
    uint32_t ready_count;
    struct cql_backoff backoff;
    struct cql_timer timer;
    struct cql_window window;
    struct cql_queue queue;
    int64_t latency_ns; // smoothed
    enum err err;       // when failed
    struct why why;
    struct cql_node *next_gone;
};

struct cql_keyspace {
    struct text name;
    struct cql_replication replication;
    struct cql_replica_map map;
    bool mapped;
};

// A row of system.local or system.peers.
struct cql_node_row {
    struct cql_uuid host_id;
    struct cql_uuid schema_version;
    struct cql_address told;
    struct text dc;
    struct text rack;
    struct text release_version;
    const int64_t *tokens;
    size_t token_count;
    bool is_control; // the node that is asked
};

// One reading of the cluster; all in its arena.
struct cql_topology {
    struct arena arena;
    uint64_t generation;
    struct text cluster_name;
    struct text partitioner;
    struct cql_node_row *rows; // room for CQL_NODES_MAX
    size_t row_count;
    size_t left_out; // rows that made no sense
    struct cql_keyspace *keyspaces;
    size_t keyspace_count;
    struct cql_ring ring;
    struct cql_node **nodes; // of the ring's
};

enum cql_control_state { CQL_CONTROL_RESTING, CQL_CONTROL_CONNECTING, CQL_CONTROL_READY };

struct cql_control {
    enum cql_control_state state;
    struct cql_connection *connection;
    struct cql_endpoint endpoint;
    struct cql_backoff backoff;
    struct cql_timer timer;   // the next round
    struct cql_timer refresh; // the next reading
    bool reading;
    bool refresh_soon; // the timer is that of an event
    bool without_peers_v2;
    size_t candidate;       // of this round
    size_t candidate_count; // nodes first, then contact addresses
    uint32_t order;         // of this round: where it starts
    uint32_t rounds;        // that failed since the last success
    uint64_t readings;      // of the cluster that succeeded
    enum err err;
    struct why why;
};

// Of the PREPARE that cql_prepare waits for.
struct cql_preparation {
    bool over;
    const struct cql_node *node; // that answered
    enum err err;
    struct why why;
};

// --- the session ---------------------------------------------------------------------------------

struct cql {
    struct cql_connections group;
    char *strings; // copies of the options' texts
    const char *local_dc_wanted;
    const char *cluster_name_wanted;
    char local_dc[CQL_NAME_SIZE];
    struct cql_endpoint contacts[CQL_ADDRESSES_MAX];
    size_t contact_count;
    uint32_t connections_per_node;
    uint32_t window_max;
    uint32_t orphans_max;
    int version_max;
    uint16_t port;
    int64_t request_timeout_us;
    int64_t reconnect_min_us;
    int64_t reconnect_max_us;
    struct rand rand;

    struct cql_slot *slots;
    struct why *whys; // by slot
    struct cql_queue free;
    uint32_t fresh;     // slots from here on were never used
    uint32_t in_flight; // of the caller's
    uint32_t own_count;
    struct cql_queue homeless;
    struct cql_queue done;
    struct cql_queue given;
    struct cql_queue preparing; // PREPAREs in flight
    bool holding;               // a call waits: answers to others are copied

    struct cql_node *nodes[CQL_NODES_MAX];
    size_t node_count;
    struct cql_node *local[CQL_NODES_MAX];
    size_t local_count;
    uint32_t node_number;
    struct cql_node *gone;
    struct cql_connection *closed; // to be freed when nobody looks at what they received
    struct cql_topology *topology; // NULL: nothing known yet
    struct cql_topology *reading;
    struct cql_topology memory[2];
    struct cql_control control;

    struct cql_statement *statements;
    struct cql_preparation preparation;
    struct cql_columns_known *retired;
    struct cql_figures figures;
    cql_notice_fn *notice;
    void *notice_context;
};

// cql_slots.c: slots and queues.
struct cql_slot *cql_slot_take(struct cql *cql, bool own); // NULL: none left
void cql_slot_release(struct cql_slot *slot);              // on no queue, not in flight
struct why *cql_slot_why(struct cql_slot *slot);
void cql_queue_push(struct cql_queue *queue, struct cql_slot *slot);
void cql_queue_push_first(struct cql_queue *queue, struct cql_slot *slot);
struct cql_slot *cql_queue_pop(struct cql_queue *queue); // NULL when empty
void cql_queue_leave(struct cql_slot *slot);             // accepts one that is on none

// cql_send.c: where a request goes, and writing it.
void cql_place(struct cql_slot *slot);
bool cql_send(struct cql_slot *slot, struct cql_node *node); // false: no room now, or it failed
void cql_node_run_queue(struct cql_node *node);
void cql_place_homeless(struct cql *cql);
bool cql_was_tried(const struct cql_slot *slot, const struct cql_node *node);
// Requests of the session's own, on that connection. false: no room.
bool cql_ask(struct cql *cql, struct cql_connection *connection, struct text query,
             cql_own_fn *own);
struct cql_slot *cql_ask_prepare(struct cql *cql, struct cql_connection *connection,
                                 struct cql_statement *statement, cql_own_fn *own);

// cql_settle.c: what becomes of a request.
void cql_settle_answer(struct cql_slot *slot, struct cql_connection *connection,
                       const struct cql_envelope *envelope);
void cql_settle_void(struct cql_slot *slot); // RESULT Void, as nearly all writes
void cql_trouble(struct cql_slot *slot, enum cql_trouble trouble,
                 const struct cql_server_error *error, const struct why *why);
void cql_fail(struct cql_slot *slot, enum err err, enum cql_outcome outcome, const struct why *why);
void cql_patience_over(void *context); // the slot's timer
void cql_hold(struct cql_slot *slot, const struct cql_envelope *envelope);
void cql_hold_done(struct cql *cql);

// cql_node.c: connections of a node.
struct cql_node *cql_node_create(struct cql *cql, const struct cql_endpoint *endpoint);
void cql_node_open(struct cql_node *node); // what is missing, unless it has to wait
void cql_node_hurry(struct cql_node *node);
void cql_node_move(struct cql_node *node, const struct cql_endpoint *endpoint);
void cql_node_retire(struct cql_node *node); // closes; it is on cql->gone then
void cql_node_check_drained(struct cql_connection *connection);
void cql_node_free(struct cql_node *node);
struct cql_connection *cql_node_connection(const struct cql_node *node); // NULL: none is ready
void cql_node_replace(struct cql_node *node, struct cql_connection *connection);
// The requests in flight on a connection that is lost have trouble.
void cql_forget_streams(struct cql *cql, struct cql_connection *connection);
void cql_bury(struct cql *cql, struct cql_connection *connection); // closed: freed later
void cql_notice(struct cql *cql, const char *format, ...) PRINTF_LIKE(2, 3);

// cql_route.c: the nodes of a request.
struct cql_node *cql_choose(struct cql_slot *slot); // NULL: no node is usable, or all were tried

// cql_control.c and cql_topology.c: the cluster.
void cql_control_start(struct cql *cql);
void cql_control_close(struct cql *cql);
void cql_control_refresh(struct cql *cql); // now, or as soon as the reading under way is over
struct cql_topology *cql_topology_begin(struct cql *cql);
MUST_USE enum err cql_topology_add_local(struct cql_topology *topology, const struct cql_rows *rows,
                                         const struct cql_address *connected, uint16_t port);
MUST_USE enum err cql_topology_add_peers(struct cql_topology *topology, const struct cql_rows *rows,
                                         uint16_t port);
MUST_USE enum err cql_topology_add_keyspaces(struct cql_topology *topology,
                                             const struct cql_rows *rows);
MUST_USE enum err cql_topology_apply(struct cql *cql, struct why *why);
bool cql_schema_agrees(const struct cql *cql);

// cql_statement.c: what is prepared.
bool cql_text_is_conditional(struct text text);
void cql_statement_prepare_on(struct cql *cql, struct cql_connection *connection);
bool cql_statement_prepare_for(struct cql_slot *slot, struct cql_connection *connection,
                               const struct cql_server_error *error);
struct cql_columns_known *cql_columns_copy(const struct cql_metadata *metadata, struct text id);
void cql_columns_set(struct cql *cql, struct cql_statement *statement,
                     struct cql_columns_known *columns);
void cql_statements_sweep(struct cql *cql);
void cql_statements_free(struct cql *cql);

// cql.c: one turn of the loop: at most that long, or until something is ready.
void cql_turn(struct cql *cql, int64_t timeout_ns);

#endif
