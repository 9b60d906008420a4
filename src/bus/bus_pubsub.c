// The bus on a Pub/Sub client: a publisher for each topic, a subscriber for each subscription that is
// pulled. Handles are the subscriber's own numbers.
#include "bus_pubsub.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HELD_COUNT_DEFAULT 10000u
#define HELD_SIZE_DEFAULT  (64u * 1024u * 1024u)
#define PUBLISH_DEFAULT_US (30 * US_PER_SECOND)
#define ATTEMPT_US         (20 * US_PER_SECOND)
#define LINGER_US          INT64_C(5000) // ended early by every bus_publish
#define ACK_LINGER_US      INT64_C(2000)
#define CHUNK_COUNT        256u

struct bus_pubsub {
    struct bus bus; // first
    struct pubsub *client;
    struct bus_pubsub_options options; // without names
    char *subscriptions[BUS_TOPIC_COUNT];
    struct pubsub_publisher *publishers[BUS_TOPIC_COUNT];
    pthread_mutex_t lock;                                   // of the next
    struct pubsub_subscriber *subscribers[BUS_TOPIC_COUNT]; // NULL before the first pull
};

// What a thread's pulls that found nothing have seen since its last wait, for bus_wait. Of one bus only:
// a thread that uses two in turn waits until its timeout at worst.
static _Thread_local struct {
    const struct bus_pubsub *bus;
    uint64_t arrivals;
} found_nothing;

static struct bus_pubsub *pubsub_of(struct bus *bus)
{
    return (struct bus_pubsub *)bus;
}

// --- publishing ---------------------------------------------------------------------------------

static struct pubsub_outgoing outgoing_of(const struct bus_outgoing *message)
{
    return (struct pubsub_outgoing){.data = message->data, .attributes = message->attributes};
}

static enum err check_all(const struct pubsub_publisher *publisher,
                          const struct bus_outgoing *messages, size_t count, struct why *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        struct pubsub_outgoing outgoing = outgoing_of(&messages[i]);
        err = pubsub_publish_check(publisher, &outgoing, why);
        if (err != ERR_OK) {
            why_prefix(why, "message %zu of %zu", i + 1, count);
        }
    }
    return err;
}

static enum err publish(struct bus *bus, enum bus_topic topic, const struct bus_outgoing *messages,
                        size_t count, struct why *why)
{
    struct pubsub_publisher *publisher = pubsub_of(bus)->publishers[topic];
    if (count == 0) {
        return ERR_OK;
    }
    enum err err = check_all(publisher, messages, count, why); // nothing goes out when one is bad
    struct pubsub_outgoing *outgoing = err == ERR_OK ? malloc(count * sizeof(*outgoing)) : NULL;
    if (outgoing == NULL) {
        return err != ERR_OK
                   ? err
                   : why_set(why, ERR_NO_MEMORY, "no memory to publish %zu messages", count);
    }
    for (size_t i = 0; i < count; i++) {
        outgoing[i] = outgoing_of(&messages[i]);
    }
    err = pubsub_publish_all(publisher, outgoing, count, why);
    free(outgoing);
    return err;
}

// --- pulling ------------------------------------------------------------------------------------

static struct text name_or(const char *configured, struct text usual)
{
    return configured != NULL ? text_of(configured) : usual;
}

static enum err open_subscriber(struct bus_pubsub *self, enum bus_topic subscription,
                                struct why *why)
{
    const struct bus_pubsub_options *options = &self->options;
    const struct pubsub_subscriber_options subscriber_options = {
        .subscription =
            name_or(options->subscriptions[subscription], bus_subscription_name(subscription)),
        .way = options->way,
        .receivers = options->receivers,
        .held_count_max =
            options->held_count_max > 0 ? options->held_count_max : HELD_COUNT_DEFAULT,
        .held_size_max = options->held_size_max > 0 ? options->held_size_max : HELD_SIZE_DEFAULT,
        .first_lease_us = options->first_lease_us,
        .hold_us = options->lease_us,
        .ack_linger_us = ACK_LINGER_US,
    };
    return pubsub_subscriber_open(self->client, &subscriber_options,
                                  &self->subscribers[subscription], why);
}

// NULL when it was never pulled.
static struct pubsub_subscriber *subscriber_of(struct bus_pubsub *self, enum bus_topic subscription)
{
    pthread_mutex_lock(&self->lock);
    struct pubsub_subscriber *subscriber = self->subscribers[subscription];
    pthread_mutex_unlock(&self->lock);
    return subscriber;
}

static enum err subscriber_to_pull(struct bus_pubsub *self, enum bus_topic subscription,
                                   struct pubsub_subscriber **out_subscriber, struct why *why)
{
    pthread_mutex_lock(&self->lock);
    enum err err =
        self->subscribers[subscription] == NULL ? open_subscriber(self, subscription, why) : ERR_OK;
    *out_subscriber = self->subscribers[subscription];
    pthread_mutex_unlock(&self->lock);
    return err;
}

static struct bus_message *convert(const struct pubsub_message *messages, size_t count,
                                   struct arena *arena)
{
    struct bus_message *out = ARENA_ARRAY(arena, struct bus_message, count);
    assert(out != NULL); // the take left room for it
    for (size_t i = 0; i < count; i++) {
        uint32_t attempt = messages[i].delivery_attempt;
        out[i] = (struct bus_message){
            .message_id = messages[i].message_id,
            .published_us = messages[i].published_us,
            .delivery_attempt = attempt > 0 ? attempt : 1, // not every subscription counts
            .data = messages[i].data,
            .attributes = messages[i].attributes,
            .handle = {.number = messages[i].handle},
        };
    }
    return out;
}

static void note_found_nothing(const struct bus_pubsub *self, uint64_t arrivals)
{
    if (found_nothing.bus != self) {
        found_nothing.bus = self;
        found_nothing.arrivals = arrivals;
    }
}

static enum err pull(struct bus *bus, enum bus_topic subscription, size_t count_max,
                     size_t size_max, struct arena *arena, struct bus_message **out_messages,
                     size_t *out_count, struct why *why)
{
    struct bus_pubsub *self = pubsub_of(bus);
    struct pubsub_subscriber *subscriber = NULL;
    const struct pubsub_take_limits limits = {count_max, size_max, sizeof(struct bus_message)};
    struct pubsub_message *messages = NULL;
    size_t count = 0;
    uint64_t arrivals = pubsub_arrivals(self->client);
    enum err err = subscriber_to_pull(self, subscription, &subscriber, why);
    if (err == ERR_OK) {
        err = pubsub_take(subscriber, &limits, arena, &messages, &count, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (count == 0) {
        note_found_nothing(self, arrivals);
    }
    *out_messages = count > 0 ? convert(messages, count, arena) : NULL;
    *out_count = count;
    return ERR_OK;
}

// --- settling -----------------------------------------------------------------------------------

enum settling { ACK, NACK, EXTEND };

static void settle_chunk(struct pubsub_subscriber *subscriber, enum settling what,
                         const uint64_t *numbers, size_t count, int64_t lease_us)
{
    switch (what) {
    case ACK:
        pubsub_ack(subscriber, numbers, count);
        break;
    case NACK:
        pubsub_nack(subscriber, numbers, count);
        break;
    case EXTEND:
        pubsub_extend(subscriber, numbers, count, lease_us);
        break;
    }
}

static enum err settle(struct bus *bus, enum bus_topic subscription, enum settling what,
                       const struct bus_handle *handles, size_t count, int64_t lease_us)
{
    struct pubsub_subscriber *subscriber = subscriber_of(pubsub_of(bus), subscription);
    uint64_t numbers[CHUNK_COUNT];
    for (size_t done = 0; done < count && subscriber != NULL;) {
        size_t chunk = count - done < CHUNK_COUNT ? count - done : CHUNK_COUNT;
        for (size_t i = 0; i < chunk; i++) {
            numbers[i] = handles[done + i].number;
        }
        settle_chunk(subscriber, what, numbers, chunk, lease_us);
        done += chunk;
    }
    return ERR_OK; // in the background from here on
}

static enum err ack(struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles,
                    size_t count, struct why *why)
{
    (void)why;
    return settle(bus, subscription, ACK, handles, count, 0);
}

static enum err nack(struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles,
                     size_t count, struct why *why)
{
    (void)why;
    return settle(bus, subscription, NACK, handles, count, 0);
}

static enum err extend(struct bus *bus, enum bus_topic subscription,
                       const struct bus_handle *handles, size_t count, int64_t lease_us,
                       struct why *why)
{
    (void)why;
    return settle(bus, subscription, EXTEND, handles, count, lease_us);
}

// --- waiting ------------------------------------------------------------------------------------

static enum err wait_for_messages(struct bus *bus, int64_t timeout_us, struct why *why)
{
    struct bus_pubsub *self = pubsub_of(bus);
    (void)why;
    uint64_t seen =
        found_nothing.bus == self ? found_nothing.arrivals : pubsub_arrivals(self->client);
    pubsub_wait(self->client, seen, timeout_us);
    found_nothing.bus = NULL;
    return ERR_OK;
}

static void wake(struct bus *bus)
{
    pubsub_wake(pubsub_of(bus)->client);
}

struct pubsub_subscriber_figures bus_pubsub_figures(struct bus *bus, enum bus_topic subscription)
{
    struct pubsub_subscriber *subscriber = subscriber_of(pubsub_of(bus), subscription);
    return subscriber != NULL ? pubsub_subscriber_figures(subscriber)
                              : (struct pubsub_subscriber_figures){0};
}

// Pub/Sub tells backlogs through another service, minutes late; so only what is here is counted.
static enum err backlog(struct bus *bus, enum bus_topic subscription,
                        struct bus_backlog *out_backlog, struct why *why)
{
    struct pubsub_subscriber_figures figures = bus_pubsub_figures(bus, subscription);
    (void)why;
    *out_backlog = (struct bus_backlog){.unacked = figures.held, .leased = figures.held};
    return ERR_OK;
}

// --- opening and closing ------------------------------------------------------------------------

static void close_pubsub(struct bus *bus)
{
    struct bus_pubsub *self = pubsub_of(bus);
    if (found_nothing.bus == self) {
        found_nothing.bus = NULL;
    }
    for (int i = 0; i < BUS_TOPIC_COUNT; i++) {
        pubsub_subscriber_close(&self->subscribers[i]);
        pubsub_publisher_close(&self->publishers[i]);
        free(self->subscriptions[i]);
    }
    pubsub_close(&self->client);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static const struct bus_ops pubsub_ops = {
    .publish = publish,
    .pull = pull,
    .ack = ack,
    .nack = nack,
    .extend = extend,
    .wait = wait_for_messages,
    .backlog = backlog,
    .wake = wake,
    .close = close_pubsub,
};

static enum err copy_names(struct bus_pubsub *self, const struct bus_pubsub_options *options,
                           struct why *why)
{
    for (int i = 0; i < BUS_TOPIC_COUNT; i++) {
        struct text name =
            name_or(options->subscriptions[i], bus_subscription_name((enum bus_topic)i));
        self->subscriptions[i] = strndup(name.data, name.size);
        if (self->subscriptions[i] == NULL) {
            return why_set(why, ERR_NO_MEMORY, "no memory for a bus");
        }
    }
    return ERR_OK;
}

static enum err open_publishers(struct bus_pubsub *self, const struct bus_pubsub_options *options,
                                struct why *why)
{
    enum err err = ERR_OK;
    for (int i = 0; i < BUS_TOPIC_COUNT && err == ERR_OK; i++) {
        const struct pubsub_publisher_options publisher_options = {
            .topic = name_or(options->topics[i], bus_topic_name((enum bus_topic)i)),
            .linger_us = LINGER_US,
            .when_full = PUBSUB_WHEN_FULL_WAIT,
            .attempt_us = ATTEMPT_US,
            .total_us = options->publish_us > 0 ? options->publish_us : PUBLISH_DEFAULT_US,
        };
        err = pubsub_publisher_open(self->client, &publisher_options, &self->publishers[i], why);
    }
    return err;
}

enum err bus_pubsub_open_on(struct pubsub *client, const struct bus_pubsub_options *options,
                            struct bus **out_bus, struct why *why)
{
    struct bus_pubsub *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        pubsub_close(&client);
        return why_set(why, ERR_NO_MEMORY, "no memory for a bus");
    }
    self->bus.ops = &pubsub_ops;
    self->client = client;
    self->options = *options;
    pthread_mutex_init(&self->lock, NULL);
    enum err err = copy_names(self, options, why);
    if (err == ERR_OK) {
        err = open_publishers(self, options, why);
    }
    if (err != ERR_OK) {
        close_pubsub(&self->bus);
        return err;
    }
    *out_bus = &self->bus;
    return ERR_OK;
}

enum err bus_pubsub_open(const struct bus_pubsub_options *options, struct bus **out_bus,
                         struct why *why)
{
    struct pubsub *client = NULL;
    enum err err = pubsub_open(&options->client, &client, why);
    return err == ERR_OK ? bus_pubsub_open_on(client, options, out_bus, why) : err;
}
