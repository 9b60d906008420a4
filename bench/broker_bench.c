// What the embedded broker costs: CPU time a message published, pulled, acked and trimmed at several batch
// sizes, beside a bare SQLite insert loop with the same settings, bodies and file system. Rounds of the two
// alternate, so that a slow minute of the machine hits both; figures are medians.
//
//     broker_bench [directory]     the directory's disk is what is measured; default: the current one
#include "broker.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUND_COUNT        5
#define BODY_SIZE          250
#define BATCH_MAX          2048
#define ROUND_MESSAGES_MAX 204800
#define ARENA_CAP          (16u * 1024 * 1024)

enum figure { RAW_INSERT, PUBLISH, PUBLISH_WALL, PULL, ACK, TRIM, FIGURE_COUNT };

static const struct {
    size_t batch;
    size_t messages; // of one round
} cases[] = {{1, 2000}, {16, 16000}, {128, 64000}, {512, 128000}, {BATCH_MAX, ROUND_MESSAGES_MAX}};

struct bench {
    char broker_path[4096];
    char raw_path[4096];
    char bodies[BATCH_MAX][BODY_SIZE];
    struct broker_outgoing messages[BATCH_MAX];
    struct broker *broker;
    uint32_t topic;
    uint32_t subscription;
    sqlite3 *raw;
    sqlite3_stmt *raw_begin;
    sqlite3_stmt *raw_insert;
    sqlite3_stmt *raw_commit;
    int64_t raw_seq;
    struct arena arena;
    uint64_t handles[ROUND_MESSAGES_MAX];
};

static void fail(const char *what, const char *text)
{
    (void)fprintf(stderr, "broker_bench: %s: %s\n", what, text);
    exit(1);
}

static void need(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        fail(err_name(err), why->text);
    }
}

static void raw_need(struct bench *bench, int result)
{
    if (result != SQLITE_OK && result != SQLITE_DONE) {
        fail("sqlite", sqlite3_errmsg(bench->raw));
    }
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

// CPU time since the last lap.
static int64_t lap(int64_t *cpu_ns)
{
    int64_t start_ns = *cpu_ns;
    *cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    return *cpu_ns - start_ns;
}

static void remove_file(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        char name[4200];
        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        if (unlink(name) != 0 && errno != ENOENT) {
            fail(name, strerror(errno));
        }
    }
}

static void make_bodies(struct bench *bench)
{
    for (size_t i = 0; i < BATCH_MAX; i++) {
        memset(bench->bodies[i], 'x', BODY_SIZE);
        int size = snprintf(bench->bodies[i], BODY_SIZE, "{\"order_id\": %zu, \"item\": \"", i);
        bench->bodies[i][size] = 'x';
        memcpy(bench->bodies[i] + BODY_SIZE - 2, "\"}", 2);
        bench->messages[i].data = (struct text){bench->bodies[i], BODY_SIZE};
    }
}

static void open_raw(struct bench *bench)
{
    static const char settings[] =
        "PRAGMA page_size=8192;PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"
        "PRAGMA wal_autocheckpoint=512;PRAGMA secure_delete=OFF;PRAGMA cache_size=-8192;"
        "CREATE TABLE messages(seq INTEGER PRIMARY KEY, published_us INTEGER NOT NULL,"
        " data NOT NULL, attributes BLOB)";
    raw_need(bench, sqlite3_open(bench->raw_path, &bench->raw));
    raw_need(bench, sqlite3_exec(bench->raw, settings, NULL, NULL, NULL));
    raw_need(bench, sqlite3_prepare_v2(bench->raw, "BEGIN IMMEDIATE", -1, &bench->raw_begin, NULL));
    raw_need(bench, sqlite3_prepare_v2(bench->raw, "INSERT INTO messages VALUES(?1,?2,?3,?4)", -1,
                                       &bench->raw_insert, NULL));
    raw_need(bench, sqlite3_prepare_v2(bench->raw, "COMMIT", -1, &bench->raw_commit, NULL));
}

static void raw_run(struct bench *bench, sqlite3_stmt *statement)
{
    raw_need(bench, sqlite3_step(statement));
    raw_need(bench, sqlite3_reset(statement));
}

static void raw_round(struct bench *bench, size_t batch, size_t messages)
{
    for (size_t done = 0; done < messages; done += batch) {
        raw_run(bench, bench->raw_begin);
        for (size_t i = 0; i < batch; i++) {
            bench->raw_seq++;
            sqlite3_bind_int64(bench->raw_insert, 1, bench->raw_seq);
            sqlite3_bind_int64(bench->raw_insert, 2, bench->raw_seq);
            sqlite3_bind_text(bench->raw_insert, 3, bench->bodies[i], BODY_SIZE, SQLITE_STATIC);
            raw_run(bench, bench->raw_insert);
        }
        raw_run(bench, bench->raw_commit);
    }
}

static void publish_round(struct bench *bench, size_t batch, size_t messages)
{
    struct why why = {0};
    for (size_t done = 0; done < messages; done += batch) {
        need(broker_publish(bench->broker, bench->topic, bench->messages, batch, &why), &why);
    }
}

static void pull_round(struct bench *bench, size_t batch, size_t messages)
{
    struct why why = {0};
    struct broker_pull_limits limits = {.count_max = batch, .size_max = SIZE_MAX};
    for (size_t done = 0; done < messages;) {
        struct broker_message *pulled = NULL;
        size_t count = 0;
        arena_reset(&bench->arena);
        need(broker_pull(bench->broker, bench->subscription, &limits, &bench->arena, &pulled,
                         &count, &why),
             &why);
        for (size_t i = 0; i < count; i++) {
            bench->handles[done + i] = pulled[i].handle;
        }
        done += count;
    }
}

static void ack_round(struct bench *bench, size_t batch, size_t messages)
{
    struct why why = {0};
    for (size_t done = 0; done < messages; done += batch) {
        need(broker_ack(bench->broker, bench->subscription, bench->handles + done, batch, &why),
             &why);
    }
}

// Deletes what was acked, but for what is left to later commits.
static void trim_round(struct bench *bench)
{
    struct why why = {0};
    struct broker_counters before = {0};
    struct broker_counters after = {0};
    do {
        broker_counters(bench->broker, &before);
        need(broker_flush(bench->broker, &why), &why);
        broker_counters(bench->broker, &after);
    } while (after.messages_trimmed != before.messages_trimmed);
}

static void run_round(struct bench *bench, size_t batch, size_t messages,
                      int64_t out_ns[FIGURE_COUNT])
{
    int64_t cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    raw_round(bench, batch, messages);
    out_ns[RAW_INSERT] = lap(&cpu_ns);
    int64_t wall_ns = now_ns(CLOCK_MONOTONIC);
    publish_round(bench, batch, messages);
    out_ns[PUBLISH] = lap(&cpu_ns);
    out_ns[PUBLISH_WALL] = now_ns(CLOCK_MONOTONIC) - wall_ns;
    pull_round(bench, batch, messages);
    out_ns[PULL] = lap(&cpu_ns);
    ack_round(bench, batch, messages);
    out_ns[ACK] = lap(&cpu_ns);
    trim_round(bench);
    out_ns[TRIM] = lap(&cpu_ns);
}

static int compare_ns(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a;
    const int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void print_line(size_t batch, size_t messages, int64_t figures[FIGURE_COUNT][ROUND_COUNT])
{
    printf("%6zu", batch);
    for (int i = 0; i < FIGURE_COUNT; i++) {
        qsort(figures[i], ROUND_COUNT, sizeof(int64_t), compare_ns);
        int64_t ns = figures[i][ROUND_COUNT / 2] / (int64_t)messages;
        printf(" %8" PRId64 ".%03" PRId64, ns / 1000, ns % 1000);
    }
    printf("\n");
}

static void open_broker(struct bench *bench)
{
    struct why why = {0};
    struct broker_options options = {.path = bench->broker_path, .clock = clock_real()};
    need(broker_open(&options, &bench->broker, &why), &why);
    need(broker_topic_create(bench->broker, TEXT("bench"), &bench->topic, &why), &why);
    need(broker_subscription_create(bench->broker, bench->topic, TEXT("bench-sub"),
                                    &bench->subscription, &why),
         &why);
    need(arena_init(&bench->arena, ARENA_CAP), &why);
}

static void close_all(struct bench *bench)
{
    struct broker_counters counters = {0};
    broker_counters(bench->broker, &counters);
    printf("commits %" PRIu64 ", checkpoints %" PRIu64 ", trimmed %" PRIu64
           ", write-ahead log at most %" PRIu64 " pages\n",
           counters.commits, counters.checkpoints, counters.messages_trimmed,
           counters.wal_pages_max);
    sqlite3_finalize(bench->raw_begin);
    sqlite3_finalize(bench->raw_insert);
    sqlite3_finalize(bench->raw_commit);
    sqlite3_close(bench->raw);
    broker_close(&bench->broker);
    arena_deinit(&bench->arena);
    remove_file(bench->broker_path);
    remove_file(bench->raw_path);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    const char *directory = argc > 1 ? argv[1] : ".";
    (void)snprintf(bench.broker_path, sizeof(bench.broker_path), "%s/bench-topics.db", directory);
    (void)snprintf(bench.raw_path, sizeof(bench.raw_path), "%s/bench-raw.db", directory);
    remove_file(bench.broker_path);
    remove_file(bench.raw_path);
    make_bodies(&bench);
    open_raw(&bench);
    open_broker(&bench);
    printf("microseconds a message of %d bytes, medians of %d rounds\n", BODY_SIZE, ROUND_COUNT);
    printf("%6s %12s %12s %12s %12s %12s %12s\n", "batch", "raw insert", "publish", "publish wall",
           "pull", "ack", "trim");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t figures[FIGURE_COUNT][ROUND_COUNT];
        for (size_t round = 0; round < ROUND_COUNT; round++) {
            int64_t ns[FIGURE_COUNT] = {0};
            run_round(&bench, cases[i].batch, cases[i].messages, ns);
            for (int figure = 0; figure < FIGURE_COUNT; figure++) {
                figures[figure][round] = ns[figure];
            }
        }
        print_line(cases[i].batch, cases[i].messages, figures);
    }
    close_all(&bench);
    return 0;
}
