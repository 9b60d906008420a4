// Each way is three or four functions of steps. A step does one thing with the store; what a step
// read is out of date as soon as it ends.
#include "wrong_variants.h"

// --- the protocol, and the time stamps that break it -----------------------------------------------

typedef uint64_t stamp_fn(const struct world *world, const struct worker *worker);

static uint64_t wall_clock(const struct world *world, const struct worker *worker)
{
    return (uint64_t)(world->steps + worker->clock_skew);
}

static uint64_t event_time(const struct world *world, const struct worker *worker)
{
    (void)world;
    return world_event_time(worker->hand);
}

static enum progress insert_read_project(struct world *world, struct worker *worker,
                                         stamp_fn *stamp)
{
    switch (worker->step) {
    case 0:
        (void)list_add(&world->stored, worker->hand);
        return GOES_ON;
    case 1:
        world_read(world, worker);
        return GOES_ON;
    case 2:
        if (worker->saw_order) {
            world_project(world, worker, stamp(world, worker));
            return DONE;
        }
        (void)list_add(&world->waiting, worker->hand);
        return DONE;
    }
    return DONE;
}

static enum progress sweep(struct world *world, struct worker *worker, stamp_fn *stamp)
{
    switch (worker->step) {
    case 0:
        world_read(world, worker);
        return GOES_ON;
    case 1:
        if (worker->saw_order) {
            world_project(world, worker, stamp(world, worker));
        } else {
            world_publish_dead_letter(world, worker->hand);
        }
        return GOES_ON;
    case 2:
        list_remove(&world->waiting, worker->hand);
        return DONE;
    }
    return DONE;
}

static enum progress record(struct world *world, struct worker *worker, stamp_fn *stamp)
{
    if (worker->step == 0) {
        world_read(world, worker);
        return GOES_ON;
    }
    if (worker->saw_order) {
        world_project(world, worker, stamp(world, worker));
    } else {
        (void)list_add(&world->dead, worker->hand);
    }
    return DONE;
}

// STAMPED(name, stamp): the three functions and the variant with that time stamp.
#define STAMPED(variant_name, stamp, description)                                                  \
    static enum progress variant_name##_apply(struct world *world, struct worker *worker)          \
    {                                                                                              \
        return insert_read_project(world, worker, stamp);                                          \
    }                                                                                              \
    static enum progress variant_name##_record(struct world *world, struct worker *worker)         \
    {                                                                                              \
        return record(world, worker, stamp);                                                       \
    }                                                                                              \
    static enum progress variant_name##_sweep(struct world *world, struct worker *worker)          \
    {                                                                                              \
        return sweep(world, worker, stamp);                                                        \
    }                                                                                              \
    const struct variant variant_##variant_name = {                                                \
        .name = description,                                                                       \
        .steps = {[WORKER_ORDERS] = variant_name##_apply,                                          \
                  [WORKER_PAYMENTS] = variant_name##_apply,                                        \
                  [WORKER_DEAD_LETTERS] = variant_name##_record,                                   \
                  [WORKER_SWEEPER] = variant_name##_sweep},                                        \
    };

STAMPED(protocol, world_set_stamp, "the protocol")
STAMPED(wall_clock, wall_clock, "time stamps of the wall clock")
STAMPED(event_time, event_time, "time stamps of the events")

// --- one row an order ------------------------------------------------------------------------------

static enum progress write_order_columns(struct world *world, struct worker *worker)
{
    world_row(world, worker->hand->order_id)->order = worker->hand;
    return DONE;
}

static enum progress write_order_row(struct world *world, struct worker *worker)
{
    struct mem_row *row = world_row(world, worker->hand->order_id);
    row->order = worker->hand;
    row->payment = NULL;
    return DONE;
}

static enum progress write_payment_columns(struct world *world, struct worker *worker)
{
    world_row(world, worker->hand->order_id)->payment = worker->hand;
    return DONE;
}

const struct variant variant_own_columns = {
    .name = "one row an order, own columns only",
    .keeps_columns = true,
    .steps = {[WORKER_ORDERS] = write_order_columns, [WORKER_PAYMENTS] = write_payment_columns},
};
const struct variant variant_nulls_included = {
    .name = "the order with all columns, nulls included",
    .keeps_columns = true,
    .steps = {[WORKER_ORDERS] = write_order_row, [WORKER_PAYMENTS] = write_payment_columns},
};
const struct variant variant_last_write_wins = {
    .name = "one payment a row, the last write wins",
    .keeps_columns = true,
    .steps = {[WORKER_ORDERS] = write_order_columns, [WORKER_PAYMENTS] = write_payment_columns},
};

// --- read, then decide -----------------------------------------------------------------------------

// Reads the order; then writes the payment to it, or publishes a dead letter, and acks.
static enum progress read_then_publish(struct world *world, struct worker *worker)
{
    if (worker->step == 0) {
        world_read(world, worker);
        return GOES_ON;
    }
    if (worker->saw_order) {
        return write_payment_columns(world, worker);
    }
    world_publish_dead_letter(world, worker->hand);
    return DONE;
}

static enum progress read_then_publish_unawaited(struct world *world, struct worker *worker)
{
    if (worker->step == 0) {
        world_read(world, worker);
        return GOES_ON;
    }
    if (worker->saw_order) {
        return write_payment_columns(world, worker);
    }
    (void)list_add(&worker->unsent, worker->hand); // on its way, as far as anybody knows
    return DONE;
}

// Three ends of a dead letter whose order is not there.
static enum progress retry_until_the_end(struct world *world, struct worker *worker)
{
    if (!world_input_ended(world)) {
        return GIVE_BACK;
    }
    if (worker->step == 1) {
        world_read(world, worker); // the last order may have come after the first look
        return GOES_ON;
    }
    (void)list_add(&world->dead, worker->hand);
    return DONE;
}

static enum progress record_for_good(struct world *world, struct worker *worker)
{
    (void)list_add(&world->dead, worker->hand);
    return DONE;
}

static enum progress forget(struct world *world, struct worker *worker)
{
    (void)world;
    (void)worker;
    return DONE;
}

static enum progress heal_or(struct world *world, struct worker *worker, step_fn *no_order)
{
    if (worker->step == 0) {
        world_read(world, worker);
        return GOES_ON;
    }
    return worker->saw_order ? write_payment_columns(world, worker) : no_order(world, worker);
}

static enum progress heal_or_retry(struct world *world, struct worker *worker)
{
    return heal_or(world, worker, retry_until_the_end);
}

static enum progress heal_or_record(struct world *world, struct worker *worker)
{
    return heal_or(world, worker, record_for_good);
}

static enum progress heal_or_forget(struct world *world, struct worker *worker)
{
    return heal_or(world, worker, forget);
}

// Writes the order, then looks for its payments among the recorded dead letters.
static enum progress write_order_and_mend(struct world *world, struct worker *worker)
{
    struct mem_row *row = world_row(world, worker->hand->order_id);
    if (worker->step == 0) {
        row->order = worker->hand;
        return GOES_ON;
    }
    for (size_t i = 0; i < world->dead.count; i++) {
        if (world->dead.items[i]->order_id == row->order_id) {
            row->payment = world->dead.items[i];
        }
    }
    return DONE;
}

const struct variant variant_patient_dead_letters = {
    .name = "dead letters until the order is there",
    .keeps_columns = true,
    .steps = {[WORKER_ORDERS] = write_order_columns,
              [WORKER_PAYMENTS] = read_then_publish,
              [WORKER_DEAD_LETTERS] = heal_or_retry},
};
const struct variant variant_read_then_decide = {
    .name = "read the order, then dead letter or update",
    .keeps_columns = true,
    .steps = {[WORKER_ORDERS] = write_order_columns,
              [WORKER_PAYMENTS] = read_then_publish,
              [WORKER_DEAD_LETTERS] = record_for_good},
};
const struct variant variant_read_then_decide_mended = {
    .name = "the same, orders look among the dead letters",
    .keeps_columns = true,
    .steps = {[WORKER_ORDERS] = write_order_and_mend,
              [WORKER_PAYMENTS] = read_then_publish,
              [WORKER_DEAD_LETTERS] = heal_or_record},
};
const struct variant variant_unawaited_dead_letter = {
    .name = "dead letter not awaited before the ack",
    .keeps_columns = true,
    .steps = {[WORKER_ORDERS] = write_order_columns,
              [WORKER_PAYMENTS] = read_then_publish_unawaited,
              [WORKER_DEAD_LETTERS] = heal_or_retry},
};
const struct variant variant_forgetful_dead_letters = {
    .name = "dead letters acked while the order is missing",
    .keeps_columns = true,
    .steps = {[WORKER_ORDERS] = write_order_columns,
              [WORKER_PAYMENTS] = read_then_publish,
              [WORKER_DEAD_LETTERS] = heal_or_forget},
};
