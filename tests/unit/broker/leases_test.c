// The window of leases by itself: growth, its limit, and what survives a restart.
#include "leases.h"

#include "broker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#define DEADLINE_NS 1000

static struct leases make(uint64_t floor)
{
    struct leases leases;
    assert_int_equal(leases_init(&leases, floor, 0), ERR_OK);
    return leases;
}

// Grants up to count fresh messages of a topic that ends at last_seq; how many there were.
static size_t grant_fresh(struct leases *leases, uint64_t last_seq, size_t count)
{
    size_t total = 0;
    while (total < count) {
        uint64_t first = 0;
        size_t run = 0;
        assert_int_equal(leases_fresh_run(leases, last_seq, count - total, &first, &run), ERR_OK);
        for (size_t i = 0; i < run; i++) {
            assert_int_equal(leases_grant(leases, first + i, DEADLINE_NS), 1);
        }
        total += run;
        if (run == 0) {
            break;
        }
    }
    return total;
}

static void ack_seq(struct leases *leases, uint64_t seq)
{
    uint64_t handle = leases_handle(seq, 1);
    assert_true(leases_ack(leases, &handle, 1, 0));
}

static void window_is_full_at_its_limit_and_opens_by_one_ack(void **state)
{
    (void)state;
    struct leases leases = make(0);
    const uint64_t plenty = BROKER_OUTSTANDING_MAX * 2u;
    assert_int_equal(grant_fresh(&leases, plenty, BROKER_OUTSTANDING_MAX - 1),
                     BROKER_OUTSTANDING_MAX - 1);
    assert_int_equal(grant_fresh(&leases, plenty, 2), 1);
    assert_int_equal(grant_fresh(&leases, plenty, 1), 0);
    ack_seq(&leases, 2); // not the oldest: the window keeps its length
    assert_int_equal(grant_fresh(&leases, plenty, 1), 0);
    ack_seq(&leases, 1);
    assert_int_equal(leases.floor, 2);
    assert_int_equal(grant_fresh(&leases, plenty, 3), 2);
    assert_int_equal(leases.next, BROKER_OUTSTANDING_MAX + 3);
    leases_deinit(&leases);
}

static void full_window_still_gives_redeliveries(void **state)
{
    (void)state;
    struct leases leases = make(0);
    const uint64_t plenty = BROKER_OUTSTANDING_MAX * 2u;
    assert_int_equal(grant_fresh(&leases, plenty, plenty), BROKER_OUTSTANDING_MAX);
    leases_expire(&leases, DEADLINE_NS);
    uint64_t first = 0;
    assert_int_equal(leases_waiting_run(&leases, SIZE_MAX, &first), BROKER_OUTSTANDING_MAX);
    assert_int_equal(first, 1);
    assert_int_equal(leases_grant(&leases, 1, 2 * DEADLINE_NS), 2);
    assert_int_equal(leases_waiting_run(&leases, 1, &first), 1);
    assert_int_equal(first, 2);
    leases_deinit(&leases);
}

static void growth_keeps_every_lease(void **state)
{
    (void)state;
    struct leases leases = make(1000003); // not at a multiple of any ring size
    assert_int_equal(grant_fresh(&leases, 2000000, 700), 700);
    ack_seq(&leases, 1000005);
    assert_int_equal(grant_fresh(&leases, 2000000, 50000), 50000);
    for (uint64_t seq = 1000004; seq < leases.next; seq++) {
        uint64_t handle = leases_handle(seq, 1);
        assert_int_equal(leases_ack(&leases, &handle, 1, 0), seq != 1000005);
    }
    assert_int_equal(leases.floor, leases.next - 1);
    assert_int_equal(leases.out_count + leases.waiting_count + leases.acked_above_count, 0);
    leases_deinit(&leases);
}

static void restored_acks_are_skipped_and_join_the_floor(void **state)
{
    (void)state;
    struct leases leases = make(5);
    assert_int_equal(leases_restore(&leases, 7, 8), ERR_OK);
    assert_int_equal(leases_restore(&leases, 10, 20), ERR_OK);
    assert_int_equal(leases.acked_above_count, 13);
    uint64_t first = 0;
    size_t count = 0;
    assert_int_equal(leases_fresh_run(&leases, 30, 100, &first, &count), ERR_OK);
    assert_int_equal(first, 6);
    assert_int_equal(count, 1);
    (void)leases_grant(&leases, 6, DEADLINE_NS);
    ack_seq(&leases, 6);
    assert_int_equal(leases.floor, 8);
    assert_int_equal(leases.acked_above_count, 11);
    assert_int_equal(leases_fresh_run(&leases, 30, 100, &first, &count), ERR_OK);
    assert_int_equal(first, 9);
    assert_int_equal(count, 1);
    (void)leases_grant(&leases, 9, DEADLINE_NS);
    assert_int_equal(leases_fresh_run(&leases, 30, 100, &first, &count), ERR_OK);
    assert_int_equal(first, 21);
    assert_int_equal(count, 10);
    ack_seq(&leases, 9);
    assert_int_equal(leases.floor, 20);
    assert_int_equal(leases.acked_above_count, 0);
    assert_int_equal(leases.acked.count, 1);
    leases_deinit(&leases);
}

static void acks_beyond_the_most_ranges_count_in_memory_only(void **state)
{
    (void)state;
    struct leases leases = make(0);
    const uint64_t last = 2 * LEASES_RANGE_COUNT_MAX + 4;
    assert_int_equal(grant_fresh(&leases, last, last), last);
    for (uint64_t seq = 2; seq <= last; seq += 2) { // every second one: a range each
        ack_seq(&leases, seq);
    }
    assert_int_equal(leases.acked.count, LEASES_RANGE_COUNT_MAX);
    assert_int_equal(leases.acked_above_count, last / 2);
    for (uint64_t seq = 1; seq <= last; seq += 2) {
        ack_seq(&leases, seq);
    }
    assert_int_equal(leases.floor, last);
    assert_int_equal(leases.acked.count, 1);
    assert_int_equal(leases.acked.items[0].last, last);
    leases_deinit(&leases);
}

static void attempt_beyond_sixteen_bits_still_names_one_delivery(void **state)
{
    (void)state;
    struct leases leases = make(0);
    assert_int_equal(grant_fresh(&leases, 1, 1), 1);
    uint32_t attempt = 1;
    for (int i = 0; i < 70000; i++) {
        uint64_t handle = leases_handle(1, attempt);
        leases_nack(&leases, &handle, 1, 0);
        attempt = leases_grant(&leases, 1, DEADLINE_NS);
    }
    assert_int_equal(attempt, 70001);
    uint64_t earlier = leases_handle(1, attempt - 1);
    assert_false(leases_ack(&leases, &earlier, 1, 0));
    uint64_t handle = leases_handle(1, attempt);
    assert_true(leases_ack(&leases, &handle, 1, 0));
    leases_deinit(&leases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window_is_full_at_its_limit_and_opens_by_one_ack),
        cmocka_unit_test(full_window_still_gives_redeliveries),
        cmocka_unit_test(growth_keeps_every_lease),
        cmocka_unit_test(restored_acks_are_skipped_and_join_the_floor),
        cmocka_unit_test(acks_beyond_the_most_ranges_count_in_memory_only),
        cmocka_unit_test(attempt_beyond_sixteen_bits_still_names_one_delivery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
