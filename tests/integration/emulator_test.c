// The rig itself: Google's Pub/Sub emulator is started, killed, started again, paused and stopped, and
// reached through the proxy. The questions go to the REST side of the emulator, so that a fault here is
// none of our client's.
#include "loopback_port.h"
#include "pubsub_emulator.h"
#include "tcp_proxy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DEADLINE_MS 30000
#define SILENCE_MS  150 // so long no answer must come
#define TOPIC       "/v1/projects/rig/topics/orders"

static bool has_news(int fd, int ms)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    return poll(&polled, 1, ms) == 1;
}

// The status of an HTTP answer; 0 when none comes within the time, or the connection ends.
static int ask(uint16_t port, const char *method, const char *path, int timeout_ms)
{
    char text[256];
    int status = 0;
    int fd = loopback_port_connect(port);
    assert_true(fd >= 0);
    int size = snprintf(text, sizeof text,
                        "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        "Content-Length: 2\r\n\r\n{}",
                        method, path);
    assert_in_range(size, 1, sizeof text - 1);
    assert_int_equal(send(fd, text, (size_t)size, MSG_NOSIGNAL), size);
    if (has_news(fd, timeout_ms)) {
        ssize_t got = recv(fd, text, sizeof text - 1, 0);
        text[got > 0 ? got : 0] = '\0';
        (void)sscanf(text, "HTTP/1.1 %3d", &status);
    }
    (void)close(fd);
    return status;
}

static int status_of_topic(const struct pubsub_emulator *emulator)
{
    return ask(pubsub_emulator_port(emulator), "GET", TOPIC, DEADLINE_MS);
}

static void make_topic(const struct pubsub_emulator *emulator)
{
    assert_int_equal(status_of_topic(emulator), 404);
    assert_int_equal(ask(pubsub_emulator_port(emulator), "PUT", TOPIC, DEADLINE_MS), 200);
    assert_int_equal(status_of_topic(emulator), 200);
}

static void a_started_emulator_answers_at_its_address(void **state)
{
    (void)state;
    char address[32];
    struct pubsub_emulator *emulator = pubsub_emulator_start();
    (void)snprintf(address, sizeof address, "127.0.0.1:%d", pubsub_emulator_port(emulator));
    assert_string_equal(pubsub_emulator_address(emulator), address);
    make_topic(emulator);
    pubsub_emulator_stop(&emulator);
    assert_null(emulator);
    pubsub_emulator_stop(&emulator);
}

static void a_killed_one_refuses_until_it_is_restarted_with_nothing_it_knew(void **state)
{
    (void)state;
    struct pubsub_emulator *emulator = pubsub_emulator_start();
    uint16_t port = pubsub_emulator_port(emulator);
    make_topic(emulator);
    pubsub_emulator_kill(emulator);
    assert_int_equal(pubsub_emulator_pid(emulator), -1);
    assert_false(loopback_port_is_open(port, DEADLINE_MS));
    assert_int_equal(errno, ECONNREFUSED);
    assert_false(pubsub_emulator_answers(emulator, SILENCE_MS));
    pubsub_emulator_restart(emulator);
    assert_int_equal(pubsub_emulator_port(emulator), port);
    make_topic(emulator);
    pid_t before = pubsub_emulator_pid(emulator);
    pubsub_emulator_restart(emulator); // while it runs
    assert_int_not_equal(pubsub_emulator_pid(emulator), before);
    make_topic(emulator);
    pubsub_emulator_stop(&emulator);
}

static void a_paused_one_is_silent_and_knows_everything_when_resumed(void **state)
{
    (void)state;
    struct pubsub_emulator *emulator = pubsub_emulator_start();
    make_topic(emulator);
    for (int i = 0; i < 3; i++) {
        pubsub_emulator_pause(emulator);
        assert_false(pubsub_emulator_answers(emulator, SILENCE_MS));
        pubsub_emulator_resume(emulator);
        assert_true(pubsub_emulator_answers(emulator, DEADLINE_MS));
    }
    assert_int_equal(status_of_topic(emulator), 200);
    pubsub_emulator_pause(emulator);
    pubsub_emulator_restart(emulator); // a paused one too
    assert_int_equal(status_of_topic(emulator), 404);
    pubsub_emulator_stop(&emulator);
}

static void two_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct pubsub_emulator *one = pubsub_emulator_start();
    struct pubsub_emulator *other = pubsub_emulator_start();
    make_topic(one);
    make_topic(other);
    pubsub_emulator_stop(&one);
    assert_int_equal(status_of_topic(other), 200);
    pubsub_emulator_stop(&other);
}

static void the_weather_of_the_proxy_reaches_the_emulator(void **state)
{
    (void)state;
    struct pubsub_emulator *emulator = pubsub_emulator_start();
    struct tcp_proxy *proxy = tcp_proxy_start(pubsub_emulator_port(emulator));
    assert_non_null(proxy);
    assert_int_equal(ask(tcp_proxy_port(proxy), "PUT", TOPIC, DEADLINE_MS), 200);
    tcp_proxy_stall(proxy, TCP_PROXY_CLIENT);
    assert_int_equal(ask(tcp_proxy_port(proxy), "DELETE", TOPIC, SILENCE_MS), 0);
    assert_int_equal(status_of_topic(emulator), 404); // the answer alone was lost
    tcp_proxy_stop(&proxy);
    pubsub_emulator_stop(&emulator);
}

// A test that starts an emulator, tells its process id, and waits to be killed.
static _Noreturn void be_test(int tell_fd)
{
    struct pubsub_emulator *emulator = pubsub_emulator_start();
    pid_t pid = pubsub_emulator_pid(emulator);
    if (write(tell_fd, &pid, sizeof pid) != sizeof pid) {
        _exit(1);
    }
    for (;;) {
        (void)pause();
    }
}

static void a_test_that_is_killed_takes_it_with_it(void **state)
{
    (void)state;
    int pipe_fds[2];
    pid_t emulator_pid = 0;
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t test = fork();
    assert_true(test >= 0);
    if (test == 0) {
        be_test(pipe_fds[1]);
    }
    assert_true(has_news(pipe_fds[0], DEADLINE_MS));
    assert_int_equal(read(pipe_fds[0], &emulator_pid, sizeof emulator_pid), sizeof emulator_pid);
    int emulator_fd = pidfd_open(emulator_pid, 0);
    assert_true(emulator_fd >= 0);
    assert_false(has_news(emulator_fd, SILENCE_MS));
    assert_int_equal(kill(test, SIGKILL), 0);
    assert_int_equal(waitpid(test, NULL, 0), test);
    assert_true(has_news(emulator_fd, DEADLINE_MS));
    (void)close(emulator_fd);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
}

static size_t count_open_files(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

static void a_stop_leaves_nothing_behind(void **state)
{
    (void)state;
    size_t count = count_open_files();
    struct pubsub_emulator *emulator = pubsub_emulator_start();
    pid_t pid = pubsub_emulator_pid(emulator);
    pubsub_emulator_restart(emulator);
    pubsub_emulator_stop(&emulator);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); // no child is left
    assert_int_equal(errno, ECHILD);
    assert_int_equal(count_open_files(), count);
}

int main(void)
{
    pubsub_emulator_require();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_started_emulator_answers_at_its_address),
        cmocka_unit_test(a_killed_one_refuses_until_it_is_restarted_with_nothing_it_knew),
        cmocka_unit_test(a_paused_one_is_silent_and_knows_everything_when_resumed),
        cmocka_unit_test(two_do_not_disturb_each_other),
        cmocka_unit_test(the_weather_of_the_proxy_reaches_the_emulator),
        cmocka_unit_test(a_test_that_is_killed_takes_it_with_it),
        cmocka_unit_test(a_stop_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
