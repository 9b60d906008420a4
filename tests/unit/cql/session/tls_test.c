// TLS between a session and a node: what is trusted, and what is not.
#include "session_rig.h"

#include "tls_keys.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;
static char folder[] = "/tmp/till-cql-tls-XXXXXX";
static char paths[16][64];
static unsigned path_count;

static int make_keys(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    tls_keys_make_authority(folder, "ca");
    tls_keys_make_authority(folder, "stranger");
    tls_keys_issue(folder, "ca", "node", "IP:127.0.0.1,DNS:localhost", 1);
    tls_keys_issue(folder, "ca", "other", "IP:127.0.0.9,DNS:db.example", 1);
    tls_keys_issue(folder, "ca", "expired", "IP:127.0.0.1,DNS:localhost", -1);
    tls_keys_issue(folder, "ca", "client", NULL, 1);
    return 0;
}

static int remove_keys(void **state)
{
    (void)state;
    DIR *opened = opendir(folder);
    struct dirent *entry = opened != NULL ? readdir(opened) : NULL;
    while (entry != NULL) {
        (void)unlinkat(dirfd(opened), entry->d_name, 0);
        entry = readdir(opened);
    }
    (void)closedir(opened);
    return rmdir(folder);
}

static const char *path(const char *name)
{
    char *at = paths[path_count++ % 16];
    (void)snprintf(at, sizeof(paths[0]), "%s/%s", folder, name);
    return at;
}

static int stop(void **state)
{
    (void)state;
    rig_stop_without_complaints(&rig); // a handshake that is refused is one
    return 0;
}

static void start(const char *certificate, const char *key, const char *client_ca)
{
    rig_start(
        &rig, 1,
        &(struct cql_mock_options){.cert_file = path(certificate),
                                   .key_file = path(key),
                                   .client_ca_file = client_ca != NULL ? path(client_ca) : NULL});
}

static struct cql_options with_tls(void)
{
    struct cql_options options = rig_options(&rig);
    options.tls = (struct cql_tls){.enabled = true, .ca_file = path("ca.pem")};
    return options;
}

static void expect_to_work(const struct cql_options *options)
{
    rig_open(&rig, options);
    rig_write(&rig, 0, 2000, true);
    rig_await(&rig, 2000);
    rig_expect(&rig, 0, 2000, ERR_OK, CQL_DONE);
}

static void a_node_whose_certificate_fits_is_spoken_to(void **state)
{
    (void)state;
    start("node.pem", "node.key", NULL);
    struct cql_options options = with_tls();
    expect_to_work(&options);
}

static void certificates_that_do_not_hold_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *certificate;
        const char *key;
        const char *ca;
    } cases[] = {{"node.pem", "node.key", "stranger.pem"},
                 {"other.pem", "other.key", "ca.pem"},
                 {"expired.pem", "expired.key", "ca.pem"},
                 {"node.pem", "node.key", NULL}};
    for (unsigned i = 0; i < 4; i++) {
        start(cases[i].certificate, cases[i].key, NULL);
        struct cql_options options = with_tls();
        struct why why = {0};
        options.tls.ca_file = cases[i].ca != NULL ? path(cases[i].ca) : NULL;
        assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_CONFIG);
        assert_non_null(strstr(why.text, "certificate"));
        if (i < 3) {
            (void)stop(state);
        }
    }
}

static void checks_can_be_named_and_switched_off(void **state)
{
    (void)state;
    start("other.pem", "other.key", NULL);
    struct cql_options options = with_tls();
    options.tls.server_name = "db.example";
    expect_to_work(&options);
    rig_close(&rig);
    options.tls.server_name = NULL;
    options.tls.without_name_check = true;
    rig_open(&rig, &options);
    rig_close(&rig);
    options.tls = (struct cql_tls){
        .enabled = true, .ca_file = path("stranger.pem"), .without_chain_check = true};
    rig_open(&rig, &options);
}

static void a_name_is_checked_as_it_was_given(void **state)
{
    (void)state;
    char point[64];
    start("node.pem", "node.key", NULL);
    struct cql_options options = with_tls();
    (void)snprintf(point, sizeof(point), "localhost:%u", cql_mock_port(rig.mocks[0]));
    options.contact_points = point;
    expect_to_work(&options);
}

static void a_name_that_is_not_in_the_certificate_is_refused(void **state)
{
    (void)state;
    char point[64];
    start("other.pem", "other.key", NULL);
    struct cql_options options = with_tls();
    struct why why = {0};
    (void)snprintf(point, sizeof(point), "localhost:%u", cql_mock_port(rig.mocks[0]));
    options.contact_points = point;
    assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_CONFIG);
    options.tls.server_name = "another.example";
    assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_CONFIG);
}

static void a_client_certificate_is_shown_when_there_is_one(void **state)
{
    (void)state;
    start("node.pem", "node.key", "ca.pem");
    struct cql_options options = with_tls();
    options.tls.cert_file = path("client.pem");
    options.tls.key_file = path("client.key");
    expect_to_work(&options);
    rig_close(&rig);
    options.tls.cert_file = options.tls.key_file = NULL;
    struct why why = {0};
    assert_int_equal(err_class_of(rig_open_fails(&rig, &options, &why)), ERR_CLASS_RETRY);
}

static void files_that_can_not_be_read_are_named(void **state)
{
    (void)state;
    start("node.pem", "node.key", NULL);
    struct why why = {0};
    struct cql_options options = with_tls();
    options.tls.ca_file = path("missing.pem");
    assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "missing.pem"));
    options = with_tls();
    options.tls.cert_file = path("client.pem");
    options.tls.key_file = path("node.key"); // of another
    assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "node.key"));
    options.tls.cert_file = path("missing.pem");
    assert_int_equal(rig_open_fails(&rig, &options, &why), ERR_CONFIG);
}

static void plain_and_tls_do_not_meet(void **state)
{
    (void)state;
    start("node.pem", "node.key", NULL);
    struct why why = {0};
    struct cql_options plain = rig_options(&rig);
    plain.connect_timeout_us = 200000;
    assert_int_equal(rig_open_fails(&rig, &plain, &why), ERR_UNAVAILABLE);
    (void)stop(state);
    rig_start(&rig, 1, NULL);
    struct cql_options tls = with_tls();
    tls.connect_timeout_us = 200000;
    assert_int_equal(rig_open_fails(&rig, &tls, &why), ERR_UNAVAILABLE);
}

static void a_connection_that_breaks_is_made_again(void **state)
{
    (void)state;
    start("node.pem", "node.key", NULL);
    struct cql_options options = with_tls();
    rig_open(&rig, &options);
    for (unsigned i = 0; i < 10; i++) {
        cql_mock_disconnect(rig.mocks[0], i % 2 == 0); // a reset, or a close_notify
        rig_write(&rig, i * 100, 100, true);
        rig_await(&rig, (i + 1) * 100);
        rig_expect(&rig, i * 100, 100, ERR_OK, CQL_DONE);
        rig_until(&rig, rig_node_is_connected, 0);
    }
}

static void large_answers_pass(void **state)
{
    (void)state;
    static char large[700000];
    static const struct cql_mock_column columns[] = {{"id", {CQL_MOCK_BIGINT}},
                                                     {"item", {CQL_MOCK_VARCHAR}}};
    static const struct cql_mock_column markers[] = {{"id", {CQL_MOCK_BIGINT}}};
    static struct cql_mock_cell cells[] = {{"\0\0\0\0\0\0\0\7", 8}, {large, sizeof(large)}};
    start("node.pem", "node.key", NULL);
    cql_mock_teach(rig.mocks[0], &(struct cql_mock_statement){.part = "FROM shop.orders",
                                                              .markers = markers,
                                                              .marker_count = 1,
                                                              .partition_key_count = 1,
                                                              .columns = columns,
                                                              .column_count = 2,
                                                              .cells = cells,
                                                              .row_count = 1});
    struct cql_options options = with_tls();
    rig_open(&rig, &options);
    for (unsigned i = 0; i < 20; i++) {
        struct cql_values values;
        struct cql_request request = rig_request(&rig, 0, true);
        cql_values_init(&values, rig.memory[0], sizeof(rig.memory[0]));
        cql_bind_bigint(&values, 7);
        request.statement = rig.select;
        request.values = cql_values_view(&values);
        struct cql_result result;
        struct why why = {0};
        assert_int_equal(cql_execute(rig.cql, &request, &result, &why), ERR_OK);
        assert_int_equal(result.rows.row_count, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_node_whose_certificate_fits_is_spoken_to, stop),
        cmocka_unit_test_teardown(certificates_that_do_not_hold_are_refused, stop),
        cmocka_unit_test_teardown(checks_can_be_named_and_switched_off, stop),
        cmocka_unit_test_teardown(a_name_is_checked_as_it_was_given, stop),
        cmocka_unit_test_teardown(a_name_that_is_not_in_the_certificate_is_refused, stop),
        cmocka_unit_test_teardown(a_client_certificate_is_shown_when_there_is_one, stop),
        cmocka_unit_test_teardown(files_that_can_not_be_read_are_named, stop),
        cmocka_unit_test_teardown(plain_and_tls_do_not_meet, stop),
        cmocka_unit_test_teardown(a_connection_that_breaks_is_made_again, stop),
        cmocka_unit_test_teardown(large_answers_pass, stop),
    };
    return cmocka_run_group_tests(tests, make_keys, remove_keys);
}
