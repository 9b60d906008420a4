// One reading of the cluster: rows of system.local, system.peers_v2 (or system.peers before 4.0) and
// system_schema.keyspaces become nodes, a ring of tokens and the replication of keyspaces. A row without
// an id, an address, a data centre or tokens is of a node that is just coming or going: left out.
#include "cql_session.h"

#include "cql_token.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX     64u // of a row of a system table; those beyond are not looked at
#define KEYSPACES_MAX   4096u
#define NODE_TOKENS_MAX 4096u

// --- cells by name ------------------------------------------------------------------------------

struct named_row {
    const struct cql_metadata *metadata;
    struct cql_cell cells[COLUMNS_MAX];
};

static struct cql_cell cell_of(const struct named_row *row, const char *name)
{
    size_t index = cql_metadata_find(row->metadata, text_of(name));
    return index < COLUMNS_MAX ? row->cells[index] : (struct cql_cell){.presence = CQL_NULL};
}

static struct text text_cell(const struct named_row *row, const char *name)
{
    struct text value = {0};
    return cql_get_blob(cell_of(row, name), &value) == CQL_GOT_VALUE ? value : (struct text){0};
}

static bool inet_cell(const struct named_row *row, const char *name, struct cql_inet *out)
{
    return cql_get_inet(cell_of(row, name), out) == CQL_GOT_VALUE;
}

static uint16_t port_cell(const struct named_row *row, const char *name, uint16_t otherwise)
{
    int32_t port = 0;
    bool known =
        cql_get_int(cell_of(row, name), &port) == CQL_GOT_VALUE && port > 0 && port <= UINT16_MAX;
    return known ? (uint16_t)port : otherwise;
}

// --- a node -------------------------------------------------------------------------------------

static struct text keep(struct cql_topology *topology, struct text text)
{
    return (struct text){arena_copy(&topology->arena, text.data, text.size), text.size};
}

static bool read_tokens(struct cql_topology *topology, const struct named_row *row,
                        struct cql_node_row *node)
{
    struct cql_items items;
    if (cql_get_list(cell_of(row, "tokens"), &items) != CQL_GOT_VALUE || items.left == 0 ||
        items.left > NODE_TOKENS_MAX) {
        return false;
    }
    int64_t *tokens = ARENA_ARRAY(&topology->arena, int64_t, items.left);
    struct cql_cell item;
    size_t count = 0;
    while (tokens != NULL && cql_items_next(&items, &item)) {
        if (!cql_token_parse(item.bytes, &tokens[count])) {
            return false; // of another partitioner
        }
        count++;
    }
    node->tokens = tokens;
    node->token_count = count;
    return tokens != NULL && !items.damaged;
}

static bool read_node(struct cql_topology *topology, const struct named_row *row,
                      struct cql_node_row *node)
{
    node->dc = keep(topology, text_cell(row, "data_center"));
    node->rack = keep(topology, text_cell(row, "rack"));
    node->release_version = keep(topology, text_cell(row, "release_version"));
    bool has_schema =
        cql_get_uuid(cell_of(row, "schema_version"), &node->schema_version) == CQL_GOT_VALUE;
    return cql_get_uuid(cell_of(row, "host_id"), &node->host_id) == CQL_GOT_VALUE &&
           node->dc.size > 0 && node->rack.size > 0 && has_schema &&
           read_tokens(topology, row, node);
}

static bool is_listed(const struct cql_topology *topology, const struct cql_uuid *host_id)
{
    for (size_t i = 0; i < topology->row_count; i++) {
        if (cql_uuid_equal(&topology->rows[i].host_id, host_id)) {
            return true;
        }
    }
    return false;
}

static void add_row(struct cql_topology *topology, const struct cql_node_row *node, bool sound)
{
    if (!sound || topology->row_count == CQL_NODES_MAX || is_listed(topology, &node->host_id)) {
        topology->left_out++;
        return;
    }
    topology->rows[topology->row_count++] = *node;
}

MUST_USE static enum err arena_state(const struct cql_topology *topology)
{
    return arena_overflowed(&topology->arena) ? ERR_NO_MEMORY : ERR_OK;
}

struct cql_topology *cql_topology_begin(struct cql *cql)
{
    struct cql_topology *topology = &cql->memory[cql->topology == &cql->memory[0] ? 1 : 0];
    struct arena arena = topology->arena;
    uint64_t generation = cql->topology != NULL ? cql->topology->generation + 1 : 1;
    arena_reset(&arena);
    *topology = (struct cql_topology){.arena = arena, .generation = generation};
    topology->rows = ARENA_ARRAY(&topology->arena, struct cql_node_row, CQL_NODES_MAX);
    topology->keyspaces = ARENA_ARRAY(&topology->arena, struct cql_keyspace, KEYSPACES_MAX);
    assert(topology->keyspaces != NULL); // the arena is larger than both
    return topology;
}

// --- the tables ---------------------------------------------------------------------------------

static bool next_row(struct cql_row_reader *reader, struct named_row *row)
{
    return cql_row_next(reader, row->cells, COLUMNS_MAX);
}

enum err cql_topology_add_local(struct cql_topology *topology, const struct cql_rows *rows,
                                const struct cql_address *connected, uint16_t port)
{
    struct named_row row = {.metadata = &rows->metadata};
    struct cql_row_reader reader = cql_rows_read(rows);
    struct cql_node_row node = {.is_control = true, .told = *connected};
    if (!next_row(&reader, &row)) {
        return ERR_UNAVAILABLE;
    }
    struct cql_inet inet = {0};
    bool told = inet_cell(&row, "rpc_address", &inet) &&
                (!cql_inet_is_any(&inet) || inet_cell(&row, "broadcast_address", &inet));
    if (told) {
        node.told = cql_address_of(&inet, port_cell(&row, "rpc_port", port));
    }
    topology->cluster_name = keep(topology, text_cell(&row, "cluster_name"));
    topology->partitioner = keep(topology, text_cell(&row, "partitioner"));
    if (!read_node(topology, &row, &node) && node.dc.size == 0) {
        return ERR_UNAVAILABLE; // it is just starting
    }
    add_row(topology, &node, true);
    return arena_state(topology);
}

// The address for clients; where that is 0.0.0.0, the one that the nodes use among themselves.
static bool told_address(const struct named_row *row, uint16_t port, struct cql_address *out)
{
    struct cql_inet inet = {0};
    bool has_rpc = inet_cell(row, "native_address", &inet) || inet_cell(row, "rpc_address", &inet);
    if (!has_rpc) {
        return false;
    }
    if (cql_inet_is_any(&inet) && !inet_cell(row, "peer", &inet)) {
        return false;
    }
    *out = cql_address_of(&inet, port_cell(row, "native_port", port));
    return true;
}

enum err cql_topology_add_peers(struct cql_topology *topology, const struct cql_rows *rows,
                                uint16_t port)
{
    struct named_row row = {.metadata = &rows->metadata};
    struct cql_row_reader reader = cql_rows_read(rows);
    while (next_row(&reader, &row)) {
        struct cql_node_row node = {0};
        bool sound = told_address(&row, port, &node.told) && read_node(topology, &row, &node);
        add_row(topology, &node, sound);
    }
    return arena_state(topology);
}

static struct cql_cell keep_cell(struct cql_topology *topology, struct cql_cell cell)
{
    cell.bytes = keep(topology, cell.bytes);
    return cell;
}

enum err cql_topology_add_keyspaces(struct cql_topology *topology, const struct cql_rows *rows)
{
    struct named_row row = {.metadata = &rows->metadata};
    struct cql_row_reader reader = cql_rows_read(rows);
    while (topology->keyspace_count < KEYSPACES_MAX && next_row(&reader, &row)) {
        struct cql_keyspace *keyspace = &topology->keyspaces[topology->keyspace_count];
        struct cql_cell map = keep_cell(topology, cell_of(&row, "replication"));
        keyspace->name = keep(topology, text_cell(&row, "keyspace_name"));
        if (!arena_overflowed(&topology->arena) &&
            cql_replication_read(map, &keyspace->replication)) {
            topology->keyspace_count++;
        }
    }
    return arena_state(topology);
}

// --- what changes -------------------------------------------------------------------------------

static struct cql_node *find_node(struct cql *cql, const struct cql_uuid *host_id)
{
    for (size_t i = 0; i < cql->node_count; i++) {
        if (cql_uuid_equal(&cql->nodes[i]->host_id, host_id)) {
            return cql->nodes[i];
        }
    }
    return NULL;
}

static void set_name(char *name, size_t cap, struct text text)
{
    size_t size = text.size < cap ? text.size : cap - 1;
    memcpy(name, text.data, size);
    name[size] = '\0';
}

// A node that the cluster told us of is reached as it is told; the one that was reached by a contact point
// is reached like that.
static struct cql_endpoint endpoint_of(const struct cql *cql, const struct cql_node_row *row)
{
    if (row->is_control) {
        return cql->control.endpoint;
    }
    struct cql_endpoint endpoint = {.address = row->told, .version = cql->version_max};
    cql_address_format_host(&row->told, endpoint.host);
    return endpoint;
}

static struct cql_node *know_node(struct cql *cql, const struct cql_node_row *row)
{
    struct cql_node *node = find_node(cql, &row->host_id);
    struct cql_endpoint endpoint = endpoint_of(cql, row);
    if (node == NULL) {
        node = cql_node_create(cql, &endpoint);
        if (node == NULL) {
            return NULL;
        }
        node->host_id = row->host_id;
        cql->nodes[cql->node_count++] = node;
    } else if (!cql_address_equal(&node->told, &row->told)) {
        cql_node_move(node, &endpoint);
    }
    node->told = row->told;
    node->schema_version = row->schema_version;
    node->listed = true;
    set_name(node->dc, sizeof(node->dc), row->dc);
    set_name(node->rack, sizeof(node->rack), row->rack);
    set_name(node->release_version, sizeof(node->release_version), row->release_version);
    return node;
}

// Nodes that this reading does not list are gone. When there are more than can be known, none is added.
static void forget_unlisted(struct cql *cql)
{
    size_t kept = 0;
    for (size_t i = 0; i < cql->node_count; i++) {
        struct cql_node *node = cql->nodes[i];
        if (node->listed) {
            cql->nodes[kept++] = node;
        } else {
            cql_notice(cql, "a node left the cluster");
            cql_node_retire(node);
        }
    }
    cql->node_count = kept;
}

MUST_USE static enum err know_nodes(struct cql *cql, struct cql_topology *topology)
{
    for (size_t i = 0; i < cql->node_count; i++) {
        cql->nodes[i]->listed = false;
    }
    size_t known = cql->node_count;
    for (size_t i = 0; i < topology->row_count; i++) {
        struct cql_node *node =
            cql->node_count < CQL_NODES_MAX || find_node(cql, &topology->rows[i].host_id) != NULL
                ? know_node(cql, &topology->rows[i])
                : NULL;
        topology->nodes[i] = node;
        if (node == NULL) {
            for (size_t j = 0; j < known; j++) {
                cql->nodes[j]->listed = true;
            }
            return ERR_NO_MEMORY;
        }
    }
    return ERR_OK;
}

static void choose_local(struct cql *cql)
{
    cql->local_count = 0;
    for (size_t i = 0; i < cql->node_count; i++) {
        struct cql_node *node = cql->nodes[i];
        node->local = node->listed && strcmp(node->dc, cql->local_dc) == 0;
        if (node->local) {
            cql->local[cql->local_count++] = node;
        }
    }
}

MUST_USE static enum err build_ring(struct cql_topology *topology)
{
    struct cql_ring_node *nodes =
        ARENA_ARRAY(&topology->arena, struct cql_ring_node, topology->row_count);
    for (size_t i = 0; nodes != NULL && i < topology->row_count; i++) {
        const struct cql_node_row *row = &topology->rows[i];
        nodes[i] = (struct cql_ring_node){row->dc, row->rack, row->tokens, row->token_count};
    }
    return nodes == NULL
               ? ERR_NO_MEMORY
               : cql_ring_build(&topology->ring, nodes, topology->row_count, &topology->arena);
}

static void choose_dc(struct cql *cql, const struct cql_topology *topology)
{
    if (cql->local_dc[0] != '\0') {
        return;
    }
    struct text dc =
        cql->local_dc_wanted != NULL ? text_of(cql->local_dc_wanted) : topology->rows[0].dc;
    set_name(cql->local_dc, sizeof(cql->local_dc), dc);
}

MUST_USE static enum err check(const struct cql *cql, const struct cql_topology *topology,
                               struct why *why)
{
    if (cql->cluster_name_wanted != NULL &&
        !text_equal(topology->cluster_name, text_of(cql->cluster_name_wanted))) {
        return why_set(why, ERR_CONFIG, "the node is of the cluster \"%.*s\", not \"%s\"",
                       TEXT_PRINT(topology->cluster_name), cql->cluster_name_wanted);
    }
    return ERR_OK;
}

enum err cql_topology_apply(struct cql *cql, struct why *why)
{
    struct cql_topology *topology = cql->reading;
    enum err err = check(cql, topology, why);
    if (err != ERR_OK) {
        return err;
    }
    topology->nodes = ARENA_ARRAY(&topology->arena, struct cql_node *, topology->row_count);
    err = topology->nodes != NULL ? build_ring(topology) : ERR_NO_MEMORY;
    if (err == ERR_OK) {
        err = know_nodes(cql, topology);
    }
    if (err != ERR_OK) {
        return why_set(why, err, "the cluster is too large");
    }
    choose_dc(cql, topology);
    cql->topology = topology;
    cql->reading = NULL;
    choose_local(cql);
    forget_unlisted(cql);
    if (cql->local_count == 0) {
        return why_set(why, ERR_CONFIG, "the data centre \"%s\" has no node", cql->local_dc);
    }
    for (size_t i = 0; i < cql->local_count; i++) {
        cql_node_open(cql->local[i]);
    }
    cql_place_homeless(cql);
    return ERR_OK;
}

// Nodes that are up: of the local data centre all but those that let nobody in (one that we are about to
// connect to counts), of others all but those of which the cluster has told that they are down.
bool cql_schema_agrees(const struct cql *cql)
{
    const struct cql_uuid *version = NULL;
    for (size_t i = 0; i < cql->node_count; i++) {
        const struct cql_node *node = cql->nodes[i];
        bool is_up = node->local ? node->ready_count > 0 || !node->failed : !node->reported_down;
        if (is_up && version != NULL && !cql_uuid_equal(version, &node->schema_version)) {
            return false;
        }
        version = is_up ? &node->schema_version : version;
    }
    return true;
}
