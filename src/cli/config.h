// The configuration: one typed table of keys, filled from five places. Later ones win: defaults,
// /etc/till/till.yaml, ./till.yaml, --config FILE, environment TILL_SECTION_KEY, flags.
//
// Every value remembers where it came from. Everything wrong is gathered, not only the first: a
// person mends a file once. Nothing here reads the system but config_load, which reads the files
// that it is given.
#ifndef TILL_CONFIG_H
#define TILL_CONFIG_H

#include "arena.h"
#include "config_keys.h"
#include "errors.h"
#include "value.h"

enum config_key {
#define X(field, path, kind, text, min, max, choices, help) CONFIG_##field,
    CONFIG_TABLE(X)
#undef X
        CONFIG_KEY_COUNT
};

enum config_origin_kind { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_ENVIRONMENT, ORIGIN_FLAG };

struct config_origin {
    enum config_origin_kind kind;
    const char *name; // of the file, variable or flag; NULL for a default
    unsigned line;    // of the value in the file, from 1
    unsigned column;  // in characters, from 1
};

// What commands read. Durations are microseconds, sizes bytes.
struct config {
#define X(field, path, kind, text, min, max, choices, help) VALUE_TYPE(kind) field;
    CONFIG_TABLE(X)
#undef X
    struct config_origin origins[CONFIG_KEY_COUNT];
};

struct config_key_info {
    const char *path; // "match.grace"
    struct value_rule rule;
    const char *default_text;
    const char *help;
    size_t offset; // of the field in struct config
};
extern const struct config_key_info config_keys[CONFIG_KEY_COUNT];

// A value given by a flag, already checked against the key's rule.
struct config_setting {
    enum config_key key;
    const char *flag; // "--grace"
    const char *text;
};

struct config_sources {
    const char *const *default_files; // weakest first, NULL at the end; absent ones are passed over
    const char *explicit_file;        // must be there; NULL for none
    const char *const *environment;   // "NAME=value", NULL at the end; may be NULL
    const struct config_setting *settings;
    size_t setting_count;
};

// Complaints for people, one line each, in the order found.
#define CONFIG_PROBLEMS_KEPT_MAX 100
#define CONFIG_FILE_SIZE_MAX     65536u

struct config_problems {
    struct arena *arena;
    const char *lines[CONFIG_PROBLEMS_KEPT_MAX];
    size_t kept;
    size_t count; // of all, kept or not
};

// Every key at its default.
void config_set_defaults(struct config *config);

// Fills `config`; its texts live in problems->arena (setting and environment texts are borrowed).
// ERR_CONFIG when there is any problem, ERR_NO_MEMORY. `why` holds the first problem.
MUST_USE enum err config_load(const struct config_sources *sources, struct config *config,
                              struct config_problems *problems, struct why *why);

// Checks one file alone, on top of the defaults. Results as config_load.
MUST_USE enum err config_load_file(const char *path, struct config *config,
                                   struct config_problems *problems, struct why *why);

// false when no key has that path.
bool config_key_find(struct text path, enum config_key *out_key);
// The path a person most likely meant, or NULL.
const char *config_key_suggest(struct text path);
// "TILL_MATCH_GRACE" for match.grace.
void config_key_add_variable(enum config_key key, struct buf *out);
// "default", "till.yaml:3", "TILL_MATCH_GRACE", "--grace".
void config_origin_add_text(const struct config_origin *origin, struct buf *out);
void config_add_value(const struct config *config, enum config_key key, struct buf *out);
const char *config_yaml_version(void); // of libyaml

#endif
