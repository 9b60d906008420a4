// The control connection: to one node at a time, to another when it is lost. It reads what the cluster
// says of itself, again every minute, and hears events, which are hints: they make us look, a second
// later so that a storm of them is one look.
#include "cql_session.h"

#include <assert.h>

#define REFRESH_US (INT64_C(60) * US_PER_SECOND)
#define EVENT_US   (INT64_C(1) * US_PER_SECOND)

#define QUERY_LOCAL     "SELECT * FROM system.local WHERE key = 'local'"
#define QUERY_PEERS_V2  "SELECT * FROM system.peers_v2"
#define QUERY_PEERS     "SELECT * FROM system.peers"
#define QUERY_KEYSPACES "SELECT keyspace_name, replication FROM system_schema.keyspaces"

static void begin_round(struct cql *cql);
static void try_candidates(struct cql *cql);

// --- reading the cluster ------------------------------------------------------------------------

static bool is_rows(const struct cql_response *response)
{
    return response != NULL && response->opcode == CQL_OPCODE_RESULT &&
           response->result_kind == CQL_RESULT_ROWS;
}

static void fail_reading(struct cql *cql, enum err err, const char *what, const struct why *why)
{
    cql->control.reading = false;
    if (cql->control.connection != NULL) {
        cql_connection_fail(cql->control.connection, err, "%s: %s", what,
                            why->text[0] != '\0' ? why->text : err_text(err));
    }
}

static void ask(struct cql *cql, struct text query, cql_own_fn *own)
{
    struct why why = {0};
    if (!cql_ask(cql, cql->control.connection, query, own)) {
        fail_reading(cql, ERR_UNAVAILABLE, "no room for a request", &why);
    }
}

static void finish_reading(struct cql *cql)
{
    struct cql_control *control = &cql->control;
    struct why why = {0};
    control->reading = false;
    enum err err = cql_topology_apply(cql, &why);
    if (err != ERR_OK) {
        fail_reading(cql, err, "the cluster can't be used", &why);
        return;
    }
    control->rounds = 0;
    control->err = ERR_OK;
    control->state = CQL_CONTROL_READY;
    cql_backoff_reset(&control->backoff);
    control->readings++;
    if (!control->refresh_soon) {
        cql_loop_timer(&cql->group.loop, &control->refresh, REFRESH_US);
    }
}

static void got_keyspaces(struct cql *cql, struct cql_slot *slot,
                          const struct cql_response *response, const struct why *why)
{
    (void)slot;
    enum err err = is_rows(response) ? cql_topology_add_keyspaces(cql->reading, &response->rows)
                                     : ERR_UNAVAILABLE;
    if (err != ERR_OK) {
        fail_reading(cql, err, "system_schema.keyspaces", why);
    } else {
        finish_reading(cql);
    }
}

static void got_peers(struct cql *cql, struct cql_slot *slot, const struct cql_response *response,
                      const struct why *why);

static void ask_peers(struct cql *cql)
{
    ask(cql, cql->control.without_peers_v2 ? TEXT(QUERY_PEERS) : TEXT(QUERY_PEERS_V2), got_peers);
}

static void got_peers(struct cql *cql, struct cql_slot *slot, const struct cql_response *response,
                      const struct why *why)
{
    (void)slot;
    bool refused = response != NULL && response->opcode == CQL_OPCODE_ERROR;
    if (refused && !cql->control.without_peers_v2) { // older than 4.0
        cql->control.without_peers_v2 = true;
        ask_peers(cql);
        return;
    }
    enum err err = is_rows(response)
                       ? cql_topology_add_peers(cql->reading, &response->rows, cql->port)
                       : ERR_UNAVAILABLE;
    if (err != ERR_OK) {
        fail_reading(cql, err, "system.peers", why);
    } else {
        ask(cql, TEXT(QUERY_KEYSPACES), got_keyspaces);
    }
}

static void got_local(struct cql *cql, struct cql_slot *slot, const struct cql_response *response,
                      const struct why *why)
{
    (void)slot;
    enum err err = is_rows(response)
                       ? cql_topology_add_local(cql->reading, &response->rows,
                                                &cql->control.endpoint.address, cql->port)
                       : ERR_UNAVAILABLE;
    if (err != ERR_OK) {
        fail_reading(cql, err, "system.local", why);
    } else {
        ask_peers(cql);
    }
}

static void read_cluster(struct cql *cql)
{
    struct cql_control *control = &cql->control;
    control->reading = true;
    control->refresh_soon = false;
    cql_wheel_clear(&control->refresh);
    cql->reading = cql_topology_begin(cql);
    ask(cql, TEXT(QUERY_LOCAL), got_local);
}

static bool can_read(const struct cql_control *control)
{
    return control->connection != NULL && !control->reading &&
           control->connection->state == CQL_CONNECTION_READY;
}

void cql_control_refresh(struct cql *cql)
{
    if (can_read(&cql->control)) {
        read_cluster(cql);
    }
}

static void refresh_fired(void *context)
{
    struct cql *cql = context;
    cql->control.refresh_soon = false;
    if (can_read(&cql->control)) {
        read_cluster(cql);
    } else if (cql->control.reading) {
        cql_loop_timer(&cql->group.loop, &cql->control.refresh, EVENT_US);
    } // else a new control connection begins with a reading
}

static void refresh_soon(struct cql *cql)
{
    struct cql_control *control = &cql->control;
    if (!control->refresh_soon) {
        control->refresh_soon = true;
        cql_loop_timer(&cql->group.loop, &control->refresh, EVENT_US);
    }
}

// --- events -------------------------------------------------------------------------------------

static bool is_at(const struct cql_node *node, const struct cql_address *address)
{
    return cql_address_equal(&node->told, address) ||
           cql_address_equal(&node->endpoint.address, address);
}

static void node_reported(struct cql *cql, const struct cql_event *event, bool up)
{
    if (event->address.size == 0 || cql_inet_is_any(&event->address)) {
        return;
    }
    struct cql_address address = cql_address_of(&event->address, (uint16_t)event->port);
    for (size_t i = 0; i < cql->node_count; i++) {
        struct cql_node *node = cql->nodes[i];
        if (is_at(node, &address)) {
            node->reported_down = !up;
            if (up) {
                cql_node_hurry(node);
            }
            return;
        }
    }
    refresh_soon(cql);
}

static void control_event(void *context, struct cql_connection *connection,
                          const struct cql_envelope *envelope)
{
    struct cql *cql = context;
    struct cql_response response;
    if (!cql_response_read(envelope, &response)) {
        cql_connection_fail(connection, ERR_UNAVAILABLE, "an event is damaged");
        return;
    }
    switch (response.event.kind) {
    case CQL_EVENT_UP:
        node_reported(cql, &response.event, true);
        break;
    case CQL_EVENT_DOWN:
        node_reported(cql, &response.event, false);
        break;
    case CQL_EVENT_SCHEMA:
    case CQL_EVENT_NEW_NODE:
    case CQL_EVENT_REMOVED_NODE:
    case CQL_EVENT_MOVED_NODE:
        refresh_soon(cql);
        break;
    case CQL_EVENT_OTHER:
        break;
    }
}

// --- the connection -----------------------------------------------------------------------------

static void control_ready(void *context, struct cql_connection *connection)
{
    (void)connection;
    struct cql *cql = context;
    cql->figures.connections_opened++;
    read_cluster(cql);
}

static void control_answer(void *context, struct cql_connection *connection, uint16_t owner,
                           const struct cql_envelope *envelope)
{
    struct cql *cql = context;
    if (owner != CQL_OWNER_ORPHAN) {
        cql_settle_answer(&cql->slots[owner], connection, envelope);
    }
}

// The worst of what the candidates of a round said is what the caller is told: a wrong password says
// more than a node that is down.
static void remember_error(struct cql_control *control, enum err err, const struct why *why)
{
    bool worse = control->err == ERR_OK || err_class_of(err) != ERR_CLASS_RETRY ||
                 err_class_of(control->err) == ERR_CLASS_RETRY;
    if (worse) {
        control->err = err;
        control->why = *why;
    }
}

static void control_lost(void *context, struct cql_connection *connection)
{
    struct cql *cql = context;
    struct cql_control *control = &cql->control;
    bool was_ready = control->state == CQL_CONTROL_READY;
    cql->figures.connections_lost += connection->was_ready;
    control->connection = NULL;
    control->reading = false;
    control->state = CQL_CONTROL_CONNECTING;
    cql_bury(cql, connection);
    cql_forget_streams(cql, connection);
    if (connection->version > control->endpoint.version) {
        try_candidates(cql); // the same one, in the older version
        return;
    }
    remember_error(control, connection->err, &connection->why);
    if (was_ready) {
        cql_notice(cql, "the control connection is lost: %s", connection->why.text);
    }
    if (was_ready) {
        begin_round(cql);
    } else {
        control->candidate++;
        control->endpoint.version = 0;
    }
    try_candidates(cql);
}

static const struct cql_connection_user control_user = {
    .ready = control_ready, .answer = control_answer, .event = control_event, .lost = control_lost};

// --- candidates ---------------------------------------------------------------------------------

static void begin_round(struct cql *cql)
{
    struct cql_control *control = &cql->control;
    control->candidate = 0;
    control->order = (uint32_t)rand_u64(&cql->rand);
    control->candidate_count = cql->local_count + cql->contact_count;
    control->endpoint.version = 0;
}

// Local nodes, those that are connected first; then the contact points as they were given.
static struct cql_endpoint candidate_endpoint(const struct cql *cql)
{
    const struct cql_control *control = &cql->control;
    size_t at = control->candidate;
    if (at >= cql->local_count) {
        at -= cql->local_count;
        return cql->contacts[(control->order + at) % cql->contact_count];
    }
    for (unsigned connected = 1;; connected--) {
        for (size_t i = 0; i < cql->local_count; i++) {
            const struct cql_node *node = cql->local[(control->order + i) % cql->local_count];
            if ((node->ready_count > 0) == (connected == 1) && at-- == 0) {
                return node->endpoint;
            }
        }
        assert(connected > 0);
    }
}

static void end_round(struct cql *cql)
{
    struct cql_control *control = &cql->control;
    control->rounds++;
    control->state = CQL_CONTROL_RESTING;
    cql_loop_timer(&cql->group.loop, &control->timer,
                   cql_backoff_next_us(&control->backoff, &cql->rand));
}

static void try_candidates(struct cql *cql)
{
    struct cql_control *control = &cql->control;
    control->state = CQL_CONTROL_CONNECTING;
    while (control->connection == NULL) {
        if (control->candidate >= control->candidate_count ||
            control->candidate >= cql->local_count + cql->contact_count) {
            end_round(cql);
            return;
        }
        if (control->endpoint.version == 0) {
            control->endpoint = candidate_endpoint(cql);
        }
        struct why why = {0};
        enum err err = cql_connection_open(&cql->group, &control->endpoint, &control_user, cql,
                                           true, &control->connection, &why);
        if (err != ERR_OK) {
            remember_error(control, err, &why);
            control->candidate++;
            control->endpoint.version = 0;
        }
    }
}

static void round_fired(void *context)
{
    struct cql *cql = context;
    begin_round(cql);
    try_candidates(cql);
}

void cql_control_start(struct cql *cql)
{
    struct cql_control *control = &cql->control;
    control->timer = (struct cql_timer){.fire = round_fired, .context = cql};
    control->refresh = (struct cql_timer){.fire = refresh_fired, .context = cql};
    control->backoff =
        (struct cql_backoff){.min_us = cql->reconnect_min_us, .max_us = cql->reconnect_max_us};
    begin_round(cql);
    try_candidates(cql);
}

void cql_control_close(struct cql *cql)
{
    cql_wheel_clear(&cql->control.timer);
    cql_wheel_clear(&cql->control.refresh);
    cql_connection_free(&cql->control.connection);
}
