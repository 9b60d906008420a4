// What a test tells the mock and asks of it, but for its connections.
#include "cql_mock_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

// --- what it tells and knows ---------------------------------------------------------------------

struct cql_mock_peer cql_mock_as_peer(const struct cql_mock *mock)
{
    return mock->self;
}

void cql_mock_set_peers(struct cql_mock *mock, const struct cql_mock_peer *peers, unsigned count)
{
    assert(count <= CQL_MOCK_PEERS_MAX);
    cql_mock_lock(mock);
    for (unsigned i = 0; i < count; i++) {
        mock->peers[i] = peers[i];
    }
    mock->peer_count = count;
    cql_mock_unlock(mock);
}

void cql_mock_introduce(struct cql_mock *const *mocks, unsigned count)
{
    struct cql_mock_peer others[CQL_MOCK_PEERS_MAX];
    assert(count <= CQL_MOCK_PEERS_MAX + 1);
    for (unsigned i = 0; i < count; i++) {
        unsigned other_count = 0;
        for (unsigned j = 0; j < count; j++) {
            if (j != i) {
                others[other_count++] = cql_mock_as_peer(mocks[j]);
            }
        }
        cql_mock_set_peers(mocks[i], others, other_count);
    }
}

void cql_mock_set_schema_version(struct cql_mock *mock, uint8_t version)
{
    cql_mock_lock(mock);
    mock->self.schema_version = version;
    cql_mock_unlock(mock);
}

void cql_mock_set_keyspaces(struct cql_mock *mock, const struct cql_mock_keyspace *keyspaces,
                            unsigned count)
{
    assert(count <= CQL_MOCK_KEYSPACES_MAX);
    cql_mock_lock(mock);
    for (unsigned i = 0; i < count; i++) {
        mock->keyspaces[i] = keyspaces[i];
    }
    mock->keyspace_count = count;
    cql_mock_unlock(mock);
}

void cql_mock_teach(struct cql_mock *mock, const struct cql_mock_statement *statement)
{
    cql_mock_lock(mock);
    assert(mock->statement_count < CQL_MOCK_STATEMENTS_MAX);
    mock->statements[mock->statement_count++] = *statement;
    cql_mock_unlock(mock);
}

void cql_mock_drop_prepared(struct cql_mock *mock)
{
    while (mock->prepared != NULL) {
        struct prepared *prepared = mock->prepared;
        mock->prepared = prepared->next;
        free(prepared->text);
        free(prepared);
    }
}

void cql_mock_forget(struct cql_mock *mock, unsigned salt)
{
    cql_mock_lock(mock);
    cql_mock_drop_prepared(mock);
    mock->salt = salt;
    cql_mock_unlock(mock);
}

void cql_mock_add_rule(struct cql_mock *mock, const struct cql_mock_rule *rule)
{
    cql_mock_lock(mock);
    assert(mock->rule_count < CQL_MOCK_RULES_MAX);
    mock->rules[mock->rule_count++] = (struct active_rule){.rule = *rule};
    cql_mock_unlock(mock);
}

void cql_mock_clear_rules(struct cql_mock *mock)
{
    cql_mock_lock(mock);
    mock->rule_count = 0;
    cql_mock_unlock(mock);
}

// --- held answers and events ---------------------------------------------------------------------

void cql_mock_drop_held(struct cql_mock *mock)
{
    while (mock->newest_held != NULL) {
        struct held *held = mock->newest_held;
        mock->newest_held = held->next;
        cql_mock_bytes_free(&held->envelope);
        free(held);
    }
}

static void reverse_held(struct cql_mock *mock)
{
    struct held *reversed = NULL;
    while (mock->newest_held != NULL) {
        struct held *held = mock->newest_held;
        mock->newest_held = held->next;
        held->next = reversed;
        reversed = held;
    }
    mock->newest_held = reversed;
}

// Envelopes of a connection, which leave together when one segment has room for them.
static void release_to(struct cql_mock *mock, struct connection *connection)
{
    struct cql_mock_bytes together = {0};
    for (const struct held *held = mock->newest_held; held != NULL; held = held->next) {
        if (held->connection != connection->number) {
            continue;
        }
        int16_t stream = cql_mock_read_header(held->envelope.data).stream;
        if (stream >= 0) {
            connection->in_flight[stream] = false;
        }
        if (together.size + held->envelope.size > CQL_MOCK_SEGMENT_PAYLOAD_MAX &&
            together.size > 0) {
            cql_mock_connection_put(connection, &together, NULL);
            cql_mock_bytes_drop(&together, together.size);
        }
        cql_mock_put(&together, held->envelope.data, held->envelope.size);
    }
    if (together.size > 0) {
        cql_mock_connection_put(connection, &together, NULL);
    }
    cql_mock_bytes_free(&together);
}

unsigned cql_mock_release(struct cql_mock *mock, bool newest_first)
{
    unsigned count = 0;
    cql_mock_lock(mock);
    if (!newest_first) {
        reverse_held(mock);
    }
    for (const struct held *held = mock->newest_held; held != NULL; held = held->next) {
        count++;
    }
    for (unsigned i = 0; i < mock->connection_count; i++) {
        release_to(mock, mock->connections[i]);
    }
    cql_mock_drop_held(mock);
    cql_mock_settle(mock);
    return count;
}

unsigned cql_mock_push(struct cql_mock *mock, const struct cql_mock_bytes *body, bool is_held)
{
    unsigned count = 0;
    cql_mock_lock(mock);
    for (unsigned i = 0; i < mock->connection_count; i++) {
        struct connection *connection = mock->connections[i];
        struct cql_mock_bytes envelope = {0};
        if (!connection->is_registered) {
            continue;
        }
        cql_mock_put_header(
            &envelope, &(struct cql_mock_header){.version = (uint8_t)(0x80 | connection->version),
                                                 .stream = -1,
                                                 .opcode = CQL_MOCK_EVENT,
                                                 .length = (uint32_t)body->size});
        cql_mock_put(&envelope, body->data, body->size);
        count++;
        if (is_held) {
            cql_mock_hold(mock, connection->number, &envelope);
        } else {
            cql_mock_connection_put(connection, &envelope, NULL);
            cql_mock_bytes_free(&envelope);
        }
    }
    cql_mock_settle(mock);
    return count;
}

unsigned cql_mock_push_node(struct cql_mock *mock, const char *type, const char *change,
                            const char *address, uint16_t port)
{
    struct cql_mock_bytes body = {0};
    cql_mock_put_string(&body, type);
    cql_mock_put_string(&body, change);
    cql_mock_put_address(&body, address, true);
    cql_mock_put_int(&body, port);
    unsigned count = cql_mock_push(mock, &body, false);
    cql_mock_bytes_free(&body);
    return count;
}

unsigned cql_mock_push_schema(struct cql_mock *mock, const char *change, const char *keyspace,
                              const char *table)
{
    struct cql_mock_bytes body = {0};
    cql_mock_put_string(&body, "SCHEMA_CHANGE");
    cql_mock_put_string(&body, change);
    cql_mock_put_string(&body, table != NULL ? "TABLE" : "KEYSPACE");
    cql_mock_put_string(&body, keyspace);
    if (table != NULL) {
        cql_mock_put_string(&body, table);
    }
    unsigned count = cql_mock_push(mock, &body, false);
    cql_mock_bytes_free(&body);
    return count;
}

// --- what the client did -------------------------------------------------------------------------

const struct cql_mock_request *cql_mock_request(struct cql_mock *mock, unsigned index)
{
    cql_mock_lock(mock);
    const struct cql_mock_request *request =
        index < mock->request_count ? mock->requests[index] : NULL;
    cql_mock_unlock(mock);
    return request;
}

unsigned cql_mock_count(struct cql_mock *mock, unsigned opcode)
{
    assert(opcode < 256);
    cql_mock_lock(mock);
    unsigned count = mock->opcode_counts[opcode];
    cql_mock_unlock(mock);
    return count;
}

bool cql_mock_await(struct cql_mock *mock, unsigned opcode, unsigned count, int timeout_ms)
{
    struct timespec deadline;
    int result = 0;
    assert(opcode < 256);
    (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
    int64_t nanoseconds = deadline.tv_nsec + (int64_t)timeout_ms * 1000000;
    deadline.tv_sec += nanoseconds / 1000000000;
    deadline.tv_nsec = nanoseconds % 1000000000;
    cql_mock_lock(mock);
    while (mock->opcode_counts[opcode] < count && result == 0) {
        result = pthread_cond_timedwait(&mock->arrived, &mock->mutex, &deadline);
    }
    bool has_come = mock->opcode_counts[opcode] >= count;
    cql_mock_unlock(mock);
    return has_come;
}

const char *cql_mock_complaint(struct cql_mock *mock)
{
    cql_mock_lock(mock);
    const char *complaint = mock->complaint;
    cql_mock_unlock(mock);
    return complaint;
}
