// What one process does, in the order in which it does it. Everything that decides something is in lane,
// sweeper and dead_letter_step.
#include "worker.h"

#include <string.h>

enum err worker_open(struct worker *worker, const struct worker_options *options, struct why *why)
{
    memset(worker, 0, sizeof(*worker));
    worker->options = *options;
    worker->active_ns = clock_mono_ns(&options->clock);
    struct matcher matcher = {options->store, options->bus, options->rules, options->clock};
    enum err err = sweeper_init(&worker->sweeper, &matcher, options->log);
    if (err == ERR_OK) {
        err = dead_letter_consumer_init(&worker->dead_letters, &matcher, options->log);
    }
    if (err != ERR_OK) {
        (void)why_set(why, err, "cannot reserve memory for batches");
    } else {
        struct text name = options->name.size > 0 ? options->name : TEXT("lane");
        err = lane_open(&worker->lane, &matcher, name, options->log, why);
    }
    if (err != ERR_OK) {
        sweeper_deinit(&worker->sweeper);
        dead_letter_consumer_deinit(&worker->dead_letters);
    }
    return err;
}

enum err worker_recover(struct worker *worker, struct batch *batch, struct why *why)
{
    return lane_recover(&worker->lane, batch, &worker->options.limits, why);
}

static void log_retry(struct worker *worker, const char *what, const struct why *why)
{
    log_warn(worker->options.log, "service", what, LOG_STR("error", err_name(why->code)),
             LOG_STR("detail", why->text));
}

static void note_activity(struct worker *worker)
{
    worker->active_ns = clock_mono_ns(&worker->options.clock);
}

static bool is_quiet(const struct worker *worker)
{
    int64_t quiet_ns = clock_mono_ns(&worker->options.clock) - worker->active_ns;
    return quiet_ns >= worker->options.idle_us * 1000;
}

enum err worker_apply(struct worker *worker, struct batch *batch, bool *out_retry, struct why *why)
{
    bool any = batch->count > 0;
    enum err err = lane_apply(&worker->lane, batch, why);
    if (any) {
        note_activity(worker);
    }
    *out_retry = err_class_of(err) == ERR_CLASS_RETRY;
    if (!*out_retry) {
        return err;
    }
    log_retry(worker, "cannot apply a batch, will try again", why);
    err = batch_nack(batch, worker->options.bus, why);
    return err_class_of(err) == ERR_CLASS_RETRY ? ERR_OK : err;
}

static enum err sweep(struct worker *worker, bool final, struct why *why)
{
    bool done = false;
    enum err err = ERR_OK;
    uint64_t unmatched_before = atomic_load(&worker->sweeper.unmatched);
    while (err == ERR_OK && !done) {
        err = sweeper_step(&worker->sweeper, clock_wall_us(&worker->options.clock), final, &done,
                           why);
        done = done || !final;
    }
    if (atomic_load(&worker->sweeper.unmatched) != unmatched_before) {
        note_activity(worker); // its dead letters are on their way
    }
    return err;
}

static enum err consume_dead_letters(struct worker *worker, bool all, struct why *why)
{
    size_t count = 0;
    enum err err = ERR_OK;
    do {
        err = dead_letter_consume(&worker->dead_letters, &count, why);
        if (count > 0 || err != ERR_OK) {
            note_activity(worker);
        }
    } while (err == ERR_OK && all && count > 0);
    return err;
}

enum err worker_keep_house(struct worker *worker, struct why *why)
{
    int64_t now_ns = clock_mono_ns(&worker->options.clock);
    if (now_ns - worker->last_housekeeping_ns < WORKER_HOUSEKEEPING_US * 1000) {
        return ERR_OK;
    }
    worker->last_housekeeping_ns = now_ns;
    enum err err = ERR_OK;
    if (worker->options.limits.orders) {
        err = lane_write_status(&worker->lane, why);
    }
    if (err == ERR_OK && worker->options.sweep) {
        err = sweep(worker, false, why);
    }
    if (err == ERR_OK && worker->options.dead_letters) {
        err = consume_dead_letters(worker, false, why);
    }
    if (err == ERR_OK && worker->options.dead_letters) {
        err =
            dead_letter_recheck(&worker->dead_letters, clock_wall_us(&worker->options.clock), why);
    }
    if (err_class_of(err) == ERR_CLASS_RETRY) {
        log_retry(worker, "cannot look after waiting payments now, will try again", why);
        err = ERR_OK;
    }
    return err;
}

static enum err nothing_unacked(struct worker *worker, enum bus_topic topic, bool *in_out_none,
                                struct why *why)
{
    struct bus_backlog backlog = {0};
    enum err err = bus_backlog(worker->options.bus, topic, &backlog, why);
    *in_out_none = *in_out_none && err == ERR_OK && backlog.unacked == 0;
    return err;
}

static enum err finish(struct worker *worker, bool *in_out_none, struct why *why)
{
    const struct worker_options *options = &worker->options;
    enum err err = ERR_OK;
    if (options->limits.orders) {
        err = nothing_unacked(worker, BUS_ORDERS, in_out_none, why);
    }
    if (err == ERR_OK && options->limits.payments) {
        err = nothing_unacked(worker, BUS_PAYMENTS, in_out_none, why);
    }
    if (err == ERR_OK && *in_out_none && options->limits.orders) {
        err = lane_write_status(&worker->lane, why); // for a sweep by another process, later
    }
    if (err == ERR_OK && *in_out_none && options->sweep) {
        err = sweep(worker, options->limits.orders, why);
    }
    if (err == ERR_OK && *in_out_none && options->dead_letters) {
        err = consume_dead_letters(worker, true, why);
    }
    return err;
}

enum err worker_finish(struct worker *worker, bool *out_finished, struct why *why)
{
    bool none = is_quiet(worker);
    enum err err = none ? finish(worker, &none, why) : ERR_OK;
    *out_finished = err == ERR_OK && none && is_quiet(worker);
    if (err_class_of(err) == ERR_CLASS_RETRY) {
        log_retry(worker, "cannot finish now, will try again", why);
        note_activity(worker);
        err = ERR_OK;
    }
    return err;
}

enum err worker_close(struct worker *worker, bool failed, struct why *why)
{
    enum err err = ERR_OK;
    if (failed) {
        lane_abandon(&worker->lane);
    } else {
        err = lane_close(&worker->lane, why);
    }
    sweeper_deinit(&worker->sweeper);
    dead_letter_consumer_deinit(&worker->dead_letters);
    return err;
}
