// Where nodes are: addresses with ports, written by people ("db.example:9042", "[::1]") or told by the
// cluster (four or sixteen bytes).
#ifndef TILL_CQL_ADDRESS_H
#define TILL_CQL_ADDRESS_H

#include "cql_wire.h"
#include "errors.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define CQL_HOST_SIZE_MAX     253u // bytes of a host name
#define CQL_ADDRESS_TEXT_SIZE 64   // "[ff02::1]:65535" and a zero

struct cql_address {
    struct sockaddr_storage storage; // AF_INET or AF_INET6
    socklen_t size;
};

// A contact point as it was written.
struct cql_host {
    char name[CQL_HOST_SIZE_MAX + 1]; // without brackets
    uint16_t port;
};

// Cuts the next contact point off the list ("host", "host:port", "address", "[address]:port", by
// comma, spaces around are skipped). false when the list is at its end. ERR_CONFIG in *out_err, with
// the words at fault, when it is none.
bool cql_host_next(struct text *list, uint16_t port_default, struct cql_host *out_host,
                   enum err *out_err, struct why *why);

// Asks the system's resolver (which may wait) for every address of the name; at most cap of them.
// ERR_UNAVAILABLE when there is none now, ERR_CONFIG when there never is.
MUST_USE enum err cql_host_resolve(const struct cql_host *host, struct cql_address *addresses,
                                   size_t cap, size_t *out_count, struct why *why);

struct cql_address cql_address_of(const struct cql_inet *inet, uint16_t port); // of 4 or 16 bytes
bool cql_address_equal(const struct cql_address *a, const struct cql_address *b);
bool cql_inet_is_any(const struct cql_inet *inet); // 0.0.0.0 or ::
void cql_address_format(const struct cql_address *address, char out[CQL_ADDRESS_TEXT_SIZE]);
// Without the port, as a certificate names it.
void cql_address_format_host(const struct cql_address *address, char out[CQL_ADDRESS_TEXT_SIZE]);

#endif
