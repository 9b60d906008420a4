// Shared parts of the measurements.
#include "bench_rig.h"

#include "bus_embedded.h"
#include "signals.h"
#include "store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PROBE_COUNT 200
#define PROBE_SIZE  4096

enum err bench_dir_make(struct bench_dir *dir, struct why *why)
{
    (void)snprintf(dir->path, sizeof(dir->path), "till-bench-XXXXXX");
    if (mkdtemp(dir->path) == NULL) {
        return why_set(why, ERR_IO, "cannot make a directory here: %s", strerror(errno));
    }
    (void)snprintf(dir->topics_path, sizeof(dir->topics_path), "%s/topics.db", dir->path);
    (void)snprintf(dir->facts_path, sizeof(dir->facts_path), "%s/facts.db", dir->path);
    return ERR_OK;
}

void bench_dir_remove(struct bench_dir *dir)
{
    static const char *const names[] = {
        "topics.db",    "topics.db-wal", "topics.db-shm", "facts.db",   "facts.db-wal",
        "facts.db-shm", "raw.db",        "raw.db-wal",    "raw.db-shm", "probe"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[BENCH_PATH_SIZE + 32];
        (void)snprintf(path, sizeof(path), "%s/%s", dir->path, names[i]);
        (void)unlink(path); // most are not there
    }
    (void)rmdir(dir->path);
}

static int64_t cpu_now_ns(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage); // can't fail for RUSAGE_SELF
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * NS_PER_SECOND +
           ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

void bench_cost_start(struct bench_cost *cost)
{
    struct clock clock = clock_real();
    cost->cpu_ns = cpu_now_ns();
    cost->wall_ns = clock_mono_ns(&clock);
}

void bench_cost_stop(struct bench_cost *cost)
{
    struct clock clock = clock_real();
    cost->wall_ns = clock_mono_ns(&clock) - cost->wall_ns;
    cost->cpu_ns = cpu_now_ns() - cost->cpu_ns;
}

static int compare_i64(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

void bench_sort(int64_t *values, size_t count)
{
    qsort(values, count, sizeof(values[0]), compare_i64);
}

int64_t bench_median(int64_t *values, size_t count)
{
    bench_sort(values, count);
    return values[count / 2];
}

int64_t bench_quantile(const int64_t *sorted, size_t count, uint32_t share_ppm)
{
    size_t index = (size_t)((unsigned __int128)count * share_ppm / 1000000);
    return sorted[index < count ? index : count - 1];
}

struct generator_options bench_mix(uint64_t seed, uint64_t pairs)
{
    return (struct generator_options){.seed = seed,
                                      .pairs = pairs,
                                      .early_ppm = 50000,
                                      .orphan_ppm = 10000,
                                      .duplicate_ppm = 10000};
}

static enum err run_service(const struct service_options *options, struct bench_cost *out_cost,
                            struct why *why)
{
    static atomic_bool stop;
    atomic_store(&stop, false);
    struct service *service = NULL;
    bench_cost_start(out_cost);
    enum err err = service_start(options, &stop, &service, why);
    if (err != ERR_OK) {
        return err;
    }
    while (!service_ended(service) && !signals_drain_requested()) {
        struct pollfd drain = {.fd = signals_drain_fd(), .events = POLLIN};
        (void)poll(&drain, 1, 2);
    }
    struct service_figures figures;
    err = service_finish(&service, 60 * US_PER_SECOND, &figures, why);
    bench_cost_stop(out_cost);
    if (err == ERR_OK && signals_drain_requested()) {
        err = why_set(why, ERR_CLOSED, "interrupted: no figures");
    }
    return err;
}

enum err bench_run_pipeline(const struct bench_dir *dir, const struct generator_options *mix,
                            bench_tune_fn *tune, void *tune_context, struct bench_cost *out_cost,
                            struct why *why)
{
    struct bus *bus = NULL;
    struct store *store = NULL;
    struct generator *generator = NULL;
    struct bus_embedded_options bus_options = {.path = dir->topics_path, .clock = clock_real()};
    struct store_sqlite_options store_options = {.path = dir->facts_path};
    struct service_options options = {
        .rules = pipeline_rules_default(),
        .clock = clock_real(),
        .limits = {4096, 4u << 20, true, true},
        .sweep = true,
        .dead_letters = true,
        .once = true,
        .source_count = 1,
        .backlog_soft_max = 100000,
    };
    enum err err = bus_embedded_open(&bus_options, &bus, why);
    if (err == ERR_OK) {
        err = store_sqlite_open(&store_options, &store, why);
    }
    if (err == ERR_OK) {
        err = generator_create(mix, &generator, why);
    }
    if (err == ERR_OK) {
        options.bus = bus;
        options.store = store;
        options.sources[0] = generator_source(generator);
        if (tune != NULL) {
            tune(&options, tune_context);
        }
        err = run_service(&options, out_cost, why);
    }
    generator_destroy(&generator);
    store_close(&store);
    bus_close(&bus);
    return err;
}

enum err bench_probe_sync(const struct bench_dir *dir, int64_t *out_p50_ns, int64_t *out_p99_ns,
                          struct why *why)
{
    static const char block[PROBE_SIZE];
    int64_t times[PROBE_COUNT];
    char path[BENCH_PATH_SIZE + 16];
    struct clock clock = clock_real();
    (void)snprintf(path, sizeof(path), "%s/probe", dir->path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0;
    for (size_t i = 0; good && i < PROBE_COUNT; i++) {
        int64_t start_ns = clock_mono_ns(&clock);
        good = write(fd, block, sizeof(block)) == (ssize_t)sizeof(block) && fdatasync(fd) == 0;
        times[i] = clock_mono_ns(&clock) - start_ns;
    }
    int failure = errno;
    if (fd >= 0) {
        (void)close(fd);
        (void)unlink(path);
    }
    if (!good) {
        return why_set(why, ERR_IO, "%s: cannot measure fdatasync: %s", path, strerror(failure));
    }
    bench_sort(times, PROBE_COUNT);
    *out_p50_ns = bench_quantile(times, PROBE_COUNT, 500000);
    *out_p99_ns = bench_quantile(times, PROBE_COUNT, 990000);
    return ERR_OK;
}
