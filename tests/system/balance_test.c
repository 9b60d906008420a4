// The report balances, and says so when it does not: rows are taken away and amounts changed behind the
// program's back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_files.h"
#include "till_process.h"

static void generate(const char *directory, const char *seed)
{
    assert_exit_code(TILL("run", "--generate", "1000", "--seed", seed, "--corrupt", "1%",
                          "--conflict", "1%", "--once", "--data-dir", directory),
                     0);
}

static void assert_check_fails(const char *directory, const char *check)
{
    const struct outcome *report = TILL("report", "--data-dir", directory);
    assert_exit_code(report, 3);
    assert_out_has(report, "\nNOT BALANCED: ");
    assert_out_has(report, check);
    assert_err_has(report, "the figures do not balance");
    assert_err_is_one_line(report);
}

static void the_same_seed_gives_the_same_facts(void **state)
{
    (void)state;
    generate("d", "1");
    generate("e", "1");
    assert_same_facts("d", "e");
    assert_balanced("d");
    assert_balanced("e");
}

static void another_seed_gives_other_facts(void **state)
{
    (void)state;
    generate("d", "1");
    generate("e", "2");
    assert_int_not_equal(
        facts_number("d", "SELECT price * 100 FROM orders_payments_facts WHERE order_id = 1"),
        facts_number("e", "SELECT price * 100 FROM orders_payments_facts WHERE order_id = 1"));
}

static void a_seed_that_was_taken_is_printed(void **state)
{
    (void)state;
    const struct outcome *run = TILL("run", "--generate", "10", "--once", "--data-dir", "d");
    assert_exit_code(run, 0);
    assert_err_has(run, "generating 10 orders and their payments, --seed ");
}

static void a_payment_that_is_gone_is_noticed(void **state)
{
    (void)state;
    generate("d", "3");
    facts_change("d", "DELETE FROM payments WHERE order_id ="
                      " (SELECT min(order_id) FROM payments WHERE amount_minor > 0)");
    assert_check_fails("d", "FAILED  payments: every stored message has its row: ");
    assert_check_fails("d", "FAILED  payments: money in ");
}

static void an_amount_that_is_one_cent_off_is_noticed(void **state)
{
    (void)state;
    generate("d", "3");
    facts_change("d", "UPDATE payments SET amount_minor = amount_minor + 1 WHERE order_id ="
                      " (SELECT min(order_id) FROM payments WHERE amount_minor > 0)");
    assert_check_fails("d", "FAILED  payments: money in ");
}

static void an_order_that_is_gone_is_noticed(void **state)
{
    (void)state;
    generate("d", "3");
    facts_change("d", "DELETE FROM orders WHERE order_id = 5");
    assert_check_fails("d", "FAILED  orders: every stored message has its row: ");
    assert_check_fails("d", "FAILED  orders: money in ");
}

static void a_price_that_is_one_cent_off_is_noticed(void **state)
{
    (void)state;
    generate("d", "3");
    facts_change("d", "UPDATE orders SET price_minor = price_minor + 1 WHERE order_id = 5");
    assert_check_fails("d", "FAILED  orders: money in ");
}

static void a_dead_letter_that_is_gone_is_noticed(void **state)
{
    (void)state;
    generate("d", "3");
    facts_change("d", "DELETE FROM dead_letter_records WHERE id = (SELECT id FROM"
                      " dead_letter_records WHERE reason = 'E_UNMATCHED' LIMIT 1)");
    assert_check_fails("d", "FAILED  payments: every unmatched one is kept: ");
    facts_change("d", "DELETE FROM dead_letter_records WHERE id = (SELECT id FROM"
                      " dead_letter_records WHERE reason NOT IN ('E_UNMATCHED', 'E_CONFLICT')"
                      " AND source_topic = 'payments_data' LIMIT 1)");
    assert_check_fails("d", "FAILED  payments: every refused message is kept: ");
}

static void a_run_on_data_that_does_not_balance_says_so_too(void **state)
{
    (void)state;
    generate("d", "3");
    facts_change("d", "UPDATE orders SET price_minor = price_minor + 1 WHERE order_id = 5");
    const struct outcome *run = TILL("run", "--once", "--data-dir", "d");
    assert_exit_code(run, 3);
    assert_out_has(run, "\nNOT BALANCED: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSTEM_TEST(the_same_seed_gives_the_same_facts),
        SYSTEM_TEST(another_seed_gives_other_facts),
        SYSTEM_TEST(a_seed_that_was_taken_is_printed),
        SYSTEM_TEST(a_payment_that_is_gone_is_noticed),
        SYSTEM_TEST(an_amount_that_is_one_cent_off_is_noticed),
        SYSTEM_TEST(an_order_that_is_gone_is_noticed),
        SYSTEM_TEST(a_price_that_is_one_cent_off_is_noticed),
        SYSTEM_TEST(a_dead_letter_that_is_gone_is_noticed),
        SYSTEM_TEST(a_run_on_data_that_does_not_balance_says_so_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
