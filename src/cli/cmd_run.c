// till run: the whole pipeline in one process; till consume and till sweep: parts of it.
#include "data_dir.h"
#include "engine.h"
#include "report_text.h"

#include <stdlib.h>

static enum err print_report(struct command_context *context, const struct data_dir *dir,
                             struct why *why)
{
    struct report *report = NULL;
    enum err err = engine_report(context, dir, &report, why);
    if (err != ERR_OK) {
        return err;
    }
    report_add_text(report, &context->out->buf);
    output_flush(context->out);
    size_t failed = report->failed_count;
    free(report);
    return failed == 0
               ? ERR_OK
               : why_set(why, ERR_CHECK_FAILED, "the figures do not balance: %zu check%s failed",
                         failed, failed == 1 ? "" : "s");
}

static void say_what_next(struct command_context *context, const struct data_dir *dir)
{
    bool embedded = context->config->bus_kind == BUS_KIND_EMBEDDED;
    if (engine_on_cassandra(context)) {
        command_say(context, "\nThe data lies in Cassandra, keyspace %s. Try next:",
                    context->config->cassandra_keyspace);
        command_say(context, "  till query --store cassandra --status UNPAID --limit 5");
        command_say(context, "  till dlq list --store cassandra --limit 5");
        return;
    }
    command_say(context, "\nThe data lies in %s (%sfacts.db). Try next:", dir->path,
                embedded ? "topics.db and " : "");
    command_say(context, "  till query --status UNPAID --limit 5 --data-dir %s", dir->path);
    command_say(context, "  till dlq list --limit 5 --data-dir %s", dir->path);
    command_say(context, "  sqlite3 -readonly %s 'SELECT * FROM orders_payments_facts LIMIT 5'",
                dir->facts_path);
}

// Runs what `options` say on an open engine and closes it.
static enum err run_and_close(struct command_context *context, struct engine *engine,
                              struct service_options *options, struct why *why)
{
    struct service_figures figures = {0};
    enum err err = engine_run(context, options, &figures, why);
    if (err == ERR_DRAIN_TIMEOUT) {
        engine_abandon(context, why);
    }
    engine_close_sources(options);
    engine_close(engine);
    return err;
}

// All of the pipeline, and the topics that the sources feed.
static struct engine_needs needs_of_run(const struct options *given)
{
    bool any = given->from.count > 0 || given->generate > 0;
    return (struct engine_needs){
        .store = true,
        .pubsub = {.publish = {[BUS_ORDERS] = any || given->orders.count > 0,
                               [BUS_PAYMENTS] = any || given->payments.count > 0,
                               [BUS_ORDERS_DLQ] = true,
                               [BUS_PAYMENTS_DLQ] = true},
                   .receive = {true, true, true, true}},
    };
}

enum err cmd_run(struct command_context *context, struct why *why)
{
    struct engine engine;
    struct service_options options;
    const struct engine_needs needs = needs_of_run(context->options);
    enum err err = engine_open(context, "till run", &needs, &engine, why);
    if (err != ERR_OK) {
        return err;
    }
    struct data_dir dir = engine.dir; // paths only; the lock goes with the engine
    engine_service_options(context, &engine, &options);
    err = engine_open_sources(context, LINE_GUESS, &options, why);
    if (err == ERR_OK && !context->options->once) {
        err = engine_listen(context, &engine, why);
    }
    if (err != ERR_OK) {
        engine_close_sources(&options);
        engine_close(&engine);
        return err;
    }
    err = run_and_close(context, &engine, &options, why);
    if (err == ERR_OK && context->options->once) {
        err = print_report(context, &dir, why);
        say_what_next(context, &dir);
    }
    return err;
}

// Refused messages and unmatched payments are published as dead letters.
static struct engine_needs needs_of_parts(bool orders, bool payments, bool sweep, bool dead_letters)
{
    return (struct engine_needs){
        .store = true,
        .pubsub =
            {.publish =
                 {[BUS_ORDERS_DLQ] = orders, [BUS_PAYMENTS_DLQ] = orders || payments || sweep},
             .receive = {[BUS_ORDERS] = orders,
                         [BUS_PAYMENTS] = payments,
                         [BUS_ORDERS_DLQ] = dead_letters,
                         [BUS_PAYMENTS_DLQ] = dead_letters}},
    };
}

enum { CONSUME_ORDERS, CONSUME_PAYMENTS, CONSUME_DLQ, CONSUME_ALL };
static const char *const consumers[] = {"till consume orders", "till consume payments",
                                        "till consume dlq", "till consume all"};

enum err cmd_consume(struct command_context *context, struct why *why)
{
    struct engine engine;
    struct service_options options;
    unsigned what = context->line->choice;
    bool all = what == CONSUME_ALL;
    bool orders = all || what == CONSUME_ORDERS;
    bool payments = all || what == CONSUME_PAYMENTS;
    bool dead_letters = all || what == CONSUME_DLQ;
    const struct engine_needs needs = needs_of_parts(orders, payments, all, dead_letters);
    enum err err = engine_open(context, consumers[what], &needs, &engine, why);
    if (err != ERR_OK) {
        return err;
    }
    engine_service_options(context, &engine, &options);
    options.limits.orders = orders;
    options.limits.payments = payments;
    options.dead_letters = dead_letters;
    options.sweep = all;
    return run_and_close(context, &engine, &options, why);
}

enum err cmd_sweep(struct command_context *context, struct why *why)
{
    struct engine engine;
    struct service_options options;
    const struct engine_needs needs = needs_of_parts(false, false, true, false);
    enum err err = engine_open(context, "till sweep", &needs, &engine, why);
    if (err != ERR_OK) {
        return err;
    }
    engine_service_options(context, &engine, &options);
    options.limits.orders = false;
    options.limits.payments = false;
    options.dead_letters = false;
    // A directory that is ours has no lane at work now.
    options.rules.lanes_rest = !engine_on_cassandra(context);
    options.idle_us = 0;
    return run_and_close(context, &engine, &options, why);
}

enum err cmd_report(struct command_context *context, struct why *why)
{
    struct data_dir dir = {.lock_fd = -1};
    enum err err = ERR_OK;
    if (!engine_on_cassandra(context)) {
        err = data_dir_view(context->config->data_dir, &dir, why);
        err = err == ERR_OK ? data_dir_check_facts(&dir, why) : err;
    }
    return err == ERR_OK ? print_report(context, &dir, why) : err;
}
