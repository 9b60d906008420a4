// What a start on Pub/Sub asks and how it ends when something is not there, not allowed or not answering;
// which service the settings name, and as whom it is spoken to.
#include "fake_admin.h"
#include "pubsub_identity.h"
#include "pubsub_settings.h"
#include "pubsub_start.h"

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
    struct config config;
    struct options given;
    struct command_context context;
    struct bus_pubsub_options options;
    struct why why;
};

static const struct pubsub_needs of_consume_orders = {.publish = {[BUS_ORDERS_DLQ] = true},
                                                      .receive = {[BUS_ORDERS] = true}};

static int create_rig(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    assert_int_equal(unsetenv("PUBSUB_EMULATOR_HOST"), 0);
    assert_int_equal(unsetenv("PUBSUB_PROJECT_ID"), 0);
    assert_int_equal(unsetenv("GOOGLE_CLOUD_PROJECT"), 0);
    rig->fake = fake_create();
    fake_admin_attach(&rig->service, rig->fake);
    config_set_defaults(&rig->config);
    options_set_defaults(&rig->given);
    rig->config.pubsub_project = "shop";
    rig->context.config = &rig->config;
    rig->context.options = &rig->given;
    rig->context.clock = clock_real();
    assert_int_equal(pubsub_settings_read(&rig->context, &rig->options, &rig->why), ERR_OK);
    *state = rig;
    return 0;
}

static int destroy_rig(void **state)
{
    struct rig *rig = *state;
    fake_admin_deinit(&rig->service);
    fake_destroy(&rig->fake);
    free(rig);
    return 0;
}

static void make(struct rig *rig, enum bus_topic topic, bool with_subscription)
{
    struct setup_wishes wishes;
    struct setup_pair pair;
    pubsub_settings_wishes(&rig->config, &wishes);
    setup_pair_init(&pair, &wishes, topic);
    assert_int_equal(setup_pair_create_topic(&pair, rig->fake->client, NULL), ERR_OK);
    if (with_subscription) {
        assert_int_equal(setup_pair_create_subscription(&pair, rig->fake->client, NULL), ERR_OK);
    }
}

static void make_what_consume_needs(struct rig *rig)
{
    make(rig, BUS_ORDERS, true);
    make(rig, BUS_ORDERS_DLQ, false);
}

static enum err check(struct rig *rig)
{
    return pubsub_start_check(rig->fake->client, &rig->options, &of_consume_orders, &rig->why);
}

static void assert_says(const struct rig *rig, const char *text)
{
    if (strstr(rig->why.text, text) == NULL) {
        fail_msg("not said: %s\nin: %s", text, rig->why.text);
    }
}

// --- what the command needs ---------------------------------------------------------------------

static void start_with_all_that_is_needed_goes_on(void **state)
{
    struct rig *rig = *state;
    make_what_consume_needs(rig);
    assert_int_equal(check(rig), ERR_OK);
}

static void emulator_is_asked_for_the_things_themselves(void **state)
{
    struct rig *rig = *state;
    rig->options.client.target.plaintext = true;
    rig->service.denied = "pubsub.subscriptions.consume"; // nobody asks
    make_what_consume_needs(rig);
    assert_int_equal(check(rig), ERR_OK);
}

static void absent_subscription_is_unavailable_and_setup_is_named(void **state)
{
    struct rig *rig = *state;
    rig->service.denied =
        "pubsub.subscriptions.consume"; // of what is not there, nothing is granted
    make(rig, BUS_ORDERS_DLQ, false);
    assert_int_equal(check(rig), ERR_UNAVAILABLE);
    assert_says(rig, "subscription orders_data-sub does not exist");
    assert_says(rig, "till setup");
}

static void missing_right_is_a_matter_of_permission(void **state)
{
    struct rig *rig = *state;
    make_what_consume_needs(rig);
    rig->service.denied = "pubsub.subscriptions.consume";
    assert_int_equal(check(rig), ERR_PERMISSION);
    assert_says(rig, "roles/pubsub.subscriber");
    rig->service.denied = "pubsub.topics.publish";
    assert_int_equal(check(rig), ERR_PERMISSION);
    assert_says(rig, "topic orders_dlq");
    assert_says(rig, "roles/pubsub.publisher");
}

static void refused_identity_is_a_matter_of_permission(void **state)
{
    struct rig *rig = *state;
    make_what_consume_needs(rig);
    rig->service.refusal = RPC_PERMISSION_DENIED;
    assert_int_equal(check(rig), ERR_PERMISSION);
}

static void service_that_knows_no_rights_is_asked_for_the_things(void **state)
{
    struct rig *rig = *state;
    make(rig, BUS_ORDERS, true);
    rig->service.refusal = RPC_UNIMPLEMENTED;
    rig->service.only_deaf = true;
    rig->service.deaf = RPC_TEST_PERMISSIONS;
    assert_int_equal(check(rig), ERR_UNAVAILABLE);
    assert_says(rig, "topic orders_dlq does not exist");
    make(rig, BUS_ORDERS_DLQ, false);
    assert_int_equal(check(rig), ERR_OK);
}

static void silence_is_unavailable_and_the_endpoint_is_named(void **state)
{
    struct rig *rig = *state;
    rig->service.refusal = RPC_UNAVAILABLE;
    assert_int_equal(err_exit_code(check(rig)), 69);
    assert_says(rig, "no answer from Pub/Sub at pubsub.googleapis.com:443");
}

static void what_was_deleted_meanwhile_is_unavailable(void **state)
{
    struct why why = {0};
    (void)state;
    assert_int_equal(pubsub_explain(why_set(&why, ERR_NOT_FOUND, "gone"), &why), ERR_UNAVAILABLE);
    assert_int_equal(why.code, ERR_UNAVAILABLE);
    assert_int_equal(pubsub_explain(ERR_IO, &why), ERR_IO);
    assert_int_equal(pubsub_explain(ERR_OK, &why), ERR_OK);
}

// --- which service ------------------------------------------------------------------------------

static void emulator_beside_a_project_wants_the_flag(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:8085", 1), 0);
    assert_int_equal(pubsub_settings_read(&rig->context, &rig->options, &rig->why), ERR_CONFIG);
    assert_says(rig, "--allow-emulator");
    rig->given.allow_emulator = true;
    assert_int_equal(pubsub_settings_read(&rig->context, &rig->options, &rig->why), ERR_OK);
    assert_true(rig->options.client.target.plaintext);
    assert_string_equal(rig->options.client.target.project, "shop");
}

static void no_project_at_all_is_bad_configuration(void **state)
{
    struct rig *rig = *state;
    rig->config.pubsub_project = "";
    assert_int_equal(pubsub_settings_read(&rig->context, &rig->options, &rig->why), ERR_CONFIG);
    assert_says(rig, "--project");
}

static void unary_pull_does_not_count_on_the_wanted_deadline(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig->options.first_lease_us, 60 * US_PER_SECOND);
    rig->config.pubsub_receive = PUBSUB_UNARY_PULL;
    assert_int_equal(pubsub_settings_read(&rig->context, &rig->options, &rig->why), ERR_OK);
    assert_int_equal(rig->options.first_lease_us, 0);
}

static void flag_of_pubsub_is_refused_with_another_bus(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(pubsub_settings_check_flags(&rig->context, &rig->why), ERR_OK);
    rig->given.given[OPTION_allow_emulator] = true;
    assert_int_equal(pubsub_settings_check_flags(&rig->context, &rig->why), ERR_USAGE);
    assert_says(rig, "--allow-emulator");
}

// --- as whom ------------------------------------------------------------------------------------

static void assert_identity(const char *file, const char *expected)
{
    char text[PUBSUB_IDENTITY_MAX];
    pubsub_identity_of_file(text_of(file), text, sizeof(text));
    assert_string_equal(text, expected);
}

static void identity_is_that_of_the_file(void **state)
{
    (void)state;
    assert_identity(
        "{\"type\": \"service_account\", \"private_key\": \"secret\", \"extra\": {\"type\": "
        "\"x\"}, \"client_email\": \"till@shop.iam.gserviceaccount.com\"}",
        "service account till@shop.iam.gserviceaccount.com");
    assert_identity("{\"client_email\": \"somebody@example.com\", \"type\": \"authorized_user\"}",
                    "the user of gcloud's application-default login");
    assert_identity("{\"type\": \"external_account\"}", "a federated workload identity");
    assert_identity("{\"type\": \"service_account\"}", "an identity of unknown kind");
    assert_identity("{\"type\": \"service_account\", \"client_", "an identity of unknown kind");
    assert_identity("[1, 2]", "an identity of unknown kind");
    assert_identity("", "an identity of unknown kind");
}

#define CLAIM(function) cmocka_unit_test_setup_teardown(function, create_rig, destroy_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(start_with_all_that_is_needed_goes_on),
        CLAIM(emulator_is_asked_for_the_things_themselves),
        CLAIM(absent_subscription_is_unavailable_and_setup_is_named),
        CLAIM(missing_right_is_a_matter_of_permission),
        CLAIM(refused_identity_is_a_matter_of_permission),
        CLAIM(service_that_knows_no_rights_is_asked_for_the_things),
        CLAIM(silence_is_unavailable_and_the_endpoint_is_named),
        cmocka_unit_test(what_was_deleted_meanwhile_is_unavailable),
        CLAIM(emulator_beside_a_project_wants_the_flag),
        CLAIM(no_project_at_all_is_bad_configuration),
        CLAIM(unary_pull_does_not_count_on_the_wanted_deadline),
        CLAIM(flag_of_pubsub_is_refused_with_another_bus),
        cmocka_unit_test(identity_is_that_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
