// The pipeline on Pub/Sub, the program itself, against Google's emulator: the same messages give the same
// facts as on the embedded broker, however it is stopped; and what is missing is said in one line.
//
// The emulator swallows messages for a reader that is gone until their ack deadline is over, so
// subscriptions have the shortest one, and runs after a kill wait for longer than that.
#include "data_files.h"
#include "loopback_port.h"
#include "pubsub.h"
#include "pubsub_emulator.h"
#include "till_process.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs those before it
#include <cmocka.h>

static struct pubsub_emulator *emulator;

#define ACK_DEADLINE_US (10 * US_PER_SECOND)
#define IDLE            "2s"
#define PATIENCE_MS     180000 // for what readers that are gone have swallowed
#define SQL_STORED      "SELECT coalesce(sum(messages), 0) FROM tally WHERE outcome = 'stored'"

// A project of the emulator, which is new in each test.
struct world {
    struct pubsub *client;
    char host[64];
    char project[64];
    char project_id[32];
    const char *variables[8];
};

static struct world *world;

static int create_world(void **state)
{
    static int worlds;
    struct pubsub_options options = {.target = {.plaintext = true}};
    world = calloc(1, sizeof(*world));
    assert_non_null(world);
    (void)snprintf(world->project_id, sizeof(world->project_id), "run-%d", ++worlds);
    (void)snprintf(world->host, sizeof(world->host), "PUBSUB_EMULATOR_HOST=%s",
                   pubsub_emulator_address(emulator));
    (void)snprintf(world->project, sizeof(world->project), "PUBSUB_PROJECT_ID=%s",
                   world->project_id);
    world->variables[0] = world->host;
    world->variables[1] = world->project;
    world->variables[2] = "TILL_BUS_KIND=pubsub";
    world->variables[3] = "TILL_MATCH_GRACE=0s";
    world->variables[4] = "TILL_PUBSUB_RECEIVERS=1";
    world->variables[5] = "TILL_PUBSUB_ACK_DEADLINE=10s";
    (void)snprintf(options.target.project, sizeof(options.target.project), "%s", world->project_id);
    (void)snprintf(options.target.endpoint, sizeof(options.target.endpoint), "%s",
                   pubsub_emulator_address(emulator));
    assert_int_equal(pubsub_open(&options, &world->client, NULL), ERR_OK);
    return till_test_setup(state);
}

static int destroy_world(void **state)
{
    pubsub_close(&world->client);
    free(world);
    return till_test_teardown(state);
}

static void make_topic(const char *name)
{
    const struct pubsub_topic_settings settings = {0};
    assert_int_equal(pubsub_topic_create(world->client, text_of(name), &settings, NULL), ERR_OK);
}

static void make_subscription(const char *topic)
{
    char name[64];
    const struct pubsub_subscription_settings settings = {
        .topic = text_of(topic), .ack_deadline_us = ACK_DEADLINE_US, .never_expires = true};
    (void)snprintf(name, sizeof(name), "%s-sub", topic);
    assert_int_equal(pubsub_subscription_create(world->client, text_of(name), &settings, NULL),
                     ERR_OK);
}

static void make_all(void)
{
    static const char *const topics[] = {"orders_data", "payments_data", "orders_dlq",
                                         "payments_dlq"};
    for (size_t i = 0; i < 4; i++) {
        make_topic(topics[i]);
        make_subscription(topics[i]);
    }
}

static struct till_start start_of(const char *const *words)
{
    return (struct till_start){.words = words, .variables = world->variables};
}

static const struct outcome *run(const char *const *words)
{
    const struct till_start start = start_of(words);
    return till_run(&start);
}
#define RUN(...) run(TILL_WORDS(__VA_ARGS__))

static struct till_process *start(const char *const *words)
{
    const struct till_start start = start_of(words);
    return till_start(&start);
}
#define START(...) start(TILL_WORDS(__VA_ARGS__))

// The next `count` lines at `*text`, which goes on behind them, as a file.
static void write_lines(const char *path, const char **text, size_t count)
{
    const char *end = *text;
    for (size_t i = 0; i < count && *end != '\0'; i++) {
        end = strchr(end, '\n') + 1;
    }
    write_bytes(path, *text, (size_t)(end - *text));
    *text = end;
}

// Without versions the order published last counts, and messages that are published together have the
// same publish time. The reference has another version of an order 80 lines further on.
static void produce_orders(void)
{
    size_t size = 0;
    char *orders = read_bytes(reference_orders(), &size);
    for (const char *rest = orders; *rest != '\0';) {
        write_lines("part.jsonl", &rest, 80);
        const struct outcome *outcome = RUN("produce", "orders", "--from", "part.jsonl");
        assert_exit_code(outcome, 0);
        assert_err_has(outcome, " messages published");
    }
    free(orders);
}

static void produce_reference(void)
{
    produce_orders();
    assert_exit_code(RUN("produce", "payments", "--from", reference_payments()), 0);
    assert_false(file_exists("till-data")); // it needs no directory
}

static void assert_as_on_the_embedded_broker(const char *directory)
{
    assert_exit_code(TILL("run", "--orders", reference_orders(), "--payments", reference_payments(),
                          "--once", "--data-dir", "embedded"),
                     0);
    assert_same_facts(directory, "embedded");
    assert_int_equal(facts_number(directory, SQL_MATCHED), 80);
    assert_int_equal(facts_number(directory, SQL_UNMATCHED), 420);
    assert_int_equal(facts_number(directory, SQL_WAITING), 0);
}

// What the report says of messages on Pub/Sub: where they stand, and nothing of how many there are.
static const struct outcome *assert_honest_report(const char *directory)
{
    const struct outcome *report = RUN("report", "--data-dir", directory);
    assert_exit_code(report, 0);
    assert_out_has(report, "Balanced: all ");
    assert_int_equal(report_number(report, "published", "payments"), -1);
    assert_int_equal(report_number(report, "still in the queue", "payments"), -1);
    return report;
}

// --- the same facts -----------------------------------------------------------------------------

static void facts_are_those_of_the_embedded_broker(void **state)
{
    (void)state;
    make_all();
    produce_reference();
    const struct outcome *consumed =
        RUN("consume", "all", "--once", "--idle", IDLE, "--data-dir", "d");
    assert_exit_code(consumed, 0);
    assert_err_has(consumed, "Pub/Sub project run-");
    assert_err_has(consumed, " at emulator 127.0.0.1:");
    assert_as_on_the_embedded_broker("d");
    const struct outcome *report = assert_honest_report("d");
    assert_int_equal(report_number(report, "applied", "orders"), 500);
    assert_int_equal(report_number(report, "matched", "payments"), 80);
    assert_int_equal(report_number(report, "dead: unmatched", "payments"), 420);
}

static void run_publishes_its_sources_and_consumes_them(void **state)
{
    (void)state;
    make_all();
    produce_orders();
    const struct outcome *outcome =
        RUN("run", "--payments", reference_payments(), "--once", "--idle", IDLE, "--data-dir", "d");
    assert_exit_code(outcome, 0);
    assert_out_has(outcome, "Balanced: all ");
    assert_as_on_the_embedded_broker("d");
}

static void parts_one_after_the_other_do_the_same(void **state)
{
    (void)state;
    make_all();
    produce_reference();
    assert_exit_code(RUN("consume", "orders", "--once", "--idle", IDLE, "--data-dir", "d"), 0);
    assert_int_equal(facts_number("d", SQL_ORDERS), 80);
    assert_exit_code(RUN("consume", "payments", "--once", "--idle", IDLE, "--data-dir", "d"), 0);
    assert_int_equal(facts_number("d", SQL_MATCHED), 80);
    assert_int_equal(facts_number("d", SQL_WAITING), 420);
    assert_int_equal(facts_number("d", SQL_UNMATCHED), 0);
    assert_exit_code(RUN("sweep", "--once", "--set", "match.max_hold=0s", "--data-dir", "d"), 0);
    assert_int_equal(facts_number("d", SQL_WAITING), 0);
    assert_int_equal(facts_number("d", SQL_UNMATCHED), 0); // published, not recorded
    assert_exit_code(RUN("consume", "dlq", "--once", "--idle", IDLE, "--data-dir", "d"), 0);
    assert_as_on_the_embedded_broker("d");
    (void)assert_honest_report("d");
}

static void sweep_leaves_what_is_not_due(void **state)
{
    (void)state;
    make_all();
    assert_exit_code(RUN("produce", "payments", "--from", reference_payments()), 0);
    assert_exit_code(
        RUN("consume", "payments", "--once", "--idle", IDLE, "--grace", "1h", "--data-dir", "d"),
        0);
    assert_exit_code(RUN("sweep", "--once", "--data-dir", "d"), 0);
    assert_int_equal(facts_number("d", SQL_WAITING), 500);
}

static void messages_that_come_twice_change_nothing(void **state)
{
    (void)state;
    make_all();
    produce_reference();
    assert_exit_code(RUN("produce", "payments", "--from", reference_payments()), 0);
    assert_exit_code(RUN("consume", "all", "--once", "--idle", IDLE, "--data-dir", "d"), 0);
    assert_as_on_the_embedded_broker("d");
    const struct outcome *report = assert_honest_report("d");
    assert_int_equal(report_number(report, "duplicate", "payments"), 500);
}

// --- stopping and dying -------------------------------------------------------------------------

// Consumes until the facts say so, however long what is swallowed takes to come back.
static void consume_until(const char *what, const char *setting, const char *sql, int64_t expected)
{
    struct till_process *process = START("consume", what, "--data-dir", "d", "--set", setting);
    till_wait_for_err(process, "ready on");
    int64_t number = facts_number("d", sql);
    for (int waited_ms = 0; waited_ms < PATIENCE_MS && number < expected; waited_ms += 100) {
        (void)poll(NULL, 0, 100);
        number = facts_number("d", sql);
    }
    assert_int_equal(number, expected);
    till_signal(process, SIGTERM);
    assert_exit_code(till_wait(process), 0);
}

// The 500 orders and 500 payments of the reference: each is stored once, however often it comes.
static void consume_what_is_left(const char *setting)
{
    consume_until("all", setting, SQL_STORED, 1000);
    assert_exit_code(RUN("consume", "all", "--once", "--idle", IDLE, "--data-dir", "d"), 0);
    consume_until("dlq", setting, SQL_UNMATCHED, 420);
}

static void sigterm_finishes_what_is_in_hand(void **state)
{
    (void)state;
    make_all();
    world->variables[3] = "TILL_MATCH_GRACE=10m"; // payments may wait for orders that come late
    struct till_process *process =
        START("consume", "all", "--data-dir", "d", "--set", "lane.batch_messages=50");
    till_wait_for_err(process, "ready on");
    produce_reference();
    wait_for_more(process, "d", SQL_ORDERS, 10);
    till_signal(process, SIGTERM);
    const struct outcome *outcome = till_wait(process);
    assert_exit_code(outcome, 0);
    assert_err_has(outcome, "stopping: finishing what is in hand");
    consume_what_is_left("pubsub.receive=stream");
    assert_as_on_the_embedded_broker("d");
    (void)assert_honest_report("d");
}

static void kill_in_mid_run_loses_nothing_and_counts_nothing_twice(const char *receive)
{
    char setting[32];
    (void)snprintf(setting, sizeof(setting), "pubsub.receive=%s", receive);
    world->variables[3] = "TILL_MATCH_GRACE=10m"; // payments may wait for orders that come late
    make_all();
    produce_reference();
    for (int kills = 0; kills < 2; kills++) {
        struct till_process *process = START("consume", "all", "--data-dir", "d", "--set", setting,
                                             "--set", "lane.batch_messages=20");
        till_wait_for_err(process, "ready on");
        wait_for_more(process, "d", SQL_STORED, 100 * kills);
        till_signal(process, SIGKILL);
        assert_exit_code(till_wait(process), 137);
    }
    consume_what_is_left(setting);
    assert_as_on_the_embedded_broker("d");
    (void)assert_honest_report("d");
}

static void kill_with_streams_loses_nothing_and_counts_nothing_twice(void **state)
{
    (void)state;
    kill_in_mid_run_loses_nothing_and_counts_nothing_twice("stream");
}

static void kill_with_pulls_loses_nothing_and_counts_nothing_twice(void **state)
{
    (void)state;
    kill_in_mid_run_loses_nothing_and_counts_nothing_twice("pull");
}

static void outage_in_mid_run_is_waited_out(void **state)
{
    (void)state;
    make_all();
    struct till_process *process = START("consume", "all", "--data-dir", "d");
    till_wait_for_err(process, "ready on");
    produce_orders();
    wait_for_more(process, "d", SQL_ORDERS, 0);
    pubsub_emulator_pause(emulator);
    assert_false(pubsub_emulator_answers(emulator, 3000)); // which takes those 3 s
    pubsub_emulator_resume(emulator);
    assert_exit_code(RUN("produce", "payments", "--from", reference_payments()), 0);
    wait_for_number(process, "d", SQL_UNMATCHED, 420);
    till_signal(process, SIGTERM);
    assert_exit_code(till_wait(process), 0);
    assert_as_on_the_embedded_broker("d");
}

static void publish_that_cannot_end_in_time_is_75(void **state)
{
    (void)state;
    make_all();
    const struct till_start publishing = {.words = TILL_WORDS("produce", "orders", "--from", "-",
                                                              "--drain-timeout", "0s", "--set",
                                                              "pubsub.publish_timeout=1s"),
                                          .variables = world->variables,
                                          .input_stays_open = true};
    struct till_process *consumer = START("consume", "orders", "--data-dir", "d");
    struct till_process *process = till_start(&publishing);
    till_feed(process, order_line(1));
    till_wait_for_err(consumer, "ready on");
    wait_for_number(consumer, "d", SQL_ORDERS, 1);
    till_signal(consumer, SIGTERM);
    assert_exit_code(till_wait(consumer), 0);
    pubsub_emulator_pause(emulator);
    till_feed(process, order_line(2));
    till_wait_for_err(process, "cannot publish, will try again");
    till_signal(process, SIGTERM);
    const struct outcome *outcome = till_wait(process);
    pubsub_emulator_resume(emulator);
    assert_exit_code(outcome, 75);
    assert_err_has(outcome, "1 messages published");
}

// --- what is missing, and whom it may concern ---------------------------------------------------

static void missing_topic_is_one_line_and_69(void **state)
{
    (void)state;
    const struct outcome *outcome =
        RUN("produce", "orders", "--quiet", "--from", reference_orders());
    assert_exit_code(outcome, 69);
    assert_err_is_one_line(outcome);
    assert_err_has(outcome, "topic orders_data does not exist in project run-");
    assert_err_has(outcome, "till setup");
}

static void missing_subscription_is_one_line_and_69(void **state)
{
    (void)state;
    make_topic("orders_data");
    make_topic("orders_dlq");
    make_topic("payments_dlq");
    const struct outcome *outcome = RUN("consume", "orders", "--quiet", "--data-dir", "d");
    assert_exit_code(outcome, 69);
    assert_err_is_one_line(outcome);
    assert_err_has(outcome, "subscription orders_data-sub does not exist");
    make_subscription("orders_data"); // nothing else is needed for this part
    assert_exit_code(RUN("consume", "orders", "--once", "--idle", "0s", "--data-dir", "d"), 0);
}

static void names_are_those_that_are_set(void **state)
{
    (void)state;
    make_topic("shop.orders");
    const struct outcome *outcome =
        RUN("produce", "orders", "--set", "pubsub.orders_topic=shop.orders", "--from",
            reference_orders());
    assert_exit_code(outcome, 0);
    assert_err_has(outcome, "500 messages published");
}

static void deleted_subscription_ends_the_run_with_69(void **state)
{
    (void)state;
    make_all();
    struct till_process *process = START("consume", "orders", "--data-dir", "d");
    till_wait_for_err(process, "ready on");
    assert_int_equal(pubsub_subscription_delete(world->client, TEXT("orders_data-sub"), NULL),
                     ERR_OK);
    assert_exit_code(till_wait(process), 69);
}

static void service_that_is_not_there_is_69_within_the_start_timeout(void **state)
{
    char endpoint[32];
    struct loopback_port port;
    (void)state;
    assert_true(loopback_port_reserve(&port));
    (void)snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", port.number);
    const struct outcome *outcome = RUN("consume", "all", "--quiet", "--pubsub-endpoint", endpoint,
                                        "--set", "pubsub.start_timeout=1s", "--data-dir", "d");
    assert_exit_code(outcome, 69);
    assert_err_is_one_line(outcome);
    assert_err_has(outcome, endpoint);
    loopback_port_release(&port);
}

static void emulator_beside_a_configured_project_has_to_be_confirmed(void **state)
{
    (void)state;
    world->variables[1] = "TILL_PUBSUB_PROJECT=shop-in-the-cloud"; // no PUBSUB_PROJECT_ID
    const struct outcome *refused =
        RUN("produce", "orders", "--quiet", "--from", reference_orders());
    assert_exit_code(refused, 78);
    assert_err_is_one_line(refused);
    assert_err_has(refused, "PUBSUB_EMULATOR_HOST is set to");
    assert_err_has(refused, "--allow-emulator");
    const struct outcome *confirmed =
        RUN("produce", "orders", "--quiet", "--allow-emulator", "--from", reference_orders());
    assert_exit_code(confirmed, 69); // it has got as far as the topic
    assert_err_has(confirmed, "topic orders_data does not exist in project shop-in-the-cloud");
}

static void flags_of_pubsub_need_the_bus(void **state)
{
    (void)state;
    const struct outcome *outcome = TILL("run", "--project", "shop", "--once");
    assert_exit_code(outcome, 2);
    assert_err_has(outcome, "--bus pubsub");
    assert_false(file_exists("till-data"));
}

#define WORLD(function) cmocka_unit_test_setup_teardown(function, create_world, destroy_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(facts_are_those_of_the_embedded_broker),
        WORLD(run_publishes_its_sources_and_consumes_them),
        WORLD(parts_one_after_the_other_do_the_same),
        WORLD(sweep_leaves_what_is_not_due),
        WORLD(messages_that_come_twice_change_nothing),
        WORLD(sigterm_finishes_what_is_in_hand),
        WORLD(kill_with_streams_loses_nothing_and_counts_nothing_twice),
        WORLD(kill_with_pulls_loses_nothing_and_counts_nothing_twice),
        WORLD(outage_in_mid_run_is_waited_out),
        WORLD(publish_that_cannot_end_in_time_is_75),
        WORLD(missing_topic_is_one_line_and_69),
        WORLD(missing_subscription_is_one_line_and_69),
        WORLD(names_are_those_that_are_set),
        WORLD(deleted_subscription_ends_the_run_with_69),
        WORLD(service_that_is_not_there_is_69_within_the_start_timeout),
        WORLD(emulator_beside_a_configured_project_has_to_be_confirmed),
        WORLD(flags_of_pubsub_need_the_bus),
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
