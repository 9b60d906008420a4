// The broker: what it holds of each topic, and the calls of the seam on it.
//
// A message is available from the end of its delay until it is leased, and again when the lease ends.
// Every call takes a while; what it does happens at its beginning or at its end, by chance, so that
// deaths and other processes come in before as well as after.
#include "bus_sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct held {
    struct sim_message message;
    uint32_t attempts;
    uint64_t deliveries; // number of the latest one
    uint64_t valid_from; // handles of earlier deliveries are expired
    int64_t lease_end_us;
    bool queued; // among the available
    bool forced; // there although it is leased or acked
};

struct topic {
    struct held *items; // on the heap
    size_t count;
    size_t cap;
    size_t *available; // indexes, in no order; on the heap
    size_t available_count;
    size_t available_cap;
    size_t unacked;
};

struct sim_broker {
    struct broker_options options;
    struct topic topics[BUS_TOPIC_COUNT];
    struct bus_sim *waiting; // who waits for a message
    int64_t last_published_us;
    uint64_t news; // times at which something became available
    uint64_t faults;
    uint64_t deliveries;
    sim_broker_acked_fn *acked;
    void *acked_context;
};

struct bus_sim {
    struct bus bus;
    struct sim_broker *broker;
    struct task *task;
    struct bus_sim *next_waiting;
    bool waits;
    uint64_t seen; // of the broker's news
};

static struct sim *sim_of(const struct sim_broker *broker)
{
    return broker->options.sim;
}

struct sim_broker *sim_broker_create(const struct broker_options *options)
{
    struct sim_broker *broker = sim_alloc(options->sim, sizeof(*broker));
    broker->options = *options;
    return broker;
}

void sim_broker_destroy(struct sim_broker **broker)
{
    for (size_t i = 0; *broker != NULL && i < BUS_TOPIC_COUNT; i++) {
        free((*broker)->topics[i].items);
        free((*broker)->topics[i].available);
    }
    *broker = NULL;
}

struct broker_weather *sim_broker_weather(struct sim_broker *broker)
{
    return &broker->options.weather;
}

uint64_t sim_broker_faults(const struct sim_broker *broker)
{
    return broker->faults;
}

uint64_t sim_broker_deliveries(const struct sim_broker *broker)
{
    return broker->deliveries;
}

static void *grow(void *items, size_t *cap, size_t size)
{
    *cap = *cap == 0 ? 256 : *cap * 2;
    void *grown = realloc(items, *cap * size);
    if (grown == NULL) {
        abort();
    }
    return grown;
}

static bool strikes(struct sim_broker *broker, uint32_t ppm)
{
    bool hit = ppm > 0 && rand_chance_ppm(sim_rand(sim_of(broker)), ppm);
    broker->faults += hit;
    return hit;
}

// --- what is available ----------------------------------------------------------------------------

static void wake_waiting(struct sim_broker *broker)
{
    broker->news++;
    while (broker->waiting != NULL) {
        struct bus_sim *bus = broker->waiting;
        broker->waiting = bus->next_waiting;
        bus->waits = false;
        task_wake(bus->task);
    }
}

static void make_available(struct sim_broker *broker, enum bus_topic name, size_t index)
{
    struct topic *topic = &broker->topics[name];
    struct held *held = &topic->items[index];
    if (held->queued || (held->message.acked && !held->forced)) {
        return;
    }
    if (topic->available_count == topic->available_cap) {
        topic->available = grow(topic->available, &topic->available_cap, sizeof(size_t));
    }
    held->queued = true;
    topic->available[topic->available_count++] = index;
    wake_waiting(broker);
}

// Messages that become available later, together.
struct later {
    struct sim_broker *broker;
    enum bus_topic topic;
    size_t count;
    struct {
        size_t index;
        uint64_t delivery; // whose lease this is; 0: none
    } items[];
};

static struct later *later_new(struct sim_broker *broker, enum bus_topic topic, size_t count)
{
    struct later *later =
        sim_alloc(sim_of(broker), sizeof(*later) + count * sizeof(later->items[0]));
    later->broker = broker;
    later->topic = topic;
    return later;
}

static void on_available(void *context)
{
    const struct later *later = context;
    for (size_t i = 0; i < later->count; i++) {
        make_available(later->broker, later->topic, later->items[i].index);
    }
}

static void on_lease_end(void *context)
{
    struct later *later = context;
    struct sim *sim = sim_of(later->broker);
    size_t kept = 0;
    int64_t next_us = INT64_MAX;
    for (size_t i = 0; i < later->count; i++) {
        struct held *held = &later->broker->topics[later->topic].items[later->items[i].index];
        bool mine = held->deliveries == later->items[i].delivery &&
                    held->valid_from <= held->deliveries && !held->message.acked;
        if (mine && held->lease_end_us > sim_now_us(sim)) { // it was extended
            next_us = held->lease_end_us < next_us ? held->lease_end_us : next_us;
            later->items[kept++] = later->items[i];
        } else if (mine) {
            held->valid_from = held->deliveries + 1;
            make_available(later->broker, later->topic, later->items[i].index);
        }
    }
    later->count = kept;
    if (kept > 0) {
        sim_at(sim, next_us, on_lease_end, later);
    }
}

// --- publishing -----------------------------------------------------------------------------------

static struct text copy_text(struct sim *sim, struct text text)
{
    char *copy = sim_alloc(sim, text.size + 1);
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    return (struct text){copy, text.size};
}

static struct attributes copy_attributes(struct sim *sim, struct attributes attributes)
{
    struct attribute *items = sim_alloc(sim, (attributes.count + 1) * sizeof(items[0]));
    for (size_t i = 0; i < attributes.count; i++) {
        items[i].key = copy_text(sim, attributes.items[i].key);
        items[i].value = copy_text(sim, attributes.items[i].value);
    }
    return (struct attributes){items, attributes.count};
}

static struct text message_id_of(struct sim *sim, size_t number)
{
    char id[32];
    int size = snprintf(id, sizeof(id), "m%zu", number);
    return copy_text(sim, (struct text){id, (size_t)size});
}

// The embedded broker's stamps are strictly increasing; Google's may be equal.
static int64_t stamp(struct sim_broker *broker)
{
    int64_t now_us = sim_now_us(sim_of(broker));
    if (broker->options.ordered && now_us <= broker->last_published_us) {
        now_us = broker->last_published_us + 1;
    }
    broker->last_published_us = now_us;
    return now_us;
}

void sim_broker_publish(struct sim_broker *broker, enum bus_topic name, struct text data,
                        struct attributes attributes)
{
    struct sim *sim = sim_of(broker);
    struct topic *topic = &broker->topics[name];
    if (topic->count == topic->cap) {
        topic->items = grow(topic->items, &topic->cap, sizeof(topic->items[0]));
    }
    struct held *held = &topic->items[topic->count++];
    *held = (struct held){
        .message = {.message_id = message_id_of(sim, topic->count),
                    .sequence = topic->count,
                    .published_us = stamp(broker),
                    .data = copy_text(sim, data),
                    .attributes = copy_attributes(sim, attributes)},
        .valid_from = 1,
    };
    topic->unacked++;
    sim_note(sim, 'p', (uint64_t)name << 32 | topic->count);
    sim_trace(sim, "published to %.*s: m%zu %.*s", TEXT_PRINT(bus_topic_name(name)), topic->count,
              TEXT_PRINT(held->message.data));
    int64_t delay_max_us = broker->options.weather.delay_max_us;
    int64_t delay_us = delay_max_us > 0 && !broker->options.ordered
                           ? rand_between(sim_rand(sim), 0, delay_max_us)
                           : 0;
    if (delay_us == 0) {
        make_available(broker, name, topic->count - 1);
        return;
    }
    struct later *later = later_new(broker, name, 1);
    later->items[later->count++].index = topic->count - 1;
    sim_at(sim, sim_now_us(sim) + delay_us, on_available, later);
}

// --- looking from outside -------------------------------------------------------------------------

size_t sim_broker_message_count(const struct sim_broker *broker, enum bus_topic topic)
{
    return broker->topics[topic].count;
}

const struct sim_message *sim_broker_message(const struct sim_broker *broker, enum bus_topic topic,
                                             size_t index)
{
    assert(index < broker->topics[topic].count);
    return &broker->topics[topic].items[index].message;
}

size_t sim_broker_unacked(const struct sim_broker *broker, enum bus_topic topic)
{
    return broker->topics[topic].unacked;
}

void sim_broker_on_acked(struct sim_broker *broker, sim_broker_acked_fn *acked, void *context)
{
    broker->acked = acked;
    broker->acked_context = context;
}

// --- a call ---------------------------------------------------------------------------------------

static struct sim_broker *broker_of(struct bus *base)
{
    return ((struct bus_sim *)base)->broker;
}

static enum err alive(struct sim_broker *broker, struct why *why)
{
    const struct task *task = task_current(sim_of(broker));
    return task != NULL && task_killed(task) ? why_set(why, ERR_CLOSED, "the process has ended")
                                             : ERR_OK;
}

static void take_a_while(struct sim_broker *broker)
{
    struct sim *sim = sim_of(broker);
    if (task_current(sim) != NULL) {
        (void)task_sleep(sim,
                         rand_between(sim_rand(sim), 0, broker->options.weather.latency_max_us));
    }
}

// The first half of a call. *out_late: what it does is to happen at its end.
static enum err enter(struct sim_broker *broker, bool *out_late, struct why *why)
{
    enum err err = alive(broker, why);
    *out_late = err == ERR_OK && rand_below(sim_rand(sim_of(broker)), 2) == 0;
    if (*out_late) {
        take_a_while(broker);
        err = alive(broker, why);
    }
    return err;
}

static enum err leave(struct sim_broker *broker, bool late, bool failed, struct why *why)
{
    if (!late) {
        take_a_while(broker);
    }
    enum err err = alive(broker, why);
    return err == ERR_OK && failed ? why_set(why, ERR_UNAVAILABLE, "the broker did not answer")
                                   : err;
}

// A dead letter of VARIANT_UNAWAITED_DEAD_LETTER on its way out.
struct unawaited {
    struct sim_broker *broker;
    enum bus_topic topic;
    struct task *task;
    struct text data;
    struct attributes attributes;
};

static void publish_unawaited(void *context)
{
    const struct unawaited *letter = context;
    if (!task_killed(letter->task)) {
        sim_broker_publish(letter->broker, letter->topic, letter->data, letter->attributes);
    }
}

static void publish_later(struct sim_broker *broker, enum bus_topic topic,
                          const struct bus_outgoing *message)
{
    struct sim *sim = sim_of(broker);
    struct unawaited *letter = sim_alloc(sim, sizeof(*letter));
    *letter = (struct unawaited){broker, topic, task_current(sim), copy_text(sim, message->data),
                                 copy_attributes(sim, message->attributes)};
    sim_at(sim, sim_now_us(sim) + rand_between(sim_rand(sim), 0, 200000), publish_unawaited,
           letter);
}

static enum err publish(struct bus *base, enum bus_topic topic, const struct bus_outgoing *messages,
                        size_t count, struct why *why)
{
    struct sim_broker *broker = broker_of(base);
    bool late = false;
    enum err err = enter(broker, &late, why);
    if (err != ERR_OK) {
        return err;
    }
    bool unawaited = broker->options.variant == VARIANT_UNAWAITED_DEAD_LETTER &&
                     topic >= BUS_ORDERS_DLQ && task_current(sim_of(broker)) != NULL;
    bool failed = strikes(broker, broker->options.weather.publish_failed_ppm);
    bool in_part = failed && rand_below(sim_rand(sim_of(broker)), 2) == 0;
    size_t published = failed && !in_part ? 0 : count;
    if (in_part && !broker->options.ordered) {
        published = (size_t)rand_below(sim_rand(sim_of(broker)), count + 1);
    }
    for (size_t i = 0; i < (unawaited ? count : published); i++) {
        if (unawaited) {
            publish_later(broker, topic, &messages[i]);
        } else {
            sim_broker_publish(broker, topic, messages[i].data, messages[i].attributes);
        }
    }
    return leave(broker, late, failed && !unawaited, why);
}

// --- pull -----------------------------------------------------------------------------------------

static int compare_indexes(const void *a, const void *b)
{
    size_t one = *(const size_t *)a;
    size_t other = *(const size_t *)b;
    return one < other ? 1 : -(one > other); // the first one last: it is taken from the end
}

static void deliver(struct sim_broker *broker, enum bus_topic name, size_t index,
                    struct bus_message *out_message)
{
    struct held *held = &broker->topics[name].items[index];
    const struct sim_message *message = &held->message;
    held->attempts++;
    held->deliveries++;
    held->lease_end_us = sim_now_us(sim_of(broker)) + broker->options.weather.lease_us;
    broker->deliveries++;
    *out_message = (struct bus_message){
        .message_id = message->message_id,
        .sequence = broker->options.ordered ? message->sequence : 0,
        .published_us = message->published_us,
        .delivery_attempt = held->attempts,
        .data = message->data,
        .attributes = message->attributes,
        .handle = {.number = (uint64_t)index << 24 | (held->deliveries & 0xFFFFFF)},
    };
    sim_note(sim_of(broker), 'd', (uint64_t)name << 32 | index);
    sim_trace(sim_of(broker), "delivered from %.*s: %.*s, attempt %u",
              TEXT_PRINT(bus_topic_name(name)), TEXT_PRINT(message->message_id), held->attempts);
}

static void maybe_deliver_twice(struct sim_broker *broker, enum bus_topic name, size_t index)
{
    if (!strikes(broker, broker->options.weather.twice_ppm)) {
        return;
    }
    struct sim *sim = sim_of(broker);
    broker->topics[name].items[index].forced = true;
    struct later *later = later_new(broker, name, 1);
    later->items[later->count++].index = index;
    int64_t lease_us = broker->options.weather.lease_us;
    sim_at(sim, sim_now_us(sim) + rand_between(sim_rand(sim), 0, lease_us), on_available, later);
}

static size_t lease_some(struct sim_broker *broker, enum bus_topic name, size_t count_max,
                         size_t size_max, struct bus_message *messages)
{
    struct topic *topic = &broker->topics[name];
    struct later *leases = later_new(broker, name, count_max);
    size_t size = 0;
    if (broker->options.ordered && topic->available_count > 1) {
        qsort(topic->available, topic->available_count, sizeof(size_t), compare_indexes);
    }
    while (topic->available_count > 0 && leases->count < count_max) {
        size_t at = topic->available_count - 1;
        if (!broker->options.ordered) {
            at = (size_t)rand_below(sim_rand(sim_of(broker)), topic->available_count);
        }
        size_t index = topic->available[at];
        struct held *held = &topic->items[index];
        bool gone = held->message.acked && !held->forced;
        if (!gone && leases->count > 0 && size + held->message.data.size > size_max) {
            break;
        }
        topic->available[at] = topic->available[--topic->available_count];
        held->queued = false;
        held->forced = false;
        if (!gone) {
            size += held->message.data.size;
            deliver(broker, name, index, &messages[leases->count]);
            leases->items[leases->count].index = index;
            leases->items[leases->count++].delivery = held->deliveries;
            maybe_deliver_twice(broker, name, index);
        }
    }
    if (leases->count > 0) {
        sim_at(sim_of(broker), sim_now_us(sim_of(broker)) + broker->options.weather.lease_us,
               on_lease_end, leases);
    }
    return leases->count;
}

static void acknowledge(struct sim_broker *broker, enum bus_topic name, size_t index)
{
    struct topic *topic = &broker->topics[name];
    struct held *held = &topic->items[index];
    topic->unacked -= !held->message.acked;
    held->message.acked = true;
    sim_note(sim_of(broker), 'a', (uint64_t)name << 32 | index);
}

static void tell_acked(struct sim_broker *broker, enum bus_topic topic, size_t index)
{
    sim_trace(sim_of(broker), "acked in %.*s: m%zu", TEXT_PRINT(bus_topic_name(topic)), index + 1);
    if (broker->acked != NULL) {
        broker->acked(broker->acked_context, topic, &broker->topics[topic].items[index].message);
    }
}

static enum err pull(struct bus *base, enum bus_topic name, size_t count_max, size_t size_max,
                     struct arena *arena, struct bus_message **out_messages, size_t *out_count,
                     struct why *why)
{
    struct sim_broker *broker = broker_of(base);
    *out_messages = NULL;
    *out_count = 0;
    bool late = false;
    enum err err = enter(broker, &late, why);
    if (err != ERR_OK) {
        return err;
    }
    struct topic *topic = &broker->topics[name];
    count_max = count_max < topic->available_count ? count_max : topic->available_count;
    if (count_max == 0) {
        ((struct bus_sim *)base)->seen = broker->news;
        return leave(broker, late, strikes(broker, broker->options.weather.pull_failed_ppm), why);
    }
    struct bus_message *messages = ARENA_ARRAY(arena, struct bus_message, count_max);
    if (messages == NULL) {
        return why_set(why, ERR_NO_MEMORY, "the messages do not fit into the arena");
    }
    size_t count = lease_some(broker, name, count_max, size_max, messages);
    if (broker->options.variant == VARIANT_ACK_BEFORE_WRITE && name <= BUS_PAYMENTS) {
        for (size_t i = 0; i < count; i++) {
            size_t index = (size_t)(messages[i].handle.number >> 24);
            tell_acked(broker, name, index);
            acknowledge(broker, name, index);
        }
    }
    err = leave(broker, late, strikes(broker, broker->options.weather.pull_failed_ppm), why);
    if (err == ERR_OK) {
        *out_messages = messages;
        *out_count = count;
    }
    return err; // after a failure the leases run out
}

// --- ack, nack, extend ----------------------------------------------------------------------------

// Whether the handle's lease still counts.
static bool is_valid(const struct held *held, const struct bus_handle *handle)
{
    uint64_t delivery = handle->number & 0xFFFFFF;
    return delivery >= held->valid_from && delivery <= held->deliveries && !held->message.acked;
}

static enum err ack(struct bus *base, enum bus_topic name, const struct bus_handle *handles,
                    size_t count, struct why *why)
{
    struct sim_broker *broker = broker_of(base);
    bool late = false;
    enum err err = enter(broker, &late, why);
    if (err != ERR_OK) {
        return err;
    }
    bool failed = strikes(broker, broker->options.weather.ack_failed_ppm);
    for (size_t i = 0; i < count; i++) {
        size_t index = (size_t)(handles[i].number >> 24);
        bool lost = strikes(broker, broker->options.weather.ack_lost_ppm) ||
                    (failed && rand_below(sim_rand(sim_of(broker)), 2) == 0);
        tell_acked(broker, name, index);
        if (!lost && is_valid(&broker->topics[name].items[index], &handles[i])) {
            acknowledge(broker, name, index);
        }
    }
    return leave(broker, late, failed, why);
}

static enum err nack(struct bus *base, enum bus_topic name, const struct bus_handle *handles,
                     size_t count, struct why *why)
{
    struct sim_broker *broker = broker_of(base);
    bool late = false;
    enum err err = enter(broker, &late, why);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        size_t index = (size_t)(handles[i].number >> 24);
        struct held *held = &broker->topics[name].items[index];
        if (is_valid(held, &handles[i])) {
            held->valid_from = held->deliveries + 1;
            make_available(broker, name, index);
        }
    }
    return err == ERR_OK ? leave(broker, late, false, why) : err;
}

static enum err extend(struct bus *base, enum bus_topic name, const struct bus_handle *handles,
                       size_t count, int64_t lease_us, struct why *why)
{
    struct sim_broker *broker = broker_of(base);
    bool late = false;
    enum err err = enter(broker, &late, why);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        struct held *held = &broker->topics[name].items[handles[i].number >> 24];
        if (is_valid(held, &handles[i])) {
            held->lease_end_us = sim_now_us(sim_of(broker)) + lease_us;
        }
    }
    return err == ERR_OK ? leave(broker, late, false, why) : err;
}

// --- wait, backlog, close -------------------------------------------------------------------------

static void stop_waiting(struct bus_sim *bus)
{
    struct bus_sim **link = &bus->broker->waiting;
    while (*link != NULL && *link != bus) {
        link = &(*link)->next_waiting;
    }
    if (*link == bus) {
        *link = bus->next_waiting;
    }
    bus->waits = false;
}

static enum err wait_for_news(struct bus *base, int64_t timeout_us, struct why *why)
{
    struct bus_sim *bus = (struct bus_sim *)base;
    struct sim *sim = sim_of(bus->broker);
    enum err err = alive(bus->broker, why);
    if (err != ERR_OK || task_current(sim) == NULL) {
        return err;
    }
    if (bus->seen != bus->broker->news) {
        bus->seen = bus->broker->news;
        take_a_while(bus->broker);
        return alive(bus->broker, why);
    }
    bus->task = task_current(sim);
    bus->waits = true;
    bus->next_waiting = bus->broker->waiting;
    bus->broker->waiting = bus;
    (void)task_sleep(sim, timeout_us);
    if (bus->waits) {
        stop_waiting(bus);
    }
    return alive(bus->broker, why);
}

static enum err backlog(struct bus *base, enum bus_topic name, struct bus_backlog *out_backlog,
                        struct why *why)
{
    struct sim_broker *broker = broker_of(base);
    const struct topic *topic = &broker->topics[name];
    *out_backlog = (struct bus_backlog){.published = broker->options.ordered ? topic->count : 0,
                                        .unacked = topic->unacked};
    int64_t now_us = sim_now_us(sim_of(broker));
    for (size_t i = 0; topic->unacked > 0 && i < topic->count; i++) {
        const struct held *held = &topic->items[i];
        bool unacked = !held->message.acked;
        bool leased = unacked && held->deliveries >= held->valid_from && held->deliveries > 0 &&
                      held->lease_end_us > now_us;
        out_backlog->leased += leased;
        if (unacked && out_backlog->oldest_unacked_us == 0) {
            out_backlog->oldest_unacked_us = held->message.published_us;
        }
    }
    return alive(broker, why);
}

static void wake(struct bus *base)
{
    if (alive(broker_of(base), NULL) == ERR_OK) {
        wake_waiting(broker_of(base));
    }
}

static void close_bus(struct bus *base)
{
    struct bus_sim *bus = (struct bus_sim *)base;
    if (bus->waits) {
        stop_waiting(bus);
    }
    free(bus);
}

struct bus *bus_sim_open(struct sim_broker *broker)
{
    static const struct bus_ops ops = {publish,       pull,    ack,  nack,     extend,
                                       wait_for_news, backlog, wake, close_bus};
    struct bus_sim *bus = calloc(1, sizeof(*bus));
    if (bus == NULL) {
        abort();
    }
    bus->bus.ops = &ops;
    bus->bus.log_id = broker->options.ordered ? TEXT("simulated") : (struct text){0};
    bus->broker = broker;
    return &bus->bus;
}
