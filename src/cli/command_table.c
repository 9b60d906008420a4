// The commands, in the order in which help lists them.
#include "command.h"

#include <assert.h>

#define OPTIONS(...)  ((const uint8_t[]){__VA_ARGS__, OPTION_COUNT})
#define EXAMPLES(...) ((const struct command_example[]){__VA_ARGS__, {NULL, NULL}})

static_assert(OPTION_COUNT <= UINT8_MAX, "option ids fit the rows' lists");

static const struct command commands[] = {
    {
        .group = "config",
        .name = "show",
        .summary = "show every setting as it would be used",
        .options = OPTIONS(OPTION_origin, OPTION_output, OPTION_config, OPTION_set),
        .examples = EXAMPLES({"till config show --origin", "and where each value comes from"},
                             {"TILL_MATCH_GRACE=15m till config show --output json",
                              "for programs, with a value from the environment"}),
        .reads_config = true,
        .run = cmd_config_show,
    },
    {
        .group = "config",
        .name = "lint",
        .summary = "check settings without using them, and list all that is wrong",
        .description = "Without FILE, checks what the other commands would read: "
                       "/etc/till/till.yaml, ./till.yaml, --config and the TILL_ variables. "
                       "With FILE, checks each file alone.",
        .options = OPTIONS(OPTION_config),
        .positional = {"FILE", "files to check", NULL, 0, 1000},
        .examples =
            EXAMPLES({"till config lint", "check what is in force here"},
                     {"till config lint deploy/*.yaml", "check files before they are installed"}),
        .run = cmd_config_lint,
    },
    {
        .name = "version",
        .summary = "print the version and those of the libraries in use",
        .options = OPTIONS(OPTION_output),
        .examples = EXAMPLES({"till version", "for a bug report"}),
        .run = cmd_version,
    },
};

struct command_table command_table(void)
{
    return (struct command_table){commands, sizeof commands / sizeof commands[0]};
}
