// Requests of a session and how they end: once, with the right answer, told what is known of the outcome.
#include "session_rig.h"

#include <string.h>

static struct rig rig;

static int stop(void **state)
{
    (void)state;
    rig_stop(&rig);
    return 0;
}

static void start(const struct cql_options *options)
{
    rig_start(&rig, 1, NULL);
    rig_open(&rig, options);
}

// --- in good weather ----------------------------------------------------------------------------

static void writes_complete_once_in_both_versions(void **state)
{
    (void)state;
    for (int version = 4; version <= 5; version++) {
        rig_start(&rig, 1, NULL);
        struct cql_options options = rig_options(&rig);
        options.protocol_version_max = version;
        rig_open(&rig, &options);
        rig_write(&rig, 0, 5000, true);
        rig_await(&rig, 5000);
        rig_expect(&rig, 0, 5000, ERR_OK, CQL_DONE);
        assert_int_equal(cql_in_flight(rig.cql), 0);
        assert_int_equal(cql_figures(rig.cql).completed, 5000);
        if (version == 4) {
            rig_stop(&rig);
        }
    }
}

static void rows_are_given_with_their_columns(void **state)
{
    (void)state;
    for (int version = 4; version <= 5; version++) {
        rig_start(&rig, 1, NULL);
        struct cql_options options = rig_options(&rig);
        options.protocol_version_max = version;
        rig_open(&rig, &options);
        struct cql_request request = rig_request(&rig, 7, true);
        struct cql_values values;
        cql_values_init(&values, rig.memory[7], sizeof(rig.memory[7]));
        cql_bind_bigint(&values, 7);
        request.statement = rig.select;
        request.values = cql_values_view(&values);
        struct cql_result result;
        struct why why = {0};
        assert_int_equal(cql_execute(rig.cql, &request, &result, &why), ERR_OK);
        assert_int_equal(result.rows.row_count, 1);
        assert_int_equal(cql_metadata_find(&result.rows.metadata, TEXT("item")), 1);
        struct cql_row_reader reader = cql_rows_read(&result.rows);
        struct cql_cell cells[2];
        struct text item = {0};
        assert_true(cql_row_next(&reader, cells, 2));
        assert_int_equal(cql_get_text(cells[1], &item), CQL_GOT_VALUE);
        assert_true(text_equal(item, TEXT("Laptop")));
        if (version == 4) {
            rig_stop(&rig);
        }
    }
}

static void answers_in_any_order_reach_their_requests(void **state)
{
    (void)state;
    start(NULL);
    rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE,
                                               .skip = 1,
                                               .times = 1,
                                               .action = CQL_MOCK_FAIL,
                                               .error = {.code = 0x2200},
                                               .is_held = true});
    rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE, .is_held = true});
    rig_write(&rig, 0, 10, true);
    rig_poll(&rig, 0);
    assert_true(cql_mock_await(rig.mocks[0], CQL_MOCK_EXECUTE, 10, RIG_WAIT_MS));
    assert_int_equal(cql_mock_release(rig.mocks[0], true), 10);
    rig_await(&rig, 10);
    rig_expect(&rig, 0, 1, ERR_OK, CQL_DONE);
    rig_expect(&rig, 1, 1, ERR_INVALID, CQL_NOT_DONE);
    rig_expect(&rig, 2, 8, ERR_OK, CQL_DONE);
    assert_int_equal(rig.ends[1].error_code, 0x2200);
}

static void warnings_and_tracing_are_told_whatever_stands_before_the_answer(void **state)
{
    (void)state;
    start(NULL);
    for (unsigned bits = 0; bits < 8; bits++) {
        cql_mock_clear_rules(rig.mocks[0]);
        rig_add_rule(&rig,
                     &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE,
                                             .is_traced = (bits & 1) != 0,
                                             .warning = (bits & 2) != 0 ? "large batch" : NULL,
                                             .payload_key = (bits & 4) != 0 ? "key" : NULL});
        struct cql_request request = rig_request(&rig, bits, true);
        struct cql_result result;
        struct why why = {0};
        size_t before = rig.notice_count;
        request.tracing = (bits & 1) != 0;
        assert_int_equal(cql_execute(rig.cql, &request, &result, &why), ERR_OK);
        assert_int_equal(result.warning_count, (bits & 2) != 0);
        assert_int_equal(rig.notice_count - before, (bits & 2) != 0);
        struct cql_uuid none = {0};
        assert_true(cql_uuid_equal(&result.tracing_id, &none) == ((bits & 1) == 0));
    }
    assert_non_null(strstr(rig.notices, "large batch"));
}

// --- windows ------------------------------------------------------------------------------------

static void a_node_has_no_more_in_flight_than_its_window(void **state)
{
    (void)state;
    rig_start(&rig, 1, NULL);
    struct cql_options options = rig_options(&rig);
    options.in_flight_per_node = 8;
    rig_open(&rig, &options);
    rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE, .is_held = true});
    for (unsigned count = 7; count <= 9; count++) {
        unsigned before = rig_executes(&rig);
        size_t done = rig.done;
        rig_write(&rig, 0, count, true);
        rig_poll(&rig, 0);
        assert_true(cql_mock_await(rig.mocks[0], CQL_MOCK_EXECUTE, before + (count < 8 ? count : 8),
                                   RIG_WAIT_MS));
        rig_pass(&rig, 20000);
        assert_int_equal(rig_executes(&rig) - before, count < 8 ? count : 8);
        assert_int_equal(rig_node(&rig, 0).in_flight, count < 8 ? count : 8);
        while (rig.done < done + count) {
            (void)cql_mock_release(rig.mocks[0], false);
            rig_poll(&rig, 1000);
        }
    }
}

static void no_more_is_accepted_than_can_be_kept(void **state)
{
    (void)state;
    start(NULL);
    rig_add_rule(&rig,
                 &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE, .action = CQL_MOCK_SILENCE});
    rig_write(&rig, 0, CQL_IN_FLIGHT_MAX - 1, true);
    struct cql_request two[] = {rig_request(&rig, CQL_IN_FLIGHT_MAX - 1, true),
                                rig_request(&rig, CQL_IN_FLIGHT_MAX, true)};
    size_t accepted = 0;
    struct why why = {0};
    assert_int_equal(cql_submit(rig.cql, two, 2, &accepted, &why), ERR_OK);
    assert_int_equal(accepted, 1);
    assert_int_equal(cql_in_flight(rig.cql), CQL_IN_FLIGHT_MAX);
    assert_int_equal(cql_submit(rig.cql, two + 1, 1, &accepted, &why), ERR_OK);
    assert_int_equal(accepted, 0);
}

static void all_stream_ids_of_a_connection_serve(void **state)
{
    (void)state;
    rig_start(&rig, 1, NULL);
    struct cql_options options = rig_options(&rig);
    options.in_flight_per_node = CQL_IN_FLIGHT_MAX;
    rig_open(&rig, &options);
    rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE, .is_held = true});
    rig_write(&rig, 0, CQL_IN_FLIGHT_MAX, true);
    rig_poll(&rig, 0);
    while (rig.done < CQL_IN_FLIGHT_MAX) {
        (void)cql_mock_release(rig.mocks[0], true);
        rig_poll(&rig, 1000);
    }
    rig_expect(&rig, 0, CQL_IN_FLIGHT_MAX, ERR_OK, CQL_DONE);
}

// --- patience -----------------------------------------------------------------------------------

static void a_late_answer_is_not_given_to_another_request(void **state)
{
    (void)state;
    start(NULL);
    rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE,
                                               .times = 20,
                                               .is_held = true,
                                               .action = CQL_MOCK_FAIL,
                                               .error = {.code = 0x2200}});
    for (unsigned i = 0; i < 20; i++) {
        struct cql_request request = rig_request(&rig, i, true);
        request.timeout_us = 20000;
        rig_submit(&rig, &request);
    }
    rig_await(&rig, 20);
    rig_expect(&rig, 0, 20, ERR_TIMEOUT, CQL_UNKNOWN);
    rig_write(&rig, 20, 100, true);
    rig_poll(&rig, 0);
    assert_int_equal(cql_mock_release(rig.mocks[0], true), 20);
    rig_await(&rig, 120);
    rig_expect(&rig, 20, 100, ERR_OK, CQL_DONE);
    rig_write(&rig, 120, 100, true);
    rig_await(&rig, 220);
    rig_expect(&rig, 120, 100, ERR_OK, CQL_DONE);
    assert_int_equal(rig_node(&rig, 0).in_flight, 0);
    assert_int_equal(cql_figures(rig.cql).timeouts, 20);
    assert_int_equal(cql_mock_accepted_count(rig.mocks[0]), 2); // control, and one of the pool
}

static bool is_replaced(struct rig *at, unsigned argument)
{
    (void)argument;
    return cql_mock_accepted_count(at->mocks[0]) >= 3;
}

static void a_connection_with_too_many_overdue_answers_is_replaced_without_harm(void **state)
{
    (void)state;
    for (unsigned overdue = 9; overdue <= 11; overdue++) {
        rig_start(&rig, 1, NULL);
        struct cql_options options = rig_options(&rig);
        options.orphans_max = 10;
        rig_open(&rig, &options);
        rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE,
                                                   .times = overdue,
                                                   .action = CQL_MOCK_SILENCE});
        rig_add_rule(
            &rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE, .times = 5, .is_held = true});
        for (unsigned i = 0; i < overdue; i++) {
            struct cql_request request = rig_request(&rig, i, true);
            request.timeout_us = 20000;
            rig_submit(&rig, &request);
        }
        rig_write(&rig, 100, 5, false); // answered late, on the connection that goes
        rig_await(&rig, overdue);
        if (overdue > 10) {
            rig_until(&rig, is_replaced, 0);
        } else {
            assert_int_equal(cql_mock_accepted_count(rig.mocks[0]), 2);
        }
        rig_write(&rig, 200, 5, false);
        rig_await(&rig, overdue + 5);
        assert_int_equal(cql_mock_release(rig.mocks[0], false), 5);
        rig_await(&rig, overdue + 10);
        rig_expect(&rig, 0, overdue, ERR_TIMEOUT, CQL_UNKNOWN);
        rig_expect(&rig, 100, 5, ERR_OK, CQL_DONE);
        rig_expect(&rig, 200, 5, ERR_OK, CQL_DONE);
        if (overdue < 11) {
            rig_stop(&rig);
        }
    }
}

static void a_request_that_found_no_node_was_not_done(void **state)
{
    (void)state;
    start(NULL);
    cql_mock_refuse(rig.mocks[0], true);
    cql_mock_disconnect(rig.mocks[0], true);
    rig_pass(&rig, 20000);
    struct cql_request request = rig_request(&rig, 0, false);
    request.timeout_us = 50000;
    rig_submit(&rig, &request);
    rig_await(&rig, 1);
    rig_expect(&rig, 0, 1, ERR_TIMEOUT, CQL_NOT_DONE);
}

static void closing_forgets_what_is_pending(void **state)
{
    (void)state;
    start(NULL);
    rig_add_rule(&rig,
                 &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE, .action = CQL_MOCK_SILENCE});
    rig_write(&rig, 0, 3000, true); // in flight, and in the queue
    rig_poll(&rig, 1000);
    rig_close(&rig);
    assert_int_equal(rig.done, 0);
}

static void completions_of_others_stay_while_one_is_waited_for(void **state)
{
    (void)state;
    start(NULL);
    struct cql_request select = rig_request(&rig, 0, true);
    struct cql_values values;
    cql_values_init(&values, rig.memory[0], sizeof(rig.memory[0]));
    cql_bind_bigint(&values, 7);
    select.statement = rig.select;
    select.values = cql_values_view(&values);
    rig_submit(&rig, &select);
    for (unsigned i = 1; i < 200; i++) {
        struct cql_request request = rig_request(&rig, i, true);
        struct cql_result result;
        struct why why = {0};
        assert_int_equal(cql_execute(rig.cql, &request, &result, &why), ERR_OK);
    }
    struct cql_completion completion;
    size_t count = 0;
    assert_int_equal(cql_poll(rig.cql, 0, &completion, 1, &count, NULL), ERR_OK);
    assert_int_equal(count, 1);
    struct cql_row_reader reader = cql_rows_read(&completion.result.rows);
    struct cql_cell cells[2];
    assert_true(cql_row_next(&reader, cells, 2));
    assert_memory_equal(cells[1].bytes.data, "Laptop", 6);
}

// --- refused before they are sent ---------------------------------------------------------------

static void what_can_not_be_sent_is_refused_at_once(void **state)
{
    (void)state;
    start(NULL);
    struct cql_request good = rig_request(&rig, 0, true);
    struct cql_request none = {.consistency = CQL_ONE};
    struct cql_request both = good;
    both.text = TEXT("SELECT now() FROM system.local");
    struct cql_request few = good;
    few.values.count = 1;
    struct cql_request overflowed = good;
    overflowed.values.overflowed = true;
    struct cql_request empty = {.batch = &(struct cql_batch_entry){rig.insert, good.values}};
    const struct cql_request *bad[] = {&none, &both, &few, &overflowed, &empty};
    struct why why = {0};
    size_t accepted = 1;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(cql_submit(rig.cql, bad[i], 1, &accepted, &why), ERR_INVALID);
        assert_int_equal(accepted, 0);
    }
    struct cql_request large = good;
    large.values.bytes.size = CQL_REQUEST_SIZE_MAX;
    assert_int_equal(cql_submit(rig.cql, &large, 1, &accepted, &why), ERR_TOO_LARGE);
    rig_submit(&rig, &good);
    rig_await(&rig, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(writes_complete_once_in_both_versions, stop),
        cmocka_unit_test_teardown(rows_are_given_with_their_columns, stop),
        cmocka_unit_test_teardown(answers_in_any_order_reach_their_requests, stop),
        cmocka_unit_test_teardown(warnings_and_tracing_are_told_whatever_stands_before_the_answer,
                                  stop),
        cmocka_unit_test_teardown(a_node_has_no_more_in_flight_than_its_window, stop),
        cmocka_unit_test_teardown(no_more_is_accepted_than_can_be_kept, stop),
        cmocka_unit_test_teardown(all_stream_ids_of_a_connection_serve, stop),
        cmocka_unit_test_teardown(a_late_answer_is_not_given_to_another_request, stop),
        cmocka_unit_test_teardown(
            a_connection_with_too_many_overdue_answers_is_replaced_without_harm, stop),
        cmocka_unit_test_teardown(a_request_that_found_no_node_was_not_done, stop),
        cmocka_unit_test_teardown(closing_forgets_what_is_pending, stop),
        cmocka_unit_test_teardown(completions_of_others_stay_while_one_is_waited_for, stop),
        cmocka_unit_test_teardown(what_can_not_be_sent_is_refused_at_once, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
