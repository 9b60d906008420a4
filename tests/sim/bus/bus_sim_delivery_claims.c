// What is delivered when, to whom, and in which order, in calm weather.
#include "bus_sim_claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <stdlib.h>

#define SECOND_US INT64_C(1000000)
#define LONG_US   (3600 * SECOND_US)

static struct sim *sim; // cmocka's functions have no argument of ours

// --- order ----------------------------------------------------------------------------------------

static void ordered_bus_numbers_from_one_and_gives_what_expired_first(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, true, VARIANT_NONE);
    assert_true(claim.bus->log_id.size > 0);
    assert_true(text_equal(claim.bus->log_id, claim.other->log_id));
    bus_claim_fill(&claim, BUS_ORDERS, 100);
    bus_claim_fill(&claim, BUS_PAYMENTS, 1);
    for (uint64_t sequence = 1; sequence <= 40; sequence++) {
        assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 1);
        assert_int_equal(claim.messages[0].sequence, sequence);
    }
    bus_claim_advance(&claim, CLAIM_LEASE_US);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, CLAIM_PULL_MAX), 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(claim.messages[i].sequence, i + 1);
        assert_int_equal(claim.messages[i].delivery_attempt, i < 40 ? 2 : 1);
    }
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_PAYMENTS, 1), 1);
    assert_int_equal(claim.messages[0].sequence, 1);
    bus_claim_close(&claim);
}

static void unordered_bus_has_no_numbers_and_mixes(void **state)
{
    (void)state;
    struct bus_claim claim;
    size_t displaced = 0;
    bool seen[100] = {false};
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    assert_int_equal(claim.bus->log_id.size, 0);
    bus_claim_fill(&claim, BUS_ORDERS, 100);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, CLAIM_PULL_MAX), 100);
    for (size_t i = 0; i < 100; i++) {
        uint64_t number = 0;
        assert_int_equal(claim.messages[i].sequence, 0);
        assert_true(text_parse_u64(claim.messages[i].data, &number));
        assert_in_range(number, 1, 100);
        assert_false(seen[number - 1]);
        seen[number - 1] = true;
        displaced += number != i + 1;
    }
    assert_true(displaced > 20);
    bus_claim_close(&claim);
}

static void message_comes_after_its_delay(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    bus_claim_weather(&claim)->delay_max_us = SECOND_US;
    bus_claim_fill(&claim, BUS_ORDERS, 200);
    size_t at_once = bus_claim_pull(&claim, claim.bus, BUS_ORDERS, CLAIM_PULL_MAX);
    bus_claim_advance(&claim, SECOND_US / 2);
    size_t halfway = bus_claim_pull(&claim, claim.bus, BUS_ORDERS, CLAIM_PULL_MAX);
    bus_claim_advance(&claim, SECOND_US / 2);
    size_t later = bus_claim_pull(&claim, claim.bus, BUS_ORDERS, CLAIM_PULL_MAX);
    assert_in_range(at_once, 0, 20);
    assert_in_range(halfway, 50, 150);
    assert_int_equal(at_once + halfway + later, 200);
    bus_claim_close(&claim);
}

static void message_over_the_size_of_a_pull_comes_alone(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    for (int i = 0; i < 3; i++) {
        sim_broker_publish(claim.broker, BUS_ORDERS, TEXT("0123456789"), (struct attributes){0});
    }
    assert_int_equal(bus_pull(claim.bus, BUS_ORDERS, 3, 9, &claim.arena, &claim.messages,
                              &claim.count, &claim.why),
                     ERR_OK);
    assert_int_equal(claim.count, 1);
    assert_int_equal(bus_pull(claim.bus, BUS_ORDERS, 3, 20, &claim.arena, &claim.messages,
                              &claim.count, &claim.why),
                     ERR_OK);
    assert_int_equal(claim.count, 2);
    bus_claim_close(&claim);
}

static void times_rise_in_order_and_may_be_equal_without(void **state)
{
    (void)state;
    for (int ordered = 0; ordered <= 1; ordered++) {
        struct bus_claim claim;
        bus_claim_open(&claim, sim, ordered == 1, VARIANT_NONE);
        bus_claim_fill(&claim, BUS_ORDERS, 1);
        bus_claim_fill(&claim, BUS_PAYMENTS, 1);
        int64_t first_us = sim_broker_message(claim.broker, BUS_ORDERS, 0)->published_us;
        int64_t second_us = sim_broker_message(claim.broker, BUS_PAYMENTS, 0)->published_us;
        assert_int_equal(first_us, sim_now_us(sim));
        assert_int_equal(second_us - first_us, ordered);
        bus_claim_close(&claim);
    }
}

static void pull_without_room_leases_nothing(void **state)
{
    (void)state;
    struct bus_claim claim;
    struct arena small;
    bus_claim_open(&claim, sim, true, VARIANT_NONE);
    bus_claim_fill(&claim, BUS_ORDERS, 2);
    assert_int_equal(arena_init(&small, sizeof(struct bus_message)), ERR_OK);
    assert_int_equal(
        bus_pull(claim.bus, BUS_ORDERS, 2, 1000, &small, &claim.messages, &claim.count, &claim.why),
        ERR_FULL);
    arena_deinit(&small);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 2), 2);
    assert_int_equal(claim.messages[0].delivery_attempt, 1);
    bus_claim_close(&claim);
}

// --- leases ---------------------------------------------------------------------------------------

static void expired_handle_counts_no_more(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    bus_claim_fill(&claim, BUS_ORDERS, 1);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 1);
    struct bus_handle old = claim.handles[0];
    bus_claim_advance(&claim, CLAIM_LEASE_US);
    assert_int_equal(bus_claim_pull(&claim, claim.other, BUS_ORDERS, 1), 1);
    assert_int_equal(bus_ack(claim.bus, BUS_ORDERS, &old, 1, &claim.why), ERR_OK);
    assert_int_equal(sim_broker_unacked(claim.broker, BUS_ORDERS), 1);
    assert_int_equal(bus_nack(claim.bus, BUS_ORDERS, &old, 1, &claim.why), ERR_OK);
    assert_int_equal(bus_extend(claim.bus, BUS_ORDERS, &old, 1, LONG_US, &claim.why), ERR_OK);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 0);
    bus_claim_advance(&claim, CLAIM_LEASE_US);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 1);
    assert_int_equal(claim.messages[0].delivery_attempt, 3);
    bus_claim_close(&claim);
}

static void lease_lasts_to_its_end_and_no_longer(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    bus_claim_weather(&claim)->latency_max_us = 0;
    bus_claim_fill(&claim, BUS_ORDERS, 1);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 1);
    bus_claim_advance(&claim, CLAIM_LEASE_US - 1);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 0);
    bus_claim_advance(&claim, 1);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 1);
    bus_claim_close(&claim);
}

static void extension_may_shorten_a_lease(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    bus_claim_weather(&claim)->latency_max_us = 0;
    bus_claim_fill(&claim, BUS_ORDERS, 1);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 1);
    assert_int_equal(bus_extend(claim.bus, BUS_ORDERS, claim.handles, 1, SECOND_US, &claim.why),
                     ERR_OK);
    bus_claim_advance(&claim, SECOND_US - 1);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 0);
    bus_claim_advance(&claim, 1);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 1);
    bus_claim_close(&claim);
}

static void what_is_shown_outside_stays_where_it_is(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    bus_claim_fill(&claim, BUS_ORDERS, 1);
    const struct sim_message *first = sim_broker_message(claim.broker, BUS_ORDERS, 0);
    bus_claim_fill(&claim, BUS_ORDERS, 5000);
    assert_ptr_equal(sim_broker_message(claim.broker, BUS_ORDERS, 0), first);
    assert_true(text_equal(first->message_id, TEXT("m1")));
    assert_int_equal(sim_broker_message_count(claim.broker, BUS_ORDERS), 5001);
    assert_int_equal(sim_broker_message(claim.broker, BUS_ORDERS, 5000)->sequence, 5001);
    bus_claim_close(&claim);
}

static void backlog_of_a_bus_without_numbers_leaves_published_out(void **state)
{
    (void)state;
    struct bus_claim claim;
    struct bus_backlog backlog = {.published = 7};
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    bus_claim_fill(&claim, BUS_PAYMENTS, 5);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_PAYMENTS, 3), 3);
    assert_int_equal(bus_ack(claim.bus, BUS_PAYMENTS, claim.handles, 1, &claim.why), ERR_OK);
    assert_int_equal(bus_backlog(claim.bus, BUS_PAYMENTS, &backlog, &claim.why), ERR_OK);
    assert_int_equal(backlog.published, 0);
    assert_int_equal(backlog.unacked, 4);
    assert_int_equal(backlog.leased, 2);
    bus_claim_advance(&claim, CLAIM_LEASE_US);
    assert_int_equal(bus_backlog(claim.bus, BUS_PAYMENTS, &backlog, &claim.why), ERR_OK);
    assert_int_equal(backlog.unacked, 4);
    assert_int_equal(backlog.leased, 0);
    bus_claim_close(&claim);
}

static void oldest_of_the_backlog_moves_on_with_the_acks(void **state)
{
    (void)state;
    struct bus_claim claim;
    struct bus_backlog backlog = {0};
    bus_claim_open(&claim, sim, true, VARIANT_NONE);
    bus_claim_fill(&claim, BUS_ORDERS, 3);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 3), 3);
    for (size_t acked = 0; acked < 3; acked++) {
        assert_int_equal(bus_backlog(claim.bus, BUS_ORDERS, &backlog, &claim.why), ERR_OK);
        assert_int_equal(backlog.oldest_unacked_us, claim.messages[acked].published_us);
        assert_int_equal(bus_ack(claim.bus, BUS_ORDERS, &claim.handles[acked], 1, &claim.why),
                         ERR_OK);
    }
    assert_int_equal(bus_backlog(claim.bus, BUS_ORDERS, &backlog, &claim.why), ERR_OK);
    assert_int_equal(backlog.oldest_unacked_us, 0);
    bus_claim_close(&claim);
}

// --- limits ---------------------------------------------------------------------------------------

static enum err publish_sized(struct bus_claim *claim, size_t size, struct attributes attributes)
{
    char *body = calloc(1, size + 1);
    assert_non_null(body);
    struct bus_outgoing message = {{body, size}, attributes};
    enum err err = bus_publish(claim->bus, BUS_ORDERS, &message, 1, &claim->why);
    free(body);
    return err;
}

static enum err publish_pairs(struct bus_claim *claim, size_t count, size_t key_size,
                              size_t value_size)
{
    static char bytes[2000];
    struct attribute items[ATTRIBUTE_COUNT_MAX + 1];
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct attribute){{bytes, key_size}, {bytes, value_size}};
    }
    return publish_sized(claim, 1, (struct attributes){items, count});
}

static void limits_are_those_of_the_true_ones(void **state)
{
    (void)state;
    struct bus_claim claim;
    struct attributes none = {0};
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    assert_int_equal(publish_sized(&claim, 9999999, none), ERR_OK);
    assert_int_equal(publish_sized(&claim, 10000000, none), ERR_OK);
    assert_int_equal(publish_sized(&claim, 10000001, none), ERR_TOO_LARGE);
    assert_int_equal(publish_pairs(&claim, ATTRIBUTE_COUNT_MAX, 1, 0), ERR_OK);
    assert_int_equal(publish_pairs(&claim, ATTRIBUTE_COUNT_MAX + 1, 1, 0), ERR_TOO_LARGE);
    assert_int_equal(publish_pairs(&claim, 1, ATTRIBUTE_KEY_SIZE_MAX, 0), ERR_OK);
    assert_int_equal(publish_pairs(&claim, 1, ATTRIBUTE_KEY_SIZE_MAX + 1, 0), ERR_TOO_LARGE);
    assert_int_equal(publish_pairs(&claim, 1, 0, 1), ERR_TOO_LARGE);
    assert_int_equal(publish_pairs(&claim, 1, 1, ATTRIBUTE_VALUE_SIZE_MAX), ERR_OK);
    assert_int_equal(publish_pairs(&claim, 1, 1, ATTRIBUTE_VALUE_SIZE_MAX + 1), ERR_TOO_LARGE);
    assert_int_equal(sim_broker_message_count(claim.broker, BUS_ORDERS), 5);
    bus_claim_close(&claim);
}

// --- waiting --------------------------------------------------------------------------------------

static int64_t wait_and_measure(struct bus_claim *claim, int64_t timeout_us)
{
    int64_t start_us = sim_now_us(claim->sim);
    assert_int_equal(bus_wait(claim->bus, timeout_us, &claim->why), ERR_OK);
    return sim_now_us(claim->sim) - start_us;
}

static void wait_without_news_takes_as_long_as_was_said(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 0);
    assert_int_equal(wait_and_measure(&claim, LONG_US), LONG_US);
    assert_int_equal(wait_and_measure(&claim, 0), 0);
    assert_in_range(wait_and_measure(&claim, INT64_MAX), 1, INT64_MAX);
    bus_claim_close(&claim);
}

static void publish_between_two_empty_pulls_ends_the_wait(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 0);
    bus_claim_fill(&claim, BUS_ORDERS, 1);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_PAYMENTS, 1), 0);
    assert_in_range(wait_and_measure(&claim, LONG_US), 0, CLAIM_LATE_US);
    bus_claim_close(&claim);
}

static void wake_before_the_wait_ends_it(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 0);
    bus_wake(claim.bus);
    assert_in_range(wait_and_measure(&claim, LONG_US), 0, CLAIM_LATE_US);
    assert_int_equal(bus_claim_pull(&claim, claim.bus, BUS_ORDERS, 1), 0);
    assert_int_equal(wait_and_measure(&claim, LONG_US), LONG_US); // it ends one wait
    bus_claim_close(&claim);
}

// A task that waits once.
struct listener {
    struct bus_claim *claim;
    struct bus *bus;
    int64_t waited_us;
};

static void listen_once(void *context)
{
    struct listener *listener = context;
    int64_t start_us = sim_now_us(listener->claim->sim);
    if (bus_wait(listener->bus, LONG_US, NULL) == ERR_OK) {
        listener->waited_us = sim_now_us(listener->claim->sim) - start_us;
    }
}

static void publish_ends_the_waits_of_all_tasks(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    struct listener listeners[] = {
        {&claim, claim.bus, 0}, {&claim, claim.bus, 0}, {&claim, claim.other, 0}};
    for (size_t i = 0; i < 3; i++) {
        (void)task_start(sim, listen_once, &listeners[i]);
    }
    bus_claim_advance(&claim, SECOND_US);
    bus_claim_fill(&claim, BUS_PAYMENTS_DLQ, 1);
    bus_claim_advance(&claim, 2 * LONG_US);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(listeners[i].waited_us, SECOND_US);
    }
    bus_claim_close(&claim);
}

static void wake_ends_the_waits_of_its_own_process_only(void **state)
{
    (void)state;
    struct bus_claim claim;
    bus_claim_open(&claim, sim, false, VARIANT_NONE);
    struct listener listeners[] = {
        {&claim, claim.bus, 0}, {&claim, claim.bus, 0}, {&claim, claim.other, 0}};
    for (size_t i = 0; i < 3; i++) {
        (void)task_start(sim, listen_once, &listeners[i]);
    }
    bus_claim_advance(&claim, SECOND_US);
    bus_wake(claim.bus);
    bus_claim_advance(&claim, 2 * LONG_US);
    assert_int_equal(listeners[0].waited_us, SECOND_US);
    assert_int_equal(listeners[1].waited_us, SECOND_US);
    assert_int_equal(listeners[2].waited_us, LONG_US);
    bus_claim_close(&claim);
}

int bus_sim_run_delivery_claims(struct sim *of)
{
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(ordered_bus_numbers_from_one_and_gives_what_expired_first),
        cmocka_unit_test(unordered_bus_has_no_numbers_and_mixes),
        cmocka_unit_test(message_comes_after_its_delay),
        cmocka_unit_test(message_over_the_size_of_a_pull_comes_alone),
        cmocka_unit_test(times_rise_in_order_and_may_be_equal_without),
        cmocka_unit_test(pull_without_room_leases_nothing),
        cmocka_unit_test(expired_handle_counts_no_more),
        cmocka_unit_test(lease_lasts_to_its_end_and_no_longer),
        cmocka_unit_test(extension_may_shorten_a_lease),
        cmocka_unit_test(what_is_shown_outside_stays_where_it_is),
        cmocka_unit_test(backlog_of_a_bus_without_numbers_leaves_published_out),
        cmocka_unit_test(oldest_of_the_backlog_moves_on_with_the_acks),
        cmocka_unit_test(limits_are_those_of_the_true_ones),
        cmocka_unit_test(wait_without_news_takes_as_long_as_was_said),
        cmocka_unit_test(publish_between_two_empty_pulls_ends_the_wait),
        cmocka_unit_test(wake_before_the_wait_ends_it),
        cmocka_unit_test(publish_ends_the_waits_of_all_tasks),
        cmocka_unit_test(wake_ends_the_waits_of_its_own_process_only),
    };
    sim = of;
    return cmocka_run_group_tests_name("deliveries of the simulated broker", claims, NULL, NULL);
}
