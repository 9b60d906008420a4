// Conservation broken on purpose: every kind of damage is found, by the check that speaks of it.
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

// A little of everything: matched, waiting, dead, conflicting, refused, duplicate.
static void fill(struct rig *rig)
{
    for (int64_t order_id = 1; order_id <= 5; order_id++) {
        rig_order(rig, order_id, 1, "5.00", "Pending");
        rig_payment(rig, order_id, 10 + order_id, "Completed", "5.00");
    }
    rig_order(rig, 1, 2, "6.00", "Pending");
    rig_order(rig, 2, 1, "7.00", "Pending"); // conflict
    rig_order(rig, 6, 1, "5.00", "Pending"); // without payment
    rig_order(rig, 3, 1, "5.00", "Pending"); // duplicate
    rig_payment(rig, 1, 11, "Refunded", "1.00");
    rig_payment(rig, 2, 12, "Completed", "4.00"); // conflict
    rig_payment(rig, 4, 14, "Completed", "5.00"); // duplicate
    rig_payment(rig, 100, 101, "Completed", "3.00");
    rig_payment(rig, 102, 103, "Failed", NULL);
    rig_publish(rig, BUS_ORDERS, "{\"order_id\": 1}");
    rig_publish(rig, BUS_PAYMENTS, "no JSON");
    rig_run(rig);
    rig_sweep_final(rig);
    rig_payment(rig, 200, 201, "Completed", "2.00"); // waits
    rig_run(rig);
}

// Beside the owner, which does nothing meanwhile.
static void damage(struct rig *rig, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(rig->facts_path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    if (sqlite3_changes(db) == 0) {
        fail_msg("%s: changes nothing", sql);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static bool check_fails(const struct report *report, const char *name)
{
    for (size_t i = 0; i < report->check_count; i++) {
        if (strcmp(report->checks[i].name, name) == 0) {
            return !report->checks[i].holds;
        }
    }
    return false;
}

struct break_case {
    const char *sql;
    const char *check; // one that must fail
};

static void assert_found(const struct break_case *broken)
{
    struct rig rig;
    struct report *report = NULL;
    rig_init(&rig);
    fill(&rig);
    rig_assert_balanced(&rig);
    damage(&rig, broken->sql);
    rig_report(&rig, &report);
    if (report->failed_count == 0 || !check_fails(report, broken->check)) {
        print_error("%s: \"%s\" holds; %zu others fail\n", broken->sql, broken->check,
                    report->failed_count);
        fail();
    }
    free(report);
    rig_deinit(&rig);
}

static void assert_all_found(const struct break_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_found(&cases[i]);
    }
}
#define ASSERT_ALL_FOUND(cases) assert_all_found((cases), sizeof(cases) / sizeof((cases)[0]))

static void lost_rows_are_found(void **state)
{
    (void)state;
    static const struct break_case cases[] = {
        {"DELETE FROM payments WHERE order_id = 3", "payments: every stored message has its row"},
        {"DELETE FROM payments WHERE order_id = 100", "payments: every stored message has its row"},
        {"DELETE FROM payments WHERE order_id = 200", "payments: every stored message has its row"},
        {"DELETE FROM payment_events WHERE order_id = 1",
         "payments: every stored message has its row"},
        {"DELETE FROM payment_events WHERE order_id = 2",
         "payments: every stored message has its row"},
        {"DELETE FROM orders WHERE order_id = 6", "orders: every stored message has its row"},
        {"DELETE FROM order_versions WHERE order_id = 1",
         "orders: every stored message has its row"},
        {"DELETE FROM order_versions WHERE order_id = 2", "orders: money in USD"},
    };
    ASSERT_ALL_FOUND(cases);
}

static void row_too_many_is_found(void **state)
{
    (void)state;
    static const struct break_case cases[] = {
        {"INSERT INTO payments SELECT order_id, 999, event_id, content_hash, payment_status,"
         " payment_method, card_last_four, payment_datetime, amount_minor, currency,"
         " currency_given, published_us, captured_minor, side FROM payments WHERE order_id = 3",
         "payments: every stored message has its row"},
        {"INSERT INTO order_versions SELECT 3, version, content_hash, customer_id, item, quantity,"
         " price_minor, currency, currency_given, shipping_address, order_status, creation_date,"
         " published_us FROM order_versions WHERE order_id = 1",
         "orders: every stored message has its row"},
    };
    ASSERT_ALL_FOUND(cases);
}

static void changed_money_is_found(void **state)
{
    (void)state;
    static const struct break_case cases[] = {
        {"UPDATE payments SET amount_minor = amount_minor + 1 WHERE order_id = 3",
         "payments: money in USD"},
        {"UPDATE payments SET amount_minor = 0 WHERE order_id = 100", "payments: money in USD"},
        {"UPDATE payments SET amount_minor = NULL WHERE order_id = 200", "payments: money in USD"},
        {"UPDATE payments SET currency = 'EUR' WHERE order_id = 3", "payments: money in EUR"},
        {"UPDATE payment_events SET amount_minor = 1 WHERE order_id = 2", "payments: money in USD"},
        {"UPDATE orders SET price_minor = price_minor - 1 WHERE order_id = 4",
         "orders: money in USD"},
        {"UPDATE orders SET quantity = 2 WHERE order_id = 4", "orders: money in USD"},
        {"UPDATE order_versions SET currency = 'JPY' WHERE order_id = 1", "orders: money in JPY"},
    };
    ASSERT_ALL_FOUND(cases);
}

static void damaged_ledger_is_found(void **state)
{
    (void)state;
    static const struct break_case cases[] = {
        {"DELETE FROM applied WHERE topic = 'orders'",
         "orders: every applied message has an outcome"},
        {"DELETE FROM applied WHERE topic = 'payments'",
         "payments: every applied message has an outcome"},
        {"UPDATE applied SET last = last + 1 WHERE topic = 'orders'",
         "orders: nothing applied unpublished"},
        {"UPDATE tally SET messages = messages + 1 WHERE topic = 'orders' AND outcome = 'stored'",
         "orders: every stored message has its row"},
        {"UPDATE tally SET messages = messages - 1 WHERE topic = 'payments' AND outcome ="
         " 'duplicate'",
         "payments: every applied message has an outcome"},
        {"UPDATE tally SET amount_low = amount_low + 1 WHERE topic = 'payments' AND outcome ="
         " 'stored' AND currency = 'USD'",
         "payments: money in USD"},
        {"UPDATE tally SET amount_high = amount_high + 1 WHERE topic = 'orders' AND outcome ="
         " 'conflict'",
         "orders: money in USD"},
        {"DELETE FROM tally WHERE outcome = 'refused' AND topic = 'payments'",
         "payments: no refusal counted twice"},
    };
    ASSERT_ALL_FOUND(cases);
}

// Acked before it was applied: the range of what was applied has lost its end.
static void message_acked_unapplied_is_found(void **state)
{
    (void)state;
    static const struct break_case cases[] = {
        {"UPDATE applied SET last = last - 1 WHERE topic = 'payments'",
         "payments: nothing acked unapplied"},
        {"DELETE FROM applied WHERE topic = 'orders'", "orders: nothing acked unapplied"},
    };
    ASSERT_ALL_FOUND(cases);
}

static void lost_dead_letters_are_found(void **state)
{
    (void)state;
    static const struct break_case cases[] = {
        {"DELETE FROM dead_letter_records WHERE reason = 'E_JSON'",
         "payments: every refused message is kept"},
        {"DELETE FROM dead_letter_records WHERE reason = 'E_MISSING'",
         "orders: every refused message is kept"},
        {"DELETE FROM dead_letter_records WHERE reason = 'E_UNMATCHED' AND order_id = 100",
         "payments: every unmatched one is kept"},
        {"INSERT INTO dead_letter_records SELECT x'00', reason, state, detail, body, source_topic,"
         " source_message_id, first_seen_us, recorded_us, order_id, payment_id, event_id, attempts,"
         " replay_count, checks, next_check_us, redacted, rebuilt FROM dead_letter_records WHERE"
         " reason = 'E_JSON'",
         "payments: no refusal counted twice"},
    };
    ASSERT_ALL_FOUND(cases);
}

// A letter is published before the commit. After a crash in between it may be recorded before its
// message is applied again: one record for each such message, and no more.
static void refusal_recorded_before_it_is_applied_balances(void **state)
{
    (void)state;
    static const char record[] =
        "INSERT INTO dead_letter_records SELECT randomblob(16), reason, state, detail, body,"
        " source_topic, source_message_id, first_seen_us, recorded_us, order_id, payment_id, "
        "event_id,"
        " attempts, replay_count, checks, next_check_us, redacted, rebuilt FROM dead_letter_records"
        " WHERE reason = 'E_JSON' LIMIT 1";
    struct rig rig;
    struct report *report = NULL;
    rig_init(&rig);
    fill(&rig);
    rig_consume_dead_letters(&rig);
    rig_publish(&rig, BUS_PAYMENTS, "no JSON either");
    damage(&rig, record);
    rig_assert_balanced(&rig);
    damage(&rig, record);
    rig_report(&rig, &report);
    assert_true(check_fails(report, "payments: no refusal counted twice"));
    free(report);
    rig_deinit(&rig);
}

static void payment_that_nobody_will_look_at_is_found(void **state)
{
    (void)state;
    static const struct break_case cases[] = {
        {"DELETE FROM waiting_payments WHERE order_id = 200",
         "payments: every waiting one is indexed"},
        {"DELETE FROM notes WHERE order_id = 100 AND kind = 1",
         "payments: every waiting one is indexed"},
    };
    ASSERT_ALL_FOUND(cases);
}

static void changed_figures_of_a_fact_are_found(void **state)
{
    (void)state;
    static const struct break_case cases[] = {
        {"UPDATE orders SET paid_minor = paid_minor + 1 WHERE order_id = 3", "facts: paid in USD"},
        {"UPDATE payments SET captured_minor = captured_minor - 1 WHERE order_id = 3",
         "facts: paid in USD"},
    };
    ASSERT_ALL_FOUND(cases);
}

// Every check was seen to fail above; here all of them hold, and are there.
static void report_of_a_sound_store_names_every_check(void **state)
{
    (void)state;
    static const char *const names[] = {
        "nothing acked unapplied",
        "nothing applied unpublished",
        "every applied message has an outcome",
        "every stored message has its row",
        "money in USD",
        "every refused message is kept",
        "no refusal counted twice",
    };
    struct rig rig;
    struct report *report = NULL;
    rig_init(&rig);
    fill(&rig);
    rig_report(&rig, &report);
    assert_int_equal(report->failed_count, 0);
    assert_int_equal(report->check_count, 2 * sizeof(names) / sizeof(names[0]) + 3);
    assert_int_equal(report->totals.matched.rows, 6);
    assert_int_equal(report->totals.payments_conflict.rows, 1);
    assert_int_equal(report->totals.dead.rows, 2);
    assert_int_equal(report->totals.waiting.rows, 1);
    assert_int_equal(report->totals.orders.rows, 8);
    assert_int_equal(report->totals.orders_conflict.rows, 1);
    free(report);
    rig_deinit(&rig);
}

// Without the broker only the store's own side is checked, and it still finds what is lost.
static void report_without_a_bus_checks_the_store(void **state)
{
    (void)state;
    struct rig rig;
    struct report *report = NULL;
    rig_init(&rig);
    fill(&rig);
    rig_consume_dead_letters(&rig);
    rig_close(&rig);
    rig_report(&rig, &report);
    assert_int_equal(report->failed_count, 0);
    assert_false(report->has_bus);
    free(report);
    damage(&rig, "DELETE FROM payments WHERE order_id = 3");
    rig_report(&rig, &report);
    assert_true(check_fails(report, "payments: every stored message has its row"));
    free(report);
    rig_open(&rig);
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_rows_are_found),
        cmocka_unit_test(row_too_many_is_found),
        cmocka_unit_test(changed_money_is_found),
        cmocka_unit_test(damaged_ledger_is_found),
        cmocka_unit_test(message_acked_unapplied_is_found),
        cmocka_unit_test(lost_dead_letters_are_found),
        cmocka_unit_test(refusal_recorded_before_it_is_applied_balances),
        cmocka_unit_test(payment_that_nobody_will_look_at_is_found),
        cmocka_unit_test(changed_figures_of_a_fact_are_found),
        cmocka_unit_test(report_of_a_sound_store_names_every_check),
        cmocka_unit_test(report_without_a_bus_checks_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
