// Lines that are no messages become dead letters with their reasons and their bytes; the messages around
// them are matched as if nothing had been.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_files.h"
#include "till_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_SIZE_MAX ((size_t)256 * 1024)

// The reasons of all dead letters in the order of the lines, a line each.
static void assert_reasons(const char *expected)
{
    char *reasons = facts_rows("d", "SELECT reason FROM dead_letters ORDER BY first_seen, reason");
    assert_string_equal(reasons, expected);
    free(reasons);
}

static void run_file(void)
{
    const struct outcome *run = TILL("run", "--from", "m.jsonl", "--once", "--data-dir", "d");
    assert_exit_code(run, 0);
    assert_out_has(run, "\nBalanced: all ");
}

static void begin_with_an_order(void)
{
    write_text("m.jsonl", order_line(1));
}

static void end_with_its_payment(void)
{
    append_text("m.jsonl", payment_line(1001, 1));
    run_file();
    assert_int_equal(facts_number("d", SQL_MATCHED), 1);
}

static void a_line_that_is_no_message_is_kept_as_it_came(void **state)
{
    (void)state;
    begin_with_an_order();
    append_text("m.jsonl", "payment received, thank you\n");
    end_with_its_payment();
    assert_reasons("E_JSON\n");
    char *body = facts_rows("d", "SELECT body FROM dead_letters");
    assert_string_equal(body, "payment received, thank you\n");
    free(body);
}

static void reasons_name_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *reason;
        const char *detail; // how it begins
    } cases[] = {
        {"{\"order_id\": 1,", "E_JSON", "line 1, column "},
        {"[]", "E_TYPE", ""},
        {"{\"order_id\": 2, \"order_id\": 2}", "E_DUPKEY", ""},
        {"{\"order_id\": \"2\", \"customer_id\": 1}", "E_TYPE", "order_id: "},
        {"{\"order_id\": 0, \"customer_id\": 1}", "E_RANGE", "order_id: "},
        {"{\"payment_id\": 5}", "E_MISSING", "order_id: "},
        {"{\"payment_id\": 5, \"order_id\": 1, \"payment_method\": \"PayPal\", \"payment_status\": "
         "\"Done\", \"payment_datetime\": \"x\"}",
         "E_ENUM", "payment_status: "},
        {"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
         "\"a\":"
         "{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}}}}}}}}}",
         "E_DEPTH", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char directory[16];
        char expected[128];
        (void)snprintf(directory, sizeof directory, "d%zu", i);
        write_text("m.jsonl", cases[i].line);
        assert_exit_code(TILL("run", "--from", "m.jsonl", "--once", "--data-dir", directory), 0);
        char *row = facts_rows(directory, "SELECT reason, detail FROM dead_letters");
        (void)snprintf(expected, sizeof expected, "%s|%s", cases[i].reason, cases[i].detail);
        if (strncmp(row, expected, strlen(expected)) != 0) {
            fail_msg("%s: got %s, expected %s", cases[i].line, row, expected);
        }
        free(row);
    }
}

static void write_line_of(size_t size)
{
    char *line = malloc(size + 1);
    assert_non_null(line);
    memset(line, 'a', size);
    line[size] = '\n';
    write_bytes("long.txt", line, size + 1);
    free(line);
    append_file("m.jsonl", "long.txt");
}

static void a_line_over_the_limit_is_cut_and_refused_as_too_large(void **state)
{
    (void)state;
    begin_with_an_order();
    write_line_of(MESSAGE_SIZE_MAX);     // no JSON, but not too large
    write_line_of(MESSAGE_SIZE_MAX + 1); // one byte too large
    write_line_of((size_t)3 << 20);
    end_with_its_payment();
    assert_reasons("E_JSON\nE_SIZE\nE_SIZE\n");
    assert_true(facts_number("d", "SELECT max(length(body)) FROM dead_letters") <=
                (int64_t)MESSAGE_SIZE_MAX + 1);
}

static void empty_lines_are_no_messages(void **state)
{
    (void)state;
    write_text("m.jsonl", "\n\n");
    append_text("m.jsonl", order_line(1));
    append_text("m.jsonl", "\n\r\n\n");
    end_with_its_payment();
    const struct outcome *report = assert_balanced("d");
    assert_int_equal(report_number(report, "published", "orders"), 1);
    assert_int_equal(report_number(report, "published", "payments"), 1);
    assert_reasons("");
}

// A line without its LF, which the callers give their own ending.
static void append_cut(const char *line, const char *ending)
{
    char text[512];
    (void)snprintf(text, sizeof text, "%.*s%s", (int)strcspn(line, "\n"), line, ending);
    append_text("m.jsonl", text);
}

static void crlf_and_a_missing_last_line_end_do_not_matter(void **state)
{
    (void)state;
    write_text("m.jsonl", "");
    append_cut(order_line(1), "\r\n");
    append_cut(order_line(2), "\r\n");
    append_cut(payment_line(1002, 2), "\n");
    append_cut(payment_line(1001, 1), "");
    run_file();
    assert_int_equal(facts_number("d", SQL_MATCHED), 2);
    assert_reasons("");
}

static void binary_garbage_is_refused_line_by_line(void **state)
{
    (void)state;
    begin_with_an_order();
    static const char garbage[] =
        "\x00\x01\xff\xfe\n\x80\x80\x80\n\xef\xbb\xbf{}\n{\"a\": \"\x00\"}\n";
    write_bytes("garbage", garbage, sizeof garbage - 1);
    append_file("m.jsonl", "garbage");
    end_with_its_payment();
    assert_reasons("E_UTF8\nE_UTF8\nE_JSON\nE_JSON\n");
    const struct outcome *list = TILL("dlq", "list", "--data-dir", "d");
    assert_exit_code(list, 0);
    for (size_t i = 0; i < list->out_size; i++) { // nothing that a terminal would obey
        assert_true(list->out[i] == '\n' || (unsigned char)list->out[i] >= ' ');
    }
}

static void an_empty_file_is_no_error(void **state)
{
    (void)state;
    write_text("m.jsonl", "");
    run_file();
    assert_int_equal(report_number(assert_balanced("d"), "published", "orders"), 0);
}

// Orders given as payments and the other way round.
static void messages_of_the_other_topic_are_refused(void **state)
{
    (void)state;
    write_text("o.jsonl", order_line(1));
    write_text("p.jsonl", payment_line(1001, 1));
    assert_exit_code(
        TILL("run", "--orders", "p.jsonl", "--payments", "o.jsonl", "--once", "--data-dir", "d"),
        0);
    assert_reasons("E_WRONG_TOPIC\nE_WRONG_TOPIC\n");
    assert_balanced("d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSTEM_TEST(a_line_that_is_no_message_is_kept_as_it_came),
        SYSTEM_TEST(reasons_name_what_is_wrong),
        SYSTEM_TEST(a_line_over_the_limit_is_cut_and_refused_as_too_large),
        SYSTEM_TEST(empty_lines_are_no_messages),
        SYSTEM_TEST(crlf_and_a_missing_last_line_end_do_not_matter),
        SYSTEM_TEST(binary_garbage_is_refused_line_by_line),
        SYSTEM_TEST(an_empty_file_is_no_error),
        SYSTEM_TEST(messages_of_the_other_topic_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
