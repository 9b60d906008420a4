#include "cql_mock_client.h"

#include "loopback_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PATIENCE_MS 20000

struct cql_mock_client cql_mock_client_open(const struct cql_mock *mock, uint8_t version)
{
    struct cql_mock_client client = {.fd = loopback_port_connect(cql_mock_port(mock)),
                                     .version = version};
    struct pollfd polled = {.fd = client.fd, .events = POLLOUT};
    assert_true(client.fd >= 0);
    assert_int_equal(poll(&polled, 1, PATIENCE_MS), 1);
    return client;
}

struct cql_mock_client cql_mock_client_log_in(const struct cql_mock *mock, uint8_t version)
{
    struct cql_mock_client client = cql_mock_client_open(mock, version);
    struct cql_mock_bytes body = {0};
    cql_mock_client_send(&client, 0, CQL_MOCK_OPTIONS, NULL);
    struct cql_mock_bytes supported = cql_mock_client_expect(&client, 0, CQL_MOCK_SUPPORTED);
    cql_mock_put_short(&body, 1);
    cql_mock_put_string(&body, "CQL_VERSION");
    cql_mock_put_string(&body, "3.0.0");
    cql_mock_client_send(&client, 0, CQL_MOCK_STARTUP, &body);
    struct cql_mock_bytes ready = cql_mock_client_expect(&client, 0, CQL_MOCK_READY);
    client.is_segmented = version >= 5;
    body.size = 0;
    cql_mock_put_short(&body, 3);
    cql_mock_put_string(&body, "TOPOLOGY_CHANGE");
    cql_mock_put_string(&body, "STATUS_CHANGE");
    cql_mock_put_string(&body, "SCHEMA_CHANGE");
    cql_mock_client_send(&client, 0, CQL_MOCK_REGISTER, &body);
    struct cql_mock_bytes registered = cql_mock_client_expect(&client, 0, CQL_MOCK_READY);
    cql_mock_bytes_free(&body);
    cql_mock_bytes_free(&supported);
    cql_mock_bytes_free(&ready);
    cql_mock_bytes_free(&registered);
    return client;
}

void cql_mock_client_close(struct cql_mock_client *client)
{
    (void)close(client->fd);
    cql_mock_bytes_free(&client->input);
    cql_mock_bytes_free(&client->envelopes);
}

// --- out -----------------------------------------------------------------------------------------

void cql_mock_client_send_raw(struct cql_mock_client *client, const void *data, size_t size)
{
    const unsigned char *at = data;
    while (size > 0) {
        struct pollfd polled = {.fd = client->fd, .events = POLLOUT};
        assert_int_equal(poll(&polled, 1, PATIENCE_MS), 1);
        ssize_t sent = send(client->fd, at, size, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += sent;
        size -= (size_t)sent;
    }
}

void cql_mock_client_send(struct cql_mock_client *client, int16_t stream, unsigned opcode,
                          const struct cql_mock_bytes *body)
{
    static const struct cql_mock_bytes empty;
    struct cql_mock_bytes envelope = {0};
    struct cql_mock_bytes segments = {0};
    body = body != NULL ? body : &empty;
    cql_mock_put_header(&envelope, &(struct cql_mock_header){.version = client->version,
                                                             .stream = stream,
                                                             .opcode = (uint8_t)opcode,
                                                             .length = (uint32_t)body->size});
    cql_mock_put(&envelope, body->data, body->size);
    if (client->is_segmented) {
        cql_mock_put_segments(&segments, envelope.data, envelope.size, CQL_MOCK_NO_FLAW, 0);
    }
    const struct cql_mock_bytes *sent = client->is_segmented ? &segments : &envelope;
    cql_mock_client_send_raw(client, sent->data, sent->size);
    cql_mock_bytes_free(&envelope);
    cql_mock_bytes_free(&segments);
}

static void put_flags(struct cql_mock_bytes *body, uint8_t version, unsigned flags)
{
    if (version >= 5) {
        cql_mock_put_int(body, flags);
    } else {
        cql_mock_put_byte(body, flags);
    }
}

static void put_long_string(struct cql_mock_bytes *body, const char *text)
{
    cql_mock_put_bytes(body, text, strlen(text));
}

void cql_mock_client_query(struct cql_mock_client *client, int16_t stream, const char *text)
{
    struct cql_mock_bytes body = {0};
    put_long_string(&body, text);
    cql_mock_put_short(&body, 1);
    put_flags(&body, client->version, 0);
    cql_mock_client_send(client, stream, CQL_MOCK_QUERY, &body);
    cql_mock_bytes_free(&body);
}

void cql_mock_client_prepare(struct cql_mock_client *client, int16_t stream, const char *text)
{
    struct cql_mock_bytes body = {0};
    put_long_string(&body, text);
    if (client->version >= 5) {
        cql_mock_put_int(&body, 0);
    }
    cql_mock_client_send(client, stream, CQL_MOCK_PREPARE, &body);
    cql_mock_bytes_free(&body);
}

void cql_mock_client_execute(struct cql_mock_client *client, int16_t stream,
                             const struct cql_mock_answer *prepared, const char *const *values,
                             unsigned value_count)
{
    struct cql_mock_bytes body = {0};
    struct cql_mock_reader reader = {.at = prepared->body.data, .left = prepared->body.size};
    (void)cql_mock_take_int(&reader); // the kind
    for (unsigned ids = client->version >= 5 ? 2 : 1; ids > 0; ids--) {
        struct cql_mock_reader id = cql_mock_take_string(&reader);
        cql_mock_put_short_bytes(&body, id.at, id.left);
    }
    cql_mock_put_short(&body, 1);
    put_flags(&body, client->version, value_count > 0 ? 0x03 : 0x02); // without metadata
    if (value_count > 0) {
        cql_mock_put_short(&body, value_count);
    }
    for (unsigned i = 0; i < value_count; i++) {
        put_long_string(&body, values[i]);
    }
    cql_mock_client_send(client, stream, CQL_MOCK_EXECUTE, &body);
    cql_mock_bytes_free(&body);
}

// --- in ------------------------------------------------------------------------------------------

// 0 at the end; *out_errno is set when that is a reset.
static size_t receive(struct cql_mock_client *client, int *out_errno)
{
    unsigned char part[65536];
    struct pollfd polled = {.fd = client->fd, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, PATIENCE_MS), 1);
    ssize_t size = recv(client->fd, part, sizeof part, 0);
    *out_errno = size < 0 ? errno : 0;
    cql_mock_put(&client->input, part, size > 0 ? (size_t)size : 0);
    return size > 0 ? (size_t)size : 0;
}

size_t cql_mock_client_receive_some(struct cql_mock_client *client)
{
    int ignored;
    return receive(client, &ignored);
}

static bool take_segment(struct cql_mock_client *client)
{
    struct cql_mock_segment segment;
    enum cql_mock_segment_step step =
        cql_mock_read_segment(client->input.data, client->input.size, &segment);
    assert_int_not_equal(step, CQL_MOCK_SEGMENT_BAD);
    if (step == CQL_MOCK_SEGMENT) {
        cql_mock_put(&client->envelopes, segment.payload, segment.payload_size);
        cql_mock_bytes_drop(&client->input, segment.size);
    }
    return step == CQL_MOCK_SEGMENT;
}

static bool take_answer(struct cql_mock_bytes *bytes, struct cql_mock_answer *answer)
{
    if (bytes->size < CQL_MOCK_HEADER_SIZE) {
        return false;
    }
    answer->header = cql_mock_read_header(bytes->data);
    size_t size = CQL_MOCK_HEADER_SIZE + (size_t)answer->header.length;
    if (bytes->size < size) {
        return false;
    }
    cql_mock_put(&answer->body, bytes->data + CQL_MOCK_HEADER_SIZE, answer->header.length);
    cql_mock_bytes_drop(bytes, size);
    return true;
}

struct cql_mock_answer cql_mock_client_receive(struct cql_mock_client *client)
{
    struct cql_mock_answer answer = {0};
    struct cql_mock_bytes *bytes = client->is_segmented ? &client->envelopes : &client->input;
    while (!take_answer(bytes, &answer)) {
        if (!client->is_segmented || !take_segment(client)) {
            assert_true(cql_mock_client_receive_some(client) > 0);
        }
    }
    return answer;
}

struct cql_mock_bytes cql_mock_client_expect(struct cql_mock_client *client, int16_t stream,
                                             unsigned opcode)
{
    struct cql_mock_answer answer = cql_mock_client_receive(client);
    assert_int_equal(answer.header.opcode, opcode);
    assert_int_equal(answer.header.stream, stream);
    assert_int_equal(answer.header.version, 0x80 | client->version);
    return answer.body;
}

void cql_mock_client_expect_error(struct cql_mock_client *client, int16_t stream, int32_t code)
{
    struct cql_mock_bytes body = cql_mock_client_expect(client, stream, CQL_MOCK_ERROR);
    struct cql_mock_reader reader = {.at = body.data, .left = body.size};
    assert_int_equal(cql_mock_take_int(&reader), code);
    cql_mock_bytes_free(&body);
}

struct cql_mock_bytes cql_mock_client_expect_end(struct cql_mock_client *client, int *out_errno)
{
    while (receive(client, out_errno) > 0) {
    }
    struct cql_mock_bytes all = client->input;
    client->input = (struct cql_mock_bytes){0};
    return all;
}
