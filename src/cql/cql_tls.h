// TLS 1.2 and later over a socket that does not block, by OpenSSL. The server's chain and name are
// checked unless that is switched off; sessions are resumed a name. OpenSSL's headers are included in
// cql_tls.c alone.
#ifndef TILL_CQL_TLS_H
#define TILL_CQL_TLS_H

#include "errors.h"

#include <stdbool.h>
#include <stddef.h>

struct cql_tls;         // what is wanted: cql.h
struct cql_tls_context; // of a session of the client
struct cql_tls_link;    // of a connection

// Texts of the options must stay. ERR_CONFIG with the file's name and OpenSSL's words, ERR_NO_MEMORY.
MUST_USE enum err cql_tls_open(const struct cql_tls *options, struct cql_tls_context **out_tls,
                               struct why *why);
void cql_tls_close(struct cql_tls_context **tls); // all links are closed before

// What a read or write may say.
enum cql_io {
    CQL_IO_DONE,   // at least one byte, or the handshake is over
    CQL_IO_AGAIN,  // wait until the socket is readable (or writable, when that was tried)
    CQL_IO_CLOSED, // the other side ended it in an orderly way
    CQL_IO_FAILED, // `why` says how
};

// `host` is the name or address that was connected to; the link borrows the descriptor.
// ERR_NO_MEMORY.
MUST_USE enum err cql_tls_link_open(struct cql_tls_context *tls, int fd, const char *host,
                                    struct cql_tls_link **out_link, struct why *why);
void cql_tls_link_close(struct cql_tls_link **link);

// The handshake, until it is over. FAILED: ERR_CONFIG when a certificate does not hold, else
// ERR_UNAVAILABLE.
enum cql_io cql_tls_link_handshake(struct cql_tls_link *link, bool *out_wants_write,
                                   struct why *why);
bool cql_tls_link_was_resumed(const struct cql_tls_link *link);
bool cql_tls_link_has_unread(const struct cql_tls_link *link);
enum cql_io cql_tls_link_read(struct cql_tls_link *link, void *data, size_t cap, size_t *out_size,
                              struct why *why);
enum cql_io cql_tls_link_write(struct cql_tls_link *link, const void *data, size_t size,
                               size_t *out_size, struct why *why);

#endif
