#include "cql_address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

// --- written by people --------------------------------------------------------------------------

static struct text trim(struct text text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

static struct text before(struct text text, char mark)
{
    const char *found = text.size > 0 ? memchr(text.data, mark, text.size) : NULL;
    return found == NULL ? text : (struct text){text.data, (size_t)(found - text.data)};
}

static struct text after(struct text text, size_t size)
{
    return (struct text){text.data + size, text.size - size};
}

static bool parse_port(struct text text, uint16_t *out_port)
{
    uint64_t port = 0;
    if (!text_parse_u64(text, &port) || port == 0 || port > UINT16_MAX) {
        return false;
    }
    *out_port = (uint16_t)port;
    return true;
}

static bool set_name(struct cql_host *host, struct text name)
{
    if (name.size == 0 || name.size > CQL_HOST_SIZE_MAX ||
        memchr(name.data, '\0', name.size) != NULL) {
        return false;
    }
    memcpy(host->name, name.data, name.size);
    host->name[name.size] = '\0';
    return true;
}

// What stands after a host: nothing, or a colon and a port.
static bool parse_rest(struct text rest, uint16_t port_default, uint16_t *out_port)
{
    *out_port = port_default;
    return rest.size == 0 || (rest.data[0] == ':' && parse_port(after(rest, 1), out_port));
}

static bool parse_host(struct text text, uint16_t port_default, struct cql_host *host)
{
    if (text.size > 0 && text.data[0] == '[') {
        struct text name = before(after(text, 1), ']');
        return name.size + 2 <= text.size && set_name(host, name) &&
               parse_rest(after(text, name.size + 2), port_default, &host->port);
    }
    struct text name = before(text, ':');
    bool is_ipv6 = name.size < text.size && memchr(name.data + name.size + 1, ':',
                                                   text.size - name.size - 1) != NULL; // two colons
    if (is_ipv6) {
        host->port = port_default;
        return set_name(host, text);
    }
    return set_name(host, name) && parse_rest(after(text, name.size), port_default, &host->port);
}

bool cql_host_next(struct text *list, uint16_t port_default, struct cql_host *out_host,
                   enum err *out_err, struct why *why)
{
    *out_err = ERR_OK;
    if (list->size == 0) {
        return false;
    }
    struct text item = before(*list, ',');
    *list = item.size == list->size ? (struct text){0} : after(*list, item.size + 1);
    item = trim(item);
    if (!parse_host(item, port_default, out_host)) {
        *out_err = why_set(why, ERR_CONFIG,
                           "\"%.*s\" is no contact point: host, host:port or [address]:port",
                           TEXT_PRINT(item));
    }
    return true;
}

MUST_USE static enum err resolver_failed(const struct cql_host *host, int failure, struct why *why)
{
    bool never = failure == EAI_NONAME || failure == EAI_FAMILY || failure == EAI_FAIL;
    return why_set(why, never ? ERR_CONFIG : ERR_UNAVAILABLE, "%s: %s", host->name,
                   gai_strerror(failure));
}

enum err cql_host_resolve(const struct cql_host *host, struct cql_address *addresses, size_t cap,
                          size_t *out_count, struct why *why)
{
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", host->port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(host->name, port, &hints, &found);
    if (failure != 0) {
        return resolver_failed(host, failure, why);
    }
    size_t count = 0;
    for (const struct addrinfo *at = found; at != NULL && count < cap; at = at->ai_next) {
        if (at->ai_family == AF_INET || at->ai_family == AF_INET6) {
            addresses[count] = (struct cql_address){.size = at->ai_addrlen};
            memcpy(&addresses[count].storage, at->ai_addr, at->ai_addrlen);
            count++;
        }
    }
    freeaddrinfo(found);
    *out_count = count;
    return count > 0 ? ERR_OK : why_set(why, ERR_UNAVAILABLE, "%s: no address", host->name);
}

// --- told by the cluster ------------------------------------------------------------------------

struct cql_address cql_address_of(const struct cql_inet *inet, uint16_t port)
{
    struct cql_address address = {0};
    if (inet->size == 4) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&v4.sin_addr, inet->address, 4);
        memcpy(&address.storage, &v4, sizeof(v4));
        address.size = sizeof(v4);
        return address;
    }
    assert(inet->size == 16);
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&v6.sin6_addr, inet->address, 16);
    memcpy(&address.storage, &v6, sizeof(v6));
    address.size = sizeof(v6);
    return address;
}

// Address and port alone: padding and scope come from whoever made the structure.
static size_t key_of(const struct cql_address *address, unsigned char key[18])
{
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &address->storage, sizeof(v4));
        memcpy(key, &v4.sin_port, 2);
        memcpy(key + 2, &v4.sin_addr, 4);
        return 6;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, &address->storage, sizeof(v6));
    memcpy(key, &v6.sin6_port, 2);
    memcpy(key + 2, &v6.sin6_addr, 16);
    return 18;
}

bool cql_address_equal(const struct cql_address *a, const struct cql_address *b)
{
    unsigned char key_a[18];
    unsigned char key_b[18];
    size_t size = key_of(a, key_a);
    return size == key_of(b, key_b) && memcmp(key_a, key_b, size) == 0;
}

bool cql_inet_is_any(const struct cql_inet *inet)
{
    unsigned char bits = 0;
    for (size_t i = 0; i < inet->size; i++) {
        bits |= inet->address[i];
    }
    return bits == 0;
}

void cql_address_format_host(const struct cql_address *address, char out[CQL_ADDRESS_TEXT_SIZE])
{
    out[0] = '\0';
    unsigned char key[18];
    size_t size = key_of(address, key);
    (void)inet_ntop(size == 6 ? AF_INET : AF_INET6, key + 2, out, CQL_ADDRESS_TEXT_SIZE);
}

void cql_address_format(const struct cql_address *address, char out[CQL_ADDRESS_TEXT_SIZE])
{
    char host[CQL_ADDRESS_TEXT_SIZE];
    cql_address_format_host(address, host);
    unsigned char key[18];
    size_t size = key_of(address, key);
    unsigned port = (unsigned)(key[0] << 8 | key[1]);
    (void)snprintf(out, CQL_ADDRESS_TEXT_SIZE, size == 6 ? "%.46s:%u" : "[%.46s]:%u", host, port);
}
