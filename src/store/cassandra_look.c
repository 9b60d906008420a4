#include "cassandra_look.h"

#include "cassandra_schema.h"

#include <stdlib.h>
#include <string.h>

#define POLL_US            (20 * 1000)
#define STATEMENT_SIZE_MAX 512u
#define NAME_SIZE_MAX      64u
#define CLOCK_ASKS         7
#define LATENCY_ASKS       100u
#define ASKS_A_SERVER      16u // of n nodes each is met by 16n draws, but for once in n * e^16 times

// `name` is bound where it is given.
static enum err ask(struct cql *cql, const char *statement, const char *name,
                    enum cql_consistency consistency, struct cql_result *out_result,
                    struct why *why)
{
    char memory[NAME_SIZE_MAX + sizeof(int32_t)];
    struct cql_values values;
    cql_values_init(&values, memory, sizeof(memory));
    if (name != NULL) {
        cql_bind_text(&values, text_of(name));
    }
    struct cql_request request = {.text = text_of(statement),
                                  .values = cql_values_view(&values),
                                  .consistency = consistency,
                                  .timestamp_us = CQL_TIMESTAMP_SERVER,
                                  .idempotent = true};
    return cql_execute(cql, &request, out_result, why);
}

static struct text take_text(struct cql_cell cell, struct arena *arena)
{
    struct text value = {0};
    if (cql_get_text(cell, &value) != CQL_GOT_VALUE) {
        return (struct text){0};
    }
    return (struct text){arena_copy(arena, value.data, value.size), value.size};
}

static enum err no_memory(const struct arena *arena, struct why *why)
{
    return arena_overflowed(arena) ? why_set(why, ERR_NO_MEMORY, "no memory to look at the cluster")
                                   : ERR_OK;
}

// --- nodes --------------------------------------------------------------------------------------

static void count_local(struct cassandra_nodes_look *look)
{
    look->local_count = 0;
    look->local_up = 0;
    for (size_t i = 0; i < look->cluster.node_count; i++) {
        const struct cql_node_info *node = &look->cluster.nodes[i];
        if (node->local) {
            look->local_dc = node->dc;
            look->local_count++;
            look->local_up += node->connections > 0;
        }
    }
}

enum err cassandra_look_nodes(struct cql *cql, const char *local_dc, int64_t wait_us,
                              const struct clock *clock, struct arena *arena,
                              struct cassandra_nodes_look *out_look, struct why *why)
{
    int64_t end_ns = clock_mono_ns(clock) + wait_us * 1000;
    *out_look = (struct cassandra_nodes_look){.dc_is_named = local_dc != NULL};
    enum err err = cql_cluster_info(cql, arena, &out_look->cluster, why);
    count_local(out_look);
    while (err == ERR_OK && out_look->local_up < out_look->local_count &&
           clock_mono_ns(clock) < end_ns) {
        size_t none = 0;
        err = cql_poll(cql, POLL_US, NULL, 0, &none, why);
        err = err == ERR_OK ? cql_cluster_info(cql, arena, &out_look->cluster, why) : err;
        count_local(out_look);
    }
    return err;
}

// --- the keyspace -------------------------------------------------------------------------------

static enum err take_keyspace(const struct cql_result *result, struct arena *arena,
                              struct cassandra_keyspace_look *look, struct why *why)
{
    struct cql_row_reader rows = cql_rows_read(&result->rows);
    struct cql_cell cells[2];
    look->there = cql_row_next(&rows, cells, 2);
    if (!look->there) {
        return ERR_OK;
    }
    if (cql_get_boolean(cells[0], &look->durable_writes) != CQL_GOT_VALUE) {
        look->durable_writes = true;
    }
    struct cql_cell map = cells[1]; // its names are to outlive the answer
    map.bytes.data = arena_copy(arena, map.bytes.data, map.bytes.size);
    if (map.bytes.data == NULL) {
        return no_memory(arena, why);
    }
    look->replication_is_known = cql_replication_read(map, &look->replication);
    return ERR_OK;
}

static void take_tables(const struct cql_result *result, struct arena *arena,
                        struct cassandra_keyspace_look *look)
{
    struct cql_row_reader rows = cql_rows_read(&result->rows);
    struct cql_cell cells[3];
    while (look->table_count < CASSANDRA_LOOK_TABLES_MAX && cql_row_next(&rows, cells, 3)) {
        struct cassandra_table_look *table = &look->tables[look->table_count++];
        *table = (struct cassandra_table_look){.name = take_text(cells[0], arena),
                                               .read_repair = take_text(cells[2], arena)};
        if (cql_get_int(cells[1], &table->default_ttl_s) != CQL_GOT_VALUE) {
            table->default_ttl_s = 0;
        }
    }
}

enum err cassandra_look_keyspace(struct cql *cql, const char *keyspace, struct arena *arena,
                                 struct cassandra_keyspace_look *out_look, struct why *why)
{
    struct cql_result result = {0};
    *out_look = (struct cassandra_keyspace_look){.there = false};
    enum err err = ask(cql,
                       "SELECT durable_writes, replication FROM system_schema.keyspaces"
                       " WHERE keyspace_name = ?",
                       keyspace, CQL_LOCAL_ONE, &result, why);
    err = err == ERR_OK ? take_keyspace(&result, arena, out_look, why) : err;
    if (err != ERR_OK || !out_look->there) {
        return err;
    }
    err = ask(cql,
              "SELECT table_name, default_time_to_live, read_repair FROM system_schema.tables"
              " WHERE keyspace_name = ?",
              keyspace, CQL_LOCAL_ONE, &result, why);
    if (err == ERR_OK) {
        take_tables(&result, arena, out_look);
        err = no_memory(arena, why);
    }
    return err;
}

// --- servers ------------------------------------------------------------------------------------

static int64_t duration_us(struct text value)
{
    int64_t us = 0;
    return text_parse_duration_us(value, &us) ? us : 0;
}

// Releases before 4.1 have their times as numbers of milliseconds, under names that end in _in_ms.
static int64_t milliseconds_us(struct text value)
{
    int64_t ms = 0;
    return text_parse_i64(value, &ms) && ms < INT64_MAX / 1000 ? ms * 1000 : 0;
}

static bool is_set(struct text value)
{
    return value.size > 0 && !text_equal(value, TEXT("null"));
}

static void take_setting(struct cassandra_server_look *server, struct text name, struct text value)
{
    struct text known = is_set(value) ? value : (struct text){0};
    if (text_equal(name, TEXT("listen_address"))) {
        server->address = known;
    } else if (text_equal(name, TEXT("commitlog_sync"))) {
        server->commitlog_sync = known;
    } else if (text_equal(name, TEXT("read_request_timeout"))) {
        server->read_timeout_us = duration_us(value);
    } else if (text_equal(name, TEXT("write_request_timeout"))) {
        server->write_timeout_us = duration_us(value);
    } else if (text_equal(name, TEXT("read_request_timeout_in_ms"))) {
        server->read_timeout_us = milliseconds_us(value);
    } else if (text_equal(name, TEXT("write_request_timeout_in_ms"))) {
        server->write_timeout_us = milliseconds_us(value);
    } else if (text_equal(name, TEXT("maximum_timestamp_fail_threshold"))) {
        server->timestamp_limit = known;
    } else if (text_starts_with(name, TEXT("authenticator"))) {
        server->authenticator = is_set(known) ? known : server->authenticator;
    } else {
        server->tls = server->tls || text_equal(value, TEXT("true"));
    }
}

static void take_server(const struct cql_result *result, struct arena *arena,
                        struct cassandra_servers_look *look)
{
    struct cassandra_server_look server = {0};
    struct cql_row_reader rows = cql_rows_read(&result->rows);
    struct cql_cell cells[2];
    while (cql_row_next(&rows, cells, 2)) {
        take_setting(&server, take_text(cells[0], arena), take_text(cells[1], arena));
    }
    for (size_t i = 0; i < look->count; i++) {
        if (text_equal(look->servers[i].address, server.address)) {
            return;
        }
    }
    look->servers[look->count++] = server;
}

enum err cassandra_look_servers(struct cql *cql, size_t up_count, struct arena *arena,
                                struct cassandra_servers_look *out_look, struct why *why)
{
    static const char statement[] =
        "SELECT name, value FROM system_views.settings WHERE name IN ('listen_address',"
        " 'commitlog_sync', 'read_request_timeout', 'write_request_timeout',"
        " 'read_request_timeout_in_ms', 'write_request_timeout_in_ms',"
        " 'maximum_timestamp_fail_threshold', 'authenticator', 'authenticator.class_name',"
        " 'client_encryption_options.enabled', 'client_encryption_options_enabled')";
    size_t wanted =
        up_count < CASSANDRA_LOOK_SERVERS_MAX ? up_count : (size_t)CASSANDRA_LOOK_SERVERS_MAX;
    enum err err = ERR_OK;
    *out_look = (struct cassandra_servers_look){.count = 0};
    for (size_t i = 0; err == ERR_OK && out_look->count < wanted && i < wanted * ASKS_A_SERVER;
         i++) {
        struct cql_result result = {0};
        err = ask(cql, statement, NULL, CQL_ONE, &result, why);
        if (err == ERR_OK) {
            take_server(&result, arena, out_look);
            err = no_memory(arena, why);
        }
    }
    return err;
}

// --- clock, settings, latency -------------------------------------------------------------------

// The server tells milliseconds, cut off.
static void take_clock(int64_t server_ms, int64_t begun_us, int64_t ended_us,
                       struct cassandra_clock_look *best)
{
    int64_t middle_us = begun_us + (ended_us - begun_us) / 2;
    int64_t error_us = (ended_us - begun_us) / 2 + 500;
    if (best->error_us == 0 || error_us < best->error_us) {
        *best = (struct cassandra_clock_look){.ahead_us = server_ms * 1000 + 500 - middle_us,
                                              .error_us = error_us,
                                              .ours_now_us = middle_us};
    }
}

enum err cassandra_look_clock(struct cql *cql, const struct clock *clock,
                              struct cassandra_clock_look *out_look, struct why *why)
{
    enum err err = ERR_OK;
    *out_look = (struct cassandra_clock_look){.error_us = 0};
    for (int i = 0; err == ERR_OK && i < CLOCK_ASKS; i++) {
        struct cql_result result = {0};
        struct cql_cell cell = {.presence = CQL_NULL};
        int64_t ms = 0;
        int64_t begun_us = clock_wall_us(clock);
        err = ask(cql, "SELECT toUnixTimestamp(now()) FROM system.local", NULL, CQL_ONE, &result,
                  why);
        int64_t ended_us = clock_wall_us(clock);
        struct cql_row_reader rows = cql_rows_read(&result.rows);
        if (err == ERR_OK && cql_row_next(&rows, &cell, 1) &&
            cql_get_bigint(cell, &ms) == CQL_GOT_VALUE) {
            take_clock(ms, begun_us, ended_us, out_look);
        }
    }
    return err;
}

enum err cassandra_look_setting(struct cql *cql, const char *keyspace, const char *name,
                                int64_t *out_value, struct why *why)
{
    char text[STATEMENT_SIZE_MAX];
    struct buf statement;
    struct cql_result result = {0};
    struct cql_cell cell = {.presence = CQL_NULL};
    *out_value = 0;
    buf_init_fixed(&statement, text, sizeof(text) - 1);
    cassandra_schema_add_statement(
        &statement, "SELECT value FROM {keyspace}.till_settings WHERE name = ?", keyspace);
    text[statement.size] = '\0';
    enum err err = ask(cql, text, name, CQL_LOCAL_QUORUM, &result, why);
    struct cql_row_reader rows = cql_rows_read(&result.rows);
    if (err == ERR_OK && cql_row_next(&rows, &cell, 1) &&
        cql_get_bigint(cell, out_value) != CQL_GOT_VALUE) {
        *out_value = 0;
    }
    return err;
}

static int compare_times(const void *a, const void *b)
{
    int64_t first = *(const int64_t *)a;
    int64_t second = *(const int64_t *)b;
    return (first > second) - (first < second);
}

enum err cassandra_look_latency(struct cql *cql, const char *keyspace, const struct clock *clock,
                                struct cassandra_latency_look *out_look, struct why *why)
{
    int64_t times_us[LATENCY_ASKS];
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < LATENCY_ASKS; i++) {
        int64_t value = 0;
        int64_t begun_ns = clock_mono_ns(clock);
        err = cassandra_look_setting(cql, keyspace, CASSANDRA_SETTING_VERSION, &value, why);
        times_us[i] = (clock_mono_ns(clock) - begun_ns) / 1000;
    }
    if (err == ERR_OK) {
        qsort(times_us, LATENCY_ASKS, sizeof(times_us[0]), compare_times);
        *out_look = (struct cassandra_latency_look){.p50_us = times_us[LATENCY_ASKS / 2],
                                                    .p99_us = times_us[LATENCY_ASKS * 99 / 100]};
    }
    return err;
}
