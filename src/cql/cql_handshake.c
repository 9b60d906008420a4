// From a connected socket to a connection that takes requests (spec v5 section 4.1, and 2 for what is
// bare and what lies in segments): OPTIONS, STARTUP, SASL PLAIN when asked for, REGISTER when events are
// wanted. A version that is refused is noted in the endpoint, for the next
// attempt; compression that the node does not offer is left out.
#include "cql_connection.h"

#include "cql_request.h"
#include "cql_response.h"

#include <assert.h>

#define DRIVER_NAME    "till cql"
#define DRIVER_VERSION "1"
#define CHALLENGES_MAX 4u // PLAIN needs one round; a server that asks for ever is refused

// Nothing of a handshake is large, so only memory may be missing.
static void send_it(struct cql_connection *connection, int32_t stream)
{
    if (cql_connection_end(connection, stream) == ERR_OK) {
        cql_connection_flush(connection);
    } else {
        cql_connection_fail(connection, ERR_NO_MEMORY, "no room for a request of the handshake");
    }
}

static struct cql_writer *begin(struct cql_connection *connection, enum cql_opcode opcode,
                                int32_t *out_stream)
{
    struct cql_writer *writer =
        cql_connection_begin(connection, CQL_OWNER_SELF, opcode, 0, out_stream);
    assert(writer != NULL); // a handshake has one request at a time
    return writer;
}

void cql_handshake_begin(struct cql_connection *connection)
{
    int32_t stream = 0;
    cql_connection_enter(connection, CQL_CONNECTION_OPTIONS);
    (void)begin(connection, CQL_OPCODE_OPTIONS, &stream);
    send_it(connection, stream);
}

static void send_startup(struct cql_connection *connection)
{
    int32_t stream = 0;
    cql_connection_enter(connection, CQL_CONNECTION_STARTUP);
    struct cql_writer *writer = begin(connection, CQL_OPCODE_STARTUP, &stream);
    cql_write_startup(writer, &(struct cql_startup){
                                  .lz4 = connection->compression == CQL_COMPRESSION_LZ4,
                                  .throw_on_overload = true,
                                  .driver_name = TEXT(DRIVER_NAME),
                                  .driver_version = TEXT(DRIVER_VERSION),
                                  .application_name = text_of(connection->group->application),
                              });
    send_it(connection, stream);
}

static void send_login(struct cql_connection *connection)
{
    if (connection->group->user == NULL) {
        cql_connection_fail(connection, ERR_PERMISSION, "the node asks for a user and a password");
        return;
    }
    if (connection->challenges++ == CHALLENGES_MAX) {
        cql_connection_fail(connection, ERR_PERMISSION, "the node wants more than a password");
        return;
    }
    int32_t stream = 0;
    cql_connection_enter(connection, CQL_CONNECTION_AUTHENTICATING);
    struct cql_writer *writer = begin(connection, CQL_OPCODE_AUTH_RESPONSE, &stream);
    cql_write_auth_plain(writer, text_of(connection->group->user),
                         text_of(connection->group->password));
    send_it(connection, stream);
}

static void be_ready(struct cql_connection *connection)
{
    cql_connection_enter(connection, CQL_CONNECTION_READY);
    connection->was_ready = true;
    connection->ready_ns = connection->group->loop.now_ns;
    connection->user->ready(connection->context, connection);
}

static void register_or_be_ready(struct cql_connection *connection)
{
    if (!connection->with_events) {
        be_ready(connection);
        return;
    }
    int32_t stream = 0;
    cql_connection_enter(connection, CQL_CONNECTION_REGISTERING);
    struct cql_writer *writer = begin(connection, CQL_OPCODE_REGISTER, &stream);
    cql_write_register(writer, CQL_REGISTER_TOPOLOGY | CQL_REGISTER_STATUS | CQL_REGISTER_SCHEMA);
    send_it(connection, stream);
}

// --- answers ------------------------------------------------------------------------------------

static bool offers_lz4(struct cql_map supported)
{
    struct text key;
    struct cql_string_list values;
    while (cql_string_multimap_next(&supported, &key, &values)) {
        struct text value;
        while (text_equal(key, TEXT("COMPRESSION")) && cql_string_list_next(&values, &value)) {
            if (text_equal(value, TEXT("lz4"))) {
                return true;
            }
        }
    }
    return false;
}

static void supported(struct cql_connection *connection, const struct cql_response *response)
{
    bool lz4 =
        connection->group->compression == CQL_COMPRESSION_LZ4 && offers_lz4(response->supported);
    connection->compression = lz4 ? CQL_COMPRESSION_LZ4 : CQL_COMPRESSION_NONE;
    cql_frame_reader_agree(&connection->reader, connection->compression);
    send_startup(connection);
}

static void refused(struct cql_connection *connection, const struct cql_server_error *error)
{
    struct cql_endpoint *endpoint = connection->endpoint;
    if (error->code == CQL_ERROR_PROTOCOL && connection->version > CQL_VERSION_MIN &&
        connection->state <= CQL_CONNECTION_STARTUP) {
        endpoint->version = connection->version - 1;
        cql_connection_fail(connection, ERR_UNAVAILABLE, "the node does not speak version %d",
                            connection->version);
        return;
    }
    enum err err =
        error->code == CQL_ERROR_PROTOCOL ? ERR_CONFIG
        : error->code == CQL_ERROR_AUTHENTICATION || error->code == CQL_ERROR_UNAUTHORIZED
            ? ERR_PERMISSION
            : ERR_UNAVAILABLE;
    cql_connection_fail(connection, err, "the node refuses (0x%04X): %.*s", (unsigned)error->code,
                        TEXT_PRINT(error->message));
}

static void unexpected(struct cql_connection *connection, uint8_t opcode)
{
    cql_connection_fail(connection, ERR_UNAVAILABLE, "opcode 0x%02X has no place in the handshake",
                        opcode);
}

static void after_options(struct cql_connection *connection, const struct cql_response *response)
{
    if (response->opcode == CQL_OPCODE_SUPPORTED) {
        supported(connection, response);
    } else {
        unexpected(connection, response->opcode);
    }
}

static void after_startup(struct cql_connection *connection, const struct cql_response *response)
{
    if (response->opcode == CQL_OPCODE_READY) {
        cql_frame_writer_started(&connection->writer, connection->compression);
        register_or_be_ready(connection);
    } else if (response->opcode == CQL_OPCODE_AUTHENTICATE) {
        cql_frame_writer_started(&connection->writer, connection->compression);
        send_login(connection);
    } else {
        unexpected(connection, response->opcode);
    }
}

static void after_login(struct cql_connection *connection, const struct cql_response *response)
{
    if (response->opcode == CQL_OPCODE_AUTH_SUCCESS) {
        register_or_be_ready(connection);
    } else if (response->opcode == CQL_OPCODE_AUTH_CHALLENGE) {
        send_login(connection);
    } else {
        unexpected(connection, response->opcode);
    }
}

static void after_register(struct cql_connection *connection, const struct cql_response *response)
{
    if (response->opcode == CQL_OPCODE_READY) {
        be_ready(connection);
    } else {
        unexpected(connection, response->opcode);
    }
}

void cql_handshake_answer(struct cql_connection *connection, const struct cql_envelope *envelope)
{
    struct cql_response response;
    if (!cql_response_read(envelope, &response)) {
        cql_connection_fail(connection, ERR_UNAVAILABLE, "an answer of the handshake is damaged");
        return;
    }
    if (response.opcode == CQL_OPCODE_ERROR) {
        refused(connection, &response.error);
        return;
    }
    switch (connection->state) {
    case CQL_CONNECTION_OPTIONS:
        after_options(connection, &response);
        break;
    case CQL_CONNECTION_STARTUP:
        after_startup(connection, &response);
        break;
    case CQL_CONNECTION_AUTHENTICATING:
        after_login(connection, &response);
        break;
    case CQL_CONNECTION_REGISTERING:
        after_register(connection, &response);
        break;
    case CQL_CONNECTION_CONNECTING:
    case CQL_CONNECTION_READY:
    case CQL_CONNECTION_CLOSED:
        assert(false); // nothing was asked
    }
}
