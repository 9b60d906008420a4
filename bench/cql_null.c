// What a write costs the Cassandra client: it sends a prepared INSERT of ten values, each bound anew, to a
// node that does nothing (cql_null_server.h), from one thread over one connection. Everything is on: ring,
// routing by token, windows, timers, retry state, check sums of v5. In the same run a bare loop, which only
// encodes, sends and counts answers, says what the machine gives.
//
//     cql_null [MILLIONS_OF_WRITES [WINDOW]]
#include "clock.h"
#include "cql.h"
#include "cql_null_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define VALUES_SIZE 256u
#define SUBMIT_MAX  256u // requests of one cql_submit
#define POLL_MAX    512u

struct spent {
    int64_t wall_ns;
    int64_t cpu_ns;
};

static struct spent spent_so_far(void)
{
    struct clock clock = clock_real();
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    int64_t cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * US_PER_SECOND +
                     usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    return (struct spent){clock_mono_ns(&clock), cpu_us * 1000};
}

static void report(const char *name, uint64_t writes, struct spent before)
{
    struct spent after = spent_so_far();
    int64_t wall_ns = after.wall_ns - before.wall_ns;
    int64_t cpu_ns = after.cpu_ns - before.cpu_ns;
    printf("%-28s %9" PRIu64 " writes  %7" PRIu64 " k/s  %4" PRId64 " ns CPU a write\n", name,
           writes, writes * 1000000 / (uint64_t)wall_ns, cpu_ns / (int64_t)writes);
}

static struct cql_values_view bind_write(unsigned char *memory, uint64_t number)
{
    struct cql_values values;
    cql_values_init(&values, memory, VALUES_SIZE);
    cql_bind_bigint(&values, (int64_t)number);
    cql_bind_text(&values, TEXT("Ada Lovelace"));
    cql_bind_text(&values, TEXT("Laptop, 14 inch, 32 GB"));
    cql_bind_text(&values, TEXT("12 St. James's Square, London"));
    cql_bind_decimal(&values, 129900 + (int64_t)(number % 1000), 2);
    cql_bind_int(&values, (int32_t)(number % 9) + 1);
    cql_bind_text(&values, TEXT("PLACED"));
    cql_bind_timestamp(&values, 1700000000000 + (int64_t)number);
    cql_bind_bigint(&values, 1);
    cql_bind_text(&values, TEXT("leave it with the neighbour"));
    return cql_values_view(&values);
}

// --- our client ---------------------------------------------------------------------------------

struct client {
    struct cql *cql;
    struct cql_statement *insert;
    unsigned char *memory; // VALUES_SIZE for each place of the window
    uint32_t *free;        // places
    uint32_t free_count;
};

static void open_client(struct client *client, uint16_t port, uint32_t window, int version)
{
    struct why why = {0};
    struct cql_options options = {.contact_points = "127.0.0.1",
                                  .port = port,
                                  .protocol_version_max = version,
                                  .in_flight_per_node = window};
    enum err err = cql_open(&options, &client->cql, &why);
    if (err == ERR_OK) {
        err = cql_prepare(client->cql, TEXT(CQL_NULL_STATEMENT), &client->insert, &why);
    }
    if (err != ERR_OK) {
        (void)fprintf(stderr, "cql_null: %s\n", why.text);
        exit(1);
    }
    client->memory = malloc((size_t)window * VALUES_SIZE);
    client->free = malloc(window * sizeof(*client->free));
    assert(client->memory != NULL && client->free != NULL);
    for (client->free_count = 0; client->free_count < window; client->free_count++) {
        client->free[client->free_count] = client->free_count;
    }
}

static void submit_some(struct client *client, uint64_t *submitted, uint64_t total)
{
    struct cql_request requests[SUBMIT_MAX];
    size_t count = 0;
    while (count < SUBMIT_MAX && client->free_count > 0 && *submitted < total) {
        uint32_t place = client->free[--client->free_count];
        requests[count++] = (struct cql_request){
            .statement = client->insert,
            .values = bind_write(client->memory + (size_t)place * VALUES_SIZE, *submitted),
            .consistency = CQL_LOCAL_QUORUM,
            .timestamp_us = 1700000000000000 + (int64_t)*submitted,
            .idempotent = true,
            .context = (void *)(uintptr_t)place,
        };
        (*submitted)++;
    }
    size_t accepted = 0;
    enum err err = cql_submit(client->cql, requests, count, &accepted, NULL);
    assert(err == ERR_OK && accepted == count);
}

static uint64_t receive_some(struct client *client, int64_t timeout_us)
{
    static struct cql_completion completions[POLL_MAX];
    size_t count = 0;
    enum err err = cql_poll(client->cql, timeout_us, completions, POLL_MAX, &count, NULL);
    assert(err == ERR_OK);
    for (size_t i = 0; i < count; i++) {
        assert(completions[i].err == ERR_OK);
        client->free[client->free_count++] = (uint32_t)(uintptr_t)completions[i].context;
    }
    return count;
}

static void run_client(uint16_t port, uint64_t total, uint32_t window, int version)
{
    struct client client = {0};
    uint64_t submitted = 0;
    uint64_t done = 0;
    char name[64];
    open_client(&client, port, window, version);
    struct spent before = spent_so_far();
    while (done < total) {
        while (client.free_count > 0 && submitted < total) {
            submit_some(&client, &submitted, total);
        }
        done += receive_some(&client, US_PER_SECOND);
    }
    (void)snprintf(name, sizeof(name), "client, v%d, window %u", version, window);
    report(name, total, before);
    cql_close(&client.cql);
    free(client.memory);
    free(client.free);
}

// --- a bare loop --------------------------------------------------------------------------------

static int connect_bare(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    bool connected = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    assert(connected);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void send_all(int fd, struct text bytes)
{
    while (bytes.size > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.size, 0);
        assert(sent > 0);
        bytes.data += sent;
        bytes.size -= (size_t)sent;
    }
}

// An EXECUTE in v4 with the same ten values.
static void write_bare(struct cql_writer *writer, uint64_t number, uint16_t stream)
{
    unsigned char memory[VALUES_SIZE];
    struct cql_parameters parameters = {.consistency = CQL_LOCAL_QUORUM,
                                        .values = bind_write(memory, number),
                                        .timestamp_us = 1700000000000000 + (int64_t)number};
    unsigned char *header = cql_writer_claim(writer, CQL_ENVELOPE_HEADER_SIZE);
    assert(header != NULL);
    header[0] = 4;
    header[1] = 0;
    cql_store_short(header + 2, stream);
    header[4] = CQL_OPCODE_EXECUTE;
    cql_write_execute(writer, 4, TEXT("0123456789abcdef"), (struct text){0}, &parameters);
    cql_store_int(header + 5, (uint32_t)(writer->at - header) - CQL_ENVELOPE_HEADER_SIZE);
}

static void run_bare(uint16_t port, uint64_t total, uint32_t window)
{
    enum { ANSWER_SIZE = 13 };
    static unsigned char written[1u << 20];
    static char received[1u << 18];
    int fd = connect_bare(port);
    uint64_t sent = 0;
    uint64_t received_size = 0;
    struct spent before = spent_so_far();
    while (received_size < total * ANSWER_SIZE) {
        uint64_t done = received_size / ANSWER_SIZE;
        struct cql_writer writer;
        cql_writer_init(&writer, written, sizeof(written));
        while (sent < total && sent - done < window && cql_writer_size(&writer) < 1u << 19) {
            write_bare(&writer, sent, (uint16_t)(sent % window));
            sent++;
        }
        send_all(fd, cql_writer_view(&writer));
        ssize_t size = recv(fd, received, sizeof(received), 0);
        assert(size > 0);
        received_size += (uint64_t)size;
    }
    report("bare loop, v4", total, before);
    (void)close(fd);
}

static uint64_t argument(int argc, char **argv, int index, uint64_t otherwise)
{
    uint64_t value = 0;
    return argc > index && text_parse_u64(text_of(argv[index]), &value) && value > 0 ? value
                                                                                     : otherwise;
}

int main(int argc, char **argv)
{
    uint64_t total = argument(argc, argv, 1, 5) * 1000000;
    uint32_t window = (uint32_t)argument(argc, argv, 2, 1024);
    uint16_t port = 0;
    pid_t server = cql_null_server_start(&port);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    run_bare(port, total, window);
    run_client(port, total, window, 5);
    run_client(port, total, window, 4);
    cql_null_server_stop(server);
    return 0;
}
