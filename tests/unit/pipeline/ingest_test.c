// Client and server together on the embedded bus: what was acknowledged lies in the topic.
#include "ingest_rig.h"

#include "fault_alloc.h"
#include "socket_faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static void acknowledged_messages_are_in_the_topic_in_their_order(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    struct ingest_client *client = ingest_rig_connect(&rig);
    for (size_t i = 0; i < 300; i++) {
        ingest_rig_send(client, BUS_ORDERS, "order", i);
        ingest_rig_send(client, BUS_PAYMENTS, "payment", i);
    }
    ingest_rig_flush(client, 600);
    ingest_rig_expect(&rig, BUS_ORDERS, "order", 300);
    ingest_rig_expect(&rig, BUS_PAYMENTS, "payment", 300);
    ingest_client_close(&client);
    ingest_rig_deinit(&rig);
}

static void more_messages_than_any_window_and_batch_come_whole(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    struct ingest_client *client = ingest_rig_connect(&rig);
    const size_t count = 3 * INGEST_CLIENT_WINDOW_COUNT + 7;
    for (size_t i = 0; i < count; i++) {
        ingest_rig_send(client, BUS_ORDERS, "order", i);
    }
    ingest_rig_flush(client, count);
    ingest_rig_expect(&rig, BUS_ORDERS, "order", count);
    ingest_client_close(&client);
    ingest_rig_deinit(&rig);
}

static void empty_message_is_a_message(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    struct ingest_client *client = ingest_rig_connect(&rig);
    struct why why = {0};
    assert_int_equal(ingest_client_send(client, BUS_ORDERS, (struct text){NULL, 0}, &why), ERR_OK);
    ingest_rig_flush(client, 1);
    size_t count = 0;
    char **bodies = ingest_rig_pull(&rig, BUS_ORDERS, &count);
    assert_int_equal(count, 1);
    assert_string_equal(bodies[0], "");
    free(bodies[0]);
    free(bodies);
    ingest_client_close(&client);
    ingest_rig_deinit(&rig);
}

// --- several clients -----------------------------------------------------------------------------

#define CLIENT_COUNT      6
#define CLIENT_MESSAGES   400u
#define CLIENT_FLUSH_STEP 37u

struct busy_client {
    struct ingest_rig *rig;
    pthread_t thread;
    char prefix[8];
};

static void *busy_main(void *argument)
{
    struct busy_client *self = argument;
    struct ingest_client *client = ingest_rig_connect(self->rig);
    for (size_t i = 0; i < CLIENT_MESSAGES; i++) {
        ingest_rig_send(client, BUS_ORDERS, self->prefix, i);
        if (i % CLIENT_FLUSH_STEP == 0) {
            ingest_rig_flush(client, i + 1);
        }
    }
    ingest_rig_flush(client, CLIENT_MESSAGES);
    ingest_client_close(&client);
    return NULL;
}

// Each client's messages came in its own order, whatever lies between them.
static void expect_interleaved(struct ingest_rig *rig)
{
    size_t next[CLIENT_COUNT] = {0};
    size_t count = 0;
    char **bodies = ingest_rig_pull(rig, BUS_ORDERS, &count);
    assert_int_equal(count, CLIENT_COUNT * CLIENT_MESSAGES);
    for (size_t i = 0; i < count; i++) {
        size_t client = (size_t)(bodies[i][0] - 'a');
        assert_true(client < CLIENT_COUNT);
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "%c-%zu", bodies[i][0], next[client]++);
        assert_string_equal(bodies[i], expected);
        free(bodies[i]);
    }
    free(bodies);
}

static void run_clients(struct ingest_rig *rig)
{
    struct busy_client clients[CLIENT_COUNT];
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        clients[i] = (struct busy_client){.rig = rig, .prefix = {(char)('a' + i), '\0'}};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, busy_main, &clients[i]), 0);
    }
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        assert_int_equal(pthread_join(clients[i].thread, NULL), 0);
    }
    WAIT_FOR(ingest_rig_connections(rig) == 0);
}

static void several_clients_at_once_keep_their_order(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    run_clients(&rig);
    expect_interleaved(&rig);
    ingest_rig_deinit(&rig);
}

static void calls_that_do_a_byte_or_nothing_at_a_time_lose_nothing(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    uint64_t changed_before = socket_faults_count();
    socket_faults_set((struct socket_faults){1, 3, 7});
    struct ingest_client *client = ingest_rig_connect(&rig);
    for (size_t i = 0; i < 100; i++) {
        ingest_rig_send(client, BUS_ORDERS, "order", i);
        if (i % 10 == 0) {
            ingest_rig_flush(client, i + 1);
        }
    }
    ingest_rig_flush(client, 100);
    socket_faults_set((struct socket_faults){0});
    assert_true(socket_faults_count() - changed_before > 1000);
    ingest_rig_expect(&rig, BUS_ORDERS, "order", 100);
    ingest_client_close(&client);
    ingest_rig_deinit(&rig);
}

static void on_alarm(int number)
{
    (void)number;
}

static void signals_that_interrupt_every_call_lose_nothing(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    struct sigaction before;
    const struct sigaction action = {.sa_handler = on_alarm}; // without SA_RESTART
    const struct itimerval often = {{0, 500}, {0, 500}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    socket_faults_set((struct socket_faults){17, 5, 11});
    run_clients(&rig);
    socket_faults_set((struct socket_faults){0});
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    expect_interleaved(&rig);
    ingest_rig_deinit(&rig);
}

static void accept_that_fails_for_a_while_is_tried_again(void **state)
{
    (void)state;
    static const int numbers[] = {EMFILE, ECONNABORTED, EINTR, ENOMEM};
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uint64_t changed_before = socket_faults_count();
        socket_faults_fail_accepts(2, numbers[i]);
        struct ingest_client *client = ingest_rig_connect(&rig);
        assert_int_equal(socket_faults_count() - changed_before, 2);
        ingest_rig_send(client, BUS_ORDERS, "order", i);
        ingest_rig_flush(client, 1);
        ingest_client_close(&client);
    }
    ingest_rig_expect(&rig, BUS_ORDERS, "order", 4);
    ingest_rig_deinit(&rig);
}

// --- the bus refuses -----------------------------------------------------------------------------

// Refuses as long as `err` is set, `topic` only.
struct refusing {
    enum bus_topic topic;
    _Atomic enum err err;
};

static enum err judge_refusing(void *context, enum bus_topic topic,
                               const struct bus_outgoing *messages, size_t count, struct why *why)
{
    (void)messages;
    (void)count;
    struct refusing *refusing = context;
    enum err err = atomic_load(&refusing->err);
    return topic == refusing->topic && err != ERR_OK ? why_set(why, err, "as the test wants it")
                                                     : ERR_OK;
}

static void nothing_is_acknowledged_while_the_bus_says_retry(void **state)
{
    (void)state;
    struct ingest_rig rig;
    struct refusing refusing = {BUS_PAYMENTS, ERR_FULL};
    ingest_rig_init(&rig);
    ingest_rig_judge_by(&rig, judge_refusing, &refusing);
    struct ingest_client *client = ingest_rig_connect(&rig);
    ingest_rig_send(client, BUS_ORDERS, "order", 0);
    ingest_rig_send(client, BUS_PAYMENTS, "payment", 0);
    uint64_t durable = 77;
    struct why why = {0};
    assert_int_equal(ingest_client_flush(client, 0, &durable, &why), ERR_TIMEOUT);
    WAIT_FOR(ingest_rig_retries(&rig) >= 4);
    assert_int_equal(ingest_client_flush(client, 0, &durable, &why), ERR_TIMEOUT);
    assert_int_equal(durable, 77);
    assert_int_equal(ingest_client_durable(client), 0);
    assert_int_equal(ingest_error(rig.ingest, &why), ERR_OK);

    // Whoever comes meanwhile is taken, and waits too.
    struct ingest_client *second = ingest_rig_connect(&rig);
    ingest_rig_send(second, BUS_PAYMENTS, "payment", 1);
    assert_int_equal(ingest_client_flush(second, 0, &durable, &why), ERR_TIMEOUT);

    atomic_store(&refusing.err, ERR_OK);
    ingest_rig_flush(client, 2);
    ingest_rig_flush(second, 1);
    ingest_rig_expect(&rig, BUS_ORDERS, "order", 1); // once, though the payment was tried often
    ingest_rig_expect(&rig, BUS_PAYMENTS, "payment", 2);
    assert_int_equal(ingest_rig_logged(&rig, "cannot publish now"), 1); // once an outage
    atomic_store(&refusing.err, ERR_BUSY);
    ingest_rig_send(client, BUS_PAYMENTS, "payment", 2);
    assert_int_equal(ingest_client_flush(client, 0, &durable, &why), ERR_TIMEOUT);
    WAIT_FOR(ingest_rig_logged(&rig, "cannot publish now") == 2);
    atomic_store(&refusing.err, ERR_OK);
    ingest_rig_flush(client, 3);
    ingest_client_close(&client);
    ingest_client_close(&second);
    ingest_rig_deinit(&rig);
}

static void error_that_stops_the_bus_ends_everything_and_is_kept(void **state)
{
    (void)state;
    struct ingest_rig rig;
    struct refusing refusing = {BUS_ORDERS, ERR_OK};
    ingest_rig_init(&rig);
    ingest_rig_judge_by(&rig, judge_refusing, &refusing);
    struct ingest_client *client = ingest_rig_connect(&rig);
    struct ingest_client *idle = ingest_rig_connect(&rig);
    ingest_rig_send(client, BUS_ORDERS, "order", 0);
    ingest_rig_flush(client, 1);
    atomic_store(&refusing.err, ERR_IO);
    ingest_rig_send(client, BUS_ORDERS, "order", 1);

    uint64_t durable = 77;
    struct why why = {0};
    assert_int_equal(ingest_client_flush(client, INGEST_RIG_WAIT_S * US_PER_SECOND, &durable, &why),
                     ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "1 of 2 messages are durable"));
    assert_non_null(strstr(why.text, "as the test wants it"));
    assert_int_equal(ingest_client_durable(client), 1);
    assert_int_equal(ingest_error(rig.ingest, &why), ERR_IO);
    assert_string_equal(why.text, "as the test wants it");
    WAIT_FOR(ingest_rig_connections(&rig) == 0);
    ingest_rig_flush(idle, 0); // nothing of its own is missing
    assert_int_equal(ingest_client_send(idle, BUS_ORDERS, TEXT("x"), &why), ERR_UNAVAILABLE);

    struct ingest_client *late = NULL;
    assert_int_equal(ingest_client_connect(rig.directory, &late, &why), ERR_UNAVAILABLE);
    assert_null(late);
    ingest_rig_expect(&rig, BUS_ORDERS, "order", 1);
    ingest_client_close(&client);
    ingest_client_close(&idle);
    ingest_rig_deinit(&rig);
}

// Never takes a batch that holds this body.
static enum err judge_poison(void *context, enum bus_topic topic,
                             const struct bus_outgoing *messages, size_t count, struct why *why)
{
    (void)topic;
    for (size_t i = 0; i < count; i++) {
        if (text_equal(messages[i].data, text_of(context))) {
            return why_set(why, ERR_TOO_LARGE, "poison");
        }
    }
    return ERR_OK;
}

static void message_that_the_bus_never_takes_ends_its_connection_only(void **state)
{
    (void)state;
    struct ingest_rig rig;
    char poison[] = "order-3";
    ingest_rig_init(&rig);
    ingest_rig_judge_by(&rig, judge_poison, poison);
    int other = raw_open(&rig);
    struct ingest_client *client = ingest_rig_connect(&rig);
    for (size_t i = 0; i < 6; i++) {
        ingest_rig_send(client, BUS_ORDERS, "order", i);
    }
    uint64_t durable = 0;
    struct why why = {0};
    assert_int_equal(ingest_client_flush(client, INGEST_RIG_WAIT_S * US_PER_SECOND, &durable, &why),
                     ERR_INVALID);
    assert_int_equal(ingest_client_durable(client), 3);
    assert_non_null(strstr(why.text, "poison"));
    raw_frame(other, 0, "order-3x");
    raw_expect_durable(other, 1);
    assert_int_equal(ingest_error(rig.ingest, &why), ERR_OK);
    assert_int_equal(close(other), 0);
    ingest_client_close(&client);

    size_t count = 0;
    char **bodies = ingest_rig_pull(&rig, BUS_ORDERS, &count);
    assert_int_equal(count, 4); // 0, 1, 2 and the other's; none behind the poison
    for (size_t i = 0; i < count; i++) {
        char expected[16];
        (void)snprintf(expected, sizeof(expected), i < 3 ? "order-%zu" : "order-%zux", i);
        assert_string_equal(bodies[i], expected);
        free(bodies[i]);
    }
    free(bodies);
    ingest_rig_deinit(&rig);
}

static void frames_behind_a_refused_message_are_not_published(void **state)
{
    (void)state;
    struct ingest_rig rig;
    char poison[] = "!";
    ingest_rig_init(&rig);
    ingest_rig_judge_by(&rig, judge_poison, poison);
    static const unsigned char frame[] = {1, 0, 0, 0, 0, '!'};
    static unsigned char frames[5000 * sizeof(frame)]; // more than a batch
    for (size_t i = 0; i < sizeof(frames); i++) {
        frames[i] = frame[i % sizeof(frame)];
    }
    frames[5] = 'a';
    for (size_t i = 2; i < 5000; i++) {
        frames[i * sizeof(frame) + 5] = 'b';
    }
    int fd = raw_open(&rig);
    raw_write(fd, frames, sizeof(frames));
    raw_expect_refusal(fd, WIRE_REFUSED_BUS_REFUSED, 1, "poison");
    assert_int_equal(close(fd), 0);
    assert_int_equal(ingest_rig_published(&rig), 1);

    // The next batch goes in one piece again.
    uint64_t calls = ingest_rig_calls(&rig);
    struct ingest_client *client = ingest_rig_connect(&rig);
    for (size_t i = 0; i < 100; i++) {
        ingest_rig_send(client, BUS_ORDERS, "order", i);
    }
    ingest_rig_flush(client, 100);
    assert_true(ingest_rig_calls(&rig) - calls < 10);
    ingest_client_close(&client);
    ingest_rig_deinit(&rig);
}

// --- stopping ------------------------------------------------------------------------------------

// Holds the first message until everything else is written, then asks for the stop from inside the
// next publish: more was read by then than one batch holds.
struct stopper {
    struct ingest_rig *rig;
    sem_t all_written;
    atomic_uint calls;
};

static enum err judge_stopping(void *context, enum bus_topic topic,
                               const struct bus_outgoing *messages, size_t count, struct why *why)
{
    (void)topic;
    (void)messages;
    (void)why;
    struct stopper *stopper = context;
    unsigned call = atomic_fetch_add(&stopper->calls, 1);
    if (call == 0) {
        assert_int_equal(count, 1);
        while (sem_wait(&stopper->all_written) != 0) {
        }
    } else if (call == 1) {
        assert_int_equal(count, 4096);
        ingest_request_stop(stopper->rig->ingest);
    }
    return ERR_OK;
}

static void stop_drains_what_was_read(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    struct stopper stopper = {.rig = &rig};
    assert_int_equal(sem_init(&stopper.all_written, 0, 0), 0);
    ingest_rig_judge_by(&rig, judge_stopping, &stopper);
    int fd = raw_open(&rig);
    raw_frame(fd, 0, "ok");
    WAIT_FOR(atomic_load(&stopper.calls) == 1);
    static const unsigned char frame[] = {2, 0, 0, 0, 0, 'o', 'k'};
    static unsigned char frames[(COUNT - 1) * sizeof(frame)]; // the socket has room for so much
    for (size_t i = 0; i < sizeof(frames); i++) {
        frames[i] = frame[i % sizeof(frame)];
    }
    raw_write(fd, frames, sizeof(frames));
    raw_write(fd, "\x02\0\0", 3); // the start of one more
    assert_int_equal(sem_post(&stopper.all_written), 0);
    raw_expect_refusal(fd, WIRE_REFUSED_STOPPING, COUNT, "ends");
    assert_int_equal(close(fd), 0);
    struct why why = {0};
    struct ingest_client *late = NULL;
    assert_int_equal(ingest_client_connect(rig.directory, &late, &why), ERR_UNAVAILABLE);
    ingest_stop(&rig.ingest);
    assert_int_equal(ingest_rig_published(&rig), COUNT);
    size_t count = 0;
    char **bodies = ingest_rig_pull(&rig, BUS_ORDERS, &count);
    assert_int_equal(count, COUNT);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(bodies[i], "ok");
        free(bodies[i]);
    }
    free(bodies);
    assert_int_equal(sem_destroy(&stopper.all_written), 0);
    ingest_rig_deinit(&rig);
}

// Asks for the stop at the first publish, and refuses that one and the next three.
static enum err judge_busy_at_the_end(void *context, enum bus_topic topic,
                                      const struct bus_outgoing *messages, size_t count,
                                      struct why *why)
{
    (void)topic;
    (void)messages;
    (void)count;
    struct stopper *stopper = context;
    unsigned call = atomic_fetch_add(&stopper->calls, 1);
    if (call == 0) {
        ingest_request_stop(stopper->rig->ingest);
    }
    return call < 4 ? why_set(why, ERR_BUSY, "for a moment") : ERR_OK;
}

static void drain_tries_again_for_a_while(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    struct stopper stopper = {.rig = &rig};
    ingest_rig_judge_by(&rig, judge_busy_at_the_end, &stopper);
    int fd = raw_open(&rig);
    raw_frame(fd, 0, "order-0");
    raw_expect_refusal(fd, WIRE_REFUSED_STOPPING, 1, "ends");
    assert_int_equal(close(fd), 0);
    ingest_stop(&rig.ingest);
    ingest_rig_expect(&rig, BUS_ORDERS, "order", 1);
    ingest_rig_deinit(&rig);
}

static void stop_while_the_bus_says_retry_acknowledges_nothing_and_ends(void **state)
{
    (void)state;
    struct ingest_rig rig;
    struct refusing refusing = {BUS_ORDERS, ERR_BUSY};
    ingest_rig_init(&rig);
    ingest_rig_judge_by(&rig, judge_refusing, &refusing);
    struct ingest_client *client = ingest_rig_connect(&rig);
    ingest_rig_send(client, BUS_ORDERS, "order", 0);
    uint64_t durable = 0;
    struct why why = {0};
    assert_int_equal(ingest_client_flush(client, 0, &durable, &why), ERR_TIMEOUT);
    WAIT_FOR(ingest_rig_retries(&rig) >= 1);
    ingest_stop(&rig.ingest);
    assert_int_equal(ingest_client_flush(client, INGEST_RIG_WAIT_S * US_PER_SECOND, &durable, &why),
                     ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "0 of 1 messages are durable"));
    ingest_rig_expect(&rig, BUS_ORDERS, "order", 0);
    ingest_client_close(&client);
    ingest_rig_deinit(&rig);
}

static void client_is_told_when_the_owner_ends(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    struct ingest_client *client = ingest_rig_connect(&rig);
    ingest_rig_send(client, BUS_ORDERS, "order", 0);
    ingest_rig_flush(client, 1);
    ingest_stop(&rig.ingest);
    ingest_rig_flush(client, 1); // all that was sent is durable, so there is nothing to complain of
    struct why why = {0};
    assert_int_equal(ingest_client_send(client, BUS_ORDERS, TEXT("x"), &why), ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "1 of 1 messages are durable"));
    assert_int_equal(ingest_client_durable(client), 1);
    ingest_client_close(&client);

    assert_int_equal(ingest_client_connect(rig.directory, &client, &why), ERR_UNAVAILABLE);
    ingest_rig_start(&rig);
    client = ingest_rig_connect(&rig);
    ingest_rig_send(client, BUS_ORDERS, "order", 1);
    ingest_rig_flush(client, 1);
    ingest_rig_expect(&rig, BUS_ORDERS, "order", 2);
    ingest_client_close(&client);
    ingest_rig_deinit(&rig);
}

// --- the socket's file ---------------------------------------------------------------------------

static void socket_path(const struct ingest_rig *rig, char out[512])
{
    int size = snprintf(out, 512, "%s/" INGEST_SOCKET_NAME, rig->directory);
    assert_in_range(size, 1, 511);
}

static void socket_is_for_its_owner_alone(void **state)
{
    (void)state;
    struct ingest_rig rig;
    mode_t mask_before = umask(0);
    ingest_rig_init(&rig);
    (void)umask(mask_before);
    char path[512];
    socket_path(&rig, path);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    ingest_rig_deinit(&rig);
}

static void stale_socket_is_replaced(void **state)
{
    (void)state;
    struct ingest_rig rig;
    struct why why = {0};
    ingest_rig_init(&rig);
    ingest_stop(&rig.ingest);

    struct wire_address address; // as an owner that was killed leaves it
    assert_int_equal(wire_address_open(rig.directory, &address, &why), ERR_OK);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address.socket, address.size), 0);
    assert_int_equal(close(fd), 0);
    wire_address_close(&address);

    struct ingest_client *client = NULL;
    assert_int_equal(ingest_client_connect(rig.directory, &client, &why), ERR_UNAVAILABLE);
    ingest_rig_start(&rig);
    client = ingest_rig_connect(&rig);
    ingest_client_close(&client);
    ingest_rig_deinit(&rig);
}

static void file_that_is_no_socket_is_left_alone(void **state)
{
    (void)state;
    struct ingest_rig rig;
    struct why why = {0};
    char path[512];
    ingest_rig_init(&rig);
    ingest_stop(&rig.ingest);
    socket_path(&rig, path);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    struct ingest_options options = {
        .bus = &rig.bus.bus, .directory = rig.directory, .clock = clock_real()};
    assert_int_equal(ingest_start(&options, &rig.ingest, &why), ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "no socket"));
    assert_null(rig.ingest);
    assert_int_equal(unlink(path), 0); // still there
    ingest_rig_deinit(&rig);
}

static void directory_that_is_not_there_is_unavailable(void **state)
{
    (void)state;
    struct ingest_rig rig;
    struct why why = {0};
    ingest_rig_init(&rig);
    struct ingest *ingest = NULL;
    struct ingest_client *client = NULL;
    struct ingest_options options = {
        .bus = &rig.bus.bus, .directory = "/nowhere/at/all", .clock = clock_real()};
    assert_int_equal(ingest_start(&options, &ingest, &why), ERR_UNAVAILABLE);
    assert_int_equal(ingest_client_connect("/nowhere/at/all", &client, &why), ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "/nowhere/at/all"));
    ingest_rig_deinit(&rig);
}

// The rig's directory, made `size` bytes long by one more directory in it.
static void lengthen(struct ingest_rig *rig, size_t size)
{
    size_t start = strlen(rig->directory);
    assert_true(size > start + 1 && size < sizeof(rig->directory));
    rig->directory[start] = '/';
    memset(rig->directory + start + 1, 'd', size - start - 1);
    rig->directory[size] = '\0';
}

static void directories_of_any_length_work(void **state)
{
    (void)state;
    const size_t path_size_max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    const size_t name_size = strlen("/" INGEST_SOCKET_NAME);
    const size_t sizes[] = {path_size_max - name_size - 1, path_size_max - name_size,
                            path_size_max - name_size + 1, 200};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct ingest_rig rig;
        ingest_rig_init(&rig);
        ingest_stop(&rig.ingest);
        char parent[sizeof(rig.directory)];
        memcpy(parent, rig.directory, sizeof(parent));
        lengthen(&rig, sizes[i]);
        assert_int_equal(mkdir(rig.directory, 0700), 0);
        ingest_rig_start(&rig);
        char path[512];
        socket_path(&rig, path);
        assert_int_equal(access(path, F_OK), 0);
        struct ingest_client *client = ingest_rig_connect(&rig);
        ingest_rig_send(client, BUS_ORDERS, "order", 0);
        ingest_rig_flush(client, 1);
        ingest_client_close(&client);
        ingest_stop(&rig.ingest);
        assert_int_equal(rmdir(rig.directory), 0);
        memcpy(rig.directory, parent, sizeof(parent));
        ingest_rig_expect(&rig, BUS_ORDERS, "order", 1);
        ingest_rig_deinit(&rig);
    }
}

// --- memory --------------------------------------------------------------------------------------

// Starts, sends three messages and stops. What was acknowledged before something failed.
static uint64_t publish_three(struct ingest_rig *rig)
{
    struct why why = {0};
    struct ingest_options options = {
        .bus = &rig->bus.bus, .directory = rig->directory, .clock = clock_real()};
    if (ingest_start(&options, &rig->ingest, &why) != ERR_OK) {
        return 0;
    }
    struct ingest_client *client = NULL;
    enum err err = ingest_client_connect(rig->directory, &client, &why);
    for (size_t i = 0; err == ERR_OK && i < 3; i++) {
        err = ingest_client_send(client, BUS_ORDERS, TEXT("message"), &why);
    }
    uint64_t durable = 0;
    if (err == ERR_OK) {
        err = ingest_client_flush(client, INGEST_RIG_WAIT_S * US_PER_SECOND, &durable, &why);
    }
    assert_int_not_equal(err, ERR_TIMEOUT);
    assert_true(err == ERR_OK || fault_alloc_hit());
    durable = client != NULL ? ingest_client_durable(client) : 0;
    ingest_client_close(&client);
    ingest_stop(&rig->ingest);
    return durable;
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct ingest_rig rig;
    ingest_rig_init(&rig);
    ingest_stop(&rig.ingest);
    bool hit = true;
    uint64_t n = 0;
    while (hit) {
        uint64_t before = ingest_rig_published(&rig);
        fault_alloc_arm(++n);
        uint64_t durable = publish_three(&rig);
        fault_alloc_disarm();
        hit = fault_alloc_hit();
        assert_in_range(ingest_rig_published(&rig) - before, durable, 3);
        assert_true(hit || durable == 3);
    }
    assert_true(n > 4); // server, client, both buffers
    ingest_rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_messages_are_in_the_topic_in_their_order),
        cmocka_unit_test(more_messages_than_any_window_and_batch_come_whole),
        cmocka_unit_test(empty_message_is_a_message),
        cmocka_unit_test(several_clients_at_once_keep_their_order),
        cmocka_unit_test(calls_that_do_a_byte_or_nothing_at_a_time_lose_nothing),
        cmocka_unit_test(signals_that_interrupt_every_call_lose_nothing),
        cmocka_unit_test(accept_that_fails_for_a_while_is_tried_again),
        cmocka_unit_test(nothing_is_acknowledged_while_the_bus_says_retry),
        cmocka_unit_test(error_that_stops_the_bus_ends_everything_and_is_kept),
        cmocka_unit_test(message_that_the_bus_never_takes_ends_its_connection_only),
        cmocka_unit_test(frames_behind_a_refused_message_are_not_published),
        cmocka_unit_test(stop_drains_what_was_read),
        cmocka_unit_test(drain_tries_again_for_a_while),
        cmocka_unit_test(stop_while_the_bus_says_retry_acknowledges_nothing_and_ends),
        cmocka_unit_test(client_is_told_when_the_owner_ends),
        cmocka_unit_test(socket_is_for_its_owner_alone),
        cmocka_unit_test(stale_socket_is_replaced),
        cmocka_unit_test(file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(directory_that_is_not_there_is_unavailable),
        cmocka_unit_test(directories_of_any_length_work),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
