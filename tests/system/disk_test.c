// Disks that are full or can't be written. Small file systems are mounted for it, in a mount namespace of
// the test's own, so nothing outlives it. Where that is not allowed the program is skipped, loudly.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "data_files.h"
#include "till_process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define EXIT_SKIPPED 77
#define DISK_SIZE    "size=160m"
#define MIB          ((off_t)1 << 20)

// Space is looked at after every 8 MB of writing. These are 24 MB, most of it in a field that till
// passes over.
#define PAIRS        3000
#define PADDING_SIZE 4000
#define RUN_MESSAGES "run", "--from", "messages.jsonl", "--rate", "4000", "--once"

static void write_padded(FILE *file, const char *line, const char *padding)
{
    assert_true(fprintf(file, "{\"note\": \"%s\", %s", padding, line + 1) > 0);
}

static void write_messages(void)
{
    char padding[PADDING_SIZE + 1];
    memset(padding, 'x', PADDING_SIZE);
    padding[PADDING_SIZE] = '\0';
    FILE *file = fopen("messages.jsonl", "we");
    assert_non_null(file);
    for (int64_t id = 1; id <= PAIRS; id++) {
        write_padded(file, order_line(id), padding);
        write_padded(file, payment_line(10000 + id, id), padding);
    }
    assert_int_equal(fclose(file), 0);
}

static int mount_disk(void **state)
{
    return till_test_setup(state) != 0 || mkdir("disk", 0700) != 0 ||
           mount("tmpfs", "disk", "tmpfs", 0, DISK_SIZE) != 0;
}

static int unmount_disk(void **state)
{
    return umount2("disk", MNT_DETACH) != 0 || till_test_teardown(state) != 0;
}

static off_t free_size(void)
{
    struct statvfs room;
    assert_int_equal(statvfs("disk", &room), 0);
    return (off_t)(room.f_bavail * room.f_frsize);
}

static int open_ballast(void)
{
    int fd = open("disk/ballast", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void leave_free(off_t size)
{
    int fd = open_ballast();
    assert_int_equal(posix_fallocate(fd, 0, free_size() - size), 0);
    assert_int_equal(close(fd), 0);
}

// Others may be writing meanwhile, so it takes what it can get.
static void leave_nothing_free(void)
{
    int fd = open_ballast();
    off_t size = 0;
    for (off_t step = 8 * MIB; step >= 4096;) {
        if (posix_fallocate(fd, size, step) == 0) {
            size += step;
        } else {
            step /= 2;
        }
    }
    assert_int_equal(close(fd), 0);
}

static void give_space_back(void)
{
    assert_int_equal(unlink("disk/ballast"), 0);
}

static bool facts_are_there(void *context)
{
    (void)context;
    return file_exists("disk/d/facts.db") &&
           facts_number("disk/d", "SELECT count(*) FROM sqlite_schema") > 0;
}

static struct till_process *start_and_be_busy(void)
{
    write_messages();
    struct till_process *run =
        till_start(&(struct till_start){.words = TILL_WORDS(RUN_MESSAGES, "--data-dir", "disk/d")});
    till_wait_until(run, facts_are_there, NULL, "facts.db");
    wait_for_more(run, "disk/d", SQL_MATCHED, 0);
    return run;
}

static void assert_nothing_is_lost(void)
{
    const struct outcome *report = assert_balanced("disk/d");
    assert_int_equal(report_number(report, "published", "orders"), PAIRS);
    assert_int_equal(report_number(report, "matched", "payments"), PAIRS);
    assert_int_equal(report_number(report, "duplicate", "payments"), 0);
    assert_int_equal(facts_number("disk/d", SQL_MATCHED), PAIRS);
}

static void a_run_that_is_short_of_space_says_so_and_goes_on_when_there_is_some(void **state)
{
    (void)state;
    struct till_process *run = start_and_be_busy();
    leave_free(32 * MIB);
    till_wait_for_err(run, "cannot publish, will try again");
    assert_balanced("disk/d"); // reading goes on
    give_space_back();
    till_wait_for_err(run, "publishing again");
    assert_exit_code(till_wait(run), 0);
    assert_nothing_is_lost();
}

static void a_full_disk_loses_nothing_either(void **state)
{
    (void)state;
    struct till_process *run = start_and_be_busy();
    leave_nothing_free();
    till_wait_for_err(run, "cannot publish, will try again");
    give_space_back();
    assert_exit_code(till_wait(run), 0);
    assert_nothing_is_lost();
}

static void a_drain_on_a_full_disk_leaves_data_that_balances(void **state)
{
    (void)state;
    struct till_process *run = start_and_be_busy();
    leave_nothing_free();
    till_wait_for_err(run, "cannot publish, will try again");
    till_signal(run, SIGTERM);
    assert_exit_code(till_wait(run), 0);
    give_space_back();
    assert_balanced("disk/d");
    assert_exit_code(TILL(RUN_MESSAGES, "--data-dir", "disk/d"), 0);
    assert_balanced("disk/d");
    assert_int_equal(facts_number("disk/d", SQL_MATCHED), PAIRS);
}

static void a_producer_waits_at_the_limit_of_the_log_and_says_so(void **state)
{
    (void)state;
    write_messages();
    struct till_process *producer = till_start(&(struct till_start){
        .words = TILL_WORDS("produce", "orders", "--from", "messages.jsonl", "--set",
                            "broker.size_max=8MiB", "--data-dir", "disk/d")});
    till_wait_for_err(producer, "cannot publish, will try again");
    till_signal(producer, SIGTERM);
    const struct outcome *outcome = till_wait(producer);
    assert_exit_code(outcome, 0);
    assert_err_has(outcome, " messages published\n");
    assert_exit_code(TILL("consume", "all", "--once", "--data-dir", "disk/d"), 0);
    assert_balanced("disk/d");
}

static void a_disk_without_room_is_refused_at_the_start(void **state)
{
    (void)state;
    leave_free(32 * MIB);
    const struct outcome *run = TILL("run", "--once", "--data-dir", "disk/d");
    assert_exit_code(run, 69);
    assert_err_is_one_line(run);
    assert_err_has(run, "disk/d");
    assert_err_has(run, "free");
}

static void make_read_only(void)
{
    assert_int_equal(mount(NULL, "disk", NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
}

static void a_read_only_disk_is_refused_in_one_line(void **state)
{
    (void)state;
    make_read_only();
    const struct outcome *run = TILL("run", "--once", "--data-dir", "disk/d");
    assert_exit_code(run, 69);
    assert_err_is_one_line(run);
    assert_err_has(run, "Read-only file system");
}

static void data_on_a_read_only_disk_is_refused_to_writers_but_not_to_readers(void **state)
{
    (void)state;
    assert_exit_code(
        TILL("run", "--generate", "100", "--seed", "1", "--once", "--data-dir", "disk/d"), 0);
    make_read_only();
    struct directory_copy *copy = directory_copy_take("disk/d");
    const struct outcome *run = TILL("run", "--once", "--data-dir", "disk/d");
    assert_exit_code(run, 69);
    assert_err_is_one_line(run);
    assert_exit_code(TILL("query", "--data-dir", "disk/d"), 0);
    assert_balanced("disk/d");
    assert_directory_kept(copy);
}

static bool write_line(const char *path, const char *line)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t size = (ssize_t)strlen(line);
    bool written = fd >= 0 && write(fd, line, (size_t)size) == size;
    if (fd >= 0) {
        (void)close(fd);
    }
    return written;
}

// A namespace in which we are who we were, and may mount.
static bool enter_user_namespace(void)
{
    char users[64];
    char groups[64];
    (void)snprintf(users, sizeof users, "%u %u 1\n", geteuid(), geteuid());
    (void)snprintf(groups, sizeof groups, "%u %u 1\n", getegid(), getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_line("/proc/self/uid_map", users) &&
           write_line("/proc/self/setgroups", "deny\n") && write_line("/proc/self/gid_map", groups);
}

// Root may; others may in a namespace of their own, where the system allows that.
static bool may_mount(void)
{
    bool own = unshare(CLONE_NEWNS) == 0 || enter_user_namespace();
    return own && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", "/mnt", "tmpfs", 0, DISK_SIZE) == 0 && umount2("/mnt", MNT_DETACH) == 0;
}

#define DISK_TEST(function) cmocka_unit_test_setup_teardown(function, mount_disk, unmount_disk)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISK_TEST(a_run_that_is_short_of_space_says_so_and_goes_on_when_there_is_some),
        DISK_TEST(a_full_disk_loses_nothing_either),
        DISK_TEST(a_drain_on_a_full_disk_leaves_data_that_balances),
        DISK_TEST(a_producer_waits_at_the_limit_of_the_log_and_says_so),
        DISK_TEST(a_disk_without_room_is_refused_at_the_start),
        DISK_TEST(a_read_only_disk_is_refused_in_one_line),
        DISK_TEST(data_on_a_read_only_disk_is_refused_to_writers_but_not_to_readers),
    };
    if (!may_mount()) {
        print_error("SKIPPED: no file system can be mounted here (%s), so nothing is known about "
                    "full and read-only disks\n",
                    strerror(errno));
        return EXIT_SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
