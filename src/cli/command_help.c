// Help, made from the table of commands alone.
#include "command.h"

#include <assert.h>
#include <string.h>

#define LINE_WIDTH 90u

void command_add_name(const struct command *command, struct buf *out)
{
    if (command->group != NULL) {
        buf_add_str(out, command->group);
        buf_add_char(out, ' ');
    }
    buf_add_str(out, command->name);
}

static void add_spaces(struct buf *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_add_char(out, ' ');
    }
}

// Words from column `indent` on, broken at LINE_WIDTH, with a line end behind them. The first line
// stands at `column` already.
static void add_wrapped(struct text words, size_t indent, size_t column, struct buf *out)
{
    bool at_start = true;
    while (words.size > 0) {
        const char *space = memchr(words.data, ' ', words.size);
        size_t size = space != NULL ? (size_t)(space - words.data) : words.size;
        if (!at_start && column + 1 + size > LINE_WIDTH) {
            buf_add_char(out, '\n');
            add_spaces(out, indent);
            column = indent;
        } else if (!at_start) {
            buf_add_char(out, ' ');
            column++;
        }
        buf_add(out, words.data, size);
        column += size;
        at_start = false;
        size += space != NULL;
        words = (struct text){words.data + size, words.size - size};
    }
    buf_add_char(out, '\n');
}

// "  left      right", the right side beginning at `column`; below the left one if that is long.
static void add_pair(struct text left, size_t column, struct text right, struct buf *out)
{
    add_spaces(out, 2);
    buf_add_text(out, left);
    if (left.size + 4 > column) {
        buf_add_char(out, '\n');
        add_spaces(out, column);
    } else {
        add_spaces(out, column - left.size - 2);
    }
    add_wrapped(right, column, column, out);
}

static void add_positional(const struct positional *positional, struct buf *out)
{
    if (positional->metavar == NULL) {
        return;
    }
    bool optional = positional->count_min == 0;
    buf_add_str(out, optional ? " [" : " ");
    buf_add_str(out, positional->metavar);
    buf_add_str(out, positional->count_max > 1 ? "..." : "");
    buf_add_str(out, optional ? "]" : "");
}

static void add_synopsis(const struct command *command, struct buf *out)
{
    buf_add_str(out, "till ");
    command_add_name(command, out);
    add_positional(&command->positional, out);
    buf_add_str(out, command->options[0] != OPTION_COUNT ? " [flags]" : "");
}

static void add_flag(const struct option *option, struct buf *out)
{
    char left_memory[96];
    char right_memory[320];
    struct buf left;
    struct buf right;
    buf_init_fixed(&left, left_memory, sizeof left_memory);
    buf_init_fixed(&right, right_memory, sizeof right_memory);
    buf_add_str(&left, option->flag);
    if (option->metavar != NULL) {
        buf_add_fmt(&left, " %s", option->metavar);
    }
    buf_add_str(&right, option->help);
    const char *default_text = option_default_text(option);
    bool has_default = default_text != NULL && default_text[0] != '\0';
    if (has_default && option_rule(option)->kind != VALUE_BOOL) {
        buf_add_fmt(&right, " (default %s)", default_text);
    }
    buf_add_str(&right, option->repeatable ? " (repeatable)" : "");
    assert(!buf_overflowed(&left));
    assert(!buf_overflowed(&right));
    add_pair(buf_view(&left), 28, buf_view(&right), out);
}

static void add_flags(const struct command *command, struct buf *out)
{
    buf_add_str(out, "\nFlags:\n");
    for (const uint8_t *id = command->options; *id != OPTION_COUNT; id++) {
        add_flag(option_info((enum option_id) * id), out);
    }
    add_pair(TEXT("--help"), 28, TEXT("print this"), out);
}

static void add_examples(const struct command_example *example, struct buf *out)
{
    if (example == NULL) {
        return;
    }
    buf_add_str(out, "\nExamples:\n");
    for (; example->line != NULL; example++) {
        buf_add_fmt(out, "  %s\n      %s\n", example->line, example->meaning);
    }
}

void command_add_help(const struct command *command, struct buf *out)
{
    buf_add_str(out, "till ");
    command_add_name(command, out);
    buf_add_fmt(out, ": %s\n\nUsage: ", command->summary);
    add_synopsis(command, out);
    buf_add_char(out, '\n');
    if (command->description != NULL) {
        buf_add_char(out, '\n');
        add_wrapped(text_of(command->description), 0, 0, out);
    }
    if (command->positional.metavar != NULL) {
        buf_add_str(out, "\nArguments:\n");
        add_pair(text_of(command->positional.metavar), 28, text_of(command->positional.help), out);
    }
    add_flags(command, out);
    add_examples(command->examples, out);
}

static void add_row(const struct command *command, struct buf *out)
{
    char memory[96];
    struct buf name;
    buf_init_fixed(&name, memory, sizeof memory);
    command_add_name(command, &name);
    add_positional(&command->positional, &name);
    assert(!buf_overflowed(&name));
    add_pair(buf_view(&name), 28, text_of(command->summary), out);
}

void command_add_group_help(struct command_table table, const char *group, struct buf *out)
{
    buf_add_fmt(out, "Usage: till %s COMMAND [flags]\n\nCommands:\n", group);
    for (size_t i = 0; i < table.count; i++) {
        if (table.rows[i].group != NULL && strcmp(table.rows[i].group, group) == 0) {
            add_row(&table.rows[i], out);
        }
    }
    buf_add_fmt(out, "\nFlags and examples of a command: till %s COMMAND --help\n", group);
}

void command_add_overview(struct command_table table, struct buf *out)
{
    buf_add_str(out, "till matches payments to their orders and keeps one table of facts.\n\n"
                     "Usage: till COMMAND [flags]\n\nCommands:\n");
    for (size_t i = 0; i < table.count; i++) {
        add_row(&table.rows[i], out);
    }
    buf_add_str(out, "\nFlags and examples of a command: till COMMAND --help\n"
                     "Data goes to standard output, messages to standard error.\n");
}
