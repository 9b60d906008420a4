// Making topics and subscriptions. The caller leads, so the writer connection is his.
//
// The messages of the topic with topic_id N are the rows of tables messages_N_a and messages_N_b, whose
// key is the message's number, so that a publish appends. `data` is text when it is well-formed UTF-8
// without NUL, else a blob. The view `messages` shows all topics together.
#include "broker_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define SQL_SIZE_MAX (128u * 1024)

bool topics_name_valid(struct text name)
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
    return topics_name_valid(name)
               ? ERR_OK
               : why_set(why, ERR_INVALID,
                         "not a name for a topic or subscription: 1-%u of letters, "
                         "digits and - _ . ~ + %%, first a letter",
                         BROKER_NAME_SIZE_MAX);
}

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

static void add_view_part(struct buf *sql, int64_t id, struct text name)
{
    for (const char *half = "ab"; *half != '\0'; half++) {
        buf_add_fmt(sql,
                    "SELECT '%.*s' AS topic,seq,strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ',"
                    "published_us/1e6,'unixepoch') AS published_at,published_us,data,attributes"
                    " FROM messages_%" PRId64 "_%c UNION ALL ",
                    TEXT_PRINT(name), id, *half);
    }
}

static void add_view(struct broker *broker, int64_t new_id, struct text new_name, struct buf *sql)
{
    buf_add_str(sql, "DROP VIEW IF EXISTS messages;CREATE VIEW messages AS ");
    for (size_t i = 0; i < broker->topic_count; i++) {
        add_view_part(sql, broker->topics[i]->id, text_of(broker->topics[i]->name));
    }
    add_view_part(sql, new_id, new_name);
    buf_add_str(sql, "SELECT NULL,NULL,NULL,NULL,NULL,NULL WHERE 0;");
}

static void add_tables(int64_t id, struct buf *sql)
{
    for (const char *half = "ab"; *half != '\0'; half++) {
        buf_add_fmt(sql,
                    "CREATE TABLE messages_%" PRId64 "_%c(seq INTEGER PRIMARY KEY,"
                    " published_us INTEGER NOT NULL, data NOT NULL, attributes BLOB);",
                    id, *half);
    }
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
    add_tables(id, &sql);
    add_view(broker, id, name, &sql);
    enum err err = transact(broker, &sql, why);
    buf_deinit(&sql);
    if (err != ERR_OK) {
        return err;
    }
    char copy[BROKER_NAME_SIZE_MAX + 1] = {0};
    memcpy(copy, name.data, name.size);
    return topics_add(broker, &(struct topics_row){.id = id, .name = copy}, why);
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
    return subscriptions_add(broker, &row, why);
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
