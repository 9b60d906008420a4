#include "fake_service.h"

#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

// --- reading ------------------------------------------------------------------------------------

static struct text nth_bytes(struct text message, uint32_t number, size_t n)
{
    struct wire_reader reader;
    struct wire_field field;
    wire_reader_init(&reader, message);
    while (wire_next(&reader, &field)) {
        if (wire_is_bytes(&field, number) && n-- == 0) {
            return field.bytes;
        }
    }
    assert_false(reader.damaged);
    return (struct text){0};
}

static size_t count_bytes(struct text message, uint32_t number)
{
    struct wire_reader reader;
    struct wire_field field;
    size_t count = 0;
    wire_reader_init(&reader, message);
    while (wire_next(&reader, &field)) {
        count += wire_is_bytes(&field, number) ? 1 : 0;
    }
    assert_false(reader.damaged);
    return count;
}

static uint64_t number_of(struct text message, uint32_t number)
{
    struct wire_reader reader;
    struct wire_field field;
    wire_reader_init(&reader, message);
    while (wire_next(&reader, &field)) {
        if (wire_is_number(&field, number)) {
            return field.value;
        }
    }
    assert_false(reader.damaged);
    return 0;
}

size_t published_count(const struct payload *request)
{
    return count_bytes(request->bytes, 2);
}

struct text published_topic(const struct payload *request)
{
    return nth_bytes(request->bytes, 1, 0);
}

struct text published_data(const struct payload *request, size_t n)
{
    return nth_bytes(nth_bytes(request->bytes, 2, n), 1, 0);
}

struct text published_key(const struct payload *request, size_t n)
{
    return nth_bytes(nth_bytes(request->bytes, 2, n), 5, 0);
}

// Acks carry their ids in field 2, leases in field 4; neither has the other's.
static uint32_t ids_field(const struct payload *request)
{
    return count_bytes(request->bytes, 4) > 0 ? 4 : 2;
}

size_t settled_count(const struct payload *request)
{
    return count_bytes(request->bytes, ids_field(request));
}

struct text settled_id(const struct payload *request, size_t n)
{
    return nth_bytes(request->bytes, ids_field(request), n);
}

bool settled_has(const struct payload *request, const char *ack_id)
{
    for (size_t i = 0; i < settled_count(request); i++) {
        if (text_equal(settled_id(request, i), text_of(ack_id))) {
            return true;
        }
    }
    return false;
}

uint32_t settled_seconds(const struct payload *request)
{
    return (uint32_t)number_of(request->bytes, 3);
}

size_t pull_max_messages(const struct payload *request)
{
    return (size_t)number_of(request->bytes, 3);
}

uint64_t stream_number(const struct payload *request, uint32_t field)
{
    return number_of(request->bytes, field);
}

struct text stream_text(const struct payload *request, uint32_t field)
{
    return nth_bytes(request->bytes, field, 0);
}

// --- writing ------------------------------------------------------------------------------------

static void add_varint(struct buf *out, uint64_t value)
{
    for (; value > 127; value /= 128) {
        buf_add_char(out, (char)(value % 128 + 128));
    }
    buf_add_char(out, (char)value);
}

static void add_bytes(struct buf *out, uint32_t number, struct text bytes)
{
    add_varint(out, number * 8 + 2);
    add_varint(out, bytes.size);
    buf_add_text(out, bytes);
}

static void add_number(struct buf *out, uint32_t number, uint64_t value)
{
    add_varint(out, number * 8);
    add_varint(out, value);
}

void write_published_ids(struct buf *out, size_t count)
{
    for (size_t i = 1; i <= count; i++) {
        char id[24];
        int size = snprintf(id, sizeof(id), "%zu", i);
        add_bytes(out, 1, (struct text){id, (size_t)size});
    }
}

static void add_received(struct buf *out, struct text ack_id, struct text data, struct text id,
                         uint32_t attempt)
{
    struct buf time;
    struct buf message;
    struct buf received;
    buf_init_heap(&time, 64);
    buf_init_heap(&message, data.size + 256);
    buf_init_heap(&received, data.size + ack_id.size + 512);
    add_number(&time, 1, 1700000000);
    add_number(&time, 2, 123456000);
    add_bytes(&message, 1, data);
    add_bytes(&message, 3, id);
    add_bytes(&message, 4, buf_view(&time));
    add_bytes(&received, 1, ack_id);
    add_bytes(&received, 2, buf_view(&message));
    if (attempt > 0) {
        add_number(&received, 3, attempt);
    }
    assert_false(buf_overflowed(&received));
    add_bytes(out, 1, buf_view(&received));
    buf_deinit(&time);
    buf_deinit(&message);
    buf_deinit(&received);
}

void write_received(struct buf *out, const struct given *messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *id = messages[i].message_id != NULL ? messages[i].message_id : "id";
        add_received(out, text_of(messages[i].ack_id), text_of(messages[i].data), text_of(id),
                     messages[i].attempt);
    }
}

void write_many_received(struct buf *out, const char *prefix, size_t count, size_t data_size)
{
    static char data[100000];
    assert_true(data_size <= sizeof(data));
    memset(data, 'x', data_size);
    for (size_t i = 0; i < count; i++) {
        char ack_id[300];
        int size = snprintf(ack_id, sizeof(ack_id), "%s%zu", prefix, i);
        add_received(out, (struct text){ack_id, (size_t)size}, (struct text){data, data_size},
                     TEXT("id"), 0);
    }
}

void write_properties(struct buf *out, bool exactly_once)
{
    char bytes[8];
    struct buf properties;
    buf_init_fixed(&properties, bytes, sizeof(bytes));
    if (exactly_once) {
        add_number(&properties, 1, 1);
    }
    add_bytes(out, 4, buf_view(&properties));
}

void write_ack_failures(struct buf *out, const char *const pairs[][2], size_t count)
{
    struct buf info;
    struct buf any;
    buf_init_heap(&info, 1u << 20);
    buf_init_heap(&any, 1u << 20);
    add_bytes(&info, 1, TEXT("EXACTLY_ONCE_ACKID_FAILURE"));
    add_bytes(&info, 2, TEXT("pubsub.googleapis.com"));
    for (size_t i = 0; i < count; i++) {
        struct buf entry;
        buf_init_heap(&entry, 4096);
        add_bytes(&entry, 1, text_of(pairs[i][0]));
        add_bytes(&entry, 2, text_of(pairs[i][1]));
        add_bytes(&info, 3, buf_view(&entry));
        buf_deinit(&entry);
    }
    add_bytes(&any, 1, TEXT("type.googleapis.com/google.rpc.ErrorInfo"));
    add_bytes(&any, 2, buf_view(&info));
    add_number(out, 1, 3);
    add_bytes(out, 2, TEXT("Some acknowledgement ids in the request were invalid."));
    add_bytes(out, 3, buf_view(&any));
    buf_deinit(&info);
    buf_deinit(&any);
}
