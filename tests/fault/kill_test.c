// The program is killed at random moments, again and again, while a producer goes on. At the end every
// message whose publish was acknowledged is there, nothing is counted twice, and the tables are row by
// row those of an undisturbed run with the same messages.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_files.h"
#include "owner.h"
#include "producer.h"
#include "same_data.h"
#include "test_seed.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIRECTORY   "d"
#define UNDISTURBED "u"

static uint64_t seed;

// What the test at hand has running beside processes.
static struct message_set messages;
static struct producer *producer;

static int teardown(void **state)
{
    producer_stop(&producer);
    message_set_free(&messages);
    return till_test_teardown(state);
}

static bool is_full(void)
{
    const char *full = getenv("TILL_TEST_FULL");
    return full != NULL && strcmp(full, "1") == 0;
}

static struct owner make_owner(const char *const *words, bool is_service)
{
    struct owner owner = {.directory = DIRECTORY, .words = words, .is_service = is_service};
    rand_seed(&owner.rand, seed);
    return owner;
}

// --- undisturbed ----------------------------------------------------------------------------------

static void run_undisturbed(void)
{
    message_set_write(&messages, BUS_ORDERS, "orders.jsonl");
    message_set_write(&messages, BUS_PAYMENTS, "payments.jsonl");
    assert_exit_code(TILL("produce", "orders", "--from", "orders.jsonl", "--data-dir", UNDISTURBED),
                     0);
    assert_exit_code(
        TILL("produce", "payments", "--from", "payments.jsonl", "--data-dir", UNDISTURBED), 0);
    assert_exit_code(TILL("consume", "all", "--once", "--data-dir", UNDISTURBED), 0);
    assert_balanced(UNDISTURBED);
    assert_data_as_generated(UNDISTURBED, &messages);
}

// --- with a producer ------------------------------------------------------------------------------

static void start_producing(uint64_t pairs)
{
    message_set_make(&messages, seed, pairs);
    run_undisturbed();
    producer = producer_start(DIRECTORY, &messages, seed);
}

// Another share of the messages, so that they last until the last round.
static void allow_until(size_t round, size_t round_count)
{
    producer_allow(producer, messages.count * round / (round_count + 1));
}

// What was acknowledged is on disk at any moment. Returns what is there without being acknowledged.
static int64_t assert_acknowledged_is_durable(void)
{
    struct producer_figures sent;
    struct disk_figures disk;
    producer_figures(producer, &sent);
    disk_figures(DIRECTORY, &disk);
    if (disk.published < (int64_t)sent.acknowledged) {
        fail_msg("%zu messages are acknowledged, %lld are in the log", sent.acknowledged,
                 (long long)disk.published);
    }
    return disk.published - (int64_t)sent.acknowledged;
}

static bool all_is_acknowledged(void *context)
{
    (void)context;
    struct producer_figures sent;
    producer_figures(producer, &sent);
    return sent.acknowledged == messages.count;
}

// What comes after the last disturbance: the rest of the messages, an orderly end, and all that waits.
static void settle(struct owner *owner)
{
    struct till_process *process = owner_start(owner);
    producer_allow(producer, messages.count);
    till_wait_until(process, all_is_acknowledged, NULL, "the producer's last acknowledgement");
    till_signal(process, SIGTERM);
    assert_exit_code(till_wait(process), 0);
    assert_exit_code(TILL("consume", "all", "--once", "--data-dir", DIRECTORY), 0);
}

// Each message was published once, or once more for each time it was sent again.
static void assert_published(const struct outcome *report, const char *heading,
                             enum bus_topic topic, size_t sent)
{
    int64_t published = report_number(report, "published", heading);
    int64_t once = (int64_t)message_set_count(&messages, topic);
    if (published < once || published > (int64_t)sent) {
        fail_msg("%s: %lld messages, sent %zu times, are published %lld times", heading,
                 (long long)once, sent, (long long)published);
    }
    assert_int_equal(report_number(report, "still in the queue", heading), 0);
    printf("%s: %lld messages, sent %zu times, published %lld times, %lld of them duplicates\n",
           heading, (long long)once, sent, (long long)published,
           (long long)report_number(report, "duplicate", heading));
}

static void assert_as_undisturbed(void)
{
    const struct outcome *report = assert_balanced(DIRECTORY);
    struct producer_figures sent;
    struct disk_figures disk;
    producer_figures(producer, &sent);
    disk_figures(DIRECTORY, &disk);
    assert_published(report, "orders", BUS_ORDERS, sent.sent[0]);
    assert_published(report, "payments", BUS_PAYMENTS, sent.sent[1]);
    printf(
        "%zu connections, %zu messages sent again; %lld payments declared unmatched, %lld of them "
        "before their order came\n",
        sent.connections, sent.sent_again, (long long)disk.parked, (long long)disk.healed);
    assert_same_data(DIRECTORY, UNDISTURBED);
}

static void killed_at_random_moments_nothing_is_lost_or_counted_twice(void **state)
{
    (void)state;
    size_t kill_count = is_full() ? 200 : 60;
    struct owner owner = make_owner(TILL_WORDS("run"), true);
    int64_t unacknowledged = 0;
    start_producing(is_full() ? 60000 : 20000);
    for (size_t i = 0; i < kill_count; i++) {
        allow_until(i + 1, kill_count);
        owner_live_once(&owner, owner_draw_kill(&owner));
        unacknowledged += assert_acknowledged_is_durable();
        if (i % 5 == 4) {
            assert_balanced(DIRECTORY);
        }
    }
    settle(&owner);
    owner_print(&owner);
    assert_as_undisturbed();
    assert_int_equal(owner.kills, kill_count);
    // Else the kills hit nothing.
    assert_true(owner.redelivered > 0 && unacknowledged > 0);
    assert_true(owner.kills_before_ready > 0 && owner.kills_before_ready < kill_count);
}

static void sigterm_at_random_moments_leaves_data_that_balances(void **state)
{
    (void)state;
    size_t round_count = is_full() ? 60 : 12;
    struct owner owner = make_owner(TILL_WORDS("run"), true);
    start_producing(is_full() ? 20000 : 5000);
    for (size_t i = 0; i < round_count; i++) {
        allow_until(i + 1, round_count);
        owner_live_once(&owner, i % 2 == 0 ? OWNER_TERM : OWNER_TERM_TWICE);
        (void)assert_acknowledged_is_durable();
        assert_balanced(DIRECTORY);
    }
    settle(&owner);
    owner_print(&owner);
    assert_as_undisturbed();
}

// --- without one ----------------------------------------------------------------------------------

#define GENERATE(pairs, seed_text)                                                                 \
    "run", "--once", "--generate", pairs, "--seed", seed_text, "--early", "10%", "--duplicate",    \
        "2%", "--orphan", "2%", "--conflict", "2%", "--corrupt", "2%"

// Its messages come again from the first one on at each start, as new ones.
static void a_run_killed_and_begun_again_ends_with_the_facts_of_one(void **state)
{
    (void)state;
    char seed_text[32];
    const char *pairs = is_full() ? "20000" : "4000";
    size_t round_count = is_full() ? 40 : 10;
    (void)snprintf(seed_text, sizeof seed_text, "%" PRIu64, seed >> 1);
    const char *const *words = TILL_WORDS(GENERATE(pairs, seed_text));
    struct owner owner = make_owner(words, false);
    assert_exit_code(TILL(GENERATE(pairs, seed_text), "--data-dir", UNDISTURBED), 0);
    for (size_t i = 0; i < round_count; i++) {
        owner_live_once(&owner, owner_draw_kill(&owner));
    }
    const struct outcome *last = till_wait(owner_start(&owner));
    assert_exit_code(last, 0);
    assert_out_has(last, "\nBalanced: all ");
    owner_print(&owner);
    assert_true(owner.kills > 0);
    assert_same_data(DIRECTORY, UNDISTURBED);
}

// Each start makes both files anew, or finds what the last one left of them.
static void killed_while_it_makes_its_files_it_starts_again(void **state)
{
    (void)state;
    char directory[32];
    for (size_t i = 0; i < (is_full() ? 40 : 8); i++) {
        (void)snprintf(directory, sizeof directory, "new-%zu", i);
        struct owner owner = make_owner(TILL_WORDS("run"), true);
        owner.directory = directory;
        rand_seed(&owner.rand, seed + i);
        owner_live_once(&owner, OWNER_KILL_EARLY);
        owner_live_once(&owner, OWNER_KILL_EARLY);
        assert_exit_code(TILL("run", "--once", "--data-dir", directory), 0);
        assert_exit_code(TILL("doctor", "--data-dir", directory), 0);
    }
}

#define KILL_TEST(function) cmocka_unit_test_setup_teardown(function, till_test_setup, teardown)

int main(void)
{
    seed = test_seed();
    const struct CMUnitTest tests[] = {
        KILL_TEST(killed_at_random_moments_nothing_is_lost_or_counted_twice),
        KILL_TEST(sigterm_at_random_moments_leaves_data_that_balances),
        KILL_TEST(a_run_killed_and_begun_again_ends_with_the_facts_of_one),
        KILL_TEST(killed_while_it_makes_its_files_it_starts_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
