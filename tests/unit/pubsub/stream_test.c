// Receiving by StreamingPull: the first request, reading within limits, pings, streams that end.
#include "fake_service.h"
#include "subscriber_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

static struct text written(struct rig *rig, size_t stream, size_t n)
{
    const struct fake_stream *open = fake_stream(rig->fake, stream);
    assert_true(n < open->written_count);
    return open->written[n]->bytes;
}

// The service has taken what was written last.
static void take_written(struct rig *rig)
{
    struct fake_stream *stream = fake_stream(rig->fake, 0);
    stream->stream->on_written(stream->stream);
    fake_turn(rig->fake);
}

static void give_pong(struct rig *rig)
{
    struct buf response;
    char bytes[16];
    buf_init_fixed(&response, bytes, sizeof(bytes));
    write_properties(&response, false);
    fake_message(rig->fake, fake_stream(rig->fake, 0), buf_view(&response));
}

static void first_request_names_subscription_and_limits(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){
        .receivers = 2, .held_count_max = 1001, .held_size_max = 5000});
    (void)state;
    assert_int_equal(fake_stream_count(rig->fake), 2);
    for (size_t i = 0; i < 2; i++) {
        const struct fake_stream *stream = fake_stream(rig->fake, i);
        assert_int_equal(stream->written_count, 1);
        assert_true(
            text_equal(stream_text(stream->written[0], 1), TEXT("projects/p/subscriptions/sss")));
        assert_int_equal(stream_number(stream->written[0], 5), 60);
        assert_int_equal(stream_text(stream->written[0], 6).size, 36); // a UUID
        assert_int_equal(stream_number(stream->written[0], 7), 500);   // each has its share
        assert_int_equal(stream_number(stream->written[0], 8), 2500);
        assert_int_equal(stream_number(stream->written[0], 10), 1);
        assert_true(stream->reading);
    }
    rig_destroy(rig);
}

static void new_stream_has_the_same_client_id(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    char first[256];
    size_t size = written(rig, 0, 0).size;
    (void)state;
    assert_true(size <= sizeof(first));
    memcpy(first, written(rig, 0, 0).data, size);
    fake_end(rig->fake, fake_stream(rig->fake, 0), RPC_UNAVAILABLE, "bye");
    fake_pass(rig->fake, US_PER_SECOND);
    assert_true(text_equal(written(rig, 0, 0), (struct text){first, size}));
    rig_destroy(rig);
}

static void messages_of_all_streams_are_taken_and_acked(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){.receivers = 2});
    (void)state;
    rig_give_stream(rig, 0, "a", 3, false);
    rig_give_stream(rig, 1, "b", 2, false);
    rig_give_stream(rig, 0, "c", 1, false);
    assert_int_equal(rig_take(rig, 10), 6);
    rig_ack(rig);
    fake_pass(rig->fake, US_PER_SECOND);
    const struct payload *request = rig_request(rig, RPC_ACKNOWLEDGE, 0);
    assert_int_equal(settled_count(request), 6);
    assert_true(settled_has(request, "b1"));
    rig_destroy(rig);
}

static void full_subscriber_stops_reading(void **state)
{
    (void)state;
    for (size_t given = 9; given <= 11; given++) {
        struct rig *rig = rig_create((struct pubsub_subscriber_options){.held_count_max = 10});
        rig_give_stream(rig, 0, "a", given, false);
        assert_int_equal(fake_stream(rig->fake, 0)->reading, given < 10);
        assert_int_equal(rig_take(rig, given - 9 + 1), given - 9 + 1);
        rig_ack(rig);
        assert_true(fake_stream(rig->fake, 0)->reading);
        rig_destroy(rig);
    }
}

static void lease_of_the_stream_is_extended_in_time(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give_stream(rig, 0, "a", 2, false);
    fake_pass(rig->fake, 48 * US_PER_SECOND - 1); // 60 s less a fifth
    assert_int_equal(fake_call_count(rig->fake, RPC_MODIFY_ACK_DEADLINE), 0);
    fake_pass(rig->fake, 1);
    assert_int_equal(settled_count(rig_request(rig, RPC_MODIFY_ACK_DEADLINE, 0)), 2);
    rig_destroy(rig);
}

static void silent_stream_is_pinged(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    (void)state;
    take_written(rig);
    fake_pass(rig->fake, 29 * US_PER_SECOND);
    rig_give_stream(rig, 0, "a", 1, false); // not silent
    fake_pass(rig->fake, 30 * US_PER_SECOND - 1);
    assert_int_equal(fake_stream(rig->fake, 0)->written_count, 1);
    fake_pass(rig->fake, 1);
    assert_int_equal(fake_stream(rig->fake, 0)->written_count, 2);
    assert_int_equal(written(rig, 0, 1).size, 0);
    rig_destroy(rig);
}

static void service_that_never_answers_pings_is_not_left(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    (void)state;
    for (int i = 0; i < 10; i++) {
        take_written(rig);
        fake_pass(rig->fake, 45 * US_PER_SECOND);
    }
    assert_int_equal(fake_stream_count(rig->fake), 1);
    assert_int_equal(fake_stream(rig->fake, 0)->written_count, 11);
    assert_int_equal(rig_figures(rig).reconnects, 0);
    rig_destroy(rig);
}

static void stream_whose_ping_is_not_answered_is_replaced_on_new_connections(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    (void)state;
    take_written(rig);
    fake_pass(rig->fake, 30 * US_PER_SECOND);
    give_pong(rig);
    take_written(rig);
    fake_pass(rig->fake, 30 * US_PER_SECOND);
    int64_t opened_ns = fake_stream(rig->fake, 0)->opened_ns;
    fake_pass(rig->fake, 15 * US_PER_SECOND - 1);
    assert_int_equal(fake_stream(rig->fake, 0)->opened_ns, opened_ns);
    fake_pass(rig->fake, 1);
    assert_int_equal(rig->fake->reconnects, 1);
    fake_pass(rig->fake, 200000);
    assert_true(fake_stream(rig->fake, 0)->opened_ns > opened_ns);
    assert_int_equal(fake_stream_count(rig->fake), 1);
    rig_destroy(rig);
}

static void paused_reading_is_no_silence(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){.held_count_max = 1});
    (void)state;
    take_written(rig);
    fake_pass(rig->fake, 30 * US_PER_SECOND);
    give_pong(rig);
    rig_give_stream(rig, 0, "a", 1, false);
    for (int i = 0; i < 5; i++) {
        take_written(rig);
        fake_pass(rig->fake, 45 * US_PER_SECOND);
        rig_answer_all(rig);
    }
    assert_int_equal(rig->fake->reconnects, 0);
    rig_destroy(rig);
}

static void stream_that_ends_is_opened_again_later_and_later(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    (void)state;
    int64_t start_ns = rig->fake->time.mono_ns;
    size_t streams = 0;
    while (rig->fake->time.mono_ns - start_ns < 60 * NS_PER_SECOND) {
        fake_end(rig->fake, fake_stream(rig->fake, 0), RPC_UNAVAILABLE, "away");
        streams++;
        while (fake_stream_count(rig->fake) == 0) {
            fake_pass(rig->fake, 1000);
        }
    }
    assert_in_range(streams, 8, 25);
    assert_int_equal(rig_figures(rig).reconnects, streams);
    rig_destroy(rig);
}

static void stream_that_lived_long_is_opened_again_at_once(void **state)
{
    static const int codes[] = {RPC_UNAVAILABLE, RPC_OK, RPC_INTERNAL, RPC_DEADLINE_EXCEEDED};
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        take_written(rig);
        fake_pass(rig->fake, 1000 * US_PER_SECOND);
        fake_end(rig->fake, fake_stream(rig->fake, 0), codes[i], "");
        assert_int_equal(fake_stream_count(rig->fake), 1);
    }
    rig_destroy(rig);
}

static void what_a_broken_stream_brought_is_still_ours(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give_stream(rig, 0, "a", 2, false);
    assert_int_equal(rig_take(rig, 1), 1);
    fake_end(rig->fake, fake_stream(rig->fake, 0), RPC_UNAVAILABLE, "");
    rig_ack(rig);
    assert_int_equal(rig_take(rig, 5), 1);
    rig_ack(rig);
    fake_pass(rig->fake, US_PER_SECOND);
    assert_int_equal(settled_count(rig_request(rig, RPC_ACKNOWLEDGE, 0)), 2);
    rig_destroy(rig);
}

static void refused_stream_ends_the_receiving(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    const struct pubsub_take_limits limits = {.count_max = 1, .size_max = 1};
    (void)state;
    fake_end(rig->fake, fake_stream(rig->fake, 0), RPC_PERMISSION_DENIED, "User not authorized");
    fake_pass(rig->fake, 100 * US_PER_SECOND);
    assert_int_equal(fake_stream_count(rig->fake), 0);
    assert_int_equal(
        pubsub_take(rig->subscriber, &limits, &rig->arena, &rig->messages, &rig->count, &rig->why),
        ERR_PERMISSION);
    assert_non_null(strstr(rig->why.text, "User not authorized"));
    rig_destroy(rig);
}

static void what_comes_while_draining_is_nacked(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give_stream(rig, 0, "a", 1, false);
    assert_int_equal(rig_take(rig, 1), 1);
    assert_int_equal(pubsub_subscriber_drain(rig->subscriber, 1, &rig->why), ERR_DRAIN_TIMEOUT);
    assert_int_equal(fake_stream_count(rig->fake), 0);
    assert_int_equal(rig_figures(rig).nacked, 0);
    rig_ack(rig);
    rig_destroy(rig);
}

// A service that ends streams which the client has ended, after one more message; and settles.
struct polite {
    bool gave;
    size_t nacks;
};

static bool end_what_is_finished(struct fake *fake, void *context)
{
    struct polite *polite = context;
    if (fake_call_count(fake, RPC_MODIFY_ACK_DEADLINE) > 0) {
        struct fake_call *call = fake_call(fake, RPC_MODIFY_ACK_DEADLINE, 0);
        polite->nacks += settled_seconds(call->request) == 0;
        fake_answer_only(fake, call, (struct text){0});
        return true;
    }
    if (fake_stream_count(fake) == 0 || !fake_stream(fake, 0)->finished) {
        return false;
    }
    struct fake_stream *stream = fake_stream(fake, 0);
    assert_false(stream->cancelled);
    if (!polite->gave) {
        char bytes[256];
        struct buf response;
        buf_init_fixed(&response, bytes, sizeof(bytes));
        write_many_received(&response, "late", 1, 10);
        polite->gave = true;
        fake_message(fake, stream, buf_view(&response));
    } else {
        fake_end(fake, stream, RPC_OK, "");
    }
    return true;
}

static void stream_is_ended_by_both_sides_and_what_comes_last_is_nacked(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    struct polite polite = {0};
    int64_t start_ns = rig->fake->time.mono_ns;
    (void)state;
    take_written(rig);
    rig->fake->answer = end_what_is_finished;
    rig->fake->context = &polite;
    pubsub_subscriber_close(&rig->subscriber);
    assert_true(polite.gave);
    assert_int_equal(polite.nacks, 1);
    assert_true(rig->fake->time.mono_ns - start_ns < NS_PER_SECOND / 2);
    rig_destroy(rig);
}

static void service_that_does_not_end_a_stream_is_left_after_a_second(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    int64_t start_ns = rig->fake->time.mono_ns;
    (void)state;
    take_written(rig);
    pubsub_subscriber_close(&rig->subscriber);
    assert_in_range(rig->fake->time.mono_ns - start_ns, NS_PER_SECOND, NS_PER_SECOND * 3 / 2);
    rig_destroy(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_request_names_subscription_and_limits),
        cmocka_unit_test(new_stream_has_the_same_client_id),
        cmocka_unit_test(messages_of_all_streams_are_taken_and_acked),
        cmocka_unit_test(full_subscriber_stops_reading),
        cmocka_unit_test(lease_of_the_stream_is_extended_in_time),
        cmocka_unit_test(silent_stream_is_pinged),
        cmocka_unit_test(service_that_never_answers_pings_is_not_left),
        cmocka_unit_test(stream_whose_ping_is_not_answered_is_replaced_on_new_connections),
        cmocka_unit_test(paused_reading_is_no_silence),
        cmocka_unit_test(stream_that_ends_is_opened_again_later_and_later),
        cmocka_unit_test(stream_that_lived_long_is_opened_again_at_once),
        cmocka_unit_test(what_a_broken_stream_brought_is_still_ours),
        cmocka_unit_test(refused_stream_ends_the_receiving),
        cmocka_unit_test(what_comes_while_draining_is_nacked),
        cmocka_unit_test(stream_is_ended_by_both_sides_and_what_comes_last_is_nacked),
        cmocka_unit_test(service_that_does_not_end_a_stream_is_left_after_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
