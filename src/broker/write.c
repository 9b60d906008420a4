// What a transaction writes: messages, acks, and the topics' last numbers.
#include "broker_internal.h"

#include <inttypes.h>
#include <string.h>

#define DELIVERED_STEP    2048u // how far ahead of deliveries `delivered_seq` is put on disk
#define ROW_OVERHEAD_SIZE 24u   // what a message takes on disk beside its own bytes

// Whether the bytes are well-formed UTF-8 without NUL, so that they may be stored as SQL text.
static bool is_text(struct text data)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t highs = UINT64_C(0x8080808080808080);
    size_t i = 0;
    for (; i + sizeof(uint64_t) <= data.size; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, data.data + i, sizeof(word));
        if (((word | (word - ones)) & highs) != 0) {
            break; // NUL or not ASCII
        }
    }
    struct text rest = {data.data + i, data.size - i};
    return rest.size == 0 || (memchr(rest.data, '\0', rest.size) == NULL &&
                              text_utf8_valid_prefix(rest) == rest.size);
}

static int bind_data(sqlite3_stmt *insert, struct text data)
{
    const char *bytes = data.size != 0 ? data.data : "";
    return is_text(data) ? sqlite3_bind_text(insert, 3, bytes, (int)data.size, SQLITE_STATIC)
                         : sqlite3_bind_blob(insert, 3, bytes, (int)data.size, SQLITE_STATIC);
}

static int bind_attributes(struct broker *broker, sqlite3_stmt *insert,
                           struct attributes attributes)
{
    if (attributes.count == 0) {
        return sqlite3_bind_null(insert, 4);
    }
    buf_reset(&broker->scratch);
    enum err err = attributes_pack(attributes, &broker->scratch);
    if (err != ERR_OK || buf_overflowed(&broker->scratch)) {
        return SQLITE_NOMEM; // their sizes were checked before
    }
    struct text packed = buf_view(&broker->scratch);
    return sqlite3_bind_blob(insert, 4, packed.data, (int)packed.size, SQLITE_STATIC);
}

static int insert_messages(struct broker *broker, const struct request *request)
{
    struct half *half = halves_append(request->topic, request->first_seq, request->count,
                                      request->size + request->count * ROW_OVERHEAD_SIZE);
    sqlite3_stmt *insert = half->insert;
    int result = SQLITE_OK;
    for (size_t i = 0; i < request->count && result == SQLITE_OK; i++) {
        broker->pending_published_us++;
        sqlite3_bind_int64(insert, 1, (int64_t)(request->first_seq + i));
        sqlite3_bind_int64(insert, 2, broker->pending_published_us);
        result = bind_data(insert, request->messages[i].data);
        if (result == SQLITE_OK) {
            result = bind_attributes(broker, insert, request->messages[i].attributes);
        }
        if (result == SQLITE_OK) {
            result = statement_run(insert);
        }
    }
    return result;
}

int write_messages(struct broker *broker, const struct request *group)
{
    int64_t now_us = clock_wall_us(&broker->clock);
    broker->pending_published_us = broker->published_us;
    if (now_us > broker->published_us) {
        broker->pending_published_us = now_us - 1;
    }
    int result = SQLITE_OK;
    for (; group != NULL && result == SQLITE_OK; group = group->next) {
        if (group->topic != NULL && !group->refused) {
            result = insert_messages(broker, group);
        }
    }
    return result;
}

int write_topics(struct broker *broker)
{
    int result = SQLITE_OK;
    for (size_t i = 0; i < broker->topic_count && result == SQLITE_OK; i++) {
        const struct topic *topic = broker->topics[i];
        if (topic->pending_seq == atomic_load(&topic->last_seq)) {
            continue;
        }
        sqlite3_bind_int64(broker->topic_update, 1, topic->id);
        sqlite3_bind_int64(broker->topic_update, 2, (int64_t)topic->pending_seq);
        sqlite3_bind_int64(broker->topic_update, 3, broker->pending_published_us);
        result = statement_run(broker->topic_update);
    }
    return result;
}

// How far deliveries may go before delivered_seq must be written again.
static uint64_t delivered_ahead(const struct broker *broker,
                                const struct subscription *subscription)
{
    const struct leases *leases = &subscription->leases;
    uint64_t delivered = leases->next - 1;
    if (broker->closing) {
        return delivered > leases->delivered_before ? delivered : leases->delivered_before;
    }
    delivered += DELIVERED_STEP;
    uint64_t wanted = atomic_load(&subscription->wanted_seq);
    uint64_t written = atomic_load(&subscription->delivered_seq);
    delivered = wanted > delivered ? wanted : delivered;
    return written > delivered ? written : delivered;
}

static int write_subscription(struct broker *broker, struct subscription *subscription)
{
    const struct ranges *acked = &subscription->leases.acked;
    buf_reset(&broker->scratch);
    for (size_t i = 1; i < acked->count; i++) {
        buf_add_fmt(&broker->scratch, "%s%" PRIu64 "-%" PRIu64, i == 1 ? "" : ",",
                    acked->items[i].first, acked->items[i].last);
    }
    if (buf_overflowed(&broker->scratch)) {
        return SQLITE_NOMEM;
    }
    struct text ranges = buf_view(&broker->scratch);
    subscription->pending = true;
    subscription->pending_floor = acked->items[0].last;
    subscription->pending_delivered = delivered_ahead(broker, subscription);
    sqlite3_stmt *update = broker->subscription_update;
    sqlite3_bind_int64(update, 1, subscription->id);
    sqlite3_bind_int64(update, 2, (int64_t)subscription->pending_floor);
    sqlite3_bind_text(update, 3, ranges.size != 0 ? ranges.data : "", (int)ranges.size,
                      SQLITE_STATIC);
    sqlite3_bind_int64(update, 4, (int64_t)subscription->pending_delivered);
    atomic_store(&subscription->dirty, false);
    atomic_store(&subscription->flushed_ns, clock_mono_ns(&broker->clock));
    return statement_run(update);
}

bool subscription_needs_writing(const struct broker *broker,
                                const struct subscription *subscription)
{
    return atomic_load(&subscription->dirty) || broker->closing ||
           atomic_load(&subscription->wanted_seq) > atomic_load(&subscription->delivered_seq);
}

int write_subscriptions(struct broker *broker, bool flush)
{
    int result = SQLITE_OK;
    for (size_t i = 0; i < broker->subscription_count && result == SQLITE_OK; i++) {
        struct subscription *subscription = broker->subscriptions[i];
        if (!subscription_needs_writing(broker, subscription)) {
            continue;
        }
        if (flush) {
            lock(&subscription->lock);
        } else if (pthread_mutex_trylock(&subscription->lock) != 0) {
            continue;
        }
        result = write_subscription(broker, subscription);
        unlock(&subscription->lock);
    }
    return result;
}
