// A data directory that can't be used: one clear line, a non-zero exit code, and every file is still what
// it was.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_files.h"
#include "till_process.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_SIZE 4096u

// A directory of till with some data in it.
static void make_data(void)
{
    assert_exit_code(TILL("run", "--generate", "2000", "--seed", "1", "--once", "--data-dir", "d"),
                     0);
}

// Every command that changes something, and `report`, which reads both files.
static void assert_all_refuse(const char *text, int exit_code)
{
    struct directory_copy *copy = directory_copy_take("d");
    const struct outcome *outcomes[] = {
        TILL("run", "--once", "--data-dir", "d"),
        TILL("run", "--generate", "10", "--seed", "1", "--quiet", "--once", "--data-dir", "d"),
        TILL("consume", "all", "--once", "--data-dir", "d"),
        TILL("report", "--data-dir", "d"),
    };
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        assert_exit_code(outcomes[i], exit_code);
        assert_err_is_one_line(outcomes[i]);
        assert_err_has(outcomes[i], text);
        assert_string_equal(outcomes[i]->out, "");
    }
    assert_directory_kept(copy);
}

static void assert_readers_of_facts_refuse(const char *text)
{
    const struct outcome *outcomes[] = {TILL("query", "--data-dir", "d"),
                                        TILL("dlq", "list", "--data-dir", "d")};
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        assert_exit_code(outcomes[i], 1);
        assert_err_is_one_line(outcomes[i]);
        assert_err_has(outcomes[i], text);
    }
}

static void overwrite_pages(const char *path, size_t first, size_t count)
{
    char bytes[PAGE_SIZE];
    memset(bytes, 0xa5, sizeof bytes);
    for (size_t i = first; i < first + count; i++) {
        overwrite_bytes(path, i * PAGE_SIZE, bytes, sizeof bytes);
    }
}

static void facts_with_a_broken_header_are_refused(void **state)
{
    (void)state;
    make_data();
    overwrite_bytes("d/facts.db", 0, "this is not a database", 22);
    assert_all_refuse("d/facts.db", 1);
    assert_readers_of_facts_refuse("d/facts.db");
}

static void facts_with_broken_pages_are_refused(void **state)
{
    (void)state;
    make_data();
    overwrite_pages("d/facts.db", 8, 16);
    assert_all_refuse("d/facts.db", 1);
}

static void facts_that_were_cut_are_refused(void **state)
{
    (void)state;
    make_data();
    assert_int_equal(truncate("d/facts.db", 5 * PAGE_SIZE), 0);
    assert_all_refuse("d/facts.db", 1);
}

static void topics_with_a_broken_header_are_refused(void **state)
{
    (void)state;
    make_data();
    overwrite_bytes("d/topics.db", 0, "this is not a database", 22);
    assert_all_refuse("d/topics.db is damaged", 1);
}

static void topics_with_broken_pages_are_refused(void **state)
{
    (void)state;
    make_data();
    overwrite_pages("d/topics.db", 2, 30);
    assert_all_refuse("d/topics.db is damaged", 1);
}

static void a_database_of_another_program_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkdir("d", 0700), 0);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open("d/facts.db", &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "CREATE TABLE theirs (id); PRAGMA application_id = 77;", NULL, NULL, NULL),
        SQLITE_OK);
    (void)sqlite3_close(db);
    struct directory_copy *copy = directory_copy_take("d");
    const struct outcome *run = TILL("run", "--once", "--data-dir", "d");
    assert_exit_code(run, 1);
    assert_err_is_one_line(run);
    assert_err_has(run, "d/facts.db: not a facts file of till");
    assert_readers_of_facts_refuse("d/facts.db: not a facts file of till");
    assert_directory_kept(copy);
}

static void facts_of_another_version_are_refused(void **state)
{
    (void)state;
    make_data();
    facts_change("d", "PRAGMA user_version = 99");
    assert_all_refuse("schema version 99, this program reads version 1", 1);
    assert_readers_of_facts_refuse("schema version 99, this program reads version 1");
}

static void topics_of_another_version_are_refused(void **state)
{
    (void)state;
    make_data();
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open("d/topics.db", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
    assert_all_refuse("d/topics.db has schema version 99", 1);
}

static void assert_run_is_refused(const char *directory, int exit_code, const char *line)
{
    const struct outcome *run = TILL("run", "--once", "--data-dir", directory);
    assert_exit_code(run, exit_code);
    assert_err_is(run, line);
    assert_string_equal(run->out, "");
}

static void a_directory_without_a_parent_is_refused(void **state)
{
    (void)state;
    assert_run_is_refused(
        "a/b/c", 69, "till: data directory a/b/c cannot be created: there is no directory a/b\n");
    assert_false(file_exists("a"));
}

static void a_file_in_the_place_of_the_directory_is_refused(void **state)
{
    (void)state;
    write_text("file", "mine");
    assert_run_is_refused("file", 69, "till: data directory file is not a directory\n");
    assert_run_is_refused("file/d", 69,
                          "till: data directory file/d cannot be reached: Not a directory\n");
    size_t size = 0;
    char *text = read_bytes("file", &size);
    assert_string_equal(text, "mine");
    free(text);
}

// Nobody can make a directory there, not even root.
static void a_directory_that_cannot_be_made_is_refused(void **state)
{
    (void)state;
    const struct outcome *run = TILL("run", "--once", "--data-dir", "/proc/sys/till");
    assert_true(run->exit_code == 69 || run->exit_code == 77);
    assert_err_is_one_line(run);
    assert_err_has(run, "data directory /proc/sys/till cannot be created");
}

static void without_permission_it_is_refused_with_77(void **state)
{
    (void)state;
    make_data();
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(mkdir("closed", 0555), 0);
    const struct outcome *run = till_run(&(struct till_start){
        .words = TILL_WORDS("run", "--once", "--data-dir", "closed/e"), .without_rights = true});
    assert_exit_code(run, 77);
    assert_err_is(run, "till: data directory closed/e cannot be created: Permission denied\n");
    assert_int_equal(chmod("d", 0), 0);
    const struct outcome *report = till_run(&(struct till_start){
        .words = TILL_WORDS("report", "--data-dir", "d"), .without_rights = true});
    assert_exit_code(report, 77);
    assert_err_is(report, "till: data directory d cannot be read: Permission denied\n");
    assert_int_equal(chmod("d", 0700), 0);
}

static void strange_files_in_the_directory_stay(void **state)
{
    (void)state;
    assert_int_equal(mkdir("d", 0700), 0);
    write_text("d/notes.txt", "mine");
    struct directory_copy *copy = directory_copy_take("d");
    make_data();
    assert_directory_kept(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSTEM_TEST(facts_with_a_broken_header_are_refused),
        SYSTEM_TEST(facts_with_broken_pages_are_refused),
        SYSTEM_TEST(facts_that_were_cut_are_refused),
        SYSTEM_TEST(topics_with_a_broken_header_are_refused),
        SYSTEM_TEST(topics_with_broken_pages_are_refused),
        SYSTEM_TEST(a_database_of_another_program_is_refused),
        SYSTEM_TEST(facts_of_another_version_are_refused),
        SYSTEM_TEST(topics_of_another_version_are_refused),
        SYSTEM_TEST(a_directory_without_a_parent_is_refused),
        SYSTEM_TEST(a_file_in_the_place_of_the_directory_is_refused),
        SYSTEM_TEST(a_directory_that_cannot_be_made_is_refused),
        SYSTEM_TEST(without_permission_it_is_refused_with_77),
        SYSTEM_TEST(strange_files_in_the_directory_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
