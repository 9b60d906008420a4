// till produce: messages from files to a topic, into the data directory itself.
#include "engine.h"
#include "publisher.h"
#include "signals.h"

#include <poll.h>
#include <pthread.h>

static void *publisher_main(void *argument)
{
    struct publisher *publisher = argument;
    publisher_run(publisher);
    return NULL;
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
    (void)pthread_join(thread, NULL); // it is joinable and joined once
    *in_out_published += atomic_load(&publisher.published);
    return publisher.err == ERR_OK ? ERR_OK : why_set(why, publisher.err, "%s", publisher.why.text);
}

static enum err publish_all(struct command_context *context, struct engine *engine,
                            const struct service_options *options, uint64_t *out_published,
                            struct why *why)
{
    enum err err = ERR_OK;
    *out_published = 0;
    for (size_t i = 0; err == ERR_OK && i < options->source_count; i++) {
        err = publish_source(context, engine, options->sources[i], out_published, why);
    }
    return err;
}

enum err cmd_produce(struct command_context *context, struct why *why)
{
    enum line_topic topic = context->line->choice == 0 ? LINE_ORDERS : LINE_PAYMENTS;
    struct service_options options = {0};
    struct engine engine = {.dir = {.lock_fd = -1}};
    uint64_t published = 0;
    if (context->options->from.count == 0) {
        return why_set(why, ERR_USAGE, "produce: name a file with --from (- is standard input)");
    }
    enum err err = engine_open_sources(context, topic, &options, why);
    if (err != ERR_OK) {
        return err;
    }
    err = engine_open(context, "till produce", false, &engine, why);
    if (err == ERR_OK) {
        err = publish_all(context, &engine, &options, &published, why);
        command_say(context, "%llu messages published", (unsigned long long)published);
    }
    engine_close_sources(&options);
    engine_close(&engine);
    return err;
}
