// Right and wrong use of the command line, on a table of commands of the test's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "command.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WORDS_MAX    12u
#define OPTIONS(...) ((const uint8_t[]){__VA_ARGS__, OPTION_COUNT})
#define ARENA_SIZE   65536u

static const char *const topics[] = {"orders", "payments", NULL};

static const struct command rows[] = {
    {.name = "run",
     .summary = "do it all",
     .options = OPTIONS(OPTION_data_dir, OPTION_from, OPTION_orders, OPTION_generate, OPTION_seed,
                        OPTION_rate, OPTION_late, OPTION_once, OPTION_match_grace, OPTION_output,
                        OPTION_set, OPTION_config, OPTION_quiet)},
    {.name = "produce",
     .summary = "send",
     .options = OPTIONS(OPTION_from, OPTION_quiet),
     .positional = {"orders|payments", "the topic", topics, 1, 1}},
    {.group = "dlq", .name = "list", .summary = "list", .options = OPTIONS(OPTION_limit)},
    {.group = "dlq",
     .name = "show",
     .summary = "show one",
     .options = OPTIONS(OPTION_output),
     .positional = {"ID", "which", NULL, 1, 1}},
    {.name = "report", .summary = "report", .options = OPTIONS(OPTION_output)},
};
static const struct command_table table = {rows, COUNT(rows)};

// One parse, with its memory.
struct attempt {
    struct arena arena;
    struct command_line line;
    struct why why;
    enum err code;
};

static void parse(struct attempt *attempt, const char *const *words)
{
    const char *argv[WORDS_MAX + 1] = {"till"};
    int argc = 1;
    while (words[argc - 1] != NULL) {
        assert_in_range(argc, 1, WORDS_MAX);
        argv[argc] = words[argc - 1];
        argc++;
    }
    *attempt = (struct attempt){0};
    assert_int_equal(arena_init(&attempt->arena, ARENA_SIZE), ERR_OK);
    attempt->code =
        command_parse(table, argc, argv, &attempt->arena, &attempt->line, &attempt->why);
}

#define PARSE(attempt, ...) parse((attempt), (const char *const[]){__VA_ARGS__, NULL})

static void wrong_use_is_one_exact_line(void **state)
{
    (void)state;
    static const struct {
        const char *words[WORDS_MAX];
        const char *text;
    } cases[] = {
        {{"run", "--dat-dir", "x"}, "unknown flag --dat-dir; did you mean --data-dir?"},
        {{"run", "--data", "x"}, "unknown flag --data; did you mean --data-dir?"},
        {{"run", "--dat-dir=x"}, "unknown flag --dat-dir; did you mean --data-dir?"},
        {{"run", "--zzzzzz"}, "unknown flag --zzzzzz; see till run --help"},
        {{"run", "--limit", "3"}, "unknown flag --limit; see till run --help"},
        {{"run", "-x"}, "unknown flag -x; see till run --help"},
        {{"run", "--="}, "unknown flag --; see till run --help"},
        {{"dlq", "list", "--lim", "3"}, "unknown flag --lim; did you mean --limit?"},
        {{"dlq", "show", "--zzzz"}, "unknown flag --zzzz; see till dlq show --help"},
        {{"reprot"}, "unknown command \"reprot\"; did you mean report?"},
        {{"dql"}, "unknown command \"dql\"; did you mean dlq?"},
        {{"frobnicate"}, "unknown command \"frobnicate\"; see till --help"},
        {{""}, "unknown command \"\"; see till --help"},
        {{"list"}, "unknown command \"list\"; see till --help"},
        {{"dlq", "lsit"}, "unknown command \"dlq lsit\"; did you mean dlq list?"},
        {{"dlq", "run"}, "unknown command \"dlq run\"; see till --help"},
        {{"--data-dir", "x", "run"},
         "flag --data-dir stands before the command; flags come after it"},
        {{"run", "--data-dir"}, "flag --data-dir needs a value: --data-dir DIR"},
        {{"run", "--data-dir", "--once"}, "flag --data-dir needs a value: --data-dir DIR"},
        {{"run", "--data-dir="},
         "flag --data-dir: expected a text without control characters, got nothing"},
        {{"run", "--data-dir", "a\nb"},
         "flag --data-dir: expected a text without control characters, got \"a\\x0ab\""},
        {{"run", "--seed", "1", "--seed", "1"}, "flag --seed is given twice"},
        {{"run", "--once", "--once"}, "flag --once is given twice"},
        {{"run", "--grace", "1s", "--grace=2s"}, "flag --grace is given twice"},
        {{"run", "--grace", "1s", "--set", "match.grace=2s"},
         "match.grace is set twice, by --grace and by --set"},
        {{"run", "--set", "match.grace=1s", "--set", "match.grace=1s"},
         "match.grace is set twice, by --set and by --set"},
        {{"run", "--once=maybe"}, "flag --once: expected true or false, got \"maybe\""},
        {{"run", "--rate", "abc"}, "flag --rate: expected a whole number, got \"abc\""},
        {{"run", "--rate", "-5"}, "flag --rate: expected a whole number, got \"-5\""},
        {{"run", "--rate", "1e9"}, "flag --rate: expected a whole number, got \"1e9\""},
        {{"run", "--rate", "100000001"},
         "flag --rate: expected a whole number from 0 to 100000000, got \"100000001\""},
        {{"run", "--generate", "0"},
         "flag --generate: expected a whole number from 1 to 1000000000000, got \"0\""},
        {{"run", "--seed", "9223372036854775808"},
         "flag --seed: expected a whole number, got \"9223372036854775808\""},
        {{"run", "--late", "5"}, "flag --late: expected a share from 0% to 100%, got \"5\""},
        {{"run", "--late", "x%"}, "flag --late: expected a share such as 5% or 0.05, got \"x%\""},
        {{"run", "--grace", "10x"},
         "flag --grace: expected a duration such as 90s or 15m, got \"10x\""},
        {{"run", "--grace", "31d"},
         "flag --grace: expected a duration from 0s to 30d, got \"31d\""},
        {{"run", "--output", "xml"},
         "flag --output: expected table, json, jsonl or csv, got \"xml\""},
        {{"run", "--set", "match.grace"},
         "flag --set: expected KEY=VALUE such as match.grace=15m, got \"match.grace\""},
        {{"run", "--set", "match.grase=1s"},
         "flag --set: unknown key match.grase; did you mean match.grace?"},
        {{"run", "--set", "grace=1s"}, "flag --set: unknown key grace; did you mean match.grace?"},
        {{"run", "--set", "zzzzzzzz=1"}, "flag --set: unknown key zzzzzzzz; see till config show"},
        {{"run", "--set", "lane.batch_messages=10001"},
         "flag --set lane.batch_messages: expected a whole number from 1 to 10000, got \"10001\""},
        {{"run", "extra"}, "unexpected argument \"extra\"; see till run --help"},
        {{"run", "--once", "false"}, "unexpected argument \"false\"; see till run --help"},
        {{"produce"}, "produce needs orders|payments; see till produce --help"},
        {{"produce", "order"}, "orders|payments: expected orders or payments, got \"order\""},
        {{"produce", "orders", "payments"},
         "unexpected argument \"payments\"; see till produce --help"},
        {{"dlq", "show"}, "dlq show needs ID; see till dlq show --help"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct attempt attempt;
        parse(&attempt, cases[i].words);
        assert_string_equal(attempt.why.text, cases[i].text);
        assert_int_equal(attempt.code, ERR_USAGE);
        assert_int_equal(err_exit_code(attempt.code), 2);
        arena_deinit(&attempt.arena);
    }
}

static void every_kind_of_value_is_read(void **state)
{
    (void)state;
    struct attempt attempt;
    PARSE(&attempt, "run", "--generate", "1000", "--seed=7", "--late", "2.5%", "--once",
          "--output=csv", "--config", "c.yaml", "--quiet=false");
    assert_int_equal(attempt.code, ERR_OK);
    const struct command_line *line = &attempt.line;
    assert_int_equal(line->request, LINE_RUN);
    assert_ptr_equal(line->command, &rows[0]);
    assert_int_equal(line->options.generate, 1000);
    assert_int_equal(line->options.seed, 7);
    assert_int_equal(line->options.late, 25000);
    assert_true(line->options.once);
    assert_int_equal(line->options.output, 3);
    assert_string_equal(line->options.config, "c.yaml");
    assert_false(line->options.quiet);
    assert_true(line->options.given[OPTION_seed]);
    assert_false(line->options.given[OPTION_rate]);
    arena_deinit(&attempt.arena);
}

static void flags_not_given_have_their_defaults(void **state)
{
    (void)state;
    struct attempt attempt;
    PARSE(&attempt, "run");
    assert_int_equal(attempt.code, ERR_OK);
    assert_int_equal(attempt.line.options.generate, 0);
    assert_int_equal(attempt.line.options.rate, 0);
    assert_int_equal(attempt.line.options.late, 50000);
    assert_int_equal(attempt.line.options.limit, 100);
    assert_null(attempt.line.options.config);
    assert_int_equal(attempt.line.options.from.count, 0);
    assert_int_equal(attempt.line.setting_count, 0);
    for (int id = 0; id < OPTION_COUNT; id++) {
        assert_false(attempt.line.options.given[id]);
    }
    arena_deinit(&attempt.arena);
}

static void repeatable_flags_keep_their_order_and_a_lone_dash_is_a_value(void **state)
{
    (void)state;
    struct attempt attempt;
    PARSE(&attempt, "run", "--from", "a", "--orders", "o", "--from=b", "--from", "-");
    assert_int_equal(attempt.code, ERR_OK);
    const struct string_list *from = &attempt.line.options.from;
    assert_int_equal(from->count, 3);
    assert_string_equal(from->items[0], "a");
    assert_string_equal(from->items[1], "b");
    assert_string_equal(from->items[2], "-");
    assert_int_equal(attempt.line.options.orders.count, 1);
    arena_deinit(&attempt.arena);
}

static void a_value_may_hold_equals_signs_and_begin_with_dashes_after_one(void **state)
{
    (void)state;
    struct attempt attempt;
    PARSE(&attempt, "run", "--from=--odd=name", "--set", "data_dir=a=b");
    assert_int_equal(attempt.code, ERR_OK);
    assert_string_equal(attempt.line.options.from.items[0], "--odd=name");
    assert_int_equal(attempt.line.setting_count, 1);
    assert_string_equal(attempt.line.settings[0].text, "a=b");
    arena_deinit(&attempt.arena);
}

static void two_dashes_end_the_flags(void **state)
{
    (void)state;
    struct attempt attempt;
    PARSE(&attempt, "dlq", "show", "--output", "json", "--", "--help");
    assert_int_equal(attempt.code, ERR_OK);
    assert_int_equal(attempt.line.request, LINE_RUN);
    assert_int_equal(attempt.line.argument_count, 1);
    assert_string_equal(attempt.line.arguments[0], "--help");
    arena_deinit(&attempt.arena);
}

static void an_argument_of_a_choice_is_known_by_its_index(void **state)
{
    (void)state;
    struct attempt attempt;
    PARSE(&attempt, "produce", "--from", "x", "payments");
    assert_int_equal(attempt.code, ERR_OK);
    assert_int_equal(attempt.line.choice, 1);
    assert_string_equal(attempt.line.arguments[0], "payments");
    arena_deinit(&attempt.arena);
}

static void flags_that_set_keys_become_settings(void **state)
{
    (void)state;
    struct attempt attempt;
    PARSE(&attempt, "run", "--grace", "15m", "--data-dir=d", "--set", "match.shards=4");
    assert_int_equal(attempt.code, ERR_OK);
    const struct config_setting *settings = attempt.line.settings;
    assert_int_equal(attempt.line.setting_count, 3);
    assert_int_equal(settings[0].key, CONFIG_match_grace);
    assert_string_equal(settings[0].flag, "--grace");
    assert_string_equal(settings[0].text, "15m");
    assert_int_equal(settings[1].key, CONFIG_data_dir);
    assert_string_equal(settings[1].flag, "--data-dir");
    assert_int_equal(settings[2].key, CONFIG_match_shards);
    assert_string_equal(settings[2].flag, "--set");
    arena_deinit(&attempt.arena);
}

static void requests_for_help_and_version_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *words[4];
        enum line_request request;
    } cases[] = {
        {{NULL}, LINE_NOTHING},
        {{"--help"}, LINE_HELP_OVERVIEW},
        {{"-h"}, LINE_HELP_OVERVIEW},
        {{"help"}, LINE_HELP_OVERVIEW},
        {{"--version"}, LINE_VERSION},
        {{"dlq"}, LINE_NOTHING},
        {{"dlq", "--help"}, LINE_HELP_GROUP},
        {{"help", "dlq"}, LINE_HELP_GROUP},
        {{"run", "--help"}, LINE_HELP_COMMAND},
        {{"run", "--once", "-h"}, LINE_HELP_COMMAND},
        {{"help", "dlq", "list"}, LINE_HELP_COMMAND},
        {{"produce", "--help"}, LINE_HELP_COMMAND},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct attempt attempt;
        parse(&attempt, cases[i].words);
        assert_int_equal(attempt.code, ERR_OK);
        assert_int_equal(attempt.line.request, cases[i].request);
        arena_deinit(&attempt.arena);
    }
}

static void a_group_without_command_is_remembered(void **state)
{
    (void)state;
    struct attempt attempt;
    PARSE(&attempt, "dlq");
    assert_int_equal(attempt.code, ERR_OK);
    assert_string_equal(attempt.line.group, "dlq");
    arena_deinit(&attempt.arena);
}

static void a_list_without_room_is_reported_as_memory(void **state)
{
    (void)state;
    const char *argv[] = {"till", "run", "--from", "a"};
    struct arena arena;
    struct command_line line;
    struct why why = {0};
    assert_int_equal(arena_init(&arena, ARENA_SIZE), ERR_OK);
    (void)arena_alloc(&arena, ARENA_SIZE);
    assert_int_equal(command_parse(table, 4, argv, &arena, &line, &why), ERR_NO_MEMORY);
    arena_deinit(&arena);
}

static void an_empty_argv_is_no_command(void **state)
{
    (void)state;
    struct arena arena;
    struct command_line line;
    struct why why = {0};
    assert_int_equal(arena_init(&arena, ARENA_SIZE), ERR_OK);
    assert_int_equal(command_parse(table, 0, (const char *const[]){NULL}, &arena, &line, &why),
                     ERR_OK);
    assert_int_equal(line.request, LINE_NOTHING);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_use_is_one_exact_line),
        cmocka_unit_test(every_kind_of_value_is_read),
        cmocka_unit_test(flags_not_given_have_their_defaults),
        cmocka_unit_test(repeatable_flags_keep_their_order_and_a_lone_dash_is_a_value),
        cmocka_unit_test(a_value_may_hold_equals_signs_and_begin_with_dashes_after_one),
        cmocka_unit_test(two_dashes_end_the_flags),
        cmocka_unit_test(an_argument_of_a_choice_is_known_by_its_index),
        cmocka_unit_test(flags_that_set_keys_become_settings),
        cmocka_unit_test(requests_for_help_and_version_are_told_apart),
        cmocka_unit_test(a_group_without_command_is_remembered),
        cmocka_unit_test(a_list_without_room_is_reported_as_memory),
        cmocka_unit_test(an_empty_argv_is_no_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
