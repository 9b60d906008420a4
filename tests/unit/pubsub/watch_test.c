// When a connection is tested for life: by what was opened, answered and given up on it.
#include "clock.h"
#include "grpc_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the first four
#include <cmocka.h>

#define SILENCE_US (40 * US_PER_SECOND)
#define LONG_NS    (SILENCE_US * 1000 * 3 / 4) // most of the silence

struct rig {
    struct transport_grpc transport;
    struct connection connection;
    struct operation operation;
};

static int64_t now_ns(void)
{
    struct clock clock = clock_real();
    return clock_mono_ns(&clock);
}

static void init(struct rig *rig)
{
    *rig = (struct rig){.transport = {.silence_us = SILENCE_US, .connection_count = 1}};
    rig->transport.connections = &rig->connection;
    rig->connection.transport = &rig->transport;
    pthread_mutex_init(&rig->transport.lock, NULL);
}

static void deinit(struct rig *rig)
{
    pthread_mutex_destroy(&rig->transport.lock);
}

// As if that had been so long ago.
static void pass(struct rig *rig, int64_t ns)
{
    rig->connection.heard_ns -= ns;
}

static void assert_due_in(struct rig *rig, int64_t ns)
{
    int64_t left_ns = grpc_watch_due_ns(&rig->transport) - now_ns();
    assert_in_range(left_ns + 10 * NS_PER_SECOND, ns, ns + 10 * NS_PER_SECOND); // a slow machine
}

static void connection_is_tested_when_what_is_awaited_stays_away(void **state)
{
    struct rig rig;
    (void)state;
    init(&rig);
    assert_true(grpc_watch_due_ns(&rig.transport) == INT64_MAX);
    grpc_watch_opened(&rig.operation, &rig.connection);
    assert_due_in(&rig, SILENCE_US * 1000);
    pass(&rig, LONG_NS);
    assert_due_in(&rig, SILENCE_US * 1000 - LONG_NS);
    grpc_watch_heard(&rig.connection);
    assert_due_in(&rig, SILENCE_US * 1000);
    grpc_watch_closed(&rig.operation);
    assert_true(grpc_watch_due_ns(&rig.transport) == INT64_MAX);
    deinit(&rig);
}

static void idle_time_is_no_silence(void **state)
{
    struct rig rig;
    (void)state;
    init(&rig);
    grpc_watch_opened(&rig.operation, &rig.connection);
    grpc_watch_heard(&rig.connection);
    grpc_watch_closed(&rig.operation);
    pass(&rig, 10 * LONG_NS);
    grpc_watch_opened(&rig.operation, &rig.connection);
    assert_due_in(&rig, SILENCE_US * 1000);
    deinit(&rig);
}

static void calls_that_give_up_do_not_put_off_the_test(void **state)
{
    struct rig rig;
    (void)state;
    init(&rig);
    grpc_watch_opened(&rig.operation, &rig.connection);
    pass(&rig, LONG_NS);
    grpc_watch_timed_out(&rig.connection);
    grpc_watch_closed(&rig.operation);
    grpc_watch_opened(&rig.operation, &rig.connection);
    assert_due_in(&rig, SILENCE_US * 1000 - LONG_NS);
    grpc_watch_heard(&rig.connection); // it was a slow answer only
    grpc_watch_closed(&rig.operation);
    pass(&rig, LONG_NS);
    grpc_watch_opened(&rig.operation, &rig.connection);
    assert_due_in(&rig, SILENCE_US * 1000);
    deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_is_tested_when_what_is_awaited_stays_away),
        cmocka_unit_test(idle_time_is_no_silence),
        cmocka_unit_test(calls_that_give_up_do_not_put_off_the_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
