// The server under bare bytes: what a client may send, in what pieces, and how it may go.
#include "ingest_rig.h"

#include "rand.h"
#include "socket_faults.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// "PREFIX-0" ... "PREFIX-(count-1)" as frames; the size of all.
static size_t make_frames(char *out, unsigned topic, const char *prefix, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        char *body = out + size + WIRE_FRAME_HEAD_SIZE;
        size_t body_size = (size_t)snprintf(body, 32, "%s-%zu", prefix, i);
        wire_put_u32((unsigned char *)out + size, (uint32_t)body_size);
        out[size + 4] = (char)topic;
        size += WIRE_FRAME_HEAD_SIZE + body_size;
    }
    return size;
}

// --- pieces --------------------------------------------------------------------------------------

static void writer_of_single_bytes_is_understood(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    char bytes[1024] = "till\1";
    size_t size = WIRE_HELLO_SIZE;
    size += make_frames(bytes + size, 0, "order", 5);
    size += make_frames(bytes + size, 1, "payment", 5);
    int fd = raw_connect(&rig);
    for (size_t i = 0; i < size; i++) {
        raw_write(fd, bytes + i, 1);
    }
    raw_expect_hello(fd);
    raw_expect_durable(fd, 10);
    assert_int_equal(close(fd), 0);
    ingest_rig_expect(&rig, BUS_ORDERS, "order", 5);
    ingest_rig_expect(&rig, BUS_PAYMENTS, "payment", 5);
    ingest_rig_deinit(&rig);
}

static void pieces_of_any_size_are_understood(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct ingest_rig rig;
    struct rand rand;
    rand_seed(&rand, test_seed());
    ingest_rig_init(&rig);
    static char bytes[COUNT * 32];
    size_t size = make_frames(bytes, 0, "order", COUNT);
    int fd = raw_open(&rig);
    for (size_t at = 0; at < size;) {
        uint64_t piece_max = rand_chance_ppm(&rand, 500000) ? 16 : 4000;
        size_t piece = 1 + (size_t)rand_below(&rand, piece_max);
        piece = piece < size - at ? piece : size - at;
        raw_write(fd, bytes + at, piece);
        at += piece;
    }
    raw_expect_durable(fd, COUNT);
    assert_int_equal(close(fd), 0);
    ingest_rig_expect(&rig, BUS_ORDERS, "order", COUNT);
    ingest_rig_deinit(&rig);
}

static void everything_in_one_piece_with_the_hello_is_understood(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    char bytes[1024] = "till\1";
    size_t size = WIRE_HELLO_SIZE + make_frames(bytes + WIRE_HELLO_SIZE, 0, "order", 20);
    int fd = raw_connect(&rig);
    raw_write(fd, bytes, size);
    assert_int_equal(shutdown(fd, SHUT_WR), 0); // it hears the answers all the same
    raw_expect_hello(fd);
    raw_expect_durable(fd, 20);
    raw_expect_end(fd);
    assert_int_equal(close(fd), 0);
    ingest_rig_expect(&rig, BUS_ORDERS, "order", 20);
    ingest_rig_deinit(&rig);
}

// --- going away ----------------------------------------------------------------------------------

// A client that dies after every number of bytes leaves exactly its whole frames.
static void client_that_dies_at_any_byte_leaves_its_whole_frames(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    char bytes[256] = "till\1";
    size_t frames_size = make_frames(bytes + WIRE_HELLO_SIZE, 0, "order", 3);
    const size_t frame_size = WIRE_FRAME_HEAD_SIZE + strlen("order-0");
    assert_int_equal(frames_size, 3 * frame_size);
    uint64_t expected = 0;
    for (size_t size = 0; size <= WIRE_HELLO_SIZE + frames_size; size++) {
        int fd = raw_connect(&rig);
        raw_write(fd, bytes, size);
        assert_int_equal(close(fd), 0);
        expected += size < WIRE_HELLO_SIZE ? 0 : (size - WIRE_HELLO_SIZE) / frame_size;
    }
    WAIT_FOR(ingest_rig_published(&rig) == expected);
    ingest_stop(&rig.ingest);
    assert_int_equal(ingest_rig_published(&rig), expected);
    ingest_rig_deinit(&rig);
}

struct gate {
    sem_t open;
    atomic_uint calls;
};

static enum err judge_gate(void *context, enum bus_topic topic, const struct bus_outgoing *messages,
                           size_t count, struct why *why)
{
    (void)topic;
    (void)messages;
    (void)count;
    (void)why;
    struct gate *gate = context;
    bool first = atomic_fetch_add(&gate->calls, 1) == 0;
    while (first && sem_wait(&gate->open) != 0) {
    }
    return ERR_OK;
}

// The server learns of the end by an acknowledgement that finds nobody, before it has read the
// rest.
static void frames_of_a_client_that_went_without_its_answers_are_published(void **state)
{
    (void)state;
    struct ingest_rig rig;
    struct gate gate = {.calls = 0};
    assert_int_equal(sem_init(&gate.open, 0, 0), 0);
    ingest_rig_init_as(&rig, clock_real(), false);
    ingest_rig_judge_by(&rig, judge_gate, &gate);
    int fd = raw_open(&rig);
    raw_frame(fd, 0, "first");
    WAIT_FOR(atomic_load(&gate.calls) == 1);
    for (size_t i = 0; i < 100; i++) {
        raw_frame(fd, 0, "behind");
    }
    assert_int_equal(close(fd), 0);
    assert_int_equal(sem_post(&gate.open), 0);
    WAIT_FOR(ingest_rig_published(&rig) == 101);
    WAIT_FOR(ingest_rig_connections(&rig) == 0);
    ingest_rig_deinit(&rig);
    assert_int_equal(sem_destroy(&gate.open), 0);
}

static enum err judge_away(void *context, enum bus_topic topic, const struct bus_outgoing *messages,
                           size_t count, struct why *why)
{
    (void)topic;
    (void)messages;
    (void)count;
    return atomic_load((atomic_bool *)context) ? why_set(why, ERR_FULL, "away") : ERR_OK;
}

static void frames_of_clients_that_went_while_the_bus_was_away_are_published(void **state)
{
    (void)state;
    struct ingest_rig rig;
    atomic_bool away = true;
    ingest_rig_init_as(&rig, clock_real(), false);
    ingest_rig_judge_by(&rig, judge_away, &away);
    int first = raw_open(&rig);
    int second = raw_open(&rig);
    raw_frame(first, 0, "in the batch that waits");
    WAIT_FOR(ingest_rig_retries(&rig) >= 1);
    for (size_t i = 0; i < 10; i++) {
        raw_frame(second, 0, "read while it waits");
    }
    assert_int_equal(close(first), 0);
    assert_int_equal(close(second), 0);
    uint64_t retries = ingest_rig_retries(&rig);
    uint64_t polls = socket_faults_polls();
    WAIT_FOR(ingest_rig_retries(&rig) >= retries + 3);
    assert_true(socket_faults_polls() - polls < 100); // it doesn't turn in vain
    assert_int_equal(ingest_rig_connections(&rig), 2);
    atomic_store(&away, false);
    WAIT_FOR(ingest_rig_published(&rig) == 11);
    WAIT_FOR(ingest_rig_connections(&rig) == 0);
    ingest_rig_deinit(&rig);
}

static void place_of_a_client_that_went_is_free_again(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init_as(&rig, clock_real(), false);
    for (size_t i = 0; i < 3 * INGEST_CONNECTIONS_MAX; i++) {
        int fd = raw_open(&rig);
        raw_frame(fd, 0, "x");
        raw_write(fd, "\x09", 1); // and dies within the next
        assert_int_equal(close(fd), 0);
        WAIT_FOR(ingest_rig_connections(&rig) == 0);
    }
    assert_int_equal(ingest_rig_published(&rig), 3 * INGEST_CONNECTIONS_MAX);
    ingest_rig_deinit(&rig);
}

// --- what is refused -----------------------------------------------------------------------------

static void hello_of_something_else_is_refused(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    static const char *const magics[] = {"tilk", "Till", "GET ", "\0\0\0\0"};
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        int fd = raw_connect(&rig);
        raw_hello(fd, magics[i], INGEST_VERSION);
        raw_expect_hello(fd);
        raw_expect_refusal(fd, WIRE_REFUSED_PROTOCOL, 0, "no hello");
        assert_int_equal(close(fd), 0);
    }
    ingest_rig_deinit(&rig);
}

static void other_versions_are_refused_by_name(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    static const unsigned versions[] = {0, 2, 0x0100, 0xFFFF};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "version 1 of the protocol, not %u",
                       versions[i]);
        int fd = raw_connect(&rig);
        raw_hello(fd, "till", versions[i]);
        raw_expect_hello(fd); // which says what is spoken
        raw_expect_refusal(fd, WIRE_REFUSED_VERSION, 0, expected);
        assert_int_equal(close(fd), 0);
    }
    ingest_rig_deinit(&rig);
}

static void frame_for_no_topic_is_refused_after_those_before_it(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    static const unsigned topics[] = {2, 255};
    for (size_t i = 0; i < 2; i++) {
        int fd = raw_open(&rig);
        raw_frame(fd, 1, i == 0 ? "payment-0" : "payment-1");
        raw_frame(fd, topics[i], "");
        raw_expect_refusal(fd, WIRE_REFUSED_PROTOCOL, 1, "topic number");
        assert_int_equal(close(fd), 0);
    }
    ingest_rig_expect(&rig, BUS_PAYMENTS, "payment", 2);
    ingest_rig_expect(&rig, BUS_ORDERS, "order", 0);
    ingest_rig_deinit(&rig);
}

static void bodies_up_to_the_limit_are_taken_and_larger_ones_refused(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    char *body = malloc(INGEST_BODY_SIZE_MAX);
    assert_non_null(body);
    memset(body, 'b', INGEST_BODY_SIZE_MAX);
    unsigned char head[WIRE_FRAME_HEAD_SIZE] = {0};
    int fd = raw_open(&rig);
    for (uint32_t i = 0; i < 2; i++) {
        wire_put_u32(head, INGEST_BODY_SIZE_MAX - 1 + i);
        raw_write(fd, head, sizeof(head));
        raw_write(fd, body, INGEST_BODY_SIZE_MAX - 1 + i);
    }
    wire_put_u32(head, INGEST_BODY_SIZE_MAX + 1); // the head alone says it
    raw_write(fd, head, sizeof(head));
    raw_expect_refusal(fd, WIRE_REFUSED_TOO_LARGE, 2, "10000001 bytes; the limit is 10000000");
    assert_int_equal(close(fd), 0);

    size_t count = 0;
    char **bodies = ingest_rig_pull(&rig, BUS_ORDERS, &count);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(strlen(bodies[i]), INGEST_BODY_SIZE_MAX - 1 + i);
        assert_memory_equal(bodies[i], body, INGEST_BODY_SIZE_MAX - 1 + i);
        free(bodies[i]);
    }
    free(bodies);
    free(body);
    ingest_rig_deinit(&rig);
}

static void small_frames_behind_a_large_one_come_too(void **state)
{
    (void)state;
    enum { LARGE_SIZE = 3 * 1000 * 1000 };
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    char *body = malloc(LARGE_SIZE + 1);
    assert_non_null(body);
    memset(body, 'b', LARGE_SIZE);
    body[LARGE_SIZE] = '\0';
    static char bytes[4000 * 32];
    size_t size = make_frames(bytes, 1, "payment", 4000);
    int fd = raw_open(&rig);
    for (size_t i = 0; i < 3; i++) {
        raw_frame(fd, 0, body);
    }
    raw_write(fd, bytes, size);
    raw_expect_durable(fd, 4003);
    assert_int_equal(close(fd), 0);
    free(body);
    ingest_rig_expect(&rig, BUS_PAYMENTS, "payment", 4000);
    ingest_rig_deinit(&rig);
}

static void connection_beyond_the_limit_is_turned_away_clearly(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    int fds[INGEST_CONNECTIONS_MAX];
    for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) {
        fds[i] = raw_open(&rig);
    }
    for (size_t i = 0; i < 3; i++) {
        int fd = raw_connect(&rig);
        raw_expect_hello(fd);
        raw_expect_refusal(fd, WIRE_REFUSED_CONNECTIONS, 0, "64 others");
        assert_int_equal(close(fd), 0);
    }
    struct why why = {0};
    struct ingest_client *client = NULL;
    assert_int_equal(ingest_client_connect(rig.directory, &client, &why), ERR_BUSY);
    assert_non_null(strstr(why.text, "64 others"));

    for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) { // who was there is still served
        char body[16];
        (void)snprintf(body, sizeof(body), "order-%zu", i);
        raw_frame(fds[i], 0, body);
        raw_expect_durable(fds[i], 1);
    }
    assert_int_equal(close(fds[0]), 0);
    WAIT_FOR(ingest_rig_connections(&rig) == INGEST_CONNECTIONS_MAX - 1);
    fds[0] = raw_open(&rig);
    for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) {
        assert_int_equal(close(fds[i]), 0);
    }
    ingest_rig_expect(&rig, BUS_ORDERS, "order", INGEST_CONNECTIONS_MAX);
    struct ingest_figures figures;
    ingest_get_figures(rig.ingest, &figures);
    assert_int_equal(figures.refused, 4);
    ingest_rig_deinit(&rig);
}

// A clock of the test's, for several threads.
static int64_t fixed_wall_us(void *context)
{
    (void)context;
    return 0;
}

static int64_t told_mono_ns(void *context)
{
    return atomic_load((_Atomic int64_t *)context);
}

static void client_without_a_hello_is_refused_after_ten_seconds(void **state)
{
    (void)state;
    struct ingest_rig rig;
    _Atomic int64_t now_ns = 1;
    ingest_rig_init_as(&rig, (struct clock){fixed_wall_us, told_mono_ns, &now_ns}, false);
    int silent = raw_connect(&rig);
    raw_write(silent, "till\1", 5);
    int idle = raw_open(&rig);
    WAIT_FOR(ingest_rig_connections(&rig) == 2);
    atomic_fetch_add(&now_ns, 10 * NS_PER_SECOND - 1);
    raw_frame(idle, 0, "x"); // it has turned once more when this is acknowledged
    raw_expect_durable(idle, 1);
    raw_frame(idle, 0, "x");
    raw_expect_durable(idle, 2);
    assert_int_equal(ingest_rig_connections(&rig), 2);
    atomic_fetch_add(&now_ns, 1);
    raw_expect_hello(silent);
    raw_expect_refusal(silent, WIRE_REFUSED_HELLO_TIMEOUT, 0, "hello");
    raw_frame(idle, 0, "x"); // no limit once it has said hello
    raw_expect_durable(idle, 3);
    assert_int_equal(close(silent), 0);
    assert_int_equal(close(idle), 0);
    ingest_rig_deinit(&rig);
}

// --- slow readers --------------------------------------------------------------------------------

static void reader_that_is_slow_delays_nobody_and_hears_the_last_count(void **state)
{
    (void)state;
    enum { COUNT = 2000 }; // more acknowledgements than the socket holds
    struct ingest_rig rig;
    ingest_rig_init_as(&rig, clock_real(), false);
    int slow = raw_open(&rig);
    int other = raw_open(&rig);
    for (size_t i = 1; i <= COUNT; i++) {
        raw_frame(slow, 0, "x");
        WAIT_FOR(ingest_rig_published(&rig) == i); // so that none is merged with the next
    }
    raw_frame(other, 0, "x");
    raw_expect_durable(other, 1);
    unsigned char ack[WIRE_ACK_SIZE] = {0};
    size_t ack_count = 0;
    while (wire_get_u64(ack + 1) < COUNT) {
        assert_int_equal(recv(slow, ack, sizeof(ack), MSG_WAITALL), sizeof(ack));
        assert_int_equal(ack[0], WIRE_ACK);
        ack_count++;
    }
    assert_in_range(ack_count, 1, COUNT - 1); // those that found no room were merged into the last
    assert_int_equal(close(slow), 0);
    assert_int_equal(close(other), 0);
    ingest_rig_deinit(&rig);
}

static void reader_that_never_reads_delays_the_stop_by_seconds_at_most(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init_as(&rig, clock_real(), false);
    int fd = raw_open(&rig);
    for (size_t i = 1; i <= 2000; i++) {
        raw_frame(fd, 0, "x");
        WAIT_FOR(ingest_rig_published(&rig) == i);
    }
    struct timespec before;
    struct timespec after;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &before), 0);
    ingest_stop(&rig.ingest);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &after), 0);
    assert_in_range(after.tv_sec - before.tv_sec, 1, 10);
    assert_int_equal(close(fd), 0);
    ingest_rig_deinit(&rig);
}

// Writes copies of the frame until neither the socket nor the server takes more. Gives the bytes
// written.
static size_t write_until_full(struct ingest_rig *rig, int fd, const char *frame, size_t frame_size)
{
    size_t written = 0;
    bool full = false;
    while (!full) {
        size_t written_before = written;
        ssize_t size = 0;
        do {
            size_t at = written % frame_size;
            size = send(fd, frame + at, frame_size - at, MSG_DONTWAIT);
            written += size > 0 ? (size_t)size : 0;
        } while (size > 0);
        // Between two tries to publish the server has looked at all its sockets.
        uint64_t retries = ingest_rig_retries(rig);
        WAIT_FOR(ingest_rig_retries(rig) >= retries + 2);
        full = written == written_before;
    }
    return written;
}

static void client_cannot_fill_the_memory_of_a_server_that_cannot_publish(void **state)
{
    (void)state;
    enum { BODY_SIZE = 1000 };
    struct ingest_rig rig;
    atomic_bool away = true;
    ingest_rig_init(&rig);
    ingest_rig_judge_by(&rig, judge_away, &away);
    static char frame[WIRE_FRAME_HEAD_SIZE + BODY_SIZE];
    wire_put_u32((unsigned char *)frame, BODY_SIZE);
    memset(frame + WIRE_FRAME_HEAD_SIZE, 'b', BODY_SIZE);
    int first = raw_open(&rig);
    int second = raw_open(&rig);
    raw_write(first, frame, sizeof(frame));
    WAIT_FOR(ingest_rig_retries(&rig) >= 1);
    size_t written = write_until_full(&rig, second, frame, sizeof(frame));
    assert_in_range(written, 512 * 1024, 1024 * 1024); // its buffer and the socket's

    atomic_store(&away, false);
    raw_write(second, frame + written % sizeof(frame), sizeof(frame) - written % sizeof(frame));
    raw_expect_durable(first, 1);
    raw_expect_durable(second, 1 + written / sizeof(frame));
    assert_int_equal(close(first), 0);
    assert_int_equal(close(second), 0);
    ingest_rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writer_of_single_bytes_is_understood),
        cmocka_unit_test(pieces_of_any_size_are_understood),
        cmocka_unit_test(everything_in_one_piece_with_the_hello_is_understood),
        cmocka_unit_test(client_that_dies_at_any_byte_leaves_its_whole_frames),
        cmocka_unit_test(frames_of_a_client_that_went_without_its_answers_are_published),
        cmocka_unit_test(frames_of_clients_that_went_while_the_bus_was_away_are_published),
        cmocka_unit_test(place_of_a_client_that_went_is_free_again),
        cmocka_unit_test(hello_of_something_else_is_refused),
        cmocka_unit_test(other_versions_are_refused_by_name),
        cmocka_unit_test(frame_for_no_topic_is_refused_after_those_before_it),
        cmocka_unit_test(bodies_up_to_the_limit_are_taken_and_larger_ones_refused),
        cmocka_unit_test(small_frames_behind_a_large_one_come_too),
        cmocka_unit_test(connection_beyond_the_limit_is_turned_away_clearly),
        cmocka_unit_test(client_without_a_hello_is_refused_after_ten_seconds),
        cmocka_unit_test(reader_that_is_slow_delays_nobody_and_hears_the_last_count),
        cmocka_unit_test(reader_that_never_reads_delays_the_stop_by_seconds_at_most),
        cmocka_unit_test(client_cannot_fill_the_memory_of_a_server_that_cannot_publish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
