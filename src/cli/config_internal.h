// Shared by the sources of the configuration (config.c, config_yaml.c) and their tests only.
#ifndef TILL_CONFIG_INTERNAL_H
#define TILL_CONFIG_INTERNAL_H

#include "config.h"

// Adds "ORIGIN: " (nothing for a default) and the formatted text as one problem.
void config_problem(struct config_problems *problems, const struct config_origin *origin,
                    const char *format, ...) PRINTF_LIKE(3, 4);
void config_problem_list(struct config_problems *problems, const struct config_origin *origin,
                         const char *format, va_list arguments) PRINTF_LIKE(3, 0);

// Reads `text` as the value of `key`, or adds a problem. `text` must outlive `config`.
void config_apply(struct config *config, enum config_key key, struct text text,
                  const struct config_origin *origin, struct config_problems *problems);

// Reads one YAML document of settings. `name` is the file's name in problems and origins and must
// outlive `config`. Texts go to problems->arena.
void config_yaml_read(const char *name, struct text document, struct config *config,
                      struct config_problems *problems);

#endif
