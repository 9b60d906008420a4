// What is wanted on Pub/Sub, compared with what is there and completed, on a service that remembers what it
// was told. What the real service makes of it is tested in tests/integration/setup_test.c.
#include "fake_admin.h"
#include "pubsub_setup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

struct rig {
    struct fake_admin service;
    struct fake *fake;
    struct arena arena;
    struct setup_wishes wishes;
    struct setup_pair pair;
    struct why why;
};

static int create_rig(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->fake = fake_create();
    fake_admin_attach(&rig->service, rig->fake);
    rig->wishes.ack_deadline_us = 60 * US_PER_SECOND;
    rig->wishes.retention_us = 7 * 86400 * US_PER_SECOND;
    assert_int_equal(arena_init(&rig->arena, 1u << 20), ERR_OK);
    *state = rig;
    return 0;
}

static int destroy_rig(void **state)
{
    struct rig *rig = *state;
    fake_admin_deinit(&rig->service);
    fake_destroy(&rig->fake);
    arena_deinit(&rig->arena);
    free(rig);
    return 0;
}

static enum err look(struct rig *rig)
{
    setup_pair_init(&rig->pair, &rig->wishes, BUS_ORDERS);
    return setup_pair_look(&rig->pair, rig->fake->client, &rig->arena, &rig->why);
}

static void make(struct rig *rig, const struct pubsub_subscription_settings *settings)
{
    const struct pubsub_topic_settings plain = {0};
    assert_int_equal(pubsub_topic_create(rig->fake->client, TEXT("orders_data"), &plain, NULL),
                     ERR_OK);
    assert_int_equal(
        pubsub_subscription_create(rig->fake->client, TEXT("orders_data-sub"), settings, NULL),
        ERR_OK);
}

// A subscription as it is wanted.
static struct pubsub_subscription_settings good(const struct rig *rig)
{
    return (struct pubsub_subscription_settings){.topic = TEXT("orders_data"),
                                                 .ack_deadline_us = rig->wishes.ack_deadline_us,
                                                 .retention_us = rig->wishes.retention_us,
                                                 .never_expires = true};
}

static void assert_value(const struct pubsub_subscription_settings *settings, const char *field,
                         const char *expected)
{
    char text[300];
    struct buf out;
    buf_init_fixed(&out, text, sizeof(text) - 1);
    setup_add_value(&out, settings, field);
    text[out.size] = '\0';
    assert_string_equal(text, expected);
}

// --- claims -------------------------------------------------------------------------------------

static void what_is_missing_is_made_once_and_as_it_is_wanted(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(look(rig), ERR_OK);
    assert_false(rig->pair.has_topic || rig->pair.has_subscription);
    assert_int_equal(rig->service.created, 0); // looking makes nothing
    assert_int_equal(setup_pair_create_topic(&rig->pair, rig->fake->client, &rig->why), ERR_OK);
    assert_int_equal(setup_pair_create_subscription(&rig->pair, rig->fake->client, &rig->why),
                     ERR_OK);
    assert_int_equal(rig->service.created, 2);
    assert_int_equal(look(rig), ERR_OK);
    assert_true(rig->pair.has_topic && rig->pair.has_subscription);
    assert_int_equal(rig->pair.difference_count, 0);
    assert_int_equal(rig->pair.found.ack_deadline_us, 60 * US_PER_SECOND);
    assert_true(rig->pair.found.never_expires);
    assert_true(rig->pair.found.dead_letter_topic.size == 0);
}

static void subscription_of_a_missing_topic_is_seen(void **state)
{
    struct rig *rig = *state;
    struct pubsub_subscription_settings settings = good(rig);
    settings.topic = TEXT("other_data");
    assert_int_equal(
        pubsub_subscription_create(rig->fake->client, TEXT("orders_data-sub"), &settings, NULL),
        ERR_OK);
    assert_int_equal(look(rig), ERR_OK);
    assert_false(rig->pair.has_topic);
    assert_true(rig->pair.has_subscription);
    assert_int_equal(rig->pair.difference_count, 1);
    assert_string_equal(rig->pair.differences[0].field, "topic");
    assert_false(rig->pair.differences[0].changeable);
}

struct difference_case {
    const char *field;
    bool changeable;
    const char *found;
    const char *wanted;
    struct pubsub_subscription_settings settings; // over those that are wanted
};

static const struct difference_case difference_cases[] = {
    {"topic", false, "projects/p/topics/other", "orders_data", {.topic = TEXT("other")}},
    {"ack_deadline_seconds", true, "10s", "1m", {.ack_deadline_us = 10 * US_PER_SECOND}},
    {"message_retention_duration", true, "10m", "7d", {.retention_us = 600 * US_PER_SECOND}},
    {"enable_message_ordering", false, "true", "false", {.ordering = true}},
    {"expiration_policy", true, "when unused for some time", "never", {.never_expires = false}},
    {"filter", false, "attributes:k", "none", {.filter = TEXT("attributes:k")}},
    {"dead_letter_policy",
     true,
     "projects/p/topics/dead after 5 attempts",
     "none",
     {.dead_letter_topic = TEXT("dead"), .delivery_attempts_max = 5}},
    {"retry_policy",
     true,
     "after 10s to 10m",
     "at once",
     {.retry_min_us = 10 * US_PER_SECOND, .retry_max_us = 600 * US_PER_SECOND}},
    {"enable_exactly_once_delivery", true, "true", "false", {.exactly_once = true}},
};

static struct pubsub_subscription_settings spoilt(const struct rig *rig,
                                                  const struct difference_case *spoil)
{
    struct pubsub_subscription_settings settings = spoil->settings;
    const struct pubsub_subscription_settings well = good(rig);
    settings.topic = settings.topic.size > 0 ? settings.topic : well.topic;
    settings.ack_deadline_us =
        settings.ack_deadline_us != 0 ? settings.ack_deadline_us : well.ack_deadline_us;
    settings.retention_us = settings.retention_us != 0 ? settings.retention_us : well.retention_us;
    settings.never_expires = strcmp(spoil->field, "expiration_policy") != 0;
    return settings;
}

static void every_difference_is_named_with_both_values(void **state)
{
    for (size_t i = 0; i < sizeof(difference_cases) / sizeof(difference_cases[0]); i++) {
        const struct difference_case *expected = &difference_cases[i];
        struct rig *rig = NULL;
        assert_int_equal(create_rig((void **)&rig), 0);
        const struct pubsub_subscription_settings settings = spoilt(rig, expected);
        make(rig, &settings);
        assert_int_equal(look(rig), ERR_OK);
        assert_int_equal(rig->pair.difference_count, 1);
        assert_string_equal(rig->pair.differences[0].field, expected->field);
        assert_int_equal(rig->pair.differences[0].changeable, expected->changeable);
        assert_value(&rig->pair.found, expected->field, expected->found);
        assert_value(&rig->pair.wanted, expected->field, expected->wanted);
        if (!expected->changeable) {
            assert_non_null(strstr(setup_remedy(expected->field), "delete it"));
        }
        assert_int_equal(destroy_rig((void **)&rig), 0);
    }
    (void)state;
}

static size_t differences_with_retention(int64_t retention_us)
{
    struct rig *rig = NULL;
    assert_int_equal(create_rig((void **)&rig), 0);
    struct pubsub_subscription_settings settings = good(rig);
    settings.retention_us = retention_us;
    make(rig, &settings);
    assert_int_equal(look(rig), ERR_OK);
    size_t count = rig->pair.difference_count;
    assert_int_equal(destroy_rig((void **)&rig), 0);
    return count;
}

static void retention_may_be_longer_than_wanted_but_not_shorter(void **state)
{
    const int64_t week_us = 7 * 86400 * US_PER_SECOND;
    (void)state;
    assert_int_equal(differences_with_retention(week_us - US_PER_SECOND), 1);
    assert_int_equal(differences_with_retention(week_us), 0);
    assert_int_equal(differences_with_retention(week_us + US_PER_SECOND), 0);
}

static void what_till_does_not_mind_is_left_when_something_else_is_changed(void **state)
{
    struct rig *rig = *state;
    static const struct attribute labels[] = {{TEXT("team"), TEXT("orders")}};
    struct pubsub_subscription_settings settings = good(rig);
    settings.retain_acked = true;
    settings.retention_us *= 2;
    settings.labels = (struct attributes){labels, 1};
    settings.ordering = true;
    settings.exactly_once = true;
    make(rig, &settings);
    assert_int_equal(look(rig), ERR_OK);
    assert_int_equal(rig->pair.difference_count, 2);
    assert_false(rig->pair.differences[0].changeable); // ordering
    assert_int_equal(setup_pair_change(&rig->pair, 1, rig->fake->client, &rig->why), ERR_OK);
    assert_string_equal(rig->service.mask, "enable_exactly_once_delivery,");
}

static void names_may_be_configured_short_or_in_full(void **state)
{
    struct rig *rig = *state;
    rig->wishes.topics[BUS_ORDERS] = "projects/other/topics/theirs";
    rig->wishes.subscriptions[BUS_ORDERS] = "ours";
    assert_int_equal(look(rig), ERR_OK);
    assert_int_equal(setup_pair_create_topic(&rig->pair, rig->fake->client, NULL), ERR_OK);
    assert_int_equal(setup_pair_create_subscription(&rig->pair, rig->fake->client, NULL), ERR_OK);
    assert_true(fake_admin_has(&rig->service, TEXT("projects/other/topics/theirs")));
    assert_true(fake_admin_has(&rig->service, TEXT("projects/p/subscriptions/ours")));
    assert_int_equal(look(rig), ERR_OK);
    assert_int_equal(rig->pair.difference_count, 0);
}

static int64_t wanted_ack_deadline(int64_t us)
{
    const struct setup_wishes wishes = {.ack_deadline_us = us};
    struct setup_pair pair;
    setup_pair_init(&pair, &wishes, BUS_ORDERS);
    return pair.wanted.ack_deadline_us;
}

// Else a deadline of 10.5 s would differ from what the service makes of it, for ever.
static void ack_deadline_is_rounded_up_to_whole_seconds(void **state)
{
    (void)state;
    assert_int_equal(wanted_ack_deadline(60 * US_PER_SECOND - 1), 60 * US_PER_SECOND);
    assert_int_equal(wanted_ack_deadline(60 * US_PER_SECOND), 60 * US_PER_SECOND);
    assert_int_equal(wanted_ack_deadline(60 * US_PER_SECOND + 1), 61 * US_PER_SECOND);
}

static void what_somebody_else_has_just_made_is_fine(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(look(rig), ERR_OK);
    rig->service.races = true;
    assert_int_equal(setup_pair_create_topic(&rig->pair, rig->fake->client, NULL), ERR_OK);
    assert_int_equal(setup_pair_create_subscription(&rig->pair, rig->fake->client, NULL), ERR_OK);
    assert_true(rig->pair.has_topic && rig->pair.has_subscription);
}

static void refusals_name_the_thing_and_what_to_do(void **state)
{
    struct rig *rig = *state;
    rig->service.refusal = RPC_PERMISSION_DENIED;
    assert_int_equal(look(rig), ERR_PERMISSION);
    setup_advise(&rig->why);
    assert_string_equal(rig->why.text,
                        "topic orders_data: PERMISSION_DENIED: words; give the identity "
                        "roles/pubsub.editor, or have somebody run this who has it");
    rig->service.only_deaf = true;
    rig->service.deaf = RPC_GET_SUBSCRIPTION;
    assert_int_equal(look(rig), ERR_PERMISSION);
    assert_string_equal(rig->why.text, "subscription orders_data-sub: PERMISSION_DENIED: words");
    rig->service.deaf = RPC_CREATE_TOPIC;
    assert_int_equal(look(rig), ERR_OK);
    assert_int_equal(setup_pair_create_topic(&rig->pair, rig->fake->client, &rig->why),
                     ERR_PERMISSION);
    assert_false(rig->pair.has_topic);
}

static void service_that_is_away_is_said_to_be(void **state)
{
    struct rig *rig = *state;
    rig->service.refusal = RPC_UNAVAILABLE;
    assert_int_equal(look(rig), ERR_UNAVAILABLE);
    setup_advise(&rig->why);
    assert_non_null(strstr(rig->why.text, "reachable from here?"));
    assert_int_equal(rig->why.code, ERR_UNAVAILABLE);
}

static void short_name_is_the_last_part_of_a_full_one(void **state)
{
    (void)state;
    assert_true(text_equal(setup_short_name(TEXT("projects/p/topics/orders")), TEXT("orders")));
    assert_true(text_equal(setup_short_name(TEXT("orders")), TEXT("orders")));
    assert_true(text_equal(setup_short_name(TEXT("_deleted-topic_")), TEXT("_deleted-topic_")));
    assert_true(text_equal(setup_short_name((struct text){0}), (struct text){0}));
}

#define CLAIM(function) cmocka_unit_test_setup_teardown(function, create_rig, destroy_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(what_is_missing_is_made_once_and_as_it_is_wanted),
        CLAIM(subscription_of_a_missing_topic_is_seen),
        CLAIM(every_difference_is_named_with_both_values),
        CLAIM(retention_may_be_longer_than_wanted_but_not_shorter),
        CLAIM(what_till_does_not_mind_is_left_when_something_else_is_changed),
        CLAIM(names_may_be_configured_short_or_in_full),
        CLAIM(ack_deadline_is_rounded_up_to_whole_seconds),
        CLAIM(what_somebody_else_has_just_made_is_fine),
        CLAIM(refusals_name_the_thing_and_what_to_do),
        CLAIM(service_that_is_away_is_said_to_be),
        CLAIM(short_name_is_the_last_part_of_a_full_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
