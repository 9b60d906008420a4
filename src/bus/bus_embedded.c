// The bus on the embedded broker. Topics and subscriptions carry the names of contract.md; a message's id
// is the first digits of the log's id and its sequence, so that ids of a new log never meet old ones.
#include "bus_embedded.h"

#include "broker.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ID_PREFIX_SIZE     8u                          // digits of the log's id
#define ID_SIZE_MAX        (ID_PREFIX_SIZE + 1u + 20u) // "5fa3c21b-18446744073709551615"
#define HANDLE_CHUNK_COUNT 256u

struct bus_embedded {
    struct bus bus; // first
    struct broker *broker;
    bool read_only;
    uint32_t topics[BUS_TOPIC_COUNT];
    uint32_t subscriptions[BUS_TOPIC_COUNT];
};

// What a thread's pulls that found nothing have seen since its last wait, for bus_wait. Of one bus only:
// a thread that uses two in turn waits until its timeout at worst.
static _Thread_local struct {
    const struct bus_embedded *bus;
    uint64_t generation;
} found_nothing;

static struct bus_embedded *embedded_of(struct bus *bus)
{
    return (struct bus_embedded *)bus;
}

static enum err refuse_read_only(const struct bus_embedded *self, struct why *why)
{
    return self->read_only
               ? why_set(why, ERR_READ_ONLY, "the topic log was opened for looking at it only")
               : ERR_OK;
}

static enum err publish(struct bus *bus, enum bus_topic topic, const struct bus_outgoing *messages,
                        size_t count, struct why *why)
{
    struct bus_embedded *self = embedded_of(bus);
    enum err err = refuse_read_only(self, why);
    if (err != ERR_OK || count == 0) {
        return err;
    }
    if (count > BROKER_PUBLISH_COUNT_MAX) {
        return why_set(why, ERR_TOO_LARGE, "%zu messages in one call; the limit is %u", count,
                       BROKER_PUBLISH_COUNT_MAX);
    }
    struct broker_outgoing *outgoing = malloc(count * sizeof(*outgoing));
    if (outgoing == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory to publish %zu messages", count);
    }
    for (size_t i = 0; i < count; i++) {
        outgoing[i].data = messages[i].data;
        outgoing[i].attributes = messages[i].attributes;
    }
    err = broker_publish(self->broker, self->topics[topic], outgoing, count, why);
    free(outgoing);
    return err;
}

static void note_found_nothing(const struct bus_embedded *self, uint64_t generation)
{
    if (found_nothing.bus != self) {
        found_nothing.bus = self;
        found_nothing.generation = generation;
    }
}

// "5fa3c21b-42" into `out`; its size.
static size_t format_id(const struct bus *bus, uint64_t sequence, char out[ID_SIZE_MAX])
{
    char digits[20];
    size_t count = 0;
    for (; sequence > 0; sequence /= 10) {
        digits[sizeof(digits) - ++count] = (char)('0' + sequence % 10);
    }
    memcpy(out, bus->log_id.data, ID_PREFIX_SIZE);
    out[ID_PREFIX_SIZE] = '-';
    memcpy(out + ID_PREFIX_SIZE + 1, digits + sizeof(digits) - count, count);
    return ID_PREFIX_SIZE + 1 + count;
}

// Fills `out` from what the broker gave. The pull left room for it.
static struct bus_message *convert(const struct bus *bus, const struct broker_message *messages,
                                   size_t count, struct arena *arena)
{
    struct bus_message *out = ARENA_ARRAY(arena, struct bus_message, count);
    char *ids = arena_alloc(arena, count * ID_SIZE_MAX);
    assert(out != NULL && ids != NULL);
    for (size_t i = 0; i < count; i++) {
        size_t id_size = format_id(bus, messages[i].sequence, ids);
        out[i] = (struct bus_message){
            .message_id = {ids, id_size},
            .sequence = messages[i].sequence,
            .published_us = messages[i].published_us,
            .delivery_attempt = messages[i].delivery_attempt,
            .data = messages[i].data,
            .attributes = messages[i].attributes,
            .handle = {.number = messages[i].handle},
        };
        ids += id_size;
    }
    return out;
}

static enum err pull(struct bus *bus, enum bus_topic subscription, size_t count_max,
                     size_t size_max, struct arena *arena, struct bus_message **out_messages,
                     size_t *out_count, struct why *why)
{
    struct bus_embedded *self = embedded_of(bus);
    enum err err = refuse_read_only(self, why);
    if (err != ERR_OK) {
        return err;
    }
    const struct broker_pull_limits limits = {
        .count_max = count_max,
        .size_max = size_max,
        .overhead_size = sizeof(struct bus_message) + ID_SIZE_MAX + ARENA_ALIGNMENT,
    };
    uint64_t generation = broker_generation(self->broker);
    struct broker_message *messages = NULL;
    size_t count = 0;
    err = broker_pull(self->broker, self->subscriptions[subscription], &limits, arena, &messages,
                      &count, why);
    if (err != ERR_OK) {
        return err;
    }
    if (count == 0) {
        note_found_nothing(self, generation);
    }
    *out_messages = count > 0 ? convert(bus, messages, count, arena) : NULL;
    *out_count = count;
    return ERR_OK;
}

typedef enum err handles_function(struct bus_embedded *self, uint32_t subscription,
                                  const uint64_t *handles, size_t count, int64_t lease_us,
                                  struct why *why);

static enum err do_ack(struct bus_embedded *self, uint32_t subscription, const uint64_t *handles,
                       size_t count, int64_t lease_us, struct why *why)
{
    (void)lease_us;
    return broker_ack(self->broker, subscription, handles, count, why);
}

static enum err do_nack(struct bus_embedded *self, uint32_t subscription, const uint64_t *handles,
                        size_t count, int64_t lease_us, struct why *why)
{
    (void)lease_us;
    return broker_nack(self->broker, subscription, handles, count, why);
}

static enum err do_extend(struct bus_embedded *self, uint32_t subscription, const uint64_t *handles,
                          size_t count, int64_t lease_us, struct why *why)
{
    return broker_extend(self->broker, subscription, handles, count, lease_us, why);
}

static enum err with_handles(struct bus *bus, enum bus_topic subscription,
                             const struct bus_handle *handles, size_t count, int64_t lease_us,
                             handles_function *function, struct why *why)
{
    struct bus_embedded *self = embedded_of(bus);
    enum err err = refuse_read_only(self, why);
    uint64_t numbers[HANDLE_CHUNK_COUNT];
    for (size_t done = 0; done < count && err == ERR_OK;) {
        size_t chunk = count - done < HANDLE_CHUNK_COUNT ? count - done : HANDLE_CHUNK_COUNT;
        for (size_t i = 0; i < chunk; i++) {
            numbers[i] = handles[done + i].number;
        }
        err = function(self, self->subscriptions[subscription], numbers, chunk, lease_us, why);
        done += chunk;
    }
    return err;
}

static enum err ack(struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles,
                    size_t count, struct why *why)
{
    return with_handles(bus, subscription, handles, count, 0, do_ack, why);
}

static enum err nack(struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles,
                     size_t count, struct why *why)
{
    return with_handles(bus, subscription, handles, count, 0, do_nack, why);
}

static enum err extend(struct bus *bus, enum bus_topic subscription,
                       const struct bus_handle *handles, size_t count, int64_t lease_us,
                       struct why *why)
{
    return with_handles(bus, subscription, handles, count, lease_us, do_extend, why);
}

static enum err wait_for_messages(struct bus *bus, int64_t timeout_us, struct why *why)
{
    struct bus_embedded *self = embedded_of(bus);
    enum err err = refuse_read_only(self, why);
    if (err != ERR_OK) {
        return err;
    }
    uint64_t seen =
        found_nothing.bus == self ? found_nothing.generation : broker_generation(self->broker);
    broker_wait(self->broker, seen, timeout_us);
    found_nothing.bus = NULL;
    return ERR_OK;
}

static void wake(struct bus *bus)
{
    broker_wake(embedded_of(bus)->broker);
}

static enum err backlog(struct bus *bus, enum bus_topic subscription,
                        struct bus_backlog *out_backlog, struct why *why)
{
    struct bus_embedded *self = embedded_of(bus);
    struct broker_backlog figures = {0};
    enum err err = broker_backlog(self->broker, self->subscriptions[subscription], &figures, why);
    if (err == ERR_OK) {
        *out_backlog = (struct bus_backlog){
            .published = figures.published,
            .unacked = figures.unacked,
            .leased = figures.leased,
            .oldest_unacked_us = figures.oldest_unacked_us,
        };
    }
    return err;
}

static void close_embedded(struct bus *bus)
{
    struct bus_embedded *self = embedded_of(bus);
    if (found_nothing.bus == self) {
        found_nothing.bus = NULL;
    }
    broker_close(&self->broker);
    free(self);
}

static const struct bus_ops embedded_ops = {
    .publish = publish,
    .pull = pull,
    .ack = ack,
    .nack = nack,
    .extend = extend,
    .wait = wait_for_messages,
    .backlog = backlog,
    .wake = wake,
    .close = close_embedded,
};

static enum err make_topics(struct bus_embedded *self, struct why *why)
{
    enum err err = ERR_OK;
    for (int i = 0; i < BUS_TOPIC_COUNT && err == ERR_OK; i++) {
        struct text topic = bus_topic_name((enum bus_topic)i);
        struct text subscription = bus_subscription_name((enum bus_topic)i);
        err = broker_topic_create(self->broker, topic, &self->topics[i], why);
        if (err == ERR_OK) {
            err = broker_subscription_create(self->broker, self->topics[i], subscription,
                                             &self->subscriptions[i], why);
        }
    }
    return err;
}

enum err bus_embedded_open(const struct bus_embedded_options *options, struct bus **out_bus,
                           struct why *why)
{
    const struct broker_options broker_options = {
        .path = options->path,
        .clock = options->clock,
        .lease_us = options->lease_us,
        .backlog_max = options->backlog_max,
        .size_max = options->size_max,
        .read_only = options->read_only,
    };
    struct bus_embedded *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory to open %s", options->path);
    }
    self->bus.ops = &embedded_ops;
    self->read_only = options->read_only;
    enum err err = broker_open(&broker_options, &self->broker, why);
    if (err == ERR_OK) {
        self->bus.log_id = broker_log_id(self->broker);
        err = make_topics(self, why);
    }
    if (err != ERR_OK) {
        close_embedded(&self->bus);
        return err;
    }
    *out_bus = &self->bus;
    return ERR_OK;
}
