// What Cassandra promises, and what it does not.
#include "projection.h"
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

static void open_calm(struct claim_world *world)
{
    claim_open(world, running, STORE_CLUSTER, VARIANT_NONE);
}

static void pass(int64_t us)
{
    assert_true(task_sleep(running, us));
}

// --- quorums ----------------------------------------------------------------------------------------

static void acknowledged_write_is_seen_with_any_replica_down(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    int64_t order_id = 1;
    for (unsigned down_first = 0; down_first < CLUSTER_REPLICAS; down_first++) {
        for (unsigned down_then = 0; down_then < CLUSTER_REPLICAS; down_then++, order_id++) {
            struct event event = claim_order(order_id, 1);
            cluster_crash(world.cluster, down_first);
            assert_int_equal(claim_insert(&world, &event), ERR_OK);
            pass(TIMEOUT_US);
            assert_int_equal(claim_replicas_with(&world, &event), 2);
            cluster_restart(world.cluster, down_first);
            cluster_crash(world.cluster, down_then);
            for (int i = 0; i < 20; i++) {
                assert_int_equal(claim_read(&world, order_id), 1);
            }
            cluster_restart(world.cluster, down_then);
        }
    }
    claim_close(&world);
}

static void two_replicas_down_are_no_quorum(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    cluster_crash(world.cluster, 0);
    cluster_crash(world.cluster, 2);
    unsigned timeouts = 0;
    for (int64_t i = 1; i <= 64; i++) {
        struct event event = claim_order(i, 1);
        enum err err = claim_insert(&world, &event);
        assert_true(err == ERR_TIMEOUT || err == ERR_UNAVAILABLE);
        assert_int_equal(claim_replicas_with(&world, &event), err == ERR_TIMEOUT);
        timeouts += err == ERR_TIMEOUT;
        assert_int_equal(claim_read(&world, i), -1);
        assert_int_equal(err_class_of(world.why.code), ERR_CLASS_RETRY);
    }
    assert_in_range(timeouts, 10, 54); // both happen
    claim_close(&world);
}

static void write_that_timed_out_is_there_or_not(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    cluster_weather(world.cluster)->lost_ppm = 600000;
    unsigned seen[CLUSTER_REPLICAS + 1] = {0};
    for (int64_t i = 1; i <= 200; i++) {
        struct event event = claim_order(i, 1);
        enum err err = claim_insert(&world, &event);
        assert_true(err == ERR_OK || err == ERR_TIMEOUT);
        pass(TIMEOUT_US);
        unsigned replicas = claim_replicas_with(&world, &event);
        assert_true(err == ERR_OK ? replicas >= 2 : replicas <= 1);
        seen[replicas] += err == ERR_TIMEOUT;
    }
    assert_true(seen[0] > 10 && seen[1] > 10);
    claim_close(&world);
}

static void write_without_an_answer_times_out_and_is_there(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    cluster_weather(world.cluster)->answer_lost_ppm = 1000000;
    struct event event = claim_order(1, 1);
    assert_int_equal(claim_insert(&world, &event), ERR_TIMEOUT);
    assert_int_equal(claim_replicas_with(&world, &event), CLUSTER_REPLICAS);
    assert_int_equal(claim_read(&world, 1), -1);
    claim_close(&world);
}

static void read_goes_to_the_third_replica_when_one_is_silent(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    struct event event = claim_order(1, 1);
    assert_int_equal(claim_insert(&world, &event), ERR_OK);
    cluster_slow_down(world.cluster, 1, 100000); // beyond any time-out
    for (int i = 0; i < 30; i++) {
        int64_t start_us = sim_now_us(running);
        assert_int_equal(claim_read(&world, 1), 1);
        assert_in_range(sim_now_us(running) - start_us, 0, TIMEOUT_US / 3 + 10000);
    }
    claim_close(&world);
}

static void request_under_way_to_a_crashed_replica_is_lost(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    cluster_slow_down(world.cluster, 0, 1000); // arrives after 0.1 s or more
    struct event event = claim_order(1, 1);
    assert_int_equal(claim_insert(&world, &event), ERR_OK);
    cluster_crash(world.cluster, 0);
    cluster_restart(world.cluster, 0);
    pass(TIMEOUT_US);
    assert_false(cluster_has_event(world.cluster, 0, &event));
    assert_int_equal(claim_replicas_with(&world, &event), 2);
    cluster_repair(world.cluster);
    assert_int_equal(claim_replicas_with(&world, &event), 3);
    claim_close(&world);
}

// --- crashes ----------------------------------------------------------------------------------------

static void crash_all(struct claim_world *world)
{
    for (unsigned replica = 0; replica < CLUSTER_REPLICAS; replica++) {
        cluster_crash(world->cluster, replica);
        cluster_restart(world->cluster, replica);
    }
}

static void crash_forgets_nothing(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    struct event event = claim_order(1, 1);
    assert_int_equal(claim_insert(&world, &event), ERR_OK);
    crash_all(&world);
    assert_int_equal(claim_read(&world, 1), 1);
    claim_close(&world);
}

static void periodic_commit_log_forgets_what_is_young(void **state)
{
    (void)state;
    struct claim_world world;
    claim_open(&world, running, STORE_CLUSTER, VARIANT_PERIODIC_COMMIT_LOG);
    struct event old = claim_order(1, 1);
    struct event young = claim_order(2, 1);
    assert_int_equal(claim_insert(&world, &old), ERR_OK);
    pass(1000000); // the commit log's age
    assert_int_equal(claim_insert(&world, &young), ERR_OK);
    crash_all(&world);
    assert_int_equal(claim_read(&world, 1), 1);
    assert_int_equal(claim_read(&world, 2), 0);
    claim_close(&world);
}

// --- projections ------------------------------------------------------------------------------------

static struct sim_fact fact_of(struct claim_world *world, unsigned replicas, int64_t order_id)
{
    struct sim_fact fact;
    cluster_fact(world->cluster, replicas, order_id, &fact);
    return fact;
}

static void assert_fact(struct claim_world *world, unsigned replicas, int64_t order_id,
                        int64_t paid_minor, size_t payments, int64_t n_rows)
{
    struct sim_fact fact = fact_of(world, replicas, order_id);
    assert_true(fact.exists && fact.has_order);
    assert_int_equal(fact.order_total_minor, 1000);
    assert_int_equal(fact.amount_paid_minor, paid_minor);
    assert_int_equal(fact.payment_count, payments);
    assert_int_equal(fact.n_rows, n_rows);
    sim_fact_deinit(&fact);
}

static void insert_of_an_order_carries_its_projection(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    struct event order = claim_order(1, 1);
    assert_int_equal(claim_insert(&world, &order), ERR_OK);
    assert_fact(&world, CLUSTER_ALL, 1, 0, 0, 1);
    struct event payment = claim_payment(1, 11);
    assert_int_equal(claim_apply(&world, &payment), ERR_OK);
    assert_fact(&world, CLUSTER_ALL, 1, 1000, 1, 2);
    assert_int_equal(claim_insert(&world, &order), ERR_OK); // delivered again
    pass(TIMEOUT_US);
    for (unsigned replica = 0; replica < CLUSTER_REPLICAS; replica++) {
        assert_fact(&world, 1u << replica, 1, 1000, 1, 2);
    }
    claim_close(&world);
}

static struct event unversioned(int64_t published_us)
{
    struct order order = claim_order(1, 0).order;
    struct event event;
    event_of_order(&order, published_us, &event);
    return event;
}

// The caller may find a row superfluous; what was read is what the timestamp counts.
static void row_taken_out_still_counts(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    struct event first = unversioned(SIM_EPOCH_US);
    struct incoming again = {.event = unversioned(SIM_EPOCH_US + 1)};
    struct incoming *pointers[] = {&again};
    struct store_group group = {.order_id = 1, .incoming = pointers, .incoming_count = 1};
    assert_int_equal(claim_apply(&world, &first), ERR_OK);
    arena_reset(&world.arena);
    assert_int_equal(store_insert_events(world.store, &group, 1, &world.why), ERR_OK);
    assert_int_equal(store_read_partitions(world.store, &group, 1, &world.arena, &world.why),
                     ERR_OK);
    assert_int_equal(group.row_count, 2);
    group.rows[0] = &again.event;
    group.row_count = 1;
    assert_int_equal(claim_fold(&world, &group), ERR_OK);
    assert_int_equal(store_write_facts(world.store, &group, 1, &world.why), ERR_OK);
    assert_fact(&world, CLUSTER_ALL, 1, 0, 0, 2);
    claim_close(&world);
}

static void own_event_stands_for_its_row_and_a_repetition_is_known(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    struct event order = claim_order(1, 1);
    assert_int_equal(claim_apply(&world, &order), ERR_OK);
    struct incoming incoming[] = {{.event = order}, {.event = order}, {claim_payment(1, 11), 0}};
    struct incoming *pointers[] = {&incoming[0], &incoming[1], &incoming[2]};
    struct store_group group = {.order_id = 1, .incoming = pointers, .incoming_count = 3};
    arena_reset(&world.arena);
    assert_int_equal(store_insert_events(world.store, &group, 1, &world.why), ERR_OK);
    assert_int_equal(store_read_partitions(world.store, &group, 1, &world.arena, &world.why),
                     ERR_OK);
    assert_int_equal(incoming[0].outcome, INSERT_UNKNOWN); // it was there, but nobody looked
    assert_int_equal(incoming[1].outcome, INSERT_KNOWN);
    assert_int_equal(incoming[2].outcome, INSERT_UNKNOWN);
    assert_int_equal(group.row_count, 2);
    assert_ptr_equal(group.rows[0], &incoming[0].event);
    assert_ptr_equal(group.rows[1], &incoming[2].event);
    claim_close(&world);
}

static void set_without_an_order_reaches_no_fact(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    struct event payment = claim_payment(1, 11);
    assert_int_equal(claim_apply(&world, &payment), ERR_OK);
    struct sim_fact fact = fact_of(&world, CLUSTER_ALL, 1);
    assert_false(fact.exists);
    sim_fact_deinit(&fact);
    int64_t *ids = NULL;
    assert_int_equal(cluster_order_ids(world.cluster, &ids), 1);
    assert_int_equal(ids[0], 1);
    free(ids);
    claim_close(&world);
}

static void late_and_doubled_writes_change_nothing(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    struct cluster_weather *weather = cluster_weather(world.cluster);
    weather->late_ppm = 300000;
    weather->twice_ppm = 1000000;
    weather->late_max_us = 60 * TIMEOUT_US;
    for (int64_t version = 1; version <= 20; version++) {
        struct event order = claim_order(1, version);
        struct event payment = claim_payment(1, 10 + version);
        while (claim_apply(&world, &order) != ERR_OK) {
        }
        while (claim_apply(&world, &payment) != ERR_OK) {
        }
    }
    assert_fact(&world, CLUSTER_ALL, 1, 20000, 20, 40);
    *weather = claim_calm;
    pass(200 * TIMEOUT_US); // all that is late has come
    for (unsigned replica = 0; replica < CLUSTER_REPLICAS; replica++) {
        assert_fact(&world, 1u << replica, 1, 20000, 20, 40);
    }
    assert_true(cluster_faults(world.cluster) > 40);
    claim_close(&world);
}

static void older_fold_is_refused(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    struct event order = claim_order(1, 1);
    struct event payment = claim_payment(1, 11);
    assert_int_equal(claim_apply(&world, &order), ERR_OK);
    cluster_set_epoch(world.cluster, 2);
    assert_int_equal(claim_apply(&world, &payment), ERR_SCHEMA);
    store_close(&world.store);
    world.store = store_sim_open(world.cluster, claim_clock(running), 2);
    assert_int_equal(claim_apply(&world, &payment), ERR_OK);
    struct sim_fact fact = fact_of(&world, CLUSTER_ALL, 1);
    assert_true(fact.timestamp >= PROJECTION_TIMESTAMP_BASE + (INT64_C(2) << 32));
    sim_fact_deinit(&fact);
    claim_close(&world);
}

struct watch {
    struct claim_world *world;
    const struct event *order;
    unsigned changes;
};

static void check_atomic(void *context, unsigned replica, int64_t order_id,
                         const struct sim_fact *before, const struct sim_fact *after)
{
    struct watch *watch = context;
    assert_int_equal(order_id, watch->order->order_id);
    assert_true(cluster_has_event(watch->world->cluster, replica, watch->order));
    assert_int_equal(before->exists, false);
    assert_true(after->has_order);
    assert_int_equal(after->n_events, 1);
    watch->changes++;
}

static void mutation_is_atomic_at_each_replica(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    struct event order = claim_order(1, 1);
    struct watch watch = {&world, &order, 0};
    cluster_on_fact_changed(world.cluster, check_atomic, &watch);
    assert_int_equal(claim_insert(&world, &order), ERR_OK);
    pass(TIMEOUT_US);
    assert_int_equal(watch.changes, CLUSTER_REPLICAS);
    assert_int_equal(claim_insert(&world, &order), ERR_OK);
    pass(TIMEOUT_US);
    assert_int_equal(watch.changes, CLUSTER_REPLICAS); // nothing changed
    claim_close(&world);
}

// --- dead letters and buckets ------------------------------------------------------------------------

static void keep_state(const struct dead_letter_record *record, void *context)
{
    *(enum dead_letter_state *)context = record->state;
}

static void healed_letter_stays_healed_whoever_comes_later(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    struct dead_letter_record record = {
        .id = {{1}}, .reason = REASON_E_UNMATCHED, .state = DEAD_LETTER_HEALED};
    assert_int_equal(store_record_dead_letters(world.store, &record, 1, &world.why), ERR_OK);
    record.state = DEAD_LETTER_WAITING;
    record.next_check_us = 5;
    assert_int_equal(store_record_dead_letters(world.store, &record, 1, &world.why), ERR_OK);
    assert_int_equal(store_change_dead_letter(world.store, &record.id, DEAD_LETTER_WAITING, 3, 9, 1,
                                              TEXT("till"), TEXT("no order yet"), &world.why),
                     ERR_OK);
    enum dead_letter_state found = DEAD_LETTER_NEW;
    cluster_visit_dead_letters(world.cluster, CLUSTER_ALL, keep_state, &found);
    assert_int_equal(found, DEAD_LETTER_HEALED);
    struct dead_letter_record *due = NULL;
    size_t count = 9;
    assert_int_equal(
        store_due_dead_letters(world.store, INT64_MAX, 10, &world.arena, &due, &count, &world.why),
        ERR_OK);
    assert_int_equal(count, 0);
    claim_close(&world);
}

static void count_entry(const struct waiting_payment *entry, void *context)
{
    (void)entry;
    ++*(size_t *)context;
}

static size_t waiting_count(struct claim_world *world)
{
    size_t count = 0;
    cluster_visit_waiting(world->cluster, CLUSTER_ALL, count_entry, &count);
    return count;
}

static void entry_in_a_finished_bucket_is_not_waiting(void **state)
{
    (void)state;
    struct claim_world world;
    open_calm(&world);
    struct waiting_payment entry = {
        .due_us = SIM_EPOCH_US, .order_id = 1, .payment_id = 11, .event_id = TEXT("Completed")};
    struct waiting_bucket bucket = {entry.due_us, 0};
    assert_int_equal(store_insert_waiting(world.store, &entry, 1, &world.why), ERR_OK);
    assert_int_equal(waiting_count(&world), 1);
    assert_int_equal(store_close_bucket(world.store, bucket, &world.why), ERR_OK);
    assert_int_equal(waiting_count(&world), 1);
    assert_int_equal(store_finish_bucket(world.store, bucket, &world.why), ERR_OK);
    assert_int_equal(waiting_count(&world), 0);
    assert_int_equal(store_insert_waiting(world.store, &entry, 1, &world.why), ERR_OK);
    bool closed = false;
    assert_int_equal(store_bucket_is_closed(world.store, bucket, &closed, &world.why), ERR_OK);
    assert_true(closed); // it never goes back
    assert_int_equal(waiting_count(&world), 0);
    claim_close(&world);
}

int store_sim_run_cluster_claims(struct sim *sim)
{
    running = sim;
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(acknowledged_write_is_seen_with_any_replica_down),
        cmocka_unit_test(two_replicas_down_are_no_quorum),
        cmocka_unit_test(write_that_timed_out_is_there_or_not),
        cmocka_unit_test(write_without_an_answer_times_out_and_is_there),
        cmocka_unit_test(read_goes_to_the_third_replica_when_one_is_silent),
        cmocka_unit_test(request_under_way_to_a_crashed_replica_is_lost),
        cmocka_unit_test(crash_forgets_nothing),
        cmocka_unit_test(periodic_commit_log_forgets_what_is_young),
        cmocka_unit_test(insert_of_an_order_carries_its_projection),
        cmocka_unit_test(row_taken_out_still_counts),
        cmocka_unit_test(own_event_stands_for_its_row_and_a_repetition_is_known),
        cmocka_unit_test(set_without_an_order_reaches_no_fact),
        cmocka_unit_test(late_and_doubled_writes_change_nothing),
        cmocka_unit_test(older_fold_is_refused),
        cmocka_unit_test(mutation_is_atomic_at_each_replica),
        cmocka_unit_test(healed_letter_stays_healed_whoever_comes_later),
        cmocka_unit_test(entry_in_a_finished_bucket_is_not_waiting),
    };
    return cmocka_run_group_tests_name("simulated cluster", claims, NULL, NULL);
}
