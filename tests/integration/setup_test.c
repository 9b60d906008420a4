// till setup and till doctor, the program itself, against Google's emulator: what they make, what they
// leave alone, and how they end.
#include "loopback_port.h"
#include "pubsub.h"
#include "pubsub_emulator.h"
#include "till_process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>
#include <jansson.h>

static struct pubsub_emulator *emulator;

// A project of the emulator, which is new in each test.
struct world {
    struct pubsub *client;
    struct arena arena;
    char host[64];
    char project[64];
    const char *variables[4];
};

static struct world *world;

static int create_world(void **state)
{
    static int worlds;
    struct pubsub_options options = {.target = {.plaintext = true}};
    world = calloc(1, sizeof(*world));
    assert_non_null(world);
    (void)snprintf(world->host, sizeof(world->host), "PUBSUB_EMULATOR_HOST=%s",
                   pubsub_emulator_address(emulator));
    (void)snprintf(world->project, sizeof(world->project), "PUBSUB_PROJECT_ID=setup-%d", ++worlds);
    world->variables[0] = world->host;
    world->variables[1] = world->project;
    world->variables[2] = "TILL_BUS_KIND=pubsub";
    (void)snprintf(options.target.project, sizeof(options.target.project), "setup-%d", worlds);
    (void)snprintf(options.target.endpoint, sizeof(options.target.endpoint), "%s",
                   pubsub_emulator_address(emulator));
    assert_int_equal(arena_init(&world->arena, 1u << 20), ERR_OK);
    assert_int_equal(pubsub_open(&options, &world->client, NULL), ERR_OK);
    return till_test_setup(state);
}

static int destroy_world(void **state)
{
    pubsub_close(&world->client);
    arena_deinit(&world->arena);
    free(world);
    return till_test_teardown(state);
}

static const struct outcome *run(const char *const *words)
{
    return till_run(&(struct till_start){.words = words, .variables = world->variables});
}
#define RUN(...) run(TILL_WORDS(__VA_ARGS__))

static size_t topic_count(void)
{
    struct text *names = NULL;
    size_t count = 99;
    assert_int_equal(pubsub_topic_list(world->client, &world->arena, &names, &count, NULL), ERR_OK);
    return count;
}

static size_t subscription_count(void)
{
    struct text *names = NULL;
    size_t count = 99;
    assert_int_equal(pubsub_subscription_list(world->client, &world->arena, &names, &count, NULL),
                     ERR_OK);
    return count;
}

static struct pubsub_subscription_settings found(struct text subscription)
{
    struct pubsub_subscription_settings settings = {0};
    assert_int_equal(
        pubsub_subscription_get(world->client, subscription, &world->arena, &settings, NULL),
        ERR_OK);
    return settings;
}

// orders_data and its subscription, before setup comes.
static void make_orders(const struct pubsub_subscription_settings *settings)
{
    const struct pubsub_topic_settings plain = {0};
    assert_int_equal(pubsub_topic_create(world->client, TEXT("orders_data"), &plain, NULL), ERR_OK);
    assert_int_equal(
        pubsub_subscription_create(world->client, TEXT("orders_data-sub"), settings, NULL), ERR_OK);
}

// What the emulator takes and till does not want: three fields that the emulator changes.
static const struct pubsub_subscription_settings other_settings = {
    .topic = TEXT("orders_data"),
    .ack_deadline_us = 10 * US_PER_SECOND,
    .retention_us = 600 * US_PER_SECOND,
    .never_expires = true,
    .retry_min_us = 10 * US_PER_SECOND,
    .retry_max_us = 600 * US_PER_SECOND,
};

// How many rows of the JSON on standard output have this text in this column.
static size_t rows_with(const struct outcome *outcome, const char *column, const char *text)
{
    size_t count = 0;
    json_t *rows = json_loads(outcome->out, 0, NULL);
    assert_true(json_is_array(rows));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *value = json_string_value(json_object_get(json_array_get(rows, i), column));
        count += value != NULL && strcmp(value, text) == 0;
    }
    json_decref(rows);
    return count;
}

// --- setup --------------------------------------------------------------------------------------

static void setup_makes_what_is_missing_and_then_has_nothing_to_do(void **state)
{
    const struct outcome *first = RUN("setup", "--output", "json");
    (void)state;
    assert_exit_code(first, 0);
    assert_int_equal(rows_with(first, "state", "created"), 8);
    assert_err_has(first, "Pub/Sub project setup-");
    assert_int_equal(topic_count(), 4);
    assert_int_equal(subscription_count(), 4);
    struct pubsub_subscription_settings settings = found(TEXT("payments_dlq-sub"));
    assert_int_equal(settings.ack_deadline_us, 60 * US_PER_SECOND);
    assert_true(settings.never_expires);
    assert_int_equal(settings.dead_letter_topic.size, 0);
    const struct outcome *second = RUN("setup", "--output", "json");
    assert_exit_code(second, 0);
    assert_int_equal(rows_with(second, "state", "there"), 8);
    assert_err_has(second, "nothing to do");
}

static void dry_run_makes_nothing_and_says_what_would_be_made(void **state)
{
    const struct outcome *outcome = RUN("setup", "--dry-run", "--output", "json");
    (void)state;
    assert_exit_code(outcome, 0);
    assert_int_equal(rows_with(outcome, "state", "would be created"), 8);
    assert_int_equal(topic_count(), 0);
    assert_int_equal(subscription_count(), 0);
}

static void what_differs_is_shown_and_changed_only_when_told_to(void **state)
{
    (void)state;
    make_orders(&other_settings);
    const struct outcome *shown = RUN("setup", "--output", "json");
    assert_exit_code(shown, 3);
    assert_int_equal(rows_with(shown, "state", "differs"), 3);
    assert_int_equal(rows_with(shown, "field", "ack_deadline_seconds"), 1);
    assert_int_equal(rows_with(shown, "found", "10s"), 1);
    assert_int_equal(rows_with(shown, "wanted", "1m"), 1);
    assert_int_equal(found(TEXT("orders_data-sub")).ack_deadline_us, 10 * US_PER_SECOND);
    const struct outcome *tried = RUN("setup", "--dry-run", "--apply", "--output", "json");
    assert_exit_code(tried, 0);
    assert_int_equal(rows_with(tried, "state", "would be changed"), 3);
    assert_int_equal(found(TEXT("orders_data-sub")).ack_deadline_us, 10 * US_PER_SECOND);
    const struct outcome *applied = RUN("setup", "--apply", "--output", "json");
    assert_exit_code(applied, 0);
    assert_int_equal(rows_with(applied, "state", "changed"), 3);
    struct pubsub_subscription_settings settings = found(TEXT("orders_data-sub"));
    assert_int_equal(settings.ack_deadline_us, 60 * US_PER_SECOND);
    assert_int_equal(settings.retry_max_us, 0);
    assert_exit_code(RUN("setup"), 0);
}

// This emulator cannot change when a subscription expires.
static void what_the_service_refuses_to_change_keeps_nothing_else_from_it(void **state)
{
    struct pubsub_subscription_settings settings = other_settings;
    (void)state;
    settings.never_expires = false;
    make_orders(&settings);
    const struct outcome *outcome = RUN("setup", "--apply", "--output", "json");
    assert_exit_code(outcome, 3);
    assert_int_equal(rows_with(outcome, "state", "refused"), 1);
    assert_out_has(outcome, "INVALID_ARGUMENT: ");
    assert_int_equal(rows_with(outcome, "state", "changed"), 3);
    assert_int_equal(rows_with(outcome, "state", "created"), 6);
    assert_int_equal(found(TEXT("orders_data-sub")).ack_deadline_us, 60 * US_PER_SECOND);
}

static void what_cannot_be_changed_is_named_with_what_to_do(void **state)
{
    struct pubsub_subscription_settings settings = other_settings;
    (void)state;
    settings.filter = TEXT("attributes:wanted");
    make_orders(&settings);
    const struct outcome *outcome = RUN("setup", "--apply", "--output", "json");
    assert_exit_code(outcome, 3);
    assert_int_equal(rows_with(outcome, "state", "cannot be changed"), 1);
    assert_int_equal(rows_with(outcome, "state", "changed"), 3);
    assert_out_has(outcome, "what it does not let through is lost");
    assert_int_equal(found(TEXT("orders_data-sub")).ack_deadline_us, 60 * US_PER_SECOND);
}

static void quiet_setup_says_nothing_but_its_rows(void **state)
{
    (void)state;
    const struct outcome *outcome = RUN("setup", "--quiet");
    assert_exit_code(outcome, 0);
    assert_string_equal(outcome->err, "");
}

static void service_that_is_not_there_is_unavailable(void **state)
{
    struct loopback_port port;
    char host[64];
    (void)state;
    assert_true(loopback_port_reserve(&port));
    (void)snprintf(host, sizeof(host), "PUBSUB_EMULATOR_HOST=127.0.0.1:%u", port.number);
    world->variables[0] = host;
    const struct outcome *outcome = RUN("setup", "--set", "pubsub.start_timeout=1s");
    assert_exit_code(outcome, 69);
    assert_err_has(outcome, "is the endpoint right, and is it reachable from here?");
    const struct outcome *doctor = RUN("doctor", "--set", "pubsub.start_timeout=1s");
    assert_exit_code(doctor, 3);
    assert_out_has(doctor, "nothing can be published or received now");
    loopback_port_release(&port);
}

static void missing_identity_is_bad_configuration(void **state)
{
    (void)state;
    world->variables[0] = "GOOGLE_APPLICATION_CREDENTIALS=/nonexistent/key.json";
    world->variables[3] = NULL;
    const struct outcome *outcome = RUN("setup", "--pubsub-endpoint", "https://127.0.0.1:1");
    assert_exit_code(outcome, 78);
    assert_err_has(outcome, "/nonexistent/key.json");
    const struct outcome *doctor = RUN("doctor", "--pubsub-endpoint", "https://127.0.0.1:1");
    assert_exit_code(doctor, 3);
    assert_out_has(doctor, "/nonexistent/key.json");
}

static void embedded_broker_needs_no_setup(void **state)
{
    (void)state;
    const struct outcome *outcome = TILL("setup", "--output", "json");
    assert_exit_code(outcome, 0);
    assert_string_equal(outcome->out, "[]\n");
    assert_err_has(outcome, "nothing needs to be set up");
}

static void flag_about_pubsub_is_wrong_with_another_bus(void **state)
{
    (void)state;
    const struct outcome *setup = TILL("setup", "--project", "shop");
    assert_exit_code(setup, 2);
    assert_string_equal(setup->out, "");
    assert_err_has(setup, "add --bus pubsub");
    const struct outcome *doctor = TILL("doctor", "--project", "shop");
    assert_exit_code(doctor, 2);
    assert_string_equal(doctor->out, "");
}

// --- doctor -------------------------------------------------------------------------------------

static void doctor_is_content_once_setup_has_run(void **state)
{
    const struct outcome *before = RUN("doctor", "--output", "json");
    (void)state;
    assert_exit_code(before, 3);
    assert_int_equal(rows_with(before, "state", "FAILED"), 9);
    assert_int_equal(topic_count(), 0);
    assert_exit_code(RUN("setup"), 0);
    const struct outcome *after = RUN("doctor", "--output", "json");
    assert_exit_code(after, 0);
    assert_int_equal(rows_with(after, "state", "FAILED"), 0);
    assert_int_equal(rows_with(after, "found", "this service knows none (an emulator)"), 1);
}

static void doctor_objects_to_a_dead_letter_policy_on_a_source(void **state)
{
    struct pubsub_subscription_settings settings = other_settings;
    (void)state;
    settings.dead_letter_topic = TEXT("orders_data");
    make_orders(&settings);
    assert_exit_code(RUN("setup"), 3); // makes the others
    const struct outcome *outcome = RUN("doctor", "--output", "json");
    assert_exit_code(outcome, 3);
    assert_int_equal(rows_with(outcome, "state", "FAILED"), 2); // and the short retention
    assert_out_has(outcome, "dead_letter_policy is ");
    assert_exit_code(RUN("setup", "--apply"), 0);
    assert_exit_code(RUN("doctor"), 0);
}

#define WORLD(function) cmocka_unit_test_setup_teardown(function, create_world, destroy_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(setup_makes_what_is_missing_and_then_has_nothing_to_do),
        WORLD(dry_run_makes_nothing_and_says_what_would_be_made),
        WORLD(what_differs_is_shown_and_changed_only_when_told_to),
        WORLD(what_the_service_refuses_to_change_keeps_nothing_else_from_it),
        WORLD(what_cannot_be_changed_is_named_with_what_to_do),
        WORLD(quiet_setup_says_nothing_but_its_rows),
        WORLD(service_that_is_not_there_is_unavailable),
        WORLD(missing_identity_is_bad_configuration),
        WORLD(embedded_broker_needs_no_setup),
        WORLD(flag_about_pubsub_is_wrong_with_another_bus),
        WORLD(doctor_is_content_once_setup_has_run),
        WORLD(doctor_objects_to_a_dead_letter_policy_on_a_source),
    };
    pubsub_emulator_require();
    (void)unsetenv("PUBSUB_EMULATOR_HOST"); // those of whoever runs the tests
    (void)unsetenv("PUBSUB_PROJECT_ID");
    (void)unsetenv("GOOGLE_CLOUD_PROJECT");
    (void)unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
    emulator = pubsub_emulator_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pubsub_emulator_stop(&emulator);
    return failed;
}
