// The command line: help, suggestions, and what commands print in which format.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_files.h"
#include "till_process.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- help -----------------------------------------------------------------------------------------

#define COMMAND_WORDS_MAX 3u
#define WORD_SIZE         32u

struct command_words {
    char text[COMMAND_WORDS_MAX][WORD_SIZE];
    const char *words[COMMAND_WORDS_MAX + 2];
};

// Whether a line of the overview names a command, as "  dlq show ID      show one ..." does: words of
// lower-case letters up to the first that is an argument, or up to a gap.
static bool read_command(const char *line, struct command_words *command)
{
    size_t count = 0;
    *command = (struct command_words){0};
    if (strncmp(line, "  ", 2) != 0) {
        return false;
    }
    for (line += 2; count < COMMAND_WORDS_MAX; line++) {
        size_t size = strspn(line, "abcdefghijklmnopqrstuvwxyz");
        if (size == 0 || size >= WORD_SIZE || strchr(" \n", line[size]) == NULL) {
            break;
        }
        memcpy(command->text[count], line, size);
        command->words[count] = command->text[count];
        count++;
        line += size;
    }
    command->words[count] = "--help";
    return count > 0;
}

static void every_command_of_the_overview_has_help_with_examples(void **state)
{
    (void)state;
    const struct outcome *overview = TILL("--help");
    assert_exit_code(overview, 0);
    assert_err_is(overview, "");
    size_t count = 0;
    const char *line = strstr(overview->out, "Commands:\n");
    for (; line != NULL && *line != '\0'; line = strchr(line, '\n') + 1) {
        struct command_words command;
        if (!read_command(line, &command)) {
            continue;
        }
        const struct outcome *help = till_run(&(struct till_start){.words = command.words});
        assert_exit_code(help, 0);
        assert_err_is(help, "");
        assert_out_has(help, "\nUsage: till ");
        assert_out_has(help, "\nExamples:\n  ");
        count++;
    }
    assert_true(count >= 11);
}

static void no_command_shows_the_overview_as_wrong_use(void **state)
{
    (void)state;
    const struct outcome *nothing = till_run(&(struct till_start){.words = TILL_WORDS(NULL)});
    assert_exit_code(nothing, 2);
    assert_string_equal(nothing->out, "");
    assert_err_has(nothing, "Usage: till COMMAND");
    const struct outcome *group = TILL("dlq");
    assert_exit_code(group, 2);
    assert_err_has(group, "dlq show ID");
}

static void the_version_names_the_program_and_its_libraries(void **state)
{
    (void)state;
    const struct outcome *version = TILL("version");
    assert_exit_code(version, 0);
    assert_out_has(version, "\ntill ");
    assert_out_has(version, "\nsqlite ");
    version = TILL("--version");
    assert_exit_code(version, 0);
    assert_int_equal(strncmp(version->out, "till ", 5), 0);
}

static void wrong_use_is_one_line_with_the_nearest_name(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        const char *line;
    } cases[] = {
        {{"rnu"}, "till: unknown command \"rnu\"; did you mean run?\n"},
        {{"dlq", "lst"}, "till: unknown command \"dlq lst\"; did you mean dlq list?\n"},
        {{"run", "--onec"}, "till: unknown flag --onec; did you mean --once?\n"},
        {{"run", "--grace"}, "till: flag --grace needs a value: --grace DURATION\n"},
        {{"run", "--grace", "soon"},
         "till: flag --grace: expected a duration such as 90s or 15m, got \"soon\"\n"},
        {{"run", "--set", "match.grac=1s"},
         "till: flag --set: unknown key match.grac; did you mean match.grace?\n"},
        {{"run", "--once", "--once"}, "till: flag --once is given twice\n"},
        {{"query", "more"}, "till: unexpected argument \"more\"; see till query --help\n"},
        {{"query", "--limit", "0"}, NULL},
        {{"query", "--day", "yesterday"}, "till: --day: expected YYYY-MM-DD\n"},
        {{"produce", "order"},
         "till: orders|payments: expected orders or payments, got \"order\"\n"},
        {{"produce"}, "till: produce needs orders|payments; see till produce --help\n"},
        {{"dlq", "show"}, "till: dlq show needs ID; see till dlq show --help\n"},
        {{"dlq", "show", "not-hex"}, NULL},
        {{"dlq", "list", "--reason", "E_UNMACHED"},
         "till: --reason: no reason 'E_UNMACHED'; did you mean E_UNMATCHED?\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct outcome *outcome = till_run(&(struct till_start){.words = cases[i].words});
        assert_exit_code(outcome, 2);
        assert_err_is_one_line(outcome);
        assert_string_equal(outcome->out, "");
        if (cases[i].line != NULL) {
            assert_err_is(outcome, cases[i].line);
        }
    }
    assert_false(file_exists("till-data"));
}

static void a_source_that_is_not_there_is_named(void **state)
{
    (void)state;
    const struct outcome *run = TILL("run", "--from", "absent.jsonl", "--once", "--data-dir", "d");
    assert_exit_code(run, 1);
    assert_err_is(run, "till: absent.jsonl: No such file or directory\n");
    run = TILL("run", "--from", ".", "--once", "--data-dir", "d");
    assert_exit_code(run, 1);
    assert_err_is(run, "till: .: Is a directory\n");
}

// --- formats --------------------------------------------------------------------------------------

// An order paid, an order unpaid, a payment without an order, and texts that want care.
static void make_data(void)
{
    write_text("m.jsonl", order_line(1));
    append_text("m.jsonl", payment_line(1001, 1));
    append_text("m.jsonl", payment_line(1002, 77));
    append_text("m.jsonl",
                "{\"order_id\": 2, \"customer_id\": 7, \"item\": \"=SUM(A1,\\\"x\\\")\\nB\", "
                "\"quantity\": 2, \"price\": 0.05, \"shipping_address\": \"1 Main St\", "
                "\"order_status\": \"Pending\", \"creation_date\": \"2024-01-22\"}\n");
    assert_exit_code(TILL("run", "--from", "m.jsonl", "--once", "--data-dir", "d"), 0);
}

static json_t *parse(const struct outcome *outcome)
{
    json_error_t error;
    json_t *root = json_loads(outcome->out, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        till_fail(outcome, "no JSON: %s in line %d", error.text, error.line);
    }
    return root;
}

static void assert_member(json_t *object, const char *key, const char *expected)
{
    json_t *value = json_object_get(object, key);
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    assert_string_equal(text, expected);
    free(text);
}

static void query_gives_json_that_parses(void **state)
{
    (void)state;
    make_data();
    const struct outcome *query = TILL("query", "--output", "json", "--data-dir", "d");
    assert_exit_code(query, 0);
    json_t *rows = parse(query);
    assert_int_equal(json_array_size(rows), 2);
    assert_member(json_array_get(rows, 0), "order_id", "1");
    assert_member(json_array_get(rows, 0), "payment_id", "1001");
    assert_member(json_array_get(rows, 0), "amount", "\"10.50\"");
    assert_member(json_array_get(rows, 0), "card_last_four", "null");
    assert_member(json_array_get(rows, 0), "settlement", "\"PAID\"");
    assert_member(json_array_get(rows, 1), "payment_id", "null");
    assert_member(json_array_get(rows, 1), "item", "\"=SUM(A1,\\\"x\\\")\\nB\"");
    assert_member(json_array_get(rows, 1), "order_total", "\"0.10\"");
    json_decref(rows);
}

static void query_gives_a_json_line_a_row(void **state)
{
    (void)state;
    make_data();
    const struct outcome *query = TILL("query", "--output", "jsonl", "--data-dir", "d");
    assert_exit_code(query, 0);
    size_t count = 0;
    for (const char *line = query->out; *line != '\0'; line = strchr(line, '\n') + 1) {
        json_t *row = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
        assert_true(json_is_object(row));
        json_decref(row);
        count++;
    }
    assert_int_equal(count, 2);
}

static void query_gives_csv_with_a_heading_and_without_formulas(void **state)
{
    (void)state;
    make_data();
    const struct outcome *query = TILL("query", "--output", "csv", "--data-dir", "d");
    assert_exit_code(query, 0);
    assert_string_equal(
        query->out,
        "order_id,payment_id,customer_id,item,quantity,price,shipping_address,order_status,"
        "creation_date,payment_method,card_last_four,payment_status,payment_datetime,amount,"
        "currency,order_total,amount_paid,amount_refunded,amount_charged_back,settlement,"
        "match_issue,n_events\n"
        "1,1001,7,Laptop,1,10.50,1 Main St,Pending,2024-01-21,PayPal,,Completed,"
        "2024-01-21T10:01:30Z,10.50,USD,10.50,10.50,0.00,0.00,PAID,NONE,2\n"
        "2,,7,\"'=SUM(A1,\"\"x\"\")\nB\",2,0.05,1 Main "
        "St,Pending,2024-01-22,,,,,,USD,0.10,0.00,0.00,"
        "0.00,UNPAID,NONE,1\n");
}

static void a_table_stays_a_table_whatever_the_text(void **state)
{
    (void)state;
    make_data();
    const struct outcome *query = TILL("query", "--data-dir", "d");
    assert_exit_code(query, 0);
    assert_int_equal(strncmp(query->out, "order_id  payment_id  customer_id  item", 39), 0);
    assert_out_has(query, "=SUM(A1,\"x\")\\x0aB");
}

static void query_finds_by_order_customer_day_and_settlement(void **state)
{
    (void)state;
    make_data();
    static const struct {
        const char *flag;
        const char *value;
        size_t rows;
    } cases[] = {{"--order", "1", 1},       {"--order", "3", 0},         {"--customer", "7", 2},
                 {"--customer", "8", 0},    {"--day", "2024-01-22", 1},  {"--day", "2024-01-23", 0},
                 {"--status", "UNPAID", 1}, {"--status", "OVERPAID", 0}, {"--limit", "1", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct outcome *query =
            TILL("query", cases[i].flag, cases[i].value, "--output", "json", "--data-dir", "d");
        assert_exit_code(query, 0);
        json_t *rows = parse(query);
        if (json_array_size(rows) != cases[i].rows) {
            till_fail(query, "%zu rows, expected %zu", json_array_size(rows), cases[i].rows);
        }
        json_decref(rows);
    }
}

static void dead_letters_are_listed_in_every_format(void **state)
{
    (void)state;
    make_data();
    const struct outcome *list = TILL("dlq", "list", "--output", "json", "--data-dir", "d");
    assert_exit_code(list, 0);
    json_t *rows = parse(list);
    assert_int_equal(json_array_size(rows), 1);
    assert_member(json_array_get(rows, 0), "reason", "\"E_UNMATCHED\"");
    assert_member(json_array_get(rows, 0), "order_id", "77");
    json_decref(rows);
    list = TILL("dlq", "list", "--output", "csv", "--data-dir", "d");
    assert_exit_code(list, 0);
    static const char heading[] = "id,reason,state,order_id,payment_id,first_seen,detail\n";
    assert_int_equal(strncmp(list->out, heading, strlen(heading)), 0);
    list = TILL("dlq", "list", "--reason", "E_JSON", "--output", "json", "--data-dir", "d");
    rows = parse(list);
    assert_int_equal(json_array_size(rows), 0);
    json_decref(rows);
}

static void a_dead_letter_is_shown_by_the_first_digits_of_its_id(void **state)
{
    (void)state;
    make_data();
    char *id = facts_rows("d", "SELECT id FROM dead_letters");
    id[strcspn(id, "\n")] = '\0';
    const struct outcome *whole = TILL("dlq", "show", id, "--data-dir", "d");
    assert_exit_code(whole, 0);
    assert_err_is(whole, "");
    assert_out_has(whole, "E_UNMATCHED");
    assert_out_has(whole, "\"payment_id\": 1002, \"order_id\": 77");
    id[6] = '\0';
    const struct outcome *prefix = TILL("dlq", "show", id, "--data-dir", "d");
    assert_exit_code(prefix, 0);
    assert_string_equal(prefix->out, whole->out);
    id[0] = id[0] == 'f' ? 'e' : 'f';
    const struct outcome *unknown = TILL("dlq", "show", id, "--data-dir", "d");
    assert_exit_code(unknown, 1);
    assert_err_is_one_line(unknown);
    assert_err_has(unknown, id);
    assert_string_equal(unknown->out, "");
    free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSTEM_TEST(every_command_of_the_overview_has_help_with_examples),
        SYSTEM_TEST(no_command_shows_the_overview_as_wrong_use),
        SYSTEM_TEST(the_version_names_the_program_and_its_libraries),
        SYSTEM_TEST(wrong_use_is_one_line_with_the_nearest_name),
        SYSTEM_TEST(a_source_that_is_not_there_is_named),
        SYSTEM_TEST(query_gives_json_that_parses),
        SYSTEM_TEST(query_gives_a_json_line_a_row),
        SYSTEM_TEST(query_gives_csv_with_a_heading_and_without_formulas),
        SYSTEM_TEST(a_table_stays_a_table_whatever_the_text),
        SYSTEM_TEST(query_finds_by_order_customer_day_and_settlement),
        SYSTEM_TEST(dead_letters_are_listed_in_every_format),
        SYSTEM_TEST(a_dead_letter_is_shown_by_the_first_digits_of_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
