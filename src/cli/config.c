// Where values come from and what is true of them together. The YAML side is config_yaml.c.
#include "config.h"

#include "config_internal.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *const log_level_names[] = {"debug", "info", "warn", "error", NULL};
const char *const log_format_names[] = {"auto", "text", "json", NULL};
const char *const bus_kind_names[] = {"embedded", "pubsub", NULL};
const char *const store_kind_names[] = {"embedded", "cassandra", NULL};
const char *const cassandra_compression_names[] = {"none", "lz4", NULL};
const char *const pubsub_receive_names[] = {"stream", "pull", NULL};
const char *const pubsub_identity_names[] = {"google", "none", NULL};

const struct config_key_info config_keys[CONFIG_KEY_COUNT] = {
#define X(field, path, kind, text, min, max, choices, help)                                        \
    [CONFIG_##field] = {                                                                           \
        path, {VALUE_##kind, min, max, choices}, text, help, offsetof(struct config, field)},
    CONFIG_TABLE(X)
#undef X
};

#define ENVIRONMENT_PREFIX "TILL_"
#define TEST_PREFIX        "TILL_TEST_" // TILL_TEST_SEED and such are for the programs of tests/

bool config_key_find(struct text path, enum config_key *out_key)
{
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        if (text_equal(path, text_of(config_keys[key].path))) {
            *out_key = (enum config_key)key;
            return true;
        }
    }
    return false;
}

static struct text last_word(struct text path)
{
    for (size_t i = path.size; i > 0; i--) {
        if (path.data[i - 1] == '.') {
            return (struct text){path.data + i, path.size - i};
        }
    }
    return path;
}

const char *config_key_suggest(struct text path)
{
    struct text candidates[CONFIG_KEY_COUNT];
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        candidates[key] = text_of(config_keys[key].path);
        // The right word in the wrong section (or in none) is the commonest mistake.
        if (text_equal(last_word(candidates[key]), last_word(path))) {
            return config_keys[key].path;
        }
    }
    size_t nearest = text_nearest(path, candidates, CONFIG_KEY_COUNT);
    return nearest < CONFIG_KEY_COUNT ? config_keys[nearest].path : NULL;
}

void config_key_add_variable(enum config_key key, struct buf *out)
{
    buf_add_str(out, ENVIRONMENT_PREFIX);
    for (const char *c = config_keys[key].path; *c != '\0'; c++) {
        buf_add_char(out, *c == '.' ? '_' : (char)toupper((unsigned char)*c));
    }
}

void config_origin_add_text(const struct config_origin *origin, struct buf *out)
{
    switch (origin->kind) {
    case ORIGIN_DEFAULT:
        buf_add_str(out, "default");
        return;
    case ORIGIN_FILE:
        buf_add_fmt(out, "%s:%u", origin->name, origin->line);
        return;
    case ORIGIN_ENVIRONMENT:
    case ORIGIN_FLAG:
        buf_add_str(out, origin->name);
        return;
    }
}

void config_add_value(const struct config *config, enum config_key key, struct buf *out)
{
    const struct config_key_info *info = &config_keys[key];
    value_add_text(&info->rule, (const char *)config + info->offset, out);
}

// The place that a problem is about, in front of its text. A line of 0 is a file as a whole.
static void add_place(const struct config_origin *origin, struct buf *out)
{
    switch (origin->kind) {
    case ORIGIN_DEFAULT:
        return;
    case ORIGIN_FILE:
        buf_add_fmt(out, "%.4000s", origin->name);
        if (origin->line > 0) {
            buf_add_fmt(out, ":%u:%u", origin->line, origin->column);
        }
        buf_add_str(out, ": ");
        return;
    case ORIGIN_ENVIRONMENT:
    case ORIGIN_FLAG:
        buf_add_fmt(out, "%.4000s: ", origin->name);
        return;
    }
}

void config_problem_list(struct config_problems *problems, const struct config_origin *origin,
                         const char *format, va_list arguments)
{
    problems->count++;
    if (problems->kept == CONFIG_PROBLEMS_KEPT_MAX) {
        return;
    }
    char memory[4000 + 1000]; // room for any place and text that are added below
    char text[512];
    struct buf line;
    (void)vsnprintf(text, sizeof text, format, arguments); // a longer one is cut
    buf_init_fixed(&line, memory, sizeof memory - 1);
    add_place(origin, &line);
    buf_add_str(&line, text);
    size_t size = buf_view(&line).size;
    memory[size] = '\0';
    const char *copy = arena_copy(problems->arena, memory, size + 1);
    if (copy != NULL) {
        problems->lines[problems->kept++] = copy;
    }
}

void config_problem(struct config_problems *problems, const struct config_origin *origin,
                    const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    config_problem_list(problems, origin, format, arguments);
    va_end(arguments);
}

void config_apply(struct config *config, enum config_key key, struct text text,
                  const struct config_origin *origin, struct config_problems *problems)
{
    const struct config_key_info *info = &config_keys[key];
    int64_t number = 0;
    enum value_result result = value_parse(&info->rule, text, &number);
    if (result == VALUE_OK) {
        assert(text.data[text.size] == '\0');
        value_store(&info->rule, (char *)config + info->offset, text.data, number);
        config->origins[key] = *origin;
        return;
    }
    char memory[320];
    struct buf complaint;
    buf_init_fixed(&complaint, memory, sizeof memory);
    value_add_complaint(&info->rule, result, text, &complaint);
    bool is_file = origin->kind == ORIGIN_FILE;
    config_problem(problems, origin, "%s%s%.*s", is_file ? info->path : "", is_file ? ": " : "",
                   TEXT_PRINT(buf_view(&complaint)));
}

void config_set_defaults(struct config *config)
{
    *config = (struct config){0};
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        const struct config_key_info *info = &config_keys[key];
        int64_t number = 0;
        enum value_result result = value_parse(&info->rule, text_of(info->default_text), &number);
        assert(result == VALUE_OK);
        value_store(&info->rule, (char *)config + info->offset, info->default_text, number);
    }
}

// Reads up to `cap` bytes; errno is set on failure. Works for pipes too.
static ssize_t read_whole(int fd, char *out, size_t cap)
{
    size_t size = 0;
    while (size < cap) {
        ssize_t got = read(fd, out + size, cap - size);
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        size += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)size;
}

static void read_file(const char *path, bool must_exist, struct config *config,
                      struct config_problems *problems)
{
    struct config_origin whole = {.kind = ORIGIN_FILE, .name = path};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        if (must_exist || (errno != ENOENT && errno != ENOTDIR)) {
            config_problem(problems, &whole, "cannot be opened: %s", strerror(errno));
        }
        return;
    }
    char *document = arena_alloc(problems->arena, CONFIG_FILE_SIZE_MAX + 1);
    if (document != NULL) {
        ssize_t size = read_whole(fd, document, CONFIG_FILE_SIZE_MAX + 1);
        if (size < 0) {
            config_problem(problems, &whole, "cannot be read: %s", strerror(errno));
        } else if (size > (ssize_t)CONFIG_FILE_SIZE_MAX) {
            config_problem(problems, &whole, "is larger than %u bytes", CONFIG_FILE_SIZE_MAX);
        } else {
            config_yaml_read(path, (struct text){document, (size_t)size}, config, problems);
        }
    }
    (void)close(fd); // nothing was written through it
}

static const char *suggest_variable(struct text name, char *memory, size_t cap)
{
    char names[CONFIG_KEY_COUNT][48];
    struct text candidates[CONFIG_KEY_COUNT];
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        struct buf variable;
        buf_init_fixed(&variable, names[key], sizeof names[key]);
        config_key_add_variable((enum config_key)key, &variable);
        assert(!buf_overflowed(&variable));
        candidates[key] = buf_view(&variable);
    }
    size_t nearest = text_nearest(name, candidates, CONFIG_KEY_COUNT);
    if (nearest == CONFIG_KEY_COUNT) {
        return NULL;
    }
    (void)snprintf(memory, cap, "%.*s", TEXT_PRINT(candidates[nearest]));
    return memory;
}

static bool find_variable(struct text name, enum config_key *out_key)
{
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        char memory[48];
        struct buf variable;
        buf_init_fixed(&variable, memory, sizeof memory);
        config_key_add_variable((enum config_key)key, &variable);
        if (text_equal(name, buf_view(&variable))) {
            *out_key = (enum config_key)key;
            return true;
        }
    }
    return false;
}

static void read_variable(struct text name, const char *value, struct config *config,
                          struct config_problems *problems)
{
    char *kept = arena_alloc(problems->arena, name.size + 1);
    if (kept == NULL) {
        return;
    }
    memcpy(kept, name.data, name.size);
    struct config_origin origin = {.kind = ORIGIN_ENVIRONMENT, .name = kept};
    enum config_key key = CONFIG_KEY_COUNT;
    if (find_variable(name, &key)) {
        config_apply(config, key, text_of(value), &origin, problems);
        return;
    }
    char memory[48];
    const char *suggestion = suggest_variable(name, memory, sizeof memory);
    config_problem(problems, &origin, "this variable names no setting%s%s%s",
                   suggestion != NULL ? "; did you mean " : "",
                   suggestion != NULL ? suggestion : "", suggestion != NULL ? "?" : "");
}

static void read_environment(const char *const *environment, struct config *config,
                             struct config_problems *problems)
{
    for (; environment != NULL && *environment != NULL; environment++) {
        struct text line = text_of(*environment);
        const char *equals = strchr(*environment, '=');
        if (equals == NULL || !text_starts_with(line, TEXT(ENVIRONMENT_PREFIX)) ||
            text_starts_with(line, TEXT(TEST_PREFIX))) {
            continue;
        }
        struct text name = {*environment, (size_t)(equals - *environment)};
        read_variable(name, equals + 1, config, problems);
    }
}

// Rules that hold between values. A problem is placed where a person set one of the two.
static void check_together(const struct config *config, struct config_problems *problems)
{
    if (config->match_max_hold >= config->match_grace) {
        return;
    }
    const struct config_origin *grace = &config->origins[CONFIG_match_grace];
    const struct config_origin *hold = &config->origins[CONFIG_match_max_hold];
    char memory[64];
    struct buf values;
    buf_init_fixed(&values, memory, sizeof memory);
    config_add_value(config, CONFIG_match_max_hold, &values);
    buf_add_str(&values, " is less than ");
    config_add_value(config, CONFIG_match_grace, &values);
    config_problem(problems, grace->kind >= hold->kind ? grace : hold,
                   "match.max_hold must be at least match.grace, but %.*s",
                   TEXT_PRINT(buf_view(&values)));
}

static enum err conclude(const struct config *config, struct config_problems *problems,
                         struct why *why)
{
    if (problems->count == 0) {
        check_together(config, problems);
    }
    if (arena_overflowed(problems->arena)) {
        return why_set(why, ERR_NO_MEMORY, "the configuration is too large");
    }
    if (problems->count > 0) {
        return why_set(why, ERR_CONFIG, "%s", problems->lines[0]);
    }
    return ERR_OK;
}

enum err config_load(const struct config_sources *sources, struct config *config,
                     struct config_problems *problems, struct why *why)
{
    config_set_defaults(config);
    const char *const *file = sources->default_files;
    for (; file != NULL && *file != NULL; file++) {
        read_file(*file, false, config, problems);
    }
    if (sources->explicit_file != NULL) {
        read_file(sources->explicit_file, true, config, problems);
    }
    read_environment(sources->environment, config, problems);
    for (size_t i = 0; i < sources->setting_count; i++) {
        const struct config_setting *setting = &sources->settings[i];
        struct config_origin origin = {.kind = ORIGIN_FLAG, .name = setting->flag};
        config_apply(config, setting->key, text_of(setting->text), &origin, problems);
    }
    return conclude(config, problems, why);
}

enum err config_load_file(const char *path, struct config *config, struct config_problems *problems,
                          struct why *why)
{
    config_set_defaults(config);
    read_file(path, true, config, problems);
    return conclude(config, problems, why);
}
