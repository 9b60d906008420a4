// What is thought of clusters that no test can have at hand: many nodes, two data centres, guardrails.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include "cassandra_check.h"

#include <stdio.h>
#include <string.h>

#define NODES_MAX    6
#define FINDINGS_MAX 16

struct kept {
    char check[32];
    enum store_finding_state state;
    bool refused;
    char found[600];
    char remedy[300];
};

// A cluster that has nothing wrong; claims spoil one thing of it.
struct cluster {
    struct cql_node_info node_list[NODES_MAX];
    struct cassandra_nodes_look nodes;
    struct cassandra_keyspace_look keyspace;
    struct cassandra_servers_look servers;
    struct cql_options options;
    struct kept kept[FINDINGS_MAX];
    size_t count;
};

static struct cluster the_cluster;

static int create_cluster(void **state)
{
    struct cluster *cluster = &the_cluster;
    *cluster = (struct cluster){
        .nodes = {.local_dc = TEXT("dc1"), .local_count = 3, .local_up = 3},
        .keyspace = {.there = true,
                     .durable_writes = true,
                     .replication_is_known = true,
                     .replication = {.strategy = CQL_STRATEGY_NETWORK,
                                     .dc_count = 1,
                                     .dcs = {{TEXT("dc1"), 3}}},
                     .tables = {{TEXT("order_events"), 0, TEXT("BLOCKING")},
                                {TEXT("starts"), 0, TEXT("BLOCKING")}},
                     .table_count = 2},
        .servers = {.count = 3},
        .options = {.user = "till", .tls = {.enabled = true}},
    };
    for (size_t i = 0; i < 3; i++) {
        cluster->node_list[i] = (struct cql_node_info){.address = TEXT("10.0.0.1:9042"),
                                                       .dc = TEXT("dc1"),
                                                       .release_version = TEXT("5.0.9"),
                                                       .local = true,
                                                       .connections = 1};
        cluster->servers.servers[i] =
            (struct cassandra_server_look){.commitlog_sync = TEXT("batch"),
                                           .authenticator = TEXT("PasswordAuthenticator"),
                                           .read_timeout_us = 5 * US_PER_SECOND,
                                           .write_timeout_us = 2 * US_PER_SECOND,
                                           .tls = true};
    }
    cluster->nodes.cluster = (struct cql_cluster_info){
        .protocol_version = 5, .nodes = cluster->node_list, .node_count = 3};
    *state = cluster;
    return 0;
}

static void keep(void *context, const struct store_finding *finding)
{
    struct cluster *cluster = context;
    assert_true(cluster->count < FINDINGS_MAX);
    struct kept *kept = &cluster->kept[cluster->count++];
    *kept = (struct kept){.state = finding->state, .refused = finding->refused};
    (void)snprintf(kept->check, sizeof(kept->check), "%s", finding->check);
    (void)snprintf(kept->found, sizeof(kept->found), "%s", finding->found);
    (void)snprintf(kept->remedy, sizeof(kept->remedy), "%s",
                   finding->remedy != NULL ? finding->remedy : "");
}

static void check_all(struct cluster *cluster)
{
    cluster->count = 0;
    cassandra_check_nodes(&cluster->nodes, keep, cluster);
    cassandra_check_keyspace(&cluster->keyspace, &cluster->nodes, keep, cluster);
    cassandra_check_servers(&cluster->servers, 12 * US_PER_SECOND, keep, cluster);
    cassandra_check_access(&cluster->servers, &cluster->nodes, &cluster->options, keep, cluster);
}

static const struct kept *find(const struct cluster *cluster, const char *check)
{
    for (size_t i = 0; i < cluster->count; i++) {
        if (strcmp(cluster->kept[i].check, check) == 0) {
            return &cluster->kept[i];
        }
    }
    fail_msg("no finding is called %s", check);
    return NULL;
}

// That one line is in that state, says so and what to do, and all others are well.
static void assert_only(struct cluster *cluster, const char *check, enum store_finding_state state,
                        const char *found)
{
    check_all(cluster);
    const struct kept *spoiled = find(cluster, check);
    assert_int_equal(spoiled->state, state);
    if (strstr(spoiled->found, found) == NULL) {
        fail_msg("%s: \"%s\" has no \"%s\"", check, spoiled->found, found);
    }
    assert_true(spoiled->remedy[0] != '\0');
    for (size_t i = 0; i < cluster->count; i++) {
        if (&cluster->kept[i] != spoiled && cluster->kept[i].state != STORE_FINDING_OK) {
            fail_msg("%s: %s", cluster->kept[i].check, cluster->kept[i].found);
        }
    }
}

static void assert_refused(struct cluster *cluster, const char *text)
{
    struct why why = {0};
    assert_int_equal(cassandra_check_refused(&cluster->keyspace, &cluster->nodes, &why),
                     ERR_CONFIG);
    assert_non_null(strstr(why.text, text));
}

static void assert_let_in(struct cluster *cluster)
{
    struct why why = {0};
    assert_int_equal(cassandra_check_refused(&cluster->keyspace, &cluster->nodes, &why), ERR_OK);
}

// --- claims -------------------------------------------------------------------------------------

static void good_cluster_has_no_finding(void **state)
{
    struct cluster *cluster = *state;
    check_all(cluster);
    assert_int_equal(cluster->count, 10);
    for (size_t i = 0; i < cluster->count; i++) {
        assert_int_equal(cluster->kept[i].state, STORE_FINDING_OK);
    }
    assert_let_in(cluster);
}

static void two_copies_warn_three_do_not(void **state)
{
    struct cluster *cluster = *state;
    cluster->keyspace.replication.dcs[0].factor = 2;
    assert_only(cluster, "replication", STORE_FINDING_WARNING, "2 copies of everything in dc1");
    cluster->keyspace.replication.dcs[0].factor = 1;
    assert_only(cluster, "replication", STORE_FINDING_WARNING, "one that is lost loses them");
    assert_let_in(cluster);
}

static void more_copies_than_nodes_fail(void **state)
{
    struct cluster *cluster = *state;
    cluster->keyspace.replication.dcs[0].factor = 4;
    assert_only(cluster, "replication", STORE_FINDING_FAILED, "4 copies of everything in dc1, but");
    assert_let_in(cluster); // a quorum of them may still be there
}

static void data_centre_without_copies_is_refused(void **state)
{
    struct cluster *cluster = *state;
    cluster->keyspace.replication.dcs[0].name = TEXT("dc2");
    assert_only(cluster, "replication", STORE_FINDING_FAILED, "0 copies of everything in dc1");
    assert_refused(cluster, "0 copies of everything in dc1");
}

static void simple_strategy_warns(void **state)
{
    struct cluster *cluster = *state;
    cluster->keyspace.replication =
        (struct cql_replication){.strategy = CQL_STRATEGY_SIMPLE, .factor = 3};
    assert_only(cluster, "replication", STORE_FINDING_WARNING, "SimpleStrategy");
    assert_let_in(cluster);
}

static void unknown_strategy_warns(void **state)
{
    struct cluster *cluster = *state;
    cluster->keyspace.replication.strategy = CQL_STRATEGY_OTHER;
    assert_only(cluster, "replication", STORE_FINDING_WARNING, "unknown");
    assert_let_in(cluster);
}

static void writes_that_are_not_durable_are_refused(void **state)
{
    struct cluster *cluster = *state;
    cluster->keyspace.durable_writes = false;
    assert_only(cluster, "replication", STORE_FINDING_FAILED, "durable_writes is false");
    assert_refused(cluster, "durable_writes");
}

static void two_data_centres_want_one_named(void **state)
{
    struct cluster *cluster = *state;
    cluster->keyspace.replication.dc_count = 2;
    cluster->keyspace.replication.dcs[1].name = TEXT("dc2");
    cluster->keyspace.replication.dcs[1].factor = 3;
    assert_only(cluster, "data centre", STORE_FINDING_FAILED, "dc1 by chance");
    assert_refused(cluster, "cassandra.local_dc");
    cluster->nodes.dc_is_named = true;
    assert_let_in(cluster);
    cluster->nodes.dc_is_named = false;
    cluster->keyspace.replication.dcs[1].factor = 0;
    assert_let_in(cluster);
}

static void tables_that_forget_are_refused(void **state)
{
    struct cluster *cluster = *state;
    cluster->keyspace.tables[1].default_ttl_s = 1;
    assert_only(cluster, "tables", STORE_FINDING_FAILED, "starts forgets rows after 1 s");
    assert_refused(cluster, "forgets rows");
}

static void read_repair_none_warns(void **state)
{
    struct cluster *cluster = *state;
    cluster->keyspace.tables[0].read_repair = TEXT("NONE");
    assert_only(cluster, "tables", STORE_FINDING_WARNING, "read_repair of order_events is NONE");
    assert_let_in(cluster);
}

static void node_that_is_down_is_named(void **state)
{
    struct cluster *cluster = *state;
    cluster->node_list[2].connections = 0;
    cluster->node_list[2].address = TEXT("10.0.0.3:9042");
    cluster->nodes.local_up = 2;
    assert_only(cluster, "nodes", STORE_FINDING_WARNING, "2 of 3 in dc1 answer; not: 10.0.0.3");
}

static void mixed_versions_warn(void **state)
{
    struct cluster *cluster = *state;
    cluster->node_list[1].release_version = TEXT("4.1.7");
    assert_only(cluster, "versions", STORE_FINDING_WARNING, "5.0.9, 4.1.7");
}

static void periodic_commit_log_warns_also_of_one_node(void **state)
{
    struct cluster *cluster = *state;
    cluster->servers.servers[0].commitlog_sync = TEXT("group");
    check_all(cluster);
    assert_int_equal(find(cluster, "commit log")->state, STORE_FINDING_OK);
    cluster->servers.servers[2].commitlog_sync = TEXT("periodic");
    assert_only(cluster, "commit log", STORE_FINDING_WARNING, "periodic on 1 of 3 nodes");
}

static void guardrail_on_timestamps_fails(void **state)
{
    struct cluster *cluster = *state;
    cluster->servers.servers[1].timestamp_limit = TEXT("1d");
    assert_only(cluster, "timestamps", STORE_FINDING_FAILED, "is 1d: every write is refused");
}

static void request_timeout_is_to_be_longer_than_the_servers(void **state)
{
    struct cluster *cluster = *state;
    cluster->servers.servers[1].read_timeout_us = 12 * US_PER_SECOND - 1;
    check_all(cluster);
    assert_int_equal(find(cluster, "timeouts")->state, STORE_FINDING_OK);
    cluster->servers.servers[1].read_timeout_us = 12 * US_PER_SECOND;
    assert_only(cluster, "timeouts", STORE_FINDING_WARNING, "12000 ms");
}

static void plain_text_warns_unless_it_stays_here(void **state)
{
    struct cluster *cluster = *state;
    cluster->options.tls.enabled = false;
    assert_only(cluster, "encryption", STORE_FINDING_WARNING, "none");
    for (size_t i = 0; i < 3; i++) {
        cluster->node_list[i].address = TEXT("127.0.0.1:9042");
    }
    check_all(cluster);
    assert_int_equal(find(cluster, "encryption")->state, STORE_FINDING_OK);
}

static void nodes_without_logins_warn(void **state)
{
    struct cluster *cluster = *state;
    cluster->servers.servers[2].authenticator = TEXT("org.apache.cassandra.auth.AllowAll");
    assert_only(cluster, "login", STORE_FINDING_WARNING, "ask for none");
    cluster->servers.servers[2].authenticator = (struct text){0};
    assert_only(cluster, "login", STORE_FINDING_WARNING, "ask for none");
}

static void superuser_of_a_fresh_cluster_warns(void **state)
{
    struct cluster *cluster = *state;
    cluster->options.user = "cassandra";
    assert_only(cluster, "login", STORE_FINDING_WARNING, "may do everything");
}

static void assert_clock(struct cluster *cluster, int64_t ahead_us, int64_t error_us,
                         enum store_finding_state state)
{
    struct cassandra_clock_look clock = {.ahead_us = ahead_us, .error_us = error_us};
    cluster->count = 0;
    cassandra_check_clock(&clock, keep, cluster);
    assert_int_equal(find(cluster, "clocks")->state, state);
}

// What the round trip may explain is not held against a clock.
static void clocks_are_apart_beyond_the_round_trip(void **state)
{
    struct cluster *cluster = *state;
    assert_clock(cluster, US_PER_SECOND + 500, 500, STORE_FINDING_OK);
    assert_clock(cluster, US_PER_SECOND + 501, 500, STORE_FINDING_WARNING);
    assert_clock(cluster, -US_PER_SECOND - 501, 500, STORE_FINDING_WARNING);
    assert_clock(cluster, 60 * US_PER_SECOND + 500, 500, STORE_FINDING_WARNING);
    assert_clock(cluster, 60 * US_PER_SECOND + 501, 500, STORE_FINDING_FAILED);
    assert_clock(cluster, -60 * US_PER_SECOND - 501, 500, STORE_FINDING_FAILED);
}

static void slow_quorum_reads_warn(void **state)
{
    struct cluster *cluster = *state;
    struct cassandra_latency_look latency = {.p50_us = 50 * 1000, .p99_us = 90 * 1000};
    cluster->count = 0;
    cassandra_check_latency(&latency, keep, cluster);
    latency.p50_us++;
    cassandra_check_latency(&latency, keep, cluster);
    assert_int_equal(cluster->kept[0].state, STORE_FINDING_OK);
    assert_int_equal(cluster->kept[1].state, STORE_FINDING_WARNING);
}

static void count_notice(void *context, struct text notice)
{
    size_t *count = context;
    assert_true(notice.size > 0);
    (*count)++;
}

static void opening_tells_what_is_not_well(void **state)
{
    struct cluster *cluster = *state;
    size_t told = 0;
    cassandra_check_tell(&cluster->keyspace, &cluster->nodes, count_notice, &told);
    assert_int_equal(told, 0);
    cluster->keyspace.replication.dcs[0].factor = 1;
    cluster->keyspace.tables[0].read_repair = TEXT("NONE");
    cassandra_check_tell(&cluster->keyspace, &cluster->nodes, count_notice, &told);
    assert_int_equal(told, 2);
}

#define CLUSTER(function) cmocka_unit_test_setup(function, create_cluster)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER(good_cluster_has_no_finding),
        CLUSTER(two_copies_warn_three_do_not),
        CLUSTER(more_copies_than_nodes_fail),
        CLUSTER(data_centre_without_copies_is_refused),
        CLUSTER(simple_strategy_warns),
        CLUSTER(unknown_strategy_warns),
        CLUSTER(writes_that_are_not_durable_are_refused),
        CLUSTER(two_data_centres_want_one_named),
        CLUSTER(tables_that_forget_are_refused),
        CLUSTER(read_repair_none_warns),
        CLUSTER(node_that_is_down_is_named),
        CLUSTER(mixed_versions_warn),
        CLUSTER(periodic_commit_log_warns_also_of_one_node),
        CLUSTER(guardrail_on_timestamps_fails),
        CLUSTER(request_timeout_is_to_be_longer_than_the_servers),
        CLUSTER(plain_text_warns_unless_it_stays_here),
        CLUSTER(nodes_without_logins_warn),
        CLUSTER(superuser_of_a_fresh_cluster_warns),
        CLUSTER(clocks_are_apart_beyond_the_round_trip),
        CLUSTER(slow_quorum_reads_warn),
        CLUSTER(opening_tells_what_is_not_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
