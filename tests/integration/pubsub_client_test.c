// The Pub/Sub client against Google's emulator in good weather: administration, ordering, exactly-once,
// dead letters, identity.
#include "pubsub.h"
#include "pubsub_emulator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka needs the five before it
#include <cmocka.h>

#define PATIENCE_US (60 * US_PER_SECOND)

static struct pubsub_emulator *emulator;

struct rig {
    struct pubsub *client;
    struct arena arena;
    struct pubsub_message *messages; // of the last take
    size_t count;
    struct why why;
    atomic_size_t settled[3]; // by enum pubsub_settled
};

static void expect_ok(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        print_message("%s: %s\n", err_name(err), why->text);
    }
    assert_int_equal(err, ERR_OK);
}

static struct pubsub_options options_of_a_new_world(void)
{
    static int worlds;
    struct pubsub_options options = {.target = {.plaintext = true}};
    (void)snprintf(options.target.project, sizeof(options.target.project), "client-%d", ++worlds);
    (void)snprintf(options.target.endpoint, sizeof(options.target.endpoint), "%s",
                   pubsub_emulator_address(emulator));
    return options;
}

static struct rig *create(void)
{
    const struct pubsub_options options = options_of_a_new_world();
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    assert_int_equal(arena_init(&rig->arena, 16u << 20), ERR_OK);
    expect_ok(pubsub_open(&options, &rig->client, &rig->why), &rig->why);
    return rig;
}

static void destroy(struct rig *rig)
{
    pubsub_close(&rig->client);
    arena_deinit(&rig->arena);
    free(rig);
}

static void make_topic(struct rig *rig, struct text name)
{
    const struct pubsub_topic_settings settings = {0};
    expect_ok(pubsub_topic_create(rig->client, name, &settings, &rig->why), &rig->why);
}

static void make_subscription(struct rig *rig, struct text name,
                              const struct pubsub_subscription_settings *settings)
{
    expect_ok(pubsub_subscription_create(rig->client, name, settings, &rig->why), &rig->why);
}

// --- administration -----------------------------------------------------------------------------

static void topic_is_made_found_listed_and_deleted(void **state)
{
    struct rig *rig = create();
    struct pubsub_topic_settings settings = {0};
    struct text *names = NULL;
    size_t count = 0;
    (void)state;
    assert_int_equal(
        pubsub_topic_get(rig->client, TEXT("topic"), &rig->arena, &settings, &rig->why),
        ERR_NOT_FOUND);
    make_topic(rig, TEXT("topic"));
    make_topic(rig, TEXT("other"));
    assert_int_equal(pubsub_topic_create(rig->client, TEXT("topic"), &settings, &rig->why),
                     ERR_EXISTS);
    expect_ok(pubsub_topic_get(rig->client, TEXT("topic"), &rig->arena, &settings, &rig->why),
              &rig->why);
    expect_ok(pubsub_topic_list(rig->client, &rig->arena, &names, &count, &rig->why), &rig->why);
    assert_int_equal(count, 2);
    assert_true(text_starts_with(names[0], TEXT("projects/client-")));
    expect_ok(pubsub_topic_delete(rig->client, TEXT("topic"), &rig->why), &rig->why);
    assert_int_equal(pubsub_topic_delete(rig->client, TEXT("topic"), &rig->why), ERR_NOT_FOUND);
    expect_ok(pubsub_topic_list(rig->client, &rig->arena, &names, &count, &rig->why), &rig->why);
    assert_int_equal(count, 1);
    destroy(rig);
}

static void subscription_keeps_its_settings(void **state)
{
    struct rig *rig = create();
    static const struct attribute labels[] = {{TEXT("team"), TEXT("orders")},
                                              {TEXT("stage"), TEXT("test")}};
    const struct pubsub_subscription_settings wanted = {
        .topic = TEXT("topic"),
        .ack_deadline_us = 45 * US_PER_SECOND,
        .retention_us = 86400 * US_PER_SECOND,
        .retain_acked = true,
        .ordering = true,
        .exactly_once = true,
        .filter = TEXT("attributes:k"),
        .labels = {labels, 2},
        .dead_letter_topic = TEXT("dead"),
        .delivery_attempts_max = 7,
        .retry_min_us = 10 * US_PER_SECOND,
        .retry_max_us = 300 * US_PER_SECOND,
    };
    struct pubsub_subscription_settings got = {0};
    struct text *names = NULL;
    size_t count = 0;
    (void)state;
    make_topic(rig, TEXT("topic"));
    make_topic(rig, TEXT("dead"));
    make_subscription(rig, TEXT("topic-sub"), &wanted);
    expect_ok(pubsub_subscription_get(rig->client, TEXT("topic-sub"), &rig->arena, &got, &rig->why),
              &rig->why);
    assert_int_equal(got.ack_deadline_us, wanted.ack_deadline_us);
    assert_int_equal(got.retention_us, wanted.retention_us);
    assert_true(got.retain_acked && got.ordering && got.exactly_once);
    assert_true(text_equal(got.filter, wanted.filter));
    assert_int_equal(got.labels.count, 2);
    assert_true(text_equal(attributes_get(got.labels, TEXT("team")), TEXT("orders")));
    assert_int_equal(got.delivery_attempts_max, 7);
    assert_int_equal(got.retry_min_us, wanted.retry_min_us);
    assert_int_equal(got.retry_max_us, wanted.retry_max_us);
    assert_non_null(memmem(got.dead_letter_topic.data, got.dead_letter_topic.size, "/topics/dead",
                           strlen("/topics/dead")));
    expect_ok(pubsub_subscription_list(rig->client, &rig->arena, &names, &count, &rig->why),
              &rig->why);
    assert_int_equal(count, 1);
    expect_ok(pubsub_subscription_delete(rig->client, TEXT("topic-sub"), &rig->why), &rig->why);
    assert_int_equal(
        pubsub_subscription_get(rig->client, TEXT("topic-sub"), &rig->arena, &got, &rig->why),
        ERR_NOT_FOUND);
    destroy(rig);
}

static void differences_are_told_and_can_be_removed(void **state)
{
    struct rig *rig = create();
    struct pubsub_subscription_settings wanted = {.topic = TEXT("topic"),
                                                  .ack_deadline_us = 45 * US_PER_SECOND};
    struct pubsub_subscription_settings found = {0};
    struct pubsub_difference differences[PUBSUB_DIFFERENCES_MAX];
    (void)state;
    make_topic(rig, TEXT("topic"));
    make_subscription(rig, TEXT("topic-sub"), &wanted);
    for (int round = 0; round < 2; round++) {
        expect_ok(
            pubsub_subscription_get(rig->client, TEXT("topic-sub"), &rig->arena, &found, &rig->why),
            &rig->why);
        size_t count = pubsub_subscription_compare(rig->client, &wanted, &found, differences);
        assert_int_equal(count, 0);
        wanted.ack_deadline_us = 30 * US_PER_SECOND;
        wanted.ordering = round == 0;
        count = pubsub_subscription_compare(rig->client, &wanted, &found, differences);
        assert_int_equal(count, round == 0 ? 2 : 0);
        if (count == 2) {
            assert_string_equal(differences[0].field, "ack_deadline_seconds");
            assert_true(differences[0].changeable);
            assert_string_equal(differences[1].field, "enable_message_ordering");
            assert_false(differences[1].changeable);
        }
        expect_ok(pubsub_subscription_update(rig->client, TEXT("topic-sub"), &wanted, differences,
                                             count, &rig->why),
                  &rig->why);
        wanted.ordering = false;
    }
    destroy(rig);
}

static void subscription_without_its_topic_is_refused(void **state)
{
    struct rig *rig = create();
    const struct pubsub_subscription_settings settings = {.topic = TEXT("nothing")};
    (void)state;
    assert_int_equal(pubsub_subscription_create(rig->client, TEXT("a-sub"), &settings, &rig->why),
                     ERR_NOT_FOUND);
    assert_int_equal(pubsub_subscription_create(rig->client, TEXT("?"), &settings, &rig->why),
                     ERR_INVALID);
    destroy(rig);
}

static void list_of_many_comes_whole(void **state)
{
    struct rig *rig = create();
    struct text *names = NULL;
    size_t count = 0;
    (void)state;
    for (int i = 0; i < 150; i++) {
        char name[32];
        int size = snprintf(name, sizeof(name), "topic-%d", i);
        make_topic(rig, (struct text){name, (size_t)size});
    }
    expect_ok(pubsub_topic_list(rig->client, &rig->arena, &names, &count, &rig->why), &rig->why);
    assert_int_equal(count, 150);
    struct arena small;
    assert_int_equal(arena_init(&small, 2000), ERR_OK);
    assert_int_equal(pubsub_topic_list(rig->client, &small, &names, &count, &rig->why), ERR_FULL);
    arena_deinit(&small);
    destroy(rig);
}

// --- messages -----------------------------------------------------------------------------------

static struct pubsub_publisher *open_publisher(struct rig *rig, bool ordering)
{
    const struct pubsub_publisher_options options = {
        .topic = TEXT("topic"), .ordering = ordering, .linger_us = 1000};
    struct pubsub_publisher *publisher = NULL;
    expect_ok(pubsub_publisher_open(rig->client, &options, &publisher, &rig->why), &rig->why);
    return publisher;
}

static void on_settled(void *context, uint64_t handle, enum pubsub_settled settled)
{
    struct rig *rig = context;
    (void)handle;
    atomic_fetch_add(&rig->settled[settled], 1);
}

static struct pubsub_subscriber *open_subscriber(struct rig *rig, enum pubsub_way way)
{
    const struct pubsub_subscriber_options options = {
        .subscription = TEXT("topic-sub"), .way = way, .on_settled = on_settled, .context = rig};
    struct pubsub_subscriber *subscriber = NULL;
    expect_ok(pubsub_subscriber_open(rig->client, &options, &subscriber, &rig->why), &rig->why);
    return subscriber;
}

// Takes up to count_max messages, at least one.
static void take(struct rig *rig, struct pubsub_subscriber *subscriber, size_t count_max)
{
    const struct pubsub_take_limits limits = {.count_max = count_max, .size_max = 1u << 20};
    rig->count = 0;
    arena_reset(&rig->arena);
    for (int i = 0; i < 600 && rig->count == 0; i++) {
        uint64_t seen = pubsub_arrivals(rig->client);
        expect_ok(
            pubsub_take(subscriber, &limits, &rig->arena, &rig->messages, &rig->count, &rig->why),
            &rig->why);
        if (rig->count == 0) {
            pubsub_wait(rig->client, seen, 100000);
        }
    }
    assert_true(rig->count > 0);
}

static void messages_of_a_key_come_in_order(void **state)
{
    struct rig *rig = create();
    const struct pubsub_subscription_settings settings = {
        .topic = TEXT("topic"), .ack_deadline_us = 10 * US_PER_SECOND, .ordering = true};
    static const char *const keys[] = {"a", "b", "c"};
    uint64_t next[3] = {0};
    size_t total = 0;
    (void)state;
    make_topic(rig, TEXT("topic"));
    make_subscription(rig, TEXT("topic-sub"), &settings);
    struct pubsub_publisher *publisher = open_publisher(rig, true);
    for (size_t i = 0; i < 300; i++) {
        char data[24];
        int size = snprintf(data, sizeof(data), "%zu", i / 3);
        const struct pubsub_outgoing message = {.data = {data, (size_t)size},
                                                .ordering_key = text_of(keys[i % 3])};
        size_t accepted = 0;
        expect_ok(pubsub_publish(publisher, &message, 1, NULL, &accepted, &rig->why), &rig->why);
        if (i % 50 == 0) {
            pubsub_publisher_send(publisher);
        }
    }
    expect_ok(pubsub_publisher_flush(publisher, PATIENCE_US, &rig->why), &rig->why);
    struct pubsub_subscriber *subscriber = open_subscriber(rig, PUBSUB_STREAMING_PULL);
    for (; total < 300; total += rig->count) {
        take(rig, subscriber, 1000);
        for (size_t i = 0; i < rig->count; i++) {
            size_t key = (size_t)(rig->messages[i].ordering_key.data[0] - 'a');
            uint64_t number = 0;
            assert_true(key < 3 && text_parse_u64(rig->messages[i].data, &number));
            assert_int_equal(number, next[key]++);
            pubsub_ack(subscriber, &rig->messages[i].handle, 1);
        }
    }
    expect_ok(pubsub_subscriber_drain(subscriber, PATIENCE_US, &rig->why), &rig->why);
    pubsub_subscriber_close(&subscriber);
    pubsub_publisher_close(&publisher);
    destroy(rig);
}

static void publish_numbers(struct rig *rig, size_t count)
{
    struct pubsub_publisher *publisher = open_publisher(rig, false);
    for (size_t i = 0; i < count; i++) {
        const struct pubsub_outgoing message = {.data = TEXT("x")};
        expect_ok(pubsub_publish_all(publisher, &message, 1, &rig->why), &rig->why);
    }
    pubsub_publisher_close(&publisher);
}

static void exactly_once_acks_are_confirmed(void **state)
{
    struct rig *rig = create();
    const struct pubsub_subscription_settings settings = {
        .topic = TEXT("topic"), .ack_deadline_us = 10 * US_PER_SECOND, .exactly_once = true};
    size_t total = 0;
    (void)state;
    make_topic(rig, TEXT("topic"));
    make_subscription(rig, TEXT("topic-sub"), &settings);
    publish_numbers(rig, 20);
    struct pubsub_subscriber *subscriber = open_subscriber(rig, PUBSUB_STREAMING_PULL);
    for (; total < 20; total += rig->count) {
        take(rig, subscriber, 1000);
        for (size_t i = 0; i < rig->count; i++) {
            pubsub_ack(subscriber, &rig->messages[i].handle, 1);
        }
    }
    expect_ok(pubsub_subscriber_drain(subscriber, PATIENCE_US, &rig->why), &rig->why);
    assert_int_equal(pubsub_subscriber_figures(subscriber).acked, 20);
    assert_int_equal(rig->settled[PUBSUB_SETTLED], 20);
    assert_int_equal(rig->settled[PUBSUB_SETTLED_TOO_LATE], 0);
    pubsub_subscriber_close(&subscriber);
    destroy(rig);
}

static void message_nacked_too_often_becomes_a_dead_letter(void **state)
{
    struct rig *rig = create();
    const struct pubsub_subscription_settings settings = {
        .topic = TEXT("topic"),
        .ack_deadline_us = 10 * US_PER_SECOND,
        .dead_letter_topic = TEXT("dead"),
        .delivery_attempts_max = 5,
    };
    const struct pubsub_subscription_settings dead = {.topic = TEXT("dead"),
                                                      .ack_deadline_us = 10 * US_PER_SECOND};
    (void)state;
    make_topic(rig, TEXT("topic"));
    make_topic(rig, TEXT("dead"));
    make_subscription(rig, TEXT("dead-sub"), &dead);
    make_subscription(rig, TEXT("topic-sub"), &settings);
    publish_numbers(rig, 1);
    struct pubsub_subscriber *subscriber = open_subscriber(rig, PUBSUB_UNARY_PULL);
    for (uint32_t attempt = 1; attempt <= 5; attempt++) {
        take(rig, subscriber, 1);
        assert_int_equal(rig->messages[0].delivery_attempt, attempt);
        pubsub_nack(subscriber, &rig->messages[0].handle, 1);
    }
    const struct pubsub_subscriber_options options = {.subscription = TEXT("dead-sub"),
                                                      .way = PUBSUB_UNARY_PULL};
    struct pubsub_subscriber *undertaker = NULL;
    expect_ok(pubsub_subscriber_open(rig->client, &options, &undertaker, &rig->why), &rig->why);
    take(rig, undertaker, 1);
    assert_true(text_equal(rig->messages[0].data, TEXT("x")));
    struct text source = attributes_get(rig->messages[0].attributes,
                                        TEXT("CloudPubSubDeadLetterSourceSubscription"));
    assert_true(text_equal(source, TEXT("topic-sub")));
    pubsub_ack(undertaker, &rig->messages[0].handle, 1);
    pubsub_subscriber_close(&undertaker);
    pubsub_subscriber_close(&subscriber);
    destroy(rig);
}

// --- identity -----------------------------------------------------------------------------------

static void missing_or_wrong_identity_is_told_in_a_sentence(void **state)
{
    struct pubsub_options options = {.target = {.project = "p", .endpoint = "localhost:1"}};
    struct pubsub *client = NULL;
    struct why why = {0};
    char path[] = "/tmp/till-key-XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "{}", 2), 2);
    assert_int_equal(close(fd), 0);
    assert_int_equal(setenv("GOOGLE_APPLICATION_CREDENTIALS", path, 1), 0);
    assert_int_equal(pubsub_open(&options, &client, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, path));
    assert_non_null(strstr(why.text, "service_account"));
    options.ca_file = path;
    assert_int_equal(pubsub_open(&options, &client, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "CA file"));
    options.ca_file = "/nonexistent/roots.pem";
    options.target.anonymous = true;
    assert_int_equal(pubsub_open(&options, &client, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "No such file"));
    options.ca_file = NULL;
    options.quota_project = "a\nb";
    assert_int_equal(pubsub_open(&options, &client, &why), ERR_CONFIG);
    assert_null(client);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unsetenv("GOOGLE_APPLICATION_CREDENTIALS"), 0);
}

static void nobody_at_the_endpoint_is_told_in_time(void **state)
{
    struct pubsub_options options = {
        .target = {.project = "p", .endpoint = "127.0.0.1:1", .plaintext = true}};
    struct pubsub_publisher_options publisher_options = {.topic = TEXT("topic"),
                                                         .total_us = US_PER_SECOND};
    const struct pubsub_outgoing message = {.data = TEXT("x")};
    struct pubsub_publisher *publisher = NULL;
    struct pubsub *client = NULL;
    struct why why = {0};
    (void)state;
    expect_ok(pubsub_open(&options, &client, &why), &why);
    expect_ok(pubsub_publisher_open(client, &publisher_options, &publisher, &why), &why);
    assert_int_equal(pubsub_publish_all(publisher, &message, 1, &why), ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "127.0.0.1:1"));
    pubsub_publisher_close(&publisher);
    pubsub_close(&client);
}

int main(void)
{
    pubsub_emulator_require();
    emulator = pubsub_emulator_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topic_is_made_found_listed_and_deleted),
        cmocka_unit_test(subscription_keeps_its_settings),
        cmocka_unit_test(differences_are_told_and_can_be_removed),
        cmocka_unit_test(subscription_without_its_topic_is_refused),
        cmocka_unit_test(list_of_many_comes_whole),
        cmocka_unit_test(messages_of_a_key_come_in_order),
        cmocka_unit_test(exactly_once_acks_are_confirmed),
        cmocka_unit_test(message_nacked_too_often_becomes_a_dead_letter),
        cmocka_unit_test(missing_or_wrong_identity_is_told_in_a_sentence),
        cmocka_unit_test(nobody_at_the_endpoint_is_told_in_time),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pubsub_emulator_stop(&emulator);
    return failed;
}
