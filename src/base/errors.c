// The error table as data, and the text that travels beside a code.
#include "errors.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct err_info {
    const char *name;
    const char *text;
    enum err_class class;
    int exit_code;
};

static const struct err_info err_infos[] = {
#define X(name, class, text, exit_code) {#name, text, ERR_CLASS_##class, exit_code},
    ERR_TABLE(X)
#undef X
};

static const struct err_info *info_of(enum err code)
{
    assert((size_t)code < sizeof(err_infos) / sizeof(err_infos[0]));
    return &err_infos[code];
}

enum err_class err_class_of(enum err code)
{
    return info_of(code)->class;
}

const char *err_name(enum err code)
{
    return info_of(code)->name;
}

const char *err_text(enum err code)
{
    return info_of(code)->text;
}

int err_exit_code(enum err code)
{
    return info_of(code)->exit_code;
}

// Both setters build the new text aside, because an argument may well be why->text itself.
enum err why_set(struct why *why, enum err code, const char *format, ...)
{
    if (why == NULL) {
        return code;
    }
    char text[sizeof(why->text)];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0) {
        text[0] = '\0';
    }
    va_end(args);
    why->code = code;
    memcpy(why->text, text, sizeof(text));
    return code;
}

// Appends as much of `addition` as fits in the `cap` bytes at `text`.
static void append_cut(char *text, const char *addition, size_t cap)
{
    size_t used = strlen(text);
    size_t size = strnlen(addition, cap - used - 1);
    memcpy(text + used, addition, size);
    text[used + size] = '\0';
}

void why_prefix(struct why *why, const char *format, ...)
{
    if (why == NULL) {
        return;
    }
    char text[sizeof(why->text)];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (length < 0) {
        return;
    }
    append_cut(text, ": ", sizeof(text));
    append_cut(text, why->text, sizeof(text));
    memcpy(why->text, text, sizeof(text));
}
