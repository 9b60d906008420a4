// One process owns a data directory; everybody may read beside it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_files.h"
#include "till_process.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READY "Ctrl-C finishes what is in hand"

static struct till_process *start_fed(const char *directory)
{
    struct till_process *owner = till_start(
        &(struct till_start){.words = TILL_WORDS("run", "--from", "-", "--data-dir", directory),
                             .input_stays_open = true});
    till_wait_for_err(owner, READY);
    return owner;
}

static void stop(struct till_process *owner)
{
    till_signal(owner, SIGTERM);
    assert_exit_code(till_wait(owner), 0);
}

static void a_second_run_is_refused_in_one_line_that_names_the_first(void **state)
{
    (void)state;
    struct till_process *owner = start_fed("d");
    char expected[128];
    (void)snprintf(expected, sizeof expected,
                   "till: data directory d is in use by till run (pid %ld)\n",
                   (long)till_pid(owner));
    const struct outcome *second = TILL("run", "--once", "--data-dir", "d");
    assert_exit_code(second, 69);
    assert_err_is(second, expected);
    assert_string_equal(second->out, "");
    second = TILL("consume", "all", "--once", "--data-dir", "d");
    assert_exit_code(second, 69);
    assert_err_is(second, expected);
    till_feed(owner, order_line(1)); // the first one has not noticed
    wait_for_number(owner, "d", SQL_ORDERS, 1);
    stop(owner);
    assert_balanced("d");
}

static void the_directory_is_free_when_its_owner_was_killed(void **state)
{
    (void)state;
    struct till_process *owner = start_fed("d");
    till_feed(owner, order_line(1));
    wait_for_number(owner, "d", SQL_ORDERS, 1);
    till_signal(owner, SIGKILL);
    assert_exit_code(till_wait(owner), 128 + SIGKILL);
    assert_exit_code(TILL("run", "--once", "--data-dir", "d"), 0);
    assert_int_equal(facts_number("d", SQL_ORDERS), 1);
}

static void assert_readable(const char *directory)
{
    assert_balanced(directory);
    const struct outcome *query =
        TILL("query", "--limit", "3", "--output", "json", "--data-dir", directory);
    assert_exit_code(query, 0);
    json_t *rows = json_loads(query->out, 0, NULL);
    assert_int_equal(json_array_size(rows), 3);
    json_decref(rows);
    assert_exit_code(TILL("dlq", "list", "--data-dir", directory), 0);
}

static void reading_commands_work_while_a_service_writes_and_after_it(void **state)
{
    (void)state;
    struct till_process *owner = till_start(
        &(struct till_start){.words = TILL_WORDS("run", "--generate", "1000000", "--seed", "1",
                                                 "--rate", "4000", "--data-dir", "d")});
    till_wait_for_err(owner, READY);
    wait_for_more(owner, "d", SQL_MATCHED, 10);
    int64_t matched = 0;
    for (int i = 0; i < 5; i++) {
        assert_readable("d");
        wait_for_more(owner, "d", SQL_MATCHED, matched); // the readers do not hold it up
        matched = facts_number("d", SQL_MATCHED);
    }
    stop(owner);
    assert_readable("d");
    assert_true(facts_number("d", SQL_MATCHED) >= matched);
}

static void a_fifo_is_read_while_its_writers_come_and_go(void **state)
{
    (void)state;
    assert_int_equal(mkfifo("events", 0600), 0);
    int first = open("events", O_RDWR | O_CLOEXEC); // so that the stream does not end
    struct till_process *owner = till_start(
        &(struct till_start){.words = TILL_WORDS("run", "--from", "events", "--data-dir", "d")});
    till_wait_for_err(owner, READY);
    for (int64_t id = 1; id <= 3; id++) {
        int writer = open("events", O_WRONLY | O_CLOEXEC);
        const char *lines[] = {payment_line(1000 + id, id), order_line(id)};
        for (size_t i = 0; i < 2; i++) {
            size_t size = strlen(lines[i]);
            assert_int_equal(write(writer, lines[i], size), (ssize_t)size);
        }
        assert_int_equal(close(writer), 0);
        wait_for_number(owner, "d", SQL_MATCHED, id);
    }
    assert_int_equal(close(first), 0);
    stop(owner);
    assert_balanced("d");
}

static void reading_before_there_is_anything_is_refused_in_one_line(void **state)
{
    (void)state;
    assert_int_equal(mkdir("empty", 0700), 0);
    static const char *const directories[] = {"absent", "empty"};
    for (size_t i = 0; i < 2; i++) {
        const struct outcome *outcomes[] = {
            TILL("report", "--data-dir", directories[i]),
            TILL("query", "--data-dir", directories[i]),
            TILL("dlq", "list", "--data-dir", directories[i]),
            TILL("dlq", "show", "ab", "--data-dir", directories[i])};
        for (size_t k = 0; k < sizeof outcomes / sizeof outcomes[0]; k++) {
            assert_exit_code(outcomes[k], 1);
            assert_err_is_one_line(outcomes[k]);
            assert_err_has(outcomes[k], directories[i]);
            assert_err_has(outcomes[k], "till run");
            assert_string_equal(outcomes[k]->out, "");
        }
    }
    assert_false(file_exists("absent"));
    assert_false(file_exists("empty/facts.db"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSTEM_TEST(a_second_run_is_refused_in_one_line_that_names_the_first),
        SYSTEM_TEST(the_directory_is_free_when_its_owner_was_killed),
        SYSTEM_TEST(reading_commands_work_while_a_service_writes_and_after_it),
        SYSTEM_TEST(a_fifo_is_read_while_its_writers_come_and_go),
        SYSTEM_TEST(reading_before_there_is_anything_is_refused_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
