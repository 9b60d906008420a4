// Starting and watching processes. Outputs are gathered whenever the test waits for anything, so the
// program never stands still because a pipe is full, unless a test wants just that.
#include "till_process.h"

#include "must.h"
#include "till_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE_MAX_HELD  ((size_t)256 << 20)
#define SHOWN_SIZE_MAX 4000
#define TICK_MS        10

struct stream {
    int fd; // -1: nothing more comes
    char *data;
    size_t size;
    size_t cap;
};

struct till_process {
    struct till_process *next;
    char command_line[1024];
    pid_t pid;
    int pid_fd;
    int in_fd;    // -1: none, or ended
    int stuck_fd; // -1, or the end of standard error's pipe that nobody reads
    struct stream out;
    struct stream err;
    bool ended;
    struct outcome outcome;
};

static char directory[1024];
static struct till_process *processes;

// --- the directory of a test ----------------------------------------------------------------------

int till_test_setup(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    int size = snprintf(directory, sizeof directory, "%s/till-system-XXXXXX",
                        parent != NULL ? parent : "/tmp");
    (void)signal(SIGPIPE, SIG_IGN);
    return size <= 0 || (size_t)size >= sizeof directory || mkdtemp(directory) == NULL ||
           chdir(directory) != 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *position)
{
    (void)status;
    (void)kind;
    (void)position;
    return remove(path);
}

static void free_process(struct till_process *process)
{
    if (!process->ended && process->pid > 0) {
        (void)kill(process->pid, SIGKILL);
        (void)waitpid(process->pid, NULL, 0);
    }
    int fds[] = {process->pid_fd, process->in_fd, process->stuck_fd, process->out.fd,
                 process->err.fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    free(process->out.data);
    free(process->err.data);
    free(process);
}

int till_test_teardown(void **state)
{
    (void)state;
    while (processes != NULL) {
        struct till_process *process = processes;
        processes = process->next;
        free_process(process);
    }
    return chdir("/") != 0 || nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0;
}

// --- what a failed test shows ---------------------------------------------------------------------

static void show_stream(const char *name, const char *text, size_t size)
{
    int shown = size > SHOWN_SIZE_MAX ? SHOWN_SIZE_MAX : (int)size;
    print_error("--- standard %s, %zu bytes%s\n%.*s\n", name, size,
                size > SHOWN_SIZE_MAX ? ", the last ones" : "", shown, text + size - (size_t)shown);
}

_Noreturn void till_fail(const struct outcome *outcome, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    for (const struct till_process *process = processes; process != NULL; process = process->next) {
        if (&process->outcome == outcome) {
            print_error("%s\n", process->command_line);
            print_error("--- %s %d\n", process->ended ? "ended with" : "still runs",
                        process->ended ? outcome->exit_code : (int)process->pid);
            show_stream("output", process->out.data, process->out.size);
            show_stream("error", process->err.data, process->err.size);
        }
    }
    fail_msg("%s", message);
    abort(); // fail_msg does not come back
}

// --- starting -------------------------------------------------------------------------------------

static void write_command_line(const struct till_start *start, struct till_process *process)
{
    size_t used = (size_t)snprintf(process->command_line, sizeof process->command_line, "$ till");
    for (size_t i = 0; start->words[i] != NULL && used < sizeof process->command_line; i++) {
        used += (size_t)snprintf(process->command_line + used, sizeof process->command_line - used,
                                 " %s", start->words[i]);
    }
}

static void stream_make_room(struct stream *stream)
{
    if (stream->cap - stream->size > 1) {
        return;
    }
    must(stream->cap < SIZE_MAX_HELD, "more output than any test expects");
    stream->cap = stream->cap == 0 ? 4096 : stream->cap * 2;
    stream->data = realloc(stream->data, stream->cap);
    must(stream->data != NULL, "memory for output");
    stream->data[stream->size] = '\0';
}

static void show_to_test(struct till_process *process)
{
    process->outcome.out = process->out.data;
    process->outcome.out_size = process->out.size;
    process->outcome.err = process->err.data;
    process->outcome.err_size = process->err.size;
}

// Known to the list before anything can fail, so that it is freed in any case.
static struct till_process *add_process(void)
{
    struct till_process *process = calloc(1, sizeof *process);
    must(process != NULL, "memory");
    process->next = processes;
    processes = process;
    process->pid = process->pid_fd = process->in_fd = process->stuck_fd = -1;
    process->out.fd = process->err.fd = -1;
    stream_make_room(&process->out);
    stream_make_room(&process->err);
    show_to_test(process);
    return process;
}

struct till_process *till_start(const struct till_start *start)
{
    struct till_process *process = add_process();
    struct till_spawned spawned;
    write_command_line(start, process);
    till_spawn(start, &spawned);
    process->pid = spawned.pid;
    process->in_fd = spawned.in_fd;
    process->out.fd = spawned.out_fd;
    process->err.fd = spawned.err_fd;
    process->stuck_fd = spawned.stuck_fd;
    process->pid_fd = pidfd_open(process->pid, 0);
    must(process->pid_fd >= 0, "pidfd_open");
    return process;
}

// --- watching -------------------------------------------------------------------------------------

static int64_t now_ms(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

// Reads once. A terminal answers EIO when its last user is gone.
static void stream_read(struct stream *stream)
{
    stream_make_room(stream);
    ssize_t size = read(stream->fd, stream->data + stream->size, stream->cap - stream->size - 1);
    if (size > 0) {
        stream->size += (size_t)size;
        stream->data[stream->size] = '\0';
    } else if (size == 0 || (errno != EINTR && errno != EAGAIN)) {
        (void)close(stream->fd);
        stream->fd = -1;
    }
}

static void note_end(struct till_process *process)
{
    int status = 0;
    must(waitpid(process->pid, &status, 0) == process->pid, "waitpid");
    process->ended = true;
    process->outcome.exit_code = WIFEXITED(status)
                                     ? WEXITSTATUS(status)
                                     : 128 + (WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

// Gathers what the process says, for up to `ms` or until something happens. The end of the process
// counts only once its streams have ended too.
static void watch(struct till_process *process, int ms)
{
    bool open = process->out.fd >= 0 || process->err.fd >= 0;
    struct pollfd polled[] = {
        {.fd = process->out.fd, .events = POLLIN},
        {.fd = process->err.fd, .events = POLLIN},
        {.fd = open || process->ended ? -1 : process->pid_fd, .events = POLLIN}};
    if (poll(polled, 3, ms) <= 0) {
        return; // nothing yet
    }
    if (polled[0].revents != 0) {
        stream_read(&process->out);
    }
    if (polled[1].revents != 0) {
        stream_read(&process->err);
    }
    if (polled[2].revents != 0) {
        note_end(process);
    }
    show_to_test(process);
}

void till_wait_until(struct till_process *process, till_condition *holds, void *context,
                     const char *what)
{
    int64_t deadline_ms = now_ms() + TILL_DEADLINE_MS;
    while (!holds(context)) {
        if (now_ms() >= deadline_ms) {
            till_fail(&process->outcome, "waited in vain for %s", what);
        }
        if (process->ended && !holds(context)) {
            till_fail(&process->outcome, "ended without %s", what);
        }
        watch(process, TICK_MS);
    }
}

struct awaited_text {
    const struct stream *stream;
    const char *text;
};

static bool has_text(void *context)
{
    const struct awaited_text *awaited = context;
    return strstr(awaited->stream->data, awaited->text) != NULL;
}

void till_wait_for_out(struct till_process *process, const char *text)
{
    till_wait_until(process, has_text, &(struct awaited_text){&process->out, text}, text);
}

void till_wait_for_err(struct till_process *process, const char *text)
{
    till_wait_until(process, has_text, &(struct awaited_text){&process->err, text}, text);
}

static bool has_ended(void *context)
{
    return ((const struct till_process *)context)->ended;
}

const struct outcome *till_wait(struct till_process *process)
{
    till_wait_until(process, has_ended, process, "its end");
    return &process->outcome;
}

const struct outcome *till_run(const struct till_start *start)
{
    return till_wait(till_start(start));
}

// --- talking to it --------------------------------------------------------------------------------

static void set_blocking(int fd, bool blocking)
{
    int flags = fcntl(fd, F_GETFL);
    must(flags >= 0 && fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) == 0,
         "fcntl");
}

void till_feed(struct till_process *process, const char *text)
{
    size_t size = strlen(text);
    int64_t deadline_ms = now_ms() + TILL_DEADLINE_MS;
    set_blocking(process->in_fd, false); // our end only: a pipe's ends are two descriptions
    while (size > 0) {
        ssize_t written = write(process->in_fd, text, size);
        if (written > 0) {
            text += written;
            size -= (size_t)written;
        } else if (now_ms() >= deadline_ms || (errno != EAGAIN && errno != EINTR)) {
            till_fail(&process->outcome, "standard input is not read: %s", strerror(errno));
        } else {
            watch(process, TICK_MS);
        }
    }
}

void till_end_input(struct till_process *process)
{
    assert_true(process->in_fd >= 0);
    (void)close(process->in_fd);
    process->in_fd = -1;
}

void till_type(struct till_process *process, const char *keys)
{
    ssize_t size = (ssize_t)strlen(keys);
    assert_int_equal(write(process->out.fd, keys, (size_t)size), size);
}

void till_signal(struct till_process *process, int number)
{
    assert_false(process->ended);
    assert_int_equal(kill(process->pid, number), 0);
}

pid_t till_pid(const struct till_process *process)
{
    return process->pid;
}

struct awaited_signal {
    pid_t pid;
    int number;
};

// Whether the signal stands in one of the masks of /proc/PID/status.
static bool is_in_mask(const struct awaited_signal *awaited, const char *mask)
{
    char path[64];
    char line[256];
    bool is_in = false;
    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)awaited->pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, mask, strlen(mask)) == 0) {
            uint64_t bits = strtoull(line + strlen(mask), NULL, 16);
            is_in = (bits >> (awaited->number - 1) & 1) != 0;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return is_in;
}

static bool has_handler(void *context)
{
    return is_in_mask(context, "SigCgt:");
}

// A signal to a process is pending until one of its threads takes it.
static bool signal_is_taken(void *context)
{
    return !is_in_mask(context, "ShdPnd:");
}

void till_wait_for_handler(struct till_process *process, int number)
{
    till_wait_until(process, has_handler, &(struct awaited_signal){process->pid, number},
                    "its handler of the signal");
}

void till_wait_for_signal_taken(struct till_process *process, int number)
{
    till_wait_until(process, signal_is_taken, &(struct awaited_signal){process->pid, number},
                    "the signal to be taken");
}

// --- asserting ------------------------------------------------------------------------------------

void assert_exit_code(const struct outcome *outcome, int expected)
{
    if (outcome->exit_code != expected) {
        till_fail(outcome, "exit code %d, expected %d", outcome->exit_code, expected);
    }
}

void assert_out_has(const struct outcome *outcome, const char *text)
{
    if (strstr(outcome->out, text) == NULL) {
        till_fail(outcome, "standard output lacks \"%s\"", text);
    }
}

void assert_err_has(const struct outcome *outcome, const char *text)
{
    if (strstr(outcome->err, text) == NULL) {
        till_fail(outcome, "standard error lacks \"%s\"", text);
    }
}

void assert_err_is(const struct outcome *outcome, const char *text)
{
    if (strcmp(outcome->err, text) != 0) {
        till_fail(outcome, "standard error is not \"%s\"", text);
    }
}

void assert_err_is_one_line(const struct outcome *outcome)
{
    const char *end = strchr(outcome->err, '\n');
    if (strncmp(outcome->err, "till: ", 6) != 0 || end == NULL || end[1] != '\0') {
        till_fail(outcome, "standard error is not one line that begins with \"till: \"");
    }
}
