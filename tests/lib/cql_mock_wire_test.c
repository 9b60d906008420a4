// The mock's bytes against vectors of the specification and at the limits of segments.
#include "cql_mock_wire.h"

#include <string.h>

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const unsigned char options_v5[] = {5, 0, 0, 1, 5, 0, 0, 0, 0};

static void a_segment_is_as_other_drivers_make_it(void **state)
{
    (void)state;
    static const unsigned char known[] = {0x09, 0x00, 0x02, 0xa4, 0xc8, 0xc1, 5,    0,    0,   1,
                                          5,    0,    0,    0,    0,    0xb5, 0x55, 0x74, 0x86};
    struct cql_mock_bytes bytes = {0};
    cql_mock_put_segment(&bytes, options_v5, sizeof options_v5, true);
    assert_int_equal(bytes.size, sizeof known);
    assert_memory_equal(bytes.data, known, sizeof known);
    cql_mock_bytes_free(&bytes);
}

static void a_segment_is_read_back_and_only_when_whole(void **state)
{
    (void)state;
    struct cql_mock_bytes bytes = {0};
    struct cql_mock_segment segment;
    cql_mock_put_segment(&bytes, options_v5, sizeof options_v5, true);
    for (size_t size = 0; size < bytes.size; size++) {
        assert_int_equal(cql_mock_read_segment(bytes.data, size, &segment), CQL_MOCK_SEGMENT_MORE);
    }
    assert_int_equal(cql_mock_read_segment(bytes.data, bytes.size, &segment), CQL_MOCK_SEGMENT);
    assert_true(segment.is_self_contained);
    assert_int_equal(segment.size, bytes.size);
    assert_int_equal(segment.payload_size, sizeof options_v5);
    assert_memory_equal(segment.payload, options_v5, sizeof options_v5);
    cql_mock_bytes_free(&bytes);
}

static void any_flipped_bit_of_a_segment_is_found(void **state)
{
    (void)state;
    struct cql_mock_bytes bytes = {0};
    struct cql_mock_segment segment;
    cql_mock_put_segment(&bytes, options_v5, sizeof options_v5, true);
    for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
        bytes.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_equal(cql_mock_read_segment(bytes.data, bytes.size, &segment),
                         CQL_MOCK_SEGMENT_BAD);
        bytes.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    cql_mock_bytes_free(&bytes);
}

static void flawed_segments_are_found(void **state)
{
    (void)state;
    const enum cql_mock_flaw flaws[] = {CQL_MOCK_FLAW_HEADER_CRC, CQL_MOCK_FLAW_PAYLOAD_CRC};
    for (unsigned i = 0; i < 2; i++) {
        struct cql_mock_bytes bytes = {0};
        struct cql_mock_segment segment;
        cql_mock_put_segments(&bytes, options_v5, sizeof options_v5, flaws[i], 0);
        assert_int_equal(cql_mock_read_segment(bytes.data, bytes.size, &segment),
                         CQL_MOCK_SEGMENT_BAD);
        bytes.size = 0;
        cql_mock_put_segments(&bytes, options_v5, sizeof options_v5, flaws[i], 1);
        assert_int_equal(cql_mock_read_segment(bytes.data, bytes.size, &segment), CQL_MOCK_SEGMENT);
        cql_mock_bytes_free(&bytes);
    }
}

static unsigned count_segments(const struct cql_mock_bytes *bytes, bool is_self_contained,
                               size_t payload_size)
{
    unsigned count = 0;
    size_t total = 0;
    struct cql_mock_segment segment;
    for (size_t at = 0; at < bytes->size; at += segment.size, count++) {
        assert_int_equal(cql_mock_read_segment(bytes->data + at, bytes->size - at, &segment),
                         CQL_MOCK_SEGMENT);
        assert_int_equal(segment.is_self_contained, is_self_contained);
        total += segment.payload_size;
    }
    assert_int_equal(total, payload_size);
    return count;
}

static void what_does_not_fit_in_a_segment_is_sliced(void **state)
{
    (void)state;
    static unsigned char envelope[2 * CQL_MOCK_SEGMENT_PAYLOAD_MAX + 1];
    const struct {
        size_t size;
        unsigned count;
    } cases[] = {{CQL_MOCK_SEGMENT_PAYLOAD_MAX - 1, 1},
                 {CQL_MOCK_SEGMENT_PAYLOAD_MAX, 1},
                 {CQL_MOCK_SEGMENT_PAYLOAD_MAX + 1, 2},
                 {2 * CQL_MOCK_SEGMENT_PAYLOAD_MAX, 2},
                 {2 * CQL_MOCK_SEGMENT_PAYLOAD_MAX + 1, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cql_mock_bytes bytes = {0};
        cql_mock_put_segments(&bytes, envelope, cases[i].size, CQL_MOCK_NO_FLAW, 0);
        assert_int_equal(count_segments(&bytes, cases[i].count == 1, cases[i].size),
                         cases[i].count);
        cql_mock_bytes_free(&bytes);
    }
}

static void headers_read_back_as_they_were_put(void **state)
{
    (void)state;
    static const unsigned char known[] = {0x85, 0x08, 0xFF, 0xFF, 0x0C, 0x01, 0x02, 0x03, 0x04};
    const struct cql_mock_header header = {
        .version = 0x85, .flags = 8, .stream = -1, .opcode = 12, .length = 0x01020304};
    struct cql_mock_bytes bytes = {0};
    cql_mock_put_header(&bytes, &header);
    assert_int_equal(bytes.size, CQL_MOCK_HEADER_SIZE);
    assert_memory_equal(bytes.data, known, sizeof known);
    struct cql_mock_header back = cql_mock_read_header(bytes.data);
    assert_int_equal(back.version, header.version);
    assert_int_equal(back.flags, header.flags);
    assert_int_equal(back.stream, header.stream);
    assert_int_equal(back.opcode, header.opcode);
    assert_int_equal(back.length, header.length);
    cql_mock_bytes_free(&bytes);
}

static void a_reader_stays_bad_after_its_end(void **state)
{
    (void)state;
    const unsigned char bytes[] = {0, 3, 'a', 'b'};
    struct cql_mock_reader reader = {.at = bytes, .left = sizeof bytes};
    assert_true(cql_mock_take_string(&reader).is_bad);
    assert_true(reader.is_bad);
    assert_int_equal(cql_mock_take_byte(&reader), 0);
    const unsigned char negative[] = {0xFF, 0xFF, 0xFF, 0xFD, 0};
    reader = (struct cql_mock_reader){.at = negative, .left = sizeof negative};
    assert_true(cql_mock_take_value(&reader).is_bad); // -3 is neither null nor unset
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_is_as_other_drivers_make_it),
        cmocka_unit_test(a_segment_is_read_back_and_only_when_whole),
        cmocka_unit_test(any_flipped_bit_of_a_segment_is_found),
        cmocka_unit_test(flawed_segments_are_found),
        cmocka_unit_test(what_does_not_fit_in_a_segment_is_sliced),
        cmocka_unit_test(headers_read_back_as_they_were_put),
        cmocka_unit_test(a_reader_stays_bad_after_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
