#include "cql_connection.h"

#include "cql_response.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WRITER_ROOM_SIZE (1u << 20) // beyond the largest request: headers, segments, small requests

// --- ending -------------------------------------------------------------------------------------

static void leave_list(struct cql_connection **first, struct cql_connection *connection,
                       size_t next_offset)
{
    struct cql_connection **at = first;
    while (*at != NULL && *at != connection) {
        at = (struct cql_connection **)((char *)*at + next_offset);
    }
    if (*at != NULL) {
        *at = *(struct cql_connection **)((char *)connection + next_offset);
    }
}

void cql_connection_close(struct cql_connection *connection)
{
    if (connection->is_dirty) {
        leave_list(&connection->group->dirty, connection,
                   offsetof(struct cql_connection, next_dirty));
        connection->is_dirty = false;
    }
    if (connection->is_unread) {
        leave_list(&connection->group->unread, connection,
                   offsetof(struct cql_connection, next_unread));
        connection->is_unread = false;
    }
    cql_wheel_clear(&connection->timer);
    cql_socket_close(&connection->socket);
    connection->state = CQL_CONNECTION_CLOSED;
}

void cql_connection_free(struct cql_connection **connection)
{
    if (connection == NULL || *connection == NULL) {
        return;
    }
    cql_connection_close(*connection);
    cql_frame_reader_deinit(&(*connection)->reader);
    cql_frame_writer_deinit(&(*connection)->writer);
    cql_streams_deinit(&(*connection)->streams);
    free(*connection);
    *connection = NULL;
}

// `why` may hold words already: they stay when `format` is NULL.
static void end(struct cql_connection *connection, enum err err)
{
    char address[CQL_ADDRESS_TEXT_SIZE];
    cql_address_format(&connection->endpoint->address, address);
    why_prefix(&connection->why, "%s", address);
    connection->err = err;
    cql_connection_close(connection);
    connection->user->lost(connection->context, connection);
}

void cql_connection_fail(struct cql_connection *connection, enum err err, const char *format, ...)
{
    if (connection->state == CQL_CONNECTION_CLOSED) {
        return;
    }
    char text[sizeof(connection->why.text)];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)why_set(&connection->why, err, "%s", text);
    end(connection, err);
}

// What the socket said of its own is in `why`.
static void fail_by_socket(struct cql_connection *connection, enum cql_io io)
{
    if (io == CQL_IO_CLOSED) {
        cql_connection_fail(connection, ERR_UNAVAILABLE, "the node closed the connection");
    } else {
        end(connection, connection->why.code);
    }
}

// --- patience -----------------------------------------------------------------------------------

void cql_connection_enter(struct cql_connection *connection, enum cql_connection_state state)
{
    assert(connection->state != CQL_CONNECTION_CLOSED && state != CQL_CONNECTION_CLOSED);
    struct cql_connections *group = connection->group;
    connection->state = state;
    cql_loop_timer(&group->loop, &connection->timer,
                   state == CQL_CONNECTION_READY ? group->heartbeat_us : group->connect_timeout_us);
}

// With every stream in use there is no id for a heartbeat, and none is needed: answers are due.
static void send_heartbeat(struct cql_connection *connection)
{
    int32_t stream = 0;
    connection->heartbeat_sent = true;
    if (cql_connection_begin(connection, CQL_OWNER_SELF, CQL_OPCODE_OPTIONS, 0, &stream) != NULL &&
        cql_connection_end(connection, stream) == ERR_OK) {
        cql_connection_flush(connection);
    }
}

static void beat(struct cql_connection *connection)
{
    struct cql_connections *group = connection->group;
    int64_t silent_us = (group->loop.now_ns - connection->received_ns) / 1000;
    if (silent_us < group->heartbeat_us) { // bytes came in the meantime
        connection->heartbeat_sent = false;
        cql_loop_timer(&group->loop, &connection->timer, group->heartbeat_us - silent_us);
    } else if (connection->heartbeat_sent) {
        cql_connection_fail(connection, ERR_UNAVAILABLE, "no answer to a heartbeat for %lld ms",
                            (long long)(silent_us / 1000));
    } else {
        cql_loop_timer(&group->loop, &connection->timer, group->heartbeat_us / 2);
        send_heartbeat(connection);
    }
}

static const char *waiting_for(enum cql_connection_state state)
{
    switch (state) {
    case CQL_CONNECTION_CONNECTING:
        return "to connect";
    case CQL_CONNECTION_OPTIONS:
        return "for an answer to OPTIONS";
    case CQL_CONNECTION_STARTUP:
        return "for an answer to STARTUP";
    case CQL_CONNECTION_AUTHENTICATING:
        return "to log in";
    case CQL_CONNECTION_REGISTERING:
        return "for an answer to REGISTER";
    case CQL_CONNECTION_READY:
    case CQL_CONNECTION_CLOSED:
        break;
    }
    return "";
}

static void timer_fired(void *context)
{
    struct cql_connection *connection = context;
    if (connection->state == CQL_CONNECTION_READY) {
        beat(connection);
    } else {
        cql_connection_fail(connection, ERR_UNAVAILABLE, "waited %s for %lld ms",
                            waiting_for(connection->state),
                            (long long)(connection->group->connect_timeout_us / 1000));
    }
}

// --- writing ------------------------------------------------------------------------------------

struct cql_writer *cql_connection_begin(struct cql_connection *connection, uint16_t owner,
                                        enum cql_opcode opcode, uint8_t flags, int32_t *out_stream)
{
    assert(connection->state != CQL_CONNECTION_CLOSED);
    int32_t stream = cql_streams_take(&connection->streams, owner);
    if (stream < 0) {
        return NULL;
    }
    *out_stream = stream;
    return cql_frame_begin(&connection->writer, opcode, flags, (int16_t)stream);
}

enum err cql_connection_end(struct cql_connection *connection, int32_t stream)
{
    enum err err = cql_frame_end(&connection->writer);
    if (err != ERR_OK) {
        cql_streams_release(&connection->streams, stream);
        return err;
    }
    if (!connection->is_dirty) {
        connection->is_dirty = true;
        connection->next_dirty = connection->group->dirty;
        connection->group->dirty = connection;
    }
    return ERR_OK;
}

// Blocked: what is written waits until the socket is writable.
static void set_blocked(struct cql_connection *connection, bool blocked)
{
    if (connection->blocked != blocked) {
        connection->blocked = blocked;
        cql_loop_change(&connection->group->loop, connection->socket.fd, &connection->watch,
                        blocked);
    }
}

static void send_ready(struct cql_connection *connection)
{
    struct text ready = cql_frame_ready(&connection->writer);
    enum cql_io io = CQL_IO_DONE;
    while (ready.size > 0 && io == CQL_IO_DONE) {
        size_t size = 0;
        io = cql_socket_write(&connection->socket, ready.data, ready.size, &size, &connection->why);
        cql_frame_sent(&connection->writer, size);
        connection->group->bytes_sent += size;
        ready = cql_frame_ready(&connection->writer);
    }
    if (io == CQL_IO_DONE || io == CQL_IO_AGAIN) {
        set_blocked(connection, io == CQL_IO_AGAIN);
    } else {
        fail_by_socket(connection, io);
    }
}

void cql_connection_flush(struct cql_connection *connection)
{
    if (connection->state == CQL_CONNECTION_CLOSED || connection->blocked) {
        return; // what is written meanwhile shares the next segment
    }
    connection->send_round++;
    cql_frame_seal(&connection->writer);
    send_ready(connection);
}

void cql_connections_flush(struct cql_connections *group)
{
    while (group->dirty != NULL) {
        struct cql_connection *connection = group->dirty;
        group->dirty = connection->next_dirty;
        connection->is_dirty = false;
        cql_connection_flush(connection);
    }
}

// --- reading ------------------------------------------------------------------------------------

static void take_answer(struct cql_connection *connection, const struct cql_envelope *envelope)
{
    uint16_t owner = cql_streams_owner(&connection->streams, envelope->stream);
    if (__builtin_expect(owner == CQL_OWNER_NONE, 0)) {
        cql_connection_fail(connection, ERR_UNAVAILABLE,
                            "the node answered a request that was not made (stream %d)",
                            envelope->stream);
        return;
    }
    cql_streams_release(&connection->streams, envelope->stream);
    if (__builtin_expect(owner != CQL_OWNER_SELF, 1)) {
        connection->user->answer(connection->context, connection, owner, envelope);
    } else if (connection->state != CQL_CONNECTION_READY) {
        cql_handshake_answer(connection, envelope);
    }
}

static void take_event(struct cql_connection *connection, const struct cql_envelope *envelope)
{
    if (envelope->opcode != CQL_OPCODE_EVENT) {
        // Stream -1 is for events, but an ERROR for what the node could not even read has it too.
        cql_connection_fail(connection, ERR_UNAVAILABLE, "the node pushed opcode 0x%02X",
                            envelope->opcode);
    } else if (connection->user->event != NULL) {
        connection->user->event(connection->context, connection, envelope);
    }
}

static void take_envelopes(struct cql_connection *connection)
{
    enum cql_frame_step step = CQL_FRAME_ENVELOPE;
    while (connection->state != CQL_CONNECTION_CLOSED && step == CQL_FRAME_ENVELOPE) {
        struct cql_envelope envelope;
        step = cql_frame_next(&connection->reader, &envelope);
        if (step == CQL_FRAME_ENVELOPE && envelope.stream >= 0) {
            take_answer(connection, &envelope);
        } else if (step == CQL_FRAME_ENVELOPE) {
            take_event(connection, &envelope);
        }
    }
    if (step == CQL_FRAME_BROKEN) {
        cql_connection_fail(connection, ERR_UNAVAILABLE, "the node's bytes make no sense: %s",
                            cql_frame_failure_text(connection->reader.failure));
    }
}

static void remember_unread(struct cql_connection *connection)
{
    if (!connection->is_unread && cql_socket_has_unread(&connection->socket)) {
        connection->is_unread = true;
        connection->next_unread = connection->group->unread;
        connection->group->unread = connection;
    }
}

// Once a turn: a second time would end the life of the answers that the first one brought.
static void receive(struct cql_connection *connection)
{
    if (connection->turn == connection->group->turn || connection->state == CQL_CONNECTION_CLOSED) {
        return;
    }
    connection->turn = connection->group->turn;
    struct cql_frame_room room = cql_frame_room(&connection->reader);
    if (room.size == 0) {
        cql_connection_fail(connection, ERR_NO_MEMORY, "no memory for an answer");
        return;
    }
    size_t size = 0;
    enum cql_io io =
        cql_socket_read(&connection->socket, room.data, room.size, &size, &connection->why);
    if (size > 0) {
        connection->received_ns = connection->group->loop.now_ns;
        connection->group->bytes_received += size;
        cql_frame_received(&connection->reader, size);
        take_envelopes(connection);
    }
    if (connection->state == CQL_CONNECTION_CLOSED) {
        return;
    }
    if (io == CQL_IO_CLOSED || io == CQL_IO_FAILED) {
        fail_by_socket(connection, io);
    } else {
        remember_unread(connection);
    }
}

static void go_on_connecting(struct cql_connection *connection)
{
    enum cql_io io = cql_socket_connect(&connection->socket, &connection->why);
    if (io == CQL_IO_DONE) {
        set_blocked(connection, false);
        cql_handshake_begin(connection);
    } else if (io == CQL_IO_AGAIN) {
        set_blocked(connection, !connection->socket.connected || connection->socket.wants_write);
    } else {
        fail_by_socket(connection, io);
    }
}

static void socket_ready(void *context, bool readable, bool writable)
{
    struct cql_connection *connection = context;
    if (connection->state == CQL_CONNECTION_CLOSED) {
        return;
    }
    if (connection->state == CQL_CONNECTION_CONNECTING) {
        go_on_connecting(connection);
        return;
    }
    if (writable) {
        set_blocked(connection, false);
        cql_connection_flush(connection);
    }
    if (readable && connection->state != CQL_CONNECTION_CLOSED) {
        receive(connection);
    }
}

void cql_connections_wait(struct cql_connections *group, int64_t timeout_ns)
{
    struct cql_connection *unread = group->unread;
    bool any = unread != NULL;
    group->unread = NULL;
    group->turn++;
    while (unread != NULL) {
        struct cql_connection *next = unread->next_unread;
        unread->is_unread = false;
        receive(unread);
        unread = next;
    }
    cql_loop_wait(&group->loop, any ? 0 : timeout_ns);
}

// --- opening ------------------------------------------------------------------------------------

MUST_USE static enum err make_buffers(struct cql_connection *connection)
{
    struct cql_connections *group = connection->group;
    enum err err = cql_frame_reader_init(&connection->reader, connection->version,
                                         group->compression, CQL_FRAME_LIMITS_DEFAULT);
    if (err == ERR_OK) {
        err = cql_frame_writer_init(&connection->writer, connection->version, group->compression,
                                    group->request_size_max + WRITER_ROOM_SIZE);
    }
    return err == ERR_OK ? cql_streams_init(&connection->streams) : err;
}

MUST_USE static enum err start(struct cql_connection *connection, struct why *why)
{
    struct cql_connections *group = connection->group;
    enum err err = make_buffers(connection);
    if (err != ERR_OK) {
        return why_set(why, err, "no memory for a connection");
    }
    err = cql_socket_open(&connection->socket, &connection->endpoint->address, group->tls,
                          connection->endpoint->host, why);
    if (err == ERR_OK) {
        connection->blocked = true; // writable: connected
        err = cql_loop_add(&group->loop, connection->socket.fd, &connection->watch, true, why);
    }
    return err;
}

enum err cql_connection_open(struct cql_connections *group, struct cql_endpoint *endpoint,
                             const struct cql_connection_user *user, void *context,
                             bool with_events, struct cql_connection **out_connection,
                             struct why *why)
{
    struct cql_connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory for a connection");
    }
    connection->group = group;
    connection->endpoint = endpoint;
    connection->user = user;
    connection->context = context;
    connection->with_events = with_events;
    connection->version = endpoint->version;
    connection->socket.fd = -1;
    connection->watch = (struct cql_watch){.ready = socket_ready, .context = connection};
    connection->timer = (struct cql_timer){.fire = timer_fired, .context = connection};
    connection->received_ns = group->loop.now_ns;
    enum err err = start(connection, why);
    if (err != ERR_OK) {
        cql_connection_free(&connection);
        return err;
    }
    cql_connection_enter(connection, CQL_CONNECTION_CONNECTING);
    *out_connection = connection;
    return ERR_OK;
}
