// The buffered writer against pipes, full devices and closed readers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define LARGE_SIZE (1u << 20) // far more than a pipe holds

static void what_was_added_is_written_once_and_in_order(void **state)
{
    (void)state;
    int ends[2];
    char got[64] = "";
    struct output output;
    struct why why = {0};
    assert_int_equal(pipe(ends), 0);
    output_init(&output, ends[1]);
    buf_add_str(&output.buf, "one ");
    assert_true(output_pass(&output)); // too little to bother the system with
    buf_add_str(&output.buf, "two");
    assert_int_equal(output_finish(&output, &why), ERR_OK);
    assert_int_equal(output_finish(&output, &why), ERR_OK);
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(read(ends[0], got, sizeof got), 7);
    assert_string_equal(got, "one two");
    assert_int_equal(close(ends[0]), 0);
    output_deinit(&output);
}

static void a_full_device_is_an_error_with_its_reason(void **state)
{
    (void)state;
    struct output output;
    struct why why = {0};
    int fd = open("/dev/full", O_WRONLY);
    assert_true(fd >= 0);
    output_init(&output, fd);
    buf_add_str(&output.buf, "x");
    output_flush(&output);
    assert_false(output_pass(&output));
    assert_int_equal(output_finish(&output, &why), ERR_IO);
    assert_string_equal(why.text, "standard output: No space left on device");
    assert_int_equal(close(fd), 0);
    output_deinit(&output);
}

static void a_reader_that_went_away_ends_the_writing_without_an_error(void **state)
{
    (void)state;
    int ends[2];
    struct output output;
    struct why why = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(close(ends[0]), 0);
    output_init(&output, ends[1]);
    buf_add_str(&output.buf, "x");
    output_flush(&output);
    assert_false(output_pass(&output));
    assert_int_equal(output_finish(&output, &why), ERR_OK);
    assert_int_equal(close(ends[1]), 0);
    output_deinit(&output);
}

static void *count_bytes(void *context)
{
    static char memory[65536];
    int fd = *(const int *)context;
    size_t total = 0;
    ssize_t got = read(fd, memory, sizeof memory);
    while (got > 0) {
        total += (size_t)got;
        got = read(fd, memory, sizeof memory);
    }
    return (void *)total;
}

static void a_non_blocking_pipe_is_waited_for(void **state)
{
    (void)state;
    int ends[2];
    pthread_t reader;
    void *total = NULL;
    struct output output;
    struct why why = {0};
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, 0), 0);
    output_init(&output, ends[1]);
    for (size_t i = 0; i < LARGE_SIZE; i++) {
        buf_add_char(&output.buf, 'x');
    }
    assert_int_equal(pthread_create(&reader, NULL, count_bytes, &ends[0]), 0);
    assert_int_equal(output_finish(&output, &why), ERR_OK);
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(pthread_join(reader, &total), 0);
    assert_int_equal((size_t)total, LARGE_SIZE);
    assert_int_equal(close(ends[0]), 0);
    output_deinit(&output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_written_once_and_in_order),
        cmocka_unit_test(a_full_device_is_an_error_with_its_reason),
        cmocka_unit_test(a_reader_that_went_away_ends_the_writing_without_an_error),
        cmocka_unit_test(a_non_blocking_pipe_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
