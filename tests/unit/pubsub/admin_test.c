// Administration on a fake: attempts, lists in pages, and what counts as a difference. What the service makes of
// it all is tested against the emulator.
#include "fake_service.h"
#include "fake_transport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

struct answer {
    int code;
    struct text response;
};

// Answers administrative calls in turn with these, the last one for ever.
struct scripted {
    const struct answer *answers;
    size_t count;
    size_t asked;
    char token[64];     // of the last list request
    char resource[64];  // of the last question about permissions
    int64_t timeout_us; // of the last call
};

static void keep(char out[64], struct text text)
{
    if (text.size < 64) {
        memcpy(out, text.data != NULL ? text.data : "", text.size);
        out[text.size] = '\0';
    }
}

static bool answer_by_script(struct fake *fake, void *context)
{
    struct scripted *script = context;
    struct fake_call *call = fake->calls;
    if (call == NULL) {
        return false;
    }
    size_t index = script->asked < script->count ? script->asked : script->count - 1;
    const struct rpc_status status = {.code = script->answers[index].code,
                                      .message = TEXT("words of the service")};
    if (call->method == RPC_LIST_TOPICS) {
        keep(script->token, stream_text(call->request, 3));
    }
    if (call->method == RPC_TEST_PERMISSIONS) {
        keep(script->resource, stream_text(call->request, 1));
    }
    script->timeout_us = call->timeout_us;
    script->asked++;
    fake_end_call(fake, call, &status, script->answers[index].response);
    return true;
}

static struct fake *create(struct scripted *script)
{
    struct fake *fake = fake_create();
    fake->answer = answer_by_script;
    fake->context = script;
    return fake;
}

static void call_is_tried_again_while_the_service_is_away(void **state)
{
    static const struct answer answers[] = {
        {RPC_UNAVAILABLE, {0}}, {RPC_ABORTED, {0}}, {RPC_OK, {0}}};
    struct scripted script = {.answers = answers, .count = 3};
    struct fake *fake = create(&script);
    struct why why = {0};
    (void)state;
    assert_int_equal(pubsub_topic_delete(fake->client, TEXT("topic"), &why), ERR_OK);
    assert_int_equal(script.asked, 3);
    fake_destroy(&fake);
}

static void service_that_stays_away_is_given_up_after_a_minute(void **state)
{
    static const struct answer answers[] = {{RPC_UNAVAILABLE, {0}}};
    struct scripted script = {.answers = answers, .count = 1};
    struct fake *fake = create(&script);
    struct why why = {0};
    int64_t start_ns = fake->time.mono_ns;
    (void)state;
    assert_int_equal(pubsub_topic_delete(fake->client, TEXT("topic"), &why), ERR_UNAVAILABLE);
    assert_in_range(fake->time.mono_ns - start_ns, 50 * NS_PER_SECOND, 60 * NS_PER_SECOND);
    assert_in_range(script.asked, 10, 40);
    fake_destroy(&fake);
}

static void patience_is_what_was_asked_for(void **state)
{
    static const struct answer answers[] = {{RPC_UNAVAILABLE, {0}}};
    struct scripted script = {.answers = answers, .count = 1};
    struct fake *fake = create(&script);
    int64_t start_ns = fake->time.mono_ns;
    (void)state;
    fake->client->admin_us = 5 * US_PER_SECOND;
    assert_int_equal(pubsub_topic_delete(fake->client, TEXT("topic"), NULL), ERR_UNAVAILABLE);
    assert_in_range(fake->time.mono_ns - start_ns, 2 * NS_PER_SECOND, 5 * NS_PER_SECOND);
    assert_int_equal(script.timeout_us, 5 * US_PER_SECOND);
    fake_destroy(&fake);
}

static void refusal_is_told_at_once_with_the_services_words(void **state)
{
    static const struct answer answers[] = {{RPC_PERMISSION_DENIED, {0}}};
    struct scripted script = {.answers = answers, .count = 1};
    struct fake *fake = create(&script);
    const struct pubsub_topic_settings settings = {0};
    struct why why = {0};
    (void)state;
    assert_int_equal(pubsub_topic_create(fake->client, TEXT("topic"), &settings, &why),
                     ERR_PERMISSION);
    assert_string_equal(why.text, "PERMISSION_DENIED: words of the service");
    assert_int_equal(script.asked, 1);
    fake_destroy(&fake);
}

static void list_goes_on_with_the_next_page(void **state)
{
    // Two topics "a" and "b" with the token "more"; then one topic "c" without.
    static const struct answer answers[] = {{RPC_OK, TEXT("\x0a\x03\x0a\x01"
                                                          "a\x0a\x03\x0a\x01"
                                                          "b\x12\x04more")},
                                            {RPC_OK, TEXT("\x0a\x03\x0a\x01"
                                                          "c")}};
    struct scripted script = {.answers = answers, .count = 2};
    struct fake *fake = create(&script);
    struct arena arena;
    struct text *names = NULL;
    size_t count = 0;
    (void)state;
    assert_int_equal(arena_init(&arena, 10000), ERR_OK);
    assert_int_equal(pubsub_topic_list(fake->client, &arena, &names, &count, NULL), ERR_OK);
    assert_int_equal(count, 3);
    assert_true(text_equal(names[0], TEXT("a")));
    assert_true(text_equal(names[2], TEXT("c")));
    assert_string_equal(script.token, "more");
    arena_deinit(&arena);
    fake_destroy(&fake);
}

static void answer_that_cannot_be_read_is_no_answer(void **state)
{
    static const struct answer answers[] = {{RPC_OK, TEXT("\x0a\x7f")}};
    struct scripted script = {.answers = answers, .count = 1};
    struct fake *fake = create(&script);
    struct arena arena;
    struct pubsub_topic_settings settings;
    (void)state;
    assert_int_equal(arena_init(&arena, 10000), ERR_OK);
    assert_int_equal(pubsub_topic_get(fake->client, TEXT("topic"), &arena, &settings, NULL),
                     ERR_UNAVAILABLE);
    arena_deinit(&arena);
    fake_destroy(&fake);
}

static const char *const permissions[] = {"pubsub.topics.get", "pubsub.topics.publish"};

static unsigned ask_permissions(struct text response, char out_resource[64])
{
    const struct answer answers[] = {{RPC_OK, response}};
    struct scripted script = {.answers = answers, .count = 1};
    struct fake *fake = create(&script);
    unsigned missing = 99;
    assert_int_equal(
        pubsub_topic_permissions(fake->client, TEXT("topic"), permissions, 2, &missing, NULL),
        ERR_OK);
    memcpy(out_resource, script.resource, sizeof(script.resource));
    fake_destroy(&fake);
    return missing;
}

static void permissions_that_are_not_granted_are_told(void **state)
{
    char resource[64];
    (void)state;
    assert_int_equal(ask_permissions(TEXT("\x0a\x15pubsub.topics.publish"), resource), 1);
    assert_string_equal(resource, "projects/p/topics/topic");
    assert_int_equal(ask_permissions(TEXT("\x0a\x11pubsub.topics.get"), resource), 2);
    assert_int_equal(ask_permissions((struct text){0}, resource), 3);
    assert_int_equal(ask_permissions(TEXT("\x0a\x15pubsub.topics.publish"
                                          "\x0a\x11pubsub.topics.get"),
                                     resource),
                     0);
}

static void service_without_permissions_says_so(void **state)
{
    static const struct answer answers[] = {{RPC_UNIMPLEMENTED, {0}}};
    struct scripted script = {.answers = answers, .count = 1};
    struct fake *fake = create(&script);
    unsigned missing = 99;
    (void)state;
    assert_int_equal(pubsub_subscription_permissions(fake->client, TEXT("topic-sub"), permissions,
                                                     2, &missing, NULL),
                     ERR_CONFIG);
    assert_string_equal(script.resource, "projects/p/subscriptions/topic-sub");
    assert_int_equal(missing, 99);
    fake_destroy(&fake);
}

static void every_field_that_differs_is_named(void **state)
{
    static const struct attribute labels[] = {{TEXT("k"), TEXT("v")}};
    static const struct attribute other_labels[] = {{TEXT("k"), TEXT("w")}};
    const struct pubsub_subscription_settings plain = {
        .topic = TEXT("topic"),
        .ack_deadline_us = 10 * US_PER_SECOND,
        .retention_us = 600 * US_PER_SECOND,
        .filter = TEXT("attributes:k"),
        .labels = {labels, 1},
        .dead_letter_topic = TEXT("dead"),
        .delivery_attempts_max = 5,
    };
    struct pubsub_subscription_settings others[12];
    static const char *const fields[12] = {"topic",
                                           "ack_deadline_seconds",
                                           "retain_acked_messages",
                                           "message_retention_duration",
                                           "labels",
                                           "enable_message_ordering",
                                           "expiration_policy",
                                           "filter",
                                           "dead_letter_policy",
                                           "dead_letter_policy",
                                           "retry_policy",
                                           "enable_exactly_once_delivery"};
    struct fake *fake = fake_create();
    struct pubsub_difference found[PUBSUB_DIFFERENCES_MAX];
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        others[i] = plain;
    }
    others[0].topic = TEXT("other");
    others[1].ack_deadline_us = 20 * US_PER_SECOND;
    others[2].retain_acked = true;
    others[3].retention_us = 700 * US_PER_SECOND;
    others[4].labels = (struct attributes){other_labels, 1};
    others[5].ordering = true;
    others[6].never_expires = true;
    others[7].filter = TEXT("attributes:other");
    others[8].dead_letter_topic = TEXT("other");
    others[9].delivery_attempts_max = 6;
    others[10].retry_max_us = 1;
    others[11].exactly_once = true;
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(pubsub_subscription_compare(fake->client, &plain, &others[i], found), 1);
        assert_string_equal(found[0].field, fields[i]);
    }
    others[0] = plain;
    others[0].topic = TEXT("projects/p/topics/topic"); // the same, in full
    assert_int_equal(pubsub_subscription_compare(fake->client, &plain, &others[0], found), 0);
    const struct pubsub_subscription_settings everything = {.topic = TEXT("other"),
                                                            .ack_deadline_us = 1,
                                                            .retain_acked = true,
                                                            .retention_us = 1,
                                                            .ordering = true,
                                                            .exactly_once = true,
                                                            .never_expires = true,
                                                            .filter = TEXT("x"),
                                                            .labels = {other_labels, 1},
                                                            .retry_min_us = 1};
    assert_int_equal(pubsub_subscription_compare(fake->client, &everything, &plain, found),
                     PUBSUB_DIFFERENCES_MAX);
    const struct pubsub_subscription_settings modest = {.topic = TEXT("topic"),
                                                        .dead_letter_topic = TEXT("dead")};
    assert_int_equal(pubsub_subscription_compare(fake->client, &modest, &plain, found), 0);
    fake_destroy(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_is_tried_again_while_the_service_is_away),
        cmocka_unit_test(service_that_stays_away_is_given_up_after_a_minute),
        cmocka_unit_test(patience_is_what_was_asked_for),
        cmocka_unit_test(refusal_is_told_at_once_with_the_services_words),
        cmocka_unit_test(list_goes_on_with_the_next_page),
        cmocka_unit_test(answer_that_cannot_be_read_is_no_answer),
        cmocka_unit_test(permissions_that_are_not_granted_are_told),
        cmocka_unit_test(service_without_permissions_says_so),
        cmocka_unit_test(every_field_that_differs_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
