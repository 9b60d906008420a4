// The real Cassandra that other tests lean on: that it serves, keeps what it acknowledged, and can be killed,
// paused and started again on command; and that nothing of it stays behind.
#include "cassandra_server.h"
#include "loopback_port.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ANSWER_TIMEOUT_MS 20000
#define SILENCE_MS        300
#define REMOVAL_TRIES_MAX 200
#define TICK_MS           100

static struct cassandra_server *one; // node, with defaults

static int start_one(void **state)
{
    (void)state;
    one = cassandra_server_start(NULL);
    return 0;
}

static int stop_one(void **state)
{
    (void)state;
    cassandra_server_stop(&one);
    return 0;
}

static void expect_rows(struct cassandra_server *server, const char *statements, const char *rows)
{
    char *text = cassandra_server_cql(server, statements);
    assert_string_equal(text, rows);
    free(text);
}

static void expect_failure(struct cassandra_server *server,
                           const struct cassandra_cql_options *options, const char *statements,
                           const char *part_of_error)
{
    char *text = NULL;
    assert_false(cassandra_server_try_cql(server, options, statements, &text));
    if (strstr(text, part_of_error) == NULL) {
        fail_msg("'%s' does not say '%s'", text, part_of_error);
    }
    free(text);
}

static bool has_folder(const char *path)
{
    return access(path, F_OK) == 0;
}

// --- the wire ------------------------------------------------------------------------------------

// An OPTIONS request of native protocol v4; its answer is SUPPORTED, opcode 6.
static void ask_for_options(int fd)
{
    static const uint8_t request[] = {4, 0, 0, 1, 5, 0, 0, 0, 0};
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&polled, 1, ANSWER_TIMEOUT_MS), 1);
    assert_int_equal(send(fd, request, sizeof request, MSG_NOSIGNAL), sizeof request);
}

static bool is_answered_within(int fd, int timeout_ms)
{
    uint8_t answer[9];
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    return poll(&polled, 1, timeout_ms) == 1 &&
           recv(fd, answer, sizeof answer, 0) == sizeof answer && answer[0] == 0x84 &&
           answer[4] == 6;
}

static int connect_to(const struct cassandra_server *server)
{
    int fd = loopback_port_connect(cassandra_server_port(server));
    assert_true(fd >= 0);
    return fd;
}

// --- one node ------------------------------------------------------------------------------------

static void rows_come_back_as_text(void **state)
{
    (void)state;
    char keyspace[CASSANDRA_KEYSPACE_SIZE];
    char statements[600];
    cassandra_server_keyspace(one, keyspace);
    (void)snprintf(
        statements, sizeof statements,
        "CREATE TABLE %s.orders (id bigint PRIMARY KEY, item text); -- a remark; no end\n"
        "INSERT INTO %s.orders (id, item) VALUES (1, 'a;b''c -- d');"
        "INSERT INTO %s.orders (id) VALUES (-2);"
        "SELECT id, item FROM %s.orders WHERE id = 1;"
        "SELECT item, id FROM %s.orders WHERE id = -2",
        keyspace, keyspace, keyspace, keyspace, keyspace);
    expect_rows(one, statements, "1\ta;b'c -- d\nnull\t-2\n");
}

static void an_error_comes_back_as_text(void **state)
{
    (void)state;
    expect_failure(one, &(struct cassandra_cql_options){0}, "SELECT * FROM system.nothing;",
                   "nothing");
}

static void keyspaces_of_a_program_differ(void **state)
{
    (void)state;
    char first[CASSANDRA_KEYSPACE_SIZE];
    char second[CASSANDRA_KEYSPACE_SIZE];
    cassandra_server_keyspace(one, first);
    cassandra_server_keyspace(one, second);
    assert_string_not_equal(first, second);
}

static void what_was_acknowledged_outlives_a_kill(void **state)
{
    (void)state;
    char keyspace[CASSANDRA_KEYSPACE_SIZE];
    char statements[300];
    cassandra_server_keyspace(one, keyspace);
    (void)snprintf(statements, sizeof statements,
                   "CREATE TABLE %s.orders (id bigint PRIMARY KEY);"
                   "INSERT INTO %s.orders (id) VALUES (7);",
                   keyspace, keyspace);
    expect_rows(one, statements, "");
    cassandra_server_kill(one, 1);
    assert_false(loopback_port_is_open(cassandra_server_port(one), ANSWER_TIMEOUT_MS));
    assert_int_equal(errno, ECONNREFUSED);
    cassandra_server_restart(one, 1);
    (void)snprintf(statements, sizeof statements, "SELECT id FROM %s.orders;", keyspace);
    expect_rows(one, statements, "7\n");
}

static void a_paused_node_lets_in_and_answers_after_its_resume(void **state)
{
    (void)state;
    cassandra_server_pause(one, 1);
    int fd = connect_to(one);
    ask_for_options(fd);
    assert_false(is_answered_within(fd, SILENCE_MS));
    cassandra_server_resume(one, 1);
    assert_true(is_answered_within(fd, ANSWER_TIMEOUT_MS));
    (void)close(fd);
}

// --- ends ----------------------------------------------------------------------------------------

static void a_cluster_is_gone_after_its_stop(void **state)
{
    (void)state;
    char settings[PATH_MAX];
    struct cassandra_server *server = cassandra_server_start(NULL);
    uint16_t port = cassandra_server_port(server);
    cassandra_server_path(server, "settings", settings);
    assert_true(has_folder(settings));
    assert_true(loopback_port_is_open(port, ANSWER_TIMEOUT_MS));
    cassandra_server_stop(&server);
    assert_null(server);
    assert_false(loopback_port_is_open(port, ANSWER_TIMEOUT_MS));
    assert_false(has_folder(settings));
}

static void a_cluster_ends_with_the_process_that_started_it(void **state)
{
    (void)state;
    int pipe_fds[2];
    char settings[PATH_MAX];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        cassandra_server_path(cassandra_server_start(NULL), "settings", settings);
        _exit(write(pipe_fds[1], settings, sizeof settings) == (ssize_t)sizeof settings ? 0 : 1);
    }
    assert_int_equal(read(pipe_fds[0], settings, sizeof settings), sizeof settings);
    assert_int_equal(waitpid(child, NULL, 0), child);
    for (unsigned tries = 0; has_folder(settings) && tries < REMOVAL_TRIES_MAX; tries++) {
        (void)poll(NULL, 0, TICK_MS);
    }
    assert_false(has_folder(settings));
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
}

// What scripts/test does for a run.
static void a_shared_node_is_started_once_and_stays(void **state)
{
    (void)state;
    char folder[] = "/tmp/till-cassandra-XXXXXX";
    char owner[16];
    (void)snprintf(owner, sizeof owner, "%d", (int)getpid());
    assert_non_null(mkdtemp(folder));
    assert_int_equal(setenv("TILL_TEST_CASSANDRA_DIR", folder, 1), 0);
    assert_int_equal(setenv("TILL_TEST_CASSANDRA_OWNER", owner, 1), 0);
    struct cassandra_server *first = cassandra_server_shared();
    struct cassandra_server *second = cassandra_server_shared();
    assert_string_equal(cassandra_server_addresses(first), cassandra_server_addresses(second));
    cassandra_server_stop(&first);
    assert_true(loopback_port_is_open(cassandra_server_port(second), ANSWER_TIMEOUT_MS));
    cassandra_server_stop(&second);
    assert_true(has_folder(folder));
    assert_int_equal(unsetenv("TILL_TEST_CASSANDRA_DIR"), 0);
}

// --- three nodes ---------------------------------------------------------------------------------

#define READ_ROLES "SELECT role FROM system_auth.roles WHERE role = 'cassandra';"

static void expect_roles_at(struct cassandra_server *server, unsigned node, const char *consistency)
{
    char *text = NULL;
    struct cassandra_cql_options options = {.node = node, .consistency = consistency};
    if (!cassandra_server_try_cql(server, &options, READ_ROLES, &text)) {
        fail_msg("at %s of node %u: %s", consistency, node, text);
    }
    assert_string_equal(text, "cassandra\n");
    free(text);
}

static void only_the_password_opens(struct cassandra_server *server)
{
    struct cassandra_cql_options wrong = {.password = "wrong"};
    expect_failure(server, &wrong, READ_ROLES, "incorrect");
}

static void only_tls_is_answered(struct cassandra_server *server)
{
    int fd = connect_to(server);
    ask_for_options(fd);
    assert_false(is_answered_within(fd, ANSWER_TIMEOUT_MS));
    (void)close(fd);
}

static void three_nodes_miss_one_and_take_it_back(void **state)
{
    (void)state;
    struct cassandra_server_options options = {.nodes = 3,
                                               .auth = true,
                                               .tls = CASSANDRA_TLS_MUTUAL,
                                               .yaml = {"read_request_timeout: 2s"}};
    struct cassandra_server *server = cassandra_server_start(&options);
    expect_roles_at(server, 3, "ALL");
    only_the_password_opens(server);
    only_tls_is_answered(server);

    cassandra_server_kill(server, 2);
    expect_roles_at(server, 0, "QUORUM");
    struct cassandra_cql_options all = {.node = 1, .consistency = "ALL"};
    expect_failure(server, &all, READ_ROLES, "ALL");

    cassandra_server_restart(server, 2);
    expect_roles_at(server, 2, "ALL");
    cassandra_server_stop(&server);
}

int main(void)
{
    cassandra_server_require();
    const struct CMUnitTest one_node[] = {
        cmocka_unit_test(rows_come_back_as_text),
        cmocka_unit_test(an_error_comes_back_as_text),
        cmocka_unit_test(keyspaces_of_a_program_differ),
        cmocka_unit_test(what_was_acknowledged_outlives_a_kill),
        cmocka_unit_test(a_paused_node_lets_in_and_answers_after_its_resume),
    };
    const struct CMUnitTest own_clusters[] = {
        cmocka_unit_test(a_cluster_is_gone_after_its_stop),
        cmocka_unit_test(a_cluster_ends_with_the_process_that_started_it),
        cmocka_unit_test(a_shared_node_is_started_once_and_stays),
        cmocka_unit_test(three_nodes_miss_one_and_take_it_back),
    };
    int failed = cmocka_run_group_tests(one_node, start_one, stop_one);
    return failed + cmocka_run_group_tests(own_clusters, NULL, NULL);
}
