// Settings files: what is refused, with the exact place and words, and what is read. Every case is a
// document in memory, read under the name "till.yaml".
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "config_internal.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ARENA_SIZE   65536u

// One reading, with its memory.
struct reading {
    struct arena arena;
    struct config config;
    struct config_problems problems;
};

static void read_document(struct reading *reading, struct text document)
{
    *reading = (struct reading){0};
    assert_int_equal(arena_init(&reading->arena, ARENA_SIZE), ERR_OK);
    reading->problems.arena = &reading->arena;
    config_set_defaults(&reading->config);
    config_yaml_read("till.yaml", document, &reading->config, &reading->problems);
}

static void each_mistake_is_one_exact_line(void **state)
{
    (void)state;
    static const struct {
        const char *document;
        const char *problem;
    } cases[] = {
        // Values.
        {"match:\n\n    grace: 10x\n",
         "till.yaml:3:12: match.grace: expected a duration such as 90s or 15m, got \"10x\""},
        {"match:\n  grace: -5s\n",
         "till.yaml:2:10: match.grace: expected a duration such as 90s or 15m, got \"-5s\""},
        {"match:\n  grace: 1e99\n",
         "till.yaml:2:10: match.grace: expected a duration such as 90s or 15m, got \"1e99\""},
        {"match:\n  grace: 31d\n",
         "till.yaml:2:10: match.grace: expected a duration from 0s to 30d, got \"31d\""},
        {"match:\n  grace:\n",
         "till.yaml:2:9: match.grace: expected a duration such as 90s or 15m, got nothing"},
        {"match:\n  grace: \"\"\n",
         "till.yaml:2:10: match.grace: expected a duration such as 90s or 15m, got nothing"},
        {"match:\n  grace: ~\n",
         "till.yaml:2:10: match.grace: expected a duration such as 90s or 15m, got nothing"},
        {"match:\n  grace: null\n",
         "till.yaml:2:10: match.grace: expected a duration such as 90s or 15m, got nothing"},
        {"match:\n  bucket: 0s\n",
         "till.yaml:2:11: match.bucket: expected a duration from 1s to 1h, got \"0s\""},
        {"match:\n  grace: [1s]\n",
         "till.yaml:2:10: match.grace: expected a duration such as 90s or 15m, got a list"},
        {"match:\n  grace: {a: 1}\n",
         "till.yaml:2:10: match.grace: expected a duration such as 90s "
         "or 15m, got keys below it"},
        {"broker:\n  lease: 9s\n",
         "till.yaml:2:10: broker.lease: expected a duration from 10s to 1h, got \"9s\""},
        {"broker:\n  backlog_max: -1\n", "till.yaml:2:16: broker.backlog_max: expected a whole "
                                         "number, got \"-1\""},
        {"lane:\n  batch_messages: 0\n", "till.yaml:2:19: lane.batch_messages: expected a whole "
                                         "number from 1 to 10000, got \"0\""},
        {"lane:\n  batch_messages: 10001\n",
         "till.yaml:2:19: lane.batch_messages: expected a whole "
         "number from 1 to 10000, got \"10001\""},
        {"lane:\n  batch_messages: 1e3\n",
         "till.yaml:2:19: lane.batch_messages: expected a whole number, got \"1e3\""},
        {"lane:\n  batch_bytes: 4MB\n", "till.yaml:2:16: lane.batch_bytes: expected a size such as "
                                        "512KiB or 4MiB, got \"4MB\""},
        {"lane:\n  batch_bytes: 1KiB\n", "till.yaml:2:16: lane.batch_bytes: expected a size from "
                                         "256KiB to 16MiB, got \"1KiB\""},
        {"store:\n  customer_index: yes\n",
         "till.yaml:2:19: store.customer_index: expected true or "
         "false, got \"yes\""},
        {"log:\n  level: warning\n", "till.yaml:2:10: log.level: expected debug, info, warn or "
                                     "error, got \"warning\""},
        {"match:\n  default_currency: usd\n", "till.yaml:2:21: match.default_currency: expected an "
                                              "ISO 4217 code such as USD, got \"usd\""},
        {"data_dir: \"a\\0b\"\n", "till.yaml:1:11: data_dir: expected a text without control "
                                  "characters, got \"a\\x00b\""},
        {"data_dir: |\n  two\n  lines\n",
         "till.yaml:1:11: data_dir: expected a text without control "
         "characters, got \"two\\x0alines\\x0a\""},
        // Keys.
        {"match:\n  grase: 1s\n",
         "till.yaml:2:3: unknown key match.grase; did you mean match.grace?"},
        {"mach:\n  grace: 1s\n", "till.yaml:1:1: unknown key mach"},
        {"grace: 1s\n", "till.yaml:1:1: unknown key grace; did you mean match.grace?"},
        {"run:\n  grace: 1s\n", "till.yaml:2:3: unknown key run.grace; did you mean match.grace?"},
        {"datadir: x\n", "till.yaml:1:1: unknown key datadir; did you mean data_dir?"},
        {"match.grace: 1s\n",
         "till.yaml:1:1: unknown key \"match.grace\"; write \"grace\" in a line "
         "of its own below \"match:\""},
        {"zzzzzz: 1\n", "till.yaml:1:1: unknown key zzzzzz"},
        {"match:\n  deep:\n    deeper: [1, {a: 2}]\n", "till.yaml:2:3: unknown key match.deep"},
        {"\"a\\nb\": 1\n", "till.yaml:1:1: unknown key a\\x0ab"},
        {"match: 5\n", "till.yaml:1:8: match: expected keys below it, got \"5\""},
        {"match: [5]\n", "till.yaml:1:8: match: expected keys below it, got a list"},
        {"match:\n  grace: 1s\n  grace: 2s\n",
         "till.yaml:3:3: match.grace is given twice; it stands in line 2 already"},
        {"match:\n  grace: 1s\nlog:\n  level: info\nmatch:\n  bucket: 1s\n",
         "till.yaml:5:1: match is given twice; it stands in line 1 already"},
        {"? [a]\n: 1\n", "till.yaml:1:3: expected the name of a key"},
        // What YAML can do and settings do not need.
        {"match: &m\n  grace: 1s\n", "till.yaml:1:8: anchors (&name) are not supported"},
        {"match:\n  grace: &g 1s\n", "till.yaml:2:10: anchors (&name) are not supported"},
        {"match:\n  grace: !!str 1s\n", "till.yaml:2:10: tags (!name) are not supported"},
        {"data_dir: x\n---\ndata_dir: y\n",
         "till.yaml:2:1: a second document; settings are one document"},
        {"- a\n- b\n", "till.yaml:1:1: expected sections such as \"match:\""},
        {"just words\n", "till.yaml:1:1: expected sections such as \"match:\""},
        // Broken files.
        {"match:\n\tgrace: 1s\n",
         "till.yaml:2:1: found character that cannot start any token while "
         "scanning for the next token"},
        {"match: {grace: 1s\n",
         "till.yaml:2:1: did not find expected ',' or '}' while parsing a flow "
         "mapping"},
        {"match:\n  grace: \"1s\n",
         "till.yaml:3:1: found unexpected end of stream while scanning a "
         "quoted scalar"},
        {"log:\n  level: \xff\n", "till.yaml:2:10: bytes that are not UTF-8"},
        {"log: {level: \xc3\xa4 \xed\xa0\x80}\n", "till.yaml:1:16: bytes that are not UTF-8"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reading reading;
        read_document(&reading, text_of(cases[i].document));
        assert_true(reading.problems.count > 0);
        assert_string_equal(reading.problems.lines[0], cases[i].problem);
        assert_int_equal(reading.problems.count, 1);
        arena_deinit(&reading.arena);
    }
}

static void a_zero_byte_is_refused_with_its_place(void **state)
{
    (void)state;
    struct reading reading;
    read_document(&reading, TEXT("log:\n  level: in\0fo\n"));
    assert_int_equal(reading.problems.count, 1);
    assert_string_equal(reading.problems.lines[0], "till.yaml:2:12: a zero byte");
    arena_deinit(&reading.arena);
}

static void an_alias_is_refused_and_has_no_value(void **state)
{
    (void)state;
    struct reading reading;
    read_document(&reading, TEXT("match:\n  grace: &g 90s\n  max_hold: *g\n"));
    assert_int_equal(reading.problems.count, 3);
    assert_string_equal(reading.problems.lines[0],
                        "till.yaml:2:10: anchors (&name) are not supported");
    assert_string_equal(reading.problems.lines[1],
                        "till.yaml:3:13: aliases (*name) are not supported");
    assert_string_equal(reading.problems.lines[2],
                        "till.yaml:3:13: match.max_hold: expected a duration such as 90s or 15m, "
                        "got an alias");
    arena_deinit(&reading.arena);
}

static void all_mistakes_of_a_file_are_told_in_their_order(void **state)
{
    (void)state;
    struct reading reading;
    read_document(&reading, TEXT("match:\n"
                                 "  grase: 1s\n"
                                 "  bucket: 10x\n"
                                 "unknown:\n"
                                 "  - {a: [b]}\n"
                                 "lane:\n"
                                 "  batch_messages: 5\n"
                                 "  batch_bytes:\n"));
    static const char *const problems[] = {
        "till.yaml:2:3: unknown key match.grase; did you mean match.grace?",
        "till.yaml:3:11: match.bucket: expected a duration such as 90s or 15m, got \"10x\"",
        "till.yaml:4:1: unknown key unknown",
        "till.yaml:8:15: lane.batch_bytes: expected a size such as 512KiB or 4MiB, got nothing",
    };
    assert_int_equal(reading.problems.count, COUNT(problems));
    for (size_t i = 0; i < COUNT(problems); i++) {
        assert_string_equal(reading.problems.lines[i], problems[i]);
    }
    assert_int_equal(reading.config.lane_batch_messages, 5);
    arena_deinit(&reading.arena);
}

static void every_kind_of_key_is_read_with_its_place(void **state)
{
    (void)state;
    struct reading reading;
    read_document(&reading, TEXT("# a comment\n"
                                 "data_dir: '/var/lib/till data'\n"
                                 "match: {grace: 0s, default_currency: \"EUR\"}\n"
                                 "log:\n"
                                 "  level: warn\n"
                                 "lane:\n"
                                 "  batch_bytes: 2MiB\n"
                                 "store: # keys may all be commented out\n"
                                 "broker:\n"
                                 "  backlog_max: 5\n"
                                 "  lease: 10s\n"));
    const struct config *config = &reading.config;
    assert_int_equal(reading.problems.count, 0);
    assert_string_equal(config->data_dir, "/var/lib/till data");
    assert_int_equal(config->match_grace, 0);
    assert_true(text_equal(currency_code(config->match_default_currency), TEXT("EUR")));
    assert_int_equal(config->log_level, 2);
    assert_int_equal(config->lane_batch_bytes, 2 * MIB);
    assert_int_equal(config->broker_backlog_max, 5);
    assert_int_equal(config->broker_lease, 10 * SEC);
    assert_int_equal(config->match_bucket, 10 * SEC);
    const struct config_origin *origin = &config->origins[CONFIG_match_default_currency];
    assert_int_equal(origin->kind, ORIGIN_FILE);
    assert_int_equal(origin->line, 3);
    assert_int_equal(origin->column, 38);
    assert_int_equal(config->origins[CONFIG_match_bucket].kind, ORIGIN_DEFAULT);
    arena_deinit(&reading.arena);
}

static void a_file_without_settings_changes_nothing(void **state)
{
    (void)state;
    static const struct text documents[] = {
        TEXT(""),      TEXT("# nothing\n"),
        TEXT("---\n"), TEXT("\xef\xbb\xbf# with a byte order mark\n"),
        TEXT("{}\n"),  TEXT("match:\n")};
    for (size_t i = 0; i < COUNT(documents); i++) {
        struct reading reading;
        read_document(&reading, documents[i]);
        if (reading.problems.count > 0) {
            fail_msg("document %zu: %s", i, reading.problems.lines[0]);
        }
        for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
            assert_int_equal(reading.config.origins[key].kind, ORIGIN_DEFAULT);
        }
        arena_deinit(&reading.arena);
    }
}

static void problems_beyond_the_limit_are_counted_not_kept(void **state)
{
    (void)state;
    for (size_t extra = 0; extra < 3; extra++) {
        size_t count = CONFIG_PROBLEMS_KEPT_MAX - 1 + extra;
        struct buf document;
        struct reading reading;
        buf_init_heap(&document, 65536);
        for (size_t i = 0; i < count; i++) {
            buf_add_fmt(&document, "unknown%zu: 1\n", i);
        }
        read_document(&reading, buf_view(&document));
        assert_int_equal(reading.problems.count, count);
        assert_int_equal(reading.problems.kept,
                         count < CONFIG_PROBLEMS_KEPT_MAX ? count : CONFIG_PROBLEMS_KEPT_MAX);
        arena_deinit(&reading.arena);
        buf_deinit(&document);
    }
}

static void deep_nesting_ends_in_a_complaint(void **state)
{
    (void)state;
    char document[4000];
    struct reading reading;
    memset(document, '[', sizeof document);
    read_document(&reading, (struct text){document, sizeof document});
    assert_true(reading.problems.count >= 1);
    arena_deinit(&reading.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_one_exact_line),
        cmocka_unit_test(a_zero_byte_is_refused_with_its_place),
        cmocka_unit_test(an_alias_is_refused_and_has_no_value),
        cmocka_unit_test(all_mistakes_of_a_file_are_told_in_their_order),
        cmocka_unit_test(every_kind_of_key_is_read_with_its_place),
        cmocka_unit_test(a_file_without_settings_changes_nothing),
        cmocka_unit_test(problems_beyond_the_limit_are_counted_not_kept),
        cmocka_unit_test(deep_nesting_ends_in_a_complaint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
