// One function writes a row of each format; the table format first holds its rows back in `held`,
// cell after cell as u32 size and bytes, already made safe for a terminal.
#include "table_out.h"

#include "json_write.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

const char *const table_format_names[] = {"table", "json", "jsonl", "csv", NULL};

#define COLUMN_GAP 2u

static void begin_csv(struct table_out *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        buf_add_str(&table->output->buf, i > 0 ? "," : "");
        buf_add_str(&table->output->buf, table->columns[i].name);
    }
    buf_add_char(&table->output->buf, '\n');
}

static size_t character_count(struct text text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        count += ((unsigned char)text.data[i] & 0xc0u) != 0x80u;
    }
    return count;
}

void table_out_init(struct table_out *table, enum table_format format,
                    const struct table_column *columns, size_t column_count, struct output *output)
{
    assert(column_count > 0);
    assert(column_count <= TABLE_COLUMN_COUNT_MAX);
    *table = (struct table_out){.format = format,
                                .columns = columns,
                                .column_count = column_count,
                                .output = output,
                                .holding = format == TABLE_FORMAT_TABLE};
    buf_init_heap(&table->held, TABLE_HELD_SIZE_MAX);
    buf_init_heap(&table->scratch, TABLE_ROW_SIZE_MAX);
    for (size_t i = 0; i < column_count; i++) {
        table->widths[i] = strlen(columns[i].name);
    }
    if (format == TABLE_FORMAT_CSV) {
        begin_csv(table);
    }
}

static void write_json_row(struct table_out *table, const struct text *cells)
{
    struct json_writer writer;
    json_writer_init(&writer, &table->output->buf);
    json_object_begin(&writer);
    for (size_t i = 0; i < table->column_count; i++) {
        json_key(&writer, text_of(table->columns[i].name));
        if (cells[i].data == NULL) {
            json_null(&writer);
        } else if (table->columns[i].cell == TABLE_NUMBER) {
            json_number(&writer, cells[i]);
        } else {
            json_string(&writer, cells[i]);
        }
    }
    json_object_end(&writer);
}

static bool is_formula(struct text text)
{
    return text.size > 0 && memchr("=+-@\t\r", text.data[0], 6) != NULL;
}

static bool wants_quotes(struct text text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (memchr(",\"\n\r", text.data[i], 4) != NULL) {
            return true;
        }
    }
    return text.size == 0;
}

static void write_csv_text(struct buf *out, struct text text)
{
    bool quoted = wants_quotes(text);
    buf_add_str(out, quoted ? "\"" : "");
    buf_add_str(out, is_formula(text) ? "'" : "");
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"') {
            buf_add_char(out, '"');
        }
        buf_add_char(out, text.data[i]);
    }
    buf_add_str(out, quoted ? "\"" : "");
}

static void write_csv_row(struct table_out *table, const struct text *cells)
{
    struct buf *out = &table->output->buf;
    for (size_t i = 0; i < table->column_count; i++) {
        buf_add_str(out, i > 0 ? "," : "");
        if (cells[i].data == NULL) {
            continue;
        }
        if (table->columns[i].cell == TABLE_NUMBER) {
            buf_add_text(out, cells[i]);
        } else {
            write_csv_text(out, cells[i]);
        }
    }
    buf_add_char(out, '\n');
}

static void add_spaces(struct buf *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_add_char(out, ' ');
    }
}

// One cell of a line. Numbers stand at the right edge of their column; nothing follows the last.
static void write_padded(struct table_out *table, size_t column, struct text text)
{
    struct buf *out = &table->output->buf;
    size_t width = character_count(text);
    size_t space = width < table->widths[column] ? table->widths[column] - width : 0;
    bool at_right = table->columns[column].cell == TABLE_NUMBER;
    add_spaces(out, at_right ? space : 0);
    buf_add_text(out, text);
    if (column + 1 < table->column_count) {
        add_spaces(out, COLUMN_GAP + (at_right ? 0 : space));
    } else {
        buf_add_char(out, '\n');
    }
}

// U+200E, U+200F, U+202A to U+202E and U+2066 to U+2069 turn the direction of the text around them.
static bool is_direction_mark(const char *data, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)data;
    if (size != 3 || bytes[0] != 0xe2) {
        return false;
    }
    return bytes[1] == 0x80
               ? (bytes[2] >= 0x8e && bytes[2] <= 0x8f) || (bytes[2] >= 0xaa && bytes[2] <= 0xae)
               : bytes[1] == 0x81 && bytes[2] >= 0xa6 && bytes[2] <= 0xa9;
}

// Adds a character's bytes, or \xNN for each byte that a terminal might obey or misread: C0 and C1
// control characters, DEL, marks of text direction, and what is not UTF-8. Returns the number of bytes
// used up.
static size_t add_visible_character(struct text rest, struct buf *out)
{
    size_t size = 1;
    while (size < rest.size && size < 4 && ((unsigned char)rest.data[size] & 0xc0u) == 0x80u) {
        size++;
    }
    unsigned char first = (unsigned char)rest.data[0];
    bool control = first < 0x20 || first == 0x7f ||
                   (first == 0xc2 && size > 1 && (unsigned char)rest.data[1] < 0xa0) ||
                   is_direction_mark(rest.data, size);
    size_t valid = text_utf8_valid_prefix((struct text){rest.data, size});
    if (!control && valid > 0) {
        buf_add(out, rest.data, valid);
        return valid;
    }
    for (size_t i = 0; i < size; i++) {
        buf_add_fmt(out, "\\x%02x", (unsigned)(unsigned char)rest.data[i]);
    }
    return size;
}

void table_add_visible(struct buf *out, struct text text)
{
    while (text.size > 0) {
        size_t used = add_visible_character(text, out);
        text.data += used;
        text.size -= used;
    }
}

static void write_held_row(struct table_out *table, const char **at)
{
    for (size_t i = 0; i < table->column_count; i++) {
        uint32_t size = 0;
        memcpy(&size, *at, sizeof size);
        write_padded(table, i, (struct text){*at + sizeof size, size});
        *at += sizeof size + size;
    }
}

// From here on the widths stand, and rows stream.
static void release_held(struct table_out *table)
{
    assert(table->holding);
    table->holding = false;
    for (size_t i = 0; i < table->column_count; i++) {
        write_padded(table, i, text_of(table->columns[i].name));
    }
    struct text held = buf_view(&table->held);
    const char *at = held.data;
    while (held.size > 0 && at < held.data + held.size) {
        write_held_row(table, &at);
    }
    buf_reset(&table->held);
}

// The cells of one row, made visible, each behind its size, in `scratch`.
static void encode_row(struct table_out *table, const struct text *cells)
{
    buf_reset(&table->scratch);
    for (size_t i = 0; i < table->column_count; i++) {
        size_t size_at = buf_view(&table->scratch).size;
        uint32_t size = 0;
        buf_add(&table->scratch, &size, sizeof size);
        table_add_visible(&table->scratch, cells[i].data != NULL ? cells[i] : TEXT("-"));
        if (buf_overflowed(&table->scratch)) {
            return;
        }
        size = (uint32_t)(buf_view(&table->scratch).size - size_at - sizeof size);
        memcpy(table->scratch.data + size_at, &size, sizeof size);
    }
}

static bool hold_row(struct table_out *table, struct text encoded)
{
    if (table->row_count >= TABLE_HELD_ROWS_MAX) {
        return false;
    }
    buf_add_text(&table->held, encoded);
    if (buf_overflowed(&table->held)) {
        return false; // an add is whole or not at all: the rows before this one stand
    }
    const char *at = encoded.data;
    for (size_t i = 0; i < table->column_count; i++) {
        uint32_t size = 0;
        memcpy(&size, at, sizeof size);
        size_t width = character_count((struct text){at + sizeof size, size});
        table->widths[i] = width > table->widths[i] ? width : table->widths[i];
        at += sizeof size + size;
    }
    return true;
}

static void write_table_row(struct table_out *table, const struct text *cells)
{
    encode_row(table, cells);
    if (buf_overflowed(&table->scratch)) {
        table->output->failure = table->output->failure != 0 ? table->output->failure : ENOMEM;
        return;
    }
    struct text encoded = buf_view(&table->scratch);
    if (table->holding && hold_row(table, encoded)) {
        return;
    }
    if (table->holding) {
        release_held(table);
    }
    const char *at = encoded.data;
    write_held_row(table, &at);
}

bool table_out_row(struct table_out *table, const struct text *cells)
{
    switch (table->format) {
    case TABLE_FORMAT_TABLE:
        write_table_row(table, cells);
        break;
    case TABLE_FORMAT_JSON:
        buf_add_str(&table->output->buf, table->row_count == 0 ? "[\n" : ",\n");
        write_json_row(table, cells);
        break;
    case TABLE_FORMAT_JSONL:
        write_json_row(table, cells);
        buf_add_char(&table->output->buf, '\n');
        break;
    case TABLE_FORMAT_CSV:
        write_csv_row(table, cells);
        break;
    }
    table->row_count++;
    return output_pass(table->output);
}

void table_out_end(struct table_out *table)
{
    if (table->holding) {
        release_held(table);
    }
    if (table->format == TABLE_FORMAT_JSON) {
        buf_add_str(&table->output->buf, table->row_count == 0 ? "[]\n" : "\n]\n");
    }
    (void)output_pass(table->output);
    buf_deinit(&table->held);
    buf_deinit(&table->scratch);
}
