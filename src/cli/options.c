// The three tables of options.h as one array, and the defaults.
#include "options.h"

#include "fold.h"
#include "table_out.h"

#include <assert.h>
#include <stddef.h>

const char *const settlement_names[] = {
#define X(name) #name,
    SETTLEMENT_TABLE(X)
#undef X
        NULL};

static const struct option options_by_id[OPTION_COUNT] = {
#define X(field, word, kind, value, text, low, high, names, meaning)                               \
    [OPTION_##field] = {.name = word,                                                              \
                        .flag = "--" word,                                                         \
                        .metavar = value,                                                          \
                        .help = meaning,                                                           \
                        .default_text = text,                                                      \
                        .rule = {VALUE_##kind, low, high, names},                                  \
                        .key = CONFIG_KEY_COUNT,                                                   \
                        .offset = offsetof(struct options, field)},
    OPTION_TABLE(X)
#undef X
#define X(field, word, value, meaning)                                                             \
    [OPTION_##field] = {.name = word,                                                              \
                        .flag = "--" word,                                                         \
                        .metavar = value,                                                          \
                        .help = meaning,                                                           \
                        .rule = {.kind = VALUE_TEXT},                                              \
                        .repeatable = true,                                                        \
                        .key = CONFIG_KEY_COUNT,                                                   \
                        .offset = offsetof(struct options, field)},
        LIST_OPTION_TABLE(X)
#undef X
#define X(field, word, value, meaning)                                                             \
    [OPTION_##field] = {.name = word,                                                              \
                        .flag = "--" word,                                                         \
                        .metavar = value,                                                          \
                        .help = meaning,                                                           \
                        .key = CONFIG_##field},
            KEY_OPTION_TABLE(X)
#undef X
};

const struct option *option_info(enum option_id id)
{
    assert(id < OPTION_COUNT);
    return &options_by_id[id];
}

const struct value_rule *option_rule(const struct option *option)
{
    return option->key < CONFIG_KEY_COUNT ? &config_keys[option->key].rule : &option->rule;
}

const char *option_default_text(const struct option *option)
{
    return option->key < CONFIG_KEY_COUNT ? config_keys[option->key].default_text
                                          : option->default_text;
}

void options_set_defaults(struct options *options)
{
    *options = (struct options){0};
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option *option = &options_by_id[id];
        if (option->default_text == NULL) {
            continue;
        }
        int64_t number = 0;
        enum value_result result =
            value_parse(&option->rule, text_of(option->default_text), &number);
        assert(result == VALUE_OK);
        value_store(&option->rule, (char *)options + option->offset, option->default_text, number);
    }
}
