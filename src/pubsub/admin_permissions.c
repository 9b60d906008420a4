// What the identity may do with a topic or a subscription.
#include "admin_convert.h"

#include "admin.pb-c.h"

#include <assert.h>
#include <string.h>

static unsigned missing_of(const Till__Pubsub__TestPermissionsResponse *granted,
                           const char *const *permissions, size_t count)
{
    unsigned missing = (1u << count) - 1;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < granted->n_permissions; j++) {
            if (strcmp(permissions[i], granted->permissions[j]) == 0) {
                missing &= ~(1u << i);
            }
        }
    }
    return missing;
}

static enum err call(struct pubsub *client, const struct resource *resource,
                     const char *const *permissions, size_t count, struct payload **out_response,
                     struct why *why)
{
    struct arena scratch = {0};
    char *wanted[PUBSUB_PERMISSIONS_MAX];
    Till__Pubsub__TestPermissionsRequest request;
    till__pubsub__test_permissions_request__init(&request);
    enum err err = admin_scratch(&scratch, why);
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        wanted[i] = admin_string(&scratch, text_of(permissions[i]));
    }
    if (err == ERR_OK) {
        request.resource = admin_string(&scratch, resource_name(resource));
        request.permissions = wanted;
        request.n_permissions = count;
        err = admin_check(&scratch, why);
    }
    if (err == ERR_OK) {
        err = admin_call(client, RPC_TEST_PERMISSIONS, &request.base, resource_routing(resource),
                         out_response, why);
    }
    arena_deinit(&scratch);
    return err;
}

static enum err ask(struct pubsub *client, const char *kind, struct text name,
                    const char *const *permissions, size_t count, unsigned *out_missing,
                    struct why *why)
{
    struct resource resource;
    struct payload *response = NULL;
    ProtobufCMessage *message = NULL;
    assert(count > 0 && count <= PUBSUB_PERMISSIONS_MAX);
    enum err err = resource_init(&resource, client, kind, "resource", name, why);
    if (err == ERR_OK) {
        err = call(client, &resource, permissions, count, &response, why);
    }
    if (err == ERR_OK) {
        err = admin_unpack(&till__pubsub__test_permissions_response__descriptor, response, &message,
                           why);
        payload_release(&response);
    }
    if (err != ERR_OK) {
        return err;
    }
    *out_missing =
        missing_of((const Till__Pubsub__TestPermissionsResponse *)message, permissions, count);
    protobuf_c_message_free_unpacked(message, NULL);
    return ERR_OK;
}

enum err pubsub_topic_permissions(struct pubsub *client, struct text topic,
                                  const char *const *permissions, size_t count,
                                  unsigned *out_missing, struct why *why)
{
    return ask(client, "topics", topic, permissions, count, out_missing, why);
}

enum err pubsub_subscription_permissions(struct pubsub *client, struct text subscription,
                                         const char *const *permissions, size_t count,
                                         unsigned *out_missing, struct why *why)
{
    return ask(client, "subscriptions", subscription, permissions, count, out_missing, why);
}
