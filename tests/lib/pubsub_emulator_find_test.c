// Where the emulator is looked for, and what a program says that needs it in vain. Nothing is started:
// SDKs and Javas are empty files in a folder of the test.
#include "pubsub_emulator.h"
#include "pubsub_emulator_find.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define JAR_FOLDER "platform/pubsub-emulator/lib/"

static char root[256];

// --- a machine of the test ------------------------------------------------------------------------

static const char *path_of(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void set_variable(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/till-emulator-find-XXXXXX");
    assert_non_null(mkdtemp(root));
    set_variable("HOME", path_of("home"));
    set_variable("PATH", path_of("bin"));
    assert_int_equal(unsetenv("TILL_PUBSUB_EMULATOR_JAR"), 0);
    assert_int_equal(unsetenv("JAVA_HOME"), 0);
    assert_int_equal(unsetenv("CI"), 0);
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *position)
{
    (void)status;
    (void)kind;
    (void)position;
    return remove(path);
}

static int end(void **state)
{
    (void)state;
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

// With the folders above it.
static void make_file(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    assert_true(fd >= 0);
    (void)close(fd);
}

static struct pubsub_emulator_files files;

static void expect_found(const char *jar, const char *java)
{
    const char *reason = NULL;
    assert_int_equal(pubsub_emulator_find(&files, &reason), PUBSUB_EMULATOR_FOUND);
    assert_string_equal(files.jar, path_of(jar));
    assert_string_equal(files.java, path_of(java));
}

// --- where it is looked for -----------------------------------------------------------------------

static void the_named_jar_goes_before_an_sdk(void **state)
{
    (void)state;
    make_file("bin/java");
    make_file("own.jar");
    make_file("home/google-cloud-sdk/" JAR_FOLDER "cloud-pubsub-emulator-0.8.20-all.jar");
    set_variable("TILL_PUBSUB_EMULATOR_JAR", path_of("own.jar"));
    expect_found("own.jar", "bin/java");
}

static void an_sdk_is_found_by_its_gcloud(void **state)
{
    (void)state;
    make_file("bin/java");
    make_file("sdk/bin/gcloud");
    make_file("sdk/" JAR_FOLDER "cloud-pubsub-emulator-0.8.20-all.jar");
    make_file("home/google-cloud-sdk/" JAR_FOLDER "cloud-pubsub-emulator-0.8.20-all.jar");
    assert_int_equal(symlink("../sdk/bin/gcloud", path_of("bin/gcloud")), 0);
    expect_found("sdk/" JAR_FOLDER "cloud-pubsub-emulator-0.8.20-all.jar", "bin/java");
}

static void an_sdk_at_home_needs_no_gcloud_on_the_path(void **state)
{
    (void)state;
    make_file("bin/java");
    make_file("home/google-cloud-sdk/" JAR_FOLDER "cloud-pubsub-emulator-0.8.20-all.jar");
    expect_found("home/google-cloud-sdk/" JAR_FOLDER "cloud-pubsub-emulator-0.8.20-all.jar",
                 "bin/java");
}

static void of_several_versions_the_newest_is_taken(void **state)
{
    (void)state;
    make_file("bin/java");
    make_file("home/google-cloud-sdk/" JAR_FOLDER "cloud-pubsub-emulator-0.8.9-all.jar");
    make_file("home/google-cloud-sdk/" JAR_FOLDER "cloud-pubsub-emulator-0.8.36-all.jar");
    make_file("home/google-cloud-sdk/" JAR_FOLDER "cloud-pubsub-emulator-0.8.20-all.jar");
    expect_found("home/google-cloud-sdk/" JAR_FOLDER "cloud-pubsub-emulator-0.8.36-all.jar",
                 "bin/java");
}

static void java_home_goes_before_the_path(void **state)
{
    (void)state;
    make_file("bin/java");
    make_file("jdk/bin/java");
    make_file("own.jar");
    set_variable("TILL_PUBSUB_EMULATOR_JAR", path_of("own.jar"));
    set_variable("JAVA_HOME", path_of("jdk"));
    expect_found("own.jar", "jdk/bin/java");
}

static void java_is_looked_for_in_every_folder_of_the_path(void **state)
{
    (void)state;
    char path[600];
    make_file("second/java");
    make_file("own.jar");
    (void)snprintf(path, sizeof path, "%s/first::%s/second", root, root);
    set_variable("PATH", path);
    set_variable("TILL_PUBSUB_EMULATOR_JAR", path_of("own.jar"));
    expect_found("own.jar", "second/java");
}

// --- what is said in vain -------------------------------------------------------------------------

// Runs pubsub_emulator_require in a child and returns its exit code; `said` gets its standard error.
static int require_in_child(char *said, size_t said_cap)
{
    int pipe_fds[2];
    int status = 0;
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(pipe_fds[1], STDERR_FILENO);
        pubsub_emulator_require();
        _exit(0);
    }
    (void)close(pipe_fds[1]);
    size_t size = 0;
    for (ssize_t got = 1; got > 0 && size < said_cap - 1; size += (size_t)got) {
        got = read(pipe_fds[0], said + size, said_cap - 1 - size);
        assert_true(got >= 0);
    }
    said[size] = '\0';
    (void)close(pipe_fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void what_is_there_lets_the_program_go_on(void **state)
{
    (void)state;
    char said[1000];
    make_file("bin/java");
    make_file("own.jar");
    set_variable("TILL_PUBSUB_EMULATOR_JAR", path_of("own.jar"));
    assert_int_equal(require_in_child(said, sizeof said), 0);
    assert_string_equal(said, "");
}

static void what_is_missing_is_a_skip_that_says_how_to_get_it(void **state)
{
    (void)state;
    char said[1000];
    make_file("own.jar");
    set_variable("TILL_PUBSUB_EMULATOR_JAR", path_of("own.jar"));
    assert_int_equal(require_in_child(said, sizeof said), 77);
    assert_non_null(strstr(said, "skipped: "));
    assert_non_null(strstr(said, "openjdk-17-jre-headless"));
}

static void what_is_missing_in_ci_is_a_failure(void **state)
{
    (void)state;
    char said[1000];
    make_file("own.jar");
    set_variable("TILL_PUBSUB_EMULATOR_JAR", path_of("own.jar"));
    set_variable("CI", "true");
    assert_int_equal(require_in_child(said, sizeof said), 1);
    assert_non_null(strstr(said, "failed: "));
}

static void a_named_jar_that_is_not_there_is_a_failure(void **state)
{
    (void)state;
    char said[1000];
    make_file("bin/java");
    set_variable("TILL_PUBSUB_EMULATOR_JAR", path_of("nowhere.jar"));
    assert_int_equal(require_in_child(said, sizeof said), 1);
    assert_non_null(strstr(said, "TILL_PUBSUB_EMULATOR_JAR"));
}

#define FIND_TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIND_TEST(the_named_jar_goes_before_an_sdk),
        FIND_TEST(an_sdk_is_found_by_its_gcloud),
        FIND_TEST(an_sdk_at_home_needs_no_gcloud_on_the_path),
        FIND_TEST(of_several_versions_the_newest_is_taken),
        FIND_TEST(java_home_goes_before_the_path),
        FIND_TEST(java_is_looked_for_in_every_folder_of_the_path),
        FIND_TEST(what_is_there_lets_the_program_go_on),
        FIND_TEST(what_is_missing_is_a_skip_that_says_how_to_get_it),
        FIND_TEST(what_is_missing_in_ci_is_a_failure),
        FIND_TEST(a_named_jar_that_is_not_there_is_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
