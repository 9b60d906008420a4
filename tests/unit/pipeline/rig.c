// The pipeline under virtual time.
#include "rig.h"

#include "bus_embedded.h"
#include "store_read.h"
#include "store_sqlite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_name(err), why->text);
    }
}

static void release(struct rig *rig)
{
    for (size_t i = 0; i < APPLIED_TOPIC_COUNT; i++) {
        ranges_deinit(&rig->lane.applied[i]); // memory only; nothing is written
    }
    batch_deinit(&rig->batch);
    dead_letter_consumer_deinit(&rig->dead_letters);
    sweeper_deinit(&rig->sweeper);
    store_close(&rig->store);
    bus_close(&rig->bus);
    rig->open = false;
}

static enum err open_parts(struct rig *rig, struct why *why)
{
    struct clock clock = clock_virtual(&rig->time);
    struct bus_embedded_options bus_options = {.path = rig->topics_path, .clock = clock};
    struct store_sqlite_options store_options = {.path = rig->facts_path};
    enum err err = bus_embedded_open(&bus_options, &rig->bus, why);
    if (err == ERR_OK) {
        err = store_sqlite_open(&store_options, &rig->store, why);
    }
    struct matcher matcher = {rig->store, rig->bus, &rig->rules, clock};
    rig->batch = (struct batch){0};
    rig->sweeper = (struct sweeper){.matcher = matcher};
    rig->dead_letters =
        (struct dead_letter_consumer){.matcher = matcher, .count_max = DEAD_LETTER_BATCH_MAX};
    struct arena *arenas[] = {&rig->batch.arena, &rig->sweeper.arena, &rig->dead_letters.arena};
    for (size_t i = 0; err == ERR_OK && i < sizeof(arenas) / sizeof(arenas[0]); i++) {
        err = arena_init(arenas[i], rig->arena_size); // the usual ones are slow to poison
        if (err != ERR_OK) {
            (void)why_set(why, err, "no memory for an arena");
        }
    }
    return err == ERR_OK
               ? lane_open(&rig->lane, &(struct matcher){rig->store, rig->bus, &rig->rules, clock},
                           TEXT("lane"), NULL, why)
               : err;
}

enum err rig_try_open(struct rig *rig, struct why *why)
{
    memset(&rig->lane, 0, sizeof(rig->lane));
    enum err err = open_parts(rig, why);
    if (err != ERR_OK) {
        release(rig);
        return err;
    }
    rig->open = true;
    return ERR_OK;
}

void rig_open(struct rig *rig)
{
    struct why why = {0};
    check(rig_try_open(rig, &why), &why);
}

enum err rig_try_close(struct rig *rig, struct why *why)
{
    enum err err = lane_close(&rig->lane, why);
    if (err == ERR_OK) {
        release(rig);
    }
    return err;
}

void rig_close(struct rig *rig)
{
    struct why why = {0};
    check(rig_try_close(rig, &why), &why);
}

// The files of a rig that hold something; the shared-memory index is made anew by whoever opens.
#define RIG_FILE_COUNT 4
#define RIG_PATH_SIZE  128

static void file_path(const struct rig *rig, size_t number, const char *suffix,
                      char out[RIG_PATH_SIZE])
{
    const char *paths[RIG_FILE_COUNT] = {rig->topics_path, rig->topics_path, rig->facts_path,
                                         rig->facts_path};
    (void)snprintf(out, RIG_PATH_SIZE, "%s%s%s", paths[number], number % 2 == 0 ? "" : "-wal",
                   suffix);
}

// false when there is no such file.
static bool copy_file(const char *from, const char *to)
{
    FILE *source = fopen(from, "rb");
    if (source == NULL) {
        return false;
    }
    FILE *target = fopen(to, "wb");
    assert_non_null(target);
    static char chunk[64 * 1024];
    size_t size = 0;
    while ((size = fread(chunk, 1, sizeof(chunk), source)) > 0) {
        assert_int_equal(fwrite(chunk, 1, size, target), size);
    }
    assert_int_equal(fclose(target), 0);
    assert_int_equal(fclose(source), 0);
    return true;
}

void rig_crash(struct rig *rig)
{
    bool kept[RIG_FILE_COUNT];
    char path[RIG_PATH_SIZE];
    char copy[RIG_PATH_SIZE];
    for (size_t i = 0; i < RIG_FILE_COUNT; i++) {
        file_path(rig, i, "", path);
        file_path(rig, i, ".killed", copy);
        kept[i] = copy_file(path, copy);
    }
    release(rig);
    for (size_t i = 0; i < RIG_FILE_COUNT; i++) {
        file_path(rig, i, "", path);
        file_path(rig, i, ".killed", copy);
        (void)unlink(path); // closing may have removed it
        if (kept[i]) {
            assert_int_equal(rename(copy, path), 0);
        }
    }
}

void rig_init_closed(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    // In memory where that can be: these tests kill a process, not a machine.
    (void)snprintf(rig->directory, sizeof(rig->directory), "%s/till-rig-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(rig->directory));
    (void)snprintf(rig->topics_path, sizeof(rig->topics_path), "%s/topics.db", rig->directory);
    (void)snprintf(rig->facts_path, sizeof(rig->facts_path), "%s/facts.db", rig->directory);
    rig->time = (struct virtual_time){RIG_START_US, 1};
    rig->rules = pipeline_rules_default();
    rig->arena_size = RIG_ARENA_SIZE;
    rig->limits = (struct batch_limits){4096, 4u << 20, true, true};
}

void rig_init(struct rig *rig)
{
    rig_init_closed(rig);
    rig_open(rig);
}

void rig_deinit(struct rig *rig)
{
    if (rig->open) {
        rig_close(rig);
    }
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    const char *paths[] = {rig->topics_path, rig->facts_path};
    for (size_t p = 0; p < 2; p++) {
        for (size_t s = 0; s < 3; s++) {
            char path[128];
            (void)snprintf(path, sizeof(path), "%s%s", paths[p], suffixes[s]);
            (void)unlink(path); // need not be there
        }
    }
    assert_int_equal(rmdir(rig->directory), 0);
}

enum err rig_try_publish(struct rig *rig, enum bus_topic topic, struct text body, struct why *why)
{
    struct bus_outgoing outgoing = {.data = body};
    enum err err = bus_publish(rig->bus, topic, &outgoing, 1, why);
    virtual_time_advance(&rig->time, 1);
    return err;
}

void rig_publish_text(struct rig *rig, enum bus_topic topic, struct text body)
{
    struct why why = {0};
    check(rig_try_publish(rig, topic, body, &why), &why);
}

void rig_publish(struct rig *rig, enum bus_topic topic, const char *body)
{
    rig_publish_text(rig, topic, text_of(body));
}

void rig_order(struct rig *rig, int64_t order_id, int version, const char *price,
               const char *status)
{
    char body[512];
    char version_text[32] = "";
    if (version > 0) {
        (void)snprintf(version_text, sizeof(version_text), ", \"version\": %d", version);
    }
    (void)snprintf(body, sizeof(body),
                   "{\"order_id\": %" PRId64 ", \"customer_id\": 7, \"item\": \"Laptop\","
                   " \"quantity\": 1, \"price\": %s, \"shipping_address\": \"123 Main St\","
                   " \"order_status\": \"%s\", \"creation_date\": \"2024-01-21\"%s}",
                   order_id, price, status, version_text);
    rig_publish(rig, BUS_ORDERS, body);
}

void rig_payment(struct rig *rig, int64_t order_id, int64_t payment_id, const char *status,
                 const char *amount)
{
    char body[512];
    char amount_text[64] = "";
    if (amount != NULL) {
        (void)snprintf(amount_text, sizeof(amount_text), ", \"amount\": %s", amount);
    }
    (void)snprintf(body, sizeof(body),
                   "{\"payment_id\": %" PRId64 ", \"order_id\": %" PRId64 ","
                   " \"payment_method\": \"Google Pay\", \"card_last_four\": \"0042\","
                   " \"payment_status\": \"%s\", \"payment_datetime\":"
                   " \"2024-01-21T10:01:30Z\"%s}",
                   payment_id, order_id, status, amount_text);
    rig_publish(rig, BUS_PAYMENTS, body);
}

enum err rig_try_run(struct rig *rig, struct why *why)
{
    enum err err = lane_recover(&rig->lane, &rig->batch, &rig->limits, why);
    do {
        rig->batch.pulled_us = rig->time.wall_us;
        if (err == ERR_OK) {
            err = batch_fetch(&rig->batch, rig->bus, &rig->limits, &rig->rules, why);
        }
        if (err == ERR_OK) {
            err = lane_apply(&rig->lane, &rig->batch, why);
        }
    } while (err == ERR_OK && rig->batch.count > 0);
    return err == ERR_OK ? lane_write_status(&rig->lane, why) : err;
}

void rig_run(struct rig *rig)
{
    struct why why = {0};
    check(rig_try_run(rig, &why), &why);
}

enum err rig_try_sweep(struct rig *rig, bool final, struct why *why)
{
    bool done = false;
    enum err err = ERR_OK;
    while (err == ERR_OK && !done) {
        err = sweeper_step(&rig->sweeper, rig->time.wall_us, final, &done, why);
    }
    return err;
}

void rig_sweep(struct rig *rig)
{
    struct why why = {0};
    check(rig_try_sweep(rig, false, &why), &why);
}

enum err rig_try_consume_dead_letters(struct rig *rig, struct why *why)
{
    enum err err = ERR_OK;
    size_t count = 0;
    do {
        err = dead_letter_consume(&rig->dead_letters, &count, why);
    } while (err == ERR_OK && count > 0);
    return err;
}

void rig_consume_dead_letters(struct rig *rig)
{
    struct why why = {0};
    check(rig_try_consume_dead_letters(rig, &why), &why);
}

void rig_sweep_final(struct rig *rig)
{
    struct why why = {0};
    check(rig_try_sweep(rig, true, &why), &why);
    rig_consume_dead_letters(rig);
}

void rig_advance_seconds(struct rig *rig, int64_t seconds)
{
    virtual_time_advance(&rig->time, seconds * US_PER_SECOND);
}

// --- looking ----------------------------------------------------------------------------------------

char *rig_query(struct rig *rig, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open_v2(rig->facts_path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    struct buf out;
    buf_init_heap(&out, 64u << 20);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const char *text = (const char *)sqlite3_column_text(statement, i);
            buf_add_str(&out, i > 0 ? "|" : "");
            buf_add_str(&out, text != NULL ? text : "");
        }
        buf_add_char(&out, '\n');
    }
    buf_add_char(&out, '\0');
    assert_false(buf_overflowed(&out));
    char *copy = strdup(out.data);
    assert_non_null(copy);
    buf_deinit(&out);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return copy;
}

int64_t rig_count(struct rig *rig, const char *sql)
{
    char *text = rig_query(rig, sql);
    int64_t value = 0;
    text[strcspn(text, "\n")] = '\0';
    assert_true(text_parse_i64(text_of(text), &value));
    free(text);
    return value;
}

char *rig_dump_facts(struct rig *rig)
{
    return rig_query(rig, "SELECT * FROM orders_payments_facts ORDER BY order_id, payment_id");
}

void rig_report(struct rig *rig, struct report **out_report)
{
    struct why why = {0};
    struct store_reader *reader = NULL;
    struct arena arena = {0};
    struct report *report = calloc(1, sizeof(*report));
    assert_non_null(report);
    check(arena_init(&arena, 8u << 20), &why);
    check(store_reader_open_sqlite(rig->facts_path, &reader, &why), &why);
    check(report_build(reader, rig->bus, &arena, report, &why), &why);
    store_reader_close(&reader);
    arena_deinit(&arena);
    report->totals.settled = NULL; // was in the arena
    report->totals.settled_count = 0;
    *out_report = report;
}

void rig_assert_balanced(struct rig *rig)
{
    struct report *report = NULL;
    rig_report(rig, &report);
    for (size_t i = 0; i < report->check_count; i++) {
        const struct report_check *item = &report->checks[i];
        if (!item->holds) {
            print_error("%s: %s %lld, %s %lld\n", item->name, item->left_text,
                        (long long)item->left, item->right_text, (long long)item->right);
        }
    }
    assert_int_equal(report->failed_count, 0);
    free(report);
}
