// till doctor on real nodes, well and spoiled; and what a start refuses or warns of.
#include "cassandra_rig.h"
#include "cassandra_server.h"
#include "data_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs those before it
#include <cmocka.h>

static struct cassandra_server *server; // the one of the group that runs
static struct cassandra_rig rig;
static char keyspace[CASSANDRA_KEYSPACE_SIZE];

static int create_world(void **state)
{
    int failed = till_test_setup(state);
    rig_init(&rig, cassandra_server_addresses(server), keyspace);
    return failed;
}

static int create_world_with_login(void **state)
{
    int failed = create_world(state);
    write_text("password", "cassandra\n");
    rig_set(&rig, "TILL_CASSANDRA_USER=cassandra");
    rig_set(&rig, "TILL_CASSANDRA_PASSWORD_FILE=password");
    return failed;
}

static void set_up_keyspace(int (*create)(void **state))
{
    void *state = NULL;
    cassandra_server_keyspace(server, keyspace);
    (void)create(&state);
    assert_exit_code(RIG_RUN(&rig, "setup", "--quiet"), 0);
    (void)till_test_teardown(&state);
}

// The name of the keyspace comes between the two.
static void change(const char *before, const char *after)
{
    char statement[512];
    (void)snprintf(statement, sizeof(statement), "%s %s%s;", before, keyspace, after);
    free(cassandra_server_cql(server, statement));
}

// The line of a check begins with its name and state.
static void assert_line(const struct outcome *outcome, const char *check, const char *state,
                        const char *found)
{
    char start[128];
    (void)snprintf(start, sizeof(start), "\n%s,%s,", check, state);
    const char *line = strstr(outcome->out, start);
    if (line == NULL) {
        fail_msg("%s is not %s: %s", check, state, outcome->out);
        return;
    }
    const char *text = strstr(line, found);
    if (text == NULL || text > strchr(line + 1, '\n')) {
        fail_msg("%s does not say %s: %s", check, found, outcome->out);
    }
}

static const struct outcome *doctor(void)
{
    return RIG_RUN(&rig, "doctor", "--output", "csv");
}

// --- one node, all defaults ---------------------------------------------------------------------

static void healthy_node_is_well_but_alone(void **state)
{
    (void)state;
    const struct outcome *outcome = doctor();
    assert_exit_code(outcome, 0);
    assert_line(outcome, "nodes", "ok", "1 of 1");
    assert_line(outcome, "versions", "ok", "protocol v5");
    assert_line(outcome, "schema", "ok", "agree");
    assert_line(outcome, "replication", "warning", "1 copy");
    assert_line(outcome, "data centre", "ok", "the only one");
    assert_line(outcome, "tables", "ok", "read repair BLOCKING");
    assert_line(outcome, "version", "ok", "version 1 of the tables");
    assert_line(outcome, "quorum read", "ok", "p99");
    assert_line(outcome, "commit log", "ok", "1 node");
    assert_line(outcome, "timestamps", "ok", "");
    assert_line(outcome, "timeouts", "ok", "5000 ms, till after 12000 ms");
    assert_line(outcome, "encryption", "ok", "this machine");
    assert_line(outcome, "login", "ok", "this machine");
    assert_line(outcome, "clocks", "ok", "give or take");
}

static void doctor_changes_nothing(void **state)
{
    char statement[128];
    (void)state;
    (void)snprintf(statement, sizeof(statement), "SELECT * FROM %s.till_settings;", keyspace);
    char *before = cassandra_server_cql(server, statement);
    assert_exit_code(doctor(), 0);
    char *after = cassandra_server_cql(server, statement);
    assert_string_equal(after, before);
    free(before);
    free(after);
}

static void missing_keyspace_is_told_and_the_rest_goes_on(void **state)
{
    (void)state;
    rig_set(&rig, "TILL_CASSANDRA_KEYSPACE=not_there");
    const struct outcome *outcome = doctor();
    assert_exit_code(outcome, 3);
    assert_line(outcome, "keyspace", "FAILED", "till setup makes it");
    assert_line(outcome, "commit log", "ok", "1 node");
}

static void later_version_is_told(void **state)
{
    (void)state;
    change("INSERT INTO", ".till_settings (name, value) VALUES ('schema_version', 2)");
    const struct outcome *outcome = doctor();
    assert_exit_code(outcome, 3);
    assert_line(outcome, "version", "FAILED", "install the later version of till");
    change("INSERT INTO", ".till_settings (name, value) VALUES ('schema_version', 1)");
}

static void request_timeout_shorter_than_the_servers_is_told(void **state)
{
    (void)state;
    rig_set(&rig, "TILL_CASSANDRA_REQUEST_TIMEOUT=5s");
    assert_line(doctor(), "timeouts", "warning", "till after 5000 ms");
}

static void no_node_is_told(void **state)
{
    (void)state;
    rig_set(&rig, "TILL_CASSANDRA_CONTACT_POINTS=127.0.0.1:1");
    const struct outcome *outcome = doctor();
    assert_exit_code(outcome, 3);
    assert_line(outcome, "cluster", "FAILED", "127.0.0.1:1");
}

static const struct outcome *run_some(void)
{
    return RIG_RUN(&rig, "run", "--generate", "10", "--once", "--quiet", "--data-dir", "d");
}

static void start_with_one_copy_warns_once_and_runs(void **state)
{
    (void)state;
    const struct outcome *outcome = run_some();
    assert_exit_code(outcome, 0);
    assert_err_has(outcome, "replication: 1 copy of everything");
    assert_int_equal(line_count(outcome->err), 1);
}

static void start_refuses_a_table_that_forgets(void **state)
{
    (void)state;
    change("ALTER TABLE", ".order_events WITH default_time_to_live = 86400");
    assert_line(doctor(), "tables", "FAILED", "order_events forgets rows after 86400 s");
    const struct outcome *outcome = run_some();
    assert_exit_code(outcome, 78);
    assert_err_is_one_line(outcome);
    assert_err_has(outcome, "order_events forgets rows");
    change("ALTER TABLE", ".order_events WITH default_time_to_live = 0");
    assert_exit_code(run_some(), 0);
}

static void start_refuses_writes_that_are_not_durable(void **state)
{
    (void)state;
    change("ALTER KEYSPACE", " WITH durable_writes = false");
    assert_line(doctor(), "replication", "FAILED", "durable_writes is false");
    const struct outcome *outcome = run_some();
    assert_exit_code(outcome, 78);
    assert_err_is_one_line(outcome);
    change("ALTER KEYSPACE", " WITH durable_writes = true");
    assert_exit_code(run_some(), 0);
}

static void other_read_repair_and_strategy_warn(void **state)
{
    (void)state;
    change("ALTER TABLE", ".orders_payments_facts WITH read_repair = 'NONE'");
    change("ALTER KEYSPACE",
           " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    const struct outcome *outcome = doctor();
    assert_exit_code(outcome, 0);
    assert_line(outcome, "tables", "warning", "read_repair of orders_payments_facts is NONE");
    assert_line(outcome, "replication", "warning", "SimpleStrategy");
    change("ALTER KEYSPACE",
           " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}");
    outcome = doctor();
    assert_exit_code(outcome, 3);
    assert_line(outcome, "replication", "FAILED", "2 copies");
}

// --- a node with logins and Cassandra's own commit log ------------------------------------------

static void periodic_commit_log_is_told(void **state)
{
    (void)state;
    const struct outcome *outcome = doctor();
    assert_exit_code(outcome, 0);
    assert_line(outcome, "commit log", "warning", "periodic on 1 of 1 nodes");
    assert_line(outcome, "login", "warning", "who may do everything");
}

static void login_that_is_missing_is_told(void **state)
{
    (void)state;
    rig_set(&rig, "TILL_CASSANDRA_USER=");
    rig_set(&rig, "TILL_CASSANDRA_PASSWORD_FILE=");
    assert_line(doctor(), "cluster", "FAILED", "asks for a user and a password");
}

// What docs/cassandra.md has people grant is enough for everything that the role does.
static void role_with_the_least_rights_does_its_work(void **state)
{
    (void)state;
    change("CREATE ROLE IF NOT EXISTS till WITH PASSWORD = 'secret' AND LOGIN = true;GRANT SELECT "
           "ON KEYSPACE",
           " TO till");
    change("GRANT MODIFY ON KEYSPACE", " TO till");
    write_text("password", "secret\n");
    rig_set(&rig, "TILL_CASSANDRA_USER=till");
    assert_exit_code(run_some(), 0);
    rig_assert_balanced(&rig);
    const struct outcome *outcome = doctor();
    assert_exit_code(outcome, 0);
    assert_line(outcome, "commit log", "warning", "GRANT SELECT ON KEYSPACE system_views");
    assert_line(outcome, "login", "ok", "as till");
    free(cassandra_server_cql(server, "GRANT SELECT ON KEYSPACE system_views TO till;"));
    assert_line(doctor(), "commit log", "warning", "periodic");
}

#define WORLD(function) cmocka_unit_test_setup_teardown(function, create_world, till_test_teardown)
#define LOGIN(function)                                                                            \
    cmocka_unit_test_setup_teardown(function, create_world_with_login, till_test_teardown)

static int test_shared(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(healthy_node_is_well_but_alone),
        WORLD(doctor_changes_nothing),
        WORLD(missing_keyspace_is_told_and_the_rest_goes_on),
        WORLD(later_version_is_told),
        WORLD(request_timeout_shorter_than_the_servers_is_told),
        WORLD(no_node_is_told),
        WORLD(start_with_one_copy_warns_once_and_runs),
        WORLD(start_refuses_a_table_that_forgets),
        WORLD(start_refuses_writes_that_are_not_durable),
        WORLD(other_read_repair_and_strategy_warn), // leaves the keyspace spoiled: the last
    };
    server = cassandra_server_shared();
    set_up_keyspace(create_world);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cassandra_server_stop(&server);
    return failed;
}

static int test_with_logins(void)
{
    const struct CMUnitTest tests[] = {
        LOGIN(periodic_commit_log_is_told),
        LOGIN(login_that_is_missing_is_told),
        LOGIN(role_with_the_least_rights_does_its_work),
    };
    server = cassandra_server_start(
        &(struct cassandra_server_options){.auth = true, .commitlog_is_periodic = true});
    set_up_keyspace(create_world_with_login);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cassandra_server_stop(&server);
    return failed;
}

int main(void)
{
    cassandra_server_require();
    int failed = test_shared();
    return failed + test_with_logins();
}
