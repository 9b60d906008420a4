// Help, and what must be true of every row of the real table.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "command.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
#define HELP_SIZE_MAX 65536u
#define HELP_WIDTH    90u

static void help_of_a_command_reads_as_written(void **state)
{
    (void)state;
    static const uint8_t options[] = {OPTION_data_dir, OPTION_once, OPTION_from,
                                      OPTION_late,     OPTION_seed, OPTION_COUNT};
    static const struct command_example examples[] = {{"till go x --once", "goes once"},
                                                      {NULL, NULL}};
    static const struct command command = {.group = "dlq",
                                           .name = "go",
                                           .summary = "go somewhere",
                                           .description = "Words that say more.",
                                           .options = options,
                                           .positional = {"PLACE", "where to go", NULL, 0, 2},
                                           .examples = examples};
    char memory[4096];
    struct buf out;
    buf_init_fixed(&out, memory, sizeof memory - 1);
    command_add_help(&command, &out);
    memory[buf_view(&out).size] = '\0';
    assert_string_equal(
        memory,
        "till dlq go: go somewhere\n"
        "\n"
        "Usage: till dlq go [PLACE...] [flags]\n"
        "\n"
        "Words that say more.\n"
        "\n"
        "Arguments:\n"
        "  PLACE                     where to go\n"
        "\n"
        "Flags:\n"
        "  --data-dir DIR            directory of topics.db and facts.db (default ./till-data)\n"
        "  --once                    end when the sources are read and every message is settled\n"
        "  --from FILE               take messages from FILE; till run tells orders and payments\n"
        "                            apart by their keys (repeatable)\n"
        "  --late SHARE              payments long after their order (default 5%)\n"
        "  --seed S                  same seed, same messages; without it a new one is taken and\n"
        "                            printed\n"
        "  --help                    print this\n"
        "\n"
        "Examples:\n"
        "  till go x --once\n"
        "      goes once\n");
}

static void assert_lines_fit(struct text text)
{
    size_t column = 0;
    for (size_t i = 0; i < text.size; i++) {
        column = text.data[i] == '\n' ? 0 : column + 1;
        assert_in_range(column, 0, HELP_WIDTH);
        assert_true(text.data[i] == '\n' || isprint((unsigned char)text.data[i]));
    }
    assert_int_equal(text.data[text.size - 1], '\n');
}

static void help_of_every_command_fits_its_width(void **state)
{
    (void)state;
    struct buf out;
    buf_init_heap(&out, HELP_SIZE_MAX);
    command_add_overview(command_table(), &out);
    assert_lines_fit(buf_view(&out));
    for (size_t i = 0; i < command_table().count; i++) {
        buf_reset(&out);
        command_add_help(&command_table().rows[i], &out);
        assert_lines_fit(buf_view(&out));
    }
    assert_false(buf_overflowed(&out));
    buf_deinit(&out);
}

// Splits an example into words and parses it: leading VAR=value words and what follows a shell
// operator are the shell's, not ours.
static void assert_example_parses(const struct command *command, const char *example)
{
    char words[512];
    const char *argv[32] = {0};
    int argc = 0;
    bool in_till = false;
    (void)snprintf(words, sizeof words, "%s", example);
    for (char *rest = words; *rest != '\0';) {
        char *word = rest;
        rest += strcspn(rest, " ");
        if (*rest != '\0') {
            *rest++ = '\0';
        }
        if (in_till && strcspn(word, "|&<>;") < strlen(word)) {
            break;
        }
        in_till = in_till || strcmp(word, "till") == 0;
        if (in_till) {
            assert_in_range(argc, 0, COUNT(argv) - 1);
            argv[argc++] = word;
        }
    }
    struct arena arena;
    struct command_line line;
    struct why why = {0};
    assert_int_equal(arena_init(&arena, 65536), ERR_OK);
    enum err code = command_parse(command_table(), argc, argv, &arena, &line, &why);
    if (code != ERR_OK) {
        fail_msg("%s: %s", example, why.text);
    }
    assert_ptr_equal(line.command, command);
    arena_deinit(&arena);
}

static void every_command_has_examples_that_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_table().count; i++) {
        const struct command *command = &command_table().rows[i];
        assert_non_null(command->examples);
        for (const struct command_example *example = command->examples; example->line != NULL;
             example++) {
            assert_example_parses(command, example->line);
        }
    }
}

static void every_row_is_complete_and_its_name_is_unique(void **state)
{
    (void)state;
    const struct command_table table = command_table();
    for (size_t i = 0; i < table.count; i++) {
        const struct command *row = &table.rows[i];
        assert_non_null(row->run);
        assert_non_null(row->options);
        assert_true(strlen(row->summary) > 0);
        assert_int_not_equal(row->summary[strlen(row->summary) - 1], '.');
        for (size_t j = 0; j < i; j++) {
            const struct command *other = &table.rows[j];
            bool same_group = row->group == NULL
                                  ? other->group == NULL
                                  : other->group != NULL && strcmp(row->group, other->group) == 0;
            assert_false(same_group && strcmp(row->name, other->name) == 0);
            assert_false(other->group == NULL && row->group != NULL &&
                         strcmp(other->name, row->group) == 0);
        }
    }
}

static void every_flag_name_is_unique_and_its_default_is_valid(void **state)
{
    (void)state;
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option *option = option_info((enum option_id)id);
        const char *text = option_default_text(option);
        int64_t number = 0;
        assert_true(text == NULL ||
                    value_parse(option_rule(option), text_of(text), &number) == VALUE_OK);
        assert_int_equal(option->metavar == NULL, option_rule(option)->kind == VALUE_BOOL);
        for (int other = 0; other < id; other++) {
            assert_string_not_equal(option->name, option_info((enum option_id)other)->name);
        }
    }
}

static void group_help_lists_only_the_group(void **state)
{
    (void)state;
    struct buf out;
    buf_init_heap(&out, HELP_SIZE_MAX);
    command_add_group_help(command_table(), "config", &out);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.data, "config show"));
    assert_non_null(strstr(out.data, "config lint"));
    assert_null(strstr(out.data, "version"));
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_of_a_command_reads_as_written),
        cmocka_unit_test(help_of_every_command_fits_its_width),
        cmocka_unit_test(every_command_has_examples_that_parse),
        cmocka_unit_test(every_row_is_complete_and_its_name_is_unique),
        cmocka_unit_test(every_flag_name_is_unique_and_its_default_is_valid),
        cmocka_unit_test(group_help_lists_only_the_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
