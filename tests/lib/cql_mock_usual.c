// What a healthy node answers. Writes are forgotten, reads give what the test has taught.
#include "cql_mock_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { KIND_VOID = 1, KIND_SET_KEYSPACE = 3 };
enum {
    FLAG_VALUES = 0x01,
    FLAG_SKIP_METADATA = 0x02,
    FLAG_PAGE_SIZE = 0x04,
    FLAG_PAGING_STATE = 0x08
};
enum { FLAG_SERIAL = 0x10, FLAG_TIMESTAMP = 0x20, FLAG_NAMES = 0x40, FLAG_KEYSPACE = 0x80 };
enum { FLAG_NOW = 0x100 };

static unsigned answer_error(struct cql_mock_call *call, struct cql_mock_bytes *body,
                             const struct cql_mock_error *error)
{
    cql_mock_put_error(body, call->connection->version, error);
    return CQL_MOCK_ERROR;
}

static unsigned answer_void(struct cql_mock_bytes *body)
{
    cql_mock_put_int(body, KIND_VOID);
    return CQL_MOCK_RESULT;
}

// --- statements ----------------------------------------------------------------------------------

static const struct cql_mock_statement *find_statement(const struct cql_mock *mock,
                                                       const char *text)
{
    for (unsigned i = mock->statement_count; i-- > 0;) {
        if (strstr(text, mock->statements[i].part) != NULL) {
            return &mock->statements[i];
        }
    }
    return NULL;
}

static uint64_t hash(uint64_t seed, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        seed = (seed ^ bytes[i]) * UINT64_C(0x100000001B3);
    }
    return seed;
}

static void make_id(unsigned char id[CQL_MOCK_ID_SIZE], uint64_t seed, const char *text)
{
    uint64_t first = hash(UINT64_C(0xCBF29CE484222325) ^ seed, text, strlen(text) + 1);
    uint64_t second = hash(first, text, strlen(text) + 1);
    memcpy(id, &first, sizeof first);
    memcpy(id + sizeof first, &second, sizeof second);
}

// Another one when columns come, go, or change their type.
static void make_result_id(unsigned char id[CQL_MOCK_ID_SIZE],
                           const struct cql_mock_statement *statement)
{
    uint64_t seed = statement->column_count;
    for (unsigned i = 0; i < statement->column_count; i++) {
        const struct cql_mock_column *column = &statement->columns[i];
        seed = hash(seed, column->name, strlen(column->name) + 1);
        seed = hash(seed, column->type, sizeof column->type);
    }
    make_id(id, seed, "result");
}

static const struct prepared *find_prepared(const struct cql_mock *mock, struct cql_mock_reader id)
{
    for (const struct prepared *each = mock->prepared; each != NULL; each = each->next) {
        if (id.left == CQL_MOCK_ID_SIZE && memcmp(each->id, id.at, CQL_MOCK_ID_SIZE) == 0) {
            return each;
        }
    }
    return NULL;
}

static const struct prepared *prepare(struct cql_mock *mock, const char *text)
{
    unsigned char id[CQL_MOCK_ID_SIZE];
    make_id(id, mock->salt, text);
    const struct prepared *known =
        find_prepared(mock, (struct cql_mock_reader){.at = id, .left = sizeof id});
    if (known != NULL) {
        return known;
    }
    struct prepared *prepared = calloc(1, sizeof *prepared);
    if (prepared == NULL || (prepared->text = strdup(text)) == NULL) {
        abort();
    }
    memcpy(prepared->id, id, sizeof id);
    prepared->next = mock->prepared;
    mock->prepared = prepared;
    return prepared;
}

static char *copy_text(struct cql_mock_reader text)
{
    char *copy = text.is_bad ? NULL : strndup((const char *)text.at, text.left);
    if (copy == NULL && !text.is_bad) {
        abort();
    }
    return copy;
}

static char *text_of_id(struct cql_mock *mock, struct cql_mock_reader id)
{
    const struct prepared *prepared = id.is_bad ? NULL : find_prepared(mock, id);
    return prepared != NULL ? strdup(prepared->text) : NULL;
}

char *cql_mock_text_of(struct cql_mock *mock, const struct cql_mock_header *header,
                       const unsigned char *body)
{
    struct cql_mock_reader reader = {.at = body, .left = header->length};
    switch (header->opcode) {
    case CQL_MOCK_QUERY:
    case CQL_MOCK_PREPARE:
        return copy_text(cql_mock_take_long_string(&reader));
    case CQL_MOCK_EXECUTE:
        return text_of_id(mock, cql_mock_take_string(&reader));
    case CQL_MOCK_BATCH:
        (void)cql_mock_take(&reader, 3); // its type and count
        return cql_mock_take_byte(&reader) == 0 ? copy_text(cql_mock_take_long_string(&reader))
                                                : text_of_id(mock, cql_mock_take_string(&reader));
    default:
        return NULL;
    }
}

// --- <query_parameters> (spec section 4.1.4) -----------------------------------------------------

struct parameters {
    unsigned value_count;
    bool skips_metadata;
};

static void take_values(struct cql_mock_reader *reader, unsigned count, bool has_names)
{
    for (unsigned i = 0; i < count && !reader->is_bad; i++) {
        if (has_names) {
            (void)cql_mock_take_string(reader);
        }
        (void)cql_mock_take_value(reader);
    }
}

static struct parameters take_parameters(struct cql_mock_reader *reader, unsigned version)
{
    struct parameters parameters = {0};
    (void)cql_mock_take_short(reader); // the consistency
    unsigned flags =
        version >= 5 ? (unsigned)cql_mock_take_int(reader) : cql_mock_take_byte(reader);
    parameters.skips_metadata = (flags & FLAG_SKIP_METADATA) != 0;
    if ((flags & FLAG_VALUES) != 0) {
        parameters.value_count = cql_mock_take_short(reader);
        take_values(reader, parameters.value_count, (flags & FLAG_NAMES) != 0);
    }
    if ((flags & FLAG_PAGE_SIZE) != 0) {
        (void)cql_mock_take(reader, 4);
    }
    if ((flags & FLAG_PAGING_STATE) != 0) {
        (void)cql_mock_take_value(reader);
    }
    if ((flags & FLAG_SERIAL) != 0) {
        (void)cql_mock_take(reader, 2);
    }
    if ((flags & FLAG_TIMESTAMP) != 0) {
        (void)cql_mock_take(reader, 8);
    }
    if (version >= 5 && (flags & FLAG_KEYSPACE) != 0) {
        (void)cql_mock_take_string(reader);
    }
    if (version >= 5 && (flags & FLAG_NOW) != 0) {
        (void)cql_mock_take(reader, 4);
    }
    return parameters;
}

static void must_be_at_end(struct cql_mock_call *call, const struct cql_mock_reader *reader)
{
    if (reader->is_bad || reader->left > 0) {
        cql_mock_complain(call->connection, "a body of opcode %d that is %s",
                          call->request->header.opcode, reader->is_bad ? "too short" : "too long");
    }
}

// --- requests ------------------------------------------------------------------------------------

static unsigned answer_startup(struct cql_mock_call *call, struct cql_mock_bytes *body)
{
    if (call->connection->mock->options.user == NULL) {
        return CQL_MOCK_READY;
    }
    cql_mock_put_string(body, "org.apache.cassandra.auth.PasswordAuthenticator");
    return CQL_MOCK_AUTHENTICATE;
}

// SASL PLAIN: a zero, the user, a zero, the password.
static unsigned answer_login(struct cql_mock_call *call, struct cql_mock_bytes *body,
                             struct cql_mock_reader reader)
{
    const struct cql_mock_options *options = &call->connection->mock->options;
    struct cql_mock_reader token = cql_mock_take_value(&reader);
    struct cql_mock_bytes wanted = {0};
    must_be_at_end(call, &reader);
    cql_mock_put_byte(&wanted, 0);
    cql_mock_put(&wanted, options->user, strlen(options->user) + 1);
    cql_mock_put(&wanted, options->password, strlen(options->password));
    bool is_right = token.left == wanted.size && memcmp(token.at, wanted.data, wanted.size) == 0;
    cql_mock_bytes_free(&wanted);
    if (!is_right) {
        return answer_error(
            call, body,
            &(struct cql_mock_error){.code = 0x0100, .message = "user or password is wrong"});
    }
    cql_mock_put_bytes(body, NULL, 0);
    return CQL_MOCK_AUTH_SUCCESS;
}

static unsigned answer_unprepared(struct cql_mock_call *call, struct cql_mock_bytes *body,
                                  struct cql_mock_reader id)
{
    struct cql_mock_error error = {
        .code = 0x2500, .message = "not prepared here", .id = id.at, .id_size = id.left};
    return answer_error(call, body, &error);
}

static unsigned answer_statement(struct cql_mock_call *call, struct cql_mock_bytes *body,
                                 const char *text, bool skips_metadata, const unsigned char *new_id)
{
    static const struct cql_mock_statement no_rows;
    struct cql_mock *mock = call->connection->mock;
    const struct cql_mock_statement *statement = find_statement(mock, text);
    if (statement == NULL && cql_mock_put_system(body, mock, text)) {
        return CQL_MOCK_RESULT;
    }
    if (statement == NULL && strncasecmp(text, "SELECT", 6) == 0) {
        statement = &no_rows;
    } else if (statement == NULL || statement->column_count == 0) {
        return answer_void(body);
    }
    cql_mock_put_rows(body, statement, skips_metadata, new_id);
    return CQL_MOCK_RESULT;
}

static unsigned answer_query(struct cql_mock_call *call, struct cql_mock_bytes *body,
                             struct cql_mock_reader reader)
{
    const char *text = call->request->text;
    (void)cql_mock_take_long_string(&reader);
    struct parameters parameters = take_parameters(&reader, call->connection->version);
    must_be_at_end(call, &reader);
    if (text == NULL) {
        return answer_void(body);
    }
    if (strncasecmp(text, "USE ", 4) == 0) {
        cql_mock_put_int(body, KIND_SET_KEYSPACE);
        cql_mock_put_string(body, text + 4);
        return CQL_MOCK_RESULT;
    }
    return answer_statement(call, body, text, parameters.skips_metadata, NULL);
}

// Of a statement that nobody has taught the markers are of type blob, and no key.
static unsigned answer_prepare(struct cql_mock_call *call, struct cql_mock_bytes *body,
                               struct cql_mock_reader reader)
{
    static const struct cql_mock_column any = {"value", {CQL_MOCK_BLOB}};
    struct cql_mock *mock = call->connection->mock;
    unsigned version = call->connection->version;
    const char *text = call->request->text;
    struct cql_mock_column markers[256];
    struct cql_mock_statement guess = {.markers = markers};
    unsigned char result_id[CQL_MOCK_ID_SIZE];
    (void)cql_mock_take_long_string(&reader);
    if (version >= 5 && (cql_mock_take_int(&reader) & 1) != 0) {
        (void)cql_mock_take_string(&reader);
    }
    must_be_at_end(call, &reader);
    text = text != NULL ? text : "";
    for (const char *at = text; *at != '\0' && guess.marker_count < 256; at++) {
        markers[guess.marker_count] = any;
        guess.marker_count += *at == '?';
    }
    const struct cql_mock_statement *statement = find_statement(mock, text);
    statement = statement != NULL ? statement : &guess;
    make_result_id(result_id, statement);
    cql_mock_put_prepared(body, version, prepare(mock, text)->id, result_id, statement);
    return CQL_MOCK_RESULT;
}

static unsigned answer_execute(struct cql_mock_call *call, struct cql_mock_bytes *body,
                               struct cql_mock_reader reader)
{
    struct cql_mock *mock = call->connection->mock;
    unsigned version = call->connection->version;
    unsigned char result_id[CQL_MOCK_ID_SIZE];
    struct cql_mock_reader id = cql_mock_take_string(&reader);
    struct cql_mock_reader known_id = {0};
    if (version >= 5) {
        known_id = cql_mock_take_string(&reader);
    }
    struct parameters parameters = take_parameters(&reader, version);
    must_be_at_end(call, &reader);
    const struct prepared *prepared = id.is_bad ? NULL : find_prepared(mock, id);
    if (prepared == NULL) {
        return answer_unprepared(call, body, id);
    }
    const struct cql_mock_statement *statement = find_statement(mock, prepared->text);
    bool is_changed = false;
    if (statement != NULL && parameters.value_count != statement->marker_count) {
        return answer_error(
            call, body,
            &(struct cql_mock_error){.code = 0x2200, .message = "another number of values"});
    }
    if (version >= 5 && statement != NULL) {
        make_result_id(result_id, statement);
        is_changed = known_id.left != CQL_MOCK_ID_SIZE ||
                     memcmp(known_id.at, result_id, CQL_MOCK_ID_SIZE) != 0;
    }
    return answer_statement(call, body, prepared->text, parameters.skips_metadata,
                            is_changed ? result_id : NULL);
}

static unsigned answer_batch(struct cql_mock_call *call, struct cql_mock_bytes *body,
                             struct cql_mock_reader reader)
{
    struct cql_mock_reader unknown = {.is_bad = true};
    (void)cql_mock_take_byte(&reader);
    unsigned count = cql_mock_take_short(&reader);
    for (unsigned i = 0; i < count && !reader.is_bad; i++) {
        if (cql_mock_take_byte(&reader) == 0) {
            (void)cql_mock_take_long_string(&reader);
        } else {
            struct cql_mock_reader id = cql_mock_take_string(&reader);
            if (unknown.is_bad && !id.is_bad && find_prepared(call->connection->mock, id) == NULL) {
                unknown = id;
            }
        }
        take_values(&reader, cql_mock_take_short(&reader), false);
    }
    (void)take_parameters(&reader, call->connection->version);
    must_be_at_end(call, &reader);
    return unknown.is_bad ? answer_void(body) : answer_unprepared(call, body, unknown);
}

static unsigned answer_wrong_version(struct cql_mock_call *call, struct cql_mock_bytes *body)
{
    char message[100];
    unsigned version_max = call->connection->mock->options.version_max;
    (void)snprintf(message, sizeof message,
                   "Invalid or unsupported protocol version (%u); the highest is %u/v%u",
                   call->connection->version, version_max, version_max);
    return answer_error(call, body, &(struct cql_mock_error){.code = 0x000A, .message = message});
}

unsigned cql_mock_usual_answer(struct cql_mock_call *call, struct cql_mock_bytes *body)
{
    struct cql_mock_reader reader = {.at = call->request->body,
                                     .left = call->request->header.length};
    unsigned version_max = call->connection->mock->options.version_max;
    if (call->connection->version > version_max) {
        return answer_wrong_version(call, body);
    }
    switch (call->request->header.opcode) {
    case CQL_MOCK_OPTIONS:
        cql_mock_put_options(body, version_max);
        return CQL_MOCK_SUPPORTED;
    case CQL_MOCK_STARTUP:
        return answer_startup(call, body);
    case CQL_MOCK_AUTH_RESPONSE:
        return answer_login(call, body, reader);
    case CQL_MOCK_QUERY:
        return answer_query(call, body, reader);
    case CQL_MOCK_PREPARE:
        return answer_prepare(call, body, reader);
    case CQL_MOCK_EXECUTE:
        return answer_execute(call, body, reader);
    case CQL_MOCK_BATCH:
        return answer_batch(call, body, reader);
    default:
        return CQL_MOCK_READY; // to REGISTER
    }
}
