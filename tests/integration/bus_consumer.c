#include "bus_consumer.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MESSAGES_MAX   50 // of a pull
#define HELD_COUNT_MAX 200
#define LINE_MAX       64
#define ARGUMENT_MAX   256
#define LEASE_US       (10 * US_PER_SECOND)

enum { NAME, MEANT, ADDRESS, PROJECT, TOPIC, WAY, RECEIVERS, PATH, ARGUMENTS };

extern char **environ;

static const char meant[] = "consume";
static volatile sig_atomic_t ends;

static void end(int signal_number)
{
    (void)signal_number;
    ends = 1;
}

// --- starting -----------------------------------------------------------------------------------

pid_t bus_consumer_start(const struct bus_consumer_options *options)
{
    char texts[ARGUMENTS][ARGUMENT_MAX];
    char *arguments[ARGUMENTS + 1] = {0};
    for (int i = 0; i < ARGUMENTS; i++) {
        arguments[i] = texts[i];
    }
    (void)snprintf(texts[NAME], ARGUMENT_MAX, "bus_consumer");
    (void)snprintf(texts[MEANT], ARGUMENT_MAX, "%s", meant);
    (void)snprintf(texts[ADDRESS], ARGUMENT_MAX, "%s", options->address);
    (void)snprintf(texts[PROJECT], ARGUMENT_MAX, "%s", options->project);
    (void)snprintf(texts[TOPIC], ARGUMENT_MAX, "%d", (int)options->topic);
    (void)snprintf(texts[WAY], ARGUMENT_MAX, "%d", (int)options->way);
    (void)snprintf(texts[RECEIVERS], ARGUMENT_MAX, "%u", options->receivers);
    (void)snprintf(texts[PATH], ARGUMENT_MAX, "%s", options->path);
    pid_t pid = -1;
    if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ) != 0) {
        abort();
    }
    return pid;
}

bool bus_consumer_is_meant(int argc, char **argv)
{
    return argc == ARGUMENTS && strcmp(argv[MEANT], meant) == 0;
}

// --- running ------------------------------------------------------------------------------------

static void expect(bool holds, const char *what, const struct why *why)
{
    if (!holds) {
        (void)fprintf(stderr, "bus_consumer: %s: %s\n", what, why->text);
        _exit(1);
    }
}

static struct bus *open_bus(char **argv, struct why *why)
{
    struct bus_pubsub_options options = {
        .client = {.target = {.plaintext = true}},
        .way = (enum pubsub_way)strtol(argv[WAY], NULL, 10),
        .receivers = (uint32_t)strtoul(argv[RECEIVERS], NULL, 10),
        .held_count_max = HELD_COUNT_MAX,
        .first_lease_us = LEASE_US,
    };
    struct pubsub_target *target = &options.client.target;
    struct bus *bus = NULL;
    (void)snprintf(target->project, sizeof(target->project), "%s", argv[PROJECT]);
    (void)snprintf(target->endpoint, sizeof(target->endpoint), "%s", argv[ADDRESS]);
    expect(bus_pubsub_open(&options, &bus, why) == ERR_OK, "opening", why);
    return bus;
}

// In one write, and on the disk when it returns.
static void append(int file, const struct bus_message *messages, size_t count, struct why *why)
{
    char lines[MESSAGES_MAX * LINE_MAX];
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        struct text id = messages[i].message_id;
        expect(id.size + 1 < LINE_MAX, "an id is too long", why);
        memcpy(lines + size, id.data, id.size);
        lines[size + id.size] = '\n';
        size += id.size + 1;
    }
    expect(write(file, lines, size) == (ssize_t)size && fsync(file) == 0, "writing", why);
}

static void consume(struct bus *bus, enum bus_topic topic, int file, struct arena *arena)
{
    struct why why = {0};
    while (!ends) {
        struct bus_message *messages = NULL;
        size_t count = 0;
        struct bus_handle handles[MESSAGES_MAX];
        arena_reset(arena);
        enum err err = bus_pull(bus, topic, MESSAGES_MAX, 1u << 20, arena, &messages, &count, &why);
        expect(err == ERR_OK || err_class_of(err) == ERR_CLASS_RETRY, "pulling", &why);
        if (count == 0) {
            expect(bus_wait(bus, 100000, &why) == ERR_OK, "waiting", &why);
            continue;
        }
        append(file, messages, count, &why);
        for (size_t i = 0; i < count; i++) {
            handles[i] = messages[i].handle;
        }
        expect(bus_ack(bus, topic, handles, count, &why) == ERR_OK, "acking", &why);
    }
}

int bus_consumer_main(char **argv)
{
    const struct sigaction action = {.sa_handler = end};
    struct why why = {0};
    struct arena arena;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)sigaction(SIGTERM, &action, NULL);
    int file = open(argv[PATH], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    expect(file >= 0, "opening its file", &why);
    expect(arena_init(&arena, 8u << 20) == ERR_OK, "memory", &why);
    struct bus *bus = open_bus(argv, &why);
    consume(bus, (enum bus_topic)strtol(argv[TOPIC], NULL, 10), file, &arena);
    bus_close(&bus);
    arena_deinit(&arena);
    return close(file) == 0 ? 0 : 1;
}
