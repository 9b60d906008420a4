// A node's connections: opened, replaced, and opened again for ever with growing pauses. What a node is
// worth is what its connections show; that the cluster calls it down or up only makes us look sooner.
#include "cql_session.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LATENCY_SHARE 16 // of a new sample in the smoothed latency: a sixteenth

void cql_notice(struct cql *cql, const char *format, ...)
{
    if (cql->notice == NULL) {
        return;
    }
    char text[640];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (size > 0) {
        size_t whole = (size_t)size < sizeof(text) ? (size_t)size : sizeof(text) - 1;
        cql->notice(cql->notice_context, (struct text){text, whole});
    }
}

void cql_bury(struct cql *cql, struct cql_connection *connection)
{
    assert(connection->state == CQL_CONNECTION_CLOSED);
    connection->next_free = cql->closed;
    cql->closed = connection;
}

// --- requests of a connection that is gone ------------------------------------------------------

// Of a round that was never flushed nothing left this process.
static void fail_slot(struct cql_slot *slot, struct cql_connection *connection)
{
    bool not_sent = slot->send_round == connection->send_round;
    cql_trouble(slot, not_sent ? CQL_TROUBLE_NOT_SENT : CQL_TROUBLE_CONNECTION_LOST, NULL,
                &connection->why);
}

static void end_own(struct cql_slot *slot, const struct why *why)
{
    cql_queue_leave(slot);
    slot->state = CQL_SLOT_DONE;
    slot->own(slot->cql, slot, NULL, why);
    cql_slot_release(slot);
}

void cql_forget_streams(struct cql *cql, struct cql_connection *connection)
{
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t id = 0; id < connection->streams.fresh; id++) {
            uint16_t owner = cql_streams_owner(&connection->streams, (int32_t)id);
            struct cql_slot *slot = owner <= CQL_OWNER_MAX ? &cql->slots[owner] : NULL;
            if (slot == NULL || slot->connection != connection ||
                slot->state != CQL_SLOT_IN_FLIGHT) {
                continue;
            }
            if (round == 0 && slot->own != NULL) {
                end_own(slot, &connection->why);
            } else if (round == 1 && slot->own == NULL) {
                fail_slot(slot, connection);
            }
        }
    }
}

// What its window counts: all but its own heartbeat.
static uint32_t requests_of(const struct cql_connection *connection)
{
    uint32_t count = connection->streams.in_use;
    for (uint32_t id = 0; id < connection->streams.fresh; id++) {
        count -= cql_streams_owner(&connection->streams, (int32_t)id) == CQL_OWNER_SELF;
    }
    return count;
}

static void move_queue(struct cql_node *node)
{
    for (size_t left = node->queue.count; left > 0; left--) {
        cql_place(cql_queue_pop(&node->queue));
    }
}

// --- what a connection tells --------------------------------------------------------------------

static size_t place_of(const struct cql_node *node, const struct cql_connection *connection)
{
    size_t i = 0;
    while (i < CQL_NODE_CONNECTIONS && node->connections[i] != connection) {
        i++;
    }
    return i;
}

static void node_ready(void *context, struct cql_connection *connection)
{
    struct cql_node *node = context;
    struct cql *cql = node->cql;
    cql->figures.connections_opened++;
    node->ready_count++;
    node->failed = false;
    cql_wheel_clear(&node->timer);
    if (!node->up) {
        char address[CQL_ADDRESS_TEXT_SIZE];
        cql_address_format(&node->endpoint.address, address);
        cql_notice(cql, "node %s is connected", address);
    }
    node->up = true;
    cql_statement_prepare_on(cql, connection);
    cql_node_open(node);
    cql_place_homeless(cql);
}

static void note_latency(struct cql_node *node, const struct cql_slot *slot)
{
    int64_t sample_ns = node->cql->group.loop.now_ns - slot->sent_ns;
    node->latency_ns = node->latency_ns == 0
                           ? sample_ns
                           : node->latency_ns + (sample_ns - node->latency_ns) / LATENCY_SHARE;
}

static bool is_overloaded(const struct cql_envelope *envelope)
{
    struct cql_response response;
    return envelope->opcode == CQL_OPCODE_ERROR && cql_response_read(envelope, &response) &&
           response.error.code == CQL_ERROR_OVERLOADED;
}

void cql_node_check_drained(struct cql_connection *connection)
{
    if (connection->draining && connection->streams.in_use == connection->streams.orphans) {
        cql_connection_fail(connection, ERR_UNAVAILABLE, "too many answers were overdue");
    }
}

static void node_answer(void *context, struct cql_connection *connection, uint16_t owner,
                        const struct cql_envelope *envelope)
{
    struct cql_node *node = context;
    bool is_void = cql_envelope_is_void(envelope);
    cql_window_answered(&node->window, !is_void && is_overloaded(envelope));
    if (__builtin_expect(owner != CQL_OWNER_ORPHAN, 1)) {
        struct cql_slot *slot = &node->cql->slots[owner];
        assert(slot->state == CQL_SLOT_IN_FLIGHT && slot->connection == connection);
        note_latency(node, slot);
        if (__builtin_expect(is_void && slot->own == NULL, 1)) {
            cql_settle_void(slot);
        } else {
            cql_settle_answer(slot, connection, envelope);
        }
    }
    cql_node_check_drained(connection);
}

static void try_later(struct cql_node *node, enum err err)
{
    if (err_class_of(err) != ERR_CLASS_RETRY) {
        node->backoff.failures = UINT32_MAX / 2; // a password does not get right by trying
    }
    cql_loop_timer(&node->cql->group.loop, &node->timer,
                   cql_backoff_next_us(&node->backoff, &node->cql->rand));
}

static void leave_node(struct cql_node *node, struct cql_connection *connection)
{
    size_t place = place_of(node, connection);
    if (place < CQL_NODE_CONNECTIONS) {
        node->connections[place] = NULL;
        node->ready_count -= connection->was_ready;
        return;
    }
    struct cql_connection **at = &node->draining;
    while (*at != NULL && *at != connection) {
        at = &(*at)->next_draining;
    }
    assert(*at == connection);
    *at = connection->next_draining;
}

// A connection that served for a while is replaced at once; one that is refused, or ends as soon as it is
// there, after a pause.
static bool may_open_now(const struct cql_node *node, const struct cql_connection *connection)
{
    int64_t lived_us = (node->cql->group.loop.now_ns - connection->ready_ns) / 1000;
    return connection->version > node->endpoint.version || connection->draining ||
           (connection->was_ready && lived_us >= node->cql->reconnect_min_us);
}

static void tell_lost(struct cql_node *node, const struct cql_connection *connection)
{
    if (node->up && node->ready_count == 0) {
        node->up = false;
        cql_notice(node->cql, "node is lost: %s", connection->why.text);
    }
}

static void connect_again(struct cql_node *node, const struct cql_connection *connection)
{
    if (may_open_now(node, connection)) {
        if (connection->was_ready) {
            cql_backoff_reset(&node->backoff);
        }
        cql_node_open(node);
        return;
    }
    node->failed = true;
    node->err = connection->err;
    node->why = connection->why;
    try_later(node, connection->err);
}

static void node_lost(void *context, struct cql_connection *connection)
{
    struct cql_node *node = context;
    struct cql *cql = node->cql;
    leave_node(node, connection);
    cql->figures.connections_lost += connection->was_ready;
    if (connection->was_ready) {
        cql_window_forget(&node->window, requests_of(connection));
    }
    cql_bury(cql, connection);
    tell_lost(node, connection);
    cql_forget_streams(cql, connection);
    if (node->ready_count == 0) {
        move_queue(node);
    }
    connect_again(node, connection);
}

static const struct cql_connection_user node_user = {
    .ready = node_ready, .answer = node_answer, .lost = node_lost};

// --- opening ------------------------------------------------------------------------------------

static void open_one(struct cql_node *node, size_t place)
{
    struct why why = {0};
    enum err err = cql_connection_open(&node->cql->group, &node->endpoint, &node_user, node, false,
                                       &node->connections[place], &why);
    if (err != ERR_OK) {
        node->failed = true;
        node->err = err;
        node->why = why;
        try_later(node, err);
    }
}

void cql_node_open(struct cql_node *node)
{
    for (size_t i = 0; i < node->cql->connections_per_node; i++) {
        if (node->local && node->listed && node->connections[i] == NULL &&
            !cql_timer_is_set(&node->timer)) {
            open_one(node, i);
        }
    }
}

void cql_node_hurry(struct cql_node *node)
{
    cql_backoff_reset(&node->backoff);
    cql_wheel_clear(&node->timer);
    cql_node_open(node);
}

static void timer_fired(void *context)
{
    cql_node_open(context);
}

struct cql_node *cql_node_create(struct cql *cql, const struct cql_endpoint *endpoint)
{
    struct cql_node *node = calloc(1, sizeof(*node));
    if (node == NULL) {
        return NULL;
    }
    node->cql = cql;
    node->number = ++cql->node_number;
    node->endpoint = *endpoint;
    node->timer = (struct cql_timer){.fire = timer_fired, .context = node};
    node->backoff =
        (struct cql_backoff){.min_us = cql->reconnect_min_us, .max_us = cql->reconnect_max_us};
    cql_window_init(&node->window, cql->window_max);
    return node;
}

struct cql_connection *cql_node_connection(const struct cql_node *node)
{
    struct cql_connection *best = NULL;
    for (size_t i = 0; i < node->cql->connections_per_node; i++) {
        struct cql_connection *connection = node->connections[i];
        if (connection != NULL && connection->state == CQL_CONNECTION_READY &&
            (best == NULL || connection->streams.in_use < best->streams.in_use)) {
            best = connection;
        }
    }
    return best;
}

// Its place is free for another; it ends when all that can still be answered is.
void cql_node_replace(struct cql_node *node, struct cql_connection *connection)
{
    size_t place = place_of(node, connection);
    if (place == CQL_NODE_CONNECTIONS || connection->state != CQL_CONNECTION_READY) {
        return; // being replaced already
    }
    cql_notice(node->cql, "a connection is replaced: %u answers are overdue",
               connection->streams.orphans);
    node->connections[place] = NULL;
    node->ready_count--;
    connection->draining = true;
    connection->next_draining = node->draining;
    node->draining = connection;
    cql_node_open(node);
    if (node->ready_count == 0) {
        move_queue(node);
    }
}

static void close_all(struct cql_node *node, const char *reason)
{
    for (size_t i = 0; i < CQL_NODE_CONNECTIONS; i++) {
        if (node->connections[i] != NULL) {
            cql_connection_fail(node->connections[i], ERR_UNAVAILABLE, "%s", reason);
        }
    }
    while (node->draining != NULL) {
        cql_connection_fail(node->draining, ERR_UNAVAILABLE, "%s", reason);
    }
}

void cql_node_move(struct cql_node *node, const struct cql_endpoint *endpoint)
{
    bool listed = node->listed;
    node->listed = false; // nothing is opened in between
    close_all(node, "the node has another address");
    node->endpoint = *endpoint;
    node->listed = listed;
    cql_node_hurry(node);
}

void cql_node_retire(struct cql_node *node)
{
    node->listed = node->local = false;
    close_all(node, "the node left the cluster");
    cql_wheel_clear(&node->timer);
    move_queue(node);
    node->next_gone = node->cql->gone;
    node->cql->gone = node;
}

void cql_node_free(struct cql_node *node)
{
    for (size_t i = 0; i < CQL_NODE_CONNECTIONS; i++) {
        cql_connection_free(&node->connections[i]);
    }
    while (node->draining != NULL) {
        struct cql_connection *next = node->draining->next_draining;
        cql_connection_free(&node->draining);
        node->draining = next;
    }
    cql_wheel_clear(&node->timer);
    free(node);
}
