// The mock's side of TLS, by OpenSSL over a socket that does not block. The handshake is done by the first
// reads.
#include "cql_mock_internal.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

static void must(bool done, const char *what)
{
    if (!done) {
        (void)fprintf(stderr, "cql_mock: %s\n", what);
        ERR_print_errors_fp(stderr);
        abort();
    }
}

struct ssl_ctx_st *cql_mock_tls_open(const struct cql_mock_options *options)
{
    if (options->cert_file == NULL) {
        return NULL;
    }
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    must(tls != NULL, "no TLS");
    must(SSL_CTX_use_certificate_chain_file(tls, options->cert_file) == 1, options->cert_file);
    must(SSL_CTX_use_PrivateKey_file(tls, options->key_file, SSL_FILETYPE_PEM) == 1,
         options->key_file);
    (void)SSL_CTX_set_mode(tls,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_id_context(tls, (const unsigned char *)"mock", 4);
    if (options->client_ca_file != NULL) {
        must(SSL_CTX_load_verify_locations(tls, options->client_ca_file, NULL) == 1,
             options->client_ca_file);
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return tls;
}

void cql_mock_tls_close(struct ssl_ctx_st *tls)
{
    SSL_CTX_free(tls);
}

struct ssl_st *cql_mock_tls_accept(struct ssl_ctx_st *tls, int fd)
{
    SSL *link = SSL_new(tls);
    must(link != NULL && SSL_set_fd(link, fd) == 1, "no TLS link");
    SSL_set_accept_state(link);
    return link;
}

void cql_mock_tls_end(struct ssl_st *link, bool is_orderly)
{
    ERR_clear_error();
    if (is_orderly && SSL_is_init_finished(link)) {
        (void)SSL_shutdown(link);
    }
    SSL_free(link);
}

// What SSL_read or SSL_write gave, as read and write would say it.
static ssize_t outcome(SSL *link, int given)
{
    if (given > 0) {
        return given;
    }
    switch (SSL_get_error(link, given)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        errno = EPROTO;
        return -1;
    }
}

ssize_t cql_mock_tls_read(struct ssl_st *link, void *data, size_t size)
{
    assert(size <= INT32_MAX);
    ERR_clear_error();
    return outcome(link, SSL_read(link, data, (int)size));
}

ssize_t cql_mock_tls_write(struct ssl_st *link, const void *data, size_t size)
{
    ERR_clear_error();
    return outcome(link, SSL_write(link, data, size < INT32_MAX ? (int)size : INT32_MAX));
}
