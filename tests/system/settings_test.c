// Settings from files, variables and flags: what is wrong with them stops the program before it does
// anything, with the place and the nearest name.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_files.h"
#include "till_process.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char bad_file[] = "match:\n"
                               "  grac: 15m\n"
                               "  bucket: 10x\n"
                               "log:\n"
                               "  level: loud\n"
                               "nonsense: 4\n";

static const char bad_file_problems[] =
    "bad.yaml:2:3: unknown key match.grac; did you mean match.grace?\n"
    "bad.yaml:3:11: match.bucket: expected a duration such as 90s or 15m, got \"10x\"\n"
    "bad.yaml:5:10: log.level: expected debug, info, warn or error, got \"loud\"\n"
    "bad.yaml:6:1: unknown key nonsense\n";

static void assert_run_is_refused(const char *const *variables, const char *const *words,
                                  const char *line)
{
    const struct outcome *run =
        till_run(&(struct till_start){.words = words, .variables = variables});
    assert_exit_code(run, 78);
    assert_err_is(run, line);
    assert_string_equal(run->out, "");
    assert_false(file_exists("d"));
}

static void every_problem_of_a_file_is_told_with_its_place(void **state)
{
    (void)state;
    write_text("bad.yaml", bad_file);
    const struct outcome *run = TILL("run", "--config", "bad.yaml", "--once", "--data-dir", "d");
    assert_exit_code(run, 78);
    assert_err_has(run, "till: bad.yaml:2:3: unknown key match.grac; did you mean match.grace?\n");
    assert_err_has(run, "till: bad.yaml:3:11: match.bucket: expected a duration");
    assert_err_has(run, "till: bad.yaml:6:1: unknown key nonsense\n");
    assert_false(file_exists("d"));
}

static void lint_lists_all_and_changes_nothing(void **state)
{
    (void)state;
    write_text("bad.yaml", bad_file);
    const struct outcome *lint = TILL("config", "lint", "bad.yaml");
    assert_exit_code(lint, 78);
    assert_string_equal(lint->out, bad_file_problems);
    assert_err_is(lint, "till: 4 problems found\n");
}

static void lint_judges_what_is_in_force_when_no_file_is_named(void **state)
{
    (void)state;
    write_text("till.yaml", "match:\n  grace: 5s\n");
    const struct outcome *lint = TILL("config", "lint");
    assert_exit_code(lint, 0);
    write_text("till.yaml", "match:\n  grace: 5\n");
    lint = TILL("config", "lint");
    assert_exit_code(lint, 78);
    assert_out_has(lint, "till.yaml:2:10: match.grace: expected a duration");
}

static void files_that_cannot_be_read_are_named(void **state)
{
    (void)state;
    assert_int_equal(mkdir("directory", 0700), 0);
    assert_run_is_refused(NULL, TILL_WORDS("run", "--config", "absent.yaml", "--data-dir", "d"),
                          "till: absent.yaml: cannot be opened: No such file or directory\n");
    assert_run_is_refused(NULL, TILL_WORDS("run", "--config", "directory", "--data-dir", "d"),
                          "till: directory: cannot be read: Is a directory\n");
    assert_int_equal(chmod(".", 0755), 0);
    write_text("closed.yaml", "");
    assert_int_equal(chmod("closed.yaml", 0), 0);
    const struct outcome *run = till_run(&(struct till_start){
        .words = TILL_WORDS("run", "--config", "closed.yaml", "--data-dir", "d"),
        .without_rights = true});
    assert_exit_code(run, 78);
    assert_err_is(run, "till: closed.yaml: cannot be opened: Permission denied\n");
}

static void a_file_that_is_no_yaml_is_refused(void **state)
{
    (void)state;
    write_text("broken.yaml", "match: [1, 2");
    const struct outcome *run = TILL("run", "--config", "broken.yaml", "--data-dir", "d");
    assert_exit_code(run, 78);
    assert_err_has(run, "till: broken.yaml:");
    write_bytes("binary.yaml", "\xff\xfe\x00\x01", 4);
    run = TILL("run", "--config", "binary.yaml", "--data-dir", "d");
    assert_exit_code(run, 78);
    assert_err_has(run, "till: binary.yaml:1:1: ");
    assert_false(file_exists("d"));
}

static void an_unknown_variable_is_refused_with_the_nearest_name(void **state)
{
    (void)state;
    const char *const words[] = {"run", "--data-dir", "d", NULL};
    assert_run_is_refused(
        TILL_WORDS("TILL_MATCH_GRAC=3s"), words,
        "till: TILL_MATCH_GRAC: this variable names no setting; did you mean TILL_MATCH_GRACE?\n");
    assert_run_is_refused(
        TILL_WORDS("TILL_MATCH_GRACE=3"), words,
        "till: TILL_MATCH_GRACE: expected a duration such as 90s or 15m, got \"3\"\n");
}

static void show_names_the_origin_of_every_value(void **state)
{
    (void)state;
    write_text("mine.yaml", "match:\n  grace: 15m\n  bucket: 20s\nlog:\n  level: warn\n");
    const struct outcome *show = till_run(&(struct till_start){
        .words = TILL_WORDS("config", "show", "--origin", "--output", "jsonl", "--config",
                            "mine.yaml", "--set", "log.level=error"),
        .variables = TILL_WORDS("TILL_MATCH_BUCKET=30s")});
    assert_exit_code(show, 0);
    assert_err_is(show, "");
    assert_out_has(show,
                   "{\"key\":\"match.grace\",\"value\":\"15m\",\"origin\":\"mine.yaml:2\"}\n");
    assert_out_has(
        show, "{\"key\":\"match.bucket\",\"value\":\"30s\",\"origin\":\"TILL_MATCH_BUCKET\"}\n");
    assert_out_has(show, "{\"key\":\"log.level\",\"value\":\"error\",\"origin\":\"--set\"}\n");
    assert_out_has(show, "{\"key\":\"match.shards\",\"value\":\"16\",\"origin\":\"default\"}\n");
}

static void the_data_directory_may_come_from_a_file(void **state)
{
    (void)state;
    write_text("till.yaml", "data_dir: from-the-file\n");
    assert_exit_code(TILL("run", "--once", "--quiet"), 0);
    assert_true(file_exists("from-the-file/facts.db"));
    assert_exit_code(TILL("report"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSTEM_TEST(every_problem_of_a_file_is_told_with_its_place),
        SYSTEM_TEST(lint_lists_all_and_changes_nothing),
        SYSTEM_TEST(lint_judges_what_is_in_force_when_no_file_is_named),
        SYSTEM_TEST(files_that_cannot_be_read_are_named),
        SYSTEM_TEST(a_file_that_is_no_yaml_is_refused),
        SYSTEM_TEST(an_unknown_variable_is_refused_with_the_nearest_name),
        SYSTEM_TEST(show_names_the_origin_of_every_value),
        SYSTEM_TEST(the_data_directory_may_come_from_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
