// Any bytes as what a server sends. The first byte chooses version and compression, the second how the bytes
// are cut: however they are, the same envelopes come out. In v5 the check sums are made right first, else
// nothing would be reached behind them.
#include "cql_check.h"
#include "cql_frame_internal.h"
#include "fuzz.h"

#include <string.h>

struct story {
    uint64_t sum;
    size_t count;
    enum cql_frame_failure failure;
};

static void add(struct story *story, const struct cql_envelope *envelope)
{
    story->sum = story->sum * 31 + envelope->opcode;
    story->sum = story->sum * 31 + (uint16_t)envelope->stream;
    for (size_t i = 0; i < envelope->body.size; i++) {
        story->sum = story->sum * 31 + (unsigned char)envelope->body.data[i];
    }
    story->count++;
    struct cql_response response;
    if (cql_response_read(envelope, &response)) {
        cql_check_response(&response, envelope->body);
    }
}

static struct story read_in_steps(struct text bytes, int version, enum cql_compression compression,
                                  size_t step)
{
    struct story story = {0};
    struct cql_frame_reader reader;
    struct cql_frame_limits limits = {CQL_SEGMENT_SIZE_MAX, 1u << 20};
    if (cql_frame_reader_init(&reader, version, compression, limits) != ERR_OK) {
        return story;
    }
    enum cql_frame_step last = CQL_FRAME_MORE;
    for (size_t at = 0; at < bytes.size && last == CQL_FRAME_MORE;) {
        const struct cql_frame_room room = cql_frame_room(&reader);
        size_t size = bytes.size - at < step ? bytes.size - at : step;
        size = size < room.size ? size : room.size;
        memcpy(room.data, bytes.data + at, size);
        cql_frame_received(&reader, size);
        at += size;
        struct cql_envelope envelope;
        while ((last = cql_frame_next(&reader, &envelope)) == CQL_FRAME_ENVELOPE) {
            add(&story, &envelope);
        }
    }
    story.failure = reader.failure;
    cql_frame_reader_deinit(&reader);
    return story;
}

// Behind the bare READY: each header and payload gets the sum that it should have.
static void mend_sums(unsigned char *bytes, size_t size, enum cql_compression compression)
{
    const size_t header_size = cql_segment_header_size(compression);
    size_t at = CQL_ENVELOPE_HEADER_SIZE;
    while (at + header_size <= size) {
        struct cql_segment_header header;
        (void)cql_segment_header_read(bytes + at, compression, &header);
        cql_segment_header_write(bytes + at, compression, &header);
        at += header_size;
        if (at + header.stored_size + CQL_SEGMENT_TRAILER_SIZE > size) {
            return;
        }
        cql_segment_trailer_write(bytes + at, header.stored_size);
        at += header.stored_size + CQL_SEGMENT_TRAILER_SIZE;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char ready[CQL_ENVELOPE_HEADER_SIZE] = {0x85, 0, 0, 0, 2};
    if (size < 2) {
        return 0;
    }
    const int version = (data[0] & 1) != 0 ? 5 : 4;
    const enum cql_compression compression =
        (data[0] & 2) != 0 ? CQL_COMPRESSION_LZ4 : CQL_COMPRESSION_NONE;
    const size_t room = sizeof(ready) + size - 2;
    unsigned char *bytes = malloc(room);
    if (!bytes) {
        return 0;
    }
    memcpy(bytes, ready, sizeof(ready));
    bytes[0] = (unsigned char)(0x80 | version);
    memcpy(bytes + sizeof(ready), data + 2, size - 2);
    if (version == 5 && (data[0] & 4) == 0) {
        mend_sums(bytes, room, compression);
    }
    const struct text text = {(const char *)bytes, room};
    const struct story whole = read_in_steps(text, version, compression, SIZE_MAX);
    const struct story cut = read_in_steps(text, version, compression, 1 + (size_t)data[1] % 64);
    fuzz_expect(whole.sum == cut.sum && whole.count == cut.count && whole.failure == cut.failure
                    ? NULL
                    : "however bytes are cut, they are the same envelopes");
    free(bytes);
    return 0;
}
