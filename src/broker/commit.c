// Group commit. Whoever wants something on disk puts a request into the queue; one of the waiting
// callers becomes the leader, takes what is in the queue up to a bound, writes it in one transaction and
// tells the others. There is no thread of the broker's own.
//
// A transaction holds: the messages of the publishes, the acks of every subscription that has new ones,
// the deletion of some messages that all subscriptions have acked, and the topics' last numbers. So what
// is deleted was acked on disk in the same instant or before.
#include "broker_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

#define GROUP_COUNT_MAX 16384u // messages of one transaction, if one call has no more
#define GROUP_SIZE_MAX  BROKER_PUBLISH_SIZE_MAX
#define TRIM_COUNT_MIN  1024u                      // fewer are not worth the page they lie on
#define TRIM_COUNT_MAX  16384u                     // deleted in one transaction
#define TRIM_STEP_COUNT 512u                       // deleted in one statement
#define TRIM_NS_MAX     (4 * NS_PER_SECOND / 1000) // large messages take long to delete
#define WAL_PAGES_DUE   512u                       // 4 MiB: a checkpoint then takes 2-3 ms
#define DISK_CHECK_SIZE (UINT64_C(8) * 1024 * 1024)

// Admission: what can be refused before anything is written.

static uint64_t smallest_floor(const struct topic *topic)
{
    uint64_t floor = UINT64_MAX;
    for (size_t i = 0; i < topic->subscription_count; i++) {
        uint64_t other = atomic_load(&topic->subscriptions[i]->floor);
        floor = other < floor ? other : floor;
    }
    return floor;
}

// Looks at the free space now and then: always while it is short, else after some writing.
static enum err check_disk(struct broker *broker, uint64_t size, struct why *why)
{
    if (size < broker->disk_check_size) {
        broker->disk_check_size -= size;
        return ERR_OK;
    }
    struct statvfs disk;
    if (statvfs(broker->path, &disk) == 0) {
        uint64_t free_size = (uint64_t)disk.f_bavail * disk.f_frsize;
        if (free_size < broker->disk_reserve_size) {
            broker->disk_check_size = 0;
            return why_set(why, ERR_FULL,
                           "%s: %" PRIu64 " MB free on the disk, %" PRIu64 " are kept in reserve",
                           broker->path, free_size / 1000000, broker->disk_reserve_size / 1000000);
        }
    }
    broker->disk_check_size = DISK_CHECK_SIZE;
    return ERR_OK;
}

static enum err admit_publish(struct broker *broker, struct request *request)
{
    struct topic *topic = request->topic;
    if (topic->subscription_count == 0) {
        return why_set(request->why, ERR_NOT_FOUND,
                       "%s: topic %s has no subscription; its messages would be lost", broker->path,
                       topic->name);
    }
    uint64_t backlog = topic->pending_seq - smallest_floor(topic);
    if (backlog + request->count > broker->backlog_max) {
        return why_set(request->why, ERR_FULL,
                       "%s: topic %s holds %" PRIu64 " messages not acked; %" PRIu64
                       " is the limit",
                       broker->path, topic->name, backlog, broker->backlog_max);
    }
    enum err err = check_disk(broker, request->size, request->why);
    if (err == ERR_OK) {
        request->first_seq = topic->pending_seq + 1;
        topic->pending_seq += request->count;
    }
    return err;
}

static void admit(struct broker *broker, struct request *group)
{
    for (struct request *request = group; request != NULL; request = request->next) {
        request->result = broker_check(broker, request->why);
        if (request->result == ERR_OK && request->topic != NULL) {
            request->result = admit_publish(broker, request);
        }
        request->refused = request->result != ERR_OK;
    }
}

// Writing. Each of these gives an SQLite result.

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
    sqlite3_stmt *insert = request->topic->insert;
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

static int insert_group(struct broker *broker, const struct request *group)
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

static int write_topics(struct broker *broker)
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

static bool needs_writing(const struct broker *broker, const struct subscription *subscription)
{
    return atomic_load(&subscription->dirty) || broker->closing ||
           atomic_load(&subscription->wanted_seq) > atomic_load(&subscription->delivered_seq);
}

// Writes the acks that came since the last time. A subscription that is busy just now waits for the next
// commit, unless somebody asked for a flush.
static int write_subscriptions(struct broker *broker, bool flush)
{
    int result = SQLITE_OK;
    for (size_t i = 0; i < broker->subscription_count && result == SQLITE_OK; i++) {
        struct subscription *subscription = broker->subscriptions[i];
        if (!needs_writing(broker, subscription)) {
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

static uint64_t acked_by_all(const struct topic *topic)
{
    uint64_t acked = topic->pending_seq;
    for (size_t i = 0; i < topic->subscription_count; i++) {
        const struct subscription *subscription = topic->subscriptions[i];
        uint64_t floor =
            subscription->pending ? subscription->pending_floor : subscription->durable_floor;
        acked = floor < acked ? floor : acked;
    }
    return acked;
}

static int trim_topic(struct broker *broker, struct topic *topic)
{
    uint64_t target = acked_by_all(topic);
    if (target < topic->trimmed_seq + TRIM_COUNT_MIN) {
        return SQLITE_OK;
    }
    if (target > topic->trimmed_seq + TRIM_COUNT_MAX) {
        target = topic->trimmed_seq + TRIM_COUNT_MAX;
    }
    int64_t end_ns = clock_mono_ns(&broker->clock) + TRIM_NS_MAX;
    int result = SQLITE_OK;
    do {
        uint64_t step = topic->pending_trim_seq + TRIM_STEP_COUNT;
        topic->pending_trim_seq = step < target ? step : target;
        sqlite3_bind_int64(topic->trim, 1, (int64_t)topic->pending_trim_seq);
        result = statement_run(topic->trim);
    } while (result == SQLITE_OK && topic->pending_trim_seq < target &&
             clock_mono_ns(&broker->clock) < end_ns);
    return result;
}

static int trim_topics(struct broker *broker)
{
    int result = SQLITE_OK;
    for (size_t i = 0; i < broker->topic_count && result == SQLITE_OK; i++) {
        result = trim_topic(broker, broker->topics[i]);
    }
    return result;
}

// The transaction.

static void forget_pending(struct broker *broker)
{
    for (size_t i = 0; i < broker->topic_count; i++) {
        struct topic *topic = broker->topics[i];
        topic->pending_seq = atomic_load(&topic->last_seq);
        topic->pending_trim_seq = topic->trimmed_seq;
    }
    for (size_t i = 0; i < broker->subscription_count; i++) {
        struct subscription *subscription = broker->subscriptions[i];
        if (subscription->pending) {
            subscription->pending = false;
            atomic_store(&subscription->dirty, true);
        }
    }
}

static void adopt_pending(struct broker *broker)
{
    for (size_t i = 0; i < broker->subscription_count; i++) {
        struct subscription *subscription = broker->subscriptions[i];
        if (subscription->pending) {
            subscription->pending = false;
            subscription->durable_floor = subscription->pending_floor;
            atomic_store(&subscription->delivered_seq, subscription->pending_delivered);
        }
    }
    uint64_t published = 0;
    for (size_t i = 0; i < broker->topic_count; i++) {
        struct topic *topic = broker->topics[i];
        published += topic->pending_seq - atomic_load(&topic->last_seq);
        atomic_fetch_add(&broker->trimmed_count, topic->pending_trim_seq - topic->trimmed_seq);
        topic->trimmed_seq = topic->pending_trim_seq;
        atomic_store(&topic->last_seq, topic->pending_seq);
        bool due = topic->subscription_count != 0 &&
                   smallest_floor(topic) >= topic->trimmed_seq + TRIM_COUNT_MAX;
        atomic_store(&topic->trim_due, due);
    }
    atomic_fetch_add(&broker->commit_count, 1);
    if (published != 0) {
        broker->published_us = broker->pending_published_us;
        atomic_fetch_add(&broker->published_count, published);
        broker_announce(broker);
    }
}

static enum err roll_back(struct broker *broker, int result, struct why *why)
{
    forget_pending(broker);
    enum err err = broker_fail(broker, broker->writer, result, "writing to it", why);
    if (!sqlite3_get_autocommit(broker->writer)) {
        result = statement_run(broker->rollback);
        if (result != SQLITE_OK) {
            struct why reason = {0};
            why_set(&reason, ERR_IO, "%s: a transaction could not be rolled back", broker->path);
            err = broker_poison(broker, &reason);
            *why = reason;
        }
    }
    return err;
}

static enum err transact(struct broker *broker, const struct request *group, bool flush,
                         struct why *why)
{
    int result = statement_run(broker->begin);
    if (result == SQLITE_OK) {
        result = insert_group(broker, group);
    }
    if (result == SQLITE_OK) {
        result = write_subscriptions(broker, flush);
    }
    if (result == SQLITE_OK) {
        result = trim_topics(broker);
    }
    if (result == SQLITE_OK) {
        result = write_topics(broker);
    }
    if (result == SQLITE_OK) {
        result = statement_run(broker->commit);
    }
    if (result != SQLITE_OK) {
        return roll_back(broker, result, why);
    }
    adopt_pending(broker);
    return ERR_OK;
}

static bool flush_pointless(const struct broker *broker)
{
    bool pointless = true;
    for (size_t i = 0; i < broker->subscription_count; i++) {
        const struct subscription *subscription = broker->subscriptions[i];
        pointless = pointless && !needs_writing(broker, subscription) &&
                    !atomic_load(&subscription->topic->trim_due);
    }
    return pointless;
}

static void serve(struct broker *broker, struct request *group)
{
    admit(broker, group);
    bool publish = false;
    bool flush = false;
    for (const struct request *request = group; request != NULL; request = request->next) {
        publish = publish || (!request->refused && request->topic != NULL);
        flush = flush || (!request->refused && request->topic == NULL);
    }
    struct why why = {0};
    enum err err = ERR_OK;
    if (publish || (flush && !flush_pointless(broker))) {
        err = transact(broker, group, flush, &why);
    }
    for (struct request *request = group; request != NULL; request = request->next) {
        if (!request->refused && err != ERR_OK) {
            request->result = why_set(request->why, err, "%s", why.text);
        }
    }
}

enum err checkpoint_when_due(struct broker *broker, struct why *why)
{
    if (broker->wal_pages < broker->wal_pages_due) {
        return ERR_OK;
    }
    int in_log = 0;
    int copied = 0;
    int result = sqlite3_wal_checkpoint_v2(broker->writer, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log,
                                           &copied);
    if (result != SQLITE_OK && result != SQLITE_BUSY) {
        return broker_fail(broker, broker->writer, result, "checkpointing it", why);
    }
    atomic_fetch_add(&broker->checkpoint_count, 1);
    // A reader that is still in the log keeps it from starting anew; try again some pages later.
    broker->wal_pages_due = in_log == copied ? WAL_PAGES_DUE : broker->wal_pages + WAL_PAGES_DUE;
    return ERR_OK;
}

// The queue.

static struct request *take_group(struct broker *broker)
{
    struct request *group = broker->queue_first;
    struct request *last = group;
    size_t count = group->count;
    size_t size = group->size;
    while (last->next != NULL && count + last->next->count <= GROUP_COUNT_MAX &&
           size + last->next->size <= GROUP_SIZE_MAX) {
        last = last->next;
        count += last->count;
        size += last->size;
    }
    broker->queue_first = last->next;
    if (last->next == NULL) {
        broker->queue_end = &broker->queue_first;
    }
    last->next = NULL;
    return group;
}

// Called and left with the queue's lock held; the requests are the callers' again once `done` is set.
static void lead(struct broker *broker)
{
    struct request *group = take_group(broker);
    broker->leading = true;
    unlock(&broker->queue_lock);
    serve(broker, group);
    lock(&broker->queue_lock);
    while (group != NULL) {
        struct request *next = group->next;
        group->done = true;
        group = next;
    }
    pthread_cond_broadcast(&broker->queue_moved);
    unlock(&broker->queue_lock);
    // A failure poisons the broker; what was answered just now is on disk all the same.
    enum err err = checkpoint_when_due(broker, NULL);
    assert(err == ERR_OK || atomic_load(&broker->poisoned) || err_class_of(err) != ERR_CLASS_STOP);
    lock(&broker->queue_lock);
    broker->leading = false;
    pthread_cond_broadcast(&broker->queue_moved);
}

enum err commit_submit(struct broker *broker, struct request *request)
{
    lock(&broker->queue_lock);
    *broker->queue_end = request;
    broker->queue_end = &request->next;
    while (!request->done) {
        if (broker->leading) {
            pthread_cond_wait(&broker->queue_moved, &broker->queue_lock);
        } else {
            lead(broker);
        }
    }
    unlock(&broker->queue_lock);
    return request->result;
}

void lead_begin(struct broker *broker)
{
    lock(&broker->queue_lock);
    while (broker->leading) {
        pthread_cond_wait(&broker->queue_moved, &broker->queue_lock);
    }
    broker->leading = true;
    unlock(&broker->queue_lock);
}

void lead_end(struct broker *broker)
{
    lock(&broker->queue_lock);
    broker->leading = false;
    pthread_cond_broadcast(&broker->queue_moved);
    unlock(&broker->queue_lock);
}
