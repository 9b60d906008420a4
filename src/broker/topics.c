// Loading topics and subscriptions when the log is opened. Nothing here scans: numbers come from the
// topics' and subscriptions' rows and from the ends of the message tables.
#include "broker_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SQL_SIZE_MAX (64u * 1024)

static const char half_letters[] = "ab";

// Prepares a statement on one of a topic's two tables.
static enum err prepare_for_half(const struct broker *broker, sqlite3 *connection,
                                 const char *before, int64_t id, unsigned half, const char *after,
                                 sqlite3_stmt **out_statement, struct why *why)
{
    char sql[200];
    struct buf buf;
    buf_init_fixed(&buf, sql, sizeof(sql));
    buf_add_fmt(&buf, "%s messages_%" PRId64 "_%c %s", before, id, half_letters[half], after);
    buf_add_char(&buf, '\0');
    assert(!buf_overflowed(&buf));
    return file_prepare(broker->path, connection, sql, out_statement, why);
}

static void topic_destroy(struct topic *topic)
{
    for (size_t i = 0; i < 2; i++) {
        sqlite3_finalize(topic->halves[i].insert);
        sqlite3_finalize(topic->halves[i].cut);
        sqlite3_finalize(topic->halves[i].clear);
    }
    free(topic);
}

static void subscription_destroy(struct subscription *subscription)
{
    sqlite3_finalize(subscription->select[0]);
    sqlite3_finalize(subscription->select[1]);
    sqlite3_close(subscription->reader);
    leases_deinit(&subscription->leases);
    pthread_mutex_destroy(&subscription->lock);
    free(subscription);
}

void topics_destroy(struct broker *broker)
{
    for (size_t i = 0; i < broker->subscription_count; i++) {
        subscription_destroy(broker->subscriptions[i]);
    }
    for (size_t i = 0; i < broker->topic_count; i++) {
        topic_destroy(broker->topics[i]);
    }
    broker->subscription_count = 0;
    broker->topic_count = 0;
}

// The number that a query on one half gives; 0 for NULL.
static enum err query_half(const struct broker *broker, const char *query, int64_t id,
                           unsigned half, uint64_t *out_number, struct why *why)
{
    sqlite3_stmt *statement = NULL;
    enum err err = prepare_for_half(broker, broker->writer, query, id, half, "", &statement, why);
    if (err != ERR_OK) {
        return err;
    }
    int result = sqlite3_step(statement);
    uint64_t number = result == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    if (result != SQLITE_ROW) {
        return file_error(broker->path, broker->writer, result, "opening it", why);
    }
    *out_number = number;
    return ERR_OK;
}

static enum err read_extent(const struct broker *broker, int64_t id, unsigned half,
                            struct extent *out_extent, struct why *why)
{
    uint64_t first = 0;
    uint64_t last = 0;
    enum err err = query_half(broker, "SELECT min(seq) FROM", id, half, &first, why);
    if (err == ERR_OK) {
        err = query_half(broker, "SELECT max(seq) FROM", id, half, &last, why);
    }
    if (err == ERR_OK && last != 0) {
        *out_extent = (struct extent){first, last + 1, EXTENT_SIZE_UNKNOWN};
    }
    return err;
}

// Whether the messages form an unbroken row up to the topic's last number. Anything else means that
// other hands changed the file, and going on could use a number twice.
static bool extents_sound(const struct topic *topic)
{
    const struct extent *a = &topic->halves[0].extent;
    const struct extent *b = &topic->halves[1].extent;
    if (a->end > b->end) {
        const struct extent *swap = a;
        a = b;
        b = swap;
    }
    bool none = b->end == 0;
    bool ends_right = b->end == topic->pending_seq + 1;
    bool joined = a->end == 0 || a->end == b->first;
    return topic->pending_seq <= INT64_MAX >> 16 && (none || (ends_right && joined));
}

static enum err prepare_half(const struct broker *broker, struct topic *topic, unsigned half,
                             struct why *why)
{
    struct half *target = &topic->halves[half];
    enum err err = prepare_for_half(broker, broker->writer, "INSERT INTO", topic->id, half,
                                    "VALUES(?1,?2,?3,?4)", &target->insert, why);
    if (err == ERR_OK) {
        err = prepare_for_half(broker, broker->writer, "DELETE FROM", topic->id, half,
                               "WHERE seq<=?1", &target->cut, why);
    }
    if (err == ERR_OK) {
        err = prepare_for_half(broker, broker->writer, "DELETE FROM", topic->id, half, "",
                               &target->clear, why);
    }
    return err;
}

static enum err topic_fill(const struct broker *broker, struct topic *topic,
                           const struct topics_row *row, struct why *why)
{
    topic->id = row->id;
    topic->pending_seq = (uint64_t)row->last_seq;
    atomic_store(&topic->last_seq, topic->pending_seq);
    memcpy(topic->name, row->name, strlen(row->name) + 1);
    enum err err = ERR_OK;
    for (unsigned half = 0; half < 2 && err == ERR_OK; half++) {
        err = read_extent(broker, row->id, half, &topic->halves[half].extent, why);
    }
    if (err == ERR_OK && !extents_sound(topic)) {
        err = why_set(why, ERR_CORRUPT,
                      "%s: the messages of topic %s contradict its last number, %" PRId64
                      "; nothing was changed",
                      broker->path, topic->name, row->last_seq);
    }
    if (err == ERR_OK) {
        halves_open(topic);
    }
    for (unsigned half = 0; half < 2 && err == ERR_OK && !broker->read_only; half++) {
        err = prepare_half(broker, topic, half, why);
    }
    return err;
}

enum err topics_add(struct broker *broker, const struct topics_row *row, struct why *why)
{
    if (broker->topic_count == BROKER_TOPIC_COUNT_MAX) {
        return why_set(why, ERR_FULL, "%s: more than %u topics", broker->path,
                       BROKER_TOPIC_COUNT_MAX);
    }
    struct topic *topic = calloc(1, sizeof(*topic));
    if (topic == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory for a topic");
    }
    enum err err = topic_fill(broker, topic, row, why);
    if (err != ERR_OK) {
        topic_destroy(topic);
        return err;
    }
    if (row->last_published_us > broker->published_us) {
        broker->published_us = row->last_published_us;
    }
    lock(&broker->queue_lock);
    broker->topics[broker->topic_count++] = topic;
    unlock(&broker->queue_lock);
    return ERR_OK;
}

static enum err row_name(const struct broker *broker, sqlite3_stmt *statement, int column,
                         const char **out_name, struct why *why)
{
    const char *name = (const char *)sqlite3_column_text(statement, column);
    if (name == NULL || !topics_name_valid(text_of(name))) {
        return why_set(why, ERR_CORRUPT, "%s: holds a name that is none; nothing was changed",
                       broker->path);
    }
    *out_name = name;
    return ERR_OK;
}

static enum err topics_read(struct broker *broker, sqlite3_stmt *statement, struct why *why)
{
    int result = SQLITE_ROW;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        struct topics_row row = {.id = sqlite3_column_int64(statement, 0),
                                 .last_seq = sqlite3_column_int64(statement, 2),
                                 .last_published_us = sqlite3_column_int64(statement, 3)};
        enum err err = row_name(broker, statement, 1, &row.name, why);
        if (err == ERR_OK) {
            err = topics_add(broker, &row, why);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    return result == SQLITE_DONE
               ? ERR_OK
               : file_error(broker->path, broker->writer, result, "opening it", why);
}

static struct topic *topic_of_id(struct broker *broker, int64_t id)
{
    for (size_t i = 0; i < broker->topic_count; i++) {
        if (broker->topics[i]->id == id) {
            return broker->topics[i];
        }
    }
    return NULL;
}

// Takes "12-15,20-20" (what was acked above the floor) into the leases.
static bool restore_ranges(struct leases *leases, struct text ranges, uint64_t last_seq,
                           enum err *out_err)
{
    const char *cursor = ranges.data;
    const char *end = ranges.data + ranges.size;
    uint64_t above = leases->floor + 1;
    while (cursor < end) {
        const char *comma = memchr(cursor, ',', (size_t)(end - cursor));
        const char *stop = comma != NULL ? comma : end;
        const char *dash = memchr(cursor, '-', (size_t)(stop - cursor));
        uint64_t first = 0;
        uint64_t last = 0;
        if (dash == NULL ||
            !text_parse_u64((struct text){cursor, (size_t)(dash - cursor)}, &first) ||
            !text_parse_u64((struct text){dash + 1, (size_t)(stop - dash - 1)}, &last) ||
            first <= above || last < first || last > last_seq) {
            return false;
        }
        *out_err = leases_restore(leases, first, last);
        if (*out_err != ERR_OK) {
            return true;
        }
        above = last + 1;
        cursor = comma != NULL ? comma + 1 : end;
    }
    return true;
}

// The oldest message that is there; the next to come when there is none.
static uint64_t topic_first_seq(const struct topic *topic)
{
    uint64_t end = 0;
    unsigned older = halves_find(topic, 0, &end);
    const struct extent *extent = &topic->halves[older].extent;
    return extent->first < extent->end ? extent->first : end;
}

static enum err subscription_fill(struct broker *broker, struct subscription *subscription,
                                  const struct subscriptions_row *row, struct why *why)
{
    uint64_t last_seq = atomic_load(&row->topic->last_seq);
    uint64_t delivered = row->delivered_seq < last_seq ? row->delivered_seq : last_seq;
    subscription->id = row->id;
    subscription->topic = row->topic;
    subscription->durable_floor = row->floor;
    atomic_store(&subscription->delivered_seq, row->delivered_seq);
    atomic_store(&subscription->flushed_ns, clock_mono_ns(&broker->clock));
    atomic_store(&subscription->floor, row->floor);
    memcpy(subscription->name, row->name, strlen(row->name) + 1);
    enum err err = leases_init(&subscription->leases, row->floor, delivered);
    bool sound = row->floor <= last_seq &&
                 (row->floor == last_seq || row->floor + 1 >= topic_first_seq(row->topic));
    if (err == ERR_OK && sound) {
        sound = restore_ranges(&subscription->leases, row->acked_ranges, last_seq, &err);
    }
    if (!sound) {
        return why_set(
            why, ERR_CORRUPT,
            "%s: what subscription %s has acked contradicts topic %s; nothing was changed",
            broker->path, row->name, row->topic->name);
    }
    if (err != ERR_OK) {
        return why_set(why, err, "%s: no memory for subscription %s", broker->path, row->name);
    }
    sqlite3 *connection = broker->writer;
    if (!broker->read_only) {
        err = file_open_reader(broker->path, &subscription->reader, why);
        connection = subscription->reader;
    }
    for (unsigned half = 0; half < 2 && err == ERR_OK; half++) {
        err = prepare_for_half(broker, connection, "SELECT seq,published_us,data,attributes FROM",
                               row->topic->id, half, "WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq",
                               &subscription->select[half], why);
    }
    return err;
}

enum err subscriptions_add(struct broker *broker, const struct subscriptions_row *row,
                           struct why *why)
{
    if (broker->subscription_count == BROKER_SUBSCRIPTION_COUNT_MAX) {
        return why_set(why, ERR_FULL, "%s: more than %u subscriptions", broker->path,
                       BROKER_SUBSCRIPTION_COUNT_MAX);
    }
    struct subscription *subscription = calloc(1, sizeof(*subscription));
    if (subscription == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory for a subscription");
    }
    pthread_mutex_init(&subscription->lock, NULL);
    enum err err = subscription_fill(broker, subscription, row, why);
    if (err != ERR_OK) {
        subscription_destroy(subscription);
        return err;
    }
    row->topic->subscriptions[row->topic->subscription_count++] = subscription;
    lock(&broker->queue_lock);
    broker->subscriptions[broker->subscription_count++] = subscription;
    unlock(&broker->queue_lock);
    return ERR_OK;
}

static enum err subscriptions_read(struct broker *broker, sqlite3_stmt *statement, struct why *why)
{
    int result = SQLITE_ROW;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        struct subscriptions_row row = {
            .id = sqlite3_column_int64(statement, 0),
            .topic = topic_of_id(broker, sqlite3_column_int64(statement, 1)),
            .floor = (uint64_t)sqlite3_column_int64(statement, 3),
            .acked_ranges = text_of((const char *)sqlite3_column_text(statement, 4)),
            .delivered_seq = (uint64_t)sqlite3_column_int64(statement, 5),
        };
        enum err err = row_name(broker, statement, 2, &row.name, why);
        if (err == ERR_OK && row.topic == NULL) {
            err = why_set(why, ERR_CORRUPT, "%s: subscription %s has no topic; nothing was changed",
                          broker->path, row.name);
        }
        if (err == ERR_OK) {
            err = subscriptions_add(broker, &row, why);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    return result == SQLITE_DONE
               ? ERR_OK
               : file_error(broker->path, broker->writer, result, "opening it", why);
}

static enum err log_id_read(struct broker *broker, sqlite3_stmt *statement, struct why *why)
{
    int result = sqlite3_step(statement);
    if (result != SQLITE_ROW && result != SQLITE_DONE) {
        return file_error(broker->path, broker->writer, result, "opening it", why);
    }
    const char *id = result == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (id == NULL || strlen(id) != sizeof(broker->log_id) - 1) {
        return why_set(why, ERR_CORRUPT, "%s: has no log id; nothing was changed", broker->path);
    }
    memcpy(broker->log_id, id, sizeof(broker->log_id));
    return ERR_OK;
}

typedef enum err read_function(struct broker *broker, sqlite3_stmt *statement, struct why *why);

static enum err load(struct broker *broker, const char *sql, read_function *read, struct why *why)
{
    sqlite3_stmt *statement = NULL;
    enum err err = file_prepare(broker->path, broker->writer, sql, &statement, why);
    if (err == ERR_OK) {
        err = read(broker, statement, why);
    }
    sqlite3_finalize(statement);
    return err;
}

enum err topics_load(struct broker *broker, struct why *why)
{
    enum err err = load(broker, "SELECT log_id FROM log", log_id_read, why);
    if (err == ERR_OK) {
        err = load(broker,
                   "SELECT topic_id,name,last_seq,last_published_us FROM topics ORDER BY topic_id",
                   topics_read, why);
    }
    if (err == ERR_OK) {
        err = load(broker,
                   "SELECT subscription_id,topic_id,name,ack_floor,acked_ranges,delivered_seq"
                   " FROM subscriptions ORDER BY subscription_id",
                   subscriptions_read, why);
    }
    return err;
}
