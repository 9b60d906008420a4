// Standard streams that close early, are not there, or are a terminal.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_files.h"
#include "till_process.h"

#include <stdlib.h>
#include <string.h>

static void make_data(void)
{
    assert_exit_code(TILL("run", "--generate", "2000", "--seed", "1", "--once", "--data-dir", "d"),
                     0);
}

// As in `till query | head -1`.
static void a_reader_that_goes_away_is_no_error(void **state)
{
    (void)state;
    make_data();
    static const char *const commands[][8] = {
        {"query", "--limit", "100000", "--output", "csv", "--data-dir", "d"},
        {"query", "--limit", "100000", "--output", "json", "--data-dir", "d"},
        {"query", "--limit", "100000", "--data-dir", "d"},
        {"dlq", "list", "--data-dir", "d"},
        {"report", "--data-dir", "d"},
        {"run", "--help"},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const struct outcome *outcome =
            till_run(&(struct till_start){.words = commands[i], .out_has_no_reader = true});
        assert_exit_code(outcome, 0);
        assert_err_is(outcome, "");
    }
}

static void a_run_goes_on_when_nobody_reads_what_it_says(void **state)
{
    (void)state;
    const struct outcome *run = till_run(&(struct till_start){
        .words = TILL_WORDS("run", "--generate", "500", "--seed", "1", "--once", "--data-dir", "d"),
        .out_has_no_reader = true,
        .err_has_no_reader = true});
    assert_exit_code(run, 0);
    assert_balanced("d");
}

static void output_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    make_data();
    const struct outcome *query = till_run(&(struct till_start){
        .words = TILL_WORDS("query", "--data-dir", "d"), .out_path = "/dev/full"});
    assert_exit_code(query, 1);
    assert_err_has(query, "till: standard output: No space left on device\n");
}

// Whatever is opened next must not take the place of a stream and get what is meant for people.
static void closed_streams_harm_nothing(void **state)
{
    (void)state;
    make_data();
    for (unsigned closed = 1; closed < 8; closed++) {
        const struct outcome *run =
            till_run(&(struct till_start){.words = TILL_WORDS("run", "--generate", "2000", "--seed",
                                                              "1", "--once", "--data-dir", "e"),
                                          .closed = closed});
        bool can_answer = (closed & 2) == 0;
        assert_exit_code(run, can_answer ? 0 : 1);
        assert_balanced("e");
        size_t size = 0;
        char *lock = read_bytes("e/lock", &size);
        assert_non_null(strstr(lock, " till run\n"));
        assert_true(size < 32);
        free(lock);
    }
    assert_same_facts("d", "e");
}

static void standard_input_that_is_not_there_is_an_error_only_for_who_reads_it(void **state)
{
    (void)state;
    const struct outcome *run = till_run(&(struct till_start){
        .words = TILL_WORDS("run", "--from", "-", "--once", "--data-dir", "d"), .closed = 1});
    assert_exit_code(run, 1);
    assert_err_has(run, "till: standard input: Bad file descriptor\n");
}

static void quiet_leaves_only_data_and_errors(void **state)
{
    (void)state;
    const struct outcome *run =
        TILL("run", "--generate", "500", "--seed", "1", "--once", "--quiet", "--data-dir", "d");
    assert_exit_code(run, 0);
    assert_err_is(run, "");
    assert_out_has(run, "\nBalanced: all ");
    const struct outcome *refused = TILL("run", "--quiet", "--once", "--data-dir", "a/b");
    assert_exit_code(refused, 69);
    assert_err_is_one_line(refused);
}

// --- on a terminal --------------------------------------------------------------------------------

#define ERASE_LINE "\r\x1b[K"
#define RATED                                                                                      \
    "run", "--generate", "1000", "--seed", "1", "--rate", "2000", "--once", "--data-dir", "d"

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    while ((text = strstr(text, part)) != NULL) {
        text += strlen(part);
        count++;
    }
    return count;
}

// About a second at the rate given, and a line ten times a second.
static void a_terminal_shows_one_line_that_is_written_over(void **state)
{
    (void)state;
    const struct outcome *run = till_run(&(struct till_start){
        .words = TILL_WORDS(RATED), .variables = TILL_WORDS("TERM=xterm"), .on_terminal = true});
    assert_exit_code(run, 0);
    assert_true(count_of(run->out, ERASE_LINE) >= 3);
    assert_out_has(run, " messages (100%), ");
    assert_int_equal(count_of(run->out, " unmatched\r\n"), 1); // the last one stays
    assert_out_has(run, "\nBalanced: all ");
    assert_out_has(run, "till query --status UNPAID");
}

static void a_terminal_that_cannot_do_it_gets_plain_lines(void **state)
{
    (void)state;
    const char *const *const variables[] = {TILL_WORDS("TERM=dumb"), TILL_WORDS(NULL),
                                            TILL_WORDS("TERM=xterm", "CI=true")};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const struct outcome *run =
            till_run(&(struct till_start){.words = TILL_WORDS("run", "--generate", "100", "--seed",
                                                              "1", "--once", "--data-dir", "d"),
                                          .variables = variables[i],
                                          .on_terminal = true});
        assert_exit_code(run, 0);
        assert_null(strchr(run->out, '\x1b'));
        assert_out_has(run, " messages (100%), ");
    }
}

static void a_pipe_gets_no_control_characters(void **state)
{
    (void)state;
    const struct outcome *run = TILL(RATED);
    assert_exit_code(run, 0);
    assert_null(strchr(run->err, '\x1b'));
    assert_null(strchr(run->err, '\r'));
    assert_null(strchr(run->out, '\x1b'));
}

// Ctrl-C on a terminal: the line that stands there makes room for what is said.
static void ctrl_c_on_a_terminal_drains(void **state)
{
    (void)state;
    struct till_process *service = till_start(
        &(struct till_start){.words = TILL_WORDS("run", "--generate", "1000000", "--seed", "1",
                                                 "--rate", "2000", "--data-dir", "d"),
                             .variables = TILL_WORDS("TERM=xterm"),
                             .on_terminal = true});
    till_wait_for_out(service, ERASE_LINE);
    till_type(service, "\x03");
    const struct outcome *outcome = till_wait(service);
    assert_exit_code(outcome, 0);
    assert_out_has(outcome, ERASE_LINE "stopping: finishing what is in hand");
    assert_balanced("d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSTEM_TEST(a_reader_that_goes_away_is_no_error),
        SYSTEM_TEST(a_run_goes_on_when_nobody_reads_what_it_says),
        SYSTEM_TEST(output_that_cannot_be_written_is_an_error),
        SYSTEM_TEST(closed_streams_harm_nothing),
        SYSTEM_TEST(standard_input_that_is_not_there_is_an_error_only_for_who_reads_it),
        SYSTEM_TEST(quiet_leaves_only_data_and_errors),
        SYSTEM_TEST(a_terminal_shows_one_line_that_is_written_over),
        SYSTEM_TEST(a_terminal_that_cannot_do_it_gets_plain_lines),
        SYSTEM_TEST(a_pipe_gets_no_control_characters),
        SYSTEM_TEST(ctrl_c_on_a_terminal_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
