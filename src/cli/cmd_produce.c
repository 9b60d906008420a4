// till produce: messages from files to a topic, into the data directory itself or through its owner, or to
// Pub/Sub, which needs no directory.
#include "engine.h"
#include "ingest_client.h"
#include "publisher.h"
#include "signals.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>

static void say_published(struct command_context *context, uint64_t count)
{
    command_say(context, "%llu messages published", (unsigned long long)count);
}

static void *publisher_main(void *argument)
{
    struct publisher *publisher = argument;
    publisher_run(publisher);
    return NULL;
}

// What is in hand is published, or given up by the bus, before the thread ends; a service that does not
// answer may make that take long.
static enum err join(struct command_context *context, pthread_t thread, struct why *why)
{
    struct timespec deadline;
    int64_t patience_us = context->config->run_drain_timeout;
    (void)clock_gettime(CLOCK_MONOTONIC, &deadline); // can't fail with this clock
    deadline.tv_sec += (time_t)(patience_us / US_PER_SECOND);
    if (!signals_drain_requested()) {
        (void)pthread_join(thread, NULL); // it is joinable and joined once
        return ERR_OK;
    }
    return pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &deadline) == 0
               ? ERR_OK
               : why_set(why, ERR_DRAIN_TIMEOUT,
                         "what was in hand could not be published within %lld ms",
                         (long long)(patience_us / 1000));
}

// Publishes one source to its end, or until a drain is asked for.
static enum err publish_source(struct command_context *context, struct engine *engine,
                               struct source *source, uint64_t *in_out_published, struct why *why)
{
    atomic_bool stop = false;
    struct publisher publisher = {
        .bus = engine->bus,
        .source = source,
        .clock = context->clock,
        .log = context->log,
        .rate_per_second = (uint64_t)context->options->rate,
        .stop = &stop,
    };
    pthread_t thread;
    if (pthread_create(&thread, NULL, publisher_main, &publisher) != 0) {
        return why_set(why, ERR_NO_MEMORY, "cannot start a thread");
    }
    while (!atomic_load(&publisher.done) && !signals_drain_requested()) {
        struct pollfd drain = {.fd = signals_drain_fd(), .events = POLLIN};
        (void)poll(&drain, 1, 20); // early or late, the loop looks again
    }
    atomic_store(&stop, true);
    enum err joined = join(context, thread, why);
    *in_out_published += atomic_load(&publisher.published);
    if (joined != ERR_OK) { // the thread still uses what is here
        say_published(context, *in_out_published);
        engine_abandon(context, why);
    }
    return publisher.err == ERR_OK ? ERR_OK : why_set(why, publisher.err, "%s", publisher.why.text);
}

static enum err publish_all(struct command_context *context, struct engine *engine,
                            const struct service_options *options, uint64_t *out_published,
                            struct why *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < options->source_count; i++) {
        err = publish_source(context, engine, options->sources[i], out_published, why);
    }
    return err;
}

// --- through the owner ----------------------------------------------------------------------------

#define FLUSH_US (30 * US_PER_SECOND)

// Waits until the source may have more, the next message is due, or a drain is asked for.
static void wait_a_little(struct source *source, bool for_source)
{
    struct pollfd fds[2] = {{.fd = signals_drain_fd(), .events = POLLIN},
                            {.fd = for_source ? source->poll_fd(source) : -1, .events = POLLIN}};
    (void)poll(fds, 2, fds[1].fd >= 0 ? 100 : 1); // early or late, the loop looks again
}

// Whether the set rate allows one more message than `sent` by now.
static bool is_due(struct command_context *context, int64_t start_ns, uint64_t sent)
{
    int64_t rate = context->options->rate;
    int64_t elapsed_ns = clock_mono_ns(&context->clock) - start_ns;
    return rate == 0 || (__int128)elapsed_ns * rate / NS_PER_SECOND > (__int128)sent;
}

static enum err send_source(struct command_context *context, struct ingest_client *client,
                            struct source *source, struct why *why)
{
    int64_t start_ns = clock_mono_ns(&context->clock);
    uint64_t sent = 0;
    uint64_t durable = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && !signals_drain_requested()) {
        struct source_message message;
        if (!is_due(context, start_ns, sent)) {
            wait_a_little(source, false);
            continue;
        }
        switch (source->next(source, &message, why)) {
        case SOURCE_READY:
            err = ingest_client_send(client, message.topic, message.body, why);
            sent++;
            break;
        case SOURCE_WAIT:
            err = ingest_client_flush(client, 0, &durable, why);
            err = err == ERR_TIMEOUT ? ERR_OK : err;
            wait_a_little(source, true);
            break;
        case SOURCE_END:
            return ERR_OK;
        case SOURCE_FAILED:
            return why->code;
        }
    }
    return err == ERR_BUSY && signals_drain_requested() ? ERR_OK : err;
}

static enum err send_all(struct command_context *context, const struct service_options *options,
                         uint64_t *out_published, struct why *why)
{
    struct ingest_client *client = NULL;
    enum err err = ingest_client_connect(context->config->data_dir, &client, why);
    if (err != ERR_OK) {
        return err;
    }
    ingest_client_interrupt_on(client, signals_drain_fd());
    for (size_t i = 0; err == ERR_OK && i < options->source_count; i++) {
        err = send_source(context, client, options->sources[i], why);
    }
    if (err == ERR_OK) {
        err = ingest_client_flush(client, FLUSH_US, out_published, why);
    }
    *out_published = ingest_client_durable(client);
    ingest_client_close(&client);
    return err;
}

// --- the command ------------------------------------------------------------------------------------

// To Pub/Sub, or into the directory itself when it is free, else through the process that owns it.
static enum err publish(struct command_context *context, const struct service_options *options,
                        uint64_t *out_published, struct why *why)
{
    struct engine engine = {.dir = {.lock_fd = -1}};
    struct why owner_why = {0};
    bool on_pubsub = context->config->bus_kind == BUS_KIND_PUBSUB;
    struct engine_needs needs = {0};
    needs.pubsub.publish[context->line->choice == 0 ? BUS_ORDERS : BUS_PAYMENTS] = true;
    enum err err = engine_open(context, "till produce", &needs, &engine, why);
    if (err == ERR_OK) {
        err = publish_all(context, &engine, options, out_published, why);
        engine_close(&engine);
        return on_pubsub ? pubsub_explain(err, why) : err;
    }
    if (err != ERR_LOCKED) {
        return err;
    }
    enum err sent = send_all(context, options, out_published, &owner_why);
    bool nobody_listens = sent == ERR_UNAVAILABLE && *out_published == 0;
    if (nobody_listens) {
        return err; // who owns it, which is more to the point
    }
    return sent == ERR_OK ? ERR_OK : why_set(why, sent, "%s", owner_why.text);
}

enum err cmd_produce(struct command_context *context, struct why *why)
{
    enum line_topic topic = context->line->choice == 0 ? LINE_ORDERS : LINE_PAYMENTS;
    struct service_options options = {0};
    uint64_t published = 0;
    if (context->options->from.count == 0) {
        return why_set(why, ERR_USAGE, "produce: name a file with --from (- is standard input)");
    }
    enum err err = engine_open_sources(context, topic, &options, why);
    if (err != ERR_OK) {
        return err;
    }
    err = publish(context, &options, &published, why);
    say_published(context, published);
    engine_close_sources(&options);
    return err;
}
