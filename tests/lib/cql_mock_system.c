// The system tables that drivers read: who the node is, which others there are, and keyspaces. Gives the
// columns that the statement names, or all for `*`, in the real tables' types.
#include "cql_mock_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COLUMNS_MAX 20u

enum field {
    FIELD_NULL, // known, and never set
    FIELD_KEY,
    FIELD_BOOTSTRAPPED,
    FIELD_ADDRESS,
    FIELD_PORT,
    FIELD_CLUSTER_NAME,
    FIELD_CQL_VERSION,
    FIELD_DATA_CENTER,
    FIELD_HOST_ID,
    FIELD_VERSION,
    FIELD_PARTITIONER,
    FIELD_RACK,
    FIELD_RELEASE,
    FIELD_SCHEMA_VERSION,
    FIELD_TOKENS,
    FIELD_KEYSPACE,
    FIELD_REPLICATION,
    FIELD_DURABLE,
};

struct system_column {
    struct cql_mock_column column;
    enum field field;
};

#define TEXT_COLUMN(name, field)                                                                   \
    {                                                                                              \
        {name, {CQL_MOCK_VARCHAR}}, field                                                          \
    }
#define INET_COLUMN(name, field)                                                                   \
    {                                                                                              \
        {name, {CQL_MOCK_INET}}, field                                                             \
    }
#define INT_COLUMN(name, field)                                                                    \
    {                                                                                              \
        {name, {CQL_MOCK_INT}}, field                                                              \
    }
#define UUID_COLUMN(name, field)                                                                   \
    {                                                                                              \
        {name, {CQL_MOCK_UUID}}, field                                                             \
    }
#define TOKENS_COLUMN                                                                              \
    {                                                                                              \
        {"tokens", {CQL_MOCK_SET, CQL_MOCK_VARCHAR}}, FIELD_TOKENS                                 \
    }

static const struct system_column local_columns[] = {
    TEXT_COLUMN("key", FIELD_KEY),
    TEXT_COLUMN("bootstrapped", FIELD_BOOTSTRAPPED),
    INET_COLUMN("broadcast_address", FIELD_ADDRESS),
    INT_COLUMN("broadcast_port", FIELD_PORT),
    TEXT_COLUMN("cluster_name", FIELD_CLUSTER_NAME),
    TEXT_COLUMN("cql_version", FIELD_CQL_VERSION),
    TEXT_COLUMN("data_center", FIELD_DATA_CENTER),
    INT_COLUMN("gossip_generation", FIELD_NULL),
    UUID_COLUMN("host_id", FIELD_HOST_ID),
    INET_COLUMN("listen_address", FIELD_ADDRESS),
    INT_COLUMN("listen_port", FIELD_PORT),
    TEXT_COLUMN("native_protocol_version", FIELD_VERSION),
    TEXT_COLUMN("partitioner", FIELD_PARTITIONER),
    TEXT_COLUMN("rack", FIELD_RACK),
    TEXT_COLUMN("release_version", FIELD_RELEASE),
    INET_COLUMN("rpc_address", FIELD_ADDRESS),
    INT_COLUMN("rpc_port", FIELD_PORT),
    UUID_COLUMN("schema_version", FIELD_SCHEMA_VERSION),
    TOKENS_COLUMN,
};
static const struct system_column peers_v2_columns[] = {
    INET_COLUMN("peer", FIELD_ADDRESS),
    INT_COLUMN("peer_port", FIELD_PORT),
    TEXT_COLUMN("data_center", FIELD_DATA_CENTER),
    UUID_COLUMN("host_id", FIELD_HOST_ID),
    INET_COLUMN("native_address", FIELD_ADDRESS),
    INT_COLUMN("native_port", FIELD_PORT),
    INET_COLUMN("preferred_ip", FIELD_NULL),
    INT_COLUMN("preferred_port", FIELD_NULL),
    TEXT_COLUMN("rack", FIELD_RACK),
    TEXT_COLUMN("release_version", FIELD_RELEASE),
    UUID_COLUMN("schema_version", FIELD_SCHEMA_VERSION),
    TOKENS_COLUMN,
};
static const struct system_column peers_columns[] = {
    INET_COLUMN("peer", FIELD_ADDRESS),
    TEXT_COLUMN("data_center", FIELD_DATA_CENTER),
    UUID_COLUMN("host_id", FIELD_HOST_ID),
    INET_COLUMN("preferred_ip", FIELD_NULL),
    TEXT_COLUMN("rack", FIELD_RACK),
    TEXT_COLUMN("release_version", FIELD_RELEASE),
    INET_COLUMN("rpc_address", FIELD_ADDRESS),
    UUID_COLUMN("schema_version", FIELD_SCHEMA_VERSION),
    TOKENS_COLUMN,
};

static const struct system_column keyspaces_columns[] = {
    TEXT_COLUMN("keyspace_name", FIELD_KEYSPACE),
    {{"durable_writes", {CQL_MOCK_BOOLEAN}}, FIELD_DURABLE},
    {{"replication", {CQL_MOCK_MAP, CQL_MOCK_VARCHAR, CQL_MOCK_VARCHAR}}, FIELD_REPLICATION},
};

enum row_source { ROWS_OF_SELF, ROWS_OF_PEERS, ROWS_OF_KEYSPACES };
struct system_table {
    const char *name;
    const struct system_column *columns;
    unsigned column_count;
    enum row_source source;
};
#define COLUMNS(columns) columns, sizeof(columns) / sizeof((columns)[0])
// A name that begins another stands after it.
static const struct system_table tables[] = {
    {"system.local", COLUMNS(local_columns), ROWS_OF_SELF},
    {"system.peers_v2", COLUMNS(peers_v2_columns), ROWS_OF_PEERS},
    {"system.peers", COLUMNS(peers_columns), ROWS_OF_PEERS},
    {"system_schema.keyspaces", COLUMNS(keyspaces_columns), ROWS_OF_KEYSPACES},
};

// --- cells ---------------------------------------------------------------------------------------

static void put_text(struct cql_mock_bytes *body, const char *text)
{
    cql_mock_put_bytes(body, text, text != NULL ? strlen(text) : 0);
}

static void put_uuid(struct cql_mock_bytes *body, uint8_t last)
{
    unsigned char uuid[16] = {[15] = last};
    cql_mock_put_bytes(body, last != 0 ? uuid : NULL, sizeof uuid);
}

static void put_port(struct cql_mock_bytes *body, uint16_t port)
{
    cql_mock_put_int(body, port != 0 ? 4 : -1);
    if (port != 0) {
        cql_mock_put_int(body, port);
    }
}

static void put_address(struct cql_mock_bytes *body, const char *address)
{
    struct cql_mock_bytes binary = {0};
    if (address != NULL) {
        cql_mock_put_address(&binary, address, false);
    }
    cql_mock_put_bytes(body, binary.data, binary.size);
    cql_mock_bytes_free(&binary);
}

static void put_tokens(struct cql_mock_bytes *body, const char *tokens)
{
    struct cql_mock_bytes set = {0};
    unsigned count = tokens != NULL;
    for (const char *at = tokens; at != NULL && *at != '\0'; at++) {
        count += *at == ',';
    }
    cql_mock_put_int(&set, count);
    for (unsigned i = 0; i < count; i++) {
        size_t size = strcspn(tokens, ",");
        cql_mock_put_bytes(&set, tokens, size);
        tokens += size + 1;
    }
    cql_mock_put_bytes(body, count > 0 ? set.data : NULL, set.size);
    cql_mock_bytes_free(&set);
}

// Of "key=value,key=value".
static void put_map(struct cql_mock_bytes *body, const char *text)
{
    struct cql_mock_bytes map = {0};
    unsigned count = 0;
    cql_mock_put_int(&map, 0);
    for (; *text != '\0'; count++) {
        size_t key_size = strcspn(text, "=");
        const char *value = text + key_size + 1;
        size_t value_size = strcspn(value, ",");
        assert(text[key_size] == '=');
        cql_mock_put_bytes(&map, text, key_size);
        cql_mock_put_bytes(&map, value, value_size);
        text = value + value_size + (value[value_size] == ',');
    }
    map.data[3] = (unsigned char)count;
    cql_mock_put_bytes(body, map.data, map.size);
    cql_mock_bytes_free(&map);
}

static void put_keyspace_field(struct cql_mock_bytes *body,
                               const struct cql_mock_keyspace *keyspace, enum field field)
{
    if (field == FIELD_KEYSPACE) {
        put_text(body, keyspace->name);
    } else if (field == FIELD_REPLICATION) {
        put_map(body, keyspace->replication);
    } else {
        cql_mock_put_bytes(body, "\1", 1);
    }
}

static void put_node_field(struct cql_mock_bytes *body, const struct cql_mock *mock,
                           const struct cql_mock_peer *node, enum field field)
{
    static const char *const versions[] = {"3", "4", "5"};
    switch (field) {
    case FIELD_NULL:
        put_text(body, NULL);
        break;
    case FIELD_KEY:
        put_text(body, "local");
        break;
    case FIELD_BOOTSTRAPPED:
        put_text(body, "COMPLETED");
        break;
    case FIELD_ADDRESS:
        put_address(body, node->address);
        break;
    case FIELD_PORT:
        put_port(body, node->port);
        break;
    case FIELD_CLUSTER_NAME:
        put_text(body, mock->options.cluster_name);
        break;
    case FIELD_CQL_VERSION:
        put_text(body, "3.4.7");
        break;
    case FIELD_DATA_CENTER:
        put_text(body, node->data_center);
        break;
    case FIELD_HOST_ID:
        put_uuid(body, node->host_id);
        break;
    case FIELD_VERSION:
        put_text(body, versions[mock->options.version_max - 3]);
        break;
    case FIELD_PARTITIONER:
        put_text(body, "org.apache.cassandra.dht.Murmur3Partitioner");
        break;
    case FIELD_RACK:
        put_text(body, node->rack);
        break;
    case FIELD_RELEASE:
        put_text(body, node->release_version);
        break;
    case FIELD_SCHEMA_VERSION:
        put_uuid(body, node->schema_version);
        break;
    case FIELD_TOKENS:
        put_tokens(body, node->tokens);
        break;
    case FIELD_KEYSPACE:
    case FIELD_REPLICATION:
    case FIELD_DURABLE:
        break; // of no node
    }
}

// --- what is asked for ---------------------------------------------------------------------------

static const struct system_table *find_table(const char *text)
{
    for (unsigned i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (strcasestr(text, tables[i].name) != NULL) {
            return &tables[i];
        }
    }
    return NULL;
}

static bool is_name_at(const char *at, size_t size, const char *name)
{
    return strlen(name) == size && strncasecmp(at, name, size) == 0;
}

// Of "SELECT a, b FROM ...": the columns of the table, in the order of the statement. Zero: `*`, or one
// that the table does not have, for which a test that asks such a thing teaches an answer of its own.
static unsigned choose_columns(const struct system_table *table, const char *text,
                               const struct system_column *chosen[COLUMNS_MAX])
{
    static const char between[] = " \t\n,";
    unsigned count = 0;
    const char *at = text + strspn(text, between);
    at += strcspn(at, between); // SELECT
    for (;;) {
        at += strspn(at, between);
        size_t size = strcspn(at, between);
        unsigned i = 0;
        if (size == 0 || is_name_at(at, size, "FROM") || count == COLUMNS_MAX) {
            return count;
        }
        while (i < table->column_count && !is_name_at(at, size, table->columns[i].column.name)) {
            i++;
        }
        if (i == table->column_count) {
            return 0;
        }
        chosen[count++] = &table->columns[i];
        at += size;
    }
}

static unsigned choose_all(const struct system_table *table,
                           const struct system_column *chosen[COLUMNS_MAX])
{
    assert(table->column_count <= COLUMNS_MAX);
    for (unsigned i = 0; i < table->column_count; i++) {
        chosen[i] = &table->columns[i];
    }
    return table->column_count;
}

static unsigned count_rows(const struct cql_mock *mock, enum row_source source)
{
    return source == ROWS_OF_SELF    ? 1
           : source == ROWS_OF_PEERS ? mock->peer_count
                                     : mock->keyspace_count;
}

static void put_field(struct cql_mock_bytes *body, const struct cql_mock *mock,
                      enum row_source source, unsigned row, enum field field)
{
    if (source == ROWS_OF_KEYSPACES) {
        put_keyspace_field(body, &mock->keyspaces[row], field);
    } else {
        put_node_field(body, mock, source == ROWS_OF_SELF ? &mock->self : &mock->peers[row], field);
    }
}

bool cql_mock_put_system(struct cql_mock_bytes *body, const struct cql_mock *mock, const char *text)
{
    const struct system_column *chosen[COLUMNS_MAX];
    struct cql_mock_column columns[COLUMNS_MAX];
    const struct system_table *table = find_table(text);
    if (table == NULL) {
        return false;
    }
    unsigned column_count = choose_columns(table, text, chosen);
    if (column_count == 0) {
        column_count = choose_all(table, chosen);
    }
    for (unsigned i = 0; i < column_count; i++) {
        columns[i] = chosen[i]->column;
    }
    struct cql_mock_statement shape = {.columns = columns, .column_count = column_count};
    cql_mock_put_rows(body, &shape, false, NULL);
    body->size -= 4; // its count of rows
    unsigned row_count = count_rows(mock, table->source);
    cql_mock_put_int(body, row_count);
    for (unsigned row = 0; row < row_count; row++) {
        for (unsigned i = 0; i < column_count; i++) {
            put_field(body, mock, table->source, row, chosen[i]->field);
        }
    }
    return true;
}
