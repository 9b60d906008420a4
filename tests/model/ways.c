// Names of what a way can leave out, and of ways to read.
#include "world.h"

#include <string.h>

static const struct {
    const char *name;
    const char *text;
} removals[] =
    {
#define X(name, text) {#name, text},
        REMOVAL_TABLE(X)
#undef X
},
  reads_table[] = {
#define X(name, text) {#name, text},
      READS_TABLE(X)
#undef X
};

const char *removal_name(enum removal removal)
{
    return removals[removal].name;
}

const char *removal_text(enum removal removal)
{
    return removals[removal].text;
}

bool removal_find(const char *name, enum removal *out_removal)
{
    for (size_t i = 0; i < REMOVAL_COUNT; i++) {
        if (strcmp(name, removals[i].name) == 0) {
            *out_removal = (enum removal)i;
            return true;
        }
    }
    return false;
}

const char *reads_name(enum reads reads)
{
    return reads_table[reads].name;
}

const char *reads_text(enum reads reads)
{
    return reads_table[reads].text;
}

bool reads_find(const char *name, enum reads *out_reads)
{
    for (size_t i = 0; i < READS_COUNT; i++) {
        if (strcmp(name, reads_table[i].name) == 0) {
            *out_reads = (enum reads)i;
            return true;
        }
    }
    return false;
}
