// The client: its window against a server that waits, and what it makes of servers that misbehave.
#include "ingest_rig.h"

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
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

// --- the window ----------------------------------------------------------------------------------

static enum err judge_away(void *context, enum bus_topic topic, const struct bus_outgoing *messages,
                           size_t count, struct why *why)
{
    (void)topic;
    (void)messages;
    (void)count;
    return atomic_load((atomic_bool *)context) ? why_set(why, ERR_FULL, "away") : ERR_OK;
}

// A server that publishes nothing while `away`, and a client that never waits for it.
struct window_rig {
    struct ingest_rig rig;
    atomic_bool away;
    int interrupt_fd;
    struct ingest_client *client;
};

static void window_init(struct window_rig *self)
{
    ingest_rig_init_as(&self->rig, clock_real(), false);
    atomic_store(&self->away, true);
    ingest_rig_judge_by(&self->rig, judge_away, &self->away);
    self->interrupt_fd = eventfd(1, EFD_CLOEXEC);
    assert_true(self->interrupt_fd >= 0);
    self->client = ingest_rig_connect(&self->rig);
    ingest_client_interrupt_on(self->client, self->interrupt_fd);
}

static void window_deinit(struct window_rig *self)
{
    ingest_client_close(&self->client);
    assert_int_equal(close(self->interrupt_fd), 0);
    ingest_rig_deinit(&self->rig);
}

static enum err send_size(struct window_rig *self, const char *bytes, size_t size)
{
    struct why why = {0};
    return ingest_client_send(self->client, BUS_ORDERS, (struct text){bytes, size}, &why);
}

static void as_many_messages_as_the_window_holds_are_sent_ahead(void **state)
{
    (void)state;
    struct window_rig self;
    window_init(&self);
    for (size_t i = 0; i < INGEST_CLIENT_WINDOW_COUNT; i++) {
        assert_int_equal(send_size(&self, "x", 1), ERR_OK);
    }
    assert_int_equal(send_size(&self, "x", 1), ERR_BUSY);
    assert_int_equal(send_size(&self, "x", 1), ERR_BUSY);
    atomic_store(&self.away, false);
    ingest_rig_flush(self.client, INGEST_CLIENT_WINDOW_COUNT);
    assert_int_equal(send_size(&self, "x", 1), ERR_OK);
    ingest_rig_flush(self.client, INGEST_CLIENT_WINDOW_COUNT + 1);
    assert_int_equal(ingest_rig_published(&self.rig), INGEST_CLIENT_WINDOW_COUNT + 1);
    window_deinit(&self);
}

static void as_many_bytes_as_the_window_holds_are_sent_ahead(void **state)
{
    (void)state;
    char *bytes = calloc(1, INGEST_CLIENT_WINDOW_SIZE);
    assert_non_null(bytes);
    for (size_t i = 0; i < 3; i++) {
        struct window_rig self;
        window_init(&self);
        assert_int_equal(send_size(&self, bytes, INGEST_CLIENT_WINDOW_SIZE - 10), ERR_OK);
        assert_int_equal(send_size(&self, bytes, 9 + i), i < 2 ? ERR_OK : ERR_BUSY);
        assert_int_equal(send_size(&self, bytes, 0), ERR_OK); // which takes none
        atomic_store(&self.away, false);
        const uint64_t count = i < 2 ? 3 : 2;
        ingest_rig_flush(self.client, count);
        atomic_store(&self.away, true); // what is acknowledged has left the window
        assert_int_equal(send_size(&self, bytes, INGEST_CLIENT_WINDOW_SIZE - 10), ERR_OK);
        assert_int_equal(send_size(&self, bytes, 10), ERR_OK);
        assert_int_equal(send_size(&self, bytes, 1), ERR_BUSY);
        atomic_store(&self.away, false);
        ingest_rig_flush(self.client, count + 2);
        window_deinit(&self);
    }
    free(bytes);
}

static void message_above_the_window_is_sent_alone(void **state)
{
    (void)state;
    struct window_rig self;
    window_init(&self);
    char *bytes = calloc(1, INGEST_BODY_SIZE_MAX + 1);
    assert_non_null(bytes);
    assert_int_equal(send_size(&self, bytes, INGEST_BODY_SIZE_MAX + 1), ERR_TOO_LARGE);
    assert_int_equal(send_size(&self, bytes, INGEST_BODY_SIZE_MAX), ERR_OK);
    assert_int_equal(send_size(&self, bytes, 1), ERR_BUSY);
    atomic_store(&self.away, false);
    ingest_rig_flush(self.client, 1);
    assert_int_equal(send_size(&self, bytes, INGEST_BODY_SIZE_MAX - 1), ERR_OK);
    ingest_rig_flush(self.client, 2);
    free(bytes);
    window_deinit(&self);
}

static void send_that_waits_goes_on_when_the_window_opens(void **state)
{
    (void)state;
    struct window_rig self;
    window_init(&self);
    ingest_client_interrupt_on(self.client, -1);
    for (size_t i = 0; i < INGEST_CLIENT_WINDOW_COUNT; i++) {
        assert_int_equal(send_size(&self, "x", 1), ERR_OK);
    }
    uint64_t durable = 0;
    struct why why = {0};
    assert_int_equal(ingest_client_flush(self.client, 1000, &durable, &why), ERR_TIMEOUT);
    WAIT_FOR(ingest_rig_retries(&self.rig) >= 1);
    atomic_store(&self.away, false);
    assert_int_equal(send_size(&self, "x", 1), ERR_OK); // after the server's back-off
    assert_true(ingest_client_durable(self.client) > 0);
    ingest_rig_flush(self.client, INGEST_CLIENT_WINDOW_COUNT + 1);
    window_deinit(&self);
}

// --- servers that misbehave ----------------------------------------------------------------------

// Says `greeting`, reads `wanted_size` bytes behind the client's hello, says `answer`, then ends
// the connection, at once or after the client did.
struct fake_server {
    struct ingest_rig rig; // its directory only
    int listen_fd;
    pthread_t thread;
    char greeting[64];
    size_t greeting_size;
    size_t wanted_size;
    char answer[600];
    size_t answer_size;
    bool stays;
    sem_t *may_answer; // NULL: at once
};

static void read_some(int fd, size_t size)
{
    char byte = 0;
    while (size > 0 && read(fd, &byte, 1) == 1) {
        size--;
    }
}

static void *fake_main(void *argument)
{
    struct fake_server *self = argument;
    int fd = accept(self->listen_fd, NULL, NULL);
    assert_true(fd >= 0);
    read_some(fd, WIRE_HELLO_SIZE);
    raw_write(fd, self->greeting, self->greeting_size);
    read_some(fd, self->wanted_size);
    while (self->may_answer != NULL && sem_wait(self->may_answer) != 0) {
    }
    for (size_t i = 0; i < self->answer_size; i++) {
        raw_write(fd, self->answer + i, 1);
    }
    read_some(fd, self->stays ? SIZE_MAX : 0);
    assert_int_equal(close(fd), 0);
    return NULL;
}

static void fake_add(char *out, size_t *in_out_size, const void *bytes, size_t size)
{
    memcpy(out + *in_out_size, bytes, size);
    *in_out_size += size;
}

static void fake_start(struct fake_server *self)
{
    struct why why = {0};
    ingest_rig_init_as(&self->rig, clock_real(), false);
    ingest_stop(&self->rig.ingest);
    struct wire_address address;
    assert_int_equal(wire_address_open(self->rig.directory, &address, &why), ERR_OK);
    self->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(self->listen_fd, (const struct sockaddr *)&address.socket, address.size),
                     0);
    assert_int_equal(listen(self->listen_fd, 5), 0);
    wire_address_close(&address);
    assert_int_equal(pthread_create(&self->thread, NULL, fake_main, self), 0);
}

static void fake_stop(struct fake_server *self)
{
    assert_int_equal(pthread_join(self->thread, NULL), 0);
    assert_int_equal(close(self->listen_fd), 0);
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/" INGEST_SOCKET_NAME, self->rig.directory);
    assert_int_equal(unlink(path), 0);
    ingest_rig_deinit(&self->rig);
}

static void expect_no_connection(const char *greeting, size_t size, enum err expected,
                                 const char *text_part)
{
    struct fake_server server = {.greeting_size = 0};
    fake_add(server.greeting, &server.greeting_size, greeting, size);
    fake_start(&server);
    struct ingest_client *client = NULL;
    struct why why = {0};
    assert_int_equal(ingest_client_connect(server.rig.directory, &client, &why), expected);
    assert_null(client);
    if (strstr(why.text, text_part) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", why.text, text_part);
    }
    fake_stop(&server);
}

static void server_that_is_no_till_is_told_apart(void **state)
{
    (void)state;
    expect_no_connection("", 0, ERR_UNAVAILABLE, "ended the connection");
    expect_no_connection("till\1", 5, ERR_UNAVAILABLE, "ended the connection");
    expect_no_connection("till\1\0", 6, ERR_UNAVAILABLE, "ended the connection");
    expect_no_connection("till\1\0\1\0\0\0\0\0\0\0", 14, ERR_UNAVAILABLE, "ended the connection");
    expect_no_connection("HTTP/1.1", 8, ERR_INVALID, "no till");
    expect_no_connection("till\2\0", 6, ERR_SCHEMA, "version 2 of the protocol, not 1");
    expect_no_connection("till\1\0\3", 7, ERR_INVALID, "no record");
    expect_no_connection("till\1\0\1\1\0\0\0\0\0\0\0", 15, ERR_INVALID, "was not sent");
    expect_no_connection("till\1\0\2\0\0\0\0\0\0\0\0\1\0\x91\1", 19, ERR_INVALID, "no record");
    expect_no_connection("till\1\0\2\0\0\0\0\0\0\0\0\1\0\2\0no", 21, ERR_INVALID, "no");
    expect_no_connection("till\1\0\2\0\0\0\0\0\0\0\0\xE7\3\2\0no", 21, ERR_UNAVAILABLE, "no");
}

static const char greeting[] = "till\1\0\1\0\0\0\0\0\0\0"; // and one more 0
#define SMALL_FRAME_SIZE (WIRE_FRAME_HEAD_SIZE + 7)

// A server that takes ten small frames and then says `answer`.
static void fake_start_for_ten(struct fake_server *self, const void *answer, size_t answer_size)
{
    *self = (struct fake_server){.wanted_size = 10 * SMALL_FRAME_SIZE};
    fake_add(self->greeting, &self->greeting_size, greeting, sizeof(greeting));
    fake_add(self->answer, &self->answer_size, answer, answer_size);
    fake_start(self);
}

// Sends ten and expects that `durable` of them are acknowledged before it breaks.
static void expect_break(struct fake_server *server, enum err expected, uint64_t durable,
                         const char *text_part)
{
    struct why why = {0};
    struct ingest_client *client = ingest_rig_connect(&server->rig);
    for (size_t i = 0; i < 10; i++) {
        ingest_rig_send(client, BUS_ORDERS, "order", i);
    }
    uint64_t unchanged = 77;
    for (size_t i = 0; i < 2; i++) { // it stays as it is
        assert_int_equal(
            ingest_client_flush(client, INGEST_RIG_WAIT_S * US_PER_SECOND, &unchanged, &why),
            expected);
        char count_text[64];
        (void)snprintf(count_text, sizeof(count_text), "%u of 10 messages are durable",
                       (unsigned)durable);
        assert_non_null(strstr(why.text, count_text));
        assert_non_null(strstr(why.text, text_part));
        assert_int_equal(why.code, expected);
        assert_int_equal(unchanged, 77);
        assert_int_equal(ingest_client_durable(client), durable);
        assert_int_equal(ingest_client_send(client, BUS_ORDERS, TEXT("x"), &why), expected);
    }
    ingest_client_close(&client);
    fake_stop(server);
}

static void owner_that_dies_leaves_the_number_of_what_it_acknowledged(void **state)
{
    (void)state;
    struct fake_server server;
    unsigned char answer[2 * WIRE_ACK_SIZE];
    wire_put_ack(answer, 4);
    wire_put_ack(answer + WIRE_ACK_SIZE, 7);
    for (size_t size = 0; size <= sizeof(answer); size++) {
        fake_start_for_ten(&server, answer, size);
        uint64_t durable = size < WIRE_ACK_SIZE ? 0 : size < 2 * WIRE_ACK_SIZE ? 4 : 7;
        expect_break(&server, ERR_UNAVAILABLE, durable, "ended the connection");
    }
}

static void refusal_after_acknowledgements_is_told_with_its_text(void **state)
{
    (void)state;
    struct fake_server server;
    unsigned char answer[WIRE_ACK_SIZE + WIRE_REFUSAL_HEAD_SIZE + WIRE_REFUSAL_TEXT_SIZE_MAX];
    wire_put_ack(answer, 4);
    size_t size = WIRE_ACK_SIZE + wire_put_refusal(answer + WIRE_ACK_SIZE, 6,
                                                   WIRE_REFUSED_TOO_LARGE, "because of\x1b[31m it");
    fake_start_for_ten(&server, answer, size);
    expect_break(&server, ERR_TOO_LARGE, 6, "because of\\x1b[31m it");

    char long_text[2 * WIRE_REFUSAL_TEXT_SIZE_MAX];
    memset(long_text, '\x1b', sizeof(long_text)); // four characters each, when it is shown
    long_text[sizeof(long_text) - 1] = '\0';
    size = wire_put_refusal(answer, 9, WIRE_REFUSED_STOPPING, long_text);
    assert_int_equal(size, WIRE_REFUSAL_HEAD_SIZE + WIRE_REFUSAL_TEXT_SIZE_MAX);
    fake_start_for_ten(&server, answer, size);
    expect_break(&server, ERR_UNAVAILABLE, 9, "\\x1b\\x1b");
}

static void acknowledgement_that_cannot_be_true_is_not_believed(void **state)
{
    (void)state;
    struct fake_server server;
    unsigned char answer[2 * WIRE_ACK_SIZE];
    wire_put_ack(answer, 11); // more than were sent
    fake_start_for_ten(&server, answer, WIRE_ACK_SIZE);
    expect_break(&server, ERR_INVALID, 0, "not sent");
    wire_put_ack(answer, 5);
    wire_put_ack(answer + WIRE_ACK_SIZE, 4); // fewer than before
    fake_start_for_ten(&server, answer, 2 * WIRE_ACK_SIZE);
    expect_break(&server, ERR_INVALID, 5, "not sent");
}

static void all_acknowledged_before_the_end_is_no_failure(void **state)
{
    (void)state;
    struct fake_server server;
    unsigned char answer[WIRE_ACK_SIZE];
    wire_put_ack(answer, 10);
    fake_start_for_ten(&server, answer, sizeof(answer));
    struct ingest_client *client = ingest_rig_connect(&server.rig);
    for (size_t i = 0; i < 10; i++) {
        ingest_rig_send(client, BUS_ORDERS, "order", i);
    }
    ingest_rig_flush(client, 10);
    fake_stop(&server);
    ingest_rig_flush(client, 10);
    struct why why = {0};
    assert_int_equal(ingest_client_send(client, BUS_ORDERS, TEXT("x"), &why), ERR_UNAVAILABLE);
    ingest_client_close(&client);
}

// What was said before the connection broke is heard though writing fails first.
static void last_words_are_heard_when_writing_fails(void **state)
{
    (void)state;
    sem_t may_answer;
    assert_int_equal(sem_init(&may_answer, 0, 0), 0);
    struct fake_server server = {.wanted_size = SMALL_FRAME_SIZE, .may_answer = &may_answer};
    unsigned char answer[WIRE_REFUSAL_HEAD_SIZE + WIRE_REFUSAL_TEXT_SIZE_MAX];
    size_t size = wire_put_refusal(answer, 1, WIRE_REFUSED_BUS_FAILED, "last words");
    fake_add(server.greeting, &server.greeting_size, greeting, sizeof(greeting));
    fake_add(server.answer, &server.answer_size, answer, size);
    fake_start(&server);
    struct ingest_client *client = ingest_rig_connect(&server.rig);
    ingest_rig_send(client, BUS_ORDERS, "order", 0);
    uint64_t durable = 0;
    struct why why = {0};
    assert_int_equal(ingest_client_flush(client, 0, &durable, &why), ERR_TIMEOUT);
    assert_int_equal(sem_post(&may_answer), 0);
    fake_stop(&server); // it is gone now

    char *large = calloc(1, 1000 * 1000);
    assert_non_null(large);
    struct text body = {large, 1000 * 1000}; // so much that it is written at once
    assert_int_equal(ingest_client_send(client, BUS_ORDERS, body, &why), ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "1 of 2 messages are durable"));
    assert_non_null(strstr(why.text, "last words"));
    free(large);
    ingest_client_close(&client);
    assert_int_equal(sem_destroy(&may_answer), 0);
}

static void silent_server_is_a_timeout_of_the_flush(void **state)
{
    (void)state;
    struct fake_server server = {.stays = true};
    fake_add(server.greeting, &server.greeting_size, greeting, sizeof(greeting));
    fake_start(&server);
    struct ingest_client *client = ingest_rig_connect(&server.rig);
    ingest_rig_send(client, BUS_ORDERS, "order", 0);
    uint64_t durable = 77;
    struct why why = {0};
    assert_int_equal(ingest_client_flush(client, 0, &durable, &why), ERR_TIMEOUT);
    assert_int_equal(ingest_client_flush(client, 20000, &durable, &why), ERR_TIMEOUT);
    assert_int_equal(durable, 77);
    ingest_client_close(&client);
    fake_stop(&server);
}

static void closing_nothing_is_allowed(void **state)
{
    (void)state;
    struct ingest_client *client = NULL;
    struct ingest *ingest = NULL;
    ingest_client_close(NULL);
    ingest_client_close(&client);
    ingest_stop(NULL);
    ingest_stop(&ingest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_messages_as_the_window_holds_are_sent_ahead),
        cmocka_unit_test(as_many_bytes_as_the_window_holds_are_sent_ahead),
        cmocka_unit_test(message_above_the_window_is_sent_alone),
        cmocka_unit_test(send_that_waits_goes_on_when_the_window_opens),
        cmocka_unit_test(server_that_is_no_till_is_told_apart),
        cmocka_unit_test(owner_that_dies_leaves_the_number_of_what_it_acknowledged),
        cmocka_unit_test(refusal_after_acknowledgements_is_told_with_its_text),
        cmocka_unit_test(acknowledgement_that_cannot_be_true_is_not_believed),
        cmocka_unit_test(all_acknowledged_before_the_end_is_no_failure),
        cmocka_unit_test(last_words_are_heard_when_writing_fails),
        cmocka_unit_test(silent_server_is_a_timeout_of_the_flush),
        cmocka_unit_test(closing_nothing_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
