// For calls of the system that don't fail in a test: if one does, the test ends and says which.
#ifndef TILL_TESTS_MUST_H
#define TILL_TESTS_MUST_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static inline void must(bool done, const char *what)
{
    if (!done) {
        fail_msg("%s: %s", what, strerror(errno));
    }
}

#endif
