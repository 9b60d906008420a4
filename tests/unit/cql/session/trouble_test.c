// What goes wrong between a session and a node, and what is told of it.
#include "session_rig.h"

#include <string.h>

static struct rig rig;

static int stop(void **state)
{
    (void)state;
    rig_stop(&rig);
    return 0;
}

static int stop_after_damage(void **state)
{
    (void)state;
    rig_stop_without_complaints(&rig);
    return 0;
}

static void start(unsigned mocks)
{
    rig_start(&rig, mocks, NULL);
    rig_open(&rig, NULL);
    for (unsigned i = 0; i < mocks; i++) {
        rig_until(&rig, rig_node_is_connected, i);
    }
}

static void fail_with(unsigned times, struct cql_mock_error error)
{
    rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE,
                                               .times = times,
                                               .action = CQL_MOCK_FAIL,
                                               .error = error});
}

// --- errors -------------------------------------------------------------------------------------

static void each_error_ends_a_write_as_the_table_says(void **state)
{
    (void)state;
    static const struct {
        struct cql_mock_error error;
        bool idempotent;
        unsigned sent; // how often, on one node
        enum err err;
        enum cql_outcome outcome;
    } cases[] = {
        {{.code = 0x0000}, true, 1, ERR_UNAVAILABLE, CQL_UNKNOWN},
        {{.code = 0x1000}, true, 1, ERR_UNAVAILABLE, CQL_NOT_DONE},
        {{.code = 0x1001}, false, 1, ERR_BUSY, CQL_UNKNOWN},
        {{.code = 0x1002}, true, 1, ERR_UNAVAILABLE, CQL_NOT_DONE},
        {{.code = 0x1003}, true, 1, ERR_UNAVAILABLE, CQL_UNKNOWN},
        {{.code = 0x1100, .write_type = "SIMPLE"}, true, 2, ERR_TIMEOUT, CQL_UNKNOWN},
        {{.code = 0x1100, .write_type = "SIMPLE"}, false, 1, ERR_TIMEOUT, CQL_UNKNOWN},
        {{.code = 0x1100, .write_type = "BATCH"}, true, 1, ERR_TIMEOUT, CQL_DONE},
        {{.code = 0x1100, .write_type = "BATCH_LOG"}, true, 2, ERR_TIMEOUT, CQL_UNKNOWN},
        {{.code = 0x1100, .write_type = "UNLOGGED_BATCH"}, true, 2, ERR_TIMEOUT, CQL_UNKNOWN},
        {{.code = 0x1100, .write_type = "COUNTER"}, true, 1, ERR_TIMEOUT, CQL_UNKNOWN},
        {{.code = 0x1100, .write_type = "CAS"}, true, 1, ERR_TIMEOUT, CQL_UNKNOWN},
        {{.code = 0x1200, .received = 2, .required = 2}, true, 2, ERR_TIMEOUT, CQL_NOT_DONE},
        {{.code = 0x1200, .received = 1, .required = 2}, true, 1, ERR_TIMEOUT, CQL_NOT_DONE},
        {{.code = 0x1300}, true, 1, ERR_UNAVAILABLE, CQL_NOT_DONE},
        {{.code = 0x1500}, true, 1, ERR_UNAVAILABLE, CQL_UNKNOWN},
        {{.code = 0x1600}, true, 1, ERR_FULL, CQL_UNKNOWN},
        {{.code = 0x1700}, true, 1, ERR_TIMEOUT, CQL_UNKNOWN},
        {{.code = 0x2000}, true, 1, ERR_INVALID, CQL_NOT_DONE},
        {{.code = 0x2100}, true, 1, ERR_PERMISSION, CQL_NOT_DONE},
        {{.code = 0x2200}, true, 1, ERR_INVALID, CQL_NOT_DONE},
        {{.code = 0x2300}, true, 1, ERR_INVALID, CQL_NOT_DONE},
        {{.code = 0x2400}, true, 1, ERR_EXISTS, CQL_NOT_DONE},
    };
    start(1);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned before = rig_executes(&rig);
        cql_mock_clear_rules(rig.mocks[0]);
        fail_with(0, cases[i].error);
        rig_write(&rig, i, 1, cases[i].idempotent);
        rig_await(&rig, i + 1);
        rig_expect(&rig, i, 1, cases[i].err, cases[i].outcome);
        assert_int_equal(rig.ends[i].error_code, cases[i].error.code);
        assert_int_equal(rig_executes(&rig) - before, cases[i].sent);
    }
}

static void a_write_that_one_node_refuses_for_now_is_done_by_another(void **state)
{
    (void)state;
    static const int32_t codes[] = {0x0000, 0x1000, 0x1001, 0x1002, 0x1003};
    start(2);
    for (unsigned i = 0; i < 5; i++) {
        cql_mock_clear_rules(rig.mocks[0]);
        cql_mock_add_rule(rig.mocks[0], &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE,
                                                                .action = CQL_MOCK_FAIL,
                                                                .error = {.code = codes[i]}});
        rig_write(&rig, i * 50, 50, true);
        rig_await(&rig, (i + 1) * 50);
        rig_expect(&rig, i * 50, 50, ERR_OK, CQL_DONE);
    }
    assert_true(cql_mock_count(rig.mocks[0], CQL_MOCK_EXECUTE) > 0);
}

static void an_attempt_that_may_have_been_done_is_not_forgotten(void **state)
{
    (void)state;
    start(1);
    fail_with(1, (struct cql_mock_error){.code = 0x1100, .write_type = "SIMPLE"});
    fail_with(1, (struct cql_mock_error){.code = 0x2200});
    rig_write(&rig, 0, 1, true);
    rig_await(&rig, 1);
    rig_expect(&rig, 0, 1, ERR_INVALID, CQL_UNKNOWN); // refused, but only the second time
}

static void overload_halves_the_window_once_a_burst_and_it_grows_back(void **state)
{
    (void)state;
    rig_start(&rig, 1, NULL);
    struct cql_options options = rig_options(&rig);
    options.in_flight_per_node = 64;
    rig_open(&rig, &options);
    fail_with(64, (struct cql_mock_error){.code = 0x1001});
    rig_write(&rig, 0, 64, true);
    rig_await(&rig, 64);
    rig_expect(&rig, 0, 64, ERR_OK, CQL_DONE);
    uint32_t window = rig_node(&rig, 0).window;
    assert_true(window >= 16 && window < 64);
    assert_int_equal(cql_figures(rig.cql).overloads, 64);
    rig_write(&rig, 100, 5000, true);
    rig_await(&rig, 5064);
    assert_int_equal(rig_node(&rig, 0).window, 64);
}

static void overload_for_ever_ends_with_the_patience(void **state)
{
    (void)state;
    start(1);
    fail_with(0, (struct cql_mock_error){.code = 0x1001});
    struct cql_request request = rig_request(&rig, 0, true);
    request.timeout_us = 200000;
    rig_submit(&rig, &request);
    rig_await(&rig, 1);
    rig_expect(&rig, 0, 1, ERR_TIMEOUT, CQL_UNKNOWN);
    assert_in_range(rig_node(&rig, 0).window, 1, 256);
    assert_true(rig_executes(&rig) < 20);
}

// --- statements that a node does not know -------------------------------------------------------

static bool has_met_unprepared(struct rig *at, unsigned count)
{
    return cql_figures(at->cql).prepared_again >= count;
}

static void forgotten_statements_are_prepared_again_once_for_all_who_wait(void **state)
{
    (void)state;
    start(1);
    unsigned before = cql_mock_count(rig.mocks[0], CQL_MOCK_PREPARE);
    rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_PREPARE, .is_held = true});
    cql_mock_forget(rig.mocks[0], 0);
    rig_write(&rig, 0, 500, true);
    rig_until(&rig, has_met_unprepared, 500);
    assert_true(cql_mock_await(rig.mocks[0], CQL_MOCK_PREPARE, before + 1, RIG_WAIT_MS));
    rig_pass(&rig, 20000);
    assert_int_equal(cql_mock_count(rig.mocks[0], CQL_MOCK_PREPARE) - before, 1);
    assert_int_equal(cql_mock_release(rig.mocks[0], false), 1);
    rig_await(&rig, 500);
    rig_expect(&rig, 0, 500, ERR_OK, CQL_DONE);
    assert_int_equal(cql_figures(rig.cql).prepared_again, 500);
}

static void a_statement_may_come_back_with_another_id(void **state)
{
    (void)state;
    start(1);
    for (unsigned salt = 1; salt <= 3; salt++) {
        cql_mock_forget(rig.mocks[0], salt);
        rig_write(&rig, salt * 100, 100, false);
        rig_await(&rig, salt * 100);
        rig_expect(&rig, salt * 100, 100, ERR_OK, CQL_DONE);
    }
}

static void a_node_that_never_knows_a_statement_does_not_loop_us(void **state)
{
    (void)state;
    start(1);
    unsigned before = cql_mock_count(rig.mocks[0], CQL_MOCK_PREPARE);
    fail_with(0, (struct cql_mock_error){.code = 0x2500, .id = "x", .id_size = 1});
    rig_write(&rig, 0, 1, false);
    rig_await(&rig, 1);
    rig_expect(&rig, 0, 1, ERR_UNAVAILABLE, CQL_NOT_DONE);
    assert_int_equal(rig_executes(&rig), 3);
    assert_int_equal(cql_mock_count(rig.mocks[0], CQL_MOCK_PREPARE) - before, 2);
}

static void a_batch_prepares_again_what_it_needs(void **state)
{
    (void)state;
    start(1);
    cql_mock_forget(rig.mocks[0], 0);
    struct cql_request entry = rig_request(&rig, 0, true);
    struct cql_batch_entry entries[] = {{rig.insert, entry.values}, {rig.insert, entry.values}};
    struct cql_request batch = {.batch = entries,
                                .batch_count = 2,
                                .batch_type = CQL_BATCH_UNLOGGED,
                                .consistency = CQL_LOCAL_QUORUM,
                                .idempotent = true,
                                .context = &rig.ends[0]};
    rig_submit(&rig, &batch);
    rig_await(&rig, 1);
    rig_expect(&rig, 0, 1, ERR_OK, CQL_DONE);
    assert_int_equal(cql_mock_count(rig.mocks[0], CQL_MOCK_BATCH), 2);
}

static void statements_wait_on_a_new_connection_already_prepared(void **state)
{
    (void)state;
    start(1);
    cql_mock_forget(rig.mocks[0], 0);
    cql_mock_disconnect(rig.mocks[0], false);
    rig_pass(&rig, 20000);
    rig_until(&rig, rig_node_is_connected, 0);
    rig_pass(&rig, 20000);
    rig_write(&rig, 0, 10, false);
    rig_await(&rig, 10);
    assert_int_equal(cql_figures(rig.cql).prepared_again, 0);
}

static struct cql_request select_request(void)
{
    struct cql_values values;
    struct cql_request request = rig_request(&rig, 0, true);
    cql_values_init(&values, rig.memory[0], sizeof(rig.memory[0]));
    cql_bind_bigint(&values, 7);
    request.statement = rig.select;
    request.values = cql_values_view(&values);
    return request;
}

static void an_altered_table_gives_rows_with_its_new_columns(void **state)
{
    (void)state;
    static const struct cql_mock_column markers[] = {{"id", {CQL_MOCK_BIGINT}}};
    static const struct cql_mock_column columns[] = {
        {"id", {CQL_MOCK_BIGINT}}, {"color", {CQL_MOCK_VARCHAR}}, {"item", {CQL_MOCK_VARCHAR}}};
    static const struct cql_mock_cell cells[] = {{"\0\0\0\0\0\0\0\7", 8}, {"red", 3}, {"Desk", 4}};
    for (int version = 4; version <= 5; version++) {
        rig_start(&rig, 1, NULL);
        struct cql_options options = rig_options(&rig);
        options.protocol_version_max = version;
        rig_open(&rig, &options);
        for (int round = 0; round < 4; round++) {
            struct cql_request request = select_request();
            struct cql_result result;
            struct why why = {0};
            assert_int_equal(cql_execute(rig.cql, &request, &result, &why), ERR_OK);
            assert_int_equal(cql_metadata_find(&result.rows.metadata, TEXT("item")),
                             round < 2 ? 1 : 2);
            struct cql_row_reader reader = cql_rows_read(&result.rows);
            struct cql_cell row[3];
            assert_true(cql_row_next(&reader, row, 3));
            assert_memory_equal(row[round < 2 ? 1 : 2].bytes.data, round < 2 ? "Laptop" : "Desk",
                                4);
            if (round == 1) {
                cql_mock_teach(rig.mocks[0],
                               &(struct cql_mock_statement){.part = "FROM shop.orders",
                                                            .markers = markers,
                                                            .marker_count = 1,
                                                            .partition_key_count = 1,
                                                            .columns = columns,
                                                            .column_count = 3,
                                                            .cells = cells,
                                                            .row_count = 1});
            }
        }
        if (version == 4) {
            rig_stop(&rig);
        }
    }
}

// --- connections --------------------------------------------------------------------------------

static void a_lost_connection_repeats_what_may_be_repeated_and_tells_of_the_rest(void **state)
{
    (void)state;
    start(2);
    rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE, .is_held = true});
    rig_write(&rig, 0, 100, true);
    rig_write(&rig, 100, 100, false);
    rig_poll(&rig, 0);
    assert_true(cql_mock_await(rig.mocks[0], CQL_MOCK_EXECUTE, 20, RIG_WAIT_MS));
    assert_true(cql_mock_await(rig.mocks[1], CQL_MOCK_EXECUTE, 20, RIG_WAIT_MS));
    cql_mock_clear_rules(rig.mocks[0]);
    cql_mock_clear_rules(rig.mocks[1]);
    cql_mock_disconnect(rig.mocks[0], true);
    cql_mock_disconnect(rig.mocks[1], true);
    rig_await(&rig, 200);
    rig_expect(&rig, 0, 100, ERR_OK, CQL_DONE);
    rig_expect(&rig, 100, 100, ERR_UNAVAILABLE, CQL_UNKNOWN);
}

static void nonsense_ends_the_connection_and_costs_no_request(void **state)
{
    (void)state;
    static const struct {
        enum cql_mock_damage damage;
        int32_t value;
    } damages[] = {
        {CQL_MOCK_WRONG_VERSION, 0x86},
        {CQL_MOCK_WRONG_VERSION, 0x05},
        {CQL_MOCK_WRONG_STREAM, -2},
        {CQL_MOCK_WRONG_STREAM, 31000},
        {CQL_MOCK_WRONG_OPCODE, 0x7F},
        {CQL_MOCK_WRONG_LENGTH, -5},
        {CQL_MOCK_WRONG_LENGTH, 1 << 30},
        {CQL_MOCK_WRONG_HEADER_CRC, 0},
        {CQL_MOCK_WRONG_PAYLOAD_CRC, 0},
        {CQL_MOCK_CUT, 5},
        {CQL_MOCK_CUT, 20},
    };
    start(1);
    for (unsigned i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        cql_mock_clear_rules(rig.mocks[0]);
        rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE,
                                                   .skip = 10,
                                                   .times = 1,
                                                   .damage = damages[i].damage,
                                                   .damage_value = damages[i].value});
        rig_write(&rig, i * 20, 20, true);
        rig_await(&rig, (i + 1) * 20);
        rig_expect(&rig, i * 20, 20, ERR_OK, CQL_DONE);
        assert_int_equal(cql_figures(rig.cql).connections_lost, i + 1);
        rig_pass(&rig, 12000);
    }
}

static void events_between_answers_disturb_none(void **state)
{
    (void)state;
    start(1);
    rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE, .is_held = true});
    rig_write(&rig, 0, 20, true);
    rig_poll(&rig, 0);
    assert_true(cql_mock_await(rig.mocks[0], CQL_MOCK_EXECUTE, 20, RIG_WAIT_MS));
    for (unsigned i = 0; i < 2000; i++) {
        (void)cql_mock_push_node(rig.mocks[0], "STATUS_CHANGE", i % 2 == 0 ? "DOWN" : "UP",
                                 "127.0.0.1", cql_mock_port(rig.mocks[0]));
        (void)cql_mock_push_schema(rig.mocks[0], "UPDATED", "shop", "orders");
    }
    (void)cql_mock_release(rig.mocks[0], false);
    rig_await(&rig, 20);
    rig_expect(&rig, 0, 20, ERR_OK, CQL_DONE);
    unsigned queries = cql_mock_count(rig.mocks[0], CQL_MOCK_QUERY);
    for (unsigned i = 0; i < 50; i++) { // a storm that does not end
        (void)cql_mock_push_schema(rig.mocks[0], "UPDATED", "shop", "orders");
        rig_pass(&rig, 50000);
    }
    // A reading of three tables a second for 4,050 events.
    assert_in_range(cql_mock_count(rig.mocks[0], CQL_MOCK_QUERY) - queries, 3, 12);
    assert_int_equal(cql_mock_accepted_count(rig.mocks[0]), 2);
}

static bool has_options(struct rig *at, unsigned count)
{
    return cql_mock_count(at->mocks[0], CQL_MOCK_OPTIONS) >= count;
}

static bool has_lost(struct rig *at, unsigned count)
{
    return cql_figures(at->cql).connections_lost >= count;
}

static void silence_is_tested_by_a_heartbeat_and_a_dead_one_ends_the_connection(void **state)
{
    (void)state;
    rig_start(&rig, 1, NULL);
    struct cql_options options = rig_options(&rig);
    options.heartbeat_us = 60000;
    options.connect_timeout_us = 100000;
    rig_open(&rig, &options);
    rig_until(&rig, has_options, 6); // two of the handshakes, then two beats of two connections
    assert_int_equal(cql_figures(rig.cql).connections_lost, 0);
    cql_mock_stall(rig.mocks[0], true);
    rig_write(&rig, 0, 10, true);
    rig_until(&rig, has_lost, 2);
    cql_mock_stall(rig.mocks[0], false);
    rig_await(&rig, 10);
    rig_expect(&rig, 0, 10, ERR_OK, CQL_DONE);
}

static void a_node_that_does_not_read_costs_no_more_than_its_window(void **state)
{
    (void)state;
    rig_start(&rig, 1, NULL);
    struct cql_options options = rig_options(&rig);
    options.in_flight_per_node = 256;
    rig_open(&rig, &options);
    cql_mock_stall(rig.mocks[0], true);
    static char large[60000];
    static unsigned char memory[256][61000];
    for (unsigned i = 0; i < 256; i++) { // 15 MB: more than sockets hold
        struct cql_values values;
        struct cql_request request = rig_request(&rig, i, true);
        cql_values_init(&values, memory[i], sizeof(memory[i]));
        cql_bind_bigint(&values, i);
        cql_bind_text(&values, (struct text){large, sizeof(large)});
        request.values = cql_values_view(&values);
        rig_submit(&rig, &request);
    }
    rig_write(&rig, 1000, 3000, true);
    rig_pass(&rig, 100000);
    assert_int_equal(rig.done, 0);
    assert_int_equal(rig_node(&rig, 0).in_flight, 256);
    cql_mock_stall(rig.mocks[0], false);
    rig_await(&rig, 3256);
    rig_expect(&rig, 0, 256, ERR_OK, CQL_DONE);
    rig_expect(&rig, 1000, 3000, ERR_OK, CQL_DONE);
}

static void large_envelopes_of_many_segments_pass_both_ways(void **state)
{
    (void)state;
    static const size_t sizes[] = {131000, 131071, 131072, 2621440};
    static char large[2621440];
    static unsigned char memory[2621440 + 64];
    start(1);
    for (unsigned i = 0; i < 4; i++) {
        struct cql_values values;
        struct cql_request request = rig_request(&rig, i, true);
        cql_values_init(&values, memory, sizeof(memory));
        cql_bind_bigint(&values, i);
        cql_bind_text(&values, (struct text){large, sizes[i]});
        request.values = cql_values_view(&values);
        rig_submit(&rig, &request);
        rig_await(&rig, i + 1);
        rig_expect(&rig, i, 1, ERR_OK, CQL_DONE);
    }
    static const struct cql_mock_column columns[] = {{"id", {CQL_MOCK_BIGINT}},
                                                     {"item", {CQL_MOCK_VARCHAR}}};
    static const struct cql_mock_column markers[] = {{"id", {CQL_MOCK_BIGINT}}};
    static struct cql_mock_cell cells[] = {{"\0\0\0\0\0\0\0\7", 8}, {large, sizeof(large)}};
    cql_mock_teach(rig.mocks[0], &(struct cql_mock_statement){.part = "FROM shop.orders",
                                                              .markers = markers,
                                                              .marker_count = 1,
                                                              .partition_key_count = 1,
                                                              .columns = columns,
                                                              .column_count = 2,
                                                              .cells = cells,
                                                              .row_count = 1});
    struct cql_request select = select_request();
    struct cql_result result;
    struct why why = {0};
    assert_int_equal(cql_execute(rig.cql, &select, &result, &why), ERR_OK);
    struct cql_row_reader reader = cql_rows_read(&result.rows);
    struct cql_cell row[2];
    assert_true(cql_row_next(&reader, row, 2));
    assert_int_equal(row[1].bytes.size, sizeof(large));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_error_ends_a_write_as_the_table_says, stop),
        cmocka_unit_test_teardown(a_write_that_one_node_refuses_for_now_is_done_by_another, stop),
        cmocka_unit_test_teardown(an_attempt_that_may_have_been_done_is_not_forgotten, stop),
        cmocka_unit_test_teardown(overload_halves_the_window_once_a_burst_and_it_grows_back, stop),
        cmocka_unit_test_teardown(overload_for_ever_ends_with_the_patience, stop),
        cmocka_unit_test_teardown(forgotten_statements_are_prepared_again_once_for_all_who_wait,
                                  stop),
        cmocka_unit_test_teardown(a_statement_may_come_back_with_another_id, stop),
        cmocka_unit_test_teardown(a_node_that_never_knows_a_statement_does_not_loop_us, stop),
        cmocka_unit_test_teardown(a_batch_prepares_again_what_it_needs, stop),
        cmocka_unit_test_teardown(statements_wait_on_a_new_connection_already_prepared, stop),
        cmocka_unit_test_teardown(an_altered_table_gives_rows_with_its_new_columns, stop),
        cmocka_unit_test_teardown(
            a_lost_connection_repeats_what_may_be_repeated_and_tells_of_the_rest, stop),
        cmocka_unit_test_teardown(nonsense_ends_the_connection_and_costs_no_request,
                                  stop_after_damage),
        cmocka_unit_test_teardown(events_between_answers_disturb_none, stop),
        cmocka_unit_test_teardown(
            silence_is_tested_by_a_heartbeat_and_a_dead_one_ends_the_connection, stop),
        cmocka_unit_test_teardown(a_node_that_does_not_read_costs_no_more_than_its_window, stop),
        cmocka_unit_test_teardown(large_envelopes_of_many_segments_pass_both_ways, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
