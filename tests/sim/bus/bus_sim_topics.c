// What the simulated broker holds: messages, which of them are available, and leases.
#include "bus_sim_internal.h"

#include "hash.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define FIRST_CAP 64u

struct sim *sim_broker_sim(const struct sim_broker *broker)
{
    return broker->options.sim;
}

int64_t sim_broker_now_us(const struct sim_broker *broker)
{
    return sim_now_us(sim_broker_sim(broker));
}

uint64_t sim_broker_draw_below(struct sim_broker *broker, uint64_t bound)
{
    return rand_below(sim_rand(sim_broker_sim(broker)), bound);
}

bool sim_broker_draw_half(struct sim_broker *broker)
{
    return sim_broker_draw_below(broker, 2) == 0;
}

int64_t sim_broker_draw_us(struct sim_broker *broker, int64_t max_us)
{
    return max_us > 0 ? rand_between(sim_rand(sim_broker_sim(broker)), 0, max_us) : 0;
}

bool sim_broker_strikes(struct sim_broker *broker, uint32_t ppm)
{
    bool hit = ppm > 0 && rand_chance_ppm(sim_rand(sim_broker_sim(broker)), ppm);
    broker->faults += hit;
    return hit;
}

struct sim_broker *sim_broker_create(const struct broker_options *options)
{
    struct sim_broker *broker = sim_alloc(options->sim, sizeof(*broker));
    broker->options = *options;
    for (size_t i = 0; i < BUS_TOPIC_COUNT; i++) {
        broker->topics[i].broker = broker;
        broker->topics[i].name = (enum bus_topic)i;
    }
    return broker;
}

void sim_broker_destroy(struct sim_broker **broker)
{
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

// `items` with room for one more. What it leaves behind stays with the world: as much again in all.
static void *with_room(struct sim *sim, void *items, size_t count, size_t *cap, size_t item_size)
{
    if (count < *cap) {
        return items;
    }
    *cap = *cap == 0 ? FIRST_CAP : *cap * 2;
    void *larger = sim_alloc(sim, *cap * item_size);
    if (count > 0) {
        memcpy(larger, items, count * item_size);
    }
    return larger;
}

void held_note(const struct held *held, uint64_t what)
{
    sim_note(sim_broker_sim(held->topic->broker), what,
             (uint64_t)held->topic->name << 56 | held->message.sequence);
}

// --- what is available ----------------------------------------------------------------------------

static void wake_all(struct sim_broker *broker)
{
    broker->news++;
    while (broker->waiting != NULL) {
        struct waiter *waiter = broker->waiting;
        broker->waiting = waiter->next_waiting;
        waiter->waits = false;
        task_wake(waiter->task);
    }
}

static bool comes_before(const struct held *a, const struct held *b)
{
    return a->message.sequence < b->message.sequence;
}

static void heap_push(struct held **heap, size_t count, struct held *held)
{
    size_t at = count;
    for (; at > 0 && comes_before(held, heap[(at - 1) / 2]); at = (at - 1) / 2) {
        heap[at] = heap[(at - 1) / 2];
    }
    heap[at] = held;
}

// Fills the top with the last one of `count`.
static void heap_pop(struct held **heap, size_t count)
{
    struct held *last = heap[count - 1];
    size_t at = 0;
    for (size_t child = 1; child < count; child = 2 * at + 1) {
        child += child + 1 < count && comes_before(heap[child + 1], heap[child]);
        if (!comes_before(heap[child], last)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
}

static void make_available(struct held *held)
{
    struct topic *topic = held->topic;
    struct sim_broker *broker = topic->broker;
    if (held->queued || (held->message.acked && !held->again)) {
        return;
    }
    topic->available = with_room(sim_broker_sim(broker), topic->available, topic->available_count,
                                 &topic->available_cap, sizeof(struct held *));
    if (broker->options.ordered) {
        heap_push(topic->available, topic->available_count, held);
    } else {
        topic->available[topic->available_count] = held;
    }
    topic->available_count++;
    held->queued = true;
    wake_all(broker);
}

static size_t choose(struct topic *topic)
{
    return topic->broker->options.ordered
               ? 0
               : (size_t)sim_broker_draw_below(topic->broker, topic->available_count);
}

static void take(struct topic *topic, size_t at)
{
    struct held *held = topic->available[at];
    if (topic->broker->options.ordered) {
        heap_pop(topic->available, topic->available_count);
    } else {
        topic->available[at] = topic->available[topic->available_count - 1];
    }
    topic->available_count--;
    held->queued = false;
    held->again = false;
}

static void on_delay_over(void *context)
{
    make_available(context);
}

static void on_again(void *context)
{
    struct held *held = context;
    held->again = true;
    make_available(held);
}

// --- leases ---------------------------------------------------------------------------------------

// Leases that were given at the same time, one after another in the broker's list.
struct lease_run {
    struct sim_broker *broker;
    size_t first;
    size_t count;
};

static void end_lease(struct lease *lease)
{
    struct held *held = lease->held;
    lease->ended = true;
    held->leases--;
    if (held->leases == 0 && !held->message.acked) {
        held->topic->leased--;
    }
}

void lease_give_back(struct lease *lease)
{
    struct held *held = lease->held;
    end_lease(lease);
    held_note(held, 'b');
    if (held->leases == 0) {
        make_available(held);
    }
}

static void on_lease_end(void *context)
{
    const struct lease_run *run = context;
    struct sim_broker *broker = run->broker;
    int64_t next_us = INT64_MAX;
    for (size_t i = run->first; i < run->first + run->count; i++) {
        struct lease *lease = &broker->leases[i];
        if (!lease->ended && lease->end_us <= sim_broker_now_us(broker)) {
            lease_give_back(lease);
        } else if (!lease->ended && lease->end_us < next_us) {
            next_us = lease->end_us;
        }
    }
    if (next_us != INT64_MAX) { // some were extended
        sim_at(sim_broker_sim(broker), next_us, on_lease_end, context);
    }
}

void leases_watch(struct sim_broker *broker, size_t first, size_t count, int64_t end_us)
{
    struct lease_run *run = sim_alloc(sim_broker_sim(broker), sizeof(*run));
    *run = (struct lease_run){broker, first, count};
    sim_at(sim_broker_sim(broker), end_us, on_lease_end, run);
}

// The number of a new lease.
static uint64_t add_lease(struct held *held, int64_t end_us)
{
    struct sim_broker *broker = held->topic->broker;
    broker->leases = with_room(sim_broker_sim(broker), broker->leases, broker->lease_count,
                               &broker->lease_cap, sizeof(struct lease));
    broker->leases[broker->lease_count++] = (struct lease){.held = held, .end_us = end_us};
    if (held->leases == 0 && !held->message.acked) {
        held->topic->leased++;
    }
    held->leases++;
    return broker->lease_count;
}

struct lease *lease_of_handle(struct sim_broker *broker, enum bus_topic name,
                              const struct bus_handle *handle)
{
    assert(handle->number > 0 && handle->number <= broker->lease_count);
    struct lease *lease = &broker->leases[handle->number - 1];
    assert(lease->held->topic->name == name);
    return lease;
}

void lease_acknowledge(struct lease *lease)
{
    struct held *held = lease->held;
    if (!held->message.acked) {
        held_note(held, 'a');
        held->topic->unacked--;
        held->topic->leased--;
        held->message.acked = true;
    }
    end_lease(lease);
}

// --- publishing -----------------------------------------------------------------------------------

struct text sim_broker_copy_text(struct sim *sim, struct text text)
{
    char *copy = sim_alloc(sim, text.size + 1);
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    return (struct text){copy, text.size};
}

struct attributes sim_broker_copy_attributes(struct sim *sim, struct attributes attributes)
{
    if (attributes.count == 0) {
        return (struct attributes){0};
    }
    struct attribute *items = sim_alloc(sim, attributes.count * sizeof(items[0]));
    for (size_t i = 0; i < attributes.count; i++) {
        items[i].key = sim_broker_copy_text(sim, attributes.items[i].key);
        items[i].value = sim_broker_copy_text(sim, attributes.items[i].value);
    }
    return (struct attributes){items, attributes.count};
}

// The embedded broker's stamps are strictly increasing; Google's may be equal.
static int64_t stamp(struct sim_broker *broker)
{
    int64_t stamp_us = sim_broker_now_us(broker);
    if (broker->options.ordered && stamp_us <= broker->last_published_us) {
        stamp_us = broker->last_published_us + 1;
    }
    broker->last_published_us = stamp_us;
    return stamp_us;
}

static struct held *add_message(struct topic *topic, struct text data, struct attributes attributes)
{
    struct sim *sim = sim_broker_sim(topic->broker);
    struct held *held = sim_alloc(sim, sizeof(*held));
    topic->items = with_room(sim, topic->items, topic->count, &topic->cap, sizeof(struct held *));
    topic->items[topic->count++] = held;
    topic->unacked++;
    held->topic = topic;
    int id_size = snprintf(held->id, sizeof(held->id), "m%zu", topic->count);
    held->message = (struct sim_message){
        .message_id = {held->id, (size_t)id_size},
        .sequence = topic->count,
        .published_us = stamp(topic->broker),
        .data = sim_broker_copy_text(sim, data),
        .attributes = sim_broker_copy_attributes(sim, attributes),
    };
    return held;
}

static uint64_t digest_of(struct text data)
{
    struct hash hash;
    uint64_t digest = 0;
    hash_bytes(data.data, data.size, &hash);
    memcpy(&digest, hash.bytes, sizeof(digest));
    return digest;
}

void sim_broker_publish(struct sim_broker *broker, enum bus_topic name, struct text data,
                        struct attributes attributes)
{
    struct sim *sim = sim_broker_sim(broker);
    struct held *held = add_message(&broker->topics[name], data, attributes);
    held_note(held, 'p');
    sim_note(sim, 'c', digest_of(held->message.data));
    sim_trace(sim, "published to %.*s: %s %.*s", TEXT_PRINT(bus_topic_name(name)), held->id,
              TEXT_PRINT(held->message.data));
    int64_t delay_us = broker->options.ordered
                           ? 0
                           : sim_broker_draw_us(broker, broker->options.weather.delay_max_us);
    if (delay_us == 0) {
        make_available(held);
    } else {
        sim_at(sim, sim_broker_now_us(broker) + delay_us, on_delay_over, held);
    }
}

// --- delivering -----------------------------------------------------------------------------------

static void deliver(struct held *held, int64_t lease_end_us, struct bus_message *out_message)
{
    struct sim_broker *broker = held->topic->broker;
    const struct sim_message *message = &held->message;
    held->attempts++;
    broker->deliveries++;
    *out_message = (struct bus_message){
        .message_id = message->message_id,
        .sequence = broker->options.ordered ? message->sequence : 0,
        .published_us = message->published_us,
        .delivery_attempt = held->attempts,
        .data = message->data,
        .attributes = message->attributes,
        .handle = {.number = add_lease(held, lease_end_us)},
    };
    held_note(held, 'd');
    sim_trace(sim_broker_sim(broker), "delivered from %.*s: %s, attempt %u",
              TEXT_PRINT(bus_topic_name(held->topic->name)), held->id, held->attempts);
    if (sim_broker_strikes(broker, broker->options.weather.twice_ppm)) {
        int64_t wait_us = sim_broker_draw_us(broker, broker->options.weather.lease_us);
        sim_at(sim_broker_sim(broker), sim_broker_now_us(broker) + wait_us, on_again, held);
    }
}

size_t leases_give(struct topic *topic, size_t count_max, size_t size_max,
                   struct bus_message *messages)
{
    struct sim_broker *broker = topic->broker;
    size_t first = broker->lease_count;
    int64_t end_us = sim_broker_now_us(broker) + broker->options.weather.lease_us;
    size_t count = 0;
    size_t size = 0;
    while (topic->available_count > 0 && count < count_max) {
        size_t at = choose(topic);
        struct held *held = topic->available[at];
        bool wanted = !held->message.acked || held->again;
        if (wanted && count > 0 && held->message.data.size > size_max - size) {
            break;
        }
        take(topic, at);
        if (wanted) {
            size += held->message.data.size;
            size = size < size_max ? size : size_max; // the first one may have more
            deliver(held, end_us, &messages[count++]);
        }
    }
    if (count > 0) {
        leases_watch(broker, first, count, end_us);
    }
    return count;
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
    return &broker->topics[topic].items[index]->message;
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
