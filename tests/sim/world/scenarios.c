// Each scenario draws its plan from a calm one; what it does not say stays calm.
#include "scenarios.h"

#include "roll_out.h"
#include "stories.h"

#include <string.h>

static int64_t seconds(int64_t count)
{
    return count * US_PER_SECOND;
}

static unsigned draw_count(struct rand *rand, unsigned low, unsigned high)
{
    return (unsigned)rand_between(rand, low, high);
}

static uint32_t draw_ppm(struct rand *rand, uint32_t high)
{
    return (uint32_t)rand_below(rand, (uint64_t)high + 1);
}

static void draw_processes(struct plan *plan, struct rand *rand)
{
    plan->order_seats = draw_count(rand, 1, 3);
    plan->payment_seats = draw_count(rand, 1, 3);
    plan->sweeper_seats = draw_count(rand, 1, 2);
    plan->dead_letter_seats = draw_count(rand, 1, 2);
    plan->whole_seats = draw_count(rand, 0, 1);
    static const size_t batches[] = {1, 3, 10, 50, 200};
    plan->batch_max = batches[rand_below(rand, 5)];
    plan->producers = draw_count(rand, 1, 4);
    plan->one_topic_producers = rand_below(rand, 2) == 0;
}

// Every story of the generator; about one message in three is not a plain one.
static void draw_stories(struct plan *plan, struct rand *rand)
{
    struct generator_options *generator = &plan->generator;
    generator->pairs = 50 + rand_below(rand, 250);
    generator->random_order_ids = rand_below(rand, 2) == 0;
    generator->early_ppm = draw_ppm(rand, 400000);
    generator->late_ppm = draw_ppm(rand, 200000);
    generator->duplicate_ppm = draw_ppm(rand, 150000);
    generator->orphan_ppm = draw_ppm(rand, 100000);
    generator->conflict_ppm = draw_ppm(rand, 80000);
    generator->corrupt_ppm = draw_ppm(rand, 60000);
    generator->partial_ppm = draw_ppm(rand, 100000);
    generator->overpay_ppm = draw_ppm(rand, 50000);
    generator->refund_ppm = draw_ppm(rand, 100000);
    generator->chargeback_ppm = draw_ppm(rand, 60000);
    generator->failed_retry_ppm = draw_ppm(rand, 100000);
    generator->wrong_currency_ppm = draw_ppm(rand, 40000);
    generator->update_ppm = draw_ppm(rand, 100000);
    plan->shuffle = rand_below(rand, 3) == 0 ? 0 : 1 + (size_t)rand_below(rand, 400);
    static const uint64_t rates[] = {0, 20, 100, 500};
    plan->producer_rate = rates[rand_below(rand, 4)];
}

static void draw_calm(struct plan *plan, struct rand *rand)
{
    draw_processes(plan, rand);
    draw_stories(plan, rand);
    plan->generator.pairs *= 4;
    // Longer than it takes to know how far the orders are, or shorter.
    plan->rules.grace_us = rand_below(rand, 2) == 0 ? seconds(20) : plan->rules.grace_us;
}

static void draw_duplicates(struct plan *plan, struct rand *rand)
{
    draw_calm(plan, rand);
    plan->generator.pairs /= 2;
    plan->generator.duplicate_ppm = 500000;
    plan->broker.twice_ppm = 300000;
    plan->broker.ack_lost_ppm = 200000;
    plan->broker.lease_us = seconds(1);
    plan->cluster.twice_ppm = 200000;
    plan->cluster.late_ppm = 50000;
    plan->kill_producer = (struct misfortune){seconds(4), 0};
}

// --- outages --------------------------------------------------------------------------------------

static void draw_orders_down(struct plan *plan, struct rand *rand)
{
    draw_calm(plan, rand);
    plan->whole_seats = 0;
    plan->trouble_us = seconds(3600);
    plan->rules.max_hold_us = seconds(rand_between(rand, 600, 7200));
}

static void begin_orders_down(struct world *world)
{
    for (size_t i = 0; i < world->seat_count; i++) {
        world->seats[i]->away = (world->seats[i]->options.roles & SEAT_ORDERS) != 0;
        world->seats[i]->idle_us = seconds(2); // an hour is long
    }
}

static void draw_replica_down(struct plan *plan, struct rand *rand)
{
    draw_calm(plan, rand);
    plan->crash = (struct misfortune){seconds(1), seconds(60)};
    plan->trouble_us = seconds(30);
}

static void draw_replica_slow(struct plan *plan, struct rand *rand)
{
    draw_calm(plan, rand);
    plan->slow = (struct misfortune){seconds(1), seconds(20)};
    plan->cluster.late_ppm = 20000;
    plan->trouble_us = seconds(30);
}

static void draw_replica_flapping(struct plan *plan, struct rand *rand)
{
    draw_calm(plan, rand);
    plan->crash = (struct misfortune){seconds(1) / 5, seconds(1) / 2};
    plan->cluster.lost_ppm = 20000;
    plan->trouble_us = seconds(20);
}

static void draw_two_replicas_down(struct plan *plan, struct rand *rand)
{
    draw_calm(plan, rand);
    plan->replicas_down_max = draw_count(rand, 2, 3);
    plan->crash = (struct misfortune){seconds(2), seconds(20)};
    plan->trouble_us = seconds(60);
}

// --- processes ------------------------------------------------------------------------------------

// Where lanes die often, none may ever know how far the orders are. In half of the worlds they say so too
// soon, so that sweepers are at work all the same.
static void draw_haste(struct plan *plan, struct rand *rand)
{
    if (rand_below(rand, 2) == 0) {
        plan->rules.quiet_us = 0;
    }
}

static void draw_kills(struct plan *plan, struct rand *rand)
{
    draw_processes(plan, rand);
    draw_stories(plan, rand);
    plan->kill = (struct misfortune){seconds(1) / (1 + (int64_t)rand_below(rand, 20)), seconds(2)};
    plan->kill_producer = (struct misfortune){seconds(5), 0};
    plan->broker.lease_us = seconds(2);
    plan->trouble_us = seconds(15);
    draw_haste(plan, rand);
}

// Small grace and buckets, slow writes: inserters and sweepers meet in the same bucket.
static void draw_bucket_closing(struct plan *plan, struct rand *rand)
{
    draw_processes(plan, rand);
    draw_stories(plan, rand);
    plan->sweeper_seats = 2;
    plan->generator.orphan_ppm = 400000;
    plan->generator.early_ppm = 600000;
    plan->rules.grace_us = rand_below(rand, 2) == 0 ? 0 : seconds(1) / 10;
    plan->rules.bucket_us = seconds(1) / 10;
    plan->rules.max_hold_us = 0;
    plan->rules.quiet_us = 0; // a start after a death waits for that long
    plan->rules.shards = 1;
    plan->cluster.latency_max_us = seconds(1) / 4;
    plan->cluster.lost_ppm = 30000;
    plan->cluster.late_ppm = 50000;
    plan->clock_skew_max_us = seconds(2);
    plan->producer_rate = 100;
    plan->trouble_us = seconds(20);
}

static void draw_stalled_writers(struct plan *plan, struct rand *rand)
{
    draw_bucket_closing(plan, rand);
    plan->cluster.latency_max_us = seconds(1) / 50;
    plan->stall = (struct misfortune){seconds(1) / 5, seconds(10)};
    plan->broker.lease_us = seconds(2);
}

static void draw_letters_twice(struct plan *plan, struct rand *rand)
{
    draw_kills(plan, rand);
    plan->generator.orphan_ppm = 300000;
    plan->generator.early_ppm = 400000;
    plan->rules.grace_us = 0;
    plan->rules.max_hold_us = 0;
    plan->rules.bucket_us = seconds(1) / 2;
    plan->broker.publish_failed_ppm = 300000;
    plan->broker.twice_ppm = 100000;
    plan->rules.dead_letter_age_max_us = seconds(3600 * rand_between(rand, 1, 10));
}

static void draw_replay(struct plan *plan, struct rand *rand)
{
    draw_processes(plan, rand);
    draw_stories(plan, rand);
    plan->generator.early_ppm = 700000;
    plan->rules.grace_us = 0;
    plan->rules.max_hold_us = 0;
    plan->rules.bucket_us = seconds(1) / 2;
    plan->replay = (struct misfortune){seconds(1) / 20, 0};
    plan->shuffle = 300;
    plan->producer_rate = 50;
    plan->trouble_us = seconds(20);
}

// --- a new fold -----------------------------------------------------------------------------------

static int64_t wide_tolerance[256];

static void draw_new_epoch(struct plan *plan, struct rand *rand)
{
    draw_processes(plan, rand);
    draw_stories(plan, rand);
    plan->generator.overpay_ppm = 300000;
    plan->kill = (struct misfortune){seconds(1) / 2, seconds(1)};
    plan->trouble_us = seconds(20);
    draw_haste(plan, rand);
}

static void begin_new_epoch(struct world *world)
{
    for (size_t i = 0; i < sizeof(wide_tolerance) / sizeof(wide_tolerance[0]); i++) {
        wide_tolerance[i] = 100000;
    }
    world->first_rules = world->plan.rules;
    world->plan.rules.fold.tolerance_minor = wide_tolerance;
    roll_out_begin(world, SIM_EPOCH_US + seconds(3));
}

// --- what producers say ---------------------------------------------------------------------------

static void draw_random_messages(struct plan *plan, struct rand *rand)
{
    draw_processes(plan, rand);
    plan->generator.pairs = 0;
    plan->shuffle = 1000;
    plan->producers = draw_count(rand, 2, 4);
    plan->kill = (struct misfortune){seconds(1), seconds(1)};
    plan->kill_producer = (struct misfortune){seconds(3), 0};
    plan->broker.twice_ppm = 50000;
    draw_haste(plan, rand);
}

// --- all at once ----------------------------------------------------------------------------------

static struct misfortune maybe(struct rand *rand, int64_t every_us, int64_t lasts_us)
{
    if (rand_below(rand, 2) == 0) {
        return (struct misfortune){0};
    }
    return (struct misfortune){every_us / (1 + (int64_t)rand_below(rand, 8)), lasts_us};
}

static void draw_weather(struct plan *plan, struct rand *rand)
{
    plan->broker = (struct broker_weather){
        .delay_max_us = rand_between(rand, 1, seconds(2)),
        .latency_max_us = rand_between(rand, 1, 20000),
        .lease_us = seconds(rand_between(rand, 1, 20)),
        .twice_ppm = draw_ppm(rand, 50000),
        .ack_lost_ppm = draw_ppm(rand, 50000),
        .ack_failed_ppm = draw_ppm(rand, 50000),
        .pull_failed_ppm = draw_ppm(rand, 50000),
        .publish_failed_ppm = draw_ppm(rand, 100000),
    };
    plan->cluster = (struct cluster_weather){
        .latency_min_us = 100,
        .latency_max_us = rand_between(rand, 500, 100000),
        .late_max_us = rand_between(rand, 1, seconds(20)),
        .timeout_us = rand_between(rand, seconds(1) / 2, seconds(3)),
        .late_ppm = draw_ppm(rand, 20000),
        .lost_ppm = draw_ppm(rand, 20000),
        .twice_ppm = draw_ppm(rand, 20000),
        .answer_lost_ppm = draw_ppm(rand, 10000),
    };
}

static void draw_everything(struct plan *plan, struct rand *rand)
{
    draw_processes(plan, rand);
    draw_stories(plan, rand);
    draw_weather(plan, rand);
    plan->kill = maybe(rand, seconds(2), seconds(3));
    plan->kill_producer = maybe(rand, seconds(10), 0);
    plan->stall = maybe(rand, seconds(2), seconds(15));
    plan->jump = maybe(rand, seconds(3), seconds(100));
    plan->crash = maybe(rand, seconds(3), seconds(10));
    plan->slow = maybe(rand, seconds(3), seconds(10));
    plan->replay = maybe(rand, seconds(1), 0);
    plan->replicas_down_max = draw_count(rand, 1, 2);
    plan->clock_skew_max_us = rand_below(rand, 2) == 0 ? 0 : seconds(rand_between(rand, 1, 100));
    plan->drift_max_ppm = rand_between(rand, 0, 20000);
    static const int64_t graces_us[] = {0, 100000, 1000000, 5000000};
    plan->rules.grace_us = graces_us[rand_below(rand, 4)];
    plan->rules.bucket_us = rand_between(rand, 1, 20) * 100000;
    plan->rules.max_hold_us = seconds(rand_between(rand, 0, 30));
    plan->rules.shards = (int32_t)rand_between(rand, 1, 4);
    plan->trouble_us = seconds(rand_between(rand, 5, 40));
    draw_haste(plan, rand);
}

static void draw_embedded(struct plan *plan, struct rand *rand)
{
    draw_everything(plan, rand);
    plan->shape = STORE_EMBEDDED;
    plan->order_seats = plan->payment_seats = 0;
    plan->sweeper_seats = plan->dead_letter_seats = 0;
    plan->whole_seats = 1;
}

// Notes reach a minority while their writers wake up late, die or time out, and payments of the same few
// orders go on.
static void draw_notes_in_doubt(struct plan *plan, struct rand *rand)
{
    plan->order_seats = 2;
    plan->payment_seats = 3;
    plan->sweeper_seats = 3;
    plan->dead_letter_seats = 2;
    plan->batch_max = draw_count(rand, 1, 3);
    plan->generator.pairs = 0;
    plan->shuffle = 12;
    plan->producer_rate = 5 * (1 + rand_below(rand, 4));
    plan->rules.grace_us = 0;
    plan->rules.max_hold_us = 0;
    plan->rules.quiet_us = 0; // a start after a death waits for that long
    plan->rules.bucket_us = seconds(1) / 10;
    plan->broker.lease_us = seconds(1);
    plan->cluster.lost_ppm = 250000;
    plan->cluster.answer_lost_ppm = 50000;
    plan->cluster.latency_max_us = 20000;
    plan->cluster.timeout_us = seconds(1) / 4;
    plan->crash = (struct misfortune){seconds(1) / 5, seconds(1)};
    plan->kill = (struct misfortune){seconds(2), seconds(1)};
    plan->stall = (struct misfortune){seconds(1) / 20, seconds(2)};
    plan->trouble_us = seconds(15);
}

// Small worlds of one process, in which a death is tried at every call.
static void draw_one_process(struct plan *plan, struct rand *rand)
{
    (void)rand;
    plan->order_seats = plan->payment_seats = 0;
    plan->sweeper_seats = plan->dead_letter_seats = 0;
    plan->whole_seats = 1;
    plan->producers = 1;
    plan->batch_max = 4;
    plan->generator = (struct generator_options){.pairs = 40,
                                                 .first_order_id = 1,
                                                 .early_ppm = 500000,
                                                 .orphan_ppm = 200000,
                                                 .conflict_ppm = 100000,
                                                 .corrupt_ppm = 100000,
                                                 .partial_ppm = 100000,
                                                 .update_ppm = 100000};
    plan->rules.grace_us = 0;
    plan->rules.max_hold_us = 0;
    plan->rules.shards = 1;
    plan->producer_rate = 20;
    plan->trouble_us = seconds(4);
}

static void draw_one_process_embedded(struct plan *plan, struct rand *rand)
{
    draw_one_process(plan, rand);
    plan->shape = STORE_EMBEDDED;
}

// --- one store of one transaction: what it keeps and what it counts ---------------------------------

static void draw_embedded_messages(struct plan *plan, struct rand *rand)
{
    draw_random_messages(plan, rand);
    plan->shape = STORE_EMBEDDED;
    plan->order_seats = plan->payment_seats = 0;
    plan->sweeper_seats = plan->dead_letter_seats = 0;
    plan->whole_seats = 1;
    plan->broker.ack_lost_ppm = 100000;
    plan->broker.lease_us = seconds(2);
}

// The same orders where several processes write to a store that does not say what is new.
static void draw_hot_orders_shared(struct plan *plan, struct rand *rand)
{
    plan->order_seats = draw_count(rand, 1, 2);
    plan->payment_seats = draw_count(rand, 1, 2);
    plan->batch_max = 50;
    plan->generator.pairs = 0;
    plan->shuffle = 1000;
    plan->broker.twice_ppm = 50000;
    plan->kill = maybe(rand, seconds(2), seconds(1));
}

static const struct scenario scenarios[] = {
    {"calm", "nothing fails", draw_calm, NULL, NULL},
    {"duplicates", "storms of duplicates on every way", draw_duplicates, NULL, NULL},
    {"orders_down", "no order consumer runs for an hour", draw_orders_down, NULL,
     begin_orders_down},
    {"replica_down", "one replica is down for long", draw_replica_down, NULL, NULL},
    {"replica_slow", "one replica after another is slow", draw_replica_slow, NULL, NULL},
    {"replica_flapping", "replicas go down and up many times a second", draw_replica_flapping, NULL,
     NULL},
    {"two_replicas_down", "two or all replicas are down, and come back", draw_two_replicas_down,
     NULL, NULL},
    {"kills", "processes die between any two calls", draw_kills, NULL, NULL},
    {"bucket_closing", "sweepers close buckets into which late writers write", draw_bucket_closing,
     NULL, NULL},
    {"stalled_writers", "writers wake up after their bucket was done", draw_stalled_writers, NULL,
     NULL},
    {"letters_twice", "dead letters are published twice", draw_letters_twice, NULL, NULL},
    {"notes_in_doubt", "notes of sweepers that die reach a minority", draw_notes_in_doubt,
     story_late_payments, NULL},
    {"replay", "dead letters are replayed while their order arrives", draw_replay, NULL, NULL},
    {"new_epoch", "a new fold rolls out under load", draw_new_epoch, NULL, begin_new_epoch},
    {"conflicts", "two producers contradict each other", draw_random_messages, story_conflicts,
     NULL},
    {"reopened", "orders are cancelled and opened again", draw_random_messages, story_reopened,
     NULL},
    {"random_messages", "few ids, every kind of message", draw_random_messages,
     story_random_messages, NULL},
    {"one_process", "everything in one process", draw_one_process, NULL, NULL},
    {"one_process_embedded", "the same on a store of one transaction", draw_one_process_embedded,
     NULL, NULL},
    {"repeated_orders", "orders without versions, said again", draw_embedded_messages,
     story_repeated_orders, NULL},
    {"hot_orders", "orders with more events than they take", draw_embedded_messages,
     story_hot_orders, NULL},
    {"hot_orders_shared", "the same, where several processes write", draw_hot_orders_shared,
     story_hot_orders, NULL},
    {"everything", "all of it at once", draw_everything, NULL, NULL},
    {"embedded", "all of it at once, on a store of one transaction", draw_embedded, NULL, NULL},
};

size_t scenario_count(void)
{
    return sizeof(scenarios) / sizeof(scenarios[0]);
}

const struct scenario *scenario_at(size_t index)
{
    return &scenarios[index];
}

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < scenario_count(); i++) {
        if (strcmp(scenarios[i].name, name) == 0) {
            return &scenarios[i];
        }
    }
    return NULL;
}
