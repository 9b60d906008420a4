// Expectations, and whether they came true.
#include "tables.h"

#include "explore.h"

#include <assert.h>
#include <string.h>
#include <time.h>

struct expected {
    const char *world;
    enum check check; // none: nothing is broken, in any of the small worlds
    bool ties_reversed;
    const char *reason;
};

struct wrong_variant {
    enum variant variant;
    struct expected expected;
};

struct wrong_removal {
    enum removal removal;
    struct expected expected;
};

static const struct wrong_variant variants[] = {
    {VARIANT_READ_THEN_DECIDE, {"pair", CHECK_ack_only_after_durable}},
    {VARIANT_NULLS_INCLUDED, {"pair", CHECK_both_miss_never_happens}},
    {VARIANT_LAST_WRITE_WINS, {"refund", CHECK_ack_only_after_durable}},
    {VARIANT_UNAWAITED_DEAD_LETTER, {"sweep", CHECK_bucket_loses_nobody}},
    {VARIANT_FORGETFUL_DEAD_LETTERS, {"letters", CHECK_dead_letters_are_recorded}},
    {VARIANT_WALL_CLOCK, {"pair", CHECK_both_miss_never_happens}},
    {VARIANT_EVENT_TIME, {"two-payments", CHECK_both_miss_never_happens, .ties_reversed = true}},
    {VARIANT_PROJECT_WITHOUT_ORDER, {"pair", CHECK_no_fact_without_order}},
    {VARIANT_WRITE_ONE, {"pair", CHECK_ack_only_after_durable}},
    {VARIANT_READ_ONE, {"pair", CHECK_both_miss_never_happens}},
    {VARIANT_CHECK_THEN_MARK, {"two-orphans", CHECK_bucket_loses_nobody}},
    {VARIANT_CURSOR_BY_PUBLISH_TIME, {"two-orphans", CHECK_bucket_loses_nobody}},
    {VARIANT_READ_BEFORE_WRITE, {"pair", CHECK_both_miss_never_happens}},
    {VARIANT_ACK_BEFORE_WRITE, {"pair", CHECK_ack_only_after_durable}},
    {VARIANT_PERIODIC_COMMIT_LOG, {"pair", CHECK_ack_only_after_durable}},
};

static const struct wrong_removal removals[] = {
    {REMOVE_INSERT_ORDER, {"pair", CHECK_ack_only_after_durable}},
    {REMOVE_INSERT_PAYMENT, {"pair", CHECK_ack_only_after_durable}},
    {REMOVE_READ, {"pair", CHECK_both_miss_never_happens}},
    {REMOVE_PUBLISH_CONFLICT, {"twins", CHECK_conflicts_are_reported}},
    {REMOVE_PROJECT, {"pair", CHECK_ack_only_after_durable}},
    {REMOVE_INDEX, {"pair", CHECK_ack_only_after_durable}},
    {REMOVE_ASK_CLOSED, {"two-orphans", CHECK_bucket_loses_nobody}},
    {REMOVE_REWRITE, {"two-orphans", CHECK_bucket_loses_nobody}},
    {REMOVE_ACK, {"pair", CHECK_a_consumer_ends_only_after_its_ack}},
    {REMOVE_CLOSE, {"two-orphans", CHECK_bucket_loses_nobody}},
    {REMOVE_READ_BUCKET, {"orphan-buckets", CHECK_bucket_loses_nobody}},
    {REMOVE_READ_PARKED, {"orphan-buckets", CHECK_bucket_loses_nobody}},
    {REMOVE_PUBLISH, {"orphan-buckets", CHECK_bucket_loses_nobody}},
    {REMOVE_DEAD, {"orphan-buckets", CHECK_bucket_loses_nobody}},
    {REMOVE_FINISH, {"orphan-buckets", CHECK_a_swept_bucket_is_done}},
    {REMOVE_RECORD, {"letters", CHECK_dead_letters_are_recorded}},
    {REMOVE_PARKED,
     {NULL, CHECK_none, .reason = "harmless: nothing is derived from it; it tells people when"}},
    {REMOVE_PROJECT_PARKED,
     {NULL, CHECK_none, .reason = "harmless: who came second of order and payment projects both"}},
    {REMOVE_READ_DEAD,
     {NULL, CHECK_none, .reason = "harmless: the order's own consumer reads the partition anyway"}},
    {REMOVE_PROJECT_DEAD,
     {NULL, CHECK_none, .reason = "harmless: the order's own consumer projects both anyway"}},
    {REMOVE_READ_LETTER,
     {"letters", CHECK_none, .reason = "harmless: the record waits, and is looked at again"}},
    {REMOVE_PROJECT_LETTER,
     {"letters", CHECK_none, .reason = "harmless: the order's own consumer projects both anyway"}},
};

// Worlds that are complete in a moment.
static const char *const small_worlds[] = {"pair",     "sweep",        "orphan-buckets",
                                           "versions", "two-payments", "twins",
                                           "batch",    "orphan",       "two-orphans"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static double seconds_since(clock_t start)
{
    return (double)(clock() - start) / CLOCKS_PER_SEC;
}

static struct explored explore_named(const char *name, const struct way *way)
{
    const struct world *world = world_find(name);
    assert(world != NULL);
    return explore(world, way, 0, NULL);
}

// --- worlds ----------------------------------------------------------------------------------------

static bool print_world(const struct world *world, const struct way *way, bool full)
{
    clock_t start = clock();
    struct explored found = explore(world, way, full ? 0 : world->states_max, NULL);
    printf("%-18s %-6s %-6s %-9s %11llu states %12llu steps  depth %2u  %5.1f s\n", world->name,
           reads_name(way->reads), way->strict ? "strict" : "",
           found.complete ? "complete" : "bounded", (unsigned long long)found.states,
           (unsigned long long)found.transitions, found.depth, seconds_since(start));
    if (found.violated != CHECK_none) {
        printf("BROKEN: %s, after %u steps:\n", check_name(found.violated), found.depth);
        (void)explore(world, way, 0, stdout);
    }
    fflush(stdout);
    return found.violated == CHECK_none;
}

size_t table_of_worlds(bool full)
{
    static const struct way ways[] = {
        {.reads = READS_REPAIR},
        {.reads = READS_REPAIR, .ties_reversed = true},
        {.reads = READS_AGREE, .strict = true},
    };
    size_t failed = 0;
    printf("\nWorlds. The protocol as it is keeps every check.\n");
    for (size_t i = 0; world_at(i) != NULL; i++) {
        for (size_t k = 0; k < COUNT(ways); k++) {
            failed += !print_world(world_at(i), &ways[k], full);
        }
    }
    return failed;
}

// --- what is wrong ---------------------------------------------------------------------------------

// Not broken in any small world, and in the one that is named.
static bool is_harmless(struct way way, const struct expected *expected)
{
    bool harmless = true;
    for (size_t i = 0; i < COUNT(small_worlds); i++) {
        for (int reversed = 0; reversed < 2; reversed++) {
            way.ties_reversed = reversed != 0;
            harmless = harmless && explore_named(small_worlds[i], &way).complete;
        }
    }
    return harmless && (expected->world == NULL || explore_named(expected->world, &way).complete);
}

static bool print_wrong(const char *name, struct way way, const struct expected *expected)
{
    bool good = false;
    if (expected->check == CHECK_none) {
        good = is_harmless(way, expected);
        printf("%-24s %s\n", name, good ? expected->reason : "BROKEN, and should not be");
    } else {
        way.ties_reversed = expected->ties_reversed;
        way.only = expected->check == CHECK_converges ? CHECK_converges : CHECK_none;
        struct explored found = explore_named(expected->world, &way);
        good = found.violated == expected->check;
        printf("%-24s %-16s %-36s %3u steps %9llu states%s\n", name, expected->world,
               check_name(found.violated), found.depth, (unsigned long long)found.states,
               good ? "" : "  NOT AS EXPECTED");
    }
    fflush(stdout);
    return good;
}

size_t table_of_variants(void)
{
    size_t failed = 0;
    printf("\nWrong variants. Each breaks the check that is named.\n");
    for (size_t i = 0; i < COUNT(variants); i++) {
        struct way way = {.variant = variants[i].variant};
        failed += !print_wrong(variant_name(way.variant), way, &variants[i].expected);
    }
    return failed;
}

size_t table_of_removals(void)
{
    size_t failed = 0;
    printf("\nCalls left out. Each breaks the check that is named, or is harmless for a reason.\n");
    for (size_t i = 0; i < COUNT(removals); i++) {
        struct way way = {.removal = removals[i].removal};
        failed += !print_wrong(removal_name(way.removal), way, &removals[i].expected);
    }
    static_assert(COUNT(removals) == REMOVAL_COUNT - 1, "every call has its row");
    return failed;
}

// --- limits ----------------------------------------------------------------------------------------

size_t table_of_limits(bool full)
{
    static const struct {
        const char *name;
        struct way way;
        struct expected expected;
    } limits[] = {
        {"facts at every instant",
         {.reads = READS_REPAIR, .strict = true},
         {"two-payments", CHECK_a_matched_payment_never_becomes_unmatched}},
        {"reads without repair",
         {.reads = READS_PLAIN},
         {"orphan", CHECK_none,
          .reason = "harmless: a sweeper notes DEAD again where it finds the note"}},
        {"rows taken out of a set",
         {.takes_rows_out = true},
         {"repeated-order", CHECK_converges, .ties_reversed = true}},
        {"notes in the timestamp",
         {.variant = VARIANT_TIMESTAMP_WITH_NOTES},
         {"twins-sweep", CHECK_converges}},
    };
    size_t failed = 0;
    printf("\nLimits. What the protocol needs, or does not promise, is found; what it does not "
           "need is harmless.\n");
    size_t count = full ? COUNT(limits) : COUNT(limits) - 1; // the last one takes a minute
    for (size_t i = 0; i < count; i++) {
        failed += !print_wrong(limits[i].name, limits[i].way, &limits[i].expected);
    }
    return failed;
}

// --- reductions ------------------------------------------------------------------------------------

size_t table_of_reductions(bool full)
{
    static const char *const names[] = {"pair", "pair-twice", "orphan-buckets", "sweep"};
    size_t failed = 0;
    printf("\nReductions. With every pattern of copies told apart, and without.\n");
    for (size_t i = 0; i < (full ? COUNT(names) : 2); i++) {
        struct way all_told = {.all_told = true};
        struct way reduced = {.all_told = false};
        struct explored whole = explore_named(names[i], &all_told);
        struct explored merged = explore_named(names[i], &reduced);
        bool same = whole.complete && merged.complete && whole.merged == merged.states;
        printf("%-18s %9llu states, which are %9llu;  reduced %9llu%s\n", names[i],
               (unsigned long long)whole.states, (unsigned long long)whole.merged,
               (unsigned long long)merged.states, same ? "" : "  NOT THE SAME");
        failed += !same;
    }
    return failed;
}
