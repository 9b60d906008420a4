// till bench: figures of this machine and this disk, as ratios within one run.
#include "bench_rig.h"

#include <stdlib.h>
#include <string.h>

#define LATENCY_PAIRS_PER_SECOND 5000
#define LATENCY_SECONDS          10
#define GROW_STEP_MIN            100000

static void add_decimal(struct buf *out, int64_t value, int64_t unit)
{
    buf_add_fmt(out, "%lld.%02lld", (long long)(value / unit),
                (long long)(value % unit * 100 / unit));
}

static int64_t per_second(uint64_t pairs, int64_t wall_ns)
{
    return wall_ns > 0 ? (int64_t)((__int128)pairs * NS_PER_SECOND / wall_ns) : 0;
}

// --- throughput ------------------------------------------------------------------------------------

enum contender { PIPELINE, RAW_FACTS, RAW_LOG_AND_FACTS, GENERATOR_ALONE, CONTENDER_COUNT };

static const char *const contender_names[] = {
    [PIPELINE] = "pipeline",
    [RAW_FACTS] = "raw_facts",
    [RAW_LOG_AND_FACTS] = "raw_log_and_facts",
    [GENERATOR_ALONE] = "generator",
};

static enum err run_generator(const struct generator_options *mix, struct bench_cost *out_cost,
                              struct why *why)
{
    struct generator *generator = NULL;
    struct generated generated;
    bench_cost_start(out_cost);
    enum err err = generator_create(mix, &generator, why);
    while (err == ERR_OK && generator_next(generator, &generated)) {
    }
    bench_cost_stop(out_cost);
    generator_destroy(&generator);
    return err;
}

static enum err run_contender(enum contender which, const struct generator_options *mix,
                              struct bench_cost *out_cost, struct why *why)
{
    struct bench_dir dir;
    enum err err = bench_dir_make(&dir, why);
    if (err != ERR_OK) {
        return err;
    }
    switch (which) {
    case PIPELINE:
        err = bench_run_pipeline(&dir, mix, NULL, NULL, out_cost, why);
        break;
    case RAW_FACTS:
        err = bench_run_raw(&dir, mix, false, out_cost, why);
        break;
    case RAW_LOG_AND_FACTS:
        err = bench_run_raw(&dir, mix, true, out_cost, why);
        break;
    case GENERATOR_ALONE:
        err = run_generator(mix, out_cost, why);
        break;
    case CONTENDER_COUNT:
        break;
    }
    bench_dir_remove(&dir);
    return err;
}

static void print_contender(struct buf *out, const char *name, int64_t rate, int64_t cpu_ns,
                            bool json)
{
    if (json) {
        buf_add_fmt(out, "\"%s\": {\"pairs_per_second\": %lld, \"cpu_us_per_pair\": ", name,
                    (long long)rate);
        add_decimal(out, cpu_ns, 1000);
        buf_add_str(out, "}, ");
    } else {
        buf_add_fmt(out, "%-20s %12lld pairs/s ", name, (long long)rate);
        add_decimal(out, cpu_ns, 1000);
        buf_add_str(out, " us CPU a pair\n");
    }
}

static enum err bench_throughput(struct command_context *context, struct why *why)
{
    uint64_t pairs = (uint64_t)context->options->pairs;
    struct generator_options mix = bench_mix(1, pairs);
    int64_t rates[CONTENDER_COUNT][BENCH_ROUNDS];
    int64_t cpus[CONTENDER_COUNT][BENCH_ROUNDS];
    for (size_t round = 0; round < BENCH_ROUNDS; round++) {
        for (int which = 0; which < CONTENDER_COUNT; which++) {
            struct bench_cost cost;
            enum err err = run_contender((enum contender)which, &mix, &cost, why);
            if (err != ERR_OK) {
                return err;
            }
            rates[which][round] = per_second(pairs, cost.wall_ns);
            cpus[which][round] = cost.cpu_ns / (int64_t)pairs;
            command_say(context, "round %zu of %d: %-18s %9lld pairs/s  %lld ns CPU a pair",
                        round + 1, BENCH_ROUNDS, contender_names[which],
                        (long long)rates[which][round], (long long)cpus[which][round]);
        }
    }
    struct buf *out = &context->out->buf;
    bool json = context->options->json;
    int64_t medians[CONTENDER_COUNT];
    buf_add_str(out, json ? "{" : "");
    for (int which = 0; which < CONTENDER_COUNT; which++) {
        medians[which] = bench_median(rates[which], BENCH_ROUNDS);
        print_contender(out, contender_names[which], medians[which],
                        bench_median(cpus[which], BENCH_ROUNDS), json);
    }
    buf_add_str(out, json ? "\"pipeline_to_raw_facts\": " : "pipeline / raw_facts ");
    add_decimal(out, medians[PIPELINE], medians[RAW_FACTS]);
    buf_add_str(out,
                json ? ", \"pipeline_to_raw_log_and_facts\": " : "\npipeline / raw_log_and_facts ");
    add_decimal(out, medians[PIPELINE], medians[RAW_LOG_AND_FACTS]);
    buf_add_str(out, json ? "}\n" : "\n");
    return ERR_OK;
}

// --- latency --------------------------------------------------------------------------------------

// Wraps the generator: notes when each message of a topic was handed out. The bus numbers the
// messages of a topic in that order, so the number finds the time again.
struct stamped_source {
    struct source base;
    struct source *inner;
    int64_t *sent_ns[2]; // by sequence - 1
    size_t counts[2];
    size_t cap;
    int64_t *latencies_ns;
    size_t latency_count;
    struct clock clock;
};

static enum source_status stamped_next(struct source *source, struct source_message *out_message,
                                       struct why *why)
{
    struct stamped_source *stamped = (struct stamped_source *)source;
    enum source_status status = stamped->inner->next(stamped->inner, out_message, why);
    if (status == SOURCE_READY) {
        size_t topic = out_message->topic == BUS_PAYMENTS ? 1 : 0;
        if (stamped->counts[topic] < stamped->cap) {
            stamped->sent_ns[topic][stamped->counts[topic]++] = clock_mono_ns(&stamped->clock);
        }
    }
    return status;
}

static int stamped_poll_fd(struct source *source)
{
    struct stamped_source *stamped = (struct stamped_source *)source;
    return stamped->inner->poll_fd(stamped->inner);
}

static void stamped_close(struct source *source)
{
    (void)source; // the inner one belongs to the measurement
}

static void note_committed(const struct batch_item *items, size_t count, void *context)
{
    struct stamped_source *stamped = context;
    int64_t now_ns = clock_mono_ns(&stamped->clock);
    for (size_t i = 0; i < count; i++) {
        size_t topic = items[i].source == BUS_PAYMENTS ? 1 : 0;
        uint64_t sequence = items[i].message->sequence;
        if (sequence <= stamped->cap && stamped->latency_count < 2 * stamped->cap) {
            stamped->latencies_ns[stamped->latency_count++] =
                now_ns - stamped->sent_ns[topic][sequence - 1];
        }
    }
}

static void tune_latency(struct service_options *options, void *context)
{
    struct stamped_source *stamped = context;
    stamped->inner = options->sources[0];
    options->sources[0] = &stamped->base;
    options->rate_per_second = 2 * LATENCY_PAIRS_PER_SECOND;
    options->committed = note_committed;
    options->committed_context = stamped;
}

static void print_latency(struct command_context *context, struct stamped_source *stamped,
                          int64_t sync_p50_ns, int64_t sync_p99_ns)
{
    struct buf *out = &context->out->buf;
    bench_sort(stamped->latencies_ns, stamped->latency_count);
    const struct {
        const char *name;
        int64_t ns;
    } figures[] = {
        {"fdatasync_p50_us", sync_p50_ns},
        {"fdatasync_p99_us", sync_p99_ns},
        {"publish_to_fact_p50_us",
         bench_quantile(stamped->latencies_ns, stamped->latency_count, 500000)},
        {"publish_to_fact_p99_us",
         bench_quantile(stamped->latencies_ns, stamped->latency_count, 990000)},
        {"publish_to_fact_max_us", stamped->latencies_ns[stamped->latency_count - 1]},
    };
    bool json = context->options->json;
    buf_add_str(out, json ? "{" : "");
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        buf_add_fmt(out, json ? "%s\"%s\": %lld" : "%s%-24s %8lld\n", json && i > 0 ? ", " : "",
                    figures[i].name, (long long)(figures[i].ns / 1000));
    }
    buf_add_str(out, json ? "}\n" : "");
}

static enum err measure_latency(struct command_context *context, struct stamped_source *stamped,
                                struct why *why)
{
    struct bench_dir dir;
    struct bench_cost cost;
    int64_t sync_p50_ns = 0;
    int64_t sync_p99_ns = 0;
    struct generator_options mix = bench_mix(1, LATENCY_PAIRS_PER_SECOND * LATENCY_SECONDS);
    enum err err = bench_dir_make(&dir, why);
    if (err != ERR_OK) {
        return err;
    }
    err = bench_probe_sync(&dir, &sync_p50_ns, &sync_p99_ns, why);
    if (err == ERR_OK) {
        command_say(context, "%d pairs/s for %d s", LATENCY_PAIRS_PER_SECOND, LATENCY_SECONDS);
        err = bench_run_pipeline(&dir, &mix, tune_latency, stamped, &cost, why);
    }
    if (err == ERR_OK && stamped->latency_count > 0) {
        print_latency(context, stamped, sync_p50_ns, sync_p99_ns);
    }
    bench_dir_remove(&dir);
    return err;
}

static enum err bench_latency(struct command_context *context, struct why *why)
{
    struct stamped_source stamped = {
        .base = {stamped_next, stamped_poll_fd, stamped_close},
        .cap = 4 * LATENCY_PAIRS_PER_SECOND * LATENCY_SECONDS,
        .clock = clock_real(),
    };
    stamped.sent_ns[0] = calloc(stamped.cap, sizeof(int64_t));
    stamped.sent_ns[1] = calloc(stamped.cap, sizeof(int64_t));
    stamped.latencies_ns = calloc(2 * stamped.cap, sizeof(int64_t));
    enum err err =
        stamped.sent_ns[0] != NULL && stamped.sent_ns[1] != NULL && stamped.latencies_ns != NULL
            ? measure_latency(context, &stamped, why)
            : why_set(why, ERR_NO_MEMORY, "out of memory");
    free(stamped.sent_ns[0]);
    free(stamped.sent_ns[1]);
    free(stamped.latencies_ns);
    return err;
}

// --- growth ---------------------------------------------------------------------------------------

// One curve: the store grows by a tenth of --pairs at a time, and each tenth is measured.
static enum err grow(struct command_context *context, bool random_ids, struct why *why)
{
    uint64_t total = (uint64_t)context->options->pairs;
    uint64_t step = total / 10 >= GROW_STEP_MIN ? total / 10 : GROW_STEP_MIN;
    struct bench_dir dir;
    enum err err = bench_dir_make(&dir, why);
    int64_t first_rate = 0;
    for (uint64_t done = 0; err == ERR_OK && done < total; done += step) {
        struct generator_options mix = bench_mix(done + 1, step);
        struct bench_cost cost;
        mix.first_order_id = (int64_t)done + 1;
        mix.random_order_ids = random_ids;
        err = bench_run_pipeline(&dir, &mix, NULL, NULL, &cost, why);
        if (err != ERR_OK) {
            break;
        }
        int64_t rate = per_second(step, cost.wall_ns);
        first_rate = done == 0 ? rate : first_rate;
        struct buf *out = &context->out->buf;
        buf_add_fmt(out, "%-9s ids  %10llu pairs stored  %9lld pairs/s  ",
                    random_ids ? "random" : "ascending", (unsigned long long)(done + step),
                    (long long)rate);
        add_decimal(out, cost.cpu_ns / (int64_t)step, 1000);
        buf_add_str(out, " us CPU a pair  ");
        add_decimal(out, rate, first_rate);
        buf_add_str(out, " of the first\n");
        output_flush(context->out);
    }
    bench_dir_remove(&dir);
    return err;
}

enum err cmd_bench(struct command_context *context, struct why *why)
{
    if (context->options->latency) {
        return bench_latency(context, why);
    }
    if (context->options->grow) {
        enum err err = grow(context, false, why);
        return err == ERR_OK ? grow(context, true, why) : err;
    }
    return bench_throughput(context, why);
}
