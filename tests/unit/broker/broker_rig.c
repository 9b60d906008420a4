#include "broker_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka needs the five before it
#include <cmocka.h>
#include <sqlite3.h>

#define ARENA_CAP (24u * 1024 * 1024)

static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

static void copy_path(const struct rig *rig, const char *middle, const char *suffix, char out[128])
{
    int size = snprintf(out, 128, "%s%s%s", rig->path, middle, suffix);
    assert_in_range(size, 1, 127);
}

void rig_init(struct rig *rig)
{
    *rig = (struct rig){.directory = "/tmp/till-broker-XXXXXX"};
    assert_non_null(mkdtemp(rig->directory));
    assert_in_range(snprintf(rig->path, sizeof(rig->path), "%s/topics.db", rig->directory), 1, 95);
    rig->time = (struct virtual_time){.wall_us = 1700000000 * US_PER_SECOND, .mono_ns = 1};
    rig->options = (struct broker_options){
        .path = rig->path, .clock = clock_virtual(&rig->time), .lease_us = RIG_LEASE_US};
    assert_int_equal(arena_init(&rig->arena, ARENA_CAP), ERR_OK);
}

void rig_deinit(struct rig *rig)
{
    broker_close(&rig->broker);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char path[128];
        copy_path(rig, "", suffixes[i], path);
        (void)unlink(path);
        copy_path(rig, ".copy", suffixes[i], path);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(rig->directory), 0);
    arena_deinit(&rig->arena);
}

enum err rig_try_open(struct rig *rig)
{
    assert_null(rig->broker);
    rig->why = (struct why){0};
    enum err err = broker_open(&rig->options, &rig->broker, &rig->why);
    if (err == ERR_OK && !rig->options.read_only) {
        err = broker_topic_create(rig->broker, TEXT("t"), &rig->topic, &rig->why);
    }
    if (err == ERR_OK && !rig->options.read_only) {
        err = broker_subscription_create(rig->broker, rig->topic, TEXT("t-sub"), &rig->subscription,
                                         &rig->why);
    }
    if (err != ERR_OK) {
        broker_close(&rig->broker);
    }
    return err;
}

void rig_open(struct rig *rig)
{
    enum err err = rig_try_open(rig);
    if (err != ERR_OK) {
        print_message("%s\n", rig->why.text);
    }
    assert_int_equal(err, ERR_OK);
}

void rig_close(struct rig *rig)
{
    broker_close(&rig->broker);
    assert_null(rig->broker);
}

void rig_reopen(struct rig *rig)
{
    rig_close(rig);
    rig_open(rig);
}

static void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb");
    if (in == NULL) {
        (void)unlink(to);
        return;
    }
    FILE *out = fopen(to, "wb");
    assert_non_null(out);
    char bytes[65536];
    size_t size = 0;
    while ((size = fread(bytes, 1, sizeof(bytes), in)) > 0) {
        assert_int_equal(fwrite(bytes, 1, size, out), size);
    }
    (void)fclose(in);
    assert_int_equal(fclose(out), 0);
}

void rig_crash(struct rig *rig)
{
    char path[128];
    char copy[128];
    for (size_t i = 0; i < 2; i++) {
        copy_path(rig, "", suffixes[i], path);
        copy_path(rig, ".copy", suffixes[i], copy);
        copy_file(path, copy);
    }
    rig_close(rig);
    for (size_t i = 0; i < 2; i++) {
        copy_path(rig, "", suffixes[i], path);
        copy_path(rig, ".copy", suffixes[i], copy);
        copy_file(copy, path);
    }
}

int rig_setup(void **state)
{
    struct rig *rig = malloc(sizeof(*rig));
    assert_non_null(rig);
    rig_init(rig);
    rig_open(rig);
    *state = rig;
    return 0;
}

int rig_teardown(void **state)
{
    rig_deinit(*state);
    free(*state);
    return 0;
}

void rig_publish(struct rig *rig, const char *text)
{
    struct broker_outgoing message = {.data = text_of(text)};
    assert_int_equal(broker_publish(rig->broker, rig->topic, &message, 1, &rig->why), ERR_OK);
}

enum err rig_try_publish_many(struct rig *rig, const char *prefix, size_t count)
{
    char(*texts)[32] = malloc((count + 1) * sizeof(*texts));
    struct broker_outgoing *messages = calloc(count + 1, sizeof(*messages));
    assert_non_null(texts);
    assert_non_null(messages);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%s%zu", prefix, i + 1);
        messages[i].data = text_of(texts[i]);
    }
    rig->why = (struct why){0};
    enum err err = broker_publish(rig->broker, rig->topic, messages, count, &rig->why);
    free(messages);
    free(texts);
    return err;
}

void rig_publish_many(struct rig *rig, const char *prefix, size_t count)
{
    while (count > 0) {
        size_t part = count < BROKER_PUBLISH_COUNT_MAX ? count : BROKER_PUBLISH_COUNT_MAX;
        enum err err = rig_try_publish_many(rig, prefix, part);
        if (err != ERR_OK) {
            print_message("%s\n", rig->why.text);
        }
        assert_int_equal(err, ERR_OK);
        count -= part;
    }
}

size_t rig_pull_from(struct rig *rig, uint32_t subscription, size_t count_max)
{
    arena_reset(&rig->arena);
    struct broker_pull_limits limits = {.count_max = count_max, .size_max = SIZE_MAX};
    enum err err = broker_pull(rig->broker, subscription, &limits, &rig->arena, &rig->pulled,
                               &rig->pulled_count, &rig->why);
    if (err != ERR_OK) {
        print_message("%s\n", rig->why.text);
    }
    assert_int_equal(err, ERR_OK);
    for (size_t i = 0; i < rig->pulled_count && i < RIG_HANDLES_MAX; i++) {
        rig->handles[i] = rig->pulled[i].handle;
    }
    return rig->pulled_count;
}

size_t rig_pull(struct rig *rig, size_t count_max)
{
    return rig_pull_from(rig, rig->subscription, count_max);
}

void rig_ack(struct rig *rig)
{
    assert_int_equal(
        broker_ack(rig->broker, rig->subscription, rig->handles, rig->pulled_count, &rig->why),
        ERR_OK);
}

void rig_ack_one(struct rig *rig, uint64_t handle)
{
    assert_int_equal(broker_ack(rig->broker, rig->subscription, &handle, 1, &rig->why), ERR_OK);
}

void rig_nack_one(struct rig *rig, uint64_t handle)
{
    assert_int_equal(broker_nack(rig->broker, rig->subscription, &handle, 1, &rig->why), ERR_OK);
}

void rig_extend_one(struct rig *rig, uint64_t handle, int64_t lease_us)
{
    assert_int_equal(broker_extend(rig->broker, rig->subscription, &handle, 1, lease_us, &rig->why),
                     ERR_OK);
}

struct broker_backlog rig_backlog(struct rig *rig)
{
    struct broker_backlog backlog = {0};
    assert_int_equal(broker_backlog(rig->broker, rig->subscription, &backlog, &rig->why), ERR_OK);
    return backlog;
}

struct broker_counters rig_counters(struct rig *rig)
{
    struct broker_counters counters = {0};
    broker_counters(rig->broker, &counters);
    return counters;
}

void rig_expect(const struct rig *rig, size_t index, uint64_t sequence, const char *text,
                uint32_t attempt)
{
    assert_in_range(index, 0, rig->pulled_count - 1);
    const struct broker_message *message = &rig->pulled[index];
    assert_int_equal(message->sequence, sequence);
    assert_int_equal(message->delivery_attempt, attempt);
    assert_int_equal(message->data.size, strlen(text));
    assert_memory_equal(message->data.data, text, message->data.size);
}

static int64_t run_sql(const struct rig *rig, const char *sql, bool number)
{
    sqlite3 *connection = NULL;
    assert_int_equal(sqlite3_open(rig->path, &connection), SQLITE_OK);
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) != SQLITE_OK) {
        print_message("%s: %s\n", sql, sqlite3_errmsg(connection));
    }
    assert_non_null(statement);
    int result = sqlite3_step(statement);
    assert_true(result == (number ? SQLITE_ROW : SQLITE_DONE) || (!number && result == SQLITE_ROW));
    int64_t value = number ? sqlite3_column_int64(statement, 0) : 0;
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    assert_int_equal(sqlite3_close(connection), SQLITE_OK);
    return value;
}

void rig_sql(const struct rig *rig, const char *sql)
{
    (void)run_sql(rig, sql, false);
}

int64_t rig_sql_number(const struct rig *rig, const char *sql)
{
    return run_sql(rig, sql, true);
}
