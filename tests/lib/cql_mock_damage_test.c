// What a healthy node never does: that the mock does it when a rule says so, byte for byte.
#include "cql_mock_client.h"

#include "loopback_port.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define VOID_SIZE   (CQL_MOCK_HEADER_SIZE + 4) // the envelope of a RESULT Void
#define SILENCE_MS  100
#define PATIENCE_MS 20000

static struct cql_mock *mock;
static struct cql_mock_client v4;
static struct cql_mock_client v5;

static int start(void **state)
{
    (void)state;
    mock = cql_mock_start(NULL);
    v4 = cql_mock_client_log_in(mock, 4);
    v5 = cql_mock_client_log_in(mock, 5);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    cql_mock_client_close(&v4);
    cql_mock_client_close(&v5);
    cql_mock_stop(&mock);
    return 0;
}

static void expect_void(struct cql_mock_client *client, int16_t stream)
{
    struct cql_mock_bytes body = cql_mock_client_expect(client, stream, CQL_MOCK_RESULT);
    assert_int_equal(body.size, 4);
    cql_mock_bytes_free(&body);
}

static void expect_silence(const struct cql_mock_client *client)
{
    struct pollfd polled = {.fd = client->fd, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, SILENCE_MS), 0);
}

// --- errors --------------------------------------------------------------------------------------

struct error_case {
    struct cql_mock_error error;
    const char *v4_fields; // after code and message
    size_t v4_size;
    const char *v5_fields; // NULL: the same
    size_t v5_size;
};

#define REPLICAS "\0\6\0\0\0\1\0\0\0\2" // LOCAL_QUORUM, 1 of 2

static const struct error_case error_cases[] = {
    {{.code = 0x0000}, "", 0, NULL, 0},
    {{.code = 0x1000, .consistency = 6, .required = 2, .received = 1},
     "\0\6\0\0\0\2\0\0\0\1",
     10,
     NULL,
     0},
    {{.code = 0x1001}, "", 0, NULL, 0},
    {{.code = 0x1100, .consistency = 6, .received = 1, .required = 2},
     REPLICAS "\0\6SIMPLE",
     18,
     NULL,
     0},
    {{.code = 0x1100,
      .consistency = 6,
      .received = 1,
      .required = 2,
      .write_type = "CAS",
      .contentions = 3},
     REPLICAS "\0\3CAS",
     15,
     REPLICAS "\0\3CAS\0\3",
     17},
    {{.code = 0x1200, .consistency = 6, .received = 1, .required = 2, .data_present = true},
     REPLICAS "\1",
     11,
     NULL,
     0},
    {{.code = 0x1300, .consistency = 6, .received = 1, .required = 2, .failure_count = 1},
     REPLICAS "\0\0\0\1\0",
     15,
     REPLICAS "\0\0\0\1\4\x7F\0\0\1\0\0\0",
     22},
    {{.code = 0x1400}, "\0\4shop\0\6orders\0\1\0\3int", 21, NULL, 0},
    {{.code = 0x1500,
      .consistency = 6,
      .received = 1,
      .required = 2,
      .failure_count = 1,
      .write_type = "BATCH"},
     REPLICAS "\0\0\0\1\0\5BATCH",
     21,
     REPLICAS "\0\0\0\1\4\x7F\0\0\1\0\0\0\5BATCH",
     28},
    {{.code = 0x1600}, "", 0, NULL, 0},
    {{.code = 0x1700, .consistency = 6, .received = 1, .required = 2}, REPLICAS, 10, NULL, 0},
    {{.code = 0x2400, .keyspace = "k", .table = "t"}, "\0\1k\0\1t", 6, NULL, 0},
    {{.code = 0x2500, .id = "id", .id_size = 2}, "\0\2id", 4, NULL, 0},
};

static void expect_fields(struct cql_mock_client *client, int32_t code, const char *fields,
                          size_t size)
{
    cql_mock_client_query(client, 3, "SELECT");
    struct cql_mock_bytes body = cql_mock_client_expect(client, 3, CQL_MOCK_ERROR);
    struct cql_mock_reader reader = {.at = body.data, .left = body.size};
    assert_int_equal(cql_mock_take_int(&reader), code);
    assert_int_equal(cql_mock_take_string(&reader).left, strlen("made up by the test"));
    assert_int_equal(reader.left, size);
    if (size > 0) {
        assert_memory_equal(reader.at, fields, size);
    }
    cql_mock_bytes_free(&body);
}

static void each_error_has_its_fields_in_both_versions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof error_cases / sizeof error_cases[0]; i++) {
        const struct error_case *each = &error_cases[i];
        bool is_same = each->v5_fields == NULL;
        cql_mock_clear_rules(mock);
        cql_mock_add_rule(mock,
                          &(struct cql_mock_rule){.action = CQL_MOCK_FAIL, .error = each->error});
        expect_fields(&v4, each->error.code, each->v4_fields, each->v4_size);
        expect_fields(&v5, each->error.code, is_same ? each->v4_fields : each->v5_fields,
                      is_same ? each->v4_size : each->v5_size);
    }
}

// --- which requests a rule is for ----------------------------------------------------------------

static void a_rule_skips_some_and_ends(void **state)
{
    (void)state;
    cql_mock_add_rule(mock, &(struct cql_mock_rule){.opcode = CQL_MOCK_QUERY,
                                                    .part = "orders",
                                                    .skip = 1,
                                                    .times = 2,
                                                    .action = CQL_MOCK_FAIL,
                                                    .error = {.code = 0x1001}});
    for (int16_t i = 0; i < 4; i++) {
        cql_mock_client_query(&v5, 100, "UPDATE shop.others");
        expect_void(&v5, 100);
        cql_mock_client_query(&v5, i, "UPDATE shop.orders");
        if (i == 1 || i == 2) {
            cql_mock_client_expect_error(&v5, i, 0x1001);
        } else {
            expect_void(&v5, i);
        }
    }
}

static void the_first_rule_that_fits_decides(void **state)
{
    (void)state;
    const struct cql_mock_rule rule = {
        .times = 1, .action = CQL_MOCK_FAIL, .error = {.code = 0x1001}};
    struct cql_mock_rule other = rule;
    other.error.code = 0x1003;
    cql_mock_add_rule(mock, &rule);
    cql_mock_add_rule(mock, &other);
    cql_mock_client_query(&v4, 0, "UPDATE");
    cql_mock_client_expect_error(&v4, 0, 0x1001);
    cql_mock_client_query(&v4, 0, "UPDATE");
    cql_mock_client_expect_error(&v4, 0, 0x1003);
    cql_mock_client_query(&v4, 0, "UPDATE");
    expect_void(&v4, 0);
}

// --- damage --------------------------------------------------------------------------------------

static struct cql_mock_header damaged_header(enum cql_mock_damage damage, int32_t value)
{
    unsigned char bytes[VOID_SIZE];
    cql_mock_clear_rules(mock);
    cql_mock_add_rule(mock, &(struct cql_mock_rule){.damage = damage, .damage_value = value});
    cql_mock_client_query(&v4, 6, "UPDATE");
    while (v4.input.size < VOID_SIZE) {
        assert_true(cql_mock_client_receive_some(&v4) > 0);
    }
    memcpy(bytes, v4.input.data, sizeof bytes);
    cql_mock_bytes_drop(&v4.input, VOID_SIZE);
    assert_int_equal(v4.input.size, 0);
    return cql_mock_read_header(bytes);
}

static void envelopes_are_damaged_in_one_field(void **state)
{
    (void)state;
    struct cql_mock_header header = damaged_header(CQL_MOCK_WHOLE, 0);
    assert_int_equal(header.version, 0x84);
    assert_int_equal(header.length, 4);
    assert_int_equal(damaged_header(CQL_MOCK_WRONG_VERSION, 4).version, 4);
    assert_int_equal(damaged_header(CQL_MOCK_WRONG_FLAGS, 1).flags, 1);
    assert_int_equal(damaged_header(CQL_MOCK_WRONG_STREAM, -2).stream, -2);
    assert_int_equal(damaged_header(CQL_MOCK_WRONG_OPCODE, 0x7F).opcode, 0x7F);
    assert_int_equal(damaged_header(CQL_MOCK_WRONG_LENGTH, -1).length, 3);
    assert_int_equal(damaged_header(CQL_MOCK_WRONG_LENGTH, 1 << 30).length, (1 << 30) + 4);
}

static void expect_bad_segment(enum cql_mock_damage damage)
{
    struct cql_mock_segment segment;
    cql_mock_clear_rules(mock);
    cql_mock_add_rule(mock, &(struct cql_mock_rule){.damage = damage});
    cql_mock_client_query(&v5, 6, "UPDATE");
    while (v5.input.size < 6 + VOID_SIZE + 4) {
        assert_true(cql_mock_client_receive_some(&v5) > 0);
    }
    assert_int_equal(cql_mock_read_segment(v5.input.data, v5.input.size, &segment),
                     CQL_MOCK_SEGMENT_BAD);
    cql_mock_bytes_drop(&v5.input, v5.input.size);
}

static void segments_are_damaged_in_a_check_sum(void **state)
{
    (void)state;
    expect_bad_segment(CQL_MOCK_WRONG_HEADER_CRC);
    expect_bad_segment(CQL_MOCK_WRONG_PAYLOAD_CRC);
}

static void an_answer_is_cut_and_the_connection_ends(void **state)
{
    (void)state;
    int error;
    cql_mock_add_rule(mock, &(struct cql_mock_rule){.damage = CQL_MOCK_CUT, .damage_value = 5});
    cql_mock_client_query(&v4, 6, "UPDATE");
    struct cql_mock_bytes bytes = cql_mock_client_expect_end(&v4, &error);
    assert_int_equal(error, 0);
    assert_int_equal(bytes.size, 5);
    cql_mock_bytes_free(&bytes);
}

static void bytes_come_one_at_a_time(void **state)
{
    (void)state;
    cql_mock_add_rule(mock, &(struct cql_mock_rule){.slice_size = 1, .slice_pause_ms = 20});
    cql_mock_client_query(&v5, 6, "UPDATE");
    assert_true(cql_mock_client_receive_some(&v5) < VOID_SIZE);
    expect_void(&v5, 6);
}

static void extras_go_before_the_body(void **state)
{
    (void)state;
    cql_mock_add_rule(mock, &(struct cql_mock_rule){
                                .is_traced = true, .warning = "careful", .payload_key = "key"});
    cql_mock_client_query(&v5, 6, "UPDATE");
    struct cql_mock_answer answer = cql_mock_client_receive(&v5);
    struct cql_mock_reader reader = {.at = answer.body.data, .left = answer.body.size};
    assert_int_equal(answer.header.flags, 0x02 | 0x04 | 0x08);
    (void)cql_mock_take(&reader, 16);
    assert_int_equal(cql_mock_take_short(&reader), 1);
    assert_int_equal(cql_mock_take_string(&reader).left, strlen("careful"));
    assert_int_equal(cql_mock_take_short(&reader), 1);
    assert_int_equal(cql_mock_take_string(&reader).left, strlen("key"));
    assert_int_equal(cql_mock_take_value(&reader).left, 3);
    assert_int_equal(cql_mock_take_int(&reader), 1);
    assert_int_equal(reader.left, 0);
    cql_mock_bytes_free(&answer.body);
}

static void raw_bytes_and_own_bodies_go_out_as_they_are(void **state)
{
    (void)state;
    cql_mock_add_rule(mock,
                      &(struct cql_mock_rule){
                          .times = 1, .action = CQL_MOCK_RAW, .body = "garbage", .body_size = 7});
    cql_mock_add_rule(mock, &(struct cql_mock_rule){.action = CQL_MOCK_ANSWER,
                                                    .answer_opcode = CQL_MOCK_AUTH_CHALLENGE,
                                                    .body = "\0\0\0\0",
                                                    .body_size = 4});
    cql_mock_client_query(&v5, 6, "UPDATE");
    while (v5.input.size < 7) {
        assert_true(cql_mock_client_receive_some(&v5) > 0);
    }
    assert_memory_equal(v5.input.data, "garbage", 7);
    cql_mock_bytes_drop(&v5.input, 7);
    cql_mock_client_query(&v5, 6, "UPDATE");
    struct cql_mock_bytes body = cql_mock_client_expect(&v5, 6, CQL_MOCK_AUTH_CHALLENGE);
    assert_int_equal(body.size, 4);
    cql_mock_bytes_free(&body);
}

// --- order ---------------------------------------------------------------------------------------

static void held_answers_leave_in_the_order_asked_for(void **state)
{
    (void)state;
    cql_mock_add_rule(mock, &(struct cql_mock_rule){.opcode = CQL_MOCK_QUERY, .is_held = true});
    for (int round = 0; round < 2; round++) {
        for (int16_t i = 0; i < 3; i++) {
            cql_mock_client_query(&v5, i, "UPDATE");
        }
        assert_true(cql_mock_await(mock, CQL_MOCK_QUERY, (unsigned)(3 + 3 * round), PATIENCE_MS));
        expect_silence(&v5);
        assert_int_equal(cql_mock_release(mock, round == 0), 3);
        for (int16_t i = 0; i < 3; i++) {
            expect_void(&v5, round == 0 ? (int16_t)(2 - i) : i);
        }
    }
    assert_int_equal(cql_mock_release(mock, true), 0);
    assert_null(cql_mock_complaint(mock));
}

static void held_events_share_a_segment_with_answers(void **state)
{
    (void)state;
    struct cql_mock_bytes event = {0};
    struct cql_mock_segment segment;
    cql_mock_put_string(&event, "STATUS_CHANGE");
    cql_mock_add_rule(mock, &(struct cql_mock_rule){.opcode = CQL_MOCK_QUERY, .is_held = true});
    cql_mock_client_query(&v5, 0, "UPDATE");
    assert_true(cql_mock_await(mock, CQL_MOCK_QUERY, 1, PATIENCE_MS));
    assert_int_equal(cql_mock_push(mock, &event, true), 2);
    cql_mock_client_query(&v5, 1, "UPDATE");
    assert_true(cql_mock_await(mock, CQL_MOCK_QUERY, 2, PATIENCE_MS));
    assert_int_equal(cql_mock_release(mock, false), 4);
    while (cql_mock_read_segment(v5.input.data, v5.input.size, &segment) != CQL_MOCK_SEGMENT) {
        assert_true(cql_mock_client_receive_some(&v5) > 0);
    }
    assert_int_equal(segment.payload_size, 2 * VOID_SIZE + CQL_MOCK_HEADER_SIZE + event.size);
    expect_void(&v5, 0);
    struct cql_mock_bytes body = cql_mock_client_expect(&v5, -1, CQL_MOCK_EVENT);
    expect_void(&v5, 1);
    cql_mock_bytes_free(&body);
    cql_mock_bytes_free(&event);
}

static void silence_keeps_the_connection(void **state)
{
    (void)state;
    cql_mock_add_rule(mock, &(struct cql_mock_rule){.times = 1, .action = CQL_MOCK_SILENCE});
    cql_mock_client_query(&v5, 0, "UPDATE");
    cql_mock_client_query(&v5, 1, "UPDATE");
    expect_void(&v5, 1);
    expect_silence(&v5);
}

static void answer_twice(struct cql_mock_call *call, void *context)
{
    cql_mock_reply_as_usual(call);
    cql_mock_reply(call, CQL_MOCK_READY, NULL, 0);
    cql_mock_reply_raw(call, context, 3);
}

static void a_handler_answers_as_it_likes(void **state)
{
    (void)state;
    char tail[] = "end";
    cql_mock_add_rule(mock, &(struct cql_mock_rule){.action = CQL_MOCK_HANDLE,
                                                    .handle = answer_twice,
                                                    .context = tail});
    cql_mock_client_query(&v4, 2, "UPDATE");
    expect_void(&v4, 2);
    struct cql_mock_bytes body = cql_mock_client_expect(&v4, 2, CQL_MOCK_READY);
    while (v4.input.size < 3) {
        assert_true(cql_mock_client_receive_some(&v4) > 0);
    }
    assert_memory_equal(v4.input.data, "end", 3);
    cql_mock_bytes_free(&body);
}

// --- events --------------------------------------------------------------------------------------

static void events_go_to_who_has_registered(void **state)
{
    (void)state;
    struct cql_mock_client stranger = cql_mock_client_open(mock, 5);
    cql_mock_client_send(&stranger, 0, CQL_MOCK_OPTIONS, NULL);
    struct cql_mock_bytes body = cql_mock_client_expect(&stranger, 0, CQL_MOCK_SUPPORTED);
    cql_mock_bytes_free(&body);
    assert_int_equal(cql_mock_push_node(mock, "STATUS_CHANGE", "DOWN", "127.0.0.9", 9042), 2);
    body = cql_mock_client_expect(&v5, -1, CQL_MOCK_EVENT);
    assert_int_equal(body.size, 15 + 6 + 9);
    assert_memory_equal(body.data, "\0\15STATUS_CHANGE\0\4DOWN\4\x7F\0\0\11\0\0\x23\x52",
                        body.size);
    cql_mock_bytes_free(&body);
    assert_int_equal(cql_mock_push_schema(mock, "UPDATED", "shop", "orders"), 2);
    body = cql_mock_client_expect(&v5, -1, CQL_MOCK_EVENT);
    assert_memory_equal(body.data, "\0\15SCHEMA_CHANGE\0\7UPDATED\0\5TABLE\0\4shop\0\6orders",
                        body.size);
    cql_mock_bytes_free(&body);
    expect_silence(&stranger);
    cql_mock_client_close(&stranger);
}

// --- connections ---------------------------------------------------------------------------------

static void a_connection_ends_instead_of_an_answer(void **state)
{
    (void)state;
    const struct {
        enum cql_mock_action action;
        int error;
    } cases[] = {{CQL_MOCK_CLOSE, 0}, {CQL_MOCK_RESET, ECONNRESET}};
    for (unsigned i = 0; i < 2; i++) {
        int error = -1;
        cql_mock_clear_rules(mock);
        cql_mock_add_rule(
            mock, &(struct cql_mock_rule){.opcode = CQL_MOCK_QUERY, .action = cases[i].action});
        struct cql_mock_client *client = i == 0 ? &v4 : &v5;
        cql_mock_client_query(client, 0, "UPDATE");
        struct cql_mock_bytes bytes = cql_mock_client_expect_end(client, &error);
        assert_int_equal(bytes.size, 0);
        assert_int_equal(error, cases[i].error);
        cql_mock_bytes_free(&bytes);
    }
}

static void all_connections_end_at_once(void **state)
{
    (void)state;
    int error = -1;
    assert_int_equal(cql_mock_open_count(mock), 2);
    cql_mock_disconnect(mock, true);
    assert_int_equal(cql_mock_open_count(mock), 0);
    struct cql_mock_bytes bytes = cql_mock_client_expect_end(&v5, &error);
    assert_int_equal(bytes.size, 0);
    assert_int_equal(error, ECONNRESET);
    cql_mock_bytes_free(&bytes);
}

static void a_node_that_refuses_lets_in_again(void **state)
{
    (void)state;
    cql_mock_refuse(mock, true);
    assert_false(loopback_port_is_open(cql_mock_port(mock), PATIENCE_MS));
    assert_int_equal(errno, ECONNREFUSED);
    cql_mock_client_query(&v5, 0, "UPDATE");
    expect_void(&v5, 0);
    cql_mock_refuse(mock, false);
    assert_true(loopback_port_is_open(cql_mock_port(mock), PATIENCE_MS));
}

static void a_stalled_node_reads_later(void **state)
{
    (void)state;
    cql_mock_stall(mock, true);
    cql_mock_client_query(&v5, 0, "UPDATE");
    expect_silence(&v5);
    assert_int_equal(cql_mock_release(mock, true), 0); // a turn of the thread
    assert_int_equal(cql_mock_count(mock, CQL_MOCK_QUERY), 0);
    assert_false(cql_mock_await(mock, CQL_MOCK_QUERY, 1, 10));
    cql_mock_stall(mock, false);
    expect_void(&v5, 0);
}

#define MOCK_TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MOCK_TEST(each_error_has_its_fields_in_both_versions),
        MOCK_TEST(a_rule_skips_some_and_ends),
        MOCK_TEST(the_first_rule_that_fits_decides),
        MOCK_TEST(envelopes_are_damaged_in_one_field),
        MOCK_TEST(segments_are_damaged_in_a_check_sum),
        MOCK_TEST(an_answer_is_cut_and_the_connection_ends),
        MOCK_TEST(bytes_come_one_at_a_time),
        MOCK_TEST(extras_go_before_the_body),
        MOCK_TEST(raw_bytes_and_own_bodies_go_out_as_they_are),
        MOCK_TEST(held_answers_leave_in_the_order_asked_for),
        MOCK_TEST(held_events_share_a_segment_with_answers),
        MOCK_TEST(silence_keeps_the_connection),
        MOCK_TEST(a_handler_answers_as_it_likes),
        MOCK_TEST(events_go_to_who_has_registered),
        MOCK_TEST(a_connection_ends_instead_of_an_answer),
        MOCK_TEST(all_connections_end_at_once),
        MOCK_TEST(a_node_that_refuses_lets_in_again),
        MOCK_TEST(a_stalled_node_reads_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
