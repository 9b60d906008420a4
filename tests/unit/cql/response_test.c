// Answers: results with their columns and cells, events, the handshake; in both versions, with everything that
// may stand around them, cut short at every byte.
#include "cql_bytes.h"
#include "cql_response.h"
#include "cql_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

static struct cql_response response;

static bool reads(int version, uint8_t opcode, uint8_t flags, struct text body)
{
    const struct cql_envelope envelope = bytes_answer(version, opcode, flags, body);
    return cql_response_read(&envelope, &response);
}

static void read_whole(int version, uint8_t opcode, const char *hex)
{
    assert_true(reads(version, opcode, 0, bytes_of(hex)));
}

// Cut short anywhere it is refused; with bytes behind it, it is read all the same.
static void expect_bounds(int version, uint8_t opcode, const char *hex)
{
    const struct text body = bytes_of(hex);
    for (size_t size = 0; size < body.size; size++) {
        assert_false(reads(version, opcode, 0, bytes_copy((struct text){body.data, size})));
    }
    char *longer = (char *)(uintptr_t)bytes_repeated(body.size + 7, 0x5A).data;
    memcpy(longer, body.data, body.size);
    assert_true(reads(version, opcode, 0, (struct text){longer, body.size + 7}));
}

static void handshake_answers_are_read(void **state)
{
    (void)state;
    struct text key;
    struct cql_string_list list;
    read_whole(5, CQL_OPCODE_SUPPORTED,
               "0001 000b 434f4d5052455353494f4e 0002 0003 6c7a34 0001 78");
    assert_true(cql_string_multimap_next(&response.supported, &key, &list));
    assert_true(text_equal(key, TEXT("COMPRESSION")));
    assert_int_equal(list.count, 2);
    expect_bounds(5, CQL_OPCODE_SUPPORTED, "0001 0001 41 0001 0001 42");
    read_whole(5, CQL_OPCODE_READY, "");
    assert_int_equal(response.opcode, CQL_OPCODE_READY);
    read_whole(4, CQL_OPCODE_AUTHENTICATE, "0003 6f7267");
    assert_true(text_equal(response.authenticator, TEXT("org")));
    expect_bounds(4, CQL_OPCODE_AUTHENTICATE, "0003 6f7267");
    read_whole(4, CQL_OPCODE_AUTH_CHALLENGE, "00000002 abcd");
    assert_int_equal(response.token.bytes.size, 2);
    expect_bounds(4, CQL_OPCODE_AUTH_CHALLENGE, "00000002 abcd");
    read_whole(4, CQL_OPCODE_AUTH_SUCCESS, "ffffffff");
    assert_int_equal(response.token.presence, CQL_NULL);
}

static void unknown_opcodes_and_results_are_given_as_such(void **state)
{
    (void)state;
    read_whole(4, 0x77, "01020304");
    assert_int_equal(response.opcode, 0x77);
    read_whole(4, CQL_OPCODE_RESULT, "00000099 0102");
    assert_int_equal(response.result_kind, 0x99);
}

static void void_result_is_known_without_reading(void **state)
{
    (void)state;
    read_whole(4, CQL_OPCODE_RESULT, "00000001");
    assert_int_equal(response.result_kind, CQL_RESULT_VOID);
    expect_bounds(4, CQL_OPCODE_RESULT, "00000001");
    struct cql_envelope envelope = bytes_answer(5, CQL_OPCODE_RESULT, 0, bytes_of("00000001"));
    assert_true(cql_envelope_is_void(&envelope));
    envelope.flags = CQL_FLAG_WARNING;
    assert_false(cql_envelope_is_void(&envelope));
    envelope = bytes_answer(5, CQL_OPCODE_ERROR, 0, bytes_of("00000001"));
    assert_false(cql_envelope_is_void(&envelope));
    envelope = bytes_answer(5, CQL_OPCODE_RESULT, 0, bytes_of("00000002"));
    assert_false(cql_envelope_is_void(&envelope));
    envelope = bytes_answer(5, CQL_OPCODE_RESULT, 0, bytes_of("000001"));
    assert_false(cql_envelope_is_void(&envelope));
}

// --- rows -----------------------------------------------------------------------------------------

// Two columns of ks.t: id bigint, item text; two rows, the second with a null.
#define ROWS                                                                                       \
    "00000002 00000001 00000002 0002 6b73 0001 74"                                                 \
    "0002 6964 0002 0004 6974656d 000d"                                                            \
    "00000002"                                                                                     \
    "00000008 000000000000002a 00000001 61"                                                        \
    "00000008 000000000000002b ffffffff"

static void rows_have_columns_and_cells(void **state)
{
    (void)state;
    read_whole(5, CQL_OPCODE_RESULT, ROWS);
    const struct cql_rows *rows = &response.rows;
    assert_int_equal(rows->row_count, 2);
    assert_false(rows->metadata.has_more_pages);
    struct cql_columns columns = cql_columns(&rows->metadata);
    struct cql_column column;
    assert_true(cql_columns_next(&columns, &column));
    assert_true(text_equal(column.keyspace, TEXT("ks")) && text_equal(column.table, TEXT("t")));
    assert_true(text_equal(column.name, TEXT("id")) && column.type.id == CQL_TYPE_BIGINT);
    assert_true(cql_columns_next(&columns, &column));
    assert_true(text_equal(column.name, TEXT("item")) && column.type.id == CQL_TYPE_VARCHAR);
    assert_false(cql_columns_next(&columns, &column));
    assert_int_equal(cql_metadata_find(&rows->metadata, TEXT("item")), 1);
    assert_true(cql_metadata_find(&rows->metadata, TEXT("ite")) == SIZE_MAX);

    struct cql_row_reader reader = cql_rows_read(rows);
    struct cql_cell cells[3];
    int64_t id = 0;
    assert_true(cql_row_next(&reader, cells, 3));
    assert_int_equal(cql_get_bigint(cells[0], &id), CQL_GOT_VALUE);
    assert_int_equal(id, 42);
    assert_true(text_equal(cells[1].bytes, TEXT("a")));
    assert_int_equal(cells[2].presence, CQL_NULL); // there is no third column
    cells[1].presence = CQL_UNSET;
    assert_true(cql_row_next(&reader, cells, 1)); // the others are skipped
    assert_int_equal(cells[1].presence, CQL_UNSET);
    assert_int_equal(cql_get_bigint(cells[0], &id), CQL_GOT_VALUE);
    assert_int_equal(id, 43);
    assert_false(cql_row_next(&reader, cells, 3));
}

static void rows_cut_short_anywhere_are_refused(void **state)
{
    (void)state;
    expect_bounds(4, CQL_OPCODE_RESULT, ROWS);
}

static void columns_of_several_tables_name_theirs(void **state)
{
    (void)state;
    static const char hex[] = "00000002 00000000 00000002"
                              "0001 6b 0001 74 0001 61 0009 0001 6b 0001 75 0001 62 0020 000d"
                              "00000000";
    read_whole(4, CQL_OPCODE_RESULT, hex);
    struct cql_columns columns = cql_columns(&response.rows.metadata);
    struct cql_column column;
    assert_true(cql_columns_next(&columns, &column) && text_equal(column.table, TEXT("t")));
    assert_true(cql_columns_next(&columns, &column) && text_equal(column.table, TEXT("u")));
    assert_int_equal(column.type.id, CQL_TYPE_LIST);
    assert_int_equal(cql_type_element(column.type).id, CQL_TYPE_VARCHAR);
    expect_bounds(4, CQL_OPCODE_RESULT, hex);
}

static void rows_without_metadata_still_have_cells(void **state)
{
    (void)state;
    static const char hex[] = "00000002 00000004 00000001 00000001 00000001 78";
    read_whole(4, CQL_OPCODE_RESULT, hex);
    assert_false(response.rows.metadata.has_columns);
    assert_int_equal(response.rows.metadata.column_count, 1);
    assert_true(cql_metadata_find(&response.rows.metadata, TEXT("x")) == SIZE_MAX);
    struct cql_row_reader reader = cql_rows_read(&response.rows);
    struct cql_cell cell;
    assert_true(cql_row_next(&reader, &cell, 1) && text_equal(cell.bytes, TEXT("x")));
    expect_bounds(4, CQL_OPCODE_RESULT, hex);
}

static void more_pages_come_with_a_state_and_new_columns_with_an_id(void **state)
{
    (void)state;
    // has more pages, changed, global table
    static const char hex[] = "00000002 0000000b 00000001 00000002 7073 0003 6d6964"
                              "0001 6b 0001 74 0001 61 0009 00000000";
    read_whole(5, CQL_OPCODE_RESULT, hex);
    const struct cql_metadata *metadata = &response.rows.metadata;
    assert_true(metadata->has_more_pages && metadata->changed);
    assert_true(text_equal(metadata->paging_state, TEXT("ps")));
    assert_true(text_equal(metadata->new_id, TEXT("mid")));
    assert_int_equal(response.rows.row_count, 0); // a page may be empty, with more to come
    assert_int_equal(cql_metadata_find(metadata, TEXT("a")), 0);
    expect_bounds(5, CQL_OPCODE_RESULT, hex);
}

static void row_counts_that_nothing_stands_behind_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "00000002 00000004 00000000 00000001",          // rows without columns
        "00000002 00000004 00000001 ffffffff",          // a negative number
        "00000002 00000004 00000001 7fffffff ffffffff", // far more than there are
        "00000002 00000004 00000002 00000001 ffffffff", // half a row
        "00000002 00000004 ffffffff 00000000",
        "00000002 00000004 00010000 00000000", // 65,536 columns
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_false(reads(4, CQL_OPCODE_RESULT, 0, bytes_of(bodies[i])));
    }
    assert_true(reads(4, CQL_OPCODE_RESULT, 0, bytes_of("00000002 00000004 0000ffff 00000000")));
    assert_true(reads(4, CQL_OPCODE_RESULT, 0, bytes_of("00000002 00000004 0000fffe 00000000")));
    assert_true(reads(4, CQL_OPCODE_RESULT, 0, bytes_of("00000002 00000004 00000000 00000000")));
}

static void unknown_custom_and_vector_columns_are_skipped_over(void **state)
{
    (void)state;
    static const char hex[] = "00000002 00000001 00000004 0001 6b 0001 74"
                              "0001 61 7abc" // unknown
                              "0001 62 0000 0003 782e79"
                              "0001 63 0000 0002 5628"
                              "0001 64 0009 00000001"
                              "00000001 00 00000000 ffffffff 00000004 00000007";
    read_whole(5, CQL_OPCODE_RESULT, hex);
    struct cql_row_reader reader = cql_rows_read(&response.rows);
    struct cql_cell cells[4];
    int32_t value = 0;
    assert_true(cql_row_next(&reader, cells, 4));
    assert_int_equal(cql_get_int(cells[3], &value), CQL_GOT_VALUE);
    assert_int_equal(value, 7);
    expect_bounds(5, CQL_OPCODE_RESULT, hex);
}

// --- prepared and others --------------------------------------------------------------------------

static void prepared_statement_has_markers_key_and_columns(void **state)
{
    (void)state;
    static const char v5[] = "00000004 0002 6964 0003 6d6964"
                             "00000001 00000002 00000002 0001 0000 0001 6b 0001 74"
                             "0001 61 0009 0001 62 000d"
                             "00000001 00000001 0001 6b 0001 74 0001 63 0006";
    read_whole(5, CQL_OPCODE_RESULT, v5);
    const struct cql_prepared *prepared = &response.prepared;
    assert_true(text_equal(prepared->id, TEXT("id")));
    assert_true(text_equal(prepared->result_metadata_id, TEXT("mid")));
    assert_int_equal(prepared->markers.column_count, 2);
    assert_int_equal(prepared->markers.partition_key_count, 2);
    assert_int_equal(cql_partition_key_index(&prepared->markers, 0), 1);
    assert_int_equal(cql_partition_key_index(&prepared->markers, 1), 0);
    assert_int_equal(cql_metadata_find(&prepared->result, TEXT("c")), 0);
    expect_bounds(5, CQL_OPCODE_RESULT, v5);
    // an INSERT in v4: no id of the columns, and none of them
    static const char v4[] = "00000004 0002 6964"
                             "00000001 00000001 00000000 0001 6b 0001 74 0001 61 0009"
                             "00000004 00000000";
    read_whole(4, CQL_OPCODE_RESULT, v4);
    assert_int_equal(response.prepared.markers.partition_key_count, 0);
    assert_int_equal(response.prepared.result.column_count, 0);
    assert_int_equal(response.prepared.result_metadata_id.size, 0);
    expect_bounds(4, CQL_OPCODE_RESULT, v4);
}

static void partition_key_outside_the_markers_is_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {"00000001 0001", "00000002 0000 0000", "ffffffff"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char hex[200];
        (void)snprintf(hex, sizeof(hex), "%s %s %s", "00000004 0002 6964 00000001 00000001",
                       keys[i], "0001 6b 0001 74 0001 61 0009 00000004 00000000");
        assert_false(reads(4, CQL_OPCODE_RESULT, 0, bytes_of(hex)));
    }
}

static void keyspace_and_schema_results_are_read(void **state)
{
    (void)state;
    read_whole(4, CQL_OPCODE_RESULT, "00000003 0002 6b73");
    assert_true(text_equal(response.keyspace, TEXT("ks")));
    expect_bounds(4, CQL_OPCODE_RESULT, "00000003 0002 6b73");
    // CREATED TABLE ks t
    static const char table[] = "00000005 0007 43524541544544 0005 5441424c45 0002 6b73 0001 74";
    read_whole(4, CQL_OPCODE_RESULT, table);
    assert_int_equal(response.schema.change, CQL_CHANGE_CREATED);
    assert_true(text_equal(response.schema.keyspace, TEXT("ks")));
    assert_true(text_equal(response.schema.name, TEXT("t")));
    expect_bounds(4, CQL_OPCODE_RESULT, table);
}

// --- events ---------------------------------------------------------------------------------------

// A text as a [string], in hex.
static const char *string_hex(const char *text)
{
    static char hex[1000];
    int at = snprintf(hex, sizeof(hex), "%04zx", strlen(text));
    for (; *text != '\0'; text++) {
        at += snprintf(hex + at, sizeof(hex) - (size_t)at, "%02x", (unsigned char)*text);
    }
    return hex;
}

// Strings, then more in hex.
static const char *strings_hex(const char *const *texts, const char *rest)
{
    static char hex[4000];
    hex[0] = '\0';
    size_t at = 0;
    for (; *texts; texts++) {
        at += (size_t)snprintf(hex + at, sizeof(hex) - at, "%s", string_hex(*texts));
    }
    (void)snprintf(hex + at, sizeof(hex) - at, "%s", rest);
    return hex;
}
#define STRINGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void events_tell_what_happened_to_which_node(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *change;
        enum cql_event_kind kind;
    } cases[] = {
        {"TOPOLOGY_CHANGE", "NEW_NODE", CQL_EVENT_NEW_NODE},
        {"TOPOLOGY_CHANGE", "REMOVED_NODE", CQL_EVENT_REMOVED_NODE},
        {"TOPOLOGY_CHANGE", "MOVED_NODE", CQL_EVENT_MOVED_NODE},
        {"STATUS_CHANGE", "UP", CQL_EVENT_UP},
        {"STATUS_CHANGE", "DOWN", CQL_EVENT_DOWN},
        {"STATUS_CHANGE", "SLEEPY", CQL_EVENT_OTHER},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *hex =
            strings_hex(STRINGS(cases[i].type, cases[i].change), "04 0a000001 00002352");
        read_whole(4, CQL_OPCODE_EVENT, hex);
        assert_int_equal(response.event.kind, cases[i].kind);
        assert_int_equal(response.event.address.size, 4);
        assert_int_equal(response.event.address.address[0], 10);
        assert_int_equal(response.event.port, 9042);
        expect_bounds(4, CQL_OPCODE_EVENT, hex);
    }
    read_whole(4, CQL_OPCODE_EVENT,
               strings_hex(STRINGS("STATUS_CHANGE", "UP"),
                           "10 20010db8000000000000000000000001 00002352"));
    assert_int_equal(response.event.address.size, 16);
    assert_false(reads(4, CQL_OPCODE_EVENT, 0,
                       bytes_of(strings_hex(STRINGS("STATUS_CHANGE", "UP"), "05 0a00000100"))));
}

static void schema_events_name_what_has_changed(void **state)
{
    (void)state;
    const char *hex = strings_hex(STRINGS("SCHEMA_CHANGE", "DROPPED", "KEYSPACE", "ks"), "");
    read_whole(4, CQL_OPCODE_EVENT, hex);
    assert_int_equal(response.event.kind, CQL_EVENT_SCHEMA);
    assert_int_equal(response.event.schema.change, CQL_CHANGE_DROPPED);
    assert_true(text_equal(response.event.schema.keyspace, TEXT("ks")));
    assert_int_equal(response.event.schema.name.size, 0);
    expect_bounds(4, CQL_OPCODE_EVENT, hex);
    hex = strings_hex(STRINGS("SCHEMA_CHANGE", "UPDATED", "TYPE", "ks", "u"), "");
    read_whole(4, CQL_OPCODE_EVENT, hex);
    assert_int_equal(response.event.schema.change, CQL_CHANGE_UPDATED);
    assert_true(text_equal(response.event.schema.name, TEXT("u")));
    expect_bounds(4, CQL_OPCODE_EVENT, hex);
    hex = strings_hex(STRINGS("SCHEMA_CHANGE", "CREATED", "FUNCTION", "ks", "f"),
                      "0002 0003 696e74 0004 74657874");
    read_whole(4, CQL_OPCODE_EVENT, hex);
    assert_int_equal(response.event.schema.arguments.count, 2);
    expect_bounds(4, CQL_OPCODE_EVENT, hex);
    read_whole(4, CQL_OPCODE_EVENT, strings_hex(STRINGS("MOON_CHANGE", "FULL"), ""));
    assert_int_equal(response.event.kind, CQL_EVENT_OTHER);
    assert_true(text_equal(response.event.type, TEXT("MOON_CHANGE")));
}

// --- around an answer -----------------------------------------------------------------------------

static void tracing_warnings_and_payload_come_in_every_combination(void **state)
{
    (void)state;
    for (uint8_t flags = 0; flags < 16; flags += 2) {
        char hex[400] = "";
        size_t at = 0;
        if ((flags & CQL_FLAG_TRACING) != 0) {
            at += (size_t)snprintf(hex + at, sizeof(hex) - at, "00112233445566778899aabbccddeeff");
        }
        if ((flags & CQL_FLAG_WARNING) != 0) {
            at += (size_t)snprintf(hex + at, sizeof(hex) - at, "0002 0001 61 0002 6262");
        }
        if ((flags & CQL_FLAG_PAYLOAD) != 0) {
            at += (size_t)snprintf(hex + at, sizeof(hex) - at, "0001 0001 6b 00000001 76");
        }
        (void)snprintf(hex + at, sizeof(hex) - at, "00000003 0002 6b73");
        const struct text body = bytes_of(hex);
        assert_true(reads(5, CQL_OPCODE_RESULT, flags, body));
        assert_true(text_equal(response.keyspace, TEXT("ks")));
        assert_int_equal(response.has_tracing_id, (flags & CQL_FLAG_TRACING) != 0);
        assert_int_equal(response.tracing_id.bytes[15], (flags & CQL_FLAG_TRACING) != 0 ? 0xFF : 0);
        assert_int_equal(response.warnings.count, (flags & CQL_FLAG_WARNING) != 0 ? 2 : 0);
        assert_int_equal(response.payload.count, (flags & CQL_FLAG_PAYLOAD) != 0 ? 1 : 0);
        for (size_t size = 0; size < body.size; size++) {
            assert_false(
                reads(5, CQL_OPCODE_RESULT, flags, bytes_copy((struct text){body.data, size})));
        }
    }
}

static void refused_answer_leaves_the_last_one_untouched(void **state)
{
    (void)state;
    read_whole(4, CQL_OPCODE_RESULT, "00000003 0002 6b73");
    assert_false(reads(4, CQL_OPCODE_RESULT, 0, bytes_of("0000")));
    assert_true(text_equal(response.keyspace, TEXT("ks")));
}

#define RESPONSE_TEST(name) cmocka_unit_test_teardown(name, bytes_release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RESPONSE_TEST(handshake_answers_are_read),
        RESPONSE_TEST(unknown_opcodes_and_results_are_given_as_such),
        RESPONSE_TEST(void_result_is_known_without_reading),
        RESPONSE_TEST(rows_have_columns_and_cells),
        RESPONSE_TEST(rows_cut_short_anywhere_are_refused),
        RESPONSE_TEST(columns_of_several_tables_name_theirs),
        RESPONSE_TEST(rows_without_metadata_still_have_cells),
        RESPONSE_TEST(more_pages_come_with_a_state_and_new_columns_with_an_id),
        RESPONSE_TEST(row_counts_that_nothing_stands_behind_are_refused),
        RESPONSE_TEST(unknown_custom_and_vector_columns_are_skipped_over),
        RESPONSE_TEST(prepared_statement_has_markers_key_and_columns),
        RESPONSE_TEST(partition_key_outside_the_markers_is_refused),
        RESPONSE_TEST(keyspace_and_schema_results_are_read),
        RESPONSE_TEST(events_tell_what_happened_to_which_node),
        RESPONSE_TEST(schema_events_name_what_has_changed),
        RESPONSE_TEST(tracing_warnings_and_payload_come_in_every_combination),
        RESPONSE_TEST(refused_answer_leaves_the_last_one_untouched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
