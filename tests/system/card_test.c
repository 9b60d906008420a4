// A full card number in a message, wherever it stands, is in no output, no log, and not in facts.db.
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

// Test numbers that no card has, each as it may be written.
static const char *const numbers[] = {"4539578763621486", "4539 5787 6362 1486",
                                      "4539-5787-6362-1486", "378282246310005"};
// What must not be left of them anywhere: the last four digits may.
static const char *const traces[] = {"453957876362", "4539 5787 6362", "4539-5787-6362",
                                     "37828224631"};

#define ORDER_START   "{\"order_id\": 1, \"customer_id\": 1, \"item\": \""
#define ORDER_END     "\", \"quantity\": 1, \"price\": 1, \"shipping_address\": \"a\", "
#define ORDER_STATUS  "\"order_status\": \"Pending\", \"creation_date\": \"2024-01-21\""
#define PAYMENT_START "{\"payment_id\": 1, \"order_id\": 1, "
#define PAYMENT_END   "\"payment_status\": \"Completed\", \"payment_datetime\": \"x\""

// %s is the number. All of these are refused, each for the reason that comes first.
static const struct {
    const char *format;
    const char *reason;
} messages[] = {
    {ORDER_START "%s" ORDER_END ORDER_STATUS "}", "E_PAN"},
    {ORDER_START "Laptop" ORDER_END ORDER_STATUS ", \"note\": \"paid with %s, thanks\"}", "E_PAN"},
    {ORDER_START "Laptop" ORDER_END "\"order_status\": \"%s\", \"creation_date\": \"x\"}", "E_PAN"},
    {ORDER_START "Laptop" ORDER_END "\"order_status\": \"Pending\", \"creation_date\": \"%s\"}",
     "E_PAN"},
    {ORDER_START "Laptop" ORDER_END ORDER_STATUS ", \"deep\": {\"er\": [\"%s\"]}}", "E_PAN"},
    {PAYMENT_START "\"payment_method\": \"%s\", " PAYMENT_END "}", "E_PAN"},
    {PAYMENT_START "\"payment_method\": \"Card\", \"card_last_four\": \"%s\", " PAYMENT_END "}",
     "E_PAN"},
    {PAYMENT_START "\"payment_method\": \"Card\", \"event_id\": \"%s\", " PAYMENT_END "}", "E_PAN"},
    {PAYMENT_START "\"payment_method\": \"Card\", \"card_number\": \"%s\", " PAYMENT_END "}",
     "E_PAN"},
    {PAYMENT_START "\"payment_method\": \"Card\", \"currency\": \"%s\", " PAYMENT_END "}", "E_PAN"},
    // What can't be parsed is searched as it is, and keeps its reason.
    {"{\"payment_id\": 1, \"card\": \"%s\"", "E_JSON"},
    {"paid with %s, thanks", "E_JSON"},
    {"{\"payment_id\": 1, \"payment_id\": 1, \"card\": \"%s\"}", "E_DUPKEY"},
    {"\xff\xfe %s", "E_UTF8"},
};
#define MESSAGE_COUNT (sizeof messages / sizeof messages[0])
#define NUMBER_COUNT  (sizeof numbers / sizeof numbers[0])

static void write_messages(void)
{
    FILE *file = fopen("m.jsonl", "we");
    assert_non_null(file);
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        for (size_t k = 0; k < NUMBER_COUNT; k++) {
            const char *hole = strstr(messages[i].format, "%s");
            assert_true(fprintf(file, "%.*s%s%s\n", (int)(hole - messages[i].format),
                                messages[i].format, numbers[k], hole + 2) > 0);
        }
    }
    assert_int_equal(fclose(file), 0);
}

static void assert_no_trace(const struct outcome *outcome)
{
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        if (strstr(outcome->out, traces[i]) != NULL || strstr(outcome->err, traces[i]) != NULL) {
            till_fail(outcome, "a card number got out: %s", traces[i]);
        }
    }
}

// The log at its most talkative.
static void run_and_see_nothing(void)
{
    write_messages();
    const struct outcome *run =
        TILL("run", "--from", "m.jsonl", "--once", "--set", "log.level=debug", "--data-dir", "d");
    assert_exit_code(run, 0);
    assert_no_trace(run);
}

static void no_command_prints_a_card_number(void **state)
{
    (void)state;
    run_and_see_nothing();
    static const char *const formats[] = {"table", "json", "jsonl", "csv"};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        assert_no_trace(TILL("query", "--output", formats[i], "--data-dir", "d"));
        assert_no_trace(TILL("dlq", "list", "--output", formats[i], "--data-dir", "d"));
    }
    assert_no_trace(TILL("report", "--data-dir", "d"));
    char *ids = facts_rows("d", "SELECT id FROM dead_letters ORDER BY first_seen LIMIT 20");
    char *rest = ids;
    for (char *id; (id = strsep(&rest, "\n")) != NULL && *id != '\0';) {
        const struct outcome *show = TILL("dlq", "show", id, "--data-dir", "d");
        assert_exit_code(show, 0);
        assert_no_trace(show);
    }
    free(ids);
}

static void facts_db_holds_no_card_number(void **state)
{
    (void)state;
    run_and_see_nothing();
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        assert_false(file_holds("d/facts.db", traces[i]));
        assert_false(file_exists("d/facts.db-wal") && file_holds("d/facts.db-wal", traces[i]));
    }
}

static void every_one_is_refused_for_the_first_reason_and_keeps_four_digits(void **state)
{
    (void)state;
    run_and_see_nothing();
    assert_int_equal(facts_number("d", SQL_ORDERS), 0);
    assert_int_equal(facts_number("d", SQL_MATCHED), 0);
    int64_t expected_pan = 0;
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        expected_pan += strcmp(messages[i].reason, "E_PAN") == 0 ? (int64_t)NUMBER_COUNT : 0;
    }
    assert_int_equal(facts_number("d", "SELECT count(*) FROM dead_letters WHERE reason = 'E_PAN'"),
                     expected_pan);
    assert_int_equal(facts_number("d", "SELECT count(*) FROM dead_letters"),
                     MESSAGE_COUNT * NUMBER_COUNT);
    assert_int_equal(facts_number("d", "SELECT count(*) FROM dead_letters WHERE redacted"),
                     MESSAGE_COUNT * NUMBER_COUNT);
    assert_int_equal(facts_number("d", "SELECT count(*) FROM dead_letters"
                                       " WHERE body LIKE '%1486%' OR body LIKE '%0005%'"
                                       " OR body LIKE '%\"card_number\": \"***\"%'"),
                     MESSAGE_COUNT * NUMBER_COUNT);
    assert_balanced("d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSTEM_TEST(no_command_prints_a_card_number),
        SYSTEM_TEST(facts_db_holds_no_card_number),
        SYSTEM_TEST(every_one_is_refused_for_the_first_reason_and_keeps_four_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
