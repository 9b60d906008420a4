// Where a request goes, and writing it there. Nothing is sent from here: what was written goes out with
// the next flush, many at once.
#include "cql_session.h"

#include <assert.h>
#include <string.h>

// --- writing ------------------------------------------------------------------------------------

static enum cql_consistency serial_of(const struct cql_slot *slot)
{
    const struct cql_request *request = &slot->request;
    if (request->serial_consistency != 0) {
        return request->serial_consistency;
    }
    return slot->conditional ? CQL_LOCAL_SERIAL : CQL_ANY; // said only where it has a meaning
}

static struct cql_parameters parameters_of(const struct cql_slot *slot)
{
    const struct cql_request *request = &slot->request;
    return (struct cql_parameters){
        .consistency = request->consistency,
        .serial_consistency = serial_of(slot),
        .values = request->values,
        .timestamp_us = request->timestamp_us > 0 ? request->timestamp_us : CQL_TIMESTAMP_SERVER,
        .paging_state = request->paging_state,
        .page_size = request->page_size,
    };
}

// The node is told which columns we know, and sends them only when they are others (v5). In v4 nothing
// would tell us that a table was altered, so there the columns come with every answer. Conditional
// statements answer with other columns than they were prepared with.
static void write_statement(struct cql_slot *slot, int version, struct cql_writer *writer)
{
    struct cql_statement *statement = slot->request.statement;
    struct cql_parameters parameters = parameters_of(slot);
    struct cql_columns_known *columns = statement->columns;
    parameters.skip_metadata = version >= 5 && columns != NULL && !slot->conditional &&
                               columns->id.size > 0 && columns->metadata.column_count > 0;
    if (parameters.skip_metadata && slot->columns != columns) {
        if (slot->columns != NULL) {
            slot->columns->references--;
        }
        slot->columns = columns;
        columns->references++;
    }
    struct text columns_id = columns != NULL ? columns->id : (struct text){0};
    cql_write_execute(writer, version, statement->id, columns_id, &parameters);
}

static void write_batch(const struct cql_slot *slot, int version, struct cql_writer *writer)
{
    const struct cql_request *request = &slot->request;
    struct cql_parameters parameters = parameters_of(slot);
    parameters.values = (struct cql_values_view){0};
    cql_write_batch_begin(writer, request->batch_type, request->batch_count);
    for (uint16_t i = 0; i < request->batch_count; i++) {
        cql_write_batch_prepared(writer, request->batch[i].statement->id, request->batch[i].values);
    }
    cql_write_batch_end(writer, version, &parameters);
}

static enum cql_opcode opcode_of(const struct cql_slot *slot)
{
    const struct cql_request *request = &slot->request;
    return request->statement != NULL ? CQL_OPCODE_EXECUTE
           : request->batch != NULL   ? CQL_OPCODE_BATCH
                                      : CQL_OPCODE_QUERY;
}

static void write_request(struct cql_slot *slot, int version, struct cql_writer *writer)
{
    if (slot->request.statement != NULL) {
        write_statement(slot, version, writer);
    } else if (slot->request.batch != NULL) {
        write_batch(slot, version, writer);
    } else {
        struct cql_parameters parameters = parameters_of(slot);
        cql_write_query(writer, version, slot->request.text, &parameters);
    }
}

static void be_in_flight(struct cql_slot *slot, struct cql_connection *connection, int32_t stream)
{
    slot->state = CQL_SLOT_IN_FLIGHT;
    slot->connection = connection;
    slot->stream = stream;
    slot->send_round = connection->send_round;
    slot->sent_ns = connection->group->loop.now_ns;
}

// ERR_FULL: there may be room later. ERR_TOO_LARGE: never.
MUST_USE static enum err write_on(struct cql_slot *slot, struct cql_connection *connection)
{
    int32_t stream = 0;
    struct cql_writer *writer =
        cql_connection_begin(connection, slot->index, opcode_of(slot),
                             slot->request.tracing ? CQL_FLAG_TRACING : 0, &stream);
    if (writer == NULL) {
        return ERR_FULL;
    }
    write_request(slot, connection->version, writer);
    enum err err = cql_connection_end(connection, stream);
    if (err == ERR_OK) {
        be_in_flight(slot, connection, stream);
    }
    return err;
}

bool cql_send(struct cql_slot *slot, struct cql_node *node)
{
    struct cql_connection *connection = cql_node_connection(node);
    if (connection == NULL) {
        return false;
    }
    enum err err = write_on(slot, connection);
    if (err == ERR_TOO_LARGE) {
        struct why why = {0};
        (void)why_set(&why, err, "the request is larger than %zu bytes",
                      connection->group->request_size_max);
        cql_fail(slot, err, CQL_NOT_DONE, &why);
        return true;
    }
    if (err != ERR_OK) {
        return false;
    }
    slot->node = node;
    cql_window_sent(&node->window);
    return true;
}

// --- placing ------------------------------------------------------------------------------------

bool cql_was_tried(const struct cql_slot *slot, const struct cql_node *node)
{
    for (size_t i = 0; i < slot->tried_count; i++) {
        if (slot->tried[i] == node->number) {
            return true;
        }
    }
    return false;
}

static void wait_at(struct cql_slot *slot, struct cql_node *node, struct cql_queue *queue)
{
    slot->state = CQL_SLOT_WAITING;
    slot->node = node;
    cql_queue_push(queue, slot);
}

void cql_place(struct cql_slot *slot)
{
    struct cql_node *node = cql_choose(slot);
    if (node == NULL && slot->tried_count > 0) {
        slot->tried_count = 0; // all were tried: who waits may start again
        node = cql_choose(slot);
    }
    if (node == NULL) {
        wait_at(slot, NULL, &slot->cql->homeless);
    } else if (node->queue.count > 0 || !cql_window_has_room(&node->window) ||
               !cql_send(slot, node)) {
        wait_at(slot, node, &node->queue);
    }
}

void cql_node_run_queue(struct cql_node *node)
{
    while (node->queue.count > 0 && cql_window_has_room(&node->window)) {
        struct cql_slot *slot = cql_queue_pop(&node->queue);
        if (!cql_send(slot, node)) {
            cql_queue_push_first(&node->queue, slot);
            return;
        }
    }
}

void cql_place_homeless(struct cql *cql)
{
    for (size_t left = cql->homeless.count; left > 0 && cql->homeless.count > 0; left--) {
        cql_place(cql_queue_pop(&cql->homeless));
    }
}

// --- the session's own --------------------------------------------------------------------------

static struct cql_slot *take_own(struct cql *cql, cql_own_fn *own)
{
    struct cql_slot *slot = cql_slot_take(cql, true);
    if (slot != NULL) {
        slot->own = own;
        slot->state = CQL_SLOT_WAITING;
        slot->request = (struct cql_request){.consistency = CQL_LOCAL_ONE};
        slot->deadline_ns = cql->group.loop.now_ns + cql->group.connect_timeout_us * 1000;
    }
    return slot;
}

static bool own_is_sent(struct cql_slot *slot, struct cql_connection *connection, enum err err,
                        int32_t stream)
{
    if (err != ERR_OK) {
        cql_slot_release(slot);
        return false;
    }
    be_in_flight(slot, connection, stream);
    cql_loop_timer(&slot->cql->group.loop, &slot->timer, slot->cql->group.connect_timeout_us);
    return true;
}

bool cql_ask(struct cql *cql, struct cql_connection *connection, struct text query, cql_own_fn *own)
{
    struct cql_slot *slot = take_own(cql, own);
    int32_t stream = 0;
    struct cql_writer *writer =
        slot != NULL ? cql_connection_begin(connection, slot->index, CQL_OPCODE_QUERY, 0, &stream)
                     : NULL;
    if (writer == NULL) {
        return slot != NULL && own_is_sent(slot, connection, ERR_FULL, 0);
    }
    struct cql_parameters parameters = parameters_of(slot);
    cql_write_query(writer, connection->version, query, &parameters);
    return own_is_sent(slot, connection, cql_connection_end(connection, stream), stream);
}

struct cql_slot *cql_ask_prepare(struct cql *cql, struct cql_connection *connection,
                                 struct cql_statement *statement, cql_own_fn *own)
{
    struct cql_slot *slot = take_own(cql, own);
    int32_t stream = 0;
    struct cql_writer *writer =
        slot != NULL ? cql_connection_begin(connection, slot->index, CQL_OPCODE_PREPARE, 0, &stream)
                     : NULL;
    if (writer == NULL) {
        return slot != NULL && own_is_sent(slot, connection, ERR_FULL, 0) ? slot : NULL;
    }
    slot->statement = statement;
    cql_write_prepare(writer, connection->version, statement->text, (struct text){0});
    if (!own_is_sent(slot, connection, cql_connection_end(connection, stream), stream)) {
        return NULL;
    }
    slot->node = connection->context;
    cql_window_sent(&slot->node->window);
    cql_queue_push(&cql->preparing, slot);
    return slot;
}
