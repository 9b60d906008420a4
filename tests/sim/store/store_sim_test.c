// The simulated store against what every store must do, in calm weather, and against what Cassandra
// promises and does not promise, in bad weather.
#include "store_sim_claims.h"
#include "store_suite.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <stdlib.h>

// --- the suite ------------------------------------------------------------------------------------

// cmocka's functions have no argument of ours.
static struct {
    struct sim *sim;
    enum store_shape shape;
    int failed;
} suite;

struct suite_world {
    struct cluster *cluster;
    struct store *store;
};

static struct store *open_named(struct suite_world *world)
{
    world->store = store_sim_open(world->cluster, claim_clock(suite.sim), 1);
    store_sim_set_name(world->store, TEXT("lane of the suite"));
    return world->store;
}

static void *create_world(void)
{
    struct suite_world *world = sim_alloc(suite.sim, sizeof(*world));
    struct cluster_options options = {
        .sim = suite.sim, .shape = suite.shape, .weather = claim_calm};
    world->cluster = cluster_create(&options);
    (void)open_named(world);
    return world;
}

static struct store *store_of_world(void *world)
{
    return ((struct suite_world *)world)->store;
}

static struct store *reopen_world(void *context)
{
    struct suite_world *world = context;
    store_close(&world->store);
    return open_named(world);
}

static void destroy_world(void *context)
{
    store_close(&((struct suite_world *)context)->store);
}

static const struct store_factory factories[] = {
    [STORE_CLUSTER] = {.name = "simulated cluster",
                       .traits = {.keeps_ledger = true},
                       .create = create_world,
                       .store = store_of_world,
                       .reopen = reopen_world,
                       .destroy = destroy_world},
    [STORE_EMBEDDED] = {.name = "simulated embedded store",
                        .traits = {.transactional = true,
                                   .looks = true,
                                   .keeps_ledger = true,
                                   .drops_finished = true},
                        .create = create_world,
                        .store = store_of_world,
                        .reopen = reopen_world,
                        .destroy = destroy_world},
};

static void run_suite(void *context)
{
    (void)context;
    suite.failed = store_suite_run(&factories[suite.shape]);
    if (suite.shape == STORE_CLUSTER) {
        suite.failed += store_sim_run_cluster_claims(suite.sim);
        suite.failed += store_sim_run_process_claims(suite.sim);
    }
}

static int run_in_task(enum store_shape shape, uint64_t seed)
{
    suite.sim = sim_create(seed);
    suite.shape = shape;
    (void)task_start(suite.sim, run_suite, NULL);
    while (sim_run_until(suite.sim, INT64_MAX)) {
    }
    sim_destroy(&suite.sim);
    return suite.failed;
}

// --- the same seed ----------------------------------------------------------------------------------

static void work_in_bad_weather(void *context)
{
    struct sim *sim = context;
    struct claim_world world;
    claim_open(&world, sim, STORE_CLUSTER, VARIANT_NONE);
    struct cluster_weather *weather = cluster_weather(world.cluster);
    weather->late_ppm = weather->lost_ppm = weather->twice_ppm = weather->answer_lost_ppm = 100000;
    weather->late_max_us = 10000000;
    for (int64_t i = 1; i <= 100; i++) {
        struct event order = claim_order(i % 10 + 1, i);
        struct event payment = claim_payment(i % 7 + 1, i);
        (void)claim_apply(&world, &order);
        (void)claim_apply(&world, &payment);
    }
    claim_close(&world);
}

static uint64_t digest_of(uint64_t seed)
{
    struct sim *sim = sim_create(seed);
    (void)task_start(sim, work_in_bad_weather, sim);
    while (sim_run_until(sim, INT64_MAX)) {
    }
    uint64_t digest = sim_digest(sim);
    sim_destroy(&sim);
    return digest;
}

static void same_seed_is_the_same_history(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        assert_true(digest_of(seed) == digest_of(seed));
        assert_true(digest_of(seed) != digest_of(seed + 1));
    }
}

int main(void)
{
    const struct CMUnitTest claims[] = {cmocka_unit_test(same_seed_is_the_same_history)};
    int failed = cmocka_run_group_tests_name("history", claims, NULL, NULL);
    uint64_t seed = test_seed();
    failed += run_in_task(STORE_CLUSTER, seed);
    return failed + run_in_task(STORE_EMBEDDED, seed);
}
