// Segments as they come: check sums, slices, packed ones; forged and damaged.
#include "cql_bytes.h"
#include "cql_crc.h"
#include "cql_frame.h"
#include "cql_frame_internal.h"
#include "cql_stream.h"
#include "fault_alloc.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

#include <lz4.h>
#include <zlib.h>

// --- segments ------------------------------------------------------------------------------

static void golden_segment_is_read(void **state)
{
    (void)state;
    // OPTIONS is no answer, so its version byte alone makes the golden payload refused, after its sums.
    struct stream stream = {0};
    stream_add_hex(&stream, READY5);
    stream_add_hex(&stream, "090002 a4c8c1 050000010500000000 b5557486");
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_VERSION);
    stream_free(&stream);
    stream_add_hex(&stream, READY5);
    stream_add_hex(&stream, "0900000004 c2b895 050000010500000000 b5557486");
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_LZ4), CQL_FRAME_FAILURE_VERSION);
    stream_free(&stream);
}

static void check_sums_have_their_starting_values(void **state)
{
    (void)state;
    assert_int_equal(cql_crc24((const unsigned char *)"\x09\x00\x02", 3), 0xC1C8A4);
    assert_int_equal(cql_crc24((const unsigned char *)"", 0), 0x875060);
    assert_int_equal(cql_crc32((const unsigned char *)"", 0),
                     crc32(0, (const Bytef *)"\xFA\x2D\x55\xCA", 4));
    assert_int_equal(cql_crc32((const unsigned char *)"\x05\0\0\x01\x05\0\0\0\0", 9), 0x867455B5);
}

// An envelope of that many bytes, header included, in segments.
static struct outcome read_large(size_t size)
{
    struct stream stream = {0};
    stream_add_hex(&stream, READY5);
    const struct text whole = envelope_of(5, CQL_OPCODE_RESULT, 3, bytes_random(size - 9, size));
    const bool fits = size <= CQL_SEGMENT_PAYLOAD_MAX;
    for (size_t at = 0; at < size; at += CQL_SEGMENT_PAYLOAD_MAX) {
        const size_t left = size - at;
        const size_t slice = left < CQL_SEGMENT_PAYLOAD_MAX ? left : CQL_SEGMENT_PAYLOAD_MAX;
        stream_add_segment(&stream, false, fits, (struct text){whole.data + at, slice}, 0);
    }
    stream_add_segment(&stream, false, true, bytes_of(VOID5), 0);
    const struct outcome outcome = read_stream(&stream, 5, CQL_COMPRESSION_NONE, 50000);
    stream_free(&stream);
    return outcome;
}

static void envelopes_of_a_segment_and_of_many_are_put_together(void **state)
{
    (void)state;
    static const size_t sizes[] = {131070, 131071, 131072, 262142, 262143, 20 * 131071, 2621500};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const struct outcome outcome = read_large(sizes[i]);
        assert_int_equal(outcome.failure, CQL_FRAME_FAILURE_NONE);
        assert_int_equal(outcome.count, 3);
    }
}

static void any_flipped_bit_of_a_segment_is_found(void **state)
{
    (void)state;
    struct stream stream = {0};
    stream_add_hex(&stream, READY5);
    const size_t start = stream.size;
    stream_add_segment(&stream, false, true, bytes_of(VOID5), 0);
    for (size_t bit = 8 * start; bit < 8 * stream.size; bit++) {
        stream.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_CHECKSUM);
        stream.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_NONE);
    stream_free(&stream);
}

static void flipped_bit_in_the_second_slice_is_found(void **state)
{
    (void)state;
    struct stream stream = {0};
    const struct text whole = envelope_of(5, CQL_OPCODE_RESULT, 3, bytes_random(200000, 1));
    const size_t first = CQL_SEGMENT_PAYLOAD_MAX;
    stream_add_hex(&stream, READY5);
    stream_add_segment(&stream, false, false, (struct text){whole.data, first}, 0);
    stream_add_segment(&stream, false, false, (struct text){whole.data + first, whole.size - first},
                       0);
    stream.bytes[stream.size - 1000] ^= 4;
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_CHECKSUM);
    stream_free(&stream);
}

static void slices_mixed_with_others_break_the_connection(void **state)
{
    (void)state;
    const struct text whole = envelope_of(5, CQL_OPCODE_RESULT, 3, bytes_random(100, 1));
    struct stream stream = {0};
    stream_add_hex(&stream, READY5);
    stream_add_segment(&stream, false, false, (struct text){whole.data, 50}, 0);
    stream_add_segment(&stream, false, true, bytes_of(VOID5), 0);
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_SEGMENT);
    stream_free(&stream);
    // more in the slices than the header says
    stream_add_hex(&stream, READY5);
    stream_add_segment(&stream, false, false, whole, 0);
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_NONE);
    stream_free(&stream);
    stream_add_hex(&stream, READY5);
    stream_add_segment(&stream, false, false, (struct text){whole.data, 50}, 0);
    stream_add_segment(&stream, false, false, whole, 0);
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_LENGTH);
    stream_free(&stream);
    // a header that is not whole in the first slice
    stream_add_hex(&stream, READY5);
    stream_add_segment(&stream, false, false, (struct text){whole.data, 8}, 0);
    assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_SEGMENT);
    stream_free(&stream);
}

static void part_of_an_envelope_in_a_whole_segment_breaks_the_connection(void **state)
{
    (void)state;
    const struct text whole = envelope_of(5, CQL_OPCODE_RESULT, 3, TEXT("\0\0\0\1"));
    for (size_t size = 1; size < whole.size; size++) {
        struct stream stream = {0};
        stream_add_hex(&stream, READY5);
        stream_add_segment(&stream, false, true, (struct text){whole.data, size}, 0);
        assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_NONE), CQL_FRAME_FAILURE_LENGTH);
        stream_free(&stream);
    }
}

static void empty_segments_say_nothing(void **state)
{
    (void)state;
    struct stream stream = {0};
    stream_add_hex(&stream, READY5);
    stream_add_segment(&stream, false, true, TEXT(""), 0);
    stream_add_segment(&stream, false, true, bytes_of(VOID5), 0);
    const struct outcome outcome = read_stream(&stream, 5, CQL_COMPRESSION_NONE, 1);
    assert_int_equal(outcome.failure, CQL_FRAME_FAILURE_NONE);
    assert_int_equal(outcome.count, 2);
    stream_free(&stream);
}

static void random_damage_never_reads_beyond_nor_invents(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (unsigned round = 0; round < 300; round++) {
        const bool lz4 = rand_below(&rand, 2) != 0;
        struct stream stream = {0};
        stream_add_hex(&stream, READY5);
        const struct text small =
            envelope_of(5, CQL_OPCODE_RESULT, 5, bytes_repeated(rand_below(&rand, 900), 'r'));
        for (unsigned i = 0; i < 5; i++) {
            if (lz4) {
                stream_add_packed_segment(&stream, true, small);
            } else {
                stream_add_segment(&stream, false, true, small, 0);
            }
        }
        const size_t at = 9 + rand_below(&rand, stream.size - 9);
        stream.bytes[at] ^= (unsigned char)(1 + rand_below(&rand, 255));
        const enum cql_compression compression = lz4 ? CQL_COMPRESSION_LZ4 : CQL_COMPRESSION_NONE;
        const struct outcome outcome =
            read_stream(&stream, 5, compression, 1 + rand_below(&rand, 3000));
        assert_true(outcome.count <= 6);
        // A size that seems larger is found at once: the header has a sum of its own.
        assert_int_not_equal(outcome.failure, CQL_FRAME_FAILURE_NONE);
        stream_free(&stream);
    }
}

// --- LZ4 -----------------------------------------------------------------------------------

static void packed_segment_that_lies_about_its_size_breaks_the_connection(void **state)
{
    (void)state;
    const struct text whole = envelope_of(5, CQL_OPCODE_RESULT, 3, bytes_repeated(1000, 'a'));
    char packed[2000];
    const int size = LZ4_compress_default(whole.data, packed, (int)whole.size, sizeof(packed));
    const struct text block = {packed, (size_t)size};
    const struct {
        struct text block;
        size_t unpacked;
        enum cql_frame_failure failure;
    } cases[] = {
        {block, whole.size, CQL_FRAME_FAILURE_NONE},
        {block, whole.size - 1, CQL_FRAME_FAILURE_COMPRESSION},
        {block, whole.size + 1, CQL_FRAME_FAILURE_COMPRESSION},
        {block, CQL_SEGMENT_PAYLOAD_MAX, CQL_FRAME_FAILURE_COMPRESSION},
        {{packed, block.size - 1}, whole.size, CQL_FRAME_FAILURE_COMPRESSION},
        {{packed, 0}, 10, CQL_FRAME_FAILURE_COMPRESSION},
        {whole, 0, CQL_FRAME_FAILURE_NONE}, // stored as it is
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stream stream = {0};
        stream_add_hex(&stream, READY5);
        stream_add_segment(&stream, true, true, cases[i].block, cases[i].unpacked);
        assert_int_equal(failure_of(&stream, 5, CQL_COMPRESSION_LZ4), cases[i].failure);
        stream_free(&stream);
    }
}

static void packed_slices_are_put_together(void **state)
{
    (void)state;
    const struct text whole = envelope_of(5, CQL_OPCODE_RESULT, 3, bytes_repeated(300000, 'z'));
    struct stream stream = {0};
    stream_add_hex(&stream, READY5);
    for (size_t at = 0; at < whole.size; at += CQL_SEGMENT_PAYLOAD_MAX) {
        const size_t left = whole.size - at;
        const size_t size = left < CQL_SEGMENT_PAYLOAD_MAX ? left : CQL_SEGMENT_PAYLOAD_MAX;
        stream_add_packed_segment(&stream, false, (struct text){whole.data + at, size});
    }
    const struct outcome outcome = read_stream(&stream, 5, CQL_COMPRESSION_LZ4, 100);
    assert_int_equal(outcome.failure, CQL_FRAME_FAILURE_NONE);
    assert_int_equal(outcome.count, 2);
    assert_int_equal(outcome.last_size, 300000);
    stream_free(&stream);
}

// A v4 body: its size, big-endian, then the block.
static struct text packed_body(struct text body, uint32_t claimed, size_t cut)
{
    struct stream stream = {0};
    unsigned char size[4];
    char packed[4000];
    cql_store_int(size, claimed);
    const int packed_size = LZ4_compress_default(body.data, packed, (int)body.size, sizeof(packed));
    stream_add(&stream, size, sizeof(size));
    stream_add(&stream, packed, (size_t)packed_size - cut);
    const struct text copy = bytes_copy((struct text){(char *)stream.bytes, stream.size});
    stream_free(&stream);
    return copy;
}

static void packed_body_of_v4_is_unpacked_or_breaks_the_connection(void **state)
{
    (void)state;
    const struct text body = bytes_repeated(1000, 'q');
    const struct {
        struct text body;
        enum cql_frame_failure failure;
    } cases[] = {
        {packed_body(body, 1000, 0), CQL_FRAME_FAILURE_NONE},
        {packed_body(body, 999, 0), CQL_FRAME_FAILURE_COMPRESSION},
        {packed_body(body, 1001, 0), CQL_FRAME_FAILURE_COMPRESSION},
        {packed_body(body, 0x10000000, 0), CQL_FRAME_FAILURE_COMPRESSION},
        {packed_body(body, 0x10000001, 0), CQL_FRAME_FAILURE_COMPRESSION},
        {packed_body(body, 0xFFFFFFFF, 0), CQL_FRAME_FAILURE_COMPRESSION},
        {packed_body(body, 1000, 1), CQL_FRAME_FAILURE_COMPRESSION},
        {packed_body(TEXT(""), 0, 0), CQL_FRAME_FAILURE_NONE},
        {bytes_of("000000"), CQL_FRAME_FAILURE_COMPRESSION},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stream stream = {0};
        const struct text answer = envelope_of(4, CQL_OPCODE_RESULT, 1, cases[i].body);
        stream_add(&stream, answer.data, answer.size);
        stream.bytes[1] = CQL_FLAG_COMPRESSED;
        const struct outcome outcome = read_stream(&stream, 4, CQL_COMPRESSION_LZ4, SIZE_MAX);
        assert_int_equal(outcome.failure, cases[i].failure);
        assert_int_equal(outcome.last.flags, 0);
        stream_free(&stream);
    }
}

static void flag_of_packed_bodies_says_nothing_in_v5(void **state)
{
    (void)state;
    struct stream stream = {0};
    stream_add_hex(&stream, READY5);
    stream_add_segment(&stream, true, true, bytes_of("85 01 0001 08 00000004 00000001"), 0);
    const struct outcome outcome = read_stream(&stream, 5, CQL_COMPRESSION_LZ4, SIZE_MAX);
    assert_int_equal(outcome.failure, CQL_FRAME_FAILURE_NONE);
    assert_int_equal(outcome.count, 2);
    assert_int_equal(outcome.last.flags, 0);
    stream_free(&stream);
}

// A claim that no block of that size can make true costs no memory.
static void size_that_a_block_cannot_have_is_refused_before_memory_is_taken(void **state)
{
    (void)state;
    struct cql_frame_reader reader;
    struct cql_envelope envelope;
    assert_int_equal(
        cql_frame_reader_init(&reader, 4, CQL_COMPRESSION_LZ4, CQL_FRAME_LIMITS_DEFAULT), ERR_OK);
    const struct text bytes = bytes_of("84 01 0001 08 00000008 10000000 00000000");
    memcpy(cql_frame_room(&reader).data, bytes.data, bytes.size);
    cql_frame_received(&reader, bytes.size);
    fault_alloc_arm(1);
    assert_int_equal(cql_frame_next(&reader, &envelope), CQL_FRAME_BROKEN);
    fault_alloc_disarm();
    assert_false(fault_alloc_hit());
    assert_int_equal(reader.failure, CQL_FRAME_FAILURE_COMPRESSION);
    cql_frame_reader_deinit(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(golden_segment_is_read, bytes_release),
        cmocka_unit_test_teardown(check_sums_have_their_starting_values, bytes_release),
        cmocka_unit_test_teardown(envelopes_of_a_segment_and_of_many_are_put_together,
                                  bytes_release),
        cmocka_unit_test_teardown(any_flipped_bit_of_a_segment_is_found, bytes_release),
        cmocka_unit_test_teardown(flipped_bit_in_the_second_slice_is_found, bytes_release),
        cmocka_unit_test_teardown(slices_mixed_with_others_break_the_connection, bytes_release),
        cmocka_unit_test_teardown(part_of_an_envelope_in_a_whole_segment_breaks_the_connection,
                                  bytes_release),
        cmocka_unit_test_teardown(empty_segments_say_nothing, bytes_release),
        cmocka_unit_test_teardown(random_damage_never_reads_beyond_nor_invents, bytes_release),
        cmocka_unit_test_teardown(packed_segment_that_lies_about_its_size_breaks_the_connection,
                                  bytes_release),
        cmocka_unit_test_teardown(packed_slices_are_put_together, bytes_release),
        cmocka_unit_test_teardown(packed_body_of_v4_is_unpacked_or_breaks_the_connection,
                                  bytes_release),
        cmocka_unit_test_teardown(flag_of_packed_bodies_says_nothing_in_v5, bytes_release),
        cmocka_unit_test_teardown(size_that_a_block_cannot_have_is_refused_before_memory_is_taken,
                                  bytes_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
