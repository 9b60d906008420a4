// The one table of what can go wrong. The class of an error, never its code, decides what a caller
// does: wait and try again (RETRY), put this one message or argument aside (REJECT), or end the
// process (STOP). Text for people travels beside the code in a struct why.
#ifndef TILL_ERRORS_H
#define TILL_ERRORS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_index)                                                     \
    __attribute__((format(printf, format_index, first_index)))

enum err_class {
    ERR_CLASS_NONE,   // no error
    ERR_CLASS_RETRY,  // the world is busy or away: back off, keep the message
    ERR_CLASS_REJECT, // this input will never do: dead letter or refusal
    ERR_CLASS_STOP,   // going on could lose or damage data: end, and recover by starting again
};

// X(name, class, text, exit code of the command line when this error ends a command)
#define ERR_TABLE(X)                                                                               \
    X(ERR_OK, NONE, "ok", 0)                                                                       \
    X(ERR_FULL, RETRY, "a limit of disk, backlog or memory is reached", 69)                        \
    X(ERR_BUSY, RETRY, "the other side is busy", 69)                                               \
    X(ERR_TIMEOUT, RETRY, "no answer in time", 69)                                                 \
    X(ERR_UNAVAILABLE, RETRY, "the service or directory is unavailable", 69)                       \
    X(ERR_INVALID, REJECT, "not valid", 1)                                                         \
    X(ERR_TOO_LARGE, REJECT, "larger than the limit", 1)                                           \
    X(ERR_NOT_FOUND, REJECT, "not found", 1)                                                       \
    X(ERR_EXISTS, REJECT, "exists already", 1)                                                     \
    X(ERR_EXPIRED, REJECT, "the lease has expired", 1)                                             \
    X(ERR_USAGE, REJECT, "wrong use of the command line", 2)                                       \
    X(ERR_CHECK_FAILED, REJECT, "a check failed", 3)                                               \
    X(ERR_NO_MEMORY, STOP, "out of memory", 1)                                                     \
    X(ERR_IO, STOP, "input or output failed", 1)                                                   \
    X(ERR_CORRUPT, STOP, "stored bytes are damaged", 1)                                            \
    X(ERR_LOCKED, STOP, "locked by another process", 69)                                           \
    X(ERR_READ_ONLY, STOP, "read-only", 69)                                                        \
    X(ERR_PERMISSION, STOP, "permission denied", 77)                                               \
    X(ERR_CONFIG, STOP, "bad configuration", 78)                                                   \
    X(ERR_SCHEMA, STOP, "made by another version of till", 1)                                      \
    X(ERR_CLOSED, STOP, "closed", 1)                                                               \
    X(ERR_DRAIN_TIMEOUT, STOP, "drain timed out", 75)                                              \
    X(ERR_INTERNAL, STOP, "a rule of the program itself was broken", 1)

enum err {
#define X(name, class, text, exit_code) name,
    ERR_TABLE(X)
#undef X
};

// What went wrong, for a person. The code is the same as the one returned. Callers own it, zero it
// before use, and pass it down; every function accepts NULL for it. Never holds message bodies,
// names, addresses or card data.
struct why {
    enum err code;
    char text[480];
};

// All of these are pure and safe from any thread.
enum err_class err_class_of(enum err code);
const char *err_name(enum err code); // "ERR_FULL"
const char *err_text(enum err code); // "a limit of disk, backlog or memory is reached"
int err_exit_code(enum err code);    // for the command line; 0 for ERR_OK

// Writes code and text into `why` (when not NULL) and returns `code`, so that a failing function
// ends in `return why_set(why, ERR_X, "...")`. Text too long is cut.
enum err why_set(struct why *why, enum err code, const char *format, ...) PRINTF_LIKE(3, 4);

// Puts "text: " before what is there, on the way up. Keeps the code. Does nothing for NULL.
void why_prefix(struct why *why, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
