// What a start on Cassandra cannot do is said in one sentence that tells what to do, with the exit code for
// it, and in bounded time. One node that wants logins.
#include "cassandra_rig.h"
#include "cassandra_server.h"
#include "data_files.h"
#include "loopback_port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
// cmocka needs those before it
#include <cmocka.h>

#define NO_NODE_MS_MAX 20000

static struct cassandra_server *server;
static struct cassandra_rig rig;
static char keyspace[CASSANDRA_KEYSPACE_SIZE];

// Logged in, on a keyspace whose tables are there.
static int create_world(void **state)
{
    int failed = till_test_setup(state);
    rig_init(&rig, cassandra_server_addresses(server), keyspace);
    write_text("password", "cassandra\n");
    rig_set(&rig, "TILL_CASSANDRA_USER=cassandra");
    rig_set(&rig, "TILL_CASSANDRA_PASSWORD_FILE=password");
    return failed;
}

static void change(const char *setting, int value)
{
    char statement[256];
    (void)snprintf(statement, sizeof(statement),
                   "INSERT INTO %s.till_settings (name, value) VALUES ('%s', %d);", keyspace,
                   setting, value);
    free(cassandra_server_cql(server, statement));
}

static const struct outcome *run_once(void)
{
    return RIG_RUN(&rig, "run", "--generate", "10", "--once", "--quiet", "--data-dir", "d");
}

// The same words from every command that opens the store.
static void assert_refused(int exit_code, const char *text)
{
    const struct outcome *outcomes[] = {run_once(), RIG_RUN(&rig, "query", "--quiet"),
                                        RIG_RUN(&rig, "report", "--quiet")};
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        assert_exit_code(outcomes[i], exit_code);
        assert_err_is_one_line(outcomes[i]);
        assert_err_has(outcomes[i], text);
    }
}

// Beside the errors below: with everything right it works.
static void with_all_that_is_needed_it_runs(void **state)
{
    (void)state;
    assert_exit_code(run_once(), 0);
    rig_assert_balanced(&rig);
}

static void missing_keyspace_names_till_setup(void **state)
{
    (void)state;
    rig_set(&rig, "TILL_CASSANDRA_KEYSPACE=not_there");
    assert_refused(1, "run till setup");
}

static void keyspace_without_tables_names_till_setup(void **state)
{
    char empty[CASSANDRA_KEYSPACE_SIZE];
    (void)state;
    cassandra_server_keyspace(server, empty);
    rig_set(&rig, "TILL_CASSANDRA_KEYSPACE=%s", empty);
    assert_refused(1, "run till setup");
}

static void tables_of_a_later_version_are_refused(void **state)
{
    (void)state;
    change("schema_version", 2);
    assert_refused(1, "install the later version of till");
    const struct outcome *setup = RIG_RUN(&rig, "setup", "--quiet");
    assert_int_not_equal(setup->exit_code, 0);
    assert_err_has(setup, "install the later version of till");
    change("schema_version", 1);
    assert_exit_code(run_once(), 0);
}

static void later_fold_is_refused(void **state)
{
    (void)state;
    change("fold_epoch", 2);
    assert_refused(1, "later version of till");
    change("fold_epoch", 1);
    assert_exit_code(run_once(), 0);
}

static void wrong_password_is_77(void **state)
{
    (void)state;
    write_text("password", "wrong\n");
    assert_refused(77, "Provided username cassandra and/or password are incorrect");
}

static void missing_login_is_77(void **state)
{
    (void)state;
    rig_set(&rig, "TILL_CASSANDRA_USER=");
    rig_set(&rig, "TILL_CASSANDRA_PASSWORD_FILE=");
    assert_refused(77, "the node asks for a user and a password");
}

static void unknown_data_centre_is_78(void **state)
{
    (void)state;
    rig_set(&rig, "TILL_CASSANDRA_LOCAL_DC=mars");
    assert_refused(78, "the data centre \"mars\" has no node");
}

static int64_t now_ms(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void no_node_is_69_in_bounded_time(void **state)
{
    struct loopback_port port;
    (void)state;
    assert_true(loopback_port_reserve(&port));
    rig_set(&rig, "TILL_CASSANDRA_CONTACT_POINTS=127.0.0.1:%u", port.number);
    int64_t start_ms = now_ms();
    const struct outcome *outcome = run_once();
    assert_true(now_ms() - start_ms < NO_NODE_MS_MAX);
    assert_exit_code(outcome, 69);
    assert_err_is_one_line(outcome);
    assert_err_has(outcome, "127.0.0.1");
    loopback_port_release(&port);
}

#define WORLD(function) cmocka_unit_test_setup_teardown(function, create_world, till_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(with_all_that_is_needed_it_runs),
        WORLD(missing_keyspace_names_till_setup),
        WORLD(keyspace_without_tables_names_till_setup),
        WORLD(tables_of_a_later_version_are_refused),
        WORLD(later_fold_is_refused),
        WORLD(wrong_password_is_77),
        WORLD(missing_login_is_77),
        WORLD(unknown_data_centre_is_78),
        WORLD(no_node_is_69_in_bounded_time),
    };
    cassandra_server_require();
    server = cassandra_server_start(&(struct cassandra_server_options){.auth = true});
    cassandra_server_keyspace(server, keyspace);
    void *state = NULL;
    (void)create_world(&state);
    assert_exit_code(RIG_RUN(&rig, "setup", "--quiet"), 0);
    (void)till_test_teardown(&state);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cassandra_server_stop(&server);
    return failed;
}
