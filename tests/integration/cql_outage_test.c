// The Cassandra client while nodes of a real cluster die, hang and come back: what was acknowledged is there,
// nothing waits for ever, and everything goes on by itself.
#include "cassandra_server.h"
#include "cql.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define WINDOW 16u
#define PACE_NS                                                                                    \
    (10 * 1000 * 1000) // between two rounds: nodes that share a machine have to restart beside it
#define PATIENCE_S 120
#define WRITES_MAX 2000000u

static struct cassandra_server *server;
static char keyspace[CASSANDRA_KEYSPACE_SIZE];
static struct cql *cql;
static struct cql_statement *insert;

static void expect_ok(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_name(err), why->text);
    }
}

static struct text in_keyspace(const char *format)
{
    static char text[512];
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(strstr(format, "KS") - format), format,
                   keyspace, strstr(format, "KS") + 2);
    return text_of(text);
}

// Nodes that have just come back may take their time.
static struct cql_result execute(const struct cql_request *request)
{
    struct clock clock = clock_real();
    int64_t until_ns = clock_mono_ns(&clock) + PATIENCE_S * NS_PER_SECOND;
    struct cql_result result = {0};
    struct why why = {0};
    enum err err = cql_execute(cql, request, &result, &why);
    while (err_class_of(err) == ERR_CLASS_RETRY && clock_mono_ns(&clock) < until_ns) {
        err = cql_execute(cql, request, &result, &why);
    }
    expect_ok(err, &why);
    return result;
}

static struct cql_result run(const char *format)
{
    struct cql_request request = {
        .text = in_keyspace(format), .consistency = CQL_LOCAL_QUORUM, .idempotent = true};
    return execute(&request);
}

static int start(void **state)
{
    (void)state;
    struct why why = {0};
    server = cassandra_server_start(&(struct cassandra_server_options){.nodes = 3});
    cassandra_server_keyspace(server, keyspace);
    struct cql_options options = {.contact_points = cassandra_server_addresses(server),
                                  .request_timeout_us = 8 * US_PER_SECOND,
                                  .heartbeat_us = 2 * US_PER_SECOND,
                                  .reconnect_max_us = US_PER_SECOND};
    expect_ok(cql_open(&options, &cql, &why), &why);
    (void)run("CREATE TABLE KS.writes (id bigint PRIMARY KEY, item text)");
    expect_ok(cql_await_schema_agreement(cql, 30 * US_PER_SECOND, &why), &why);
    expect_ok(cql_prepare(cql, in_keyspace("INSERT INTO KS.writes (id, item) VALUES (?, ?)"),
                          &insert, &why),
              &why);
    return 0;
}

static int end(void **state)
{
    (void)state;
    cql_close(&cql);
    cassandra_server_stop(&server);
    return 0;
}

// --- load ---------------------------------------------------------------------------------------

struct load {
    unsigned char memory[WINDOW][48];
    uint32_t numbers[WINDOW]; // what each place writes
    bool busy[WINDOW];
    uint32_t next;
    uint32_t acked;
    uint32_t refused; // certainly not done
    uint32_t unknown;
};
static struct load load;
static bool *is_acked; // by number

static void write_one(uint32_t place)
{
    struct why why = {0};
    struct cql_values values;
    size_t accepted = 0;
    assert_true(load.next < WRITES_MAX);
    load.numbers[place] = load.next++;
    load.busy[place] = true;
    cql_values_init(&values, load.memory[place], sizeof(load.memory[place]));
    cql_bind_bigint(&values, load.numbers[place]);
    cql_bind_text(&values, TEXT("Laptop"));
    struct cql_request request = {.statement = insert,
                                  .values = cql_values_view(&values),
                                  .consistency = CQL_LOCAL_QUORUM,
                                  .timestamp_us = 1700000000000000,
                                  .idempotent = true,
                                  .context = (void *)(uintptr_t)place};
    expect_ok(cql_submit(cql, &request, 1, &accepted, &why), &why);
    assert_int_equal(accepted, 1);
}

static void take(const struct cql_completion *completion)
{
    uint32_t place = (uint32_t)(uintptr_t)completion->context;
    assert_true(load.busy[place]); // once
    load.busy[place] = false;
    load.acked += completion->err == ERR_OK;
    load.refused += completion->err != ERR_OK && completion->outcome == CQL_NOT_DONE;
    load.unknown += completion->err != ERR_OK && completion->outcome == CQL_UNKNOWN;
    is_acked[load.numbers[place]] = completion->err == ERR_OK;
    if (completion->err != ERR_OK) {
        assert_int_equal(err_class_of(completion->err), ERR_CLASS_RETRY);
    }
}

static void poll_once(void)
{
    struct cql_completion completions[WINDOW];
    struct why why = {0};
    size_t count = 0;
    expect_ok(cql_poll(cql, 20000, completions, WINDOW, &count, &why), &why);
    for (size_t i = 0; i < count; i++) {
        take(&completions[i]);
    }
}

// Writes as long as the work of another thread lasts, then until all have ended.
static void load_while(const atomic_bool *over)
{
    if (is_acked == NULL) {
        is_acked = calloc(WRITES_MAX, sizeof(*is_acked));
        assert_non_null(is_acked);
    }
    struct clock clock = clock_real();
    int64_t next_ns = 0;
    load.acked = load.refused = load.unknown = 0;
    while (!atomic_load(over)) {
        bool is_time = clock_mono_ns(&clock) >= next_ns;
        for (uint32_t place = 0; is_time && place < WINDOW; place++) {
            if (!load.busy[place]) {
                write_one(place);
            }
        }
        next_ns = is_time ? clock_mono_ns(&clock) + PACE_NS : next_ns;
        poll_once();
    }
    int64_t until_ns = clock_mono_ns(&clock) + PATIENCE_S * NS_PER_SECOND;
    while (cql_in_flight(cql) > 0) {
        assert_true(clock_mono_ns(&clock) < until_ns);
        poll_once();
    }
    printf("acknowledged %u, not done %u, unknown %u\n", load.acked, load.refused, load.unknown);
}

struct work {
    void (*run)(void);
    atomic_bool over;
};

static void *do_work(void *context)
{
    struct work *work = context;
    work->run();
    atomic_store(&work->over, true);
    return NULL;
}

static void load_during(void (*run_work)(void))
{
    struct work work = {.run = run_work};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, do_work, &work), 0);
    load_while(&work.over);
    pthread_join(thread, NULL);
}

// Every write that was ever acknowledged is in the table.
static void expect_all_acknowledged_to_be_there(void)
{
    bool *is_there = calloc(WRITES_MAX, sizeof(*is_there));
    char state[512];
    struct cql_request request = {.text = in_keyspace("SELECT id FROM KS.writes"),
                                  .consistency = CQL_LOCAL_QUORUM,
                                  .idempotent = true,
                                  .page_size = 1000};
    assert_non_null(is_there);
    do {
        struct cql_result result = execute(&request);
        struct cql_row_reader reader = cql_rows_read(&result.rows);
        struct cql_cell cell;
        int64_t id = 0;
        while (cql_row_next(&reader, &cell, 1)) {
            assert_int_equal(cql_get_bigint(cell, &id), CQL_GOT_VALUE);
            is_there[id] = true;
        }
        assert_true(result.paging_state.size <= sizeof(state));
        memcpy(state, result.paging_state.size > 0 ? result.paging_state.data : "",
               result.paging_state.size);
        request.paging_state = (struct text){state, result.paging_state.size};
    } while (request.paging_state.size > 0);
    for (uint32_t i = 0; i < load.next; i++) {
        if (is_acked[i] && !is_there[i]) {
            fail_msg("write %u was acknowledged and is not there", i);
        }
    }
    free(is_there);
}

static unsigned connected(void)
{
    struct arena arena;
    struct cql_cluster_info info;
    unsigned count = 0;
    assert_int_equal(arena_init(&arena, 1 << 20), ERR_OK);
    assert_int_equal(cql_cluster_info(cql, &arena, &info, NULL), ERR_OK);
    for (size_t i = 0; i < info.node_count; i++) {
        count += info.nodes[i].connections > 0;
    }
    arena_deinit(&arena);
    return count;
}

static void await_all_connected(void)
{
    struct clock clock = clock_real();
    int64_t until_ns = clock_mono_ns(&clock) + PATIENCE_S * NS_PER_SECOND;
    while (connected() < 3) {
        assert_true(clock_mono_ns(&clock) < until_ns);
        poll_once();
    }
}

// --- claims -------------------------------------------------------------------------------------

static void kill_and_restart(void)
{
    cassandra_server_kill(server, 2);
    cassandra_server_restart(server, 2);
}

static void a_killed_node_costs_no_write_that_may_be_repeated(void **state)
{
    (void)state;
    await_all_connected();
    load_during(kill_and_restart);
    assert_true(load.acked > 100);
    assert_true(load.refused + load.unknown < load.acked / 20 + WINDOW);
    await_all_connected();
    expect_all_acknowledged_to_be_there();
}

static void pause_for_a_while(void)
{
    char *text = NULL;
    cassandra_server_pause(server, 3);
    for (unsigned i = 0; i < 6; i++) { // a second each, and a healthy node is asked
        text = cassandra_server_cql(server, "SELECT key FROM system.local;");
        free(text);
    }
    cassandra_server_resume(server, 3);
}

static void a_node_that_hangs_is_left_and_found_again(void **state)
{
    (void)state;
    await_all_connected();
    load_during(pause_for_a_while);
    assert_true(load.acked > 100);
    await_all_connected();
    expect_all_acknowledged_to_be_there();
}

static void restart_one_after_the_other(void)
{
    for (unsigned node = 1; node <= 3; node++) {
        cassandra_server_restart(server, node);
    }
}

static void a_rolling_restart_loses_no_acknowledged_write(void **state)
{
    (void)state;
    await_all_connected();
    load_during(restart_one_after_the_other);
    assert_true(load.acked > 100);
    await_all_connected();
    expect_all_acknowledged_to_be_there();
}

static void kill_all_and_restart_all(void)
{
    for (unsigned node = 1; node <= 3; node++) {
        cassandra_server_kill(server, node);
    }
    for (unsigned node = 1; node <= 3; node++) {
        cassandra_server_restart(server, node);
    }
}

static void after_a_full_outage_the_same_session_writes_again(void **state)
{
    (void)state;
    await_all_connected();
    load_during(kill_all_and_restart_all);
    await_all_connected();
    (void)run("SELECT id FROM KS.writes LIMIT 1");
    expect_all_acknowledged_to_be_there();
    free(is_acked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_node_costs_no_write_that_may_be_repeated),
        cmocka_unit_test(a_node_that_hangs_is_left_and_found_again),
        cmocka_unit_test(a_rolling_restart_loses_no_acknowledged_write),
        cmocka_unit_test(after_a_full_outage_the_same_session_writes_again),
    };
    cassandra_server_require();
    return cmocka_run_group_tests(tests, start, end);
}
