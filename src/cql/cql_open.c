// Opening and closing a session.
#include "cql_session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PORT_DEFAULT        9042u
#define WINDOW_DEFAULT      1024u
#define ORPHANS_DEFAULT     256u
#define CONNECT_TIMEOUT_US  (INT64_C(5) * US_PER_SECOND)
#define REQUEST_TIMEOUT_US  (INT64_C(12) * US_PER_SECOND)
#define HEARTBEAT_US        (INT64_C(30) * US_PER_SECOND)
#define RECONNECT_MIN_US    INT64_C(250000)
#define RECONNECT_MAX_US    (INT64_C(30) * US_PER_SECOND)
#define APPLICATION_DEFAULT "till"

// --- options ------------------------------------------------------------------------------------

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

// Copies a text of the options behind those copied before; NULL stays NULL.
static const char *keep(char **at, const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *copy = *at;
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

static size_t size_of(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

MUST_USE static enum err keep_texts(struct cql *cql, const struct cql_options *options,
                                    struct cql_tls *tls)
{
    const char *application =
        options->application != NULL ? options->application : APPLICATION_DEFAULT;
    size_t size = size_of(options->user) + size_of(options->password) + size_of(application) +
                  size_of(options->local_dc) + size_of(options->cluster_name) +
                  size_of(options->tls.server_name);
    char *at = cql->strings = malloc(size);
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    cql->group.user = keep(&at, options->user);
    cql->group.password = keep(&at, options->password);
    cql->group.application = keep(&at, application);
    cql->local_dc_wanted = keep(&at, options->local_dc);
    cql->cluster_name_wanted = keep(&at, options->cluster_name);
    *tls = options->tls;
    tls->server_name = keep(&at, options->tls.server_name);
    return ERR_OK;
}

static uint32_t at_most(uint32_t value, uint32_t otherwise, uint32_t most)
{
    value = value > 0 ? value : otherwise;
    return value < most ? value : most;
}

static void take_numbers(struct cql *cql, const struct cql_options *options)
{
    cql->port = options->port != 0 ? options->port : PORT_DEFAULT;
    cql->version_max =
        options->protocol_version_max > 0 ? options->protocol_version_max : CQL_VERSION_MAX;
    cql->connections_per_node = at_most(options->connections_per_node, 1, CQL_NODE_CONNECTIONS);
    cql->window_max = at_most(options->in_flight_per_node, WINDOW_DEFAULT, CQL_IN_FLIGHT_MAX);
    cql->orphans_max = at_most(options->orphans_max, ORPHANS_DEFAULT, CQL_STREAM_COUNT);
    cql->request_timeout_us = or_default(options->request_timeout_us, REQUEST_TIMEOUT_US);
    cql->reconnect_min_us = or_default(options->reconnect_min_us, RECONNECT_MIN_US);
    cql->reconnect_max_us = or_default(options->reconnect_max_us, RECONNECT_MAX_US);
    if (cql->reconnect_max_us < cql->reconnect_min_us) {
        cql->reconnect_max_us = cql->reconnect_min_us;
    }
    cql->group.compression = options->compression;
    cql->group.request_size_max = CQL_REQUEST_SIZE_MAX;
    cql->group.connect_timeout_us = or_default(options->connect_timeout_us, CONNECT_TIMEOUT_US);
    cql->group.heartbeat_us = or_default(options->heartbeat_us, HEARTBEAT_US);
    rand_seed(&cql->rand, options->seed != 0 ? options->seed : rand_seed_from_system());
}

// --- contact points -----------------------------------------------------------------------------

static void add_contact(struct cql *cql, const struct cql_host *host,
                        const struct cql_address *address)
{
    struct cql_endpoint *contact = &cql->contacts[cql->contact_count];
    *contact = (struct cql_endpoint){.address = *address, .version = cql->version_max};
    memcpy(contact->host, host->name, sizeof(contact->host));
    cql->contact_count++;
}

// Every address of every name. A name that does not resolve is no harm while another does.
MUST_USE static enum err resolve_contacts(struct cql *cql, const char *list, struct why *why)
{
    struct text rest = text_of(list);
    struct cql_host host;
    enum err err = ERR_OK;
    enum err last = ERR_CONFIG;
    (void)why_set(why, last, "no contact points");
    while (cql_host_next(&rest, cql->port, &host, &err, why)) {
        struct cql_address addresses[CQL_ADDRESSES_MAX];
        size_t count = 0;
        if (err != ERR_OK) {
            return err;
        }
        enum err resolved =
            cql_host_resolve(&host, addresses, CQL_ADDRESSES_MAX - cql->contact_count, &count, why);
        last = resolved == ERR_OK ? last : resolved;
        for (size_t i = 0; resolved == ERR_OK && i < count; i++) {
            add_contact(cql, &host, &addresses[i]);
        }
    }
    return cql->contact_count > 0 ? ERR_OK : last;
}

// --- opening ------------------------------------------------------------------------------------

MUST_USE static enum err make_tables(struct cql *cql)
{
    cql->slots = calloc(CQL_SLOT_COUNT, sizeof(*cql->slots));
    cql->whys = calloc(CQL_SLOT_COUNT, sizeof(*cql->whys));
    if (cql->slots == NULL || cql->whys == NULL ||
        arena_init(&cql->memory[0].arena, CQL_TOPOLOGY_SIZE) != ERR_OK ||
        arena_init(&cql->memory[1].arena, CQL_TOPOLOGY_SIZE) != ERR_OK) {
        return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

MUST_USE static enum err prepare(struct cql *cql, const struct cql_options *options,
                                 struct why *why)
{
    struct cql_tls tls = {0};
    take_numbers(cql, options);
    if (cql->version_max < CQL_VERSION_MIN || cql->version_max > CQL_VERSION_MAX) {
        return why_set(why, ERR_CONFIG, "protocol version %d: %d and %d are spoken",
                       cql->version_max, CQL_VERSION_MIN, CQL_VERSION_MAX);
    }
    enum err err = keep_texts(cql, options, &tls);
    if (err == ERR_OK) {
        err = make_tables(cql);
    }
    if (err != ERR_OK) {
        return why_set(why, err, "no memory for a Cassandra client");
    }
    struct clock clock = options->clock.mono_ns != NULL ? options->clock : clock_real();
    err = cql_loop_init(&cql->group.loop, clock, why);
    if (err == ERR_OK && tls.enabled) {
        err = cql_tls_open(&tls, &cql->group.tls, why);
    }
    return err == ERR_OK ? resolve_contacts(cql, options->contact_points, why) : err;
}

static bool any_ready(const struct cql *cql)
{
    for (size_t i = 0; i < cql->local_count; i++) {
        if (cql->local[i]->ready_count > 0) {
            return true;
        }
    }
    return false;
}

static const struct cql_node *all_failed(const struct cql *cql)
{
    for (size_t i = 0; i < cql->local_count; i++) {
        if (!cql->local[i]->failed) {
            return NULL;
        }
    }
    return cql->local_count > 0 ? cql->local[0] : NULL;
}

MUST_USE static enum err await_node(struct cql *cql, struct why *why)
{
    while (!any_ready(cql)) {
        const struct cql_node *failed = all_failed(cql);
        if (failed != NULL) {
            return why_set(why, failed->err, "%s", failed->why.text);
        }
        cql_turn(cql, NS_PER_SECOND);
    }
    return ERR_OK;
}

MUST_USE static enum err await_cluster(struct cql *cql, struct why *why)
{
    struct cql_control *control = &cql->control;
    cql_control_start(cql);
    while (control->readings == 0) {
        bool hopeless = control->err != ERR_OK && err_class_of(control->err) != ERR_CLASS_RETRY;
        if (control->rounds > 0 || hopeless) {
            return why_set(why, control->err, "%s", control->why.text);
        }
        cql_turn(cql, NS_PER_SECOND);
    }
    return ERR_OK;
}

enum err cql_open(const struct cql_options *options, struct cql **out_cql, struct why *why)
{
    struct cql *cql = calloc(1, sizeof(*cql));
    if (cql == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory for a Cassandra client");
    }
    enum err err = prepare(cql, options, why);
    if (err == ERR_OK) {
        err = await_cluster(cql, why);
    }
    if (err == ERR_OK) {
        err = await_node(cql, why);
    }
    if (err != ERR_OK) {
        cql_close(&cql);
        return err;
    }
    *out_cql = cql;
    return ERR_OK;
}

// --- closing ------------------------------------------------------------------------------------

static void free_slots(struct cql *cql)
{
    for (uint32_t i = 0; i < cql->fresh; i++) {
        free(cql->slots[i].held);
    }
    free(cql->slots);
    free(cql->whys);
}

static void free_nodes(struct cql *cql)
{
    for (size_t i = 0; i < cql->node_count; i++) {
        cql_node_free(cql->nodes[i]);
    }
    while (cql->gone != NULL) {
        struct cql_node *next = cql->gone->next_gone;
        cql_node_free(cql->gone);
        cql->gone = next;
    }
    while (cql->closed != NULL) {
        struct cql_connection *next = cql->closed->next_free;
        cql_connection_free(&cql->closed);
        cql->closed = next;
    }
}

void cql_close(struct cql **cql)
{
    if (cql == NULL || *cql == NULL) {
        return;
    }
    struct cql *closing = *cql;
    *cql = NULL;
    cql_control_close(closing);
    free_nodes(closing);
    cql_statements_free(closing);
    free_slots(closing);
    cql_tls_close(&closing->group.tls);
    cql_loop_deinit(&closing->group.loop);
    arena_deinit(&closing->memory[0].arena);
    arena_deinit(&closing->memory[1].arena);
    free(closing->strings);
    free(closing);
}
