// till doctor on a cluster: looks at one thing after the other and has each judged. What can't be looked at
// is a finding too, and the rest goes on as far as it makes sense.
#include "cassandra_check.h"
#include "cassandra_schema.h"
#include "fold.h"

#define ARENA_SIZE         ((size_t)4 << 20)
#define NODES_WAIT_US      (5 * US_PER_SECOND)
#define AGREEMENT_US       (5 * US_PER_SECOND)
#define FOUND_SIZE_MAX     256
#define REQUEST_US_BY_RULE (12 * US_PER_SECOND) // as cql.h says of a zero
#define SETUP_DOES_IT      "till setup makes it"
#define SEE_MESSAGE        "see the message"

struct examination {
    const struct store_cassandra_options *options;
    const char *keyspace;
    store_finding_fn *find;
    void *context;
    struct cql *cql;
    struct arena arena;
    struct cassandra_nodes_look nodes;
    struct cassandra_keyspace_look looked;
    struct cassandra_servers_look servers;
};

static void say(const struct examination *exam, const char *check, enum store_finding_state state,
                const char *found, const char *remedy)
{
    const struct store_finding finding = {
        .check = check, .state = state, .found = found, .remedy = remedy};
    exam->find(exam->context, &finding);
}

// Whether a look was possible; else it says so.
static bool could_look(const struct examination *exam, const char *check, enum err err,
                       const struct why *why)
{
    if (err != ERR_OK) {
        say(exam, check, STORE_FINDING_FAILED, why->text, SEE_MESSAGE);
    }
    return err == ERR_OK;
}

static bool examine_nodes(struct examination *exam)
{
    struct why why = {0};
    const struct store_cassandra_options *options = exam->options;
    enum err err = cassandra_look_nodes(exam->cql, options->cluster.local_dc, NODES_WAIT_US,
                                        &options->clock, &exam->arena, &exam->nodes, &why);
    if (!could_look(exam, "nodes", err, &why)) {
        return false;
    }
    cassandra_check_nodes(&exam->nodes, exam->find, exam->context);
    err = cql_await_schema_agreement(exam->cql, AGREEMENT_US, &why);
    say(exam, "schema", err == ERR_OK ? STORE_FINDING_OK : STORE_FINDING_FAILED,
        err == ERR_OK ? "the nodes agree" : why.text,
        "nodetool describecluster; restart the node that differs");
    return true;
}

// --- the keyspace -------------------------------------------------------------------------------

static void judge_version(const struct examination *exam, int64_t version, int64_t epoch)
{
    char found[FOUND_SIZE_MAX];
    struct buf text;
    bool is_right = version == CASSANDRA_SCHEMA_VERSION && epoch <= FOLD_EPOCH;
    bool is_later = version > CASSANDRA_SCHEMA_VERSION || epoch > FOLD_EPOCH;
    buf_init_fixed(&text, found, sizeof(found) - 1);
    buf_add_fmt(&text, "version %lld of the tables, fold epoch %lld; this program's are %d and %d",
                (long long)version, (long long)epoch, CASSANDRA_SCHEMA_VERSION, FOLD_EPOCH);
    found[text.size] = '\0';
    say(exam, "version", is_right ? STORE_FINDING_OK : STORE_FINDING_FAILED, found,
        is_later ? "install the later version of till" : "run till setup");
}

static void examine_version(struct examination *exam)
{
    struct why why = {0};
    struct cassandra_latency_look latency;
    const struct store_cassandra_options *options = exam->options;
    int64_t version = 0;
    int64_t epoch = 0;
    enum err err = cassandra_look_setting(exam->cql, exam->keyspace, CASSANDRA_SETTING_VERSION,
                                          &version, &why);
    err = err == ERR_OK ? cassandra_look_setting(exam->cql, exam->keyspace,
                                                 CASSANDRA_SETTING_FOLD_EPOCH, &epoch, &why)
                        : err;
    if (err == ERR_INVALID) {
        say(exam, "version", STORE_FINDING_FAILED, "the tables are not there", SETUP_DOES_IT);
        return;
    }
    if (!could_look(exam, "version", err, &why)) {
        return;
    }
    judge_version(exam, version, epoch);
    err = cassandra_look_latency(exam->cql, exam->keyspace, &options->clock, &latency, &why);
    if (could_look(exam, "quorum read", err, &why)) {
        cassandra_check_latency(&latency, exam->find, exam->context);
    }
}

static void examine_keyspace(struct examination *exam)
{
    struct why why = {0};
    enum err err =
        cassandra_look_keyspace(exam->cql, exam->keyspace, &exam->arena, &exam->looked, &why);
    if (!could_look(exam, "keyspace", err, &why)) {
        return;
    }
    if (!exam->looked.there) {
        say(exam, "keyspace", STORE_FINDING_FAILED, "it is not there", SETUP_DOES_IT);
        return;
    }
    cassandra_check_keyspace(&exam->looked, &exam->nodes, exam->find, exam->context);
    examine_version(exam);
}

// --- servers ------------------------------------------------------------------------------------

static void examine_servers(struct examination *exam)
{
    struct why why = {0};
    struct cassandra_clock_look clock;
    const struct store_cassandra_options *options = exam->options;
    int64_t timeout_us = options->cluster.request_timeout_us;
    enum err err =
        cassandra_look_servers(exam->cql, exam->nodes.local_up, &exam->arena, &exam->servers, &why);
    if (err == ERR_OK) {
        cassandra_check_servers(&exam->servers, timeout_us > 0 ? timeout_us : REQUEST_US_BY_RULE,
                                exam->find, exam->context);
    } else {
        exam->servers.count = 0;
        say(exam, "commit log", STORE_FINDING_WARNING, why.text,
            "to have it looked at: GRANT SELECT ON KEYSPACE system_views TO the role");
    }
    cassandra_check_access(&exam->servers, &exam->nodes, &options->cluster, exam->find,
                           exam->context);
    err = cassandra_look_clock(exam->cql, &options->clock, &clock, &why);
    if (could_look(exam, "clocks", err, &why)) {
        cassandra_check_clock(&clock, exam->find, exam->context);
    }
}

static void examine(struct examination *exam)
{
    struct why why = {0};
    enum err err = cql_open(&exam->options->cluster, &exam->cql, &why);
    if (err != ERR_OK) {
        say(exam, "cluster", STORE_FINDING_FAILED, why.text, "see docs/cassandra.md, errors");
        return;
    }
    if (examine_nodes(exam)) {
        examine_keyspace(exam);
        examine_servers(exam);
    }
    cql_close(&exam->cql);
}

void store_cassandra_check(const struct store_cassandra_options *options, store_finding_fn *find,
                           void *context)
{
    struct examination exam = {
        .options = options,
        .keyspace = options->keyspace != NULL ? options->keyspace : STORE_CASSANDRA_KEYSPACE,
        .find = find,
        .context = context,
    };
    if (!cassandra_keyspace_name_is_valid(exam.keyspace)) {
        say(&exam, "keyspace", STORE_FINDING_FAILED, "its name is none", "cassandra.keyspace");
    } else if (arena_init(&exam.arena, ARENA_SIZE) != ERR_OK) {
        say(&exam, "cluster", STORE_FINDING_FAILED, "out of memory", "free some memory");
    } else {
        examine(&exam);
        arena_deinit(&exam.arena);
    }
}
