// The names of the wrong variants.
#include "variant.h"

#include <string.h>

static const struct {
    const char *name;
    const char *text;
} variants[] = {
#define X(name, text) {#name, text},
    VARIANT_TABLE(X)
#undef X
};

const char *variant_name(enum variant variant)
{
    return variants[variant].name;
}

const char *variant_text(enum variant variant)
{
    return variants[variant].text;
}

bool variant_find(const char *name, enum variant *out_variant)
{
    for (size_t i = 0; i < VARIANT_COUNT; i++) {
        if (strcmp(variants[i].name, name) == 0) {
            *out_variant = (enum variant)i;
            return true;
        }
    }
    return false;
}
