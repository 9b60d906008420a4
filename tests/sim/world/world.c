// Setting a world up, playing it, and looking at what it came to.
#include "world.h"

#include "misfortune.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PUBLISH_TIME_MAX_US (40 * 60 * US_PER_SECOND) // then the input counts as stuck
#define HEAL_TIME_US        (27 * 3600 * US_PER_SECOND)
#define QUIET_IDLE_US       (3600 * US_PER_SECOND)
#define SLICE_US            (US_PER_SECOND / 2)
#define QUIET_US            (5 * US_PER_SECOND) // as the program has it for a bus without order

static const struct {
    const char *name;
} disarm_names[] = {
#define X(name, field) {#name},
    WORLD_DISARM_TABLE(X)
#undef X
};

const char *world_disarm_name(enum world_disarm what)
{
    return disarm_names[what].name;
}

static void disarm(struct plan *plan, uint32_t what)
{
#define X(name, field)                                                                             \
    if ((what >> WORLD_DISARM_##name & 1u) != 0) {                                                 \
        plan->field = 0;                                                                           \
    }
    WORLD_DISARM_TABLE(X)
#undef X
}

void plan_calm(struct plan *plan)
{
    *plan = (struct plan){
        .shape = STORE_CLUSTER,
        .order_seats = 1,
        .payment_seats = 1,
        .sweeper_seats = 1,
        .dead_letter_seats = 1,
        .batch_max = 50,
        .producers = 2,
        .generator = {.pairs = 150, .first_order_id = 1},
        .rules = pipeline_rules_default(),
        .broker = {.delay_max_us = 2000, .latency_max_us = 1000, .lease_us = 10 * US_PER_SECOND},
        .cluster = {.latency_min_us = 100,
                    .latency_max_us = 1000,
                    .late_max_us = 5 * US_PER_SECOND,
                    .timeout_us = 2 * US_PER_SECOND},
        .replicas_down_max = 1,
        .trouble_us = 10 * US_PER_SECOND,
    };
    plan->rules.fold.want_set_hash = true;
    plan->rules.grace_us = 5 * US_PER_SECOND;
    plan->rules.bucket_us = US_PER_SECOND;
    plan->rules.max_hold_us = 30 * US_PER_SECOND;
    plan->rules.quiet_us = QUIET_US;
    plan->rules.shards = 2;
}

// --- setting up ---------------------------------------------------------------------------------

struct seat *world_add_seat(struct world *world, const char *kind, unsigned roles)
{
    assert(world->seat_count < WORLD_SEATS_MAX);
    const struct plan *plan = &world->plan;
    struct seat_options options = {
        .sim = world->sim,
        .broker = world->broker,
        .cluster = world->cluster,
        .rules = &world->plan.rules,
        .roles = roles,
        .batch_max = plan->batch_max,
        .fold_epoch = 1,
        .restart_min_us = 1000,
        .restart_max_us = plan->kill.lasts_us > 1000 ? plan->kill.lasts_us : US_PER_SECOND,
    };
    (void)snprintf(options.name, sizeof(options.name), "%s-%zu", kind, world->seat_count);
    struct seat *seat = seat_create(&options);
    struct rand *rand = sim_rand(world->sim);
    seat->skew_us = rand_between(rand, -plan->clock_skew_max_us, plan->clock_skew_max_us);
    seat->drift_ppm = rand_between(rand, -plan->drift_max_ppm, plan->drift_max_ppm);
    world->seats[world->seat_count++] = seat;
    return seat;
}

static void add_seats(struct world *world)
{
    static const struct {
        const char *kind;
        unsigned roles;
    } kinds[] = {{"orders", SEAT_ORDERS},
                 {"payments", SEAT_PAYMENTS},
                 {"sweeper", SEAT_SWEEPER},
                 {"letters", SEAT_DEAD_LETTERS},
                 {"whole", SEAT_ALL}};
    const struct plan *plan = &world->plan;
    const unsigned counts[] = {plan->order_seats, plan->payment_seats, plan->sweeper_seats,
                               plan->dead_letter_seats, plan->whole_seats};
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        for (unsigned i = 0; i < counts[kind]; i++) {
            (void)world_add_seat(world, kinds[kind].kind, kinds[kind].roles);
        }
    }
}

struct rewinding {
    struct world *world;
    size_t part;
};

static struct source *rewind_script(void *context)
{
    const struct rewinding *rewinding = context;
    struct world *world = rewinding->world;
    if (!world->plan.one_topic_producers) {
        return script_source(&world->script, rewinding->part, world->producer_count,
                             BUS_TOPIC_COUNT);
    }
    return script_source(&world->script, rewinding->part / 2, (world->producer_count + 1) / 2,
                         rewinding->part % 2 == 0 ? BUS_ORDERS : BUS_PAYMENTS);
}

static void add_producers(struct world *world)
{
    const struct plan *plan = &world->plan;
    world->producer_count = plan->producers;
    if (plan->one_topic_producers && world->producer_count % 2 == 1) {
        world->producer_count++;
    }
    for (size_t i = 0; i < world->producer_count; i++) {
        struct rewinding *rewinding = sim_alloc(world->sim, sizeof(*rewinding));
        *rewinding = (struct rewinding){world, i};
        world->producers[i] = (struct producer){
            .sim = world->sim,
            .broker = world->broker,
            .rewind = rewind_script,
            .context = rewinding,
            .rate_per_second = plan->producer_rate,
            .starts_over = true,
        };
    }
}

static void write_script(struct world *world)
{
    script_init(&world->script, world->sim);
    struct generator_options generator = world->plan.generator;
    generator.seed = rand_u64(sim_rand(world->sim));
    if (generator.pairs > 0) {
        script_add_generated(&world->script, &generator);
    }
    if (world->scenario->write != NULL) {
        world->scenario->write(&world->script, &world->plan);
    }
    if (world->plan.shuffle > 1) {
        script_shuffle(&world->script, world->plan.shuffle);
    }
}

static bool nothing_fails(const struct plan *plan)
{
    const struct broker_weather *broker = &plan->broker;
    const struct cluster_weather *cluster = &plan->cluster;
    int64_t misfortune_us = plan->kill.every_us + plan->kill_producer.every_us +
                            plan->stall.every_us + plan->jump.every_us + plan->crash.every_us +
                            plan->slow.every_us + plan->replay.every_us;
    uint32_t faults_ppm = broker->twice_ppm + broker->ack_lost_ppm + broker->ack_failed_ppm +
                          broker->pull_failed_ppm + broker->publish_failed_ppm + cluster->late_ppm +
                          cluster->lost_ppm + cluster->twice_ppm + cluster->answer_lost_ppm;
    return misfortune_us == 0 && faults_ppm == 0 && plan->clock_skew_max_us == 0 &&
           plan->drift_max_ppm == 0;
}

// A process learns that an order is full from the batch with which it comes to be so, or goes beyond it; one
// that starts anew learns it again. In a transaction it is known before.
static size_t above_full_max(const struct plan *plan)
{
    if (plan->shape == STORE_EMBEDDED) {
        return 0;
    }
    size_t seats = plan->order_seats + plan->payment_seats + plan->whole_seats;
    return plan->kill.every_us > 0 ? SIZE_MAX / 2 : seats * plan->batch_max;
}

static void set_up(struct world *world, const struct world_options *options)
{
    world->scenario = options->scenario;
    world->sim = sim_create(options->seed);
    sim_trace_to(world->sim, options->trace);
    struct plan *plan = &world->plan;
    plan_calm(plan);
    world->scenario->draw(plan, sim_rand(world->sim));
    if (plan->shape == STORE_EMBEDDED) {
        plan->rules.quiet_us = 0; // its bus gives messages in order
    }
    disarm(plan, options->disarm);
    if (options->pairs > 0 && plan->generator.pairs > 0) {
        plan->generator.pairs = options->pairs;
    }
    world->broker = sim_broker_create(&(struct broker_options){
        .sim = world->sim,
        .ordered = plan->shape == STORE_EMBEDDED,
        .variant = options->variant,
        .weather = plan->broker,
    });
    world->cluster = cluster_create(&(struct cluster_options){
        .sim = world->sim,
        .shape = plan->shape,
        .variant = options->variant,
        .weather = plan->cluster,
        .commit_log_us = US_PER_SECOND / 10,
    });
    cluster_set_epoch(world->cluster, 1);
    world->checker = checker_create(&(struct checker_options){
        .sim = world->sim,
        .broker = world->broker,
        .cluster = world->cluster,
        .shape = plan->shape,
        .rules = &world->plan.rules,
        .nothing_fails = nothing_fails(plan) && options->kill_wait == 0,
        .above_full_max = above_full_max(plan),
    });
    write_script(world);
    add_seats(world);
    add_producers(world);
}

static void start(struct world *world, const struct world_options *options)
{
    if (world->scenario->begin != NULL) {
        world->scenario->begin(world);
    }
    for (size_t i = 0; i < world->seat_count; i++) {
        if (!world->seats[i]->away) {
            seat_start(world->seats[i]);
        }
    }
    for (size_t i = 0; i < world->producer_count; i++) {
        producer_start(&world->producers[i]);
    }
    if (options->kill_wait > 0) {
        task_kill_in_wait(world->seats[0]->task, options->kill_wait);
    }
    misfortunes_begin(world);
}

// --- playing ------------------------------------------------------------------------------------

static bool broken(const struct world *world)
{
    return checker_violation(world->checker) != NULL;
}

static bool all_published(const struct world *world)
{
    for (size_t i = 0; i < world->producer_count; i++) {
        if (!world->producers[i].done) {
            return false;
        }
    }
    return true;
}

static void note_waiting(const struct waiting_payment *entry, void *context)
{
    (void)entry;
    (*(size_t *)context)++;
}

static bool quiet(struct world *world)
{
    for (size_t topic = 0; topic < BUS_TOPIC_COUNT; topic++) {
        if (sim_broker_unacked(world->broker, (enum bus_topic)topic) > 0) {
            return false;
        }
    }
    size_t waiting = 0;
    cluster_visit_waiting(world->cluster, world->plan.shape == STORE_CLUSTER ? CLUSTER_ALL : 1u,
                          note_waiting, &waiting);
    return waiting == 0;
}

static void run_for(struct world *world, int64_t us)
{
    (void)sim_run_until(world->sim, sim_now_us(world->sim) + us);
}

static void play_with_faults(struct world *world)
{
    int64_t start_us = sim_now_us(world->sim);
    while (!broken(world) && sim_now_us(world->sim) - start_us < PUBLISH_TIME_MAX_US &&
           (!all_published(world) || sim_now_us(world->sim) - start_us < world->plan.trouble_us)) {
        run_for(world, SLICE_US);
    }
}

static void fail(struct world_result *result, const struct world *world, const char *name,
                 const char *detail)
{
    if (result->violation[0] == '\0') {
        (void)snprintf(result->violation, sizeof(result->violation), "%s", name);
        (void)snprintf(result->detail, sizeof(result->detail), "%s", detail);
        result->violation_step = sim_steps(world->sim);
    }
}

// I10: with faults off the backlog drains in bounded time.
static void drain(struct world *world, struct world_result *result)
{
    const struct pipeline_rules *rules = &world->plan.rules;
    int64_t limit_us = rules->grace_us + rules->max_hold_us + 10 * rules->bucket_us +
                       world->plan.broker.lease_us * 3 + 120 * US_PER_SECOND +
                       (int64_t)world->script.count * 10000;
    int64_t start_us = sim_now_us(world->sim);
    while (!broken(world) && !quiet(world)) {
        if (sim_now_us(world->sim) - start_us > limit_us) {
            char detail[200];
            (void)snprintf(detail, sizeof(detail),
                           "after %" PRId64 " s without faults: unacked %zu orders, %zu payments, "
                           "%zu and %zu dead letters",
                           limit_us / US_PER_SECOND, sim_broker_unacked(world->broker, BUS_ORDERS),
                           sim_broker_unacked(world->broker, BUS_PAYMENTS),
                           sim_broker_unacked(world->broker, BUS_ORDERS_DLQ),
                           sim_broker_unacked(world->broker, BUS_PAYMENTS_DLQ));
            fail(result, world, "I10_backlog_drains", detail);
            return;
        }
        run_for(world, SLICE_US);
    }
}

// Long enough for every dead letter to be looked at again.
static void heal(struct world *world)
{
    for (size_t i = 0; i < world->seat_count; i++) {
        world->seats[i]->idle_us = QUIET_IDLE_US;
    }
    for (int64_t passed_us = 0; !broken(world) && passed_us < HEAL_TIME_US;
         passed_us += QUIET_IDLE_US) {
        run_for(world, QUIET_IDLE_US);
    }
}

static bool all_left(const struct world *world)
{
    for (size_t i = 0; i < world->seat_count; i++) {
        if (!seat_empty(world->seats[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < world->producer_count; i++) {
        if (world->producers[i].task != NULL) {
            return false;
        }
    }
    return true;
}

static void end_processes(struct world *world, bool in_good_order)
{
    for (size_t i = 0; i < world->producer_count; i++) {
        world->producers[i].starts_over = false;
        if (world->producers[i].task != NULL) {
            task_kill(world->producers[i].task);
        }
    }
    for (size_t i = 0; i < world->seat_count; i++) {
        seat_stop(world->seats[i]);
        if (!in_good_order) {
            seat_kill(world->seats[i]);
        }
    }
    for (int round = 0; round < 100 && !all_left(world); round++) {
        run_for(world, QUIET_IDLE_US);
    }
    assert(all_left(world));
}

static void expect_fates(struct world *world)
{
    static const enum bus_topic topics[] = {BUS_ORDERS, BUS_PAYMENTS};
    script_index(&world->script);
    for (size_t t = 0; t < 2; t++) {
        size_t count = sim_broker_message_count(world->broker, topics[t]);
        for (size_t i = 0; i < count; i++) {
            const struct sim_message *message = sim_broker_message(world->broker, topics[t], i);
            enum generated_fate fate;
            enum reason reason;
            if (script_fate(&world->script, topics[t], message->data, &fate, &reason)) {
                checker_expect(world->checker, topics[t], message->sequence, fate, reason);
            }
        }
    }
}

static void tell(struct world *world, struct world_result *result)
{
    if (broken(world) && result->violation[0] == '\0') {
        (void)snprintf(result->violation, sizeof(result->violation), "%s",
                       checker_violation(world->checker));
        (void)snprintf(result->detail, sizeof(result->detail), "%s",
                       checker_detail(world->checker));
        result->violation_step = checker_steps_at_violation(world->checker);
    }
    result->steps = sim_steps(world->sim);
    result->digest = sim_digest(world->sim);
    result->simulated_us = sim_now_us(world->sim) - SIM_EPOCH_US;
    result->messages = sim_broker_deliveries(world->broker);
    result->published = sim_broker_message_count(world->broker, BUS_ORDERS) +
                        sim_broker_message_count(world->broker, BUS_PAYMENTS);
    result->kills = world->kills;
    result->faults = sim_broker_faults(world->broker) + cluster_faults(world->cluster) +
                     world->kills + world->other_faults;
    result->checks = checker_checks(world->checker);
    result->waits = world->seats[0]->waits;
}

void world_run(const struct world_options *options, struct world_result *out_result)
{
    struct world world = {0};
    *out_result = (struct world_result){0};
    set_up(&world, options);
    start(&world, options);
    play_with_faults(&world);
    if (!all_published(&world) && !broken(&world)) {
        fail(out_result, &world, "input_never_ends", "a producer could not publish its messages");
    }
    misfortunes_end(&world);
    drain(&world, out_result);
    if (!broken(&world) && out_result->violation[0] == '\0') {
        heal(&world);
    }
    bool fine = !broken(&world) && out_result->violation[0] == '\0';
    end_processes(&world, fine);
    if (fine) {
        expect_fates(&world);
        checker_finish(world.checker);
    }
    tell(&world, out_result);
    checker_destroy(&world.checker);
    script_deinit(&world.script);
    cluster_destroy(&world.cluster);
    sim_broker_destroy(&world.broker);
    sim_destroy(&world.sim);
}
