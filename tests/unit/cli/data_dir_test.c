// Opening data directories, good and bad, in a directory of the test's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char directory[] = "/tmp/till-data-dir-XXXXXX";

static int enter_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL || chdir(directory) != 0;
}

static int leave_directory(void **state)
{
    (void)state;
    return chdir("/") != 0 || rmdir(directory) != 0;
}

static void remove_data(const char *path)
{
    char lock[256];
    (void)snprintf(lock, sizeof lock, "%s/lock", path);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(rmdir(path), 0);
}

static void an_absent_directory_is_made_for_its_owner_alone(void **state)
{
    (void)state;
    struct data_dir dir;
    struct why why = {0};
    struct stat status;
    assert_int_equal(data_dir_own("d", "till run", &dir, &why), ERR_OK);
    assert_string_equal(dir.path, "d");
    assert_string_equal(dir.topics_path, "d/topics.db");
    assert_string_equal(dir.facts_path, "d/facts.db");
    assert_int_equal(stat("d", &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(stat("d/lock", &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(access("d/topics.db", F_OK), -1);
    data_dir_close(&dir);
    remove_data("d");
}

static void a_second_owner_is_told_who_the_first_is(void **state)
{
    (void)state;
    struct data_dir first;
    struct data_dir second;
    struct why why = {0};
    char expected[128];
    (void)snprintf(expected, sizeof expected, "data directory ./d is in use by till run (pid %ld)",
                   (long)getpid());
    assert_int_equal(data_dir_own("d", "till run", &first, &why), ERR_OK);
    assert_int_equal(data_dir_own("./d", "till produce", &second, &why), ERR_LOCKED);
    assert_string_equal(why.text, expected);
    assert_int_equal(err_exit_code(why.code), 69);
    data_dir_close(&first);
    assert_int_equal(data_dir_own("d", "till produce", &second, &why), ERR_OK);
    data_dir_close(&second);
    remove_data("d");
}

static void an_owner_of_unknown_name_is_still_an_owner(void **state)
{
    (void)state;
    struct data_dir first;
    struct data_dir second;
    struct why why = {0};
    assert_int_equal(data_dir_own("d", "till run", &first, &why), ERR_OK);
    assert_int_equal(truncate("d/lock", 0), 0);
    assert_int_equal(data_dir_own("d", "till run", &second, &why), ERR_LOCKED);
    assert_string_equal(why.text, "data directory d is in use by another process");
    data_dir_close(&first);
    remove_data("d");
}

static void the_lock_ends_with_its_process_and_the_file_stays(void **state)
{
    (void)state;
    struct data_dir dir;
    struct why why = {0};
    pid_t child = fork();
    if (child == 0) {
        _exit(data_dir_own("d", "till run", &dir, &why) == ERR_OK ? 0 : 1); // without closing
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(access("d/lock", F_OK), 0);
    assert_int_equal(data_dir_own("d", "till run", &dir, &why), ERR_OK);
    data_dir_close(&dir);
    remove_data("d");
}

static void reading_needs_no_lock(void **state)
{
    (void)state;
    struct data_dir owner;
    struct data_dir reader;
    struct why why = {0};
    assert_int_equal(data_dir_own("d", "till run", &owner, &why), ERR_OK);
    assert_int_equal(data_dir_view("d", &reader, &why), ERR_OK);
    assert_string_equal(reader.facts_path, "d/facts.db");
    data_dir_close(&reader);
    // Closing the reader took nothing from the owner.
    assert_int_equal(data_dir_own("d", "till run", &reader, &why), ERR_LOCKED);
    data_dir_close(&owner);
    remove_data("d");
}

static void bad_places_are_one_exact_line(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum err code;
        const char *text;
    } cases[] = {
        {"no/such", ERR_UNAVAILABLE,
         "data directory no/such cannot be created: there is no directory no"},
        {"no/such//", ERR_UNAVAILABLE,
         "data directory no/such// cannot be created: there is no directory no"},
        {"/no-such-place-1/x", ERR_UNAVAILABLE,
         "data directory /no-such-place-1/x cannot be created: there is no directory "
         "/no-such-place-1"},
        {"file", ERR_UNAVAILABLE, "data directory file is not a directory"},
        {"file/below", ERR_UNAVAILABLE,
         "data directory file/below cannot be reached: Not a directory"},
        {"loop", ERR_UNAVAILABLE,
         "data directory loop cannot be reached: Too many levels of symbolic links"},
        {"", ERR_UNAVAILABLE, "the path of the data directory is empty or too long"},
    };
    int fd = open("file", O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(symlink("loop", "loop"), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct data_dir dir = {.lock_fd = -7};
        struct why why = {0};
        enum err code = data_dir_own(cases[i].path, "till run", &dir, &why);
        assert_string_equal(why.text, cases[i].text);
        assert_int_equal(code, cases[i].code);
        assert_int_equal(dir.lock_fd, -7); // written only on success
    }
    assert_int_equal(unlink("file"), 0);
    assert_int_equal(unlink("loop"), 0);
}

static void a_lock_that_is_no_file_is_refused(void **state)
{
    (void)state;
    struct data_dir dir;
    struct why why = {0};
    assert_int_equal(mkdir("d", 0700), 0);
    assert_int_equal(mkdir("d/lock", 0700), 0);
    assert_int_equal(data_dir_own("d", "till run", &dir, &why), ERR_IO);
    assert_string_equal(why.text, "data directory d cannot be written: Is a directory");
    assert_int_equal(rmdir("d/lock"), 0);
    // A link is not followed: it could point at a file that is not ours to write.
    assert_int_equal(symlink("/dev/null", "d/lock"), 0);
    assert_int_equal(data_dir_own("d", "till run", &dir, &why), ERR_UNAVAILABLE);
    remove_data("d");
}

// Root may write everywhere, so this one runs as nobody when it starts as root.
static void a_directory_without_permission_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkdir("closed", 0555), 0);
    assert_int_equal(chmod(directory, 0755), 0);
    pid_t child = fork();
    if (child == 0) {
        struct data_dir dir;
        struct why why = {0};
        if (geteuid() == 0 && setuid(65534) != 0) {
            _exit(1);
        }
        bool in_closed = data_dir_own("closed", "till run", &dir, &why) == ERR_PERMISSION &&
                         strcmp(why.text, "data directory closed cannot be written: "
                                          "Permission denied") == 0;
        bool below_closed = data_dir_own("closed/d", "till run", &dir, &why) == ERR_PERMISSION &&
                            strcmp(why.text, "data directory closed/d cannot be created: "
                                             "Permission denied") == 0;
        _exit(in_closed && below_closed ? 0 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(rmdir("closed"), 0);
}

static void a_path_as_long_as_paths_get_is_refused_beyond_its_room(void **state)
{
    (void)state;
    // The longest path joined is "PATH/topics.db" and its zero.
    size_t longest = DATA_DIR_PATH_SIZE - 1 - strlen("/topics.db");
    for (size_t size = longest - 1; size <= longest + 1; size++) {
        static char path[DATA_DIR_PATH_SIZE + 2];
        struct data_dir dir;
        struct why why = {0};
        memset(path, 'p', size);
        path[size] = '\0';
        assert_int_equal(data_dir_view(path, &dir, &why), ERR_UNAVAILABLE);
        bool too_long = strstr(why.text, "empty or too long") != NULL;
        assert_int_equal(too_long, size > longest);
    }
}

static void a_missing_directory_has_nothing_to_read(void **state)
{
    (void)state;
    struct data_dir dir;
    struct why why = {0};
    assert_int_equal(data_dir_view("absent", &dir, &why), ERR_NOT_FOUND);
    assert_string_equal(why.text, "there is no data directory absent; till run creates one");
    assert_int_equal(access("absent", F_OK), -1);
}

static void network_file_systems_are_known_by_name(void **state)
{
    (void)state;
    assert_string_equal(data_dir_network_name(0x6969), "NFS");
    assert_string_equal(data_dir_network_name(0x517b), "SMB");
    assert_string_equal(data_dir_network_name(0xff534d42), "CIFS");
    assert_string_equal(data_dir_network_name(0xffffffffff534d42), "CIFS"); // sign-extended
    assert_string_equal(data_dir_network_name(0xfe534d42), "SMB2");
    assert_null(data_dir_network_name(0xef53));     // ext4
    assert_null(data_dir_network_name(0x01021994)); // tmpfs
}

static void room_is_enough_from_64_mebibytes_on(void **state)
{
    (void)state;
    static const uint64_t least = UINT64_C(64) << 20;
    struct why why = {0};
    assert_int_equal(data_dir_check_room("d", least - 1, &why), ERR_FULL);
    assert_string_equal(why.text,
                        "data directory d has 63 MiB of free disk; at least 64 are needed");
    assert_int_equal(data_dir_check_room("d", least, &why), ERR_OK);
    assert_int_equal(data_dir_check_room("d", least + 1, &why), ERR_OK);
}

static void closing_twice_or_nothing_is_harmless(void **state)
{
    (void)state;
    struct data_dir dir = {0};
    data_dir_close(NULL);
    data_dir_close(&dir);
    data_dir_close(&dir);
    assert_true(fcntl(0, F_GETFD) >= 0); // a zeroed one did not close standard input
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_absent_directory_is_made_for_its_owner_alone),
        cmocka_unit_test(a_second_owner_is_told_who_the_first_is),
        cmocka_unit_test(an_owner_of_unknown_name_is_still_an_owner),
        cmocka_unit_test(the_lock_ends_with_its_process_and_the_file_stays),
        cmocka_unit_test(reading_needs_no_lock),
        cmocka_unit_test(bad_places_are_one_exact_line),
        cmocka_unit_test(a_lock_that_is_no_file_is_refused),
        cmocka_unit_test(a_directory_without_permission_is_refused),
        cmocka_unit_test(a_path_as_long_as_paths_get_is_refused_beyond_its_room),
        cmocka_unit_test(a_missing_directory_has_nothing_to_read),
        cmocka_unit_test(network_file_systems_are_known_by_name),
        cmocka_unit_test(room_is_enough_from_64_mebibytes_on),
        cmocka_unit_test(closing_twice_or_nothing_is_harmless),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
