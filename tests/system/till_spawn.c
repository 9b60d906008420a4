// A child with the streams that are asked for, which then becomes the program.
#include "till_spawn.h"

#include "must.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NOBODY        65534
#define VARIABLES_MAX 256u
#define WORDS_MAX     64u

extern char **environ;

static bool is_setting(const char *variable)
{
    return strncmp(variable, "TILL_", 5) == 0 || strncmp(variable, "CI=", 3) == 0 ||
           strncmp(variable, "TERM=", 5) == 0;
}

// The test's own environment without what would change how till behaves.
static void fill_environment(const char *const *variables, const char *environment[VARIABLES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; environ[i] != NULL && count < VARIABLES_MAX / 2; i++) {
        if (!is_setting(environ[i])) {
            environment[count++] = environ[i];
        }
    }
    for (size_t i = 0; variables != NULL && variables[i] != NULL && count < VARIABLES_MAX - 1;
         i++) {
        environment[count++] = variables[i];
    }
    environment[count] = NULL;
}

static _Noreturn void become_till(const struct till_start *start)
{
    const char *words[WORDS_MAX + 2] = {getenv("TILL_TEST_BINARY")};
    const char *environment[VARIABLES_MAX];
    for (size_t i = 0; start->words[i] != NULL && i < WORDS_MAX; i++) {
        words[i + 1] = start->words[i];
    }
    fill_environment(start->variables, environment);
    for (int fd = 0; fd < 3; fd++) {
        if ((start->closed & (1u << fd)) != 0) {
            (void)close(fd);
        }
    }
    (void)signal(SIGPIPE, SIG_DFL); // as a shell starts it
    int program = open(words[0], O_RDONLY | O_CLOEXEC);
    if (start->without_rights && geteuid() == 0 &&
        (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) {
        _exit(126);
    }
    (void)fexecve(program, (char *const *)(uintptr_t)words, (char *const *)(uintptr_t)environment);
    _exit(127);
}

struct pipes {
    int in[2];
    int out[2];
    int err[2];
};

// A second description of the same pipe, so that the program's own end keeps blocking.
static void fill_pipe(int fd)
{
    char path[64];
    char block[4096];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    must(writer >= 0, path);
    memset(block, 'x', sizeof block);
    while (write(writer, block, sizeof block) > 0) {
    }
    while (write(writer, block, 1) > 0) {
    }
    (void)close(writer);
}

static void open_input(const struct till_start *start, int in[2])
{
    if (start->input_stays_open) {
        must(pipe2(in, O_CLOEXEC) == 0, "pipe");
        return;
    }
    const char *path = start->input_path != NULL ? start->input_path : "/dev/null";
    in[0] = open(path, O_RDONLY | O_CLOEXEC);
    must(in[0] >= 0, path);
}

static void open_pipes(const struct till_start *start, struct pipes *pipes)
{
    *pipes = (struct pipes){.in = {-1, -1}};
    open_input(start, pipes->in);
    must(pipe2(pipes->out, O_CLOEXEC) == 0 && pipe2(pipes->err, O_CLOEXEC) == 0, "pipe");
    if (start->out_path != NULL) {
        (void)close(pipes->out[1]);
        pipes->out[1] = open(start->out_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        must(pipes->out[1] >= 0, start->out_path);
    }
    if (start->err_is_stuck) {
        fill_pipe(pipes->err[1]);
    }
    if (start->out_has_no_reader) {
        (void)close(pipes->out[0]);
        pipes->out[0] = -1;
    }
    if (start->err_has_no_reader) {
        (void)close(pipes->err[0]);
        pipes->err[0] = -1;
    }
}

static void spawn_on_pipes(const struct till_start *start, struct till_spawned *spawned)
{
    struct pipes pipes;
    open_pipes(start, &pipes);
    spawned->pid = fork();
    must(spawned->pid >= 0, "fork");
    if (spawned->pid == 0) {
        if (dup2(pipes.in[0], 0) != 0 || dup2(pipes.out[1], 1) != 1 || dup2(pipes.err[1], 2) != 2) {
            _exit(126);
        }
        become_till(start);
    }
    (void)close(pipes.in[0]);
    (void)close(pipes.out[1]);
    (void)close(pipes.err[1]);
    spawned->in_fd = pipes.in[1];
    spawned->out_fd = pipes.out[0];
    spawned->err_fd = start->err_is_stuck ? -1 : pipes.err[0];
    spawned->stuck_fd = start->err_is_stuck ? pipes.err[0] : -1;
}

static void spawn_on_terminal(const struct till_start *start, struct till_spawned *spawned)
{
    struct winsize size = {.ws_row = 24, .ws_col = 100};
    spawned->pid = forkpty(&spawned->out_fd, NULL, NULL, &size);
    must(spawned->pid >= 0, "forkpty");
    if (spawned->pid == 0) {
        become_till(start);
    }
    (void)fcntl(spawned->out_fd, F_SETFD, FD_CLOEXEC);
}

void till_spawn(const struct till_start *start, struct till_spawned *out_spawned)
{
    assert_non_null(getenv("TILL_TEST_BINARY")); // where the program is
    *out_spawned = (struct till_spawned){-1, -1, -1, -1, -1};
    if (start->on_terminal) {
        spawn_on_terminal(start, out_spawned);
    } else {
        spawn_on_pipes(start, out_spawned);
    }
}
