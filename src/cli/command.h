// The commands of till as one table, and what is made from it: parsing, help, suggestions.
//
// To add a command: write cmd_NAME.c with its run function, declare that below, add a row to
// command_table.c. A new flag is a row in options.h.
#ifndef TILL_COMMAND_H
#define TILL_COMMAND_H

#include "arena.h"
#include "clock.h"
#include "errors.h"
#include "log.h"
#include "options.h"
#include "output.h"

struct command;

// What the command line said.
enum line_request {
    LINE_RUN,           // run `command`
    LINE_NOTHING,       // no command, or a group without one: show help, it was no right use
    LINE_HELP_OVERVIEW, // asked for
    LINE_HELP_GROUP,
    LINE_HELP_COMMAND,
    LINE_VERSION,
};

struct command_line {
    enum line_request request;
    const struct command *command; // LINE_RUN, LINE_HELP_COMMAND
    const char *group;             // LINE_HELP_GROUP, and LINE_NOTHING of a group; else NULL
    struct options options;
    const char **arguments; // what is neither flag nor value
    size_t argument_count;
    unsigned choice; // index of the first argument in positional.choices, where there are some
    struct config_setting settings[CONFIG_KEY_COUNT];
    size_t setting_count;
};

// All that a command may use. Owned by main().
struct command_context {
    const struct command_line *line;
    const struct options *options;        // those of the line
    const struct config *config;          // NULL unless the command reads it
    const struct config_sources *sources; // for commands that judge the configuration
    struct arena *arena;                  // as long as the process
    struct clock clock;
    struct log *log;         // service events, on stderr
    struct output *out;      // data, on stdout; main() finishes it
    struct output *messages; // for people, on stderr: use command_say()
};

struct positional {
    const char *metavar; // NULL: the command takes no arguments
    const char *help;
    const char *const *choices; // then NULL; NULL: any text
    unsigned count_min;
    unsigned count_max;
};

struct command_example {
    const char *line;
    const char *meaning;
};

struct command {
    const char *group; // first word of "config show", or NULL
    const char *name;
    const char *summary;     // one line, no full stop
    const char *description; // a paragraph, or NULL
    const uint8_t *options;  // option ids in the order of help, OPTION_COUNT at the end
    struct positional positional;
    const struct command_example *examples; // .line == NULL at the end
    bool reads_config; // main() loads it before run, and ends with exit 78 when it is wrong
    enum err (*run)(struct command_context *context, struct why *why);
};

struct command_table {
    const struct command *rows;
    size_t count;
};
struct command_table command_table(void);

// Reads argv (argv[0] is passed over). Texts are borrowed from argv, lists live in the arena.
// ERR_USAGE with one line that names the flag and what was expected, ERR_NO_MEMORY.
MUST_USE enum err command_parse(struct command_table table, int argc, const char *const *argv,
                                struct arena *arena, struct command_line *out_line,
                                struct why *why);

void command_add_overview(struct command_table table, struct buf *out);
void command_add_group_help(struct command_table table, const char *group, struct buf *out);
void command_add_help(const struct command *command, struct buf *out);
void command_add_name(const struct command *command, struct buf *out); // "config show"

// One line for the person at the terminal; nothing with --quiet.
void command_say(struct command_context *context, const char *format, ...) PRINTF_LIKE(2, 3);

const char *till_version(void); // "0.1.0"

enum err cmd_run(struct command_context *context, struct why *why);
enum err cmd_setup(struct command_context *context, struct why *why);
enum err cmd_produce(struct command_context *context, struct why *why);
enum err cmd_consume(struct command_context *context, struct why *why);
enum err cmd_sweep(struct command_context *context, struct why *why);
enum err cmd_dlq_list(struct command_context *context, struct why *why);
enum err cmd_dlq_show(struct command_context *context, struct why *why);
enum err cmd_query(struct command_context *context, struct why *why);
enum err cmd_report(struct command_context *context, struct why *why);
enum err cmd_doctor(struct command_context *context, struct why *why);
enum err cmd_bench(struct command_context *context, struct why *why);
enum err cmd_config_show(struct command_context *context, struct why *why);
enum err cmd_config_lint(struct command_context *context, struct why *why);
enum err cmd_version(struct command_context *context, struct why *why);

#endif
