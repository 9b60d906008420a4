// The public side of publishing: options, acceptance, flushing, closing.
#include "publisher.h"

#include "message_wire.h"

#include <assert.h>
#include <stdlib.h>

#define REQUESTS_DEFAULT      8u
#define WAITING_COUNT_DEFAULT 100000u
#define WAITING_SIZE_DEFAULT  100000000u
#define LINGER_DEFAULT_US     INT64_C(10000)
#define ATTEMPT_DEFAULT_US    (60 * US_PER_SECOND)
#define TOTAL_DEFAULT_US      (600 * US_PER_SECOND)
#define BACKOFF_FIRST_US      INT64_C(100000)
#define BACKOFF_LAST_US       (10 * US_PER_SECOND)

static size_t or_default(size_t value, size_t fallback)
{
    return value > 0 ? value : fallback;
}

static int64_t time_or_default(int64_t value, int64_t fallback)
{
    return value > 0 ? value : fallback;
}

static size_t at_most(size_t value, size_t most)
{
    return value < most ? value : most;
}

static void fill_options(struct pubsub_publisher_options *options)
{
    options->batch_count_max =
        at_most(or_default(options->batch_count_max, SIZE_MAX), PUBSUB_REQUEST_COUNT_MAX);
    options->batch_size_max =
        at_most(or_default(options->batch_size_max, SIZE_MAX), PUBSUB_REQUEST_SIZE_MAX);
    options->linger_us = time_or_default(options->linger_us, LINGER_DEFAULT_US);
    options->requests_max = or_default(options->requests_max, REQUESTS_DEFAULT);
    options->waiting_count_max = or_default(options->waiting_count_max, WAITING_COUNT_DEFAULT);
    options->waiting_size_max = or_default(options->waiting_size_max, WAITING_SIZE_DEFAULT);
    options->attempt_us = time_or_default(options->attempt_us, ATTEMPT_DEFAULT_US);
    options->total_us = time_or_default(options->total_us, TOTAL_DEFAULT_US);
    options->backoff_first_us = time_or_default(options->backoff_first_us, BACKOFF_FIRST_US);
    options->backoff_last_us = time_or_default(options->backoff_last_us, BACKOFF_LAST_US);
    if (options->backoff_last_us < options->backoff_first_us) {
        options->backoff_last_us = options->backoff_first_us;
    }
}

static void linger_is_over(void *context)
{
    struct pubsub_publisher *publisher = context;
    int64_t linger_ns = publisher->options.linger_us * 1000;
    int64_t now_ns = client_now_ns(publisher->client);
    while (publisher->open.first != NULL &&
           publisher->open.first->opened_ns + linger_ns <= now_ns) {
        publish_batch_close(publisher->open.first);
    }
    if (publisher->open.first != NULL) {
        client_timer_set(publisher->client, &publisher->linger,
                         publisher->open.first->opened_ns + linger_ns);
    }
}

enum err pubsub_publisher_open(struct pubsub *client,
                               const struct pubsub_publisher_options *options,
                               struct pubsub_publisher **out_publisher, struct why *why)
{
    struct pubsub_publisher *publisher = calloc(1, sizeof(*publisher));
    if (publisher == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory for a publisher");
    }
    enum err err = resource_init(&publisher->topic, client, "topics", "topic", options->topic, why);
    if (err != ERR_OK) {
        free(publisher);
        return err;
    }
    publisher->client = client;
    publisher->options = *options;
    fill_options(&publisher->options);
    publisher->options.topic = resource_name(&publisher->topic);
    publisher->topic_field_size = wire_bytes_size(publisher->topic.name_size);
    publisher->rules = (struct backoff_rules){
        .first_us = publisher->options.backoff_first_us,
        .last_us = publisher->options.backoff_last_us,
        .total_us = publisher->options.total_us,
    };
    publisher->linger = (struct timer){.fire = linger_is_over, .context = publisher};
    *out_publisher = publisher;
    return ERR_OK;
}

// --- what may be published ----------------------------------------------------------------------

static bool is_utf8(struct text text)
{
    return text_utf8_valid_prefix(text) == text.size;
}

static enum err check_attribute(const struct attribute *attribute, struct why *why)
{
    if (attribute->key.size == 0 || attribute->key.size > ATTRIBUTE_KEY_SIZE_MAX ||
        attribute->value.size > ATTRIBUTE_VALUE_SIZE_MAX) {
        return why_set(why, ERR_TOO_LARGE,
                       "an attribute with a key of %zu bytes and a value of %zu; keys have 1-%u, "
                       "values up to %u",
                       attribute->key.size, attribute->value.size, ATTRIBUTE_KEY_SIZE_MAX,
                       ATTRIBUTE_VALUE_SIZE_MAX);
    }
    if (!is_utf8(attribute->key) || !is_utf8(attribute->value)) {
        return why_set(why, ERR_INVALID, "an attribute is not UTF-8");
    }
    if (text_starts_with(attribute->key, TEXT("goog"))) {
        return why_set(why, ERR_INVALID, "an attribute's key begins with \"goog\"");
    }
    return ERR_OK;
}

static enum err check_attributes(struct attributes attributes, struct why *why)
{
    if (attributes.count > ATTRIBUTE_COUNT_MAX) {
        return why_set(why, ERR_TOO_LARGE, "%zu attributes; the limit is %d", attributes.count,
                       ATTRIBUTE_COUNT_MAX);
    }
    enum err err = ERR_OK;
    for (size_t i = 0; i < attributes.count && err == ERR_OK; i++) {
        err = check_attribute(&attributes.items[i], why);
    }
    return err;
}

static enum err check_key(const struct pubsub_publisher *publisher, struct text key,
                          struct why *why)
{
    if (key.size > 0 && !publisher->options.ordering) {
        return why_set(why, ERR_INVALID, "an ordering key, but this publisher keeps no order");
    }
    if (key.size > PUBSUB_KEY_SIZE_MAX) {
        return why_set(why, ERR_TOO_LARGE, "an ordering key of %zu bytes; the limit is %u",
                       key.size, PUBSUB_KEY_SIZE_MAX);
    }
    return is_utf8(key) ? ERR_OK : why_set(why, ERR_INVALID, "an ordering key is not UTF-8");
}

static enum err check_size(const struct pubsub_publisher *publisher, size_t body_size,
                           struct why *why)
{
    size_t request_size = publisher->topic_field_size + wire_bytes_size(body_size);
    return request_size <= publisher->options.batch_size_max
               ? ERR_OK
               : why_set(why, ERR_TOO_LARGE,
                         "a message of %zu bytes with its attributes; a request may have %zu",
                         body_size, publisher->options.batch_size_max);
}

static enum err check(const struct pubsub_publisher *publisher,
                      const struct pubsub_outgoing *message, size_t body_size, struct why *why)
{
    if (message->data.size == 0 && message->attributes.count == 0) {
        return why_set(why, ERR_INVALID, "a message needs data or an attribute");
    }
    enum err err = check_size(publisher, body_size, why);
    if (err == ERR_OK && message->attributes.count > 0) {
        err = check_attributes(message->attributes, why);
    }
    if (err == ERR_OK && message->ordering_key.size > 0) {
        err = check_key(publisher, message->ordering_key, why);
    }
    return err;
}

enum err pubsub_publish_check(const struct pubsub_publisher *publisher,
                              const struct pubsub_outgoing *message, struct why *why)
{
    return check(publisher, message, message_size(message), why);
}

// --- publishing ---------------------------------------------------------------------------------

static bool has_room(const struct pubsub_publisher *publisher, size_t size)
{
    // One message always fits when nothing else waits.
    return publisher->waiting_count == 0 ||
           (publisher->waiting_count < publisher->options.waiting_count_max &&
            publisher->waiting_size + size <= publisher->options.waiting_size_max);
}

static enum err await_room(struct pubsub_publisher *publisher, size_t size, struct why *why)
{
    while (!has_room(publisher, size)) {
        if (publisher->options.when_full == PUBSUB_WHEN_FULL_REFUSE) {
            return why_set(why, ERR_FULL, "%zu messages of %zu bytes wait for the service",
                           publisher->waiting_count, publisher->waiting_size);
        }
        client_wait(publisher->client, TIMER_NEVER);
    }
    return ERR_OK;
}

static enum err publish_one(struct pubsub_publisher *publisher,
                            const struct pubsub_outgoing *message, void *tag, struct why *why)
{
    size_t body_size = message_size(message);
    size_t field_size = wire_bytes_size(body_size);
    enum err err = check(publisher, message, body_size, why);
    if (err == ERR_OK) {
        err = await_room(publisher, field_size, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    struct publish_lane *lane = publish_lane_make(publisher, message->ordering_key);
    if (lane != NULL && lane->paused) {
        return why_set(why, ERR_BUSY, "publishing of its ordering key is paused after a failure");
    }
    struct publish_batch *batch =
        lane != NULL ? publish_batch_for(publisher, lane, field_size) : NULL;
    if (batch == NULL || !publish_batch_add(batch, message, body_size, tag)) {
        if (lane != NULL) {
            publish_lane_drop_if_idle(publisher, lane);
        }
        return why_set(why, ERR_NO_MEMORY, "no memory to publish");
    }
    return ERR_OK;
}

enum err pubsub_publish(struct pubsub_publisher *publisher, const struct pubsub_outgoing *messages,
                        size_t count, void *tag, size_t *out_accepted, struct why *why)
{
    enum err err = ERR_OK;
    size_t accepted = 0;
    assert(tag == NULL || publisher->options.on_result != NULL);
    client_lock(publisher->client);
    while (accepted < count && err == ERR_OK) {
        err = publish_one(publisher, &messages[accepted], tag, why);
        accepted += err == ERR_OK ? 1 : 0;
    }
    client_unlock(publisher->client);
    *out_accepted = accepted;
    return err;
}

static void send_open(struct pubsub_publisher *publisher)
{
    while (publisher->open.first != NULL) {
        publish_batch_close(publisher->open.first);
    }
}

enum err pubsub_publish_all(struct pubsub_publisher *publisher,
                            const struct pubsub_outgoing *messages, size_t count, struct why *why)
{
    struct publish_waiter waiter = {0};
    enum err err = ERR_OK;
    assert(publisher->options.on_result == NULL);
    client_lock(publisher->client);
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = publish_one(publisher, &messages[i], &waiter, why);
        waiter.left += err == ERR_OK ? 1 : 0;
    }
    send_open(publisher);
    while (waiter.left > 0) {
        client_wait(publisher->client, TIMER_NEVER);
    }
    client_unlock(publisher->client);
    if (err == ERR_OK && waiter.err != ERR_OK) {
        err = why_set(why, waiter.err, "%s", waiter.why.text);
    }
    return err;
}

void pubsub_publisher_send(struct pubsub_publisher *publisher)
{
    client_lock(publisher->client);
    send_open(publisher);
    client_unlock(publisher->client);
}

enum err pubsub_publisher_flush(struct pubsub_publisher *publisher, int64_t timeout_us,
                                struct why *why)
{
    struct pubsub *client = publisher->client;
    client_lock(client);
    int64_t until_ns = client_now_ns(client) + timeout_us * 1000;
    send_open(publisher);
    while (publisher->waiting_count + publisher->undelivered > 0 &&
           client_now_ns(client) < until_ns) {
        client_wait(client, until_ns);
    }
    size_t left = publisher->waiting_count + publisher->undelivered;
    client_unlock(client);
    return left == 0 ? ERR_OK
                     : why_set(why, ERR_TIMEOUT, "%zu messages are not published yet", left);
}

// --- ordering keys ------------------------------------------------------------------------------

static void resume_lane(struct pubsub_publisher *publisher, struct publish_lane *lane)
{
    lane->paused = false;
    publish_lane_drop_if_idle(publisher, lane);
}

void pubsub_publisher_resume(struct pubsub_publisher *publisher, struct text ordering_key)
{
    client_lock(publisher->client);
    struct publish_lane *lane = publish_lane_find(publisher, ordering_key);
    if (lane != NULL && lane->paused) {
        resume_lane(publisher, lane);
    }
    client_unlock(publisher->client);
}

void pubsub_publisher_resume_all(struct pubsub_publisher *publisher)
{
    client_lock(publisher->client);
    for (size_t i = 0; i < publisher->bucket_count; i++) {
        struct publish_lane *lane = publisher->buckets[i];
        while (lane != NULL) {
            struct publish_lane *next = lane->next_in_bucket;
            if (lane->paused) {
                resume_lane(publisher, lane);
            }
            lane = next;
        }
    }
    client_unlock(publisher->client);
}

void pubsub_publisher_paused(struct pubsub_publisher *publisher,
                             void (*each)(void *context, struct text ordering_key), void *context)
{
    client_lock(publisher->client);
    for (size_t i = 0; i < publisher->bucket_count; i++) {
        for (struct publish_lane *lane = publisher->buckets[i]; lane != NULL;
             lane = lane->next_in_bucket) {
            if (lane->paused) {
                each(context, lane->key);
            }
        }
    }
    client_unlock(publisher->client);
}

// --- closing ------------------------------------------------------------------------------------

// Fails all that is not in flight, and cuts short what is.
static void fail_all(struct pubsub_publisher *publisher)
{
    struct why why = {0};
    (void)why_set(&why, ERR_CLOSED, "the publisher was closed before this was published");
    publish_lane_fail(&publisher->plain, ERR_CLOSED, &why);
    for (size_t i = 0; i < publisher->bucket_count; i++) {
        for (struct publish_lane *lane = publisher->buckets[i]; lane != NULL;
             lane = lane->next_in_bucket) {
            publish_lane_fail(lane, ERR_CLOSED, &why);
        }
    }
    publish_batches_cut_short(publisher);
}

void pubsub_publisher_close(struct pubsub_publisher **publisher)
{
    if (publisher == NULL || *publisher == NULL) {
        return;
    }
    struct pubsub_publisher *closing = *publisher;
    struct pubsub *client = closing->client;
    *publisher = NULL;
    client_lock(client);
    closing->closed = true;
    fail_all(closing);
    while (closing->waiting_count + closing->undelivered > 0) {
        client_wait(client, TIMER_NEVER);
    }
    client_timer_clear(client, &closing->linger);
    client_unlock(client);
    publish_lanes_deinit(closing);
    free(closing);
}
