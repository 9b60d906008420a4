// The rig of the ingest tests.
#include "ingest_rig.h"

#include "bus_embedded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void check(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_name(err), why->text);
    }
}

// --- the bus in between --------------------------------------------------------------------------

static enum err judged_publish(struct bus *bus, enum bus_topic topic,
                               const struct bus_outgoing *messages, size_t count, struct why *why)
{
    struct judged_bus *self = (struct judged_bus *)bus;
    pthread_mutex_lock(&self->mutex);
    self->calls++;
    ingest_rig_judge *judge = self->judge;
    void *context = self->context;
    pthread_mutex_unlock(&self->mutex);
    enum err err = judge != NULL ? judge(context, topic, messages, count, why) : ERR_OK;
    if (err == ERR_OK && self->real != NULL) {
        err = bus_publish(self->real, topic, messages, count, why);
    }
    if (err == ERR_OK) {
        pthread_mutex_lock(&self->mutex);
        self->published += count;
        pthread_mutex_unlock(&self->mutex);
    }
    return err;
}

static const struct bus_ops judged_ops = {.publish = judged_publish};

void ingest_rig_judge_by(struct ingest_rig *rig, ingest_rig_judge *judge, void *context)
{
    pthread_mutex_lock(&rig->bus.mutex);
    rig->bus.judge = judge;
    rig->bus.context = context;
    pthread_mutex_unlock(&rig->bus.mutex);
}

uint64_t ingest_rig_published(struct ingest_rig *rig)
{
    pthread_mutex_lock(&rig->bus.mutex);
    uint64_t published = rig->bus.published;
    pthread_mutex_unlock(&rig->bus.mutex);
    return published;
}

uint64_t ingest_rig_calls(struct ingest_rig *rig)
{
    pthread_mutex_lock(&rig->bus.mutex);
    uint64_t calls = rig->bus.calls;
    pthread_mutex_unlock(&rig->bus.mutex);
    return calls;
}

uint64_t ingest_rig_retries(struct ingest_rig *rig)
{
    struct ingest_figures figures;
    ingest_get_figures(rig->ingest, &figures);
    return figures.retries;
}

uint64_t ingest_rig_connections(struct ingest_rig *rig)
{
    struct ingest_figures figures;
    ingest_get_figures(rig->ingest, &figures);
    return figures.connections;
}

// --- life ----------------------------------------------------------------------------------------

static void path_in(const struct ingest_rig *rig, const char *name, char *out, size_t cap)
{
    int size = snprintf(out, cap, "%s/%s", rig->directory, name);
    assert_true(size > 0 && (size_t)size < cap);
}

void ingest_rig_start(struct ingest_rig *rig)
{
    struct why why = {0};
    struct ingest_options options = {
        .bus = &rig->bus.bus, .directory = rig->directory, .clock = rig->clock, .log = &rig->log};
    check(ingest_start(&options, &rig->ingest, &why), &why);
}

void ingest_rig_init_as(struct ingest_rig *rig, struct clock clock, bool with_bus)
{
    memset(rig, 0, sizeof(*rig));
    (void)snprintf(rig->directory, sizeof(rig->directory), "/tmp/till-ingest-XXXXXX");
    assert_non_null(mkdtemp(rig->directory));
    rig->bus.bus.ops = &judged_ops;
    assert_int_equal(pthread_mutex_init(&rig->bus.mutex, NULL), 0);
    rig->clock = clock;
    rig->log_file = tmpfile();
    assert_non_null(rig->log_file);
    log_init(&rig->log, fileno(rig->log_file), LOG_DEBUG, clock);
    if (with_bus) {
        char path[512];
        path_in(rig, "topics.db", path, sizeof(path));
        struct why why = {0};
        struct bus_embedded_options options = {.path = path, .clock = clock_real()};
        check(bus_embedded_open(&options, &rig->bus.real, &why), &why);
    }
    ingest_rig_start(rig);
}

void ingest_rig_init(struct ingest_rig *rig)
{
    ingest_rig_init_as(rig, clock_real(), true);
}

void ingest_rig_deinit(struct ingest_rig *rig)
{
    ingest_stop(&rig->ingest);
    bus_close(&rig->bus.real);
    assert_int_equal(pthread_mutex_destroy(&rig->bus.mutex), 0);
    assert_int_equal(fclose(rig->log_file), 0);
    static const char *const names[] = {"topics.db", "topics.db-wal", "topics.db-shm"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[512];
        path_in(rig, names[i], path, sizeof(path));
        (void)unlink(path); // need not be there
    }
    assert_int_equal(rmdir(rig->directory), 0); // so the socket is gone, too
}

struct timespec ingest_rig_deadline(void)
{
    struct timespec deadline;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &deadline), 0);
    deadline.tv_sec += INGEST_RIG_WAIT_S;
    return deadline;
}

bool ingest_rig_is_past(const struct timespec *deadline)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return now.tv_sec > deadline->tv_sec;
}

size_t ingest_rig_logged(struct ingest_rig *rig, const char *text)
{
    static char lines[1 << 20];
    ssize_t size = pread(fileno(rig->log_file), lines, sizeof(lines) - 1, 0);
    assert_in_range(size, 0, sizeof(lines) - 2);
    lines[size] = '\0';
    size_t count = 0;
    for (const char *at = strstr(lines, text); at != NULL; at = strstr(at + 1, text)) {
        count++;
    }
    return count;
}

// --- looking -------------------------------------------------------------------------------------

static size_t pull_some(struct ingest_rig *rig, enum bus_topic topic, struct arena *arena,
                        char ***in_out_bodies, size_t count)
{
    struct why why = {0};
    struct bus_message *messages = NULL;
    size_t pulled = 0;
    arena_reset(arena);
    check(bus_pull(rig->bus.real, topic, 4096, 16u << 20, arena, &messages, &pulled, &why), &why);
    if (pulled == 0) {
        return count;
    }
    *in_out_bodies = realloc(*in_out_bodies, (count + pulled) * sizeof(char *));
    assert_non_null(*in_out_bodies);
    for (size_t i = 0; i < pulled; i++) {
        (*in_out_bodies)[count + i] = strndup(messages[i].data.data, messages[i].data.size);
        check(bus_ack(rig->bus.real, topic, &messages[i].handle, 1, &why), &why);
    }
    return count + pulled;
}

char **ingest_rig_pull(struct ingest_rig *rig, enum bus_topic topic, size_t *out_count)
{
    struct arena arena;
    assert_int_equal(arena_init(&arena, 64u << 20), ERR_OK);
    char **bodies = NULL;
    size_t count = 0;
    size_t before = 0;
    do {
        before = count;
        count = pull_some(rig, topic, &arena, &bodies, count);
    } while (count > before);
    arena_deinit(&arena);
    *out_count = count;
    return bodies;
}

void ingest_rig_expect(struct ingest_rig *rig, enum bus_topic topic, const char *prefix,
                       size_t count)
{
    size_t pulled = 0;
    char **bodies = ingest_rig_pull(rig, topic, &pulled);
    assert_int_equal(pulled, count);
    for (size_t i = 0; i < count; i++) {
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "%s-%zu", prefix, i);
        assert_string_equal(bodies[i], expected);
        free(bodies[i]);
    }
    free(bodies);
}

// --- the client ----------------------------------------------------------------------------------

struct ingest_client *ingest_rig_connect(struct ingest_rig *rig)
{
    struct why why = {0};
    struct ingest_client *client = NULL;
    check(ingest_client_connect(rig->directory, &client, &why), &why);
    return client;
}

void ingest_rig_send(struct ingest_client *client, enum bus_topic topic, const char *prefix,
                     size_t number)
{
    struct why why = {0};
    char body[64];
    int size = snprintf(body, sizeof(body), "%s-%zu", prefix, number);
    struct text text = {body, (size_t)size};
    check(ingest_client_send(client, topic, text, &why), &why);
}

void ingest_rig_flush(struct ingest_client *client, uint64_t expected_durable)
{
    struct why why = {0};
    uint64_t durable = 0;
    check(ingest_client_flush(client, INGEST_RIG_WAIT_S * US_PER_SECOND, &durable, &why), &why);
    assert_int_equal(durable, expected_durable);
    assert_int_equal(ingest_client_durable(client), expected_durable);
}

// --- bare bytes ----------------------------------------------------------------------------------

int raw_connect(struct ingest_rig *rig)
{
    struct why why = {0};
    struct wire_address address;
    check(wire_address_open(rig->directory, &address, &why), &why);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    const struct timeval wait = {.tv_sec = INGEST_RIG_WAIT_S};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address.socket, address.size), 0);
    wire_address_close(&address);
    return fd;
}

void raw_write(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = write(fd, at, size);
        assert_true(written > 0);
        at += written;
        size -= (size_t)written;
    }
}

void raw_hello(int fd, const char *magic, unsigned version)
{
    unsigned char hello[WIRE_HELLO_SIZE];
    memcpy(hello, magic, 4);
    wire_put_u16(hello + 4, (uint16_t)version);
    raw_write(fd, hello, sizeof(hello));
}

void raw_frame(int fd, unsigned topic, const char *body)
{
    unsigned char head[WIRE_FRAME_HEAD_SIZE];
    wire_put_u32(head, (uint32_t)strlen(body));
    head[4] = (unsigned char)topic;
    raw_write(fd, head, sizeof(head));
    raw_write(fd, body, strlen(body));
}

static void raw_read(int fd, void *out, size_t size)
{
    char *at = out;
    while (size > 0) {
        ssize_t got = read(fd, at, size);
        if (got <= 0) {
            fail_msg("%zu bytes more were expected: %s", size,
                     got == 0 ? "end of the connection" : strerror(errno));
        }
        at += got;
        size -= (size_t)got;
    }
}

void raw_expect_hello(int fd)
{
    unsigned char hello[WIRE_HELLO_SIZE];
    unsigned char expected[WIRE_HELLO_SIZE];
    raw_read(fd, hello, sizeof(hello));
    wire_put_hello(expected);
    assert_memory_equal(hello, expected, sizeof(hello));
}

void raw_expect_durable(int fd, uint64_t durable)
{
    uint64_t said = 0;
    do {
        unsigned char ack[WIRE_ACK_SIZE];
        raw_read(fd, ack, sizeof(ack));
        assert_int_equal(ack[0], WIRE_ACK);
        uint64_t before = said;
        said = wire_get_u64(ack + 1);
        assert_true(said >= before && said <= durable);
    } while (said < durable);
}

void raw_expect_end(int fd)
{
    char byte = 0;
    ssize_t size = read(fd, &byte, 1);
    assert_true(size == 0 || (size < 0 && errno == ECONNRESET));
}

void raw_expect_refusal(int fd, enum wire_refusal refusal, uint64_t durable, const char *text_part)
{
    unsigned char head[WIRE_REFUSAL_HEAD_SIZE];
    char text[WIRE_REFUSAL_TEXT_SIZE_MAX + 1] = "";
    raw_read(fd, head, WIRE_ACK_SIZE);
    while (head[0] == WIRE_ACK) {
        assert_true(wire_get_u64(head + 1) <= durable);
        raw_read(fd, head, WIRE_ACK_SIZE);
    }
    raw_read(fd, head + WIRE_ACK_SIZE, sizeof(head) - WIRE_ACK_SIZE);
    assert_int_equal(head[0], WIRE_REFUSAL);
    assert_int_equal(wire_get_u16(head + 9), refusal);
    assert_int_equal(wire_get_u64(head + 1), durable);
    size_t text_size = wire_get_u16(head + 11);
    assert_true(text_size <= WIRE_REFUSAL_TEXT_SIZE_MAX);
    raw_read(fd, text, text_size);
    if (strstr(text, text_part) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", text, text_part);
    }
    raw_expect_end(fd);
}

int raw_open(struct ingest_rig *rig)
{
    int fd = raw_connect(rig);
    raw_hello(fd, "till", INGEST_VERSION);
    raw_expect_hello(fd);
    raw_expect_durable(fd, 0);
    return fd;
}
