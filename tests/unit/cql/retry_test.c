// The decision table, row by row, for statements that may be done twice and those that may not.
#include "cql_retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

#define REPORT CQL_ACTION_REPORT
#define SAME   CQL_ACTION_RETRY_SAME
#define NEXT   CQL_ACTION_RETRY_NEXT

static struct cql_decision decide(struct cql_server_error error, bool idempotent, unsigned retries)
{
    return cql_retry_decide(&(struct cql_situation){
        .trouble = CQL_TROUBLE_ERROR,
        .error = &error,
        .idempotent = idempotent,
        .retries = retries,
    });
}

static struct cql_server_error timeout_of(enum cql_write_type type)
{
    return (struct cql_server_error){
        .code = CQL_ERROR_WRITE_TIMEOUT, .consistency = CQL_QUORUM, .write_type = type};
}

// One row of the table: what happens to the first try and to the second.
struct row {
    struct cql_server_error error;
    enum cql_action idempotent;
    enum cql_action other;
    enum err err;
    enum cql_outcome outcome;
    bool always; // also a second time
};

static void expect_row(const struct row *row)
{
    for (int idempotent = 0; idempotent <= 1; idempotent++) {
        const enum cql_action action = idempotent ? row->idempotent : row->other;
        for (unsigned retries = 0; retries <= CQL_RETRIES_MAX + 1; retries++) {
            const struct cql_decision decision = decide(row->error, idempotent != 0, retries);
            const bool spent = retries >= CQL_RETRIES_MAX && !row->always;
            assert_int_equal(decision.action, spent ? REPORT : action);
            assert_int_equal(decision.err, row->err);
            assert_int_equal(decision.outcome, row->outcome);
            assert_int_equal(decision.counts, !spent && action != REPORT && !row->always);
            assert_int_equal(decision.close, row->error.code == CQL_ERROR_PROTOCOL);
            assert_int_equal(decision.overloaded, row->error.code == CQL_ERROR_OVERLOADED);
        }
    }
}

static void errors_are_decided_as_the_table_says(void **state)
{
    (void)state;
    const struct row rows[] = {
        {{.code = CQL_ERROR_UNAVAILABLE, .consistency = CQL_QUORUM},
         NEXT,
         NEXT,
         ERR_UNAVAILABLE,
         CQL_NOT_DONE,
         false},
        {{.code = CQL_ERROR_OVERLOADED}, NEXT, REPORT, ERR_BUSY, CQL_UNKNOWN, true},
        {{.code = CQL_ERROR_IS_BOOTSTRAPPING}, NEXT, NEXT, ERR_UNAVAILABLE, CQL_NOT_DONE, true},
        {{.code = CQL_ERROR_SERVER}, NEXT, REPORT, ERR_UNAVAILABLE, CQL_UNKNOWN, false},
        {{.code = CQL_ERROR_TRUNCATE}, NEXT, REPORT, ERR_UNAVAILABLE, CQL_UNKNOWN, false},
        {timeout_of(CQL_WRITE_SIMPLE), SAME, REPORT, ERR_TIMEOUT, CQL_UNKNOWN, false},
        {timeout_of(CQL_WRITE_UNLOGGED_BATCH), SAME, REPORT, ERR_TIMEOUT, CQL_UNKNOWN, false},
        {timeout_of(CQL_WRITE_BATCH_LOG), SAME, REPORT, ERR_TIMEOUT, CQL_UNKNOWN, false},
        {timeout_of(CQL_WRITE_BATCH), REPORT, REPORT, ERR_TIMEOUT, CQL_DONE, false},
        {timeout_of(CQL_WRITE_COUNTER), REPORT, REPORT, ERR_TIMEOUT, CQL_UNKNOWN, false},
        {timeout_of(CQL_WRITE_CAS), REPORT, REPORT, ERR_TIMEOUT, CQL_UNKNOWN, false},
        {timeout_of(CQL_WRITE_VIEW), REPORT, REPORT, ERR_TIMEOUT, CQL_UNKNOWN, false},
        {timeout_of(CQL_WRITE_CDC), REPORT, REPORT, ERR_TIMEOUT, CQL_UNKNOWN, false},
        {timeout_of(CQL_WRITE_OTHER), REPORT, REPORT, ERR_TIMEOUT, CQL_UNKNOWN, false},
        {{.code = CQL_ERROR_CAS_WRITE_UNKNOWN}, REPORT, REPORT, ERR_TIMEOUT, CQL_UNKNOWN, false},
        {{.code = CQL_ERROR_READ_FAILURE}, REPORT, REPORT, ERR_UNAVAILABLE, CQL_NOT_DONE, false},
        {{.code = CQL_ERROR_WRITE_FAILURE}, REPORT, REPORT, ERR_UNAVAILABLE, CQL_UNKNOWN, false},
        {{.code = CQL_ERROR_CDC_WRITE_FAILURE}, REPORT, REPORT, ERR_FULL, CQL_UNKNOWN, false},
        {{.code = CQL_ERROR_PROTOCOL}, REPORT, REPORT, ERR_INTERNAL, CQL_NOT_DONE, false},
        {{.code = CQL_ERROR_AUTHENTICATION}, REPORT, REPORT, ERR_PERMISSION, CQL_NOT_DONE, false},
        {{.code = CQL_ERROR_UNAUTHORIZED}, REPORT, REPORT, ERR_PERMISSION, CQL_NOT_DONE, false},
        {{.code = CQL_ERROR_SYNTAX}, REPORT, REPORT, ERR_INVALID, CQL_NOT_DONE, false},
        {{.code = CQL_ERROR_INVALID}, REPORT, REPORT, ERR_INVALID, CQL_NOT_DONE, false},
        {{.code = CQL_ERROR_CONFIG}, REPORT, REPORT, ERR_INVALID, CQL_NOT_DONE, false},
        {{.code = CQL_ERROR_FUNCTION_FAILURE}, REPORT, REPORT, ERR_INVALID, CQL_NOT_DONE, false},
        {{.code = CQL_ERROR_ALREADY_EXISTS}, REPORT, REPORT, ERR_EXISTS, CQL_NOT_DONE, false},
        {{.code = 0x4321}, REPORT, REPORT, ERR_UNAVAILABLE, CQL_UNKNOWN, false}, // somebody's own
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_row(&rows[i]);
    }
}

static void read_timeout_is_tried_again_only_when_the_data_alone_was_missing(void **state)
{
    (void)state;
    for (int32_t received = 1; received <= 3; received++) {
        for (int data_present = 0; data_present <= 1; data_present++) {
            const struct cql_server_error error = {
                .code = CQL_ERROR_READ_TIMEOUT,
                .consistency = CQL_QUORUM,
                .received = received,
                .required = 2,
                .data_present = data_present != 0,
            };
            const bool worth_it = received >= 2 && !data_present;
            expect_row(&(struct row){error, worth_it ? SAME : REPORT, worth_it ? SAME : REPORT,
                                     ERR_TIMEOUT, CQL_NOT_DONE, false});
        }
    }
}

static void conditional_write_is_never_tried_again(void **state)
{
    (void)state;
    const struct cql_server_error errors[] = {
        {.code = CQL_ERROR_UNAVAILABLE, .consistency = CQL_SERIAL},
        {.code = CQL_ERROR_UNAVAILABLE, .consistency = CQL_LOCAL_SERIAL},
        {.code = CQL_ERROR_READ_TIMEOUT, .consistency = CQL_LOCAL_SERIAL, .received = 2},
        {.code = CQL_ERROR_READ_FAILURE, .consistency = CQL_SERIAL},
        {.code = CQL_ERROR_WRITE_TIMEOUT, .consistency = CQL_SERIAL, .write_type = CQL_WRITE_CAS},
    };
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        const struct cql_decision decision = decide(errors[i], false, 0);
        assert_int_equal(decision.action, REPORT);
        assert_int_equal(decision.outcome, CQL_UNKNOWN);
    }
    // said so by the caller, though the error names a plain consistency: the phase of the commit
    const struct cql_server_error commit = {
        .code = CQL_ERROR_WRITE_TIMEOUT, .consistency = CQL_QUORUM, .write_type = CQL_WRITE_SIMPLE};
    const struct cql_decision decision = cql_retry_decide(&(struct cql_situation){
        .trouble = CQL_TROUBLE_ERROR, .error = &commit, .idempotent = true, .conditional = true});
    assert_int_equal(decision.action, REPORT);
    assert_int_equal(decision.outcome, CQL_UNKNOWN);
}

static void serial_read_is_a_read(void **state)
{
    (void)state;
    const struct cql_server_error error = {.code = CQL_ERROR_UNAVAILABLE,
                                           .consistency = CQL_LOCAL_SERIAL};
    assert_int_equal(decide(error, true, 0).action, NEXT);
}

static void what_was_never_sent_goes_elsewhere(void **state)
{
    (void)state;
    for (int idempotent = 0; idempotent <= 1; idempotent++) {
        const struct cql_decision decision = cql_retry_decide(&(struct cql_situation){
            .trouble = CQL_TROUBLE_NOT_SENT, .idempotent = idempotent != 0, .retries = 9});
        assert_int_equal(decision.action, NEXT);
        assert_int_equal(decision.outcome, CQL_NOT_DONE);
        assert_false(decision.counts);
    }
}

static void lost_connection_leaves_a_write_unknown_unless_it_may_be_done_twice(void **state)
{
    (void)state;
    struct cql_situation situation = {.trouble = CQL_TROUBLE_CONNECTION_LOST, .idempotent = true};
    assert_int_equal(cql_retry_decide(&situation).action, NEXT);
    situation.idempotent = false;
    assert_int_equal(cql_retry_decide(&situation).action, REPORT);
    assert_int_equal(cql_retry_decide(&situation).outcome, CQL_UNKNOWN);
}

static void patience_that_ended_is_reported(void **state)
{
    (void)state;
    for (int idempotent = 0; idempotent <= 1; idempotent++) {
        const struct cql_decision decision = cql_retry_decide(
            &(struct cql_situation){.trouble = CQL_TROUBLE_TIMEOUT, .idempotent = idempotent != 0});
        assert_int_equal(decision.action, REPORT);
        assert_int_equal(decision.err, ERR_TIMEOUT);
        assert_int_equal(decision.outcome, CQL_UNKNOWN);
    }
}

static void statement_is_prepared_again_twice_at_most(void **state)
{
    (void)state;
    const struct cql_server_error error = {.code = CQL_ERROR_UNPREPARED};
    for (unsigned reprepares = 0; reprepares <= CQL_REPREPARES_MAX + 1; reprepares++) {
        for (int idempotent = 0; idempotent <= 1; idempotent++) {
            const struct cql_decision decision =
                cql_retry_decide(&(struct cql_situation){.trouble = CQL_TROUBLE_ERROR,
                                                         .error = &error,
                                                         .idempotent = idempotent != 0,
                                                         .retries = 5,
                                                         .reprepares = reprepares});
            assert_int_equal(decision.action,
                             reprepares < CQL_REPREPARES_MAX ? CQL_ACTION_PREPARE_AGAIN : REPORT);
            assert_false(decision.counts);
            assert_int_equal(decision.outcome, CQL_NOT_DONE);
        }
    }
}

static void nothing_but_the_servers_refusal_of_the_input_is_rejected(void **state)
{
    (void)state;
    for (int32_t code = 0; code <= 0x2600; code++) {
        const enum err err = decide((struct cql_server_error){.code = code}, true, 9).err;
        const bool refused = code == CQL_ERROR_SYNTAX || code == CQL_ERROR_INVALID ||
                             code == CQL_ERROR_CONFIG || code == CQL_ERROR_ALREADY_EXISTS ||
                             code == CQL_ERROR_FUNCTION_FAILURE;
        assert_int_equal(err_class_of(err) == ERR_CLASS_REJECT, refused);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_decided_as_the_table_says),
        cmocka_unit_test(read_timeout_is_tried_again_only_when_the_data_alone_was_missing),
        cmocka_unit_test(conditional_write_is_never_tried_again),
        cmocka_unit_test(serial_read_is_a_read),
        cmocka_unit_test(what_was_never_sent_goes_elsewhere),
        cmocka_unit_test(lost_connection_leaves_a_write_unknown_unless_it_may_be_done_twice),
        cmocka_unit_test(patience_that_ended_is_reported),
        cmocka_unit_test(statement_is_prepared_again_twice_at_most),
        cmocka_unit_test(nothing_but_the_servers_refusal_of_the_input_is_rejected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
