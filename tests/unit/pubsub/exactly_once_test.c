// Subscriptions with exactly-once delivery: receipts before a message is shown, confirmations of acks,
// and what the service refuses for good or for the moment.
#include "subscriber_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

static void refuse(struct rig *rig, enum rpc_method method, const char *const pairs[][2],
                   size_t count)
{
    struct buf details;
    buf_init_heap(&details, 1u << 20);
    write_ack_failures(&details, pairs, count);
    fake_refuse_with(rig->fake, fake_call(rig->fake, method, 0), RPC_INVALID_ARGUMENT,
                     buf_view(&details));
    buf_deinit(&details);
}

// Three messages whose receipts are confirmed, taken.
static struct rig *create_with_three(void)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    rig_give_stream(rig, 0, "a", 3, true);
    rig_answer(rig, RPC_MODIFY_ACK_DEADLINE, 0);
    assert_int_equal(rig_take(rig, 10), 3);
    return rig;
}

static void message_is_shown_when_its_receipt_is_confirmed(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give_stream(rig, 0, "a", 3, true);
    assert_int_equal(rig_take(rig, 10), 0);
    const struct payload *receipt = rig_request(rig, RPC_MODIFY_ACK_DEADLINE, 0);
    assert_int_equal(settled_count(receipt), 3);
    assert_int_equal(settled_seconds(receipt), 60); // the floor with exactly-once
    rig_answer(rig, RPC_MODIFY_ACK_DEADLINE, 0);
    assert_int_equal(rig_take(rig, 10), 3);
    rig_destroy(rig);
}

static void message_whose_receipt_fails_is_never_shown(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    static const char *const pairs[][2] = {{"a1", "PERMANENT_FAILURE_INVALID_ACK_ID"}};
    (void)state;
    rig_give_stream(rig, 0, "a", 3, true);
    refuse(rig, RPC_MODIFY_ACK_DEADLINE, pairs, 1);
    assert_int_equal(rig_take(rig, 10), 2);
    assert_int_equal(rig_figures(rig).held, 2);
    rig_ack(rig);
    fake_pass(rig->fake, US_PER_SECOND);
    assert_false(settled_has(rig_request(rig, RPC_ACKNOWLEDGE, 0), "a1"));
    rig_destroy(rig);
}

static void batch_whose_receipts_all_fail_is_gone(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give_stream(rig, 0, "a", 3, true);
    fake_refuse(rig->fake, fake_call(rig->fake, RPC_MODIFY_ACK_DEADLINE, 0), RPC_NOT_FOUND, "");
    assert_int_equal(rig_take(rig, 10), 0);
    assert_int_equal(rig_figures(rig).held, 0);
    assert_int_equal(rig_figures(rig).held_size, 0);
    rig_destroy(rig);
}

static void receipt_that_fails_for_the_moment_is_asked_again(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    static const char *const pairs[][2] = {{"a0", "TRANSIENT_FAILURE_INVALID_ACK_ID"}};
    (void)state;
    rig_give_stream(rig, 0, "a", 2, true);
    refuse(rig, RPC_MODIFY_ACK_DEADLINE, pairs, 1);
    assert_int_equal(rig_take(rig, 10), 0); // a batch is shown as a whole
    fake_pass(rig->fake, US_PER_SECOND);
    assert_int_equal(settled_count(rig_request(rig, RPC_MODIFY_ACK_DEADLINE, 0)), 1);
    assert_true(settled_has(rig_request(rig, RPC_MODIFY_ACK_DEADLINE, 0), "a0"));
    rig_answer(rig, RPC_MODIFY_ACK_DEADLINE, 0);
    assert_int_equal(rig_take(rig, 10), 2);
    rig_destroy(rig);
}

static void receipt_that_never_comes_drops_the_message(void **state)
{
    struct rig *rig = rig_create((struct pubsub_subscriber_options){0});
    (void)state;
    rig_give_stream(rig, 0, "a", 2, true);
    for (int i = 0; i < 1000 && rig_figures(rig).held > 0; i++) {
        if (fake_call_count(rig->fake, RPC_MODIFY_ACK_DEADLINE) > 0) {
            fake_refuse(rig->fake, fake_call(rig->fake, RPC_MODIFY_ACK_DEADLINE, 0),
                        RPC_UNAVAILABLE, "");
        }
        fake_pass(rig->fake, 100000);
    }
    assert_int_equal(rig_figures(rig).held, 0);
    assert_int_equal(rig_take(rig, 10), 0);
    rig_destroy(rig);
}

static void confirmed_ack_is_told(void **state)
{
    struct rig *rig = create_with_three();
    (void)state;
    rig_ack(rig);
    fake_pass(rig->fake, US_PER_SECOND);
    assert_int_equal(rig->settled_count, 0);
    rig_answer(rig, RPC_ACKNOWLEDGE, 0);
    assert_int_equal(rig->settled_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rig->settled[i].handle, rig->handles[i]);
        assert_int_equal(rig->settled[i].how, PUBSUB_SETTLED);
    }
    assert_int_equal(rig_figures(rig).acked, 3);
    rig_destroy(rig);
}

static void refusal_concerns_only_the_ids_it_names(void **state)
{
    struct rig *rig = create_with_three();
    static const char *const pairs[][2] = {{"a0", "PERMANENT_FAILURE_INVALID_ACK_ID"},
                                           {"a2", "TRANSIENT_FAILURE_INVALID_ACK_ID"}};
    (void)state;
    rig_ack(rig);
    fake_pass(rig->fake, US_PER_SECOND);
    refuse(rig, RPC_ACKNOWLEDGE, pairs, 2);
    assert_int_equal(rig->settled_count, 2);
    assert_int_equal(rig->settled[0].handle, rig->handles[0]);
    assert_int_equal(rig->settled[0].how, PUBSUB_SETTLED_TOO_LATE);
    assert_int_equal(rig->settled[1].handle, rig->handles[1]);
    assert_int_equal(rig->settled[1].how, PUBSUB_SETTLED);
    assert_int_equal(rig_figures(rig).acked, 1);
    assert_int_equal(rig_figures(rig).too_late, 1);
    fake_pass(rig->fake, 2 * US_PER_SECOND);
    assert_int_equal(settled_count(rig_request(rig, RPC_ACKNOWLEDGE, 0)), 1);
    assert_true(settled_has(rig_request(rig, RPC_ACKNOWLEDGE, 0), "a2"));
    rig_answer(rig, RPC_ACKNOWLEDGE, 0);
    assert_int_equal(rig->settled_count, 3);
    assert_int_equal(rig->settled[2].handle, rig->handles[2]);
    assert_int_equal(rig->settled[2].how, PUBSUB_SETTLED);
    rig_destroy(rig);
}

static void ack_is_tried_for_ten_minutes(void **state)
{
    struct rig *rig = create_with_three();
    static const char *const pairs[][2] = {{"a0", "TRANSIENT_FAILURE_INVALID_ACK_ID"},
                                           {"a1", "TRANSIENT_FAILURE_INVALID_ACK_ID"},
                                           {"a2", "TRANSIENT_FAILURE_INVALID_ACK_ID"}};
    int64_t start_ns = rig->fake->time.mono_ns;
    (void)state;
    rig_ack(rig);
    fake_pass(rig->fake, US_PER_SECOND);
    while (rig->settled_count == 0) {
        if (fake_call_count(rig->fake, RPC_ACKNOWLEDGE) > 0) {
            refuse(rig, RPC_ACKNOWLEDGE, pairs, 3);
        }
        fake_pass(rig->fake, US_PER_SECOND);
    }
    assert_int_equal(rig->settled_count, 3);
    assert_int_equal(rig->settled[0].how, PUBSUB_SETTLED_UNKNOWN);
    assert_in_range(rig->fake->time.mono_ns - start_ns, 530 * NS_PER_SECOND, 603 * NS_PER_SECOND);
    assert_int_equal(rig_figures(rig).ack_lost, 3);
    rig_destroy(rig);
}

static void call_that_fails_as_a_whole_is_tried_again_as_a_whole(void **state)
{
    static const int codes[] = {RPC_DEADLINE_EXCEEDED, RPC_RESOURCE_EXHAUSTED, RPC_ABORTED,
                                RPC_INTERNAL, RPC_UNAVAILABLE};
    struct rig *rig = create_with_three();
    (void)state;
    rig_ack(rig);
    fake_pass(rig->fake, US_PER_SECOND);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        fake_refuse(rig->fake, fake_call(rig->fake, RPC_ACKNOWLEDGE, 0), codes[i], "");
        fake_pass(rig->fake, 64 * US_PER_SECOND);
        assert_int_equal(settled_count(rig_request(rig, RPC_ACKNOWLEDGE, 0)), 3);
    }
    rig_answer(rig, RPC_ACKNOWLEDGE, 0);
    assert_int_equal(rig->settled_count, 3);
    rig_destroy(rig);
}

static void nack_is_confirmed_too(void **state)
{
    struct rig *rig = create_with_three();
    (void)state;
    rig_nack(rig);
    rig_answer(rig, RPC_MODIFY_ACK_DEADLINE, 0);
    assert_int_equal(rig->settled_count, 3);
    assert_int_equal(rig->settled[2].how, PUBSUB_SETTLED);
    rig_destroy(rig);
}

static void extension_refused_for_good_is_counted(void **state)
{
    struct rig *rig = create_with_three();
    static const char *const pairs[][2] = {{"a1", "PERMANENT_FAILURE_INVALID_ACK_ID"}};
    (void)state;
    fake_pass(rig->fake, 48 * US_PER_SECOND);
    refuse(rig, RPC_MODIFY_ACK_DEADLINE, pairs, 1);
    assert_int_equal(rig_figures(rig).too_late, 1);
    assert_int_equal(rig_figures(rig).extended, 2);
    rig_destroy(rig);
}

static void details_of_another_kind_say_nothing_about_acks(void **state)
{
    struct rig *rig = create_with_three();
    static const char *const pairs[][2] = {{"service", "pubsub.googleapis.com"}};
    (void)state;
    rig_ack(rig);
    fake_pass(rig->fake, US_PER_SECOND);
    refuse(rig, RPC_ACKNOWLEDGE, pairs, 1);
    assert_int_equal(rig_figures(rig).acked, 0); // refused, not "fine because not named"
    assert_int_equal(rig_figures(rig).ack_lost, 3);
    rig_destroy(rig);
}

static void response_without_properties_changes_nothing(void **state)
{
    struct rig *rig = create_with_three();
    (void)state;
    rig_give(rig, "b", 1, 10);
    assert_int_equal(rig_take(rig, 10), 0); // its receipt is still awaited
    rig_answer_all(rig);
    assert_int_equal(rig_take(rig, 10), 1);
    rig_destroy(rig);
}

static void subscription_may_lose_the_property(void **state)
{
    struct rig *rig = create_with_three();
    (void)state;
    rig_give_stream(rig, 0, "b", 1, false);
    assert_int_equal(rig_take(rig, 10), 1);
    rig_destroy(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_shown_when_its_receipt_is_confirmed),
        cmocka_unit_test(message_whose_receipt_fails_is_never_shown),
        cmocka_unit_test(batch_whose_receipts_all_fail_is_gone),
        cmocka_unit_test(receipt_that_fails_for_the_moment_is_asked_again),
        cmocka_unit_test(receipt_that_never_comes_drops_the_message),
        cmocka_unit_test(confirmed_ack_is_told),
        cmocka_unit_test(refusal_concerns_only_the_ids_it_names),
        cmocka_unit_test(ack_is_tried_for_ten_minutes),
        cmocka_unit_test(call_that_fails_as_a_whole_is_tried_again_as_a_whole),
        cmocka_unit_test(nack_is_confirmed_too),
        cmocka_unit_test(extension_refused_for_good_is_counted),
        cmocka_unit_test(details_of_another_kind_say_nothing_about_acks),
        cmocka_unit_test(response_without_properties_changes_nothing),
        cmocka_unit_test(subscription_may_lose_the_property),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
