// till run: the whole pipeline in one process; till consume: parts of it.
#include "data_dir.h"
#include "engine.h"
#include "report_text.h"

#include <stdlib.h>

static enum err print_report(struct command_context *context, const struct data_dir *dir,
                             struct why *why)
{
    struct report *report = NULL;
    enum err err = engine_report(dir, context->clock, context->arena, &report, why);
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
    command_say(context, "\nThe data lies in %s (topics.db and facts.db). Try next:", dir->path);
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

enum err cmd_run(struct command_context *context, struct why *why)
{
    struct engine engine;
    struct service_options options;
    enum err err = engine_open(context, "till run", true, &engine, why);
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

enum { CONSUME_ORDERS, CONSUME_PAYMENTS, CONSUME_DLQ, CONSUME_ALL };

enum err cmd_consume(struct command_context *context, struct why *why)
{
    struct engine engine;
    struct service_options options;
    enum err err = engine_open(context, "till consume", true, &engine, why);
    if (err != ERR_OK) {
        return err;
    }
    unsigned what = context->line->choice;
    engine_service_options(context, &engine, &options);
    options.limits.orders = what == CONSUME_ORDERS || what == CONSUME_ALL;
    options.limits.payments = what == CONSUME_PAYMENTS || what == CONSUME_ALL;
    options.dead_letters = what == CONSUME_DLQ || what == CONSUME_ALL;
    options.sweep = what == CONSUME_ALL;
    return run_and_close(context, &engine, &options, why);
}

enum err cmd_report(struct command_context *context, struct why *why)
{
    struct data_dir dir;
    enum err err = data_dir_view(context->config->data_dir, &dir, why);
    if (err == ERR_OK) {
        err = data_dir_check_facts(&dir, why);
    }
    return err == ERR_OK ? print_report(context, &dir, why) : err;
}
