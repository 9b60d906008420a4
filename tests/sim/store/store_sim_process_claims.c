// Processes that die in the middle of a call, and SQLite's shape.
#include "store_sim_claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <stdlib.h>

static struct sim *running; // cmocka's functions take no argument of ours

#define TIMEOUT_US INT64_C(2000000)

static void pass(int64_t us)
{
    assert_true(task_sleep(running, us));
}

// A process of its own: applies one event, in a session of its own.
struct process {
    struct claim_world *world;
    struct event event;
    struct claim_world own; // same cluster, another session
    enum err result;
    bool began_only;
};

static void run_process(void *context)
{
    struct process *process = context;
    struct claim_world *own = &process->own;
    *own = (struct claim_world){.sim = running, .cluster = process->world->cluster};
    own->store = store_sim_open(own->cluster, claim_clock(running), 1);
    if (arena_init(&own->arena, (size_t)1 << 20) != ERR_OK) {
        abort();
    }
    if (process->began_only) {
        process->result = store_begin(own->store, &own->why);
        while (task_sleep(running, TIMEOUT_US)) {
        }
    } else {
        process->result = claim_apply(own, &process->event);
    }
    arena_deinit(&own->arena);
    if (!process->began_only) { // that one leaves without a word
        store_close(&own->store);
    }
}

static void calls_of_a_dead_process_do_nothing(void **state)
{
    (void)state;
    for (int shape = STORE_CLUSTER; shape <= STORE_EMBEDDED; shape++) {
        struct claim_world world;
        claim_open(&world, running, (enum store_shape)shape, VARIANT_NONE);
        struct process process = {.world = &world, .event = claim_order(1, 1)};
        struct task *task = task_start(running, run_process, &process);
        task_kill(task);
        pass(TIMEOUT_US);
        assert_true(task_ended(task));
        assert_int_equal(process.result, ERR_CLOSED);
        assert_int_equal(claim_replicas_with(&world, &process.event), 0);
        claim_close(&world);
    }
}

// Killed at every moment of its way: what it had sent arrives, and the facts are there when the event is.
static void dead_process_leaves_requests_that_still_arrive(void **state)
{
    (void)state;
    struct claim_world world;
    claim_open(&world, running, STORE_CLUSTER, VARIANT_NONE);
    unsigned written = 0;
    for (int64_t i = 1; i <= 40; i++) {
        struct process process = {.world = &world, .event = claim_payment(i, 11)};
        struct task *task = task_start(running, run_process, &process);
        pass(i * 100);
        task_kill(task);
        pass(TIMEOUT_US);
        assert_true(task_ended(task));
        written += process.result != ERR_OK &&
                   claim_replicas_with(&world, &process.event) == CLUSTER_REPLICAS;
    }
    assert_in_range(written, 5, 40);
    claim_close(&world);
}

static void transaction_is_done_at_once_or_not_at_all(void **state)
{
    (void)state;
    struct claim_world world;
    claim_open(&world, running, STORE_EMBEDDED, VARIANT_NONE);
    unsigned done[2] = {0};
    for (int64_t i = 1; i <= 60; i++) {
        struct process process = {.world = &world, .event = claim_order(i, 1)};
        struct task *task = task_start(running, run_process, &process);
        pass(i * 100);
        bool there_before = cluster_has_event(world.cluster, 0, &process.event);
        task_kill(task);
        pass(TIMEOUT_US);
        bool there = cluster_has_event(world.cluster, 0, &process.event);
        struct sim_fact fact;
        cluster_fact(world.cluster, 1, i, &fact);
        assert_int_equal(there, there_before); // a dead process does not commit
        assert_int_equal(fact.exists, there);
        assert_true(there || process.result == ERR_CLOSED);
        sim_fact_deinit(&fact);
        done[there]++;
    }
    assert_true(done[0] > 10 && done[1] > 10);
    claim_close(&world);
}

static void dead_writer_holds_nobody_up(void **state)
{
    (void)state;
    struct claim_world world;
    claim_open(&world, running, STORE_EMBEDDED, VARIANT_NONE);
    struct process process = {.world = &world, .began_only = true};
    struct task *task = task_start(running, run_process, &process);
    pass(10000);
    assert_int_equal(process.result, ERR_OK);
    assert_int_equal(store_begin(world.store, &world.why), ERR_BUSY);
    task_kill(task);
    assert_int_equal(store_begin(world.store, &world.why), ERR_OK);
    store_rollback(process.own.store); // as one that unwinds late: it takes nobody's lock with it
    struct event order = claim_order(1, 1);
    struct waiting_bucket bucket = {SIM_EPOCH_US, 0};
    assert_int_equal(store_close_bucket(world.store, bucket, &world.why), ERR_OK);
    store_rollback(world.store);
    assert_int_equal(claim_apply(&world, &order), ERR_OK);
    assert_int_equal(claim_replicas_with(&world, &order), CLUSTER_REPLICAS);
    claim_close(&world);
}

static void transaction_sees_what_it_wrote_and_others_do_not(void **state)
{
    (void)state;
    struct claim_world world;
    claim_open(&world, running, STORE_EMBEDDED, VARIANT_NONE);
    struct waiting_payment entry = {.due_us = SIM_EPOCH_US, .order_id = 1, .payment_id = 11};
    struct waiting_bucket bucket = {entry.due_us, 0};
    struct store *other = store_sim_open(world.cluster, claim_clock(running), 1);
    bool closed = false;
    assert_int_equal(store_begin(world.store, &world.why), ERR_OK);
    assert_int_equal(store_insert_waiting(world.store, &entry, 1, &world.why), ERR_OK);
    assert_int_equal(store_close_bucket(world.store, bucket, &world.why), ERR_OK);
    assert_int_equal(store_bucket_is_closed(world.store, bucket, &closed, &world.why), ERR_OK);
    assert_true(closed);
    assert_int_equal(store_bucket_is_closed(other, bucket, &closed, &world.why), ERR_OK);
    assert_false(closed);
    store_rollback(world.store);
    assert_int_equal(store_bucket_is_closed(world.store, bucket, &closed, &world.why), ERR_OK);
    assert_false(closed);
    store_close(&other);
    claim_close(&world);
}

int store_sim_run_process_claims(struct sim *sim)
{
    running = sim;
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(calls_of_a_dead_process_do_nothing),
        cmocka_unit_test(dead_process_leaves_requests_that_still_arrive),
        cmocka_unit_test(transaction_is_done_at_once_or_not_at_all),
        cmocka_unit_test(dead_writer_holds_nobody_up),
        cmocka_unit_test(transaction_sees_what_it_wrote_and_others_do_not),
    };
    return cmocka_run_group_tests_name("processes of the simulated store", claims, NULL, NULL);
}
