// A TCP connection that never blocks, with TLS on it or without.
#ifndef TILL_CQL_SOCKET_H
#define TILL_CQL_SOCKET_H

#include "cql_address.h"
#include "cql_tls.h"
#include "errors.h"

struct cql_socket {
    int fd; // -1: none
    bool connected;
    bool wants_write; // TLS waits for room to write
    struct cql_tls_link *link;
};

// Starts to connect. `tls` may be NULL; `host` is the name to be checked by it. ERR_UNAVAILABLE when
// the system refuses at once: no descriptors left, no route.
MUST_USE enum err cql_socket_open(struct cql_socket *socket, const struct cql_address *address,
                                  struct cql_tls_context *tls, const char *host, struct why *why);
void cql_socket_close(struct cql_socket *socket); // accepts one that is closed

// Goes on connecting after the descriptor was readable or writable. DONE: reads and writes may begin.
enum cql_io cql_socket_connect(struct cql_socket *socket, struct why *why);
// As much as there is, up to `cap`. With bytes in *out_size the rest of the news may come too: AGAIN,
// CLOSED or FAILED.
enum cql_io cql_socket_read(struct cql_socket *socket, void *data, size_t cap, size_t *out_size,
                            struct why *why);
// Whether bytes were received that the descriptor does not show: TLS holds them.
bool cql_socket_has_unread(const struct cql_socket *socket);
enum cql_io cql_socket_write(struct cql_socket *socket, const void *data, size_t size,
                             size_t *out_size, struct why *why);

#endif
