// The broker's life, and the calls that need no more than one subscription's memory.
#include "broker.h"

#include "broker_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SCRATCH_SIZE_MAX (256u * 1024)

_Static_assert(SCRATCH_SIZE_MAX >
                   ATTRIBUTE_COUNT_MAX * (ATTRIBUTE_KEY_SIZE_MAX + ATTRIBUTE_VALUE_SIZE_MAX + 4),
               "the largest attributes must fit");
_Static_assert(SCRATCH_SIZE_MAX > LEASES_RANGE_COUNT_MAX * 42, "the most ranges must fit as text");

static enum err prepare_writer(struct broker *broker, struct why *why)
{
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } all[] = {
        {&broker->begin, "BEGIN IMMEDIATE"},
        {&broker->commit, "COMMIT"},
        {&broker->rollback, "ROLLBACK"},
        {&broker->topic_update,
         "UPDATE topics SET last_seq=?2,last_published_us=?3 WHERE topic_id=?1"},
        {&broker->subscription_update, "UPDATE subscriptions SET ack_floor=?2,acked_ranges=?3,"
                                       "delivered_seq=?4 WHERE subscription_id=?1"},
    };
    enum err err = ERR_OK;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && err == ERR_OK; i++) {
        err = file_prepare(broker->path, broker->writer, all[i].sql, all[i].statement, why);
    }
    return err;
}

static struct broker *create(const struct broker_options *options)
{
    struct broker *broker = calloc(1, sizeof(*broker));
    char *path = strdup(options->path);
    if (broker == NULL || path == NULL) {
        free(broker);
        free(path);
        return NULL;
    }
    broker->path = path;
    broker->clock = options->clock;
    broker->lease_us = options->lease_us != 0 ? options->lease_us : BROKER_LEASE_US_DEFAULT;
    broker->backlog_max =
        options->backlog_max != 0 ? options->backlog_max : BROKER_BACKLOG_MAX_DEFAULT;
    broker->size_max = options->size_max;
    broker->disk_reserve_size = options->disk_reserve_size != 0 ? options->disk_reserve_size
                                                                : BROKER_DISK_RESERVE_SIZE_DEFAULT;
    broker->read_only = options->read_only;
    broker->queue_end = &broker->queue_first;
    buf_init_heap(&broker->scratch, SCRATCH_SIZE_MAX);
    pthread_mutex_init(&broker->queue_lock, NULL);
    pthread_cond_init(&broker->queue_moved, NULL);
    pthread_mutex_init(&broker->poison_lock, NULL);
    pthread_mutex_init(&broker->wait_lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&broker->available, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return broker;
}

static void destroy(struct broker *broker)
{
    topics_destroy(broker);
    sqlite3_finalize(broker->begin);
    sqlite3_finalize(broker->commit);
    sqlite3_finalize(broker->rollback);
    sqlite3_finalize(broker->topic_update);
    sqlite3_finalize(broker->subscription_update);
    sqlite3_close(broker->writer);
    buf_deinit(&broker->scratch);
    pthread_cond_destroy(&broker->available);
    pthread_mutex_destroy(&broker->wait_lock);
    pthread_mutex_destroy(&broker->poison_lock);
    pthread_cond_destroy(&broker->queue_moved);
    pthread_mutex_destroy(&broker->queue_lock);
    free(broker->path);
    free(broker);
}

// Everything that a read-only broker tells comes from one snapshot, taken anew at every call.
static enum err snapshot_begin(struct broker *broker, struct why *why)
{
    topics_destroy(broker);
    enum err err = file_execute(broker->path, broker->writer, "BEGIN", why);
    return err == ERR_OK ? topics_load(broker, why) : err;
}

static void snapshot_end(struct broker *broker)
{
    if (!sqlite3_get_autocommit(broker->writer)) {
        (void)statement_run(broker->rollback);
    }
}

static enum err open_read_only(struct broker *broker, struct why *why)
{
    enum err err = file_open_reader(broker->path, &broker->writer, why);
    if (err == ERR_OK) {
        err = file_prepare(broker->path, broker->writer, "ROLLBACK", &broker->rollback, why);
    }
    if (err == ERR_OK) {
        err = snapshot_begin(broker, why);
        snapshot_end(broker);
    }
    return err;
}

static enum err open_read_write(struct broker *broker, struct why *why)
{
    enum err err = file_open_writer(broker, why);
    if (err == ERR_OK) {
        err = prepare_writer(broker, why);
    }
    if (err == ERR_OK) {
        err = topics_load(broker, why);
    }
    return err == ERR_OK ? file_recover(broker, why) : err;
}

enum err broker_open(const struct broker_options *options, struct broker **out_broker,
                     struct why *why)
{
    assert(options->path != NULL && options->lease_us >= 0);
    struct broker *broker = create(options);
    if (broker == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory to open %s", options->path);
    }
    enum err err = broker->read_only ? open_read_only(broker, why) : open_read_write(broker, why);
    if (err != ERR_OK) {
        destroy(broker);
        return err;
    }
    *out_broker = broker;
    return ERR_OK;
}

void broker_close(struct broker **broker)
{
    if (broker == NULL || *broker == NULL) {
        return;
    }
    if (!(*broker)->read_only) {
        (*broker)->closing = true;
        // Whatever fails here costs redeliveries, which the next opening copes with.
        enum err err = broker_flush(*broker, NULL);
        (void)err;
        file_checkpoint_on_close(*broker, !atomic_load(&(*broker)->poisoned));
    }
    destroy(*broker);
    *broker = NULL;
}

struct text broker_log_id(const struct broker *broker)
{
    return (struct text){broker->log_id, sizeof(broker->log_id) - 1};
}

struct subscription *broker_subscription(struct broker *broker, uint32_t number)
{
    lock(&broker->queue_lock);
    assert(number < broker->subscription_count);
    struct subscription *subscription = broker->subscriptions[number];
    unlock(&broker->queue_lock);
    return subscription;
}

static enum err check_message(const struct broker_outgoing *message, size_t *out_size,
                              struct why *why)
{
    size_t size = message->data.size;
    if (message->attributes.count != 0) {
        size += attributes_packed_size(message->attributes);
    }
    if (size > BROKER_MESSAGE_SIZE_MAX) {
        return why_set(why, ERR_TOO_LARGE, "a message of %zu bytes; the limit is %u", size,
                       BROKER_MESSAGE_SIZE_MAX);
    }
    *out_size = size;
    return ERR_OK;
}

static enum err check_attributes(struct attributes attributes, struct why *why)
{
    bool good = attributes.count <= ATTRIBUTE_COUNT_MAX;
    for (size_t i = 0; good && i < attributes.count; i++) {
        good = attributes.items[i].key.size > 0 &&
               attributes.items[i].key.size <= ATTRIBUTE_KEY_SIZE_MAX &&
               attributes.items[i].value.size <= ATTRIBUTE_VALUE_SIZE_MAX;
    }
    return good ? ERR_OK
                : why_set(why, ERR_TOO_LARGE,
                          "attributes: at most %d, keys of 1-%d bytes, values of up to %d",
                          ATTRIBUTE_COUNT_MAX, ATTRIBUTE_KEY_SIZE_MAX, ATTRIBUTE_VALUE_SIZE_MAX);
}

static enum err check_messages(const struct broker_outgoing *messages, size_t count,
                               size_t *out_size, struct why *why)
{
    if (count > BROKER_PUBLISH_COUNT_MAX) {
        return why_set(why, ERR_TOO_LARGE, "%zu messages in one call; the limit is %u", count,
                       BROKER_PUBLISH_COUNT_MAX);
    }
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        size_t size = 0;
        enum err err = check_attributes(messages[i].attributes, why);
        if (err == ERR_OK) {
            err = check_message(&messages[i], &size, why);
        }
        if (err != ERR_OK) {
            return err;
        }
        total += size;
    }
    if (total > BROKER_PUBLISH_SIZE_MAX) {
        return why_set(why, ERR_TOO_LARGE, "%zu bytes in one call; the limit is %u", total,
                       BROKER_PUBLISH_SIZE_MAX);
    }
    *out_size = total;
    return ERR_OK;
}

enum err broker_publish(struct broker *broker, uint32_t topic,
                        const struct broker_outgoing *messages, size_t count, struct why *why)
{
    assert(!broker->read_only);
    struct request request = {.messages = messages, .count = count, .why = why};
    enum err err = check_messages(messages, count, &request.size, why);
    if (err != ERR_OK || count == 0) {
        return err;
    }
    lock(&broker->queue_lock);
    assert(topic < broker->topic_count);
    request.topic = broker->topics[topic];
    unlock(&broker->queue_lock);
    return commit_submit(broker, &request);
}

enum err broker_flush(struct broker *broker, struct why *why)
{
    assert(!broker->read_only);
    struct request request = {.why = why};
    return commit_submit(broker, &request);
}

enum err broker_flush_when_due(struct broker *broker, const struct subscription *subscription,
                               struct why *why)
{
    int64_t age_ns = clock_mono_ns(&broker->clock) - atomic_load(&subscription->flushed_ns);
    bool old = atomic_load(&subscription->dirty) && age_ns >= BROKER_FLUSH_INTERVAL_US * 1000;
    if (!old && !atomic_load(&subscription->topic->trim_due)) {
        return ERR_OK;
    }
    enum err err = broker_flush(broker, why);
    return err_class_of(err) == ERR_CLASS_RETRY ? ERR_OK : err;
}

enum err broker_ack(struct broker *broker, uint32_t number, const uint64_t *handles, size_t count,
                    struct why *why)
{
    struct subscription *subscription = broker_subscription(broker, number);
    enum err err = broker_check(broker, why);
    if (err != ERR_OK) {
        return err;
    }
    lock(&subscription->lock);
    if (leases_ack(&subscription->leases, handles, count, clock_mono_ns(&broker->clock))) {
        atomic_store(&subscription->floor, subscription->leases.floor);
        atomic_store(&subscription->dirty, true);
    }
    unlock(&subscription->lock);
    return broker_flush_when_due(broker, subscription, why);
}

enum err broker_nack(struct broker *broker, uint32_t number, const uint64_t *handles, size_t count,
                     struct why *why)
{
    struct subscription *subscription = broker_subscription(broker, number);
    enum err err = broker_check(broker, why);
    if (err != ERR_OK) {
        return err;
    }
    lock(&subscription->lock);
    leases_nack(&subscription->leases, handles, count, clock_mono_ns(&broker->clock));
    bool waiting = subscription->leases.waiting_count > 0;
    unlock(&subscription->lock);
    if (waiting) {
        broker_announce(broker);
    }
    return ERR_OK;
}

enum err broker_extend(struct broker *broker, uint32_t number, const uint64_t *handles,
                       size_t count, int64_t lease_us, struct why *why)
{
    assert(lease_us >= 0);
    if (lease_us == 0) {
        return broker_nack(broker, number, handles, count, why);
    }
    struct subscription *subscription = broker_subscription(broker, number);
    enum err err = broker_check(broker, why);
    if (err != ERR_OK) {
        return err;
    }
    lock(&subscription->lock);
    int64_t now_ns = clock_mono_ns(&broker->clock);
    leases_extend(&subscription->leases, handles, count, now_ns, now_ns + lease_us * 1000);
    unlock(&subscription->lock);
    return ERR_OK;
}

// The publish time of a message that is there; 0 on failure.
static enum err publish_time(struct broker *broker, struct subscription *subscription, uint64_t seq,
                             int64_t *out_us, struct why *why)
{
    uint64_t end = 0;
    sqlite3_stmt *select = subscription->select[halves_find(subscription->topic, seq, &end)];
    sqlite3_bind_int64(select, 1, (int64_t)seq);
    sqlite3_bind_int64(select, 2, (int64_t)seq);
    int result = sqlite3_step(select);
    int64_t published_us = sqlite3_column_int64(select, 1);
    sqlite3_reset(select);
    if (result != SQLITE_ROW && result != SQLITE_DONE) {
        return broker_fail(broker, subscription->reader, result, "reading from it", why);
    }
    *out_us = result == SQLITE_ROW ? published_us : 0;
    return ERR_OK;
}

static enum err backlog(struct broker *broker, struct subscription *subscription,
                        struct broker_backlog *out_backlog, struct why *why)
{
    struct leases *leases = &subscription->leases;
    leases_expire(leases, clock_mono_ns(&broker->clock));
    uint64_t last_seq = atomic_load(&subscription->topic->last_seq);
    struct broker_backlog figures = {
        .published = last_seq,
        .unacked = last_seq - leases->floor - leases->acked_above_count,
        .leased = leases->out_count,
    };
    enum err err = ERR_OK;
    uint64_t oldest = leases->floor + 1;
    if (figures.unacked > 0 && subscription->oldest_seq != oldest) {
        err = publish_time(broker, subscription, oldest, &subscription->oldest_us, why);
        subscription->oldest_seq = err == ERR_OK ? oldest : 0;
    }
    figures.oldest_unacked_us = figures.unacked > 0 ? subscription->oldest_us : 0;
    if (err == ERR_OK) {
        *out_backlog = figures;
    }
    return err;
}

static enum err backlog_snapshot(struct broker *broker, uint32_t number,
                                 struct broker_backlog *out_backlog, struct why *why)
{
    lead_begin(broker);
    enum err err = snapshot_begin(broker, why);
    if (err == ERR_OK) {
        assert(number < broker->subscription_count);
        err = backlog(broker, broker->subscriptions[number], out_backlog, why);
    }
    snapshot_end(broker);
    lead_end(broker);
    return err;
}

enum err broker_backlog(struct broker *broker, uint32_t number, struct broker_backlog *out_backlog,
                        struct why *why)
{
    enum err err = broker_check(broker, why);
    if (err != ERR_OK) {
        return err;
    }
    if (broker->read_only) {
        return backlog_snapshot(broker, number, out_backlog, why);
    }
    struct subscription *subscription = broker_subscription(broker, number);
    lock(&subscription->lock);
    err = backlog(broker, subscription, out_backlog, why);
    unlock(&subscription->lock);
    return err;
}

void broker_counters(struct broker *broker, struct broker_counters *out_counters)
{
    *out_counters = (struct broker_counters){
        .commits = atomic_load(&broker->commit_count),
        .checkpoints = atomic_load(&broker->checkpoint_count),
        .messages_published = atomic_load(&broker->published_count),
        .messages_trimmed = atomic_load(&broker->trimmed_count),
        .wal_pages_max = atomic_load(&broker->wal_pages_max),
    };
    lock(&broker->queue_lock);
    size_t count = broker->subscription_count;
    unlock(&broker->queue_lock);
    for (size_t i = 0; i < count; i++) {
        struct subscription *subscription = broker_subscription(broker, (uint32_t)i);
        lock(&subscription->lock);
        out_counters->handles_ignored += subscription->leases.ignored_count;
        unlock(&subscription->lock);
    }
}

// Waiting.

void broker_announce(struct broker *broker)
{
    lock(&broker->wait_lock);
    broker->generation++;
    pthread_cond_broadcast(&broker->available);
    unlock(&broker->wait_lock);
}

uint64_t broker_generation(struct broker *broker)
{
    lock(&broker->wait_lock);
    uint64_t generation = broker->generation;
    unlock(&broker->wait_lock);
    return generation;
}

void broker_wait(struct broker *broker, uint64_t seen, int64_t timeout_us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t end_ns = until.tv_nsec + timeout_us % US_PER_SECOND * 1000;
    until.tv_sec += timeout_us / US_PER_SECOND + end_ns / NS_PER_SECOND;
    until.tv_nsec = end_ns % NS_PER_SECOND;
    lock(&broker->wait_lock);
    int result = 0;
    while (broker->generation == seen && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&broker->available, &broker->wait_lock, &until);
        assert(result == 0 || result == ETIMEDOUT);
    }
    unlock(&broker->wait_lock);
}

void broker_wake(struct broker *broker)
{
    broker_announce(broker);
}
