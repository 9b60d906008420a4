// Where values come from: precedence, environment, flags, rules between values, files that cannot be
// read. Works in a directory of its own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "config.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ARENA_SIZE   ((size_t)1 << 20)

static char directory[] = "/tmp/till-config-XXXXXX";

static int enter_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL || chdir(directory) != 0;
}

static int leave_directory(void **state)
{
    (void)state;
    static const char *const names[] = {"etc.yaml", "till.yaml", "given.yaml", "large.yaml"};
    for (size_t i = 0; i < COUNT(names); i++) {
        (void)unlink(names[i]);
    }
    return chdir("/") != 0 || rmdir(directory) != 0;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static const char *const files[] = {"etc.yaml", "till.yaml", NULL};

// One loading, with its memory.
struct loading {
    struct arena arena;
    struct config config;
    struct config_problems problems;
    struct why why;
    enum err code;
};

static void load(struct loading *loading, const struct config_sources *sources)
{
    *loading = (struct loading){0};
    assert_int_equal(arena_init(&loading->arena, ARENA_SIZE), ERR_OK);
    loading->problems.arena = &loading->arena;
    loading->code = config_load(sources, &loading->config, &loading->problems, &loading->why);
}

static void assert_origin(const struct loading *loading, const char *text)
{
    char memory[128];
    struct buf out;
    buf_init_fixed(&out, memory, sizeof memory - 1);
    config_origin_add_text(&loading->config.origins[CONFIG_match_grace], &out);
    memory[buf_view(&out).size] = '\0';
    assert_string_equal(memory, text);
}

// Six places name six values; taking away the strongest shows the next.
static void stronger_places_win(void **state)
{
    (void)state;
    static const struct config_setting setting = {CONFIG_match_grace, "--grace", "6s"};
    static const char *const environment[] = {"HOME=/", "TILL_MATCH_GRACE=5s", "TILL",
                                              "TILL=1", "TILL_TEST_SEED=1",    NULL};
    write_file("etc.yaml", "match:\n  grace: 2s\n");
    write_file("till.yaml", "\nmatch:\n  grace: 3s\n");
    write_file("given.yaml", "# given\n\nmatch:\n  grace: 4s\n");
    struct config_sources sources = {.default_files = files,
                                     .explicit_file = "given.yaml",
                                     .environment = environment,
                                     .settings = &setting,
                                     .setting_count = 1};
    static const char *const origins[] = {"--grace",     "TILL_MATCH_GRACE", "given.yaml:4",
                                          "till.yaml:3", "etc.yaml:2",       "default"};
    for (int64_t strength = 6; strength >= 1; strength--) {
        struct loading loading;
        load(&loading, &sources);
        assert_int_equal(loading.code, ERR_OK);
        assert_int_equal(loading.config.match_grace, strength > 1 ? strength * SEC : 120 * SEC);
        assert_origin(&loading, origins[6 - strength]);
        arena_deinit(&loading.arena);
        sources.setting_count = 0;
        sources.environment = strength <= 5 ? NULL : sources.environment;
        sources.explicit_file = strength <= 4 ? NULL : sources.explicit_file;
        if (strength == 3) {
            assert_int_equal(unlink("till.yaml"), 0);
        }
        if (strength == 2) {
            assert_int_equal(unlink("etc.yaml"), 0);
        }
    }
}

static void places_add_up_key_by_key(void **state)
{
    (void)state;
    write_file("etc.yaml", "match:\n  grace: 2s\n  bucket: 3s\n");
    write_file("till.yaml", "match:\n  grace: 4s\n");
    struct loading loading;
    load(&loading, &(struct config_sources){.default_files = files});
    assert_int_equal(loading.code, ERR_OK);
    assert_int_equal(loading.config.match_grace, 4 * SEC);
    assert_int_equal(loading.config.match_bucket, 3 * SEC);
    arena_deinit(&loading.arena);
    assert_int_equal(unlink("etc.yaml"), 0);
    assert_int_equal(unlink("till.yaml"), 0);
}

static void defaults_are_the_documented_ones(void **state)
{
    (void)state;
    struct loading loading;
    load(&loading, &(struct config_sources){0});
    const struct config *config = &loading.config;
    assert_int_equal(loading.code, ERR_OK);
    assert_string_equal(config->data_dir, "./till-data");
    assert_int_equal(config->log_level, LOG_INFO);
    assert_int_equal(config->log_format, LOG_FORMAT_AUTO);
    assert_int_equal(config->match_grace, 120 * SEC);
    assert_int_equal(config->match_bucket, 10 * SEC);
    assert_int_equal(config->match_max_hold, 3600 * SEC);
    assert_true(config->match_lenient_price);
    assert_true(currency_equal(config->match_default_currency, currency_usd()));
    assert_int_equal(config->match_shards, 16);
    assert_int_equal(config->lane_batch_messages, 4096);
    assert_int_equal(config->lane_batch_bytes, 4194304);
    assert_int_equal(config->broker_lease, 60 * SEC);
    assert_int_equal(config->broker_backlog_max, 10000000);
    assert_int_equal(config->broker_size_max, 0);
    assert_int_equal(config->dead_letters_max_age, 30 * DAY);
    assert_true(config->store_customer_index);
    assert_int_equal(config->run_drain_timeout, 30 * SEC);
    arena_deinit(&loading.arena);
}

static void every_default_is_written_as_it_would_be_shown(void **state)
{
    (void)state;
    struct config config;
    config_set_defaults(&config);
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        char memory[128];
        struct buf out;
        buf_init_fixed(&out, memory, sizeof memory - 1);
        config_add_value(&config, (enum config_key)key, &out);
        memory[buf_view(&out).size] = '\0';
        assert_string_equal(memory, config_keys[key].default_text);
    }
}

static void every_variable_names_one_key(void **state)
{
    (void)state;
    char names[CONFIG_KEY_COUNT][64];
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        struct buf out;
        buf_init_fixed(&out, names[key], sizeof names[key] - 1);
        config_key_add_variable((enum config_key)key, &out);
        names[key][buf_view(&out).size] = '\0';
        for (int other = 0; other < key; other++) {
            assert_string_not_equal(names[key], names[other]);
        }
    }
    assert_string_equal(names[CONFIG_data_dir], "TILL_DATA_DIR");
    assert_string_equal(names[CONFIG_lane_batch_messages], "TILL_LANE_BATCH_MESSAGES");
}

static void each_wrong_variable_is_one_exact_line(void **state)
{
    (void)state;
    static const struct {
        const char *variable;
        const char *problem;
    } cases[] = {
        {"TILL_MATCH_GRASE=1s", "TILL_MATCH_GRASE: this variable names no setting; did you mean "
                                "TILL_MATCH_GRACE?"},
        {"TILL_ZZZZZZZZZZZZ=1", "TILL_ZZZZZZZZZZZZ: this variable names no setting"},
        {"TILL_=1", "TILL_: this variable names no setting"},
        {"TILL_MATCH_GRACE=", "TILL_MATCH_GRACE: expected a duration such as 90s or 15m, got "
                              "nothing"},
        {"TILL_MATCH_GRACE=10x", "TILL_MATCH_GRACE: expected a duration such as 90s or 15m, got "
                                 "\"10x\""},
        {"TILL_LANE_BATCH_MESSAGES=0",
         "TILL_LANE_BATCH_MESSAGES: expected a whole number from 1 to "
         "10000, got \"0\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const environment[] = {cases[i].variable, NULL};
        struct loading loading;
        load(&loading, &(struct config_sources){.environment = environment});
        assert_int_equal(loading.code, ERR_CONFIG);
        assert_int_equal(err_exit_code(loading.code), 78);
        assert_string_equal(loading.why.text, cases[i].problem);
        assert_int_equal(loading.problems.count, 1);
        arena_deinit(&loading.arena);
    }
}

static void max_hold_below_grace_is_told_where_a_person_set_it(void **state)
{
    (void)state;
    static const struct {
        const char *environment[3];
        const char *problem; // NULL: fine
    } cases[] = {
        {{"TILL_MATCH_GRACE=61m"},
         "TILL_MATCH_GRACE: match.max_hold must be at least match.grace, "
         "but 1h is less than 61m"},
        {{"TILL_MATCH_MAX_HOLD=1m"},
         "TILL_MATCH_MAX_HOLD: match.max_hold must be at least "
         "match.grace, but 1m is less than 2m"},
        {{"TILL_MATCH_GRACE=59m"}, NULL},
        {{"TILL_MATCH_GRACE=60m"}, NULL},
        {{"TILL_MATCH_GRACE=0", "TILL_MATCH_MAX_HOLD=0"}, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct loading loading;
        load(&loading, &(struct config_sources){.environment = cases[i].environment});
        assert_int_equal(loading.code, cases[i].problem != NULL ? ERR_CONFIG : ERR_OK);
        assert_string_equal(loading.why.text, cases[i].problem != NULL ? cases[i].problem : "");
        arena_deinit(&loading.arena);
    }
}

static void problems_of_all_places_are_gathered(void **state)
{
    (void)state;
    static const char *const environment[] = {"TILL_LOG_LEVEL=loud", NULL};
    write_file("given.yaml", "match:\n  grace: 10x\n");
    struct loading loading;
    load(&loading,
         &(struct config_sources){.explicit_file = "given.yaml", .environment = environment});
    assert_int_equal(loading.code, ERR_CONFIG);
    assert_int_equal(loading.problems.count, 2);
    assert_string_equal(loading.problems.lines[0], "given.yaml:2:10: match.grace: expected a "
                                                   "duration such as 90s or 15m, got \"10x\"");
    assert_string_equal(loading.problems.lines[1], "TILL_LOG_LEVEL: expected debug, info, warn or "
                                                   "error, got \"loud\"");
    arena_deinit(&loading.arena);
}

static void a_named_file_must_be_there_and_readable(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *problem;
    } cases[] = {
        {"absent.yaml", "absent.yaml: cannot be opened: No such file or directory"},
        {"till.yaml/below", "till.yaml/below: cannot be opened: Not a directory"},
        {"/", "/: cannot be read: Is a directory"},
    };
    write_file("till.yaml", "");
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct loading loading;
        load(&loading, &(struct config_sources){.explicit_file = cases[i].path});
        assert_int_equal(loading.code, ERR_CONFIG);
        assert_string_equal(loading.why.text, cases[i].problem);
        arena_deinit(&loading.arena);
    }
    assert_int_equal(unlink("till.yaml"), 0);
}

static void a_default_file_may_be_absent_but_not_unreadable(void **state)
{
    (void)state;
    assert_int_equal(mkdir("till.yaml", 0700), 0);
    struct loading loading;
    load(&loading, &(struct config_sources){.default_files = files});
    assert_int_equal(loading.code, ERR_CONFIG);
    assert_string_equal(loading.why.text, "till.yaml: cannot be read: Is a directory");
    arena_deinit(&loading.arena);
    assert_int_equal(rmdir("till.yaml"), 0);
}

static void a_file_is_read_up_to_its_limit_of_size(void **state)
{
    (void)state;
    for (int64_t extra = -1; extra <= 1; extra++) {
        FILE *file = fopen("large.yaml", "w");
        assert_non_null(file);
        for (int64_t i = 0; i < (int64_t)CONFIG_FILE_SIZE_MAX + extra; i++) {
            assert_int_equal(fputc('#', file), '#');
        }
        assert_int_equal(fclose(file), 0);
        struct loading loading;
        load(&loading, &(struct config_sources){.explicit_file = "large.yaml"});
        assert_int_equal(loading.code, extra > 0 ? ERR_CONFIG : ERR_OK);
        assert_string_equal(loading.why.text,
                            extra > 0 ? "large.yaml: is larger than 65536 bytes" : "");
        arena_deinit(&loading.arena);
    }
}

// The arena is the only memory that configuration asks for itself. At every size it either fits or
// says that it does not.
static void a_small_arena_is_no_memory_not_a_half_read_configuration(void **state)
{
    (void)state;
    static const char *const environment[] = {"TILL_MATCH_SHARDS=4", "TILL_NOTHING_AT_ALL_LIKE=1",
                                              NULL};
    write_file("given.yaml", "data_dir: somewhere\nmatch:\n  grase: 1s\n");
    struct config_sources sources = {.explicit_file = "given.yaml", .environment = environment};
    bool refused = false;
    bool read = false;
    for (size_t cap = 64; cap < CONFIG_FILE_SIZE_MAX + 2048 && !read;
         cap += cap < 65536 ? 997 : 1) {
        struct loading loading = {0};
        assert_int_equal(arena_init(&loading.arena, cap), ERR_OK);
        loading.problems.arena = &loading.arena;
        loading.code = config_load(&sources, &loading.config, &loading.problems, &loading.why);
        refused = refused || loading.code == ERR_NO_MEMORY;
        read = loading.code == ERR_CONFIG;
        assert_true(read || loading.code == ERR_NO_MEMORY);
        assert_int_equal(loading.problems.count, read ? 2 : loading.problems.count);
        arena_deinit(&loading.arena);
    }
    assert_true(refused);
    assert_true(read);
}

static void one_file_is_checked_alone(void **state)
{
    (void)state;
    write_file("till.yaml", "broken");
    write_file("given.yaml", "match:\n  grace: 2h\n");
    struct loading loading = {0};
    assert_int_equal(arena_init(&loading.arena, ARENA_SIZE), ERR_OK);
    loading.problems.arena = &loading.arena;
    assert_int_equal(
        config_load_file("given.yaml", &loading.config, &loading.problems, &loading.why),
        ERR_CONFIG);
    assert_int_equal(loading.problems.count, 1);
    assert_string_equal(loading.why.text, "given.yaml:2:10: match.max_hold must be at least "
                                          "match.grace, but 1h is less than 2h");
    arena_deinit(&loading.arena);
    assert_int_equal(unlink("till.yaml"), 0);
}

static struct text section_of(size_t key)
{
    const char *path = config_keys[key].path;
    return (struct text){path, strcspn(path, ".")};
}

// A file in which a section comes twice is refused, so one that is written from this table must not have one.
static void keys_of_a_section_stand_together(void **state)
{
    (void)state;
    for (size_t key = 2; key < CONFIG_KEY_COUNT; key++) {
        for (size_t before = 0; before + 1 < key; before++) {
            if (text_equal(section_of(before), section_of(key))) {
                assert_true(text_equal(section_of(key - 1), section_of(key)));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_a_section_stand_together),
        cmocka_unit_test(stronger_places_win),
        cmocka_unit_test(places_add_up_key_by_key),
        cmocka_unit_test(defaults_are_the_documented_ones),
        cmocka_unit_test(every_default_is_written_as_it_would_be_shown),
        cmocka_unit_test(every_variable_names_one_key),
        cmocka_unit_test(each_wrong_variable_is_one_exact_line),
        cmocka_unit_test(max_hold_below_grace_is_told_where_a_person_set_it),
        cmocka_unit_test(problems_of_all_places_are_gathered),
        cmocka_unit_test(a_named_file_must_be_there_and_readable),
        cmocka_unit_test(a_default_file_may_be_absent_but_not_unreadable),
        cmocka_unit_test(a_file_is_read_up_to_its_limit_of_size),
        cmocka_unit_test(a_small_arena_is_no_memory_not_a_half_read_configuration),
        cmocka_unit_test(one_file_is_checked_alone),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
