// Opening, running and closing the pipeline for a command.
#include "engine.h"

#include "bus_embedded.h"
#include "cassandra_settings.h"
#include "currency.h"
#include "generator.h"
#include "line_source.h"
#include "progress.h"
#include "pubsub_settings.h"
#include "rand.h"
#include "report_text.h"
#include "signals.h"
#include "store_sqlite.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PROGRESS_POLL_MS 50
// Sources are held back while a subscription is this many messages behind: the log stays short, and
// a burst still goes in at the speed of the disk.
#define SOURCE_BACKLOG_SOFT_MAX 100000u
#define PUBSUB_IDLE_US          (5 * US_PER_SECOND)
#define PUBSUB_QUIET_US         (5 * US_PER_SECOND)

static bool on_pubsub(const struct command_context *context)
{
    return context->config->bus_kind == BUS_KIND_PUBSUB;
}

static enum err open_embedded(const struct command_context *context, struct engine *engine,
                              struct why *why)
{
    const struct config *config = context->config;
    const struct bus_embedded_options options = {
        .path = engine->dir.topics_path,
        .clock = context->clock,
        .lease_us = config->broker_lease,
        .backlog_max = (uint64_t)config->broker_backlog_max,
        .size_max = (uint64_t)config->broker_size_max,
    };
    return bus_embedded_open(&options, &engine->bus, why);
}

bool engine_on_cassandra(const struct command_context *context)
{
    return context->config->store_kind == STORE_KIND_CASSANDRA;
}

static void log_notice(void *context, struct text notice)
{
    log_warn(context, "cassandra", "notice", LOG_TEXT("detail", notice));
}

static enum err open_cassandra(struct command_context *context, struct engine *engine,
                               struct why *why)
{
    struct cassandra_settings settings;
    enum err err = cassandra_settings_read(context, &settings, why);
    if (err == ERR_OK) {
        settings.options.notice = log_notice;
        settings.options.notice_context = context->log;
        cassandra_settings_say_target(context, &settings);
        err = store_cassandra_open(&settings.options, &engine->store, why);
    }
    return err;
}

// A restart on the same host counts on under the same name; several processes that do the same there are
// told apart by run.name.
static void name_engine(const struct command_context *context, const char *owner,
                        struct engine *engine)
{
    char host[65] = "";
    const char *given = context->config->run_name;
    (void)gethostname(host, sizeof(host) - 1); // a name that is cut is as good
    (void)snprintf(engine->name, sizeof(engine->name), "%s/%s", given[0] != '\0' ? given : host,
                   owner);
}

static enum err open_store(struct command_context *context, struct engine *engine, struct why *why)
{
    if (engine_on_cassandra(context)) {
        return open_cassandra(context, engine, why);
    }
    const struct store_sqlite_options options = {
        .path = engine->dir.facts_path,
        .without_by_customer = !context->config->store_customer_index,
    };
    return store_sqlite_open(&options, &engine->store, why);
}

enum err engine_open(struct command_context *context, const char *owner,
                     const struct engine_needs *needs, struct engine *out_engine, struct why *why)
{
    struct engine engine = {.dir = {.lock_fd = -1}};
    struct bus_pubsub_options pubsub = {0};
    enum err err = on_pubsub(context) ? pubsub_settings_read(context, &pubsub, why)
                                      : pubsub_settings_check_flags(context, why);
    err = err == ERR_OK ? cassandra_settings_check_flags(context, why) : err;
    bool store_is_here = needs->store && !engine_on_cassandra(context);
    if (err == ERR_OK && (store_is_here || !on_pubsub(context))) {
        err = data_dir_own(context->config->data_dir, owner, &engine.dir, why);
    }
    if (err == ERR_OK) {
        err = on_pubsub(context) ? pubsub_start(context, &pubsub, &needs->pubsub, &engine.bus, why)
                                 : open_embedded(context, &engine, why);
    }
    if (err == ERR_OK && needs->store) {
        err = open_store(context, &engine, why);
    }
    if (err != ERR_OK) {
        engine_close(&engine);
        return err;
    }
    if (engine_on_cassandra(context)) {
        name_engine(context, owner, &engine);
    }
    *out_engine = engine;
    return ERR_OK;
}

enum err engine_listen(struct command_context *context, struct engine *engine, struct why *why)
{
    if (on_pubsub(context)) {
        return ERR_OK;
    }
    struct ingest_options options = {.bus = engine->bus,
                                     .directory = engine->dir.path,
                                     .clock = context->clock,
                                     .log = context->log};
    return ingest_start(&options, &engine->ingest, why);
}

void engine_close(struct engine *engine)
{
    ingest_stop(&engine->ingest);
    store_close(&engine->store);
    bus_close(&engine->bus);
    data_dir_close(&engine->dir);
}

// An embedded broker knows at once that nothing is left; on Pub/Sub nothing must have come for a while.
static int64_t idle_us(const struct command_context *context)
{
    return context->options->given[OPTION_idle] ? context->options->idle
           : on_pubsub(context)                 ? PUBSUB_IDLE_US
                                                : 0;
}

void engine_service_options(const struct command_context *context, const struct engine *engine,
                            struct service_options *out_options)
{
    const struct config *config = context->config;
    struct pipeline_rules rules = pipeline_rules_default();
    rules.decode.lenient_price = config->match_lenient_price;
    rules.decode.default_currency = config->match_default_currency;
    rules.grace_us = config->match_grace;
    // With a short grace, steps longer than it would only add to it.
    bool short_grace = config->match_grace < config->match_bucket;
    rules.bucket_us = short_grace ? SEC : config->match_bucket;
    rules.max_hold_us = config->match_max_hold;
    rules.shards = (int32_t)config->match_shards;
    rules.dead_letter_age_max_us = config->dead_letters_max_age;
    rules.quiet_us = on_pubsub(context) ? PUBSUB_QUIET_US : 0;
    *out_options = (struct service_options){
        .bus = engine->bus,
        .store = engine->store,
        .name = text_of(engine->name),
        .rules = rules,
        .clock = context->clock,
        .log = context->log,
        .limits = {.count_max = (size_t)config->lane_batch_messages,
                   .size_max = (size_t)config->lane_batch_bytes,
                   .orders = true,
                   .payments = true},
        .sweep = true,
        .dead_letters = true,
        .once = context->options->once,
        .idle_us = idle_us(context),
        .rate_per_second = (uint64_t)context->options->rate,
        .backlog_soft_max = SOURCE_BACKLOG_SOFT_MAX,
    };
}

// --- sources ------------------------------------------------------------------------------------

static enum err add_source(struct service_options *options, struct source *source, struct why *why)
{
    if (options->source_count == SERVICE_PUBLISHERS_MAX) {
        source->close(source);
        return why_set(why, ERR_USAGE, "at most %u sources at a time", SERVICE_PUBLISHERS_MAX);
    }
    options->sources[options->source_count++] = source;
    return ERR_OK;
}

static enum err add_files(struct service_options *options, const struct string_list *files,
                          enum line_topic topic, struct why *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < files->count; i++) {
        struct line_source *lines = NULL;
        err = line_source_open(files->items[i], topic, &lines, why);
        if (err == ERR_OK) {
            err = add_source(options, line_source_source(lines), why);
        }
    }
    return err;
}

static enum err add_generator(struct command_context *context, struct service_options *options,
                              struct why *why)
{
    const struct options *given = context->options;
    struct generator_options generator_options = {
        .seed = given->given[OPTION_seed] ? (uint64_t)given->seed : rand_seed_from_system(),
        .pairs = (uint64_t)given->generate,
        .late_ppm = (uint32_t)given->late,
        .early_ppm = (uint32_t)given->early,
        .duplicate_ppm = (uint32_t)given->duplicate,
        .orphan_ppm = (uint32_t)given->orphan,
        .conflict_ppm = (uint32_t)given->conflict,
        .corrupt_ppm = (uint32_t)given->corrupt,
        .partial_ppm = (uint32_t)given->partial,
        .overpay_ppm = (uint32_t)given->overpay,
        .refund_ppm = (uint32_t)given->refund,
        .chargeback_ppm = (uint32_t)given->chargeback,
        .failed_retry_ppm = (uint32_t)given->failed_retry,
        .wrong_currency_ppm = (uint32_t)given->wrong_currency,
    };
    command_say(context, "generating %lld orders and their payments, --seed %llu",
                (long long)given->generate, (unsigned long long)generator_options.seed);
    struct generator *generator = NULL;
    enum err err = generator_create(&generator_options, &generator, why);
    return err == ERR_OK ? add_source(options, generator_source(generator), why) : err;
}

enum err engine_open_sources(struct command_context *context, enum line_topic from_topic,
                             struct service_options *options, struct why *why)
{
    const struct options *given = context->options;
    enum err err = add_files(options, &given->orders, LINE_ORDERS, why);
    if (err == ERR_OK) {
        err = add_files(options, &given->payments, LINE_PAYMENTS, why);
    }
    if (err == ERR_OK) {
        err = add_files(options, &given->from, from_topic, why);
    }
    if (err == ERR_OK && given->generate > 0) {
        err = add_generator(context, options, why);
    }
    if (err != ERR_OK) {
        engine_close_sources(options);
    }
    return err;
}

void engine_close_sources(struct service_options *options)
{
    for (size_t i = 0; i < options->source_count; i++) {
        options->sources[i]->close(options->sources[i]);
    }
    options->source_count = 0;
}

// --- running ------------------------------------------------------------------------------------

static unsigned terminal_width(void)
{
    struct winsize size = {0};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

struct run_progress {
    struct progress progress;
    struct clock clock;
    int64_t start_ns;
    char extra[128];
};

static void init_progress(struct progress *progress, const char *noun,
                          struct command_context *context)
{
    enum progress_mode mode = progress_mode_choose(
        context->options->quiet, isatty(STDERR_FILENO) == 1, getenv("TERM"), getenv("CI"));
    progress_init(progress, mode, noun, context->messages, context->clock, terminal_width());
}

static void run_progress_init(struct run_progress *run, struct command_context *context)
{
    init_progress(&run->progress, "messages", context);
    run->clock = context->clock;
    run->start_ns = clock_mono_ns(&context->clock);
}

static void add_figure(struct buf *out, uint64_t count, const char *meaning)
{
    report_add_count(out, count);
    buf_add_str(out, meaning);
}

static void progress_numbers_of(struct run_progress *run, const struct service_figures *figures,
                                struct progress_numbers *out_numbers)
{
    int64_t elapsed_ns = clock_mono_ns(&run->clock) - run->start_ns;
    uint64_t per_second =
        elapsed_ns > 0
            ? (uint64_t)((unsigned __int128)figures->applied * NS_PER_SECOND / (uint64_t)elapsed_ns)
            : 0;
    struct buf extra;
    buf_init_fixed(&extra, run->extra, sizeof(run->extra));
    add_figure(&extra, figures->stored, " stored, ");
    add_figure(&extra, figures->duplicate, " duplicate, ");
    add_figure(&extra, figures->refused, " refused, ");
    add_figure(&extra, figures->unmatched, " unmatched");
    *out_numbers = (struct progress_numbers){
        .count = figures->applied,
        .total = figures->sources_done ? figures->published : 0,
        .per_second = per_second,
        .extra = buf_view(&extra),
    };
}

static void watch(struct service *service, struct run_progress *run)
{
    while (!service_ended(service) && !signals_drain_requested()) {
        struct pollfd drain = {.fd = signals_drain_fd(), .events = POLLIN};
        (void)poll(&drain, 1, PROGRESS_POLL_MS); // early or late, the loop looks again
        if (progress_is_due(&run->progress)) {
            struct service_figures figures;
            struct progress_numbers numbers;
            service_figures(service, &figures);
            progress_numbers_of(run, &figures, &numbers);
            progress_show(&run->progress, &numbers);
        }
    }
}

enum err engine_run(struct command_context *context, const struct service_options *options,
                    struct service_figures *out_figures, struct why *why)
{
    static atomic_bool stop; // outlives threads that are abandoned after a drain timeout
    atomic_store(&stop, false);
    struct service *service = NULL;
    enum err err = service_start(options, &stop, &service, why);
    if (err != ERR_OK) {
        return err;
    }
    if (!options->once) {
        command_say(context, "ready on %s; Ctrl-C finishes what is in hand and ends",
                    context->config->data_dir);
    }
    struct run_progress run;
    run_progress_init(&run, context);
    watch(service, &run);
    if (signals_drain_requested()) {
        progress_clear(&run.progress);
        command_say(context, "stopping: finishing what is in hand (again to end at once)");
    }
    err = service_finish(&service, context->config->run_drain_timeout, out_figures, why);
    err = on_pubsub(context) ? pubsub_explain(err, why) : err;
    if (err != ERR_DRAIN_TIMEOUT) {
        struct progress_numbers numbers;
        progress_numbers_of(&run, out_figures, &numbers);
        progress_end(&run.progress, &numbers);
    }
    return err;
}

void engine_abandon(struct command_context *context, const struct why *why)
{
    command_say(context, "till: %s", why->text);
    output_flush(context->messages);
    output_flush(context->out);
    _exit(err_exit_code(why->code));
}

// --- report -------------------------------------------------------------------------------------

// NULL when the messages are elsewhere.
static enum err view_bus(const struct command_context *context, const struct data_dir *dir,
                         struct bus **out_bus, struct why *why)
{
    const struct bus_embedded_options options = {
        .path = dir->topics_path, .clock = context->clock, .read_only = true};
    if (on_pubsub(context)) {
        return ERR_OK;
    }
    enum err err = bus_embedded_open(&options, out_bus, why);
    return err != ERR_NOT_FOUND
               ? err
               : why_set(why, err, "there is no %s; when messages are on Pub/Sub, add --bus pubsub",
                         dir->topics_path);
}

enum err engine_open_reader(struct command_context *context, struct store_reader **out_reader,
                            struct why *why)
{
    struct data_dir dir;
    struct cassandra_settings settings;
    if (engine_on_cassandra(context)) {
        enum err err = cassandra_settings_read(context, &settings, why);
        return err == ERR_OK ? store_reader_open_cassandra(&settings.options, out_reader, why)
                             : err;
    }
    enum err err = data_dir_view(context->config->data_dir, &dir, why);
    if (err == ERR_OK) {
        err = data_dir_check_facts(&dir, why);
    }
    return err == ERR_OK ? store_reader_open_sqlite(dir.facts_path, out_reader, why) : err;
}

// A person who waits for a large cluster sees how far it is; a file, or a script, tells nothing.
static void show_reading(void *context, uint64_t done, uint64_t total)
{
    const struct progress_numbers numbers = {.count = done, .total = total};
    if (done < total) {
        progress_show(context, &numbers);
    } else {
        progress_clear(context);
    }
}

enum err engine_report(struct command_context *context, const struct data_dir *dir,
                       struct report **out_report, struct why *why)
{
    struct store_reader *reader = NULL;
    struct bus *bus = NULL;
    struct report *report = calloc(1, sizeof(*report));
    enum err err = report != NULL ? ERR_OK : why_set(why, ERR_NO_MEMORY, "out of memory");
    if (err == ERR_OK) {
        err = engine_open_reader(context, &reader, why);
    }
    if (err == ERR_OK && !engine_on_cassandra(context)) {
        err = view_bus(context, dir, &bus, why);
    }
    if (err == ERR_OK) {
        struct progress progress;
        init_progress(&progress, "parts of the tables", context);
        store_reader_watch(reader, show_reading, &progress);
        err = report_build(reader, bus, context->arena, report, why);
        progress_clear(&progress);
    }
    bus_close(&bus);
    store_reader_close(&reader);
    if (err != ERR_OK) {
        free(report);
        return err;
    }
    *out_report = report;
    return ERR_OK;
}
