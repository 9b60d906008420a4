// The mock behind TLS, and the keys that tests of TLS are made with.
#include "cql_mock.h"
#include "loopback_port.h"
#include "tls_keys.h"

#include <ftw.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PATIENCE_MS 20000

static char folder[] = "/tmp/till-tls-XXXXXX";

static const char *path_of(const char *name)
{
    static char paths[4][64];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int make_keys(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    tls_keys_make_authority(folder, "ca");
    tls_keys_make_authority(folder, "stranger-ca");
    tls_keys_issue(folder, "ca", "server", "IP:127.0.0.1,DNS:localhost", 1);
    tls_keys_issue(folder, "ca", "expired", "IP:127.0.0.1", -1);
    tls_keys_issue(folder, "ca", "elsewhere", "IP:127.0.0.9", 1);
    tls_keys_issue(folder, "ca", "client", NULL, 1);
    tls_keys_issue(folder, "stranger-ca", "stranger", "IP:127.0.0.1", 1);
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *position)
{
    (void)status;
    (void)kind;
    (void)position;
    return remove(path);
}

static int remove_keys(void **state)
{
    (void)state;
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

// --- a client that checks as it should ------------------------------------------------------------

static int connect_blocking(const struct cql_mock *mock)
{
    int fd = loopback_port_connect(cql_mock_port(mock));
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&polled, 1, PATIENCE_MS), 1);
    return fd;
}

static SSL_CTX *client_settings(bool has_certificate)
{
    SSL_CTX *settings = SSL_CTX_new(TLS_client_method());
    assert_non_null(settings);
    assert_int_equal(SSL_CTX_load_verify_locations(settings, path_of("ca.pem"), NULL), 1);
    SSL_CTX_set_verify(settings, SSL_VERIFY_PEER, NULL);
    if (has_certificate) {
        assert_int_equal(SSL_CTX_use_certificate_chain_file(settings, path_of("client.pem")), 1);
        assert_int_equal(
            SSL_CTX_use_PrivateKey_file(settings, path_of("client.key"), SSL_FILETYPE_PEM), 1);
    }
    return settings;
}

// Runs one step of OpenSSL until it has an outcome, which it gives.
static int await(SSL *link, int (*step)(SSL *link))
{
    for (;;) {
        int outcome = step(link);
        int reason = SSL_get_error(link, outcome);
        struct pollfd polled = {.fd = SSL_get_fd(link),
                                .events = reason == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN};
        if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) {
            return outcome;
        }
        assert_int_equal(poll(&polled, 1, PATIENCE_MS), 1);
    }
}

static int ask_for_options(SSL *link)
{
    static const unsigned char request[] = {5, 0, 0, 1, CQL_MOCK_OPTIONS, 0, 0, 0, 0};
    return SSL_write(link, request, sizeof request);
}

static int read_header(SSL *link)
{
    unsigned char header[CQL_MOCK_HEADER_SIZE];
    int size = SSL_read(link, header, sizeof header);
    if (size > 0) {
        assert_int_equal(header[4], CQL_MOCK_SUPPORTED);
    }
    return size;
}

// Whether OPTIONS was answered.
static bool is_answered(const struct cql_mock_options *options, bool has_certificate,
                        long *out_verified)
{
    struct cql_mock *mock = cql_mock_start(options);
    SSL_CTX *settings = client_settings(has_certificate);
    SSL *link = SSL_new(settings);
    int fd = connect_blocking(mock);
    assert_int_equal(SSL_set_fd(link, fd), 1);
    assert_int_equal(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(link), "127.0.0.1"), 1);
    bool is_done = await(link, SSL_connect) == 1 && await(link, ask_for_options) > 0 &&
                   await(link, read_header) == CQL_MOCK_HEADER_SIZE;
    *out_verified = SSL_get_verify_result(link);
    SSL_free(link);
    SSL_CTX_free(settings);
    (void)close(fd);
    cql_mock_stop(&mock);
    return is_done;
}

static struct cql_mock_options with_key(const char *name)
{
    char file[32];
    struct cql_mock_options options = {0};
    (void)snprintf(file, sizeof file, "%s.pem", name);
    options.cert_file = path_of(file);
    (void)snprintf(file, sizeof file, "%s.key", name);
    options.key_file = path_of(file);
    return options;
}

// --- claims ---------------------------------------------------------------------------------------

static void a_good_certificate_is_believed(void **state)
{
    (void)state;
    long verified;
    struct cql_mock_options options = with_key("server");
    assert_true(is_answered(&options, false, &verified));
    assert_int_equal(verified, X509_V_OK);
}

static void each_bad_certificate_is_bad_in_its_way(void **state)
{
    (void)state;
    const struct {
        const char *name;
        long verified;
    } cases[] = {{"expired", X509_V_ERR_CERT_HAS_EXPIRED},
                 {"elsewhere", X509_V_ERR_IP_ADDRESS_MISMATCH},
                 {"stranger", X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        long verified;
        struct cql_mock_options options = with_key(cases[i].name);
        assert_false(is_answered(&options, false, &verified));
        assert_int_equal(verified, cases[i].verified);
    }
}

static void a_client_certificate_may_be_required(void **state)
{
    (void)state;
    long verified;
    struct cql_mock_options options = with_key("server");
    options.client_ca_file = path_of("ca.pem");
    assert_true(is_answered(&options, true, &verified));
    assert_false(is_answered(&options, false, &verified));
    options.client_ca_file = path_of("stranger-ca.pem");
    assert_false(is_answered(&options, true, &verified));
}

static void plain_bytes_end_the_connection(void **state)
{
    (void)state;
    static const unsigned char request[] = {5, 0, 0, 1, CQL_MOCK_OPTIONS, 0, 0, 0, 0};
    unsigned char answer[64];
    struct cql_mock_options options = with_key("server");
    struct cql_mock *mock = cql_mock_start(&options);
    int fd = connect_blocking(mock);
    assert_int_equal(write(fd, request, sizeof request), sizeof request);
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    ssize_t size = 1;
    while (size > 0) { // an alert of TLS may come before the end
        assert_int_equal(poll(&polled, 1, PATIENCE_MS), 1);
        size = read(fd, answer, sizeof answer);
    }
    assert_int_equal(cql_mock_count(mock, CQL_MOCK_ANY), 0);
    (void)close(fd);
    cql_mock_stop(&mock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_certificate_is_believed),
        cmocka_unit_test(each_bad_certificate_is_bad_in_its_way),
        cmocka_unit_test(a_client_certificate_may_be_required),
        cmocka_unit_test(plain_bytes_end_the_connection),
    };
    return cmocka_run_group_tests(tests, make_keys, remove_keys);
}
