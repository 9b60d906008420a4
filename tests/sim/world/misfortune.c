// Each kind of misfortune is a timer that sets itself again.
#include "misfortune.h"

#include <stdlib.h>

typedef void strike_fn(struct world *world, const struct misfortune *misfortune);

struct recurring {
    struct world *world;
    const struct misfortune *misfortune;
    strike_fn *strike;
};

static void strike_and_rearm(void *context);

// Times between two are drawn so that both soon and late come up.
static void arm(struct recurring *recurring)
{
    struct sim *sim = recurring->world->sim;
    int64_t wait_us = rand_between(sim_rand(sim), 1, 2 * recurring->misfortune->every_us);
    sim_at(sim, sim_now_us(sim) + wait_us, strike_and_rearm, recurring);
}

static void strike_and_rearm(void *context)
{
    struct recurring *recurring = context;
    if (!recurring->world->calm) {
        recurring->strike(recurring->world, recurring->misfortune);
        arm(recurring);
    }
}

static int64_t draw_lasting(struct world *world, const struct misfortune *misfortune)
{
    int64_t longest_us = misfortune->lasts_us > 1 ? misfortune->lasts_us : 1;
    return rand_between(sim_rand(world->sim), 1, longest_us);
}

static struct seat *any_seat(struct world *world)
{
    struct seat *seat = world->seats[rand_below(sim_rand(world->sim), world->seat_count)];
    return seat->task != NULL ? seat : NULL;
}

// Half of them die in one of their next waits, so that every place in a batch comes up.
static void kill_one(struct world *world, const struct misfortune *misfortune)
{
    (void)misfortune;
    struct seat *seat = any_seat(world);
    if (seat == NULL) {
        return;
    }
    world->kills++;
    if (rand_below(sim_rand(world->sim), 2) == 0) {
        seat_kill(seat);
    } else {
        task_kill_in_wait(seat->task, 1 + rand_below(sim_rand(world->sim), 40));
    }
}

// A producer that starts over and over never comes to its end, so it is left in peace at last.
static void kill_producer(struct world *world, const struct misfortune *misfortune)
{
    (void)misfortune;
    if (sim_now_us(world->sim) - SIM_EPOCH_US > world->plan.trouble_us) {
        return;
    }
    struct producer *producer =
        &world->producers[rand_below(sim_rand(world->sim), world->producer_count)];
    if (producer->task != NULL) {
        world->kills++;
        task_kill(producer->task);
    }
}

static void stall(struct world *world, const struct misfortune *misfortune)
{
    struct seat *seat = any_seat(world);
    if (seat != NULL) {
        world->other_faults++;
        task_stall(seat->task, draw_lasting(world, misfortune));
    }
}

static void jump(struct world *world, const struct misfortune *misfortune)
{
    struct seat *seat = any_seat(world);
    if (seat != NULL) {
        world->other_faults++;
        seat->skew_us =
            rand_between(sim_rand(world->sim), -misfortune->lasts_us, misfortune->lasts_us);
    }
}

// --- replicas -----------------------------------------------------------------------------------

struct recovery {
    struct world *world;
    unsigned replica;
};

static void restart_replica(void *context)
{
    const struct recovery *recovery = context;
    if (!cluster_is_up(recovery->world->cluster, recovery->replica)) {
        cluster_restart(recovery->world->cluster, recovery->replica);
    }
}

static void speed_up_replica(void *context)
{
    const struct recovery *recovery = context;
    cluster_slow_down(recovery->world->cluster, recovery->replica, 1);
}

static void later(struct world *world, unsigned replica, int64_t us, sim_fn *fn)
{
    struct recovery *recovery = sim_alloc(world->sim, sizeof(*recovery));
    *recovery = (struct recovery){world, replica};
    sim_at(world->sim, sim_now_us(world->sim) + us, fn, recovery);
}

static void crash(struct world *world, const struct misfortune *misfortune)
{
    unsigned down = 0;
    for (unsigned i = 0; i < CLUSTER_REPLICAS; i++) {
        down += !cluster_is_up(world->cluster, i);
    }
    unsigned replica = (unsigned)rand_below(sim_rand(world->sim), CLUSTER_REPLICAS);
    if (down < world->plan.replicas_down_max && cluster_is_up(world->cluster, replica)) {
        world->other_faults++;
        cluster_crash(world->cluster, replica);
        later(world, replica, draw_lasting(world, misfortune), restart_replica);
    }
}

static void slow_down(struct world *world, const struct misfortune *misfortune)
{
    unsigned replica = (unsigned)rand_below(sim_rand(world->sim), CLUSTER_REPLICAS);
    world->other_faults++;
    cluster_slow_down(world->cluster, replica, rand_between(sim_rand(world->sim), 2, 500));
    later(world, replica, draw_lasting(world, misfortune), speed_up_replica);
}

// Somebody puts a dead letter's body through again, as a message of its own.
static void replay(struct world *world, const struct misfortune *misfortune)
{
    (void)misfortune;
    size_t count = sim_broker_message_count(world->broker, BUS_PAYMENTS_DLQ);
    if (count > 0) {
        const struct sim_message *letter = sim_broker_message(
            world->broker, BUS_PAYMENTS_DLQ, (size_t)rand_below(sim_rand(world->sim), count));
        world->other_faults++;
        sim_broker_publish(world->broker, BUS_PAYMENTS, letter->data, (struct attributes){0});
    }
}

void misfortunes_begin(struct world *world)
{
    const struct plan *plan = &world->plan;
    const struct {
        const struct misfortune *misfortune;
        strike_fn *strike;
        bool of_replicas;
    } kinds[] = {
        {&plan->kill, kill_one, false}, {&plan->kill_producer, kill_producer, false},
        {&plan->stall, stall, false},   {&plan->jump, jump, false},
        {&plan->crash, crash, true},    {&plan->slow, slow_down, true},
        {&plan->replay, replay, false},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        bool fits = !kinds[i].of_replicas || plan->shape == STORE_CLUSTER;
        if (fits && kinds[i].misfortune->every_us > 0) {
            struct recurring *recurring = sim_alloc(world->sim, sizeof(*recurring));
            *recurring = (struct recurring){world, kinds[i].misfortune, kinds[i].strike};
            arm(recurring);
        }
    }
}

void misfortunes_end(struct world *world)
{
    struct plan calm;
    plan_calm(&calm);
    world->calm = true;
    *sim_broker_weather(world->broker) = calm.broker;
    *cluster_weather(world->cluster) = calm.cluster;
    for (unsigned i = 0; i < CLUSTER_REPLICAS && world->plan.shape == STORE_CLUSTER; i++) {
        cluster_slow_down(world->cluster, i, 1);
        if (!cluster_is_up(world->cluster, i)) {
            cluster_restart(world->cluster, i);
        }
    }
    for (size_t i = 0; i < world->seat_count; i++) {
        struct seat *seat = world->seats[i];
        seat->skew_us = 0;
        seat->drift_ppm = 0;
        seat_start(seat); // those that were held back, too
    }
}
