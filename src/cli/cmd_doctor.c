// till doctor: looks at everything that a run depends on, and says for each what to do when it is not
// well. Changes nothing but a probe file, which it removes.
#include "bench_rig.h"
#include "bus_embedded.h"
#include "cassandra_settings.h"
#include "doctor.h"
#include "engine.h"
#include "pubsub_settings.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char *const finding_names[] = {"ok", "warning", "FAILED"};

static const struct table_column doctor_columns[] = {
    {"check", TABLE_TEXT},
    {"state", TABLE_TEXT},
    {"found", TABLE_TEXT},
    {"do", TABLE_TEXT},
};

void doctor_find(struct doctor *doctor, const char *check, enum finding finding, const char *found,
                 const char *remedy)
{
    bool well = finding == FINDING_OK;
    const struct text cells[] = {text_of(check), text_of(finding_names[finding]), text_of(found),
                                 well ? (struct text){NULL, 0} : text_of(remedy)};
    (void)table_out_row(&doctor->table, cells);
    doctor->failed += finding == FINDING_FAILED;
}

static void check_configuration(struct doctor *doctor)
{
    const struct config *config = doctor->context->config;
    bool covers = config->match_max_hold >= config->match_grace;
    doctor_find(doctor, "configuration", covers ? FINDING_OK : FINDING_WARNING,
                covers ? "readable, no unknown key" : "match.max_hold is shorter than match.grace",
                "set match.max_hold to at least match.grace");
}

// The write-ahead log of SQLite 3.7.0 ... 3.51.2 can be damaged when two connections write or
// checkpoint at the same moment. till never has two.
static void check_sqlite(struct doctor *doctor)
{
    char found[160];
    bool affected = sqlite3_libversion_number() < 3051003;
    (void)snprintf(found, sizeof(found), "%s, %s%s", sqlite3_libversion(),
                   sqlite3_threadsafe() != 0 ? "thread-safe" : "not thread-safe",
                   affected ? "; has the WAL-reset bug, out of reach with one writer a file" : "");
    doctor_find(doctor, "sqlite", sqlite3_threadsafe() != 0 ? FINDING_OK : FINDING_FAILED, found,
                "install a thread-safe SQLite; open facts.db only with sqlite3 -readonly");
}

static void check_directory(struct doctor *doctor)
{
    struct why why = {0};
    const char *path = doctor->context->config->data_dir;
    enum err err = data_dir_view(path, &doctor->dir, &why);
    doctor->has_dir = err == ERR_OK;
    if (err == ERR_NOT_FOUND) {
        doctor_find(doctor, "data directory", FINDING_WARNING, why.text, "till run makes it");
        return;
    }
    doctor_find(doctor, "data directory", err == ERR_OK ? FINDING_OK : FINDING_FAILED,
                err == ERR_OK ? path : why.text,
                "give another --data-dir, or the right to this one");
}

static void check_space(struct doctor *doctor)
{
    struct statvfs stat;
    char found[96];
    if (statvfs(doctor->dir.path, &stat) != 0) {
        doctor_find(doctor, "free space", FINDING_FAILED, strerror(errno),
                    "look at the file system");
        return;
    }
    uint64_t free_size = (uint64_t)stat.f_bavail * stat.f_frsize;
    (void)snprintf(found, sizeof(found), "%llu MiB", (unsigned long long)(free_size >> 20));
    enum finding finding = free_size < DATA_DIR_FREE_SIZE_MIN ? FINDING_FAILED
                           : free_size < (UINT64_C(1) << 30)  ? FINDING_WARNING
                                                              : FINDING_OK;
    doctor_find(doctor, "free space", finding, found, "make room: publishing stops below 64 MiB");
}

static void check_owner(struct doctor *doctor, bool *out_free)
{
    struct why why = {0};
    struct data_dir owned = {.lock_fd = -1};
    enum err err = data_dir_own(doctor->dir.path, "till doctor", &owned, &why);
    *out_free = err == ERR_OK;
    data_dir_close(&owned);
    bool well = err == ERR_OK || err == ERR_LOCKED;
    doctor_find(doctor, "owner", well ? FINDING_OK : FINDING_FAILED,
                err == ERR_OK ? "none: a run may start" : why.text, "see the message");
}

static void check_sync(struct doctor *doctor)
{
    struct why why = {0};
    struct bench_dir probe = {0};
    char found[96];
    int64_t p50_ns = 0;
    int64_t p99_ns = 0;
    (void)snprintf(probe.path, sizeof(probe.path), "%s", doctor->dir.path);
    if (bench_probe_sync(&probe, &p50_ns, &p99_ns, &why) != ERR_OK) {
        doctor_find(doctor, "fdatasync", FINDING_FAILED, why.text, "the disk must be writable");
        return;
    }
    (void)snprintf(found, sizeof(found), "p50 %lld us, p99 %lld us", (long long)(p50_ns / 1000),
                   (long long)(p99_ns / 1000));
    doctor_find(doctor, "fdatasync", p50_ns > 20 * 1000 * 1000 ? FINDING_WARNING : FINDING_OK,
                found, "every batch waits for two of these: use a faster disk");
}

static void check_topics(struct doctor *doctor)
{
    struct why why = {0};
    struct bus *bus = NULL;
    char found[160] = "";
    struct bus_embedded_options options = {
        .path = doctor->dir.topics_path, .clock = doctor->context->clock, .read_only = true};
    enum err err = bus_embedded_open(&options, &bus, &why);
    if (err == ERR_NOT_FOUND) {
        doctor_find(doctor, "topics", FINDING_WARNING, "none yet", "till run makes them");
        return;
    }
    uint64_t unacked[BUS_TOPIC_COUNT] = {0};
    for (size_t i = 0; err == ERR_OK && i < BUS_TOPIC_COUNT; i++) {
        struct bus_backlog backlog = {0};
        err = bus_backlog(bus, (enum bus_topic)i, &backlog, &why);
        unacked[i] = backlog.unacked;
    }
    (void)snprintf(found, sizeof(found),
                   "4 topics, each with its subscription; unacked: orders %llu, payments %llu,"
                   " dead letters %llu",
                   (unsigned long long)unacked[BUS_ORDERS],
                   (unsigned long long)unacked[BUS_PAYMENTS],
                   (unsigned long long)(unacked[BUS_ORDERS_DLQ] + unacked[BUS_PAYMENTS_DLQ]));
    bus_close(&bus);
    doctor_find(doctor, "topics", err == ERR_OK ? FINDING_OK : FINDING_FAILED,
                err == ERR_OK ? found : why.text, "see the message; nothing was changed");
}

static void check_facts(struct doctor *doctor)
{
    struct why why = {0};
    struct store_reader *reader = NULL;
    enum err err = access(doctor->dir.facts_path, F_OK) == 0
                       ? store_reader_open_sqlite(doctor->dir.facts_path, &reader, &why)
                       : ERR_NOT_FOUND;
    if (err == ERR_NOT_FOUND) {
        doctor_find(doctor, "facts", FINDING_WARNING, "none yet", "till run makes them");
        return;
    }
    if (err == ERR_OK) {
        err = store_reader_verify(reader, &why);
    }
    store_reader_close(&reader);
    doctor_find(doctor, "facts", err == ERR_OK ? FINDING_OK : FINDING_FAILED,
                err == ERR_OK ? "schema and pages are sound" : why.text,
                "keep the file; restore a copy or start on another directory");
}

static void check_files_limit(struct doctor *doctor)
{
    struct rlimit limit = {0};
    char found[64];
    (void)getrlimit(RLIMIT_NOFILE, &limit); // can't fail for this resource
    (void)snprintf(found, sizeof(found), "%llu", (unsigned long long)limit.rlim_cur);
    doctor_find(doctor, "open files", limit.rlim_cur >= 256 ? FINDING_OK : FINDING_WARNING, found,
                "raise it: ulimit -n 1024");
}

static void check_clock(struct doctor *doctor)
{
    char now[CLOCK_RFC3339_SIZE];
    int64_t now_us = clock_wall_us(&doctor->context->clock);
    bool plausible = now_us > INT64_C(1700000000000000); // 2023-11-14
    clock_format_rfc3339(now_us, now);
    doctor_find(doctor, "clock", plausible ? FINDING_OK : FINDING_FAILED, now,
                "set the clock: publish times and the grace time come from it");
}

static enum err conclude(struct doctor *doctor, struct why *why)
{
    table_out_end(&doctor->table);
    return doctor->failed == 0 ? ERR_OK
                               : why_set(why, ERR_CHECK_FAILED, "%zu check%s failed",
                                         doctor->failed, doctor->failed == 1 ? "" : "s");
}

enum err cmd_doctor(struct command_context *context, struct why *why)
{
    struct doctor doctor = {.context = context};
    enum err flags = pubsub_settings_check_flags(context, why);
    flags = flags == ERR_OK ? cassandra_settings_check_flags(context, why) : flags;
    if (flags != ERR_OK) {
        return flags;
    }
    table_out_init(&doctor.table, (enum table_format)context->options->output, doctor_columns,
                   sizeof(doctor_columns) / sizeof(doctor_columns[0]), context->out);
    check_configuration(&doctor);
    check_sqlite(&doctor);
    check_clock(&doctor);
    check_files_limit(&doctor);
    bool on_pubsub = context->config->bus_kind == BUS_KIND_PUBSUB;
    if (on_pubsub) {
        doctor_check_pubsub(&doctor);
    }
    bool on_cassandra = engine_on_cassandra(context);
    if (on_cassandra) {
        doctor_check_cassandra(&doctor);
    }
    if (on_pubsub && on_cassandra) {
        return conclude(&doctor, why); // then till uses no directory
    }
    check_directory(&doctor);
    if (doctor.has_dir) {
        bool is_free = false;
        check_space(&doctor);
        check_owner(&doctor, &is_free);
        if (is_free) {
            check_sync(&doctor);
        }
        if (!on_pubsub) {
            check_topics(&doctor);
        }
        if (!on_cassandra) {
            check_facts(&doctor);
        }
    }
    return conclude(&doctor, why);
}
