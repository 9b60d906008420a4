// The threads of a running service, on the real clock: nothing here depends on how fast they are.
#include "log.h"
#include "rig.h"
#include "service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_US (60 * US_PER_SECOND)

// A rig whose lane is closed, so that a service may have its bus and store.
static void init(struct rig *rig, struct service_options *out_options)
{
    rig_init(rig);
    struct why why = {0};
    assert_int_equal(lane_close(&rig->lane, &why), ERR_OK);
    *out_options = (struct service_options){
        .bus = rig->bus,
        .store = rig->store,
        .rules = rig->rules,
        .clock = clock_real(),
        .limits = rig->limits,
        .sweep = true,
        .dead_letters = true,
    };
}

static struct store_ops busy_ops;
static atomic_size_t begins;

static enum err begin_busy(struct store *store, struct why *why)
{
    (void)store;
    atomic_fetch_add(&begins, 1);
    return why_set(why, ERR_BUSY, "the test says so");
}

// Unlike the rig's own publishing it leaves the rig's clock alone, which the service's threads read.
static void publish_order(struct rig *rig, int order_id)
{
    char body[256];
    int size = snprintf(body, sizeof(body),
                        "{\"order_id\": %d, \"customer_id\": 7, \"item\": \"Laptop\","
                        " \"quantity\": 1, \"price\": 5.00, \"shipping_address\": \"here\","
                        " \"order_status\": \"Pending\", \"creation_date\": \"2024-01-21\"}",
                        order_id);
    assert_in_range(size, 1, sizeof(body) - 1);
    struct bus_outgoing outgoing = {.data = {body, (size_t)size}};
    struct why why = {0};
    assert_int_equal(bus_publish(rig->bus, BUS_ORDERS, &outgoing, 1, &why), ERR_OK);
}

// Publishing wakes those who wait for messages, but not those who wait for a better time.
static void publishing_does_not_cut_a_back_off_short(void **state)
{
    (void)state;
    struct rig rig;
    struct service_options options;
    init(&rig, &options);
    const struct store_ops *ops = rig.store->ops;
    busy_ops = *ops;
    busy_ops.begin = begin_busy;
    rig.store->ops = &busy_ops;
    options.sweep = false; // looks after the house with transactions of its own
    options.dead_letters = false;
    atomic_store(&begins, 0);
    atomic_bool stop = false;
    struct service *service = NULL;
    struct why why = {0};
    assert_int_equal(service_start(&options, &stop, &service, &why), ERR_OK);
    int64_t start_ns = clock_mono_ns(&options.clock);
    int64_t elapsed_ns = 0;
    int published = 0;
    for (; published < 1000 && elapsed_ns < 2 * NS_PER_SECOND; published++) {
        publish_order(&rig, published + 1);
        elapsed_ns = clock_mono_ns(&options.clock) - start_ns;
    }
    size_t attempts = atomic_load(&begins);
    elapsed_ns = clock_mono_ns(&options.clock) - start_ns;
    // 10 ms, 20 ms, 40 ms, ...: that many fit into the time that has passed, and the first one.
    size_t attempts_max = 2;
    for (int64_t us = 10000; us * 1000 <= elapsed_ns; us *= 2) {
        attempts_max++;
    }
    assert_in_range(attempts, 0, attempts_max);
    struct service_figures figures;
    assert_int_equal(service_finish(&service, DRAIN_US, &figures, &why), ERR_OK);
    rig.store->ops = ops;
    assert_int_equal(lane_open(&rig.lane,
                               &(struct matcher){rig.store, rig.bus, &rig.rules, options.clock},
                               TEXT("lane"), NULL, &why),
                     ERR_OK);
    rig_run(&rig);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM orders"), published);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static enum err begin_broken(struct store *store, struct why *why)
{
    (void)store;
    return why_set(why, ERR_INTERNAL, "the test says so");
}

// Whatever was in hand may be the reason, and would be in hand again: the next start takes messages
// one by one.
static void start_that_ends_with_an_error_counts_as_one_that_died(void **state)
{
    (void)state;
    struct rig rig;
    struct service_options options;
    init(&rig, &options);
    const struct store_ops *ops = rig.store->ops;
    busy_ops = *ops;
    busy_ops.begin = begin_broken;
    rig.store->ops = &busy_ops;
    options.sweep = false;
    options.dead_letters = false;
    options.once = true;
    rig_order(&rig, 1, 1, "5.00", "Pending");
    atomic_bool stop = false;
    struct service *service = NULL;
    struct service_figures figures;
    struct why why = {0};
    assert_int_equal(service_start(&options, &stop, &service, &why), ERR_OK);
    while (!service_ended(service)) {
        (void)poll(NULL, 0, 1); // ends by itself
    }
    assert_int_equal(service_finish(&service, DRAIN_US, &figures, &why), ERR_INTERNAL);
    rig.store->ops = ops;
    assert_int_equal(rig_count(&rig, "SELECT starts FROM lane_starts"), 1);
    rig_crash(&rig); // the lease goes with the process
    rig_open(&rig);
    rig_run(&rig);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM orders"), 1);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM lane_starts"), 0);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static enum source_status fail_at_once(struct source *source, struct source_message *out_message,
                                       struct why *why)
{
    (void)source;
    (void)out_message;
    (void)why_set(why, ERR_IO, "the disk is gone");
    return SOURCE_FAILED;
}

static int no_fd(struct source *source)
{
    (void)source;
    return -1;
}

static void close_nothing(struct source *source)
{
    (void)source;
}

// A service goes on without a source that fails, so it has to say so when it happens.
static void source_that_fails_is_logged_and_told_at_the_end(void **state)
{
    (void)state;
    struct rig rig;
    struct service_options options;
    init(&rig, &options);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct log log;
    log_init(&log, ends[1], LOG_INFO, options.clock);
    struct source source = {fail_at_once, no_fd, close_nothing};
    options.log = &log;
    options.sources[0] = &source;
    options.source_count = 1;
    atomic_bool stop = false;
    struct service *service = NULL;
    struct why why = {0};
    assert_int_equal(service_start(&options, &stop, &service, &why), ERR_OK);
    struct pollfd logged = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&logged, 1, 30000), 1);
    char line[4096];
    ssize_t size = read(ends[0], line, sizeof(line) - 1);
    assert_true(size > 0);
    line[size] = '\0';
    assert_non_null(strstr(line, "the disk is gone"));
    assert_false(service_ended(service));
    struct service_figures figures;
    assert_int_equal(service_finish(&service, DRAIN_US, &figures, &why), ERR_IO);
    assert_string_equal(why.text, "the disk is gone");
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_int_equal(lane_open(&rig.lane,
                               &(struct matcher){rig.store, rig.bus, &rig.rules, options.clock},
                               TEXT("lane"), NULL, &why),
                     ERR_OK);
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishing_does_not_cut_a_back_off_short),
        cmocka_unit_test(start_that_ends_with_an_error_counts_as_one_that_died),
        cmocka_unit_test(source_that_fails_is_logged_and_told_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
