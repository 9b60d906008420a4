// Each allocation of a session fails in turn: from opening to closing it either works or says why not, and
// nothing is left behind. The mock is in a process of its own, where allocations succeed.
#include "session_rig.h"

#include "fault_alloc.h"

#include <sys/wait.h>
#include <unistd.h>

static struct rig rig;
static char address[64];

// --- the mock's process -------------------------------------------------------------------------

static int to_mock[2];
static int from_mock[2];
static pid_t mock_process;

static void run_mock(void)
{
    char byte = 0;
    (void)close(to_mock[1]);
    rig_start(&rig, 1, NULL);
    const char *text = cql_mock_address(rig.mocks[0]);
    for (size_t i = 0; i < sizeof(address) - 1 && text[i] != '\0'; i++) {
        address[i] = text[i];
    }
    ssize_t written = write(from_mock[1], address, sizeof(address));
    ssize_t got = read(to_mock[0], &byte, 1); // until the test ends
    rig_stop(&rig);
    _exit(written == (ssize_t)sizeof(address) && got == 0 ? 0 : 1);
}

static int start_mock(void **state)
{
    (void)state;
    assert_int_equal(pipe(to_mock), 0);
    assert_int_equal(pipe(from_mock), 0);
    mock_process = fork();
    assert_true(mock_process >= 0);
    if (mock_process == 0) {
        run_mock();
    }
    (void)close(to_mock[0]);
    assert_int_equal(read(from_mock[0], address, sizeof(address)), sizeof(address));
    return 0;
}

static int stop_mock(void **state)
{
    (void)state;
    int status = 1;
    (void)close(to_mock[1]);
    assert_int_equal(waitpid(mock_process, &status, 0), mock_process);
    return status;
}

// --- the session --------------------------------------------------------------------------------

static enum err write_three(struct cql *cql, struct cql_statement *insert, struct why *why)
{
    enum err err = ERR_OK;
    for (int64_t i = 0; i < 3 && err == ERR_OK; i++) {
        unsigned char memory[64];
        struct cql_values values;
        struct cql_result result;
        cql_values_init(&values, memory, sizeof(memory));
        cql_bind_bigint(&values, i);
        cql_bind_text(&values, TEXT("Laptop"));
        struct cql_request request = {.statement = insert,
                                      .values = cql_values_view(&values),
                                      .consistency = CQL_LOCAL_QUORUM,
                                      .idempotent = true};
        err = cql_execute(cql, &request, &result, why);
    }
    return err;
}

// Gives the first error. Everything it made is closed.
static enum err use_a_session(struct why *why)
{
    struct cql_options options = {.contact_points = address,
                                  .reconnect_min_us = 1000,
                                  .reconnect_max_us = 2000,
                                  .request_timeout_us = 5 * US_PER_SECOND,
                                  .seed = 1};
    struct cql_statement *insert = NULL;
    struct cql_statement *select = NULL;
    struct cql *cql = NULL;
    enum err err = cql_open(&options, &cql, why);
    if (err == ERR_OK) {
        err = cql_prepare(cql, TEXT(RIG_INSERT), &insert, why);
    }
    if (err == ERR_OK) {
        err = cql_prepare(cql, TEXT(RIG_SELECT), &select, why);
    }
    if (err == ERR_OK) {
        err = write_three(cql, insert, why);
    }
    if (err == ERR_OK) {
        err = cql_await_schema_agreement(cql, 2 * US_PER_SECOND, why);
    }
    cql_close(&cql);
    return err;
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    bool hit = true;
    unsigned failures = 0;
    uint64_t n = 0;
    while (hit) {
        struct why why = {0};
        fault_alloc_arm(++n);
        enum err err = use_a_session(&why);
        fault_alloc_disarm();
        hit = fault_alloc_hit();
        failures += err != ERR_OK;
        assert_true(hit || err == ERR_OK);
        assert_true(err == ERR_OK || why.code == err);
    }
    assert_in_range(n, 20, 1000);
    assert_true(failures >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_allocation_may_fail, start_mock, stop_mock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
