// The encoding of protocol buffers, as far as messages on the hot path need it: fields are a varint
// key (number * 8 + kind), then a varint or a size with that many bytes
// (https://protobuf.dev/programming-guides/encoding/). Reading copies nothing.
#ifndef TILL_WIRE_H
#define TILL_WIRE_H

#include "text.h"

// Writers give the place after what they wrote; the caller has made room for as much as the size
// functions say. Field numbers are 1-15, so that a key is one byte.
size_t wire_varint_size(uint64_t value);
size_t wire_number_size(uint64_t value); // of a field with a number
size_t wire_bytes_size(size_t size);     // of a field with `size` bytes
char *wire_put_varint(char *at, uint64_t value);
char *wire_put_number(char *at, uint32_t field, uint64_t value);
char *wire_put_bytes(char *at, uint32_t field, struct text bytes);
// Key and size of a field whose `size` bytes the caller writes next.
char *wire_put_head(char *at, uint32_t field, size_t size);

enum wire_kind { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number;
    enum wire_kind kind;
    uint64_t value;    // of a varint
    struct text bytes; // of WIRE_BYTES; points into what is read
};

struct wire_reader {
    const char *at;
    const char *end;
    bool damaged; // sticky: nothing more is read
};

void wire_reader_init(struct wire_reader *reader, struct text bytes);
// The next field; false at the end and when the bytes are no message (then reader->damaged).
bool wire_next(struct wire_reader *reader, struct wire_field *out_field);
// Whether the field has that number and carries bytes, or a varint.
bool wire_is_bytes(const struct wire_field *field, uint32_t number);
bool wire_is_number(const struct wire_field *field, uint32_t number);

#endif
