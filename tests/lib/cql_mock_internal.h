// What the parts of the mock share. All of it is used with the mock's mutex held.
#ifndef TILL_CQL_MOCK_INTERNAL_H
#define TILL_CQL_MOCK_INTERNAL_H

#include "cql_mock.h"

#include <pthread.h>
#include <sys/types.h>

#define CQL_MOCK_ID_SIZE         16u
#define CQL_MOCK_STREAMS         32768u
#define CQL_MOCK_CONNECTIONS_MAX 256u
#define CQL_MOCK_BODY_MAX        (256u << 20)

enum chunk_end { CHUNK_GOES_ON, CHUNK_CLOSES, CHUNK_RESETS };

// Bytes that wait to be sent, in slices.
struct chunk {
    struct cql_mock_bytes bytes;
    unsigned slice_size;
    unsigned slice_pause_ms;
    int64_t due_ms;
    enum chunk_end end;
    struct chunk *next;
};

struct connection {
    struct cql_mock *mock;
    int fd;
    struct ssl_st *tls; // NULL: none
    unsigned number;
    struct cql_mock_bytes input;     // as received
    struct cql_mock_bytes envelopes; // taken out of segments
    struct chunk *first;
    struct chunk *last;
    uint8_t version; // of the requests; 0: none came
    bool is_segmented;
    bool is_started; // STARTUP was answered well
    bool is_let_in;  // and so was the login
    bool is_registered;
    bool is_over;  // to be closed
    bool is_reset; // that way
    bool in_flight[CQL_MOCK_STREAMS];
};

struct held {
    unsigned connection;
    struct cql_mock_bytes envelope;
    struct held *next; // older
};

struct prepared {
    unsigned char id[CQL_MOCK_ID_SIZE];
    char *text;
    struct prepared *next;
};

struct active_rule {
    struct cql_mock_rule rule;
    unsigned fit_count;
};

struct cql_mock {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    int wake_fd;
    bool is_stopping;
    uint64_t turn;

    struct cql_mock_options options; // without zeroes
    struct ssl_ctx_st *tls;
    struct cql_mock_peer self;
    char host[16];
    char address[32];
    int reserve_fd; // keeps the port
    int listen_fd;  // -1: refuses
    bool is_stalled;

    struct cql_mock_peer peers[CQL_MOCK_PEERS_MAX];
    unsigned peer_count;
    struct cql_mock_keyspace keyspaces[CQL_MOCK_KEYSPACES_MAX];
    unsigned keyspace_count;
    struct cql_mock_statement statements[CQL_MOCK_STATEMENTS_MAX];
    unsigned statement_count;
    struct active_rule rules[CQL_MOCK_RULES_MAX];
    unsigned rule_count;
    struct prepared *prepared;
    unsigned salt;

    struct connection *connections[CQL_MOCK_CONNECTIONS_MAX];
    unsigned connection_count;
    unsigned accepted_count;
    struct held *newest_held;
    struct cql_mock_request **requests;
    unsigned request_count;
    unsigned opcode_counts[256];
    char *complaint;
};

struct cql_mock_call {
    struct connection *connection;
    const struct cql_mock_request *request;
    const struct cql_mock_rule *rule;
};

// cql_mock.c: around what a call of the test does. Settle waits until the thread has made a whole turn, and
// unlocks.
void cql_mock_lock(struct cql_mock *mock);
void cql_mock_unlock(struct cql_mock *mock);
void cql_mock_settle(struct cql_mock *mock);

// cql_mock_control.c
void cql_mock_drop_prepared(struct cql_mock *mock);
void cql_mock_drop_held(struct cql_mock *mock);

// cql_mock_connection.c: bytes in and out.
struct connection *cql_mock_connection_open(struct cql_mock *mock, int fd, unsigned number);
void cql_mock_connection_close(struct connection **connection, bool by_reset);
void cql_mock_connection_receive(struct connection *connection);
void cql_mock_connection_send(struct connection *connection, int64_t now_ms); // what is due
// Envelopes as they are to be on this connection. `rule` may say how.
void cql_mock_connection_put(struct connection *connection, const struct cql_mock_bytes *envelopes,
                             const struct cql_mock_rule *rule);
void cql_mock_connection_put_raw(struct connection *connection, const void *data, size_t size,
                                 enum chunk_end end);
void cql_mock_complain(struct connection *connection, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// cql_mock_requests.c: what happens to a request whose envelope is whole.
void cql_mock_take_request(struct connection *connection, const struct cql_mock_header *header,
                           const unsigned char *body);

// Takes the envelope.
void cql_mock_hold(struct cql_mock *mock, unsigned connection,
                   const struct cql_mock_bytes *envelope);
void cql_mock_free_requests(struct cql_mock *mock);

// cql_mock_usual.c: the answer of a healthy node. Returns its opcode.
unsigned cql_mock_usual_answer(struct cql_mock_call *call, struct cql_mock_bytes *out_body);
// The text of a statement that a request is about, for the caller to free; NULL: none.
char *cql_mock_text_of(struct cql_mock *mock, const struct cql_mock_header *header,
                       const unsigned char *body);

// cql_mock_bodies.c
void cql_mock_put_error(struct cql_mock_bytes *body, unsigned version,
                        const struct cql_mock_error *error);
void cql_mock_put_rows(struct cql_mock_bytes *body, const struct cql_mock_statement *statement,
                       bool without_columns, const unsigned char *new_id);
void cql_mock_put_prepared(struct cql_mock_bytes *body, unsigned version,
                           const unsigned char id[CQL_MOCK_ID_SIZE],
                           const unsigned char result_id[CQL_MOCK_ID_SIZE],
                           const struct cql_mock_statement *statement);
void cql_mock_put_options(struct cql_mock_bytes *body, unsigned version_max); // SUPPORTED

// cql_mock_system.c: an answer to a read of a system table; false: it is none.
bool cql_mock_put_system(struct cql_mock_bytes *body, const struct cql_mock *mock,
                         const char *text);

// cql_mock_tls.c
struct ssl_ctx_st *cql_mock_tls_open(const struct cql_mock_options *options);
void cql_mock_tls_close(struct ssl_ctx_st *tls);
struct ssl_st *cql_mock_tls_accept(struct ssl_ctx_st *tls, int fd);
void cql_mock_tls_end(struct ssl_st *link, bool is_orderly);
// As read and write: -1 with EAGAIN when it must wait.
ssize_t cql_mock_tls_read(struct ssl_st *link, void *data, size_t size);
ssize_t cql_mock_tls_write(struct ssl_st *link, const void *data, size_t size);

#endif
