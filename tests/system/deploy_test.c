// The files of deploy/ are what they say: every YAML file can be read, every unit is one for systemd, and
// every command, flag, variable and setting that they name is one of till's.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_files.h"
#include "till_process.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yaml.h>

#define WORDS_MAX 24
#define WORD_SIZE 128
#define PROGRAM   "/usr/local/bin/till"

// One command line that a file names, without the program.
struct line {
    char words[WORDS_MAX][WORD_SIZE];
    size_t count;
};

static const char *deploy_path(const char *name)
{
    static char path[PATH_MAX];
    const char *folder = getenv("TILL_TEST_DEPLOY");
    assert_non_null(folder);
    assert_in_range(snprintf(path, sizeof(path), "%s/%s", folder, name), 1, sizeof(path) - 1);
    return path;
}

// Calls `each` for every file that fits, and expects at least `count_min` of them.
static void for_each_file(const char *pattern, size_t count_min, void (*each)(const char *path))
{
    glob_t found = {0};
    assert_int_equal(glob(deploy_path(pattern), 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= count_min);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        each(found.gl_pathv[i]);
    }
    globfree(&found);
}

static void add_word(struct line *line, const char *word)
{
    assert_true(line->count < WORDS_MAX && strlen(word) < WORD_SIZE);
    (void)snprintf(line->words[line->count++], WORD_SIZE, "%s", word);
}

// --- what is said is till's ---------------------------------------------------------------------

// The command parses all that stands before --help; its help names the words that it takes.
static void assert_line_is_tills(const struct line *line)
{
    const char *words[WORDS_MAX + 2] = {NULL};
    for (size_t i = 0; i < line->count; i++) {
        words[i] = line->words[i];
    }
    words[line->count] = "--help";
    const struct outcome *run = till_run(&(struct till_start){.words = words});
    assert_exit_code(run, 0);
    for (size_t i = 1; i < line->count && words[i][0] != '-'; i++) {
        assert_out_has(run, words[i]);
    }
}

static void assert_variable_is_tills(const char *name, const char *value)
{
    char variable[2 * WORD_SIZE];
    const char *const variables[] = {variable, NULL};
    assert_in_range(snprintf(variable, sizeof(variable), "%s=%s", name, value), 1,
                    sizeof(variable) - 1);
    assert_exit_code(till_run(&(struct till_start){.words = TILL_WORDS("config", "lint"),
                                                   .variables = variables}),
                     0);
}

static void assert_settings_are_tills(const char *text)
{
    write_text("settings.yaml", text);
    assert_exit_code(TILL("config", "lint", "settings.yaml"), 0);
}

// --- YAML ---------------------------------------------------------------------------------------

struct reading {
    char key[WORD_SIZE]; // the last plain value, which may be a key
    bool in_line;        // between the brackets of `args` or `command`
    struct line line;
    size_t lines;    // how many were checked
    size_t settings; // embedded files
};

static void read_scalar(struct reading *reading, const char *value)
{
    if (reading->in_line) {
        add_word(&reading->line, value);
        return;
    }
    if (strncmp(reading->key, "TILL_", 5) == 0) {
        assert_variable_is_tills(reading->key, value);
    }
    if (strcmp(reading->key, "till.yaml") == 0 && strchr(value, '\n') != NULL) {
        assert_settings_are_tills(value);
        reading->settings++;
    }
    (void)snprintf(reading->key, sizeof(reading->key), "%s", value);
}

static void read_event(struct reading *reading, const yaml_event_t *event)
{
    bool of_command = strcmp(reading->key, "args") == 0 || strcmp(reading->key, "command") == 0;
    if (event->type == YAML_SCALAR_EVENT) {
        read_scalar(reading, (const char *)event->data.scalar.value);
    } else if (event->type == YAML_SEQUENCE_START_EVENT && of_command) {
        reading->in_line = true;
        reading->line.count = 0;
    } else if (event->type == YAML_SEQUENCE_END_EVENT && reading->in_line) {
        reading->in_line = false;
        reading->key[0] = '\0';
        assert_line_is_tills(&reading->line);
        reading->lines++;
    }
}

static void read_yaml(const char *path, struct reading *reading)
{
    yaml_parser_t parser;
    yaml_event_t event;
    size_t size = 0;
    char *text = read_bytes(path, &size);
    assert_int_equal(yaml_parser_initialize(&parser), 1);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    for (bool more = true; more;) {
        if (yaml_parser_parse(&parser, &event) == 0) {
            fail_msg("%s:%zu: %s", path, parser.problem_mark.line + 1, parser.problem);
        }
        read_event(reading, &event);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    free(text);
}

static void read_any_yaml(const char *path)
{
    struct reading reading = {{0}};
    read_yaml(path, &reading);
}

static void every_yaml_file_can_be_read(void **state)
{
    (void)state;
    for_each_file("*.yaml", 4, read_any_yaml);
}

static void manifests_name_commands_and_settings_of_till(void **state)
{
    struct reading compose = {{0}};
    struct reading cluster = {{0}};
    (void)state;
    read_yaml(deploy_path("compose.yaml"), &compose);
    assert_int_equal(compose.lines, 5); // setup, consume orders, payments and dlq, sweep
    read_yaml(deploy_path("kubernetes.yaml"), &cluster);
    assert_int_equal(cluster.lines, 5);
    assert_int_equal(cluster.settings, 1);
}

static void configuration_files_have_no_mistake(void **state)
{
    (void)state;
    assert_exit_code(TILL("config", "lint", deploy_path("till.yaml")), 0);
    assert_exit_code(TILL("config", "lint", deploy_path("till-cassandra.yaml")), 0);
}

static void image_starts_a_command_of_till(void **state)
{
    struct reading reading = {{0}};
    size_t size = 0;
    char *text = read_bytes(deploy_path("Dockerfile"), &size);
    const char *command = strstr(text, "\nCMD ");
    (void)state;
    assert_non_null(command);
    write_text("command.yaml", "command: ");
    append_text("command.yaml", command + strlen("\nCMD ")); // a list of JSON is one of YAML
    read_yaml("command.yaml", &reading);
    assert_int_equal(reading.lines, 1);
    free(text);
}

// --- units --------------------------------------------------------------------------------------

static char *with_replaced(const char *text, const char *old, const char *new)
{
    size_t cap = strlen(text) + 64 * (strlen(new) + 1) + 1;
    char *out = calloc(1, cap);
    assert_non_null(out);
    size_t size = 0;
    for (const char *at = text; *at != '\0';) {
        bool fits = strncmp(at, old, strlen(old)) == 0;
        int added =
            snprintf(out + size, cap - size, "%.*s", fits ? (int)strlen(new) : 1, fits ? new : at);
        assert_true(added > 0 && (size_t)added < cap - size);
        size += (size_t)added;
        at += fits ? strlen(old) : 1;
    }
    return out;
}

// Of "ExecStart=/usr/local/bin/till consume all --quiet".
static void check_exec_start(const char *unit)
{
    struct line line = {.count = 0};
    char words[1024];
    char *rest = NULL;
    const char *start = strstr(unit, "\nExecStart=" PROGRAM " ");
    assert_non_null(start);
    start += strlen("\nExecStart=" PROGRAM " ");
    int size = snprintf(words, sizeof(words), "%.*s", (int)strcspn(start, "\n"), start);
    assert_in_range(size, 1, sizeof(words) - 1);
    for (char *word = strtok_r(words, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        add_word(&line, word);
    }
    assert_line_is_tills(&line);
}

static void check_unit(const char *path)
{
    static const char *const instances[] = {"all", "orders", "payments", "dlq"};
    size_t size = 0;
    char *unit = read_bytes(path, &size);
    bool is_template = strstr(path, "@.service") != NULL;
    for (size_t i = 0; i < (is_template ? 4 : 1); i++) {
        char *instance = with_replaced(unit, "%i", instances[i]);
        check_exec_start(instance);
        free(instance);
    }
    free(unit);
}

static void units_start_commands_of_till(void **state)
{
    (void)state;
    for_each_file("*.service", 3, check_unit);
}

// systemd looks whether the program is there, so it is told where this one is.
static void verify_unit(const char *path)
{
    char command[PATH_MAX];
    size_t size = 0;
    const char *name = strrchr(path, '/') + 1;
    char *unit = read_bytes(path, &size);
    char *here = with_replaced(unit, PROGRAM, getenv("TILL_TEST_BINARY"));
    write_text(name, here);
    (void)snprintf(command, sizeof(command), "systemd-analyze verify './%s' >verified 2>&1", name);
    int status = system(command);
    char *said = read_bytes("verified", &size);
    if (status != 0 || size > 0) {
        fail_msg("%s: %s", name, said);
    }
    free(said);
    free(here);
    free(unit);
}

static void units_are_verified_by_systemd(void **state)
{
    (void)state;
    if (system("command -v systemd-analyze >/dev/null") != 0) {
        print_message("systemd-analyze is not installed: the units were not verified\n");
        skip();
    }
    for_each_file("*.service", 3, verify_unit);
}

// --- stopping -----------------------------------------------------------------------------------

static void assert_longer_than_a_drain(const char *file, const char *setting)
{
    size_t size = 0;
    char *text = read_bytes(deploy_path(file), &size);
    const char *value = strstr(text, setting);
    assert_non_null(value);
    assert_true(strtol(value + strlen(setting), NULL, 10) > 30);
    free(text);
}

static void stopping_waits_longer_than_a_drain_may_take(void **state)
{
    (void)state;
    assert_out_has(TILL("config", "show", "--output", "csv"), "run.drain_timeout,30s");
    assert_longer_than_a_drain("till.service", "\nTimeoutStopSec=");
    assert_longer_than_a_drain("till-consume@.service", "\nTimeoutStopSec=");
    assert_longer_than_a_drain("till-sweep.service", "\nTimeoutStopSec=");
    assert_longer_than_a_drain("compose.yaml", " stop_grace_period: ");
    assert_longer_than_a_drain("kubernetes.yaml", " terminationGracePeriodSeconds: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSTEM_TEST(every_yaml_file_can_be_read),
        SYSTEM_TEST(manifests_name_commands_and_settings_of_till),
        SYSTEM_TEST(configuration_files_have_no_mistake),
        SYSTEM_TEST(image_starts_a_command_of_till),
        SYSTEM_TEST(units_start_commands_of_till),
        SYSTEM_TEST(units_are_verified_by_systemd),
        SYSTEM_TEST(stopping_waits_longer_than_a_drain_may_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
