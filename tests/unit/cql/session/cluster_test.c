// A session and several nodes: which of them is asked, and what changes while it runs.
#include "session_rig.h"

#include "cql_token.h"

#include <stdlib.h>
#include <string.h>

static struct rig rig;

static int stop(void **state)
{
    (void)state;
    rig_stop(&rig);
    return 0;
}

static void await_nodes(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        rig_until(&rig, rig_node_is_connected, i);
    }
}

static void start(unsigned mocks)
{
    rig_start(&rig, mocks, NULL);
    rig_open(&rig, NULL);
    await_nodes(mocks);
}

// --- routing ------------------------------------------------------------------------------------

static int64_t token_of(unsigned id)
{
    unsigned char key[8] = {0};
    for (unsigned i = 0; i < 4; i++) {
        key[7 - i] = (unsigned char)(id >> 8 * i);
    }
    return cql_token((struct text){(const char *)key, 8});
}

// The rig's ring: -6 * 10^18, 0, 6 * 10^18.
static unsigned owner_of(int64_t token)
{
    return token <= INT64_C(-6000000000000000000)  ? 0
           : token <= 0                            ? 1
           : token <= INT64_C(6000000000000000000) ? 2
                                                   : 0;
}

static void a_write_goes_to_the_node_that_has_its_partition(void **state)
{
    (void)state;
    unsigned expected[3] = {0};
    start(3);
    for (unsigned i = 0; i < 600; i++) {
        expected[owner_of(token_of(i))]++;
        rig_write(&rig, i, 1, true);
    }
    rig_await(&rig, 600);
    for (unsigned i = 0; i < 3; i++) { // of "shop" each partition has one replica
        assert_int_equal(cql_mock_count(rig.mocks[i], CQL_MOCK_EXECUTE), expected[i]);
        assert_true(expected[i] > 50);
    }
}

static void another_replication_is_followed_when_the_schema_changes(void **state)
{
    (void)state;
    static const struct cql_mock_keyspace keyspaces[] = {
        {.name = "shop", .replication = "class=SimpleStrategy,replication_factor=2"}};
    start(3);
    for (unsigned i = 0; i < 3; i++) {
        cql_mock_set_keyspaces(rig.mocks[i], keyspaces, 1);
        (void)cql_mock_push_schema(rig.mocks[i], "UPDATED", "shop", NULL);
    }
    rig_pass(&rig, 1200000);
    for (unsigned i = 0; i < 600; i++) {
        rig_write(&rig, i, 1, true);
        if (i % 20 == 0) {
            rig_await(&rig, i + 1);
        }
    }
    rig_await(&rig, 600);
    for (unsigned i = 0; i < 3; i++) { // an owner shares with the next one
        assert_in_range(cql_mock_count(rig.mocks[i], CQL_MOCK_EXECUTE), 100, 350);
    }
}

static void nodes_of_other_data_centres_are_never_asked(void **state)
{
    (void)state;
    rig_start(&rig, 2, NULL);
    struct rig far = {0};
    rig_start(&far, 1, &(struct cql_mock_options){.host = 3, .data_center = "far", .tokens = "9"});
    rig.mocks[rig.mock_count++] = far.mocks[0];
    rig_introduce(&rig);
    rig_open(&rig, NULL);
    await_nodes(2);
    rig_write(&rig, 0, 300, true);
    rig_await(&rig, 300);
    assert_int_equal(rig_node_count(&rig), 3);
    cql_mock_refuse(rig.mocks[0], true);
    cql_mock_refuse(rig.mocks[1], true);
    cql_mock_disconnect(rig.mocks[0], true);
    cql_mock_disconnect(rig.mocks[1], true);
    rig_pass(&rig, 100000);
    struct cql_request request = rig_request(&rig, 1000, true);
    request.timeout_us = 100000;
    rig_submit(&rig, &request);
    rig_await(&rig, 301);
    rig_expect(&rig, 1000, 1, ERR_TIMEOUT, CQL_NOT_DONE);
    assert_int_equal(cql_mock_accepted_count(rig.mocks[2]), 0);
    free(far.ends);
    free(far.memory);
}

static void the_busy_node_is_spared(void **state)
{
    (void)state;
    static const struct cql_mock_keyspace keyspaces[] = {
        {.name = "shop", .replication = "class=SimpleStrategy,replication_factor=3"}};
    rig_start(&rig, 3, NULL);
    for (unsigned i = 0; i < 3; i++) {
        cql_mock_set_keyspaces(rig.mocks[i], keyspaces, 1);
    }
    rig_open(&rig, NULL);
    await_nodes(3);
    cql_mock_add_rule(rig.mocks[1],
                      &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE, .is_held = true});
    for (unsigned i = 0; i < 50; i++) {
        rig_write(&rig, i * 10, 10, true);
        rig_pass(&rig, 2000);
    }
    assert_in_range(cql_mock_count(rig.mocks[1], CQL_MOCK_EXECUTE), 1, 30);
    rig_await(&rig, 500 - cql_mock_release(rig.mocks[1], false));
    rig_await(&rig, 500);
}

// --- nodes come and go --------------------------------------------------------------------------

static void the_control_connection_moves_when_its_node_is_lost(void **state)
{
    (void)state;
    start(3);
    cql_mock_refuse(rig.mocks[0], true); // the contact point
    cql_mock_disconnect(rig.mocks[0], true);
    rig_write(&rig, 0, 200, true);
    rig_await(&rig, 200);
    rig_expect(&rig, 0, 200, ERR_OK, CQL_DONE);
    rig_pass(&rig, 100000);
    unsigned heard = 0;
    for (unsigned i = 1; i < 3; i++) {
        heard += cql_mock_push_schema(rig.mocks[i], "UPDATED", "shop", "orders");
    }
    assert_int_equal(heard, 1); // one other node has a registered connection
    cql_mock_refuse(rig.mocks[0], false);
    rig_until(&rig, rig_node_is_connected, 0);
}

static void after_a_full_outage_everything_goes_on_by_itself(void **state)
{
    (void)state;
    start(3);
    for (unsigned i = 0; i < 3; i++) {
        cql_mock_refuse(rig.mocks[i], true);
        cql_mock_disconnect(rig.mocks[i], true);
    }
    rig_write(&rig, 0, 100, false);
    rig_pass(&rig, 300000);
    for (unsigned i = 0; i < 3; i++) {
        cql_mock_refuse(rig.mocks[i], false);
    }
    rig_await(&rig, 100);
    await_nodes(3);
    rig_write(&rig, 100, 100, false);
    rig_await(&rig, 200);
    rig_expect(&rig, 100, 100, ERR_OK, CQL_DONE);
    for (unsigned i = 0; i < 100; i++) { // nothing was sent to anybody: done, or known to be lost
        assert_true(rig.ends[i].err == ERR_OK || rig.ends[i].outcome == CQL_UNKNOWN);
    }
}

static void a_node_that_is_new_is_used_and_one_that_left_is_not(void **state)
{
    (void)state;
    rig_start(&rig, 3, NULL);
    cql_mock_introduce(rig.mocks, 2);
    cql_mock_set_peers(rig.mocks[2], NULL, 0);
    rig_open(&rig, NULL);
    await_nodes(2);
    assert_int_equal(rig_node_count(&rig), 2);
    rig_introduce(&rig);
    (void)cql_mock_push_node(rig.mocks[0], "TOPOLOGY_CHANGE", "NEW_NODE", "127.0.0.3",
                             cql_mock_port(rig.mocks[2]));
    (void)cql_mock_push_node(rig.mocks[1], "TOPOLOGY_CHANGE", "NEW_NODE", "127.0.0.3",
                             cql_mock_port(rig.mocks[2]));
    rig_until(&rig, rig_node_is_connected, 2);
    struct cql_mock_peer second = cql_mock_as_peer(rig.mocks[1]);
    cql_mock_set_peers(rig.mocks[0], &second, 1);
    (void)cql_mock_push_node(rig.mocks[0], "TOPOLOGY_CHANGE", "REMOVED_NODE", "127.0.0.3",
                             cql_mock_port(rig.mocks[2]));
    rig_write(&rig, 0, 300, true);
    rig_pass(&rig, 1300000);
    rig_await(&rig, 300);
    rig_expect(&rig, 0, 300, ERR_OK, CQL_DONE);
    assert_int_equal(rig_node_count(&rig), 2);
    assert_int_equal(cql_mock_open_count(rig.mocks[2]), 0);
}

static bool has_nodes(struct rig *at, unsigned count)
{
    return rig_node_count(at) == count;
}

static void rows_of_half_known_nodes_are_ignored(void **state)
{
    (void)state;
    rig_start(&rig, 1, NULL);
    struct rig other = {0};
    rig_start(&other, 1, &(struct cql_mock_options){.host = 2, .tokens = "7"});
    struct cql_mock_peer whole = cql_mock_as_peer(other.mocks[0]);
    struct cql_mock_peer peers[7];
    for (unsigned i = 0; i < 7; i++) {
        peers[i] = whole;
        peers[i].host_id = (uint8_t)(100 + i);
    }
    peers[0].host_id = 0;
    peers[1].tokens = NULL;
    peers[2].data_center = NULL;
    peers[3].rack = NULL;
    peers[4].schema_version = 0;
    peers[5].address = NULL;
    cql_mock_set_peers(rig.mocks[0], peers, 7); // the last one is whole
    rig_open(&rig, NULL);
    rig_until(&rig, has_nodes, 2);
    rig.mocks[rig.mock_count++] = other.mocks[0];
    rig_until(&rig, rig_node_is_connected, 1);
    free(other.ends);
    free(other.memory);
}

static void a_node_that_moved_is_found_at_its_new_address(void **state)
{
    (void)state;
    start(3);
    struct cql_mock_peer peers[2] = {cql_mock_as_peer(rig.mocks[1]),
                                     cql_mock_as_peer(rig.mocks[2])};
    uint8_t host_id = peers[0].host_id;
    peers[0] = peers[1];
    peers[0].host_id = host_id; // of the second, at the address of the third
    cql_mock_set_peers(rig.mocks[0], peers, 1);
    (void)cql_mock_push_node(rig.mocks[0], "TOPOLOGY_CHANGE", "NEW_NODE", "127.0.0.3", 1);
    rig_write(&rig, 0, 300, true);
    rig_until(&rig, has_nodes, 2);
    rig_until(&rig, rig_node_is_connected, 2);
    rig_await(&rig, 300);
    rig_expect(&rig, 0, 300, ERR_OK, CQL_DONE);
    rig_pass(&rig, 20000);
    assert_int_equal(cql_mock_open_count(rig.mocks[1]), 0);
}

static void an_up_event_before_the_port_opens_is_no_harm(void **state)
{
    (void)state;
    rig_start(&rig, 2, NULL);
    struct cql_options options = rig_options(&rig);
    options.reconnect_min_us = 300000;
    options.reconnect_max_us = 60 * US_PER_SECOND;
    rig_open(&rig, &options);
    await_nodes(2);
    cql_mock_refuse(rig.mocks[1], true);
    cql_mock_disconnect(rig.mocks[1], true);
    rig_pass(&rig, 20000);
    for (unsigned i = 0; i < 10; i++) {
        (void)cql_mock_push_node(rig.mocks[0], "STATUS_CHANGE", "UP", "127.0.0.2",
                                 cql_mock_port(rig.mocks[1]));
        rig_pass(&rig, 5000);
    }
    cql_mock_refuse(rig.mocks[1], false);
    (void)cql_mock_push_node(rig.mocks[0], "STATUS_CHANGE", "UP", "127.0.0.2",
                             cql_mock_port(rig.mocks[1]));
    rig_until(&rig, rig_node_is_connected, 1);
}

static void a_down_event_of_a_healthy_node_changes_nothing(void **state)
{
    (void)state;
    start(2);
    for (unsigned i = 0; i < 2; i++) {
        (void)cql_mock_push_node(rig.mocks[0], "STATUS_CHANGE", "DOWN", "127.0.0.2",
                                 cql_mock_port(rig.mocks[1]));
    }
    rig_pass(&rig, 20000);
    unsigned before = cql_mock_count(rig.mocks[1], CQL_MOCK_EXECUTE);
    rig_write(&rig, 0, 200, true);
    rig_await(&rig, 200);
    assert_true(cql_mock_count(rig.mocks[1], CQL_MOCK_EXECUTE) > before);
    assert_int_equal(cql_figures(rig.cql).connections_lost, 0);
}

// --- schemas ------------------------------------------------------------------------------------

static void different_schemas_are_told_and_waited_for(void **state)
{
    (void)state;
    struct why why = {0};
    start(2);
    assert_int_equal(cql_await_schema_agreement(rig.cql, 5 * US_PER_SECOND, &why), ERR_OK);
    struct cql_mock_peer peers[2] = {cql_mock_as_peer(rig.mocks[1]),
                                     cql_mock_as_peer(rig.mocks[0])};
    peers[0].schema_version = 9;
    cql_mock_set_peers(rig.mocks[0], &peers[0], 1);
    peers[1].schema_version = 9;
    cql_mock_set_peers(rig.mocks[1], &peers[1], 1);
    assert_int_equal(cql_await_schema_agreement(rig.cql, 500000, &why), ERR_TIMEOUT);
    rig_introduce(&rig);
    assert_int_equal(cql_await_schema_agreement(rig.cql, 5 * US_PER_SECOND, &why), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_write_goes_to_the_node_that_has_its_partition, stop),
        cmocka_unit_test_teardown(another_replication_is_followed_when_the_schema_changes, stop),
        cmocka_unit_test_teardown(nodes_of_other_data_centres_are_never_asked, stop),
        cmocka_unit_test_teardown(the_busy_node_is_spared, stop),
        cmocka_unit_test_teardown(the_control_connection_moves_when_its_node_is_lost, stop),
        cmocka_unit_test_teardown(after_a_full_outage_everything_goes_on_by_itself, stop),
        cmocka_unit_test_teardown(a_node_that_is_new_is_used_and_one_that_left_is_not, stop),
        cmocka_unit_test_teardown(rows_of_half_known_nodes_are_ignored, stop),
        cmocka_unit_test_teardown(a_node_that_moved_is_found_at_its_new_address, stop),
        cmocka_unit_test_teardown(an_up_event_before_the_port_opens_is_no_harm, stop),
        cmocka_unit_test_teardown(a_down_event_of_a_healthy_node_changes_nothing, stop),
        cmocka_unit_test_teardown(different_schemas_are_told_and_waited_for, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
