// What the measurements of `till bench` share: a fresh directory on the disk in question, a service
// on it, clocks, and medians.
#ifndef TILL_BENCH_RIG_H
#define TILL_BENCH_RIG_H

#include "bus.h"
#include "command.h"
#include "generator.h"
#include "service.h"
#include "store.h"

#include <stdint.h>

#define BENCH_ROUNDS    5
#define BENCH_PATH_SIZE 4096

struct bench_dir {
    char path[BENCH_PATH_SIZE];
    char topics_path[BENCH_PATH_SIZE + 16];
    char facts_path[BENCH_PATH_SIZE + 16];
};

// Makes a directory of its own inside the present one, so that the disk measured is the one that
// `till run` would use there. ERR_IO.
MUST_USE enum err bench_dir_make(struct bench_dir *dir, struct why *why);
void bench_dir_remove(struct bench_dir *dir); // with the files that we put there

struct bench_cost {
    int64_t wall_ns;
    int64_t cpu_ns; // of all threads of the process, user and system
};
void bench_cost_start(struct bench_cost *cost);
void bench_cost_stop(struct bench_cost *cost); // from now on it holds the differences

int64_t bench_median(int64_t *values, size_t count); // sorts them
// The value below which `share_ppm` of the sorted values lie.
int64_t bench_quantile(const int64_t *sorted, size_t count, uint32_t share_ppm);
void bench_sort(int64_t *values, size_t count);

// The mix that the targets speak of: 5% early, 1% orphan, 1% duplicate.
struct generator_options bench_mix(uint64_t seed, uint64_t pairs);

// Publishes `pairs` generated pairs through a service on the directory and waits until all of them
// are settled. `tune` may change the service's options; it may be NULL.
typedef void bench_tune_fn(struct service_options *options, void *context);
MUST_USE enum err bench_run_pipeline(const struct bench_dir *dir,
                                     const struct generator_options *mix, bench_tune_fn *tune,
                                     void *tune_context, struct bench_cost *out_cost,
                                     struct why *why);

// Microseconds that an fdatasync after a 4 KiB append takes in the directory: p50 and p99 of 200.
MUST_USE enum err bench_probe_sync(const struct bench_dir *dir, int64_t *out_p50_ns,
                                   int64_t *out_p99_ns, struct why *why);

// bench_raw.c: the same rows into the same tables by bare statements, one thread, no messages: what
// SQLite alone would take. With `with_log`, the bodies go into a bare log table first, synced too.
MUST_USE enum err bench_run_raw(const struct bench_dir *dir, const struct generator_options *mix,
                                bool with_log, struct bench_cost *out_cost, struct why *why);

#endif
