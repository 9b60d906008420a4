// Opening the bus on Pub/Sub for a command: says where it is, and asks whether what the command needs is
// there. A start that cannot do its work ends with one clear line; an outage later is waited out.
#ifndef TILL_PUBSUB_START_H
#define TILL_PUBSUB_START_H

#include "bus_pubsub.h"
#include "command.h"
#include "pubsub.h"

// What a command will do, by enum bus_topic.
struct pubsub_needs {
    bool publish[BUS_TOPIC_COUNT];
    bool receive[BUS_TOPIC_COUNT];
};

// `options` are those of pubsub_settings_read. ERR_CONFIG: no identity, a name that is none. ERR_UNAVAILABLE: no answer within
// pubsub.start_timeout, or a topic or subscription is not there. ERR_PERMISSION.
MUST_USE enum err pubsub_start(struct command_context *context,
                               const struct bus_pubsub_options *options,
                               const struct pubsub_needs *needs, struct bus **out_bus,
                               struct why *why);

// The check alone, with a client that is there already.
MUST_USE enum err pubsub_start_check(struct pubsub *client,
                                     const struct bus_pubsub_options *options,
                                     const struct pubsub_needs *needs, struct why *why);

// What a person should read when something of Pub/Sub ended a run: a topic or subscription that was
// deleted meanwhile is not at fault itself, so ERR_NOT_FOUND becomes ERR_UNAVAILABLE. Returns the code.
enum err pubsub_explain(enum err err, struct why *why);

#endif
