// Which service a client speaks to: Google's, its emulator, or an endpoint of one's own. Decided from
// the configuration and the environment variables that Google's own clients honour.
#ifndef TILL_PUBSUB_TARGET_H
#define TILL_PUBSUB_TARGET_H

#include "errors.h"
#include "text.h"

#define PUBSUB_CLOUD_ENDPOINT "pubsub.googleapis.com:443"
#define PUBSUB_PROJECT_MAX    128 // bytes, the final zero included
#define PUBSUB_ENDPOINT_MAX   300

struct pubsub_target {
    char project[PUBSUB_PROJECT_MAX];
    char endpoint[PUBSUB_ENDPOINT_MAX]; // HOST:PORT
    bool plaintext;                     // no TLS and no identity: the emulator
    bool anonymous;                     // TLS, but no Google identity
};

// What the user has configured. NULL or empty where nothing was.
struct pubsub_target_wishes {
    const char *project;
    const char *endpoint;    // HOST:PORT; http:// before it means plaintext, https:// TLS
    bool emulator_confirmed; // use the emulator even though a project is configured
    bool anonymous;
};

// Reads an environment variable; NULL when it is not set. getenv does.
typedef char *pubsub_environment(const char *name);

// Rules, first that fits:
// - A configured endpoint is used. Without a scheme it is plaintext on this machine (localhost,
//   127.x.x.x, [::1]) and TLS elsewhere.
// - PUBSUB_EMULATOR_HOST is used, in plaintext. ERR_CONFIG when a project is configured that
//   PUBSUB_PROJECT_ID does not name as well, unless emulator_confirmed: a variable left over in a
//   shell must not swallow what was meant for the cloud, and the reverse.
// - Google's service.
// The project: configured, else PUBSUB_PROJECT_ID, else GOOGLE_CLOUD_PROJECT, else ERR_CONFIG.
MUST_USE enum err pubsub_target_resolve(const struct pubsub_target_wishes *wishes,
                                        pubsub_environment *environment,
                                        struct pubsub_target *out_target, struct why *why);

// "Pub/Sub emulator at localhost:8085, project demo", for the line that is printed at start.
void pubsub_target_describe(const struct pubsub_target *target, char *out, size_t size);

#endif
