// What a process does: open, recover, then pull, apply, keep house, wait, until it is told to end.
#include "seat.h"

#include "publisher.h"
#include "worker.h"

#include <assert.h>
#include <stdlib.h>

static int64_t seat_wall_us(void *context)
{
    const struct seat *seat = context;
    int64_t now_us = sim_now_us(seat->options.sim);
    return now_us + seat->skew_us + (now_us - SIM_EPOCH_US) / 1000000 * seat->drift_ppm;
}

static int64_t seat_mono_ns(void *context)
{
    const struct seat *seat = context;
    return (sim_now_us(seat->options.sim) - SIM_EPOCH_US + US_PER_SECOND) * 1000;
}

static void seat_pause_us(void *context, int64_t us)
{
    const struct seat *seat = context;
    (void)task_sleep(seat->options.sim,
                     us); // who is killed meanwhile learns of it at the next call
}

struct clock seat_clock(struct seat *seat)
{
    return (struct clock){.wall_us = seat_wall_us,
                          .mono_ns = seat_mono_ns,
                          .context = seat,
                          .pause_us = seat_pause_us};
}

struct seat *seat_create(const struct seat_options *options)
{
    struct seat *seat = sim_alloc(options->sim, sizeof(*seat));
    seat->options = *options;
    seat->idle_us = 200000;
    seat->held = true;
    return seat;
}

static struct worker_options worker_options_of(struct seat *seat, struct store *store,
                                               struct bus *bus)
{
    const struct seat_options *options = &seat->options;
    return (struct worker_options){
        .bus = bus,
        .store = store,
        .rules = options->rules,
        .clock = seat_clock(seat),
        .name = text_of(options->name),
        .limits = {.count_max = options->batch_max,
                   .size_max = 1u << 20,
                   .orders = (options->roles & SEAT_ORDERS) != 0,
                   .payments = (options->roles & SEAT_PAYMENTS) != 0},
        .sweep = (options->roles & SEAT_SWEEPER) != 0,
        .dead_letters = (options->roles & SEAT_DEAD_LETTERS) != 0,
    };
}

// One round. false when the process has to end.
static bool work_once(struct seat *seat, struct worker *worker, struct batch *batch,
                      enum err *out_err, struct why *why)
{
    const struct worker_options *options = &worker->options;
    batch->pulled_us = clock_wall_us(&options->clock);
    enum err err = batch_fetch(batch, options->bus, &options->limits, options->rules, why);
    bool retry = err_class_of(err) == ERR_CLASS_RETRY;
    bool idle = err == ERR_OK && batch->count == 0;
    if (err == ERR_OK) {
        err = worker_apply(worker, batch, &retry, why);
    }
    if (err == ERR_OK) {
        err = worker_keep_house(worker, why);
        seat->batches++;
    }
    if (retry) {
        clock_pause_us(&options->clock, 20000);
        err = ERR_OK;
    } else if (err == ERR_OK && idle) {
        err = bus_wait(options->bus, seat->idle_us, why);
    }
    *out_err = err_class_of(err) == ERR_CLASS_RETRY ? ERR_OK : err;
    return *out_err == ERR_OK && !seat->stopping && !task_killed(seat->task);
}

static enum err live(struct seat *seat, struct worker *worker, struct batch *batch, struct why *why)
{
    enum err err = worker_recover(worker, batch, why);
    if (err != ERR_OK) {
        return err;
    }
    while (work_once(seat, worker, batch, &err, why)) {
    }
    return err;
}

static void sit_down(void *context)
{
    struct seat *seat = context;
    seat_start(seat);
}

static void leave(struct seat *seat)
{
    struct sim *sim = seat->options.sim;
    seat->task = NULL;
    if (!seat->held && !seat->stopping) {
        int64_t wait_us =
            rand_between(sim_rand(sim), seat->options.restart_min_us, seat->options.restart_max_us);
        sim_at(sim, sim_now_us(sim) + wait_us, sit_down, seat);
    }
}

static void process_main(void *context)
{
    struct seat *seat = context;
    struct batch batch;
    struct worker worker;
    struct why why = {0};
    struct store *store =
        store_sim_open(seat->options.cluster, seat_clock(seat), seat->options.fold_epoch);
    struct bus *bus = bus_sim_open(seat->options.broker);
    enum err err = batch_init(&batch);
    assert(err == ERR_OK);
    struct worker_options options = worker_options_of(seat, store, bus);
    err = worker_open(&worker, &options, &why);
    if (err == ERR_OK) {
        err = live(seat, &worker, &batch, &why);
        struct why close_why = {0};
        enum err closed = worker_close(&worker, err != ERR_OK, &close_why);
        (void)closed; // then it looks like one that died
    }
    bool killed = task_killed(seat->task);
    if (err != ERR_OK && !killed) {
        seat->failures++;
        sim_trace(seat->options.sim, "%s ended: %s %s", seat->options.name, err_name(err),
                  why.text);
    }
    seat->waits = seat->starts == 1 ? task_waits(seat->task) : seat->waits;
    batch_deinit(&batch);
    bus_close(&bus);
    store_close(&store);
    leave(seat);
}

void seat_start(struct seat *seat)
{
    seat->held = false;
    if (seat->task == NULL && !seat->stopping) {
        seat->starts++;
        seat->task = task_start(seat->options.sim, process_main, seat);
        sim_trace(seat->options.sim, "%s starts", seat->options.name);
    }
}

void seat_kill(struct seat *seat)
{
    if (seat->task != NULL) {
        sim_trace(seat->options.sim, "%s is killed", seat->options.name);
        task_kill(seat->task);
    }
}

void seat_stop(struct seat *seat)
{
    seat->stopping = true;
}

bool seat_empty(const struct seat *seat)
{
    return seat->task == NULL;
}

// --- producers ----------------------------------------------------------------------------------

static int64_t producer_wall_us(void *context)
{
    return sim_now_us(((const struct producer *)context)->sim);
}

static int64_t producer_mono_ns(void *context)
{
    return (sim_now_us(((const struct producer *)context)->sim) - SIM_EPOCH_US) * 1000;
}

static void producer_pause_us(void *context, int64_t us)
{
    struct producer *producer = context;
    if (!task_sleep(producer->sim, us)) {
        atomic_store(&producer->stop, true);
    }
}

static void producer_restart(void *context)
{
    producer_start(context);
}

static void producer_main(void *context)
{
    struct producer *producer = context;
    struct source *source = producer->rewind(producer->context);
    struct bus *bus = bus_sim_open(producer->broker);
    struct publisher publisher = {
        .bus = bus,
        .source = source,
        .clock = {.wall_us = producer_wall_us,
                  .mono_ns = producer_mono_ns,
                  .context = producer,
                  .pause_us = producer_pause_us},
        .rate_per_second = producer->rate_per_second,
        .stop = &producer->stop,
    };
    publisher_run(&publisher);
    bool killed = task_killed(producer->task);
    producer->done = !killed;
    source->close(source);
    bus_close(&bus);
    producer->task = NULL;
    if (killed && producer->starts_over) {
        sim_at(producer->sim, sim_now_us(producer->sim) + US_PER_SECOND, producer_restart,
               producer);
    } else {
        producer->done = true;
    }
}

void producer_start(struct producer *producer)
{
    atomic_store(&producer->stop, false);
    producer->task = task_start(producer->sim, producer_main, producer);
}
