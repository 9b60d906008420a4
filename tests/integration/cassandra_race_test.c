// Orders and payments of the same keys, written to a real Cassandra by eight writers at once, each with its
// own connection and the pipeline's own steps: nobody is missed, and the larger set wins. Two programs that
// look right do the same through the same steps, and are seen to lose.
//
// A writer is a lane on a bus of this test's own, which gives it its messages. All eight begin each batch
// together, so that both versions and both payments of an odd key are written at the same moment by four of
// them. Orders of even keys are one batch behind their payments, which therefore wait.
#include "bus.h"
#include "cassandra_server.h"
#include "cassandra_store.h"
#include "lane.h"
#include "store_cassandra.h"
#include "sweeper.h"

#include <assert.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs those before it
#include <cmocka.h>

#define WRITERS         8
#define BATCH           50
#define KEYS            2000
#define KEYS_FULL       100000
#define KEYS_OF_ROUND   200 // of a wrong way
#define ROUNDS_MAX      20  // in which it must have been caught
#define BODY_SIZE       256
#define MESSAGES_OF_KEY 4
#define BEHIND_MAX      1

static struct cassandra_server *server;
static char keyspace[CASSANDRA_KEYSPACE_SIZE];

static void check(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_name(err), why->text);
    }
}

// --- messages ---------------------------------------------------------------------------------------

// What a key's four messages are: two versions of its order, of which the second costs more, and its two
// payments, which make up that price.
enum role { ROLE_FIRST_VERSION, ROLE_SECOND_VERSION, ROLE_FIRST_PART, ROLE_SECOND_PART };

static enum bus_topic topic_of(enum role role)
{
    return role <= ROLE_SECOND_VERSION ? BUS_ORDERS : BUS_PAYMENTS;
}

static size_t write_body(enum role role, int64_t key, char body[BODY_SIZE])
{
    long long id = (long long)key;
    int version = role == ROLE_FIRST_VERSION ? 1 : 2;
    int part = role == ROLE_FIRST_PART ? 1 : 2;
    int size =
        topic_of(role) == BUS_ORDERS
            ? snprintf(body, BODY_SIZE,
                       "{\"order_id\":%lld,\"customer_id\":7,\"item\":\"Laptop\",\"quantity\":1,"
                       "\"price\":%d.00,\"shipping_address\":\"A\",\"order_status\":\"Pending\","
                       "\"creation_date\":\"2024-01-21\",\"version\":%d}",
                       id, 10 * version, version)
            : snprintf(body, BODY_SIZE,
                       "{\"payment_id\":%lld,\"order_id\":%lld,\"payment_method\":\"Cash\","
                       "\"payment_status\":\"Completed\",\"amount\":%d.00,"
                       "\"payment_datetime\":\"2024-01-21T10:00:00Z\"}",
                       id * 2 + part, id, part == 1 ? 12 : 8);
    assert(size > 0 && size < BODY_SIZE);
    return (size_t)size;
}

// --- a bus that has messages for one writer -----------------------------------------------------------

struct test_bus {
    struct bus base; // first
    enum role role;
    int64_t next; // key
    int64_t step;
    int64_t end;
    size_t published; // dead letters
};

static enum err bus_publish_letters(struct bus *base, enum bus_topic topic,
                                    const struct bus_outgoing *messages, size_t count,
                                    struct why *why)
{
    (void)topic;
    (void)messages;
    (void)why;
    ((struct test_bus *)base)->published += count;
    return ERR_OK;
}

static enum err bus_pull_batch(struct bus *base, enum bus_topic subscription, size_t count_max,
                               size_t size_max, struct arena *arena,
                               struct bus_message **out_messages, size_t *out_count,
                               struct why *why)
{
    struct test_bus *bus = (struct test_bus *)base;
    (void)size_max;
    (void)why;
    *out_messages = ARENA_ARRAY(arena, struct bus_message, count_max);
    *out_count = 0;
    assert(subscription == topic_of(bus->role));
    for (; *out_count < count_max && bus->next < bus->end; bus->next += bus->step) {
        char body[BODY_SIZE];
        size_t size = write_body(bus->role, bus->next, body);
        struct bus_message *message = &(*out_messages)[(*out_count)++];
        message->data = (struct text){arena_copy(arena, body, size), size};
        message->message_id = message->data;
        message->published_us = INT64_C(1700000000000000) + bus->next;
        message->delivery_attempt = 1;
    }
    assert(!arena_overflowed(arena));
    return ERR_OK;
}

static enum err bus_take_acks(struct bus *base, enum bus_topic subscription,
                              const struct bus_handle *handles, size_t count, struct why *why)
{
    (void)base;
    (void)subscription;
    (void)handles;
    (void)count;
    (void)why;
    return ERR_OK;
}

static const struct bus_ops test_bus_ops = {
    .publish = bus_publish_letters, .pull = bus_pull_batch, .ack = bus_take_acks};

// --- stores --------------------------------------------------------------------------------------------

static struct store_cassandra_options store_options(void)
{
    return (struct store_cassandra_options){
        .cluster = {.contact_points = cassandra_server_addresses(server), .clock = clock_real()},
        .keyspace = keyspace,
        .clock = clock_real(),
    };
}

static struct store *open_store(void)
{
    struct store_cassandra_options options = store_options();
    struct store *store = NULL;
    struct why why = {0};
    check(store_cassandra_open(&options, &store, &why), &why);
    return store;
}

// A Cassandra store that does one thing in a wrong way. Its table of operations is put in the place of the
// right one while a writer runs.
struct wrong_store {
    struct store_ops ops; // first
    const struct store_ops *right;
    struct arena seen;      // what was read before the insert
    int64_t clock_start_ms; // what the clocks said when the race began
    int64_t clock_ahead_ms; // of this writer's machine
};

static struct wrong_store *wrong_of(struct store *store)
{
    return (struct wrong_store *)(uintptr_t)store->ops; // ops is the first member
}

// Read first: what is decided and projected is what lay there before the event was written.
static enum err read_then_insert(struct store *store, struct store_group *groups, size_t count,
                                 struct why *why)
{
    struct wrong_store *wrong = wrong_of(store);
    arena_reset(&wrong->seen);
    enum err err = wrong->right->read_partitions(store, groups, count, &wrong->seen, why);
    return err == ERR_OK ? wrong->right->insert_events(store, groups, count, why) : err;
}

static enum err keep_what_was_seen(struct store *store, struct store_group *groups, size_t count,
                                   struct arena *arena, struct why *why)
{
    (void)store;
    (void)groups;
    (void)count;
    (void)arena;
    (void)why;
    return ERR_OK;
}

// Then dead letter: whoever finds no order gives the payment up.
static enum err give_up_at_once(struct store *store, const struct waiting_payment *items,
                                size_t count, struct why *why)
{
    (void)store;
    (void)items;
    (void)count;
    (void)why;
    return ERR_OK;
}

static int64_t now_ms(void)
{
    struct clock clock = clock_real();
    return clock_wall_us(&clock) / 1000;
}

// The writer's wall clock, in the place of the number of rows that were seen.
static enum err stamp_by_clock(struct store *store, struct store_group *groups, size_t count,
                               struct why *why)
{
    struct wrong_store *wrong = wrong_of(store);
    int64_t since_ms = now_ms() - wrong->clock_start_ms + wrong->clock_ahead_ms;
    for (size_t i = 0; i < count; i++) {
        struct cassandra_rows *rows = groups[i].private_rows;
        rows->n_rows = (uint32_t)since_ms + 100; // above that of any set
        rows->carried = false;
    }
    return wrong->right->write_facts(store, groups, count, why);
}

enum way { WAY_RIGHT, WAY_READ_FIRST, WAY_WALL_CLOCK };

static void go_wrong(struct wrong_store *wrong, struct store *store, enum way way)
{
    wrong->right = store->ops;
    wrong->ops = *store->ops;
    store->ops = &wrong->ops;
    assert_int_equal(arena_init(&wrong->seen, 16u << 20), ERR_OK);
    if (way == WAY_READ_FIRST) {
        wrong->ops.insert_events = read_then_insert;
        wrong->ops.read_partitions = keep_what_was_seen;
        wrong->ops.insert_waiting = give_up_at_once;
    }
    if (way == WAY_WALL_CLOCK) {
        wrong->ops.write_facts = stamp_by_clock;
    }
}

static void go_right(struct wrong_store *wrong, struct store *store)
{
    store->ops = wrong->right;
    arena_deinit(&wrong->seen);
}

// --- writers ---------------------------------------------------------------------------------------------

struct writer {
    pthread_t thread;
    pthread_barrier_t *together;
    struct test_bus bus;
    struct store *store;
    struct wrong_store wrong;
    struct pipeline_rules rules;
    size_t batches_behind;
    char name[16];
    enum err err;
    struct why why;
};

// Until its messages are through, or something failed; then it still keeps the others company.
static void write_all(struct writer *writer, struct lane *lane, struct batch *batch, size_t batches)
{
    const struct batch_limits limits = {.count_max = 2 * BATCH, // of both topics
                                        .size_max = 1u << 20,
                                        .orders = topic_of(writer->bus.role) == BUS_ORDERS,
                                        .payments = topic_of(writer->bus.role) == BUS_PAYMENTS};
    for (size_t i = 0; i < batches + BEHIND_MAX; i++) {
        bool has_turn = i >= writer->batches_behind && i < batches + writer->batches_behind;
        if (has_turn && writer->err == ERR_OK) {
            writer->err =
                batch_fetch(batch, &writer->bus.base, &limits, &writer->rules, &writer->why);
        }
        (void)pthread_barrier_wait(writer->together);
        if (has_turn && writer->err == ERR_OK) {
            writer->err = lane_apply(lane, batch, &writer->why);
        }
    }
}

static void *writer_main(void *argument)
{
    struct writer *writer = argument;
    struct batch batch = {0};
    struct lane lane;
    struct matcher matcher = {writer->store, &writer->bus.base, &writer->rules, clock_real()};
    size_t keys = (size_t)((writer->bus.end - writer->bus.next + 1) / writer->bus.step);
    size_t batches = (keys + BATCH - 1) / BATCH;
    writer->err = arena_init(&batch.arena, 16u << 20); // the usual one is slow to poison
    if (writer->err == ERR_OK) {
        writer->err = lane_open(&lane, &matcher, text_of(writer->name), NULL, &writer->why);
    }
    bool opened = writer->err == ERR_OK;
    write_all(writer, &lane, &batch, batches);
    if (opened && writer->err == ERR_OK) {
        writer->err = lane_close(&lane, &writer->why);
    }
    arena_deinit(&batch.arena);
    return NULL;
}

// Keys first ... first + count - 1. Writers 0 to 3 have the odd keys, one of the four messages each, and
// writers 4 to 7 the even ones.
static void race(struct store *const stores[WRITERS], enum way way, int64_t first, int64_t count)
{
    static struct writer writers[WRITERS];
    pthread_barrier_t together;
    int64_t start_ms = now_ms();
    assert_int_equal(pthread_barrier_init(&together, NULL, WRITERS), 0);
    for (int i = 0; i < WRITERS; i++) {
        struct writer *writer = &writers[i];
        *writer = (struct writer){
            .together = &together,
            .bus = {.base = {.ops = &test_bus_ops},
                    .role = (enum role)(i % MESSAGES_OF_KEY),
                    .next = first + i / MESSAGES_OF_KEY,
                    .step = WRITERS / MESSAGES_OF_KEY,
                    .end = first + count},
            .store = stores[i],
            .rules = pipeline_rules_default(),
        };
        bool even_orders = i >= MESSAGES_OF_KEY && topic_of(writer->bus.role) == BUS_ORDERS;
        writer->batches_behind = even_orders ? BEHIND_MAX : 0;
        writer->rules.quiet_us = 1;
        writer->wrong.clock_start_ms = start_ms;
        writer->wrong.clock_ahead_ms = (i % MESSAGES_OF_KEY) * 200; // machines differ by as much
        (void)snprintf(writer->name, sizeof(writer->name), "writer %d", i);
        go_wrong(&writer->wrong, writer->store, way);
        assert_int_equal(pthread_create(&writer->thread, NULL, writer_main, writer), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
        go_right(&writers[i].wrong, writers[i].store);
    }
    pthread_barrier_destroy(&together);
    for (int i = 0; i < WRITERS; i++) {
        check(writers[i].err, &writers[i].why);
        assert_true(writers[i].bus.next >= first + count);
        assert_int_equal(writers[i].bus.published, 0);
    }
}

// --- what is shown ------------------------------------------------------------------------------------

// How the keys of a race stand: both payments there, and the figures those of all four messages.
struct tally_of_race {
    int64_t first;
    int64_t count;
    unsigned *payments; // of each key, shown
    size_t rows;
    size_t wrong_figures;
};

static int64_t number_in(struct text text)
{
    uint64_t number = 0;
    return text_parse_u64(text, &number) ? (int64_t)number : -1;
}

// Columns as in store_fact_columns. 20.00 USD are what the second version costs and the parts make up.
static bool take_row(const struct text *columns, size_t column_count, void *context)
{
    struct tally_of_race *tally = context;
    int64_t at = number_in(columns[0]) - tally->first;
    (void)column_count;
    if (at < 0 || at >= tally->count) {
        return true;
    }
    bool right = text_equal(columns[15], TEXT("20.00")) && // order_total
                 text_equal(columns[16], TEXT("20.00")) && // amount_paid
                 text_equal(columns[19], TEXT("PAID")) && text_equal(columns[21], TEXT("4"));
    tally->wrong_figures += !right;
    tally->payments[at] += columns[1].size > 0;
    tally->rows++;
    return true;
}

static void take_tally(int64_t first, int64_t count, struct tally_of_race *out_tally)
{
    const struct fact_filter all = {.settlement = -1, .match_issue = -1};
    struct store_cassandra_options options = store_options();
    struct store_reader *reader = NULL;
    struct why why = {0};
    *out_tally = (struct tally_of_race){.first = first, .count = count};
    out_tally->payments = calloc((size_t)count, sizeof(unsigned));
    assert_non_null(out_tally->payments);
    check(store_reader_open_cassandra(&options, &reader, &why), &why);
    check(store_reader_facts(reader, &all, take_row, out_tally, &why), &why);
    store_reader_close(&reader);
}

static size_t keys_without_both_payments(const struct tally_of_race *tally)
{
    size_t count = 0;
    for (int64_t i = 0; i < tally->count; i++) {
        count += tally->payments[i] != 2;
    }
    return count;
}

// --- claims ---------------------------------------------------------------------------------------------

static struct store *stores[WRITERS];

static int open_stores(void **state)
{
    struct store_cassandra_options options = store_options();
    struct why why = {0};
    struct buf cql;
    (void)state;
    cassandra_server_keyspace(server, keyspace);
    buf_init_heap(&cql, 1u << 20);
    check(store_cassandra_setup(&options, NULL, true, &cql, &why), &why);
    buf_deinit(&cql);
    for (int i = 0; i < WRITERS; i++) {
        stores[i] = open_store();
    }
    return 0;
}

static int close_stores(void **state)
{
    (void)state;
    for (int i = 0; i < WRITERS; i++) {
        store_close(&stores[i]);
    }
    return 0;
}

static int64_t keys_of_race(void)
{
    const char *full = getenv("TILL_TEST_FULL");
    return full != NULL && strcmp(full, "1") == 0 ? KEYS_FULL : KEYS;
}

// No sweep is needed: the figures are whole as soon as the last writer is through.
static void eight_writers_at_once_miss_nobody(void **state)
{
    const int64_t keys = keys_of_race();
    struct tally_of_race tally;
    (void)state;
    race(stores, WAY_RIGHT, 1, keys);
    take_tally(1, keys, &tally);
    assert_int_equal(keys_without_both_payments(&tally), 0);
    assert_int_equal(tally.wrong_figures, 0);
    assert_int_equal(tally.rows, 2 * keys);
    free(tally.payments);
}

static struct store_totals *take_totals(void)
{
    struct store_cassandra_options options = store_options();
    struct store_totals *totals = calloc(1, sizeof(*totals));
    struct store_reader *reader = NULL;
    struct arena arena = {0};
    struct why why = {0};
    assert_non_null(totals);
    assert_int_equal(arena_init(&arena, 4u << 20), ERR_OK);
    check(store_reader_open_cassandra(&options, &reader, &why), &why);
    check(store_reader_totals(reader, (struct text){0}, &arena, totals, &why), &why);
    store_reader_close(&reader);
    arena_deinit(&arena);
    return totals; // what lay in the arena is not looked at
}

// Payments that came before their orders are listed as waiting. A sweep after the race finds each of them
// matched and publishes nothing.
static void sweep_after_the_race_declares_nothing_unmatched(void **state)
{
    struct test_bus bus = {.base = {.ops = &test_bus_ops}};
    struct pipeline_rules rules = pipeline_rules_default();
    struct matcher matcher = {stores[0], &bus.base, &rules, clock_real()};
    struct sweeper sweeper;
    struct why why = {0};
    bool done = false;
    (void)state;
    assert_int_equal(sweeper_init(&sweeper, &matcher, NULL), ERR_OK);
    while (!done) {
        struct clock clock = clock_real();
        check(sweeper_step(&sweeper, clock_wall_us(&clock), true, &done, &why), &why);
    }
    assert_int_equal(atomic_load(&sweeper.unmatched), 0);
    assert_int_equal(bus.published, 0);
    sweeper_deinit(&sweeper);
    struct store_totals *totals = take_totals();
    assert_true(totals->waiting_entries >= (uint64_t)keys_of_race()); // both of each even key
    assert_int_equal(totals->matched.rows, 2 * keys_of_race());
    assert_int_equal(totals->waiting.rows, 0);
    assert_int_equal(totals->dead.rows, 0);
    free(totals);
}

// Races new keys until some are lost. Gives how many payments are not shown, and how many rows show
// figures of less than what is stored.
static void race_until_caught(enum way way, int64_t first, size_t *out_lost, size_t *out_wrong)
{
    *out_lost = 0;
    *out_wrong = 0;
    for (int round = 0; round < ROUNDS_MAX && *out_lost + *out_wrong == 0; round++) {
        struct tally_of_race tally;
        race(stores, way, first, KEYS_OF_ROUND);
        take_tally(first, KEYS_OF_ROUND, &tally);
        *out_lost = keys_without_both_payments(&tally);
        *out_wrong = tally.wrong_figures;
        free(tally.payments);
        first += KEYS_OF_ROUND;
        print_message("round %d: %zu keys lack a payment, %zu rows show too little\n", round,
                      *out_lost, *out_wrong);
    }
}

static void reading_before_writing_loses_pairs(void **state)
{
    size_t lost = 0;
    size_t wrong = 0;
    (void)state;
    race_until_caught(WAY_READ_FIRST, 1000001, &lost, &wrong);
    assert_true(lost > 0);
}

static void projections_stamped_by_wall_clocks_lose_columns(void **state)
{
    size_t lost = 0;
    size_t wrong = 0;
    (void)state;
    race_until_caught(WAY_WALL_CLOCK, 2000001, &lost, &wrong);
    assert_true(wrong > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_writers_at_once_miss_nobody),
        cmocka_unit_test(sweep_after_the_race_declares_nothing_unmatched),
        cmocka_unit_test(reading_before_writing_loses_pairs),
        cmocka_unit_test(projections_stamped_by_wall_clocks_lose_columns),
    };
    cassandra_server_require();
    server = cassandra_server_shared();
    int failed = cmocka_run_group_tests(tests, open_stores, close_stores);
    cassandra_server_stop(&server);
    return failed;
}
