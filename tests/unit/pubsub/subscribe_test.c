// Receiving by unary pull: what is asked for, taken, held, settled and let go.
#include "subscriber_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

static struct rig *create(struct pubsub_subscriber_options options)
{
    options.way = PUBSUB_UNARY_PULL;
    return rig_create(options);
}

static void message_is_taken_with_all_it_carries(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    const struct given given[] = {{"ack-1", "hello", "77", 3}, {"ack-2", "", NULL, 0}};
    struct buf response;
    (void)state;
    buf_init_heap(&response, 10000);
    write_received(&response, given, 2);
    fake_answer(rig->fake, fake_call(rig->fake, RPC_PULL, 0), buf_view(&response));
    buf_deinit(&response);
    assert_int_equal(rig_take(rig, 10), 2);
    assert_true(text_equal(rig->messages[0].data, TEXT("hello")));
    assert_true(text_equal(rig->messages[0].message_id, TEXT("77")));
    assert_int_equal(rig->messages[0].published_us, INT64_C(1700000000123456));
    assert_int_equal(rig->messages[0].delivery_attempt, 3);
    assert_int_equal(rig->messages[1].data.size, 0);
    assert_int_equal(rig->messages[1].delivery_attempt, 0);
    rig_destroy(rig);
}

static void pulls_ask_for_the_room_there_is(void **state)
{
    struct rig *rig =
        create((struct pubsub_subscriber_options){.held_count_max = 1500, .receivers = 2});
    (void)state;
    assert_int_equal(fake_call_count(rig->fake, RPC_PULL), 2);
    assert_int_equal(pull_max_messages(rig_request(rig, RPC_PULL, 0)), 1000);
    assert_int_equal(pull_max_messages(rig_request(rig, RPC_PULL, 1)), 500);
    rig_give(rig, "a", 1000, 10);
    rig_let_pull(rig);
    assert_int_equal(fake_call_count(rig->fake, RPC_PULL), 1); // all room is taken or asked for
    assert_int_equal(rig_take(rig, 374), 374);
    rig_ack(rig);
    assert_int_equal(fake_call_count(rig->fake, RPC_PULL), 1); // not worth a call yet
    assert_int_equal(rig_take(rig, 1), 1);
    rig_ack(rig);
    assert_int_equal(fake_call_count(rig->fake, RPC_PULL), 2);
    assert_int_equal(pull_max_messages(rig_request(rig, RPC_PULL, 1)), 375);
    rig_destroy(rig);
}

static struct rig *create_with_a_pull_answered(size_t count)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    struct buf response;
    buf_init_heap(&response, 1u << 20);
    write_many_received(&response, "a", count, 10);
    fake_answer(rig->fake, fake_call(rig->fake, RPC_PULL, 0), buf_view(&response));
    buf_deinit(&response);
    return rig;
}

static void acks_that_come_at_once_are_sent_before_the_next_pull(void **state)
{
    struct rig *rig = create_with_a_pull_answered(10);
    (void)state;
    assert_int_equal(rig_take(rig, 10), 10);
    rig->count = 9;
    rig_ack(rig);
    assert_int_equal(fake_call_count(rig->fake, RPC_PULL), 0);
    assert_int_equal(fake_call_count(rig->fake, RPC_ACKNOWLEDGE), 0);
    pubsub_ack(rig->subscriber, &rig->handles[9], 1);
    fake_turn(rig->fake);
    assert_int_equal(settled_count(rig_request(rig, RPC_ACKNOWLEDGE, 0)), 10);
    assert_int_equal(fake_call_count(rig->fake, RPC_PULL), 1);
    rig_destroy(rig);
}

static void acks_that_do_not_come_are_not_waited_for(void **state)
{
    struct rig *rig = create_with_a_pull_answered(10);
    (void)state;
    fake_pass(rig->fake, 1999);
    assert_int_equal(fake_call_count(rig->fake, RPC_PULL), 0);
    fake_pass(rig->fake, 1);
    assert_int_equal(fake_call_count(rig->fake, RPC_PULL), 1);
    assert_int_equal(fake_call_count(rig->fake, RPC_ACKNOWLEDGE), 0);
    rig_destroy(rig);
}

static void bytes_held_stop_the_pulling(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    rig_give(rig, "a", 10, 1000);
    size_t size = rig_figures(rig).held_size; // of the whole response
    (void)state;
    assert_in_range(size, 10000, 11000);
    rig_destroy(rig);
    for (size_t limit = size - 1; limit <= size + 1; limit++) {
        rig = create((struct pubsub_subscriber_options){.held_size_max = limit});
        rig_give(rig, "a", 10, 1000);
        rig_let_pull(rig);
        assert_int_equal(fake_call_count(rig->fake, RPC_PULL), limit <= size ? 0 : 1);
        assert_int_equal(rig_take(rig, 10), 10);
        rig->count = 9;
        rig_ack(rig); // the response is held as long as one of its messages
        assert_int_equal(fake_call_count(rig->fake, RPC_PULL), limit <= size ? 0 : 1);
        pubsub_ack(rig->subscriber, &rig->handles[9], 1);
        assert_int_equal(fake_call_count(rig->fake, RPC_PULL), 1);
        assert_int_equal(rig_figures(rig).held_size, 0);
        rig_destroy(rig);
    }
}

static void take_keeps_its_limits(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    struct pubsub_take_limits limits = {.count_max = 100, .size_max = 29};
    (void)state;
    rig_give(rig, "a", 5, 10);
    assert_int_equal(
        pubsub_take(rig->subscriber, &limits, &rig->arena, &rig->messages, &rig->count, &rig->why),
        ERR_OK);
    assert_int_equal(rig->count, 2);
    limits.size_max = 1; // one is given even if it is larger
    assert_int_equal(
        pubsub_take(rig->subscriber, &limits, &rig->arena, &rig->messages, &rig->count, &rig->why),
        ERR_OK);
    assert_int_equal(rig->count, 1);
    assert_int_equal(rig_take(rig, 1), 1);
    assert_int_equal(rig_take(rig, 100), 1);
    assert_int_equal(rig_take(rig, 100), 0);
    rig_destroy(rig);
}

static void arena_of_any_size_is_never_run_over(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){.held_count_max = 1000000});
    const struct pubsub_take_limits limits = {
        .count_max = 100, .size_max = 1000, .overhead_size = 100};
    size_t most = 0;
    (void)state;
    for (size_t cap = 16; cap < 16384; cap += 48) {
        struct arena arena;
        size_t count = 0;
        struct pubsub_message *messages = NULL;
        assert_int_equal(arena_init(&arena, cap), ERR_OK);
        if (rig_figures(rig).held < 30) {
            rig_give(rig, "a", 30, 10);
            rig_let_pull(rig);
        }
        enum err err = pubsub_take(rig->subscriber, &limits, &arena, &messages, &count, &rig->why);
        assert_true(err == ERR_OK ? count >= 1 : err == ERR_FULL);
        for (size_t i = 0; i < count; i++) {
            assert_non_null(arena_alloc(&arena, limits.overhead_size));
        }
        assert_false(arena_overflowed(&arena));
        most = count > most ? count : most;
        for (size_t i = 0; i < count; i++) {
            pubsub_ack(rig->subscriber, &messages[i].handle, 1);
        }
        arena_deinit(&arena);
    }
    assert_in_range(most, 30, 100);
    rig_destroy(rig);
}

static void ack_is_sent_when_it_lingered(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){.ack_linger_us = 5000});
    (void)state;
    rig_give(rig, "a", 3, 10);
    assert_int_equal(rig_take(rig, 2), 2);
    rig_ack(rig);
    fake_pass(rig->fake, 4999);
    assert_int_equal(fake_call_count(rig->fake, RPC_ACKNOWLEDGE), 0);
    fake_pass(rig->fake, 1);
    assert_int_equal(settled_count(rig_request(rig, RPC_ACKNOWLEDGE, 0)), 2);
    assert_true(settled_has(rig_request(rig, RPC_ACKNOWLEDGE, 0), "a0"));
    assert_true(settled_has(rig_request(rig, RPC_ACKNOWLEDGE, 0), "a1"));
    assert_int_equal(rig_figures(rig).acked, 0);
    rig_answer(rig, RPC_ACKNOWLEDGE, 0);
    assert_int_equal(rig_figures(rig).acked, 2);
    assert_int_equal(rig_figures(rig).held, 1);
    rig_destroy(rig);
}

static void handle_is_settled_once(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give(rig, "a", 2, 10);
    const uint64_t never[] = {0, UINT64_MAX, 1, UINT64_C(1) << 20, UINT64_C(1) << 20 | 2};
    pubsub_ack(rig->subscriber, never, 5); // the last but one is the first message, not taken yet
    assert_int_equal(rig_take(rig, 2), 2);
    rig_ack(rig);
    rig_ack(rig);
    rig_nack(rig);
    assert_int_equal(fake_call_count(rig->fake, RPC_MODIFY_ACK_DEADLINE), 0);
    fake_pass(rig->fake, US_PER_SECOND);
    assert_int_equal(fake_call_count(rig->fake, RPC_ACKNOWLEDGE), 1);
    assert_int_equal(settled_count(rig_request(rig, RPC_ACKNOWLEDGE, 0)), 2);
    rig_destroy(rig);
}

static void nack_is_a_lease_of_nothing_at_once(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give(rig, "a", 3, 10);
    assert_int_equal(rig_take(rig, 3), 3);
    rig_nack(rig);
    const struct payload *request = rig_request(rig, RPC_MODIFY_ACK_DEADLINE, 0);
    assert_int_equal(settled_count(request), 3);
    assert_int_equal(settled_seconds(request), 0);
    assert_int_equal(rig_figures(rig).nacked, 3);
    assert_int_equal(rig_figures(rig).held, 0);
    rig_destroy(rig);
}

static void ack_request_has_as_many_bytes_as_the_service_takes(void **state)
{
    // The subscription's field, then 4 + id_size for every ack id.
    const size_t head = 2 + sizeof("projects/p/subscriptions/sss") - 1;
    char prefix[512];
    (void)state;
    for (size_t extra = 0; extra <= 2; extra++) {
        struct rig *rig = create((struct pubsub_subscriber_options){.held_count_max = 100000});
        // 2,000 ids of which the first 1,000 end in a number of 3 digits.
        size_t id_size = (524288 - head) / 2000 - 3;
        memset(prefix, 'p', sizeof(prefix));
        prefix[id_size - 3] = '\0';
        struct buf response;
        buf_init_heap(&response, 64u << 20);
        for (size_t i = 0; i < 2000; i++) {
            char ack_id[600];
            (void)snprintf(ack_id, sizeof(ack_id), "%s%03zu", prefix, i % 1000);
            const struct given given = {.ack_id = ack_id, .data = "x"};
            write_received(&response, &given, 1);
        }
        // One more of such a size that the request is just full with extra == 1.
        size_t used = head + 2000 * (id_size + 3);
        size_t last_size = 524288 - used - 3 - 1 + extra;
        char last[2000];
        assert_true(last_size < sizeof(last) && last_size > 128);
        memset(last, 'l', sizeof(last));
        last[last_size] = '\0';
        const struct given given = {.ack_id = last, .data = "x"};
        write_received(&response, &given, 1);
        fake_answer(rig->fake, fake_call(rig->fake, RPC_PULL, 0), buf_view(&response));
        buf_deinit(&response);
        assert_int_equal(rig_take(rig, 2001), 2001);
        rig_ack(rig);
        fake_pass(rig->fake, US_PER_SECOND);
        assert_int_equal(fake_call_count(rig->fake, RPC_ACKNOWLEDGE), extra <= 1 ? 1 : 2);
        size_t size = rig_request(rig, RPC_ACKNOWLEDGE, 0)->bytes.size;
        assert_int_equal(size, extra <= 1 ? 524288 - 1 + extra : used);
        rig_destroy(rig);
    }
}

static void ack_is_tried_again_until_its_time_is_over(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give(rig, "a", 2, 10);
    assert_int_equal(rig_take(rig, 2), 2);
    rig_ack(rig);
    fake_pass(rig->fake, US_PER_SECOND);
    int64_t start_ns = rig->fake->time.mono_ns;
    size_t attempts = 0;
    while (rig_figures(rig).ack_lost == 0) {
        fake_refuse(rig->fake, fake_call(rig->fake, RPC_ACKNOWLEDGE, 0), RPC_UNAVAILABLE, "away");
        attempts++;
        while (rig_figures(rig).ack_lost == 0 && fake_call_count(rig->fake, RPC_ACKNOWLEDGE) == 0) {
            fake_pass(rig->fake, 10000);
        }
    }
    assert_int_equal(rig_figures(rig).ack_lost, 2);
    assert_in_range(rig->fake->time.mono_ns - start_ns, 40 * NS_PER_SECOND, 60 * NS_PER_SECOND);
    assert_in_range(attempts, 8, 25);
    rig_destroy(rig);
}

static void refused_ack_is_lost_at_once(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give(rig, "a", 2, 10);
    assert_int_equal(rig_take(rig, 2), 2);
    rig_ack(rig);
    fake_pass(rig->fake, US_PER_SECOND);
    fake_refuse(rig->fake, fake_call(rig->fake, RPC_ACKNOWLEDGE, 0), RPC_INVALID_ARGUMENT, "no");
    assert_int_equal(rig_figures(rig).ack_lost, 2);
    fake_pass(rig->fake, 100 * US_PER_SECOND);
    assert_int_equal(fake_call_count(rig->fake, RPC_ACKNOWLEDGE), 0);
    rig_destroy(rig);
}

// --- leases -------------------------------------------------------------------------------------

static void everything_held_is_extended_from_its_arrival(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give(rig, "a", 3, 10); // 10 s are assumed; extended with half of it left
    assert_int_equal(rig_take(rig, 1), 1);
    fake_pass(rig->fake, 5 * US_PER_SECOND - 1);
    assert_int_equal(fake_call_count(rig->fake, RPC_MODIFY_ACK_DEADLINE), 0);
    fake_pass(rig->fake, 1);
    const struct payload *request = rig_request(rig, RPC_MODIFY_ACK_DEADLINE, 0);
    assert_int_equal(settled_count(request), 3); // taken or not
    assert_int_equal(settled_seconds(request), 10);
    rig_answer(rig, RPC_MODIFY_ACK_DEADLINE, 0);
    assert_int_equal(rig_figures(rig).extended, 3);
    rig_ack(rig);
    fake_pass(rig->fake, 5 * US_PER_SECOND);
    assert_int_equal(settled_count(rig_request(rig, RPC_MODIFY_ACK_DEADLINE, 0)), 2);
    assert_false(settled_has(rig_request(rig, RPC_MODIFY_ACK_DEADLINE, 0), "a0"));
    rig_destroy(rig);
}

static void slow_consumer_gets_longer_leases(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give(rig, "a", 100, 10);
    assert_int_equal(rig_take(rig, 100), 100);
    for (int i = 0; i < 40; i++) {
        fake_pass(rig->fake, US_PER_SECOND);
        rig_answer_all(rig);
    }
    rig_ack(rig);
    rig_answer_all(rig);
    assert_int_equal(rig_figures(rig).lease_us, 40 * US_PER_SECOND);
    rig_give(rig, "b", 1, 10);
    fake_pass(rig->fake, 5 * US_PER_SECOND);
    rig_answer_all(rig);
    size_t before = rig_figures(rig).extended;
    fake_pass(rig->fake, 31 * US_PER_SECOND); // 40 s less 8 s in reserve
    assert_int_equal(rig_figures(rig).extended, before);
    fake_pass(rig->fake, US_PER_SECOND);
    assert_int_equal(settled_seconds(rig_request(rig, RPC_MODIFY_ACK_DEADLINE, 0)), 40);
    rig_destroy(rig);
}

static void message_held_too_long_is_nacked(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){.hold_us = 3 * US_PER_SECOND});
    (void)state;
    rig_give(rig, "a", 3, 10);
    fake_pass(rig->fake, US_PER_SECOND);
    assert_int_equal(rig_take(rig, 2), 2); // held from now
    fake_pass(rig->fake, 2 * US_PER_SECOND);
    const struct payload *request = rig_request(rig, RPC_MODIFY_ACK_DEADLINE, 0);
    assert_int_equal(settled_count(request), 1); // nobody took the third
    assert_true(settled_has(request, "a2"));
    rig_answer(rig, RPC_MODIFY_ACK_DEADLINE, 0);
    fake_pass(rig->fake, US_PER_SECOND - 1);
    assert_int_equal(fake_call_count(rig->fake, RPC_MODIFY_ACK_DEADLINE), 0);
    fake_pass(rig->fake, 1);
    assert_int_equal(settled_count(rig_request(rig, RPC_MODIFY_ACK_DEADLINE, 0)), 2);
    assert_int_equal(settled_seconds(rig_request(rig, RPC_MODIFY_ACK_DEADLINE, 0)), 0);
    rig_ack(rig); // too late, and ignored
    fake_pass(rig->fake, US_PER_SECOND);
    assert_int_equal(fake_call_count(rig->fake, RPC_ACKNOWLEDGE), 0);
    assert_int_equal(rig_figures(rig).held, 0);
    rig_destroy(rig);
}

static void extension_counts_from_now(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){.hold_us = 3 * US_PER_SECOND});
    (void)state;
    rig_give(rig, "a", 1, 10);
    assert_int_equal(rig_take(rig, 1), 1);
    fake_pass(rig->fake, 2 * US_PER_SECOND);
    pubsub_extend(rig->subscriber, rig->handles, 1, 10 * US_PER_SECOND);
    fake_pass(rig->fake, 9 * US_PER_SECOND);
    rig_answer_all(rig);
    assert_int_equal(rig_figures(rig).nacked, 0);
    pubsub_extend(rig->subscriber, rig->handles, 1, 500000); // shorter is good too
    fake_pass(rig->fake, 500000);
    assert_int_equal(rig_figures(rig).nacked, 1);
    rig_destroy(rig);
}

// --- failures -----------------------------------------------------------------------------------

static enum err take_err(struct rig *rig)
{
    const struct pubsub_take_limits limits = {.count_max = 1, .size_max = 1};
    return pubsub_take(rig->subscriber, &limits, &rig->arena, &rig->messages, &rig->count,
                       &rig->why);
}

static void absent_subscription_ends_the_receiving(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    fake_refuse(rig->fake, fake_call(rig->fake, RPC_PULL, 0), RPC_NOT_FOUND,
                "Resource not found (resource=sss).");
    assert_int_equal(take_err(rig), ERR_NOT_FOUND);
    assert_non_null(strstr(rig->why.text, "projects/p/subscriptions/sss"));
    assert_non_null(strstr(rig->why.text, "Resource not found"));
    fake_pass(rig->fake, 100 * US_PER_SECOND);
    assert_int_equal(fake_call_count(rig->fake, RPC_PULL), 0);
    rig_destroy(rig);
}

static void what_arrived_before_a_failure_can_be_taken(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give(rig, "a", 1, 10);
    rig_let_pull(rig);
    fake_refuse(rig->fake, fake_call(rig->fake, RPC_PULL, 0), RPC_PERMISSION_DENIED, "no");
    assert_int_equal(rig_take(rig, 1), 1);
    assert_int_equal(take_err(rig), ERR_PERMISSION);
    rig_destroy(rig);
}

static void service_that_is_away_is_asked_again_later_and_later(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    size_t pulls = 0;
    int64_t start_ns = rig->fake->time.mono_ns;
    for (; rig->fake->time.mono_ns - start_ns < 60 * NS_PER_SECOND; pulls++) {
        fake_refuse(rig->fake, fake_call(rig->fake, RPC_PULL, 0), RPC_UNAVAILABLE, "away");
        assert_int_equal(take_err(rig), pulls < 2 ? ERR_OK : ERR_UNAVAILABLE);
        while (fake_call_count(rig->fake, RPC_PULL) == 0) {
            fake_pass(rig->fake, 1000);
        }
    }
    assert_in_range(pulls, 8, 25);
    rig_give(rig, "a", 1, 10);
    assert_int_equal(rig_take(rig, 1), 1);
    assert_int_equal(take_err(rig), ERR_OK); // back again
    rig_destroy(rig);
}

static void pull_that_found_nothing_is_no_failure(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    for (int i = 0; i < 10; i++) {
        fake_refuse(rig->fake, fake_call(rig->fake, RPC_PULL, 0), RPC_DEADLINE_EXCEEDED, "");
        fake_answer(rig->fake, fake_call(rig->fake, RPC_PULL, 0), (struct text){0});
    }
    assert_int_equal(take_err(rig), ERR_OK);
    assert_int_equal(rig_figures(rig).reconnects, 0);
    rig_destroy(rig);
}

static void damaged_response_holds_nothing(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    fake_answer(rig->fake, fake_call(rig->fake, RPC_PULL, 0), TEXT("\x0a\x05zz"));
    fake_answer(rig->fake, fake_call(rig->fake, RPC_PULL, 0), TEXT("\x0a\x02\x0a\x00"));
    assert_int_equal(rig_take(rig, 1), 0);
    assert_int_equal(rig_figures(rig).held, 0);
    assert_int_equal(rig_figures(rig).held_size, 0);
    rig_destroy(rig);
}

// --- draining -----------------------------------------------------------------------------------

static bool settle_and_answer(struct fake *fake, void *context)
{
    struct rig *rig = context;
    if (fake_call_count(fake, RPC_MODIFY_ACK_DEADLINE) > 0) {
        fake_answer_only(fake, fake_call(fake, RPC_MODIFY_ACK_DEADLINE, 0), (struct text){0});
    } else if (fake_call_count(fake, RPC_ACKNOWLEDGE) > 0) {
        fake_answer_only(fake, fake_call(fake, RPC_ACKNOWLEDGE, 0), (struct text){0});
    } else if (rig->count > 0) {
        pubsub_ack(rig->subscriber, rig->handles, rig->count);
        rig->count = 0;
    } else {
        return false;
    }
    return true;
}

static void draining_nacks_what_nobody_took_and_waits_for_the_rest(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give(rig, "a", 5, 10);
    assert_int_equal(rig_take(rig, 2), 2);
    rig->fake->answer = settle_and_answer;
    rig->fake->context = rig;
    assert_int_equal(pubsub_subscriber_drain(rig->subscriber, 10 * US_PER_SECOND, &rig->why),
                     ERR_OK);
    assert_int_equal(rig_figures(rig).nacked, 3);
    assert_int_equal(rig_figures(rig).acked, 2);
    assert_int_equal(fake_call_count(rig->fake, RPC_PULL), 0);
    rig_destroy(rig);
}

static void draining_ends_in_time(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give(rig, "a", 5, 10);
    assert_int_equal(rig_take(rig, 2), 2);
    int64_t start_ns = rig->fake->time.mono_ns;
    assert_int_equal(pubsub_subscriber_drain(rig->subscriber, 10 * US_PER_SECOND, &rig->why),
                     ERR_DRAIN_TIMEOUT);
    assert_non_null(strstr(rig->why.text, "2 messages"));
    assert_in_range(rig->fake->time.mono_ns - start_ns, 10 * NS_PER_SECOND, 11 * NS_PER_SECOND);
    rig_destroy(rig);
}

static void closing_nacks_what_is_held_and_gives_up_in_time(void **state)
{
    struct rig *rig = create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give(rig, "a", 5, 10);
    assert_int_equal(rig_take(rig, 2), 2);
    int64_t start_ns = rig->fake->time.mono_ns;
    pubsub_subscriber_close(&rig->subscriber); // nobody answers
    assert_in_range(rig->fake->time.mono_ns - start_ns, 5 * NS_PER_SECOND, 6 * NS_PER_SECOND);
    rig_destroy(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_taken_with_all_it_carries),
        cmocka_unit_test(pulls_ask_for_the_room_there_is),
        cmocka_unit_test(acks_that_come_at_once_are_sent_before_the_next_pull),
        cmocka_unit_test(acks_that_do_not_come_are_not_waited_for),
        cmocka_unit_test(bytes_held_stop_the_pulling),
        cmocka_unit_test(take_keeps_its_limits),
        cmocka_unit_test(arena_of_any_size_is_never_run_over),
        cmocka_unit_test(ack_is_sent_when_it_lingered),
        cmocka_unit_test(handle_is_settled_once),
        cmocka_unit_test(nack_is_a_lease_of_nothing_at_once),
        cmocka_unit_test(ack_request_has_as_many_bytes_as_the_service_takes),
        cmocka_unit_test(ack_is_tried_again_until_its_time_is_over),
        cmocka_unit_test(refused_ack_is_lost_at_once),
        cmocka_unit_test(everything_held_is_extended_from_its_arrival),
        cmocka_unit_test(slow_consumer_gets_longer_leases),
        cmocka_unit_test(message_held_too_long_is_nacked),
        cmocka_unit_test(extension_counts_from_now),
        cmocka_unit_test(absent_subscription_ends_the_receiving),
        cmocka_unit_test(what_arrived_before_a_failure_can_be_taken),
        cmocka_unit_test(service_that_is_away_is_asked_again_later_and_later),
        cmocka_unit_test(pull_that_found_nothing_is_no_failure),
        cmocka_unit_test(damaged_response_holds_nothing),
        cmocka_unit_test(draining_nacks_what_nobody_took_and_waits_for_the_rest),
        cmocka_unit_test(draining_ends_in_time),
        cmocka_unit_test(closing_nacks_what_is_held_and_gives_up_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
