// The embedded store: opening, transactions and the table of operations.
#include "store_sqlite.h"

#include "sqlite_schema.h"
#include "sqlite_store.h"

#include <assert.h>
#include <stdlib.h>

static const char *const statement_sql[] = {
#define X(name, sql) [STATEMENT_##name] = sql,
    STATEMENT_TABLE(X)
#undef X
};

sqlite3_stmt *sqlite_store_statement(struct sqlite_store *store, enum statement number,
                                     struct why *why)
{
    if (store->statements[number] == NULL) {
        enum err err =
            sqlite_prepare(store->db, statement_sql[number], &store->statements[number], why);
        if (err != ERR_OK) {
            return NULL;
        }
    }
    return store->statements[number];
}

static enum err run(struct sqlite_store *store, enum statement number, struct why *why)
{
    sqlite3_stmt *statement = sqlite_store_statement(store, number, why);
    if (statement == NULL) {
        return sqlite_prepare_failed(why);
    }
    return sqlite_step_done(statement, why);
}

static enum err begin(struct store *base, struct why *why)
{
    struct sqlite_store *store = sqlite_store_of(base);
    assert(!store->in_transaction);
    enum err err = run(store, STATEMENT_BEGIN, why);
    store->in_transaction = err == ERR_OK;
    return err;
}

static void rollback(struct store *base)
{
    struct sqlite_store *store = sqlite_store_of(base);
    if (store->in_transaction && sqlite3_get_autocommit(store->db) == 0) {
        (void)run(store, STATEMENT_ROLLBACK, NULL); // a failure rolled back already
    }
    store->in_transaction = false;
    store->recent_entries = store->recent_entries_committed;
}

// Commits of a busy lane append about 1 MB each; a checkpoint every 16 MB of log keeps the share of
// page writes low, and the log at a size that a restart replays in well under a second.
#define WAL_CHECKPOINT_PAGES 4000

static int note_wal_pages(void *context, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    ((struct sqlite_store *)context)->wal_pages = pages;
    return SQLITE_OK;
}

// SQLite's own automatic checkpoints keep an I/O error to themselves, and a second fsync after a failed
// one may succeed without the data being on the disk. Here the error ends the process. Readers may
// keep a checkpoint from finishing; the next one goes on.
static enum err checkpoint(struct sqlite_store *store, struct why *why)
{
    if (store->wal_pages < WAL_CHECKPOINT_PAGES) {
        return ERR_OK;
    }
    int code = sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (err_class_of(sqlite_err_of(code)) != ERR_CLASS_STOP) {
        return ERR_OK; // done, or to be tried again after the next commit
    }
    return sqlite_fail(store->db, why, "cannot move the write-ahead log into the file");
}

static enum err commit(struct store *base, struct why *why)
{
    struct sqlite_store *store = sqlite_store_of(base);
    assert(store->in_transaction);
    enum err err = run(store, STATEMENT_COMMIT, why);
    if (err != ERR_OK) {
        rollback(base);
        return err;
    }
    store->in_transaction = false;
    store->recent_entries_committed = store->recent_entries;
    return checkpoint(store, why);
}

static void close_store(struct store *base)
{
    struct sqlite_store *store = sqlite_store_of(base);
    rollback(base);
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        (void)sqlite3_finalize(store->statements[i]); // repeats the code of the last step
    }
    int code = sqlite3_close(store->db);
    assert(code == SQLITE_OK);
    free(store);
}

static const struct store_ops sqlite_ops = {
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .insert_events = sqlite_insert_events,
    .read_partitions = sqlite_read_partitions,
    .write_facts = sqlite_write_facts,
    .insert_waiting = sqlite_insert_waiting,
    .due_buckets = sqlite_due_buckets,
    .close_bucket = sqlite_close_bucket,
    .bucket_is_closed = sqlite_bucket_is_closed,
    .read_bucket = sqlite_read_bucket,
    .finish_bucket = sqlite_finish_bucket,
    .write_lane_status = sqlite_write_lane_status,
    .read_lane_status = sqlite_read_lane_status,
    .load_applied = sqlite_load_applied,
    .add_applied = sqlite_add_applied,
    .add_tallies = sqlite_add_tallies,
    .record_dead_letters = sqlite_record_dead_letters,
    .due_dead_letters = sqlite_due_dead_letters,
    .change_dead_letter = sqlite_change_dead_letter,
    .add_start = sqlite_add_start,
    .clear_starts = sqlite_clear_starts,
    .add_suspect = sqlite_add_suspect,
    .remove_suspect = sqlite_remove_suspect,
    .close = close_store,
};

enum err store_sqlite_open(const struct store_sqlite_options *options, struct store **out_store,
                           struct why *why)
{
    struct sqlite_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return why_set(why, ERR_NO_MEMORY, "%s: cannot open: out of memory", options->path);
    }
    store->base.ops = &sqlite_ops;
    store->base.transactional = true;
    store->indexed = !options->without_by_customer;
    enum err err = sqlite_open_writer(options->path, &store->db, why);
    if (err == ERR_OK) {
        err = sqlite_schema_ensure(store->db, why);
    }
    if (err == ERR_OK) {
        (void)sqlite3_wal_hook(store->db, note_wal_pages, store); // there was none before
    }
    if (err == ERR_OK) {
        err = sqlite_read_i64(store->db, "SELECT count(*) FROM index_recent;",
                              &store->recent_entries, why);
        store->recent_entries_committed = store->recent_entries;
    }
    if (err == ERR_OK) {
        err = sqlite_read_i64(store->db, "SELECT max(order_id) FROM orders;", &store->orders_id_max,
                              why);
    }
    if (err == ERR_OK) {
        err = sqlite_read_i64(store->db, "SELECT max(order_id) FROM payments;",
                              &store->payments_order_id_max, why);
    }
    if (err != ERR_OK) {
        (void)sqlite3_close(store->db); // accepts NULL; nothing is prepared yet
        free(store);
        return err;
    }
    *out_store = &store->base;
    return ERR_OK;
}
