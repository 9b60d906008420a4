#include "subscriber_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// cmocka needs the five before it
#include <cmocka.h>

static void on_settled(void *context, uint64_t handle, enum pubsub_settled settled)
{
    struct rig *rig = context;
    assert_true(rig->settled_count < RIG_TAKEN_MAX);
    rig->settled[rig->settled_count].handle = handle;
    rig->settled[rig->settled_count++].how = settled;
}

struct rig *rig_create(struct pubsub_subscriber_options options)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->fake = fake_create();
    assert_int_equal(arena_init(&rig->arena, 64u << 20), ERR_OK);
    options.subscription = TEXT("sss");
    options.on_settled = on_settled;
    options.context = rig;
    assert_int_equal(
        pubsub_subscriber_open(rig->fake->client, &options, &rig->subscriber, &rig->why), ERR_OK);
    return rig;
}

static bool answer_settling(struct fake *fake, void *context)
{
    (void)context;
    static const enum rpc_method methods[] = {RPC_ACKNOWLEDGE, RPC_MODIFY_ACK_DEADLINE};
    for (size_t i = 0; i < 2; i++) {
        if (fake_call_count(fake, methods[i]) > 0) {
            fake_answer_only(fake, fake_call(fake, methods[i], 0), (struct text){0});
            return true;
        }
    }
    return false;
}

void rig_destroy(struct rig *rig)
{
    rig->fake->answer = answer_settling;
    pubsub_subscriber_close(&rig->subscriber);
    fake_destroy(&rig->fake);
    arena_deinit(&rig->arena);
    free(rig);
}

#define ACKS_WAIT_US 2000 // of receive_pull.c

void rig_let_pull(struct rig *rig)
{
    fake_pass(rig->fake, ACKS_WAIT_US);
}

static void give(struct rig *rig, size_t stream, struct text response)
{
    if (fake_call_count(rig->fake, RPC_PULL) > 0) {
        fake_answer(rig->fake, fake_call(rig->fake, RPC_PULL, 0), response);
    } else {
        fake_message(rig->fake, fake_stream(rig->fake, stream), response);
    }
}

void rig_give(struct rig *rig, const char *prefix, size_t count, size_t data_size)
{
    struct buf response;
    buf_init_heap(&response, 64u << 20);
    write_many_received(&response, prefix, count, data_size);
    give(rig, 0, buf_view(&response));
    buf_deinit(&response);
}

void rig_give_stream(struct rig *rig, size_t stream, const char *prefix, size_t count,
                     bool exactly_once)
{
    struct buf response;
    buf_init_heap(&response, 64u << 20);
    write_many_received(&response, prefix, count, 10);
    write_properties(&response, exactly_once);
    give(rig, stream, buf_view(&response));
    buf_deinit(&response);
}

size_t rig_take(struct rig *rig, size_t count_max)
{
    const struct pubsub_take_limits limits = {.count_max = count_max, .size_max = SIZE_MAX / 2};
    arena_reset(&rig->arena);
    assert_int_equal(
        pubsub_take(rig->subscriber, &limits, &rig->arena, &rig->messages, &rig->count, &rig->why),
        ERR_OK);
    assert_true(rig->count <= RIG_TAKEN_MAX);
    for (size_t i = 0; i < rig->count; i++) {
        rig->handles[i] = rig->messages[i].handle;
    }
    return rig->count;
}

void rig_ack(struct rig *rig)
{
    pubsub_ack(rig->subscriber, rig->handles, rig->count);
    fake_turn(rig->fake);
}

void rig_nack(struct rig *rig)
{
    pubsub_nack(rig->subscriber, rig->handles, rig->count);
    fake_turn(rig->fake);
}

struct payload *rig_request(struct rig *rig, enum rpc_method method, size_t n)
{
    return fake_call(rig->fake, method, n)->request;
}

void rig_answer(struct rig *rig, enum rpc_method method, size_t n)
{
    fake_answer(rig->fake, fake_call(rig->fake, method, n), (struct text){0});
}

void rig_answer_all(struct rig *rig)
{
    while (answer_settling(rig->fake, NULL)) {
        fake_turn(rig->fake);
    }
}

struct pubsub_subscriber_figures rig_figures(struct rig *rig)
{
    return pubsub_subscriber_figures(rig->subscriber);
}
