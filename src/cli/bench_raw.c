// The raw loop: for each pair, look for the order, look for its payments, insert both rows and the
// index entry, by bare statements in one thread, 2,048 pairs a synced commit. It does what any program
// on this file format has to do at least; the pipeline's rate over this one is what messages, leases,
// decoding, folding and the ledger leave of it.
#include "bench_rig.h"
#include "signals.h"
#include "store_sqlite.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_A_COMMIT 2048
#define RUN_ENTRIES    32768

enum raw_statement {
    RAW_BEGIN,
    RAW_COMMIT,
    RAW_FIND_ORDER,
    RAW_FIND_PAYMENTS,
    RAW_PUT_ORDER,
    RAW_PUT_PAYMENT,
    RAW_PUT_RECENT,
    RAW_CUSTOMER_RUN,
    RAW_DAY_RUN,
    RAW_CLEAR_RECENT,
    RAW_PUT_LOG,
    RAW_COUNT
};

static const char *const raw_sql[RAW_COUNT] = {
    [RAW_BEGIN] = "BEGIN IMMEDIATE",
    [RAW_COMMIT] = "COMMIT",
    [RAW_FIND_ORDER] = "SELECT version, content_hash, price_minor FROM orders WHERE order_id = ?1",
    [RAW_FIND_PAYMENTS] = "SELECT payment_id, content_hash FROM payments WHERE order_id = ?1",
    [RAW_PUT_ORDER] = "INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
                      " ?12, ?13, ?14, 1, ?15, 0, 0, 2, 0, 2, 0)",
    [RAW_PUT_PAYMENT] = "INSERT INTO payments VALUES (?1, ?2, NULL, ?3, 2, ?4, ?5, ?6, ?7, ?8, 1,"
                        " ?9, ?7, 0)",
    [RAW_PUT_RECENT] = "INSERT INTO index_recent VALUES (?1, ?2, ?3, 1)",
    [RAW_CUSTOMER_RUN] = "INSERT INTO customer_index SELECT ?1, customer_id, order_id, filing FROM"
                         " index_recent ORDER BY customer_id, order_id",
    [RAW_DAY_RUN] = "INSERT INTO day_index SELECT ?1, day, order_id, filing FROM index_recent"
                    " ORDER BY day, order_id",
    [RAW_CLEAR_RECENT] = "DELETE FROM index_recent",
    [RAW_PUT_LOG] = "INSERT INTO raw_log (published_us, data) VALUES (?1, ?2)",
};

struct raw {
    sqlite3 *facts;
    sqlite3 *log;
    sqlite3_stmt *statements[RAW_COUNT];
    sqlite3_stmt *log_begin;
    sqlite3_stmt *log_commit;
    uint64_t run;
    bool failed;
};

static void step(struct raw *raw, sqlite3_stmt *statement)
{
    int code = SQLITE_ROW;
    while (code == SQLITE_ROW) {
        code = sqlite3_step(statement);
    }
    raw->failed = raw->failed || code != SQLITE_DONE;
    (void)sqlite3_reset(statement);
}

static enum err open_raw(struct raw *raw, const struct bench_dir *dir, struct why *why)
{
    static const char pragmas[] =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;"
        "PRAGMA cache_size=-32768; PRAGMA mmap_size=0;";
    struct store *store = NULL;
    struct store_sqlite_options options = {.path = dir->facts_path};
    char log_path[BENCH_PATH_SIZE + 16];
    (void)snprintf(log_path, sizeof(log_path), "%s/raw.db", dir->path);
    enum err err = store_sqlite_open(&options, &store, why); // makes the tables
    if (err != ERR_OK) {
        return err;
    }
    store_close(&store);
    bool good = sqlite3_open(dir->facts_path, &raw->facts) == SQLITE_OK &&
                sqlite3_open(log_path, &raw->log) == SQLITE_OK &&
                sqlite3_exec(raw->facts, pragmas, NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_exec(raw->log, pragmas, NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_exec(raw->log,
                             "CREATE TABLE raw_log (sequence INTEGER PRIMARY KEY, published_us"
                             " INTEGER NOT NULL, data TEXT NOT NULL)",
                             NULL, NULL, NULL) == SQLITE_OK;
    for (size_t i = 0; good && i < RAW_COUNT; i++) {
        good = sqlite3_prepare_v2(i == RAW_PUT_LOG ? raw->log : raw->facts, raw_sql[i], -1,
                                  &raw->statements[i], NULL) == SQLITE_OK;
    }
    good =
        good &&
        sqlite3_prepare_v2(raw->log, raw_sql[RAW_BEGIN], -1, &raw->log_begin, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(raw->log, raw_sql[RAW_COMMIT], -1, &raw->log_commit, NULL) == SQLITE_OK;
    return good ? ERR_OK : why_set(why, ERR_IO, "cannot prepare the raw loop");
}

static void close_raw(struct raw *raw)
{
    for (size_t i = 0; i < RAW_COUNT; i++) {
        (void)sqlite3_finalize(raw->statements[i]);
    }
    (void)sqlite3_finalize(raw->log_begin);
    (void)sqlite3_finalize(raw->log_commit);
    (void)sqlite3_close(raw->facts);
    (void)sqlite3_close(raw->log);
}

static void find(struct raw *raw, enum raw_statement which, int64_t order_id)
{
    (void)sqlite3_bind_int64(raw->statements[which], 1, order_id);
    step(raw, raw->statements[which]);
}

static const char *day_of(int64_t order_id)
{
    static const char days[][11] = {"2024-01-21", "2024-02-22", "2024-03-23", "2024-04-24",
                                    "2024-05-25", "2024-06-26", "2024-07-27"};
    return days[order_id % 7];
}

static void put_order(struct raw *raw, int64_t order_id, int64_t at, const unsigned char *hash)
{
    sqlite3_stmt *put = raw->statements[RAW_PUT_ORDER];
    (void)sqlite3_bind_int64(put, 1, order_id);
    (void)sqlite3_bind_int64(put, 2, (INT64_C(1) << 62) + 1);
    (void)sqlite3_bind_blob(put, 3, hash, 16, SQLITE_STATIC);
    (void)sqlite3_bind_int64(put, 4, 1 + order_id * 7919 % 100000);
    (void)sqlite3_bind_text(put, 5, "Wireless Mouse", -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(put, 6, 3);
    (void)sqlite3_bind_int64(put, 7, 129999);
    (void)sqlite3_bind_text(put, 8, "USD", 3, SQLITE_STATIC);
    (void)sqlite3_bind_int(put, 9, 0);
    (void)sqlite3_bind_text(put, 10, "123 Main St, City A", -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(put, 11, 0);
    (void)sqlite3_bind_text(put, 12, "2024-01-21", 10, SQLITE_STATIC);
    (void)sqlite3_bind_int64(put, 13, at);
    (void)sqlite3_bind_text(put, 14, day_of(order_id), 10, SQLITE_STATIC);
    (void)sqlite3_bind_int64(put, 15, 389997);
    step(raw, put);
}

static void put_payment(struct raw *raw, int64_t order_id, int64_t at, const unsigned char *hash)
{
    sqlite3_stmt *put = raw->statements[RAW_PUT_PAYMENT];
    (void)sqlite3_bind_int64(put, 1, order_id);
    (void)sqlite3_bind_int64(put, 2, 1000 + order_id);
    (void)sqlite3_bind_blob(put, 3, hash, 16, SQLITE_STATIC);
    (void)sqlite3_bind_text(put, 4, "Google Pay", -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(put, 5, "0042", 4, SQLITE_STATIC);
    (void)sqlite3_bind_text(put, 6, "2024-01-21T10:01:30Z", -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(put, 7, 389997);
    (void)sqlite3_bind_text(put, 8, "USD", 3, SQLITE_STATIC);
    (void)sqlite3_bind_int64(put, 9, at);
    step(raw, put);
}

static void put_recent(struct raw *raw, int64_t order_id)
{
    sqlite3_stmt *put = raw->statements[RAW_PUT_RECENT];
    (void)sqlite3_bind_int64(put, 1, order_id);
    (void)sqlite3_bind_int64(put, 2, 1 + order_id * 7919 % 100000);
    (void)sqlite3_bind_text(put, 3, day_of(order_id), 10, SQLITE_STATIC);
    step(raw, put);
    if (order_id % RUN_ENTRIES == 0) {
        raw->run++;
        (void)sqlite3_bind_int64(raw->statements[RAW_CUSTOMER_RUN], 1, (int64_t)raw->run);
        (void)sqlite3_bind_int64(raw->statements[RAW_DAY_RUN], 1, (int64_t)raw->run);
        step(raw, raw->statements[RAW_CUSTOMER_RUN]);
        step(raw, raw->statements[RAW_DAY_RUN]);
        step(raw, raw->statements[RAW_CLEAR_RECENT]);
    }
}

static void put_pair(struct raw *raw, int64_t order_id)
{
    unsigned char hash[16] = {0};
    int64_t at = INT64_C(1700000000000000) + order_id;
    memcpy(hash, &order_id, sizeof(order_id));
    find(raw, RAW_FIND_ORDER, order_id);
    find(raw, RAW_FIND_PAYMENTS, order_id);
    put_order(raw, order_id, at, hash);
    put_payment(raw, order_id, at, hash);
    put_recent(raw, order_id);
}

static void put_log(struct raw *raw, int64_t at)
{
    static const char body[] =
        "{\"order_id\": 1234567, \"customer_id\": 77123, \"item\": \"Wireless Mouse\","
        " \"quantity\": 3, \"price\": 1299.99, \"shipping_address\": \"123 Main St, City A\","
        " \"order_status\": \"Pending\", \"creation_date\": \"2024-01-21\", \"version\": 1}";
    sqlite3_stmt *put = raw->statements[RAW_PUT_LOG];
    (void)sqlite3_bind_int64(put, 1, at);
    (void)sqlite3_bind_text(put, 2, body, sizeof(body) - 1, SQLITE_STATIC);
    step(raw, put);
}

static void commit_log(struct raw *raw, int64_t first, int64_t end)
{
    step(raw, raw->log_begin);
    for (int64_t i = 2 * first; i < 2 * end; i++) {
        put_log(raw, i);
    }
    step(raw, raw->log_commit);
}

enum err bench_run_raw(const struct bench_dir *dir, const struct generator_options *mix,
                       bool with_log, struct bench_cost *out_cost, struct why *why)
{
    struct raw raw = {0};
    enum err err = open_raw(&raw, dir, why);
    bench_cost_start(out_cost);
    for (int64_t first = 1; err == ERR_OK && first <= (int64_t)mix->pairs;) {
        int64_t end = first + PAIRS_A_COMMIT;
        end = end <= (int64_t)mix->pairs + 1 ? end : (int64_t)mix->pairs + 1;
        if (with_log) {
            commit_log(&raw, first, end);
        }
        step(&raw, raw.statements[RAW_BEGIN]);
        for (int64_t order_id = first; order_id < end; order_id++) {
            put_pair(&raw, order_id);
        }
        step(&raw, raw.statements[RAW_COMMIT]);
        first = end;
        if (signals_drain_requested()) {
            err = why_set(why, ERR_CLOSED, "interrupted: no figures");
        } else if (raw.failed) {
            err = why_set(why, ERR_IO, "the raw loop failed: %s", sqlite3_errmsg(raw.facts));
        }
    }
    bench_cost_stop(out_cost);
    close_raw(&raw);
    return err;
}
