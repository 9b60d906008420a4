// JSON writer into a bounded buffer; commas and colons come by themselves. Text that is not UTF-8
// has each bad byte written as U+FFFD. Sticky: ask buf_overflowed() on the buffer at the end.
// One document an init: calls that would not make JSON (a value without its key, a second document,
// an end that fits no begin, more than JSON_WRITE_DEPTH_MAX levels) are errors of the program.
#ifndef TILL_JSON_WRITE_H
#define TILL_JSON_WRITE_H

#include "buf.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#define JSON_WRITE_DEPTH_MAX 32u

struct json_writer {
    struct buf *out;
    // private
    unsigned depth;
    uint64_t has_items; // bit per level, the lowest for the document itself
    uint64_t is_object; // the same
    bool after_key;
};

void json_writer_init(struct json_writer *writer, struct buf *out);
void json_object_begin(struct json_writer *writer);
void json_object_end(struct json_writer *writer);
void json_array_begin(struct json_writer *writer);
void json_array_end(struct json_writer *writer);
void json_key(struct json_writer *writer, struct text key);
void json_string(struct json_writer *writer, struct text text);
void json_int(struct json_writer *writer, int64_t value);
void json_number(struct json_writer *writer, struct text number); // exact text, already checked
void json_bool(struct json_writer *writer, bool value);
void json_null(struct json_writer *writer);

#endif
