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
#include <sys/statvfs.h>

#define GROUP_COUNT_MAX 16384u // messages of one transaction, if one call has no more
#define GROUP_SIZE_MAX  BROKER_PUBLISH_SIZE_MAX
#define WAL_PAGES_DUE   1024u // 8 MiB: a checkpoint then takes 1-2 ms
#define DISK_CHECK_SIZE (UINT64_C(8) * 1024 * 1024)

// Admission: what can be refused before anything is written.

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
    uint64_t backlog = topic->pending_seq - topic_smallest_floor(topic);
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

// The transaction.

static void forget_pending(struct broker *broker)
{
    for (size_t i = 0; i < broker->topic_count; i++) {
        struct topic *topic = broker->topics[i];
        topic->pending_seq = atomic_load(&topic->last_seq);
        halves_forget_pending(topic);
    }
    for (size_t i = 0; i < broker->subscription_count; i++) {
        struct subscription *subscription = broker->subscriptions[i];
        if (subscription->pending) {
            subscription->pending = false;
            atomic_store(&subscription->dirty, true);
        }
    }
}

static void adopt_subscription(struct subscription *subscription)
{
    if (subscription->pending) {
        subscription->pending = false;
        subscription->durable_floor = subscription->pending_floor;
        atomic_store(&subscription->delivered_seq, subscription->pending_delivered);
    }
}

// The number of messages published.
static uint64_t adopt_topic(struct broker *broker, struct topic *topic)
{
    uint64_t published = topic->pending_seq - atomic_load(&topic->last_seq);
    atomic_fetch_add(&broker->trimmed_count, topic->pending_trimmed_count);
    halves_adopt_pending(topic);
    atomic_store(&topic->last_seq, topic->pending_seq);
    atomic_store(&topic->trim_due, trim_due(topic));
    return published;
}

static void adopt_pending(struct broker *broker)
{
    for (size_t i = 0; i < broker->subscription_count; i++) {
        adopt_subscription(broker->subscriptions[i]);
    }
    uint64_t published = 0;
    for (size_t i = 0; i < broker->topic_count; i++) {
        published += adopt_topic(broker, broker->topics[i]);
    }
    atomic_fetch_add(&broker->commit_count, 1);
    if (published != 0) {
        broker->out_of_space = false;
        broker->published_us = broker->pending_published_us;
        atomic_fetch_add(&broker->published_count, published);
        broker_announce(broker);
    }
}

static enum err roll_back(struct broker *broker, int result, struct why *why)
{
    forget_pending(broker);
    enum err err = broker_fail(broker, broker->writer, result, "writing to it", why);
    broker->out_of_space = err == ERR_FULL;
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

// Trimming comes before inserting, so that a full file can make its own room.
static enum err transact(struct broker *broker, const struct request *group, bool flush,
                         struct why *why)
{
    int result = statement_run(broker->begin);
    if (result == SQLITE_OK) {
        result = write_subscriptions(broker, flush);
    }
    if (result == SQLITE_OK) {
        result = trim_topics(broker);
    }
    if (result == SQLITE_OK) {
        result = write_messages(broker, group);
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
        pointless = pointless && !subscription_needs_writing(broker, subscription) &&
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

static enum err checkpoint_when_due(struct broker *broker, struct why *why)
{
    if (broker->wal_pages < WAL_PAGES_DUE || broker->wal_pages < broker->wal_pages_retry) {
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
    broker->wal_pages_retry = in_log == copied ? 0 : broker->wal_pages + WAL_PAGES_DUE;
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
