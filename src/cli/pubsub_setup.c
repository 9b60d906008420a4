// Comparing and making topics and subscriptions. A pair is looked at, then completed: the topic before
// its subscription.
#include "pubsub_setup.h"

#include "value.h"

#include <assert.h>
#include <string.h>

// The service counts ack deadlines in whole seconds.
static int64_t in_whole_seconds(int64_t us)
{
    return (us + US_PER_SECOND - 1) / US_PER_SECOND * US_PER_SECOND;
}

static struct text name_or(const char *configured, struct text usual)
{
    return configured != NULL ? text_of(configured) : usual;
}

void setup_pair_init(struct setup_pair *pair, const struct setup_wishes *wishes,
                     enum bus_topic topic)
{
    *pair = (struct setup_pair){
        .topic = name_or(wishes->topics[topic], bus_topic_name(topic)),
        .subscription = name_or(wishes->subscriptions[topic], bus_subscription_name(topic)),
    };
    pair->wanted = (struct pubsub_subscription_settings){
        .topic = pair->topic,
        .ack_deadline_us = in_whole_seconds(wishes->ack_deadline_us),
        .retention_us = wishes->retention_us,
        .never_expires = true,
    };
}

// --- looking ------------------------------------------------------------------------------------

static void leave_as_found(struct pubsub_subscription_settings *wanted,
                           const struct pubsub_subscription_settings *found)
{
    wanted->retain_acked = found->retain_acked;
    if (found->retention_us > wanted->retention_us) {
        wanted->retention_us = found->retention_us;
    }
}

static void compare(struct setup_pair *pair, const struct pubsub *client)
{
    leave_as_found(&pair->wanted, &pair->found);
    pair->difference_count =
        pubsub_subscription_compare(client, &pair->wanted, &pair->found, pair->differences);
    if (pair->found.filter.size > 0) { // to the comparison, none wanted means any
        assert(pair->difference_count < PUBSUB_DIFFERENCES_MAX);
        pair->differences[pair->difference_count++] = (struct pubsub_difference){"filter", false};
    }
}

static enum err look_at_subscription(struct setup_pair *pair, struct pubsub *client,
                                     struct arena *arena, struct why *why)
{
    enum err err = pubsub_subscription_get(client, pair->subscription, arena, &pair->found, why);
    pair->has_subscription = err == ERR_OK;
    if (err == ERR_OK) {
        compare(pair, client);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err setup_pair_look(struct setup_pair *pair, struct pubsub *client, struct arena *arena,
                         struct why *why)
{
    struct pubsub_topic_settings settings = {0};
    enum err err = pubsub_topic_get(client, pair->topic, arena, &settings, why);
    pair->has_topic = err == ERR_OK;
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        why_prefix(why, "topic %.*s", TEXT_PRINT(pair->topic));
        return err;
    }
    err = look_at_subscription(pair, client, arena, why);
    if (err != ERR_OK) {
        why_prefix(why, "subscription %.*s", TEXT_PRINT(pair->subscription));
    }
    return err;
}

// --- making -------------------------------------------------------------------------------------

enum err setup_pair_create_topic(struct setup_pair *pair, struct pubsub *client, struct why *why)
{
    const struct pubsub_topic_settings settings = {0};
    assert(!pair->has_topic);
    enum err err = pubsub_topic_create(client, pair->topic, &settings, why);
    if (err != ERR_OK && err != ERR_EXISTS) {
        why_prefix(why, "topic %.*s", TEXT_PRINT(pair->topic));
        return err;
    }
    pair->has_topic = true;
    return ERR_OK;
}

enum err setup_pair_create_subscription(struct setup_pair *pair, struct pubsub *client,
                                        struct why *why)
{
    assert(pair->has_topic && !pair->has_subscription);
    enum err err = pubsub_subscription_create(client, pair->subscription, &pair->wanted, why);
    if (err != ERR_OK && err != ERR_EXISTS) {
        why_prefix(why, "subscription %.*s", TEXT_PRINT(pair->subscription));
        return err;
    }
    pair->has_subscription = true;
    return ERR_OK;
}

enum err setup_pair_change(struct setup_pair *pair, size_t difference, struct pubsub *client,
                           struct why *why)
{
    assert(pair->has_subscription && difference < pair->difference_count);
    assert(pair->differences[difference].changeable);
    enum err err = pubsub_subscription_update(client, pair->subscription, &pair->wanted,
                                              &pair->differences[difference], 1, why);
    if (err != ERR_OK) {
        why_prefix(why, "subscription %.*s", TEXT_PRINT(pair->subscription));
    }
    return err;
}

// --- telling ------------------------------------------------------------------------------------

struct text setup_short_name(struct text name)
{
    const char *slash = name.size > 0 ? memrchr(name.data, '/', name.size) : NULL;
    if (!text_starts_with(name, TEXT("projects/")) || slash == NULL) {
        return name;
    }
    size_t before = (size_t)(slash + 1 - name.data);
    return (struct text){slash + 1, name.size - before};
}

static void add_duration(struct buf *out, int64_t us)
{
    static const struct value_rule rule = {.kind = VALUE_DURATION};
    value_add_text(&rule, &us, out);
}

typedef const struct pubsub_subscription_settings settings_view;

static void add_topic(struct buf *out, settings_view *settings)
{
    buf_add_text(out, settings->topic);
}

static void add_ack_deadline(struct buf *out, settings_view *settings)
{
    add_duration(out, settings->ack_deadline_us);
}

static void add_retain_acked(struct buf *out, settings_view *settings)
{
    buf_add_str(out, settings->retain_acked ? "true" : "false");
}

static void add_retention(struct buf *out, settings_view *settings)
{
    add_duration(out, settings->retention_us);
}

static void add_ordering(struct buf *out, settings_view *settings)
{
    buf_add_str(out, settings->ordering ? "true" : "false");
}

static void add_expiration(struct buf *out, settings_view *settings)
{
    buf_add_str(out, settings->never_expires ? "never" : "when unused for some time");
}

static void add_filter(struct buf *out, settings_view *settings)
{
    buf_add_text(out, settings->filter.size > 0 ? settings->filter : TEXT("none"));
}

static void add_dead_letters(struct buf *out, settings_view *settings)
{
    struct text topic = settings->dead_letter_topic;
    buf_add_text(out, topic.size > 0 ? topic : TEXT("none"));
    if (topic.size > 0 && settings->delivery_attempts_max > 0) {
        buf_add_fmt(out, " after %u attempts", settings->delivery_attempts_max);
    }
}

static void add_retries(struct buf *out, settings_view *settings)
{
    if (settings->retry_min_us == 0 && settings->retry_max_us == 0) {
        buf_add_str(out, "at once");
        return;
    }
    buf_add_str(out, "after ");
    add_duration(out, settings->retry_min_us);
    buf_add_str(out, " to ");
    add_duration(out, settings->retry_max_us);
}

static void add_exactly_once(struct buf *out, settings_view *settings)
{
    buf_add_str(out, settings->exactly_once ? "true" : "false");
}

#define MAKE_ANEW                                                                                  \
    "it cannot be changed: let till empty the subscription, delete it, and run till setup again"

static const struct {
    const char *name;
    void (*add)(struct buf *out, settings_view *settings);
    const char *remedy; // NULL: the service changes it
} fields[] = {
    {"topic", add_topic, MAKE_ANEW},
    {"ack_deadline_seconds", add_ack_deadline, NULL},
    {"retain_acked_messages", add_retain_acked, NULL},
    {"message_retention_duration", add_retention, NULL},
    {"enable_message_ordering", add_ordering,
     MAKE_ANEW "; it does no harm while nobody publishes with ordering keys"},
    {"expiration_policy", add_expiration, NULL},
    {"filter", add_filter, MAKE_ANEW "; what it does not let through is lost"},
    {"dead_letter_policy", add_dead_letters, NULL},
    {"retry_policy", add_retries, NULL},
    {"enable_exactly_once_delivery", add_exactly_once, NULL},
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static size_t field_index(const char *field)
{
    size_t index = 0;
    while (index < FIELD_COUNT && strcmp(fields[index].name, field) != 0) {
        index++;
    }
    assert(index < FIELD_COUNT); // labels are never compared: none are wanted
    return index;
}

void setup_add_value(struct buf *out, const struct pubsub_subscription_settings *settings,
                     const char *field)
{
    fields[field_index(field)].add(out, settings);
}

const char *setup_remedy(const char *field)
{
    const char *remedy = fields[field_index(field)].remedy;
    assert(remedy != NULL);
    return remedy;
}

void setup_advise(struct why *why)
{
    const char *advice = "";
    if (why->code == ERR_PERMISSION) {
        advice = "; give the identity roles/pubsub.editor, or have somebody run this who has it";
    } else if (err_class_of(why->code) == ERR_CLASS_RETRY) {
        advice = "; is the endpoint right, and is it reachable from here?";
    }
    char text[sizeof(why->text)];
    memcpy(text, why->text, sizeof(text));
    (void)why_set(why, why->code, "%s%s", text, advice);
}
