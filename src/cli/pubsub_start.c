// The questions at the start. Of Google's service the permission is asked for first, because a pipeline
// may receive without the right to look; an emulator knows no permissions and is asked for the thing.
#include "pubsub_start.h"

#include "pubsub_settings.h"

#define ARENA_SIZE ((size_t)1 << 20)

struct check {
    struct pubsub *client;
    const struct bus_pubsub_options *options;
    struct arena *arena;
};

static enum err not_there(const struct check *check, const char *kind, const char *name,
                          struct why *why)
{
    return why_set(
        why, ERR_UNAVAILABLE,
        "%s %s does not exist in project %s; till setup --bus pubsub makes what is missing", kind,
        name, check->options->client.target.project);
}

static enum err no_answer(const struct check *check, enum err err, struct why *why)
{
    if (err_class_of(err) == ERR_CLASS_RETRY) {
        why_prefix(why, "no answer from Pub/Sub at %s", check->options->client.target.endpoint);
    }
    return err;
}

// ERR_NOT_FOUND, ERR_PERMISSION.
static enum err look_at_topic(const struct check *check, const char *name, struct why *why)
{
    struct pubsub_topic_settings settings;
    arena_reset(check->arena);
    return pubsub_topic_get(check->client, text_of(name), check->arena, &settings, why);
}

static enum err look_at_subscription(const struct check *check, const char *name, struct why *why)
{
    struct pubsub_subscription_settings settings;
    arena_reset(check->arena);
    return pubsub_subscription_get(check->client, text_of(name), check->arena, &settings, why);
}

// Whether the right is missing; ERR_CONFIG from a service that knows no rights.
static enum err ask_right(const struct check *check, bool is_topic, const char *name,
                          bool *out_missing, struct why *why)
{
    static const char *const publish[] = {"pubsub.topics.publish"};
    static const char *const consume[] = {"pubsub.subscriptions.consume"};
    unsigned missing = 0;
    enum err err =
        is_topic ? pubsub_topic_permissions(check->client, text_of(name), publish, 1, &missing, why)
                 : pubsub_subscription_permissions(check->client, text_of(name), consume, 1,
                                                   &missing, why);
    *out_missing = missing != 0;
    return err;
}

static enum err no_right(bool is_topic, const char *name, struct why *why)
{
    return is_topic ? why_set(why, ERR_PERMISSION,
                              "no permission to publish to topic %s, or it does not exist; the "
                              "identity needs roles/pubsub.publisher on it",
                              name)
                    : why_set(why, ERR_PERMISSION,
                              "no permission to receive from subscription %s, or it does not "
                              "exist; the identity needs roles/pubsub.subscriber on it",
                              name);
}

static enum err check_one(const struct check *check, bool is_topic, const char *name,
                          struct why *why)
{
    bool missing = true;
    bool knows_rights = !check->options->client.target.plaintext;
    if (knows_rights) {
        enum err err = ask_right(check, is_topic, name, &missing, why);
        knows_rights = err != ERR_CONFIG;
        if (err != ERR_OK && err != ERR_CONFIG && err != ERR_NOT_FOUND) {
            return no_answer(check, err, why);
        }
        if (err == ERR_OK && !missing) {
            return ERR_OK;
        }
    }
    enum err err =
        is_topic ? look_at_topic(check, name, why) : look_at_subscription(check, name, why);
    if (err == ERR_NOT_FOUND) {
        return not_there(check, is_topic ? "topic" : "subscription", name, why);
    }
    if (knows_rights && (err == ERR_OK || err == ERR_PERMISSION)) {
        return no_right(is_topic, name, why);
    }
    return no_answer(check, err, why);
}

enum err pubsub_start_check(struct pubsub *client, const struct bus_pubsub_options *options,
                            const struct pubsub_needs *needs, struct why *why)
{
    struct arena arena;
    struct check check = {client, options, &arena};
    enum err err = arena_init(&arena, ARENA_SIZE);
    if (err != ERR_OK) {
        return why_set(why, err, "out of memory");
    }
    for (size_t i = 0; i < BUS_TOPIC_COUNT && err == ERR_OK; i++) {
        if (needs->publish[i]) {
            err = check_one(&check, true, options->topics[i], why);
        }
        if (err == ERR_OK && needs->receive[i]) {
            err = check_one(&check, false, options->subscriptions[i], why);
        }
    }
    arena_deinit(&arena);
    return err;
}

enum err pubsub_start(struct command_context *context, const struct bus_pubsub_options *options,
                      const struct pubsub_needs *needs, struct bus **out_bus, struct why *why)
{
    struct pubsub *client = NULL;
    enum err err = pubsub_open(&options->client, &client, why);
    if (err == ERR_OK) {
        pubsub_settings_say_target(context, options);
        err = pubsub_start_check(client, options, needs, why);
    }
    if (err != ERR_OK) {
        pubsub_close(&client);
        return err;
    }
    return bus_pubsub_open_on(client, options, out_bus, why);
}

enum err pubsub_explain(enum err err, struct why *why)
{
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    why_prefix(why, "deleted meanwhile, or of another project");
    why->code = ERR_UNAVAILABLE;
    return ERR_UNAVAILABLE;
}
