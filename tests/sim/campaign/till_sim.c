// The simulator by hand: one world, many worlds, a soak, or the wrong variants.
#include "campaign.h"
#include "scenarios.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: till_sim list\n"
    "       till_sim run SCENARIO --seed N [--variant V] [--pairs N] [--without BITS]\n"
    "                [--kill-wait N] [--trace]\n"
    "       till_sim seeds [SCENARIO] [--seed FIRST] [--step N] [--count N] [--seconds S]\n"
    "                [--variant V] [--failures FILE] [--report S] [--first]\n"
    "       till_sim shrink SCENARIO --seed N [--variant V]\n";

struct arguments {
    const char *command;
    struct world_options world;
    uint64_t count;
    uint64_t step;
    int64_t seconds;
    int64_t report;
    const char *failures;
    bool first;
};

static int fail_usage(const char *what)
{
    fprintf(stderr, "till_sim: %s\n%s", what, usage);
    return 2;
}

static bool read_option(struct arguments *arguments, int option)
{
    uint64_t number = optarg != NULL ? strtoull(optarg, NULL, 0) : 0;
    switch (option) {
    case 's':
        arguments->world.seed = number;
        return true;
    case 'v':
        return variant_find(optarg, &arguments->world.variant);
    case 'p':
        arguments->world.pairs = (size_t)number;
        return true;
    case 'w':
        arguments->world.disarm = (uint32_t)number;
        return true;
    case 'k':
        arguments->world.kill_wait = number;
        return true;
    case 't':
        arguments->world.trace = stdout;
        return true;
    case 'c':
        arguments->count = number;
        return true;
    case 'e':
        arguments->step = number;
        return true;
    case 'S':
        arguments->seconds = (int64_t)number;
        return true;
    case 'r':
        arguments->report = (int64_t)number;
        return true;
    case 'f':
        arguments->failures = optarg;
        return true;
    case '1':
        arguments->first = true;
        return true;
    default:
        return false;
    }
}

static int list(void)
{
    for (size_t i = 0; i < scenario_count(); i++) {
        printf("%-18s %s\n", scenario_at(i)->name, scenario_at(i)->text);
    }
    for (size_t i = 0; i < VARIANT_COUNT; i++) {
        printf("%-24s %s\n", variant_name((enum variant)i), variant_text((enum variant)i));
    }
    for (size_t i = 0; i < WORLD_DISARM_COUNT; i++) {
        printf("--without %#-8x %s\n", 1u << i, world_disarm_name((enum world_disarm)i));
    }
    return 0;
}

static int run_one(const struct arguments *arguments)
{
    struct world_result result;
    world_run(&arguments->world, &result);
    printf("%s seed %" PRIu64 ": %s%s%s\n", arguments->world.scenario->name, arguments->world.seed,
           result.violation[0] != '\0' ? result.violation : "fine",
           result.violation[0] != '\0' ? ": " : "", result.detail);
    printf("digest %016" PRIx64 ", %" PRIu64 " steps, %" PRIu64 " published, %" PRIu64
           " delivered, %" PRIu64 " faults, %" PRIu64 " waits, %" PRId64 " simulated s\n",
           result.digest, result.steps, result.published, result.messages, result.faults,
           result.waits, result.simulated_us / 1000000);
    return result.violation[0] != '\0';
}

static int run_seeds(const struct arguments *arguments)
{
    struct campaign campaign = {
        .first_seed = arguments->world.seed,
        .step = arguments->step,
        .seeds = arguments->count,
        .wall_us_max = arguments->seconds * 1000000,
        .scenario = arguments->world.scenario,
        .variant = arguments->world.variant,
        .stop_at_first = arguments->first,
        .failures_path = arguments->failures,
        .report_every_us = arguments->report * 1000000,
    };
    campaign_run(&campaign);
    campaign_print(&campaign);
    if (campaign.violations > 0) {
        printf("first violation: %s: %s\n", campaign.first_violation.violation,
               campaign.first_violation.detail);
        campaign_print_replay(&campaign.first_failing);
    }
    return campaign.violations > 0;
}

static int shrink(struct arguments *arguments)
{
    struct world_result result;
    world_run(&arguments->world, &result);
    if (result.violation[0] == '\0') {
        printf("nothing is wrong in this world\n");
        return 0;
    }
    campaign_shrink(&arguments->world, result.violation);
    campaign_print_replay(&arguments->world);
    return 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"variant", required_argument, NULL, 'v'},
                                            {"pairs", required_argument, NULL, 'p'},
                                            {"without", required_argument, NULL, 'w'},
                                            {"kill-wait", required_argument, NULL, 'k'},
                                            {"trace", no_argument, NULL, 't'},
                                            {"count", required_argument, NULL, 'c'},
                                            {"step", required_argument, NULL, 'e'},
                                            {"seconds", required_argument, NULL, 'S'},
                                            {"failures", required_argument, NULL, 'f'},
                                            {"report", required_argument, NULL, 'r'},
                                            {"first", no_argument, NULL, '1'},
                                            {0}};
    struct arguments arguments = {0};
    int option = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (!read_option(&arguments, option)) {
            return fail_usage("what is meant?");
        }
    }
    const char *command = optind < argc ? argv[optind] : "";
    const char *name = optind + 1 < argc ? argv[optind + 1] : NULL;
    arguments.world.scenario = name != NULL ? scenario_find(name) : NULL;
    if (name != NULL && arguments.world.scenario == NULL) {
        return fail_usage("no such scenario; `till_sim list` names them");
    }
    if (strcmp(command, "list") == 0) {
        return list();
    }
    if (strcmp(command, "seeds") == 0) {
        return run_seeds(&arguments);
    }
    if (name != NULL && strcmp(command, "run") == 0) {
        return run_one(&arguments);
    }
    if (name != NULL && strcmp(command, "shrink") == 0) {
        return shrink(&arguments);
    }
    return fail_usage("which command?");
}
