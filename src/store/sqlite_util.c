// SQLite, opened and asked by the rules of docs/architecture.md: one connection a file writes and
// checkpoints, all others are read-only.
#include "sqlite_util.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define WAL_SIZE_LIMIT "67108864"

enum err sqlite_err_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return ERR_OK;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_NOMEM:
        return ERR_NO_MEMORY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_READONLY:
        return ERR_READ_ONLY;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERR_PERMISSION;
    case SQLITE_TOOBIG:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
        return ERR_INTERNAL;
    default:
        return ERR_IO; // SQLITE_IOERR, SQLITE_CANTOPEN and whatever else: nothing to build on
    }
}

enum err sqlite_fail(sqlite3 *db, struct why *why, const char *doing)
{
    int code = sqlite3_extended_errcode(db);
    enum err err = sqlite_err_of(code);
    if (err == ERR_OK) {
        err = ERR_INTERNAL;
    }
    const char *path = sqlite3_db_filename(db, "main");
    return why_set(why, err, "%s: %s: %s (code %d)%s", path != NULL ? path : "database", doing,
                   sqlite3_errmsg(db), code,
                   err == ERR_CORRUPT
                       ? "; nothing was changed: keep the file, restore a copy of it "
                         "or move the data directory aside"
                       : "");
}

enum err sqlite_run(sqlite3 *db, const char *sql, struct why *why)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return sqlite_fail(db, why, "cannot run a statement");
    }
    return ERR_OK;
}

static enum err open_with(const char *path, int flags, const char *pragmas, sqlite3 **out_db,
                          struct why *why)
{
    sqlite3 *db = NULL;
    int code =
        sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (db == NULL) {
        return why_set(why, ERR_NO_MEMORY, "%s: cannot open: out of memory", path);
    }
    enum err err = ERR_OK;
    if (code != SQLITE_OK) { // the connection doesn't know its file yet
        bool absent = (code & 0xff) == SQLITE_CANTOPEN && sqlite3_system_errno(db) == ENOENT;
        err = absent ? ERR_NOT_FOUND : sqlite_err_of(code);
        (void)why_set(why, err, "%s: cannot open: %s (code %d)", path, sqlite3_errmsg(db), code);
    }
    if (err == ERR_OK) {
        (void)sqlite3_busy_timeout(db, 5000); // fails only for a NULL handle
        err = sqlite_run(db, pragmas, why);
    }
    if (err != ERR_OK) {
        (void)sqlite3_close(db); // nothing was prepared on it
        return err;
    }
    *out_db = db;
    return ERR_OK;
}

enum err sqlite_open_writer(const char *path, sqlite3 **out_db, struct why *why)
{
    return open_with(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                     "PRAGMA mmap_size=0; PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY;",
                     out_db, why);
}

enum err sqlite_start_writing(sqlite3 *db, struct why *why)
{
    return sqlite_run(db,
                      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                      "PRAGMA wal_autocheckpoint=0;" // see store_sqlite.c, checkpoint()
                      "PRAGMA journal_size_limit=" WAL_SIZE_LIMIT ";",
                      why);
}

enum err sqlite_open_reader(const char *path, sqlite3 **out_db, struct why *why)
{
    return open_with(path, SQLITE_OPEN_READONLY,
                     "PRAGMA mmap_size=0; PRAGMA query_only=ON; PRAGMA cache_size=-16384;"
                     "PRAGMA temp_store=MEMORY;",
                     out_db, why);
}

enum err sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out_statement, struct why *why)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out_statement, NULL) !=
        SQLITE_OK) {
        return sqlite_fail(db, why, "cannot prepare a statement");
    }
    return ERR_OK;
}

enum err sqlite_step_done(sqlite3_stmt *statement, struct why *why)
{
    int code = sqlite3_step(statement);
    enum err err = ERR_OK;
    if (code != SQLITE_DONE && code != SQLITE_ROW) {
        err = sqlite_fail(sqlite3_db_handle(statement), why, "cannot write");
    }
    (void)sqlite3_reset(statement); // repeats the code of the step
    return err;
}

enum err sqlite_step_row(sqlite3_stmt *statement, bool *out_row, struct why *why)
{
    int code = sqlite3_step(statement);
    *out_row = code == SQLITE_ROW;
    if (code == SQLITE_ROW) {
        return ERR_OK;
    }
    enum err err = ERR_OK;
    if (code != SQLITE_DONE) {
        err = sqlite_fail(sqlite3_db_handle(statement), why, "cannot read");
    }
    (void)sqlite3_reset(statement);
    return err;
}

enum err sqlite_read_i64(sqlite3 *db, const char *sql, int64_t *out_value, struct why *why)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum err err = sqlite_prepare(db, sql, &statement, why);
    if (err == ERR_OK) {
        err = sqlite_step_row(statement, &row, why);
    }
    if (err == ERR_OK) {
        *out_value = row ? sqlite3_column_int64(statement, 0) : 0;
    }
    (void)sqlite3_finalize(statement);
    return err;
}

void sqlite_bind_text_view(sqlite3_stmt *statement, int index, struct text text)
{
    int code = sqlite3_bind_text(statement, index, text.data != NULL ? text.data : "",
                                 (int)text.size, SQLITE_STATIC);
    assert(code == SQLITE_OK);
}

void sqlite_bind_text_or_null(sqlite3_stmt *statement, int index, struct text text)
{
    if (text.size == 0) {
        (void)sqlite3_bind_null(statement, index);
    } else {
        sqlite_bind_text_view(statement, index, text);
    }
}

void sqlite_bind_hash(sqlite3_stmt *statement, int index, const struct hash *hash)
{
    int code = sqlite3_bind_blob(statement, index, hash->bytes, HASH_SIZE, SQLITE_STATIC);
    assert(code == SQLITE_OK);
}

struct text sqlite_column_view(sqlite3_stmt *statement, int index)
{
    const void *data = sqlite3_column_blob(statement, index);
    int size = sqlite3_column_bytes(statement, index);
    return (struct text){data, data != NULL ? (size_t)size : 0};
}

struct text sqlite_column_copy(sqlite3_stmt *statement, int index, struct arena *arena)
{
    struct text view = sqlite_column_view(statement, index);
    if (view.size == 0) {
        return (struct text){NULL, 0};
    }
    char *copy = arena_copy(arena, view.data, view.size);
    return (struct text){copy, copy != NULL ? view.size : 0};
}

bool sqlite_column_hash(sqlite3_stmt *statement, int index, struct hash *out_hash)
{
    struct text view = sqlite_column_view(statement, index);
    if (view.size != HASH_SIZE) {
        return false;
    }
    memcpy(out_hash->bytes, view.data, HASH_SIZE);
    return true;
}
