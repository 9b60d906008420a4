// Collect, publish, repeat. A message counts as published when the bus says that it is durable.
#include "publisher.h"

#include "arena.h"

#include <poll.h>

#define BACKOFF_FIRST_MS 5
#define BACKOFF_LAST_MS  500
#define POLL_MS          100
#define TELL_AGAIN_NS    (10 * NS_PER_SECOND)

struct gathering {
    struct arena arena;
    struct bus_outgoing *outgoing[2]; // orders, payments
    size_t counts[2];
    size_t size;
    bool ended;
    bool waiting; // the source had nothing more for now
};

static bool stopped(const struct publisher *publisher)
{
    return atomic_load(publisher->stop);
}

static void fail(struct publisher *publisher, enum err err, const struct why *why)
{
    publisher->err = err;
    publisher->why = *why;
}

static enum err gathering_init(struct gathering *gathering)
{
    *gathering = (struct gathering){0};
    return arena_init(&gathering->arena, 2 * PUBLISHER_SIZE_MAX +
                                             2 * PUBLISHER_COUNT_MAX * sizeof(struct bus_outgoing) +
                                             PUBLISHER_COUNT_MAX * 2 * ARENA_ALIGNMENT);
}

static enum err gathering_reset(struct gathering *gathering, size_t count_max)
{
    arena_reset(&gathering->arena);
    gathering->counts[0] = gathering->counts[1] = 0;
    gathering->size = 0;
    gathering->waiting = false;
    for (size_t i = 0; i < 2; i++) {
        gathering->outgoing[i] = ARENA_ARRAY(&gathering->arena, struct bus_outgoing, count_max);
    }
    return arena_overflowed(&gathering->arena) ? ERR_NO_MEMORY : ERR_OK;
}

// Takes up to `count_max` messages that are there now.
static void gather(struct publisher *publisher, struct gathering *gathering, size_t count_max)
{
    while (gathering->counts[0] + gathering->counts[1] < count_max &&
           gathering->size < PUBLISHER_SIZE_MAX && !stopped(publisher)) {
        struct source_message message = {0};
        struct why why = {0};
        enum source_status status = publisher->source->next(publisher->source, &message, &why);
        if (status != SOURCE_READY) {
            gathering->waiting = status == SOURCE_WAIT;
            gathering->ended = status == SOURCE_END || status == SOURCE_FAILED;
            if (status == SOURCE_FAILED) {
                fail(publisher, why.code, &why);
            }
            return;
        }
        size_t topic = message.topic == BUS_PAYMENTS ? 1 : 0;
        char *copy = arena_copy(&gathering->arena, message.body.data, message.body.size);
        gathering->outgoing[topic][gathering->counts[topic]++] =
            (struct bus_outgoing){.data = {copy, message.body.size}};
        gathering->size += message.body.size;
    }
}

// Says that publishing stands still, at first and then every 10 s. *told_ns is when; 0: not yet.
static void tell_stall(struct publisher *publisher, int64_t *told_ns, const struct why *why)
{
    int64_t now_ns = clock_mono_ns(&publisher->clock);
    if (*told_ns == 0 || now_ns - *told_ns >= TELL_AGAIN_NS) {
        *told_ns = now_ns;
        log_warn(publisher->log, "publisher", "cannot publish, will try again",
                 LOG_STR("error", err_name(why->code)), LOG_STR("detail", why->text));
    }
}

// Publishes until it is durable; a RETRY error is retried with back-off for as long as nobody stops.
static enum err publish(struct publisher *publisher, enum bus_topic topic,
                        const struct bus_outgoing *outgoing, size_t count)
{
    int backoff_ms = BACKOFF_FIRST_MS;
    int64_t told_ns = 0;
    while (count > 0 && !stopped(publisher)) {
        struct why why = {0};
        enum err err = bus_publish(publisher->bus, topic, outgoing, count, &why);
        if (err == ERR_OK) {
            atomic_fetch_add(&publisher->published, count);
            if (told_ns != 0) {
                log_info(publisher->log, "publisher", "publishing again",
                         LOG_INT("messages", count));
            }
            return ERR_OK;
        }
        if (err_class_of(err) != ERR_CLASS_RETRY) {
            fail(publisher, err, &why);
            return err;
        }
        atomic_fetch_add(&publisher->retries, 1);
        tell_stall(publisher, &told_ns, &why);
        clock_pause_us(&publisher->clock, backoff_ms * INT64_C(1000));
        backoff_ms = backoff_ms * 2 < BACKOFF_LAST_MS ? backoff_ms * 2 : BACKOFF_LAST_MS;
    }
    return ERR_OK;
}

// Holds the source back while the consumers are far behind, so that the log stays short.
static enum err wait_for_consumers(struct publisher *publisher)
{
    static const enum bus_topic topics[] = {BUS_ORDERS, BUS_PAYMENTS};
    for (size_t i = 0; i < 2 && publisher->backlog_soft_max > 0;) {
        struct bus_backlog backlog = {0};
        struct why why = {0};
        enum err err = bus_backlog(publisher->bus, topics[i], &backlog, &why);
        if (err != ERR_OK) {
            fail(publisher, err, &why);
            return err;
        }
        if (backlog.unacked <= publisher->backlog_soft_max || stopped(publisher)) {
            i++;
        } else {
            clock_pause_us(&publisher->clock, 1000);
        }
    }
    return ERR_OK;
}

static void wait_for_source(struct publisher *publisher)
{
    int fd = publisher->source->poll_fd(publisher->source);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    (void)poll(fd >= 0 ? &ready : NULL, fd >= 0 ? 1 : 0, fd >= 0 ? POLL_MS : 1);
}

// How many messages the set rate allows by now, beyond those that are out.
static size_t allowance(struct publisher *publisher, int64_t start_ns, uint64_t taken)
{
    if (publisher->rate_per_second == 0) {
        return PUBLISHER_COUNT_MAX;
    }
    for (;;) {
        int64_t elapsed_ns = clock_mono_ns(&publisher->clock) - start_ns;
        uint64_t due = (uint64_t)((unsigned __int128)elapsed_ns * publisher->rate_per_second /
                                  (uint64_t)NS_PER_SECOND);
        if (due > taken || stopped(publisher)) {
            uint64_t count = due > taken ? due - taken : 1;
            return count < PUBLISHER_COUNT_MAX ? (size_t)count : PUBLISHER_COUNT_MAX;
        }
        clock_pause_us(&publisher->clock, 1000);
    }
}

static enum err round_of(struct publisher *publisher, struct gathering *gathering, int64_t start_ns,
                         uint64_t *taken)
{
    size_t count_max = allowance(publisher, start_ns, *taken);
    enum err err = wait_for_consumers(publisher);
    if (err == ERR_OK) {
        err = gathering_reset(gathering, count_max);
    }
    if (err != ERR_OK) {
        return err;
    }
    gather(publisher, gathering, count_max);
    *taken += gathering->counts[0] + gathering->counts[1];
    err = publish(publisher, BUS_ORDERS, gathering->outgoing[0], gathering->counts[0]);
    if (err == ERR_OK) {
        err = publish(publisher, BUS_PAYMENTS, gathering->outgoing[1], gathering->counts[1]);
    }
    if (err == ERR_OK && gathering->waiting) {
        wait_for_source(publisher);
    }
    return err;
}

void publisher_run(struct publisher *publisher)
{
    struct gathering gathering;
    enum err err = gathering_init(&gathering);
    int64_t start_ns = clock_mono_ns(&publisher->clock);
    uint64_t taken = 0;
    while (err == ERR_OK && !gathering.ended && !stopped(publisher)) {
        err = round_of(publisher, &gathering, start_ns, &taken);
    }
    if (err != ERR_OK && publisher->err == ERR_OK) {
        struct why why = {0};
        fail(publisher, why_set(&why, err, "cannot gather messages to publish"), &why);
    }
    if (publisher->err != ERR_OK) { // others go on, so nobody may look at err for a long time
        log_error(publisher->log, "publisher", "a source has failed and is read no more",
                  LOG_STR("error", err_name(publisher->err)),
                  LOG_STR("detail", publisher->why.text),
                  LOG_INT("published", atomic_load(&publisher->published)));
    }
    arena_deinit(&gathering.arena);
    atomic_store(&publisher->done, true);
    bus_wake(publisher->bus);
}
