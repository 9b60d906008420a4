// A session ticket is kept for each name that was connected to, and offered the next time. TLS 1.3
// sends tickets after the handshake and wants each used once, so the newest replaces the one before.
#include "cql_tls.h"

#include "cql.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TICKETS_MAX 64u // names whose sessions are kept; more share places

struct ticket {
    char host[256];
    SSL_SESSION *session;
};

struct cql_tls_context {
    SSL_CTX *context;
    BIO_METHOD *socket;
    const char *server_name;
    bool without_name_check;
    struct ticket tickets[TICKETS_MAX];
};

struct cql_tls_link {
    SSL *ssl;
    struct cql_tls_context *tls;
    char host[256];
};

// --- bytes to and from the socket ---------------------------------------------------------------

// OpenSSL's own way to write to a socket would end the process by SIGPIPE when the other side is gone.
static int write_socket(BIO *bio, const char *data, int size)
{
    int fd = (int)(intptr_t)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t sent = send(fd, data, (size_t)size, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)) {
        BIO_set_retry_write(bio);
    }
    return (int)sent;
}

static int read_socket(BIO *bio, char *data, int cap)
{
    int fd = (int)(intptr_t)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t got = recv(fd, data, (size_t)cap, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_read(bio);
    }
    return (int)got;
}

static long control_socket(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0; // nothing is kept back
}

static BIO_METHOD *make_socket_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "till socket");
    if (method != NULL && BIO_meth_set_write(method, write_socket) == 1 &&
        BIO_meth_set_read(method, read_socket) == 1 &&
        BIO_meth_set_ctrl(method, control_socket) == 1) {
        return method;
    }
    BIO_meth_free(method);
    return NULL;
}

static bool set_socket(SSL *ssl, const BIO_METHOD *method, int fd)
{
    BIO *bio = BIO_new(method);
    if (bio == NULL) {
        return false;
    }
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio); // it owns it
    return true;
}

// --- what OpenSSL says --------------------------------------------------------------------------

// OpenSSL keeps a queue of errors; the first is the cause.
static const char *first_reason(void)
{
    unsigned long code = ERR_get_error();
    ERR_clear_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    return reason != NULL ? reason : "unknown reason";
}

MUST_USE static enum err bad_file(const char *file, const char *what, struct why *why)
{
    return why_set(why, ERR_CONFIG, "%s can't be used as %s: %s", file, what, first_reason());
}

// --- the context --------------------------------------------------------------------------------

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct cql_tls_link *link = SSL_get_app_data(ssl);
    struct cql_tls_context *tls = link->tls;
    size_t sum = 0;
    for (const char *at = link->host; *at != '\0'; at++) {
        sum = sum * 31 + (unsigned char)*at;
    }
    struct ticket *ticket = &tls->tickets[sum % TICKETS_MAX];
    SSL_SESSION_free(ticket->session);
    ticket->session = session;
    memcpy(ticket->host, link->host, sizeof(ticket->host));
    return 1; // the reference is ours now
}

static SSL_SESSION *ticket_of(struct cql_tls_context *tls, const char *host)
{
    for (size_t i = 0; i < TICKETS_MAX; i++) {
        if (tls->tickets[i].session != NULL && strcmp(tls->tickets[i].host, host) == 0) {
            return tls->tickets[i].session;
        }
    }
    return NULL;
}

MUST_USE static enum err use_roots(SSL_CTX *context, const struct cql_tls *options, struct why *why)
{
    if (options->without_chain_check) {
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
        return ERR_OK;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (options->ca_file == NULL) {
        return SSL_CTX_set_default_verify_paths(context) == 1
                   ? ERR_OK
                   : bad_file("the system's store", "authorities", why);
    }
    return SSL_CTX_load_verify_locations(context, options->ca_file, NULL) == 1
               ? ERR_OK
               : bad_file(options->ca_file, "authorities", why);
}

MUST_USE static enum err use_identity(SSL_CTX *context, const struct cql_tls *options,
                                      struct why *why)
{
    if (options->cert_file == NULL) {
        return ERR_OK;
    }
    const char *key_file = options->key_file != NULL ? options->key_file : options->cert_file;
    if (SSL_CTX_use_certificate_chain_file(context, options->cert_file) != 1) {
        return bad_file(options->cert_file, "a certificate", why);
    }
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return bad_file(key_file, "the certificate's key", why);
    }
    return ERR_OK;
}

static void set_rules(SSL_CTX *context)
{
    bool known = SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
    assert(known);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context, keep_ticket);
}

enum err cql_tls_open(const struct cql_tls *options, struct cql_tls_context **out_tls,
                      struct why *why)
{
    struct cql_tls_context *tls = calloc(1, sizeof(*tls));
    if (tls != NULL) {
        tls->context = SSL_CTX_new(TLS_client_method());
        tls->socket = make_socket_method();
    }
    if (tls == NULL || tls->context == NULL || tls->socket == NULL) {
        cql_tls_close(&tls);
        return why_set(why, ERR_NO_MEMORY, "no memory for TLS");
    }
    SSL_CTX *context = tls->context;
    tls->server_name = options->server_name;
    tls->without_name_check = options->without_name_check || options->without_chain_check;
    set_rules(context);
    enum err err = use_roots(context, options, why);
    if (err == ERR_OK) {
        err = use_identity(context, options, why);
    }
    if (err != ERR_OK) {
        cql_tls_close(&tls);
        return err;
    }
    *out_tls = tls;
    return ERR_OK;
}

void cql_tls_close(struct cql_tls_context **tls)
{
    if (tls == NULL || *tls == NULL) {
        return;
    }
    for (size_t i = 0; i < TICKETS_MAX; i++) {
        SSL_SESSION_free((*tls)->tickets[i].session);
    }
    SSL_CTX_free((*tls)->context);
    BIO_meth_free((*tls)->socket);
    free(*tls);
    *tls = NULL;
}

// --- a link -------------------------------------------------------------------------------------

static bool is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

// The name to be sent (SNI, which is for names alone) and the name to be checked.
static bool set_name(SSL *ssl, const struct cql_tls_context *tls, const char *host)
{
    const char *name = tls->server_name != NULL ? tls->server_name : host;
    if (is_address(name)) {
        return tls->without_name_check ||
               X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)name) == 1 &&
           (tls->without_name_check || SSL_set1_host(ssl, name) == 1);
}

enum err cql_tls_link_open(struct cql_tls_context *tls, int fd, const char *host,
                           struct cql_tls_link **out_link, struct why *why)
{
    struct cql_tls_link *link = calloc(1, sizeof(*link));
    if (link != NULL) {
        link->tls = tls;
        (void)strncat(link->host, host, sizeof(link->host) - 1);
        link->ssl = SSL_new(tls->context);
    }
    if (link == NULL || link->ssl == NULL || !set_socket(link->ssl, tls->socket, fd) ||
        !set_name(link->ssl, tls, host)) {
        cql_tls_link_close(&link);
        ERR_clear_error();
        return why_set(why, ERR_NO_MEMORY, "no memory for a TLS connection");
    }
    SSL_set_app_data(link->ssl, link);
    SSL_SESSION *session = ticket_of(tls, host);
    if (session != NULL) {
        (void)SSL_set_session(link->ssl, session); // refused: a full handshake
    }
    SSL_set_connect_state(link->ssl);
    *out_link = link;
    return ERR_OK;
}

void cql_tls_link_close(struct cql_tls_link **link)
{
    if (link == NULL || *link == NULL) {
        return;
    }
    SSL_free((*link)->ssl);
    free(*link);
    *link = NULL;
}

static enum cql_io link_failed(struct cql_tls_link *link, int error, struct why *why)
{
    long verdict = SSL_get_verify_result(link->ssl);
    if (error == SSL_ERROR_SSL && verdict != X509_V_OK) {
        ERR_clear_error();
        (void)why_set(why, ERR_CONFIG, "the certificate of %s is refused: %s", link->host,
                      X509_verify_cert_error_string(verdict));
        return CQL_IO_FAILED;
    }
    (void)why_set(why, ERR_UNAVAILABLE, "TLS with %s: %s", link->host,
                  error == SSL_ERROR_SYSCALL ? "the connection broke" : first_reason());
    ERR_clear_error();
    return CQL_IO_FAILED;
}

static enum cql_io outcome_of(struct cql_tls_link *link, int result, struct why *why)
{
    int error = SSL_get_error(link->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        return CQL_IO_AGAIN;
    }
    return error == SSL_ERROR_ZERO_RETURN ? CQL_IO_CLOSED : link_failed(link, error, why);
}

enum cql_io cql_tls_link_handshake(struct cql_tls_link *link, bool *out_wants_write,
                                   struct why *why)
{
    ERR_clear_error();
    int result = SSL_do_handshake(link->ssl);
    *out_wants_write = result != 1 && SSL_want_write(link->ssl);
    return result == 1 ? CQL_IO_DONE : outcome_of(link, result, why);
}

bool cql_tls_link_was_resumed(const struct cql_tls_link *link)
{
    return SSL_session_reused(link->ssl) == 1;
}

bool cql_tls_link_has_unread(const struct cql_tls_link *link)
{
    return SSL_has_pending(link->ssl) == 1;
}

enum cql_io cql_tls_link_read(struct cql_tls_link *link, void *data, size_t cap, size_t *out_size,
                              struct why *why)
{
    *out_size = 0;
    ERR_clear_error();
    int result = SSL_read_ex(link->ssl, data, cap, out_size);
    return result == 1 ? CQL_IO_DONE : outcome_of(link, result, why);
}

enum cql_io cql_tls_link_write(struct cql_tls_link *link, const void *data, size_t size,
                               size_t *out_size, struct why *why)
{
    *out_size = 0;
    ERR_clear_error();
    int result = SSL_write_ex(link->ssl, data, size, out_size);
    return result == 1 ? CQL_IO_DONE : outcome_of(link, result, why);
}
