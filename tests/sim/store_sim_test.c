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
                       .create = create_world,
                       .store = store_of_world,
                       .reopen = reopen_world,
                       .destroy = destroy_world},
    [STORE_EMBEDDED] = {.name = "simulated embedded store",
                        .traits = {.transactional = true, .looks = true, .drops_finished = true},
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

int main(void)
{
    uint64_t seed = test_seed();
    return run_in_task(STORE_CLUSTER, seed) + run_in_task(STORE_EMBEDDED, seed);
}
