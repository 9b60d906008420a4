// The Pub/Sub client over real gRPC, against a service of ours that plays what the emulator does not:
// single acks refused, streams ended, long ack ids, every status of gRPC, silence.
#include "scripted_rig.h"
#include "tcp_proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the four before it
#include <cmocka.h>

#define SHORT_MS 700u // long enough for a busy loop to show itself

enum { CANCELLED = 1, DEADLINE_EXCEEDED = 4, NOT_FOUND = 5, PERMISSION_DENIED = 7 };
enum { RESOURCE_EXHAUSTED = 8, UNAVAILABLE = 14, UNAUTHENTICATED = 16 };

// --- exactly once -------------------------------------------------------------------------------

static void drain(struct scripted_rig *rig)
{
    rig_expect_ok(pubsub_subscriber_drain(rig->subscriber, RIG_PATIENCE_US, &rig->why), &rig->why);
}

static void refused_acks_are_told_apart_and_the_others_are_done(void **state)
{
    struct scripted_rig *rig = scripted_rig_create(NULL);
    (void)state;
    pubsub_scripted_exactly_once(rig->server, true);
    pubsub_scripted_refuse(rig->server, SCRIPTED_ACKNOWLEDGE, 3, SCRIPTED_PERMANENT, 1);
    pubsub_scripted_refuse(rig->server, SCRIPTED_ACKNOWLEDGE, 5, SCRIPTED_TRANSIENT, 1);
    pubsub_scripted_add(rig->server, 10, 20);
    rig_open_subscriber(rig, (struct pubsub_subscriber_options){0});
    rig_take_all(rig, 10, true);
    drain(rig);
    for (size_t i = 0; i < 10; i++) {
        enum pubsub_settled wanted = i == 3 ? PUBSUB_SETTLED_TOO_LATE : PUBSUB_SETTLED;
        assert_int_equal(atomic_load(&rig->settled[i]), 1 + (int)wanted);
    }
    struct pubsub_subscriber_figures figures = pubsub_subscriber_figures(rig->subscriber);
    struct scripted_counts counts = pubsub_scripted_counts(rig->server);
    assert_int_equal(figures.acked, 9);
    assert_int_equal(figures.too_late, 1);
    assert_int_equal(counts.acked, 9);
    assert_int_equal(counts.calls[SCRIPTED_ACKNOWLEDGE], 2);
    assert_true(rig_gap_ms(rig, SCRIPTED_ACKNOWLEDGE, 0) >= 500);
    scripted_rig_destroy(rig);
}

static void message_whose_receipt_is_refused_is_never_shown(void **state)
{
    struct scripted_rig *rig = scripted_rig_create(NULL);
    (void)state;
    pubsub_scripted_exactly_once(rig->server, true);
    pubsub_scripted_refuse(rig->server, SCRIPTED_MODIFY_ACK_DEADLINE, 2, SCRIPTED_PERMANENT, 1);
    pubsub_scripted_add(rig->server, 5, 20);
    rig_open_subscriber(rig, (struct pubsub_subscriber_options){0});
    rig_take_all(rig, 4, true);
    drain(rig);
    assert_int_equal(rig->taken[2], 0);
    assert_int_equal(pubsub_scripted_counts(rig->server).acked, 4);
    scripted_rig_destroy(rig);
}

static void receipt_refused_for_the_moment_is_asked_again(void **state)
{
    struct scripted_rig *rig = scripted_rig_create(NULL);
    (void)state;
    pubsub_scripted_exactly_once(rig->server, true);
    pubsub_scripted_refuse(rig->server, SCRIPTED_MODIFY_ACK_DEADLINE, 2, SCRIPTED_TRANSIENT, 2);
    pubsub_scripted_add(rig->server, 5, 20);
    rig_open_subscriber(rig, (struct pubsub_subscriber_options){0});
    rig_take_all(rig, 5, true);
    drain(rig);
    assert_int_equal(pubsub_scripted_counts(rig->server).acked, 5);
    scripted_rig_destroy(rig);
}

static void acks_are_sent_until_the_service_has_them(void **state)
{
    struct scripted_rig *rig = scripted_rig_create(NULL);
    (void)state;
    pubsub_scripted_next(rig->server, SCRIPTED_ACKNOWLEDGE,
                         (struct scripted_answer){.status = UNAVAILABLE, .times = 3});
    pubsub_scripted_add(rig->server, 10, 20);
    rig_open_subscriber(rig, (struct pubsub_subscriber_options){0});
    rig_take_all(rig, 10, true);
    drain(rig);
    struct scripted_counts counts = pubsub_scripted_counts(rig->server);
    assert_int_equal(counts.acked, 10);
    assert_int_equal(counts.calls[SCRIPTED_ACKNOWLEDGE], 4);
    assert_int_equal(pubsub_subscriber_figures(rig->subscriber).ack_lost, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_true(rig_gap_ms(rig, SCRIPTED_ACKNOWLEDGE, i) >= 50 << i);
    }
    scripted_rig_destroy(rig);
}

// --- streams ------------------------------------------------------------------------------------

// gRPC throws away what a stream that ends with an error still had to give; it comes again when its lease
// has ended. Never is a message shown twice.
static void ended_streams_are_opened_again_and_nothing_is_lost(void **state)
{
    enum { TOTAL = 2000, ENDS = 5 };
    struct scripted_rig *rig =
        scripted_rig_create(&(struct pubsub_scripted_options){.response_count_max = 50});
    (void)state;
    rig_open_subscriber(
        rig, (struct pubsub_subscriber_options){
                 .receivers = 2, .held_count_max = 400, .first_lease_us = 10 * US_PER_SECOND});
    for (size_t i = 0; i < ENDS; i++) {
        pubsub_scripted_add(rig->server, TOTAL / ENDS, 100);
        rig_take_all(rig, TOTAL / ENDS / 2, true);
        pubsub_scripted_end_streams(rig->server, UNAVAILABLE, "The service was unable to fulfil");
        rig_take_all(rig, TOTAL / ENDS - TOTAL / ENDS / 2, true);
    }
    drain(rig);
    struct scripted_counts counts = pubsub_scripted_counts(rig->server);
    assert_int_equal(counts.acked, TOTAL);
    assert_true(counts.deliveries >= TOTAL);
    assert_true(counts.client_id_kept);
    assert_true(counts.calls[SCRIPTED_STREAMING_PULL] > ENDS);
    for (size_t i = 0; i < TOTAL; i++) {
        assert_int_equal(rig->taken[i], 1);
    }
    scripted_rig_destroy(rig);
}

static void streams_that_end_at_once_are_opened_ever_more_slowly(void **state)
{
    struct scripted_rig *rig = scripted_rig_create(NULL);
    (void)state;
    pubsub_scripted_next(rig->server, SCRIPTED_STREAMING_PULL,
                         (struct scripted_answer){.status = UNAVAILABLE, .times = 5});
    pubsub_scripted_add(rig->server, 1, 20);
    rig_open_subscriber(rig, (struct pubsub_subscriber_options){0});
    assert_true(rig_wait_calls(rig, SCRIPTED_STREAMING_PULL, 4, RIG_PATIENCE_MS));
    assert_int_equal(rig_take(rig, 1, RIG_PATIENCE_US), ERR_UNAVAILABLE);
    assert_non_null(strstr(rig->why.text, "UNAVAILABLE"));
    assert_true(rig_wait_calls(rig, SCRIPTED_STREAMING_PULL, 6, RIG_PATIENCE_MS));
    rig_take_all(rig, 1, true); // it is back, and says no more that it is away
    for (size_t i = 0; i < 5; i++) {
        assert_true(rig_gap_ms(rig, SCRIPTED_STREAMING_PULL, i) >= 50 << i);
    }
    scripted_rig_destroy(rig);
}

static bool has_pings(const struct scripted_counts *counts, void *context)
{
    (void)context;
    return counts->pings >= 2;
}

static void stream_that_no_longer_answers_pings_is_replaced(void **state)
{
    struct scripted_rig *rig = scripted_rig_create(NULL);
    (void)state;
    rig_open_subscriber(rig,
                        (struct pubsub_subscriber_options){.ping_us = 50000, .pong_us = 200000});
    assert_true(pubsub_scripted_wait_until(rig->server, has_pings, NULL, RIG_PATIENCE_MS));
    assert_int_equal(pubsub_scripted_counts(rig->server).calls[SCRIPTED_STREAMING_PULL], 1);
    pubsub_scripted_pongs(rig->server, false);
    assert_true(rig_wait_calls(rig, SCRIPTED_STREAMING_PULL, 2, RIG_PATIENCE_MS));
    pubsub_scripted_pongs(rig->server, true);
    pubsub_scripted_add(rig->server, 1, 20);
    rig_take_all(rig, 1, true);
    scripted_rig_destroy(rig);
}

// --- ack ids ------------------------------------------------------------------------------------

static void long_ack_ids_are_sent_in_more_requests(void **state)
{
    enum { TOTAL = 1500, LONG = 1500 };
    struct scripted_rig *rig = scripted_rig_create(NULL);
    (void)state;
    rig_open_subscriber(rig, (struct pubsub_subscriber_options){.ack_linger_us = US_PER_SECOND});
    for (size_t size = 64; size <= 64 + 2 * LONG; size += LONG) {
        pubsub_scripted_ack_id_size(rig->server, size);
        pubsub_scripted_add(rig->server, TOTAL, 20);
        rig_take_all(rig, TOTAL, true);
    }
    drain(rig);
    struct scripted_counts counts = pubsub_scripted_counts(rig->server);
    assert_int_equal(counts.acked, 3 * TOTAL);
    assert_int_equal(counts.failed[SCRIPTED_ACKNOWLEDGE], 0);
    assert_true(counts.request_size_max[SCRIPTED_ACKNOWLEDGE] <= SCRIPTED_ACK_REQUEST_MAX);
    // Requests were full, so it is the bytes that ended them.
    assert_true(counts.request_size_max[SCRIPTED_ACKNOWLEDGE] >
                SCRIPTED_ACK_REQUEST_MAX - 64 - 3 * LONG);
    scripted_rig_destroy(rig);
}

// --- refusals for good --------------------------------------------------------------------------

static const struct {
    int status;
    enum err err;
    const char *reason;
} refusals[] = {
    {PERMISSION_DENIED, ERR_PERMISSION, "User not authorized to perform this action."},
    {NOT_FOUND, ERR_NOT_FOUND, "Resource not found (resource=topic-sub)."},
    {UNAUTHENTICATED, ERR_PERMISSION, "Request had invalid authentication credentials."},
};
#define REFUSALS (sizeof(refusals) / sizeof(refusals[0]))

static void expect_refused_reception(enum pubsub_way way, enum scripted_method method, size_t i)
{
    struct scripted_rig *rig = scripted_rig_create(NULL);
    pubsub_scripted_next(rig->server, method,
                         (struct scripted_answer){.status = refusals[i].status,
                                                  .reason = refusals[i].reason,
                                                  .times = SCRIPTED_ALWAYS});
    rig_open_subscriber(rig, (struct pubsub_subscriber_options){.way = way});
    assert_int_equal(rig_take(rig, 1, RIG_PATIENCE_US), refusals[i].err);
    assert_non_null(strstr(rig->why.text, refusals[i].reason));
    assert_int_equal(rig_take(rig, 1, RIG_PATIENCE_US), refusals[i].err);
    assert_false(rig_wait_calls(rig, method, 2, SHORT_MS));
    scripted_rig_destroy(rig);
}

static void refused_stream_is_told_once_and_not_tried_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < REFUSALS; i++) {
        expect_refused_reception(PUBSUB_STREAMING_PULL, SCRIPTED_STREAMING_PULL, i);
    }
}

static void refused_pull_is_told_once_and_not_tried_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < REFUSALS; i++) {
        expect_refused_reception(PUBSUB_UNARY_PULL, SCRIPTED_PULL, i);
    }
}

static void refused_publish_is_told_and_not_tried_again(void **state)
{
    struct scripted_rig *rig = scripted_rig_create(NULL);
    (void)state;
    rig_open_publisher(rig, (struct pubsub_publisher_options){.linger_us = 1000});
    for (size_t i = 0; i < REFUSALS; i++) {
        pubsub_scripted_next(
            rig->server, SCRIPTED_PUBLISH,
            (struct scripted_answer){.status = refusals[i].status, .reason = refusals[i].reason});
        assert_int_equal(rig_publish_one(rig), refusals[i].err);
        assert_non_null(strstr(rig->why.text, refusals[i].reason));
        assert_int_equal(pubsub_scripted_counts(rig->server).calls[SCRIPTED_PUBLISH], i + 1);
    }
    assert_false(rig_wait_calls(rig, SCRIPTED_PUBLISH, REFUSALS + 1, SHORT_MS));
    scripted_rig_destroy(rig);
}

static void overloaded_service_is_pulled_from_ever_more_slowly(void **state)
{
    struct scripted_rig *rig = scripted_rig_create(NULL);
    (void)state;
    pubsub_scripted_next(rig->server, SCRIPTED_PULL,
                         (struct scripted_answer){.status = RESOURCE_EXHAUSTED, .times = 4});
    pubsub_scripted_add(rig->server, 1, 20);
    rig_open_subscriber(rig, (struct pubsub_subscriber_options){.way = PUBSUB_UNARY_PULL});
    assert_true(rig_wait_calls(rig, SCRIPTED_PULL, 5, RIG_PATIENCE_MS));
    rig_take_all(rig, 1, true);
    for (size_t i = 0; i < 4; i++) {
        assert_true(rig_gap_ms(rig, SCRIPTED_PULL, i) >= 50 << i);
    }
    scripted_rig_destroy(rig);
}

// --- publishing again ---------------------------------------------------------------------------

static void each_status_is_tried_again_or_not(void **state)
{
    // By status of gRPC, as Google's clients have it.
    static const bool again[] = {
        [1] = true, [2] = true, [4] = true, [8] = true, [10] = true, [13] = true, [14] = true};
    struct scripted_rig *rig = scripted_rig_create(NULL);
    (void)state;
    rig_open_publisher(
        rig, (struct pubsub_publisher_options){.linger_us = 1000, .backoff_first_us = 10000});
    for (int status = 1; status <= UNAUTHENTICATED; status++) {
        bool wanted = (size_t)status < sizeof(again) && again[status];
        uint64_t before = pubsub_scripted_counts(rig->server).calls[SCRIPTED_PUBLISH];
        pubsub_scripted_next(rig->server, SCRIPTED_PUBLISH,
                             (struct scripted_answer){.status = status, .reason = "as told"});
        enum err err = rig_publish_one(rig);
        uint64_t calls = pubsub_scripted_counts(rig->server).calls[SCRIPTED_PUBLISH] - before;
        if ((err == ERR_OK) != wanted || calls != (wanted ? 2 : 1)) {
            fail_msg("status %d: %s after %d calls", status, err_name(err), (int)calls);
        }
    }
    scripted_rig_destroy(rig);
}

static void publishing_is_given_up_after_the_total_time(void **state)
{
    struct scripted_rig *rig = scripted_rig_create(NULL);
    const struct clock clock = clock_real();
    (void)state;
    pubsub_scripted_next(rig->server, SCRIPTED_PUBLISH,
                         (struct scripted_answer){.status = UNAVAILABLE,
                                                  .reason = "come again",
                                                  .times = SCRIPTED_ALWAYS});
    rig_open_publisher(
        rig, (struct pubsub_publisher_options){.linger_us = 1000, .total_us = 2 * US_PER_SECOND});
    int64_t start_ns = clock_mono_ns(&clock);
    assert_int_equal(rig_publish_one(rig), ERR_UNAVAILABLE);
    int64_t spent_ms = (clock_mono_ns(&clock) - start_ns) / 1000000;
    assert_non_null(strstr(rig->why.text, "come again"));
    uint64_t calls = pubsub_scripted_counts(rig->server).calls[SCRIPTED_PUBLISH];
    // Waits of 50-100, 100-200, 200-400, 400-800, 800-1600 ms fit into two seconds.
    assert_in_range(calls, 4, 6);
    assert_in_range(spent_ms, 700, 10000);
    scripted_rig_destroy(rig);
}

static void answer_that_does_not_come_is_asked_for_again(void **state)
{
    struct scripted_rig *rig = scripted_rig_create(NULL);
    (void)state;
    pubsub_scripted_next(rig->server, SCRIPTED_PUBLISH,
                         (struct scripted_answer){.delay_ms = RIG_PATIENCE_MS});
    rig_open_publisher(rig,
                       (struct pubsub_publisher_options){.linger_us = 1000, .attempt_us = 300000});
    rig_expect_ok(rig_publish_one(rig), &rig->why);
    struct scripted_counts counts = pubsub_scripted_counts(rig->server);
    assert_int_equal(counts.calls[SCRIPTED_PUBLISH], 2);
    assert_int_equal(counts.messages, 1);
    scripted_rig_destroy(rig);
}

static void slow_answer_is_waited_for(void **state)
{
    struct scripted_rig *rig = scripted_rig_create(NULL);
    (void)state;
    pubsub_scripted_next(rig->server, SCRIPTED_PUBLISH, (struct scripted_answer){.delay_ms = 400});
    rig_open_publisher(rig, (struct pubsub_publisher_options){.linger_us = 1000});
    rig_expect_ok(rig_publish_one(rig), &rig->why);
    assert_int_equal(pubsub_scripted_counts(rig->server).calls[SCRIPTED_PUBLISH], 1);
    scripted_rig_destroy(rig);
}

// --- pieces -------------------------------------------------------------------------------------

static void answers_that_come_in_pieces_are_whole(void **state)
{
    enum { TOTAL = 1000, DATA_SIZE = 500 };
    struct pubsub_scripted *behind = pubsub_scripted_start(&(struct pubsub_scripted_options){0});
    struct tcp_proxy *proxy = tcp_proxy_start(
        (uint16_t)strtoul(strchr(pubsub_scripted_address(behind), ':') + 1, NULL, 10));
    struct pubsub_options options = {.target = {.plaintext = true}};
    (void)state;
    assert_non_null(proxy);
    (void)snprintf(options.target.endpoint, sizeof(options.target.endpoint), "%s",
                   tcp_proxy_address(proxy));
    struct scripted_rig *rig =
        scripted_rig_create_to(&(struct pubsub_scripted_options){0}, &options);
    tcp_proxy_throttle(proxy, 500000);
    pubsub_scripted_add(behind, TOTAL, DATA_SIZE);
    rig_open_subscriber(rig, (struct pubsub_subscriber_options){.way = PUBSUB_UNARY_PULL});
    size_t got = 0;
    for (; got < TOTAL; got += rig->count) {
        rig_expect_ok(rig_take(rig, 1000, RIG_PATIENCE_US), &rig->why);
        assert_true(rig->count > 0);
        for (size_t i = 0; i < rig->count; i++) {
            assert_int_equal(rig->messages[i].data.size, DATA_SIZE);
            pubsub_ack(rig->subscriber, &rig->messages[i].handle, 1);
        }
    }
    drain(rig);
    assert_int_equal(pubsub_scripted_counts(behind).acked, TOTAL);
    scripted_rig_destroy(rig);
    tcp_proxy_stop(&proxy);
    pubsub_scripted_stop(&behind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_acks_are_told_apart_and_the_others_are_done),
        cmocka_unit_test(message_whose_receipt_is_refused_is_never_shown),
        cmocka_unit_test(receipt_refused_for_the_moment_is_asked_again),
        cmocka_unit_test(acks_are_sent_until_the_service_has_them),
        cmocka_unit_test(ended_streams_are_opened_again_and_nothing_is_lost),
        cmocka_unit_test(streams_that_end_at_once_are_opened_ever_more_slowly),
        cmocka_unit_test(stream_that_no_longer_answers_pings_is_replaced),
        cmocka_unit_test(long_ack_ids_are_sent_in_more_requests),
        cmocka_unit_test(refused_stream_is_told_once_and_not_tried_again),
        cmocka_unit_test(refused_pull_is_told_once_and_not_tried_again),
        cmocka_unit_test(refused_publish_is_told_and_not_tried_again),
        cmocka_unit_test(overloaded_service_is_pulled_from_ever_more_slowly),
        cmocka_unit_test(each_status_is_tried_again_or_not),
        cmocka_unit_test(publishing_is_given_up_after_the_total_time),
        cmocka_unit_test(answer_that_does_not_come_is_asked_for_again),
        cmocka_unit_test(slow_answer_is_waited_for),
        cmocka_unit_test(answers_that_come_in_pieces_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
