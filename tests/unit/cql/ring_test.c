// The ring and its replicas: known small rings, the corners of NetworkTopologyStrategy, and random ones beside
// a naive way to find the same.
#include "cql_bytes.h"
#include "cql_ring.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

#define NODES_CAP 64

static struct arena arena;
static struct cql_ring ring;
static struct cql_replica_map map;

static int start(void **state)
{
    (void)state;
    return arena_init(&arena, 16u << 20) == ERR_OK ? 0 : -1;
}

static int stop(void **state)
{
    arena_deinit(&arena);
    return bytes_release(state);
}

static struct cql_ring_node node_of(const char *dc, const char *rack, const int64_t *token)
{
    return (struct cql_ring_node){text_of(dc), text_of(rack), token, 1};
}

static void build(const struct cql_ring_node *nodes, size_t count)
{
    assert_int_equal(cql_ring_build(&ring, nodes, count, &arena), ERR_OK);
}

static struct cql_replication network(uint32_t dc1, uint32_t dc2)
{
    struct cql_replication replication = {.strategy = CQL_STRATEGY_NETWORK, .dc_count = 2};
    replication.dcs[0].name = TEXT("dc1");
    replication.dcs[0].factor = dc1;
    replication.dcs[1].name = TEXT("dc2");
    replication.dcs[1].factor = dc2;
    return replication;
}

static void replicate(struct cql_replication replication)
{
    assert_int_equal(cql_replica_map_build(&map, &ring, &replication, &arena), ERR_OK);
}

static void expect_replicas(int64_t token, const uint32_t *expected, size_t expected_count)
{
    size_t count = 0;
    const uint32_t *nodes = cql_replicas(&map, cql_ring_find(&ring, token), &count);
    assert_int_equal(count, expected_count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(nodes[i], expected[i]);
    }
}
#define EXPECT_REPLICAS(token, ...)                                                                \
    expect_replicas((token), (const uint32_t[]){__VA_ARGS__},                                      \
                    sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static const int64_t tokens[] = {-300, -100, 0, 100, 300, 500};

static void owner_has_the_first_token_not_below_the_keys(void **state)
{
    (void)state;
    const struct cql_ring_node nodes[] = {node_of("dc1", "r", &tokens[3]),
                                          node_of("dc1", "r", &tokens[1]),
                                          node_of("dc1", "r", &tokens[2])};
    build(nodes, 3);
    assert_int_equal(ring.token_count, 3);
    static const struct {
        int64_t token;
        uint32_t owner;
    } cases[] = {{INT64_MIN, 1}, {-101, 1}, {-100, 1}, {-99, 2},      {0, 2},
                 {1, 0},         {100, 0},  {101, 1},  {INT64_MAX, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(ring.tokens[cql_ring_find(&ring, cases[i].token)].node, cases[i].owner);
    }
}

static void simple_strategy_takes_the_next_nodes(void **state)
{
    (void)state;
    static const int64_t own[] = {0, 20, 10, 30, 40};
    const struct cql_ring_node nodes[] = {
        {TEXT("dc1"), TEXT("r"), own, 2}, // 0 and 20
        {TEXT("dc2"), TEXT("r"), own + 2, 1},
        {TEXT("dc1"), TEXT("r"), own + 3, 2},
    };
    build(nodes, 3);
    replicate((struct cql_replication){.strategy = CQL_STRATEGY_SIMPLE, .factor = 2});
    EXPECT_REPLICAS(0, 0, 1);
    EXPECT_REPLICAS(10, 1, 0);
    EXPECT_REPLICAS(20, 0, 2);
    EXPECT_REPLICAS(30, 2, 0);
    EXPECT_REPLICAS(41, 0, 1);
    replicate((struct cql_replication){.strategy = CQL_STRATEGY_SIMPLE, .factor = 9});
    EXPECT_REPLICAS(10, 1, 0, 2); // no more than there are nodes
}

static void network_strategy_prefers_racks_that_have_none(void **state)
{
    (void)state;
    const struct cql_ring_node nodes[] = {
        node_of("dc1", "r1", &tokens[0]), node_of("dc1", "r1", &tokens[1]),
        node_of("dc1", "r2", &tokens[2]), node_of("dc2", "r1", &tokens[3]),
        node_of("dc1", "r3", &tokens[4]), node_of("dc2", "r1", &tokens[5])};
    build(nodes, 6);
    replicate(network(3, 1));
    EXPECT_REPLICAS(-300, 0, 2, 3, 4);
    EXPECT_REPLICAS(-200, 1, 2, 3, 4);
    EXPECT_REPLICAS(50, 3, 4, 0, 2); // 1 is of the rack of 0
    EXPECT_REPLICAS(400, 5, 0, 2, 4);
}

static void fewer_racks_than_replicas_are_filled_by_the_next_nodes(void **state)
{
    (void)state;
    const struct cql_ring_node nodes[] = {
        node_of("dc1", "r1", &tokens[0]), node_of("dc1", "r1", &tokens[1]),
        node_of("dc1", "r1", &tokens[2]), node_of("dc1", "r2", &tokens[3])};
    build(nodes, 4);
    replicate(network(3, 0));
    EXPECT_REPLICAS(-300, 0, 1, 3); // one more of r1, but no third as long as r2 has none
    EXPECT_REPLICAS(50, 3, 0, 1);
}

static void more_replicas_than_nodes_are_all_nodes_once(void **state)
{
    (void)state;
    const struct cql_ring_node nodes[] = {node_of("dc1", "r1", &tokens[0]),
                                          node_of("dc1", "r1", &tokens[1]),
                                          node_of("dc2", "r1", &tokens[2])};
    build(nodes, 3);
    replicate(network(5, 7));
    EXPECT_REPLICAS(-300, 0, 1, 2);
    EXPECT_REPLICAS(0, 2, 0, 1);
    replicate(network(0, 0));
    size_t count = 9;
    (void)cql_replicas(&map, 0, &count);
    assert_int_equal(count, 0);
}

static void data_centre_that_is_not_there_has_no_replicas(void **state)
{
    (void)state;
    const struct cql_ring_node nodes[] = {node_of("dc1", "r1", &tokens[0])};
    build(nodes, 1);
    replicate(network(1, 3));
    EXPECT_REPLICAS(5, 0);
}

static void unknown_strategy_gives_the_owner_and_local_ones_everybody(void **state)
{
    (void)state;
    const struct cql_ring_node nodes[] = {node_of("dc1", "r1", &tokens[0]),
                                          node_of("dc1", "r1", &tokens[1])};
    build(nodes, 2);
    replicate((struct cql_replication){.strategy = CQL_STRATEGY_OTHER});
    EXPECT_REPLICAS(-100, 1);
    replicate((struct cql_replication){.strategy = CQL_STRATEGY_ALL});
    EXPECT_REPLICAS(-100, 1, 0);
}

static void token_of_two_nodes_is_the_first_ones(void **state)
{
    (void)state;
    const struct cql_ring_node nodes[] = {node_of("dc1", "r1", &tokens[2]),
                                          node_of("dc1", "r1", &tokens[2]),
                                          {TEXT("dc1"), TEXT("r1"), NULL, 0}};
    build(nodes, 3);
    assert_int_equal(ring.token_count, 1);
    assert_int_equal(ring.tokens[0].node, 0);
}

static void ring_above_the_limits_is_refused(void **state)
{
    (void)state;
    static struct cql_ring_node nodes[CQL_RING_NODES_MAX + 1];
    for (size_t i = 0; i <= CQL_RING_NODES_MAX; i++) {
        nodes[i] = node_of("dc1", "r1", &tokens[0]);
    }
    assert_int_equal(cql_ring_build(&ring, nodes, CQL_RING_NODES_MAX - 1, &arena), ERR_OK);
    assert_int_equal(cql_ring_build(&ring, nodes, CQL_RING_NODES_MAX, &arena), ERR_OK);
    assert_int_equal(cql_ring_build(&ring, nodes, CQL_RING_NODES_MAX + 1, &arena), ERR_TOO_LARGE);
    nodes[0].token_count = CQL_RING_TOKENS_MAX + 1;
    assert_int_equal(cql_ring_build(&ring, nodes, 1, &arena), ERR_TOO_LARGE);
}

static void no_room_is_told(void **state)
{
    (void)state;
    const struct cql_ring_node nodes[] = {node_of("dc1", "r1", &tokens[0]),
                                          node_of("dc1", "r1", &tokens[1])};
    bool done = false;
    for (size_t cap = 16; !done; cap += 16) {
        struct arena small;
        assert_int_equal(arena_init(&small, cap), ERR_OK);
        const struct cql_replication replication = network(2, 0);
        enum err err = cql_ring_build(&ring, nodes, 2, &small);
        if (err == ERR_OK) {
            err = cql_replica_map_build(&map, &ring, &replication, &small);
        }
        assert_true(err == ERR_OK || err == ERR_NO_MEMORY);
        done = err == ERR_OK;
        arena_deinit(&small);
        assert_true(cap < 4096);
    }
}

// --- beside a naive way ---------------------------------------------------------------------------

// Which replicas of one data centre: first one of each rack as they come, then the rest as they come; what
// earlier versions of Cassandra did, which gives the same set.
static size_t naive(const struct cql_ring_node *nodes, size_t count, size_t range, struct text dc,
                    uint32_t factor, bool *out_member)
{
    size_t found = 0;
    struct text racks[NODES_CAP];
    for (unsigned pass = 0; pass < 2; pass++) {
        size_t rack_count = 0;
        for (size_t step = 0; step < ring.token_count && found < factor; step++) {
            const uint32_t node = ring.tokens[(range + step) % ring.token_count].node;
            if (!text_equal(nodes[node].dc, dc) || out_member[node]) {
                continue;
            }
            size_t i = 0;
            while (i < rack_count && !text_equal(racks[i], nodes[node].rack)) {
                i++;
            }
            if (pass == 1 || i == rack_count) {
                out_member[node] = true;
                found++;
                racks[rack_count++ % NODES_CAP] = nodes[node].rack;
            }
        }
    }
    (void)count;
    return found;
}

static void random_rings_agree_with_a_naive_walk(void **state)
{
    (void)state;
    static const char *const names[] = {"dc1", "dc2", "dc3"};
    static const char *const racks[] = {"r1", "r2", "r3", "r4"};
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (unsigned round = 0; round < 300; round++) {
        struct cql_ring_node nodes[NODES_CAP];
        static int64_t own[NODES_CAP][8];
        const size_t count = 1 + rand_below(&rand, 20);
        const size_t rack_count = 1 + rand_below(&rand, 4);
        for (size_t i = 0; i < count; i++) {
            const size_t token_count = 1 + rand_below(&rand, 8);
            for (size_t k = 0; k < token_count; k++) {
                own[i][k] = (int64_t)rand_u64(&rand);
            }
            nodes[i] = (struct cql_ring_node){text_of(names[rand_below(&rand, 3)]),
                                              text_of(racks[rand_below(&rand, rack_count)]), own[i],
                                              token_count};
        }
        arena_reset(&arena);
        build(nodes, count);
        const uint32_t factors[] = {(uint32_t)rand_below(&rand, 6), (uint32_t)rand_below(&rand, 6)};
        replicate(network(factors[0], factors[1]));
        for (size_t range = 0; range < ring.token_count; range++) {
            bool member[NODES_CAP] = {false};
            size_t found = 0;
            const size_t expected = naive(nodes, count, range, TEXT("dc1"), factors[0], member) +
                                    naive(nodes, count, range, TEXT("dc2"), factors[1], member);
            const uint32_t *replicas = cql_replicas(&map, range, &found);
            assert_int_equal(found, expected);
            for (size_t i = 0; i < found; i++) {
                assert_true(member[replicas[i]]);
                member[replicas[i]] = false; // each once
            }
        }
    }
}

// --- the description of a keyspace ----------------------------------------------------------------

static struct cql_cell options_of(const char *const *texts)
{
    static char memory[4096];
    struct cql_values values;
    cql_values_init(&values, memory, sizeof(memory));
    cql_bind_map_begin(&values);
    for (; *texts; texts++) {
        cql_bind_text(&values, text_of(*texts));
    }
    cql_bind_end(&values);
    return cql_values_at(cql_values_view(&values), 0);
}
#define OPTIONS(...) options_of((const char *const[]){__VA_ARGS__, NULL})

static void replication_of_a_keyspace_is_read(void **state)
{
    (void)state;
    struct cql_replication replication;
    assert_true(cql_replication_read(
        OPTIONS("class", "org.apache.cassandra.locator.SimpleStrategy", "replication_factor", "3"),
        &replication));
    assert_int_equal(replication.strategy, CQL_STRATEGY_SIMPLE);
    assert_int_equal(replication.factor, 3);
    assert_true(cql_replication_read(
        OPTIONS("dc1", "3", "class", "NetworkTopologyStrategy", "dc2", "5/2"), &replication));
    assert_int_equal(replication.strategy, CQL_STRATEGY_NETWORK);
    assert_int_equal(replication.dc_count, 2);
    assert_true(text_equal(replication.dcs[0].name, TEXT("dc1")));
    assert_int_equal(replication.dcs[0].factor, 3);
    assert_int_equal(replication.dcs[1].factor, 5);
    assert_true(cql_replication_read(OPTIONS("class", "org.apache.cassandra.locator.LocalStrategy"),
                                     &replication));
    assert_int_equal(replication.strategy, CQL_STRATEGY_ALL);
    assert_true(cql_replication_read(OPTIONS("class", "com.example.Odd", "x", "y"), &replication));
    assert_int_equal(replication.strategy, CQL_STRATEGY_OTHER);
}

static void replication_without_sense_is_refused(void **state)
{
    (void)state;
    struct cql_replication replication;
    assert_false(cql_replication_read((struct cql_cell){.presence = CQL_NULL}, &replication));
    assert_false(cql_replication_read(OPTIONS("dc1", "3"), &replication));
    assert_false(cql_replication_read(OPTIONS("class", "NetworkTopologyStrategy", "dc1", "three"),
                                      &replication));
    assert_false(cql_replication_read(
        OPTIONS("class", "SimpleStrategy", "replication_factor", "-1"), &replication));
    const struct cql_cell whole = OPTIONS("class", "NetworkTopologyStrategy", "dc1", "3");
    for (size_t size = 0; size < whole.bytes.size; size++) {
        const struct cql_cell cut = {.bytes = bytes_copy((struct text){whole.bytes.data, size})};
        assert_false(cql_replication_read(cut, &replication));
    }
}

static void replication_of_32_data_centres_is_the_most(void **state)
{
    (void)state;
    static char names[40][8];
    for (size_t count = 31; count <= 33; count++) {
        const char *texts[100] = {"class", "NetworkTopologyStrategy"};
        for (size_t i = 0; i < count; i++) {
            (void)snprintf(names[i], sizeof(names[i]), "dc%zu", i);
            texts[2 + 2 * i] = names[i];
            texts[3 + 2 * i] = "1";
        }
        struct cql_replication replication;
        assert_int_equal(cql_replication_read(options_of(texts), &replication),
                         count <= CQL_REPLICATION_DC_MAX);
    }
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(owner_has_the_first_token_not_below_the_keys),
        RING_TEST(simple_strategy_takes_the_next_nodes),
        RING_TEST(network_strategy_prefers_racks_that_have_none),
        RING_TEST(fewer_racks_than_replicas_are_filled_by_the_next_nodes),
        RING_TEST(more_replicas_than_nodes_are_all_nodes_once),
        RING_TEST(data_centre_that_is_not_there_has_no_replicas),
        RING_TEST(unknown_strategy_gives_the_owner_and_local_ones_everybody),
        RING_TEST(token_of_two_nodes_is_the_first_ones),
        RING_TEST(ring_above_the_limits_is_refused),
        RING_TEST(no_room_is_told),
        RING_TEST(random_rings_agree_with_a_naive_walk),
        RING_TEST(replication_of_a_keyspace_is_read),
        RING_TEST(replication_without_sense_is_refused),
        RING_TEST(replication_of_32_data_centres_is_the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
