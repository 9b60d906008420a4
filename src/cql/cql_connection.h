// One connection to a node: socket, envelopes in both directions, stream ids, handshake and heartbeat.
//
//     CONNECTING ─► OPTIONS ─► STARTUP ─► (AUTHENTICATING) ─► (REGISTERING) ─► READY
//         └──────────┴───────────┴────────────────┴───────────────┴──────────────┴──► CLOSED
//
// Requests are written into its buffer and sent with the next cql_connections_flush, many at once. A
// closed connection keeps its memory (answers are views into it) until cql_connection_free.
// Not thread-safe.
#ifndef TILL_CQL_CONNECTION_H
#define TILL_CQL_CONNECTION_H

#include "cql_address.h"
#include "cql_frame.h"
#include "cql_loop.h"
#include "cql_socket.h"
#include "cql_streams.h"
#include "errors.h"

#include <stdbool.h>
#include <stdint.h>

struct cql_connection;

// Where to.
struct cql_endpoint {
    struct cql_address address;
    char host[CQL_HOST_SIZE_MAX + 1]; // the name to be found in its certificate
    int version;                      // of the protocol to try: lowered when it is refused
};

// Whom a connection tells. None of them is called from cql_connection_open, _begin or _end.
struct cql_connection_user {
    // The handshake is over.
    void (*ready)(void *context, struct cql_connection *connection);
    // The answer to a request; its stream is free again. The body lives until the connection reads
    // again or is freed. An owner CQL_OWNER_ORPHAN: nobody waits for it.
    void (*answer)(void *context, struct cql_connection *connection, uint16_t owner,
                   const struct cql_envelope *envelope);
    void (*event)(void *context, struct cql_connection *connection,
                  const struct cql_envelope *envelope); // may be NULL
    // It is CLOSED; connection->err and ->why say how come. Its streams still tell who waits.
    void (*lost)(void *context, struct cql_connection *connection);
};

// What all connections of a session share.
struct cql_connections {
    struct cql_loop loop;
    struct cql_tls_context *tls; // NULL: none
    const char *user;            // NULL: none
    const char *password;
    const char *application; // NULL: none
    enum cql_compression compression;
    size_t request_size_max; // bytes of one request
    int64_t connect_timeout_us;
    int64_t heartbeat_us;
    uint64_t bytes_sent;
    uint64_t bytes_received;
    struct cql_connection *dirty;  // written to and not flushed
    struct cql_connection *unread; // TLS holds bytes that no descriptor tells of
    uint64_t turn;                 // calls of cql_connections_wait
};

enum cql_connection_state {
    CQL_CONNECTION_CONNECTING,
    CQL_CONNECTION_OPTIONS,
    CQL_CONNECTION_STARTUP,
    CQL_CONNECTION_AUTHENTICATING,
    CQL_CONNECTION_REGISTERING,
    CQL_CONNECTION_READY,
    CQL_CONNECTION_CLOSED,
};

struct cql_connection {
    struct cql_connections *group;
    struct cql_endpoint *endpoint;
    const struct cql_connection_user *user;
    void *context;
    enum cql_connection_state state;
    bool with_events;
    bool draining; // the user's: no more requests, it is to be replaced
    int version;
    enum cql_compression compression; // agreed on
    struct cql_socket socket;
    struct cql_watch watch;
    bool blocked; // the socket takes no more for now
    bool heartbeat_sent;
    struct cql_frame_reader reader;
    struct cql_frame_writer writer;
    struct cql_streams streams;
    uint32_t send_round; // grows when bytes are handed to the socket
    uint8_t challenges;
    bool was_ready;
    int64_t ready_ns;
    uint64_t turn;          // of the group, when it last received
    int64_t received_ns;    // when bytes last came
    struct cql_timer timer; // of a step of the handshake, then of the heartbeat
    bool is_dirty;
    struct cql_connection *next_dirty;
    bool is_unread;
    struct cql_connection *next_unread;
    struct cql_connection *next_free; // the user's, both
    struct cql_connection *next_draining;
    enum err err; // why it was closed
    struct why why;
};

// Starts to connect. `endpoint` must stay as long as the connection. ERR_UNAVAILABLE (the system
// refuses), ERR_NO_MEMORY.
MUST_USE enum err cql_connection_open(struct cql_connections *group, struct cql_endpoint *endpoint,
                                      const struct cql_connection_user *user, void *context,
                                      bool with_events, struct cql_connection **out_connection,
                                      struct why *why);
// Closes it without telling; accepts a closed one.
void cql_connection_close(struct cql_connection *connection);
void cql_connection_free(struct cql_connection **connection);
// Closes it and tells `lost`. Does nothing when it is closed.
void cql_connection_fail(struct cql_connection *connection, enum err err, const char *format, ...)
    PRINTF_LIKE(3, 4);

// Begins a request of that owner and gives the writer of its body; NULL when all streams are in use.
struct cql_writer *cql_connection_begin(struct cql_connection *connection, uint16_t owner,
                                        enum cql_opcode opcode, uint8_t flags, int32_t *out_stream);
// Ends it. ERR_FULL: no room now. ERR_TOO_LARGE: never. Then nothing was written.
MUST_USE enum err cql_connection_end(struct cql_connection *connection, int32_t stream);

// Sends what was written; what the socket does not take goes when it is writable.
void cql_connection_flush(struct cql_connection *connection);
// All that were written to.
void cql_connections_flush(struct cql_connections *group);
// Waits for sockets, at most timeout_ns, and handles what they have.
void cql_connections_wait(struct cql_connections *group, int64_t timeout_ns);

// Of cql_handshake.c: begins it once the socket is connected; an answer to one of its requests.
void cql_handshake_begin(struct cql_connection *connection);
void cql_handshake_answer(struct cql_connection *connection, const struct cql_envelope *envelope);
// Moves to a state and gives the peer a step's patience.
void cql_connection_enter(struct cql_connection *connection, enum cql_connection_state state);

#endif
