// What of a real Cassandra node's speed the client leaves: a raw blaster (EXECUTE frames encoded beforehand, sent
// over one connection with a fixed window, answers only counted) takes turns with our client, which writes the
// same rows with everything on.
//
//     cql_blaster HOST:PORT [THOUSANDS_OF_WRITES [WINDOW]]
//
// The node needs no login and no TLS. Makes the keyspace `till_bench` and leaves it.
#include "clock.h"
#include "cql.h"
#include "cql_address.h"

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

#define ROUNDS      5u
#define VALUES_SIZE 256u
#define FRAME_MAX   512u
#define WINDOW_MAX  4096u
#define STATEMENT                                                                                  \
    "INSERT INTO till_bench.writes (id, name, item, address, price, quantity, status, placed, "    \
    "version, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

struct bench {
    const char *target;
    struct cql *cql;
    struct cql_statement *insert;
    uint64_t writes;
    uint32_t window;
};

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
    printf("%-8s %8" PRIu64 " writes/s  %5" PRId64 " ns CPU a write\n", name,
           writes * NS_PER_SECOND / (uint64_t)(after.wall_ns - before.wall_ns),
           (after.cpu_ns - before.cpu_ns) / (int64_t)writes);
}

static void check(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        (void)fprintf(stderr, "cql_blaster: %s\n", why->text);
        exit(1);
    }
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

static void run_text(struct bench *bench, const char *text)
{
    struct cql_result result;
    struct why why = {0};
    struct cql_request request = {.text = text_of(text), .consistency = CQL_LOCAL_QUORUM};
    check(cql_execute(bench->cql, &request, &result, &why), &why);
}

static void open_client(struct bench *bench)
{
    struct why why = {0};
    struct cql_options options = {.contact_points = bench->target,
                                  .in_flight_per_node = bench->window};
    check(cql_open(&options, &bench->cql, &why), &why);
    run_text(bench, "CREATE KEYSPACE IF NOT EXISTS till_bench WITH replication = "
                    "{'class': 'SimpleStrategy', 'replication_factor': 1}");
    run_text(bench, "CREATE TABLE IF NOT EXISTS till_bench.writes (id bigint PRIMARY KEY, name "
                    "text, item text, address text, price decimal, quantity int, status text, "
                    "placed timestamp, version bigint, note text)");
    check(cql_await_schema_agreement(bench->cql, 10 * US_PER_SECOND, &why), &why);
    check(cql_prepare(bench->cql, TEXT(STATEMENT), &bench->insert, &why), &why);
}

static void run_client(struct bench *bench)
{
    static unsigned char memory[WINDOW_MAX][VALUES_SIZE];
    static struct cql_completion completions[WINDOW_MAX];
    uint32_t free_places[WINDOW_MAX];
    uint32_t free_count = 0;
    uint64_t submitted = 0;
    uint64_t done = 0;
    while (free_count < bench->window) {
        free_places[free_count] = free_count;
        free_count++;
    }
    struct spent before = spent_so_far();
    while (done < bench->writes) {
        while (free_count > 0 && submitted < bench->writes) {
            uint32_t place = free_places[--free_count];
            struct cql_request request = {
                .statement = bench->insert,
                .values = bind_write(memory[place], submitted++),
                .consistency = CQL_LOCAL_QUORUM,
                .timestamp_us = 1700000000000000,
                .idempotent = true,
                .context = (void *)(uintptr_t)place,
            };
            struct why why = {0};
            size_t accepted = 0;
            check(cql_submit(bench->cql, &request, 1, &accepted, &why), &why);
        }
        size_t count = 0;
        struct why why = {0};
        check(cql_poll(bench->cql, US_PER_SECOND, completions, WINDOW_MAX, &count, &why), &why);
        for (size_t i = 0; i < count; i++) {
            check(completions[i].err, completions[i].why);
            free_places[free_count++] = (uint32_t)(uintptr_t)completions[i].context;
        }
        done += count;
    }
    report("client", done, before);
}

// --- the blaster --------------------------------------------------------------------------------

static size_t begin_frame(struct cql_writer *writer, uint16_t stream, uint8_t opcode)
{
    size_t start = cql_writer_size(writer);
    cql_write_byte(writer, 4);
    cql_write_byte(writer, 0);
    cql_write_short(writer, stream);
    cql_write_byte(writer, opcode);
    cql_write_int(writer, 0);
    return start;
}

static void end_frame(struct cql_writer *writer, size_t start)
{
    size_t size = cql_writer_size(writer) - start - CQL_ENVELOPE_HEADER_SIZE;
    assert(!writer->overflowed);
    cql_store_int(writer->begin + start + 5, (uint32_t)size);
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

static struct cql_envelope ask(int fd, struct cql_writer *writer)
{
    static unsigned char received[65536];
    size_t size = 0;
    size_t wanted = CQL_ENVELOPE_HEADER_SIZE;
    send_all(fd, cql_writer_view(writer));
    while (size < wanted) {
        ssize_t got = recv(fd, received + size, sizeof(received) - size, 0);
        assert(got > 0);
        size += (size_t)got;
        if (size >= CQL_ENVELOPE_HEADER_SIZE) {
            wanted = CQL_ENVELOPE_HEADER_SIZE + (size_t)(received[7] << 8 | received[8]);
        }
    }
    return (struct cql_envelope){
        .version = 4,
        .opcode = received[4],
        .body = {(char *)received + CQL_ENVELOPE_HEADER_SIZE, wanted - CQL_ENVELOPE_HEADER_SIZE}};
}

static int connect_to(const char *target)
{
    struct text list = text_of(target);
    struct cql_host host;
    struct cql_address address;
    enum err err = ERR_OK;
    struct why why = {0};
    size_t count = 0;
    bool named = cql_host_next(&list, 9042, &host, &err, &why);
    assert(named);
    check(err, &why);
    check(cql_host_resolve(&host, &address, 1, &count, &why), &why);
    int fd = socket(address.storage.ss_family, SOCK_STREAM, 0);
    const int on = 1;
    bool connected =
        fd >= 0 && connect(fd, (const struct sockaddr *)&address.storage, address.size) == 0;
    assert(connected);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

// Handshake in v4; gives the id of the statement.
static struct text prepare_bare(int fd, char id[64])
{
    unsigned char memory[2048];
    struct cql_writer writer;
    struct cql_response response;
    cql_writer_init(&writer, memory, sizeof(memory));
    size_t start = begin_frame(&writer, 0, CQL_OPCODE_STARTUP);
    cql_write_startup(&writer, &(struct cql_startup){0});
    end_frame(&writer, start);
    struct cql_envelope answer = ask(fd, &writer);
    assert(answer.opcode == CQL_OPCODE_READY);
    cql_writer_init(&writer, memory, sizeof(memory));
    start = begin_frame(&writer, 0, CQL_OPCODE_PREPARE);
    cql_write_prepare(&writer, 4, TEXT(STATEMENT), (struct text){0});
    end_frame(&writer, start);
    answer = ask(fd, &writer);
    bool prepared = cql_response_read(&answer, &response) &&
                    response.result_kind == CQL_RESULT_PREPARED && response.prepared.id.size < 64;
    assert(prepared);
    memcpy(id, response.prepared.id.data, response.prepared.id.size);
    return (struct text){id, response.prepared.id.size};
}

// All frames of a round, one after the other; offsets[i] is where the i-th begins.
static unsigned char *encode_all(const struct bench *bench, struct text id, uint32_t *offsets)
{
    size_t cap = bench->writes * FRAME_MAX;
    unsigned char *frames = malloc(cap);
    struct cql_writer writer;
    assert(frames != NULL);
    cql_writer_init(&writer, frames, cap);
    for (uint64_t i = 0; i < bench->writes; i++) {
        unsigned char memory[VALUES_SIZE];
        struct cql_parameters parameters = {.consistency = CQL_LOCAL_QUORUM,
                                            .values = bind_write(memory, i),
                                            .timestamp_us = 1700000000000000};
        size_t start = begin_frame(&writer, (uint16_t)(i % bench->window), CQL_OPCODE_EXECUTE);
        offsets[i] = (uint32_t)start;
        cql_write_execute(&writer, 4, id, (struct text){0}, &parameters);
        end_frame(&writer, start);
    }
    offsets[bench->writes] = (uint32_t)cql_writer_size(&writer);
    return frames;
}

// Streams are not looked at: with answers in any order one may be in use twice, which the node bears.
static void run_blaster(const struct bench *bench)
{
    enum { VOID_SIZE = 13 };
    static char received[1u << 18];
    char id_memory[64];
    int fd = connect_to(bench->target);
    struct text id = prepare_bare(fd, id_memory);
    uint32_t *offsets = malloc((bench->writes + 1) * sizeof(*offsets));
    assert(offsets != NULL);
    unsigned char *frames = encode_all(bench, id, offsets);
    uint64_t sent = 0;
    uint64_t size = 0;
    struct spent before = spent_so_far();
    while (size < bench->writes * VOID_SIZE) {
        uint64_t until = size / VOID_SIZE + bench->window;
        until = until < bench->writes ? until : bench->writes;
        send_all(fd, (struct text){(char *)frames + offsets[sent], offsets[until] - offsets[sent]});
        sent = until;
        ssize_t got = recv(fd, received, sizeof(received), 0);
        assert(got > 0);
        size += (uint64_t)got;
    }
    report("blaster", bench->writes, before);
    free(frames);
    free(offsets);
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
    if (argc < 2) {
        (void)fprintf(stderr, "usage: cql_blaster HOST:PORT [THOUSANDS_OF_WRITES [WINDOW]]\n");
        return 2;
    }
    uint64_t window = argument(argc, argv, 3, 256);
    struct bench bench = {.target = argv[1],
                          .writes = argument(argc, argv, 2, 200) * 1000,
                          .window = (uint32_t)(window < WINDOW_MAX ? window : WINDOW_MAX)};
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    open_client(&bench);
    for (unsigned round = 0; round < ROUNDS; round++) {
        run_blaster(&bench);
        run_client(&bench);
    }
    cql_close(&bench.cql);
    return 0;
}
