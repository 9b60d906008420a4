// One connection of the mock: bytes in, cut into envelopes by a strict reading of spec sections 2 and 4.1.1,
// and bytes out, at the pace that was asked for.
#include "cql_mock_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVED_PER_TURN_MAX (1u << 20)

// --- life ----------------------------------------------------------------------------------------

struct connection *cql_mock_connection_open(struct cql_mock *mock, int fd, unsigned number)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        abort();
    }
    connection->mock = mock;
    connection->fd = fd;
    connection->number = number;
    if (mock->tls != NULL) {
        connection->tls = cql_mock_tls_accept(mock->tls, fd);
    }
    return connection;
}

static void drop_first_chunk(struct connection *connection)
{
    struct chunk *chunk = connection->first;
    connection->first = chunk->next;
    if (connection->first == NULL) {
        connection->last = NULL;
    }
    cql_mock_bytes_free(&chunk->bytes);
    free(chunk);
}

// What was received and not read would make the system send a reset, so it is read.
static void drain(int fd)
{
    char sink[4096];
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) > 0) {
    }
}

void cql_mock_connection_close(struct connection **connection_pointer, bool by_reset)
{
    struct connection *connection = *connection_pointer;
    *connection_pointer = NULL;
    if (connection->tls != NULL) {
        cql_mock_tls_end(connection->tls, !by_reset);
    }
    if (by_reset) {
        struct linger none = {.l_onoff = 1};
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    } else {
        drain(connection->fd);
    }
    (void)close(connection->fd);
    while (connection->first != NULL) {
        drop_first_chunk(connection);
    }
    cql_mock_bytes_free(&connection->input);
    cql_mock_bytes_free(&connection->envelopes);
    free(connection);
}

void cql_mock_complain(struct connection *connection, const char *format, ...)
{
    char text[200];
    va_list arguments;
    struct cql_mock *mock = connection->mock;
    int size = snprintf(text, sizeof text, "connection %u: ", connection->number);
    assert(size > 0 && (size_t)size < sizeof text);
    va_start(arguments, format);
    (void)vsnprintf(text + size, sizeof text - (size_t)size, format, arguments);
    va_end(arguments);
    if (mock->complaint == NULL) {
        mock->complaint = strdup(text);
    }
    connection->is_over = true;
}

// --- in ------------------------------------------------------------------------------------------

// Takes the first envelope off the bytes; false when it is not whole, or nothing more is to be taken.
static bool take_envelope(struct connection *connection, struct cql_mock_bytes *bytes)
{
    if (connection->is_over || bytes->size < CQL_MOCK_HEADER_SIZE) {
        return false;
    }
    struct cql_mock_header header = cql_mock_read_header(bytes->data);
    if (header.length > CQL_MOCK_BODY_MAX) {
        cql_mock_complain(connection, "an envelope of %u bytes", header.length);
        return false;
    }
    size_t size = CQL_MOCK_HEADER_SIZE + (size_t)header.length;
    if (bytes->size < size) {
        return false;
    }
    cql_mock_take_request(connection, &header, bytes->data + CQL_MOCK_HEADER_SIZE);
    cql_mock_bytes_drop(bytes, size);
    return true;
}

// A slice belongs to one envelope; whatever is not a slice is whole.
static void take_payload(struct connection *connection, const struct cql_mock_segment *segment)
{
    struct cql_mock_bytes *envelopes = &connection->envelopes;
    if (segment->is_self_contained && envelopes->size > 0) {
        cql_mock_complain(connection, "a whole segment between slices");
        return;
    }
    cql_mock_put(envelopes, segment->payload, segment->payload_size);
    while (take_envelope(connection, envelopes) && segment->is_self_contained) {
    }
    if (!connection->is_over && segment->is_self_contained && envelopes->size > 0) {
        cql_mock_complain(connection, "a whole segment with a part of an envelope");
    }
}

static bool take_segment(struct connection *connection)
{
    struct cql_mock_segment segment;
    switch (cql_mock_read_segment(connection->input.data, connection->input.size, &segment)) {
    case CQL_MOCK_SEGMENT:
        take_payload(connection, &segment);
        cql_mock_bytes_drop(&connection->input, segment.size);
        return true;
    case CQL_MOCK_SEGMENT_MORE:
        return false;
    case CQL_MOCK_SEGMENT_BAD:
        break;
    }
    cql_mock_complain(connection, "a damaged segment");
    return false;
}

static void take_all(struct connection *connection)
{
    bool has_taken = true;
    while (has_taken && !connection->is_over) {
        has_taken = connection->is_segmented ? take_segment(connection)
                                             : take_envelope(connection, &connection->input);
    }
}

void cql_mock_connection_receive(struct connection *connection)
{
    unsigned char part[16384];
    size_t received = 0;
    while (!connection->is_over && received < RECEIVED_PER_TURN_MAX) {
        ssize_t size = connection->tls != NULL
                           ? cql_mock_tls_read(connection->tls, part, sizeof part)
                           : recv(connection->fd, part, sizeof part, 0);
        if (size <= 0) {
            connection->is_over = size == 0 || errno != EAGAIN;
            return;
        }
        cql_mock_put(&connection->input, part, (size_t)size);
        received += (size_t)size;
        take_all(connection);
    }
}

// --- out -----------------------------------------------------------------------------------------

// What has no pace of its own leaves together with what goes before it.
static struct chunk *chunk_for(struct connection *connection, unsigned slice_size)
{
    struct chunk *last = connection->last;
    if (last != NULL && last->slice_size == 0 && slice_size == 0 && last->end == CHUNK_GOES_ON) {
        return last;
    }
    struct chunk *chunk = calloc(1, sizeof *chunk);
    if (chunk == NULL) {
        abort();
    }
    *(last != NULL ? &last->next : &connection->first) = chunk;
    connection->last = chunk;
    return chunk;
}

void cql_mock_connection_put_raw(struct connection *connection, const void *data, size_t size,
                                 enum chunk_end end)
{
    struct chunk *chunk = chunk_for(connection, 0);
    cql_mock_put(&chunk->bytes, data, size);
    chunk->end = end;
}

static void damage_envelope(struct cql_mock_bytes *envelope, enum cql_mock_damage damage,
                            int32_t value)
{
    struct cql_mock_header header = cql_mock_read_header(envelope->data);
    struct cql_mock_bytes damaged = {0};
    switch (damage) {
    case CQL_MOCK_WRONG_VERSION:
        header.version = (uint8_t)value;
        break;
    case CQL_MOCK_WRONG_FLAGS:
        header.flags = (uint8_t)value;
        break;
    case CQL_MOCK_WRONG_STREAM:
        header.stream = (int16_t)value;
        break;
    case CQL_MOCK_WRONG_OPCODE:
        header.opcode = (uint8_t)value;
        break;
    case CQL_MOCK_WRONG_LENGTH:
        header.length += (uint32_t)value;
        break;
    case CQL_MOCK_WHOLE:
    case CQL_MOCK_WRONG_HEADER_CRC:
    case CQL_MOCK_WRONG_PAYLOAD_CRC:
    case CQL_MOCK_CUT:
        break;
    }
    cql_mock_put_header(&damaged, &header);
    memcpy(envelope->data, damaged.data, CQL_MOCK_HEADER_SIZE);
    cql_mock_bytes_free(&damaged);
}

static void put_segments(struct cql_mock_bytes *bytes, const struct cql_mock_bytes *envelopes,
                         const struct cql_mock_rule *rule)
{
    enum cql_mock_flaw flaw = rule->damage == CQL_MOCK_WRONG_HEADER_CRC ? CQL_MOCK_FLAW_HEADER_CRC
                              : rule->damage == CQL_MOCK_WRONG_PAYLOAD_CRC
                                  ? CQL_MOCK_FLAW_PAYLOAD_CRC
                                  : CQL_MOCK_NO_FLAW;
    cql_mock_put_segments(bytes, envelopes->data, envelopes->size, flaw,
                          (unsigned)rule->damage_value);
}

void cql_mock_connection_put(struct connection *connection, const struct cql_mock_bytes *envelopes,
                             const struct cql_mock_rule *rule)
{
    static const struct cql_mock_rule none;
    struct cql_mock_bytes damaged = {0};
    rule = rule != NULL ? rule : &none;
    cql_mock_put(&damaged, envelopes->data, envelopes->size);
    damage_envelope(&damaged, rule->damage, rule->damage_value);

    struct chunk *chunk = chunk_for(connection, rule->slice_size);
    size_t begin = chunk->bytes.size;
    if (connection->is_segmented) {
        put_segments(&chunk->bytes, &damaged, rule);
    } else {
        cql_mock_put(&chunk->bytes, damaged.data, damaged.size);
    }
    if (rule->damage == CQL_MOCK_CUT) {
        size_t size = chunk->bytes.size - begin;
        size_t kept = (size_t)rule->damage_value;
        chunk->bytes.size = begin + (kept < size ? kept : size);
        chunk->end = CHUNK_CLOSES;
    }
    chunk->slice_size = rule->slice_size;
    chunk->slice_pause_ms = rule->slice_pause_ms;
    cql_mock_bytes_free(&damaged);
}

// False when the socket takes no more for now.
static bool send_slice(struct connection *connection, struct chunk *chunk, int64_t now_ms)
{
    size_t size = chunk->bytes.size;
    if (chunk->slice_size != 0 && chunk->slice_size < size) {
        size = chunk->slice_size;
    }
    ssize_t sent = connection->tls != NULL
                       ? cql_mock_tls_write(connection->tls, chunk->bytes.data, size)
                       : send(connection->fd, chunk->bytes.data, size, MSG_NOSIGNAL);
    if (sent < 0) {
        connection->is_over = errno != EAGAIN;
        return false;
    }
    cql_mock_bytes_drop(&chunk->bytes, (size_t)sent);
    chunk->due_ms = now_ms + chunk->slice_pause_ms;
    return true;
}

void cql_mock_connection_send(struct connection *connection, int64_t now_ms)
{
    while (!connection->is_over && connection->first != NULL &&
           connection->first->due_ms <= now_ms) {
        struct chunk *chunk = connection->first;
        if (chunk->bytes.size > 0 && !send_slice(connection, chunk, now_ms)) {
            return;
        }
        if (chunk->bytes.size == 0) {
            connection->is_over = chunk->end != CHUNK_GOES_ON;
            connection->is_reset = chunk->end == CHUNK_RESETS;
            drop_first_chunk(connection);
        }
    }
}
