// In what a subscription is not as it should be.
#include "client.h"

#include <assert.h>

struct differences {
    struct pubsub_difference *items;
    size_t count;
};

static void add_if(struct differences *differences, bool differs, const char *field,
                   bool changeable)
{
    if (differs) {
        assert(differences->count < PUBSUB_DIFFERENCES_MAX);
        differences->items[differences->count++] = (struct pubsub_difference){field, changeable};
    }
}

static bool number_differs(int64_t wanted, int64_t found)
{
    return wanted != 0 && wanted != found;
}

// Names may be short or full; one that is none differs from every other.
static bool topic_differs(const struct pubsub *client, struct text wanted, struct text found)
{
    struct resource wanted_topic;
    struct resource found_topic;
    if (wanted.size == 0 || found.size == 0) {
        return wanted.size != found.size;
    }
    return resource_init(&wanted_topic, client, "topics", "topic", wanted, NULL) != ERR_OK ||
           resource_init(&found_topic, client, "topics", "topic", found, NULL) != ERR_OK ||
           !text_equal(resource_name(&wanted_topic), resource_name(&found_topic));
}

static bool labels_differ(struct attributes wanted, struct attributes found)
{
    if (wanted.count == 0) {
        return false;
    }
    for (size_t i = 0; i < wanted.count; i++) {
        struct text value = attributes_get(found, wanted.items[i].key);
        if (value.data == NULL || !text_equal(value, wanted.items[i].value)) {
            return true;
        }
    }
    return wanted.count != found.count;
}

static bool dead_letters_differ(const struct pubsub *client,
                                const struct pubsub_subscription_settings *wanted,
                                const struct pubsub_subscription_settings *found)
{
    return topic_differs(client, wanted->dead_letter_topic, found->dead_letter_topic) ||
           number_differs(wanted->delivery_attempts_max, found->delivery_attempts_max);
}

size_t pubsub_subscription_compare(const struct pubsub *client,
                                   const struct pubsub_subscription_settings *wanted,
                                   const struct pubsub_subscription_settings *found,
                                   struct pubsub_difference out[PUBSUB_DIFFERENCES_MAX])
{
    struct differences differences = {.items = out};
    bool filter_differs = wanted->filter.size > 0 && !text_equal(wanted->filter, found->filter);
    bool retries_differ =
        wanted->retry_min_us != found->retry_min_us || wanted->retry_max_us != found->retry_max_us;
    add_if(&differences, topic_differs(client, wanted->topic, found->topic), "topic", false);
    add_if(&differences, number_differs(wanted->ack_deadline_us, found->ack_deadline_us),
           "ack_deadline_seconds", true);
    add_if(&differences, wanted->retain_acked != found->retain_acked, "retain_acked_messages",
           true);
    add_if(&differences, number_differs(wanted->retention_us, found->retention_us),
           "message_retention_duration", true);
    add_if(&differences, labels_differ(wanted->labels, found->labels), "labels", true);
    add_if(&differences, wanted->ordering != found->ordering, "enable_message_ordering", false);
    add_if(&differences, wanted->never_expires != found->never_expires, "expiration_policy", true);
    add_if(&differences, filter_differs, "filter", false);
    add_if(&differences, dead_letters_differ(client, wanted, found), "dead_letter_policy", true);
    add_if(&differences, retries_differ, "retry_policy", true);
    add_if(&differences, wanted->exactly_once != found->exactly_once,
           "enable_exactly_once_delivery", true);
    return differences.count;
}
