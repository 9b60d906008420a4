// SIGINT and SIGTERM: the first one finishes what is in hand, the second one ends the process at once.
// Both leave data that balances.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_files.h"
#include "till_process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define READY "Ctrl-C finishes what is in hand"

// A service in the middle of its work.
static struct till_process *start_busy(void)
{
    return till_start(
        &(struct till_start){.words = TILL_WORDS("run", "--generate", "1000000", "--seed", "1",
                                                 "--rate", "20000", "--data-dir", "d")});
}

// What was left in the queue is applied by the next start, and then all of it is there.
static void assert_next_start_settles_all(void)
{
    const struct outcome *run = TILL("run", "--once", "--data-dir", "d");
    assert_exit_code(run, 0);
    assert_out_has(run, "\nBalanced: all ");
    assert_int_equal(report_number(run, "still in the queue", "orders"), 0);
    assert_int_equal(report_number(run, "still in the queue", "payments"), 0);
    assert_int_equal(report_number(run, "waiting for the order", "payments"), 0);
}

static void assert_drains(int number)
{
    struct till_process *process = start_busy();
    till_wait_for_err(process, READY);
    wait_for_more(process, "d", SQL_MATCHED, 100);
    int64_t seen = facts_number("d", SQL_MATCHED);
    till_signal(process, number);
    const struct outcome *outcome = till_wait(process);
    assert_exit_code(outcome, 0);
    const struct outcome *report = assert_balanced("d");
    assert_true(report_number(report, "matched", "payments") >= seen);
    assert_next_start_settles_all();
}

static void sigterm_drains_and_ends_with_0(void **state)
{
    (void)state;
    assert_drains(SIGTERM);
}

static void sigint_drains_and_ends_with_0(void **state)
{
    (void)state;
    assert_drains(SIGINT);
}

static void a_drain_says_what_it_does(void **state)
{
    (void)state;
    struct till_process *process =
        till_start(&(struct till_start){.words = TILL_WORDS("run", "--data-dir", "d")});
    till_wait_for_err(process, READY);
    till_signal(process, SIGTERM);
    const struct outcome *outcome = till_wait(process);
    assert_exit_code(outcome, 0);
    assert_err_has(outcome, "stopping: finishing what is in hand");
}

static bool facts_are_there(void *context)
{
    (void)context;
    return file_exists("d/facts.db") && facts_number("d", "SELECT count(*) FROM sqlite_schema") > 0;
}

// What it says after the first signal stays stuck in a full pipe, so that drain can't end by itself.
static void assert_second_ends_at_once(int number)
{
    struct till_process *process = till_start(
        &(struct till_start){.words = TILL_WORDS("run", "--from", "-", "--once", "--data-dir", "d"),
                             .input_stays_open = true,
                             .err_is_stuck = true});
    size_t size = 0;
    char *orders = read_bytes(reference_orders(), &size);
    till_feed(process, orders);
    till_wait_until(process, facts_are_there, NULL, "d/facts.db");
    wait_for_number(process, "d", SQL_ORDERS, 80);
    char *payments = read_bytes(reference_payments(), &size);
    till_feed(process, payments);
    till_signal(process, number);
    till_wait_for_signal_taken(process, number);
    till_signal(process, number);
    assert_exit_code(till_wait(process), 128 + number);
    free(orders);
    free(payments);
    assert_next_start_settles_all();
    assert_int_equal(facts_number("d", SQL_ORDERS), 80);
    assert_balanced("d");
}

static void a_second_sigterm_ends_at_once_with_143(void **state)
{
    (void)state;
    assert_second_ends_at_once(SIGTERM);
}

static void a_second_sigint_ends_at_once_with_130(void **state)
{
    (void)state;
    assert_second_ends_at_once(SIGINT);
}

static void drains_while_standard_input_is_still_open(void **state)
{
    (void)state;
    struct till_process *process = till_start(&(struct till_start){
        .words = TILL_WORDS("run", "--from", "-", "--data-dir", "d"), .input_stays_open = true});
    till_wait_for_err(process, READY);
    for (int64_t id = 1; id <= 20; id++) {
        till_feed(process, order_line(id));
        till_feed(process, payment_line(1000 + id, id));
    }
    wait_for_number(process, "d", SQL_MATCHED, 20);
    till_signal(process, SIGTERM);
    assert_exit_code(till_wait(process), 0);
    const struct outcome *report = assert_balanced("d");
    assert_int_equal(report_number(report, "published", "orders"), 20);
    assert_int_equal(report_number(report, "matched", "payments"), 20);
}

static void a_producer_that_is_stopped_has_published_what_it_says(void **state)
{
    (void)state;
    struct till_process *process = till_start(&(struct till_start){
        .words = TILL_WORDS("produce", "orders", "--from", "-", "--data-dir", "d"),
        .input_stays_open = true});
    for (int64_t id = 1; id <= 20; id++) {
        till_feed(process, order_line(id));
    }
    till_wait_for_handler(process, SIGTERM);
    till_signal(process, SIGTERM);
    const struct outcome *outcome = till_wait(process);
    assert_exit_code(outcome, 0);
    long long published = -1;
    assert_int_equal(sscanf(outcome->err, "%lld messages published", &published), 1);
    assert_exit_code(TILL("consume", "all", "--once", "--data-dir", "d"), 0);
    assert_int_equal(facts_number("d", SQL_ORDERS), published);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSTEM_TEST(sigterm_drains_and_ends_with_0),
        SYSTEM_TEST(sigint_drains_and_ends_with_0),
        SYSTEM_TEST(a_drain_says_what_it_does),
        SYSTEM_TEST(a_second_sigterm_ends_at_once_with_143),
        SYSTEM_TEST(a_second_sigint_ends_at_once_with_130),
        SYSTEM_TEST(drains_while_standard_input_is_still_open),
        SYSTEM_TEST(a_producer_that_is_stopped_has_published_what_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
