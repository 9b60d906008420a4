// The file topics.db: how connections are opened, the schema, and what SQLite's answers mean for us.
//
// The SQLite of Debian 12 damages a file when two connections write or checkpoint at once (fixed in
// 3.51.3), so exactly one connection does either; all others are opened read-only. Checkpoints are
// asked for in commit.c, never left to SQLite's automatic ones, which swallow I/O errors.
//
// user_version is the version of the schema, application_id tells our file from other databases.
#include "broker_internal.h"
#include "rand.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define APPLICATION_ID 0x746c6f67 // "tlog"
#define SCHEMA_VERSION 1
#define PAGE_SIZE      8192

#define STRINGIFY(x)      #x
#define TEXT_OF_NUMBER(x) STRINGIFY(x)

// Pages a connection keeps in memory: 8 MiB for the writer, which comes back to its last pages at every
// commit; readers read every page once.
static const char writer_pragmas[] = "PRAGMA journal_mode=WAL;"
                                     "PRAGMA synchronous=FULL;"
                                     "PRAGMA wal_autocheckpoint=0;"
                                     "PRAGMA journal_size_limit=67108864;"
                                     "PRAGMA secure_delete=OFF;"
                                     "PRAGMA mmap_size=0;"
                                     "PRAGMA cache_size=-8192;"
                                     "PRAGMA temp_store=MEMORY;"
                                     "PRAGMA trusted_schema=OFF;";
static const char reader_pragmas[] = "PRAGMA query_only=ON;"
                                     "PRAGMA mmap_size=0;"
                                     "PRAGMA cache_size=-1024;"
                                     "PRAGMA temp_store=MEMORY;"
                                     "PRAGMA trusted_schema=OFF;";

static const char schema[] =
    "CREATE TABLE log(log_id TEXT NOT NULL, created_us INTEGER NOT NULL);"
    "CREATE TABLE topics(topic_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " last_seq INTEGER NOT NULL, last_published_us INTEGER NOT NULL);"
    "CREATE TABLE subscriptions(subscription_id INTEGER PRIMARY KEY,"
    " topic_id INTEGER NOT NULL REFERENCES topics(topic_id), name TEXT NOT NULL UNIQUE,"
    " ack_floor INTEGER NOT NULL, acked_ranges TEXT NOT NULL, delivered_seq INTEGER NOT NULL);"
    "PRAGMA application_id=" TEXT_OF_NUMBER(APPLICATION_ID) ";"
                                                            "PRAGMA user_version=" TEXT_OF_NUMBER(
                                                                SCHEMA_VERSION) ";";

static enum err cannot_open(const char *path, int system_error, struct why *why)
{
    switch (system_error) {
    case EACCES:
    case EPERM:
        return why_set(why, ERR_PERMISSION, "%s: no permission to open it", path);
    case EROFS:
        return why_set(why, ERR_READ_ONLY, "%s: the file system is read-only", path);
    case ENOSPC:
    case EDQUOT:
        return why_set(why, ERR_FULL, "%s: no space left to create it", path);
    case EIO:
        return why_set(why, ERR_IO, "%s: cannot be opened: %s", path, strerror(EIO));
    default:
        return why_set(why, ERR_UNAVAILABLE, "%s: cannot be opened: %s", path,
                       system_error != 0 ? strerror(system_error) : "not a usable file");
    }
}

static enum err io_error(const char *path, int result, int system_error, const char *doing,
                         struct why *why)
{
    if (result == SQLITE_IOERR_NOMEM) {
        return why_set(why, ERR_NO_MEMORY, "%s: out of memory while %s", path, doing);
    }
    if (result == SQLITE_IOERR_WRITE && system_error == EDQUOT) {
        return why_set(why, ERR_FULL, "%s: disk quota used up while %s", path, doing);
    }
    return why_set(why, ERR_IO, "%s: input or output failed while %s (%s)", path, doing,
                   system_error != 0 ? strerror(system_error) : sqlite3_errstr(result));
}

enum err file_error(const char *path, sqlite3 *connection, int result, const char *doing,
                    struct why *why)
{
    int system_error = connection != NULL ? sqlite3_system_errno(connection) : 0;
    switch (result & 0xff) {
    case SQLITE_FULL:
        return why_set(why, ERR_FULL, "%s: no space left while %s", path, doing);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return why_set(why, ERR_BUSY, "%s: another program holds the file while %s", path, doing);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return why_set(why, ERR_CORRUPT,
                       "%s is damaged (found while %s); nothing was changed: put the file and its "
                       "-wal aside, then restore a copy or read on with "
                       "sqlite3 -readonly what can still be read",
                       path, doing);
    case SQLITE_IOERR:
        return io_error(path, result, system_error, doing, why);
    case SQLITE_NOMEM:
        return why_set(why, ERR_NO_MEMORY, "%s: out of memory while %s", path, doing);
    case SQLITE_READONLY:
        return why_set(why, ERR_READ_ONLY, "%s: cannot be written while %s", path, doing);
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return why_set(why, ERR_PERMISSION, "%s: not permitted while %s", path, doing);
    case SQLITE_CANTOPEN:
        return cannot_open(path, system_error, why);
    case SQLITE_TOOBIG:
        return why_set(why, ERR_TOO_LARGE, "%s: too large while %s", path, doing);
    default:
        return why_set(why, ERR_INTERNAL, "%s: SQLite result %d while %s: %s", path, result, doing,
                       connection != NULL ? sqlite3_errmsg(connection) : "");
    }
}

enum err broker_poison(struct broker *broker, const struct why *why)
{
    lock(&broker->poison_lock);
    if (!atomic_load(&broker->poisoned)) {
        broker->poison = *why;
        atomic_store(&broker->poisoned, true);
    }
    unlock(&broker->poison_lock);
    return why->code;
}

enum err broker_fail(struct broker *broker, sqlite3 *connection, int result, const char *doing,
                     struct why *why)
{
    struct why reason = {0};
    enum err err = file_error(broker->path, connection, result, doing, &reason);
    if (err_class_of(err) == ERR_CLASS_STOP) {
        broker_poison(broker, &reason);
    }
    return why_set(why, err, "%s", reason.text);
}

enum err broker_check(struct broker *broker, struct why *why)
{
    if (!atomic_load(&broker->poisoned)) {
        return ERR_OK;
    }
    lock(&broker->poison_lock);
    enum err err = why_set(why, broker->poison.code, "%s", broker->poison.text);
    unlock(&broker->poison_lock);
    return err;
}

enum err file_execute(const char *path, sqlite3 *connection, const char *sql, struct why *why)
{
    int result = sqlite3_exec(connection, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? ERR_OK
                               : file_error(path, connection, sqlite3_extended_errcode(connection),
                                            "opening it", why);
}

enum err file_prepare(const char *path, sqlite3 *connection, const char *sql,
                      sqlite3_stmt **out_statement, struct why *why)
{
    int result =
        sqlite3_prepare_v3(connection, sql, -1, SQLITE_PREPARE_PERSISTENT, out_statement, NULL);
    return result == SQLITE_OK ? ERR_OK
                               : file_error(path, connection, sqlite3_extended_errcode(connection),
                                            "opening it", why);
}

int statement_run(sqlite3_stmt *statement)
{
    int result = sqlite3_step(statement);
    assert(result != SQLITE_ROW);
    sqlite3_reset(statement);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}

// The one number that a query gives.
static enum err query_number(const char *path, sqlite3 *connection, const char *sql,
                             int64_t *out_number, struct why *why)
{
    sqlite3_stmt *statement = NULL;
    enum err err = file_prepare(path, connection, sql, &statement, why);
    if (err != ERR_OK) {
        return err;
    }
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        *out_number = sqlite3_column_int64(statement, 0);
    } else {
        err = file_error(path, connection, sqlite3_extended_errcode(connection), "opening it", why);
    }
    sqlite3_finalize(statement);
    return err;
}

// Checks that the file is ours and of our version. A file without any table is a new one.
static enum err check_schema(const char *path, sqlite3 *connection, bool *out_new, struct why *why)
{
    int64_t application_id = 0;
    int64_t version = 0;
    int64_t tables = 0;
    enum err err = query_number(path, connection, "PRAGMA application_id", &application_id, why);
    if (err == ERR_OK) {
        err = query_number(path, connection, "PRAGMA user_version", &version, why);
    }
    if (err == ERR_OK) {
        err = query_number(path, connection, "SELECT count(*) FROM sqlite_schema", &tables, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    *out_new = application_id == 0 && version == 0 && tables == 0;
    if (*out_new || (application_id == APPLICATION_ID && version == SCHEMA_VERSION)) {
        return ERR_OK;
    }
    if (application_id != APPLICATION_ID) {
        return why_set(why, ERR_SCHEMA, "%s is an SQLite file, but not a topic log of till", path);
    }
    return why_set(why, ERR_SCHEMA,
                   "%s has schema version %" PRId64 "; this program reads version %d: use the "
                   "version of till that made it, or another data directory",
                   path, version, SCHEMA_VERSION);
}

static enum err create_schema(struct broker *broker, struct why *why)
{
    char sql[sizeof(schema) + 256];
    struct buf buf;
    buf_init_fixed(&buf, sql, sizeof(sql));
    buf_add_str(&buf, "BEGIN IMMEDIATE;");
    buf_add_str(&buf, schema);
    buf_add_fmt(&buf, "INSERT INTO log VALUES('%016" PRIx64 "%016" PRIx64 "', %" PRId64 ");COMMIT",
                rand_seed_from_system(), rand_seed_from_system(), clock_wall_us(&broker->clock));
    buf_add_char(&buf, '\0');
    assert(!buf_overflowed(&buf));
    return file_execute(broker->path, broker->writer, sql, why);
}

static enum err set_size_max(struct broker *broker, struct why *why)
{
    if (broker->size_max == 0) {
        return ERR_OK;
    }
    char sql[64];
    uint64_t pages = broker->size_max / PAGE_SIZE;
    struct buf buf;
    buf_init_fixed(&buf, sql, sizeof(sql));
    buf_add_fmt(&buf, "PRAGMA max_page_count=%" PRIu64, pages == 0 ? 1 : pages);
    buf_add_char(&buf, '\0');
    return file_execute(broker->path, broker->writer, sql, why);
}

static int note_wal_pages(void *context, sqlite3 *connection, const char *name, int pages)
{
    (void)connection;
    (void)name;
    struct broker *broker = context;
    broker->wal_pages = (uint64_t)pages;
    if (broker->wal_pages > atomic_load(&broker->wal_pages_max)) {
        atomic_store(&broker->wal_pages_max, broker->wal_pages);
    }
    return SQLITE_OK;
}

// Brings the whole write-ahead log into the file and starts a new one. After a failed fsync the pages
// of the old log may be in memory only although they look written; here they are written again.
enum err file_recover(struct broker *broker, struct why *why)
{
    int result =
        sqlite3_wal_checkpoint_v2(broker->writer, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (result == SQLITE_OK || result == SQLITE_BUSY) {
        return ERR_OK; // busy: a reader in another process; the next checkpoint does it
    }
    return file_error(broker->path, broker->writer, sqlite3_extended_errcode(broker->writer),
                      "recovering it", why);
}

void file_checkpoint_on_close(struct broker *broker, bool on)
{
    sqlite3_db_config(broker->writer, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, on ? 0 : 1, NULL);
}

// Why a file could not be made. SQLite tells ENOENT when it may not create one, since it then tries to
// open it read-only; so the directory is asked.
static int creation_error(const char *path, int system_error)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (system_error == ENOENT && directory != NULL &&
        faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) != 0) {
        system_error = errno;
    }
    free(directory);
    return system_error;
}

enum err file_open_writer(struct broker *broker, struct why *why)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int result = sqlite3_open_v2(broker->path, &broker->writer, flags, NULL);
    if ((result & 0xff) == SQLITE_CANTOPEN) {
        int system_error = sqlite3_system_errno(broker->writer);
        return cannot_open(broker->path, creation_error(broker->path, system_error), why);
    }
    if (result != SQLITE_OK) {
        return file_error(broker->path, broker->writer, result, "opening it", why);
    }
    if (sqlite3_db_readonly(broker->writer, "main") == 1) {
        return why_set(why, ERR_READ_ONLY, "%s: cannot be written", broker->path);
    }
    file_checkpoint_on_close(broker, false); // not before we know that all is well
    sqlite3_busy_timeout(broker->writer, 2000);
    bool is_new = false;
    enum err err = check_schema(broker->path, broker->writer, &is_new, why);
    if (err == ERR_OK && is_new) {
        err = file_execute(broker->path, broker->writer,
                           "PRAGMA page_size=" TEXT_OF_NUMBER(PAGE_SIZE), why);
    }
    if (err == ERR_OK) {
        err = file_execute(broker->path, broker->writer, writer_pragmas, why);
    }
    if (err == ERR_OK) {
        err = set_size_max(broker, why);
    }
    if (err == ERR_OK && is_new) {
        err = create_schema(broker, why);
    }
    sqlite3_wal_hook(broker->writer, note_wal_pages, broker);
    return err;
}

enum err file_open_reader(const char *path, sqlite3 **out_connection, struct why *why)
{
    sqlite3 *connection = NULL;
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int result = sqlite3_open_v2(path, &connection, flags, NULL);
    enum err err = ERR_OK;
    if (result == SQLITE_CANTOPEN && sqlite3_system_errno(connection) == ENOENT) {
        err = why_set(why, ERR_NOT_FOUND, "%s: no such file", path);
    } else if (result != SQLITE_OK) {
        err = file_error(path, connection, result, "opening it", why);
    }
    if (err == ERR_OK) {
        sqlite3_busy_timeout(connection, 2000);
        err = file_execute(path, connection, reader_pragmas, why);
    }
    bool is_new = false;
    if (err == ERR_OK) {
        err = check_schema(path, connection, &is_new, why);
    }
    if (err == ERR_OK && is_new) {
        err = why_set(why, ERR_NOT_FOUND, "%s: holds no topic log yet", path);
    }
    if (err != ERR_OK) {
        sqlite3_close(connection);
        return err;
    }
    *out_connection = connection;
    return ERR_OK;
}
