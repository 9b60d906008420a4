// The mock without rules: that a client finds in it a plausible node, and in several a cluster; and that it
// notices what a client does against the protocol.
#include "cql_mock_client.h"

#include <string.h>

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct cql_mock *mock;

static int start(void **state)
{
    (void)state;
    mock = cql_mock_start(NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    cql_mock_stop(&mock);
    return 0;
}

// --- reading results -----------------------------------------------------------------------------

struct rows {
    struct cql_mock_bytes body;
    unsigned column_count;
    unsigned row_count;
    struct cql_mock_reader cells;
};

static void skip_type(struct cql_mock_reader *reader)
{
    unsigned type = cql_mock_take_short(reader);
    unsigned nested = type == CQL_MOCK_MAP                            ? 2
                      : type == CQL_MOCK_SET || type == CQL_MOCK_LIST ? 1
                                                                      : 0;
    (void)cql_mock_take(reader, (size_t)2 * nested);
}

// Of a RESULT Rows with its columns.
static struct rows expect_rows(struct cql_mock_client *client, int16_t stream)
{
    struct rows rows = {.body = cql_mock_client_expect(client, stream, CQL_MOCK_RESULT)};
    struct cql_mock_reader reader = {.at = rows.body.data, .left = rows.body.size};
    assert_int_equal(cql_mock_take_int(&reader), 2);
    assert_int_equal(cql_mock_take_int(&reader), 1);
    rows.column_count = (unsigned)cql_mock_take_int(&reader);
    (void)cql_mock_take_string(&reader);
    (void)cql_mock_take_string(&reader);
    for (unsigned i = 0; i < rows.column_count; i++) {
        (void)cql_mock_take_string(&reader);
        skip_type(&reader);
    }
    rows.row_count = (unsigned)cql_mock_take_int(&reader);
    assert_false(reader.is_bad);
    rows.cells = reader;
    return rows;
}

static void expect_cell(struct rows *rows, const void *data, size_t size)
{
    struct cql_mock_reader cell = cql_mock_take_value(&rows->cells);
    assert_false(cell.is_bad);
    assert_int_equal(cell.left, size);
    if (size > 0) {
        assert_memory_equal(cell.at, data, size);
    }
}

static void expect_text(struct rows *rows, const char *text)
{
    expect_cell(rows, text, strlen(text));
}

static void end_rows(struct rows *rows)
{
    assert_int_equal(rows->cells.left, 0);
    cql_mock_bytes_free(&rows->body);
}

// --- the beginning of a connection ---------------------------------------------------------------

static void both_versions_are_spoken(void **state)
{
    (void)state;
    for (uint8_t version = 4; version <= 5; version++) {
        struct cql_mock_client client = cql_mock_client_log_in(mock, version);
        cql_mock_client_query(&client, 7, "INSERT INTO shop.orders (id) VALUES (1)");
        struct cql_mock_bytes body = cql_mock_client_expect(&client, 7, CQL_MOCK_RESULT);
        assert_int_equal(body.size, 4);
        assert_int_equal(body.data[3], 1);
        cql_mock_bytes_free(&body);
        cql_mock_client_close(&client);
    }
    assert_null(cql_mock_complaint(mock));
    assert_int_equal(cql_mock_accepted_count(mock), 2);
    assert_int_equal(cql_mock_count(mock, CQL_MOCK_STARTUP), 2);
    assert_int_equal(cql_mock_count(mock, CQL_MOCK_ANY), 8);
    assert_string_equal(cql_mock_request(mock, 3)->text, "INSERT INTO shop.orders (id) VALUES (1)");
    assert_null(cql_mock_request(mock, 8));
}

static void an_old_node_refuses_the_new_version_in_its_own(void **state)
{
    (void)state;
    struct cql_mock *old = cql_mock_start(&(struct cql_mock_options){.version_max = 4});
    struct cql_mock_client client = cql_mock_client_open(old, 5);
    cql_mock_client_send(&client, 3, CQL_MOCK_OPTIONS, NULL);
    client.version = 4;
    cql_mock_client_expect_error(&client, 3, 0x000A);
    cql_mock_client_close(&client);
    client = cql_mock_client_log_in(old, 4);
    cql_mock_client_close(&client);
    assert_null(cql_mock_complaint(old));
    cql_mock_stop(&old);
}

static void log_in_with(const struct cql_mock *node, const char *token, size_t token_size,
                        unsigned answer)
{
    struct cql_mock_client client = cql_mock_client_open(node, 5);
    struct cql_mock_bytes body = {0};
    cql_mock_put_short(&body, 0);
    cql_mock_client_send(&client, 0, CQL_MOCK_STARTUP, &body);
    struct cql_mock_bytes asked = cql_mock_client_expect(&client, 0, CQL_MOCK_AUTHENTICATE);
    client.is_segmented = true;
    body.size = 0;
    cql_mock_put_bytes(&body, token, token_size);
    cql_mock_client_send(&client, 0, CQL_MOCK_AUTH_RESPONSE, &body);
    struct cql_mock_bytes said = cql_mock_client_expect(&client, 0, answer);
    cql_mock_bytes_free(&body);
    cql_mock_bytes_free(&asked);
    cql_mock_bytes_free(&said);
    cql_mock_client_close(&client);
}

static void only_the_password_lets_in(void **state)
{
    (void)state;
    struct cql_mock *node =
        cql_mock_start(&(struct cql_mock_options){.user = "us", .password = "pw"});
    log_in_with(node, "\0us\0pw", 6, CQL_MOCK_AUTH_SUCCESS);
    log_in_with(node, "\0us\0px", 6, CQL_MOCK_ERROR);
    log_in_with(node, "\0us\0p", 5, CQL_MOCK_ERROR);
    log_in_with(node, "\0us\0pwx", 7, CQL_MOCK_ERROR);
    assert_null(cql_mock_complaint(node));
    cql_mock_stop(&node);
}

// --- the cluster ---------------------------------------------------------------------------------

static void named_columns_come_in_the_order_of_the_statement(void **state)
{
    (void)state;
    struct cql_mock_client client = cql_mock_client_log_in(mock, 4);
    cql_mock_client_query(&client, 1,
                          "SELECT rack, key, data_center FROM system.local WHERE key='local'");
    struct rows rows = expect_rows(&client, 1);
    assert_int_equal(rows.column_count, 3);
    assert_int_equal(rows.row_count, 1);
    expect_text(&rows, "rack1");
    expect_text(&rows, "local");
    expect_text(&rows, "datacenter1");
    end_rows(&rows);
    cql_mock_client_close(&client);
}

static void all_columns_of_a_system_table_come_for_a_star(void **state)
{
    (void)state;
    struct cql_mock_client client = cql_mock_client_log_in(mock, 5);
    cql_mock_client_query(&client, 1, "SELECT * FROM system.local");
    struct rows rows = expect_rows(&client, 1);
    assert_int_equal(rows.column_count, 19);
    cql_mock_bytes_free(&rows.body);
    cql_mock_client_query(&client, 1, "SELECT * FROM system.peers");
    rows = expect_rows(&client, 1);
    assert_int_equal(rows.column_count, 9);
    assert_int_equal(rows.row_count, 0);
    end_rows(&rows);
    cql_mock_client_close(&client);
}

static void introduced_nodes_tell_of_each_other(void **state)
{
    (void)state;
    const unsigned char address[] = {127, 0, 0, 2};
    struct cql_mock *other = cql_mock_start(&(struct cql_mock_options){.host = 2,
                                                                       .version_max = 4,
                                                                       .rack = "rack2",
                                                                       .tokens = "-5,7",
                                                                       .release_version = "4.0.1"});
    cql_mock_introduce((struct cql_mock *[]){mock, other}, 2);
    struct cql_mock_client client = cql_mock_client_log_in(mock, 5);
    cql_mock_client_query(
        &client, 1,
        "SELECT native_address, native_port, rack, release_version, tokens, preferred_ip "
        "FROM system.peers_v2");
    struct rows rows = expect_rows(&client, 1);
    uint16_t port = cql_mock_port(other);
    const unsigned char port_bytes[] = {0, 0, (unsigned char)(port >> 8), (unsigned char)port};
    assert_int_equal(rows.row_count, 1);
    expect_cell(&rows, address, sizeof address);
    expect_cell(&rows, port_bytes, sizeof port_bytes);
    expect_text(&rows, "rack2");
    expect_text(&rows, "4.0.1");
    expect_cell(&rows,
                "\0\0\0\2\0\0\0\2-5\0\0\0\1"
                "7",
                15);
    expect_cell(&rows, NULL, 0);
    end_rows(&rows);
    cql_mock_client_close(&client);
    cql_mock_stop(&other);
}

static void keyspaces_tell_their_replication(void **state)
{
    (void)state;
    struct cql_mock_client client = cql_mock_client_log_in(mock, 5);
    cql_mock_set_keyspaces(mock, &(struct cql_mock_keyspace){"k", "class=X,dc1=3"}, 1);
    cql_mock_client_query(&client, 1,
                          "SELECT keyspace_name, replication FROM system_schema.keyspaces");
    struct rows rows = expect_rows(&client, 1);
    assert_int_equal(rows.row_count, 1);
    expect_text(&rows, "k");
    expect_cell(&rows,
                "\0\0\0\2\0\0\0\5class\0\0\0\1X\0\0\0\3dc1\0\0\0\1"
                "3",
                30);
    end_rows(&rows);
    cql_mock_client_close(&client);
}

// --- statements ----------------------------------------------------------------------------------

static const struct cql_mock_column id_marker[] = {{"id", {CQL_MOCK_VARCHAR}}};
static const struct cql_mock_column id_and_items[] = {
    {"id", {CQL_MOCK_VARCHAR}}, {"items", {CQL_MOCK_MAP, CQL_MOCK_VARCHAR, CQL_MOCK_BIGINT}}};
static const struct cql_mock_cell two_rows[] = {{"a", 1}, {NULL, 0}, {"", 0}, {"xyz", 3}};
static const struct cql_mock_statement two_orders = {.part = "FROM shop.orders",
                                                     .markers = id_marker,
                                                     .marker_count = 1,
                                                     .partition_key_count = 1,
                                                     .columns = id_and_items,
                                                     .column_count = 2,
                                                     .cells = two_rows,
                                                     .row_count = 2};
#define READ_ORDERS "SELECT id, items FROM shop.orders WHERE id = ?"

static struct cql_mock_answer prepare(struct cql_mock_client *client, const char *text)
{
    cql_mock_client_prepare(client, 9, text);
    struct cql_mock_answer answer = cql_mock_client_receive(client);
    assert_int_equal(answer.header.opcode, CQL_MOCK_RESULT);
    assert_int_equal(answer.body.data[3], 4);
    return answer;
}

// The flags of the metadata of the RESULT Rows that answers an EXECUTE.
static int32_t execute(struct cql_mock_client *client, const struct cql_mock_answer *prepared)
{
    cql_mock_client_execute(client, 9, prepared, (const char *[]){"a"}, 1);
    struct cql_mock_bytes body = cql_mock_client_expect(client, 9, CQL_MOCK_RESULT);
    struct cql_mock_reader reader = {.at = body.data, .left = body.size};
    assert_int_equal(cql_mock_take_int(&reader), 2);
    int32_t flags = cql_mock_take_int(&reader);
    cql_mock_bytes_free(&body);
    return flags;
}

static void a_statement_gives_what_was_taught(void **state)
{
    (void)state;
    cql_mock_teach(mock, &two_orders);
    struct cql_mock_client client = cql_mock_client_log_in(mock, 5);
    cql_mock_client_query(&client, 2, READ_ORDERS);
    struct rows rows = expect_rows(&client, 2);
    assert_int_equal(rows.row_count, 2);
    expect_text(&rows, "a");
    expect_cell(&rows, NULL, 0);
    expect_text(&rows, "");
    expect_text(&rows, "xyz");
    end_rows(&rows);
    cql_mock_client_close(&client);
}

static void a_prepared_statement_may_go_without_metadata(void **state)
{
    (void)state;
    cql_mock_teach(mock, &two_orders);
    for (uint8_t version = 4; version <= 5; version++) {
        struct cql_mock_client client = cql_mock_client_log_in(mock, version);
        struct cql_mock_answer prepared = prepare(&client, READ_ORDERS);
        assert_int_equal(execute(&client, &prepared), 4);
        cql_mock_client_execute(&client, 9, &prepared, (const char *[]){"a", "b"}, 2);
        cql_mock_client_expect_error(&client, 9, 0x2200);
        cql_mock_bytes_free(&prepared.body);
        cql_mock_client_close(&client);
    }
    assert_string_equal(cql_mock_request(mock, 4)->text, READ_ORDERS);
    assert_null(cql_mock_complaint(mock));
}

static void changed_columns_are_told_in_v5(void **state)
{
    (void)state;
    struct cql_mock_statement narrow = two_orders;
    narrow.column_count = 1;
    cql_mock_teach(mock, &narrow);
    struct cql_mock_client client = cql_mock_client_log_in(mock, 5);
    struct cql_mock_answer prepared = prepare(&client, READ_ORDERS);
    assert_int_equal(execute(&client, &prepared), 4);
    cql_mock_teach(mock, &two_orders);
    assert_int_equal(execute(&client, &prepared), 1 | 8);
    cql_mock_bytes_free(&prepared.body);
    cql_mock_client_close(&client);
}

static void a_forgotten_statement_is_unprepared(void **state)
{
    (void)state;
    struct cql_mock_client client = cql_mock_client_log_in(mock, 5);
    struct cql_mock_answer first = prepare(&client, "INSERT INTO shop.orders (id) VALUES (?)");
    cql_mock_forget(mock, 0);
    cql_mock_client_execute(&client, 4, &first, (const char *[]){"a"}, 1);
    struct cql_mock_bytes body = cql_mock_client_expect(&client, 4, CQL_MOCK_ERROR);
    assert_memory_equal(body.data, "\0\0\x25\0", 4);
    assert_memory_equal(body.data + body.size - 18, first.body.data + 4, 18); // the id
    cql_mock_bytes_free(&body);

    cql_mock_add_rule(mock, &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE,
                                                    .action = CQL_MOCK_FAIL,
                                                    .error = {.code = 0x2500}});
    cql_mock_client_execute(&client, 4, &first, (const char *[]){"a"}, 1);
    body = cql_mock_client_expect(&client, 4, CQL_MOCK_ERROR);
    assert_memory_equal(body.data + body.size - 18, first.body.data + 4, 18);
    cql_mock_bytes_free(&body);

    struct cql_mock_answer second = prepare(&client, "INSERT INTO shop.orders (id) VALUES (?)");
    assert_int_equal(second.body.size, first.body.size);
    assert_memory_equal(second.body.data, first.body.data, first.body.size);
    cql_mock_forget(mock, 1);
    struct cql_mock_answer third = prepare(&client, "INSERT INTO shop.orders (id) VALUES (?)");
    assert_memory_not_equal(third.body.data + 6, first.body.data + 6, 16);
    cql_mock_bytes_free(&first.body);
    cql_mock_bytes_free(&second.body);
    cql_mock_bytes_free(&third.body);
    cql_mock_client_close(&client);
}

static void send_batch(struct cql_mock_client *client, const struct cql_mock_answer *prepared)
{
    struct cql_mock_bytes body = {0};
    cql_mock_put_byte(&body, 1);
    cql_mock_put_short(&body, 2);
    cql_mock_put_byte(&body, 0);
    cql_mock_put_bytes(&body, "DELETE", 6);
    cql_mock_put_short(&body, 0);
    cql_mock_put_byte(&body, 1);
    cql_mock_put(&body, prepared->body.data + 4, 18);
    cql_mock_put_short(&body, 1);
    cql_mock_put_bytes(&body, NULL, 0);
    cql_mock_put_short(&body, 6);
    cql_mock_put_byte(&body, 0);
    cql_mock_client_send(client, 11, CQL_MOCK_BATCH, &body);
    cql_mock_bytes_free(&body);
}

static void a_batch_needs_all_its_statements(void **state)
{
    (void)state;
    struct cql_mock_client client = cql_mock_client_log_in(mock, 4);
    struct cql_mock_answer prepared = prepare(&client, "INSERT INTO shop.orders (id) VALUES (?)");
    send_batch(&client, &prepared);
    struct cql_mock_bytes body = cql_mock_client_expect(&client, 11, CQL_MOCK_RESULT);
    cql_mock_bytes_free(&body);
    cql_mock_forget(mock, 0);
    send_batch(&client, &prepared);
    cql_mock_client_expect_error(&client, 11, 0x2500);
    cql_mock_bytes_free(&prepared.body);
    cql_mock_client_close(&client);
    assert_string_equal(cql_mock_request(mock, 4)->text, "DELETE");
    assert_null(cql_mock_complaint(mock));
}

// --- complaints ----------------------------------------------------------------------------------

static void expect_complaint(struct cql_mock_client *client, const char *part)
{
    int error;
    struct cql_mock_bytes rest = cql_mock_client_expect_end(client, &error);
    cql_mock_bytes_free(&rest);
    assert_non_null(cql_mock_complaint(mock));
    assert_non_null(strstr(cql_mock_complaint(mock), part));
    cql_mock_client_close(client);
}

static void a_query_before_startup_is_against_the_protocol(void **state)
{
    (void)state;
    struct cql_mock_client client = cql_mock_client_open(mock, 5);
    cql_mock_client_query(&client, 0, "SELECT");
    expect_complaint(&client, "out of turn");
}

static void a_stream_used_twice_is_against_the_protocol(void **state)
{
    (void)state;
    cql_mock_add_rule(
        mock, &(struct cql_mock_rule){.opcode = CQL_MOCK_QUERY, .action = CQL_MOCK_SILENCE});
    struct cql_mock_client client = cql_mock_client_log_in(mock, 5);
    cql_mock_client_query(&client, 5, "SELECT");
    cql_mock_client_query(&client, 5, "SELECT");
    expect_complaint(&client, "stream 5");
}

static void a_negative_stream_is_against_the_protocol(void **state)
{
    (void)state;
    struct cql_mock_client client = cql_mock_client_log_in(mock, 4);
    cql_mock_client_query(&client, -1, "SELECT");
    expect_complaint(&client, "stream -1");
}

static void a_bare_envelope_among_segments_is_against_the_protocol(void **state)
{
    (void)state;
    struct cql_mock_client client = cql_mock_client_log_in(mock, 5);
    client.is_segmented = false;
    cql_mock_client_query(&client, 0, "SELECT");
    expect_complaint(&client, "damaged segment");
}

static void a_body_too_long_is_against_the_protocol(void **state)
{
    (void)state;
    struct cql_mock_client client = cql_mock_client_log_in(mock, 4);
    struct cql_mock_bytes body = {0};
    cql_mock_put_bytes(&body, "SELECT", 6);
    cql_mock_put_short(&body, 1);
    cql_mock_put_int(&body, 0); // as in v5, three bytes more than in v4
    cql_mock_client_send(&client, 0, CQL_MOCK_QUERY, &body);
    cql_mock_bytes_free(&body);
    expect_complaint(&client, "too long");
}

static void half_an_envelope_in_a_whole_segment_is_against_the_protocol(void **state)
{
    (void)state;
    const unsigned char half[] = {5, 0, 0, 1, 5};
    struct cql_mock_bytes bytes = {0};
    struct cql_mock_client client = cql_mock_client_log_in(mock, 5);
    cql_mock_put_segment(&bytes, half, sizeof half, true);
    cql_mock_client_send_raw(&client, bytes.data, bytes.size);
    cql_mock_bytes_free(&bytes);
    expect_complaint(&client, "a part of an envelope");
}

static void large_requests_come_in_slices(void **state)
{
    (void)state;
    static char text[300001];
    memset(text, 'x', sizeof text - 1);
    struct cql_mock_client client = cql_mock_client_log_in(mock, 5);
    cql_mock_client_query(&client, 0, text);
    struct cql_mock_bytes body = cql_mock_client_expect(&client, 0, CQL_MOCK_RESULT);
    cql_mock_bytes_free(&body);
    assert_string_equal(cql_mock_request(mock, 3)->text, text);
    assert_null(cql_mock_complaint(mock));
    cql_mock_client_close(&client);
}

#define MOCK_TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MOCK_TEST(both_versions_are_spoken),
        MOCK_TEST(an_old_node_refuses_the_new_version_in_its_own),
        MOCK_TEST(only_the_password_lets_in),
        MOCK_TEST(named_columns_come_in_the_order_of_the_statement),
        MOCK_TEST(all_columns_of_a_system_table_come_for_a_star),
        MOCK_TEST(introduced_nodes_tell_of_each_other),
        MOCK_TEST(keyspaces_tell_their_replication),
        MOCK_TEST(a_statement_gives_what_was_taught),
        MOCK_TEST(a_prepared_statement_may_go_without_metadata),
        MOCK_TEST(changed_columns_are_told_in_v5),
        MOCK_TEST(a_forgotten_statement_is_unprepared),
        MOCK_TEST(a_batch_needs_all_its_statements),
        MOCK_TEST(a_query_before_startup_is_against_the_protocol),
        MOCK_TEST(a_stream_used_twice_is_against_the_protocol),
        MOCK_TEST(a_negative_stream_is_against_the_protocol),
        MOCK_TEST(a_bare_envelope_among_segments_is_against_the_protocol),
        MOCK_TEST(a_body_too_long_is_against_the_protocol),
        MOCK_TEST(half_an_envelope_in_a_whole_segment_is_against_the_protocol),
        MOCK_TEST(large_requests_come_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
