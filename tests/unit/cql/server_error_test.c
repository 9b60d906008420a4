// Every ERROR in the shape that its code has in v4 and in v5, cut short at every byte.
#include "cql_bytes.h"
#include "cql_response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

static struct cql_response response;
static const struct cql_server_error *const error = &response.error;

static bool reads(int version, struct text body)
{
    const struct cql_envelope envelope = bytes_answer(version, CQL_OPCODE_ERROR, 0, body);
    return cql_response_read(&envelope, &response);
}

// The code, the message "no", then the details. `optional` of the last bytes may be missing.
static void read_error(int version, int32_t code, const char *details)
{
    char hex[1000];
    (void)snprintf(hex, sizeof(hex), "%08x 0002 6e6f %s", (unsigned)code, details);
    const struct text body = bytes_of(hex);
    for (size_t size = 0; size < body.size; size++) {
        assert_false(reads(version, bytes_copy((struct text){body.data, size})));
    }
    char *longer = (char *)(uintptr_t)bytes_repeated(body.size + 5, 0x5A).data;
    memcpy(longer, body.data, body.size);
    assert_true(reads(version, (struct text){longer, body.size + 5}));
    assert_true(reads(version, body));
    assert_int_equal(error->code, code);
    assert_true(text_equal(error->message, TEXT("no")));
}

static void plain_errors_have_a_code_and_a_message(void **state)
{
    (void)state;
    static const int32_t codes[] = {
        CQL_ERROR_SERVER,
        CQL_ERROR_PROTOCOL,
        CQL_ERROR_AUTHENTICATION,
        CQL_ERROR_OVERLOADED,
        CQL_ERROR_IS_BOOTSTRAPPING,
        CQL_ERROR_TRUNCATE,
        CQL_ERROR_CDC_WRITE_FAILURE,
        CQL_ERROR_SYNTAX,
        CQL_ERROR_UNAUTHORIZED,
        CQL_ERROR_INVALID,
        CQL_ERROR_CONFIG,
        0x4321,
        -1,
    };
    for (int version = 4; version <= 5; version++) {
        for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
            read_error(version, codes[i], "");
            assert_int_equal(error->received, 0);
        }
    }
}

static void unavailable_tells_required_and_alive(void **state)
{
    (void)state;
    for (int version = 4; version <= 5; version++) {
        read_error(version, CQL_ERROR_UNAVAILABLE, "0004 00000003 00000001");
        assert_int_equal(error->consistency, CQL_QUORUM);
        assert_int_equal(error->required, 3);
        assert_int_equal(error->received, 1);
    }
}

static void write_timeout_tells_its_write_type(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum cql_write_type type;
    } cases[] = {
        {"0006 53494d504c45", CQL_WRITE_SIMPLE},
        {"0005 4241544348", CQL_WRITE_BATCH},
        {"000e 554e4c4f474745445f4241544348", CQL_WRITE_UNLOGGED_BATCH},
        {"0007 434f554e544552", CQL_WRITE_COUNTER},
        {"0009 42415443485f4c4f47", CQL_WRITE_BATCH_LOG},
        {"0004 56494557", CQL_WRITE_VIEW},
        {"0003 434443", CQL_WRITE_CDC},
        {"0003 4f4444", CQL_WRITE_OTHER},
        {"0000", CQL_WRITE_OTHER},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char details[200];
        (void)snprintf(details, sizeof(details), "0006 00000001 00000002 %s", cases[i].hex);
        read_error(4, CQL_ERROR_WRITE_TIMEOUT, details);
        assert_int_equal(error->write_type, cases[i].type);
        assert_int_equal(error->consistency, CQL_LOCAL_QUORUM);
        assert_int_equal(error->received, 1);
        assert_int_equal(error->required, 2);
    }
}

static void contentions_of_a_conditional_write_may_be_missing(void **state)
{
    (void)state;
    static const char with[] = "00001100 0000 0008 00000001 00000002 0003 434153 0005";
    static const char without[] = "00001100 0000 0008 00000001 00000002 0003 434153";
    assert_true(reads(5, bytes_of(with)));
    assert_int_equal(error->write_type, CQL_WRITE_CAS);
    assert_int_equal(error->contentions, 5);
    assert_true(reads(5, bytes_of(without)));
    assert_int_equal(error->contentions, 0);
}

static void read_timeout_tells_whether_the_data_came(void **state)
{
    (void)state;
    read_error(4, CQL_ERROR_READ_TIMEOUT, "0001 00000001 00000002 00");
    assert_false(error->data_present);
    read_error(5, CQL_ERROR_READ_TIMEOUT, "0001 00000002 00000002 07");
    assert_true(error->data_present);
    assert_int_equal(error->received, 2);
}

static void failures_are_a_number_in_v4_and_a_map_in_v5(void **state)
{
    (void)state;
    struct cql_inet address;
    uint16_t reason = 0;
    read_error(4, CQL_ERROR_READ_FAILURE, "0001 00000001 00000002 00000003 01");
    assert_int_equal(error->failure_count, 3);
    assert_int_equal(error->failures.count, 0);
    assert_true(error->data_present);
    read_error(5, CQL_ERROR_READ_FAILURE,
               "0001 00000001 00000002"
               "00000002 04 0a000001 0001 10 20010db8000000000000000000000001 0002 01");
    assert_int_equal(error->failure_count, 2);
    assert_true(error->data_present);
    struct cql_failure_map map = error->failures;
    assert_true(cql_failure_next(&map, &address, &reason));
    assert_int_equal(address.size, 4);
    assert_int_equal(reason, 1);
    assert_true(cql_failure_next(&map, &address, &reason));
    assert_int_equal(address.size, 16);
    assert_int_equal(reason, 2);
    assert_false(cql_failure_next(&map, &address, &reason));
    read_error(4, CQL_ERROR_WRITE_FAILURE, "0001 00000001 00000002 00000003 0006 53494d504c45");
    assert_int_equal(error->failure_count, 3);
    assert_int_equal(error->write_type, CQL_WRITE_SIMPLE);
    read_error(5, CQL_ERROR_WRITE_FAILURE,
               "0001 00000001 00000002 00000001 04 0a000001 0000 0006 53494d504c45");
    assert_int_equal(error->failures.count, 1);
    assert_int_equal(error->write_type, CQL_WRITE_SIMPLE);
}

static void failure_maps_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const char *const counts[] = {"ffffffff", "7fffffff", "00000002"};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        char hex[200];
        (void)snprintf(hex, sizeof(hex), "00001300 0000 0001 00000001 00000002 %s %s", counts[i],
                       "04 0a000001 0000 01");
        assert_false(reads(5, bytes_of(hex)));
    }
}

static void other_errors_have_names_and_ids(void **state)
{
    (void)state;
    read_error(5, CQL_ERROR_CAS_WRITE_UNKNOWN, "0008 00000001 00000002");
    assert_int_equal(error->consistency, CQL_SERIAL);
    assert_int_equal(error->required, 2);
    read_error(5, CQL_ERROR_FUNCTION_FAILURE, "0002 6b73 0001 66 0001 0003 696e74");
    assert_true(text_equal(error->name, TEXT("f")));
    assert_int_equal(error->arguments.count, 1);
    read_error(4, CQL_ERROR_ALREADY_EXISTS, "0002 6b73 0000");
    assert_true(text_equal(error->keyspace, TEXT("ks")));
    assert_int_equal(error->name.size, 0);
    read_error(4, CQL_ERROR_UNPREPARED, "0003 010203");
    bytes_expect(error->unprepared_id, "010203");
}

#define ERROR_TEST(name) cmocka_unit_test_teardown(name, bytes_release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ERROR_TEST(plain_errors_have_a_code_and_a_message),
        ERROR_TEST(unavailable_tells_required_and_alive),
        ERROR_TEST(write_timeout_tells_its_write_type),
        ERROR_TEST(contentions_of_a_conditional_write_may_be_missing),
        ERROR_TEST(read_timeout_tells_whether_the_data_came),
        ERROR_TEST(failures_are_a_number_in_v4_and_a_map_in_v5),
        ERROR_TEST(failure_maps_that_cannot_be_are_refused),
        ERROR_TEST(other_errors_have_names_and_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
