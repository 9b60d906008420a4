// Running worlds, adding them up, shrinking the bad ones.
#include "campaign.h"

#include "clock.h"
#include "scenarios.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t cpu_us(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time); // exists on every Linux
    return time.tv_sec * US_PER_SECOND + time.tv_nsec / 1000;
}

static void add_up(struct campaign *campaign, const struct world_options *options,
                   const struct world_result *result)
{
    campaign->runs++;
    campaign->messages += result->messages;
    campaign->published += result->published;
    campaign->faults += result->faults;
    campaign->kills += result->kills;
    campaign->steps += result->steps;
    campaign->checks += result->checks;
    campaign->simulated_us += result->simulated_us;
    if (result->violation[0] != '\0' && campaign->violations++ == 0) {
        campaign->first_failing = *options;
        campaign->first_violation = *result;
    }
}

static void tell_failure(const struct campaign *campaign, const struct world_options *options,
                         const struct world_result *result)
{
    if (campaign->failures_path == NULL) {
        return;
    }
    struct world_options small = *options;
    campaign_shrink(&small, result->violation);
    FILE *file = fopen(campaign->failures_path, "a");
    if (file == NULL) {
        perror(campaign->failures_path);
        return;
    }
    fprintf(file, "%s seed %" PRIu64 ": %s: %s; smaller: --pairs %zu --without %#x\n",
            options->scenario->name, options->seed, result->violation, result->detail, small.pairs,
            small.disarm);
    (void)fclose(file);
}

void campaign_run(struct campaign *campaign)
{
    struct clock clock = clock_real();
    int64_t start_ns = clock_mono_ns(&clock);
    int64_t start_cpu_us = cpu_us();
    uint64_t step = campaign->step > 0 ? campaign->step : 1;
    for (uint64_t i = 0; campaign->seeds == 0 || i < campaign->seeds; i++) {
        struct world_options options = {
            .seed = campaign->first_seed + i * step,
            .scenario = campaign->scenario != NULL
                            ? campaign->scenario
                            : scenario_at((campaign->first_seed + i * step) % scenario_count()),
            .variant = campaign->variant,
        };
        struct world_result result;
        world_run(&options, &result);
        add_up(campaign, &options, &result);
        campaign->wall_us = (clock_mono_ns(&clock) - start_ns) / 1000;
        campaign->cpu_us = cpu_us() - start_cpu_us;
        if (result.violation[0] != '\0') {
            tell_failure(campaign, &options, &result);
        }
        if (campaign->report_every_us > 0 &&
            campaign->wall_us - campaign->reported_us >= campaign->report_every_us) {
            campaign->reported_us = campaign->wall_us;
            campaign_print(campaign);
            (void)fflush(stdout);
        }
        bool enough = campaign->wall_us_max > 0 && campaign->wall_us >= campaign->wall_us_max;
        if (enough || (campaign->stop_at_first && campaign->violations > 0)) {
            return;
        }
    }
}

void campaign_print(const struct campaign *campaign)
{
    uint64_t cpu_ms = (uint64_t)(campaign->cpu_us > 1000 ? campaign->cpu_us / 1000 : 1);
    printf("%" PRIu64 " worlds, %" PRIu64 " violations; %" PRIu64 " messages published, %" PRIu64
           " delivered, %" PRIu64 " faults (%" PRIu64 " deaths), %" PRIu64 " checks\n",
           campaign->runs, campaign->violations, campaign->published, campaign->messages,
           campaign->faults, campaign->kills, campaign->checks);
    printf("%" PRId64 ".%" PRId64 " simulated hours in %" PRIu64 ".%03" PRIu64
           " s CPU; a second: %" PRIu64 " messages, %" PRIu64 " faults, %" PRIu64 " steps\n",
           campaign->simulated_us / (3600 * US_PER_SECOND),
           campaign->simulated_us / (360 * US_PER_SECOND) % 10, cpu_ms / 1000, cpu_ms % 1000,
           campaign->messages * 1000 / cpu_ms, campaign->faults * 1000 / cpu_ms,
           campaign->steps * 1000 / cpu_ms);
}

// --- shrinking ----------------------------------------------------------------------------------

static bool still_fails(const struct world_options *options, const char *violation)
{
    struct world_result result;
    world_run(options, &result);
    return strcmp(result.violation, violation) == 0;
}

void campaign_shrink(struct world_options *options, const char *violation)
{
    for (unsigned i = 0; i < WORLD_DISARM_COUNT; i++) {
        struct world_options less = *options;
        less.disarm |= 1u << i;
        if (still_fails(&less, violation)) {
            *options = less;
        }
    }
    for (size_t pairs = 200; pairs > 0; pairs = pairs * 2 / 3) {
        struct world_options less = *options;
        less.pairs = pairs;
        if (still_fails(&less, violation)) {
            *options = less;
        }
    }
}

void campaign_print_replay(const struct world_options *options)
{
    printf("again: till_sim run %s --seed %" PRIu64, options->scenario->name, options->seed);
    if (options->variant != VARIANT_NONE) {
        printf(" --variant %s", variant_name(options->variant));
    }
    if (options->pairs > 0) {
        printf(" --pairs %zu", options->pairs);
    }
    if (options->disarm > 0) {
        printf(" --without %#x", options->disarm);
    }
    if (options->kill_wait > 0) {
        printf(" --kill-wait %" PRIu64, options->kill_wait);
    }
    printf("\n");
}
