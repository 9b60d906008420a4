// The calls of the bus seam on the simulated broker.
//
// A call takes a while, and what it does happens at its beginning or at its end, by chance, so that deaths
// and other processes come in before as well as after.
#include "bus_sim_internal.h"

#include <assert.h>
#include <stdlib.h>

#define MESSAGE_SIZE_MAX 10000000u // data and attributes, as of the true ones
#define WAIT_US_MAX      (24 * 3600 * INT64_C(1000000))
#define UNAWAITED_US_MAX 200000 // until a dead letter that nobody awaits is out

struct bus_sim {
    struct bus bus; // first
    struct sim_broker *broker;
    struct waiter *waiters;
    uint64_t wakes;
};

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
    const struct task *task = task_current(sim_broker_sim(broker));
    return task != NULL && task_killed(task) ? why_set(why, ERR_CLOSED, "the process has ended")
                                             : ERR_OK;
}

static void take_a_while(struct sim_broker *broker)
{
    if (task_current(sim_broker_sim(broker)) != NULL) {
        (void)task_sleep(sim_broker_sim(broker),
                         sim_broker_draw_us(broker, broker->options.weather.latency_max_us));
    }
}

// The first part of a call. *out_late: what it does is to happen at its end.
static enum err enter(struct sim_broker *broker, bool *out_late, struct why *why)
{
    enum err err = alive(broker, why);
    *out_late = err == ERR_OK && sim_broker_draw_half(broker);
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
    struct sim *sim = sim_broker_sim(broker);
    struct unawaited *letter = sim_alloc(sim, sizeof(*letter));
    *letter = (struct unawaited){broker, topic, task_current(sim),
                                 sim_broker_copy_text(sim, message->data),
                                 sim_broker_copy_attributes(sim, message->attributes)};
    sim_at(sim, sim_broker_now_us(broker) + sim_broker_draw_us(broker, UNAWAITED_US_MAX),
           publish_unawaited, letter);
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
        outcome = (enum outcome)sim_broker_draw_below(broker, broker->options.ordered ? 2 : 3);
    }
    for (size_t i = 0; i < count && outcome != NOTHING; i++) {
        if (outcome == ALL || sim_broker_draw_half(broker)) {
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
                   topic < BUS_ORDERS_DLQ || task_current(sim_broker_sim(broker)) == NULL;
    bool failed = awaited && sim_broker_strikes(broker, broker->options.weather.publish_failed_ppm);
    if (awaited) {
        publish_some(broker, topic, messages, count, failed);
    }
    for (size_t i = 0; i < count && !awaited; i++) {
        publish_later(broker, topic, &messages[i]);
    }
    return leave(broker, late, failed, why);
}

// --- ack, nack, extend ----------------------------------------------------------------------------

// The process is done with it, whatever becomes of the call.
static void tell_acked(struct sim_broker *broker, const struct lease *lease)
{
    const struct held *held = lease->held;
    held_note(held, 'k');
    sim_trace(sim_broker_sim(broker), "acked in %.*s: %s%s",
              TEXT_PRINT(bus_topic_name(held->topic->name)), held->id,
              lease->ended ? ", too late" : "");
    if (broker->acked != NULL) {
        broker->acked(broker->acked_context, held->topic->name, &held->message);
    }
}

typedef void settle_fn(struct sim_broker *broker, struct lease *lease, int64_t end_us);

static void ack_one(struct sim_broker *broker, struct lease *lease, int64_t end_us)
{
    (void)end_us;
    if (!sim_broker_strikes(broker, broker->options.weather.ack_lost_ppm)) {
        lease_acknowledge(lease);
    }
}

static void nack_one(struct sim_broker *broker, struct lease *lease, int64_t end_us)
{
    (void)broker;
    (void)end_us;
    lease_give_back(lease);
}

static void extend_one(struct sim_broker *broker, struct lease *lease, int64_t end_us)
{
    bool shorter = end_us < lease->end_us; // then the timer that it has comes too late
    lease->end_us = end_us;
    if (shorter) {
        leases_watch(broker, (size_t)(lease - broker->leases), 1, end_us);
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
    bool failed = sim_broker_strikes(broker, broker->options.weather.ack_failed_ppm);
    for (size_t i = 0; i < count; i++) {
        struct lease *lease = lease_of_handle(broker, name, &handles[i]);
        if (!lease->ended && (!failed || sim_broker_draw_half(broker))) {
            settle_one(broker, lease, sim_broker_now_us(broker) + lease_us);
        }
    }
    return leave(broker, late, failed, why);
}

static enum err ack(struct bus *bus, enum bus_topic name, const struct bus_handle *handles,
                    size_t count, struct why *why)
{
    struct sim_broker *broker = broker_of(bus);
    for (size_t i = 0; alive(broker, NULL) == ERR_OK && i < count; i++) {
        tell_acked(broker, lease_of_handle(broker, name, &handles[i]));
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

static uint64_t generation(const struct bus_sim *self)
{
    return self->broker->news + self->wakes;
}

static struct waiter *waiter_of(struct bus_sim *self)
{
    struct sim *sim = sim_broker_sim(self->broker);
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
        lease_acknowledge(lease);
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
        *out_count = leases_give(topic, count_max, size_max, *out_messages);
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
    bool failed = sim_broker_strikes(broker, broker->options.weather.pull_failed_ppm);
    if (!failed || sim_broker_draw_half(broker)) {
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
    (void)task_sleep(sim_broker_sim(broker), timeout_us < WAIT_US_MAX ? timeout_us : WAIT_US_MAX);
    stop_waiting(broker, waiter);
}

static enum err wait_on_bus(struct bus *bus, int64_t timeout_us, struct why *why)
{
    struct bus_sim *self = bus_sim_of(bus);
    enum err err = alive(self->broker, why);
    if (err != ERR_OK || task_current(sim_broker_sim(self->broker)) == NULL) {
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
