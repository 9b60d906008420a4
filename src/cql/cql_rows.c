// RESULT Rows and Prepared: descriptions of columns, and cells. All is walked once when it is read, so that
// the iterators of cql_response.h cannot meet anything that is cut short.
#include "cql_response_internal.h"

#include <assert.h>

enum {
    FLAG_GLOBAL_TABLE = 0x0001,
    FLAG_HAS_MORE_PAGES = 0x0002,
    FLAG_NO_METADATA = 0x0004,
    FLAG_METADATA_CHANGED = 0x0008,
};
#define CELL_SIZE_MIN 4u // its size

static uint32_t read_column_count(struct cql_reader *reader)
{
    const int32_t count = cql_read_int(reader);
    if (count < 0 || (uint32_t)count > CQL_COLUMNS_MAX) {
        reader->damaged = true;
    }
    return reader->damaged ? 0 : (uint32_t)count;
}

// Takes `size` bytes that were passed over since `start`.
static struct text passed(const struct cql_reader *reader, const unsigned char *start)
{
    const size_t size = reader->damaged ? 0 : (size_t)(reader->at - start);
    return (struct text){(const char *)start, size};
}

// <global_table_spec>?<col_spec_1>...<col_spec_n>
static void read_columns(struct cql_reader *reader, int32_t flags, struct cql_metadata *out)
{
    out->has_columns = true;
    out->global_table = (flags & FLAG_GLOBAL_TABLE) != 0;
    if (out->global_table) {
        out->keyspace = cql_read_string(reader);
        out->table = cql_read_string(reader);
    }
    const unsigned char *start = reader->at;
    for (uint32_t i = 0; i < out->column_count && !reader->damaged; i++) {
        if (!out->global_table) {
            (void)cql_read_string(reader);
            (void)cql_read_string(reader);
        }
        (void)cql_read_string(reader);
        (void)cql_read_type(reader);
    }
    out->columns = passed(reader, start);
}

static void read_result_metadata(struct cql_reader *reader, struct cql_metadata *out)
{
    const int32_t flags = cql_read_int(reader);
    out->column_count = read_column_count(reader);
    out->has_more_pages = (flags & FLAG_HAS_MORE_PAGES) != 0;
    out->changed = (flags & FLAG_METADATA_CHANGED) != 0;
    if (out->has_more_pages) {
        out->paging_state = cql_read_bytes(reader).bytes;
    }
    if (out->changed) {
        out->new_id = cql_read_short_bytes(reader);
    }
    if ((flags & FLAG_NO_METADATA) == 0) {
        read_columns(reader, flags, out);
    }
}

void cql_read_rows(struct cql_reader *reader, struct cql_rows *out)
{
    read_result_metadata(reader, &out->metadata);
    const int32_t rows = cql_read_int(reader);
    const uint64_t cells = (uint64_t)out->metadata.column_count * (uint64_t)(rows < 0 ? 0 : rows);
    // Rows without columns would be a number that nothing stands behind.
    if (rows < 0 || (rows > 0 && cells == 0) || cells > cql_reader_left(reader) / CELL_SIZE_MIN) {
        reader->damaged = true;
        return;
    }
    out->row_count = (uint32_t)rows;
    const unsigned char *start = reader->at;
    for (uint64_t i = 0; i < cells && !reader->damaged; i++) {
        (void)cql_read_bytes(reader);
    }
    out->content = passed(reader, start);
}

// An index beyond the markers would make the routing key be taken from elsewhere.
static void read_partition_key(struct cql_reader *reader, struct cql_metadata *out)
{
    const int32_t count = cql_read_int(reader);
    if (count < 0 || (uint32_t)count > out->column_count) {
        reader->damaged = true;
        return;
    }
    const unsigned char *start = reader->at;
    for (int32_t i = 0; i < count; i++) {
        if (cql_read_short(reader) >= out->column_count) {
            reader->damaged = true;
        }
    }
    out->partition_key_count = (uint16_t)count;
    out->partition_key = passed(reader, start);
}

void cql_read_prepared(struct cql_reader *reader, int version, struct cql_prepared *out)
{
    out->id = cql_read_short_bytes(reader);
    if (version >= 5) {
        out->result_metadata_id = cql_read_short_bytes(reader);
    }
    const int32_t flags = cql_read_int(reader);
    out->markers.column_count = read_column_count(reader);
    read_partition_key(reader, &out->markers);
    if ((flags & FLAG_NO_METADATA) == 0) {
        read_columns(reader, flags, &out->markers);
    }
    read_result_metadata(reader, &out->result);
}

// --- walking over what was read -------------------------------------------------------------------

struct cql_columns cql_columns(const struct cql_metadata *metadata)
{
    struct cql_columns columns = {.metadata = metadata};
    cql_reader_init(&columns.reader, metadata->columns);
    columns.left = metadata->has_columns ? metadata->column_count : 0;
    return columns;
}

bool cql_columns_next(struct cql_columns *columns, struct cql_column *out_column)
{
    if (columns->left == 0) {
        return false;
    }
    columns->left--;
    const struct cql_metadata *metadata = columns->metadata;
    out_column->keyspace = metadata->keyspace;
    out_column->table = metadata->table;
    if (!metadata->global_table) {
        out_column->keyspace = cql_read_string(&columns->reader);
        out_column->table = cql_read_string(&columns->reader);
    }
    out_column->name = cql_read_string(&columns->reader);
    out_column->type = cql_read_type(&columns->reader);
    assert(!columns->reader.damaged);
    return true;
}

size_t cql_metadata_find(const struct cql_metadata *metadata, struct text name)
{
    struct cql_columns columns = cql_columns(metadata);
    struct cql_column column;
    for (size_t i = 0; cql_columns_next(&columns, &column); i++) {
        if (text_equal(column.name, name)) {
            return i;
        }
    }
    return SIZE_MAX;
}

uint16_t cql_partition_key_index(const struct cql_metadata *metadata, uint16_t part)
{
    assert(part < metadata->partition_key_count);
    struct cql_reader reader;
    cql_reader_init(&reader, metadata->partition_key);
    (void)cql_read_raw(&reader, (size_t)part * sizeof(uint16_t));
    return cql_read_short(&reader);
}

struct cql_row_reader cql_rows_read(const struct cql_rows *rows)
{
    struct cql_row_reader reader = {
        .column_count = rows->metadata.column_count,
        .rows_left = rows->row_count,
    };
    cql_reader_init(&reader.reader, rows->content);
    return reader;
}

bool cql_row_next(struct cql_row_reader *reader, struct cql_cell *cells, size_t cap)
{
    if (reader->rows_left == 0) {
        return false;
    }
    reader->rows_left--;
    for (size_t i = 0; i < reader->column_count; i++) {
        const struct cql_cell cell = cql_read_bytes(&reader->reader);
        if (i < cap) {
            cells[i] = cell;
        }
    }
    for (size_t i = reader->column_count; i < cap; i++) {
        cells[i] = (struct cql_cell){.presence = CQL_NULL};
    }
    assert(!reader->reader.damaged);
    return true;
}
