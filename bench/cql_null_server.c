#include "cql_null_server.h"

#include "cql_crc.h"
#include "cql_request.h"
#include "cql_response.h"
#include "cql_type.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUFFER_SIZE     (1u << 20)
#define CLIENTS_MAX     8
#define HEADER_SIZE     9u
#define SEGMENT_HEADER  6u
#define SEGMENT_TRAILER 4u
#define ANSWERS_MAX     (100u << 10) // bytes of answers in one segment

struct client {
    int fd;
    bool segmented;
    uint8_t version;
    size_t size;             // received and not looked at
    unsigned char *received; // BUFFER_SIZE
};

struct answers {
    struct cql_writer writer;
    bool segmented; // as of the first answer
};

static unsigned char answer_memory[BUFFER_SIZE * 2];

// --- answers ------------------------------------------------------------------------------------

static unsigned char *begin_answer(struct cql_writer *writer, uint8_t version, uint16_t stream,
                                   uint8_t opcode)
{
    unsigned char *header = cql_writer_claim(writer, HEADER_SIZE);
    assert(header != NULL);
    header[0] = (unsigned char)(0x80 | version);
    header[1] = 0;
    cql_store_short(header + 2, stream);
    header[4] = opcode;
    return header;
}

static void end_answer(struct cql_writer *writer, unsigned char *header)
{
    cql_store_int(header + 5, (uint32_t)(writer->at - header) - HEADER_SIZE);
}

static void write_supported(struct cql_writer *writer)
{
    cql_write_short(writer, 1);
    cql_write_string(writer, TEXT("CQL_VERSION"));
    cql_write_short(writer, 1);
    cql_write_string(writer, TEXT("3.4.7"));
}

struct column {
    const char *name;
    uint16_t type;
};

static void write_columns(struct cql_writer *writer, const struct column *columns, int32_t count)
{
    cql_write_string(writer, TEXT("bench"));
    cql_write_string(writer, TEXT("writes"));
    for (int32_t i = 0; i < count; i++) {
        cql_write_string(writer, text_of(columns[i].name));
        cql_write_short(writer, columns[i].type);
        if (columns[i].type == CQL_TYPE_SET || columns[i].type == CQL_TYPE_MAP) {
            cql_write_short(writer, CQL_TYPE_VARCHAR);
        }
        if (columns[i].type == CQL_TYPE_MAP) {
            cql_write_short(writer, CQL_TYPE_VARCHAR);
        }
    }
}

static void write_rows_header(struct cql_writer *writer, const struct column *columns,
                              int32_t count, int32_t rows)
{
    cql_write_int(writer, CQL_RESULT_ROWS);
    cql_write_int(writer, 1); // global table
    cql_write_int(writer, count);
    write_columns(writer, columns, count);
    cql_write_int(writer, rows);
}

static void write_node(struct cql_writer *writer, unsigned number, uint16_t port, bool is_local)
{
    char memory[1024];
    struct cql_values values;
    struct cql_uuid host_id = {.bytes = {[15] = (unsigned char)number}};
    struct cql_uuid schema = {.bytes = {[0] = 1}};
    struct cql_inet inet = {.address = {127, 0, 0, 1}, .size = 4};
    static const char *const tokens[] = {"-6000000000000000000", "0", "6000000000000000000"};
    cql_values_init(&values, memory, sizeof(memory));
    cql_bind_uuid(&values, &host_id);
    cql_bind_uuid(&values, &schema);
    cql_bind_text(&values, TEXT("datacenter1"));
    cql_bind_text(&values, TEXT("rack1"));
    cql_bind_text(&values, TEXT("5.0.9"));
    cql_bind_list_begin(&values);
    cql_bind_text(&values, text_of(tokens[number % 3]));
    cql_bind_end(&values);
    cql_bind_inet(&values, &inet);
    cql_bind_int(&values, port);
    if (is_local) {
        cql_bind_text(&values, TEXT("null"));
    }
    cql_write_raw(writer, cql_values_view(&values).bytes);
}

static void write_local(struct cql_writer *writer, uint16_t port)
{
    static const struct column columns[] = {
        {"host_id", CQL_TYPE_UUID},
        {"schema_version", CQL_TYPE_UUID},
        {"data_center", CQL_TYPE_VARCHAR},
        {"rack", CQL_TYPE_VARCHAR},
        {"release_version", CQL_TYPE_VARCHAR},
        {"tokens", CQL_TYPE_SET},
        {"rpc_address", CQL_TYPE_INET},
        {"rpc_port", CQL_TYPE_INT},
        {"cluster_name", CQL_TYPE_VARCHAR},
    };
    write_rows_header(writer, columns, 9, 1);
    write_node(writer, 0, port, true);
}

// Two more nodes, at ports where nobody listens: so there is something to route.
static void write_peers(struct cql_writer *writer)
{
    static const struct column columns[] = {
        {"host_id", CQL_TYPE_UUID},
        {"schema_version", CQL_TYPE_UUID},
        {"data_center", CQL_TYPE_VARCHAR},
        {"rack", CQL_TYPE_VARCHAR},
        {"release_version", CQL_TYPE_VARCHAR},
        {"tokens", CQL_TYPE_SET},
        {"native_address", CQL_TYPE_INET},
        {"native_port", CQL_TYPE_INT},
    };
    write_rows_header(writer, columns, 8, 2);
    write_node(writer, 1, 1, false);
    write_node(writer, 2, 2, false);
}

static void write_keyspaces(struct cql_writer *writer)
{
    static const struct column columns[] = {{"keyspace_name", CQL_TYPE_VARCHAR},
                                            {"replication", CQL_TYPE_MAP}};
    char memory[256];
    struct cql_values values;
    cql_values_init(&values, memory, sizeof(memory));
    cql_bind_text(&values, TEXT("bench"));
    cql_bind_map_begin(&values);
    cql_bind_text(&values, TEXT("class"));
    cql_bind_text(&values, TEXT("org.apache.cassandra.locator.SimpleStrategy"));
    cql_bind_text(&values, TEXT("replication_factor"));
    cql_bind_text(&values, TEXT("3"));
    cql_bind_end(&values);
    write_rows_header(writer, columns, 2, 1);
    cql_write_raw(writer, cql_values_view(&values).bytes);
}

static void write_prepared(struct cql_writer *writer, uint8_t version)
{
    static const struct column markers[] = {
        {"id", CQL_TYPE_BIGINT},       {"name", CQL_TYPE_VARCHAR},     {"item", CQL_TYPE_VARCHAR},
        {"address", CQL_TYPE_VARCHAR}, {"price", CQL_TYPE_DECIMAL},    {"quantity", CQL_TYPE_INT},
        {"status", CQL_TYPE_VARCHAR},  {"placed", CQL_TYPE_TIMESTAMP}, {"version", CQL_TYPE_BIGINT},
        {"note", CQL_TYPE_VARCHAR}};
    cql_write_int(writer, CQL_RESULT_PREPARED);
    cql_write_short_bytes(writer, TEXT("0123456789abcdef"));
    if (version == 5) {
        cql_write_short_bytes(writer, TEXT("fedcba9876543210"));
    }
    cql_write_int(writer, 1);
    cql_write_int(writer, 10);
    cql_write_int(writer, 1);
    cql_write_short(writer, 0);
    write_columns(writer, markers, 10);
    cql_write_int(writer, 4); // no columns
    cql_write_int(writer, 0);
}

static void answer_query(struct cql_writer *writer, const unsigned char *body, size_t size,
                         uint16_t port)
{
    if (memmem(body, size, "system.local", 12) != NULL) {
        write_local(writer, port);
    } else if (memmem(body, size, "system.peers", 12) != NULL) {
        write_peers(writer);
    } else {
        write_keyspaces(writer);
    }
}

static uint16_t own_port;

static void answer(struct cql_writer *writer, const unsigned char *envelope, size_t body_size)
{
    uint8_t version = envelope[0];
    uint16_t stream = (uint16_t)(envelope[2] << 8 | envelope[3]);
    uint8_t opcode = envelope[4];
    if (opcode == CQL_OPCODE_EXECUTE || opcode == CQL_OPCODE_BATCH) {
        unsigned char *at = begin_answer(writer, version, stream, CQL_OPCODE_RESULT);
        cql_write_int(writer, CQL_RESULT_VOID);
        end_answer(writer, at);
        return;
    }
    uint8_t kind = opcode == CQL_OPCODE_OPTIONS ? CQL_OPCODE_SUPPORTED
                   : opcode == CQL_OPCODE_STARTUP || opcode == CQL_OPCODE_REGISTER
                       ? CQL_OPCODE_READY
                       : CQL_OPCODE_RESULT;
    unsigned char *at = begin_answer(writer, version, stream, kind);
    if (opcode == CQL_OPCODE_OPTIONS) {
        write_supported(writer);
    } else if (opcode == CQL_OPCODE_PREPARE) {
        write_prepared(writer, version);
    } else if (opcode == CQL_OPCODE_QUERY) {
        answer_query(writer, envelope + HEADER_SIZE, body_size, own_port);
    }
    end_answer(writer, at);
}

// --- bytes --------------------------------------------------------------------------------------

static void send_all(int fd, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return; // the client is gone, as the next receive will show
        }
        bytes += sent;
        size -= (size_t)sent;
    }
}

// In v5 answers lie in segments; the room for a header is claimed with the first.
static void begin_answers(struct answers *answers, const struct client *client)
{
    cql_writer_init(&answers->writer, answer_memory, sizeof(answer_memory));
    answers->segmented = client->segmented;
    if (answers->segmented) {
        (void)cql_writer_claim(&answers->writer, SEGMENT_HEADER);
    }
}

static void flush_answers(struct answers *answers, const struct client *client)
{
    size_t size = cql_writer_size(&answers->writer);
    if (answers->segmented && size > SEGMENT_HEADER) {
        unsigned char *bytes = answers->writer.begin;
        uint32_t payload = (uint32_t)(size - SEGMENT_HEADER);
        uint32_t header = payload | 1u << 17;
        for (size_t i = 0; i < 3; i++) {
            bytes[i] = (unsigned char)(header >> 8 * i);
        }
        uint32_t crc24 = cql_crc24(bytes, 3);
        uint32_t crc32 = cql_crc32(bytes + SEGMENT_HEADER, payload);
        unsigned char *trailer = cql_writer_claim(&answers->writer, SEGMENT_TRAILER);
        assert(trailer != NULL);
        for (size_t i = 0; i < 4; i++) {
            trailer[i] = (unsigned char)(crc32 >> 8 * i);
            if (i < 3) {
                bytes[3 + i] = (unsigned char)(crc24 >> 8 * i);
            }
        }
        size += SEGMENT_TRAILER;
    } else if (answers->segmented) {
        size = 0;
    }
    send_all(client->fd, answers->writer.begin, size);
    begin_answers(answers, client);
}

// Answers whole envelopes; gives how many bytes they were.
static size_t take_envelopes(struct client *client, struct answers *answers,
                             const unsigned char *bytes, size_t size)
{
    size_t done = 0;
    while (size - done >= HEADER_SIZE) {
        uint32_t length = 0;
        memcpy(&length, bytes + done + 5, 4);
        length = ntohl(length);
        if (size - done - HEADER_SIZE < length) {
            break;
        }
        uint8_t opcode = bytes[done + 4];
        answer(&answers->writer, bytes + done, length);
        done += HEADER_SIZE + length;
        if (opcode == CQL_OPCODE_STARTUP && bytes[0] == 5) {
            flush_answers(answers, client);
            client->segmented = true;
            begin_answers(answers, client);
            break;
        }
        if (cql_writer_size(&answers->writer) > ANSWERS_MAX) {
            flush_answers(answers, client);
        }
    }
    return done;
}

static size_t take_segment(struct client *client, struct answers *answers,
                           const unsigned char *bytes, size_t size)
{
    if (size < SEGMENT_HEADER) {
        return 0;
    }
    size_t payload = (size_t)(bytes[0] | bytes[1] << 8 | (bytes[2] & 1) << 16);
    size_t total = SEGMENT_HEADER + payload + SEGMENT_TRAILER;
    if (size < total) {
        return 0;
    }
    size_t taken = take_envelopes(client, answers, bytes + SEGMENT_HEADER, payload);
    assert(taken == payload); // envelopes here are small
    return total;
}

static bool serve(struct client *client)
{
    ssize_t got = recv(client->fd, client->received + client->size, BUFFER_SIZE - client->size, 0);
    if (got <= 0) {
        return false;
    }
    client->size += (size_t)got;
    struct answers answers;
    begin_answers(&answers, client);
    size_t done = 0;
    size_t step = 1;
    while (step > 0) {
        const unsigned char *bytes = client->received + done;
        size_t left = client->size - done;
        step = client->segmented ? take_segment(client, &answers, bytes, left)
                                 : take_envelopes(client, &answers, bytes, left);
        done += step;
    }
    flush_answers(&answers, client);
    memmove(client->received, client->received + done, client->size - done);
    client->size -= done;
    return true;
}

// --- process ------------------------------------------------------------------------------------

static void accept_client(int listener, struct client *clients)
{
    int fd = accept(listener, NULL, NULL);
    for (size_t i = 0; i < CLIENTS_MAX && fd >= 0; i++) {
        if (clients[i].fd < 0) {
            const int on = 1;
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            clients[i].fd = fd;
            clients[i].segmented = false;
            clients[i].size = 0;
            return;
        }
    }
    (void)close(fd);
}

static void run(int listener)
{
    static struct client clients[CLIENTS_MAX];
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        clients[i] = (struct client){.fd = -1, .received = malloc(BUFFER_SIZE)};
        assert(clients[i].received != NULL);
    }
    for (;;) {
        struct pollfd polled[CLIENTS_MAX + 1] = {{.fd = listener, .events = POLLIN}};
        for (size_t i = 0; i < CLIENTS_MAX; i++) {
            polled[i + 1] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
        }
        (void)poll(polled, CLIENTS_MAX + 1, -1);
        for (size_t i = 0; i < CLIENTS_MAX; i++) {
            if (clients[i].fd >= 0 && polled[i + 1].revents != 0 && !serve(&clients[i])) {
                (void)close(clients[i].fd);
                clients[i].fd = -1;
            }
        }
        if (polled[0].revents != 0) {
            accept_client(listener, clients);
        }
    }
}

pid_t cql_null_server_start(uint16_t *out_port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    bool listening = listener >= 0 && bind(listener, (struct sockaddr *)&address, size) == 0 &&
                     listen(listener, 16) == 0 &&
                     getsockname(listener, (struct sockaddr *)&address, &size) == 0;
    assert(listening);
    own_port = *out_port = ntohs(address.sin_port);
    pid_t server = fork();
    assert(server >= 0);
    if (server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(listener);
    }
    (void)close(listener);
    return server;
}

void cql_null_server_stop(pid_t server)
{
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
}
