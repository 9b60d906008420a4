// From a contact point to a session, with nodes that do not make it easy.
#include "session_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct rig rig;

static int stop(void **state)
{
    (void)state;
    rig_stop(&rig);
    return 0;
}

static int64_t now_us(void)
{
    struct clock clock = clock_real();
    return clock_mono_ns(&clock) / 1000;
}

// --- versions -----------------------------------------------------------------------------------

static void an_older_node_is_spoken_to_in_its_version(void **state)
{
    (void)state;
    rig_start(&rig, 1, &(struct cql_mock_options){.version_max = 4});
    rig_open(&rig, NULL);
    rig_write(&rig, 0, 100, true);
    rig_await(&rig, 100);
    rig_expect(&rig, 0, 100, ERR_OK, CQL_DONE);
    struct arena arena;
    struct cql_cluster_info info;
    assert_int_equal(arena_init(&arena, 1 << 20), ERR_OK);
    assert_int_equal(cql_cluster_info(rig.cql, &arena, &info, NULL), ERR_OK);
    assert_int_equal(info.protocol_version, 4);
    arena_deinit(&arena);
}

static void nodes_of_two_versions_serve_side_by_side(void **state)
{
    (void)state;
    rig_start(&rig, 1, NULL);
    struct rig old = {0};
    rig_start(&old, 1, &(struct cql_mock_options){.version_max = 4, .host = 2, .tokens = "5"});
    rig.mocks[rig.mock_count++] = old.mocks[0];
    rig_introduce(&rig);
    rig_open(&rig, NULL);
    rig_until(&rig, rig_node_is_connected, 0);
    rig_until(&rig, rig_node_is_connected, 1);
    rig_write(&rig, 0, 400, true);
    rig_await(&rig, 400);
    rig_expect(&rig, 0, 400, ERR_OK, CQL_DONE);
    assert_true(cql_mock_count(rig.mocks[0], CQL_MOCK_EXECUTE) > 0);
    assert_true(cql_mock_count(rig.mocks[1], CQL_MOCK_EXECUTE) > 0);
    free(old.ends);
    free(old.memory);
}

static void compression_that_is_not_offered_is_left_out(void **state)
{
    (void)state;
    rig_start(&rig, 1, NULL); // the mock has none
    struct cql_options options = rig_options(&rig);
    options.compression = CQL_COMPRESSION_LZ4;
    rig_open(&rig, &options);
    rig_write(&rig, 0, 10, true);
    rig_await(&rig, 10);
}

static void options_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ",", "host:0", "host:65536", "[::1", "[::1]x", ":9042"};
    rig_start(&rig, 1, NULL);
    struct cql_options options = rig_options(&rig);
    struct why why = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        options.contact_points = bad[i];
        assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_CONFIG);
    }
    options = rig_options(&rig);
    for (int version = 3; version <= 6; version += 3) {
        options.protocol_version_max = version;
        assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_CONFIG);
    }
    options = rig_options(&rig);
    options.local_dc = "elsewhere";
    assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "elsewhere"));
    options = rig_options(&rig);
    options.cluster_name = "another";
    assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "another"));
}

// --- slow and broken ----------------------------------------------------------------------------

static const unsigned steps[] = {CQL_MOCK_OPTIONS, CQL_MOCK_STARTUP, CQL_MOCK_AUTH_RESPONSE,
                                 CQL_MOCK_REGISTER, CQL_MOCK_QUERY};

static struct cql_options with_password(void)
{
    struct cql_options options = rig_options(&rig);
    options.user = "till";
    options.password = "s3cret-of-till";
    options.connect_timeout_us = 100000;
    return options;
}

static void start_with_password(void)
{
    rig_start(&rig, 1, &(struct cql_mock_options){.user = "till", .password = "s3cret-of-till"});
}

static void each_step_of_a_handshake_has_its_patience(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        start_with_password();
        rig_add_rule(&rig, &(struct cql_mock_rule){
                               .opcode = steps[i], .slice_size = 1, .slice_pause_ms = 1000});
        struct cql_options options = with_password();
        struct why why = {0};
        int64_t before = now_us();
        assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_UNAVAILABLE);
        assert_in_range(now_us() - before, 100000, 2000000);
        if (i + 1 < sizeof(steps) / sizeof(steps[0])) {
            rig_stop(&rig);
        }
    }
}

static void an_end_or_an_error_at_any_step_is_told(void **state)
{
    (void)state;
    static const enum cql_mock_action actions[] = {CQL_MOCK_CLOSE, CQL_MOCK_RESET, CQL_MOCK_FAIL};
    start_with_password();
    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        for (unsigned j = 0; j < 3; j++) {
            cql_mock_clear_rules(rig.mocks[0]);
            rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = steps[i],
                                                       .action = actions[j],
                                                       .error = {.code = 0x0000}});
            struct cql_options options = with_password();
            struct why why = {0};
            assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_UNAVAILABLE);
            assert_null(strstr(why.text, "s3cret"));
        }
    }
    cql_mock_clear_rules(rig.mocks[0]);
    struct cql_options options = with_password();
    rig_open(&rig, &options);
}

static void answers_out_of_place_in_a_handshake_are_refused(void **state)
{
    (void)state;
    static const unsigned answers[] = {CQL_MOCK_READY, CQL_MOCK_SUPPORTED, CQL_MOCK_AUTH_SUCCESS,
                                       CQL_MOCK_EVENT, 0x55};
    start_with_password();
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned j = 0; j < sizeof(answers) / sizeof(answers[0]); j++) {
            bool fits = (steps[i] == CQL_MOCK_STARTUP || steps[i] == CQL_MOCK_REGISTER) &&
                        answers[j] == CQL_MOCK_READY;
            fits |= steps[i] == CQL_MOCK_OPTIONS && answers[j] == CQL_MOCK_SUPPORTED;
            fits |= steps[i] == CQL_MOCK_AUTH_RESPONSE && answers[j] == CQL_MOCK_AUTH_SUCCESS;
            if (fits) {
                continue;
            }
            cql_mock_clear_rules(rig.mocks[0]);
            rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = steps[i],
                                                       .action = CQL_MOCK_ANSWER,
                                                       .answer_opcode = answers[j],
                                                       .body = "\0\0\0\0",
                                                       .body_size = 4});
            struct cql_options options = with_password();
            struct why why = {0};
            assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_UNAVAILABLE);
        }
    }
}

static void bytes_may_come_one_at_a_time(void **state)
{
    (void)state;
    for (int version = 4; version <= 5; version++) {
        rig_start(&rig, 1, NULL);
        struct cql_options options = rig_options(&rig);
        options.protocol_version_max = version;
        rig_add_rule(&rig, &(struct cql_mock_rule){.slice_size = 1});
        rig_open(&rig, &options);
        rig_write(&rig, 0, 50, true);
        rig_await(&rig, 50);
        rig_expect(&rig, 0, 50, ERR_OK, CQL_DONE);
        if (version == 4) {
            rig_stop(&rig);
        }
    }
}

// --- logins -------------------------------------------------------------------------------------

static void a_password_is_given_when_asked_for(void **state)
{
    (void)state;
    start_with_password();
    struct cql_options options = with_password();
    rig_open(&rig, &options);
    rig_write(&rig, 0, 10, true);
    rig_await(&rig, 10);
    rig_close(&rig);
    rig_stop(&rig);
    rig_start(&rig, 1, NULL); // one that does not ask
    options = with_password();
    rig_open(&rig, &options);
}

static void a_wrong_password_is_told_at_once_and_not_repeated(void **state)
{
    (void)state;
    start_with_password();
    struct cql_options options = with_password();
    struct why why = {0};
    options.password = "gue55";
    assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_PERMISSION);
    assert_null(strstr(why.text, "gue55"));
    options.user = NULL;
    assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_PERMISSION);
    assert_int_equal(cql_mock_accepted_count(rig.mocks[0]), 2);
}

static void a_password_that_is_withdrawn_is_tried_seldom(void **state)
{
    (void)state;
    start_with_password();
    struct cql_options options = with_password();
    options.reconnect_max_us = 10 * US_PER_SECOND;
    rig_open(&rig, &options);
    unsigned before = cql_mock_accepted_count(rig.mocks[0]);
    rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_AUTH_RESPONSE,
                                               .action = CQL_MOCK_FAIL,
                                               .error = {.code = 0x0100}});
    rig_pass(&rig, 20000);
    cql_mock_disconnect(rig.mocks[0], false);
    rig_pass(&rig, 500000);
    // The pool tries once at once; the control connection node and contact point, with growing pauses.
    assert_in_range(cql_mock_accepted_count(rig.mocks[0]) - before, 2, 16);
    cql_mock_clear_rules(rig.mocks[0]);
}

// --- addresses ----------------------------------------------------------------------------------

static void the_first_contact_point_that_answers_serves(void **state)
{
    (void)state;
    char points[256];
    rig_start(&rig, 1, NULL);
    struct cql_options options = rig_options(&rig);
    (void)snprintf(points, sizeof(points), "127.0.0.1:1, nobody.invalid , [::1]:2,%s",
                   cql_mock_address(rig.mocks[0]));
    options.contact_points = points;
    rig_open(&rig, &options);
    rig_write(&rig, 0, 10, true);
    rig_await(&rig, 10);
}

static void a_name_stands_for_all_its_addresses(void **state)
{
    (void)state;
    char points[64];
    rig_start(&rig, 1, NULL);
    struct cql_options options = rig_options(&rig);
    (void)snprintf(points, sizeof(points), "localhost:%u", cql_mock_port(rig.mocks[0]));
    options.contact_points = points; // ::1, where nobody listens, and 127.0.0.1
    rig_open(&rig, &options);
}

static void nobody_there_is_told_with_the_address(void **state)
{
    (void)state;
    rig_start(&rig, 1, NULL);
    struct cql_options options = rig_options(&rig);
    struct why why = {0};
    cql_mock_refuse(rig.mocks[0], true);
    assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, cql_mock_address(rig.mocks[0])));
}

static void without_descriptors_opening_fails_and_sessions_wait(void **state)
{
    (void)state;
    rig_start(&rig, 1, NULL);
    rig_open(&rig, NULL);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = 3, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct cql_options options = rig_options(&rig);
    struct cql *other = NULL;
    struct why why = {0};
    assert_int_equal(cql_open(&options, &other, &why), ERR_UNAVAILABLE);
    cql_mock_disconnect(rig.mocks[0], true);
    rig_write(&rig, 0, 10, true);
    rig_pass(&rig, 50000);
    assert_int_equal(rig.done, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    rig_await(&rig, 10);
    rig_expect(&rig, 0, 10, ERR_OK, CQL_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_older_node_is_spoken_to_in_its_version, stop),
        cmocka_unit_test_teardown(nodes_of_two_versions_serve_side_by_side, stop),
        cmocka_unit_test_teardown(compression_that_is_not_offered_is_left_out, stop),
        cmocka_unit_test_teardown(options_that_make_no_sense_are_refused, stop),
        cmocka_unit_test_teardown(each_step_of_a_handshake_has_its_patience, stop),
        cmocka_unit_test_teardown(an_end_or_an_error_at_any_step_is_told, stop),
        cmocka_unit_test_teardown(answers_out_of_place_in_a_handshake_are_refused, stop),
        cmocka_unit_test_teardown(bytes_may_come_one_at_a_time, stop),
        cmocka_unit_test_teardown(a_password_is_given_when_asked_for, stop),
        cmocka_unit_test_teardown(a_wrong_password_is_told_at_once_and_not_repeated, stop),
        cmocka_unit_test_teardown(a_password_that_is_withdrawn_is_tried_seldom, stop),
        cmocka_unit_test_teardown(the_first_contact_point_that_answers_serves, stop),
        cmocka_unit_test_teardown(a_name_stands_for_all_its_addresses, stop),
        cmocka_unit_test_teardown(nobody_there_is_told_with_the_address, stop),
        cmocka_unit_test_teardown(without_descriptors_opening_fails_and_sessions_wait, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
