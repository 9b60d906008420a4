// The suite on the embedded bus, and what is special to it: read-only opening, ids, arena limits.
#include "aborts.h"
#include "bus_embedded.h"
#include "bus_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka needs the five before it
#include <cmocka.h>

struct world {
    char directory[64];
    char path[96];
    struct virtual_time time;
    struct bus *bus;
};

static struct bus *open_bus(struct world *world, bool read_only)
{
    struct bus_embedded_options options = {.path = world->path,
                                           .clock = clock_virtual(&world->time),
                                           .lease_us = BUS_SUITE_LEASE_US,
                                           .read_only = read_only};
    struct bus *bus = NULL;
    struct why why = {0};
    if (bus_embedded_open(&options, &bus, &why) != ERR_OK) {
        print_message("%s\n", why.text);
    }
    assert_non_null(bus);
    return bus;
}

static void *create(void)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    (void)snprintf(world->directory, sizeof(world->directory), "/tmp/till-bus-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    (void)snprintf(world->path, sizeof(world->path), "%s/topics.db", world->directory);
    world->time = (struct virtual_time){.wall_us = 1700000000 * US_PER_SECOND, .mono_ns = 1};
    world->bus = open_bus(world, false);
    return world;
}

static struct bus *bus_of(void *context)
{
    return ((struct world *)context)->bus;
}

static struct bus *reopen(void *context)
{
    struct world *world = context;
    bus_close(&world->bus);
    world->bus = open_bus(world, false);
    return world->bus;
}

static void advance(void *context, int64_t us)
{
    virtual_time_advance(&((struct world *)context)->time, us);
}

static void destroy(void *context)
{
    struct world *world = context;
    bus_close(&world->bus);
    assert_null(world->bus);
    assert_int_equal(unlink(world->path), 0);
    assert_int_equal(rmdir(world->directory), 0);
    free(world);
}

static const struct bus_factory embedded = {
    .name = "embedded",
    .traits = {.ordered = true, .countable = true, .durable = true, .counts_attempts = true},
    .create = create,
    .bus = bus_of,
    .reopen = reopen,
    .advance = advance,
    .destroy = destroy,
};

static void publish_one(struct bus *bus, const char *text)
{
    struct bus_outgoing message = {.data = text_of(text)};
    assert_int_equal(bus_publish(bus, BUS_ORDERS, &message, 1, NULL), ERR_OK);
}

static void read_only_bus_tells_the_backlog_and_refuses_the_rest(void **state)
{
    (void)state;
    struct world *world = create();
    publish_one(world->bus, "x");
    struct bus *reader = open_bus(world, true);
    struct bus_backlog backlog = {0};
    assert_int_equal(bus_backlog(reader, BUS_ORDERS, &backlog, NULL), ERR_OK);
    assert_int_equal(backlog.unacked, 1);
    struct arena arena;
    assert_int_equal(arena_init(&arena, 4096), ERR_OK);
    struct bus_message *messages = NULL;
    size_t count = 0;
    struct why why = {0};
    struct bus_outgoing message = {.data = TEXT("y")};
    struct bus_handle handle = {.number = 1};
    assert_int_equal(bus_publish(reader, BUS_ORDERS, &message, 1, &why), ERR_READ_ONLY);
    assert_int_equal(bus_pull(reader, BUS_ORDERS, 1, 1, &arena, &messages, &count, &why),
                     ERR_READ_ONLY);
    assert_int_equal(bus_ack(reader, BUS_ORDERS, &handle, 1, &why), ERR_READ_ONLY);
    assert_int_equal(bus_nack(reader, BUS_ORDERS, &handle, 1, &why), ERR_READ_ONLY);
    assert_int_equal(bus_extend(reader, BUS_ORDERS, &handle, 1, 1, &why), ERR_READ_ONLY);
    assert_int_equal(bus_wait(reader, 1, &why), ERR_READ_ONLY);
    arena_deinit(&arena);
    bus_close(&reader);
    destroy(world);
}

static void id_is_made_of_the_logs_and_the_sequence(void **state)
{
    (void)state;
    struct world *world = create();
    for (int i = 0; i < 12; i++) {
        publish_one(world->bus, "x");
    }
    struct arena arena;
    assert_int_equal(arena_init(&arena, 65536), ERR_OK);
    struct bus_message *messages = NULL;
    size_t count = 0;
    assert_int_equal(bus_pull(world->bus, BUS_ORDERS, 12, 1000, &arena, &messages, &count, NULL),
                     ERR_OK);
    assert_int_equal(count, 12);
    char expected[64];
    (void)snprintf(expected, sizeof(expected), "%.8s-12", world->bus->log_id.data);
    assert_true(text_equal(messages[11].message_id, text_of(expected)));
    arena_deinit(&arena);
    destroy(world);
}

// However small the arena, a pull never runs it over: it gives fewer, or says ERR_FULL.
static void arena_of_any_size_is_never_run_over(void **state)
{
    (void)state;
    struct world *world = create();
    const struct attribute items[] = {{TEXT("k"), TEXT("")}, {TEXT("l"), TEXT("")}};
    struct bus_outgoing message = {.data = TEXT("0123456789"), .attributes = {items, 2}};
    for (int i = 0; i < 30; i++) {
        assert_int_equal(bus_publish(world->bus, BUS_ORDERS, &message, 1, NULL), ERR_OK);
    }
    size_t most = 0;
    for (size_t cap = 16; cap < 16384; cap += 16) {
        struct arena arena;
        struct bus_message *messages = NULL;
        size_t count = 0;
        assert_int_equal(arena_init(&arena, cap), ERR_OK);
        enum err err = bus_pull(world->bus, BUS_ORDERS, 30, 1000, &arena, &messages, &count, NULL);
        assert_false(arena_overflowed(&arena));
        assert_true(err == ERR_OK ? count >= 1 : err == ERR_FULL);
        assert_true(err == ERR_OK || most == 0);
        most = count > most ? count : most;
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(messages[i].attributes.count, 2);
            assert_int_equal(bus_nack(world->bus, BUS_ORDERS, &messages[i].handle, 1, NULL),
                             ERR_OK);
        }
        arena_deinit(&arena);
    }
    assert_int_equal(most, 30);
    destroy(world);
}

static void opening_fails_with_the_brokers_reason(void **state)
{
    (void)state;
    struct virtual_time time = {0};
    struct bus_embedded_options options = {.path = "/nonexistent-directory/topics.db",
                                           .clock = clock_virtual(&time)};
    struct bus *bus = NULL;
    struct why why = {0};
    assert_int_equal(bus_embedded_open(&options, &bus, &why), ERR_UNAVAILABLE);
    assert_null(bus);
    assert_int_equal(why.code, ERR_UNAVAILABLE);
    options.read_only = true;
    assert_int_equal(bus_embedded_open(&options, &bus, &why), ERR_NOT_FOUND);
    bus_close(&bus); // accepts a bus that never was
    bus_close(NULL);
}

static void names_are_those_of_the_contract(void **state)
{
    (void)state;
    static const char *const expected[BUS_TOPIC_COUNT] = {
        [BUS_ORDERS] = "orders_data",
        [BUS_PAYMENTS] = "payments_data",
        [BUS_ORDERS_DLQ] = "orders_dlq",
        [BUS_PAYMENTS_DLQ] = "payments_dlq",
    };
    for (int i = 0; i < BUS_TOPIC_COUNT; i++) {
        char subscription[64];
        (void)snprintf(subscription, sizeof(subscription), "%s-sub", expected[i]);
        assert_true(text_equal(bus_topic_name((enum bus_topic)i), text_of(expected[i])));
        assert_true(text_equal(bus_subscription_name((enum bus_topic)i), text_of(subscription)));
    }
}

static void name_a_topic_that_is_none(void *context)
{
    (void)context;
    (void)bus_topic_name(BUS_TOPIC_COUNT);
}

static void topic_that_is_none_is_a_programmers_error(void **state)
{
    (void)state;
    assert_true(aborts(name_a_topic_that_is_none, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_only_bus_tells_the_backlog_and_refuses_the_rest),
        cmocka_unit_test(id_is_made_of_the_logs_and_the_sequence),
        cmocka_unit_test(arena_of_any_size_is_never_run_over),
        cmocka_unit_test(opening_fails_with_the_brokers_reason),
        cmocka_unit_test(names_are_those_of_the_contract),
        cmocka_unit_test(topic_that_is_none_is_a_programmers_error),
    };
    int failed = bus_suite_run(&embedded);
    return failed + cmocka_run_group_tests_name("special", tests, NULL, NULL);
}
