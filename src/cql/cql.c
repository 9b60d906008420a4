// What a caller does with a session: submit, poll, wait. The turn of the loop is here.
#include "cql_session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_SIZE    (64u << 10) // bytes written by cql_submit that do not wait for cql_poll
#define AGREEMENT_US  INT64_C(200000)
#define OVERHEAD_SIZE 4096u // most bytes of a request besides texts and values
#define ENTRY_SIZE    64u   // of each statement of a batch besides its values

// --- a turn -------------------------------------------------------------------------------------

// What was received may be forgotten: nobody holds views into it any more.
static void sweep(struct cql *cql)
{
    while (cql->closed != NULL) {
        struct cql_connection *next = cql->closed->next_free;
        cql_connection_free(&cql->closed);
        cql->closed = next;
    }
    while (cql->gone != NULL) {
        struct cql_node *next = cql->gone->next_gone;
        cql_node_free(cql->gone);
        cql->gone = next;
    }
    cql_statements_sweep(cql);
}

static void run_queues(struct cql *cql)
{
    for (size_t i = 0; i < cql->local_count; i++) {
        if (cql->local[i]->queue.count > 0) {
            cql_node_run_queue(cql->local[i]);
        }
    }
    cql_connections_flush(&cql->group);
}

void cql_turn(struct cql *cql, int64_t timeout_ns)
{
    struct cql_loop *loop = &cql->group.loop;
    sweep(cql);
    (void)cql_loop_look(loop);
    run_queues(cql);
    int64_t next_ns = cql_wheel_next_ns(&loop->wheel);
    int64_t wait_ns = next_ns > loop->now_ns ? next_ns - loop->now_ns : 0;
    wait_ns = wait_ns < timeout_ns ? wait_ns : timeout_ns;
    cql_connections_wait(&cql->group, cql->done.count > 0 && !cql->holding ? 0 : wait_ns);
    cql_wheel_run(&loop->wheel, loop->now_ns);
    run_queues(cql);
}

static void release_given(struct cql *cql)
{
    struct cql_slot *slot = cql_queue_pop(&cql->given);
    while (slot != NULL) {
        cql_slot_release(slot);
        slot = cql_queue_pop(&cql->given);
    }
}

// --- submitting ---------------------------------------------------------------------------------

static size_t batch_size(const struct cql_request *request)
{
    size_t size = 0;
    for (uint16_t i = 0; i < request->batch_count; i++) {
        size += request->batch[i].values.bytes.size + ENTRY_SIZE;
    }
    return size;
}

MUST_USE static enum err check_values(const struct cql_statement *statement,
                                      struct cql_values_view values, struct why *why)
{
    if (values.overflowed) {
        return why_set(why, ERR_INVALID, "the bound values did not fit, or made no sense");
    }
    if (statement != NULL && values.count != statement->value_count) {
        return why_set(why, ERR_INVALID, "%u values are bound, the statement has %u", values.count,
                       statement->value_count);
    }
    return ERR_OK;
}

MUST_USE static enum err check(const struct cql_request *request, struct why *why)
{
    int kinds = (request->statement != NULL) + (request->text.size > 0) + (request->batch != NULL);
    if (kinds != 1 || (request->batch != NULL && request->batch_count == 0)) {
        return why_set(why, ERR_INVALID, "a request is a statement, a text or a batch");
    }
    size_t size = request->text.size + request->values.bytes.size + request->paging_state.size +
                  batch_size(request) + OVERHEAD_SIZE;
    if (size > CQL_REQUEST_SIZE_MAX) {
        return why_set(why, ERR_TOO_LARGE, "a request of %zu bytes: %u are the most", size,
                       CQL_REQUEST_SIZE_MAX);
    }
    enum err err = check_values(request->statement, request->values, why);
    for (uint16_t i = 0; i < request->batch_count && err == ERR_OK; i++) {
        err = check_values(request->batch[i].statement, request->batch[i].values, why);
    }
    return err;
}

static bool is_conditional(const struct cql_request *request)
{
    bool conditional = request->statement != NULL
                           ? request->statement->conditional
                           : request->text.size > 0 && cql_text_is_conditional(request->text);
    for (uint16_t i = 0; i < request->batch_count && !conditional; i++) {
        conditional = request->batch[i].statement->conditional;
    }
    return conditional;
}

// NULL: the window is full.
static struct cql_slot *accept_request(struct cql *cql, const struct cql_request *request)
{
    struct cql_slot *slot = cql_slot_take(cql, false);
    if (slot == NULL) {
        return NULL;
    }
    int64_t timeout_us = request->timeout_us > 0 ? request->timeout_us : cql->request_timeout_us;
    cql->figures.requests++;
    slot->request = *request;
    slot->state = CQL_SLOT_WAITING;
    slot->conditional = is_conditional(request);
    cql_loop_timer(&cql->group.loop, &slot->timer, timeout_us);
    slot->deadline_ns = cql->group.loop.now_ns + timeout_us * 1000;
    cql_place(slot);
    return slot;
}

static void flush_if_much(struct cql_slot *slot)
{
    const struct cql_connection *connection = slot->connection;
    if (slot->state == CQL_SLOT_IN_FLIGHT &&
        connection->writer.end - connection->writer.sent >= FLUSH_SIZE) {
        cql_connection_flush(slot->connection);
    }
}

enum err cql_submit(struct cql *cql, const struct cql_request *requests, size_t count,
                    size_t *out_accepted, struct why *why)
{
    *out_accepted = 0;
    (void)cql_loop_look(&cql->group.loop);
    for (size_t i = 0; i < count; i++) {
        enum err err = check(&requests[i], why);
        if (err != ERR_OK) {
            return err;
        }
        struct cql_slot *slot = accept_request(cql, &requests[i]);
        if (slot == NULL) {
            return ERR_OK;
        }
        (*out_accepted)++;
        flush_if_much(slot);
    }
    return ERR_OK;
}

size_t cql_in_flight(const struct cql *cql)
{
    return cql->in_flight;
}

// --- polling ------------------------------------------------------------------------------------

static void describe(struct cql_slot *slot, struct cql_completion *completion)
{
    *completion = (struct cql_completion){
        .context = slot->request.context,
        .err = slot->err,
        .error_code = slot->error_code,
        .outcome = slot->outcome,
        .why = slot->err != ERR_OK ? cql_slot_why(slot) : NULL,
    };
    if (slot->has_result) {
        completion->result = slot->result;
    }
}

// Gives what is done. What a completion points to stays until the next call.
static size_t give(struct cql *cql, struct cql_completion *completions, size_t cap)
{
    size_t count = 0;
    while (count < cap && cql->done.count > 0) {
        struct cql_slot *slot = cql_queue_pop(&cql->done);
        describe(slot, &completions[count++]);
        if (slot->err == ERR_OK && !slot->has_result) {
            cql_slot_release(slot);
        } else {
            slot->state = CQL_SLOT_GIVEN;
            cql->in_flight--;
            cql_queue_push(&cql->given, slot);
        }
    }
    return count;
}

enum err cql_poll(struct cql *cql, int64_t timeout_us, struct cql_completion *completions,
                  size_t cap, size_t *out_count, struct why *why)
{
    (void)why;
    struct cql_loop *loop = &cql->group.loop;
    release_given(cql);
    if (cql->done.count == 0) {
        int64_t most_us = INT64_C(1) << 50;
        int64_t until_ns =
            cql_loop_look(loop) + (timeout_us < most_us ? timeout_us : most_us) * 1000;
        do {
            cql_turn(cql, until_ns - loop->now_ns);
        } while (cql->done.count == 0 && loop->now_ns < until_ns);
    } else {
        cql_connections_flush(&cql->group); // reading would end the life of what is done
    }
    *out_count = give(cql, completions, cap);
    return ERR_OK;
}

// --- waiting for one ----------------------------------------------------------------------------

enum err cql_execute(struct cql *cql, const struct cql_request *request,
                     struct cql_result *out_result, struct why *why)
{
    release_given(cql);
    (void)cql_loop_look(&cql->group.loop);
    enum err err = check(request, why);
    if (err != ERR_OK) {
        return err;
    }
    struct cql_slot *slot = accept_request(cql, request);
    if (slot == NULL) {
        return why_set(why, ERR_FULL, "too many requests are in flight");
    }
    slot->synchronous = true;
    cql->holding = true;
    cql_hold_done(cql);
    if (slot->state ==
        CQL_SLOT_DONE) { // it ended in the queue before it was known to be waited for
        cql_queue_leave(slot);
    }
    while (slot->state != CQL_SLOT_DONE) {
        cql_turn(cql, NS_PER_SECOND);
    }
    cql->holding = false;
    err = slot->err;
    if (err != ERR_OK) {
        (void)why_set(why, err, "%s", cql_slot_why(slot)->text);
    } else {
        *out_result = slot->has_result ? slot->result : (struct cql_result){0};
    }
    slot->state = CQL_SLOT_GIVEN;
    cql->in_flight--;
    cql_queue_push(&cql->given, slot);
    return err;
}

// --- schema agreement ---------------------------------------------------------------------------

// A reading that began now is over.
static void read_anew(struct cql *cql, int64_t until_ns)
{
    uint64_t wanted = cql->control.readings + (cql->control.reading ? 2 : 1);
    while (cql->control.readings < wanted && cql->group.loop.now_ns < until_ns) {
        cql_control_refresh(cql);
        int64_t left_ns = until_ns - cql->group.loop.now_ns;
        cql_turn(cql, left_ns < AGREEMENT_US * 1000 ? left_ns : AGREEMENT_US * 1000);
    }
}

static void pause_turns(struct cql *cql, int64_t pause_us)
{
    int64_t until_ns = cql->group.loop.now_ns + pause_us * 1000;
    while (cql->group.loop.now_ns < until_ns) {
        cql_turn(cql, until_ns - cql->group.loop.now_ns);
    }
}

enum err cql_await_schema_agreement(struct cql *cql, int64_t timeout_us, struct why *why)
{
    int64_t until_ns = cql_loop_look(&cql->group.loop) + timeout_us * 1000;
    bool agreed = false;
    release_given(cql);
    cql->holding = true;
    cql_hold_done(cql);
    while (!agreed && cql->group.loop.now_ns < until_ns) {
        uint64_t before = cql->control.readings;
        read_anew(cql, until_ns);
        agreed = cql->control.readings > before && cql_schema_agrees(cql);
        if (!agreed) {
            pause_turns(cql, AGREEMENT_US);
        }
    }
    cql->holding = false;
    return agreed ? ERR_OK
                  : why_set(why, ERR_TIMEOUT, "the nodes have different schemas after %lld ms",
                            (long long)(timeout_us / 1000));
}

// --- telling ------------------------------------------------------------------------------------

static struct text copy(struct arena *arena, const char *text)
{
    size_t size = strlen(text);
    return (struct text){arena_copy(arena, text, size), size};
}

static void tell_node(const struct cql_node *node, struct arena *arena,
                      struct cql_node_info *out_info)
{
    char address[CQL_ADDRESS_TEXT_SIZE];
    cql_address_format(&node->endpoint.address, address);
    *out_info = (struct cql_node_info){
        .address = copy(arena, address),
        .dc = copy(arena, node->dc),
        .rack = copy(arena, node->rack),
        .release_version = copy(arena, node->release_version),
        .host_id = node->host_id,
        .schema_version = node->schema_version,
        .local = node->local,
        .connections = node->ready_count,
        .in_flight = node->window.in_flight,
        .window = node->window.now,
        .latency_us = node->latency_ns / 1000,
    };
}

static int lowest_version(const struct cql *cql)
{
    int version = cql->version_max;
    for (size_t i = 0; i < cql->local_count; i++) {
        const struct cql_node *node = cql->local[i];
        version = node->endpoint.version < version ? node->endpoint.version : version;
    }
    return version;
}

enum err cql_cluster_info(const struct cql *cql, struct arena *arena,
                          struct cql_cluster_info *out_info, struct why *why)
{
    const struct cql_topology *topology = cql->topology;
    struct cql_node_info *nodes = ARENA_ARRAY(arena, struct cql_node_info, cql->node_count);
    for (size_t i = 0; nodes != NULL && i < cql->node_count; i++) {
        tell_node(cql->nodes[i], arena, &nodes[i]);
    }
    struct cql_cluster_info info = {
        .name = {arena_copy(arena, topology->cluster_name.data, topology->cluster_name.size),
                 topology->cluster_name.size},
        .partitioner = {arena_copy(arena, topology->partitioner.data, topology->partitioner.size),
                        topology->partitioner.size},
        .protocol_version = lowest_version(cql),
        .nodes = nodes,
        .node_count = cql->node_count,
    };
    if (arena_overflowed(arena)) {
        return why_set(why, ERR_NO_MEMORY, "no memory to tell of the cluster");
    }
    *out_info = info;
    return ERR_OK;
}

struct cql_figures cql_figures(const struct cql *cql)
{
    struct cql_figures figures = cql->figures;
    figures.bytes_sent = cql->group.bytes_sent;
    figures.bytes_received = cql->group.bytes_received;
    return figures;
}

void cql_set_notice(struct cql *cql, cql_notice_fn *notice, void *context)
{
    cql->notice = notice;
    cql->notice_context = context;
}
