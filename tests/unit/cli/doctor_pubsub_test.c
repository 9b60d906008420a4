// What till doctor says about Pub/Sub, on a service that remembers what it was told: which findings fail,
// which only warn, and what happens without rights or without an answer.
#include "doctor.h"
#include "fake_admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

#define WEEK_US (7 * 86400 * US_PER_SECOND)

static const struct table_column columns[] = {
    {"check", TABLE_TEXT}, {"state", TABLE_TEXT}, {"found", TABLE_TEXT}, {"do", TABLE_TEXT}};

struct rig {
    struct fake_admin service;
    struct fake *fake;
    struct config config;
    struct output out;
    struct command_context context;
    struct setup_wishes wishes;
    struct doctor doctor;
    char text[16384]; // what doctor said, as lines of JSON
};

static int create_rig(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->fake = fake_create();
    fake_admin_attach(&rig->service, rig->fake);
    config_set_defaults(&rig->config);
    output_init(&rig->out, -1);
    rig->context.config = &rig->config;
    rig->wishes.ack_deadline_us = 60 * US_PER_SECOND;
    rig->wishes.retention_us = WEEK_US;
    *state = rig;
    return 0;
}

static int destroy_rig(void **state)
{
    struct rig *rig = *state;
    fake_admin_deinit(&rig->service);
    fake_destroy(&rig->fake);
    output_deinit(&rig->out);
    free(rig);
    return 0;
}

// All four topics and subscriptions, as wanted but for `spoil` at one of them.
static void make_all(struct rig *rig, enum bus_topic spoilt,
                     void (*spoil)(struct pubsub_subscription_settings *settings))
{
    for (int i = 0; i < BUS_TOPIC_COUNT; i++) {
        struct setup_pair pair;
        setup_pair_init(&pair, &rig->wishes, (enum bus_topic)i);
        if (spoil != NULL && (enum bus_topic)i == spoilt) {
            spoil(&pair.wanted);
        }
        assert_int_equal(setup_pair_create_topic(&pair, rig->fake->client, NULL), ERR_OK);
        assert_int_equal(setup_pair_create_subscription(&pair, rig->fake->client, NULL), ERR_OK);
    }
}

static void examine(struct rig *rig)
{
    rig->doctor = (struct doctor){.context = &rig->context};
    buf_reset(&rig->out.buf);
    table_out_init(&rig->doctor.table, TABLE_FORMAT_JSONL, columns, 4, &rig->out);
    doctor_check_pubsub_client(&rig->doctor, rig->fake->client, &rig->wishes);
    table_out_end(&rig->doctor.table);
    assert_true(rig->out.buf.size < sizeof(rig->text));
    memcpy(rig->text, rig->out.buf.data, rig->out.buf.size);
    rig->text[rig->out.buf.size] = '\0';
}

static void assert_says(const struct rig *rig, const char *text)
{
    if (strstr(rig->text, text) == NULL) {
        fail_msg("not said: %s\nin:\n%s", text, rig->text);
    }
}

static size_t count_of(const struct rig *rig, const char *text)
{
    size_t count = 0;
    for (const char *at = strstr(rig->text, text); at != NULL; at = strstr(at + 1, text)) {
        count++;
    }
    return count;
}

// --- claims -------------------------------------------------------------------------------------

static void all_is_well_when_all_is_as_setup_makes_it(void **state)
{
    struct rig *rig = *state;
    make_all(rig, BUS_ORDERS, NULL);
    examine(rig);
    assert_int_equal(rig->doctor.failed, 0);
    assert_int_equal(count_of(rig, "\"state\":\"ok\""), 12);
    assert_int_equal(count_of(rig, "\n"), 12);
    assert_says(rig, "\"check\":\"subscription payments_dlq-sub\"");
    assert_says(rig, "may publish to and receive from all");
}

static void everything_that_is_missing_fails(void **state)
{
    struct rig *rig = *state;
    examine(rig);
    assert_int_equal(rig->doctor.failed, 9); // 4 topics, 4 subscriptions, dead letters
    assert_says(rig, "orders_dlq has no subscription; payments_dlq has no subscription");
    assert_says(rig, "missing: dead letters that are published now are lost");
    assert_int_equal(count_of(rig, "\"check\":\"ack deadline\""), 0); // there is none to look at
}

static void filter_it(struct pubsub_subscription_settings *settings)
{
    settings->filter = TEXT("attributes:k");
}

static void attach_elsewhere(struct pubsub_subscription_settings *settings)
{
    settings->topic = TEXT("orders_data");
}

static void give_up_after_five(struct pubsub_subscription_settings *settings)
{
    settings->dead_letter_topic = TEXT("orders_dlq");
    settings->delivery_attempts_max = 5;
}

static void expire(struct pubsub_subscription_settings *settings)
{
    settings->never_expires = false;
}

static void retry_slowly(struct pubsub_subscription_settings *settings)
{
    settings->retry_min_us = 10 * US_PER_SECOND;
    settings->retry_max_us = 600 * US_PER_SECOND;
}

static void what_loses_messages_fails_and_what_costs_warns(void **state)
{
    static const struct {
        void (*spoil)(struct pubsub_subscription_settings *settings);
        size_t failed;
        const char *found;
    } cases[] = {
        {filter_it, 1, "of payments_data; filter is attributes:k, wanted none"},
        {attach_elsewhere, 1, "topic is projects/p/topics/orders_data, wanted payments_data"},
        {give_up_after_five, 1, "dead_letter_policy is projects/p/topics/orders_dlq after 5 att"},
        {expire, 0, "expiration_policy is when unused for some time, wanted never"},
        {retry_slowly, 0, "retry_policy is after 10s to 10m, wanted at once"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rig *rig = NULL;
        assert_int_equal(create_rig((void **)&rig), 0);
        make_all(rig, BUS_PAYMENTS, cases[i].spoil);
        examine(rig);
        assert_says(rig, cases[i].found);
        assert_int_equal(rig->doctor.failed, cases[i].failed);
        assert_int_equal(count_of(rig, "\"state\":\"warning\""), 1 - cases[i].failed);
        assert_int_equal(destroy_rig((void **)&rig), 0);
    }
}

static size_t warnings_with_ack_deadline(int64_t seconds)
{
    struct rig *rig = NULL;
    assert_int_equal(create_rig((void **)&rig), 0);
    rig->wishes.ack_deadline_us = seconds * US_PER_SECOND;
    make_all(rig, BUS_ORDERS, NULL);
    examine(rig);
    size_t count = count_of(rig, "\"state\":\"warning\"");
    assert_int_equal(rig->doctor.failed, 0);
    assert_int_equal(destroy_rig((void **)&rig), 0);
    return count;
}

static void short_ack_deadlines_warn(void **state)
{
    (void)state;
    assert_int_equal(warnings_with_ack_deadline(29), 1);
    assert_int_equal(warnings_with_ack_deadline(30), 0);
    assert_int_equal(warnings_with_ack_deadline(31), 0);
}

static int64_t shortest_us;

static void keep_shortly(struct pubsub_subscription_settings *settings)
{
    settings->retention_us = shortest_us;
}

// One subscription keeps messages for three days and this, the others for a week.
static size_t failures_with_retention(int64_t more_us)
{
    struct rig *rig = NULL;
    assert_int_equal(create_rig((void **)&rig), 0);
    rig->config.match_grace = 86400 * US_PER_SECOND;
    rig->config.match_max_hold = 2 * 86400 * US_PER_SECOND;
    shortest_us = 3 * 86400 * US_PER_SECOND + more_us;
    make_all(rig, BUS_PAYMENTS, keep_shortly);
    rig->wishes.retention_us = shortest_us; // so that the subscription itself is well
    examine(rig);
    size_t failed = rig->doctor.failed;
    assert_int_equal(destroy_rig((void **)&rig), 0);
    return failed;
}

static void retention_below_grace_and_hold_fails(void **state)
{
    (void)state;
    assert_int_equal(failures_with_retention(-US_PER_SECOND), 1);
    assert_int_equal(failures_with_retention(0), 0);
    assert_int_equal(failures_with_retention(US_PER_SECOND), 0);
}

static void missing_rights_are_named(void **state)
{
    struct rig *rig = *state;
    make_all(rig, BUS_ORDERS, NULL);
    rig->service.denied = "pubsub.subscriptions.consume";
    examine(rig);
    assert_int_equal(rig->doctor.failed, 1);
    assert_says(rig,
                "may not receive from orders_data-sub; may not receive from payments_data-sub");
    rig->service.denied = "pubsub.topics.publish";
    examine(rig);
    assert_int_equal(rig->doctor.failed, 1); // dead letters must be published by every consumer
    assert_says(rig, "may not publish to orders_data; may not publish to payments_data");
}

static void identity_that_may_not_look_is_still_asked_for_its_rights(void **state)
{
    struct rig *rig = *state;
    rig->service.refusal = RPC_PERMISSION_DENIED;
    rig->service.only_deaf = true;
    rig->service.deaf = RPC_GET_TOPIC;
    examine(rig);
    assert_int_equal(rig->doctor.failed, 0);
    assert_int_equal(count_of(rig, "roles/pubsub.viewer"), BUS_TOPIC_COUNT);
    assert_says(rig, "may publish to and receive from all");
}

static void identity_that_is_refused_fails(void **state)
{
    struct rig *rig = *state;
    rig->service.refusal = RPC_UNAUTHENTICATED;
    examine(rig);
    assert_int_equal(rig->doctor.failed, 1);
    assert_says(rig, "\"check\":\"rights\",\"state\":\"FAILED\"");
}

static void service_that_knows_no_rights_is_well(void **state)
{
    struct rig *rig = *state;
    make_all(rig, BUS_ORDERS, NULL);
    rig->service.refusal = RPC_UNIMPLEMENTED;
    rig->service.only_deaf = true;
    rig->service.deaf = RPC_TEST_PERMISSIONS;
    examine(rig);
    assert_int_equal(rig->doctor.failed, 0);
    assert_says(rig, "knows none (an emulator)");
}

static void service_that_is_away_is_asked_once(void **state)
{
    struct rig *rig = *state;
    rig->service.refusal = RPC_UNAVAILABLE;
    examine(rig);
    assert_int_equal(rig->doctor.failed, 1);
    assert_int_equal(count_of(rig, "\n"), 1);
    assert_says(rig, "\"check\":\"service\",\"state\":\"FAILED\"");
}

#define CLAIM(function) cmocka_unit_test_setup_teardown(function, create_rig, destroy_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(all_is_well_when_all_is_as_setup_makes_it),
        CLAIM(everything_that_is_missing_fails),
        CLAIM(what_loses_messages_fails_and_what_costs_warns),
        CLAIM(short_ack_deadlines_warn),
        CLAIM(retention_below_grace_and_hold_fails),
        CLAIM(missing_rights_are_named),
        CLAIM(identity_that_may_not_look_is_still_asked_for_its_rights),
        CLAIM(identity_that_is_refused_fails),
        CLAIM(service_that_knows_no_rights_is_well),
        CLAIM(service_that_is_away_is_asked_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
