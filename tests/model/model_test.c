// Explores every world of the matching protocol, and shows that each wrong way breaks a check.
//
//   model_test                   all tables, large worlds up to a bound of states
//   model_test --full            the same without bounds (minutes, gigabytes)
//   model_test --world NAME ...  one world, with the schedule of what is broken; options:
//     --variant V  --remove R  --reads REPAIR|PLAIN|AGREE  --strict  --reversed  --rows-out
//     --all-told  --only CHECK  --crashes N  --max STATES
#include "explore.h"
#include "tables.h"
#include "text.h"

#include <string.h>

struct options {
    bool full;
    const struct world *named;
    struct way way;
    uint64_t crashes; // above CRASHES_MAX: as the world says
    uint64_t states_max;
};

#define CRASHES_MAX 3u

static bool take_flag(struct options *options, const char *name)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {
        {"--full", &options->full},
        {"--strict", &options->way.strict},
        {"--all-told", &options->way.all_told},
        {"--reversed", &options->way.ties_reversed},
        {"--rows-out", &options->way.takes_rows_out},
    };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (strcmp(name, flags[i].name) == 0) {
            *flags[i].flag = true;
            return true;
        }
    }
    return false;
}

static bool take_value(struct options *options, const char *name, const char *value)
{
    if (value == NULL) {
        return false;
    }
    if (strcmp(name, "--world") == 0) {
        options->named = world_find(value);
        return options->named != NULL;
    }
    if (strcmp(name, "--variant") == 0) {
        return variant_find(value, &options->way.variant);
    }
    if (strcmp(name, "--remove") == 0) {
        return removal_find(value, &options->way.removal);
    }
    if (strcmp(name, "--reads") == 0) {
        return reads_find(value, &options->way.reads);
    }
    if (strcmp(name, "--only") == 0) {
        enum check check = CHECK_none;
        bool found = check_find(value, &check);
        options->way.only = check;
        return found;
    }
    if (strcmp(name, "--crashes") == 0) {
        return text_parse_u64(text_of(value), &options->crashes) && options->crashes <= CRASHES_MAX;
    }
    return strcmp(name, "--max") == 0 && text_parse_u64(text_of(value), &options->states_max);
}

static bool parse(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        if (take_flag(options, argv[i])) {
            continue;
        }
        if (!take_value(options, argv[i], i + 1 < argc ? argv[i + 1] : NULL)) {
            fprintf(stderr, "model_test: %s: not known, or without its value\n", argv[i]);
            return false;
        }
        i++;
    }
    return true;
}

static int explore_one(const struct options *options)
{
    struct world world = *options->named;
    if (options->crashes <= CRASHES_MAX) {
        world.crashes = (uint8_t)options->crashes;
    }
    struct explored found = explore(&world, &options->way, options->states_max, stdout);
    printf("%s: %s, %llu states, %llu steps, depth %u, %zu local states from %zu runs\n",
           world.name,
           found.violated != CHECK_none ? check_name(found.violated)
           : found.complete             ? "complete"
                                        : "bounded",
           (unsigned long long)found.states, (unsigned long long)found.transitions, found.depth,
           found.locals, found.replays);
    return found.violated == CHECK_none ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options options = {.crashes = UINT64_MAX};
    if (!parse(argc, argv, &options)) {
        return 2;
    }
    if (options.named != NULL) {
        return explore_one(&options);
    }
    size_t failed = table_of_variants();
    failed += table_of_removals();
    failed += table_of_limits(options.full);
    failed += table_of_reductions(options.full);
    failed += table_of_worlds(options.full);
    printf("\n%zu of the rows above did not come out as expected\n", failed);
    return failed == 0 ? 0 : 1;
}
