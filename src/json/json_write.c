// The writer keeps one bit per level for "something was written here already" and one for "this is
// an object"; with them it sets the commas and finds calls that would not make JSON.
#include "json_write.h"

#include "json_scan.h"

#include <assert.h>

static uint64_t level_bit(const struct json_writer *writer)
{
    return UINT64_C(1) << writer->depth;
}

static bool in_object(const struct json_writer *writer)
{
    return (writer->is_object & level_bit(writer)) != 0;
}

void json_writer_init(struct json_writer *writer, struct buf *out)
{
    *writer = (struct json_writer){.out = out};
}

static void begin_item(struct json_writer *writer)
{
    if ((writer->has_items & level_bit(writer)) != 0) {
        assert(writer->depth > 0);
        buf_add_char(writer->out, ',');
    }
    writer->has_items |= level_bit(writer);
}

static void begin_value(struct json_writer *writer)
{
    assert(in_object(writer) == writer->after_key);
    if (writer->after_key) {
        writer->after_key = false;
    } else {
        begin_item(writer);
    }
}

static void open_container(struct json_writer *writer, bool is_object)
{
    begin_value(writer);
    assert(writer->depth < JSON_WRITE_DEPTH_MAX);
    writer->depth++;
    writer->has_items &= ~level_bit(writer);
    writer->is_object &= ~level_bit(writer);
    if (is_object) {
        writer->is_object |= level_bit(writer);
    }
    buf_add_char(writer->out, is_object ? '{' : '[');
}

static void close_container(struct json_writer *writer, bool is_object)
{
    assert(writer->depth > 0 && in_object(writer) == is_object && !writer->after_key);
    writer->depth--;
    buf_add_char(writer->out, is_object ? '}' : ']');
}

void json_object_begin(struct json_writer *writer)
{
    open_container(writer, true);
}

void json_object_end(struct json_writer *writer)
{
    close_container(writer, true);
}

void json_array_begin(struct json_writer *writer)
{
    open_container(writer, false);
}

void json_array_end(struct json_writer *writer)
{
    close_container(writer, false);
}

static void add_escape(struct buf *out, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    };
    const char letter = byte < sizeof(letters) ? letters[byte] : (char)byte;
    if (letter != 0) {
        buf_add(out, (const char[]){'\\', letter}, 2);
    } else {
        buf_add_str(out, "\\u00");
        buf_add_char(out, digits[byte >> 4]);
        buf_add_char(out, digits[byte & 0xF]);
    }
}

static void add_valid(struct buf *out, struct text text)
{
    size_t offset = 0;
    while (offset < text.size) {
        const size_t special = json_scan(text, offset);
        buf_add(out, text.data + offset, special - offset);
        offset = special;
        if (offset < text.size) {
            add_escape(out, (unsigned char)text.data[offset++]);
        }
    }
}

static void add_quoted(struct buf *out, struct text text)
{
    buf_add_char(out, '"');
    while (text.size > 0) {
        const size_t valid_size = text_utf8_valid_prefix(text);
        add_valid(out, (struct text){text.data, valid_size});
        if (valid_size == text.size) {
            break;
        }
        buf_add_str(out, "\xEF\xBF\xBD");
        text = (struct text){text.data + valid_size + 1, text.size - valid_size - 1};
    }
    buf_add_char(out, '"');
}

void json_key(struct json_writer *writer, struct text key)
{
    assert(in_object(writer) && !writer->after_key);
    begin_item(writer);
    add_quoted(writer->out, key);
    buf_add_char(writer->out, ':');
    writer->after_key = true;
}

void json_string(struct json_writer *writer, struct text text)
{
    begin_value(writer);
    add_quoted(writer->out, text);
}

void json_int(struct json_writer *writer, int64_t value)
{
    begin_value(writer);
    buf_add_i64(writer->out, value);
}

void json_number(struct json_writer *writer, struct text number)
{
    assert(number.size > 0);
    begin_value(writer);
    buf_add_text(writer->out, number);
}

void json_bool(struct json_writer *writer, bool value)
{
    begin_value(writer);
    buf_add_text(writer->out, value ? TEXT("true") : TEXT("false"));
}

void json_null(struct json_writer *writer)
{
    begin_value(writer);
    buf_add_text(writer->out, TEXT("null"));
}
