// Error details of acks on subscriptions with exactly-once delivery. The service names each ack id that
// failed, and how, in the metadata of a google.rpc.ErrorInfo:
// https://cloud.google.com/pubsub/docs/exactly-once-delivery
#include "subscriber.h"

#include "wire.h"

enum {
    STATUS_DETAILS = 3, // repeated google.protobuf.Any
    ANY_TYPE = 1,
    ANY_VALUE = 2,
    INFO_METADATA = 3, // map<string, string>
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
};

// Reads on to the next field of that number with bytes.
static bool find_bytes(struct wire_reader *reader, uint32_t number, struct text *out_bytes)
{
    struct wire_field field;
    while (wire_next(reader, &field)) {
        if (wire_is_bytes(&field, number)) {
            *out_bytes = field.bytes;
            return true;
        }
    }
    return false;
}

static struct text bytes_of(struct text message, uint32_t number)
{
    struct wire_reader reader;
    struct text bytes = {0};
    wire_reader_init(&reader, message);
    (void)find_bytes(&reader, number, &bytes);
    return bytes;
}

static bool ends_with(struct text text, struct text end)
{
    return text.size >= end.size &&
           text_equal((struct text){text.data + text.size - end.size, end.size}, end);
}

// The ErrorInfo among the details; empty when there is none.
static struct text error_info(struct text details)
{
    struct wire_reader reader;
    struct text any;
    wire_reader_init(&reader, details);
    while (find_bytes(&reader, STATUS_DETAILS, &any)) {
        if (ends_with(bytes_of(any, ANY_TYPE), TEXT("google.rpc.ErrorInfo"))) {
            return bytes_of(any, ANY_VALUE);
        }
    }
    return (struct text){0};
}

static bool is_failure(struct text value)
{
    return text_starts_with(value, TEXT("TRANSIENT_")) ||
           text_starts_with(value, TEXT("PERMANENT_"));
}

bool ack_verdicts_given(struct text details)
{
    struct wire_reader reader;
    struct text entry;
    wire_reader_init(&reader, error_info(details));
    while (find_bytes(&reader, INFO_METADATA, &entry)) {
        if (is_failure(bytes_of(entry, ENTRY_VALUE))) {
            return true;
        }
    }
    return false;
}

enum ack_verdict ack_verdict_of(struct text details, struct text ack_id)
{
    struct wire_reader reader;
    struct text entry;
    wire_reader_init(&reader, error_info(details));
    while (find_bytes(&reader, INFO_METADATA, &entry)) {
        if (text_equal(bytes_of(entry, ENTRY_KEY), ack_id)) {
            return text_starts_with(bytes_of(entry, ENTRY_VALUE), TEXT("TRANSIENT_"))
                       ? ACK_VERDICT_TRANSIENT
                       : ACK_VERDICT_PERMANENT;
        }
    }
    return ACK_VERDICT_FINE;
}
