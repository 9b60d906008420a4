// What becomes of a request: its answer, or its trouble, of which cql_retry.h says what to do. Every
// slot of the caller's ends in complete(), once.
#include "cql_session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define REST_MIN_US INT64_C(10000) // after OVERLOADED, doubled each time
#define REST_MAX_US INT64_C(1000000)

// --- ending -------------------------------------------------------------------------------------

static void complete(struct cql_slot *slot, enum err err)
{
    struct cql *cql = slot->cql;
    assert(slot->own == NULL && slot->queue == NULL);
    cql_wheel_clear(&slot->timer);
    slot->err = err;
    slot->state = CQL_SLOT_DONE;
    cql->figures.completed++;
    cql->figures.failed += err != ERR_OK;
    if (!slot->synchronous) {
        cql_queue_push(&cql->done, slot);
    }
}

// Ends one of the session's own, whose answer may be NULL.
static void end_own(struct cql_slot *slot, const struct cql_response *response,
                    const struct why *why)
{
    cql_queue_leave(slot); // the list of PREPAREs
    slot->state = CQL_SLOT_DONE;
    slot->own(slot->cql, slot, response, why);
    cql_slot_release(slot);
}

void cql_fail(struct cql_slot *slot, enum err err, enum cql_outcome outcome, const struct why *why)
{
    struct why *kept = cql_slot_why(slot);
    if (kept != why) {
        *kept = (struct why){.code = err};
        (void)why_set(kept, err, "%s", why != NULL ? why->text : err_text(err));
    }
    slot->outcome = outcome == CQL_NOT_DONE && slot->perhaps_done ? CQL_UNKNOWN : outcome;
    complete(slot, err);
}

// --- results ------------------------------------------------------------------------------------

// The answer came without columns, since the node knows that we know them.
static void add_columns(struct cql_slot *slot, struct cql_rows *rows)
{
    if (rows->metadata.has_columns || slot->columns == NULL) {
        return;
    }
    struct cql_metadata metadata = slot->columns->metadata;
    metadata.has_more_pages = rows->metadata.has_more_pages;
    metadata.paging_state = rows->metadata.paging_state;
    rows->metadata = metadata;
}

static void set_result(struct cql_slot *slot, const struct cql_response *response)
{
    slot->has_result = true;
    slot->result = (struct cql_result){
        .tracing_id = response->tracing_id,
        .warning_count = response->warnings.count,
    };
    if (response->opcode == CQL_OPCODE_RESULT && response->result_kind == CQL_RESULT_ROWS) {
        slot->result.rows = response->rows;
        add_columns(slot, &slot->result.rows);
        slot->result.paging_state = slot->result.rows.metadata.paging_state;
    }
}

// The table was altered (v5): from now on these columns are known.
static void learn_columns(struct cql_slot *slot, const struct cql_metadata *metadata)
{
    struct cql_statement *statement = slot->request.statement;
    if (statement == NULL || !metadata->changed || !metadata->has_columns) {
        return;
    }
    struct cql_columns_known *columns = cql_columns_copy(metadata, metadata->new_id);
    if (columns != NULL) { // else the node sends them again, the next time
        cql_columns_set(slot->cql, statement, columns);
    }
}

void cql_hold(struct cql_slot *slot, const struct cql_envelope *envelope)
{
    slot->held = malloc(envelope->body.size > 0 ? envelope->body.size : 1);
    struct cql_response response;
    if (slot->held == NULL) {
        slot->has_result = false;
        slot->err = why_set(cql_slot_why(slot), ERR_NO_MEMORY, "no memory for an answer");
        slot->outcome = CQL_UNKNOWN;
        return;
    }
    memcpy(slot->held, envelope->body.data, envelope->body.size);
    struct cql_envelope copy = *envelope;
    copy.body.data = slot->held;
    bool sound = cql_response_read(&copy, &response);
    assert(sound); // the same bytes were read before
    set_result(slot, &response);
}

static void tell_warnings(struct cql *cql, struct cql_string_list warnings)
{
    struct text warning;
    while (cql_string_list_next(&warnings, &warning)) {
        cql->figures.warnings++;
        if (cql->notice != NULL) {
            cql->notice(cql->notice_context, warning);
        }
    }
}

static void settle_result(struct cql_slot *slot, const struct cql_envelope *envelope,
                          const struct cql_response *response)
{
    slot->error_code = -1;
    slot->outcome = CQL_DONE;
    set_result(slot, response);
    if (response->opcode == CQL_OPCODE_RESULT && response->result_kind == CQL_RESULT_ROWS) {
        learn_columns(slot, &response->rows.metadata);
    }
    complete(slot, ERR_OK);
    if (slot->cql->holding && !slot->synchronous) {
        cql_hold(slot, envelope);
    } else {
        slot->envelope = *envelope;
    }
}

// --- trouble ------------------------------------------------------------------------------------

static void remember_tried(struct cql_slot *slot)
{
    if (slot->node != NULL && !cql_was_tried(slot, slot->node)) {
        if (slot->tried_count == CQL_TRIED_MAX) { // forgets the oldest
            memmove(slot->tried, slot->tried + 1, sizeof(slot->tried) - sizeof(slot->tried[0]));
            slot->tried_count--;
        }
        slot->tried[slot->tried_count++] = slot->node->number;
    }
}

// Waits before it is sent again, longer each time.
static void rest(struct cql_slot *slot)
{
    struct cql *cql = slot->cql;
    int64_t wait_us = REST_MIN_US << (slot->overloads < 7 ? slot->overloads : 7);
    wait_us = wait_us < REST_MAX_US ? wait_us : REST_MAX_US;
    wait_us = rand_between(&cql->rand, wait_us / 2, wait_us);
    slot->overloads = (uint8_t)(slot->overloads < UINT8_MAX ? slot->overloads + 1 : UINT8_MAX);
    slot->state = CQL_SLOT_RESTING;
    int64_t until_ns = cql->group.loop.now_ns + wait_us * 1000;
    cql_wheel_set(&cql->group.loop.wheel, &slot->timer,
                  until_ns < slot->deadline_ns ? until_ns : slot->deadline_ns);
}

// To another node. What never reached a node, or was on a connection that died, waits for one to come
// back when there is none; what a node has refused is reported then.
static void send_elsewhere(struct cql_slot *slot, enum cql_trouble trouble,
                           const struct cql_decision *decision, const struct why *why)
{
    remember_tried(slot);
    slot->cql->figures.retries++;
    if (decision->overloaded) {
        rest(slot);
    } else if (trouble == CQL_TROUBLE_ERROR && cql_choose(slot) == NULL) {
        cql_fail(slot, decision->err, decision->outcome, why);
    } else {
        cql_place(slot);
    }
}

static void send_again(struct cql_slot *slot)
{
    slot->cql->figures.retries++;
    if (slot->node->ready_count > 0) {
        slot->state = CQL_SLOT_WAITING;
        cql_queue_push(&slot->node->queue, slot);
    } else {
        cql_place(slot);
    }
}

static void prepare_again(struct cql_slot *slot, struct cql_connection *connection,
                          const struct cql_server_error *error, const struct cql_decision *decision,
                          const struct why *why)
{
    slot->reprepares++;
    slot->cql->figures.prepared_again++;
    if (!cql_statement_prepare_for(slot, connection, error)) {
        cql_fail(slot, decision->err, decision->outcome, why);
    }
}

static struct cql_situation situation_of(const struct cql_slot *slot, enum cql_trouble trouble,
                                         const struct cql_server_error *error)
{
    return (struct cql_situation){
        .trouble = trouble,
        .error = error,
        .idempotent = slot->request.idempotent,
        .conditional = slot->conditional,
        .retries = slot->retries,
        .reprepares = slot->reprepares,
    };
}

void cql_trouble(struct cql_slot *slot, enum cql_trouble trouble,
                 const struct cql_server_error *error, const struct why *why)
{
    struct cql_situation situation = situation_of(slot, trouble, error);
    struct cql_decision decision = cql_retry_decide(&situation);
    struct cql_connection *connection = slot->connection;
    slot->error_code = error != NULL ? error->code : -1;
    slot->retries = (uint8_t)(slot->retries + decision.counts);
    slot->perhaps_done |= decision.outcome == CQL_UNKNOWN && decision.action != CQL_ACTION_REPORT;
    slot->cql->figures.overloads += decision.overloaded;
    slot->connection = NULL;
    switch (decision.action) {
    case CQL_ACTION_REPORT:
        cql_fail(slot, decision.err, decision.outcome, why);
        break;
    case CQL_ACTION_RETRY_SAME:
        send_again(slot);
        break;
    case CQL_ACTION_RETRY_NEXT:
        send_elsewhere(slot, trouble, &decision, why);
        break;
    case CQL_ACTION_PREPARE_AGAIN:
        prepare_again(slot, connection, error, &decision, why);
        break;
    }
    if (decision.close) {
        cql_connection_fail(connection, ERR_UNAVAILABLE, "protocol error: %s", why->text);
    }
}

// The server's message is for people: kept, but not byte for byte.
static void describe(const struct cql_server_error *error, struct why *why)
{
    (void)why_set(why, ERR_UNAVAILABLE, "node answers 0x%04X: %.*s", (unsigned)error->code,
                  (int)(error->message.size < 400 ? error->message.size : 400),
                  error->message.data != NULL ? error->message.data : "");
}

// --- answers ------------------------------------------------------------------------------------

static void settle_damaged(struct cql_slot *slot, struct cql_connection *connection)
{
    struct why why = {0};
    (void)why_set(&why, ERR_UNAVAILABLE, "an answer is damaged");
    if (slot->own != NULL) {
        end_own(slot, NULL, &why);
    } else {
        cql_trouble(slot, CQL_TROUBLE_CONNECTION_LOST, NULL, &why);
    }
    cql_connection_fail(connection, ERR_UNAVAILABLE, "%s", why.text);
}

static void settle_own(struct cql_slot *slot, const struct cql_response *response)
{
    struct why why = {0};
    if (response->opcode == CQL_OPCODE_ERROR) {
        describe(&response->error, &why);
    }
    end_own(slot, response, &why);
}

void cql_settle_answer(struct cql_slot *slot, struct cql_connection *connection,
                       const struct cql_envelope *envelope)
{
    assert(slot->state == CQL_SLOT_IN_FLIGHT);
    struct cql_response response;
    if (!cql_response_read(envelope, &response)) {
        settle_damaged(slot, connection);
        return;
    }
    tell_warnings(slot->cql, response.warnings);
    if (slot->own != NULL) {
        settle_own(slot, &response);
    } else if (response.opcode == CQL_OPCODE_ERROR) {
        struct why why = {0};
        describe(&response.error, &why);
        cql_trouble(slot, CQL_TROUBLE_ERROR, &response.error, &why);
    } else if (response.opcode == CQL_OPCODE_RESULT) {
        settle_result(slot, envelope, &response);
    } else {
        settle_damaged(slot, connection);
    }
}

void cql_settle_void(struct cql_slot *slot)
{
    slot->error_code = -1;
    slot->outcome = CQL_DONE;
    complete(slot, ERR_OK);
}

// --- patience -----------------------------------------------------------------------------------

static void give_up_in_flight(struct cql_slot *slot, const struct why *why)
{
    struct cql_connection *connection = slot->connection;
    struct cql_node *node = slot->node;
    cql_streams_orphan(&connection->streams, slot->stream);
    slot->cql->figures.timeouts++;
    if (slot->own != NULL) {
        end_own(slot, NULL, why);
    } else {
        cql_trouble(slot, CQL_TROUBLE_TIMEOUT, NULL, why);
    }
    if (node != NULL && connection->streams.orphans > slot->cql->orphans_max) {
        cql_node_replace(node, connection);
    }
    cql_node_check_drained(connection);
}

void cql_patience_over(void *context)
{
    struct cql_slot *slot = context;
    struct why why = {0};
    if (slot->state == CQL_SLOT_RESTING && slot->cql->group.loop.now_ns < slot->deadline_ns) {
        cql_loop_timer(&slot->cql->group.loop, &slot->timer,
                       (slot->deadline_ns - slot->cql->group.loop.now_ns) / 1000);
        cql_place(slot);
        return;
    }
    if (slot->state == CQL_SLOT_IN_FLIGHT) {
        (void)why_set(&why, ERR_TIMEOUT, "no answer within %lld ms",
                      (long long)((slot->cql->group.loop.now_ns - slot->sent_ns) / 1000000));
        give_up_in_flight(slot, &why);
        return;
    }
    assert(slot->own == NULL);
    slot->cql->figures.timeouts++;
    slot->error_code = -1;
    (void)why_set(&why, ERR_TIMEOUT, "no node took the request in time");
    cql_queue_leave(slot);
    cql_fail(slot, ERR_TIMEOUT, CQL_NOT_DONE, &why);
}

// The connections that hold these answers are about to be read from again.
void cql_hold_done(struct cql *cql)
{
    for (struct cql_slot *slot = cql->done.first; slot != NULL; slot = slot->next) {
        if (slot->has_result && slot->held == NULL) {
            struct cql_envelope envelope = slot->envelope;
            cql_hold(slot, &envelope);
        }
    }
}
