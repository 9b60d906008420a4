// The smallest client that the mock's own tests need: it blocks, and a failure fails the test.
#ifndef TILL_CQL_MOCK_CLIENT_H
#define TILL_CQL_MOCK_CLIENT_H

#include "cql_mock.h"

struct cql_mock_client {
    int fd;
    uint8_t version;
    bool is_segmented;
    struct cql_mock_bytes input;     // as received
    struct cql_mock_bytes envelopes; // taken out of segments
};

struct cql_mock_answer {
    struct cql_mock_header header;
    struct cql_mock_bytes body;
};

// Connects, and no more.
struct cql_mock_client cql_mock_client_open(const struct cql_mock *mock, uint8_t version);
// With OPTIONS, STARTUP and REGISTER of all events answered.
struct cql_mock_client cql_mock_client_log_in(const struct cql_mock *mock, uint8_t version);
void cql_mock_client_close(struct cql_mock_client *client);

void cql_mock_client_send(struct cql_mock_client *client, int16_t stream, unsigned opcode,
                          const struct cql_mock_bytes *body); // NULL: an empty one
void cql_mock_client_send_raw(struct cql_mock_client *client, const void *data, size_t size);
void cql_mock_client_query(struct cql_mock_client *client, int16_t stream, const char *text);
void cql_mock_client_prepare(struct cql_mock_client *client, int16_t stream, const char *text);
// With these texts as values; the ids are those of PREPARED.
void cql_mock_client_execute(struct cql_mock_client *client, int16_t stream,
                             const struct cql_mock_answer *prepared, const char *const *values,
                             unsigned value_count);

// The next answer; segments are taken apart. The caller frees its body.
struct cql_mock_answer cql_mock_client_receive(struct cql_mock_client *client);
// That the next answer is of this kind and to that stream; its body is the caller's.
struct cql_mock_bytes cql_mock_client_expect(struct cql_mock_client *client, int16_t stream,
                                             unsigned opcode);
// That the next answer is this ERROR.
void cql_mock_client_expect_error(struct cql_mock_client *client, int16_t stream, int32_t code);
// That the other side ends the connection: all bytes until then, for the caller to free.
struct cql_mock_bytes cql_mock_client_expect_end(struct cql_mock_client *client, int *out_errno);
// What one receive gives.
size_t cql_mock_client_receive_some(struct cql_mock_client *client);

#endif
