// Each reading is a run of the program.
#include "cassandra_rig.h"

#include "data_files.h"

#include <assert.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
// cmocka needs those before it
#include <cmocka.h>

#define ROWS_MAX "100000000"

// --- starts -----------------------------------------------------------------------------------------

void rig_init(struct cassandra_rig *rig, const char *nodes, const char *keyspace)
{
    memset(rig, 0, sizeof(*rig));
    rig_set(rig, "TILL_STORE_KIND=cassandra");
    rig_set(rig, "TILL_CASSANDRA_CONTACT_POINTS=%s", nodes);
    rig_set(rig, "TILL_CASSANDRA_KEYSPACE=%s", keyspace);
}

static size_t slot_of(const struct cassandra_rig *rig, const char *setting)
{
    size_t size = strcspn(setting, "=") + 1;
    size_t at = 0;
    while (at < rig->count && strncmp(rig->variables[at], setting, size) != 0) {
        at++;
    }
    return at;
}

void rig_set(struct cassandra_rig *rig, const char *format, ...)
{
    char *setting = rig->memory + rig->used;
    size_t room = sizeof(rig->memory) - rig->used;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(setting, room, format, arguments);
    va_end(arguments);
    assert(size > 0 && (size_t)size < room);
    size_t slot = slot_of(rig, setting);
    assert(slot + 1 < sizeof(rig->variables) / sizeof(rig->variables[0]));
    rig->used += (size_t)size + 1;
    rig->variables[slot] = setting;
    rig->count += slot == rig->count;
}

struct till_process *rig_start(const struct cassandra_rig *rig, const char *const *words)
{
    return till_start(&(struct till_start){.words = words, .variables = rig->variables});
}

static bool has_ended(const struct till_process *process)
{
    siginfo_t info = {0};
    int result = waitid(P_PID, (id_t)till_pid(process), &info, WEXITED | WNOHANG | WNOWAIT);
    return result == 0 && info.si_pid != 0;
}

// What it says meanwhile has to fit into its pipes.
const struct outcome *rig_wait(struct till_process *process)
{
    for (int waited_ms = 0; waited_ms < RIG_PATIENCE_MS && !has_ended(process); waited_ms += 20) {
        (void)poll(NULL, 0, 20);
    }
    return till_wait(process);
}

const struct outcome *rig_run(const struct cassandra_rig *rig, const char *const *words)
{
    return rig_wait(rig_start(rig, words));
}

// --- lines ------------------------------------------------------------------------------------------

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t line_count(const char *text)
{
    size_t count = 0;
    for (const char *at = strchr(text, '\n'); at != NULL; at = strchr(at + 1, '\n')) {
        count++;
    }
    return count;
}

// Ends each line of `text` with a zero byte and sorts them into a new one.
static char *sort_lines(char *text, size_t size)
{
    size_t count = line_count(text);
    char **lines = calloc(count + 1, sizeof(lines[0]));
    char *sorted = calloc(1, size + 1);
    char *end = sorted;
    assert_true(lines != NULL && sorted != NULL);
    for (size_t i = 0; i < count; i++) {
        lines[i] = text;
        text = strchr(text, '\n');
        *text++ = '\0';
    }
    qsort(lines, count, sizeof(lines[0]), compare_lines);
    for (size_t i = 0; i < count; i++) {
        end = stpcpy(end, lines[i]);
        end = stpcpy(end, "\n");
    }
    free(lines);
    return sorted;
}

void assert_same_lines(const char *what, const char *found, const char *expected)
{
    while (*found != '\0' && *expected != '\0') {
        int found_size = (int)strcspn(found, "\n");
        int expected_size = (int)strcspn(expected, "\n");
        if (found_size != expected_size || memcmp(found, expected, (size_t)found_size) != 0) {
            fail_msg("%s differ\n found:    %.*s\n expected: %.*s", what, found_size, found,
                     expected_size, expected);
        }
        found += found_size + 1;
        expected += expected_size + 1;
    }
    if (*found != *expected) {
        fail_msg("%s: %s, such as %.*s", what, *found != '\0' ? "too many" : "some are missing",
                 (int)strcspn(*found != '\0' ? found : expected, "\n"),
                 *found != '\0' ? found : expected);
    }
}

// --- readings ---------------------------------------------------------------------------------------

static char *read_csv(const struct cassandra_rig *rig, const char *const *words)
{
    const struct till_start start = {
        .words = words, .variables = rig != NULL ? rig->variables : NULL, .out_path = "rows.csv"};
    assert_exit_code(rig_wait(till_start(&start)), 0);
    size_t size = 0;
    char *rows = read_bytes("rows.csv", &size);
    const char *first = strchr(rows, '\n'); // behind the names of the columns
    assert_non_null(first);
    char *copy = strdup(first + 1);
    assert_non_null(copy);
    free(rows);
    return copy;
}

char *rig_facts(const struct cassandra_rig *rig, const char *directory)
{
    char *rows = read_csv(
        rig, TILL_WORDS("query", "--limit", ROWS_MAX, "--output", "csv", "--data-dir", directory));
    char *sorted = sort_lines(rows, strlen(rows));
    free(rows);
    return sorted;
}

// From "id,reason,state,order,payment,..." to "reason,order,payment"; false for one that is healed. What
// does not begin with a reason is the rest of a text with a line feed in it.
static bool cut_letter(const char *line, char *out, size_t out_size)
{
    char reason[32];
    char state[32];
    int at = 0;
    if (sscanf(line, "%*12[0-9a-f],%31[A-Z0-9_],%31[A-Z],%n", reason, state, &at) != 2 || at == 0 ||
        strcmp(state, "HEALED") == 0) {
        return false;
    }
    const char *ids = line + at;
    size_t order_size = strcspn(ids, ",") + 1;
    size_t size = order_size + strcspn(ids + order_size, ",");
    (void)snprintf(out, out_size, "%s,%.*s\n", reason, (int)size, ids);
    return true;
}

char *rig_letters(const struct cassandra_rig *rig, const char *directory)
{
    char *rows = read_csv(rig, TILL_WORDS("dlq", "list", "--limit", ROWS_MAX, "--output", "csv",
                                          "--data-dir", directory));
    char *cut = calloc(1, strlen(rows) + 1); // each line gets shorter
    char *end = cut;
    assert_non_null(cut);
    for (const char *line = rows; *line != '\0';) {
        char letter[128];
        if (cut_letter(line, letter, sizeof(letter))) {
            end = stpcpy(end, letter);
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    char *sorted = sort_lines(cut, strlen(cut));
    free(rows);
    free(cut);
    return sorted;
}

void rig_assert_same(const struct cassandra_rig *rig, const char *directory)
{
    char *facts = rig_facts(rig, directory);
    char *expected = rig_facts(NULL, directory);
    assert_same_lines("facts", facts, expected);
    assert_true(line_count(facts) > 0);
    free(facts);
    free(expected);
    char *letters = rig_letters(rig, directory);
    expected = rig_letters(NULL, directory);
    assert_same_lines("dead letters", letters, expected);
    free(letters);
    free(expected);
}

void rig_assert_balanced(const struct cassandra_rig *rig)
{
    const struct outcome *report = RIG_RUN(rig, "report");
    assert_exit_code(report, 0);
    assert_out_has(report, "Balanced: all ");
}

// --- messages ---------------------------------------------------------------------------------------

struct generator_options rig_anomalies(uint64_t seed, uint64_t pairs)
{
    return (struct generator_options){
        .seed = seed,
        .pairs = pairs,
        .late_ppm = 50000,
        .early_ppm = 200000,
        .duplicate_ppm = 50000,
        .orphan_ppm = 30000,
        .conflict_ppm = 20000,
        .corrupt_ppm = 20000,
        .partial_ppm = 50000,
        .overpay_ppm = 20000,
        .refund_ppm = 50000,
        .chargeback_ppm = 20000,
        .failed_retry_ppm = 50000,
        .wrong_currency_ppm = 20000,
        .update_ppm = 50000,
    };
}

void rig_write_messages(const struct generator_options *options)
{
    struct generator *generator = NULL;
    struct generated message;
    FILE *orders = fopen("orders.jsonl", "w");
    FILE *payments = fopen("payments.jsonl", "w");
    assert_true(orders != NULL && payments != NULL);
    assert_int_equal(generator_create(options, &generator, NULL), ERR_OK);
    while (generator_next(generator, &message)) {
        FILE *file = message.topic == BUS_ORDERS ? orders : payments;
        struct text body = message.body;
        if (body.size > 0 && memchr(body.data, '\n', body.size) == NULL &&
            memchr(body.data, '\r', body.size) == NULL) {
            assert_int_equal(fwrite(body.data, 1, body.size, file), body.size);
            assert_int_equal(fputc('\n', file), '\n');
        }
    }
    generator_destroy(&generator);
    assert_int_equal(fclose(orders), 0);
    assert_int_equal(fclose(payments), 0);
}

void rig_apply_embedded(const char *directory)
{
    const char *const *words =
        TILL_WORDS("run", "--orders", "orders.jsonl", "--payments", "payments.jsonl", "--once",
                   "--data-dir", directory, "--quiet");
    assert_exit_code(rig_wait(till_start(&(struct till_start){.words = words})), 0);
}

bool rig_is_full(void)
{
    const char *full = getenv("TILL_TEST_FULL");
    return full != NULL && strcmp(full, "1") == 0;
}
