// Values of all native types, written and read by till's client, for tests/interop/cassandra_driver.py, which holds
// them against the Python driver:
//   cql_values write ADDRESS KEYSPACE    writes the rows 1 to 4
//   cql_values compare ADDRESS KEYSPACE  reads them and the rows 101 to 104 of the driver, byte for byte
// Exit code 0, or 1 with the reason on standard error.
#include "cql.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS                                                                                    \
    "a_ascii, a_bigint, a_blob, a_boolean, a_date, a_decimal, a_double, a_duration, a_float,"      \
    " a_inet, a_int, a_smallint, a_text, a_time, a_timestamp, a_timeuuid, a_tinyint, a_uuid,"      \
    " a_varint, a_list, a_set, a_map, a_tuple, a_type, a_vector"
#define COLUMN_COUNT   25u
#define ROW_COUNT      4
#define DRIVER_OFFSET  100 // of the ids of the driver's rows
#define MEMORY_SIZE    ((size_t)1 << 20)
#define LONG_BLOB_SIZE 70000u
#define LONG_TEXT_SIZE 30000u
#define STATEMENT_SIZE 1024

static const unsigned char varint_above_64_bits[] = {0x00, 0xab, 0x54, 0xa9, 0x8c,
                                                     0xeb, 0x1f, 0x0a, 0xd2};
static char varint_least[16];                 // -2^127
static char varint_most[17];                  // 2^127
static char nines[16];                        // 10^38 - 1
static char long_blob[LONG_BLOB_SIZE];        // 0xab
static char long_text[LONG_TEXT_SIZE];        // U+65E5, 10,000 times
static const struct cql_uuid no_uuid = {{0}}; // as far as a UUID can be none

static struct text bytes_of(const void *bytes, size_t size)
{
    return (struct text){bytes, size};
}

static void make_long_values(void)
{
    static const unsigned char nines_bytes[] = {0x4b, 0x3b, 0x4c, 0xa8, 0x5a, 0x86, 0xc4, 0x7a,
                                                0x09, 0x8a, 0x22, 0x3f, 0xff, 0xff, 0xff, 0xff};
    memset(long_blob, 0xab, sizeof(long_blob));
    for (size_t i = 0; i < LONG_TEXT_SIZE; i += 3) {
        memcpy(long_text + i, "\xe6\x97\xa5", 3);
    }
    varint_least[0] = (char)0x80;
    varint_most[1] = (char)0x80;
    memcpy(nines, nines_bytes, sizeof(nines));
}

static struct cql_inet inet_of(const void *address, uint8_t size)
{
    struct cql_inet inet = {.size = size};
    memcpy(inet.address, address, size);
    return inet;
}

static void bind_vector(struct cql_values *values, float a, float b, float c)
{
    cql_bind_vector_begin(values, sizeof(float));
    cql_bind_float(values, a);
    cql_bind_float(values, b);
    cql_bind_float(values, c);
    cql_bind_end(values);
}

// --- the rows -----------------------------------------------------------------------------------

static void bind_usual_containers(struct cql_values *values)
{
    cql_bind_list_begin(values);
    cql_bind_text(values, TEXT("b"));
    cql_bind_text(values, TEXT("a"));
    cql_bind_end(values);
    cql_bind_list_begin(values);
    cql_bind_int(values, 1);
    cql_bind_int(values, 2);
    cql_bind_int(values, 300);
    cql_bind_end(values);
    cql_bind_map_begin(values);
    cql_bind_text(values, TEXT("x"));
    cql_bind_decimal(values, 10, 2);
    cql_bind_text(values, TEXT("y"));
    cql_bind_decimal(values, -3, 0);
    cql_bind_end(values);
    cql_bind_tuple_begin(values);
    cql_bind_int(values, 1);
    cql_bind_text(values, TEXT("one"));
    cql_bind_end(values);
    cql_bind_tuple_begin(values);
    cql_bind_text(values, TEXT("n"));
    cql_bind_decimal(values, 1250, 2);
    cql_bind_end(values);
    bind_vector(values, 1.0F, -2.5F, 0.0F);
}

static void bind_usual(struct cql_values *values)
{
    const struct cql_inet inet = inet_of("\x7f\x00\x00\x01", 4);
    const struct cql_uuid timeuuid = {{0xd2, 0x17, 0x7d, 0xd0, 0xea, 0xa2, 0x11, 0xde, 0xa5, 0x72,
                                       0x00, 0x1b, 0x77, 0x9c, 0x76, 0xe3}};
    const struct cql_uuid uuid = {{0x55, 0x0e, 0x84, 0x00, 0xe2, 0x9b, 0x41, 0xd4, 0xa7, 0x16, 0x44,
                                   0x66, 0x55, 0x44, 0x00, 0x00}};
    cql_bind_text(values, TEXT("plain"));
    cql_bind_bigint(values, 42);
    cql_bind_blob(values, bytes_of("\x00\xff\x10", 3));
    cql_bind_boolean(values, true);
    cql_bind_date(values, 19743); // 2024-01-21
    cql_bind_decimal(values, 129999, 2);
    cql_bind_double(values, 0.1);
    cql_bind_duration(values, (struct cql_duration){1, 2, 3000000000});
    cql_bind_float(values, 0.5F);
    cql_bind_inet(values, &inet);
    cql_bind_int(values, -7);
    cql_bind_smallint(values, 300);
    cql_bind_text(values, TEXT("Größe 日本語 😀"));
    cql_bind_time(values, 45296789012345);
    cql_bind_timestamp(values, 1705831290250);
    cql_bind_uuid(values, &timeuuid);
    cql_bind_tinyint(values, 5);
    cql_bind_uuid(values, &uuid);
    cql_bind_varint_bytes(values, bytes_of(varint_above_64_bits, sizeof(varint_above_64_bits)));
    bind_usual_containers(values);
}

static void bind_least_containers(struct cql_values *values)
{
    cql_bind_list_begin(values);
    cql_bind_end(values);
    cql_bind_list_begin(values);
    cql_bind_end(values);
    cql_bind_map_begin(values);
    cql_bind_end(values);
    cql_bind_tuple_begin(values);
    cql_bind_null(values);
    cql_bind_null(values);
    cql_bind_end(values);
    cql_bind_tuple_begin(values);
    cql_bind_null(values);
    cql_bind_null(values);
    cql_bind_end(values);
    bind_vector(values, 0.0F, 0.0F, 0.0F);
}

static void bind_least(struct cql_values *values)
{
    static const char zeros[16] = {0};
    const struct cql_inet inet = inet_of(zeros, 16);
    const struct cql_uuid timeuuid = {
        {0, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80}};
    cql_bind_text(values, TEXT(""));
    cql_bind_bigint(values, INT64_MIN);
    cql_bind_blob(values, TEXT(""));
    cql_bind_boolean(values, false);
    cql_bind_date(values, -719162); // 0001-01-01
    cql_bind_decimal(values, -1, 40);
    cql_bind_double(values, -1.7976931348623157e308);
    cql_bind_duration(values, (struct cql_duration){-1, -1, -1});
    cql_bind_float(values, -0.0F);
    cql_bind_inet(values, &inet);
    cql_bind_int(values, INT32_MIN);
    cql_bind_smallint(values, INT16_MIN);
    cql_bind_text(values, TEXT(""));
    cql_bind_time(values, 0);
    cql_bind_timestamp(values, -1);
    cql_bind_uuid(values, &timeuuid);
    cql_bind_tinyint(values, INT8_MIN);
    cql_bind_uuid(values, &no_uuid);
    cql_bind_varint_bytes(values, bytes_of(varint_least, sizeof(varint_least)));
    bind_least_containers(values);
}

static void bind_most_containers(struct cql_values *values)
{
    cql_bind_list_begin(values);
    for (int i = 0; i < 1000; i++) {
        char text[8];
        int size = snprintf(text, sizeof(text), "%d", i);
        cql_bind_text(values, bytes_of(text, (size_t)size));
    }
    cql_bind_end(values);
    cql_bind_list_begin(values);
    cql_bind_int(values, INT32_MIN);
    cql_bind_int(values, INT32_MAX);
    cql_bind_end(values);
    cql_bind_map_begin(values);
    cql_bind_text(values, TEXT(""));
    cql_bind_decimal(values, 0, 2);
    cql_bind_end(values);
    cql_bind_tuple_begin(values);
    cql_bind_int(values, INT32_MAX);
    cql_bind_text(values, TEXT(""));
    cql_bind_end(values);
    cql_bind_tuple_begin(values);
    cql_bind_text(values, TEXT(""));
    cql_bind_decimal(values, INT64_MAX, 2);
    cql_bind_end(values);
    bind_vector(values, 3.4028234663852886e38F, 1.401298464324817e-45F, -0.0F);
}

static void bind_most(struct cql_values *values)
{
    const struct cql_inet inet = inet_of("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\xff", 16);
    const struct cql_uuid timeuuid = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xbf, 0xff,
                                       0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f}};
    struct cql_uuid uuid;
    memset(uuid.bytes, 0xff, sizeof(uuid.bytes));
    cql_bind_text(values, TEXT("~~~~~~~~~~\x7f"));
    cql_bind_bigint(values, INT64_MAX);
    cql_bind_blob(values, bytes_of(long_blob, sizeof(long_blob)));
    cql_bind_boolean(values, true);
    cql_bind_date(values, 2932896); // 9999-12-31
    cql_bind_decimal_bytes(
        values, (struct cql_decimal){.unscaled = bytes_of(nines, sizeof(nines)), .scale = -10});
    cql_bind_double(values, 5e-324);
    cql_bind_duration(values, (struct cql_duration){INT32_MAX, INT32_MAX, INT64_MAX});
    cql_bind_float(values, 3.4028234663852886e38F);
    cql_bind_inet(values, &inet);
    cql_bind_int(values, INT32_MAX);
    cql_bind_smallint(values, INT16_MAX);
    cql_bind_text(values, bytes_of(long_text, sizeof(long_text)));
    cql_bind_time(values, 86399999999999);
    cql_bind_timestamp(values, 253402300799000);
    cql_bind_uuid(values, &timeuuid);
    cql_bind_tinyint(values, INT8_MAX);
    cql_bind_uuid(values, &uuid);
    cql_bind_varint_bytes(values, bytes_of(varint_most, sizeof(varint_most)));
    bind_most_containers(values);
}

static void bind_nulls(struct cql_values *values)
{
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        cql_bind_null(values);
    }
}

typedef void bind_fn(struct cql_values *values);
static bind_fn *const rows[ROW_COUNT] = {bind_usual, bind_least, bind_most, bind_nulls};

// --- commands -----------------------------------------------------------------------------------

static int fail(const char *what, const struct why *why)
{
    (void)fprintf(stderr, "cql_values: %s: %s\n", what, why->text);
    return 1;
}

static int write_rows(struct cql *cql, const char *keyspace)
{
    static char memory[MEMORY_SIZE];
    char statement[STATEMENT_SIZE];
    struct cql_statement *insert = NULL;
    struct why why = {0};
    (void)snprintf(statement, sizeof(statement),
                   "INSERT INTO %s.natives (id, " COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                   " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                   keyspace);
    if (cql_prepare(cql, text_of(statement), &insert, &why) != ERR_OK) {
        return fail("prepare", &why);
    }
    for (int i = 0; i < ROW_COUNT; i++) {
        struct cql_values values;
        struct cql_result result;
        cql_values_init(&values, memory, sizeof(memory));
        cql_bind_int(&values, i + 1);
        rows[i](&values);
        struct cql_request request = {.statement = insert,
                                      .values = cql_values_view(&values),
                                      .consistency = CQL_LOCAL_QUORUM,
                                      .idempotent = true};
        if (cql_execute(cql, &request, &result, &why) != ERR_OK) {
            return fail("insert", &why);
        }
    }
    return 0;
}

static bool read_row(struct cql *cql, struct cql_statement *select, int id,
                     struct cql_result *out_result, struct cql_cell cells[COLUMN_COUNT],
                     struct why *why)
{
    char memory[16];
    struct cql_values values;
    cql_values_init(&values, memory, sizeof(memory));
    cql_bind_int(&values, id);
    struct cql_request request = {.statement = select,
                                  .values = cql_values_view(&values),
                                  .consistency = CQL_LOCAL_QUORUM,
                                  .idempotent = true};
    if (cql_execute(cql, &request, out_result, why) != ERR_OK) {
        return false;
    }
    struct cql_row_reader reader = cql_rows_read(&out_result->rows);
    if (!cql_row_next(&reader, cells, COLUMN_COUNT)) {
        (void)why_set(why, ERR_NOT_FOUND, "there is no row %d", id);
        return false;
    }
    return true;
}

static bool same_bytes(struct cql_cell a, struct cql_cell b)
{
    return a.presence == b.presence && (a.presence != CQL_PRESENT || text_equal(a.bytes, b.bytes));
}

// An answer lives until the next request, so the cells of the first row are kept.
static void keep_cells(struct cql_cell cells[COLUMN_COUNT], struct arena *arena)
{
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        cells[i].bytes.data = arena_copy(arena, cells[i].bytes.data, cells[i].bytes.size);
    }
}

static int compare_row(struct cql *cql, struct cql_statement *select, int id, struct arena *arena)
{
    struct cql_cell ours[COLUMN_COUNT];
    struct cql_cell theirs[COLUMN_COUNT];
    struct cql_result result;
    struct why why = {0};
    if (!read_row(cql, select, id, &result, ours, &why)) {
        return fail("read", &why);
    }
    keep_cells(ours, arena);
    if (!read_row(cql, select, id + DRIVER_OFFSET, &result, theirs, &why)) {
        return fail("read", &why);
    }
    int failed = 0;
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        if (!same_bytes(ours[i], theirs[i])) {
            (void)fprintf(stderr,
                          "cql_values: row %d, column %u: %zu bytes of ours, %zu of theirs"
                          " differ\n",
                          id, i, ours[i].bytes.size, theirs[i].bytes.size);
            failed = 1;
        }
    }
    return failed;
}

static int compare_rows(struct cql *cql, const char *keyspace)
{
    char statement[STATEMENT_SIZE];
    struct cql_statement *select = NULL;
    struct arena arena;
    struct why why = {0};
    int failed = 0;
    (void)snprintf(statement, sizeof(statement), "SELECT " COLUMNS " FROM %s.natives WHERE id = ?",
                   keyspace);
    if (cql_prepare(cql, text_of(statement), &select, &why) != ERR_OK ||
        arena_init(&arena, ROW_COUNT * MEMORY_SIZE) != ERR_OK) {
        return fail("prepare", &why);
    }
    for (int i = 0; i < ROW_COUNT; i++) {
        failed |= compare_row(cql, select, i + 1, &arena);
    }
    arena_deinit(&arena);
    return failed;
}

int main(int argc, char **argv)
{
    struct cql *cql = NULL;
    struct why why = {0};
    if (argc != 4 || (strcmp(argv[1], "write") != 0 && strcmp(argv[1], "compare") != 0)) {
        (void)fputs("usage: cql_values write|compare ADDRESS KEYSPACE\n", stderr);
        return 2;
    }
    make_long_values();
    struct cql_options options = {.contact_points = argv[2], .clock = clock_real()};
    if (cql_open(&options, &cql, &why) != ERR_OK) {
        return fail(argv[2], &why);
    }
    int failed =
        strcmp(argv[1], "write") == 0 ? write_rows(cql, argv[3]) : compare_rows(cql, argv[3]);
    cql_close(&cql);
    return failed;
}
