// Protocol buffers on the wire.
#include "wire.h"

#include <assert.h>
#include <string.h>

#define FIELD_MAX UINT32_C(15) // with a key of one byte

size_t wire_varint_size(uint64_t value)
{
    // 7 bits a byte; value | 1 because zero takes a byte too.
    return (size_t)((70 - __builtin_clzll(value | 1)) / 7);
}

size_t wire_number_size(uint64_t value)
{
    return 1 + wire_varint_size(value);
}

size_t wire_bytes_size(size_t size)
{
    return 1 + wire_varint_size(size) + size;
}

char *wire_put_varint(char *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        *at++ = (char)(value | 0x80);
    }
    *at++ = (char)value;
    return at;
}

static char *put_key(char *at, uint32_t field, enum wire_kind kind)
{
    assert(field >= 1 && field <= FIELD_MAX);
    *at = (char)(field << 3 | (uint32_t)kind);
    return at + 1;
}

char *wire_put_number(char *at, uint32_t field, uint64_t value)
{
    return wire_put_varint(put_key(at, field, WIRE_VARINT), value);
}

char *wire_put_head(char *at, uint32_t field, size_t size)
{
    return wire_put_varint(put_key(at, field, WIRE_BYTES), size);
}

char *wire_put_bytes(char *at, uint32_t field, struct text bytes)
{
    at = wire_put_head(at, field, bytes.size);
    if (bytes.size > 0) {
        memcpy(at, bytes.data, bytes.size);
    }
    return at + bytes.size;
}

void wire_reader_init(struct wire_reader *reader, struct text bytes)
{
    const char *start = bytes.data != NULL ? bytes.data : "";
    *reader = (struct wire_reader){.at = start, .end = start + bytes.size};
}

static bool fail(struct wire_reader *reader)
{
    reader->damaged = true;
    return false;
}

static bool read_varint(struct wire_reader *reader, uint64_t *out_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        unsigned char byte = (unsigned char)*reader->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *out_value = value;
            return true;
        }
    }
    return fail(reader);
}

static bool read_bytes(struct wire_reader *reader, uint64_t size, struct text *out_bytes)
{
    if (size > (uint64_t)(reader->end - reader->at)) {
        return fail(reader);
    }
    *out_bytes = (struct text){reader->at, (size_t)size};
    reader->at += size;
    return true;
}

bool wire_next(struct wire_reader *reader, struct wire_field *out_field)
{
    uint64_t key = 0;
    if (reader->damaged || reader->at == reader->end || !read_varint(reader, &key)) {
        return false;
    }
    struct wire_field field = {.number = (uint32_t)(key >> 3), .kind = (enum wire_kind)(key & 7)};
    uint64_t size = 0;
    bool read = false;
    if (field.kind == WIRE_VARINT) {
        read = read_varint(reader, &field.value);
    } else if (field.kind == WIRE_BYTES) {
        read = read_varint(reader, &size) && read_bytes(reader, size, &field.bytes);
    } else if (field.kind == WIRE_FIXED64 || field.kind == WIRE_FIXED32) {
        read = read_bytes(reader, field.kind == WIRE_FIXED64 ? 8 : 4, &field.bytes);
    }
    if (!read || key >> 3 == 0 || key >> 3 > UINT32_MAX / 8) {
        return fail(reader);
    }
    *out_field = field;
    return true;
}

bool wire_is_bytes(const struct wire_field *field, uint32_t number)
{
    return field->number == number && field->kind == WIRE_BYTES;
}

bool wire_is_number(const struct wire_field *field, uint32_t number)
{
    return field->number == number && field->kind == WIRE_VARINT;
}
