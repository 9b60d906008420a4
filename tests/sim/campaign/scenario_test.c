// Every scenario with many seeds; that a seed replays byte for byte; a death at every call in turn; and
// that every wrong variant is caught. The seeds are the same in every run (scripts/soak draws new ones):
// TILL_TEST_SEED moves them elsewhere, TILL_TEST_FULL=1 runs ten times as many.
#include "campaign.h"
#include "scenarios.h"
#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS_A_SCENARIO 30u
#define WORLDS_A_VARIANT 1500u // until it is caught
#define DEATHS_IN_TURN   120u

static uint64_t first_seed(void)
{
    uint64_t seed = 1000;
    (void)text_parse_u64(text_of(getenv("TILL_TEST_SEED")), &seed);
    return seed;
}

// TILL_SIM_FEW: a thirtieth of the worlds, for builds in which each takes long.
static uint64_t times_full(uint64_t count)
{
    if (getenv("TILL_SIM_FEW") != NULL) {
        return count / 30 + 1;
    }
    return getenv("TILL_TEST_FULL") != NULL ? 10 * count : count;
}

static void fail_of(const struct campaign *campaign)
{
    print_error("%s: %s\n", campaign->first_violation.violation, campaign->first_violation.detail);
    campaign_print_replay(&campaign->first_failing);
    fail();
}

static void scenario_holds(void **state)
{
    struct campaign campaign = {
        .first_seed = first_seed(),
        .seeds = times_full(SEEDS_A_SCENARIO),
        .scenario = *state,
        .stop_at_first = true,
    };
    campaign_run(&campaign);
    campaign_print(&campaign);
    if (campaign.violations > 0) {
        fail_of(&campaign);
    }
    assert_true(campaign.published > 0);
    assert_true(campaign.checks > 0);
}

// The history as text, every line of it.
static char *trace_of(const struct world_options *options, struct world_result *out_result)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    struct world_options traced = *options;
    traced.trace = file;
    world_run(&traced, out_result);
    assert_int_equal(fclose(file), 0);
    return text;
}

static void same_seed_replays_byte_for_byte(void **state)
{
    (void)state;
    struct world_options options = {.scenario = scenario_find("everything")};
    for (options.seed = first_seed(); options.seed < first_seed() + 5; options.seed++) {
        struct world_result first;
        struct world_result second;
        char *first_trace = trace_of(&options, &first);
        char *second_trace = trace_of(&options, &second);
        assert_true(first.digest == second.digest);
        assert_true(first.steps == second.steps);
        assert_true(strlen(first_trace) > 1000);
        assert_string_equal(first_trace, second_trace);
        free(first_trace);
        free(second_trace);
    }
}

static void other_seed_is_another_history(void **state)
{
    (void)state;
    struct world_options options = {.seed = 1, .scenario = scenario_find("everything")};
    struct world_result first;
    struct world_result second;
    world_run(&options, &first);
    options.seed = 2;
    world_run(&options, &second);
    assert_true(first.digest != second.digest);
}

// Worlds in which something was found once. Changes to the simulator may make them others; then the scenarios'
// own seeds are what is left.
static void worlds_that_found_something_stay_fine(void **state)
{
    static const struct {
        const char *scenario;
        uint64_t seed;
    } worlds[] = {
        {"bucket_closing", 25669297716082}, // DEAD on one replica, its bucket done by somebody else
    };
    (void)state;
    for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++) {
        struct world_options options = {.seed = worlds[i].seed,
                                        .scenario = scenario_find(worlds[i].scenario)};
        struct world_result result;
        world_run(&options, &result);
        if (result.violation[0] != '\0') {
            print_error("%s: %s\n", result.violation, result.detail);
            campaign_print_replay(&options);
            fail();
        }
    }
}

// One process does everything; it dies in its first wait, in another run in its second, and so on.
static void death_in(const char *scenario)
{
    for (uint64_t wait = 1; wait <= times_full(DEATHS_IN_TURN); wait++) {
        struct world_options options = {.seed = first_seed(),
                                        .scenario = scenario_find(scenario),
                                        .pairs = 6,
                                        .kill_wait = wait};
        struct world_result result;
        world_run(&options, &result);
        if (result.violation[0] != '\0') {
            print_error("%s: %s\n", result.violation, result.detail);
            campaign_print_replay(&options);
            fail();
        }
    }
}

static void process_killed_at_every_call_in_turn(void **state)
{
    (void)state;
    death_in("one_process");
}

static void embedded_process_killed_at_every_call_in_turn(void **state)
{
    (void)state;
    death_in("one_process_embedded");
}

// --- wrong variants -----------------------------------------------------------------------------

// Where a variant shows that does harm only when much comes together; the others show anywhere.
static const struct {
    enum variant variant;
    const char *scenario;
} homes[] = {
    {VARIANT_CHECK_THEN_MARK, "bucket_closing"},
    {VARIANT_TIMESTAMP_WITH_NOTES, "notes_in_doubt"},
    {VARIANT_PERIODIC_COMMIT_LOG, "replica_flapping"},
};

static const struct scenario *scenario_for(enum variant variant, uint64_t world)
{
    for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++) {
        if (homes[i].variant == variant) {
            return scenario_find(homes[i].scenario);
        }
    }
    return scenario_at(world % scenario_count());
}

static bool catch_variant(enum variant variant, struct world_options *out_options,
                          struct world_result *out_result, uint64_t *out_worlds)
{
    for (*out_worlds = 1; *out_worlds <= WORLDS_A_VARIANT; (*out_worlds)++) {
        *out_options = (struct world_options){.seed = first_seed() + *out_worlds,
                                              .scenario = scenario_for(variant, *out_worlds),
                                              .variant = variant};
        world_run(out_options, out_result);
        if (out_result->violation[0] != '\0') {
            return true;
        }
    }
    return false;
}

static void every_wrong_variant_is_caught(void **state)
{
    (void)state;
    if (getenv("TILL_SIM_FEW") != NULL) {
        skip();
    }
    size_t missed = 0;
    for (size_t i = VARIANT_NONE + 1; i < VARIANT_COUNT; i++) {
        struct world_options options;
        struct world_result result;
        uint64_t worlds = 0;
        if (catch_variant((enum variant)i, &options, &result, &worlds)) {
            printf("| %s | %s | %llu | %s seed %llu | %llu |\n", variant_name((enum variant)i),
                   result.violation, (unsigned long long)result.violation_step,
                   options.scenario->name, (unsigned long long)options.seed,
                   (unsigned long long)worlds);
        } else {
            missed++;
            print_error("not caught: %s\n", variant_name((enum variant)i));
        }
    }
    assert_int_equal(missed, 0);
}

int main(void)
{
    size_t count = scenario_count();
    struct CMUnitTest *tests = calloc(count + 8, sizeof(*tests));
    if (tests == NULL) {
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        tests[i] = (struct CMUnitTest){.name = scenario_at(i)->name,
                                       .test_func = scenario_holds,
                                       .initial_state = (void *)(uintptr_t)scenario_at(i)};
    }
    const struct CMUnitTest others[] = {
        cmocka_unit_test(same_seed_replays_byte_for_byte),
        cmocka_unit_test(other_seed_is_another_history),
        cmocka_unit_test(worlds_that_found_something_stay_fine),
        cmocka_unit_test(process_killed_at_every_call_in_turn),
        cmocka_unit_test(embedded_process_killed_at_every_call_in_turn),
        cmocka_unit_test(every_wrong_variant_is_caught),
    };
    memcpy(tests + count, others, sizeof(others));
    count += sizeof(others) / sizeof(others[0]);
    const char *filter = getenv("TILL_TEST_ONLY");
    if (filter != NULL) {
        cmocka_set_test_filter(filter);
    }
    int failed = _cmocka_run_group_tests("scenarios", tests, count, NULL, NULL);
    free(tests);
    return failed;
}
