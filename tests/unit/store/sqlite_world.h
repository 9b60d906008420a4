// The embedded store in a directory of its own, as a factory for the suite and for looking into.
#ifndef TILL_SQLITE_WORLD_H
#define TILL_SQLITE_WORLD_H

#include "store_bench.h"

extern const struct store_factory sqlite_factory;

const char *sqlite_world_path(const struct store_bench *bench); // of facts.db
// Closes the store without anything else; bench_reopen opens it again.
void sqlite_world_close(struct store_bench *bench);

// The single number of a query over facts.db, beside the store.
int64_t sqlite_world_count(const struct store_bench *bench, const char *sql);
// Changes facts.db behind the store's back; the store must be closed.
void sqlite_world_change(const struct store_bench *bench, const char *sql);

#endif
