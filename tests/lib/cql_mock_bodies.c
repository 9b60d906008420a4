// Bodies of answers, spec sections 4.2 and 9, in v4 and v5.
#include "cql_mock_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { KIND_VOID = 1, KIND_ROWS = 2, KIND_PREPARED = 4 };
enum { GLOBAL_TABLE = 1, MORE_PAGES = 2, NO_METADATA = 4, METADATA_CHANGED = 8 };

static const char *text_or(const char *text, const char *otherwise)
{
    return text != NULL ? text : otherwise;
}

// --- errors --------------------------------------------------------------------------------------

static void put_failures(struct cql_mock_bytes *body, unsigned version, int32_t count)
{
    char address[16];
    cql_mock_put_int(body, count);
    for (int32_t i = 0; version >= 5 && i < count; i++) {
        (void)snprintf(address, sizeof address, "127.0.0.%d", (int)(i + 1) & 0xFF);
        cql_mock_put_address(body, address, true);
        cql_mock_put_short(body, 0);
    }
}

static void put_replicas(struct cql_mock_bytes *body, const struct cql_mock_error *error)
{
    cql_mock_put_short(body, error->consistency);
    cql_mock_put_int(body, error->received);
    cql_mock_put_int(body, error->required);
}

static void put_write_timeout(struct cql_mock_bytes *body, unsigned version,
                              const struct cql_mock_error *error)
{
    const char *write_type = text_or(error->write_type, "SIMPLE");
    put_replicas(body, error);
    cql_mock_put_string(body, write_type);
    if (version >= 5 && strcmp(write_type, "CAS") == 0) {
        cql_mock_put_short(body, error->contentions);
    }
}

static void put_names(struct cql_mock_bytes *body, const struct cql_mock_error *error)
{
    cql_mock_put_string(body, text_or(error->keyspace, "shop"));
    cql_mock_put_string(body, text_or(error->table, "orders"));
}

void cql_mock_put_error(struct cql_mock_bytes *body, unsigned version,
                        const struct cql_mock_error *error)
{
    cql_mock_put_int(body, error->code);
    cql_mock_put_string(body, text_or(error->message, "made up by the test"));
    switch (error->code) {
    case 0x1000: // Unavailable: required first
        cql_mock_put_short(body, error->consistency);
        cql_mock_put_int(body, error->required);
        cql_mock_put_int(body, error->received);
        break;
    case 0x1100: // Write_timeout
        put_write_timeout(body, version, error);
        break;
    case 0x1200: // Read_timeout
        put_replicas(body, error);
        cql_mock_put_byte(body, error->data_present);
        break;
    case 0x1300: // Read_failure
        put_replicas(body, error);
        put_failures(body, version, error->failure_count);
        cql_mock_put_byte(body, error->data_present);
        break;
    case 0x1400: // Function_failure, of a function with one argument
        put_names(body, error);
        cql_mock_put_short(body, 1);
        cql_mock_put_string(body, "int");
        break;
    case 0x1500: // Write_failure
        put_replicas(body, error);
        put_failures(body, version, error->failure_count);
        cql_mock_put_string(body, text_or(error->write_type, "SIMPLE"));
        break;
    case 0x1700: // CAS_write_unknown
        put_replicas(body, error);
        break;
    case 0x2400: // Already_exists
        put_names(body, error);
        break;
    case 0x2500: // Unprepared
        cql_mock_put_short_bytes(body, error->id, error->id_size);
        break;
    default:
        break;
    }
}

// --- results -------------------------------------------------------------------------------------

static void put_type(struct cql_mock_bytes *body, const uint16_t *type)
{
    unsigned count = *type == CQL_MOCK_MAP                             ? 3
                     : *type == CQL_MOCK_LIST || *type == CQL_MOCK_SET ? 2
                                                                       : 1;
    for (unsigned i = 0; i < count; i++) {
        cql_mock_put_short(body, type[i]);
    }
}

static void put_columns(struct cql_mock_bytes *body, const struct cql_mock_column *columns,
                        unsigned count)
{
    cql_mock_put_string(body, "shop");
    cql_mock_put_string(body, "orders");
    for (unsigned i = 0; i < count; i++) {
        cql_mock_put_string(body, columns[i].name);
        put_type(body, columns[i].type);
    }
}

void cql_mock_put_rows(struct cql_mock_bytes *body, const struct cql_mock_statement *statement,
                       bool without_columns, const unsigned char *new_id)
{
    const char *state = statement->paging_state;
    without_columns = without_columns && new_id == NULL;
    cql_mock_put_int(body, KIND_ROWS);
    cql_mock_put_int(body, (without_columns ? NO_METADATA : GLOBAL_TABLE) |
                               (state != NULL ? MORE_PAGES : 0) |
                               (new_id != NULL ? METADATA_CHANGED : 0));
    cql_mock_put_int(body, statement->column_count);
    if (state != NULL) {
        cql_mock_put_bytes(body, state, strlen(state));
    }
    if (new_id != NULL) {
        cql_mock_put_short_bytes(body, new_id, CQL_MOCK_ID_SIZE);
    }
    if (!without_columns) {
        put_columns(body, statement->columns, statement->column_count);
    }
    cql_mock_put_int(body, statement->row_count);
    for (size_t i = 0; i < (size_t)statement->row_count * statement->column_count; i++) {
        cql_mock_put_bytes(body, statement->cells[i].data, statement->cells[i].size);
    }
}

void cql_mock_put_prepared(struct cql_mock_bytes *body, unsigned version,
                           const unsigned char id[CQL_MOCK_ID_SIZE],
                           const unsigned char result_id[CQL_MOCK_ID_SIZE],
                           const struct cql_mock_statement *statement)
{
    cql_mock_put_int(body, KIND_PREPARED);
    cql_mock_put_short_bytes(body, id, CQL_MOCK_ID_SIZE);
    if (version >= 5) {
        cql_mock_put_short_bytes(body, result_id, CQL_MOCK_ID_SIZE);
    }
    cql_mock_put_int(body, GLOBAL_TABLE);
    cql_mock_put_int(body, statement->marker_count);
    cql_mock_put_int(body, statement->partition_key_count);
    for (unsigned i = 0; i < statement->partition_key_count; i++) {
        cql_mock_put_short(body, statement->partition_key[i]);
    }
    put_columns(body, statement->markers, statement->marker_count);
    cql_mock_put_int(body, statement->column_count > 0 ? GLOBAL_TABLE : NO_METADATA);
    cql_mock_put_int(body, statement->column_count);
    if (statement->column_count > 0) {
        put_columns(body, statement->columns, statement->column_count);
    }
}

// --- SUPPORTED -----------------------------------------------------------------------------------

void cql_mock_put_options(struct cql_mock_bytes *body, unsigned version_max)
{
    static const char *const versions[] = {"3/v3", "4/v4", "5/v5"};
    assert(version_max >= 3 && version_max <= 5);
    cql_mock_put_short(body, 3);
    cql_mock_put_string(body, "CQL_VERSION");
    cql_mock_put_short(body, 1);
    cql_mock_put_string(body, "3.4.7");
    cql_mock_put_string(body, "COMPRESSION");
    cql_mock_put_short(body, 0);
    cql_mock_put_string(body, "PROTOCOL_VERSIONS");
    cql_mock_put_short(body, version_max - 2);
    for (unsigned i = 0; i + 3 <= version_max; i++) {
        cql_mock_put_string(body, versions[i]);
    }
}
