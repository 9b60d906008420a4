// The simulated broker against what every bus must do, in both its shapes, and against its own promises.
#include "bus_sim_claims.h"
#include "bus_suite.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

// --- the suite ------------------------------------------------------------------------------------

// cmocka's functions have no argument of ours.
static struct {
    struct sim *sim;
    bool ordered;
    int failed;
} suite;

static void *create_world(void)
{
    struct bus_claim *claim = sim_alloc(suite.sim, sizeof(*claim));
    bus_claim_open(claim, suite.sim, suite.ordered, VARIANT_NONE);
    return claim;
}

static struct bus *bus_of_world(void *world)
{
    return ((struct bus_claim *)world)->bus;
}

static void advance_world(void *world, int64_t us)
{
    bus_claim_advance(world, us);
}

static void destroy_world(void *world)
{
    bus_claim_close(world);
}

static const struct bus_factory factories[] = {
    {.name = "simulated broker",
     .traits = {.counts_attempts = true},
     .create = create_world,
     .bus = bus_of_world,
     .advance = advance_world,
     .destroy = destroy_world},
    {.name = "simulated broker in order",
     .traits = {.ordered = true, .countable = true, .counts_attempts = true},
     .create = create_world,
     .bus = bus_of_world,
     .advance = advance_world,
     .destroy = destroy_world},
};

static void run_suite(void *context)
{
    (void)context;
    // Real threads have no place in a world; publish_ends_the_waits_of_all_tasks claims it of tasks.
    cmocka_set_skip_filter("publish_ends_the_wait_of_another_thread");
    suite.failed += bus_suite_run(&factories[suite.ordered]);
    cmocka_set_skip_filter(NULL);
}

static void run_claims(void *context)
{
    (void)context;
    suite.failed += bus_sim_run_delivery_claims(suite.sim);
    suite.failed += bus_sim_run_fault_claims(suite.sim);
}

static void run_in_task(sim_fn *body, bool ordered, uint64_t seed)
{
    suite.sim = sim_create(seed);
    suite.ordered = ordered;
    (void)task_start(suite.sim, body, NULL);
    while (sim_run_until(suite.sim, INT64_MAX)) {
    }
    sim_destroy(&suite.sim);
}

// --- histories --------------------------------------------------------------------------------------

struct worker {
    struct sim_broker *broker;
};

// Publishes, pulls, and does this and that with what comes.
static void work(void *context)
{
    const struct worker *worker = context;
    struct bus *bus = bus_sim_open(worker->broker);
    struct arena arena;
    assert_int_equal(arena_init(&arena, 1u << 16), ERR_OK);
    for (int round = 0; round < 100; round++) {
        struct bus_outgoing message = {.data = TEXT("body")};
        struct bus_message *messages = NULL;
        size_t count = 0;
        arena_reset(&arena);
        (void)!bus_publish(bus, BUS_ORDERS, &message, 1, NULL);
        (void)!bus_pull(bus, BUS_ORDERS, 5, 1000, &arena, &messages, &count, NULL);
        for (size_t i = 0; i < count; i++) {
            (void)!(i % 3 == 0 ? bus_nack(bus, BUS_ORDERS, &messages[i].handle, 1, NULL)
                               : bus_ack(bus, BUS_ORDERS, &messages[i].handle, 1, NULL));
        }
        (void)!bus_wait(bus, 1000, NULL);
    }
    arena_deinit(&arena);
    bus_close(&bus);
}

static uint64_t digest_of(uint64_t seed, bool ordered)
{
    struct sim *sim = sim_create(seed);
    const struct broker_options options = {.sim = sim,
                                           .ordered = ordered,
                                           .weather = {.delay_max_us = 5000,
                                                       .twice_ppm = 100000,
                                                       .ack_lost_ppm = 100000,
                                                       .ack_failed_ppm = 100000,
                                                       .pull_failed_ppm = 100000,
                                                       .publish_failed_ppm = 100000,
                                                       .latency_max_us = 1000,
                                                       .lease_us = 10000}};
    struct worker worker = {sim_broker_create(&options)};
    for (int i = 0; i < 3; i++) {
        (void)task_start(sim, work, &worker);
    }
    while (sim_run_until(sim, INT64_MAX)) {
    }
    assert_true(sim_broker_faults(worker.broker) > 50);
    uint64_t digest = sim_digest(sim);
    sim_broker_destroy(&worker.broker);
    sim_destroy(&sim);
    return digest;
}

static void same_seed_is_the_same_history_and_another_is_not(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        bool ordered = seed % 2 == 0;
        assert_true(digest_of(seed, ordered) == digest_of(seed, ordered));
        assert_true(digest_of(seed, ordered) != digest_of(seed + 2, ordered));
    }
}

static uint64_t digest_of_one(enum bus_topic topic, const char *body)
{
    struct sim *sim = sim_create(1);
    struct sim_broker *broker = sim_broker_create(&(struct broker_options){.sim = sim});
    sim_broker_publish(broker, topic, text_of(body), (struct attributes){0});
    uint64_t digest = sim_digest(sim);
    sim_broker_destroy(&broker);
    sim_destroy(&sim);
    return digest;
}

static void other_content_is_another_history(void **state)
{
    (void)state;
    assert_true(digest_of_one(BUS_ORDERS, "a") == digest_of_one(BUS_ORDERS, "a"));
    assert_true(digest_of_one(BUS_ORDERS, "a") != digest_of_one(BUS_ORDERS, "b"));
    assert_true(digest_of_one(BUS_ORDERS, "a") != digest_of_one(BUS_PAYMENTS, "a"));
}

static void outside_of_tasks_calls_act_at_once(void **state)
{
    (void)state;
    struct bus_claim claim;
    struct sim *sim = sim_create(1);
    bus_claim_open(&claim, sim, true, VARIANT_UNAWAITED_DEAD_LETTER);
    bus_claim_weather(&claim)->latency_max_us = 1000000;
    assert_int_equal(bus_claim_publish(&claim, BUS_ORDERS_DLQ, 2), ERR_OK);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS_DLQ, 10), 2);
    assert_int_equal(bus_wait(claim.bus, 1000000, &claim.why), ERR_OK);
    assert_int_equal(bus_claim_ack(&claim, BUS_ORDERS_DLQ), ERR_OK);
    assert_int_equal(sim_broker_unacked(claim.broker, BUS_ORDERS_DLQ), 0);
    assert_int_equal(sim_now_us(sim), SIM_EPOCH_US);
    bus_claim_close(&claim);
    sim_destroy(&sim);
}

int main(void)
{
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(same_seed_is_the_same_history_and_another_is_not),
        cmocka_unit_test(other_content_is_another_history),
        cmocka_unit_test(outside_of_tasks_calls_act_at_once),
    };
    uint64_t seed = test_seed();
    suite.failed = cmocka_run_group_tests_name("histories", claims, NULL, NULL);
    run_in_task(run_suite, false, seed);
    run_in_task(run_suite, true, seed);
    run_in_task(run_claims, false, seed);
    return suite.failed;
}
