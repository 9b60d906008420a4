// Every message is decoded once, when it is first seen. Bodies stay the broker's; everything else lies in
// chunks that are freed together.
#include "expected.h"

#include "order_json.h"
#include "payment_json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE (4u * 1024u * 1024u)
#define CHUNK_REST (1u * 1024u * 1024u) // room that decoding one message may need

struct chunk {
    struct chunk *next;
    struct arena arena;
};

struct list {
    void **items;
    size_t count;
    size_t cap;
};

struct expected {
    const struct sim_broker *broker;
    const struct pipeline_rules *rules;
    struct chunk *chunks;                // the newest first
    struct list topics[BUS_TOPIC_COUNT]; // expected_message or expected_letter, by sequence
    struct list orders;
    struct index order_index;
    struct index event_index;
    struct index payment_index;
    struct index message_index; // by topic and message id
    const struct event **fold_rows;
    size_t fold_cap;
    struct naive_fact *naive;
};

static void *must(void *memory)
{
    if (memory == NULL) {
        abort(); // a simulation without memory proves nothing
    }
    return memory;
}

static void list_add(struct list *list, void *item)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 64 : list->cap * 2;
        list->items = must(realloc(list->items, list->cap * sizeof(list->items[0])));
    }
    list->items[list->count++] = item;
}

static struct arena *memory_of(struct expected *expected)
{
    struct chunk *chunk = expected->chunks;
    if (chunk == NULL || chunk->arena.cap - chunk->arena.used < CHUNK_REST) {
        struct chunk *fresh = must(calloc(1, sizeof(*fresh)));
        if (arena_init(&fresh->arena, CHUNK_SIZE) != ERR_OK) {
            abort();
        }
        fresh->next = chunk;
        expected->chunks = chunk = fresh;
    }
    return &chunk->arena;
}

struct expected *expected_create(const struct sim_broker *broker,
                                 const struct pipeline_rules *rules)
{
    struct expected *expected = must(calloc(1, sizeof(*expected)));
    expected->broker = broker;
    expected->rules = rules;
    expected->naive = must(malloc(sizeof(*expected->naive)));
    return expected;
}

void expected_destroy(struct expected **expected)
{
    struct expected *gone = *expected;
    *expected = NULL;
    if (gone == NULL) {
        return;
    }
    for (size_t topic = 0; topic < BUS_TOPIC_COUNT; topic++) {
        free(gone->topics[topic].items);
    }
    for (size_t i = 0; i < gone->orders.count; i++) {
        struct expected_order *order = gone->orders.items[i];
        free(order->events);
    }
    free(gone->orders.items);
    index_deinit(&gone->order_index);
    index_deinit(&gone->event_index);
    index_deinit(&gone->payment_index);
    index_deinit(&gone->message_index);
    while (gone->chunks != NULL) {
        struct chunk *chunk = gone->chunks;
        gone->chunks = chunk->next;
        arena_deinit(&chunk->arena);
        free(chunk);
    }
    free(gone->fold_rows);
    free(gone->naive);
    free(gone);
}

// --- messages -----------------------------------------------------------------------------------

static bool decode(struct expected *expected, struct expected_message *message,
                   struct event *out_event)
{
    struct arena *arena = memory_of(expected);
    struct decode_remarks remarks = {0};
    struct refusal refusal = {0};
    bool good;
    if (message->topic == BUS_ORDERS) {
        struct order order;
        good = order_decode(message->body, &expected->rules->decode, arena, &order, &remarks,
                            &refusal);
        if (good) {
            event_of_order(&order, message->published_us, out_event);
        }
    } else {
        struct payment payment;
        good = payment_decode(message->body, &expected->rules->decode, arena, &payment, &remarks,
                              &refusal);
        if (good) {
            event_of_payment(&payment, message->published_us, out_event);
        }
    }
    assert(!arena_overflowed(arena));
    message->reason = good ? REASON_NONE : refusal.reason;
    return good;
}

static struct expected_order *find_or_add_order(struct expected *expected, int64_t order_id)
{
    struct hash key = key_of_number((uint64_t)order_id);
    struct expected_order *order = index_find(&expected->order_index, &key);
    if (order == NULL) {
        order = must(ARENA_NEW(memory_of(expected), struct expected_order));
        order->order_id = order_id;
        list_add(&expected->orders, order);
        index_put(&expected->order_index, &key, order);
    }
    return order;
}

static void add_to_order(struct expected_order *order, struct expected_event *event)
{
    if (order->count == order->cap) {
        order->cap = order->cap == 0 ? 4 : order->cap * 2;
        order->events = must(realloc(order->events, order->cap * sizeof(struct expected_event *)));
    }
    order->events[order->count++] = event;
    event->order = order;
    if (event->event.kind == EVENT_ORDER && order->first_order_us == 0) {
        order->first_order_us = event->event.published_us;
    }
}

static struct expected_event *find_or_add_event(struct expected *expected,
                                                const struct event *content)
{
    struct hash key = key_of_event(content);
    struct expected_event *event = index_find(&expected->event_index, &key);
    if (event != NULL) {
        return event;
    }
    event = must(ARENA_NEW(memory_of(expected), struct expected_event));
    event->event = *content;
    add_to_order(find_or_add_order(expected, content->order_id), event);
    index_put(&expected->event_index, &key, event);
    if (content->kind == EVENT_PAYMENT) {
        key = key_of_payment_event(content->order_id, content->entity_id, content->event_id);
        index_put(&expected->payment_index, &key, event);
    }
    return event;
}

static void add_message(struct expected *expected, enum bus_topic topic,
                        const struct sim_message *published)
{
    struct expected_message *message =
        must(ARENA_NEW(memory_of(expected), struct expected_message));
    message->topic = topic;
    message->sequence = published->sequence;
    message->message_id = published->message_id;
    message->body = published->data;
    message->published_us = published->published_us;
    struct event content;
    if (decode(expected, message, &content)) {
        message->event = find_or_add_event(expected, &content);
        message->event->message_count++;
        message->event->order->unacked++;
    }
    list_add(&expected->topics[topic], message);
    struct hash key = key_of_text(topic, message->message_id);
    index_put(&expected->message_index, &key, message);
}

// --- dead letters -------------------------------------------------------------------------------

static struct expected_message *source_of(const struct expected *expected,
                                          const struct dead_letter *letter)
{
    static const enum bus_topic sources[] = {BUS_ORDERS, BUS_PAYMENTS};
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        if (text_equal(letter->source_topic, bus_topic_name(sources[i]))) {
            struct hash key = key_of_text(sources[i], letter->source_message_id);
            return index_find(&expected->message_index, &key);
        }
    }
    return NULL;
}

static void add_letter(struct expected *expected, enum bus_topic topic,
                       const struct sim_message *published)
{
    struct arena *arena = memory_of(expected);
    struct expected_letter *letter = must(ARENA_NEW(arena, struct expected_letter));
    letter->topic = topic;
    letter->sequence = published->sequence;
    letter->attributes = published->attributes;
    if (dead_letter_read(published->data, published->attributes, published->message_id,
                         published->published_us, arena, &letter->letter) != ERR_OK) {
        abort();
    }
    list_add(&expected->topics[topic], letter);
    struct expected_message *source = letter->source = source_of(expected, &letter->letter);
    if (source == NULL) {
        return;
    }
    bool was_refused = expected_refused_late(source);
    source->letter_reasons |= 1u << letter->letter.reason;
    if (!was_refused && expected_refused_late(source)) {
        source->event->refused_count++;
        source->event->order->refused_count++;
    }
}

void expected_take_in(struct expected *expected)
{
    static const enum bus_topic topics[] = {BUS_ORDERS, BUS_PAYMENTS, BUS_ORDERS_DLQ,
                                            BUS_PAYMENTS_DLQ};
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        enum bus_topic topic = topics[i];
        size_t count = sim_broker_message_count(expected->broker, topic);
        for (size_t at = expected->topics[topic].count; at < count; at++) {
            const struct sim_message *message = sim_broker_message(expected->broker, topic, at);
            assert(message->sequence == at + 1);
            if (topic == BUS_ORDERS || topic == BUS_PAYMENTS) {
                add_message(expected, topic, message);
            } else {
                add_letter(expected, topic, message);
            }
        }
    }
}

// --- looking ------------------------------------------------------------------------------------

size_t expected_message_count(const struct expected *expected, enum bus_topic topic)
{
    return expected->topics[topic].count;
}

struct expected_message *expected_message(const struct expected *expected, enum bus_topic topic,
                                          uint64_t sequence)
{
    const struct list *list = &expected->topics[topic];
    return sequence >= 1 && sequence <= list->count ? list->items[sequence - 1] : NULL;
}

size_t expected_letter_count(const struct expected *expected, enum bus_topic topic)
{
    return expected->topics[topic].count;
}

const struct expected_letter *expected_letter(const struct expected *expected, enum bus_topic topic,
                                              uint64_t sequence)
{
    const struct list *list = &expected->topics[topic];
    return sequence >= 1 && sequence <= list->count ? list->items[sequence - 1] : NULL;
}

size_t expected_order_count(const struct expected *expected)
{
    return expected->orders.count;
}

struct expected_order *expected_order_at(const struct expected *expected, size_t index)
{
    return expected->orders.items[index];
}

struct expected_order *expected_order(const struct expected *expected, int64_t order_id)
{
    struct hash key = key_of_number((uint64_t)order_id);
    return index_find(&expected->order_index, &key);
}

struct expected_event *expected_event(const struct expected *expected, const struct event *row)
{
    struct hash key = key_of_event(row);
    return index_find(&expected->event_index, &key);
}

bool expected_has_payment(const struct expected *expected, int64_t order_id, int64_t payment_id,
                          struct text event_id)
{
    struct hash key = key_of_payment_event(order_id, payment_id, event_id);
    return index_find(&expected->payment_index, &key) != NULL;
}

bool expected_refused_late(const struct expected_message *message)
{
    uint32_t late = 1u << REASON_E_HOT_ORDER | 1u << REASON_E_POISON;
    return message->event != NULL && (message->letter_reasons & late) != 0;
}

bool expected_is_sure(const struct expected_event *event)
{
    return event->refused_count < event->message_count;
}

bool expected_repeats(const struct event *event, const struct event *other)
{
    return event->kind == EVENT_ORDER && other->kind == EVENT_ORDER &&
           !event->order.version_given && other->version_rank >= event->version_rank &&
           hash_equal(&event->hash, &other->hash);
}

const struct naive_fact *expected_fold(struct expected *expected,
                                       const struct expected_order *order, unsigned views)
{
    if (order->count > NAIVE_ROWS_MAX) {
        return NULL;
    }
    if (expected->fold_cap < order->count) {
        expected->fold_cap = order->count * 2;
        expected->fold_rows =
            must(realloc(expected->fold_rows, expected->fold_cap * sizeof(void *)));
    }
    size_t count = 0;
    for (size_t i = 0; i < order->count; i++) {
        const struct expected_event *event = order->events[i];
        if (expected_is_sure(event) || (event->seen & views) != 0) {
            expected->fold_rows[count++] = &event->event;
        }
    }
    fold_naive(expected->fold_rows, count, expected->rules->fold.tolerance_minor, expected->naive);
    return expected->naive;
}
