// The embedded store: one facts.db, one writing connection.
#ifndef TILL_STORE_SQLITE_H
#define TILL_STORE_SQLITE_H

#include "store.h"

struct store_sqlite_options {
    const char *path;         // of facts.db; created when absent
    bool without_by_customer; // leave facts_by_customer and facts_by_day empty (bench only)
};

// Opens (creates, recovers) the file for writing. The data directory's lock sees to it that one
// process does. ERR_CORRUPT, ERR_SCHEMA, ERR_IO, ERR_READ_ONLY, ERR_FULL.
MUST_USE enum err store_sqlite_open(const struct store_sqlite_options *options,
                                    struct store **out_store, struct why *why);

#endif
