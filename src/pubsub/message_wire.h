// Messages as Pub/Sub encodes them, written and read by hand because every message passes here
// (google/pubsub/v1/pubsub.proto). All else goes through protobuf-c.
#ifndef TILL_MESSAGE_WIRE_H
#define TILL_MESSAGE_WIRE_H

#include "pubsub.h"
#include "wire.h"

// Field numbers.
enum {
    PUBLISH_TOPIC = 1,
    PUBLISH_MESSAGES = 2,
    PUBLISHED_IDS = 1,
    RECEIVED_MESSAGES = 1, // of the responses to Pull and StreamingPull
    STREAM_PROPERTIES = 4,
    PROPERTY_EXACTLY_ONCE = 1,
};

// Bytes of an encoded PubsubMessage.
size_t message_size(const struct pubsub_outgoing *message);
// Writes one of that many bytes; gives the place after it.
char *message_write(char *at, const struct pubsub_outgoing *message);

// A ReceivedMessage, not looked into yet. Points into the response.
struct received {
    struct text ack_id;
    struct text body;          // a PubsubMessage
    uint32_t delivery_attempt; // 0: unknown
};
// false: damaged, or without what every one of them has.
MUST_USE bool received_read(struct text bytes, struct received *out_received);

// A PubsubMessage. Points into `body`; attributes are counted only.
struct received_body {
    struct text data;
    struct text message_id;
    struct text ordering_key;
    int64_t published_us;
    size_t attribute_count;
};
MUST_USE bool received_body_read(struct text body, struct received_body *out_body);
// Reads its attributes into `out`, which has room for as many as were counted.
void received_attributes_read(struct text body, struct attribute *out);

#endif
