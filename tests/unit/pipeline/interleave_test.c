// Orders of events that the usual histories don't have: a lease that ends while its batch is in hand, a
// bus that delivers backwards, a report that is read while the owner goes on, a world that is busy.
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_rows(struct rig *rig, const char *sql, const char *expected)
{
    char *rows = rig_query(rig, sql);
    assert_string_equal(rows, expected);
    free(rows);
}

// What one test puts in front of the bus and the store.
static struct {
    struct rig *rig;
    const struct bus_ops *bus_ops;
    const struct store_ops *store_ops;
    struct bus_ops bus_front;
    struct store_ops store_front;
    size_t calls;
} front;

static void front_of(struct rig *rig)
{
    front.rig = rig;
    front.calls = 0;
    front.bus_ops = rig->bus->ops;
    front.store_ops = rig->store->ops;
    front.bus_front = *rig->bus->ops;
    front.store_front = *rig->store->ops;
    rig->bus->ops = &front.bus_front;
    rig->store->ops = &front.store_front;
}

static void front_remove(void)
{
    front.rig->bus->ops = front.bus_ops;
    front.rig->store->ops = front.store_ops;
}

// --- leases ---------------------------------------------------------------------------------------

// The second batch holds what the first one held, because its leases ended.
static void apply_both(bool first_comes_first)
{
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 0, "5.00", "Pending");
    rig_payment(&rig, 1, 11, "Completed", "5.00");
    rig_payment(&rig, 2, 21, "Completed", "7.00");
    rig_publish(&rig, BUS_PAYMENTS, "refused");
    struct why why = {0};
    struct batch second;
    assert_int_equal(batch_init(&second), ERR_OK);
    assert_int_equal(batch_fetch(&rig.batch, rig.bus, &rig.limits, &rig.rules, &why), ERR_OK);
    rig_advance_seconds(&rig, 61);
    assert_int_equal(batch_fetch(&second, rig.bus, &rig.limits, &rig.rules, &why), ERR_OK);
    assert_int_equal(second.count, 4);
    assert_int_equal(lane_apply(&rig.lane, first_comes_first ? &rig.batch : &second, &why), ERR_OK);
    assert_int_equal(lane_apply(&rig.lane, first_comes_first ? &second : &rig.batch, &why), ERR_OK);
    assert_int_equal(atomic_load(&rig.lane.counters.redelivered), 4);
    assert_int_equal(rig_count(&rig, "SELECT sum(messages) FROM tally"), 4);
    struct bus_backlog backlog = {0};
    assert_int_equal(bus_backlog(rig.bus, BUS_PAYMENTS, &backlog, &why), ERR_OK);
    assert_int_equal(backlog.unacked, 0);
    rig_sweep_final(&rig);
    rig_assert_balanced(&rig);
    batch_deinit(&second);
    rig_deinit(&rig);
}

static void messages_in_two_batches_count_once(void **state)
{
    (void)state;
    apply_both(true);
    apply_both(false);
}

// --- a bus that delivers backwards ------------------------------------------------------------------

static enum err pull_backwards(struct bus *bus, enum bus_topic subscription, size_t count_max,
                               size_t size_max, struct arena *arena,
                               struct bus_message **out_messages, size_t *out_count,
                               struct why *why)
{
    enum err err = front.bus_ops->pull(bus, subscription, count_max, size_max, arena, out_messages,
                                       out_count, why);
    for (size_t i = 0; err == ERR_OK && i < *out_count / 2; i++) {
        struct bus_message *last = &(*out_messages)[*out_count - 1 - i];
        struct bus_message kept = (*out_messages)[i];
        (*out_messages)[i] = *last;
        *last = kept;
    }
    return err;
}

static void repeated_orders_delivered_backwards_leave_one_stored(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    for (int i = 0; i < 4; i++) {
        rig_order(&rig, 1, 0, "5.00", "Pending");
    }
    front_of(&rig);
    front.bus_front.pull = pull_backwards;
    rig_run(&rig);
    front_remove();
    assert_rows(&rig, "SELECT outcome, messages FROM tally ORDER BY 1", "duplicate|3\nstored|1\n");
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM order_events"), 1);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

// --- repetitions ------------------------------------------------------------------------------------

// The stored order was taken in as dollars and the repetition as euros: not the same money.
static void order_repeated_under_another_default_currency_is_no_repetition(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 0, "5.00", "Pending");
    rig_run(&rig);
    assert_true(currency_find(TEXT("EUR"), &rig.rules.decode.default_currency));
    rig_order(&rig, 1, 0, "5.00", "Pending");
    rig_run(&rig);
    assert_rows(&rig, "SELECT currency, n_events FROM orders_payments_facts", "EUR|1\n");
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void full_order_takes_a_repetition_of_its_winner(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    for (int cents = 1; cents <= FOLD_EVENTS_OF_KIND_MAX; cents++) {
        char price[32];
        (void)snprintf(price, sizeof(price), "%d.%02d", cents / 100, cents % 100);
        rig_order(&rig, 1, 0, price, "Pending");
    }
    rig_run(&rig);
    rig_order(&rig, 1, 0, "10.00", "Pending"); // what the winner says
    rig_run(&rig);
    rig_order(&rig, 1, 0, "11.00", "Pending"); // one too many
    rig_run(&rig);
    assert_rows(&rig, "SELECT outcome, messages FROM tally ORDER BY 1",
                "duplicate|1\nrefused|1\nstored|1000\n");
    rig_sweep_final(&rig);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

// --- the report beside its owner --------------------------------------------------------------------

// The owner records every dead letter after the tables were read, before the bus is read again.
static enum err backlog_after_consuming(struct bus *bus, enum bus_topic subscription,
                                        struct bus_backlog *out_backlog, struct why *why)
{
    if (front.calls++ == BUS_TOPIC_COUNT) {
        rig_consume_dead_letters(front.rig);
    }
    return front.bus_ops->backlog(bus, subscription, out_backlog, why);
}

static void report_balances_while_dead_letters_are_recorded(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_publish(&rig, BUS_ORDERS, "refused");
    rig_publish(&rig, BUS_PAYMENTS, "refused");
    rig_payment(&rig, 9, 91, "Completed", "2.00");
    rig_run(&rig);
    struct why why = {0};
    assert_int_equal(rig_try_sweep(&rig, true, &why), ERR_OK); // published, not recorded
    front_of(&rig);
    front.bus_front.backlog = backlog_after_consuming;
    rig_assert_balanced(&rig);
    front_remove();
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM dead_letters"), 3);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

// --- memory -----------------------------------------------------------------------------------------

// A backlog larger than the memory of a batch, and limits that allow to take it at once.
static void batch_takes_no_more_than_its_memory_can_work_on(void **state)
{
    (void)state;
    struct rig rig;
    rig_init_closed(&rig);
    rig.arena_size = 1u << 20;
    rig.limits.size_max = 64u << 20;
    rig_open(&rig);
    static char body[2000];
    memset(body, 'x', sizeof(body));
    for (int i = 0; i < 1000; i++) {
        rig_publish_text(&rig, i % 2 == 0 ? BUS_ORDERS : BUS_PAYMENTS,
                         (struct text){body, sizeof(body)});
    }
    rig_run(&rig);
    assert_rows(&rig, "SELECT outcome, sum(messages) FROM tally GROUP BY 1", "refused|1000\n");
    rig_sweep_final(&rig);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

// --- busy -------------------------------------------------------------------------------------------

static enum err begin_busy(struct store *store, struct why *why)
{
    (void)store;
    front.calls++;
    return why_set(why, ERR_BUSY, "the test says so");
}

// Deaths count against a message, not a world that was busy while it was in hand.
static void message_tried_alone_while_the_store_was_busy_is_no_suspect(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    struct why why = {0};
    for (int i = 0; i < 4; i++) {
        rig_crash(&rig); // whatever the reason: the next start is careful
        rig_open(&rig);
        front_of(&rig);
        front.store_front.begin = begin_busy;
        assert_int_equal(rig_try_run(&rig, &why), ERR_BUSY);
        assert_int_equal(front.calls, 1);
        front_remove();
        assert_int_equal(rig_count(&rig, "SELECT count(*) FROM suspects"), 0);
    }
    rig_close(&rig); // an end, but the messages that were to be tried alone were not
    rig_open(&rig);
    assert_int_equal(rig_count(&rig, "SELECT starts FROM lane_starts"), 6);
    rig_run(&rig); // handed back, so it is there at once
    assert_rows(&rig, "SELECT order_id FROM orders_payments_facts", "1\n");
    rig_sweep_final(&rig);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM dead_letters"), 0);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_in_two_batches_count_once),
        cmocka_unit_test(repeated_orders_delivered_backwards_leave_one_stored),
        cmocka_unit_test(order_repeated_under_another_default_currency_is_no_repetition),
        cmocka_unit_test(full_order_takes_a_repetition_of_its_winner),
        cmocka_unit_test(report_balances_while_dead_letters_are_recorded),
        cmocka_unit_test(batch_takes_no_more_than_its_memory_can_work_on),
        cmocka_unit_test(message_tried_alone_while_the_store_was_busy_is_no_suspect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
