// Choosing between the cloud, the emulator and an endpoint of one's own.
#include "pubsub_target.h"

#include <stdio.h>
#include <string.h>

static const char *or_null(const char *value)
{
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static const char *variable(pubsub_environment *environment, const char *name)
{
    return or_null(environment(name));
}

static enum err copy(char *out, size_t size, const char *value, const char *what, struct why *why)
{
    size_t length = strlen(value);
    if (length >= size) {
        return why_set(why, ERR_CONFIG, "the %s is too long: %zu bytes of at most %zu", what,
                       length, size - 1);
    }
    memcpy(out, value, length + 1);
    return ERR_OK;
}

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

// Whether HOST:PORT is on this machine.
static bool is_local(const char *endpoint)
{
    return begins(endpoint, "localhost:") || begins(endpoint, "127.") || begins(endpoint, "[::1]:");
}

static enum err check_endpoint(const char *endpoint, struct why *why)
{
    const char *colon = strrchr(endpoint, ':');
    bool has_port = colon != NULL && colon != endpoint && colon[1] != '\0' &&
                    strspn(colon + 1, "0123456789") == strlen(colon + 1);
    return has_port
               ? ERR_OK
               : why_set(why, ERR_CONFIG, "\"%s\" is no endpoint; HOST:PORT is wanted", endpoint);
}

static enum err use_endpoint(struct pubsub_target *target, const char *endpoint, struct why *why)
{
    bool http = begins(endpoint, "http://");
    bool https = begins(endpoint, "https://");
    const char *bare = endpoint + (http ? strlen("http://") : https ? strlen("https://") : 0);
    target->plaintext = http || (!https && is_local(bare));
    enum err err = check_endpoint(bare, why);
    return err == ERR_OK ? copy(target->endpoint, sizeof(target->endpoint), bare, "endpoint", why)
                         : err;
}

static enum err use_emulator(struct pubsub_target *target,
                             const struct pubsub_target_wishes *wishes, const char *emulator,
                             pubsub_environment *environment, struct why *why)
{
    const char *configured = or_null(wishes->project);
    const char *project = variable(environment, "PUBSUB_PROJECT_ID");
    bool agreed = configured == NULL || (project != NULL && strcmp(project, configured) == 0);
    if (!agreed && !wishes->emulator_confirmed) {
        return why_set(
            why, ERR_CONFIG,
            "PUBSUB_EMULATOR_HOST is set to %s, but project %s is configured: unset the "
            "variable to use the cloud; to use the emulator set PUBSUB_PROJECT_ID=%s too, "
            "or confirm that it is meant",
            emulator, configured, configured);
    }
    enum err err = use_endpoint(target, emulator, why);
    target->plaintext = true;
    return err;
}

static enum err use_project(struct pubsub_target *target, const struct pubsub_target_wishes *wishes,
                            pubsub_environment *environment, struct why *why)
{
    const char *project = or_null(wishes->project);
    project = project != NULL ? project : variable(environment, "PUBSUB_PROJECT_ID");
    project = project != NULL ? project : variable(environment, "GOOGLE_CLOUD_PROJECT");
    if (project == NULL) {
        return why_set(why, ERR_CONFIG,
                       "no Google Cloud project: configure one, or set PUBSUB_PROJECT_ID");
    }
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
    if (strspn(project, allowed) != strlen(project)) {
        return why_set(why, ERR_CONFIG, "\"%s\" is no id of a Google Cloud project", project);
    }
    return copy(target->project, sizeof(target->project), project, "project", why);
}

enum err pubsub_target_resolve(const struct pubsub_target_wishes *wishes,
                               pubsub_environment *environment, struct pubsub_target *out_target,
                               struct why *why)
{
    struct pubsub_target target = {.anonymous = wishes->anonymous};
    const char *endpoint = or_null(wishes->endpoint);
    const char *emulator = variable(environment, "PUBSUB_EMULATOR_HOST");
    enum err err = endpoint != NULL   ? use_endpoint(&target, endpoint, why)
                   : emulator != NULL ? use_emulator(&target, wishes, emulator, environment, why)
                                      : use_endpoint(&target, PUBSUB_CLOUD_ENDPOINT, why);
    if (err == ERR_OK) {
        err = use_project(&target, wishes, environment, why);
    }
    if (err == ERR_OK) {
        *out_target = target;
    }
    return err;
}

void pubsub_target_describe(const struct pubsub_target *target, char *out, size_t size)
{
    bool cloud = strcmp(target->endpoint, PUBSUB_CLOUD_ENDPOINT) == 0;
    const char *what = target->plaintext ? "Pub/Sub emulator"
                       : cloud           ? "Google Cloud Pub/Sub"
                                         : "Pub/Sub service";
    (void)snprintf(out, size, "%s at %s, project %s", what, target->endpoint, target->project);
}
