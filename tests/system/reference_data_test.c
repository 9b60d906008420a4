// The messages of the reference pipeline, 500 orders with ids from 1 to 80 and 500 payments for the
// orders 1 to 500, end as 80 matched payments and 420 dead letters, whichever way they come in.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_files.h"
#include "till_process.h"

static void run_from_two_files(const char *directory)
{
    assert_exit_code(TILL("run", "--orders", reference_orders(), "--payments", reference_payments(),
                          "--once", "--data-dir", directory),
                     0);
}

static void assert_80_and_420(const char *directory)
{
    const struct outcome *report = assert_balanced(directory);
    assert_int_equal(report_number(report, "published", "payments"), 500);
    assert_int_equal(report_number(report, "matched", "payments"), 80);
    assert_int_equal(report_number(report, "dead: unmatched", "payments"), 420);
    assert_int_equal(report_number(report, "waiting for the order", "payments"), 0);
    assert_int_equal(facts_number(directory, SQL_ORDERS), 80);
    assert_int_equal(facts_number(directory, SQL_MATCHED), 80);
    assert_int_equal(facts_number(directory, SQL_UNMATCHED), 420);
    assert_int_equal(facts_number(directory, "SELECT count(*) FROM dead_letters"), 420);
    assert_int_equal(facts_number(directory, "SELECT count(*) FROM orders_payments_facts"
                                             " WHERE settlement = 'PAID' AND amount = order_total"),
                     80);
}

static void two_files_end_as_80_matched_and_420_unmatched(void **state)
{
    (void)state;
    const struct outcome *run = TILL("run", "--orders", reference_orders(), "--payments",
                                     reference_payments(), "--once", "--data-dir", "d");
    assert_exit_code(run, 0);
    assert_int_equal(report_number(run, "published", "orders"), 500);
    assert_int_equal(report_number(run, "stored", "orders"), 500);
    assert_int_equal(report_number(run, "matched", "payments"), 80);
    assert_int_equal(report_number(run, "dead: unmatched", "payments"), 420);
    assert_int_equal(report_number(run, "still in the queue", "payments"), 0);
    assert_out_has(run, "\nBalanced: all ");
    assert_err_has(run, "1,000 of 1,000 messages (100%)");
    assert_80_and_420("d");
}

static void from_tells_orders_and_payments_apart(void **state)
{
    (void)state;
    run_from_two_files("d");
    assert_exit_code(TILL("run", "--from", reference_orders(), "--from", reference_payments(),
                          "--once", "--data-dir", "e"),
                     0);
    assert_80_and_420("e");
    assert_same_facts("d", "e");
}

static void standard_input_is_a_file_like_any_other(void **state)
{
    (void)state;
    run_from_two_files("d");
    append_file("both.jsonl", reference_payments());
    append_file("both.jsonl", reference_orders());
    assert_exit_code(till_run(&(struct till_start){
                         .words = TILL_WORDS("run", "--from", "-", "--once", "--data-dir", "e"),
                         .input_path = "both.jsonl"}),
                     0);
    assert_80_and_420("e");
    assert_same_facts("d", "e");
}

static void orders_may_come_from_standard_input_beside_a_file_of_payments(void **state)
{
    (void)state;
    run_from_two_files("d");
    assert_exit_code(till_run(&(struct till_start){
                         .words = TILL_WORDS("run", "--orders", "-", "--payments",
                                             reference_payments(), "--once", "--data-dir", "e"),
                         .input_path = reference_orders()}),
                     0);
    assert_same_facts("d", "e");
}

static void the_same_files_again_change_no_fact(void **state)
{
    (void)state;
    run_from_two_files("d");
    run_from_two_files("e");
    run_from_two_files("e");
    const struct outcome *report = assert_balanced("e");
    assert_int_equal(report_number(report, "published", "payments"), 1000);
    assert_int_equal(report_number(report, "matched", "payments"), 80);
    assert_int_equal(report_number(report, "dead: unmatched", "payments"), 420);
    assert_int_equal(report_number(report, "duplicate", "payments"), 500);
    assert_same_facts("d", "e");
}

static void produce_and_consume_come_to_the_same_as_run(void **state)
{
    (void)state;
    run_from_two_files("d");
    const struct outcome *produce =
        TILL("produce", "orders", "--from", reference_orders(), "--data-dir", "e");
    assert_exit_code(produce, 0);
    assert_err_has(produce, "500 messages published\n");
    assert_exit_code(TILL("produce", "payments", "--from", reference_payments(), "--data-dir", "e"),
                     0);
    assert_exit_code(TILL("consume", "all", "--once", "--data-dir", "e"), 0);
    assert_80_and_420("e");
    assert_same_facts("d", "e");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSTEM_TEST(two_files_end_as_80_matched_and_420_unmatched),
        SYSTEM_TEST(from_tells_orders_and_payments_apart),
        SYSTEM_TEST(standard_input_is_a_file_like_any_other),
        SYSTEM_TEST(orders_may_come_from_standard_input_beside_a_file_of_payments),
        SYSTEM_TEST(the_same_files_again_change_no_fact),
        SYSTEM_TEST(produce_and_consume_come_to_the_same_as_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
