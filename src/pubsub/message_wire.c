// Encoding and decoding of messages.
#include "message_wire.h"

#include "clock.h"

enum {
    MESSAGE_DATA = 1,
    MESSAGE_ATTRIBUTES = 2,
    MESSAGE_ID = 3,
    MESSAGE_PUBLISH_TIME = 4,
    MESSAGE_ORDERING_KEY = 5,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    RECEIVED_ACK_ID = 1,
    RECEIVED_MESSAGE = 2,
    RECEIVED_ATTEMPT = 3,
    TIMESTAMP_SECONDS = 1,
    TIMESTAMP_NANOS = 2,
};

static size_t entry_size(const struct attribute *attribute)
{
    return wire_bytes_size(attribute->key.size) + wire_bytes_size(attribute->value.size);
}

size_t message_size(const struct pubsub_outgoing *message)
{
    size_t size = message->data.size > 0 ? wire_bytes_size(message->data.size) : 0;
    for (size_t i = 0; i < message->attributes.count; i++) {
        size += wire_bytes_size(entry_size(&message->attributes.items[i]));
    }
    size_t key_size = message->ordering_key.size;
    return key_size > 0 ? size + wire_bytes_size(key_size) : size;
}

char *message_write(char *at, const struct pubsub_outgoing *message)
{
    if (message->data.size > 0) {
        at = wire_put_bytes(at, MESSAGE_DATA, message->data);
    }
    for (size_t i = 0; i < message->attributes.count; i++) {
        const struct attribute *attribute = &message->attributes.items[i];
        at = wire_put_head(at, MESSAGE_ATTRIBUTES, entry_size(attribute));
        at = wire_put_bytes(at, ENTRY_KEY, attribute->key);
        at = wire_put_bytes(at, ENTRY_VALUE, attribute->value);
    }
    if (message->ordering_key.size > 0) {
        at = wire_put_bytes(at, MESSAGE_ORDERING_KEY, message->ordering_key);
    }
    return at;
}

bool received_read(struct text bytes, struct received *out_received)
{
    struct received received = {0};
    struct wire_reader reader;
    struct wire_field field;
    wire_reader_init(&reader, bytes);
    while (wire_next(&reader, &field)) {
        if (wire_is_bytes(&field, RECEIVED_ACK_ID)) {
            received.ack_id = field.bytes;
        } else if (wire_is_bytes(&field, RECEIVED_MESSAGE)) {
            received.body = field.bytes;
        } else if (wire_is_number(&field, RECEIVED_ATTEMPT)) {
            received.delivery_attempt = (uint32_t)field.value;
        }
    }
    if (reader.damaged || received.ack_id.size == 0 || received.body.data == NULL) {
        return false;
    }
    *out_received = received;
    return true;
}

static bool read_timestamp(struct text bytes, int64_t *out_us)
{
    int64_t seconds = 0;
    int64_t nanos = 0;
    struct wire_reader reader;
    struct wire_field field;
    wire_reader_init(&reader, bytes);
    while (wire_next(&reader, &field)) {
        if (wire_is_number(&field, TIMESTAMP_SECONDS)) {
            seconds = (int64_t)field.value;
        } else if (wire_is_number(&field, TIMESTAMP_NANOS)) {
            nanos = (int64_t)field.value;
        }
    }
    bool in_range = seconds >= 0 && seconds < INT64_MAX / US_PER_SECOND - 1 && nanos >= 0 &&
                    nanos < NS_PER_SECOND;
    if (!reader.damaged && in_range) {
        *out_us = seconds * US_PER_SECOND + nanos / 1000;
    }
    return !reader.damaged && in_range;
}

bool received_body_read(struct text bytes, struct received_body *out_body)
{
    struct received_body body = {0};
    struct wire_reader reader;
    struct wire_field field;
    bool good = true;
    wire_reader_init(&reader, bytes);
    while (good && wire_next(&reader, &field)) {
        if (wire_is_bytes(&field, MESSAGE_DATA)) {
            body.data = field.bytes;
        } else if (wire_is_bytes(&field, MESSAGE_ATTRIBUTES)) {
            body.attribute_count++;
        } else if (wire_is_bytes(&field, MESSAGE_ID)) {
            body.message_id = field.bytes;
        } else if (wire_is_bytes(&field, MESSAGE_ORDERING_KEY)) {
            body.ordering_key = field.bytes;
        } else if (wire_is_bytes(&field, MESSAGE_PUBLISH_TIME)) {
            good = read_timestamp(field.bytes, &body.published_us);
        }
    }
    if (!good || reader.damaged) {
        return false;
    }
    *out_body = body;
    return true;
}

static struct attribute read_entry(struct text bytes)
{
    struct attribute attribute = {0};
    struct wire_reader reader;
    struct wire_field field;
    wire_reader_init(&reader, bytes);
    while (wire_next(&reader, &field)) {
        if (wire_is_bytes(&field, ENTRY_KEY)) {
            attribute.key = field.bytes;
        } else if (wire_is_bytes(&field, ENTRY_VALUE)) {
            attribute.value = field.bytes;
        }
    }
    return attribute;
}

void received_attributes_read(struct text body, struct attribute *out)
{
    struct wire_reader reader;
    struct wire_field field;
    wire_reader_init(&reader, body);
    while (wire_next(&reader, &field)) {
        if (wire_is_bytes(&field, MESSAGE_ATTRIBUTES)) {
            *out++ = read_entry(field.bytes);
        }
    }
}
