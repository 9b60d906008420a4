#include "cassandra_check.h"

#include <string.h>

#define FOUND_SIZE_MAX  512u
#define QUIET_SKEW_US   (1 * US_PER_SECOND)
#define SKEW_US_MAX     (60 * US_PER_SECOND)
#define QUICK_READ_US   (50 * 1000)
#define REPLICAS_WANTED 3u
#define NODES_NAMED_MAX 4u // of those that are down

// A finding whose text is put together piece by piece; the worst state counts.
struct row {
    store_finding_fn *find;
    void *context;
    struct store_finding finding;
    struct buf found;
    char text[FOUND_SIZE_MAX];
};

static void row_init(struct row *row, store_finding_fn *find, void *context, const char *check)
{
    row->find = find;
    row->context = context;
    row->finding = (struct store_finding){.check = check};
    buf_init_fixed(&row->found, row->text, sizeof(row->text) - 1);
}

static void row_worsen(struct row *row, enum store_finding_state state, const char *remedy)
{
    if (state > row->finding.state) {
        row->finding.state = state;
        row->finding.remedy = remedy;
    }
}

static void row_refuse(struct row *row, const char *remedy)
{
    row_worsen(row, STORE_FINDING_FAILED, remedy);
    row->finding.refused = true;
}

static void row_end(struct row *row)
{
    row->text[row->found.size] = '\0';
    row->finding.found = row->text;
    row->find(row->context, &row->finding);
}

static void add_ms(struct buf *out, int64_t us)
{
    buf_add_fmt(out, "%lld.%lld ms", (long long)(us / 1000), (long long)(us % 1000 / 100));
}

// --- nodes --------------------------------------------------------------------------------------

static void check_up(const struct cassandra_nodes_look *nodes, store_finding_fn *find,
                     void *context)
{
    struct row row;
    unsigned named = 0;
    row_init(&row, find, context, "nodes");
    buf_add_fmt(&row.found, "%zu of %zu in %.*s answer", nodes->local_up, nodes->local_count,
                TEXT_PRINT(nodes->local_dc));
    for (size_t i = 0; i < nodes->cluster.node_count && named < NODES_NAMED_MAX; i++) {
        const struct cql_node_info *node = &nodes->cluster.nodes[i];
        if (node->local && node->connections == 0) {
            buf_add_fmt(&row.found, "%s%.*s", named++ == 0 ? "; not: " : ", ",
                        TEXT_PRINT(node->address));
        }
    }
    if (nodes->local_up < nodes->local_count) {
        row_worsen(&row, STORE_FINDING_WARNING,
                   "nodetool status on another node; a node that was away for longer than hints"
                   " are kept needs a repair");
    }
    row_end(&row);
}

static void check_versions(const struct cassandra_nodes_look *nodes, store_finding_fn *find,
                           void *context)
{
    struct row row;
    const struct cql_cluster_info *cluster = &nodes->cluster;
    row_init(&row, find, context, "versions");
    for (size_t i = 0; i < cluster->node_count; i++) {
        struct text version = cluster->nodes[i].release_version;
        bool is_new = true;
        for (size_t j = 0; j < i; j++) {
            is_new = is_new && !text_equal(version, cluster->nodes[j].release_version);
        }
        if (is_new) {
            buf_add_fmt(&row.found, "%s%.*s", i == 0 ? "Cassandra " : ", ", TEXT_PRINT(version));
        }
        if (is_new && i > 0) {
            row_worsen(&row, STORE_FINDING_WARNING,
                       "finish the upgrade: tables can't be changed while versions are mixed");
        }
    }
    buf_add_fmt(&row.found, "; protocol v%d", cluster->protocol_version);
    row_end(&row);
}

void cassandra_check_nodes(const struct cassandra_nodes_look *nodes, store_finding_fn *find,
                           void *context)
{
    check_up(nodes, find, context);
    check_versions(nodes, find, context);
}

// --- the keyspace -------------------------------------------------------------------------------

// Copies in the local data centre. false when the strategy is unknown.
static bool local_replicas(const struct cassandra_keyspace_look *keyspace,
                           const struct cassandra_nodes_look *nodes, uint32_t *out_count)
{
    const struct cql_replication *replication = &keyspace->replication;
    *out_count = 0;
    if (!keyspace->replication_is_known || replication->strategy == CQL_STRATEGY_OTHER) {
        return false;
    }
    if (replication->strategy == CQL_STRATEGY_SIMPLE) {
        *out_count = replication->factor;
    } else if (replication->strategy == CQL_STRATEGY_ALL) {
        *out_count = (uint32_t)nodes->local_count;
    }
    for (size_t i = 0; i < replication->dc_count; i++) {
        if (text_equal(replication->dcs[i].name, nodes->local_dc)) {
            *out_count = replication->dcs[i].factor;
        }
    }
    return true;
}

static void judge_replicas(struct row *row, uint32_t copies,
                           const struct cassandra_nodes_look *nodes)
{
    if (copies == 0) {
        row_refuse(row, "ALTER KEYSPACE so that this data centre has 3 copies, or set"
                        " cassandra.local_dc to one that has");
        return;
    }
    if (copies > nodes->local_count) {
        buf_add_fmt(&row->found, ", but it has %zu node%s", nodes->local_count,
                    nodes->local_count == 1 ? "" : "s");
        row_worsen(row, STORE_FINDING_FAILED, "add nodes, or ALTER KEYSPACE to fewer copies");
    }
    if (copies < REPLICAS_WANTED) {
        buf_add_str(&row->found, copies == 1
                                     ? ": a node that is down stops its orders, one that is lost"
                                       " loses them"
                                     : ": a node that is down stops its orders");
        row_worsen(row, STORE_FINDING_WARNING,
                   "3 nodes and 3 copies: ALTER KEYSPACE, then nodetool repair --full");
    }
}

static void check_replication(const struct cassandra_keyspace_look *keyspace,
                              const struct cassandra_nodes_look *nodes, store_finding_fn *find,
                              void *context)
{
    struct row row;
    uint32_t copies = 0;
    row_init(&row, find, context, "replication");
    if (!local_replicas(keyspace, nodes, &copies)) {
        buf_add_str(&row.found, "of a strategy that is unknown here");
        row_worsen(&row, STORE_FINDING_WARNING, "use NetworkTopologyStrategy");
        row_end(&row);
        return;
    }
    buf_add_fmt(&row.found, "%u cop%s of everything in %.*s", copies, copies == 1 ? "y" : "ies",
                TEXT_PRINT(nodes->local_dc));
    judge_replicas(&row, copies, nodes);
    if (keyspace->replication.strategy == CQL_STRATEGY_SIMPLE) {
        buf_add_str(&row.found, "; SimpleStrategy knows no racks and no data centres");
        row_worsen(&row, STORE_FINDING_WARNING, "ALTER KEYSPACE to NetworkTopologyStrategy");
    }
    if (!keyspace->durable_writes) {
        buf_add_str(&row.found, "; durable_writes is false: a node that is killed forgets");
        row_refuse(&row, "ALTER KEYSPACE ... AND durable_writes = true");
    }
    row_end(&row);
}

// At LOCAL_QUORUM two data centres do not see each other's last writes, so all processes have to be in one.
static void check_data_centre(const struct cassandra_keyspace_look *keyspace,
                              const struct cassandra_nodes_look *nodes, store_finding_fn *find,
                              void *context)
{
    struct row row;
    const struct cql_replication *replication = &keyspace->replication;
    unsigned with_copies = 0;
    for (size_t i = 0; keyspace->replication_is_known && i < replication->dc_count; i++) {
        with_copies += replication->dcs[i].factor > 0;
    }
    row_init(&row, find, context, "data centre");
    buf_add_text(&row.found, nodes->local_dc);
    if (with_copies <= 1) {
        buf_add_str(&row.found, ", the only one with copies");
    } else if (nodes->dc_is_named) {
        buf_add_fmt(&row.found, ", one of %u with copies; every till has to name this one",
                    with_copies);
    } else {
        buf_add_fmt(&row.found,
                    " by chance, one of %u with copies: another till may take another"
                    " one and not see what this one writes",
                    with_copies);
        row_refuse(&row, "set cassandra.local_dc, the same for every till");
    }
    row_end(&row);
}

static void check_tables(const struct cassandra_keyspace_look *keyspace, store_finding_fn *find,
                         void *context)
{
    struct row row;
    row_init(&row, find, context, "tables");
    buf_add_fmt(&row.found, "%zu", keyspace->table_count);
    for (size_t i = 0; i < keyspace->table_count; i++) {
        const struct cassandra_table_look *table = &keyspace->tables[i];
        if (table->default_ttl_s != 0) {
            buf_add_fmt(&row.found, "; %.*s forgets rows after %d s", TEXT_PRINT(table->name),
                        table->default_ttl_s);
            row_refuse(&row, "ALTER TABLE ... WITH default_time_to_live = 0");
        }
        if (!text_equal_nocase_ascii(table->read_repair, TEXT("BLOCKING"))) {
            buf_add_fmt(&row.found, "; read_repair of %.*s is %.*s", TEXT_PRINT(table->name),
                        TEXT_PRINT(table->read_repair));
            row_worsen(&row, STORE_FINDING_WARNING,
                       "ALTER TABLE ... WITH read_repair = 'BLOCKING', or a second reading may"
                       " show less than the first");
        }
    }
    if (row.finding.state == STORE_FINDING_OK) {
        buf_add_str(&row.found, ", read repair BLOCKING, rows are kept for ever");
    }
    row_end(&row);
}

void cassandra_check_keyspace(const struct cassandra_keyspace_look *keyspace,
                              const struct cassandra_nodes_look *nodes, store_finding_fn *find,
                              void *context)
{
    check_replication(keyspace, nodes, find, context);
    check_data_centre(keyspace, nodes, find, context);
    check_tables(keyspace, find, context);
}

struct refusal {
    struct why *why;
    enum err err;
};

static void take_refusal(void *context, const struct store_finding *finding)
{
    struct refusal *refusal = context;
    if (finding->refused && refusal->err == ERR_OK) {
        refusal->err =
            why_set(refusal->why, ERR_CONFIG, "%s: %s: %s; till doctor looks at the rest",
                    finding->check, finding->found, finding->remedy);
    }
}

enum err cassandra_check_refused(const struct cassandra_keyspace_look *keyspace,
                                 const struct cassandra_nodes_look *nodes, struct why *why)
{
    struct refusal refusal = {.why = why, .err = ERR_OK};
    cassandra_check_keyspace(keyspace, nodes, take_refusal, &refusal);
    return refusal.err;
}

struct teller {
    cql_notice_fn *notice;
    void *context;
};

static void tell(void *context, const struct store_finding *finding)
{
    const struct teller *teller = context;
    char text[2 * FOUND_SIZE_MAX];
    struct buf sentence;
    if (finding->state == STORE_FINDING_OK) {
        return;
    }
    buf_init_fixed(&sentence, text, sizeof(text));
    buf_add_fmt(&sentence, "%s: %s", finding->check, finding->found);
    teller->notice(teller->context, buf_view(&sentence));
}

void cassandra_check_tell(const struct cassandra_keyspace_look *keyspace,
                          const struct cassandra_nodes_look *nodes, cql_notice_fn *notice,
                          void *context)
{
    struct teller teller = {notice, context};
    cassandra_check_keyspace(keyspace, nodes, tell, &teller);
}

// --- servers ------------------------------------------------------------------------------------

static void check_commit_log(const struct cassandra_servers_look *servers, store_finding_fn *find,
                             void *context)
{
    struct row row;
    size_t safe = 0;
    row_init(&row, find, context, "commit log");
    for (size_t i = 0; i < servers->count; i++) {
        struct text sync = servers->servers[i].commitlog_sync;
        safe += text_equal(sync, TEXT("batch")) || text_equal(sync, TEXT("group"));
    }
    if (safe == servers->count) {
        buf_add_fmt(&row.found, "written before it is acknowledged, on %zu node%s", safe,
                    safe == 1 ? "" : "s");
    } else {
        buf_add_fmt(&row.found,
                    "periodic on %zu of %zu nodes: one that is killed loses what it acknowledged"
                    " last; orders and payments are lost when most copies are killed together",
                    servers->count - safe, servers->count);
        row_worsen(&row, STORE_FINDING_WARNING,
                   "commitlog_sync: batch (or group) in cassandra.yaml of every node, and restart");
    }
    row_end(&row);
}

// Our write timestamps lie in the year 2041 (projection.h), which a guardrail can forbid.
static void check_timestamps(const struct cassandra_servers_look *servers, store_finding_fn *find,
                             void *context)
{
    struct row row;
    row_init(&row, find, context, "timestamps");
    for (size_t i = 0; i < servers->count; i++) {
        struct text limit = servers->servers[i].timestamp_limit;
        if (limit.size > 0 && row.finding.state == STORE_FINDING_OK) {
            buf_add_fmt(&row.found,
                        "maximum_timestamp_fail_threshold is %.*s: every write is refused",
                        TEXT_PRINT(limit));
            row_worsen(&row, STORE_FINDING_FAILED,
                       "leave that guardrail out of cassandra.yaml: docs/cassandra.md, timestamps");
        }
    }
    if (row.finding.state == STORE_FINDING_OK) {
        buf_add_str(&row.found, "no guardrail refuses those of till");
    }
    row_end(&row);
}

static void check_timeouts(const struct cassandra_servers_look *servers, int64_t request_timeout_us,
                           store_finding_fn *find, void *context)
{
    struct row row;
    int64_t longest_us = 0;
    for (size_t i = 0; i < servers->count; i++) {
        const struct cassandra_server_look *server = &servers->servers[i];
        int64_t us = server->read_timeout_us > server->write_timeout_us ? server->read_timeout_us
                                                                        : server->write_timeout_us;
        longest_us = us > longest_us ? us : longest_us;
    }
    row_init(&row, find, context, "timeouts");
    buf_add_fmt(&row.found, "the servers give up after %lld ms, till after %lld ms",
                (long long)(longest_us / 1000), (long long)(request_timeout_us / 1000));
    if (request_timeout_us <= longest_us) {
        row_worsen(&row, STORE_FINDING_WARNING,
                   "set cassandra.request_timeout to more than that, or slow answers are asked"
                   " for again before they come");
    }
    row_end(&row);
}

void cassandra_check_servers(const struct cassandra_servers_look *servers,
                             int64_t request_timeout_us, store_finding_fn *find, void *context)
{
    check_commit_log(servers, find, context);
    check_timestamps(servers, find, context);
    check_timeouts(servers, request_timeout_us, find, context);
}

// --- who may come in ----------------------------------------------------------------------------

static bool is_on_this_machine(const struct cassandra_nodes_look *nodes)
{
    for (size_t i = 0; i < nodes->cluster.node_count; i++) {
        struct text address = nodes->cluster.nodes[i].address;
        if (!text_starts_with(address, TEXT("127.")) && !text_starts_with(address, TEXT("[::1]"))) {
            return false;
        }
    }
    return true;
}

static void check_encryption(const struct cassandra_nodes_look *nodes,
                             const struct cql_options *cluster, store_finding_fn *find,
                             void *context)
{
    struct row row;
    row_init(&row, find, context, "encryption");
    if (cluster->tls.enabled) {
        buf_add_fmt(&row.found, "TLS, the nodes' certificates are checked%s",
                    cluster->tls.cert_file != NULL ? "; ours is shown" : "");
    } else if (is_on_this_machine(nodes)) {
        buf_add_str(&row.found, "none; the nodes are on this machine");
    } else {
        buf_add_str(&row.found, "none: names, addresses and the password can be read on the way");
        row_worsen(&row, STORE_FINDING_WARNING, "set cassandra.tls and cassandra.ca_file");
    }
    row_end(&row);
}

static bool asks_for_login(const struct cassandra_servers_look *servers)
{
    for (size_t i = 0; i < servers->count; i++) {
        struct text name = servers->servers[i].authenticator;
        if (name.size == 0 || memmem(name.data, name.size, "AllowAll", 8) != NULL) {
            return false;
        }
    }
    return servers->count > 0;
}

static void check_login(const struct cassandra_servers_look *servers,
                        const struct cassandra_nodes_look *nodes, const struct cql_options *cluster,
                        store_finding_fn *find, void *context)
{
    struct row row;
    row_init(&row, find, context, "login");
    if (cluster->user != NULL) {
        buf_add_fmt(&row.found, "as %s", cluster->user);
    }
    if (servers->count > 0 && !asks_for_login(servers)) {
        buf_add_str(&row.found, cluster->user != NULL ? ", but the nodes ask for none" : "none");
        if (is_on_this_machine(nodes)) {
            buf_add_str(&row.found, "; the nodes are on this machine");
        } else {
            row_worsen(&row, STORE_FINDING_WARNING,
                       "anyone who reaches a node may read and change everything: authenticator"
                       " and authorizer in cassandra.yaml");
        }
    }
    if (cluster->user != NULL && strcmp(cluster->user, "cassandra") == 0) {
        buf_add_str(&row.found, ", who may do everything");
        row_worsen(&row, STORE_FINDING_WARNING,
                   "a role of its own with the rights in docs/cassandra.md");
    }
    row_end(&row);
}

void cassandra_check_access(const struct cassandra_servers_look *servers,
                            const struct cassandra_nodes_look *nodes,
                            const struct cql_options *cluster, store_finding_fn *find,
                            void *context)
{
    check_encryption(nodes, cluster, find, context);
    check_login(servers, nodes, cluster, find, context);
}

// --- figures ------------------------------------------------------------------------------------

void cassandra_check_clock(const struct cassandra_clock_look *clock, store_finding_fn *find,
                           void *context)
{
    struct row row;
    int64_t apart_us = clock->ahead_us < 0 ? -clock->ahead_us : clock->ahead_us;
    int64_t at_least_us = apart_us > clock->error_us ? apart_us - clock->error_us : 0;
    row_init(&row, find, context, "clocks");
    buf_add_str(&row.found, "the node's is ");
    add_ms(&row.found, apart_us);
    buf_add_fmt(&row.found, " %s ours, give or take ", clock->ahead_us < 0 ? "behind" : "ahead of");
    add_ms(&row.found, clock->error_us);
    if (at_least_us > QUIET_SKEW_US) {
        row_worsen(&row, STORE_FINDING_WARNING,
                   "run NTP on both: grace times count by this machine's clock");
    }
    if (at_least_us > SKEW_US_MAX) {
        row_worsen(&row, STORE_FINDING_FAILED,
                   "set the clock: payments are declared unmatched too early or too late");
    }
    row_end(&row);
}

void cassandra_check_latency(const struct cassandra_latency_look *latency, store_finding_fn *find,
                             void *context)
{
    struct row row;
    row_init(&row, find, context, "quorum read");
    buf_add_str(&row.found, "p50 ");
    add_ms(&row.found, latency->p50_us);
    buf_add_str(&row.found, ", p99 ");
    add_ms(&row.found, latency->p99_us);
    if (latency->p50_us > QUICK_READ_US) {
        row_worsen(&row, STORE_FINDING_WARNING,
                   "a batch waits for two or three of these: look at the nodes, and at the way"
                   " there");
    }
    row_end(&row);
}
