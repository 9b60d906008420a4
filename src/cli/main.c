// The program: reads the command line and the configuration, runs one command, and is the only place
// that prints errors and decides the exit code.
#include "command.h"
#include "signals.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARENA_SIZE ((size_t)8 << 20) // untouched pages cost nothing

static const char *const default_files[] = {"/etc/till/till.yaml", "till.yaml", NULL};

struct program {
    struct arena arena;
    struct output out;
    struct output messages;
    struct log log;
    struct command_line line;
    struct config config;
    struct config_problems problems;
    struct why why;
};

static void print_error(struct program *program, const char *text)
{
    buf_add_fmt(&program->messages.buf, "till: %s\n", text);
    output_flush(&program->messages);
}

// Every problem of the configuration, or the one reason of anything else.
static void print_errors(struct program *program, enum err code)
{
    if (program->problems.count == 0) {
        print_error(program, program->why.text[0] != '\0' ? program->why.text : err_text(code));
        return;
    }
    for (size_t i = 0; i < program->problems.kept; i++) {
        print_error(program, program->problems.lines[i]);
    }
}

static void set_up_log(struct program *program, const struct config *config)
{
    program->log.level_min = (enum log_level)config->log_level;
    if (config->log_format != LOG_FORMAT_AUTO) {
        program->log.json = config->log_format == LOG_FORMAT_JSON;
    }
}

static enum err run(struct program *program)
{
    const struct command_line *line = &program->line;
    const struct config_sources sources = {.default_files = default_files,
                                           .explicit_file = line->options.config,
                                           .environment = (const char *const *)environ,
                                           .settings = line->settings,
                                           .setting_count = line->setting_count};
    struct command_context context = {.line = line,
                                      .options = &line->options,
                                      .sources = &sources,
                                      .arena = &program->arena,
                                      .clock = clock_real(),
                                      .log = &program->log,
                                      .out = &program->out,
                                      .messages = &program->messages};
    if (line->command->reads_config) {
        enum err code = config_load(&sources, &program->config, &program->problems, &program->why);
        if (code != ERR_OK) {
            return code;
        }
        set_up_log(program, &program->config);
        context.config = &program->config;
    }
    enum err code = signals_install(&program->why);
    return code == ERR_OK ? line->command->run(&context, &program->why) : code;
}

// No command, or a group without one: help on standard error, since there is no data to give.
static enum err show_what_is_missing(struct program *program)
{
    struct buf *out = &program->messages.buf;
    if (program->line.group != NULL) {
        command_add_group_help(command_table(), program->line.group, out);
    } else {
        command_add_overview(command_table(), out);
    }
    output_flush(&program->messages);
    return ERR_USAGE;
}

static enum err answer(struct program *program)
{
    struct buf *out = &program->out.buf;
    switch (program->line.request) {
    case LINE_RUN:
        return run(program);
    case LINE_NOTHING:
        return show_what_is_missing(program);
    case LINE_HELP_OVERVIEW:
        command_add_overview(command_table(), out);
        return ERR_OK;
    case LINE_HELP_GROUP:
        command_add_group_help(command_table(), program->line.group, out);
        return ERR_OK;
    case LINE_HELP_COMMAND:
        command_add_help(program->line.command, out);
        return ERR_OK;
    case LINE_VERSION:
        buf_add_fmt(out, "till %s\n", till_version());
        return ERR_OK;
    }
    return ERR_INTERNAL;
}

static enum err work(struct program *program, int argc, char **argv)
{
    enum err code = arena_init(&program->arena, ARENA_SIZE);
    if (code != ERR_OK) {
        return code;
    }
    code = command_parse(command_table(), argc, (const char *const *)argv, &program->arena,
                         &program->line, &program->why);
    if (code == ERR_OK) {
        code = answer(program);
    }
    // A command that failed has said more than a broken pipe could.
    enum err finish = output_finish(&program->out, code == ERR_OK ? &program->why : NULL);
    return code == ERR_OK ? finish : code;
}

// A standard stream that was closed would give its number to the next file opened here, which then got
// what is meant for people. Its place is taken instead, in the mode that makes every use of it fail.
// Libraries open files before main, so this comes before them too; and before a sanitizer is ready, hence
// the bare system calls.
__attribute__((no_sanitize("address", "undefined", "thread"))) static void
fill_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (syscall(SYS_fcntl, fd, F_GETFD) < 0 && errno == EBADF) {
            (void)syscall(SYS_openat, AT_FDCWD, "/dev/null",
                          fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); // the lowest free number
        }
    }
}

__attribute__((section(".preinit_array"),
               used)) static void (*const before_libraries)(void) = fill_standard_streams;

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN); // a reader that goes away shows in the next write; can't fail
    static struct program program;  // large, and needed until the end
    // SQLite's memory statistics take a lock of the whole process at every allocation.
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    output_init(&program.out, STDOUT_FILENO);
    output_init(&program.messages, STDERR_FILENO);
    log_init(&program.log, STDERR_FILENO, LOG_INFO, clock_real());
    program.problems.arena = &program.arena;
    enum err code = work(&program, argc, argv);
    if (code != ERR_OK && program.line.request != LINE_NOTHING) {
        print_errors(&program, code);
    }
    output_deinit(&program.out);
    output_deinit(&program.messages);
    arena_deinit(&program.arena);
    return err_exit_code(code);
}
