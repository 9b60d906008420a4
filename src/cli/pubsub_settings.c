// From struct config to the options of the client and the bus.
#include "pubsub_settings.h"

#include "pubsub_identity.h"

#include <stdlib.h>
#include <string.h>

static const char *or_null(const char *value)
{
    return value[0] != '\0' ? value : NULL;
}

static void read_names(const struct config *config, const char *topics[BUS_TOPIC_COUNT],
                       const char *subscriptions[BUS_TOPIC_COUNT])
{
    topics[BUS_ORDERS] = config->pubsub_orders_topic;
    topics[BUS_PAYMENTS] = config->pubsub_payments_topic;
    topics[BUS_ORDERS_DLQ] = config->pubsub_orders_dlq_topic;
    topics[BUS_PAYMENTS_DLQ] = config->pubsub_payments_dlq_topic;
    subscriptions[BUS_ORDERS] = config->pubsub_orders_subscription;
    subscriptions[BUS_PAYMENTS] = config->pubsub_payments_subscription;
    subscriptions[BUS_ORDERS_DLQ] = config->pubsub_orders_dlq_subscription;
    subscriptions[BUS_PAYMENTS_DLQ] = config->pubsub_payments_dlq_subscription;
}

// The rules of the client know no flags.
static void add_flag(struct why *why)
{
    static const struct {
        struct text end;
        const char *flag;
    } hints[] = {{TEXT("confirm that it is meant"), " with --allow-emulator"},
                 {TEXT("or set PUBSUB_PROJECT_ID"), " (--project, or the key pubsub.project)"}};
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        size_t size = strlen(why->text);
        size_t end = hints[i].end.size;
        if (size >= end && memcmp(why->text + size - end, hints[i].end.data, end) == 0) {
            char text[sizeof(why->text)];
            memcpy(text, why->text, sizeof(text));
            (void)why_set(why, why->code, "%s%s", text, hints[i].flag);
            return;
        }
    }
}

static enum err read_target(const struct command_context *context, struct pubsub_target *out_target,
                            struct why *why)
{
    const struct config *config = context->config;
    const struct pubsub_target_wishes wishes = {
        .project = config->pubsub_project,
        .endpoint = config->pubsub_endpoint,
        .emulator_confirmed = context->options->allow_emulator,
        .anonymous = config->pubsub_identity == PUBSUB_IDENTITY_NONE,
    };
    enum err err = pubsub_target_resolve(&wishes, getenv, out_target, why);
    if (err == ERR_CONFIG && why != NULL) {
        add_flag(why);
    }
    return err;
}

enum err pubsub_settings_read(const struct command_context *context,
                              struct bus_pubsub_options *out_options, struct why *why)
{
    const struct config *config = context->config;
    bool streams = config->pubsub_receive == PUBSUB_STREAMING_PULL;
    struct bus_pubsub_options options = {
        .client = {.ca_file = or_null(config->pubsub_ca_file),
                   .quota_project = or_null(config->pubsub_quota_project),
                   .connections = (uint32_t)config->pubsub_connections,
                   .admin_us = config->pubsub_start_timeout,
                   .clock = context->clock},
        .way = (enum pubsub_way)config->pubsub_receive,
        .receivers = (uint32_t)config->pubsub_receivers,
        .held_count_max = (size_t)config->pubsub_held_messages,
        .held_size_max = (size_t)config->pubsub_held_bytes,
        // An unary pull leases for what the subscription says, which may be less than what is wanted.
        .first_lease_us = streams ? config->pubsub_ack_deadline : 0,
        .lease_us = config->pubsub_hold,
        .publish_us = config->pubsub_publish_timeout,
    };
    read_names(config, options.topics, options.subscriptions);
    enum err err = read_target(context, &options.client.target, why);
    if (err == ERR_OK) {
        *out_options = options;
    }
    return err;
}

enum err pubsub_settings_check_flags(const struct command_context *context, struct why *why)
{
    static const enum option_id flags[] = {OPTION_pubsub_project, OPTION_pubsub_endpoint,
                                           OPTION_allow_emulator};
    if (context->config->bus_kind == BUS_KIND_PUBSUB) {
        return ERR_OK;
    }
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (context->options->given[flags[i]]) {
            return why_set(why, ERR_USAGE,
                           "flag %s is about Pub/Sub, but the bus is the embedded one; add --bus "
                           "pubsub",
                           option_info(flags[i])->flag);
        }
    }
    return ERR_OK;
}

void pubsub_settings_say_target(struct command_context *context,
                                const struct bus_pubsub_options *options)
{
    const struct pubsub_target *target = &options->client.target;
    char identity[PUBSUB_IDENTITY_MAX];
    if (target->plaintext) {
        command_say(context, "Pub/Sub project %s at emulator %s", target->project,
                    target->endpoint);
    } else if (target->anonymous) {
        command_say(context, "Pub/Sub project %s at %s, without an identity", target->project,
                    target->endpoint);
    } else {
        pubsub_identity_describe(identity, sizeof(identity));
        command_say(context, "Pub/Sub project %s at %s as %s", target->project, target->endpoint,
                    identity);
    }
}

void pubsub_settings_wishes(const struct config *config, struct setup_wishes *out_wishes)
{
    *out_wishes = (struct setup_wishes){.ack_deadline_us = config->pubsub_ack_deadline,
                                        .retention_us = config->pubsub_retention};
    read_names(config, out_wishes->topics, out_wishes->subscriptions);
}
