// The little that we need over SQLite's C interface: opening by the rules of architecture.md,
// statements with sticky errors, and the mapping of result codes to ours. Internal to the folder.
#ifndef TILL_SQLITE_UTIL_H
#define TILL_SQLITE_UTIL_H

#include "arena.h"
#include "errors.h"
#include "hash.h"
#include "text.h"

#include <sqlite3.h>
#include <stdint.h>

// What a result code means to the pipeline. SQLITE_FULL is RETRY (the transaction was rolled back);
// every I/O error is STOP: after a failed fsync nothing that this process believes about the file is
// sure, and it recovers by reopening.
enum err sqlite_err_of(int code);
// Same, with the connection's message and what was being done put into `why`.
enum err sqlite_fail(sqlite3 *db, struct why *why, const char *doing);

// Changes nothing in a file that is there; sqlite_start_writing may, so look first whose file it is.
MUST_USE enum err sqlite_open_writer(const char *path, sqlite3 **out_db, struct why *why);
MUST_USE enum err sqlite_start_writing(sqlite3 *db, struct why *why);
MUST_USE enum err sqlite_open_reader(const char *path, sqlite3 **out_db, struct why *why);
MUST_USE enum err sqlite_run(sqlite3 *db, const char *sql, struct why *why);
MUST_USE enum err sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out_statement,
                                 struct why *why);
// Steps a statement that gives no rows, then resets it.
MUST_USE enum err sqlite_step_done(sqlite3_stmt *statement, struct why *why);
// Steps to the next row; *out_row false at the end (the statement is then reset). On an error too.
MUST_USE enum err sqlite_step_row(sqlite3_stmt *statement, bool *out_row, struct why *why);
MUST_USE enum err sqlite_read_i64(sqlite3 *db, const char *sql, int64_t *out_value,
                                  struct why *why);

// Binding never copies: the bytes must stay until the statement was stepped.
void sqlite_bind_text_view(sqlite3_stmt *statement, int index, struct text text);
void sqlite_bind_text_or_null(sqlite3_stmt *statement, int index, struct text text);
void sqlite_bind_hash(sqlite3_stmt *statement, int index, const struct hash *hash);

// Views are valid until the next step or reset.
struct text sqlite_column_view(sqlite3_stmt *statement, int index);
struct text sqlite_column_copy(sqlite3_stmt *statement, int index, struct arena *arena);
// false when the column is no blob of HASH_SIZE bytes.
MUST_USE bool sqlite_column_hash(sqlite3_stmt *statement, int index, struct hash *out_hash);

#endif
