// How long a payment waits for its order in a running service, and what becomes of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_files.h"
#include "till_process.h"

#include <signal.h>

#define READY "Ctrl-C finishes what is in hand"
// The sweeper looks at what is due right after the service has written that it is there.
#define SQL_SWEPT_FOR_US                                                                           \
    "SELECT max(updated_us) - (SELECT min(published_us) FROM payments) FROM lane_status"
#define SQL_HEALED "SELECT count(*) FROM dead_letters WHERE state = 'HEALED'"

static struct till_process *start_with_grace(const char *grace)
{
    struct till_process *service = till_start(&(struct till_start){
        .words = TILL_WORDS("run", "--from", "-", "--grace", grace, "--data-dir", "d"),
        .input_stays_open = true});
    till_wait_for_err(service, READY);
    return service;
}

static void stop(struct till_process *service)
{
    till_signal(service, SIGTERM);
    assert_exit_code(till_wait(service), 0);
}

static void without_grace_an_orphan_becomes_a_dead_letter(void **state)
{
    (void)state;
    struct till_process *service = start_with_grace("0s");
    till_feed(service, payment_line(1001, 1));
    wait_for_number(service, "d", SQL_UNMATCHED, 1);
    assert_int_equal(facts_number("d", SQL_MATCHED), 0);
    stop(service);
    const struct outcome *report = assert_balanced("d");
    assert_int_equal(report_number(report, "dead: unmatched", "payments"), 1);
    assert_int_equal(report_number(report, "waiting for the order", "payments"), 0);
}

static void a_dead_letter_heals_when_its_order_comes_after_all(void **state)
{
    (void)state;
    struct till_process *service = start_with_grace("0s");
    till_feed(service, payment_line(1001, 1));
    wait_for_number(service, "d", SQL_UNMATCHED, 1);
    till_feed(service, order_line(1));
    wait_for_number(service, "d", SQL_MATCHED, 1);
    wait_for_number(service, "d", SQL_HEALED, 1);
    stop(service);
    const struct outcome *report = assert_balanced("d");
    assert_int_equal(report_number(report, "matched", "payments"), 1);
    assert_int_equal(report_number(report, "dead: unmatched", "payments"), 0);
}

static void a_short_grace_ends_while_the_service_runs(void **state)
{
    (void)state;
    struct till_process *service = start_with_grace("1s");
    till_feed(service, payment_line(1001, 1));
    till_feed(service, payment_line(1002, 2));
    wait_for_number(service, "d", SQL_WAITING, 2);
    till_feed(service, order_line(2));
    wait_for_number(service, "d", SQL_MATCHED, 1);
    wait_for_number(service, "d", SQL_UNMATCHED, 1);
    assert_int_equal(
        facts_number("d", "SELECT payment_id FROM dead_letters WHERE reason = 'E_UNMATCHED'"),
        1001);
    stop(service);
    assert_balanced("d");
}

static void a_long_grace_lets_the_payment_wait_across_a_restart(void **state)
{
    (void)state;
    struct till_process *service = start_with_grace("1h");
    till_feed(service, payment_line(1001, 1));
    wait_for_number(service, "d", SQL_WAITING, 1);
    wait_for_more(service, "d", SQL_SWEPT_FOR_US, 2000000);
    stop(service);
    const struct outcome *report = assert_balanced("d");
    assert_int_equal(report_number(report, "waiting for the order", "payments"), 1);
    assert_int_equal(facts_number("d", SQL_UNMATCHED), 0);

    service = start_with_grace("1h");
    till_feed(service, order_line(1));
    wait_for_number(service, "d", SQL_MATCHED, 1);
    stop(service);
    report = assert_balanced("d");
    assert_int_equal(report_number(report, "matched", "payments"), 1);
    assert_int_equal(report_number(report, "waiting for the order", "payments"), 0);
}

static void once_does_not_wait_for_the_grace_time(void **state)
{
    (void)state;
    write_text("p.jsonl", payment_line(1001, 1));
    assert_exit_code(TILL("run", "--from", "p.jsonl", "--once", "--grace", "1h", "--data-dir", "d"),
                     0);
    assert_int_equal(facts_number("d", SQL_UNMATCHED), 1);
    assert_balanced("d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSTEM_TEST(without_grace_an_orphan_becomes_a_dead_letter),
        SYSTEM_TEST(a_dead_letter_heals_when_its_order_comes_after_all),
        SYSTEM_TEST(a_short_grace_ends_while_the_service_runs),
        SYSTEM_TEST(a_long_grace_lets_the_payment_wait_across_a_restart),
        SYSTEM_TEST(once_does_not_wait_for_the_grace_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
