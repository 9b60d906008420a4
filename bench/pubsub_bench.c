// Usage: pubsub_bench publish | pull | stream | latency | idle HOST:PORT PID [MESSAGES [ROUNDS]]
// What the Pub/Sub client costs, beside a bare loop on the same gRPC library (pubsub_bare.h), against the
// service there (pubsub_server.c; PID is its process). They take turns within one run; medians over the
// rounds are printed last, as rows of a table. Messages have 250 bytes, requests 1,000 messages. CPU time
// is that of this process with all its threads, and beside it that of the server. With PID 0 the server's
// is left out.
//   publish  8 requests under way          pull    one unary pull under way, acks beside it
//   stream   one stream, acks beside it    latency from publish to having the message, one at a time
//   idle     a publisher and two streams without work for MESSAGES seconds
#include "clock.h"
#include "pubsub.h"
#include "pubsub_bare.h"
#include "wire.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BATCH          1000u
#define DATA_SIZE      250u
#define IN_FLIGHT      8u
#define ROUNDS_MAX     25u
#define CONTENDERS_MAX 3u
#define PATIENCE_US    (120 * US_PER_SECOND)
#define PROJECT        "bench"

struct bench {
    char endpoint[64];
    int server_pid;
    size_t messages;
    size_t rounds;
    bool stores; // what is published; else the service has messages of its own
    struct pubsub *client;
    struct bare *bare;
    char topic[64]; // short names of the present round's
    char subscription[64];
    int64_t *latencies_ns;
};

struct figures {
    int64_t wall_ns;
    int64_t cpu_ns;
    int64_t server_ns;
    size_t messages;
    int64_t p50_ns; // of latency
    int64_t p99_ns;
};

static void must(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        (void)fprintf(stderr, "%s: %s\n", err_name(err), why->text);
        exit(1);
    }
}

// --- measuring ----------------------------------------------------------------------------------

static int64_t server_cpu_ns(int pid)
{
    char path[64];
    unsigned long user = 0;
    unsigned long system = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = pid > 0 ? fopen(path, "re") : NULL;
    if (file != NULL) {
        if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                   &system) != 2) {
            user = system = 0;
        }
        (void)fclose(file);
    }
    return (int64_t)(user + system) * (NS_PER_SECOND / sysconf(_SC_CLK_TCK));
}

static int64_t own_cpu_ns(void)
{
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    int64_t us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * US_PER_SECOND +
                 usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    return us * 1000;
}

static struct figures now(const struct bench *bench)
{
    const struct clock clock = clock_real();
    return (struct figures){.wall_ns = clock_mono_ns(&clock),
                            .cpu_ns = own_cpu_ns(),
                            .server_ns = server_cpu_ns(bench->server_pid)};
}

static struct figures since(const struct bench *bench, const struct figures *start, size_t messages)
{
    struct figures end = now(bench);
    return (struct figures){.wall_ns = end.wall_ns - start->wall_ns,
                            .cpu_ns = end.cpu_ns - start->cpu_ns,
                            .server_ns = end.server_ns - start->server_ns,
                            .messages = messages};
}

static int compare_ns(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static struct figures quantiles(struct figures figures, int64_t *ns)
{
    qsort(ns, figures.messages, sizeof(ns[0]), compare_ns);
    figures.p50_ns = ns[figures.messages / 2];
    figures.p99_ns = ns[figures.messages * 99 / 100];
    return figures;
}

// --- names and requests -------------------------------------------------------------------------

static void full_name(char *out, size_t size, const char *kind, const char *name)
{
    (void)snprintf(out, size, "projects/" PROJECT "/%s/%s", kind, name);
}

// A topic with its subscription that nobody has used. A service of ours needs none.
static void make_names(struct bench *bench, size_t contender, size_t round)
{
    const struct pubsub_topic_settings topic = {0};
    struct why why = {0};
    (void)snprintf(bench->topic, sizeof(bench->topic), "b%d-%zu-%zu", (int)getpid(), contender,
                   round);
    (void)snprintf(bench->subscription, sizeof(bench->subscription), "%.50s-sub", bench->topic);
    enum err err = pubsub_topic_create(bench->client, text_of(bench->topic), &topic, &why);
    bench->stores = err != ERR_CONFIG;
    if (bench->stores) {
        must(err, &why);
        const struct pubsub_subscription_settings settings = {
            .topic = text_of(bench->topic), .ack_deadline_us = 60 * US_PER_SECOND};
        must(pubsub_subscription_create(bench->client, text_of(bench->subscription), &settings,
                                        &why),
             &why);
    }
}

static void remove_names(struct bench *bench)
{
    struct why why = {0};
    if (bench->stores) {
        must(pubsub_subscription_delete(bench->client, text_of(bench->subscription), &why), &why);
        must(pubsub_topic_delete(bench->client, text_of(bench->topic), &why), &why);
    }
}

static char data[DATA_SIZE];

static struct text encode_request(const struct bench *bench, size_t count)
{
    char topic[128];
    full_name(topic, sizeof(topic), "topics", bench->topic);
    size_t body_size = wire_bytes_size(DATA_SIZE);
    char *bytes = malloc(wire_bytes_size(strlen(topic)) + count * wire_bytes_size(body_size));
    assert(bytes != NULL);
    char *at = wire_put_bytes(bytes, 1, text_of(topic));
    for (size_t i = 0; i < count; i++) {
        at = wire_put_head(at, 2, body_size);
        at = wire_put_bytes(at, 1, (struct text){data, DATA_SIZE});
    }
    return (struct text){bytes, (size_t)(at - bytes)};
}

// --- publish ------------------------------------------------------------------------------------

struct results {
    size_t fine;
    size_t wrong;
};

static void on_result(void *context, void *tag, const struct pubsub_publish_result *result)
{
    struct results *results = context;
    (void)tag;
    results->fine += result->err == ERR_OK ? 1 : 0;
    results->wrong += result->err == ERR_OK ? 0 : 1;
}

static void publish_messages(struct bench *bench, size_t messages)
{
    struct results results = {0};
    const struct pubsub_publisher_options options = {.topic = text_of(bench->topic),
                                                     .requests_max = IN_FLIGHT,
                                                     .on_result = on_result,
                                                     .context = &results};
    struct pubsub_publisher *publisher = NULL;
    struct why why = {0};
    struct pubsub_outgoing batch[100];
    for (size_t i = 0; i < 100; i++) {
        batch[i] = (struct pubsub_outgoing){.data = {data, DATA_SIZE}};
    }
    must(pubsub_publisher_open(bench->client, &options, &publisher, &why), &why);
    for (size_t sent = 0; sent < messages; sent += 100) {
        size_t accepted = 0;
        must(pubsub_publish(publisher, batch, 100, NULL, &accepted, &why), &why);
    }
    must(pubsub_publisher_flush(publisher, PATIENCE_US, &why), &why);
    pubsub_publisher_close(&publisher);
    assert(results.fine == messages && results.wrong == 0);
}

static struct figures publish_ours(struct bench *bench)
{
    struct figures start = now(bench);
    publish_messages(bench, bench->messages);
    return since(bench, &start, bench->messages);
}

static struct figures publish_bare(struct bench *bench)
{
    struct text request = encode_request(bench, BATCH);
    struct figures start = now(bench);
    bare_publish(bench->bare, request, bench->messages / BATCH, IN_FLIGHT);
    struct figures figures = since(bench, &start, bench->messages);
    free((void *)(uintptr_t)request.data);
    return figures;
}

// --- receive ------------------------------------------------------------------------------------

static struct pubsub_subscriber *open_subscriber(struct bench *bench, enum pubsub_way way)
{
    const struct pubsub_subscriber_options options = {.subscription = text_of(bench->subscription),
                                                      .way = way};
    struct pubsub_subscriber *subscriber = NULL;
    struct why why = {0};
    must(pubsub_subscriber_open(bench->client, &options, &subscriber, &why), &why);
    return subscriber;
}

// Takes what is there, waiting for it, and acks it; how many.
static size_t take_and_ack(struct bench *bench, struct pubsub_subscriber *subscriber,
                           struct arena *arena)
{
    const struct pubsub_take_limits limits = {.count_max = BATCH, .size_max = 1u << 20};
    uint64_t handles[BATCH];
    struct pubsub_message *messages = NULL;
    struct why why = {0};
    size_t count = 0;
    while (count == 0) {
        uint64_t seen = pubsub_arrivals(bench->client);
        arena_reset(arena);
        must(pubsub_take(subscriber, &limits, arena, &messages, &count, &why), &why);
        if (count == 0) {
            pubsub_wait(bench->client, seen, US_PER_SECOND);
        }
    }
    for (size_t i = 0; i < count; i++) {
        handles[i] = messages[i].handle;
    }
    pubsub_ack(subscriber, handles, count);
    return count;
}

static struct figures receive_ours(struct bench *bench, enum pubsub_way way)
{
    struct arena arena;
    struct why why = {0};
    size_t got = 0;
    must(arena_init(&arena, 4u << 20), &why);
    struct figures start = now(bench);
    struct pubsub_subscriber *subscriber = open_subscriber(bench, way);
    while (got < bench->messages) {
        got += take_and_ack(bench, subscriber, &arena);
    }
    must(pubsub_subscriber_drain(subscriber, PATIENCE_US, &why), &why);
    struct figures figures = since(bench, &start, got);
    pubsub_subscriber_close(&subscriber);
    arena_deinit(&arena);
    return figures;
}

static struct figures pull_ours(struct bench *bench)
{
    return receive_ours(bench, PUBSUB_UNARY_PULL);
}

static struct figures stream_ours(struct bench *bench)
{
    return receive_ours(bench, PUBSUB_STREAMING_PULL);
}

static struct figures pull_bare_as(struct bench *bench, bool ahead)
{
    char name[128];
    full_name(name, sizeof(name), "subscriptions", bench->subscription);
    struct figures start = now(bench);
    size_t got = bare_pull(bench->bare, text_of(name), bench->messages, ahead);
    return since(bench, &start, got);
}

static struct figures pull_bare(struct bench *bench)
{
    return pull_bare_as(bench, false);
}

static struct figures pull_bare_ahead(struct bench *bench)
{
    return pull_bare_as(bench, true);
}

static struct figures stream_bare(struct bench *bench)
{
    char name[128];
    full_name(name, sizeof(name), "subscriptions", bench->subscription);
    struct figures start = now(bench);
    size_t got = bare_stream(bench->bare, text_of(name), bench->messages);
    return since(bench, &start, got);
}

// --- latency ------------------------------------------------------------------------------------

static struct figures latency_ours(struct bench *bench)
{
    const struct clock clock = clock_real();
    const struct pubsub_publisher_options options = {.topic = text_of(bench->topic)};
    const struct pubsub_outgoing message = {.data = {data, DATA_SIZE}};
    struct pubsub_publisher *publisher = NULL;
    struct pubsub_subscriber *subscriber = open_subscriber(bench, PUBSUB_STREAMING_PULL);
    struct arena arena;
    struct why why = {0};
    must(arena_init(&arena, 4u << 20), &why);
    must(pubsub_publisher_open(bench->client, &options, &publisher, &why), &why);
    struct figures start = now(bench);
    for (size_t i = 0; i < bench->messages; i++) {
        size_t accepted = 0;
        int64_t start_ns = clock_mono_ns(&clock);
        must(pubsub_publish(publisher, &message, 1, NULL, &accepted, &why), &why);
        pubsub_publisher_send(publisher);
        (void)take_and_ack(bench, subscriber, &arena);
        bench->latencies_ns[i] = clock_mono_ns(&clock) - start_ns;
        must(pubsub_publisher_flush(publisher, PATIENCE_US, &why), &why);
    }
    struct figures figures = since(bench, &start, bench->messages);
    pubsub_publisher_close(&publisher);
    pubsub_subscriber_close(&subscriber);
    arena_deinit(&arena);
    return quantiles(figures, bench->latencies_ns);
}

static struct figures latency_bare(struct bench *bench)
{
    char name[128];
    struct text request = encode_request(bench, 1);
    full_name(name, sizeof(name), "subscriptions", bench->subscription);
    struct figures start = now(bench);
    bare_latency(bench->bare, request, text_of(name), bench->latencies_ns, bench->messages);
    struct figures figures = since(bench, &start, bench->messages);
    free((void *)(uintptr_t)request.data);
    return quantiles(figures, bench->latencies_ns);
}

// --- idle ---------------------------------------------------------------------------------------

static long resident_kib(void)
{
    long kib = 0;
    char line[128];
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        (void)sscanf(line, "VmRSS: %ld", &kib);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib;
}

static void idle(struct bench *bench)
{
    const struct clock clock = clock_real();
    struct why why = {0};
    make_names(bench, 0, 0);
    const struct pubsub_publisher_options options = {.topic = text_of(bench->topic)};
    struct pubsub_publisher *publisher = NULL;
    struct pubsub_subscriber *first = open_subscriber(bench, PUBSUB_STREAMING_PULL);
    struct pubsub_subscriber *second = open_subscriber(bench, PUBSUB_STREAMING_PULL);
    must(pubsub_publisher_open(bench->client, &options, &publisher, &why), &why);
    clock_pause_us(&clock, 2 * US_PER_SECOND); // connections are made by then
    struct figures start = now(bench);
    clock_pause_us(&clock, (int64_t)bench->messages * US_PER_SECOND);
    struct figures spent = since(bench, &start, 1);
    (void)printf("| idle | ours | %.3f %% of a core | %.1f MiB resident |\n",
                 100.0 * (double)spent.cpu_ns / (double)spent.wall_ns,
                 (double)resident_kib() / 1024.0);
    pubsub_publisher_close(&publisher);
    pubsub_subscriber_close(&second);
    pubsub_subscriber_close(&first);
    remove_names(bench);
}

// --- rounds -------------------------------------------------------------------------------------

struct contender {
    const char *name;
    struct figures (*run)(struct bench *bench);
};

static const struct task {
    const char *name;
    bool fills;                                  // messages have to be there before
    struct contender contenders[CONTENDERS_MAX]; // without a name: no more
} tasks[] = {
    {"publish", false, {{"bare", publish_bare}, {"ours", publish_ours}}},
    {"pull", true, {{"bare", pull_bare}, {"bare, ahead", pull_bare_ahead}, {"ours", pull_ours}}},
    {"stream", true, {{"bare", stream_bare}, {"ours", stream_ours}}},
    {"latency", false, {{"bare", latency_bare}, {"ours", latency_ours}}},
};

static double rate(const struct figures *figures)
{
    return (double)figures->messages * 1e9 / (double)figures->wall_ns;
}

static double per_message_us(const struct figures *figures, int64_t ns)
{
    return (double)ns / (double)figures->messages / 1000.0;
}

static void print_figures(const char *head, const struct task *task, const char *contender,
                          const struct figures *figures)
{
    (void)printf("%s%s | %s | %.0f messages/s | %.3f us CPU | %.3f us CPU of the server |", head,
                 task->name, contender, rate(figures), per_message_us(figures, figures->cpu_ns),
                 per_message_us(figures, figures->server_ns));
    if (figures->p99_ns > 0) {
        (void)printf(" p50 %.3f ms | p99 %.3f ms |", (double)figures->p50_ns / 1e6,
                     (double)figures->p99_ns / 1e6);
    }
    (void)printf("\n");
    (void)fflush(stdout);
}

typedef int64_t figure(const struct figures *figures);

static int64_t wall_of(const struct figures *figures)
{
    return figures->wall_ns * 1000 / (int64_t)figures->messages;
}

static int64_t cpu_of(const struct figures *figures)
{
    return figures->cpu_ns * 1000 / (int64_t)figures->messages;
}

static int64_t server_of(const struct figures *figures)
{
    return figures->server_ns * 1000 / (int64_t)figures->messages;
}

static int64_t p50_of(const struct figures *figures)
{
    return figures->p50_ns;
}

static int64_t p99_of(const struct figures *figures)
{
    return figures->p99_ns;
}

static int64_t median(const struct figures *rounds, size_t count, figure *of)
{
    int64_t values[ROUNDS_MAX];
    for (size_t i = 0; i < count; i++) {
        values[i] = of(&rounds[i]);
    }
    qsort(values, count, sizeof(values[0]), compare_ns);
    return values[count / 2];
}

static void print_medians(const struct task *task, const char *contender,
                          const struct figures *rounds, size_t count)
{
    struct figures figures = {
        .messages = 1000,
        .wall_ns = median(rounds, count, wall_of),
        .cpu_ns = median(rounds, count, cpu_of),
        .server_ns = median(rounds, count, server_of),
        .p50_ns = median(rounds, count, p50_of),
        .p99_ns = median(rounds, count, p99_of),
    };
    print_figures("| ", task, contender, &figures);
}

static void run_task(struct bench *bench, const struct task *task)
{
    struct figures figures[CONTENDERS_MAX][ROUNDS_MAX];
    for (size_t round = 0; round < bench->rounds; round++) {
        for (size_t i = 0; i < CONTENDERS_MAX && task->contenders[i].name != NULL; i++) {
            const struct contender *contender = &task->contenders[i];
            make_names(bench, i, round);
            if (task->fills && bench->stores) {
                publish_messages(bench, bench->messages);
            }
            figures[i][round] = contender->run(bench);
            print_figures("round: ", task, contender->name, &figures[i][round]);
            remove_names(bench);
        }
    }
    for (size_t i = 0; i < CONTENDERS_MAX && task->contenders[i].name != NULL; i++) {
        print_medians(task, task->contenders[i].name, figures[i], bench->rounds);
    }
}

static void run(struct bench *bench, const char *what)
{
    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
        if (strcmp(tasks[i].name, what) == 0) {
            run_task(bench, &tasks[i]);
        }
    }
    if (strcmp(what, "idle") == 0) {
        idle(bench);
    }
}

static size_t number_or(const char *text, size_t otherwise)
{
    return text != NULL ? (size_t)strtoul(text, NULL, 10) : otherwise;
}

int main(int count, char **arguments)
{
    struct bench bench = {0};
    struct why why = {0};
    if (count < 4) {
        (void)fprintf(stderr, "usage: pubsub_bench publish | pull | stream | latency | idle "
                              "HOST:PORT PID [MESSAGES [ROUNDS]]\n");
        return 2;
    }
    (void)snprintf(bench.endpoint, sizeof(bench.endpoint), "%s", arguments[2]);
    bench.server_pid = (int)strtol(arguments[3], NULL, 10);
    bench.messages = number_or(count > 4 ? arguments[4] : NULL, 1000000);
    bench.rounds = number_or(count > 5 ? arguments[5] : NULL, 5);
    assert(bench.rounds >= 1 && bench.rounds <= ROUNDS_MAX && bench.messages > 0);
    bench.latencies_ns = calloc(bench.messages, sizeof(bench.latencies_ns[0]));
    assert(bench.latencies_ns != NULL);
    memset(data, 'x', sizeof(data));
    struct pubsub_options options = {.target = {.project = PROJECT, .plaintext = true}};
    (void)snprintf(options.target.endpoint, sizeof(options.target.endpoint), "%s", bench.endpoint);
    must(pubsub_open(&options, &bench.client, &why), &why);
    bool is_idle = strcmp(arguments[1], "idle") == 0;
    bench.bare = is_idle ? NULL : bare_open(bench.endpoint);
    run(&bench, arguments[1]);
    if (bench.bare != NULL) {
        bare_close(&bench.bare);
    }
    pubsub_close(&bench.client);
    free(bench.latencies_ns);
    return 0;
}
