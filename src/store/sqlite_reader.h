// What the files of the reading side share. Internal to the folder.
#ifndef TILL_SQLITE_READER_H
#define TILL_SQLITE_READER_H

#include "sqlite_util.h"
#include "store_read.h"

struct sqlite_reader {
    struct store_reader base; // first
    sqlite3 *db;
};

static inline struct sqlite_reader *sqlite_reader_of(struct store_reader *reader)
{
    return (struct sqlite_reader *)reader;
}

typedef enum err reader_row_fn(sqlite3_stmt *row, void *context, struct why *why);

struct reader_binding {
    struct text text; // used when data is not NULL
    int64_t number;
};

// Runs a query to its end and hands out its rows. ERR_NOT_FOUND from the callback ends the scan
// without an error.
MUST_USE enum err reader_scan(struct sqlite_reader *reader, const char *sql,
                              const struct reader_binding *bindings, size_t binding_count,
                              reader_row_fn *each, void *context, struct why *why);

// ERR_CORRUPT: `what` of the row's file is damaged.
enum err reader_damaged(sqlite3_stmt *row, struct why *why, const char *what);

// sqlite_totals.c
enum err sqlite_reader_totals(struct store_reader *base, struct text log_id, struct arena *arena,
                              struct store_totals *out_totals, struct why *why);

#endif
