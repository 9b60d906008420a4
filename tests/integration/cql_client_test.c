// The Cassandra client against a real node: what a mock could only claim. Every test has tables of its own in a
// keyspace of this program.
#include "cassandra_server.h"
#include "cql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define WAIT_US (20 * US_PER_SECOND)

static struct cassandra_server *server;
static char keyspace[CASSANDRA_KEYSPACE_SIZE];
static struct cql *cql;
static struct cql_statement *insert;
static char notices[4096];

static void expect_ok(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_name(err), why->text);
    }
}

static void note(void *context, struct text notice)
{
    (void)context;
    size_t used = strlen(notices);
    (void)snprintf(notices + used, sizeof(notices) - used, "%.*s\n", TEXT_PRINT(notice));
}

static void open_session(int version, enum cql_compression compression)
{
    struct why why = {0};
    struct cql_options options = {.contact_points = cassandra_server_addresses(server),
                                  .protocol_version_max = version,
                                  .compression = compression};
    cql_close(&cql);
    notices[0] = '\0';
    expect_ok(cql_open(&options, &cql, &why), &why);
    cql_set_notice(cql, note, NULL);
}

static int start(void **state)
{
    (void)state;
    server = cassandra_server_shared();
    cassandra_server_keyspace(server, keyspace);
    open_session(5, CQL_COMPRESSION_NONE);
    return 0;
}

static int end(void **state)
{
    (void)state;
    cql_close(&cql);
    cassandra_server_stop(&server);
    return 0;
}

// --- asking -------------------------------------------------------------------------------------

// A text with "KS" for the keyspace; valid until the next one.
static struct text in_keyspace(const char *format)
{
    static char text[2048];
    const char *mark = strstr(format, "KS");
    assert_non_null(mark);
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(mark - format), format, keyspace,
                   mark + 2);
    return text_of(text);
}

static enum err try_run(const char *format, struct cql_result *out_result, struct why *why)
{
    struct cql_request request = {.text = in_keyspace(format), .consistency = CQL_LOCAL_QUORUM};
    return cql_execute(cql, &request, out_result, why);
}

static struct cql_result run(const char *format)
{
    struct cql_result result = {0};
    struct why why = {0};
    expect_ok(try_run(format, &result, &why), &why);
    return result;
}

static void define(const char *format)
{
    struct why why = {0};
    (void)run(format);
    expect_ok(cql_await_schema_agreement(cql, WAIT_US, &why), &why);
}

static struct cql_statement *prepare(const char *format)
{
    struct why why = {0};
    struct cql_statement *statement = NULL;
    expect_ok(cql_prepare(cql, in_keyspace(format), &statement, &why), &why);
    return statement;
}

static enum err execute(struct cql_statement *statement, const struct cql_values *values,
                        struct cql_result *out_result, struct why *why)
{
    struct cql_request request = {.statement = statement,
                                  .values = cql_values_view(values),
                                  .consistency = CQL_LOCAL_QUORUM,
                                  .idempotent = true};
    return cql_execute(cql, &request, out_result, why);
}

static void must_execute(struct cql_statement *statement, const struct cql_values *values,
                         struct cql_result *out_result)
{
    struct why why = {0};
    expect_ok(execute(statement, values, out_result, &why), &why);
}

static bool first_row(const struct cql_result *result, struct cql_cell *cells, size_t cap)
{
    struct cql_row_reader reader = cql_rows_read(&result->rows);
    return cql_row_next(&reader, cells, cap);
}

static int64_t count_of(const char *format)
{
    struct cql_result result = run(format);
    struct cql_cell cell;
    int64_t count = -1;
    assert_true(first_row(&result, &cell, 1));
    assert_int_equal(cql_get_bigint(cell, &count), CQL_GOT_VALUE);
    return count;
}

// --- writing much -------------------------------------------------------------------------------

static void bind_pair(struct cql_values *values, void *memory, size_t cap, int64_t id,
                      struct text text)
{
    cql_values_init(values, memory, cap);
    cql_bind_bigint(values, id);
    cql_bind_text(values, text);
}

static void write_many(unsigned count)
{
    static unsigned char memory[20000][40];
    static struct cql_request requests[20000];
    struct why why = {0};
    size_t submitted = 0;
    size_t done = 0;
    for (unsigned i = 0; i < count; i++) {
        struct cql_values values;
        bind_pair(&values, memory[i], sizeof(memory[i]), i, TEXT("Laptop"));
        requests[i] = (struct cql_request){.statement = insert,
                                           .values = cql_values_view(&values),
                                           .consistency = CQL_LOCAL_QUORUM,
                                           .timestamp_us = 1700000000000000,
                                           .idempotent = true};
    }
    while (done < count) {
        struct cql_completion completions[256];
        size_t accepted = 0;
        size_t got = 0;
        expect_ok(cql_submit(cql, requests + submitted, count - submitted, &accepted, &why), &why);
        submitted += accepted;
        expect_ok(cql_poll(cql, US_PER_SECOND, completions, 256, &got, &why), &why);
        for (size_t i = 0; i < got; i++) {
            expect_ok(completions[i].err, completions[i].why);
        }
        done += got;
    }
}

static void writes_arrive_in_both_versions_with_and_without_compression(void **state)
{
    (void)state;
    define("CREATE TABLE KS.many (id bigint PRIMARY KEY, item text)");
    for (unsigned i = 0; i < 4; i++) {
        open_session(i % 2 == 0 ? 5 : 4, i / 2 == 0 ? CQL_COMPRESSION_NONE : CQL_COMPRESSION_LZ4);
        insert = prepare("INSERT INTO KS.many (id, item) VALUES (?, ?)");
        (void)run("TRUNCATE KS.many");
        write_many(5000);
        assert_int_equal(count_of("SELECT count(*) FROM KS.many"), 5000);
    }
    open_session(5, CQL_COMPRESSION_NONE);
}

// --- values -------------------------------------------------------------------------------------

static void values_come_back_as_they_were_bound(void **state)
{
    (void)state;
    static char large[131072];
    static unsigned char memory[140000];
    static const int64_t numbers[] = {0, 1, -1, INT64_MIN, INT64_MAX};
    define("CREATE TABLE KS.kinds (id bigint PRIMARY KEY, n int, amount decimal, at timestamp, "
           "name text, bytes blob, yes boolean)");
    struct cql_statement *write =
        prepare("INSERT INTO KS.kinds (id, n, amount, at, name, bytes, yes) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)");
    struct cql_statement *read =
        prepare("SELECT n, amount, at, name, bytes, yes FROM KS.kinds WHERE id = ?");
    for (unsigned i = 0; i < 5; i++) {
        struct cql_values values;
        struct cql_result result;
        struct text name = i == 0 ? TEXT("") : TEXT("Zo\xC3\xAB\0\xE2\x82\xAC");
        size_t size = i == 0 ? 0 : i == 1 ? 1 : 131070 + i - 2;
        int32_t n = (int32_t)(numbers[i] >> 32);
        cql_values_init(&values, memory, sizeof(memory));
        cql_bind_bigint(&values, numbers[i]);
        cql_bind_int(&values, n);
        cql_bind_decimal(&values, numbers[i], (int32_t)i - 2);
        cql_bind_timestamp(&values, numbers[i] / 1000);
        cql_bind_text(&values, name);
        cql_bind_blob(&values, (struct text){large, size});
        cql_bind_boolean(&values, i % 2 == 1);
        must_execute(write, &values, &result);
        cql_values_init(&values, memory, sizeof(memory));
        cql_bind_bigint(&values, numbers[i]);
        must_execute(read, &values, &result);
        struct cql_cell cells[6];
        assert_true(first_row(&result, cells, 6));
        int32_t got_n = 0;
        int64_t minor = 0;
        int64_t at_ms = 0;
        struct text got_name = {0};
        bool yes = false;
        assert_int_equal(cql_get_int(cells[0], &got_n), CQL_GOT_VALUE);
        assert_int_equal(got_n, n);
        assert_int_equal(cql_get_minor(cells[1], (int32_t)i - 2, &minor), CQL_GOT_VALUE);
        assert_int_equal(minor, numbers[i]);
        assert_int_equal(cql_get_timestamp(cells[2], &at_ms), CQL_GOT_VALUE);
        assert_int_equal(at_ms, numbers[i] / 1000);
        assert_int_equal(cql_get_text(cells[3], &got_name), CQL_GOT_VALUE);
        assert_true(text_equal(got_name, name));
        assert_int_equal(cells[4].presence, CQL_PRESENT);
        assert_int_equal(cells[4].bytes.size, size);
        assert_int_equal(cql_get_boolean(cells[5], &yes), CQL_GOT_VALUE);
        assert_int_equal(yes, i % 2 == 1);
    }
}

static void unset_leaves_a_cell_and_null_deletes_it(void **state)
{
    (void)state;
    unsigned char memory[64];
    struct cql_values values;
    struct cql_result result;
    struct why why = {0};
    struct cql_cell cell;
    define("CREATE TABLE KS.cells (id bigint PRIMARY KEY, item text)");
    struct cql_statement *write = prepare("INSERT INTO KS.cells (id, item) VALUES (?, ?)");
    bind_pair(&values, memory, sizeof(memory), 1, TEXT("Laptop"));
    must_execute(write, &values, &result);
    cql_values_reset(&values);
    cql_bind_bigint(&values, 1);
    cql_bind_unset(&values);
    must_execute(write, &values, &result);
    result = run("SELECT item FROM KS.cells WHERE id = 1");
    assert_true(first_row(&result, &cell, 1));
    assert_int_equal(cell.presence, CQL_PRESENT);
    cql_values_reset(&values);
    cql_bind_bigint(&values, 1);
    cql_bind_null(&values);
    must_execute(write, &values, &result);
    result = run("SELECT item FROM KS.cells WHERE id = 1");
    assert_true(first_row(&result, &cell, 1));
    assert_int_equal(cell.presence, CQL_NULL);
    for (unsigned i = 0; i < 2; i++) {
        cql_values_reset(&values);
        if (i == 0) {
            cql_bind_null(&values);
        } else {
            cql_bind_unset(&values);
        }
        cql_bind_text(&values, TEXT("x"));
        assert_int_equal(execute(write, &values, &result, &why), ERR_INVALID);
    }
}

static void text_that_is_no_utf8_is_refused_by_the_node(void **state)
{
    (void)state;
    unsigned char memory[64];
    struct cql_values values;
    struct cql_result result;
    struct why why = {0};
    define("CREATE TABLE KS.texts (id bigint PRIMARY KEY, item text)");
    struct cql_statement *write = prepare("INSERT INTO KS.texts (id, item) VALUES (?, ?)");
    bind_pair(&values, memory, sizeof(memory), 1, TEXT("\xFF\xFE"));
    assert_int_equal(execute(write, &values, &result, &why), ERR_INVALID);
    bind_pair(&values, memory, sizeof(memory), 1, TEXT("fine"));
    must_execute(write, &values, &result);
}

static void a_row_too_large_is_refused_and_the_session_goes_on(void **state)
{
    (void)state;
    size_t cap = 24u << 20;
    unsigned char *memory = malloc(cap);
    char *large = calloc(1, cap);
    assert_non_null(memory);
    assert_non_null(large);
    static const size_t sizes[] = {8u << 20, 20u << 20};
    define("CREATE TABLE KS.large (id bigint PRIMARY KEY, item text)");
    struct cql_statement *write = prepare("INSERT INTO KS.large (id, item) VALUES (?, ?)");
    struct cql_values values;
    struct cql_result result;
    struct why why = {0};
    memset(large, 'x', cap);
    bind_pair(&values, memory, cap, 1, (struct text){large, sizes[0]});
    must_execute(write, &values, &result);
    bind_pair(&values, memory, cap, 2, (struct text){large, sizes[1]});
    assert_int_not_equal(execute(write, &values, &result, &why), ERR_OK);
    bind_pair(&values, memory, cap, 3, TEXT("small"));
    must_execute(write, &values, &result);
    result = run("SELECT id, item FROM KS.large WHERE id = 1");
    struct cql_cell cells[2];
    assert_true(first_row(&result, cells, 2));
    assert_int_equal(cells[1].bytes.size, sizes[0]);
    free(memory);
    free(large);
}

// --- pages --------------------------------------------------------------------------------------

static unsigned read_pages(struct cql_statement *statement, int32_t page_size, bool reconnect)
{
    char state[1024];
    struct text paging_state = {0};
    unsigned rows = 0;
    unsigned pages = 0;
    do {
        struct cql_result result = {0};
        struct why why = {0};
        struct cql_request request = {.statement = statement,
                                      .consistency = CQL_LOCAL_QUORUM,
                                      .idempotent = true,
                                      .page_size = page_size,
                                      .paging_state = paging_state};
        expect_ok(cql_execute(cql, &request, &result, &why), &why);
        rows += result.rows.row_count;
        assert_true(result.rows.row_count <= (uint32_t)page_size);
        assert_true(result.paging_state.size <= sizeof(state));
        memcpy(state, result.paging_state.size > 0 ? result.paging_state.data : "",
               result.paging_state.size);
        paging_state = (struct text){state, result.paging_state.size};
        if (reconnect && pages++ == 2) {
            open_session(5, CQL_COMPRESSION_NONE);
            statement = prepare("SELECT id, item FROM KS.paged");
        }
    } while (paging_state.size > 0);
    return rows;
}

static void pages_bring_every_row_once_also_across_connections(void **state)
{
    (void)state;
    define("CREATE TABLE KS.paged (id bigint PRIMARY KEY, item text)");
    insert = prepare("INSERT INTO KS.paged (id, item) VALUES (?, ?)");
    write_many(100);
    struct cql_statement *read = prepare("SELECT id, item FROM KS.paged");
    assert_int_equal(read_pages(read, 1, false), 100);
    assert_int_equal(read_pages(read, 7, false), 100);
    assert_int_equal(read_pages(read, 100, false), 100);
    assert_int_equal(read_pages(read, 101, false), 100);
    assert_int_equal(read_pages(read, 7, true), 100);
}

// --- batches ------------------------------------------------------------------------------------

static enum err run_batch(struct cql_statement *statement, unsigned count, size_t text_size,
                          enum cql_batch_type type, struct why *why)
{
    static char text[4096];
    static unsigned char memory[200][4200];
    static struct cql_batch_entry entries[200];
    struct cql_result result;
    memset(text, 'x', sizeof(text));
    for (unsigned i = 0; i < count; i++) {
        struct cql_values values;
        bind_pair(&values, memory[i], sizeof(memory[i]), i, (struct text){text, text_size});
        entries[i] = (struct cql_batch_entry){statement, cql_values_view(&values)};
    }
    struct cql_request request = {.batch = entries,
                                  .batch_count = (uint16_t)count,
                                  .batch_type = type,
                                  .consistency = CQL_LOCAL_QUORUM,
                                  .timestamp_us = 1700000000000001,
                                  .idempotent = true};
    return cql_execute(cql, &request, &result, why);
}

static void batches_are_done_whole_and_large_ones_warned_of_and_refused(void **state)
{
    (void)state;
    struct why why = {0};
    define("CREATE TABLE KS.batched (id bigint PRIMARY KEY, item text)");
    define("CREATE TABLE KS.counted (id bigint PRIMARY KEY, item counter)");
    struct cql_statement *write = prepare("INSERT INTO KS.batched (id, item) VALUES (?, ?)");
    expect_ok(run_batch(write, 10, 10, CQL_BATCH_UNLOGGED, &why), &why);
    expect_ok(run_batch(write, 10, 10, CQL_BATCH_LOGGED, &why), &why);
    assert_int_equal(count_of("SELECT count(*) FROM KS.batched"), 10);
    notices[0] = '\0';
    expect_ok(run_batch(write, 20, 1000, CQL_BATCH_UNLOGGED, &why), &why);
    assert_true(strlen(notices) > 0); // 20 KB: a warning
    assert_true(cql_figures(cql).warnings > 0);
    assert_int_equal(run_batch(write, 50, 4000, CQL_BATCH_UNLOGGED, &why), ERR_INVALID);
}

// --- conditional --------------------------------------------------------------------------------

static bool was_applied(const struct cql_result *result)
{
    struct cql_cell cells[4];
    bool applied = false;
    assert_true(first_row(result, cells, 4));
    assert_int_equal(cql_metadata_find(&result->rows.metadata, TEXT("[applied]")), 0);
    assert_int_equal(cql_get_boolean(cells[0], &applied), CQL_GOT_VALUE);
    return applied;
}

static void a_conditional_write_tells_whether_it_was_applied_and_what_is_there(void **state)
{
    (void)state;
    unsigned char memory[64];
    struct cql_values values;
    struct cql_result result;
    define("CREATE TABLE KS.once (id bigint PRIMARY KEY, item text)");
    struct cql_statement *write =
        prepare("INSERT INTO KS.once (id, item) VALUES (?, ?) IF NOT EXISTS");
    for (int64_t id = 1; id <= 2; id++) { // the answer has other columns each time
        bind_pair(&values, memory, sizeof(memory), id, TEXT("Laptop"));
        must_execute(write, &values, &result);
        assert_true(was_applied(&result));
        must_execute(write, &values, &result);
        assert_false(was_applied(&result));
        assert_int_equal(cql_metadata_find(&result.rows.metadata, TEXT("item")), 2);
    }
}

// --- altered tables -----------------------------------------------------------------------------

static void an_altered_table_is_read_rightly_by_who_prepared_before(void **state)
{
    (void)state;
    for (int version = 4; version <= 5; version++) {
        unsigned char memory[64];
        struct cql_values values;
        struct cql_result result;
        struct cql_cell cells[4];
        struct text item = {0};
        open_session(version, CQL_COMPRESSION_NONE);
        (void)run("DROP TABLE IF EXISTS KS.altered");
        define("CREATE TABLE KS.altered (id bigint PRIMARY KEY, item text)");
        struct cql_statement *write = prepare("INSERT INTO KS.altered (id, item) VALUES (?, ?)");
        struct cql_statement *read = prepare("SELECT * FROM KS.altered WHERE id = ?");
        bind_pair(&values, memory, sizeof(memory), 1, TEXT("Laptop"));
        must_execute(write, &values, &result);
        cql_values_reset(&values);
        cql_bind_bigint(&values, 1);
        must_execute(read, &values, &result);
        assert_int_equal(result.rows.metadata.column_count, 2);
        define("ALTER TABLE KS.altered ADD color text"); // before item, by name
        for (unsigned i = 0; i < 3; i++) {
            must_execute(read, &values, &result);
            size_t index = cql_metadata_find(&result.rows.metadata, TEXT("item"));
            assert_int_equal(index, 2);
            assert_true(first_row(&result, cells, 4));
            assert_int_equal(cql_get_text(cells[index], &item), CQL_GOT_VALUE);
            assert_true(text_equal(item, TEXT("Laptop")));
        }
        define("ALTER TABLE KS.altered DROP color");
        must_execute(read, &values, &result);
        assert_int_equal(cql_metadata_find(&result.rows.metadata, TEXT("item")), 1);
        bind_pair(&values, memory, sizeof(memory), 2, TEXT("Desk"));
        must_execute(write, &values, &result);
    }
}

static void what_the_node_refuses_is_told_in_its_words(void **state)
{
    (void)state;
    struct why why = {0};
    struct cql_statement *statement = NULL;
    struct cql_result result;
    assert_int_equal(try_run("SELEKT * FROM KS.nothing", &result, &why), ERR_INVALID);
    assert_int_equal(try_run("SELECT * FROM KS.nothing", &result, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "nothing"));
    assert_int_equal(cql_prepare(cql, in_keyspace("SELECT * FROM KS.nothing"), &statement, &why),
                     ERR_INVALID);
    define("CREATE TABLE KS.there (id bigint PRIMARY KEY)");
    assert_int_equal(try_run("CREATE TABLE KS.there (id bigint PRIMARY KEY)", &result, &why),
                     ERR_EXISTS);
}

static void the_same_write_three_times_is_one_row_and_the_newest_wins(void **state)
{
    (void)state;
    static const int64_t times[] = {3, 1, 2, 3, 1};
    define("CREATE TABLE KS.newest (id bigint PRIMARY KEY, item text)");
    struct cql_statement *write = prepare("INSERT INTO KS.newest (id, item) VALUES (?, ?)");
    for (unsigned i = 0; i < 5; i++) {
        unsigned char memory[64];
        char text[] = {'v', (char)('0' + times[i])};
        struct cql_values values;
        struct cql_result result;
        struct why why = {0};
        bind_pair(&values, memory, sizeof(memory), 1, (struct text){text, 2});
        struct cql_request request = {.statement = write,
                                      .values = cql_values_view(&values),
                                      .consistency = CQL_LOCAL_QUORUM,
                                      .timestamp_us = 1700000000000000 + times[i],
                                      .idempotent = true};
        expect_ok(cql_execute(cql, &request, &result, &why), &why);
    }
    struct cql_result result = run("SELECT item FROM KS.newest");
    struct cql_cell cell;
    assert_int_equal(result.rows.row_count, 1);
    assert_true(first_row(&result, &cell, 1));
    assert_true(text_equal(cell.bytes, TEXT("v3")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_arrive_in_both_versions_with_and_without_compression),
        cmocka_unit_test(values_come_back_as_they_were_bound),
        cmocka_unit_test(unset_leaves_a_cell_and_null_deletes_it),
        cmocka_unit_test(text_that_is_no_utf8_is_refused_by_the_node),
        cmocka_unit_test(a_row_too_large_is_refused_and_the_session_goes_on),
        cmocka_unit_test(pages_bring_every_row_once_also_across_connections),
        cmocka_unit_test(batches_are_done_whole_and_large_ones_warned_of_and_refused),
        cmocka_unit_test(a_conditional_write_tells_whether_it_was_applied_and_what_is_there),
        cmocka_unit_test(an_altered_table_is_read_rightly_by_who_prepared_before),
        cmocka_unit_test(what_the_node_refuses_is_told_in_its_words),
        cmocka_unit_test(the_same_write_three_times_is_one_row_and_the_newest_wins),
    };
    cassandra_server_require();
    return cmocka_run_group_tests(tests, start, end);
}
