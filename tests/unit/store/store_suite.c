// Runs the claims; they are in store_suite_*.c, by what they speak of.
#include "store_suite.h"

#include "store_bench.h"
#include "store_suite_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <stdlib.h>

static const struct store_factory *running; // cmocka's setup takes no argument of ours

int store_suite_setup(void **state)
{
    struct store_bench *bench = calloc(1, sizeof(*bench));
    assert_non_null(bench);
    bench_open(bench, running);
    *state = bench;
    return 0;
}

int store_suite_teardown(void **state)
{
    bench_close(*state);
    free(*state);
    return 0;
}

int store_suite_run(const struct store_factory *factory)
{
    running = factory;
    print_message("store: %s\n", factory->name);
    return store_suite_run_events() + store_suite_run_facts() + store_suite_run_waiting() +
           store_suite_run_ledger() + store_suite_run_letters();
}
