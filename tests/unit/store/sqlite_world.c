// A world is a directory with facts.db in it.
#include "sqlite_world.h"

#include "store_sqlite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct sqlite_world {
    char directory[64];
    char path[96];
    struct store *store;
};

static struct store *open_store(struct sqlite_world *world)
{
    struct why why = {0};
    struct store_sqlite_options options = {.path = world->path};
    if (store_sqlite_open(&options, &world->store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return world->store;
}

static void *create(void)
{
    struct sqlite_world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    (void)snprintf(world->directory, sizeof(world->directory), "%s/till-store-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(world->directory));
    (void)snprintf(world->path, sizeof(world->path), "%s/facts.db", world->directory);
    (void)open_store(world);
    return world;
}

static struct store *store_of(void *world)
{
    return ((struct sqlite_world *)world)->store;
}

static struct store *reopen(void *context)
{
    struct sqlite_world *world = context;
    store_close(&world->store);
    return open_store(world);
}

static struct store_reader *reader_of(void *context)
{
    struct sqlite_world *world = context;
    struct why why = {0};
    struct store_reader *reader = NULL;
    if (store_reader_open_sqlite(world->path, &reader, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return reader;
}

static void destroy(void *context)
{
    struct sqlite_world *world = context;
    store_close(&world->store);
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s%s", world->path, suffixes[i]);
        (void)unlink(path); // need not be there
    }
    assert_int_equal(rmdir(world->directory), 0);
    free(world);
}

const struct store_factory sqlite_factory = {
    .name = "embedded",
    .traits = {.transactional = true,
               .looks = true,
               .keeps_ledger = true,
               .scans_in_order = true,
               .drops_finished = true},
    .create = create,
    .store = store_of,
    .reopen = reopen,
    .reader = reader_of,
    .destroy = destroy,
};

const char *sqlite_world_path(const struct store_bench *bench)
{
    return ((const struct sqlite_world *)bench->world)->path;
}

void sqlite_world_close(struct store_bench *bench)
{
    struct sqlite_world *world = bench->world;
    store_close(&world->store);
    bench->store = NULL;
}

int64_t sqlite_world_count(const struct store_bench *bench, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open_v2(sqlite_world_path(bench), &db, SQLITE_OPEN_READONLY, NULL),
                     SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return value;
}

void sqlite_world_change(const struct store_bench *bench, const char *sql)
{
    assert_null(bench->store);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(sqlite_world_path(bench), &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}
