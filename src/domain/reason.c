// The table of refusal reasons, read in both directions.
#include "reason.h"

#include <assert.h>
#include <stddef.h>

struct reason_row {
    struct text name;
    const char *text;
    enum reason_class class;
};

static const struct reason_row reason_rows[REASON_COUNT] = {
    [REASON_NONE] = {{"", 0}, "", REASON_CLASS_REFUSED},
#define X(name, class, text)                                                                       \
    [REASON_##name] = {{#name, sizeof(#name) - 1}, text, REASON_CLASS_##class},
    REASON_TABLE(X)
#undef X
};

static const struct reason_row *row_of(enum reason reason)
{
    assert((unsigned)reason < REASON_COUNT);
    return &reason_rows[reason];
}

struct text reason_name(enum reason reason)
{
    return row_of(reason)->name;
}

const char *reason_text(enum reason reason)
{
    return row_of(reason)->text;
}

enum reason_class reason_class_of(enum reason reason)
{
    assert(reason != REASON_NONE);
    return row_of(reason)->class;
}

bool reason_find(struct text name, enum reason *out_reason)
{
    for (size_t i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        if (text_equal(name, reason_rows[i].name)) {
            *out_reason = (enum reason)i;
            return true;
        }
    }
    return false;
}
