// The program itself: what goes to which stream, and with which exit code it ends. Its path is the
// first argument.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX   8u
#define STREAM_SIZE 65536u

static char program[4096];
static char directory[] = "/tmp/till-main-XXXXXX";

static int enter_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL || chdir(directory) != 0;
}

static int leave_directory(void **state)
{
    (void)state;
    (void)unlink("out");
    (void)unlink("err");
    (void)unlink("till.yaml");
    return chdir("/") != 0 || rmdir(directory) != 0;
}

struct outcome {
    int exit_code;
    char out[STREAM_SIZE];
    char err[STREAM_SIZE];
};

static void read_file(const char *name, char text[STREAM_SIZE])
{
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    size_t size = fread(text, 1, STREAM_SIZE - 1, file);
    text[size] = '\0';
    assert_int_equal(fclose(file), 0);
}

static void redirect(const char *path, int fd)
{
    int file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (file < 0 || dup2(file, fd) != fd) {
        _exit(126);
    }
}

// Runs the program with a clean environment, standard output going to `out_path`.
static const struct outcome *run(const char *out_path, const char *variable,
                                 const char *const *words)
{
    static struct outcome outcome;
    char *argv[WORDS_MAX + 2] = {program};
    char *environment[] = {NULL, NULL};
    for (size_t i = 0; words[i] != NULL; i++) {
        assert_in_range(i, 0, WORDS_MAX - 1);
        argv[i + 1] = strdup(words[i]);
    }
    environment[0] = variable != NULL ? strdup(variable) : NULL;
    pid_t child = fork();
    if (child == 0) {
        redirect(out_path, STDOUT_FILENO);
        redirect("err", STDERR_FILENO);
        (void)execve(program, argv, environment);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    outcome = (struct outcome){.exit_code = WEXITSTATUS(status)};
    if (strcmp(out_path, "out") == 0) {
        read_file("out", outcome.out);
    }
    read_file("err", outcome.err);
    for (size_t i = 1; argv[i] != NULL; i++) {
        free(argv[i]);
    }
    free(environment[0]);
    return &outcome;
}

#define RUN(...) run("out", NULL, (const char *const[]){__VA_ARGS__, NULL})

static void write_settings(const char *text)
{
    FILE *file = fopen("till.yaml", "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void asked_for_help_is_data_and_done(void **state)
{
    (void)state;
    const struct outcome *outcome = RUN("--help");
    assert_int_equal(outcome->exit_code, 0);
    assert_non_null(strstr(outcome->out, "Usage: till COMMAND"));
    assert_string_equal(outcome->err, "");
    outcome = RUN("config", "show", "--help");
    assert_int_equal(outcome->exit_code, 0);
    assert_non_null(strstr(outcome->out, "Examples:"));
}

static void till_alone_shows_the_overview_as_wrong_use(void **state)
{
    (void)state;
    const struct outcome *outcome = run("out", NULL, (const char *const[]){NULL});
    assert_int_equal(outcome->exit_code, 2);
    assert_string_equal(outcome->out, "");
    assert_non_null(strstr(outcome->err, "Usage: till COMMAND"));
    outcome = RUN("config");
    assert_int_equal(outcome->exit_code, 2);
    assert_non_null(strstr(outcome->err, "Usage: till config COMMAND"));
}

static void the_version_is_one_line(void **state)
{
    (void)state;
    const struct outcome *outcome = RUN("--version");
    assert_int_equal(outcome->exit_code, 0);
    assert_int_equal(strncmp(outcome->out, "till ", 5), 0);
    assert_ptr_equal(strchr(outcome->out, '\n'), outcome->out + strlen(outcome->out) - 1);
    outcome = RUN("version", "--output", "json");
    assert_int_equal(outcome->exit_code, 0);
    assert_int_equal(strncmp(outcome->out, "[\n{\"part\":\"till\",", 17), 0);
}

static void wrong_use_is_one_line_and_exit_2(void **state)
{
    (void)state;
    const struct outcome *outcome = RUN("config", "show", "--orign");
    assert_int_equal(outcome->exit_code, 2);
    assert_string_equal(outcome->out, "");
    assert_string_equal(outcome->err, "till: unknown flag --orign; did you mean --origin?\n");
}

static void wrong_configuration_is_exit_78_with_every_problem(void **state)
{
    (void)state;
    write_settings("match:\n  grace: 10x\n  grase: 1s\n");
    const struct outcome *outcome = RUN("config", "show");
    assert_int_equal(outcome->exit_code, 78);
    assert_string_equal(outcome->out, "");
    assert_string_equal(
        outcome->err, "till: till.yaml:2:10: match.grace: expected a duration such as 90s or 15m, "
                      "got \"10x\"\n"
                      "till: till.yaml:3:3: unknown key match.grase; did you mean match.grace?\n");
    outcome = RUN("config", "lint");
    assert_int_equal(outcome->exit_code, 78);
    assert_string_equal(outcome->out,
                        "till.yaml:2:10: match.grace: expected a duration such as 90s or 15m, got "
                        "\"10x\"\n"
                        "till.yaml:3:3: unknown key match.grase; did you mean match.grace?\n");
    assert_string_equal(outcome->err, "till: 2 problems found\n");
}

static void lint_checks_each_file_named_alone(void **state)
{
    (void)state;
    write_settings("log:\n  level: warn\n");
    const struct outcome *outcome = RUN("config", "lint", "till.yaml", "absent.yaml");
    assert_int_equal(outcome->exit_code, 78);
    assert_string_equal(outcome->out, "absent.yaml: cannot be opened: No such file or directory\n");
    assert_string_equal(outcome->err, "till: 1 problem found\n");
    outcome = RUN("config", "lint", "till.yaml");
    assert_int_equal(outcome->exit_code, 0);
    assert_string_equal(outcome->out, "");
    assert_string_equal(outcome->err, "no problems found\n");
}

static void show_names_the_origin_of_every_value(void **state)
{
    (void)state;
    write_settings("log:\n  level: warn\n");
    const struct outcome *outcome =
        run("out", "TILL_MATCH_GRACE=90s",
            (const char *const[]){"config", "show", "--origin", "--output=jsonl", "--set",
                                  "match.shards=2", NULL});
    assert_int_equal(outcome->exit_code, 0);
    static const char *const lines[] = {
        "{\"key\":\"log.level\",\"value\":\"warn\",\"origin\":\"till.yaml:2\"}\n",
        "{\"key\":\"match.grace\",\"value\":\"90s\",\"origin\":\"TILL_MATCH_GRACE\"}\n",
        "{\"key\":\"match.shards\",\"value\":\"2\",\"origin\":\"--set\"}\n",
        "{\"key\":\"match.bucket\",\"value\":\"10s\",\"origin\":\"default\"}\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_non_null(strstr(outcome->out, lines[i]));
    }
}

static void a_full_disk_under_standard_output_is_a_failure(void **state)
{
    (void)state;
    write_settings("");
    const struct outcome *outcome =
        run("/dev/full", NULL, (const char *const[]){"config", "show", NULL});
    assert_int_equal(outcome->exit_code, 1);
    assert_string_equal(outcome->err, "till: standard output: No space left on device\n");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_for_help_is_data_and_done),
        cmocka_unit_test(till_alone_shows_the_overview_as_wrong_use),
        cmocka_unit_test(the_version_is_one_line),
        cmocka_unit_test(wrong_use_is_one_line_and_exit_2),
        cmocka_unit_test(wrong_configuration_is_exit_78_with_every_problem),
        cmocka_unit_test(lint_checks_each_file_named_alone),
        cmocka_unit_test(show_names_the_origin_of_every_value),
        cmocka_unit_test(a_full_disk_under_standard_output_is_a_failure),
    };
    // The tests change directory, so a relative path is made whole first.
    if (argc != 2 || realpath(argv[1], program) == NULL) {
        (void)fprintf(stderr, "usage: main_test PATH-OF-TILL\n");
        return 2;
    }
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
