// The suite on Google's Pub/Sub emulator, once for each way of receiving, and what is special to this bus.
#include "bus_pubsub.h"
#include "bus_suite.h"
#include "pubsub_emulator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

static struct pubsub_emulator *emulator;

// Real time that jumps on command.
struct jumping_clock {
    struct clock real;
    _Atomic int64_t ahead_us;
};

struct world {
    struct jumping_clock jumping;
    struct bus *bus;
};

static int64_t jumping_wall_us(void *context)
{
    struct jumping_clock *jumping = context;
    return clock_wall_us(&jumping->real) + atomic_load(&jumping->ahead_us);
}

static int64_t jumping_mono_ns(void *context)
{
    struct jumping_clock *jumping = context;
    return clock_mono_ns(&jumping->real) + atomic_load(&jumping->ahead_us) * 1000;
}

// Each world is a project of its own, so nothing is left over from another.
static struct pubsub_options options_of(struct world *world)
{
    static int worlds;
    struct pubsub_options options = {
        .target = {.plaintext = true},
        .clock = {.wall_us = jumping_wall_us,
                  .mono_ns = jumping_mono_ns,
                  .context = &world->jumping},
    };
    (void)snprintf(options.target.project, sizeof(options.target.project), "world-%d", ++worlds);
    (void)snprintf(options.target.endpoint, sizeof(options.target.endpoint), "%s",
                   pubsub_emulator_address(emulator));
    return options;
}

static void expect_ok(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        print_message("%s: %s\n", err_name(err), why->text);
    }
    assert_int_equal(err, ERR_OK);
}

static void make_topics(const struct pubsub_options *options)
{
    struct pubsub *client = NULL;
    struct why why = {0};
    expect_ok(pubsub_open(options, &client, &why), &why);
    for (int i = 0; i < BUS_TOPIC_COUNT; i++) {
        struct text topic = bus_topic_name((enum bus_topic)i);
        const struct pubsub_topic_settings topic_settings = {0};
        const struct pubsub_subscription_settings settings = {
            .topic = topic, .ack_deadline_us = 10 * US_PER_SECOND};
        expect_ok(pubsub_topic_create(client, topic, &topic_settings, &why), &why);
        expect_ok(pubsub_subscription_create(client, bus_subscription_name((enum bus_topic)i),
                                             &settings, &why),
                  &why);
    }
    pubsub_close(&client);
}

// A first pull of each subscription begins the receiving.
static void begin_receiving(struct bus *bus)
{
    struct arena arena;
    struct bus_message *messages = NULL;
    size_t count = 0;
    assert_int_equal(arena_init(&arena, 4096), ERR_OK);
    for (int i = 0; i < BUS_TOPIC_COUNT; i++) {
        assert_int_equal(bus_pull(bus, (enum bus_topic)i, 1, 1, &arena, &messages, &count, NULL),
                         ERR_OK);
        assert_int_equal(count, 0);
    }
    arena_deinit(&arena);
}

static struct world *create_world(enum pubsub_way way)
{
    struct world *world = calloc(1, sizeof(*world));
    struct why why = {0};
    assert_non_null(world);
    world->jumping.real = clock_real();
    const struct bus_pubsub_options options = {
        .client = options_of(world),
        .way = way,
        .lease_us = BUS_SUITE_LEASE_US,
    };
    make_topics(&options.client);
    expect_ok(bus_pubsub_open(&options, &world->bus, &why), &why);
    begin_receiving(world->bus);
    return world;
}

static void *create_streaming(void)
{
    return create_world(PUBSUB_STREAMING_PULL);
}

static void *create_unary(void)
{
    return create_world(PUBSUB_UNARY_PULL);
}

static struct bus *bus_of(void *context)
{
    return ((struct world *)context)->bus;
}

static void advance(void *context, int64_t us)
{
    struct world *world = context;
    atomic_fetch_add(&world->jumping.ahead_us, us);
    bus_wake(world->bus);
}

static void destroy(void *context)
{
    struct world *world = context;
    bus_close(&world->bus);
    assert_null(world->bus);
    free(world);
}

static void pull_of_a_subscription_that_is_not_there_says_so(void **state)
{
    struct world world = {.jumping = {.real = clock_real()}};
    const struct bus_pubsub_options options = {.client = options_of(&world)};
    struct why why = {0};
    struct arena arena;
    struct bus_message *messages = NULL;
    size_t count = 0;
    (void)state;
    assert_int_equal(arena_init(&arena, 4096), ERR_OK);
    expect_ok(bus_pubsub_open(&options, &world.bus, &why), &why);
    enum err err = ERR_OK;
    for (int i = 0; i < 100 && err == ERR_OK; i++) {
        err = bus_pull(world.bus, BUS_ORDERS, 1, 1, &arena, &messages, &count, &why);
        if (err == ERR_OK) {
            assert_int_equal(bus_wait(world.bus, 100000, &why), ERR_OK);
        }
    }
    assert_int_equal(err, ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "orders_data-sub"));
    bus_close(&world.bus);
    arena_deinit(&arena);
}

static void publish_to_a_topic_that_is_not_there_says_so(void **state)
{
    struct world world = {.jumping = {.real = clock_real()}};
    const struct bus_pubsub_options options = {.client = options_of(&world)};
    const struct bus_outgoing message = {.data = TEXT("x")};
    struct why why = {0};
    (void)state;
    expect_ok(bus_pubsub_open(&options, &world.bus, &why), &why);
    assert_int_equal(bus_publish(world.bus, BUS_ORDERS, &message, 1, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "NOT_FOUND"));
    bus_close(&world.bus);
}

int main(void)
{
    pubsub_emulator_require();
    emulator = pubsub_emulator_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pull_of_a_subscription_that_is_not_there_says_so),
        cmocka_unit_test(publish_to_a_topic_that_is_not_there_says_so),
    };
    struct bus_factory factory = {
        .name = "pubsub, streaming pull",
        .traits = {.distant = true},
        .create = create_streaming,
        .bus = bus_of,
        .advance = advance,
        .destroy = destroy,
    };
    int failed = bus_suite_run(&factory);
    factory.name = "pubsub, unary pull";
    factory.create = create_unary;
    failed += bus_suite_run(&factory);
    failed += cmocka_run_group_tests_name("pubsub, special", tests, NULL, NULL);
    pubsub_emulator_stop(&emulator);
    return failed;
}
