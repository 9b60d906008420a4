// Measures what one generated message costs: CPU nanoseconds a message of a plain run, of one with
// scattered ids and of one with every anomaly, and the memory of the process after all of them. The
// generator shares the machine with the pipeline that it feeds, so its cost must stay small beside it.
#include "generator.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define ROUNDS 5
#define PAIRS  200000
#define SHARE  20000

struct sample {
    const char *name;
    struct generator_options options;
};

static const struct sample samples[] = {
    {"plain", {.pairs = PAIRS}},
    {"random ids", {.pairs = PAIRS, .random_order_ids = true}},
    {"every anomaly, 2% each",
     {.pairs = PAIRS,
      .late_ppm = SHARE,
      .early_ppm = SHARE,
      .duplicate_ppm = SHARE,
      .orphan_ppm = SHARE,
      .conflict_ppm = SHARE,
      .corrupt_ppm = SHARE,
      .partial_ppm = SHARE,
      .overpay_ppm = SHARE,
      .refund_ppm = SHARE,
      .chargeback_ppm = SHARE,
      .failed_retry_ppm = SHARE,
      .wrong_currency_ppm = SHARE,
      .update_ppm = SHARE}},
};

static int64_t cpu_ns(void)
{
    struct timespec now;
    int failed = clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    assert(failed == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// Tenths of a nanosecond a message.
static int64_t measure(const struct generator_options *options, uint64_t *out_size_mean)
{
    struct generator *generator = NULL;
    enum err err = generator_create(options, &generator, NULL);
    assert(err == ERR_OK);
    struct generated generated;
    uint64_t count = 0;
    uint64_t size = 0;
    int64_t start_ns = cpu_ns();
    while (generator_next(generator, &generated)) {
        count++;
        size += generated.body.size;
    }
    int64_t spent_ns = cpu_ns() - start_ns;
    generator_destroy(&generator);
    *out_size_mean = size / count;
    return spent_ns * 10 / (int64_t)count;
}

static int compare_i64(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void run(const struct sample *sample)
{
    int64_t rounds[ROUNDS];
    uint64_t size_mean = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct generator_options options = sample->options;
        options.seed = i;
        rounds[i] = measure(&options, &size_mean);
    }
    qsort(rounds, ROUNDS, sizeof(rounds[0]), compare_i64);
    int64_t median = rounds[ROUNDS / 2];
    printf("%-24s %4" PRId64 ".%" PRId64 " ns a message of %" PRIu64 " bytes\n", sample->name,
           median / 10, median % 10, size_mean);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        run(&samples[i]);
    }
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        printf("%-24s %6ld KiB\n", "greatest resident size", usage.ru_maxrss);
    }
    return 0;
}
