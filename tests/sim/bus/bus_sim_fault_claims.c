// What goes wrong on purpose: lost and failed calls, doubles, deaths, and the variants.
#include "bus_sim_claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#define SECOND_US INT64_C(1000000)
#define TRIES     200u // of a coin, so that both sides come up: the other case has 2^-200

static struct sim *sim; // cmocka's functions have no argument of ours

static size_t published(const struct bus_claim *claim, enum bus_topic topic)
{
    return sim_broker_message_count(claim->broker, topic);
}

static size_t unacked(const struct bus_claim *claim, enum bus_topic topic)
{
    return sim_broker_unacked(claim->broker, topic);
}

// --- acks -----------------------------------------------------------------------------------------

static void lost_ack_brings_the_message_again(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    bus_claim_weather(&claim)->ack_lost_ppm = CLAIM_ALWAYS;
    bus_claim_fill(&claim, BUS_ORDERS, 3);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 3), 3);
    assert_int_equal(bus_claim_ack(&claim, BUS_ORDERS), ERR_OK);
    assert_int_equal(sim_broker_faults(claim.broker), 3);
    assert_int_equal(unacked(&claim, BUS_ORDERS), 3);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 3), 0);
    bus_claim_advance(&claim, CLAIM_LEASE_US);
    bus_claim_weather(&claim)->ack_lost_ppm = 0;
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 3), 3);
    assert_int_equal(claim.messages[0].delivery_attempt, 2);
    assert_int_equal(bus_claim_ack(&claim, BUS_ORDERS), ERR_OK);
    assert_int_equal(unacked(&claim, BUS_ORDERS), 0);
    bus_claim_close(&claim);
}

static void failed_ack_counts_for_some(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    bus_claim_weather(&claim)->ack_failed_ppm = CLAIM_ALWAYS;
    bus_claim_fill(&claim, BUS_ORDERS, TRIES);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, TRIES), TRIES);
    assert_int_equal(bus_claim_ack(&claim, BUS_ORDERS), ERR_UNAVAILABLE);
    assert_in_range(unacked(&claim, BUS_ORDERS), 1, TRIES - 1);
    bus_claim_close(&claim);
}

static void failed_nack_counts_for_some(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    bus_claim_weather(&claim)->ack_failed_ppm = CLAIM_ALWAYS;
    bus_claim_fill(&claim, BUS_ORDERS, TRIES);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, TRIES), TRIES);
    assert_int_equal(bus_nack(claim.bus, BUS_ORDERS, claim.handles, TRIES, &claim.why),
                     ERR_UNAVAILABLE);
    assert_in_range(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, TRIES), 1, TRIES - 1);
    bus_claim_close(&claim);
}

struct told {
    struct sim *sim;
    size_t count;
    int64_t at_us;
    const struct sim_message *message;
};

static void on_told(void *context, enum bus_topic topic, const struct sim_message *message)
{
    struct told *told = context;
    assert_int_equal(topic, BUS_PAYMENTS);
    told->count++;
    told->at_us = sim_now_us(told->sim);
    told->message = message;
}

static void ack_is_told_when_it_is_called(struct bus_claim *claim, struct told *told)
{
    size_t before = told->count;
    int64_t called_us = sim_now_us(sim);
    (void)bus_claim_ack(claim, BUS_PAYMENTS);
    assert_int_equal(told->count, before + 1);
    assert_int_equal(told->at_us, called_us);
    assert_ptr_equal(told->message, sim_broker_message(claim->broker, BUS_PAYMENTS, 0));
}

static void every_ack_is_told_when_it_is_called_whatever_becomes_of_it(void **state)
{
    (void)state;
    struct bus_claim claim;
    struct told told = {.sim = sim};
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    bus_claim_weather(&claim)->latency_max_us = SECOND_US;
    sim_broker_on_acked(claim.broker, on_told, &told);
    bus_claim_fill(&claim, BUS_PAYMENTS, 1);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_PAYMENTS, 1), 1);
    bus_claim_weather(&claim)->ack_lost_ppm = CLAIM_ALWAYS;
    ack_is_told_when_it_is_called(&claim, &told);
    bus_claim_weather(&claim)->ack_failed_ppm = CLAIM_ALWAYS;
    ack_is_told_when_it_is_called(&claim, &told);
    bus_claim_advance(&claim, CLAIM_LEASE_US);
    *bus_claim_weather(&claim) = bus_claim_calm;
    ack_is_told_when_it_is_called(&claim, &told); // its lease has ended
    assert_int_equal(unacked(&claim, BUS_PAYMENTS), 1);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_PAYMENTS, 1), 1);
    ack_is_told_when_it_is_called(&claim, &told);
    assert_int_equal(unacked(&claim, BUS_PAYMENTS), 0);
    bus_claim_close(&claim);
}

// --- doubles --------------------------------------------------------------------------------------

static void message_is_held_by_two_at_once(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    bus_claim_weather(&claim)->twice_ppm = CLAIM_ALWAYS;
    bus_claim_fill(&claim, BUS_ORDERS, TRIES);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, TRIES), TRIES);
    static struct bus_handle first[TRIES];
    for (size_t i = 0; i < TRIES; i++) {
        first[i] = claim.handles[i];
    }
    bus_claim_weather(&claim)->twice_ppm = 0;
    bus_claim_advance(&claim, CLAIM_LEASE_US / 2);
    size_t doubled = bus_claim_pull(&claim, claim.other, BUS_ORDERS, TRIES);
    assert_in_range(doubled, 1, TRIES - 1);
    assert_int_equal(claim.messages[0].delivery_attempt, 2);
    assert_int_equal(bus_ack(claim.bus, BUS_ORDERS, first, TRIES, &claim.why), ERR_OK);
    assert_int_equal(unacked(&claim, BUS_ORDERS), 0);
    bus_claim_advance(&claim, CLAIM_LEASE_US);
    size_t late = bus_claim_pull(&claim, claim.bus, BUS_ORDERS, TRIES); // although they are acked
    assert_int_equal(doubled + late, TRIES);
    bus_claim_advance(&claim, 2 * CLAIM_LEASE_US);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, TRIES), 0);
    bus_claim_close(&claim);
}

// The second holder's lease goes on, and the first one's handle is as dead as any.
static void of_two_holders_each_has_its_own_lease(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    bus_claim_weather(&claim)->twice_ppm = CLAIM_ALWAYS;
    bus_claim_fill(&claim, BUS_ORDERS, 1);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 1);
    struct bus_handle first = claim.handles[0];
    bus_claim_weather(&claim)->twice_ppm = 0;
    while (bus_claim_pull(&claim, claim.other, BUS_ORDERS, 1) == 0) {
        bus_claim_advance(&claim, CLAIM_LATE_US);
    }
    struct bus_handle second = claim.handles[0];
    assert_int_equal(
        bus_extend(claim.other, BUS_ORDERS, &second, 1, 3 * CLAIM_LEASE_US, &claim.why), ERR_OK);
    bus_claim_advance(&claim, 2 * CLAIM_LEASE_US);
    assert_int_equal(bus_ack(claim.bus, BUS_ORDERS, &first, 1, &claim.why), ERR_OK);
    assert_int_equal(unacked(&claim, BUS_ORDERS), 1);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 0);
    assert_int_equal(bus_ack(claim.other, BUS_ORDERS, &second, 1, &claim.why), ERR_OK);
    assert_int_equal(unacked(&claim, BUS_ORDERS), 0);
    bus_claim_close(&claim);
}

// --- publish and pull -------------------------------------------------------------------------------

static void failed_publish_may_have_published(bool ordered)
{
    struct bus_claim claim;
    size_t none = 0;
    size_t some = 0;
    size_t all = 0;
    bus_claim_open(&claim, sim, ordered, VARIANT_NONE);
    bus_claim_weather(&claim)->publish_failed_ppm = CLAIM_ALWAYS;
    for (size_t i = 0; i < TRIES; i++) {
        size_t before = published(&claim, BUS_ORDERS);
        assert_int_equal(bus_claim_publish(&claim, BUS_ORDERS, 50), ERR_UNAVAILABLE);
        size_t count = published(&claim, BUS_ORDERS) - before;
        none += count == 0;
        some += count > 0 && count < 50;
        all += count == 50;
    }
    assert_int_equal(sim_broker_faults(claim.broker), TRIES);
    assert_true(none > 0 && all > 0);
    assert_true(ordered ? some == 0 : some > 0);
    bus_claim_close(&claim);
}

static void failed_publish_may_have_published_all_or_some(void **state)
{
    (void)state;
    failed_publish_may_have_published(false);
}

static void failed_publish_in_order_has_published_all_or_nothing(void **state)
{
    (void)state;
    failed_publish_may_have_published(true);
}

static void failed_pull_may_have_leased(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    bus_claim_fill(&claim, BUS_ORDERS, TRIES);
    bus_claim_weather(&claim)->pull_failed_ppm = CLAIM_ALWAYS;
    for (size_t i = 0; i < TRIES; i++) {
        arena_reset(&claim.arena);
        assert_int_equal(bus_pull(claim.bus, BUS_ORDERS, 1, 100, &claim.arena, &claim.messages,
                                  &claim.count, &claim.why),
                         ERR_UNAVAILABLE);
    }
    bus_claim_weather(&claim)->pull_failed_ppm = 0;
    size_t left = bus_claim_pull(&claim, claim.bus, BUS_ORDERS, TRIES);
    assert_in_range(left, 1, TRIES - 1);
    bus_claim_advance(&claim, CLAIM_LEASE_US);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, TRIES), TRIES);
    bus_claim_close(&claim);
}

// --- deaths ---------------------------------------------------------------------------------------

struct ghost {
    struct bus_claim *claim;
    struct bus_handle handle;
    size_t closed; // calls that said so
    bool through;
};

static void act_after_death(void *context)
{
    struct ghost *ghost = context;
    struct bus *bus = ghost->claim->bus;
    struct bus_outgoing message = {.data = TEXT("from the dead")};
    struct bus_message *messages = NULL;
    struct bus_backlog backlog;
    size_t count = 0;
    task_kill(task_current(ghost->claim->sim));
    ghost->closed += bus_publish(bus, BUS_ORDERS, &message, 1, NULL) == ERR_CLOSED;
    ghost->closed += bus_pull(bus, BUS_ORDERS, 1, 100, &ghost->claim->arena, &messages, &count,
                              NULL) == ERR_CLOSED;
    ghost->closed += bus_ack(bus, BUS_ORDERS, &ghost->handle, 1, NULL) == ERR_CLOSED;
    ghost->closed += bus_nack(bus, BUS_ORDERS, &ghost->handle, 1, NULL) == ERR_CLOSED;
    ghost->closed += bus_extend(bus, BUS_ORDERS, &ghost->handle, 1, 1, NULL) == ERR_CLOSED;
    ghost->closed += bus_wait(bus, SECOND_US, NULL) == ERR_CLOSED;
    ghost->closed += bus_backlog(bus, BUS_ORDERS, &backlog, NULL) == ERR_CLOSED;
    bus_wake(bus);
    ghost->through = true;
}

static void killed_task_has_no_effect(void **state)
{
    (void)state;
    struct bus_claim claim;
    struct told told = {.sim = sim};
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    sim_broker_on_acked(claim.broker, on_told, &told);
    bus_claim_fill(&claim, BUS_ORDERS, 2);
    assert_int_equal(bus_claim_pull(&claim, claim.other, BUS_ORDERS, 1), 1);
    struct ghost ghost = {.claim = &claim, .handle = claim.handles[0]};
    struct task *task = task_start(sim, act_after_death, &ghost);
    uint64_t deliveries = sim_broker_deliveries(claim.broker);
    uint64_t digest = sim_digest(sim);
    bus_claim_advance(&claim, CLAIM_LATE_US);
    assert_true(task_ended(task) && ghost.through);
    assert_int_equal(ghost.closed, 7);
    assert_true(sim_digest(sim) == digest);
    assert_int_equal(told.count, 0);
    assert_int_equal(published(&claim, BUS_ORDERS), 2);
    assert_int_equal(unacked(&claim, BUS_ORDERS), 2);
    assert_int_equal(sim_broker_deliveries(claim.broker), deliveries);
    assert_int_equal(bus_claim_pull(&claim, claim.other, BUS_ORDERS, 2), 1);
    bus_claim_close(&claim);
}

struct mortal {
    struct bus_claim *claim;
    enum err err;
};

static void publish_and_die(void *context)
{
    struct mortal *mortal = context;
    mortal->err = bus_claim_publish(mortal->claim, BUS_PAYMENTS, 10);
}

static void death_within_a_call_comes_before_or_after_its_effect(void **state)
{
    (void)state;
    struct bus_claim claim;
    size_t done = 0;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    for (size_t i = 0; i < TRIES; i++) {
        struct mortal mortal = {&claim, ERR_OK};
        size_t before = published(&claim, BUS_PAYMENTS);
        task_kill_in_wait(task_start(sim, publish_and_die, &mortal), 1);
        bus_claim_advance(&claim, CLAIM_LATE_US);
        size_t count = published(&claim, BUS_PAYMENTS) - before;
        assert_int_equal(mortal.err, ERR_CLOSED);
        assert_true(count == 0 || count == 10);
        done += count == 10;
    }
    assert_in_range(done, 1, TRIES - 1);
    bus_claim_close(&claim);
}

static void listen_and_die(void *context)
{
    struct mortal *mortal = context;
    mortal->err = bus_wait(mortal->claim->bus, 3600 * SECOND_US, NULL);
}

static void killed_task_leaves_its_wait_at_once(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    struct mortal mortal = {&claim, ERR_OK};
    struct task *task = task_start(sim, listen_and_die, &mortal);
    bus_claim_advance(&claim, 1);
    task_kill(task);
    bus_claim_advance(&claim, 1);
    assert_true(task_ended(task));
    assert_int_equal(mortal.err, ERR_CLOSED);
    bus_claim_fill(&claim, BUS_ORDERS, 1); // wakes nobody
    bus_claim_close(&claim);
}

// --- variants ---------------------------------------------------------------------------------------

static void variant_acks_what_it_pulls_but_no_dead_letters(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_ACK_BEFORE_WRITE);
    for (int topic = 0; topic < BUS_TOPIC_COUNT; topic++) {
        bus_claim_fill(&claim, (enum bus_topic)topic, 5);
        assert_int_equal(bus_claim_pull(&claim, claim.bus, (enum bus_topic)topic, 3), 3);
        assert_int_equal(unacked(&claim, (enum bus_topic)topic), topic <= BUS_PAYMENTS ? 2 : 5);
    }
    bus_claim_close(&claim);
}

struct letter {
    struct bus_claim *claim;
    int64_t lives_us;
    bool said_ok;
};

static void publish_a_letter(void *context)
{
    struct letter *letter = context;
    letter->said_ok = bus_claim_publish(letter->claim, BUS_ORDERS_DLQ, 1) == ERR_OK;
    (void)task_sleep(letter->claim->sim, letter->lives_us);
}

// How many letters of TRIES tasks come out that are killed so long after they began to sleep.
static size_t letters_of_tasks_killed_after(int64_t us)
{
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_UNAWAITED_DEAD_LETTER);
    bus_claim_weather(&claim)->publish_failed_ppm = CLAIM_ALWAYS; // not even that is seen
    for (size_t i = 0; i < TRIES; i++) {
        struct letter letter = {&claim, 10 * SECOND_US, false};
        struct task *task = task_start(sim, publish_a_letter, &letter);
        bus_claim_advance(&claim, CLAIM_LATE_US + us);
        assert_true(letter.said_ok);
        task_kill(task);
        bus_claim_advance(&claim, SECOND_US);
    }
    size_t count = published(&claim, BUS_ORDERS_DLQ);
    bus_claim_close(&claim);
    return count;
}

static void variant_loses_the_letters_of_those_who_die_early(void **state)
{
    (void)state;
    assert_in_range(letters_of_tasks_killed_after(50000), 1, TRIES - 1);
    assert_int_equal(letters_of_tasks_killed_after(SECOND_US), TRIES);
}

static void variant_awaits_everything_else(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_UNAWAITED_DEAD_LETTER);
    assert_int_equal(bus_claim_publish(&claim, BUS_ORDERS, 1), ERR_OK);
    assert_int_equal(published(&claim, BUS_ORDERS), 1);
    bus_claim_close(&claim);
}

int bus_sim_run_fault_claims(struct sim *of)
{
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(lost_ack_brings_the_message_again),
        cmocka_unit_test(failed_ack_counts_for_some),
        cmocka_unit_test(failed_nack_counts_for_some),
        cmocka_unit_test(every_ack_is_told_when_it_is_called_whatever_becomes_of_it),
        cmocka_unit_test(message_is_held_by_two_at_once),
        cmocka_unit_test(of_two_holders_each_has_its_own_lease),
        cmocka_unit_test(failed_publish_may_have_published_all_or_some),
        cmocka_unit_test(failed_publish_in_order_has_published_all_or_nothing),
        cmocka_unit_test(failed_pull_may_have_leased),
        cmocka_unit_test(killed_task_has_no_effect),
        cmocka_unit_test(death_within_a_call_comes_before_or_after_its_effect),
        cmocka_unit_test(killed_task_leaves_its_wait_at_once),
        cmocka_unit_test(variant_acks_what_it_pulls_but_no_dead_letters),
        cmocka_unit_test(variant_loses_the_letters_of_those_who_die_early),
        cmocka_unit_test(variant_awaits_everything_else),
    };
    sim = of;
    return cmocka_run_group_tests_name("faults of the simulated broker", claims, NULL, NULL);
}
