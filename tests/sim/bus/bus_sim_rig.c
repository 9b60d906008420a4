// A broker with two connections, for the claims about it.
#include "bus_sim_claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <stdio.h>

#define ARENA_SIZE (1u << 20)

const struct broker_weather bus_claim_calm = {.latency_max_us = CLAIM_LATE_US,
                                              .lease_us = CLAIM_LEASE_US};

void bus_claim_open(struct bus_claim *claim, struct sim *sim, bool ordered, enum variant variant)
{
    const struct broker_options options = {
        .sim = sim, .ordered = ordered, .variant = variant, .weather = bus_claim_calm};
    *claim = (struct bus_claim){.sim = sim, .broker = sim_broker_create(&options)};
    claim->bus = bus_sim_open(claim->broker);
    claim->other = bus_sim_open(claim->broker);
    assert_int_equal(arena_init(&claim->arena, ARENA_SIZE), ERR_OK);
}

void bus_claim_close(struct bus_claim *claim)
{
    bus_close(&claim->bus);
    bus_close(&claim->other);
    sim_broker_destroy(&claim->broker);
    arena_deinit(&claim->arena);
}

struct broker_weather *bus_claim_weather(struct bus_claim *claim)
{
    return sim_broker_weather(claim->broker);
}

void bus_claim_fill(struct bus_claim *claim, enum bus_topic topic, size_t count)
{
    for (size_t i = 1; i <= count; i++) {
        char body[24];
        int size = snprintf(body, sizeof(body), "%zu", i);
        sim_broker_publish(claim->broker, topic, (struct text){body, (size_t)size},
                           (struct attributes){0});
    }
}

enum err bus_claim_publish(struct bus_claim *claim, enum bus_topic topic, size_t count)
{
    static struct bus_outgoing messages[CLAIM_PULL_MAX];
    assert_in_range(count, 1, CLAIM_PULL_MAX);
    for (size_t i = 0; i < count; i++) {
        messages[i] = (struct bus_outgoing){.data = TEXT("body")};
    }
    return bus_publish(claim->bus, topic, messages, count, &claim->why);
}

size_t bus_claim_pull(struct bus_claim *claim, struct bus *bus, enum bus_topic topic, size_t max)
{
    assert_in_range(max, 1, CLAIM_PULL_MAX);
    arena_reset(&claim->arena);
    assert_int_equal(bus_pull(bus, topic, max, ARENA_SIZE, &claim->arena, &claim->messages,
                              &claim->count, &claim->why),
                     ERR_OK);
    for (size_t i = 0; i < claim->count; i++) {
        claim->handles[i] = claim->messages[i].handle;
    }
    return claim->count;
}

enum err bus_claim_ack(struct bus_claim *claim, enum bus_topic topic)
{
    return bus_ack(claim->bus, topic, claim->handles, claim->count, &claim->why);
}

void bus_claim_advance(struct bus_claim *claim, int64_t us)
{
    assert_true(task_sleep(claim->sim, us));
}
