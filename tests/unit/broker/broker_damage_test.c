// Files that are damaged, foreign, of another version or not writable: refused with a sentence, and left
// byte for byte as they were. And looking at a log beside its owner.
#include "broker_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka needs the five before it
#include <cmocka.h>
#include <sqlite3.h>

#define NOBODY 65534

struct image {
    unsigned char *bytes;
    size_t size;
};

static struct image read_file(const char *path)
{
    struct image image = {0};
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    image.size = (size_t)status.st_size;
    image.bytes = malloc(image.size + 1);
    assert_non_null(image.bytes);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(image.bytes, 1, image.size, file), image.size);
    (void)fclose(file);
    return image;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void overwrite(const char *path, off_t offset, int byte, size_t size)
{
    char *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, byte, size);
    int file = open(path, O_WRONLY);
    assert_true(file >= 0);
    assert_int_equal(pwrite(file, bytes, size, offset), size);
    assert_int_equal(close(file), 0);
    free(bytes);
}

static void assert_unchanged(const char *path, struct image *before)
{
    struct image after = read_file(path);
    assert_int_equal(after.size, before->size);
    assert_memory_equal(after.bytes, before->bytes, after.size);
    free(after.bytes);
    free(before->bytes);
    *before = (struct image){0};
}

static void assert_refused(struct rig *rig, enum err expected, const char *words)
{
    struct image before = read_file(rig->path);
    assert_int_equal(rig_try_open(rig), expected);
    assert_int_equal(rig->why.code, expected);
    if (strstr(rig->why.text, words) == NULL || strstr(rig->why.text, "topics.db") == NULL) {
        print_message("%s\n", rig->why.text);
        fail();
    }
    assert_unchanged(rig->path, &before);
}

static void file_that_is_no_database_is_refused_and_kept(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    write_file(rig->path, "this is not a database, but somebody's precious notes", 53);
    assert_refused(rig, ERR_CORRUPT, "damaged");
}

static void damaged_header_is_refused_and_kept(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 1000);
    rig_close(rig);
    overwrite(rig->path, 0, 0xff, 100);
    assert_refused(rig, ERR_CORRUPT, "damaged");
}

static void cut_off_file_is_refused_or_its_messages_are_missed(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "some bytes of a message ", 5000);
    rig_close(rig);
    struct stat status;
    assert_int_equal(stat(rig->path, &status), 0);
    assert_int_equal(truncate(rig->path, status.st_size / 2 / 8192 * 8192), 0);
    struct image before = read_file(rig->path);
    enum err err = rig_try_open(rig);
    if (err == ERR_OK) {
        struct broker_pull_limits limits = {.count_max = 5000, .size_max = SIZE_MAX};
        err = broker_pull(rig->broker, rig->subscription, &limits, &rig->arena, &rig->pulled,
                          &rig->pulled_count, &rig->why);
    }
    assert_int_equal(err, ERR_CORRUPT);
    rig_close(rig);
    (void)before.size;
    free(before.bytes);
}

// Page by page: whatever page is garbage, the broker answers ERR_CORRUPT somewhere or gives all messages
// as they were; it never gives others.
static void garbage_in_any_page_is_never_taken_for_messages(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "some bytes of a message ", 1000);
    rig_close(rig);
    struct image sound = read_file(rig->path);
    unsigned refused = 0;
    for (size_t page = 1; page < sound.size / 8192; page++) {
        write_file(rig->path, sound.bytes, sound.size);
        overwrite(rig->path, (off_t)(page * 8192), 0x5a, 8192);
        enum err err = rig_try_open(rig);
        size_t count = 0;
        if (err == ERR_OK) {
            struct broker_pull_limits limits = {.count_max = 1000, .size_max = SIZE_MAX};
            arena_reset(&rig->arena);
            err = broker_pull(rig->broker, rig->subscription, &limits, &rig->arena, &rig->pulled,
                              &count, &rig->why);
        }
        if (err == ERR_OK) {
            assert_int_equal(count, 1000);
            rig->pulled_count = count;
            rig_expect(rig, 999, 1000, "some bytes of a message 1000", 1);
        } else {
            assert_int_equal(err, ERR_CORRUPT);
            assert_non_null(strstr(rig->why.text, "topics.db"));
            refused++;
        }
        rig_close(rig);
    }
    assert_in_range(refused, 3, sound.size / 8192);
    free(sound.bytes);
}

static void damage_found_by_a_pull_stops_every_later_call(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "some bytes of a message ", 3000);
    rig_close(rig);
    struct stat status;
    assert_int_equal(stat(rig->path, &status), 0);
    overwrite(rig->path, status.st_size / 2 / 8192 * 8192, 0x5a, 8192);
    rig_open(rig);
    struct broker_pull_limits limits = {.count_max = 3000, .size_max = SIZE_MAX};
    assert_int_equal(broker_pull(rig->broker, rig->subscription, &limits, &rig->arena, &rig->pulled,
                                 &rig->pulled_count, &rig->why),
                     ERR_CORRUPT);
    assert_int_equal(rig_try_publish_many(rig, "b", 1), ERR_CORRUPT);
    assert_non_null(strstr(rig->why.text, "damaged"));
}

static void message_deleted_by_other_hands_is_missed(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 10);
    rig_close(rig);
    rig_sql(rig, "DELETE FROM messages_1_a WHERE seq=5");
    rig_open(rig);
    struct broker_pull_limits limits = {.count_max = 10, .size_max = SIZE_MAX};
    assert_int_equal(broker_pull(rig->broker, rig->subscription, &limits, &rig->arena, &rig->pulled,
                                 &rig->pulled_count, &rig->why),
                     ERR_CORRUPT);
    assert_non_null(strstr(rig->why.text, "message 5 of topic t is missing"));
}

static void state_that_contradicts_the_messages_is_refused(void **state)
{
    struct rig *rig = *state;
    static const char *const damages[] = {
        "UPDATE topics SET last_seq=9",
        "UPDATE topics SET last_seq=11",
        "UPDATE topics SET last_seq=-1",
        "DELETE FROM messages_1_a WHERE seq=10",
        "UPDATE subscriptions SET ack_floor=11",
        "UPDATE subscriptions SET acked_ranges='3-x'",
        "UPDATE subscriptions SET acked_ranges='4-3'",
        "UPDATE subscriptions SET acked_ranges='9-11'",
        "UPDATE subscriptions SET acked_ranges='1-2'",
        "UPDATE subscriptions SET acked_ranges='5-6,7-8'",
        "UPDATE subscriptions SET topic_id=7",
        "UPDATE subscriptions SET name=''",
        "UPDATE topics SET name='no such name, please'",
        "DELETE FROM log",
        "UPDATE log SET log_id='short'",
    };
    rig_publish_many(rig, "a", 10);
    rig_close(rig);
    struct image sound = read_file(rig->path);
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        rig_sql(rig, damages[i]);
        assert_refused(rig, ERR_CORRUPT, "nothing was changed");
        write_file(rig->path, sound.bytes, sound.size);
    }
    free(sound.bytes);
    rig_open(rig);
    assert_int_equal(rig_pull(rig, 20), 10);
}

static void refused_file_keeps_its_write_ahead_log_too(void **state)
{
    struct rig *rig = *state;
    char wal[128];
    (void)snprintf(wal, sizeof(wal), "%s-wal", rig->path);
    rig_publish_many(rig, "a", 10);
    rig_close(rig);
    sqlite3 *connection = NULL;
    assert_int_equal(sqlite3_open(rig->path, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(connection, "UPDATE topics SET last_seq=9", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(connection), SQLITE_OK);
    struct image before = read_file(wal);
    assert_true(before.size > 0);
    assert_refused(rig, ERR_CORRUPT, "nothing was changed");
    assert_unchanged(wal, &before);
}

static void attributes_that_are_damaged_are_reported(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "a");
    rig_close(rig);
    rig_sql(rig, "UPDATE messages_1_a SET attributes=x'ffff'");
    rig_open(rig);
    struct broker_pull_limits limits = {.count_max = 10, .size_max = SIZE_MAX};
    assert_int_equal(broker_pull(rig->broker, rig->subscription, &limits, &rig->arena, &rig->pulled,
                                 &rig->pulled_count, &rig->why),
                     ERR_CORRUPT);
}

static void other_schema_version_is_refused_and_kept(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    rig_sql(rig, "PRAGMA user_version=2");
    assert_refused(rig, ERR_SCHEMA, "schema version 2");
    rig_sql(rig, "PRAGMA user_version=0");
    assert_refused(rig, ERR_SCHEMA, "schema version 0");
    rig_sql(rig, "PRAGMA user_version=1");
    rig_open(rig);
}

static void database_of_another_program_is_refused_and_kept(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    assert_int_equal(unlink(rig->path), 0);
    rig_sql(rig, "CREATE TABLE recipes(name TEXT)");
    assert_refused(rig, ERR_SCHEMA, "not a topic log");
}

static void creation_that_was_cut_short_starts_again(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    write_file(rig->path, "", 0);
    rig_open(rig);
    rig_close(rig);
    assert_int_equal(unlink(rig->path), 0);
    rig_sql(rig, "PRAGMA journal_mode=WAL"); // a header and nothing else
    rig_open(rig);
    rig_publish(rig, "x");
    assert_int_equal(rig_pull(rig, 1), 1);
}

static void missing_directory_is_told(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    rig->options.path = "/nonexistent-directory/topics.db";
    assert_int_equal(rig_try_open(rig), ERR_UNAVAILABLE);
    assert_non_null(strstr(rig->why.text, "/nonexistent-directory/topics.db"));
}

// Root may write anywhere, so the test becomes nobody for a moment.
static void without_permission_nothing_is_opened_or_changed(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "x");
    rig_close(rig);
    bool root = geteuid() == 0;
    struct image before = read_file(rig->path);
    assert_int_equal(chmod(rig->path, 0444), 0);
    assert_int_equal(chmod(rig->directory, 0555), 0);
    if (root) {
        assert_int_equal(seteuid(NOBODY), 0);
    }
    enum err file_err = rig_try_open(rig);
    struct why file_why = rig->why;
    char path[96];
    const char *kept = rig->options.path;
    assert_in_range(snprintf(path, sizeof(path), "%s/new.db", rig->directory), 1, 95);
    rig->options.path = path;
    enum err directory_err = rig_try_open(rig);
    rig->options.path = kept;
    if (root) {
        assert_int_equal(seteuid(0), 0);
    }
    assert_int_equal(chmod(rig->directory, 0755), 0);
    assert_int_equal(chmod(rig->path, 0644), 0);
    assert_true(file_err == ERR_READ_ONLY || file_err == ERR_PERMISSION);
    assert_non_null(strstr(file_why.text, "topics.db"));
    assert_int_equal(directory_err, ERR_PERMISSION);
    assert_unchanged(rig->path, &before);
}

static void reader_sees_the_backlog_beside_the_owner(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 10);
    struct broker_options options = rig->options;
    options.read_only = true;
    struct broker *reader = NULL;
    assert_int_equal(broker_open(&options, &reader, &rig->why), ERR_OK);
    assert_memory_equal(broker_log_id(reader).data, broker_log_id(rig->broker).data, 32);
    uint32_t found = 99;
    assert_int_equal(broker_subscription_find(reader, TEXT("t-sub"), &found, NULL), ERR_OK);
    struct broker_backlog backlog = {0};
    assert_int_equal(broker_backlog(reader, found, &backlog, NULL), ERR_OK);
    assert_int_equal(backlog.published, 10);
    assert_int_equal(backlog.unacked, 10);
    assert_int_equal(backlog.oldest_unacked_us, rig->time.wall_us);
    assert_int_equal(rig_pull(rig, 4), 4);
    rig_ack_one(rig, rig->handles[0]);
    rig_ack_one(rig, rig->handles[1]);
    rig_ack_one(rig, rig->handles[3]);
    rig_publish(rig, "b");
    assert_int_equal(broker_backlog(reader, found, &backlog, NULL), ERR_OK);
    assert_int_equal(backlog.published, 11);
    assert_int_equal(backlog.unacked, 8);
    assert_int_equal(backlog.oldest_unacked_us, rig->time.wall_us + 2);
    uint32_t topic = 0;
    assert_int_equal(broker_topic_create(reader, TEXT("t"), &topic, NULL), ERR_OK);
    assert_int_equal(broker_topic_create(reader, TEXT("new"), &topic, NULL), ERR_NOT_FOUND);
    broker_close(&reader);
}

static void reader_of_a_log_that_is_not_there_is_told(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    assert_int_equal(unlink(rig->path), 0);
    rig->options.read_only = true;
    assert_int_equal(rig_try_open(rig), ERR_NOT_FOUND);
    assert_int_not_equal(access(rig->path, F_OK), 0); // nor was it made
}

static void reader_of_a_closed_log_changes_nothing(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 3);
    rig_close(rig);
    struct image before = read_file(rig->path);
    rig->options.read_only = true;
    rig_open(rig);
    struct broker_backlog backlog = {0};
    assert_int_equal(broker_backlog(rig->broker, 0, &backlog, NULL), ERR_OK);
    assert_int_equal(backlog.unacked, 3);
    rig_close(rig);
    assert_unchanged(rig->path, &before);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(file_that_is_no_database_is_refused_and_kept),
        CLAIM(damaged_header_is_refused_and_kept),
        CLAIM(cut_off_file_is_refused_or_its_messages_are_missed),
        CLAIM(garbage_in_any_page_is_never_taken_for_messages),
        CLAIM(damage_found_by_a_pull_stops_every_later_call),
        CLAIM(message_deleted_by_other_hands_is_missed),
        CLAIM(state_that_contradicts_the_messages_is_refused),
        CLAIM(refused_file_keeps_its_write_ahead_log_too),
        CLAIM(attributes_that_are_damaged_are_reported),
        CLAIM(other_schema_version_is_refused_and_kept),
        CLAIM(database_of_another_program_is_refused_and_kept),
        CLAIM(creation_that_was_cut_short_starts_again),
        CLAIM(missing_directory_is_told),
        CLAIM(without_permission_nothing_is_opened_or_changed),
        CLAIM(reader_sees_the_backlog_beside_the_owner),
        CLAIM(reader_of_a_log_that_is_not_there_is_told),
        CLAIM(reader_of_a_closed_log_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
