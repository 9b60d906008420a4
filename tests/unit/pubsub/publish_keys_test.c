// Publishing with ordering keys: one request a key at a time, in order; a key that failed is paused.
#include "fake_service.h"
#include "fake_transport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

struct rig {
    struct fake *fake;
    struct pubsub_publisher *publisher;
    struct why why;
    size_t good;
    size_t bad;
    char failed_key[32];
    char paused[200];
};

static void on_result(void *context, void *tag, const struct pubsub_publish_result *result)
{
    struct rig *rig = context;
    (void)tag;
    rig->good += result->err == ERR_OK ? 1 : 0;
    if (result->err != ERR_OK) {
        rig->bad++;
        (void)snprintf(rig->failed_key, sizeof(rig->failed_key), "%.*s",
                       TEXT_PRINT(result->ordering_key));
    }
}

static struct rig *create(struct pubsub_publisher_options options)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->fake = fake_create();
    options.topic = TEXT("ttt");
    options.ordering = true;
    options.on_result = on_result;
    options.context = rig;
    assert_int_equal(pubsub_publisher_open(rig->fake->client, &options, &rig->publisher, &rig->why),
                     ERR_OK);
    return rig;
}

static void destroy(struct rig *rig)
{
    pubsub_publisher_close(&rig->publisher);
    fake_destroy(&rig->fake);
    free(rig);
}

static enum err publish(struct rig *rig, const char *key, const char *data)
{
    const struct pubsub_outgoing message = {.data = text_of(data), .ordering_key = text_of(key)};
    size_t accepted = 0;
    enum err err = pubsub_publish(rig->publisher, &message, 1, NULL, &accepted, &rig->why);
    fake_turn(rig->fake);
    return err;
}

static void send(struct rig *rig, const char *key, const char *data)
{
    assert_int_equal(publish(rig, key, data), ERR_OK);
    pubsub_publisher_send(rig->publisher);
    fake_turn(rig->fake);
}

static void answer(struct rig *rig, size_t n)
{
    struct fake_call *call = fake_call(rig->fake, RPC_PUBLISH, n);
    struct buf response;
    buf_init_heap(&response, 1u << 16);
    write_published_ids(&response, published_count(call->request));
    fake_answer(rig->fake, call, buf_view(&response));
    buf_deinit(&response);
}

static void refuse(struct rig *rig, size_t n, int code)
{
    fake_refuse(rig->fake, fake_call(rig->fake, RPC_PUBLISH, n), code, "no");
}

static void add_paused(void *context, struct text key)
{
    struct rig *rig = context;
    size_t used = strlen(rig->paused);
    (void)snprintf(rig->paused + used, sizeof(rig->paused) - used, "%.*s,", TEXT_PRINT(key));
}

static const char *paused(struct rig *rig)
{
    rig->paused[0] = '\0';
    pubsub_publisher_paused(rig->publisher, add_paused, rig);
    return rig->paused;
}

static void request_has_messages_of_one_key(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){0});
    (void)state;
    assert_int_equal(publish(rig, "a", "1"), ERR_OK);
    assert_int_equal(publish(rig, "b", "2"), ERR_OK);
    assert_int_equal(publish(rig, "", "3"), ERR_OK);
    assert_int_equal(publish(rig, "a", "4"), ERR_OK);
    pubsub_publisher_send(rig->publisher);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 3);
    const struct payload *first = fake_call(rig->fake, RPC_PUBLISH, 0)->request;
    assert_int_equal(published_count(first), 2);
    assert_true(text_equal(published_data(first, 0), TEXT("1")));
    assert_true(text_equal(published_data(first, 1), TEXT("4")));
    assert_true(text_equal(published_key(first, 1), TEXT("a")));
    answer(rig, 0);
    answer(rig, 0);
    answer(rig, 0);
    assert_int_equal(rig->good, 4);
    destroy(rig);
}

static void key_has_one_request_in_flight(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){0});
    (void)state;
    send(rig, "a", "1");
    send(rig, "a", "2");
    send(rig, "b", "3");
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 2);
    assert_true(
        text_equal(published_data(fake_call(rig->fake, RPC_PUBLISH, 1)->request, 0), TEXT("3")));
    answer(rig, 0);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 2);
    assert_true(
        text_equal(published_data(fake_call(rig->fake, RPC_PUBLISH, 1)->request, 0), TEXT("2")));
    answer(rig, 0);
    answer(rig, 0);
    destroy(rig);
}

static void second_try_comes_before_what_was_published_later(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){0});
    (void)state;
    send(rig, "a", "1");
    send(rig, "a", "2");
    refuse(rig, 0, RPC_UNAVAILABLE);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 0);
    fake_pass(rig->fake, US_PER_SECOND);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 1);
    assert_true(
        text_equal(published_data(fake_call(rig->fake, RPC_PUBLISH, 0)->request, 0), TEXT("1")));
    answer(rig, 0);
    answer(rig, 0);
    assert_int_equal(rig->good, 2);
    destroy(rig);
}

static void failure_fails_what_waits_behind_it_and_pauses_the_key(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){0});
    (void)state;
    send(rig, "a", "1");
    send(rig, "a", "2");
    assert_int_equal(publish(rig, "a", "3"), ERR_OK); // still open
    send(rig, "b", "4");
    refuse(rig, 0, RPC_INVALID_ARGUMENT);
    assert_int_equal(rig->bad, 3);
    assert_string_equal(rig->failed_key, "a");
    assert_string_equal(paused(rig), "a,");
    assert_int_equal(publish(rig, "a", "5"), ERR_BUSY);
    assert_int_equal(publish(rig, "b", "6"), ERR_OK);
    pubsub_publisher_resume(rig->publisher, TEXT("b")); // not paused: nothing happens
    pubsub_publisher_resume(rig->publisher, TEXT("a"));
    assert_string_equal(paused(rig), "");
    send(rig, "a", "7");
    while (fake_call_count(rig->fake, RPC_PUBLISH) > 0) {
        answer(rig, 0);
    }
    assert_int_equal(rig->good, 3);
    destroy(rig);
}

static void all_paused_keys_can_be_resumed_at_once(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){.requests_max = 100});
    char key[16];
    (void)state;
    for (int i = 0; i < 40; i++) { // more than the table has at first
        (void)snprintf(key, sizeof(key), "key %d", i);
        send(rig, key, "x");
    }
    for (int i = 0; i < 40; i++) {
        refuse(rig, 0, RPC_NOT_FOUND);
    }
    assert_int_equal(publish(rig, "key 17", "x"), ERR_BUSY);
    pubsub_publisher_resume_all(rig->publisher);
    assert_string_equal(paused(rig), "");
    send(rig, "key 17", "x");
    answer(rig, 0);
    assert_int_equal(rig->good, 1);
    assert_int_equal(rig->bad, 40);
    destroy(rig);
}

static void key_that_resumes_by_itself_is_never_paused(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){.resume_by_itself = true});
    (void)state;
    send(rig, "a", "1");
    send(rig, "a", "2");
    refuse(rig, 0, RPC_INVALID_ARGUMENT);
    assert_int_equal(rig->bad, 2); // still in order: what waited behind it is not published
    send(rig, "a", "3");
    answer(rig, 0);
    assert_int_equal(rig->good, 1);
    destroy(rig);
}

static void messages_without_a_key_are_not_held_up(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){0});
    (void)state;
    send(rig, "", "1");
    send(rig, "", "2");
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 2);
    refuse(rig, 0, RPC_INVALID_ARGUMENT);
    assert_int_equal(rig->bad, 1);
    assert_string_equal(paused(rig), "");
    answer(rig, 0);
    destroy(rig);
}

static void keys_share_the_room_in_flight(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){.requests_max = 1});
    (void)state;
    send(rig, "a", "1");
    send(rig, "a", "2");
    send(rig, "b", "3");
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 1);
    answer(rig, 0); // b waited, so b is next
    assert_true(
        text_equal(published_key(fake_call(rig->fake, RPC_PUBLISH, 0)->request, 0), TEXT("b")));
    answer(rig, 0);
    answer(rig, 0);
    assert_int_equal(rig->good, 3);
    destroy(rig);
}

static void key_lingers_by_itself(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){.linger_us = 1000});
    (void)state;
    assert_int_equal(publish(rig, "a", "1"), ERR_OK);
    fake_pass(rig->fake, 600);
    assert_int_equal(publish(rig, "b", "2"), ERR_OK);
    fake_pass(rig->fake, 400);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 1);
    fake_pass(rig->fake, 600);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 2);
    answer(rig, 0);
    answer(rig, 0);
    destroy(rig);
}

static void key_size_is_bounded(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){0});
    char key[PUBSUB_KEY_SIZE_MAX + 1];
    memset(key, 'k', sizeof(key));
    (void)state;
    for (size_t size = PUBSUB_KEY_SIZE_MAX - 1; size <= PUBSUB_KEY_SIZE_MAX + 1; size++) {
        const struct pubsub_outgoing message = {.data = TEXT("x"), .ordering_key = {key, size}};
        assert_int_equal(pubsub_publish_check(rig->publisher, &message, &rig->why),
                         size <= PUBSUB_KEY_SIZE_MAX ? ERR_OK : ERR_TOO_LARGE);
    }
    const struct pubsub_outgoing bad = {.data = TEXT("x"), .ordering_key = TEXT("\xff")};
    assert_int_equal(pubsub_publish_check(rig->publisher, &bad, &rig->why), ERR_INVALID);
    destroy(rig);
}

static void closing_leaves_no_key_behind(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){0});
    (void)state;
    send(rig, "a", "1");
    send(rig, "a", "2");
    assert_int_equal(publish(rig, "b", "3"), ERR_OK);
    pubsub_publisher_close(&rig->publisher);
    assert_int_equal(rig->bad, 3);
    destroy(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_has_messages_of_one_key),
        cmocka_unit_test(key_has_one_request_in_flight),
        cmocka_unit_test(second_try_comes_before_what_was_published_later),
        cmocka_unit_test(failure_fails_what_waits_behind_it_and_pauses_the_key),
        cmocka_unit_test(all_paused_keys_can_be_resumed_at_once),
        cmocka_unit_test(key_that_resumes_by_itself_is_never_paused),
        cmocka_unit_test(messages_without_a_key_are_not_held_up),
        cmocka_unit_test(keys_share_the_room_in_flight),
        cmocka_unit_test(key_lingers_by_itself),
        cmocka_unit_test(key_size_is_bounded),
        cmocka_unit_test(closing_leaves_no_key_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
