// The log: one line an event, text on a terminal, JSON lines otherwise. Fields are ids, codes,
// sizes and counts only: never a message body, a name, an address or card data.
// Libraries below the pipeline do not log; they return what went wrong.
// Safe from any thread (one write call a line).
#ifndef TILL_LOG_H
#define TILL_LOG_H

#include "clock.h"
#include "text.h"

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log {
    int fd;
    bool json;
    enum log_level level_min;
    struct clock clock;
};

enum log_field_kind { LOG_FIELD_END, LOG_FIELD_TEXT, LOG_FIELD_INT };

struct log_field {
    const char *key; // snake_case
    enum log_field_kind kind;
    struct text text;
    int64_t number;
};

#define LOG_TEXT(key, value) ((struct log_field){(key), LOG_FIELD_TEXT, (value), 0})
#define LOG_STR(key, value)  ((struct log_field){(key), LOG_FIELD_TEXT, text_of(value), 0})
#define LOG_INT(key, value)  ((struct log_field){(key), LOG_FIELD_INT, {0, 0}, (int64_t)(value)})

// Writes to fd; json unless the fd is a terminal (log_init decides; the caller may set .json after).
void log_init(struct log *log, int fd, enum log_level level_min, struct clock clock);

// One line: time, level, component, message, fields. Text is escaped; a line is cut at 4 KiB.
// `log` may be NULL: then nothing is written.
void log_write(struct log *log, enum log_level level, const char *component, const char *message,
               const struct log_field *fields, size_t field_count);

#define log_debug(log, component, message, ...)                                                    \
    LOG_AT(log, LOG_DEBUG, component, message, __VA_ARGS__)
#define log_info(log, component, message, ...)                                                     \
    LOG_AT(log, LOG_INFO, component, message, __VA_ARGS__)
#define log_warn(log, component, message, ...)                                                     \
    LOG_AT(log, LOG_WARN, component, message, __VA_ARGS__)
#define log_error(log, component, message, ...)                                                    \
    LOG_AT(log, LOG_ERROR, component, message, __VA_ARGS__)
#define LOG_AT(log, level, component, message, ...)                                                \
    log_write((log), (level), (component), (message), (const struct log_field[]){__VA_ARGS__},     \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

bool log_level_parse(struct text text, enum log_level *out_level);

#endif
