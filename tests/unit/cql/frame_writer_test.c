// What is sent: as few segments as possible, nothing lost when there is no room, and what was written is what a
// reader gets. Requests are turned into answers (the version's high bit) for the reader's sake.
#include "cql_bytes.h"
#include "cql_frame.h"
#include "cql_frame_internal.h"
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

#define WRITER_CAP (8u << 20)

static struct cql_frame_writer writer_of(int version, enum cql_compression compression, size_t cap)
{
    struct cql_frame_writer writer;
    assert_int_equal(cql_frame_writer_init(&writer, version, compression, cap), ERR_OK);
    return writer;
}

static struct cql_frame_writer started_writer(int version, enum cql_compression compression)
{
    struct cql_frame_writer writer = writer_of(version, compression, WRITER_CAP);
    cql_frame_writer_started(&writer, compression);
    return writer;
}

static enum err put(struct cql_frame_writer *writer, int16_t stream, struct text body)
{
    cql_write_raw(cql_frame_begin(writer, CQL_OPCODE_EXECUTE, 0, stream), body);
    return cql_frame_end(writer);
}

// --- reading back ---------------------------------------------------------------------------------

// What the server of these tests sees: envelopes of the ready bytes, bodies one behind the other.
struct seen {
    size_t count;
    size_t segments;
    size_t self_contained;
    char *bodies;
    size_t size;
};

static void see_envelope(struct seen *seen, const char *at, size_t size)
{
    seen->bodies = realloc(seen->bodies, seen->size + size + 1);
    assert_non_null(seen->bodies);
    memcpy(seen->bodies + seen->size, at, size);
    seen->size += size;
    seen->count++;
}

// Turns the version bytes of requests into those of answers and gives them to a bare v4 reader, which knows
// bodies packed too.
static void see_bare(struct seen *seen, struct text bytes)
{
    struct cql_frame_reader reader;
    struct cql_envelope envelope;
    assert_int_equal(cql_frame_reader_init(&reader, 4, CQL_COMPRESSION_LZ4,
                                           (struct cql_frame_limits){16u << 20, 256u << 20}),
                     ERR_OK);
    const struct text copy = bytes_copy(bytes);
    for (size_t at = 0; at < copy.size;) {
        unsigned char *head = (unsigned char *)(uintptr_t)copy.data + at;
        struct cql_reader length;
        cql_reader_init(&length, (struct text){(char *)head + 5, 4});
        head[0] = 0x84;
        at += 9 + (size_t)cql_read_int(&length);
    }
    memcpy(cql_frame_room(&reader).data, copy.data, copy.size);
    cql_frame_received(&reader, copy.size);
    enum cql_frame_step step;
    while ((step = cql_frame_next(&reader, &envelope)) == CQL_FRAME_ENVELOPE) {
        see_envelope(seen, envelope.body.data, envelope.body.size);
    }
    assert_int_equal(step, CQL_FRAME_MORE);
    cql_frame_reader_deinit(&reader);
}

// Segments, each checked as the reader does; their payloads together are bare envelopes.
static struct seen see(struct text bytes, enum cql_compression compression, bool segmented)
{
    struct seen seen = {0};
    if (!segmented) {
        see_bare(&seen, bytes);
        return seen;
    }
    struct cql_frame_reader reader;
    struct cql_envelope envelope;
    const unsigned char *at = (const unsigned char *)bytes.data;
    size_t left = bytes.size;
    const size_t header_size = cql_segment_header_size(compression);
    while (left > 0) {
        struct cql_segment_header header;
        assert_true(left >= header_size);
        assert_true(cql_segment_header_read(at, compression, &header));
        const size_t size = header_size + header.stored_size + CQL_SEGMENT_TRAILER_SIZE;
        assert_true(left >= size);
        assert_true(cql_segment_trailer_check(at + header_size, header.stored_size));
        seen.segments++;
        seen.self_contained += header.self_contained;
        at += size;
        left -= size;
    }
    // What is read here was written by answer_put, since the reader refuses requests.
    assert_int_equal(cql_frame_reader_init(&reader, 5, compression,
                                           (struct cql_frame_limits){16u << 20, 256u << 20}),
                     ERR_OK);
    const struct text ready = bytes_of("85 00 0000 02 00000000");
    struct cql_frame_room room = cql_frame_room(&reader);
    memcpy(room.data, ready.data, ready.size);
    memcpy((char *)room.data + ready.size, bytes.data, bytes.size);
    cql_frame_received(&reader, ready.size + bytes.size);
    assert_int_equal(cql_frame_next(&reader, &envelope), CQL_FRAME_ENVELOPE);
    enum cql_frame_step step;
    while ((step = cql_frame_next(&reader, &envelope)) == CQL_FRAME_ENVELOPE) {
        see_envelope(&seen, envelope.body.data, envelope.body.size);
    }
    assert_int_equal(step, CQL_FRAME_MORE);
    cql_frame_reader_deinit(&reader);
    return seen;
}

// An envelope that the reader takes for an answer.
static enum err answer_put(struct cql_frame_writer *writer, struct text body)
{
    struct cql_writer *out = cql_frame_begin(writer, CQL_OPCODE_EXECUTE, 0, 1);
    cql_write_raw(out, body);
    if (!out->overflowed) {
        out->begin[-9] = (unsigned char)(0x80 | writer->version);
    }
    return cql_frame_end(writer);
}

static void expect_bodies(const struct seen *seen, const struct text *bodies, size_t count)
{
    size_t at = 0;
    assert_int_equal(seen->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_true(at + bodies[i].size <= seen->size);
        assert_true(bodies[i].size == 0 ||
                    memcmp(seen->bodies + at, bodies[i].data, bodies[i].size) == 0);
        at += bodies[i].size;
    }
    assert_int_equal(at, seen->size);
}

// --- tests ----------------------------------------------------------------------------------------

static void golden_vectors_are_written(void **state)
{
    (void)state;
    struct cql_frame_writer writer = writer_of(5, CQL_COMPRESSION_NONE, 1000);
    (void)cql_frame_begin(&writer, CQL_OPCODE_OPTIONS, 0, 1);
    assert_int_equal(cql_frame_end(&writer), ERR_OK);
    bytes_expect(cql_frame_ready(&writer), "050000010500000000");
    cql_frame_sent(&writer, 9);
    cql_frame_writer_started(&writer, CQL_COMPRESSION_NONE);
    (void)cql_frame_begin(&writer, CQL_OPCODE_OPTIONS, 0, 1);
    assert_int_equal(cql_frame_end(&writer), ERR_OK);
    assert_int_equal(cql_frame_ready(&writer).size, 0); // the segment is still open
    cql_frame_seal(&writer);
    bytes_expect(cql_frame_ready(&writer), "090002 a4c8c1 050000010500000000 b5557486");
    cql_frame_writer_deinit(&writer);

    writer = writer_of(5, CQL_COMPRESSION_LZ4, 1000);
    cql_frame_writer_started(&writer, CQL_COMPRESSION_LZ4);
    (void)cql_frame_begin(&writer, CQL_OPCODE_OPTIONS, 0, 1);
    assert_int_equal(cql_frame_end(&writer), ERR_OK);
    cql_frame_seal(&writer);
    bytes_expect(cql_frame_ready(&writer), "0900000004 c2b895 050000010500000000 b5557486");
    cql_frame_writer_deinit(&writer);
}

static void header_has_flags_stream_opcode_and_length(void **state)
{
    (void)state;
    struct cql_frame_writer writer = writer_of(4, CQL_COMPRESSION_NONE, 1000);
    cql_write_short(cql_frame_begin(&writer, CQL_OPCODE_QUERY, CQL_FLAG_TRACING, 0x7FFF), 0xABCD);
    assert_int_equal(cql_frame_end(&writer), ERR_OK);
    bytes_expect(cql_frame_ready(&writer), "04 02 7fff 07 00000002 abcd");
    cql_frame_writer_deinit(&writer);
}

static void many_envelopes_share_a_segment(void **state)
{
    (void)state;
    struct cql_frame_writer writer = started_writer(5, CQL_COMPRESSION_NONE);
    struct text bodies[1000];
    for (size_t i = 0; i < 1000; i++) {
        bodies[i] = bytes_random(300, i);
        assert_int_equal(answer_put(&writer, bodies[i]), ERR_OK);
    }
    cql_frame_seal(&writer);
    struct seen seen = see(cql_frame_ready(&writer), CQL_COMPRESSION_NONE, true);
    // 424 envelopes of 309 bytes fit in 131,071
    assert_int_equal(seen.segments, 3);
    assert_int_equal(seen.self_contained, 3);
    expect_bodies(&seen, bodies, 1000);
    free(seen.bodies);
    cql_frame_writer_deinit(&writer);
}

static void envelope_at_the_edge_of_a_segment_is_whole_and_beyond_it_is_cut(void **state)
{
    (void)state;
    static const struct {
        size_t size; // of an envelope, with its header
        size_t segments;
    } cases[] = {{131070, 1}, {131071, 1}, {131072, 2}, {262142, 2}, {262143, 3}, {2621420, 20}};
    for (int lz4 = 0; lz4 <= 1; lz4++) {
        const enum cql_compression compression = lz4 ? CQL_COMPRESSION_LZ4 : CQL_COMPRESSION_NONE;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            for (int packable = 0; packable <= 1; packable++) {
                struct cql_frame_writer writer = started_writer(5, compression);
                const size_t size = cases[i].size - 9;
                const struct text bodies[] = {
                    TEXT("before"),
                    packable ? bytes_repeated(size, 'p') : bytes_random(size, size),
                    TEXT("after"),
                };
                for (size_t k = 0; k < 3; k++) {
                    assert_int_equal(answer_put(&writer, bodies[k]), ERR_OK);
                }
                cql_frame_seal(&writer);
                struct seen seen = see(cql_frame_ready(&writer), compression, true);
                expect_bodies(&seen, bodies, 3);
                // "before" and "after" have a segment each, since the large one leaves no room
                assert_int_equal(seen.segments, 2 + cases[i].segments);
                assert_int_equal(seen.self_contained, cases[i].segments == 1 ? 3 : 2);
                free(seen.bodies);
                cql_frame_writer_deinit(&writer);
            }
        }
    }
}

static void what_does_not_get_smaller_is_stored_as_it_is(void **state)
{
    (void)state;
    struct cql_frame_writer writer = started_writer(5, CQL_COMPRESSION_LZ4);
    const struct text noise = bytes_random(5000, 3);
    assert_int_equal(answer_put(&writer, noise), ERR_OK);
    cql_frame_seal(&writer);
    assert_int_equal(cql_frame_ready(&writer).size, 8 + 9 + 5000 + 4);
    cql_frame_sent(&writer, cql_frame_ready(&writer).size);
    assert_int_equal(answer_put(&writer, bytes_repeated(5000, 'c')), ERR_OK);
    cql_frame_seal(&writer);
    assert_true(cql_frame_ready(&writer).size < 200);
    cql_frame_writer_deinit(&writer);
}

static void body_of_v4_is_packed_once_started_and_when_it_helps(void **state)
{
    (void)state;
    struct cql_frame_writer writer = writer_of(4, CQL_COMPRESSION_LZ4, WRITER_CAP);
    const struct text body = bytes_repeated(5000, 'v');
    assert_int_equal(put(&writer, 1, body), ERR_OK);
    assert_int_equal(cql_frame_ready(&writer).size, 5009); // STARTUP is never packed
    cql_frame_sent(&writer, 5009);
    cql_frame_writer_started(&writer, CQL_COMPRESSION_LZ4);
    const struct text bodies[] = {
        body,
        bytes_random(5000, 1),
        bytes_repeated(CQL_COMPRESS_SIZE_MIN - 1, 's'),
        bytes_repeated(CQL_COMPRESS_SIZE_MIN, 's'),
        bytes_repeated(CQL_SEGMENT_PAYLOAD_MAX, 's'),
        bytes_repeated(CQL_SEGMENT_PAYLOAD_MAX + 1, 's'), // not packed: more than the scratch holds
        TEXT(""),
    };
    static const bool packed[] = {true, false, false, true, true, false, false};
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(put(&writer, 1, bodies[i]), ERR_OK);
        const struct text ready = cql_frame_ready(&writer);
        assert_int_equal((ready.data[1] & CQL_FLAG_COMPRESSED) != 0, packed[i]);
        assert_int_equal(ready.size < 9 + bodies[i].size, packed[i]);
        struct seen seen = see(ready, CQL_COMPRESSION_LZ4, false);
        expect_bodies(&seen, &bodies[i], 1);
        free(seen.bodies);
        cql_frame_sent(&writer, ready.size);
    }
    cql_frame_writer_deinit(&writer);
}

static void segment_is_filled_to_its_last_byte(void **state)
{
    (void)state;
    for (size_t size = CQL_SEGMENT_PAYLOAD_MAX - 1; size <= CQL_SEGMENT_PAYLOAD_MAX + 1; size++) {
        struct cql_frame_writer writer = started_writer(5, CQL_COMPRESSION_NONE);
        const struct text bodies[] = {bytes_random(1000, 1),
                                      bytes_random(size - 1000 - 2 * (size_t)9, 2)};
        assert_int_equal(answer_put(&writer, bodies[0]), ERR_OK);
        assert_int_equal(answer_put(&writer, bodies[1]), ERR_OK);
        cql_frame_seal(&writer);
        struct seen seen = see(cql_frame_ready(&writer), CQL_COMPRESSION_NONE, true);
        expect_bodies(&seen, bodies, 2);
        assert_int_equal(seen.segments, size <= CQL_SEGMENT_PAYLOAD_MAX ? 1 : 2);
        free(seen.bodies);
        cql_frame_writer_deinit(&writer);
    }
}

// Something always waits to be sent, as behind a slow peer; what was sent makes room again.
static void room_comes_back_though_the_writer_is_never_idle(void **state)
{
    (void)state;
    for (int version = 4; version <= 5; version++) {
        struct cql_frame_writer writer = writer_of(version, CQL_COMPRESSION_NONE, 4096);
        cql_frame_writer_started(&writer, CQL_COMPRESSION_NONE);
        size_t waiting = 0;
        for (unsigned i = 0; i < 1000; i++) {
            assert_int_equal(answer_put(&writer, bytes_repeated(500, 'w')), ERR_OK);
            cql_frame_seal(&writer);
            const size_t size = cql_frame_ready(&writer).size;
            cql_frame_sent(&writer, waiting);
            waiting = size - waiting;
            assert_false(cql_frame_writer_idle(&writer));
        }
        cql_frame_writer_deinit(&writer);
    }
}

static void packed_body_is_never_larger_than_it_was(void **state)
{
    (void)state;
    struct cql_frame_writer writer = started_writer(4, CQL_COMPRESSION_LZ4);
    for (size_t repeated = 0; repeated < 60; repeated++) {
        const struct text noise = bytes_random(1000, repeated);
        memset((char *)(uintptr_t)noise.data + 400, 'x', repeated);
        assert_int_equal(put(&writer, 1, noise), ERR_OK);
        const struct text ready = cql_frame_ready(&writer);
        assert_true(ready.size <= 1009);
        assert_int_equal((ready.data[1] & CQL_FLAG_COMPRESSED) != 0, ready.size < 1009);
        cql_frame_sent(&writer, ready.size);
    }
    cql_frame_writer_deinit(&writer);
}

static void compression_that_was_not_agreed_on_is_not_used(void **state)
{
    (void)state;
    struct cql_frame_writer writer = writer_of(5, CQL_COMPRESSION_LZ4, WRITER_CAP);
    cql_frame_writer_started(&writer, CQL_COMPRESSION_NONE);
    const struct text body = bytes_repeated(5000, 'n');
    assert_int_equal(answer_put(&writer, body), ERR_OK);
    cql_frame_seal(&writer);
    struct seen seen = see(cql_frame_ready(&writer), CQL_COMPRESSION_NONE, true);
    expect_bodies(&seen, &body, 1);
    free(seen.bodies);
    cql_frame_writer_deinit(&writer);
}

static void envelope_without_room_is_dropped_and_the_others_stay(void **state)
{
    (void)state;
    for (int version = 4; version <= 5; version++) {
        struct cql_frame_writer writer = writer_of(version, CQL_COMPRESSION_NONE, 4096);
        cql_frame_writer_started(&writer, CQL_COMPRESSION_NONE);
        const struct text body = bytes_random(1000, 2);
        const struct text bodies[] = {body, body, body};
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(answer_put(&writer, body), ERR_OK);
        }
        assert_int_equal(answer_put(&writer, bytes_random(1200, 2)), ERR_FULL);
        cql_frame_seal(&writer);
        struct seen seen = {0};
        if (version == 5) {
            seen = see(cql_frame_ready(&writer), CQL_COMPRESSION_NONE, true);
        } else {
            see_bare(&seen, cql_frame_ready(&writer));
        }
        expect_bodies(&seen, bodies, 3);
        free(seen.bodies);
        cql_frame_sent(&writer, cql_frame_ready(&writer).size);
        assert_true(cql_frame_writer_idle(&writer));
        assert_int_equal(answer_put(&writer, bytes_random(1200, 2)), ERR_OK);
        cql_frame_seal(&writer);
        cql_frame_sent(&writer, cql_frame_ready(&writer).size);
        assert_int_equal(answer_put(&writer, bytes_random(4096, 2)), ERR_TOO_LARGE);
        assert_true(cql_frame_writer_idle(&writer));
        cql_frame_writer_deinit(&writer);
    }
}

static void every_body_size_either_fits_or_is_refused_whole(void **state)
{
    (void)state;
    for (int version = 4; version <= 5; version++) {
        bool refused = false;
        for (size_t size = 4000; size <= 4100; size++) {
            struct cql_frame_writer writer = writer_of(version, CQL_COMPRESSION_NONE, 4096);
            cql_frame_writer_started(&writer, CQL_COMPRESSION_NONE);
            const enum err err = answer_put(&writer, bytes_repeated(size, 'e'));
            assert_true(err == (refused ? ERR_TOO_LARGE : ERR_OK) || err == ERR_TOO_LARGE);
            refused = err == ERR_TOO_LARGE;
            cql_frame_seal(&writer);
            assert_int_equal(cql_frame_ready(&writer).size == 0, refused);
            cql_frame_writer_deinit(&writer);
        }
        assert_true(refused);
    }
}

static void abandoned_envelope_leaves_nothing(void **state)
{
    (void)state;
    struct cql_frame_writer writer = started_writer(5, CQL_COMPRESSION_NONE);
    const struct text body = TEXT("kept");
    assert_int_equal(answer_put(&writer, body), ERR_OK);
    cql_write_raw(cql_frame_begin(&writer, CQL_OPCODE_QUERY, 0, 2), TEXT("given up"));
    cql_frame_abandon(&writer);
    cql_frame_seal(&writer);
    struct seen seen = see(cql_frame_ready(&writer), CQL_COMPRESSION_NONE, true);
    expect_bodies(&seen, &body, 1);
    free(seen.bodies);
    cql_frame_writer_deinit(&writer);
}

// Random sizes, sent in random pieces, as a socket would take them.
static void play(struct rand *rand, int version, enum cql_compression compression)
{
    struct cql_frame_writer writer = writer_of(version, compression, 1u << 20);
    cql_frame_writer_started(&writer, compression);
    char *sent = malloc(64u << 20);
    size_t sent_size = 0;
    struct text bodies[200];
    size_t count = 0;
    assert_non_null(sent);
    while (count < 200) {
        const size_t size_max = rand_below(rand, 10) == 0 ? 400000 : 3000;
        const size_t size = rand_below(rand, size_max);
        bodies[count] = rand_below(rand, 2) == 0 ? bytes_repeated(size, 'r')
                                                 : bytes_random(size, rand_u64(rand));
        const enum err err = answer_put(&writer, bodies[count]);
        assert_true(err == ERR_OK || err == ERR_FULL);
        count += err == ERR_OK;
        if (err == ERR_FULL || rand_below(rand, 5) == 0) {
            cql_frame_seal(&writer);
        }
        const struct text ready = cql_frame_ready(&writer);
        const size_t piece = err == ERR_FULL ? ready.size : rand_below(rand, ready.size + 1);
        memcpy(sent + sent_size, ready.data, piece);
        sent_size += piece;
        cql_frame_sent(&writer, piece);
    }
    cql_frame_seal(&writer);
    const struct text rest = cql_frame_ready(&writer);
    memcpy(sent + sent_size, rest.data, rest.size);
    const struct text all = {sent, sent_size + rest.size};
    struct seen seen = {0};
    if (version == 5) {
        seen = see(all, compression, true);
    } else {
        see_bare(&seen, all);
    }
    expect_bodies(&seen, bodies, count);
    free(seen.bodies);
    free(sent);
    cql_frame_writer_deinit(&writer);
}

static void what_is_sent_in_pieces_arrives_whole(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (unsigned round = 0; round < 8; round++) {
        play(&rand, round % 2 == 0 ? 4 : 5,
             round % 4 < 2 ? CQL_COMPRESSION_NONE : CQL_COMPRESSION_LZ4);
        (void)bytes_release(NULL);
    }
}

static void no_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        struct cql_frame_writer writer;
        fault_alloc_arm(n);
        assert_int_equal(cql_frame_writer_init(&writer, 5, CQL_COMPRESSION_LZ4, 1000),
                         ERR_NO_MEMORY);
        fault_alloc_disarm();
        assert_true(fault_alloc_hit());
    }
    struct cql_frame_reader reader;
    fault_alloc_arm(1);
    assert_int_equal(
        cql_frame_reader_init(&reader, 5, CQL_COMPRESSION_NONE, CQL_FRAME_LIMITS_DEFAULT),
        ERR_NO_MEMORY);
    fault_alloc_disarm();
    cql_frame_reader_deinit(&reader);
}

// A large envelope and a packed one: every allocation of the reader fails in turn.
static void reader_without_memory_breaks_and_leaks_nothing(void **state)
{
    (void)state;
    struct cql_frame_writer writer = started_writer(5, CQL_COMPRESSION_LZ4);
    assert_int_equal(answer_put(&writer, bytes_random(600000, 1)), ERR_OK);
    assert_int_equal(answer_put(&writer, bytes_repeated(5000, 'm')), ERR_OK);
    cql_frame_seal(&writer);
    const struct text bytes = bytes_copy(cql_frame_ready(&writer));
    bool hit = true;
    for (uint64_t n = 1; hit; n++) {
        struct cql_frame_reader reader;
        struct cql_envelope envelope;
        assert_int_equal(cql_frame_reader_init(&reader, 5, CQL_COMPRESSION_LZ4,
                                               (struct cql_frame_limits){2u << 20, 1u << 20}),
                         ERR_OK);
        const struct text ready = bytes_of("85 00 0000 02 00000000");
        struct cql_frame_room room = cql_frame_room(&reader);
        memcpy(room.data, ready.data, ready.size);
        memcpy((char *)room.data + ready.size, bytes.data, bytes.size);
        cql_frame_received(&reader, ready.size + bytes.size);
        fault_alloc_arm(n);
        enum cql_frame_step step;
        while ((step = cql_frame_next(&reader, &envelope)) == CQL_FRAME_ENVELOPE) {
        }
        fault_alloc_disarm();
        hit = fault_alloc_hit();
        assert_int_equal(step, hit ? CQL_FRAME_BROKEN : CQL_FRAME_MORE);
        assert_int_equal(reader.failure,
                         hit ? CQL_FRAME_FAILURE_NO_MEMORY : CQL_FRAME_FAILURE_NONE);
        cql_frame_reader_deinit(&reader);
        assert_true(n < 20);
    }
    cql_frame_writer_deinit(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(golden_vectors_are_written, bytes_release),
        cmocka_unit_test_teardown(header_has_flags_stream_opcode_and_length, bytes_release),
        cmocka_unit_test_teardown(many_envelopes_share_a_segment, bytes_release),
        cmocka_unit_test_teardown(envelope_at_the_edge_of_a_segment_is_whole_and_beyond_it_is_cut,
                                  bytes_release),
        cmocka_unit_test_teardown(what_does_not_get_smaller_is_stored_as_it_is, bytes_release),
        cmocka_unit_test_teardown(body_of_v4_is_packed_once_started_and_when_it_helps,
                                  bytes_release),
        cmocka_unit_test_teardown(segment_is_filled_to_its_last_byte, bytes_release),
        cmocka_unit_test_teardown(room_comes_back_though_the_writer_is_never_idle, bytes_release),
        cmocka_unit_test_teardown(packed_body_is_never_larger_than_it_was, bytes_release),
        cmocka_unit_test_teardown(compression_that_was_not_agreed_on_is_not_used, bytes_release),
        cmocka_unit_test_teardown(envelope_without_room_is_dropped_and_the_others_stay,
                                  bytes_release),
        cmocka_unit_test_teardown(every_body_size_either_fits_or_is_refused_whole, bytes_release),
        cmocka_unit_test_teardown(abandoned_envelope_leaves_nothing, bytes_release),
        cmocka_unit_test_teardown(what_is_sent_in_pieces_arrives_whole, bytes_release),
        cmocka_unit_test(no_memory_is_told_and_leaks_nothing),
        cmocka_unit_test_teardown(reader_without_memory_breaks_and_leaks_nothing, bytes_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
