// Administration of topics.
#include "admin_convert.h"

#include "admin.pb-c.h"

enum err pubsub_topic_create(struct pubsub *client, struct text topic,
                             const struct pubsub_topic_settings *settings, struct why *why)
{
    struct resource resource;
    struct arena scratch = {0};
    enum err err = resource_init(&resource, client, "topics", "name", topic, why);
    if (err == ERR_OK) {
        err = admin_scratch(&scratch, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    Till__Pubsub__Topic request;
    till__pubsub__topic__init(&request);
    request.name = admin_string(&scratch, resource_name(&resource));
    request.labels = admin_labels(&scratch, settings->labels, &request.n_labels);
    request.message_retention_duration = admin_duration(&scratch, settings->retention_us);
    err = admin_check(&scratch, why);
    if (err == ERR_OK) {
        err = admin_call(client, RPC_CREATE_TOPIC, &request.base, resource_routing(&resource), NULL,
                         why);
    }
    arena_deinit(&scratch);
    return err;
}

// Calls a method whose request is nothing but the topic's name.
static enum err call_named(struct pubsub *client, enum rpc_method method, struct text topic,
                           struct payload **out_response, struct why *why)
{
    struct resource resource;
    enum err err = resource_init(&resource, client, "topics", "topic", topic, why);
    if (err != ERR_OK) {
        return err;
    }
    char name[NAME_SIZE_MAX + 1] = {0};
    Till__Pubsub__NamedTopic request;
    till__pubsub__named_topic__init(&request);
    request.topic = admin_name(&resource, name);
    return admin_call(client, method, &request.base, resource_routing(&resource), out_response,
                      why);
}

enum err pubsub_topic_get(struct pubsub *client, struct text topic, struct arena *arena,
                          struct pubsub_topic_settings *out_settings, struct why *why)
{
    struct payload *response = NULL;
    ProtobufCMessage *message = NULL;
    enum err err = call_named(client, RPC_GET_TOPIC, topic, &response, why);
    if (err == ERR_OK) {
        err = admin_unpack(&till__pubsub__topic__descriptor, response, &message, why);
        payload_release(&response);
    }
    if (err != ERR_OK) {
        return err;
    }
    const Till__Pubsub__Topic *found = (const Till__Pubsub__Topic *)message;
    *out_settings = (struct pubsub_topic_settings){
        .labels = admin_attributes(arena, found->labels, found->n_labels),
        .retention_us = admin_us(found->message_retention_duration),
    };
    protobuf_c_message_free_unpacked(message, NULL);
    return admin_check(arena, why);
}

enum err pubsub_topic_delete(struct pubsub *client, struct text topic, struct why *why)
{
    return call_named(client, RPC_DELETE_TOPIC, topic, NULL, why);
}

static enum err take_page(struct admin_list *list, struct arena *scratch, struct payload *response,
                          char **token, struct why *why)
{
    ProtobufCMessage *message = NULL;
    enum err err =
        admin_unpack(&till__pubsub__list_topics_response__descriptor, response, &message, why);
    if (err != ERR_OK) {
        return err;
    }
    const Till__Pubsub__ListTopicsResponse *page =
        (const Till__Pubsub__ListTopicsResponse *)message;
    bool fits = true;
    for (size_t i = 0; i < page->n_topics && fits; i++) {
        fits = admin_list_add(list, page->topics[i]->name);
    }
    arena_reset(scratch);
    *token = admin_string(scratch, text_of(page->next_page_token));
    protobuf_c_message_free_unpacked(message, NULL);
    return fits ? ERR_OK : why_set(why, ERR_FULL, "no memory for the names of all topics");
}

enum err pubsub_topic_list(struct pubsub *client, struct arena *arena, struct text **out_names,
                           size_t *out_count, struct why *why)
{
    return admin_list_all(client, RPC_LIST_TOPICS, take_page, arena, out_names, out_count, why);
}
