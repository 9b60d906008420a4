// Lines from files, pipes and FIFOs: where they end, how long they may be, what is passed on, and that
// nothing ever waits.
#include "line_source.h"

#include "decode.h"
#include "fault_alloc.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PATH_SIZE 64
#define NOBODY    65534

struct folder {
    char path[PATH_SIZE];
    char file[PATH_SIZE + 16];
};

static int make_folder(void **state)
{
    static struct folder folder;
    folder = (struct folder){.path = "/tmp/line_source_XXXXXX"};
    if (mkdtemp(folder.path) == NULL) {
        return -1;
    }
    (void)snprintf(folder.file, sizeof(folder.file), "%s/in.jsonl", folder.path);
    *state = &folder;
    return 0;
}

static int remove_folder(void **state)
{
    struct folder *folder = *state;
    (void)chmod(folder->file, 0600);
    (void)unlink(folder->file);
    return rmdir(folder->path);
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

static void write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);
        assert_true(written > 0);
        bytes += written;
        size -= (size_t)written;
    }
}

static void write_file(const struct folder *folder, const char *bytes, size_t size)
{
    int fd = open(folder->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    write_all(fd, bytes, size);
    assert_int_equal(close(fd), 0);
}

static struct line_source *open_source(const char *path, enum line_topic topic)
{
    struct line_source *source = NULL;
    struct why why = {0};
    assert_int_equal(line_source_open(path, topic, &source, &why), ERR_OK);
    return source;
}

static struct line_source *open_with(const struct folder *folder, const char *bytes, size_t size)
{
    write_file(folder, bytes, size);
    return open_source(folder->file, LINE_ORDERS);
}

static enum source_status next(struct line_source *source, struct line *out_line)
{
    struct why why = {0};
    enum source_status status = line_source_next(source, out_line, &why);
    assert_int_equal(why.code != ERR_OK, status == SOURCE_FAILED);
    return status;
}

static void assert_line(struct line_source *source, struct text body, uint64_t number)
{
    struct line line;
    assert_int_equal(next(source, &line), SOURCE_READY);
    assert_int_equal(line.body.size, body.size);
    assert_memory_equal(line.body.data, body.data, body.size);
    assert_int_equal(line.number, number);
}

static void assert_status(struct line_source *source, enum source_status status)
{
    struct line line;
    assert_int_equal(next(source, &line), status);
}

static void assert_end(struct line_source **source)
{
    assert_status(*source, SOURCE_END);
    assert_status(*source, SOURCE_END);
    line_source_close(source);
    assert_null(*source);
}

#define CONTENT(literal) (literal), sizeof(literal) - 1

static void every_line_comes_with_its_number(void **state)
{
    struct line_source *source = open_with(*state, CONTENT("{\"a\": 1}\n[2]\nthree\n"));
    assert_line(source, TEXT("{\"a\": 1}"), 1);
    assert_line(source, TEXT("[2]"), 2);
    assert_line(source, TEXT("three"), 3);
    assert_end(&source);
}

static void last_line_may_end_without_newline(void **state)
{
    struct line_source *source = open_with(*state, CONTENT("one\ntwo"));
    assert_line(source, TEXT("one"), 1);
    assert_line(source, TEXT("two"), 2);
    assert_end(&source);
}

static void carriage_return_before_the_line_end_is_stripped_once(void **state)
{
    struct line_source *source = open_with(*state, CONTENT("one\r\nt\rwo\r\r\n\r\nfour\r"));
    assert_line(source, TEXT("one"), 1);
    assert_line(source, TEXT("t\rwo\r"), 2);
    assert_line(source, TEXT("four"), 4);
    assert_end(&source);
}

static void empty_lines_are_counted_and_skipped(void **state)
{
    struct line_source *source = open_with(*state, CONTENT("\n\none\n\r\n\n two\n\n"));
    assert_line(source, TEXT("one"), 3);
    assert_line(source, TEXT(" two"), 6);
    assert_status(source, SOURCE_END);
    struct line_counts counts = line_source_counts(source);
    assert_int_equal(counts.lines, 2);
    assert_int_equal(counts.empty, 5);
    assert_int_equal(counts.over_long, 0);
    assert_int_equal(counts.read_size, 15);
    assert_end(&source);
}

static void empty_file_ends_at_once(void **state)
{
    struct line_source *source = open_with(*state, CONTENT(""));
    assert_end(&source);
}

static void bytes_of_any_kind_are_passed_on(void **state)
{
    char bytes[256];
    size_t size = 0;
    for (int byte = 0; byte < 256; byte++) {
        if (byte != '\n') {
            bytes[size++] = (char)byte;
        }
    }
    bytes[size] = '\n';
    struct line_source *source = open_with(*state, bytes, size + 1);
    assert_line(source, (struct text){bytes, size}, 1);
    assert_end(&source);
}

// --- long lines -----------------------------------------------------------------------------------

#define LONG_CAP (4u * MESSAGE_SIZE_MAX)

static char *long_line(size_t size, const char *end)
{
    char *bytes = malloc(LONG_CAP);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (char)('a' + i % 26);
    }
    (void)memcpy(bytes + size, end, strlen(end) + 1);
    return bytes;
}

static void assert_long_line(const struct folder *folder, size_t size, const char *end,
                             size_t given_size)
{
    char *bytes = long_line(size, end);
    struct line_source *source = open_with(folder, bytes, size + strlen(end));
    assert_line(source, (struct text){bytes, given_size}, 1);
    if (strstr(end, "next") != NULL) {
        assert_line(source, TEXT("next"), 2);
    }
    assert_int_equal(line_source_counts(source).over_long, given_size > MESSAGE_SIZE_MAX);
    assert_end(&source);
    free(bytes);
}

static void lines_over_the_limit_are_cut_to_one_byte_more(void **state)
{
    static const char *const ends[] = {"\nnext\n", "\r\nnext", "", "\n", "\r"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        assert_long_line(*state, MESSAGE_SIZE_MAX - 1, ends[i], MESSAGE_SIZE_MAX - 1);
        assert_long_line(*state, MESSAGE_SIZE_MAX, ends[i], MESSAGE_SIZE_MAX);
        assert_long_line(*state, MESSAGE_SIZE_MAX + 1, ends[i], MESSAGE_SIZE_MAX + 1);
        assert_long_line(*state, MESSAGE_SIZE_MAX + 2, ends[i], MESSAGE_SIZE_MAX + 1);
        assert_long_line(*state, MESSAGE_SIZE_MAX + LINE_SOURCE_READ_SIZE, ends[i],
                         MESSAGE_SIZE_MAX + 1);
        assert_long_line(*state, 3 * MESSAGE_SIZE_MAX, ends[i], MESSAGE_SIZE_MAX + 1);
    }
}

static void lines_meet_the_edges_of_a_read_in_any_way(void **state)
{
    for (size_t size = LINE_SOURCE_READ_SIZE - 2; size <= LINE_SOURCE_READ_SIZE + 2; size++) {
        assert_long_line(*state, size, "\nnext\n", size);
        assert_long_line(*state, size, "\r\nnext", size);
    }
}

// --- pipes ----------------------------------------------------------------------------------------

// Standard input of the test for as long as it runs.
struct borrowed_input {
    int saved;
    int write_end;
};

static struct borrowed_input borrow_input(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct borrowed_input input = {.saved = dup(STDIN_FILENO), .write_end = ends[1]};
    assert_true(dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
    assert_int_equal(close(ends[0]), 0);
    return input;
}

static void return_input(const struct borrowed_input *input)
{
    assert_true(dup2(input->saved, STDIN_FILENO) == STDIN_FILENO);
    assert_int_equal(close(input->saved), 0);
}

static bool is_readable(const struct line_source *source)
{
    struct pollfd poll_fd = {.fd = line_source_fd(source), .events = POLLIN};
    return poll(&poll_fd, 1, 0) > 0;
}

static void pipe_gives_what_is_there_and_never_waits(void **state)
{
    (void)state;
    struct borrowed_input input = borrow_input();
    struct line_source *source = open_source("-", LINE_PAYMENTS);
    assert_status(source, SOURCE_WAIT);
    assert_false(is_readable(source));
    write_all(input.write_end, CONTENT("one\ntwo\nthr"));
    assert_true(is_readable(source));
    assert_line(source, TEXT("one"), 1);
    assert_line(source, TEXT("two"), 2);
    assert_status(source, SOURCE_WAIT);
    write_all(input.write_end, CONTENT("ee\r"));
    assert_status(source, SOURCE_WAIT);
    write_all(input.write_end, CONTENT("\n"));
    assert_line(source, TEXT("three"), 3);
    assert_int_equal(close(input.write_end), 0);
    assert_end(&source);
    return_input(&input);
}

static void standard_input_stays_open_and_blocking(void **state)
{
    (void)state;
    struct borrowed_input input = borrow_input();
    struct line_source *source = open_source("-", LINE_ORDERS);
    assert_status(source, SOURCE_WAIT);
    line_source_close(&source);
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    assert_true(flags >= 0);
    assert_int_equal(flags & O_NONBLOCK, 0);
    assert_int_equal(close(input.write_end), 0);
    return_input(&input);
}

static void fifo_opens_before_its_writer_and_ends_after_it(void **state)
{
    const struct folder *folder = *state;
    assert_int_equal(mkfifo(folder->file, 0600), 0);
    struct line_source *source = open_source(folder->file, LINE_ORDERS);
    assert_status(source, SOURCE_WAIT);
    int writer = open(folder->file, O_WRONLY | O_CLOEXEC);
    assert_true(writer >= 0);
    assert_status(source, SOURCE_WAIT);
    write_all(writer, CONTENT("one\ntwo"));
    assert_line(source, TEXT("one"), 1);
    assert_status(source, SOURCE_WAIT);
    assert_int_equal(close(writer), 0);
    assert_line(source, TEXT("two"), 2);
    assert_end(&source);
}

// --- against a naive splitter ---------------------------------------------------------------------

#define RANDOM_SIZE 60000

// Lines of a few sizes, ended in both ways, many of them empty.
static size_t random_content(struct rand *rand, char bytes[RANDOM_SIZE])
{
    size_t size = 0;
    while (size < RANDOM_SIZE - 300) {
        size_t length = rand_chance_ppm(rand, 300000) ? 0 : (size_t)rand_below(rand, 200);
        for (size_t i = 0; i < length; i++) {
            char byte = (char)rand_below(rand, 256);
            bytes[size++] = byte == '\n' ? 'n' : byte;
        }
        if (rand_chance_ppm(rand, 500000)) {
            bytes[size++] = '\r';
        }
        bytes[size++] = '\n';
    }
    return size - rand_below(rand, 3);
}

// The next line by the plain rule; false at the end.
static bool naive_next(struct text content, size_t *at, uint64_t *number, struct text *out_line)
{
    while (*at < content.size) {
        size_t end = *at;
        while (end < content.size && content.data[end] != '\n') {
            end++;
        }
        size_t size = end - *at;
        size -= size > 0 && content.data[end - 1] == '\r';
        *out_line = (struct text){content.data + *at, size};
        *at = end + 1;
        ++*number;
        if (size > 0) {
            return true;
        }
    }
    return false;
}

// Writes come in pieces of any size, and between them all is taken that is there.
static void any_pieces_give_the_same_lines(void **state)
{
    (void)state;
    static char bytes[RANDOM_SIZE];
    struct rand rand;
    rand_seed(&rand, test_seed());
    struct text content = {bytes, random_content(&rand, bytes)};
    struct borrowed_input input = borrow_input();
    struct line_source *source = open_source("-", LINE_ORDERS);
    size_t written = 0;
    size_t at = 0;
    uint64_t number = 0;
    struct text expected;
    struct line line;
    enum source_status status = SOURCE_WAIT;
    while (status != SOURCE_END) {
        size_t piece = 1 + (size_t)rand_below(&rand, 700);
        piece = piece < content.size - written ? piece : content.size - written;
        write_all(input.write_end, bytes + written, piece);
        written += piece;
        if (piece == 0) {
            assert_int_equal(close(input.write_end), 0);
        }
        while ((status = next(source, &line)) == SOURCE_READY) {
            assert_true(naive_next(content, &at, &number, &expected));
            assert_true(text_equal(line.body, expected));
            assert_int_equal(line.number, number);
        }
    }
    assert_false(naive_next(content, &at, &number, &expected));
    line_source_close(&source);
    return_input(&input);
}

// --- topics ---------------------------------------------------------------------------------------

static void topic_is_the_one_named(void **state)
{
    const struct folder *folder = *state;
    write_file(folder, CONTENT("{\"payment_id\": 1}\n"));
    struct line line;
    struct line_source *source = open_source(folder->file, LINE_ORDERS);
    assert_int_equal(next(source, &line), SOURCE_READY);
    assert_int_equal(line.topic, BUS_ORDERS);
    line_source_close(&source);
    source = open_source(folder->file, LINE_PAYMENTS);
    assert_int_equal(next(source, &line), SOURCE_READY);
    assert_int_equal(line.topic, BUS_PAYMENTS);
    line_source_close(&source);
}

static void topic_is_guessed_line_by_line(void **state)
{
    const struct folder *folder = *state;
    write_file(folder,
               CONTENT("{\"payment_id\": 1, \"order_id\": 2}\n{\"order_id\": 2}\nnot json\n"));
    static const enum bus_topic expected[] = {BUS_PAYMENTS, BUS_ORDERS, BUS_ORDERS};
    struct line_source *source = open_source(folder->file, LINE_GUESS);
    struct line line;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(next(source, &line), SOURCE_READY);
        assert_int_equal(line.topic, expected[i]);
    }
    assert_end(&source);
}

static void source_gives_the_lines_as_messages(void **state)
{
    const struct folder *folder = *state;
    write_file(folder, CONTENT("one\n\ntwo"));
    struct source *source = line_source_source(open_source(folder->file, LINE_PAYMENTS));
    struct why why = {0};
    struct source_message message;
    assert_true(source->poll_fd(source) >= 0);
    assert_int_equal(source->next(source, &message, &why), SOURCE_READY);
    assert_int_equal(message.topic, BUS_PAYMENTS);
    assert_true(text_equal(message.body, TEXT("one")));
    assert_int_equal(source->next(source, &message, &why), SOURCE_READY);
    assert_true(text_equal(message.body, TEXT("two")));
    assert_int_equal(source->next(source, &message, &why), SOURCE_END);
    source->close(source);
}

// --- what can go wrong ----------------------------------------------------------------------------

static void assert_open_fails(const char *path, enum err expected)
{
    struct line_source *source = NULL;
    struct why why = {0};
    assert_int_equal(line_source_open(path, LINE_ORDERS, &source, &why), expected);
    assert_int_equal(why.code, expected);
    assert_non_null(strstr(why.text, path));
    assert_null(source);
}

static void missing_file_is_not_found(void **state)
{
    const struct folder *folder = *state;
    assert_open_fails(folder->file, ERR_NOT_FOUND);
}

static void path_through_a_file_is_not_found(void **state)
{
    const struct folder *folder = *state;
    write_file(folder, CONTENT("x"));
    char path[PATH_SIZE + 32];
    (void)snprintf(path, sizeof(path), "%s/below", folder->file);
    assert_open_fails(path, ERR_NOT_FOUND);
}

static void directory_is_refused(void **state)
{
    const struct folder *folder = *state;
    assert_open_fails(folder->path, ERR_INVALID);
}

static void socket_is_refused(void **state)
{
    const struct folder *folder = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", folder->file);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_open_fails(folder->file, ERR_INVALID);
    assert_int_equal(close(fd), 0);
}

static void unreadable_file_is_no_permission(void **state)
{
    const struct folder *folder = *state;
    write_file(folder, CONTENT("x"));
    assert_int_equal(chmod(folder->file, 0), 0);
    // Nothing is unreadable for root, so it is somebody else for a moment.
    bool is_root = geteuid() == 0;
    assert_true(!is_root || seteuid(NOBODY) == 0);
    assert_open_fails(folder->file, ERR_PERMISSION);
    assert_true(!is_root || seteuid(0) == 0);
}

static void closed_standard_input_is_an_error(void **state)
{
    (void)state;
    int saved = dup(STDIN_FILENO);
    assert_int_equal(close(STDIN_FILENO), 0);
    struct line_source *source = NULL;
    struct why why = {0};
    assert_int_equal(line_source_open("-", LINE_ORDERS, &source, &why), ERR_IO);
    assert_non_null(strstr(why.text, "standard input"));
    assert_true(dup2(saved, STDIN_FILENO) == STDIN_FILENO);
    assert_int_equal(close(saved), 0);
}

// The kernel refuses to read its own memory at address 0: a read that fails where opening went well.
static void failed_read_is_told_again_and_again(void **state)
{
    (void)state;
    struct line_source *source = open_source("/proc/self/mem", LINE_ORDERS);
    struct line line;
    for (int i = 0; i < 2; i++) {
        struct why why = {0};
        assert_int_equal(line_source_next(source, &line, &why), SOURCE_FAILED);
        assert_int_equal(why.code, ERR_IO);
        assert_non_null(strstr(why.text, "/proc/self/mem"));
    }
    line_source_close(&source);
}

static void no_memory_at_any_allocation_is_an_error(void **state)
{
    const struct folder *folder = *state;
    write_file(folder, CONTENT("x"));
    bool hit = true;
    for (uint64_t n = 1; hit; n++) {
        struct line_source *source = NULL;
        struct why why = {0};
        fault_alloc_arm(n);
        enum err err = line_source_open(folder->file, LINE_ORDERS, &source, &why);
        fault_alloc_disarm();
        hit = fault_alloc_hit();
        assert_int_equal(err, hit ? ERR_NO_MEMORY : ERR_OK);
        assert_true(hit == (source == NULL));
        line_source_close(&source);
        assert_true(n < 10);
    }
}

static void close_accepts_nothing(void **state)
{
    (void)state;
    struct line_source *source = NULL;
    line_source_close(&source);
    line_source_close(NULL);
    assert_null(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(every_line_comes_with_its_number),
        FOLDER_TEST(last_line_may_end_without_newline),
        FOLDER_TEST(carriage_return_before_the_line_end_is_stripped_once),
        FOLDER_TEST(empty_lines_are_counted_and_skipped),
        FOLDER_TEST(empty_file_ends_at_once),
        FOLDER_TEST(bytes_of_any_kind_are_passed_on),
        FOLDER_TEST(lines_over_the_limit_are_cut_to_one_byte_more),
        FOLDER_TEST(lines_meet_the_edges_of_a_read_in_any_way),
        cmocka_unit_test(pipe_gives_what_is_there_and_never_waits),
        cmocka_unit_test(standard_input_stays_open_and_blocking),
        FOLDER_TEST(fifo_opens_before_its_writer_and_ends_after_it),
        cmocka_unit_test(any_pieces_give_the_same_lines),
        FOLDER_TEST(topic_is_the_one_named),
        FOLDER_TEST(topic_is_guessed_line_by_line),
        FOLDER_TEST(source_gives_the_lines_as_messages),
        FOLDER_TEST(missing_file_is_not_found),
        FOLDER_TEST(path_through_a_file_is_not_found),
        FOLDER_TEST(directory_is_refused),
        FOLDER_TEST(socket_is_refused),
        FOLDER_TEST(unreadable_file_is_no_permission),
        cmocka_unit_test(closed_standard_input_is_an_error),
        cmocka_unit_test(failed_read_is_told_again_and_again),
        FOLDER_TEST(no_memory_at_any_allocation_is_an_error),
        cmocka_unit_test(close_accepts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
