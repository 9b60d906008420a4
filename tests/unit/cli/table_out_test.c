// Golden rows of the four formats, and what happens at their limits and on failing memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "fault_alloc.h"
#include "table_out.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MISSING      ((struct text){0})

static const struct table_column columns[] = {
    {"order_id", TABLE_NUMBER}, {"item", TABLE_TEXT}, {"total", TABLE_NUMBER}};

static const struct text plain_rows[][3] = {
    {TEXT("7"), TEXT("Laptop"), TEXT("1299.99")},
    {TEXT("1234567"),
     TEXT("Sm\xc3\xb8rrebr\xc3\xb8"
          "d"),
     TEXT("-5.00")},
    {TEXT("9"), MISSING, MISSING},
};

// Everything that `rows` give, zero-terminated, in static memory.
static const char *render(enum table_format format, const struct text (*rows)[3], size_t count)
{
    static char text[8192];
    struct output output;
    struct table_out table;
    output_init(&output, -1);
    table_out_init(&table, format, columns, COUNT(columns), &output);
    for (size_t i = 0; i < count; i++) {
        assert_true(table_out_row(&table, rows[i]));
    }
    table_out_end(&table);
    struct text view = buf_view(&output.buf);
    assert_in_range(view.size, 0, sizeof text - 1);
    if (view.size > 0) {
        memcpy(text, view.data, view.size);
    }
    text[view.size] = '\0';
    output_deinit(&output);
    return text;
}

static void table_aligns_numbers_right_and_counts_characters_not_bytes(void **state)
{
    (void)state;
    assert_string_equal(render(TABLE_FORMAT_TABLE, plain_rows, 3),
                        "order_id  item          total\n"
                        "       7  Laptop      1299.99\n"
                        " 1234567  Sm\xc3\xb8rrebr\xc3\xb8"
                        "d    -5.00\n"
                        "       9  -                 -\n");
}

static void json_is_one_array_with_exact_numbers_and_nulls(void **state)
{
    (void)state;
    assert_string_equal(render(TABLE_FORMAT_JSON, plain_rows, 3),
                        "[\n"
                        "{\"order_id\":7,\"item\":\"Laptop\",\"total\":1299.99},\n"
                        "{\"order_id\":1234567,\"item\":\"Sm\xc3\xb8rrebr\xc3\xb8"
                        "d\",\"total\":-5.00},\n"
                        "{\"order_id\":9,\"item\":null,\"total\":null}\n"
                        "]\n");
}

static void json_lines_are_one_object_a_line(void **state)
{
    (void)state;
    assert_string_equal(render(TABLE_FORMAT_JSONL, plain_rows, 2),
                        "{\"order_id\":7,\"item\":\"Laptop\",\"total\":1299.99}\n"
                        "{\"order_id\":1234567,\"item\":\"Sm\xc3\xb8rrebr\xc3\xb8"
                        "d\",\"total\":-5.00}\n");
}

static void csv_has_a_heading_and_leaves_missing_values_empty(void **state)
{
    (void)state;
    assert_string_equal(render(TABLE_FORMAT_CSV, plain_rows, 3), "order_id,item,total\n"
                                                                 "7,Laptop,1299.99\n"
                                                                 "1234567,Sm\xc3\xb8rrebr\xc3\xb8"
                                                                 "d,-5.00\n"
                                                                 "9,,\n");
}

static void no_rows_are_a_heading_or_an_empty_array_or_nothing(void **state)
{
    (void)state;
    assert_string_equal(render(TABLE_FORMAT_TABLE, NULL, 0), "order_id  item  total\n");
    assert_string_equal(render(TABLE_FORMAT_JSON, NULL, 0), "[]\n");
    assert_string_equal(render(TABLE_FORMAT_JSONL, NULL, 0), "");
    assert_string_equal(render(TABLE_FORMAT_CSV, NULL, 0), "order_id,item,total\n");
}

static void csv_text_is_quoted_and_never_a_formula(void **state)
{
    (void)state;
    static const struct {
        struct text cell;
        const char *line;
    } cases[] = {
        {TEXT("=cmd()"), "1,'=cmd(),2\n"},
        {TEXT("+1"), "1,'+1,2\n"},
        {TEXT("-1"), "1,'-1,2\n"},
        {TEXT("@sum"), "1,'@sum,2\n"},
        {TEXT("\t=1"), "1,'\t=1,2\n"},
        {TEXT("\r=1"), "1,\"'\r=1\",2\n"},
        {TEXT("=a,b"), "1,\"'=a,b\",2\n"},
        {TEXT("a=b"), "1,a=b,2\n"},
        {TEXT("say \"hi\""), "1,\"say \"\"hi\"\"\",2\n"},
        {TEXT("two\nlines"), "1,\"two\nlines\",2\n"},
        {TEXT(""), "1,\"\",2\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct text row[][3] = {{TEXT("1"), cases[i].cell, TEXT("2")}};
        const char *text = render(TABLE_FORMAT_CSV, row, 1);
        assert_string_equal(strchr(text, '\n') + 1, cases[i].line);
    }
}

static void a_terminal_gets_no_control_characters(void **state)
{
    (void)state;
    static const struct {
        struct text cell;
        const char *shown;
    } cases[] = {
        {TEXT("a\x1b[31mb"), "a\\x1b[31mb"},
        {TEXT("a\nb"), "a\\x0ab"},
        {TEXT("\x7f"), "\\x7f"},
        {TEXT("\xc2\x9b"), "\\xc2\\x9b"},
        {TEXT("\xc2\xa0"), "\xc2\xa0"},
        {TEXT("\xe2\x80\xae"), "\\xe2\\x80\\xae"}, // right to left from here on
        {TEXT("\xe2\x81\xa6"), "\\xe2\\x81\\xa6"},
        {TEXT("\xe2\x80\x90"), "\xe2\x80\x90"}, // a hyphen
        {TEXT("\xff"), "\\xff"},
        {TEXT("\xe2\x82"), "\\xe2\\x82"},
        {TEXT("\xf0\x9f\x92\xb0"), "\xf0\x9f\x92\xb0"},
        {TEXT("quote \" and \\"), "quote \" and \\"},
        {TEXT(""), ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct text row[][3] = {{TEXT("1"), cases[i].cell, TEXT("2")}};
        const char *text = render(TABLE_FORMAT_TABLE, row, 1);
        const char *line = strchr(text, '\n') + 1;
        const char *cell = line + strlen("       1  ");
        assert_memory_equal(cell, cases[i].shown, strlen(cases[i].shown));
        assert_int_equal(cell[strlen(cases[i].shown)], ' ');
    }
}

static size_t line_count(struct text text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        count += text.data[i] == '\n';
    }
    return count;
}

static void a_table_holds_back_its_first_rows_and_streams_the_rest(void **state)
{
    (void)state;
    struct output output;
    struct table_out table;
    output_init(&output, -1);
    table_out_init(&table, TABLE_FORMAT_TABLE, columns, COUNT(columns), &output);
    for (size_t i = 0; i < TABLE_HELD_ROWS_MAX; i++) {
        assert_true(table_out_row(&table, plain_rows[0]));
        assert_int_equal(buf_view(&output.buf).size, 0);
    }
    assert_true(table_out_row(&table, plain_rows[1]));
    assert_int_equal(line_count(buf_view(&output.buf)), TABLE_HELD_ROWS_MAX + 2);
    assert_true(table_out_row(&table, plain_rows[2]));
    assert_int_equal(line_count(buf_view(&output.buf)), TABLE_HELD_ROWS_MAX + 3);
    table_out_end(&table);
    assert_int_equal(line_count(buf_view(&output.buf)), TABLE_HELD_ROWS_MAX + 3);
    output_deinit(&output);
}

static void a_table_of_large_rows_streams_before_its_memory_ends(void **state)
{
    (void)state;
    static char large[TABLE_HELD_SIZE_MAX / 4];
    memset(large, 'x', sizeof large);
    const struct text row[3] = {TEXT("1"), {large, sizeof large}, TEXT("2")};
    struct output output;
    struct table_out table;
    output_init(&output, -1);
    table_out_init(&table, TABLE_FORMAT_TABLE, columns, COUNT(columns), &output);
    for (size_t i = 0; i < 8; i++) {
        assert_true(table_out_row(&table, row));
    }
    table_out_end(&table);
    assert_int_equal(line_count(buf_view(&output.buf)), 9);
    output_deinit(&output);
}

static void a_row_too_large_to_show_is_a_failure_not_a_cut(void **state)
{
    (void)state;
    static char large[TABLE_ROW_SIZE_MAX];
    memset(large, 'x', sizeof large);
    const struct text row[3] = {TEXT("1"), {large, sizeof large}, TEXT("2")};
    struct output output;
    struct table_out table;
    struct why why = {0};
    output_init(&output, -1);
    table_out_init(&table, TABLE_FORMAT_TABLE, columns, COUNT(columns), &output);
    assert_false(table_out_row(&table, row));
    table_out_end(&table);
    assert_int_equal(output_finish(&output, &why), ERR_IO);
    output_deinit(&output);
}

// Three rows, with the n-th allocation failing: all is there, or the failure is known.
static bool ran_into_failure(enum table_format format, uint64_t n)
{
    struct output output;
    struct table_out table;
    struct why why = {0};
    fault_alloc_arm(n);
    output_init(&output, -1);
    table_out_init(&table, format, columns, COUNT(columns), &output);
    for (size_t i = 0; i < 3; i++) {
        (void)table_out_row(&table, plain_rows[i]);
    }
    table_out_end(&table);
    enum err code = output_finish(&output, &why);
    bool hit = fault_alloc_hit();
    fault_alloc_disarm();
    size_t lines = line_count(buf_view(&output.buf));
    if (code == ERR_OK) {
        assert_int_equal(lines, format == TABLE_FORMAT_JSON    ? 5
                                : format == TABLE_FORMAT_JSONL ? 3
                                                               : 4);
    } else {
        assert_int_equal(code, ERR_IO);
        assert_true(hit);
    }
    output_deinit(&output);
    return hit;
}

static void no_row_is_lost_silently_when_an_allocation_fails(void **state)
{
    (void)state;
    for (int format = TABLE_FORMAT_TABLE; format <= TABLE_FORMAT_CSV; format++) {
        uint64_t n = 1;
        while (ran_into_failure((enum table_format)format, n)) {
            n++;
        }
        assert_true(n > 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_aligns_numbers_right_and_counts_characters_not_bytes),
        cmocka_unit_test(json_is_one_array_with_exact_numbers_and_nulls),
        cmocka_unit_test(json_lines_are_one_object_a_line),
        cmocka_unit_test(csv_has_a_heading_and_leaves_missing_values_empty),
        cmocka_unit_test(no_rows_are_a_heading_or_an_empty_array_or_nothing),
        cmocka_unit_test(csv_text_is_quoted_and_never_a_formula),
        cmocka_unit_test(a_terminal_gets_no_control_characters),
        cmocka_unit_test(a_table_holds_back_its_first_rows_and_streams_the_rest),
        cmocka_unit_test(a_table_of_large_rows_streams_before_its_memory_ends),
        cmocka_unit_test(a_row_too_large_to_show_is_a_failure_not_a_cut),
        cmocka_unit_test(no_row_is_lost_silently_when_an_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
