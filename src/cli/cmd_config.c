// till config show, till config lint.
#include "command.h"

#include "table_out.h"

#include <assert.h>

enum err cmd_config_show(struct command_context *context, struct why *why)
{
    static const struct table_column columns[] = {
        {"key", TABLE_TEXT}, {"value", TABLE_TEXT}, {"origin", TABLE_TEXT}};
    (void)why;
    struct table_out table;
    struct buf value;
    struct buf origin;
    buf_init_heap(&value, CONFIG_FILE_SIZE_MAX);
    buf_init_heap(&origin, CONFIG_FILE_SIZE_MAX);
    table_out_init(&table, (enum table_format)context->options->output, columns,
                   context->options->origin ? 3 : 2, context->out);
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        buf_reset(&value);
        buf_reset(&origin);
        config_add_value(context->config, (enum config_key)key, &value);
        config_origin_add_text(&context->config->origins[key], &origin);
        const struct text cells[] = {text_of(config_keys[key].path), buf_view(&value),
                                     buf_view(&origin)};
        if (!table_out_row(&table, cells)) {
            break;
        }
    }
    table_out_end(&table);
    buf_deinit(&value);
    buf_deinit(&origin);
    return ERR_OK;
}

static void print_problems(struct command_context *context, const struct config_problems *problems)
{
    for (size_t i = 0; i < problems->kept; i++) {
        buf_add_str(&context->out->buf, problems->lines[i]);
        buf_add_char(&context->out->buf, '\n');
    }
    if (problems->count > problems->kept) {
        buf_add_fmt(&context->out->buf, "... and %zu more\n", problems->count - problems->kept);
    }
    (void)output_pass(context->out);
}

static enum err lint_sources(struct command_context *context, size_t *count, struct why *why)
{
    struct config config;
    struct config_problems problems = {.arena = context->arena};
    enum err code = config_load(context->sources, &config, &problems, why);
    print_problems(context, &problems);
    *count += problems.count;
    return code;
}

static enum err lint_file(struct command_context *context, const char *path, size_t *count,
                          struct why *why)
{
    struct config config;
    struct config_problems problems = {.arena = context->arena};
    size_t mark = arena_mark(context->arena);
    enum err code = config_load_file(path, &config, &problems, why);
    print_problems(context, &problems);
    *count += problems.count;
    arena_rewind(context->arena, mark);
    return code;
}

enum err cmd_config_lint(struct command_context *context, struct why *why)
{
    const struct command_line *line = context->line;
    size_t count = 0;
    enum err code = line->argument_count == 0 ? lint_sources(context, &count, why) : ERR_OK;
    for (size_t i = 0; i < line->argument_count && code != ERR_NO_MEMORY; i++) {
        code = lint_file(context, line->arguments[i], &count, why);
    }
    if (code == ERR_NO_MEMORY) {
        return code;
    }
    if (count > 0) {
        return why_set(why, ERR_CONFIG, "%zu problem%s found", count, count == 1 ? "" : "s");
    }
    command_say(context, "no problems found");
    return ERR_OK;
}
