// Two buffers and a window. What send() takes is framed into `out`; what comes back are records,
// each of which moves `durable` on. The window bounds what lies between: frames in `out`, in the
// sockets and in the server. When the connection breaks, what was received before is read to its
// end first, so that no acknowledgement and no refusal is missed.
#include "ingest_client.h"

#include "buf.h"
#include "clock.h"
#include "ingest.h"
#include "ingest_wire.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CONNECT_WAIT_S 10
#define PUSH_SIZE      (64u * 1024u)  // bytes that are worth a system call
#define OUT_FIRST_CAP  (256u * 1024u) // bytes
#define IN_CAP         4096u          // bytes
#define FOREVER        INT64_MAX

struct ingest_client {
    int fd;
    int interrupt_fd;
    enum err err; // once it failed
    struct why why;

    uint64_t taken;                             // messages
    uint64_t durable;                           // of these
    uint32_t sizes[INGEST_CLIENT_WINDOW_COUNT]; // of the bodies of the unacknowledged, by number
    uint64_t unacknowledged_size;

    char *out;
    size_t out_start;
    size_t out_end;
    size_t out_cap;

    bool greeted;  // the server's hello came
    bool accepted; // and its first record
    unsigned char in[IN_CAP];
    size_t in_size;
};

// --- failing -------------------------------------------------------------------------------------

static enum err give_error(const struct ingest_client *client, struct why *why)
{
    return client->err == ERR_OK ? ERR_OK : why_set(why, client->err, "%s", client->why.text);
}

// The first failure counts.
static void client_fail(struct ingest_client *client, enum err err, const char *text)
{
    if (client->err != ERR_OK) {
        return;
    }
    client->err = err;
    why_set(&client->why, err, "%s", text);
    if (client->taken > 0) {
        why_prefix(&client->why, "%" PRIu64 " of %" PRIu64 " messages are durable", client->durable,
                   client->taken);
    }
}

// --- receiving -----------------------------------------------------------------------------------

static void take_hello(struct ingest_client *client, const unsigned char *bytes)
{
    uint16_t version = 0;
    if (!wire_get_hello(bytes, &version)) {
        client_fail(client, ERR_INVALID,
                    "what listens on " INGEST_SOCKET_NAME " of the data directory is no till");
    } else if (version != INGEST_VERSION) {
        char text[128];
        (void)snprintf(text, sizeof(text),
                       "the owner of the data directory speaks version %u of the protocol, not %u",
                       version, INGEST_VERSION);
        client_fail(client, ERR_SCHEMA, text);
    }
    client->greeted = true;
}

static void take_durable(struct ingest_client *client, uint64_t durable)
{
    if (durable < client->durable || durable > client->taken) {
        client_fail(client, ERR_INVALID, "the owner acknowledges what was not sent");
        return;
    }
    for (; client->durable < durable; client->durable++) {
        client->unacknowledged_size -= client->sizes[client->durable % INGEST_CLIENT_WINDOW_COUNT];
    }
    client->accepted = true;
}

static void take_refusal(struct ingest_client *client, const unsigned char *record, size_t size)
{
    take_durable(client, wire_get_u64(record + 1));
    struct text said = {(const char *)record + WIRE_REFUSAL_HEAD_SIZE,
                        size - WIRE_REFUSAL_HEAD_SIZE};
    char memory[4 * WIRE_REFUSAL_TEXT_SIZE_MAX + 1]; // each byte may be escaped to four
    struct buf text;
    buf_init_fixed(&text, memory, sizeof(memory) - 1);
    buf_add_escaped(&text, said, said.size);
    memory[text.size] = '\0';
    client_fail(client, wire_refusal_err(wire_get_u16(record + 9)), memory);
}

// The size of what begins at `bytes`; 0 while it can't be told. Fails the client when it is
// nothing.
static size_t record_size(struct ingest_client *client, const unsigned char *bytes, size_t size)
{
    if (!client->greeted) {
        return WIRE_HELLO_SIZE;
    }
    if (size == 0) {
        return 0;
    }
    if (bytes[0] == WIRE_ACK) {
        return WIRE_ACK_SIZE;
    }
    if (bytes[0] == WIRE_REFUSAL && size < WIRE_REFUSAL_HEAD_SIZE) {
        return 0;
    }
    size_t text_size = bytes[0] == WIRE_REFUSAL ? wire_get_u16(bytes + 11) : SIZE_MAX;
    if (text_size > WIRE_REFUSAL_TEXT_SIZE_MAX) {
        client_fail(client, ERR_INVALID, "the owner sent something that is no record");
        return 0;
    }
    return WIRE_REFUSAL_HEAD_SIZE + text_size;
}

static void take_record(struct ingest_client *client, const unsigned char *record, size_t size)
{
    if (!client->greeted) {
        take_hello(client, record);
    } else if (record[0] == WIRE_ACK) {
        take_durable(client, wire_get_u64(record + 1));
    } else {
        take_refusal(client, record, size);
    }
}

static void take_records(struct ingest_client *client)
{
    size_t at = 0;
    while (client->err == ERR_OK) {
        size_t size = record_size(client, client->in + at, client->in_size - at);
        if (size == 0 || size > client->in_size - at) {
            break;
        }
        take_record(client, client->in + at, size);
        at += size;
    }
    client->in_size -= at;
    memmove(client->in, client->in + at, client->in_size);
}

// Takes all that came.
static void receive(struct ingest_client *client)
{
    while (client->err == ERR_OK) {
        assert(client->in_size < IN_CAP); // which is more than the longest record
        ssize_t size =
            recv(client->fd, client->in + client->in_size, IN_CAP - client->in_size, MSG_DONTWAIT);
        if (size > 0) {
            client->in_size += (size_t)size;
            take_records(client);
        } else if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        } else if (size == 0 || errno != EINTR) {
            client_fail(client, ERR_UNAVAILABLE,
                        "the owner of the data directory ended the connection");
        }
    }
}

// --- sending -------------------------------------------------------------------------------------

static bool has_output(const struct ingest_client *client)
{
    return client->out_start < client->out_end;
}

// Writes what the socket takes.
static void push(struct ingest_client *client)
{
    while (client->err == ERR_OK && has_output(client)) {
        ssize_t size = send(client->fd, client->out + client->out_start,
                            client->out_end - client->out_start, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size >= 0) {
            client->out_start += (size_t)size;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            receive(client); // what it said before it went
            client_fail(client, ERR_UNAVAILABLE, "the connection to the owner broke");
        }
    }
}

static enum err exchange(struct ingest_client *client, struct why *why)
{
    push(client);
    receive(client);
    return give_error(client, why);
}

static int64_t real_ns(void)
{
    struct clock clock = clock_real();
    return clock_mono_ns(&clock);
}

static int64_t deadline_after_us(int64_t us)
{
    return us < FOREVER / 2000 ? real_ns() + us * 1000 : FOREVER;
}

static int poll_timeout_ms(int64_t deadline_ns)
{
    int64_t left_ns = deadline_ns - real_ns();
    if (left_ns <= 0) {
        return 0;
    }
    int64_t left_ms = left_ns / (NS_PER_SECOND / 1000) + 1;
    return left_ms < 60000 ? (int)left_ms : 60000; // then the caller looks again
}

// Waits for the socket, then exchanges. ERR_TIMEOUT past the deadline, ERR_BUSY when `interrupt_fd`
// has something.
static enum err wait_and_exchange(struct ingest_client *client, int64_t deadline_ns,
                                  int interrupt_fd, struct why *why)
{
    short events = has_output(client) ? POLLIN | POLLOUT : POLLIN;
    struct pollfd polls[] = {{.fd = client->fd, .events = events},
                             {.fd = interrupt_fd, .events = POLLIN}};
    int ready = poll(polls, 2, poll_timeout_ms(deadline_ns));
    if (ready <= 0 && real_ns() >= deadline_ns) {
        return why_set(why, ERR_TIMEOUT,
                       "the owner of the data directory has not acknowledged in time");
    }
    if (ready > 0 && polls[1].revents != 0) {
        return why_set(why, ERR_BUSY, "interrupted while the owner of the data directory was busy");
    }
    return exchange(client, why);
}

static bool window_has_room(const struct ingest_client *client, size_t size)
{
    uint64_t unacknowledged = client->taken - client->durable;
    return unacknowledged == 0 || (unacknowledged < INGEST_CLIENT_WINDOW_COUNT &&
                                   client->unacknowledged_size + size <= INGEST_CLIENT_WINDOW_SIZE);
}

// Room for `size` bytes at out_end. The window bounds how large the buffer becomes.
static bool make_room(struct ingest_client *client, size_t size)
{
    size_t used = client->out_end - client->out_start;
    if (client->out_start > 0 && (used == 0 || client->out_cap - client->out_end < size)) {
        memmove(client->out, client->out + client->out_start, used);
        client->out_start = 0;
        client->out_end = used;
    }
    if (client->out_cap - client->out_end >= size) {
        return true;
    }
    size_t cap = client->out_cap == 0 ? OUT_FIRST_CAP : client->out_cap * 2;
    cap = cap > used + size ? cap : used + size;
    char *out = realloc(client->out, cap);
    if (out == NULL) {
        return false;
    }
    client->out = out;
    client->out_cap = cap;
    return true;
}

static void add_bytes(struct ingest_client *client, const void *bytes, size_t size)
{
    if (size > 0) {
        memcpy(client->out + client->out_end, bytes, size);
    }
    client->out_end += size;
}

static enum err add_frame(struct ingest_client *client, enum bus_topic topic, struct text body,
                          struct why *why)
{
    if (!make_room(client, WIRE_FRAME_HEAD_SIZE + body.size)) {
        return why_set(why, ERR_NO_MEMORY, "no memory for a message of %zu bytes", body.size);
    }
    unsigned char head[WIRE_FRAME_HEAD_SIZE];
    wire_put_u32(head, (uint32_t)body.size);
    head[4] = topic == BUS_PAYMENTS ? 1 : 0;
    add_bytes(client, head, sizeof(head));
    add_bytes(client, body.data, body.size);
    client->sizes[client->taken % INGEST_CLIENT_WINDOW_COUNT] = (uint32_t)body.size;
    client->unacknowledged_size += body.size;
    client->taken++;
    return ERR_OK;
}

enum err ingest_client_send(struct ingest_client *client, enum bus_topic topic, struct text body,
                            struct why *why)
{
    assert(topic == BUS_ORDERS || topic == BUS_PAYMENTS);
    enum err err = give_error(client, why);
    if (err != ERR_OK) {
        return err;
    }
    if (body.size > INGEST_BODY_SIZE_MAX) {
        return why_set(why, ERR_TOO_LARGE, "a message of %zu bytes; the limit is %u", body.size,
                       INGEST_BODY_SIZE_MAX);
    }
    if (!window_has_room(client, body.size)) {
        err = exchange(client, why);
    }
    while (err == ERR_OK && !window_has_room(client, body.size)) {
        err = wait_and_exchange(client, FOREVER, client->interrupt_fd, why);
    }
    if (err == ERR_OK) {
        err = add_frame(client, topic, body, why);
    }
    if (err == ERR_OK && client->out_end - client->out_start >= PUSH_SIZE) {
        err = exchange(client, why);
    }
    return err;
}

enum err ingest_client_flush(struct ingest_client *client, int64_t timeout_us,
                             uint64_t *out_durable_count, struct why *why)
{
    assert(timeout_us >= 0);
    int64_t deadline_ns = deadline_after_us(timeout_us);
    enum err err = exchange(client, why);
    while (err == ERR_OK && client->durable < client->taken) {
        err = wait_and_exchange(client, deadline_ns, -1, why);
    }
    // An owner that ended after its last acknowledgement has done all that was asked of it.
    if (client->durable < client->taken) {
        return err;
    }
    *out_durable_count = client->durable;
    return ERR_OK;
}

uint64_t ingest_client_durable(const struct ingest_client *client)
{
    return client->durable;
}

// --- connecting ----------------------------------------------------------------------------------

static enum err connect_failed(const char *directory, int number, struct why *why)
{
    switch (number) {
    case ENOENT:
    case ECONNREFUSED:
        return why_set(why, ERR_UNAVAILABLE,
                       "nobody owns data directory %.200s: nothing listens on " INGEST_SOCKET_NAME,
                       directory);
    case EAGAIN:
        return why_set(why, ERR_TIMEOUT, "the owner of data directory %.200s does not answer",
                       directory);
    case EACCES:
    case EPERM:
        return why_set(why, ERR_PERMISSION,
                       INGEST_SOCKET_NAME " of data directory %.200s belongs to another user",
                       directory);
    default:
        return why_set(why, ERR_IO, INGEST_SOCKET_NAME " of data directory %.200s: %s", directory,
                       strerror(number));
    }
}

// A blocking connect waits while the owner has many to accept; the timeout of sends bounds it.
static enum err connect_socket(struct ingest_client *client, const char *directory, struct why *why)
{
    struct wire_address address;
    enum err err = wire_address_open(directory, &address, why);
    if (err != ERR_OK) {
        return err;
    }
    const struct timeval wait = {.tv_sec = CONNECT_WAIT_S};
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result =
        client->fd < 0 ? -1 : setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    if (result == 0) {
        do {
            result = connect(client->fd, (const struct sockaddr *)&address.socket, address.size);
        } while (result != 0 && errno == EINTR);
    }
    int number = errno;
    wire_address_close(&address);
    return result == 0 ? ERR_OK : connect_failed(directory, number, why);
}

static enum err greet(struct ingest_client *client, struct why *why)
{
    if (!make_room(client, WIRE_HELLO_SIZE)) {
        return why_set(why, ERR_NO_MEMORY, "no memory to send messages");
    }
    unsigned char hello[WIRE_HELLO_SIZE];
    wire_put_hello(hello);
    add_bytes(client, hello, sizeof(hello));
    int64_t deadline_ns = deadline_after_us(CONNECT_WAIT_S * US_PER_SECOND);
    enum err err = exchange(client, why);
    while (err == ERR_OK && !client->accepted) {
        err = wait_and_exchange(client, deadline_ns, -1, why);
    }
    return err;
}

enum err ingest_client_connect(const char *directory, struct ingest_client **out_client,
                               struct why *why)
{
    struct ingest_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory to connect to the owner");
    }
    client->fd = -1;
    client->interrupt_fd = -1;
    enum err err = connect_socket(client, directory, why);
    if (err == ERR_OK) {
        err = greet(client, why);
    }
    if (err != ERR_OK) {
        ingest_client_close(&client);
        return err;
    }
    *out_client = client;
    return ERR_OK;
}

void ingest_client_interrupt_on(struct ingest_client *client, int fd)
{
    client->interrupt_fd = fd;
}

void ingest_client_close(struct ingest_client **client)
{
    if (client == NULL || *client == NULL) {
        return;
    }
    if ((*client)->fd >= 0) {
        (void)close((*client)->fd);
    }
    free((*client)->out);
    free(*client);
    *client = NULL;
}
