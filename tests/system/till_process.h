// The program `till`, started as its user would start it: what it is told, what it answers on which
// stream, and with which exit code it ends. Tests wait for what they wait for, with a deadline, and
// show the whole run when it does not come.
//
// Every test runs in an empty directory of its own, which is removed after it together with every
// process that is still there. The program's path is in TILL_TEST_BINARY. One thread.
#ifndef TILL_TESTS_TILL_PROCESS_H
#define TILL_TESTS_TILL_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TILL_DEADLINE_MS 30000

// For cmocka: the directory before, removal after.
int till_test_setup(void **state);
int till_test_teardown(void **state);
#define SYSTEM_TEST(function)                                                                      \
    cmocka_unit_test_setup_teardown(function, till_test_setup, till_test_teardown)

// A run that has ended. The texts end in a zero byte that is not counted, and stay until the end of
// the test.
struct outcome {
    int exit_code; // as a shell shows it: 128 + signal after a signal
    const char *out;
    size_t out_size;
    const char *err;
    size_t err_size;
};

struct till_start {
    const char *const *words; // what stands behind "till", then NULL
    const char *const
        *variables;         // "NAME=value", then NULL; NULL for none. No TILL_ setting is inherited
    bool input_stays_open;  // standard input is a pipe, see till_feed; else it is empty
    const char *input_path; // standard input is this file
    bool on_terminal;       // both outputs are one terminal, and come as `out`
    bool err_is_stuck;      // nobody reads standard error and its pipe is full
    bool out_has_no_reader; // the reading end is closed before the start
    bool err_has_no_reader;
    const char *out_path; // standard output goes to this file
    bool without_rights;  // as a user whom permissions bind, even when the test runs as root
    unsigned closed;      // bit n: descriptor n is not open at all
};

struct till_process;

struct till_process *till_start(const struct till_start *start);
const struct outcome *till_run(const struct till_start *start); // start, then wait for the end

#define TILL_WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define TILL(...)       till_run(&(struct till_start){.words = TILL_WORDS(__VA_ARGS__)})

// Writes all of it to standard input.
void till_feed(struct till_process *process, const char *text);
void till_end_input(struct till_process *process);
// A few characters at its terminal's keyboard.
void till_type(struct till_process *process, const char *keys);

// Until the stream holds `text`.
void till_wait_for_out(struct till_process *process, const char *text);
void till_wait_for_err(struct till_process *process, const char *text);

// Until `holds` says so; it is asked again and again while the process is watched. The process may
// have ended only if `may_end`.
typedef bool till_condition(void *context);
void till_wait_until(struct till_process *process, till_condition *holds, void *context,
                     const char *what);

void till_signal(struct till_process *process, int number);
pid_t till_pid(const struct till_process *process);
// Until the process has said what it does when the signal comes.
void till_wait_for_handler(struct till_process *process, int number);
// Until the process itself has received what was sent to it.
void till_wait_for_signal_taken(struct till_process *process, int number);
const struct outcome *till_wait(struct till_process *process);

// Prints the run, then fails the test with the message.
_Noreturn void till_fail(const struct outcome *outcome, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void assert_exit_code(const struct outcome *outcome, int expected);
void assert_out_has(const struct outcome *outcome, const char *text);
void assert_err_has(const struct outcome *outcome, const char *text);
void assert_err_is(const struct outcome *outcome, const char *text);
// One line, and it begins with "till: ".
void assert_err_is_one_line(const struct outcome *outcome);

#endif
