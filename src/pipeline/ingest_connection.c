// The buffer of a connection:
//
//     0        in_start            + taken_size         in_end            in_cap
//     | durable   | taken by the batch  | whole frames, start of one | room |
//
// It is CONNECTION_BUFFER_SIZE large and grows, by doubling as bytes come, only for a frame that
// has no room in it: a head that merely promises many bytes costs nothing.
#include "ingest_connection.h"

#include "ingest.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void enter(struct connection *connection, enum connection_state state)
{
    static const bool legal[][5] = {
        [CONNECTION_FREE] = {[CONNECTION_HELLO] = true},
        [CONNECTION_HELLO] = {[CONNECTION_OPEN] = true, [CONNECTION_LEAVING] = true},
        [CONNECTION_OPEN] = {[CONNECTION_ENDING] = true},
        [CONNECTION_ENDING] = {[CONNECTION_LEAVING] = true},
        [CONNECTION_LEAVING] = {false}, // connection_end alone makes it FREE
    };
    assert(legal[connection->state][state]);
    connection->state = state;
}

void connection_begin(struct connection *connection, int fd, int64_t deadline_ns)
{
    assert(connection->state == CONNECTION_FREE);
    *connection = (struct connection){.fd = fd, .deadline_ns = deadline_ns};
    enter(connection, CONNECTION_HELLO);
}

void connection_end(struct connection *connection)
{
    if (connection->state != CONNECTION_FREE) {
        (void)close(connection->fd); // what matters was acknowledged, or will be sent again
        free(connection->in);
        connection->fd = -1;
        connection->in = NULL;
        connection->state = CONNECTION_FREE;
    }
}

// Nothing more is read from it.
static void stop_reading(struct connection *connection)
{
    if (connection->state == CONNECTION_HELLO) {
        enter(connection, CONNECTION_LEAVING);
    } else if (connection->state == CONNECTION_OPEN) {
        enter(connection, CONNECTION_ENDING);
    }
}

void connection_refuse(struct connection *connection, enum wire_refusal refusal, const char *format,
                       ...)
{
    if (connection->refusal == WIRE_NOT_REFUSED) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(connection->refusal_text, sizeof(connection->refusal_text), format, args);
        va_end(args);
        connection->refusal = refusal;
        connection->refusal_due = true;
        connection->hello_due = connection->hello_due || connection->state == CONNECTION_HELLO;
    }
    stop_reading(connection);
}

// --- input ---------------------------------------------------------------------------------------

enum head_status { HEAD_MISSING, HEAD_GOOD, HEAD_BAD };

// The head of the frame at `at`; in_start <= at <= in_end.
static enum head_status read_head(const struct connection *connection, size_t at,
                                  size_t *out_body_size, unsigned *out_topic)
{
    if (connection->in_end - at < WIRE_FRAME_HEAD_SIZE) {
        return HEAD_MISSING;
    }
    *out_body_size = wire_get_u32(connection->in + at);
    *out_topic = connection->in[at + 4];
    bool good = *out_body_size <= INGEST_BODY_SIZE_MAX && *out_topic < WIRE_TOPIC_COUNT;
    return good ? HEAD_GOOD : HEAD_BAD;
}

// Whether what is not taken yet begins with a whole frame, or with something that is to be refused.
static bool has_work(const struct connection *connection)
{
    size_t at = connection->in_start + connection->taken_size;
    size_t body_size = 0;
    unsigned topic = 0;
    enum head_status status = read_head(connection, at, &body_size, &topic);
    return status == HEAD_BAD ||
           (status == HEAD_GOOD && connection->in_end - at - WIRE_FRAME_HEAD_SIZE >= body_size);
}

// Whether bytes can be read, after moving what is there or with a larger buffer. Moving little by
// little would cost more than waiting until the work is done.
static bool may_have_room(const struct connection *connection)
{
    return connection->in_end < connection->in_cap || connection->in_cap == 0 ||
           connection->in_start >= connection->in_cap / 2 || !has_work(connection);
}

bool connection_wants_input(const struct connection *connection)
{
    return connection->state == CONNECTION_HELLO ||
           (connection->state == CONNECTION_OPEN && connection->taken_count == 0 &&
            may_have_room(connection));
}

static bool resize(struct connection *connection, size_t cap)
{
    unsigned char *in = realloc(connection->in, cap);
    if (in == NULL) {
        connection_refuse(connection, WIRE_REFUSED_NO_MEMORY,
                          "the owner of the directory has no memory for a buffer of %zu bytes",
                          cap);
        return false;
    }
    connection->in = in;
    connection->in_cap = cap;
    return true;
}

// Makes room behind in_end, for a connection that wants input. false when memory is refused.
static bool make_room(struct connection *connection)
{
    assert(connection->taken_count == 0);
    if (connection->in_cap == 0) {
        return resize(connection, CONNECTION_BUFFER_SIZE);
    }
    if (connection->in_end < connection->in_cap) {
        return true;
    }
    if (connection->in_start > 0) {
        connection->in_end -= connection->in_start;
        memmove(connection->in, connection->in + connection->in_start, connection->in_end);
        connection->in_start = 0;
        return true;
    }
    const size_t frame_size_max = WIRE_FRAME_HEAD_SIZE + INGEST_BODY_SIZE_MAX;
    size_t cap = connection->in_cap * 2 < frame_size_max ? connection->in_cap * 2 : frame_size_max;
    assert(cap > connection->in_cap); // a frame of the largest size would be work
    return resize(connection, cap);
}

// Gives a large buffer back once it is empty.
static void shrink_when_empty(struct connection *connection)
{
    if (connection->in_start != connection->in_end) {
        return;
    }
    connection->in_start = 0;
    connection->in_end = 0;
    if (connection->in_cap > CONNECTION_BUFFER_SIZE) {
        free(connection->in);
        connection->in = NULL;
        connection->in_cap = 0;
    }
}

static void take_hello(struct connection *connection)
{
    if (connection->in_end - connection->in_start < WIRE_HELLO_SIZE) {
        return;
    }
    uint16_t version = 0;
    if (!wire_get_hello(connection->in + connection->in_start, &version)) {
        connection_refuse(connection, WIRE_REFUSED_PROTOCOL, "this is no hello of till");
        return;
    }
    if (version != INGEST_VERSION) {
        connection_refuse(connection, WIRE_REFUSED_VERSION,
                          "the owner of the directory speaks version %u of the protocol, not %u",
                          INGEST_VERSION, version);
        return;
    }
    connection->in_start += WIRE_HELLO_SIZE;
    connection->hello_due = true;
    connection->ack_due = true;
    enter(connection, CONNECTION_OPEN);
}

// One recv. false when nothing more is to be had now.
static bool receive(struct connection *connection)
{
    ssize_t size = recv(connection->fd, connection->in + connection->in_end,
                        connection->in_cap - connection->in_end, MSG_DONTWAIT);
    if (size > 0) {
        connection->in_end += (size_t)size;
        return true;
    }
    if (size < 0 && errno == EINTR) {
        return true;
    }
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return false;
    }
    stop_reading(connection); // its end, orderly or not: what it sent before was read by now
    return false;
}

void connection_read(struct connection *connection)
{
    bool more = true;
    while (more && connection_wants_input(connection) && make_room(connection)) {
        more = receive(connection);
        if (connection->state == CONNECTION_HELLO) {
            take_hello(connection);
        }
    }
}

static void refuse_head(struct connection *connection, size_t body_size, unsigned topic)
{
    connection->in_end =
        connection->in_start + connection->taken_size; // what follows means nothing
    if (body_size > INGEST_BODY_SIZE_MAX) {
        connection_refuse(connection, WIRE_REFUSED_TOO_LARGE,
                          "a message of %zu bytes; the limit is %u", body_size,
                          INGEST_BODY_SIZE_MAX);
    } else {
        connection_refuse(connection, WIRE_REFUSED_PROTOCOL,
                          "a frame for topic number %u, which is none", topic);
    }
}

bool connection_take_frame(struct connection *connection, struct connection_frame *out_frame)
{
    bool may_hold_frames =
        connection->state == CONNECTION_OPEN || connection->state == CONNECTION_ENDING;
    if (!may_hold_frames || !has_work(connection)) {
        return false;
    }
    size_t at = connection->in_start + connection->taken_size;
    size_t body_size = 0;
    unsigned topic = 0;
    if (read_head(connection, at, &body_size, &topic) == HEAD_BAD) {
        refuse_head(connection, body_size, topic);
        return false;
    }
    *out_frame = (struct connection_frame){
        .topic = topic == 0 ? BUS_ORDERS : BUS_PAYMENTS,
        .body = {(const char *)connection->in + at + WIRE_FRAME_HEAD_SIZE, body_size},
    };
    connection->taken_size += WIRE_FRAME_HEAD_SIZE + body_size;
    connection->taken_count++;
    return true;
}

void connection_settle(struct connection *connection, uint64_t count)
{
    assert(count <= connection->taken_count);
    if (count < connection->taken_count) {
        assert(connection->refusal != WIRE_NOT_REFUSED);
        connection->in_end = connection->in_start + connection->taken_size; // no frame may follow
    }
    connection->durable += count;
    connection->ack_due = connection->ack_due || count > 0;
    connection->in_start += connection->taken_size;
    connection->taken_size = 0;
    connection->taken_count = 0;
    shrink_when_empty(connection);
}

void connection_drop_input(struct connection *connection)
{
    connection->in_start = 0;
    connection->in_end = 0;
    connection->taken_size = 0;
    connection->taken_count = 0;
}

// --- output --------------------------------------------------------------------------------------

static bool due(const struct connection *connection)
{
    bool refusal_due = connection->refusal_due && connection->state == CONNECTION_LEAVING;
    return connection->hello_due || connection->ack_due || refusal_due;
}

bool connection_wants_output(const struct connection *connection)
{
    return !connection->mute && (connection->out_start < connection->out_end || due(connection));
}

// Puts what is due into the empty buffer. Whatever became durable meanwhile is said at once.
static void compose(struct connection *connection)
{
    size_t size = 0;
    if (connection->hello_due) {
        wire_put_hello(connection->out);
        size += WIRE_HELLO_SIZE;
    }
    if (connection->refusal_due && connection->state == CONNECTION_LEAVING) {
        size += wire_put_refusal(connection->out + size, connection->durable, connection->refusal,
                                 connection->refusal_text);
        connection->refusal_due = false;
    } else if (connection->ack_due) {
        wire_put_ack(connection->out + size, connection->durable);
        size += WIRE_ACK_SIZE;
    }
    connection->hello_due = false;
    connection->ack_due = false;
    connection->out_start = 0;
    connection->out_end = size;
}

void connection_write(struct connection *connection)
{
    while (connection_wants_output(connection)) {
        if (connection->out_start == connection->out_end) {
            compose(connection);
        }
        ssize_t size =
            send(connection->fd, connection->out + connection->out_start,
                 connection->out_end - connection->out_start, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size >= 0) {
            connection->out_start += (size_t)size;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            connection->mute = true; // frames that it sent before it went are still read
        }
    }
}

// --- ending --------------------------------------------------------------------------------------

void connection_advance(struct connection *connection, int64_t now_ns)
{
    if (connection->state == CONNECTION_HELLO && now_ns >= connection->deadline_ns) {
        connection_refuse(connection, WIRE_REFUSED_HELLO_TIMEOUT, "no hello came in time");
        connection->deadline_ns = now_ns + CONNECTION_LINGER_NS;
    }
    if (connection->state == CONNECTION_ENDING && connection->taken_count == 0 &&
        !has_work(connection)) {
        enter(connection, CONNECTION_LEAVING);
        connection->deadline_ns = now_ns + CONNECTION_LINGER_NS;
    }
    connection_write(connection);
    if (connection->state == CONNECTION_LEAVING &&
        (!connection_wants_output(connection) || now_ns >= connection->deadline_ns)) {
        connection_end(connection);
    }
}
