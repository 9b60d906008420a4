// The frame around an answer (tracing id, warnings, payload), and the answers that have a line or two. Larger
// ones have a file each: cql_rows.c, cql_server_error.c, cql_event.c.
#include "cql_response.h"

#include "cql_response_internal.h"

#define RESULT_KIND_SIZE 4u

static void read_result(struct cql_reader *reader, int version, struct cql_response *out)
{
    out->result_kind = cql_read_int(reader);
    switch (out->result_kind) {
    case CQL_RESULT_ROWS:
        cql_read_rows(reader, &out->rows);
        break;
    case CQL_RESULT_SET_KEYSPACE:
        out->keyspace = cql_read_string(reader);
        break;
    case CQL_RESULT_PREPARED:
        cql_read_prepared(reader, version, &out->prepared);
        break;
    case CQL_RESULT_SCHEMA_CHANGE:
        cql_read_schema_change(reader, &out->schema);
        break;
    default:
        break;
    }
}

static void read_message(struct cql_reader *reader, int version, struct cql_response *out)
{
    switch (out->opcode) {
    case CQL_OPCODE_ERROR:
        cql_read_server_error(reader, version, &out->error);
        break;
    case CQL_OPCODE_AUTHENTICATE:
        out->authenticator = cql_read_string(reader);
        break;
    case CQL_OPCODE_SUPPORTED:
        out->supported = cql_read_string_multimap(reader);
        break;
    case CQL_OPCODE_RESULT:
        read_result(reader, version, out);
        break;
    case CQL_OPCODE_EVENT:
        cql_read_event(reader, &out->event);
        break;
    case CQL_OPCODE_AUTH_CHALLENGE:
    case CQL_OPCODE_AUTH_SUCCESS:
        out->token = cql_read_bytes(reader);
        break;
    default:
        break;
    }
}

bool cql_response_read(const struct cql_envelope *envelope, struct cql_response *out_response)
{
    struct cql_response response = {.opcode = envelope->opcode};
    struct cql_reader reader;
    cql_reader_init(&reader, envelope->body);
    if ((envelope->flags & CQL_FLAG_TRACING) != 0) {
        response.has_tracing_id = true;
        response.tracing_id = cql_read_uuid(&reader);
    }
    if ((envelope->flags & CQL_FLAG_WARNING) != 0) {
        response.warnings = cql_read_string_list(&reader);
    }
    if ((envelope->flags & CQL_FLAG_PAYLOAD) != 0) {
        response.payload = cql_read_bytes_map(&reader);
    }
    read_message(&reader, envelope->version, &response);
    if (reader.damaged) {
        return false;
    }
    *out_response = response;
    return true;
}

bool cql_envelope_is_void(const struct cql_envelope *envelope)
{
    static const unsigned char kind[RESULT_KIND_SIZE] = {0, 0, 0, CQL_RESULT_VOID};
    return envelope->opcode == CQL_OPCODE_RESULT && envelope->flags == 0 &&
           envelope->body.size == sizeof(kind) &&
           memcmp(envelope->body.data, kind, sizeof(kind)) == 0;
}
