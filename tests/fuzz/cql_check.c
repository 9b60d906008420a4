#include "cql_check.h"

#include "cql_value.h"
#include "fuzz.h"

static void expect_within(struct text part, struct text whole)
{
    fuzz_expect(part.size == 0 || (part.data >= whole.data &&
                                   part.data + part.size <= whole.data + whole.size)
                    ? NULL
                    : "a view lies within what it is of");
}

static void walk_items(enum cql_got got, struct cql_items *items)
{
    struct cql_cell item;
    size_t count = 0;
    while (got == CQL_GOT_VALUE && cql_items_next(items, &item)) {
        count++;
    }
    fuzz_expect(count <= 1u << 20 ? NULL : "no more elements than bytes");
}

void cql_check_cell(struct cql_cell cell, struct cql_type type)
{
    struct text text;
    struct cql_decimal decimal;
    struct cql_duration duration;
    struct cql_items items;
    int64_t number = 0;
    const bool fits = cql_value_fits(cell, type);
    fuzz_expect(fits || cell.presence == CQL_PRESENT ? NULL : "null fits every type");
    (void)!cql_get_text(cell, &text);
    (void)!cql_get_duration(cell, &duration);
    (void)!cql_get_varint(cell, &number);
    if (cql_get_decimal(cell, &decimal) == CQL_GOT_VALUE) {
        int64_t unscaled = 0;
        const bool exact = cql_decimal_to_minor(decimal, decimal.scale, &number);
        fuzz_expect(exact == cql_varint_to_i64(decimal.unscaled, &unscaled) &&
                            (!exact || number == unscaled)
                        ? NULL
                        : "a decimal at its own scale is its digits");
        (void)cql_decimal_to_minor(decimal, 2, &number);
    }
    walk_items(cql_get_list(cell, &items), &items);
    walk_items(cql_get_map(cell, &items), &items);
    walk_items(cql_get_tuple(cell, &items), &items);
}

static void check_metadata(const struct cql_metadata *metadata, struct text body)
{
    struct cql_columns columns = cql_columns(metadata);
    struct cql_column column;
    uint32_t count = 0;
    while (cql_columns_next(&columns, &column)) {
        struct cql_vector_type vector;
        expect_within(column.name, body);
        expect_within(column.keyspace, body);
        expect_within(column.type.parameters, body);
        (void)cql_type_vector(column.type, &vector);
        count++;
    }
    fuzz_expect(count == (metadata->has_columns ? metadata->column_count : 0)
                    ? NULL
                    : "as many columns as are told");
    for (uint16_t i = 0; i < metadata->partition_key_count; i++) {
        fuzz_expect(cql_partition_key_index(metadata, i) < metadata->column_count
                        ? NULL
                        : "a part of the key is a marker");
    }
    expect_within(metadata->paging_state, body);
    expect_within(metadata->new_id, body);
}

static void check_rows(const struct cql_rows *rows, struct text body)
{
    check_metadata(&rows->metadata, body);
    struct cql_row_reader reader = cql_rows_read(rows);
    struct cql_cell cells[4];
    uint32_t count = 0;
    while (cql_row_next(&reader, cells, 4)) {
        struct cql_columns columns = cql_columns(&rows->metadata);
        struct cql_column column;
        for (size_t i = 0; i < 4 && cql_columns_next(&columns, &column); i++) {
            expect_within(cells[i].bytes, body);
            cql_check_cell(cells[i], column.type);
        }
        count++;
    }
    fuzz_expect(count == rows->row_count ? NULL : "as many rows as are told");
}

static void check_schema(const struct cql_schema_change *change, struct text body)
{
    struct cql_string_list list = change->arguments;
    struct text text;
    expect_within(change->name, body);
    while (cql_string_list_next(&list, &text)) {
        expect_within(text, body);
    }
}

static void check_error(const struct cql_server_error *error, struct text body)
{
    struct cql_failure_map map = error->failures;
    struct cql_string_list list = error->arguments;
    struct cql_inet address;
    struct text text;
    uint16_t reason = 0;
    uint32_t count = 0;
    while (cql_failure_next(&map, &address, &reason)) {
        fuzz_expect(address.size == 4 || address.size == 16 ? NULL : "an address has its size");
        count++;
    }
    fuzz_expect(count == error->failures.count ? NULL : "as many failures as are told");
    while (cql_string_list_next(&list, &text)) {
        expect_within(text, body);
    }
    expect_within(error->message, body);
    expect_within(error->unprepared_id, body);
}

static void check_result(const struct cql_response *response, struct text body)
{
    if (response->result_kind == CQL_RESULT_ROWS) {
        check_rows(&response->rows, body);
    } else if (response->result_kind == CQL_RESULT_PREPARED) {
        check_metadata(&response->prepared.markers, body);
        check_metadata(&response->prepared.result, body);
    } else if (response->result_kind == CQL_RESULT_SCHEMA_CHANGE) {
        check_schema(&response->schema, body);
    }
}

void cql_check_response(const struct cql_response *response, struct text body)
{
    struct cql_string_list list = response->warnings;
    struct cql_map map = response->payload;
    struct cql_cell cell;
    struct text text;
    while (cql_string_list_next(&list, &text)) {
        expect_within(text, body);
    }
    while (cql_bytes_map_next(&map, &text, &cell)) {
        expect_within(cell.bytes, body);
    }
    if (response->opcode == CQL_OPCODE_RESULT) {
        check_result(response, body);
    } else if (response->opcode == CQL_OPCODE_ERROR) {
        check_error(&response->error, body);
    } else if (response->opcode == CQL_OPCODE_EVENT) {
        check_schema(&response->event.schema, body);
    } else if (response->opcode == CQL_OPCODE_SUPPORTED) {
        map = response->supported;
        while (cql_string_multimap_next(&map, &text, &list)) {
            expect_within(list.items, body);
        }
    }
}
