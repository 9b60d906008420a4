// Administration of subscriptions.
#include "admin_convert.h"

#include "admin.pb-c.h"

static Till__Pubsub__ExpirationPolicy *expiration(struct arena *arena, bool never)
{
    Till__Pubsub__ExpirationPolicy *policy =
        never ? ARENA_NEW(arena, Till__Pubsub__ExpirationPolicy) : NULL;
    if (policy != NULL) {
        till__pubsub__expiration_policy__init(policy); // without a time: never
    }
    return policy;
}

static enum err dead_letters(const struct pubsub *client, struct arena *arena,
                             const struct pubsub_subscription_settings *settings,
                             Till__Pubsub__DeadLetterPolicy **out_policy, struct why *why)
{
    struct resource topic;
    if (settings->dead_letter_topic.size == 0) {
        return ERR_OK;
    }
    enum err err =
        resource_init(&topic, client, "topics", "topic", settings->dead_letter_topic, why);
    Till__Pubsub__DeadLetterPolicy *policy =
        err == ERR_OK ? ARENA_NEW(arena, Till__Pubsub__DeadLetterPolicy) : NULL;
    if (policy != NULL) {
        till__pubsub__dead_letter_policy__init(policy);
        policy->dead_letter_topic = admin_string(arena, resource_name(&topic));
        policy->max_delivery_attempts = (int32_t)settings->delivery_attempts_max;
        *out_policy = policy;
    }
    return err;
}

static Till__Pubsub__RetryPolicy *retries(struct arena *arena,
                                          const struct pubsub_subscription_settings *settings)
{
    bool any = settings->retry_min_us != 0 || settings->retry_max_us != 0;
    Till__Pubsub__RetryPolicy *policy = any ? ARENA_NEW(arena, Till__Pubsub__RetryPolicy) : NULL;
    if (policy != NULL) {
        till__pubsub__retry_policy__init(policy);
        policy->minimum_backoff = admin_duration(arena, settings->retry_min_us);
        policy->maximum_backoff = admin_duration(arena, settings->retry_max_us);
    }
    return policy;
}

static enum err fill(const struct pubsub *client, struct arena *arena,
                     const struct resource *resource,
                     const struct pubsub_subscription_settings *settings,
                     Till__Pubsub__Subscription *out, struct why *why)
{
    struct resource topic;
    enum err err = resource_init(&topic, client, "topics", "topic", settings->topic, why);
    if (err == ERR_OK) {
        err = dead_letters(client, arena, settings, &out->dead_letter_policy, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    out->name = admin_string(arena, resource_name(resource));
    out->topic = admin_string(arena, resource_name(&topic));
    out->ack_deadline_seconds = (int32_t)(settings->ack_deadline_us / US_PER_SECOND);
    out->retain_acked_messages = settings->retain_acked;
    out->message_retention_duration = admin_duration(arena, settings->retention_us);
    out->labels = admin_labels(arena, settings->labels, &out->n_labels);
    out->enable_message_ordering = settings->ordering;
    out->expiration_policy = expiration(arena, settings->never_expires);
    out->filter = admin_string(arena, settings->filter);
    out->retry_policy = retries(arena, settings);
    out->enable_exactly_once_delivery = settings->exactly_once;
    return admin_check(arena, why);
}

enum err pubsub_subscription_create(struct pubsub *client, struct text subscription,
                                    const struct pubsub_subscription_settings *settings,
                                    struct why *why)
{
    struct resource resource;
    struct arena scratch = {0};
    Till__Pubsub__Subscription request;
    till__pubsub__subscription__init(&request);
    enum err err = resource_init(&resource, client, "subscriptions", "name", subscription, why);
    if (err == ERR_OK) {
        err = admin_scratch(&scratch, why);
    }
    if (err == ERR_OK) {
        err = fill(client, &scratch, &resource, settings, &request, why);
    }
    if (err == ERR_OK) {
        err = admin_call(client, RPC_CREATE_SUBSCRIPTION, &request.base,
                         resource_routing(&resource), NULL, why);
    }
    arena_deinit(&scratch);
    return err;
}

static enum err call_update(struct pubsub *client, const struct resource *resource,
                            Till__Pubsub__Subscription *changed, char **paths, size_t count,
                            struct why *why)
{
    Till__Pubsub__FieldMask mask;
    Till__Pubsub__UpdateSubscriptionRequest request;
    till__pubsub__field_mask__init(&mask);
    till__pubsub__update_subscription_request__init(&request);
    mask.paths = paths;
    mask.n_paths = count;
    request.subscription = changed;
    request.update_mask = &mask;
    return admin_call(client, RPC_UPDATE_SUBSCRIPTION, &request.base, resource_routing(resource),
                      NULL, why);
}

enum err pubsub_subscription_update(struct pubsub *client, struct text subscription,
                                    const struct pubsub_subscription_settings *wanted,
                                    const struct pubsub_difference *differences, size_t count,
                                    struct why *why)
{
    struct resource resource;
    struct arena scratch = {0};
    char *paths[PUBSUB_DIFFERENCES_MAX];
    size_t path_count = 0;
    Till__Pubsub__Subscription changed;
    till__pubsub__subscription__init(&changed);
    enum err err =
        resource_init(&resource, client, "subscriptions", "subscription.name", subscription, why);
    if (err == ERR_OK) {
        err = admin_scratch(&scratch, why);
    }
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        if (differences[i].changeable) {
            paths[path_count++] = admin_string(&scratch, text_of(differences[i].field));
        }
    }
    if (err == ERR_OK) {
        err = fill(client, &scratch, &resource, wanted, &changed, why);
    }
    if (err == ERR_OK && path_count > 0) {
        err = call_update(client, &resource, &changed, paths, path_count, why);
    }
    arena_deinit(&scratch);
    return err;
}

// Calls a method whose request is nothing but the subscription's name.
static enum err call_named(struct pubsub *client, enum rpc_method method, struct text subscription,
                           struct payload **out_response, struct why *why)
{
    struct resource resource;
    enum err err =
        resource_init(&resource, client, "subscriptions", "subscription", subscription, why);
    if (err != ERR_OK) {
        return err;
    }
    char name[NAME_SIZE_MAX + 1] = {0};
    Till__Pubsub__NamedSubscription request;
    till__pubsub__named_subscription__init(&request);
    request.subscription = admin_name(&resource, name);
    return admin_call(client, method, &request.base, resource_routing(&resource), out_response,
                      why);
}

static struct pubsub_subscription_settings settings_of(const Till__Pubsub__Subscription *found,
                                                       struct arena *arena)
{
    const Till__Pubsub__DeadLetterPolicy *dead = found->dead_letter_policy;
    const Till__Pubsub__RetryPolicy *retry = found->retry_policy;
    const Till__Pubsub__ExpirationPolicy *expires = found->expiration_policy;
    return (struct pubsub_subscription_settings){
        .topic = admin_text(arena, found->topic),
        .ack_deadline_us = found->ack_deadline_seconds * US_PER_SECOND,
        .retention_us = admin_us(found->message_retention_duration),
        .retain_acked = found->retain_acked_messages != 0,
        .ordering = found->enable_message_ordering != 0,
        .exactly_once = found->enable_exactly_once_delivery != 0,
        .never_expires = expires != NULL && expires->ttl == NULL,
        .filter = admin_text(arena, found->filter),
        .labels = admin_attributes(arena, found->labels, found->n_labels),
        .dead_letter_topic = admin_text(arena, dead != NULL ? dead->dead_letter_topic : NULL),
        .delivery_attempts_max = dead != NULL ? (uint32_t)dead->max_delivery_attempts : 0,
        .retry_min_us = retry != NULL ? admin_us(retry->minimum_backoff) : 0,
        .retry_max_us = retry != NULL ? admin_us(retry->maximum_backoff) : 0,
    };
}

enum err pubsub_subscription_get(struct pubsub *client, struct text subscription,
                                 struct arena *arena,
                                 struct pubsub_subscription_settings *out_settings, struct why *why)
{
    struct payload *response = NULL;
    ProtobufCMessage *message = NULL;
    enum err err = call_named(client, RPC_GET_SUBSCRIPTION, subscription, &response, why);
    if (err == ERR_OK) {
        err = admin_unpack(&till__pubsub__subscription__descriptor, response, &message, why);
        payload_release(&response);
    }
    if (err != ERR_OK) {
        return err;
    }
    *out_settings = settings_of((const Till__Pubsub__Subscription *)message, arena);
    protobuf_c_message_free_unpacked(message, NULL);
    return admin_check(arena, why);
}

enum err pubsub_subscription_delete(struct pubsub *client, struct text subscription,
                                    struct why *why)
{
    return call_named(client, RPC_DELETE_SUBSCRIPTION, subscription, NULL, why);
}

static enum err take_page(struct admin_list *list, struct arena *scratch, struct payload *response,
                          char **token, struct why *why)
{
    ProtobufCMessage *message = NULL;
    enum err err = admin_unpack(&till__pubsub__list_subscriptions_response__descriptor, response,
                                &message, why);
    if (err != ERR_OK) {
        return err;
    }
    const Till__Pubsub__ListSubscriptionsResponse *page =
        (const Till__Pubsub__ListSubscriptionsResponse *)message;
    bool fits = true;
    for (size_t i = 0; i < page->n_subscriptions && fits; i++) {
        fits = admin_list_add(list, page->subscriptions[i]->name);
    }
    arena_reset(scratch);
    *token = admin_string(scratch, text_of(page->next_page_token));
    protobuf_c_message_free_unpacked(message, NULL);
    return fits ? ERR_OK : why_set(why, ERR_FULL, "no memory for the names of all subscriptions");
}

enum err pubsub_subscription_list(struct pubsub *client, struct arena *arena,
                                  struct text **out_names, size_t *out_count, struct why *why)
{
    return admin_list_all(client, RPC_LIST_SUBSCRIPTIONS, take_page, arena, out_names, out_count,
                          why);
}
