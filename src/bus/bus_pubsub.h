// The bus on Google Cloud Pub/Sub, or its emulator. The topics and subscriptions must exist.
//
// A subscription is received from its first pull on, so a process that only publishes receives nothing.
// From then on messages arrive in the background, within the limits below, and bus_pull gives what is
// there. A pull of a subscription that does not exist, or without permission, says so.
//
// A lease here lasts lease_us from the pull, as the seam has it: the client extends it with the service
// until then, and hands the message back afterwards.
#ifndef TILL_BUS_PUBSUB_H
#define TILL_BUS_PUBSUB_H

#include "bus.h"
#include "pubsub.h"

struct bus_pubsub_options {
    struct pubsub_options client;
    // Names where they are not those of contract: short or full. NULL: bus_topic_name and
    // bus_subscription_name.
    const char *topics[BUS_TOPIC_COUNT];
    const char *subscriptions[BUS_TOPIC_COUNT];
    enum pubsub_way way;
    uint32_t receivers;     // streams, or pulls at once, a subscription; 0: 1
    size_t held_count_max;  // messages pulled or waiting to be, a subscription; 0: 10,000
    size_t held_size_max;   // and their bytes; 0: 64 MiB
    int64_t first_lease_us; // see pubsub_subscriber_options
    int64_t lease_us;       // 0: 60 minutes
    int64_t publish_us;     // how long one bus_publish may try; 0: 30 s
};

// Does not wait for the service. ERR_CONFIG: no identity, or a name that is none.
MUST_USE enum err bus_pubsub_open(const struct bus_pubsub_options *options, struct bus **out_bus,
                                  struct why *why);
// The same on a client that is there already; takes it, also on failure. options->client is ignored.
MUST_USE enum err bus_pubsub_open_on(struct pubsub *client,
                                     const struct bus_pubsub_options *options, struct bus **out_bus,
                                     struct why *why);

// What has happened so far on a subscription; zeros when it was never pulled.
struct pubsub_subscriber_figures bus_pubsub_figures(struct bus *bus, enum bus_topic subscription);

#endif
