// Making a keyspace, and bringing one to this program's version.
#include "store_cassandra.h"

#include "cassandra_schema.h"
#include "fold.h"

#include <string.h>

#define AGREEMENT_US        (30 * US_PER_SECOND)
#define ARENA_SIZE          (1u << 20)
#define STATEMENT_SIZE_MAX  4096u
#define REPLICAS_WANTED     3u
#define REPLICATION_SIZE    256
#define TEXT_VALUE_SIZE_MAX 128

struct setup {
    struct cql *cql;
    struct arena arena;
    const char *keyspace;
    bool apply;
    struct buf *out;
    struct why *why;
};

// --- what is there ------------------------------------------------------------------------------

// The first cell of the only row; null when there is none. Valid until the next request.
static enum err ask_one(struct setup *setup, const char *cql, const char *first, const char *second,
                        struct cql_cell *out_cell)
{
    char memory[2 * TEXT_VALUE_SIZE_MAX];
    struct cql_values values;
    struct cql_result result = {0};
    cql_values_init(&values, memory, sizeof(memory));
    cql_bind_text(&values, text_of(first));
    if (second != NULL) {
        cql_bind_text(&values, text_of(second));
    }
    struct cql_request request = {.text = text_of(cql),
                                  .values = cql_values_view(&values),
                                  .consistency = CQL_LOCAL_QUORUM,
                                  .timestamp_us = CQL_TIMESTAMP_SERVER,
                                  .idempotent = true};
    *out_cell = (struct cql_cell){.presence = CQL_NULL};
    enum err err = cql_execute(setup->cql, &request, &result, setup->why);
    if (err == ERR_OK) {
        struct cql_row_reader rows = cql_rows_read(&result.rows);
        (void)cql_row_next(&rows, out_cell, 1);
    }
    return err;
}

static enum err is_there(struct setup *setup, const char *cql, const char *table, bool *out_there)
{
    struct cql_cell cell;
    enum err err = ask_one(setup, cql, setup->keyspace, table, &cell);
    *out_there = cell.presence == CQL_PRESENT;
    return err;
}

static enum err read_setting(struct setup *setup, const char *name, int64_t *out_value)
{
    char cql[STATEMENT_SIZE_MAX];
    struct buf statement;
    struct cql_cell cell;
    bool there = false;
    *out_value = 0;
    enum err err = is_there(setup,
                            "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?"
                            " AND table_name = ?",
                            "till_settings", &there);
    if (err != ERR_OK || !there) {
        return err;
    }
    buf_init_fixed(&statement, cql, sizeof(cql) - 1);
    cassandra_schema_add_statement(
        &statement, "SELECT value FROM {keyspace}.till_settings WHERE name = ?", setup->keyspace);
    cql[statement.size] = '\0';
    err = ask_one(setup, cql, name, NULL, &cell);
    if (err == ERR_OK && cql_get_bigint(cell, out_value) != CQL_GOT_VALUE) {
        *out_value = 0; // the tables were begun and not ended
    }
    return err;
}

// --- what is to be there ------------------------------------------------------------------------

// Adds the statement to what is said and, when that is wanted, does it.
static enum err do_statement(struct setup *setup, struct text cql)
{
    buf_add_text(setup->out, cql);
    buf_add_str(setup->out, ";\n");
    if (buf_overflowed(setup->out)) {
        return why_set(setup->why, ERR_NO_MEMORY, "no memory for the statements");
    }
    if (!setup->apply) {
        return ERR_OK;
    }
    struct cql_request request = {.text = cql,
                                  .consistency = CQL_LOCAL_QUORUM,
                                  .timestamp_us = CQL_TIMESTAMP_SERVER,
                                  .idempotent = true};
    struct cql_result result = {0};
    return cql_execute(setup->cql, &request, &result, setup->why);
}

// Three replicas of everything in the local data centre, or as many as it has nodes.
static enum err default_replication(struct setup *setup, char out[REPLICATION_SIZE])
{
    struct cql_cluster_info info = {0};
    struct buf text;
    enum err err = cql_cluster_info(setup->cql, &setup->arena, &info, setup->why);
    struct text dc = {0};
    unsigned nodes = 0;
    for (size_t i = 0; err == ERR_OK && i < info.node_count; i++) {
        if (info.nodes[i].local) {
            dc = info.nodes[i].dc;
            nodes++;
        }
    }
    buf_init_fixed(&text, out, REPLICATION_SIZE - 1);
    buf_add_fmt(&text, "{'class': 'NetworkTopologyStrategy', '%.*s': %u}", TEXT_PRINT(dc),
                nodes < REPLICAS_WANTED ? nodes : REPLICAS_WANTED);
    out[text.size] = '\0';
    return err;
}

static enum err make_keyspace(struct setup *setup, const char *replication)
{
    char cql[STATEMENT_SIZE_MAX];
    char by_default[REPLICATION_SIZE];
    struct buf statement;
    bool there = false;
    enum err err =
        is_there(setup, "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?",
                 NULL, &there);
    if (err != ERR_OK || there) {
        return err;
    }
    if (replication == NULL) {
        err = default_replication(setup, by_default);
        replication = by_default;
    }
    buf_init_fixed(&statement, cql, sizeof(cql));
    cassandra_schema_add_keyspace(&statement, setup->keyspace, replication);
    if (buf_overflowed(&statement)) {
        return why_set(setup->why, ERR_CONFIG, "the replication of the keyspace is too long");
    }
    return err == ERR_OK ? do_statement(setup, buf_view(&statement)) : err;
}

static enum err write_setting(struct setup *setup, const char *name, int64_t value)
{
    char cql[STATEMENT_SIZE_MAX];
    struct buf statement;
    buf_init_fixed(&statement, cql, sizeof(cql));
    buf_add_fmt(&statement, "INSERT INTO %s.till_settings (name, value) VALUES ('%s', %lld)",
                setup->keyspace, name, (long long)value);
    return do_statement(setup, buf_view(&statement));
}

static enum err make_version(struct setup *setup, int from)
{
    char cql[STATEMENT_SIZE_MAX];
    const char *const *statements = cassandra_schema_step(from);
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && statements[i] != NULL; i++) {
        struct buf statement;
        buf_init_fixed(&statement, cql, sizeof(cql));
        cassandra_schema_add_statement(&statement, statements[i], setup->keyspace);
        err = do_statement(setup, buf_view(&statement));
    }
    if (err == ERR_OK && setup->apply) {
        err = cql_await_schema_agreement(setup->cql, AGREEMENT_US, setup->why);
    }
    return err == ERR_OK ? write_setting(setup, CASSANDRA_SETTING_VERSION, from + 1) : err;
}

static enum err set_up(struct setup *setup, const char *replication)
{
    int64_t version = 0;
    int64_t epoch = 0;
    enum err err = make_keyspace(setup, replication);
    err = err == ERR_OK ? read_setting(setup, CASSANDRA_SETTING_VERSION, &version) : err;
    if (err == ERR_OK && version > CASSANDRA_SCHEMA_VERSION) {
        return why_set(setup->why, ERR_SCHEMA,
                       "keyspace %s has version %lld of the tables, this program knows %d: install"
                       " the later version of till",
                       setup->keyspace, (long long)version, CASSANDRA_SCHEMA_VERSION);
    }
    for (; err == ERR_OK && version < CASSANDRA_SCHEMA_VERSION; version++) {
        err = make_version(setup, (int)version);
    }
    err = err == ERR_OK ? read_setting(setup, CASSANDRA_SETTING_FOLD_EPOCH, &epoch) : err;
    return err == ERR_OK && epoch < FOLD_EPOCH
               ? write_setting(setup, CASSANDRA_SETTING_FOLD_EPOCH, FOLD_EPOCH)
               : err;
}

enum err store_cassandra_setup(const struct store_cassandra_options *options,
                               const char *replication, bool apply, struct buf *out_cql,
                               struct why *why)
{
    struct setup setup = {.keyspace = options->keyspace != NULL ? options->keyspace
                                                                : STORE_CASSANDRA_KEYSPACE,
                          .apply = apply,
                          .out = out_cql,
                          .why = why};
    if (!cassandra_keyspace_name_is_valid(setup.keyspace)) {
        return why_set(why, ERR_CONFIG, "\"%s\" is no name of a keyspace", setup.keyspace);
    }
    if (arena_init(&setup.arena, ARENA_SIZE) != ERR_OK) {
        return why_set(why, ERR_NO_MEMORY, "cannot set up the keyspace: out of memory");
    }
    enum err err = cql_open(&options->cluster, &setup.cql, why);
    err = err == ERR_OK ? set_up(&setup, replication) : err;
    cql_close(&setup.cql);
    arena_deinit(&setup.arena);
    return err;
}
