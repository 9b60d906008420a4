// A server's bytes, built by hand as the specification says and not by the code under test, and what a reader
// makes of them.
#ifndef TILL_CQL_STREAM_H
#define TILL_CQL_STREAM_H

#include "cql_bytes.h"
#include "cql_frame.h"

#define READY5      "85 00 0000 02 00000000"
#define VOID5       "85 00 0001 08 00000004 00000001"
#define EVENT_EMPTY "85 00 ffff 0c 00000000"

struct stream {
    unsigned char *bytes;
    size_t size;
    size_t cap;
};
void stream_add(struct stream *stream, const void *bytes, size_t size);
void stream_add_hex(struct stream *stream, const char *hex);
void stream_add_segment(struct stream *stream, bool lz4, bool self_contained, struct text payload,
                        uint64_t unpacked_size);
void stream_add_packed_segment(struct stream *stream, bool self_contained, struct text payload);
void stream_free(struct stream *stream);

struct text envelope_of(int version, uint8_t opcode, int16_t stream_id, struct text body);

// What a reader made of a stream.
struct outcome {
    size_t count;
    enum cql_frame_failure failure;
    uint32_t sum;             // of all envelopes, headers and bodies
    struct cql_envelope last; // its body is gone
    size_t last_size;
};
void outcome_take_all(struct outcome *outcome, struct cql_frame_reader *reader);
// Given to a reader in pieces of at most `step` bytes.
struct outcome read_stream(const struct stream *stream, int version,
                           enum cql_compression compression, size_t step);
struct outcome read_limited(const struct stream *stream, int version,
                            enum cql_compression compression, size_t step, size_t body_max);
enum cql_frame_failure failure_of(const struct stream *stream, int version,
                                  enum cql_compression compression);

#endif
