// A cluster with one session, for the claims about it.
#include "store_sim_claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

const struct cluster_weather claim_calm = {
    .latency_min_us = 100, .latency_max_us = 1000, .late_max_us = 1, .timeout_us = 2000000};

static int64_t wall_of_sim(void *context)
{
    return sim_now_us(context);
}

static int64_t mono_of_sim(void *context)
{
    return sim_now_us(context) * 1000;
}

struct clock claim_clock(struct sim *sim)
{
    return (struct clock){.wall_us = wall_of_sim, .mono_ns = mono_of_sim, .context = sim};
}

void claim_open(struct claim_world *world, struct sim *sim, enum store_shape shape,
                enum variant variant)
{
    struct cluster_options options = {.sim = sim,
                                      .shape = shape,
                                      .variant = variant,
                                      .weather = claim_calm,
                                      .commit_log_us = 1000000};
    *world = (struct claim_world){.sim = sim, .cluster = cluster_create(&options)};
    world->store = store_sim_open(world->cluster, claim_clock(sim), 1);
    assert_int_equal(arena_init(&world->arena, (size_t)1 << 20), ERR_OK);
}

void claim_close(struct claim_world *world)
{
    store_close(&world->store);
    cluster_destroy(&world->cluster);
    arena_deinit(&world->arena);
}

struct event claim_order(int64_t order_id, int64_t version)
{
    struct order order = {
        .order_id = order_id,
        .customer_id = 7,
        .item = TEXT("Laptop"),
        .quantity = 1,
        .price_minor = 1000,
        .creation_date = TEXT("2024-01-21"),
        .currency = currency_usd(),
        .version_given = version > 0,
        .version = version,
    };
    struct event event;
    event_of_order(&order, SIM_EPOCH_US, &event);
    return event;
}

struct event claim_payment(int64_t order_id, int64_t payment_id)
{
    struct payment payment = {
        .payment_id = payment_id,
        .order_id = order_id,
        .method = TEXT("Google Pay"),
        .status = PAYMENT_STATUS_COMPLETED,
        .datetime = TEXT("2024-01-21T10:01:30Z"),
        .amount_given = true,
        .amount_minor = 1000,
        .currency = currency_usd(),
    };
    struct event event;
    event_of_payment(&payment, SIM_EPOCH_US, &event);
    return event;
}

static struct store_group group_of(struct claim_world *world, const struct event *event)
{
    arena_reset(&world->arena);
    struct incoming *incoming = ARENA_NEW(&world->arena, struct incoming);
    struct incoming **pointers = ARENA_ARRAY(&world->arena, struct incoming *, 1);
    incoming->event = *event;
    pointers[0] = incoming;
    return (struct store_group){
        .order_id = event->order_id, .incoming = pointers, .incoming_count = 1};
}

enum err claim_insert(struct claim_world *world, const struct event *event)
{
    struct store_group group = group_of(world, event);
    return store_insert_events(world->store, &group, 1, &world->why);
}

int claim_read(struct claim_world *world, int64_t order_id)
{
    struct store_group group = {.order_id = order_id};
    arena_reset(&world->arena);
    enum err err = store_read_partitions(world->store, &group, 1, &world->arena, &world->why);
    return err == ERR_OK ? (int)group.row_count : -1;
}

enum err claim_fold(struct claim_world *world, struct store_group *group)
{
    struct fold_space space = {
        .sorted = ARENA_ARRAY(&world->arena, const struct event *, group->row_count),
        .losers = ARENA_ARRAY(&world->arena, const struct event *, group->row_count),
        .payments = ARENA_ARRAY(&world->arena, struct fact_payment, group->row_count),
    };
    static const struct fold_rules rules = {.want_set_hash = true};
    return fold(group->rows, group->row_count, &rules, &space, &group->fact);
}

enum err claim_apply(struct claim_world *world, const struct event *event)
{
    struct store_group group = group_of(world, event);
    enum err err = store_begin(world->store, &world->why);
    if (err == ERR_OK) {
        err = store_insert_events(world->store, &group, 1, &world->why);
    }
    if (err == ERR_OK) {
        err = store_read_partitions(world->store, &group, 1, &world->arena, &world->why);
    }
    if (err == ERR_OK) {
        err = claim_fold(world, &group);
    }
    if (err == ERR_OK) {
        err = store_write_facts(world->store, &group, 1, &world->why);
    }
    if (err != ERR_OK) {
        store_rollback(world->store);
        return err;
    }
    return store_commit(world->store, &world->why);
}

unsigned claim_replicas_with(struct claim_world *world, const struct event *event)
{
    unsigned count = 0;
    for (unsigned replica = 0; replica < CLUSTER_REPLICAS; replica++) {
        count += cluster_has_event(world->cluster, replica, event);
    }
    return count;
}
