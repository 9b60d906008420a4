// The emulator answers `GET /` on its one port with 200, which tells that it is ready. What it prints
// goes to a file without a name, so that it never stands still because nobody reads.
#include "pubsub_emulator.h"

#include "loopback_port.h"
#include "pubsub_emulator_find.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_SKIPPED      77
#define START_TIMEOUT_MS  60000
#define SIGNAL_TIMEOUT_MS 10000
#define ANSWER_TIMEOUT_MS 1000
#define TICK_MS           10
#define SHOWN_SIZE_MAX    4000

struct pubsub_emulator {
    struct pubsub_emulator_files files;
    struct loopback_port port;
    char address[32];
    int log_fd;
    pid_t pid;  // -1: killed
    int pid_fd; // -1: killed
};

static int64_t now_ms(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

// --- what a failure shows -------------------------------------------------------------------------

static void show_last_words(int log_fd)
{
    char text[SHOWN_SIZE_MAX];
    struct stat status;
    if (log_fd < 0 || fstat(log_fd, &status) != 0) {
        return;
    }
    off_t begin = status.st_size > SHOWN_SIZE_MAX ? status.st_size - SHOWN_SIZE_MAX : 0;
    ssize_t size = pread(log_fd, text, sizeof text, begin);
    if (size > 0) {
        (void)fprintf(stderr, "--- the emulator's last words\n%.*s\n", (int)size, text);
    }
}

static _Noreturn void give_up(const struct pubsub_emulator *emulator, const char *what)
{
    int saved = errno;
    show_last_words(emulator->log_fd);
    (void)fprintf(stderr, "Pub/Sub emulator: %s (%s)\n", what, strerror(saved));
    abort();
}

static void must(bool done, const struct pubsub_emulator *emulator, const char *what)
{
    if (!done) {
        give_up(emulator, what);
    }
}

// --- being there ----------------------------------------------------------------------------------

static void find_or_end(struct pubsub_emulator_files *out_files)
{
    const char *reason;
    const char *ci = getenv("CI");
    enum pubsub_emulator_found found = pubsub_emulator_find(out_files, &reason);
    if (found == PUBSUB_EMULATOR_FOUND) {
        return;
    }
    bool fails = found == PUBSUB_EMULATOR_WRONG || (ci != NULL && strcmp(ci, "true") == 0);
    (void)fprintf(stderr, "%s: %s.\n", fails ? "failed" : "skipped", reason);
    exit(fails ? EXIT_FAILURE : EXIT_SKIPPED);
}

void pubsub_emulator_require(void)
{
    struct pubsub_emulator_files files;
    find_or_end(&files);
}

// --- the process ----------------------------------------------------------------------------------

// In the child: only what may be called after a fork of a process with threads.
static _Noreturn void become_emulator(const struct pubsub_emulator *emulator,
                                      char *const *arguments, pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || dup2(input, 0) != 0 ||
        dup2(emulator->log_fd, 1) != 1 || dup2(emulator->log_fd, 2) != 2) {
        _exit(126);
    }
    (void)execv(emulator->files.java, arguments);
    _exit(127);
}

static void spawn(struct pubsub_emulator *emulator)
{
    char port[32];
    (void)snprintf(port, sizeof port, "--port=%d", emulator->port.number);
    char *const arguments[] = {emulator->files.java,
                               (char[]){"-Xmx2g"},
                               (char[]){"-XX:-UsePerfData"}, // leaves no file behind
                               (char[]){"-Djava.net.preferIPv4Stack=true"},
                               (char[]){"-jar"},
                               emulator->files.jar,
                               (char[]){"--host=127.0.0.1"},
                               port,
                               NULL};
    pid_t parent = getpid();
    emulator->pid = fork();
    must(emulator->pid >= 0, emulator, "fork");
    if (emulator->pid == 0) {
        become_emulator(emulator, arguments, parent);
    }
    emulator->pid_fd = pidfd_open(emulator->pid, 0);
    must(emulator->pid_fd >= 0, emulator, "pidfd_open");
}

// Until the process ends, or the time is over.
static bool ends_within(const struct pubsub_emulator *emulator, int ms)
{
    struct pollfd polled = {.fd = emulator->pid_fd, .events = POLLIN};
    return poll(&polled, 1, ms) == 1;
}

static void wait_until_ready(const struct pubsub_emulator *emulator)
{
    int64_t deadline_ms = now_ms() + START_TIMEOUT_MS;
    while (!pubsub_emulator_answers(emulator, ANSWER_TIMEOUT_MS)) {
        errno = 0;
        must(!ends_within(emulator, TICK_MS), emulator, "it ended instead of answering");
        must(now_ms() < deadline_ms, emulator, "it does not answer");
    }
}

struct pubsub_emulator *pubsub_emulator_start(void)
{
    struct pubsub_emulator *emulator = calloc(1, sizeof *emulator);
    if (emulator == NULL) {
        abort();
    }
    emulator->pid = emulator->pid_fd = emulator->log_fd = emulator->port.fd = -1;
    find_or_end(&emulator->files);
    must(loopback_port_reserve(&emulator->port), emulator, "no free port");
    (void)snprintf(emulator->address, sizeof emulator->address, "127.0.0.1:%d",
                   emulator->port.number);
    emulator->log_fd = memfd_create("pubsub_emulator", MFD_CLOEXEC);
    must(emulator->log_fd >= 0, emulator, "memfd_create");
    pubsub_emulator_restart(emulator);
    return emulator;
}

void pubsub_emulator_kill(struct pubsub_emulator *emulator)
{
    if (emulator->pid < 0) {
        return;
    }
    must(kill(emulator->pid, SIGKILL) == 0, emulator, "kill");
    must(ends_within(emulator, SIGNAL_TIMEOUT_MS), emulator, "SIGKILL does not end it");
    must(waitpid(emulator->pid, NULL, 0) == emulator->pid, emulator, "waitpid");
    (void)close(emulator->pid_fd);
    emulator->pid = emulator->pid_fd = -1;
}

void pubsub_emulator_restart(struct pubsub_emulator *emulator)
{
    pubsub_emulator_kill(emulator);
    spawn(emulator);
    wait_until_ready(emulator);
}

void pubsub_emulator_stop(struct pubsub_emulator **emulator_pointer)
{
    struct pubsub_emulator *emulator = *emulator_pointer;
    *emulator_pointer = NULL;
    if (emulator == NULL) {
        return;
    }
    pubsub_emulator_kill(emulator);
    loopback_port_release(&emulator->port);
    (void)close(emulator->log_fd);
    free(emulator);
}

// Sends the signal and waits until the system says that the state has changed.
static void change_state(struct pubsub_emulator *emulator, int number, int options)
{
    siginfo_t info = {0};
    int64_t deadline_ms = now_ms() + SIGNAL_TIMEOUT_MS;
    must(emulator->pid >= 0 && kill(emulator->pid, number) == 0, emulator, "signal");
    for (;;) {
        must(waitid(P_PID, (id_t)emulator->pid, &info, options | WNOHANG) == 0, emulator, "waitid");
        if (info.si_pid == emulator->pid) {
            return;
        }
        errno = 0;
        must(!ends_within(emulator, TICK_MS), emulator, "it ended by itself");
        must(now_ms() < deadline_ms, emulator, "a signal has no effect");
    }
}

void pubsub_emulator_pause(struct pubsub_emulator *emulator)
{
    change_state(emulator, SIGSTOP, WSTOPPED);
}

void pubsub_emulator_resume(struct pubsub_emulator *emulator)
{
    change_state(emulator, SIGCONT, WCONTINUED);
}

const char *pubsub_emulator_address(const struct pubsub_emulator *emulator)
{
    return emulator->address;
}

uint16_t pubsub_emulator_port(const struct pubsub_emulator *emulator)
{
    return emulator->port.number;
}

pid_t pubsub_emulator_pid(const struct pubsub_emulator *emulator)
{
    return emulator->pid;
}

// --- asking it ------------------------------------------------------------------------------------

// Whether the event comes before the deadline.
static bool wait_for(int fd, short event, int64_t deadline_ms)
{
    struct pollfd polled = {.fd = fd, .events = event};
    int64_t left_ms = deadline_ms - now_ms();
    return poll(&polled, 1, left_ms > 0 ? (int)left_ms : 0) == 1;
}

static bool has_good_answer(int fd, int64_t deadline_ms)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static const char good[] = "HTTP/1.1 200 ";
    char answer[sizeof good - 1];
    ssize_t size = (ssize_t)sizeof request - 1;
    if (!wait_for(fd, POLLOUT, deadline_ms) ||
        send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != size) {
        return false;
    }
    for (size_t got = 0; got < sizeof answer; got += (size_t)size) {
        size =
            wait_for(fd, POLLIN, deadline_ms) ? recv(fd, answer + got, sizeof answer - got, 0) : -1;
        if (size <= 0) {
            return false;
        }
    }
    return memcmp(answer, good, sizeof answer) == 0;
}

bool pubsub_emulator_answers(const struct pubsub_emulator *emulator, uint32_t timeout_ms)
{
    int64_t deadline_ms = now_ms() + timeout_ms;
    int fd = loopback_port_connect(emulator->port.number);
    if (fd < 0) {
        return false;
    }
    bool answers = has_good_answer(fd, deadline_ms);
    (void)close(fd);
    return answers;
}
