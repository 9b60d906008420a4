// Topics and subscriptions: loading them when the log is opened, and making new ones.
//
// The messages of the topic with topic_id N are the rows of table messages_N, whose key is their
// number, so that a publish appends and a trim cuts off the front. `data` is text when it is well-formed
// UTF-8 without NUL, else a blob. The view `messages` shows all topics together.
#include "broker_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SQL_SIZE_MAX (64u * 1024)

struct topics_row {
    int64_t id;
    const char *name;
    int64_t last_seq;
    int64_t last_published_us;
};

static bool name_valid(struct text name)
{
    if (name.size == 0 || name.size > BROKER_NAME_SIZE_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool other = (c >= '0' && c <= '9') || (c != '\0' && strchr("-_.~+%", c) != NULL);
        if (!letter && (i == 0 || !other)) {
            return false;
        }
    }
    return true;
}

static enum err name_check(struct text name, struct why *why)
{
    return name_valid(name) ? ERR_OK
                            : why_set(why, ERR_INVALID,
                                      "not a name for a topic or subscription: 1-%u of letters, "
                                      "digits and - _ . ~ + %%, first a letter",
                                      BROKER_NAME_SIZE_MAX);
}

// Statements with the topic's number in them.
static enum err prepare_for_topic(const struct broker *broker, sqlite3 *connection,
                                  const char *before, int64_t id, const char *after,
                                  sqlite3_stmt **out_statement, struct why *why)
{
    char sql[200];
    struct buf buf;
    buf_init_fixed(&buf, sql, sizeof(sql));
    buf_add_fmt(&buf, "%s messages_%" PRId64 " %s", before, id, after);
    buf_add_char(&buf, '\0');
    assert(!buf_overflowed(&buf));
    return file_prepare(broker->path, connection, sql, out_statement, why);
}

static void topic_destroy(struct topic *topic)
{
    sqlite3_finalize(topic->insert);
    sqlite3_finalize(topic->trim);
    free(topic);
}

static void subscription_destroy(struct subscription *subscription)
{
    sqlite3_finalize(subscription->select);
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

// The lowest and highest message number in the topic's table; both 0 when it is empty.
static enum err read_bounds(const struct broker *broker, int64_t id, uint64_t *out_first,
                            uint64_t *out_last, struct why *why)
{
    static const char *const columns[] = {"SELECT min(seq) FROM", "SELECT max(seq) FROM"};
    uint64_t bounds[2] = {0, 0};
    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *statement = NULL;
        enum err err =
            prepare_for_topic(broker, broker->writer, columns[i], id, "", &statement, why);
        if (err != ERR_OK) {
            return err;
        }
        int result = sqlite3_step(statement);
        bounds[i] = result == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
        sqlite3_finalize(statement);
        if (result != SQLITE_ROW) {
            return file_error(broker->path, broker->writer, result, "opening it", why);
        }
    }
    *out_first = bounds[0];
    *out_last = bounds[1];
    return ERR_OK;
}

// Fills a topic from its row. Numbers that contradict the messages mean that the file was changed by
// other hands, and going on could use a number twice.
static enum err topic_fill(const struct broker *broker, struct topic *topic,
                           const struct topics_row *row, struct why *why)
{
    topic->id = row->id;
    topic->pending_seq = (uint64_t)row->last_seq;
    atomic_store(&topic->last_seq, topic->pending_seq);
    memcpy(topic->name, row->name, strlen(row->name) + 1);
    uint64_t first = 0;
    uint64_t last = 0;
    enum err err = read_bounds(broker, row->id, &first, &last, why);
    if (err != ERR_OK) {
        return err;
    }
    if (row->last_seq < 0 || last > topic->pending_seq ||
        (last != 0 && last < topic->pending_seq)) {
        return why_set(why, ERR_CORRUPT,
                       "%s: topic %s ends at message %" PRIu64
                       ", but its last message is said to be "
                       "%" PRId64 "; nothing was changed",
                       broker->path, topic->name, last, row->last_seq);
    }
    topic->trimmed_seq = last == 0 ? topic->pending_seq : first - 1;
    topic->pending_trim_seq = topic->trimmed_seq;
    if (broker->read_only) {
        return ERR_OK;
    }
    err = prepare_for_topic(broker, broker->writer, "INSERT INTO", row->id, "VALUES(?1,?2,?3,?4)",
                            &topic->insert, why);
    if (err == ERR_OK) {
        err = prepare_for_topic(broker, broker->writer, "DELETE FROM", row->id, "WHERE seq<=?1",
                                &topic->trim, why);
    }
    return err;
}

static enum err topic_add(struct broker *broker, const struct topics_row *row, struct why *why)
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
    if (name == NULL || !name_valid(text_of(name))) {
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
            err = topic_add(broker, &row, why);
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

struct subscriptions_row {
    int64_t id;
    const char *name;
    struct topic *topic;
    uint64_t floor;
    struct text acked_ranges;
    uint64_t delivered_seq;
};

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
    bool sound = row->floor <= last_seq && row->floor >= row->topic->trimmed_seq;
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
    if (err == ERR_OK) {
        err = prepare_for_topic(broker, connection, "SELECT seq,published_us,data,attributes FROM",
                                row->topic->id, "WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq",
                                &subscription->select, why);
    }
    return err;
}

static enum err subscription_add(struct broker *broker, const struct subscriptions_row *row,
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
            err = subscription_add(broker, &row, why);
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

// Making new ones. The caller leads, so the writer connection is his.

static bool topic_find(struct broker *broker, struct text name, uint32_t *out_topic)
{
    for (size_t i = 0; i < broker->topic_count; i++) {
        if (text_equal(text_of(broker->topics[i]->name), name)) {
            *out_topic = (uint32_t)i;
            return true;
        }
    }
    return false;
}

static bool subscription_find(struct broker *broker, struct text name, uint32_t *out_subscription)
{
    for (size_t i = 0; i < broker->subscription_count; i++) {
        if (text_equal(text_of(broker->subscriptions[i]->name), name)) {
            *out_subscription = (uint32_t)i;
            return true;
        }
    }
    return false;
}

// Runs SQL as one transaction. A failed COMMIT leaves the outcome unknown, so it poisons.
static enum err transact(struct broker *broker, struct buf *sql, struct why *why)
{
    buf_add_char(sql, '\0');
    if (buf_overflowed(sql)) {
        return why_set(why, ERR_NO_MEMORY, "no memory to describe a topic");
    }
    int result = statement_run(broker->begin);
    if (result == SQLITE_OK) {
        result = sqlite3_exec(broker->writer, sql->data, NULL, NULL, NULL);
    }
    if (result == SQLITE_OK) {
        result = statement_run(broker->commit);
    }
    if (result == SQLITE_OK) {
        return ERR_OK;
    }
    enum err err =
        broker_fail(broker, broker->writer, result, "making a topic or subscription", why);
    if (!sqlite3_get_autocommit(broker->writer)) {
        (void)statement_run(broker->rollback);
    }
    return err;
}

static void add_view(struct broker *broker, int64_t new_id, struct text new_name, struct buf *sql)
{
    static const char columns[] = "' AS topic,seq,"
                                  "strftime('%Y-%m-%dT%H:%M:%fZ',published_us/1e6,'unixepoch')"
                                  " AS published_at,published_us,data,attributes FROM messages_";
    buf_add_str(sql, "DROP VIEW IF EXISTS messages;CREATE VIEW messages AS ");
    for (size_t i = 0; i < broker->topic_count; i++) {
        buf_add_fmt(sql, "SELECT '%s%s%" PRId64 " UNION ALL ", broker->topics[i]->name, columns,
                    broker->topics[i]->id);
    }
    buf_add_fmt(sql, "SELECT '%.*s%s%" PRId64 ";", TEXT_PRINT(new_name), columns, new_id);
}

static enum err topic_make(struct broker *broker, struct text name, struct why *why)
{
    if (broker->topic_count == BROKER_TOPIC_COUNT_MAX) {
        return why_set(why, ERR_FULL, "%s: more than %u topics", broker->path,
                       BROKER_TOPIC_COUNT_MAX);
    }
    int64_t id = broker->topic_count == 0 ? 1 : broker->topics[broker->topic_count - 1]->id + 1;
    struct buf sql;
    buf_init_heap(&sql, SQL_SIZE_MAX);
    buf_add_fmt(&sql, "INSERT INTO topics VALUES(%" PRId64 ",'%.*s',0,0);", id, TEXT_PRINT(name));
    buf_add_fmt(&sql,
                "CREATE TABLE messages_%" PRId64 "(seq INTEGER PRIMARY KEY,"
                " published_us INTEGER NOT NULL, data NOT NULL, attributes BLOB);",
                id);
    add_view(broker, id, name, &sql);
    enum err err = transact(broker, &sql, why);
    buf_deinit(&sql);
    if (err != ERR_OK) {
        return err;
    }
    char copy[BROKER_NAME_SIZE_MAX + 1] = {0};
    memcpy(copy, name.data, name.size);
    return topic_add(broker, &(struct topics_row){.id = id, .name = copy}, why);
}

static enum err subscription_make(struct broker *broker, struct topic *topic, struct text name,
                                  struct why *why)
{
    if (broker->subscription_count == BROKER_SUBSCRIPTION_COUNT_MAX) {
        return why_set(why, ERR_FULL, "%s: more than %u subscriptions", broker->path,
                       BROKER_SUBSCRIPTION_COUNT_MAX);
    }
    size_t count = broker->subscription_count;
    int64_t id = count == 0 ? 1 : broker->subscriptions[count - 1]->id + 1;
    uint64_t last_seq = atomic_load(&topic->last_seq);
    struct buf sql;
    buf_init_heap(&sql, SQL_SIZE_MAX);
    buf_add_fmt(&sql,
                "INSERT INTO subscriptions VALUES(%" PRId64 ",%" PRId64 ",'%.*s',%" PRIu64
                ",'',%" PRIu64 ");",
                id, topic->id, TEXT_PRINT(name), last_seq, last_seq);
    enum err err = transact(broker, &sql, why);
    buf_deinit(&sql);
    if (err != ERR_OK) {
        return err;
    }
    char copy[BROKER_NAME_SIZE_MAX + 1] = {0};
    memcpy(copy, name.data, name.size);
    struct subscriptions_row row = {.id = id,
                                    .name = copy,
                                    .topic = topic,
                                    .floor = last_seq,
                                    .acked_ranges = TEXT(""),
                                    .delivered_seq = last_seq};
    return subscription_add(broker, &row, why);
}

enum err broker_topic_create(struct broker *broker, struct text name, uint32_t *out_topic,
                             struct why *why)
{
    enum err err = name_check(name, why);
    if (err != ERR_OK) {
        return err;
    }
    lead_begin(broker);
    err = broker_check(broker, why);
    if (err == ERR_OK && !topic_find(broker, name, out_topic)) {
        err = broker->read_only
                  ? why_set(why, ERR_NOT_FOUND, "%s: no topic %.*s", broker->path, TEXT_PRINT(name))
                  : topic_make(broker, name, why);
        if (err == ERR_OK) {
            *out_topic = (uint32_t)broker->topic_count - 1;
        }
    }
    lead_end(broker);
    return err;
}

enum err broker_subscription_create(struct broker *broker, uint32_t topic, struct text name,
                                    uint32_t *out_subscription, struct why *why)
{
    enum err err = name_check(name, why);
    if (err != ERR_OK) {
        return err;
    }
    lead_begin(broker);
    assert(topic < broker->topic_count);
    struct topic *owner = broker->topics[topic];
    err = broker_check(broker, why);
    if (err == ERR_OK && subscription_find(broker, name, out_subscription)) {
        if (broker->subscriptions[*out_subscription]->topic != owner) {
            err = why_set(why, ERR_EXISTS, "%s: subscription %.*s belongs to another topic",
                          broker->path, TEXT_PRINT(name));
        }
    } else if (err == ERR_OK) {
        err = broker->read_only ? why_set(why, ERR_NOT_FOUND, "%s: no subscription %.*s",
                                          broker->path, TEXT_PRINT(name))
                                : subscription_make(broker, owner, name, why);
        if (err == ERR_OK) {
            *out_subscription = (uint32_t)broker->subscription_count - 1;
        }
    }
    lead_end(broker);
    return err;
}

enum err broker_subscription_find(struct broker *broker, struct text name,
                                  uint32_t *out_subscription, struct why *why)
{
    lead_begin(broker);
    enum err err = broker_check(broker, why);
    if (err == ERR_OK && !subscription_find(broker, name, out_subscription)) {
        err =
            why_set(why, ERR_NOT_FOUND, "%s: no subscription %.*s", broker->path, TEXT_PRINT(name));
    }
    lead_end(broker);
    return err;
}
