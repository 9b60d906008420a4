// The broker: what it holds of each topic, and the calls of the seam on it.
//
// A message is available from the end of its delay until it is leased, and again when its last lease
// ends. Each delivery has a lease of its own, and its handle is the lease's number; an ended lease never
// counts again. A call takes a while, and what it does happens at its beginning or at its end, by chance,
// so that deaths and other processes come in before as well as after.
//
// All memory but that of connections is the world's: timers may fire after everybody has left.
#include "bus_sim.h"

#include "hash.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_SIZE_MAX      24u       // "m18446744073709551615"
#define MESSAGE_SIZE_MAX 10000000u // data and attributes, as of the true ones
#define WAIT_US_MAX      (24 * 3600 * INT64_C(1000000))
#define UNAWAITED_US_MAX 200000 // until a dead letter that nobody awaits is out
#define FIRST_CAP        64u

struct held {
    struct sim_message message;
    struct topic *topic;
    uint32_t attempts;
    uint32_t leases; // that have not ended
    bool queued;     // among the available
    bool again;      // to be delivered although it is leased or acked
    char id[ID_SIZE_MAX];
};

struct topic {
    struct sim_broker *broker;
    enum bus_topic name;
    struct held **items;
    size_t count;
    size_t cap;
    struct held **available; // ordered: a heap, the first one published on top; else in no order
    size_t available_count;
    size_t available_cap;
    size_t unacked;
    size_t leased;       // unacked ones with a lease
    size_t oldest_index; // all before it are acked
};

struct lease {
    struct held *held;
    int64_t end_us;
    bool ended;
};

struct sim_broker {
    struct broker_options options;
    struct topic topics[BUS_TOPIC_COUNT];
    struct lease *leases; // number n at n - 1
    size_t lease_count;
    size_t lease_cap;
    struct waiter *waiting;
    int64_t last_published_us;
    uint64_t news; // how often something became available
    uint64_t faults;
    uint64_t deliveries;
    sim_broker_acked_fn *acked;
    void *acked_context;
};

// What one task has seen through a connection, for bus_wait.
struct waiter {
    struct waiter *next; // of the connection
    struct task *task;
    bool found_nothing; // since its last wait, at first when the generation was `seen`
    uint64_t seen;
    bool waits;
    struct waiter *next_waiting; // of the broker
};

struct bus_sim {
    struct bus bus; // first
    struct sim_broker *broker;
    struct waiter *waiters;
    uint64_t wakes;
};

static struct sim *sim_of(const struct sim_broker *broker)
{
    return broker->options.sim;
}

static int64_t now_us(const struct sim_broker *broker)
{
    return sim_now_us(sim_of(broker));
}

static uint64_t draw_below(struct sim_broker *broker, uint64_t bound)
{
    return rand_below(sim_rand(sim_of(broker)), bound);
}

static bool draw_half(struct sim_broker *broker)
{
    return draw_below(broker, 2) == 0;
}

// Up to that time from now on; nothing is drawn when there is nothing to choose.
static int64_t draw_us(struct sim_broker *broker, int64_t max_us)
{
    return max_us > 0 ? rand_between(sim_rand(sim_of(broker)), 0, max_us) : 0;
}

static bool strikes(struct sim_broker *broker, uint32_t ppm)
{
    bool hit = ppm > 0 && rand_chance_ppm(sim_rand(sim_of(broker)), ppm);
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

// What happened to a message, for the digest.
static void note(const struct held *held, uint64_t what)
{
    sim_note(sim_of(held->topic->broker), what,
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
    topic->available = with_room(sim_of(broker), topic->available, topic->available_count,
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
               : (size_t)draw_below(topic->broker, topic->available_count);
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

static void give_back(struct lease *lease)
{
    struct held *held = lease->held;
    end_lease(lease);
    note(held, 'b');
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
        if (!lease->ended && lease->end_us <= now_us(broker)) {
            give_back(lease);
        } else if (!lease->ended && lease->end_us < next_us) {
            next_us = lease->end_us;
        }
    }
    if (next_us != INT64_MAX) { // some were extended
        sim_at(sim_of(broker), next_us, on_lease_end, context);
    }
}

static void watch_leases(struct sim_broker *broker, size_t first, size_t count, int64_t end_us)
{
    struct lease_run *run = sim_alloc(sim_of(broker), sizeof(*run));
    *run = (struct lease_run){broker, first, count};
    sim_at(sim_of(broker), end_us, on_lease_end, run);
}

// The number of a new lease.
static uint64_t add_lease(struct held *held, int64_t end_us)
{
    struct sim_broker *broker = held->topic->broker;
    broker->leases = with_room(sim_of(broker), broker->leases, broker->lease_count,
                               &broker->lease_cap, sizeof(struct lease));
    broker->leases[broker->lease_count++] = (struct lease){.held = held, .end_us = end_us};
    if (held->leases == 0 && !held->message.acked) {
        held->topic->leased++;
    }
    held->leases++;
    return broker->lease_count;
}

static struct lease *lease_of(struct sim_broker *broker, enum bus_topic name,
                              const struct bus_handle *handle)
{
    assert(handle->number > 0 && handle->number <= broker->lease_count);
    struct lease *lease = &broker->leases[handle->number - 1];
    assert(lease->held->topic->name == name);
    return lease;
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
    if (attributes.count == 0) {
        return (struct attributes){0};
    }
    struct attribute *items = sim_alloc(sim, attributes.count * sizeof(items[0]));
    for (size_t i = 0; i < attributes.count; i++) {
        items[i].key = copy_text(sim, attributes.items[i].key);
        items[i].value = copy_text(sim, attributes.items[i].value);
    }
    return (struct attributes){items, attributes.count};
}

// The embedded broker's stamps are strictly increasing; Google's may be equal.
static int64_t stamp(struct sim_broker *broker)
{
    int64_t stamp_us = now_us(broker);
    if (broker->options.ordered && stamp_us <= broker->last_published_us) {
        stamp_us = broker->last_published_us + 1;
    }
    broker->last_published_us = stamp_us;
    return stamp_us;
}

static struct held *add_message(struct topic *topic, struct text data, struct attributes attributes)
{
    struct sim *sim = sim_of(topic->broker);
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
        .data = copy_text(sim, data),
        .attributes = copy_attributes(sim, attributes),
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
    struct sim *sim = sim_of(broker);
    struct held *held = add_message(&broker->topics[name], data, attributes);
    note(held, 'p');
    sim_note(sim, 'c', digest_of(held->message.data));
    sim_trace(sim, "published to %.*s: %s %.*s", TEXT_PRINT(bus_topic_name(name)), held->id,
              TEXT_PRINT(held->message.data));
    int64_t delay_us =
        broker->options.ordered ? 0 : draw_us(broker, broker->options.weather.delay_max_us);
    if (delay_us == 0) {
        make_available(held);
    } else {
        sim_at(sim, now_us(broker) + delay_us, on_delay_over, held);
    }
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

// --- a call ---------------------------------------------------------------------------------------

static struct bus_sim *bus_sim_of(struct bus *bus)
{
    return (struct bus_sim *)bus;
}

static struct sim_broker *broker_of(struct bus *bus)
{
    return bus_sim_of(bus)->broker;
}

static enum err alive(const struct sim_broker *broker, struct why *why)
{
    const struct task *task = task_current(sim_of(broker));
    return task != NULL && task_killed(task) ? why_set(why, ERR_CLOSED, "the process has ended")
                                             : ERR_OK;
}

static void take_a_while(struct sim_broker *broker)
{
    if (task_current(sim_of(broker)) != NULL) {
        (void)task_sleep(sim_of(broker), draw_us(broker, broker->options.weather.latency_max_us));
    }
}

// The first part of a call. *out_late: what it does is to happen at its end.
static enum err enter(struct sim_broker *broker, bool *out_late, struct why *why)
{
    enum err err = alive(broker, why);
    *out_late = err == ERR_OK && draw_half(broker);
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

// --- publish --------------------------------------------------------------------------------------

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
    sim_at(sim, now_us(broker) + draw_us(broker, UNAWAITED_US_MAX), publish_unawaited, letter);
}

static enum err check_outgoing(const struct bus_outgoing *message, struct why *why)
{
    struct attributes attributes = message->attributes;
    bool good = message->data.size + attributes_packed_size(attributes) <= MESSAGE_SIZE_MAX &&
                attributes.count <= ATTRIBUTE_COUNT_MAX;
    for (size_t i = 0; good && i < attributes.count; i++) {
        good = attributes.items[i].key.size > 0 &&
               attributes.items[i].key.size <= ATTRIBUTE_KEY_SIZE_MAX &&
               attributes.items[i].value.size <= ATTRIBUTE_VALUE_SIZE_MAX;
    }
    return good ? ERR_OK : why_set(why, ERR_TOO_LARGE, "a message that no bus takes");
}

// What a failed call has published: nothing, all, or each message by chance. The embedded shape has no
// halves.
static void publish_some(struct sim_broker *broker, enum bus_topic topic,
                         const struct bus_outgoing *messages, size_t count, bool failed)
{
    enum outcome { ALL, NOTHING, BY_CHANCE } outcome = ALL;
    if (failed) {
        outcome = (enum outcome)draw_below(broker, broker->options.ordered ? 2 : 3);
    }
    for (size_t i = 0; i < count && outcome != NOTHING; i++) {
        if (outcome == ALL || draw_half(broker)) {
            sim_broker_publish(broker, topic, messages[i].data, messages[i].attributes);
        }
    }
}

static enum err publish(struct bus *bus, enum bus_topic topic, const struct bus_outgoing *messages,
                        size_t count, struct why *why)
{
    struct sim_broker *broker = broker_of(bus);
    bool late = false;
    enum err err = enter(broker, &late, why);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        err = check_outgoing(&messages[i], why);
    }
    if (err != ERR_OK) {
        return err;
    }
    bool awaited = broker->options.variant != VARIANT_UNAWAITED_DEAD_LETTER ||
                   topic < BUS_ORDERS_DLQ || task_current(sim_of(broker)) == NULL;
    bool failed = awaited && strikes(broker, broker->options.weather.publish_failed_ppm);
    if (awaited) {
        publish_some(broker, topic, messages, count, failed);
    }
    for (size_t i = 0; i < count && !awaited; i++) {
        publish_later(broker, topic, &messages[i]);
    }
    return leave(broker, late, failed, why);
}

// --- ack, nack, extend ----------------------------------------------------------------------------

static void acknowledge(struct lease *lease)
{
    struct held *held = lease->held;
    if (!held->message.acked) {
        note(held, 'a');
        held->topic->unacked--;
        held->topic->leased--;
        held->message.acked = true;
    }
    end_lease(lease);
}

// The process is done with it, whatever becomes of the call.
static void tell_acked(struct sim_broker *broker, const struct lease *lease)
{
    const struct held *held = lease->held;
    note(held, 'k');
    sim_trace(sim_of(broker), "acked in %.*s: %s%s", TEXT_PRINT(bus_topic_name(held->topic->name)),
              held->id, lease->ended ? ", too late" : "");
    if (broker->acked != NULL) {
        broker->acked(broker->acked_context, held->topic->name, &held->message);
    }
}

typedef void settle_fn(struct sim_broker *broker, struct lease *lease, int64_t end_us);

static void ack_one(struct sim_broker *broker, struct lease *lease, int64_t end_us)
{
    (void)end_us;
    if (!strikes(broker, broker->options.weather.ack_lost_ppm)) {
        acknowledge(lease);
    }
}

static void nack_one(struct sim_broker *broker, struct lease *lease, int64_t end_us)
{
    (void)broker;
    (void)end_us;
    give_back(lease);
}

static void extend_one(struct sim_broker *broker, struct lease *lease, int64_t end_us)
{
    bool shorter = end_us < lease->end_us; // then the timer that it has comes too late
    lease->end_us = end_us;
    if (shorter) {
        watch_leases(broker, (size_t)(lease - broker->leases), 1, end_us);
    }
}

// Of a failed call the broker has heard of each message by chance.
static enum err settle(struct sim_broker *broker, enum bus_topic name,
                       const struct bus_handle *handles, size_t count, settle_fn *settle_one,
                       int64_t lease_us, struct why *why)
{
    bool late = false;
    enum err err = enter(broker, &late, why);
    if (err != ERR_OK) {
        return err;
    }
    bool failed = strikes(broker, broker->options.weather.ack_failed_ppm);
    for (size_t i = 0; i < count; i++) {
        struct lease *lease = lease_of(broker, name, &handles[i]);
        if (!lease->ended && (!failed || draw_half(broker))) {
            settle_one(broker, lease, now_us(broker) + lease_us);
        }
    }
    return leave(broker, late, failed, why);
}

static enum err ack(struct bus *bus, enum bus_topic name, const struct bus_handle *handles,
                    size_t count, struct why *why)
{
    struct sim_broker *broker = broker_of(bus);
    for (size_t i = 0; alive(broker, NULL) == ERR_OK && i < count; i++) {
        tell_acked(broker, lease_of(broker, name, &handles[i]));
    }
    return settle(broker, name, handles, count, ack_one, 0, why);
}

static enum err nack(struct bus *bus, enum bus_topic name, const struct bus_handle *handles,
                     size_t count, struct why *why)
{
    return settle(broker_of(bus), name, handles, count, nack_one, 0, why);
}

static enum err extend(struct bus *bus, enum bus_topic name, const struct bus_handle *handles,
                       size_t count, int64_t lease_us, struct why *why)
{
    return settle(broker_of(bus), name, handles, count, extend_one, lease_us, why);
}

// --- pull -----------------------------------------------------------------------------------------

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
    note(held, 'd');
    sim_trace(sim_of(broker), "delivered from %.*s: %s, attempt %u",
              TEXT_PRINT(bus_topic_name(held->topic->name)), held->id, held->attempts);
    if (strikes(broker, broker->options.weather.twice_ppm)) {
        int64_t wait_us = draw_us(broker, broker->options.weather.lease_us);
        sim_at(sim_of(broker), now_us(broker) + wait_us, on_again, held);
    }
}

// Leases some of the available ones, at most count_max, which there is room for.
static size_t lease_some(struct topic *topic, size_t count_max, size_t size_max,
                         struct bus_message *messages)
{
    struct sim_broker *broker = topic->broker;
    size_t first = broker->lease_count;
    int64_t end_us = now_us(broker) + broker->options.weather.lease_us;
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
        watch_leases(broker, first, count, end_us);
    }
    return count;
}

static uint64_t generation(const struct bus_sim *self)
{
    return self->broker->news + self->wakes;
}

static struct waiter *waiter_of(struct bus_sim *self)
{
    struct sim *sim = sim_of(self->broker);
    struct task *task = task_current(sim);
    struct waiter *waiter = self->waiters;
    while (waiter != NULL && waiter->task != task) {
        waiter = waiter->next;
    }
    if (waiter == NULL) {
        waiter = sim_alloc(sim, sizeof(*waiter));
        waiter->task = task;
        waiter->next = self->waiters;
        self->waiters = waiter;
    }
    return waiter;
}

static void note_found_nothing(struct bus_sim *self)
{
    struct waiter *waiter = waiter_of(self);
    if (!waiter->found_nothing) {
        waiter->found_nothing = true;
        waiter->seen = generation(self);
    }
}

static void ack_at_once(struct sim_broker *broker, const struct bus_message *messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct lease *lease = &broker->leases[messages[i].handle.number - 1];
        tell_acked(broker, lease);
        acknowledge(lease);
    }
}

// What a pull does. A failed one may have leased some, which nobody gets.
static enum err pull_some(struct bus_sim *self, struct topic *topic, size_t count_max,
                          size_t size_max, struct arena *arena, struct bus_message **out_messages,
                          size_t *out_count, struct why *why)
{
    count_max = count_max < topic->available_count ? count_max : topic->available_count;
    if (count_max > 0) {
        *out_messages = ARENA_ARRAY(arena, struct bus_message, count_max);
        if (*out_messages == NULL) {
            return why_set(why, ERR_FULL, "the messages do not fit into the arena");
        }
        *out_count = lease_some(topic, count_max, size_max, *out_messages);
    }
    if (*out_count == 0) {
        note_found_nothing(self);
    }
    if (self->broker->options.variant == VARIANT_ACK_BEFORE_WRITE && topic->name <= BUS_PAYMENTS) {
        ack_at_once(self->broker, *out_messages, *out_count);
    }
    return ERR_OK;
}

static enum err pull(struct bus *bus, enum bus_topic name, size_t count_max, size_t size_max,
                     struct arena *arena, struct bus_message **out_messages, size_t *out_count,
                     struct why *why)
{
    struct bus_sim *self = bus_sim_of(bus);
    struct sim_broker *broker = self->broker;
    struct bus_message *messages = NULL;
    size_t count = 0;
    bool late = false;
    enum err err = enter(broker, &late, why);
    if (err != ERR_OK) {
        return err;
    }
    bool failed = strikes(broker, broker->options.weather.pull_failed_ppm);
    if (!failed || draw_half(broker)) {
        err = pull_some(self, &broker->topics[name], count_max, size_max, arena, &messages, &count,
                        why);
    }
    err = err == ERR_OK ? leave(broker, late, failed, why) : err;
    if (err == ERR_OK) {
        *out_messages = messages;
        *out_count = count;
    }
    return err;
}

// --- wait, backlog, close -------------------------------------------------------------------------

static void stop_waiting(struct sim_broker *broker, struct waiter *waiter)
{
    struct waiter **link = &broker->waiting;
    while (waiter->waits && *link != waiter) {
        link = &(*link)->next_waiting;
    }
    if (waiter->waits) {
        *link = waiter->next_waiting;
        waiter->waits = false;
    }
}

static void wait_for_news(struct sim_broker *broker, struct waiter *waiter, int64_t timeout_us)
{
    waiter->waits = true;
    waiter->next_waiting = broker->waiting;
    broker->waiting = waiter;
    (void)task_sleep(sim_of(broker), timeout_us < WAIT_US_MAX ? timeout_us : WAIT_US_MAX);
    stop_waiting(broker, waiter);
}

static enum err wait_on_bus(struct bus *bus, int64_t timeout_us, struct why *why)
{
    struct bus_sim *self = bus_sim_of(bus);
    enum err err = alive(self->broker, why);
    if (err != ERR_OK || task_current(sim_of(self->broker)) == NULL) {
        return err;
    }
    struct waiter *waiter = waiter_of(self);
    bool missed = waiter->found_nothing && waiter->seen != generation(self);
    waiter->found_nothing = false;
    if (missed) {
        take_a_while(self->broker);
    } else {
        wait_for_news(self->broker, waiter, timeout_us);
    }
    return alive(self->broker, why);
}

// Of this connection's process only.
static void wake(struct bus *bus)
{
    struct bus_sim *self = bus_sim_of(bus);
    if (alive(self->broker, NULL) != ERR_OK) {
        return;
    }
    self->wakes++;
    for (struct waiter *waiter = self->waiters; waiter != NULL; waiter = waiter->next) {
        if (waiter->waits) {
            task_wake(waiter->task);
        }
    }
}

static enum err backlog(struct bus *bus, enum bus_topic name, struct bus_backlog *out_backlog,
                        struct why *why)
{
    struct sim_broker *broker = broker_of(bus);
    struct topic *topic = &broker->topics[name];
    struct bus_backlog figures = {0};
    bool late = false;
    enum err err = enter(broker, &late, why);
    if (err != ERR_OK) {
        return err;
    }
    while (topic->oldest_index < topic->count && topic->items[topic->oldest_index]->message.acked) {
        topic->oldest_index++;
    }
    figures.published = broker->options.ordered ? topic->count : 0;
    figures.unacked = topic->unacked;
    figures.leased = topic->leased;
    if (topic->unacked > 0) {
        figures.oldest_unacked_us = topic->items[topic->oldest_index]->message.published_us;
    }
    err = leave(broker, late, false, why);
    if (err == ERR_OK) {
        *out_backlog = figures;
    }
    return err;
}

static void close_bus(struct bus *bus)
{
    struct bus_sim *self = bus_sim_of(bus);
    for (struct waiter *waiter = self->waiters; waiter != NULL; waiter = waiter->next) {
        assert(!waiter->waits);
    }
    free(self);
}

struct bus *bus_sim_open(struct sim_broker *broker)
{
    static const struct bus_ops ops = {
        .publish = publish,
        .pull = pull,
        .ack = ack,
        .nack = nack,
        .extend = extend,
        .wait = wait_on_bus,
        .backlog = backlog,
        .wake = wake,
        .close = close_bus,
    };
    struct bus_sim *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        abort(); // a simulation without memory proves nothing
    }
    self->bus.ops = &ops;
    self->bus.log_id = broker->options.ordered ? TEXT("simulated") : (struct text){0};
    self->broker = broker;
    return &self->bus;
}
