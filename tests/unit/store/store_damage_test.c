// Files that are not ours, not of this version, or damaged: refused with the right error, and not a
// byte of them is changed.
#include "sqlite_world.h"
#include "store_sqlite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bytes {
    unsigned char *data;
    size_t size;
};

static struct bytes read_file(const char *path)
{
    struct bytes bytes = {0};
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    bytes.size = (size_t)ftell(file);
    bytes.data = malloc(bytes.size + 1);
    assert_non_null(bytes.data);
    rewind(file);
    assert_int_equal(fread(bytes.data, 1, bytes.size, file), bytes.size);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static void overwrite(const char *path, int64_t offset, size_t size, unsigned char value)
{
    unsigned char *garbage = malloc(size);
    assert_non_null(garbage);
    memset(garbage, value, size);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    assert_int_equal(fwrite(garbage, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    free(garbage);
}

// A file of some orders and payments, closed.
static int setup(void **state)
{
    struct store_bench *bench = calloc(1, sizeof(*bench));
    assert_non_null(bench);
    bench_open(bench, &sqlite_factory);
    for (int64_t i = 1; i <= 2000; i++) {
        struct order order = bench_order(i, 1);
        struct payment payment = bench_payment(i, 10000 + i);
        bench_add_order(bench, &order);
        bench_add_payment(bench, &payment);
    }
    bench_apply(bench);
    sqlite_world_close(bench);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    bench_close(*state);
    free(*state);
    return 0;
}

static void assert_unchanged(const char *path, const struct bytes *before)
{
    struct bytes now = read_file(path);
    assert_int_equal(now.size, before->size);
    assert_memory_equal(now.data, before->data, now.size);
    free(now.data);
}

// Opening, as owner and as reader, must say `expected` and leave the file as it is.
static void assert_refused(const struct store_bench *bench, enum err expected)
{
    const char *path = sqlite_world_path(bench);
    struct bytes before = read_file(path);
    struct why why = {0};
    struct store *store = NULL;
    struct store_reader *reader = NULL;
    struct store_sqlite_options options = {.path = path};
    assert_int_equal(store_sqlite_open(&options, &store, &why), expected);
    assert_null(store);
    assert_int_equal(why.code, expected);
    assert_non_null(strstr(why.text, path));
    assert_unchanged(path, &before);
    assert_int_equal(store_reader_open_sqlite(path, &reader, &why), expected);
    assert_null(reader);
    assert_unchanged(path, &before);
    free(before.data);
}

static void other_schema_versions_are_refused(void **state)
{
    struct store_bench *bench = *state;
    static const char *const changes[] = {"PRAGMA user_version=0", "PRAGMA user_version=2",
                                          "PRAGMA user_version=-1"};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        sqlite_world_change(bench, changes[i]);
        assert_refused(bench, ERR_SCHEMA);
    }
    sqlite_world_change(bench, "PRAGMA user_version=1");
    bench_reopen(bench);
}

static void database_of_another_program_is_refused(void **state)
{
    struct store_bench *bench = *state;
    assert_int_equal(unlink(sqlite_world_path(bench)), 0);
    sqlite_world_change(bench, "PRAGMA journal_mode=DELETE; CREATE TABLE theirs (a);");
    assert_refused(bench, ERR_SCHEMA);
    assert_int_equal(unlink(sqlite_world_path(bench)), 0);
    sqlite_world_change(bench, "PRAGMA application_id=7; PRAGMA user_version=1;");
    assert_refused(bench, ERR_SCHEMA); // has no table yet, but has an owner
}

static void file_that_is_no_database_is_refused(void **state)
{
    struct store_bench *bench = *state;
    overwrite(sqlite_world_path(bench), 0, 16, 'x');
    assert_refused(bench, ERR_CORRUPT);
}

static void empty_file_becomes_a_store(void **state)
{
    struct store_bench *bench = *state;
    assert_int_equal(truncate(sqlite_world_path(bench), 0), 0);
    bench_reopen(bench);
    assert_int_equal(sqlite_world_count(bench, "SELECT count(*) FROM orders"), 0);
}

static void damaged_schema_page_is_refused(void **state)
{
    struct store_bench *bench = *state;
    overwrite(sqlite_world_path(bench), 100, 2000, 0xff);
    assert_refused(bench, ERR_CORRUPT);
}

static int64_t page_offset_of(const struct store_bench *bench, const char *table)
{
    char sql[128];
    (void)snprintf(sql, sizeof(sql), "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
    int64_t page = sqlite_world_count(bench, sql);
    return (page - 1) * sqlite_world_count(bench, "PRAGMA page_size");
}

// What opening the store and working on order 1 answers; the store is closed again.
static enum err work_on_order(struct store_bench *bench)
{
    struct store_sqlite_options options = {.path = sqlite_world_path(bench)};
    struct store *store = NULL;
    sqlite_world_close(bench);
    enum err opened = store_sqlite_open(&options, &store, &bench->why);
    store_close(&store);
    if (opened != ERR_OK) {
        return opened;
    }
    bench_reopen(bench);
    struct order order = bench_order(1, 2);
    bench_add_order(bench, &order);
    enum err err = bench_apply_uncommitted(bench);
    store_rollback(bench->store);
    sqlite_world_close(bench);
    return err;
}

static void damaged_pages_stop_the_store_and_are_left_alone(void **state)
{
    struct store_bench *bench = *state;
    const char *path = sqlite_world_path(bench);
    static const char *const tables[] = {"orders", "payments"};
    for (size_t i = 0; i < 2; i++) {
        struct bytes good = read_file(path);
        overwrite(path, page_offset_of(bench, tables[i]), 4096, 0xff);
        struct bytes damaged = read_file(path);
        assert_int_equal(work_on_order(bench), ERR_CORRUPT);
        assert_int_equal(bench->why.code, ERR_CORRUPT);
        assert_non_null(strstr(bench->why.text, path));
        assert_unchanged(path, &damaged);
        struct arena arena;
        struct why why = {0};
        struct store_totals *totals = calloc(1, sizeof(*totals));
        assert_int_equal(arena_init(&arena, 1u << 20), ERR_OK);
        struct store_reader *reader = bench->factory->reader(bench->world);
        assert_int_equal(store_reader_totals(reader, TEXT("log"), &arena, totals, &why),
                         ERR_CORRUPT);
        assert_int_equal(store_reader_verify(reader, &why), ERR_CORRUPT);
        store_reader_close(&reader);
        arena_deinit(&arena);
        free(totals);
        assert_unchanged(path, &damaged);
        FILE *file = fopen(path, "wb");
        assert_int_equal(fwrite(good.data, 1, good.size, file), good.size);
        assert_int_equal(fclose(file), 0);
        free(good.data);
        free(damaged.data);
    }
    assert_int_equal(work_on_order(bench), ERR_OK);
}

static void sound_file_is_verified(void **state)
{
    struct store_bench *bench = *state;
    struct why why = {0};
    struct store_reader *reader = bench->factory->reader(bench->world);
    assert_int_equal(store_reader_verify(reader, &why), ERR_OK);
    store_reader_close(&reader);
}

// Values that SQLite finds sound and we don't.
static void values_outside_their_limits_stop_the_store(void **state)
{
    struct store_bench *bench = *state;
    static const struct {
        const char *damage;
        const char *repair;
    } cases[] = {
        {"UPDATE orders SET order_status = 99 WHERE order_id = 1",
         "UPDATE orders SET order_status = 0 WHERE order_id = 1"},
        {"UPDATE orders SET order_status = -1 WHERE order_id = 1",
         "UPDATE orders SET order_status = 0 WHERE order_id = 1"},
        {"UPDATE orders SET currency = 'XXX' WHERE order_id = 1",
         "UPDATE orders SET currency = 'USD' WHERE order_id = 1"},
        {"UPDATE orders SET quantity = 0 WHERE order_id = 1",
         "UPDATE orders SET quantity = 1 WHERE order_id = 1"},
        {"UPDATE orders SET quantity = 1000001 WHERE order_id = 1",
         "UPDATE orders SET quantity = 1 WHERE order_id = 1"},
        {"UPDATE orders SET price_minor = -1 WHERE order_id = 1",
         "UPDATE orders SET price_minor = 1000 WHERE order_id = 1"},
        {"UPDATE orders SET version = 0 WHERE order_id = 1",
         "UPDATE orders SET version = 1 | (1 << 62) WHERE order_id = 1"},
        {"UPDATE orders SET content_hash = x'00' WHERE order_id = 2",
         "UPDATE orders SET content_hash = (SELECT content_hash FROM orders WHERE order_id = 1)"
         " WHERE order_id = 2"},
        {"UPDATE payments SET payment_status = 6 WHERE order_id = 1",
         "UPDATE payments SET payment_status = 2 WHERE order_id = 1"},
        {"UPDATE payments SET currency = 'usd' WHERE order_id = 1",
         "UPDATE payments SET currency = 'USD' WHERE order_id = 1"},
        {"UPDATE payments SET amount_minor = 0 WHERE order_id = 1",
         "UPDATE payments SET amount_minor = 1000 WHERE order_id = 1"},
        {"UPDATE payments SET amount_minor = 1000000000001 WHERE order_id = 1",
         "UPDATE payments SET amount_minor = 1000 WHERE order_id = 1"},
        {"UPDATE orders SET price_minor = 1000000000001 WHERE order_id = 1",
         "UPDATE orders SET price_minor = 1000 WHERE order_id = 1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sqlite_world_change(bench, cases[i].damage);
        bench_reopen(bench);
        for (int64_t order_id = 1; order_id <= 2; order_id++) {
            struct order order = bench_order(order_id, 2);
            bench_add_order(bench, &order);
        }
        enum err err = bench_apply_uncommitted(bench);
        if (err != ERR_CORRUPT) {
            fail_msg("%s: %s", cases[i].damage, err_name(err));
        }
        assert_non_null(strstr(bench->why.text, "table"));
        store_rollback(bench->store);
        sqlite_world_close(bench);
        sqlite_world_change(bench, cases[i].repair);
    }
    assert_int_equal(work_on_order(bench), ERR_OK);
}

static void file_in_no_directory_is_an_error(void **state)
{
    (void)state;
    struct why why = {0};
    struct store *store = NULL;
    struct store_sqlite_options options = {.path = "/nowhere/at/all/facts.db"};
    assert_int_equal(store_sqlite_open(&options, &store, &why), ERR_NOT_FOUND);
    assert_null(store);
    assert_non_null(strstr(why.text, options.path));
    struct store_reader *reader = NULL;
    assert_int_equal(store_reader_open_sqlite(options.path, &reader, &why), ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(other_schema_versions_are_refused),
        TEST(database_of_another_program_is_refused),
        TEST(file_that_is_no_database_is_refused),
        TEST(empty_file_becomes_a_store),
        TEST(damaged_schema_page_is_refused),
        TEST(damaged_pages_stop_the_store_and_are_left_alone),
        TEST(sound_file_is_verified),
        TEST(values_outside_their_limits_stop_the_store),
        TEST(file_in_no_directory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
