// Publishing without ordering keys: how messages are put together, sent, sent again and answered.
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

#define TOPIC_FIELD_SIZE 21u // "projects/p/topics/t" with its key and size

struct rig {
    struct fake *fake;
    struct pubsub_publisher *publisher;
    struct why why;
    size_t good;
    size_t bad;
    enum err last_err;
    char last_why[200];
    char ids[4096]; // of the good ones, each with a comma
    char *data;
};

static void on_result(void *context, void *tag, const struct pubsub_publish_result *result)
{
    struct rig *rig = context;
    assert_ptr_equal(tag, rig);
    if (result->err == ERR_OK) {
        rig->good++;
        size_t used = strlen(rig->ids);
        if (used + result->message_id.size + 2 < sizeof(rig->ids)) {
            memcpy(rig->ids + used, result->message_id.data, result->message_id.size);
            rig->ids[used + result->message_id.size] = ',';
        }
    } else {
        rig->bad++;
        rig->last_err = result->err;
        (void)snprintf(rig->last_why, sizeof(rig->last_why), "%.190s", result->why->text);
    }
}

static struct rig *create(struct pubsub_publisher_options options)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->fake = fake_create();
    rig->data = calloc(1, 11000000);
    assert_non_null(rig->data);
    options.topic = TEXT("ttt");
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
    free(rig->data);
    free(rig);
}

static enum err publish(struct rig *rig, size_t data_size)
{
    const struct pubsub_outgoing message = {.data = {rig->data, data_size}};
    size_t accepted = 0;
    enum err err = pubsub_publish(rig->publisher, &message, 1, rig, &accepted, &rig->why);
    assert_int_equal(accepted, err == ERR_OK ? 1 : 0);
    fake_turn(rig->fake);
    return err;
}

static void publish_many(struct rig *rig, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(publish(rig, 1), ERR_OK);
    }
}

static void answer(struct rig *rig)
{
    struct fake_call *call = fake_call(rig->fake, RPC_PUBLISH, 0);
    struct buf response;
    buf_init_heap(&response, 1u << 20);
    write_published_ids(&response, published_count(call->request));
    fake_answer(rig->fake, call, buf_view(&response));
    buf_deinit(&response);
}

static void full_batch_goes_at_once_and_not_before(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){0});
    (void)state;
    publish_many(rig, 999);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 0);
    publish_many(rig, 1);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 1);
    publish_many(rig, 1);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 1);
    const struct payload *request = fake_call(rig->fake, RPC_PUBLISH, 0)->request;
    assert_int_equal(published_count(request), 1000);
    assert_true(text_equal(published_topic(request), TEXT("projects/p/topics/ttt")));
    answer(rig);
    assert_int_equal(rig->good, 1000);
    destroy(rig);
}

static void lone_message_goes_when_it_lingered(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){.linger_us = 7000});
    (void)state;
    publish_many(rig, 1);
    fake_pass(rig->fake, 6999);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 0);
    fake_pass(rig->fake, 1);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 1);
    answer(rig);
    assert_string_equal(rig->ids, "1,");
    destroy(rig);
}

// The field of a message of n bytes: its key, its size, and in it the data's key, size and bytes.
static void batch_takes_as_many_bytes_as_a_request_may_have(void **state)
{
    (void)state;
    // Two messages: 2 * (1 + 2 + 1 + 2 + 400) bytes of messages, and the topic.
    size_t exact = 23 + 2 * 406;
    for (size_t limit = exact - 1; limit <= exact + 1; limit++) {
        struct rig *rig = create((struct pubsub_publisher_options){.batch_size_max = limit});
        assert_int_equal(publish(rig, 400), ERR_OK);
        assert_int_equal(publish(rig, 400), ERR_OK);
        assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), limit < exact ? 1 : 0);
        pubsub_publisher_send(rig->publisher);
        const struct payload *request = fake_call(rig->fake, RPC_PUBLISH, 0)->request;
        assert_int_equal(published_count(request), limit < exact ? 1 : 2);
        assert_true(request->bytes.size <= limit);
        answer(rig);
        if (limit < exact) {
            answer(rig);
        }
        assert_int_equal(rig->good, 2);
        destroy(rig);
    }
}

static void message_of_the_whole_request_is_the_largest(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){0});
    (void)state;
    // Topic, then key and size (4 bytes) of the message, then key and size (4 bytes) of the data.
    size_t largest = PUBSUB_REQUEST_SIZE_MAX - 23 - 5 - 5;
    assert_int_equal(publish(rig, largest + 1), ERR_TOO_LARGE);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 0);
    assert_int_equal(publish(rig, largest), ERR_OK);
    pubsub_publisher_send(rig->publisher);
    assert_int_equal(fake_call(rig->fake, RPC_PUBLISH, 0)->request->bytes.size,
                     PUBSUB_REQUEST_SIZE_MAX);
    answer(rig);
    assert_int_equal(rig->good, 1);
    destroy(rig);
}

static void message_too_large_does_not_hold_up_the_others(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){0});
    const struct pubsub_outgoing messages[] = {
        {.data = TEXT("a")}, {.data = {rig->data, 10500000}}, {.data = TEXT("b")}};
    size_t accepted = 0;
    (void)state;
    assert_int_equal(pubsub_publish(rig->publisher, messages, 3, rig, &accepted, &rig->why),
                     ERR_TOO_LARGE);
    assert_int_equal(accepted, 1);
    assert_non_null(strstr(rig->why.text, "10500005 bytes"));
    assert_int_equal(pubsub_publish(rig->publisher, messages + 2, 1, rig, &accepted, &rig->why),
                     ERR_OK);
    pubsub_publisher_send(rig->publisher);
    assert_int_equal(published_count(fake_call(rig->fake, RPC_PUBLISH, 0)->request), 2);
    answer(rig);
    assert_int_equal(rig->good, 2);
    destroy(rig);
}

static void requests_in_flight_are_bounded(void **state)
{
    struct rig *rig =
        create((struct pubsub_publisher_options){.requests_max = 2, .batch_count_max = 10});
    (void)state;
    publish_many(rig, 35);
    pubsub_publisher_send(rig->publisher);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 2);
    answer(rig);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 2);
    answer(rig);
    answer(rig);
    assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 1);
    assert_int_equal(published_count(fake_call(rig->fake, RPC_PUBLISH, 0)->request), 5);
    answer(rig);
    assert_int_equal(rig->good, 35);
    destroy(rig);
}

static void full_publisher_refuses_when_told_so(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){
        .waiting_count_max = 5, .when_full = PUBSUB_WHEN_FULL_REFUSE});
    (void)state;
    publish_many(rig, 5);
    assert_int_equal(publish(rig, 1), ERR_FULL);
    assert_int_equal(err_class_of(ERR_FULL), ERR_CLASS_RETRY);
    pubsub_publisher_send(rig->publisher);
    assert_int_equal(publish(rig, 1), ERR_FULL); // in flight counts too
    answer(rig);
    assert_int_equal(publish(rig, 1), ERR_OK);
    pubsub_publisher_send(rig->publisher);
    answer(rig);
    destroy(rig);
}

static void bytes_waiting_are_bounded_but_one_message_always_fits(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){
        .waiting_size_max = 2 * 106, .when_full = PUBSUB_WHEN_FULL_REFUSE});
    (void)state;
    assert_int_equal(publish(rig, 1000), ERR_OK);
    assert_int_equal(publish(rig, 1), ERR_FULL);
    pubsub_publisher_send(rig->publisher);
    answer(rig);
    assert_int_equal(publish(rig, 102), ERR_OK); // takes 106 with its keys and sizes
    assert_int_equal(publish(rig, 103), ERR_FULL);
    assert_int_equal(publish(rig, 102), ERR_OK);
    pubsub_publisher_send(rig->publisher);
    answer(rig);
    assert_int_equal(rig->good, 3);
    destroy(rig);
}

static bool answer_whenever_asked(struct fake *fake, void *context)
{
    (void)context;
    if (fake_call_count(fake, RPC_PUBLISH) == 0) {
        return false;
    }
    struct fake_call *call = fake_call(fake, RPC_PUBLISH, 0);
    struct buf response;
    buf_init_heap(&response, 1u << 20);
    write_published_ids(&response, published_count(call->request));
    fake_answer_only(fake, call, buf_view(&response));
    buf_deinit(&response);
    return true;
}

static void full_publisher_waits_when_told_so(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){.waiting_count_max = 5});
    (void)state;
    rig->fake->answer = answer_whenever_asked;
    publish_many(rig, 12);
    assert_int_equal(pubsub_publisher_flush(rig->publisher, US_PER_SECOND, &rig->why), ERR_OK);
    assert_int_equal(rig->good, 12);
    destroy(rig);
}

static void flush_tells_what_is_left_in_time(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){0});
    (void)state;
    publish_many(rig, 3);
    int64_t before_ns = rig->fake->time.mono_ns;
    assert_int_equal(pubsub_publisher_flush(rig->publisher, US_PER_SECOND, &rig->why), ERR_TIMEOUT);
    assert_int_equal(rig->fake->time.mono_ns - before_ns, NS_PER_SECOND);
    assert_non_null(strstr(rig->why.text, "3 messages"));
    answer(rig);
    assert_int_equal(pubsub_publisher_flush(rig->publisher, US_PER_SECOND, &rig->why), ERR_OK);
    destroy(rig);
}

static void failure_of_the_moment_is_tried_again_after_a_while(void **state)
{
    static const int codes[] = {RPC_ABORTED,          RPC_CANCELLED,   RPC_INTERNAL,
                                RPC_UNKNOWN,          RPC_UNAVAILABLE, RPC_RESOURCE_EXHAUSTED,
                                RPC_DEADLINE_EXCEEDED};
    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct rig *rig = create((struct pubsub_publisher_options){.backoff_first_us = 100000});
        publish_many(rig, 1);
        pubsub_publisher_send(rig->publisher);
        struct text sent = fake_call(rig->fake, RPC_PUBLISH, 0)->request->bytes;
        char first[64];
        assert_true(sent.size <= sizeof(first));
        memcpy(first, sent.data, sent.size);
        fake_refuse(rig->fake, fake_call(rig->fake, RPC_PUBLISH, 0), codes[i], "busy");
        assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 0);
        fake_pass(rig->fake, 49999); // half of the wait is fixed
        assert_int_equal(fake_call_count(rig->fake, RPC_PUBLISH), 0);
        fake_pass(rig->fake, 50001);
        assert_true(text_equal(fake_call(rig->fake, RPC_PUBLISH, 0)->request->bytes,
                               (struct text){first, sent.size}));
        answer(rig);
        assert_int_equal(rig->good, 1);
        assert_int_equal(rig->bad, 0);
        destroy(rig);
    }
}

static void failure_for_good_names_the_topic_and_has_the_services_words(void **state)
{
    static const struct {
        int code;
        enum err err;
    } failures[] = {{RPC_INVALID_ARGUMENT, ERR_INVALID},     {RPC_NOT_FOUND, ERR_NOT_FOUND},
                    {RPC_PERMISSION_DENIED, ERR_PERMISSION}, {RPC_UNAUTHENTICATED, ERR_PERMISSION},
                    {RPC_FAILED_PRECONDITION, ERR_INVALID},  {RPC_UNIMPLEMENTED, ERR_CONFIG}};
    (void)state;
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        struct rig *rig = create((struct pubsub_publisher_options){0});
        publish_many(rig, 2);
        pubsub_publisher_send(rig->publisher);
        fake_refuse(rig->fake, fake_call(rig->fake, RPC_PUBLISH, 0), failures[i].code,
                    "Resource not found (resource=t).");
        assert_int_equal(rig->bad, 2);
        assert_int_equal(rig->last_err, failures[i].err);
        assert_non_null(strstr(rig->last_why, "projects/p/topics/ttt: "));
        assert_non_null(strstr(rig->last_why, "Resource not found (resource=t)."));
        assert_non_null(strstr(rig->last_why, rpc_code_name(failures[i].code)));
        destroy(rig);
    }
}

static void trying_ends_after_the_total_time(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){.total_us = 10 * US_PER_SECOND});
    int64_t start_ns = rig->fake->time.mono_ns;
    (void)state;
    publish_many(rig, 1);
    pubsub_publisher_send(rig->publisher);
    size_t attempts = 0;
    while (rig->bad == 0) {
        fake_refuse(rig->fake, fake_call(rig->fake, RPC_PUBLISH, 0), RPC_UNAVAILABLE, "away");
        attempts++;
        while (rig->bad == 0 && fake_call_count(rig->fake, RPC_PUBLISH) == 0) {
            fake_pass(rig->fake, 1000);
        }
    }
    assert_int_equal(rig->last_err, ERR_UNAVAILABLE);
    assert_in_range(rig->fake->time.mono_ns - start_ns, 1, 10 * NS_PER_SECOND);
    assert_in_range(attempts, 5, 12);
    destroy(rig);
}

static void answer_with_too_few_ids_is_no_success(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){0});
    (void)state;
    publish_many(rig, 2);
    pubsub_publisher_send(rig->publisher);
    struct buf response;
    buf_init_heap(&response, 1000);
    write_published_ids(&response, 1);
    fake_answer(rig->fake, fake_call(rig->fake, RPC_PUBLISH, 0), buf_view(&response));
    buf_deinit(&response);
    assert_int_equal(rig->good + rig->bad, 0);
    fake_pass(rig->fake, US_PER_SECOND);
    answer(rig);
    assert_int_equal(rig->good, 2);
    destroy(rig);
}

static void what_no_service_takes_is_refused_here(void **state)
{
    struct rig *rig = create((struct pubsub_publisher_options){0});
    static char long_text[2000];
    static struct attribute many[ATTRIBUTE_COUNT_MAX + 1];
    memset(long_text, 'k', sizeof(long_text));
    for (size_t i = 0; i <= ATTRIBUTE_COUNT_MAX; i++) {
        many[i] = (struct attribute){TEXT("k"), TEXT("v")};
    }
    struct attribute item = {0};
    struct pubsub_outgoing message = {.attributes = {&item, 1}};
    static const struct {
        struct attribute item;
        enum err err;
    } cases[] = {
        {{{long_text, 256}, {long_text, 1024}}, ERR_OK},
        {{{long_text, 257}, TEXT("v")}, ERR_TOO_LARGE},
        {{TEXT(""), TEXT("v")}, ERR_TOO_LARGE},
        {{TEXT("k"), {long_text, 1025}}, ERR_TOO_LARGE},
        {{TEXT("k"), TEXT("\xff")}, ERR_INVALID},
        {{TEXT("\xc3"), TEXT("v")}, ERR_INVALID},
        {{TEXT("googk"), TEXT("v")}, ERR_INVALID},
        {{TEXT("gook"), TEXT("")}, ERR_OK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        item = cases[i].item;
        assert_int_equal(pubsub_publish_check(rig->publisher, &message, &rig->why), cases[i].err);
    }
    for (size_t count = ATTRIBUTE_COUNT_MAX - 1; count <= ATTRIBUTE_COUNT_MAX + 1; count++) {
        message.attributes = (struct attributes){many, count};
        assert_int_equal(pubsub_publish_check(rig->publisher, &message, &rig->why),
                         count <= ATTRIBUTE_COUNT_MAX ? ERR_OK : ERR_TOO_LARGE);
    }
    message = (struct pubsub_outgoing){.data = TEXT("")};
    assert_int_equal(pubsub_publish_check(rig->publisher, &message, &rig->why), ERR_INVALID);
    message = (struct pubsub_outgoing){.data = TEXT("x"), .ordering_key = TEXT("k")};
    assert_int_equal(pubsub_publish_check(rig->publisher, &message, &rig->why), ERR_INVALID);
    destroy(rig);
}

static void closing_fails_what_is_not_published(void **state)
{
    struct rig *rig =
        create((struct pubsub_publisher_options){.batch_count_max = 2, .requests_max = 2});
    (void)state;
    publish_many(rig, 7); // two requests in flight, one waiting, one open
    fake_refuse(rig->fake, fake_call(rig->fake, RPC_PUBLISH, 0), RPC_UNAVAILABLE, "away");
    pubsub_publisher_close(&rig->publisher);
    assert_int_equal(rig->bad, 7);
    assert_int_equal(rig->good, 0);
    fake_turn(rig->fake);
    destroy(rig);
}

static bool refuse_the_second(struct fake *fake, void *context)
{
    size_t *calls = context;
    if (fake_call_count(fake, RPC_PUBLISH) == 0) {
        return false;
    }
    if (++*calls != 2) {
        return answer_whenever_asked(fake, NULL);
    }
    const struct rpc_status status = {.code = RPC_NOT_FOUND, .message = TEXT("no such topic")};
    fake_end_call(fake, fake_call(fake, RPC_PUBLISH, 0), &status, (struct text){0});
    return true;
}

static void waiting_for_all_gives_the_first_failure(void **state)
{
    struct fake *fake = fake_create();
    struct pubsub_publisher *publisher = NULL;
    const struct pubsub_publisher_options options = {.topic = TEXT("ttt"), .batch_count_max = 2};
    struct pubsub_outgoing messages[5];
    struct why why = {0};
    size_t calls = 0;
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        messages[i] = (struct pubsub_outgoing){.data = TEXT("x")};
    }
    assert_int_equal(pubsub_publisher_open(fake->client, &options, &publisher, &why), ERR_OK);
    fake->answer = refuse_the_second;
    fake->context = &calls;
    assert_int_equal(pubsub_publish_all(publisher, messages, 5, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "no such topic"));
    assert_int_equal(calls, 3);
    assert_int_equal(pubsub_publish_all(publisher, messages, 5, &why), ERR_OK);
    assert_int_equal(pubsub_publish_all(publisher, messages, 0, &why), ERR_OK);
    messages[1].data.size = 0;
    assert_int_equal(pubsub_publish_all(publisher, messages, 5, &why), ERR_INVALID);
    pubsub_publisher_close(&publisher);
    fake_destroy(&fake);
}

static void names_are_made_full_and_checked(void **state)
{
    struct fake *fake = fake_create();
    struct pubsub_publisher *publisher = NULL;
    static const struct {
        struct text topic;
        enum err err;
    } cases[] = {
        {TEXT("abc"), ERR_OK},
        {TEXT("ab"), ERR_INVALID},
        {TEXT("a.-_~+%9"), ERR_OK},
        {TEXT("9bc"), ERR_INVALID},
        {TEXT("google"), ERR_INVALID},
        {TEXT("a b"), ERR_INVALID},
        {TEXT("projects/other/topics/abc"), ERR_OK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct pubsub_publisher_options options = {.topic = cases[i].topic};
        struct why why = {0};
        assert_int_equal(pubsub_publisher_open(fake->client, &options, &publisher, &why),
                         cases[i].err);
        pubsub_publisher_close(&publisher);
    }
    struct resource resource;
    assert_int_equal(resource_init(&resource, fake->client, "topics", "topic", TEXT("a+b%"), NULL),
                     ERR_OK);
    assert_true(
        text_equal(resource_routing(&resource), TEXT("topic=projects%2Fp%2Ftopics%2Fa%2Bb%25")));
    fake_destroy(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_batch_goes_at_once_and_not_before),
        cmocka_unit_test(lone_message_goes_when_it_lingered),
        cmocka_unit_test(batch_takes_as_many_bytes_as_a_request_may_have),
        cmocka_unit_test(message_of_the_whole_request_is_the_largest),
        cmocka_unit_test(message_too_large_does_not_hold_up_the_others),
        cmocka_unit_test(requests_in_flight_are_bounded),
        cmocka_unit_test(full_publisher_refuses_when_told_so),
        cmocka_unit_test(bytes_waiting_are_bounded_but_one_message_always_fits),
        cmocka_unit_test(full_publisher_waits_when_told_so),
        cmocka_unit_test(flush_tells_what_is_left_in_time),
        cmocka_unit_test(failure_of_the_moment_is_tried_again_after_a_while),
        cmocka_unit_test(failure_for_good_names_the_topic_and_has_the_services_words),
        cmocka_unit_test(trying_ends_after_the_total_time),
        cmocka_unit_test(answer_with_too_few_ids_is_no_success),
        cmocka_unit_test(what_no_service_takes_is_refused_here),
        cmocka_unit_test(closing_fails_what_is_not_published),
        cmocka_unit_test(waiting_for_all_gives_the_first_failure),
        cmocka_unit_test(names_are_made_full_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
