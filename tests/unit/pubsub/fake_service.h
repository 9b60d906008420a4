// What the service says and hears, encoded and decoded independently of the client's own hand-written
// code as far as that is sensible: responses are put together here, requests are read with wire.h.
#ifndef TILL_FAKE_SERVICE_H
#define TILL_FAKE_SERVICE_H

#include "buf.h"
#include "payload.h"

// A request to publish.
size_t published_count(const struct payload *request);
struct text published_topic(const struct payload *request);
struct text published_data(const struct payload *request, size_t n);
struct text published_key(const struct payload *request, size_t n);
// Answers with as many ids: "1", "2", ...
void write_published_ids(struct buf *out, size_t count);

// A response to Pull or StreamingPull.
struct given {
    const char *ack_id;
    const char *data;
    const char *message_id; // NULL: "id"
    uint32_t attempt;
};
void write_received(struct buf *out, const struct given *messages, size_t count);
// `count` messages with ack ids "PREFIX0", "PREFIX1", ... and data of data_size bytes.
void write_many_received(struct buf *out, const char *prefix, size_t count, size_t data_size);
void write_properties(struct buf *out, bool exactly_once);

// A request about ack ids.
size_t settled_count(const struct payload *request);
struct text settled_id(const struct payload *request, size_t n);
// Whether that id is in it.
bool settled_has(const struct payload *request, const char *ack_id);
uint32_t settled_seconds(const struct payload *request); // of the lease; 0: a nack, or an ack
size_t pull_max_messages(const struct payload *request);

// Error details of a failed ack request: pairs of ack id and verdict.
void write_ack_failures(struct buf *out, const char *const pairs[][2], size_t count);

// A field with a number in a request to StreamingPull; 0 when absent.
uint64_t stream_number(const struct payload *request, uint32_t field);
struct text stream_text(const struct payload *request, uint32_t field);

#endif
