// Rows towards people and programs: an aligned table, one JSON array, JSON lines or CSV. Rows stream;
// only the table holds back its first rows, to find the widths of its columns.
//
// Numbers are exact text and pass through untouched. Text can't do harm where it lands: control
// characters and marks of text direction are escaped in a table (terminal), and a CSV text that a
// spreadsheet would take for a formula (it begins with = + - @ tab or CR) gets an apostrophe in front.
// One thread at a time.
#ifndef TILL_TABLE_OUT_H
#define TILL_TABLE_OUT_H

#include "output.h"
#include "text.h"

enum table_format { TABLE_FORMAT_TABLE, TABLE_FORMAT_JSON, TABLE_FORMAT_JSONL, TABLE_FORMAT_CSV };
extern const char *const table_format_names[]; // by enum table_format, then NULL

enum table_cell { TABLE_TEXT, TABLE_NUMBER };

struct table_column {
    const char *name; // snake_case; the JSON key and the heading
    enum table_cell cell;
};

#define TABLE_COLUMN_COUNT_MAX 32
#define TABLE_HELD_ROWS_MAX    1000u
#define TABLE_HELD_SIZE_MAX    (1u << 20)
#define TABLE_ROW_SIZE_MAX     (4u << 20) // of a row that is shown in a table, escapes included

struct table_out {
    enum table_format format;
    const struct table_column *columns;
    size_t column_count;
    struct output *output;
    uint64_t row_count;
    // the table format only
    bool holding;    // widths are still growing
    struct buf held; // cells as they will be shown, each behind its size
    struct buf scratch;
    size_t widths[TABLE_COLUMN_COUNT_MAX]; // characters
};

// `columns` and `output` must outlive it.
void table_out_init(struct table_out *table, enum table_format format,
                    const struct table_column *columns, size_t column_count, struct output *output);

// One cell a column; data == NULL is a missing value (JSON null, "-" in a table, nothing in CSV; an
// empty text is quoted there). A number's text must be a JSON number. false: see output_pass().
bool table_out_row(struct table_out *table, const struct text *cells);

// Writes what is still due (held rows, the closing bracket) and releases. Failures are sticky in the
// output: ask output_finish().
void table_out_end(struct table_out *table);

// Adds text so that a terminal shows it and obeys none of it, as the cells of a table are.
void table_add_visible(struct buf *out, struct text text);

#endif
