// Signals: the first asks for a drain, the second ends the process. The ending ones run in a child.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 10000

static bool is_readable(int fd, int wait_ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    return poll(&item, 1, wait_ms) == 1;
}

static void the_first_signal_asks_for_a_drain_and_nothing_else(void **state)
{
    (void)state;
    static const int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++) {
        struct why why = {0};
        assert_int_equal(signals_install(&why), ERR_OK);
        assert_false(signals_drain_requested());
        assert_false(is_readable(signals_drain_fd(), 0));
        assert_int_equal(raise(numbers[i]), 0);
        assert_true(signals_drain_requested());
        assert_true(is_readable(signals_drain_fd(), 0));
        assert_true(is_readable(signals_drain_fd(), 0)); // stays so
        signals_uninstall();
    }
}

static void a_drain_can_be_asked_for_without_a_signal(void **state)
{
    (void)state;
    struct why why = {0};
    assert_int_equal(signals_install(&why), ERR_OK);
    signals_request_drain();
    assert_true(signals_drain_requested());
    assert_true(is_readable(signals_drain_fd(), 0));
    // It was no signal, so the next one is the first.
    assert_int_equal(raise(SIGTERM), 0);
    signals_uninstall();
}

// A child that waits for its second signal; returns how it ended.
static int end_of_child(int first, int second)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct why why = {0};
        if (signals_install(&why) != ERR_OK || raise(first) != 0 || write(ready[1], "r", 1) != 1) {
            _exit(1);
        }
        // A pause that a signal may come before is harmless here: poll ends by itself.
        (void)poll(NULL, 0, DEADLINE_MS);
        _exit(2);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(kill(child, second), 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(close(ready[0]), 0);
    assert_int_equal(close(ready[1]), 0);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_second_signal_ends_the_process_at_once(void **state)
{
    (void)state;
    assert_int_equal(end_of_child(SIGINT, SIGINT), 130);
    assert_int_equal(end_of_child(SIGTERM, SIGTERM), 143);
    assert_int_equal(end_of_child(SIGTERM, SIGINT), 130);
}

static void a_broken_pipe_is_an_answer_not_a_death(void **state)
{
    (void)state;
    struct why why = {0};
    int ends[2];
    assert_int_equal(signals_install(&why), ERR_OK);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(write(ends[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(close(ends[1]), 0);
    signals_uninstall();
    signals_uninstall(); // again is harmless
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_signal_asks_for_a_drain_and_nothing_else),
        cmocka_unit_test(a_drain_can_be_asked_for_without_a_signal),
        cmocka_unit_test(the_second_signal_ends_the_process_at_once),
        cmocka_unit_test(a_broken_pipe_is_an_answer_not_a_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
