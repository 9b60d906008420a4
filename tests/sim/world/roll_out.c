// Seats change over at random times; once all have, one more process projects what is stored.
#include "roll_out.h"

#include "match_step.h"

#include <stdlib.h>

#define SPREAD_US (5 * US_PER_SECOND)

struct change_over {
    struct world *world;
    struct seat *seat;
};

static void change_over(void *context)
{
    const struct change_over *change = context;
    cluster_set_epoch(change->world->cluster, 2);
    change->seat->options.rules = &change->world->plan.rules;
    change->seat->options.fold_epoch = 2;
    seat_kill(change->seat);
}

static enum err project(struct matcher *matcher, int64_t order_id, struct arena *arena,
                        struct why *why)
{
    arena_reset(arena);
    struct store_group group = {.order_id = order_id};
    enum err err = store_begin(matcher->store, why);
    if (err == ERR_OK) {
        err = match_groups(matcher, &group, 1, arena, why);
    }
    return err == ERR_OK ? store_commit(matcher->store, why) : err;
}

static void rebuild_main(void *context)
{
    struct world *world = context;
    struct seat *seat = world->seats[0]; // its clock is as good as any
    struct matcher matcher = {
        .store = store_sim_open(world->cluster, seat_clock(seat), 2),
        .rules = &world->plan.rules,
        .clock = seat_clock(seat),
    };
    struct arena arena;
    int64_t *ids = NULL;
    size_t count = cluster_order_ids(world->cluster, &ids);
    if (arena_init(&arena, 1u << 20) != ERR_OK) {
        abort();
    }
    for (size_t i = 0; i < count;) {
        struct why why = {0};
        enum err err = project(&matcher, ids[i], &arena, &why);
        if (err_class_of(err) == ERR_CLASS_RETRY) {
            clock_pause_us(&matcher.clock, 10000);
        } else {
            i++;
        }
    }
    arena_deinit(&arena);
    free(ids);
    store_close(&matcher.store);
}

static void rebuild(void *context)
{
    struct world *world = context;
    (void)task_start(world->sim, rebuild_main, world);
}

void roll_out_begin(struct world *world, int64_t time_us)
{
    for (size_t i = 0; i < world->seat_count; i++) {
        struct seat *seat = world->seats[i];
        seat->options.rules = &world->first_rules;
        struct change_over *change = sim_alloc(world->sim, sizeof(*change));
        *change = (struct change_over){world, seat};
        sim_at(world->sim, time_us + rand_between(sim_rand(world->sim), 0, SPREAD_US), change_over,
               change);
    }
    // A process that had the first rules may hold a call for as long as the store's time-out.
    sim_at(world->sim, time_us + SPREAD_US + world->plan.cluster.timeout_us + US_PER_SECOND,
           rebuild, world);
}
