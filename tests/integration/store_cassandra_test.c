// What every store must do, on a real Cassandra. A world is a keyspace, emptied between claims.
#include "cassandra_server.h"
#include "store_bench.h"
#include "store_cassandra.h"
#include "store_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <stdio.h>

struct cassandra_world {
    struct cassandra_server *server;
    char keyspace[CASSANDRA_KEYSPACE_SIZE];
    struct store *store;
    struct cql *cql; // to empty it with
};

static struct cassandra_world the_world; // making a keyspace takes seconds, emptying it does not

static struct store_cassandra_options options(const struct cassandra_world *world)
{
    return (struct store_cassandra_options){
        .cluster = {.contact_points = cassandra_server_addresses(world->server),
                    .clock = clock_real()},
        .keyspace = world->keyspace,
        .clock = clock_real(),
    };
}

static struct store *open_store(struct cassandra_world *world)
{
    struct why why = {0};
    struct store_cassandra_options opening = options(world);
    if (store_cassandra_open(&opening, &world->store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return world->store;
}

static void set_up(struct cassandra_world *world, bool expect_work)
{
    struct why why = {0};
    struct buf cql;
    struct store_cassandra_options setting = options(world);
    buf_init_heap(&cql, 1u << 20);
    if (store_cassandra_setup(&setting, NULL, true, &cql, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    assert_true((cql.size > 0) == expect_work);
    buf_deinit(&cql);
}

static void execute(struct cql *cql, const char *statement)
{
    struct why why = {0};
    struct cql_result result = {0};
    struct cql_request request = {.text = text_of(statement),
                                  .consistency = CQL_ONE,
                                  .timestamp_us = CQL_TIMESTAMP_SERVER,
                                  .idempotent = true,
                                  .timeout_us = 60 * US_PER_SECOND};
    if (cql_execute(cql, &request, &result, &why) != ERR_OK) {
        fail_msg("%s: %s", statement, why.text);
    }
}

// What claims write into; the others are empty or hold settings.
static void empty(struct cassandra_world *world)
{
    static const char *const tables[] = {
        "order_events",  "orders_payments_facts", "facts_by_customer",  "facts_by_day",
        "waiting_hours", "waiting_payments",      "waiting_buckets",    "lane_status",
        "dead_letters",  "dead_letter_events",    "dead_letter_checks", "dead_letter_days",
        "starts",
    };
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        char statement[256];
        (void)snprintf(statement, sizeof(statement), "TRUNCATE %s.%s", world->keyspace, tables[i]);
        execute(world->cql, statement);
    }
}

static void *create(void)
{
    struct cassandra_world *world = &the_world;
    if (world->server == NULL) {
        world->server = cassandra_server_shared();
        cassandra_server_keyspace(world->server, world->keyspace);
        set_up(world, true);
        set_up(world, false); // there is nothing left to do
        struct why why = {0};
        struct store_cassandra_options opening = options(world);
        assert_int_equal(cql_open(&opening.cluster, &world->cql, &why), ERR_OK);
    } else {
        empty(world);
    }
    (void)open_store(world);
    return world;
}

static struct store *store_of(void *world)
{
    return ((struct cassandra_world *)world)->store;
}

static struct store *reopen(void *context)
{
    struct cassandra_world *world = context;
    store_close(&world->store);
    return open_store(world);
}

static struct store_reader *reader_of(void *context)
{
    struct why why = {0};
    struct store_reader *reader = NULL;
    struct store_cassandra_options opening = options(context);
    if (store_reader_open_cassandra(&opening, &reader, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return reader;
}

static void destroy(void *world)
{
    store_close(&((struct cassandra_world *)world)->store);
}

static const struct store_factory factory = {
    .name = "Cassandra",
    .create = create,
    .store = store_of,
    .reopen = reopen,
    .reader = reader_of,
    .destroy = destroy,
};

int main(void)
{
    cassandra_server_require();
    int failed = store_suite_run(&factory);
    cql_close(&the_world.cql);
    cassandra_server_stop(&the_world.server);
    return failed;
}
