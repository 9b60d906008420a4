// Settings from YAML: one document, one mapping of sections, each one mapping of keys to plain
// values. Everything else that YAML can do (anchors, aliases, tags, lists, further documents) is
// refused with its line and column; it has surprised people in other programs' settings.
//
// Built on libyaml's events. A walk goes on after every complaint that leaves the structure clear,
// so that all mistakes of a file are told at once; a syntax error ends it.
#include "config_internal.h"

#include <assert.h>
#include <string.h>
#include <yaml.h>

struct walk {
    yaml_parser_t parser;
    yaml_event_t event; // the one just read; owned
    bool failed;        // sticky: a syntax error was reported, every further event is "no event"
    const char *name;
    struct text document;
    struct config *config;
    struct config_problems *problems;
    unsigned key_lines[CONFIG_KEY_COUNT];     // where each key stood first; 0: not yet
    unsigned section_lines[CONFIG_KEY_COUNT]; // the same of sections, by their first key
};

static struct config_origin origin_at(const struct walk *walk, const yaml_mark_t *mark)
{
    return (struct config_origin){.kind = ORIGIN_FILE,
                                  .name = walk->name,
                                  .line = (unsigned)mark->line + 1,
                                  .column = (unsigned)mark->column + 1};
}

static void complain(const struct walk *walk, const yaml_mark_t *mark, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void complain(const struct walk *walk, const yaml_mark_t *mark, const char *format, ...)
{
    struct config_origin origin = origin_at(walk, mark);
    va_list arguments;
    va_start(arguments, format);
    config_problem_list(walk->problems, &origin, format, arguments);
    va_end(arguments);
}

// libyaml gives a place for syntax errors; for bytes that it cannot read, only an offset.
static void complain_of_syntax(const struct walk *walk)
{
    const yaml_parser_t *parser = &walk->parser;
    const char *problem = parser->problem != NULL ? parser->problem : "not YAML";
    if (parser->context != NULL) {
        complain(walk, &parser->problem_mark, "%s %s", problem, parser->context);
    } else {
        complain(walk, &parser->problem_mark, "%s", problem);
    }
}

static const char *anchor_of(const yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT) {
        return (const char *)event->data.scalar.anchor;
    }
    if (event->type == YAML_MAPPING_START_EVENT) {
        return (const char *)event->data.mapping_start.anchor;
    }
    return event->type == YAML_SEQUENCE_START_EVENT
               ? (const char *)event->data.sequence_start.anchor
               : NULL;
}

static const char *tag_of(const yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT) {
        return (const char *)event->data.scalar.tag;
    }
    if (event->type == YAML_MAPPING_START_EVENT) {
        return (const char *)event->data.mapping_start.tag;
    }
    return event->type == YAML_SEQUENCE_START_EVENT ? (const char *)event->data.sequence_start.tag
                                                    : NULL;
}

// Reads the next event, and refuses what no setting needs.
static yaml_event_type_t next(struct walk *walk)
{
    yaml_event_delete(&walk->event);
    if (walk->failed) {
        return YAML_NO_EVENT;
    }
    if (!yaml_parser_parse(&walk->parser, &walk->event)) {
        walk->failed = true;
        complain_of_syntax(walk);
        return YAML_NO_EVENT;
    }
    if (walk->event.type == YAML_ALIAS_EVENT) {
        complain(walk, &walk->event.start_mark, "aliases (*name) are not supported");
    }
    if (anchor_of(&walk->event) != NULL) {
        complain(walk, &walk->event.start_mark, "anchors (&name) are not supported");
    }
    if (tag_of(&walk->event) != NULL) {
        complain(walk, &walk->event.start_mark, "tags (!name) are not supported");
    }
    return walk->event.type;
}

// The current event begins a node; reads to its end.
static void skip_node(struct walk *walk)
{
    unsigned depth = 0;
    yaml_event_type_t type = walk->event.type;
    while (type != YAML_NO_EVENT) {
        depth += type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT;
        depth -= type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT;
        if (depth == 0) {
            return;
        }
        type = next(walk);
    }
}

static struct text scalar_text(const yaml_event_t *event)
{
    assert(event->type == YAML_SCALAR_EVENT);
    return (struct text){(const char *)event->data.scalar.value, event->data.scalar.length};
}

// What YAML calls null: nothing, or one of two words, without quotes.
static bool is_nothing(const yaml_event_t *event)
{
    if (event->type != YAML_SCALAR_EVENT || event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return false;
    }
    struct text text = scalar_text(event);
    return text.size == 0 || text_equal(text, TEXT("~")) || text_equal(text, TEXT("null"));
}

// Adds `got nothing`, `got "text"`, `got a list`: what the current event begins.
static void add_got(const yaml_event_t *event, struct buf *out)
{
    if (event->type == YAML_SCALAR_EVENT && !is_nothing(event)) {
        buf_add_str(out, "got \"");
        buf_add_escaped(out, scalar_text(event), 40);
        buf_add_char(out, '"');
    } else {
        buf_add_str(out, event->type == YAML_MAPPING_START_EVENT    ? "got keys below it"
                         : event->type == YAML_SEQUENCE_START_EVENT ? "got a list"
                         : event->type == YAML_ALIAS_EVENT          ? "got an alias"
                                                                    : "got nothing");
    }
}

// A key as read: its place, and its path as "section.key".
struct place {
    yaml_mark_t mark;
    char path[160]; // zero-terminated, escaped: a longer or stranger one is no key of ours anyway
};

static void take_key(const struct walk *walk, const char *section, struct place *place)
{
    struct buf path;
    place->mark = walk->event.start_mark;
    buf_init_fixed(&path, place->path, sizeof place->path - 1);
    buf_add_str(&path, section);
    buf_add_str(&path, *section != '\0' ? "." : "");
    buf_add_escaped(&path, scalar_text(&walk->event), 32);
    place->path[buf_view(&path).size] = '\0';
}

// true for the first part of any key's path; *out_key is the first such key.
static bool is_section(const char *name, enum config_key *out_key)
{
    size_t size = strlen(name);
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        const char *path = config_keys[key].path;
        if (strncmp(path, name, size) == 0 && path[size] == '.') {
            *out_key = (enum config_key)key;
            return true;
        }
    }
    return false;
}

static void complain_unknown(struct walk *walk, const struct place *place, bool at_top)
{
    enum config_key key = CONFIG_KEY_COUNT;
    const char *dot = strchr(place->path, '.');
    if (at_top && dot != NULL && config_key_find(text_of(place->path), &key)) {
        complain(walk, &place->mark,
                 "unknown key \"%s\"; write \"%s\" in a line of its own below \"%.*s:\"",
                 place->path, dot + 1, (int)(dot - place->path), place->path);
        return;
    }
    const char *suggestion = config_key_suggest(text_of(place->path));
    if (suggestion == NULL) {
        complain(walk, &place->mark, "unknown key %s", place->path);
    } else {
        complain(walk, &place->mark, "unknown key %s; did you mean %s?", place->path, suggestion);
    }
}

static bool is_first(struct walk *walk, unsigned *line, const struct place *place)
{
    if (*line > 0) {
        complain(walk, &place->mark, "%s is given twice; it stands in line %u already", place->path,
                 *line);
        return false;
    }
    *line = (unsigned)place->mark.line + 1;
    return true;
}

static void read_setting(struct walk *walk, const struct place *place, enum config_key key)
{
    struct config_origin origin = origin_at(walk, &walk->event.start_mark);
    if (!is_first(walk, &walk->key_lines[key], place)) {
        skip_node(walk);
        return;
    }
    if (walk->event.type != YAML_SCALAR_EVENT || is_nothing(&walk->event)) {
        char memory[320];
        struct buf text;
        buf_init_fixed(&text, memory, sizeof memory);
        value_add_expected(&config_keys[key].rule, VALUE_MALFORMED, &text);
        buf_add_str(&text, ", ");
        add_got(&walk->event, &text);
        config_problem(walk->problems, &origin, "%s: %.*s", place->path,
                       TEXT_PRINT(buf_view(&text)));
        skip_node(walk);
        return;
    }
    struct text read = scalar_text(&walk->event);
    // With the zero that ends it: libyaml puts one behind every scalar.
    const char *kept = arena_copy(walk->problems->arena, read.data, read.size + 1);
    if (kept != NULL) {
        config_apply(walk->config, key, (struct text){kept, read.size}, &origin, walk->problems);
    }
}

static void read_mapping(struct walk *walk, const char *section);

static void read_section(struct walk *walk, const struct place *place, enum config_key first_key)
{
    if (!is_first(walk, &walk->section_lines[first_key], place)) {
        skip_node(walk);
    } else if (walk->event.type == YAML_MAPPING_START_EVENT) {
        read_mapping(walk, place->path);
    } else if (!is_nothing(&walk->event)) {
        char memory[128];
        struct buf got;
        buf_init_fixed(&got, memory, sizeof memory);
        add_got(&walk->event, &got);
        complain(walk, &walk->event.start_mark, "%s: expected keys below it, %.*s", place->path,
                 TEXT_PRINT(buf_view(&got)));
        skip_node(walk);
    }
}

// The current event begins the value of `place`.
static void read_value(struct walk *walk, const struct place *place, bool at_top)
{
    enum config_key key = CONFIG_KEY_COUNT;
    bool dotted = at_top && strchr(place->path, '.') != NULL;
    if (at_top && is_section(place->path, &key)) {
        read_section(walk, place, key);
    } else if (!dotted && config_key_find(text_of(place->path), &key)) {
        read_setting(walk, place, key);
    } else {
        complain_unknown(walk, place, at_top);
        skip_node(walk);
    }
}

// The current event began a mapping: the whole document's when `section` is "". Two levels at most
// call each other, since sections hold no sections.
static void read_mapping(struct walk *walk, const char *section)
{
    yaml_event_type_t type = next(walk);
    while (type != YAML_MAPPING_END_EVENT && type != YAML_NO_EVENT) {
        if (type == YAML_SCALAR_EVENT) {
            struct place place;
            take_key(walk, section, &place);
            if (next(walk) != YAML_NO_EVENT) {
                read_value(walk, &place, *section == '\0');
            }
        } else {
            complain(walk, &walk->event.start_mark, "expected the name of a key");
            skip_node(walk);
            (void)next(walk);
            skip_node(walk);
        }
        type = next(walk);
    }
}

static void read_stream(struct walk *walk)
{
    (void)next(walk); // the stream's start
    if (next(walk) != YAML_DOCUMENT_START_EVENT) {
        return; // nothing but comments
    }
    if (next(walk) == YAML_MAPPING_START_EVENT) {
        read_mapping(walk, "");
    } else if (walk->event.type != YAML_NO_EVENT && !is_nothing(&walk->event)) {
        complain(walk, &walk->event.start_mark, "expected sections such as \"match:\"");
        skip_node(walk);
    }
    (void)next(walk); // the document's end
    if (next(walk) == YAML_DOCUMENT_START_EVENT) {
        complain(walk, &walk->event.start_mark, "a second document; settings are one document");
    }
}

// libyaml would guess at UTF-16 and stop without a place at bytes that it can't read, so we look
// first.
static bool check_bytes(const struct walk *walk)
{
    size_t valid = text_utf8_valid_prefix(walk->document);
    const char *zero = valid > 0 ? memchr(walk->document.data, '\0', valid) : NULL;
    size_t bad_at = zero != NULL ? (size_t)(zero - walk->document.data) : valid;
    if (bad_at == walk->document.size) {
        return true;
    }
    yaml_mark_t mark = {0};
    for (size_t i = 0; i < bad_at; i++) {
        bool line_ends = walk->document.data[i] == '\n';
        bool begins_character = ((unsigned char)walk->document.data[i] & 0xc0u) != 0x80u;
        mark.line += line_ends;
        mark.column = line_ends ? 0 : mark.column + begins_character;
    }
    complain(walk, &mark, zero != NULL ? "a zero byte" : "bytes that are not UTF-8");
    return false;
}

void config_yaml_read(const char *name, struct text document, struct config *config,
                      struct config_problems *problems)
{
    struct walk walk = {.name = name, .document = document, .config = config, .problems = problems};
    if (!check_bytes(&walk)) {
        return;
    }
    if (!yaml_parser_initialize(&walk.parser)) {
        config_problem(problems, &(struct config_origin){.kind = ORIGIN_FILE, .name = name},
                       "cannot be read: %s", err_text(ERR_NO_MEMORY));
        return;
    }
    yaml_parser_set_encoding(&walk.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&walk.parser, (const unsigned char *)document.data, document.size);
    read_stream(&walk);
    yaml_event_delete(&walk.event);
    yaml_parser_delete(&walk.parser);
}

const char *config_yaml_version(void)
{
    return yaml_get_version_string();
}
