// Bodies of requests, byte by byte, in both versions.
#include "cql_bytes.h"
#include "cql_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

static unsigned char memory[4096];
static struct cql_writer writer;

static int start(void **state)
{
    (void)state;
    cql_writer_init(&writer, memory, sizeof(memory));
    return 0;
}

static void expect_written(const char *hex)
{
    assert_false(writer.overflowed);
    bytes_expect(cql_writer_view(&writer), hex);
    cql_writer_init(&writer, memory, sizeof(memory));
}

static void startup_names_what_is_wanted(void **state)
{
    (void)state;
    cql_write_startup(&writer, &(struct cql_startup){.lz4 = false});
    expect_written("0001 000b 43514c5f56455253494f4e 0005 332e302e30");
    cql_write_startup(&writer, &(struct cql_startup){
                                   .lz4 = true,
                                   .throw_on_overload = true,
                                   .driver_name = TEXT("d"),
                                   .driver_version = TEXT("1"),
                                   .application_name = TEXT("a"),
                               });
    struct cql_reader reader;
    struct text key;
    struct text value;
    cql_reader_init(&reader, cql_writer_view(&writer));
    struct cql_map map = cql_read_string_map(&reader);
    assert_int_equal(cql_reader_left(&reader), 0);
    const char *const entries[] = {"CQL_VERSION",       "3.0.0", "COMPRESSION",      "lz4",
                                   "THROW_ON_OVERLOAD", "1",     "DRIVER_NAME",      "d",
                                   "DRIVER_VERSION",    "1",     "APPLICATION_NAME", "a"};
    for (size_t i = 0; i < 12; i += 2) {
        assert_true(cql_string_map_next(&map, &key, &value));
        assert_true(text_equal(key, text_of(entries[i])));
        assert_true(text_equal(value, text_of(entries[i + 1])));
    }
    assert_int_equal(map.count, 0);
}

static void credentials_are_two_texts_behind_zeroes(void **state)
{
    (void)state;
    cql_write_auth_plain(&writer, TEXT("user"), TEXT("pass"));
    expect_written("0000000a 00 75736572 00 70617373");
    cql_write_auth_plain(&writer, TEXT(""), TEXT(""));
    expect_written("00000002 00 00");
    cql_write_auth_response(&writer, (struct cql_cell){.presence = CQL_NULL});
    expect_written("ffffffff");
}

static void credentials_without_room_overflow(void **state)
{
    (void)state;
    for (size_t cap = 0; cap <= 14; cap++) {
        cql_writer_init(&writer, (void *)(uintptr_t)bytes_repeated(cap, 0).data, cap);
        cql_write_auth_plain(&writer, TEXT("user"), TEXT("pass"));
        assert_int_equal(writer.overflowed, cap < 14);
    }
}

static void register_names_the_events_asked_for(void **state)
{
    (void)state;
    cql_write_register(&writer, CQL_REGISTER_STATUS);
    expect_written("0001 000d 5354415455535f4348414e4745");
    cql_write_register(&writer, CQL_REGISTER_TOPOLOGY | CQL_REGISTER_STATUS | CQL_REGISTER_SCHEMA);
    expect_written("0003 000f 544f504f4c4f47595f4348414e4745 000d 5354415455535f4348414e4745"
                   "000d 534348454d415f4348414e4745");
}

static struct cql_parameters plain(void)
{
    return (struct cql_parameters){.consistency = CQL_LOCAL_QUORUM,
                                   .timestamp_us = CQL_TIMESTAMP_SERVER};
}

static void flags_of_a_query_are_one_byte_in_v4_and_four_in_v5(void **state)
{
    (void)state;
    const struct cql_parameters parameters = plain();
    cql_write_query(&writer, 4, TEXT("q"), &parameters);
    expect_written("00000001 71 0006 00");
    cql_write_query(&writer, 5, TEXT("q"), &parameters);
    expect_written("00000001 71 0006 00000000");
}

static struct cql_parameters with_everything(struct cql_values *values, void *room, size_t cap)
{
    struct cql_parameters parameters = plain();
    cql_values_init(values, room, cap);
    cql_bind_int(values, 7);
    cql_bind_null(values);
    cql_bind_unset(values);
    parameters.values = cql_values_view(values);
    parameters.skip_metadata = true;
    parameters.page_size = 5000;
    parameters.paging_state = TEXT("ps");
    parameters.serial_consistency = CQL_LOCAL_SERIAL;
    parameters.timestamp_us = 0x0102030405060708;
    return parameters;
}

static void parameters_follow_each_other_in_the_order_of_the_specification(void **state)
{
    (void)state;
    char room[100];
    struct cql_values values;
    struct cql_parameters parameters = with_everything(&values, room, sizeof(room));
    cql_write_execute(&writer, 4, TEXT("id"), TEXT("unused"), &parameters);
    expect_written("0002 6964 0006 3f"
                   "0003 00000004 00000007 ffffffff fffffffe"
                   "00001388 00000002 7073 0009 0102030405060708");
    parameters.keyspace = TEXT("ks");
    parameters.has_now = true;
    parameters.now_in_seconds = 60;
    cql_write_execute(&writer, 5, TEXT("id"), TEXT("meta"), &parameters);
    expect_written("0002 6964 0004 6d657461 0006 000001bf"
                   "0003 00000004 00000007 ffffffff fffffffe"
                   "00001388 00000002 7073 0009 0102030405060708 0002 6b73 0000003c");
}

static void each_parameter_alone_sets_its_own_flag(void **state)
{
    (void)state;
    char room[100];
    struct cql_values values;
    const struct cql_parameters all = with_everything(&values, room, sizeof(room));
    struct cql_parameters parameters = plain();
    parameters.skip_metadata = true;
    cql_write_query(&writer, 5, TEXT(""), &parameters);
    expect_written("00000000 0006 00000002");
    parameters = plain();
    parameters.values = all.values;
    cql_write_query(&writer, 5, TEXT(""), &parameters);
    expect_written("00000000 0006 00000001 0003 00000004 00000007 ffffffff fffffffe");
    parameters = plain();
    parameters.page_size = 1;
    cql_write_query(&writer, 5, TEXT(""), &parameters);
    expect_written("00000000 0006 00000004 00000001");
    parameters = plain();
    parameters.paging_state = TEXT("s");
    cql_write_query(&writer, 5, TEXT(""), &parameters);
    expect_written("00000000 0006 00000008 00000001 73");
    parameters = plain();
    parameters.serial_consistency = CQL_SERIAL;
    cql_write_query(&writer, 5, TEXT(""), &parameters);
    expect_written("00000000 0006 00000010 0008");
    parameters = plain();
    parameters.timestamp_us = 0;
    cql_write_query(&writer, 5, TEXT(""), &parameters);
    expect_written("00000000 0006 00000020 0000000000000000");
    parameters = plain();
    parameters.keyspace = TEXT("k");
    cql_write_query(&writer, 5, TEXT(""), &parameters);
    expect_written("00000000 0006 00000080 0001 6b");
    parameters = plain();
    parameters.has_now = true;
    cql_write_query(&writer, 5, TEXT(""), &parameters);
    expect_written("00000000 0006 00000100 00000000");
}

static void prepare_has_flags_and_a_keyspace_in_v5_alone(void **state)
{
    (void)state;
    cql_write_prepare(&writer, 4, TEXT("q"), TEXT(""));
    expect_written("00000001 71");
    cql_write_prepare(&writer, 5, TEXT("q"), TEXT(""));
    expect_written("00000001 71 00000000");
    cql_write_prepare(&writer, 5, TEXT("q"), TEXT("ks"));
    expect_written("00000001 71 00000001 0002 6b73");
}

static void batch_mixes_texts_and_ids(void **state)
{
    (void)state;
    char room[100];
    struct cql_values values;
    cql_values_init(&values, room, sizeof(room));
    cql_bind_boolean(&values, true);
    struct cql_parameters parameters = plain();
    parameters.timestamp_us = 1;
    parameters.serial_consistency = CQL_SERIAL;
    for (int version = 4; version <= 5; version++) {
        cql_write_batch_begin(&writer, CQL_BATCH_UNLOGGED, 2);
        cql_write_batch_prepared(&writer, TEXT("id"), cql_values_view(&values));
        cql_write_batch_query(&writer, TEXT("q"), (struct cql_values_view){.count = 0});
        cql_write_batch_end(&writer, version, &parameters);
        expect_written(version == 4 ? "01 0002 01 0002 6964 0001 00000001 01 00 00000001 71 0000"
                                      "0006 30 0008 0000000000000001"
                                    : "01 0002 01 0002 6964 0001 00000001 01 00 00000001 71 0000"
                                      "0006 00000030 0008 0000000000000001");
    }
    cql_write_batch_begin(&writer, CQL_BATCH_LOGGED, 0);
    parameters = plain();
    parameters.keyspace = TEXT("k");
    parameters.has_now = true;
    cql_write_batch_end(&writer, 5, &parameters);
    expect_written("00 0000 0006 00000180 0001 6b 00000000");
}

static void batch_of_65535_statements_is_written(void **state)
{
    (void)state;
    const size_t cap = 7 * (size_t)CQL_BATCH_COUNT_MAX + 100;
    struct cql_writer large;
    cql_writer_init(&large, (void *)(uintptr_t)bytes_repeated(cap, 0).data, cap);
    const struct cql_parameters parameters = plain();
    cql_write_batch_begin(&large, CQL_BATCH_COUNTER, CQL_BATCH_COUNT_MAX);
    for (size_t i = 0; i < CQL_BATCH_COUNT_MAX; i++) {
        cql_write_batch_prepared(&large, TEXT("id"), (struct cql_values_view){.count = 0});
    }
    cql_write_batch_end(&large, 4, &parameters);
    assert_false(large.overflowed);
    assert_int_equal(cql_writer_size(&large), 3 + 7 * (size_t)CQL_BATCH_COUNT_MAX + 3);
}

static void request_without_room_overflows_at_every_size(void **state)
{
    (void)state;
    char room[100];
    struct cql_values values;
    struct cql_parameters parameters = with_everything(&values, room, sizeof(room));
    cql_write_execute(&writer, 5, TEXT("id"), TEXT("meta"), &parameters);
    const size_t whole = cql_writer_size(&writer);
    for (size_t cap = 0; cap <= whole; cap++) {
        cql_writer_init(&writer, (void *)(uintptr_t)bytes_repeated(cap, 0).data, cap);
        cql_write_execute(&writer, 5, TEXT("id"), TEXT("meta"), &parameters);
        assert_int_equal(writer.overflowed, cap < whole);
    }
}

#define REQUEST_TEST(name) cmocka_unit_test_setup_teardown(name, start, bytes_release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REQUEST_TEST(startup_names_what_is_wanted),
        REQUEST_TEST(credentials_are_two_texts_behind_zeroes),
        REQUEST_TEST(credentials_without_room_overflow),
        REQUEST_TEST(register_names_the_events_asked_for),
        REQUEST_TEST(flags_of_a_query_are_one_byte_in_v4_and_four_in_v5),
        REQUEST_TEST(parameters_follow_each_other_in_the_order_of_the_specification),
        REQUEST_TEST(each_parameter_alone_sets_its_own_flag),
        REQUEST_TEST(prepare_has_flags_and_a_keyspace_in_v5_alone),
        REQUEST_TEST(batch_mixes_texts_and_ids),
        REQUEST_TEST(batch_of_65535_statements_is_written),
        REQUEST_TEST(request_without_room_overflows_at_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
