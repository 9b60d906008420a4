// The command line, GNU style: --flag value, --flag=value, switches, -- ends the flags, a lone - is a
// value. Stops at the first mistake, with the nearest name where one is near.
#include "command.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define NAMES_MAX 64u // flags of a command, commands of the table
static_assert(OPTION_COUNT <= NAMES_MAX, "all flags fit a list of candidates");

struct parse {
    struct command_table table;
    const char *const *argv; // what is still to be read
    size_t left;
    size_t argc; // of all
    struct arena *arena;
    struct command_line *line;
    struct why *why;
};

static const char *take(struct parse *parse)
{
    assert(parse->left > 0);
    parse->left--;
    return *parse->argv++;
}

// "; did you mean run?", or where to look.
static enum err complain_unknown(struct parse *parse, const char *what, const char *word,
                                 const char *nearest_prefix, const char *nearest)
{
    char name[64] = "";
    if (parse->line->command != NULL) {
        struct buf buf;
        buf_init_fixed(&buf, name, sizeof name - 1);
        command_add_name(parse->line->command, &buf);
        buf_add_char(&buf, ' ');
    }
    if (nearest != NULL) {
        return why_set(parse->why, ERR_USAGE, "unknown %s %.60s; did you mean %s%s?", what, word,
                       nearest_prefix, nearest);
    }
    return why_set(parse->why, ERR_USAGE, "unknown %s %.60s; see till %s--help", what, word, name);
}

// ---- commands

static bool is_group(struct command_table table, const char *word)
{
    for (size_t i = 0; i < table.count; i++) {
        if (table.rows[i].group != NULL && strcmp(table.rows[i].group, word) == 0) {
            return true;
        }
    }
    return false;
}

static bool in_group(const struct command *command, const char *group)
{
    return group == NULL ? command->group == NULL
                         : command->group != NULL && strcmp(command->group, group) == 0;
}

static const struct command *find_command(struct command_table table, const char *group,
                                          const char *name)
{
    for (size_t i = 0; i < table.count; i++) {
        if (in_group(&table.rows[i], group) && strcmp(table.rows[i].name, name) == 0) {
            return &table.rows[i];
        }
    }
    return NULL;
}

static const char *nearest_command(struct command_table table, const char *group, const char *word)
{
    struct text candidates[NAMES_MAX];
    size_t count = 0;
    assert(table.count * 2 <= NAMES_MAX);
    for (size_t i = 0; i < table.count; i++) {
        if (in_group(&table.rows[i], group)) {
            candidates[count++] = text_of(table.rows[i].name);
        } else if (group == NULL) {
            candidates[count++] = text_of(table.rows[i].group);
        }
    }
    size_t nearest = text_nearest(text_of(word), candidates, count);
    return nearest < count ? candidates[nearest].data : NULL;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static enum err unknown_command(struct parse *parse, const char *word)
{
    const char *group = parse->line->group;
    const char *nearest = nearest_command(parse->table, group, word);
    char quoted[96];
    char prefix[64] = "";
    (void)snprintf(quoted, sizeof quoted, "\"%s%s%.60s\"", group != NULL ? group : "",
                   group != NULL ? " " : "", word);
    if (group != NULL) {
        (void)snprintf(prefix, sizeof prefix, "%s ", group);
    }
    return complain_unknown(parse, "command", quoted, prefix, nearest);
}

// Reads the words that name a command. ERR_OK with a request other than LINE_RUN ends the parse.
static enum err parse_command(struct parse *parse)
{
    struct command_line *line = parse->line;
    line->request = LINE_NOTHING;
    while (parse->left > 0) {
        const char *word = take(parse);
        if (is_help(word) ||
            (line->group == NULL && strcmp(word, "help") == 0 && parse->left == 0)) {
            line->request = line->group != NULL ? LINE_HELP_GROUP : LINE_HELP_OVERVIEW;
            return ERR_OK;
        }
        if (strcmp(word, "--version") == 0 && line->group == NULL) {
            line->request = LINE_VERSION;
            return ERR_OK;
        }
        if (word[0] == '-') {
            return why_set(parse->why, ERR_USAGE,
                           "flag %.60s stands before the command; flags come after it", word);
        }
        line->command = find_command(parse->table, line->group, word);
        if (line->command != NULL) {
            line->request = LINE_RUN;
            return ERR_OK;
        }
        if (line->group != NULL || !is_group(parse->table, word)) {
            return unknown_command(parse, word);
        }
        line->group = word;
    }
    return ERR_OK;
}

// ---- flags

static bool find_option(const struct command *command, struct text name, enum option_id *out_id)
{
    for (const uint8_t *id = command->options; *id != OPTION_COUNT; id++) {
        if (text_equal(text_of(option_info((enum option_id) * id)->name), name)) {
            *out_id = (enum option_id) * id;
            return true;
        }
    }
    return false;
}

// The only flag that begins like the word, or else the one with the fewest slips of the finger.
static const char *nearest_option(const struct command *command, struct text name)
{
    struct text candidates[NAMES_MAX];
    size_t count = 0;
    size_t begin_count = 0;
    size_t begins_alike = 0;
    for (const uint8_t *id = command->options; *id != OPTION_COUNT; id++) {
        candidates[count] = text_of(option_info((enum option_id) * id)->name);
        if (name.size > 0 && text_starts_with(candidates[count], name)) {
            begin_count++;
            begins_alike = count;
        }
        count++;
    }
    size_t nearest = begin_count == 1 ? begins_alike : text_nearest(name, candidates, count);
    return nearest < count ? candidates[nearest].data : NULL;
}

static enum err complain_value(struct parse *parse, const char *what, const struct value_rule *rule,
                               enum value_result result, const char *got)
{
    char memory[320];
    struct buf text;
    buf_init_fixed(&text, memory, sizeof memory);
    value_add_complaint(rule, result, text_of(got), &text);
    return why_set(parse->why, ERR_USAGE, "%s: %.*s", what, TEXT_PRINT(buf_view(&text)));
}

// Remembers that a flag sets a key. `what` begins complaints; `flag` outlives the line.
static enum err add_setting(struct parse *parse, enum config_key key, const char *flag,
                            const char *what, const char *value)
{
    struct command_line *line = parse->line;
    int64_t number = 0;
    enum value_result result = value_parse(&config_keys[key].rule, text_of(value), &number);
    if (result != VALUE_OK) {
        return complain_value(parse, what, &config_keys[key].rule, result, value);
    }
    for (size_t i = 0; i < line->setting_count; i++) {
        if (line->settings[i].key == key) {
            return why_set(parse->why, ERR_USAGE, "%s is set twice, by %s and by %s",
                           config_keys[key].path, line->settings[i].flag, flag);
        }
    }
    assert(line->setting_count < CONFIG_KEY_COUNT);
    line->settings[line->setting_count++] = (struct config_setting){key, flag, value};
    return ERR_OK;
}

// --set path=value
static enum err add_set(struct parse *parse, const char *value)
{
    const char *equals = strchr(value, '=');
    struct text path = text_of(value);
    if (equals == NULL) {
        return why_set(parse->why, ERR_USAGE,
                       "flag --set: expected KEY=VALUE such as match.grace=15m, got \"%.60s\"",
                       value);
    }
    path.size = (size_t)(equals - value);
    enum config_key key = CONFIG_KEY_COUNT;
    if (!config_key_find(path, &key)) {
        const char *nearest = config_key_suggest(path);
        return why_set(parse->why, ERR_USAGE, "flag --set: unknown key %.*s%s%s%s",
                       (int)(path.size < 60 ? path.size : 60), path.data,
                       nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                       nearest != NULL ? "?" : "; see till config show");
    }
    char what[64];
    (void)snprintf(what, sizeof what, "flag --set %s", config_keys[key].path);
    return add_setting(parse, key, "--set", what, equals + 1);
}

static enum err append(struct parse *parse, struct string_list *list, const char *value)
{
    if (list->items == NULL) {
        list->items = ARENA_ARRAY(parse->arena, const char *, parse->argc);
    }
    if (list->items == NULL) {
        return why_set(parse->why, ERR_NO_MEMORY, "the command line is too long");
    }
    list->items[list->count++] = value;
    return ERR_OK;
}

static enum err set_option(struct parse *parse, enum option_id id, const char *value)
{
    const struct option *option = option_info(id);
    struct options *options = &parse->line->options;
    void *field = (char *)options + option->offset;
    char what[64];
    (void)snprintf(what, sizeof what, "flag %s", option->flag);
    if (options->given[id] && !option->repeatable) {
        return why_set(parse->why, ERR_USAGE, "%s is given twice", what);
    }
    options->given[id] = true;
    if (option->key < CONFIG_KEY_COUNT) {
        return add_setting(parse, option->key, option->flag, what, value);
    }
    int64_t number = 0;
    enum value_result result = value_parse(&option->rule, text_of(value), &number);
    if (result != VALUE_OK) {
        return complain_value(parse, what, &option->rule, result, value);
    }
    if (option->repeatable) {
        enum err code = append(parse, field, value);
        return code == ERR_OK && id == OPTION_set ? add_set(parse, value) : code;
    }
    value_store(&option->rule, field, value, number);
    return ERR_OK;
}

// `word` begins with "--" and is more than that.
static enum err parse_flag(struct parse *parse, const char *word)
{
    const char *equals = strchr(word, '=');
    struct text name = text_of(word + 2);
    name.size = equals != NULL ? (size_t)(equals - word) - 2 : name.size;
    enum option_id id = OPTION_COUNT;
    if (!find_option(parse->line->command, name, &id)) {
        char flag[64];
        (void)snprintf(flag, sizeof flag, "--%.*s", (int)(name.size < 60 ? name.size : 60),
                       name.data);
        return complain_unknown(parse, "flag", flag, "--",
                                nearest_option(parse->line->command, name));
    }
    const struct option *option = option_info(id);
    if (equals != NULL) {
        return set_option(parse, id, equals + 1);
    }
    if (option->key == CONFIG_KEY_COUNT && option->rule.kind == VALUE_BOOL) {
        return set_option(parse, id, "true");
    }
    if (parse->left == 0 || strncmp(*parse->argv, "--", 2) == 0) {
        return why_set(parse->why, ERR_USAGE, "flag %s needs a value: %s %s", option->flag,
                       option->flag, option->metavar);
    }
    return set_option(parse, id, take(parse));
}

// ---- arguments

static enum err check_choice(struct parse *parse)
{
    const struct positional *positional = &parse->line->command->positional;
    struct value_rule rule = {.kind = VALUE_CHOICE, .choices = positional->choices};
    int64_t index = 0;
    const char *argument = parse->line->arguments[0];
    enum value_result result = value_parse(&rule, text_of(argument), &index);
    if (result != VALUE_OK) {
        return complain_value(parse, positional->metavar, &rule, result, argument);
    }
    parse->line->choice = (unsigned)index;
    return ERR_OK;
}

static enum err check_arguments(struct parse *parse)
{
    const struct command_line *line = parse->line;
    const struct positional *positional = &line->command->positional;
    char memory[64];
    struct buf name;
    buf_init_fixed(&name, memory, sizeof memory);
    command_add_name(line->command, &name);
    if (line->argument_count < positional->count_min) {
        return why_set(parse->why, ERR_USAGE, "%.*s needs %s; see till %.*s --help",
                       TEXT_PRINT(buf_view(&name)), positional->metavar,
                       TEXT_PRINT(buf_view(&name)));
    }
    if (line->argument_count > positional->count_max) {
        return why_set(parse->why, ERR_USAGE, "unexpected argument \"%.60s\"; see till %.*s --help",
                       line->arguments[positional->count_max], TEXT_PRINT(buf_view(&name)));
    }
    return positional->choices != NULL && line->argument_count > 0 ? check_choice(parse) : ERR_OK;
}

static enum err parse_rest(struct parse *parse)
{
    struct string_list arguments = {0};
    enum err code = ERR_OK;
    bool flags_ended = false;
    while (parse->left > 0 && code == ERR_OK) {
        const char *word = take(parse);
        if (flags_ended || word[0] != '-' || word[1] == '\0') {
            code = append(parse, &arguments, word);
        } else if (is_help(word)) {
            parse->line->request = LINE_HELP_COMMAND;
            return ERR_OK;
        } else if (strcmp(word, "--") == 0) {
            flags_ended = true;
        } else if (word[1] == '-') {
            code = parse_flag(parse, word);
        } else {
            code = complain_unknown(parse, "flag", word, "", NULL);
        }
    }
    parse->line->arguments = arguments.items;
    parse->line->argument_count = arguments.count;
    return code == ERR_OK ? check_arguments(parse) : code;
}

// "till help config show" is "till config show --help".
static bool asks_for_help_of(struct parse *parse)
{
    if (parse->left < 2 || strcmp(parse->argv[0], "help") != 0) {
        return false;
    }
    (void)take(parse);
    return true;
}

enum err command_parse(struct command_table table, int argc, const char *const *argv,
                       struct arena *arena, struct command_line *out_line, struct why *why)
{
    assert(argc >= 0);
    struct command_line line = {0};
    options_set_defaults(&line.options);
    struct parse parse = {.table = table,
                          .argv = argc > 0 ? argv + 1 : argv,
                          .left = argc > 0 ? (size_t)argc - 1 : 0,
                          .argc = (size_t)argc,
                          .arena = arena,
                          .line = &line,
                          .why = why};
    bool wants_help = asks_for_help_of(&parse);
    enum err code = parse_command(&parse);
    if (code == ERR_OK && wants_help) {
        line.request = line.request == LINE_RUN       ? LINE_HELP_COMMAND
                       : line.request == LINE_NOTHING ? LINE_HELP_GROUP
                                                      : line.request;
    } else if (code == ERR_OK && line.request == LINE_RUN) {
        code = parse_rest(&parse);
    }
    if (code == ERR_OK) {
        *out_line = line;
    }
    return code;
}
