// Several processes, two topics, three nodes, and what happens to all of them: nodes are killed, paused and
// started again, processes are killed in mid-run. In the end every message has come to the same as on the
// embedded store, and what a reader has seen matched was never unmatched on the way.
//
// Messages come from Google's Pub/Sub emulator. It is not disturbed here: it keeps nothing when it ends.
// TILL_TEST_FULL=1 takes more messages.
#include "cassandra_rig.h"
#include "cassandra_server.h"
#include "data_files.h"
#include "facts_watcher.h"
#include "pubsub_emulator.h"
#include "rand.h"
#include "test_seed.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
// cmocka needs those before it
#include <cmocka.h>

#define PAIRS          2000
#define PAIRS_FULL     200000
#define PAIRS_OUTAGE   400
#define RATE           "150" // messages a second of each topic, so that they come all along the weather
#define RATE_FULL      "2000"
#define OUTAGE_MS      8000
#define RSS_GROWTH_MAX (64 << 10) // KiB
#define SETTLE_MS      (rig_is_full() ? 40 * 60 * 1000 : 180 * 1000)

static struct cassandra_server *server;
static struct pubsub_emulator *emulator;
static struct cassandra_rig rig;
static char keyspace[CASSANDRA_KEYSPACE_SIZE];
static uint64_t seed;

// A process of a name of its own, which a supervisor would start again.
struct seat {
    const char *name;
    const char *words[3];
    struct till_process *process;
};

static struct seat seats[] = {
    {"orders-1", {"consume", "orders"}, NULL},
    {"orders-2", {"consume", "orders"}, NULL},
    {"payments-1", {"consume", "payments"}, NULL},
    {"payments-2", {"consume", "payments"}, NULL},
    {"sweeper", {"sweep"}, NULL},
    {"letters", {"consume", "dlq"}, NULL},
};
#define SEATS (sizeof(seats) / sizeof(seats[0]))
enum { ORDERS_1, ORDERS_2, PAYMENTS_1, PAYMENTS_2, SWEEPER, LETTERS };

// --- a world ----------------------------------------------------------------------------------------

static int create_world(void **state)
{
    static int worlds;
    int failed = till_test_setup(state);
    cassandra_server_keyspace(server, keyspace);
    rig_init(&rig, cassandra_server_addresses(server), keyspace);
    rig_set(&rig, "PUBSUB_EMULATOR_HOST=%s", pubsub_emulator_address(emulator));
    rig_set(&rig, "PUBSUB_PROJECT_ID=cluster-%d", ++worlds);
    rig_set(&rig, "TILL_BUS_KIND=pubsub");
    // The emulator feeds the streams of processes that are gone; pulls end with their process.
    rig_set(&rig, "TILL_PUBSUB_RECEIVE=pull");
    rig_set(&rig, "TILL_PUBSUB_RECEIVERS=2");
    rig_set(&rig, "TILL_PUBSUB_ACK_DEADLINE=10s");
    rig_set(&rig, "TILL_LANE_BATCH_MESSAGES=200");
    rig_set(&rig, "TILL_MATCH_GRACE=5s");
    rig_set(&rig, "TILL_MATCH_BUCKET=1s");
    rig_set(&rig, "ASAN_OPTIONS=quarantine_size_mb=8"); // else that is what grows
    assert_exit_code(RIG_RUN(&rig, "setup", "--quiet"), 0);
    for (size_t i = 0; i < SEATS; i++) {
        seats[i].process = NULL;
    }
    return failed;
}

static void start_seat(size_t number)
{
    struct seat *seat = &seats[number];
    rig_set(&rig, "TILL_RUN_NAME=%s", seat->name);
    seat->process = RIG_START(&rig, seat->words[0], "--data-dir", seat->name, seat->words[1]);
}

static void wait_ready(size_t number)
{
    till_wait_for_err(seats[number].process, "ready on");
}

static void start_all(void)
{
    for (size_t i = 0; i < SEATS; i++) {
        start_seat(i);
    }
    for (size_t i = 0; i < SEATS; i++) {
        wait_ready(i);
    }
}

static void kill_and_start(size_t number)
{
    till_signal(seats[number].process, SIGKILL);
    assert_exit_code(till_wait(seats[number].process), 137);
    start_seat(number);
}

static void end_all(void)
{
    for (size_t i = 0; i < SEATS; i++) {
        if (seats[i].process != NULL) {
            till_signal(seats[i].process, SIGTERM);
        }
    }
    for (size_t i = 0; i < SEATS; i++) {
        if (seats[i].process != NULL) {
            assert_exit_code(till_wait(seats[i].process), 0);
        }
    }
}

static bool is_second_time(void *context)
{
    bool *second = context;
    bool result = *second;
    *second = true;
    return result;
}

// Takes what they have said, lest their pipes get full. None of them has ended.
static void listen_to_all(void)
{
    for (size_t i = 0; i < SEATS; i++) {
        bool second = false;
        if (seats[i].process != NULL) {
            till_wait_until(seats[i].process, is_second_time, &second, "nothing");
        }
    }
}

static int64_t now_ms(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void listen_for_ms(int64_t ms)
{
    int64_t end_ms = now_ms() + ms;
    while (now_ms() < end_ms) {
        listen_to_all();
        (void)poll(NULL, 0, 100);
    }
}

static struct till_process *start_producer(const char *topic, const char *path, const char *rate)
{
    return RIG_START(&rig, "produce", topic, "--from", path, "--rate", rate, "--quiet");
}

// Until the keyspace shows what the embedded store shows; says what differs when it never does.
static void wait_until_settled(void)
{
    char *facts = rig_facts(NULL, "embedded");
    char *letters = rig_letters(NULL, "embedded");
    int64_t end_ms = now_ms() + SETTLE_MS;
    bool same = false;
    while (!same && now_ms() < end_ms) {
        listen_for_ms(1000);
        char *facts_now = rig_facts(&rig, "none");
        char *letters_now = rig_letters(&rig, "none");
        same = strcmp(facts, facts_now) == 0 && strcmp(letters, letters_now) == 0;
        free(facts_now);
        free(letters_now);
    }
    free(facts);
    free(letters);
    rig_assert_same(&rig, "embedded");
}

// --- bad weather --------------------------------------------------------------------------------------

static void say(const char *what)
{
    static int64_t start_ms;
    start_ms = start_ms == 0 ? now_ms() : start_ms;
    print_message("%3lld s: %s\n", (long long)(now_ms() - start_ms) / 1000, what);
}

// One node after the other, and processes meanwhile: while a node is down, while it is back and has to be
// caught up with, and while one is there but silent.
static void have_weather(void)
{
    struct rand rand;
    rand_seed(&rand, seed);
    unsigned first = 1 + (unsigned)rand_below(&rand, CASSANDRA_NODES_MAX);
    unsigned second = first % CASSANDRA_NODES_MAX + 1;
    say("a node is killed");
    cassandra_server_kill(server, first);
    listen_for_ms(1000 + (int64_t)rand_below(&rand, 1000));
    kill_and_start(ORDERS_1);
    kill_and_start(SWEEPER);
    say("and is started again");
    cassandra_server_restart(server, first);
    kill_and_start(PAYMENTS_1);
    say("another one is paused");
    cassandra_server_pause(server, second);
    listen_for_ms(1000 + (int64_t)rand_below(&rand, 1000));
    kill_and_start(LETTERS);
    kill_and_start(PAYMENTS_2);
    listen_for_ms(1000);
    cassandra_server_resume(server, second);
    say("and goes on; the third one is restarted in good order");
    kill_and_start(ORDERS_2);
    cassandra_server_restart(server, second % CASSANDRA_NODES_MAX + 1);
    say("the weather is good");
}

static void nodes_and_processes_die_and_everything_settles_as_on_the_embedded_store(void **state)
{
    const struct generator_options options =
        rig_anomalies(seed, rig_is_full() ? PAIRS_FULL : PAIRS);
    const char *rate = rig_is_full() ? RATE_FULL : RATE;
    char complaint[FACTS_COMPLAINT_SIZE];
    size_t readings = 0;
    (void)state;
    rig_write_messages(&options);
    rig_apply_embedded("embedded");
    struct facts_watcher *watcher =
        facts_watcher_start(cassandra_server_addresses(server), keyspace);
    start_all();
    struct till_process *orders = start_producer("orders", "orders.jsonl", rate);
    struct till_process *payments = start_producer("payments", "payments.jsonl", rate);
    listen_for_ms(2000);
    have_weather();
    assert_exit_code(rig_wait(orders), 0);
    assert_exit_code(rig_wait(payments), 0);
    say("everything is published");
    wait_until_settled();
    say("settled");
    facts_watcher_stop(&watcher, complaint, &readings);
    print_message("all facts were read %zu times on the way\n", readings);
    assert_string_equal(complaint, "");
    assert_true(readings >= 5);
    end_all();
    rig_assert_balanced(&rig);
}

// --- no quorum ----------------------------------------------------------------------------------------

// KiB of memory that the process has in use.
static int64_t rss_of(const struct till_process *process)
{
    char path[64];
    long long pages = 0;
    (void)snprintf(path, sizeof(path), "/proc/%ld/statm", (long)till_pid(process));
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %lld", &pages), 1);
    (void)fclose(file);
    return (int64_t)pages * 4;
}

static void wait_for_matched(struct facts_watcher *watcher, size_t least)
{
    int64_t end_ms = now_ms() + SETTLE_MS;
    while (facts_watcher_matched(watcher) < least && now_ms() < end_ms) {
        listen_for_ms(100);
    }
    assert_true(facts_watcher_matched(watcher) >= least);
}

// Nobody ends, nobody grows, no payment is given up; and when the nodes are back, nobody has to do anything.
static void without_a_quorum_everybody_waits_and_then_goes_on(void **state)
{
    const struct generator_options plain = {.seed = seed, .pairs = PAIRS_OUTAGE};
    char complaint[FACTS_COMPLAINT_SIZE];
    int64_t rss[SEATS];
    size_t readings = 0;
    (void)state;
    rig_write_messages(&plain);
    rig_apply_embedded("embedded");
    struct facts_watcher *watcher =
        facts_watcher_start(cassandra_server_addresses(server), keyspace);
    start_all();
    struct till_process *orders = start_producer("orders", "orders.jsonl", "40");
    struct till_process *payments = start_producer("payments", "payments.jsonl", "40");
    wait_for_matched(watcher, 20);
    cassandra_server_kill(server, 2);
    cassandra_server_kill(server, 3);
    say("two nodes of three are down");
    listen_for_ms(2000);
    for (size_t i = 0; i < SEATS; i++) {
        rss[i] = rss_of(seats[i].process);
    }
    assert_exit_code(rig_wait(orders), 0);
    assert_exit_code(rig_wait(payments), 0);
    listen_for_ms(OUTAGE_MS);
    rig_set(&rig, "TILL_RUN_NAME=late");
    const struct outcome *late = RIG_RUN(&rig, "consume", "orders", "--quiet", "--set",
                                         "cassandra.request_timeout=2s", "--data-dir", "late");
    assert_exit_code(late, 69); // who is started now does not wait
    assert_err_has(late, "Cassandra: ");
    for (size_t i = 0; i < SEATS; i++) {
        int64_t growth = rss_of(seats[i].process) - rss[i];
        print_message("%s: %lld KiB, %+lld\n", seats[i].name, (long long)rss[i], (long long)growth);
        assert_true(growth < RSS_GROWTH_MAX);
    }
    size_t matched = facts_watcher_matched(watcher);
    assert_true(matched < PAIRS_OUTAGE);
    cassandra_server_restart(server, 2);
    say("one is back");
    wait_for_matched(watcher, PAIRS_OUTAGE);
    cassandra_server_restart(server, 3);
    say("all are back");
    wait_until_settled();
    facts_watcher_stop(&watcher, complaint, &readings);
    assert_string_equal(complaint, "");
    end_all();
    rig_assert_balanced(&rig);
    const struct outcome *letters = RIG_RUN(&rig, "dlq", "list", "--output", "csv");
    assert_int_equal(line_count(letters->out), 1); // the names of the columns; no healed one either
}

#define WORLD(function) cmocka_unit_test_setup_teardown(function, create_world, till_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(nodes_and_processes_die_and_everything_settles_as_on_the_embedded_store),
        WORLD(without_a_quorum_everybody_waits_and_then_goes_on),
    };
    pubsub_emulator_require();
    cassandra_server_require();
    (void)unsetenv("PUBSUB_EMULATOR_HOST"); // those of whoever runs the tests
    (void)unsetenv("PUBSUB_PROJECT_ID");
    (void)unsetenv("GOOGLE_CLOUD_PROJECT");
    (void)unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
    seed = test_seed();
    emulator = pubsub_emulator_start();
    server = cassandra_server_start(&(struct cassandra_server_options){.nodes = 3});
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cassandra_server_stop(&server);
    pubsub_emulator_stop(&emulator);
    return failed;
}
