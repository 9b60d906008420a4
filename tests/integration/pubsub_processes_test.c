// Several consuming processes on Google's emulator, two a topic, each on the bus; one of them is killed at a
// random moment and started again, as a supervisor would. Every message was recorded by one of them.
//
// TILL_TEST_FULL=1 takes more messages.
#include "bus_consumer.h"
#include "pubsub_emulator.h"
#include "rand.h"
#include "test_seed.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
// cmocka needs the five before it
#include <cmocka.h>

#define MESSAGES_MAX   20000
#define MESSAGES       (getenv("TILL_TEST_FULL") != NULL ? MESSAGES_MAX : 2000) // a topic
#define CHUNK          20
#define CHUNK_US       5000
#define KILL_LATER_US  50000 // a few turns of a consumer's
#define PATIENCE_US    (240 * US_PER_SECOND)
#define RECEIVERS      2
#define RECEIVERS_ANEW 48 // the emulator goes on feeding the streams of the one that was killed
#define FILE_SIZE_MAX  (8u << 20)

enum { ORDERS_1, ORDERS_2, PAYMENTS_1, PAYMENTS_2, PAYMENTS_ANEW, CONSUMERS };
enum { ORDERS, PAYMENTS, TOPICS };

#define VICTIM PAYMENTS_1

static struct pubsub_emulator *emulator;

struct message {
    uint64_t id;
    uint32_t recorded; // times
};

struct topic {
    struct pubsub_publisher *publisher;
    struct message messages[MESSAGES_MAX];
    atomic_size_t count;
};

struct world {
    enum pubsub_way way;
    char project[32];
    char folder[64];
    struct pubsub *client;
    struct why why;
    struct topic topics[TOPICS];
    pid_t pids[CONSUMERS]; // 0: none
    char paths[CONSUMERS][96];
    off_t kill_at;         // size of the victim's file
    int64_t kill_after_us; // and this much later
    int64_t kill_us;       // when that is; 0: not yet known
    size_t published;
};

static int64_t now_us(void)
{
    struct clock clock = clock_real();
    return clock_mono_ns(&clock) / 1000;
}

static void expect_ok(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_name(err), why->text);
    }
}

// --- topics -------------------------------------------------------------------------------------

static void on_result(void *context, void *tag, const struct pubsub_publish_result *result)
{
    struct topic *topic = context;
    (void)tag;
    if (result->err == ERR_OK) { // else one is missing in the end
        size_t index = atomic_load(&topic->count);
        if (text_parse_u64(result->message_id, &topic->messages[index].id)) {
            atomic_store(&topic->count, index + 1);
        }
    }
}

static void make_topic(struct world *world, int index)
{
    enum bus_topic kind = index == ORDERS ? BUS_ORDERS : BUS_PAYMENTS;
    const struct pubsub_topic_settings settings = {0};
    const struct pubsub_subscription_settings subscription = {
        .topic = bus_topic_name(kind), .ack_deadline_us = 10 * US_PER_SECOND};
    const struct pubsub_publisher_options publisher = {.topic = bus_topic_name(kind),
                                                       .batch_count_max = CHUNK,
                                                       .on_result = on_result,
                                                       .context = &world->topics[index]};
    struct why *why = &world->why;
    expect_ok(pubsub_topic_create(world->client, bus_topic_name(kind), &settings, why), why);
    expect_ok(
        pubsub_subscription_create(world->client, bus_subscription_name(kind), &subscription, why),
        why);
    expect_ok(
        pubsub_publisher_open(world->client, &publisher, &world->topics[index].publisher, why),
        why);
}

static void publish_chunk(struct world *world)
{
    const struct pubsub_outgoing message = {.data = TEXT("x")};
    for (int i = 0; i < CHUNK; i++) {
        for (int topic = 0; topic < TOPICS; topic++) {
            size_t accepted = 0;
            expect_ok(pubsub_publish(world->topics[topic].publisher, &message, 1, NULL, &accepted,
                                     &world->why),
                      &world->why);
        }
    }
    world->published += CHUNK;
}

static int compare_ids(const void *a, const void *b)
{
    const struct message *left = a;
    const struct message *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

static void finish_publishing(struct world *world)
{
    for (int i = 0; i < TOPICS; i++) {
        struct topic *topic = &world->topics[i];
        expect_ok(pubsub_publisher_flush(topic->publisher, PATIENCE_US, &world->why), &world->why);
        assert_int_equal(atomic_load(&topic->count), world->published);
        qsort(topic->messages, world->published, sizeof(topic->messages[0]), compare_ids);
    }
}

// --- consumers ----------------------------------------------------------------------------------

static int topic_of(int consumer)
{
    return consumer < PAYMENTS_1 ? ORDERS : PAYMENTS;
}

static void start_consumer(struct world *world, int consumer)
{
    (void)snprintf(world->paths[consumer], sizeof(world->paths[consumer]), "%s/%d", world->folder,
                   consumer);
    const struct bus_consumer_options options = {
        .address = pubsub_emulator_address(emulator),
        .project = world->project,
        .topic = topic_of(consumer) == ORDERS ? BUS_ORDERS : BUS_PAYMENTS,
        .way = world->way,
        .receivers = consumer == PAYMENTS_ANEW ? RECEIVERS_ANEW : RECEIVERS,
        .path = world->paths[consumer],
    };
    world->pids[consumer] = bus_consumer_start(&options);
}

static off_t file_size(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? info.st_size : 0;
}

static int end_consumer(struct world *world, int consumer, int signal_number)
{
    int status = 0;
    assert_int_equal(kill(world->pids[consumer], signal_number), 0);
    assert_int_equal(waitpid(world->pids[consumer], &status, 0), world->pids[consumer]);
    world->pids[consumer] = 0;
    return status;
}

static bool is_due(struct world *world)
{
    if (world->kill_us == 0 && file_size(world->paths[VICTIM]) >= world->kill_at) {
        world->kill_us = now_us() + world->kill_after_us;
    }
    return world->kill_us != 0 && now_us() >= world->kill_us;
}

static void kill_when_due(struct world *world)
{
    if (world->pids[VICTIM] != 0 && is_due(world)) {
        assert_true(WIFSIGNALED(end_consumer(world, VICTIM, SIGKILL)));
        print_message("    killed after %zu messages were published, with %lld bytes recorded\n",
                      world->published, (long long)file_size(world->paths[VICTIM]));
        start_consumer(world, PAYMENTS_ANEW);
    }
}

// --- what they recorded -------------------------------------------------------------------------

// A line that the kill has cut short is none: its message was not acked.
static void read_records(struct world *world, int consumer, char *lines)
{
    FILE *file = fopen(world->paths[consumer], "re");
    if (file == NULL) {
        return; // not yet begun
    }
    struct text rest = {lines, fread(lines, 1, FILE_SIZE_MAX, file)};
    assert_int_equal(fclose(file), 0);
    struct topic *topic = &world->topics[topic_of(consumer)];
    const char *end = NULL;
    while ((end = memchr(rest.data, '\n', rest.size)) != NULL) {
        struct message wanted = {0};
        size_t size = (size_t)(end - rest.data);
        assert_true(text_parse_u64((struct text){rest.data, size}, &wanted.id));
        struct message *found =
            bsearch(&wanted, topic->messages, world->published, sizeof(wanted), compare_ids);
        assert_non_null(found);
        found->recorded++;
        rest = (struct text){end + 1, rest.size - size - 1};
    }
}

// How many messages no file has.
static size_t count_missing(struct world *world, size_t *out_repeated)
{
    size_t missing = 0;
    char *lines = malloc(FILE_SIZE_MAX);
    assert_non_null(lines);
    *out_repeated = 0;
    for (int i = 0; i < TOPICS; i++) {
        for (size_t m = 0; m < world->published; m++) {
            world->topics[i].messages[m].recorded = 0;
        }
    }
    for (int i = 0; i < CONSUMERS; i++) {
        read_records(world, i, lines);
    }
    for (int i = 0; i < TOPICS; i++) {
        for (size_t m = 0; m < world->published; m++) {
            uint32_t recorded = world->topics[i].messages[m].recorded;
            missing += recorded == 0;
            *out_repeated += recorded > 1;
        }
    }
    free(lines);
    return missing;
}

static void expect_all(struct world *world)
{
    int64_t until_us = now_us() + PATIENCE_US;
    size_t repeated = 0;
    size_t missing = 0;
    while ((missing = count_missing(world, &repeated)) > 0 && now_us() < until_us) {
        pubsub_wait(world->client, pubsub_arrivals(world->client), 200000);
    }
    print_message("    %zu messages a topic, %zu missing, %zu recorded more than once\n",
                  world->published, missing, repeated);
    assert_int_equal(missing, 0);
}

// --- a world ------------------------------------------------------------------------------------

static struct world *create(enum pubsub_way way, struct rand *rand)
{
    struct world *world = calloc(1, sizeof(*world));
    struct pubsub_options options = {.target = {.plaintext = true}};
    assert_non_null(world);
    world->way = way;
    world->kill_at = (off_t)rand_below(rand, (uint64_t)MESSAGES / 2) + 1;
    world->kill_after_us = (int64_t)rand_below(rand, KILL_LATER_US);
    (void)snprintf(world->project, sizeof(world->project), "processes-%d", (int)way);
    (void)snprintf(world->folder, sizeof(world->folder), "/tmp/till-processes-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    (void)snprintf(options.target.project, sizeof(options.target.project), "%s", world->project);
    (void)snprintf(options.target.endpoint, sizeof(options.target.endpoint), "%s",
                   pubsub_emulator_address(emulator));
    expect_ok(pubsub_open(&options, &world->client, &world->why), &world->why);
    make_topic(world, ORDERS);
    make_topic(world, PAYMENTS);
    for (int i = ORDERS_1; i <= PAYMENTS_2; i++) {
        start_consumer(world, i);
    }
    return world;
}

static void destroy(struct world *world)
{
    for (int i = 0; i < CONSUMERS; i++) {
        if (world->pids[i] != 0) {
            int status = end_consumer(world, i, SIGTERM);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
        (void)unlink(world->paths[i]);
    }
    (void)rmdir(world->folder);
    for (int i = 0; i < TOPICS; i++) {
        pubsub_publisher_close(&world->topics[i].publisher);
    }
    pubsub_close(&world->client);
    free(world);
}

static void publish_and_kill(struct world *world)
{
    int64_t until_us = now_us() + PATIENCE_US;
    while (world->published < (size_t)MESSAGES || world->pids[VICTIM] != 0) {
        assert_true(now_us() < until_us);
        if (world->published < (size_t)MESSAGES) {
            publish_chunk(world);
        }
        pubsub_wait(world->client, pubsub_arrivals(world->client), CHUNK_US);
        kill_when_due(world);
    }
    finish_publishing(world);
}

// Both ways at once, since what the killed one held comes again after 10 s.
static void union_of_what_consumers_recorded_is_all_though_one_is_killed(void **state)
{
    struct rand rand;
    struct world *worlds[2];
    (void)state;
    rand_seed(&rand, test_seed());
    for (int i = 0; i < 2; i++) {
        worlds[i] = create(i == 0 ? PUBSUB_STREAMING_PULL : PUBSUB_UNARY_PULL, &rand);
        publish_and_kill(worlds[i]);
    }
    for (int i = 0; i < 2; i++) {
        expect_all(worlds[i]);
        destroy(worlds[i]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(union_of_what_consumers_recorded_is_all_though_one_is_killed),
    };
    if (bus_consumer_is_meant(argc, argv)) {
        return bus_consumer_main(argv);
    }
    pubsub_emulator_require();
    emulator = pubsub_emulator_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pubsub_emulator_stop(&emulator);
    return failed;
}
