// A request whose envelope is whole: checked, kept for the test, and answered as the first rule that fits
// says.
#include "cql_mock_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FLAG_TRACED = 0x02, FLAG_PAYLOAD = 0x04, FLAG_WARNING = 0x08 };

// --- checks --------------------------------------------------------------------------------------

static bool is_request(unsigned opcode)
{
    switch (opcode) {
    case CQL_MOCK_STARTUP:
    case CQL_MOCK_OPTIONS:
    case CQL_MOCK_QUERY:
    case CQL_MOCK_PREPARE:
    case CQL_MOCK_EXECUTE:
    case CQL_MOCK_REGISTER:
    case CQL_MOCK_BATCH:
    case CQL_MOCK_AUTH_RESPONSE:
        return true;
    default:
        return false;
    }
}

static bool is_in_turn(const struct connection *connection, unsigned opcode)
{
    if (!connection->is_started) {
        return opcode == CQL_MOCK_OPTIONS || opcode == CQL_MOCK_STARTUP;
    }
    if (!connection->is_let_in) {
        return opcode == CQL_MOCK_OPTIONS || opcode == CQL_MOCK_AUTH_RESPONSE;
    }
    return opcode != CQL_MOCK_STARTUP && opcode != CQL_MOCK_AUTH_RESPONSE;
}

static void check(struct connection *connection, const struct cql_mock_header *header)
{
    unsigned opcode = header->opcode;
    if (header->version < 3 || header->version > 6) {
        cql_mock_complain(connection, "a request of version byte 0x%02x", header->version);
    } else if (connection->is_started && connection->version != header->version) {
        cql_mock_complain(connection, "version %d after %d", header->version, connection->version);
    } else if (!is_request(opcode)) {
        cql_mock_complain(connection, "opcode 0x%02x is no request", opcode);
    } else if (header->stream < 0) {
        cql_mock_complain(connection, "stream %d", header->stream);
    } else if (connection->in_flight[header->stream]) {
        cql_mock_complain(connection, "stream %d is used before its answer", header->stream);
    } else if ((header->flags & 0x01) != 0) {
        cql_mock_complain(connection, "a compressed body, which was not agreed on");
    } else if (!is_in_turn(connection, opcode)) {
        cql_mock_complain(connection, "opcode 0x%02x out of turn", opcode);
    }
}

// --- keeping -------------------------------------------------------------------------------------

static struct cql_mock_request *make_request(struct connection *connection,
                                             const struct cql_mock_header *header,
                                             const unsigned char *body)
{
    struct cql_mock_request *request = calloc(1, sizeof *request);
    unsigned char *copy = malloc((size_t)header->length + 1);
    if (request == NULL || copy == NULL) {
        abort();
    }
    memcpy(copy, body, header->length);
    request->connection = connection->number;
    request->header = *header;
    request->text = cql_mock_text_of(connection->mock, header, body);
    request->body = copy;
    return request;
}

static void free_request(struct cql_mock_request *request)
{
    free(request->text);
    free(request->body);
    free(request);
}

// Whether it was kept.
static bool keep(struct cql_mock *mock, struct cql_mock_request *request)
{
    mock->opcode_counts[CQL_MOCK_ANY]++;
    mock->opcode_counts[request->header.opcode]++;
    (void)pthread_cond_broadcast(&mock->arrived);
    if (mock->request_count == CQL_MOCK_REQUESTS_MAX) {
        return false;
    }
    mock->requests[mock->request_count++] = request;
    return true;
}

void cql_mock_free_requests(struct cql_mock *mock)
{
    for (unsigned i = 0; i < mock->request_count; i++) {
        free_request(mock->requests[i]);
    }
    free(mock->requests);
}

// --- rules ---------------------------------------------------------------------------------------

static bool fits(const struct cql_mock_rule *rule, const struct cql_mock_request *request)
{
    return (rule->opcode == CQL_MOCK_ANY || rule->opcode == request->header.opcode) &&
           (rule->part == NULL ||
            (request->text != NULL && strstr(request->text, rule->part) != NULL));
}

static const struct cql_mock_rule *find_rule(struct cql_mock *mock,
                                             const struct cql_mock_request *request)
{
    static const struct cql_mock_rule as_usual;
    for (unsigned i = 0; i < mock->rule_count; i++) {
        struct active_rule *active = &mock->rules[i];
        const struct cql_mock_rule *rule = &active->rule;
        if (!fits(rule, request) ||
            (rule->times != 0 && active->fit_count == rule->skip + rule->times)) {
            continue;
        }
        if (active->fit_count < rule->skip) {
            active->fit_count++;
            continue;
        }
        active->fit_count += rule->times != 0;
        return rule;
    }
    return &as_usual;
}

// --- answers -------------------------------------------------------------------------------------

// What goes before a body, spec section 2.2.
static uint8_t put_extras(struct cql_mock_bytes *envelope, const struct cql_mock_rule *rule)
{
    static const unsigned char trace[16] = {0x7A};
    uint8_t flags = 0;
    if (rule->is_traced) {
        cql_mock_put(envelope, trace, sizeof trace);
        flags |= FLAG_TRACED;
    }
    if (rule->warning != NULL) {
        cql_mock_put_short(envelope, 1);
        cql_mock_put_string(envelope, rule->warning);
        flags |= FLAG_WARNING;
    }
    if (rule->payload_key != NULL) {
        cql_mock_put_short(envelope, 1);
        cql_mock_put_string(envelope, rule->payload_key);
        cql_mock_put_bytes(envelope, "abc", 3);
        flags |= FLAG_PAYLOAD;
    }
    return flags;
}

static void make_envelope(const struct cql_mock_call *call, unsigned opcode, const void *body,
                          size_t body_size, struct cql_mock_bytes *out_envelope)
{
    struct cql_mock_bytes extras = {0};
    unsigned version_max = call->connection->mock->options.version_max;
    unsigned version = call->connection->version;
    uint8_t flags = put_extras(&extras, call->rule);
    cql_mock_put_header(
        out_envelope,
        &(struct cql_mock_header){
            .version = (uint8_t)(0x80 | (version < version_max ? version : version_max)),
            .flags = flags,
            .stream = call->request->header.stream,
            .opcode = (uint8_t)opcode,
            .length = (uint32_t)(extras.size + body_size)});
    cql_mock_put(out_envelope, extras.data, extras.size);
    cql_mock_put(out_envelope, body, body_size);
    cql_mock_bytes_free(&extras);
}

// What an answer means for what may follow. Segments begin after the answer to STARTUP.
static void go_on(struct connection *connection, unsigned request, unsigned answer)
{
    if (request == CQL_MOCK_STARTUP &&
        (answer == CQL_MOCK_READY || answer == CQL_MOCK_AUTHENTICATE)) {
        connection->is_started = true;
        connection->is_let_in = answer == CQL_MOCK_READY;
        connection->is_segmented = connection->version >= 5;
    } else if (answer == CQL_MOCK_AUTH_SUCCESS) {
        connection->is_let_in = true;
    } else if (request == CQL_MOCK_REGISTER && answer == CQL_MOCK_READY) {
        connection->is_registered = true;
    }
}

void cql_mock_hold(struct cql_mock *mock, unsigned connection,
                   const struct cql_mock_bytes *envelope)
{
    struct held *held = calloc(1, sizeof *held);
    if (held == NULL) {
        abort();
    }
    held->connection = connection;
    held->envelope = *envelope;
    held->next = mock->newest_held;
    mock->newest_held = held;
}

void cql_mock_reply(struct cql_mock_call *call, unsigned opcode, const void *body, size_t body_size)
{
    struct connection *connection = call->connection;
    struct cql_mock_bytes envelope = {0};
    make_envelope(call, opcode, body, body_size, &envelope);
    if (call->rule->is_held) {
        cql_mock_hold(connection->mock, connection->number, &envelope);
        return;
    }
    connection->in_flight[call->request->header.stream] = false;
    cql_mock_connection_put(connection, &envelope, call->rule);
    go_on(connection, call->request->header.opcode, opcode);
    cql_mock_bytes_free(&envelope);
}

void cql_mock_reply_as_usual(struct cql_mock_call *call)
{
    struct cql_mock_bytes body = {0};
    unsigned opcode = cql_mock_usual_answer(call, &body);
    cql_mock_reply(call, opcode, body.data, body.size);
    cql_mock_bytes_free(&body);
}

void cql_mock_reply_raw(struct cql_mock_call *call, const void *data, size_t size)
{
    call->connection->in_flight[call->request->header.stream] = false;
    cql_mock_connection_put_raw(call->connection, data, size, CHUNK_GOES_ON);
}

const struct cql_mock_request *cql_mock_call_request(const struct cql_mock_call *call)
{
    return call->request;
}

// Unprepared without an id is about the statement that was to be executed.
static void reply_with_error(struct cql_mock_call *call)
{
    struct cql_mock_bytes body = {0};
    struct cql_mock_error error = call->rule->error;
    struct cql_mock_reader reader = {.at = call->request->body,
                                     .left = call->request->header.length};
    if (error.code == 0x2500 && error.id == NULL &&
        call->request->header.opcode == CQL_MOCK_EXECUTE) {
        struct cql_mock_reader id = cql_mock_take_string(&reader);
        error.id = id.at;
        error.id_size = id.left;
    }
    cql_mock_put_error(&body, call->connection->version, &error);
    cql_mock_reply(call, CQL_MOCK_ERROR, body.data, body.size);
    cql_mock_bytes_free(&body);
}

static void act(struct cql_mock_call *call)
{
    const struct cql_mock_rule *rule = call->rule;
    switch (rule->action) {
    case CQL_MOCK_AS_USUAL:
        cql_mock_reply_as_usual(call);
        break;
    case CQL_MOCK_FAIL:
        reply_with_error(call);
        break;
    case CQL_MOCK_ANSWER:
        cql_mock_reply(call, rule->answer_opcode, rule->body, rule->body_size);
        break;
    case CQL_MOCK_RAW:
        cql_mock_reply_raw(call, rule->body, rule->body_size);
        break;
    case CQL_MOCK_SILENCE:
        break;
    case CQL_MOCK_CLOSE:
        cql_mock_connection_put_raw(call->connection, NULL, 0, CHUNK_CLOSES);
        break;
    case CQL_MOCK_RESET:
        call->connection->is_over = true;
        call->connection->is_reset = true;
        break;
    case CQL_MOCK_HANDLE:
        rule->handle(call, rule->context);
        break;
    }
}

void cql_mock_take_request(struct connection *connection, const struct cql_mock_header *header,
                           const unsigned char *body)
{
    struct cql_mock *mock = connection->mock;
    check(connection, header);
    if (connection->is_over) {
        return;
    }
    connection->version = header->version;
    connection->in_flight[header->stream] = true;
    struct cql_mock_request *request = make_request(connection, header, body);
    bool is_kept = keep(mock, request);
    struct cql_mock_call call = {
        .connection = connection, .request = request, .rule = find_rule(mock, request)};
    act(&call);
    if (!is_kept) {
        free_request(request);
    }
}
